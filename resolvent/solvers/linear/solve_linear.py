"""solve_linear: the front function of linear systems. It looks at A, picks a solver, and says which and why.

===================================================== ==============================================================
A                                                     solver
===================================================== ==============================================================
a `GridOperator` of a plain box, one weight per axis  `FastTransform` where its lengths are good, else `Multigrid`
any other `GridOperator`                              `Multigrid`
dense, or of order up to 1000, or in a narrow band    `Factorisation` inside GMRES (CG where ``spd=True``)
sparse, symmetric positive definite                   CG with `AlgebraicMultigrid`; with `Jacobi` where PyAMG is missing
sparse, symmetric, not definite                       `MinimumResidual` with `Jacobi`
sparse, not symmetric                                 GMRES with `IncompleteLU`
known by its products, ``spd=True``                   CG
known by its products, else                           GMRES
===================================================== ==============================================================

A sparse matrix with ``grid=`` whose entries are those of a constant stencil becomes a `GridOperator`. A symmetric
matrix with a positive diagonal is taken as positive definite where `spd` does not say otherwise; where this turns out
wrong, `MinimumResidual` goes on. Rows that sum up to zero over a whole component of the graph of A tell a null space,
the constants there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from resolvent.errors import BackendError, OptionError, ProblemError
from resolvent.problems.grids import diffusion
from resolvent.problems.linear import LinearSystem
from resolvent.problems.null_spaces import Components
from resolvent.solvers.base import Solver
from resolvent.solvers.drive import Callback, solve
from resolvent.solvers.linear.algebraic import AlgebraicMultigrid
from resolvent.solvers.linear.conjugate_gradient import ConjugateGradient
from resolvent.solvers.linear.factors import Factorisation, IncompleteLU, Jacobi
from resolvent.solvers.linear.gmres import GMRES
from resolvent.solvers.linear.minimum_residual import MinimumResidual
from resolvent.solvers.linear.multigrid import Multigrid
from resolvent.solvers.linear.transform import FastTransform
from resolvent.solvers.result import Result
from resolvent.solvers.stop import Status, Stop
from resolvent.typing import Matrix, RandomSource

__all__ = ["Choice", "choose", "solve_linear"]

SMALL = 1000
"""Matrices up to this order are factored: it takes milliseconds."""

BAND = 16
"""Sparse matrices whose entries lie within so many diagonals are factored: the work is n BAND^2."""


@dataclass(frozen=True)
class Choice:
    """A solver, the system as it is solved, and the reason in words."""

    solver: Solver[Any, Any]
    system: LinearSystem
    why: str
    guessed: bool = False


def solve_linear(
    A: Matrix,
    b: Any,
    *,
    grid: tuple[int, ...] | None = None,
    spd: bool | None = None,
    start: Any = None,
    stop: Stop | None = None,
    rng: RandomSource = None,
    callback: Callback | Sequence[Callback] | None = None,
) -> Result:
    """Solve A x = b with a solver that fits A. ``result.message`` says which one it is and why.

    Parameters
    ----------
    A : GridOperator, array or sparse matrix (n, n), or anything with ``@``
    b : array_like (n,)
    grid : tuple of int, optional
        The grid that the unknowns of a sparse matrix live on, in C order. A constant stencil is found in it.
    spd : bool, optional
        Whether A is symmetric positive (semi)definite. None: look.
    start, stop, rng, callback : optional
        As for `resolvent.solve`.

    Returns
    -------
    Result
        Of the solver that was picked, ``result.solver``; a script that solves many systems calls it by itself.

    Raises
    ------
    ProblemError
        Shapes, types or entries of A and b are wrong, or A is not what `spd` says.
    BackendError
        A and b live on different devices.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp, resolvent as rs
    >>> A = sp.diags_array([-np.ones(99), 2 * np.ones(100), -np.ones(99)], offsets=[-1, 0, 1], format="csr")
    >>> result = rs.solve_linear(A, np.ones(100))
    >>> result.success
    True
    >>> print(result.message.partition(":")[0])
    GMRES with Factorisation (order 100 is small)
    """
    if spd not in (True, False, None):
        raise OptionError(f"spd is {spd!r}, expected True, False or None")
    choice = choose(A, b, grid=grid, spd=spd)
    options: dict[str, Any] = {"stop": stop, "rng": rng, "callback": callback}
    try:
        result = solve(choice.system, choice.solver, start, **options)
        other = _second_choice(choice, result)
    except ProblemError as error:
        if not isinstance(choice.solver, Multigrid):
            raise
        other = _definite(choice.system, f"{choice.why}, but not for Multigrid: {error}", False)
    if other is not None:
        choice, result = other, solve(other.system, other.solver, start, **options)
    return replace(result, message=f"{_name(choice.solver)} ({choice.why}): {result.message}")


def _second_choice(choice: Choice, result: Result) -> Choice | None:
    """Return what to try where the first choice has failed by its own limits."""
    if choice.guessed and result.status is Status.BREAKDOWN and result.residual:
        why = f"A has a positive diagonal but is not positive definite: {result.message}"
        return _indefinite(choice.system.replace(spd=False), why)
    failed = result.status in (Status.STALLED, Status.DIVERGED)
    failed |= result.status is Status.ITERATIONS and result.stop.iterations is None
    if isinstance(choice.solver, Multigrid) and failed:
        why = f"{choice.why}; Multigrid, in float32, ended {result.status.name}"
        return Choice(ConjugateGradient(preconditioner=Multigrid()), choice.system, why)
    return None


def choose(A: Matrix, b: Any, *, grid: tuple[int, ...] | None = None, spd: bool | None = None) -> Choice:
    """Return the solver for A x = b, the system and the reason; the arguments are those of `solve_linear`."""
    system = LinearSystem(A, b, grid=grid, spd=bool(spd))
    if system.on_grid:
        return _on_grid(system)
    if not isinstance(system.b, np.ndarray):
        if not spd:
            raise BackendError(f"b is a {type(system.b).__name__}; beside NumPy there is CG alone, for spd=True")
        return Choice(ConjugateGradient(), system, "arrays that are not NumPy's")
    if isinstance(A, np.ndarray):
        return _dense(system, spd)
    if not sp.issparse(A):
        solver: Solver[Any, Any] = ConjugateGradient() if spd else GMRES(batch=10)
        return Choice(solver, system, "A is known by its products alone" + ("" if spd else "; spd=True would allow CG"))
    return _sparse(system, spd)


def _on_grid(system: LinearSystem) -> Choice:
    transform = FastTransform()
    if transform.good_lengths(system):
        return Choice(transform, system, "A is that of a plain box, and transforms of its lengths are fast")
    if not transform.refusal(system):
        return Choice(Multigrid(), system, "A is that of a plain box, but transforms of its lengths are slow")
    return Choice(Multigrid(), system, "A is a GridOperator")


def _dense(system: LinearSystem, spd: bool | None) -> Choice:
    _symmetry(system.A, spd)
    return _direct(system, "A is dense", spd)


def _sparse(system: LinearSystem, spd: bool | None) -> Choice:
    A = sp.csr_array(system.A)
    symmetric, positive = _symmetry(A, spd)
    guessed = spd is None and symmetric and positive
    definite = bool(spd) or guessed
    if definite:
        found = _stencil(A, system)
        if found is not None:
            return _on_grid(found)
        system = system.replace(spd=True, null_space=_constants(A))
    n, band = A.shape[0], _band(A)
    if n <= SMALL or band <= BAND:
        return _direct(system, f"order {n} is small" if n <= SMALL else f"A is sparse with a band of {band}", spd)
    if definite:
        taken = "A is sparse and symmetric with a positive diagonal, taken as positive definite"
        return _definite(system, taken if guessed else "A is sparse and positive definite", guessed)
    if symmetric:
        return _indefinite(system, "A is sparse, symmetric and not positive definite")
    return Choice(GMRES(preconditioner=IncompleteLU(), restart=50, batch=10), system, "A is sparse and not symmetric")


def _direct(system: LinearSystem, why: str, spd: bool | None) -> Choice:
    solver = ConjugateGradient if spd else GMRES
    return Choice(solver(preconditioner=Factorisation()), system, why)


def _definite(system: LinearSystem, why: str, guessed: bool) -> Choice:
    if find_spec("pyamg") is None:
        why += "; PyAMG is missing (pip install 'resolvent[amg]')"
        return Choice(ConjugateGradient(preconditioner=Jacobi()), system, why, guessed)
    return Choice(ConjugateGradient(preconditioner=AlgebraicMultigrid()), system, why, guessed)


def _indefinite(system: LinearSystem, why: str) -> Choice:
    return Choice(MinimumResidual(preconditioner=Jacobi()), system, why)


def _name(solver: Solver[Any, Any]) -> str:
    """Return the class of a solver and of its preconditioner."""
    inner = getattr(solver, "preconditioner", None)
    return type(solver).__name__ + (f" with {type(inner).__name__}" if inner is not None else "")


# ---- what a matrix is


def _symmetry(A: Matrix, spd: bool | None) -> tuple[bool, bool]:
    """Return whether A is symmetric, to rounding, and whether its diagonal is positive; they have to fit `spd`."""
    diagonal = A.diagonal()
    positive = bool((diagonal > 0).all())
    size, difference = float(abs(A).max()), float(abs(A - A.T).max())
    symmetric = difference <= 1e-12 * size
    if spd and not symmetric:
        raise ProblemError(f"spd is True, but A is not symmetric: A and A^T differ by {difference:.3e}")
    if spd and (diagonal < 0).any():
        raise ProblemError(f"spd is True, but A has {float(diagonal.min()):.3e} on its diagonal")
    return symmetric, positive


def _band(A: Matrix) -> int:
    rows = np.repeat(np.arange(A.shape[0], dtype=A.indices.dtype), np.diff(A.indptr))
    return int(np.abs(rows - A.indices).max(initial=0))


def _constants(A: Matrix) -> Components | None:
    """Return the components of the graph of A whose rows all sum up to zero: constants there are a null space."""
    rest = np.abs(A.sum(axis=1)) > 1e-12 * np.abs(A.diagonal())
    if rest.all():
        return None
    count, labels = connected_components(A, directed=False)
    floating = np.bincount(labels, weights=rest, minlength=count) == 0
    if not floating.any():
        return None
    numbers = np.where(floating, np.cumsum(floating) - 1, -1).astype(np.int32)
    labels = numbers[labels]
    sizes = np.bincount(labels[labels >= 0])
    return Components(sizes) if sizes[0] == len(labels) else Components(sizes, labels)


# ---- a stencil in a matrix


def _stencil(A: Matrix, system: LinearSystem) -> LinearSystem | None:
    """Return the system of a `GridOperator` with the entries of A, None where there is none with constant weights.

    Weights, zero-order term and walls are read off single rows; the operator made from them is compared with all of A.
    """
    grid = system.grid
    if grid is None or not 1 <= len(grid) <= 3 or min(grid) < 3:
        return None
    centre = tuple(n // 2 for n in grid)
    sums = A.sum(axis=1).reshape(grid)
    zero_order = max(float(sums[centre]), 0.0)
    weights, boundary = [], []
    for axis, n in enumerate(grid):
        cells = [(*centre[:axis], i, *centre[axis + 1 :]) for i in (0, centre[axis], centre[axis] + 1, n - 1)]
        first, here, next_, last = (int(np.ravel_multi_index(cell, grid)) for cell in cells)
        weight = -float(A[here, next_])
        if not weight > 0:
            return None
        joined = bool(np.isclose(-A[first, last], weight))
        weights.append(weight)
        walls = [(sums[cells[end]] - zero_order) / weight for end in (0, -1)]
        boundary.append(("periodic",) * 2 if joined else tuple(_condition(wall) for wall in walls))
    if zero_order < 1e-12 * sum(weights):
        zero_order = 0.0
    operator = diffusion(grid, conductivity=tuple(weights), zero_order=zero_order, boundary=tuple(boundary))
    if abs(operator.compress() - A).max() > 1e-12 * abs(A).max():
        return None
    return system.replace(A=operator.astype(system.dtype))


def _condition(wall: float) -> str:
    """Return the boundary condition whose wall weighs so many times an inner face, or the nearest one."""
    return ("neumann", "ghost", "dirichlet")[int(np.clip(round(wall), 0, 2))]
