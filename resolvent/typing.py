"""Names for the types that appear in signatures all over the library. Shapes stand in docstrings."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Matrix", "Point", "RandomSource"]

Array: TypeAlias = NDArray[Any]
"""An array: NumPy, or one that follows the Array API (CuPy)."""

Matrix: TypeAlias = Any
"""A dense array or a SciPy sparse matrix."""

Point: TypeAlias = Any
"""What is solved for: an array, a tuple of arrays, or an operator."""

RandomSource: TypeAlias = int | np.random.Generator | None
"""A seed, a generator (copied, never advanced) or None, which means seed 0."""
