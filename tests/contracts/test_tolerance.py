"""Runs reach the tolerance, and the tolerance comes before the limits."""

from dataclasses import replace

import pytest

import resolvent as rs
from resolvent import Status
from tests.contracts.helpers import elsewhere, every, has_residual, run, same, those


@every
def test_reaches_the_tolerance(case):
    result = run(case)
    assert result.success, result.message
    assert result.iterations <= case.most
    if has_residual(case):
        assert result.status is Status.CONVERGED
        assert result.residual <= case.stop.rtol * result.scale
    else:
        assert result.status is Status.FINISHED


@those(has_residual)
def test_tolerance_met_on_the_last_allowed_iteration_is_converged(case):
    whole = run(case)
    result = run(case, stop=replace(case.stop, iterations=whole.iterations))
    assert result.status is Status.CONVERGED
    assert result.iterations == whole.iterations


@those(has_residual)
def test_one_iteration_fewer_ends_at_the_limit(case):
    """A method that looks at the residual now and then may find at the cut that it has converged already."""
    fewer = run(case).iterations - 1
    result = run(case, stop=replace(case.stop, iterations=fewer))
    assert result.iterations == fewer
    assert result.status is (Status.CONVERGED if result.residual <= result.tolerance else Status.ITERATIONS)


@every
def test_no_iterations_allowed_returns_the_start(case):
    problem = case.problem()
    result = run(case, problem, stop=replace(case.stop, iterations=0))
    assert result.status is Status.ITERATIONS
    assert result.iterations == 0
    assert same(result.x, case.solver.start(case.problem()).x)
    if problem.x0 is not None:
        assert same(result.x, problem.x0)


@those(has_residual)
def test_a_start_at_the_answer_is_converged_at_once(case):
    answer = run(case)
    again = run(case, start=answer, stop=replace(case.stop, iterations=0))
    assert again.status is Status.CONVERGED
    assert again.iterations == 0


@those(has_residual)
def test_the_tolerance_at_a_point_does_not_depend_on_the_start(case):
    used, fresh = case.problem(), case.problem()
    run(case, used, elsewhere(used.x0), stop=replace(case.stop, iterations=3))
    answer = run(case)
    here = rs.iterate(used, case.solver, answer, stop=case.stop).state
    there = rs.iterate(fresh, case.solver, answer, stop=case.stop).state
    assert here.tolerance == there.tolerance == pytest.approx(case.stop.rtol * fresh.scale(*answer.certificate))
