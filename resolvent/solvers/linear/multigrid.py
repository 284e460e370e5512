"""Geometric multigrid for diffusion on grids, as a preconditioner and as a solver.

A cycle (see `hierarchy`) is symmetric and positive definite, so that conjugate gradients can run on it. `Multigrid` is
both the options of a hierarchy, for any Krylov method, and a solver: conjugate gradients on its cycle, with all vectors
in the packed layout of the kernels. One iteration::

    z = one cycle for r,         beta = r^T z / (r^T z of the step before)
    p <- z + beta p,             alpha = r^T z / p^T A p
    x <- x + alpha p,            r <- r - alpha A p

r, z, p and A p are in float32, A p from differences of neighbours, x in the dtype of the system. r is relative to the
residual at the start; it drifts from b - A x by the rounding of its first values, so it is computed anew from the
definition after five digits, and where it could end the run. At the steps between, `residual` is None and the history
has the norm of r as `residual_estimate`.

Where a run begins with a full multigrid cycle, this takes the place of the first z, and the recurrence begins after it.

Memory: 24 bytes an unknown for the vectors and the finest level, and about a sixth of this for the coarse ones, for one
weight per axis; 17 more for weights of faces.

References: A. Brandt, Multi-level adaptive solutions to boundary-value problems, Mathematics of Computation 31 (1977)
333-390; O. Tatebe, The multigrid preconditioned conjugate gradient method (Copper Mountain conference, 1993).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from resolvent.errors import ProblemError
from resolvent.kernels import twin
from resolvent.parallel import in_parts
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import Solver, State, cache, is_whole, require
from resolvent.solvers.linear.hierarchy import Chebyshev, Hierarchy, RedBlack, packed_shape
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["Multigrid", "MultigridState"]

DRIFT = 1e-5
"""The residual is computed anew when the one carried in float32 has fallen by this factor."""

SLAB = 65_536
"""A residual is computed a few planes at a time, of about this many cells, which stay in the cache."""


@dataclass(kw_only=True, eq=False)
class MultigridState(State):
    """Vectors of the recurrence, packed, float32.

    Attributes
    ----------
    r, p : array
        Residual divided by `size`, and search direction.
    rz : float
        r^T z of the last step, 0 before the first.
    size : float
        Residual at the start.
    computed : float
        Residual when it was last computed as b - A x.
    estimate : float
        Norm of r, times `size`.
    hierarchy : Hierarchy
        Set up for `system`.
    y : array
        A p.
    """

    r: Array
    p: Array
    rz: float = 0.0
    size: float = 1.0
    computed: float = 0.0
    estimate: float = 0.0
    hierarchy: Any = cache()
    system: Any = cache()
    y: Any = cache()

    def record(self) -> dict[str, float]:
        return {"residual_estimate": self.estimate}


@dataclass(frozen=True, kw_only=True)
class Multigrid(Solver[LinearSystem, MultigridState]):
    """Geometric multigrid with conjugate gradients on its cycle, and the options of a multigrid preconditioner.

    step:
        ``z = M r; p = z + beta p; x += alpha p; r -= alpha A p``, with M a cycle
    cost:
        one cycle and one product with A per iteration, about 90 bytes of memory traffic an unknown; 30 bytes an unknown
        are kept for one weight per axis, 50 for weights of faces
    proven:
        for constant coefficients the error falls by a factor that does not depend on the number of unknowns

    ``Multigrid().setup(system)`` gives the `Hierarchy`, of which one product is one cycle: so
    ``ConjugateGradient(preconditioner=Multigrid())``. A system that is not on a grid is handed to
    `AlgebraicMultigrid` there (extra `amg`).

    Parameters
    ----------
    smoother : RedBlack or Chebyshev
        Default Gauss-Seidel by colours. Chebyshev costs about three times as much, and is there for comparison.
    coarse_visits : int
        1 for V-cycles, 2 for W-cycles.
    full : bool
        Begin with a full multigrid cycle: one or two iterations less, for the price of one.

    References
    ----------
    Brandt, Math. Comp. 31 (1977) 333-390.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import LinearSystem, grids
    >>> from resolvent.solvers import Multigrid
    >>> A = grids.diffusion((200, 300))
    >>> result = rs.solve(LinearSystem(A, np.ones(60_000)), Multigrid(), stop=rs.Stop(rtol=1e-8))
    >>> result.success, result.iterations < 15
    (True, True)
    """

    solves: ClassVar[type[LinearSystem]] = LinearSystem
    state: ClassVar[type[State]] = MultigridState
    refuses: ClassVar[tuple[str, ...]] = ("indefinite",)
    reference: ClassVar[str] = "Brandt 1977; Tatebe 1993"
    usual_iterations: ClassVar[float] = 200
    smoother: RedBlack | Chebyshev = field(default_factory=RedBlack)
    coarse_visits: int = 1
    full: bool = False

    def __post_init__(self) -> None:
        known = isinstance(self.smoother, RedBlack | Chebyshev)
        require(known, "smoother", self.smoother, "RedBlack() or Chebyshev()")
        require(is_whole(self.coarse_visits, least=1), "coarse_visits", self.coarse_visits, "a whole number >= 1")
        require(isinstance(self.full, bool), "full", self.full, "True or False")

    def setup(self, system: LinearSystem, previous: Any = None) -> Any:
        """Return the hierarchy for `system`; `previous`, one for the same grid, is updated and returned.

        Raises
        ------
        ProblemError
            The grid cannot be coarsened: a periodic axis has an odd number of cells.
        BackendError
            The system is not on a grid and PyAMG is missing.
        """
        if not system.on_grid:
            from resolvent.solvers.linear.algebraic import AlgebraicMultigrid

            return AlgebraicMultigrid().setup(system, previous)
        if (
            type(previous) is Hierarchy
            and previous.shape == (len(system.b),) * 2
            and previous.dtype == system.dtype
            and (previous.smoother, previous.coarse_visits) == (self.smoother, self.coarse_visits)
        ):
            return previous.update(system)
        return Hierarchy(system, self.smoother, self.coarse_visits)

    def begin(
        self,
        problem: LinearSystem,
        x0: Array,
        y0: None,
        rng: np.random.Generator,
        previous: MultigridState | None,
    ) -> MultigridState:
        if not problem.on_grid:
            raise ProblemError(
                f"Multigrid solves systems on grids, A is a {type(problem.A).__name__}: use "
                "ConjugateGradient(preconditioner=Multigrid())"
            )
        kept = None
        if previous is not None:
            kept, previous.hierarchy, previous.system = previous.hierarchy, None, None
        hierarchy = self.setup(problem, kept)
        shape = packed_shape(hierarchy.levels[0].grid.extents)
        r, p = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        state = MultigridState(x=x0, r=r, p=p, scale=problem.scale())
        state.hierarchy, state.system = hierarchy, problem
        _compute(problem, state, first=True)
        return state

    def step(self, problem: LinearSystem, state: MultigridState) -> MultigridState:
        if state.residual == 0:
            return state.give_up(Status.FINISHED, "the residual is zero")
        hierarchy = self._hierarchy(problem, state)
        z = hierarchy.levels[0].z
        full = self.full and state.iterations == 0
        rz = hierarchy.full_cycle(state.r, z) if full else 0.0
        if not rz > 0:
            rz = hierarchy.cycle(state.r, z)
        if not rz > 0:
            return _explain(state, "r^T M r", rz)
        problem.counts["apply"] += 1
        curvature = hierarchy.product(state.p, state.y, beta=rz / state.rz if state.rz else 0.0, z=z)
        if not curvature > 0:
            return _explain(state, "p^T A p", curvature)
        state.rz = 0.0 if full else rz
        _advance(hierarchy, state, rz / curvature)
        if state.estimate <= state.tolerance:
            self.finish(problem, state)
        if not state.met and state.estimate <= max(state.tolerance, DRIFT * state.computed):
            _compute(problem, state)
        return state

    def finish(self, problem: LinearSystem, state: MultigridState) -> MultigridState:
        """Compute the residual where it is not known."""
        if state.residual is None:
            state.x = problem.remove_null_space(state.x)
            state.residual = problem.residual(state.x)
        return state

    def _hierarchy(self, problem: LinearSystem, state: MultigridState) -> Hierarchy:
        if state.system is not problem or state.hierarchy is None:
            state.hierarchy, state.system = self.setup(problem, state.hierarchy), problem
        if state.y is None or state.y.shape != state.p.shape:
            state.y = np.zeros(state.p.shape, np.float32)
        found: Hierarchy = state.hierarchy
        return found


def _advance(hierarchy: Hierarchy, s: MultigridState, alpha: float) -> None:
    """Take the step alpha along p."""
    extents = hierarchy.levels[0].grid.extents
    advance = twin("multigrid", "advance", "cpu")
    x = s.x.reshape(extents)

    def part(lo: int, hi: int) -> float:
        square: float = advance(x, s.p, s.r, s.y, alpha, s.size, lo, hi)
        return square

    s.estimate = float(np.sqrt(sum(in_parts(part, extents[0], hierarchy.levels[0].grid.cells)))) * s.size
    s.residual = None
    s.iterations += 1


def _compute(problem: LinearSystem, s: MultigridState, first: bool = False) -> None:
    """Compute the residual by its definition, of an x without its part along the null space of A."""
    if not first:
        s.x = problem.remove_null_space(s.x)
    if first and not s.x.any():
        s.residual = problem.norm(problem.b)
        s.size = s.residual or 1.0
        extents = s.hierarchy.levels[0].grid.extents
        twin("multigrid", "pack", "cpu")(problem.b.reshape(extents), 1 / s.size, s.r)
    else:
        if first:
            s.size = problem.residual(s.x) or 1.0
        s.residual = _pack_residual(problem, s)
    s.computed = s.estimate = s.residual


def _pack_residual(problem: LinearSystem, s: MultigridState) -> float:
    """Write (b - A x) / size into r, and return the norm of b - A x. The product takes room for a few planes."""
    n0, n1, n2 = s.hierarchy.levels[0].grid.extents
    b, pack, planes = problem.b.reshape(n0, n1, n2), twin("multigrid", "pack_difference", "cpu"), _planes(problem, s.x)
    height = max(1, SLAB // (n1 * n2))

    def part(lo: int, hi: int) -> float:
        total, product = 0.0, np.empty((min(height, hi - lo), n1, n2), problem.dtype)
        for first in range(lo, hi, height):
            last = min(first + height, hi)
            planes(product[: last - first], first, last)
            total += pack(b, product[: last - first], 1 / s.size, s.r, first, last)
        return total

    return float(np.sqrt(sum(in_parts(part, n0, len(s.x)))))


def _planes(problem: LinearSystem, x: Array) -> Callable[[Array, int, int], None]:
    """Return a function that writes planes of A x into an array."""
    if hasattr(type(problem.A), "planes"):
        problem.counts["apply"] += 1
        return partial(problem.A.planes, x)
    product = problem.apply(x)

    def copied(out: Array, lo: int, hi: int) -> None:
        size = out[0].size
        out[:] = product[lo * size : hi * size].reshape(out.shape)

    return copied


def _explain(s: MultigridState, name: str, value: float) -> MultigridState:
    if value != value:
        return s.give_up(Status.DIVERGED, f"{name} is nan: the coefficients of A are too far apart for float32")
    return s.give_up(
        Status.STALLED,
        f"{name} = {value:.3e}, expected > 0: the rounding of float32 is reached; use ConjugateGradient with "
        "preconditioner=Multigrid()",
    )
