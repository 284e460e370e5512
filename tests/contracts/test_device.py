"""A run on a GPU gives the numbers of a run on the CPU."""

import importlib.util

import numpy as np
import pytest

import resolvent as rs
from tests.contracts.helpers import run, those


def device_found():
    if importlib.util.find_spec("cupy") is None:
        return False
    import cupy

    try:
        return cupy.cuda.runtime.getDeviceCount() > 0
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not device_found(), reason="no CUDA device, or no CuPy")]


@those(lambda case: case.portable)
def test_gives_the_numbers_of_the_cpu(case):
    import cupy

    there = rs.solve(case.portable(cupy), case.solver, stop=case.stop)
    here = run(case, case.portable(np))
    assert isinstance(there.x, cupy.ndarray)
    assert there.success
    assert abs(there.iterations - here.iterations) <= 1
    assert np.allclose(cupy.asnumpy(there.x), here.x, rtol=1e-6, atol=1e-6)
