"""Runs: the records of a suite, read from disk, and what can be said about them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from resolvent.bench.judge import SOLVED, is_worse
from resolvent.bench.profiles import LEAST_SECONDS, Profile, performance_profile, shifted_geometric_mean
from resolvent.bench.reading import condition, matches
from resolvent.bench.store import Record, read_json, read_records
from resolvent.bench.tables import Table
from resolvent.errors import OptionError
from resolvent.typing import Array

__all__ = ["COSTS", "Cell", "Group", "Runs", "load"]

COSTS = ("seconds", "evaluations", "iterations")

ENDED_FROM_OUTSIDE = ("KILLED", "CRASHED", "OUT_OF_MEMORY")


def load(out: str | os.PathLike[str]) -> Runs:
    """Return the records in a folder that `run` wrote, finished or not.

    Raises
    ------
    OptionError
        It holds no run, or a damaged one.
    """
    folder = Path(out)
    plan, machine = read_json(folder / "plan.json"), read_json(folder / "machine.json")
    if plan is None or machine is None:
        raise OptionError(f"{folder} holds no benchmark run")
    return Runs(folder, plan, machine, read_records(folder))


@dataclass(frozen=True)
class Cell:
    """All repeats of one solver on one problem. It is solved when all are."""

    records: tuple[Record, ...]

    @property
    def solved(self) -> bool:
        return all(record["verdict"] in SOLVED for record in self.records)

    @property
    def infeasible(self) -> bool:
        """Whether all repeats show a stationary point of the infeasibility."""
        return all(record["verdict"] == "verified infeasible" for record in self.records)

    @property
    def killed(self) -> bool:
        return not self.solved and any(record["status"] in ENDED_FROM_OUTSIDE for record in self.records)

    @property
    def false_claim(self) -> bool:
        return any(record["verdict"] == "claimed only" for record in self.records)

    @property
    def other_minimum(self) -> bool:
        return self.solved and any(record["verdict"] == "different minimum" for record in self.records)

    @property
    def letter(self) -> str:
        """The worst of the repeats as one letter; `LETTERS` has the words."""
        letters = [_letter(record) for record in self.records]
        return max(letters, key=list(LETTERS).index)

    def value(self, cost: str) -> float | None:
        """Return the median over the repeats of "seconds", "evaluations", "iterations" or another number."""
        found = [record["seconds"].get("solve") if cost == "seconds" else record[cost] for record in self.records]
        known = [value for value in found if value is not None]
        return median(known) if known else None


LETTERS = {
    "V": "verified",
    "U": "unclaimed but good",
    "D": "different minimum",
    "I": "verified infeasible",
    "F": "failed",
    "K": "killed at the time limit",
    "M": "out of memory",
    "X": "crashed",
    "E": "raised an exception",
    "C!": "CLAIM NOT VERIFIED",
}


def _letter(record: Record) -> str:
    by_status = {"KILLED": "K", "OUT_OF_MEMORY": "M", "CRASHED": "X", "EXCEPTION": "E"}
    if record["verdict"] == "failed" and record["status"] in by_status:
        return by_status[record["status"]]
    return next(letter for letter, word in LETTERS.items() if word == record["verdict"] or letter == "C!")


@dataclass(frozen=True)
class Group:
    """What stands in one table: problems in their order, solvers in theirs, and the cells that are known."""

    title: str
    problems: tuple[str, ...]
    solvers: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    limit: float

    @property
    def common(self) -> tuple[str, ...]:
        """The problems that all solvers have: costs are compared on these alone."""
        return tuple(p for p in self.problems if all((p, solver) in self.cells for solver in self.solvers))

    def costs(self, cost: str, problems: Sequence[str], solvers: Sequence[str]) -> Array:
        """Return the table of costs (problems, solvers), inf where not solved."""
        least = LEAST_SECONDS if cost == "seconds" else 1.0
        found = np.full((len(problems), len(solvers)), np.inf)
        for i, problem in enumerate(problems):
            for j, solver in enumerate(solvers):
                cell = self.cells[problem, solver]
                value = cell.value(cost) if cell.solved else None
                if value is not None:
                    found[i, j] = max(least, value)
        return found

    def profile(self, cost: str) -> Profile:
        """Return the performance profile over the common problems."""
        costs = self.costs(cost, self.common, self.solvers)
        return performance_profile(costs, cost=cost, solvers=self.solvers, problems=self.common)

    def mine(self, solver: str) -> list[Cell]:
        """Return the cells of one solver."""
        return [self.cells[problem, solver] for problem in self.problems if (problem, solver) in self.cells]

    def table(self) -> Table:
        """Return one row for each solver."""
        means = self._means()
        best = min((mean for mean in means.values() if mean > 0), default=float("nan"))
        some_infeasible = any(cell.infeasible for cell in self.cells.values())
        rows = []
        for solver in self.solvers:
            cells = self.mine(solver)
            good, killed = [cell for cell in cells if cell.solved], sum(cell.killed for cell in cells)
            infeasible = sum(cell.infeasible for cell in cells)
            row = [solver, f"{len(good)}/{len(cells)}"]
            row += [str(infeasible)] if some_infeasible else []
            row += [str(len(cells) - len(good) - killed - infeasible), str(killed)]
            row += [str(sum(cell.false_claim for cell in cells)), str(sum(cell.other_minimum for cell in cells))]
            row += [
                f"{means[solver] / best:.2f}" if self.common else "-",
                _median(good, "evaluations"),
                _median(good, "iterations"),
            ]
            rows.append(tuple(row))
        columns = ["solver", "solved", *(["infeasible"] if some_infeasible else []), "failed", "killed"]
        columns += ["false claims", "other minimum", "time (sgm)", "evaluations (median)", "iterations (median)"]
        notes = []
        if len(self.common) < len(self.problems):
            notes.append(f"times over the {len(self.common)} problems that all solvers of this table have")
        if not all(record["comparable_times"] for cell in self.cells.values() for record in cell.records):
            notes.append("times not comparable: several workers shared the cores")
        return Table(self.title, tuple(columns), tuple(rows), tuple(notes))

    def _means(self) -> dict[str, float]:
        """Return the shifted geometric mean of the seconds of each solver over the common problems."""
        costs = self.costs("seconds", self.common, self.solvers)
        return {solver: shifted_geometric_mean(costs[:, j], self.limit) for j, solver in enumerate(self.solvers)}

    def problem_table(self) -> Table:
        """Return one row for each problem: per solver the letter, iterations, evaluations, seconds and residual."""
        rows = []
        for problem in self.problems:
            cells = [self.cells.get((problem, solver)) for solver in self.solvers]
            first = next(record for cell in cells if cell is not None for record in cell.records)
            sizes = ["-" if first[name] is None else str(first[name]) for name in ("n", "m")]
            rows.append((problem, *sizes, *("-" if cell is None else _summary(cell) for cell in cells)))
        used = {cell.letter for cell in self.cells.values()}
        legend = ", ".join(f"{letter} {word}" for letter, word in LETTERS.items() if letter in used)
        notes = (f"{legend}; then iterations/evaluations, seconds, residual as checked",) if legend else ()
        return Table(self.title, ("problem", "n", "m", *self.solvers), tuple(rows), notes)


def _median(cells: Sequence[Cell], name: str) -> str:
    known = [value for cell in cells if (value := cell.value(name)) is not None]
    return f"{median(known):g}" if known else "-"


def _summary(cell: Cell) -> str:
    counts = "/".join(
        "-" if value is None else f"{value:g}" for value in map(cell.value, ("iterations", "evaluations"))
    )
    seconds, residual = cell.value("seconds"), cell.value("checked")
    return " ".join(
        [
            cell.letter,
            counts,
            "-" if seconds is None else _time(seconds),
            "-" if residual is None else f"{residual:.1e}",
        ]
    )


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.1f}ms" if seconds < 0.1 else f"{seconds:.2f}s" if seconds < 10 else f"{seconds:.0f}s"


class Runs:
    """The records of a suite.

    Attributes
    ----------
    folder : Path
    plan : dict
        plan.json: tolerance, limits, solvers, the tasks in their order, and what was left out.
    machine : dict
    records : list of dict
        Those of the present plan, in its order. Where the catalogue knows no best value, `best` is the lowest one
        verified in this run, and the verdict "different minimum" is passed here, not on disk.
    """

    def __init__(
        self, folder: Path, plan: dict[str, Any], machine: dict[str, Any], found: Mapping[str, Record]
    ) -> None:
        self.folder, self.plan, self.machine = folder, plan, machine
        self.records = _with_best([found[task["key"]] for task in plan["tasks"] if task["key"] in found])

    @property
    def missing(self) -> int:
        """How many tasks of the plan have no record yet."""
        return len(self.plan["tasks"]) - len(self.records)

    @property
    def skipped(self) -> list[Record]:
        """The records of tasks that could not be tried."""
        return [record for record in self.records if record["status"] == "SKIPPED"]

    @property
    def false_claims(self) -> list[Record]:
        """The records of answers that are not what their solver says."""
        return [record for record in self.records if record["verdict"] == "claimed only"]

    @cached_property
    def cells(self) -> dict[tuple[str, str], Cell]:
        """The repeats of each (problem, solver) together; skipped tasks and those with missing repeats are left out."""
        together: dict[tuple[str, str], list[Record]] = {}
        for record in self.records:
            if record["status"] != "SKIPPED":
                together.setdefault((record["problem"], record["solver"]["label"]), []).append(record)
        full = self.plan["repeats"]
        return {place: Cell(tuple(records)) for place, records in together.items() if len(records) == full}

    def groups(self) -> list[Group]:
        """Return the groups that the suite asks for; without a wish one for each problem class."""
        if self.plan["tables"]:
            wishes = [self._wish(table) for table in self.plan["tables"]]
        else:
            kinds = list(dict.fromkeys(cell.records[0]["class"] for cell in self.cells.values()))
            wishes = [(str(kind) if len(kinds) > 1 else "", _of_class(kind)) for kind in kinds]
        groups = [self._group(title, wanted) for title, wanted in wishes]
        return [group for group in groups if group.cells]

    def _wish(self, table: Mapping[str, Any]) -> tuple[str, Callable[[Record], bool]]:
        test, patterns = condition(table["where"]), table["solvers"]

        def wanted(record: Record) -> bool:
            label = record["solver"]["label"]
            return test(record["n"], record["m"]) and (not patterns or any(matches(label, one) for one in patterns))

        return table["title"], wanted

    def _group(self, title: str, wanted: Callable[[Record], bool]) -> Group:
        cells = {place: cell for place, cell in self.cells.items() if wanted(cell.records[0])}
        problems = dict.fromkeys(problem for problem, _ in cells)
        labels = [
            entry["label"] for entry in self.plan["solvers"] if any(label == entry["label"] for _, label in cells)
        ]
        return Group(title, tuple(problems), tuple(labels), cells, self.plan["limits"]["seconds"])

    def everything(self) -> Group:
        """Return all problems and solvers as one group."""
        return self._group(self.plan["suite"], lambda record: True)

    def table(self) -> Table:
        """Return one row for each solver, over all problems; `groups` splits them."""
        return self.everything().table()

    def profile(self, cost: str = "seconds") -> Profile:
        """Return the performance profile over the problems that all solvers have.

        Parameters
        ----------
        cost : str
            "seconds", "evaluations" or "iterations".
        """
        if cost not in COSTS:
            raise OptionError(f"cost is {cost!r}, expected one of {', '.join(COSTS)}")
        return self.everything().profile(cost)


def _of_class(kind: str | None) -> Callable[[Record], bool]:
    return lambda record: record["class"] == kind


def _with_best(records: Sequence[Record]) -> list[Record]:
    """Compare the objectives with the lowest one verified in the run, where the catalogue knows none."""
    lowest: dict[str, float] = {}
    for record in records:
        if record["verdict"] in SOLVED and record["corrected"] is not None:
            lowest[record["problem"]] = min(record["corrected"], lowest.get(record["problem"], record["corrected"]))
    found = []
    for record in records:
        if record["best"] is None and record["status"] != "SKIPPED":
            record = record | {"best": lowest.get(record["problem"])}
            if record["verdict"] in SOLVED and is_worse(record["corrected"], record["best"]):
                record["verdict"] = "different minimum"
        found.append(record)
    return found
