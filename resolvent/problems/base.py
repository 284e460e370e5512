"""Problem: what is to be solved, and how wrong a candidate answer is.

A problem owns the residual and the scale of its answers, so that a tolerance means the same thing for every method
and a benchmark can check any claim. It also owns the counters of the work done on it.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np

from resolvent import arrays
from resolvent.errors import ProblemError
from resolvent.typing import Array, Point

__all__ = ["COUNTED", "Oracle", "Problem", "projected_gradient"]

COUNTED = (
    "objective",
    "gradient",
    "hessian",
    "hessp",
    "constraint",
    "jacobian",
    "jvp",
    "vjp",
    "lagrangian_hessian",
    "lagrangian_hessp",
    "apply",
    "columns",
    "prox",
    "components",
    "resolvent",
    "collision",
    "samples",
)
"""The names in `Problem.counts`. With a prefix they name work done for somebody else: `check.gradient` for the
driver's own test of an answer, `inner.apply` for a linear solver inside a step."""


class Oracle:
    """A function given by the user: it counts its calls, checks its value and names itself in errors.

    Shape and dtype are checked at the first call alone, so that a call costs about a microsecond more than the
    function. Where the function hands out the same array again and again, its values are copied.

    Parameters
    ----------
    name : str
        The name counted and reported, one of `COUNTED`.
    function : callable
    counts : Counter
    shape : tuple or None
        Expected shape, `()` for a number, None for values that are not checked.
    dtype : numpy.dtype
        Wider values are cast down, once with a warning.
    units : callable, optional
        `units(*args) -> int`, what one call counts; default 1.
    """

    __slots__ = (
        "checked",
        "counts",
        "dtype",
        "function",
        "last",
        "name",
        "shape",
        "strict",
        "units",
        "warned",
    )

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        counts: Counter[str],
        *,
        shape: tuple[int, ...] | None,
        dtype: np.dtype[Any],
        units: Callable[..., int] | None = None,
    ) -> None:
        self.name, self.function, self.counts = name, function, counts
        self.shape, self.dtype, self.units = shape, dtype, units
        self.strict = self.checked = self.warned = False
        self.last: Any = None

    def __call__(self, *args: Any) -> Any:
        self.counts[self.name] += 1 if self.units is None else self.units(*args)
        try:
            value = self.function(*args)
        except BaseException as error:
            error.add_note(f"raised inside {self.name}(...), a function of the problem")
            raise
        value = self._checked(value)
        for given in args:  # f(x) = x: the solver must not find its own array in two places
            if value is given:
                value = _copy(value)
        return value

    def receive(self, value: Any) -> Any:
        """Count and check a value that another function of the problem has computed."""
        self.counts[self.name] += 1
        return self._checked(value)

    def _checked(self, value: Any) -> Any:
        value = self._number(value) if self.shape == () else self._array(value)
        if self.strict:
            self._require_finite(value)
        return value

    def _number(self, value: Any) -> float:
        if not self.checked:
            if np.ndim(value) != 0:
                raise ProblemError(f"{self.name}(x) returned shape {np.shape(value)}, expected a number")
            if not isinstance(value, int | float | np.integer | np.floating | np.ndarray):
                raise ProblemError(f"{self.name}(x) returned {value!r}, expected a real number")
            self.checked = True
        return float(value)

    def _array(self, value: Any) -> Any:
        if isinstance(value, tuple) and self.shape is None:
            return value
        if not hasattr(value, "dtype"):
            value = np.asarray(value)
        if not self.checked:
            if self.shape is not None and tuple(value.shape) != self.shape:
                raise ProblemError(f"{self.name}(x) returned shape {tuple(value.shape)}, expected {self.shape}")
            self.last, value = value, _copy(value)
            self.checked = True
        elif value is self.last:
            value = _copy(value)
        if isinstance(value.dtype, np.dtype) and value.dtype != self.dtype:
            value = self._cast(value)
        return value

    def _cast(self, value: Any) -> Any:
        if value.dtype.kind not in "fiub":
            raise ProblemError(f"{self.name}(x) returned dtype {value.dtype}, expected real numbers")
        if value.dtype.kind == "f" and value.dtype.itemsize > self.dtype.itemsize and not self.warned:
            self.warned = True
            warnings.warn(f"{self.name}(x) returned {value.dtype}, cast to {self.dtype}", stacklevel=5)
        return value.astype(self.dtype)

    def _require_finite(self, value: Any) -> None:
        entries = value.data if hasattr(value, "indptr") else value
        finite = bool(np.isfinite(entries)) if isinstance(entries, float) else arrays.is_finite(entries)
        if not finite:
            what = f"{value}" if isinstance(value, float) else "nan or inf"
            raise ProblemError(f"{self.name} returned {what} at the starting point, expected finite numbers")


def _copy(value: Any) -> Any:
    return value.copy() if hasattr(value, "copy") else arrays.copy(value)


@dataclass(kw_only=True, eq=False, repr=False)
class Problem:
    """What is to be solved. The base of every problem class.

    An answer, its *certificate* (x alone, or x and multipliers), is converged when
    ``residual(*certificate) <= atol + rtol * scale(*certificate)``. Neither depends on the method or on where a run
    started.

    Problems are made from functions and data, not subclassed; a subclass is a new problem *class*.

    Attributes
    ----------
    name : str
    x0 : array, tuple of arrays or None
        The problem's own starting point.
    dtype : numpy.dtype
        Of the whole run; float64 where nothing says otherwise.
    counts : collections.Counter
        Evaluations so far, by the names in `COUNTED`.
    infeasible : str
        Why the problem has no answer, where its data alone show it; empty otherwise. Runs on it end INFEASIBLE.
    """

    name: str = ""
    x0: Point = None
    dtype: Any = None
    counts: Counter[str] = field(default_factory=Counter, init=False)
    infeasible: str = field(default="", init=False)

    def __post_init__(self) -> None:
        try:
            self.dtype = np.dtype(np.float64 if self.dtype is None else self.dtype)
        except TypeError:
            raise ProblemError(f"dtype is {self.dtype!r}, expected float32 or float64") from None
        if self.dtype not in (np.float32, np.float64):
            raise ProblemError(f"dtype is {self.dtype}, expected float32 or float64")
        self.x0 = arrays.cast(self.x0, self.dtype, "x0")

    def __repr__(self) -> str:
        return f"<{self.identity()}>"

    # ---- the user's functions

    def _wrap(
        self,
        name: str,
        shape: tuple[int, ...] | None,
        *,
        required: bool = False,
        units: Callable[..., int] | None = None,
    ) -> None:
        """Replace the function in field `name` by an `Oracle` of it."""
        function = getattr(self, name)
        if function is None:
            if required:
                raise ProblemError(f"{type(self).__name__} needs the function {name}")
            return
        if not callable(function):
            raise ProblemError(f"{name} is {function!r}, expected a function")
        oracle = Oracle(name, function, self.counts, shape=shape, dtype=self.dtype, units=units)
        setattr(self, name, oracle)

    def oracles(self) -> list[Oracle]:
        """Return the functions that the user gave."""
        return [value for value in vars(self).values() if isinstance(value, Oracle)]

    def has(self, *names: str) -> bool:
        """Whether all the named optional functions were given."""
        return all(getattr(self, name, None) is not None for name in names)

    def features(self) -> set[str]:
        """Return what a solver may refuse: "bounds", "inequalities", "singular", ..."""
        return set()

    @contextmanager
    def strict(self) -> Iterator[None]:
        """Inside, a user function that returns nan or inf raises ProblemError."""
        oracles = self.oracles()
        before = [oracle.strict for oracle in oracles]
        for oracle in oracles:
            oracle.strict = True
        try:
            yield
        finally:
            for oracle, was in zip(oracles, before, strict=True):
                oracle.strict = was

    @contextmanager
    def counted_as(self, prefix: str) -> Iterator[None]:
        """Inside, work counts under `prefix.name` instead of `name`."""
        before = dict(self.counts)
        try:
            yield
        finally:
            for name in [name for name in self.counts if "." not in name]:
                made = self.counts.pop(name) - before.get(name, 0)
                if made:
                    self.counts[f"{prefix}.{name}"] += made
                if name in before:
                    self.counts[name] = before[name]

    # ---- geometry: all that a distributed problem has to replace

    def dot(self, u: Point, v: Point) -> float:
        """Return the inner product, accumulated in float64. Cost: one pass over both."""
        if isinstance(u, tuple):
            return float(sum(self.dot(a, b) for a, b in zip(u, v, strict=True)))
        if isinstance(u, np.ndarray):
            return float(np.vdot(arrays.as_float64(u), arrays.as_float64(v)))
        return float(arrays.namespace(u).sum(arrays.as_float64(u) * arrays.as_float64(v)))

    def norm(self, u: Point) -> float:
        """Return sqrt(dot(u, u))."""
        return float(self.dot(u, u) ** 0.5)

    def agree(self, code: int) -> int:
        """Return the largest `code` of all machines that work on the problem; here there is one."""
        return code

    # ---- how wrong an answer is

    def residual(self, *certificate: Any) -> float | None:
        """Return how wrong the answer is, None where that is not defined."""
        return None

    def scale(self, *certificate: Any) -> float:
        """Return the size of the terms that cancel in the residual."""
        return 1.0

    def verify(self, *certificate: Any) -> tuple[float | None, float]:
        """Return residual and scale, both fresh, at the price of one; the work counts as `check.*`."""
        with self.counted_as("check"):
            return self.residual(*certificate), self.scale(*certificate)

    # ---- bookkeeping

    def point(self, x0: Any = None, y0: Any = None) -> tuple[Point, Point]:
        """Return owned, cast, finite starting values of the right shape.

        Parameters
        ----------
        x0 : optional
            None is the problem's own x0.
        y0 : optional
            Multipliers, for classes that have them; None is the problem's own where x0 is its own too.

        Raises
        ------
        ProblemError
            No starting point, wrong shape or dtype, nan or inf.
        """
        x = arrays.cast(self.x0 if x0 is None else x0, self.dtype, "x0")
        if x is None:
            raise ProblemError(f"no starting point: give start=, or x0= when the {type(self).__name__} is made")
        if self.x0 is not None and arrays.is_array(x) != arrays.is_array(self.x0):
            raise ProblemError(f"x0 is a {type(x).__name__}, expected a {type(self.x0).__name__}")
        if self.x0 is not None and arrays.shape(x) != arrays.shape(self.x0):
            raise ProblemError(f"x0 has shape {arrays.shape(x)}, expected {arrays.shape(self.x0)}")
        if y0 is not None:
            raise ProblemError(f"y0 was given, but a {type(self).__name__} has no multipliers")
        return x, None

    def evaluations(self, counts: Mapping[str, int]) -> float:
        """Return the work in `counts` as one number, the cost axis of the class. Names with a dot are ignored."""
        return 0.0

    def identity(self) -> str:
        """Return class, name, shapes and dtype, never data: what a resumed run compares."""
        return f"{type(self).__name__} {self.name or 'without a name'} {self.dtype}"

    def replace(self, **changes: Any) -> Self:
        """Return a changed copy with a fresh counter.

        Raises
        ------
        ProblemError
            For a name that is no field of the class.
        """
        known = [f.name for f in fields(self) if f.init]
        wrong = sorted(set(changes) - set(known))
        if wrong:
            raise ProblemError(f"{type(self).__name__} has no field {wrong[0]!r}; it has {', '.join(known)}")
        kept = {name: getattr(self, name) for name in known}
        kept = {name: v.function if isinstance(v, Oracle) else v for name, v in kept.items()}
        return type(self)(**{**kept, **changes})


def projected_gradient(x: Array, gradient: Array, lower: Array, upper: Array) -> Array:
    """Return x - P(x - gradient), with P the projection on lower <= x <= upper.

    Written without x - (x - gradient), which is zero where the gradient is below the rounding of x.
    """
    return np.clip(gradient, x - upper, x - lower)
