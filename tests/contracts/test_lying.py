"""A solver that lies about its residual or its scale ends STALLED, never CONVERGED."""

from dataclasses import replace

import pytest

import resolvent as rs
from resolvent import Status
from tests.contracts.helpers import has_residual, in_steps, those
from tests.toys.dishonest import Lying


def deny_residual(state):
    state.residual = 0.0


def inflate_scale(state):
    state.scale = 1e30


@those(in_steps)
def test_about_the_residual(case):
    problem = case.problem()
    result = rs.solve(problem, Lying(method=case.solver, lie=deny_residual), stop=rs.Stop(rtol=1e-14))
    assert result.status is Status.STALLED, result.message
    assert "claims the residual" in result.message
    assert not result.success
    assert result.residual == case.problem().residual(*result.certificate)


@those(lambda case: has_residual(case) and in_steps(case))
def test_about_the_scale(case):
    problem = case.problem()
    result = rs.solve(problem, Lying(method=case.solver, lie=inflate_scale), stop=rs.Stop(rtol=1e-14))
    assert result.status is Status.STALLED, result.message
    assert "scale 1.000e+30" in result.message
    assert result.scale == pytest.approx(case.problem().scale(*result.certificate))


@those(has_residual)
def test_one_wrong_claim_is_forgiven(case):
    """The first disagreement may be rounding: the run goes on, and may still converge."""
    wrong = [1]

    def once(state):
        if wrong and state.residual is not None:
            state.residual = 0.0 * wrong.pop()

    result = rs.solve(
        case.problem(), Lying(method=case.solver, lie=once), stop=replace(case.stop, iterations=case.most)
    )
    assert result.status is Status.CONVERGED, result.message
    assert not wrong
