"""Backtracking on the exact augmented Lagrangian.

alpha = 1, 1/2, 1/4, ... until one of three tests holds at (x + alpha dx, y + alpha dy); with safeguards also at
(x + alpha dx, multipliers of least squares there), since far from a solution it is often dy that is wrong, not dx:

1. Armijo: M <= M_0 + beta alpha M';
2. the predicted decrease alpha M' is rounding beside M, M has not grown, and the residual has fallen;
3. (with safeguards, alpha = 1, near a solution) the residual is at most half of the smallest one so far, which can
   happen but a limited number of times.

A point where a function is not finite counts as too far.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from resolvent.arrays import norm2
from resolvent.problems.nlp import NLP
from resolvent.solvers.nlp.hessian import as_matrix
from resolvent.solvers.nlp.ladder import Ladder
from resolvent.solvers.nlp.merit import merit
from resolvent.solvers.nlp.state import SketchedNewtonState, move, multipliers
from resolvent.typing import Array

__all__ = ["line_search"]

ARMIJO = 0.1
"""beta, as published."""
NEAR = 1e-2
"""A residual below NEAR * scale counts as near a solution."""


class _Start(NamedTuple):
    """Merit, slope and residual at alpha = 0, and the size of rounding beside M."""

    merit: float
    slope: float
    residual: float
    rounding: float


def line_search(
    problem: NLP, s: SketchedNewtonState, ladder: Ladder, slope: float, shortest: float, local: bool
) -> bool:
    """Move the state along the direction of `ladder` and return True, or leave it and return False.

    Parameters
    ----------
    problem : NLP
    s : SketchedNewtonState
    ladder : Ladder
        Its z is the direction (dx, dy).
    slope : float
        M' along z. Where it is not negative only test 3 is tried.
    shortest : float
        The smallest alpha.
    local : bool
        Whether test 3 and the multipliers of least squares may be used.
    """
    n, eps = problem.n, float(np.finfo(problem.dtype).eps)
    dx, dy = ladder.z[:n], ladder.z[n:]
    now = merit(s.objective, s.constraint, s.y, s.lagrangian_gradient, s.eta)
    assert s.residual is not None
    start = _Start(now, slope, s.residual, 10 * eps * max(abs(now), abs(s.objective)))
    alpha = 1.0
    while alpha >= (shortest if slope < 0 else 1.0):
        x = s.x + alpha * dx
        values = problem.at(x)
        s.fault = values.fault
        if values.gradient is not None and values.jacobian is not None:
            c, G = values.constraint - problem.constraint_lower, as_matrix(values.jacobian)
            for y in _multipliers(s.y + alpha * dy, values.gradient, G, fitted=local):
                gradient = values.gradient + G.T @ y
                size = float(np.hypot(norm2(gradient), norm2(c)))
                there = merit(values.objective, c, y, gradient, s.eta)
                if np.isfinite(size) and (
                    _falls(start, alpha, there, size)
                    or (local and alpha == 1 and start.residual <= NEAR * s.scale and size <= 0.5 * s.best)
                ):
                    s.best = min(s.best, size)
                    move(problem, s, x, y, values, alpha, ladder.rung)
                    return True
        alpha *= 0.5
    return False


def _multipliers(y: Array, gradient: Array, G: Any, fitted: bool) -> Iterator[Array]:
    """Yield those of the direction, then those of least squares."""
    yield y
    if fitted:
        yield multipliers(gradient, G)


def _falls(start: _Start, alpha: float, merit_there: float, residual_there: float) -> bool:
    """Tests 1 and 2."""
    predicted = alpha * start.slope
    if predicted >= 0:
        return False
    if merit_there <= start.merit + ARMIJO * predicted:
        return True
    flat = -predicted <= start.rounding and merit_there <= start.merit + start.rounding
    return flat and residual_there < start.residual
