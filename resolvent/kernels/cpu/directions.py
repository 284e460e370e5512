"""Work on retained directions, compiled. Meaning and shapes: `resolvent.kernels.reference.directions`.

Sums may be reordered (for SIMD), nan and inf are kept. Retained directions are taken two at a time, so that the usual
two cost one pass.
"""

from __future__ import annotations

import numpy as np

from resolvent.kernels.cpu.compiling import REORDERED, kernel
from resolvent.typing import Array

__all__ = ["blend", "measure", "products", "subtract"]

compiled = kernel(REORDERED)


@compiled
def _three(z: Array, a: Array, b: Array) -> tuple[float, float, float]:
    first = second = own = 0.0
    for i in range(z.shape[0]):
        wide = np.float64(z[i])
        first += wide * np.float64(a[i])
        second += wide * np.float64(b[i])
        own += wide * wide
    return first, second, own


@compiled
def _two(z: Array, a: Array) -> tuple[float, float]:
    first = own = 0.0
    for i in range(z.shape[0]):
        wide = np.float64(z[i])
        first += wide * np.float64(a[i])
        own += wide * wide
    return first, own


@compiled
def products(z: Array, Q: Array, rows: Array) -> Array:
    m = rows.shape[0]
    out = np.empty(m + 1)
    for j in range(0, m - 1, 2):
        out[j], out[j + 1], out[m] = _three(z, Q[rows[j]], Q[rows[j + 1]])
    if m % 2:
        out[m - 1], out[m] = _two(z, Q[rows[m - 1]])
    elif m == 0:
        out[0], _ = _two(z, z)
    return out


@compiled
def subtract(z: Array, P: Array, rows: Array, coefficients: Array) -> None:
    m = rows.shape[0]
    for j in range(0, m - 1, 2):
        a, b = P[rows[j]], P[rows[j + 1]]
        c, d = z.dtype.type(coefficients[j]), z.dtype.type(coefficients[j + 1])
        for i in range(z.shape[0]):
            z[i] = z[i] - c * a[i] - d * b[i]
    if m % 2:
        a, c = P[rows[m - 1]], z.dtype.type(coefficients[m - 1])
        for i in range(z.shape[0]):
            z[i] -= c * a[i]


@compiled
def measure(p: Array, y: Array, r: Array, q: Array) -> Array:
    curvature = slope = square = 0.0
    for i in range(p.shape[0]):
        wide = np.float64(p[i])
        q[i] = y[i]
        curvature += wide * np.float64(y[i])
        slope += wide * np.float64(r[i])
        square += wide * wide
    return np.array([curvature, slope, square])


@compiled
def blend(p: Array, q: Array, d: Array, e: Array, first: float, second: float) -> None:
    one, two = p.dtype.type(first), p.dtype.type(second)
    for i in range(p.shape[0]):
        p[i] = one * p[i] + two * d[i]
        q[i] = one * q[i] + two * e[i]
