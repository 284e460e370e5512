"""Portable solvers run on any library that follows the Array API, and give NumPy's numbers."""

import array_api_strict as xp
import numpy as np

import resolvent as rs
from tests.contracts.helpers import run, those

portable = those(lambda case: case.portable)


def to_numpy(x):
    return np.asarray([float(entry) for entry in x])


@portable
def test_gives_the_numbers_of_numpy(case):
    strict = rs.solve(case.portable(xp), case.solver, stop=case.stop)
    here = run(case, case.portable(np))
    assert type(strict.x) is type(xp.zeros(1))
    assert strict.success
    assert abs(strict.iterations - here.iterations) <= 1
    assert np.allclose(to_numpy(strict.x), here.x, rtol=1e-6, atol=1e-6)


@portable
def test_the_state_stays_with_its_library(case):
    state = run(case, case.portable(xp), stop=rs.Stop(rtol=0, iterations=3)).state
    arrays = [value for value in vars(state).values() if hasattr(value, "shape")]
    assert arrays
    assert all(type(array) is type(xp.zeros(1)) for array in arrays)


@portable
def test_resumes_and_starts_warm(case):
    whole = run(case, case.portable(xp))
    first = run(case, case.portable(xp), stop=rs.Stop(rtol=0, iterations=5))
    rest = run(case, case.portable(xp), resume=first.state)
    assert rest.iterations == whole.iterations
    assert to_numpy(rest.x).tobytes() == to_numpy(whole.x).tobytes()
    assert run(case, case.portable(xp), whole).iterations == 0
