"""A path of least squares with many more rows than columns: all of it from A^T W A, made once.

At x, with c = A^T W y::

    gradient = A^T W A x - c,   ||W^(1/2) (A x - y)||^2 = y^T W y - c^T x + x^T gradient

so that no step of the path looks at a row of A. The answers are those of the path; what is true of them is found out
afterwards on A itself, for all at once, by two matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from resolvent import kernels
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.losses import LeastSquares
from resolvent.solvers.base import RunInfo
from resolvent.solvers.composite.quadratic_model import coefficients, gram_minimise
from resolvent.solvers.composite.working_set import WorkingSet, WorkingSetState, refusal, scales_into_dual
from resolvent.solvers.history import History
from resolvent.solvers.result import Result
from resolvent.solvers.stop import Status, Stop
from resolvent.typing import Array

__all__ = ["gram_path", "has_gram_path"]

MARGIN = 0.3
"""Of the tolerance that each gap has to meet: the rest is for rounding."""
STEPS = 100
"""Steps after which a weight is left to be solved on A."""
TALL, PAYS = 1.5, 64
"""Rows for each column, and columns that one weight of the path pays for."""


def has_gram_path(problem: CompositeProblem, count: int, stop: Stop) -> bool:
    """Whether a path of so many weights takes less time by the matrix A^T W A."""
    if refusal(problem) or not isinstance(problem.smooth.loss, LeastSquares) or problem.intercept:
        return False
    model, limits = problem.smooth, (stop.iterations, stop.seconds, stop.evaluations)
    tall = not model.sparse and model.n > TALL * model.p and PAYS * count > model.p
    return tall and model.dtype == np.float64 and scales_into_dual(problem) and all(limit is None for limit in limits)


@dataclass
class Walker:
    """Where the path stands: x and the gradient there."""

    G: Array
    c: Array
    squares: float
    x: Array
    gradient: Array
    solver: WorkingSet

    def solve(self, problem: CompositeProblem, tolerance: float) -> int:
        """Go to the answer for the term of `problem`; return the steps taken."""
        term = problem.term.parameters(problem.shape)[1:5]
        scores, found, diagonal = np.empty(len(self.x)), np.empty(3), self.G.diagonal().copy()
        for step in range(STEPS):
            t = problem.term.dual_scale(-self.gradient)
            kernels.prox.look(self.x, self.gradient, diagonal, *term, t, scores, found)
            worst, _, gap = found
            gap += 0.5 * (1 - t) ** 2 * max(self.squares - self.c @ self.x + self.x @ self.gradient, 0.0)
            if gap <= tolerance:
                return step
            part = max(min(self.solver.accuracy, 0.3 * float(np.sqrt(tolerance / gap))), 1e-4)
            if not self._step(np.flatnonzero((scores > 0) | (self.x != 0)), term, part * worst):
                return step + 1
        return STEPS

    def _step(self, members: Array, term: tuple[Array, ...], target: float) -> bool:
        """Minimise over the members; return whether that changed anything."""
        rows = self.G[members]
        block = tuple(np.full(len(members), v[0]) if len(v) == 1 else v[members] for v in term)
        x = self.x[members]
        gram_minimise(rows[:, members], self.gradient[members], x, block, self.solver.sweeps, target)
        if np.array_equal(x, self.x[members]):
            return False
        self.x[members] = x
        self.gradient = x @ rows - self.c
        return True


def gram_path(
    problem: CompositeProblem, problems: Sequence[CompositeProblem], solver: WorkingSet, stop: Stop
) -> list[Result | None]:
    """Return the results for problems that differ in their terms, from the largest weight on.

    None stands where an answer does not meet the tolerance on A, as where rounding in A^T W A is too large.

    Cost: n p^2 flops for the matrix, 2 n p for each problem; p^2 for a step.
    """
    model, begun = problem.smooth, perf_counter()
    y = model.loss.targets if model.offset is None else model.loss.targets - model.offset
    if model.weights is None:
        G, wy = model.A.T @ model.A, y
    else:
        scaled = np.sqrt(model.weights)[:, None] * model.A
        G, wy = scaled.T @ scaled, model.weights * y
    c = model.A.T @ wy
    low, up = problem.term.parameters(problem.shape)[3:5]
    x = np.clip(coefficients(problem.x0), low, up)
    walker = Walker(G, c, float(wy @ y), x, x @ G - c, solver)
    (atol, rtol), answers, steps = stop.tolerances(problem.dtype), [], []
    for one in problems:
        steps.append(walker.solve(one, MARGIN * (atol + rtol * one.scale())))
        answers.append(walker.x.copy())
    problems[0].counts["columns"] += 2 * model.p
    return _confirmed(problems, np.array(answers), steps, solver, stop, perf_counter() - begun)


def _confirmed(
    problems: Sequence[CompositeProblem],
    X: Array,
    steps: Sequence[int],
    solver: WorkingSet,
    stop: Stop,
    seconds: float,
) -> list[Result | None]:
    """Return results where the residual on A meets the tolerance."""
    model, begun, (atol, rtol) = problems[0].smooth, perf_counter(), stop.tolerances(problems[0].dtype)
    some = np.flatnonzero(X.any(axis=0))
    Z = X[:, some] @ model.A[:, some].T
    if model.offset is not None:
        Z += model.offset
    slopes = Z - model.loss.targets if model.weights is None else model.weights * (Z - model.loss.targets)
    gradients, thetas = slopes @ model.A, np.negative(slopes, out=slopes)
    seconds = (seconds + perf_counter() - begun) / len(problems)
    results: list[Result | None] = []
    for problem, x, z, theta, gradient, taken in zip(problems, X, Z, thetas, gradients, steps, strict=True):
        state = WorkingSetState(
            x=x, scale=problem.scale(), theta=theta, z=z, gradient=gradient, members=np.flatnonzero(x),
            H=np.zeros((0, 0)), curvature=np.zeros(0), iterations=taken, atol=atol, rtol=rtol,
            limit=solver.usual_iterations, model=model, status=Status.CONVERGED,
        )  # fmt: skip
        with problem.counted_as("check"):
            problem.counts["columns"] += len(some) + model.p
            state.residual = problem.measure(x, z, theta, -gradient)
        results.append(_result(problem, state, solver, stop, seconds) if state.met else None)
    return results


def _result(
    problem: CompositeProblem, state: WorkingSetState, solver: WorkingSet, stop: Stop, seconds: float
) -> Result:
    evaluations = problem.evaluations(problem.counts)
    state.run = RunInfo(problem=problem.identity(), seconds=seconds, evaluations=evaluations)
    state.message = f"residual {state.residual:.3e} <= tolerance {state.tolerance:.3e}"
    last = state.iterations, seconds, evaluations, state.residual, state.record()
    return Result(
        x=state.x, certificate=state.certificate(), status=state.status, message=state.message,
        residual=state.residual, scale=state.scale, iterations=state.iterations, seconds=seconds,
        counts={name: n for name, n in problem.counts.items() if n}, history=History().columns(last), state=state,
        solver=solver, stop=stop, problem_name=problem.name, seed=0,
    )  # fmt: skip
