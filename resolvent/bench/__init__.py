"""Benchmark runs: suites of problems and solvers, run in a process of their own and judged on their answers.

>>> from resolvent import bench
>>> runs = bench.run("quick", "runs/quick", only=["HS7", "sketched newton"])  # doctest: +SKIP
>>> print(runs.table())  # doctest: +SKIP

The command `resolvent bench` does the same from a shell.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resolvent.bench.report import write_report
    from resolvent.bench.runner import run
    from resolvent.bench.runs import Runs, load
    from resolvent.bench.suite import Suite, find_suite

__all__ = ["Runs", "Suite", "find_suite", "load", "run", "write_report"]

_HOME = {
    "Runs": "runs",
    "Suite": "suite",
    "find_suite": "suite",
    "load": "runs",
    "run": "runner",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use: a worker must not import anything before its output is out of the way."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"resolvent.bench.{_HOME[name]}"), name)
    return value
