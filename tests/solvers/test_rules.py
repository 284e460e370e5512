"""Rules pick what a search over all blocks picks; what they see of a problem agrees with finite differences."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import resolvent as rs
from resolvent.errors import OptionError, ProblemError
from resolvent.problems import Blocks, CompositeProblem, LinearModel, Quadratic, losses, terms
from resolvent.problems.graphs import GraphModel, GraphQuadratic, HuberEdges, LogCoshEdges
from resolvent.problems.library.lattice import lattice_weights
from resolvent.solvers import BlockCoordinateDescent, partitions, rules, updates
from resolvent.solvers.composite.access import Chosen, Factor, largest_eigenvalue
from resolvent.solvers.composite.access_models import open_access

P = 9
SIZE = 3
FIXED = partitions.Consecutive(size=4)  # blocks of 4, 4 and 1
VARIABLE = rules.Variable(size=SIZE)
RIDGE = terms.Ridge(0.7)


def design(rng, n=20, p=P):
    return rng.standard_normal((n, p)) * rng.uniform(0.1, 3, p)


def graph(edges=None, side=4):
    fixed = [0, 5, 11]
    return GraphModel(lattice_weights((side, side), 2.0), fixed, [1.0, -2.0, 3.0], edges=edges, grid=(side, side))


def models(rng):
    A, y = design(rng), rng.standard_normal(20)
    labels = np.where(rng.random(20) < 0.5, -1.0, 1.0)
    weights = rng.uniform(0.2, 2, 20)
    H = design(rng)
    return {
        "least squares": LinearModel(A, losses.LeastSquares(y)),
        "weighted": LinearModel(A, losses.LeastSquares(y), weights=weights, offset=y),
        "two responses": LinearModel(A[:, :4], losses.LeastSquares(rng.standard_normal((20, 2))), weights=weights),
        "logistic": LinearModel(sp.csc_array(A * (rng.random(A.shape) < 0.5)), losses.Logistic(labels)),
        "softmax": LinearModel(A[:, :3], losses.Softmax(rng.integers(0, 4, 20)), weights=weights),
        "sparse softmax": LinearModel(sp.csc_array(A[:, :3]), losses.Softmax(rng.integers(0, 3, 20))),
        "poisson": LinearModel(A, losses.Poisson(rng.integers(0, 4, 20))),
        "two counts": LinearModel(A[:, :4], losses.Poisson(rng.integers(0, 4, (20, 2)))),
        "quadratic": Quadratic(H.T @ H, rng.standard_normal(P)),
        "sparse quadratic": Quadratic(sp.csr_array(H.T @ H * (H.T @ H > 0)), rng.standard_normal(P)),
        "graph quadratic": GraphQuadratic(lattice_weights((4, 4), 2.0), [0, 5, 11], [1.0, -2.0, 3.0]),
        "graph": graph(LogCoshEdges(0.5)),
    }


NAMES = list(models(np.random.default_rng(0)))
BOUNDED = [name for name in NAMES if name not in ("poisson", "two counts")]


def at_random(rng, name, partition=VARIABLE, term=RIDGE, scale=0.4):
    """Return what rules see of a problem, a state at a random point, and the problem."""
    problem = CompositeProblem(smooth=models(np.random.default_rng(5))[name], term=term)
    x = scale * rng.standard_normal(problem.shape)
    forest = isinstance(partition, partitions.GreedyForest)
    update = updates.Forest() if forest else updates.ProjectedNewton()
    solver = BlockCoordinateDescent(partition=partition, select=rules.Subdifferential(), update=update)
    return open_access(problem, partition), solver.start(problem, x), problem


def smooth_part(problem):
    ridge = problem.term.weight if isinstance(problem.term, terms.Ridge) else 0.0
    return lambda x: problem.smooth.value(x.reshape(problem.shape)) + 0.5 * ridge * x @ x


def differences(function, x, h=1e-5):
    """Return the Hessian by central differences."""
    E, f = h * np.eye(len(x)), function
    return np.array([
        [(f(x + a + b) - f(x + a - b) - f(x - a + b) + f(x - a - b)) / (4 * h * h) for b in E]
        for a in E
    ])  # fmt: skip


# ---- what rules see


@pytest.mark.parametrize("name", NAMES)
def test_slopes_and_hessians_agree_with_differences(rng, name):
    access, state, problem = at_random(rng, name)
    h, x = smooth_part(problem), access.x(state).copy()
    found = scipy.optimize.approx_fprime(x, h, 1e-7)
    assert np.allclose(access.slope(state), found, rtol=1e-4, atol=1e-4)
    everything = np.arange(access.p)
    H = differences(h, x)
    assert np.allclose(access.hessian(state, everything), H, rtol=1e-3, atol=1e-3 * np.abs(H).max())
    b = np.array([6, 1, 4])
    assert np.allclose(access.hessian(state, b), H[np.ix_(b, b)], rtol=1e-3, atol=1e-3 * np.abs(H).max())


@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_dominate_hessians_everywhere(rng, name):
    access, state, _ = at_random(rng, name)
    for scale in (0.0, 0.3, 3.0):
        state.x[...] = scale * rng.standard_normal(state.x.shape)
        access.look(state, fresh=True)
        for size in (1, 3, 7):
            b = rng.choice(access.p, size, replace=False)
            H, bound = access.hessian(state, b), access.bound(b)
            assert np.linalg.eigvalsh(bound - H)[0] >= -1e-9 * np.abs(bound).max()
            diagonal = np.minimum(size * access.lipschitz, access.row_sums)[b]
            for D in (size * access.lipschitz[b], access.row_sums[b]):
                assert np.linalg.eigvalsh(np.diag(D) - H)[0] >= -1e-9 * np.abs(bound).max()
            assert (access.lipschitz[b] <= diagonal * (1 + 1e-12)).all()
            assert np.allclose(bound.diagonal(), access.lipschitz[b]) or "softmax" in name


@pytest.mark.parametrize("name", BOUNDED)
def test_products_and_row_sums_are_those_of_one_matrix(rng, name):
    access, _, _ = at_random(rng, name)
    everything = np.arange(access.p)
    H = access.bound(everything)
    d = np.zeros(access.p)
    b = np.array([1, 4, 6])
    d[b] = rng.standard_normal(3)
    assert np.allclose(access.product(d, b), H @ d)
    assert np.allclose(access.product(H[0], everything), H @ H[0])
    plain = H - np.diag(access.term.ridge)
    assert np.allclose(access.row_sums, np.abs(plain).sum(axis=1) + access.term.ridge)


@pytest.mark.parametrize("name", NAMES)
def test_lines_and_steps_are_those_of_the_objective(rng, name):
    access, state, problem = at_random(rng, name)
    for size in (2, access.p):
        b = np.sort(rng.choice(access.p, size, replace=False))
        d, x, before = 0.3 * rng.standard_normal(size), access.x(state)[b].copy(), problem.objective(state.x)
        line = access.along(state, b, d)
        for t in (1.0, 0.25):
            trial = state.x.copy()
            trial.reshape(-1)[b] += t * d
            assert line.change(t) == pytest.approx(problem.objective(trial) - before, rel=1e-7, abs=1e-9)
        assert access.take(state, b, x + d)
        access.look(state, fresh=False)
        carried = state.gradient.copy(), state.residual
        access.look(state, fresh=True)
        assert np.allclose(carried[0], state.gradient, rtol=1e-9, atol=1e-9)
        assert carried[1] == pytest.approx(state.residual, rel=1e-7)
        assert not access.take(state, b, access.x(state)[b])


def test_hessians_of_straight_edges_are_damped(rng):
    problem = CompositeProblem(smooth=graph(HuberEdges(1e-9)), term=terms.NoTerm())
    access = open_access(problem, VARIABLE)
    state = BlockCoordinateDescent(partition=VARIABLE, select=rules.Random(), update=updates.Newton()).start(
        problem, rng.standard_normal(13)
    )
    assert np.allclose(access.hessian(state, np.arange(13)), 1e-4 * np.diag(access.curvatures))


def test_factors_of_singular_and_indefinite_matrices(rng):
    V = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    r = rng.standard_normal(5)
    definite = V @ np.diag([1.0, 2, 3, 4, 5]) @ V.T * np.outer(10.0 ** np.arange(5), 10.0 ** np.arange(5))
    assert np.allclose(definite @ Factor(definite).solve(r), r)
    A = rng.standard_normal((3, 5))
    singular, g = A.T @ A, A.T @ rng.standard_normal(3)
    assert np.allclose(singular @ Factor(singular).solve(g), g)
    indefinite = V @ np.diag([-1.0, 2, 3, 4, 5]) @ V.T
    d = Factor(indefinite).solve(r)
    larger = np.linalg.inv(indefinite)
    assert r @ d > 0
    assert r @ d >= r @ larger @ r
    for H in (definite, singular, indefinite):
        factor = Factor(H)
        right = H @ r
        assert np.linalg.norm(factor.root @ right) ** 2 == pytest.approx(right @ factor.solve(right), rel=1e-8)
    empty = Factor(np.diag([4.0, 0.0]))
    assert empty.solve(np.array([1.0, 1.0])).tolist() == [0.25, 0.0]


# ---- greedy rules beside a search over all blocks


def all_blocks(access):
    if access.candidates.blocks is not None:
        return list(access.candidates.blocks)
    return [np.array(b) for b in combinations(range(access.p), access.candidates.size)]


def searched(access, score):
    return sorted(max(all_blocks(access), key=score).tolist())


def picked(rule, access, state):
    rule.prepare(access)
    return sorted(rule.select(access, state).members.tolist())


SMOOTH = ["least squares", "two responses", "logistic", "softmax", "quadratic", "graph"]


@pytest.mark.parametrize("partition", [FIXED, VARIABLE], ids=["fixed", "variable"])
@pytest.mark.parametrize("name", SMOOTH)
def test_rules_for_smooth_objectives(rng, name, partition):
    access, state, _ = at_random(rng, name, partition)
    g, everything = access.slope(state), np.arange(access.p)
    H = access.bound(everything)
    L = access.lipschitz
    rows = np.abs(H - np.diag(access.term.ridge)).sum(axis=1) + access.term.ridge
    assert picked(rules.GreedyGradient(), access, state) == searched(access, lambda b: g[b] @ g[b])
    assert picked(rules.GreedyDiagonal(), access, state) == searched(access, lambda b: (g[b] ** 2 / L[b]).sum())
    by_rows = searched(access, lambda b: (g[b] ** 2 / rows[b]).sum())
    assert picked(rules.GreedyDiagonal(row_sums=True), access, state) == by_rows

    def quadratic(b):
        return g[b] @ np.linalg.solve(access.bound(b), g[b])

    chosen = picked(rules.GreedyQuadratic(), access, state)
    if partition is FIXED:
        assert chosen == searched(access, quadratic)
        by_eigenvalue = searched(access, lambda b: g[b] @ g[b] / largest_eigenvalue(access.bound(b)))
        assert picked(rules.GreedyLipschitz(), access, state) == by_eigenvalue
    else:
        best = max(map(quadratic, all_blocks(access)))
        diagonal = quadratic(rules.GreedyDiagonal().select(access, state).members)
        assert diagonal * (1 - 1e-12) <= quadratic(np.array(chosen)) <= best * (1 + 1e-12)
        assert quadratic(np.array(chosen)) >= 0.95 * best
        assert picked(rules.GreedyLipschitz(), access, state) == by_rows


def test_thresholding_beats_the_diagonal_on_correlated_columns(rng):
    better = 0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        A = design(draw, p=12) + 2 * draw.standard_normal((20, 1))
        model = LinearModel(A, losses.LeastSquares(draw.standard_normal(20)))
        problem = CompositeProblem(smooth=model, term=terms.NoTerm())
        access = open_access(problem, VARIABLE)
        state = BlockCoordinateDescent(
            partition=VARIABLE, select=rules.GreedyQuadratic(), update=updates.Matrix()
        ).start(problem)
        g = access.slope(state)
        values = [
            g[b] @ np.linalg.solve(access.bound(b), g[b])
            for b in (rule.select(access, state).members for rule in (rules.GreedyDiagonal(), rules.GreedyQuadratic()))
        ]
        assert values[1] >= values[0]
        better += values[1] > 1.01 * values[0]
    assert better >= 5


KINKED = {
    "L1": terms.L1(0.8),
    "non-negative": terms.NonNegative(0.3),
    "box": terms.Box(-0.3, 0.5, 0.2),
    "elastic net": terms.ElasticNet(0.5, 0.4),
    "none": terms.NoTerm(),
}


@pytest.mark.parametrize("partition", [FIXED, VARIABLE], ids=["fixed", "variable"])
@pytest.mark.parametrize("term", KINKED)
def test_rules_for_kinks(rng, term, partition):
    access, state, _ = at_random(rng, "logistic", partition, KINKED[term])
    x, g, L = access.x(state), state.gradient, access.curvatures
    low, up = access.term.lower, access.term.upper
    w, ridge = access.term.weight, access.term.ridge

    def model(i, u):
        d = u - x[i]
        return g[i] * d + 0.5 * L[i] * d * d + w[i] * (abs(u) - abs(x[i])) + 0.5 * ridge[i] * (u * u - x[i] ** 2)

    def least(i):
        ends = np.clip([-50.0, 0.0, 50.0], low[i], up[i])
        found = [
            scipy.optimize.minimize_scalar(
                lambda u: model(i, u), bounds=side, method="bounded", options={"xatol": 1e-12}
            )
            for side in ((ends[0], ends[1]), (ends[1], ends[2]))
            if side[1] > side[0]
        ]
        places = [*ends, *(one.x for one in found)]
        return min(places, key=lambda u: model(i, u))

    targets = [least(i) for i in range(P)]
    decrease = np.array([-model(i, u) for i, u in enumerate(targets)])
    steps = np.array([u - x[i] for i, u in enumerate(targets)])
    distance = np.array([scipy.optimize.minimize_scalar(
        lambda s, i=i: abs(g[i] + ridge[i] * x[i] + s), bounds=_subgradients(x[i], w[i], low[i], up[i]),
        method="bounded", options={"xatol": 1e-12}).fun for i in range(P)])  # fmt: skip
    for rule, scores in (
        (rules.Decrease(), decrease),
        (rules.ProximalStep(scaled=False), steps**2),
        (rules.ProximalStep(), (L + ridge) * steps**2),
        (rules.Subdifferential(), distance**2),
    ):
        rule.prepare(access)
        assert np.allclose(rule.scores(access, state), scores, rtol=1e-4, atol=1e-6 * max(1, scores.max()))
        assert picked(rule, access, state) == searched(access, lambda b, scores=scores: scores[b].sum())


def _subgradients(x, weight, lower, upper):
    at = (weight, weight) if x > 0 else (-weight, -weight) if x < 0 else (-weight, weight)
    low, high = (-1e3 if x <= lower else at[0]), (1e3 if x >= upper else at[1])
    return low - 1e-13, high + 1e-13


@pytest.mark.parametrize("name", ["least squares", "logistic", "quadratic"])
@pytest.mark.parametrize("term", [terms.NoTerm(), terms.L1(0.5)], ids=["none", "L1"])
@pytest.mark.parametrize("partition", [FIXED, rules.Variable(size=2)], ids=["fixed", "variable"])
def test_maximum_improvement(rng, name, term, partition):
    access, state, problem = at_random(rng, name, partition, term)
    x = access.x(state)

    def improvement(b):
        def value(entries):
            trial = x.copy()
            trial[b] = entries
            return problem.objective(trial)

        tries = [x[b], *np.eye(len(b)), np.zeros(len(b))]
        found = min(scipy.optimize.minimize(value, t, method="Powell", options={"xtol": 1e-8}).fun for t in tries)
        return -found

    assert picked(rules.MaximumImprovement(), access, state) == searched(access, improvement)


def test_forests_of_large_scores(rng):
    access, state, problem = at_random(rng, "graph", partitions.GreedyForest(exact=True), terms.NoTerm())
    members = rules.GreedyGradient().select(access, state).members
    g = access.slope(state)
    assert len(members) >= 8
    assert members[0] == np.argmax(g**2)
    pattern = problem.smooth.pattern[members][:, members]
    trees = sp.csgraph.connected_components(pattern)[0]
    assert (pattern.nnz - len(members)) // 2 == len(members) - trees


# ---- rules that do not look


def sequence(rule, count, partition=FIXED, seed=0):
    problem = CompositeProblem(smooth=models(np.random.default_rng(5))["least squares"], term=RIDGE)
    solver = BlockCoordinateDescent(partition=partition, select=rule, update=updates.Matrix())
    state = solver.start(problem, rng=seed)
    access = open_access(problem, partition)
    rule.prepare(access)
    return [rule.select(access, state) for _ in range(count)], access


def test_cyclic_and_permuted():
    found, _ = sequence(rules.Cyclic(), 7)
    assert [c.number for c in found] == [0, 1, 2, 0, 1, 2, 0]
    assert [c.members.tolist() for c in found[:3]] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    found, _ = sequence(rules.Permuted(), 30)
    passes = [tuple(c.number for c in found[i : i + 3]) for i in range(0, 30, 3)]
    assert all(sorted(one) == [0, 1, 2] for one in passes)
    assert len(set(passes)) > 2


def test_random_and_lipschitz_sampling():
    found, _ = sequence(rules.Random(), 3000)
    assert np.allclose(np.bincount([c.number for c in found]) / 3000, 1 / 3, atol=0.03)
    found, access = sequence(rules.LipschitzSampling(), 3000)
    expected = access.block_lipschitz / access.block_lipschitz.sum()
    assert np.allclose(np.bincount([c.number for c in found], minlength=3) / 3000, expected, atol=0.03)
    found, _ = sequence(rules.Random(), 3000, VARIABLE)
    assert all(len(set(c.members.tolist())) == SIZE for c in found)
    assert np.allclose(np.bincount(np.concatenate([c.members for c in found])) / 3000, SIZE / P, atol=0.04)
    found, access = sequence(rules.LipschitzSampling(), 4000, rules.Variable(size=1))
    expected = access.lipschitz / access.lipschitz.sum()
    assert np.allclose(np.bincount(np.concatenate([c.members for c in found])) / 4000, expected, atol=0.03)


def test_variable_blocks_of_all_coordinates():
    found, _ = sequence(rules.GreedyGradient(), 1, rules.Variable(size=50))
    assert found[0].members.tolist() == list(range(P))


def test_blocks_given_by_hand():
    blocks = Blocks.of([[0, 8], [1, 2, 3, 4, 5, 6, 7]])
    found, access = sequence(rules.Cyclic(), 2, blocks)
    assert [c.members.tolist() for c in found] == [[0, 8], [1, 2, 3, 4, 5, 6, 7]]
    assert access.factor(found[0]) is access.factor(Chosen(found[0].members, 0))
    with pytest.raises(ProblemError, match="coordinate 3 is in no block"):
        sequence(rules.Cyclic(), 1, Blocks.of([[0, 1, 2]]))


# ---- what does not fit


def test_rules_that_do_not_fit_a_partition():
    for select, partition in (
        (rules.Cyclic(), VARIABLE),
        (rules.Permuted(), partitions.GreedyForest()),
        (rules.Random(), partitions.GreedyForest()),
        (rules.GreedyGradient(), partitions.RandomForest()),
        (rules.GreedyQuadratic(), partitions.GreedyForest()),
        (rules.LipschitzSampling(), partitions.RandomForest()),
        (rules.MaximumImprovement(), partitions.GreedyForest()),
    ):
        with pytest.raises(OptionError, match=r"select is .*, expected a rule that fits"):
            BlockCoordinateDescent(partition=partition, select=select, update=updates.Forest())


@pytest.mark.parametrize(
    ("rule", "term", "message"),
    [
        (rules.GreedyGradient(), terms.L1(1.0), "GreedyGradient is for smooth objectives, and L1 has kinks or bounds"),
        (rules.GreedyQuadratic(), terms.NonNegative(), "GreedyQuadratic is for smooth objectives, and NonNegative"),
        (rules.GreedyDiagonal(), terms.NoTerm(), "Poisson has no bound of its curvature"),
        (rules.GreedyQuadratic(), terms.NoTerm(), "Poisson has no bound of its curvature"),
        (rules.Decrease(), terms.L1(1.0), "Poisson has no bound of its curvature"),
        (rules.MaximumImprovement(), terms.L1(1.0), "MaximumImprovement would try"),
    ],
)
def test_rules_that_do_not_fit_a_problem(rng, rule, term, message):
    model = LinearModel(design(rng, p=40), losses.Poisson(rng.integers(0, 4, 20)))
    partition = rules.Variable(size=10)
    solver = BlockCoordinateDescent(partition=partition, select=rule, update=updates.ProjectedNewton())
    with pytest.raises(ProblemError, match=message):
        rs.solve(CompositeProblem(smooth=model, term=term), solver)


def test_options_of_rules():
    for make in (
        lambda: rules.Variable(size=0),
        lambda: rules.GreedyDiagonal(row_sums=1),
        lambda: rules.GreedyQuadratic(thresholdings=-1),
        lambda: rules.ProximalStep(scaled="yes"),
    ):
        with pytest.raises(OptionError, match="expected"):
            make()
