"""Least squares with a penalty: the lasso and its relatives."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin

from resolvent.errors import OptionError, ProblemError
from resolvent.interop.sklearn.base import CrossValidated, Data, SparseModel
from resolvent.problems import Blocks, losses, terms
from resolvent.problems.term_base import Term
from resolvent.solvers.base import is_number, require
from resolvent.typing import Array

__all__ = [
    "ElasticNet",
    "ElasticNetCV",
    "GroupLasso",
    "GroupLassoCV",
    "Lasso",
    "LassoCV",
    "LeastSquaresModel",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "NonNegativeLasso",
    "NonNegativeLassoCV",
]


class LeastSquaresModel(RegressorMixin, SparseModel):  # type: ignore[misc]
    """Least squares with a penalty. The mean of the targets is taken off, so that tolerances are relative to what is
    left."""

    def _targets(self, y: Array, weights: Array | None) -> tuple[Any, Any, Array]:
        y = y.astype(np.float64)
        columns = y.shape[1] if y.ndim > 1 else 1
        if not self.fit_intercept:
            return losses.LeastSquares(y), 0.0, np.zeros(columns)
        mean = np.average(y, axis=0, weights=weights)
        y = y - mean
        y[np.abs(y) <= 8 * np.finfo(np.float64).eps * np.abs(mean)] = 0  # what is constant, is so exactly
        return losses.LeastSquares(y), mean, np.zeros(columns)

    def predict(self, X: Any) -> Array:
        """Return X coef + intercept, (n,), or (n, k) for several responses."""
        return self._linear(X)


class Lasso(LeastSquaresModel):
    """The lasso: ``norm2(y - X coef - intercept)^2 / (2 n) + alpha norm1(coef)``.

    Parameters
    ----------
    alpha : float
        >= 0; 0 is least squares without a penalty.
    fit_intercept : bool
    tol : float
        Stop at a duality gap of tol times ``norm2(y - mean)^2 / n``.
    max_iter : int
        Steps of the working set, of which few are needed: not passes over the coefficients.
    warm_start : bool
        Whether a fit starts from the coefficients of the last one.

    Attributes
    ----------
    coef_ : array (p,)
    sparse_coef_ : CSR array (1, p)
    intercept_ : float
    n_iter_ : int
    dual_gap_ : float
        The duality gap of the objective above: how far it can be from the optimum. nan for alpha = 0.
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.interop.sklearn import Lasso
    >>> X = np.random.default_rng(0).standard_normal((50, 100))
    >>> model = Lasso(alpha=0.1).fit(X, X[:, 0] - 2 * X[:, 1] + 3)
    >>> np.flatnonzero(np.abs(model.coef_) > 0.5).tolist(), round(float(model.intercept_), 1)
    ([0, 1], 3.0)
    """

    def _term(self, shape: tuple[int, ...]) -> Term:
        return terms.L1(1.0)


class ElasticNet(LeastSquaresModel):
    """The elastic net: the `Lasso` with ``alpha (l1_ratio norm1(coef) + (1 - l1_ratio) norm2(coef)^2 / 2)``.

    Parameters
    ----------
    alpha : float
    l1_ratio : float
        In [0, 1]; 1 is the lasso, 0 ridge regression.
    fit_intercept, tol, max_iter, warm_start
        As for `Lasso`, and so are the attributes.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        warm_start: bool = False,
    ) -> None:
        self.l1_ratio = l1_ratio
        super().__init__(alpha, fit_intercept=fit_intercept, tol=tol, max_iter=max_iter, warm_start=warm_start)

    def _check_options(self) -> None:
        super()._check_options()
        _require_ratio(self.l1_ratio)

    def _term(self, shape: tuple[int, ...]) -> Term:
        return _elastic(self.l1_ratio)


class NonNegativeLasso(LeastSquaresModel):
    """The lasso with coefficients >= 0: scikit-learn's ``Lasso(positive=True)``.

    Parameters
    ----------
    alpha, fit_intercept, tol, max_iter, warm_start
        As for `Lasso`, and so are the attributes.
    """

    def _term(self, shape: tuple[int, ...]) -> Term:
        return terms.NonNegative(1.0)


class GroupLasso(LeastSquaresModel):
    """The group lasso: the `Lasso` with ``alpha sum_g weights_g norm2(coef_g)``.

    Parameters
    ----------
    groups : int or array_like
        A size, for groups of consecutive features; a list of lists of features; or a label for each feature. Groups
        are disjoint and have every feature.
    alpha : float
    weights : array_like (groups,), optional
        >= 0; for labels in their sorted order. Default: square roots of the sizes.
    fit_intercept, tol, max_iter, warm_start
        As for `Lasso`, and so are the attributes.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.interop.sklearn import GroupLasso
    >>> X = np.random.default_rng(0).standard_normal((50, 6))
    >>> model = GroupLasso([[0, 1], [2, 3, 4], [5]], alpha=0.2).fit(X, X[:, 2] - X[:, 4])
    >>> (model.coef_ != 0).tolist()
    [False, False, True, True, True, False]
    """

    def __init__(
        self,
        groups: Any = 1,
        alpha: float = 1.0,
        *,
        weights: Any = None,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        warm_start: bool = False,
    ) -> None:
        self.groups = groups
        self.weights = weights
        super().__init__(alpha, fit_intercept=fit_intercept, tol=tol, max_iter=max_iter, warm_start=warm_start)

    def _term(self, shape: tuple[int, ...]) -> Term:
        return _groups(self.groups, self.weights, shape[0])


class MultiTaskLasso(LeastSquaresModel):
    """The lasso for several responses: ``norm(Y - X W - intercept)^2 / (2 n) + alpha sum_j norm2(W_j)``.

    A feature is in the model of all responses or of none: the penalty is the sum of norms of the rows of W.

    Parameters
    ----------
    alpha, fit_intercept, tol, max_iter, warm_start
        As for `Lasso`.

    Attributes
    ----------
    coef_ : array (k, p)
        The transpose of W.
    sparse_coef_ : CSR array (k, p)
    intercept_ : array (k,)
    n_iter_, dual_gap_, n_features_in_, feature_names_in_
        As for `Lasso`.
    """

    several: ClassVar[bool] = True

    def _targets(self, y: Array, weights: Array | None) -> tuple[Any, Any, Array]:
        if y.ndim == 1:
            raise ProblemError("y has one response, shape (n,), expected (n, k); Lasso is for one response")
        return super()._targets(y, weights)

    def _term(self, shape: tuple[int, ...]) -> Term:
        return terms.GroupL1(Blocks.rows(*shape), weight=np.ones(shape[0]))


# ---- cross-validation


class LassoCV(CrossValidated, Lasso):
    """The `Lasso` at the alpha with the lowest mean squared error in cross-validation.

    Parameters
    ----------
    eps : float
        The smallest alpha of the grid, as a part of the largest, at which all coefficients are zero.
    alphas : int or array_like
        The length of the grid, or the alphas.
    fit_intercept, tol, max_iter
        As for `Lasso`.
    cv : int, splitter or iterable, optional
        As for scikit-learn; default five folds.
    n_jobs : int, optional
        Folds at a time, in threads; -1 for as many as there are processors, default `resolvent.num_threads`.

    Attributes
    ----------
    alpha_ : float
    alpha_1se_ : float
        The largest alpha whose mean error is within a standard error of the lowest.
    alphas_ : array (alphas,)
        From the largest to the smallest.
    mse_path_ : array (alphas, folds)
    coef_, sparse_coef_, intercept_, n_iter_, dual_gap_, n_features_in_, feature_names_in_
        As for `Lasso`, at ``alpha_``.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.interop.sklearn import LassoCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 20))
    >>> model = LassoCV().fit(X, X[:, 0] - X[:, 1] + 0.5 * rng.standard_normal(100))
    >>> model.mse_path_.shape, bool(model.alpha_ < model.alpha_1se_)
    ((100, 5), True)
    """


class ElasticNetCV(CrossValidated, LeastSquaresModel):
    """The `ElasticNet` at the alpha and l1_ratio with the lowest mean squared error in cross-validation.

    Parameters
    ----------
    l1_ratio : float or list of float
        In (0, 1], 0 too where alphas are given. The folds are made once for all.
    eps, alphas, fit_intercept, tol, max_iter, cv, n_jobs
        As for `LassoCV`.

    Attributes
    ----------
    l1_ratio_ : float
    alphas_ : array (alphas,), or (l1_ratios, alphas) where several l1_ratio have a grid each
    mse_path_ : array (alphas, folds), or (l1_ratios, alphas, folds)
    alpha_, alpha_1se_
        As for `LassoCV`, at ``l1_ratio_``; and so are the others.
    """

    def __init__(
        self,
        *,
        l1_ratio: Any = 0.5,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        cv: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.l1_ratio = l1_ratio
        super().__init__(
            eps=eps, alphas=alphas, fit_intercept=fit_intercept, tol=tol, max_iter=max_iter, cv=cv, n_jobs=n_jobs
        )

    def _check_options(self) -> None:
        super()._check_options()
        if np.ndim(self.l1_ratio) > 1 or not np.size(self.l1_ratio):
            raise OptionError(f"l1_ratio is {self.l1_ratio!r}, expected a number or a list of them")
        for ratio in np.atleast_1d(np.asarray(self.l1_ratio)):
            _require_ratio(ratio)

    def _term(self, shape: tuple[int, ...]) -> Term:
        return _elastic(self.l1_ratio_)

    def _fit(self, data: Data) -> None:
        ratios = [float(ratio) for ratio in np.atleast_1d(self.l1_ratio)]
        alphas, found = self._cross_validate(data, [_elastic(ratio) for ratio in ratios])
        best = int(np.argmin([one.mean.min() for one in found]))
        self.l1_ratio_ = ratios[best]
        self._choose(alphas[best], found[best])
        if len(ratios) > 1:
            self.mse_path_ = np.array([one.scores.T for one in found])
            self.alphas_ = np.array(alphas) if isinstance(self.alphas, int | np.integer) else alphas[0]
        self._keep(data, self._solve(data, self.alpha_), self.alpha_)


class NonNegativeLassoCV(CrossValidated, NonNegativeLasso):
    """The `NonNegativeLasso` at the alpha with the lowest mean squared error in cross-validation.

    Parameters
    ----------
    eps, alphas, fit_intercept, tol, max_iter, cv, n_jobs
        As for `LassoCV`, and so are the attributes.
    """


class GroupLassoCV(CrossValidated, GroupLasso):
    """The `GroupLasso` at the alpha with the lowest mean squared error in cross-validation.

    Parameters
    ----------
    groups, weights
        As for `GroupLasso`.
    eps, alphas, fit_intercept, tol, max_iter, cv, n_jobs
        As for `LassoCV`, and so are the attributes.
    """

    def __init__(
        self,
        groups: Any = 1,
        *,
        weights: Any = None,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        cv: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.groups = groups
        self.weights = weights
        super().__init__(
            eps=eps, alphas=alphas, fit_intercept=fit_intercept, tol=tol, max_iter=max_iter, cv=cv, n_jobs=n_jobs
        )


class MultiTaskLassoCV(CrossValidated, MultiTaskLasso):
    """The `MultiTaskLasso` at the alpha with the lowest mean squared error in cross-validation.

    Parameters
    ----------
    eps, alphas, fit_intercept, tol, max_iter, cv, n_jobs
        As for `LassoCV`, and so are the attributes, with ``coef_`` and ``intercept_`` of `MultiTaskLasso`.
    """


# ---- penalties


def _require_ratio(ratio: Any) -> None:
    known = ratio == 0 or (is_number(ratio, above=0) and ratio <= 1)
    require(known and not isinstance(ratio, bool), "l1_ratio", ratio, "a number in [0, 1]")


def _elastic(ratio: float) -> Term:
    return terms.ElasticNet(float(ratio), 1.0 - float(ratio))


def _groups(groups: Any, weights: Any, p: int) -> Term:
    """Return the penalty of groups given by a size, by lists of features or by a label for each feature."""
    if isinstance(groups, int | np.integer) and not isinstance(groups, bool):
        blocks = Blocks.equal(p, int(groups))
    else:
        listed = list(groups) if np.iterable(groups) and not isinstance(groups, str) else []
        if not listed:
            raise OptionError(f"groups is {groups!r}, expected a size, lists of features, or a label for each feature")
        blocks = Blocks.of(listed if np.ndim(listed[0]) == 1 else _labelled(listed, p))
    blocks.require_cover(p)
    if weights is None:
        return terms.GroupL1(blocks, weight=np.sqrt(blocks.sizes))
    given = np.asarray(weights)
    if given.shape != (len(blocks),):
        raise OptionError(f"weights have shape {given.shape}, expected ({len(blocks)},), one for each group")
    return terms.GroupL1(blocks, weight=given)


def _labelled(labels: list[Any], p: int) -> list[Array]:
    if len(labels) != p:
        raise OptionError(f"groups has {len(labels)} labels, expected {p}, one for each feature")
    _, numbers = np.unique(np.asarray(labels), return_inverse=True)
    return [np.flatnonzero(numbers == b) for b in range(int(numbers.max()) + 1)]
