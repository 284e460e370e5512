"""The Newton system of an equality-constrained program, with its two regularisations.

::

    Gamma = [ H + t I    G^T     ]        b = -[ g_L ]        Gamma z = b,   z = (dx, dy)
            [ G         -delta I ]             [ c   ]

t (`shift`) makes H positive definite on the kernel of G, delta (`dual_shift`) stands for dependent rows of G. Both
stand on the diagonal and are changed in place. Dense where H and G are, where n + m <= 200 (a dense factorisation of
that order costs less than the bookkeeping of a sparse one), and where a fifth of Gamma is filled; else CSR with the
pattern computed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.typing import Array, Matrix

__all__ = ["NewtonSystem", "Pattern"]

DENSE_ORDER = 200
DENSE_SHARE = 0.2
"""The factors of a matrix with so many entries are full."""


@dataclass
class Pattern:
    """Where the entries of H, G and the diagonal go among those of Gamma (CSR); kept while the patterns stay."""

    indices: tuple[Array, Array, Array, Array]
    matrix_indices: Array
    matrix_indptr: Array
    hessian: Array
    jacobian: Array
    jacobian_transposed: Array
    diagonal: Array

    @classmethod
    def of(cls, H: Any, G: Any) -> Pattern:
        """Find it by sorting the places of all entries. Work: O(nnz log nnz)."""
        m, n = G.shape
        N = n + m
        hi, gi = _row_numbers(H), _row_numbers(G)
        diagonal = np.arange(N, dtype=np.int64)
        keys = (
            hi * N + H.indices,
            (gi + n) * N + G.indices,
            G.indices.astype(np.int64) * N + (gi + n),
            diagonal * N + diagonal,
        )
        places = np.unique(np.concatenate(keys))
        rows, columns = places // N, places % N
        indptr = np.searchsorted(rows, np.arange(N + 1))
        found = [np.searchsorted(places, key) for key in keys]
        return cls(
            (H.indices, H.indptr, G.indices, G.indptr),
            columns.astype(np.int32),
            indptr.astype(np.int32),
            *found,
        )

    def fits(self, H: Any, G: Any) -> bool:
        """Whether H and G have the patterns that this one was made for."""
        parts = (H.indices, H.indptr, G.indices, G.indptr)
        return all(a is b or np.array_equal(a, b) for a, b in zip(self.indices, parts, strict=True))


def _row_numbers(A: Any) -> Array:
    return np.repeat(np.arange(A.shape[0], dtype=np.int64), np.diff(A.indptr))


def _entries(A: Any) -> int:
    return int(A.nnz if sp.issparse(A) else A.size)


class NewtonSystem:
    """Gamma and b at one point.

    Parameters
    ----------
    H : array, CSR matrix or operator (n, n)
        An operator has only products; then so has Gamma, and `matrix` is None.
    G : array or CSR matrix (m, n)
    b : array (n + m,)
    pattern : Pattern, optional
        Of an earlier point, used where it fits.

    Attributes
    ----------
    matrix : array, CSR matrix or None
        Gamma with the present shifts.
    shift, dual_shift : float
        t and delta.
    """

    def __init__(self, H: Any, G: Any, b: Array, pattern: Pattern | None = None) -> None:
        self.H, self.G, self.b = H, G, b
        self.m, self.n = G.shape
        self.order = self.n + self.m
        self.shift, self.dual_shift = 0.0, 0.0
        self.pattern = pattern
        self.matrix: Matrix | None
        if not (sp.issparse(H) or isinstance(H, np.ndarray)):
            self.matrix = None
        elif self.order <= DENSE_ORDER or _entries(H) + 2 * _entries(G) >= DENSE_SHARE * self.order**2:
            self.matrix = self._dense()
        else:
            self.matrix = self._sparse()

    def _dense(self) -> Array:
        n = self.n
        matrix = np.zeros((self.order, self.order), self.b.dtype)
        G = self.G.toarray() if sp.issparse(self.G) else self.G
        matrix[:n, :n] = self.H.toarray() if sp.issparse(self.H) else self.H
        matrix[n:, :n] = G
        matrix[:n, n:] = G.T
        self._diagonal = matrix.reshape(-1)[:: self.order + 1]
        self._base = self._diagonal.copy()
        return matrix

    def _sparse(self) -> Matrix:
        H, G = _canonical(self.H), _canonical(self.G)
        if self.pattern is None or not self.pattern.fits(H, G):
            self.pattern = Pattern.of(H, G)
        pattern = self.pattern
        data = np.zeros(len(pattern.matrix_indices), self.b.dtype)
        data[pattern.hessian] = H.data
        data[pattern.jacobian] = G.data
        data[pattern.jacobian_transposed] = G.data
        self._base = data[pattern.diagonal]
        return sp.csr_array((data, pattern.matrix_indices, pattern.matrix_indptr), shape=(self.order, self.order))

    @property
    def sparse(self) -> bool:
        """Whether Gamma is kept as a sparse matrix."""
        return bool(sp.issparse(self.matrix))

    @property
    def nnz(self) -> int:
        """Number of entries of Gamma that a product reads."""
        if self.matrix is None:
            return int(self.order + 2 * (self.G.nnz if sp.issparse(self.G) else self.G.size))
        return int(self.matrix.nnz) if self.sparse else self.order**2

    def regularise(self, shift: float, dual_shift: float) -> None:
        """Set t and delta. Work: O(n + m)."""
        self.shift, self.dual_shift = shift, dual_shift
        if self.matrix is None:
            return
        diagonal = self._base.copy()
        diagonal[: self.n] += shift
        diagonal[self.n :] -= dual_shift
        if self.sparse:
            assert self.pattern is not None
            self.matrix.data[self.pattern.diagonal] = diagonal
        else:
            self._diagonal[:] = diagonal

    def product(self, z: Array) -> Array:
        """Return Gamma z."""
        if self.matrix is not None:
            return self.matrix @ z  # type: ignore[no-any-return]
        n = self.n
        top = self.H @ z[:n] + self.shift * z[:n] + self.G.T @ z[n:]
        return np.concatenate([top, self.G @ z[:n] - self.dual_shift * z[n:]])

    def residual(self, z: Array) -> Array:
        """Return Gamma z - b."""
        return self.product(z) - self.b

    def curvature(self, z: Array) -> float:
        """Return dx^T (H + t I) dx."""
        dx = z[: self.n]
        return float(dx @ (self.H @ dx) + self.shift * (dx @ dx))


def _canonical(A: Any) -> Any:
    A = A if sp.issparse(A) and A.format == "csr" else sp.csr_array(A)
    if not A.has_canonical_format:
        A = A.copy()
        A.sum_duplicates()
    return A
