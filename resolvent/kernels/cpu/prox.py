"""Penalties: proximal points, scores and gaps, compiled. Meaning and formulas: `resolvent.kernels.reference.prox`."""

from __future__ import annotations

from math import acos, cos, inf, pi, sqrt

import numpy as np

from resolvent.kernels.cpu.compiling import REORDERED, helper, kernel
from resolvent.typing import Array

__all__ = [
    "bent_prox",
    "bent_scores",
    "bent_value",
    "dual_scale",
    "gap",
    "group_dual_scale",
    "group_gap",
    "group_prox",
    "group_scores",
    "group_value",
    "look",
    "prox",
    "scores",
    "value",
]

compiled = kernel()  # no fastmath: it compiles slower
inside = helper()

MCP, SCAD, HALF = 1, 2, 3
DISTANCE, STEP, DECREASE = range(3)
LEAST = 1e-30
SLACK = 1e-12

F = np.float64


@inside
def _stride(numbers: Array) -> int:
    """Return 0 where one number stands for all."""
    return 1 if numbers.shape[0] > 1 else 0


# ---- convex separable penalties


@inside
def _soft(v: float, t: float) -> float:
    return v - t if v > t else (v + t if v < -t else 0.0)


@compiled
def prox(
    v: Array, step: Array, weight: Array, ridge: Array, lower: Array, upper: Array, out: Array
) -> None:  # fmt: skip
    s0, s1, s2, s3, s4 = _stride(step), _stride(weight), _stride(ridge), _stride(lower), _stride(upper)
    for j in range(v.shape[0]):
        t = F(step[j * s0])
        u = _soft(F(v[j]), t * F(weight[j * s1])) / (1 + t * F(ridge[j * s2]))
        out[j] = min(max(u, F(lower[j * s3])), F(upper[j * s4]))


@compiled
def value(x: Array, weight: Array, ridge: Array, lower: Array, upper: Array) -> float:
    s1, s2, s3, s4, total = _stride(weight), _stride(ridge), _stride(lower), _stride(upper), 0.0
    for j in range(x.shape[0]):
        a = F(x[j])
        if a < lower[j * s3] or a > upper[j * s4]:
            return inf
        total += F(weight[j * s1]) * abs(a) + 0.5 * F(ridge[j * s2]) * a * a
    return total


@inside
def _step(x: float, g: float, L: float, w: float, ridge: float, lower: float, upper: float) -> float:
    """Return prox(x - g / L) - x, without that difference where both points have the same sign."""
    up, down = -(g + w + ridge * x) / (L + ridge), -(g - w + ridge * x) / (L + ridge)
    d = up if x + up > 0 else (down if x + down < 0 else -x)
    return min(max(d, lower - x), upper - x)


@compiled
def scores(
    x: Array, gradient: Array, curvature: Array, weight: Array, ridge: Array, lower: Array, upper: Array, rule: int,
    out: Array,
) -> None:  # fmt: skip
    s0, s1, s2, s3, s4 = _stride(curvature), _stride(weight), _stride(ridge), _stride(lower), _stride(upper)
    for j in range(x.shape[0]):
        a, g, w, r = F(x[j]), F(gradient[j]), F(weight[j * s1]), F(ridge[j * s2])
        low, high = F(lower[j * s3]), F(upper[j * s4])
        if rule == DISTANCE:
            least = -inf if a <= low else g + r * a + (w if a > 0 else -w)
            most = inf if a >= high else g + r * a + (w if a >= 0 else -w)
            out[j] = max(least, -most, 0.0)
            continue
        L = max(F(curvature[j * s0]), LEAST)
        d = _step(a, g, L, w, r, low, high)
        z = a + d
        change = w * ((d if a > 0 else -d) if a * z > 0 else abs(z) - abs(a)) + r * d * (a + 0.5 * d)
        out[j] = abs(d) if rule == STEP else max(-(d * (g + 0.5 * L * d) + change), 0.0)


@kernel(REORDERED)
def look(
    x: Array,
    gradient: Array,
    curvature: Array,
    weight: Array,
    ridge: Array,
    lower: Array,
    upper: Array,
    t: float,
    out: Array,
    found: Array,
) -> None:
    worst, support, gap = 0.0, 0.0, 0.0
    many, flat, each, alone = len(weight) > 1, len(ridge) > 1, len(lower) > 1, len(upper) > 1
    for j in range(len(x)):
        g, at, w, e = gradient[j], x[j], weight[j * many], ridge[j * flat]
        out[j] = 0
        if at == 0 and abs(g) <= w:
            continue
        low, up, sign, size = lower[j * each], upper[j * alone], np.copysign(1.0, at), abs(at)
        # what the conjugate lacks, at t times the slope
        c = -t * g
        over = max(0.0, abs(c) - w * (1 + SLACK))
        u = (over + w * SLACK) / e if over > 0 else 0.0
        u = min(max(np.copysign(u, c), low), up)
        if at * u > 0:
            part = (at - u) * (sign * w + 0.5 * e * (at + u) - c)
        else:
            part = size * w + at * (0.5 * e * at - c) - abs(u) * w - u * (0.5 * e * u - c)
        gap += max(0.0, part)
        support += at != 0
        # what moving down and moving up gain
        bend = g + e * at
        down, rise = bend + (w if at > 0 else -w), (w if at < 0 else -w) - bend
        most = max(down * (at > low), rise * (at < up))
        if most > 0:
            worst = max(worst, most)
            L = max(curvature[j], LEAST)
            d = max(min((w - bend) / (L + e), -at), -(w + bend) / (L + e))
            d = min(max(d, low - at), up - at)
            change = max(sign * d, -sign * d - 2 * size)
            out[j] = max(0.0, -(d * (g + 0.5 * L * d) + w * change + e * d * (at + 0.5 * d)))
    found[0], found[1], found[2] = worst, support, gap


# ---- separable penalties that are not convex


@inside
def _bent_prox(v: float, t: float, kind: int, w: float, gamma: float) -> float:
    size = abs(v)
    if kind == MCP:
        if t < gamma:
            u = max(size - t * w, 0.0) / (1 - t / gamma) if size <= gamma * w else size
        else:
            u = size if size > w * sqrt(gamma * t) else 0.0
    elif kind == HALF:
        u, m = 0.0, t * w
        if size > 1.5 * np.cbrt(m * m):
            angle = acos(min(m / 4 * (size / 3) ** -1.5, 1.0))
            u = 2 / 3 * size * (1 + cos(2 / 3 * (pi - angle)))
    elif gamma - 1 > t and w * (1 + t) < size <= gamma * w:
        u = min(max(((gamma - 1) * size - t * gamma * w) / (gamma - 1 - t), w), gamma * w)
    else:
        first, last = min(max(size - t * w, 0.0), w), max(size, gamma * w)
        if gamma - 1 > t:
            u = first if size <= w * (1 + t) else size
        else:
            a = 0.5 * (first - size) * (first - size) + t * _bent_value(first, SCAD, w, gamma)
            b = 0.5 * (last - size) * (last - size) + t * _bent_value(last, SCAD, w, gamma)
            u = last if b < a else first
    return u if v > 0 else -u


@inside
def _bent_value(x: float, kind: int, w: float, gamma: float) -> float:
    a = abs(x)
    if kind == HALF:
        return w * sqrt(a)
    if kind == MCP:
        return w * a - a * a / (2 * gamma) if a <= gamma * w else 0.5 * gamma * w * w
    if a <= w:
        return w * a
    if a <= gamma * w:
        return (2 * gamma * w * a - a * a - w * w) / (2 * (gamma - 1))
    return 0.5 * (gamma + 1) * w * w


@inside
def _bent_slope(a: float, kind: int, w: float, gamma: float) -> float:
    """Return the derivative at a > 0, and at 0 the largest subgradient."""
    if kind == MCP:
        return max(w - a / gamma, 0.0)
    if kind == SCAD:
        return min(w, max(gamma * w - a, 0.0) / (gamma - 1))
    if a > 0:
        return 0.5 * w / sqrt(a)
    return inf if w > 0 else 0.0


@inside
def _piece(a: float, kind: int, w: float, gamma: float) -> int:
    return (1 if a > (0.0 if kind == MCP else w) else 0) + (1 if a > gamma * w else 0)


@inside
def _bent_step(x: float, g: float, L: float, kind: int, w: float, gamma: float) -> float:
    """Return prox(x - g / L) - x, without that difference where both points lie on one straight piece of the slope."""
    z = _bent_prox(x - g / L, 1 / L, kind, w, gamma)
    if kind != HALF and x * z > 0:
        piece = _piece(abs(x), kind, w, gamma)
        if piece == _piece(abs(z), kind, w, gamma):
            bend = -1 / (gamma if kind == MCP else gamma - 1) if piece == 1 else 0.0
            slope = _bent_slope(abs(x), kind, w, gamma)
            return -(g + (slope if x > 0 else -slope)) / (L + bend)
    return z - x


@compiled
def bent_prox(v: Array, step: Array, kind: int, weight: Array, gamma: float, out: Array) -> None:
    s0, s1 = _stride(step), _stride(weight)
    for j in range(v.shape[0]):
        out[j] = _bent_prox(F(v[j]), F(step[j * s0]), kind, F(weight[j * s1]), gamma)


@compiled
def bent_value(x: Array, kind: int, weight: Array, gamma: float) -> float:
    s1, total = _stride(weight), 0.0
    for j in range(x.shape[0]):
        total += _bent_value(F(x[j]), kind, F(weight[j * s1]), gamma)
    return total


@compiled
def bent_scores(
    x: Array, gradient: Array, curvature: Array, kind: int, weight: Array, gamma: float, rule: int, out: Array
) -> None:  # fmt: skip
    s0, s1 = _stride(curvature), _stride(weight)
    for j in range(x.shape[0]):
        a, g, w = F(x[j]), F(gradient[j]), F(weight[j * s1])
        if rule == DISTANCE:
            slope = _bent_slope(abs(a), kind, w, gamma)
            out[j] = max(g + (slope if a > 0 else -slope), -(g + (-slope if a < 0 else slope)), 0.0)
            continue
        L = max(F(curvature[j * s0]), LEAST)
        d = _bent_step(a, g, L, kind, w, gamma)
        if rule == STEP:
            out[j] = abs(d)
        else:
            change = _bent_value(a + d, kind, w, gamma) - _bent_value(a, kind, w, gamma)
            out[j] = max(-(d * (g + 0.5 * L * d) + change), 0.0)


# ---- duality of convex separable penalties


@compiled
def gap(x: Array, slope: Array, weight: Array, ridge: Array, lower: Array, upper: Array) -> float:
    s1, s2, s3, s4, total = _stride(weight), _stride(ridge), _stride(lower), _stride(upper), 0.0
    for j in range(x.shape[0]):
        a, c, w, r = F(x[j]), F(slope[j]), F(weight[j * s1]), F(ridge[j * s2])
        low, high = F(lower[j * s3]), F(upper[j * s4])
        if a < low or a > high:
            return inf
        u = 0.0
        if abs(c) > w * (1 + SLACK):
            beyond = abs(c) - w
            u = beyond / r if r > 0 else inf
            u = u if c > 0 else -u
        u = min(max(u, low), high)
        if abs(u) == inf:
            return inf
        if a * u > 0:
            found = (a - u) * ((w if a > 0 else -w) + 0.5 * r * (a + u) - c)
        else:
            found = a * ((w if a > 0 else -w) + 0.5 * r * a - c) - u * ((w if u > 0 else -w) + 0.5 * r * u - c)
        total += max(found, 0.0)
    return total


@compiled
def dual_scale(slope: Array, weight: Array, ridge: Array, lower: Array, upper: Array) -> float:
    s1, s2, s3, s4, least = _stride(weight), _stride(ridge), _stride(lower), _stride(upper), inf
    for j in range(slope.shape[0]):
        c = F(slope[j])
        if ridge[j * s2] == 0 and ((c > 0 and upper[j * s4] == inf) or (c < 0 and lower[j * s3] == -inf)):
            least = min(least, F(weight[j * s1]) / abs(c))
    return least


# ---- penalties of groups


@compiled
def group_prox(
    v: Array, step: Array, pointers: Array, indices: Array, weight: Array, l1: float, out: Array
) -> None:  # fmt: skip
    s0, s1 = _stride(step), _stride(weight)
    for b in range(pointers.shape[0] - 1):
        t, square = F(step[b * s0]), 0.0
        for q in range(pointers[b], pointers[b + 1]):
            e = _soft(F(v[indices[q]]), t * l1)
            square += e * e
        norm = sqrt(square)
        keep = max(1 - t * F(weight[b * s1]) / norm, 0.0) if norm > 0 else 0.0
        for q in range(pointers[b], pointers[b + 1]):
            out[indices[q]] = keep * _soft(F(v[indices[q]]), t * l1)


@compiled
def group_value(x: Array, pointers: Array, indices: Array, weight: Array, l1: float) -> float:
    s1, total = _stride(weight), 0.0
    for b in range(pointers.shape[0] - 1):
        square, size = 0.0, 0.0
        for q in range(pointers[b], pointers[b + 1]):
            a = F(x[indices[q]])
            square += a * a
            size += abs(a)
        total += F(weight[b * s1]) * sqrt(square) + l1 * size
    return total


@inside
def _distance(x: Array, g: Array, block: Array, norm: float, w: float, l1: float) -> float:
    square = 0.0
    for j in block:
        a = F(x[j])
        e = F(g[j]) + (l1 if a > 0 else -l1) + w * a / norm if a != 0 else _soft(F(g[j]), l1)
        square += e * e
    return sqrt(square) if norm > 0 else max(sqrt(square) - w, 0.0)


@inside
def _group_score(x: Array, g: Array, L: float, block: Array, norm: float, w: float, l1: float, rule: int) -> float:
    """Return the length of the step or the decrease that it promises."""
    square = 0.0
    for j in block:
        e = _soft(F(x[j]) - F(g[j]) / L, l1 / L)
        square += e * e
    far = sqrt(square)
    keep = max(1 - w / (L * far), 0.0) if far > 0 else 0.0
    length, along, size, new = 0.0, 0.0, 0.0, 0.0
    for j in block:
        z = keep * _soft(F(x[j]) - F(g[j]) / L, l1 / L)
        d = z - F(x[j])
        length += d * d
        along += F(g[j]) * d
        size += abs(z) - abs(F(x[j]))
        new += z * z
    if rule == STEP:
        return sqrt(length)
    return max(-(along + 0.5 * L * length + w * (sqrt(new) - norm) + l1 * size), 0.0)


@compiled
def group_scores(
    x: Array, gradient: Array, curvature: Array, pointers: Array, indices: Array, weight: Array, l1: float, rule: int,
    out: Array,
) -> None:  # fmt: skip
    s0, s1 = _stride(curvature), _stride(weight)
    for b in range(pointers.shape[0] - 1):
        block, w, square = indices[pointers[b] : pointers[b + 1]], F(weight[b * s1]), 0.0
        for j in block:
            square += F(x[j]) * F(x[j])
        if rule == DISTANCE:
            out[b] = _distance(x, gradient, block, sqrt(square), w, l1)
        else:
            L = max(F(curvature[b * s0]), LEAST)
            out[b] = _group_score(x, gradient, L, block, sqrt(square), w, l1, rule)


@compiled
def group_gap(x: Array, slope: Array, pointers: Array, indices: Array, weight: Array, l1: float) -> float:
    s1, total = _stride(weight), 0.0
    for b in range(pointers.shape[0] - 1):
        w, square, steep = F(weight[b * s1]), 0.0, 0.0
        for q in range(pointers[b], pointers[b + 1]):
            a, c = F(x[indices[q]]), F(slope[indices[q]])
            e = _soft(c, l1)
            square += a * a
            steep += e * e
            total += abs(a) * (l1 - (min(max(c, -l1), l1) if a > 0 else -min(max(c, -l1), l1)))
        size, steep = sqrt(square), sqrt(steep)
        if steep > w + SLACK * (w + l1):
            return inf
        total += size * max(w - steep, 0.0)
        if size > 0 and steep > 0:
            root, turned = sqrt(steep / size), 0.0
            for q in range(pointers[b], pointers[b + 1]):
                e = root * F(x[indices[q]]) - _soft(F(slope[indices[q]]), l1) / root
                turned += e * e
            total += 0.5 * turned
    return total


@compiled
def group_dual_scale(slope: Array, pointers: Array, indices: Array, weight: Array, l1: float) -> float:
    s1, least = _stride(weight), inf
    for b in range(pointers.shape[0] - 1):
        block, w, square = indices[pointers[b] : pointers[b + 1]], F(weight[b * s1]), 0.0
        for j in block:
            square += F(slope[j]) * F(slope[j])
        if square == 0:
            continue
        t = (w + l1 * sqrt(F(block.shape[0]))) / sqrt(square)
        for _ in range(60 if l1 > 0 else 0):
            size, along = 0.0, 0.0
            for j in block:
                a = abs(F(slope[j]))
                e = max(t * a - l1, 0.0)
                size += e * e
                along += a * e
            size = sqrt(size)
            if size <= w * (1 + 1e-15):
                break
            t -= (size - w) * size / along
        least = min(least, t)
    return least
