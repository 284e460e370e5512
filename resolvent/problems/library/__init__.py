"""Named problems with known answers, so that nothing has to be installed to run and to test solvers.

>>> from resolvent.problems import library
>>> library.load("HS7").name
'HS7'
>>> library.hs.hs7().name
'HS7'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from resolvent.problems.library.catalogue import Entry, entries, entry, load, names

if TYPE_CHECKING:
    from resolvent.problems.library import (
        boggs_tolle,
        catalogue,
        hs,
        lattice,
        paper_nlp,
        plume,
        poisson,
        regression,
        scalable,
        unconstrained,
    )

__all__ = [
    "Entry",
    "boggs_tolle",
    "catalogue",
    "entries",
    "entry",
    "hs",
    "lattice",
    "load",
    "names",
    "paper_nlp",
    "plume",
    "poisson",
    "regression",
    "scalable",
    "unconstrained",
]


def __getattr__(name: str) -> Any:
    """Import a module of problems at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
