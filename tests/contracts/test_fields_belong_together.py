"""The fields of a result and of a state belong to one point."""

from dataclasses import replace

import pytest

from tests.contracts.helpers import every, run


def check(case, certificate, residual, scale):
    problem = case.problem()
    fresh = problem.residual(*certificate)
    if fresh is None:
        assert residual is None
    else:
        assert residual == pytest.approx(fresh, rel=1e-6, abs=1e-12 * scale)
    assert scale == pytest.approx(problem.scale(*certificate), rel=1e-9)


@every
@pytest.mark.parametrize("iterations", [None, 0, 1, 7])
def test_of_the_result(case, iterations):
    result = run(case, stop=replace(case.stop, iterations=iterations))
    check(case, result.certificate, result.residual, result.scale)


@every
def test_of_the_state_after_each_step(case):
    known = []

    def callback(state):
        if state.residual is not None:
            known.append(state.iterations)
            check(case, state.certificate(), state.residual, state.scale)

    result = run(case, callback=callback)
    assert known or result.residual is None
    assert not known or known[-1] == result.iterations


@every
def test_x_is_the_first_part_of_the_certificate(case):
    result = run(case)
    assert result.x is result.certificate[0]
    assert result.y is (result.certificate[1] if len(result.certificate) > 1 else None)
