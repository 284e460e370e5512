"""Block coordinate descent over groups, compiled. Meaning and shapes: `resolvent.kernels.reference.groups`."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numba import njit

from resolvent.typing import Array

__all__ = ["sweeps_dense", "sweeps_gram", "sweeps_sparse"]

compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})

SECULAR = 50
LOCAL = 20


@compiled
def _single(x: Any, g: Any, h: Any, weight: Any, ridge: Any, lower: Any, upper: Any) -> Any:
    """Return the minimiser of g d + h d^2 / 2 + weight |x + d| + ridge (x + d)^2 / 2 over lower <= x + d <= upper."""
    u, h = h * x - g, h + ridge
    if h <= 0:
        return x
    v = (u - weight if u > weight else (u + weight if u < -weight else 0.0)) / h
    return min(max(v, lower), upper)


@compiled
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
        size = sqrt(square)
        step = (size - 1) * square / slope
        t += step
        if not step > 1e-15 * t:
            break
    return t


@compiled
def _group(x: Array, g: Array, values: Array, first: int, bases: Array, start: int, w: float, new: Array) -> None:
    """Write the minimiser of g d + d^T H d / 2 + w norm(x + d), H = V diag(values) V^T with V at `start`, into new."""
    s = len(x)
    c, square = np.zeros(s), 0.0
    for i in range(s):
        a, e = x[i], g[i]
        if start >= 0:
            a, e = 0.0, 0.0
            for q in range(s):
                a += bases[start + q * s + i] * x[q]
                e += bases[start + q * s + i] * g[q]
        c[i] = values[first + i] * a - e
        square += c[i] * c[i]
    new[:] = 0
    if sqrt(square) <= w:
        return
    t = _secular(c, values, first, w)
    for i in range(s):
        u = c[i] * t / (values[first + i] * t + w)
        if start < 0:
            new[i] = u
            continue
        for q in range(s):
            new[q] += bases[start + q * s + i] * u


@compiled
def _sparse_group(
    x: Array, g: Array, values: Array, first: int, bases: Array, start: int, w: float, l1: float, new: Array
) -> None:
    """As `_group` with l1 norm1(x + d) more, by proximal gradient steps."""
    s, L, far = len(x), 0.0, 0.0
    for i in range(s):
        L = max(L, np.float64(values[first + i]))
    new[:] = x
    if L <= 0:
        return
    step, slope = np.zeros(s), g.copy()
    for _ in range(LOCAL):
        square = 0.0
        for i in range(s):
            v = new[i] - slope[i] / L
            step[i] = v - l1 / L if v > l1 / L else (v + l1 / L if v < -l1 / L else 0.0)
            square += step[i] * step[i]
        keep = max(1 - w / (L * sqrt(square)), 0.0) if square > 0 else 0.0
        square = 0.0
        for i in range(s):
            v = keep * step[i]
            step[i] = v - new[i]
            square += step[i] * step[i]
            new[i] = v
        far = max(far, square)
        if square <= 1e-4 * far:
            break
        for i in range(s):
            along = step[i]
            if start >= 0:
                along = 0.0
                for q in range(s):
                    along += bases[start + q * s + i] * step[q]
            along *= values[first + i]
            if start < 0:
                slope[i] += along
                continue
            for q in range(s):
                slope[q] += bases[start + q * s + i] * along


@compiled
def _widest(pointers: Array) -> int:
    widest = 1
    for u in range(len(pointers) - 1):
        widest = max(widest, pointers[u + 1] - pointers[u])
    return widest


@compiled
def _unit(
    u: int, xu: Array, gu: Array, new: Array, pointers: Array, norms: Array, weight: Array, ridge: Array, lower: Array,
    upper: Array, values: Array, bases: Array, starts: Array,
) -> bool:  # fmt: skip
    """Write the minimiser of a unit into new, and say whether it may have moved."""
    q = pointers[u]
    if len(xu) == 1:
        new[0] = _single(xu[0], gu[0], values[q], weight[q], ridge[q], lower[q], upper[q])
        return bool(new[0] != xu[0])
    square, steep = 0.0, 0.0
    for i in range(len(xu)):
        square += xu[i] * xu[i]
        steep += gu[i] * gu[i]
    if square == 0 and sqrt(steep) <= norms[u]:
        return False
    if weight[q] > 0:
        _sparse_group(xu, gu, values, q, bases, starts[u], norms[u], weight[q], new)
    else:
        _group(xu, gu, values, q, bases, starts[u], norms[u], new)
    return True


@compiled
def sweeps_gram(
    H: Array, g: Array, x: Array, pointers: Array, places: Array, norms: Array, weight: Array, ridge: Array,
    lower: Array, upper: Array, values: Array, bases: Array, starts: Array, sweeps: int, tolerance: float,
    change: Array,
) -> None:  # fmt: skip
    m, largest = len(H), 0.0
    room = np.zeros((3, _widest(pointers)))
    for _ in range(sweeps):
        largest = 0.0
        for u in range(len(norms)):
            first, s = pointers[u], pointers[u + 1] - pointers[u]
            xu, gu, new = room[0, :s], room[1, :s], room[2, :s]
            for i in range(s):
                xu[i], gu[i] = x[places[first + i]], g[places[first + i]]
            if not _unit(u, xu, gu, new, pointers, norms, weight, ridge, lower, upper, values, bases, starts):
                continue
            length, top = 0.0, 0.0
            for i in range(s):
                place = places[first + i]
                old = x[place]
                x[place] = new[i]
                d = x[place] - old
                if d != 0:
                    j = place % m
                    row, base = H[j], place - j
                    for q in range(m):
                        g[base + q] += d * row[q]
                    length += np.float64(d) * np.float64(d)
                    top = max(top, values[first + i] + ridge[first + i])
            largest = max(largest, sqrt(length) * top)
        if largest <= tolerance:
            break
    change[0] = largest


@compiled
def sweeps_dense(
    A: Array, curvature: Array, r: Array, x: Array, pointers: Array, positions: Array, responses: Array, norms: Array,
    weight: Array, ridge: Array, lower: Array, upper: Array, values: Array, bases: Array, starts: Array, sweeps: int,
    tolerance: float, change: Array,
) -> None:  # fmt: skip
    n, largest, plain = len(A), 0.0, len(curvature) == 1
    room = np.zeros((3, _widest(pointers)))
    for _ in range(sweeps):
        largest = 0.0
        for u in range(len(norms)):
            first, s = pointers[u], pointers[u + 1] - pointers[u]
            xu, gu, new = room[0, :s], room[1, :s], room[2, :s]
            for i in range(s):
                column, base, g = A[:, positions[first + i]], responses[first + i] * n, r[0] * 0
                for q in range(n):
                    g += column[q] * r[base + q]
                xu[i], gu[i] = x[first + i], g
            if not _unit(u, xu, gu, new, pointers, norms, weight, ridge, lower, upper, values, bases, starts):
                continue
            length, top = 0.0, 0.0
            for i in range(s):
                old = x[first + i]
                x[first + i] = new[i]
                d = x[first + i] - old
                if d != 0:
                    column, base = A[:, positions[first + i]], responses[first + i] * n
                    if plain:
                        e = d * curvature[0]
                        for q in range(n):
                            r[base + q] += e * column[q]
                    else:
                        for q in range(n):
                            r[base + q] += d * curvature[q] * column[q]
                    length += np.float64(d) * np.float64(d)
                    top = max(top, values[first + i] + ridge[first + i])
            largest = max(largest, sqrt(length) * top)
        if largest <= tolerance:
            break
    change[0] = largest


@compiled
def sweeps_sparse(
    data: Array, indices: Array, indptr: Array, n: int, curvature: Array, r: Array, x: Array, pointers: Array,
    positions: Array, responses: Array, norms: Array, weight: Array, ridge: Array, lower: Array, upper: Array,
    values: Array, bases: Array, starts: Array, sweeps: int, tolerance: float, change: Array,
) -> None:  # fmt: skip
    largest, stride = 0.0, 0 if len(curvature) == 1 else 1
    room = np.zeros((3, _widest(pointers)))
    for _ in range(sweeps):
        largest = 0.0
        for u in range(len(norms)):
            first, s = pointers[u], pointers[u + 1] - pointers[u]
            xu, gu, new = room[0, :s], room[1, :s], room[2, :s]
            for i in range(s):
                j, base, g = positions[first + i], responses[first + i] * n, r[0] * 0
                for q in range(indptr[j], indptr[j + 1]):
                    g += data[q] * r[base + indices[q]]
                xu[i], gu[i] = x[first + i], g
            if not _unit(u, xu, gu, new, pointers, norms, weight, ridge, lower, upper, values, bases, starts):
                continue
            length, top = 0.0, 0.0
            for i in range(s):
                old = x[first + i]
                x[first + i] = new[i]
                d = x[first + i] - old
                if d != 0:
                    j, base = positions[first + i], responses[first + i] * n
                    for q in range(indptr[j], indptr[j + 1]):
                        r[base + indices[q]] += d * curvature[indices[q] * stride] * data[q]
                    length += np.float64(d) * np.float64(d)
                    top = max(top, values[first + i] + ridge[first + i])
            largest = max(largest, sqrt(length) * top)
        if largest <= tolerance:
            break
    change[0] = largest
