"""Block coordinate descent: a partition into blocks, a rule that selects one, an update of it.

For min f(x) + g(x), g a sum over coordinates. One step:

1. The rule selects a block b: the next one, a random one, or the one that promises most (`rules`).
2. The update makes new entries x_b of it, with a bound of the Hessian or with the Hessian itself (`updates`).
3. Predictions or gradient follow, and the residual is computed from them.

The three choices multiply: variable blocks are better than fixed ones, greedy rules better than cyclic and random ones
where their cost is that of the step, and second-order updates better than gradient steps, most of all with a greedy
rule. Where the solution is sparse and blocks are as large as its support, a second-order update on greedy blocks ends
after finitely many steps for a quadratic f, and is superlinear otherwise. On a sparse graph a block may hold most of
the unknowns, as long as it is a forest (`partitions`, `updates.Forest`).

Without the three this is the method for everyday use, `WorkingSet`, and for groups, several responses and softmax
`GroupWorkingSet`: the same idea with blocks that grow with the support.

The residual is computed from what a run carries, z = A x or the gradient of a quadratic; every 50 steps, and where it
could end the run, from its definition.

Reference: J. Nutini, I. Laradji and M. Schmidt, Let's make block coordinate descent converge faster: faster greedy
rules, message-passing, active-set complexity, and superlinear convergence, JMLR 23(131) 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.blocks import Blocks
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.term_base import ByGroup
from resolvent.solvers.base import Solver, State, cache, require
from resolvent.solvers.composite.access import Variable
from resolvent.solvers.composite.access_models import open_access
from resolvent.solvers.composite.group_working_set import GroupState, GroupWorkingSet
from resolvent.solvers.composite.partitions import GreedyForest, Partition, RandomForest
from resolvent.solvers.composite.rules import Rule
from resolvent.solvers.composite.updates import Forest, Update
from resolvent.solvers.composite.working_set import WorkingSet
from resolvent.solvers.composite.working_set_state import WorkingSetState
from resolvent.solvers.stop import Status
from resolvent.typing import Point

__all__ = ["BlockCoordinateDescent", "BlockState"]

REFRESH = 50
"""Steps between two computations of predictions or gradient from their definition."""


@dataclass(kw_only=True, eq=False)
class BlockState(WorkingSetState):
    """The answer, what follows it, and the memory of rule and update.

    Attributes
    ----------
    theta : array or None
        Dual point, None where f is no loss.
    z : array or None
        Predictions, None where f is no loss.
    gradient : array
        Of f, like x.
    members : array of int
        The last block.
    rng : numpy.random.Generator
    order, position : array of int, int
        Of the rules that go through fixed blocks.
    estimates : array (p,)
        Of the curvature in each coordinate, for `AdaptiveGradient`; empty for others.
    age : int
        Steps since predictions or gradient were computed from their definition.
    idle : int
        Steps in a row that changed nothing.
    """

    rng: Any
    order: Any
    estimates: Any
    position: int = 0
    age: int = 0
    idle: int = 0
    access: Any = cache()

    def record(self) -> dict[str, float]:
        return {"size": float(len(self.members)), "support": float(np.count_nonzero(self.x))}


@dataclass(frozen=True, kw_only=True)
class BlockCoordinateDescent(Solver[CompositeProblem, WorkingSetState]):
    """Block coordinate descent by any partition, rule and update; without them, the method of `WorkingSet`, or for
    groups and several responses that of `GroupWorkingSet`.

    step:
        ``b <- select(x); x_b <- update(x, b)``
    cost:
        for losses one pass over A, for quadratics the columns of the block; and those of rule and update
    proven:
        linear for strongly convex objectives, faster for greedy rules; finite or superlinear where greedy blocks hold
        the support and the update is of second order

    Parameters
    ----------
    partition : Partition, Blocks, Variable, GreedyForest or RandomForest
        `partitions.Consecutive` and the like are fixed; ``rules.Variable(size=...)`` makes every set of so many
        coordinates a block.
    select : Rule
        From `rules`.
    update : Update
        From `updates`. All three are given, or none.

    References
    ----------
    Nutini, Laradji and Schmidt, JMLR 23 (2022) 131.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import CompositeProblem, LinearModel, losses, terms
    >>> from resolvent.solvers import BlockCoordinateDescent, rules, updates
    >>> A = np.random.default_rng(0).standard_normal((40, 200))
    >>> model = LinearModel(A, losses.LeastSquares(A[:, :3].sum(axis=1)))
    >>> problem = CompositeProblem(smooth=model, term=terms.L1(2.0))
    >>> greedy = BlockCoordinateDescent(
    ...     partition=rules.Variable(size=10), select=rules.Decrease(), update=updates.ProjectedNewton()
    ... )
    >>> result = rs.solve(problem, greedy)
    >>> result.success, result.iterations, np.flatnonzero(result.x).tolist()
    (True, 1, [0, 1, 2, 31])
    """

    solves: ClassVar[type[CompositeProblem]] = CompositeProblem
    state: ClassVar[type[State]] = WorkingSetState
    reference: ClassVar[str] = "Nutini, Laradji and Schmidt 2022"
    usual_iterations: ClassVar[float] = 10_000
    partition: Any = None
    select: Any = None
    update: Any = None

    def __post_init__(self) -> None:
        kinds = Partition | Blocks | Variable | GreedyForest | RandomForest
        known = isinstance(self.partition, kinds | None)
        require(known, "partition", self.partition, "a partition, Blocks, rules.Variable(size=...) or None")
        require(isinstance(self.select, Rule | None), "select", self.select, "a rule, as rules.Decrease(), or None")
        allowed = "an update, as updates.Matrix(), or None"
        require(isinstance(self.update, Update | None), "update", self.update, allowed)
        given = [self.partition is not None, self.select is not None, self.update is not None]
        require(all(given) or not any(given), "update", self.update, "all of partition, select and update, or none")
        if self._rules:
            require(self.select.fits(self.partition), "select", self.select, f"a rule that fits {self.partition!r}")
            forest = isinstance(self.partition, GreedyForest | RandomForest)
            require(not forest or isinstance(self.update, Forest), "update", self.update,
                    f"updates.Forest() for {self.partition!r}")  # fmt: skip

    @property
    def _rules(self) -> bool:
        """Whether there are rules, and not the method of a working set."""
        return self.partition is not None

    def begin(
        self,
        problem: CompositeProblem,
        x0: Point,
        y0: None,
        rng: np.random.Generator,
        previous: WorkingSetState | None,
    ) -> WorkingSetState:
        if not self._rules:
            return _begin_working_set(problem, x0, rng, previous)
        access = self._open(problem)
        dtype = problem.dtype
        x = np.clip(np.ascontiguousarray(x0).reshape(-1), access.term.lower, access.term.upper).astype(dtype)
        estimates = np.ones(access.p if self.update.estimates else 0, dtype)
        if isinstance(previous, BlockState) and previous.estimates.shape == estimates.shape:
            estimates[:] = previous.estimates
        nothing = np.zeros(0, np.int64)
        state = BlockState(
            x=x.reshape(problem.shape), scale=problem.scale(), members=nothing, H=np.zeros((0, 0), dtype), rng=rng,
            order=nothing.copy(), estimates=estimates, model=problem, access=access,
        )  # fmt: skip
        access.look(state, fresh=True)
        return state

    def _open(self, problem: CompositeProblem) -> Any:
        """Return what rules and updates see of the problem.

        Raises
        ------
        ProblemError
            Problem, rule and update do not fit together.
        """
        access = open_access(problem, self.partition)
        for part in (self.select, self.update):
            if not access.term.smooth and not part.kinks:
                raise ProblemError(
                    f"{type(part).__name__} is for smooth objectives, and {type(problem.term).__name__} has kinks or "
                    "bounds; see rules.Decrease and updates.ProximalGradient"
                )
            part.prepare(access)
        return access

    def step(self, problem: CompositeProblem, state: WorkingSetState) -> WorkingSetState:
        if isinstance(state, GroupState):
            return GroupWorkingSet().step(problem, state)
        if not isinstance(state, BlockState):
            return WorkingSet().step(problem, state)
        s = state
        if s.access is None or s.model is not problem:
            s.access, s.model = self._open(problem), problem
        access = s.access
        chosen = self.select.select(access, s)
        moved = access.take(s, chosen.members, self.update.step(access, s, chosen))
        s.members = np.array(chosen.members)
        s.idle = 0 if moved else s.idle + 1
        s.iterations += 1
        self._look(access, s)
        if s.idle > self.select.patience(access) and not s.met:
            return s.give_up(
                Status.STALLED, f"{s.idle} steps changed nothing at a residual of {s.residual:.3e}: that is rounding"
            )
        return s

    def _look(self, access: Any, state: BlockState) -> None:
        """Compute the residual, from the definition where it could end the run or rounding has piled up."""
        fresh = state.age + 1 >= REFRESH or state.idle == 1
        access.look(state, fresh)
        if not fresh and state.met:
            fresh = True
            access.look(state, fresh)
        state.age = 0 if fresh else state.age + 1


def _begin_working_set(
    problem: CompositeProblem, x0: Point, rng: np.random.Generator, previous: WorkingSetState | None
) -> WorkingSetState:
    """Return the first state of the working set that suits the problem, warm after one of its kind."""
    if problem.linear and (len(problem.shape) > 1 or isinstance(problem.term, ByGroup)):
        earlier = previous if isinstance(previous, GroupState) else None
        return GroupWorkingSet().begin(problem, x0, None, rng, earlier)
    other = isinstance(previous, BlockState | GroupState)
    return WorkingSet().begin(problem, x0, None, rng, None if other else previous)
