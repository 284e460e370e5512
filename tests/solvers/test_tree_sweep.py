"""Tree sweeps: the published counts on a lattice, extrapolation, the preconditioner, and what it refuses."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg

import resolvent as rs
from resolvent.errors import OptionError, ProblemError
from resolvent.kernels import forests
from resolvent.problems import LinearSystem
from resolvent.problems.blocks import Blocks
from resolvent.problems.graphs import GraphQuadratic
from resolvent.problems.library.lattice import lattice_graph, lattice_weights, two_moons_graph
from resolvent.solvers import ConjugateGradient, TreeSweep, partitions
from resolvent.solvers.composite.tree_sweep import anderson_weights
from resolvent.solvers.stop import Status

EMPTY = np.zeros(0, bool)


@pytest.fixture(scope="module")
def lattice():
    """The lattice of 50 x 50 nodes, its solution and the least value."""
    graph = lattice_graph()
    x = cg(graph.H, graph.q, rtol=1e-13, maxiter=10_000)[0]
    return graph, x, -0.5 * float(graph.q @ x)


@pytest.fixture(scope="module")
def combs(lattice):
    return partitions.TreePartition().groups(lattice[0])


class Groups:
    """A partition at hand."""

    def __init__(self, groups):
        self._groups = groups

    def groups(self, problem):
        return self._groups


def steps_to(lattice, choose, digits=1e-6, most=500):
    """Return how many exact block steps bring f - f* below `digits` of f(0) - f*."""
    graph, _, least = lattice
    H, diagonal = graph.H, graph.H.diagonal()
    x, g, gap = np.zeros(graph.n), -graph.q, -least
    for k in range(most):
        order, parent, edge = choose(k, g)
        gap -= forests.forest_step(H.data, H.indices, H.indptr, diagonal, order, parent, edge, EMPTY, x, g)
        if gap <= digits * -least:
            return k + 1
    return inf


def in_turn(graph, partition):
    starts, members = partition.groups(graph)
    order, parent, edge, cycles = partitions.forests_of(graph.H, starts, members)
    assert cycles == 0
    cuts = [slice(a, b) for a, b in pairwise(starts)]
    return lambda k, g: tuple(part[cuts[k % len(cuts)]] for part in (order, parent, edge))


def chosen(graph, select):
    def choose(k, g):
        members = select(g)
        order, parent, edge, _ = partitions.forests_of(graph.H, np.array([0, len(members)], np.int32), members)
        return order, parent, edge

    return choose


def test_fixed_blocks_take_the_published_counts(lattice):
    graph = lattice[0]
    assert steps_to(lattice, in_turn(graph, partitions.TreePartition())) == pytest.approx(168, rel=0.1)
    assert steps_to(lattice, in_turn(graph, partitions.RedBlack())) == pytest.approx(340, rel=0.1)


def test_greedy_forests_take_the_published_counts(lattice):
    graph = lattice[0]
    roots = np.sqrt(graph.H.diagonal())
    exact, fast = partitions.GreedyForest(exact=True), partitions.GreedyForest()
    sorted_count = steps_to(lattice, chosen(graph, lambda g: exact.select(graph.H, np.abs(g) / roots)))
    assert sorted_count == pytest.approx(165, rel=0.1)
    assert steps_to(lattice, chosen(graph, lambda g: fast.select(graph.H, np.abs(g) / roots))) <= 1.1 * sorted_count
    rng = np.random.default_rng(0)
    drawn = steps_to(lattice, chosen(graph, lambda g: partitions.RandomForest().select(graph.H, rng)))
    assert 1.2 * sorted_count <= drawn <= 1.1 * 252


def sweeps_to(lattice, solver, digits=1e-6, most=200):
    graph, _, least = lattice
    system = graph.linear_system()
    state = solver.start(system)
    while state.iterations < most:
        solver.step(system, state)
        if -0.5 * state.x @ (graph.q + state.r) - least <= -digits * least:
            return state.iterations
    return inf


def test_extrapolated_sweeps(lattice, combs):
    """89 sweeps become 20."""
    plain = sweeps_to(lattice, TreeSweep(partition=Groups(combs), anderson=0))
    assert plain == pytest.approx(89, rel=0.1)
    assert sweeps_to(lattice, TreeSweep(partition=Groups(combs))) <= 22
    assert sweeps_to(lattice, TreeSweep()) <= 27


def test_preconditioned_conjugate_gradients(lattice, combs):
    """45 iterations become 16."""
    assert sweeps_to(lattice, ConjugateGradient()) == pytest.approx(45, rel=0.1)
    assert sweeps_to(lattice, ConjugateGradient(preconditioner=TreeSweep(partition=Groups(combs)))) <= 17
    assert sweeps_to(lattice, ConjugateGradient(preconditioner=TreeSweep())) <= 19


def test_f_never_rises_and_extrapolations_are_counted(lattice):
    graph, solution, _ = lattice
    system = graph.linear_system()
    solver = TreeSweep(anderson=3)
    state, last = solver.start(system, x0=100 * np.cos(np.arange(graph.n))), inf
    for _ in range(60):
        solver.step(system, state)
        error = state.x - solution
        value = error @ (graph.H @ error)
        assert value < last
        last = value
    assert state.taken + state.refused == 20
    assert state.taken >= 15
    assert state.record() == {"taken": state.taken, "refused": state.refused}


def test_weights_sum_to_one_and_end_a_linear_iteration():
    rng = np.random.default_rng(1)
    T = np.diag([0.9, 0.5, -0.3])
    points = [rng.standard_normal(3)]
    for _ in range(4):
        points.append(T @ points[-1])
    moves = np.diff(points, axis=0)
    weights = anderson_weights(moves)
    assert weights.sum() == pytest.approx(1)
    assert np.abs(weights @ np.array(points[1:])).max() < 1e-5  # three factors, four moves: the fixed point
    assert np.allclose(anderson_weights(1e-180 * moves), weights)
    assert np.allclose(anderson_weights(1e180 * moves), weights)
    assert list(anderson_weights(np.zeros((3, 3)))) == [0, 0, 1]
    assert list(anderson_weights(np.array([[1.0, np.inf], [1.0, 2.0]]))) == [0, 1]


@pytest.mark.parametrize(
    "graph", [two_moons_graph(300, labelled=20), lattice_graph((15, 20))], ids=["moons", "lattice"]
)
def test_reaches_a_direct_solution(graph):
    system = graph.linear_system()
    for solver in (TreeSweep(), ConjugateGradient(preconditioner=TreeSweep())):
        result = rs.solve(system, solver, stop=rs.Stop(rtol=1e-11))
        assert result.status is Status.CONVERGED
        true = np.linalg.solve(graph.H.toarray(), graph.q)
        assert np.abs(result.x - true).max() <= 1e-8 * np.abs(true).max()


def test_a_tree_is_solved_in_one_sweep():
    path = GraphQuadratic(lattice_weights((1, 400)), fixed=[0, 399], values=[0.0, 399.0])
    result = rs.solve(path.linear_system(), TreeSweep(), stop=rs.Stop(rtol=1e-12))
    assert result.iterations == 1
    assert np.abs(path.expand(result.x) - np.arange(400)).max() < 1e-8


def test_setup_is_a_linear_operator_and_updates_in_place(rng):
    graph = lattice_graph((20, 20))
    system = graph.linear_system()
    forest = TreeSweep().setup(system)
    assert isinstance(forest, LinearOperator)
    assert "blocks of" in repr(forest)
    assert sum(forest.sizes) == graph.n
    r, s = rng.standard_normal((2, graph.n))
    assert r @ (forest @ s) == pytest.approx(s @ (forest @ r), rel=1e-12)
    assert np.array_equal(forest.matvec(r), forest @ r)
    assert np.array_equal(forest.H @ r, forest @ r)
    changed = LinearSystem(sp.csr_array(2.0 * graph.H), graph.q, spd=True)
    before = forest @ r
    again = TreeSweep().setup(changed, forest)
    assert again is forest
    assert np.abs(forest @ r - 0.5 * before).max() <= 1e-12 * np.abs(before).max()
    other = TreeSweep().setup(lattice_graph((20, 20), seed=1).linear_system(), forest)
    assert other is not forest
    assert TreeSweep(partition=partitions.RedBlack()).setup(changed, forest) is not forest


def test_blocks_of_any_origin_are_taken():
    graph = lattice_graph((12, 12))
    combs = partitions.TreePartition().blocks(graph)
    result = rs.solve(graph.linear_system(), TreeSweep(partition=combs), stop=rs.Stop(rtol=1e-9))
    assert result.success
    with pytest.raises(ProblemError, match="expected each of"):
        rs.solve(graph.linear_system(), TreeSweep(partition=Blocks.coordinates(3)))


def test_float32_and_dense_matrices(rng):
    graph = lattice_graph((9, 9))
    dense = LinearSystem(graph.H.toarray(), graph.q, spd=True)
    assert rs.solve(dense, TreeSweep(), stop=rs.Stop(rtol=1e-9)).success
    single = LinearSystem(graph.H.astype(np.float32), graph.q.astype(np.float32), spd=True)
    assert (TreeSweep().setup(single) @ single.b).dtype == np.float32


def test_singular_systems_with_a_null_space():
    loose = GraphQuadratic(lattice_weights((12, 12)))
    assert loose.floating.shape == (1, 144)
    b = np.sin(np.arange(144.0))
    system = LinearSystem(loose.H, b - b.mean(), spd=True, null_space=loose.floating)
    for solver in (TreeSweep(), ConjugateGradient(preconditioner=TreeSweep())):
        result = rs.solve(system, solver, stop=rs.Stop(rtol=1e-9))
        assert result.success
    chain = GraphQuadratic(lattice_weights((1, 9)))  # the whole of H is one singular tree
    system = LinearSystem(chain.H, np.r_[1.0, np.zeros(7), -1.0], spd=True, null_space=chain.floating)
    assert rs.solve(system, TreeSweep(), stop=rs.Stop(rtol=1e-9)).iterations == 1


def test_what_it_refuses():
    graph = lattice_graph((6, 6))
    not_definite = LinearSystem(graph.H - 1e6 * sp.eye_array(graph.n), graph.q, spd=True)
    with pytest.raises(ProblemError, match="positive definite"):
        rs.solve(not_definite, TreeSweep())
    with pytest.raises(ProblemError, match=r"is no forest: \d+ edges close a cycle"):
        rs.solve(graph.linear_system(), TreeSweep(partition=partitions.Consecutive(size=20)))
    with pytest.raises(ProblemError, match="entries of a matrix"):
        TreeSweep().setup(LinearSystem(LinearOperator((3, 3), matvec=lambda v: v), np.ones(3), spd=True))
    with pytest.raises(ProblemError, match="indefinite"):
        rs.solve(LinearSystem(graph.H, graph.q), TreeSweep())
    with pytest.raises(OptionError, match="anderson"):
        TreeSweep(anderson=1)
    with pytest.raises(OptionError, match="partition"):
        TreeSweep(partition="trees")
