"""Minimum residual method (MINRES) for A x = b with A symmetric, definite or not.

The Lanczos process with the preconditioner M (symmetric positive definite, an approximation of the inverse of |A|)
makes vectors v_j that are orthogonal in the inner product of M, z_j = M v_j, with gamma_j^2 = v_j^T z_j::

    delta_j = z_j^T A z_j / gamma_j^2
    v_{j+1} = A z_j / gamma_j - (delta_j / gamma_j) v_j - (gamma_j / gamma_{j-1}) v_{j-1}

A Givens rotation (c, s) a step keeps the tridiagonal matrix triangular, and the x of least ||b - A x||_M in the Krylov
space follows from three directions::

    w_{j+1} = (z_j / gamma_j - a_3 w_{j-1} - a_2 w_j) / a_1
    x <- x + c eta w_{j+1},   eta <- -s eta

How this differs from the textbook:

1. ||r||_M = |eta| is what falls. The run ends by norm2(b - A x), so that r is carried along,
   r <- s^2 r + (c eta / gamma_{j+1}) v_{j+1}, and computed from the definition when its norm meets the tolerance. Where
   the computed one does not, the process starts again from it.
2. gamma^2 < 0 ends BREAKDOWN "the preconditioner M is not positive definite".
3. Where a second start finds a residual that has hardly fallen since the first, the run ends STALLED: the tolerance
   is out of the reach of rounding.
4. The second iteration compares z_1^T A z_2 with z_2^T A z_1 and ends BREAKDOWN where they differ: A or M is not
   symmetric.
5. norm(A r) = |eta| ||(a_0, c gamma)|| comes with the rotations. Where it is rounding, r is the least residual of a
   singular system, and the run ends STALLED instead of letting x grow along the null space.

Memory: eight vectors beside the system and the preconditioner. Work per iteration: one product with A, one application
of M, and for NumPy arrays four passes over the vectors: two inner products, the Lanczos vector, everything else.

Reference: C. C. Paige and M. A. Saunders, Solution of sparse indefinite systems of linear equations, SIAM J. Numer.
Anal. 12 (1975) 617-629; the preconditioned form is that of H. C. Elman, D. J. Silvester and A. J. Wathen,
Finite elements and fast iterative solvers, second edition (Oxford, 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt
from typing import ClassVar

import numpy as np

from resolvent import arrays
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import State
from resolvent.solvers.linear.krylov import Krylov, KrylovState
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["MinimumResidual", "MinimumResidualState"]

FALLS = 0.5
"""A start again from the true residual that has not fallen by this factor since the last start is the last one."""

ROUNDING = 100.0
"""norm(A r) below this many eps norm(A) norm(r) is zero."""


@dataclass(kw_only=True, eq=False)
class MinimumResidualState(KrylovState):
    """Vectors and numbers of the two recurrences.

    Attributes
    ----------
    v, v_before : array (n,)
        Lanczos vectors, not normalised.
    z : array (n,)
        M v / gamma; zero before the first iteration.
    w, w_before : array (n,)
        Directions of x.
    gamma, gamma_before : float
        (v^T M v)^(1/2); gamma is zero where v has to be made ready for the first iteration of a process.
    c, s, c_before, s_before : float
        Rotations.
    eta : float
        What is left of the right-hand side, the norm of r in the inner product of M, with a sign.
    anchor : float
        The residual where the process started.
    size : float
        The largest entry of the tridiagonal matrix, a lower bound of the norm of A (of M A, with M).
    """

    v: Array
    v_before: Array
    z: Array
    w: Array
    w_before: Array
    gamma: float = 0.0
    gamma_before: float = 1.0
    c: float = 1.0
    s: float = 0.0
    c_before: float = 1.0
    s_before: float = 0.0
    eta: float = 0.0
    anchor: float = 0.0
    size: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MinimumResidual(Krylov[MinimumResidualState]):
    """MINRES for symmetric systems, definite or not, with a positive definite preconditioner.

    step:
        ``x += c eta w``, one step of the Lanczos process and one Givens rotation
    cost:
        one product with A and one application of M per iteration; eight vectors
    proven:
        no x in the same Krylov space has a smaller ||b - A x||_M (Paige and Saunders 1975)

    Parameters
    ----------
    preconditioner : object, optional
        As for `ConjugateGradient`; symmetric positive definite although A need not be. Default none.
    batch : int
        Iterations in one step of the driver. It does not change the result.

    References
    ----------
    Paige and Saunders, SIAM J. Numer. Anal. 12 (1975) 617-629.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import LinearSystem
    >>> from resolvent.solvers import MinimumResidual
    >>> A = np.diag([-3.0, -1.0, 2.0, 5.0])
    >>> result = rs.solve(LinearSystem(A, np.ones(4)), MinimumResidual())
    >>> result.success, result.iterations
    (True, 4)
    """

    state: ClassVar[type[State]] = MinimumResidualState
    reference: ClassVar[str] = "Paige and Saunders 1975"

    def first(self, problem: LinearSystem, x: Array, r: Array) -> MinimumResidualState:
        zeros = [0 * r for _ in range(4)]
        return MinimumResidualState(
            x=x, r=r, v=arrays.copy(r), v_before=zeros[0], z=zeros[1], w=zeros[2], w_before=zeros[3]
        )

    def iterate(self, problem: LinearSystem, state: MinimumResidualState) -> None:
        if state.gamma == 0 and not _start(problem, state):
            return
        _advance(problem, state)


def _start(problem: LinearSystem, s: MinimumResidualState) -> bool:
    """Begin the Lanczos process with v = r."""
    z = s.precondition(s.v)
    square = s.work.dot(s.v, z)
    if not square > 0:
        _explain_preconditioner(s, square)
        return False
    s.gamma = s.eta = sqrt(square)
    s.z, s.anchor = z / s.gamma, problem.norm(s.v)
    return True


def _advance(problem: LinearSystem, s: MinimumResidualState) -> None:
    work = s.work
    Az = problem.apply(s.z)
    delta = work.dot(s.z, Az)
    v = work.three_terms(Az, s.v, s.v_before, delta / s.gamma, s.gamma / s.gamma_before)
    v = problem.remove_null_space(v)
    if s.s_before == 0 and s.s != 0 and _is_asymmetric(problem, s, Az, v):
        return
    Mv = s.precondition(v)
    square = work.dot(v, Mv)
    if not square >= 0:
        _explain_preconditioner(s, square)
        return
    gamma = sqrt(square)

    a_0 = s.c * delta - s.c_before * s.s * s.gamma
    a_1 = hypot(a_0, gamma)
    a_2 = s.s * delta + s.c_before * s.c * s.gamma
    a_3 = s.s_before * s.gamma
    s.size = max(s.size, abs(delta), gamma)
    if hypot(a_0, s.c * gamma) <= ROUNDING * float(np.finfo(problem.dtype).eps) * s.size:
        s.give_up(Status.STALLED, "A r = 0: A is singular and no x makes the residual smaller; b is not in its range")
        return
    c, sine, inverse = a_0 / a_1, gamma / a_1, 1 / gamma if gamma > 0 else 0.0
    eta = -sine * s.eta
    numbers = (a_1, a_2, a_3, c * s.eta, sine**2, c * eta * inverse, inverse)
    s.x, s.r, w, s.z, s.residual = work.minimum_residual(s.x, s.r, s.w, s.w_before, s.z, v, Mv, numbers)
    s.w_before, s.w, s.v_before, s.v = s.w, w, s.v, v
    s.gamma_before, s.gamma, s.eta = s.gamma, gamma, eta
    s.c_before, s.s_before, s.c, s.s = s.c, s.s, c, sine
    s.exact = False
    s.iterations += 1
    if s.met or gamma == 0:  # it could end the run: by the definition, not the recurrence
        r = problem.b - problem.apply(s.x)
        s.r, s.residual, s.exact = r, problem.norm(r), True
        if not s.met:
            _start_again(s)


def _is_asymmetric(problem: LinearSystem, s: MinimumResidualState, Az: Array, v: Array) -> bool:
    """In the second iteration w is z_1 but for a factor, and v^T z_1 = z_2^T A z_1 - z_1^T A z_2 = 0."""
    difference, size = abs(problem.dot(v, s.w)), problem.norm(Az) * problem.norm(s.w)
    if not difference > 10 * float(np.finfo(problem.dtype).eps) ** 0.5 * size:
        return False
    s.give_up(
        Status.BREAKDOWN,
        f"z_1^T A z_2 and z_2^T A z_1 differ by {difference / size:.1e} of their largest value: A or the "
        "preconditioner M is not symmetric; use GMRES",
    )
    return True


def _start_again(s: MinimumResidualState) -> None:
    """Begin the process anew at x, from the residual that was computed there."""
    residual = s.residual or 0.0
    if residual > FALLS * s.anchor:
        s.give_up(
            Status.STALLED,
            f"the residual is {residual:.3e} where the recurrence said {abs(s.eta):.3e}, and hardly less than the "
            f"{s.anchor:.3e} of the last start: the tolerance is below what rounding allows, or A is not symmetric",
        )
    s.v, s.v_before, s.w, s.w_before = arrays.copy(s.r), 0 * s.r, 0 * s.r, 0 * s.r
    s.gamma, s.gamma_before = 0.0, 1.0
    s.c, s.s, s.c_before, s.s_before = 1.0, 0.0, 1.0, 0.0


def _explain_preconditioner(s: MinimumResidualState, square: float) -> None:
    if square != square:
        s.give_up(Status.DIVERGED, "v^T M v is nan: A or the preconditioner M returned nan or inf")
    elif square == 0:
        s.give_up(Status.BREAKDOWN, "r^T M r = 0: the preconditioner M is singular; try without it")
    else:
        s.give_up(Status.BREAKDOWN, f"v^T M v = {square:.3e} < 0: the preconditioner M is not positive definite")
