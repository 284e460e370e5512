"""Each limit gives its own status, at exactly its number."""

import resolvent as rs
from resolvent import Status
from tests.contracts.helpers import every, in_steps, run, same, those

ENDLESS = {"atol": 0.0, "rtol": 0.0}


@every
def test_iterations(case):
    result = run(case, stop=rs.Stop(**ENDLESS, iterations=3))
    assert result.status is Status.ITERATIONS
    assert result.iterations == 3
    assert "limit of 3 iterations" in result.message
    assert not result.success


@those(in_steps)
def test_evaluations(case):
    """The run ends at the first step that has used up the limit, no earlier and no later."""
    spent = run(case).history["evaluations"]
    for last in (1, 2, 3):
        assert spent[last] > spent[last - 1], "a step costs nothing"
        result = run(case, stop=rs.Stop(**ENDLESS, evaluations=(spent[last] + spent[last - 1]) / 2))
        assert result.status is Status.EVALUATIONS
        assert "evaluations reached" in result.message
        assert result.history["evaluations"].tolist() == spent[: last + 1].tolist()
    exactly = run(case, stop=rs.Stop(**ENDLESS, evaluations=spent[3]))
    assert len(exactly.history["evaluations"]) == 4


@every
def test_seconds(case):
    result = run(case, stop=rs.Stop(**ENDLESS, seconds=0))
    assert result.status is Status.SECONDS
    assert "limit of 0 s" in result.message
    assert result.iterations == 0


@every
def test_limits_count_over_the_whole_run(case):
    first = run(case, stop=rs.Stop(**ENDLESS, iterations=2))
    rest = run(case, resume=first.state, stop=rs.Stop(**ENDLESS, iterations=4))
    assert rest.status is Status.ITERATIONS
    assert rest.iterations == 4
    assert same(rest.x, run(case, stop=rs.Stop(**ENDLESS, iterations=4)).x)
    assert rest.state.run.evaluations >= first.state.run.evaluations
    assert rest.seconds >= first.seconds


@every
def test_a_resume_that_finds_its_limit_reached_says_so(case):
    first = run(case, stop=rs.Stop(**ENDLESS, iterations=2))
    again = run(case, resume=first.state, stop=rs.Stop(**ENDLESS, iterations=2))
    assert again.status is Status.ITERATIONS
    assert "before the run was resumed" in again.message
    assert same(again.x, first.x)
