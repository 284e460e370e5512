"""Terms: g(x), a sum over coordinates or over blocks of them, that a composite problem adds to its smooth part.

A term is a value: its weights, and the functions that a method asks for. `parameters` gives what the compiled kernels
of `resolvent.kernels.prox` take, whose reference has the formulas. All terms but the last four know their conjugate::

    NoTerm()                         0
    L1(weight)                       sum_j weight_j abs(x_j)
    ElasticNet(weight, ridge)        L1(weight) + Ridge(ridge)
    NonNegative(weight)              weight sum_j x_j for x >= 0
    Box(lower, upper, weight)        L1(weight) for lower <= x <= upper
    Ridge(weight)                    sum_j weight_j x_j^2 / 2
    GroupL1(blocks, weight)          sum_b weight_b norm2(x_b)
    SparseGroup(blocks, weight, fraction)   fraction * L1 + (1 - fraction) * GroupL1
    Separable(value, prox)           any
    MCP(weight, gamma), SCAD(weight, gamma), L05(weight)

Weights are numbers, or one per coordinate; 0 leaves a coordinate alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from resolvent import kernels
from resolvent.errors import ProblemError
from resolvent.kernels.reference import prox as reference
from resolvent.problems.checks import INFINITE_BOUND
from resolvent.problems.term_base import (
    DECREASE,
    DISTANCE,
    STEP,
    ByCoordinate,
    ByGroup,
    GroupParameters,
    Parameters,
    Term,
    flat,
    own_weights,
    plain,
    read_numbers,
)
from resolvent.typing import Array

__all__ = [
    "DECREASE",
    "DISTANCE",
    "L05",
    "L1",
    "MCP",
    "SCAD",
    "STEP",
    "Box",
    "ElasticNet",
    "GroupL1",
    "GroupParameters",
    "NoTerm",
    "NonNegative",
    "Parameters",
    "Ridge",
    "Separable",
    "SparseGroup",
    "Term",
]


@dataclass(frozen=True, eq=False)
class NoTerm(ByCoordinate):
    """g = 0."""

    has_conjugate: ClassVar[bool] = False

    def _numbers(self) -> tuple[Any, Any, Any, Any]:
        return 0.0, 0.0, -np.inf, np.inf

    def scaled(self, factor: float) -> Self:
        return self


@dataclass(frozen=True, eq=False)
class L1(ByCoordinate):
    """g(x) = sum_j weight_j abs(x_j).

    Parameters
    ----------
    weight : float or array_like, of the shape of x, or (p,) for rows
        >= 0; 0 leaves a coordinate unpenalised.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems.terms import L1
    >>> L1(1.0).prox(np.array([-3.0, 0.5]), step=2.0), L1(1.0).lambda_max(np.array([-3.0, 0.5]))
    (array([-1.,  0.]), 3.0)
    """

    weight: Any

    def __post_init__(self) -> None:
        own_weights(self, "weight")

    def _numbers(self) -> tuple[Any, Any, Any, Any]:
        return self.weight, 0.0, -np.inf, np.inf

    def scaled(self, factor: float) -> Self:
        return dataclasses.replace(self, weight=self.weight * factor)

    # In NumPy: the certificate of the lasso then asks for no compilation, which takes longer than the lasso.

    def value(self, x: Array) -> float:
        return float((self._weights(x) * np.abs(x)).sum(dtype=np.float64))

    def gap(self, x: Array, slope: Array) -> float:
        if self._scale(slope) * (1 + reference.SLACK) < 1:
            return np.inf
        some, w = x != 0, self._weights(x)
        x, c = x[some], slope[some]
        return float(np.maximum(np.abs(x) * (w if isinstance(w, float) else w[some]) - x * c, 0).sum(dtype=np.float64))

    def _scale(self, slope: Array) -> float:
        w = self._weights(slope)
        if isinstance(w, float):
            most = max(float(slope.max()), -float(slope.min()))
            return w / most if most > 0 else np.inf
        some = slope != 0
        return float((w[some] / np.abs(slope[some])).min(initial=np.inf))

    def _weights(self, x: Array) -> Any:
        """Return the weights like x, or one number."""
        return self.weight if isinstance(self.weight, float) else flat(self.weight, x.shape).reshape(x.shape)


@dataclass(frozen=True, eq=False)
class ElasticNet(ByCoordinate):
    """g(x) = sum_j weight_j abs(x_j) + ridge_j x_j^2 / 2. `scaled` multiplies both."""

    weight: Any
    ridge: Any

    def __post_init__(self) -> None:
        own_weights(self, "weight", "ridge")

    def _numbers(self) -> tuple[Any, Any, Any, Any]:
        return self.weight, self.ridge, -np.inf, np.inf

    def scaled(self, factor: float) -> Self:
        return dataclasses.replace(self, weight=self.weight * factor, ridge=self.ridge * factor)


@dataclass(frozen=True, eq=False)
class Ridge(ByCoordinate):
    """g(x) = sum_j weight_j x_j^2 / 2, weight > 0."""

    weight: Any

    def __post_init__(self) -> None:
        own_weights(self, "weight")
        if not (np.asarray(self.weight) > 0).all():
            raise ProblemError(f"weight is {self.weight!r}, expected numbers > 0; NoTerm() is the term of weight zero")

    def _numbers(self) -> tuple[Any, Any, Any, Any]:
        return 0.0, self.weight, -np.inf, np.inf

    def scaled(self, factor: float) -> Self:
        return dataclasses.replace(self, weight=self.weight * factor)


@dataclass(frozen=True, eq=False)
class NonNegative(ByCoordinate):
    """g(x) = sum_j weight_j x_j for x >= 0."""

    weight: Any = 0.0

    def __post_init__(self) -> None:
        own_weights(self, "weight")

    def _numbers(self) -> tuple[Any, Any, Any, Any]:
        return self.weight, 0.0, 0.0, np.inf

    def scaled(self, factor: float) -> Self:
        return dataclasses.replace(self, weight=self.weight * factor)


@dataclass(frozen=True, eq=False)
class Box(ByCoordinate):
    """g(x) = sum_j weight_j abs(x_j) for lower <= x <= upper.

    Parameters
    ----------
    lower, upper : float or array_like
        Absolute values from 1e20 up mean none.
    weight : float or array_like

    Raises
    ------
    ProblemError
        A lower bound exceeds its upper bound.
    """

    lower: Any
    upper: Any
    weight: Any = 0.0

    def __post_init__(self) -> None:
        own_weights(self, "weight")
        for name, side in (("lower", -np.inf), ("upper", np.inf)):
            bounds = _bounds(getattr(self, name), name, side)
            object.__setattr__(self, name, bounds)
        wrong = np.argwhere(np.atleast_1d(np.greater(self.lower, self.upper)))
        if len(wrong):
            low, up = (np.broadcast_to(v, np.broadcast(self.lower, self.upper).shape) for v in (self.lower, self.upper))
            at = tuple(wrong[0]) if low.ndim else ()
            raise ProblemError(f"the box is empty: lower {low[at]:g} exceeds upper {up[at]:g} at {list(map(int, at))}")

    def _numbers(self) -> tuple[Any, Any, Any, Any]:
        return self.weight, 0.0, self.lower, self.upper

    def scaled(self, factor: float) -> Self:
        return dataclasses.replace(self, weight=self.weight * factor)


class _NotConvex(ByCoordinate):
    convex: ClassVar[bool] = False
    has_conjugate: ClassVar[bool] = False
    weight: Any

    def _numbers(self) -> tuple[Any, Any, Any, Any]:
        return self.weight, 0.0, -np.inf, np.inf

    def scaled(self, factor: float) -> Self:
        return dataclasses.replace(self, weight=self.weight * factor)  # type: ignore[type-var]

    def value(self, x: Array) -> float:
        return float(kernels.prox.bent_value(x.ravel(), *self._bent(x)))

    def prox(self, v: Array, step: Any = 1.0) -> Array:
        out = np.empty(v.size, v.dtype)
        kernels.prox.bent_prox(v.ravel(), flat(step, v.shape), *self._bent(v), out)
        return out.reshape(v.shape)

    def scores(self, x: Array, gradient: Array, curvature: Array, rule: int) -> Array:
        out = np.empty(x.size, x.dtype)
        kind, weight, gamma = self._bent(x)
        curvature = flat(curvature, x.shape)
        kernels.prox.bent_scores(x.ravel(), gradient.ravel(), curvature, kind, weight, gamma, rule, out)
        return out.reshape(x.shape)

    def _bent(self, x: Array) -> tuple[int, Array, float]:
        return self.kind, flat(self.weight, x.shape), self._gamma


@dataclass(frozen=True, eq=False)
class MCP(_NotConvex):
    """Minimax concave penalty (Zhang 2010): ``weight a - a^2 / (2 gamma)`` to a = abs(x_j) = gamma weight, then
    constant; gamma > 0."""

    weight: Any
    gamma: float = 3.0
    kind: ClassVar[int] = reference.MCP

    def __post_init__(self) -> None:
        own_weights(self, "weight")
        _require_gamma(self.gamma, 0)

    @property
    def _gamma(self) -> float:
        return float(self.gamma)


@dataclass(frozen=True, eq=False)
class SCAD(_NotConvex):
    """Smoothly clipped absolute deviation (Fan and Li 2001): ``weight a`` to a = abs(x_j) = weight, then with a slope
    that falls to zero at gamma weight; gamma > 1."""

    weight: Any
    gamma: float = 3.7
    kind: ClassVar[int] = reference.SCAD

    def __post_init__(self) -> None:
        own_weights(self, "weight")
        _require_gamma(self.gamma, 1)

    @property
    def _gamma(self) -> float:
        return float(self.gamma)


@dataclass(frozen=True, eq=False)
class L05(_NotConvex):
    """g(x) = sum_j weight_j sqrt(abs(x_j)). Zero is a local minimum in every coordinate, whatever the weight."""

    weight: Any
    kind: ClassVar[int] = reference.HALF

    def __post_init__(self) -> None:
        own_weights(self, "weight")

    def lambda_max(self, gradient_at_zero: Array) -> float:
        return 0.0


@dataclass(frozen=True, eq=False)
class Separable(Term):
    """Any sum over coordinates, given by its value and its proximal operator.

    Parameters
    ----------
    value_of : callable
        ``value_of(x) -> float``, inf outside the domain.
    prox_of : callable
        ``prox_of(v, step) -> array like v``, step an array of positive numbers like v.
    convex : bool
    factor : float
        The term is this multiple of what the functions describe.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems.terms import Separable
    >>> term = Separable(lambda x: float((x**4).sum()) / 4, lambda v, t: v / (1 + t * v**2))
    """

    value_of: Callable[[Array], float]
    prox_of: Callable[[Array, Array], Array]
    convex: bool = True  # type: ignore[misc]
    factor: float = 1.0
    has_conjugate: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("value_of", "prox_of"):
            if not callable(getattr(self, name)):
                raise ProblemError(f"{name} is {getattr(self, name)!r}, expected a function")

    def value(self, x: Array) -> float:
        return self.factor * float(self.value_of(x))

    def prox(self, v: Array, step: Any = 1.0) -> Array:
        found = np.asarray(self.prox_of(v, np.broadcast_to(self.factor * np.asarray(step), v.shape)))
        if found.shape != v.shape:
            raise ProblemError(f"prox_of(v, step) returned shape {found.shape}, expected {v.shape}, that of v")
        return found.astype(v.dtype)

    def scores(self, x: Array, gradient: Array, curvature: Array, rule: int) -> Array:
        L = np.broadcast_to(np.maximum(curvature, reference.LEAST), x.shape)
        d = self.prox(x - gradient / L, 1 / L) - x
        if rule == DECREASE:  # the change of g in one coordinate is not known: its smooth model alone
            return np.asarray(0.5 * L * d * d)
        length: Array = np.abs(d)
        return L * length if rule == DISTANCE else length

    def scaled(self, factor: float) -> Self:
        return dataclasses.replace(self, factor=self.factor * factor)


@dataclass(frozen=True, eq=False)
class GroupL1(ByGroup):
    """g(x) = sum_b weight_b norm2(x_b): the group lasso; over `Blocks.rows` the multi-task lasso.

    Parameters
    ----------
    blocks : Blocks, optional
        Default those of the problem. They cover x.
    weight : float or array_like (blocks,)
        A number stands for its product with the square root of the size of each block; an array for itself.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import Blocks
    >>> from resolvent.problems.terms import GroupL1
    >>> GroupL1(Blocks.equal(4, 2), weight=[1.0, 2.0]).value(np.array([3.0, 4.0, 0.0, 1.0]))
    7.0
    """

    blocks: Any = None
    weight: Any = 1.0

    def __post_init__(self) -> None:
        self._check()

    def _shares(self) -> tuple[Array, float]:
        return np.asarray(self.weight), 0.0


@dataclass(frozen=True, eq=False)
class SparseGroup(ByGroup):
    """g(x) = weight (fraction norm1(x) + (1 - fraction) sum_b sqrt(size_b) norm2(x_b)): the sparse group lasso.

    Parameters
    ----------
    blocks : Blocks, optional
        Default those of the problem. They cover x.
    weight : float
    fraction : float
        In [0, 1].
    """

    blocks: Any = None
    weight: Any = 1.0
    fraction: float = 0.5

    def __post_init__(self) -> None:
        self._check()
        if np.ndim(self.weight):
            raise ProblemError(f"weight has shape {np.shape(self.weight)}, expected a number")
        if not 0 <= self.fraction <= 1:
            raise ProblemError(f"fraction is {self.fraction!r}, expected a number in [0, 1]")

    def _shares(self) -> tuple[Array, float]:
        return np.asarray(self.weight * (1 - self.fraction)), float(self.weight * self.fraction)


# ---- checks


def _bounds(value: Any, name: str, side: float) -> Any:
    bounds = read_numbers(side if value is None else value, name)
    far = np.abs(bounds) >= INFINITE_BOUND
    bounds = np.where(far, np.copysign(np.inf, bounds), bounds)
    if np.isnan(bounds).any() or (bounds == -side).any():
        raise ProblemError(f"{name} is {value!r}, expected numbers, or {side} for none")
    return plain(bounds)


def _require_gamma(gamma: Any, above: float) -> None:
    if not isinstance(gamma, int | float | np.integer | np.floating) or not above < gamma < np.inf:
        raise ProblemError(f"gamma is {gamma!r}, expected a number > {above}")
