"""Coordinate descent on a quadratic model of f with a separable g: the meaning of the compiled twins.

The model over the coordinates of a block, at the point x::

    q(d) = g^T d + d^T H d / 2 + sum_i (weight_i |x_i + d_i| + ridge_i (x_i + d_i)^2 / 2),  lower <= x + d <= upper

A sweep minimises it in one coordinate after the other; coordinates without curvature stay. Sweeps end where the largest
change of a gradient, |d_i| (H_ii + ridge_i), is at most `tolerance`, or after so many. Sweeps by columns, where looking
at a coordinate costs as much as moving it, leave out those that are zero after the first one, until the others change
no more than that; then comes one over all again, which alone can end them.

H is given, or as A_b^T D A_b by columns of a matrix and the `curvature` D of the loss in each row; then r = derivative
of the loss + D A d is carried in the place of g.

Shapes: x, weight, ridge, lower, upper, h (diagonal of H), members (m,); H (m, m) or larger; A (n, p), r, curvature
(n,); a sparse A by columns: data, indices, indptr, of which the block has those at `places` (m,), D then (n,) or (1,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.kernels.reference.prox import HALF, MCP, SCAD, _bent_step, dual_scale, look
from resolvent.typing import Array

__all__ = [
    "accumulate",
    "bent_sweeps",
    "columns_gram",
    "correlate",
    "gram_answer",
    "has_repeats",
    "sweeps_dense",
    "sweeps_gram",
    "sweeps_sparse",
]


def gram_answer(
    G: Array, diagonal: Array, x: Array, g: Array, c: Array, squares: float, weight: Array, ridge: Array, lower: Array,
    upper: Array, tolerance: float, accuracy: float, sweeps: int, rounds: int, scores: Array, found: Array,
) -> int:  # fmt: skip
    """Sweep over all of least squares of given G = A^T W A until its gap meets the tolerance; return after how many
    rounds, `rounds` where it does not.

    A round begins with `look` at the largest multiple of -g that is dual, which leaves scores and found, with the gap
    of all in the place of that of the term: c = A^T W y and squares = y^T W y give the residual. Sweeps over what is
    not zero, or has a score, follow, until one changes no gradient by more than a part of the largest violation: the
    accuracy, or 0.3 sqrt(tolerance / gap). Terms have one number for all, or (p,). Work of a sweep: 10 flops a
    coordinate, 2 p more where one moves.
    """

    def move(j: int, d: float) -> None:
        g[:] += d * G[j]

    w, e, low, up = (np.broadcast_to(v, x.shape) for v in (weight, ridge, lower, upper))
    for made in range(rounds):
        t = min(dual_scale(-g, weight, ridge, lower, upper), 1.0)
        t = t * (1 - 1e-15) if t < 1 else 1.0
        look(x, g, diagonal, weight, ridge, lower, upper, t, scores, found)
        found[2] += 0.5 * (1 - t) ** 2 * max(squares + float(x @ (g - c)), 0.0)
        if found[2] <= tolerance:
            return made
        target = max(min(accuracy, 0.3 * np.sqrt(tolerance / found[2])), 1e-4) * found[0]
        h = np.where((x != 0) | (scores > 0), diagonal, -np.inf)
        _sweeps(lambda j: float(g[j]), move, h, x, (w, e, low, up), sweeps, target, False)
    return rounds


def bent_sweeps(
    H: Array,
    bounds: Array,
    g: Array,
    x: Array,
    kind: int,
    weight: Array,
    gamma: float,
    sweeps: int,
    tolerance: float,
    change: Array,
) -> None:
    """Sweep over a block of given H with a penalty that is not convex: kinds and formulas are those of `prox`.

    Each coordinate goes to its global minimiser, of the model with the larger one of H_ii and its bound. x, g and the
    largest change (1,) of the last sweep are updated. Work: as that of `sweeps_gram`.
    """
    m = len(x)
    for _ in range(sweeps):
        change[0] = 0
        for i in range(m):
            h = np.float64(max(H[i, i], bounds[i]))
            if h <= 0:
                continue
            at, slope, bend, w = (np.full(1, v, np.float64) for v in (x[i], g[i], h, weight[i]))
            d = float(_bent_step(at, slope, bend, kind, w, gamma)[0])
            if d != 0:
                x[i] += d
                g[:] += d * H[i, :m]
                change[0] = max(change[0], abs(d) * h)
        if change[0] <= tolerance:
            break


def sweeps_gram(
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
    """Sweep over a block of given H; x, the gradient g of the smooth part and the largest change are updated.

    Work: 10 flops a coordinate, 2 m more where one moves.
    """

    def move(i: int, d: float) -> None:
        g[:] += d * H[i, : len(g)]

    h, term = H.diagonal()[: len(x)], (weight, ridge, lower, upper)
    change[0] = _sweeps(lambda i: float(g[i]), move, h, x, term, sweeps, tolerance, False)


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
    change[0] = _sweeps(lambda i: float(A[:, members[i]] @ r), move, h, x, term, sweeps, tolerance, True)


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
    change[0] = _sweeps(
        lambda i: float(data[column(i)] @ r[indices[column(i)]]), move, h, x, term, sweeps, tolerance, True
    )


def _sweeps(
    gradient: Callable[[int], float],
    move: Callable[[int, float], None],
    h: Array,
    x: Array,
    term: tuple[Array, Array, Array, Array],
    sweeps: int,
    tolerance: float,
    shrink: bool,
) -> float:
    weight, ridge, lower, upper = term
    changed, whole = 0.0, True
    for _ in range(sweeps):
        largest = 0.0
        for i in range(len(x)):
            curvature = h[i] + ridge[i]
            if curvature <= 0 or (x[i] == 0 and shrink and not whole):
                continue
            u = h[i] * x[i] - gradient(i)
            new = np.clip(np.sign(u) * max(abs(u) - weight[i], 0) / curvature, lower[i], upper[i])
            d = new - x[i]
            if d != 0:
                x[i] = new
                move(i, d)
                largest = max(largest, float(abs(d) * curvature))
        changed = largest if whole or not shrink else changed
        if (whole or not shrink) and largest <= tolerance:
            break
        whole = largest <= tolerance
    return changed


def columns_gram(
    data: Array, indices: Array, indptr: Array, places: Array, starts: Array, positions: Array, values: Array,
    curvature: Array, first: int, m: int, H: Array,
) -> None:  # fmt: skip
    """Add rows of A_b^T D A_b to H, for m columns of a sparse A: those from the first one on, up to the diagonal.

    The columns are needed by rows too: starts (n + 1,), positions, values (entries,). Where starts are zeros, as before
    a first call, they are written. Work: for each entry, those of its row, half of them where first = 0.
    """
    block = _block(data, indices, indptr, places, len(starts) - 1)
    if starts[-1] == 0:
        rows = block.tocsr()
        starts[:], positions[:], values[:] = rows.indptr, rows.indices, rows.data
    block = block.toarray()
    found = (block * np.broadcast_to(curvature, len(block))[:, None]).T @ block
    H[first:m, :m] += np.tril(found)[first:]


def _block(data: Array, indices: Array, indptr: Array, places: Array, n: int) -> Any:
    return sp.csc_array((data, indices, indptr), shape=(n, len(indptr) - 1))[:, places]


def correlate(
    data: Array, indices: Array, indptr: Array, places: Array, power: int, r: Array, out: Array
) -> None:  # fmt: skip
    """Write A_b^T r, of the entries or of their squares for the power 2; r has one number for all rows, or (n,).

    Work: 2 flops an entry.
    """
    for i, j in enumerate(places):
        part = slice(indptr[j], indptr[j + 1])
        out[i] = (data[part] ** power * (r if len(r) == 1 else r[indices[part]])).sum()


def accumulate(data: Array, indices: Array, indptr: Array, places: Array, d: Array, z: Array) -> None:
    """Add A_b d to z. Work: 2 flops an entry of the columns with d not 0."""
    z += _block(data, indices, indptr, places, len(z)) @ d


def has_repeats(indices: Array, indptr: Array, seen: Array) -> bool:
    """Whether a column names a row twice. Work: one pass; `seen` (rows,) comes as zeros."""
    for j in range(len(indptr) - 1):
        for row in indices[indptr[j] : indptr[j + 1]]:
            if seen[row] == j + 1:
                return True
            seen[row] = j + 1
    return False


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


def _sweeps_gram(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for m, sweeps in ((0, 2), (1, 1), (8, 1), (12, 3)):
        A = rng.standard_normal((2 * m, m)).astype(dtype)
        term = [np.full(m, v, dtype) for v in (0.5, 0.1, -0.5, np.inf)]
        term[0][: m // 4] = 0
        g, x = rng.standard_normal(m).astype(dtype), np.zeros(m, dtype)
        made.append((np.pad(A.T @ A, (0, int(m > 1))), g, x, *term, sweeps, 1e-6, np.zeros(1, dtype)))
    return made


def _gram_answer(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    free, some, positive = (-np.inf, np.inf), (-0.2, 0.4), (0.0, 1.0)
    for n, p, tolerance, bounds in ((3, 0, 1, free), (3, 1, 1e-2, free), (30, 9, 1e-3, some), (40, 12, 1e-9, positive)):
        A, y = rng.standard_normal((n, p)), rng.standard_normal(n)
        A[:, p // 2 : p - 3] = 0
        G, c = (A.T @ A).astype(dtype), (A.T @ y).astype(dtype)
        for ridge, shape in ((0.0, 1), (0.3, p)):
            term = [np.full(shape, v) for v in (1.0, ridge, *bounds)]
            arrays = (G, G.diagonal().copy(), np.zeros(p, dtype), -c, c, float(y @ y), *term)
            made.append((*arrays, tolerance, 0.02, 2, 3, np.zeros(p, dtype), np.zeros(3, dtype)))
    return made


def _bent_sweeps(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for H, g, x, weight, *_ in _sweeps_gram(rng, dtype):
        for kind in (MCP, SCAD, HALF):
            made.append(
                (
                    H.copy(),
                    1.2 * H.diagonal()[: len(x)],
                    g.copy(),
                    x.copy(),
                    kind,
                    weight,
                    3.7,
                    1,
                    1e-9,
                    np.zeros(1, dtype),
                )
            )
    return made


def _sweeps_dense(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for A, members, term in _blocks(rng, dtype):
        curvature = rng.random(len(A)).astype(dtype)
        h = (curvature[:, None] * A[:, members] ** 2).sum(axis=0).astype(dtype)
        made.append(
            (A, members, curvature, rng.standard_normal(len(A)).astype(dtype), h, *term, 2, 1e-9, np.zeros(1, dtype))
        )
    return made


def _sweeps_sparse(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for A, *rest in _sweeps_dense(rng, dtype):
        columns = sp.csc_array(A)
        made.append((columns.data, columns.indices, columns.indptr, *rest))
    return made


def _sparse(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    """Return columns of sparse matrices, with their numbers of rows."""
    made = []
    for A, members, _ in _blocks(rng, dtype):
        columns = sp.csc_array(A)
        made.append(((columns.data, columns.indices, columns.indptr, members), len(A)))
    return made


def _columns_gram(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for columns, n in _sparse(rng, dtype):
        data, indices, indptr, places = columns
        m, first = len(places), len(places) // 3
        rows = _block(data, indices, indptr, places, n).tocsr()
        rows.sort_indices()
        by_rows = rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data
        for known in (by_rows, tuple(np.zeros_like(v) for v in by_rows)):
            for curvature in (rng.random(1), rng.random(n)):
                H = rng.random((m + 1, m + 1)).astype(dtype)
                made.append((*columns, *(v.copy() for v in known), curvature.astype(dtype), first, m, H))
    return made


def _correlate(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [
        (*columns, power, r.astype(dtype), np.zeros(len(columns[3]), dtype))
        for columns, n in _sparse(rng, dtype)
        for power, r in ((1, rng.standard_normal(n)), (2, rng.random(n)), (2, rng.random(1)))
    ]


def _accumulate(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for columns, n in _sparse(rng, dtype):
        d = rng.standard_normal(len(columns[3])) * (rng.random(len(columns[3])) < 0.7)
        made.append((*columns, d.astype(dtype), rng.standard_normal(n).astype(dtype)))
    return made


def _has_repeats(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    columns = [np.zeros(0, np.int64), np.array([2]), np.array([2, 0, 1]), np.array([1, 2, 1])]
    made = []
    for some in (columns[:1], columns[1:2], columns[:3], columns[3:], columns):
        starts = np.concatenate([[0], np.cumsum([len(c) for c in some])])
        made.append((np.concatenate(some), starts, np.zeros(3, np.int64)))
    return made


EXAMPLES: dict[str, Callable[..., Any]] = {
    "accumulate": _accumulate,
    "bent_sweeps": _bent_sweeps,
    "columns_gram": _columns_gram,
    "correlate": _correlate,
    "gram_answer": _gram_answer,
    "has_repeats": _has_repeats,
    "sweeps_dense": _sweeps_dense,
    "sweeps_gram": _sweeps_gram,
    "sweeps_sparse": _sweeps_sparse,
}
