"""Block coordinate descent over groups, compiled. Meaning and shapes: `resolvent.kernels.reference.groups`."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from resolvent.kernels.cpu.compiling import REORDERED, helper, kernel
from resolvent.kernels.cpu.descent import place
from resolvent.typing import Array

__all__ = ["sweeps_rows", "sweeps_sparse"]

compiled = kernel(REORDERED)
inside = helper()  # no fastmath where it gains nothing: it compiles slower

SECULAR = 50
LOCAL = 20


@inside
def _soft(u: float, w: float) -> float:
    return u - w if u > w else (u + w if u < -w else 0.0)


@inside
def _along(bases: Array, start: int, s: int, i: int, room: Array, at: int) -> Any:
    """Return the entry i of V^T v, V at `start`, v at `at` of the room; of v where that is negative."""
    if start < 0:
        return room[at + i]
    total = 0.0
    for q in range(s):
        total += bases[start + q * s + i] * room[at + q]
    return total


@inside
def _add(bases: Array, start: int, s: int, i: int, by: float, room: Array, at: int) -> None:
    """Add `by` times column i of V to what is at `at` of the room."""
    if start < 0:
        room[at + i] += by
        return
    for q in range(s):
        room[at + q] += by * bases[start + q * s + i]


@inside
def _group(room: Array, s: int, values: Array, first: int, bases: Array, start: int, w: float) -> None:
    """Write the minimiser of g d + d^T H d / 2 + w norm(x + d), H = V diag(values) V^T with V at `start`.

    The room has x, g, the minimiser, and c, of s entries each. The t with sum_i (c_i / (values_i t + w))^2 = 1 comes by
    Newton's method on the concave root, from 0.
    """
    x, g, new, c, square, t = 0 * s, s, 2 * s, 3 * s, 0.0, 0.0
    for i in range(s):
        room[c + i] = values[first + i] * _along(bases, start, s, i, room, x) - _along(bases, start, s, i, room, g)
        room[new + i] = 0
        square += room[c + i] * room[c + i]
    if square <= w * w:
        return
    for _ in range(SECULAR):
        square, slope = 0.0, 0.0
        for i in range(s):
            h = np.float64(values[first + i])
            e = h * t + w
            a = room[c + i] / e
            square += a * a
            slope += a * a * h / e
        if slope <= 0:
            break
        step = (sqrt(square) - 1) * square / slope
        t += step
        if not step > 1e-15 * t:
            break
    for i in range(s):
        _add(bases, start, s, i, room[c + i] * t / (values[first + i] * t + w), room, new)


@inside
def _sparse_group(
    room: Array, s: int, values: Array, first: int, bases: Array, start: int, w: float, l1: float
) -> None:  # fmt: skip
    """As `_group` with l1 norm1(x + d) more, by proximal gradient steps; g is lost."""
    x, g, new, c, L, far = 0 * s, s, 2 * s, 3 * s, 0.0, 0.0
    for i in range(s):
        L = max(L, np.float64(values[first + i]))
        room[new + i] = room[x + i]
    for _ in range(LOCAL if L > 0 else 0):
        square = 0.0
        for i in range(s):
            room[c + i] = _soft(room[new + i] - room[g + i] / L, l1 / L)
            square += room[c + i] * room[c + i]
        keep = max(1 - w / (L * sqrt(square)), 0.0) if square > 0 else 0.0
        square = 0.0
        for i in range(s):
            v = keep * room[c + i]
            room[c + i] = v - room[new + i]
            square += room[c + i] * room[c + i]
            room[new + i] = v
        far = max(far, square)
        if square <= 1e-4 * far:
            break
        for i in range(s):
            _add(bases, start, s, i, values[first + i] * _along(bases, start, s, i, room, c), room, g)


@inside
def _unit(
    u: int, room: Array, pointers: Array, norms: Array, weight: Array, ridge: Array, lower: Array, upper: Array,
    values: Array, bases: Array | None, starts: Array, both: bool | None,
) -> bool:  # fmt: skip
    """Write the minimiser of a unit behind x and g in the room, and say whether it may move."""
    q, s, w = pointers[u], pointers[u + 1] - pointers[u], np.float64(norms[u])
    if s == 1:
        x, h = room[0], np.float64(values[q])
        whole, new = h + ridge[q], x
        if whole > 0:
            new = min(max(_soft(h * x - room[1], np.float64(weight[q])) / whole, lower[q]), upper[q])
        room[2] = new
        return bool(new != x)
    if bases is None:  # what follows is then not compiled, nor is what `both` is for
        return False
    square, steep = 0.0, 0.0
    for i in range(s):
        square += room[i] * room[i]
        steep += room[s + i] * room[s + i]
    if square == 0 and steep <= w * w:
        return False
    if both is not None and weight[q] > 0:
        _sparse_group(room, s, values, q, bases, starts[u], w, np.float64(weight[q]))
        return True
    _group(room, s, values, q, bases, starts[u], w)
    return True


@compiled
def sweeps_rows(
    rows: Array, known: bool, curvature: Array, r: Array, x: Array, pointers: Array, positions: Array, responses: Array,
    norms: Array, weight: Array, ridge: Array, lower: Array, upper: Array, values: Array, bases: Array | None,
    starts: Array, both: bool | None, sweeps: int, tolerance: float, widest: int, change: Array,
) -> None:  # fmt: skip
    n, largest, plain, room = rows.shape[1], 0.0, len(curvature) == 1, np.empty(4 * widest)
    for sweep in range(sweeps):
        whole = sweep == 0 or largest <= tolerance
        largest = 0.0
        for u in range(len(norms)):
            first, s = pointers[u], pointers[u + 1] - pointers[u]
            some = whole
            for i in range(s):
                room[i] = x[first + i]
                some |= room[i] != 0
            if not some:
                continue
            for i in range(s):
                j, base = positions[first + i], responses[first + i] * n
                if known:
                    room[s + i] = r[base + j]
                else:
                    part, total = r[base : base + n], 0.0
                    for q in range(n):
                        total += rows[j, q] * part[q]
                    room[s + i] = total
            if not _unit(u, room, pointers, norms, weight, ridge, lower, upper, values, bases, starts, both):
                continue
            length, top = 0.0, 0.0
            for i in range(s):
                old = np.float64(x[first + i])
                x[first + i] = room[2 * s + i]
                d = np.float64(x[first + i]) - old
                if d != 0:
                    j, base = positions[first + i], responses[first + i] * n
                    part = r[base : base + n]
                    if plain:
                        by = d * curvature[0]
                        for q in range(n):
                            part[q] += by * rows[j, q]
                    else:
                        for q in range(n):
                            part[q] += d * curvature[q] * rows[j, q]
                    length += d * d
                    top = max(top, np.float64(values[first + i] + ridge[first + i]))
            largest = max(largest, sqrt(length) * top)
        if whole:
            change[0] = largest
            if largest <= tolerance:
                break


@compiled
def sweeps_sparse(
    data: Array, indices: Array, indptr: Array, n: int, curvature: Array, r: Array, x: Array, pointers: Array,
    positions: Array, responses: Array, norms: Array, weight: Array, ridge: Array, lower: Array, upper: Array,
    values: Array, bases: Array | None, starts: Array, both: bool | None, sweeps: int, tolerance: float, widest: int,
    change: Array,
) -> None:  # fmt: skip
    largest, stride, room = 0.0, 0 if len(curvature) == 1 else 1, np.empty(4 * widest)
    for sweep in range(sweeps):
        whole = sweep == 0 or largest <= tolerance
        largest = 0.0
        for u in range(len(norms)):
            first, s = pointers[u], pointers[u + 1] - pointers[u]
            some = whole
            for i in range(s):
                room[i] = x[first + i]
                some |= room[i] != 0
            if not some:
                continue
            for i in range(s):
                j, base, g = positions[first + i], responses[first + i] * n, r[0] * 0
                for q in range(place(indptr[j]), place(indptr[j + 1])):
                    g += data[q] * r[place(base + indices[q])]
                room[s + i] = g
            if not _unit(u, room, pointers, norms, weight, ridge, lower, upper, values, bases, starts, both):
                continue
            length, top = 0.0, 0.0
            for i in range(s):
                old = np.float64(x[first + i])
                x[first + i] = room[2 * s + i]
                d = np.float64(x[first + i]) - old
                if d != 0:
                    j, base = positions[first + i], responses[first + i] * n
                    for q in range(place(indptr[j]), place(indptr[j + 1])):
                        r[place(base + indices[q])] += d * curvature[place(indices[q] * stride)] * data[q]
                    length += d * d
                    top = max(top, np.float64(values[first + i] + ridge[first + i]))
            largest = max(largest, sqrt(length) * top)
        if whole:
            change[0] = largest
            if largest <= tolerance:
                break
