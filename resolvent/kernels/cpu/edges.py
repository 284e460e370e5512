"""Sums over the edges of a graph, compiled. Meaning and shapes: `resolvent.kernels.reference.edges`."""

from __future__ import annotations

from math import exp, log, log1p, sinh, tanh

import numpy as np

from resolvent.kernels.cpu.compiling import IN_ORDER, helper, kernel
from resolvent.typing import Array

__all__ = ["edge_curvature", "edge_gradient", "edge_value"]

compiled = kernel(IN_ORDER)
inside = helper(IN_ORDER)

HUBER, LOG_COSH = 1, 2
LOG_2 = log(2.0)


@inside
def _value(t: float, kind: int, s: float) -> float:
    size = abs(t)
    if kind == HUBER:
        return 0.5 * t * t if size <= s else s * (size - 0.5 * s)
    if kind == LOG_COSH:
        u = size / s
        return s * s * (log1p(2 * sinh(0.5 * u) ** 2) if u < 1 else u - LOG_2 + log1p(exp(-2 * u)))
    return 0.5 * t * t


@inside
def _slope(t: float, kind: int, s: float) -> float:
    if kind == HUBER:
        return min(max(t, -s), s)
    return s * tanh(t / s) if kind == LOG_COSH else t


@inside
def _curvature(t: float, kind: int, s: float) -> float:
    if kind == HUBER:
        return 1.0 if abs(t) <= s else 0.0
    if kind == LOG_COSH:
        slope = tanh(t / s)
        return 1 - slope * slope
    return 1.0


@compiled
def edge_value(weights: Array, columns: Array, pointers: Array, kind: int, parameter: float, X: Array) -> float:
    n, total = pointers.shape[0] - 1, 0.0
    for i in range(n):
        for j in range(pointers[i], pointers[i + 1]):
            other = columns[j]
            once = (0.5 if other < n else 1.0) * weights[j]
            for c in range(X.shape[1]):
                total += once * _value(np.float64(X[i, c]) - np.float64(X[other, c]), kind, parameter)
    return total


@compiled
def edge_gradient(
    weights: Array, columns: Array, pointers: Array, kind: int, parameter: float, rows: Array, X: Array, out: Array
) -> None:
    for k in range(rows.shape[0]):
        i = rows[k]
        for c in range(X.shape[1]):
            total, own = 0.0, np.float64(X[i, c])
            for j in range(pointers[i], pointers[i + 1]):
                total += weights[j] * _slope(own - np.float64(X[columns[j], c]), kind, parameter)
            out[i, c] = total


@compiled
def edge_curvature(
    weights: Array, columns: Array, pointers: Array, kind: int, parameter: float, rows: Array, slots: Array,
    diagonal: Array, X: Array, column: int, data: Array,
) -> None:  # fmt: skip
    for k in range(rows.shape[0]):
        i = rows[k]
        total, own = 0.0, np.float64(X[i, column])
        for j in range(pointers[i], pointers[i + 1]):
            entry = weights[j] * _curvature(own - np.float64(X[columns[j], column]), kind, parameter)
            total += entry
            if slots[j] >= 0:
                data[slots[j]] = -entry
        data[diagonal[i]] = total
