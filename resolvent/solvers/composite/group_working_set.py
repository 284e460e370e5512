"""Greedy variable blocks with second-order updates for groups and several responses, in the form of a working set.

The method of `WorkingSet` for terms over groups and for x of shape (p, k): the working set is made of groups, or of
rows of x where the term is a sum over coordinates. One step:

1. The working set grows by the units that promise most, about as many as are not zero in x.
2. f is replaced by a quadratic model over it, by itself for least squares. Sweeps over the units minimise model plus
   term, and Newton steps on the face of those that are not zero (`group_model`).
3. Where f is not quadratic, a line search along the result, and the model is made again until the working set is a
   tenth as far from optimal as the worst unit was.
4. One pass over A gives the gradient, and with it the duality gap.

A step that lowers neither the objective nor the gap is taken back. Where the working set did not grow either, the next
one is more accurate, and after a few the run ends at rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from resolvent.errors import ProblemError
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.losses import Huber, Softmax, SquaredHinge
from resolvent.problems.term_base import DECREASE, DISTANCE, ByCoordinate, ByGroup
from resolvent.solvers.base import Solver, State
from resolvent.solvers.composite.group_faces import ColumnModel, GramModel
from resolvent.solvers.composite.group_model import GroupBlock, Units
from resolvent.solvers.composite.quadratic_model import check_options, coefficients, parts
from resolvent.solvers.composite.working_set_state import WorkingSetState
from resolvent.solvers.stop import Status
from resolvent.typing import Array, Point

__all__ = ["GroupState", "GroupWorkingSet"]

ARMIJO = 1e-4
MODELS = 12
"""Quadratic models of a loss in one step."""
SETTLED = 0.05
"""A working set hardly grows any more where at most so large a part of it is new."""
KEPT = 1.5
"""It grows so much faster where the model is kept from step to step."""
FINER = 1e-2
"""Factor of the accuracy of models after a step that gained nothing: a gap may grow while an answer gets better."""
MOST_IDLE = 2
"""Of such steps in a row; more are rounding."""
SHORTEST = 1e-4
"""Shorter steps are not taken; the next model is damped."""
LEAST_DAMPING = 1e-3
"""Of the bounds of the curvature in single coordinates, added to a model after a short step, and to the first one of a
loss with straight pieces."""
NO_DAMPING = 1e-10
"""What is always added."""


@dataclass(kw_only=True, eq=False)
class GroupState(WorkingSetState):
    """The answer, its predictions, and the working set, which grows.

    Attributes
    ----------
    theta : array
        Dual point, like z.
    z, gradient : array
        Predictions, and gradient of f without that of the intercept.
    value : float
        The objective.
    idle : int
        Steps in a row that were taken back.
    members : array of int
        Numbers of the units in the working set, in the order in which they came.
    H : array (m, m)
        The model's matrix for the first m columns; empty where it changes from step to step.
    """

    value: float = np.inf
    idle: int = 0

    def record(self) -> dict[str, float]:
        w = self.x[0] if isinstance(self.x, tuple) else self.x
        return {"working": float(len(self.members)), "support": float(np.count_nonzero(w))}


@dataclass(frozen=True, kw_only=True)
class GroupWorkingSet(Solver[CompositeProblem, GroupState]):
    """Greedy blocks with Newton steps on faces, for convex terms of groups and for several responses.

    step:
        ``b <- working set + top scores; x_b <- argmin of the quadratic model of f plus g over b``
    cost:
        one pass over A for the gradient; m^2 n flops for the model of m coordinates, m^2 for a sweep
    proven:
        the block that holds the support makes it superlinear, and finite for quadratics without groups

    Parameters
    ----------
    first : int
        Groups, or rows, of the first working set.
    growth : float
        How many join in a step, as a multiple of those that are not zero; half as many again for least squares, whose
        model is kept.
    sweeps : int
        Sweeps between two Newton steps, twice as many where these need conjugate gradients.
    accuracy : float
        How far the model is minimised, as a part of the largest violation of optimality.
    dense : int
        Working sets of more columns than this, or than samples, are swept over by columns, and large faces of them
        solved by conjugate gradients, instead of by a matrix.

    References
    ----------
    Nutini, Laradji and Schmidt, JMLR 23 (2022) 131.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import Blocks, CompositeProblem, LinearModel, losses, terms
    >>> from resolvent.solvers import GroupWorkingSet
    >>> A = np.random.default_rng(0).standard_normal((100, 200))
    >>> model = LinearModel(A, losses.LeastSquares(A[:, :4].sum(axis=1)))
    >>> problem = CompositeProblem(smooth=model, term=terms.GroupL1(Blocks.equal(200, 4), 20.0))
    >>> result = rs.solve(problem, GroupWorkingSet())
    >>> result.success, np.flatnonzero(result.x).tolist()
    (True, [0, 1, 2, 3])
    """

    solves: ClassVar[type[CompositeProblem]] = CompositeProblem
    state: ClassVar[type[State]] = GroupState
    reference: ClassVar[str] = "Nutini, Laradji and Schmidt 2022"
    usual_iterations: ClassVar[float] = 100
    first: int = 20
    growth: float = 1.0
    sweeps: int = 5
    accuracy: float = 0.1
    dense: int = 1200

    def __post_init__(self) -> None:
        check_options(self)

    def begin(
        self,
        problem: CompositeProblem,
        x0: Point,
        y0: None,
        rng: np.random.Generator,
        previous: GroupState | None,
    ) -> GroupState:
        reason = refusal(problem)
        if reason:
            raise ProblemError(reason)
        units, w = Units(problem), coefficients(x0)
        if isinstance(problem.term, ByCoordinate):
            low, up = (v.reshape(w.shape if len(v) > 1 else 1) for v in problem.term.parameters(w.shape, w.dtype)[3:5])
            np.clip(w, low, up, out=w)
        members = np.union1d(np.flatnonzero(units.sums(w != 0)), units.free).astype(np.int64)
        state = GroupState(x=x0, scale=problem.scale(), members=members, H=np.zeros((0, 0), problem.dtype))
        if previous is None or previous.model is not problem.smooth:
            state.model = problem.smooth
            return _look(problem, state)
        state.model = previous.model
        if np.isin(members, previous.members).all() and _same_units(previous.block, units):
            state.members, state.H = previous.members.copy(), previous.H.copy()
            state.block, previous.block = previous.block, None
        if not all(np.array_equal(a, b) for a, b in zip(parts(x0), parts(previous.x), strict=True)):
            return _look(problem, state)
        state.z, state.gradient = previous.z.copy(), previous.gradient.copy()
        return _measure(problem, state)

    def step(self, problem: CompositeProblem, state: GroupState) -> GroupState:
        if state.model is not problem.smooth:
            state.model, state.block = problem.smooth, None
        before = _kept(state)
        worst = FINER**state.idle * self._worst(problem, state)
        grown = self._grow(problem, state)
        block = self._block(problem, state)
        if block.units.shared:
            self._quadratic(problem, state, block, self._accuracy(problem, state, grown) * worst)
        else:
            self._newton(problem, state, block, worst)
        state.iterations += 1
        _look(problem, state)
        x, _, _, _, value, residual = before
        fell = state.value < value - 4 * np.finfo(problem.dtype).eps * abs(value) or state.residual < residual
        same = all(np.array_equal(a, b) for a, b in zip(x, parts(state.x), strict=True))
        if state.met or (fell and not same):
            state.idle = 0
            return state
        _restore(state, before)
        state.idle += not grown
        if state.idle > MOST_IDLE:
            return state.give_up(
                Status.STALLED, f"steps gained nothing at a residual of {state.residual:.3e}: rounding, or no descent"
            )
        return state

    def _worst(self, problem: CompositeProblem, state: GroupState) -> float:
        """Return the largest distance of the gradient of a unit to where it should be."""
        w = coefficients(state.x)
        worst = float(problem.term.scores(w, state.gradient, 1.0, DISTANCE).max(initial=0.0))
        if problem.intercept:
            sums = problem.smooth.derivative(state.z).sum(axis=0)
            worst = max(worst, float(np.abs(sums).max()))
        return worst

    def _accuracy(self, problem: CompositeProblem, state: GroupState, grown: int) -> float:
        """Return how far a model that is f itself is minimised, as a part of the largest violation of optimality.

        The gap falls with its square: where the working set hardly grows any more, as far as the tolerance asks.
        """
        settled = grown <= SETTLED * len(state.members) and problem.has_gap
        if not (settled and state.residual and state.tolerance > 0):
            return self.accuracy
        wanted = 0.3 * float(np.sqrt(state.tolerance / state.residual))
        return min(self.accuracy, max(wanted, 1e-6))

    def _grow(self, problem: CompositeProblem, state: GroupState) -> int:
        """Let the units that promise most join the working set; return how many did."""
        w, units = coefficients(state.x), Units(problem)
        bounds = _curvature_bounds(problem, state.z, units)
        scores = problem.term.scores(w, state.gradient, bounds, DECREASE)
        scores = units.sums(scores) if isinstance(problem.term, ByCoordinate) else scores
        scores[state.members] = 0
        positive = np.flatnonzero(scores > 0)
        support = np.count_nonzero(units.sums(w != 0))
        count = max(self.first, int((KEPT if units.shared else 1) * self.growth * support))
        if len(positive) > count:
            positive = positive[np.argpartition(-scores[positive], count - 1)[:count]]
            positive.sort()
        state.members = np.concatenate([state.members, positive])
        return len(positive)

    def _block(self, problem: CompositeProblem, state: GroupState) -> GroupBlock:
        if state.block is None or not np.array_equal(state.block.members, state.members[: len(state.block.members)]):
            state.block = GroupBlock(problem)
        state.block.extend(problem, state.members)
        found: GroupBlock = state.block
        return found

    def _quadratic(self, problem: CompositeProblem, state: GroupState, block: GroupBlock, target: float) -> None:
        """Minimise f + g over the block, f being least squares."""
        x, slope, weights = block.gather(state.x), problem.smooth.derivative(state.z), problem.smooth.weights
        model: GramModel | ColumnModel
        if self._by_columns(block):
            model = ColumnModel(block, weights, slope, x)
        else:
            state.H = block.gram(weights, state.H)
            model = GramModel(block, state.H.astype(np.float64, copy=False), block.correlate(slope), x)
        block.scatter(model.minimise(self.sweeps, target), state.x)

    def _by_columns(self, block: GroupBlock) -> bool:
        """Whether columns are cheaper than the matrix of a model, or a matrix would be too large."""
        samples, columns = block.columns.shape
        return bool(columns > min(self.dense, samples))

    def _newton(self, problem: CompositeProblem, state: GroupState, block: GroupBlock, worst: float) -> None:
        """Minimise f + g over the block by proximal Newton steps, damped after those that had to be cut short."""
        loss, weights, z, x = problem.smooth.loss, problem.smooth.weights, state.z, block.gather(state.x)
        value, slope, curvature = loss.evaluate(z, weights)
        damping = LEAST_DAMPING if isinstance(loss, Huber | SquaredHinge) else NO_DAMPING
        for attempt in range(MODELS):
            g = block.correlate(slope)
            current = block.term.violation(x, g)
            if attempt and current <= 0.1 * worst:
                break
            new = self._model(problem, block, slope, curvature, damping, g, x).minimise(self.sweeps, 0.05 * current)
            d = new - x
            moved, slack = block.predict(d), float(g @ d) + block.term.change(x, d)
            rounding = 8 * np.finfo(problem.dtype).eps * (abs(value) + abs(block.term.value(x)))
            step = 1.0
            while step > SHORTEST:
                grown = loss.value(z + step * moved, weights) - value + block.term.change(x, step * d)
                if grown <= ARMIJO * step * slack + rounding:
                    break
                step *= 0.5
            if step < 0.2:
                damping = max(LEAST_DAMPING, 10 * damping)
            elif step == 1:
                damping = max(NO_DAMPING, 0.1 * damping)
            if step > SHORTEST:
                x, z = x + step * d if step < 1 else new, z + step * moved
                value, slope, curvature = loss.evaluate(z, weights)
        block.scatter(x, state.x)

    def _model(
        self, problem: CompositeProblem, block: GroupBlock, slope: Array, curvature: Array, damping: float, g: Array,
        x: Array,
    ) -> GramModel | ColumnModel:  # fmt: skip
        """Return the model at x, with the derivative and the curvature of the loss."""
        if block.units.responses == 1 and self._by_columns(block):
            curvature = curvature + damping * (problem.smooth.loss.curvature_bound or curvature.max())
            return ColumnModel(block, curvature, slope, x.copy())
        softmax = isinstance(problem.smooth.loss, Softmax)
        return GramModel(block, block.hessian(_mass(problem, slope) if softmax else curvature, damping), g, x)


# ---- the problem


def refusal(problem: CompositeProblem) -> str:
    """Return why a working set of groups cannot solve a problem, empty where it can."""
    if not problem.linear:
        return "GroupWorkingSet needs the loss of a LinearModel"
    if not isinstance(problem.term, ByCoordinate | ByGroup) or not problem.term.convex:
        return f"GroupWorkingSet needs a convex term by coordinate or of groups, got {type(problem.term).__name__}"
    return ""


def _same_units(block: Any, units: Units) -> bool:
    """Whether the units of a block are these."""
    if block is None:
        return False
    a, b = (block.units.pointers, block.units.indices), (units.pointers, units.indices)
    return all(u is v or np.array_equal(u, v) for u, v in zip(a, b, strict=True))


def _mass(problem: CompositeProblem, slope: Array) -> Array:
    """Return the probabilities of the softmax times the weights of samples, from its derivative."""
    weights, labels = problem.smooth.weights, problem.smooth.loss.targets
    mass = slope.astype(np.float64)
    mass[np.arange(len(mass)), labels] += 1 if weights is None else weights
    return np.maximum(mass, 0)


def _curvature_bounds(problem: CompositeProblem, z: Array, units: Units) -> Array:
    """Return bounds of the second derivatives by coordinate, or by group; those at z where the loss has none."""
    model = problem.smooth
    bounds: Any = model.lipschitz
    if bounds is None:
        curvature = model.loss.curvature(z, model.weights)
        if model.sparse:
            squares = sp.csc_array((model.A.data**2, model.A.indices, model.A.indptr), model.A.shape)
            bounds = squares.T @ curvature
        else:
            bounds = (model.A**2).T @ curvature
        problem.counts["columns"] += problem.shape[0]
    if isinstance(problem.term, ByCoordinate):
        found: Array = bounds
        return found
    whole = np.empty(problem.shape)
    whole[...] = bounds if bounds.ndim == whole.ndim else bounds[:, None]
    sums: Array = units.sums(whole) / units.responses
    return sums


def _look(problem: CompositeProblem, state: GroupState) -> GroupState:
    """Compute predictions, gradient and gap from their definitions."""
    state.z = problem.predict(state.x)
    theta = -problem.smooth.derivative(state.z)
    state.gradient = -coefficients(problem.correlate(theta, keep=True))
    return _measure(problem, state)


def _measure(problem: CompositeProblem, state: GroupState) -> GroupState:
    """Compute objective and gap from predictions and gradient; an intercept asks for a dual point of its own."""
    state.theta = problem.dual_point(state.z)
    balanced = problem.intercept and problem.has_gap
    correlation = problem.correlate(state.theta, keep=True) if balanced else -state.gradient
    if problem.intercept and not balanced:
        correlation = correlation, np.atleast_1d(state.theta.sum(axis=0))
    correlation = _in_double(correlation)  # scaled into the dual set in float32, it would lie outside by a rounding
    state.residual = problem.measure(state.x, state.z, state.theta, correlation)
    smooth = problem.smooth
    state.value = float(smooth.loss.value(state.z, smooth.weights) + problem.term.value(coefficients(state.x)))
    return state


def _in_double(x: Point) -> Point:
    return tuple(part.astype(np.float64, copy=False) for part in x) if isinstance(x, tuple) else x.astype(np.float64)


def _kept(state: GroupState) -> tuple[Any, ...]:
    """Return what a step may have to be taken back to."""
    x = tuple(part.copy() for part in parts(state.x))
    return x, state.z, state.gradient, state.theta, state.value, state.residual


def _restore(state: GroupState, before: tuple[Any, ...]) -> None:
    x, state.z, state.gradient, state.theta, state.value, state.residual = before
    state.x = x if isinstance(state.x, tuple) else x[0]
