"""Forests: exact solves, maximality, partitions that cover, sweeps that are symmetric and positive definite."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from resolvent.kernels import forests
from resolvent.kernels.reference import forests as reference
from resolvent.problems.library.lattice import lattice_weights

EMPTY = np.zeros(0, bool)


def random_graph(rng, n, edges):
    """Return a positive definite matrix on a random graph."""
    i, j = rng.integers(0, n, (2, edges))
    W = sp.csr_array((rng.random(edges) + 0.1, (i, j)), shape=(n, n))
    return laplacian(W + W.T, rng)


def laplacian(W, rng):
    W = sp.csr_array(W - sp.diags_array(W.diagonal()))
    W.eliminate_zeros()
    H = sp.csr_array(sp.diags_array(np.asarray(W.sum(axis=1)).ravel() + 0.1 * rng.random(W.shape[0]) + 0.01) - W)
    H.sort_indices()
    H.indices, H.indptr = H.indices.astype(np.int32), H.indptr.astype(np.int32)
    return H


def graphs(rng):
    return [random_graph(rng, 200, 150), random_graph(rng, 60, 300), laplacian(lattice_weights((9, 13)), rng)]


def edges_inside(H, members):
    inside = H[members][:, members]
    return (inside.nnz - np.count_nonzero(inside.diagonal())) // 2


def is_forest(H, members):
    if not len(members):
        return True
    trees = connected_components(H[members][:, members], directed=False)[0]
    return edges_inside(H, members) == len(members) - trees


def permutation(rng, n):
    return rng.permutation(n).astype(np.int32)


def greedy(H, order):
    members = np.empty(H.shape[0], np.int32)
    return members[: forests.greedy_forest(H.indices, H.indptr, order, members)]


def ordered(H, starts, members):
    n = len(members)
    order, parent, edge = np.empty((3, n), np.int32)
    place = np.full(H.shape[0], -1, np.int32)
    cycles = forests.forest_order(
        H.indices, H.indptr, np.asarray(starts, np.int32), members, place, order, parent, edge
    )
    assert (place == -1).all()
    return order, parent, edge, cycles


def partition(H, order):
    label = np.empty(H.shape[0], np.int32)
    count = forests.tree_partition(H.indices, H.indptr, order, label)
    members = np.argsort(label, kind="stable").astype(np.int32)
    return np.append(0, np.cumsum(np.bincount(label, minlength=count))).astype(np.int32), members


def packed(H, starts, members):
    n = len(members)
    order, parent, _, cycles = ordered(H, starts, members)
    assert not cycles
    nodes, above, pointers, split, columns = (np.zeros(k, np.uint32) for k in (n, n, n + 1, n, H.nnz + 1))
    ratio, inverse, values = np.zeros(n), np.zeros(n), np.zeros(H.nnz + 1)
    row = (pointers, split, columns, values)
    arrays = (H.data, H.indices, H.indptr, starts, order, parent)
    least = forests.pack_forests(*arrays, nodes, above, ratio, inverse, *row)
    return least, (nodes, starts.astype(np.uint32), above, ratio, inverse, *row)


@pytest.mark.parametrize("which", range(3))
def test_forest_solve_is_a_dense_solve(rng, which):
    H = graphs(rng)[which]
    members = greedy(H, permutation(rng, H.shape[0]))
    order, parent, edge, cycles = ordered(H, [0, len(members)], members)
    assert cycles == 0
    assert sorted(order) == sorted(members)
    for free in (EMPTY, rng.random(len(order)) < 0.7):
        rhs, d = rng.standard_normal(len(order)), np.empty(len(order))
        assert forests.forest_solve(H.data, H.diagonal(), order, parent, edge, free, rhs, d) == 0
        kept = np.ones(len(order), bool) if free is EMPTY else free
        block = H.toarray()[np.ix_(order[kept], order[kept])]
        exact = np.linalg.solve(block, rhs[kept])
        assert np.abs(d[kept] - exact).max() <= 1e-12 * np.abs(exact).max()
        assert (d[~kept] == 0).all()


def test_cycles_are_counted(rng):
    H = laplacian(lattice_weights((3, 3)), rng)
    assert ordered(H, [0, 9], np.arange(9, dtype=np.int32))[-1] == 4
    ring = laplacian(lattice_weights((2, 2)), rng)
    assert ordered(ring, [0, 4], np.arange(4, dtype=np.int32))[-1] == 1
    assert ordered(ring, [0, 3, 4], np.arange(4, dtype=np.int32))[-1] == 0


def test_forest_step_minimises_over_the_block(rng):
    H = laplacian(lattice_weights((9, 13)), rng)
    q, x = rng.standard_normal((2, 117))
    g = H @ x - q
    before = 0.5 * x @ (H @ x) - q @ x
    members = greedy(H, permutation(rng, 117))
    order, parent, edge, _ = ordered(H, [0, len(members)], members)
    fall = forests.forest_step(H.data, H.indices, H.indptr, H.diagonal(), order, parent, edge, EMPTY, x, g)
    assert np.abs(g - (H @ x - q)).max() <= 1e-12
    assert np.abs(g[members]).max() <= 1e-12
    assert fall == pytest.approx(before - (0.5 * x @ (H @ x) - q @ x), rel=1e-12)


def test_an_indefinite_block_changes_nothing(rng):
    H = laplacian(lattice_weights((3, 1)), rng)
    order, parent, edge, _ = ordered(H, [0, 3], np.arange(3, dtype=np.int32))
    x, g = np.zeros(3), np.ones(3)
    matrix = (H.data, H.indices, H.indptr, np.array([1.0, -1.0, 1.0]))
    assert forests.forest_step(*matrix, order, parent, edge, EMPTY, x, g) == -1
    assert (x == 0).all()
    assert (g == 1).all()


@pytest.mark.parametrize("which", range(3))
def test_greedy_forest_is_a_forest_and_maximal(rng, which):
    H = graphs(rng)[which]
    members = greedy(H, permutation(rng, H.shape[0]))
    assert is_forest(H, members)
    for node in np.setdiff1d(np.arange(H.shape[0]), members):
        assert not is_forest(H, np.append(members, node))


def test_greedy_forest_holds_two_thirds_of_a_lattice(rng):
    H = laplacian(lattice_weights((50, 50)), rng)
    assert 0.62 <= len(greedy(H, permutation(rng, 2500))) / 2500 <= 2 / 3 + 0.01


@pytest.mark.parametrize("which", range(3))
def test_tree_partition_covers_with_forests(rng, which):
    H = graphs(rng)[which]
    starts, members = partition(H, permutation(rng, H.shape[0]))
    assert sorted(members) == list(range(H.shape[0]))
    for first, last in pairwise(starts):
        assert last > first
        assert is_forest(H, members[first:last])


@pytest.mark.parametrize("which", range(3))
def test_colouring_is_proper_and_balanced(rng, which):
    H = graphs(rng)[which]
    label = np.empty(H.shape[0], np.int32)
    count = forests.colour(H.indices, H.indptr, permutation(rng, H.shape[0]), label)
    rows = np.repeat(np.arange(H.shape[0]), np.diff(H.indptr))
    assert ((label[rows] != label[H.indices]) | (rows == H.indices)).all()
    assert count <= np.diff(H.indptr).max()
    assert set(label) == set(range(count))


def test_order_by_score_is_sorting_up_to_a_bucket(rng):
    scores = 10.0 ** rng.uniform(-8, 3, 1000)
    order = np.empty(1000, np.int32)
    forests.order_by_score(scores, order)
    assert sorted(order) == list(range(1000))
    ranked = scores[order]
    assert (ranked[1:] <= ranked[:-1] * (1 + 1 / 16)).all()
    assert (np.maximum.accumulate(ranked[::-1])[::-1] <= ranked * (1 + 1 / 16)).all()
    forests.order_by_score(np.array([1.0, 3.0, 0.0, 1.0]), order[:4])
    assert list(order[:4]) == [1, 0, 3, 2]


@pytest.mark.parametrize("which", range(3))
def test_symmetric_sweep_is_symmetric_positive_definite(rng, which):
    H = graphs(rng)[which]
    n = H.shape[0]
    least, sweep = packed(H, *partition(H, permutation(rng, n)))
    assert 0 < least <= 1
    M, work = np.empty((n, n)), np.empty(n)
    for k, unit in enumerate(np.eye(n)):
        forests.tree_sweep(*sweep, unit, M[k], work, True)
    assert np.abs(M - M.T).max() <= 1e-12 * np.abs(M).max()
    values = np.linalg.eigvalsh(np.linalg.cholesky(H.toarray()).T @ (M + M.T) @ np.linalg.cholesky(H.toarray()) / 2)
    assert values[0] > 0  # the spectrum of M H lies in (0, 1]
    assert values[-1] <= 1 + 1e-10


def test_a_sweep_solves_for_each_block_in_turn(rng):
    H = random_graph(rng, 60, 300)
    starts, members = partition(H, permutation(rng, 60))
    assert len(starts) > 3
    _, sweep = packed(H, starts, members)
    b, x = rng.standard_normal((2, 60))
    true, A = x.copy(), H.toarray()
    forests.tree_sweep(*sweep, b, x, np.empty(60), False)
    for first, last in pairwise(starts):
        block = members[first:last]
        true[block] += np.linalg.solve(A[np.ix_(block, block)], (b - A @ true)[block])
    assert np.abs(x - true).max() <= 1e-12 * np.abs(true).max()


def test_groups_of_trees_do_not_change_the_answer(rng):
    """More nodes than one group has: the twins agree on the order, too."""
    H = laplacian(lattice_weights((110, 100)), rng)
    starts, members = partition(H, permutation(rng, 11_000))
    assert starts[1] > 1.5 * reference.GROUP
    _, sweep = packed(H, starts, members)
    order, parent, _, _ = ordered(H, starts, members)
    nodes = np.empty(11_000, np.uint32)
    block = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    reference._by_depth(np.diff(H.indptr)[order], order, starts[block] + parent, block, nodes)
    assert (sweep[0] == nodes).all()
    x, true = np.zeros(11_000), np.zeros(11_000)
    b = rng.standard_normal(11_000)
    forests.tree_sweep(*sweep, b, x, np.empty(11_000), True)
    reference.tree_sweep(*sweep, b, true, np.empty(11_000), True)
    assert np.abs(x - true).max() <= 1e-13 * np.abs(true).max()


def test_a_singular_tree_is_pinned(rng):
    H = laplacian(lattice_weights((1, 5)), rng)
    H.data[:] = np.where(H.data > 0, np.round(H.data), H.data)
    least, sweep = packed(H, np.array([0, 5], np.int32), np.arange(5, dtype=np.int32))
    assert least == 0
    b, x = np.array([1.0, 0, 0, 0, -1.0]), np.zeros(5)
    forests.tree_sweep(*sweep, b, x, np.empty(5), True)
    assert np.abs(H @ x - b).max() <= 1e-14
