"""Solvers and problems that misbehave, for workers to import."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from resolvent.errors import BackendError
from resolvent.problems import NLP, LinearSystem
from resolvent.solvers.base import Solver, State
from resolvent.solvers.stop import Status


def system(diagonal: float = 2.0) -> LinearSystem:
    return LinearSystem(np.diag([diagonal, 4.0]), [1.0, 1.0], spd=True, name="system")


def program() -> NLP:
    """A minimum of x^2 + y^2 on the line x + y = 2, from (2, 0)."""
    return NLP(
        n=2,
        m=1,
        objective=lambda x: float(x @ x),
        gradient=lambda x: 2 * x,
        constraint=lambda x: np.array([x.sum()]),
        jacobian=lambda x: np.ones((1, 2)),
        lagrangian_hessian=lambda x, y, sigma=1.0: 2 * sigma * np.eye(2),
        constraint_lower=2.0,
        constraint_upper=2.0,
        x0=[2.0, 0.0],
        name="program",
    )


def nowhere() -> LinearSystem:
    raise BackendError("nowhere needs something: pip install something")


@dataclass(kw_only=True, eq=False)
class FakeState(State):
    rng: Any = None


@dataclass(frozen=True, kw_only=True)
class Fake(Solver[LinearSystem, FakeState]):
    """Solves a diagonal system exactly, after `steps` steps of `seconds` each; makes the file `marker` in a step."""

    solves: ClassVar[type[LinearSystem]] = LinearSystem
    state: ClassVar[type[State]] = FakeState
    steps: int = 1
    seconds: float = 0.0
    marker: str = ""

    def begin(self, problem: Any, x0: Any, y0: Any, rng: Any, previous: Any) -> FakeState:
        return FakeState(x=x0, rng=rng, residual=problem.residual(x0), scale=problem.scale())

    def step(self, problem: Any, state: FakeState) -> FakeState:
        if self.marker:
            Path(self.marker).touch()
        self.act()
        time.sleep(self.seconds)
        state.iterations += 1
        # not quite the solution, so that the random numbers show in the record
        error = 1e-9 * state.rng.random() if state.iterations >= self.steps else 1.0
        state.x = problem.b / np.diag(problem.A) + error
        state.residual = problem.residual(state.x)
        return state

    def act(self) -> None:
        return


class Hang(Fake):
    def act(self) -> None:
        while True:
            time.sleep(1.0)


class Crash(Fake):
    def act(self) -> None:
        ctypes.string_at(0)


class Exit(Fake):
    def act(self) -> None:
        sys.exit(3)


class Vanish(Fake):
    def act(self) -> None:
        os._exit(0)


class Memory(Fake):
    def act(self) -> None:
        np.ones(2**33)


class Raise(Fake):
    def act(self) -> None:
        raise ValueError("no such luck")


class Print(Fake):
    def act(self) -> None:
        print('{"verdict": "verified"}', flush=True)
        os.write(1, b"noise\n")
        ctypes.CDLL(None).puts(b"more noise")
        assert sys.stdin.read() == ""


class Lie(Fake):
    """Says that it has finished, with an answer that nobody checked."""

    def step(self, problem: Any, state: FakeState) -> FakeState:
        state.residual, state.x, state.iterations = None, state.x + 1, 1
        return state.give_up(Status.FINISHED, "trust me")


class NotFinite(Fake):
    def step(self, problem: Any, state: FakeState) -> FakeState:
        state.x, state.iterations, state.residual = state.x * np.nan, 1, np.nan
        return state


@dataclass(frozen=True, kw_only=True)
class Warm(Fake):
    """Solves only after it was warmed up, which takes a while."""

    def warm_up(self, problem: Any) -> None:
        time.sleep(0.05)
        os.environ["BENCH_FAKES_WARM"] = "yes"

    def act(self) -> None:
        assert os.environ["BENCH_FAKES_WARM"] == "yes"


def command() -> int:
    """The command `resolvent`, of a code that stays the same though files are edited between two calls."""
    from resolvent.bench import machine
    from resolvent.cli import main

    machine.code_version = lambda: {"version": "0.1.0", "commit": None, "clean": None, "changes": None}
    return main()


if __name__ == "__main__":
    sys.exit(command())
