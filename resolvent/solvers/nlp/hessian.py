"""The Hessian of the Lagrangian in the best form that a problem offers.

Given as a matrix it is used as it is. Given as products, or not at all, it is built column by column up to n = 200,
and beyond that stays an operator. Without any second derivative a product is a forward difference of
g_L = grad f + G^T y, at the price of one gradient and one Jacobian:

    H v ~ [ g_L(x + h v, y) - g_L(x, y) ] / h,      h = sqrt(eps) (1 + norm2(x)) / norm2(v)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from resolvent.arrays import norm2
from resolvent.problems.nlp import NLP
from resolvent.typing import Array

__all__ = ["as_matrix", "lagrangian_hessian"]

EXPLICIT_ORDER = 200


def as_matrix(A: Any) -> Any:
    """Return a dense array or a CSR matrix."""
    if sp.issparse(A):
        return A if A.format == "csr" else sp.csr_array(A)
    return A


def lagrangian_hessian(problem: NLP, x: Array, y: Array, lagrangian_gradient: Array) -> Any:
    """Return H(x, y) as an array, a CSR matrix or an operator.

    Parameters
    ----------
    problem : NLP
    x, y : array (n,), array (m,)
    lagrangian_gradient : array (n,)
        At (x, y), for the differences.
    """
    if problem.lagrangian_hessian is not None:
        return as_matrix(problem.lagrangian_hessian(x, y))

    def product(v: Array) -> Array:
        v = np.ravel(v)
        if problem.lagrangian_hessp is not None:
            return problem.lagrangian_hessp(x, y, v)
        return _difference(problem, x, y, lagrangian_gradient, v)

    n = problem.n
    if n > EXPLICIT_ORDER:
        return LinearOperator((n, n), matvec=product, dtype=problem.dtype)
    H = np.empty((n, n), problem.dtype)
    unit = np.zeros(n, problem.dtype)
    for j in range(n):
        unit[j] = 1
        H[:, j] = product(unit)
        unit[j] = 0
    return 0.5 * (H + H.T)


def _difference(problem: NLP, x: Array, y: Array, lagrangian_gradient: Array, v: Array) -> Array:
    size = norm2(v)
    if size == 0:
        return np.zeros_like(v)
    h = float(np.sqrt(np.finfo(problem.dtype).eps)) * (1 + norm2(x)) / size
    there = (x + h * v).astype(problem.dtype, copy=False)
    gradient = problem.gradient(there)
    if problem.m:
        assert problem.jacobian is not None
        gradient = gradient + as_matrix(problem.jacobian(there)).T @ y
    return ((gradient - lagrangian_gradient) / h).astype(problem.dtype, copy=False)
