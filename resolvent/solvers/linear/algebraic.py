"""Algebraic multigrid for general sparse matrices, by PyAMG (extra ``amg``).

A hierarchy is made from the entries of A alone, so that the unknowns need not live on a grid: by smoothed aggregation,
or by the classical method of Ruge and Stueben, which is faster on matrices without positive entries beside the
diagonal. One cycle is V(1,1) with symmetric Gauss-Seidel sweeps and the pseudo-inverse on the coarsest level: symmetric
positive definite where A is, and defined where A is singular.

What is added to PyAMG here: its setup draws random numbers from NumPy's global generator, which is put back to where it
was, and seeded before, so that a hierarchy built again has the same bits; inactive cells of a `GridOperator` are left
out; a hierarchy is kept for a matrix of the same entries; wrong matrices are refused by name.

Reference: N. Bell, L. N. Olson, J. Schroder and B. Southworth, PyAMG: Algebraic multigrid solvers in Python, Journal of
Open Source Software 8 (2023) 5495; P. Vanek, J. Mandel and M. Brezina, Computing 56 (1996) 179-196; J. W. Ruge and
K. Stueben, Algebraic multigrid, in Multigrid methods (SIAM, 1987), 73-130.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from resolvent.errors import BackendError, ProblemError
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import is_whole, require
from resolvent.typing import Array, Matrix

__all__ = ["AlgebraicHierarchy", "AlgebraicMultigrid"]


@dataclass(frozen=True, kw_only=True)
class AlgebraicMultigrid:
    """Options of algebraic multigrid; a preconditioner for `ConjugateGradient`, `MinimumResidual` and `GMRES`.

    Parameters
    ----------
    classical : bool, optional
        True: Ruge and Stueben. False: smoothed aggregation. None: the former where no entry beside the diagonal is
        positive.
    levels : int
        The most levels.
    coarsest : int
        A level with so few unknowns or fewer is the last one.

    Examples
    --------
    >>> import resolvent as rs
    >>> from resolvent.problems.library.poisson import poisson
    >>> from resolvent.solvers import AlgebraicMultigrid, ConjugateGradient
    >>> solver = ConjugateGradient(preconditioner=AlgebraicMultigrid())
    >>> rs.solve(poisson(40), solver, stop=rs.Stop(rtol=1e-8)).iterations < 12
    True
    """

    classical: bool | None = None
    levels: int = 20
    coarsest: int = 100

    def __post_init__(self) -> None:
        require(self.classical in (True, False, None), "classical", self.classical, "True, False or None")
        require(is_whole(self.levels, least=1), "levels", self.levels, "a whole number >= 1")
        require(is_whole(self.coarsest, least=1), "coarsest", self.coarsest, "a whole number >= 1")

    def setup(self, system: LinearSystem, previous: Any = None) -> AlgebraicHierarchy:
        """Return the hierarchy of a symmetric positive (semi)definite A; `previous` where it is that of the same A.

        Raises
        ------
        ProblemError
            The entries of A are not at hand, A is not symmetric, or its diagonal is not positive.
        BackendError
            PyAMG is missing.
        """
        matrix, cells = _reduced(system)
        if isinstance(previous, AlgebraicHierarchy) and previous.fits(self, matrix, cells, system):
            return previous
        return AlgebraicHierarchy(self, matrix, cells, system)


class AlgebraicHierarchy(LinearOperator):  # type: ignore[misc]
    """Levels of coarser matrices; ``hierarchy @ r`` is one cycle from zero.

    Attributes
    ----------
    options : AlgebraicMultigrid
    matrix : csr_matrix
        A without empty rows.
    cells : array of int, or slice
        The unknowns that it has.
    classical : bool
    sizes : tuple of int
        Unknowns of the levels.
    complexity : float
        Entries of all levels over those of A.
    """

    def __init__(self, options: AlgebraicMultigrid, matrix: Matrix, cells: Any, system: LinearSystem) -> None:
        n = len(system.b)
        super().__init__(system.dtype, (n, n))
        self.options, self.matrix, self.cells = options, matrix, cells
        positive = bool((matrix.data > 0).sum() > matrix.shape[0])  # more than the diagonal
        self.classical = not positive if options.classical is None else options.classical
        solver = _build(options, self.classical, matrix, cells, system)
        self.sizes = tuple(int(level.A.shape[0]) for level in solver.levels)
        self.complexity = float(solver.operator_complexity())
        self._cycle = solver.aspreconditioner(cycle="V")

    def __repr__(self) -> str:
        kind = "Ruge-Stueben" if self.classical else "smoothed aggregation"
        sizes = ", ".join(str(size) for size in self.sizes)
        return f"<AlgebraicHierarchy, {kind}: {sizes} unknowns, complexity {self.complexity:.2f}>"

    def fits(self, options: AlgebraicMultigrid, matrix: Matrix, cells: Any, system: LinearSystem) -> bool:
        """Whether this is the hierarchy of the same matrix by the same options. Cost: one pass over the entries."""
        mine = self.matrix
        return bool(
            options == self.options
            and self.shape[0] == len(system.b)
            and mine.nnz == matrix.nnz
            and self.dtype == system.dtype
            and np.array_equal(mine.indptr, matrix.indptr)
            and np.array_equal(mine.indices, matrix.indices)
            and np.array_equal(mine.data, matrix.data)
            and _same(self.cells, cells)
        )

    def _matvec(self, r: Array) -> Array:
        r = np.asarray(r, dtype=np.float64).ravel()
        z = np.zeros(self.shape[0], self.dtype)
        z[self.cells] = self._cycle(r[self.cells])
        return z

    def _adjoint(self) -> AlgebraicHierarchy:
        return self

    def _transpose(self) -> AlgebraicHierarchy:
        return self


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, slice) or isinstance(b, slice):
        return type(a) is type(b)
    return bool(np.array_equal(a, b))


def _reduced(system: LinearSystem) -> tuple[Matrix, Any]:
    """Return A without empty rows, as PyAMG wants it, and the indices of the unknowns that are left."""
    A, cells = system.A, slice(None)
    if system.on_grid:
        A, cells = A.compress(), A.cells()
    elif hasattr(A, "tocsr"):
        A = A.tocsr()
    elif not isinstance(A, np.ndarray):
        raise ProblemError(f"AlgebraicMultigrid needs the entries of A; A is a {type(A).__name__}")
    matrix = sp.csr_matrix(A, dtype=np.float64)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    filled = np.diff(matrix.indptr) > 0  # a cell walled in on all sides is a component of its own
    if not filled.all():
        matrix, cells = matrix[filled][:, filled], np.arange(len(system.b))[cells][filled]
    if matrix.nnz < np.iinfo(np.int32).max:
        matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    lowest = matrix.diagonal().min(initial=np.inf)
    if not 0 < lowest < np.inf:
        raise ProblemError(
            f"AlgebraicMultigrid needs a positive diagonal; A has {lowest if filled.any() else 0:.3e} on it"
        )
    difference = abs(matrix - matrix.T).max()
    if difference > 1e-6 * abs(matrix.data).max():
        raise ProblemError(f"AlgebraicMultigrid needs a symmetric A; A and A^T differ by {difference:.3e}")
    return matrix, cells


def _build(options: AlgebraicMultigrid, classical: bool, matrix: Matrix, cells: Any, system: LinearSystem) -> Any:
    try:
        import pyamg
    except ImportError:
        raise BackendError("AlgebraicMultigrid needs PyAMG: pip install 'resolvent[amg]'") from None
    with _seeded():
        if classical:
            return pyamg.ruge_stuben_solver(matrix, max_levels=options.levels, max_coarse=options.coarsest)
        constants = np.ones((matrix.shape[0], 1))
        vectors = system.null_space
        near = vectors.T[cells].astype(np.float64) if isinstance(vectors, np.ndarray) else constants
        return pyamg.smoothed_aggregation_solver(matrix, B=near, max_levels=options.levels, max_coarse=options.coarsest)


@contextmanager
def _seeded() -> Iterator[None]:
    """Inside, NumPy's global generator, which PyAMG draws from, is seeded; after it, it is as it was."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
