"""Small nonlinear programs from formulas in their coordinates.

A problem of the literature is an objective and a set of constraints, each with its derivatives. Their formulas take
the coordinates one by one, `lambda x1, x2: ...`, so that they look like the printed ones, and second derivatives are
dictionaries of the entries that do not vanish, `{(1, 2): ...}` for the derivative by x1 and x2, with row <= column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from resolvent.problems.nlp import NLP
from resolvent.typing import Array, Matrix

__all__ = ["Constraints", "Objective", "constant", "constraints", "linear", "nlp", "objective", "powers", "product"]

Entries = dict[tuple[int, int], float]
"""Entries of a symmetric matrix: (row, column) -> value, counted from 1, row <= column."""


class Objective(NamedTuple):
    """f(x), its gradient (n,) and its Hessian (n, n)."""

    value: Callable[[Array], float]
    gradient: Callable[[Array], Any]
    hessian: Callable[[Array], Matrix]


class Constraints(NamedTuple):
    """c(x) (m,), its Jacobian (m, n) and its curvature: sum_i y_i Hess c_i(x), None where all c_i are linear."""

    value: Callable[[Array], Any]
    jacobian: Callable[[Array], Any]
    curvature: Callable[[Array, Array], Matrix] | None


def nlp(
    name: str,
    x0: Sequence[float],
    f: Objective,
    c: Constraints | None = None,
    *,
    lower: Any = None,
    upper: Any = None,
    constraint_lower: Any = 0.0,
    constraint_upper: Any = 0.0,
    y0: Any = None,
) -> NLP:
    """Return min f(x) subject to constraint_lower <= c(x) <= constraint_upper and lower <= x <= upper.

    Without further bounds the constraints are the equations c(x) = 0. The values have the dtype of x.
    """
    if c is None:
        return NLP(
            name=name,
            n=len(x0),
            x0=x0,
            objective=f.value,
            gradient=lambda x: np.asarray(f.gradient(x), x.dtype),
            lagrangian_hessian=lambda x, y, sigma=1.0: np.asarray(sigma * f.hessian(x), x.dtype),
            lower=lower,
            upper=upper,
        )

    def lagrangian_hessian(x: Array, y: Array, sigma: float = 1.0) -> Array:
        hessian = sigma * f.hessian(x)
        return np.asarray(hessian if c.curvature is None else hessian + c.curvature(x, y), x.dtype)

    return NLP(
        name=name,
        n=len(x0),
        m=len(c.value(np.asarray(x0, dtype=np.float64))),
        x0=x0,
        y0=y0,
        objective=f.value,
        gradient=lambda x: np.asarray(f.gradient(x), x.dtype),
        constraint=lambda x: np.asarray(c.value(x), x.dtype),
        jacobian=lambda x: np.asarray(c.jacobian(x), x.dtype),
        lagrangian_hessian=lagrangian_hessian,
        lower=lower,
        upper=upper,
        constraint_lower=constraint_lower,
        constraint_upper=constraint_upper,
    )


def objective(
    value: Callable[..., float],
    gradient: Callable[..., Sequence[float]],
    hessian: Callable[..., Entries],
) -> Objective:
    """Return an objective from formulas in x1, ..., xn."""
    return Objective(
        lambda x: _evaluate(value, x),
        lambda x: _evaluate(gradient, x),
        lambda x: _symmetric(_evaluate(hessian, x), len(x)),
    )


def constraints(
    value: Callable[..., Sequence[float]],
    jacobian: Callable[..., Sequence[Sequence[float]]],
    curvature: Callable[..., Entries],
) -> Constraints:
    """Return constraints from formulas in x1, ..., xn; those of `curvature` take y1, ..., ym too, after x."""
    return Constraints(
        lambda x: _evaluate(value, x),
        lambda x: _evaluate(jacobian, x),
        lambda x, y: _symmetric(_evaluate(curvature, np.concatenate([x, y])), len(x)),
    )


def constant(value: float, n: int) -> Objective:
    """Return the objective `value`, the same everywhere: the problem is to solve its constraints."""
    return Objective(lambda x: value, lambda x: np.zeros(n), lambda x: np.zeros((n, n)))


def product(weight: float, factors: int, n: int) -> Objective:
    """Return weight x_1 x_2 ... x_factors, a function of n variables."""

    def rest(x: Array, *left_out: int) -> float:
        values = x[:factors].tolist()
        return weight * float(prod(value for i, value in enumerate(values) if i not in left_out))

    return Objective(
        lambda x: rest(x),
        lambda x: [rest(x, i) for i in range(factors)] + [0.0] * (n - factors),
        lambda x: _symmetric({(i + 1, j + 1): rest(x, i, j) for j in range(factors) for i in range(j)}, n),
    )


def powers(rows: Any, offsets: Any = 0.0, exponents: Any = 2, weights: Any = 1.0) -> Objective:
    """Return sum_k w_k (a_k^T x - b_k)^(p_k): a sum of powers of linear functions.

    Parameters
    ----------
    rows : array_like (k, n)
        The a_k.
    offsets, exponents, weights : array_like (k,) or number
        The b_k, the whole p_k >= 2 and the w_k.
    """
    A, p = np.array(rows, dtype=np.float64), np.broadcast_to(exponents, len(rows))
    b, w = np.broadcast_to(offsets, len(rows)), np.broadcast_to(weights, len(rows))
    return Objective(
        lambda x: float(w @ (A @ x - b) ** p),
        lambda x: (w * p * (A @ x - b) ** (p - 1)) @ A,
        lambda x: (A.T * (w * p * (p - 1) * (A @ x - b) ** (p - 2))) @ A,
    )


def linear(rows: Any, offsets: Any) -> Constraints:
    """Return the linear constraint functions A x - b."""
    A, b = np.array(rows, dtype=np.float64), np.array(offsets, dtype=np.float64)
    return Constraints(lambda x: A @ x - b, lambda x: A, None)


def _evaluate(formula: Callable[..., Any], x: Array) -> Any:
    """Call with Python floats, which are the fastest, or where those would raise, with numbers that go to inf."""
    try:
        return formula(*x.tolist())
    except OverflowError:
        with np.errstate(all="ignore"):
            return formula(*x.astype(np.float64))


def _symmetric(entries: Entries, n: int) -> Array:
    matrix = np.zeros((n, n))
    for (row, column), value in entries.items():
        matrix[row - 1, column - 1] = matrix[column - 1, row - 1] = value
    return matrix
