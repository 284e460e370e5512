"""float32 stays float32."""

from dataclasses import replace

import numpy as np
import pytest

import resolvent as rs
from tests.contracts.helpers import arrays_in, hooked, those

in_float32 = those(lambda case: case.float32)


def floats(value):
    return [array.dtype for array in arrays_in(value) if array.dtype.kind == "f"]


@in_float32
@pytest.mark.parametrize("iterations", [0, 1, None])
def test_of_every_array_in_state_and_answer(case, iterations):
    problem = case.float32()
    stop = rs.Stop(iterations=iterations)
    result = rs.solve(problem, case.solver, stop=stop)
    assert result.success or iterations is not None, result.message
    assert set(floats(result.certificate)) == {np.dtype(np.float32)}
    assert set(floats(result.state)) == {np.dtype(np.float32)}


@those(lambda case: case.float32 and case.functions)
def test_functions_of_the_user_get_float32(case):
    seen = set()

    def hook(name, function, args):
        seen.update(floats(args))
        return function(*args)

    result = rs.solve(hooked(replace(case, problem=case.float32), hook), case.solver)
    assert result.success
    assert seen == {np.dtype(np.float32)}


@in_float32
def test_the_usual_tolerance_is_wider(case):
    single = rs.iterate(case.float32(), case.solver).state
    double = rs.iterate(case.problem(), case.solver).state
    assert (single.rtol, double.rtol) == (1e-4, 1e-6)


@in_float32
def test_a_start_in_float64_is_cast(case):
    problem = case.float32()
    state = case.solver.start(problem, problem.x0)
    assert set(floats(state)) == {np.dtype(np.float32)}
