"""One task, from a description to a record: build, warm up, solve, judge."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from resolvent import problems
from resolvent.bench.building import build
from resolvent.bench.judge import judge
from resolvent.bench.memory import memory_limit, peak_memory, reset_peak
from resolvent.bench.peers import PEERS, Answer, Peer, solve_with_peer
from resolvent.bench.problems import best_value, build_problem
from resolvent.caching import atomic_write
from resolvent.errors import BackendError, ProblemError
from resolvent.solvers.base import Solver, require_match
from resolvent.solvers.drive import solve
from resolvent.solvers.result import Result
from resolvent.solvers.stop import Status, Stop

__all__ = ["blank_record", "perform"]

Tell = Callable[[dict[str, Any]], None]

DOING = {
    "build": "building the problem",
    "warm_up": "warming up",
    "solve": "solving",
    "judge": "judging the answer",
}


def blank_record() -> dict[str, Any]:
    """Return the part of a record that the worker fills, with nothing known."""
    return {
        "class": None,
        "n": None,
        "m": None,
        "status": "EXCEPTION",
        "message": "",
        "claimed": False,
        "residual": None,
        "checked": None,
        "scale": None,
        "tolerance": None,
        "objective": None,
        "corrected": None,
        "best": None,
        "second_order": None,
        "verdict": "failed",
        "iterations": None,
        "evaluations": None,
        "counts": {},
        "seconds": {},
        "cpu_seconds": {},
        "peak_memory": None,
    }


class Phases:
    """The clocks of a task; each phase is told of before it begins."""

    def __init__(self, record: dict[str, Any], tell: Tell) -> None:
        self.record, self.tell = record, tell
        self.now = ""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.now = name
        self.tell({"phase": name, "record": self.record})
        wall, cpu = perf_counter(), process_time()
        try:
            yield
        finally:
            self.record["seconds"][name] = perf_counter() - wall
            self.record["cpu_seconds"][name] = process_time() - cpu


def perform(task: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Return the record of a task, whatever happens short of the end of the process."""
    record = blank_record()
    phase = Phases(record, tell)
    reset_peak()
    try:
        with memory_limit(task["limits"]["memory"]):
            _carry_out(task, phase, record)
    except MemoryError:
        limit = task["limits"]["memory"] / 2**30
        text = f"out of memory while {DOING[phase.now]}, limit {limit:.3g} GiB"
        record.update(status="OUT_OF_MEMORY", message=text, verdict="failed")
    except BackendError as error:
        record.update(status="SKIPPED", message=str(error), verdict=None)
    # Code under test may raise anything, or ask to exit; the run goes on, and the record says what it was.
    except (Exception, SystemExit) as error:
        text = "; ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
        if phase.now == "judge":
            record["message"] = f"{record['message']} (the answer could not be judged: {text})"
        else:
            record.update(status="EXCEPTION", message=f"{text}, while {DOING[phase.now]}")
    for clocks in (record["seconds"], record["cpu_seconds"]):
        clocks.pop("judge", None)
    record["peak_memory"] = peak_memory()
    gc.collect()
    return record


def _carry_out(task: Mapping[str, Any], phase: Phases, record: dict[str, Any]) -> None:
    entry, limits = task["solver"], task["limits"]
    with phase("build"):
        problem = build_problem(task["problem"])
        solver = PEERS[entry["peer"]] if "peer" in entry else build({"use": entry["use"], **entry["options"]})
    record.update({"class": _class_name(problem), "n": _size(problem, "n"), "m": _size(problem, "m")})
    reason = _mismatch(problem, solver)
    if reason:
        record.update(status="SKIPPED", message=reason, verdict=None)
        return
    with phase("warm_up"):
        warm_up = getattr(solver, "warm_up", None)
        if warm_up is not None:
            warm_up(problem)
    stop = Stop(
        **task["tolerance"],
        seconds=limits["seconds"],
        iterations=float("inf") if limits["iterations"] is None else limits["iterations"],
        evaluations=limits["evaluations"],
    )
    with phase("solve"):
        if isinstance(solver, Peer):
            answer: Answer | Result = solve_with_peer(solver, problem, stop)
        else:
            answer = solve(problem, solver, stop=stop, rng=task["seed"])
    claim = _describe(answer, problem, record)
    if task["history"] and isinstance(answer, Result):
        columns: dict[str, Any] = dict(answer.history)
        atomic_write(Path(task["history"]), lambda stream: np.savez_compressed(stream, **columns))
    with phase("judge"):
        fresh, best = build_problem(task["problem"]), best_value(task["problem"])
        record.update(judge(fresh, answer.certificate, claim, task["tolerance"], best))


def _describe(answer: Answer | Result, problem: Any, record: dict[str, Any]) -> str:
    """Write what the solver says into the record, and return its claim."""
    if isinstance(answer, Result):
        counts, residual, good = answer.counts, answer.residual, answer.success
    else:
        counts, residual, good = dict(problem.counts), None, answer.status is Status.CONVERGED
    claim = "infeasible" if answer.status is Status.INFEASIBLE else "converged" if good else ""
    record.update(
        status=answer.status.name,
        message=answer.message,
        claimed=bool(claim),
        residual=residual,
        iterations=answer.iterations,
        evaluations=problem.evaluations(counts),
        counts=dict(sorted(counts.items())),
    )
    return claim


def _mismatch(problem: Any, solver: Solver[Any, Any] | Peer) -> str:
    """Return why the solver cannot take the problem; nothing where it can."""
    if isinstance(solver, Peer):
        return solver.missing or solver.objection(problem)
    try:
        require_match(problem, solver)
    except ProblemError as error:
        return str(error)
    return ""


def _class_name(problem: Any) -> str:
    """Return the public class that a problem belongs to: NLP for one of CUTEst."""
    line = type(problem).__mro__
    return next((kind.__name__ for kind in line if getattr(problems, kind.__name__, None) is kind), line[0].__name__)


def _size(problem: Any, name: str) -> int | None:
    size = getattr(problem, name, None)
    if size is None and name == "n" and isinstance(problem.x0, np.ndarray):
        size = problem.x0.size
    return None if size is None else int(size)
