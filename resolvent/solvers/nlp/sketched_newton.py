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

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from resolvent.arrays import norm2
from resolvent.problems.linear import LinearSystem
from resolvent.problems.nlp import NLP
from resolvent.solvers.base import Solver, State, is_number, is_whole, require
from resolvent.solvers.linear.sketch_and_project import Sketch, SketchAndProject
from resolvent.solvers.nlp.accuracy import Accuracy, Computable, Paper
from resolvent.solvers.nlp.curvature import Curvature, Geometric, Published
from resolvent.solvers.nlp.feasibility import approach
from resolvent.solvers.nlp.hessian import as_matrix, lagrangian_hessian
from resolvent.solvers.nlp.ladder import Ladder, Rung, Work
from resolvent.solvers.nlp.line_search import line_search
from resolvent.solvers.nlp.merit import Penalties, slope
from resolvent.solvers.nlp.newton_system import DENSE_ORDER, NewtonSystem
from resolvent.solvers.nlp.state import SketchedNewtonState, first_multipliers, improve_multipliers, measure
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["SketchedNewton", "SketchedNewtonState"]

SMALLEST_STEP = 1e-10
SHORT_STEP = 1e-3
"""A step length below which a larger shift, or a step towards feasibility, is tried first."""
FIRST_SHIFT, LARGEST_SHIFT = 1e-4, 1e20
DUAL_SHIFT = 1e-8
"""delta where the rows of G are dependent."""
CRAWL = 40
"""Steps without half the residual after which the method turns to feasibility."""
MOST_RESTARTS, MOST_RELAXATIONS = 10, 20
UNBOUNDED = -1e20


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
        for name in ("krylov", "factor", "safeguards"):
            require(isinstance(getattr(self, name), bool), name, getattr(self, name), "True or False")
        for name in ("penalty_constraint", "penalty_gradient"):
            require(is_number(getattr(self, name), above=0), name, getattr(self, name), "a number > 0")
        require(is_number(self.penalty_factor, above=1), "penalty_factor", self.penalty_factor, "a number > 1")
        dual = self.dual_regularisation
        require(dual == 0 or is_number(dual, above=0), "dual_regularisation", dual, "a number >= 0")
        require(is_whole(self.equilibrate, least=0), "equilibrate", self.equilibrate, "a whole number >= 0")
        require(is_whole(self.sketch_limit, least=1), "sketch_limit", self.sketch_limit, "a whole number >= 1")

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
        y = first_multipliers(values.gradient, G, y0) if self.safeguards or y0 is None else y0
        state = SketchedNewtonState(
            x=x0,
            y=y,
            objective=values.objective,
            gradient=values.gradient,
            constraint=values.constraint - problem.constraint_lower,
            jacobian=G,
            rng=rng,
            eta=self._first_penalties(),
            level=self.accuracy.first(),
        )
        if previous is not None:
            state.eta = dataclasses.replace(previous.eta)
            state.last_shift, state.factor_work = previous.last_shift, previous.factor_work
            state.pattern, previous.pattern = previous.pattern, None
        return measure(problem, state)

    def step(self, problem: NLP, state: SketchedNewtonState) -> SketchedNewtonState:
        s = state
        s.work = Work()
        if self.safeguards and problem.m > problem.n and s.infeasibility > s.negligible:
            s.feasibility_goal = s.negligible
        if s.feasibility_goal > 0:
            return approach(problem, s, self._first_penalties())
        gradient = s.lagrangian_gradient
        H = lagrangian_hessian(problem, s.x, s.y, gradient)
        if not _finite(H):
            return s.give_up(Status.DIVERGED, "the Hessian of the Lagrangian is nan or inf")
        system = NewtonSystem(H, s.jacobian, -np.concatenate([gradient, s.constraint]), s.pattern)
        s.pattern = system.pattern
        trouble = self.curvature.trouble(system)
        if trouble:
            return s.give_up(Status.BREAKDOWN, trouble)
        moved = self._newton_step(problem, s, system)
        for name, n in dataclasses.asdict(s.work).items():
            problem.counts[f"inner.{name}"] += n
        if moved and s.objective < UNBOUNDED and s.infeasibility <= s.negligible:
            return s.give_up(Status.UNBOUNDED, f"the objective has fallen to {s.objective:.3e} at feasible points")
        return s if moved else self._without_descent(problem, s)

    def warm_up(self, problem: NLP) -> None:
        """Compile the kernels of the sketch: for dense systems, and for sparse ones if `problem` may need them."""
        dense = np.eye(3, dtype=problem.dtype)
        for A in [dense] if problem.n + problem.m <= DENSE_ORDER else [dense, sp.csr_array(dense)]:
            self._sketching().warm_up(LinearSystem(A, np.ones(3, problem.dtype)))

    def _sketching(self) -> SketchAndProject:
        return SketchAndProject(sketch=self.sketch, equilibrate=self.equilibrate)

    def _first_penalties(self) -> Penalties:
        return Penalties(self.penalty_constraint, self.penalty_gradient)

    def _newton_step(self, problem: NLP, s: SketchedNewtonState, system: NewtonSystem) -> bool:
        """Find a direction and move along it; False where none of the attempts leads on.

        The attempts: as the rules say; then with an accurate direction; then with ever larger shifts. Where c is not
        small only the first two or three are worth their price, a step towards feasibility helps more.
        """
        near = s.infeasibility <= max(s.negligible, 1e-3 * min(1.0, norm2(system.b)))
        most = 1 if not self.safeguards else 8 if near else 2
        least_shift, level = s.least_shift, self.accuracy.begin(s.level, system, s.eta, norm2(system.b))
        for attempt in range(1, most + 1):
            ladder = self._direction(s, system, least_shift, level)
            final = not self.safeguards or (near and attempt == most)
            shortest = SMALLEST_STEP if final else SHORT_STEP
            if ladder is not None:
                along = slope(system, ladder.z, ladder.r).at(s.eta)
                if line_search(problem, s, ladder, along, shortest, self.safeguards):
                    self._after_step(problem, s, least_shift > 0, near)
                    return True
            finest = self.accuracy.finest
            if ladder is not None and ladder.rung is not Rung.FACTOR and finest is not None and level > finest:
                level = finest
            else:
                least_shift = max(FIRST_SHIFT, 100 * s.shift)
        return False

    def _after_step(self, problem: NLP, s: SketchedNewtonState, forced: bool, near: bool) -> None:
        """Let the rules learn from a step. `forced`: its shift was raised because longer steps had failed."""
        s.last_shift = s.shift or s.last_shift
        unit = s.step_size == 1
        s.least_shift = s.shift / 10 if forced and not (unit and s.shift <= FIRST_SHIFT) else 0.0
        if not self.safeguards:
            return
        if not unit or s.shift > 0 or s.rung is not Rung.FACTOR:
            improve_multipliers(problem, s)
        s.unit_steps = s.unit_steps + 1 if unit else 0
        if s.unit_steps == 3 and s.relaxations < MOST_RELAXATIONS:
            s.eta = s.eta.relaxed(self.penalty_factor, self._first_penalties())
            s.unit_steps, s.relaxations = 0, s.relaxations + 1
        assert s.residual is not None
        halved = s.residual <= 0.5 * s.milestone
        s.milestone, s.crawling = (s.residual, 0) if halved else (s.milestone, s.crawling + 1)
        if s.crawling >= CRAWL and not near and s.restarts < MOST_RESTARTS:
            self._turn_to_feasibility(s)

    def _turn_to_feasibility(self, s: SketchedNewtonState) -> None:
        s.restarts, s.crawling, s.milestone = s.restarts + 1, 0, np.inf
        s.feasibility_goal = max(0.01 * s.infeasibility, s.negligible)

    def _without_descent(self, problem: NLP, s: SketchedNewtonState) -> SketchedNewtonState:
        """Turn to feasibility, or say why not."""
        if not self.safeguards or s.infeasibility <= s.negligible:
            why = f": {s.fault} is not finite at the trial points" if s.fault else ""
            return s.give_up(Status.STALLED, f"no direction of descent of the merit function leads on{why}")
        if s.restarts >= MOST_RESTARTS:
            return s.give_up(Status.STALLED, f"{s.restarts} returns to feasibility did not help; try another x0")
        self._turn_to_feasibility(s)
        return approach(problem, s, self._first_penalties())

    # ---- the direction

    def _direction(
        self, s: SketchedNewtonState, system: NewtonSystem, least_shift: float, level: float
    ) -> Ladder | None:
        """Return a ladder whose z descends on the merit function; None where negative curvature cannot be shifted away.

        Where the penalties would have to become extreme, they are left as they are, and z need not descend.
        """
        ladder = self._curved(s, system, least_shift, level)
        if ladder is None:
            return None
        s.level, size, before = level, norm2(system.b), s.eta
        while True:
            along = slope(system, ladder.z, ladder.r)
            if along.at(s.eta) <= -0.5 * s.eta.gradient * size**2:
                return ladder
            if s.eta.extreme:
                s.eta = before if self.safeguards else s.eta
                return ladder
            tighter = self.accuracy.tighter(s.level)
            while tighter is not None and ladder.norm <= self.accuracy.target(tighter, system, size):
                tighter = self.accuracy.tighter(tighter)
            if tighter is not None:
                s.level = tighter
            else:
                factor = self.penalty_factor
                s.eta = s.eta.moved(along, factor) if self.safeguards else s.eta.raised(factor)
                s.level = self.accuracy.after_raise(s.level, system, s.eta)
            ladder.reach(self.accuracy.target(s.level, system, size))

    def _curved(self, s: SketchedNewtonState, system: NewtonSystem, least_shift: float, level: float) -> Ladder | None:
        """Return a ladder that reached the accuracy `level` without a sign of negative curvature.

        Dual regularisation counts a direction in which G is small as free, so that negative curvature there may be its
        own doing; and where dy is large, delta dy takes the place of the step towards c = 0. Where either is seen,
        delta is once all but left out, before H is shifted.
        """
        size = norm2(system.b)
        target = self.accuracy.target(level, system, size)
        dual = self.dual_regularisation * min(1.0, size)
        duals = [dual, dual + DUAL_SHIFT] if self.factor else [dual]
        shift, finer = max(least_shift, self.curvature.initial(system)), self.factor and dual > DUAL_SHIFT
        while shift <= LARGEST_SHIFT:
            ladder, accepted = self._regularised(s, system, shift, duals, target)
            used = system.dual_shift
            idle = accepted and used * norm2(ladder.z[system.n :]) > 0.9 * s.infeasibility > s.negligible
            if finer and (idle or (not accepted and ladder.negative is not None)):
                finer = False
                other, good = self._regularised(s, system, shift, [DUAL_SHIFT], target)
                if good and not (idle and _left(system, other) > 0.5 * _left(system, ladder)):
                    return other
                system.regularise(shift, used)
            if accepted:
                return ladder
            shift = self.curvature.larger(shift, s.last_shift)
        return None

    def _regularised(
        self, s: SketchedNewtonState, system: NewtonSystem, shift: float, duals: list[float], target: float
    ) -> tuple[Ladder, bool]:
        """Return a ladder for t = `shift` and the first delta that shows no dependent rows; and whether it will do."""
        for dual in duals:
            system.regularise(shift, dual)
            ladder = self._ladder(s, system)
            reached = ladder.reach(target)
            s.factor_work, s.shift = ladder.factor_work, shift
            dependent = ladder.negative is not None and ladder.negative < system.m
            if reached and not dependent and not ladder.singular:
                break
        return ladder, not ladder.singular and self.curvature.accepts(system, ladder.z, ladder.negative)

    def _ladder(self, s: SketchedNewtonState, system: NewtonSystem) -> Ladder:
        """Return a fresh ladder; where the last shift was positive, with the one rung that knows when it is enough."""
        used = ((Rung.SKETCH, True), (Rung.KRYLOV, self.krylov), (Rung.FACTOR, self.factor))
        rungs = tuple(rung for rung, wanted in used if wanted)
        if self.factor and s.shift > 0:
            rungs = (Rung.FACTOR,)
        return Ladder(system, self._sketching(), rungs, s.rng, s.factor_work, self.sketch_limit, s.work)


def _left(system: NewtonSystem, ladder: Ladder) -> float:
    """Return norm2(c + G dx), what the direction leaves of the violation to first order."""
    n = system.n
    return norm2(system.G @ ladder.z[:n] - system.b[n:])


def _finite(H: Any) -> bool:
    entries = H.data if hasattr(H, "indptr") else H
    return not isinstance(entries, np.ndarray) or bool(np.isfinite(entries).all())
