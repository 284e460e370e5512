"""Loss: what every loss of samples offers. The losses themselves are in `resolvent.problems.losses`."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from resolvent import kernels
from resolvent.errors import ProblemError
from resolvent.typing import Array

__all__ = ["ALL_ONE", "Loss", "read_targets"]

ALL_ONE = np.ones(1)
NOTHING = np.zeros(0)


@dataclass(frozen=True, eq=False, repr=False)
class Loss:
    """The loss of n samples. The base of all losses.

    Weights are (n,), >= 0, or None for ones. A *slope* is like z: the place where the conjugate is taken.

    Attributes
    ----------
    targets : array (n,) or (n, k)
        A copy, not to be changed. (It is not locked: Numba compiles anew for arrays that are.)
    kind : int
        Number of the loss in kernels, -1 for a custom one.
    parameter : float
        What kernels need beside the targets.
    curvature_bound : float or None
        The largest second derivative in one entry of z; None where there is none.
    row_bound : float or None
        The largest eigenvalue of the second derivative in the k entries of one sample.
    has_conjugate : bool
    note : str
        What was changed in the targets.
    """

    targets: Any
    kind: ClassVar[int] = -1
    parameter: float = field(default=0.0, init=False)
    curvature_bound: float | None = field(default=None, init=False)
    row_bound: float | None = field(default=None, init=False)
    has_conjugate: ClassVar[bool] = True
    note: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._set(targets=read_targets(self.targets))

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.targets)} samples>"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of z."""
        return tuple(self.targets.shape)

    def astype(self, dtype: Any) -> Self:
        """Return the loss with targets of this dtype, itself where they have it."""
        if self.targets.dtype == dtype or self.targets.dtype.kind != "f":
            return self
        changed = copy.copy(self)
        changed._set(targets=self.targets.astype(dtype))
        return changed

    # ---- values and derivatives

    def evaluate(self, z: Array, weights: Array | None = None) -> tuple[float, Array, Array]:
        """Return f, its derivative and the diagonal of its second derivative, both like z. Cost: one pass."""
        slope, bend = np.empty(z.shape, z.dtype), np.empty(z.shape, z.dtype)
        return self._evaluate(z, weights, slope, bend), slope, bend

    def value(self, z: Array, weights: Array | None = None) -> float:
        """Return f(z)."""
        return self._evaluate(z, weights, NOTHING, NOTHING)

    def derivative(self, z: Array, weights: Array | None = None) -> Array:
        """Return the derivative of f, like z."""
        slope = np.empty(z.shape, z.dtype)
        self._evaluate(z, weights, slope, NOTHING)
        return slope

    def curvature(self, z: Array, weights: Array | None = None) -> Array:
        """Return the second derivatives of f in the single entries of z, like z."""
        bend = np.empty(z.shape, z.dtype)
        self._evaluate(z, weights, NOTHING, bend)
        return bend

    def _evaluate(self, z: Array, weights: Array | None, slope: Array, bend: Array) -> float:
        tail = (self.kind, self.parameter, slope.ravel(), bend.ravel())  # views: the outputs are contiguous
        return float(kernels.losses.evaluate(z.ravel(), self.targets.ravel(), self._flat(weights), *tail))

    def _flat(self, weights: Array | None) -> Array:
        """Return one weight per entry of z, or one for all."""
        if weights is None:
            return ALL_ONE
        return np.repeat(weights, self.shape[1]) if len(self.shape) > 1 else weights

    # ---- duality

    def gap(self, z: Array, slope: Array, weights: Array | None = None) -> float:
        """Return f(z) + f*(slope) - slope z >= 0, without cancellation: zero where the slope is the derivative at z."""
        tail = (self.targets.ravel(), self._flat(weights), self.kind, self.parameter)
        return float(kernels.losses.gap(z.ravel(), slope.ravel(), *tail))

    def conjugate(self, slope: Array, weights: Array | None = None) -> float | None:
        """Return f*(slope), inf outside its domain, None where there is no formula."""
        w = np.ones(1) if weights is None else self._rows(weights)
        w = np.broadcast_to(w, slope.shape)
        if (slope[w == 0] != 0).any():
            return np.inf
        some = w > 0
        s, y = slope[some] / w[some], self.targets[some]
        return float((w[some] * self._conjugate(s, y)).sum())

    def clip_dual(self, slope: Array, weights: Array | None = None) -> Array:
        """Return the slope moved into the domain of the conjugate, entry by entry."""
        if weights is None:
            return self._clip(slope).astype(slope.dtype, copy=False)
        w = np.broadcast_to(self._rows(weights), slope.shape)
        s = np.where(w > 0, slope / np.where(w > 0, w, 1), 0)
        return (w * self._clip(s)).astype(slope.dtype, copy=False)

    def balance(self, slope: Array, weights: Array | None = None) -> Array:
        """Return a slope of the domain whose entries sum to zero over the samples, near the given one.

        That is what an unpenalised intercept asks of it. Entries move towards zero, which lies in the domain: those of
        the sign that prevails are shrunk.
        """
        up, down = (np.maximum(sign * slope, 0).sum(axis=0, dtype=np.float64) for sign in (1, -1))
        up, down = (np.where(a > b, b / np.where(a > 0, a, 1), 1) for a, b in ((up, down), (down, up)))
        return (slope * np.where(slope > 0, up, down)).astype(slope.dtype, copy=False)

    def balance_sizes(self, slope: Array, weights: Array | None = None) -> Array:
        """Return what was added in the sums of a slope over the samples, whose rounding the sums have."""
        found: Array = np.abs(slope).sum(axis=0)
        return found

    def dual_room(self, z: Array, weights: Array | None = None) -> Array:
        """Return how far each entry of the derivative at z may move, up to a factor, without leaving the domain."""
        return self.curvature(z, weights)

    def _rows(self, weights: Array) -> Array:
        return weights[:, None] if len(self.shape) > 1 else weights

    def _conjugate(self, s: Array, y: Array) -> Array:
        """Return the conjugates of samples of weight one."""
        raise NotImplementedError

    def _clip(self, s: Array) -> Array:
        return s

    def require_intercept(self, weights: Array | None) -> None:
        """Raise ProblemError where an unpenalised intercept would run away to infinity."""

    def _weighted_targets(self, weights: Array | None) -> Array:
        found: Array = self.targets if weights is None else self.targets[weights > 0]
        return found


def read_targets(value: Any) -> Array:
    """Return an owned array of finite floating numbers."""
    try:
        raw = np.asarray(value)
    except ValueError as error:
        raise ProblemError(f"targets are not an array of numbers: {error}") from None
    if raw.dtype.kind not in "fiub":
        raise ProblemError(f"targets have dtype {raw.dtype}, expected real numbers")
    if raw.ndim not in (1, 2) or raw.size == 0:
        raise ProblemError(f"targets have shape {raw.shape}, expected (n,) or (n, k), not empty")
    owned = np.array(raw, dtype=raw.dtype if raw.dtype in (np.float32, np.float64) else np.float64, order="C")
    if not np.isfinite(owned).all():
        where = np.argwhere(~np.isfinite(owned))[0]
        raise ProblemError(f"targets[{', '.join(map(str, where))}] is {owned[tuple(where)]}, expected finite numbers")
    return owned
