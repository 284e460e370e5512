"""What the library does with arrays wherever they live: namespace, copy, cast, finiteness, size.

Everything here takes an array, a tuple of arrays (two distributions on two grids), or an operator, which is
copied as a Python object and asked for its own `is_finite()` if it has one.
"""

from __future__ import annotations

import copy as _copy
from math import sqrt
from typing import Any

import numpy as np

from resolvent.errors import ProblemError
from resolvent.typing import Array, Point

__all__ = [
    "as_float64",
    "cast",
    "copy",
    "is_array",
    "is_finite",
    "namespace",
    "nbytes",
    "norm2",
    "place",
    "shape",
]


def namespace(x: Any) -> Any:
    """Return the array module of `x`: NumPy for NumPy arrays, else what `x` says by the Array API."""
    if isinstance(x, np.ndarray | np.generic | int | float):
        return np
    from array_api_compat import array_namespace

    return array_namespace(x)


def is_array(x: Any) -> bool:
    """Whether `x` is an array of any library."""
    return isinstance(x, np.ndarray) or hasattr(x, "__array_namespace__") or place(x) == "gpu"


def place(x: Any) -> str:
    """Return where the data of `x` live: "gpu" for CuPy arrays and matrices, else "cpu"."""
    return "gpu" if type(x).__module__.partition(".")[0] in ("cupy", "cupyx") else "cpu"


def copy(x: Point) -> Point:
    """Return a copy that shares no memory with `x`. Memory: that of `x`."""
    if isinstance(x, tuple):
        return tuple(copy(part) for part in x)
    if isinstance(x, np.ndarray):
        return np.array(x, copy=True, order="K")
    if is_array(x):
        return namespace(x).asarray(x, copy=True)
    return _copy.deepcopy(x)


def is_finite(x: Point) -> bool:
    """Whether no entry of `x` is nan or inf."""
    if isinstance(x, np.ndarray):
        return bool(np.isfinite(x).all())
    if isinstance(x, tuple):
        return all(is_finite(part) for part in x)
    if is_array(x):
        xp = namespace(x)
        return bool(xp.all(xp.isfinite(x)))
    own = getattr(x, "is_finite", None)
    return True if own is None else bool(own())


def nbytes(x: Point) -> int:
    """Return the memory of an array or a tuple of arrays in bytes."""
    if isinstance(x, tuple):
        return sum(nbytes(part) for part in x)
    if isinstance(x, np.ndarray):
        return x.nbytes
    if not is_array(x):
        return 0
    size = 1
    for extent in x.shape:
        size *= extent
    return size * int(namespace(x).finfo(x.dtype).bits // 8)


def shape(x: Point) -> Any:
    """Return the shape of an array, or the tuple of shapes of a tuple of arrays."""
    return tuple(shape(part) for part in x) if isinstance(x, tuple) else np.shape(x)


def as_float64(x: Array) -> Array:
    """Return `x` in float64, itself if it is already that."""
    if isinstance(x, np.ndarray):
        return x if x.dtype == np.float64 else x.astype(np.float64)
    xp = namespace(x)
    return xp.astype(x, xp.float64, copy=False)


def norm2(x: Array) -> float:
    """Return the Euclidean norm of a NumPy array, accumulated in float64; inf where a square overflows."""
    x = as_float64(x).ravel()
    with np.errstate(over="ignore"):
        return sqrt(x.dot(x))


def cast(x: Any, dtype: np.dtype[Any], name: str) -> Point:
    """Return an owned, finite copy of `x` in `dtype`.

    Integers become floating numbers. None stays None, an operator is returned as it is.

    Raises
    ------
    ProblemError
        For complex or non-numeric entries, nan or inf; the message names the argument and the index.
    """
    if x is None:
        return None
    if isinstance(x, tuple):
        return tuple(cast(part, dtype, f"{name}[{i}]") for i, part in enumerate(x))
    if is_array(x) and not isinstance(x, np.ndarray):
        xp = namespace(x)
        owned = xp.astype(x, getattr(xp, dtype.name), copy=True)
    elif isinstance(x, list | int | float) or hasattr(x, "__array__"):
        try:
            raw = np.asarray(x)
        except ValueError as error:
            raise ProblemError(f"{name} is not an array of numbers: {error}") from None
        if raw.dtype.kind not in "fiub":
            raise ProblemError(f"{name} has dtype {raw.dtype}, expected real numbers")
        owned = np.array(raw, dtype=dtype, copy=True, order="K")
        if not np.isfinite(owned).all():
            where = np.argwhere(~np.isfinite(owned))[0]
            index = ", ".join(str(int(i)) for i in where)
            raise ProblemError(f"{name}[{index}] is {owned[tuple(where)]}, expected finite numbers")
    else:
        return x
    if not is_finite(owned):
        raise ProblemError(f"{name} contains nan or inf, expected finite numbers")
    return owned
