"""Sums over the edges of a graph, f(x) = sum_ij w_ij phi(x_i - x_j), the meaning of the compiled twins.

A graph of n free and N - n fixed nodes is stored by the rows of its free nodes, free nodes first::

    weights, columns, pointers     CSR (n, N); an edge of two free nodes stands in both of their rows
    kind                           of phi: 0 quadratic t^2 / 2, 1 Huber, 2 s^2 log cosh(t / s)
    parameter                      where Huber's phi turns linear, or s
    X (N, k)                       the values of all nodes, for k right-hand sides

Each phi is even, phi'' <= 1, and phi''(0) = 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.typing import Array

__all__ = ["edge_curvature", "edge_gradient", "edge_value"]

QUADRATIC, HUBER, LOG_COSH = 0, 1, 2


def edge_value(weights: Array, columns: Array, pointers: Array, kind: int, parameter: float, X: Array) -> float:
    """Return f, each edge counted once, summed in float64. Work: one pass over the edges."""
    _, t = _differences(columns, pointers, X)
    once = np.where(columns < len(pointers) - 1, 0.5, 1.0) * weights
    if kind == HUBER:
        size = np.abs(t)
        values = np.where(size <= parameter, 0.5 * t**2, parameter * (size - 0.5 * parameter))
    elif kind == LOG_COSH:
        size = np.abs(t) / parameter
        near = np.log1p(2 * np.sinh(0.5 * np.minimum(size, 1)) ** 2)  # without cancellation
        far = size - np.log(2.0) + np.log1p(np.exp(-2 * size))  # without overflow
        values = parameter**2 * np.where(size < 1, near, far)
    else:
        values = 0.5 * t**2
    return float((once[:, None] * values).sum())


def edge_gradient(
    weights: Array, columns: Array, pointers: Array, kind: int, parameter: float, rows: Array, X: Array, out: Array
) -> None:
    """Write the gradient of f at the nodes `rows` into the same rows of `out` (n, k). Work: their edges."""
    all_rows, t = _differences(columns, pointers, X)
    if kind == HUBER:
        slopes = np.clip(t, -parameter, parameter)
    elif kind == LOG_COSH:
        slopes = parameter * np.tanh(t / parameter)
    else:
        slopes = t
    whole = np.zeros((len(pointers) - 1, X.shape[1]))
    np.add.at(whole, all_rows, weights[:, None] * slopes)
    out[rows] = whole[rows]


def edge_curvature(
    weights: Array, columns: Array, pointers: Array, kind: int, parameter: float, rows: Array, slots: Array,
    diagonal: Array, X: Array, column: int, data: Array,
) -> None:  # fmt: skip
    """Write the Hessian of f in the rows `rows`, for one right-hand side, into `data` (of a CSR matrix n x n).

    `slots` (like `columns`) says where each edge goes in `data`, -1 for one to a fixed node; `diagonal` (n,) where the
    diagonal entries stand. Work: the edges of `rows`.
    """
    all_rows, t = _differences(columns, pointers, X[:, column : column + 1])
    if kind == HUBER:
        curvature = (np.abs(t) <= parameter).astype(np.float64)
    elif kind == LOG_COSH:
        curvature = 1 - np.tanh(t / parameter) ** 2
    else:
        curvature = np.ones_like(t)
    entries = weights * curvature[:, 0]
    whole = np.bincount(all_rows, entries, len(pointers) - 1)
    inside = (slots >= 0) & np.isin(all_rows, rows)
    data[slots[inside]] = -entries[inside]
    data[diagonal[rows]] = whole[rows]


def _differences(columns: Array, pointers: Array, X: Array) -> tuple[Array, Array]:
    """Return the row of each edge, and x_i - x_j in float64."""
    rows = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    wide = X.astype(np.float64)
    return rows, wide[rows] - wide[columns]


def _graph(rng: np.random.Generator, dtype: Any, n: int, fixed: int) -> tuple[Array, Array, Array]:
    total = n + fixed
    W = np.triu(rng.integers(1, 9, (total, total)) * (rng.random((total, total)) < 0.4), 1) / 8
    W = sp.csr_array((W + W.T)[:n].astype(dtype))
    return W.data, W.indices.astype(np.int32), W.indptr.astype(np.int32)


SIZES = ((0, 0, 1), (1, 1, 1), (8, 3, 1), (8, 3, 2))
KINDS = ((QUADRATIC, 0.0), (HUBER, 0.5), (LOG_COSH, 0.5))


def _examples(rng: np.random.Generator, dtype: Any, make: Callable[..., tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    examples = [(np.ones(1, dtype), np.ones(1, np.int32), np.array([0, 1], np.int32), *make(1, 1, 1, KINDS[1]))]
    for n, fixed, k in SIZES:
        graph = _graph(rng, dtype, n, fixed)
        examples += [(*graph, *make(n, fixed, k, kind, graph)) for kind in KINDS]
    return examples


def _value_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return _examples(rng, dtype, lambda n, fixed, k, kind, g=None: (*kind, _points(rng, dtype, n + fixed, k)))


def _points(rng: np.random.Generator, dtype: Any, n: int, k: int) -> Array:
    return (rng.integers(-16, 17, (n, k)) / 16).astype(dtype)


def _gradient_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    def make(n: int, fixed: int, k: int, kind: tuple[int, float], graph: Any = None) -> tuple[Any, ...]:
        rows = np.arange(0, n, 2, dtype=np.int32)
        return (*kind, rows, _points(rng, dtype, n + fixed, k), np.zeros((n, k), dtype))

    return _examples(rng, dtype, make)


def _curvature_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    def make(n: int, fixed: int, k: int, kind: tuple[int, float], graph: Any = None) -> tuple[Any, ...]:
        columns = np.ones(1, np.int32) if graph is None else graph[1]
        inside = columns < n
        slots = np.where(inside, n + np.cumsum(inside) - 1, -1).astype(np.int32)
        rows, diagonal = np.arange(0, n, 2, dtype=np.int32), np.arange(n, dtype=np.int32)
        data = np.zeros(n + int(inside.sum()), dtype)
        return (*kind, rows, slots, diagonal, _points(rng, dtype, n + fixed, k), k - 1, data)

    return _examples(rng, dtype, make)


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], list[tuple[Any, ...]]]] = {
    "edge_curvature": _curvature_examples,
    "edge_gradient": _gradient_examples,
    "edge_value": _value_examples,
}
