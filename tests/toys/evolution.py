"""d/dt u = R(u) for two species on two grids, and Heun's scheme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from resolvent.problems.base import Problem
from resolvent.solvers.base import Solver, State, require
from resolvent.solvers.stop import Status

__all__ = ["EvolutionProblem", "Heun", "relaxation"]


@dataclass(kw_only=True, eq=False, repr=False)
class EvolutionProblem(Problem):
    """d/dt u = collision(u) from u = x0 at t = 0 to t_end; u is a tuple of arrays.

    `invariants(u) -> dict` gives the numbers that the exact flow keeps. No residual is defined. `t_end` and
    `output_times` do not enter the identity, so that a run can be resumed with a later end.
    """

    collision: Callable[..., Any]
    t_end: float
    output_times: Sequence[float] = ()
    invariants: Callable[..., dict[str, float]] = lambda u: {}

    def __post_init__(self):
        super().__post_init__()
        self._wrap("collision", None, required=True)

    def next_time(self, t, dt):
        """Return t + dt, cut to t_end and the output times."""
        return min([t + dt, *(mark for mark in (*self.output_times, self.t_end) if mark > t)])

    def evaluations(self, counts):
        return float(counts.get("collision", 0))


@dataclass(kw_only=True, eq=False)
class HeunState(State):
    """The time, the invariants at its beginning and how far they have drifted."""

    t: float = 0.0
    reference: dict[str, float] = field(default_factory=dict)
    drift: dict[str, float] = field(default_factory=dict)

    def record(self):
        return {"t": self.t, **self.drift}


@dataclass(frozen=True, kw_only=True)
class Heun(Solver[EvolutionProblem, HeunState]):
    """Heun's explicit scheme of second order.

    step:
        ``u <- u + dt / 2 (R(u) + R(u + dt R(u)))``
    cost:
        two evaluations of R

    Parameters
    ----------
    dt : float > 0
        The largest step; steps are cut to the output times and to t_end.

    References
    ----------
    Heun, Z. Math. Phys. 45 (1900) 23-38.
    """

    solves = EvolutionProblem
    state = HeunState
    reference = "Heun 1900"
    usual_iterations = inf
    dt: float = 0.03

    def __post_init__(self):
        require(isinstance(self.dt, float) and self.dt > 0, "dt", self.dt, "a number > 0")

    def begin(self, problem, x0, y0, rng, previous):
        invariants = problem.invariants(x0)
        return HeunState(x=x0, reference=invariants, drift={f"{name}_error": 0.0 for name in invariants})

    def step(self, problem, state):
        if state.t < problem.t_end:
            t = problem.next_time(state.t, self.dt)
            x = _advance(problem.collision, state.x, t - state.t)
            kept = problem.invariants(x)
            state.drift = {f"{name}_error": abs(kept[name] - start) for name, start in state.reference.items()}
            state.x, state.t = x, t
            state.iterations += 1
        if state.t >= problem.t_end:
            state.give_up(Status.FINISHED, f"t reached t_end = {problem.t_end}")
        return state


def _advance(R, u, dt):
    k = R(u)
    later = R(tuple(a + dt * b for a, b in zip(u, k, strict=True)))
    return tuple(a + 0.5 * dt * (b + c) for a, b, c in zip(u, k, later, strict=True))


def relaxation(t_end=0.5, output_times=(0.2,), dtype=np.float64):
    """Return two distributions, on grids of other shapes, that relax to each other's mass."""
    rng = np.random.default_rng(3)
    light, heavy = np.full((4, 3), 1 / 12, dtype), np.full(5, 1 / 5, dtype)

    def collision(u):
        f, g = u
        return 3 * (g.sum() * light - f), 3 * (f.sum() * heavy - g)

    return EvolutionProblem(
        collision=collision,
        x0=(rng.random((4, 3)), rng.random(5)),
        t_end=t_end,
        output_times=output_times,
        invariants=lambda u: {"mass": float(u[0].sum() + u[1].sum())},
        dtype=dtype,
        name="relaxation",
    )
