"""The vector work of conjugate gradients, compiled. Meaning and shapes: `resolvent.kernels.reference.vectors`.

Sums may be reordered (for SIMD), nan and inf are kept.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from resolvent.typing import Array

__all__ = ["advance", "direction", "dot"]

compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


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
