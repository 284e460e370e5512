"""Factorisations of symmetric indefinite matrices that tell the number of negative eigenvalues.

Dense: LAPACK's L D L^T with Bunch-Kaufman pivots. Sparse: SuperLU in its symmetric mode, which pivots on the diagonal
of the equilibrated matrix. When no other pivot was taken, U = D L^T, and by Sylvester's law the signs of D are those
of the eigenvalues. Diagonal pivots can be small, so that a solution is refined with products of the matrix.

Reference: X. S. Li, An overview of SuperLU, ACM Trans. Math. Software 31 (2005) 302-325; J. R. Bunch and L. Kaufman,
Math. Comp. 31 (1977) 163-179.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from scipy.linalg import get_lapack_funcs
from scipy.sparse.linalg import splu

from resolvent.solvers.linear.equilibration import equilibrate, scaled
from resolvent.typing import Array, Matrix

__all__ = ["SymmetricFactor", "factorise"]


class SymmetricFactor(Protocol):
    """A factorisation.

    Attributes
    ----------
    negative : int or None
        Number of negative eigenvalues, None where unknown.
    singular : bool
        A pivot is zero, or as small as rounding.
    work : float
        Flops, estimated from the fill.
    """

    negative: int | None
    singular: bool
    work: float

    def solve(self, b: Array) -> Array:
        """Return the solution of A z = b."""


def factorise(A: Matrix, *, diagonal_pivots: bool = True) -> SymmetricFactor:
    """Factor a symmetric matrix.

    Parameters
    ----------
    A : array or CSR matrix (n, n)
    diagonal_pivots : bool
        For sparse matrices: pivot on the diagonal, for the sake of `negative`; else for stability.
    """
    return SparseFactor(A, diagonal_pivots) if sp.issparse(A) else DenseFactor(A)


class DenseFactor:
    """Bunch-Kaufman. Work: n^3 / 3 flops."""

    def __init__(self, A: Array) -> None:
        trf, lwork = get_lapack_funcs(("sytrf", "sytrf_lwork"), (A,))
        n = len(A)
        size = int(lwork(n, lower=1)[0])
        self._factor, self._pivots, _ = trf(A, lower=1, lwork=size)
        self.work = n**3 / 3
        D = np.diagonal(self._factor)
        single = self._pivots > 0
        pairs = int((~single).sum()) // 2  # a 2 x 2 pivot has one eigenvalue of each sign
        self.negative: int | None = int((D[single] < 0).sum()) + pairs
        size_of_pivots = np.abs(D).max(initial=0)
        tiny = n * np.finfo(A.dtype).eps * size_of_pivots
        self.singular = bool((np.abs(D[single]) <= tiny).any())

        self._solve: Callable[[Array], Array]
        try:
            (trs,) = get_lapack_funcs(("sytrs",), (A,))
            self._solve = lambda b: trs(self._factor, self._pivots, b, lower=1)[0]
        except ValueError:  # older SciPy has it only together with the factorisation, which is made again
            (sv,) = get_lapack_funcs(("sysv",), (A,))
            self._solve = lambda b: sv(A, b, lower=1)[2]

    def solve(self, b: Array) -> Array:
        z: Array = self._solve(b)
        return z


class SparseFactor:
    """SuperLU of the equilibrated matrix. Work: about nnz(L + U)^2 / (2 n) flops."""

    def __init__(self, A: Any, diagonal_pivots: bool) -> None:
        rows, _ = equilibrate(A, 3)
        S = scaled(A, rows, rows)
        columns = sp.csc_matrix(
            (S.data.astype(np.float64, copy=False), S.indices, S.indptr), shape=S.shape
        )  # symmetric: CSR is CSC
        self._scale = rows
        self._lu = None
        self.negative: int | None = None
        self.singular = False
        self.work = 0.0
        try:
            if diagonal_pivots:
                options = {"SymmetricMode": True}
                self._lu = splu(columns, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
            else:
                self._lu = splu(columns)
        except RuntimeError:  # SuperLU: "Factor is exactly singular"
            self.singular = True
            return
        self.work = self._lu.nnz**2 / (2 * A.shape[0])
        if diagonal_pivots and np.array_equal(self._lu.perm_r, self._lu.perm_c):
            self.negative = int((self._lu.U.diagonal() < 0).sum())

    def solve(self, b: Array) -> Array:
        if self._lu is None:
            return np.full_like(b, np.nan)
        z = self._lu.solve((b * self._scale).astype(np.float64, copy=False)).astype(b.dtype, copy=False)
        scaled_back: Array = self._scale * z
        return scaled_back
