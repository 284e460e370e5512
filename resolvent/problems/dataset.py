"""Data to learn from: residuals r = A e whose errors e are known, for networks that give search directions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.base import Problem
from resolvent.problems.linear import LinearSystem
from resolvent.typing import Array

__all__ = ["DirectionDataset", "Source", "contraction"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A system and residuals for it.

    Attributes
    ----------
    system : LinearSystem
    draw : callable
        ``draw(rng, count) -> (R, E)``, both (count, n): residuals of unit norm, and their errors, R[i] = A E[i].
    """

    system: LinearSystem
    draw: Callable[[np.random.Generator, int], tuple[Array, Array]]


@dataclass(eq=False, repr=False)
class DirectionDataset(Problem):
    """Learn a network f with f(r) near a multiple of A^{-1} r, for the systems A of the sources.

    The certificate is the network; its residual is the mean over the validation part of the factor by which a step of
    conjugate directions f(r) multiplies the error in the A-norm, over `steps` of them: 0 where f(r) is the error, 1
    where it is useless. The cost axis counts samples.

    Parameters
    ----------
    training : sequence of Source
    validation : sequence of Source
        Other systems, or the same ones with other residuals.
    count : int
        Residuals drawn from each source of the validation part.
    steps : int
        Conjugate directions taken for each of them. One step sees what f does on average, many what it is bad at.
    seed : int
        Of the validation part, which is drawn once.
    """

    training: tuple[Source, ...]
    validation: tuple[Source, ...]
    _: KW_ONLY
    count: int = 4
    steps: int = 1
    seed: int = 12345

    def __post_init__(self) -> None:
        super().__post_init__()
        self.training, self.validation = tuple(self.training), tuple(self.validation)
        if not self.training or not self.validation:
            raise ProblemError("training or validation is empty, expected at least one Source in each")
        rng = np.random.default_rng(self.seed)
        self._held = [(source.system, *source.draw(rng, self.count)) for source in self.validation]

    def point(self, x0: Any = None, y0: Any = None) -> tuple[Any, Any]:
        """Return a copy of the network to start from."""
        network = self.x0 if x0 is None else x0
        if not hasattr(network, "setup") or not hasattr(network, "weights"):
            raise ProblemError(f"x0 is {network!r}, expected a network with weights and setup(system)")
        return copy.deepcopy(network), None

    def residual(self, network: Any) -> float:
        factors = []
        for system, R, E in self._held:
            directions = network.setup(system)
            self.counts["samples"] += len(R)
            factors += [contraction(system, directions, r, e, self.steps) for r, e in zip(R, E, strict=True)]
        return float(np.mean(factors))

    def evaluations(self, counts: Mapping[str, int]) -> float:
        return float(counts.get("samples", 0))


def contraction(system: LinearSystem, directions: Any, r: Array, e: Array, steps: int = 1) -> float:
    """Return the factor by which a step along ``directions @ r`` multiplies the A-norm of the error e, r = A e.

    In [0, 1], the mean of `steps` steps, each direction made conjugate to the one before.
    """
    first, p, q, a = float(e @ r), None, None, 1.0
    for _ in range(steps):
        z = np.asarray(directions @ (r / np.linalg.norm(r)), np.float64)
        if p is not None and q is not None:
            z = z - (z @ q) / a * p
        p, q = z, system.A @ z
        a = float(p @ q)
        if not a > 0:
            return 1.0
        alpha = float(p @ r) / a
        r, e = r - alpha * q, e - alpha * p
        if float(e @ r) <= RELIABLE * first:
            break
    return float(max(0.0, float(e @ r) / first) ** (0.5 / steps))


RELIABLE = 1e-24
"""A squared error below this part of the first one is rounding."""
