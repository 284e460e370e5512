"""History columns have equal length, and the last row is the end of the run."""

from dataclasses import replace

import numpy as np
import pytest

import resolvent as rs
from tests.contracts.helpers import every, in_steps, run, those


@every
@pytest.mark.parametrize("iterations", [0, 3, None])
def test_columns_have_equal_length(case, iterations):
    history = run(case, stop=replace(case.stop, iterations=iterations)).history
    assert {"iterations", "seconds", "evaluations", "residual"} <= history.keys()
    assert len({column.shape for column in history.values()}) == 1
    assert history["residual"].ndim == 1


@every
def test_the_last_row_is_the_running_state_at_its_end(case):
    """`finish` may answer with another point than the one where the run ended."""
    result = run(case)
    state = result.state
    last = {name: column[-1] for name, column in result.history.items()}
    assert last["iterations"] == result.iterations
    assert last["evaluations"] == state.run.evaluations
    assert last["seconds"] == result.seconds
    assert np.isnan(last["residual"]) if state.residual is None else last["residual"] == state.residual
    for name, value in state.record().items():
        assert last[name] == value


@every
def test_rows_follow_each_other(case):
    history = run(case).history
    assert history["iterations"].dtype == np.int64
    assert (np.diff(history["iterations"]) >= 0).all()
    assert (np.diff(history["seconds"]) >= 0).all()
    assert (np.diff(history["evaluations"]) >= 0).all()


@those(in_steps)
def test_of_a_resumed_run_is_of_this_call(case):
    whole = run(case).history
    first = run(case, stop=rs.Stop(rtol=0, iterations=2))
    rest = run(case, resume=first.state).history
    assert rest["iterations"][0] == 2
    assert rest["iterations"][-1] == whole["iterations"][-1]
    assert rest["evaluations"][0] >= first.history["evaluations"][-1]
