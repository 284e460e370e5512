"""Smooth unconstrained problems of any size, with sparse Hessians of fixed pattern."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from resolvent.errors import ProblemError
from resolvent.problems.checks import require_size
from resolvent.problems.smooth import SmoothProblem
from resolvent.typing import Array, Matrix

__all__ = [
    "broyden_tridiagonal",
    "powell_singular",
    "rosenbrock",
    "rosenbrock_curvature",
    "rosenbrock_gradient",
    "rosenbrock_start",
    "rosenbrock_value",
    "tridiagonal",
]


def rosenbrock(n: int = 2) -> SmoothProblem:
    """Return the chained Rosenbrock function: min sum_{i<n} 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2.

    f* = 0 at x* = (1, ..., 1). For n = 4 to 30 there is a local minimum near (-1, 1, ..., 1) too. The Hessian is
    tridiagonal.

    H. H. Rosenbrock, "An automatic method for finding the greatest or least value of a function", The Computer Journal
    3, 175-184, 1960.

    Parameters
    ----------
    n : int
        Number of variables, at least 2.

    Examples
    --------
    >>> from resolvent.problems.library.unconstrained import rosenbrock
    >>> problem = rosenbrock(4)
    >>> problem.objective(problem.x0)
    532.4
    """
    require_size(n, "n", 2)
    return SmoothProblem(
        name="ROSENBROCK",
        n=n,
        x0=rosenbrock_start(n),
        objective=rosenbrock_value,
        gradient=rosenbrock_gradient,
        hessian=lambda x: tridiagonal(*rosenbrock_curvature(x)),
    )


def rosenbrock_start(n: int) -> Array:
    """Return (-1.2, 1, -1.2, 1, ...) of length n."""
    return np.where(np.arange(n) % 2 == 0, -1.2, 1.0)


def rosenbrock_value(x: Array) -> float:
    """Return the chained Rosenbrock function."""
    steep, slow = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    return float(100 * (steep @ steep) + slow @ slow)


def rosenbrock_gradient(x: Array) -> Array:
    """Return the gradient (n,) of the chained Rosenbrock function."""
    steep = 200 * (x[1:] - x[:-1] ** 2)
    gradient = np.zeros_like(x)
    gradient[1:] = steep
    gradient[:-1] -= 2 * x[:-1] * steep + 2 * (1 - x[:-1])
    return gradient


def rosenbrock_curvature(x: Array) -> tuple[Array, Array]:
    """Return the diagonal (n,) and the subdiagonal (n - 1,) of the Hessian of the chained Rosenbrock function."""
    diagonal = np.zeros_like(x)
    diagonal[1:] = 200
    diagonal[:-1] += 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    return diagonal, -400 * x[:-1]


def tridiagonal(diagonal: Array, below: Array) -> Matrix:
    """Return the symmetric tridiagonal matrix with the given diagonal (n,) and subdiagonal (n - 1,) as a CSR array."""
    n = len(diagonal)
    entries = np.empty((n, 3), dtype=diagonal.dtype)
    entries[1:, 0], entries[:, 1], entries[:-1, 2] = below, diagonal, below
    columns = np.arange(n, dtype=np.int32)[:, None] + np.arange(-1, 2, dtype=np.int32)
    starts = np.clip(3 * np.arange(n + 1, dtype=np.int32) - 1, 0, 3 * n - 2)
    return sp.csr_array((entries.ravel()[1:-1], columns.ravel()[1:-1], starts), shape=(n, n))


def powell_singular(n: int = 4) -> SmoothProblem:
    """Return Powell's singular function, once for each four variables.

    min sum (x1 + 10 x2)^2 + 5 (x3 - x4)^2 + (x2 - 2 x3)^4 + 10 (x1 - x4)^4. f* = 0 at x* = 0, where the Hessian has
    half the rank: Newton's method converges linearly.

    M. J. D. Powell, "An iterative method for finding stationary values of a function of several variables", The
    Computer Journal 5, 147-151, 1962.

    Parameters
    ----------
    n : int
        Number of variables, a multiple of 4.
    """
    require_size(n, "n", 4)
    if n % 4:
        raise ProblemError(f"n is {n}, expected a multiple of 4")
    block = np.array([[1.0, 10, 0, 0], [0, 0, 1, -1], [0, 1, -2, 0], [1, 0, 0, -1]])
    A = sp.csr_array(sp.kron(sp.identity(n // 4), block))
    exponents, weights = np.tile([2, 2, 4, 4], n // 4), np.tile([1.0, 5.0, 1.0, 10.0], n // 4)

    def hessian(x: Array) -> Matrix:
        curvature = weights * exponents * (exponents - 1) * (A @ x) ** (exponents - 2)
        return sp.csr_array(A.T @ sp.diags_array(curvature) @ A).astype(x.dtype)

    return SmoothProblem(
        name="POWELL SINGULAR",
        n=n,
        x0=np.tile([3.0, -1.0, 0.0, 1.0], n // 4),
        objective=lambda x: float(weights @ (A @ x) ** exponents),
        gradient=lambda x: (A.T @ (weights * exponents * (A @ x) ** (exponents - 1))).astype(x.dtype),
        hessian=hessian,
    )


def broyden_tridiagonal(n: int = 100) -> SmoothProblem:
    """Return Broyden's tridiagonal equations as least squares.

    min sum_i ((3 - 2 x_i) x_i - x_{i-1} - 2 x_{i+1} + 1)^2 with x_0 = x_{n+1} = 0. f* = 0; the Hessian has five
    diagonals.

    J. J. More, B. S. Garbow, K. E. Hillstrom, "Testing unconstrained optimization software", ACM Transactions on
    Mathematical Software 7, 17-41, 1981, problem 30.

    Parameters
    ----------
    n : int
        Number of variables, at least 2.
    """
    require_size(n, "n", 2)
    neighbours = sp.diags_array([np.ones(n - 1), 2 * np.ones(n - 1)], offsets=[-1, 1], format="csr")

    def equations(x: Array) -> Array:
        values: Array = (3 - 2 * x) * x - neighbours @ x + 1
        return values

    def jacobian(x: Array) -> Matrix:
        return sp.csr_array(sp.diags_array(3 - 4 * x) - neighbours)

    def hessian(x: Array) -> Matrix:
        J = jacobian(x)
        return sp.csr_array(2 * (J.T @ J) - sp.diags_array(8 * equations(x))).astype(x.dtype)

    return SmoothProblem(
        name="BROYDEN TRIDIAGONAL",
        n=n,
        x0=np.full(n, -1.0),
        objective=lambda x: float(equations(x) @ equations(x)),
        gradient=lambda x: (2 * jacobian(x).T @ equations(x)).astype(x.dtype),
        hessian=hessian,
    )
