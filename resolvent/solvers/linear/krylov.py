"""What the Krylov solvers share: the preconditioner as it is set up, steps of several iterations, the true residual.

The residual that ends a run is b - A x in norm2. The recurrences carry one along, whose use is to say when to look.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from resolvent.errors import BackendError
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import Solver, State, cache, is_whole, require
from resolvent.solvers.linear.preconditioning import applies, set_up
from resolvent.solvers.linear.vectors import vector_work
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["Krylov", "KrylovState", "explain_matrix", "explain_preconditioner", "require_numpy"]


@dataclass(kw_only=True, eq=False)
class KrylovState(State):
    """What every Krylov solver remembers.

    Attributes
    ----------
    r : array (n,)
        The residual vector at x, or where the present cycle began.
    exact : bool
        Whether `residual` was computed from b - A x, not carried.
    kept : object
        The preconditioner as set up for `system`.
    """

    r: Array
    exact: bool = True
    kept: Any = cache()
    system: Any = cache()
    precondition: Any = cache()
    work: Any = cache()


K = TypeVar("K", bound=KrylovState)


@dataclass(frozen=True, kw_only=True)
class Krylov(Solver[LinearSystem, K]):
    """A solver with the options `preconditioner` and `batch`; a subclass has `first` and `iterate`."""

    solves: ClassVar[type[LinearSystem]] = LinearSystem
    usual_iterations: ClassVar[float] = 10_000
    preconditioner: Any = field(default=None, compare=False)
    batch: int = 1

    def __post_init__(self) -> None:
        known = applies(self.preconditioner)
        require(
            known,
            "preconditioner",
            self.preconditioner,
            "options with setup(system), or something that applies",
        )
        require(is_whole(self.batch, least=1), "batch", self.batch, "a whole number >= 1")

    @abstractmethod
    def first(self, problem: LinearSystem, x: Array, r: Array) -> K:
        """Return the state at x with r = b - A x, before the preconditioner is set up."""

    @abstractmethod
    def iterate(self, problem: LinearSystem, state: K) -> None:
        """Make one iteration."""

    def begin(self, problem: LinearSystem, x0: Array, y0: None, rng: np.random.Generator, previous: K | None) -> K:
        r = problem.b - problem.apply(x0)
        state = self.first(problem, x0, r)
        state.residual, state.scale = problem.norm(r), problem.scale()
        if previous is not None:
            state.kept, previous.kept, previous.system = previous.kept, None, None
        self.make_ready(problem, state)
        return state

    def step(self, problem: LinearSystem, state: K) -> K:
        self.make_ready(problem, state)
        for _ in range(self.batch):
            if state.met and state.residual == 0:
                return state.give_up(Status.FINISHED, "the residual is zero")
            self.iterate(problem, state)
            if state.status or state.met or state.iterations >= state.limit:
                break
        return state

    def finish(self, problem: LinearSystem, state: K) -> K:
        """Replace a residual carried by the recurrence by the true one."""
        if not state.exact:
            state.residual, state.exact = problem.residual(state.x), True
        return state

    def warm_up(self, problem: LinearSystem) -> None:
        """Compile the vector work, on a system of order 1 of the same type."""
        one = np.ones(1, problem.dtype)
        tiny = LinearSystem(one[None], one, spd=True)
        solver = type(self)()
        solver.step(tiny, solver.start(tiny))

    def make_ready(self, problem: LinearSystem, state: K) -> None:
        """Set the preconditioner up where it is not that of `problem`."""
        if state.system is not problem:
            state.kept, state.precondition = set_up(self.preconditioner, problem, state.kept)
            state.work = vector_work(problem, state.x)
            state.system = problem


def require_numpy(x: Any, solver: str) -> None:
    """Raise BackendError where the vectors of a system are not NumPy arrays."""
    if not isinstance(x, np.ndarray):
        raise BackendError(f"{solver} works on NumPy arrays, got a {type(x).__name__}; ConjugateGradient takes others")


def explain_preconditioner(s: State, rz: float) -> None:
    """Give up because r^T M r is not positive."""
    if rz != rz:
        s.give_up(Status.DIVERGED, "r^T M r is nan: A or the preconditioner M returned nan or inf")
    elif rz == 0:
        s.give_up(Status.BREAKDOWN, "r^T M r = 0: the preconditioner M is singular; try without it")
    else:
        s.give_up(Status.BREAKDOWN, f"r^T M r = {rz:.3e} < 0: the preconditioner M is not positive definite")


def explain_matrix(s: State, curvature: float) -> None:
    """Give up because p^T A p is not positive."""
    if curvature != curvature:
        s.give_up(Status.DIVERGED, "p^T A p is nan: A or the preconditioner returned nan or inf")
    else:
        s.give_up(Status.BREAKDOWN, f"p^T A p = {curvature:.3e} <= 0: A is not positive definite; try another solver")
