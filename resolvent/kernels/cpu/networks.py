"""Layers of a convolutional network on a grid, compiled. Meaning and shapes: `resolvent.kernels.reference.networks`.

A convolution works on four channels of one row at a time: their sums stay in the nearest cache, each load of three
neighbours serves twelve products, and the loop over the columns is contiguous. Sums may be reordered (for SIMD).
"""

from __future__ import annotations

import numpy as np

from resolvent.kernels.cpu.compiling import REORDERED, kernel
from resolvent.typing import Array

__all__ = ["convolve", "enlarge", "lift", "pool", "project"]

compiled = kernel(REORDERED)


@compiled
def convolve(x: Array, w: Array, b: Array, add: Array, plus: bool, out: Array) -> None:
    planes, rows, channels, columns = out.shape
    deep = planes > 1
    ring = 1 if deep else 0
    sums = np.empty((4, max(columns - 2, 0)), x.dtype)
    first, second, third, fourth = sums[0], sums[1], sums[2], sums[3]
    zero = x.dtype.type(0)
    for z in range(ring, planes - ring):
        for y in range(1, rows - 1):
            for o in range(0, channels, 4):
                for p in range(4):
                    sums[p] = b[o + p]
                for t in range(w.shape[0]):
                    plane = z + t // 3 - 1 if deep else z
                    for i in range(channels):
                        row = x[plane, y + t % 3 - 1, i]
                        # the weights are read before the loop: a store in it might change them, as far as is known
                        a0, a1, a2 = w[t, 0, i, o], w[t, 1, i, o], w[t, 2, i, o]
                        b0, b1, b2 = w[t, 0, i, o + 1], w[t, 1, i, o + 1], w[t, 2, i, o + 1]
                        c0, c1, c2 = w[t, 0, i, o + 2], w[t, 1, i, o + 2], w[t, 2, i, o + 2]
                        d0, d1, d2 = w[t, 0, i, o + 3], w[t, 1, i, o + 3], w[t, 2, i, o + 3]
                        for k in range(columns - 2):
                            left, here, right = row[k], row[k + 1], row[k + 2]
                            first[k] += a0 * left + a1 * here + a2 * right
                            second[k] += b0 * left + b1 * here + b2 * right
                            third[k] += c0 * left + c1 * here + c2 * right
                            fourth[k] += d0 * left + d1 * here + d2 * right
                for p in range(4):
                    line, own, more = out[z, y, o + p], sums[p], add[z, y, o + p]
                    if plus:
                        for k in range(columns - 2):
                            line[k + 1] = max(own[k], zero) + more[k + 1]
                    else:
                        for k in range(columns - 2):
                            line[k + 1] = max(own[k], zero)


@compiled
def lift(r: Array, w: Array, b: Array, out: Array) -> None:
    planes, rows, channels, columns = out.shape
    deep = planes > 1
    ring = 1 if deep else 0
    for z in range(ring, planes - ring):
        for y in range(1, rows - 1):
            for o in range(channels):
                line = out[z, y, o]
                for k in range(1, columns - 1):
                    line[k] = b[o]
                for t in range(w.shape[0]):
                    row = r[z + t // 3 - 1 if deep else z, y + t % 3 - 1]
                    a0, a1, a2 = w[t, 0, o], w[t, 1, o], w[t, 2, o]
                    for k in range(1, columns - 1):
                        line[k] += a0 * row[k - 1] + a1 * row[k] + a2 * row[k + 1]


@compiled
def project(x: Array, w: Array, b: Array, out: Array) -> None:
    planes, rows, channels, columns = x.shape
    ring = 1 if planes > 1 else 0
    for z in range(ring, planes - ring):
        for y in range(1, rows - 1):
            line = out[z, y]
            for k in range(1, columns - 1):
                line[k] = b[0]
            for i in range(channels):
                own, factor = x[z, y, i], w[i]
                for k in range(1, columns - 1):
                    line[k] += factor * own[k]


@compiled
def pool(x: Array, out: Array) -> None:
    planes, rows, channels, columns = out.shape
    deep = planes > 1
    ring, depth = (1, 2) if deep else (0, 1)
    share = out.dtype.type(0.25 / depth)
    for z in range(ring, planes - ring):
        for y in range(1, rows - 1):
            for i in range(channels):
                line = out[z, y, i]
                for k in range(1, columns - 1):
                    total = out.dtype.type(0)
                    for f in range(depth * z - ring, depth * z - ring + depth):
                        for g in range(2 * y - 1, 2 * y + 1):
                            total += x[f, g, i, 2 * k - 1] + x[f, g, i, 2 * k]
                    line[k] = share * total


@compiled
def enlarge(x: Array, out: Array) -> None:
    planes, rows, channels, columns = out.shape
    deep = planes > 1
    ring = 1 if deep else 0
    for z in range(ring, planes - ring):
        coarse = (z + 1) // 2 if deep else z
        for y in range(1, rows - 1):
            for i in range(channels):
                line, own = out[z, y, i], x[coarse, (y + 1) // 2, i]
                for k in range(1, columns - 1):
                    line[k] += own[(k + 1) // 2]
