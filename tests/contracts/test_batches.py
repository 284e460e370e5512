"""How many iterations one step of the driver takes does not change the result."""

from dataclasses import replace

import pytest

import resolvent as rs
from tests.contracts.helpers import run, same, those

batched = those(lambda case: case.batch)


@batched
@pytest.mark.parametrize("length", [2, 3, 7, 1000])
def test_the_same_bits(case, length):
    single = run(case)
    batch = run(replace(case, solver=replace(case.solver, **{case.batch: length})))
    assert same(batch.certificate, single.certificate)
    assert (batch.iterations, batch.status) == (single.iterations, single.status)
    assert batch.counts == single.counts


@batched
@pytest.mark.parametrize("length", [2, 3, 1000])
def test_a_limit_of_iterations_is_kept_exactly(case, length):
    stop = rs.Stop(rtol=0, iterations=8)
    batch = run(replace(case, solver=replace(case.solver, **{case.batch: length})), stop=stop)
    assert batch.iterations == 8
    assert same(batch.x, run(case, stop=stop).x)


@batched
def test_a_batch_saves_steps_of_the_driver(case):
    batch = run(replace(case, solver=replace(case.solver, **{case.batch: 5})))
    assert len(batch.history["iterations"]) < len(run(case).history["iterations"])
