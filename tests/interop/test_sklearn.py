"""Estimators: scikit-learn's own checks, agreement with its estimators, optimality by hand, and wrong input."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit, softmax
from sklearn import linear_model
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import resolvent as rs
from resolvent.interop import sklearn as estimators
from resolvent.interop.sklearn import (
    AdaptiveLasso,
    AdaptiveLassoCV,
    ElasticNet,
    ElasticNetCV,
    GroupLasso,
    GroupLassoCV,
    Lasso,
    LassoCV,
    MultiTaskLasso,
    MultiTaskLassoCV,
    NonNegativeLasso,
    NonNegativeLassoCV,
    SparseLogisticRegression,
    SparseLogisticRegressionCV,
)

TIGHT = 1e-12
QUICK = {"cv": 2, "alphas": 3, "eps": 0.1}
EVERY = [getattr(estimators, name) for name in estimators.__all__]
PLAIN = [kind for kind in EVERY if not kind.__name__.endswith("CV")]


def made(kind, **options):
    return kind(**(QUICK if kind.__name__.endswith("CV") else {}), **options)


def data(rng, n=60, p=25, noise=0.3):
    X = rng.standard_normal((n, p)) + np.linspace(-1, 2, p)
    return X, X[:, :4] @ np.array([2.0, -1.5, 1.0, 0.5]) + noise * rng.standard_normal(n) + 3


def answers(kind, y):
    """Return targets of the sort that an estimator asks for."""
    if kind in (MultiTaskLasso, MultiTaskLassoCV):
        return np.column_stack([y, -y + np.sin(7 * y)])
    return np.digitize(y, np.quantile(y, [0.5])) if kind.__name__.startswith("SparseLogistic") else y


# ---- scikit-learn's checks


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_scikit_learns_checks(kind):
    check_estimator(made(kind), on_skip=None)


# ---- agreement with scikit-learn

PAIRS = {
    "lasso": (Lasso(0.1), linear_model.Lasso(0.1)),
    "elastic net": (ElasticNet(0.1, l1_ratio=0.3), linear_model.ElasticNet(0.1, l1_ratio=0.3)),
    "ridge": (ElasticNet(0.1, l1_ratio=0.0), linear_model.Ridge(6.0)),
    "non-negative": (NonNegativeLasso(0.1), linear_model.Lasso(0.1, positive=True)),
    "no penalty": (Lasso(0.0), linear_model.LinearRegression()),
    "groups of one": (GroupLasso(1, 0.1), linear_model.Lasso(0.1)),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_coefficients_are_scikit_learns(rng, name, intercept, weighted):
    X, y = data(rng)
    weights = rng.integers(0, 4, 60) + 0.5 if weighted else np.ones(60)
    weights = weights * (60 / weights.sum())  # the sum with which the penalty of Ridge is 60 * 0.1
    ours, theirs = (clone(each).set_params(fit_intercept=intercept) for each in PAIRS[name])
    if "max_iter" in theirs.get_params() and name != "ridge":
        theirs.set_params(tol=TIGHT, max_iter=100_000)
    ours.set_params(tol=TIGHT).fit(X, y, sample_weight=5 * weights)
    theirs.fit(X, y, sample_weight=weights)
    assert np.allclose(ours.coef_, theirs.coef_, atol=1e-6)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-6)
    assert ours.predict(X) == pytest.approx(theirs.predict(X), abs=1e-5)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y))
    assert np.isnan(ours.dual_gap_) if name == "no penalty" else 0 <= ours.dual_gap_ <= 1e-10


@pytest.mark.parametrize("intercept", [True, False])
def test_several_tasks_are_scikit_learns(rng, intercept):
    X, y = data(rng)
    Y = answers(MultiTaskLasso, y)
    ours = MultiTaskLasso(0.2, tol=1e-10, fit_intercept=intercept).fit(X, Y)
    theirs = linear_model.MultiTaskLasso(0.2, tol=1e-10, max_iter=100_000, fit_intercept=intercept).fit(X, Y)
    assert ours.coef_.shape == (2, 25)
    assert np.allclose(ours.coef_, theirs.coef_, atol=1e-5)
    assert np.allclose(ours.intercept_, theirs.intercept_, atol=1e-5)
    assert np.allclose(ours.predict(X), theirs.predict(X), atol=1e-4)
    assert (0 < np.count_nonzero(ours.coef_.any(axis=0)) < 25) or not intercept


CV_PAIRS = {
    "lasso": (LassoCV(), linear_model.LassoCV()),
    "elastic net": (ElasticNetCV(l1_ratio=[0.3, 0.9]), linear_model.ElasticNetCV(l1_ratio=[0.3, 0.9])),
    "one ratio": (ElasticNetCV(l1_ratio=0.3), linear_model.ElasticNetCV(l1_ratio=0.3)),
    "non-negative": (NonNegativeLassoCV(), linear_model.LassoCV(positive=True)),
    "tasks": (MultiTaskLassoCV(), linear_model.MultiTaskLassoCV()),
}


@pytest.mark.parametrize("name", CV_PAIRS)
@pytest.mark.parametrize("tall", [True, False])
def test_cross_validation_is_scikit_learns(rng, name, tall):
    X, y = data(rng, n=90 if tall else 40)
    ours, theirs = (clone(each).set_params(eps=0.05, cv=3) for each in CV_PAIRS[name])
    y = answers(MultiTaskLassoCV, y) if name == "tasks" else y
    grid = "alphas" if isinstance(theirs.get_params().get("alphas"), int) else "n_alphas"  # until scikit-learn 1.9
    ours.set_params(tol=1e-9, alphas=8).fit(X, y)
    theirs.set_params(tol=1e-9, max_iter=100_000, **{grid: 8}).fit(X, y)
    assert np.allclose(ours.alphas_, theirs.alphas_, rtol=1e-6)
    assert ours.mse_path_.shape == theirs.mse_path_.shape
    assert np.allclose(ours.mse_path_, theirs.mse_path_, rtol=1e-4)
    assert ours.alpha_ == pytest.approx(theirs.alpha_)
    assert ours.alpha_1se_ >= ours.alpha_
    assert np.allclose(ours.coef_, theirs.coef_, atol=1e-4)
    if name.startswith("elastic"):
        assert ours.l1_ratio_ == theirs.l1_ratio_


def test_cross_validation_with_weights_and_alphas_of_ones_own(rng):
    X, y = data(rng)
    weights = rng.random(60) + 0.1
    options = {"alphas": [0.01, 0.3, 0.1], "cv": KFold(3)}
    ours = LassoCV(tol=TIGHT, n_jobs=2, **options).fit(X, y, sample_weight=weights)
    theirs = linear_model.LassoCV(tol=1e-10, max_iter=100_000, **options).fit(X, y, sample_weight=weights)
    assert ours.alphas_.tolist() == [0.3, 0.1, 0.01]
    assert np.allclose(ours.mse_path_, theirs.mse_path_, rtol=1e-5)
    assert np.allclose(ours.coef_, theirs.coef_, atol=1e-6)


# ---- optimality by hand


def require_optimal(gradient, coef, alpha, slack=1e-6):
    """Look at the conditions of an L1 penalty: gradient = -alpha sign(coef), or at most alpha where coef is 0."""
    assert np.allclose(gradient[coef != 0], -alpha * np.sign(coef[coef != 0]), atol=slack)
    assert (np.abs(gradient[coef == 0]) <= alpha + slack).all()


@pytest.mark.parametrize("intercept", [True, False])
def test_two_classes(rng, intercept):
    X, y = data(rng, noise=3.0)
    labels = np.array(["low", "high"])[(y > 3).astype(int)]
    weights = rng.random(60)
    model = SparseLogisticRegression(0.02, tol=1e-13, fit_intercept=intercept).fit(X, labels, weights)
    assert model.classes_.tolist() == ["high", "low"]
    probabilities = model.predict_proba(X)
    excess = weights * (probabilities[:, 1] - (labels == "low")) / weights.sum()
    require_optimal(excess @ X, model.coef_[0], 0.02)
    assert excess.sum() == pytest.approx(0, abs=1e-7) or not intercept
    assert 0 < np.count_nonzero(model.coef_) < 25
    assert np.allclose(probabilities[:, 1], expit(model.decision_function(X)))
    assert np.allclose(model.predict_log_proba(X), np.log(probabilities))
    assert (model.predict(X) == model.classes_[probabilities.argmax(axis=1)]).all()


@pytest.mark.parametrize("intercept", [True, False])
def test_three_classes(rng, intercept):
    X, y = data(rng, n=90, p=10, noise=3.0)
    labels = np.digitize(y, [1.0, 5.0]) + 5
    model = SparseLogisticRegression(0.02, tol=1e-11, fit_intercept=intercept).fit(X, labels)
    assert model.classes_.tolist() == [5, 6, 7]
    assert model.coef_.shape == (3, 10)
    assert model.intercept_.shape == (3,)
    probabilities = model.predict_proba(X)
    excess = (probabilities - (labels[:, None] == model.classes_)) / 90
    require_optimal(excess.T @ X, model.coef_, 0.02, slack=1e-5)
    assert np.allclose(excess.sum(axis=0), 0, atol=1e-6) or not intercept
    assert model.intercept_.sum() == pytest.approx(0)
    assert np.allclose(probabilities, softmax(X @ model.coef_.T + model.intercept_, axis=1))
    assert (model.predict(X) == labels).mean() > 0.5


def test_groups(rng):
    X, y = data(rng, p=9)
    groups = [[0, 4, 8], [1, 2], [3], [5, 6, 7]]
    for weights in (None, [1.0, 0.0, 2.0, 0.5]):
        model = GroupLasso(groups, 0.3, weights=weights, tol=TIGHT).fit(X, y)
        gradient = X.T @ (model.predict(X) - y) / 60
        for group, weight in zip(groups, np.sqrt([3, 2, 1, 3]) if weights is None else weights, strict=True):
            w, g = model.coef_[group], gradient[group]
            length = np.linalg.norm(w)
            assert np.linalg.norm(g) <= 0.3 * weight + 1e-6
            assert length == 0 or g == pytest.approx(-0.3 * weight * w / length, abs=1e-6)


def test_groups_by_size_by_lists_and_by_labels(rng):
    X, y = data(rng, p=5)
    by_size = GroupLasso(2, 0.3, tol=TIGHT).fit(X, y).coef_
    for groups in ([[0, 1], [2, 3], [4]], ["a", "a", "b", "b", "c"], np.array([3, 3, 7, 7, 9])):
        assert np.allclose(GroupLasso(groups, 0.3, tol=TIGHT).fit(X, y).coef_, by_size, atol=1e-7)


def test_an_adaptive_lasso_is_a_lasso_on_scaled_columns(rng):
    X, y = data(rng)
    pilot = Lasso(0.1, tol=TIGHT).fit(X, y).coef_
    scale = (np.abs(pilot) + 0.01) ** 0.5
    again = Lasso(0.1, tol=TIGHT).fit(X * scale, y)
    model = AdaptiveLasso(0.1, gamma=0.5, pilot_eps=0.01, refits=1, tol=TIGHT).fit(X, y)
    assert np.allclose(model.coef_, scale * again.coef_, atol=1e-6)
    assert AdaptiveLasso(0.1, refits=0, tol=TIGHT).fit(X, y).coef_ == pytest.approx(pilot)
    assert np.count_nonzero(AdaptiveLasso(0.1).fit(X, y).coef_) <= np.count_nonzero(pilot)


def adaptive_scores(X, y, alphas, folds, weights, **options):
    """Fit each fold at each alpha as an estimator of its own, and look at what is left of the samples held out."""
    found = np.empty((len(alphas), len(folds)))
    for at, (fitted, held) in enumerate(folds):
        for i, alpha in enumerate(alphas):
            model = AdaptiveLasso(alpha, **options).fit(X[fitted], y[fitted], sample_weight=weights[fitted])
            found[i, at] = np.average((model.predict(X[held]) - y[held]) ** 2, weights=weights[held])
    return found


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("tall", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_cross_validation_of_the_adaptive_lasso_is_a_loop_over_adaptive_lassos(rng, intercept, tall, weighted):
    X, y = data(rng, n=90 if tall else 30, noise=1.0)
    weights = rng.random(len(y)) + 0.1 if weighted else np.ones(len(y))
    options = {"gamma": 0.7, "pilot_eps": 0.05, "refits": 2, "fit_intercept": intercept, "tol": TIGHT}
    folds = list(KFold(3, shuffle=True, random_state=0).split(X))
    model = AdaptiveLassoCV(alphas=8, eps=1e-3, cv=folds, **options).fit(X, y, sample_weight=weights)
    expected = adaptive_scores(X, y, model.alphas_, folds, weights, **options)
    assert np.allclose(model.mse_path_, expected, rtol=1e-5)
    mean, at = expected.mean(axis=1), expected.mean(axis=1).argmin()
    assert 0 < at < 7
    assert model.alpha_ == model.alphas_[at]
    assert model.alpha_1se_ == model.alphas_[mean <= mean[at] + expected[at].std(ddof=1) / np.sqrt(3)].max()
    chosen = AdaptiveLasso(model.alpha_, **options).fit(X, y, sample_weight=weights)
    assert np.allclose(model.coef_, chosen.coef_)
    assert not Lasso(model.alphas_[0], fit_intercept=intercept).fit(X, y, sample_weight=weights).coef_.any()


def test_cross_validation_of_the_adaptive_lasso_without_refits_is_that_of_the_lasso(rng):
    X, y = data(rng, n=40)
    options = {"alphas": 5, "eps": 0.01, "tol": TIGHT}
    adaptive, plain = AdaptiveLassoCV(refits=0, **options).fit(X, y), LassoCV(**options).fit(X, y)
    assert np.allclose(adaptive.mse_path_, plain.mse_path_)
    assert adaptive.alpha_ == plain.alpha_
    assert np.allclose(adaptive.coef_, plain.coef_)


@pytest.mark.parametrize("kind", [LassoCV, AdaptiveLassoCV])
def test_weights_in_cross_validation_are_repeated_samples(rng, kind):
    X, y = data(rng, noise=1.0)
    times = rng.integers(0, 4, 60)
    fold, each = np.arange(60) % 3, np.repeat(np.arange(60), times)
    weighted, repeated = (
        kind(
            alphas=5, eps=0.01, tol=TIGHT, cv=[(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(3)]
        )
        for part in (fold, fold[each])
    )
    weighted.fit(X, y, sample_weight=times)
    repeated.fit(X[each], y[each])
    assert np.allclose(weighted.alphas_, repeated.alphas_)
    assert np.allclose(weighted.mse_path_, repeated.mse_path_, rtol=1e-5)
    assert np.allclose(weighted.coef_, repeated.coef_, atol=1e-6)


def test_threads_do_not_change_a_cross_validation(rng):
    X, y = data(rng)
    one, two = (AdaptiveLassoCV(alphas=10, n_jobs=jobs).fit(X, y) for jobs in (1, 2))
    assert (one.mse_path_ == two.mse_path_).all()
    assert (one.coef_ == two.coef_).all()


@pytest.mark.parametrize("kind", [LassoCV, AdaptiveLassoCV])
def test_a_fold_that_cannot_be_fitted_is_named(rng, kind):
    X, y = data(rng)
    with pytest.raises(ValueError, match="weights") as found:
        kind(cv=KFold(2), n_jobs=1).fit(X, y, sample_weight=np.arange(60) < 30)
    assert found.value.__notes__ == ["in fold 0 of 2"]


def test_cross_validation_of_groups_and_classes(rng):
    X, y = data(rng, n=120, p=6, noise=2.0)
    grouped = GroupLassoCV([[0, 1, 2], [3], [4, 5]], alphas=5, cv=3).fit(X, y)
    chosen = GroupLasso([[0, 1, 2], [3], [4, 5]], grouped.alpha_).fit(X, y)
    assert np.allclose(grouped.coef_, chosen.coef_, atol=1e-4)
    labels = y > np.median(y)
    model = SparseLogisticRegressionCV(alphas=5, cv=3).fit(X, labels)
    assert model.deviance_path_.shape == (5, 3)
    assert model.deviance_path_[0].mean() == pytest.approx(
        2 * np.log(2), rel=0.03
    )  # hardly a coefficient, equal classes
    assert model.alpha_ == model.alphas_[model.deviance_path_.mean(axis=1).argmin()]
    chosen = SparseLogisticRegression(model.alpha_).fit(X, labels)
    assert np.allclose(model.coef_, chosen.coef_, atol=1e-3)


# ---- data


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("form", ["csc", "csr", "long", "fortran", "list", "locked"])
def test_every_form_of_data_gives_the_same(rng, kind, form):
    X, y = data(rng, p=6)
    X[rng.random(X.shape) < 0.5] = 0
    y = answers(kind, y)
    long = sp.csc_array(X)
    long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
    locked = np.asfortranarray(X)
    locked.flags.writeable = False
    forms = {"csc": sp.csc_array, "csr": sp.csr_array, "fortran": np.asfortranarray, "list": np.ndarray.tolist}
    given = {"long": long, "locked": locked}.get(form)
    given = forms[form](X) if given is None else given
    expected, found = kind(0.05, tol=1e-9).fit(X, y) if kind is not GroupLasso else kind(2, 0.05).fit(X, y), None
    found = clone(expected).fit(given, y)
    assert np.allclose(found.coef_, expected.coef_, atol=1e-4)
    assert np.allclose(found.predict(given), expected.predict(X), atol=1e-3)
    assert (found.sparse_coef_.toarray() == np.atleast_2d(found.coef_)).all()


def test_wide_sparse_data_are_not_made_dense(rng):
    X = sp.random_array((50, 400_000), density=1e-4, random_state=rng, format="csr")  # 160 MB when dense
    y = rng.standard_normal(50) + 2
    model = Lasso(0.001).fit(X, y)
    assert model.intercept_ != 0
    assert model.sparse_coef_.nnz == np.count_nonzero(model.coef_) < 100


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_float32_is_kept(rng, kind):
    X, y = data(rng, p=5)
    model = made(kind).fit(X.astype(np.float32), answers(kind, y))
    assert model.coef_.dtype == np.float32
    assert np.asarray(model.intercept_).dtype == np.float32
    method = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    assert method(X.astype(np.float32)).dtype == np.float32


def test_a_mean_far_from_zero_does_not_loosen_the_tolerance(rng):
    X, y = data(rng)
    near, far = Lasso(0.1).fit(X, y), Lasso(0.1).fit(X, y + 1e6)
    assert np.allclose(near.coef_, far.coef_, atol=1e-5)
    assert far.intercept_ == pytest.approx(near.intercept_ + 1e6)


@pytest.mark.parametrize("kind", [Lasso, LassoCV, ElasticNet, NonNegativeLassoCV, AdaptiveLasso, AdaptiveLassoCV])
def test_constant_targets(rng, kind):
    X, _ = data(rng)
    model = made(kind).fit(X, np.full(60, 0.1))
    assert not model.coef_.any()
    assert model.intercept_ == pytest.approx(0.1)


def test_the_data_are_left_as_they_were(rng):
    X, y = data(rng)
    weights = rng.random(60)
    before = X.copy(), y.copy(), weights.copy()
    LassoCV(**QUICK).fit(np.asfortranarray(X), y, sample_weight=weights)
    assert all((a == b).all() for a, b in zip(before, (X, y, weights), strict=True))


# ---- life of an estimator


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.__name__)
def test_a_warm_start_at_the_answer_takes_no_work(rng, kind):
    X, y = data(rng, p=8, noise=2.0)
    y = answers(kind, y)
    model = made(kind, warm_start=True, tol=1e-7).fit(X, y)
    cold, coefficients = model.n_iter_, model.coef_.copy()
    model.fit(X, y)
    assert model.n_iter_ <= cold
    assert np.allclose(model.coef_, coefficients, atol=1e-3)
    if kind is not AdaptiveLasso:  # whose start is the pilot's
        assert model.n_iter_ == 1
    model.fit(X[:, :3], y)  # other shapes start anew
    assert model.coef_.shape[-1] == 3


def test_no_convergence_is_a_warning_with_the_gap(rng):
    X, y = data(rng, n=200, p=100, noise=1.0)
    with pytest.warns(
        ConvergenceWarning, match=r"Lasso did not converge: the duality gap is [\d.e-]+, wanted [\d.e-]+"
    ):
        model = Lasso(1e-4, tol=1e-14, max_iter=1).fit(X, y)
    assert model.dual_gap_ > 0
    for kind in (LassoCV, AdaptiveLassoCV):
        with pytest.warns(ConvergenceWarning) as found:
            kind(alphas=[1e-4, 1e-5], cv=3, tol=1e-14, max_iter=1).fit(X, y)
        assert f"{kind.__name__}: 6 of 6 fits in cross-validation did not converge" in str(found[0].message)


def test_pickles_pipelines_and_grids(rng):
    X, y = data(rng)
    pipeline = make_pipeline(StandardScaler(), Lasso())
    search = GridSearchCV(pipeline, {"lasso__alpha": [0.01, 0.1, 10.0]}, cv=3).fit(X, y)
    assert search.best_params_["lasso__alpha"] in (0.01, 0.1)
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert (again.predict(X) == search.predict(X)).all()


# ---- what is refused

WRONG = [
    (Lasso(-1.0), "alpha is -1.0, expected a number >= 0"),
    (Lasso(np.nan), "alpha is nan"),
    (Lasso(tol=-1), "tol is -1"),
    (Lasso(max_iter=0), "max_iter is 0, expected a whole number >= 1"),
    (ElasticNet(l1_ratio=1.5), r"l1_ratio is 1.5, expected a number in \[0, 1\]"),
    (ElasticNetCV(l1_ratio=[0.5, 2.0]), "l1_ratio is"),
    (ElasticNetCV(l1_ratio=[]), r"l1_ratio is \[\]"),
    (ElasticNetCV(l1_ratio=0.0), "no alpha makes all coefficients zero"),
    (AdaptiveLasso(gamma=0), "gamma is 0, expected a number > 0"),
    (AdaptiveLasso(pilot_eps=0.0), "pilot_eps is 0.0"),
    (AdaptiveLasso(refits=-1), "refits is -1"),
    (AdaptiveLassoCV(gamma=-1.0), "gamma is -1.0, expected a number > 0"),
    (AdaptiveLassoCV(pilot_eps=0), "pilot_eps is 0, expected a number > 0"),
    (AdaptiveLassoCV(refits=1.5), "refits is 1.5"),
    (AdaptiveLassoCV(eps=1.0), "^eps is 1.0, expected a number above 0 and below 1"),
    (AdaptiveLassoCV(alphas=[-1.0]), r"alphas are \[-1.0\]"),
    (LassoCV(eps=1.0), "eps is 1.0, expected a number above 0 and below 1"),
    (LassoCV(alphas=0), "alphas is 0"),
    (LassoCV(alphas=[0.1, 0.0]), r"alphas are \[0.1, 0.0\]"),
    (LassoCV(n_jobs=0), "n_jobs is 0"),
    (GroupLasso(0), "size is 0"),
    (GroupLasso("ab"), "groups is 'ab'"),
    (GroupLasso([1, 2]), "groups has 2 labels, expected 25"),
    (GroupLasso([[0, 1], [1, 2]]), "coordinate 1 is in two blocks"),
    (GroupLasso([[0, 1], [2, 3]]), "coordinate 4 is in no block"),
    (GroupLasso(5, weights=[1.0]), r"weights have shape \(1,\), expected \(5,\)"),
    (GroupLasso(25, weights=[-1.0]), "weight is"),
    (MultiTaskLasso(), "y has one response"),
]


@pytest.mark.parametrize(("model", "message"), WRONG, ids=lambda value: str(value)[:30])
def test_wrong_options_are_named(rng, model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(*data(rng))


def test_wrong_weights_are_named(rng):
    X, y = data(rng)
    with pytest.raises(ValueError, match="sample_weight has negative entries"):
        Lasso().fit(X, y, sample_weight=np.arange(60) - 1.0)
    with pytest.raises(ValueError, match="samples of one class, 1, expected at least two"):
        SparseLogisticRegression().fit(X, (y > 3).astype(int), sample_weight=(y > 3).astype(float))


# ---- the extra


def test_the_library_does_not_import_scikit_learn():
    code = "import sys, resolvent.solvers, resolvent.problems.library; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_missing_scikit_learn_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("resolvent.interop.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn.utils.validation", None)
    with pytest.raises(rs.BackendError, match=r"scikit-learn 1.6 or newer: pip install 'resolvent\[estimators\]'"):
        from resolvent.interop.sklearn import Lasso  # noqa: F401
