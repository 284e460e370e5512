"""Equilibration: scale rows and columns of a matrix to about the same size.

Ruiz' iteration divides each row and each column by the square root of its largest entry, again and again; the largest
entries tend to 1 at the rate 1/2 per sweep. The factors are rounded to powers of two: scaling then makes no rounding
error, so that a solution can be scaled back and forth to the same bits.

Reference: D. Ruiz, A scaling algorithm to equilibrate both rows and columns norms in matrices, report RAL-TR-2001-034
(2001).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resolvent.typing import Array, Matrix

__all__ = ["equilibrate", "scaled"]


def equilibrate(A: Matrix, sweeps: int) -> tuple[Array, Array]:
    """Return row factors d and column factors e, powers of two, such that ``d[:, None] * A * e`` is equilibrated.

    For a symmetric A they are equal. Zero rows and columns keep the factor 1. Work: `sweeps` passes over the entries.

    Parameters
    ----------
    A : array or CSR matrix (m, n)
    sweeps : int
        0 returns ones.
    """
    rows, columns = np.ones(A.shape[0], A.dtype), np.ones(A.shape[1], A.dtype)
    if hasattr(A, "indptr"):
        entries, i, j = np.abs(A.data), np.repeat(np.arange(A.shape[0]), np.diff(A.indptr)), A.indices
        for _ in range(sweeps):
            current = rows[i] * entries * columns[j]
            row_sizes, column_sizes = np.zeros_like(rows), np.zeros_like(columns)
            np.maximum.at(row_sizes, i, current)
            np.maximum.at(column_sizes, j, current)
            rows, columns = rows / _root(row_sizes), columns / _root(column_sizes)
    else:
        entries = np.abs(A)
        for _ in range(sweeps):
            current = rows[:, None] * entries * columns
            row_sizes, column_sizes = current.max(axis=1, initial=0), current.max(axis=0, initial=0)
            rows, columns = rows / _root(row_sizes), columns / _root(column_sizes)
    return _power_of_two(rows), _power_of_two(columns)


def scaled(A: Matrix, rows: Array, columns: Array) -> Matrix:
    """Return ``rows[:, None] * A * columns`` as a new matrix; a CSR matrix shares its pattern with A."""
    if not hasattr(A, "indptr"):
        return rows[:, None] * A * columns
    data = A.data * np.repeat(rows, np.diff(A.indptr)) * columns[A.indices]
    return type(A)((data, A.indices, A.indptr), shape=A.shape)


def _root(sizes: Array) -> Array:
    return np.where(sizes > 0, np.sqrt(sizes), 1).astype(sizes.dtype)


def _power_of_two(factors: Array) -> Array:
    limits: Any = np.finfo(factors.dtype)
    exponent = np.clip(np.rint(np.log2(factors)), limits.minexp // 4, limits.maxexp // 4)
    return np.ldexp(np.ones_like(factors), exponent.astype(np.int32))
