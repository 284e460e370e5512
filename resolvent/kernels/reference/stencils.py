"""Products with -div k grad u + alpha u on a grid, and its parts that hang together: the meaning of the compiled twins.

All arrays have three axes, C order; grids of fewer axes have some of extent 1 without weights. Cell c and its
neighbour d across a face of weight w >= 0 exchange w (u_c - u_d); a wall of weight w adds w u_c::

    out_c = sum over faces of w (u_c - u_d) + (sum over walls of w + alpha_c) u_c

so that a constant goes to zero exactly where there is no wall and no alpha.

Shapes: u, out (n0, n1, n2); weights (3, 3), per axis the lower wall, the faces between cells, the upper wall; periodic
(3,) bool, axes whose ends are joined and which have no walls; zero_order (n0, n1, n2), or (1, 1, 1) for the same alpha
everywhere. ``opened`` (n0, n1, n2) uint8 has a bit per fact: bit 2 a the lower and bit 2 a + 1 the upper face of the
cell along axis a joins it to another one (round the end where periodic), bit 6 the cell is active, bit 7 its
component has something else than its neighbours to lean on: a wall of positive weight, or alpha > 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

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


def apply_constant(u: Array, out: Array, weights: Array, periodic: Array, zero_order: Array, lo: int, hi: int) -> None:
    """Write planes lo to hi - 1 of the product for one weight per axis into out (hi - lo, n1, n2).

    Work: 19 flops and 16 bytes a cell (float64).
    """
    opened = _all_open(u.shape, periodic)
    apply_masked(u, out, opened, weights, periodic, zero_order, lo, hi)


def apply_masked(
    u: Array, out: Array, opened: Array, weights: Array, periodic: Array, zero_order: Array, lo: int, hi: int
) -> None:
    """As `apply_constant`, but only faces with their bit in `opened` count; inactive cells get 0.

    What u holds there has no influence. Work: 19 flops and 17 bytes a cell (float64).
    """
    active = (opened & ACTIVE) != 0
    total = zero_order * np.where(active, u, 0)
    for a in range(3):
        for side, step in ((0, 1), (1, -1)):
            joined = (opened & (1 << (2 * a + side))) != 0
            total += weights[a, 1] * np.where(joined, u - np.roll(u, step, axis=a), 0)
            if not periodic[a] and u.shape[a]:
                end = tuple(slice(None) if b != a else slice(-side, (-side + 1) or None) for b in range(3))
                total[end] += weights[a, 2 * side] * np.where(active[end], u[end], 0)
    out[:] = total[lo:hi]


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
    """Write planes lo to hi - 1 of the product for a weight per face into out (hi - lo, n1, n2).

    faces0 (n0 + 1, n1, n2): entry i is the face between cells i - 1 and i, the first and the last are the walls, or
    where periodic both the face that joins the ends; faces1 and faces2 alike. Where one has no entries, its axis
    does not count. Work: 19 flops and 40 bytes a cell (float64).
    """
    total = zero_order * u
    for a, faces in enumerate((faces0, faces1, faces2)):
        if faces.size == 0:
            continue
        before, behind = np.roll(u, 1, axis=a), np.roll(u, -1, axis=a)
        if not periodic[a]:
            np.moveaxis(before, a, 0)[:1] = 0
            np.moveaxis(behind, a, 0)[-1:] = 0
        lower = np.moveaxis(np.moveaxis(faces, a, 0)[:-1], 0, a)
        upper = np.moveaxis(np.moveaxis(faces, a, 0)[1:], 0, a)
        total += lower * (u - before) + upper * (u - behind)
    out[:] = total[lo:hi]


def residual_constant(
    u: Array, b: Array, total: Array, weights: Array, periodic: Array, zero_order: Array, lo: int, hi: int
) -> None:
    """Write the sum of (b - A u)^2 over planes lo to hi - 1 into total (1,), A u as in `apply_constant`.

    b (n0, n1, n2); summed in float64. Work: 22 flops and 16 bytes a cell (float64).
    """
    total[0] = _gap(apply_constant, u, b, lo, hi, weights, periodic, zero_order)


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
    """Write the sum of (b - A u)^2 over planes lo to hi - 1 into total (1,), A u as in `apply_masked`."""
    total[0] = _gap(apply_masked, u, b, lo, hi, opened, weights, periodic, zero_order)


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
    """Write the sum of (b - A u)^2 over planes lo to hi - 1 into total (1,), A u as in `apply_faces`."""
    total[0] = _gap(apply_faces, u, b, lo, hi, faces0, faces1, faces2, periodic, zero_order)


def _gap(apply: Callable[..., None], u: Array, b: Array, lo: int, hi: int, *facts: Array) -> float:
    product = np.empty_like(u[lo:hi])
    apply(u, product, *facts, lo, hi)
    return float(np.sum((b[lo:hi] - product).astype(np.float64) ** 2))


def open_faces(active: Array, weights: Array, periodic: Array, zero_order: Array, opened: Array) -> None:
    """Write the facts about each cell into `opened`, for one weight per axis; active (n0, n1, n2) bool.

    Work: one pass over bytes.
    """
    opened[:] = active * np.uint8(ACTIVE)
    opened[active & np.broadcast_to(zero_order > 0, active.shape)] |= GROUNDED
    facing = _all_open(active.shape, periodic)
    for a in range(3):
        for side, step in ((0, 1), (1, -1)):
            bit = np.uint8(1 << (2 * a + side))
            opened[active & np.roll(active, step, axis=a) & ((facing & bit) != 0)] |= bit
            if weights[a, 2 * side] > 0:
                opened[active & ((facing & bit) == 0)] |= GROUNDED


def components(opened: Array, labels: Array) -> int:
    """Write the number of each cell's component into labels (n0, n1, n2) int32, and return how many there are.

    Cells joined by faces are in the same component. Numbers go up with the first cell, from 0. Inactive cells and
    those of a component with a cell of bit 7 get -1. Work: a few nanoseconds a cell.
    """
    n = opened.size
    cells = np.arange(n).reshape(opened.shape)
    pairs = [
        (cells[joined], np.roll(cells, 1, axis=a)[joined])
        for a in range(3)
        for joined in [(opened & (1 << (2 * a))) != 0]
    ]
    first, second = np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])
    graph = sp.coo_array((np.ones(len(first)), (first, second)), shape=(n, n))
    found = connected_components(graph, directed=False)[1] if n else np.zeros(0, int)
    free = np.ones(n, bool)  # by component
    free[found[(opened.ravel() & GROUNDED) != 0]] = False
    counted = ((opened.ravel() & ACTIVE) != 0) & free[found]
    order, where = np.unique(found[counted], return_inverse=True)
    firsts = np.full(len(order), n)
    np.minimum.at(firsts, where, np.flatnonzero(counted))
    flat = np.full(n, -1, np.int32)
    flat[counted] = np.argsort(np.argsort(firsts))[where]
    labels[:] = flat.reshape(opened.shape)
    return len(order)


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
    """Write the CSR arrays of the active cells, row by row in their order.

    index (n0, n1, n2): the row of each active cell, -1 elsewhere; diagonal (n0, n1, n2); the weights of the faces as in
    `apply_faces`, with zeros where a face leads to no other cell. Columns come in the order lower faces, the cell
    itself, upper faces, ascending but where ends are joined. indptr[0] is 0; there is room for all entries. Work: one
    pass.
    """
    given = [(a, faces) for a, faces in enumerate((faces0, faces1, faces2)) if faces.size]
    at = 0
    for row, cell in enumerate(np.argwhere(index >= 0)):
        steps = [(faces, np.arange(3) == a) for a, faces in given]
        lower = [(faces[tuple(cell)], index[tuple((cell - step) % index.shape)]) for faces, step in steps]
        upper = [(faces[tuple(cell + step)], index[tuple((cell + step) % index.shape)]) for faces, step in steps]
        entries = [(-weight, column) for weight, column in [*lower, *reversed(upper)] if weight != 0]
        entries.insert(sum(weight != 0 for weight, _ in lower), (diagonal[tuple(cell)], row))
        for entry, column in entries:
            data[at], indices[at] = entry, column
            at += 1
        indptr[row + 1] = at


def component_sums(v: Array, labels: Array, sums: Array) -> None:
    """Add the entries of v (n,) with the same label into sums (k,), float64; those labelled -1 do not count."""
    counted = labels >= 0
    sums[:] = np.bincount(labels[counted], weights=v[counted], minlength=len(sums))


def subtract_levels(v: Array, labels: Array, levels: Array, out: Array) -> None:
    """Write v (n,) less the level (k,) of each entry's label into out; entries labelled -1 are copied."""
    counted = labels >= 0
    out[:] = v
    out[counted] -= levels[labels[counted]].astype(v.dtype)


def _all_open(shape: tuple[int, ...], periodic: Array) -> Array:
    """Return `opened` for a grid whose cells are all active, without bit 7."""
    opened = np.full(shape, 127, np.uint8)
    for a in range(3):
        if shape[a] and not periodic[a]:
            along = np.moveaxis(opened, a, 0)
            along[0] &= 255 - (1 << (2 * a))
            along[-1] &= 255 - (2 << (2 * a))
    return opened


SHAPES = [(0, 2, 3), (1, 1, 1), (1, 1, 7), (5, 1, 6), (4, 3, 19), (2, 2, 2)]


def _opened(active: Array, periodic: Array, rng: np.random.Generator) -> Array:
    opened = _all_open(active.shape, periodic)
    for a in range(3):
        for side, step in ((0, 1), (1, -1)):
            opened[~np.roll(active, step, axis=a)] &= 255 - (1 << (2 * a + side))
    opened[~active] = 0
    opened[active & (rng.random(active.shape) < 0.02)] |= GROUNDED
    return opened


def _facts(rng: np.random.Generator, dtype: Any) -> list[tuple[Array, Array, Array, Array, Array, Array]]:
    """Return u, weights, periodic, zero_order, opened and room for the product, for some grids."""
    made = []
    for shape in SHAPES:
        for ends in (False, True):
            u = rng.standard_normal(shape).astype(dtype)
            periodic = np.array([ends and n > 1 for n in shape])
            weights = (rng.random((3, 3)) * (np.array(shape) > 1)[:, None]).astype(dtype)
            zero_order = rng.random(shape if ends else (1, 1, 1)).astype(dtype)
            opened = _opened(rng.random(shape) < 0.7, periodic, rng)
            made.append((u, weights, periodic, zero_order, opened, np.empty_like(u)))
    return made


def _planes(u: Array, ends: Array) -> tuple[Array, int, int]:
    """Return room for some planes of the product, and which."""
    lo = len(u) // 3 if ends.any() else 0
    return np.empty_like(u[lo:]), lo, len(u)


def _constant(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for u, weights, ends, alpha, *_ in _facts(rng, dtype):
        out, lo, hi = _planes(u, ends)
        made.append((u, out, weights, ends, alpha, lo, hi))
    return made


def _masked(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for u, weights, ends, alpha, opened, _ in _facts(rng, dtype):
        out, lo, hi = _planes(u, ends)
        made.append((u, out, opened, weights, ends, alpha, lo, hi))
    return made


def _faces(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for u, _, ends, alpha, *_ in _facts(rng, dtype):
        faces = []
        for a in range(3):
            if u.shape[a] == 1:
                faces.append(np.zeros((0, 0, 0), dtype))
                continue
            along = rng.random(tuple(n + (b == a) for b, n in enumerate(u.shape))).astype(dtype)
            if ends[a]:
                np.moveaxis(along, a, 0)[-1] = np.moveaxis(along, a, 0)[0]
            faces.append(along)
        out, lo, hi = _planes(u, ends)
        made.append((u, out, *faces, ends, alpha, lo, hi))
    return made


def _against(examples: Callable[..., Any]) -> Callable[..., Any]:
    """Return the examples of a product with a right-hand side in the place of the room for it."""

    def make(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
        return [
            (u, rng.standard_normal(u.shape).astype(dtype), np.empty(1, dtype), *facts)
            for u, _, *facts in examples(rng, dtype)
        ]

    return make


def _opening(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for u, weights, ends, alpha, *_ in _facts(rng, dtype):
        walls = weights * (rng.random((3, 3)) < 0.3)
        held = alpha * (rng.random(alpha.shape) < 0.3)
        made.append((rng.random(u.shape) < 0.7, walls, ends, held, np.empty(u.shape, np.uint8)))
    return made


def _joined(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [(opened, np.empty(opened.shape, np.int32)) for *_, opened, _ in _facts(rng, dtype)]


def _matrices(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for u, _, *faces, _, _, _, _ in _faces(rng, dtype):
        active = rng.random(u.shape) < 0.7
        index = np.where(active, np.cumsum(active).reshape(u.shape) - 1, -1).astype(np.int32)
        for a, along in enumerate(faces):
            if along.size:
                walls = np.moveaxis(along, a, 0)
                walls[0] = walls[-1] = 0
                walls[:-1][~np.moveaxis(active, a, 0)] = 0
                walls[1:][~np.moveaxis(active, a, 0)] = 0
        cells, room = int(active.sum()), 7 * int(active.sum())
        arrays = np.zeros(cells + 1, np.int32), np.zeros(room, np.int32), np.zeros(room, dtype)
        made.append((index, u, *faces, *arrays))
    return made


def _labels(rng: np.random.Generator, dtype: Any) -> list[tuple[Array, Array, int]]:
    made = []
    for n, k in ((0, 0), (1, 1), (9, 0), (50, 1), (50, 4)):
        labels = np.concatenate([np.arange(k), rng.integers(-1, k, n - k)]).astype(np.int32)
        made.append((rng.standard_normal(n).astype(dtype), labels, k))
    return made


def _sums(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [(v, labels, np.empty(k)) for v, labels, k in _labels(rng, dtype)]


def _levels(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [(v, labels, rng.standard_normal(k), np.empty_like(v)) for v, labels, k in _labels(rng, dtype)]


EXAMPLES: dict[str, Callable[..., Any]] = {
    "apply_constant": _constant,
    "apply_masked": _masked,
    "apply_faces": _faces,
    "component_sums": _sums,
    "components": _joined,
    "matrix_rows": _matrices,
    "open_faces": _opening,
    "residual_constant": _against(_constant),
    "residual_faces": _against(_faces),
    "residual_masked": _against(_masked),
    "subtract_levels": _levels,
}
