"""Paths: the answers of cold solves, whichever way they are found, and results that belong to the problem given."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent.problems import Blocks, CompositeProblem, LinearModel, Quadratic, losses, terms
from resolvent.solvers import WorkingSet, path, weight_grid
from resolvent.solvers.composite import gram_path
from resolvent.solvers.stop import Status

TIGHT = rs.Stop(rtol=1e-10)
TIGHTEST = rs.Stop(rtol=1e-13)  # a gap of 1e-10 leaves more than 1e-5 in x

TERMS = {
    "l1": lambda p: terms.L1(1.0),
    "weights": lambda p: terms.L1(np.linspace(0.5, 3, p)),
    "elastic net": lambda p: terms.ElasticNet(1.0, 2.0),
    "non-negative": lambda p: terms.NonNegative(1.0),
    "box": lambda p: terms.Box(-0.5, np.linspace(0.1, 1, p), weight=1.0),
    "box without zero": lambda p: terms.Box(0.1, 1.0, weight=1.0),
    "weights of zero": lambda p: terms.L1(np.minimum(np.arange(p), 1.0)),
}


def tall(rng, term=None, n=90, p=30, **options):
    A = rng.standard_normal((n, p)) @ (np.eye(p) + 0.3)
    b = A[:, :5] @ np.array([3.0, -2.0, 1.5, -1.0, 2.5])[:p] + 0.1 * rng.standard_normal(n)
    model = LinearModel(A, losses.LeastSquares(b), **options)
    return CompositeProblem(smooth=model, term=terms.L1(1.0) if term is None else term, name="tall")


def spy(monkeypatch):
    """Return a list that fills with the numbers of answers by the matrix A^T W A that were right on A."""
    seen, true = [], gram_path._looked_at

    def looked_at(*arguments):
        states = true(*arguments)
        seen.append(sum(state.met for state in states))
        return states

    monkeypatch.setattr(gram_path, "_looked_at", looked_at)
    return seen


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("small", [0, 30])
def test_a_tall_path_is_that_of_cold_solves(rng, monkeypatch, name, weighted, small):
    monkeypatch.setattr(gram_path, "SMALL", small)
    options = {"weights": rng.integers(0, 3, 90) * 1.0, "offset": rng.random(90)} if weighted else {}
    problem, seen = tall(rng, TERMS[name](30), **options), spy(monkeypatch)
    found = path(problem, [2.0, 20.0, 0.5], stop=TIGHTEST)
    assert sum(seen) == (0 if name == "weights of zero" else 3)
    assert found.success
    for weight, x in zip(found.weights, found.x, strict=True):
        cold = rs.solve(problem.replace(term=problem.term.scaled(weight)), WorkingSet(), stop=TIGHTEST)
        assert np.allclose(x, cold.x, atol=1e-5)


def test_small_paths_need_newton_steps_for_correlated_columns_alone(rng, monkeypatch):
    steps, true = [], gram_path.gram_minimise
    monkeypatch.setattr(gram_path, "gram_minimise", lambda *rest: [steps.append(1), true(*rest)])
    A = rng.standard_normal((90, 30))
    for near in (0.0, 0.999):
        B = (1 - near) * A + near * A[:, :1]
        model = LinearModel(B, losses.LeastSquares(B[:, :5].sum(axis=1) + 0.1 * A[:, 6]))
        steps.clear()
        assert path(CompositeProblem(smooth=model, term=terms.L1(1.0))).success
        assert bool(steps) == (near > 0)


@pytest.mark.parametrize("n", [1, 5, 29])
def test_few_columns_with_fewer_rows(rng, monkeypatch, n):
    problem, seen = tall(rng, n=n), spy(monkeypatch)
    largest = problem.term.lambda_max(problem.gradient(problem.x0))
    found = path(problem, largest * np.array([0.9, 0.3, 0.05]), stop=TIGHTEST)
    assert sum(seen) >= 3
    for weight, x, result in zip(found.weights, found.x, found.results, strict=True):
        one = problem.replace(term=problem.term.scaled(weight))
        assert result.success
        assert one.residual(x) <= 1e-11 * one.scale()
        assert one.objective(x) == pytest.approx(one.objective(rs.solve(one, WorkingSet(), stop=TIGHTEST).x), rel=1e-9)


def test_a_tall_path_of_a_term_that_is_not_convex(rng):
    found = path(tall(rng, terms.MCP(1.0, 3.0)), [20.0, 2.0])
    assert found.success
    assert np.count_nonzero(found.x[0]) <= np.count_nonzero(found.x[1])


def test_results_belong_to_the_problem(rng):
    problem = tall(rng)
    found = path(problem, weight_grid(problem, 12))
    for weight, result in zip(found.weights, found.results, strict=True):
        one = problem.replace(term=terms.L1(weight))
        assert result.status is Status.CONVERGED
        assert result.problem_name == "tall"
        assert result.scale == one.scale()
        assert result.residual == pytest.approx(one.residual(*result.certificate), rel=1e-6, abs=1e-12 * result.scale)
        assert result.residual <= result.tolerance == 1e-6 * result.scale
        assert result.counts["check.columns"] >= 30
        assert result.history["residual"].tolist() == [result.residual]
        assert result.history["iterations"].tolist() == [result.iterations]
        again = rs.solve(one, WorkingSet(), resume=result.state)
        assert (again.iterations, again.status) == (result.iterations, Status.CONVERGED)
        further = rs.solve(one, WorkingSet(), result, stop=rs.Stop(rtol=1e-12))
        assert further.success
        assert np.allclose(further.x, result.x, atol=1e-2)
    assert found.results[0].counts["columns"] == 60  # the matrix, and A^T y
    assert not any("columns" in result.counts for result in found.results[1:])


def test_what_is_wrong_is_mended(rng, monkeypatch):
    problem, looks, true = tall(rng), [], gram_path._looked_at

    def spoiled(problems, X, *rest):
        if not looks:
            X[[0, 2]] *= 0.9
        states = true(problems, X, *rest)
        looks.append([state.met for state in states])
        return states

    monkeypatch.setattr(gram_path, "_looked_at", spoiled)
    found = path(problem, [2.0, 20.0, 0.5], stop=TIGHTEST)
    assert not looks[0][0]
    assert not looks[0][2]
    assert all(looks[-1])
    check_against_cold(problem, found)
    assert found.results[1].counts["columns"] == 60  # nothing was solved on A
    assert not any("columns" in found.results[at].counts for at in (0, 2))


def test_what_cannot_be_mended_is_solved_again(rng, monkeypatch):
    problem, true = tall(rng), gram_path._looked_at

    def spoiled(problems, X, *rest):
        return true(problems, 0.9 * X, *rest)

    monkeypatch.setattr(gram_path, "_looked_at", spoiled)
    found = path(problem, [2.0, 20.0, 0.5], stop=TIGHTEST)
    check_against_cold(problem, found)
    assert all(result.counts["columns"] > 0 for result in found.results)


def check_against_cold(problem, found):
    assert found.success
    for weight, x in zip(found.weights, found.x, strict=True):
        cold = rs.solve(problem.replace(term=problem.term.scaled(weight)), WorkingSet(), stop=TIGHTEST)
        assert np.allclose(x, cold.x, atol=1e-5)


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_columns_beyond_single_precision(rng, size):
    problem = tall(rng)
    model = LinearModel(problem.smooth.A * size, problem.smooth.loss)
    problem = CompositeProblem(smooth=model, term=terms.L1(size))
    found = path(problem, [20.0, 2.0], stop=rs.Stop(rtol=1e-8))
    assert found.success


def test_ctrl_c_leaves_what_is_done(rng, monkeypatch):
    problem = tall(rng)
    sparse = LinearModel(sp.csc_array(problem.smooth.A), problem.smooth.loss)
    for model, kind in ((problem.smooth, "dense"), (sparse, "sparse")):
        one, asked = CompositeProblem(smooth=model, term=terms.L1(5.0)), []
        true = CompositeProblem.scale

        def interrupting(problem, *certificate, true=true, asked=asked):
            if not asked and problem.term.weight < 3:
                asked.append(problem.term.weight)
                signal.raise_signal(signal.SIGINT)
            return true(problem, *certificate)

        with monkeypatch.context() as patch:
            patch.setattr(CompositeProblem, "scale", interrupting)
            found = path(one, [0.02, 4.0, 0.4, 0.1, 2.0])
        assert found.success, kind
        assert set(found.weights) <= {4.0, 2.0, 0.4}, kind
        assert len(found.weights) >= 2, kind
        assert found.x.shape == (len(found.weights), 30)


@pytest.mark.parametrize("kind", ["limit", "few weights", "wide", "sparse", "intercept", "single", "logistic"])
def test_other_paths_go_from_solve_to_solve(rng, monkeypatch, kind):
    problem, stop, weights = tall(rng), rs.Stop(), [20.0, 10.0]
    model, seen = problem.smooth, spy(monkeypatch)
    monkeypatch.setattr(gram_path, "SMALL", 29 if kind == "wide" else 512)
    changed = {
        "wide": lambda: LinearModel(model.A[:40], losses.LeastSquares(model.loss.targets[:40])),
        "sparse": lambda: LinearModel(sp.csc_array(model.A), model.loss),
        "intercept": lambda: LinearModel(model.A, model.loss, intercept=True),
        "single": lambda: LinearModel(model.A, model.loss, dtype=np.float32),
        "logistic": lambda: LinearModel(model.A, losses.Logistic(np.sign(model.loss.targets))),
    }
    if kind == "limit":
        stop = rs.Stop(iterations=50)
    elif kind == "few weights":
        monkeypatch.setattr(gram_path, "PAYS", 15)
    else:
        problem = CompositeProblem(smooth=changed[kind](), term=problem.term)
    found = path(problem, weights, stop=stop)
    assert found.success
    assert seen == []


@pytest.mark.parametrize(("n", "p"), [(2, 1), (9, 1), (9, 5)])
def test_tiny_and_odd_tall_paths(rng, n, p):
    A = rng.standard_normal((n, p))
    A[:, 3:] = 0
    problem = CompositeProblem(smooth=LinearModel(A, losses.LeastSquares(rng.standard_normal(n))), term=terms.L1(1.0))
    found = path(problem, stop=TIGHT)
    assert found.success
    assert not found.x[0].any()
    assert not found.x[:, 3:].any()


@pytest.mark.parametrize("kind", ["gap", "no zero", "no gap", "groups", "quadratic"])
def test_scaled_problems_are_replaced_ones(rng, kind):
    problem = tall(rng)
    changes = {
        "no zero": {"term": terms.Box(0.1, 1.0, weight=1.0)},
        "no gap": {"term": terms.MCP(1.0)},
        "groups": {"term": terms.GroupL1(Blocks.equal(30, 3))},
        "quadratic": {"smooth": Quadratic(np.eye(30), np.arange(30.0))},
    }
    problem = problem.replace(**changes.get(kind, {}))
    for factor, one in zip([2.0, 0.5], problem.scaled([2.0, 0.5]), strict=True):
        other = problem.replace(term=problem.term.scaled(factor))
        x = np.clip(rng.standard_normal(30), 0.1, 1)
        assert one.scale() == other.scale()
        assert one.residual(x) == other.residual(x)
        assert one.objective(x) == other.objective(x)
        assert one.identity() == other.identity()
        assert np.array_equal(one.blocks.indices, other.blocks.indices)
        assert one.counts is not problem.counts


@pytest.mark.parametrize("intercept", [False, True])
def test_a_path_of_groups(rng, intercept):
    A = rng.standard_normal((60, 40))
    model = LinearModel(A, losses.LeastSquares(A[:, :4].sum(axis=1) + 1), intercept=intercept)
    found = path(CompositeProblem(smooth=model, term=terms.GroupL1(Blocks.equal(40, 4), 1.0)))
    assert found.success
    assert not found.x[0].any()
    assert found.x[-1].any()
