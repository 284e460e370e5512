"""The vector work of conjugate gradients: compiled passes for NumPy arrays, array formulas for all others.

What may be changed in place is changed in place, and returned in either case, so that a method is written once::

    x, r, norm = work.advance(x, r, p, q, alpha)
    p = work.direction(z, p, beta)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from resolvent.kernels import twin
from resolvent.problems.base import Problem
from resolvent.problems.linear import LinearSystem
from resolvent.typing import Array

__all__ = ["VectorWork", "vector_work"]


class VectorWork(Protocol):
    """The three operations, with sums in float64."""

    dot: Callable[[Array, Array], float]

    def advance(self, x: Array, r: Array, p: Array, q: Array, alpha: float) -> tuple[Array, Array, float]:
        """Return x + alpha p, r - alpha q without its part along the null space, and the norm of the latter."""

    def direction(self, z: Array, p: Array, beta: float) -> Array:
        """Return z + beta p."""


def vector_work(problem: LinearSystem, x: Array) -> VectorWork:
    """Return the operations for arrays like x; a problem that has its own inner product keeps it."""
    own = type(problem).dot is not Problem.dot or type(problem).norm is not Problem.norm
    return Formulas(problem) if own or not isinstance(x, np.ndarray) else Compiled(problem)


class Formulas:
    """For arrays of any library; each operation makes a new array."""

    def __init__(self, problem: LinearSystem) -> None:
        self.problem = problem
        self.dot: Callable[[Array, Array], float] = problem.dot

    def advance(self, x: Array, r: Array, p: Array, q: Array, alpha: float) -> tuple[Array, Array, float]:
        r = self.problem.remove_null_space(r - alpha * q)
        return x + alpha * p, r, self.problem.norm(r)

    def direction(self, z: Array, p: Array, beta: float) -> Array:
        return z + beta * p


class Compiled:
    """For NumPy arrays: x, r and p are changed in place, each operation is one pass."""

    def __init__(self, problem: LinearSystem) -> None:
        self._remove = problem.remove_null_space
        self.dot: Callable[[Array, Array], float] = twin("vectors", "dot", "cpu")
        self._advance, self._direction = twin("vectors", "advance", "cpu"), twin("vectors", "direction", "cpu")

    def advance(self, x: Array, r: Array, p: Array, q: Array, alpha: float) -> tuple[Array, Array, float]:
        square = self._advance(x, r, p, q, alpha)
        rest = self._remove(r)
        if rest is not r:  # the system is singular
            r, square = rest, self.dot(rest, rest)
        return x, r, square**0.5

    def direction(self, z: Array, p: Array, beta: float) -> Array:
        self._direction(z, p, beta)
        return p
