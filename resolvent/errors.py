"""The errors that resolvent raises on purpose.

Not converging is never an exception: it is a status of the result. Wrong input always is one, and its message
names the argument, what came and what was expected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resolvent.solvers.result import Result

__all__ = ["BackendError", "OptionError", "ProblemError", "ResolventError", "SolveError"]


class ResolventError(Exception):
    """Root of every error that the library raises on purpose."""


class ProblemError(ResolventError, ValueError):
    """A problem or a starting point is wrong: shape, dtype, missing function, inconsistent or non-finite data."""


class OptionError(ResolventError, ValueError):
    """An option of a solver, of a `Stop`, of the driver or of a suite is out of range."""


class BackendError(ResolventError, RuntimeError):
    """A library is missing, arrays live on different devices, or a kernel has no twin where its array lives."""


class SolveError(ResolventError, RuntimeError):
    """Raised by `Result.raise_for_status` alone.

    Attributes
    ----------
    result : Result
        The result that was no success.
    """

    def __init__(self, result: Result) -> None:
        super().__init__(f"{result.status.name}: {result.message}")
        self.result = result
