"""Solver and State: a method is an immutable set of options with `begin` and `step`; a state is its memory.

The contract of a method, each line a test in ``tests/contracts``:

1. `begin` copies what it keeps. No call changes the problem (its counters and a lazily computed scale aside), the
   solver or the user's arrays.
2. Fixed-size work arrays are allocated in `begin`; what must grow says so. `step` may update the state in place and
   returns it. A step advances `iterations` or gives up.
3. `residual`, `scale`, x and the certificate describe the same point and are written together, after the last user
   call of the step. A residual that could end the run is computed from the definition, not carried by a recurrence.
4. Randomness comes only from the generator given to `begin`, which lives in the state.
5. Between steps a state can be copied, pickled and checkpointed, and the run goes on from it bit for bit. `cache()`
   fields depend only on problem, solver and the other fields; they remember their problem, are left out, and are
   rebuilt by the next step to the same bits. No two fields share memory. The problem's data never enter a state.
6. `step` advances `iterations` by what it did: 1, or a batch of cheap ones. A batch ends when ``state.met`` or
   ``state.iterations >= state.limit``, so that results do not depend on its length.
7. `previous` is an earlier state of the same class, possibly from a changed problem. `begin` may take a `cache()`
   field away from it, and copies everything else.
8. Options are checked in ``__post_init__`` and raise OptionError.

A ProblemError from a nested `start` at a point of the method's own making is the method's to catch: it gives up as
STALLED with the message.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from math import inf, isfinite
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from resolvent import arrays
from resolvent.errors import OptionError, ProblemError
from resolvent.problems.base import Problem
from resolvent.solvers.stop import Status
from resolvent.typing import Point, RandomSource

__all__ = ["RunInfo", "Solver", "State", "cache", "is_cache", "is_number", "is_whole", "require", "require_match"]

P = TypeVar("P", bound=Problem)
S = TypeVar("S", bound="State")


def cache() -> Any:
    """Declare a state field that `step` can rebuild: never copied, pickled or checkpointed (factors, hierarchies)."""
    return field(default=None, repr=False, compare=False, metadata={"cache": True})


def is_cache(f: Any) -> bool:
    """Whether a dataclass field was declared with `cache()`."""
    return bool(f.metadata.get("cache", False))


@dataclass
class RunInfo:
    """What a run must remember across a resume. Written by the driver alone.

    Attributes
    ----------
    seed : int or None
        None where the user gave a generator.
    problem : str
        `Problem.identity` of the problem.
    seconds, evaluations : float
        Spent so far.
    """

    seed: int | None = 0
    problem: str = ""
    seconds: float = 0.0
    evaluations: float = 0.0


@dataclass(kw_only=True, eq=False)
class State:
    """Everything a method remembers between two steps. Each method has a subclass.

    Attributes
    ----------
    x : array, tuple of arrays or operator
        The current answer.
    residual : float or None
        The problem's residual at x; None where it is not known at this step.
    scale : float
        The problem's scale at the same point.
    iterations : int
        As the paper of the method counts them.
    status : Status
    message : str
        Why the method gave up, and what to try next.
    atol, rtol, limit : float
        Written once by the driver, from the Stop. Zero and inf in a bare loop.
    run : RunInfo
    """

    x: Point
    residual: float | None = None
    scale: float = 1.0
    iterations: int = 0
    status: Status = Status.RUNNING
    message: str = ""
    atol: float = 0.0
    rtol: float = 0.0
    limit: float = inf
    run: RunInfo = field(default_factory=RunInfo, repr=False)

    @property
    def tolerance(self) -> float:
        """``atol + rtol * scale``."""
        return self.atol + self.rtol * self.scale

    @property
    def met(self) -> bool:
        """Whether the residual is known and within the tolerance."""
        return self.residual is not None and self.residual <= self.atol + self.rtol * self.scale

    def record(self) -> dict[str, float]:
        """Return the scalars worth a history column; unknown ones are left out."""
        return {}

    def certificate(self) -> tuple[Any, ...]:
        """Return the answer as the problem judges it: ``(x,)``, or (x, y) for a constrained method."""
        return (self.x,)

    def give_up(self, status: Status, message: str) -> Self:
        """End the run in the method's own word."""
        self.status, self.message = status, message
        return self

    def copy(self) -> Self:
        """Return a state that shares no memory with this one; cache fields are left out."""
        twin = copy.copy(self)
        for f in fields(self):
            value = None if is_cache(f) else getattr(self, f.name)
            if isinstance(value, State):
                value = value.copy()
            elif not isinstance(value, float | int | str | None):
                value = arrays.copy(value)
            setattr(twin, f.name, value)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if not is_cache(f)}

    def __setstate__(self, values: dict[str, Any]) -> None:
        self.__dict__.update({f.name: None for f in fields(self) if is_cache(f)}, **values)


class Solver(ABC, Generic[P, S]):
    """A method: options, checked when made, and the functions `begin` and `step`.

    Every solver is a ``@dataclass(frozen=True, kw_only=True)``. Two functions are optional, by absence:
    ``finish(problem, state) -> state`` gets a copy that shares its arrays and turns it into the answer (a best
    snapshot, a full pass): it replaces fields, and writes into no array;
    ``warm_up(problem)`` compiles what the method needs, on a tiny problem of the same kind.

    Attributes
    ----------
    solves : type
        The problem class it accepts.
    state : type
        Its state class.
    needs : tuple of str
        Optional functions of the problem that it cannot do without; "a|b" means either.
    refuses : tuple of str
        Features of the problem that it cannot take.
    reference : str
        The paper.
    usual_iterations : float
        The limit where the Stop names none.
    """

    solves: ClassVar[type[Problem]]
    state: ClassVar[type[State]]
    needs: ClassVar[tuple[str, ...]] = ()
    refuses: ClassVar[tuple[str, ...]] = ()
    reference: ClassVar[str] = ""
    usual_iterations: ClassVar[float] = 1000

    def start(
        self,
        problem: P,
        x0: Any = None,
        rng: RandomSource = None,
        *,
        y0: Any = None,
        previous: S | None = None,
    ) -> S:
        """Check the input and return the first state. The one entrance for the driver, a bare loop and nested use.

        Parameters
        ----------
        problem : Problem
        x0, y0 : optional
            Where to begin; default the problem's own.
        rng : int, Generator or None
            None is seed 0. A generator is copied, not advanced.
        previous : State, optional
            An earlier state of the same class, for a warm start.

        Raises
        ------
        ProblemError
            Wrong class, missing function, refused feature, bad starting point, or a user function that is not finite
            there.
        """
        require_match(problem, self)
        x, y = problem.point(x0, y0)
        with problem.strict():
            state = self.begin(problem, x, y, _generator(rng), previous)
        if state.residual is not None and not isfinite(state.residual):
            raise ProblemError(f"the residual at the starting point is {state.residual}, expected a finite number")
        state.run = RunInfo(seed=_seed(rng), problem=problem.identity())
        if problem.infeasible:
            state.give_up(Status.INFEASIBLE, problem.infeasible)
        return state

    @abstractmethod
    def begin(self, problem: P, x0: Point, y0: Point, rng: np.random.Generator, previous: S | None) -> S:
        """Return the state at x0. The arguments are checked and owned."""

    @abstractmethod
    def step(self, problem: P, state: S) -> S:
        """Advance the state, in place if wanted, and return it."""


def require_match(problem: Any, solver: Solver[Any, Any]) -> None:
    """Raise ProblemError where `solver` cannot take `problem`."""
    name = type(solver).__name__
    if not isinstance(problem, solver.solves):
        raise ProblemError(f"{name} solves {solver.solves.__name__}, got {type(problem).__name__}")
    kind = type(problem).__name__
    for need in solver.needs:
        if not any(problem.has(*part.split("+")) for part in need.split("|")):
            given = ", ".join(oracle.name for oracle in problem.oracles())
            raise ProblemError(f"{name} needs {need}; this {kind} gives {given}")
    refused = sorted(problem.features() & set(solver.refuses)) if solver.refuses else []
    if refused:
        raise ProblemError(f"{name} cannot take {' or '.join(refused)}; this {kind} has {', '.join(refused)}")


def require(condition: bool, name: str, value: Any, allowed: str) -> None:
    """Raise OptionError unless `condition`: for the checks in ``__post_init__``."""
    if not condition:
        raise OptionError(f"{name} is {value!r}, expected {allowed}")


def is_number(value: Any, *, above: float) -> bool:
    """Whether `value` is a finite number > `above`."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return bool(number and isfinite(value) and value > above)


def is_whole(value: Any, *, least: int) -> bool:
    """Whether `value` is a whole number >= `least`."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def _generator(rng: RandomSource) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return copy.deepcopy(rng)
    if rng is not None and (isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0):
        raise OptionError(f"rng is {rng!r}, expected a whole number >= 0, a numpy Generator or None")
    return np.random.default_rng(0 if rng is None else rng)


def _seed(rng: RandomSource) -> int | None:
    return None if isinstance(rng, np.random.Generator) else int(rng or 0)
