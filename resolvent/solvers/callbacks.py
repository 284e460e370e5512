"""Ready callbacks: `Progress` prints, `Checkpoint` saves."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING

from resolvent.solvers.base import State
from resolvent.solvers.checkpoint import save_state
from resolvent.solvers.stop import Status

if TYPE_CHECKING:
    from resolvent.solvers.result import Result

__all__ = ["Checkpoint", "Progress"]


class Progress:
    """Print one aligned line now and then: iterations, residual, tolerance, evaluations, seconds.

    Parameters
    ----------
    every : float
        Seconds between two lines.

    Examples
    --------
    >>> import resolvent as rs
    >>> callback = rs.Progress(every=5.0)
    """

    def __init__(self, every: float = 1.0) -> None:
        self.every = every
        self._next = monotonic() + every
        self._header = False

    def __call__(self, state: State) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + self.every
            self._print(state)

    def _print(self, state: State) -> None:
        if not self._header:
            self._header = True
            print(f"{'iterations':>10s} {'residual':>10s} {'tolerance':>10s} {'evaluations':>12s} {'seconds':>9s}")
        residual = "-" if state.residual is None else f"{state.residual:.3e}"
        print(
            f"{state.iterations:>10d} {residual:>10s} {state.tolerance:>10.3e} {state.run.evaluations:>12.6g} "
            f"{state.run.seconds:>9.1f}",
            flush=True,
        )

    def end(self, result: Result) -> None:
        """Print how the run ended, where it lasted long enough to print anything."""
        if self._header:
            self._print(result.state)
            print(f"{result.status.name}: {result.message}", flush=True)


class Checkpoint:
    """Save the state to a file now and then, and at the end.

    The file is written atomically; ``resume=path`` goes on with the run bit for bit.

    Parameters
    ----------
    path : str or path
        ``.npz`` is added where it is missing.
    every : float
        Seconds between two files; 0 saves after each step.

    Examples
    --------
    >>> import resolvent as rs
    >>> callback = rs.Checkpoint("darcy", every=600)
    """

    def __init__(self, path: str | os.PathLike[str], every: float = 60.0) -> None:
        self.path, self.every = path, every
        self._next = monotonic() + every

    def __call__(self, state: State) -> None:
        if monotonic() >= self._next:
            save_state(state, self.path)
            self._next = monotonic() + self.every

    def end(self, result: Result) -> None:
        """Save the last state, unless the run diverged: then the last good file stands."""
        if result.status is not Status.DIVERGED:
            save_state(result.state, self.path)
