"""No call changes the user's arrays, the problem or the solver."""

import copy

import numpy as np

import resolvent as rs
from resolvent.problems.base import Oracle
from tests.contracts.helpers import arrays_in, every, run, same, those


def facts(problem):
    """Return what may not change: all but the counters, and what is computed when asked for and kept."""
    kept = {k: v for k, v in vars(problem).items() if k not in ("counts", "_scale", "_kept")}
    return {k: v.function if isinstance(v, Oracle) else v for k, v in kept.items()}


@those(lambda case: case.problem().x0 is not None)
def test_x0_of_the_user_is_unchanged_and_not_shared(case):
    problem = case.problem()
    x0 = copy.deepcopy(problem.x0)
    before = copy.deepcopy(x0)
    result = run(case, problem, x0)
    assert same(x0, before)
    assert same(problem.x0, before)
    for mine in (*arrays_in(x0), *arrays_in(problem.x0)):
        for theirs in (*arrays_in(result.x), *arrays_in(result.certificate), *arrays_in(result.state)):
            assert not np.shares_memory(mine, theirs)


@every
def test_the_problem_is_unchanged(case):
    problem = case.problem()
    now = facts(problem)
    before = {k: copy.deepcopy(v) if list(arrays_in(v)) else v for k, v in now.items()}
    run(case, problem)
    after = facts(problem)
    assert after.keys() == before.keys()
    for name, value in after.items():
        assert value is now[name], f"{name} was replaced"
        assert same(list(arrays_in(value)), list(arrays_in(before[name]))), f"{name} was written to"


@every
def test_the_solver_is_unchanged(case):
    before = copy.deepcopy(vars(case.solver))
    run(case)
    assert vars(case.solver).keys() == before.keys()
    for name, value in vars(case.solver).items():
        assert type(value) is type(before[name])
        assert value == before[name] or vars(value) == vars(before[name])


@every
def test_data_of_the_problem_never_enter_a_state(case):
    problem = case.problem()
    data = [*arrays_in(list(facts(problem).values())), *arrays_in(getattr(problem, "A", None))]
    run_ = rs.iterate(problem, case.solver, stop=case.stop)
    for step, state in zip(range(4), run_, strict=False):
        for mine in arrays_in(state):
            assert not any(np.shares_memory(mine, theirs) for theirs in data), f"after step {step}"
