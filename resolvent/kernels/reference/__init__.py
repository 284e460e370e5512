"""The meaning of each kernel, in plain NumPy: the oracle of its compiled twins."""
