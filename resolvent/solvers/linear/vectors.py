"""The vector work of Krylov methods: compiled passes for NumPy arrays, array formulas for all others.

What may be changed in place is changed in place, and returned in either case, so that a method is written once::

    x, r, norm = work.advance(x, r, p, q, alpha)
    p = work.direction(z, p, beta)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np

from resolvent.kernels import twin
from resolvent.problems.base import Problem
from resolvent.problems.linear import LinearSystem
from resolvent.typing import Array

__all__ = ["VectorWork", "vector_work"]

Numbers: TypeAlias = tuple[float, float, float, float, float, float, float]


class VectorWork(Protocol):
    """The operations, with sums in float64."""

    dot: Callable[[Array, Array], float]

    def advance(self, x: Array, r: Array, p: Array, q: Array, alpha: float) -> tuple[Array, Array, float]:
        """Return x + alpha p, r - alpha q without its part along the null space, and the norm of the latter."""

    def direction(self, z: Array, p: Array, beta: float) -> Array:
        """Return z + beta p."""

    def three_terms(self, y: Array, u: Array, v: Array, a: float, b: float) -> Array:
        """Return y - a u - b v, a new array."""

    def minimum_residual(
        self, x: Array, r: Array, w: Array, w_before: Array, z: Array, v: Array, y: Array, numbers: Numbers
    ) -> tuple[Array, Array, Array, Array, float]:
        """Return x, r, the new direction, the new z, and the norm of r.

        With ``a_1, a_2, a_3, tau, keep, part, scale = numbers`` the direction is (z - a_2 w - a_3 w_before) / a_1, and
        it takes the place of w_before; x + tau direction, r = keep r + part v, z = scale y.
        """


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

    def three_terms(self, y: Array, u: Array, v: Array, a: float, b: float) -> Array:
        return y - a * u - b * v

    def minimum_residual(
        self, x: Array, r: Array, w: Array, w_before: Array, z: Array, v: Array, y: Array, numbers: Numbers
    ) -> tuple[Array, Array, Array, Array, float]:
        a_1, a_2, a_3, tau, keep, part, scale = numbers
        direction = (z - a_2 * w - a_3 * w_before) / a_1
        r = keep * r + part * v
        return x + tau * direction, r, direction, scale * y, self.problem.norm(r)


class Compiled:
    """For NumPy arrays: x, r and p are changed in place, each operation is one pass."""

    def __init__(self, problem: LinearSystem) -> None:
        self._remove = problem.remove_null_space
        self.dot: Callable[[Array, Array], float] = twin("vectors", "dot", "cpu")
        names = ("advance", "direction", "three_terms", "minimum_residual")
        self._advance, self._direction, self._three_terms, self._minimum_residual = (
            twin("vectors", name, "cpu") for name in names
        )

    def advance(self, x: Array, r: Array, p: Array, q: Array, alpha: float) -> tuple[Array, Array, float]:
        square = self._advance(x, r, p, q, alpha)
        rest = self._remove(r)
        if rest is not r:  # the system is singular
            r, square = rest, self.dot(rest, rest)
        return x, r, square**0.5

    def direction(self, z: Array, p: Array, beta: float) -> Array:
        self._direction(z, p, beta)
        return p

    def three_terms(self, y: Array, u: Array, v: Array, a: float, b: float) -> Array:
        out = np.empty_like(u)
        self._three_terms(y, u, v, a, b, out)
        return out

    def minimum_residual(
        self, x: Array, r: Array, w: Array, w_before: Array, z: Array, v: Array, y: Array, numbers: Numbers
    ) -> tuple[Array, Array, Array, Array, float]:
        square = self._minimum_residual(x, r, w, w_before, z, v, y, numbers)
        return x, r, w_before, z, square**0.5
