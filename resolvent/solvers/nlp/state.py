"""The state of `SketchedNewton`, and the few functions that write a point into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from resolvent.arrays import norm2
from resolvent.problems.nlp import NLP, Evaluation, least_squares_multipliers
from resolvent.solvers.base import State, cache
from resolvent.solvers.nlp.hessian import as_matrix
from resolvent.solvers.nlp.ladder import Rung, Work
from resolvent.solvers.nlp.merit import Penalties, merit
from resolvent.typing import Array

__all__ = ["SketchedNewtonState", "first_multipliers", "improve_multipliers", "measure", "move", "multipliers"]

LARGEST_MULTIPLIER = 1e3
"""Multipliers of least squares beyond this say that the rows of G are nearly dependent, and are not used to begin."""


@dataclass(kw_only=True, eq=False)
class SketchedNewtonState(State):
    """The point and its values; then what the rules carry from step to step; then the last step.

    Attributes
    ----------
    y : array (m,)
        Multipliers.
    objective, gradient, constraint, jacobian
        f, grad f (n,), c - constraint_lower (m,) and G (m, n) at x.
    infeasibility : float
        norm2(c).
    eta : Penalties
        Of the merit function.
    level : float
        Of the accuracy rule.
    last_shift, least_shift : float
        The last t that was needed; the t below which the last steps were too long.
    factor_work : float
        Flops of a factorisation, as last measured.
    sigma, feasibility_goal : float
        Regularisation of steps towards feasibility; the norm2(c) that ends them, 0 where none are taken.
    restarts : int
        How often the method turned to feasibility.
    best, milestone : float
        Smallest residual accepted by a Newton step; the last residual that was half of the one before.
    crawling, unit_steps, relaxations : int
        Steps since the milestone; unit steps in a row; how often the penalties fell.
    step_size, shift, rung, work, fault
        alpha, t, the rung that ended the step, its inner work, and the function that was not finite at the last trial
        point.
    ended : dict
        Steps so far by the name of the rung that ended them.
    pattern : Pattern
        Of the Newton matrix.
    """

    y: Array
    objective: float
    gradient: Array
    constraint: Array
    jacobian: Any
    infeasibility: float = 0.0
    rng: np.random.Generator
    eta: Penalties
    level: float
    last_shift: float = 0.0
    least_shift: float = 0.0
    factor_work: float = 0.0
    sigma: float = 1.0
    feasibility_goal: float = 0.0
    restarts: int = 0
    best: float = np.inf
    milestone: float = np.inf
    crawling: int = 0
    unit_steps: int = 0
    relaxations: int = 0
    step_size: float = 0.0
    shift: float = 0.0
    rung: Rung = Rung.NONE
    work: Work = field(default_factory=Work)
    fault: str = ""
    ended: dict[str, int] = field(default_factory=lambda: {rung.name.lower(): 0 for rung in Rung if rung})
    pattern: Any = cache()

    def certificate(self) -> tuple[Array, Array]:
        return self.x, self.y

    @property
    def lagrangian_gradient(self) -> Array:
        """g_L = grad f + G^T y."""
        return self.gradient + self.jacobian.T @ self.y  # type: ignore[no-any-return]

    @property
    def negligible(self) -> float:
        """The size of c that counts as none."""
        return max(0.1 * self.tolerance, 10 * float(np.finfo(self.constraint.dtype).eps))

    def record(self) -> dict[str, float]:
        return {
            "objective": self.objective,
            "infeasibility": self.infeasibility,
            "step_size": self.step_size,
            "penalty_constraint": self.eta.constraint,
            "penalty_gradient": self.eta.gradient,
            "shift": self.shift,
            "inner_iterations": self.work.sketch_steps,
            "rung": int(self.rung),
            **{f"ended_by_{name}": n for name, n in self.ended.items()},
        }


def move(
    problem: NLP, s: SketchedNewtonState, x: Array, y: Array, values: Evaluation, step_size: float, rung: Rung
) -> None:
    """Write a new point with all that belongs to it, as one step."""
    assert values.gradient is not None
    s.x, s.y = x, y
    s.objective, s.gradient, s.jacobian = values.objective, values.gradient, as_matrix(values.jacobian)
    s.constraint = values.constraint - problem.constraint_lower
    s.step_size, s.rung = step_size, rung
    s.ended[rung.name.lower()] += 1
    s.iterations += 1
    measure(problem, s)


def measure(problem: NLP, s: SketchedNewtonState) -> SketchedNewtonState:
    """Write residual, scale and infeasibility of the point."""
    s.infeasibility = problem.norm(s.constraint)
    s.residual = float(np.hypot(problem.norm(s.lagrangian_gradient), s.infeasibility))
    s.scale = max(1.0, problem.norm(s.gradient))
    return s


def multipliers(gradient: Array, G: Any) -> Array:
    """Return multipliers of least squares that nearly dependent rows of G do not blow up."""
    return least_squares_multipliers(gradient, G, cutoff=1e-5).astype(gradient.dtype, copy=False)


def first_multipliers(gradient: Array, G: Any, given: Array | None) -> Array:
    """Return the better of the given multipliers and those of least squares."""
    fitted = multipliers(gradient, G)
    if np.abs(fitted).max(initial=0) > LARGEST_MULTIPLIER:
        fitted = np.zeros_like(fitted)
    if given is None or norm2(gradient + G.T @ fitted) <= norm2(gradient + G.T @ given):
        return fitted
    return given


def improve_multipliers(problem: NLP, s: SketchedNewtonState) -> None:
    """Take the multipliers of least squares where residual and merit function are smaller: a step in y alone."""
    y = multipliers(s.gradient, s.jacobian)
    here, there = s.lagrangian_gradient, s.gradient + s.jacobian.T @ y
    now = merit(s.objective, s.constraint, s.y, here, s.eta)
    if norm2(there) < norm2(here) and merit(s.objective, s.constraint, y, there, s.eta) < now:
        s.y = y
        measure(problem, s)
