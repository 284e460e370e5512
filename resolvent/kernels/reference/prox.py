"""Penalties: proximal points, scores of coordinates and of groups, duality gaps; the meaning of the compiled twins.

Convex separable penalties are sums over coordinates of ``weight abs(u) + ridge u^2 / 2`` for lower <= u <= upper. Those
that are not convex have a kind, and the names `bent_*`:

==== ============================================================= =====
rule score                                                         name
==== ============================================================= =====
0    the distance of -g to the subdifferential                     GS-s
1    norm2(d)                                                      GS-r
2    ``-(g d + L norm2(d)^2 / 2 + penalty(x + d) - penalty(x))``   GS-q
==== ============================================================= =====

The *gap* of a slope c is ``penalty(x) + conjugate(c) - c x >= 0``: zero where c is a subgradient at x, inf where x or c
is out of its domain. It is written without a difference of large numbers, and so are the steps d.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

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

MCP, SCAD, HALF = 1, 2, 3
DISTANCE, STEP, DECREASE = range(3)
LEAST = 1e-30
"""Stands for a curvature of zero: a step as long as the penalty lets it be."""
SLACK = 1e-12
"""How far beyond its bound, relatively, rounding may carry a slope that was scaled into the domain of a conjugate."""


def _wide(*arrays: Array) -> tuple[Array, ...]:
    return tuple(a.astype(np.float64, copy=False) for a in arrays)


def _soft(v: Array, t: Any) -> Array:
    found: Array = np.sign(v) * np.maximum(np.abs(v) - t, 0)
    return found


# ---- convex separable penalties


def prox(
    v: Array, step: Array, weight: Array, ridge: Array, lower: Array, upper: Array, out: Array
) -> None:  # fmt: skip
    """Write argmin_u (u - v)^2 / (2 step) + penalty(u). Work: one pass."""
    v, t, w, ridge, lower, upper = _wide(v, step, weight, ridge, lower, upper)
    out[:] = np.clip(_soft(v, t * w) / (1 + t * ridge), lower, upper)


def value(x: Array, weight: Array, ridge: Array, lower: Array, upper: Array) -> float:
    """Return the sum of the penalties, inf where x leaves the bounds. Work: one pass."""
    x, w, ridge, lower, upper = _wide(x, weight, ridge, lower, upper)
    if ((x < lower) | (x > upper)).any():
        return np.inf
    return float((w * np.abs(x) + 0.5 * ridge * x * x).sum())


def scores(
    x: Array, gradient: Array, curvature: Array, weight: Array, ridge: Array, lower: Array, upper: Array, rule: int,
    out: Array,
) -> None:  # fmt: skip
    """Write the scores of all coordinates by one of the rules. Work: one pass."""
    x, g, L, w, ridge, lower, upper = _wide(x, gradient, curvature, weight, ridge, lower, upper)
    if rule == DISTANCE:
        slope = np.sign(x) * w + ridge * x
        low = np.where(x <= lower, -np.inf, np.where(x == 0, -w, slope))
        high = np.where(x >= upper, np.inf, np.where(x == 0, w, slope))
        out[:] = np.maximum(np.maximum(g + low, -(g + high)), 0)
        return
    L = np.maximum(L, LEAST)
    d = _step(x, g, L, w, ridge, lower, upper)
    if rule == STEP:
        out[:] = np.abs(d)
        return
    z = x + d
    change = w * np.where(x * z > 0, np.sign(x) * d, np.abs(z) - np.abs(x)) + ridge * d * (x + 0.5 * d)
    out[:] = np.maximum(-(d * (g + 0.5 * L * d) + change), 0)


def _step(x: Array, g: Array, L: Array, w: Array, ridge: Array, lower: Array, upper: Array) -> Array:
    """Return prox(x - g / L) - x, without that difference where both points have the same sign."""
    up, down = (-(g + s * w + ridge * x) / (L + ridge) for s in (1, -1))
    d = np.where(x + up > 0, up, np.where(x + down < 0, down, -x))
    return np.clip(d, lower - x, upper - x)


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
    """Write out the scores by DECREASE, and into found (3,) what a stopping test asks.

    That is the largest score by DISTANCE, how many coordinates are not zero, and the gap of the term at the
    slope -t `gradient`, where its conjugate is finite. x lies within the bounds. Work: one pass.
    """
    term = weight, ridge, lower, upper
    scores(x, gradient, curvature, *term, DISTANCE, out)
    found[:] = out.max(initial=0), np.count_nonzero(x), gap(x, -t * gradient.astype(np.float64), *term)
    scores(x, gradient, curvature, *term, DECREASE, out)


# ---- separable penalties that are not convex


def bent_prox(v: Array, step: Array, kind: int, weight: Array, gamma: float, out: Array) -> None:
    """Write argmin_u (u - v)^2 / (2 step) + penalty(u); the smaller one of two minimisers. Work: one pass."""
    v, step, weight = _wide(v, step, weight)
    out[:] = _bent_prox(v, step, kind, weight, gamma)


def _bent_prox(v: Array, t: Array, kind: int, w: Array, gamma: float) -> Array:
    size = np.abs(v)
    if kind == MCP:
        slope = np.where(t < gamma, 1 - t / gamma, 1)
        inner = np.where(size <= gamma * w, np.maximum(size - t * w, 0) / slope, size)
        found = np.where(t < gamma, inner, np.where(size > w * np.sqrt(gamma * t), size, 0))
    else:
        found = _scad(size, t, w, gamma) if kind == SCAD else _half(size, t * w)
    return np.copysign(found, v)


def _scad(size: Array, t: Array, w: Array, gamma: float) -> Array:
    """Return the proximal points of sizes v >= 0; where two minima may exist, the values decide."""
    first, last = np.clip(size - t * w, 0, w), np.maximum(size, gamma * w)
    regular = gamma - 1 > t
    bend = np.where(regular, gamma - 1 - t, 1)
    middle = np.clip(((gamma - 1) * size - t * gamma * w) / bend, w, gamma * w)
    unique = np.where(size <= w * (1 + t), first, np.where(size <= gamma * w, middle, size))
    a, b = ((u - size) ** 2 / 2 + t * _values(u, SCAD, w, gamma) for u in (first, last))
    return np.where(regular, unique, np.where(b < a, last, first))


def _half(size: Array, m: Array) -> Array:
    """Return argmin_u (u - size)^2 / 2 + m sqrt(u) (Xu, Chang, Xu and Zhang 2012)."""
    far = size > 1.5 * np.cbrt(m * m)
    safe = np.where(far, size, 1)
    cosine = np.where(far, m / 4 * (safe / 3) ** -1.5, 0)
    return np.where(far, 2 / 3 * safe * (1 + np.cos(2 / 3 * (np.pi - np.arccos(np.minimum(cosine, 1))))), 0)


def bent_value(x: Array, kind: int, weight: Array, gamma: float) -> float:
    """Return the sum of the penalties. Work: one pass."""
    x, weight = _wide(x, weight)
    return float(_values(x, kind, weight, gamma).sum())


def _values(x: Array, kind: int, w: Array, gamma: float) -> Array:
    a = np.abs(x)
    if kind == MCP:
        return np.where(a <= gamma * w, w * a - a * a / (2 * gamma), 0.5 * gamma * w * w)
    if kind == SCAD:
        middle = (2 * gamma * w * a - a * a - w * w) / (2 * (gamma - 1))
        return np.where(a <= w, w * a, np.where(a <= gamma * w, middle, 0.5 * (gamma + 1) * w * w))
    found: Array = w * np.sqrt(a)
    return found


def bent_scores(
    x: Array, gradient: Array, curvature: Array, kind: int, weight: Array, gamma: float, rule: int, out: Array
) -> None:  # fmt: skip
    """Write the scores of all coordinates by one of the rules. Work: one pass."""
    x, g, L, w = _wide(x, gradient, curvature, weight)
    if rule == DISTANCE:
        slope = _slope(np.abs(x), kind, w, gamma)
        low, high = np.where(x > 0, slope, -slope), np.where(x < 0, -slope, slope)
        out[:] = np.maximum(np.maximum(g + low, -(g + high)), 0)
        return
    L = np.maximum(L, LEAST)
    d = _bent_step(x, g, L, kind, w, gamma)
    if rule == STEP:
        out[:] = np.abs(d)
        return
    change = _values(x + d, kind, w, gamma) - _values(x, kind, w, gamma)
    out[:] = np.maximum(-(d * (g + 0.5 * L * d) + change), 0)


def _slope(a: Array, kind: int, w: Array, gamma: float) -> Array:
    """Return the derivative at a > 0, and at 0 the largest subgradient."""
    found: Array
    if kind == MCP:
        found = np.maximum(w - a / gamma, 0)
    elif kind == SCAD:
        found = np.minimum(w, np.maximum(gamma * w - a, 0) / (gamma - 1))
    else:
        found = np.where(a > 0, 0.5 * w / np.sqrt(np.where(a > 0, a, 1)), np.where(w > 0, np.inf, 0))
    return found


def _bent_step(x: Array, g: Array, L: Array, kind: int, w: Array, gamma: float) -> Array:
    """Return prox(x - g / L) - x, without that difference where both points lie on one straight piece of the slope."""
    z = _bent_prox(x - g / L, 1 / L, kind, w, gamma)
    if kind == HALF:
        return z - x
    piece = _piece(x, kind, w, gamma)
    same = (x * z > 0) & (piece == _piece(z, kind, w, gamma))
    bend = np.where(piece == 1, -1 / (gamma if kind == MCP else gamma - 1), 0.0)
    slope = np.sign(x) * _slope(np.abs(x), kind, w, gamma)
    return np.where(same, -(g + slope) / np.where(same, L + bend, 1), z - x)


def _piece(x: Array, kind: int, w: Array, gamma: float) -> Array:
    """Return 0 where the penalty is linear, 1 where it bends, 2 where it is constant."""
    a = np.abs(x)
    start = np.zeros(1) if kind == MCP else w
    return (a > start).astype(int) + (a > gamma * w)


# ---- duality of convex separable penalties


def gap(x: Array, slope: Array, weight: Array, ridge: Array, lower: Array, upper: Array) -> float:
    """Return the gap of `slope`. Work: one pass."""
    x, c, w, ridge, lower, upper = _wide(x, slope, weight, ridge, lower, upper)
    if ((x < lower) | (x > upper)).any():
        return np.inf
    beyond = np.where(np.abs(c) > w * (1 + SLACK), np.sign(c) * (np.abs(c) - w), 0.0)
    u = np.where(ridge > 0, beyond / np.where(ridge > 0, ridge, 1), np.where(beyond == 0, 0, np.copysign(np.inf, c)))
    u = np.clip(u, lower, upper)
    if not np.isfinite(u).all():
        return np.inf
    together = (x - u) * (w * np.sign(x) + 0.5 * ridge * (x + u) - c)
    apart = _from_zero(x, c, w, ridge) - _from_zero(u, c, w, ridge)
    return float(np.maximum(np.where(x * u > 0, together, apart), 0).sum())


def _from_zero(x: Array, c: Array, w: Array, ridge: Array) -> Array:
    found: Array = x * (w * np.sign(x) + 0.5 * ridge * x - c)
    return found


def dual_scale(slope: Array, weight: Array, ridge: Array, lower: Array, upper: Array) -> float:
    """Return the largest t for which the conjugate is finite at t `slope`, inf where it always is. Work: one pass."""
    c, w, ridge, lower, upper = _wide(slope, weight, ridge, lower, upper)
    bounded = (ridge == 0) & (((c > 0) & (upper == np.inf)) | ((c < 0) & (lower == -np.inf)))
    if not bounded.any():
        return np.inf
    return float(np.where(bounded, w / np.where(c != 0, np.abs(c), 1), np.inf).min())


# ---- penalties of groups


def _sums(entries: Array, pointers: Array) -> Array:
    """Return the sums over the blocks; entries are in the order of `indices`."""
    return np.add.reduceat(entries, pointers[:-1]) if len(pointers) > 1 else np.zeros(0)


def _spread(numbers: Array, pointers: Array) -> Array:
    """Return one number per entry from one per block, or one for all."""
    return np.repeat(np.broadcast_to(numbers, (len(pointers) - 1,)), np.diff(pointers))


def _shrink(v: Array, t: Array, pointers: Array, weight: Array, l1: float) -> Array:
    """Return the proximal points of entries in the order of `indices`."""
    e = _soft(v, _spread(t, pointers) * l1)
    norms = np.sqrt(_sums(e * e, pointers))
    return e * _spread(np.maximum(1 - t * weight / np.where(norms > 0, norms, 1), 0), pointers)


def group_prox(
    v: Array, step: Array, pointers: Array, indices: Array, weight: Array, l1: float, out: Array
) -> None:  # fmt: skip
    """Write argmin_u norm2(u - v)^2 / (2 step) + penalty(u). Work: two passes."""
    v, step, weight = _wide(v, step, weight)
    out[indices] = _shrink(v[indices], step, pointers, weight, l1)


def group_value(x: Array, pointers: Array, indices: Array, weight: Array, l1: float) -> float:
    """Return the penalty. Work: one pass."""
    x, weight = _wide(x, weight)
    return float((weight * np.sqrt(_sums(x[indices] ** 2, pointers))).sum() + l1 * np.abs(x).sum())


def group_scores(
    x: Array, gradient: Array, curvature: Array, pointers: Array, indices: Array, weight: Array, l1: float, rule: int,
    out: Array,
) -> None:  # fmt: skip
    """Write the scores of all blocks by one of the rules; curvatures bound the Hessian of a block. Work: few passes."""
    x, g, L, weight = _wide(x, gradient, curvature, weight)
    x, g = x[indices], g[indices]
    norms = np.sqrt(_sums(x * x, pointers))
    if rule == DISTANCE:
        along = _spread(weight / np.where(norms > 0, norms, 1), pointers) * x
        away = np.where(x != 0, g + l1 * np.sign(x) + along, _soft(g, l1))
        distance = np.sqrt(_sums(away * away, pointers))
        out[:] = np.where(norms > 0, distance, np.maximum(distance - weight, 0))
        return
    L = np.maximum(L, LEAST)
    z = _shrink(x - g / _spread(L, pointers), 1 / L, pointers, weight, l1)
    d = z - x
    square = _sums(d * d, pointers)
    if rule == STEP:
        out[:] = np.sqrt(square)
        return
    change = weight * (np.sqrt(_sums(z * z, pointers)) - norms) + l1 * _sums(np.abs(z) - np.abs(x), pointers)
    out[:] = np.maximum(-(_sums(g * d, pointers) + 0.5 * L * square + change), 0)


def group_gap(x: Array, slope: Array, pointers: Array, indices: Array, weight: Array, l1: float) -> float:
    """Return the gap of `slope`. Work: few passes."""
    x, c, weight = _wide(x, slope, weight)
    x, c = x[indices], c[indices]
    e = _soft(c, l1)
    sizes, slopes = (np.sqrt(_sums(v * v, pointers)) for v in (x, e))
    if (slopes > weight + SLACK * (weight + l1)).any():
        return np.inf
    both = (sizes > 0) & (slopes > 0)
    root = np.sqrt(np.where(both, slopes, 1) / np.where(both, sizes, 1))
    turned = (_spread(root, pointers) * x - e / _spread(root, pointers)) ** 2
    angle = np.where(both, 0.5 * _sums(turned, pointers), 0)
    inner = np.abs(x) * (l1 - np.clip(c, -l1, l1) * np.sign(x))
    return float((sizes * np.maximum(weight - slopes, 0) + angle).sum() + inner.sum())


def group_dual_scale(slope: Array, pointers: Array, indices: Array, weight: Array, l1: float) -> float:
    """Return the largest t for which the conjugate is finite at t `slope`, inf for a slope of zero.

    Newton's method on ``norm2(soft(t c_b, l1)) = weight_b`` from above, where it is monotone: the left side is convex.
    Work: few passes.
    """
    c, weight = _wide(slope, weight)
    a = np.abs(c[indices])
    norms, sizes = np.sqrt(_sums(a * a, pointers)), np.diff(pointers)
    open_, safe = norms > 0, np.where(norms > 0, norms, 1)
    t = np.where(open_, (weight + l1 * np.sqrt(sizes)) / safe, np.inf)
    for _ in range(60 if l1 > 0 else 0):
        e = np.maximum(np.where(a > 0, _spread(np.where(open_, t, 0), pointers), 0) * a - l1, 0)
        size = np.sqrt(_sums(e * e, pointers))
        over = size > weight * (1 + 1e-15)
        if not over.any():
            break
        slopes = _sums(a * e, pointers) / np.where(over, size, 1)
        t = np.where(over, t - (size - weight) / np.where(over, slopes, 1), t)
    return float(t.min(initial=np.inf))


# ---- examples


def _separable(rng: np.random.Generator, dtype: Any) -> list[tuple[list[Array], list[Array]]]:
    """Points and slopes near kinks; parameters one for all and one each."""
    found = []
    for p in (0, 1, 30):
        for m in {1, max(p, 1)}:
            x = rng.standard_normal(p) * (rng.random(p) < 0.7)
            weight, ridge, lower, upper = rng.random(m) + 0.2, rng.random(m), np.full(m, -np.inf), np.full(m, np.inf)
            if m > 1:
                weight[::4], lower[::3], upper[::5], ridge[::2] = 0, -0.2, 0.4, 0
            x = np.clip(x, lower, upper)
            vectors = [v.astype(dtype) for v in (x, 2 * rng.standard_normal(p), rng.random(m) + 0.5)]
            found.append((vectors, [v.astype(dtype) for v in (weight, ridge, lower, upper)]))
    return found


def _bent(rng: np.random.Generator, dtype: Any) -> list[tuple[list[Array], int, Array]]:
    return [(v, kind, p[0] + dtype(0.1)) for v, p in _separable(rng, dtype) for kind in (MCP, SCAD, HALF)]


def _scores_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [
        (x, g, L, *parameters, rule, np.zeros_like(x))
        for (x, g, L), parameters in _separable(rng, dtype)
        for rule in range(3)
    ]


def _bent_scores_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [
        (x, g, L, kind, weight, 3.7, rule, np.zeros_like(x))
        for (x, g, L), kind, weight in _bent(rng, dtype)
        for rule in range(3)
    ]


def _dual_examples(rng: np.random.Generator, dtype: Any, with_x: bool) -> list[tuple[Any, ...]]:
    examples: list[tuple[Any, ...]] = []
    for (x, g, _), (weight, ridge, lower, upper) in _separable(rng, dtype):
        weight = weight + dtype(0.1)
        inside = np.clip(g, -0.999 * weight, 0.999 * weight).astype(dtype)
        examples.append((*((x, inside) if with_x else (g,)), weight, ridge, lower, upper))
    return examples


def _groups(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    """x, slopes, numbers per block, blocks, weights and l1."""
    found = []
    for sizes in ((), (1,), (3, 1, 4, 2)):
        pointers = np.cumsum([0, *sizes])
        p, m = int(pointers[-1]), len(sizes)
        for l1 in (0.0, 0.3):
            x = rng.standard_normal(p) * np.repeat(rng.random(m) < 0.6, sizes)
            vectors = [v.astype(dtype) for v in (x, rng.standard_normal(p), rng.random(m) + 0.5)]
            found.append((*vectors, pointers, rng.permutation(p), (rng.random(m) + 0.3).astype(dtype), l1))
    return found


def _group_examples(rng: np.random.Generator, dtype: Any, name: str) -> list[tuple[Any, ...]]:
    examples: list[tuple[Any, ...]] = []
    for x, g, each, pointers, indices, weight, l1 in _groups(rng, dtype):
        tail = (pointers, indices, weight, l1)
        if name == "gap":
            scale = min(1.0, 0.999 * group_dual_scale(g, *tail))
            examples.append((x, (scale * g).astype(dtype), *tail))
        elif name == "scores":
            examples += [(x, g, each, *tail, rule, np.zeros_like(each)) for rule in range(3)]
        else:
            head = {"prox": (g, each), "value": (x,), "dual_scale": (g,)}[name]
            examples.append((*head, *tail, *([np.zeros_like(x)] if name == "prox" else [])))
    return examples


def _look(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for p in (0, 1, 30):
        x = (rng.standard_normal(p) * (rng.random(p) < 0.6)).astype(dtype)
        gradient, curvature = rng.standard_normal(p).astype(dtype), rng.random(p).astype(dtype)
        for lower, upper, ridge in ((-np.inf, np.inf, 0.0), (-np.inf, np.inf, 0.3), (0.0, np.inf, 0.0), (-0.5, 1.0, 0)):
            one = [np.full(1, v) for v in (0.7, ridge, lower, upper)]
            many = [rng.random(p), *(np.full(p, v) for v in (ridge, lower, upper))]
            for term in (one, many):
                within = np.clip(x, lower, upper).astype(dtype)
                t = min(dual_scale(-gradient, *term), 1.0) if p else 1.0
                made.append((within, gradient, curvature, *term, t * (1 - 1e-15), np.zeros(p), np.zeros(3)))
    return made


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], list[tuple[Any, ...]]]] = {
    "prox": lambda rng, dtype: [
        (2 * g, step, *parameters, np.zeros_like(g)) for (_, g, step), parameters in _separable(rng, dtype)
    ],
    "value": lambda rng, dtype: [(v[0], *parameters) for v, parameters in _separable(rng, dtype)],
    "bent_prox": lambda rng, dtype: [
        (2 * g, step, kind, weight, 3.7, np.zeros_like(g)) for (_, g, step), kind, weight in _bent(rng, dtype)
    ],
    "bent_value": lambda rng, dtype: [(v[0], kind, weight, 3.7) for v, kind, weight in _bent(rng, dtype)],
    "bent_scores": _bent_scores_examples,
    "scores": _scores_examples,
    "look": _look,
    "gap": lambda rng, dtype: _dual_examples(rng, dtype, True),
    "dual_scale": lambda rng, dtype: _dual_examples(rng, dtype, False),
    "group_prox": lambda rng, dtype: _group_examples(rng, dtype, "prox"),
    "group_value": lambda rng, dtype: _group_examples(rng, dtype, "value"),
    "group_scores": lambda rng, dtype: _group_examples(rng, dtype, "scores"),
    "group_gap": lambda rng, dtype: _group_examples(rng, dtype, "gap"),
    "group_dual_scale": lambda rng, dtype: _group_examples(rng, dtype, "dual_scale"),
}
