"""Cost of the driver per iteration over a bare loop, of `import resolvent`, and of the first solve of a process.

    python benchmarks/driver.py

The driver: a null solver with a residual and six history columns, a callback and all limits set, 1e5 iterations, best
of 5, CPU time. Goal: at most 2 microseconds per iteration.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import process_time
from typing import Any, ClassVar

import numpy as np

import resolvent as rs
from resolvent.problems import NLP, Problem
from resolvent.solvers import Solver, State

ITERATIONS = 100_000


@dataclass(kw_only=True, eq=False)
class NullState(State):
    def record(self) -> dict[str, float]:
        return {"first": 1.0, "second": 2.0}


@dataclass(frozen=True, kw_only=True)
class Null(Solver[Problem, NullState]):
    solves: ClassVar[type[Problem]] = Problem
    state: ClassVar[type[State]] = NullState

    def begin(self, problem: Problem, x0: Any, y0: Any, rng: Any, previous: Any) -> NullState:
        return NullState(x=x0, residual=1.0)

    def step(self, problem: Problem, state: NullState) -> NullState:
        state.iterations += 1
        return state


def problem() -> NLP:
    return NLP(n=2, objective=lambda x: float(x @ x), gradient=lambda x: 2 * x, x0=np.ones(2))


def bare() -> float:
    p, solver = problem(), Null()
    state = solver.start(p)
    clock = process_time()
    for _ in range(ITERATIONS):
        state = solver.step(p, state)
    return process_time() - clock


def driven() -> float:
    p = problem()
    stop = rs.Stop(atol=1e-9, iterations=ITERATIONS, seconds=1e6, evaluations=1e12)
    clock = process_time()
    rs.solve(p, Null(), stop=stop, callback=lambda state: None)
    return process_time() - clock


def main() -> None:
    runs = [(bare(), driven()) for _ in range(5)]
    loop, driver = min(run[0] for run in runs), min(run[1] for run in runs)
    each = 1e6 / ITERATIONS
    print(f"per iteration: bare loop {loop * each:.2f} us, driven {driver * each:.2f} us", end="")
    print(f", the driver's part {(driver - loop) * each:.2f} us")


if __name__ == "__main__":
    main()
