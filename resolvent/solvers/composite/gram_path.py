"""A path of least squares with few columns, or many more rows than columns: all of it from A^T W A, made once.

At x, with c = A^T W y::

    gradient = A^T W A x - c,   ||W^(1/2) (A x - y)||^2 = y^T W y - c^T x + x^T gradient

so that no step of the path looks at a row of A. What is true of the answers is found out afterwards on A itself, for
some at a time, by two matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from resolvent import kernels
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.losses import LeastSquares
from resolvent.solvers.composite.follow import result_of
from resolvent.solvers.composite.quadratic_model import MARGIN, coefficients, gram_answer, gram_minimise
from resolvent.solvers.composite.working_set import WorkingSet
from resolvent.solvers.composite.working_set_state import WorkingSetState, scales_into_dual
from resolvent.solvers.result import Result
from resolvent.solvers.stop import Stop
from resolvent.typing import Array

__all__ = ["gram_path", "has_gram_path"]

ROUNDED = 1e-6
"""Of the diagonal of a model, added to it: single precision may leave it indefinite."""
MENDED = 3
"""Times at most are answers mended that do not meet the tolerance on A."""
TOGETHER = 13
"""Answers are looked at on A together."""
SMALL = 512
"""Columns that are few: one call tries to find an answer by sweeps alone."""
STEPS = 100
"""Steps after which a weight is left to be solved on A."""
TALL, PAYS = 1.5, 64
"""Rows for each column, and columns that one weight of the path pays for."""


def has_gram_path(problem: CompositeProblem, count: int) -> bool:
    """Whether a path of so many weights takes less time by the matrix A^T W A."""
    if not isinstance(problem.smooth.loss, LeastSquares) or problem.intercept or not problem.has_gap:
        return False
    model = problem.smooth
    pays = model.p < min(PAYS * count, max(SMALL + 1, model.n / TALL))
    return pays and not model.sparse and model.dtype == np.float64 and scales_into_dual(problem)


class Walker:
    """Where the path stands: x and the gradient there.

    The matrix is in single precision: it is made in half the time, and what its rounding leaves is found where answers
    are looked at on A.
    """

    def __init__(self, problem: CompositeProblem, solver: WorkingSet) -> None:
        model, self.solver = problem.smooth, solver
        y = model.loss.targets if model.offset is None else model.loss.targets - model.offset
        A, wy = model.A, y
        if model.weights is not None:
            A, wy = np.sqrt(model.weights)[:, None] * A, model.weights * y
        with np.errstate(over="ignore", invalid="ignore"):
            columns = A.astype(np.float32)
            self.G = columns.T @ columns
        if not np.isfinite(self.G).all():
            self.G = A.T @ A
        self.diagonal = self.G.diagonal().astype(np.float64)
        self.c, self.squares = model.A.T @ wy, float(wy @ y)
        x = np.clip(coefficients(problem.x0), *problem.term.parameters(problem.shape)[3:5])
        self.stand(x, coefficients(problem.gradient(x)) if x.any() else -self.c)
        problem.counts["columns"] += 2 * model.p

    def stand(self, x: Array, gradient: Array) -> None:
        """Go on from a point whose gradient on A is known."""
        self.x, self.gradient = x.copy(), gradient.copy()

    def see(self, problem: CompositeProblem, x: Array, gradient: Array, squares: float) -> tuple[Array, float, float]:
        """Return scores, the largest violation, and the gap at x, where the residuals have this sum of squares."""
        scores, found, t = np.empty(len(x)), np.empty(3), problem.term.dual_scale(-gradient)
        term = problem.term.parameters(problem.shape)[1:5]
        kernels.prox.look(x, gradient, self.diagonal, *term, t, scores, found)
        return scores, float(found[0]), float(found[2]) + 0.5 * (1 - t) ** 2 * squares

    def solve(self, problem: CompositeProblem, tolerance: float) -> int:
        """Go to the answer for the term of `problem`; return the steps taken."""
        term, swept = problem.term.parameters(problem.shape)[1:5], 0
        if len(self.x) <= SMALL:
            at = (self.G, self.diagonal, self.x, self.gradient, self.c, self.squares)
            swept, found = gram_answer(*at, term, tolerance, self.solver)
            if found:
                return swept
        for step in range(swept, STEPS):
            squares = max(self.squares - self.c @ self.x + self.x @ self.gradient, 0.0)
            scores, worst, gap = self.see(problem, self.x, self.gradient, squares)
            if gap <= MARGIN * tolerance:
                return step
            part = max(min(self.solver.accuracy, 0.3 * float(np.sqrt(MARGIN * tolerance / gap))), 1e-4)
            if not self._step(np.flatnonzero((scores > 0) | (self.x != 0)), term, part * worst):
                return step + 1
        return STEPS

    def _step(self, members: Array, term: tuple[Array, ...], target: float) -> bool:
        """Minimise over the members; return whether that changed anything."""
        rows = self.G[members]
        H = rows[:, members].astype(np.float64)
        H.reshape(-1)[:: len(members) + 1] *= 1 + ROUNDED
        block = tuple(np.full(len(members), v[0]) if len(v) == 1 else v[members] for v in term)
        x = self.x[members]
        gram_minimise(H, self.gradient[members], x, block, self.solver.sweeps, target)
        moved = x - self.x[members]
        if not moved.any():
            return False
        self.x[members] = x
        self.gradient += moved.astype(self.G.dtype) @ rows
        return True


def gram_path(
    problems: Sequence[CompositeProblem], solver: WorkingSet, stop: Stop, interrupts: Sequence[int]
) -> list[Result | None]:
    """Return the results for problems that differ in their terms, from the largest weight on, until an interrupt.

    What the rounding of the matrix spoils is mended from the gradient on A, some times; None stands where that does not
    help.

    Cost: n p^2 flops for the matrix, 2 n p for each problem; p^2 for a step.
    """
    begun, (atol, rtol) = perf_counter(), stop.tolerances(problems[0].dtype)
    walker, steps = Walker(problems[0], solver), [0] * len(problems)
    states: dict[int, WorkingSetState] = {}
    for first in range(0, len(problems), TOGETHER):
        left = list(range(first, min(first + TOGETHER, len(problems))))
        for _ in range(1 + MENDED):
            points = []
            for at in left:
                if interrupts:
                    break
                if at in states:
                    walker.stand(states[at].x, states[at].gradient)
                steps[at] += walker.solve(problems[at], atol + rtol * problems[at].scale())
                points.append(walker.x.copy())
            left = left[: len(points)]
            if not left:
                break
            found = _looked_at([problems[at] for at in left], np.array(points), walker, stop)
            states.update(zip(left, found, strict=True))
            walker.stand(found[-1].x, found[-1].gradient)
            left = [at for at in left if not states[at].met]
    seconds, results = (perf_counter() - begun) / max(len(states), 1), []
    identity = problems[0].identity()  # of all
    for at, state in states.items():
        state.iterations = steps[at]
        results.append(result_of(problems[at], identity, state, solver, stop, seconds) if state.met else None)
    return results


def _looked_at(
    problems: Sequence[CompositeProblem], X: Array, walker: Walker, stop: Stop
) -> list[WorkingSetState]:  # fmt: skip
    """Return the states at points, one for each problem, with what is true of them on A."""
    model, (atol, rtol), states = problems[0].smooth, stop.tolerances(problems[0].dtype), []
    some, y = np.flatnonzero(X.any(axis=0)), model.loss.targets
    Z = X[:, some] @ model.A[:, some].T
    if model.offset is not None:
        Z += model.offset
    residuals = Z - y
    slopes = residuals if model.weights is None else model.weights * residuals
    squares, gradients = np.einsum("ij,ij->i", residuals, slopes), slopes @ model.A
    for at, (problem, theta) in enumerate(zip(problems, np.negative(slopes, out=slopes), strict=True)):
        x, gradient = X[at], gradients[at]
        state = WorkingSetState(
            x=x, scale=problem.scale(), theta=theta, z=Z[at], gradient=gradient, members=np.flatnonzero(x),
            H=np.zeros((0, 0)), curvature=np.zeros(0), atol=atol, rtol=rtol, limit=walker.solver.usual_iterations,
            model=model,
        )  # fmt: skip
        with problem.counted_as("check"):
            problem.counts["columns"] += len(some) + model.p
        state.residual = walker.see(problem, x, gradient, squares[at])[2]
        states.append(state)
    return states
