"""A solver prints nothing and logs nothing unless asked."""

import logging

import resolvent as rs
from tests.contracts.helpers import every, run


@every
def test_nothing_is_printed(case, capfd, caplog):
    with caplog.at_level(logging.DEBUG):
        run(case)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""
    assert not caplog.records


@every
def test_progress_prints_when_asked(case, capfd):
    result = run(case, callback=rs.Progress(every=0))
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["iterations", "residual", "tolerance", "evaluations", "seconds"]
    assert len(lines) == len(result.history["iterations"]) + 2
    assert lines[-1] == f"{result.status.name}: {result.message}"
    assert err == ""


@every
def test_a_result_prints_as_a_summary(case):
    text = str(run(case))
    assert text.startswith(f"{type(case.solver).__name__} on {case.problem().name}: ")
    assert 4 <= len(text.splitlines()) <= 10
