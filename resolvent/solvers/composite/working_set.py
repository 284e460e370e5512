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

Least squares whose columns are few and dense begin with all of them, and the first step sweeps over their matrix until
the gap meets the tolerance: one call, whose end is the answer where sweeps suffice.

The model's matrix H grows with the working set, and is kept until second derivatives have changed. Terms that are not
convex are minimised by sweeps, each coordinate to its global minimum; where such a step fails to lower the objective,
the largest second derivatives of the loss take the place of those at x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.losses import LeastSquares
from resolvent.problems.term_base import DECREASE, DISTANCE, STEP, ByCoordinate
from resolvent.solvers.base import Solver, State
from resolvent.solvers.composite.columns import DenseColumns, whole
from resolvent.solvers.composite.quadratic_model import (
    DAMPING,
    Block,
    bent_minimise,
    check_options,
    coefficients,
    column_minimise,
    gram_answer,
    gram_minimise,
    parts,
)
from resolvent.solvers.composite.working_set_state import (
    WorkingSetState,
    ask,
    has_sight,
    largest_violation,
    look,
    measure,
    see,
)
from resolvent.solvers.stop import Status
from resolvent.typing import Array, Point

__all__ = ["WorkingSet", "refusal"]

ARMIJO = 1e-4
CROWDED = 0.8
"""With so large a part of the working set not zero, it grows thrice as fast."""
DRIFT = 0.2
"""By how much second derivatives may change before the model is made anew, as a part of their sum."""
GOOD = 0.2
"""They may while steps leave at most so large a part of a violation."""
SHORTEST, LAST = 1e-4, 1e-12
"""Steps of a line search below the first part of a Newton step say that second derivatives at x are no guide. Where
they have no bounds to follow instead, it goes on to the second."""
LIFT, SLOW = 4.0, 0.7
"""After steps that leave so large a part of a violation, second derivatives are lifted by this factor."""
LEAST = 1e-3
"""Diagonals of the model are damped as if they were at least so large a part of their bound."""
FIRST = 40
"""Coordinates that join at least, where nothing else is asked for."""
SMALL = 1e6
"""So many products of numbers take no more time than one step does besides."""
REFRESH = 30
"""Steps after which predictions are computed from their definition."""


@dataclass(frozen=True, kw_only=True)
class WorkingSet(Solver[CompositeProblem, WorkingSetState]):
    """Greedy blocks with Newton steps on faces, for losses of linear models with terms by coordinate.

    step:
        ``b <- working set + top scores; x_b <- argmin of the quadratic model of f plus g over b``
    cost:
        one pass over A for the gradient; m^2 n flops for the model of m columns, m^2 for a sweep
    proven:
        the block that holds the support makes it finite for quadratics, superlinear for losses with second derivatives;
        terms that are not convex (by sweeps alone): the objective falls, to a point where no coordinate alone improves

    Parameters
    ----------
    first : int, optional
        So many coordinates join at least; all are in the working set from the start where there are no more. Default
        40, and all of dense least squares where their matrix takes less time than one step does besides.
    growth : float
        How many join in a step, as a multiple of those that are not zero; twice as many sparse columns, which cost
        little, and at most a quarter of the samples of dense ones.
    sweeps : int
        Sweeps between two looks at the signs.
    accuracy : float
        How far the model is minimised, as a part of the largest violation of optimality.
    dense : int
        Working sets of more columns, six times as many for a dense A, are swept over by columns, and their faces
        solved by conjugate gradients, instead of by a matrix of this order.

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
    first: int | None = None
    growth: float = 1.0
    sweeps: int = 10
    accuracy: float = 0.02
    dense: int = 600

    def __post_init__(self) -> None:
        check_options(self)

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
        low, up = problem.term.parameters(w.shape)[3:5]
        if max(len(low), len(up)) > 1 or (low[0], up[0]) != (-np.inf, np.inf):
            np.clip(w, low, up, out=w, casting="same_kind")
        nothing = np.zeros(0, problem.dtype)
        members = np.arange(len(w)) if self._takes_all(problem) else np.flatnonzero(_not_held(problem, w))
        state = WorkingSetState(
            x=x0, scale=problem.scale(), members=members, H=nothing.reshape(0, 0), curvature=nothing
        )
        if previous is None or previous.model is not problem.smooth:
            state.model = problem.smooth
            return look(problem, state)
        state.model, state.block, previous.block = previous.model, previous.block, None
        known = np.zeros(len(w), bool)
        known[previous.members] = True
        if known[members].all():
            state.members, state.curvature = previous.members.copy(), previous.curvature
            state.H, previous.H = previous.H, nothing.reshape(0, 0)  # its memory will be written to
        if not all(np.array_equal(a, b) for a, b in zip(parts(x0), parts(previous.x), strict=True)):
            return look(problem, state)
        state.z, state.gradient = previous.z.copy(), previous.gradient.copy()
        state.theta = -problem.smooth.derivative(state.z)
        return measure(problem, state)

    def _takes_all(self, problem: CompositeProblem) -> bool:
        """Whether all coordinates are in the working set from the start."""
        return bool(problem.smooth.p <= (self.first or FIRST)) or (self.first is None and _is_small(problem))

    def step(self, problem: CompositeProblem, state: WorkingSetState) -> WorkingSetState:
        if state.model is not problem.smooth:
            state.model, state.block = problem.smooth, None
        if state.met or state.iterations % REFRESH == REFRESH - 1:
            look(problem, state)
        if state.iterations == 0 and self._at_once(problem, state):
            state.iterations += 1
            return look(problem, state)
        worst, scores = self._scores(problem, state)
        grown = self._grow(problem, state, scores)
        block = self._block(problem, state)
        x = block.gather(state.x)
        before = x.copy()
        accuracy = self._accuracy(problem, state, grown)
        if isinstance(problem.smooth.loss, LeastSquares):
            slope = self._quadratic(problem, state, block, x, accuracy * worst)
        else:
            slope = self._newton(problem, state, block, x, worst, accuracy)
        block.scatter(x, state.x)
        state.iterations += 1
        ask(problem, state, slope)
        if not state.met and np.array_equal(before, x):
            return state.give_up(
                Status.STALLED, f"a step changed nothing at a residual of {state.residual:.3e}: rounding, or no descent"
            )
        return state

    def _at_once(self, problem: CompositeProblem, state: WorkingSetState) -> bool:
        """Answer least squares whose columns are few, dense and all in the working set by one call, if it can.

        H is that of the members in the order in which they joined: after an earlier solve this may not be that of x.
        """
        model = problem.smooth
        if not (_is_small(problem) and has_sight(problem, state) and np.array_equal(state.members, model.places)):
            return False
        if len(state.H) < model.p:
            state.H = DenseColumns(model.A).gram(model.weights, state.H)
            problem.counts["columns"] += model.p
        x, g = state.x.copy(), state.gradient.copy()
        c, residuals = state.H @ x - g, state.z - model.loss.targets
        squares = -float(state.theta @ residuals) - float(x @ (g - c))
        term = problem.term.parameters(problem.shape)[1:5]
        at = (whole(state.H), model.lipschitz, x, g, c, squares)
        _, found = gram_answer(*at, term, state.tolerance, self)
        state.x = x if found else state.x
        return found

    def _accuracy(self, problem: CompositeProblem, state: WorkingSetState, grown: int) -> float:
        """Return how far the block is solved, as a part of the largest violation of optimality.

        The gap falls with its square: where the working set hardly grows any more, or a model that is f itself costs
        nothing beside a pass over A or has all columns, as far as the tolerance asks.
        """
        m, exact = len(state.members), isinstance(problem.smooth.loss, LeastSquares)
        cheap = 100 * m * m <= max(problem.smooth.entries, SMALL) or m == problem.smooth.p
        if not state.residual or (20 * grown > m and not (cheap and exact)):
            return self.accuracy
        wanted = max(state.tolerance, 0.0) / state.residual
        wanted = float(np.sqrt(wanted) if problem.has_gap else wanted)
        return min(self.accuracy, max((0.01 if cheap else 0.3) * wanted, 1e-6))

    def _block(self, problem: CompositeProblem, state: WorkingSetState) -> Block:
        if state.block is None or not np.array_equal(state.block.members, state.members[: len(state.block.members)]):
            state.block = Block(problem)
        state.block.extend(problem, state.members)
        found: Block = state.block
        return found

    def _scores(self, problem: CompositeProblem, state: WorkingSetState) -> tuple[float, Array]:
        """Return the largest violation of optimality, and the decrease that each coordinate promises."""
        w, g = coefficients(state.x), state.gradient
        if has_sight(problem, state):
            if state.sight is None or state.sight[0] is not problem:
                see(problem, state)
            return float(state.sight[2][0]), state.sight[1].copy()
        if problem.term.convex:
            worst = float(problem.term.scores(w, g, 1.0, DISTANCE).max(initial=0.0))
        else:  # where zero is a local minimum whatever the gradient, there is no distance
            bounds = problem.smooth.lipschitz
            worst = float((problem.term.scores(w, g, bounds, STEP) * bounds).max(initial=0.0))
        if problem.intercept:
            worst = max(worst, abs(float(problem.smooth.derivative(state.z).sum())))
        return worst, problem.term.scores(w, g, _curvature_bounds(problem, state.z), DECREASE)

    def _grow(self, problem: CompositeProblem, state: WorkingSetState, scores: Array) -> int:
        """Let the coordinates that promise most join the working set; return how many did."""
        if len(state.members) == problem.smooth.p:
            return 0
        scores[state.members] = 0
        joining, support = np.flatnonzero(scores > 0), np.count_nonzero(coefficients(state.x))
        crowded = support > CROWDED * len(state.members)
        count, n = int((3 if crowded else 1) * self.growth * support), problem.smooth.n
        count = max(self.first or FIRST, min(2 * count, n) if problem.smooth.sparse else min(count, n // 4))
        if len(joining) > count:
            joining = joining[np.argpartition(-scores[joining], count - 1)[:count]]
            joining.sort()
        state.members = np.concatenate([state.members, joining])
        return len(joining)

    def _by_matrix(self, block: Block) -> bool:
        return block.bend is not None or block.order <= self.dense * (1 if block.sparse else 6)

    def _minimise(self, state: WorkingSetState, g: Array, x: Array, block: Block, target: float) -> None:
        if block.bend is not None:
            bent_minimise(state.H, g, x, block, self.sweeps, target)
        else:
            gram_minimise(state.H, g, x, block.term, self.sweeps, target)

    def _quadratic(
        self, problem: CompositeProblem, state: WorkingSetState, block: Block, x: Array, target: float
    ) -> Array:
        """Minimise f + g over the block, f being least squares; return the derivative of the loss."""
        weights, old = problem.smooth.weights, x.copy()
        if self._by_matrix(block):
            state.H = block.columns.gram(weights, state.H)
            self._minimise(state, block.pick(problem, state), x, block, target)
        else:
            curvature = np.ones(problem.smooth.n, problem.dtype) if weights is None else weights
            column_minimise(block, curvature, problem.smooth.derivative(state.z), x, self.sweeps, target)
        state.z += block.columns.predict(x - old)
        slope: Array = problem.smooth.derivative(state.z)
        return slope

    def _newton(
        self, problem: CompositeProblem, state: WorkingSetState, block: Block, x: Array, worst: float, accuracy: float
    ) -> Array:
        """Minimise f + g over the block by proximal Newton steps; return the derivative of the loss."""
        loss, weights = problem.smooth.loss, problem.smooth.weights
        known = state.evaluated is not None and state.evaluated[0] is state.z
        value, slope, curvature = state.evaluated[1] if known else loss.evaluate(state.z, weights)
        g, current, penalty = block.pick(problem, state, slope), np.inf, block.value(x)
        bound = None if loss.curvature_bound is None else _largest_curvature(problem)
        state.blend = 0.0 if state.blend == 1 else state.blend
        shortest, step = LAST if bound is None else SHORTEST, 1.0
        violation = largest_violation if has_sight(problem, state) else Block.violation
        for attempt in range(12):
            last, current = current, violation(block, x, g)
            if attempt and current <= min(5 * accuracy, 0.1) * worst:
                break
            if bound is not None:
                if block.bend is None and attempt:
                    self._blend(state, step < 0.5 or current > SLOW * last)
                if state.blend:
                    curvature = np.maximum(curvature, state.blend * bound)
            safe, new = state.blend == 1, x.copy()
            if self._by_matrix(block):
                self._refresh(state, curvature, current / max(last, 1e-300))
                self._extend_matrix(state, block)
                self._minimise(state, g.copy(), new, block, 0.05 * current)
            else:
                column_minimise(block, curvature, slope.copy(), new, self.sweeps, 0.05 * current)
            d = new - x
            moved, reached = block.columns.predict(d), block.value(new)
            slack = float(g @ d) + reached - penalty
            old = value + penalty
            rounding = 8 * np.finfo(x.dtype).eps * abs(old)
            promised = 0.0 if safe else 0.1 * block.promise(current)  # by steps of single coordinates
            step = 1.0 if -slack >= promised - rounding else 0.0  # where there is no curvature nothing moves
            while step > shortest:
                trial, z = (new, state.z + moved) if step == 1 else (x + step * d, state.z + step * moved)
                found = loss.evaluate(z, weights)
                if found[0] + reached <= old + ARMIJO * step * slack + rounding:
                    break
                step = 0.5 * step if block.bend is None else 0.0  # a jump from one minimum to another has no part
                reached = block.value(x + step * d)
            else:
                if safe or bound is None:
                    break
                state.blend, step = 1.0, 1.0  # a model above f, for which no step fails
                continue
            x[:], state.z, penalty = trial, z, reached
            value, slope, curvature = found
            state.evaluated = z, found
            g = block.columns.correlate(slope)
        found_slope: Array = slope
        return found_slope

    def _blend(self, state: WorkingSetState, slow: bool) -> None:
        """Lift second derivatives towards their bounds where steps gain little, and let go of that where they do."""
        if slow:
            state.blend = min(LIFT * max(state.blend, LEAST), 1.0)
        elif state.blend:
            state.blend = state.blend / LIFT if state.blend > LIFT * LEAST else 0.0

    def _extend_matrix(self, state: WorkingSetState, block: Block) -> None:
        """Make the part of the model's matrix that is new, a little damped."""
        first = len(state.H)
        if first < block.order:
            state.H = block.columns.gram(state.curvature, state.H)
            diagonal = np.einsum("ii->i", state.H)
            diagonal[first:] += DAMPING * max(float(diagonal.mean()), LEAST * block.bound)

    def _refresh(self, state: WorkingSetState, curvature: Array, gained: float) -> None:
        """Make the model anew where second derivatives have changed much since, or at all where steps gain little."""
        known = state.curvature
        if len(known):
            drift = float(np.abs(curvature - known).sum()) / max(float(curvature.sum()), 1e-300)
            if drift <= (DRIFT if gained <= GOOD else 0.0):
                return
        state.curvature, state.H = curvature.copy(), state.H[:0, :0]


# ---- the problem


def refusal(problem: CompositeProblem) -> str:
    """Return why a working set cannot solve a problem, empty where it can."""
    if not problem.linear or problem.smooth.responses != 1 or len(problem.shape) != 1:
        return "WorkingSet needs the loss of a LinearModel with one response"
    if not isinstance(problem.term, ByCoordinate):
        return f"WorkingSet needs a term by coordinate, got {type(problem.term).__name__}"
    if not problem.term.convex and problem.smooth.lipschitz is None:
        return f"WorkingSet needs a loss with bounded curvature for {type(problem.term).__name__}, which is not convex"
    return ""


def _is_small(problem: CompositeProblem) -> bool:
    """Whether these are least squares of which a matrix of all columns costs no more than a step does besides."""
    model = problem.smooth
    exact = isinstance(model.loss, LeastSquares) and not model.sparse
    return exact and bool(model.p <= FIRST or model.n * model.p**2 <= SMALL)


def _not_held(problem: CompositeProblem, w: Array) -> Array:
    """Return which coordinates are not at zero, or nothing holds them there, (p,)."""
    p = problem.term.parameters(problem.shape)
    if len(p.weight) == 1:
        return w
    found: Array = (w != 0) | ((p.weight == 0) & (p.ridge == 0) & (p.lower < 0) & (p.upper > 0))
    return found


def _curvature_bounds(problem: CompositeProblem, z: Array) -> Array:
    """Return bounds of the second derivatives by coordinate, those at z where the loss has none."""
    model = problem.smooth
    bounds: Any = model.lipschitz
    if bounds is None:
        bounds = model.norms_squared(model.loss.curvature(z, model.weights))
        problem.counts["columns"] += problem.shape[0]
    found: Array = bounds
    return found


def _largest_curvature(problem: CompositeProblem) -> Array:
    """Return bounds of the second derivatives of the loss by sample."""
    model = problem.smooth
    weights = np.ones(model.n, model.dtype) if model.weights is None else model.weights
    found: Array = model.loss.curvature_bound * weights
    return found
