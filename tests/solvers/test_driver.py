"""The driver: entrances, the order of the verdict, callbacks, and what is said about wrong arguments."""

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import resolvent as rs
from resolvent import OptionError, ProblemError, Status
from resolvent.problems import LinearSystem
from resolvent.problems.base import Problem
from resolvent.problems.library import hs
from resolvent.solvers import ConjugateGradient, SketchedNewton, Solver, State
from tests.toys.dishonest import Counting
from tests.toys.random_search import RandomSearch, valley
from tests.toys.training import Network


def system(n=10, **options):
    return LinearSystem(np.diag(np.arange(1.0, n + 1)), np.ones(n), spd=True, name="diagonal", **options)


@dataclass(kw_only=True, eq=False, repr=False)
class Line(Problem):
    """The residual of x is |x|."""

    x0: Any = field(default_factory=lambda: np.array([8.0]))

    def residual(self, x):
        self.counts["apply"] += 1
        return float(abs(x[0]))

    def evaluations(self, counts):
        return float(counts.get("apply", 0))


@dataclass(frozen=True, kw_only=True)
class Script(Solver[Line, State]):
    """Each step writes what the script says into the state, and counts."""

    solves = Line
    state = State
    script: tuple[dict[str, Any], ...] = ()

    def begin(self, problem, x0, y0, rng, previous):
        return State(x=x0, residual=float(abs(x0[0])))

    def step(self, problem, state):
        for name, value in self.script[min(state.iterations, len(self.script) - 1)].items():
            setattr(state, name, value)
        state.iterations += 1
        return state


def play(*script, stop=None, **options):
    return rs.solve(Line(), Script(script=script), stop=rs.Stop(atol=1.0) if stop is None else stop, **options)


def at(x, **more):
    return {"x": np.array([x]), "residual": abs(x), **more}


# ---- the order of the verdict


@pytest.mark.parametrize(
    ("last", "asked", "expected"),
    [
        (at(np.nan, status=Status.BREAKDOWN), True, Status.DIVERGED),
        (at(0.5, scale=np.inf), True, Status.DIVERGED),
        (at(0.5, status=Status.BREAKDOWN), True, Status.CONVERGED),
        (at(5.0, status=Status.BREAKDOWN), True, Status.BREAKDOWN),
        (at(5.0, status=Status.FINISHED), True, Status.FINISHED),
        (at(5.0), True, Status.USER),
        (at(5.0), False, Status.ITERATIONS),
    ],
)
def test_not_finite_then_tolerance_then_the_method_then_the_callback_then_limits(last, asked, expected):
    """Everything happens in the second step, the last one allowed."""
    result = play(
        at(6.0), last, stop=rs.Stop(atol=1.0, iterations=2), callback=lambda state: asked and state.iterations == 2
    )
    assert result.status is expected
    assert result.iterations == 2


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"iterations": 0, "evaluations": 0, "seconds": 0}, Status.ITERATIONS),
        ({"evaluations": 0, "seconds": 0}, Status.EVALUATIONS),
        ({"seconds": 0}, Status.SECONDS),
    ],
)
def test_of_several_limits_the_first_of_the_list_speaks(limits, expected):
    assert play(at(5.0), stop=rs.Stop(atol=1.0, **limits)).status is expected


def test_a_message_of_a_limit_has_its_value_and_the_residual():
    assert play(at(5.0), stop=rs.Stop(atol=1.0, iterations=3)).message == (
        "limit of 3 iterations reached, residual 5.000e+00 > 1.000e+00"
    )


def test_the_tolerance_is_checked_with_a_fresh_residual_counted_as_a_check():
    result = play(at(0.5))
    assert result.status is Status.CONVERGED
    assert result.message == "residual 5.000e-01 <= tolerance 1.000e+00"
    assert result.counts == {"check.apply": 1}


def test_the_first_disagreement_is_forgiven_and_the_second_is_not():
    wrong = {"x": np.array([5.0]), "residual": 0.25}
    once = play(wrong, at(3.0), at(0.5))
    assert once.status is Status.CONVERGED
    assert once.history["residual"].tolist() == [8, 5, 3, 0.5], "the fresh residual stands in the history"
    twice = play(wrong, at(3.0), wrong, at(0.5))
    assert twice.status is Status.STALLED
    assert twice.iterations == 3
    assert twice.message == (
        "the solver claims the residual 2.500e-01 (scale 1.000e+00), a fresh one is 5.000e+00 (scale 1.000e+00), "
        "above the tolerance 1.000e+00"
    )


def test_a_callback_does_not_see_a_state_that_is_not_finite():
    seen = []
    result = play(at(5.0), at(np.inf), callback=lambda state: seen.append(state.residual))
    assert result.status is Status.DIVERGED
    assert result.message == "the residual is not finite at iteration 2"
    assert seen == [5]


@dataclass(frozen=True, kw_only=True)
class Spoiling(Counting):
    """x becomes nan after some steps; no residual is known."""

    after: int = 3

    def begin(self, problem, x0, y0, rng, previous):
        return State(x=x0)

    def step(self, problem, state):
        if state.iterations == self.after:
            state.x = state.x * np.nan
        return super().step(problem, state)


def test_without_a_residual_x_is_looked_at_every_sixteenth_step():
    result = rs.solve(Line(), Spoiling(), stop=rs.Stop(iterations=1000))
    assert result.status is Status.DIVERGED
    assert result.message == "x is not finite at iteration 15"


def test_without_a_residual_x_is_looked_at_at_the_end():
    result = rs.solve(Line(), Spoiling(), stop=rs.Stop(iterations=5))
    assert result.status is Status.DIVERGED


def test_an_operator_is_asked_itself_whether_it_is_finite():
    @dataclass(frozen=True, kw_only=True)
    class Weights(Counting):
        def begin(self, problem, x0, y0, rng, previous):
            return State(x=Network(np.ones((1, 1)), np.full((1, 1), np.nan)))

    assert rs.solve(Line(), Weights(), stop=rs.Stop(iterations=3)).status is Status.DIVERGED


def test_a_recorded_value_that_is_not_finite_is_named():
    @dataclass(kw_only=True, eq=False)
    class Drifting(State):
        def record(self):
            return {"drift": np.nan if self.iterations > 1 else 0.0}

    @dataclass(frozen=True, kw_only=True)
    class Drifts(Counting):
        def begin(self, problem, x0, y0, rng, previous):
            return Drifting(x=x0, residual=1.0)

    result = rs.solve(Line(), Drifts(), stop=rs.Stop(rtol=0))
    assert result.message == "drift is not finite at iteration 2"


def test_a_residual_that_is_not_finite_at_the_start_is_an_error():
    class Endless(Line):
        pass

    @dataclass(frozen=True, kw_only=True)
    class Starts(Counting):
        def begin(self, problem, x0, y0, rng, previous):
            return State(x=x0, residual=np.inf)

    with pytest.raises(ProblemError, match=r"^the residual at the starting point is inf, expected a finite number"):
        rs.solve(Endless(), Starts())


# ---- success


@pytest.mark.parametrize(
    ("residual", "stop", "success"),
    [
        (None, rs.Stop(atol=1.0), True),
        (5.0, rs.Stop(), True),
        (5.0, rs.Stop(atol=1.0), False),
        (5.0, rs.Stop(rtol=1e-3), False),
    ],
)
def test_finished_is_a_success_unless_a_named_tolerance_is_missed(residual, stop, success):
    result = play({"x": np.array([5.0]), "residual": residual, "status": Status.FINISHED}, stop=stop)
    assert result.status is Status.FINISHED
    assert result.success is success


def test_finish_may_show_that_the_run_has_converged():
    """A full pass paid for at the end counts, where a limit or STALLED ended the run."""

    @dataclass(frozen=True, kw_only=True)
    class Better(Script):
        claim: float = 0.5

        def finish(self, problem, state):
            state.x, state.residual = np.array([0.5]), self.claim
            return state

    for last, expected in [
        ({}, Status.CONVERGED),
        ({"status": Status.STALLED}, Status.CONVERGED),
        ({"status": Status.BREAKDOWN}, Status.BREAKDOWN),
        ({"status": Status.FINISHED}, Status.FINISHED),
    ]:
        result = rs.solve(Line(), Better(script=(at(5.0, **last),)), stop=rs.Stop(atol=1.0, iterations=1))
        assert result.status is expected
        assert result.residual == 0.5
        assert result.state.residual == 5, "the running state is the one before finish"


def test_finish_cannot_lie_its_way_to_convergence():
    @dataclass(frozen=True, kw_only=True)
    class Boasting(Script):
        def finish(self, problem, state):
            state.residual = 0.0
            return state

    result = rs.solve(Line(), Boasting(script=(at(5.0),)), stop=rs.Stop(atol=1.0, iterations=1))
    assert result.status is Status.ITERATIONS
    assert result.residual == 5


# ---- entrances


def test_a_start_can_be_an_array_a_list_a_result_or_a_state():
    solver, answer = ConjugateGradient(), 1 / np.arange(1.0, 11)
    first = rs.solve(system(), solver, stop=rs.Stop(rtol=1e-12))
    for start in (answer, answer.tolist(), first, first.state):
        assert rs.solve(system(), solver, start).iterations == 0
    assert rs.solve(system(), solver, None).iterations > 0


def test_a_tuple_is_a_point_with_its_multipliers():
    answer = rs.solve(hs.hs77(), SketchedNewton(), stop=rs.Stop(rtol=1e-10))
    assert rs.solve(hs.hs77(), SketchedNewton(), answer.certificate).iterations == 0
    with pytest.raises(ProblemError, match=r"^start is a tuple of 3, expected \(x, y\)$"):
        rs.solve(hs.hs77(), SketchedNewton(), (1, 2, 3))
    with pytest.raises(ProblemError, match=r"^y0 has shape \(5,\), expected \(2,\)"):
        rs.solve(hs.hs77(), SketchedNewton(), (answer.x, answer.x))


@dataclass(frozen=True, kw_only=True)
class Recall(Counting):
    """The state says which multipliers it was given."""

    def begin(self, problem, x0, y0, rng, previous):
        return State(x=x0, message=str(y0))


def test_multipliers_of_a_result_or_a_state_are_handed_on():
    answer = rs.solve(hs.hs77(), SketchedNewton())
    for start in (answer, answer.state, answer.certificate):
        assert rs.iterate(hs.hs77(), Recall(), start).state.message == str(answer.y)
    assert rs.iterate(hs.hs77(), Recall(), answer.x).state.message == "None"


def test_multipliers_of_a_result_are_not_given_to_a_problem_without_them():
    """A certificate (x, theta) of another class is no (x, y)."""
    from tests.toys.composite import CoordinateDescent, lasso

    result = rs.solve(lasso(), CoordinateDescent())
    assert rs.solve(lasso(), CoordinateDescent(), result).success


def test_a_result_of_another_method_gives_its_point_alone():
    given = rs.solve(system(), Counting(), np.full(10, 3.0), stop=rs.Stop(rtol=0, iterations=2))
    state = rs.iterate(system(), ConjugateGradient(), given).state
    assert np.array_equal(state.x, np.full(10, 3.0))
    assert state.iterations == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"solver": "cg"}, "solver is 'cg', expected a Solver object"),
        ({"stop": 1e-8}, "stop is 1e-08, expected a Stop"),
        ({"callback": 3}, "callback is 3, expected a function"),
        ({"callback": [print, 3]}, "callback is 3, expected a function"),
        ({"rng": -1}, "rng is -1, expected a whole number >= 0, a numpy Generator or None"),
        ({"rng": 1.5}, "rng is 1.5, expected a whole number >= 0, a numpy Generator or None"),
        ({"rng": True}, "rng is True, expected a whole number >= 0, a numpy Generator or None"),
        ({"rng": np.random.RandomState(0)}, "rng is RandomState.*, expected a whole number .*"),
        ({"resume": "x", "start": np.zeros(10)}, "resume goes on from its own point and random numbers: .*"),
        ({"resume": "x", "rng": 0}, "resume goes on from its own point and random numbers: .*"),
    ],
)
def test_wrong_arguments_are_named(arguments, said):
    options = {"problem": system(), "solver": ConjugateGradient(), **arguments}
    with pytest.raises(OptionError, match=f"^{said}"):
        rs.solve(**options)


@pytest.mark.parametrize("name", ["atol", "rtol", "iterations", "seconds", "evaluations"])
@pytest.mark.parametrize("value", [-1, np.nan, "1", True, [1]])
def test_wrong_limits_are_named(name, value):
    with pytest.raises(OptionError, match=rf"{name} is .*, expected a number >= 0 or None$"):
        rs.Stop(**{name: value})


def test_positional_limits_are_refused():
    with pytest.raises(TypeError):
        rs.Stop(1e-8)


def test_tolerances_that_are_not_named():
    assert rs.Stop().tolerances(np.float64) == (0, 1e-6)
    assert rs.Stop().tolerances(np.float32) == (0, 1e-4)
    assert rs.Stop(atol=0.5).tolerances(np.float64) == (0.5, 0)
    assert rs.Stop(rtol=1e-9).tolerances(np.float32) == (0, 1e-9)
    assert rs.Stop(iterations=5).tolerances(np.float64) == (0, 1e-6)


def test_the_usual_number_of_iterations_is_that_of_the_solver():
    assert rs.iterate(system(), Counting()).state.limit == Counting.usual_iterations
    assert rs.iterate(system(), Counting(), stop=rs.Stop(iterations=np.inf)).state.limit == np.inf
    assert rs.iterate(system(), Counting(), stop=rs.Stop(iterations=7)).state.limit == 7


# ---- iterate


def test_iterate_yields_the_live_state_and_ends_by_itself():
    run = rs.iterate(system(), ConjugateGradient())
    assert run.status is Status.RUNNING
    assert [state is run.state for state in run] == [True] * run.state.iterations
    assert run.status is Status.CONVERGED
    assert run.advance() is False
    assert run.result is run.result
    assert not list(run)


def test_a_run_that_is_over_before_its_first_step_yields_nothing():
    run = rs.iterate(system(), ConjugateGradient(), 1 / np.arange(1.0, 11))
    assert list(run) == []
    assert run.result.status is Status.CONVERGED


def test_a_stop_iteration_of_the_user_does_not_end_the_loop_silently():
    def objective(x):
        raise StopIteration

    problem = valley()
    run = rs.iterate(problem, RandomSearch())
    problem.objective.function = objective
    with pytest.raises(RuntimeError, match="a user function raised StopIteration"):
        list(run)


def test_a_run_goes_on_after_an_error():
    """The state is consistent, so that the caller may repair the cause."""
    problem = valley()
    run, right = rs.iterate(problem, RandomSearch()), problem.objective.function
    problem.objective.function = lambda x: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run.advance()
    problem.objective.function = right
    assert next(run).iterations == 1


# ---- callbacks


class Recording:
    """A callback with an end."""

    def __init__(self, answer=None):
        self.answer, self.states, self.results = answer, [], []

    def __call__(self, state):
        self.states.append(state.iterations)
        return self.answer

    def end(self, result):
        self.results.append(result)


def test_several_callbacks_are_all_called_and_one_stops():
    one, two, three = Recording(), Recording(answer=True), Recording(answer=False)
    result = rs.solve(system(), ConjugateGradient(), callback=[one, two, three])
    assert result.status is Status.USER
    assert one.states == two.states == three.states == [1]


@pytest.mark.parametrize("end", ["tolerance", "limit", "at once"])
def test_end_is_called_once_with_the_result(end):
    callback = Recording()
    stop = {"tolerance": rs.Stop(), "limit": rs.Stop(rtol=0, iterations=2), "at once": rs.Stop(iterations=0)}[end]
    result = rs.solve(system(), ConjugateGradient(), stop=stop, callback=(callback,))
    assert len(callback.results) == 1
    assert callback.results[0] is result


def test_end_is_called_at_the_end_of_iterate_too():
    callback = Recording()
    run = rs.iterate(system(), ConjugateGradient(), callback=callback)
    next(run)
    assert not callback.results
    list(run)
    assert callback.results == [run.result]


def test_a_callback_is_not_called_before_the_first_step():
    callback = Recording()
    rs.solve(system(), ConjugateGradient(), stop=rs.Stop(iterations=0), callback=callback)
    assert callback.states == []


# ---- history


def test_history_is_bounded_and_keeps_its_last_row():
    result = rs.solve(Line(), Counting(), stop=rs.Stop(rtol=0, iterations=70_001))
    rows = result.history["iterations"]
    assert 10_000 <= len(rows) <= 20_000
    assert rows[-1] == result.iterations == 70_001
    assert len(set(np.diff(rows[:-1]))) == 1, "rows are evenly spread"


def test_a_column_that_is_missing_at_a_row_is_nan_there():
    @dataclass(kw_only=True, eq=False)
    class Sometimes(State):
        def record(self):
            return {"odd": 1.0} if self.iterations % 2 else {}

    @dataclass(frozen=True, kw_only=True)
    class Records(Counting):
        def begin(self, problem, x0, y0, rng, previous):
            return Sometimes(x=x0, residual=1.0)

    history = rs.solve(Line(), Records(), stop=rs.Stop(rtol=0, iterations=3)).history
    assert np.array_equal(history["odd"], [np.nan, 1, np.nan, 1], equal_nan=True)


# ---- Ctrl-C in a process of its own


def test_ctrl_c_at_the_prompt_gives_a_result():
    program = """
import os, signal, threading, numpy as np, resolvent as rs
from tests.toys.dishonest import Counting
from resolvent.problems import LinearSystem
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
problem = LinearSystem(np.eye(2), np.ones(2))
result = rs.solve(problem, Counting(), stop=rs.Stop(rtol=0, iterations=np.inf, seconds=60))
print(result.status.name, result.iterations > 0)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == ["INTERRUPTED", "True"]
