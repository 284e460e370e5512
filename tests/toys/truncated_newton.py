"""Newton's method whose steps solve a linear system with another solver of the library: nested work and its counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.linear import LinearSystem
from resolvent.problems.smooth import SmoothProblem
from resolvent.solvers.base import Solver, State, require
from resolvent.solvers.drive import solve
from resolvent.solvers.linear.conjugate_gradient import ConjugateGradient
from resolvent.solvers.stop import Status, Stop

__all__ = ["TruncatedNewton", "quartic"]


@dataclass(kw_only=True, eq=False)
class TruncatedNewtonState(State):
    """Value and gradient at x."""

    value: float
    gradient: Any
    inner_iterations: int = 0

    def record(self):
        return {"inner_iterations": float(self.inner_iterations)}


class Product:
    """The operator v -> H v; its calls count as `hessp` of the outer problem."""

    def __init__(self, hessp, x):
        self.hessp, self.x = hessp, x

    def __matmul__(self, v):
        return self.hessp(self.x, v)


@dataclass(frozen=True, kw_only=True)
class TruncatedNewton(Solver[SmoothProblem, TruncatedNewtonState]):
    """Newton's method for strictly convex f, the system solved by conjugate gradients.

    step:
        ``x <- x + alpha d``, H d ~ -grad f to a relative accuracy, alpha = 1, 1/2, 1/4, ... until f falls
    cost:
        one product with H per inner iteration, one objective per trial, one gradient

    Parameters
    ----------
    accuracy : float in (0, 1)
        Of the inner solve.
    inner : object
        The solver of the inner system.

    References
    ----------
    Dembo, Eisenstat and Steihaug, SIAM J. Numer. Anal. 19 (1982) 400-408.
    """

    solves = SmoothProblem
    state = TruncatedNewtonState
    needs = ("gradient", "hessp")
    refuses = ("bounds",)
    reference = "Dembo, Eisenstat and Steihaug 1982"
    accuracy: float = 1e-2
    inner: Any = field(default=ConjugateGradient(), compare=False)

    def __post_init__(self):
        known = isinstance(self.accuracy, float) and 0 < self.accuracy < 1
        require(known, "accuracy", self.accuracy, "a number in (0, 1)")
        require(isinstance(self.inner, Solver), "inner", self.inner, "a Solver")

    def begin(self, problem, x0, y0, rng, previous):
        gradient = problem.gradient(x0)
        value = problem.objective(x0)
        return TruncatedNewtonState(x=x0, value=value, gradient=gradient, residual=problem.measure(x0, gradient))

    def step(self, problem, state):
        try:
            system = LinearSystem(Product(problem.hessp, state.x), -state.gradient, spd=True, dtype=problem.dtype)
            found = solve(system, self.inner, stop=Stop(rtol=self.accuracy))
        except ProblemError as error:
            return state.give_up(Status.STALLED, f"the inner system cannot be solved: {error}")
        for name, count in found.counts.items():
            problem.counts[f"inner.{name}"] += count
        if not found.success:
            return state.give_up(Status.STALLED, f"hessp gave a system that cannot be solved: {found.message}")
        alpha = 1.0
        while not (value := problem.objective(state.x + alpha * found.x)) < state.value:
            alpha *= 0.5
            if alpha < 1e-6:
                return state.give_up(Status.STALLED, f"objective does not fall along the step, last value {value}")
        x = state.x + alpha * found.x
        gradient = problem.gradient(x)
        state.x, state.value, state.gradient, state.residual = x, value, gradient, problem.measure(x, gradient)
        state.inner_iterations = found.iterations
        state.iterations += 1
        return state


def quartic(tilt=1.0, dtype=np.float64):
    """Return min sum_i i x_i^2 / 2 + x_i^4 / 4 - tilt x_i, x of shape (8,)."""
    i = np.arange(1, 9).astype(dtype)
    return SmoothProblem(
        n=8,
        x0=np.full(8, 2.0),
        objective=lambda x: float(np.sum(i * x**2 / 2 + x**4 / 4 - tilt * x)),
        gradient=lambda x: i * x + x**3 - x.dtype.type(tilt),
        hessp=lambda x, v: (i + 3 * x**2) * v,
        dtype=dtype,
        name="quartic",
    )
