"""Cross-validation of the weight of a term, by a warm-started path on each fold.

A fold holds some samples out and fits the others, for each weight of a path; the score is the mean deviance of what
was held out, for least squares the mean squared error. Weights mean the same on each fold: a fold with a share s of
the samples gets s times the weight, since losses are sums.

Sums shared by folds. For least squares on dense data with many more samples than columns, the matrix of a fold is that
of all samples less that of the ones held out,

    H = A^T W A - A_f^T W_f A_f,    q = A^T W y - A_f^T W_f y_f,

about zero means where there is an intercept. Each sample is held out once, so that A^T W A is the sum of what is taken
off: all folds together cost one matrix of the whole data. With a pivoted Cholesky factorisation H = R^T R the fold is
the problem of R w = R^-T q, with as many rows as columns: another least squares problem, which any solver takes, whose
objective differs by a constant.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack, solve_triangular

from resolvent import parallel
from resolvent.errors import OptionError, ProblemError
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.loss_base import Loss
from resolvent.problems.losses import LeastSquares
from resolvent.problems.models import LinearModel
from resolvent.solvers.base import Solver, is_whole, require
from resolvent.solvers.composite.block_coordinate_descent import BlockCoordinateDescent
from resolvent.solvers.composite.path import weight_grid
from resolvent.solvers.drive import solve
from resolvent.solvers.stop import Status, Stop
from resolvent.typing import Array, Point, RandomSource

__all__ = [
    "CrossValidation",
    "Fold",
    "cross_validate_path",
    "cross_validate_paths",
    "each_of",
    "fold_maker",
    "splits_of",
]

TALL = 2
"""Folds share sums from so many training samples per column on, and while these take at most so many times the memory
of the data."""
ROWS = 2048
"""Samples whose products are added at a time."""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What cross-validation of a path has found.

    Attributes
    ----------
    weights : array (k,)
        Multiples of the problem's term, as given.
    scores : array (folds, k)
        Mean deviance of the samples held out, 2 (loss - its infimum) / their weight; for least squares the mean squared
        error, over responses too.
    unsolved : int
        How many of the folds * k solves did not converge.
    """

    weights: Array
    scores: Array
    unsolved: int = 0

    @property
    def mean(self) -> Array:
        """Mean scores over the folds, (k,)."""
        found: Array = self.scores.mean(axis=0)
        return found

    @property
    def error(self) -> Array:
        """Standard errors of these means, (k,); 0 for a single fold."""
        folds = len(self.scores)
        found: Array = self.scores.std(axis=0, ddof=min(1, folds - 1)) / np.sqrt(folds)
        return found

    @property
    def best(self) -> float:
        """The weight with the lowest mean, the largest of equals."""
        lowest = self.mean == self.mean.min()
        return float(self.weights[lowest].max())

    @property
    def one_standard_error(self) -> float:
        """The largest weight whose mean is within a standard error of the lowest."""
        at = int(np.argmin(self.mean))
        return float(self.weights[self.mean <= self.mean[at] + self.error[at]].max())

    def __repr__(self) -> str:
        folds, weights = self.scores.shape
        return (
            f"<CrossValidation of {folds} folds and {weights} weights: {self.mean.min():.4g} at {self.best:.3g}, "
            f"within a standard error at {self.one_standard_error:.3g}>"
        )


def cross_validate_path(
    problem: CompositeProblem,
    weights: Sequence[float] | Array | None = None,
    folds: Any = 5,
    *,
    solver: Solver[Any, Any] | None = None,
    stop: Stop | None = None,
    workers: int | None = None,
    rng: RandomSource = None,
) -> CrossValidation:
    """Cross-validate the multiples of a problem's term.

    Parameters
    ----------
    problem : CompositeProblem
        Of a `LinearModel`.
    weights : array_like, optional
        Positive factors for the term; default ``weight_grid(problem)``.
    folds : int or sequence
        Number of random folds of equal size, or for each fold the samples that are held out, or a tuple of the samples
        that are fitted and those that are held out.
    solver : Solver, optional
        Default `BlockCoordinateDescent`.
    stop : Stop, optional
        For each solve.
    workers : int, optional
        Folds at a time, in threads; default `num_threads`.
    rng : int, Generator or None
        For random folds. None is seed 0; a generator is copied, not advanced.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ProblemError
        The problem has no linear model, or a fold cannot be fitted: a class is missing, or its weights sum to zero.
    OptionError
        Weights, folds or workers are out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import CompositeProblem, LinearModel, losses, terms
    >>> from resolvent.solvers import cross_validate_path
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((100, 20))
    >>> model = LinearModel(A, losses.LeastSquares(A[:, 0] - A[:, 1] + 0.5 * rng.standard_normal(100)))
    >>> found = cross_validate_path(CompositeProblem(smooth=model, term=terms.L1(1.0)))
    >>> found.scores.shape, bool(found.best < found.one_standard_error)
    ((5, 50), True)
    """
    given = None if weights is None else [weights]
    return cross_validate_paths([problem], given, folds, solver=solver, stop=stop, workers=workers, rng=rng)[0]


def cross_validate_paths(
    problems: Sequence[CompositeProblem],
    weights: Sequence[Any] | None = None,
    folds: Any = 5,
    *,
    solver: Solver[Any, Any] | None = None,
    stop: Stop | None = None,
    workers: int | None = None,
    rng: RandomSource = None,
) -> list[CrossValidation]:
    """Do the same for several problems that differ in their terms alone, with weights for each, on the same folds.

    Each fold is made once.
    """
    model = problems[0].smooth
    if not isinstance(model, LinearModel) or any(problem.smooth is not model for problem in problems):
        raise ProblemError("cross-validation needs problems of one LinearModel, whose samples it can hold out")
    require(workers is None or is_whole(workers, least=1), "workers", workers, "a whole number >= 1, or None")
    chosen = [weight_grid(problem) for problem in problems] if weights is None else [_weights(w) for w in weights]
    splits = splits_of(folds, model.n, rng)
    make = fold_maker(model, splits)
    method = BlockCoordinateDescent() if solver is None else solver

    def run(at: int) -> tuple[list[Array], list[int]]:
        try:
            fold = make(at)
            found = [_scores(fold, *pair, method, stop) for pair in zip(problems, chosen, strict=True)]
        except Exception as error:
            error.add_note(f"in fold {at} of {len(splits)}")
            raise
        return [scores for scores, _ in found], [unsolved for _, unsolved in found]

    each = each_of(run, len(splits), parallel.num_threads() if workers is None else workers)
    return [
        CrossValidation(w, np.array([scores[i] for scores, _ in each]), sum(unsolved[i] for _, unsolved in each))
        for i, w in enumerate(chosen)
    ]


def each_of(run: Callable[[int], Any], count: int, workers: int) -> list[Any]:
    """Return what `run` returns for 0, ..., count - 1, in threads of its own: the folds' kernels may have theirs."""
    if min(workers, count) == 1:
        return [run(at) for at in range(count)]
    pool = ThreadPoolExecutor(min(workers, count), thread_name_prefix="resolvent-fold")
    try:
        return list(pool.map(run, range(count)))
    finally:
        pool.shutdown(cancel_futures=True)


def _scores(
    fold: Fold, problem: CompositeProblem, weights: Array, method: Solver[Any, Any], stop: Stop | None
) -> tuple[Array, int]:
    """Return the scores of a fold by weight, and how many solves did not converge."""
    fitted = problem.replace(smooth=fold.model, x0=None)
    scores, unsolved, last = np.empty(len(weights)), 0, None
    for at in np.argsort(-weights, kind="stable"):
        part = fitted.replace(term=problem.term.scaled(float(weights[at]) * fold.share))
        last = solve(part, method, last, stop=stop)
        if last.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        unsolved += not last.success
        scores[at] = fold.score(last.x)
    return scores, unsolved


# ---- folds


@dataclass(frozen=True, eq=False)
class Fold:
    """The samples that are fitted, as a model, and those that are held out.

    Attributes
    ----------
    model : LinearModel
        What is fitted: its x is that of the whole model, or lacks the intercept, which `means` then give.
    share : float
        The weight of its samples, as a part of all.
    held : LinearModel
        The samples held out, without an intercept.
    intercept : bool
        Whether the whole model has one.
    means : tuple of arrays (p,) and (1,) or (k,), or None
        Of the columns and of the targets, where the model is one of differences to them.
    """

    model: LinearModel
    share: float
    held: LinearModel
    intercept: bool
    means: tuple[Array, Array] | None = None

    def score(self, x: Point) -> float:
        """Return the mean deviance of the samples held out."""
        w = x[0] if self.model.intercept else x
        z = self.held.predict(w)
        if self.model.intercept:
            z = z + x[1]
        elif self.intercept and self.means is not None:
            z = z + (self.means[1] - self.means[0] @ w)
        z, loss, weights = z.astype(self.held.dtype, copy=False), self.held.loss, self.held.weights
        excess = loss.gap(z, np.zeros_like(z), weights) if loss.has_conjugate else loss.value(z, weights)
        entries = self.held.total_weight * (loss.targets.shape[1] if loss.targets.ndim > 1 else 1)
        return 2 * excess / entries


def fold_maker(model: LinearModel, splits: list[tuple[Array, Array]]) -> Callable[[int], Fold]:
    """Return the function that makes a fold from its number."""
    A = model.A.tocsr() if model.sparse else model.A
    sums = _Sums(model, [held for _, held in splits]) if _sums_pay(model, splits) else None

    def make(at: int) -> Fold:
        fitted, held = splits[at]
        out = _rows(model, A, held, intercept=False)
        if sums is not None:
            fold = sums.fold(at, out)
            if fold is not None:
                return fold
        part = _rows(model, A, fitted, intercept=model.intercept)
        return Fold(part, part.total_weight / model.total_weight, out, model.intercept)

    return make


def _rows(model: LinearModel, A: Any, rows: Array, *, intercept: bool) -> LinearModel:
    weights, offset = (None if v is None else v[rows] for v in (model.weights, model.offset))
    part = A[rows] if model.sparse else np.take(A.T, rows, axis=1).T
    return LinearModel(part, _loss_of(model.loss, rows), weights=weights, offset=offset, intercept=intercept)


def _loss_of(loss: Loss, rows: Array) -> Loss:
    """Return the loss of some samples: the classes of a softmax and the labels of a margin stay as they were read."""
    part = copy.copy(loss)
    object.__setattr__(part, "targets", loss.targets[rows])
    return part


# ---- sums that folds share


def _sums_pay(model: LinearModel, splits: list[tuple[Array, Array]]) -> bool:
    """Whether folds can share sums, and are tall enough for it: each sample held out once, and all others fitted."""
    if model.sparse or not isinstance(model.loss, LeastSquares):
        return False
    fewest = min(len(fitted) for fitted, _ in splits)
    if fewest < TALL * model.p or len(splits) * model.p > TALL * model.n:
        return False
    once = np.bincount(np.concatenate([held for _, held in splits]), minlength=model.n)
    whole = all(len(fitted) + len(held) == model.n and not np.isin(held, fitted).any() for fitted, held in splits)
    return whole and bool((once == 1).all())


class _Sums:
    """Sums of products of the columns, the targets and ones, over what each fold holds out, about the means of all.

    Cost: n p^2 flops, and p^2 numbers a fold.
    """

    def __init__(self, model: LinearModel, held: list[Array]) -> None:
        targets = model.loss.targets if model.offset is None else model.loss.targets - model.offset
        self.model, self.targets = model, targets.reshape(model.n, -1).astype(np.float64)
        weights = np.ones(model.n) if model.weights is None else model.weights.astype(np.float64)
        self.weights, p = weights, model.p
        self.center = np.zeros(p + self.targets.shape[1])
        if model.intercept:
            self.center[:p] = weights @ model.A / weights.sum()
            self.center[p:] = weights @ self.targets / weights.sum()
        self.parts = [self._of(rows) for rows in held]
        self.whole = np.sum(self.parts, axis=0)

    def _of(self, rows: Array) -> Array:
        """Return the sums over some samples."""
        p, width = self.model.p, len(self.center) + 1
        found = np.zeros((width, width))
        for low in range(0, len(rows), ROWS):
            some = rows[low : low + ROWS]
            B = np.ones((len(some), width))
            B[:, :p] = self.model.A[some]
            B[:, p:-1] = self.targets[some]
            B[:, :-1] -= self.center
            B *= np.sqrt(self.weights[some])[:, None]
            found += B.T @ B
        return found

    def fold(self, at: int, out: LinearModel) -> Fold | None:
        """Return the fold without its samples `out`, None where its columns are constant."""
        p, total = self.model.p, self.weights.sum()
        left = self.whole - self.parts[at]
        weight = float(left[-1, -1])
        means = left[-1, :-1] / weight
        matrix = left[:-1, :-1]
        if self.model.intercept:
            matrix = matrix - weight * np.outer(means, means)
        rows = _square_root(matrix[:p, :p], matrix[:p, p:], self.whole.diagonal()[:p])
        if rows is None:
            return None
        targets = rows[1].reshape(-1, *self.model.loss.shape[1:])
        model = LinearModel(rows[0], LeastSquares(targets), dtype=self.model.dtype)
        means = means + self.center
        return Fold(model, weight / total, out, self.model.intercept, (means[:p], means[p:]))


def _square_root(H: Array, q: Array, sizes: Array) -> tuple[Array, Array] | None:
    """Return R (r, p) and b (r, k) with R^T R = H and R^T b = q, r the rank of H; None for rank 0.

    Diagonal entries that are rounding beside `sizes`, from whose differences H was made, count as zero.
    """
    eps = np.finfo(np.float64).eps
    lengths = np.sqrt(np.where(H.diagonal() > 64 * eps * sizes, H.diagonal(), 0))
    inverse = np.where(lengths > 0, 1 / np.where(lengths > 0, lengths, 1), 0)
    factor, order, rank, _ = lapack.dpstrf(H * np.outer(inverse, inverse), tol=16 * len(H) * eps)
    if rank == 0 or not lengths.any():
        return None
    order, U = order - 1, np.triu(factor)[:rank]
    b = solve_triangular(U[:, :rank], (inverse[:, None] * q)[order[:rank]], trans=1)
    R = np.empty((rank, len(H)), order="F")
    R[:, order] = U
    return R * lengths, b


# ---- reading


def _weights(value: Any) -> Array:
    given = np.asarray(value, dtype=np.float64)
    if given.ndim != 1 or len(given) == 0 or not (np.isfinite(given) & (given > 0)).all():
        raise OptionError(f"weights are {value!r}, expected a row of positive numbers")
    return given


def splits_of(folds: Any, n: int, rng: RandomSource) -> list[tuple[Array, Array]]:
    """Return for each fold the samples that are fitted and those held out."""
    if isinstance(folds, int | np.integer):
        require(2 <= int(folds) <= n, "folds", folds, f"a whole number from 2 to {n}, the number of samples")
        generator = np.random.default_rng(0 if rng is None else copy.deepcopy(rng))
        folds = [np.sort(part) for part in np.array_split(generator.permutation(n), folds)]
    found = []
    for at, fold in enumerate(folds):
        pair = isinstance(fold, tuple) and len(fold) == 2 and np.ndim(fold[0]) == 1
        held = _samples(fold[1] if pair else fold, n, at)
        fitted = _samples(fold[0], n, at) if pair else np.delete(np.arange(n), held)
        if not len(fitted):
            raise OptionError(f"fold {at} fits no sample")
        found.append((fitted, held))
    require(len(found) > 0, "folds", folds, "at least one fold")
    return found


def _samples(value: Any, n: int, at: int) -> Array:
    rows = np.asarray(value)
    whole = rows.ndim == 1 and len(rows) > 0 and rows.dtype.kind in "iu"
    if not whole or rows.min() < 0 or rows.max() >= n:
        raise OptionError(f"fold {at} has {value!r}, expected numbers of samples from 0 to {n - 1}")
    return rows
