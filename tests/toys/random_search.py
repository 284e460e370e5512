"""Random search for min f(x) without derivatives: no residual is known at any step."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

import numpy as np

from resolvent.problems.smooth import SmoothProblem
from resolvent.solvers.base import Solver, State, require
from resolvent.solvers.stop import Status

__all__ = ["RandomSearch", "valley"]


@dataclass(kw_only=True, eq=False)
class RandomSearchState(State):
    """The best value, the radius, and the value that was tried last."""

    rng: np.random.Generator
    value: float
    tried: float
    radius: float = 1.0

    def record(self):
        return {"value": self.value, "radius": self.radius}


@dataclass(frozen=True, kw_only=True)
class RandomSearch(Solver[SmoothProblem, RandomSearchState]):
    """Random search with a radius that adapts.

    step:
        ``x <- the better one of x and x + radius N(0, I)``; the radius grows by 1.5 on success, else falls by 0.9
    cost:
        one objective

    Parameters
    ----------
    smallest : float > 0
        The radius at which the method has FINISHED.
    batch : int
        Trials in one step of the driver.

    References
    ----------
    Schumer and Steiglitz, IEEE Trans. Automat. Control 13 (1968) 270-276.
    """

    solves = SmoothProblem
    state = RandomSearchState
    reference = "Schumer and Steiglitz 1968"
    usual_iterations = inf
    smallest: float = 1e-2
    batch: int = 1

    def __post_init__(self):
        require(isinstance(self.smallest, float) and self.smallest > 0, "smallest", self.smallest, "a number > 0")
        require(isinstance(self.batch, int) and self.batch > 0, "batch", self.batch, "a whole number >= 1")

    def begin(self, problem, x0, y0, rng, previous):
        x = np.clip(x0, problem.lower, problem.upper)
        value = problem.objective(x)
        return RandomSearchState(x=x, rng=rng, value=value, tried=value)

    def step(self, problem, state):
        for _ in range(self.batch):
            if state.radius < self.smallest:
                if isfinite(state.tried):
                    return state.give_up(Status.FINISHED, f"the radius fell below {self.smallest:g}")
                return state.give_up(Status.STALLED, f"objective returned {state.tried} close to x")
            self._try(problem, state)
            if state.iterations >= state.limit:
                break
        return state

    def _try(self, problem, state):
        direction = state.rng.standard_normal(problem.n).astype(problem.dtype)
        x = np.clip(state.x + state.radius * direction, problem.lower, problem.upper)
        state.tried = problem.objective(x)
        if state.tried < state.value:
            state.x, state.value, state.radius = x, state.tried, 1.5 * state.radius
        else:
            state.radius *= 0.9
        state.iterations += 1


def valley(dtype=np.float64):
    """Return a narrow quadratic valley in two variables, without its gradient."""
    return SmoothProblem(
        n=2, x0=[2.0, -1.0], objective=lambda x: float(x[0] ** 2 + 10 * (x[1] - x[0]) ** 2), dtype=dtype, name="valley"
    )
