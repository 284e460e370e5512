"""What a run shows: one line for each task, under it on a terminal a bar, and at the end the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from resolvent.bench.plan import Plan
from resolvent.bench.process import hard_limit
from resolvent.bench.runs import Runs

__all__ = ["Screen", "show"]

WIDEST_PROBLEM = 24
STYLES = {
    "verified": "green",
    "unclaimed but good": "green",
    "different minimum": "cyan",
    "verified infeasible": "cyan",
    "CLAIM NOT VERIFIED": "bold red",
}


class Screen:
    """The observer of a run at a terminal, or writing plain lines where there is none.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C ended the run.
    """

    def __init__(self) -> None:
        self.console = Console()
        self.interrupted = False
        self.bar: Progress | None = None

    def begin(self, plan: Plan, todo: int, done: int, jobs: int) -> None:
        """Say what is to be run and what is left out."""
        suite = plan.suite
        self.widths = (
            min(WIDEST_PROBLEM, max((len(problem.name) for problem in plan.problems), default=0)),
            max(len(entry.label) for entry in suite.solvers),
        )
        parts = [
            f"{len(plan.problems)} problems x {len(suite.solvers)} solvers"
            + (f" x {suite.repeats} repeats" if suite.repeats > 1 else ""),
            f"{todo + done} tasks, {done} done",
            f"limit {suite.limits.seconds:g} s, {suite.limits.memory / 2**30:.3g} GiB",
            f"{jobs} worker{'s' if jobs > 1 else ''}",
        ]
        self._print(f"{suite.name}  {', '.join(parts)}", "bold")
        for what, reason in plan.left_out:
            self._print(f"left out: {what}: {reason}", "yellow")
        if done and not todo:
            self._print("all records are there; --redo all, failed or a PATTERN runs tasks again")
        if todo and self.console.is_terminal:
            columns = (
                TextColumn("done"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("about"),
                TimeRemainingColumn(),
                TextColumn("left"),
            )
            # drawn seldom: the task in hand may share our core
            self.bar = Progress(*columns, console=self.console, transient=True, refresh_per_second=1)
            self.bar.add_task("", total=todo + done, completed=done)
            self.bar.start()

    def record(self, record: Mapping[str, Any]) -> None:
        """Print the line of a task."""
        words, verdict = describe(record)
        name, label = record["problem"], record["solver"]["label"]
        head = f"{name:<{self.widths[0]}}  {label:<{self.widths[1]}}  "
        if record["repeat"]:
            words = f"{words}   repeat {record['repeat']}"
        self._print(f"{head}{words}", "", verdict)
        if self.bar is not None:
            self.bar.advance(self.bar.task_ids[0])

    def end(self, interrupted: bool) -> None:
        """Take the bar away."""
        self.interrupted = interrupted
        if self.bar is not None:
            self.bar.stop()

    def _print(self, text: str, style: str = "", verdict: str = "") -> None:
        if self.console.is_terminal:
            line = Text(text, style)
            line.append(f"   {verdict}" if verdict else "", STYLES.get(verdict, "red"))
            self.console.print(line, soft_wrap=True)
        else:
            print(f"{text}   {verdict}" if verdict else text, flush=True)


def describe(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return the end of a task in words, and its verdict as shown; the latter is empty where there was no answer."""
    status, message = record["status"], record["message"]
    if status == "KILLED" and "while solving" in message:
        return f"killed after {hard_limit(record['limits']['seconds']):g} s", ""
    if status in ("KILLED", "CRASHED", "OUT_OF_MEMORY", "EXCEPTION", "SKIPPED"):
        return f"{status.lower().replace('_', ' ')}: {message}", ""
    seconds, checked = record["seconds"]["solve"], record["checked"]
    evaluations = record["evaluations"]
    words = [
        f"{status.lower():<10}",
        f"it {record['iterations']:<6}",
        f"ev {'-' if evaluations is None else f'{evaluations:g}':<6}",
        f"{seconds:8.3f} s",
        f"res {'-' if checked is None else f'{checked:.1e}':<8}",
    ]
    verdict = record["verdict"]
    return "  ".join(words), "CLAIM NOT VERIFIED" if verdict == "claimed only" else verdict


def show(runs: Runs, problems: bool = False) -> None:
    """Print the tables of a run: one row for each solver, or on request one for each problem."""
    text = [group.problem_table() if problems else group.table() for group in runs.groups()]
    print("\n\n".join(str(table) for table in text) if text else "no task is finished yet")
    if runs.missing:
        print(f"\n{len(runs.records)} of {len(runs.plan['tasks'])} tasks are done")
    for what, reason in runs.plan["left_out"]:
        print(f"left out: {what}: {reason}")
    for record in runs.skipped:
        print(f"skipped: {record['problem']}, {record['solver']['label']}: {record['message']}")
    for record in runs.false_claims:
        print(f"CLAIM NOT VERIFIED: {false_claim(record)}")


def false_claim(record: Mapping[str, Any]) -> str:
    """Return a false claim in words: who says what, and what is true."""
    where = f"{record['solver']['label']} on {record['problem']}"
    if record["status"] == "INFEASIBLE":
        return f"{where} says INFEASIBLE: {record['message']}"
    if record["checked"] is None:
        return f"{where} says {record['status']}, but its answer has no residual: entries are not finite"
    return f"{where} says {record['status']}, but the residual is {record['checked']:.2e} > {record['tolerance']:.2e}"
