"""The orderings of figures 4 to 13 of Nutini, Laradji and Schmidt (2022), on draws of their data.

Counts on the lattice of 2400 unknowns are in `test_tree_sweep.py`, single steps in `test_block_coordinate_descent.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

import resolvent as rs
from resolvent.problems.library.lattice import lattice, two_moons
from resolvent.problems.library.regression import paper_a, paper_a_nonnegative, paper_b, paper_c
from resolvent.solvers import BlockCoordinateDescent, ConjugateGradient, WorkingSet, partitions, rules, updates

GREEDY = {
    "GS": rules.GreedyGradient(), "GSL": rules.GreedyLipschitz(), "GSD": rules.GreedyDiagonal(),
    "GSQ": rules.GreedyQuadratic(),
}  # fmt: skip
VARIABLE, FIXED = rules.Variable(size=5), partitions.Sorted(size=5)


def after(problem, partition, select, update, steps):
    """Return the objective after so many steps."""
    method = BlockCoordinateDescent(partition=partition, select=select, update=update)
    return problem.objective(rs.solve(problem, method, stop=rs.Stop(rtol=0, atol=0, iterations=steps)).x)


def steps_to(problem, partition, select, update, target, most):
    """Return how many steps bring the objective to a target; `most` + 1 where it is not met."""
    method = BlockCoordinateDescent(partition=partition, select=select, update=update)
    for state in rs.iterate(problem, method, stop=rs.Stop(rtol=0, atol=0, iterations=most)):
        if problem.objective(state.x) <= target:
            return state.iterations
    return most + 1


# ---- figures 4, 5, 8 and 11: least squares


@pytest.mark.slow
@pytest.mark.parametrize(("update", "expected"), [
    (updates.Gradient(), {"random-VB": 0.28, "GS-VB": 4.3e-3, "GSL-VB": 1.2e-3, "GSD-VB": 8.6e-4, "random-FB": 0.094,
                          "GS-FB": 1.8e-2, "GSL-FB": 7.6e-4, "GSD-FB": 7.3e-4, "GSQ-FB": 7.5e-4}),
    (updates.Matrix(), {"random-VB": 0.093, "GS-VB": 4.2e-4, "GSL-VB": 1.3e-5, "GSD-VB": 8.6e-9, "random-FB": 0.088,
                        "GS-FB": 1.7e-2, "GSL-FB": 4.5e-4, "GSD-FB": 3.9e-4, "GSQ-FB": 4.1e-4}),
], ids=["gradient", "matrix"])  # fmt: skip
def test_data_a_after_500_steps(update, expected):
    """The parts of f(0) that another implementation reached on the same draw."""
    problem = paper_a()
    first = problem.objective(problem.x0)
    for label, part in expected.items():
        rule, kind = label.split("-")
        select = GREEDY.get(rule, rules.Random())
        found = after(problem, VARIABLE if kind == "VB" else FIXED, select, update, 500) / first
        assert part / 2 <= found <= 2 * part, label


def test_sorted_blocks_suit_greedy_rules_best():
    """Figure 10."""
    problem = paper_a(300, 1000)
    for rule in ("GSL", "GSD"):
        found = [after(problem, kind(size=5), GREEDY[rule], updates.Gradient(), 150)
                 for kind in (partitions.Sorted, partitions.Consecutive, partitions.Averaged)]  # fmt: skip
        assert found[0] < 0.7 * min(found[1:])


# ---- figure 6: forests


@pytest.mark.parametrize("data", ["D", "E"])
def test_forests_beat_colours_and_colours_beat_small_blocks(data):
    problem = lattice() if data == "D" else two_moons()
    best = problem.objective(spsolve(sp.csc_array(problem.smooth.H), problem.smooth.q))
    exact, gradient = updates.Forest(), rules.GreedyGradient()
    small = rules.Variable(size=round(problem.shape[0] ** (1 / 3)))
    greedy, trees, drawn, colours, general = (
        after(problem, *choice, 200) - best
        for choice in (
            (partitions.GreedyForest(), gradient, exact),
            (partitions.TreePartition(), gradient, exact),
            (partitions.RandomForest(), rules.Random(), exact),
            (partitions.RedBlack(), gradient, exact),
            (small, gradient, updates.Matrix()),
        )
    )
    assert max(greedy, trees) < 0.2 * drawn
    assert drawn < 0.2 * colours
    assert colours < 0.1 * general


@pytest.mark.slow
@pytest.mark.parametrize(("partition", "select"), [
    (partitions.GreedyForest(), rules.GreedyGradient()),
    (partitions.TreePartition(), rules.Cyclic()),
    (partitions.RandomForest(), rules.Random()),
    (partitions.RedBlack(), rules.Cyclic()),
], ids=["greedy", "combs", "random", "red-black"])  # fmt: skip
def test_counts_do_not_grow_with_the_lattice(partition, select):
    counts = []
    for grid in ((50, 50), (300, 300)):
        problem = lattice(grid)
        graph = problem.smooth
        exact = rs.solve(graph.linear_system(), ConjugateGradient(), stop=rs.Stop(rtol=1e-12)).x
        best, first = problem.objective(exact), problem.objective(problem.x0)
        counts.append(steps_to(problem, partition, select, updates.Forest(), best + 1e-6 * (first - best), 450))
    assert counts[1] <= 1.2 * counts[0]


# ---- figures 7 and 13: non-negative least squares


@pytest.fixture(scope="module")
def nonnegative():
    """The problem, its least value and the value at zero."""
    problem = paper_a_nonnegative()
    best = problem.objective(rs.solve(problem, WorkingSet(), stop=rs.Stop(rtol=1e-15)).x)
    return problem, best, problem.objective(problem.x0)


@pytest.mark.parametrize("size", [50, 100])
@pytest.mark.parametrize("update", [updates.TwoMetricProjection(), updates.ProjectedNewton()], ids=["TMP", "PN"])
def test_blocks_as_large_as_the_support_end_after_a_few_steps(nonnegative, update, size):
    problem, best, first = nonnegative
    target = best + 1e-12 * first
    most = 6 if size == 50 else 4
    assert steps_to(problem, rules.Variable(size=size), rules.Decrease(), update, target, most) <= most


def test_first_order_updates_and_random_blocks_do_not(nonnegative):
    problem, best, first = nonnegative
    greedy = after(problem, rules.Variable(size=50), rules.Decrease(), updates.ProximalGradient(), 20)
    assert greedy - best > 1e-6 * first
    for update in (updates.TwoMetricProjection(), updates.ProjectedNewton()):
        found = after(problem, rules.Variable(size=50), rules.Random(), update, 20)
        assert found - best > 1e-2 * first


def test_the_working_set_ends_on_the_same_problem(nonnegative):
    result = rs.solve(nonnegative[0], WorkingSet(), stop=rs.Stop(rtol=1e-12))
    assert result.success
    assert result.iterations <= 5
    assert np.count_nonzero(result.x) == 45


# ---- figures 9 and 12: logistic and softmax regression


@pytest.mark.parametrize("make", [lambda: paper_b(200, 600), lambda: paper_c(200, 100, classes=8)], ids=["B", "C"])
def test_searched_steps_beat_bounds(make):
    problem = make()
    steps = {
        update: after(problem, partition, GREEDY["GSD"], update, 120)
        for update, partition in (
            (updates.Gradient(), FIXED),
            (updates.AdaptiveGradient(), FIXED),
            (updates.Matrix(), VARIABLE),
            (updates.Newton(), VARIABLE),
        )
    }
    lb, la, hb, ls = steps.values()
    assert la < 0.8 * lb
    assert ls < 0.5 * hb


def test_newton_steps_on_large_blocks_separate_the_classes():
    problem = paper_b(200, 600)
    assert steps_to(problem, rules.Variable(size=100), GREEDY["GSD"], updates.Newton(), 1e-8, 200) <= 200
