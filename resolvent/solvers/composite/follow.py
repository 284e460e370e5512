"""A path along which a working set is handed on, by bare steps, and each answer confirmed by its predictions alone.

The gap that a step ends with is that of its dual point, whose A^T theta took a pass over A. So predictions from their
definition make it the gap of x, whatever rounding those that were carried along have met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np

from resolvent.problems.composite import CompositeProblem
from resolvent.solvers.base import RunInfo
from resolvent.solvers.composite.working_set import WorkingSet
from resolvent.solvers.composite.working_set_state import WorkingSetState, confirm
from resolvent.solvers.history import History
from resolvent.solvers.result import Result
from resolvent.solvers.stop import Status, Stop

__all__ = ["follow", "is_followed", "result_of"]


def is_followed(problem: CompositeProblem, solver: Any, stop: Stop) -> bool:
    """Whether nothing has to be asked between two steps, and the dual point at hand is that of the gradient."""
    limits = stop.iterations, stop.seconds, stop.evaluations
    return type(solver) is WorkingSet and not problem.intercept and all(limit is None for limit in limits)


def follow(
    problems: Sequence[CompositeProblem], solver: WorkingSet, stop: Stop, interrupts: Sequence[int]
) -> Iterator[Result | None]:
    """Solve problems that differ in their terms, each from the answer of the last, until an interrupt.

    None stands where an answer is not confirmed.
    """
    state: Any = None
    rng = np.random.default_rng(0)
    identity = problems[0].identity()  # of all
    for problem in problems:
        begun = perf_counter()
        state = solver.start(problem) if state is None else solver.begin(problem, state.x.copy(), None, rng, state)
        state.atol, state.rtol = stop.tolerances(problem.dtype)
        state.limit = solver.usual_iterations
        while not (state.met or state.status or interrupts) and isfinite(state.residual):
            state = solver.step(problem, state)
            if state.iterations >= state.limit:
                break
        if interrupts:
            return
        if state.met:
            with problem.counted_as("check"):
                confirm(problem, state)
        yield result_of(problem, identity, state, solver, stop, perf_counter() - begun) if state.met else None


def result_of(
    problem: CompositeProblem, identity: str, state: WorkingSetState, solver: WorkingSet, stop: Stop, seconds: float
) -> Result:
    """Return the result of a run that ended in this state, which meets the tolerance."""
    evaluations = problem.evaluations(problem.counts)
    state.run = RunInfo(problem=identity, seconds=seconds, evaluations=evaluations)
    state.status = Status.CONVERGED
    state.message = f"residual {state.residual:.3e} <= tolerance {state.tolerance:.3e}"
    last = state.iterations, seconds, evaluations, state.residual, state.record()
    return Result(
        x=state.x, certificate=state.certificate(), status=state.status, message=state.message,
        residual=state.residual, scale=state.scale, iterations=state.iterations, seconds=seconds,
        counts={name: n for name, n in problem.counts.items() if n}, history=History().columns(last), state=state,
        solver=solver, stop=stop, problem_name=problem.name, seed=0,
    )  # fmt: skip
