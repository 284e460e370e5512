"""Result: success, summary, plot and what can be stored."""

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import resolvent as rs
from resolvent import OptionError, SolveError, Status
from resolvent.problems import LinearSystem
from resolvent.solvers import ConjugateGradient
from tests.toys.evolution import Heun, relaxation
from tests.toys.truncated_newton import TruncatedNewton, quartic


def solve(**stop):
    system = LinearSystem(np.diag(np.arange(1.0, 11)), np.ones(10), spd=True, name="diagonal")
    return rs.solve(system, ConjugateGradient(), stop=rs.Stop(**stop), rng=7)


def test_raise_for_status_returns_a_success():
    result = solve()
    assert result.raise_for_status() is result


def test_raise_for_status_raises_an_error_that_carries_the_result():
    result = solve(iterations=2)
    with pytest.raises(SolveError, match=r"^ITERATIONS: limit of 2 iterations reached, residual ") as caught:
        result.raise_for_status()
    assert caught.value.result is result
    assert isinstance(caught.value, RuntimeError)


def test_a_result_cannot_be_changed_and_is_compared_by_identity():
    result = solve()
    with pytest.raises(FrozenInstanceError):
        result.x = None
    assert result == result
    assert result != solve()


def test_tolerance_is_the_one_at_x():
    assert solve(atol=1e-3, rtol=1e-2).tolerance == pytest.approx(1e-3 + 1e-2 * np.sqrt(10))


def test_to_dict_is_json_without_nan():
    for result in (solve(iterations=2), rs.solve(relaxation(), Heun()), rs.solve(quartic(), TruncatedNewton())):
        text = json.dumps(result.to_dict(), allow_nan=False)
        back = json.loads(text)
        assert back["status"] == result.status.name
        assert back["success"] is result.success
        assert back["iterations"] == result.iterations
        assert len(back["history"]["residual"]) == len(result.history["residual"])
    assert rs.solve(relaxation(), Heun()).to_dict()["residual"] is None


def test_to_dict_names_solver_problem_and_seed():
    found = solve().to_dict()
    assert (found["solver"], found["problem"], found["seed"]) == ("ConjugateGradient", "diagonal", 7)


def test_print_is_a_summary_for_people():
    lines = str(solve()).splitlines()
    assert lines[0] == "ConjugateGradient on diagonal: CONVERGED (success)"
    assert lines[1].startswith("  residual ")
    assert [line.split()[0] for line in lines[2:]] == ["residual", "iterations", "seconds", "evaluations"]
    assert lines[-1].endswith("apply 12; 1 more to check the answer")


def test_print_tells_inner_work_and_the_last_row_of_the_history():
    text = str(rs.solve(quartic(), TruncatedNewton(), stop=rs.Stop(iterations=1)))
    assert "ITERATIONS (no success)" in text
    assert "inner work   check.apply 1, apply " in text
    assert "at the end   inner_iterations " in text


def test_print_without_a_name_and_without_a_residual():
    text = str(rs.solve(relaxation().replace(name=""), Heun()))
    assert text.startswith("Heun on the problem: FINISHED (success)")
    assert "residual" not in text


@pytest.fixture
def axes():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


@pytest.mark.parametrize("against", ["iterations", "seconds", "evaluations"])
def test_plot_draws_the_residual_on_a_log_scale(axes, against):
    result = solve()
    assert result.plot(against, ax=axes) is axes
    line = axes.lines[0]
    assert np.array_equal(line.get_xdata(), result.history[against])
    assert np.array_equal(line.get_ydata(), result.history["residual"])
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel().startswith(against)
    assert line.get_label() == "ConjugateGradient, diagonal"


def test_plot_leaves_out_what_is_unknown(axes):
    from tests.toys.composite import CoordinateDescent, lasso

    result = rs.solve(lasso(), CoordinateDescent())
    result.plot(ax=axes)
    assert len(axes.lines[0].get_xdata()) == np.isfinite(result.history["residual"]).sum()


def test_plot_without_axes_uses_the_current_ones(axes):
    assert solve().plot() is axes


def test_plot_names_its_axes():
    with pytest.raises(OptionError, match=r"^against is 'time', expected one of iterations, seconds, evaluations$"):
        solve().plot("time")


def test_every_status_has_a_meaning():
    assert all(status.meaning for status in Status)
    assert [status for status in Status if not status] == [Status.RUNNING]
