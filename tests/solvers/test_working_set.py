"""The working set: answers beside known ones and SciPy's, both ways to solve the model, paths."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import resolvent as rs
from resolvent.errors import OptionError, ProblemError
from resolvent.problems import Blocks, CompositeProblem, LinearModel, Quadratic, losses, terms
from resolvent.solvers import WorkingSet, path, weight_grid
from resolvent.solvers.composite.quadratic_model import gram_answer
from resolvent.solvers.stop import Status

TIGHT = rs.Stop(rtol=1e-10)


def design(rng, n=60, p=100, share=1.0):
    A = rng.standard_normal((n, p)) * (rng.random((n, p)) < share)
    return A, A[:, :5] @ np.array([3.0, -2.0, 1.5, -1.0, 2.5]) + 0.1 * rng.standard_normal(n)


def problem_of(A, loss, term, **options):
    return CompositeProblem(smooth=LinearModel(A, loss, **options), term=term)


def labels(b):
    return np.where(b > np.median(b), 1.0, -1.0)


LOSSES = {
    "least squares": losses.LeastSquares,
    "logistic": lambda b: losses.Logistic(labels(b)),
    "huber": lambda b: losses.Huber(b, 0.5),
    "squared hinge": lambda b: losses.SquaredHinge(labels(b)),
    "poisson": lambda b: losses.Poisson(np.round(np.exp(b / 5))),
}


def test_orthogonal_columns(rng):
    Q = np.linalg.qr(rng.standard_normal((50, 20)))[0]
    b = rng.standard_normal(50)
    result = rs.solve(problem_of(Q, losses.LeastSquares(b), terms.L1(0.3)), WorkingSet(), stop=TIGHT)
    c = Q.T @ b
    assert np.allclose(result.x, np.sign(c) * np.maximum(abs(c) - 0.3, 0), atol=1e-12)


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2, 60)])
@pytest.mark.parametrize("intercept", [False, True])
def test_the_check_of_an_answer_takes_its_predictions_alone(rng, intercept, weights):
    A, b = design(rng)
    problem = problem_of(A, losses.Logistic(labels(b)), terms.L1(1.0), intercept=intercept, weights=weights)
    result = rs.solve(problem, WorkingSet(), stop=TIGHT)
    assert result.success
    w = result.x[0] if intercept else result.x
    assert result.counts["check.columns"] == np.count_nonzero(w)  # the scale costs nothing at x = 0
    fresh = problem.replace(term=problem.term).residual(result.x, *result.certificate[1:])
    assert fresh == pytest.approx(result.residual, rel=1e-3, abs=1e-14 * result.scale)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_every_loss_converges(rng, name, share):
    A, b = design(rng, share=share)
    A = sp.csc_array(A) if share < 1 else A
    problem = problem_of(A, LOSSES[name](b), terms.L1(1.0))
    problem = problem.replace(term=terms.L1(0.1 * problem.term.lambda_max(problem.gradient(problem.x0))))
    result = rs.solve(problem, WorkingSet(), stop=rs.Stop(rtol=1e-9))
    assert result.status is Status.CONVERGED
    assert problem.residual(result.x) <= 1e-8 * problem.scale()
    assert 0 < np.count_nonzero(result.x) < 100


@pytest.mark.parametrize("first", [1, 5, 40])
def test_finite_on_quadratics(rng, first):
    A, b = design(rng, n=200)
    result = rs.solve(
        problem_of(A, losses.LeastSquares(b), terms.L1(5.0)), WorkingSet(first=first), stop=rs.Stop(rtol=1e-14)
    )
    assert result.success
    assert result.residual <= 1e-14 * result.scale
    assert result.iterations <= 12


def test_non_negative_and_bounds_as_scipy(rng):
    A, b = design(rng, n=80, p=30)
    free = rs.solve(problem_of(A, losses.LeastSquares(b), terms.NonNegative()), WorkingSet(), stop=TIGHT)
    assert np.allclose(free.x, scipy.optimize.nnls(A, b)[0], atol=1e-6)
    box = rs.solve(problem_of(A, losses.LeastSquares(b), terms.Box(-0.5, 1.0)), WorkingSet(), stop=TIGHT)
    assert np.allclose(box.x, scipy.optimize.lsq_linear(A, b, (-0.5, 1.0), tol=1e-14).x, atol=1e-6)


def test_ridge_in_closed_form(rng):
    A, b = design(rng, n=50, p=20)
    result = rs.solve(
        problem_of(A, losses.LeastSquares(b), terms.ElasticNet(0.0, 2.0)), WorkingSet(), stop=rs.Stop(rtol=1e-14)
    )
    assert np.allclose(result.x, np.linalg.solve(A.T @ A + 2 * np.eye(20), A.T @ b), atol=1e-6)


def test_logistic_as_scipy(rng):
    A, b = design(rng, n=80, p=20)
    y = labels(b)

    def split(v):
        x = v[:20] - v[20:]
        m = -y * (A @ x)
        g = A.T @ (-y / (1 + np.exp(-m)))
        return np.logaddexp(0, m).sum() + 2.0 * v.sum(), np.concatenate([g + 2, 2 - g])

    peer = scipy.optimize.minimize(split, np.zeros(40), jac=True, bounds=[(0, None)] * 40,
                                   options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000})  # fmt: skip
    result = rs.solve(problem_of(A, losses.Logistic(y), terms.L1(2.0)), WorkingSet(), stop=TIGHT)
    assert np.allclose(result.x, peer.x[:20] - peer.x[20:], atol=1e-4)


@pytest.mark.parametrize("name", ["least squares", "logistic"])
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_intercept(rng, name, share):
    A, b = design(rng, share=share)
    problem = problem_of(sp.csc_array(A) if share < 1 else A, LOSSES[name](b + 4), terms.L1(2.0), intercept=True)
    result = rs.solve(problem, WorkingSet(), stop=TIGHT)
    assert result.success
    slope = problem.smooth.derivative(problem.smooth.predict(result.x))
    assert abs(slope.sum()) < 1e-5
    if name == "least squares":  # the same as centred data without one
        centred = problem_of(A - A.mean(axis=0), losses.LeastSquares(b - b.mean()), terms.L1(2.0))
        assert np.allclose(result.x[0], rs.solve(centred, WorkingSet(), stop=TIGHT).x, atol=1e-5)


def test_weights_are_repeated_rows(rng):
    A, b = design(rng, n=30, p=20)
    count = rng.integers(0, 4, 30)
    term = terms.L1(np.linspace(0.5, 2, 20))
    weighted = problem_of(A, losses.LeastSquares(b), term, weights=count.astype(float))
    repeated = problem_of(np.repeat(A, count, axis=0), losses.LeastSquares(np.repeat(b, count)), term)
    one, two = (rs.solve(p, WorkingSet(), stop=TIGHT).x for p in (weighted, repeated))
    assert np.allclose(one, two, atol=1e-6)


def test_unpenalised_coordinates_are_fitted(rng):
    A, b = design(rng, n=60, p=10)
    weight = np.ones(10) * 1e3
    weight[:2] = 0
    result = rs.solve(problem_of(A, losses.LeastSquares(b), terms.L1(weight)), WorkingSet(), stop=TIGHT)
    assert np.allclose(result.x[:2], np.linalg.lstsq(A[:, :2], b, rcond=None)[0], atol=1e-6)
    assert not result.x[2:].any()


@pytest.mark.parametrize("name", ["least squares", "logistic"])
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_columns_do_what_a_matrix_does(rng, name, share):
    A, b = design(rng, n=100, share=share)
    problem = problem_of(sp.csc_array(A) if share < 1 else A, LOSSES[name](b), terms.L1(3.0))
    gram, columns = (rs.solve(problem, WorkingSet(dense=dense), stop=TIGHT) for dense in (1200, 1))
    assert gram.success
    assert columns.success
    assert np.allclose(gram.x, columns.x, atol=1e-5)


def test_indices_of_64_bits_and_float32(rng):
    A, b = design(rng, share=0.3)
    wide = sp.csc_array(A)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    true = rs.solve(problem_of(A, losses.LeastSquares(b), terms.L1(2.0)), WorkingSet(), stop=TIGHT).x
    found = rs.solve(problem_of(wide, losses.LeastSquares(b), terms.L1(2.0)), WorkingSet(), stop=TIGHT).x
    assert np.allclose(found, true, atol=1e-6)
    single = rs.solve(problem_of(A.astype(np.float32), losses.LeastSquares(b), terms.L1(2.0)), WorkingSet())
    assert single.success
    assert single.x.dtype == np.float32
    assert np.allclose(single.x, true, atol=1e-3)


def test_odd_columns(rng):
    A, b = design(rng, n=30, p=12)
    A[:, 3] = 0
    A[:, 5] = A[:, 4]
    A[:, 7] = 2.0
    result = rs.solve(problem_of(A, losses.LeastSquares(b), terms.L1(0.5)), WorkingSet(), stop=TIGHT)
    assert result.success
    assert result.x[3] == 0


@pytest.mark.parametrize(("n", "p"), [(1, 5), (5, 1), (1, 1)])
def test_tiny(rng, n, p):
    A = rng.standard_normal((n, p))
    result = rs.solve(
        problem_of(A, losses.LeastSquares(rng.standard_normal(n)), terms.L1(0.01)), WorkingSet(), stop=TIGHT
    )
    assert result.success


def test_a_large_weight_gives_zero_at_once(rng):
    A, b = design(rng)
    largest = abs(A.T @ b).max()
    result = rs.solve(problem_of(A, losses.LeastSquares(b), terms.L1(1.01 * largest)), WorkingSet())
    assert result.iterations == 0
    assert result.success
    assert not result.x.any()


def test_path_is_that_of_cold_solves(rng):
    A, b = design(rng, n=80)
    problem = problem_of(A, losses.LeastSquares(b), terms.L1(1.0))
    found = path(problem, [2.0, 20.0, 0.5], stop=TIGHT)
    assert found.success
    assert found.weights.tolist() == [2.0, 20.0, 0.5]
    for weight, x in zip(found.weights, found.x, strict=True):
        cold = rs.solve(problem.replace(term=terms.L1(weight)), WorkingSet(), stop=TIGHT).x
        assert np.allclose(x, cold, atol=1e-6)
    assert "all solved" in repr(found)


def test_path_hands_the_matrix_on(rng):
    A, b = design(rng, n=80)
    model = LinearModel(A, losses.LeastSquares(b))
    first = rs.solve(CompositeProblem(smooth=model, term=terms.L1(5.0)), WorkingSet())
    problem = CompositeProblem(smooth=model, term=terms.L1(4.0))
    H = first.state.H.copy()
    state = WorkingSet().start(problem, first.x, previous=first.state)
    assert np.array_equal(state.H, H)
    assert first.state.H.size == 0  # its memory is written to from now on
    assert problem.counts["columns"] == 0
    again = rs.solve(problem, WorkingSet(), first, stop=TIGHT)
    assert again.success
    assert np.allclose(again.x, rs.solve(problem, WorkingSet(), stop=TIGHT).x, atol=1e-6)


@pytest.mark.parametrize("loss", ["least squares", "logistic"])
def test_entries_in_any_order(rng, loss):
    A, b = design(rng, share=0.2)
    columns = sp.csc_array(A)
    swapped = sp.csc_array((columns.data.copy(), columns.indices.copy(), columns.indptr), columns.shape)
    for j in range(columns.shape[1]):
        part = slice(columns.indptr[j], columns.indptr[j + 1])
        swapped.data[part], swapped.indices[part] = columns.data[part][::-1], columns.indices[part][::-1]
    swapped.has_sorted_indices = False
    found = [rs.solve(problem_of(M, LOSSES[loss](b), terms.L1(1.0)), WorkingSet(), stop=TIGHT) for M in (A, swapped)]
    assert np.allclose(found[0].x, found[1].x, atol=1e-5)


def test_repeated_entries_are_summed():
    A = sp.csc_array((np.ones(3), [0, 0, 1], [0, 2, 3]), (2, 2))
    A.has_sorted_indices = False
    model = LinearModel(A, losses.LeastSquares([2.0, 1.0]))
    assert model.column_norms_squared.tolist() == [4, 1]


@pytest.mark.parametrize("intercept", [False, True])
def test_grid_begins_where_zero_is_optimal(rng, intercept):
    A, b = design(rng)
    problem = problem_of(A, losses.LeastSquares(b + 1), terms.L1(1.0), intercept=intercept)
    grid = weight_grid(problem, 5, 0.1)
    assert grid[-1] == pytest.approx(0.1 * grid[0])
    for factor, zero in ((1.0001, True), (0.99, False)):
        x = rs.solve(problem.replace(term=terms.L1(factor * grid[0])), WorkingSet(), stop=TIGHT).x
        assert (not (x[0] if intercept else x).any()) == zero


def test_options_and_refusals(rng):
    A, b = design(rng, n=20, p=6)
    for options, message in (
        ({"first": 0}, "first is 0"),
        ({"growth": 0}, "growth is 0"),
        ({"accuracy": 1.0}, "accuracy is 1.0"),
    ):
        with pytest.raises(OptionError, match=message):
            WorkingSet(**options)
    group = problem_of(A, losses.LeastSquares(b), terms.GroupL1(Blocks.equal(6, 2), 1.0))
    with pytest.raises(ProblemError, match="term by coordinate, got GroupL1"):
        rs.solve(group, WorkingSet())
    with pytest.raises(ProblemError, match="loss of a LinearModel"):
        rs.solve(CompositeProblem(smooth=Quadratic(np.eye(2), np.ones(2)), term=terms.L1(1.0)), WorkingSet())
    with pytest.raises(OptionError, match="positive numbers"):
        path(problem_of(A, losses.LeastSquares(b), terms.L1(1.0)), [1.0, -1.0])
    with pytest.raises(OptionError, match="smallest is 2"):
        weight_grid(problem_of(A, losses.LeastSquares(b), terms.L1(1.0)), 3, 2)


SEEN_TERMS = {
    "weights": lambda p: terms.L1(np.linspace(0.5, 3, p)),
    "elastic net": lambda p: terms.ElasticNet(1.0, 2.0),
    "ridge": lambda p: terms.Ridge(1.0),
    "ridge weights of zero": lambda p: terms.ElasticNet(np.arange(p) % 2 * 1.0, 0.5),
    "non-negative": lambda p: terms.NonNegative(0.5),
    "box": lambda p: terms.Box(-0.5, np.linspace(0.1, 1, p), weight=1.0),
    "free box": lambda p: terms.Box(-0.5, 1.0),  # done in the plain way, as what follows
    "no term": lambda p: terms.NoTerm(),
}


def both_ways(monkeypatch, problem, **options):
    """Return the results by one call for all that a step asks, and by many."""
    seen = rs.solve(problem.replace(), WorkingSet(first=5), **options)
    with monkeypatch.context() as patch:
        for place in ("working_set", "working_set_state"):
            patch.setattr(f"resolvent.solvers.composite.{place}.has_sight", lambda *_: False)
        return seen, rs.solve(problem.replace(), WorkingSet(first=5), **options)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", SEEN_TERMS)
def test_one_call_sees_the_same(rng, monkeypatch, loss, name):
    A, b = design(rng, n=60, p=40)
    problem = problem_of(A, LOSSES[loss](b), SEEN_TERMS[name](40), weights=rng.random(60), offset=rng.random(60) / 9)
    for stop in (rs.Stop(rtol=0, iterations=2), rs.Stop(rtol=1e-8, iterations=60)):
        seen, plain = both_ways(monkeypatch, problem, stop=stop)
        assert (seen.iterations, seen.status, seen.counts) == (plain.iterations, plain.status, plain.counts)
        assert np.allclose(seen.x, plain.x, atol=1e-7)
        assert seen.residual == pytest.approx(plain.residual, rel=1e-3, abs=1e-8 * seen.scale)
        assert seen.history["support"].tolist() == plain.history["support"].tolist()


def test_one_call_with_weights_of_zero(rng, monkeypatch):
    A, b = design(rng, n=60, p=40)
    problem = problem_of(A, losses.LeastSquares(b), terms.L1(np.arange(40) % 7 * 0.5))
    seen, plain = both_ways(monkeypatch, problem, stop=TIGHT)
    assert seen.success
    assert np.array_equal(seen.x, plain.x)


@pytest.mark.parametrize("kind", ["zero columns", "twice", "one row", "one column", "one"])
def test_one_call_with_odd_columns(rng, monkeypatch, kind):
    n, p = {"one row": (1, 9), "one column": (9, 1), "one": (1, 1)}.get(kind, (20, 12))
    A, b = rng.standard_normal((n, p)), rng.standard_normal(n)
    if kind == "zero columns":
        A[:, ::3] = 0
    if kind == "twice":
        A[:, 6:] = A[:, :6]
    problem = problem_of(A, losses.LeastSquares(b), terms.L1(0.01))
    seen, plain = both_ways(monkeypatch, problem, stop=TIGHT)
    assert seen.success
    assert plain.success
    assert np.allclose(A @ seen.x, A @ plain.x, atol=1e-4)
    assert not seen.x[(A == 0).all(axis=0)].any()


def test_one_call_whose_term_changes(rng):
    """What was seen for one problem is not used for another one."""
    A, b = design(rng)
    problem = problem_of(A, losses.LeastSquares(b), terms.L1(2.0))
    state = WorkingSet(first=5).start(problem)
    WorkingSet(first=5).step(problem, state)
    free = problem.replace(term=terms.L1(np.arange(100) * 1.0))
    for other in (problem.replace(term=terms.L1(1.0)), free):
        copied, state.sight = state.copy(), None
        one, two = (WorkingSet(first=5).step(other, s) for s in (state, copied))
        assert np.array_equal(one.x, two.x)
        assert one.residual == two.residual


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
def test_coordinates_without_a_penalty(rng, name, intercept):
    """Far from the optimum there is no dual point near, and the gap is that of theta = 0: the start is no error."""
    A, b = design(rng, n=80, p=40)
    weight = np.full(40, 2.0)
    weight[:6] = 0
    problem = problem_of(A, LOSSES[name](b + 5 * rng.standard_normal(80)), terms.L1(weight), intercept=intercept)
    result = rs.solve(problem, WorkingSet(), stop=rs.Stop(rtol=1e-8))
    assert result.success
    first, g = (v[0] if intercept else v for v in map(problem.gradient, (problem.x0, result.x)))
    assert np.abs(g[:6]).max() <= 1e-3 * np.abs(first).max()
    assert (np.abs(g[6:]) <= 2.0 + 1e-2).all()


BENT = {"MCP": terms.MCP(3.0), "SCAD": terms.SCAD(3.0), "L05": terms.L05(3.0)}


@pytest.mark.parametrize("name", BENT)
def test_terms_that_are_not_convex_with_orthogonal_columns(rng, name):
    """Every coordinate stands alone, so that the prox is the answer."""
    Q = np.linalg.qr(rng.standard_normal((50, 20)))[0]
    b = 8 * rng.standard_normal(50)
    problem = problem_of(Q, losses.LeastSquares(b), BENT[name])
    result = rs.solve(problem, WorkingSet(), stop=TIGHT)
    expected = BENT[name].prox(Q.T @ b)
    assert np.allclose(result.x, expected, atol=1e-10)
    assert 0 < np.count_nonzero(expected) < 20


@pytest.mark.parametrize("name", BENT)
@pytest.mark.parametrize("loss", ["least squares", "logistic", "huber", "squared hinge"])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_terms_that_are_not_convex(rng, name, loss, share):
    A, b = design(rng, n=80, share=share)
    problem = problem_of(sp.csc_array(A) if share < 1 else A, LOSSES[loss](b), BENT[name], intercept=share < 1)
    result = rs.solve(problem, WorkingSet(), stop=rs.Stop(rtol=1e-8))
    assert result.status is Status.CONVERGED
    w = result.x[0] if share < 1 else result.x
    assert 0 < np.count_nonzero(w) < 60
    assert not problem.has_gap
    assert problem.residual(result.x) <= 1e-8 * problem.scale()
    assert problem.objective(result.x) < problem.objective(problem.x0)


def test_a_path_of_a_term_that_is_not_convex(rng):
    A, b = design(rng)
    found = path(problem_of(A, losses.LeastSquares(b), terms.MCP(1.0)), [60.0, 30.0, 10.0])
    assert found.success
    assert np.count_nonzero(found.x[2]) >= np.count_nonzero(found.x[0]) > 0


def test_a_term_that_is_not_convex_needs_bounded_curvature(rng):
    A, b = design(rng)
    with pytest.raises(ProblemError, match="bounded curvature for MCP"):
        rs.solve(problem_of(A, LOSSES["poisson"](b), terms.MCP(1.0)), WorkingSet())


@pytest.mark.parametrize("dense", [1, 600])
@pytest.mark.parametrize("delta", [0.2, 0.5])
def test_losses_without_curvature_at_the_start(rng, dense, delta):
    """All samples lie where the Huber loss is linear: the model is that of the largest second derivatives."""
    A, b = design(rng, n=80, p=40, share=0.3)
    problem = problem_of(sp.csc_array(A), losses.Huber(b + 20 * np.sign(b), delta), terms.L1(0.02 * delta))
    assert not problem.smooth.loss.curvature(np.zeros(80)).any()
    assert rs.solve(problem, WorkingSet(dense=dense), stop=rs.Stop(rtol=1e-7)).success


def test_from_a_term_that_is_not_convex_to_one_that_is(rng):
    """The columns of the working set are handed on, their term is not."""
    A, b = design(rng)
    model = LinearModel(A, losses.LeastSquares(b))
    bent, plain = (CompositeProblem(smooth=model, term=term) for term in (terms.MCP(5.0), terms.L1(5.0)))
    warm = rs.solve(plain, WorkingSet(), rs.solve(bent, WorkingSet(), stop=TIGHT), stop=TIGHT)
    assert warm.success
    assert np.allclose(warm.x, rs.solve(plain, WorkingSet(), stop=TIGHT).x, atol=1e-6)
    back = rs.solve(bent, WorkingSet(), warm, stop=TIGHT)
    assert back.success
    assert not np.allclose(back.x, warm.x, atol=1e-2)


@pytest.mark.parametrize("size", [1e4, 1e7, 1e9])
def test_counts_far_from_the_start(rng, size):
    """At zero the second derivatives are those of a mean of one, and the step that they ask for is far too long."""
    A = rng.standard_normal((60, 20))
    counts = np.round(size * np.exp(0.3 * A[:, 0]))
    problem = problem_of(A, losses.Poisson(counts), terms.L1(1e-3 * size))
    assert rs.solve(problem, WorkingSet(), stop=rs.Stop(rtol=1e-8)).success


def test_two_runs_from_one_result(rng):
    """They must not write into one matrix."""
    A = rng.standard_normal((80, 200))
    model = LinearModel(A, losses.LeastSquares(A[:, :40] @ np.linspace(2, 0.5, 40) + rng.standard_normal(80)))
    weights = rng.random(200) + 0.5

    def of(weight):
        return CompositeProblem(smooth=model, term=terms.L1(weight))

    first = rs.solve(of(60.0), WorkingSet())
    one, two = rs.solve(of(20.0), WorkingSet(), first), rs.solve(of(20.0 * weights), WorkingSet(), first)
    assert not np.shares_memory(one.state.H, two.state.H)
    assert rs.solve(of(10.0), WorkingSet(), one).iterations <= rs.solve(of(10.0), WorkingSet()).iterations


@pytest.mark.parametrize("dense", [1, 600])
@pytest.mark.parametrize("name", ["huber", "squared hinge"])
def test_losses_with_kinks(name, dense):
    """Steps that cross kinks to and fro are shortened by lifted second derivatives: once more than 100 of them."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((70, 100)) * (rng.random((70, 100)) < 0.3) * 10 ** rng.uniform(-1, 1, 100)
        y = A @ (rng.standard_normal(100) * (rng.random(100) < 0.2)) + 3 * rng.standard_normal(70)
        loss = losses.Huber(y, 0.5) if name == "huber" else losses.SquaredHinge(np.sign(y))
        problem = problem_of(A, loss, terms.L1(0.3), intercept=seed % 2 == 0)
        result = rs.solve(problem, WorkingSet(dense=dense), stop=rs.Stop(rtol=1e-7, iterations=60))
        assert result.success, seed


def test_faces_are_reached_by_parts_of_steps(rng):
    """Whole Newton steps, cut where signs change, do not lower the model of many more columns than rows."""
    A = rng.standard_normal((60, 600))
    for j in range(1, 600):
        A[:, j] = 0.7 * A[:, j - 1] + np.sqrt(1 - 0.49) * A[:, j]
    b = A[:, ::30] @ rng.standard_normal(20) + 0.1 * rng.standard_normal(60)
    weight = 0.002 * np.abs(A.T @ b).max()
    for dense in (1, 600):
        result = rs.solve(problem_of(A, losses.LeastSquares(b), terms.L1(weight)), WorkingSet(dense=dense), stop=TIGHT)
        assert result.success
        assert result.iterations <= 25


@pytest.mark.parametrize("name", SEEN_TERMS)
def test_few_columns_are_answered_at_once(rng, monkeypatch, name):
    calls, found = [], "resolvent.solvers.composite.working_set.gram_answer"
    monkeypatch.setattr(found, lambda *given: calls.append(len(given)) or gram_answer(*given))
    A, b = design(rng, n=60, p=40)
    options = {"weights": rng.random(60) + 0.1, "offset": rng.random(60) / 9}
    problem = problem_of(A, losses.LeastSquares(b), SEEN_TERMS[name](40), **options)
    for start in (None, rng.random(40) / 4):
        calls.clear()
        known = rs.solve(problem.replace(), WorkingSet(first=5), stop=rs.Stop(rtol=1e-13))
        result = rs.solve(problem.replace(), WorkingSet(), start, stop=TIGHT)
        assert result.success
        assert np.allclose(result.x, known.x, atol=1e-4)
        assert len(calls) == ("free" not in name and name != "no term")
    state = rs.solve(problem.replace(), WorkingSet(), stop=rs.Stop(rtol=0, iterations=1)).state  # sweeps do not suffice
    assert rs.solve(problem, WorkingSet(), start=state, stop=TIGHT).success


@pytest.mark.parametrize("made", [15, 40])
def test_a_matrix_in_the_order_of_joining_is_used_in_that_order(rng, made):
    A, b = design(rng, n=60, p=40)
    problem = problem_of(A, losses.LeastSquares(b), terms.ElasticNet(1e-3, 1.0))
    first = rs.solve(problem, WorkingSet(first=5, growth=0.2), stop=TIGHT)
    order = first.state.members
    assert len(order) == 40
    assert order.tolist() != sorted(order.tolist())
    first.state.H, first.state.block = first.state.H[:made, :made].copy(), None
    other = problem.replace(term=terms.ElasticNet(2.0, 3.0))
    again = rs.solve(other, WorkingSet(first=5), start=first, stop=rs.Stop(rtol=1e-13))
    assert again.success
    assert again.iterations <= 3
    known = A[:, again.state.members[: len(again.state.H)]]
    assert np.allclose(again.state.H, known.T @ known)
    assert np.allclose(again.x, rs.solve(other, WorkingSet(), stop=rs.Stop(rtol=1e-13)).x, atol=1e-5)


def test_many_columns_are_never_made_one_matrix(rng):
    """Not even where a start has all of them in the working set."""
    A, b = design(rng, n=60, p=300)
    problem = problem_of(A, losses.LeastSquares(b), terms.ElasticNet(1e-6, 1.0))
    first = rs.solve(problem, WorkingSet(dense=1), stop=TIGHT)
    assert len(first.state.members) == 300
    again = rs.solve(problem.replace(term=terms.ElasticNet(1e-6, 2.0)), WorkingSet(dense=1), start=first, stop=TIGHT)
    assert again.success
    assert len(again.state.H) == 0


def test_large_and_infinite_entries(rng):
    """Norms of columns say whether entries are finite, unless these are so large that norms are not."""
    A, b = design(rng, n=8, p=5)
    A[2, 1] = 1e200
    assert problem_of(A, losses.LeastSquares(b), terms.L1(1.0)).smooth.p == 5
    for bad in (np.nan, np.inf, -np.inf):
        A[2, 1] = bad
        with pytest.raises(ProblemError, match=r"A\[2, 1\] is (nan|inf|-inf), expected finite numbers"):
            problem_of(A, losses.LeastSquares(b), terms.L1(1.0))
