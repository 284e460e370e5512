"""Block coordinate descent over groups, compiled. Meaning and shapes: `resolvent.kernels.reference.groups`."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numba import njit

from resolvent.kernels.cpu.descent import place
from resolvent.kernels.cpu.elementary import helper
from resolvent.typing import Array

__all__ = ["sweeps_dense", "sweeps_gram", "sweeps_sparse"]

compiled = njit(cache=True, nogil=True, error_model="numpy")  # no fastmath where it gains nothing: it compiles slower
inside = helper()
fast = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})

SECULAR = 50
LOCAL = 20


@inside
def _single(x: Any, g: Any, h: Any, weight: Any, ridge: Any, lower: Any, upper: Any) -> Any:
    """Return the minimiser of g d + h d^2 / 2 + weight |x + d| + ridge (x + d)^2 / 2 over lower <= x + d <= upper."""
    u, h = h * x - g, h + ridge
    if h <= 0:
        return x
    v = (u - weight if u > weight else (u + weight if u < -weight else 0.0)) / h
    return min(max(v, lower), upper)


@inside
def _along(bases: Array, start: int, i: int, x: Array) -> Any:
    """Return the entry i of V^T x, V at `start`; of x where that is negative."""
    if start < 0:
        return x[i]
    total, s = 0.0, len(x)
    for q in range(s):
        total += bases[start + q * s + i] * x[q]
    return total


@inside
def _add(bases: Array, start: int, i: int, by: float, x: Array) -> None:
    """Add `by` times column i of V to x."""
    if start < 0:
        x[i] += by
        return
    s = len(x)
    for q in range(s):
        x[q] += by * bases[start + q * s + i]


@inside
def _secular(c: Array, values: Array, first: int, w: float) -> float:
    """Return the t with sum_i (c_i / (values_i t + w))^2 = 1, by Newton's method on the concave root, from t = 0."""
    t = 0.0
    for _ in range(SECULAR):
        square, slope = 0.0, 0.0
        for i in range(len(c)):
            h = np.float64(values[first + i])
            e = h * t + w
            a = c[i] / e
            square += a * a
            slope += a * a * h / e
        if slope <= 0:
            break
        step = (sqrt(square) - 1) * square / slope
        t += step
        if not step > 1e-15 * t:
            break
    return t


@inside
def _group(room: Array, values: Array, first: int, bases: Array, start: int, w: float) -> None:
    """Write the minimiser of g d + d^T H d / 2 + w norm(x + d), H = V diag(values) V^T with V at `start`.

    Rows of the room: x, g, the minimiser, and one to work in.
    """
    x, g, new, c = room[0], room[1], room[2], room[3]
    square = 0.0
    for i in range(len(x)):
        c[i] = values[first + i] * _along(bases, start, i, x) - _along(bases, start, i, g)
        new[i] = 0
        square += c[i] * c[i]
    if sqrt(square) <= w:
        return
    t = _secular(c, values, first, w)
    for i in range(len(x)):
        _add(bases, start, i, c[i] * t / (values[first + i] * t + w), new)


@inside
def _sparse_group(room: Array, values: Array, first: int, bases: Array, start: int, w: float, l1: float) -> None:
    """As `_group` with l1 norm1(x + d) more, by proximal gradient steps; g is lost."""
    slope, new, step = room[1], room[2], room[3]
    L, far = 0.0, 0.0
    for i in range(len(new)):
        L = max(L, np.float64(values[first + i]))
        new[i] = room[0, i]
    for _ in range(LOCAL if L > 0 else 0):
        square = 0.0
        for i in range(len(new)):
            step[i] = _single(new[i], slope[i], L, l1, 0.0, -np.inf, np.inf)
            square += step[i] * step[i]
        keep = max(1 - w / (L * sqrt(square)), 0.0) if square > 0 else 0.0
        square = 0.0
        for i in range(len(new)):
            v = keep * step[i]
            step[i] = v - new[i]
            square += step[i] * step[i]
            new[i] = v
        far = max(far, square)
        if square <= 1e-4 * far:
            break
        for i in range(len(new)):
            _add(bases, start, i, values[first + i] * _along(bases, start, i, step), slope)


@inside
def _widest(pointers: Array) -> int:
    widest = 1
    for u in range(len(pointers) - 1):
        widest = max(widest, pointers[u + 1] - pointers[u])
    return widest


@inside
def _is_zero(x: Array, places: Array, first: int, s: int) -> bool:
    most = 0.0
    for i in range(first, first + s):
        most = max(most, abs(np.float64(x[places[i]])))
    return bool(most == 0)


@inside
def _unit(
    u: int, room: Array, pointers: Array, norms: Array, weight: Array, ridge: Array, lower: Array, upper: Array,
    values: Array, bases: Array, starts: Array,
) -> bool:  # fmt: skip
    """Write the minimiser of a unit into row 2 of the room, whose first are x and g, and say whether it may move."""
    q, s = pointers[u], pointers[u + 1] - pointers[u]
    if s == 1:
        room[2, 0] = _single(room[0, 0], room[1, 0], values[q], weight[q], ridge[q], lower[q], upper[q])
        return bool(room[2, 0] != room[0, 0])
    square, steep = 0.0, 0.0
    for i in range(s):
        square += room[0, i] * room[0, i]
        steep += room[1, i] * room[1, i]
    if square == 0 and sqrt(steep) <= norms[u]:
        return False
    if weight[q] > 0:
        _sparse_group(room[:, :s], values, q, bases, starts[u], norms[u], weight[q])
    else:
        _group(room[:, :s], values, q, bases, starts[u], norms[u])
    return True


@fast
def _dot(a: Array, b: Array) -> Any:
    total = 0.0
    for q in range(len(b)):
        total += a[q] * b[q]
    return total


@fast
def _axpy(d: Any, a: Array, b: Array) -> None:
    for q in range(len(b)):
        b[q] += d * a[q]


@fast
def _weighted_axpy(d: Any, w: Array, a: Array, b: Array) -> None:
    for q in range(len(b)):
        b[q] += d * w[q] * a[q]


@compiled
def sweeps_gram(
    H: Array, g: Array, x: Array, pointers: Array, places: Array, norms: Array, weight: Array, ridge: Array,
    lower: Array, upper: Array, values: Array, bases: Array, starts: Array, sweeps: int, tolerance: float,
    change: Array,
) -> None:  # fmt: skip
    m, largest = len(H), 0.0
    room = np.zeros((4, _widest(pointers)))
    for sweep in range(sweeps):
        whole = sweep == 0 or largest <= tolerance
        largest = 0.0
        for u in range(len(norms)):
            first, s = pointers[u], pointers[u + 1] - pointers[u]
            if not whole and _is_zero(x, places, first, s):
                continue
            for i in range(s):
                room[0, i], room[1, i] = x[places[first + i]], g[places[first + i]]
            if not _unit(u, room, pointers, norms, weight, ridge, lower, upper, values, bases, starts):
                continue
            length, top = 0.0, 0.0
            for i in range(s):
                place = places[first + i]
                old = x[place]
                x[place] = room[2, i]
                d = x[place] - old
                if d != 0:
                    j = place % m
                    _axpy(d, H[j], g[place - j : place - j + m])
                    length += np.float64(d) * np.float64(d)
                    top = max(top, values[first + i] + ridge[first + i])
            largest = max(largest, sqrt(length) * top)
        if whole:
            change[0] = largest
            if largest <= tolerance:
                break


@compiled
def sweeps_dense(
    A: Array, curvature: Array, r: Array, x: Array, pointers: Array, positions: Array, responses: Array, norms: Array,
    weight: Array, ridge: Array, lower: Array, upper: Array, values: Array, bases: Array, starts: Array, sweeps: int,
    tolerance: float, change: Array,
) -> None:  # fmt: skip
    n, largest, plain, own = len(A), 0.0, len(curvature) == 1, np.arange(len(x))
    room = np.zeros((4, _widest(pointers)))
    for sweep in range(sweeps):
        whole = sweep == 0 or largest <= tolerance
        largest = 0.0
        for u in range(len(norms)):
            first, s = pointers[u], pointers[u + 1] - pointers[u]
            if not whole and _is_zero(x, own, first, s):
                continue
            for i in range(s):
                base = responses[first + i] * n
                room[0, i], room[1, i] = x[first + i], _dot(A[:, positions[first + i]], r[base : base + n])
            if not _unit(u, room, pointers, norms, weight, ridge, lower, upper, values, bases, starts):
                continue
            length, top = 0.0, 0.0
            for i in range(s):
                old = x[first + i]
                x[first + i] = room[2, i]
                d = x[first + i] - old
                if d != 0:
                    base = responses[first + i] * n
                    if plain:
                        _axpy(d * curvature[0], A[:, positions[first + i]], r[base : base + n])
                    else:
                        _weighted_axpy(d, curvature, A[:, positions[first + i]], r[base : base + n])
                    length += np.float64(d) * np.float64(d)
                    top = max(top, values[first + i] + ridge[first + i])
            largest = max(largest, sqrt(length) * top)
        if whole:
            change[0] = largest
            if largest <= tolerance:
                break


@compiled
def sweeps_sparse(
    data: Array, indices: Array, indptr: Array, n: int, curvature: Array, r: Array, x: Array, pointers: Array,
    positions: Array, responses: Array, norms: Array, weight: Array, ridge: Array, lower: Array, upper: Array,
    values: Array, bases: Array, starts: Array, sweeps: int, tolerance: float, change: Array,
) -> None:  # fmt: skip
    largest, stride, own = 0.0, 0 if len(curvature) == 1 else 1, np.arange(len(x))
    room = np.zeros((4, _widest(pointers)))
    for sweep in range(sweeps):
        whole = sweep == 0 or largest <= tolerance
        largest = 0.0
        for u in range(len(norms)):
            first, s = pointers[u], pointers[u + 1] - pointers[u]
            if not whole and _is_zero(x, own, first, s):
                continue
            for i in range(s):
                j, base, g = positions[first + i], responses[first + i] * n, r[0] * 0
                for q in range(place(indptr[j]), place(indptr[j + 1])):
                    g += data[q] * r[place(base + indices[q])]
                room[0, i], room[1, i] = x[first + i], g
            if not _unit(u, room, pointers, norms, weight, ridge, lower, upper, values, bases, starts):
                continue
            length, top = 0.0, 0.0
            for i in range(s):
                old = x[first + i]
                x[first + i] = room[2, i]
                d = x[first + i] - old
                if d != 0:
                    j, base = positions[first + i], responses[first + i] * n
                    for q in range(place(indptr[j]), place(indptr[j + 1])):
                        r[place(base + indices[q])] += d * curvature[place(indices[q] * stride)] * data[q]
                    length += np.float64(d) * np.float64(d)
                    top = max(top, values[first + i] + ridge[first + i])
            largest = max(largest, sqrt(length) * top)
        if whole:
            change[0] = largest
            if largest <= tolerance:
                break
