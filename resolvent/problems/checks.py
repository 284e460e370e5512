"""Checks of the data from which problems are made. Each raises ProblemError naming what came and what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np

from resolvent import arrays, kernels
from resolvent.errors import BackendError, ProblemError
from resolvent.typing import Array, Matrix

__all__ = [
    "read_bounds",
    "read_matrix",
    "read_offset",
    "read_weights",
    "require_finite",
    "require_ordered",
    "require_shape",
    "require_size",
]

INFINITE_BOUND = 1e20
"""A bound at least this large in absolute value is no bound (the convention of CUTEst)."""


def read_bounds(value: Any, size: int, dtype: np.dtype[Any], side: float, name: str) -> Array:
    """Return the bounds `value` as an owned array of shape (size,).

    Parameters
    ----------
    value : array_like (size,), number or None
        None is `side`, that is no bound; |bound| >= 1e20 is read as infinite.
    size : int
    dtype : numpy.dtype
    side : float
        -inf for lower and inf for upper bounds; a bound of the other infinity is refused.
    name : str
        Named in the error.

    Raises
    ------
    ProblemError
        Wrong shape, nan, or a bound that nothing satisfies.
    """
    try:
        raw = np.asarray(side if value is None else value)
    except ValueError as error:
        raise ProblemError(f"{name} is not an array of numbers: {error}") from None
    if raw.dtype.kind not in "fiub":
        raise ProblemError(f"{name} has dtype {raw.dtype}, expected real numbers")
    if raw.shape not in ((), (size,)):
        raise ProblemError(f"{name} has shape {raw.shape}, expected ({size},) or a number")
    bounds = np.broadcast_to(raw.astype(np.float64), (size,)).copy()
    if np.isnan(bounds).any():
        raise ProblemError(f"{name}[{int(np.flatnonzero(np.isnan(bounds))[0])}] is nan, expected a number or +-inf")
    far = np.abs(bounds) >= INFINITE_BOUND
    bounds[far] = np.copysign(np.inf, bounds[far])
    wrong = np.flatnonzero(bounds == -side)
    if len(wrong):
        raise ProblemError(f"{name}[{int(wrong[0])}] is {-side}, which no point satisfies")
    return bounds.astype(dtype, copy=False)


def require_shape(value: Array | None, shape: tuple[int, ...], name: str) -> None:
    """Raise ProblemError where `value` is given with another shape."""
    if value is None:
        return
    if not arrays.is_array(value):
        raise ProblemError(f"{name} is a {type(value).__name__}, expected an array of shape {shape}")
    if value.shape != shape:
        raise ProblemError(f"{name} has shape {value.shape}, expected {shape}")


def require_ordered(lower: Array, upper: Array, low: str, up: str) -> None:
    """Raise ProblemError where a lower bound exceeds its upper bound."""
    wrong = np.flatnonzero(lower > upper)
    if len(wrong):
        i = int(wrong[0])
        raise ProblemError(f"{low}[{i}] = {lower[i]} exceeds {up}[{i}] = {upper[i]}")


def require_size(value: Any, name: str, least: int) -> None:
    """Raise ProblemError where `value` is no whole number from `least` up."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ProblemError(f"{name} is {value!r}, expected a whole number >= {least}")


# ---- linear models


def read_matrix(A: Any, dtype: Any, name: str = "A") -> Matrix:
    """Return A as a CSC array, or as an array in Fortran order; itself where it is that."""
    if arrays.place(A) == "gpu":
        raise BackendError(f"{name} lives on the GPU; composite problems are for arrays on the CPU")
    sparse = hasattr(A, "tocsc")
    try:
        A = A if sparse else np.asarray(A)
    except ValueError as error:
        raise ProblemError(f"{name} is not a matrix of numbers: {error}") from None
    if A.ndim != 2 or 0 in A.shape:
        raise ProblemError(f"{name} has shape {A.shape}, expected (n, p) with at least one row and one column")
    if A.dtype.kind not in "fiub":
        raise ProblemError(f"{name} has dtype {A.dtype}, expected real numbers")
    wanted = np.dtype((A.dtype if A.dtype == np.float32 else np.float64) if dtype is None else dtype)
    return _read_sparse(A, wanted) if sparse else np.asfortranarray(A, wanted)


def _read_sparse(A: Any, dtype: np.dtype[Any]) -> Any:
    import scipy.sparse as sp

    A = A.tocsc()
    if not isinstance(A, sp.csc_array):
        A = sp.csc_array(A)
    if _has_repeats(A):
        A = A.copy()
        A.sum_duplicates()
    return A.astype(dtype, copy=False)


def _has_repeats(A: Any) -> bool:
    """Whether an entry is given in parts. The order of entries in a column does not matter, and sorting is dear."""
    return not A.has_canonical_format and bool(
        kernels.descent.has_repeats(A.indices, A.indptr, np.zeros(A.shape[0], np.int64))
    )


def require_finite(A: Any, sums: Array, name: str) -> None:
    """Raise ProblemError for entries that are not finite: where these numbers, of all entries, have no finite sum."""
    entries = A.data if hasattr(A, "indptr") else A
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(sums.sum()) or np.isfinite(entries).all():
            return
    if entries is not A:
        raise ProblemError(f"{name} contains nan or inf, expected finite numbers")
    i, j = np.argwhere(~np.isfinite(A))[0]
    raise ProblemError(f"{name}[{i}, {j}] is {A[i, j]}, expected finite numbers")


def read_weights(value: Any, n: int, dtype: Any) -> Array | None:
    """Return weights of n samples, >= 0 and not all zero; None for none."""
    if value is None:
        return None
    weights: Array = arrays.cast(np.asarray(value), dtype, "weights")
    if weights.shape != (n,):
        raise ProblemError(f"weights have shape {weights.shape}, expected ({n},)")
    if weights.min() < 0:
        raise ProblemError(f"weights[{int(weights.argmin())}] is {weights.min():g}, expected numbers >= 0")
    if weights.sum() <= 0:
        raise ProblemError("weights sum to zero, expected a positive one")
    return weights


def read_offset(value: Any, shape: tuple[int, ...], dtype: Any) -> Array | None:
    """Return an offset of predictions of this shape, None for none."""
    if value is None:
        return None
    offset: Array = arrays.cast(np.asarray(value), dtype, "offset")
    if offset.shape != shape:
        raise ProblemError(f"offset has shape {offset.shape}, expected {shape}")
    return offset
