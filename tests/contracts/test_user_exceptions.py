"""An exception in user code arrives unchanged, with a note, and leaves a consistent state."""

import pytest

import resolvent as rs
from tests.contracts.helpers import calls_of, every, has_residual, hooked, run, same, those

with_functions = those(lambda case: case.functions)


def failing(case, name, at):
    """Return the problem whose function `name` raises in its call number `at`, once, and the error."""
    calls, error = [0], ValueError("planted")

    def hook(called, function, args):
        calls[0] += called == name
        if called == name and calls[0] == at:
            raise error
        return function(*args)

    problem = hooked(case, hook)
    calls[0] = 0
    return problem, error


def moments(case, name):
    """Return numbers of calls after the start: the first, one in the middle, and the last two."""
    first = calls_of(case, case.solver.start)[name]
    last = calls_of(case, lambda problem: run(case, problem))[name]
    assert last > first, f"{name} is not called after the start"
    return sorted({first + 1, (first + last + 1) // 2, max(last - 1, first + 1), last})


@with_functions
def test_in_the_start(case):
    for name in calls_of(case, case.solver.start):
        problem, error = failing(case, name, 1)
        with pytest.raises(ValueError, match="planted") as caught:
            run(case, problem)
        notes = " ".join(caught.value.__notes__)
        assert caught.value is error
        assert f"raised inside {name}(...)" in notes
        assert f"in {type(case.solver).__name__}.start" in notes


@with_functions
@pytest.mark.parametrize("how", ["solve", "iterate"])
def test_in_a_step(case, how):
    for name in case.functions:
        for at in moments(case, name)[:2]:
            problem, error = failing(case, name, at)
            with pytest.raises(ValueError, match="planted") as caught:
                run(case, problem) if how == "solve" else list(rs.iterate(problem, case.solver, stop=case.stop))
            notes = " ".join(caught.value.__notes__)
            assert caught.value is error
            assert f"raised inside {name}(...)" in notes
            assert f"in {type(case.solver).__name__}, iteration" in notes


@with_functions
def test_leaves_a_state_whose_fields_belong_together(case):
    for name in case.functions:
        for at in moments(case, name):
            problem, _ = failing(case, name, at)
            running = rs.iterate(problem, case.solver, stop=case.stop)
            with pytest.raises(ValueError, match="planted"):
                list(running)
            state, clean = running.state, case.problem()
            if state.residual is not None:
                fresh = clean.residual(*state.certificate())
                assert state.residual == pytest.approx(fresh, rel=1e-6, abs=1e-12 * state.scale)
                assert state.scale == pytest.approx(clean.scale(*state.certificate()))


@with_functions
def test_the_run_can_be_resumed(case):
    """To the same bits, unless the method is random and had drawn its numbers before the call that raised."""
    whole = run(case)
    for name in case.functions:
        problem, _ = failing(case, name, moments(case, name)[-1])
        running = rs.iterate(problem, case.solver, stop=case.stop)
        with pytest.raises(ValueError, match="planted"):
            list(running)
        rest = run(case, resume=running.result.state)
        assert rest.success, f"{name}: {rest.message}"
        assert case.random or same(rest.certificate, whole.certificate), name


@every
def test_in_a_callback(case):
    error = RuntimeError("planted")

    def callback(state):
        raise error

    stop = rs.Stop(rtol=0) if has_residual(case) else case.stop
    with pytest.raises(RuntimeError, match="planted") as caught:
        run(case, callback=callback, stop=stop)
    assert caught.value is error
    assert "iteration 1" in " ".join(error.__notes__)
