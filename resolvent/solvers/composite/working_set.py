"""Greedy variable blocks with second-order updates, in the form of a working set.

The greedy rule picks the coordinates that promise the largest decrease; blocks at least as large as the support of the
answer, updated by Newton steps on the face that the signs of x define, make the method finite on quadratics and
superlinear else (Nutini, Laradji and Schmidt 2022). One step:

1. The working set grows by the coordinates that promise most, about as many as are not zero in x.
2. f is replaced by a quadratic model over it: by itself for least squares, by the second derivative else. Coordinate
   sweeps minimise model plus term; once two rounds agree on the signs, a Newton step on the face does.
3. Where f is not quadratic, a line search along the result, and the model is made again until the coordinates of the
   working set are a tenth as far from optimal as the worst was.
4. One pass over A gives the gradient, and with it the duality gap.

The model's matrix H is kept where it is the same in every step, and grows with the working set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from resolvent.errors import ProblemError
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.losses import LeastSquares
from resolvent.problems.term_base import DECREASE, STEP, ByCoordinate
from resolvent.solvers.base import Solver, State, cache, is_number, is_whole, require
from resolvent.solvers.composite.quadratic_model import DAMPING, Block, coefficients, column_minimise, gram_minimise
from resolvent.solvers.stop import Status
from resolvent.typing import Array, Point

__all__ = ["WorkingSet", "WorkingSetState"]

ARMIJO = 1e-4


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
        The model's matrix for the first m members; empty where it changes from step to step.
    model, block
        The linear model of which H is, and the columns of the working set.
    """

    theta: Any = None
    z: Any = None
    gradient: Any = None
    members: Any = None
    H: Any = None
    model: Any = cache()
    block: Any = cache()

    def certificate(self) -> tuple[Point, Array]:
        return self.x, self.theta

    def record(self) -> dict[str, float]:
        return {"working": float(len(self.members)), "support": float(np.count_nonzero(coefficients(self.x)))}


@dataclass(frozen=True, kw_only=True)
class WorkingSet(Solver[CompositeProblem, WorkingSetState]):
    """Greedy blocks with Newton steps on faces, for losses of linear models with separable convex terms.

    step:
        ``b <- working set + top scores; x_b <- argmin of the quadratic model of f plus g over b``
    cost:
        one pass over A for the gradient; m^2 n flops for the model of m columns, m^2 for a sweep
    proven:
        the block that holds the support makes it finite for quadratics, superlinear for losses with second derivatives

    Parameters
    ----------
    first : int
        Coordinates of the first working set.
    growth : float
        How many join in a step, as a multiple of those that are not zero.
    sweeps : int
        Sweeps between two looks at the signs.
    accuracy : float
        How far the model is minimised, as a part of the largest violation of optimality.
    dense : int
        Working sets of more columns are swept over by columns, and their faces solved by conjugate gradients, instead
        of by a matrix of this order.

    References
    ----------
    Nutini, Laradji and Schmidt, JMLR 23 (2022) 131.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import CompositeProblem, LinearModel, losses, terms
    >>> from resolvent.solvers import WorkingSet
    >>> A = np.random.default_rng(0).standard_normal((100, 200))
    >>> model = LinearModel(A, losses.LeastSquares(A[:, :3].sum(axis=1)))
    >>> result = rs.solve(CompositeProblem(smooth=model, term=terms.L1(20.0)), WorkingSet())
    >>> result.success, np.flatnonzero(result.x).tolist()
    (True, [0, 1, 2])
    """

    solves: ClassVar[type[CompositeProblem]] = CompositeProblem
    state: ClassVar[type[State]] = WorkingSetState
    reference: ClassVar[str] = "Nutini, Laradji and Schmidt 2022"
    usual_iterations: ClassVar[float] = 100
    first: int = 40
    growth: float = 1.0
    sweeps: int = 10
    accuracy: float = 0.02
    dense: int = 1200

    def __post_init__(self) -> None:
        for name in ("first", "sweeps", "dense"):
            require(is_whole(getattr(self, name), least=1), name, getattr(self, name), "a whole number >= 1")
        require(is_number(self.growth, above=0), "growth", self.growth, "a number > 0")
        known = is_number(self.accuracy, above=0) and self.accuracy < 1
        require(known, "accuracy", self.accuracy, "a number above 0 and below 1")

    def begin(
        self,
        problem: CompositeProblem,
        x0: Point,
        y0: None,
        rng: np.random.Generator,
        previous: WorkingSetState | None,
    ) -> WorkingSetState:
        reason = refusal(problem)
        if reason:
            raise ProblemError(reason)
        w = coefficients(x0)
        low, up = problem.term.parameters(w.shape, w.dtype)[3:5]
        np.clip(w, low, up, out=w)
        members, H = np.flatnonzero((w != 0) | _free(problem)), np.zeros((0, 0), problem.dtype)
        state = WorkingSetState(x=x0, scale=problem.scale(), members=members, H=H)
        if previous is None or previous.model is not problem.smooth:
            state.model = problem.smooth
            return _look(problem, state)
        state.model, state.block, previous.block = previous.model, previous.block, None
        if np.isin(members, previous.members).all():
            state.members, state.H = previous.members.copy(), previous.H.copy()
        if not all(np.array_equal(a, b) for a, b in zip(_parts(x0), _parts(previous.x), strict=True)):
            return _look(problem, state)
        state.z, state.gradient = previous.z.copy(), previous.gradient.copy()
        return _measure(problem, state)

    def step(self, problem: CompositeProblem, state: WorkingSetState) -> WorkingSetState:
        if state.model is not problem.smooth:
            state.model, state.block = problem.smooth, None
        w, g = coefficients(state.x), state.gradient
        bounds = _curvature_bounds(problem, state.z)
        worst = float((problem.term.scores(w, g, bounds, STEP) * bounds).max(initial=0.0))
        if problem.intercept:
            worst = max(worst, abs(float(problem.smooth.derivative(state.z).sum())))
        self._grow(problem, state, problem.term.scores(w, g, bounds, DECREASE))
        before = [part.copy() for part in _parts(state.x)]
        block = self._block(problem, state)
        if isinstance(problem.smooth.loss, LeastSquares):
            self._quadratic(problem, state, block, self.accuracy * worst)
        else:
            self._newton(problem, state, block, worst)
        state.iterations += 1
        same = all(np.array_equal(a, b) for a, b in zip(before, _parts(state.x), strict=True))
        _look(problem, state)
        if same and not state.met:
            return state.give_up(
                Status.STALLED, f"a step changed nothing at a residual of {state.residual:.3e}: that is rounding"
            )
        return state

    def _block(self, problem: CompositeProblem, state: WorkingSetState) -> Block:
        if state.block is None or not np.array_equal(state.block.members, state.members[: len(state.block.members)]):
            state.block = Block(problem)
        state.block.extend(problem, state.members)
        found: Block = state.block
        return found

    def _grow(self, problem: CompositeProblem, state: WorkingSetState, scores: Array) -> None:
        """Let the coordinates that promise most join the working set."""
        scores[state.members] = 0
        positive = np.flatnonzero(scores > 0)
        count = max(self.first, int(self.growth * np.count_nonzero(coefficients(state.x))))
        if len(positive) > count:
            positive = positive[np.argpartition(-scores[positive], count - 1)[:count]]
            positive.sort()
        state.members = np.concatenate([state.members, positive])

    def _quadratic(self, problem: CompositeProblem, state: WorkingSetState, block: Block, target: float) -> None:
        """Minimise f + g over the block, f being least squares."""
        weights = problem.smooth.weights
        curvature = np.ones(problem.smooth.n, problem.dtype) if weights is None else weights
        slope = problem.smooth.derivative(state.z)
        x = block.gather(state.x)
        if block.order <= self.dense:
            state.H = block.gram(curvature, state.H, weighted=weights is not None)
            gram_minimise(state.H, block.correlate(slope), x, block.term, self.sweeps, target)
        else:
            column_minimise(block, curvature, slope, x, self.sweeps, target)
        block.scatter(x, state.x)

    def _newton(self, problem: CompositeProblem, state: WorkingSetState, block: Block, worst: float) -> None:
        """Minimise f + g over the block by proximal Newton steps."""
        loss, weights, z = problem.smooth.loss, problem.smooth.weights, state.z
        x = block.gather(state.x)
        value, slope, curvature = loss.evaluate(z, weights)
        nothing = np.zeros((0, 0), problem.dtype)
        for attempt in range(12):
            g = block.correlate(slope)
            current = block.violation(x, g)
            if attempt and current <= 0.1 * worst:
                break
            new = x.copy()
            if block.order <= self.dense:
                H = block.gram(curvature, nothing, weighted=True)
                H.flat[:: len(H) + 1] += DAMPING * max(float(np.trace(H)) / max(len(H), 1), 1e-300)
                gram_minimise(H, g.copy(), new, block.term, self.sweeps, 0.05 * current)
            else:
                column_minimise(block, curvature, slope.copy(), new, self.sweeps, 0.05 * current)
            d = new - x
            moved = block.predict(d)
            slack = float(g @ d) + block.value(new) - block.value(x)
            step, old = 1.0, value + block.value(x)
            rounding = 8 * np.finfo(x.dtype).eps * abs(old)
            while step > 1e-8:
                trial = new if step == 1 else x + step * d
                value = loss.value(z + step * moved, weights)
                if value + block.value(trial) <= old + ARMIJO * step * slack + rounding:
                    break
                step *= 0.5
            else:
                break
            x, z = trial, z + step * moved
            value, slope, curvature = loss.evaluate(z, weights)
        block.scatter(x, state.x)


# ---- the problem


def refusal(problem: CompositeProblem) -> str:
    """Return why a working set cannot solve a problem, empty where it can."""
    if not problem.linear or problem.smooth.responses != 1 or len(problem.shape) != 1:
        return "WorkingSet needs the loss of a LinearModel with one response"
    if not isinstance(problem.term, ByCoordinate) or not problem.term.convex:
        return f"WorkingSet needs a convex term by coordinate, got {type(problem.term).__name__}"
    return ""


def _parts(x: Point) -> tuple[Array, ...]:
    return x if isinstance(x, tuple) else (x,)


def _free(problem: CompositeProblem) -> Array:
    """Return which coordinates nothing holds at zero, (p,) bool."""
    p = problem.term.parameters(problem.shape)
    free: Array = np.broadcast_to((p.weight == 0) & (p.ridge == 0) & (p.lower < 0) & (p.upper > 0), problem.shape)
    return free if len(p.weight) > 1 else np.zeros(problem.shape, bool)


def _curvature_bounds(problem: CompositeProblem, z: Array) -> Array:
    """Return bounds of the second derivatives by coordinate, those at z where the loss has none."""
    model = problem.smooth
    bounds: Any = model.lipschitz
    if bounds is None:
        curvature = model.loss.curvature(z, model.weights)
        if model.sparse:
            squares = sp.csc_array((model.A.data**2, model.A.indices, model.A.indptr), model.A.shape)
            bounds = squares.T @ curvature
        else:
            bounds = np.einsum("ij,ij,i->j", model.A, model.A, curvature)
        problem.counts["columns"] += problem.shape[0]
    found: Array = bounds
    return found


def _look(problem: CompositeProblem, state: WorkingSetState) -> WorkingSetState:
    """Compute predictions, gradient and gap from their definitions."""
    state.z = problem.predict(state.x)
    state.gradient = coefficients(problem.correlate(problem.smooth.derivative(state.z)))
    return _measure(problem, state)


def _measure(problem: CompositeProblem, state: WorkingSetState) -> WorkingSetState:
    """Compute the gap from predictions and gradient; an intercept asks for a dual point of its own."""
    state.theta = problem.dual_point(state.z)
    balanced = problem.intercept and problem.has_gap
    correlation = problem.correlate(state.theta) if balanced else -state.gradient
    if problem.intercept and not balanced:
        correlation = correlation, np.atleast_1d(state.theta.sum(axis=0))
    state.residual = problem.measure(state.x, state.z, state.theta, correlation)
    return state
