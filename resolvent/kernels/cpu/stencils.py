"""Stencil products and components, compiled. Meaning and shapes: `resolvent.kernels.reference.stencils`.

A product goes through the grid once, a row along the last axis at a time. What the two other axes have to say at the
row (which rows are next to it, what stands at the walls) is settled before the loop over its cells, which has neither
branches nor calls and runs in SIMD registers; the two ends of the row follow after it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from resolvent.typing import Array

__all__ = ["apply_constant", "apply_faces", "apply_masked", "component_sums", "components", "subtract_levels"]

ACTIVE, GROUNDED = 64, 128
compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
reordered = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@compiled
def _before(i: int, n: int, wraps: bool) -> int:
    """Return the index before i; at the end of an axis that does not wrap, i itself, whose difference is zero."""
    return i - 1 if i > 0 else (n - 1 if wraps else i)


@compiled
def _behind(i: int, n: int, wraps: bool) -> int:
    return i + 1 if i < n - 1 else (0 if wraps else i)


@compiled
def _wall(i: int, n: int, wraps: bool, weights: Array) -> Any:
    """Return the weight of the walls at index i of an axis."""
    total = weights[0] * 0
    if not wraps:
        if i == 0:
            total += weights[0]
        if i == n - 1:
            total += weights[2]
    return total


@compiled
def _levels(zero_order: Array, n: int) -> Array:
    """Return a row of the one value of zero_order, empty where it has more."""
    return np.full(
        n if zero_order.size == 1 else 0, zero_order.flat[0] if zero_order.size == 1 else 0, zero_order.dtype
    )


@compiled
def apply_constant(u: Array, out: Array, weights: Array, periodic: Array, zero_order: Array) -> None:
    n0, n1, n2 = u.shape
    if u.size == 0:
        return
    levels = _levels(zero_order, n2)
    for i in range(n0):
        below, above = _before(i, n0, periodic[0]), _behind(i, n0, periodic[0])
        wall0 = _wall(i, n0, periodic[0], weights[0])
        for j in range(n1):
            left, right = _before(j, n1, periodic[1]), _behind(j, n1, periodic[1])
            _constant_row(
                u[i, j],
                u[below, j],
                u[above, j],
                u[i, left],
                u[i, right],
                out[i, j],
                levels if zero_order.size == 1 else zero_order[i, j],
                wall0 + _wall(j, n1, periodic[1], weights[1]),
                weights,
                periodic[2],
            )


@compiled
def _constant_row(
    u: Array,
    below: Array,
    above: Array,
    left: Array,
    right: Array,
    out: Array,
    alpha: Array,
    wall: Any,
    weights: Array,
    wraps: bool,
) -> None:
    n = len(u)
    w0, w1, w2 = weights[0, 1], weights[1, 1], weights[2, 1]
    for k in range(1, n - 1):
        c = u[k]
        out[k] = (
            w0 * ((c - below[k]) + (c - above[k]))
            + w1 * ((c - left[k]) + (c - right[k]))
            + w2 * ((c - u[k - 1]) + (c - u[k + 1]))
            + (alpha[k] + wall) * c
        )
    for k in range(0, n, max(1, n - 1)):
        c = u[k]
        total = (alpha[k] + wall + _wall(k, n, wraps, weights[2])) * c
        total += w2 * ((c - u[_before(k, n, wraps)]) + (c - u[_behind(k, n, wraps)]))
        out[k] = w0 * ((c - below[k]) + (c - above[k])) + w1 * ((c - left[k]) + (c - right[k])) + total


@compiled
def apply_masked(u: Array, out: Array, opened: Array, weights: Array, periodic: Array, zero_order: Array) -> None:
    n0, n1, n2 = u.shape
    if u.size == 0:
        return
    levels = _levels(zero_order, n2)
    for i in range(n0):
        below, above = _before(i, n0, periodic[0]), _behind(i, n0, periodic[0])
        wall0 = _wall(i, n0, periodic[0], weights[0])
        for j in range(n1):
            left, right = _before(j, n1, periodic[1]), _behind(j, n1, periodic[1])
            _masked_row(
                u[i, j],
                u[below, j],
                u[above, j],
                u[i, left],
                u[i, right],
                out[i, j],
                opened[i, j],
                levels if zero_order.size == 1 else zero_order[i, j],
                wall0 + _wall(j, n1, periodic[1], weights[1]),
                weights,
                periodic[2],
            )


@compiled
def _masked_row(
    u: Array,
    below: Array,
    above: Array,
    left: Array,
    right: Array,
    out: Array,
    opened: Array,
    alpha: Array,
    wall: Any,
    weights: Array,
    wraps: bool,
) -> None:
    n = len(u)
    w0, w1, w2, none = weights[0, 1], weights[1, 1], weights[2, 1], weights[0, 1] * 0
    for k in range(1, n - 1):
        c, bits = u[k], opened[k]
        out[k] = (
            w0 * ((c - below[k] if bits & 1 else none) + (c - above[k] if bits & 2 else none))
            + w1 * ((c - left[k] if bits & 4 else none) + (c - right[k] if bits & 8 else none))
            + w2 * ((c - u[k - 1] if bits & 16 else none) + (c - u[k + 1] if bits & 32 else none))
            + ((alpha[k] + wall) * c if bits & 64 else none)
        )
    for k in range(0, n, max(1, n - 1)):
        c, bits = u[k], opened[k]
        before, behind = u[_before(k, n, wraps)], u[_behind(k, n, wraps)]
        total = (alpha[k] + wall + _wall(k, n, wraps, weights[2])) * c if bits & 64 else none
        total += w2 * ((c - before if bits & 16 else none) + (c - behind if bits & 32 else none))
        total += w1 * ((c - left[k] if bits & 4 else none) + (c - right[k] if bits & 8 else none))
        out[k] = w0 * ((c - below[k] if bits & 1 else none) + (c - above[k] if bits & 2 else none)) + total


@compiled
def apply_faces(
    u: Array, out: Array, faces0: Array, faces1: Array, faces2: Array, periodic: Array, zero_order: Array
) -> None:
    n0, n1, n2 = u.shape
    if u.size == 0:
        return
    levels = _levels(zero_order, n2)
    zeros = np.zeros(n2 + 1, u.dtype)  # neighbours outside, and the weights of an axis that does not count
    for i in range(n0):
        down, up = _before(i, n0, periodic[0]), _behind(i, n0, periodic[0])
        for j in range(n1):
            left, right = _before(j, n1, periodic[1]), _behind(j, n1, periodic[1])
            row = u[i, j]
            _faces_row(
                row,
                zeros[:n2] if down == i and not periodic[0] else u[down, j],
                zeros[:n2] if up == i and not periodic[0] else u[up, j],
                zeros[:n2] if left == j and not periodic[1] else u[i, left],
                zeros[:n2] if right == j and not periodic[1] else u[i, right],
                out[i, j],
                faces0[i, j] if faces0.size else zeros[:n2],
                faces0[i + 1, j] if faces0.size else zeros[:n2],
                faces1[i, j] if faces1.size else zeros[:n2],
                faces1[i, j + 1] if faces1.size else zeros[:n2],
                faces2[i, j] if faces2.size else zeros,
                levels if zero_order.size == 1 else zero_order[i, j],
                periodic[2],
            )


@compiled
def _faces_row(
    u: Array,
    down: Array,
    up: Array,
    left: Array,
    right: Array,
    out: Array,
    wdown: Array,
    wup: Array,
    wleft: Array,
    wright: Array,
    w: Array,
    alpha: Array,
    wraps: bool,
) -> None:
    n = len(u)
    for k in range(1, n - 1):
        c = u[k]
        out[k] = (
            (wdown[k] * (c - down[k]) + wup[k] * (c - up[k]))
            + (wleft[k] * (c - left[k]) + wright[k] * (c - right[k]))
            + (w[k] * (c - u[k - 1]) + w[k + 1] * (c - u[k + 1]))
            + alpha[k] * c
        )
    for k in range(0, n, max(1, n - 1)):
        c = u[k]
        before = u[k - 1] if k > 0 else (u[n - 1] if wraps else c * 0)
        behind = u[k + 1] if k < n - 1 else (u[0] if wraps else c * 0)
        total = w[k] * (c - before) + w[k + 1] * (c - behind) + alpha[k] * c
        total += wleft[k] * (c - left[k]) + wright[k] * (c - right[k])
        out[k] = wdown[k] * (c - down[k]) + wup[k] * (c - up[k]) + total


@compiled
def _root(parents: Array, cell: int) -> int:
    while parents[cell] != cell:
        parents[cell] = parents[parents[cell]]
        cell = parents[cell]
    return cell


@compiled
def _join(parents: Array, one: int, other: int) -> None:
    """Put two cells into the same tree, whose root is its first cell."""
    a, b = _root(parents, one), _root(parents, other)
    if a < b:
        parents[b] = a
    else:
        parents[a] = b


@compiled
def components(opened: Array, labels: Array) -> int:
    n0, n1, n2 = opened.shape
    parents, bits = labels.reshape(-1), opened.reshape(-1)
    for cell in range(opened.size):
        parents[cell] = cell
    for i in range(n0):
        back = n1 * n2 if i > 0 else -(n0 - 1) * n1 * n2
        for j in range(n1):
            left, first = n2 if j > 0 else -(n1 - 1) * n2, (i * n1 + j) * n2
            if bits[first] & 16:  # round the end of the row
                _join(parents, first, first + n2 - 1)
            for cell in range(first, first + n2):
                run = cell > first and bits[cell] & 16
                if run and parents[cell] == cell:
                    parents[cell] = parents[cell - 1]
                elif run:
                    _join(parents, cell, cell - 1)
                if bits[cell] & 4 and not (run and bits[cell - 1] & 4 and bits[cell - left] & 16):
                    _join(parents, cell, cell - left)  # else the cells before them have done it
                if bits[cell] & 1 and not (run and bits[cell - 1] & 1 and bits[cell - back] & 16):
                    _join(parents, cell, cell - back)
    grounded = np.zeros(opened.size, np.bool_)
    for cell in range(opened.size):
        parents[cell] = _root(parents, cell)
        grounded[parents[cell]] |= (bits[cell] & GROUNDED) != 0
    return _number(parents, bits, grounded)


@compiled
def _number(parents: Array, bits: Array, grounded: Array) -> int:
    """Replace the roots, which come before their other cells, by numbers."""
    count = 0
    for cell in range(len(parents)):
        root = parents[cell]
        if root < cell:
            parents[cell] = parents[root]
        elif bits[cell] & ACTIVE and not grounded[cell]:
            parents[cell] = count
            count += 1
        else:
            parents[cell] = -1
    return count


@compiled
def component_sums(v: Array, labels: Array, sums: Array) -> None:
    for k in range(len(sums)):
        sums[k] = 0.0
    if len(sums) == 1:
        sums[0] = _sum_of_first(v, labels)
        return
    for cell in range(len(v)):
        if labels[cell] >= 0:
            sums[labels[cell]] += v[cell]


@reordered
def _sum_of_first(v: Array, labels: Array) -> float:
    total = 0.0
    for cell in range(len(v)):
        total += np.float64(v[cell]) if labels[cell] >= 0 else 0.0
    return total


@compiled
def subtract_levels(v: Array, labels: Array, levels: Array, out: Array) -> None:
    if len(levels) == 1:
        level = levels[0]
        for cell in range(len(v)):
            out[cell] = v[cell] - (level if labels[cell] >= 0 else 0.0)
        return
    for cell in range(len(v)):
        out[cell] = v[cell] - (levels[labels[cell]] if labels[cell] >= 0 else 0.0)
