"""How many threads the kernels use. One, unless asked.

`RESOLVENT_NUM_THREADS` gives the number at import; `resolvent.threads(n)` changes it, for good when called, for a
block when used with `with`. Threads of BLAS are the user's own business.
"""

from __future__ import annotations

import os
from types import TracebackType

from resolvent.errors import OptionError

__all__ = ["num_threads", "threads"]


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
