"""Multigrid cycles on packed grids, compiled. Meaning, layout and shapes: `resolvent.kernels.reference.multigrid`.

Speed comes from three things. The packed layout turns every loop into a long one over contiguous memory in which all
neighbours of a cell stand at fixed offsets. A leg of the cycle is one pass: planes go through its stages in a rolling
window that stays in the cache, so that a leg reads b and writes its result, nothing else. And a sweep that starts from
zero needs no storage for it: the way up computes the first half-sweep again instead of reading it.

Indices in the innermost loops are unsigned: for signed ones Numba adds a test for negative indices that keeps the loop
from being vectorised. Each innermost loop has one output and few inputs: beyond about eight arrays LLVM gives up
proving that they do not overlap.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from resolvent.kernels.cpu.compiling import IN_ORDER, REORDERED, kernel
from resolvent.typing import Array

__all__ = [
    "advance",
    "band_factor",
    "band_solve",
    "chebyshev",
    "coarsen",
    "combine",
    "down_leg",
    "fill",
    "fill_lists",
    "interpolate",
    "pack",
    "pack_difference",
    "prepare",
    "product",
    "restrict",
    "spread",
    "transfer_weights",
    "unpack",
    "up_leg",
]

compiled = kernel(REORDERED)
in_order = kernel(IN_ORDER)
Extents: TypeAlias = tuple[int, int, int]
Triple: TypeAlias = tuple[Array, Array, Array]
F = np.float32
D = np.float64
U = np.uint64
ONE = U(1)
QUARTER, MOST = F(0.25), F(0.75)
NOTHING = F(-1e30)  # stands in `extra` where there is no unknown


# ---- layout


@compiled
def _layout(extents: tuple[int, int, int]) -> tuple[int, int, int, int, int]:
    """Return stride of a row, length of a block, parities, and first and last + 1 entry that are not margin."""
    S = (extents[2] + 1) // 2 + 2
    if extents[1] == 1:
        return S, S, 1, 1, S - 1
    L = ((extents[1] + 1) // 2 + 2) * S
    return S, L, 2, S + 1, L - S - 1


@compiled
def _row(j: int, S: int, parities: int) -> tuple[int, int]:
    """Return the block of row j and where its first slot stands."""
    return (0, 1) if parities == 1 else (j & 1, ((j >> 1) + 1) * S + 1)


@compiled
def pack(v: Array, scale: float, packed: Array) -> None:
    n0, n1, n2 = v.shape
    S, _, parities, _, _ = _layout(v.shape)
    for i in range(n0):
        for j in range(n1):
            rho, start = _row(j, S, parities)
            first = (i + j) & 1
            row, a, b = v[i, j], packed[first, i, rho], packed[1 - first, i, rho]
            a, b = a[start : start + S - 2], b[start : start + S - 2]
            for k in range(n2 // 2):
                a[k] = scale * row[2 * k]
                b[k] = scale * row[2 * k + 1]
            if n2 & 1:
                a[n2 // 2] = scale * row[n2 - 1]


@compiled
def pack_difference(v: Array, w: Array, scale: float, packed: Array, lo: int, hi: int) -> float:
    n1, n2 = v.shape[1], v.shape[2]
    S, _, parities, _, _ = _layout(v.shape)
    t = np.empty(n2, v.dtype)
    total = 0.0
    for i in range(lo, hi):
        for j in range(n1):
            rho, start = _row(j, S, parities)
            first = (i + j) & 1
            left, right, a, b = v[i, j], w[i - lo, j], packed[first, i, rho], packed[1 - first, i, rho]
            a, b = a[start : start + S - 2], b[start : start + S - 2]
            s = 0.0
            for k in range(n2):
                t[k] = left[k] - right[k]
                s += D(t[k]) * t[k]
            total += s
            for k in range(n2 // 2):
                a[k] = scale * t[2 * k]
                b[k] = scale * t[2 * k + 1]
            if n2 & 1:
                a[n2 // 2] = scale * t[n2 - 1]
    return total


@compiled
def unpack(packed: Array, scale: float, v: Array) -> None:
    n0, n1, n2 = v.shape
    S, _, parities, _, _ = _layout(v.shape)
    for i in range(n0):
        for j in range(n1):
            rho, start = _row(j, S, parities)
            first = (i + j) & 1
            row, a, b = v[i, j], packed[first, i, rho], packed[1 - first, i, rho]
            a, b = a[start : start + S - 2], b[start : start + S - 2]
            for k in range(n2 // 2):
                row[2 * k] = scale * a[k]
                row[2 * k + 1] = scale * b[k]
            if n2 & 1:
                row[n2 - 1] = scale * a[n2 // 2]


@compiled
def _wrap(plane: Array, wrap: Array, S: int) -> None:
    """Write the neighbours across periodic ends into the margins of one plane (parities, L)."""
    parities, L = plane.shape
    if wrap[2]:
        for rho in range(parities):
            for s in range(0, L, S):
                plane[rho, s] = plane[rho, s + S - 2]
                plane[rho, s + S - 1] = plane[rho, s + 1]
    if wrap[1] and parities == 2:
        for k in range(S):
            plane[1, k] = plane[1, L - 2 * S + k]
            plane[0, L - S + k] = plane[0, S + k]


@compiled
def _clear(plane: Array, wrap: Array, S: int) -> None:
    """Empty the margins that `_wrap` writes."""
    parities, L = plane.shape
    if wrap[2]:
        for rho in range(parities):
            for s in range(0, L, S):
                plane[rho, s] = plane[rho, s + S - 1] = 0
    if wrap[1] and parities == 2:
        plane[1, :S] = 0
        plane[0, L - S :] = 0


# ---- innermost loops over a block: entries lo to hi - 1


@compiled
def _scaled(u: Array, q: Array, b: Array, lo: int, hi: int) -> None:
    for k in range(U(lo), U(hi)):
        u[k] = q[k] * b[k]


@compiled
def _solved(u: Array, q: Array, b: Array, t: Array, lo: int, hi: int) -> float:
    s = F(0)
    for k in range(U(lo), U(hi)):
        u[k] = q[k] * (b[k] + t[k])
        s += b[k] * u[k]
    return D(s)


@compiled
def _copy(y: Array, x: Array) -> None:
    """y = x. An assignment to a slice would do it too, but takes Numba seconds: it brings a message with it."""
    for k in range(x.shape[0]):
        y[k] = x[k]


@compiled
def _masked(t: Array, q: Array, lo: int, hi: int) -> None:
    for k in range(U(lo), U(hi)):
        t[k] = t[k] if q[k] > 0 else F(0)


@compiled
def _axpy(y: Array, a: Any, x: Array) -> None:
    for k in range(x.shape[0]):
        y[k] += a * x[k]


@compiled
def _blend(t: Array, a: Any, x: Array, b: float, y: Array) -> None:
    for k in range(x.shape[0]):
        t[k] = a * x[k] + b * y[k]


@compiled
def _dot(x: Array, y: Array, lo: int, hi: int) -> float:
    s = F(0)
    for k in range(U(lo), U(hi)):
        s += x[k] * y[k]
    return D(s)


@compiled
def _constant_flat(
    t: Array, q: Array, om: Array, op: Array, oc: Array, c0: float, c2: float, right: bool, lo: int, hi: int
) -> None:
    if right:
        for k in range(U(lo), U(hi)):
            v = c0 * (om[k] + op[k]) + c2 * (oc[k] + oc[k + ONE])
            t[k] = v if q[k] > 0 else F(0)
    else:
        for k in range(U(lo), U(hi)):
            v = c0 * (om[k] + op[k]) + c2 * (oc[k] + oc[k - ONE])
            t[k] = v if q[k] > 0 else F(0)


@compiled
def _constant(
    t: Array,
    q: Array,
    om: Array,
    op: Array,
    rows: Array,
    back: Any,
    ahead: Any,
    oc: Array,
    c0: Any,
    c1: Any,
    c2: Any,
    right: bool,
    lo: int,
    hi: int,
) -> None:
    if right:
        for k in range(U(lo), U(hi)):
            v = c0 * (om[k] + op[k]) + c1 * (rows[k - back] + rows[k + ahead]) + c2 * (oc[k] + oc[k + ONE])
            t[k] = v if q[k] > 0 else F(0)
    else:
        for k in range(U(lo), U(hi)):
            v = c0 * (om[k] + op[k]) + c1 * (rows[k - back] + rows[k + ahead]) + c2 * (oc[k] + oc[k - ONE])
            t[k] = v if q[k] > 0 else F(0)


@compiled
def _relax_flat(
    u: Array, q: Array, b: Array, om: Array, op: Array, oc: Array, c0: Any, c2: Any, right: bool, lo: int, hi: int
) -> float:
    s = F(0)
    if right:
        for k in range(U(lo), U(hi)):
            u[k] = q[k] * (b[k] + (c0 * (om[k] + op[k]) + c2 * (oc[k] + oc[k + ONE])))
            s += b[k] * u[k]
    else:
        for k in range(U(lo), U(hi)):
            u[k] = q[k] * (b[k] + (c0 * (om[k] + op[k]) + c2 * (oc[k] + oc[k - ONE])))
            s += b[k] * u[k]
    return D(s)


@compiled
def _relax(
    u: Array,
    q: Array,
    b: Array,
    om: Array,
    op: Array,
    rows: Array,
    back: Any,
    ahead: Any,
    oc: Array,
    c0: Any,
    c1: Any,
    c2: Any,
    right: bool,
    lo: int,
    hi: int,
) -> float:
    s = F(0)
    if right:
        for k in range(U(lo), U(hi)):
            u[k] = q[k] * (
                b[k] + (c0 * (om[k] + op[k]) + c1 * (rows[k - back] + rows[k + ahead]) + c2 * (oc[k] + oc[k + ONE]))
            )
            s += b[k] * u[k]
    else:
        for k in range(U(lo), U(hi)):
            u[k] = q[k] * (
                b[k] + (c0 * (om[k] + op[k]) + c1 * (rows[k - back] + rows[k + ahead]) + c2 * (oc[k] + oc[k - ONE]))
            )
            s += b[k] * u[k]
    return D(s)


@compiled
def _across_planes(t: Array, om: Array, op: Array, lower: Array, upper: Array, lo: int, hi: int) -> None:
    for k in range(U(lo), U(hi)):
        t[k] = lower[k] * om[k] + upper[k] * op[k]


@compiled
def _across_cells(t: Array, oc: Array, own: Array, other: Array, right: bool, lo: int, hi: int) -> None:
    if right:
        for k in range(U(lo), U(hi)):
            t[k] += own[k] * oc[k] + other[k + ONE] * oc[k + ONE]
    else:
        for k in range(U(lo), U(hi)):
            t[k] += own[k] * oc[k - ONE] + other[k] * oc[k]


@compiled
def _across_rows(t: Array, rows: Array, back: Any, ahead: Any, own: Array, other: Array, lo: int, hi: int) -> None:
    for k in range(U(lo), U(hi)):
        t[k] += own[k] * rows[k - back] + other[k + ahead] * rows[k + ahead]


@compiled
def _weighted(
    t: Array,
    below: Array,
    here: Array,
    above: Array,
    colour: int,
    f: int,
    rho: int,
    S: int,
    faces: Triple,
    lo: int,
    hi: int,
) -> None:
    """t = sum of face weight times neighbour, for the cells of `colour`, row parity rho, in plane f.

    below, here, above (parities, L): the other colour in this plane and the two next to it.
    """
    w0, w1, w2 = faces
    other = 1 - colour
    right = ((f + rho + colour) & 1) == 1
    _across_planes(t, below[rho], above[rho], w0[colour, f, rho], w0[other, f + 1, rho], lo, hi)
    _across_cells(t, here[rho], w2[colour, f, rho], w2[other, f, rho], right, lo, hi)
    if here.shape[0] == 2:
        back, ahead = (U(0), U(S)) if rho else (U(S), U(0))
        _across_rows(t, here[1 - rho], back, ahead, w1[colour, f, rho], w1[other, f, 1 - rho], lo, hi)


@compiled
def _half_sweep(
    u: Array,
    below: Array,
    here: Array,
    above: Array,
    q: Array,
    b: Array,
    colour: int,
    f: int,
    rho: int,
    S: int,
    c: Array,
    faces: Triple | None,
    t: Array,
    lo: int,
    hi: int,
) -> float:
    """u = q (b + neighbours), as in `_weighted`. Returns b^T u."""
    if faces is None:
        right = ((f + rho + colour) & 1) == 1
        om, op, oc = below[rho], above[rho], here[rho]
        if here.shape[0] == 1:
            return _relax_flat(u, q[colour, f, rho], b[colour, f, rho], om, op, oc, c[0], c[2], right, lo, hi)
        back, ahead = (U(0), U(S)) if rho else (U(S), U(0))
        rows = here[1 - rho]
        return _relax(
            u, q[colour, f, rho], b[colour, f, rho], om, op, rows, back, ahead, oc, c[0], c[1], c[2], right, lo, hi
        )  # fmt: skip
    _weighted(t, below, here, above, colour, f, rho, S, faces, lo, hi)
    return _solved(u, q[colour, f, rho], b[colour, f, rho], t, lo, hi)


@compiled
def _neighbours(
    t: Array,
    q: Array,
    below: Array,
    here: Array,
    above: Array,
    colour: int,
    f: int,
    rho: int,
    S: int,
    c: Array,
    faces: Triple | None,
    lo: int,
    hi: int,
) -> None:
    """t = sum of face weight times neighbour, as in `_weighted`, 0 where there is no unknown."""
    if faces is None:
        right = ((f + rho + colour) & 1) == 1
        om, op, oc = below[rho], above[rho], here[rho]
        if here.shape[0] == 1:
            _constant_flat(t, q, om, op, oc, c[0], c[2], right, lo, hi)
        else:
            back, ahead = (U(0), U(S)) if rho else (U(S), U(0))
            _constant(t, q, om, op, here[1 - rho], back, ahead, oc, c[0], c[1], c[2], right, lo, hi)
    else:
        _weighted(t, below, here, above, colour, f, rho, S, faces, lo, hi)
        _masked(t, q, lo, hi)


# ---- transfer: a coarse plane in natural order has a margin of one on every side, (rows + 2) * T entries


@compiled
def _natural(extents: Extents, pairs: Array) -> tuple[int, int]:
    """Return row stride and length of a coarse plane in natural order."""
    S, _, parities, _, _ = _layout(extents)
    T = S if pairs[2] else 2 * (S - 2) + 2
    if parities == 1:
        return T, T
    rows = (extents[1] + 1) // 2
    return T, ((rows if pairs[1] else 2 * rows) + 2) * T


@compiled
def _split_plane(natural: Array, T: int, coarse: Array, at: int, extents: Extents) -> None:
    S, _, parities, _, _ = _layout(extents)
    n1, n2 = extents[1], extents[2]
    ahead = 0 if natural.shape[0] == T else 1  # margin rows, also where one coarse row is left of two
    for j in range(n1):
        rho, start = _row(j, S, parities)
        first = (at + j) & 1
        row = natural[(j + ahead) * T + 1 :]
        a, b = coarse[first, at, rho, start:], coarse[1 - first, at, rho, start:]
        for k in range(n2 // 2):
            a[k] = row[2 * k]
            b[k] = row[2 * k + 1]
        if n2 & 1:
            a[n2 // 2] = row[n2 - 1]


@compiled
def _join_plane(natural: Array, T: int, coarse: Array, at: int, extents: Extents) -> None:
    S, _, parities, _, _ = _layout(extents)
    n1, n2 = extents[1], extents[2]
    ahead = 0 if natural.shape[0] == T else 1  # margin rows, also where one coarse row is left of two
    for j in range(n1):
        rho, start = _row(j, S, parities)
        first = (at + j) & 1
        row = natural[(j + ahead) * T + 1 :]
        a, b = coarse[first, at, rho, start:], coarse[1 - first, at, rho, start:]
        for k in range(n2 // 2):
            row[2 * k] = a[k]
            row[2 * k + 1] = b[k]
        if n2 & 1:
            row[n2 - 1] = a[n2 // 2]


@compiled
def _restrict_cells(
    t: Array,
    r: Array,
    w: Array | None,
    S: int,
    T: int,
    right: bool,
    pairs: bool,
    wrap: bool,
    edges: Array,
    lo: int,
    hi: int,
) -> None:
    """t (rows of stride T) = the restriction along the row of r, the cells of one colour (rows of stride S).

    Each cell gives 1 - w to its own coarse cell and w to the next; w None: a quarter.
    """
    if not pairs:
        t[:] = 0
        for s in range(lo - 1, hi, S):
            o = (s // S) * T + (2 if right else 1)
            for k in range(S - 2):
                t[o + 2 * k] = r[s + 1 + k]
        return
    if w is None:
        if right:
            for k in range(U(lo), U(hi)):
                t[k] = MOST * r[k] + QUARTER * r[k - ONE]
        else:
            for k in range(U(lo), U(hi)):
                t[k] = MOST * r[k] + QUARTER * r[k + ONE]
    elif right:
        for k in range(U(lo), U(hi)):
            t[k] = r[k] - w[k] * r[k] + w[k - ONE] * r[k - ONE]
    else:
        for k in range(U(lo), U(hi)):
            t[k] = r[k] - w[k] * r[k] + w[k + ONE] * r[k + ONE]
    for s in range(lo - 1, hi, S):
        source = s + S - 2 if right else s + 1
        v = QUARTER if w is None else w[source]
        if wrap:
            t[s + 1 if right else s + S - 2] += v * r[source]
        elif w is None:
            t[source] += v * edges[1 if right else 0] * r[source]


@compiled
def _restrict_pairs(t: Array, even: Array, odd: Array, T: int, lo: int, hi: int) -> None:
    step = U(T)
    for k in range(U(lo), U(hi)):
        t[k] = MOST * (even[k] + odd[k]) + QUARTER * (odd[k - step] + even[k + step])


@compiled
def _restrict_weighted(
    t: Array, even: Array, odd: Array, w_even: Array, w_odd: Array, T: int, lo: int, hi: int
) -> None:
    step = U(T)
    for k in range(U(lo), U(hi)):
        t[k] = even[k] - w_even[k] * even[k] + w_even[k + step] * even[k + step]
    for k in range(U(lo), U(hi)):
        t[k] += odd[k] - w_odd[k] * odd[k] + w_odd[k - step] * odd[k - step]


@compiled
def _restrict_rows(plane: Array, t: Array, w: Array | None, T: int, pairs: bool, wrap: bool, edges: Array) -> None:
    """plane = the restriction across rows of t (parities, rows of stride T)."""
    if t.shape[0] == 1:
        _copy(plane, t[0])
        return
    M = t.shape[1]
    if not pairs:
        for s in range(T, M - T, T):
            row = (2 * (s // T) - 1) * T
            _copy(plane[row:], t[0, s : s + T])
            _copy(plane[row + T :], t[1, s : s + T])
        return
    if w is not None:
        _restrict_weighted(plane, t[0], t[1], w[0], w[1], T, T, M - T)
        if wrap:
            for k in range(T):
                plane[T + k] += w[1, M - 2 * T + k] * t[1, M - 2 * T + k]
                plane[M - 2 * T + k] += w[0, T + k] * t[0, T + k]
        return
    for k in range(T):
        if wrap:
            t[1, k] = t[1, M - 2 * T + k]
            t[0, M - T + k] = t[0, T + k]
        else:
            t[1, k] = edges[0] * t[0, T + k]
            t[0, M - T + k] = edges[1] * t[1, M - 2 * T + k]
    _restrict_pairs(plane, t[0], t[1], T, T, M - T)


@compiled
def _pair(f: int, extent: int, pairs: bool, wrap: bool, edges: Array) -> tuple[int, int, Any, Any]:
    """Return the two coarse indices that fine index f takes part in, with their weights."""
    if not pairs:
        return f, f, F(1), F(0)
    own = f >> 1
    other = own + 1 if f & 1 else own - 1
    if wrap:
        return own, other % extent, MOST, QUARTER
    if other < 0:
        return own, own, MOST + QUARTER * edges[0], F(0)
    if other >= extent:
        return own, own, MOST + QUARTER * edges[1], F(0)
    return own, other, MOST, QUARTER


@compiled
def _give(y: Array, w: Array, x: Array) -> None:
    for k in range(x.shape[0]):
        y[k] += w[k] * x[k]


@compiled
def _keep(y: Array, w: Array, x: Array) -> None:
    for k in range(x.shape[0]):
        y[k] += x[k] - w[k] * x[k]


@compiled
def _deposit(
    store: Array,
    plane: Array,
    w: Array | None,
    i: int,
    lo: int,
    hi: int,
    extent: int,
    pairs: bool,
    wrap: bool,
    edges: Array,
) -> None:
    """Add the restricted fine plane i (not wrapped) to the coarse planes lo to hi - 1 that it belongs to."""
    if not pairs:
        _copy(store[i & 3], plane)
        return
    own = i >> 1
    other = own + 1 if i & 1 else own - 1
    beyond = not wrap and (other < 0 or other >= extent)
    if w is None:
        share = MOST + QUARTER * edges[0 if other < 0 else 1] if beyond else MOST
        if lo <= own < hi:
            _axpy(store[own & 3], share, plane)
        if lo <= other < hi and not beyond:
            _axpy(store[other & 3], QUARTER, plane)
    else:
        if lo <= own < hi:
            _keep(store[own & 3], w, plane)
        if lo <= other < hi and not beyond:
            _give(store[other & 3], w, plane)


@compiled
def _complete(i: int, last: int, hi: int, pairs: bool) -> int:
    """Return the last coarse plane that fine plane i completes."""
    if i == last:
        return hi - 1
    if not pairs:
        return i
    return (i - 2) >> 1 if not i & 1 else -1


@compiled
def _window(lo: int, hi: int, extent: int, pairs: bool, wrap: bool) -> tuple[int, int]:
    """Return the first and last fine plane that coarse planes lo to hi - 1 need."""
    first, last = (2 * lo - 1, 2 * hi) if pairs else (lo, hi - 1)
    return (first, last) if wrap else (max(first, 0), min(last, extent - 1))


@compiled
def down_leg(
    b: Array,
    q: Array,
    c: Array,
    faces: Triple | None,
    extents: Extents,
    pairs: Array,
    wrap: Array,
    edges: Array,
    weights: Triple | None,
    coarse: Array,
    coarse_extents: Extents,
    lo: int,
    hi: int,
) -> None:
    S, L, parities, k0, k1 = _layout(extents)
    T, M = _natural(extents, pairs)
    n0 = extents[0]
    first, last = _window(lo, hi, n0, pairs[0], wrap[0])
    red, black = np.zeros((4, parities, L), F), np.zeros((4, parities, L), F)
    t, r = np.zeros(L, F), np.zeros(L, F)
    rows = np.zeros((parities, T if parities == 1 else (L // S) * T), F)
    plane, store = np.zeros(M, F), np.zeros((4, M), F)
    done = lo
    for i in range(first - 2, last + 3):
        f = i % n0
        if wrap[0] or 0 <= i < n0:
            for rho in range(parities):
                _scaled(red[i & 3, rho], q[0, f, rho], b[0, f, rho], k0, k1)
            _wrap(red[i & 3], wrap, S)
        else:
            red[i & 3] = 0
        i -= 1
        if i >= first - 1:
            f = i % n0
            if wrap[0] or 0 <= i < n0:
                below, here, above = red[(i - 1) & 3], red[i & 3], red[(i + 1) & 3]
                for rho in range(parities):
                    _half_sweep(black[i & 3, rho], below, here, above, q, b, 1, f, rho, S, c, faces, t, k0, k1)
                _wrap(black[i & 3], wrap, S)
            else:
                black[i & 3] = 0
        i -= 1
        if i >= first:  # red was solved from zero: its residual is what black has changed since
            f = i % n0
            below, here, above = black[(i - 1) & 3], black[i & 3], black[(i + 1) & 3]
            for rho in range(parities):
                _neighbours(r, q[0, f, rho], below, here, above, 0, f, rho, S, c, faces, k0, k1)
                w = None if weights is None else weights[2][0, f, rho]
                _restrict_cells(rows[rho], r, w, S, T, ((f + rho) & 1) == 1, pairs[2], wrap[2], edges[2], k0, k1)
            _restrict_rows(plane, rows, None if weights is None else weights[1][f], T, pairs[1], wrap[1], edges[1])
            w = None if weights is None else weights[0][f]
            _deposit(store, plane, w, i, lo, hi, coarse_extents[0], pairs[0], wrap[0], edges[0])
            ready = _complete(i, last, hi, pairs[0])
            while done <= ready and done < hi:
                _split_plane(store[done & 3], T, coarse, done, coarse_extents)
                store[done & 3] = 0
                done += 1


@compiled
def restrict(
    r: Array,
    extents: Extents,
    pairs: Array,
    wrap: Array,
    edges: Array,
    weights: Triple | None,
    coarse: Array,
    coarse_extents: Extents,
    lo: int,
    hi: int,
) -> None:
    S, L, parities, k0, k1 = _layout(extents)
    T, M = _natural(extents, pairs)
    n0 = extents[0]
    first, last = _window(lo, hi, n0, pairs[0], wrap[0])
    rows = np.zeros((parities, T if parities == 1 else (L // S) * T), F)
    t = np.zeros(rows.shape[1], F)
    plane, store = np.zeros(M, F), np.zeros((4, M), F)
    done = lo
    for i in range(first, last + 1):
        f = i % n0
        rows[:] = 0
        for colour in range(2):
            for rho in range(parities):
                right = ((f + rho + colour) & 1) == 1
                w = None if weights is None else weights[2][colour, f, rho]
                _restrict_cells(t, r[colour, f, rho], w, S, T, right, pairs[2], wrap[2], edges[2], k0, k1)
                _axpy(rows[rho], F(1), t)
        _restrict_rows(plane, rows, None if weights is None else weights[1][f], T, pairs[1], wrap[1], edges[1])
        w = None if weights is None else weights[0][f]
        _deposit(store, plane, w, i, lo, hi, coarse_extents[0], pairs[0], wrap[0], edges[0])
        ready = _complete(i, last, hi, pairs[0])
        while done <= ready and done < hi:
            _split_plane(store[done & 3], T, coarse, done, coarse_extents)
            store[done & 3] = 0
            done += 1


@compiled
def _margins(plane: Array, T: int, parities: int, pairs: Array, wrap: Array, edges: Array) -> None:
    """Write what interpolation sees beyond the ends into the margins of a coarse plane."""
    M = plane.shape[0]
    lo, hi = (0, M) if parities == 1 else (T, M - T)
    if pairs[2]:
        for s in range(lo, hi, T):
            plane[s] = plane[s + T - 2] if wrap[2] else edges[2, 0] * plane[s + 1]
            plane[s + T - 1] = plane[s + 1] if wrap[2] else edges[2, 1] * plane[s + T - 2]
    if parities == 2 and pairs[1]:
        for k in range(T):
            plane[k] = plane[M - 2 * T + k] if wrap[1] else edges[1, 0] * plane[T + k]
            plane[M - T + k] = plane[T + k] if wrap[1] else edges[1, 1] * plane[M - 2 * T + k]


@compiled
def _prolong_pairs(t: Array, plane: Array, back: Any, ahead: Any, lo: int, hi: int) -> None:
    for k in range(U(lo), U(hi)):
        t[k] = MOST * plane[k] + QUARTER * plane[k + ahead - back]


@compiled
def _prolong_weighted(t: Array, plane: Array, w: Array, back: Any, ahead: Any, lo: int, hi: int) -> None:
    for k in range(U(lo), U(hi)):
        t[k] = plane[k] + w[k] * (plane[k + ahead - back] - plane[k])


@compiled
def _prolong_rows(t: Array, plane: Array, w: Array | None, rho: int, T: int, parities: int, pairs: bool) -> None:
    """t (rows of stride T) = the interpolation across rows, for the fine rows of parity rho."""
    if parities == 1:
        _copy(t, plane)
    elif pairs:
        back, ahead = (U(0), U(T)) if rho else (U(T), U(0))
        if w is None:
            _prolong_pairs(t, plane, back, ahead, T, t.shape[0] - T)
        else:
            _prolong_weighted(t, plane, w[rho], back, ahead, T, t.shape[0] - T)
    else:
        for s in range(T, t.shape[0] - T, T):
            row = (2 * (s // T) - 1 + rho) * T
            _copy(t[s:], plane[row : row + T])


@compiled
def _prolong_cells(
    u: Array,
    q: Array,
    b: Array,
    t: Array,
    w: Array | None,
    S: int,
    T: int,
    right: bool,
    pairs: bool,
    lo: int,
    hi: int,
) -> None:
    """u (rows of stride S) = q b + the interpolation along the row of t, for the unknowns of one colour."""
    if not pairs:
        for s in range(lo - 1, hi, S):
            o = (s // S) * T + (2 if right else 1)
            for k in range(S - 2):
                v = q[s + 1 + k] * b[s + 1 + k] + t[o + 2 * k]
                u[s + 1 + k] = v if q[s + 1 + k] > 0 else F(0)
    elif w is None:
        if right:
            for k in range(U(lo), U(hi)):
                v = q[k] * b[k] + (MOST * t[k] + QUARTER * t[k + ONE])
                u[k] = v if q[k] > 0 else F(0)
        else:
            for k in range(U(lo), U(hi)):
                v = q[k] * b[k] + (MOST * t[k] + QUARTER * t[k - ONE])
                u[k] = v if q[k] > 0 else F(0)
    elif right:
        for k in range(U(lo), U(hi)):
            v = q[k] * b[k] + (t[k] + w[k] * (t[k + ONE] - t[k]))
            u[k] = v if q[k] > 0 else F(0)
    else:
        for k in range(U(lo), U(hi)):
            v = q[k] * b[k] + (t[k] + w[k] * (t[k - ONE] - t[k]))
            u[k] = v if q[k] > 0 else F(0)


@compiled
def _mixed(t: Array, w: Array, x: Array, y: Array) -> None:
    for k in range(x.shape[0]):
        t[k] = x[k] + w[k] * (y[k] - x[k])


@compiled
def _faded(t: Array, w: Array, x: Array) -> None:
    for k in range(x.shape[0]):
        t[k] = x[k] - w[k] * x[k]


@compiled
def _load_planes(
    natural: Array,
    loaded: Array,
    mixed: Array,
    weights: Triple | None,
    T: int,
    e: Array,
    f: int,
    extents: Extents,
    pairs: Array,
    wrap: Array,
    edges: Array,
    parities: int,
) -> None:
    """mixed = the interpolation across planes of e at fine plane f."""
    own, other, w, v = _pair(f, extents[0], pairs[0], wrap[0], edges[0])
    apart = 4 if abs(other - own) > 1 else other & 3  # across a periodic end: a slot of its own
    for plane, slot in ((own, own & 3), (other, apart)):
        if loaded[slot] != plane:
            loaded[slot] = plane
            _join_plane(natural[slot], T, e, plane, extents)
    if weights is None or not pairs[0]:
        _blend(mixed, w, natural[own & 3], v, natural[apart])
    elif v == 0:
        _faded(mixed, weights[0][f], natural[own & 3])
    else:
        _mixed(mixed, weights[0][f], natural[own & 3], natural[apart])
    _margins(mixed, T, parities, pairs, wrap, edges)


@compiled
def _black(z: Array, ends: Array, i: int, lo: int, hi: int) -> Array:
    """Return where the black cells of plane i stand: in z, or beside the planes lo to hi - 1 in `ends`."""
    plane: Array = z[1, i] if lo <= i < hi else ends[0 if i < lo else 1]
    return plane


@compiled
def up_leg(
    b: Array,
    q: Array,
    c: Array,
    faces: Triple | None,
    extents: Extents,
    pairs: Array,
    wrap: Array,
    edges: Array,
    weights: Triple | None,
    e: Array,
    coarse_extents: Extents,
    z: Array,
    lo: int,
    hi: int,
) -> float:
    S, L, parities, k0, k1 = _layout(extents)
    T, M = _natural(extents, pairs)
    n0 = extents[0]
    red, ends = np.zeros((4, parities, L), F), np.zeros((2, parities, L), F)
    t, rows = np.zeros(L, F), np.zeros(T if parities == 1 else (L // S) * T, F)
    natural, mixed, loaded = np.zeros((5, M), F), np.zeros(M, F), np.full(5, -9)
    total = 0.0
    for i in range(lo - 2, hi + 2):
        f = i % n0
        if wrap[0] or 0 <= i < n0:
            _load_planes(natural, loaded, mixed, weights, T, e, f, coarse_extents, pairs, wrap, edges, parities)
            for rho in range(parities):
                u = red[i & 3, rho]
                _prolong_rows(rows, mixed, None if weights is None else weights[1][f], rho, T, parities, pairs[1])
                w = None if weights is None else weights[2][0, f, rho]
                right = ((f + rho) & 1) == 1
                _prolong_cells(u, q[0, f, rho], b[0, f, rho], rows, w, S, T, right, pairs[2], k0, k1)
            _wrap(red[i & 3], wrap, S)
        else:
            red[i & 3] = 0
        i -= 1
        if i >= lo - 1:
            f = i % n0
            if wrap[0] or 0 <= i < n0:
                below, here, above = red[(i - 1) & 3], red[i & 3], red[(i + 1) & 3]
                black = _black(z, ends, i, lo, hi)
                for rho in range(parities):
                    product = _half_sweep(black[rho], below, here, above, q, b, 1, f, rho, S, c, faces, t, k0, k1)
                    total += product if lo <= i < hi else 0.0
                _wrap(black, wrap, S)
        i -= 1
        if i >= lo:
            below, here, above = _black(z, ends, i - 1, lo, hi), z[1, i], _black(z, ends, i + 1, lo, hi)
            for rho in range(parities):
                total += _half_sweep(z[0, i, rho], below, here, above, q, b, 0, i, rho, S, c, faces, t, k0, k1)
            _clear(here, wrap, S)
    return total


@compiled
def interpolate(
    e: Array,
    coarse_extents: Extents,
    pairs: Array,
    wrap: Array,
    edges: Array,
    weights: Triple | None,
    q: Array,
    z: Array,
    extents: Extents,
    lo: int,
    hi: int,
) -> None:
    S, L, parities, k0, k1 = _layout(extents)
    T, M = _natural(extents, pairs)
    rows = np.zeros(T if parities == 1 else (L // S) * T, F)
    zero = np.zeros(L, F)
    natural, mixed, loaded = np.zeros((5, M), F), np.zeros(M, F), np.full(5, -9)
    for f in range(lo, hi):
        _load_planes(natural, loaded, mixed, weights, T, e, f, coarse_extents, pairs, wrap, edges, parities)
        for rho in range(parities):
            _prolong_rows(rows, mixed, None if weights is None else weights[1][f], rho, T, parities, pairs[1])
            for colour in range(2):
                u = z[colour, f, rho]
                u[:] = 0
                w = None if weights is None else weights[2][colour, f, rho]
                right = ((f + rho + colour) & 1) == 1
                _prolong_cells(u, q[colour, f, rho], zero, rows, w, S, T, right, pairs[2], k0, k1)


# ---- the operator


@in_order
def _product_flat(
    y: Array, x: Array, extra: Array, om: Array, op: Array, oc: Array, c0: Any, c2: Any, right: bool, lo: int, hi: int
) -> None:
    """y = A x: differences of neighbours are all but exact in float32, a sum with the diagonal would cancel."""
    if right:
        for k in range(U(lo), U(hi)):
            v = c0 * ((x[k] - om[k]) + (x[k] - op[k])) + c2 * ((x[k] - oc[k]) + (x[k] - oc[k + ONE]))
            y[k] = v + extra[k] * x[k] if extra[k] > NOTHING else F(0)
    else:
        for k in range(U(lo), U(hi)):
            v = c0 * ((x[k] - om[k]) + (x[k] - op[k])) + c2 * ((x[k] - oc[k]) + (x[k] - oc[k - ONE]))
            y[k] = v + extra[k] * x[k] if extra[k] > NOTHING else F(0)


@in_order
def _product(
    y: Array,
    x: Array,
    extra: Array,
    om: Array,
    op: Array,
    rows: Array,
    back: Any,
    ahead: Any,
    oc: Array,
    c0: Any,
    c1: Any,
    c2: Any,
    right: bool,
    lo: int,
    hi: int,
) -> None:
    if right:
        for k in range(U(lo), U(hi)):
            v = (
                c0 * ((x[k] - om[k]) + (x[k] - op[k]))
                + c1 * ((x[k] - rows[k - back]) + (x[k] - rows[k + ahead]))
                + c2 * ((x[k] - oc[k]) + (x[k] - oc[k + ONE]))
            )
            y[k] = v + extra[k] * x[k] if extra[k] > NOTHING else F(0)
    else:
        for k in range(U(lo), U(hi)):
            v = (
                c0 * ((x[k] - om[k]) + (x[k] - op[k]))
                + c1 * ((x[k] - rows[k - back]) + (x[k] - rows[k + ahead]))
                + c2 * ((x[k] - oc[k]) + (x[k] - oc[k - ONE]))
            )
            y[k] = v + extra[k] * x[k] if extra[k] > NOTHING else F(0)


@compiled
def _fluxes(y: Array, x: Array, extra: Array, lo: int, hi: int) -> None:
    for k in range(U(lo), U(hi)):
        y[k] = D(extra[k]) * x[k]


@compiled
def _flux_planes(y: Array, x: Array, om: Array, op: Array, lower: Array, upper: Array, lo: int, hi: int) -> None:
    for k in range(U(lo), U(hi)):
        y[k] += lower[k] * (D(x[k]) - om[k]) + upper[k] * (D(x[k]) - op[k])


@compiled
def _flux_rows(
    y: Array, x: Array, rows: Array, back: Any, ahead: Any, own: Array, other: Array, lo: int, hi: int
) -> None:
    for k in range(U(lo), U(hi)):
        y[k] += own[k] * (D(x[k]) - rows[k - back]) + other[k + ahead] * (D(x[k]) - rows[k + ahead])


@compiled
def _flux_cells(y: Array, x: Array, oc: Array, own: Array, other: Array, right: bool, lo: int, hi: int) -> None:
    if right:
        for k in range(U(lo), U(hi)):
            y[k] += own[k] * (D(x[k]) - oc[k]) + other[k + ONE] * (D(x[k]) - oc[k + ONE])
    else:
        for k in range(U(lo), U(hi)):
            y[k] += own[k] * (D(x[k]) - oc[k - ONE]) + other[k] * (D(x[k]) - oc[k])


@compiled
def _product_faces(
    y: Array,
    x: Array,
    extra: Array,
    om: Array,
    op: Array,
    rows: Array,
    oc: Array,
    faces: Triple,
    colour: int,
    f: int,
    rho: int,
    S: int,
    right: bool,
    lo: int,
    hi: int,
) -> None:
    w0, w1, w2 = faces
    other = 1 - colour
    _fluxes(y, x, extra, lo, hi)
    _flux_planes(y, x, om, op, w0[colour, f, rho], w0[other, f + 1, rho], lo, hi)
    if w0.shape[2] == 2:
        back, ahead = (U(0), U(S)) if rho else (U(S), U(0))
        _flux_rows(y, x, rows, back, ahead, w1[colour, f, rho], w1[other, f, 1 - rho], lo, hi)
    _flux_cells(y, x, oc, w2[colour, f, rho], w2[other, f, rho], right, lo, hi)


@compiled
def product(
    p: Array,
    beta: float,
    z: Array,
    extra: Array,
    c: Array,
    faces: Triple | None,
    extents: Extents,
    wrap: Array,
    y: Array,
    lo: int,
    hi: int,
) -> float:
    S, L, parities, k0, k1 = _layout(extents)
    n0 = extents[0]
    zero, t = np.zeros(L, F), np.zeros(L, D)
    total = 0.0
    for i in range(lo, hi):
        m, a = (i - 1) % n0, (i + 1) % n0
        if z.size and lo < i + 1 < hi - 1:
            for colour in range(2):
                for rho in range(parities):
                    _combined(p[colour, i + 1, rho], F(beta), z[colour, i + 1, rho])
        for colour in range(2):
            _wrap(p[colour, i], wrap, S)
        for colour in range(2):
            other = 1 - colour
            for rho in range(parities):
                right = ((i + rho + colour) & 1) == 1
                om = p[other, m, rho] if wrap[0] or i > 0 else zero
                op = p[other, a, rho] if wrap[0] or i + 1 < n0 else zero
                x, rows, oc = p[colour, i, rho], p[other, i, parities - 1 - rho], p[other, i, rho]
                u = y[colour, i, rho]
                if faces is None:
                    if parities == 1:
                        _product_flat(u, x, extra[colour, i, rho], om, op, oc, c[0], c[2], right, k0, k1)
                    else:
                        back, ahead = (U(0), U(S)) if rho else (U(S), U(0))
                        _product(
                            u, x, extra[colour, i, rho], om, op, rows, back, ahead, oc, c[0], c[1], c[2], right, k0, k1
                        )  # fmt: skip
                else:
                    _product_faces(
                        t, x, extra[colour, i, rho], om, op, rows, oc, faces, colour, i, rho, S, right, k0, k1
                    )  # fmt: skip
                    for k in range(U(k0), U(k1)):
                        u[k] = t[k]
                if wrap[2]:  # the margins of p are not empty
                    for s in range(k0 - 1, k1, S):
                        u[s] = u[s + S - 1] = 0
                total += _dot(u, x, k0, k1)
    return total


@compiled
def _combined(p: Array, beta: Any, z: Array) -> None:
    for k in range(p.shape[0]):
        p[k] = z[k] + beta * p[k]


@compiled
def combine(p: Array, beta: float, z: Array) -> None:
    _combined(p.ravel(), F(beta), z.ravel())


@compiled
def _lowered(r: Array, y: Array, a: Any, lo: int, hi: int) -> float:
    s = F(0)
    for k in range(U(lo), U(hi)):
        r[k] -= a * y[k]
        s += r[k] * r[k]
    return D(s)


@compiled
def advance(x: Array, p: Array, r: Array, y: Array, alpha: float, scale: float, lo: int, hi: int) -> float:
    n1, n2 = x.shape[1], x.shape[2]
    S, _, parities, k0, k1 = _layout(x.shape)
    a, step = F(alpha), alpha * scale
    total = 0.0
    for i in range(lo, hi):
        for j in range(n1):
            rho, start = _row(j, S, parities)
            first = (i + j) & 1
            row, u, v = x[i, j], p[first, i, rho], p[1 - first, i, rho]
            u, v = u[start : start + S - 2], v[start : start + S - 2]
            for k in range(n2 // 2):
                row[2 * k] += step * u[k]
                row[2 * k + 1] += step * v[k]
            if n2 & 1:
                row[n2 - 1] += step * u[n2 // 2]
        for colour in range(2):
            for rho in range(parities):
                total += _lowered(r[colour, i, rho], y[colour, i, rho], a, k0, k1)
    return total


# ---- cells without unknown beside cells with one


@compiled
def fill(e: Array, cells: Array, pointers: Array, sources: Array) -> None:
    e = e.ravel()
    for m in range(cells.shape[0]):
        s = F(0)
        for t in range(pointers[m], pointers[m + 1]):
            s += e[sources[t]]
        e[cells[m]] = s / F(pointers[m + 1] - pointers[m])


@compiled
def spread(b: Array, cells: Array, pointers: Array, sources: Array) -> None:
    b = b.ravel()
    for m in range(cells.shape[0]):
        share = b[cells[m]] / F(pointers[m + 1] - pointers[m])
        if share != 0:
            for t in range(pointers[m], pointers[m + 1]):
                b[sources[t]] += share
        b[cells[m]] = 0


# ---- the coarsest level, and a smoother without colours


@compiled
def band_factor(band: Array) -> None:
    n, width = band.shape[0], band.shape[1] - 1
    for i in range(n):
        first = max(i - width, 0)
        whole = band[i, width]
        for j in range(first, i + 1):
            s = band[i, width - i + j]
            for k in range(max(first, j - width), j):
                s -= band[i, width - i + k] * band[j, width - j + k]
            if j < i:
                band[i, width - i + j] = s * band[j, width]
            else:  # the diagonal holds its inverse; a pivot that vanishes fixes its unknown at zero
                band[i, width] = 1 / np.sqrt(s) if s > 1e-10 * whole else 0.0


@compiled
def band_solve(band: Array, where: Array, b: Array, x: Array) -> None:
    b, x = b.ravel(), x.ravel()
    n, width = band.shape[0], band.shape[1] - 1
    t = np.zeros(n, band.dtype)
    for i in range(n):
        first = max(i - width, 0)
        row, known = band[i, width - i + first : width], t[first:i]
        s = b[where[i]]
        for k in range(row.shape[0]):
            s -= row[k] * known[k]
        t[i] = s * band[i, width]
    for i in range(n - 1, -1, -1):
        first = max(i - width, 0)
        t[i] *= band[i, width]
        row, rest = band[i, width - i + first : width], t[first:i]
        for k in range(row.shape[0]):
            rest[k] -= row[k] * t[i]
        x[where[i]] = t[i]


@compiled
def chebyshev(u: Array, d: Array, r: Array, y: Array, q: Array, old: float, new: float) -> None:
    u, d, r, y, q = u.ravel(), d.ravel(), r.ravel(), y.ravel(), q.ravel()
    for k in range(u.shape[0]):
        r[k] -= y[k]
    for k in range(u.shape[0]):
        d[k] = F(old) * d[k] + F(new) * q[k] * r[k]
    for k in range(u.shape[0]):
        u[k] += d[k]


# ---- set-up: rows of natural order, active (n0, n1, n2) uint8

NO_SINK = np.zeros((0, 0, 0), F)  # in the place of None: Numba takes seconds for each combination of types


@compiled
def _add_faces(
    t: Array, faces: Triple | None, active: Array, c: Array, outer: Array, wrap: Array, axis: int, i: int, j: int
) -> None:
    """Add the weights of the faces below the cells of row (i, j) along `axis` to t, for axis 2 also the last one.

    `faces` None: the constant c between active cells, and `outer` at the ends. Else the entries of `faces`, at the
    ends times `outer`.
    """
    n0, n1, n2 = active.shape
    if axis == 2:
        if faces is not None:
            row = faces[2][i, j]
            for k in range(1, n2):
                t[k] += row[k]
            t[0] += row[0] * (1.0 if wrap[2] else outer[2, 0])
            t[n2] += row[n2] * (1.0 if wrap[2] else outer[2, 1])
            return
        a = active[i, j]
        w = c[2]
        for k in range(1, n2):
            t[k] += w * (a[k - 1] & a[k])
        t[0] += w * (a[0] & a[n2 - 1]) if wrap[2] else outer[2, 0] * a[0]
        t[n2] += w * (a[0] & a[n2 - 1]) if wrap[2] else outer[2, 1] * a[n2 - 1]
        return
    e, n = (i, n0) if axis == 0 else (j, n1)
    inner = 0 < e < n or wrap[axis]
    if faces is not None:
        w = 1.0 if inner else outer[axis, 0] if e == 0 else outer[axis, 1]
        row = faces[0][i, j] if axis == 0 else faces[1][i, j]
        for k in range(n2):
            t[k] += w * row[k]
        return
    below, above = (e - 1 if e > 0 else n - 1), (e if e < n else 0)
    if not inner:
        below = above = 0 if e == 0 else n - 1
    w = c[axis] if inner else outer[axis, 0] if e == 0 else outer[axis, 1]
    a = active[below, j] if axis == 0 else active[i, below]
    b = active[above, j] if axis == 0 else active[i, above]
    for k in range(n2):
        t[k] += w * (a[k] & b[k])


@compiled
def _fold(w: Array, t: Array, weight: float, pairs: bool) -> None:
    """w = weight times the sums of t over the fine cells of each coarse one; t has room behind its end."""
    for k in range(w.shape[0]):
        w[k] = weight * (t[2 * k] + t[2 * k + 1]) if pairs else weight * t[k]


@compiled
def _fold_ends(w: Array, t: Array, weight: float, n: int, pairs: bool) -> None:
    """w = weight times the faces of t that are faces of coarse cells."""
    last = w.shape[0] - 1
    for k in range(last):
        w[k] = weight * t[2 * k] if pairs else weight * t[k]
    w[last] = weight * t[n]


@compiled
def _span(e: int, extent: int, pairs: bool) -> tuple[int, int]:
    """Return the fine indices of a coarse one: first and last + 1; beyond the end both are the end."""
    return (min(2 * e, extent), min(2 * e + 2, extent)) if pairs else (e, min(e + 1, extent))


def coarsen(
    faces: Triple | None,
    active: Array,
    c: Array,
    outer: Array,
    wrap: Array,
    sink: Array | None,
    pairs: Array,
    w0: Array,
    w1: Array,
    w2: Array,
    coarse_active: Array,
    coarse_sink: Array | None,
    lo: int,
    hi: int,
) -> None:
    leak, coarse_leak = (NO_SINK if sink is None else sink), (NO_SINK if coarse_sink is None else coarse_sink)
    _coarsen(faces, active, c, outer, wrap, leak, pairs, w0, w1, w2, coarse_active, coarse_leak, lo, hi)


@compiled
def _coarsen(
    faces: Triple | None,
    active: Array,
    c: Array,
    outer: Array,
    wrap: Array,
    sink: Array,
    pairs: Array,
    w0: Array,
    w1: Array,
    w2: Array,
    coarse_active: Array,
    coarse_sink: Array,
    lo: int,
    hi: int,
) -> None:
    n0, n1, n2 = active.shape
    m0, m1 = coarse_active.shape[0], coarse_active.shape[1]
    half = np.ones(3)
    for axis in range(3):
        if pairs[axis]:
            half[axis] = 0.5
    t = np.zeros(n2 + 3)
    for i_coarse in range(lo, hi + (hi == m0)):
        i, i_end = _span(i_coarse, n0, pairs[0])
        for j_coarse in range(m1 + 1):
            j, j_end = _span(j_coarse, n1, pairs[1])
            if j_coarse < m1:
                t[:] = 0
                for b in range(j, j_end):
                    _add_faces(t, faces, active, c, outer, wrap, 0, i, b)
                _fold(w0[i_coarse, j_coarse], t, half[0], pairs[2])
            if i_coarse < m0:
                t[:] = 0
                for a in range(i, i_end):
                    _add_faces(t, faces, active, c, outer, wrap, 1, a, j)
                _fold(w1[i_coarse, j_coarse], t, half[1], pairs[2])
            if i_coarse == m0 or j_coarse == m1:
                continue
            t[:] = 0
            for a in range(i, i_end):
                for b in range(j, j_end):
                    _add_faces(t, faces, active, c, outer, wrap, 2, a, b)
            _fold_ends(w2[i_coarse, j_coarse], t, half[2], n2, pairs[2])
            t[:] = 0
            for a in range(i, i_end):
                for b in range(j, j_end):
                    for k in range(n2):
                        t[k] += active[a, b, k]
            row = coarse_active[i_coarse, j_coarse]
            for k in range(row.shape[0]):
                row[k] = (t[2 * k] + t[2 * k + 1] if pairs[2] else t[k]) > 0
            if sink.size:
                t[:] = 0
                for a in range(i, i_end):
                    for b in range(j, j_end):
                        for k in range(n2):
                            t[k] += sink[a, b, k] * active[a, b, k]
                _fold(coarse_sink[i_coarse, j_coarse], t, 1.0, pairs[2])


@compiled
def _scatter(first: Array, second: Array, start: int, t: Array, n: int) -> None:
    """Write the row t of natural order into the two colours of a packed row."""
    a, b = first[start:], second[start:]
    for k in range(n // 2):
        a[k] = t[2 * k]
        b[k] = t[2 * k + 1]
    if n & 1:
        a[n // 2] = t[n - 1]


@compiled
def prepare(
    faces: Triple | None,
    active: Array,
    c: Array,
    outer: Array,
    wrap: Array,
    sink: Array | None,
    packed: Triple | None,
    q: Array,
    extra: Array,
    lo: int,
    hi: int,
) -> None:
    n0, n1, n2 = active.shape
    S, _, parities, _, _ = _layout(active.shape)
    base = 2.0 * (c[0] + c[2] + (c[1] if n1 > 1 else 0.0))
    t, d, s, inverse = np.zeros(n2 + 1), np.zeros(n2 + 1), np.zeros(n2 + 1), np.zeros(n2 + 1)
    if faces is None:
        for colour in range(2):
            extra[colour, lo:hi] = NOTHING
    for i in range(lo, hi):
        for j in range(n1):
            rho, start = _row(j, S, parities)
            one, two = (i + j) & 1, 1 - ((i + j) & 1)
            d[:] = 0
            s[:] = 0
            for axis in range(2):
                e, n = (i, n0) if axis == 0 else (j, n1)
                for upper in range(2):
                    at_end = not wrap[axis] and (e == n - 1 if upper else e == 0)
                    up0, up1 = (upper, 0) if axis == 0 else (0, upper)
                    _add_faces(s if at_end else d, faces, active, c, outer, wrap, axis, i + up0, j + up1)
            t[:] = 0
            _add_faces(t, faces, active, c, outer, wrap, 2, i, j)
            if not wrap[2]:
                s[0] += t[0]
                s[n2 - 1] += t[n2]
                t[0] = t[n2] = 0
            for k in range(n2):
                d[k] += t[k] + t[k + 1]
            if sink is not None:
                for k in range(n2):
                    s[k] += sink[i, j, k]
            row = active[i, j]
            for k in range(n2):
                whole = d[k] + s[k]
                there = row[k] and whole > 0
                inverse[k] = 1 / whole if there else 0.0
                if faces is None:
                    s[k] = whole - base if there else D(NOTHING)
                else:
                    s[k] = s[k] if there else 0.0
            _scatter(q[one, i, rho], q[two, i, rho], start, inverse, n2)
            _scatter(extra[one, i, rho], extra[two, i, rho], start, s, n2)
    if faces is not None and packed is not None:
        _pack_faces(faces, active, wrap, packed, lo, hi)


@compiled
def _pack_faces(faces: Triple, active: Array, wrap: Array, packed: Triple, lo: int, hi: int) -> None:
    """Pack the faces between cells; those at the ends only where the axis is periodic."""
    v0, v1, v2 = faces
    w0, w1, w2 = packed
    n0, n1, n2 = active.shape
    S, _, parities, _, _ = _layout(active.shape)
    for i in range(lo, hi + (hi == n0)):
        for j in range(n1 + 1):
            rho, start = _row(j, S, parities)
            one, two = (i + j) & 1, 1 - ((i + j) & 1)
            if j < n1 and (0 < i < n0 or wrap[0]):
                _scatter(w0[one, i, rho], w0[two, i, rho], start, v0[i, j], n2)
            if i < n0 and parities == 2 and (0 < j < n1 or wrap[1]):
                _scatter(w1[one, i, rho], w1[two, i, rho], start, v1[i, j], n2)
            if i < n0 and j < n1:
                _scatter(w2[one, i, rho], w2[two, i, rho], start, v2[i, j], n2 + 1)
                if not wrap[2]:
                    w2[one, i, rho, start] = 0
                    w2[(one + n2) & 1, i, rho, start + (n2 >> 1)] = 0


@compiled
def _share(out: Array, lower: Array, upper: Array, total: Array, axes: float, n: int) -> None:
    """out <- out / (2 max(lower + upper, total / axes)): what a fine cell takes from the next coarse cell."""
    for k in range(n):
        most = max(lower[k] + upper[k], total[k] / axes)
        out[k] = 0.5 * out[k] / most if most > 0 else 0.0


@compiled
def _halve(t: Array, n: int) -> None:
    """Sum the pairs of a row in place; what lies behind n is zero."""
    for k in range((n + 1) // 2):
        t[k] = t[2 * k] + t[2 * k + 1]
    t[(n + 1) // 2 :] = 0


@compiled
def transfer_weights(
    faces: Triple,
    active: Array,
    outer: Array,
    wrap: Array,
    pairs: Array,
    w0: Array,
    w1: Array,
    w2: Array,
    lo: int,
    hi: int,
) -> None:
    n0, n1, n2 = active.shape
    extents = active.shape
    S, _, parities, _, _ = _layout(extents)
    T, M = _natural(extents, pairs)
    axes = D(max((n0 > 1) + (n1 > 1) + (n2 > 1), 1))
    c = np.zeros(3)
    t, total = np.zeros((6, n2 + 3)), np.zeros(n2 + 3)  # lower and upper strength along each axis
    share = np.zeros(n2 + 3)
    out, plane = np.zeros(M), np.zeros((3, M))  # what the row stage leaves for the planes: lower, upper, total
    for i in range(lo, hi):
        plane[:] = 0
        for j in range(n1):
            rho, start = _row(j, S, parities)
            first = (i + j) & 1
            t[:] = 0
            for axis in range(2):
                for upper in range(2):
                    up0, up1 = (upper, 0) if axis == 0 else (0, upper)
                    _add_faces(t[2 * axis + upper], faces, active, c, outer, wrap, axis, i + up0, j + up1)
            _add_faces(t[4], faces, active, c, outer, wrap, 2, i, j)
            for k in range(n2):
                t[5, k] = t[4, k + 1]
            t[4, n2] = 0
            for k in range(n2):
                total[k] = t[0, k] + t[1, k] + t[2, k] + t[3, k] + t[4, k] + t[5, k]
            n = n2
            if pairs[2]:
                for k in range(n2):
                    share[k] = t[5, k] if k & 1 else t[4, k]
                _share(share, t[4], t[5], total, axes, n2)
                _scatter(w2[first, i, rho], w2[1 - first, i, rho], start, share, n2)
                for m in range(4):
                    _halve(t[m], n2)
                _halve(total, n2)
                n = (n2 + 1) // 2
            place = (j if parities == 1 else (j >> 1) + 1 if pairs[1] else j + 1) * T + 1
            if pairs[1] and parities == 2:
                _copy(share, t[3] if j & 1 else t[2])
                _share(share, t[2], t[3], total, axes, n)
                _copy(w1[i, rho, place:], share[:n])
            _axpy(plane[0, place:], 1.0, t[0, :n])
            _axpy(plane[1, place:], 1.0, t[1, :n])
            _axpy(plane[2, place:], 1.0, total[:n])
            total[:] = 0
        if pairs[0]:
            _copy(out, plane[1] if i & 1 else plane[0])
            _share(out, plane[0], plane[1], plane[2], axes, M)
            _copy(w0[i], out)


@compiled
def fill_lists(active: Array) -> Triple:
    n0, n1, n2 = active.shape
    S, L, parities, _, _ = _layout(active.shape)
    count = links = 0
    cells, pointers, sources = np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0, np.int64)
    for write in range(2):
        if write:
            cells, pointers, sources = (
                np.empty(count, np.int64),
                np.zeros(count + 1, np.int64),
                np.empty(links, np.int64),
            )
        count = links = 0
        for i in range(n0):
            for j in range(n1):
                for k in range(n2):
                    if active[i, j, k]:
                        continue
                    before = links
                    for a in range(max(i - 1, 0), min(i + 2, n0)):
                        for b in range(max(j - 1, 0), min(j + 2, n1)):
                            for d in range(max(k - 1, 0), min(k + 2, n2)):
                                if active[a, b, d]:
                                    if write:
                                        rho, start = _row(b, S, parities)
                                        block = (((a + b + d) & 1) * n0 + a) * parities + rho
                                        sources[links] = block * L + start + (d >> 1)
                                    links += 1
                    if links > before:
                        if write:
                            rho, start = _row(j, S, parities)
                            block = (((i + j + k) & 1) * n0 + i) * parities + rho
                            cells[count] = block * L + start + (k >> 1)
                            pointers[count + 1] = links
                        count += 1
    return cells, pointers, sources
