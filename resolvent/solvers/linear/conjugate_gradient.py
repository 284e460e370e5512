"""Conjugate gradients, plain and preconditioned, for A x = b with A symmetric positive (semi)definite.

One iteration, with the preconditioner M (an approximation of the inverse of A)::

    alpha = r^T z / p^T A p
    x <- x + alpha p,   r <- r - alpha A p
    z = M r,   beta = r_new^T z_new / r^T z,   p <- z + beta p

How this differs from the textbook:

1. The residual that can end the run is b - A x, computed when the one carried by the recurrence meets the tolerance;
   the iteration then goes on from the computed one.
2. p^T A p <= 0 ends BREAKDOWN "A is not positive definite", r^T z <= 0 ends BREAKDOWN "the preconditioner is not
   positive definite": both are found at no cost.
3. On a singular system with a known null space, residual and preconditioned residual are kept off it.

Memory: five vectors beside the system and the preconditioner. Work per iteration: one product with A, one
application of M, two inner products and three vector updates.

Reference: M. R. Hestenes and E. Stiefel, Methods of conjugate gradients for solving linear systems, Journal of
Research of the National Bureau of Standards 49 (1952) 409-436.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from resolvent import arrays
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import Solver, State, cache, is_whole, require
from resolvent.solvers.linear.preconditioning import applies, set_up
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
        r^T M r.
    exact : bool
        Whether r was computed as b - A x, not carried.
    kept : object
        The preconditioner as set up for `system`.
    """

    r: Array
    p: Array
    rz: float
    exact: bool = True
    kept: Any = cache()
    system: Any = cache()
    precondition: Any = cache()


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
        state = ConjugateGradientState(x=x0, r=r, p=r, rz=0.0, residual=problem.norm(r), scale=problem.scale())
        if previous is not None:
            state.kept, previous.kept, previous.system = previous.kept, None, None
        z = self._preconditioner(problem, state)(r)
        state.p, state.rz = arrays.copy(z), problem.dot(r, z)
        return state

    def step(self, problem: LinearSystem, state: ConjugateGradientState) -> ConjugateGradientState:
        precondition = self._preconditioner(problem, state)
        for _ in range(self.batch):
            if state.met and state.residual == 0:
                return state.give_up(Status.FINISHED, "the residual is zero")
            _iterate(problem, state, precondition)
            if state.status or state.met or state.iterations >= state.limit:
                break
        return state

    def finish(self, problem: LinearSystem, state: ConjugateGradientState) -> ConjugateGradientState:
        """Replace a residual carried by the recurrence by the true one."""
        if not state.exact:
            state.residual, state.exact = problem.residual(state.x), True
        return state

    def _preconditioner(self, problem: LinearSystem, state: ConjugateGradientState) -> Callable[[Array], Array]:
        if state.system is not problem:
            state.kept, state.precondition = set_up(self.preconditioner, problem, state.kept)
            state.system = problem
        function: Callable[[Array], Array] = state.precondition
        return function


def _iterate(problem: LinearSystem, s: ConjugateGradientState, precondition: Callable[[Array], Array]) -> None:
    Ap = problem.apply(s.p)
    curvature = problem.dot(s.p, Ap)
    if not (curvature > 0 and s.rz > 0):
        _explain(problem, s, curvature)
        return
    alpha = s.rz / curvature
    x = s.x + alpha * s.p
    r = problem.remove_null_space(s.r - alpha * Ap)
    residual, exact = problem.norm(r), False
    if residual <= s.tolerance:  # it could end the run: by the definition, not the recurrence
        r = problem.b - problem.apply(x)
        residual, exact = problem.norm(r), True
    z = precondition(r)
    rz = problem.dot(r, z)
    s.p = z + (rz / s.rz) * s.p
    s.x, s.r, s.rz, s.residual, s.exact = x, r, rz, residual, exact
    s.iterations += 1


def _explain(problem: LinearSystem, s: ConjugateGradientState, curvature: float) -> None:
    if curvature != curvature:
        s.give_up(Status.DIVERGED, "p^T A p is nan: A or the preconditioner returned nan or inf")
    elif s.rz == 0 and s.residual:
        s.give_up(Status.BREAKDOWN, "r^T M r = 0: the preconditioner M is singular; try without it")
    elif s.rz < 0:
        s.give_up(Status.BREAKDOWN, f"r^T M r = {s.rz:.3e} < 0: the preconditioner M is not positive definite")
    else:
        s.give_up(
            Status.BREAKDOWN,
            f"p^T A p = {curvature:.3e} <= 0: A is not positive definite; try another solver",
        )
