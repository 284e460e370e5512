"""Deep conjugate directions: search directions from a network, made conjugate to the last few, with exact steps.

One iteration, with a direction model f (a network, a preconditioner, anything that applies to a vector), k retained
directions p_j and their products A p_j::

    z = f(r / norm2(r))
    q = z - sum_j p_j (z^T A p_j) / (p_j^T A p_j)
    alpha = q^T r / q^T A q
    x <- x + alpha q,   r <- r - alpha A q

The error in the A-norm never grows, whatever f returns, and a scale or a sign of f changes nothing. With f a fixed
symmetric positive definite preconditioner the iterates are those of preconditioned conjugate gradients; with k retained
directions the method is flexible conjugate gradients FCG(k) (Notay, SIAM J. Sci. Comput. 22, 2000).

With `two_directions` the step is the best one in the plane of f(r) and r, both made conjugate to the retained ones: one
more product with A an iteration, and never less progress in the A-norm than a step of steepest descent.

How this differs from the published method:

1. r is carried by the recurrence, which saves a product with A; the residual that can end the run is b - A x.
2. A direction that is not finite, zero, inside the span of the retained ones, or orthogonal to r is discarded and
   counted. In its place comes the fallback preconditioner's, then r itself.
3. Inactive cells and the null space of A are kept out of each direction.
4. A watch-dog may compare what the model and the fallback achieve per second, and drop the model.

Memory: 2 (keep + 1) + 3 vectors (2 more with two directions) beside system and model. Work per iteration: one
application of the model, one product with A (two with two directions), and about 2 keep + 10 passes over a vector.

Reference: A. Kaneda, O. Akar, J. Chen, V. A. T. Kala, D. Hyde, J. Teran, A deep conjugate direction method for
iteratively solving linear systems, ICML 2023, PMLR 202:15720-15736.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite, isnan, log, nan
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from resolvent import kernels
from resolvent.errors import BackendError, OptionError
from resolvent.problems.base import Problem
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import Solver, State, cache, is_whole, require
from resolvent.solvers.linear.preconditioning import applies, set_up
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["DeepConjugateDirection", "DeepConjugateDirectionState", "WatchDog"]

ROUNDING = 16.0
"""A direction is lost in rounding where what is left of it is below ROUNDING * eps of what it was."""


@dataclass(frozen=True, kw_only=True)
class WatchDog:
    """Compares the reduction of the residual per second by the model with that by the fallback, and drops the model.

    The model works for `window` iterations, then the fallback for as many; one iteration before each is not measured
    (compilation, the turn of the directions). From then on each window of the model is compared with the fallback's,
    and the first that is worse hands the rest of the run to the fallback. In the worst case a run costs what the
    fallback costs and the two windows.

    Parameters
    ----------
    window : int
        Iterations that are measured together.
    clock : callable
        Returns seconds, or any other cost that grows.
    """

    window: int = 4
    clock: Callable[[], float] = field(default=perf_counter, compare=False)

    def __post_init__(self) -> None:
        require(is_whole(self.window, least=1), "window", self.window, "a whole number >= 1")
        require(callable(self.clock), "clock", self.clock, "a function without arguments that returns seconds")


@dataclass(kw_only=True, eq=False)
class DeepConjugateDirectionState(State):
    """The residual, the ring of directions, and the notes of the watch-dog.

    Attributes
    ----------
    r : array (n,)
    P, Q : array (keep + 1, n)
        Directions and their products with A, one a row; one row is for the direction in the making.
    curvatures : list of float
        p^T A p of each row.
    made : int
        Directions made so far; direction i stands in row ``i % (keep + 1)``.
    exact : bool
        Whether r was computed as b - A x, not carried.
    model_applications, fallbacks : int
        Applications of the model, and directions that were discarded.
    dropped : bool
        Whether the watch-dog has handed the run to the fallback.
    probing : bool
        Whether the fallback is being measured.
    marked, spent, since : int, float, float
        Of the window of the watch-dog: iterations, cost so far, logarithm of the residual at its beginning.
    rates : list of float
        Last measured reduction per second of the model, and of the fallback; nan where not measured.
    """

    r: Array
    P: Array
    Q: Array
    curvatures: list[float]
    made: int = 0
    exact: bool = True
    model_applications: int = 0
    fallbacks: int = 0
    dropped: bool = False
    probing: bool = False
    marked: int = -1
    spent: float = 0.0
    since: float = 0.0
    rates: list[float] = field(default_factory=lambda: [nan, nan])
    kept: Any = cache()
    system: Any = cache()
    model: Any = cache()
    classical: Any = cache()
    scratch: Any = cache()

    def record(self) -> dict[str, float]:
        return {
            "model_applications": float(self.model_applications),
            "fallbacks": float(self.fallbacks),
            "dropped": float(self.dropped),
        }


@dataclass(frozen=True, kw_only=True)
class DeepConjugateDirection(Solver[LinearSystem, DeepConjugateDirectionState]):
    """Deep conjugate directions for symmetric positive (semi)definite systems, directions from any model.

    step:
        ``q = f(r) - sum_j p_j (f(r)^T A p_j) / (p_j^T A p_j)``; ``x += (q^T r / q^T A q) q``
    cost:
        one application of the model and one product with A per iteration (two products with `two_directions`);
        2 keep + 5 vectors
    proven:
        the error in the A-norm never grows; a step multiplies it by at most the sine of the A-angle between f(r) and
        the error. With `two_directions` also by at most (kappa - 1) / (kappa + 1), kappa the condition number of A

    A history has the columns `model_applications`, `fallbacks` (directions discarded) and `dropped`.

    Parameters
    ----------
    network : object
        The direction model: options with ``setup(system, previous=None)`` as a network of `load_network`, or anything
        that applies to a vector: ``@``, a callable, a SciPy LinearOperator. It gets r / norm2(r) and may be nonlinear.
    keep : int
        Retained directions. The paper has 2; 10 pay where the network is away from what it was trained for.
    two_directions : bool
        Search the plane of f(r) and r. It costs one more product with A, far less than a network, and takes the harm
        out of a bad one: on a 64 x 64 box directions of pure noise need 239 iterations where conjugate gradients need
        199. False is the published method, and enough for a model that is symmetric positive definite.
    fallback : object, optional
        A symmetric positive definite preconditioner, as `network`, for discarded directions and for the watch-dog.
        Default none: the residual.
    watch_dog : WatchDog, optional
        Default none: the path of a run with one depends on the clock.

    References
    ----------
    Kaneda, Akar, Chen, Kala, Hyde and Teran, ICML 2023, PMLR 202:15720-15736.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import LinearSystem
    >>> from resolvent.solvers import DeepConjugateDirection
    >>> A = np.diag(np.arange(1.0, 101.0))
    >>> system = LinearSystem(A, np.ones(100), spd=True)
    >>> result = rs.solve(system, DeepConjugateDirection(network=lambda r: -np.tanh(50 * r) / np.arange(1.0, 101.0)))
    >>> result.success, result.iterations < 10
    (True, True)
    """

    solves: ClassVar[type[LinearSystem]] = LinearSystem
    state: ClassVar[type[State]] = DeepConjugateDirectionState
    refuses: ClassVar[tuple[str, ...]] = ("indefinite",)
    reference: ClassVar[str] = "Kaneda, Akar, Chen, Kala, Hyde and Teran 2023"
    usual_iterations: ClassVar[float] = 10_000
    network: Any = field(compare=False)
    keep: int = 2
    two_directions: bool = True
    fallback: Any = field(default=None, compare=False)
    watch_dog: WatchDog | None = None

    def __post_init__(self) -> None:
        kind = "options with setup(system), or something that applies"
        require(self.network is not None and applies(self.network), "network", self.network, kind)
        require(applies(self.fallback), "fallback", self.fallback, f"None, {kind}")
        require(is_whole(self.keep, least=1), "keep", self.keep, "a whole number >= 1")
        require(isinstance(self.two_directions, bool), "two_directions", self.two_directions, "True or False")
        known = self.watch_dog is None or isinstance(self.watch_dog, WatchDog)
        require(known, "watch_dog", self.watch_dog, "None or a WatchDog")

    def begin(
        self,
        problem: LinearSystem,
        x0: Array,
        y0: None,
        rng: np.random.Generator,
        previous: DeepConjugateDirectionState | None,
    ) -> DeepConjugateDirectionState:
        if not isinstance(x0, np.ndarray) or type(problem).dot is not Problem.dot:
            raise BackendError("DeepConjugateDirection works on NumPy arrays of one process, as yet")
        r = np.ascontiguousarray(problem.b - problem.apply(x0))
        P, Q = (np.zeros((self.keep + 1, len(r)), r.dtype) for _ in range(2))
        state = DeepConjugateDirectionState(
            x=np.ascontiguousarray(x0),
            r=r,
            P=P,
            Q=Q,
            curvatures=[0.0] * (self.keep + 1),
            residual=problem.norm(r),
            scale=problem.scale(),
        )
        if previous is not None:
            state.kept, previous.kept, previous.system = previous.kept, None, None
        self._make_ready(problem, state)
        return state

    def step(self, problem: LinearSystem, state: DeepConjugateDirectionState) -> DeepConjugateDirectionState:
        if not state.residual:
            return state.give_up(Status.FINISHED, "the residual is zero")
        self._make_ready(problem, state)
        dog = self.watch_dog
        if dog is None or state.dropped:
            self._iterate(problem, state)
            return state
        clock = dog.clock()
        self._iterate(problem, state)
        state.spent += dog.clock() - clock
        if not state.status:
            _look(state, dog.window)
        return state

    def finish(self, problem: LinearSystem, state: DeepConjugateDirectionState) -> DeepConjugateDirectionState:
        """Replace a residual carried by the recurrence by the true one."""
        if not state.exact:
            state.residual, state.exact = problem.residual(state.x), True
        return state

    def _make_ready(self, problem: LinearSystem, s: DeepConjugateDirectionState) -> None:
        if s.system is problem:
            return
        network, fallback = s.kept or (None, None)
        network, f = set_up(self.network, problem, network)
        fallback, g = set_up(self.fallback, problem, fallback)
        mask = getattr(problem.A, "active", None)
        mask = None if mask is None else np.ascontiguousarray(mask).reshape(-1)
        s.model = _Source(f, mask)
        s.classical = None if self.fallback is None else _Source(g, mask)
        s.scratch = np.empty((2, len(s.r)), s.r.dtype) if self.two_directions else None
        s.kept, s.system = (network, fallback), problem

    def _iterate(self, problem: LinearSystem, s: DeepConjugateDirectionState) -> None:
        row = s.made % len(s.P)
        slope = self._direction(problem, s, row)
        if slope is None:
            return
        square = kernels.vectors.advance(s.x, s.r, s.P[row], s.Q[row], slope / s.curvatures[row])
        rest = problem.remove_null_space(s.r)
        if rest is not s.r:  # the system is singular
            s.r[:] = rest
            square = kernels.vectors.dot(s.r, s.r)
        s.residual, s.exact = square**0.5, False
        s.made += 1
        s.iterations += 1
        if s.met:  # it could end the run: by the definition, not the recurrence
            s.r[:] = problem.b - problem.apply(s.x)
            s.residual, s.exact = problem.norm(s.r), True

    def _direction(self, problem: LinearSystem, s: DeepConjugateDirectionState, row: int) -> float | None:
        """Put a direction into `row` and return its product with r; None where the run has to end."""
        model = None if s.dropped or s.probing else s.model
        for source in (model, s.classical):
            if source is None:
                continue
            s.model_applications += source is s.model
            slope = _conjugate(problem, s, source(s.r / s.residual), s.P[row], s.Q[row], row)
            if s.status:
                return None
            if slope is not None:
                return self._plane(problem, s, slope, row) if self.two_directions else slope
            s.fallbacks += 1
            _tell(s)
        slope = _conjugate(problem, s, s.r, s.P[row], s.Q[row], row)
        if slope is None and not s.status:
            _explain(s, s.curvatures[row])
        return slope

    def _plane(self, problem: LinearSystem, s: DeepConjugateDirectionState, f: float, row: int) -> float:
        """Replace the direction in `row` by the best one in its plane with r; f is its product with r."""
        (d, e), p, q = s.scratch, s.P[row], s.Q[row]
        a = s.curvatures[row]
        g = _conjugate(problem, s, s.r, d, e, row)
        c, s.curvatures[row] = s.curvatures[row], a
        if g is None:
            return f
        b = kernels.vectors.dot(q, d)
        determinant = a * c - b * b
        if not determinant > _tiny(p) * a * c:  # the two directions are one
            return f
        first, second = (c * f - b * g) / determinant, (a * g - b * f) / determinant
        kernels.directions.blend(p, q, d, e, first, second)
        s.curvatures[row] = first * f + second * g
        return s.curvatures[row]


class _Source:
    """A model as the iteration sees it: the right shape, and nothing in inactive cells."""

    def __init__(self, function: Callable[[Array], Any], mask: Array | None) -> None:
        self.function, self.mask = function, mask

    def __call__(self, unit: Array) -> Array:
        z = np.asarray(self.function(unit))
        if z.shape != unit.shape or z.dtype.kind not in "fiu":
            found = f"{z.dtype} of shape {z.shape}"
            raise OptionError(f"the direction model returned {found}, expected real numbers of shape {unit.shape}")
        return z if self.mask is None else np.where(self.mask, z, 0)


def _conjugate(
    problem: LinearSystem, s: DeepConjugateDirectionState, z: Array, p: Array, q: Array, row: int
) -> float | None:
    """Put z made conjugate into p, its product with A into q, its curvature into `row`.

    Return p^T r; None where the direction is useless.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        p[:] = z
    rows = np.array([i for i in range(min(s.made, len(s.P))) if i != row], np.int64)
    products = kernels.directions.products(p, s.Q, rows)
    if not 0 < products[-1] < inf:  # zero, or not finite
        s.curvatures[row] = 0
        return None
    coefficients = products[:-1] / [s.curvatures[i] for i in rows]
    kernels.directions.subtract(p, s.P, rows, coefficients)
    a, slope, square = (float(v) for v in kernels.directions.measure(p, problem.apply(p), s.r, q))
    s.curvatures[row] = a
    if not isfinite(a):
        s.give_up(Status.DIVERGED, f"p^T A p is {a} for a finite p: A returned nan or inf")
        return None
    before = a + float(coefficients @ products[:-1])  # z^T A z by Pythagoras
    residual = 0.0 if s.residual is None else s.residual
    lost = a <= _tiny(p) * before or abs(slope) <= _tiny(p) * square**0.5 * residual
    return None if lost else slope


def _explain(s: DeepConjugateDirectionState, a: float) -> None:
    if a > 0:
        s.give_up(Status.STALLED, "the residual is lost in rounding against the retained directions")
    else:
        s.give_up(Status.BREAKDOWN, f"p^T A p = {a:.3e} <= 0 along the residual: A is not positive definite")


def _tiny(p: Array) -> float:
    return ROUNDING * float(np.finfo(p.dtype).eps)


def _look(s: DeepConjugateDirectionState, window: int) -> None:
    """What the watch-dog does after an iteration."""
    if not s.residual:
        return
    now = log(s.residual)
    if s.marked >= 0 and s.iterations - s.marked < window:
        return
    if s.marked >= 0:
        s.rates[int(s.probing)] = (s.since - now) / max(s.spent, 1e-12)
        turn = s.probing or isnan(s.rates[1])
        s.probing = turn and not s.probing
        if s.rates[0] < s.rates[1]:
            s.dropped, s.probing = True, False
            _tell(s)
        if turn:  # the next iteration is not measured
            s.marked = -1
            return
    s.marked, s.spent, s.since = s.iterations, 0.0, now


def _tell(s: DeepConjugateDirectionState) -> None:
    """Write into the message what has become of the model."""
    told = [f"{s.fallbacks} useless directions were replaced"] if s.fallbacks else []
    if s.dropped:
        told.append(
            f"the watch-dog dropped the network after {s.model_applications} applications: it reduced the residual by "
            f"{s.rates[0]:.3g} a second (natural logarithm), the fallback by {s.rates[1]:.3g}"
        )
    s.message = "; ".join(told)
