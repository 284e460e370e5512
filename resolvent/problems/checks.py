"""Checks of the data from which problems are made. Each raises ProblemError naming what came and what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np

from resolvent import arrays
from resolvent.errors import ProblemError
from resolvent.typing import Array

__all__ = ["read_bounds", "require_ordered", "require_shape", "require_size"]

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
