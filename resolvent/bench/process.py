"""The runner's end of a worker: start it, hand it a task, hear what it says, end it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from resolvent.bench.machine import thread_variables

__all__ = ["JUDGING", "PREPARATION", "WorkerProcess", "hard_limit"]

PREPARATION = 300.0
"""Seconds for each of: starting a worker, building a problem, warming up. They are no part of the time limit."""
JUDGING = 120.0

Inbox = SimpleQueue[tuple["WorkerProcess", "bytes | None"]]
"""(worker, line), the line None where the worker's output has ended."""


def hard_limit(seconds: float) -> float:
    """Return when a worker is killed whose task has the time limit `seconds`, which it looks at between two steps."""
    return seconds + max(5.0, seconds / 4)


class WorkerProcess:
    """A worker and the task in its hands.

    Parameters
    ----------
    inbox : queue
        Where its lines go, from a thread that listens.
    threads : int
    log : Path
        Gets its standard error.
    cores : list of int
        The cores that it is bound to; empty for all.
    """

    def __init__(self, inbox: Inbox, threads: int, log: Path, cores: list[int]) -> None:
        # the worker must find the same modules as this process, wherever it was started
        places = os.pathsep.join(place or os.getcwd() for place in sys.path)
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "resolvent.bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **thread_variables(threads), "PYTHONPATH": places},
                start_new_session=True,
            )
        if cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self.process.pid, cores)
        self.task: Any = None
        self.started_at = ""
        self.phase = "start"
        self.begun = perf_counter()
        self.allowance = PREPARATION
        self.partial: dict[str, Any] | None = None
        self.listener = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        self.listener.start()

    def _listen(self, inbox: Inbox) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as answers:
            for line in answers:
                inbox.put((self, line))
        inbox.put((self, None))

    @property
    def elapsed(self) -> float:
        """Seconds in the present phase."""
        return perf_counter() - self.begun

    @property
    def left(self) -> float:
        """Seconds until the present phase must be over."""
        return self.allowance - self.elapsed

    def send(self, task: Any, message: dict[str, Any]) -> None:
        """Hand over a task. A worker that has died says so through its output."""
        self.task, self.partial = task, None
        self.started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.enter("start", PREPARATION)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def enter(self, phase: str, allowance: float) -> None:
        """Begin to measure a phase."""
        self.phase, self.begun, self.allowance = phase, perf_counter(), allowance

    def kill(self) -> None:
        """End the worker and all that it started."""
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.close()

    def close(self) -> None:
        """Let an idle worker go, and wait for its end."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.listener.join()

    def ending(self) -> str:
        """Return how a worker that is gone has ended."""
        code = self.process.wait()
        if code < 0:
            try:
                return signal.Signals(-code).name
            except ValueError:
                return f"signal {-code}"
        return f"exit code {code}"
