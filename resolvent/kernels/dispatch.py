"""Which twin of a kernel runs: the one where its first array lives.

``kernels.sketches.row_steps(A, ...)`` looks at A and calls ``kernels/cpu/sketches.py`` or ``kernels/gpu/sketches.py``,
imported on first use. The look costs less than a microsecond.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from resolvent import arrays
from resolvent.errors import BackendError

__all__ = ["Family", "twin"]


def twin(family: str, name: str, place: str) -> Callable[..., Any]:
    """Return the kernel `name` of the file `family` for arrays at `place`.

    Raises
    ------
    BackendError
        There is no such twin yet, or the library that it needs is missing.
    """
    if place == "gpu" and find_spec("cupy") is None:
        raise BackendError("kernels on a GPU need CuPy: pip install 'resolvent[gpu]'")
    kernel = _compiled(family, name) if place == "cpu" else _find(f"resolvent.kernels.{place}.{family}", name)
    if kernel is None:
        raise BackendError(f"the kernel {family}.{name} has no twin for arrays on the {place}; move them to the cpu")
    found: Callable[..., Any] = kernel
    return found


def _find(home: str, name: str) -> Any:
    return getattr(import_module(home), name, None) if find_spec(home) is not None else None


@cache
def _compiled(family: str, name: str) -> Any:
    """Return a CPU kernel; a cycle of multigrid asks for many."""
    return _find(f"resolvent.kernels.cpu.{family}", name)


class Family:
    """The kernels of one file, each dispatched at its call."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Callable[..., Any]:
        reference = import_module(f"resolvent.kernels.reference.{self._name}")
        if name not in reference.__all__:
            raise AttributeError(f"resolvent.kernels.{self._name} has no kernel {name!r}")

        def dispatched(first: Any, *rest: Any) -> Any:
            place = "cpu" if isinstance(first, np.ndarray) else arrays.place(first)
            return twin(self._name, name, place)(first, *rest)

        dispatched.__name__, dispatched.__doc__ = name, getattr(reference, name).__doc__
        setattr(self, name, dispatched)
        return dispatched
