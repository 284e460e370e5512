"""Problems: what is to be solved, and how wrong a candidate answer is."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from resolvent.problems import losses, terms
from resolvent.problems.base import Problem
from resolvent.problems.blocks import Blocks
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.derivatives import check_derivatives
from resolvent.problems.linear import LinearSystem
from resolvent.problems.models import LinearModel, Quadratic
from resolvent.problems.nlp import NLP
from resolvent.problems.smooth import SmoothProblem

if TYPE_CHECKING:
    from resolvent.problems import grids

__all__ = [
    "NLP",
    "Blocks",
    "CompositeProblem",
    "LinearModel",
    "LinearSystem",
    "Problem",
    "Quadratic",
    "SmoothProblem",
    "check_derivatives",
    "grids",
    "losses",
    "terms",
]


def __getattr__(name: str) -> Any:
    """Import `grids` at its first use: it loads SciPy."""
    if name != "grids":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.grids")
