"""The judge: whether an answer is what its solver says it is.

It looks at a problem that was built afresh, in float64, and never at the state of a solver. An answer is solved when

    residual(*certificate) <= atol + rtol * scale(*certificate),

whatever its solver claims, so that solvers with other conventions are compared fairly.

======================  ==============================================================================
verdict
======================  ==============================================================================
verified                claimed, and true
unclaimed but good      true, though the solver does not say so
different minimum       true, but the corrected objective is above the best known by 1e-3 max(1, |best|)
verified infeasible     INFEASIBLE claimed, at a stationary point of the infeasibility that is not feasible
claimed only            claimed, and not true: a false claim
failed                  neither claimed nor true
======================  ==============================================================================

An answer that violates its constraints within the tolerance has an objective below the true one by y^T v to first
order, v the violation, which can be more than another minimum is away. Objectives are therefore compared as
f + y^T v: the *corrected* ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from resolvent import arrays
from resolvent.problems.linear import LinearSystem
from resolvent.problems.nlp import NLP
from resolvent.problems.smooth import SmoothProblem
from resolvent.typing import Array

__all__ = ["RIGHT", "SOLVED", "curvature", "is_worse", "judge"]

SOLVED = ("verified", "unclaimed but good", "different minimum")
RIGHT = (*SOLVED, "verified infeasible")
STATIONARY = 1e-6
"""Slope of the infeasibility, relative to max(1, its size), that counts as none."""
WORSE = 1e-3
MOST_VARIABLES = 500
"""Up to here the sign of the reduced Hessian is computed."""


def judge(
    problem: Any, certificate: tuple[Any, ...], claim: str, tolerance: Mapping[str, float], best: float | None
) -> dict[str, Any]:
    """Return the verdict and the numbers behind it.

    Parameters
    ----------
    problem : Problem
        Fresh, not the one that was solved.
    certificate : tuple
        (x,) or (x, y).
    claim : str
        "converged", "infeasible" or "" for none.
    tolerance : mapping
        atol and rtol.
    best : float or None
        Best known value of the objective.
    """
    if problem.dtype != np.float64:
        problem = problem.replace(dtype=np.float64)
    found: dict[str, Any] = {"checked": None, "scale": None, "tolerance": None, "objective": None, "corrected": None}
    found |= {"best": best, "second_order": None, "verdict": "claimed only" if claim else "failed"}
    if not all(arrays.is_finite(part) for part in certificate):
        return found
    certificate = tuple(arrays.as_float64(part) for part in certificate)
    residual, scale = problem.verify(*certificate)
    limit = tolerance["atol"] + tolerance["rtol"] * scale
    found |= {"checked": residual, "scale": scale, "tolerance": limit}
    if isinstance(problem, NLP | SmoothProblem):
        found["objective"] = float(problem.objective(certificate[0]))
        found["corrected"] = found["objective"] + _violation_value(problem, certificate)
    if claim == "infeasible":
        if _is_infeasible(problem, certificate[0], limit):
            found["verdict"] = "verified infeasible"
    elif residual is not None and residual <= limit:
        found["verdict"] = "verified" if claim else "unclaimed but good"
        found["second_order"] = curvature(problem, certificate)
        if is_worse(found["corrected"], best):
            found["verdict"] = "different minimum"
    return found


def is_worse(corrected: float | None, best: float | None) -> bool:
    """Whether a value belongs to another minimum than the best one."""
    if corrected is None or best is None:
        return False
    return corrected > best + WORSE * max(1.0, abs(best))


def _violation_value(problem: Any, certificate: tuple[Array, ...]) -> float:
    """Return y^T v, 0 where there are no constraints or no multipliers can be had."""
    if not isinstance(problem, NLP) or problem.constraint is None or problem.m == 0:
        return 0.0
    with problem.counted_as("check"):
        c = problem.constraint(certificate[0])
        y = _multipliers(problem, certificate, c)
    if y is None:
        return 0.0
    return float(y @ (c - np.clip(c, problem.constraint_lower, problem.constraint_upper)))


def _multipliers(problem: NLP, certificate: tuple[Array, ...], c: Array) -> Array | None:
    """Return y, that of least squares where the certificate has none."""
    x = certificate[0]
    if len(certificate) > 1:
        return certificate[1]
    if problem.jacobian is None:
        return None
    return problem.multipliers(x, problem.gradient(x), problem.jacobian(x), c)


def _is_infeasible(problem: Any, x: Array, tolerance: float) -> bool:
    if isinstance(problem, LinearSystem):
        return bool(problem.infeasible)
    if not isinstance(problem, NLP):
        return False
    violation, slope = problem.infeasibility(x)
    if not isfinite(slope) or slope > STATIONARY * max(1.0, violation):
        return False
    # where c is small its slope is small too: then it has to be small beside c
    return violation > 100 * tolerance or (violation > 3 * tolerance and slope <= STATIONARY * violation)


def curvature(problem: Any, certificate: tuple[Array, ...]) -> str | None:
    """Return what the reduced Hessian says of a stationary point: "minimum", "saddle" or "unknown".

    A minimum has a positive definite Hessian of the Lagrangian on the null space of the strongly active constraints
    (those with a multiplier that is not zero), a saddle has a direction of negative curvature in the null space of all
    active ones. None where there are no second derivatives or more than 500 variables. Work: O(n^3).
    """
    if not isinstance(problem, NLP | SmoothProblem) or problem.n > MOST_VARIABLES:
        return None
    with problem.counted_as("check"):
        found = _nlp_hessian(problem, certificate) if isinstance(problem, NLP) else _hessian(problem, certificate[0])
    if found is None or not np.isfinite(found[0]).all():
        return None
    hessian, strongly, active = found
    small = np.sqrt(np.finfo(np.float64).eps) * max(1.0, float(np.abs(hessian).max(initial=0)))
    if _lowest(hessian, active) < -small:
        return "saddle"
    return "minimum" if _lowest(hessian, strongly) > small else "unknown"


def _lowest(hessian: Array, rows: Array) -> float:
    """Return the lowest eigenvalue of the Hessian on the null space of the rows, inf where that is the origin alone."""
    if len(rows):
        _, values, directions = np.linalg.svd(rows)
        rank = int((values > 1e-10 * max(1.0, values[0])).sum())
        basis = directions[rank:].T
        hessian = basis.T @ hessian @ basis
    return float(np.linalg.eigvalsh(hessian)[0]) if len(hessian) else float("inf")


def _nlp_hessian(problem: NLP, certificate: tuple[Array, ...]) -> tuple[Array, Array, Array] | None:
    """Return the Hessian of the Lagrangian, the rows of strongly active constraints, those of all active ones."""
    x = certificate[0]
    J, c = np.zeros((0, problem.n)), np.zeros(0)
    if problem.constraint is not None and problem.m:
        if problem.jacobian is None:
            return None
        J, c = _dense(problem.jacobian(x)), problem.constraint(x)
    y = _multipliers(problem, certificate, c) if problem.m else c
    assert y is not None
    if problem.lagrangian_hessian is not None:
        hessian = _dense(problem.lagrangian_hessian(x, y))
    elif problem.lagrangian_hessp is not None:
        product = problem.lagrangian_hessp
        hessian = np.array([product(x, y, unit) for unit in np.eye(problem.n)])
    else:
        return None
    z = problem.bound_multipliers(x, y)
    values, pulls = np.concatenate([c, x]), np.concatenate([y, z])
    low = np.concatenate([problem.constraint_lower, problem.lower])
    high = np.concatenate([problem.constraint_upper, problem.upper])
    reach = 1e-6 * np.maximum(1.0, np.abs(values))
    equations = low == high
    active = equations | (np.abs(values - low) <= reach) | (np.abs(values - high) <= reach)
    strongly = equations | (active & (np.abs(pulls) > 1e-6))
    rows = np.vstack([J, np.eye(problem.n)])
    return hessian, rows[strongly], rows[active]


def _hessian(problem: SmoothProblem, x: Array) -> tuple[Array, Array, Array] | None:
    if problem.hessian is not None:
        hessian = _dense(problem.hessian(x))
    elif problem.hessp is not None:
        product = problem.hessp
        hessian = np.array([product(x, unit) for unit in np.eye(problem.n)])
    else:
        return None
    reach = 1e-6 * np.maximum(1.0, np.abs(x))
    active = (np.abs(x - problem.lower) <= reach) | (np.abs(x - problem.upper) <= reach)
    rows = np.eye(problem.n)
    slope = np.zeros(problem.n) if problem.gradient is None else problem.gradient(x)
    return hessian, rows[active & (np.abs(slope) > 1e-6)], rows[active]


def _dense(matrix: Any) -> Array:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, np.float64)
