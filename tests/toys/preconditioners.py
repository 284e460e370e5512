"""Setup objects for Krylov solvers: Jacobi, and a two-grid hierarchy that is updated for the next system."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from resolvent import arrays

__all__ = ["Jacobi", "TwoGrid"]


@dataclass(frozen=True)
class Jacobi:
    """Options without options: division by the diagonal, for arrays of any library and sparse matrices."""

    def setup(self, system, previous=None):
        A = system.A
        diagonal = A.diagonal() if hasattr(A, "diagonal") else arrays.namespace(A).linalg.diagonal(A)
        return lambda r: r / diagonal


@dataclass(frozen=True)
class TwoGrid:
    """One Jacobi sweep, a coarse solve on aggregates of `size` neighbours, and one Jacobi sweep again."""

    size: int = 4

    def setup(self, system, previous=None):
        if isinstance(previous, Hierarchy) and len(previous.diagonal) == len(system.b):
            return previous.update(system)
        return Hierarchy(self, system)


class Hierarchy:
    """M^-1 for the preconditioner M. Mutable: `update(system)` keeps the arrays."""

    def __init__(self, options, system):
        n = len(system.b)
        coarse = np.arange(n) // options.size
        self.P = sp.csr_array((np.ones(n, system.dtype), (np.arange(n), coarse)), shape=(n, coarse[-1] + 1))
        self.diagonal = np.empty(n, system.dtype)
        self.updates = 0
        self.update(system)

    def update(self, system):
        self.system = system
        self.diagonal[:] = system.A.diagonal()
        self.factor = splu(sp.csc_matrix(self.P.T @ (system.A @ self.P)))
        self.updates += 1
        return self

    def __matmul__(self, v):
        x = 0.7 * v / self.diagonal
        x = x + self.P @ self.factor.solve(self.P.T @ (v - self.system.apply(x)))
        return x + 0.7 * (v - self.system.apply(x)) / self.diagonal
