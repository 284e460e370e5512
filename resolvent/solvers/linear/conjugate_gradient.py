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

from dataclasses import dataclass
from typing import ClassVar

from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import State
from resolvent.solvers.linear.krylov import Krylov, KrylovState, explain_matrix, explain_preconditioner
from resolvent.typing import Array

__all__ = ["ConjugateGradient", "ConjugateGradientState"]


@dataclass(kw_only=True, eq=False)
class ConjugateGradientState(KrylovState):
    """Vectors of the recurrence.

    Attributes
    ----------
    p : array (n,)
        Search direction.
    rz : float
        r^T M r of the residual that p was made from; 0 before the first direction.
    directed : bool
        Whether p is made from r already: an iteration was broken off between the two.
    """

    p: Array
    rz: float = 0.0
    directed: bool = False


@dataclass(frozen=True, kw_only=True)
class ConjugateGradient(Krylov[ConjugateGradientState]):
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

    state: ClassVar[type[State]] = ConjugateGradientState
    refuses: ClassVar[tuple[str, ...]] = ("indefinite",)
    reference: ClassVar[str] = "Hestenes and Stiefel 1952"

    def first(self, problem: LinearSystem, x: Array, r: Array) -> ConjugateGradientState:
        return ConjugateGradientState(x=x, r=r, p=0 * r)

    def iterate(self, problem: LinearSystem, state: ConjugateGradientState) -> None:
        s, work = state, state.work
        if not s.directed:
            z = s.precondition(s.r)
            rz = work.dot(s.r, z)
            if not rz > 0:
                explain_preconditioner(s, rz)
                return
            s.p = work.direction(z, s.p, rz / s.rz if s.rz else 0.0)
            s.rz, s.directed = rz, True
        q = problem.apply(s.p)
        curvature = work.dot(s.p, q)
        if not curvature > 0:
            explain_matrix(s, curvature)
            return
        s.x, s.r, s.residual = work.advance(s.x, s.r, s.p, q, s.rz / curvature)
        s.directed = s.exact = False
        s.iterations += 1
        if s.met:  # it could end the run: by the definition, not the recurrence
            r = problem.b - problem.apply(s.x)
            s.r, s.residual, s.exact = r, problem.norm(r), True
