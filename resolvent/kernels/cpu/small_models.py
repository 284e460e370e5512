"""What steps of a working set ask of a small problem. Meaning: `resolvent.kernels.reference.small_models`.

Each is one function: LLVM works through a helper once for itself and once more in every caller.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from resolvent.typing import Array

__all__ = ["face_step", "look", "rounds"]

compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})

LEAST, SLACK = 1e-30, 1e-12


@compiled
def look(
    x: Array,
    gradient: Array,
    curvature: Array,
    weight: Array,
    ridge: Array,
    lower: Array,
    upper: Array,
    t: float,
    scores: Array,
    found: Array,
) -> None:
    p, worst, support, gap = len(x), 0.0, 0, 0.0
    many, flat, each, alone = len(weight) > 1, len(ridge) > 1, len(lower) > 1, len(upper) > 1
    for j in range(p):
        g, at, w, e = np.float64(gradient[j]), np.float64(x[j]), weight[j if many else 0], ridge[j if flat else 0]
        scores[j] = 0
        if at == 0 and g <= w and g >= -w:
            continue
        low, up = lower[j if each else 0], upper[j if alone else 0]
        sign = 1.0 if at > 0 else -1.0
        # what the conjugate lacks, at t times the slope
        c, u = -t * g, 0.0
        over = (c if c > 0 else -c) - w * (1 + SLACK)
        if over > 0:
            u = (over + w * SLACK) / e if e > 0 else np.inf
            u = u if c > 0 else -u
        u = low if u < low else (up if u > up else u)
        if at != 0 or u != 0:
            if at * u > 0:
                part = (at - u) * (sign * w + 0.5 * e * (at + u) - c)
            else:
                part = at * (sign * w + 0.5 * e * at - c)
                if u != 0:
                    part -= u * ((w if u > 0 else -w) + 0.5 * e * u - c)
            gap += part if part > 0 else 0.0
            support += at != 0
        # what moving down and moving up gain
        bend = g + e * at
        down = (bend - w if at <= 0 else bend + w) if at > low else 0.0
        rise = (-bend - w if at >= 0 else w - bend) if at < up else 0.0
        most = down if down > rise else rise
        worst = most if most > worst else worst
        if most > 0:
            L = curvature[j]
            L = L if L > LEAST else LEAST
            right, left = -(bend + w) / (L + e), -(bend - w) / (L + e)
            d = right if at + right > 0 else (left if at + left < 0 else -at)
            d = low - at if d < low - at else (up - at if d > up - at else d)
            new = at + d
            change = sign * d if at * new > 0 else (new if new > 0 else -new) - sign * at
            gain = -(d * (g + 0.5 * L * d) + w * change + e * d * (at + 0.5 * d))
            scores[j] = gain if gain > 0 else 0.0
    found[0], found[1], found[2] = worst, support, gap


@compiled
def rounds(
    H: Array,
    g: Array,
    x: Array,
    weight: Array,
    ridge: Array,
    lower: Array,
    upper: Array,
    sweeps: int,
    tolerance: float,
    most: int,
    unsettled: float,
    signs: Array,
    change: Array,
) -> int:
    m, known = len(x), False
    for made in range(most):
        largest = 0.0
        for _ in range(sweeps):
            largest = 0.0
            for i in range(m):
                row = H[i]
                h = row[i] + ridge[i]
                if h <= 0:
                    continue
                u, w = row[i] * x[i] - g[i], weight[i]
                u = (u - w if u > w else (u + w if u < -w else 0 * u)) / h
                u = lower[i] if u < lower[i] else (upper[i] if u > upper[i] else u)
                d = u - x[i]
                if d != 0:
                    x[i] = u
                    size = h * d if d > 0 else -h * d
                    largest = size if size > largest else largest
                    for j in range(m):
                        g[j] += d * row[j]
            if largest <= tolerance:
                break
        change[0] = largest
        if largest <= tolerance:
            return made + 1
        differ, some = 0, 0
        for i in range(m):
            sign = 0
            if x[i] > lower[i] and x[i] < upper[i]:
                sign = 1 if weight[i] == 0 or x[i] > 0 else (-1 if x[i] < 0 else 0)
            differ += sign != signs[i]
            some += sign != 0
            signs[i] = sign
        if known and differ <= unsettled * some:
            return made + 1
        known = True
    return most


@compiled
def face_step(
    H: Array,
    g: Array,
    x: Array,
    weight: Array,
    ridge: Array,
    lower: Array,
    upper: Array,
    signs: Array,
    face: Array,
    d: Array,
    change: Array,
) -> None:
    m, f, total = len(x), len(d), 0.0
    for j in range(m):
        change[j] = 0
    for a in range(f):
        i = face[a]
        new = x[i] + d[a]
        new = 0 * new if new * signs[i] < 0 and weight[i] > 0 else new
        new = lower[i] if new < lower[i] else (upper[i] if new > upper[i] else new)
        move, row = new - x[i], H[i]
        d[a] = move
        size = (new if new > 0 else -new) - (x[i] if x[i] > 0 else -x[i])
        total += g[i] * move + weight[i] * size + 0.5 * ridge[i] * move * (new + x[i])
        for j in range(m):
            change[j] += move * row[j]
    for a in range(f):
        total += 0.5 * d[a] * change[face[a]]
    if total < 0:
        for a in range(f):
            x[face[a]] += d[a]
        for j in range(m):
            g[j] += change[j]
