"""A path: one composite problem for many multiples of its term, each solve starting from the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np

from resolvent.errors import OptionError, ProblemError
from resolvent.problems.composite import CompositeProblem
from resolvent.solvers.base import Solver
from resolvent.solvers.composite.block_coordinate_descent import BlockCoordinateDescent
from resolvent.solvers.composite.follow import follow, is_followed
from resolvent.solvers.composite.gram_path import gram_path, has_gram_path
from resolvent.solvers.composite.working_set import WorkingSet, refusal
from resolvent.solvers.drive import solve
from resolvent.solvers.interrupt import interruptible
from resolvent.solvers.result import Result
from resolvent.solvers.stop import Status, Stop
from resolvent.typing import Array

__all__ = ["Path", "path", "weight_grid"]


@dataclass(frozen=True, eq=False)
class Path:
    """The answers along a path.

    Attributes
    ----------
    weights : array (k,)
        Multiples of the problem's term, as given.
    results : list of Result
        One for each.
    """

    weights: Array
    results: list[Result]

    @property
    def x(self) -> Array:
        """The coefficients, (k, p) or (k, p, responses), without intercepts."""
        return np.array([r.x[0] if isinstance(r.x, tuple) else r.x for r in self.results])

    @property
    def intercepts(self) -> Array:
        """The intercepts, (k, 1) or (k, responses)."""
        if not isinstance(self.results[0].x, tuple):
            raise ProblemError("the problem has no intercept")
        return np.array([r.x[1] for r in self.results])

    @property
    def success(self) -> bool:
        """Whether every solve was one."""
        return all(r.success for r in self.results)

    def __repr__(self) -> str:
        support = np.count_nonzero(self.x.reshape(len(self.weights), -1), axis=1)
        steps = sum(r.iterations for r in self.results)
        kind = "all solved" if self.success else f"{sum(not r.success for r in self.results)} not solved"
        return (
            f"<Path of {len(self.weights)} weights, {self.weights.max():.3g} to {self.weights.min():.3g}: "
            f"{support.min()} to {support.max()} not zero, {steps} steps, {kind}>"
        )


def weight_grid(problem: CompositeProblem, count: int = 50, smallest: float = 1e-2) -> Array:
    """Return a geometric grid from the smallest weight at which zero is optimal down to `smallest` times it.

    Parameters
    ----------
    problem : CompositeProblem
        Its term has weights to scale; an intercept, or coordinates without a weight, are fitted first.
    count : int
    smallest : float
        In (0, 1).

    Raises
    ------
    OptionError
        For a count below 1, or a ratio out of range.
    ProblemError
        The term has no weights, or no multiple of it makes zero optimal.
    """
    if count < 1:
        raise OptionError(f"count is {count!r}, expected a whole number >= 1")
    if not 0 < smallest < 1:
        raise OptionError(f"smallest is {smallest!r}, expected a number in (0, 1)")
    x = problem.x0
    if problem.intercept:
        heavy = problem.replace(term=problem.term.scaled(1e6 * _largest(problem, x)))
        x = solve(heavy, BlockCoordinateDescent(), stop=Stop(rtol=1e-10)).x
    largest = _largest(problem, x)
    if not 0 < largest < np.inf:
        raise ProblemError(f"zero is optimal from the weight {largest:g} on; give the weights of the path")
    return np.geomspace(largest, smallest * largest, count)


def _found(problems: list[CompositeProblem], method: Any, stop: Stop) -> list[Result | None]:
    """Return what is found without solves of their own, None for the others; after Ctrl-C what was found before it."""
    if not isinstance(method, WorkingSet) or refusal(problems[0]) or not is_followed(problems[0], method, stop):
        return [None] * len(problems)
    with interruptible() as interrupts:
        if has_gram_path(problems[0], len(problems)):
            found = gram_path(problems, method, stop, interrupts)
        else:
            found = list(follow(problems, method, stop, interrupts))
    return list(takewhile(bool, found)) if interrupts else found


def _largest(problem: CompositeProblem, x: Any) -> float:
    gradient = problem.gradient(x)
    return float(problem.term.lambda_max(gradient[0] if problem.intercept else gradient))


def path(
    problem: CompositeProblem,
    weights: Sequence[float] | Array | None = None,
    *,
    solver: Solver[Any, Any] | None = None,
    stop: Stop | None = None,
) -> Path:
    """Solve a problem for each of many multiples of its term, from the largest to the smallest, each from the last.

    Parameters
    ----------
    problem : CompositeProblem
    weights : array_like, optional
        Positive factors for the term, in any order; default ``weight_grid(problem)``.
    solver : Solver, optional
        Default `WorkingSet`, whose working set and model matrix are handed on; for what it does not take, what
        `BlockCoordinateDescent` picks.
    stop : Stop, optional
        For each solve.

    Returns
    -------
    Path
        In the order of the weights given. Ctrl-C ends it: it then has the weights that were done, from the largest on.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import CompositeProblem, LinearModel, losses, terms
    >>> from resolvent.solvers import path
    >>> A = np.random.default_rng(0).standard_normal((30, 80))
    >>> model = LinearModel(A, losses.LeastSquares(A[:, 0] - A[:, 1]))
    >>> found = path(CompositeProblem(smooth=model, term=terms.L1(1.0)))
    >>> found.x.shape, found.success
    ((50, 80), True)
    """
    given = weight_grid(problem) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.ndim != 1 or len(given) == 0 or not (np.isfinite(given) & (given > 0)).all():
        raise OptionError(f"weights are {weights!r}, expected a row of positive numbers")
    method = solver
    if method is None:
        method = BlockCoordinateDescent() if refusal(problem) else WorkingSet()
    order = np.argsort(-given, kind="stable")
    problems = problem.scaled([float(given[at]) for at in order])
    results: list[Result] = []
    for one, known in zip(problems, _found(problems, method, Stop() if stop is None else stop), strict=False):
        last = results[-1] if results else None
        results.append(solve(one, method, last, stop=stop) if known is None else known)
        if results[-1].status is Status.INTERRUPTED:
            break
    if not results:
        raise KeyboardInterrupt
    done = np.sort(order[: len(results)])
    by_place = dict(zip(order.tolist(), results, strict=False))
    return Path(given[done], [by_place[at] for at in done.tolist()])
