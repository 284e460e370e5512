"""What the library costs beside the work: the driver, the import, and the first solve of a process.

    python benchmarks/driver.py

* The driver's part of an iteration: a null solver with a residual and six history columns, a callback and all limits
  set, 1e5 iterations, best of 5, CPU time over a bare loop of the same steps. Goal: at most 2 microseconds.
* ``import resolvent``: median CPU of 21 interleaved runs, minus bare Python, beside that of numpy. Goal: at most 1.1.
* The first ``solve`` of a process, `SketchedNewton` on HS7 with kernels compiled earlier, numba and scipy.sparse.linalg
  imported before the clock (ours after it), beside one cached empty kernel. Goal: at most 0.2 CPU s more.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from time import process_time
from typing import Any, ClassVar

import numpy as np

import resolvent as rs
from resolvent.problems import NLP, LinearSystem, Problem, SmoothProblem
from resolvent.solvers import Solver, State

ITERATIONS = 100_000


@dataclass(kw_only=True, eq=False)
class NullState(State):
    def record(self) -> dict[str, float]:
        return {"first": 1.0, "second": 2.0}


@dataclass(frozen=True, kw_only=True)
class Null(Solver[Problem, NullState]):
    """A solver that does nothing, as fast as it can."""

    solves: ClassVar[type[Problem]] = Problem
    state: ClassVar[type[State]] = NullState

    def begin(self, problem: Problem, x0: Any, y0: Any, rng: Any, previous: Any) -> NullState:
        return NullState(x=x0, residual=1.0)

    def step(self, problem: Problem, state: NullState) -> NullState:
        state.iterations += 1
        return state


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "SmoothProblem": lambda: SmoothProblem(n=2, objective=lambda x: x @ x, gradient=lambda x: 2 * x, x0=np.ones(2)),
    "NLP": lambda: NLP(n=2, objective=lambda x: x @ x, gradient=lambda x: 2 * x, x0=np.ones(2)),
    "LinearSystem": lambda: LinearSystem(np.eye(2), np.ones(2)),
}


def bare(problem: Problem) -> float:
    solver = Null()
    state = solver.start(problem)
    clock = process_time()
    for _ in range(ITERATIONS):
        state = solver.step(problem, state)
    return process_time() - clock


def driven(problem: Problem) -> float:
    stop = rs.Stop(atol=1e-9, iterations=ITERATIONS, seconds=1e6, evaluations=1e12)
    clock = process_time()
    rs.solve(problem, Null(), stop=stop, callback=lambda state: None)
    return process_time() - clock


def cpu(*command: str) -> float:
    """CPU seconds of a child process."""
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


FIRST_SOLVE = """
import sys, time
import numba, scipy.sparse.linalg
import empty
if sys.argv[1] == "solve":
    clock = time.process_time()
    import resolvent as rs
    from resolvent.problems.library import hs
    from resolvent.solvers import SketchedNewton
    rs.solve(hs.hs7(), SketchedNewton())
else:
    clock = time.process_time()
    empty.kernel()
print(time.process_time() - clock)
"""


def first_call(what: str, folder: str) -> float:
    program = Path(folder) / "first.py"
    program.write_text(FIRST_SOLVE)
    (Path(folder) / "empty.py").write_text(
        "from numba import njit\n\n\n@njit(cache=True)\ndef kernel():\n    return 0\n"
    )
    done = subprocess.run([sys.executable, program, what], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    each = 1e6 / ITERATIONS
    for name, make in PROBLEMS.items():
        loop, driver = min(bare(make()) for _ in range(5)), min(driven(make()) for _ in range(5))
        print(
            f"driver, {name:14s} {(driver - loop) * each:.2f} us per iteration over a bare loop of {loop * each:.2f} us"
        )
    runs = [[cpu("-c", code) for code in ("pass", "import numpy", "import resolvent")] for _ in range(21)]
    python, numpy, ours = (median(column) for column in zip(*runs, strict=True))
    print(
        f"import: numpy {numpy - python:.3f} s, resolvent {ours - python:.3f} s, "
        f"ratio {(ours - python) / (numpy - python):.2f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        first_call("solve", folder), first_call("empty", folder)  # compiles
        solve = median(first_call("solve", folder) for _ in range(5))
        empty = median(first_call("empty", folder) for _ in range(5))
    print(f"first solve {solve:.3f} CPU s, one cached empty kernel {empty:.3f} CPU s, difference {solve - empty:.3f} s")


if __name__ == "__main__":
    main()
