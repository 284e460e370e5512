"""Graphs: values against sums written out, derivatives against differences, fixed nodes, several right-hand sides."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from resolvent.errors import ProblemError
from resolvent.problems import CompositeProblem, graphs, terms
from resolvent.problems.graphs import (
    GraphModel,
    GraphQuadratic,
    HuberEdges,
    LogCoshEdges,
    LogisticLabels,
    QuadraticEdges,
    Towards,
)
from resolvent.problems.library.lattice import lattice, lattice_graph, lattice_weights, two_moons, two_moons_graph
from resolvent.solvers.composite.partitions import TreePartition

LOSSES = [QuadraticEdges(), HuberEdges(0.7), LogCoshEdges(0.7)]
PHI = [
    lambda t: 0.5 * t**2,
    lambda t: np.where(abs(t) <= 0.7, 0.5 * t**2, 0.7 * (abs(t) - 0.35)),
    lambda t: 0.49 * np.log(np.cosh(t / 0.7)),
]
FIXED, VALUES = [1, 5, 6], np.array([0.5, -1.0, 2.0])


def weights(rng, n=12):
    W = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.4), 1)
    return W + W.T


def unary_terms(rng):
    labels = rng.integers(-1, 2, 12)
    return [None, Towards(rng.standard_normal(12), rng.random(12)), LogisticLabels(labels, 2.0)]


def written_out(W, phi, unary, whole, free):
    total = sum(W[i, j] * phi(whole[i] - whole[j]) for i in range(12) for j in range(i) if {i, j} & set(free))
    for i in free:
        if isinstance(unary, Towards):
            total += 0.5 * unary.weights[i] * (whole[i] - unary.values[i]) ** 2
        elif unary is not None:
            total += 2 * np.log1p(np.exp(-unary.labels[i] * whole[i])) * (unary.labels[i] != 0)
    return total


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("term", range(3))
def test_value_and_derivatives(rng, which, term):
    W, unary = weights(rng), unary_terms(rng)[term]
    model = GraphModel(sp.csr_array(W), FIXED, VALUES, edges=LOSSES[which], unary=unary)
    x = rng.standard_normal(9)
    assert model.value(x) == pytest.approx(written_out(W, PHI[which], unary, model.expand(x), model.free), rel=1e-13)
    g, H, h = model.gradient(x), model.hessian(x), 1e-5
    assert np.abs(H - H.T).max() == 0
    for k, e in enumerate(np.eye(9)):
        assert g[k] == pytest.approx((model.value(x + h * e) - model.value(x - h * e)) / (2 * h), abs=1e-8)
        column = (model.gradient(x + h * e) - model.gradient(x - h * e)) / (2 * h)
        assert np.abs(H[:, [k]].toarray()[:, 0] - column).max() <= 1e-8
    assert (H.diagonal() <= model.lipschitz * (1 + 1e-14)).all()
    assert np.array_equal(H.indices, model.pattern.indices)
    assert np.array_equal(H.indptr, model.pattern.indptr)


def test_parts_are_updated_alone(rng):
    model = GraphModel(weights(rng), FIXED, VALUES, edges=LogCoshEdges(0.7), unary=unary_terms(rng)[2])
    x, nodes = rng.standard_normal(9), np.array([0, 3, 7], np.int32)
    out, H = np.zeros(9), model.hessian(0 * x)
    before = H.toarray()
    model.update_gradient(x, nodes, out)
    model.update_hessian(x, nodes, H)
    assert np.array_equal(out[nodes], model.gradient(x)[nodes])
    rest = np.setdiff1d(np.arange(9), nodes)
    assert (out[rest] == 0).all()
    assert np.array_equal(H.toarray()[nodes], model.hessian(x).toarray()[nodes])
    assert np.array_equal(H.toarray()[rest], before[rest])


@pytest.mark.parametrize("unary", [False, True])
def test_a_quadratic_is_a_matrix_and_a_vector(rng, unary):
    W, term = weights(rng), unary_terms(rng)[1] if unary else None
    graph = GraphQuadratic(W, FIXED, VALUES, unary=term)
    x = rng.standard_normal(9)
    assert graph.value(x) == pytest.approx(0.5 * x @ (graph.H @ x) - graph.q @ x + graph.constant, rel=1e-12)
    assert np.abs(graph.gradient(x) - (graph.H @ x - graph.q)).max() <= 1e-13 * np.abs(graph.q).max() + 1e-13
    laplacian = np.diag(W.sum(axis=1)) - W
    dense = laplacian[np.ix_(graph.free, graph.free)] + np.diag(term.weights[graph.free] if unary else np.zeros(9))
    assert np.abs(graph.H.toarray() - dense).max() <= 1e-14
    system = graph.linear_system()
    assert system.spd
    solution = np.linalg.solve(dense, graph.q)
    assert np.abs(graph.gradient(solution)).max() <= 1e-12
    assert system.residual(solution) <= 1e-12


def test_a_harmonic_function_lies_between_its_neighbours():
    graph = lattice_graph((20, 20))
    x = spsolve(graph.H.tocsc(), graph.q)
    assert graph.fixed_values.min() <= x.min()
    assert x.max() <= graph.fixed_values.max()


def test_several_right_hand_sides(rng):
    W, values = weights(rng), rng.standard_normal((3, 2))
    for edges in LOSSES:
        both = GraphModel(W, FIXED, values, edges=edges)
        each = [GraphModel(W, FIXED, values[:, c], edges=edges) for c in range(2)]
        x = rng.standard_normal((9, 2))
        assert both.responses == 2
        assert both.value(x) == pytest.approx(sum(each[c].value(x[:, c]) for c in range(2)), rel=1e-13)
        for c in range(2):
            assert np.abs(both.gradient(x)[:, c] - each[c].gradient(x[:, c])).max() <= 1e-14
            assert np.array_equal(both.hessian(x, c).data, each[c].hessian(x[:, c]).data)
            assert np.array_equal(both.expand(x)[:, c], each[c].expand(x[:, c]))
    quadratic = GraphQuadratic(W, FIXED, values)
    assert quadratic.q.shape == (9, 2)
    assert np.array_equal(quadratic.linear_system(1).b, GraphQuadratic(W, FIXED, values[:, 1]).q)


def test_float32_stays(rng):
    model = GraphModel(weights(rng).astype(np.float32), FIXED, VALUES, edges=HuberEdges(0.5))
    x = rng.standard_normal(9).astype(np.float32)
    assert model.gradient(x).dtype == model.hessian(x).dtype == model.lipschitz.dtype == np.float32
    wide = GraphModel(
        model.dtype.type(1) * weights(np.random.default_rng(20260101)), FIXED, VALUES, edges=HuberEdges(0.5)
    )
    assert np.abs(model.gradient(x) - wide.gradient(x.astype(np.float64))).max() <= 1e-5


@pytest.mark.parametrize("edges", LOSSES, ids=repr)
@pytest.mark.parametrize("term", [terms.NoTerm(), terms.Box(-0.2, 0.3), terms.L1(0.05)], ids=repr)
def test_a_graph_is_a_smooth_part(rng, edges, term):
    """Proximal coordinate steps on the model end where the residual is zero."""
    model = GraphModel(weights(rng), FIXED, VALUES, edges=edges, unary=Towards(0.1, 0.2))
    problem = CompositeProblem(smooth=model, term=term)
    x, L = problem.x0.copy(), 2 * model.lipschitz
    for _ in range(3000):
        x = problem.term.prox(x - problem.gradient(x) / L, 1 / L)
    assert problem.residual(x) <= 1e-10 * problem.scale()
    least = problem.objective(x)
    for _ in range(20):
        other = problem.term.prox(x + 0.1 * rng.standard_normal(9), 1e-12 * np.ones(9))
        assert problem.objective(other) >= least - 1e-12
    assert problem.evaluations(problem.counts) > 3000
    assert TreePartition().blocks(problem).require_cover(9) is None


def test_models_change_their_type(rng):
    model = GraphQuadratic(weights(rng), FIXED, rng.standard_normal((3, 2)))
    single = model.astype(np.float32)
    assert model.astype(np.float64) is model
    assert single.shape == model.shape == model.lipschitz.shape == (9, 2)
    x = rng.standard_normal((9, 2))
    assert single.gradient(x.astype(np.float32)).dtype == single.H.dtype == single.q.dtype == np.float32
    assert model.H.dtype == model.gradient(x).dtype == np.float64
    assert np.abs(single.gradient(x.astype(np.float32)) - model.gradient(x)).max() <= 1e-5


def test_large_differences_do_not_overflow():
    for edges in LOSSES[1:]:
        model = GraphModel(lattice_weights((1, 3)), [0, 2], [0.0, 1e6], edges=edges, unary=LogisticLabels([0, 1, 0]))
        x = np.array([-1e6])
        assert np.isfinite(model.value(x))
        assert np.isfinite(model.gradient(x)).all()
        assert np.isfinite(model.hessian(x).data).all()


def test_small_differences_do_not_cancel():
    model = GraphModel(lattice_weights((1, 2)), [0], [0.0], edges=LogCoshEdges(1.0))
    assert model.value(np.array([1e-9])) == pytest.approx(0.5e-18, rel=1e-9)


def test_components_that_nothing_holds():
    W = sp.block_diag([lattice_weights((1, 3)), lattice_weights((1, 2))]).tocsr()
    held = GraphQuadratic(W, [0], [1.0])
    assert held.floating.tolist() == [[0, 0, 1, 1]]
    assert "singular" in held.linear_system().features()
    assert GraphQuadratic(W, [0, 3], [1.0, 2.0]).floating is None
    assert GraphQuadratic(W, [0], [1.0], unary=Towards(0.0, [0, 0, 0, 0, 1.0])).floating is None


def test_fixed_nodes_by_a_mask_and_a_diagonal_is_passed_over(rng):
    W, mask = weights(rng), np.zeros(12, bool)
    mask[FIXED] = True
    x = rng.standard_normal(9)
    one = GraphModel(W + np.diag(rng.random(12)), mask, VALUES)
    assert one.value(x) == GraphModel(W, FIXED, VALUES).value(x)
    assert "9 free and 3 fixed nodes" in repr(one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W": np.ones((2, 3))}, "square"),
        ({"W": np.array([[0, 1.0], [0, 0]])}, "symmetric W"),
        ({"W": np.array([[0, -1.0], [-1, 0]])}, "weights >= 0"),
        ({"W": np.array([[0, np.nan], [np.nan, 0]])}, "weights >= 0"),
        ({"W": np.array([[0, 1j], [1j, 0]])}, "square matrix of weights"),
        ({"fixed": [0, 0], "values": [1.0, 1.0]}, "twice"),
        ({"fixed": [2]}, "outside of 0 to 1"),
        ({"fixed": [0.5]}, "indices of nodes"),
        ({"fixed": [True]}, r"expected \(2,\) or indices"),
        ({"fixed": [0, 1], "values": [1.0, 1.0]}, "all 2 nodes are fixed"),
        ({"values": [1.0, 2.0]}, r"values has shape \(2,\)"),
        ({"values": [np.inf]}, "finite"),
        ({"grid": (3, 3)}, "9 cells"),
        ({"unary": Towards(np.zeros(3))}, "one for each node"),
        ({"values": np.zeros((1, 2)), "unary": Towards(np.zeros((2, 3)))}, "right-hand sides"),
    ],
)
def test_bad_input(change, message):
    given = {"W": lattice_weights((1, 2)), "fixed": [0], "values": [1.0], **change}
    with pytest.raises(ProblemError, match=message):
        GraphModel(given.pop("W"), given.pop("fixed"), given.pop("values"), **given)


def test_bad_terms():
    with pytest.raises(ProblemError, match="delta"):
        HuberEdges(0.0)
    with pytest.raises(ProblemError, match="s is"):
        LogCoshEdges(np.nan)
    with pytest.raises(ProblemError, match="-1, 0 and 1"):
        LogisticLabels([0, 2])
    with pytest.raises(ProblemError, match="weights"):
        Towards(0.0, -1.0)
    with pytest.raises(ProblemError, match="GraphModel takes others"):
        GraphQuadratic(lattice_weights((1, 2)), [0], [1.0], unary=LogisticLabels([0, 1]))


def test_the_library_has_the_published_sizes():
    assert lattice_graph().n == 2400
    assert two_moons_graph().n == 1900
    assert len(two_moons_graph().fixed) == 100
    assert set(two_moons_graph(200).fixed_values) == {1.0, 2.0}
    assert np.array_equal(lattice_graph(seed=3).q, lattice_graph(seed=3).q)
    assert not np.array_equal(lattice_graph(seed=3).q, lattice_graph(seed=4).q)
    bounded = lattice((20, 20), term=terms.Box(-5.0, 5.0))
    assert "bounds" in bounded.features()
    assert bounded.smooth.n == lattice_graph((20, 20)).n
    assert two_moons(400).smooth.n == 380
    assert lattice_graph((4, 5, 6)).grid == (4, 5, 6)
    for wrong in ({"labelled": 0.0}, {"grid": (0, 3)}):
        with pytest.raises(ProblemError):
            lattice_graph(**wrong)
    assert graphs.__all__ == sorted(graphs.__all__)
