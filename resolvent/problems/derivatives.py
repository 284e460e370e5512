"""check_derivatives: find the wrong function, and the wrong entry, among the derivatives that a user wrote.

For a function F with derivative F' and a direction d, the error of Taylor's formula

    e(h) = | F(x + h d) - F(x - h d) - 2 h F'(x) d |

falls like h^3 when F' is right (h^2 at a kink of F') and like h when it is not. The difference is central because a
curvature of F would hide small errors of F'. The slope of log e(h) is taken where e(h) stands clear of rounding,
separately for each component of F. For a component that fails, the wrong coordinate is found by bisection: the same
test along ever smaller parts of d.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.base import Problem
from resolvent.problems.nlp import NLP
from resolvent.problems.smooth import SmoothProblem
from resolvent.typing import Array

__all__ = ["DerivativeCheck", "DerivativeReport", "check_derivatives"]

STEPS = 10.0 ** np.arange(-1.0, -7.5, -0.5)
RIGHT_SLOPE = 1.5
"""Between 1 (a wrong derivative) and 2 or 3 (a right one)."""


@dataclass(frozen=True)
class DerivativeCheck:
    """The test of one function.

    Attributes
    ----------
    function : str
        The derivative that was tested.
    of : str
        The function that it should be the derivative of.
    slope : float
        Smallest slope of the Taylor error over the components: about 3 when right, 1 when wrong, inf where the error
        is rounding (linear and quadratic functions).
    ok : bool
    entry : tuple of int or None
        Where the first wrong entry stands.
    given, expected : float
        The entry as given, and by a central difference.
    """

    function: str
    of: str
    slope: float
    ok: bool
    entry: tuple[int, ...] | None = None
    given: float = np.nan
    expected: float = np.nan

    def __str__(self) -> str:
        text = f"{self.function:20s} of {self.of:12s} slope {self.slope:4.2f}  {'ok' if self.ok else 'WRONG'}"
        if self.entry is None:
            return text
        where = ", ".join(map(str, self.entry))
        return f"{text}: [{where}] is {self.given:.6g}, a difference quotient gives {self.expected:.6g}"


@dataclass(frozen=True)
class DerivativeReport:
    """All tests of a problem: `ok`, `checks`, and `str(report)` with one line each."""

    checks: tuple[DerivativeCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether every derivative passed."""
        return all(check.ok for check in self.checks)

    def __str__(self) -> str:
        return "\n".join(str(check) for check in self.checks)


def check_derivatives(problem: Problem, x: Any = None, *, rng: Any = 0) -> DerivativeReport:
    """Test every derivative that a problem gives, at one point along one random direction.

    Parameters
    ----------
    problem : NLP or SmoothProblem
    x : array_like (n,), optional
        Where to test; default the problem's x0 with a small random change, so that entries that vanish at x0 show.
    rng : int or Generator, optional
        For the direction and the multipliers.

    Returns
    -------
    DerivativeReport
        Some 30 evaluations a function, and 30 log2(n) more for one that is wrong. They count as ``check.*``.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import SmoothProblem, check_derivatives
    >>> wrong = SmoothProblem(
    ...     n=3, x0=[1.0, 2.0, 3.0], objective=lambda x: float(x @ x), gradient=lambda x: 2 * x + [0, 0.5, 0]
    ... )
    >>> print(check_derivatives(wrong))
    gradient             of objective    slope 1.00  WRONG: [1] is 4.49207, a difference quotient gives 3.99207
    """
    if not isinstance(problem, NLP | SmoothProblem):
        raise ProblemError(f"check_derivatives takes an NLP or a SmoothProblem, got {type(problem).__name__}")
    generator = np.random.default_rng(rng)
    point, _ = problem.point(x)
    if x is None:
        point = point + 0.01 * (1 + np.abs(point)) * generator.standard_normal(problem.n).astype(problem.dtype)
    direction = generator.standard_normal(problem.n).astype(problem.dtype)
    with problem.counted_as("check"):
        rows = _nlp_rows(problem, generator) if isinstance(problem, NLP) else _smooth_rows(problem)
        return DerivativeReport(tuple(_check(name, of, F, D, point, direction) for name, of, F, D in rows))


Row = tuple[str, str, Callable[[Array], Array], Callable[[Array, Array], Array]]
"""Name of the derivative, name of the function, F(x) -> (k,), F'(x) d -> (k,)."""


def _smooth_rows(p: SmoothProblem) -> Iterator[Row]:
    gradient, hessian, hessp = p.gradient, p.hessian, p.hessp
    if gradient is None:
        return
    yield (
        "gradient",
        "objective",
        lambda x: np.atleast_1d(p.objective(x)),
        lambda x, d: np.atleast_1d(gradient(x) @ d),
    )
    if hessian is not None:
        yield "hessian", "gradient", gradient, lambda x, d: hessian(x) @ d
    if hessp is not None:
        yield "hessp", "gradient", gradient, hessp


def _nlp_rows(p: NLP, rng: np.random.Generator) -> Iterator[Row]:
    constraint, jacobian, jvp, vjp = p.constraint, p.jacobian, p.jvp, p.vjp
    hessian, hessp = p.lagrangian_hessian, p.lagrangian_hessp
    y = rng.standard_normal(p.m).astype(p.dtype)
    yield (
        "gradient",
        "objective",
        lambda x: np.atleast_1d(p.objective(x)),
        lambda x, d: np.atleast_1d(p.gradient(x) @ d),
    )
    if constraint is not None and jacobian is not None:
        yield "jacobian", "constraint", constraint, lambda x, d: jacobian(x) @ d
    if constraint is not None and jvp is not None:
        yield "jvp", "constraint", constraint, jvp
    if constraint is not None and vjp is not None:
        yield (
            "vjp",
            "y^T constraint",
            lambda x: np.atleast_1d(y @ constraint(x)),
            lambda x, d: np.atleast_1d(vjp(x, y) @ d),
        )

    def slope(x: Array) -> Array:
        if p.m == 0:
            return p.gradient(x)
        return p.gradient(x) + (jacobian(x).T @ y if jacobian is not None else vjp(x, y))  # type: ignore[misc]

    if hessian is not None:
        yield "lagrangian_hessian", "grad_x L", slope, lambda x, d: hessian(x, y) @ d
    if hessp is not None:
        yield "lagrangian_hessp", "grad_x L", slope, lambda x, d: hessp(x, y, d)


def _check(name: str, of: str, F: Any, D: Any, x: Array, d: Array) -> DerivativeCheck:
    slopes = _slopes(F, D, x, d)
    component = int(np.argmin(slopes))
    slope = float(slopes[component])
    if slope >= RIGHT_SLOPE:
        return DerivativeCheck(name, of, slope, True)
    column = _wrong_coordinate(F, D, x, d, component)
    unit = np.zeros_like(x)
    unit[column] = 1
    h = np.cbrt(np.finfo(x.dtype).eps) * (1 + abs(float(x[column])))
    given = float(D(x, unit)[component])
    expected = float((F(x + h * unit)[component] - F(x - h * unit)[component]) / (2 * h))
    entry = (column,) if len(slopes) == 1 else (component, column)
    return DerivativeCheck(name, of, slope, False, entry, given, expected)


def _slopes(F: Any, D: Any, x: Array, d: Array) -> Array:
    """Return the slope of the Taylor error of each component of F, inf where it is rounding."""
    eps = float(np.finfo(x.dtype).eps)
    change = np.array(D(x, d), dtype=np.float64)
    steps = STEPS * (1 + float(np.abs(x).max(initial=0))) / max(float(np.abs(d).max(initial=0)), 1e-300)
    errors, noise = np.empty((2, len(steps), len(change)))
    for k, h in enumerate(steps):
        move = (h * d).astype(x.dtype)
        ahead, behind = np.array(F(x + move), dtype=np.float64), np.array(F(x - move), dtype=np.float64)
        errors[k] = np.abs(ahead - behind - 2 * h * change)
        noise[k] = np.abs(ahead) + np.abs(behind) + 2 * h * np.abs(change)
    slopes = np.full(change.shape, np.inf)
    with np.errstate(all="ignore"):
        clear = errors > 1e3 * eps * noise
        local = np.log(errors[:-1] / errors[1:]) / np.log(steps[:-1] / steps[1:])[:, None]
        # an error that does not fall with h is rounding of terms that cancel, not a wrong derivative
        both = clear[:-1] & clear[1:] & (local > 0.5)
    for i in range(len(change)):
        found = local[both[:, i], i]
        if len(found) > 1:  # a single slope can be rounding that happens to fall
            slopes[i] = found[-2:].max()
        elif not np.isfinite(change[i]):
            slopes[i] = -np.inf
    return slopes


def _wrong_coordinate(F: Any, D: Any, x: Array, d: Array, component: int) -> int:
    """Halve the set of coordinates, keeping a half along which the component fails."""
    columns = np.arange(len(x))
    while len(columns) > 1:
        for half in np.array_split(columns, 2):
            part = np.zeros_like(d)
            part[half] = d[half]
            if _slopes(F, D, x, part)[component] < RIGHT_SLOPE:
                break
        columns = half  # where neither half fails alone, the last one stands for both
    return int(columns[0])
