"""The errors that resolvent raises on purpose.

Not converging is never an exception: it is a status of the result. Wrong input always is one, and its message
names the argument, what came and what was expected.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["BackendError", "OptionError", "ProblemError", "ResolventError", "SolveError", "did_you_mean"]


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

    def __init__(self, result: Any) -> None:
        super().__init__(f"{result.status.name}: {result.message}")
        self.result = result


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the known name most like `word`, in whatever case, or nothing."""
    from difflib import get_close_matches

    upper = {name.upper(): name for name in known}
    found = get_close_matches(word.upper(), upper, n=1, cutoff=0.5)
    if not found and len(upper) == 1:
        found = list(upper)
    return f"; did you mean {upper[found[0]]!r}?" if found else ""
