"""A smooth function plus a separable one: the lasso, with a duality gap, and coordinate descent for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from resolvent.problems.base import Oracle, Problem
from resolvent.solvers.base import Solver, State, require

__all__ = ["CoordinateDescent", "Lasso", "lasso"]


@dataclass(kw_only=True, eq=False, repr=False)
class Lasso(Problem):
    """min P(x) = norm2(A x - b)^2 / 2 + weight norm1(x).

    The certificate is (x, theta), the residual the duality gap P(x) - D(theta), where theta is scaled into the dual
    set first; the scale is P(0). The cost axis counts passes over A.
    """

    A: Any
    b: Any
    weight: float

    def __post_init__(self):
        super().__post_init__()
        if self.x0 is None:
            self.x0 = np.zeros(self.A.shape[1], self.dtype)
        self.predict = self._columns(lambda x: self.A @ x, self.A.shape[0])
        self.correlate = self._columns(lambda r: self.A.T @ r, self.A.shape[1])

    def _columns(self, product, size):
        touched = self.A.shape[1]
        return Oracle("columns", product, self.counts, shape=(size,), dtype=self.dtype, units=lambda v: touched)

    def measure(self, x, r, theta, correlation):
        """Return the gap from arrays at hand: r = b - A x, correlation = A^T theta."""
        theta = theta * min(1.0, self.weight / max(float(np.abs(correlation).max()), 1e-300))
        primal = 0.5 * self.dot(r, r) + self.weight * float(np.abs(x).sum())
        return max(0.0, primal - 0.5 * self.dot(self.b, self.b) + 0.5 * self.norm(theta - self.b) ** 2)

    def residual(self, x, theta=None):
        r = self.b - self.predict(x)
        theta = r if theta is None else theta
        return self.measure(x, r, theta, self.correlate(theta))

    def scale(self, x=None, theta=None):
        return 0.5 * self.dot(self.b, self.b)

    def evaluations(self, counts):
        return counts.get("columns", 0) / self.A.shape[1]


@dataclass(kw_only=True, eq=False)
class CoordinateDescentState(State):
    """The dual point, the residual vector b - A x, and the working set, which grows."""

    theta: Any = None
    r: Any = None
    working: Any = None

    def certificate(self):
        return self.x, self.theta

    def record(self):
        return {"working": float(len(self.working))}


@dataclass(frozen=True, kw_only=True)
class CoordinateDescent(Solver[Lasso, CoordinateDescentState]):
    """Coordinate descent over a working set.

    step:
        ``x_j <- soft(x_j + a_j^T r / norm2(a_j)^2, weight / norm2(a_j)^2)`` for each j of the working set
    cost:
        two columns per coordinate; two passes over A where the gap is computed

    Parameters
    ----------
    check_every : int
        Sweeps between two gaps; at each, the columns that violate most join the working set.
    batch : int
        Sweeps in one step of the driver.

    References
    ----------
    Massias, Gramfort and Salmon, ICML 2018.
    """

    solves = Lasso
    state = CoordinateDescentState
    reference = "Massias, Gramfort and Salmon 2018"
    check_every: int = 5
    batch: int = 1

    def __post_init__(self):
        for name in ("check_every", "batch"):
            value = getattr(self, name)
            require(isinstance(value, int) and value > 0, name, value, "a whole number >= 1")

    def begin(self, problem, x0, y0, rng, previous):
        state = CoordinateDescentState(x=x0, scale=problem.scale())
        working = np.flatnonzero(x0)
        if previous is not None:
            working = np.union1d(working, previous.working)
        return _look(problem, state, x0, working)

    def step(self, problem, state):
        for _ in range(self.batch):
            x = _sweep(problem, state)
            if (state.iterations + 1) % self.check_every:
                state.x, state.theta, state.residual = x, None, None
            else:
                _look(problem, state, x, state.working)
            state.iterations += 1
            if state.met or state.iterations >= state.limit:
                break
        return state

    def finish(self, problem, state):
        return state if state.residual is not None else _look(problem, state, state.x, state.working)


def _sweep(problem, state):
    x, A = state.x.copy(), problem.A
    for j in state.working:
        size = A[:, j] @ A[:, j]
        target = x[j] + A[:, j] @ state.r / size
        new = np.sign(target) * max(abs(target) - problem.weight / size, 0)
        state.r += (x[j] - new) * A[:, j]
        x[j] = new
    problem.counts["columns"] += 2 * len(state.working)
    return x


def _look(problem, state, x, working):
    """Compute r, theta and the gap from their definitions, and let the working set grow."""
    r = problem.b - problem.predict(x)
    correlation = problem.correlate(r)
    violated = np.setdiff1d(np.flatnonzero(np.abs(correlation) > problem.weight), working)
    worst = violated[np.argsort(-np.abs(correlation[violated]), kind="stable")][:5]
    state.x, state.r, state.theta = x, r, r.copy()
    state.working = np.union1d(working, worst)
    state.residual = problem.measure(x, r, r, correlation)
    return state


def lasso(weight=0.2, dtype=np.float64):
    """Return a lasso problem with 30 columns; `weight` is relative to the one above which x = 0."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((20, 30)).astype(dtype)
    b = (A[:, :4].sum(axis=1) + 0.1 * rng.standard_normal(20)).astype(dtype)
    return Lasso(A=A, b=b, weight=weight * float(np.abs(A.T @ b).max()), name="lasso", dtype=dtype)
