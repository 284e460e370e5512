"""What a direction is trained for. All losses ignore its length and its sign.

With z = f(r), r = A e, norm2(r) = 1, and the best step alpha = z^T r / z^T A z::

    ResidualLoss    mean of norm2(r - alpha A z)^2                        (Kaneda et al. 2023)
    EnergyLoss      mean of 1 - (z^T r)^2 / (z^T A z  e^T r)              in [0, 1]

The second is the square of the factor by which the step multiplies the error in the A-norm, which is what decides how
fast an iteration converges. `IteratedLoss` is the same after several steps of conjugate gradients with f as the
preconditioner, per step: it sees the few errors that f leaves, which the mean over random residuals hides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from resolvent.solvers.base import is_whole, require
from resolvent.solvers.learned.library import load_torch

__all__ = ["EnergyLoss", "IteratedLoss", "ResidualLoss"]

Model = Callable[[Any], Any]
"""From rows of residuals to rows of directions, both tensors (count, n)."""


@dataclass(frozen=True)
class ResidualLoss:
    """The squared residual after one step, as published."""

    def __call__(self, model: Model, apply: Model, R: Any, E: Any, rng: np.random.Generator) -> Any:
        """Return the loss for residuals R and errors E (count, n)."""
        Z = model(R)
        AZ = apply(Z)
        alpha = _inner(Z, R) / _inner(Z, AZ)
        return ((R - alpha * AZ) ** 2).sum(1).mean()


@dataclass(frozen=True)
class EnergyLoss:
    """The squared error in the A-norm after one step, relative to that before."""

    def __call__(self, model: Model, apply: Model, R: Any, E: Any, rng: np.random.Generator) -> Any:
        """Return the loss for residuals R and errors E (count, n)."""
        Z = model(R)
        return (1 - _inner(Z, R) ** 2 / (_inner(Z, apply(Z)) * _inner(E, R))).mean()


@dataclass(frozen=True)
class IteratedLoss:
    """The logarithm of the error in the A-norm after `steps` of preconditioned conjugate gradients, per step.

    Up to `before` steps, their number drawn at random, are taken without derivatives first: they leave the errors that
    the network is bad at.
    """

    steps: int = 5
    before: int = 25

    def __post_init__(self) -> None:
        require(is_whole(self.steps, least=1), "steps", self.steps, "a whole number >= 1")
        require(is_whole(self.before, least=0), "before", self.before, "a whole number >= 0")

    def __call__(self, model: Model, apply: Model, R: Any, E: Any, rng: np.random.Generator) -> Any:
        """Return the loss for residuals R and errors E (count, n)."""
        with load_torch().no_grad():
            R, E = _iterate(model, apply, R, E, int(rng.integers(self.before + 1)))
        first = _inner(E, R)
        R, E = _iterate(model, apply, R, E, self.steps)
        return ((_inner(E, R) / first).clamp_min(LEAST).log() / (2 * self.steps)).mean()


LEAST = 1e-24
"""A smaller reduction of the squared error is rounding."""


def _inner(a: Any, b: Any) -> Any:
    return (a * b).sum(1, keepdim=True)


def _iterate(model: Model, apply: Model, R: Any, E: Any, steps: int) -> tuple[Any, Any]:
    """Return residuals and errors after steps of conjugate gradients; it ends where they are lost in rounding."""
    start = float(_inner(R, R).detach().sum())
    P, rz = None, None
    for _ in range(steps):
        Z = model(R)
        new = _inner(R, Z)
        P = Z if P is None else Z + (new / rz) * P
        AP = apply(P)
        alpha = new / _inner(P, AP)
        left = R - alpha * AP
        if float(_inner(left, left).detach().sum()) < 1e-18 * start:
            break
        R, E, rz = left, E - alpha * P, new
    return R, E
