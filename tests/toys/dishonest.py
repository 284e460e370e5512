"""Solvers that a driver must survive: one that lies, one that does nothing, one that only counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from resolvent.problems.base import Problem
from resolvent.solvers.base import Solver, State

__all__ = ["Counting", "Idle", "Lying"]


@dataclass(frozen=True, kw_only=True)
class Lying(Solver[Problem, State]):
    """Another method, whose state is changed by `lie(state)` after each step."""

    solves = Problem
    state = State
    method: Any
    lie: Any = field(compare=False)

    def begin(self, problem, x0, y0, rng, previous):
        return self.method.begin(problem, x0, y0, rng, previous)

    def step(self, problem, state):
        state = self.method.step(problem, state)
        self.lie(state)
        return state


@dataclass(frozen=True, kw_only=True)
class Idle(Solver[Problem, State]):
    """Its step returns the state as it came."""

    solves = Problem
    state = State

    def begin(self, problem, x0, y0, rng, previous):
        return State(x=x0, residual=1.0)

    def step(self, problem, state):
        return state


@dataclass(frozen=True, kw_only=True)
class Counting(Solver[Problem, State]):
    """Its step does nothing but count: what is left is the driver."""

    solves = Problem
    state = State

    def begin(self, problem, x0, y0, rng, previous):
        return State(x=x0, residual=1.0)

    def step(self, problem, state):
        state.iterations += 1
        return state
