"""Kernels on a CUDA device, through CuPy. The only place, beside `resolvent.arrays`, that imports it."""
