"""What steps of a working set ask of a small problem: the meaning of the compiled twins.

On a small problem a call of a function costs as much as a pass over x. So one pass answers all that is asked of all
coordinates, and one call sweeps over a block until its face is known.

Shapes: x, gradient, curvature, scores (p,); weight, ridge, lower, upper (p,) or (1,), for `rounds` (m,); H (m, m) or
larger, x, g, signs, change (m,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resolvent.kernels.reference import descent, prox
from resolvent.typing import Array

__all__ = ["face_step", "look", "rounds"]


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
    """Write the scores by `prox.DECREASE`, and into found (3,) what a stopping test asks.

    That is the largest score by `prox.DISTANCE`, how many coordinates are not zero, and the gap of the term at the
    slope -t `gradient`, where its conjugate is finite. x lies within the bounds. Work: one pass.
    """
    term = weight, ridge, lower, upper
    prox.scores(x, gradient, curvature, *term, prox.DISTANCE, scores)
    found[:] = scores.max(initial=0), np.count_nonzero(x), prox.gap(x, -t * gradient.astype(np.float64), *term)
    prox.scores(x, gradient, curvature, *term, prox.DECREASE, scores)


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
    """Sweep over a block of given H in rounds, as `descent.gram_sweeps` does, until its face is known; return how many.

    It is where two rounds agree on the signs of coordinates between their bounds (1 where nothing is penalised) but for
    a part `unsettled` of those that are not zero. The rounds also end where the last change is at most `tolerance`, or
    after `most` of them. x, g, the signs and the last change (1,) are updated. Work: that of the sweeps.
    """
    made, before = 0, None
    while made < most:
        descent.gram_sweeps(H, g, x, weight, ridge, lower, upper, sweeps, tolerance, change)
        made += 1
        if change[0] <= tolerance:
            break
        signs[:] = np.where((x <= lower) | (x >= upper), 0, np.where(weight == 0, 1, np.sign(x)))
        if before is not None and np.count_nonzero(signs != before) <= unsettled * np.count_nonzero(signs):
            break
        before = signs.copy()
    return made


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
    """Take the step d on the face, cut where signs change and at bounds, if it lowers the model; g follows x.

    The face (f,) has the places where the signs are not 0. d (f,) becomes the step that was cut, and change what it
    does to g. Work: 2 f m.
    """
    old, w, e = x[face], weight[face], ridge[face]
    new = old + d
    new[(new * signs[face] < 0) & (w > 0)] = 0
    new = np.clip(new, lower[face], upper[face])
    d[:] = new - old
    change[:] = d @ H[face, : len(x)]
    term = w @ (np.abs(new) - np.abs(old)) + 0.5 * e @ (d * (new + old))
    if d @ g[face] + 0.5 * d @ change[face] + term < 0:
        x[face] += d
        g += change


# ---- examples


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
                t = min(prox.dual_scale(-gradient, *term), 1.0) if p else 1.0
                made.append((within, gradient, curvature, *term, t * (1 - 1e-15), np.zeros(p), np.zeros(3)))
    return made


def _rounds(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for m, sweeps, unsettled in ((0, 2, 0.0), (1, 1, 0.0), (8, 1, 0.1), (12, 3, 0.0)):
        A = rng.standard_normal((2 * m, m)).astype(dtype)
        term = [np.full(m, v, dtype) for v in (0.5, 0.1, -0.5, np.inf)]
        term[0][: m // 4] = 0
        g, x, change = rng.standard_normal(m).astype(dtype), np.zeros(m, dtype), np.zeros(1, dtype)
        made.append((A.T @ A, g, x, *term, sweeps, 1e-6, 5, unsettled, np.zeros(m), change))
    return made


def _face_step(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for H, g, x, *term, _, _, _, _, signs, _ in _rounds(rng, dtype):
        m = len(x)
        x[:] = rng.standard_normal(m).clip(-0.4, 1)
        signs[: m // 2] = np.sign(x[: m // 2])
        face = np.flatnonzero(signs)
        made += [(H, g, x, *term, signs, face, -length * g[face], np.zeros(m, dtype)) for length in (0.01, 1.0)]
    return made


EXAMPLES: dict[str, Callable[..., Any]] = {
    "face_step": _face_step,
    "look": _look,
    "rounds": _rounds,
}
