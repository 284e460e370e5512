"""Descent on forests with kinks and bounds.

The numbering is that of a packed partition, see `resolvent.kernels.reference.forests`: block after block, parents
before their children, a root its own parent.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.kernels.reference import forests
from resolvent.typing import Array

__all__ = ["tree_descent"]

ENOUGH = 0.1
SMALL_PIVOT = 1e-14


def tree_descent(
    above: Array, starts: Array, link: Array, diagonal: Array, bound: Array, pointers: Array, columns: Array,
    values: Array, q: Array, weight: Array, lower: Array, upper: Array, y: Array, work: Array,
) -> float:  # fmt: skip
    """Sweep over forests for y^T H y / 2 - q^T y + sum_i weight_i abs(y_i), lower <= y <= upper; return the fall.

    For each block a semismooth Newton step: with g the gradient and p = prox(y - g / bound), the coordinates for which
    p stands on a bound or a kink go there, the others to the minimiser of the quadratic with the signs of p, given the
    first, and then to the nearest point with these signs and within the bounds. Where that lowers the objective by less
    than a tenth of what the steps to p promise, the block goes to p.

    Parameters
    ----------
    above : array of uint32 (n,)
    starts : array of uint32 (K + 1,)
        Of the blocks.
    link, diagonal, bound : array (n,)
        Entries of H: with the parent (zero for roots), on the diagonal, and sums of absolute values within the block.
    pointers, columns, values : array (n + 1,), (m,), (m,)
        Entries of H between blocks, in CSR.
    q, weight, lower, upper : array (n,)
    y : array (n,)
        Within the bounds; changed.
    work : array (6, n) of float64
        Overwritten.

    Work: about four products with H.
    """
    fall, (g, _, pivot, p, new, _) = 0.0, work
    work[:2], pivot[:] = 0, diagonal
    for first, last in pairwise(int(s) for s in starts):
        b, at, w = slice(first, last), y.astype(np.float64), weight[first:last]
        _slopes(range(first, last), at, link, diagonal, above, (pointers, columns, values), g, q)
        over = 1 / bound[b].astype(np.float64)
        p[b] = _proximal(at[b] - g[b] * over, w * over, lower[b], upper[b])
        step = p[b] - at[b]
        promised = -float(step @ (g[b] + 0.5 * bound[b] * step) + w @ (abs(p[b]) - abs(at[b])))
        _newton(range(first, last), at, link, diagonal, above, weight, lower, upper, work)
        change = _change(range(first, last), at, link, diagonal, above, work) + w @ (abs(new[b]) - abs(at[b]))
        if not change <= -ENOUGH * promised:
            new[b] = p[b]
            change = _change(range(first, last), at, link, diagonal, above, work) + w @ (abs(new[b]) - abs(at[b]))
        if change < 0:
            fall -= change
            y[b] = new[b]
    return float(fall)


def _slopes(
    b: range, at: Array, link: Array, diagonal: Array, above: Array, between: tuple[Array, Array, Array], g: Array,
    q: Array,
) -> None:  # fmt: skip
    pointers, columns, values = between
    for k in reversed(b):
        row = slice(pointers[k], pointers[k + 1])
        g[above[k]] += link[k] * at[k]
        g[k] += diagonal[k] * at[k] + link[k] * at[above[k]] - q[k] + values[row].astype(np.float64) @ at[columns[row]]


def _newton(
    b: range, at: Array, link: Array, diagonal: Array, above: Array, weight: Array, lower: Array, upper: Array,
    work: Array,
) -> None:  # fmt: skip
    """Write the point of a Newton step on the coordinates that do not stand on bounds or kinks."""
    g, rhs, pivot, p, new, ratio = work
    for k in reversed(b):
        fixed = p[k] in (lower[k], upper[k]) or (p[k] == 0 and weight[k] > 0)
        if fixed or pivot[k] <= SMALL_PIVOT * diagonal[k]:
            new[k], ratio[k] = p[k] - at[k], 0
        else:
            new[k], ratio[k] = (rhs[k] - g[k] - np.copysign(weight[k], p[k])) / pivot[k], link[k] / pivot[k]
        pivot[above[k]] -= ratio[k] * link[k]
        rhs[above[k]] -= link[k] * new[k]
    for k in b:
        new[k] += at[k] - ratio[k] * rhs[above[k]]
        if weight[k] > 0 and new[k] * p[k] <= 0:
            new[k] = 0
        new[k] = p[k] if p[k] in (lower[k], upper[k]) else min(max(new[k], lower[k]), upper[k])
        rhs[k] = new[k] - at[k]


def _change(b: range, at: Array, link: Array, diagonal: Array, above: Array, work: Array) -> float:
    """Return how much the quadratic grows; write the step."""
    g, step, _, _, new, _ = work
    step[b.start : b.stop] = (new - at)[b.start : b.stop]
    return float(sum(step[k] * (g[k] + 0.5 * diagonal[k] * step[k] + link[k] * step[above[k]]) for k in b))


def _proximal(v: Array, t: Array, lower: Array, upper: Array) -> Array:
    found: Array = np.clip(v - np.clip(v, -t, t), lower, upper)
    return found


def _examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    examples = []
    for make in forests.EXAMPLES["pack_forests"](rng, dtype):
        data, indices, indptr, starts, order, _, *packed = make
        n = len(order)
        forests.pack_forests(*make)
        nodes, above, _, _, pointers, _, columns, values = packed
        H = (
            sp.csr_array((data, indices, indptr), shape=(n, n)).toarray()[np.ix_(nodes, nodes)]
            if n
            else np.zeros((0, 0))
        )
        roots = above == np.arange(n)
        link = np.where(roots, 0, H[np.arange(n), above]).astype(dtype)
        diagonal = H.diagonal().astype(dtype)
        bound = (diagonal + np.abs(link) + np.bincount(above, np.abs(link), n)[:n]).astype(dtype)
        q = (3 * rng.standard_normal(n)).astype(dtype)
        for weight, low, high in ((0.0, -np.inf, np.inf), (0.5, -np.inf, np.inf), (0.0, -0.5, 0.5), (0.3, 0.0, 2.0)):
            parts = [np.full(n, value, dtype) for value in (weight, low, high)]
            y = np.clip(rng.standard_normal(n), low, high).astype(dtype)
            matrix = (above, starts.astype(np.uint32), link, diagonal, bound, pointers, columns, values)
            examples.append((*matrix, q, *parts, y, np.zeros((6, n))))
    return examples


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], list[tuple[Any, ...]]]] = {"tree_descent": _examples}
