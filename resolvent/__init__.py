"""Scientific solvers: solver objects work on problem definitions, kernels do the hot loops.

>>> import resolvent as rs
>>> from resolvent.problems.library import hs
>>> from resolvent.solvers import SketchedNewton
>>> result = rs.solve(hs.hs7(), SketchedNewton())
>>> result.success
True
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resolvent import kernels, problems, solvers
    from resolvent.errors import BackendError, OptionError, ProblemError, ResolventError, SolveError
    from resolvent.parallel import num_threads, threads
    from resolvent.problems.derivatives import check_derivatives
    from resolvent.solvers.callbacks import Checkpoint, Progress
    from resolvent.solvers.checkpoint import load_state, save_state
    from resolvent.solvers.drive import Run, iterate, solve
    from resolvent.solvers.linear.solve_linear import solve_linear
    from resolvent.solvers.result import Result
    from resolvent.solvers.stop import Status, Stop

__version__ = "0.1.0"

logging.getLogger("resolvent").addHandler(logging.NullHandler())

_HOME = {
    "errors": ("BackendError", "OptionError", "ProblemError", "ResolventError", "SolveError"),
    "parallel": ("num_threads", "threads"),
    "problems.derivatives": ("check_derivatives",),
    "solvers.callbacks": ("Checkpoint", "Progress"),
    "solvers.checkpoint": ("load_state", "save_state"),
    "solvers.drive": ("Run", "iterate", "solve"),
    "solvers.linear.solve_linear": ("solve_linear",),
    "solvers.result": ("Result",),
    "solvers.stop": ("Status", "Stop"),
}
_NAMES = {name: home for home, names in _HOME.items() for name in names}
_PACKAGES = ("kernels", "problems", "solvers")

__all__ = [
    "BackendError",
    "Checkpoint",
    "OptionError",
    "ProblemError",
    "Progress",
    "ResolventError",
    "Result",
    "Run",
    "SolveError",
    "Status",
    "Stop",
    "check_derivatives",
    "iterate",
    "kernels",
    "load_state",
    "num_threads",
    "problems",
    "save_state",
    "solve",
    "solve_linear",
    "solvers",
    "threads",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that `import resolvent` costs next to nothing."""
    if name in _PACKAGES:
        return import_module(f"resolvent.{name}")
    if name not in _NAMES:
        raise AttributeError(f"module 'resolvent' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"resolvent.{_NAMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
