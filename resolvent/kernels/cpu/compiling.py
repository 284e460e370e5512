"""How functions are compiled: the two decorators of all kernels, and what arithmetic may do to a sum.

A way to a function from Python takes 0.1 s to compile, one from C a fifth of that, often more than the loops within.
So kernels have none from C, and what they alone call has neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

__all__ = ["IN_ORDER", "REORDERED", "helper", "kernel"]

F = TypeVar("F", bound=Callable[..., Any])

IN_ORDER = frozenset({"contract", "nsz"})
"""Fused multiplications and no sign of zero; sums are taken in the order that is written, nan and inf are kept."""
REORDERED = IN_ORDER | {"reassoc"}
"""Sums may also be taken in another order, for SIMD."""


def kernel(fastmath: frozenset[str] = frozenset()) -> Callable[[F], F]:
    """Return a decorator for functions that Python calls: compiled at the first call, then kept on disk."""
    found: Callable[[F], F] = _compiled(fastmath, cache=True, no_cfunc_wrapper=True)
    return found


def helper(fastmath: frozenset[str] = frozenset(), **flags: bool) -> Callable[[F], F]:
    """Return a decorator for functions that compiled ones alone call."""
    found: Callable[[F], F] = _compiled(fastmath, no_cpython_wrapper=True, no_cfunc_wrapper=True, **flags)
    return found


def _compiled(fastmath: frozenset[str], **flags: bool) -> Any:
    return njit(nogil=True, error_model="numpy", fastmath=set(fastmath), **flags)  # type: ignore[call-overload]
