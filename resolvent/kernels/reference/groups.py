"""Block coordinate descent on a quadratic model of f with a g of groups: the meaning of the compiled twins.

The model over the coordinates of a working set, at the point x::

    q(d) = g^T d + d^T (I x H) d / 2 + sum_u norms_u norm2(x_u + d_u)
           + sum_i (weight_i |x_i + d_i| + ridge_i (x_i + d_i)^2 / 2),     lower <= x + d <= upper

Unit u has the coordinates ``pointers[u]:pointers[u + 1]``. H is (m, m), the same for k responses, and g that of all
coordinates of these, one response after the other, (k m,); coordinate i has place ``places[i]`` there. Units of more
than one coordinate have no ridge and no bounds, and one weight; the `widest` has that many coordinates.

A sweep minimises the model in one unit after the other. The block of H that belongs to a unit comes as its eigenvalues,
`values`, and eigenvectors in the columns of the matrix at ``bases[starts[u]:]``, by rows; a negative start says that
the block is diagonal. Bases are None where no unit has more than one coordinate, and `both` is None where none of these
has a weight: compiled kernels are then shorter. With c = V^T (H x - g), the minimiser of a unit without weight is zero
where norm2(c) <= norms_u, and else V u with u_i = c_i t / (values_i t + norms_u), where its norm t solves

    sum_i (c_i / (values_i t + norms_u))^2 = 1.

The inverse of the norm is a concave function of t, so that Newton's method on it from t = 0 rises to the root. With a
weight, proximal gradient steps inside the unit come near.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.typing import Array

__all__ = ["sweeps_rows", "sweeps_sparse"]

SECULAR = 50
"""Newton steps for the norm of a unit; five are usual."""
LOCAL = 20
"""Proximal gradient steps inside a unit that has a weight."""


def sweeps_rows(
    rows: Array, known: bool, curvature: Array, r: Array, x: Array, pointers: Array, positions: Array, responses: Array,
    norms: Array, weight: Array, ridge: Array, lower: Array, upper: Array, values: Array, bases: Array | None,
    starts: Array, both: bool | None, sweeps: int, tolerance: float, widest: int, change: Array,
) -> None:  # fmt: skip
    """Sweep over the units until the largest change of a gradient is at most `tolerance`, or so many times.

    The first sweep is over all units, and so is one after a sweep of no larger change; the others leave out units that
    are zero. x and r are updated; the largest change of the last sweep over all is written into change (1,).

    With `known`, the rows are those of H, and r is the gradient of the smooth part. Else they are the columns of a
    dense A with H = A^T diag(curvature) A, and r has the derivatives of the model in the predictions. It has one part
    for each response; coordinate i stands for row positions[i] in that of responses[i]. A curvature of one entry is
    that of all samples; `known` takes one of 1. Work: 4 s^2 flops for a unit of s coordinates, 2 s m more where it
    moves; by columns 2 n s, and 3 n s more where it moves.
    """
    n = rows.shape[1]

    def gradient(chosen: Array) -> Array:
        parts = [(positions[i], r[responses[i] * n : (responses[i] + 1) * n]) for i in chosen]
        return np.array([part[j] if known else rows[j] @ part for j, part in parts])

    def move(chosen: Array, d: Array) -> None:
        for i, by in zip(chosen, d, strict=True):
            r[responses[i] * n : (responses[i] + 1) * n] += by * curvature * rows[positions[i]]

    term = norms, weight, ridge, lower, upper, values, bases, starts
    change[0] = _sweeps(gradient, move, x, pointers, term, sweeps, tolerance)


def sweeps_sparse(
    data: Array, indices: Array, indptr: Array, n: int, curvature: Array, r: Array, x: Array, pointers: Array,
    positions: Array, responses: Array, norms: Array, weight: Array, ridge: Array, lower: Array, upper: Array,
    values: Array, bases: Array | None, starts: Array, both: bool | None, sweeps: int, tolerance: float, widest: int,
    change: Array,
) -> None:  # fmt: skip
    """As `sweeps_rows`, for a sparse A of n rows by columns. Work: as there, with the entries of a column for n."""
    A = sp.csc_array((data, indices, indptr), shape=(n, len(indptr) - 1)).toarray()
    tail = (norms, weight, ridge, lower, upper, values, bases, starts, both, sweeps, tolerance, widest, change)
    sweeps_rows(A.T, False, curvature, r, x, pointers, positions, responses, *tail)


def _sweeps(
    gradient: Callable[[Array], Array],
    move: Callable[[Array, Array], None],
    x: Array,
    pointers: Array,
    term: tuple[Any, ...],
    sweeps: int,
    tolerance: float,
) -> float:
    norms, weight, ridge, lower, upper, values, bases, starts = term
    largest = found = 0.0
    for sweep in range(sweeps):
        whole, largest = sweep == 0 or largest <= tolerance, 0.0
        for u in range(len(norms)):
            b = slice(pointers[u], pointers[u + 1])
            at, lam, s = np.arange(len(x))[b], values[b].astype(np.float64), pointers[u + 1] - pointers[u]
            if not whole and not x[at].any():
                continue
            full = bases is not None and starts[u] >= 0
            V = bases[starts[u] : starts[u] + s * s].reshape(s, s) if full else np.eye(s)
            own = weight[b], ridge[b], lower[b], upper[b]
            new = _minimiser(x[at].astype(np.float64), gradient(at).astype(np.float64), lam, V, float(norms[u]), own)
            d = new.astype(x.dtype) - x[at]
            if d.any():
                x[at] = new
                move(at, d)
                top = float((lam + ridge[b])[d != 0].max())
                largest = max(largest, float(np.linalg.norm(d.astype(np.float64))) * top)
        if whole:
            found = largest
            if largest <= tolerance:
                break
    return found


def _minimiser(x: Array, g: Array, values: Array, V: Array, norm: float, term: tuple[Array, ...]) -> Array:
    weight, ridge, lower, upper = term
    if len(x) == 1:
        whole = values + ridge
        u = values * x - g
        v = np.sign(u) * np.maximum(np.abs(u) - weight, 0) / np.where(whole > 0, whole, 1)
        return np.where(whole > 0, np.clip(v, lower, upper), x)
    if not x.any() and np.linalg.norm(g) <= norm:
        return x
    if weight[0] > 0:
        return _proximal_steps(x, g, values, V, norm, float(weight[0]))
    c = values * (V.T @ x) - V.T @ g
    if np.linalg.norm(c) <= norm:
        return np.zeros_like(x)
    t = 0.0
    for _ in range(SECULAR):
        a = c / (values * t + norm)
        slope = float((a * a * values / (values * t + norm)).sum())
        if slope <= 0:
            break
        step = (float(np.linalg.norm(a)) - 1) * float(a @ a) / slope
        t += step
        if not step > 1e-15 * t:
            break
    found: Array = V @ (c * t / (values * t + norm))
    return found


def _proximal_steps(x: Array, g: Array, values: Array, V: Array, norm: float, weight: float) -> Array:
    L, far = float(values.max()), 0.0
    if L <= 0:
        return x
    for _ in range(LOCAL):
        v = x - g / L
        v = np.sign(v) * np.maximum(np.abs(v) - weight / L, 0)
        size = float(np.linalg.norm(v))
        d = v * (max(1 - norm / (L * size), 0) if size > 0 else 0) - x
        x = x + d
        far = max(far, float(d @ d))
        if d @ d <= 1e-4 * far:
            break
        g = g + V @ (values * (V.T @ d))
    return x


# ---- examples


def _units(rng: np.random.Generator, p: int, most: int) -> Array:
    """Return pointers of consecutive units of one to `most` of p coordinates."""
    ends = [0]
    while ends[-1] < p:
        ends.append(min(ends[-1] + int(rng.integers(1, most + 1)), p))
    return np.array(ends)


def _models(rng: np.random.Generator, dtype: Any) -> list[tuple[Array, ...]]:
    """Return dense A with x, pointers, positions, responses, and the arrays of the term."""
    made: list[tuple[Array, ...]] = []
    for n, m, most, l1 in ((3, 0, 1, 0.0), (1, 1, 1, 0.3), (20, 8, 3, 0.0), (6, 12, 4, 0.0), (20, 9, 3, 0.2)):
        A = rng.standard_normal((n, m)) * (rng.random((n, m)) < (0.8 if n > 1 else 2))
        pointers, H = _units(rng, m, most), A.T @ A
        sizes = np.diff(pointers)
        values, bases, starts = np.zeros(m), [np.zeros(0)], np.full(len(sizes), -1)
        for u in range(len(sizes)):
            b = slice(pointers[u], pointers[u + 1])
            values[b], V = np.linalg.eigh(H[b, b])
            starts[u] = sum(map(len, bases))
            bases.append(V.ravel())
        single = np.repeat(sizes == 1, sizes)
        made.append((
            A, rng.standard_normal(m), pointers, np.arange(m), np.zeros(m, np.int64), rng.random(len(sizes)) + 0.1,
            np.where(single, 0.2, l1), np.where(single, 0.5, 0), np.where(single, -0.4, -np.inf), np.full(m, np.inf),
            np.maximum(values, 0), np.concatenate(bases), starts,
        ))  # fmt: skip
    A = rng.standard_normal((5, 3))  # rows of three for two responses
    flat = (np.zeros(6), np.zeros(6), np.full(6, -np.inf), np.full(6, np.inf), np.repeat((A * A).sum(axis=0), 2))
    rows = np.arange(0, 7, 2), np.repeat(np.arange(3), 2), np.tile(np.arange(2), 3), np.full(3, 0.4)
    made.append((A, rng.standard_normal(6), *rows, *flat, np.zeros(0), np.full(3, -1)))
    return [tuple(a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays) for arrays in made]


def _with_bases(pointers: Array, term: list[Array]) -> list[Any]:
    """Return the term with None where no unit has more than one coordinate, or none of these a weight."""
    wide = np.repeat(np.diff(pointers) > 1, np.diff(pointers))
    return [*term[:6], term[6] if wide.any() else None, term[7], True if term[1][wide].any() else None]


def _columns(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for at, (A, x, pointers, positions, responses, *term) in enumerate(_models(rng, dtype)):
        r = rng.standard_normal(len(A) * (responses.max(initial=0) + 1)).astype(dtype)
        curvature = (np.ones(1) if at % 2 else rng.random(len(A))).astype(dtype)
        tail = (x, pointers, positions, responses, *_with_bases(pointers, term), 2, 1e-9, 4, np.zeros(1, dtype))
        made.append((A, curvature, r, *tail))
    return made


def _sweeps_rows(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = [(np.ascontiguousarray(A.T), False, *rest) for A, *rest in _columns(rng, dtype)]
    for A, x, pointers, positions, responses, *term in _models(rng, dtype):
        g = rng.standard_normal(len(x)).astype(dtype)
        tail = (pointers, positions, responses, *_with_bases(pointers, term), 2, 1e-9, 4, np.zeros(1, dtype))
        made.append((A.T @ A, True, np.ones(1, dtype), g, x, *tail))
    return made


def _sweeps_sparse(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for A, *rest in _columns(rng, dtype):
        columns = sp.csc_array(A)
        made.append((columns.data, columns.indices, columns.indptr, len(A), *rest))
    return made


EXAMPLES: dict[str, Callable[..., Any]] = {
    "sweeps_rows": _sweeps_rows,
    "sweeps_sparse": _sweeps_sparse,
}
