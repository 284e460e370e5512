"""Stencil products and components, compiled. Meaning and shapes: `resolvent.kernels.reference.stencils`.

A product goes through the grid once, a row along the last axis at a time; a residual adds up its row before it goes on.
What the two other axes have to say at the row (which rows are next to it, what stands at the walls) is settled before
the loop over its cells, which has neither branches nor calls and runs in SIMD registers; the two ends of the row follow
after it. The loops are written out in each kernel: as a function of a row, with its ten arrays, they take half as long
again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resolvent.kernels.cpu.compiling import IN_ORDER, REORDERED, kernel
from resolvent.typing import Array

__all__ = [
    "apply_constant",
    "apply_faces",
    "apply_masked",
    "component_sums",
    "components",
    "matrix_rows",
    "open_faces",
    "residual_constant",
    "residual_faces",
    "residual_masked",
    "subtract_levels",
]

ACTIVE, GROUNDED = 64, 128
compiled = kernel(IN_ORDER)
reordered = kernel(REORDERED)


@compiled
def _before(i: int, n: int, wraps: bool) -> int:
    """Return the index before i; at the end of an axis that does not wrap, i itself, whose difference is zero."""
    return i - 1 if i > 0 else (n - 1 if wraps else i)


@compiled
def _behind(i: int, n: int, wraps: bool) -> int:
    return i + 1 if i < n - 1 else (0 if wraps else i)


@compiled
def _wall(i: int, n: int, wraps: bool, lower: Any, upper: Any) -> Any:
    """Return the weight of the walls at index i of an axis."""
    none = lower * 0
    return none if wraps else (lower if i == 0 else none) + (upper if i == n - 1 else none)


@compiled
def _levels(zero_order: Array, n: int) -> Array:
    """Return a row of the one value of zero_order, empty where it has more."""
    if zero_order.size == 1:
        return np.full(n, zero_order.flat[0], zero_order.dtype)
    return np.empty(0, zero_order.dtype)


@reordered
def _gap(product: Array, b: Array) -> float:
    total = 0.0
    for k in range(len(b)):
        gap = np.float64(b[k] - product[k])
        total += gap * gap
    return total


@compiled
def apply_constant(u: Array, out: Array, weights: Array, periodic: Array, zero_order: Array, lo: int, hi: int) -> None:
    _constant(u, out, np.empty((0, 0, 0), u.dtype), weights, periodic, zero_order, lo, hi)


@compiled
def residual_constant(
    u: Array, b: Array, total: Array, weights: Array, periodic: Array, zero_order: Array, lo: int, hi: int
) -> None:
    total[0] = _constant(u, np.empty((0, 0, 0), u.dtype), b, weights, periodic, zero_order, lo, hi)


@compiled
def _constant(
    u: Array, out: Array, b: Array, weights: Array, periodic: Array, zero_order: Array, lo: int, hi: int
) -> float:
    """Write planes lo to hi - 1 of the product into out, or where there is a b return the squared norm of the gap."""
    n0, n1, n2 = u.shape
    total = 0.0
    if u.size == 0:
        return total
    w0, w1, w2 = weights[0, 1], weights[1, 1], weights[2, 1]
    alpha, room = zero_order.flat[0] if zero_order.size == 1 else w0 * 0, np.empty((n1, n2), u.dtype)
    for i in range(lo, hi):
        below, here, above = u[_before(i, n0, periodic[0])], u[i], u[_behind(i, n0, periodic[0])]
        wall0 = _wall(i, n0, periodic[0], weights[0, 0], weights[0, 2])
        y = room if b.size else out[i - lo]
        if n1 > 2:
            flat, inner, last = here.reshape(-1), y[1 : n1 - 1].reshape(-1), (n1 - 1) * n2
            low, high = below.reshape(-1)[n2:last], above.reshape(-1)[n2:last]
            _stretch(inner, flat[n2 - 1 :], low, high, flat, flat[2 * n2 :], w0, w1, w2, alpha + wall0)
        for j in range(n1):
            held = alpha + wall0 + _wall(j, n1, periodic[1], weights[1, 0], weights[1, 2])
            row, low, high = here[j], below[j], above[j]
            west, east = here[_before(j, n1, periodic[1])], here[_behind(j, n1, periodic[1])]
            if (j == 0 or j == n1 - 1) and n2 > 2:
                _stretch(y[j, 1 : n2 - 1], row, low[1:], high[1:], west[1:], east[1:], w0, w1, w2, held)
            for k in (0, n2 - 1):
                c, before, behind = row[k], row[_before(k, n2, periodic[2])], row[_behind(k, n2, periodic[2])]
                wall = held + _wall(k, n2, periodic[2], weights[2, 0], weights[2, 2])
                end = w2 * ((c - before) + (c - behind)) + wall * c
                y[j, k] = w0 * ((c - low[k]) + (c - high[k])) + w1 * ((c - west[k]) + (c - east[k])) + end
            if zero_order.size > 1:
                _add_product(y[j], zero_order[i, j], row)
        if b.size:
            total += _gap(y.reshape(-1), b[i].reshape(-1))
    return total


@compiled
def _stretch(
    y: Array, u: Array, low: Array, high: Array, west: Array, east: Array, w0: Any, w1: Any, w2: Any, held: Any
) -> None:
    """y = the product for cells one behind the other, of which the first is u[1]."""
    if w1 == 0:
        for k in range(len(y)):
            c = u[k + 1]
            y[k] = w0 * ((c - low[k]) + (c - high[k])) + w2 * ((c - u[k]) + (c - u[k + 2])) + held * c
        return
    for k in range(len(y)):
        c = u[k + 1]
        y[k] = (
            w0 * ((c - low[k]) + (c - high[k]))
            + w1 * ((c - west[k]) + (c - east[k]))
            + w2 * ((c - u[k]) + (c - u[k + 2]))
            + held * c
        )


@compiled
def _add_product(y: Array, alpha: Array, u: Array) -> None:
    for k in range(len(y)):
        y[k] += alpha[k] * u[k]


@compiled
def apply_masked(
    u: Array, out: Array, opened: Array, weights: Array, periodic: Array, zero_order: Array, lo: int, hi: int
) -> None:
    _masked(u, out, np.empty((0, 0, 0), u.dtype), opened, weights, periodic, zero_order, lo, hi)


@compiled
def residual_masked(
    u: Array,
    b: Array,
    total: Array,
    opened: Array,
    weights: Array,
    periodic: Array,
    zero_order: Array,
    lo: int,
    hi: int,
) -> None:
    total[0] = _masked(u, np.empty((0, 0, 0), u.dtype), b, opened, weights, periodic, zero_order, lo, hi)


@compiled
def _masked(
    u: Array, out: Array, b: Array, opened: Array, weights: Array, periodic: Array, zero_order: Array, lo: int, hi: int
) -> float:
    n0, n1, n2 = u.shape
    total, last = 0.0, n2 - 1
    if u.size == 0:
        return total
    w0, w1, w2, none = weights[0, 1], weights[1, 1], weights[2, 1], weights[0, 1] * 0
    wrap0, wrap1, wrap2 = periodic[0], periodic[1], periodic[2]
    alpha, product = _levels(zero_order, n2), np.empty(n2, u.dtype)
    for i in range(lo, hi):
        below, above = _before(i, n0, wrap0), _behind(i, n0, wrap0)
        wall0 = _wall(i, n0, wrap0, weights[0, 0], weights[0, 2])
        for j in range(n1):
            left, right = _before(j, n1, wrap1), _behind(j, n1, wrap1)
            wall = wall0 + _wall(j, n1, wrap1, weights[1, 0], weights[1, 2])
            row, low, high, west, east = u[i, j], u[below, j], u[above, j], u[i, left], u[i, right]
            y, bits = product if b.size else out[i - lo, j], opened[i, j]
            if zero_order.size > 1:
                alpha = zero_order[i, j]
            for k in range(1, last):
                c, m = row[k], bits[k]
                y[k] = (
                    w0 * ((c - low[k] if m & 1 else none) + (c - high[k] if m & 2 else none))
                    + w1 * ((c - west[k] if m & 4 else none) + (c - east[k] if m & 8 else none))
                    + w2 * ((c - row[k - 1] if m & 16 else none) + (c - row[k + 1] if m & 32 else none))
                    + ((alpha[k] + wall) * c if m & 64 else none)
                )
            for k in (0, last):
                c, m = row[k], bits[k]
                before, behind = row[_before(k, n2, wrap2)], row[_behind(k, n2, wrap2)]
                held = alpha[k] + wall + _wall(k, n2, wrap2, weights[2, 0], weights[2, 2])
                end = w2 * ((c - before if m & 16 else none) + (c - behind if m & 32 else none))
                end += w1 * ((c - west[k] if m & 4 else none) + (c - east[k] if m & 8 else none))
                end += w0 * ((c - low[k] if m & 1 else none) + (c - high[k] if m & 2 else none))
                y[k] = end + (held * c if m & 64 else none)
            if b.size:
                total += _gap(y, b[i, j])
    return total


@compiled
def apply_faces(
    u: Array,
    out: Array,
    faces0: Array,
    faces1: Array,
    faces2: Array,
    periodic: Array,
    zero_order: Array,
    lo: int,
    hi: int,
) -> None:
    _faces(u, out, np.empty((0, 0, 0), u.dtype), faces0, faces1, faces2, periodic, zero_order, lo, hi)


@compiled
def residual_faces(
    u: Array,
    b: Array,
    total: Array,
    faces0: Array,
    faces1: Array,
    faces2: Array,
    periodic: Array,
    zero_order: Array,
    lo: int,
    hi: int,
) -> None:
    total[0] = _faces(u, np.empty((0, 0, 0), u.dtype), b, faces0, faces1, faces2, periodic, zero_order, lo, hi)


@compiled
def _faces(
    u: Array,
    out: Array,
    b: Array,
    faces0: Array,
    faces1: Array,
    faces2: Array,
    periodic: Array,
    zero_order: Array,
    lo: int,
    hi: int,
) -> float:
    n0, n1, n2 = u.shape
    total, last = 0.0, n2 - 1
    if u.size == 0:
        return total
    wrap0, wrap1, wrap2 = periodic[0], periodic[1], periodic[2]
    alpha, product = _levels(zero_order, n2), np.empty(n2, u.dtype)
    zeros = np.zeros(n2 + 1, u.dtype)  # neighbours outside, and the weights of an axis that does not count
    none = zeros[:n2]
    for i in range(lo, hi):
        for j in range(n1):
            row = u[i, j]
            low = none if i == 0 and not wrap0 else u[_before(i, n0, wrap0), j]
            high = none if i == n0 - 1 and not wrap0 else u[_behind(i, n0, wrap0), j]
            west = none if j == 0 and not wrap1 else u[i, _before(j, n1, wrap1)]
            east = none if j == n1 - 1 and not wrap1 else u[i, _behind(j, n1, wrap1)]
            wlow, whigh = (faces0[i, j], faces0[i + 1, j]) if faces0.size else (none, none)
            wwest, weast = (faces1[i, j], faces1[i, j + 1]) if faces1.size else (none, none)
            w = faces2[i, j] if faces2.size else zeros
            y = product if b.size else out[i - lo, j]
            if zero_order.size > 1:
                alpha = zero_order[i, j]
            for k in range(1, last):
                c = row[k]
                y[k] = (
                    (wlow[k] * (c - low[k]) + whigh[k] * (c - high[k]))
                    + (wwest[k] * (c - west[k]) + weast[k] * (c - east[k]))
                    + (w[k] * (c - row[k - 1]) + w[k + 1] * (c - row[k + 1]))
                    + alpha[k] * c
                )
            for k in (0, last):
                c = row[k]
                before = row[k - 1] if k > 0 else (row[last] if wrap2 else c * 0)
                behind = row[k + 1] if k < last else (row[0] if wrap2 else c * 0)
                end = w[k] * (c - before) + w[k + 1] * (c - behind) + alpha[k] * c
                end += wwest[k] * (c - west[k]) + weast[k] * (c - east[k])
                y[k] = wlow[k] * (c - low[k]) + whigh[k] * (c - high[k]) + end
            if b.size:
                total += _gap(y, b[i, j])
    return total


@compiled
def open_faces(active: Array, weights: Array, periodic: Array, zero_order: Array, opened: Array) -> None:
    n0, n1, n2 = active.shape
    wrap0, wrap1, wrap2 = periodic[0], periodic[1], periodic[2]
    held = zero_order.size == 1 and opened.size > 0 and zero_order.flat[0] > 0
    none = np.zeros(n2, np.bool_)
    for i in range(n0):
        wall0 = _wall(i, n0, wrap0, weights[0, 0], weights[0, 2]) > 0
        for j in range(n1):
            wall = wall0 or held or _wall(j, n1, wrap1, weights[1, 0], weights[1, 2]) > 0
            row, bits = active[i, j], opened[i, j]
            low = none if i == 0 and not wrap0 else active[_before(i, n0, wrap0), j]
            high = none if i == n0 - 1 and not wrap0 else active[_behind(i, n0, wrap0), j]
            west = none if j == 0 and not wrap1 else active[i, _before(j, n1, wrap1)]
            east = none if j == n1 - 1 and not wrap1 else active[i, _behind(j, n1, wrap1)]
            for k in range(n2):
                across = low[k] | (high[k] << 1) | (west[k] << 2) | (east[k] << 3) | (wall << 7) | ACTIVE
                bits[k] = across if row[k] else 0
            for k in range(n2 - 1):
                joined = row[k] & row[k + 1]
                bits[k] |= joined << 5
                bits[k + 1] |= joined << 4
            if wrap2 and row[0] and row[n2 - 1]:
                bits[0] |= 16
                bits[n2 - 1] |= 32
            for k in (0, n2 - 1):
                if row[k] and _wall(k, n2, wrap2, weights[2, 0], weights[2, 2]) > 0:
                    bits[k] |= GROUNDED
            if zero_order.size > 1:
                for k in range(n2):
                    if row[k] and zero_order[i, j, k] > 0:
                        bits[k] |= GROUNDED


@compiled
def _root(parents: Array, run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@compiled
def _join(parents: Array, one: int, other: int) -> None:
    """Put two runs into the same tree, whose root is its first one."""
    a, b = _root(parents, one), _root(parents, other)
    if a < b:
        parents[b] = a
    else:
        parents[a] = b


@compiled
def components(opened: Array, labels: Array) -> int:
    """Join runs, stretches of a row that hang together, instead of cells: there are few of them."""
    n0, n1, n2 = opened.shape
    bits, label = opened.reshape(-1), labels.reshape(-1)
    parents, grounded, runs = np.empty(opened.size, np.int32), np.empty(opened.size, np.bool_), 0
    for row in range(n0 * n1):
        first, below, left, run = row * n2, -1, -1, -1
        for cell in range(first, first + n2):
            m = bits[cell]
            if not m & ACTIVE:
                label[cell] = -1
                continue
            if cell == first or not m & 16:
                run, below, left = runs, -1, -1
                parents[run], grounded[run] = run, False
                runs += 1
            label[cell] = run
            if m & GROUNDED:
                grounded[run] = True
            if m & 4 and row % n1 > 0 and label[cell - n2] != left:
                left = label[cell - n2]
                _join(parents, run, left)
            if m & 1 and row >= n1 and label[cell - n1 * n2] != below:
                below = label[cell - n1 * n2]
                _join(parents, run, below)
    _join_ends(bits, label, parents, opened.shape)
    return _number(label, parents[:runs], grounded)


@compiled
def _join_ends(bits: Array, label: Array, parents: Array, extents: Any) -> None:
    """Join the runs on both sides of the faces between the ends of periodic axes."""
    n0, n1, n2 = extents
    for row in range(n0 * n1):
        first = row * n2
        if n2 > 0 and bits[first] & 16:
            _join(parents, label[first], label[first + n2 - 1])
        if row % n1 == 0:
            for cell in range(first, first + n2):
                if bits[cell] & 4:
                    _join(parents, label[cell], label[cell + (n1 - 1) * n2])
        if row < n1:
            for cell in range(first, first + n2):
                if bits[cell] & 1:
                    _join(parents, label[cell], label[cell + (n0 - 1) * n1 * n2])


@compiled
def _number(label: Array, parents: Array, grounded: Array) -> int:
    """Replace the runs by the numbers of their components, -1 where one of its runs is grounded."""
    for run in range(len(parents)):
        parents[run] = _root(parents, run)
        grounded[parents[run]] |= grounded[run]
    count = 0
    for run in range(len(parents)):  # a root comes before the others, and has its number when they ask
        if parents[run] < run:
            parents[run] = parents[parents[run]]
        elif grounded[run]:
            parents[run] = -1
        else:
            parents[run] = count
            count += 1
    for cell in range(len(label)):
        if label[cell] >= 0:
            label[cell] = parents[label[cell]]
    return count


@compiled
def matrix_rows(
    index: Array,
    diagonal: Array,
    faces0: Array,
    faces1: Array,
    faces2: Array,
    indptr: Array,
    indices: Array,
    data: Array,
) -> None:
    n0, n1, n2 = index.shape
    at, row = 0, 0
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                if index[i, j, k] < 0:
                    continue
                if faces0.size:
                    at = _entry(faces0[i, j, k], index[i - 1, j, k], at, indices, data)
                if faces1.size:
                    at = _entry(faces1[i, j, k], index[i, j - 1, k], at, indices, data)
                if faces2.size:
                    at = _entry(faces2[i, j, k], index[i, j, k - 1], at, indices, data)
                indices[at], data[at] = row, diagonal[i, j, k]
                at += 1
                if faces2.size:
                    at = _entry(faces2[i, j, k + 1], index[i, j, k + 1 if k < n2 - 1 else 0], at, indices, data)
                if faces1.size:
                    at = _entry(faces1[i, j + 1, k], index[i, j + 1 if j < n1 - 1 else 0, k], at, indices, data)
                if faces0.size:
                    at = _entry(faces0[i + 1, j, k], index[i + 1 if i < n0 - 1 else 0, j, k], at, indices, data)
                row += 1
                indptr[row] = at


@compiled
def _entry(weight: Any, column: int, at: int, indices: Array, data: Array) -> int:
    """Store the entry of a face that is not closed, and return where the next one goes."""
    if weight == 0:
        return at
    indices[at], data[at] = column, -weight
    return at + 1


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
