"""NLP: nonlinear programs with bounds and two-sided constraints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from resolvent import arrays
from resolvent.errors import ProblemError
from resolvent.problems.base import Problem, projected_gradient
from resolvent.problems.checks import read_bounds, require_ordered, require_shape, require_size
from resolvent.typing import Array, Matrix

COUNTED_TOGETHER = ("objective", "gradient", "constraint", "jacobian")
COST_AXIS: Callable[[Mapping[str, int]], tuple[int, int, int, int]] = itemgetter(*COUNTED_TOGETHER)

__all__ = ["NLP", "Evaluation", "infeasibility_slope", "least_squares_multipliers"]


class Evaluation(NamedTuple):
    """What a solver needs of an NLP at a point.

    `gradient` (n,) and `jacobian` (m, n) are None at order 0, and where any value is not finite: then `fault` names the
    function.
    """

    objective: float
    constraint: Array
    gradient: Array | None
    jacobian: Matrix | None
    fault: str = ""

    @property
    def complete(self) -> bool:
        """Whether the derivatives are there."""
        return self.gradient is not None and self.jacobian is not None


@dataclass(kw_only=True, eq=False, repr=False)
class NLP(Problem):
    """min f(x) subject to constraint_lower <= c(x) <= constraint_upper and lower <= x <= upper.

    Lagrangian and signs (those of Ipopt)::

        L(x, y) = sigma f(x) + y^T c(x),     y_i >= 0 at an upper, y_i <= 0 at a lower constraint bound

    The certificate is (x, y). With P the projection on the bounds, the residual is ::

        norm2( [ x - P( x - grad_x L(x, y) ) ;  c - P( c + y ) ] )

    absolute and unscaled; for equalities alone it is norm2([grad_x L; c - constraint_lower]). The scale is
    max(1, norm2(grad f(x))). The cost axis is max(objective, gradient, constraint, jacobian). Multipliers of the
    bounds are derived: `bound_multipliers`.

    Parameters
    ----------
    n, m : int
        Numbers of variables and constraints.
    objective : callable
        `objective(x) -> float`, x of shape (n,).
    gradient : callable
        `gradient(x) -> (n,)`.
    constraint : callable
        `constraint(x) -> (m,)`; needed when m > 0.
    jacobian : callable, optional
        `jacobian(x) -> (m, n)`, dense or SciPy sparse. When m > 0, either this or `jvp` and `vjp` is needed.
    jvp, vjp : callable, optional
        `jvp(x, v) -> (m,)` and `vjp(x, w) -> (n,)`: the Jacobian and its transpose times a vector.
    lagrangian_hessian : callable, optional
        `lagrangian_hessian(x, y, sigma=1.0) -> (n, n)`, full symmetric, dense or sparse.
    lagrangian_hessp : callable, optional
        `lagrangian_hessp(x, y, v, sigma=1.0) -> (n,)`, the same times v.
    lower, upper : array_like (n,) or float, optional
        Bounds of x; absolute values from 1e20 up mean none. Equal bounds fix a variable.
    constraint_lower, constraint_upper : array_like (m,) or float
        Bounds of c(x), equal for an equation; needed when m > 0.
    x0 : array_like (n,), optional
    y0 : array_like (m,), optional
        Multipliers at x0; where they are missing, solvers take those of least squares.
    name : str, optional
    dtype : optional
        float64 (default) or float32.
    evaluate : callable, optional
        `evaluate(x, order) -> (f, c, g, J)`: one call for all that a solver needs at a point. At order 0 it counts as
        objective and constraint (g and J are ignored), at order 1 as gradient and jacobian too.

    Raises
    ------
    ProblemError
        For missing functions, inconsistent bounds, wrong shapes or non-finite data.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import NLP
    >>> problem = NLP(
    ...     n=2, m=1, x0=[2.0, 0.0], constraint_lower=2.0, constraint_upper=2.0,
    ...     objective=lambda x: float(x @ x), gradient=lambda x: 2 * x,
    ...     constraint=lambda x: np.array([x.sum()]), jacobian=lambda x: np.ones((1, 2)),
    ... )
    >>> problem.residual(np.array([1.0, 1.0]), np.array([-2.0]))
    0.0
    """

    n: int
    m: int = 0
    objective: Callable[[Array], float]
    gradient: Callable[[Array], Array]
    constraint: Callable[[Array], Array] | None = None
    jacobian: Callable[[Array], Matrix] | None = None
    jvp: Callable[[Array, Array], Array] | None = None
    vjp: Callable[[Array, Array], Array] | None = None
    lagrangian_hessian: Callable[..., Matrix] | None = None
    lagrangian_hessp: Callable[..., Array] | None = None
    lower: Any = None
    upper: Any = None
    constraint_lower: Any = None
    constraint_upper: Any = None
    y0: Any = None
    evaluate: Callable[[Array, int], tuple[Any, Any, Any, Any]] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_size(self.n, "n", 1)
        require_size(self.m, "m", 0)
        self.counts.update(dict.fromkeys(COUNTED_TOGETHER, 0))
        n, m = self.n, self.m
        self._read_bounds()
        self.y0 = arrays.cast(self.y0, self.dtype, "y0")
        require_shape(self.x0, (n,), "x0")
        require_shape(self.y0, (m,), "y0")
        self._wrap("objective", (), required=True)
        self._wrap("gradient", (n,), required=True)
        self._wrap("constraint", (m,), required=m > 0)
        self._wrap("jacobian", (m, n))
        self._wrap("jvp", (m,))
        self._wrap("vjp", (n,))
        self._wrap("lagrangian_hessian", (n, n))
        self._wrap("lagrangian_hessp", (n,))
        if m and not (self.has("jacobian") or self.has("jvp", "vjp")):
            raise ProblemError("NLP with m > 0 needs the function jacobian, or jvp and vjp")

    def _read_bounds(self) -> None:
        n, m, dtype = self.n, self.m, self.dtype
        if m and (self.constraint_lower is None or self.constraint_upper is None):
            raise ProblemError("NLP with m > 0 needs constraint_lower and constraint_upper (equal for equations)")
        self.lower = read_bounds(self.lower, n, dtype, -np.inf, "lower")
        self.upper = read_bounds(self.upper, n, dtype, np.inf, "upper")
        self.constraint_lower = read_bounds(self.constraint_lower, m, dtype, -np.inf, "constraint_lower")
        self.constraint_upper = read_bounds(self.constraint_upper, m, dtype, np.inf, "constraint_upper")
        require_ordered(self.lower, self.upper, "lower", "upper")
        require_ordered(self.constraint_lower, self.constraint_upper, "constraint_lower", "constraint_upper")

    # ---- what is there

    def features(self) -> set[str]:
        found = set()
        if np.isfinite(self.lower).any() or np.isfinite(self.upper).any():
            found.add("bounds")
        if (self.constraint_lower != self.constraint_upper).any():
            found.add("inequalities")
        if self.m and self.jacobian is None:
            found.add("no jacobian")
        return found

    def identity(self) -> str:
        return f"{super().identity()} n={self.n} m={self.m}"

    def point(self, x0: Any = None, y0: Any = None) -> tuple[Array, Array | None]:
        x, _ = super().point(x0)
        require_shape(x, (self.n,), "x0")
        y = arrays.cast(self.y0 if y0 is None and x0 is None else y0, self.dtype, "y0")
        require_shape(y, (self.m,), "y0")
        return x, y

    def evaluations(self, counts: Mapping[str, int]) -> float:
        try:
            most, gradient, constraint, jacobian = COST_AXIS(counts)
        except KeyError:  # a record of a run leaves out what was not called
            return max(counts.get(name, 0) for name in COUNTED_TOGETHER)
        if gradient > most:  # written out: this runs at every step of every run
            most = gradient
        if constraint > most:
            most = constraint
        return jacobian if jacobian > most else most

    # ---- values at a point

    def at(self, x: Array, order: int = 1) -> Evaluation:
        """Evaluate f and c, and at order 1 also their first derivatives, in as few calls as the problem allows.

        The derivatives are not evaluated where f or c is not finite: a line search would not use them.
        """
        if self.evaluate is not None:
            return self._at_once(x, order)
        f = self.objective(x)
        c = self.constraint(x) if self.constraint is not None else np.zeros(0, self.dtype)
        fault = _fault({"objective": f, "constraint": c})
        if order == 0 or fault:
            return Evaluation(f, c, None, None, fault)
        g = self.gradient(x)
        J = self.jacobian(x) if self.jacobian is not None else None
        return self._evaluation(f, c, g, np.zeros((0, self.n), self.dtype) if self.m == 0 else J)

    def _evaluation(self, f: float, c: Array, g: Array, J: Matrix | None) -> Evaluation:
        fault = _fault({"objective": f, "constraint": c, "gradient": g, "jacobian": J})
        return Evaluation(f, c, None, None, fault) if fault else Evaluation(f, c, g, J)

    def _at_once(self, x: Array, order: int) -> Evaluation:
        """Call `evaluate`; its values count and are checked as those of the single functions."""
        assert self.evaluate is not None
        try:
            values = self.evaluate(x, order)
        except BaseException as error:
            error.add_note("raised inside evaluate(...), a function of the problem")
            raise
        if not isinstance(values, tuple) or len(values) != 4:
            raise ProblemError(f"evaluate(x, {order}) returned {type(values).__name__}, expected (f, c, g, J)")
        f, c = self._received("objective", values[0]), self._received("constraint", values[1])
        if order == 0:
            return Evaluation(f, c, None, None, _fault({"objective": f, "constraint": c}))
        return self._evaluation(f, c, self._received("gradient", values[2]), self._received("jacobian", values[3]))

    def _received(self, name: str, value: Any) -> Any:
        """Count and check a value of `evaluate` as one of the function `name`; absent functions give empty arrays."""
        oracle = getattr(self, name)
        if oracle is None:
            if self.m:
                return None  # beside jvp and vjp no Jacobian is kept
            return np.zeros((0, self.n) if name == "jacobian" else 0, self.dtype)
        return oracle.receive(value)

    # ---- how wrong an answer is

    def measure(self, x: Array, y: Array, lagrangian_gradient: Array, c: Array) -> float:
        """Return the residual from arrays at hand, without a call of a user function.

        Parameters
        ----------
        x, y : array (n,), array (m,)
        lagrangian_gradient : array (n,)
            grad f(x) + J(x)^T y.
        c : array (m,)
            The constraint values c(x).
        """
        stationarity = projected_gradient(x, lagrangian_gradient, self.lower, self.upper)
        feasibility = projected_gradient(c, -y, self.constraint_lower, self.constraint_upper)
        return float(np.hypot(self.norm(stationarity), self.norm(feasibility)))

    def residual(self, x: Array, y: Array | None = None) -> float:
        """Return norm2( [x - P(x - grad_x L); c - P(c + y)] ).

        Where y is missing, the multipliers are those of least squares over the components of x strictly between their
        bounds (up to rounding), clipped to their signs.
        """
        return self._residual(x, y, self.gradient(x))

    def scale(self, x: Array, y: Array | None = None) -> float:
        return max(1.0, self.norm(self.gradient(x)))

    def verify(self, x: Array, y: Array | None = None) -> tuple[float, float]:
        with self.counted_as("check"):
            g = self.gradient(x)
            return self._residual(x, y, g), max(1.0, self.norm(g))

    def _residual(self, x: Array, y: Array | None, g: Array) -> float:
        y, c, slope = self._lagrangian(x, y, g)
        return self.measure(x, y, slope, c)

    def _lagrangian(self, x: Array, y: Array | None, g: Array) -> tuple[Array, Array, Array]:
        """Return y, c(x) and grad_x L."""
        if self.constraint is None or self.m == 0:
            return np.zeros(0, self.dtype), np.zeros(0, self.dtype), g
        c = self.constraint(x)
        if y is not None and self.jacobian is None:
            assert self.vjp is not None
            return y, c, g + self.vjp(x, y)
        J = self._jacobian(x)
        if y is None:
            y = self.multipliers(x, g, J, c)
        return y, c, g + J.T @ y

    def _jacobian(self, x: Array) -> Matrix:
        if self.jacobian is not None:
            return self.jacobian(x)
        assert self.vjp is not None
        rows = np.eye(self.m, dtype=self.dtype)
        return np.array([self.vjp(x, row) for row in rows])

    def multipliers(self, x: Array, g: Array, J: Matrix, c: Array) -> Array:
        """Return the multipliers of least squares: min norm2(g + J^T y) over the free x, clipped to their signs.

        Cost: a dense least squares problem up to 1e5 entries of J, beyond it three solves with one sparse
        factorisation of order n + m.
        """
        free = ~(self._at(x, self.lower) | self._at(x, self.upper))
        active = J if free.all() else J[:, free]
        y = least_squares_multipliers(g[free], active)
        lowest = np.where((c <= self.constraint_lower) | self._at(c, self.constraint_lower), -np.inf, 0.0)
        highest = np.where((c >= self.constraint_upper) | self._at(c, self.constraint_upper), np.inf, 0.0)
        return np.clip(y, lowest, highest).astype(self.dtype, copy=False)

    def _at(self, values: Array, bound: Array) -> Array:
        """Return where `values` equal a finite `bound` up to rounding."""
        reach = 10 * np.sqrt(np.finfo(self.dtype).eps) * np.maximum(1.0, np.abs(bound))
        with np.errstate(invalid="ignore"):
            near: Array = np.isfinite(bound) & (np.abs(values - bound) <= reach)
        return near

    def bound_multipliers(self, x: Array, y: Array | None = None) -> Array:
        """Return z (n,) with grad_x L + z = 0 on active bounds: z >= 0 at an upper, <= 0 at a lower bound, else 0."""
        _, _, slope = self._lagrangian(x, y, self.gradient(x))
        target = x - slope
        return np.where((target <= self.lower) | (target >= self.upper), -slope, 0.0).astype(self.dtype, copy=False)

    def infeasibility(self, x: Array) -> tuple[float, float]:
        """Return norm2 of the violation v of constraints and bounds, and of the projected gradient of norm2(v)^2 / 2.

        A point where the second number is (nearly) zero and the first is not is a stationary point of the
        infeasibility: there is no answer nearby. Entries of the gradient below the reach of rounding count as zero, see
        `infeasibility_slope`. Counted as ``check.*``.
        """
        with self.counted_as("check"):
            inside = np.clip(x, self.lower, self.upper)
            violation, slope = 0.0, np.zeros_like(x)
            if self.constraint is not None and self.m:
                c = self.constraint(inside)
                v = c - np.clip(c, self.constraint_lower, self.constraint_upper)
                violation = self.norm(v)
                if self.jacobian is None and self.vjp:
                    slope = self.vjp(inside, v)
                else:
                    slope = infeasibility_slope(inside, v, self._jacobian(inside))
            violation = float(np.hypot(violation, self.norm(x - inside)))
            return violation, self.norm(projected_gradient(inside, slope, self.lower, self.upper))


def _fault(values: dict[str, Any]) -> str:
    """Return the name of the first value that is not finite, or nothing."""
    for name, value in values.items():
        entries = value.data if hasattr(value, "indptr") else value
        if value is not None and not np.isfinite(entries).all():
            return name
    return ""


def infeasibility_slope(x: Array, v: Array, J: Matrix) -> Array:
    """Return J^T v, the gradient of norm2(v)^2 / 2, with zeros for entries that the rounding of x alone explains.

    Between x and its neighbours among the floating-point numbers v changes by about eps |J| |x|, and the gradient by
    about |J|^T times that. Where it is no larger, no better point can be written down: with columns of J of size 1e6
    (CUTEst's MEYER3NE) the smallest gradient in double precision is 1e-4. Where v itself is that small, nothing is
    known of it, and the gradient is returned as it is.
    """
    slope: Array = J.T @ v
    with np.errstate(over="ignore", invalid="ignore"):
        change = np.finfo(x.dtype).eps * (abs(J) @ abs(x))
        reach = abs(J).T @ change
    if not arrays.norm2(change) <= 1e-3 * arrays.norm2(v):
        return slope
    return np.where(np.isfinite(reach) & (np.abs(slope) <= reach), 0, slope).astype(slope.dtype, copy=False)


def least_squares_multipliers(g: Array, J: Matrix, cutoff: float = 1e-10) -> Array:
    """Return argmin over y of norm2(g + J^T y), of (nearly) smallest norm where J is rank deficient.

    Parameters
    ----------
    g : array (n,)
    J : array or sparse matrix (m, n)
    cutoff : float
        Singular values below this part of the largest one count as zero.
    """
    m, n = J.shape
    if m == 0 or n == 0:
        return np.zeros(m, g.dtype)
    if not hasattr(J, "indptr") or m * n <= 100_000:
        dense = J.toarray() if hasattr(J, "toarray") else J
        return np.asarray(np.linalg.lstsq(dense.T, -g, rcond=max(cutoff, float(np.finfo(g.dtype).eps)))[0])
    return _sparse_multipliers(g, J, cutoff)


def _sparse_multipliers(g: Array, J: Matrix, cutoff: float) -> Array:
    """Solve [I J^T; J -delta I] [r; y] = [-g; -delta y_old] three times: iterated regularisation, from y = 0."""
    import scipy.sparse as sp
    from scipy.sparse.linalg import splu

    m, n = J.shape
    J = J.astype(np.float64)
    delta = max(cutoff, 1e-6) ** 2 * max(float(abs(J).max()) ** 2, np.finfo(np.float64).tiny)
    K = sp.bmat([[sp.identity(n), J.T], [J, -delta * sp.identity(m)]], format="csc")
    factor = splu(K)
    y = np.zeros(m)
    for _ in range(3):
        y = factor.solve(np.concatenate([-g, -delta * y]))[n:]
    return y
