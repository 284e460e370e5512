"""CompositeProblem: min f(x) + g(x), f smooth and g a sum over coordinates or blocks.

The duality gap. For a loss f of z = A x + offset and any theta, weak duality says that no x has a value below

    D(theta) = -f*(-theta) - g*(A^T theta) - theta^T offset,

with the sums of theta equal to zero where there is an intercept. So P(x) - D(theta) bounds how far P(x) is from the
optimum. It is computed as the sum of what is missing in the inequalities of Fenchel and Young,

    [f(z) + f*(-theta) + theta^T z] + [g(x) + g*(A^T theta) - theta^T A x],

whose parts are sums of terms that are not negative, each without cancellation: a gap of 1e-15 P(0) means something.
Any theta is moved into the dual set first: sums to zero, unpenalised columns made orthogonal to it, and then scaled.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, Self

import numpy as np

from resolvent import arrays
from resolvent.errors import ProblemError
from resolvent.problems.base import Oracle, Problem
from resolvent.problems.blocks import Blocks
from resolvent.problems.checks import require_shape
from resolvent.problems.models import LinearModel
from resolvent.problems.smooth import SmoothProblem
from resolvent.problems.term_base import STEP, Term
from resolvent.typing import Array, Point

__all__ = ["CompositeProblem"]

ROUNDING = 64
"""Sums that are zero but for rounding are at most this many eps of what was added."""
ATTEMPTS = 5
"""How often theta is changed to satisfy one more coordinate of weight zero."""


@dataclass(kw_only=True, eq=False, repr=False)
class CompositeProblem(Problem):
    """min P(x) = f(x) + g(x), f smooth and g simple.

    The certificate is (x, theta), theta like the predictions z, and the residual the duality gap, where loss and term
    know their conjugates; theta is by default minus the derivative of the loss. The scale is P(0), less the infimum of
    the loss, with the projection on the domain of g in place of 0 where 0 lies outside.

    Otherwise the certificate is x, the residual norm2( L (x - prox_{g/L}(x - grad f(x) / L)) ) with the bounds L of the
    second derivatives in single coordinates (sums of them for blocks), 1 where there are none, and the scale the
    residual at 0. So it is for losses without conjugate, for terms that are not convex or given by their prox, without
    a term, and for f that are no loss. The exception is a convex f with a term whose conjugate is finite everywhere (a
    bounded box): the gap is that of theta = -grad f(x).

    The cost axis counts passes over A, in `counts` columns of A.

    Parameters
    ----------
    smooth : LinearModel, Quadratic, SmoothProblem, or another `SmoothModel`
        f. A SmoothProblem must have a gradient and no bounds; those are the term's.
    term : Term
        g. It does not see the intercept of a linear model.
    blocks : Blocks, optional
        Over which g is a sum; default those of the term, single coordinates for a separable one.
    x0 : optional
        (p,) or (p, k); with an intercept the tuple of that and an array (1,) or (k,). Default 0, or the nearest point
        of the domain of g.
    name : str, optional
    dtype : optional
        Default that of the smooth part.

    Raises
    ------
    ProblemError
        The parts do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import CompositeProblem, LinearModel, losses, terms
    >>> model = LinearModel(np.eye(2), losses.LeastSquares([3.0, 0.5]))
    >>> problem = CompositeProblem(smooth=model, term=terms.L1(1.0))
    >>> problem.objective(np.zeros(2)), problem.residual(np.array([2.0, 0.0]))
    (4.625, 0.0)
    """

    smooth: Any
    term: Any
    blocks: Any = None
    _derived: bool = field(default=False, init=False)
    _scale: float | None = field(default=None, init=False)
    _kept: tuple[Array, Point] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.term, Term):
            raise ProblemError(f"term is {self.term!r}, expected a Term, as terms.L1(1.0)")
        if isinstance(self.smooth, SmoothProblem):
            self._take_functions()
        elif not all(hasattr(type(self.smooth), name) for name in ("shape", "gradient", "value", "lipschitz")):
            raise ProblemError(f"smooth is {self.smooth!r}, expected a LinearModel, a Quadratic or a SmoothProblem")
        self.dtype = self.smooth.dtype if self.dtype is None else self.dtype
        super().__post_init__()
        if isinstance(self.smooth, SmoothProblem):
            self.counts = self.smooth.counts
        elif self.smooth.dtype != self.dtype:
            self.smooth = self.smooth.astype(self.dtype)
        self._read_blocks()
        if self.x0 is None:
            self.x0 = self._whole(self._reference())
        self._require_shapes(self.x0)

    def _take_functions(self) -> None:
        """Take a copy of the smooth problem, whose oracles count for this one."""
        if not self.smooth.has("gradient"):
            raise ProblemError("the SmoothProblem gives no gradient, which a CompositeProblem needs")
        if self.smooth.features():
            raise ProblemError("the SmoothProblem has bounds; give them as the term, as terms.Box(lower, upper)")
        self.x0 = self.smooth.x0 if self.x0 is None else self.x0
        self.smooth = self.smooth.replace(dtype=self.smooth.dtype if self.dtype is None else self.dtype)

    def _read_blocks(self) -> None:
        if self.blocks is not None and not isinstance(self.blocks, Blocks):
            raise ProblemError(f"blocks are {self.blocks!r}, expected Blocks, as Blocks.equal(p, size)")
        self.term = self.term.fit(self.shape, self.blocks)
        self._derived = self.blocks is None
        if self.blocks is None:
            self.blocks = self.term.blocks
        if self.blocks is None:
            self.blocks = Blocks.coordinates(prod(self.shape))
        elif self.blocks is not self.term.blocks:
            self.blocks.require_cover(prod(self.shape))

    def replace(self, **changes: Any) -> Self:
        if self._derived and "blocks" not in changes:
            changes["blocks"] = None
        return super().replace(**changes)

    def scaled(self, factors: Sequence[float]) -> list[Self]:
        """Return the problem for multiples of its term; what they share is checked and computed once.

        Examples
        --------
        >>> import numpy as np
        >>> from resolvent.problems import CompositeProblem, LinearModel, losses, terms
        >>> model = LinearModel(np.eye(2), losses.LeastSquares([3.0, 0.5]))
        >>> [p.term.weight for p in CompositeProblem(smooth=model, term=terms.L1(2.0)).scaled([1.0, 0.5])]
        [2.0, 1.0]
        """
        if not self.linear:
            return [self.replace(term=self.term.scaled(factor)) for factor in factors]
        shared = self.scale() if self.has_gap and self.term.holds_zero else None  # P(0), without the term
        found = []
        for factor in factors:
            twin = copy.copy(self)
            twin.term, twin.counts, twin._scale = self.term.scaled(factor), Counter(), shared
            found.append(twin)
        return found

    # ---- shapes

    @property
    def linear(self) -> bool:
        """Whether f is a loss of a `LinearModel`."""
        return isinstance(self.smooth, LinearModel)

    @property
    def intercept(self) -> bool:
        """Whether x is a tuple whose second part is an intercept."""
        return bool(getattr(self.smooth, "intercept", False))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of x without the intercept."""
        return (self.smooth.n,) if isinstance(self.smooth, SmoothProblem) else tuple(self.smooth.shape)

    @property
    def has_gap(self) -> bool:
        """Whether the residual is a duality gap."""
        if not self.term.has_conjugate:
            return False
        if isinstance(self.smooth, LinearModel):
            return self.smooth.loss.has_conjugate
        return self.term.everywhere and bool(getattr(self.smooth, "convex", False))

    def _whole(self, w: Array) -> Point:
        return (w, np.zeros(self.shape[1:] or (1,), self.dtype)) if self.intercept else w

    def _require_shapes(self, x: Point) -> None:
        if self.intercept != isinstance(x, tuple) or (self.intercept and len(x) != 2):
            raise ProblemError(
                f"x0 is a {type(x).__name__}, expected {'a tuple (x, intercept)' if self.intercept else 'an array'}"
            )
        parts = x if self.intercept else (x,)
        for part, shape in zip(parts, (self.shape, self.shape[1:] or (1,)), strict=False):
            require_shape(part, shape, "x0")

    def _reference(self) -> Array:
        """Return 0, or the nearest point of the domain of g."""
        zero = np.zeros(self.shape, self.dtype)
        return zero if self.term.holds_zero else self.term.prox(zero)

    def point(self, x0: Any = None, y0: Any = None) -> tuple[Point, None]:
        x, _ = super().point(x0, y0)
        self._require_shapes(x)
        return x, None

    # ---- work, counted

    def predict(self, x: Point) -> Array:
        """Return z of the linear model. Cost: the columns of A for which x is not zero."""
        support = self.smooth.support(x)
        self.counts["columns"] += len(support)
        z: Array = self.smooth.predict(x, support)
        return z

    def correlate(self, theta: Array, keep: bool = False) -> Point:
        """Return A^T theta, with an intercept the tuple of that and the sums of theta. Cost: one pass over A.

        With ``keep``, both are made read-only, and `residual` given an equal theta takes this product, until another is
        kept: the check of a solver's answer then needs no further pass for its dual point.
        """
        self.counts["columns"] += self.shape[0]
        product = self.smooth.correlate(theta)
        if keep:
            theta = theta if theta.flags.owndata else theta.copy()  # the owner of a view could write to it
            for part in (theta, *(product if self.intercept else (product,))):
                part.flags.writeable = False
            self._kept = theta, product
        return product

    def gradient(self, x: Point) -> Point:
        """Return the gradient of f, like x. Cost: two passes over A, or one call of the smooth part."""
        if self.linear:
            return self.correlate(self.smooth.derivative(self.predict(x)))
        if not isinstance(self.smooth, SmoothProblem):
            self.counts["columns"] += self.shape[0]
        return self.smooth.gradient(x)

    def objective(self, x: Point) -> float:
        """Return P(x), inf outside the domain of g. Cost: one pass over A, or one call of the smooth part."""
        if self.linear:
            value = self.smooth.loss.value(self.predict(x), self.smooth.weights)
        elif isinstance(self.smooth, SmoothProblem):
            value = self.smooth.objective(x)
        else:
            self.counts["columns"] += self.shape[0]
            value = self.smooth.value(x)
        return float(value + self.term.value(x[0] if self.intercept else x))

    def dual_point(self, z: Array) -> Array:
        """Return theta = -derivative of the loss at z, with sums of zero where there is an intercept.

        That is the default of `residual`. Cost: one pass over z.
        """
        theta: Array = self.smooth.dual_point(z) if self.has_gap else -self.smooth.derivative(z)
        return theta

    # ---- how wrong an answer is

    def residual(self, x: Point, theta: Array | None = None) -> float:
        if not self.linear:
            return self.measure(x, None, None, -self.gradient(x))
        z, kept = self.predict(x), self._kept  # another thread may keep its own
        if theta is None or not self.has_gap:
            theta = self.dual_point(z)
        elif kept is not None and np.array_equal(theta, kept[0]):
            return self.measure(x, z, *kept)
        else:
            theta = -self.smooth.loss.clip_dual(-theta, self.smooth.weights)
        return self.measure(x, z, theta, self.correlate(theta))

    def measure(self, x: Point, z: Array | None, theta: Array | None, correlation: Point) -> float:
        """Return the residual from arrays at hand.

        Parameters
        ----------
        x : like x0
        z : array (n,) or (n, k)
            ``predict(x)``; None where f is no loss.
        theta : like z
            As from `dual_point(z)`; where there is no gap, minus the derivative. None where f is no loss.
        correlation : like x
            ``correlate(theta)``; minus the gradient where f is no loss.

        Returns
        -------
        float
            Where no dual point was found near theta, that of theta = 0, which is one: P(x) less the infimum of the
            loss. Cost: passes over x and z alone; one or more over A where an intercept or unpenalised coordinates ask
            for another theta.
        """
        w, c = (x[0], correlation[0]) if self.intercept else (x, correlation)
        if not (arrays.is_finite(x) and arrays.is_finite(correlation)):
            return np.nan
        if not self.has_gap:
            return self._stationarity(w, c, correlation[1] if self.intercept else None)
        if z is None or theta is None:
            return float(self.term.gap(w, c))
        found = self._into_dual_set(z, theta, c, correlation[1] if self.intercept else None)
        gap = np.inf if found is None else self._gap(w, z, *found)
        return gap if gap < np.inf else self._gap(w, z, np.zeros_like(theta), np.zeros_like(c))

    def _gap(self, w: Array, z: Array, theta: Array, c: Array) -> float:
        """Return the gap of the multiple of theta that lies in the dual set, c = A^T theta; inf outside that of the
        loss."""
        w, c = w.astype(np.float64, copy=False), c.astype(np.float64)  # t c in float32 may leave the domain
        t = self.term.dual_scale(c)  # of an array that is not read-only: kernels are compiled for the others again
        return float(self.smooth.loss.gap(z, -t * theta, self.smooth.weights) + self.term.gap(w, t * c))

    def _into_dual_set(self, z: Array, theta: Array, c: Array, sums: Array | None) -> tuple[Array, Array] | None:
        """Return theta and A^T theta for which an intercept and weights of zero are as they must be; None without one.

        What is zero but for rounding counts as zero. Where the change of theta breaks another coordinate of weight
        zero and one bound, this one joins.
        """
        if sums is None and self.term.null(c) is None:
            return theta, c
        null = np.zeros(self.shape, bool)
        for _ in range(ATTEMPTS):
            c = np.where(null, 0, c) if null.any() else c
            c, wrong = self._unmet(theta, c)
            unbalanced = sums is not None and not null.any() and self._is_unbalanced(theta, sums)
            if wrong is None and not unbalanced:
                return theta, c
            if wrong is not None:
                null |= wrong
            moved = self.smooth.remove_from_dual(z, theta, null) if null.any() else self._balanced(theta)
            if moved is None:
                return None
            theta, product = moved, self.correlate(moved)
            c, sums = product if self.intercept else (product, None)
        return None

    def _unmet(self, theta: Array, c: Array) -> tuple[Array, Array | None]:
        """Return c with rounding removed, and where it is not allowed at any scale, None for nowhere."""
        null = self.term.null(c)
        if null is None or not null.any():
            return c, None
        sizes = np.outer(self.smooth.lengths, np.sqrt((theta.astype(np.float64) ** 2).sum(axis=0))).reshape(c.shape)
        tiny = np.abs(c) <= ROUNDING * np.finfo(self.dtype).eps * sizes
        wrong = null & ~tiny
        return np.where(null & tiny, 0, c), wrong if wrong.any() else None

    def _is_unbalanced(self, theta: Array, sums: Array) -> bool:
        sizes = self.smooth.loss.balance_sizes(theta, self.smooth.weights)
        return bool((np.abs(sums) > ROUNDING * np.finfo(self.dtype).eps * sizes).any())

    def _balanced(self, theta: Array) -> Array:
        moved: Array = -self.smooth.loss.balance(-theta, self.smooth.weights)
        return moved

    def _stationarity(self, w: Array, c: Array, sums: Array | None) -> float:
        """Return the norm of the scaled proximal gradient step, and of the gradient in the intercept."""
        L = self._curvatures()
        step = self.norm(L * self.term.scores(w, -c, L, STEP))
        return step if sums is None else float(np.hypot(step, self.norm(sums)))

    @property
    def _has_curvatures(self) -> bool:
        if isinstance(self.smooth, LinearModel):
            return self.smooth.loss.curvature_bound is not None
        return getattr(self.smooth, "lipschitz", None) is not None

    def _curvatures(self) -> Array:
        """Return positive bounds of second derivatives, one per coordinate or per block."""
        if not self._has_curvatures:
            return np.ones(self.shape if self.term.separable else len(self.term.blocks), self.dtype)
        known = self.smooth.lipschitz
        L = np.empty(self.shape, self.dtype)
        L[...] = known if known.shape == self.shape else known[:, None]
        L[L == 0] = L.max() or 1
        if self.term.separable:
            return L
        blocks = self.term.blocks
        return np.add.reduceat(L.ravel()[blocks.indices], blocks.pointers[:-1])

    def scale(self, x: Point = None, theta: Array | None = None) -> float:
        if self._scale is None:
            with self.counted_as("check"):
                self._scale = self._first_scale() or 1.0
        return self._scale

    def _first_scale(self) -> float:
        start = self._reference()
        x = self._whole(start)
        if not (self.has_gap and self.linear):
            return self.residual(x)
        z = self.predict(x)
        infimum_removed = self.smooth.loss.gap(z, np.zeros_like(z), self.smooth.weights)
        return float(infimum_removed + self.term.value(start))

    # ---- bookkeeping

    def features(self) -> set[str]:
        found = {
            "nonconvex": not self.term.convex or not getattr(self.smooth, "convex", True),
            "bounds": self.term.bounded,
            "groups": not self.term.separable,
            "intercept": self.intercept,
            "several responses": len(self.shape) > 1,
            "unbounded curvature": not self._has_curvatures,
        }
        return {name for name, has in found.items() if has}

    def oracles(self) -> list[Oracle]:
        return self.smooth.oracles() if isinstance(self.smooth, SmoothProblem) else []

    def evaluations(self, counts: Mapping[str, int]) -> float:
        if isinstance(self.smooth, SmoothProblem):
            return self.smooth.evaluations(counts)
        return counts.get("columns", 0) / self.shape[0]

    def identity(self) -> str:
        kind = type(self.smooth.loss if self.linear else self.smooth).__name__
        rows = f"{self.smooth.n} x " if self.linear else ""
        return f"{super().identity()} {kind} {rows}{' x '.join(map(str, self.shape))} {type(self.term).__name__}"
