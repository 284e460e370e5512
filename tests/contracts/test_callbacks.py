"""A callback sees every step and stops the run at exactly the step that it asks for."""

import numpy as np
import pytest

import resolvent as rs
from resolvent import OptionError, Status
from tests.contracts.helpers import every, run

ENDLESS = rs.Stop(atol=0, rtol=0)


@every
@pytest.mark.parametrize("last", [1, 3])
def test_stops_at_exactly_the_step_it_asks_for(case, last):
    seen = []

    def callback(state):
        seen.append(state.iterations)
        return len(seen) == last

    result = run(case, callback=callback, stop=ENDLESS)
    assert result.status is Status.USER
    assert len(seen) == last
    assert result.iterations == seen[-1]
    assert f"iteration {seen[-1]}" in result.message
    assert not result.success


@every
def test_is_called_once_after_each_step(case):
    seen, answers = [], iter([None, False, np.bool_(False)])
    result = run(case, callback=lambda state: seen.append(state.iterations) or next(answers, None))
    assert seen == result.history["iterations"][1:].tolist()


@every
def test_looking_changes_nothing(case):
    seen = []
    watched = run(case, callback=lambda state: seen.append(state.copy().record()))
    alone = run(case)
    assert watched.iterations == alone.iterations
    assert watched.counts == alone.counts


@every
@pytest.mark.parametrize("answer", [0, 1.0, "stop", np.ones(2)])
def test_another_answer_than_a_bool_is_an_error(case, answer):
    with pytest.raises(OptionError, match=r"callback returned .*, expected None or a bool"):
        run(case, callback=lambda state: answer, stop=ENDLESS)
