"""Descent on forests with kinks and bounds, compiled. Meaning and shapes: `resolvent.kernels.reference.trees`."""

from __future__ import annotations

from math import copysign

import numpy as np

from resolvent.kernels.cpu.compiling import IN_ORDER, kernel
from resolvent.typing import Array

__all__ = ["tree_descent"]

compiled = kernel(IN_ORDER)

ENOUGH = 0.1
SMALL_PIVOT = 1e-14


@compiled
def tree_descent(
    above: Array, starts: Array, link: Array, diagonal: Array, bound: Array, pointers: Array, columns: Array,
    values: Array, q: Array, weight: Array, lower: Array, upper: Array, y: Array, work: Array,
) -> float:  # fmt: skip
    fall, one = 0.0, np.uint64(1)
    g, rhs, pivot, p, z, ratio = work[0], work[1], work[2], work[3], work[4], work[5]
    for k in range(y.shape[0]):
        g[k], rhs[k], pivot[k] = 0.0, 0.0, diagonal[k]
    for block in range(starts.shape[0] - 1):
        first, last = np.uint64(starts[block]), np.uint64(starts[block + 1])
        promised, back = 0.0, last
        while back > first:  # selections in place of branches, which cannot be foreseen
            back -= one
            up, entry, at, w = above[back], np.float64(link[back]), np.float64(y[back]), weight[back]
            slope = g[back] + diagonal[back] * at + entry * y[up] - q[back]
            for j in range(pointers[back], pointers[back + one]):
                slope += np.float64(values[j]) * y[columns[j]]
            g[up] += entry * at
            g[back] = slope
            over = 1 / bound[back]
            v, t, low, high = at - slope * over, w * over, lower[back], upper[back]
            end = min(max(v - min(max(v, -t), t), low), high)
            step = end - at
            promised -= step * (slope + 0.5 * bound[back] * step) + w * (abs(end) - abs(at))
            fixed = (
                (end == low) | (end == high) | ((end == 0) & (w > 0)) | (pivot[back] <= SMALL_PIVOT * diagonal[back])
            )
            free = 1.0 - np.float64(fixed)
            inverse = free / (pivot[back] + (1.0 - free))
            d = (rhs[back] - slope - copysign(w, end)) * inverse + (1.0 - free) * step
            p[back], z[back], ratio[back] = end, free * (at + d) + (1.0 - free) * end, entry * inverse
            pivot[up] -= ratio[back] * entry
            rhs[up] -= entry * d
        change = 0.0
        for k in range(first, last):
            at, w = np.float64(y[k]), weight[k]
            new = z[k] - ratio[k] * rhs[above[k]]
            new *= np.float64((w == 0) | (new * p[k] > 0))
            new = min(max(new, lower[k]), upper[k])
            step = new - at
            rhs[k], z[k] = step, new
            slope = g[k] + 0.5 * diagonal[k] * step + link[k] * rhs[above[k]]
            change += step * slope + w * (abs(new) - abs(at))
        if not change <= -ENOUGH * promised:
            change = 0.0
            for k in range(first, last):
                z[k], step = p[k], p[k] - np.float64(y[k])
                rhs[k] = step
                slope = g[k] + 0.5 * diagonal[k] * step + link[k] * rhs[above[k]]
                change += step * slope + weight[k] * (abs(p[k]) - abs(y[k]))
        if change < 0:
            fall -= change
            for k in range(first, last):
                y[k] = z[k]
    return fall
