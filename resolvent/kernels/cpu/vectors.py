"""The vector work of Krylov methods, compiled. Meaning and shapes: `resolvent.kernels.reference.vectors`.

Sums may be reordered (for SIMD), nan and inf are kept.
"""

from __future__ import annotations

import numpy as np

from resolvent.kernels.cpu.compiling import REORDERED, kernel
from resolvent.typing import Array

__all__ = ["advance", "direction", "dot", "minimum_residual", "subtract_rows", "three_terms"]

BLOCK = 4096
"""So many entries of a vector, and of 30 rows beside it, stay in the second cache of a core (1 MB)."""

compiled = kernel(REORDERED)


@compiled
def advance(x: Array, r: Array, p: Array, q: Array, alpha: float) -> float:
    step = x.dtype.type(alpha)
    total = 0.0
    for i in range(x.shape[0]):
        x[i] += step * p[i]
        r[i] -= step * q[i]
        total += np.float64(r[i]) * np.float64(r[i])
    return total


@compiled
def direction(z: Array, p: Array, beta: float) -> None:
    factor = p.dtype.type(beta)
    for i in range(p.shape[0]):
        p[i] = z[i] + factor * p[i]


@compiled
def dot(u: Array, v: Array) -> float:
    total = 0.0
    for i in range(u.shape[0]):
        total += np.float64(u[i]) * np.float64(v[i])
    return total


@compiled
def three_terms(y: Array, u: Array, v: Array, a: float, b: float, out: Array) -> None:
    one, two = out.dtype.type(a), out.dtype.type(b)
    for i in range(out.shape[0]):
        out[i] = y[i] - one * u[i] - two * v[i]


@compiled
def minimum_residual(
    x: Array, r: Array, w: Array, w_before: Array, z: Array, v: Array, y: Array, numbers: tuple[float, ...]
) -> float:
    kind = x.dtype.type
    a_2, a_3, tau = kind(numbers[1]), kind(numbers[2]), kind(numbers[3])
    keep, part, scale, inverse = kind(numbers[4]), kind(numbers[5]), kind(numbers[6]), kind(1 / numbers[0])
    total = 0.0
    for i in range(x.shape[0]):
        direction = (z[i] - a_2 * w[i] - a_3 * w_before[i]) * inverse
        w_before[i] = direction
        x[i] += tau * direction
        r[i] = keep * r[i] + part * v[i]
        z[i] = scale * y[i]
        total += np.float64(r[i]) * np.float64(r[i])
    return total


@compiled
def subtract_rows(w: Array, V: Array, h: Array) -> Array:
    k, n = V.shape
    products = np.zeros(k)
    for lo in range(0, n, BLOCK):
        hi = min(lo + BLOCK, n)
        _take_off(w[lo:hi], V, lo, hi, h)
        _add_products(w[lo:hi], V, lo, hi, products)
    return products


@compiled
def _take_off(part: Array, V: Array, lo: int, hi: int, h: Array) -> None:
    """part -= V^T h in the columns from lo to hi, four rows at once: part is read and written a fourth as often."""
    k, kind = V.shape[0], part.dtype.type
    for j in range(0, k - 3, 4):
        one, two, three, four = V[j, lo:hi], V[j + 1, lo:hi], V[j + 2, lo:hi], V[j + 3, lo:hi]
        a, b, c, d = kind(h[j]), kind(h[j + 1]), kind(h[j + 2]), kind(h[j + 3])
        for i in range(part.shape[0]):
            part[i] -= a * one[i] + b * two[i] + c * three[i] + d * four[i]
    for j in range(k - k % 4, k):
        row, factor = V[j, lo:hi], kind(h[j])
        for i in range(part.shape[0]):
            part[i] -= factor * row[i]


@compiled
def _add_products(part: Array, V: Array, lo: int, hi: int, products: Array) -> None:
    """products += V part in the columns from lo to hi, four rows at once."""
    k = V.shape[0]
    for j in range(0, k - 3, 4):
        one, two, three, four = V[j, lo:hi], V[j + 1, lo:hi], V[j + 2, lo:hi], V[j + 3, lo:hi]
        a = b = c = d = 0.0
        for i in range(part.shape[0]):
            x = np.float64(part[i])
            a += np.float64(one[i]) * x
            b += np.float64(two[i]) * x
            c += np.float64(three[i]) * x
            d += np.float64(four[i]) * x
        products[j] += a
        products[j + 1] += b
        products[j + 2] += c
        products[j + 3] += d
    for j in range(k - k % 4, k):
        row, total = V[j, lo:hi], 0.0
        for i in range(part.shape[0]):
            total += np.float64(row[i]) * np.float64(part[i])
        products[j] += total
