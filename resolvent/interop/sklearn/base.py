"""What all estimators share: reading data, one fit at a given alpha, and cross-validation over alphas.

With weights w of the samples, all one unless given, an estimator minimises

    sum_i w_i phi(z_i, y_i) / sum_i w_i + alpha * penalty(coef),    z = X coef + intercept,

as a `CompositeProblem` with the sums for the means and ``alpha * sum_i w_i`` for alpha. A subclass names phi
(`_loss`) and the penalty (`_term`).

A fit stops at a duality gap of ``tol`` times the null deviance, twice the loss of the best constant prediction less its
infimum: for least squares sum_i w_i (y_i - mean)^2, so that tol means what it means in scikit-learn.
"""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import check_cv
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from resolvent import parallel
from resolvent.errors import OptionError, ProblemError
from resolvent.problems import CompositeProblem, LinearModel
from resolvent.problems.term_base import Term
from resolvent.problems.terms import NoTerm
from resolvent.solvers import BlockCoordinateDescent
from resolvent.solvers.base import is_number, is_whole, require
from resolvent.solvers.composite.cross_validation import CrossValidation, cross_validate_paths
from resolvent.solvers.drive import solve
from resolvent.solvers.result import Result
from resolvent.solvers.stop import Status, Stop
from resolvent.typing import Array, Point

__all__ = ["CrossValidated", "Data", "SparseModel"]


@dataclass(frozen=True, eq=False)
class Data:
    """What a fit has read.

    Attributes
    ----------
    model : LinearModel
    dtype : numpy.dtype
        Of X, and of the coefficients.
    shift : array (k,) or float
        Means of the targets, which were subtracted; belongs to the intercept.
    constant : array (k,)
        The best intercept where there are no coefficients.
    deviance : float
        Twice the loss there, less its infimum.
    labels : array (n,)
        What folds are stratified by.
    """

    model: LinearModel
    dtype: Any
    shift: Any
    constant: Array
    deviance: float
    labels: Array

    @property
    def total(self) -> float:
        """The sum of the weights of the samples."""
        return self.model.total_weight

    def start(self) -> Point:
        """Return coefficients of zero, with the intercept that is best then."""
        zero = np.zeros(self.model.shape, self.model.dtype)
        return (zero, self.constant.copy()) if self.model.intercept else zero


class SparseModel(BaseEstimator):  # type: ignore[misc]
    """The base of all estimators."""

    several: ClassVar[bool] = False
    """Whether there are several responses."""

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        warm_start: bool = False,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    # ---- what a subclass says

    @abstractmethod
    def _targets(self, y: Array, weights: Array | None) -> tuple[Any, Any, Array]:
        """Return the loss, what was subtracted from its targets, and the best constant prediction (k,)."""

    @abstractmethod
    def _term(self, shape: tuple[int, ...]) -> Term:
        """Return the penalty for coefficients of this shape, (p,) or (p, k)."""

    def _check_options(self) -> None:
        for name in ("alpha", "tol"):
            value = getattr(self, name, 0)
            known = value == 0 or is_number(value, above=0)
            require(known and not isinstance(value, bool), name, value, "a number >= 0")
        require(is_whole(self.max_iter, least=1), "max_iter", self.max_iter, "a whole number >= 1")

    # ---- fit

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the coefficients.

        Parameters
        ----------
        X : array_like or sparse (n, p)
            Dense in Fortran order, or CSC, of float32 or float64: used as it is; else copied.
        y : array_like (n,), or (n, k) for several responses
        sample_weight : float or array_like (n,), optional
            >= 0. Only ratios matter.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data that is no matrix of finite numbers, does not fit, or asks for an intercept without an optimum.
        """
        self._check_options()
        self._fit(self._read(X, y, sample_weight))
        return self

    def _fit(self, data: Data) -> None:
        self._keep(data, self._solve(data, self.alpha), self.alpha)

    def _read(self, X: Any, y: Any, sample_weight: Any) -> Data:
        checks = {"y_numeric": not is_classifier(self), "multi_output": self.several}
        X, y = validate_data(self, X, y, accept_sparse="csc", dtype=[np.float64, np.float32], order="F", **checks)
        y = y.toarray() if sp.issparse(y) else y
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
            weights = None if (weights == weights[0]).all() and weights[0] > 0 else weights
        if weights is not None and (weights.min() < 0 or weights.sum() <= 0):
            raise ProblemError("sample_weight has negative entries or sums to zero, expected numbers >= 0")
        loss, shift, constant = self._targets(y, weights)
        # in float64: the usual tolerance is near the rounding of float32
        intercept = bool(self.fit_intercept)
        model = LinearModel(_writeable(X), loss, weights=weights, intercept=intercept, dtype=np.float64)
        z = np.tile(constant, (model.n, 1)).reshape(loss.shape)
        deviance = 2 * model.loss.gap(z, np.zeros_like(z), model.weights)
        return Data(model, X.dtype, shift, constant, deviance, y)

    def _problem(self, data: Data, term: Term, start: Point = None) -> CompositeProblem:
        return CompositeProblem(smooth=data.model, term=term, x0=data.start() if start is None else start)

    def _solve(self, data: Data, alpha: float) -> Result:
        """Return the fit at alpha."""
        start = self._last(data) if getattr(self, "warm_start", False) else None
        return self._run(data, self._term(data.model.shape).scaled(alpha * data.total) if alpha else NoTerm(), start)

    def _run(self, data: Data, term: Term, start: Point = None) -> Result:
        problem = self._problem(data, term, start)
        result = solve(problem, BlockCoordinateDescent(), stop=self._stop(problem, data))
        if result.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        if not result.success:
            self._warn(result, data)
        return result

    def _stop(self, problem: CompositeProblem, data: Data) -> Stop:
        if problem.has_gap:
            return Stop(atol=self.tol * data.deviance, iterations=self.max_iter)
        return Stop(rtol=self.tol, iterations=self.max_iter)

    def _warn(self, result: Result, data: Data) -> None:
        reached = result.residual / data.total if result.residual is not None else np.nan
        wanted = self.tol * data.deviance / data.total
        warnings.warn(
            f"{type(self).__name__} did not converge: the duality gap is {reached:.3g}, wanted {wanted:.3g} ("
            f"{result.message}). A larger max_iter, scaled columns or a larger tol may help.",
            ConvergenceWarning,
            stacklevel=6,
        )

    def _last(self, data: Data) -> Point:
        """Return the coefficients of the last fit as a start, None where there are none of this shape."""
        coefficients = getattr(self, "coef_", None)
        if coefficients is None or coefficients.T.reshape(-1).shape != (int(np.prod(data.model.shape)),):
            return None
        w = np.array(coefficients.T.reshape(data.model.shape), dtype=data.model.dtype)
        if not data.model.intercept:
            return w
        intercept = np.atleast_1d(np.asarray(self.intercept_ - data.shift, data.model.dtype))
        return (w, intercept) if intercept.shape == data.constant.shape else None

    def _keep(self, data: Data, result: Result, alpha: float) -> None:
        """Write the attributes of a fit."""
        w, intercept = result.x if data.model.intercept else (result.x, np.zeros(len(data.constant), data.model.dtype))
        self.coef_, self.intercept_ = self._shaped(w.astype(data.dtype), (intercept + data.shift).astype(data.dtype))
        self.n_iter_ = max(1, result.iterations)  # to look at the start is one
        self.dual_gap_ = result.residual / data.total if alpha and result.residual is not None else np.nan

    def _shaped(self, w: Array, intercept: Array) -> tuple[Array, Any]:
        """Return coef_ and intercept_."""
        return (w.T, intercept) if w.ndim > 1 else (w, intercept[0])

    # ---- predict

    def _linear(self, X: Any) -> Array:
        """Return X coef + intercept, (n,) or (n, k)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=[np.float64, np.float32], reset=False)
        found: Array = safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_
        return found

    @property
    def sparse_coef_(self) -> Any:
        """The coefficients as a CSR array, (1, p) or (k, p)."""
        return sp.csr_array(np.atleast_2d(self.coef_))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.single_output = not self.several
        tags.target_tags.multi_output = self.several
        return tags


class CrossValidated(SparseModel):
    """A fit at the alpha that is best in cross-validation."""

    path_name: ClassVar[str] = "mse_path_"
    """The attribute with the scores."""

    def __init__(
        self,
        *,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        cv: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.cv = cv
        self.n_jobs = n_jobs

    def _check_options(self) -> None:
        super()._check_options()
        require(is_number(self.eps, above=0) and self.eps < 1, "eps", self.eps, "a number above 0 and below 1")
        if isinstance(self.alphas, int | np.integer):
            require(is_whole(self.alphas, least=1), "alphas", self.alphas, "a whole number >= 1, or positive numbers")
        jobs = self.n_jobs
        require(jobs is None or (is_whole(jobs, least=-1024) and jobs != 0), "n_jobs", jobs, "a whole number, or None")

    def _fit(self, data: Data) -> None:
        alphas, found = self._cross_validate(data, [self._term(data.model.shape)])
        self._choose(alphas[0], found[0])
        self._keep(data, self._solve(data, self.alpha_), self.alpha_)

    def _cross_validate(self, data: Data, terms: list[Term]) -> tuple[list[Array], list[CrossValidation]]:
        """Return alphas and scores for each term."""
        problems = [self._problem(data, term) for term in terms]
        alphas = [self._grid(data, problem) for problem in problems]
        splits = check_cv(self.cv, data.labels, classifier=is_classifier(self))
        folds = list(splits.split(np.zeros((data.model.n, 1)), data.labels))
        weights = [grid * data.total for grid in alphas]
        found = self._on_folds(problems, weights, folds, self._stop(problems[0], data))
        unsolved = sum(one.unsolved for one in found)
        if unsolved:
            warnings.warn(
                f"{type(self).__name__}: {unsolved} of {sum(one.scores.size for one in found)} fits in "
                "cross-validation did not converge. A larger max_iter, scaled columns or a larger tol may help.",
                ConvergenceWarning,
                stacklevel=5,
            )
        return alphas, found

    def _on_folds(
        self, problems: list[CompositeProblem], weights: list[Array], folds: list[Any], stop: Stop
    ) -> list[CrossValidation]:
        """Return the scores of the multiples of each problem's term."""
        return cross_validate_paths(problems, weights, folds, stop=stop, workers=self._workers())

    def _choose(self, alphas: Array, found: CrossValidation) -> None:
        """Write the attributes of a cross-validation."""
        self.alphas_ = alphas
        setattr(self, self.path_name, found.scores.T)
        self.alpha_ = float(alphas[found.weights == found.best][0])
        self.alpha_1se_ = float(alphas[found.weights == found.one_standard_error][0])

    def _grid(self, data: Data, problem: CompositeProblem) -> Array:
        """Return the alphas, from the largest to the smallest."""
        if not isinstance(self.alphas, int | np.integer):
            given = np.asarray(self.alphas, dtype=np.float64)
            if given.ndim != 1 or not len(given) or not (np.isfinite(given) & (given > 0)).all():
                raise OptionError(f"alphas are {self.alphas!r}, expected a whole number >= 1, or positive numbers")
            return np.sort(given)[::-1].copy()
        gradient = problem.gradient(problem.x0)
        largest = problem.term.lambda_max(gradient[0] if problem.intercept else gradient) / data.total
        if not largest < np.inf:
            raise OptionError("no alpha makes all coefficients zero, so that there is no grid; give the alphas")
        largest = max(largest, self._least(data, problem))
        return np.geomspace(largest, self.eps * largest, int(self.alphas))

    def _least(self, data: Data, problem: CompositeProblem) -> float:
        """Return an alpha above rounding, for data in which the coefficients are zero at every alpha."""
        slope = data.model.derivative(problem.predict(problem.x0))
        return 1e-6 * float(data.model.lengths.max() * np.linalg.norm(slope)) / data.total or 1.0

    def _workers(self) -> int:
        if self.n_jobs is None:
            return parallel.num_threads()
        return self.n_jobs if self.n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + self.n_jobs)


def _writeable(X: Any) -> Any:
    """Return X, copied where it is locked: Numba compiles anew for arrays that are."""
    if sp.issparse(X):
        locked = not all(part.flags.writeable for part in (X.data, X.indices, X.indptr))
    else:
        locked = not X.flags.writeable
    return X.copy() if locked else X
