"""Term: what every term offers, and what terms by coordinate and terms of groups share.

The terms themselves are in `resolvent.problems.terms`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from resolvent import kernels
from resolvent.errors import ProblemError
from resolvent.kernels.reference import prox as reference
from resolvent.problems.blocks import Blocks
from resolvent.typing import Array

__all__ = ["DECREASE", "DISTANCE", "STEP", "ByCoordinate", "ByGroup", "GroupParameters", "Parameters", "Term"]

DISTANCE, STEP, DECREASE = reference.DISTANCE, reference.STEP, reference.DECREASE
"""The rules of `Term.scores`: GS-s, GS-r and GS-q of Nutini, Laradji and Schmidt."""


class Parameters(NamedTuple):
    """What kernels take of a separable term; arrays have one entry per coordinate, or one for all."""

    kind: int
    weight: Array
    ridge: Array
    lower: Array
    upper: Array
    gamma: float


class GroupParameters(NamedTuple):
    """What kernels take of a term of groups; `weight` has one entry per block."""

    pointers: Array
    indices: Array
    weight: Array
    l1: float


class Term(ABC):
    """g(x), a sum over blocks. The base of all terms.

    x is an array of any shape; slopes and gradients are like it. Scores have one entry per coordinate, or per block.

    Attributes
    ----------
    convex : bool
    has_conjugate : bool
    separable : bool
        Whether g is a sum over single coordinates.
    """

    convex: ClassVar[bool] = True
    has_conjugate: ClassVar[bool] = True
    separable: ClassVar[bool] = True

    def fit(self, shape: tuple[int, ...], blocks: Blocks | None) -> Term:
        """Return the term for an x of this shape, with the blocks of the problem where it has none of its own.

        Raises
        ------
        ProblemError
            Weights, bounds or blocks do not fit.
        """
        return self

    @property
    def blocks(self) -> Blocks | None:
        """Over which g is a sum; None for single coordinates."""
        return None

    @property
    def bounded(self) -> bool:
        """Whether there is a bound of a coordinate."""
        return False

    @property
    def holds_zero(self) -> bool:
        """Whether g is finite at 0."""
        return True

    @abstractmethod
    def value(self, x: Array) -> float:
        """Return g(x), inf outside its domain."""

    @abstractmethod
    def prox(self, v: Array, step: Any = 1.0) -> Array:
        """Return argmin_u norm2(u - v)^2 / (2 step) + g(u).

        `step` is a number > 0, or one per coordinate, for terms of groups one per block.
        """

    @abstractmethod
    def scores(self, x: Array, gradient: Array, curvature: Array, rule: int) -> Array:
        """Return how much each coordinate or block asks for a step.

        Parameters
        ----------
        x, gradient : array
            The gradient is that of the smooth part.
        curvature : array
            Bounds of its second derivatives, one per coordinate or per block.
        rule : int
            `DISTANCE` to the subdifferential, length of the proximal `STEP`, or `DECREASE` that it promises.
        """

    def scaled(self, factor: float) -> Term:
        """Return factor * g."""
        raise ProblemError(f"{type(self).__name__} has no weights to scale")

    # ---- duality

    @property
    def everywhere(self) -> bool:
        """Whether the conjugate is finite at every slope."""
        return False

    def conjugate(self, slope: Array) -> float | None:
        """Return g*(slope), inf outside its domain, None where there is no formula."""
        return None

    def gap(self, x: Array, slope: Array) -> float:
        """Return g(x) + g*(slope) - slope x >= 0, without cancellation."""
        raise ProblemError(f"{type(self).__name__} has no conjugate, so that no gap is defined")

    def dual_scale(self, slope: Array) -> float:
        """Return the largest t <= 1 for which the conjugate is finite at t slope, a rounding less where t < 1."""
        t = self._scale(slope)
        return t * (1 - 1e-15) if t < 1 else 1.0

    def null(self, slope: Array) -> Array | None:
        """Return where the slope is not allowed at any scale (weight zero), like x; None where that cannot be."""
        return None

    def lambda_max(self, gradient_at_zero: Array) -> float:
        """Return the smallest factor with which `scaled` makes zero optimal, inf where none does.

        Coordinates of weight zero are left out: give the gradient where they are optimal and the others zero.
        """
        raise ProblemError(f"{type(self).__name__} has no weights to scale")

    def _scale(self, slope: Array) -> float:
        """Return the largest t for which the conjugate is finite at t slope."""
        raise ProblemError(f"{type(self).__name__} has no conjugate")


# ---- separable terms


class ByCoordinate(Term):
    """A term whose formulas are the separable ones of the kernels."""

    kind: ClassVar[int] = 0

    @abstractmethod
    def _numbers(self) -> tuple[Any, Any, Any, Any]:
        """Return weight, ridge, lower and upper bound, numbers or arrays."""

    @property
    def _gamma(self) -> float:
        return 1.0

    def parameters(self, shape: tuple[int, ...], dtype: Any = np.float64) -> Parameters:
        """Return what kernels take, for a flat x of this shape. The last answer is kept: solvers ask many times."""
        asked, known = self.__dict__.get("_answer", (None, None))
        if asked == (shape, dtype):
            found: Parameters = known
            return found
        weight, ridge, lower, upper = (flat(v, shape, dtype) for v in self._numbers())
        found = Parameters(self.kind, weight, ridge, lower, upper, self._gamma)
        object.__setattr__(self, "_answer", ((shape, dtype), found))
        return found

    def fit(self, shape: tuple[int, ...], blocks: Blocks | None) -> Term:
        self.parameters(shape)
        return self

    def value(self, x: Array) -> float:
        return float(kernels.prox.value(x.ravel(), *self.parameters(x.shape)[1:5]))

    def prox(self, v: Array, step: Any = 1.0) -> Array:
        out = np.empty(v.size, v.dtype)
        kernels.prox.prox(v.ravel(), flat(step, v.shape), *self.parameters(v.shape)[1:5], out)
        return out.reshape(v.shape)

    def scores(self, x: Array, gradient: Array, curvature: Array, rule: int) -> Array:
        out = np.empty(x.size, x.dtype)
        _, weight, ridge, lower, upper, _ = self.parameters(x.shape)
        curvature = flat(curvature, x.shape)
        kernels.prox.scores(x.ravel(), gradient.ravel(), curvature, weight, ridge, lower, upper, rule, out)
        return out.reshape(x.shape)

    @property
    def bounded(self) -> bool:
        return bool(np.isfinite(self._numbers()[2]).any() or np.isfinite(self._numbers()[3]).any())

    @property
    def holds_zero(self) -> bool:
        _, _, lower, upper = self._numbers()
        if isinstance(lower, float) and isinstance(upper, float):
            return lower <= 0 <= upper
        return bool(np.max(lower) <= 0 <= np.min(upper))

    @property
    def everywhere(self) -> bool:
        _, ridge, lower, upper = self._numbers()
        return self.convex and bool(((np.asarray(ridge) > 0) | (np.isfinite(lower) & np.isfinite(upper))).all())

    def conjugate(self, slope: Array) -> float | None:
        """Return ``sum_j slope_j u_j - g_j(u_j)`` at the u that maximises it, None where the term is not convex."""
        if not self.convex:
            return None
        p = self.parameters(slope.shape)
        bounds = np.array(np.broadcast_arrays(*p[1:5], slope.ravel())[2:4])
        zero = np.clip(0.0, *bounds)
        found = kernels.prox.gap(zero, slope.ravel(), *p[1:5])
        return float(found + slope.ravel() @ zero - kernels.prox.value(zero, *p[1:5]))

    def gap(self, x: Array, slope: Array) -> float:
        if not self.convex:
            return super().gap(x, slope)
        return float(kernels.prox.gap(x.ravel(), slope.ravel(), *self.parameters(x.shape)[1:5]))

    def null(self, slope: Array) -> Array | None:
        _, weight, ridge, lower, upper, _ = self.parameters(slope.shape)
        if (weight > 0).all():
            return None
        c = slope.ravel()
        open_ = ((c > 0) & (upper == np.inf)) | ((c < 0) & (lower == -np.inf))
        found: Array = (weight == 0) & (ridge == 0) & open_
        return found.reshape(slope.shape)

    def lambda_max(self, gradient_at_zero: Array) -> float:
        _, weight, _, lower, upper, _ = self.parameters(gradient_at_zero.shape)
        if (lower > 0).any() or (upper < 0).any():
            return np.inf
        slope = -gradient_at_zero.ravel()
        weight, lower, upper = (np.broadcast_to(v, slope.shape) for v in (weight, lower, upper))
        some = weight > 0
        if not some.any():
            return np.inf if slope.any() else 0.0
        sides = (np.where(lower < 0, -np.inf, 0.0)[some], np.where(upper > 0, np.inf, 0.0)[some])
        t = reference.dual_scale(slope[some], weight[some], np.zeros(1), *sides)  # asked for once: not worth compiling
        return 1 / t

    def _scale(self, slope: Array) -> float:
        if not self.convex:
            return super()._scale(slope)
        return float(kernels.prox.dual_scale(slope.ravel(), *self.parameters(slope.shape)[1:5]))


# ---- terms of groups

LITTLE = 2000
"""Up to so many entries formulas of groups are NumPy's: to compile them takes longer than most models of that size."""


def _formulas(x: Array) -> Any:
    return reference if x.size <= LITTLE else kernels.prox


class ByGroup(Term):
    """A term whose formulas are those of groups in the kernels."""

    separable: ClassVar[bool] = False
    blocks: Any
    weight: Any

    def _check(self) -> None:
        own_weights(self, "weight")
        if self.blocks is not None and not isinstance(self.blocks, Blocks):
            raise ProblemError(f"blocks are {self.blocks!r}, expected Blocks, as Blocks.equal(p, size)")

    def fit(self, shape: tuple[int, ...], blocks: Blocks | None) -> Term:
        own = blocks if self.blocks is None else self.blocks
        if own is None:
            raise ProblemError(f"{type(self).__name__} has no blocks; give them to it or to the problem")
        own.require_cover(int(np.prod(shape)))
        if np.ndim(self.weight) and len(self.weight) != len(own):
            raise ProblemError(
                f"weight has shape {self.weight.shape}, expected a number or ({len(own)},), one per block"
            )
        return self if self.blocks is own else dataclasses.replace(self, blocks=own)  # type: ignore[type-var]

    def parameters(self, shape: tuple[int, ...] = (), dtype: Any = np.float64) -> GroupParameters:
        """Return what kernels take."""
        weight, l1 = self._shares()
        if np.ndim(self.weight) == 0:
            weight = weight * np.sqrt(self.blocks.sizes)
        return GroupParameters(self.blocks.pointers, self.blocks.indices, weight.astype(dtype, copy=False), l1)

    @abstractmethod
    def _shares(self) -> tuple[Array, float]:
        """Return the weights of the norms and of the L1 norm."""

    def value(self, x: Array) -> float:
        return float(_formulas(x).group_value(x.ravel(), *self.parameters()))

    def prox(self, v: Array, step: Any = 1.0) -> Array:
        out = np.empty(v.size, v.dtype)
        kernels.prox.group_prox(v.ravel(), np.atleast_1d(np.asarray(step, np.float64)), *self.parameters(), out)
        return out.reshape(v.shape)

    def scores(self, x: Array, gradient: Array, curvature: Array, rule: int) -> Array:
        out = np.empty(len(self.blocks), x.dtype)
        pointers, indices, weight, l1 = self.parameters()
        curvature = np.atleast_1d(np.asarray(curvature))
        _formulas(x).group_scores(x.ravel(), gradient.ravel(), curvature, pointers, indices, weight, l1, rule, out)
        return out

    def scaled(self, factor: float) -> Self:
        return dataclasses.replace(self, weight=self.weight * factor)  # type: ignore[type-var]

    def conjugate(self, slope: Array) -> float:
        return 0.0 if self._scale(slope) * (1 + reference.SLACK) >= 1 else np.inf

    def gap(self, x: Array, slope: Array) -> float:
        return float(_formulas(x).group_gap(x.ravel(), slope.ravel(), *self.parameters()))

    def null(self, slope: Array) -> Array | None:
        pointers, indices, weight, l1 = self.parameters()
        if l1 > 0 or (weight > 0).all():
            return None
        found: Array = np.zeros(slope.size, bool)
        found[indices] = np.repeat(weight == 0, np.diff(pointers))
        found &= slope.ravel() != 0
        return found.reshape(slope.shape)

    def lambda_max(self, gradient_at_zero: Array) -> float:
        pointers, indices, weight, l1 = self.parameters()
        slope = -gradient_at_zero.ravel().astype(np.float64)
        if l1 == 0:
            slope[indices] *= np.repeat(weight > 0, np.diff(pointers))
        return 1 / reference.group_dual_scale(slope, pointers, indices, weight, l1)

    def _scale(self, slope: Array) -> float:
        return float(_formulas(slope).group_dual_scale(slope.ravel(), *self.parameters()))


# ---- checks


def flat(value: Any, shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    """Return numbers as a flat array: one, or one for each entry of an x of this shape."""
    numbers = np.asarray(value, dtype)
    if numbers.ndim == 0:
        return numbers.reshape(1)
    if numbers.shape == shape:
        return numbers.ravel()
    if numbers.shape == shape[:1]:
        return np.repeat(numbers, int(np.prod(shape[1:])))
    raise ProblemError(f"weights or bounds of the term have shape {numbers.shape}, expected a number or {shape}")


def own_weights(term: Any, *names: str) -> None:
    """Replace weights by owned numbers or arrays, finite and >= 0."""
    for name in names:
        value = getattr(term, name)
        if type(value) is float and 0 <= value < np.inf:
            continue
        numbers = read_numbers(value, name)
        if not np.isfinite(numbers).all() or (numbers < 0).any():
            raise ProblemError(f"{name} is {value!r}, expected finite numbers >= 0")
        object.__setattr__(term, name, plain(numbers))


def read_numbers(value: Any, name: str) -> Array:
    try:
        numbers = np.asarray(value)
    except ValueError as error:
        raise ProblemError(f"{name} is not an array of numbers: {error}") from None
    if numbers.dtype.kind not in "fiu":
        raise ProblemError(f"{name} is {value!r}, expected real numbers")
    return numbers.astype(np.float64)


def plain(numbers: Array) -> Any:
    """Return a number, or the array."""
    return float(numbers) if numbers.ndim == 0 else numbers
