"""Preconditioners from the entries of A: its diagonal, incomplete factors, complete factors.

Each is options with ``setup(system, previous=None)``; what setup returns has ``@``, prints what it is, and is kept for
a matrix of the same entries.

Complete factors make a Krylov solver a direct one: it ends after one iteration with a residual that has been computed,
and a second one is iterative refinement. Dense matrices go through LAPACK (Cholesky where A is symmetric positive
definite, else LU), sparse ones through SuperLU. A matrix that is singular to rounding gets its pseudo-inverse, so that
a consistent system is solved and another one ends with the least residual.

Reference: X. S. Li, An overview of SuperLU, ACM Trans. Math. Software 31 (2005) 302-325.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from scipy.linalg import get_lapack_funcs, pinv
from scipy.sparse.linalg import LinearOperator, onenormest, spilu, splu

from resolvent.errors import ProblemError
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import is_number, require
from resolvent.typing import Array, Matrix

__all__ = ["Applied", "Factorisation", "IncompleteLU", "Jacobi", "entries", "same_entries"]

Solve: TypeAlias = Callable[[Array], Array]

PSEUDO_INVERSE = 3000
"""The largest order of a singular matrix that gets its pseudo-inverse, which takes some 20 n^3 flops."""


class Applied(LinearOperator):  # type: ignore[misc]
    """What a setup returns: ``applied @ r``, a SciPy LinearOperator that says what it is when it is printed."""

    def __init__(self, options: Any, matrix: Matrix, kind: str, function: Solve, dtype: Any) -> None:
        super().__init__(np.dtype(dtype), matrix.shape)
        self.options, self.matrix, self.kind, self._function = options, matrix, kind, function

    def __matmul__(self, r: Any) -> Any:
        return self._function(r) if getattr(r, "ndim", 0) == 1 else super().__matmul__(r)

    def _matvec(self, r: Array) -> Array:
        return self._function(np.ravel(r))

    def __repr__(self) -> str:
        return f"<{self.kind} of order {self.matrix.shape[0]}>"


@dataclass(frozen=True, kw_only=True)
class Jacobi:
    """Division by the absolute diagonal of A; a zero there counts as one. Positive definite for any A."""

    def setup(self, system: LinearSystem, previous: Any = None) -> Applied:
        """Return the preconditioner. Cost: one pass.

        Raises
        ------
        ProblemError
            The diagonal of A is not at hand.
        """
        if not hasattr(system.A, "diagonal"):
            raise ProblemError(f"Jacobi needs the diagonal of A; A is a {type(system.A).__name__}")
        diagonal = np.abs(np.asarray(system.A.diagonal(), dtype=system.dtype))
        inverse = 1 / np.where(diagonal > 0, diagonal, 1).astype(system.dtype)
        return Applied(self, system.A, "diagonal", lambda r: inverse * r, system.dtype)


@dataclass(frozen=True, kw_only=True)
class IncompleteLU:
    """Incomplete LU factors of a sparse matrix with a threshold, by SuperLU.

    Parameters
    ----------
    drop : float
        Entries below this part of the norm of their column are dropped.
    fill : float
        The factors have at most this many times the entries of A.
    """

    drop: float = 1e-4
    fill: float = 10.0

    def __post_init__(self) -> None:
        require(is_number(self.drop, above=0), "drop", self.drop, "a number > 0")
        require(is_number(self.fill, above=0), "fill", self.fill, "a number > 0")

    def setup(self, system: LinearSystem, previous: Any = None) -> Applied:
        """Return the factors.

        Raises
        ------
        ProblemError
            The entries of A are not at hand, or a pivot is zero.
        """
        A = sp.csc_matrix(entries(system))
        if _fits(previous, self, A):
            return previous  # type: ignore[no-any-return]
        try:
            factors = spilu(A, drop_tol=self.drop, fill_factor=self.fill)
        except RuntimeError as error:
            raise ProblemError(
                f"IncompleteLU met a zero pivot ({error}); A is singular, or drop is too large"
            ) from None
        kind = f"incomplete LU factors ({factors.nnz / max(A.nnz, 1):.1f} times the entries)"
        return Applied(self, A, kind, _cast(factors.solve, system.dtype), system.dtype)


@dataclass(frozen=True, kw_only=True)
class Factorisation:
    """Complete factors: the inverse of A to rounding, and with a Krylov solver around it a direct method."""

    def setup(self, system: LinearSystem, previous: Any = None) -> Applied:
        """Return the factors. Work: n^3 / 3 (Cholesky) or 2 n^3 / 3 flops; sparse, as the fill demands.

        Raises
        ------
        ProblemError
            The entries of A are not at hand, or A is singular and too large for its pseudo-inverse.
        """
        A = entries(system)
        if _fits(previous, self, A):
            return previous  # type: ignore[no-any-return]
        kind, solve, reciprocal = _sparse_factors(A) if sp.issparse(A) else _dense_factors(A)
        if solve is None or not reciprocal > A.shape[0] * np.finfo(np.float64).eps:
            kind, solve = "pseudo-inverse", _pseudo_inverse(A)
        return Applied(self, A, kind, _cast(solve, system.dtype), system.dtype)


def entries(system: LinearSystem) -> Matrix:
    """Return A as an array or a CSC matrix in float64.

    Raises
    ------
    ProblemError
        The entries of A are not at hand.
    """
    A = system.A
    if isinstance(A, np.ndarray):
        return np.asarray(A, dtype=np.float64)
    if not hasattr(A, "tocsc"):
        raise ProblemError(f"the entries of A are needed: got a {type(A).__name__}, expected an array or sparse matrix")
    matrix = sp.csc_matrix(A.tocsc(), dtype=np.float64)
    matrix.sum_duplicates()
    return matrix


def same_entries(A: Matrix, B: Matrix) -> bool:
    """Whether two matrices have the same entries, at the same places where they are sparse."""
    if sp.issparse(A) != sp.issparse(B) or A.shape != B.shape:
        return False
    parts = [(A, B)] if not sp.issparse(A) else [(A.indptr, B.indptr), (A.indices, B.indices), (A.data, B.data)]
    return all(np.array_equal(a, b) for a, b in parts)


def _fits(previous: Any, options: Any, A: Matrix) -> bool:
    return isinstance(previous, Applied) and previous.options == options and same_entries(previous.matrix, A)


def _cast(solve: Solve, dtype: Any) -> Solve:
    return lambda r: solve(np.asarray(r, dtype=np.float64)).astype(dtype, copy=False)


def _dense_factors(A: Array) -> tuple[str, Solve, float]:
    """Return the kind of the factors, the function that solves with them, and 1 / the condition number, estimated."""
    norm = float(np.abs(A).sum(axis=0).max(initial=0))
    if np.array_equal(A, A.T) and (np.diagonal(A) > 0).all():
        potrf, potrs, pocon = get_lapack_funcs(("potrf", "potrs", "pocon"), (A,))
        factor, info = potrf(A, lower=1)
        if info == 0:
            return "Cholesky factors", lambda r: potrs(factor, r, lower=1)[0], float(pocon(factor, norm, uplo="L")[0])
    getrf, getrs, gecon = get_lapack_funcs(("getrf", "getrs", "gecon"), (A,))
    lu, pivots, info = getrf(A)
    return "LU factors", lambda r: getrs(lu, pivots, r)[0], 0.0 if info else float(gecon(lu, norm)[0])


def _sparse_factors(A: Matrix) -> tuple[str, Solve | None, float]:
    try:
        factors = splu(A)
    except RuntimeError:  # SuperLU: "Factor is exactly singular"
        return "sparse LU factors", None, 0.0
    inverse = LinearOperator(
        A.shape, matvec=factors.solve, rmatvec=lambda r: factors.solve(r, trans="T"), dtype=np.float64
    )
    size = float(onenormest(inverse, t=1))  # with t = 1 it draws no random numbers
    return "sparse LU factors", factors.solve, 1 / (size * float(abs(A).sum(axis=0).max())) if size > 0 else 0.0


def _pseudo_inverse(A: Matrix) -> Solve:
    n = A.shape[0]
    if n > PSEUDO_INVERSE:
        raise ProblemError(
            f"A is singular to rounding, and of order {n} too large for its pseudo-inverse; a null_space in the "
            "LinearSystem makes an iterative solver work on the rest"
        )
    inverse = pinv(A.toarray() if sp.issparse(A) else A)
    return lambda r: inverse @ r
