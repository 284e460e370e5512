"""The adaptive lasso: refits with weights from the fit before, also within the folds of a cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np

from resolvent.interop.sklearn.base import CrossValidated, Data
from resolvent.interop.sklearn.regression import LeastSquaresModel
from resolvent.problems import CompositeProblem, terms
from resolvent.problems.term_base import Term
from resolvent.solvers import BlockCoordinateDescent
from resolvent.solvers.base import is_number, is_whole, require
from resolvent.solvers.composite.cross_validation import CrossValidation, Fold, each_of, fold_maker, splits_of
from resolvent.solvers.drive import solve
from resolvent.solvers.result import Result
from resolvent.solvers.stop import Status, Stop
from resolvent.typing import Array, Point

__all__ = ["AdaptiveLasso", "AdaptiveLassoCV"]


class AdaptiveLasso(LeastSquaresModel):
    """The lasso with weights from a fit before: ``alpha sum_j abs(coef_j) / (abs(pilot_j) + pilot_eps)^gamma``.

    The pilot is the `Lasso` at the same alpha, then the fit before: refits times in all (Zou, JASA 101 (2006) 1418;
    Candes, Wakin and Boyd, J. Fourier Anal. Appl. 14 (2008) 877). Large coefficients are shrunk less than by the lasso.

    Parameters
    ----------
    alpha : float
    gamma : float
        > 0.
    pilot_eps : float
        > 0, of the size of coefficients that are noise: those of zero get the weight ``pilot_eps^-gamma``.
    refits : int
        >= 0; 0 is the lasso.
    fit_intercept, tol, max_iter, warm_start
        As for `Lasso`, and so are the attributes; the gap is that of the last fit.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        gamma: float = 1.0,
        pilot_eps: float = 1e-3,
        refits: int = 3,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        warm_start: bool = False,
    ) -> None:
        self.gamma = gamma
        self.pilot_eps = pilot_eps
        self.refits = refits
        super().__init__(alpha, fit_intercept=fit_intercept, tol=tol, max_iter=max_iter, warm_start=warm_start)

    def _check_options(self) -> None:
        super()._check_options()
        for name in ("gamma", "pilot_eps"):
            require(is_number(getattr(self, name), above=0), name, getattr(self, name), "a number > 0")
        require(is_whole(self.refits, least=0), "refits", self.refits, "a whole number >= 0")

    def _term(self, shape: tuple[int, ...]) -> Term:
        return terms.L1(1.0)

    def _solve(self, data: Data, alpha: float) -> Result:
        result = super()._solve(data, alpha)
        for _ in range(self.refits if alpha else 0):
            result = self._run(data, self._reweighted(alpha * data.total, result.x), result.x)
        return result

    def _reweighted(self, weight: float, x: Point) -> Term:
        """Return the penalty of the fit after the one with the answer x."""
        w = x[0] if isinstance(x, tuple) else x
        return terms.L1(weight * (np.abs(w) + self.pilot_eps) ** -self.gamma)


class AdaptiveLassoCV(CrossValidated, AdaptiveLasso):
    """The `AdaptiveLasso` at the alpha with the lowest mean squared error in cross-validation.

    In each fold, and for each alpha, the pilot and the refits see the samples that are fitted and no others: the score
    is that of an `AdaptiveLasso` at this alpha, the `Lasso` at the same alpha being its pilot. It costs ``refits + 1``
    paths of the lasso.

    Parameters
    ----------
    gamma, pilot_eps, refits
        As for `AdaptiveLasso`.
    eps : float
        The smallest alpha of the grid, as a part of the largest, at which the pilot has no coefficients. Less than for
        the lasso: coefficients below one have weights above one, so that the best alpha is smaller.
    alphas, fit_intercept, tol, max_iter, cv, n_jobs
        As for `LassoCV`, and so are the attributes; the gap is that of the last fit.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.interop.sklearn import AdaptiveLassoCV, LassoCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 20))
    >>> y = X[:, 0] - X[:, 1] + 0.5 * rng.standard_normal(100)
    >>> np.flatnonzero(AdaptiveLassoCV().fit(X, y).coef_).tolist(), np.flatnonzero(LassoCV().fit(X, y).coef_).size > 2
    ([0, 1], True)
    """

    def __init__(
        self,
        *,
        gamma: float = 1.0,
        pilot_eps: float = 1e-3,
        refits: int = 3,
        eps: float = 1e-4,
        alphas: Any = 100,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        cv: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.gamma = gamma
        self.pilot_eps = pilot_eps
        self.refits = refits
        super().__init__(
            eps=eps, alphas=alphas, fit_intercept=fit_intercept, tol=tol, max_iter=max_iter, cv=cv, n_jobs=n_jobs
        )

    def _on_folds(
        self, problems: list[CompositeProblem], weights: list[Array], folds: list[Any], stop: Stop
    ) -> list[CrossValidation]:
        problem, model = problems[0], problems[0].smooth
        splits = splits_of(folds, model.n, None)
        make = fold_maker(model, splits)

        def run(at: int) -> tuple[Array, int]:
            try:
                return self._scores(make(at), problem, weights[0], stop)
            except Exception as error:
                error.add_note(f"in fold {at} of {len(splits)}")
                raise

        scores, unsolved = zip(*each_of(run, len(splits), self._workers()), strict=True)
        return [CrossValidation(weights[0], np.array(scores), sum(unsolved))]

    def _scores(self, fold: Fold, problem: CompositeProblem, weights: Array, stop: Stop) -> tuple[Array, int]:
        """Return the scores of a fold by weight, and for how many of them some fit did not converge.

        The pilots are one warm-started path, and so are the first refits, the second ones, ...: from a weight to the
        next their answers change less than from a fit to its refit.
        """
        problem, method = problem.replace(smooth=fold.model, x0=None), BlockCoordinateDescent()
        last: list[Any] = [None] * (self.refits + 1)
        scores, unsolved = np.empty(len(weights)), 0
        for at, weight in enumerate(weights * fold.share):
            term: Term = terms.L1(weight)
            for refit, before in enumerate(last):
                last[refit] = result = solve(problem.replace(term=term), method, before, stop=stop)
                if result.status is Status.INTERRUPTED:
                    raise KeyboardInterrupt
                term = self._reweighted(weight, result.x)
            unsolved += not all(result.success for result in last)
            scores[at] = fold.score(last[-1].x)
        return scores, unsolved
