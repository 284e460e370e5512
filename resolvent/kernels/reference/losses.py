"""Losses of samples, f(z) = sum_i w_i phi(z_i, y_i), the meaning of the compiled twins.

==== ============== ================================================================= ============= =============
kind                  phi(z, y)                                                         targets       parameter
==== ============== ================================================================= ============= =============
0    least squares  (z - y)^2 / 2                                                     real
1    logistic       log(1 + exp(-y z))                                                -1 or 1
2    Huber          r^2 / 2 for abs(r) <= d, else d abs(r) - d^2 / 2, with r = z - y  real          d
3    Poisson        exp(z) - y z                                                      >= 0
4    squared hinge  max(0, 1 - y z)^2 / 2                                             -1 or 1
5    softmax        log sum_c exp(z_c) - z_y, z a row of (n, k)                       0, ..., k - 1
==== ============== ================================================================= ============= =============

All arrays but those of the softmax are flat, (n,). Weights have one entry per sample, or one for all. Everything is
computed in float64, whatever the type of the arrays. Outputs of no entry are not computed.

The *gap* of a slope s is ``sum_i w_i (phi(z_i) + phi*(s_i / w_i)) - s_i z_i >= 0``, phi* the conjugate: zero where s is
the derivative at z, inf where phi* is. It is written without a difference of large numbers: as a square, or as an
entropy ``q log(q / p) - q + p`` of the mean p at z and the mean q that s belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resolvent.typing import Array

__all__ = ["evaluate", "evaluate_softmax", "gap", "gap_softmax", "logistic", "logistic_gap"]

LEAST_SQUARES, LOGISTIC, HUBER, POISSON, SQUARED_HINGE, SOFTMAX = range(6)
FAR = 600.0
SMALL = 1e-3
"""Below this |a| the entropy (1 + a) log(1 + a) - a is summed as a series of five terms, to 14 digits."""


def evaluate(
    z: Array, y: Array, weights: Array, kind: int, parameter: float, derivative: Array, curvature: Array
) -> float:
    """Return f(z), and write its first and second derivatives w_i phi'(z_i) and w_i phi''(z_i).

    Work: one pass; an exponential and a logarithm per sample for kinds 1 and 3.
    """
    z, y, w = (a.astype(np.float64, copy=False) for a in (z, y, weights))
    with np.errstate(over="ignore", invalid="ignore"):
        value, slope, bend = _POINTWISE[kind](z, y, parameter)
        if derivative.size:
            derivative[:] = w * slope
        if curvature.size:
            curvature[:] = w * bend
        return float((w * value).sum())


def _least_squares(z: Array, y: Array, _: float) -> tuple[Array, Array, Array]:
    r = z - y
    return 0.5 * r * r, r, np.ones_like(z)


def _logistic(z: Array, y: Array, _: float) -> tuple[Array, Array, Array]:
    t = y * z
    small = np.exp(-np.abs(t))
    p = np.where(t > 0, small, 1) / (1 + small)
    return np.maximum(-t, 0) + np.log1p(small), -y * p, small / (1 + small) ** 2


def _huber(z: Array, y: Array, d: float) -> tuple[Array, Array, Array]:
    r = z - y
    inside = np.abs(r) <= d
    value = np.where(inside, 0.5 * r * r, d * (np.abs(r) - 0.5 * d))
    return value, np.clip(r, -d, d), inside.astype(np.float64)


def _poisson(z: Array, y: Array, _: float) -> tuple[Array, Array, Array]:
    mean = np.exp(z)
    return mean - y * z, mean - y, mean


def _squared_hinge(z: Array, y: Array, _: float) -> tuple[Array, Array, Array]:
    short = np.maximum(1 - y * z, 0)
    return 0.5 * short * short, -y * short, (short > 0).astype(np.float64)


_POINTWISE: dict[int, Callable[[Array, Array, float], tuple[Array, Array, Array]]] = {
    LEAST_SQUARES: _least_squares,
    LOGISTIC: _logistic,
    HUBER: _huber,
    POISSON: _poisson,
    SQUARED_HINGE: _squared_hinge,
}


def logistic(z: Array, y: Array, weights: Array, derivative: Array, curvature: Array) -> float:
    """Do what `evaluate` does for kind 1, with room (n,) for both derivatives: alone it compiles in half the time."""
    return evaluate(z, y, weights, LOGISTIC, 0.0, derivative, curvature)


def logistic_gap(z: Array, slope: Array, y: Array, weights: Array) -> float:
    """Do what `gap` does for kind 1; nan where a margin is above 600, which `gap` is for."""
    near = (np.abs(y.astype(np.float64) * z) <= FAR).all()
    found = gap(z, slope, y, weights, LOGISTIC, 0.0)
    return found if near or found == np.inf else np.nan


def evaluate_softmax(z: Array, labels: Array, weights: Array, derivative: Array, curvature: Array) -> float:
    """Return the softmax loss of z (n, k), and write its derivatives, the second ones of each z_ic alone: (n, k).

    Work: one pass, k exponentials per sample.
    """
    z, w = z.astype(np.float64, copy=False), weights.astype(np.float64, copy=False)[:, None]
    own = (np.arange(len(z)), labels)
    logs = _log_probabilities(z)
    p = np.exp(logs)
    if derivative.size:
        slope = p.copy()
        slope[own] -= 1
        derivative[:] = w * slope
    if curvature.size:
        curvature[:] = w * p * (1 - p)
    return float(-(w[:, 0] * logs[own]).sum())


def _log_probabilities(z: Array) -> Array:
    shifted = z - z.max(axis=1, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found


def gap(z: Array, slope: Array, y: Array, weights: Array, kind: int, parameter: float) -> float:
    """Return the gap of `slope`. Work: one pass; an exponential and two logarithms per sample for kinds 1 and 3."""
    slack = _slack(slope)
    z, y, slope, w = (a.astype(np.float64, copy=False) for a in (z, y, slope, weights))
    w = np.broadcast_to(w, z.shape)
    if (slope[w == 0] != 0).any():
        return np.inf
    z, y, slope, w = (a[w > 0] for a in (z, y, slope, w))
    with np.errstate(over="ignore", invalid="ignore"):
        values = _GAPS[kind](z, y, slope / w, parameter, slack)
        return float((w * values).sum())


def _slack(slope: Array) -> float:
    """Return how far rounding may carry a slope out of the domain of the conjugate."""
    return 1e-6 if slope.itemsize == 4 else 1e-14


def _inside(values: Array, inside: Array) -> Array:
    return np.where(inside, values, np.inf)


def _least_squares_gap(z: Array, y: Array, s: Array, _: float, slack: float) -> Array:
    e: Array = z - y - s
    return 0.5 * e * e


def _logistic_gap(z: Array, y: Array, s: Array, _: float, slack: float) -> Array:
    t, v = y * z, -y * s
    q = np.clip(v, 0, 1)
    p, other = np.exp(-np.logaddexp(0, t)), np.exp(-np.logaddexp(0, -t))
    found = _entropy(q, p, -np.logaddexp(0, t)) + _entropy(1 - q, other, -np.logaddexp(0, -t))
    return _inside(found, np.abs(v - q) <= slack)


def _huber_gap(z: Array, y: Array, s: Array, d: float, slack: float) -> Array:
    r, outside = z - y, np.abs(s) > d * (1 + slack)
    s = np.clip(s, -d, d)
    size, along = np.abs(r), s * np.sign(r)
    found = np.where(size <= d, 0.5 * (r - s) ** 2, (d - along) * (size - 0.5 * (d + along)))
    return _inside(found, ~outside)


def _poisson_gap(z: Array, y: Array, s: Array, _: float, slack: float) -> Array:
    q = s + y
    return _inside(_entropy(np.maximum(q, 0), np.exp(z), z), q >= -slack * (1 + y))


def _squared_hinge_gap(z: Array, y: Array, s: Array, _: float, slack: float) -> Array:
    short, v = 1 - y * z, -y * s
    found = np.where(short > 0, 0.5 * (short - v) ** 2, v * (0.5 * v - short))
    return _inside(found, v >= 0)


_GAPS: dict[int, Callable[[Array, Array, Array, float, float], Array]] = {
    LEAST_SQUARES: _least_squares_gap,
    LOGISTIC: _logistic_gap,
    HUBER: _huber_gap,
    POISSON: _poisson_gap,
    SQUARED_HINGE: _squared_hinge_gap,
}


def gap_softmax(z: Array, slope: Array, labels: Array, weights: Array) -> float:
    """Return the gap of `slope` (n, k) for the softmax loss at z (n, k).

    It is finite where the slope is w (q - e_y) with a distribution q for each sample, up to rounding. Work: one pass.
    """
    slack = _slack(slope)
    z, slope = z.astype(np.float64, copy=False), slope.astype(np.float64, copy=False)
    w = np.broadcast_to(weights.astype(np.float64, copy=False), z.shape[:1])
    if (slope[w == 0] != 0).any():
        return np.inf
    z, slope, labels, w = z[w > 0], slope[w > 0], labels[w > 0], w[w > 0]
    q = slope / w[:, None]
    if (np.abs(q.sum(axis=1)) > slack * z.shape[1]).any():
        return np.inf
    q[np.arange(len(z)), labels] += 1
    if (q < -slack).any():
        return np.inf
    logs = _log_probabilities(z)
    return float((w[:, None] * _entropy(np.maximum(q, 0), np.exp(logs), logs)).sum())


def _entropy(q: Array, p: Array, log_p: Array) -> Array:
    """Return q log(q / p) - q + p >= 0, entry by entry; q log q is 0 at 0."""
    tiny = p < 1e-290
    a = np.where(p == np.inf, -1, (q - p) / np.where(tiny, 1, p))
    near = np.abs(a) < SMALL
    series = a * a * (1 / 2 - a * (1 / 6 - a * (1 / 12 - a * (1 / 20 - a / 30))))
    far = np.where(near | (a <= -1), 0, a)
    found = p * np.where(near, series, np.where(a <= -1, 1, (1 + far) * np.log1p(far) - far))
    logs = np.log(np.where(q > 0, q, 1))
    return np.where(tiny, np.where(q > 0, q * (logs - log_p) - q + p, p), found)


def _samples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    """Points, targets and weights of every kind, without weights too."""
    found = []
    for n in (0, 1, 40):
        real, signs, counts = rng.standard_normal(n), np.where(rng.random(n) < 0.5, -1.0, 1.0), rng.poisson(2.0, n)
        for kind, y in enumerate((real, signs, real, counts, signs)):
            weights = np.ones(1) if kind % 2 else rng.random(n) + (np.arange(n) % 3 > 0)
            arrays = [a.astype(dtype) for a in (2 * rng.standard_normal(n), y, weights)]
            found.append((*arrays, kind, 0.7))
    return found


def _evaluate_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    examples = []
    for z, y, weights, kind, parameter in _samples(rng, dtype):
        examples.append((z, y, weights, kind, parameter, np.zeros_like(z), np.zeros_like(z)))
    z, y, weights, kind, parameter = _samples(rng, dtype)[-4]
    return [*examples, (z, y, weights, kind, parameter, np.zeros(0, dtype), np.zeros(0, dtype))]


def _gap_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    examples = []
    for z, y, weights, kind, parameter in _samples(rng, dtype):
        slope = np.zeros_like(z)
        evaluate(z, y, weights, kind, parameter, slope, np.zeros(0))
        for shrink in (0.3, 0.9999):
            examples.append((z, (shrink * slope).astype(dtype), y, weights, kind, parameter))
    return examples


def _softmax_examples(rng: np.random.Generator, dtype: Any, with_slope: bool) -> list[tuple[Any, ...]]:
    examples: list[tuple[Any, ...]] = []
    for n, k in ((0, 3), (1, 1), (20, 4)):
        z, labels = (3 * rng.standard_normal((n, k))).astype(dtype), rng.integers(0, k, n)
        weights, slope = (rng.random(n) + 0.5).astype(dtype), np.zeros((n, k), dtype)
        if with_slope:
            evaluate_softmax(z, labels, weights, slope, np.zeros((0, 0)))
            examples.append((z, (0.9 * slope).astype(dtype), labels, weights))
        else:
            examples.append((z, labels, weights, slope, np.zeros_like(slope)))
    return examples


def _logistic_of(examples: list[tuple[Any, ...]], kind: int) -> list[tuple[Any, ...]]:
    return [(*e[:kind], *e[kind + 2 :]) for e in examples if e[kind] == LOGISTIC]


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], list[tuple[Any, ...]]]] = {
    "evaluate": _evaluate_examples,
    "evaluate_softmax": lambda rng, dtype: _softmax_examples(rng, dtype, False),
    "gap": _gap_examples,
    "gap_softmax": lambda rng, dtype: _softmax_examples(rng, dtype, True),
    "logistic": lambda rng, dtype: [
        e for e in _logistic_of(_evaluate_examples(rng, dtype), 3) if len(e[3]) == len(e[4]) == len(e[0])
    ],
    "logistic_gap": lambda rng, dtype: _logistic_of(_gap_examples(rng, dtype), 4),
}
