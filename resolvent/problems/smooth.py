"""SmoothProblem: minimise a smooth function over a box."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from resolvent.problems.base import Problem, projected_gradient
from resolvent.problems.checks import read_bounds, require_ordered, require_shape, require_size
from resolvent.typing import Array

__all__ = ["SmoothProblem"]


@dataclass(kw_only=True, eq=False, repr=False)
class SmoothProblem(Problem):
    """min f(x) subject to lower <= x <= upper, f smooth.

    The certificate is x, the residual norm2( x - P(x - grad f(x)) ) with the projection P on the box, the scale 1.
    Without a gradient no residual is defined. The cost axis is max(objective, gradient).

    Parameters
    ----------
    n : int
        Number of variables.
    objective : callable
        `objective(x) -> float`, x of shape (n,).
    gradient : callable, optional
        `gradient(x) -> (n,)`.
    hessp : callable, optional
        `hessp(x, v) -> (n,)`, the Hessian times v.
    hessian : callable, optional
        `hessian(x) -> (n, n)`, dense or sparse, full symmetric.
    lower, upper : array_like (n,) or float, optional
        Bounds; absolute values from 1e20 up mean none.
    x0 : array_like (n,), optional
    name : str, optional
    dtype : optional
        float64 (default) or float32.

    Raises
    ------
    ProblemError
        For a missing function, inconsistent bounds, wrong shapes or non-finite data.

    Examples
    --------
    >>> from resolvent.problems import SmoothProblem
    >>> problem = SmoothProblem(n=2, objective=lambda x: float(x @ x), gradient=lambda x: 2 * x, lower=1.0)
    >>> problem.residual(problem.point([1.0, 1.0])[0])
    0.0
    """

    n: int
    objective: Callable[[Array], float]
    gradient: Callable[[Array], Array] | None = None
    hessp: Callable[[Array, Array], Array] | None = None
    hessian: Callable[[Array], Any] | None = None
    lower: Any = None
    upper: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_size(self.n, "n", 1)
        self.lower = read_bounds(self.lower, self.n, self.dtype, -np.inf, "lower")
        self.upper = read_bounds(self.upper, self.n, self.dtype, np.inf, "upper")
        require_ordered(self.lower, self.upper, "lower", "upper")
        require_shape(self.x0, (self.n,), "x0")
        self._wrap("objective", (), required=True)
        self._wrap("gradient", (self.n,))
        self._wrap("hessp", (self.n,))
        self._wrap("hessian", (self.n, self.n))

    def features(self) -> set[str]:
        bounded = np.isfinite(self.lower).any() or np.isfinite(self.upper).any()
        return {"bounds"} if bounded else set()

    def residual(self, x: Array) -> float | None:
        if self.gradient is None:
            return None
        return self.measure(x, self.gradient(x))

    def measure(self, x: Array, gradient: Array) -> float:
        """Return the residual from a gradient at hand, without a call of a user function."""
        return self.norm(projected_gradient(x, gradient, self.lower, self.upper))

    def point(self, x0: Any = None, y0: Any = None) -> tuple[Array, None]:
        x, _ = super().point(x0, y0)
        require_shape(x, (self.n,), "x0")
        return x, None

    def evaluations(self, counts: Mapping[str, int]) -> float:
        objective, gradient = counts.get("objective", 0), counts.get("gradient", 0)
        return gradient if gradient > objective else objective

    def identity(self) -> str:
        return f"{super().identity()} n={self.n}"
