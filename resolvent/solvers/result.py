"""Result: what a run returns, whatever its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from textwrap import fill
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from resolvent.errors import BackendError, OptionError, SolveError
from resolvent.solvers.base import Solver, State
from resolvent.solvers.stop import Status, Stop
from resolvent.typing import Array, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Result"]

AXES = ("iterations", "seconds", "evaluations")


@dataclass(frozen=True, eq=False)
class Result:
    """What a run returns, whatever its end: the best answer of the method, and how it was found.

    Attributes
    ----------
    x : array, tuple of arrays or operator
    certificate : tuple
        The answer as the problem judges it: (x,) or (x, y).
    status : Status
    message : str
        Why the run ended, in one sentence.
    residual : float or None
        The problem's residual at x.
    scale : float
        The problem's scale at x.
    iterations : int
    seconds : float
        Over the whole run, resumed parts included, as `iterations`.
    counts : dict
        Evaluations of this call by name; `check.*` is the driver's own test, `inner.*` work of inner solvers.
    history : dict of arrays
        Of this call: "iterations", "seconds", "evaluations", "residual" and the columns of the method.
    state : State
        The running state: `start=result` begins a new run from it, `resume=result.state` goes on with the same run.
    solver : Solver
    stop : Stop
    problem_name : str
    seed : int or None
    """

    x: Point
    certificate: tuple[Any, ...]
    status: Status
    message: str
    residual: float | None
    scale: float
    iterations: int
    seconds: float
    counts: dict[str, int]
    history: dict[str, Array] = field(repr=False)
    state: State = field(repr=False)
    solver: Solver[Any, Any]
    stop: Stop
    problem_name: str
    seed: int | None

    @property
    def y(self) -> Any:
        """The multipliers, where the method has them, else None."""
        return self.certificate[1] if len(self.certificate) > 1 else None

    @property
    def tolerance(self) -> float:
        """``atol + rtol * scale`` at x."""
        return self.state.atol + self.state.rtol * self.scale

    @property
    def success(self) -> bool:
        """CONVERGED; or FINISHED where no residual is known, no tolerance was named, or it is met."""
        if self.status is Status.FINISHED:
            return self.residual is None or not self.stop.named or self.residual <= self.tolerance
        return self.status is Status.CONVERGED

    def raise_for_status(self) -> Self:
        """Return the result itself if it is a success.

        Raises
        ------
        SolveError
            It is none; the error carries the result.
        """
        if not self.success:
            raise SolveError(self)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return everything but x, the state and the solver's objects as JSON-safe values: nan and inf become None."""
        return {
            "status": self.status.name,
            "success": self.success,
            "message": self.message,
            "residual": _finite(self.residual),
            "scale": _finite(self.scale),
            "tolerance": _finite(self.tolerance),
            "iterations": self.iterations,
            "seconds": self.seconds,
            "counts": dict(self.counts),
            "history": {name: [_finite(v) for v in column.tolist()] for name, column in self.history.items()},
            "solver": type(self.solver).__name__,
            "problem": self.problem_name,
            "seed": self.seed,
        }

    def __str__(self) -> str:
        verdict = "success" if self.success else "no success"
        rows = [f"{type(self.solver).__name__} on {self.problem_name or 'the problem'}: {self.status.name} ({verdict})"]
        rows += [f"  {self.message or self.status.meaning}"]
        if self.residual is not None:
            rows += [f"  residual     {self.residual:.3e}   tolerance {self.tolerance:.3e}, scale {self.scale:.3e}"]
        rows += [f"  iterations   {self.iterations}", f"  seconds      {self.seconds:.3g}"]
        work = {name: n for name, n in self.counts.items() if "." not in name}
        checks = sum(n for name, n in self.counts.items() if name.startswith("check."))
        inner = {name: n for name, n in self.counts.items() if name.startswith("inner.")}
        if work or checks:
            text = ", ".join(f"{name} {n}" for name, n in work.items()) or "none"
            rows += [f"  evaluations  {text}" + (f"; {checks} more to check the answer" if checks else "")]
        if inner:
            rows += ["  inner work   " + ", ".join(f"{name[6:]} {n}" for name, n in inner.items())]
        last = {name: c[-1] for name, c in self.history.items() if name not in (*AXES, "residual")}
        if last:
            text = ", ".join(f"{name} {v:.4g}" for name, v in last.items())
            rows += [fill(text, 100, initial_indent="  at the end   ", subsequent_indent=15 * " ")]
        return "\n".join(rows)

    def plot(self, against: str = "iterations", ax: Axes | None = None) -> Axes:
        """Draw the residual, on a log scale, against "iterations", "seconds" or "evaluations".

        Parameters
        ----------
        against : str
        ax : matplotlib.axes.Axes, optional
            Default the current axes of pyplot.

        Raises
        ------
        BackendError
            Matplotlib is missing (extra ``plot``).
        OptionError
            For another axis.
        """
        if against not in AXES:
            raise OptionError(f"against is {against!r}, expected one of {', '.join(AXES)}")
        if ax is None:
            try:
                from matplotlib import pyplot as plt
            except ImportError:
                raise BackendError("plot needs Matplotlib: pip install 'resolvent[plot]'") from None
            ax = plt.gca()
        known = np.isfinite(self.history["residual"]) & (self.history["residual"] > 0)
        units = {"seconds": "seconds (wall clock)"}.get(against, against)
        label = (
            f"{type(self.solver).__name__}, {self.problem_name}" if self.problem_name else type(self.solver).__name__
        )
        ax.semilogy(self.history[against][known], self.history["residual"][known], ".-", label=label)
        ax.set(xlabel=units, ylabel="residual")
        ax.grid(True, which="major", alpha=0.3)
        ax.legend()
        return ax


def _finite(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else value
