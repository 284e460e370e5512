"""Sparse equality-constrained problems of any size, with fixed sparsity patterns."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from resolvent.problems.checks import require_size
from resolvent.problems.library.unconstrained import (
    rosenbrock_curvature,
    rosenbrock_gradient,
    rosenbrock_start,
    rosenbrock_value,
    tridiagonal,
)
from resolvent.problems.nlp import NLP
from resolvent.typing import Array, Matrix

__all__ = ["dtoc5", "lukvle1"]


def lukvle1(n: int = 1000) -> NLP:
    """Return the chained Rosenbrock function with trigonometric-exponential constraints.

    min sum_{i<n} 100 (x_i^2 - x_{i+1})^2 + (x_i - 1)^2 subject to, for k = 1, ..., n - 2, ::

        3 x_{k+1}^3 + 2 x_{k+2} - 5 + sin(x_{k+1} - x_{k+2}) sin(x_{k+1} + x_{k+2}) + 4 x_{k+1}
            - x_k exp(x_k - x_{k+1}) - 3 = 0

    f* = 0 at x* = (1, ..., 1); solvers that start at x0 usually end at a local minimum, 6.232458632 for large n. The
    Jacobian has three entries a row, the Hessian of the Lagrangian is tridiagonal.

    L. Luksan, J. Vlcek, "Sparse and partially separable test problems for unconstrained and equality constrained
    optimization", report 767, Institute of Computer Science, Academy of Sciences of the Czech Republic, 1999, problem
    5.1.

    Parameters
    ----------
    n : int
        Number of variables, at least 3.
    """
    require_size(n, "n", 3)
    m = n - 2
    columns = (np.arange(m, dtype=np.int32)[:, None] + np.arange(3, dtype=np.int32)).ravel()
    starts = 3 * np.arange(m + 1, dtype=np.int32)

    def constraint(x: Array) -> Array:
        a, b, c = x[:-2], x[1:-1], x[2:]
        values: Array = 3 * b**3 + 2 * c - 8 + np.sin(b - c) * np.sin(b + c) + 4 * b - a * np.exp(a - b)
        return values

    def jacobian(x: Array) -> Matrix:
        a, b, c = x[:-2], x[1:-1], x[2:]
        e = np.exp(a - b)
        entries = np.stack([-(1 + a) * e, 9 * b**2 + np.sin(2 * b) + 4 + a * e, 2 - np.sin(2 * c)], axis=1)
        return sp.csr_array((entries.ravel(), columns, starts), shape=(m, n))

    def lagrangian_hessian(x: Array, y: Array, sigma: float = 1.0) -> Matrix:
        a, b, c = x[:-2], x[1:-1], x[2:]
        e = np.exp(a - b)
        diagonal, below = (sigma * part for part in rosenbrock_curvature(x))
        diagonal[:-2] -= y * (2 + a) * e
        diagonal[1:-1] += y * (18 * b + 2 * np.cos(2 * b) - a * e)
        diagonal[2:] -= y * 2 * np.cos(2 * c)
        below[:-1] += y * (1 + a) * e
        return tridiagonal(diagonal, below)

    return NLP(
        name="LUKVLE1",
        n=n,
        m=m,
        x0=rosenbrock_start(n),
        objective=rosenbrock_value,
        gradient=rosenbrock_gradient,
        constraint=constraint,
        jacobian=jacobian,
        lagrangian_hessian=lagrangian_hessian,
        constraint_lower=0.0,
        constraint_upper=0.0,
    )


def dtoc5(periods: int = 500) -> NLP:
    """Return a convex optimal control problem in discrete time with one control u and one state v.

    min (1/N) sum_{t<N} u_t^2 + v_t^2 subject to v_{t+1} = v_t + (v_t^2 - u_t) / N, t = 1, ..., N - 1, v_1 = 1.

    The unknowns are u_1, ..., u_{N-1}, v_2, ..., v_N: n = 2 N - 2, m = N - 1. (CUTEst counts the fixed v_1 too.) The
    Hessian of the Lagrangian is diagonal.

    T. F. Coleman, A. Liao, "An efficient trust region method for unconstrained discrete-time optimal control problems",
    Computational Optimization and Applications 4, 47-66, 1995, problem 5.

    Parameters
    ----------
    periods : int
        The number N of time periods, at least 2.
    """
    require_size(periods, "periods", 2)
    m = periods - 1
    h = 1 / periods
    step = np.arange(m, dtype=np.int32)
    # Row t of the Jacobian: u_t, v_t (absent for the given v_1), v_{t+1}.
    columns = np.stack([step, m - 1 + step, m + step], axis=1).ravel()
    columns = np.delete(columns, 1)
    starts = np.clip(3 * np.arange(m + 1, dtype=np.int32) - 1, 0, None)
    pattern = np.arange(2 * m + 1, dtype=np.int32)

    def split(x: Array) -> tuple[Array, Array]:
        """Return u (m,) and v_1, ..., v_N (m + 1,)."""
        return x[:m], np.concatenate([np.ones(1, x.dtype), x[m:]])

    def gradient(x: Array) -> Array:
        slope = 2 * h * x
        slope[-1] = 0
        return slope

    def objective(x: Array) -> float:
        u, v = split(x)
        return float(h * (u @ u + v[:-1] @ v[:-1]))

    def constraint(x: Array) -> Array:
        u, v = split(x)
        return v[:-1] - v[1:] + h * (v[:-1] ** 2 - u)

    def jacobian(x: Array) -> Matrix:
        entries = np.empty((m, 3), x.dtype)
        entries[:, 0], entries[1:, 1], entries[:, 2] = -h, 1 + 2 * h * x[m:-1], -1
        return sp.csr_array((np.delete(entries.ravel(), 1), columns, starts), shape=(m, 2 * m))

    def lagrangian_hessian(x: Array, y: Array, sigma: float = 1.0) -> Matrix:
        diagonal = np.full_like(x, 2 * h * sigma)
        diagonal[m:-1] += 2 * h * y[1:]
        diagonal[-1] = 0
        return sp.csr_array((diagonal, pattern[:-1], pattern), shape=(2 * m, 2 * m))

    return NLP(
        name="DTOC5",
        n=2 * m,
        m=m,
        x0=np.zeros(2 * m),
        objective=objective,
        gradient=gradient,
        constraint=constraint,
        jacobian=jacobian,
        lagrangian_hessian=lagrangian_hessian,
        constraint_lower=0.0,
        constraint_upper=0.0,
    )
