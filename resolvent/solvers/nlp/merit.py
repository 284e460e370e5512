"""The differentiable exact augmented Lagrangian, and its penalties.

::

    M(x, y) = L(x, y) + (eta_1 / 2) norm2(c)^2 + (eta_2 / 2) norm2(g_L)^2,      g_L = grad f + G^T y

    grad_x M = g_L + eta_2 H g_L + eta_1 G^T c,        H = Hess_xx L
    grad_y M = c + eta_2 G g_L

A trial point costs f, grad f, c and G, no Hessian. With eta_1 large and eta_2 small its stationary points are those of
the program, and unit steps are accepted near a solution (no Maratos effect).

The slope along a direction z = (dx, dy) needs no product with H: with the residual r = Gamma z - b of the Newton
system, B = H + t I, and -delta I in its lower right block,

    H dx + G^T dy = r_x - g_L - t dx,          G dx = r_c - c + delta dy

    M' = g_L^T dx + c^T dy + eta_2 g_L^T (r_x - g_L - t dx) + eta_1 c^T (r_c - c + delta dy)

Reference: S. Na, M. Anitescu and M. Kolar, An adaptive stochastic sequential quadratic programming with differentiable
exact augmented Lagrangians, Math. Program. 199 (2023) 721-791; G. Di Pillo and S. Lucidi.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from resolvent.solvers.nlp.newton_system import NewtonSystem
from resolvent.typing import Array

__all__ = ["Penalties", "Slope", "merit", "slope"]


@dataclass
class Penalties:
    """eta_1 and eta_2 of the merit function."""

    constraint: float
    gradient: float

    def raised(self, factor: float) -> Penalties:
        """Return (factor^2 eta_1, eta_2 / factor)."""
        return Penalties(self.constraint * factor**2, self.gradient / factor)

    def moved(self, along: Slope, factor: float) -> Penalties:
        """Return penalties of which only the one that stands in the way of descent has moved.

        M' = a + eta_1 b_1 + eta_2 b_2: while a + eta_1 b_1 < 0 a smaller eta_2 helps, else a larger eta_1.
        """
        if along.lagrangian + self.constraint * along.constraint < 0:
            return Penalties(self.constraint, self.gradient / factor)
        return Penalties(self.constraint * factor**2, self.gradient)

    def relaxed(self, factor: float, start: Penalties) -> Penalties:
        """Return penalties moved back by one step, not beyond those of the start."""
        return Penalties(
            max(self.constraint / factor**2, min(start.constraint, self.constraint)),
            min(self.gradient * factor, max(start.gradient, self.gradient)),
        )

    @property
    def extreme(self) -> bool:
        """Whether they are beyond use: eta_1 > 1e8 or eta_2 < 1e-8 (the safeguard of the authors' code)."""
        return self.constraint > 1e8 or self.gradient < 1e-8


def merit(f: float, c: Array, y: Array, lagrangian_gradient: Array, eta: Penalties) -> float:
    """Return M at a point."""
    with np.errstate(over="ignore", invalid="ignore"):
        lagrangian = f + float(c @ y)
        return (
            lagrangian
            + 0.5 * eta.constraint * float(c @ c)
            + 0.5 * eta.gradient * float(lagrangian_gradient @ lagrangian_gradient)
        )


class Slope(NamedTuple):
    """The slope of M along a direction, as an affine function of the penalties."""

    lagrangian: float
    constraint: float
    gradient: float

    def at(self, eta: Penalties) -> float:
        """Return M' for given penalties."""
        return self.lagrangian + eta.constraint * self.constraint + eta.gradient * self.gradient


def slope(system: NewtonSystem, z: Array, r: Array) -> Slope:
    """Return the slope of M along z, whose residual Gamma z - b is r."""
    n = system.n
    g, c = -system.b[:n], -system.b[n:]
    dx, dy = z[:n], z[n:]
    return Slope(
        lagrangian=float(g @ dx + c @ dy),
        constraint=float(c @ (r[n:] - c + system.dual_shift * dy)),
        gradient=float(g @ (r[:n] - g - system.shift * dx)),
    )
