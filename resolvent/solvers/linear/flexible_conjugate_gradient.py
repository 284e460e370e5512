"""Flexible conjugate gradients, FCG(m), for A x = b with A symmetric positive (semi)definite.

The preconditioner M may change from one iteration to the next: an inner solve, a smoother with a random order, a
network. One iteration i, with the last m_i directions p_k kept beside their products A p_k::

    z = M_i r,   p = z - sum_k (z^T A p_k / p_k^T A p_k) p_k
    alpha = p^T r / p^T A p,   x <- x + alpha p,   r <- r - alpha A p

    m_0 = 0,   m_i = max(1, i mod (m + 1))

The directions are thrown away but for the last one whenever m of them have been used (Notay's truncation and restart),
so that a new one is orthogonal to (m + 1) / 2 others on average. With a constant symmetric positive definite M and
exact arithmetic this is the conjugate gradient method. The checks of signs, the true residual and the null space are
as in `conjugate_gradient`; M need not be symmetric, but r^T M r > 0 is asked for.

Memory: 2 m + 4 vectors: x, r, A p, z, and m directions with their products. Work per iteration: one product with A, one
application of M, and about 2 m_i + 4 passes.

Reference: Y. Notay, Flexible conjugate gradients, SIAM J. Sci. Comput. 22 (2000) 1444-1460.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from resolvent.kernels import twin
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import State, cache, is_whole, require
from resolvent.solvers.linear.krylov import (
    Krylov,
    KrylovState,
    explain_matrix,
    explain_preconditioner,
    require_numpy,
)
from resolvent.typing import Array

__all__ = ["FlexibleConjugateGradient", "FlexibleConjugateGradientState"]


@dataclass(kw_only=True, eq=False)
class FlexibleConjugateGradientState(KrylovState):
    """Retained directions.

    Attributes
    ----------
    P, Q : array (m, n)
        Directions and their products with A.
    curvatures : list of float
        p^T A p of the rows in use.
    directed : bool
        Whether the next direction is in P already: an iteration was broken off before its product.
    """

    P: Array
    Q: Array
    curvatures: list[float] = field(default_factory=list)
    directed: bool = False
    kernels: Any = cache()


@dataclass(frozen=True, kw_only=True)
class FlexibleConjugateGradient(Krylov[FlexibleConjugateGradientState]):
    """Conjugate gradients whose preconditioner may change from one iteration to the next.

    step:
        ``p = M r - sum_k (z^T A p_k / p_k^T A p_k) p_k``, then as in `ConjugateGradient`
    cost:
        one product with A and one application of M per iteration; 2 `keep` + 4 vectors
    proven:
        the convergence of `ConjugateGradient` for a constant M; for a varying one that of the steepest descent with
        its directions (Notay 2000)

    Parameters
    ----------
    preconditioner : object, optional
        As for `ConjugateGradient`, but it may change from one application to the next. Default none.
    batch : int
        Iterations in one step of the driver. It does not change the result.
    keep : int
        m, the most directions that a new one is made orthogonal to.

    References
    ----------
    Notay, SIAM J. Sci. Comput. 22 (2000) 1444-1460.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import LinearSystem
    >>> from resolvent.solvers import ConjugateGradient, FlexibleConjugateGradient
    >>> A = np.diag(np.arange(1.0, 101.0))
    >>> system = LinearSystem(A, np.ones(100), spd=True)
    >>> inner = lambda r: rs.solve(LinearSystem(A, r, spd=True), ConjugateGradient(), stop=rs.Stop(rtol=0.1)).x
    >>> rs.solve(system, FlexibleConjugateGradient(preconditioner=inner)).iterations < 10
    True
    """

    state: ClassVar[type[State]] = FlexibleConjugateGradientState
    refuses: ClassVar[tuple[str, ...]] = ("indefinite",)
    reference: ClassVar[str] = "Notay 2000"
    keep: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(is_whole(self.keep, least=1), "keep", self.keep, "a whole number >= 1")

    def first(self, problem: LinearSystem, x: Array, r: Array) -> FlexibleConjugateGradientState:
        require_numpy(r, "FlexibleConjugateGradient")
        shape = (self.keep, len(r))
        return FlexibleConjugateGradientState(x=x, r=r, P=np.zeros(shape, r.dtype), Q=np.zeros(shape, r.dtype))

    def iterate(self, problem: LinearSystem, state: FlexibleConjugateGradientState) -> None:
        s = state
        if s.kernels is None:
            s.kernels = [twin("directions", name, "cpu") for name in ("products", "subtract", "measure")]
        used = self.retained(s.iterations)
        row = self.retained(s.iterations + 1) - 1  # where the next iteration looks for the new direction
        if not s.directed and not _make_direction(s, used, row):
            return
        p, q = s.P[row], s.Q[row]
        y = problem.apply(p)
        curvature, along, _ = (float(value) for value in s.kernels[2](p, y, s.r, q))
        if not curvature > 0:
            explain_matrix(s, curvature)
            return
        s.curvatures[row:] = [curvature]
        s.x, s.r, s.residual = s.work.advance(s.x, s.r, p, q, along / curvature)
        s.directed = s.exact = False
        s.iterations += 1
        if s.met:  # it could end the run: by the definition, not the recurrence
            r = problem.b - problem.apply(s.x)
            s.r, s.residual, s.exact = r, problem.norm(r), True

    def retained(self, i: int) -> int:
        """Return m_i, the number of directions that direction i is made orthogonal to."""
        return max(1, i % (self.keep + 1)) if i else 0


def _make_direction(s: FlexibleConjugateGradientState, used: int, row: int) -> bool:
    """Write the next direction to a row of P; False where the preconditioner is not positive definite."""
    products, subtract, _ = s.kernels
    z = np.array(s.precondition(s.r), dtype=s.r.dtype)  # owned: it is changed
    rz = s.work.dot(s.r, z)
    if not rz > 0:
        explain_preconditioner(s, rz)
        return False
    if used:
        rows = np.arange(used)
        subtract(z, s.P, rows, products(z, s.Q, rows)[:-1] / s.curvatures[:used])
    s.P[row] = z
    s.directed = True
    return True
