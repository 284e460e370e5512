"""Coordinate descent on a quadratic model of f with a separable g: the meaning of the compiled twins.

The model over the coordinates of a block, at the point x::

    q(d) = g^T d + d^T H d / 2 + sum_i (weight_i |x_i + d_i| + ridge_i (x_i + d_i)^2 / 2),  lower <= x + d <= upper

A sweep minimises it in one coordinate after the other; coordinates without curvature stay. Sweeps end where the largest
change of a gradient, |d_i| (H_ii + ridge_i), is at most `tolerance`, or after so many. H is given, or as A_b^T D A_b
by columns of a matrix and the `curvature` D of the loss in each row; then r = derivative of the loss + D A d is carried
in the place of g.

Shapes: x, weight, ridge, lower, upper, h (diagonal of H), members (m,); H (m, m); A (n, p), r, curvature (n,); a sparse
A by columns: data, indices, indptr. A block by rows: starts (n + 1,), positions in the block and values (entries,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.typing import Array

__all__ = ["columns_gram", "gram_sweeps", "rows_of", "sweeps_dense", "sweeps_sparse"]


def gram_sweeps(
    H: Array,
    g: Array,
    x: Array,
    weight: Array,
    ridge: Array,
    lower: Array,
    upper: Array,
    sweeps: int,
    tolerance: float,
    change: Array,
) -> None:
    """Sweep over a block of given H; x and g, the gradient of the smooth part, are updated.

    The largest change of the last sweep is written into change (1,). Work: 10 flops, 2 m more where one moves.
    """

    def move(i: int, d: float) -> None:
        g[:] += d * H[i]

    change[0] = _sweeps(lambda i: float(g[i]), move, H.diagonal(), x, (weight, ridge, lower, upper), sweeps, tolerance)


def sweeps_dense(
    A: Array,
    members: Array,
    curvature: Array,
    r: Array,
    h: Array,
    x: Array,
    weight: Array,
    ridge: Array,
    lower: Array,
    upper: Array,
    sweeps: int,
    tolerance: float,
    change: Array,
) -> None:
    """Sweep over columns of a dense A, Fortran order; x and r are updated. Work: 2 n flops, 3 n more where it moves."""

    def move(i: int, d: float) -> None:
        r[:] += d * curvature * A[:, members[i]]

    term = weight, ridge, lower, upper
    change[0] = _sweeps(lambda i: float(A[:, members[i]] @ r), move, h, x, term, sweeps, tolerance)


def sweeps_sparse(
    data: Array,
    indices: Array,
    indptr: Array,
    members: Array,
    curvature: Array,
    r: Array,
    h: Array,
    x: Array,
    weight: Array,
    ridge: Array,
    lower: Array,
    upper: Array,
    sweeps: int,
    tolerance: float,
    change: Array,
) -> None:
    """As `sweeps_dense`, for the columns of a sparse A. Work: as there, with the entries of a column for n."""

    def column(i: int) -> slice:
        return slice(indptr[members[i]], indptr[members[i] + 1])

    def move(i: int, d: float) -> None:
        rows = indices[column(i)]
        r[rows] += d * curvature[rows] * data[column(i)]

    term = weight, ridge, lower, upper
    change[0] = _sweeps(lambda i: float(data[column(i)] @ r[indices[column(i)]]), move, h, x, term, sweeps, tolerance)


def _sweeps(
    gradient: Callable[[int], float],
    move: Callable[[int, float], None],
    h: Array,
    x: Array,
    term: tuple[Array, Array, Array, Array],
    sweeps: int,
    tolerance: float,
) -> float:
    weight, ridge, lower, upper = term
    largest = 0.0
    for _ in range(sweeps):
        largest = 0.0
        for i in range(len(x)):
            whole = h[i] + ridge[i]
            if whole <= 0:
                continue
            u = h[i] * x[i] - gradient(i)
            new = np.clip(np.sign(u) * max(abs(u) - weight[i], 0) / whole, lower[i], upper[i])
            d = new - x[i]
            if d != 0:
                x[i] = new
                move(i, d)
                largest = max(largest, float(abs(d) * whole))
        if largest <= tolerance:
            break
    return largest


def rows_of(
    data: Array, indices: Array, indptr: Array, members: Array, starts: Array, positions: Array, values: Array
) -> None:
    """Write the columns `members` of a sparse matrix by rows. Work: 2 passes over their entries."""
    block = sp.csc_array((data, indices, indptr), shape=(len(starts) - 1, len(indptr) - 1))[:, members].tocsr()
    block.sort_indices()
    starts[:], positions[:], values[:] = block.indptr, block.indices, block.data


def columns_gram(values: Array, positions: Array, starts: Array, curvature: Array, first: int, H: Array) -> None:
    """Write A_b^T D A_b into H, for a block by rows; entries of the first rows and columns stay.

    Work: the sum of the squares of the entries in each row.
    """
    m = len(H)
    block = sp.csr_array((values, positions, starts), shape=(len(starts) - 1, m)).toarray()
    found = (block * curvature[:, None]).T @ block
    H[first:], H[:, first:] = found[first:], found[:, first:]


# ---- examples


def _blocks(rng: np.random.Generator, dtype: Any) -> list[tuple[Array, Array, tuple[Array, ...]]]:
    """Return matrices with a few columns, members of a block, and x with the arrays of its term."""
    made = []
    for n, p, m in ((0, 3, 0), (5, 3, 0), (1, 1, 1), (20, 8, 5), (6, 12, 9)):
        A = (rng.standard_normal((n, p)) * (rng.random((n, p)) < (0.6 if n > 1 else 2))).astype(dtype)
        members = rng.permutation(p)[:m]
        term = [rng.standard_normal(m), rng.random(m), rng.random(m), np.full(m, -0.5), np.full(m, np.inf)]
        made.append((np.asfortranarray(A), members, tuple(v.astype(dtype) for v in term)))
    return made


def _gram_sweeps(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for A, members, term in _blocks(rng, dtype):
        block = A[:, members]
        made.append(
            (block.T @ block, rng.standard_normal(len(members)).astype(dtype), *term, 3, 1e-9, np.zeros(1, dtype))
        )
    return made


def _sweeps_dense(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for A, members, term in _blocks(rng, dtype):
        curvature = rng.random(len(A)).astype(dtype)
        h = (curvature[:, None] * A[:, members] ** 2).sum(axis=0).astype(dtype)
        made.append(
            (A, members, curvature, rng.standard_normal(len(A)).astype(dtype), h, *term, 3, 1e-9, np.zeros(1, dtype))
        )
    return made


def _sweeps_sparse(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for A, *rest in _sweeps_dense(rng, dtype):
        columns = sp.csc_array(A)
        made.append((columns.data, columns.indices, columns.indptr, *rest))
    return made


def _rows_of(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for A, members, _ in _blocks(rng, dtype):
        columns, entries = sp.csc_array(A), int(np.count_nonzero(A[:, members]))
        room = np.zeros(len(A) + 1, np.int64), np.zeros(entries, np.int32), np.zeros(entries, dtype)
        made.append((columns.data, columns.indices, columns.indptr, members, *room))
    return made


def _columns_gram(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for A, members, _ in _blocks(rng, dtype):
        rows, m = sp.csr_array(A[:, members]), len(members)
        curvature = rng.random(len(A)).astype(dtype)
        starts = rows.indptr.astype(np.int64)
        made.append((rows.data, rows.indices, starts, curvature, m // 3, np.zeros((m, m), dtype)))
    return made


EXAMPLES: dict[str, Callable[..., Any]] = {
    "columns_gram": _columns_gram,
    "gram_sweeps": _gram_sweeps,
    "rows_of": _rows_of,
    "sweeps_dense": _sweeps_dense,
    "sweeps_sparse": _sweeps_sparse,
}
