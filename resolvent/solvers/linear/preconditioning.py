"""What a Krylov solver takes as its option `preconditioner`, made into one function r -> z.

Either options with ``setup(system, previous=None)``, whose product is kept by the solver and updated for the next
system, or anything that applies by itself: an operator with ``@`` or a callable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from resolvent.problems.linear import LinearSystem
from resolvent.typing import Array

__all__ = ["applies", "set_up"]


def applies(preconditioner: Any) -> bool:
    """Whether an option value can serve as a preconditioner."""
    return preconditioner is None or any(hasattr(preconditioner, name) for name in ("setup", "__matmul__", "__call__"))


def set_up(preconditioner: Any, system: LinearSystem, previous: Any = None) -> tuple[Any, Callable[[Array], Array]]:
    """Return what is worth keeping of the set-up, and the function r -> M r.

    Parameters
    ----------
    preconditioner : object
    system : LinearSystem
    previous : optional
        What an earlier set-up kept; its arrays are used again where they fit.
    """
    if preconditioner is None:
        return None, lambda r: r
    kept = preconditioner.setup(system, previous) if hasattr(preconditioner, "setup") else preconditioner
    product = getattr(kept, "__matmul__", None) or kept
    if "singular" not in system.features():
        return kept, product
    return kept, lambda r: system.remove_null_space(product(r))
