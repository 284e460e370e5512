"""What is summed over the edges and nodes of a graph: losses phi(x_i - x_j), and terms psi_i(x_i)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, TypeAlias

import numpy as np

from resolvent.errors import ProblemError
from resolvent.typing import Array

__all__ = [
    "EdgeLoss",
    "HuberEdges",
    "LogCoshEdges",
    "LogisticLabels",
    "QuadraticEdges",
    "Towards",
    "Unary",
    "finite_numbers",
]


@dataclass(frozen=True)
class QuadraticEdges:
    """phi(t) = t^2 / 2."""

    kind: ClassVar[int] = 0
    parameter: ClassVar[float] = 0.0


@dataclass(frozen=True)
class HuberEdges:
    """phi(t) = t^2 / 2 for ``abs(t) <= delta``, linear beyond: jumps between regions stay.

    Parameters
    ----------
    delta : float
        > 0.
    """

    delta: float
    kind: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _require_positive(self.delta, "delta")

    @property
    def parameter(self) -> float:
        return float(self.delta)


@dataclass(frozen=True)
class LogCoshEdges:
    """phi(t) = s^2 log cosh(t / s): as `HuberEdges`, with all derivatives.

    Parameters
    ----------
    s : float
        > 0.
    """

    s: float
    kind: ClassVar[int] = 2

    def __post_init__(self) -> None:
        _require_positive(self.s, "s")

    @property
    def parameter(self) -> float:
        return float(self.s)


EdgeLoss: TypeAlias = QuadraticEdges | HuberEdges | LogCoshEdges


class Towards:
    """psi_i(x) = a_i (x - c_i)^2 / 2.

    Parameters
    ----------
    values : array_like (N,) or (N, k) or float
        c, of all nodes; those of fixed nodes are not used.
    weights : array_like (N,) or float
        a >= 0.
    """

    def __init__(self, values: Any, weights: Any = 1.0) -> None:
        self.values, self.weights = finite_numbers(values, "values"), _non_negative(weights, "weights")

    def on(self, nodes: Array, size: int, responses: int) -> Towards:
        """Return the term of some nodes, values (n, k) and weights (n, 1)."""
        values = _by_column(self.values, size, "values")[nodes]
        return Towards(values, _by_column(self.weights, size, "weights", columns=1)[nodes])

    @property
    def responses(self) -> int:
        return 1 if self.values.ndim < 2 else int(self.values.shape[1])

    def value(self, X: Array) -> float:
        return float(0.5 * np.sum(self.weights * (X - self.values) ** 2))

    def slope(self, X: Array) -> Array:
        slopes: Array = self.weights * (X - self.values)
        return slopes

    def curvature(self, X: Array) -> Array:
        curvatures: Array = np.broadcast_to(self.weights, X.shape)
        return curvatures

    @property
    def bound(self) -> Array:
        """The largest curvature, (n, 1)."""
        return self.weights


class LogisticLabels:
    """psi_i(x) = a_i log(1 + exp(-y_i x)).

    Parameters
    ----------
    labels : array_like (N,) or (N, k)
        y in {-1, 0, 1}, of all nodes; 0 where a node has no label.
    weights : array_like (N,) or float
        a >= 0.
    """

    def __init__(self, labels: Any, weights: Any = 1.0) -> None:
        self.labels, self.weights = finite_numbers(labels, "labels"), _non_negative(weights, "weights")
        if not np.isin(self.labels, (-1, 0, 1)).all():
            raise ProblemError(f"labels has the values {np.unique(self.labels)[:5]}, expected -1, 0 and 1")

    def on(self, nodes: Array, size: int, responses: int) -> LogisticLabels:
        """Return the term of some nodes, labels (n, k) and weights (n, k), 0 without a label."""
        labels = _by_column(self.labels, size, "labels")[nodes]
        weights = _by_column(self.weights, size, "weights", columns=1)[nodes] * (labels != 0)
        return LogisticLabels(labels, weights)

    @property
    def responses(self) -> int:
        return 1 if self.labels.ndim < 2 else int(self.labels.shape[1])

    def value(self, X: Array) -> float:
        return float(np.sum(self.weights * np.logaddexp(0, -self.labels * X)))

    def slope(self, X: Array) -> Array:
        slopes: Array = -self.weights * self.labels * _logistic(-self.labels * X)
        return slopes

    def curvature(self, X: Array) -> Array:
        share = _logistic(X)
        curvatures: Array = self.weights * share * (1 - share)
        return curvatures

    @property
    def bound(self) -> Array:
        """The largest curvature, (n, 1)."""
        bounds: Array = 0.25 * self.weights.max(axis=1, keepdims=True)
        return bounds


Unary: TypeAlias = Towards | LogisticLabels


def finite_numbers(value: Any, name: str) -> Array:
    """Return an array of float64."""
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "fiub" or not np.isfinite(numbers).all():
        raise ProblemError(f"{name} has dtype {numbers.dtype} or is not finite, expected finite numbers")
    return numbers.astype(np.float64)


def _non_negative(value: Any, name: str) -> Array:
    numbers = finite_numbers(value, name)
    if (numbers < 0).any():
        raise ProblemError(f"{name} has {numbers.min()}, expected numbers >= 0")
    return numbers


def _by_column(value: Array, size: int, name: str, columns: int | None = None) -> Array:
    """Return a number, (N,) or (N, k) array as (N, k) or, where `columns` says so, (N, columns)."""
    if value.ndim == 0:
        return np.full((size, 1), float(value))
    if value.ndim > 2 or len(value) != size or (value.ndim == 2 and columns not in (None, value.shape[1])):
        wanted = f"({size},)" if columns == 1 else f"({size},) or ({size}, k)"
        raise ProblemError(f"{name} has shape {value.shape}, expected {wanted}, one for each node")
    return value.reshape(size, -1)


def _logistic(t: Array) -> Array:
    half: Array = 0.5 * (1 + np.tanh(0.5 * t))  # 1 / (1 + exp(-t)) without overflow
    return half


def _require_positive(value: float, name: str) -> None:
    if not 0 < value < inf:
        raise ProblemError(f"{name} is {value!r}, expected a number > 0")
