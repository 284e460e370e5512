"""A finite-sum monotone inclusion, whose residual costs a full pass, and a variance-reduced Halpern iteration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from resolvent.problems.base import Problem
from resolvent.solvers.base import Solver, State, require
from resolvent.solvers.stop import Status

__all__ = ["Halpern", "MonotoneInclusion", "game"]


@dataclass(kw_only=True, eq=False, repr=False)
class MonotoneInclusion(Problem):
    """0 in F(x) + G(x), F the mean of n components.

    `components(x, idx) -> (d,)` is the mean of the components idx, `resolvent(v, eta) -> (d,)` that of G. The residual
    is norm2( x - J(x - eta F(x)) ) / eta with eta = 1 / lipschitz, the scale the residual at x0, computed when first
    asked for. The cost axis counts passes over the components.
    """

    components: Callable[..., Any]
    n: int
    lipschitz: float
    resolvent: Callable[..., Any]
    _scale: float | None = field(default=None, init=False)

    def __post_init__(self):
        super().__post_init__()
        self._wrap("components", self.x0.shape, required=True, units=lambda x, idx: len(idx))
        self._wrap("resolvent", self.x0.shape, required=True)

    def full(self, x):
        """Return F(x). Cost: one pass."""
        return self.components(x, np.arange(self.n))

    def measure(self, x, F):
        """Return the residual from F(x) at hand; nan, without a call of the resolvent, where F is not finite."""
        if not np.isfinite(F).all():
            return np.nan
        eta = 1 / self.lipschitz
        return self.norm(x - self.resolvent(x - eta * F, eta)) / eta

    def residual(self, x):
        return self.measure(x, self.full(x))

    def scale(self, x=None):
        if self._scale is None:
            with self.counted_as("check"):
                self._scale = self.residual(self.x0)
        return self._scale

    def evaluations(self, counts):
        return counts.get("components", 0) / self.n


@dataclass(kw_only=True, eq=False)
class HalpernState(State):
    """The anchor, and the point w where F was computed in full."""

    rng: np.random.Generator
    anchor: Any
    w: Any
    Fw: Any
    estimate: float
    since_anchor: int = 0

    def record(self):
        return {"estimate": self.estimate}


@dataclass(frozen=True, kw_only=True)
class Halpern(Solver[MonotoneInclusion, HalpernState]):
    """Halpern iteration with loopless variance reduction and restarts of the anchor.

    step:
        ``x <- anchor / (k + 2) + (1 - 1 / (k + 2)) J(x - eta F^)``, F^ = F(w) + F_idx(x) - F_idx(w)
    cost:
        two batches of components; a full pass now and then, which also gives the residual

    Parameters
    ----------
    sample : int
        Components in an estimate.
    probability : float in (0, 1]
        Of a full pass.
    restart : int
        Steps between two anchors.

    References
    ----------
    Halpern, Bull. Amer. Math. Soc. 73 (1967) 957-961.
    """

    solves = MonotoneInclusion
    state = HalpernState
    reference = "Halpern 1967"
    usual_iterations = 20_000
    sample: int = 4
    probability: float = 0.1
    restart: int = 50

    def __post_init__(self):
        for name in ("sample", "restart"):
            value = getattr(self, name)
            require(isinstance(value, int) and value > 0, name, value, "a whole number >= 1")
        known = isinstance(self.probability, float) and 0 < self.probability <= 1
        require(known, "probability", self.probability, "a number in (0, 1]")

    def begin(self, problem, x0, y0, rng, previous):
        F = problem.full(x0)
        residual = problem.measure(x0, F)
        return HalpernState(
            x=x0,
            rng=rng,
            anchor=x0.copy(),
            w=x0.copy(),
            Fw=F,
            estimate=residual,
            residual=residual,
            scale=problem.scale(),
        )

    def step(self, problem, state):
        eta, s = 0.5 / problem.lipschitz, state
        idx = s.rng.integers(problem.n, size=self.sample)
        F = s.Fw + problem.components(s.x, idx) - problem.components(s.w, idx)
        if not np.isfinite(F).all():
            return s.give_up(Status.DIVERGED, "components returned nan or inf")
        y = problem.resolvent(s.x - eta * F, eta)
        weight = 1 / (s.since_anchor + 2)
        x = weight * s.anchor + (1 - weight) * y
        estimate, residual, Fx = problem.norm(s.x - y) / eta, None, None
        if s.rng.random() < self.probability or estimate <= s.tolerance:
            Fx = problem.full(x)
            residual = problem.measure(x, Fx)
        s.x, s.residual, s.estimate = x, residual, estimate  # after the last call of a user function
        if Fx is not None:
            s.w, s.Fw = x.copy(), Fx
        s.since_anchor += 1
        if s.since_anchor == self.restart:
            s.since_anchor, s.anchor = 0, x.copy()
        s.iterations += 1
        return s

    def finish(self, problem, state):
        if state.residual is None:
            state.residual = problem.residual(state.x)
        return state


def game(tilt=0.0, dtype=np.float64):
    """Return a matrix game on two simplices, made strongly monotone; `tilt` moves its one equilibrium."""
    rng, d, n = np.random.default_rng(0), 3, 16
    K = (rng.standard_normal((n, d, d)) + 2 * rng.standard_normal((d, d))).astype(dtype)
    offset = tilt * np.arange(2 * d).astype(dtype)

    def components(z, idx):
        M = K[idx].mean(axis=0)
        return np.concatenate([M @ z[d:], -M.T @ z[:d]]) + z + offset

    def resolvent(v, eta):
        return np.concatenate([_simplex(v[:d]), _simplex(v[d:])])

    return MonotoneInclusion(
        components=components,
        resolvent=resolvent,
        n=n,
        lipschitz=float(np.linalg.norm(K.mean(axis=0), 2)) + 1,
        x0=np.full(2 * d, 1 / d),
        dtype=dtype,
        name="game",
    )


def _simplex(v):
    """Return the projection of v on the unit simplex."""
    u = np.sort(v)[::-1]
    excess = (np.cumsum(u) - 1) / np.arange(1, len(v) + 1).astype(v.dtype)
    return np.maximum(v - excess[np.flatnonzero(u > excess)[-1]], 0)
