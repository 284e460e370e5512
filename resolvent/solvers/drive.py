"""The driver: the one loop of the library. It owns limits, tolerance, clock, history, callbacks and status."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from math import inf, isfinite
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

from resolvent import arrays
from resolvent.errors import OptionError, ProblemError
from resolvent.problems.base import Problem
from resolvent.solvers.base import Solver, State, require_match
from resolvent.solvers.checkpoint import load_state
from resolvent.solvers.history import History
from resolvent.solvers.interrupt import interruptible, nesting
from resolvent.solvers.result import Result
from resolvent.solvers.stop import Status, Stop
from resolvent.typing import RandomSource

__all__ = ["Callback", "Run", "iterate", "solve"]

Callback: TypeAlias = Callable[[Any], Any]

CHECKED_AGAIN = (Status.ITERATIONS, Status.EVALUATIONS, Status.SECONDS, Status.STALLED, Status.FINISHED)
"""Ends after which a tolerance met by the answer of `finish` is checked with a fresh residual."""


def solve(
    problem: Problem,
    solver: Solver[Any, Any],
    start: Any = None,
    *,
    resume: State | str | os.PathLike[str] | None = None,
    stop: Stop | None = None,
    rng: RandomSource = None,
    callback: Callback | Sequence[Callback] | None = None,
) -> Result:
    """Run `solver` on `problem` and return the result, whatever the end.

    Parameters
    ----------
    problem : Problem
    solver : Solver
    start : optional
        Begin a new run: None from the problem's x0, an array, a tuple (x, y), or an earlier Result or State, whose
        answer and still valid parts (working set, factors, penalties) give a warm start.
    resume : State or path of a checkpoint, optional
        Go on with the same run on the same problem: iterations, seconds, evaluations and random numbers continue.
    stop : Stop, optional
        Tolerance and limits; default ``Stop()``.
    rng : int, Generator or None
        None is seed 0. A generator is copied, not advanced.
    callback : callable or sequence of them, optional
        Called with the state after each step; returning true stops the run. One that has ``end(result)`` gets the
        result once. See `Progress` and `Checkpoint`.

    Returns
    -------
    Result
        Not converging is a status, never an exception. Ctrl-C ends the run between two steps with what it has; a
        second Ctrl-C raises KeyboardInterrupt.

    Raises
    ------
    ProblemError
        The problem does not fit the solver, or its data or starting point are wrong.
    OptionError
        An argument is out of range, or a callback returned something else than None or a bool.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import LinearSystem
    >>> from resolvent.solvers import ConjugateGradient
    >>> system = LinearSystem(np.array([[4.0, 1.0], [1.0, 3.0]]), [1.0, 2.0], spd=True)
    >>> result = rs.solve(system, ConjugateGradient(), stop=rs.Stop(rtol=1e-10))
    >>> result.success, result.iterations
    (True, 2)
    """
    with interruptible() as interrupts:
        run = Run(problem, solver, start, resume, stop, rng, callback, interrupts)
        while not run.status:
            run._turn()  # a nested solve sees our signal handler and needs no other mark
        return run.result


def iterate(
    problem: Problem,
    solver: Solver[Any, Any],
    start: Any = None,
    *,
    resume: State | str | os.PathLike[str] | None = None,
    stop: Stop | None = None,
    rng: RandomSource = None,
    callback: Callback | Sequence[Callback] | None = None,
) -> Run:
    """Return an iterator over the live state, one step at a time; the arguments are those of `solve`.

    ``run.state`` and ``run.result`` are valid at any time, also before the first step and after a break.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import LinearSystem
    >>> from resolvent.solvers import ConjugateGradient
    >>> run = rs.iterate(LinearSystem(np.diag([1.0, 2.0, 3.0]), [1.0, 1.0, 1.0], spd=True), ConjugateGradient())
    >>> [state.iterations for state in run]
    [1, 2, 3]
    >>> run.result.status.name
    'CONVERGED'
    """
    return Run(problem, solver, start, resume, stop, rng, callback)


class Run:
    """A run in progress: an iterator over its live state.

    Attributes
    ----------
    problem, solver, stop
    state : State
        The live state, updated by each step.
    status : Status
        RUNNING until the run is over.
    message : str
    history : History
    """

    def __init__(
        self,
        problem: Problem,
        solver: Solver[Any, Any],
        start: Any = None,
        resume: State | str | os.PathLike[str] | None = None,
        stop: Stop | None = None,
        rng: RandomSource = None,
        callback: Callback | Sequence[Callback] | None = None,
        interrupts: list[int] | None = None,
    ) -> None:
        if not isinstance(solver, Solver):
            raise OptionError(f"solver is {solver!r}, expected a Solver object")
        require_match(problem, solver)
        if stop is not None and not isinstance(stop, Stop):
            raise OptionError(f"stop is {stop!r}, expected a Stop")
        if resume is not None and (start is not None or rng is not None):
            raise OptionError("resume goes on from its own point and random numbers: give neither start nor rng")
        self.problem, self.solver = problem, solver
        self.stop = Stop() if stop is None else stop
        self.callbacks = _callbacks(callback)
        self.history = History()
        self.status, self.message = Status.RUNNING, ""
        self._interrupts = [] if interrupts is None else interrupts
        self._shared = type(problem).agree is not Problem.agree
        self._resumed = resume is not None
        self._turns, self._doubts = 0, 0
        self._result: Result | None = None
        self._counts = dict(problem.counts)
        clock = perf_counter()
        self.state = self._begin(start, rng) if resume is None else self._go_on(resume)
        self._write_limits(clock)
        self._step, self._cost, self._tally = solver.step, problem.evaluations, problem.counts
        self._turn(callbacks=())

    def _begin(self, start: Any, rng: RandomSource) -> State:
        x0, y0, previous = _unpack(self.problem, self.solver, start)
        try:
            state: State = self.solver.start(self.problem, x0, rng, y0=y0, previous=previous)
        except Exception as error:
            error.add_note(f"in {type(self.solver).__name__}.start")
            raise
        return state

    def _go_on(self, resume: State | str | os.PathLike[str]) -> State:
        kind = self.solver.state
        state = resume.copy() if isinstance(resume, State) else load_state(resume, kind)
        if not isinstance(state, kind):
            raise OptionError(f"resume is a {type(state).__name__}, expected a {kind.__name__}")
        if state.run.problem != self.problem.identity():
            raise OptionError(
                f"resume belongs to the problem <{state.run.problem}>, expected <{self.problem.identity()}>"
            )
        state.status, state.message = Status.RUNNING, ""
        if self.problem.infeasible:
            state.give_up(Status.INFEASIBLE, self.problem.infeasible)
        return state

    def _write_limits(self, clock: float) -> None:
        state, stop = self.state, self.stop
        usual = self.solver.usual_iterations
        state.atol, state.rtol = stop.tolerances(self.problem.dtype)
        state.limit = usual if stop.iterations is None else stop.iterations
        self._clock = clock - state.run.seconds
        self._seconds = inf if stop.seconds is None else stop.seconds
        self._evaluations = inf if stop.evaluations is None else stop.evaluations
        self._spent = state.run.evaluations - self.problem.evaluations(self._counts)

    # ---- the loop

    def advance(self) -> bool:
        """Take one step; return False where the run was over already."""
        if self.status:
            return False
        nesting.depth += 1
        try:
            self._turn()
        finally:
            nesting.depth -= 1
        return True

    def __iter__(self) -> Run:
        return self

    def __next__(self) -> State:
        try:
            more = self.advance()
        except StopIteration as error:  # it would end the caller's for loop silently
            raise RuntimeError("a user function raised StopIteration") from error
        if not more:
            raise StopIteration
        return self.state

    def _turn(self, callbacks: tuple[Callback, ...] | None = None) -> None:
        """Step, clock, callbacks, verdict, history. The first turn, which is given its callbacks, takes no step.

        Written for speed: nothing but cheap tests runs where the verdict is RUNNING.
        """
        state = self.state
        before = state.iterations
        try:
            if callbacks is None:
                callbacks = self.callbacks
                self.state = state = self._step(self.problem, state)
                if state.iterations <= before and not state.status:
                    state.give_up(Status.STALLED, "the step did nothing: neither iterations nor status changed")
            info = state.run
            info.seconds = seconds = perf_counter() - self._clock
            info.evaluations = evaluations = self._cost(self._tally) + self._spent
            self._turns = turns = self._turns + 1
            columns, residual, scale = state.record(), state.residual, state.scale
            total = sum(columns.values(), scale if residual is None else scale + residual)
            suspect = not isfinite(total) or (residual is None and turns & 15 == 0)
            fault = self._fault(state, columns) if suspect else ""
            asked = False
            if callbacks and not fault:
                for callback in callbacks:
                    answer = callback(state)
                    if answer is not None:
                        asked = _as_bool(answer) or asked
            if (
                (residual is not None and residual <= state.atol + state.rtol * scale)
                or fault
                or asked
                or state.status
                or state.iterations >= state.limit
                or seconds >= self._seconds
                or evaluations >= self._evaluations
                or self._interrupts
                or self._shared
            ):
                self.status, self.message = self._verdict(state, fault, asked)
                residual = state.residual  # a check may have written a fresh one
                if self.status:
                    self._end()
                    return
            if turns % self.history.stride == 0:
                self.history.add((state.iterations, seconds, evaluations, residual, columns))
        except BaseException as error:
            error.add_note(f"in {type(self.solver).__name__}, iteration {before + 1}")
            raise

    def _fault(self, state: State, columns: dict[str, float]) -> str:
        """Return the name of what is not finite, or nothing."""
        if state.residual is None:
            if not arrays.is_finite(state.x):
                return "x"
        elif not isfinite(state.residual):
            return "the residual"
        if not isfinite(state.scale):
            return "the scale"
        return next((name for name, value in columns.items() if not isfinite(value)), "")

    def _verdict(self, state: State, fault: str, asked: bool) -> tuple[Status, str]:
        """Decide in this order: not finite, tolerance, the solver's word, callback, Ctrl-C, limits."""
        if not self._shared:
            return self._local_verdict(state, fault, asked)
        if self.problem.agree(int(bool(fault))) and not fault:
            fault = "a number on another process"
        status, message = self._local_verdict(state, fault, asked)
        agreed = Status(self.problem.agree(int(status)))
        return agreed, message if agreed is status else f"another process says: {agreed.meaning}"

    def _local_verdict(self, state: State, fault: str, asked: bool) -> tuple[Status, str]:
        if not fault and state.met:
            status, message = self._check(state)
            if status:
                return status, message
        status, message = self._end_without_tolerance(state, asked)
        if status and not fault and state.residual is None and not arrays.is_finite(state.x):
            fault = "x"
        if fault:
            return Status.DIVERGED, f"{fault} is not finite at iteration {state.iterations}"
        return status, message

    def _end_without_tolerance(self, state: State, asked: bool) -> tuple[Status, str]:
        if state.status:
            return Status(state.status), state.message
        if asked:
            return Status.USER, f"a callback stopped the run at iteration {state.iterations}"
        if self._interrupts:
            return Status.INTERRUPTED, f"Ctrl-C stopped the run at iteration {state.iterations}"
        reached = "" if state.residual is None else f", residual {state.residual:.3e} > {state.tolerance:.3e}"
        if self._resumed and self._turns == 1:
            reached += "; it was reached before the run was resumed"
        if state.iterations >= state.limit:
            return Status.ITERATIONS, f"limit of {state.limit:g} iterations reached{reached}"
        if state.run.evaluations >= self._evaluations:
            return Status.EVALUATIONS, f"limit of {self._evaluations:g} evaluations reached{reached}"
        if state.run.seconds >= self._seconds:
            return Status.SECONDS, f"limit of {self._seconds:g} s reached{reached}"
        return Status.RUNNING, ""

    def _check(self, state: State) -> tuple[Status, str]:
        """Compare the claimed residual with a fresh one. The first disagreement may be rounding: the run goes on."""
        claimed, claimed_scale = state.residual, state.scale
        residual, scale = self.problem.verify(*state.certificate())
        state.residual, state.scale = residual, scale
        if state.met:
            met = f"residual {residual:.3e} <= tolerance {state.tolerance:.3e}"
            return Status.CONVERGED, f"{met}; {state.message}" if state.message else met
        self._doubts += 1
        if self._doubts == 1:
            return Status.RUNNING, ""
        fresh = "is not defined" if residual is None else f"is {residual:.3e} (scale {scale:.3e})"
        return Status.STALLED, (
            f"the solver claims the residual {claimed:.3e} (scale {claimed_scale:.3e}), a fresh one {fresh}, "
            f"above the tolerance {state.tolerance:.3e}"
        )

    # ---- the answer

    def _end(self) -> None:
        self._result = self._answer(self.state)  # nothing steps it any more; factors and hierarchies are at hand there
        for callback in self.callbacks:
            end = getattr(callback, "end", None)
            if end is not None:
                end(self._result)

    @property
    def result(self) -> Result:
        """The result as it stands. A look at it in mid-run changes nothing, not even the counts."""
        if self._result is not None:
            return self._result
        counts = dict(self.problem.counts)
        try:
            return self._answer(self.state.copy())
        finally:
            self.problem.counts.clear()
            self.problem.counts.update(counts)

    def _answer(self, state: State) -> Result:
        problem = self.problem
        state.status, state.message = self.status, self.message
        finish = getattr(self.solver, "finish", None)
        final = state if finish is None else finish(problem, copy.copy(state))
        status, message = self.status, self.message
        if finish is not None and status in CHECKED_AGAIN and final.met:
            self._doubts = 0
            checked, text = self._check(final)
            if checked is Status.CONVERGED and status is not Status.FINISHED:
                status, message = checked, text
        counts = {name: n - self._counts.get(name, 0) for name, n in problem.counts.items()}
        info = state.run
        last = (state.iterations, info.seconds, info.evaluations, state.residual, state.record())
        return Result(
            x=final.x,
            certificate=final.certificate(),
            status=status,
            message=message,
            residual=final.residual,
            scale=final.scale,
            iterations=state.iterations,
            seconds=state.run.seconds,
            counts={name: n for name, n in counts.items() if n},
            history=self.history.columns(last),
            state=state,
            solver=self.solver,
            stop=self.stop,
            problem_name=problem.name,
            seed=state.run.seed,
        )


def _unpack(problem: Problem, solver: Solver[Any, Any], start: Any) -> tuple[Any, Any, State | None]:
    """Return x0, y0 and the previous state that `start` stands for."""
    if isinstance(start, Result | State):
        state = start.state if isinstance(start, Result) else start
        certificate = start.certificate if isinstance(start, Result) else start.certificate()
        y0 = certificate[1] if len(certificate) > 1 and hasattr(problem, "y0") else None
        return start.x, y0, state if isinstance(state, solver.state) else None
    if isinstance(start, str | os.PathLike):
        raise OptionError(f"start is {os.fspath(start)!r}, expected a point or a result; a checkpoint goes to resume=")
    if isinstance(start, tuple) and not isinstance(problem.x0, tuple):
        if len(start) != 2:
            raise ProblemError(f"start is a tuple of {len(start)}, expected (x, y)")
        return start[0], start[1], None
    return start, None, None


def _callbacks(callback: Callback | Sequence[Callback] | None) -> tuple[Callback, ...]:
    if callback is None:
        return ()
    found = tuple(callback) if isinstance(callback, list | tuple) else (callback,)
    for one in found:
        if not callable(one):
            raise OptionError(f"callback is {one!r}, expected a function")
    return found


def _as_bool(answer: Any) -> bool:
    if not isinstance(answer, bool | np.bool_):
        raise OptionError(f"callback returned {answer!r}, expected None or a bool")
    return bool(answer)
