"""nan or inf from a user's function is a ProblemError at x0; later it is never a success."""

import numpy as np
import pytest

import resolvent as rs
from resolvent import ProblemError, Status, arrays
from tests.contracts.helpers import calls_of, hooked, run, those

with_functions = those(lambda case: case.functions)
values = pytest.mark.parametrize("value", [np.nan, np.inf])


def spoiled(case, name, value, after):
    """Return the problem whose function `name` is not finite after so many calls, and a list of spoiled calls."""
    calls, spoils = [0], []

    def hook(called, function, args):
        answer = function(*args)
        calls[0] += called == name
        if called != name or calls[0] <= after:
            return answer
        spoils.append(calls[0])
        return (
            tuple(np.full_like(part, value) for part in answer) if isinstance(answer, tuple) else filled(answer, value)
        )

    problem = hooked(case, hook)
    calls[0] = 0
    return problem, spoils


def filled(answer, value):
    return np.full_like(answer, value) if isinstance(answer, np.ndarray) else value


@with_functions
@values
def test_at_x0_is_a_problem_error(case, value):
    called = calls_of(case, case.solver.start)
    assert called or case.name == "evolution"  # the scheme needs R in its first step alone
    for name in called:
        problem, _ = spoiled(case, name, value, after=0)
        with pytest.raises(ProblemError, match=f"{name} returned .*(nan|inf).* at the starting point"):
            run(case, problem)


@with_functions
@values
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, from inf - inf
def test_later_is_no_success(case, value):
    at_start = calls_of(case, case.solver.start)
    in_all = calls_of(case, lambda problem: run(case, problem))
    for name in case.functions:
        first, last = at_start[name], in_all[name]
        for after in {first, first + 1, (first + last) // 2}:
            problem, spoils = spoiled(case, name, value, after)
            result = run(case, problem)
            assert spoils, f"{name} was not called after {after} calls"
            assert not result.success, f"{name} after {after} calls: {result.message}"
            assert result.message
            assert result.status is Status.DIVERGED or arrays.is_finite(result.x)


@with_functions
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_strictness_ends_with_the_start(case):
    """At a trial point nan is a number like another: only the start raises."""
    for name in case.functions:
        after = calls_of(case, case.solver.start)[name]
        problem, _ = spoiled(case, name, np.nan, after)
        for _ in rs.iterate(problem, case.solver, stop=case.stop):
            pass
        assert not any(oracle.strict for oracle in problem.oracles())
