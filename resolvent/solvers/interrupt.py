"""Ctrl-C: the first one ends the outermost run between two steps, the second raises."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interruptible", "nesting"]


class Nesting(threading.local):
    """How many steps of runs this thread is inside of."""

    depth = 0


nesting = Nesting()


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Inside, the first Ctrl-C fills the list, the second raises.

    The list stays empty where somebody else handles the signal: outside the main thread, under a user's handler, and
    in a run nested in another one, which would hand a truncated answer to the outer step.
    """
    interrupts: list[int] = []
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and nesting.depth == 0
    )
    if not ours:
        yield interrupts
        return

    def handler(number: int, frame: FrameType | None) -> None:
        if interrupts:
            raise KeyboardInterrupt
        interrupts.append(number)

    signal.signal(signal.SIGINT, handler)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
