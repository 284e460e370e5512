"""Losses of samples, compiled. Meaning and formulas: `resolvent.kernels.reference.losses`."""

from __future__ import annotations

from math import exp, inf, log, log1p

import numpy as np

from resolvent.kernels.cpu.compiling import REORDERED, helper, kernel
from resolvent.kernels.cpu.elementary import exponential, inlined, logarithm, logarithm_1p
from resolvent.typing import Array

__all__ = ["evaluate", "evaluate_softmax", "gap", "gap_softmax", "logistic", "logistic_gap"]

compiled = kernel()
inside = helper()
vectorised = kernel(REORDERED)

LEAST_SQUARES, LOGISTIC, HUBER, POISSON, SQUARED_HINGE, SOFTMAX = range(6)
SMALL, SERIES = 1e-3, 1e-2
FAR = 600.0


@inside
def _sample(z: float, y: float, kind: int, d: float) -> tuple[float, float, float]:
    """Return the loss of a sample, and its first and second derivative."""
    if kind == LOGISTIC:
        small = exp(-abs(y * z))
        p = (small if y * z > 0 else 1.0) / (1 + small)
        return max(-y * z, 0.0) + log1p(small), -y * p, small / (1 + small) / (1 + small)
    if kind == POISSON:
        mean = exp(z)
        return mean - y * z, mean - y, mean
    if kind == SQUARED_HINGE:
        short = max(1 - y * z, 0.0)
        return 0.5 * short * short, -y * short, (1.0 if short > 0 else 0.0)
    r = z - y
    if kind == HUBER and abs(r) > d:
        return d * (abs(r) - 0.5 * d), (d if r > 0 else -d), 0.0
    return 0.5 * r * r, r, 1.0


@vectorised
def logistic(z: Array, y: Array, weights: Array, derivative: Array, curvature: Array) -> float:
    total, stride = 0.0, 1 if weights.shape[0] > 1 else 0
    for i in range(z.shape[0]):
        w, label = np.float64(weights[i * stride]), np.float64(y[i])
        t = label * np.float64(z[i])
        small = exponential(-abs(t))
        inverse = 1 / (1 + small)
        total += w * ((0.0 if t > 0 else -t) + logarithm_1p(small))
        derivative[i] = -w * label * ((small if t > 0 else 1.0) * inverse)
        curvature[i] = w * (small * inverse * inverse)
    return total


@compiled
def evaluate(
    z: Array, y: Array, weights: Array, kind: int, parameter: float, derivative: Array, curvature: Array
) -> float:
    total, stride = 0.0, 1 if weights.shape[0] > 1 else 0
    for i in range(z.shape[0]):
        w = np.float64(weights[i * stride])
        value, slope, bend = _sample(np.float64(z[i]), np.float64(y[i]), kind, parameter)
        total += w * value
        if derivative.shape[0] > 0:
            derivative[i] = w * slope
        if curvature.shape[0] > 0:
            curvature[i] = w * bend
    return total


@compiled
def evaluate_softmax(z: Array, labels: Array, weights: Array, derivative: Array, curvature: Array) -> float:
    total, k, stride = 0.0, z.shape[1], 1 if weights.shape[0] > 1 else 0
    logs = np.empty(k)
    for i in range(z.shape[0]):
        w = np.float64(weights[i * stride])
        _log_probabilities(z, i, logs)
        total -= w * logs[labels[i]]
        if derivative.shape[0] > 0:
            for c in range(k):
                derivative[i, c] = w * (exp(logs[c]) - (1 if c == labels[i] else 0))
        if curvature.shape[0] > 0:
            for c in range(k):
                p = exp(logs[c])
                curvature[i, c] = w * p * (1 - p)
    return total


@inside
def _log_probabilities(z: Array, i: int, logs: Array) -> None:
    most, total = -inf, 0.0
    for c in range(z.shape[1]):
        logs[c] = np.float64(z[i, c])
        most = max(most, logs[c])
    for c in range(z.shape[1]):
        logs[c] -= most
        total += exp(logs[c])
    shift = log(total)
    for c in range(z.shape[1]):
        logs[c] -= shift


@inside
def _entropy(q: float, p: float, log_p: float) -> float:
    """Return q log(q / p) - q + p >= 0."""
    if p < 1e-290:
        return q * (log(q) - log_p) - q + p if q > 0 else p
    if p == inf:
        return inf
    a = (q - p) / p
    if abs(a) < SMALL:
        return p * a * a * (1 / 2 - a * (1 / 6 - a * (1 / 12 - a * (1 / 20 - a / 30))))
    return p * ((1 + a) * log1p(a) - a) if a > -1 else p


@inside
def _gap(z: float, y: float, s: float, kind: int, d: float, slack: float) -> float:
    """Return the gap of a slope of one sample."""
    if kind == LOGISTIC:
        t, v = y * z, -y * s
        q = min(max(v, 0.0), 1.0)
        if not abs(v - q) <= slack:
            return inf
        small = log1p(exp(-abs(t)))
        log_p, log_other = -max(t, 0.0) - small, -max(-t, 0.0) - small
        return _entropy(q, exp(log_p), log_p) + _entropy(1 - q, exp(log_other), log_other)
    if kind == POISSON:
        q = s + y
        return _entropy(max(q, 0.0), exp(z), z) if q >= -slack * (1 + y) else inf
    if kind == SQUARED_HINGE:
        short, v = 1 - y * z, -y * s
        if not v >= 0:
            return inf
        return 0.5 * (short - v) * (short - v) if short > 0 else v * (0.5 * v - short)
    r = z - y
    if kind == HUBER:
        if not abs(s) <= d * (1 + slack):
            return inf
        s = min(max(s, -d), d)
        if abs(r) > d:
            along = s if r > 0 else -s
            return (d - along) * (abs(r) - 0.5 * (d + along))
    return 0.5 * (r - s) * (r - s)


@inlined
def _divergence(q: float, p: float) -> float:
    """Return q log(q / p) - q + p for p > 0."""
    a = (q - p) / p
    series = a * a * (1 / 2 - a * (1 / 6 - a * (1 / 12 - a * (1 / 20 - a * (1 / 30 - a * (1 / 42 - a / 56))))))
    u = 1 + a if a > -1 else 1e-300
    return p * (series if abs(a) < SERIES else u * logarithm(u) - a)


@vectorised
def logistic_gap(z: Array, slope: Array, y: Array, weights: Array) -> float:
    slack = 1e-6 if slope.itemsize == 4 else 1e-14
    total, outside, far, stride = 0.0, 0.0, 0.0, 1 if weights.shape[0] > 1 else 0
    for i in range(z.shape[0]):
        w, label, s = np.float64(weights[i * stride]), np.float64(y[i]), np.float64(slope[i])
        t, v = label * np.float64(z[i]), -label * s / (w if w > 0 else 1.0)
        q = min(max(v, 0.0), 1.0)
        outside += 0.0 if abs(v - q) <= (slack if w > 0 else 0.0) else 1.0
        small = exponential(-abs(t))
        inverse = 1 / (1 + small)
        rare = q if t > 0 else 1 - q  # what the less likely label has
        total += w * (_divergence(rare, small * inverse) + _divergence(1 - rare, inverse))
        far += 1.0 if abs(t) > FAR else 0.0
    return np.inf if outside > 0 else np.nan if far > 0 else total


@compiled
def gap(z: Array, slope: Array, y: Array, weights: Array, kind: int, parameter: float) -> float:
    total, stride = 0.0, 1 if weights.shape[0] > 1 else 0
    slack = 1e-6 if slope.itemsize == 4 else 1e-14
    if kind == LOGISTIC:
        total = logistic_gap(z, slope, y, weights)
        if total == total:
            return total
        total = 0.0
    for i in range(z.shape[0]):
        w, s = np.float64(weights[i * stride]), np.float64(slope[i])
        if w > 0:
            total += w * _gap(np.float64(z[i]), np.float64(y[i]), s / w, kind, parameter, slack)
        elif s != 0:
            return inf
    return total


@compiled
def gap_softmax(z: Array, slope: Array, labels: Array, weights: Array) -> float:
    total, k, stride = 0.0, z.shape[1], 1 if weights.shape[0] > 1 else 0
    slack = 1e-6 if slope.itemsize == 4 else 1e-14
    logs = np.empty(k)
    for i in range(z.shape[0]):
        w, off = np.float64(weights[i * stride]), 0.0
        _log_probabilities(z, i, logs)
        for c in range(k):
            if w > 0:
                s = np.float64(slope[i, c]) / w
                q = s + (1 if c == labels[i] else 0)
                if not q >= -slack:
                    return inf
                off += s
                total += w * _entropy(max(q, 0.0), exp(logs[c]), logs[c])
            elif slope[i, c] != 0:
                return inf
        if abs(off) > slack * k:
            return inf
    return total


CUSTOM = '''"""A loss given by functions of numbers (z_i, y_i)."""
import numpy as np
from numba import njit
from functions import value, derivative, curvature


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate(z, y, weights, slopes, bends):
    total, stride = 0.0, 1 if weights.shape[0] > 1 else 0
    for i in range(z.shape[0]):
        w, t, target = np.float64(weights[i * stride]), np.float64(z[i]), np.float64(y[i])
        total += w * value(t, target)
        if slopes.shape[0] > 0:
            slopes[i] = w * derivative(t, target)
        if bends.shape[0] > 0:
            bends[i] = w * curvature(t, target)
    return total
'''
