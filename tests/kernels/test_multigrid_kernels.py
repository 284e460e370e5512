"""What the multigrid kernels have to do together: identities that a comparison of twins does not see."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from resolvent.kernels import multigrid

F = np.float32
NOTHING = np.zeros((0, 0, 0, 0), F)

GRIDS = {  # extents, paired axes, periodic axes
    "line": ((1, 1, 13), (0, 0, 1), (0, 0, 0)),
    "plane": ((7, 1, 8), (1, 0, 1), (0, 0, 0)),
    "periodic plane": ((6, 1, 8), (1, 0, 1), (1, 0, 1)),
    "one axis": ((6, 1, 5), (1, 0, 0), (0, 0, 0)),
    "box": ((5, 4, 7), (1, 1, 1), (0, 0, 0)),
    "periodic box": ((4, 6, 4), (1, 1, 0), (1, 1, 1)),
    "periodic rows": ((3, 4, 6), (0, 1, 1), (0, 1, 0)),
    "thin box": ((5, 2, 4), (1, 1, 1), (0, 0, 0)),
}
grids = pytest.mark.parametrize("name", GRIDS)
kinds = pytest.mark.parametrize("varied", [False, True], ids=["constant", "varied"])


def packed_shape(extents):
    slots = (extents[2] + 1) // 2 + 2
    return (2, extents[0], 1, slots) if extents[1] == 1 else (2, extents[0], 2, ((extents[1] + 1) // 2 + 2) * slots)


def packed(extents, v=None):
    out = np.zeros(packed_shape(extents), F)
    if v is not None:
        multigrid.pack(v.astype(F), 1.0, out)
    return out


def natural(extents, p):
    out = np.zeros(extents)
    multigrid.unpack(p, 1.0, out)
    return out


def with_edge(extents, axis):
    return [n + (a == axis) for a, n in enumerate(extents)]


def ends(axis, which):
    return tuple(which if a == axis else slice(None) for a in range(3))


def natural_faces(rng, extents, wrap, active):
    """Random weights, some of them large; none at solids and at axes of one cell; walls of weight 1."""
    faces = []
    for axis in range(3):
        w = np.exp(2 * rng.standard_normal(with_edge(extents, axis)))
        w[ends(axis, slice(1, None))] *= active
        w[ends(axis, slice(0, -1))] *= active
        if wrap[axis]:
            w[ends(axis, -1)] = w[ends(axis, 0)] = np.minimum(w[ends(axis, 0)], w[ends(axis, -1)])
        else:
            w[ends(axis, 0)], w[ends(axis, -1)] = active[ends(axis, 0)], active[ends(axis, -1)]
        faces.append(w * (extents[axis] > 1))
    return tuple(faces)


def level(rng, name, varied):
    """Return a level with solids and a sink, ready for the cycle, and the transfer to the next one."""
    extents, pairs, wrap = GRIDS[name]
    s = SimpleNamespace(extents=extents, pairs=np.array(pairs, bool), wrap=np.array(wrap, bool))
    s.coarse = tuple((n + 1) // 2 if p else n for n, p in zip(extents, pairs, strict=True))
    s.active = (rng.random(extents) < 0.85).astype(np.uint8)
    several = np.array(extents) > 1
    s.c, s.outer = (rng.random(3) + 0.5) * several, np.outer(several, [1.0, 2.0])
    s.sink = (0.1 * rng.random(extents)).astype(F)
    s.natural = natural_faces(rng, extents, wrap, s.active) if varied else None
    s.q, s.extra = packed(extents), packed(extents)
    s.faces, s.weights = None, None
    s.edges = np.zeros((3, 2), F) if varied else np.array([[1, -1], [0.5, 1], [-1, 0.25]], F)
    if varied:
        _, planes, blocks, length = s.q.shape
        rows = np.zeros((2, planes, blocks, length if blocks == 2 else 0), F)
        s.faces = (np.zeros((2, planes + 1, blocks, length), F), rows, packed(extents))
        half, middle = (extents[2] + 1) // 2, (extents[1] + 1) // 2
        slots = half + 2 if pairs[2] else 2 * half + 2
        m = slots if blocks == 1 else ((middle if pairs[1] else 2 * middle) + 2) * slots
        w1 = np.zeros((planes, 2, m) if pairs[1] else (planes, 0, 0), F)
        s.weights = (np.zeros((planes, m), F), w1, packed(extents))
        multigrid.transfer_weights(s.natural, s.active, s.outer, s.wrap, s.pairs, *s.weights, 0, planes)
    multigrid.prepare(s.natural, s.active, s.c, s.outer, s.wrap, s.sink, s.faces, s.q, s.extra, 0, s.extents[0])
    s.how = (s.pairs, s.wrap, s.edges, s.weights)
    return s


def matrix(s):
    """Assemble the operator face by face."""
    n = int(np.prod(s.extents))
    number = np.arange(n).reshape(s.extents)
    dense = np.zeros((n, n))
    for axis in range(3):
        for index in np.ndindex(*with_edge(s.extents, axis)):
            below = list(index)
            below[axis] -= 1
            last = index[axis] == s.extents[axis]
            if index[axis] % s.extents[axis] == 0 and not s.wrap[axis]:
                cell = tuple(below) if last else index
                w = s.outer[axis, int(last)] * (1 if s.natural is None else s.natural[axis][index])
                dense[number[cell], number[cell]] += w * s.active[cell]
            elif not last:
                u, v = number[tuple(below)], number[index]
                w = s.c[axis] if s.natural is None else s.natural[axis][index]
                w *= s.active[tuple(below)] * s.active[index]
                dense[[u, v], [u, v]] += w
                dense[[u, v], [v, u]] -= w
    np.fill_diagonal(dense, dense.diagonal() + s.sink.ravel())
    there = s.active.ravel() != 0
    return np.where(there & there[:, None], dense, 0), there


def unit_images(extents, apply):
    """Return the matrix of a linear map of packed arrays in natural order."""
    columns = []
    for m in range(int(np.prod(extents))):
        e = np.zeros(int(np.prod(extents)))
        e[m] = 1
        columns.append(apply(packed(extents, e.reshape(extents))).ravel())
    return np.array(columns).T


def interpolation(s, e, lo=0, hi=None):
    z = packed(s.extents)
    multigrid.interpolate(e, s.coarse, *s.how, s.q, z, s.extents, lo, s.extents[0] if hi is None else hi)
    return natural(s.extents, z)


def restriction(s, r):
    coarse = packed(s.coarse)
    multigrid.restrict(r * (s.q > 0), s.extents, *s.how, coarse, s.coarse, 0, s.coarse[0])
    return natural(s.coarse, coarse)


@pytest.mark.parametrize("extents", [(1, 1, 1), (3, 1, 6), (2, 1, 7), (4, 3, 5), (3, 6, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pack_and_unpack_are_inverse(rng, extents, dtype):
    v = rng.integers(1, 1000, extents).astype(dtype)
    p, back = packed(extents), np.zeros(extents, dtype)
    multigrid.pack(v, 2.0, p)
    assert np.count_nonzero(p) == v.size
    assert p.sum() == 2 * v.sum()
    multigrid.unpack(p, 0.5, back)
    assert np.array_equal(back, v)


@grids
@kinds
def test_the_product_is_that_of_the_matrix(rng, name, varied):
    s = level(rng, name, varied)
    dense, there = matrix(s)
    p, y = (rng.standard_normal(s.extents) * there.reshape(s.extents)).astype(F), packed(s.extents)
    rest = s.extra, s.c.astype(F), s.faces, s.extents, s.wrap
    energy = multigrid.product(packed(s.extents, p), 0.0, NOTHING, *rest, y, 0, s.extents[0])
    true = dense @ p.ravel()
    assert np.allclose(natural(s.extents, y).ravel(), true, rtol=1e-5, atol=1e-6 * abs(true).max())
    assert energy == pytest.approx(p.ravel() @ true, rel=1e-5)
    inverse = natural(s.extents, s.q).ravel()
    assert np.allclose(inverse[there] * dense.diagonal()[there], 1, rtol=1e-5)
    assert not inverse[~there].any()


@grids
@kinds
def test_the_product_combines_on_the_way(rng, name, varied):
    s = level(rng, name, varied)
    p, z = (packed(s.extents, rng.standard_normal(s.extents)) for _ in range(2))
    rest = s.extra, s.c.astype(F), s.faces, s.extents, s.wrap
    combined, apart, fused = p.copy(), packed(s.extents), packed(s.extents)
    multigrid.combine(combined, 0.75, z)
    n = s.extents[0]
    energy = multigrid.product(combined, 0.0, NOTHING, *rest, apart, 0, n)
    for plane in {0, n - 1}:
        for colour in range(2):
            multigrid.combine(p[colour, plane], 0.75, z[colour, plane])
    assert multigrid.product(p, 0.75, z, *rest, fused, 0, n) == energy
    assert np.array_equal(p, combined)
    assert np.array_equal(fused, apart)


@grids
@kinds
def test_restriction_is_the_transpose_of_interpolation(rng, name, varied):
    s = level(rng, name, varied)
    up = unit_images(s.coarse, lambda e: interpolation(s, e))
    down = unit_images(s.extents, lambda r: restriction(s, r))
    assert np.allclose(up.T, down, rtol=0, atol=1e-6)
    assert up.sum(axis=1).max() <= 1 + 1e-6


@grids
def test_interpolation_keeps_constants_without_walls(rng, name):
    s = level(rng, name, False)
    s.edges = np.ones((3, 2), F)
    s.how = (s.pairs, s.wrap, s.edges, None)
    found = interpolation(s, packed(s.coarse, np.ones(s.coarse)))
    assert np.allclose(found, s.active, rtol=0, atol=1e-6)


@grids
@kinds
def test_a_cycle_is_symmetric_and_positive(rng, name, varied):
    s = level(rng, name, varied)
    dense, there = matrix(s)
    up = unit_images(s.coarse, lambda e: interpolation(s, e))
    solve = np.linalg.pinv(up.T @ dense @ up)

    def cycle(b):
        coarse, z = packed(s.coarse), packed(s.extents)
        smoother = (b, s.q, s.c.astype(F), s.faces, s.extents, *s.how)
        multigrid.down_leg(*smoother, coarse, s.coarse, 0, s.coarse[0])
        e = packed(s.coarse, (solve @ natural(s.coarse, coarse).ravel()).reshape(s.coarse))
        product = multigrid.up_leg(*smoother, e, s.coarse, z, 0, s.extents[0])
        assert product == pytest.approx(float((b * z).sum()), rel=1e-4, abs=1e-6)
        return natural(s.extents, z)

    M = unit_images(s.extents, cycle)
    assert not M[~there].any()
    assert not M[:, ~there].any()
    M, A = M[np.ix_(there, there)], dense[np.ix_(there, there)]
    assert np.allclose(M, M.T, rtol=0, atol=3e-6 * abs(M).max())
    assert np.linalg.eigvalsh(M + M.T)[0] > 0
    root = np.linalg.cholesky(A)
    spectrum = np.linalg.eigvalsh(root.T @ (M + M.T) @ root / 2)
    assert spectrum[0] > (0 if varied else 0.3)  # weights that jump from cell to cell have no rate
    assert spectrum[-1] < 1 + 1e-4  # with P^T A P on the coarse grid the error's part left over is a square


@grids
@kinds
def test_pieces_make_the_whole(rng, name, varied):
    s = level(rng, name, varied)
    b, p, e = (packed(extents, rng.standard_normal(extents)) for extents in (s.extents, s.extents, s.coarse))
    smoother = (b, s.q, s.c.astype(F), s.faces, s.extents, *s.how)
    operator = s.extra, s.c.astype(F), s.faces, s.extents, s.wrap
    kernels = {
        "down": lambda out, lo, hi: multigrid.down_leg(*smoother, out, s.coarse, lo, hi),
        "restrict": lambda out, lo, hi: multigrid.restrict(b, s.extents, *s.how, out, s.coarse, lo, hi),
        "up": lambda out, lo, hi: multigrid.up_leg(*smoother, e, s.coarse, out, lo, hi),
        "interpolate": lambda out, lo, hi: multigrid.interpolate(e, s.coarse, *s.how, s.q, out, s.extents, lo, hi),
        "product": lambda out, lo, hi: multigrid.product(p, 0.0, NOTHING, *operator, out, lo, hi),
    }
    for kind, kernel in kernels.items():
        extents = s.coarse if kind in ("down", "restrict") else s.extents
        whole, pieces = packed(extents), packed(extents)
        n = extents[0]
        total = kernel(whole, 0, n)
        parts = [kernel(pieces, lo, lo + 1) for lo in reversed(range(n))]
        assert np.array_equal(pieces, whole), kind
        if total is not None:
            assert sum(parts) == pytest.approx(total, rel=1e-6)


def test_spread_is_the_transpose_of_fill(rng):
    extents = (4, 5, 6)
    active = (rng.random(extents) < 0.4).astype(np.uint8)
    lists = multigrid.fill_lists(active)
    assert len(lists[0]) > 10
    assert not packed(extents, active).ravel()[lists[0]].any()
    assert packed(extents, active).ravel()[lists[2]].all()
    e, b = (packed(extents, rng.standard_normal(extents)) for _ in range(2))
    e.ravel()[lists[0]] = 0
    filled, shared = e.copy(), b.copy()
    multigrid.fill(filled, *lists)
    multigrid.spread(shared, *lists)
    assert float((filled * b).sum()) == pytest.approx(float((e * shared).sum()), rel=1e-4)
    assert not shared.ravel()[lists[0]].any()
    assert float(shared.sum()) == pytest.approx(float(b.sum()), abs=1e-4)


def test_a_coarse_grid_has_the_sums_of_its_faces(rng):
    s = level(rng, "box", True)
    faces = [np.zeros(with_edge(s.coarse, axis), F) for axis in range(3)]
    active, sink = np.zeros(s.coarse, np.uint8), np.zeros(s.coarse, F)
    multigrid.coarsen(s.natural, s.active, s.c, s.outer, s.wrap, s.sink, s.pairs, *faces, active, sink, 0, s.coarse[0])
    for axis in range(3):  # every second face is kept, and each counts a half
        kept = s.natural[axis] * 0.5
        kept[ends(axis, 0)] *= s.outer[axis, 0]
        kept[ends(axis, -1)] *= s.outer[axis, 1]
        places = [*range(0, s.extents[axis], 2), s.extents[axis]]
        assert faces[axis].sum() == pytest.approx(kept[ends(axis, places)].sum(), rel=1e-5)
    assert sink.sum() == pytest.approx((s.sink * s.active).sum(), rel=1e-5)
    assert all(active[i] == s.active[tuple(slice(2 * a, 2 * a + 2) for a in i)].any() for i in np.ndindex(s.coarse))
