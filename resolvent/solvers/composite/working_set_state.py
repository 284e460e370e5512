"""The state of a working set, and what is found out about a point: predictions, gradient, gap, and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from resolvent import kernels
from resolvent.problems.composite import CompositeProblem
from resolvent.solvers.base import State, cache
from resolvent.solvers.composite.quadratic_model import Block, coefficients
from resolvent.typing import Array, Point

__all__ = [
    "WorkingSetState",
    "ask",
    "confirm",
    "has_sight",
    "largest_violation",
    "look",
    "measure",
    "scales_into_dual",
    "see",
]


@dataclass(kw_only=True, eq=False)
class WorkingSetState(State):
    """The answer, its predictions, and the working set, which grows.

    Attributes
    ----------
    theta : array
        Dual point, like z.
    z, gradient : array
        Predictions, and gradient of f without that of the intercept.
    members : array of int
        The working set, in the order in which coordinates came.
    H : array (m, m)
        The model's matrix for the first m members.
    curvature : array (n,)
        The second derivatives of which H is; empty for least squares, whose do not change.
    blend : float
        To what part of their bounds second derivatives are lifted.
    model, block
        The linear model of which H is, and the columns of the working set.
    evaluated : tuple
        Predictions, with value and derivatives of a loss there.
    sighted, sight : tuple
        The problem, with whether one call sees it, and with what `see` saw of it at x.
    """

    theta: Any = None
    z: Any = None
    gradient: Any = None
    members: Any = None
    H: Any = None
    curvature: Any = None
    blend: float = 0.0
    model: Any = cache()
    block: Any = cache()
    evaluated: Any = cache()
    sighted: Any = cache()
    sight: Any = cache()

    def certificate(self) -> tuple[Point, Array]:
        return self.x, self.theta

    def record(self) -> dict[str, float]:
        return {"working": float(len(self.members)), "support": float(np.count_nonzero(coefficients(self.x)))}


def look(problem: CompositeProblem, state: WorkingSetState) -> WorkingSetState:
    """Compute predictions, gradient and gap from their definitions."""
    state.z = problem.predict(state.x)
    return ask(problem, state, problem.smooth.derivative(state.z))


def ask(problem: CompositeProblem, state: WorkingSetState, slope: Array) -> WorkingSetState:
    """Compute gradient and gap from predictions."""
    state.theta = -slope
    state.gradient = -coefficients(problem.correlate(state.theta, keep=True))
    return measure(problem, state)


def measure(problem: CompositeProblem, state: WorkingSetState) -> WorkingSetState:
    """Compute the gap from predictions and gradient; an intercept asks for a dual point of its own."""
    if has_sight(problem, state):
        return see(problem, state)
    correlation = -state.gradient
    if problem.intercept and problem.has_gap:
        state.theta = problem.dual_point(state.z)
        correlation = problem.correlate(state.theta, keep=True)
    elif problem.intercept:
        correlation = correlation, np.atleast_1d(state.theta.sum(axis=0))
    state.residual = problem.measure(state.x, state.z, state.theta, correlation)
    return state


# ---- one call for all that a step asks of the coordinates


def has_sight(problem: CompositeProblem, state: WorkingSetState) -> bool:
    """Whether a slope needs no more than scaling to be dual."""
    if state.sighted is None or state.sighted[0] is not problem:
        model = problem.smooth
        known = (
            not problem.intercept and problem.has_gap and model.lipschitz is not None and problem.dtype == np.float64
        )
        state.sighted = problem, known and scales_into_dual(problem)
    return bool(state.sighted[1])


def scales_into_dual(problem: CompositeProblem) -> bool:
    """Whether any slope can be scaled into the domain of the conjugate."""
    p = problem.term.parameters(problem.shape)
    return bool(((p.weight > 0) | (p.ridge > 0)).all())


def see(problem: CompositeProblem, state: WorkingSetState) -> WorkingSetState:
    """Compute the gap, and what the next step asks of all coordinates, by one call."""
    model, term, scores, found = problem.smooth, problem.term, np.empty(problem.shape), np.empty(3)
    t, numbers = term.dual_scale(-state.gradient), term.parameters(problem.shape)[1:5]
    kernels.prox.look(state.x, state.gradient, model.lipschitz, *numbers, t, scores, found)
    state.sight = problem, scores, found, t
    state.residual = float(model.loss.gap(state.z, -t * state.theta, model.weights) + found[2])
    return state


def confirm(problem: CompositeProblem, state: WorkingSetState) -> None:
    """Compute the gap from predictions by their definition; the dual point, and A^T of it, stay."""
    z = problem.predict(state.x)
    if state.sight is not None and state.sight[0] is problem:
        _, _, found, t = state.sight
        state.residual = float(problem.smooth.loss.gap(z, -t * state.theta, problem.smooth.weights) + found[2])
    else:
        state.residual = problem.measure(state.x, z, state.theta, -state.gradient)


def largest_violation(block: Block, x: Array, g: Array) -> float:
    """Do what `Block.violation` does with one call."""
    if x.dtype != np.float64:  # not worth compiling once more
        return block.violation(x, g)
    found = np.empty(3)
    kernels.prox.look(x, g, g, *block.term, 1.0, np.empty(len(x)), found)
    return float(found[0])
