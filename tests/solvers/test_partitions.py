"""Partitions cover every unknown once; blocks of a graph are forests, or have no neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from resolvent.errors import OptionError, ProblemError
from resolvent.problems import LinearSystem
from resolvent.problems.graphs import GraphModel, HuberEdges
from resolvent.problems.library.lattice import lattice_graph, lattice_weights, two_moons_graph
from resolvent.solvers.composite.partitions import (
    Averaged,
    Consecutive,
    GreedyForest,
    RandomForest,
    RedBlack,
    Sorted,
    TreePartition,
    forests_of,
    graph_of,
)


def pieces(partition, problem):
    starts, members = partition.groups(problem)
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    assert sorted(members) == list(range(starts[-1]))
    return np.split(members, starts[1:-1])


def diagonal_system(diagonal):
    return LinearSystem(sp.diags_array(np.asarray(diagonal, float)).tocsr(), np.ones(len(diagonal)), spd=True)


def nine_points(k=6):
    one = sp.eye_array(k) + sp.eye_array(k, k=1) + sp.eye_array(k, k=-1)
    A = sp.csr_array(9 * sp.eye_array(k * k) - sp.kron(one, one))
    return LinearSystem(A, np.ones(k * k), spd=True, grid=(k, k))


def test_equal_sizes():
    system = diagonal_system([5, 1, 4, 2, 3, 7, 6])
    assert [list(b) for b in Consecutive(size=3).blocks(system)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [list(b) for b in pieces(Consecutive(size=3), system)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [list(b) for b in pieces(Sorted(size=3), system)] == [[1, 3, 4], [2, 0, 6], [5]]
    assert [list(b) for b in pieces(Averaged(size=2), system)] == [[1, 5], [3, 6], [4, 0], [2]]


def test_row_sums_take_the_place_of_the_diagonal():
    A = np.array([[4.0, 3, 0], [3, 5, 0], [0, 0, 6]])
    system = LinearSystem(sp.csr_array(A), np.ones(3), spd=True)
    assert [list(b) for b in pieces(Sorted(size=1), system)] == [[0], [1], [2]]
    assert [list(b) for b in pieces(Sorted(size=1, row_sums=True), system)] == [[2], [0], [1]]
    assert [list(b) for b in pieces(Averaged(size=1, row_sums=True), system)] == [[2], [1], [0]]


def test_combs_on_a_lattice():
    graph = lattice_graph((7, 8), labelled=0.05)
    first, second = pieces(TreePartition(), graph)
    assert forests_of(graph.H, *TreePartition().groups(graph))[-1] == 0
    row, column = np.divmod(graph.free[first], 8)
    assert ((column == 0) | ((row % 2 == 0) & (column < 7))).all()
    assert abs(len(first) - len(second)) <= 8
    whole = GraphModel(lattice_weights((7, 8)), edges=HuberEdges(1.0), grid=(7, 8))
    assert [len(b) for b in pieces(TreePartition(), whole)] == [31, 25]
    system = LinearSystem(graph_of(whole), np.ones(56), spd=True, grid=(7, 8))
    assert np.array_equal(TreePartition().groups(system)[1], TreePartition().groups(whole)[1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 2)])
def test_combs_on_thin_grids(shape):
    model = GraphModel(lattice_weights(shape), grid=shape)
    groups = TreePartition().groups(model)
    assert sorted(groups[1]) == list(range(model.n))
    assert forests_of(model.pattern, *groups)[-1] == 0


@pytest.mark.parametrize("partition", [TreePartition(), TreePartition(by_weight=False), RedBlack()], ids=repr)
@pytest.mark.parametrize("problem", [two_moons_graph(200, labelled=10), nine_points()], ids=["moons", "nine points"])
def test_any_graph(partition, problem):
    graph = graph_of(problem)
    groups = partition.groups(problem)
    assert forests_of(graph, *groups)[-1] == 0
    for block in pieces(partition, problem):
        inside = graph[block][:, block]
        if isinstance(partition, RedBlack):
            assert np.count_nonzero(inside.toarray()) == len(block)


def test_paths_stay_together():
    graph = lattice_graph((30, 31))
    system = LinearSystem(graph.H, graph.q, spd=True)  # which carries no grid
    groups = TreePartition().groups(system)
    assert forests_of(graph.H, *groups)[-1] == 0
    label = np.empty(graph.n, int)
    for number, block in enumerate(pieces(TreePartition(), system)):
        label[block] = number
    follows = np.array([graph.H[i, i - 1] != 0 for i in range(1, graph.n)])
    assert (np.diff(label)[follows] == 0).all()
    assert np.bincount(label)[:2].sum() > 0.9 * graph.n
    ring = sp.csr_array(sp.diags_array([-np.ones(11), np.full(12, 3.0), -np.ones(11)], offsets=[-1, 0, 1]))
    ring = sp.csr_array(ring - sp.coo_array(([1.0, 1.0], ([0, 11], [11, 0])), shape=(12, 12)))
    blocks = pieces(TreePartition(), LinearSystem(ring, np.ones(12), spd=True))
    assert [list(b) for b in blocks] == [list(range(11)), [11]]


def test_by_weight_visits_heavy_nodes_first():
    weights = np.zeros((4, 4))  # a triangle, its last two nodes heavy by a pendant one
    for i, j, w in ((0, 1, 1.0), (1, 2, 6.0), (0, 2, 4.0), (2, 3, 9.0)):
        weights[i, j] = weights[j, i] = w
    model = GraphModel(weights)
    assert [sorted(b) for b in pieces(TreePartition(), model)] == [[1, 2, 3], [0]]
    assert [sorted(b) for b in pieces(TreePartition(by_weight=False), model)] == [[0, 1, 3], [2]]


def test_red_and_black():
    graph = lattice_graph((5, 6), labelled=0.1)
    for colour, block in enumerate(pieces(RedBlack(), graph)):
        row, column = np.divmod(graph.free[block], 6)
        assert ((row + column) % 2 == colour).all()
    cube = lattice_graph((4, 3, 5), labelled=0.1)
    assert len(pieces(RedBlack(), cube)) == 2
    assert len(pieces(TreePartition(), cube)) >= 2


def test_a_grid_that_does_not_fit():
    with pytest.raises(ProblemError, match="same parity"):
        RedBlack(grid=(6, 6)).groups(nine_points())
    with pytest.raises(ProblemError, match="close a cycle in a comb"):
        TreePartition(grid=(6, 6)).groups(nine_points())
    with pytest.raises(ProblemError, match="12 cells"):
        TreePartition(grid=(3, 4)).groups(nine_points())


def test_variable_forests(rng):
    graph = lattice_graph((12, 12)).H
    scores = rng.random(graph.shape[0])
    exact = GreedyForest(exact=True).select(graph, scores)
    fast = GreedyForest().select(graph, scores)
    assert exact[0] == fast[0] == np.argmax(scores) or scores[fast[0]] >= scores.max() / (1 + 1 / 16)
    assert (np.diff(scores[exact]) <= 0).all()
    assert scores[fast].sum() >= 0.98 * scores[exact].sum()
    drawn = RandomForest().select(graph, rng)
    for members in (exact, fast, drawn):
        assert forests_of(graph, np.array([0, len(members)], np.int32), members)[-1] == 0
    assert scores[drawn].sum() < scores[exact].sum()


def test_a_matrix_of_any_format(rng):
    A = sp.random_array((30, 30), density=0.1, random_state=rng)
    A = sp.coo_array(A + A.T + 30 * sp.eye_array(30))
    expected = graph_of(LinearSystem(A.tocsr(), np.ones(30))).toarray()
    wide = sp.csr_array(A)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    for matrix in (A, A.tocsc(), A.toarray(), wide):
        graph = graph_of(LinearSystem(matrix, np.ones(30)))
        assert graph.indices.dtype == np.int32
        assert np.array_equal(graph.toarray(), expected)


def test_bad_options():
    for kind in (Consecutive, Sorted, Averaged):
        with pytest.raises(OptionError, match="size"):
            kind(size=0)
