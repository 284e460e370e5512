"""Memory of this process: a limit for a block of code, and the peak inside it.

The limit is one of address space (RLIMIT_AS), the only one that an ordinary user can set: `most` bytes beyond what is
mapped when the block begins, so that imported libraries do not count. An allocation beyond it raises MemoryError, or
ends the process where C code does not check. It is enforced on Linux alone, and not for memory of a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["memory_limit", "peak_memory", "reset_peak"]

_PROC = Path("/proc/self")


@contextmanager
def memory_limit(most: int) -> Iterator[None]:
    """Inside, at most `most` bytes more than at the start can be mapped."""
    mapped = _status("VmSize")
    if resource is None or mapped is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = mapped + most
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def reset_peak() -> None:
    """Begin to measure the peak anew, where the system can."""
    try:
        (_PROC / "clear_refs").write_text("5")
    except OSError:
        return


def peak_memory() -> int | None:
    """Return the largest resident memory in bytes since `reset_peak`, of the whole process where that did nothing."""
    peak = _status("VmHWM")
    if peak is None and resource is not None:
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return peak


def _status(name: str) -> int | None:
    try:
        text = (_PROC / "status").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None
