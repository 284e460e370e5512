"""Stop and Status: when a run ends, and what its end is called."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import isnan
from typing import Any

import numpy as np

from resolvent.errors import OptionError

__all__ = ["Status", "Stop"]


class Status(IntEnum):
    """How a run ended. Ordered, so that the largest over several machines is the verdict of all."""

    RUNNING = 0
    CONVERGED = 1
    ITERATIONS = 2
    EVALUATIONS = 3
    SECONDS = 4
    USER = 5
    INTERRUPTED = 6
    FINISHED = 7
    STALLED = 8
    BREAKDOWN = 9
    UNBOUNDED = 10
    INFEASIBLE = 11
    DIVERGED = 12

    @property
    def meaning(self) -> str:
        """What the status says, in words."""
        return MEANING[self]


MEANING = {
    Status.RUNNING: "not stopped yet",
    Status.CONVERGED: "the residual met the tolerance, and a fresh evaluation agrees",
    Status.ITERATIONS: "the limit of iterations was reached",
    Status.EVALUATIONS: "the limit of evaluations was reached",
    Status.SECONDS: "the time limit was reached",
    Status.USER: "a callback asked to stop",
    Status.INTERRUPTED: "Ctrl-C asked to stop",
    Status.FINISHED: "the method is complete by itself",
    Status.STALLED: "the method cannot improve its answer",
    Status.BREAKDOWN: "the method met a case that it is not defined for",
    Status.UNBOUNDED: "the objective falls without end",
    Status.INFEASIBLE: "the problem has no answer, or none near the one returned",
    Status.DIVERGED: "a number became nan or inf",
}


@dataclass(frozen=True, kw_only=True)
class Stop:
    """When to stop: at ``residual <= atol + rtol * scale``, or at the first limit that is reached.

    Residual and scale are those of the problem, whatever the method. Limits count over the whole run, resumed parts
    included. The tolerance is tested before the limits.

    Parameters
    ----------
    atol, rtol : float >= 0, optional
        A missing one is 0 beside the other; both missing mean rtol = 1e-6, in float32 1e-4.
    iterations : float >= 0, optional
        None is the solver's `usual_iterations`, inf no limit.
    seconds : float >= 0, optional
        Wall-clock time, looked at between steps.
    evaluations : float >= 0, optional
        On the cost axis of the problem's class, looked at between steps.

    Raises
    ------
    OptionError
        For a value that is no number >= 0.

    Examples
    --------
    >>> import resolvent as rs
    >>> rs.Stop(atol=1e-8, seconds=60)
    Stop(atol=1e-08, rtol=None, iterations=None, seconds=60, evaluations=None)
    """

    atol: float | None = None
    rtol: float | None = None
    iterations: float | None = None
    seconds: float | None = None
    evaluations: float | None = None

    def __post_init__(self) -> None:
        for name in ("atol", "rtol", "iterations", "seconds", "evaluations"):
            value = getattr(self, name)
            if value is not None and not _is_limit(value):
                raise OptionError(f"Stop({name}={value!r}): {name} is {value!r}, expected a number >= 0 or None")

    @property
    def named(self) -> bool:
        """Whether the user named a tolerance."""
        return self.atol is not None or self.rtol is not None

    def tolerances(self, dtype: Any) -> tuple[float, float]:
        """Return atol and rtol for a run in `dtype`."""
        if not self.named:
            return 0.0, 1e-4 if np.dtype(dtype) == np.float32 else 1e-6
        return float(self.atol or 0.0), float(self.rtol or 0.0)


def _is_limit(value: Any) -> bool:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return not isnan(value) and bool(value >= 0)
