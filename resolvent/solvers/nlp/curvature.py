"""How H is made positive definite on the kernel of G, as objects: `Curvature.geometric` and `Curvature.published`.

The geometric rule starts from the true Hessian and raises t, by a factor of 8, until the direction shows no sign of
negative curvature. The sign is exact where the linear solver is a factorisation: Gamma has m negative eigenvalues if
and only if H + t I is positive definite on ker G (for G of full rank). Else it is the direction itself:
dx^T (H + t I) dx >= least norm2(dx)^2 wherever dx is nearly in ker G.

The published rule computes the smallest eigenvalue of the reduced Hessian Z^T H Z, Z a basis of ker G from a QR
factorisation of G^T, and where it is below a threshold takes t = xi + norm_F(H) at once. It also ends the run where
lambda_min(G G^T) is below a threshold. Dense, O(n^3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from resolvent.solvers.base import require
from resolvent.solvers.nlp.accuracy import smallest_square
from resolvent.solvers.nlp.newton_system import NewtonSystem
from resolvent.typing import Array

__all__ = ["Curvature", "Geometric", "Published"]


class Curvature(ABC):
    """The rule that chooses the shift t."""

    @staticmethod
    def geometric(*, first: float = 1e-4, growth: float = 8.0, decay: float = 3.0, least: float = 1e-8) -> Curvature:
        """Raise t until no negative curvature is seen.

        Parameters
        ----------
        first : float > 0
            The first shift of a run; later ones begin at the last one divided by `decay`.
        growth : float > 1
        decay : float >= 1
        least : float >= 0
            Curvature along a direction that counts as positive.
        """
        return Geometric(first=first, growth=growth, decay=decay, least=least)

    @staticmethod
    def published(*, xi: float = 0.1, least: float = 1e-6, rank: float = 1e-2) -> Curvature:
        """The shift xi + norm_F(H) at once where lambda_min(Z^T H Z) < least; "singular" where xi_G < rank."""
        return Published(xi=xi, least=least, rank=rank)

    @abstractmethod
    def trouble(self, system: NewtonSystem) -> str:
        """Return why the method is not defined at this point; empty where it is."""

    @abstractmethod
    def initial(self, system: NewtonSystem) -> float:
        """Return the shift to try first."""

    @abstractmethod
    def accepts(self, system: NewtonSystem, z: Array, negative: int | None) -> bool:
        """Whether a direction is free of negative curvature. `negative` counts eigenvalues of Gamma, if known."""

    @abstractmethod
    def larger(self, shift: float, last: float) -> float:
        """Return the shift to try after `shift` failed; `last` is that of the last step that needed one."""


@dataclass(frozen=True)
class Geometric(Curvature):
    """t <- max(first, 8 t)."""

    first: float = 1e-4
    growth: float = 8.0
    decay: float = 3.0
    least: float = 1e-8

    def __post_init__(self) -> None:
        require(self.first > 0, "first", self.first, "a number > 0")
        require(self.growth > 1, "growth", self.growth, "a number > 1")
        require(self.decay >= 1, "decay", self.decay, "a number >= 1")
        require(self.least >= 0, "least", self.least, "a number >= 0")

    def trouble(self, system: NewtonSystem) -> str:
        return ""

    def initial(self, system: NewtonSystem) -> float:
        return 0.0

    def accepts(self, system: NewtonSystem, z: Array, negative: int | None) -> bool:
        if negative is not None:
            return bool(negative == system.m)
        dx = z[: system.n]
        size = float(np.sqrt(dx @ dx))
        Gdx = system.G @ dx
        if float(np.sqrt(Gdx @ Gdx)) > 1e-3 * size:
            return True
        return bool(system.curvature(z) >= self.least * size**2)

    def larger(self, shift: float, last: float) -> float:
        if shift == 0:
            return self.first if last == 0 else max(1e-20, last / self.decay)
        return shift * (self.growth if last else 100.0)


@dataclass(frozen=True)
class Published(Curvature):
    """t = xi + norm_F(H) where the reduced Hessian is not positive definite."""

    xi: float = 0.1
    least: float = 1e-6
    rank: float = 1e-2

    def trouble(self, system: NewtonSystem) -> str:
        xi_G = smallest_square(system.G)
        return f"singular: lambda_min(G G^T) = {xi_G:.2e} < {self.rank:g}" if xi_G < self.rank else ""

    def initial(self, system: NewtonSystem) -> float:
        if system.m >= system.n:
            return 0.0
        H = system.H.toarray() if hasattr(system.H, "toarray") else system.H
        G = system.G.toarray() if hasattr(system.G, "toarray") else system.G
        Z = np.linalg.qr(G.T, mode="complete")[0][:, system.m :]
        if np.linalg.eigvalsh(Z.T @ H @ Z)[0] >= self.least:
            return 0.0
        return self.xi + float(np.linalg.norm(H))

    def accepts(self, system: NewtonSystem, z: Array, negative: int | None) -> bool:
        return True

    def larger(self, shift: float, last: float) -> float:
        raise AssertionError("the published shift is chosen once")
