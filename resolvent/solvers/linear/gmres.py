"""GMRES(m) for A x = b with any nonsingular A, preconditioned from the right by an M that may change.

A cycle begins at a point x_0 with residual r_0 and builds an orthonormal basis V by Arnoldi's process::

    v_1 = r_0 / norm2(r_0),   z_j = M_j v_j,   w = A z_j,   h = V^T w,   v_{j+1} = (w - V h) / norm2(w - V h)

so that A Z = V H, and x = x_0 + Z y with the y of least norm2(beta e_1 - H y), found by one Givens rotation a step.
After m steps the cycle ends, and the next one begins at x. Z is stored, which makes this the flexible variant (FGMRES):
M may be an inner solve. With a constant M it is GMRES with preconditioning from the right, and without one Z is V and
not stored.

How this differs from the textbook:

1. The basis is made orthogonal by classical Gram-Schmidt, block by block of the vectors, so that what is left along the
   basis is known in the same pass; where it matters, it is taken off in a second one.
2. x is formed at the end of each step of the driver, not of the cycle alone, so that a run can be cut anywhere;
   `batch` says how often.
3. norm2(b - A x) is computed when the cycle ends or its estimate meets the tolerance; a cycle that has not made it
   smaller ends STALLED, since the next one would do the same.

Memory: m + 4 vectors, 2 m + 4 with a preconditioner; they are made as the cycle grows. Work per iteration j of a cycle:
one product with A, one application of M, 6 j n flops in two reads of the basis, and 2 j n for each x that is formed.

Reference: Y. Saad and M. H. Schultz, GMRES, SIAM J. Sci. Stat. Comput. 7 (1986) 856-869; Y. Saad, A flexible
inner-outer preconditioned GMRES algorithm, SIAM J. Sci. Comput. 14 (1993) 461-469.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import hypot, isfinite
from typing import ClassVar

import numpy as np
from scipy.linalg import solve_triangular

from resolvent.arrays import norm2
from resolvent.kernels import twin
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import State, is_whole, require
from resolvent.solvers.linear.krylov import Krylov, KrylovState, require_numpy
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["GMRES", "GMRESState"]

LEAST_GAIN = 1e-8
"""A cycle that makes the residual smaller by less than this part has made no progress."""

AGAIN = 2 / 3
"""Gram-Schmidt is repeated where more than eps^AGAIN is left along the basis: 4e-11 in float64."""


@dataclass(kw_only=True, eq=False)
class GMRESState(KrylovState):
    """A cycle in progress.

    Attributes
    ----------
    base : array (n,)
        x where the cycle began, with the residual r.
    V, Z : array (rows, n)
        The basis, and M of it; more rows are made as they are needed, and Z has none without a preconditioner.
    columns : list of list of float
        Of the triangular matrix that H has become.
    rotations : list of tuple
        (c, s).
    rest : list of float
        The rotated right-hand side; the last entry is the estimate of the residual, with a sign.
    closed : bool
        Whether the basis cannot grow: it holds the solution.
    """

    base: Array
    V: Array
    Z: Array
    columns: list[list[float]] = field(default_factory=list)
    rotations: list[tuple[float, float]] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)
    closed: bool = False

    @property
    def used(self) -> int:
        """Length of the cycle so far."""
        return len(self.columns)


@dataclass(frozen=True, kw_only=True)
class GMRES(Krylov[GMRESState]):
    """GMRES(m) for any square system, flexible: the preconditioner may change from one iteration to the next.

    step:
        ``x = x_0 + Z y``, y = argmin norm2(beta e_1 - H y), where A Z = V H
    cost:
        one product with A and one application of M per iteration; `restart` vectors, twice as many with M
    proven:
        the residual never grows; without restarts it is the least over the Krylov space (Saad and Schultz 1986)

    Parameters
    ----------
    preconditioner : object, optional
        As for `ConjugateGradient`, but any approximation of the inverse of A, also one that changes. Default none.
    batch : int
        Iterations in one step of the driver, after which x is formed. It does not change the result.
    restart : int
        m, the length of a cycle.

    References
    ----------
    Saad and Schultz, SIAM J. Sci. Stat. Comput. 7 (1986) 856-869; Saad, SIAM J. Sci. Comput. 14 (1993) 461-469.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import LinearSystem
    >>> from resolvent.solvers import GMRES
    >>> A = np.array([[2.0, 1.0], [-1.0, 2.0]])
    >>> result = rs.solve(LinearSystem(A, np.ones(2)), GMRES())
    >>> result.success, result.iterations
    (True, 2)
    """

    state: ClassVar[type[State]] = GMRESState
    reference: ClassVar[str] = "Saad and Schultz 1986"
    restart: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        require(is_whole(self.restart, least=1), "restart", self.restart, "a whole number >= 1")

    def first(self, problem: LinearSystem, x: Array, r: Array) -> GMRESState:
        require_numpy(r, "GMRES")
        empty = np.empty((0, len(r)), r.dtype)
        return GMRESState(x=x, r=r, base=x.copy(), V=empty, Z=empty.copy())

    def step(self, problem: LinearSystem, state: GMRESState) -> GMRESState:
        state = super().step(problem, state)
        if state.used:
            state.x, state.residual, state.exact = _answer(state), abs(state.rest[-1]), False
        return state

    def iterate(self, problem: LinearSystem, state: GMRESState) -> None:
        if self.is_over(state):  # an earlier step was broken off before the cycle ended
            _end_cycle(problem, state)
            if state.met or state.status:
                return
        self._extend(problem, state)
        if not state.status and self.is_over(state):
            _end_cycle(problem, state)

    def is_over(self, state: GMRESState) -> bool:
        """Whether the cycle has to end, by its length, its estimate or because the basis cannot grow."""
        if not state.used:
            return False
        return state.closed or state.used >= self.restart or abs(state.rest[-1]) <= state.tolerance

    def _extend(self, problem: LinearSystem, s: GMRESState) -> None:
        if not s.used:
            norm = problem.norm(s.r)
            s.rest, s.V = [norm], (s.r / norm)[None]
        j = s.used
        z = np.asarray(s.precondition(s.V[j]), dtype=s.r.dtype)
        w = np.array(problem.remove_null_space(problem.apply(z)))
        size = problem.norm(w)
        if not isfinite(size):
            s.give_up(Status.DIVERGED, "A M v is not finite: A or the preconditioner M returned nan or inf")
            return
        w, h = _orthogonalise(s.V[: j + 1], w)
        last = problem.norm(w)
        if last <= np.finfo(s.r.dtype).eps * size:
            last = 0.0
        if not _rotate(s, h, last):
            s.give_up(Status.BREAKDOWN, "A M is singular on the Krylov space, which cannot grow: A or M is singular")
            return
        if self.preconditioner is not None:
            s.Z = _with_row(s.Z, j, z, self.restart)
        s.V = _with_row(s.V, j + 1, w / last if last else w, self.restart + 1)
        s.closed = last == 0
        s.iterations += 1


def _orthogonalise(V: Array, w: Array) -> tuple[Array, Array]:
    """Take the part of w in the span of the rows of V off it, and return its coefficients; w is changed."""
    subtract = twin("vectors", "subtract_rows", "cpu")
    h = (V @ w).astype(np.float64)
    left = subtract(w, V, h)
    if np.abs(left).max() > float(np.finfo(w.dtype).eps) ** AGAIN * norm2(w):
        h += left
        subtract(w, V, left)
    return w, h


def _rotate(s: GMRESState, h: Array, last: float) -> bool:
    """Append a column to the triangular matrix; False where it is singular."""
    column = [float(entry) for entry in h]
    for i, (c, sine) in enumerate(s.rotations):
        column[i], column[i + 1] = c * column[i] + sine * column[i + 1], c * column[i + 1] - sine * column[i]
    size = hypot(column[-1], last)
    if size <= np.finfo(s.r.dtype).eps * max(1e-300, *(abs(float(entry)) for entry in h)):
        return False
    c, sine = column[-1] / size, last / size
    column[-1] = size
    s.columns.append(column)
    s.rotations.append((c, sine))
    s.rest[-1:] = [c * s.rest[-1], -sine * s.rest[-1]]
    return True


def _with_row(rows: Array, i: int, row: Array, most: int) -> Array:
    """Return the array with entry i set, twice as long where there was no room."""
    if i >= len(rows):
        longer = np.zeros((min(most, max(4, 2 * i)), rows.shape[1]), rows.dtype)
        longer[:i] = rows[:i]
        rows = longer
    rows[i] = row
    return rows


def _answer(s: GMRESState) -> Array:
    j = s.used
    R = np.zeros((j, j))
    for i, column in enumerate(s.columns):
        R[: i + 1, i] = column
    y = solve_triangular(R, np.array(s.rest[:j]), check_finite=False).astype(s.r.dtype)
    x: Array = s.base + y @ (s.Z if len(s.Z) else s.V)[:j]
    return x


def _end_cycle(problem: LinearSystem, s: GMRESState) -> None:
    """Form x, compute its residual, and make ready for the next cycle."""
    before, estimate = problem.norm(s.r), abs(s.rest[-1])
    x = _answer(s)
    r = problem.b - problem.apply(x)
    s.x, s.r, s.residual, s.exact, s.base = x, r, problem.norm(r), True, x.copy()
    s.columns, s.rotations, s.rest, s.closed = [], [], [], False
    s.V, s.Z = s.V[:0].copy(), s.Z[:0].copy()
    if s.met or s.residual <= (1 - LEAST_GAIN) * before:
        return
    s.give_up(
        Status.STALLED,
        f"a cycle has left the residual at {s.residual:.3e} (estimate {estimate:.3e}): a longer restart or a "
        "preconditioner may help, unless this is rounding",
    )
