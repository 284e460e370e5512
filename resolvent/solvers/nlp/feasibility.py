"""A step towards feasibility: regularised Newton on norm2(c(x))^2 / 2.

With S = sum_i c_i Hess c_i where the problem gives it and the model is convex, and S = 0 (Levenberg-Marquardt) else::

    min over dx of norm2(c + G dx)^2 + dx^T S dx + mu norm2(dx)^2:

        [ S + mu I   G^T ] [ dx ]   [  0 ]
        [ G          -I  ] [ w  ] = [ -c ]

defined for any rank of G and any m, n. mu = sigma norm2(c), so that convergence to feasible points is quadratic where
norm2(c) grows like the distance to them, and sigma follows the ratio of the actual to the predicted decrease. With S
convergence is quadratic to infeasible stationary points too, where Levenberg-Marquardt crawls.

A point is a stationary point of the infeasibility when c has next to no part in the range of G: then no step in any
direction makes it smaller to first order, and the program is (locally) infeasible.

Reference: J.-Y. Fan and Y.-X. Yuan, On the quadratic convergence of the Levenberg-Marquardt method without
nonsingularity assumption, Computing 74 (2005) 23-39.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.arrays import norm2
from resolvent.problems.nlp import NLP, Evaluation, infeasibility_slope
from resolvent.solvers.linear.symmetric_factor import factorise
from resolvent.solvers.nlp.hessian import as_matrix
from resolvent.solvers.nlp.ladder import Rung
from resolvent.solvers.nlp.merit import Penalties
from resolvent.solvers.nlp.newton_system import NewtonSystem
from resolvent.solvers.nlp.state import SketchedNewtonState, move, multipliers
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["FeasibilityStep", "approach", "feasibility_step", "is_stationary"]

SMALLEST_SIGMA = 1e-12
TRIALS = 40
LONGEST, HIGHEST = 0.5, 1e3
"""How far a step may go, in parts of the size of x, and how much f may grow, in parts of its size."""


@dataclass
class FeasibilityStep:
    """The outcome: the new point, or None where no step makes norm2(c) smaller, and sigma for the next step.

    `fault` names the function that was not finite at the last trial point.
    """

    x: Array | None
    values: Evaluation | None
    sigma: float
    factorisations: int
    fault: str


def feasibility_step(problem: NLP, x: Array, objective: float, c: Array, G: Any, sigma: float) -> FeasibilityStep:
    """Take one step. Work: one Hessian; one factorisation of order n + m and at most one evaluation per trial.

    f has no say in where the step goes, so that x must not move by more than about its own size, nor f by much more.
    """
    size, slope = norm2(c), norm2(G.T @ c)
    eps, fault = float(np.finfo(x.dtype).eps), ""
    longest, highest = LONGEST * max(1.0, norm2(x)), objective + HIGHEST * max(1.0, abs(objective))
    rhs = np.concatenate([np.zeros(problem.n, c.dtype), -c])
    S = _curvature(problem, x, c, G)
    system = NewtonSystem(S, G, rhs)
    for trial in range(1, TRIALS + 1):
        dx, negative = _solve(system, sigma * size)
        if negative != problem.m and system.H is S:
            system = NewtonSystem(0 * S, G, rhs)
            dx, negative = _solve(system, sigma * size)
        length = norm2(dx)
        if length <= eps * norm2(x):
            break
        if length <= longest:
            values = problem.at(x + dx)
            fault = values.fault
            if values.jacobian is not None and values.gradient is not None and values.objective <= highest:
                there = values.constraint - problem.constraint_lower
                change = size**2 - norm2(there) ** 2
                predicted = size**2 - norm2(c + G @ dx) ** 2 - float(dx @ (system.H @ dx))
                ratio = change / max(predicted, 1e-300)
                # where the change drowns in rounding, the slope has to tell
                flat = abs(change) <= 1e3 * eps * size**2 and norm2(values.jacobian.T @ there) < slope
                if ratio >= 1e-4 or flat:
                    sigma = sigma / 5 if ratio > 0.75 or flat else sigma * 2 if ratio < 0.25 else sigma
                    return FeasibilityStep(x + dx, values, max(sigma, SMALLEST_SIGMA), trial, "")
        sigma *= 4 if length <= longest else 16
    return FeasibilityStep(None, None, sigma, trial, fault)


def _solve(system: NewtonSystem, mu: float) -> tuple[Array, int | None]:
    system.regularise(mu, 1.0)
    assert system.matrix is not None
    factor = factorise(system.matrix)
    with np.errstate(all="ignore"):
        z = factor.solve(system.b)
        z = z - factor.solve(system.residual(z))
    return z[: system.n], factor.negative


def _curvature(problem: NLP, x: Array, c: Array, G: Any) -> Any:
    """Return S = sum_i c_i Hess c_i, zero where the problem gives no matrix."""
    if problem.lagrangian_hessian is not None:
        S = as_matrix(problem.lagrangian_hessian(x, c, 0.0))
        if np.isfinite(S.data if sp.issparse(S) else S).all():
            return S
    if sp.issparse(G):
        return sp.csr_array((problem.n, problem.n), dtype=c.dtype)
    return np.zeros((problem.n, problem.n), c.dtype)


def is_stationary(c: Array, G: Any) -> bool:
    """Whether G^T c is zero as far as can be told: the cosine between c and the range of G is below 1e-6.

    Where c -> 0 at a singular Jacobian, G^T c -> 0 too, but c stays in the range of G: that is not stationary.
    """
    size, slope = norm2(c), norm2(G.T @ c)
    if size == 0 or slope > 1e-7 * max(1.0, size):
        return False
    dense = G.toarray() if hasattr(G, "toarray") else G
    if slope <= 1e-12 * size * min(1.0, size):
        return True
    if dense.size > 250_000:
        return slope <= 1e-9 * size * min(1.0, size)
    u, s, _ = np.linalg.svd(dense, full_matrices=False)
    return norm2(u[:, s > 1e-12 * s.max(initial=0)].T @ c) <= 1e-6 * size


def approach(problem: NLP, s: SketchedNewtonState, eta: Penalties) -> SketchedNewtonState:
    """Take a step towards feasibility; at the goal go back to Newton steps with fresh multipliers and penalties `eta`.

    Gives up as INFEASIBLE at a stationary point of the infeasibility, as STALLED where no step helps.
    """
    size = s.infeasibility
    if is_stationary(s.constraint, s.jacobian):
        return _infeasible(s)
    step = feasibility_step(problem, s.x, s.objective, s.constraint, s.jacobian, s.sigma)
    problem.counts["inner.factorisation"] += step.factorisations
    s.sigma = step.sigma
    if step.x is None or step.values is None:
        if _slopeless(s, 1e-7):
            return _infeasible(s)
        why = f"{step.fault} is not finite around it; " if step.fault else ""
        return s.give_up(Status.STALLED, f"norm2(c) = {size:.3e} cannot be made smaller; {why}try another x0")
    y = s.y
    if norm2(step.values.constraint - problem.constraint_lower) <= s.feasibility_goal:
        assert step.values.gradient is not None
        y = multipliers(step.values.gradient, as_matrix(step.values.jacobian))
        s.feasibility_goal, s.eta = 0.0, eta
    s.shift = 0.0
    move(problem, s, step.x, y, step.values, 1.0, Rung.FEASIBILITY)
    at_rest = size - s.infeasibility <= 1e-10 * size
    return _infeasible(s) if _slopeless(s, 1e-7 if at_rest else 1e-9) else s


def _slopeless(s: SketchedNewtonState, slope: float) -> bool:
    """Whether norm2(c) is not small but its slope is."""
    size, gradient = s.infeasibility, infeasibility_slope(s.x, s.constraint, s.jacobian)
    return size > 1e3 * s.tolerance and norm2(gradient) <= slope * max(1.0, size)


def _infeasible(s: SketchedNewtonState) -> SketchedNewtonState:
    slope = norm2(s.jacobian.T @ s.constraint)
    return s.give_up(
        Status.INFEASIBLE,
        f"a stationary point of the infeasibility: norm2(c) = {s.infeasibility:.3e} but norm2(G^T c) = {slope:.3e}; "
        "the constraints contradict each other here, try another x0",
    )
