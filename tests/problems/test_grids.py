"""Grid operators against matrices built another way, closed forms, and continuous solutions."""

from __future__ import annotations

import itertools
import pickle
from functools import reduce

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import aslinearoperator, spsolve

import resolvent as rs
from resolvent import ProblemError
from resolvent.problems import LinearSystem, grids
from resolvent.problems.grids import diffusion, pressure_operator

WORDS = ("dirichlet", "ghost", "neumann")
PAIRS = [*itertools.product(WORDS, WORDS), ("periodic", "periodic")]
WALL = {"dirichlet": 2.0, "ghost": 1.0, "neumann": 0.0}
SIZES = [(1,), (2,), (7,), (13, 1), (5, 8), (1, 1), (2, 2), (3, 4, 5), (7, 1, 2), (1, 2, 11), (1, 1, 1), (2, 2, 2)]


def line(n, ends, h=1.0):
    """The dense matrix of one axis, written by its definition: sum of w (e_i - e_j)(e_i - e_j)^T and walls."""
    A = np.zeros((n, n))
    for i in range(n - 1):
        A[i, i] += 1
        A[i + 1, i + 1] += 1
        A[i, i + 1] -= 1
        A[i + 1, i] -= 1
    if ends[0] == "periodic":
        edge = np.zeros(n)
        edge[0] += 1
        edge[-1] -= 1
        A += np.outer(edge, edge)
    else:
        A[0, 0] += WALL[ends[0]]
        A[-1, -1] += WALL[ends[1]]
    return A / h**2


def box(grid, ends, spacing, k=(1.0, 1.0, 1.0)):
    """The dense matrix of a box, by Kronecker products."""
    total = np.zeros((np.prod(grid),) * 2)
    for a, n in enumerate(grid):
        factors = [np.eye(m) for m in grid]
        factors[a] = k[a] * line(n, ends[a], spacing[a])
        total += reduce(np.kron, factors)
    return total


def by_faces(A):
    """The dense matrix of an operator from its public faces, cell by cell."""
    M = np.zeros(A.shape)
    number = np.arange(A.shape[0]).reshape(A.grid)
    for axis, n in enumerate(A.grid):
        weights, cells = np.moveaxis(A.face_weights(axis), axis, 0), np.moveaxis(number, axis, 0)
        wraps = A.conditions[axis][0] == "periodic"
        for i in range(n + 1):
            for at in np.ndindex(weights.shape[1:]):
                w = weights[(i, *at)]
                lower = cells[(i - 1, *at)] if i > 0 or wraps else None
                upper = cells[(i % n, *at)] if i < n or wraps else None
                if wraps and i == n:
                    continue  # the same face as the first one
                for c, d in ((lower, upper), (upper, lower)):
                    if c is not None:
                        M[c, c] += w
                        if d is not None:
                            M[c, d] -= w
    alpha = np.broadcast_to(A.zero_order, A.grid)
    alpha = alpha if A.active is None else alpha * A.active
    return M + np.diag(alpha.ravel())


def dense(A):
    return np.column_stack([A @ e for e in np.eye(A.shape[0])])


def obstacles(grid, rng, share=0.3):
    mask = rng.random(grid) >= share
    mask.flat[0] = True
    return mask


# ---- boxes, against Kronecker products


@pytest.mark.parametrize("grid", SIZES, ids=str)
def test_boxes_of_all_conditions(grid, rng):
    for trial in range(12):
        ends = tuple(PAIRS[rng.integers(len(PAIRS))] for _ in grid)
        spacing, k = tuple(rng.uniform(0.5, 2, len(grid))), tuple(rng.uniform(0.1, 9, len(grid)))
        expected = box(grid, ends, spacing, k) + trial % 2 * np.eye(np.prod(grid))
        A = diffusion(grid, spacing=spacing, boundary=ends, conductivity=k, zero_order=trial % 2)
        assert np.allclose(dense(A), expected, rtol=1e-14, atol=1e-14)
        assert np.allclose(A.compress().toarray(), expected, rtol=1e-14, atol=1e-14)
        assert np.allclose(A.diagonal(), np.diag(expected), rtol=1e-14)
        opened = tuple(np.ones([n + (a == b) for b, n in enumerate(grid)]) for a in range(len(grid)))
        B = diffusion(grid, spacing=spacing, boundary=ends, conductivity=k, zero_order=trial % 2, openings=opened)
        assert not B.constant
        assert np.allclose(dense(B), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("ends", PAIRS, ids=str)
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_every_condition_on_a_line(n, ends):
    assert np.array_equal(dense(diffusion(n, boundary=(ends,))), line(n, ends))


def test_the_words_of_the_baseline():
    """Ghost walls: 2 d on the whole diagonal."""
    A = diffusion((4, 5), boundary="ghost")
    assert (A.diagonal() == 4).all()
    assert A.faces == (1.0, 1.0)
    assert A.walls == ((1.0, 1.0), (1.0, 1.0))
    assert diffusion(3).walls == ((2.0, 2.0),)
    assert diffusion(3, boundary="periodic").walls == ((1.0, 1.0),)
    assert diffusion(1, boundary="periodic").walls == ((0.0, 0.0),)
    assert diffusion((2, 2), spacing=(0.5, 1.0)).faces == (4.0, 1.0)


# ---- solids, openings, coefficients


@pytest.mark.parametrize("grid", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["mask", "cells", "faces", "openings", "all"])
def test_products_are_those_of_the_faces(grid, kind, rng):
    for _ in range(4):
        A = any_operator(grid, kind, rng)
        expected = by_faces(A)
        assert np.allclose(dense(A), expected, rtol=1e-13, atol=1e-13)
        cells = A.cells()
        assert np.allclose(A.compress().toarray(), expected[np.ix_(cells, cells)], rtol=1e-14, atol=1e-14)
        assert np.allclose(A.diagonal(), np.diag(expected), rtol=1e-14)
        assert np.array_equal(expected, expected.T)
        assert np.linalg.eigvalsh(expected)[0] > -1e-12 * max(1, np.abs(expected).max())
        off = np.setdiff1d(np.arange(A.shape[0]), cells)
        assert not expected[off].any()


def any_operator(grid, kind, rng):
    def faces(low, high):
        made = []
        for a in range(len(grid)):
            part = rng.uniform(low, high, [n + (a == b) for b, n in enumerate(grid)])
            np.moveaxis(part, a, 0)[-1] = np.moveaxis(part, a, 0)[0]  # fits periodic axes too
            made.append(part * (rng.random() < 0.9) + 0.1 * (low > 0))
        return tuple(made)

    return diffusion(
        grid,
        spacing=tuple(rng.uniform(0.5, 2, len(grid))),
        active=obstacles(grid, rng) if kind in ("mask", "all") or rng.random() < 0.5 else None,
        conductivity={"cells": rng.uniform(0.1, 9, grid), "faces": faces(0.1, 9), "all": rng.uniform(0.1, 9, grid)}.get(
            kind
        ),
        openings=faces(0, 1) if kind in ("openings", "all") else None,
        zero_order=[0.0, 0.7, rng.random(grid)][rng.integers(3)],
        boundary=tuple(PAIRS[rng.integers(len(PAIRS))] for _ in grid),
    )


def test_the_conductivity_of_a_face_is_the_harmonic_mean():
    A = diffusion(3, conductivity=[1.0, 3.0, 1e4], spacing=0.5)
    assert A.faces[0] == pytest.approx([8, 4 * 1.5, 4 * 6e4 / 10003, 8e4])
    B = diffusion(3, conductivity=[1.0, 3.0, 1e4], boundary="ghost")
    assert B.faces[0][[0, 3]].tolist() == [1, 1e4]
    C = diffusion(3, conductivity=[1.0, 3.0, 1e4], boundary="periodic")
    assert C.faces[0][0] == C.faces[0][3] == pytest.approx(2e4 / 10001)
    assert diffusion(3, conductivity=[1.0, 3.0, 1e4], boundary="neumann").faces[0][[0, 3]].tolist() == [0, 0]


def test_the_conductivity_of_solids_does_not_count():
    k, mask = np.array([1.0, np.nan, 2.0, 2.0]), np.array([True, False, True, True])
    assert diffusion(4, conductivity=k, active=mask).faces[0].tolist() == [2, 0, 0, 2, 4]


def test_what_stands_in_solids_has_no_influence(rng):
    mask = obstacles((6, 7), rng)
    u = rng.standard_normal(mask.size)
    wild = np.where(mask.ravel(), u, np.nan)
    A = diffusion(mask.shape, active=mask, zero_order=rng.random(mask.shape))
    assert np.array_equal(A @ wild, A @ u)


def test_a_full_mask_is_none():
    A = diffusion((3, 3), active=np.ones((3, 3), bool))
    assert A.active is None
    assert A.constant


def test_arrays_are_owned(rng):
    mask, k = obstacles((5, 5), rng), rng.random((5, 5)) + 1
    A = diffusion((5, 5), active=mask, conductivity=k, zero_order=k)
    before = dense(A)
    mask[:], k[:] = True, 7
    assert np.array_equal(dense(A), before)


# ---- as an operator


@pytest.mark.parametrize("kind", ["mask", "all"])
def test_it_is_a_linear_operator(kind, rng):
    A = any_operator((4, 5), kind, rng)
    M, X = by_faces(A), rng.standard_normal((20, 3))
    assert np.allclose(A @ X, M @ X)
    assert np.allclose(A.T @ X[:, 0], M @ X[:, 0])
    assert np.allclose(A.H @ X[:, :1], M @ X[:, :1])
    assert np.allclose((2 * A + aslinearoperator(np.eye(20))) @ X, 2 * M @ X + X)
    assert np.allclose(A @ (X[:, 0] + 1j * X[:, 1]), M @ (X[:, 0] + 1j * X[:, 1]))
    assert np.allclose(A @ X[:, 1], M @ X[:, 1])  # not contiguous
    assert np.allclose(A @ X[:, 0].astype(np.float32), M @ X[:, 0], atol=1e-4)
    assert np.allclose(A @ np.arange(20), M @ np.arange(20))
    assert np.allclose(pickle.loads(pickle.dumps(A)) @ X, M @ X)
    with pytest.raises(ValueError, match="dimension mismatch"):
        A @ np.ones(19)


@pytest.mark.parametrize("kind", ["mask", "all"])
def test_float32(kind, rng):
    A = any_operator((6, 7), kind, rng)
    B, u = A.astype(np.float32), rng.standard_normal(42)
    assert B.dtype == (B @ u).dtype == B.diagonal().dtype == B.compress().dtype == np.float32
    assert np.allclose(B @ u, A @ u, rtol=1e-5, atol=1e-5)
    assert A.astype(np.float64) is A
    assert diffusion(4, dtype=np.float32).dtype == np.float32


def test_its_text():
    mask = np.ones((3, 4), bool)
    mask[1, 1] = False
    text = repr(diffusion((3, 4), active=mask, conductivity=np.ones((3, 4)), boundary="ghost"))
    assert text == "<GridOperator 3 x 4 float64: a weight per face, 11 of 12 cells active, ghost, ghost>"


def test_expand_and_cells():
    mask = np.array([[True, False], [True, True]])
    A = diffusion((2, 2), active=mask)
    assert A.cells().tolist() == [0, 2, 3]
    assert A.expand(np.array([1.0, 2, 3])).tolist() == [1, 0, 2, 3]
    whole = diffusion(2).expand(np.array([1.0, 2]))
    assert whole.tolist() == [1, 2]


@pytest.mark.parametrize("grid", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["mask", "cells", "all"])
def test_the_norm_of_a_residual_in_one_pass(grid, kind, rng):
    A = any_operator(grid, kind, rng)
    x, b = rng.standard_normal((2, A.shape[0]))
    assert A.residual_norm(x, b) == pytest.approx(np.linalg.norm(b - by_faces(A) @ x), rel=1e-13)
    system = LinearSystem(A, A @ x)
    assert system.residual(x) <= 1e-14 * system.scale()
    assert system.residual(0 * x) == pytest.approx(np.linalg.norm(system.b), rel=1e-14)
    assert system.counts == {"apply": 2}
    assert np.isnan(system.residual(np.full_like(x, np.nan))) == bool(system.A.diagonal().any())


# ---- null spaces


@pytest.mark.parametrize("grid", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["mask", "cells", "openings", "all"])
def test_the_null_space_is_that_of_the_matrix(grid, kind, rng):
    for _ in range(6):
        A = any_operator(grid, kind, rng)
        cells = A.cells()
        M = by_faces(A)[np.ix_(cells, cells)]
        small = np.linalg.eigvalsh(M) < 1e-11
        found = A.null_space()
        assert (0 if found is None else len(found)) == small.sum()
        if found is not None:
            assert np.allclose(found @ found.T, np.eye(len(found)))
            assert np.abs(A @ found.T).max() <= 1e-14 * np.abs(M).max(initial=1)
            assert not np.delete(found, cells, axis=1).any()


def test_a_constant_goes_to_zero_exactly(rng):
    for A in (diffusion((9, 8, 7), boundary="periodic"), pressure_operator(obstacles((9, 8, 7), rng))):
        assert not (A @ np.full(504, 0.1)).any()


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_components_are_those_of_the_graph(boundary, rng):
    mask = rng.random((12, 13, 14)) < 0.35
    A = pressure_operator(mask, boundary=boundary)
    count, labels = connected_components(A.compress(), directed=False)
    assert len(A.components.sizes) == count > 50
    assert np.array_equal(A.components.labels[A.cells()], first_come(labels))
    assert np.array_equal(A.components.sizes, np.bincount(A.components.labels[A.cells()]))


def first_come(labels):
    order = {label: i for i, label in enumerate(dict.fromkeys(labels.tolist()))}
    return np.array([order[label] for label in labels])


def test_means_are_removed_component_by_component(rng):
    mask = rng.random((20, 21)) < 0.5
    A = pressure_operator(mask)
    basis, v = A.null_space(), rng.standard_normal(420)
    assert A.components.remove(v) == pytest.approx(v - basis.T @ (basis @ v), abs=1e-14)
    assert A.components.along(v) == pytest.approx(np.linalg.norm(basis @ v))
    one = diffusion((20, 21), boundary="neumann")
    assert one.components.labels is None
    assert one.components.remove(v) == pytest.approx(v - v.mean(), abs=1e-15)
    assert one.components.along(v) == pytest.approx(abs(v.sum()) / np.sqrt(420))
    assert one.null_space() == pytest.approx(np.full((1, 420), 420**-0.5))


# ---- order of accuracy


@pytest.mark.parametrize(
    ("ends", "u"),
    [
        (("dirichlet", "dirichlet"), lambda x: np.sin(np.pi * x)),
        (("dirichlet", "neumann"), lambda x: np.sin(np.pi * x / 2)),
        (("neumann", "dirichlet"), lambda x: np.cos(np.pi * x / 2)),
        (("neumann", "neumann"), lambda x: np.cos(np.pi * x)),
        (("periodic", "periodic"), lambda x: np.sin(2 * np.pi * x) + np.cos(2 * np.pi * x)),
    ],
)
def test_second_order(ends, u):
    """-(u v)'' with v another profile across; the error falls by four where h is halved."""
    errors = []
    for n in (16, 32):
        x, y = (np.arange(n) + 0.5) / n, (np.arange(n + 1) + 0.5) / (n + 1)
        exact = np.multiply.outer(u(x), np.sin(np.pi * y))
        rate = {"periodic": 4.0}.get(ends[0], 1.0 if ends[0] == ends[1] else 0.25) * np.pi**2 + np.pi**2
        A = diffusion((n, n + 1), spacing=(1 / n, 1 / (n + 1)), boundary=(ends, "dirichlet"))
        errors.append(np.abs(spsolve(A.compress().tocsc(), rate * exact.ravel()) - exact.ravel()).max())
    assert 3.5 < errors[0] / errors[1] < 4.4


def test_second_order_with_a_coefficient():
    errors = []
    for n in (20, 40):
        x = (np.arange(n) + 0.5) / n
        u, k = np.sin(np.pi * x), np.exp(x)
        f = np.pi * k * (np.pi * np.sin(np.pi * x) - np.cos(np.pi * x))
        A = diffusion(n, spacing=1 / n, conductivity=k)
        errors.append(np.abs(spsolve(A.compress().tocsc(), f) - u).max())
    assert 3.5 < errors[0] / errors[1] < 4.5


# ---- what is said about wrong data

TRUE = np.ones((4, 4), bool)
FACES = (np.ones((5, 4)), np.ones((4, 5)))


@pytest.mark.parametrize(
    ("grid", "options", "said"),
    [
        ((), {}, r"grid is \(\), expected one to three whole numbers"),
        ((2, 2, 2, 2), {}, r"grid is \(2, 2, 2, 2\), expected one to three whole numbers"),
        ((2.5, 2), {}, r"grid is \(2.5, 2\), expected one to three whole numbers"),
        ((-1,), {}, r"grid is \(-1,\), expected one to three whole numbers"),
        (True, {}, "grid is True, expected one to three whole numbers"),
        ((4, 0), {}, r"grid is \(4, 0\), which has no cells"),
        ((4, 4), {"dtype": np.complex128}, "dtype is .*, expected float32 or float64"),
        ((4, 4), {"dtype": "real"}, "dtype is 'real', expected float32 or float64"),
        ((4, 4), {"spacing": 0.0}, "spacing is 0.0, expected a positive number or 2 of them"),
        ((4, 4), {"spacing": (1.0,)}, r"spacing is \(1.0,\), expected a positive number or 2 of them"),
        ((4, 4), {"spacing": np.nan}, "spacing is nan, expected a positive number or 2 of them"),
        ((4, 4), {"spacing": (1.0, -1.0)}, r"spacing is \(1.0, -1.0\), expected a positive .*"),
        ((4, 4), {"boundary": "wall"}, r"boundary is 'wall', expected one of \"dirichlet\", .* for each of 2 axes"),
        ((4, 4), {"boundary": ("ghost",)}, r"boundary is \('ghost',\), expected .*"),
        ((4, 4), {"boundary": ("ghost", 3)}, r"boundary is \('ghost', 3\), expected .*"),
        ((4, 4), {"boundary": None}, "boundary is None, expected .*"),
        ((4,), {"boundary": ("ghost", "neumann")}, r"boundary is \('ghost', 'neumann'\), expected .* 1 axes"),
        ((4,), {"boundary": (("periodic", "ghost"),)}, "boundary of axis 0 is .*: an axis is periodic at both ends .*"),
        ((4, 4), {"active": TRUE.astype(int)}, "active has type int64, expected an array of bool"),
        ((4, 4), {"active": [True]}, "active has type list, expected an array of bool"),
        ((4, 4), {"active": TRUE[1:]}, r"active has shape \(3, 4\), expected \(4, 4\)"),
        ((4, 4), {"active": ~TRUE}, "active is False everywhere: the solids cover the whole grid.*"),
        ((4, 4), {"conductivity": -1.0}, "conductivity is -1.0, expected positive numbers"),
        ((4, 4), {"conductivity": 0.0}, "conductivity is 0.0, expected positive numbers"),
        ((4, 4), {"conductivity": 1j}, "conductivity has dtype complex128, expected real numbers"),
        ((4, 4), {"conductivity": "copper"}, "conductivity has dtype <U6, expected real numbers"),
        ((4, 4), {"conductivity": [[1.0], [1.0, 2.0]]}, "conductivity is not an array of numbers: .*"),
        ((4, 4), {"conductivity": np.ones(4)}, r"conductivity has shape \(4,\), expected a number, \(4, 4\), or .*"),
        ((4, 4), {"conductivity": (1.0,)}, "conductivity has 1 entries, expected 2, one for each axis"),
        ((4, 4), {"conductivity": (1.0, np.nan)}, r"conductivity\[1\] is nan, expected positive numbers"),
        ((4, 4), {"conductivity": (1.0, np.ones((4, 4)))}, r"conductivity\[1\] has shape \(4, 4\), expected .* faces"),
        ((4, 4), {"conductivity": (1.0, -np.ones((4, 5)))}, r"conductivity\[1\]\[0, 0\] is -1.0, expected positive .*"),
        ((4, 4), {"conductivity": np.diag([np.nan] * 4) + 1}, r"conductivity\[0, 0\] is nan, expected positive .*"),
        ((4, 4), {"conductivity": np.full((4, 4), np.inf)}, r"conductivity\[0, 0\] is inf, expected positive .*"),
        ((4, 4), {"openings": FACES[:1]}, "openings is 1 entries, expected 2 arrays of faces, one for each axis"),
        ((4, 4), {"openings": 0.5}, "openings is a float, expected 2 arrays of faces, one for each axis"),
        ((4, 4), {"openings": FACES[::-1]}, r"openings\[0\] has shape \(4, 5\), expected \(5, 4\), its faces"),
        ((4, 4), {"openings": (None, 1.5 * FACES[1])}, r"openings\[1\]\[0, 0\] is 1.5, expected numbers in \[0, 1\]"),
        ((4, 4), {"openings": (-FACES[0], None)}, r"openings\[0\]\[0, 0\] is -1.0, expected numbers in \[0, 1\]"),
        ((4, 4), {"openings": (np.nan * FACES[0], None)}, r"openings\[0\]\[0, 0\] is nan, expected numbers in .*"),
        ((4, 4), {"zero_order": -0.5}, "zero_order is -0.5, expected numbers >= 0"),
        ((4, 4), {"zero_order": np.ones(16)}, r"zero_order has shape \(16,\), expected a number or \(4, 4\)"),
        ((4, 4), {"zero_order": np.full((4, 4), np.nan)}, r"zero_order\[0, 0\] is nan, expected numbers >= 0"),
    ],
)
def test_wrong_data_are_named(grid, options, said):
    with pytest.raises(ProblemError, match=rf"^{said}$"):
        diffusion(grid, **options)


def test_the_faces_that_join_periodic_ends_must_agree():
    opening = np.ones((5, 4))
    opening[0] = 0.5
    with pytest.raises(ProblemError, match=r"^the first and the last faces along axis 0 differ"):
        diffusion((4, 4), openings=(opening, None), boundary="periodic")


def test_pressure_operators_need_a_mask():
    with pytest.raises(ProblemError, match=r"^active is a list, expected an array of bool$"):
        pressure_operator([[True]])
    with pytest.raises(ProblemError, match="which has no cells"):
        pressure_operator(np.ones((3, 0), bool))
    with pytest.raises(ProblemError, match=r"^active is False everywhere"):
        pressure_operator(np.zeros((3, 3), bool))


def test_the_module_is_an_attribute_of_the_package():
    assert rs.problems.grids is grids
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rs.problems.nothing  # noqa: B018
