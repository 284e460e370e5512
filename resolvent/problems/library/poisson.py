"""Poisson's equation on the unit square or cube."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from resolvent.errors import ProblemError
from resolvent.problems.checks import require_size
from resolvent.problems.linear import LinearSystem
from resolvent.typing import Array

__all__ = ["manufactured", "poisson"]


def poisson(k: int = 32, dims: int = 2) -> LinearSystem:
    """Return -Laplace u = f with u = 0 on the walls, in k cells a side: three, five or seven points.

    The unknowns are the values at the centres of the cells of width h = 1 / k, flat in C order. A wall stands on the
    face of its cell, half a width from the centre, so that a cell there has 3 / h^2 per wall where an inner cell has
    2 / h^2 per axis. The right-hand side is A u for u = `manufactured(k, dims)`, the solution.

    Parameters
    ----------
    k : int
        Cells along each axis.
    dims : int
        1, 2 or 3.

    Returns
    -------
    LinearSystem
        Of order k^dims, A a CSR array, with `spd` and `grid`.

    Examples
    --------
    >>> from resolvent.problems.library.poisson import manufactured, poisson
    >>> system = poisson(8)
    >>> system.grid, bool(system.residual(manufactured(8)) < 1e-12)
    ((8, 8), True)
    """
    u = manufactured(k, dims)
    diagonal = np.full(k, 2.0)
    diagonal[0] += 1
    diagonal[-1] += 1
    axis = sp.diags_array([-np.ones(k - 1), diagonal, -np.ones(k - 1)], offsets=[-1, 0, 1]) * float(k) ** 2
    A = sp.csr_array(axis)
    for _ in range(dims - 1):
        A = sp.kronsum(axis, A, format="csr")
    A = sp.csr_array(A)
    return LinearSystem(A, A @ u, spd=True, grid=(k,) * dims, name=f"POISSON {'x'.join([str(k)] * dims)}")


def manufactured(k: int = 32, dims: int = 2) -> Array:
    """Return exp(x_1) prod_i x_i (1 - x_i) at the centres of k cells a side, flat in C order: shape (k^dims,)."""
    require_size(k, "k", 1)
    if dims not in (1, 2, 3):
        raise ProblemError(f"dims is {dims!r}, expected 1, 2 or 3")
    x = (np.arange(k) + 0.5) / k
    u = np.exp(x) * x * (1 - x)
    for _ in range(dims - 1):
        u = np.multiply.outer(u, x * (1 - x))
    return u.ravel()
