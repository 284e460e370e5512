"""Work on retained directions in few passes over memory, the meaning of the compiled twins.

A ring holds directions P and their products Q = A P, one a row. Sums are accumulated in float64, whatever the type of
the vectors. Shapes: vectors (n,), P and Q (k, n), `rows` (m,) the rows in use, coefficients (m,) float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resolvent.typing import Array

__all__ = ["blend", "measure", "products", "subtract"]


def products(z: Array, Q: Array, rows: Array) -> Array:
    """Return z^T Q[i] for i in `rows`, and z^T z behind them: (m + 1,) float64. Work: 2 (m + 1) n flops."""
    wide = z.astype(np.float64)
    return np.array([*(float(np.vdot(wide, Q[i].astype(np.float64))) for i in rows), float(np.vdot(wide, wide))])


def subtract(z: Array, P: Array, rows: Array, coefficients: Array) -> None:
    """Do z -= sum_j coefficients[j] P[rows[j]]. Work: 2 m n flops."""
    for i, c in zip(rows, coefficients, strict=True):
        z -= z.dtype.type(c) * P[i]


def measure(p: Array, y: Array, r: Array, q: Array) -> Array:
    """Copy y = A p to q, return p^T y, p^T r and p^T p: (3,) float64. Work: 6 n flops, three reads and one write."""
    q[:] = y
    wide = p.astype(np.float64)
    return np.array([float(np.vdot(wide, v.astype(np.float64))) for v in (y, r, p)])


def blend(p: Array, q: Array, d: Array, e: Array, first: float, second: float) -> None:
    """Do p = first p + second d and q = first q + second e. Work: 6 n flops, four reads and two writes."""
    one, two = p.dtype.type(first), p.dtype.type(second)
    p[:] = one * p + two * d
    q[:] = one * q + two * e


LENGTHS = (0, 1, 9, 67)


def _ring(rng: np.random.Generator, dtype: Any, n: int) -> tuple[Array, Array]:
    # positive, so that no sum cancels: its rounding would depend on the order
    return rng.random((3, n)).astype(dtype), np.array([2, 0])


def _products(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    out = [(rng.random(n).astype(dtype), *_ring(rng, dtype, n)) for n in LENGTHS]
    return [*out, (rng.random(5).astype(dtype), rng.random((3, 5)).astype(dtype), np.zeros(0, np.int64))]


def _subtract(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [(*arguments, rng.standard_normal(len(arguments[-1]))) for arguments in _products(rng, dtype)]


def _vectors(rng: np.random.Generator, dtype: Any, *numbers: float) -> list[tuple[Any, ...]]:
    return [(*rng.random((4, n)).astype(dtype), *numbers) for n in LENGTHS]


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], list[tuple[Any, ...]]]] = {
    "products": _products,
    "subtract": _subtract,
    "measure": _vectors,
    "blend": lambda rng, dtype: _vectors(rng, dtype, 0.75, -0.5),
}
