"""Multigrid cycles on packed grids, the meaning of the compiled twins: smoothing, transfer, products, set-up.

Grids have three axes (n0, n1, n2) = extents. Fewer axes have some of extent 1, in two dimensions the middle one.

**Packed vectors** are float32, (2, n0, P, L). Cell (i, j, k) has the colour (i + j + k) & 1, the first index; the
second is its plane i. A plane has one block for each parity of j (P = 2), a single one where n1 = 1 (P = 1). A block
holds rows of S = ceil(n2 / 2) + 2 slots: the cells of one colour in order, cell k at slot k >> 1 behind a margin of
one slot; another follows. Where P = 2, row j is the row j >> 1 behind a margin row, and another follows:
L = (ceil(n1 / 2) + 2) S; else L = S. So all neighbours of a cell stand at fixed offsets. Margins hold zeros. Kernels
write what they need across periodic ends into margins of their own, only `product` into those of its argument.
Periodic axes have an even extent: in an odd one, cells of the same colour would meet.

**Faces** join a cell u to its neighbour v by a weight w >= 0: w (u - v). Natural ones are three arrays,
(n0 + 1, n1, n2), (n0, n1 + 1, n2), (n0, n1, n2 + 1): entry i is the face below cell i. The ends are walls, or where
periodic both the face that joins the ends. Packed, a face stands where the cell above it does, as if plane n0, row n1
and cell n2 were there: (2, n0 + 1, P, L), (2, n0, 2, L), not used where n1 = 1, and (2, n0, P, L). Walls are not
packed, zeros stand in their place. `faces` is None for constant weights c (3,), c1 not used where n1 = 1.

**Diagonal.** `q` packed is its inverse, 0 where there is no unknown (solids, margins). `extra` packed is the rest of
it. For constant weights: the diagonal less 2 sum(c), -1e30 where there is no unknown. For faces: what the diagonal has
beyond the faces between cells (walls and sinks), 0 where there is no unknown.

**Transfer.** Along an axis with `pairs` (3,) bool, cells 2 I and 2 I + 1 become I; the last one of an odd number stays
alone. A fine cell is 3/4 of its coarse cell and 1/4 of the next one on its side; beyond an end that is `edges`
(3, 2) times the outermost (1: no flux, -1: zero at the wall). Interpolation goes along axis 0, then 1, then 2, and
leaves cells without unknown at zero; restriction is its transpose.

`weights` replace the 1/4 by a share of each cell; edges are then zero. Per axis, fine up to this axis, coarse behind:
w0 (n0, M), w1 (n0, 2, M), parities of rows apart as above, w2 packed. The first two have rows of T slots, natural order
with a margin of one: T = ceil(n2 / 2) + 2 where axis 2 is paired, else 2 ceil(n2 / 2) + 2; where P = 2 there are margin
rows as above. Weights of axes that are not paired are not read, w1 is (n0, 0, 0) there.

`wrap` (3,) bool marks the periodic axes. Kernels with lo and hi write planes lo to hi - 1; several may run at once.
Work is given in flops and bytes of memory traffic a cell, in three dimensions with all axes paired.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.linalg import cho_solve

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

Extents: TypeAlias = tuple[int, int, int]
Triple: TypeAlias = tuple[Array, Array, Array]
NOTHING = np.float32(-1e30)


# ---- layout


def pack(v: Array, scale: float, packed: Array) -> None:
    """Write scale times v (n0, n1, n2) into packed. Work: 12 bytes (v float64)."""
    packed[_places(v.shape)] = scale * v


def pack_difference(v: Array, w: Array, scale: float, packed: Array, lo: int, hi: int) -> float:
    """Write scale times v - w into planes lo to hi - 1 of packed and return the square of norm2(v - w) there.

    Shapes: v (n0, n1, n2), w (hi - lo, n1, n2), those planes. Work: 20 bytes (v, w float64).
    """
    whole, difference = packed.copy(), np.zeros_like(v)
    difference[lo:hi] = v[lo:hi] - w
    whole[_places(v.shape)] = scale * difference
    packed[:, lo:hi] = whole[:, lo:hi]
    return float(np.sum(difference.astype(np.float64) ** 2))


def unpack(packed: Array, scale: float, v: Array) -> None:
    """Write scale times packed into v (n0, n1, n2). Work: 12 bytes (v float64)."""
    v[:] = scale * _open(packed, v.shape)


def _places(extents: tuple[int, ...], more: tuple[int, int, int] = (0, 0, 0)) -> tuple[Array, Array, Array, Array]:
    """Return the four indices of cell (i, j, k) in a packed array, for `more` cells than the extents."""
    i, j, k = np.indices([n + m for n, m in zip(extents, more, strict=True)])
    slots = (extents[2] + 1) // 2 + 2
    if extents[1] == 1:
        return (i + k) & 1, i, j, (k >> 1) + 1
    return (i + j + k) & 1, i, j & 1, ((j >> 1) + 1) * slots + (k >> 1) + 1


def _open(packed: Array, extents: tuple[int, ...], more: tuple[int, int, int] = (0, 0, 0)) -> Array:
    """Return a packed array in natural order and float64."""
    return packed[_places(extents, more)].astype(np.float64)


def _open_faces(faces: Triple | None, extents: Extents) -> list[Array] | None:
    """Return packed faces in natural order; a flat grid has none along axis 1."""
    if faces is None:
        return None
    natural = [_open(w, extents, _unit(a)) if a != 1 or extents[1] > 1 else None for a, w in enumerate(faces)]
    return [np.zeros((extents[0], 2, extents[2])) if w is None else w for w in natural]


def _unit(axis: int) -> tuple[int, int, int]:
    return (int(axis == 0), int(axis == 1), int(axis == 2))


def _inner(z: Array, extents: Extents) -> Array:
    """Return the view of z (2, planes, P, L) without what stands before the first and behind the last row."""
    slots = (extents[2] + 1) // 2 + 2
    first = 1 if extents[1] == 1 else slots + 1
    return z[..., first : z.shape[-1] - first]


# ---- the cycle


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
    """Sweep over red then black from zero for A u = b, and write the restricted residual into coarse.

    lo, hi are coarse planes. Work: 14 flops and 9 bytes with constant weights; 17 and 28 with faces and weights.
    """
    side, inverse, between = _open(b, extents), _open(q, extents), _open_faces(faces, extents)
    u = _smoothed(np.zeros(extents), side, inverse, c, between, wrap, (0, 1))
    there = inverse > 0
    held = np.divide(u, inverse, out=np.zeros(extents), where=there)
    residual = np.where(there, side - held + _neighbours(u, c, between, wrap), 0)
    _write(coarse, _restricted(residual, coarse_extents, pairs, wrap, edges, weights), lo, hi)


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
    """Do the sweep of `down_leg`, add e interpolated, sweep over black then red; write z, return b^T z of its planes.

    Where e comes from the restricted residual by a symmetric positive definite operator, z comes so from b. Margins
    between the rows of z become zero. Work: 17 flops and 13 bytes with constant weights; 20 and 32 with faces and
    weights. (The black half of the first sweep has no influence; the compiled twin leaves it out.)
    """
    side, inverse, between = _open(b, extents), _open(q, extents), _open_faces(faces, extents)
    u = _smoothed(np.zeros(extents), side, inverse, c, between, wrap, (0, 1))
    correction = _interpolated(_open(e, coarse_extents), extents, pairs, wrap, edges, weights)
    u += np.where(inverse > 0, correction, 0)
    u = _smoothed(u, side, inverse, c, between, wrap, (1, 0))
    _inner(z[:, lo:hi], extents)[:] = 0
    _write(z, u, lo, hi)
    return float(np.sum((side * u)[lo:hi]))


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
    """Write the restriction of r into planes of coarse; r is zero where there is no unknown. Work: 6 flops, 5 bytes."""
    _write(coarse, _restricted(_open(r, extents), coarse_extents, pairs, wrap, edges, weights), lo, hi)


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
    """Write the interpolation of e into planes of z, zero where q is. Work: 6 flops, 9 bytes."""
    u = _interpolated(_open(e, coarse_extents), extents, pairs, wrap, edges, weights)
    z[:, lo:hi] = 0
    _write(z, np.where(_open(q, extents) > 0, u, 0), lo, hi)


def _write(packed: Array, v: Array, lo: int, hi: int) -> None:
    colour, i, parity, slot = (p[lo:hi] for p in _places(v.shape))
    packed[colour, i, parity, slot] = v[lo:hi]


def _neighbours(u: Array, c: Array, faces: list[Array] | None, wrap: Array) -> Array:
    """Return for each cell the sum over its faces of weight times the value behind the face."""
    total = np.zeros(u.shape)
    for axis in range(3):
        if u.shape[axis] == 1:
            continue
        along = np.moveaxis(u, axis, 0)
        below, above = np.roll(along, 1, axis=0), np.roll(along, -1, axis=0)
        if not wrap[axis]:
            below[:1] = above[-1:] = 0
        if faces is None:
            part = float(c[axis]) * (below + above)
        else:
            weight = np.moveaxis(faces[axis], axis, 0)
            part = weight[:-1] * below + weight[1:] * above
        total += np.moveaxis(part, 0, axis)
    return total


def _smoothed(
    u: Array, b: Array, q: Array, c: Array, faces: list[Array] | None, wrap: Array, colours: tuple[int, int]
) -> Array:
    """Return u after Gauss-Seidel half sweeps over the colours, one after the other."""
    own = np.indices(u.shape).sum(axis=0) & 1
    for colour in colours:
        u = np.where(own == colour, q * (b + _neighbours(u, c, faces, wrap)), u)
    return u


# ---- transfer


def _interpolated(e: Array, extents: Extents, pairs: Array, wrap: Array, edges: Array, weights: Triple | None) -> Array:
    for axis in range(3):
        if pairs[axis]:
            share = _share_of_next(weights, axis, extents, pairs)
            own, beside, factor = _parents(extents[axis], e.shape[axis], wrap[axis], edges[axis])
            along = np.moveaxis(e, axis, 0)
            e = np.moveaxis((1 - share) * along[own] + share * factor * along[beside], 0, axis)
    return e


def _restricted(
    r: Array, coarse_extents: Extents, pairs: Array, wrap: Array, edges: Array, weights: Triple | None
) -> Array:
    extents = r.shape
    for axis in (2, 1, 0):
        if pairs[axis]:
            share = _share_of_next(weights, axis, extents, pairs)
            own, beside, factor = _parents(extents[axis], coarse_extents[axis], wrap[axis], edges[axis])
            along = np.moveaxis(r, axis, 0)
            out = np.zeros((coarse_extents[axis], *along.shape[1:]))
            np.add.at(out, own, (1 - share) * along)
            np.add.at(out, beside, share * factor * along)
            r = np.moveaxis(out, 0, axis)
    return r


def _parents(extent: int, coarse: int, wrap: bool, edges: Array) -> tuple[Array, Array, Array]:
    """Return the own and the next coarse cell of each fine one, and what the next counts: beyond an end, `edges`."""
    fine = np.arange(extent)
    own = fine >> 1
    beside = own + np.where(fine & 1, 1, -1)
    factor = np.ones((extent, 1, 1))
    if wrap:
        return own, beside % coarse, factor
    factor[beside < 0], factor[beside >= coarse] = edges[0], edges[1]
    return own, np.clip(beside, 0, coarse - 1), factor


def _share_of_next(weights: Triple | None, axis: int, extents: tuple[int, ...], pairs: Array) -> Any:
    """Return what fine cells take from the next coarse one, with `axis` in front."""
    if weights is None:
        return 0.25
    if axis == 2:
        return np.moveaxis(_open(weights[2], extents), 2, 0)
    return np.moveaxis(weights[axis][_shares(extents, pairs, axis)].astype(np.float64), axis, 0)


def _shares(extents: tuple[int, ...], pairs: Array, axis: int) -> tuple[Array, ...]:
    """Return the indices of the cells in the weights of axis 0 or 1: axes up to this one fine, the others coarse."""
    half = (extents[2] + 1) // 2
    slots = half + 2 if pairs[2] else 2 * half + 2
    shape = [(n + 1) // 2 if p and a > axis else n for a, (n, p) in enumerate(zip(extents, pairs, strict=True))]
    i, j, k = np.indices(shape)
    if axis == 1:
        return i, j & 1, ((j >> 1) + 1) * slots + k + 1
    return i, (j + (extents[1] > 1)) * slots + k + 1


# ---- the operator and conjugate gradients


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
    """Write A p into planes of y, zero where there is no unknown, and return their part of p^T A p.

    Where z is not empty, p = z + beta p is done first, on planes lo + 1 to hi - 2: the other ones have been done, see
    `combine`. Differences to neighbours come first, so that float32 does not cancel; with faces they are in float64.
    Margins of these planes of p get the values across periodic ends of rows and planes. Work: 21 flops and 12 bytes
    with constant weights, 24 with faces; with z 2 and 8 more.
    """
    if z.size:
        combine(p[:, lo + 1 : hi - 1], beta, z[:, lo + 1 : hi - 1])
    u, rest, between = _open(p, extents), _open(extra, extents), _open_faces(faces, extents)
    if between is None:
        diagonal = 2 * sum(float(c[a]) for a in range(3) if extents[a] > 1 or a != 1) + rest
        there = rest > NOTHING
    else:
        each = [np.moveaxis(w, a, 0) for a, w in enumerate(between)]
        diagonal = rest + sum(np.moveaxis(w[:-1] + w[1:], 0, a) for a, w in enumerate(each))
        there = np.ones(extents, bool)
    v = np.where(there, diagonal * u - _neighbours(u, c, between, wrap), 0)
    _inner(y[:, lo:hi], extents)[:] = 0
    _write(y, v, lo, hi)
    slots = (extents[2] + 1) // 2 + 2
    for colour in p:
        for plane in colour[lo:hi]:
            _join_ends(plane.reshape(plane.shape[0], -1, slots), wrap)
    return float(np.sum((_open(y, extents) * u)[lo:hi]))


def _join_ends(plane: Array, wrap: Array) -> None:
    """Write the neighbours across periodic ends into the margins of one colour of a plane (P, rows, slots)."""
    if wrap[2]:
        plane[..., 0], plane[..., -1] = plane[..., -2].copy(), plane[..., 1].copy()
    if wrap[1] and plane.shape[0] == 2:
        plane[1, 0], plane[0, -1] = plane[1, -2], plane[0, 1]


def combine(p: Array, beta: float, z: Array) -> None:
    """Do p = z + beta p, margins too. Work: 2 flops, 12 bytes."""
    p[:] = z + np.float32(beta) * p


def advance(x: Array, p: Array, r: Array, y: Array, alpha: float, scale: float, lo: int, hi: int) -> float:
    """Do x += alpha scale p (x natural, others packed) and r -= alpha y on planes; return their r^T r.

    Work: 6 flops and 32 bytes (x float64).
    """
    x[lo:hi] += (alpha * scale * _open(p, x.shape))[lo:hi]
    _write(r, _open(r, x.shape) - float(np.float32(alpha)) * _open(y, x.shape), lo, hi)
    return float(np.sum(_open(r, x.shape)[lo:hi] ** 2))


# ---- cells without unknown beside cells with one


def fill_lists(active: Array) -> tuple[Array, Array, Array]:
    """Return cells, pointers, sources, int64: the cells without unknown that touch one with an unknown, and which.

    active (n0, n1, n2) uint8. Cells touch by faces, edges or corners, not across periodic ends. ``cells[m]`` and its
    ``sources[pointers[m] : pointers[m + 1]]`` are positions in a packed vector, in C order. Work: 54 reads for each
    cell without unknown.
    """
    extents = active.shape
    shape = (2, extents[0], 1 if extents[1] == 1 else 2, _block(extents))
    place = np.pad(np.ravel_multi_index(_places(extents), shape), 1)
    beside = np.pad(active != 0, 1)
    windows = np.lib.stride_tricks.sliding_window_view
    around = windows(beside, (3, 3, 3)).reshape(*extents, 27) if active.size else np.zeros((*extents, 27), bool)
    there = windows(place, (3, 3, 3)).reshape(*extents, 27) if active.size else np.zeros((*extents, 27), int)
    found = (active == 0) & around.any(axis=-1)
    counts = around[found].sum(axis=1)
    return place[1:-1, 1:-1, 1:-1][found], np.append(0, np.cumsum(counts)), there[found][around[found]]


def _block(extents: tuple[int, ...]) -> int:
    slots = (extents[2] + 1) // 2 + 2
    return slots if extents[1] == 1 else ((extents[1] + 1) // 2 + 2) * slots


def fill(e: Array, cells: Array, pointers: Array, sources: Array) -> None:
    """Write into each of the cells of e the mean of its sources, none of which is such a cell."""
    flat, counts = e.reshape(-1), np.diff(pointers)
    means = np.bincount(np.repeat(np.arange(len(cells)), counts), flat[sources], len(cells)) / counts
    flat[cells] = means


def spread(b: Array, cells: Array, pointers: Array, sources: Array) -> None:
    """Do the transpose of `fill`: share each of the cells of b out to its sources, and set it to zero."""
    flat, counts = b.reshape(-1), np.diff(pointers)
    np.add.at(flat, sources, np.repeat(flat[cells] / counts.astype(b.dtype), counts))
    flat[cells] = 0


# ---- the coarsest level, and a smoother without colours


def band_factor(band: Array) -> None:
    """Replace a symmetric matrix by its Cholesky factor, with the inverses of its diagonal.

    band (n, width + 1): ``band[i, width - i + j]`` is entry (i, j), i - width <= j <= i. A pivot below 1e-10 of its
    diagonal fixes the unknown at zero: its column is zero, and so is its inverse. Work: n width^2 flops.
    """
    n, width = band.shape[0], band.shape[1] - 1
    i, j = np.nonzero(np.tril(np.triu(np.ones((n, n)), -width)))
    matrix, factor, inverse = np.zeros((n, n)), np.zeros((n, n)), np.zeros(n)
    matrix[i, j] = band[i, width - i + j]
    for m in range(n):
        left = matrix[m:, m] - factor[m:, :m] @ factor[m, :m]
        inverse[m] = 1 / np.sqrt(left[0]) if left[0] > 1e-10 * matrix[m, m] else 0.0
        factor[m:, m] = left * inverse[m]
    np.fill_diagonal(factor, inverse)
    band[i, width - i + j] = factor[i, j]


def band_solve(band: Array, where: Array, b: Array, x: Array) -> None:
    """Solve with the factor of `band_factor`: unknown i is entry ``where[i]`` of b and x, in memory order.

    Unknowns that are fixed get zero. Work: 4 n width flops, two reads of the factor.
    """
    n, width = band.shape[0], band.shape[1] - 1
    i, j = np.nonzero(np.tril(np.triu(np.ones((n, n)), -width)))
    factor, solution = np.zeros((n, n)), np.zeros(n)
    factor[i, j] = band[i, width - i + j]
    free = np.flatnonzero(np.diag(factor))
    factor = factor[np.ix_(free, free)]
    if len(free):
        np.fill_diagonal(factor, 1 / np.diag(factor))
        solution[free] = cho_solve((factor, True), b.reshape(-1)[where[free]].astype(np.float64))
    x.reshape(-1)[where] = solution


def chebyshev(u: Array, d: Array, r: Array, y: Array, q: Array, old: float, new: float) -> None:
    """Do r -= y, d = old d + new q r, u += d: a step of the Chebyshev iteration, y = A d. Work: 7 flops, 32 bytes."""
    r -= y
    d[:] = np.float32(old) * d + np.float32(new) * q * r
    u += d


# ---- set-up


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
    """Write planes lo to hi - 1 of q, extra, and where there are natural `faces` their `packed` form.

    They come as zeros. The last part writes the upper wall too.

    active (n0, n1, n2) uint8; sink (n0, n1, n2) adds to the diagonal. outer (3, 2) are the weights of the walls for
    constant weights c, otherwise by what those in `faces` are multiplied for the diagonal; unused where periodic.
    A cell whose diagonal is zero has no unknown. Work: about 40 flops; 9 bytes with constant weights, 45 with faces
    in float64.
    """
    inside, outside = np.zeros(active.shape), np.zeros(active.shape)
    whole_q, whole_extra, whole_packed = q.copy(), extra.copy(), copy.deepcopy(packed)
    for axis in range(3):
        weight = _natural_faces(faces, active, c, outer, wrap, axis)
        walls = np.zeros_like(weight)
        if not wrap[axis]:
            ends = np.moveaxis(weight, axis, 0)
            np.moveaxis(walls, axis, 0)[[0, -1]] = ends[[0, -1]]
        for part, total in ((weight - walls, inside), (walls, outside)):
            lower, upper = _sides(part, axis)
            total += lower + upper
        if faces is not None and whole_packed is not None and (axis != 1 or active.shape[1] > 1):
            kept = faces[axis].copy()
            if not wrap[axis]:
                np.moveaxis(kept, axis, 0)[[0, -1]] = 0
            whole_packed[axis][_places(active.shape, _unit(axis))] = kept
    outside += 0 if sink is None else sink
    there = (active != 0) & (inside + outside > 0)
    whole = np.where(there, inside + outside, 1)
    whole_q[_places(active.shape)] = np.where(there, 1 / whole, 0)
    if faces is not None:
        whole_extra[_places(active.shape)] = np.where(there, outside, 0)
    else:
        whole_extra[:] = NOTHING
        base = 2 * (c[0] + c[2] + (c[1] if active.shape[1] > 1 else 0))
        whole_extra[_places(active.shape)] = np.where(there, whole - base, NOTHING)
    last = hi + (hi == active.shape[0])
    q[:, lo:hi], extra[:, lo:hi] = whole_q[:, lo:hi], whole_extra[:, lo:hi]
    for part, full in zip(packed or (), whole_packed or (), strict=True):
        part[:, lo:last] = full[:, lo:last]


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
    """Write planes lo to hi - 1 of the natural faces, active cells and sink of the grid whose cells are the pairs.

    The last part writes the upper wall too.

    A coarse face is the sum of the fine ones in it, halved along a paired axis; walls as in `prepare`. A coarse cell is
    active where one of its fine cells is; its sink is the sum over them. Work: about 20 flops.
    """
    for axis, w in enumerate((w0, w1, w2)):
        total = _natural_faces(faces, active, c, outer, wrap, axis)
        if pairs[axis]:
            along = np.moveaxis(total, axis, 0)
            kept = np.minimum(2 * np.arange(w.shape[axis]), active.shape[axis])
            total = np.moveaxis(0.5 * along[kept], 0, axis)
        last = hi + (axis == 0 and hi == coarse_active.shape[0])
        w[lo:last] = _paired(total, [p and a != axis for a, p in enumerate(pairs)])[lo:last]
    coarse_active[lo:hi] = (_paired(active.astype(int), pairs) > 0)[lo:hi]
    if sink is not None and coarse_sink is not None:
        coarse_sink[lo:hi] = _paired(sink.astype(np.float64) * active, pairs)[lo:hi]


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
    """Write the `weights` of the transfer between cells of natural `faces` and their pairs, for planes lo to hi - 1.

    Along a paired axis a fine cell whose faces weigh w on the side of the next coarse cell, w' on the other and t in
    all takes w / (2 max(w + w', t / axes)), axes the number of those with more than one cell; 0 where nothing weighs.
    Axis 2 comes first; the weights of what has been paired are summed for axes 1 and 0. Walls as in `prepare`. The
    others of w0, w1, w2 stay. Work: about 40 flops.
    """
    extents = active.shape
    axes = max(sum(n > 1 for n in extents), 1)
    none = np.zeros(3)
    sides = [_sides(_natural_faces(faces, active, none, outer, wrap, a), a) for a in range(3)]
    total = sum((lower + upper for lower, upper in sides), np.zeros(extents))
    for axis, w in ((2, w2), (1, w1), (0, w0)):
        if not pairs[axis]:
            continue
        lower, upper = sides[axis]
        upwards = np.indices(lower.shape)[axis] & 1
        most = np.maximum(lower + upper, total / axes)
        share = np.where(upwards, upper, lower) / np.where(most > 0, 2 * most, 1)
        whole = np.zeros_like(w) if axis == 0 else w.copy()
        whole[_places(extents) if axis == 2 else _shares(extents, pairs, axis)] = share
        planes = (slice(None), slice(lo, hi)) if axis == 2 else slice(lo, hi)
        w[planes] = whole[planes]
        own = [a == axis for a in range(3)]
        sides = [(_paired(lower, own), _paired(upper, own)) for lower, upper in sides]
        total = _paired(total, own)


def _natural_faces(faces: Triple | None, active: Array, c: Array, outer: Array, wrap: Array, axis: int) -> Array:
    """Return the weights along an axis in float64, those of walls among them."""
    if faces is not None:
        weight = np.moveaxis(faces[axis], axis, 0).astype(np.float64)
        walls = (1.0, 1.0) if wrap[axis] else outer[axis]
        weight[0] *= walls[0]
        weight[-1] *= walls[1]
        return np.moveaxis(weight, 0, axis)
    along = np.moveaxis(active != 0, axis, 0)
    first, last = (along[-1:], along[:1]) if wrap[axis] else (along[:1], along[-1:])
    thick = np.concatenate([first, along, last])
    weight = c[axis] * (thick[:-1] & thick[1:])
    if not wrap[axis]:
        weight[0], weight[-1] = outer[axis, 0] * along[0], outer[axis, 1] * along[-1]
    return np.moveaxis(weight, 0, axis)


def _sides(weight: Array, axis: int) -> tuple[Array, Array]:
    """Return the weights of the lower and the upper face of each cell."""
    along = np.moveaxis(weight, axis, 0)
    return np.moveaxis(along[:-1], 0, axis), np.moveaxis(along[1:], 0, axis)


def _paired(v: Array, pairs: Any) -> Array:
    """Return the sums of v over the fine cells of each coarse one."""
    for axis in range(3):
        if pairs[axis]:
            along = np.moveaxis(v, axis, 0)
            sums = along[0::2].copy()
            sums[: len(along) // 2] += along[1::2]
            v = np.moveaxis(sums, 0, axis)
    return v


# ---- examples: numbers of few binary digits, whose sums are exact in float32 whatever their order

GRIDS: tuple[tuple[Extents, tuple[int, int, int], tuple[int, int, int]], ...] = (  # extents, pairs, wrap
    ((0, 2, 3), (1, 1, 1), (0, 0, 0)),
    ((1, 1, 1), (0, 0, 0), (0, 0, 0)),
    ((1, 1, 11), (0, 0, 1), (0, 0, 0)),
    ((7, 1, 9), (1, 0, 1), (0, 0, 0)),
    ((6, 1, 8), (1, 0, 0), (1, 0, 1)),
    ((5, 3, 7), (1, 1, 1), (0, 0, 0)),
    ((4, 6, 8), (1, 0, 1), (1, 1, 1)),
    ((3, 4, 6), (0, 1, 0), (0, 1, 0)),
    ((4, 2, 1), (1, 1, 0), (0, 0, 0)),
    ((2, 2, 4), (1, 1, 1), (1, 1, 1)),
)
NONE, NO_CELLS = (0, 0, 0), (0, 1, 1)


@dataclass(frozen=True, kw_only=True)
class _Level:
    """The arguments that kernels share, in their order within them."""

    extents: Extents
    coarse: Extents
    pairs: Array
    wrap: Array
    edges: Array
    c: Array
    faces: Triple | None
    weights: Triple | None
    q: Array
    extra: Array

    @property
    def how(self) -> tuple[Any, ...]:
        return self.pairs, self.wrap, self.edges, self.weights

    def planes(self, extent: int) -> tuple[int, int]:
        return (0, extent) if self.faces is None else (min(1, extent), extent)


def _some(rng: np.random.Generator, values: tuple[float, ...], shape: tuple[int, ...]) -> Array:
    return rng.choice(np.array(values, np.float32), shape)


def _packed(extents: Extents, v: Any = 0.0, margin: float = 0.0) -> Array:
    """Return a packed array with v in its cells."""
    out = np.full((2, extents[0], 1 if extents[1] == 1 else 2, _block(extents)), margin, np.float32)
    out[_places(extents)] = v
    return out


def _vector(rng: np.random.Generator, extents: Extents) -> Array:
    return _packed(extents, _some(rng, (-1.5, -1, 0.5, 1, 2), extents))


def _levels(rng: np.random.Generator) -> list[_Level]:
    """Return levels of constant weights and of a weight per face, in turn; the last one has no cells."""
    made = []
    for extents, pairs, wrap in (*GRIDS, (NO_CELLS, NONE, NONE)):
        for constant in (False, True):
            q = _some(rng, (0.5, 0.25, 0.125, *([0.0] * (max(extents) > 6))), extents)
            rest = np.where(q > 0, _some(rng, (-1, 0, 0.5, 2), extents), NOTHING if constant else 0)
            i, j, k = ((n + 1) // 2 if p else n for n, p in zip(extents, pairs, strict=True))
            level = _Level(
                extents=extents,
                coarse=(i, j, k),
                pairs=np.array(pairs, bool),
                wrap=np.array(wrap, bool),
                edges=_some(rng, (-1, 0.5, 1) if constant else (0,), (3, 2)),
                c=_some(rng, (0.25, 0.5, 1), (3,)),
                faces=None if constant else _some_faces(rng, extents, wrap),
                weights=None if constant else _some_weights(rng, extents, np.array(pairs)),
                q=_packed(extents, q),
                extra=_packed(extents, rest, float(NOTHING) if constant else 0),
            )
            made.append(level)
    return made


def _faces_room(extents: Extents) -> Triple:
    cells = _packed(extents)
    planes = np.zeros((2, extents[0] + 1, *cells.shape[2:]), np.float32)
    return planes, cells.copy() if extents[1] > 1 else np.zeros((2, 0, 1, 0), np.float32), cells


def _some_faces(rng: np.random.Generator, extents: Extents, wrap: tuple[int, int, int]) -> Triple:
    packed = _faces_room(extents)
    for axis, room in enumerate(packed):
        if room.size and (axis != 1 or extents[1] > 1):
            natural = _natural(rng, extents, axis, wrap[axis], np.ones(extents, bool))
            if not wrap[axis]:
                np.moveaxis(natural, axis, 0)[[0, -1]] = 0
            room[_places(extents, _unit(axis))] = natural
    return packed


def _natural(rng: np.random.Generator, extents: Extents, axis: int, wrap: int, active: Array) -> Array:
    """Return weights of natural faces along an axis, none at cells that are not active."""
    weight = _some(rng, (0, 0.25, 0.5, 1), tuple(n + (a == axis) for a, n in enumerate(extents)))
    along, there = np.moveaxis(weight, axis, 0), np.moveaxis(active, axis, 0)
    along[:-1] *= there
    along[1:] *= there
    if wrap:
        along[-1] = along[0] = np.minimum(along[0], along[-1])
    return weight


def _weights_room(extents: Extents, pairs: Array) -> Triple:
    half, middle = (extents[2] + 1) // 2, (extents[1] + 1) // 2
    slots = half + 2 if pairs[2] else 2 * half + 2
    rows = 1 if extents[1] == 1 else (middle if pairs[1] else 2 * middle) + 2
    w1 = (extents[0], 2, rows * slots) if pairs[1] else (extents[0], 0, 0)
    return np.zeros((extents[0], rows * slots), np.float32), np.zeros(w1, np.float32), _packed(extents)


def _some_weights(rng: np.random.Generator, extents: Extents, pairs: Array) -> Triple:
    weights = _weights_room(extents, pairs)
    for axis, w in enumerate(weights):
        if pairs[axis]:
            places = _places(extents) if axis == 2 else _shares(extents, pairs, axis)
            w[places] = _some(rng, (0, 0.25, 0.5), places[0].shape)
    return weights


Examples: TypeAlias = list[tuple[Any, ...]]


def _pack_difference(rng: np.random.Generator, dtype: Any) -> Examples:
    made: Examples = []
    for e, _, _ in GRIDS:
        v, lo = rng.standard_normal(e).astype(dtype), e[0] // 3
        made.append((v, rng.standard_normal(v[lo:].shape).astype(dtype), 0.75, _packed(e), lo, e[0]))
    return made


def _pack(rng: np.random.Generator, dtype: Any) -> Examples:
    return [(rng.standard_normal(e).astype(dtype), 0.75, _packed(e)) for e, _, _ in GRIDS]


def _unpack(rng: np.random.Generator, dtype: Any) -> Examples:
    made = [(_vector(rng, e), 0.75, np.zeros(e, dtype)) for e, _, _ in GRIDS]
    return [*made, (_one(), 0.75, np.zeros(NO_CELLS, dtype))]


def _one() -> Array:
    """Return a packed array with room for one entry, for a grid without cells."""
    return np.zeros((1, 1, 1, 1), np.float32)


def _down(rng: np.random.Generator, dtype: Any) -> Examples:
    made = []
    for s in _levels(rng):
        b = _vector(rng, s.extents) if s.extents != NO_CELLS else _one()
        into = (_vector(rng, s.coarse), s.coarse, *s.planes(s.coarse[0]))
        made.append((b, s.q, s.c, s.faces, s.extents, *s.how, *into))
    return made


def _up(rng: np.random.Generator, dtype: Any) -> Examples:
    made = []
    for s in _levels(rng):
        b = _vector(rng, s.extents) if s.extents != NO_CELLS else _one()
        coarse = (_vector(rng, s.coarse), s.coarse)
        made.append(
            (b, s.q, s.c, s.faces, s.extents, *s.how, *coarse, _vector(rng, s.extents), *s.planes(s.extents[0]))
        )
    return made


def _restrict(rng: np.random.Generator, dtype: Any) -> Examples:
    made = []
    for s in _levels(rng):
        r = _vector(rng, s.extents) * (s.q > 0) if s.extents != NO_CELLS else _one()
        made.append((r, s.extents, *s.how, _vector(rng, s.coarse), s.coarse, *s.planes(s.coarse[0])))
    return made


def _interpolate(rng: np.random.Generator, dtype: Any) -> Examples:
    made = []
    for s in _levels(rng):
        e = _vector(rng, s.coarse) if s.extents != NO_CELLS else _one()
        made.append((e, s.coarse, *s.how, s.q, _vector(rng, s.extents), s.extents, *s.planes(s.extents[0])))
    return made


def _product(rng: np.random.Generator, dtype: Any) -> Examples:
    made: Examples = []
    for s in _levels(rng):
        p = _vector(rng, s.extents) * (s.q > 0) if s.extents != NO_CELLS else _one()
        z = np.zeros((0,) * 4, np.float32) if len(made) % 2 else 0.5 * p
        rest = s.extra, s.c, s.faces, s.extents, s.wrap, _vector(rng, s.extents), *s.planes(s.extents[0])
        made.append((p, 0.75, z, *rest))
    return made


def _combine(rng: np.random.Generator, dtype: Any) -> Examples:
    return [*((_vector(rng, e), 0.75, _vector(rng, e)) for e, _, _ in GRIDS), (_one(), 0.5, _one())]


def _advance(rng: np.random.Generator, dtype: Any) -> Examples:
    made: Examples = []
    for e, _, _ in GRIDS:
        x = rng.standard_normal(e).astype(dtype)
        made.append((x, *(_vector(rng, e) for _ in range(3)), 0.5, 1.25, min(1, e[0] // 2), e[0]))
    return made


def _actives(rng: np.random.Generator) -> list[Array]:
    return [(rng.random(e) < 0.6).astype(np.uint8) for e, _, _ in GRIDS]


def _filled(rng: np.random.Generator, dtype: Any) -> Examples:
    lists = [(_vector(rng, e), *fill_lists(a)) for (e, _, _), a in zip(GRIDS, _actives(rng), strict=True)]
    return [*lists, (_one(), *fill_lists(np.ones((1, 1, 1), np.uint8)))]


def _bands(rng: np.random.Generator, dtype: Any) -> list[Array]:
    """Return symmetric banded matrices, the last one singular: its unknowns hang together and lean on nothing."""
    made = [np.zeros((0, 1)), np.full((1, 1), 4.0), np.full((5, 1), 2.0), np.zeros((2, 4)), np.zeros((17, 4))]
    for band in made[3:]:
        band[:] = rng.uniform(-1, 0, band.shape)
        band[:, -1] = 8
    path = np.full((6, 2), -1.0)
    path[:, 1] = (1, 2, 2, 2, 2, 1)
    return [band.astype(dtype) for band in (*made, path)]


def _factors(rng: np.random.Generator, dtype: Any) -> Examples:
    made = []
    for band in _bands(rng, np.float32):
        band_factor(band)
        b, x = (rng.standard_normal((2, 1, 1, len(band))).astype(np.float32) for _ in range(2))
        made.append((band, rng.permutation(2 * len(band))[: len(band)], b, x))
    return made


def _iterates(rng: np.random.Generator, dtype: Any) -> Examples:
    made: Examples = [(*(_vector(rng, e) for _ in range(5)), 0.25, 0.5) for e, _, _ in GRIDS]
    return [*made, (*(_one() for _ in range(5)), 0.25, 0.5)]


def _natural_levels(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    """Yield faces of the type of a finest and of a coarser grid, active, c, outer, wrap, sink, pairs."""
    for extents, pairs, wrap in (*GRIDS[1:], (NO_CELLS, NONE, NONE), (NONE, NONE, NONE)):
        active = (rng.random(extents) < (0.7 if max(extents) > 6 else 2)).astype(np.uint8)
        sink = _some(rng, (0, 0.5, 1), extents)
        several = np.array(extents) > 1
        for kind in (None, dtype, np.float32):
            faces = kind and tuple(
                _natural(rng, extents, a, wrap[a], active != 0).astype(kind) * kind(several[a]) for a in range(3)
            )
            c, outer = rng.random(3) * several, rng.random((3, 2)) * several[:, None]
            if kind is not None or active.size:
                for leak in (None, sink):
                    yield faces, active, c, outer, np.array(wrap, bool), leak, np.array(pairs, bool)


def _prepare(rng: np.random.Generator, dtype: Any) -> Examples:
    made = []
    for *facts, _ in _natural_levels(rng, dtype):
        extents = facts[1].shape
        packed = None if facts[0] is None else _faces_room(extents)
        made.append((*facts, packed, _packed(extents), _packed(extents), extents[0] // 3, extents[0]))
    return made


def _coarsen(rng: np.random.Generator, dtype: Any) -> Examples:
    made = []
    for *facts, sink, pairs in _natural_levels(rng, dtype):
        coarse = tuple((n + 1) // 2 if p else n for n, p in zip(facts[1].shape, pairs, strict=True))
        faces = (np.zeros([n + (a == b) for b, n in enumerate(coarse)], np.float32) for a in range(3))
        leak = None if sink is None else np.zeros(coarse, np.float32)
        made.append((*facts, sink, pairs, *faces, np.zeros(coarse, np.uint8), leak, coarse[0] // 3, coarse[0]))
    return made


def _transfer(rng: np.random.Generator, dtype: Any) -> Examples:
    made = []
    for faces, active, _, outer, wrap, sink, pairs in _natural_levels(rng, dtype):
        if faces is not None and sink is None:
            n = active.shape[0]
            made.append((faces, active, outer, wrap, pairs, *_weights_room(active.shape, pairs), n // 3, n))
    return made


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], Examples]] = {
    "advance": _advance,
    "band_factor": lambda rng, dtype: [(band,) for band in _bands(rng, dtype)],
    "band_solve": _factors,
    "chebyshev": _iterates,
    "coarsen": _coarsen,
    "combine": _combine,
    "down_leg": _down,
    "fill": _filled,
    "fill_lists": lambda rng, dtype: [(active,) for active in _actives(rng)],
    "interpolate": _interpolate,
    "pack": _pack,
    "pack_difference": _pack_difference,
    "prepare": _prepare,
    "product": _product,
    "restrict": _restrict,
    "spread": _filled,
    "transfer_weights": _transfer,
    "unpack": _unpack,
    "up_leg": _up,
}
