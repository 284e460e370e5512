"""The worker: a process that reads one task per line (JSON) and answers in lines (JSON) until its input ends.

Before each phase of a task (build, warm_up, solve, judge) it writes a line ``{"phase": ..., ...}`` with what is known
so far, so that the runner can keep the time and has an honest record where the worker must be killed. The last line
of a task is its record, without a key "phase".

The protocol runs over private copies of standard input and output. The numbers 0 and 1 are pointed elsewhere before
anything is imported: a solver, or a library in C, that prints or reads cannot damage it.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import sys
from typing import Any, BinaryIO

__all__ = ["main"]


def main() -> None:
    """Serve tasks until the input ends."""
    tasks, answers = _private_streams()
    _die_with_the_runner()
    faulthandler.enable()

    def tell(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()

    from resolvent.bench.task import perform

    for line in tasks:
        tell(perform(json.loads(line), tell))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    tasks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return tasks, answers


def _die_with_the_runner() -> None:
    """Have Linux kill this process when the runner is killed, even inside a loop that never ends.

    Elsewhere the process ends with its task, at the first line that nobody reads.
    """
    if sys.platform.startswith("linux"):
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    main()
