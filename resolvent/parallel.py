"""How many threads the kernels use. One, unless asked.

`RESOLVENT_NUM_THREADS` gives the number at import; `resolvent.threads(n)` changes it, for good when called, for a
block when used with `with`. Threads of BLAS are the user's own business.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from resolvent.errors import OptionError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["in_parts", "num_threads", "threads"]

T = TypeVar("T")

SMALL = 100_000
"""Work on fewer entries is not divided: handing it to a thread costs more."""


def _checked(value: object, name: str) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise OptionError(f"{name} is {value!r}, expected a whole number >= 1")
    return number


_threads = _checked(os.environ.get("RESOLVENT_NUM_THREADS") or 1, "RESOLVENT_NUM_THREADS")


def num_threads() -> int:
    """Return the number of threads that kernels may use."""
    return _threads


class threads:
    """Set the number of threads that kernels may use.

    Parameters
    ----------
    n : int
        At least 1. At 1 the serial kernels run and nothing parallel is ever compiled.

    Examples
    --------
    >>> import resolvent as rs
    >>> with rs.threads(2):
    ...     rs.num_threads()
    2
    >>> rs.num_threads()
    1
    """

    def __init__(self, n: int) -> None:
        global _threads
        self.before = _threads
        _threads = _checked(n, "threads(n)")

    def __enter__(self) -> threads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _threads
        _threads = self.before


def in_parts(part: Callable[[int, int], T], extent: int, size: float = inf) -> list[T]:
    """Call ``part(lo, hi)`` for all of ``range(extent)``, one piece for each thread, and return what they return.

    The parts have to release the GIL, and to write into places of their own. Where `size`, the number of entries they
    work on together, is below `SMALL`, there is one part.
    """
    count = min(_threads, extent) if size >= SMALL else 1
    if count <= 1:
        return [part(0, extent)]
    from concurrent.futures import wait

    cuts = [extent * i // count for i in range(count + 1)]
    others = [_pool(count - 1).submit(part, lo, hi) for lo, hi in pairwise(cuts[1:])]
    try:
        return [part(0, cuts[1]), *(other.result() for other in others)]
    finally:
        wait(others)  # where a part raises, the others still write


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(count, thread_name_prefix="resolvent")
