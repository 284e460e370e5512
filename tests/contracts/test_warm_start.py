"""A warm start on a changed problem gives the answer of a cold start, and spoils nothing."""

import numpy as np
import pytest

import resolvent as rs
from tests.contracts.helpers import every, run, same, those

changed = those(lambda case: case.changed and case.unique)


@changed
@pytest.mark.parametrize("form", ["result", "state"])
def test_gives_the_answer_of_a_cold_start(case, form):
    first = run(case)
    cold = run(case, case.changed())
    warm = run(case, case.changed(), first if form == "result" else first.state)
    assert cold.success
    assert warm.success
    close = max(1e-3, 10 * case.stop.rtol)
    assert not np.allclose(cold.x, first.x, rtol=0, atol=close), "the changed problem is the same one"
    assert np.allclose(cold.x, warm.x, rtol=0, atol=close)


@changed
def test_does_not_touch_the_old_result(case):
    first, kept = run(case), run(case)
    run(case, case.changed(), first)
    assert same(first.certificate, kept.certificate)
    again = run(case, resume=first.state)
    assert again.success
    assert same(again.certificate, kept.certificate)


@changed
def test_an_interrupted_old_run_can_still_be_resumed(case):
    whole = run(case)
    stop = rs.Stop(rtol=case.stop.rtol, iterations=whole.iterations // 2)
    first = run(case, stop=stop)
    run(case, case.changed(), first)
    assert same(run(case, resume=first.state).certificate, whole.certificate)


@every
def test_the_old_problem_again_is_no_harder(case):
    """The new run begins at the old answer and ends with one at least as good."""
    first = run(case)
    again = run(case, start=first)
    assert again.success
    if first.residual is not None and case.stop.named:
        assert again.iterations == 0
        rounding = 16 * np.finfo(float).eps * first.scale  # a residual may hang on how predictions were added up
        assert again.residual <= first.residual * (1 + 1e-6) + rounding
