"""Equilibration: scale rows and columns of a matrix to about the same size.

Ruiz' iteration divides each row and each column by the square root of its largest entry, again and again; the largest
entries tend to 1 at the rate 1/2 per sweep. The column factors, through which solutions are scaled back and forth, are
rounded towards 1 to powers of two: that makes no rounding error, and leaves well scaled columns alone. The row factors
then make the largest entry of each row 1.

Reference: D. Ruiz, A scaling algorithm to equilibrate both rows and columns norms in matrices, report RAL-TR-2001-034
(2001).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resolvent.typing import Array, Matrix

__all__ = ["equilibrate", "scaled"]


def equilibrate(A: Matrix, sweeps: int) -> tuple[Array, Array]:
    """Return row factors d and column factors e such that ``d[:, None] * A * e`` is equilibrated.

    Zero rows and columns keep the factor 1. Work: `sweeps` passes over the entries.

    Parameters
    ----------
    A : array or CSR matrix (m, n)
    sweeps : int
        0 returns ones.
    """
    rows, columns = np.ones(A.shape[0], A.dtype), np.ones(A.shape[1], A.dtype)
    if sweeps == 0:
        return rows, columns
    largest = _largest_of_csr(A) if hasattr(A, "indptr") else _largest_of_dense(A)
    for _ in range(sweeps):
        row_sizes, column_sizes = largest(rows, columns)
        rows, columns = rows / np.sqrt(row_sizes), columns / np.sqrt(column_sizes)
    columns = _power_of_two(columns)
    return rows / largest(rows, columns)[0], columns


def scaled(A: Matrix, rows: Array, columns: Array) -> Matrix:
    """Return ``rows[:, None] * A * columns`` as a new matrix; a CSR matrix shares its pattern with A."""
    if not hasattr(A, "indptr"):
        return rows[:, None] * A * columns
    data = A.data * np.repeat(rows, np.diff(A.indptr)) * columns[A.indices]
    return type(A)((data, A.indices, A.indptr), shape=A.shape)


def _largest_of_dense(A: Array) -> Callable[[Array, Array], tuple[Array, Array]]:
    """Return the function that gives the largest entries of rows and columns of the scaled matrix, 1 for zero ones."""
    entries = np.abs(A)

    def largest(rows: Array, columns: Array) -> tuple[Array, Array]:
        current = rows[:, None] * entries * columns
        return _or_one(current.max(axis=1, initial=0)), _or_one(current.max(axis=0, initial=0))

    return largest


def _largest_of_csr(A: Any) -> Callable[[Array, Array], tuple[Array, Array]]:
    entries, i, j = np.abs(A.data), np.repeat(np.arange(A.shape[0]), np.diff(A.indptr)), A.indices

    def largest(rows: Array, columns: Array) -> tuple[Array, Array]:
        current = rows[i] * entries * columns[j]
        row_sizes, column_sizes = np.zeros_like(rows), np.zeros_like(columns)
        np.maximum.at(row_sizes, i, current)
        np.maximum.at(column_sizes, j, current)
        return _or_one(row_sizes), _or_one(column_sizes)

    return largest


def _or_one(sizes: Array) -> Array:
    return np.where(sizes > 0, sizes, 1).astype(sizes.dtype)


def _power_of_two(factors: Array) -> Array:
    limits: Any = np.finfo(factors.dtype)
    exponent = np.clip(np.trunc(np.log2(factors)), limits.minexp // 4, limits.maxexp // 4)
    return np.ldexp(np.ones_like(factors), exponent.astype(np.int32))
