"""From a suite to its tasks: one for each problem, repeat and solver that takes the problem."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from resolvent.bench.judge import RIGHT
from resolvent.bench.peers import Peer
from resolvent.bench.problems import Reference, unique
from resolvent.bench.reading import matches
from resolvent.bench.suite import SolverEntry, Suite
from resolvent.errors import OptionError

__all__ = ["Plan", "Task", "choose", "make_plan"]


@dataclass(frozen=True)
class Task:
    """One run: a problem, a solver, and which repeat of it."""

    suite: Suite
    problem: Reference
    solver: SolverEntry
    repeat: int

    @cached_property
    def key(self) -> str:
        """A hash of all that decides the result: a task is done when a record with its key is there."""
        facts = {
            "problem": self.problem.description,
            "solver": self.solver.description,
            "tolerance": self.suite.tolerance,
            "limits": asdict(self.suite.limits),
            "seed": self.suite.seed,
            "repeat": self.repeat,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    def message(self, history: str = "") -> dict[str, Any]:
        """Return what the worker has to know."""
        return {
            "problem": self.problem.description,
            "solver": self.solver.description,
            "tolerance": self.suite.tolerance,
            "limits": asdict(self.suite.limits),
            "seed": self.suite.seed + self.repeat,
            "history": history,
        }

    def heading(self) -> dict[str, Any]:
        """Return the part of the record that says what was run."""
        return {
            "key": self.key,
            "problem": self.problem.name,
            "source": self.problem.source,
            "solver": {"label": self.solver.label, **self.solver.description},
            "tolerance_asked": self.suite.tolerance,
            "limits": asdict(self.suite.limits),
            "seed": self.suite.seed + self.repeat,
            "repeat": self.repeat,
        }


@dataclass(frozen=True)
class Plan:
    """The tasks of a suite in the order in which they run, and what is left out of it, as pairs (what, reason)."""

    suite: Suite
    problems: tuple[Reference, ...]
    tasks: tuple[Task, ...]
    left_out: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept of it beside the records, in values of JSON."""
        suite = self.suite
        return {
            "suite": suite.name,
            "tolerance": suite.tolerance,
            "limits": asdict(suite.limits),
            "repeats": suite.repeats,
            "seed": suite.seed,
            "solvers": [
                {
                    "label": entry.label,
                    **entry.description,
                    "settings": entry.method.settings if isinstance(entry.method, Peer) else repr(entry.method),
                }
                for entry in suite.solvers
            ],
            "tables": [asdict(table) | {"solvers": list(table.solvers)} for table in suite.tables],
            "left_out": [list(pair) for pair in self.left_out],
            "tasks": [
                {"key": task.key, "problem": task.problem.name, "solver": task.solver.label} for task in self.tasks
            ],
        }


def make_plan(suite: Suite) -> Plan:
    """Return the plan of a suite: solvers of one problem follow each other, so that drifts of a machine hit all alike.

    Raises
    ------
    OptionError
        Two solvers are the same.
    """
    references: list[Reference] = []
    left_out: list[tuple[str, str]] = []
    for source in suite.problems:
        found, skipped = source.references()
        references += found
        left_out += skipped
    solvers = []
    for entry in suite.solvers:
        missing = entry.method.missing if isinstance(entry.method, Peer) else ""
        if missing:
            left_out.append((entry.label, missing))
        else:
            solvers.append(entry)
    problems = tuple(unique(references))
    tasks = tuple(
        Task(suite, problem, entry, repeat)
        for problem in problems
        for repeat in range(suite.repeats)
        for entry in solvers
        if entry.takes(problem)
    )
    _require_different(tasks)
    busy = {task.solver.label for task in tasks}
    left_out += [(entry.label, "takes none of the problems") for entry in solvers if entry.label not in busy]
    return Plan(suite, problems, tasks, tuple(left_out))


def _require_different(tasks: Iterable[Task]) -> None:
    first: dict[str, str] = {}
    for task in tasks:
        label = first.setdefault(task.key, task.solver.label)
        if label != task.solver.label:
            raise OptionError(f"the solvers {label!r} and {task.solver.label!r} are the same: give one of them options")


def choose(plan: Plan, patterns: Sequence[str]) -> list[Task]:
    """Return the tasks that the patterns of ``--only`` leave.

    Patterns that match problems choose among those, patterns that match solvers choose among these.

    Raises
    ------
    OptionError
        A pattern matches nothing.
    """
    problems, solvers = [], []
    for pattern in patterns:
        by_problem = any(task.problem.matches(pattern) for task in plan.tasks)
        by_solver = any(matches(task.solver.label, pattern) for task in plan.tasks)
        if not by_problem and not by_solver:
            raise OptionError(f"only is {pattern!r}, which matches no problem and no solver of {plan.suite.name}")
        problems += [pattern] if by_problem else []
        solvers += [pattern] if by_solver else []
    return [
        task
        for task in plan.tasks
        if (not problems or any(task.problem.matches(pattern) for pattern in problems))
        and (not solvers or any(matches(task.solver.label, pattern) for pattern in solvers))
    ]


def to_redo(tasks: Sequence[Task], records: Mapping[str, Mapping[str, Any]], redo: str) -> list[str]:
    """Return the keys of finished tasks that ``--redo`` names: "all", "failed", or a pattern.

    Raises
    ------
    OptionError
        The pattern matches nothing.
    """
    known = (task.problem.matches(redo) or matches(task.solver.label, redo) for task in tasks)
    if redo not in ("all", "failed") and not any(known):
        raise OptionError(f"redo is {redo!r}, expected all, failed, or a pattern that a problem or a solver matches")
    found = []
    for task in tasks:
        record = records.get(task.key)
        if record is None:
            continue
        if redo == "failed":
            wanted = record["verdict"] not in RIGHT
        else:
            wanted = redo == "all" or task.problem.matches(redo) or matches(task.solver.label, redo)
        if wanted:
            found.append(task.key)
    return found
