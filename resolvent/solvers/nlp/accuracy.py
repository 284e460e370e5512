"""How accurately the Newton system has to be solved, as objects: `Accuracy.computable` and `Accuracy.paper`.

Both give the largest residual norm2(Gamma z - b) that is good enough, and say what to do when the direction found with
it is no descent direction of the merit function: ask for more accuracy, or move the penalties.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from resolvent.solvers.base import require
from resolvent.solvers.nlp.merit import Penalties
from resolvent.solvers.nlp.newton_system import NewtonSystem
from resolvent.typing import Array

__all__ = ["Accuracy", "Computable", "Paper"]


class Accuracy(ABC):
    """The rule. `level` is the number that it carries from one step to the next: kappa or delta."""

    @staticmethod
    def computable(*, largest: float = 0.1, power: float = 1.0, least: float = 1e-10) -> Accuracy:
        """Forcing terms (Eisenstat and Walker 1996): norm2(r) <= kappa norm2(b), kappa = min(largest, norm2(b)^power).

        Parameters
        ----------
        largest : float in (0, 1)
            The rate of convergence far from a solution.
        power : float in [0, 1]
            Near a solution the order of convergence is 1 + power.
        least : float in (0, 1)
            Where no direction of descent is found, kappa falls down to this before the penalties move.
        """
        return Computable(largest=largest, power=power, least=least)

    @staticmethod
    def paper(*, theta: float = 1.0, beta: float = 0.1, nu: float = 1.5, floor: float = 1e-6) -> Accuracy:
        """The condition as published: norm_F(Gamma) Psi norm2(r) <= theta delta norm2(b).

        Psi = 20 max(norm_F(B)^2, 1) / (min(xi_G, 1) min(xi_B, 1)) bounds norm2(Gamma^-1). It costs a dense eigenvalue
        problem per step, and asks for more than double precision has from a few variables up.

        Parameters
        ----------
        theta : float in (0, 1]
        beta : float in (0, 1/2)
            The Armijo constant.
        nu : float > 1
            The factor by which the penalties move.
        floor : float
            delta never falls below it (a safeguard of the authors' code).
        """
        return Paper(theta=theta, beta=beta, nu=nu, floor=floor)

    @abstractmethod
    def first(self) -> float:
        """Return the level at the start of a run."""

    @abstractmethod
    def begin(self, level: float, system: NewtonSystem, eta: Penalties, norm_b: float) -> float:
        """Return the level for a new step."""

    @property
    @abstractmethod
    def finest(self) -> float | None:
        """The level to try again with where a line search failed, None where there is no such level."""

    @abstractmethod
    def target(self, level: float, system: NewtonSystem, norm_b: float) -> float:
        """Return the largest norm2(r) that is good enough."""

    @abstractmethod
    def tighter(self, level: float) -> float | None:
        """Return the level to try before the penalties move, None where it is their turn."""

    @abstractmethod
    def after_raise(self, level: float, system: NewtonSystem, eta: Penalties) -> float:
        """Return the level after the penalties have moved to `eta`."""


@dataclass(frozen=True)
class Computable(Accuracy):
    """kappa = min(largest, norm2(b)^power)."""

    largest: float = 0.1
    power: float = 1.0
    least: float = 1e-10

    def __post_init__(self) -> None:
        require(0 < self.largest < 1, "largest", self.largest, "a number in (0, 1)")
        require(0 <= self.power <= 1, "power", self.power, "a number in [0, 1]")
        require(0 < self.least <= self.largest, "least", self.least, "a number in (0, largest]")

    def first(self) -> float:
        return self.largest

    def begin(self, level: float, system: NewtonSystem, eta: Penalties, norm_b: float) -> float:
        return float(max(self.least, min(self.largest, norm_b**self.power)))

    @property
    def finest(self) -> float | None:
        return self.least

    def target(self, level: float, system: NewtonSystem, norm_b: float) -> float:
        return level * norm_b

    def tighter(self, level: float) -> float | None:
        return max(self.least, 0.1 * level) if level > self.least else None

    def after_raise(self, level: float, system: NewtonSystem, eta: Penalties) -> float:
        return level


@dataclass(frozen=True)
class Paper(Accuracy):
    """norm_F(Gamma) Psi norm2(r) <= theta delta norm2(b)."""

    theta: float = 1.0
    beta: float = 0.1
    nu: float = 1.5
    floor: float = 1e-6
    first_delta: float = 0.1
    xi: float = 0.1

    def __post_init__(self) -> None:
        require(0 < self.theta <= 1, "theta", self.theta, "a number in (0, 1]")
        require(0 < self.beta < 0.5, "beta", self.beta, "a number in (0, 1/2)")
        require(self.nu > 1, "nu", self.nu, "a number > 1")
        require(self.floor >= 0, "floor", self.floor, "a number >= 0")

    def first(self) -> float:
        return self.first_delta

    def begin(self, level: float, system: NewtonSystem, eta: Penalties, norm_b: float) -> float:
        return max(min(level, self._trial(system, eta)), self.floor)

    @property
    def finest(self) -> float | None:
        return None

    def target(self, level: float, system: NewtonSystem, norm_b: float) -> float:
        assert system.matrix is not None
        return self.theta * level * norm_b / (_frobenius(system.matrix) * self._inverse_bound(system))

    def tighter(self, level: float) -> float | None:
        return None

    def after_raise(self, level: float, system: NewtonSystem, eta: Penalties) -> float:
        return max(min(level / self.nu**4, self._trial(system, eta)), self.floor)

    def _inverse_bound(self, system: NewtonSystem) -> float:
        """Return Psi."""
        B = _dense(system.H) + system.shift * np.eye(system.n)
        xi_G = smallest_square(system.G)
        return 20 * max(_frobenius(B) ** 2, 1) / (min(xi_G, 1) * min(self.xi, 1))

    def _trial(self, system: NewtonSystem, eta: Penalties) -> float:
        bound = max(_frobenius(_dense(system.G)), _frobenius(_dense(system.H)), 1)
        psi = self._inverse_bound(system)
        weight = 1 + eta.constraint + eta.gradient
        return (0.5 - self.beta) * eta.gradient / (weight * bound**2 * psi**2)


def smallest_square(G: Any) -> float:
    """Return xi_G = lambda_min(G G^T), 1 where there are no rows. Work: O(m^2 n), dense."""
    dense = _dense(G)
    if not len(dense):
        return 1.0
    return float(np.linalg.eigvalsh(dense @ dense.T)[0])


def _dense(A: Any) -> Array:
    return np.asarray(A.toarray() if hasattr(A, "toarray") else A)


def _frobenius(A: Any) -> float:
    entries = A.data if hasattr(A, "indptr") else A
    return sqrt(float(np.vdot(entries, entries)))
