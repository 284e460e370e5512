"""Sketched Newton for equality-constrained programs, globalised by an exact augmented Lagrangian.

    min f(x)   subject to   c(x) = 0,        L(x, y) = f(x) + y^T c(x),      G = Jacobian of c,   g_L = grad f + G^T y

A step from (x, y), with H = Hess_xx L and B = H + t I:

1. Solve  [ B G^T ; G 0 ] (dx, dy) = -( g_L, c )  approximately, by randomised sketching first (`Ladder`), until the
   residual r satisfies the accuracy condition (`Accuracy`) and the direction shows no negative curvature
   (`Curvature`).
2. The merit function is M = L + (eta_1 / 2) norm2(c)^2 + (eta_2 / 2) norm2(g_L)^2. While its slope along the direction
   exceeds -(eta_2 / 2) norm2(grad L)^2: ask for more accuracy, then eta_1 <- nu^2 eta_1, eta_2 <- eta_2 / nu.
3. Backtrack, alpha = 1, 1/2, 1/4, ... to  M(x + alpha dx, y + alpha dy) <= M + alpha beta M'.  Primal and dual move
   together.

Beside the published method, which `SketchedNewton.published` is:

* The merit gradient uses the Hessian of the Lagrangian (the authors' code has that of f).
* The accuracy condition is computable, and t is raised geometrically from zero (see `Accuracy`, `Curvature`).
* Where no direction of descent exists (dependent constraints, inconsistent linearisations, line search exhausted) the
  method takes Levenberg-Marquardt steps on norm2(c)^2 / 2 until it is small again, and starts over with multipliers of
  least squares. At a stationary point of the infeasibility it ends INFEASIBLE.
* With more constraints than variables the Newton system is always singular: those steps come first.

Limits: equality constraints only. The problem must be given to scale 1 or so: eta_2 norm2(g_L)^2 carries units.

Reference: I. Hong, S. Na, M. W. Mahoney and M. Kolar, Constrained optimization via exact augmented Lagrangian and
randomized iterative sketching, ICML 2023, PMLR 202, 13174-13198.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from resolvent.arrays import norm2
from resolvent.problems.nlp import NLP, Evaluation, least_squares_multipliers
from resolvent.solvers.base import Solver, State, cache, require
from resolvent.solvers.linear.sketch_and_project import Sketch, SketchAndProject
from resolvent.solvers.nlp.accuracy import Accuracy, Computable, Paper
from resolvent.solvers.nlp.curvature import Curvature, Geometric, Published
from resolvent.solvers.nlp.feasibility import feasibility_step, is_stationary
from resolvent.solvers.nlp.hessian import as_matrix, lagrangian_hessian
from resolvent.solvers.nlp.ladder import Ladder, Rung, Work
from resolvent.solvers.nlp.merit import Penalties, merit, slope
from resolvent.solvers.nlp.newton_system import NewtonSystem
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["SketchedNewton", "SketchedNewtonState"]

BETA = 0.1
"""Armijo's constant, as published."""
SMALLEST_STEP = 1e-10
SHORT_STEP = 1e-3
MOST_RESTARTS = 10
DUAL_SHIFT = 1e-8
"""delta where the rows of G are dependent."""


@dataclass(kw_only=True, eq=False)
class SketchedNewtonState(State):
    """The point and its values; then what the rules carry from step to step."""

    # at the point (x, y)
    y: Array
    objective: float
    gradient: Array
    constraint: Array
    jacobian: Any
    # carried
    rng: np.random.Generator
    eta: Penalties
    level: float
    last_shift: float = 0.0
    least_shift: float = 0.0
    factor_work: float = 0.0
    sigma: float = 1.0
    feasibility_goal: float = 0.0
    restarts: int = 0
    unit_steps: int = 0
    best: float = np.inf
    relaxations: int = 0
    crawling: int = 0
    milestone: float = np.inf
    # of the last step, for the history
    step_size: float = 0.0
    shift: float = 0.0
    rung: Rung = Rung.NONE
    work: Work = field(default_factory=Work)
    steps_by_rung: dict[str, int] = field(default_factory=dict)
    pattern: Any = cache()

    def certificate(self) -> tuple[Array, Array]:
        return self.x, self.y

    def lagrangian_gradient(self) -> Array:
        """Return g_L."""
        return self.gradient + self.jacobian.T @ self.y  # type: ignore[no-any-return]

    def record(self) -> dict[str, float]:
        return {
            "objective": self.objective,
            "step_size": self.step_size,
            "penalty_constraint": self.eta.constraint,
            "penalty_gradient": self.eta.gradient,
            "shift": self.shift,
            "inner_iterations": float(self.work.sketch_steps),
            "rung": float(self.rung),
        }


@dataclass(frozen=True, kw_only=True)
class SketchedNewton(Solver[NLP, SketchedNewtonState]):
    """Newton's method on the optimality system of an equality-constrained program, solved by sketching.

    step:
        ``(x, y) += alpha z``, Gamma z ~ b, alpha from a line search on the exact augmented Lagrangian
    cost:
        one Hessian, a Newton system solved as far as needed, and one evaluation of f, c and both first derivatives
        per trial of the line search
    proven:
        norm2(grad L) -> 0 almost surely; unit steps and linear convergence near a solution, superlinear where the
        accuracy condition is sharpened (Hong et al. 2023, theorems 4.7 and 4.9; assumes LICQ and second-order
        sufficiency)

    Without a Hessian the solver takes forward differences of g_L: up to n = 200 that is n gradients a step.

    Parameters
    ----------
    sketch : Sketch
        The first rung of the ladder, default ``Sketch.kaczmarz()``; see `SketchAndProject`.
    equilibrate : int
        Sweeps of Ruiz scaling before sketching.
    accuracy : Accuracy
        How accurately the Newton system is solved, default ``Accuracy.computable()``.
    curvature : Curvature
        How H is shifted, default ``Curvature.geometric()``.
    krylov, factor : bool
        Whether the second and the third rung may be used.
    safeguards : bool
        Steps towards feasibility where no descent direction exists; multipliers of least squares where they are better
        than those given at the start; penalties that fall again after unit steps.
    penalty_constraint, penalty_gradient : float > 0
        eta_1 and eta_2 at the start.
    penalty_factor : float > 1
        nu, by which they move.
    dual_regularisation : float >= 0
        delta = dual_regularisation * min(1, norm2(grad L)) stands in the lower right block, against dependent rows of
        G far from a solution; near one it vanishes fast enough for quadratic convergence.
    sketch_limit : int
        Most sketch steps in one Newton step.

    References
    ----------
    Hong, Na, Mahoney and Kolar, ICML 2023, PMLR 202, 13174-13198.

    Examples
    --------
    >>> import resolvent as rs
    >>> from resolvent.problems.library import hs
    >>> from resolvent.solvers import SketchedNewton
    >>> result = rs.solve(hs.hs7(), SketchedNewton(), stop=rs.Stop(rtol=1e-8))
    >>> result.x.round(6), result.success
    (array([0.      , 1.732051]), True)
    """

    solves: ClassVar[type[NLP]] = NLP
    state: ClassVar[type[State]] = SketchedNewtonState
    needs: ClassVar[tuple[str, ...]] = ()
    refuses: ClassVar[tuple[str, ...]] = ("bounds", "inequalities", "no jacobian")
    reference: ClassVar[str] = "Hong, Na, Mahoney and Kolar 2023"
    usual_iterations: ClassVar[float] = 1000
    sketch: Sketch = Sketch.kaczmarz()
    equilibrate: int = 5
    accuracy: Accuracy = Computable()
    curvature: Curvature = Geometric()
    krylov: bool = True
    factor: bool = True
    safeguards: bool = True
    penalty_constraint: float = 1.0
    penalty_gradient: float = 0.1
    penalty_factor: float = 1.5
    dual_regularisation: float = 1e-2
    sketch_limit: int = 100_000

    def __post_init__(self) -> None:
        require(isinstance(self.sketch, Sketch), "sketch", self.sketch, "a Sketch, as Sketch.kaczmarz()")
        require(isinstance(self.accuracy, Accuracy), "accuracy", self.accuracy, "an Accuracy, as Accuracy.paper()")
        require(isinstance(self.curvature, Curvature), "curvature", self.curvature, "a Curvature")
        for name in ("penalty_constraint", "penalty_gradient", "sketch_limit"):
            require(getattr(self, name) > 0, name, getattr(self, name), "a number > 0")
        require(self.penalty_factor > 1, "penalty_factor", self.penalty_factor, "a number > 1")

    @classmethod
    def published(cls, sketch: Sketch | None = None) -> SketchedNewton:
        """Return the method with the constants of the paper and of the authors' code, and nothing else.

        One rung, no equilibration, the a-priori accuracy condition, the one-shot shift, BREAKDOWN "singular" where
        lambda_min(G G^T) < 1e-2, at most 1e5 sketch steps per Newton step.

        Parameters
        ----------
        sketch : Sketch, optional
            ``Sketch.kaczmarz(weighted=False)`` (default, AdaSketch-Newton-RK) or ``Sketch.gaussian(columns=1)`` (-GV).
        """
        return cls(
            sketch=Sketch.kaczmarz(weighted=False) if sketch is None else sketch,
            equilibrate=0,
            accuracy=Paper(),
            curvature=Published(),
            dual_regularisation=0.0,
            krylov=False,
            factor=False,
            safeguards=False,
        )

    # ---- the state machine

    def begin(
        self,
        problem: NLP,
        x0: Array,
        y0: Array | None,
        rng: np.random.Generator,
        previous: SketchedNewtonState | None,
    ) -> SketchedNewtonState:
        if not (problem.has("lagrangian_hessian") or problem.has("lagrangian_hessp")):
            warnings.warn(
                "SketchedNewton: the problem gives no Hessian, forward differences of grad L are used", stacklevel=2
            )
        values = problem.at(x0)
        G = as_matrix(values.jacobian)
        assert values.gradient is not None
        y = y0
        if y is None or self.safeguards:
            fitted = _multipliers(values.gradient, G)
            if np.abs(fitted).max(initial=0) > 1e3: fitted = np.zeros_like(fitted)
            sizes = [norm2(values.gradient + G.T @ v) for v in (fitted, fitted if y is None else y)]
            y = fitted if sizes[0] <= sizes[1] else y
        assert y is not None
        state = SketchedNewtonState(
            x=x0,
            y=y,
            objective=values.objective,
            gradient=values.gradient,
            constraint=values.constraint - problem.constraint_lower,
            jacobian=G,
            rng=rng,
            eta=Penalties(self.penalty_constraint, self.penalty_gradient),
            level=self.accuracy.first(),
        )
        return _measure(problem, state)

    def step(self, problem: NLP, state: SketchedNewtonState) -> SketchedNewtonState:
        s = state
        s.work = Work()
        if self.safeguards and problem.m > problem.n and norm2(s.constraint) > _feasible(s):
            s.feasibility_goal = _feasible(s)
        if s.feasibility_goal > 0:
            return _approach(problem, self, s)
        H = lagrangian_hessian(problem, s.x, s.y, s.lagrangian_gradient())
        if not _finite(H):
            return s.give_up(Status.DIVERGED, "lagrangian_hessian returned nan or inf")
        b = -np.concatenate([s.lagrangian_gradient(), s.constraint])
        system = NewtonSystem(H, s.jacobian, b, s.pattern)
        s.pattern = system.pattern
        trouble = self.curvature.trouble(system)
        if trouble:
            return s.give_up(Status.BREAKDOWN, trouble)
        least = s.least_shift
        level = self.accuracy.begin(s.level, system, s.eta, norm2(system.b))
        near = norm2(s.constraint) <= max(_feasible(s), 1e-3 * min(1.0, norm2(system.b)))
        import os
        most = (8 if near else int(os.environ.get("FAR","2"))) if isinstance(self.curvature, Geometric) else 1
        for attempt in range(most):
            ladder = self._direction(s, system, least, level)
            last = attempt == most - 1 and near
            if ladder is not None and _search(problem, s, system, ladder, SMALLEST_STEP if last else SHORT_STEP, self.safeguards):
                _count(problem, s)
                s.last_shift = s.shift or s.last_shift
                if self.safeguards and (s.step_size < 1 or s.shift > 0 or s.rung is not Rung.FACTOR):
                    _better_multipliers(problem, s)
                s.unit_steps = s.unit_steps + 1 if s.step_size == 1 else 0
                if self.safeguards and s.unit_steps >= 3 and s.relaxations < 20:
                    relaxed = s.eta.raised(1 / self.penalty_factor)
                    s.eta = Penalties(
                        max(relaxed.constraint, min(self.penalty_constraint, s.eta.constraint)),
                        min(relaxed.gradient, max(self.penalty_gradient, s.eta.gradient)),
                    )
                    s.unit_steps, s.relaxations = 0, s.relaxations + 1
                halved = s.residual <= 0.5 * s.milestone
                s.milestone = s.residual if halved else s.milestone
                s.crawling = 0 if halved else s.crawling + 1
                if s.crawling >= int(os.environ.get("CRAWL","30")) and not near and s.restarts < MOST_RESTARTS and self.safeguards:
                    s.restarts += 1; s.crawling = 0; s.milestone = np.inf
                    s.feasibility_goal = max(0.01 * norm2(s.constraint), _feasible(s))
                s.least_shift = 0.0 if s.step_size == 1 and s.shift <= 1e-4 else s.shift / 10 if least else 0.0
                return s
            if ladder is not None and ladder.rung is not Rung.FACTOR and isinstance(self.accuracy, Computable) and level > self.accuracy.least:
                level = self.accuracy.least
            else:
                least = max(1e-4, 100 * s.shift)
        _count(problem, s)
        return self._without_descent(s)

    def _most_attempts(self) -> int:
        return 6 if isinstance(self.curvature, Geometric) else 1

    # ---- the direction

    def _direction(
        self, s: SketchedNewtonState, system: NewtonSystem, least_shift: float, level: float
    ) -> Ladder | None:
        """Return a ladder whose z is a direction of descent of the merit function, None where there is none."""
        ladder = self._curved(s, system, least_shift, level)
        if ladder is None:
            return None
        s.level, size, before = level, float(system.b @ system.b), s.eta
        while True:
            along = slope(system, ladder.z, ladder.r)
            if along.at(s.eta) <= -0.5 * s.eta.gradient * size:
                return ladder
            if s.eta.extreme:
                if self.safeguards:
                    s.eta = before
                return ladder
            tighter = self.accuracy.tighter(s.level)
            while tighter is not None and ladder.norm <= self.accuracy.target(tighter, system, np.sqrt(size)):
                tighter = self.accuracy.tighter(tighter)
            if tighter is not None:
                s.level = tighter
            else:
                factor = self.penalty_factor
                s.eta = s.eta.moved(along, factor) if self.safeguards else s.eta.raised(factor)
                s.level = self.accuracy.after_raise(s.level, system, s.eta)
            ladder.reach(self.accuracy.target(s.level, system, np.sqrt(size)))

    def _curved(
        self, s: SketchedNewtonState, system: NewtonSystem, least_shift: float, level: float
    ) -> Ladder | None:
        """Return a ladder that reached the accuracy `level` without a sign of negative curvature."""
        size = norm2(system.b)
        target = self.accuracy.target(level, system, size)
        usual = self.dual_regularisation * min(1.0, size)
        shift = max(least_shift, self.curvature.initial(system))
        while shift <= 1e20:
            for dual_shift in (usual, usual + DUAL_SHIFT) if self.factor else (usual,):
                system.regularise(shift, dual_shift)
                ladder = self._ladder(s, system)
                reached = ladder.reach(target)
                s.factor_work, s.shift = ladder.factor_work, shift
                few = ladder.negative is not None and ladder.negative < system.m
                if reached and not few and not ladder.singular:
                    break
            if not ladder.singular and self.curvature.accepts(system, ladder.z, ladder.negative):
                return ladder
            shift = self.curvature.larger(shift, s.last_shift)
        return None

    def _ladder(self, s: SketchedNewtonState, system: NewtonSystem) -> Ladder:
        sketch = SketchAndProject(sketch=self.sketch, equilibrate=self.equilibrate)
        return Ladder(system, sketch, self._rungs(s.shift > 0), s.rng, s.factor_work, self.sketch_limit, s.work)

    def _rungs(self, curved: bool) -> tuple[Rung, ...]:
        """Return the rungs to use; where a shift was needed, only the one that knows when it is large enough."""
        if self.factor and curved:
            return (Rung.FACTOR,)
        used = ((Rung.SKETCH, True), (Rung.KRYLOV, self.krylov), (Rung.FACTOR, self.factor))
        return tuple(rung for rung, wanted in used if wanted)

    def _without_descent(self, s: SketchedNewtonState) -> SketchedNewtonState:
        """Turn to feasibility, or say why not."""
        size = norm2(s.constraint)
        if not self.safeguards or size <= _feasible(s):
            return s.give_up(Status.STALLED, "no direction of descent of the merit function leads on")
        if s.restarts >= MOST_RESTARTS:
            return s.give_up(Status.STALLED, f"{s.restarts} returns to feasibility did not help; try another x0")
        s.restarts += 1
        s.feasibility_goal = max(float(__import__("os").environ.get("GOAL","0.01")) * size, _feasible(s))
        s.iterations += 1
        return s


# ---- steps


def _search(
    problem: NLP, s: SketchedNewtonState, system: NewtonSystem, ladder: Ladder, smallest_step: float, local: bool
) -> bool:
    """Backtrack along z; write the new point into the state and return True, or return False."""
    n, eta = problem.n, s.eta
    dx, dy = ladder.z[:n], ladder.z[n:]
    descent = slope(system, ladder.z, ladder.r).at(eta)
    if descent >= 0:
        smallest_step = 1.0
    gradient = s.lagrangian_gradient()
    now, size = merit(s.objective, s.constraint, s.y, gradient, eta), norm2(system.b)
    rounding = 10 * float(np.finfo(problem.dtype).eps) * max(abs(now), abs(s.objective))
    alpha = 1.0
    while alpha >= smallest_step:
        x, y = s.x + alpha * dx, s.y + alpha * dy
        values = problem.at(x)
        if values.gradient is not None and values.jacobian is not None:
            G, c = as_matrix(values.jacobian), values.constraint - problem.constraint_lower
            slope_there = values.gradient + G.T @ y
            there = merit(values.objective, c, y, slope_there, eta)
            size_there = float(np.hypot(norm2(slope_there), norm2(c)))
            better = descent < 0 and there <= now + alpha * BETA * descent
            if not better and abs(alpha * descent) <= rounding:
                better = there <= now + rounding and size_there < size
            if local and alpha == 1 and size <= 1e-2 * s.scale and size_there <= 0.5 * s.best:
                better = True
            if better and np.isfinite(slope_there).all():
                s.best = min(s.best, size_there)
                _move(problem, s, x, y, values, G, c)
                s.step_size, s.rung = alpha, ladder.rung
                return True
        alpha *= 0.5
    return False


def _approach(problem: NLP, solver: SketchedNewton, s: SketchedNewtonState) -> SketchedNewtonState:
    """Take a step towards feasibility; at the goal go back to Newton with multipliers of least squares."""
    size = norm2(s.constraint)
    if is_stationary(s.constraint, s.jacobian):
        return _infeasible(s, size)
    step = feasibility_step(problem, s.x, s.constraint, s.jacobian, s.sigma)
    problem.counts["inner.factorisation"] += step.factorisations
    s.sigma = step.sigma
    if step.x is None or step.values is None:
        if _slopeless(s, size, 1e-7):
            return _infeasible(s, size)
        return s.give_up(Status.STALLED, f"norm2(c) = {size:.3e} cannot be made smaller from here; try another x0")
    G, c = as_matrix(step.values.jacobian), step.values.constraint - problem.constraint_lower
    y = s.y
    if norm2(c) <= s.feasibility_goal:
        assert step.values.gradient is not None
        y = _multipliers(step.values.gradient, G)
        s.feasibility_goal = 0.0
        s.eta = Penalties(solver.penalty_constraint, solver.penalty_gradient)
    _move(problem, s, step.x, y, step.values, G, c)
    s.step_size, s.shift, s.rung = 1.0, 0.0, Rung.FEASIBILITY
    if _slopeless(s, norm2(c), 1e-7 if size - norm2(c) <= 1e-10 * size else 1e-9):
        return _infeasible(s, norm2(c))
    return s


def _slopeless(s: SketchedNewtonState, size: float, slope: float) -> bool:
    """Whether norm2(c) = size is not small but its slope is."""
    return size > 1e3 * s.tolerance and norm2(s.jacobian.T @ s.constraint) <= slope * max(1.0, size)


def _infeasible(s: SketchedNewtonState, size: float) -> SketchedNewtonState:
    slope_size = norm2(s.jacobian.T @ s.constraint)
    return s.give_up(
        Status.INFEASIBLE,
        f"a stationary point of the infeasibility: norm2(c) = {size:.3e} but norm2(G^T c) = {slope_size:.3e}; "
        "the constraints contradict each other here, try another x0",
    )


def _feasible(s: SketchedNewtonState) -> float:
    """Return the size of c that counts as none."""
    return max(0.1 * s.tolerance, 10 * float(np.finfo(s.constraint.dtype).eps))


def _move(
    problem: NLP, s: SketchedNewtonState, x: Array, y: Array, values: Evaluation, G: Any, c: Array
) -> None:
    """Write a new point, with all that belongs to it."""
    assert values.gradient is not None
    s.x, s.y, s.objective, s.gradient, s.constraint, s.jacobian = x, y, values.objective, values.gradient, c, G
    s.iterations += 1
    _measure(problem, s)


def _measure(problem: NLP, s: SketchedNewtonState) -> SketchedNewtonState:
    s.residual = float(np.hypot(problem.norm(s.lagrangian_gradient()), problem.norm(s.constraint)))
    s.scale = max(1.0, problem.norm(s.gradient))
    return s


def _count(problem: NLP, s: SketchedNewtonState) -> None:
    counts, work = problem.counts, s.work
    for name, n in (("sketch", work.sketch_steps), ("product", work.products), ("factorisation", work.factorisations)):
        if n:
            counts[f"inner.{name}"] += n


def _better_multipliers(problem: NLP, s: SketchedNewtonState) -> None:
    """Take the multipliers of least squares where the merit function is smaller with them: a step in y alone."""
    y = _multipliers(s.gradient, s.jacobian)
    now = merit(s.objective, s.constraint, s.y, s.lagrangian_gradient(), s.eta)
    then = merit(s.objective, s.constraint, y, s.gradient + s.jacobian.T @ y, s.eta)
    if then < now and norm2(s.gradient + s.jacobian.T @ y) < norm2(s.lagrangian_gradient()):
        s.y = y
        _measure(problem, s)


def _multipliers(gradient: Array, G: Any) -> Array:
    """Return multipliers of least squares that nearly dependent rows of G do not blow up."""
    return least_squares_multipliers(gradient, G, cutoff=1e-5).astype(gradient.dtype, copy=False)


def _finite(H: Any) -> bool:
    entries = H.data if hasattr(H, "indptr") else H
    return not isinstance(entries, np.ndarray) or bool(np.isfinite(entries).all())
