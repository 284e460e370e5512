"""Conjugate gradients, plain and preconditioned, for A x = b with A symmetric positive (semi)definite.

One iteration, with the preconditioner M (an approximation of the inverse of A)::

    z = M r,   beta = r^T z / (r^T z before, 0 at first),   p <- z + beta p
    alpha = r^T z / p^T A p
    x <- x + alpha p,   r <- r - alpha A p

How this differs from the textbook:

1. The residual that can end the run is b - A x, computed when the one carried by the recurrence meets the tolerance;
   the iteration then goes on from the computed one.
2. p^T A p <= 0 ends BREAKDOWN "A is not positive definite", r^T z <= 0 ends BREAKDOWN "the preconditioner is not
   positive definite": both are found at no cost.
3. On a singular system with a known null space, residual and preconditioned residual are kept off it.
4. An iteration begins with the application of M, so that none is wasted on the residual that ends the run.

Memory: five vectors beside the system and the preconditioner: x, r, p, A p and z. Work per iteration: one product with
A, one application of M, and for NumPy arrays four passes over the vectors (two inner products, x and r with the norm of
r, p), in place.

Reference: M. R. Hestenes and E. Stiefel, Methods of conjugate gradients for solving linear systems, Journal of
Research of the National Bureau of Standards 49 (1952) 409-436.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import Solver, State, cache, is_whole, require
from resolvent.solvers.linear.preconditioning import applies, set_up
from resolvent.solvers.linear.vectors import vector_work
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["ConjugateGradient", "ConjugateGradientState"]


@dataclass(kw_only=True, eq=False)
class ConjugateGradientState(State):
    """Vectors of the recurrence.

    Attributes
    ----------
    r, p : array (n,)
        Residual and search direction.
    rz : float
        r^T M r of the residual that p was made from; 0 before the first direction.
    directed : bool
        Whether p is made from r already: an iteration was broken off between the two.
    exact : bool
        Whether r was computed as b - A x, not carried.
    kept : object
        The preconditioner as set up for `system`.
    """

    r: Array
    p: Array
    rz: float = 0.0
    directed: bool = False
    exact: bool = True
    kept: Any = cache()
    system: Any = cache()
    precondition: Any = cache()
    work: Any = cache()


@dataclass(frozen=True, kw_only=True)
class ConjugateGradient(Solver[LinearSystem, ConjugateGradientState]):
    """Conjugate gradients for symmetric positive definite systems, plain or preconditioned.

    step:
        ``x += alpha p; r -= alpha A p; p = M r + beta p``
    cost:
        one product with A and one application of M per iteration; five vectors
    proven:
        error in the A-norm falls by (sqrt(kappa) - 1) / (sqrt(kappa) + 1) per iteration, kappa the condition number
        of M A

    Parameters
    ----------
    preconditioner : object, optional
        Options with ``setup(system, previous=None)``, or anything symmetric positive definite that applies to a
        vector: ``@``, a callable, a SciPy LinearOperator. Default none.
    batch : int
        Iterations in one step of the driver. It does not change the result.

    References
    ----------
    Hestenes and Stiefel, J. Res. Nat. Bur. Standards 49 (1952) 409-436.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import LinearSystem
    >>> from resolvent.solvers import ConjugateGradient
    >>> A = np.diag(np.arange(1.0, 101.0))
    >>> system = LinearSystem(A, np.ones(100), spd=True)
    >>> plain = rs.solve(system, ConjugateGradient())
    >>> exact = rs.solve(system, ConjugateGradient(preconditioner=np.linalg.inv(A)))
    >>> plain.iterations > 20, exact.iterations
    (True, 1)
    """

    solves: ClassVar[type[LinearSystem]] = LinearSystem
    state: ClassVar[type[State]] = ConjugateGradientState
    refuses: ClassVar[tuple[str, ...]] = ("indefinite",)
    reference: ClassVar[str] = "Hestenes and Stiefel 1952"
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

    def begin(
        self,
        problem: LinearSystem,
        x0: Array,
        y0: None,
        rng: np.random.Generator,
        previous: ConjugateGradientState | None,
    ) -> ConjugateGradientState:
        r = problem.b - problem.apply(x0)
        state = ConjugateGradientState(x=x0, r=r, p=0 * r, residual=problem.norm(r), scale=problem.scale())
        if previous is not None:
            state.kept, previous.kept, previous.system = previous.kept, None, None
        self._make_ready(problem, state)
        return state

    def step(self, problem: LinearSystem, state: ConjugateGradientState) -> ConjugateGradientState:
        self._make_ready(problem, state)
        for _ in range(self.batch):
            if state.met and state.residual == 0:
                return state.give_up(Status.FINISHED, "the residual is zero")
            _iterate(problem, state)
            if state.status or state.met or state.iterations >= state.limit:
                break
        return state

    def finish(self, problem: LinearSystem, state: ConjugateGradientState) -> ConjugateGradientState:
        """Replace a residual carried by the recurrence by the true one."""
        if not state.exact:
            state.residual, state.exact = problem.residual(state.x), True
        return state

    def warm_up(self, problem: LinearSystem) -> None:
        """Compile the vector work, on a system of order 1 of the same type."""
        one = np.ones(1, problem.dtype)
        tiny = LinearSystem(one[None], one, spd=True)
        solver = ConjugateGradient()
        solver.step(tiny, solver.start(tiny))

    def _make_ready(self, problem: LinearSystem, state: ConjugateGradientState) -> None:
        if state.system is not problem:
            state.kept, state.precondition = set_up(self.preconditioner, problem, state.kept)
            state.work = vector_work(problem, state.x)
            state.system = problem


def _iterate(problem: LinearSystem, s: ConjugateGradientState) -> None:
    work = s.work
    if not s.directed:
        z = s.precondition(s.r)
        rz = work.dot(s.r, z)
        if not rz > 0:
            _explain_preconditioner(s, rz)
            return
        s.p = work.direction(z, s.p, rz / s.rz if s.rz else 0.0)
        s.rz, s.directed = rz, True
    q = problem.apply(s.p)
    curvature = work.dot(s.p, q)
    if not curvature > 0:
        _explain_matrix(s, curvature)
        return
    s.x, s.r, s.residual = work.advance(s.x, s.r, s.p, q, s.rz / curvature)
    s.directed = s.exact = False
    s.iterations += 1
    if s.met:  # it could end the run: by the definition, not the recurrence
        r = problem.b - problem.apply(s.x)
        s.r, s.residual, s.exact = r, problem.norm(r), True


def _explain_preconditioner(s: ConjugateGradientState, rz: float) -> None:
    if rz != rz:
        s.give_up(Status.DIVERGED, "r^T M r is nan: A or the preconditioner M returned nan or inf")
    elif rz == 0:
        s.give_up(Status.BREAKDOWN, "r^T M r = 0: the preconditioner M is singular; try without it")
    else:
        s.give_up(Status.BREAKDOWN, f"r^T M r = {rz:.3e} < 0: the preconditioner M is not positive definite")


def _explain_matrix(s: ConjugateGradientState, curvature: float) -> None:
    if curvature != curvature:
        s.give_up(Status.DIVERGED, "p^T A p is nan: A or the preconditioner returned nan or inf")
    else:
        s.give_up(Status.BREAKDOWN, f"p^T A p = {curvature:.3e} <= 0: A is not positive definite; try another solver")
