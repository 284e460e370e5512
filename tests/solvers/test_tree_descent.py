"""Descent over forests: answers as by SciPy and by block coordinate descent, steps that fall, ends, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import resolvent as rs
from resolvent.errors import OptionError, ProblemError
from resolvent.kernels.reference import trees
from resolvent.problems import Blocks, CompositeProblem, LinearModel, Quadratic, losses, terms
from resolvent.problems.graphs import GraphModel, HuberEdges
from resolvent.problems.library.lattice import lattice, lattice_weights, two_moons
from resolvent.problems.term_base import DECREASE
from resolvent.solvers import BlockCoordinateDescent, TreeDescent, partitions, rules, updates
from resolvent.solvers.composite.tree_descent import _Forests
from resolvent.solvers.stop import Status

TERMS = {
    "box": terms.Box(-2.0, 3.0), "L1": terms.L1(1e5), "non-negative": terms.NonNegative(0.0), "none": terms.NoTerm(),
    "elastic net": terms.ElasticNet(3e4, 1e4), "weighted box": terms.Box(-1.0, 4.0, 2e4),
}  # fmt: skip


def chosen(name, grid=(20, 23)):
    return lattice(grid, term=TERMS[name])


def forests():
    return BlockCoordinateDescent(partition=partitions.TreePartition(), select=rules.Cyclic(), update=updates.Forest())


@pytest.mark.parametrize("name", TERMS)
def test_answers_are_those_of_block_coordinate_descent(name):
    problem = chosen(name)
    result = rs.solve(problem, TreeDescent(), stop=rs.Stop(rtol=1e-11))
    other = rs.solve(problem, forests(), stop=rs.Stop(rtol=1e-10, iterations=5000))
    assert result.status is Status.CONVERGED, result.message
    assert problem.residual(result.x) <= 1e-11 * problem.scale()
    assert np.abs(result.x - other.x).max() <= 1e-3 * np.abs(other.x).max()
    assert problem.objective(result.x) <= problem.objective(other.x) + 1e-12 * abs(problem.objective(other.x))


def test_bounds_as_scipy():
    problem = lattice((9, 8), 1.0, 0.2, term=terms.Box(-4.0, 2.0))
    result = rs.solve(problem, TreeDescent(), stop=rs.Stop(rtol=1e-12))
    root = np.linalg.cholesky(problem.smooth.H.toarray())
    target = np.linalg.solve(root, problem.smooth.q)
    exact = scipy.optimize.lsq_linear(root.T, target, (-4.0, 2.0), tol=1e-14, method="bvls").x
    assert np.abs(result.x - exact).max() < 1e-8
    assert np.isin(result.x, (-4.0, 2.0)).any()


@pytest.mark.parametrize("anderson", [0, 3])
@pytest.mark.parametrize("name", TERMS)
def test_the_objective_falls(name, anderson):
    problem = chosen(name)
    start = np.random.default_rng(5).standard_normal(problem.shape) * 20
    run = rs.iterate(problem, TreeDescent(anderson=anderson), start, stop=rs.Stop(rtol=1e-13, iterations=90))
    f = np.array([problem.objective(run.state.x), *(problem.objective(state.x) for state in run)])
    assert np.isfinite(f).all()
    assert (np.diff(f) <= 1e-13 * abs(f[0])).all()
    assert f[-1] < f[0]


def chain(rng, n=3):
    """A chain with entries of both signs, far from diagonally dominant, and a point within the bounds."""
    root = np.diag(rng.uniform(0.02, 1, n)) + np.diag(rng.choice([-1.0, 1.0], n - 1) * rng.uniform(0.3, 3, n - 1), 1)
    smooth = Quadratic(sp.csr_array(root.T @ root), rng.standard_normal(n), convex=True)
    problem = CompositeProblem(smooth=smooth, term=terms.Box(-3.0, 2.0, rng.choice([0.0, 0.2])))
    return problem, rng.uniform(-3, 2, n) * (rng.random(n) < 0.8)


def promise(problem, x):
    """Return what proximal gradient steps with sums of absolute entries are sure to gain."""
    L = abs(problem.smooth.H).sum(axis=1)
    return problem.term.scores(x, problem.smooth.gradient(x), L, DECREASE).sum()


def test_a_sweep_falls_by_a_tenth_of_what_a_proximal_step_promises(rng, monkeypatch):
    kept, broken = 0, 0
    for _ in range(600):
        problem, x = chain(rng)
        parts, start = _Forests(partitions.TreePartition(), problem), problem.objective(x)
        for enough in (0.1, -np.inf):  # the second takes any step that falls
            monkeypatch.setattr(trees, "ENOUGH", enough)
            y = x[parts.nodes]
            fall = trees.tree_descent(*parts._parts, y, np.zeros((6, 3)))
            assert start - problem.objective(parts.spread(y)) == pytest.approx(fall, abs=1e-12)
            enough_of_it = fall >= 0.1 * promise(problem, x) - 1e-13
            kept += enough_of_it and enough > 0
            broken += not enough_of_it
    assert kept == 600
    assert broken > 0


def test_extrapolation_pays():
    problem = chosen("box", (60, 60))
    plain, fast = (rs.solve(problem, TreeDescent(anderson=k), stop=rs.Stop(rtol=1e-8)).iterations for k in (0, 5))
    assert fast <= 0.6 * plain


def to_a_millionth(problem, best):
    first = problem.objective(problem.x0)
    for state in rs.iterate(problem, TreeDescent(), stop=rs.Stop(rtol=0, iterations=200)):
        if problem.objective(state.x) - best <= 1e-6 * (first - best):
            return state.iterations
    raise AssertionError("200 sweeps were not enough")


@pytest.mark.parametrize("name", ["box", "L1"])
def test_counts_do_not_grow_with_the_lattice(name):
    """At most 1.2 times, rounded up to whole rounds of five sweeps."""
    counts = []
    for grid in ((50, 50), (300, 300)):
        problem = chosen(name, grid)
        best = problem.objective(rs.solve(problem, TreeDescent(), stop=rs.Stop(rtol=1e-12)).x)
        counts.append(to_a_millionth(problem, best))
    assert counts[1] <= max(1.2 * counts[0], counts[0] + 5)
    assert counts[1] <= 30


def test_a_chain_without_kinks_is_solved_in_one_sweep():
    H = sp.csr_array(np.diag(np.full(30, 2.1)) - np.diag(np.ones(29), 1) - np.diag(np.ones(29), -1))
    problem = CompositeProblem(smooth=Quadratic(H, np.sin(np.arange(30.0))), term=terms.NoTerm())
    result = rs.solve(problem, TreeDescent(anderson=0), stop=rs.Stop(rtol=1e-13))
    assert result.iterations == 1
    assert np.allclose(H @ result.x, np.sin(np.arange(30.0)), atol=1e-13)


def test_any_graph_and_blocks_of_any_origin():
    problem = two_moons(300, term=terms.Box(1.1, 1.9))
    one = rs.solve(problem, TreeDescent(), stop=rs.Stop(rtol=1e-10))
    blocks = partitions.TreePartition(by_weight=False).blocks(problem)
    two = rs.solve(problem, TreeDescent(partition=blocks), stop=rs.Stop(rtol=1e-10))
    red = rs.solve(problem, TreeDescent(partition=partitions.RedBlack()), stop=rs.Stop(rtol=1e-10))
    assert one.success
    assert np.abs(one.x - two.x).max() < 1e-6
    assert np.abs(one.x - red.x).max() < 1e-6


def test_residuals_are_known_at_the_end_of_a_round():
    problem = chosen("box")
    run = rs.iterate(problem, TreeDescent(), stop=rs.Stop(rtol=0, iterations=13))
    seen = [(state.iterations, state.residual == problem.residual(state.x)) for state in run]
    assert [iterations for iterations, _ in seen] == [5, 10, 13]
    whole = rs.solve(problem, TreeDescent(), stop=rs.Stop(rtol=0, iterations=20))
    first = rs.solve(problem, TreeDescent(), stop=rs.Stop(rtol=0, iterations=13))
    assert rs.solve(problem, TreeDescent(), resume=first.state, stop=rs.Stop(rtol=0, iterations=20)).x.tolist() == (
        whole.x.tolist()
    )


def test_a_run_that_cannot_go_on_says_so():
    result = rs.solve(chosen("L1"), TreeDescent(), stop=rs.Stop(rtol=1e-30, iterations=3000))
    assert result.status is Status.STALLED
    assert result.residual <= 1e-13 * result.scale


def test_an_unknown_that_nothing_holds():
    H = sp.csr_array(np.diag([2.0, 0.0, 1.0]))
    problem = CompositeProblem(smooth=Quadratic(H, [2.0, 0.0, 5.0]), term=terms.Box(-1.0, 3.0))
    result = rs.solve(problem, TreeDescent(), stop=rs.Stop(rtol=1e-12))
    assert result.success
    assert result.x.tolist() == [1.0, 0.0, 3.0]
    pulled = CompositeProblem(smooth=Quadratic(H, [2.0, 1.0, 5.0]), term=terms.Box(-1.0, 3.0))
    assert rs.solve(pulled, TreeDescent(), stop=rs.Stop(rtol=1e-12)).x.tolist() == [1.0, 3.0, 3.0]


def test_what_it_refuses(rng):
    graph = GraphModel(lattice_weights((5, 5)), [0], [1.0], edges=HuberEdges(1.0))
    lasso = CompositeProblem(smooth=LinearModel(np.eye(3), losses.LeastSquares(np.ones(3))), term=terms.L1(0.1))
    for problem, message in (
        (CompositeProblem(smooth=graph, term=terms.L1(0.1)), "needs a quadratic, got a GraphModel"),
        (lasso, "needs a quadratic, got a LinearModel"),
        (lattice((5, 5), term=terms.MCP(1.0)), "cannot take nonconvex"),
        (lattice((5, 5), term=terms.GroupL1(Blocks.equal(24, 2), 1.0)), "cannot take groups"),
    ):
        with pytest.raises(ProblemError, match=message):
            TreeDescent().start(problem)
    with pytest.raises(ProblemError, match=r"is no forest: \d+ edges close a cycle"):
        TreeDescent(partition=partitions.Consecutive(size=50)).start(chosen("box"))
    for options, name in (({"anderson": 1}, "anderson"), ({"partition": "trees"}, "partition")):
        with pytest.raises(OptionError, match=name):
            TreeDescent(**options)
