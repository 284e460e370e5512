"""Coordinate descent on a quadratic model, compiled. Meaning and shapes: `resolvent.kernels.reference.descent`."""

from __future__ import annotations

from typing import Any

import numpy as np

from resolvent.kernels.cpu.compiling import REORDERED, helper, kernel
from resolvent.kernels.cpu.prox import _bent_step, look
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

place, one = np.uintp, np.uintp(1)
"""An index without a sign: one with a sign is asked whether it counts from the end, which takes half the time."""

compiled = kernel(REORDERED)
inside = helper(REORDERED)


@inside
def _minimiser(x: Any, g: Any, h: Any, weight: Any, ridge: Any, lower: Any, upper: Any) -> Any:
    """Return the minimiser of g d + h d^2 / 2 + weight |x + d| + ridge (x + d)^2 / 2 over lower <= x + d <= upper."""
    u, h = h * x - g, h + ridge
    if h <= 0:
        return x
    v = (u - weight if u > weight else (u + weight if u < -weight else u * 0)) / h
    return min(max(v, lower), upper)


@compiled
def gram_answer(
    G: Array, diagonal: Array, x: Array, g: Array, c: Array, squares: float, weight: Array, ridge: Array, lower: Array,
    upper: Array, tolerance: float, accuracy: float, sweeps: int, rounds: int, scores: Array, found: Array,
) -> int:  # fmt: skip
    many, flat, each, alone = len(weight) > 1, len(ridge) > 1, len(lower) > 1, len(upper) > 1
    for made in range(rounds):
        t, left = 1.0, squares
        for j in range(len(x)):
            open_ = upper[j * alone] == np.inf if g[j] < 0 else lower[j * each] == -np.inf
            if open_ and ridge[j * flat] == 0 and t * abs(g[j]) > weight[j * many]:
                t = weight[j * many] / abs(g[j])
            left += x[j] * (g[j] - c[j])
        t = t * (1 - 1e-15) if t < 1 else 1.0
        look(x, g, diagonal, weight, ridge, lower, upper, t, scores, found)
        found[2] += 0.5 * (1 - t) * (1 - t) * max(left, 0.0)
        if found[2] <= tolerance:
            return made
        target = max(min(accuracy, 0.3 * np.sqrt(tolerance / found[2])), 1e-4) * found[0]
        for _ in range(sweeps):
            largest = 0.0
            for j in range(len(x)):
                if x[j] == 0 and scores[j] <= 0:
                    continue
                w, e, low, up = weight[j * many], ridge[j * flat], lower[j * each], upper[j * alone]
                u = _minimiser(x[j], g[j], diagonal[j], w, e, low, up)
                d = u - x[j]
                if d != 0:
                    x[j] = u
                    largest = max(largest, (diagonal[j] + e) * abs(d))
                    row = G[j]
                    for k in range(len(x)):
                        g[k] += d * row[k]
            if largest <= target:
                break
    return rounds


@compiled
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
    m, largest = len(x), 0.0
    for _ in range(sweeps):
        largest = 0.0
        for i in range(m):
            h = max(np.float64(H[i, i]), np.float64(bounds[i]))
            if h <= 0:
                continue
            d = _bent_step(np.float64(x[i]), np.float64(g[i]), h, kind, np.float64(weight[i]), gamma)
            if d != 0:
                x[i] += d
                row = H[i]
                for j in range(m):
                    g[j] += d * row[j]
                largest = max(largest, abs(d) * h)
        if largest <= tolerance:
            break
    change[0] = largest


@compiled
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
    m, largest = len(x), 0.0
    for _ in range(sweeps):
        largest = 0.0
        for i in range(m):
            row = H[i]
            h = row[i] + ridge[i]
            if h <= 0:
                continue
            u, w = row[i] * x[i] - g[i], weight[i]
            u = (u - min(max(u, -w), w)) / h
            u = min(max(u, lower[i]), upper[i])
            d = u - x[i]
            if d != 0:
                x[i] = u
                largest = max(largest, h * abs(d))
                for j in range(m):
                    g[j] += d * row[j]
        if largest <= tolerance:
            break
    change[0] = largest


@compiled
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
    n, whole = len(r), True
    for _ in range(sweeps):
        largest = 0.0
        for i in range(len(members)):
            if not whole and x[i] == 0:
                continue
            column = A[:, members[i]]
            g = x[i] * 0
            for k in range(n):
                g += column[k] * r[k]
            new = _minimiser(x[i], g, h[i], weight[i], ridge[i], lower[i], upper[i])
            d = new - x[i]
            if d != 0:
                x[i] = new
                for k in range(n):
                    r[k] += d * curvature[k] * column[k]
                largest = max(largest, abs(d) * (h[i] + ridge[i]))
        if whole:
            change[0] = largest
            if largest <= tolerance:
                break
        whole = largest <= tolerance


@compiled
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
    whole = True
    for _ in range(sweeps):
        largest = 0.0
        for i in range(len(members)):
            if not whole and x[i] == 0:
                continue
            first, last = place(indptr[members[i]]), place(indptr[members[i] + 1])
            g = x[i] * 0
            for k in range(first, last):
                g += data[k] * r[place(indices[k])]
            new = _minimiser(x[i], g, h[i], weight[i], ridge[i], lower[i], upper[i])
            d = new - x[i]
            if d != 0:
                x[i] = new
                for k in range(first, last):
                    row = place(indices[k])
                    r[row] += d * curvature[row] * data[k]
                largest = max(largest, abs(d) * (h[i] + ridge[i]))
        if whole:
            change[0] = largest
            if largest <= tolerance:
                break
        whole = largest <= tolerance


@compiled
def columns_gram(
    data: Array, indices: Array, indptr: Array, places: Array, starts: Array, positions: Array, values: Array,
    curvature: Array, first: int, m: int, H: Array,
) -> None:  # fmt: skip
    n, stride = len(starts) - 1, place(len(curvature) > 1)
    if starts[n] == 0:  # count the entries of rows, and fill these from behind
        for j in range(m):
            for k in range(place(indptr[places[j]]), place(indptr[places[j] + 1])):
                starts[place(indices[k])] += 1
        total = 0
        for i in range(n + 1):
            total += starts[i]
            starts[i] = total
        for j in range(m - 1, -1, -1):
            for k in range(place(indptr[places[j]]), place(indptr[places[j] + 1])):
                row = place(indices[k])
                starts[row] -= 1
                at = place(starts[row])
                positions[at], values[at] = j, data[k]
    for i in range(n):
        a, end = place(starts[i]), place(starts[i + 1])
        while end > a and positions[end - one] >= first:
            end -= one
            t, row = curvature[i * stride] * values[end], H[place(positions[end])]
            for q in range(a, end + one):
                row[place(positions[q])] += t * values[q]


@compiled
def correlate(
    data: Array, indices: Array, indptr: Array, places: Array, power: int, r: Array, out: Array
) -> None:  # fmt: skip
    stride = place(len(r) > 1)
    for j in range(len(places)):
        total = 0.0
        for k in range(place(indptr[places[j]]), place(indptr[places[j] + 1])):
            total += (data[k] if power == 1 else data[k] * data[k]) * r[place(indices[k]) * stride]
        out[j] = total


@compiled
def accumulate(data: Array, indices: Array, indptr: Array, places: Array, d: Array, z: Array) -> None:
    for j in range(len(places)):
        step = d[j]
        if step != 0:
            for k in range(place(indptr[places[j]]), place(indptr[places[j] + 1])):
                z[place(indices[k])] += step * data[k]


@compiled
def has_repeats(indices: Array, indptr: Array, seen: Array) -> bool:
    for j in range(len(indptr) - 1):
        for k in range(place(indptr[j]), place(indptr[j + 1])):
            row = place(indices[k])
            if seen[row] == j + 1:
                return True
            seen[row] = j + 1
    return False
