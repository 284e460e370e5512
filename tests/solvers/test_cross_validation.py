"""Cross-validation of paths: scores beside fits by hand, folds that share sums, threads, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent.errors import OptionError, ProblemError
from resolvent.problems import Blocks, CompositeProblem, LinearModel, Quadratic, losses, terms
from resolvent.solvers import CrossValidation, WorkingSet, cross_validate_path, weight_grid
from resolvent.solvers.composite import cross_validation

TIGHT = rs.Stop(rtol=1e-12)
LOOSE = rs.Stop(rtol=1e-4)


def data(rng, n=60, p=12):
    A = rng.standard_normal((n, p)) + 2
    return A, A[:, :3] @ np.array([2.0, -1.0, 1.0]) + 0.5 * rng.standard_normal(n) + 5


def lasso(A, y, **options):
    return CompositeProblem(smooth=LinearModel(A, losses.LeastSquares(y), **options), term=terms.L1(1.0))


def thirds(n):
    return [np.arange(at, n, 3) for at in range(3)]


def scores_by_hand(A, y, weights, folds, sample_weights=None, offset=None):
    """Fit each fold as a problem of its own, with the weight times the fold's share, and look at what is left."""
    w = np.ones(len(y)) if sample_weights is None else sample_weights
    off = np.zeros(len(y)) if offset is None else offset
    scores = np.empty((len(folds), len(weights)))
    for at, held in enumerate(folds):
        fit = np.setdiff1d(np.arange(len(y)), held)
        model = LinearModel(A[fit], losses.LeastSquares(y[fit]), weights=w[fit], offset=off[fit], intercept=True)
        for i, weight in enumerate(weights):
            term = terms.L1(weight * w[fit].sum() / w.sum())
            x, b = rs.solve(CompositeProblem(smooth=model, term=term), WorkingSet(), stop=TIGHT).x
            scores[at, i] = np.average((y[held] - off[held] - A[held] @ x - b) ** 2, weights=w[held])
    return scores


# ---- scores


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_scores_are_those_of_fits_by_hand(rng, monkeypatch, shared, weighted):
    monkeypatch.setattr(cross_validation, "TALL", 2 if shared else np.inf)
    A, y = data(rng)
    given = {"weights": rng.random(60) + 0.1, "offset": rng.standard_normal(60)} if weighted else {}
    folds, weights = thirds(60), np.array([30.0, 1.0, 5.0])
    found = cross_validate_path(lasso(A, y, intercept=True, **given), weights, folds, stop=TIGHT)
    expected = scores_by_hand(A, y, weights, folds, given.get("weights"), given.get("offset"))
    assert np.allclose(found.scores, expected, rtol=1e-7)
    assert found.unsolved == 0
    assert found.weights.tolist() == [30, 1, 5]


def test_sparse_data_have_the_scores_of_dense_data(rng):
    A, y = data(rng)
    A[rng.random(A.shape) < 0.6] = 0
    folds = thirds(60)
    dense, sparse = (
        cross_validate_path(lasso(kind, y, intercept=True), [10.0, 2.0], folds, stop=TIGHT)
        for kind in (A, sp.csc_array(A))
    )
    assert np.allclose(dense.scores, sparse.scores, rtol=1e-7)


@pytest.mark.parametrize("kind", ["logistic", "poisson", "huber", "custom"])
def test_other_losses_score_their_deviance(rng, kind):
    A, y = data(rng)
    A -= 2
    y -= 5
    counts = np.round(np.exp(y / 3))
    loss, phi, least = {
        "logistic": (losses.Logistic(np.sign(y)), lambda z, t: np.log1p(np.exp(-np.sign(t) * z)), lambda t: 0),
        "poisson": (losses.Poisson(counts), None, None),
        "huber": (losses.Huber(y, 100.0), lambda z, t: (z - t) ** 2 / 2, lambda t: 0),
        "custom": (losses.Custom(y, half_square, difference, one), lambda z, t: (z - t) ** 2 / 2, lambda t: 0),
    }[kind]
    if kind == "poisson":
        y = counts
        phi = lambda z, t: np.exp(z) - t * z  # noqa: E731
        least = lambda t: t - t * np.log(np.where(t > 0, t, 1))  # noqa: E731
    problem = CompositeProblem(smooth=LinearModel(A, loss), term=terms.L1(1.0))
    fit, held = np.arange(40), np.arange(40, 60)
    found = cross_validate_path(problem, [3.0], [held], solver=WorkingSet(), stop=rs.Stop(rtol=1e-9))
    part = LinearModel(A[fit], cross_validation._loss_of(loss, fit))
    x = rs.solve(CompositeProblem(smooth=part, term=terms.L1(2.0)), WorkingSet(), stop=rs.Stop(rtol=1e-9)).x
    assert found.scores == pytest.approx(2 * np.mean(phi(A[held] @ x, y[held]) - least(y[held])), rel=1e-4)


def half_square(z, y):
    return (z - y) ** 2 / 2


def difference(z, y):
    return z - y


def one(z, y):
    return 1.0


def test_several_terms_on_the_same_folds(rng):
    A, y = data(rng)
    model = LinearModel(A, losses.LeastSquares(y), intercept=True)
    problems = [CompositeProblem(smooth=model, term=term) for term in (terms.L1(1.0), terms.ElasticNet(0.5, 0.5))]
    weights = [[5.0, 1.0], [3.0]]
    both = cross_validation.cross_validate_paths(problems, weights, thirds(60), stop=TIGHT)
    for problem, given, found in zip(problems, weights, both, strict=True):
        alone = cross_validate_path(problem, given, thirds(60), stop=TIGHT)
        assert (alone.scores == found.scores).all()
    with pytest.raises(ProblemError, match="problems of one LinearModel"):
        cross_validation.cross_validate_paths([problems[0], lasso(A, y)], weights, 3)


# ---- folds that share sums


def test_a_fold_with_constant_and_dependent_columns(rng, monkeypatch):
    A, y = data(rng)
    A[:, 4], A[:, 5], A[:, 6] = 7.0, A[:, 0] - A[:, 1], 0.0
    A[:, 7] = 0.0
    A[::3, 7] = 1.0  # constant where the first fold fits
    A[:, 8] *= 1e-9
    problem, weights = lasso(A, y, intercept=True), np.geomspace(100, 0.1, 6)
    found = cross_validate_path(problem, weights, thirds(60), stop=rs.Stop(rtol=1e-13))
    monkeypatch.setattr(cross_validation, "TALL", np.inf)
    expected = cross_validate_path(problem, weights, thirds(60), stop=rs.Stop(rtol=1e-13))
    assert np.allclose(found.scores, expected.scores, rtol=1e-6)


def test_columns_that_are_all_constant(rng):
    problem = lasso(np.ones((30, 3)), rng.standard_normal(30), intercept=True)
    found = cross_validate_path(problem, [1.0], thirds(30), stop=rs.Stop(rtol=1e-8))
    y = problem.smooth.loss.targets
    rest = [np.delete(y, held).mean() for held in thirds(30)]
    assert found.scores[:, 0] == pytest.approx(
        [np.mean((y[held] - m) ** 2) for held, m in zip(thirds(30), rest, strict=True)]
    )


def test_columns_far_from_zero_lose_no_digits(rng, monkeypatch):
    A, y = data(rng)
    problem = lasso(A + 1e5, y + 1e5, intercept=True)
    found = cross_validate_path(problem, [10.0, 1.0], thirds(60), stop=rs.Stop(rtol=1e-12))
    expected = cross_validate_path(lasso(A, y, intercept=True), [10.0, 1.0], thirds(60), stop=TIGHT)
    assert np.allclose(found.scores, expected.scores, rtol=1e-6)


@pytest.mark.parametrize(
    ("folds", "pays"),
    [
        (thirds(60), True),
        ([(np.setdiff1d(np.arange(60), held), held) for held in thirds(60)], True),
        ([(np.arange(50), held) for held in thirds(60)], False),  # held-out samples are fitted too
        (thirds(60)[:2], False),  # some samples are never held out
        ([np.arange(40), np.arange(40, 60)], False),  # the first fold fits too few
    ],
)
def test_where_folds_share_sums(rng, folds, pays):
    model = lasso(*data(rng)).smooth
    assert cross_validation._sums_pay(model, cross_validation.splits_of(folds, 60, None)) is pays


def test_the_square_root_of_a_matrix(rng):
    B = rng.standard_normal((20, 4)) @ rng.standard_normal((4, 6)) * 10.0 ** np.arange(6)
    q = B.T @ rng.standard_normal((20, 2))
    R, b = cross_validation._square_root(B.T @ B, q, (B.T @ B).diagonal())
    assert R.shape == (4, 6)
    assert np.allclose(R.T @ R, B.T @ B, rtol=1e-9)
    assert np.allclose(R.T @ b, q, rtol=1e-9)
    assert cross_validation._square_root(np.zeros((2, 2)), np.zeros((2, 1)), np.ones(2)) is None


# ---- what is chosen


def test_best_and_one_standard_error():
    scores = np.array([[5.0, 3.0, 2.0, 2.2], [5.0, 2.2, 2.1, 2.4], [5.0, 2.6, 2.5, 2.6]])
    found = CrossValidation(np.array([4.0, 3.0, 2.0, 1.0]), scores)
    assert found.mean == pytest.approx([5, 2.6, 2.2, 2.4])
    assert found.error[2] == pytest.approx(np.std([2.0, 2.1, 2.5], ddof=1) / np.sqrt(3))
    assert (found.best, found.one_standard_error) == (2.0, 2.0)
    wide = CrossValidation(found.weights, scores + np.array([[0.0], [1.0], [2.0]]))
    assert (wide.best, wide.one_standard_error) == (2.0, 3.0)
    assert "3 folds and 4 weights: 2.2 at 2" in repr(found)


def test_of_equal_scores_the_largest_weight_is_best():
    found = CrossValidation(np.array([1.0, 3.0, 2.0]), np.ones((1, 3)))
    assert (found.best, found.one_standard_error) == (3.0, 3.0)
    assert found.error.tolist() == [0, 0, 0]


# ---- folds, threads, options


def test_random_folds_are_those_of_the_seed(rng):
    problem = lasso(*data(rng))
    first, again, other = (cross_validate_path(problem, [1.0], 4, rng=seed, stop=LOOSE) for seed in (1, 1, 2))
    assert (first.scores == again.scores).all()
    assert (first.scores != other.scores).any()
    generator = np.random.default_rng(1)
    assert (cross_validate_path(problem, [1.0], 4, rng=generator, stop=LOOSE).scores == first.scores).all()
    assert generator.random() == np.random.default_rng(1).random()


def test_random_folds_hold_each_sample_out_once():
    splits = cross_validation.splits_of(4, 10, 0)
    assert sorted(np.concatenate([held for _, held in splits]).tolist()) == list(range(10))
    assert all(sorted([*fit, *held]) == list(range(10)) for fit, held in splits)


def test_threads_find_the_same(rng):
    problem = lasso(*data(rng), intercept=True)
    alone = cross_validate_path(problem, [5.0, 1.0], 5)
    assert (cross_validate_path(problem, [5.0, 1.0], 5, workers=3).scores == alone.scores).all()
    with rs.threads(2):
        assert (cross_validate_path(problem, [5.0, 1.0], 5).scores == alone.scores).all()


def test_the_default_grid(rng):
    problem = lasso(*data(rng))
    found = cross_validate_path(problem, folds=2, stop=LOOSE)
    assert (found.weights == weight_grid(problem)).all()
    assert found.scores.shape == (2, 50)


def test_what_did_not_converge_is_counted(rng):
    problem = lasso(*data(rng), intercept=True)
    assert cross_validate_path(problem, [5.0, 1.0], 3, stop=rs.Stop(rtol=1e-12, iterations=0)).unsolved == 6


def test_the_problem_is_left_as_it_was(rng):
    A, y = data(rng)
    problem = lasso(A, y, intercept=True)
    before = A.copy(), dict(problem.counts)
    cross_validate_path(problem, [1.0], 3)
    assert (before[0] == A).all()
    assert problem.counts == before[1]


@pytest.mark.parametrize("folds", [1, 61, [], [[0, 60]], [[-1]], [[0.5]], [[]], ["a"], [np.arange(60)]])
def test_folds_that_are_none(rng, folds):
    with pytest.raises(OptionError, match="fold"):
        cross_validate_path(lasso(*data(rng)), [1.0], folds)


@pytest.mark.parametrize("weights", [[0.0], [], [-1.0], [np.inf], 1.0])
def test_weights_that_are_none(rng, weights):
    with pytest.raises(OptionError, match="expected a row of positive numbers"):
        cross_validate_path(lasso(*data(rng)), weights)


def test_workers_that_are_none(rng):
    with pytest.raises(OptionError, match="workers is 0"):
        cross_validate_path(lasso(*data(rng)), [1.0], workers=0)


def test_a_problem_without_samples():
    problem = CompositeProblem(smooth=Quadratic(np.eye(2), np.ones(2)), term=terms.Box(0, 1))
    with pytest.raises(ProblemError, match="needs problems of one LinearModel"):
        cross_validate_path(problem, [1.0])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fold_that_cannot_be_fitted_is_named(rng, workers):
    A, _ = data(rng)
    labels = np.ones(60)
    labels[:20] = -1
    model = LinearModel(A, losses.Logistic(labels), intercept=True)
    problem = CompositeProblem(smooth=model, term=terms.L1(1.0))
    with pytest.raises(ProblemError, match="all labels are the same") as error:
        cross_validate_path(problem, [1.0], [np.arange(30, 60), np.arange(20)], workers=workers)
    assert "in fold 1 of 2" in error.value.__notes__


def test_groups_and_several_responses(rng):
    A, y = data(rng)
    Y = np.column_stack([y, A[:, 1] + rng.standard_normal(60)])
    model = LinearModel(A, losses.LeastSquares(Y), intercept=True)
    problem = CompositeProblem(smooth=model, term=terms.GroupL1(Blocks.rows(12, 2)))
    found = cross_validate_path(problem, [20.0, 2.0], thirds(60), stop=rs.Stop(rtol=1e-8))
    fit, held = np.setdiff1d(np.arange(60), thirds(60)[1]), thirds(60)[1]
    part = LinearModel(A[fit], losses.LeastSquares(Y[fit]), intercept=True)
    problem = CompositeProblem(smooth=part, term=terms.GroupL1(Blocks.rows(12, 2), weight=2.0 * 2 / 3))
    x, b = rs.solve(problem, rs.solvers.BlockCoordinateDescent(), stop=rs.Stop(rtol=1e-8)).x
    assert found.scores[1, 1] == pytest.approx(np.mean((Y[held] - A[held] @ x - b) ** 2), rel=1e-3)
