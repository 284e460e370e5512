"""What the geometry-conditioned network reads off faces, compiled. Meaning: `resolvent.kernels.reference.geometry`.

Work goes through blocks of cells that stay in the nearest cache, each step of the network one loop over a block.
Logarithms are the bits of a number, read as a whole number.
"""

from __future__ import annotations

import numpy as np

from resolvent.kernels.cpu.compiling import REORDERED, kernel
from resolvent.typing import Array

__all__ = ["multipliers", "shares"]

compiled = kernel(REORDERED)

F = np.float32
LIMIT, SCALE = F(16), F(0.125)
SMALL, LEAST = F(1e-9), F(1e-30)
ONE, BIAS = F(2.0**-23), F(127)
BLOCK = 256


@compiled
def _log(x: Array, bits: Array, n: int) -> None:
    """Replace x by its logarithm; `bits` is x as int32."""
    for k in range(n):
        x[k] = F(bits[k]) * ONE - BIAS


@compiled
def _exp(y: Array, bits: Array, n: int) -> None:
    """Replace y by its exponential, within the limits; `bits` is y as int32."""
    for k in range(n):
        bits[k] = np.int32((min(max(y[k], -LIMIT), LIMIT) + BIAS) * F(2.0**23))


@compiled
def _difference(f: Array, a: Array, b: Array, n: int) -> None:
    for k in range(n):
        f[k] = min(max(a[k] - b[k], -LIMIT), LIMIT) * SCALE


@compiled
def _layer(x: Array, W: Array, b: Array, y: Array, n: int) -> None:
    """Write the activations of W^T x + b into y."""
    for j in range(W.shape[1]):
        own, start = y[j], b[j]
        for k in range(n):
            own[k] = start
        for i in range(W.shape[0]):
            factor, source = W[i, j], x[i]
            for k in range(n):
                own[k] += factor * source[k]
        for k in range(n):
            own[k] = own[k] / (F(1) + abs(own[k]))


@compiled
def _add(y: Array, f: Array, W1: Array, b1: Array, W2: Array, b2: Array, W3: Array, b3: Array, u: Array, v: Array, n: int) -> None:  # noqa: E501  # fmt: skip
    """Add the output of the network for the features f (4, BLOCK) to y."""
    _layer(f, W1, b1, u, n)
    _layer(u, W2, b2, v, n)
    for k in range(n):
        y[k] += b3[0]
    for i in range(W3.shape[0]):
        factor, source = W3[i, 0], v[i]
        for k in range(n):
            y[k] += factor * source[k]


@compiled
def multipliers(
    face: Array, left: Array, right: Array, before: Array, after: Array, W1: Array, b1: Array, W2: Array, b2: Array,
    W3: Array, b3: Array, out: Array,
) -> None:  # fmt: skip
    x = np.empty((5, BLOCK), F)
    f, y = np.empty((4, BLOCK), F), np.empty(BLOCK, F)
    bits, y_bits = x.view(np.int32), y.view(np.int32)
    u, v = np.empty((W1.shape[1], BLOCK), F), np.empty((W1.shape[1], BLOCK), F)
    for start in range(0, face.shape[0], BLOCK):
        n = min(BLOCK, face.shape[0] - start)
        for k in range(n):
            s = start + k
            small = SMALL * (face[s] + left[s] + right[s] + before[s] + after[s]) + LEAST
            x[0, k] = face[s] + small
            x[1, k] = left[s] + small
            x[2, k] = right[s] + small
            x[3, k] = before[s] + small
            x[4, k] = after[s] + small
        for i in range(5):
            _log(x[i], bits[i], n)
        y[:n] = 0
        for back in range(2):
            for i in range(4):
                _difference(f[i], x[0], x[1 + (i ^ back)], n)
            _add(y, f, W1, b1, W2, b2, W3, b3, u, v, n)
        _exp(y, y_bits, n)
        out[start : start + n] = y[:n]


@compiled
def shares(
    face: Array, inner: Array, partner: Array, beyond: Array, rest: Array, axes: float, W1: Array, b1: Array, W2: Array,
    b2: Array, W3: Array, b3: Array, out: Array,
) -> None:  # fmt: skip
    x = np.empty((6, BLOCK), F)
    f, y = np.empty((4, BLOCK), F), np.empty(BLOCK, F)
    bits, y_bits = x.view(np.int32), y.view(np.int32)
    u, v = np.empty((W1.shape[1], BLOCK), F), np.empty((W1.shape[1], BLOCK), F)
    part = F(1.0 / axes)
    for start in range(0, face.shape[0], BLOCK):
        n = min(BLOCK, face.shape[0] - start)
        for k in range(n):
            s = start + k
            small = SMALL * (face[s] + inner[s] + rest[s]) + LEAST
            x[0, k] = face[s] + small
            x[1, k] = inner[s] + small
            x[2, k] = face[s] + inner[s] + small
            x[3, k] = rest[s] + small
            x[4, k] = partner[s] + small
            x[5, k] = beyond[s] + small
        for i in range(6):
            _log(x[i], bits[i], n)
        _difference(f[0], x[0], x[1], n)
        _difference(f[1], x[2], x[3], n)
        _difference(f[2], x[4], x[0], n)
        _difference(f[3], x[5], x[0], n)
        y[:n] = 0
        _add(y, f, W1, b1, W2, b2, W3, b3, u, v, n)
        _exp(y, y_bits, n)
        for k in range(n):
            s = start + k
            pair = face[s] + inner[s]
            most = max(pair, part * (pair + rest[s]))
            share = F(0.5) * face[s] / max(most, LEAST)
            out[s] = share * y[k] / (share * y[k] + F(1) - share)
