"""Logistic regression with an L1 penalty."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from resolvent.errors import ProblemError
from resolvent.interop.sklearn.base import CrossValidated, SparseModel
from resolvent.problems import losses, terms
from resolvent.problems.term_base import Term
from resolvent.typing import Array

__all__ = ["SparseLogisticRegression", "SparseLogisticRegressionCV"]


class SparseLogisticRegression(ClassifierMixin, SparseModel):  # type: ignore[misc]
    """Logistic regression with an L1 penalty: ``mean of log(1 + exp(-y (X coef + intercept))) + alpha norm1(coef)``.

    More than two classes have a coefficient each, with the softmax loss ``mean of log sum_c exp(z_c) - z_y``. In
    scikit-learn's terms it is ``LogisticRegression(l1_ratio=1, C=1 / (n alpha))``.

    Parameters
    ----------
    alpha : float
        >= 0. For two classes of equal size and columns of variance one, 1/2 makes all coefficients zero.
    fit_intercept : bool
    tol : float
        Stop at a duality gap of tol times the null deviance, that of the frequencies of the classes, as a mean.
    max_iter : int
        Steps of the working set, of which few are needed.
    warm_start : bool
        Whether a fit starts from the coefficients of the last one.

    Attributes
    ----------
    classes_ : array (k,)
    coef_ : array (1, p) for two classes, (k, p) for more
    sparse_coef_ : CSR array (1, p) or (k, p)
    intercept_ : array (1,) or (k,)
    n_iter_ : int
    dual_gap_ : float
        The duality gap of the objective above: how far it can be from the optimum. nan for alpha = 0.
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.interop.sklearn import SparseLogisticRegression
    >>> X = np.random.default_rng(0).standard_normal((200, 10))
    >>> model = SparseLogisticRegression(alpha=0.1).fit(X, np.where(X[:, 3] > 0, "up", "down"))
    >>> np.flatnonzero(model.coef_).tolist(), model.predict(X[:3] + 5).tolist()
    ([3], ['up', 'up', 'up'])
    """

    def __init__(
        self,
        alpha: float = 0.01,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        warm_start: bool = False,
    ) -> None:
        super().__init__(alpha, fit_intercept=fit_intercept, tol=tol, max_iter=max_iter, warm_start=warm_start)

    def _targets(self, y: Array, weights: Array | None) -> tuple[Any, Any, Array]:
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        sizes = np.bincount(labels, weights, len(self.classes_))
        if np.count_nonzero(sizes) < 2:
            one = self.classes_[int(np.argmax(sizes))]
            raise ProblemError(f"y has samples of one class, {one}, expected at least two classes")
        two = len(sizes) == 2
        if not self.fit_intercept:
            constant = np.zeros(1 if two else len(sizes))
        else:
            logs = np.log(np.maximum(sizes, np.finfo(float).tiny))
            constant = np.diff(logs) if two else logs - logs.mean()
        loss = losses.Logistic(2.0 * labels - 1) if two else losses.Softmax(labels, classes=len(sizes))
        return loss, 0.0, constant

    def _term(self, shape: tuple[int, ...]) -> Term:
        return terms.L1(1.0)

    def _shaped(self, w: Array, intercept: Array) -> tuple[Array, Array]:
        if w.ndim == 1:
            return w[None], intercept
        return w.T, intercept - intercept.mean()  # the softmax does not see a number added to all

    # ---- predict

    def decision_function(self, X: Any) -> Array:
        """Return the log-odds of the second class (n,), or a score for each of more classes (n, k)."""
        z = self._linear(X)
        return z[:, 0] if z.shape[1] == 1 else z

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the classes, (n, k)."""
        z = self.decision_function(X)
        found: Array = np.column_stack([expit(-z), expit(z)]) if z.ndim == 1 else softmax(z, axis=1)
        return found

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities, (n, k)."""
        return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """Return the most likely classes, (n,)."""
        z = self.decision_function(X)
        found: Array = self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]
        return found


class SparseLogisticRegressionCV(CrossValidated, SparseLogisticRegression):
    """`SparseLogisticRegression` at the alpha with the lowest deviance in cross-validation.

    Parameters
    ----------
    eps : float
        The smallest alpha of the grid, as a part of the largest, at which all coefficients are zero.
    alphas : int or array_like
        The length of the grid, or the alphas.
    fit_intercept, tol, max_iter
        As for `SparseLogisticRegression`.
    cv : int, splitter or iterable, optional
        As for scikit-learn; default five folds in which classes have the same shares.
    n_jobs : int, optional
        Folds at a time, in threads; -1 for as many as there are processors, default `resolvent.num_threads`.

    Attributes
    ----------
    alpha_ : float
    alpha_1se_ : float
        The largest alpha whose mean deviance is within a standard error of the lowest.
    alphas_ : array (alphas,)
        From the largest to the smallest.
    deviance_path_ : array (alphas, folds)
        Twice the mean of minus the logarithm of the probability of the class.
    classes_, coef_, sparse_coef_, intercept_, n_iter_, dual_gap_, n_features_in_, feature_names_in_
        As for `SparseLogisticRegression`, at ``alpha_``.
    """

    path_name: ClassVar[str] = "deviance_path_"
