"""What block coordinate descent does in a block.

h is the smooth part with gradient g, H_b a bound of its Hessian in block b, L_b the largest eigenvalue of H_b::

    Gradient            -g_b / L_b                                                          Lb
    AdaptiveGradient    -g_b / L, L doubled until h falls by norm2(g_b)^2 / (2 L)           LA
    Matrix              -H_b^-1 g_b                                                         Hb
    Newton              -t (D^2 h)_bb^-1 g_b with a line search                             LS
    Cubic               argmin g_b^T d + d^T (D^2 h)_bb d / 2 + M_b norm2(d)^3 / 6

and with terms that have kinks or bounds::

    ProximalGradient    prox(x_b - g_b / L_b) with steps 1 / L_b                            PG
    ProjectedNewton     argmin g_b^T d + d^T (D^2 h)_bb d / 2 + term(x_b + d), a line search  PN
    TwoMetricProjection Newton on the coordinates that are free to move, gradient on the others, projected   TMP
    Forest              Newton or TMP in blocks that are forests in the graph of the Hessian, in O(size)

All lower the objective in each step, up to rounding. The line searches are Armijo's with the constant 1e-10 of the
published runs; they forgive the rounding of a value that is not quadratic, since near a solution nothing else is left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import Any, ClassVar

import numpy as np

from resolvent import kernels
from resolvent.errors import ProblemError
from resolvent.solvers.composite.access import Access, Chosen, Factor
from resolvent.solvers.composite.quadratic_model import gram_minimise
from resolvent.typing import Array

__all__ = [
    "AdaptiveGradient",
    "Cubic",
    "Forest",
    "Gradient",
    "Matrix",
    "Newton",
    "ProjectedNewton",
    "ProximalGradient",
    "TwoMetricProjection",
    "Update",
]

ARMIJO = 1e-10
TRIALS = 60

NEAR = 1e-4
"""Coordinates nearer to a bound than this part of the largest in the block may count as being there."""

ACCURACY = 1e-10
"""How far `ProjectedNewton` minimises its model, as a part of the violation at its start."""


class Update(ABC):
    """How a block is updated.

    Attributes
    ----------
    kinks : bool
        Whether it takes terms with kinks or bounds.
    estimates : bool
        Whether it keeps an estimate of the curvature for each coordinate.
    """

    kinks: ClassVar[bool] = False
    estimates: ClassVar[bool] = False

    def prepare(self, access: Access) -> None:  # noqa: B027  (most updates need nothing)
        """Raise ProblemError where the update does not fit the problem."""

    @abstractmethod
    def step(self, access: Access, state: Any, chosen: Chosen) -> Array:
        """Return the new entries of the block."""


class _Bounded(Update):
    """An update by a bound of the Hessian."""

    def prepare(self, access: Access) -> None:
        access.bound(np.zeros(0, np.int64))  # raises where there is none


@dataclass(frozen=True, kw_only=True)
class Gradient(_Bounded):
    """Lb: a gradient step with 1 / L_b. Cost: the eigenvalues of H_b, once for fixed blocks."""

    def step(self, access: Access, state: Any, chosen: Chosen) -> Array:
        b = chosen.members
        L = access.largest(chosen)
        found: Array = access.x(state)[b] - (access.slope(state)[b] / L if L > 0 else 0.0)
        return found


@dataclass(frozen=True, kw_only=True)
class AdaptiveGradient(Update):
    """LA: a gradient step whose L is doubled until h falls as far as such a step promises.

    Estimates are kept for each coordinate, and all of a block get its largest. They start from 1 and never fall, so
    that blocks of similar curvature suit it (`partitions.Sorted`); variable blocks of very different columns do not.
    Cost: a pass over the predictions for each trial.
    """

    estimates: ClassVar[bool] = True

    def prepare(self, access: Access) -> None:
        """Any problem will do."""

    def step(self, access: Access, state: Any, chosen: Chosen) -> Array:
        b = chosen.members
        x, g = access.x(state)[b], access.slope(state)[b]
        square, L = float(g @ g), float(state.estimates[b].max())
        if square == 0:
            return x
        line = access.along(state, b, -g)
        for _ in range(2000):  # numbers of floating point have no more octaves
            if line.change(1 / L) <= -0.5 * square / L + line.noise:
                break
            L *= 2
        state.estimates[b] = L
        found: Array = x - g / L
        return found


@dataclass(frozen=True, kw_only=True)
class Matrix(_Bounded):
    """Hb: -H_b^-1 g_b, the exact minimiser for least squares and quadratics. Cost: size^3, once for fixed blocks."""

    def step(self, access: Access, state: Any, chosen: Chosen) -> Array:
        b = chosen.members
        found: Array = access.x(state)[b] - access.factor(chosen).solve(access.slope(state)[b])
        return found


@dataclass(frozen=True, kw_only=True)
class Newton(Update):
    """LS: a Newton step with a line search, by quadratic and then cubic interpolation. Cost: size^3."""

    def step(self, access: Access, state: Any, chosen: Chosen) -> Array:
        b = chosen.members
        x, g = access.x(state)[b], access.slope(state)[b]
        factor = access.factor(chosen) if access.exact else Factor(access.hessian(state, b))
        d = -factor.solve(g)
        line = access.along(state, b, d)
        found: Array = x + _search(line.change, float(g @ d), line.noise) * d
        return found


@dataclass(frozen=True, kw_only=True)
class Cubic(Update):
    """The minimiser of the second-order model with a cubic bound of what is beyond. Cost: 9 size^3.

    For logistic and softmax losses, whose third derivatives are bounded; for quadratics it is `Matrix`.
    """

    def prepare(self, access: Access) -> None:
        super().prepare(access)
        access.third_derivative(np.zeros(0, np.int64))

    def step(self, access: Access, state: Any, chosen: Chosen) -> Array:
        b = chosen.members
        x, g, M = access.x(state)[b], access.slope(state)[b], access.third_derivative(b)
        if M == 0 or not g.any():
            return x - access.factor(chosen).solve(g)
        values, vectors = np.linalg.eigh(access.hessian(state, b))
        found: Array = x - vectors @ _cubic(np.maximum(values, 0), vectors.T @ g, M)
        return found


def _cubic(values: Array, g: Array, M: float) -> Array:
    """Return d / (values + M r / 2) for g, where r is the norm of the result: minus the minimiser.

    The norm falls where r grows, so that bisection finds r to the last digits. Cost: 200 passes at most.
    """
    low, high = 0.0, sqrt(2 * float(np.linalg.norm(g)) / M)  # without curvature M r^2 / 2 = norm2(g)
    for _ in range(200):
        r = 0.5 * (low + high)
        if not low < r < high:
            break
        low, high = (r, high) if float(np.linalg.norm(g / (values + 0.5 * M * r))) > r else (low, r)
    found: Array = g / (values + 0.5 * M * high)
    return found


@dataclass(frozen=True, kw_only=True)
class ProximalGradient(_Bounded):
    """PG: the proximal point of a gradient step with 1 / L_b. Cost: the eigenvalues of H_b, once for fixed blocks."""

    kinks: ClassVar[bool] = True

    def step(self, access: Access, state: Any, chosen: Chosen) -> Array:
        b = chosen.members
        L = max(access.largest(chosen), 1e-300)
        return access.term.prox(access.x(state)[b] - access.slope(state)[b] / L, 1 / L, b)


@dataclass(frozen=True, kw_only=True)
class ProjectedNewton(Update):
    """PN: the minimiser of the second-order model plus the term, with a line search where f is not quadratic.

    The model is minimised by sweeps over coordinates and Newton steps on faces. Cost: a few size^3.
    """

    kinks: ClassVar[bool] = True

    def prepare(self, access: Access) -> None:
        super().prepare(access)
        _require_convex(access, "ProjectedNewton")

    def step(self, access: Access, state: Any, chosen: Chosen) -> Array:
        b, term = chosen.members, access.term
        x, g = access.x(state)[b].astype(np.float64), access.slope(state)[b]
        H, new, model = access.hessian(state, b), x.copy(), term.model(b)
        curvature = H.diagonal()
        size = float((np.abs(g) + np.abs(curvature * x)).max(initial=0.0))
        violation = float((curvature * np.abs(_proximal_step(access, x, g, curvature, b))).max(initial=0.0))
        target = max(ACCURACY * violation, 4 * float(np.finfo(np.float64).eps) * size)
        gram_minimise(H, g.copy(), new, model, 10, target)
        d = new - x
        line, slope = access.along(state, b, d), float(g @ d) + term.change(x, new, b)
        if line.change(1.0) + term.change(x, new, b) <= ARMIJO * slope + line.noise:
            return new  # as it is: x + d would move what stands on a kink
        t = _search(lambda t: line.change(t) + term.change(x, x + t * d, b), slope, line.noise)
        return x + t * d


def _proximal_step(access: Access, x: Array, g: Array, curvature: Array, b: Array) -> Array:
    """Return by how far each coordinate alone would move."""
    weight, _, lower, upper = access.term.model(b)
    safe = np.where(curvature > 0, curvature, 1)
    v = x - g / safe
    found: Array = np.clip(np.sign(v) * np.maximum(np.abs(v) - weight / safe, 0), lower, upper) - x
    return found


@dataclass(frozen=True, kw_only=True)
class TwoMetricProjection(Update):
    """TMP: Newton on the coordinates that are free to move, gradient steps on the others, projected (Bertsekas 1982).

    The region is that of the signs of x, those of the steepest direction where x is zero, and of the bounds. Near a
    bound, and active, is what a step of the gradient would carry over it and lies as near as 1e-4 of the largest entry,
    or the length of a projected gradient step where that is shorter. The search goes along the projected arc. Cost:
    size^3 / 3.
    """

    kinks: ClassVar[bool] = True

    def prepare(self, access: Access) -> None:
        super().prepare(access)
        _require_convex(access, "TwoMetricProjection")

    def step(self, access: Access, state: Any, chosen: Chosen) -> Array:
        H = access.hessian(state, chosen.members)

        def solve(free: Array, r: Array) -> Array:
            return Factor(H[np.ix_(free, free)]).solve(r[free])

        return _two_metrics(access, state, chosen.members, H.diagonal(), solve)


@dataclass(frozen=True, kw_only=True)
class Forest(Update):
    """Newton in blocks that are forests, with a line search where f is not quadratic; `TwoMetricProjection` with kinks.

    H_bb is eliminated from the leaves to the roots. Cost: O(size), and the forest of a block that is chosen anew.
    """

    kinks: ClassVar[bool] = True

    def prepare(self, access: Access) -> None:
        access.require_forests()
        if not access.term.smooth:
            _require_convex(access, "Forest")

    def step(self, access: Access, state: Any, chosen: Chosen) -> Array:
        order, parent, edge = access.forest(chosen)
        H, diagonal = access.entries(state, order)
        out = np.empty(len(order), H.dtype)

        def solve(free: Array, r: Array) -> Array:
            mask = np.zeros(0 if len(free) == len(order) else len(order), bool)
            if len(mask):
                mask[free] = True
            kernels.forests.forest_solve(H.data, diagonal, order, parent, edge, mask, r.astype(H.dtype), out)
            return out[free].astype(np.float64)

        if access.term.smooth:
            g, everything = access.slope(state)[order], np.arange(len(order))
            d = -solve(everything, g)
            t = 1.0
            if not access.exact:
                line = access.along(state, order, d)
                t = _search(line.change, float(g @ d), line.noise)
            new: Array = access.x(state)[order] + t * d
        else:
            new = _two_metrics(access, state, order, diagonal[order].astype(np.float64), solve)
        entries = np.empty(access.p)
        entries[order] = new
        found: Array = entries[chosen.members]
        return found


def _two_metrics(
    access: Access, state: Any, b: Array, diagonal: Array, solve: Callable[[Array, Array], Array]
) -> Array:
    """Return the new entries of b; ``solve(free, r)`` solves for some of them, places in b."""
    term = access.term
    x, g = access.x(state)[b].astype(np.float64), access.slope(state)[b]
    weight, _, lower, upper = term.model(b)
    frozen = (x == 0) & (np.abs(g) <= weight) & (weight > 0)
    sign = np.where(frozen, 0, np.where(x != 0, np.sign(x), -np.sign(g)))
    lower = np.where((weight > 0) & (sign >= 0), np.maximum(lower, 0), lower)
    upper = np.where((weight > 0) & (sign <= 0), np.minimum(upper, 0), upper)
    v = np.where(frozen, 0, g + weight * sign)
    length = float(np.linalg.norm(np.clip(x - v / max(float(diagonal.sum()), 1e-300), lower, upper) - x))
    near = min(NEAR * float(np.abs(x).max(initial=0.0)), length)
    active = frozen | ((x - lower <= near) & (v > 0)) | ((upper - x <= near) & (v < 0))
    free = np.flatnonzero(~active)
    u = np.zeros(len(b))
    total = float(diagonal[active & ~frozen].sum())
    u[active] = -v[active] / (total if total > 0 else 1.0)
    u[free] = -solve(free, v)
    newton = float(v[free] @ u[free])
    t = 1.0
    for _ in range(TRIALS):
        new = np.clip(x + t * u, lower, upper)
        d = new - x
        line, least = access.along(state, b, d), t * newton + float(v[active] @ d[active])
        if line.change(1.0) + term.change(x, new, b) <= ARMIJO * least + line.noise:
            return new
        t *= 0.5
    return x


def _require_convex(access: Access, name: str) -> None:
    if not access.term.convex:
        raise ProblemError(f"{name} needs a convex term, got {type(access.problem.term).__name__}; ProximalGradient "
                           "takes any")  # fmt: skip
    if not access.problem.smooth.convex:
        raise ProblemError(f"{name} needs a convex f; give convex=True to a Quadratic that is")


def _search(change: Callable[[float], float], slope: float, noise: float) -> float:
    """Return a step t with ``change(t) <= 1e-10 t slope``, or 0 where none is found.

    The first trial is 1, the second from the parabola through both ends, the others from cubics through the last two
    trials; each within a tenth and a half of the last one.
    """
    if not slope < 0:
        return 0.0
    t, value = 1.0, change(1.0)
    before: tuple[float, float] | None = None
    for _ in range(TRIALS):
        if value <= ARMIJO * t * slope + noise:
            return t
        if not isfinite(value):
            best, before = 0.1 * t, None
        else:
            best = _parabola(t, value, slope) if before is None else _cubic_minimum(before, (t, value), slope)
            before = t, value
        t = min(max(best, 0.1 * t), 0.5 * t) if isfinite(best) else 0.5 * t
        value = change(t)
    return 0.0


def _parabola(t: float, value: float, slope: float) -> float:
    """Return the minimum of the parabola with value 0 and this slope at 0."""
    bend = value - slope * t
    return -0.5 * slope * t * t / bend if bend > 0 else inf


def _cubic_minimum(first: tuple[float, float], second: tuple[float, float], slope: float) -> float:
    """Return the minimum of the cubic with value 0 and this slope at 0 through two points."""
    (s, at_s), (t, at_t) = first, second
    bend_s, bend_t = (at_s - slope * s) / (s * s), (at_t - slope * t) / (t * t)
    a = (bend_t - bend_s) / (t - s)
    b = bend_s - a * s
    root = b * b - 3 * a * slope
    if root < 0:
        return inf
    return -slope / (b + sqrt(root)) if b + sqrt(root) != 0 else inf
