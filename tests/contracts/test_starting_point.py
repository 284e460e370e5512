"""A starting point is cast, owned and checked, also by a bare `start`."""

import numpy as np
import pytest

import resolvent as rs
from resolvent import ProblemError
from tests.contracts.helpers import run, same, those

flat = those(lambda case: isinstance(case.problem().x0, np.ndarray))


def entrances(case, x0):
    return [lambda: run(case, start=x0), lambda: case.solver.start(case.problem(), x0)]


@flat
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(case, value):
    x0 = case.problem().x0
    x0[1] = value
    for enter in entrances(case, x0):
        with pytest.raises(ProblemError, match=rf"^x0\[1\] is {value}, expected finite numbers"):
            enter()


@flat
def test_wrong_shape(case):
    n = len(case.problem().x0)
    for enter in entrances(case, np.zeros(n + 1)):
        with pytest.raises(ProblemError, match=rf"^x0 has shape \({n + 1},\), expected \({n},\)"):
            enter()


@flat
def test_complex(case):
    for enter in entrances(case, case.problem().x0 + 1j):
        with pytest.raises(ProblemError, match=r"^x0 has dtype complex128, expected real numbers"):
            enter()


@flat
def test_lists_and_whole_numbers_become_floats(case):
    n = len(case.problem().x0)
    for x0 in ([1] * n, np.ones(n, np.int8), np.ones(n, np.float32), np.ones(2 * n)[::2]):
        problem = case.problem()
        state = case.solver.start(problem, x0)
        active = getattr(getattr(problem, "A", None), "active", None)  # cells of a grid without unknown are zero
        assert same(state.x, np.ones(n) if active is None else active.ravel().astype(float))


@flat
def test_x0_in_fortran_order_or_read_only_is_fine(case):
    x0 = case.problem().x0
    x0.setflags(write=False)
    assert same(run(case, start=x0).x, run(case).x)


@flat
def test_a_file_name_is_named(case):
    with pytest.raises(rs.OptionError, match=r"start is 'state.npz', .* a checkpoint goes to resume="):
        run(case, start="state.npz")


@flat
def test_resume_takes_neither_start_nor_rng(case):
    state = run(case, stop=rs.Stop(rtol=0, iterations=1)).state
    for other in ({"start": state.x}, {"rng": 0}):
        with pytest.raises(rs.OptionError, match="give neither start nor rng"):
            run(case, resume=state, **other)
