"""Losses of samples: f(z) = sum_i w_i phi(z_i, y_i) with targets y, z = A x what a linear model predicts.

A loss is a value: the targets, and the functions that a method asks for. All are sums over samples, not means. Their
meaning is in `resolvent.kernels.reference.losses`, under the number `kind`; solvers hand kind, targets and parameter to
compiled kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from resolvent import kernels
from resolvent.errors import ProblemError
from resolvent.kernels.reference import losses as reference
from resolvent.problems.checks import require_size
from resolvent.problems.loss_base import ALL_ONE, Loss, read_targets
from resolvent.typing import Array

__all__ = [
    "Custom",
    "Huber",
    "LeastSquares",
    "Logistic",
    "Loss",
    "Poisson",
    "Softmax",
    "SquaredHinge",
]


@dataclass(frozen=True, eq=False, repr=False)
class LeastSquares(Loss):
    """phi(z, y) = (z - y)^2 / 2.

    Parameters
    ----------
    targets : array_like (n,), or (n, k) for k responses

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems.losses import LeastSquares
    >>> LeastSquares([1.0, 2.0]).value(np.array([0.0, 0.0]))
    2.5
    """

    kind: ClassVar[int] = reference.LEAST_SQUARES

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(curvature_bound=1.0, row_bound=1.0)

    # In NumPy: the certificate of the lasso then asks for no compilation, which takes longer than the lasso.

    def _evaluate(self, z: Array, weights: Array | None, slope: Array, bend: Array) -> float:
        r = (z - self.targets).astype(np.float64, copy=False)
        wr = r if weights is None else self._rows(weights) * r
        if slope.size:
            slope[...] = wr
        if bend.size:
            bend[...] = 1 if weights is None else self._rows(weights)
        return 0.5 * float(np.vdot(r, wr))

    def gap(self, z: Array, slope: Array, weights: Array | None = None) -> float:
        r = (z - self.targets).astype(np.float64, copy=False)
        if weights is None:
            r -= slope
            return 0.5 * float(np.vdot(r, r))
        w = self._rows(weights)
        if not slope[weights == 0].any():
            e = np.where(w > 0, r - slope / np.where(w > 0, w, 1), 0)
            return 0.5 * float(np.vdot(e, w * e))
        return np.inf

    def _conjugate(self, s: Array, y: Array) -> Array:
        found: Array = s * (0.5 * s + y)
        return found

    def balance(self, slope: Array, weights: Array | None = None) -> Array:
        w = np.ones(len(slope)) if weights is None else weights
        mean = slope.sum(axis=0, dtype=np.float64) / w.sum()
        moved: Array = slope - self._rows(w) * mean
        return moved.astype(slope.dtype, copy=False)


@dataclass(frozen=True, eq=False, repr=False)
class _Labelled(Loss):
    """A loss of the margin y z, y = -1 or 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        found = np.unique(self.targets)
        if not (np.isin(found, (-1, 1)).all() or np.isin(found, (0, 1)).all()):
            few = ", ".join(f"{label:g}" for label in found[:4])
            raise ProblemError(f"targets of {type(self).__name__} are {few}{', ...' if len(found) > 4 else ''}; "
                               "expected labels -1 and 1, or 0 and 1")  # fmt: skip
        if (found == 0).any():
            self._set(targets=2 * self.targets - 1, note="labels 0 and 1 were read as -1 and 1")


@dataclass(frozen=True, eq=False, repr=False)
class Logistic(_Labelled):
    """phi(z, y) = log(1 + exp(-y z)).

    Parameters
    ----------
    targets : array_like (n,)
        Labels -1 and 1. Labels 0 and 1 are read as such, which `note` says.

    Raises
    ------
    ProblemError
        For other labels.

    Examples
    --------
    >>> from resolvent.problems.losses import Logistic
    >>> Logistic([0, 1]).targets, Logistic([0, 1]).note
    (array([-1.,  1.]), 'labels 0 and 1 were read as -1 and 1')
    """

    kind: ClassVar[int] = reference.LOGISTIC

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(curvature_bound=0.25, row_bound=0.25)

    # By kernels of its own: the general ones take as long again to compile.

    def _evaluate(self, z: Array, weights: Array | None, slope: Array, bend: Array) -> float:
        slope, bend = (out if len(out) else np.empty_like(z) for out in (slope, bend))
        return float(kernels.losses.logistic(z, self.targets, ALL_ONE if weights is None else weights, slope, bend))

    def gap(self, z: Array, slope: Array, weights: Array | None = None) -> float:
        found = float(kernels.losses.logistic_gap(z, slope, self.targets, ALL_ONE if weights is None else weights))
        return found if found == found else super().gap(z, slope, weights)

    def _conjugate(self, s: Array, y: Array) -> Array:
        v = -y * s
        return _inside(_x_log_x(v) + _x_log_x(1 - v), (v > -_slack(s)) & (v < 1 + _slack(s)))

    def _clip(self, s: Array) -> Array:
        found: Array = -self.targets * np.clip(-self.targets * s, 0, 1)
        return found

    def require_intercept(self, weights: Array | None) -> None:
        if len(np.unique(self._weighted_targets(weights))) < 2:
            raise ProblemError("all labels are the same, so that an intercept has no optimum; expected two labels")


@dataclass(frozen=True, eq=False, repr=False)
class SquaredHinge(_Labelled):
    """phi(z, y) = max(0, 1 - y z)^2 / 2. Labels as for `Logistic`."""

    kind: ClassVar[int] = reference.SQUARED_HINGE

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(curvature_bound=1.0, row_bound=1.0)

    def _conjugate(self, s: Array, y: Array) -> Array:
        v = -y * s
        return _inside(v * (0.5 * v - 1), v >= 0)

    def _clip(self, s: Array) -> Array:
        found: Array = -self.targets * np.maximum(-self.targets * s, 0)
        return found


@dataclass(frozen=True, eq=False, repr=False)
class Huber(Loss):
    """phi(z, y) = r^2 / 2 where abs(r) <= delta, else delta abs(r) - delta^2 / 2; r = z - y.

    Parameters
    ----------
    targets : array_like (n,) or (n, k)
    delta : float
        > 0.
    """

    delta: float = 1.0
    kind: ClassVar[int] = reference.HUBER

    def __post_init__(self) -> None:
        super().__post_init__()
        delta = np.asarray(self.delta)
        if delta.shape != () or delta.dtype.kind not in "fiu" or not 0 < delta < np.inf:
            raise ProblemError(f"delta is {self.delta!r}, expected a number > 0")
        self._set(parameter=float(delta), curvature_bound=1.0, row_bound=1.0)

    def _conjugate(self, s: Array, y: Array) -> Array:
        return _inside(s * (0.5 * s + y), np.abs(s) <= self.parameter * (1 + _slack(s)))

    def _clip(self, s: Array) -> Array:
        return np.clip(s, -self.parameter, self.parameter)


@dataclass(frozen=True, eq=False, repr=False)
class Poisson(Loss):
    """phi(z, y) = exp(z) - y z for counts y with the mean exp(z). Its curvature has no bound.

    Parameters
    ----------
    targets : array_like (n,) or (n, k)
        >= 0.
    """

    kind: ClassVar[int] = reference.POISSON

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.targets < 0).any():
            raise ProblemError(f"targets of Poisson go down to {self.targets.min():g}, expected numbers >= 0")

    def _conjugate(self, s: Array, y: Array) -> Array:
        q = s + y
        return _inside(_x_log_x(q) - q, q >= -_slack(s) * (1 + y))

    def _clip(self, s: Array) -> Array:
        found: Array = np.maximum(s, -self.targets)
        return found

    def require_intercept(self, weights: Array | None) -> None:
        if not self._weighted_targets(weights).any(axis=0).all():
            raise ProblemError("all targets are zero, so that an intercept has no optimum")


LITTLE = 2000
"""Up to so many predictions the softmax is NumPy's: to compile it takes longer than most models of that size."""


def _softmax(z: Array) -> Any:
    return reference if z.size <= LITTLE else kernels.losses


@dataclass(frozen=True, eq=False, repr=False)
class Softmax(Loss):
    """phi(z, y) = log sum_c exp(z_c) - z_y, with one row of z per sample.

    Parameters
    ----------
    targets : array_like (n,) of int
        The class of each sample, 0 to k - 1.
    classes : int, optional
        k; default the largest class plus one.

    Raises
    ------
    ProblemError
        For other labels than whole numbers from 0 up, or fewer than two classes.
    """

    classes: int | None = None
    kind: ClassVar[int] = reference.SOFTMAX

    def __post_init__(self) -> None:
        labels = read_targets(self.targets)
        if labels.ndim != 1 or (labels != np.round(labels)).any() or labels.min() < 0:
            raise ProblemError("targets of Softmax are no classes, expected whole numbers from 0 up, shape (n,)")
        most = int(labels.max()) + 1
        classes = max(most, 2) if self.classes is None else self.classes
        require_size(classes, "classes", 2)
        if classes < most:
            raise ProblemError(f"targets of Softmax have the class {most - 1}, expected 0 to {classes - 1}")
        self._set(targets=labels.astype(np.int64), classes=int(classes), curvature_bound=0.25, row_bound=0.5)

    @property
    def shape(self) -> tuple[int, ...]:
        assert self.classes is not None
        return len(self.targets), self.classes

    def _evaluate(self, z: Array, weights: Array | None, slope: Array, bend: Array) -> float:
        w = ALL_ONE if weights is None else weights
        outputs = (a if a.ndim > 1 else a[:, None] for a in (slope, bend))  # what is not wanted comes as (0,)
        return float(_softmax(z).evaluate_softmax(z, self.targets, w, *outputs))

    def gap(self, z: Array, slope: Array, weights: Array | None = None) -> float:
        return float(_softmax(z).gap_softmax(z, slope, self.targets, ALL_ONE if weights is None else weights))

    def _distributions(self, slope: Array, weights: Array | None) -> tuple[Array, Array]:
        """Return the weights and the q of slopes w (q - e_y)."""
        w = np.ones(len(slope)) if weights is None else weights
        q = np.where(w[:, None] > 0, slope / np.where(w > 0, w, 1)[:, None], 0).astype(np.float64)
        q[np.arange(len(q)), self.targets] += 1
        return w, q

    def _slopes(self, mass: Array, w: Array, dtype: Any) -> Array:
        """Return w q - w e_y from w q."""
        mass[np.arange(len(mass)), self.targets] -= w
        return mass.astype(dtype, copy=False)

    def conjugate(self, slope: Array, weights: Array | None = None) -> float:
        w, q = self._distributions(slope, weights)
        slack = _slack(slope) * q.shape[1]
        if (slope[w == 0] != 0).any() or (np.abs(q.sum(axis=1) - 1) > slack).any() or (q < -slack).any():
            return np.inf
        return float((w[:, None] * _x_log_x(q)).sum())

    def clip_dual(self, slope: Array, weights: Array | None = None) -> Array:
        w, q = self._distributions(slope, weights)
        q = np.maximum(q, 0)
        sums = q.sum(axis=1, keepdims=True)
        q = np.where(sums > 0, q / np.where(sums > 0, sums, 1), 1 / q.shape[1])
        return self._slopes(w[:, None] * q, w, slope.dtype)

    def balance(self, slope: Array, weights: Array | None = None) -> Array:
        """Return a slope of the domain whose columns sum to zero.

        The masses w q have to have the row sums w and the weights of the classes as column sums. Scaling rows and
        columns in turn (Sinkhorn) comes near, and what is missing then is spread over both (Altschuler, Weed and
        Rigollet 2017).
        """
        w, q = self._distributions(self.clip_dual(slope, weights), weights)
        sizes = np.bincount(self.targets, w, q.shape[1])
        mass = w[:, None] * q
        for _ in range(20):
            mass *= _ratio(sizes, mass.sum(axis=0))
            mass *= _ratio(w, mass.sum(axis=1))[:, None]
        mass *= np.minimum(_ratio(w, mass.sum(axis=1)), 1)[:, None]
        mass *= np.minimum(_ratio(sizes, mass.sum(axis=0)), 1)
        rows, columns = np.maximum(w - mass.sum(axis=1), 0), np.maximum(sizes - mass.sum(axis=0), 0)
        if columns.sum() > 0:
            mass += rows[:, None] * (columns / columns.sum())
        return self._slopes(mass, w, slope.dtype)

    def balance_sizes(self, slope: Array, weights: Array | None = None) -> Array:
        """Return the sizes with those of the masses w q, whose difference to w a slope is."""
        return super().balance_sizes(slope, weights) + (len(slope) if weights is None else weights.sum())

    def dual_room(self, z: Array, weights: Array | None = None) -> Array:
        """Return one number per sample: entries of a row move together."""
        w, q = self._distributions(self.derivative(z, weights), weights)
        found: Array = w * np.maximum(q.min(axis=1), 0)
        return found

    def require_intercept(self, weights: Array | None) -> None:
        missing = np.flatnonzero(np.bincount(self._weighted_targets(weights), minlength=self.shape[1]) == 0)
        if len(missing):
            raise ProblemError(f"class {int(missing[0])} has no sample, so that its intercept has no optimum")


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Custom(Loss):
    """A loss given by functions of two numbers: phi(z, y), its first and its second derivative in z.

    The functions are compiled with Numba and called for each sample, so that they may have branches; functions of a
    module are compiled once and found on disk by later processes. There is no conjugate, so that problems with this
    loss have no duality gap.

    Parameters
    ----------
    targets : array_like (n,) or (n, k)
    value, derivative, curvature : callable
        ``(z, y) -> float``, plain or compiled functions that Numba can compile.
    curvature_bound : float, optional
        The largest second derivative.

    Examples
    --------
    >>> import math
    >>> from resolvent.problems.losses import Custom
    >>> def value(z, y): return math.log(math.cosh(z - y))
    >>> def derivative(z, y): return math.tanh(z - y)
    >>> def curvature(z, y): return 1 / math.cosh(z - y) ** 2
    >>> loss = Custom([0.0, 1.0], value, derivative, curvature, curvature_bound=1.0)
    """

    functions: tuple[Callable[..., float], ...]
    has_conjugate: ClassVar[bool] = False

    def __init__(
        self,
        targets: Any,
        value: Callable[[float, float], float],
        derivative: Callable[[float, float], float],
        curvature: Callable[[float, float], float],
        curvature_bound: float | None = None,
    ) -> None:
        for name, function in (("value", value), ("derivative", derivative), ("curvature", curvature)):
            if not callable(function):
                raise ProblemError(f"{name} is {function!r}, expected a function of two numbers")
        if curvature_bound is not None and not 0 < curvature_bound < np.inf:
            raise ProblemError(f"curvature_bound is {curvature_bound!r}, expected a number > 0 or None")
        self._set(targets=targets, functions=(value, derivative, curvature), parameter=0.0, note="")
        self._set(curvature_bound=curvature_bound, row_bound=curvature_bound)
        super().__post_init__()

    def _evaluate(self, z: Array, weights: Array | None, slope: Array, bend: Array) -> float:
        from resolvent.kernels.cpu.losses import CUSTOM
        from resolvent.kernels.cpu.specialise import specialise

        value, derivative, curvature = self.functions
        kernel = specialise(CUSTOM, value=value, derivative=derivative, curvature=curvature).evaluate
        tail = (self._flat(weights), slope.ravel(), bend.ravel())
        return float(kernel(z.ravel(), self.targets.ravel(), *tail))

    def gap(self, z: Array, slope: Array, weights: Array | None = None) -> float:
        raise ProblemError("a Custom loss has no conjugate, so that no gap is defined")

    def conjugate(self, slope: Array, weights: Array | None = None) -> None:
        return None

    def clip_dual(self, slope: Array, weights: Array | None = None) -> Array:
        return slope


def _slack(slope: Array) -> float:
    return 1e-6 if slope.itemsize == 4 else 1e-14


def _inside(values: Array, inside: Array) -> Array:
    return np.where(inside, values, np.inf)


def _x_log_x(x: Array) -> Array:
    found: Array = np.where(x > 0, x, 0) * np.log(np.where(x > 0, x, 1))
    return found


def _ratio(a: Array, b: Array) -> Array:
    return np.where(b > 0, a / np.where(b > 0, b, 1), 1)
