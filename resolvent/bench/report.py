"""The report of a run: Markdown with the machine, the suite, the tables, the false claims, and figures beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from resolvent.bench.figures import draw_profiles, missing_plot_extra
from resolvent.bench.judge import RIGHT, SOLVED
from resolvent.bench.runs import Group, Runs, load
from resolvent.bench.screen import false_claim
from resolvent.bench.tables import Table
from resolvent.caching import atomic_write

__all__ = ["write_report"]

FEWEST_PROBLEMS = 5
"""A profile of fewer problems says nothing."""

MEASURED = """\
Each task ran in a worker process that was kept between tasks and replaced after a kill or a crash. Three clocks are
kept apart: building the problem, warming up, and solving; the tables show the last, wall time, as the median of the
repeats. Times below 1 ms count as 1 ms in ratios. A run that does not end by itself is killed at the time limit plus
a quarter (at least 5 s). *time (sgm)* is the shifted geometric mean, exp(mean log(t + 10 s)) - 10 s, with unsolved
problems (verified infeasible ones too) at the time limit, relative to the best solver of the table. Counts do not
depend on the machine; times do.

An answer counts as solved when the residual of the problem itself, computed afresh in float64 at the returned point,
is at most atol + rtol * scale. What a solver says of itself does not count, but a claim that fails this check is shown
as a false claim. *Infeasible* counts answers that say so, at a stationary point of the constraint violation that is
not feasible. *Other minimum* counts solved problems where the objective is above the best known value by more than
1e-3 max(1, |best|); it is corrected to first order for what the constraints are violated by. Where no best value is
known, it is the lowest one in this run."""


def write_report(out: str | os.PathLike[str]) -> Path:
    """Write report.md, and figures where Matplotlib is installed, into the folder of a run; return its path.

    Raises
    ------
    OptionError
        The folder holds no run.
    """
    runs = load(out)
    text = "\n".join(_sections(runs)) + "\n"
    path = runs.folder / "report.md"
    atomic_write(path, lambda stream: stream.write(text.encode()))
    return path


def _sections(runs: Runs) -> Iterator[str]:
    plan = runs.plan
    yield f"# Benchmark run: {plan['suite']}\n"
    if runs.missing:
        yield f"**Not finished: {len(runs.records)} of {len(plan['tasks'])} tasks are done.**\n"
    groups = runs.groups()
    for number, group in enumerate(groups, 1):
        yield from _group(runs.folder, group, number)
    yield from _claims(runs)
    yield from _saddles(runs)
    yield from _unsolved(runs)
    yield "## What was run\n"
    yield _settings(runs).markdown() + "\n"
    yield _solvers(runs).markdown() + "\n"
    yield from _left_out(runs)
    yield "## How it was measured\n"
    yield MEASURED + "\n"
    yield "## Machine\n"
    yield _machine(runs).markdown() + "\n"
    for group in groups:
        yield f"## Problem by problem{': ' + group.title if group.title else ''}\n"
        yield group.problem_table().markdown() + "\n"


def _group(folder: Path, group: Group, number: int) -> Iterator[str]:
    yield f"## {group.title or 'Results'}\n"
    yield group.table().markdown() + "\n"
    if len(group.solvers) < 2 or not group.common:
        return
    yield _pairs(group).markdown() + "\n"
    if len(group.common) < FEWEST_PROBLEMS:
        return
    missing = missing_plot_extra()
    if missing:
        yield f"No figure: {missing}.\n"
        return
    name = f"figures/profile-{number}.png"
    draw_profiles(group, folder / name)
    yield f"![Performance profiles]({name})\n"
    yield "Left end of a curve: how often the solver was the cheapest. Right end: how many problems it solved.\n"


def _pairs(group: Group) -> Table:
    """Return for each pair how often the solver of the row solved with no more evaluations than that of the column."""
    wins = group.profile("evaluations").pairwise()
    rows = [
        (solver, *("" if i == j else f"{100 * wins[i, j]:.0f} %" for j in range(len(group.solvers))))
        for i, solver in enumerate(group.solvers)
    ]
    note = f"share of {len(group.common)} problems that the row solved with no more evaluations than the column"
    return Table("", ("pairs", *group.solvers), tuple(rows), (note,))


def _claims(runs: Runs) -> Iterator[str]:
    judged = [record for record in runs.records if record["status"] != "SKIPPED"]
    false = runs.false_claims
    yield "## False claims\n"
    agree = sum(record["claimed"] == (record["verdict"] in RIGHT) for record in judged)
    if judged:
        yield f"Claim and check agree in {agree} of {len(judged)} tasks ({100 * agree / len(judged):.1f} %).\n"
    if not false:
        yield "No solver claimed an answer that the check refuses.\n"
    for record in false:
        yield f"- **CLAIM NOT VERIFIED**: {false_claim(record)}"
    if false:
        yield ""


def _saddles(runs: Runs) -> Iterator[str]:
    """Name the solved tasks whose answer is stationary and no minimum."""
    found = [record for record in runs.records if record["verdict"] in SOLVED and record["second_order"] == "saddle"]
    if found:
        names = ", ".join(f"{record['problem']} ({record['solver']['label']})" for record in found)
        yield f"Solved, but at a saddle (the reduced Hessian has a negative eigenvalue): {names}.\n"


def _unsolved(runs: Runs) -> Iterator[str]:
    rows = [
        (record["problem"], record["solver"]["label"], record["status"], record["message"])
        for record in runs.records
        if record["verdict"] == "failed"
    ]
    if rows:
        yield "## Not solved\n"
        yield Table("", ("problem", "solver", "status", "why"), tuple(rows), words=(0, 1, 2, 3)).markdown() + "\n"


def _settings(runs: Runs) -> Table:
    plan, limits = runs.plan, runs.plan["limits"]
    rows = [
        ("tolerance", f"residual <= {_tolerance(plan['tolerance'])}"),
        ("time limit", f"{limits['seconds']:g} s"),
        ("memory limit", f"{limits['memory'] / 2**30:.3g} GiB of address space beyond the imports"),
        *((name, f"at most {limits[name]:g}") for name in ("iterations", "evaluations") if limits[name] is not None),
        ("repeats", str(plan["repeats"])),
        ("seed", str(plan["seed"])),
        ("code", ", ".join(dict.fromkeys(record["code"] for record in runs.records)) or "-"),
    ]
    return Table("", ("setting", "value"), tuple(rows), words=(0, 1))


def _tolerance(tolerance: Mapping[str, float]) -> str:
    parts = [f"{tolerance['atol']:g}"] if tolerance["atol"] else []
    parts += [f"{tolerance['rtol']:g} * scale"] if tolerance["rtol"] else []
    return " + ".join(parts) or "0"


def _solvers(runs: Runs) -> Table:
    rows = []
    for entry in runs.plan["solvers"]:
        name = entry.get("use") or f"peer {entry['peer']}"
        rows.append((entry["label"], f"`{name}`", entry["settings"]))
    return Table("", ("solver", "what", "options"), tuple(rows), words=(0, 1, 2))


def _left_out(runs: Runs) -> Iterator[str]:
    skipped = [(f"{one['problem']}, {one['solver']['label']}", one["message"]) for one in runs.skipped]
    rows = [*map(tuple, runs.plan["left_out"]), *skipped]
    if rows:
        yield "### Left out\n"
        yield Table("", ("what", "why"), tuple(rows), words=(0, 1)).markdown() + "\n"


def _machine(runs: Runs) -> Table:
    machine: Mapping[str, Any] = runs.machine
    code, memory = machine["code"], machine["memory"]
    commit = "-" if code["commit"] is None else code["commit"] + ("" if code["clean"] else " with uncommitted changes")
    rows = [
        ("processor", machine["cpu"]),
        ("cores", str(machine["cores"])),
        ("memory", "-" if memory is None else f"{memory / 2**30:.1f} GiB"),
        ("GPU", machine["gpu"] or "none"),
        ("system", machine["system"]),
        ("Python", machine["python"]),
        *((name, version or "not installed") for name, version in machine["packages"].items()),
        ("BLAS", machine["blas"]),
        ("threads", str(machine["threads"])),
        ("resolvent", code["version"]),
        ("commit", commit),
    ]
    return Table("", ("", "value"), tuple(rows), words=(0, 1))
