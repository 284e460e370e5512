"""A damaged or foreign checkpoint is refused."""

from dataclasses import replace

import numpy as np
import pytest

import resolvent as rs
from resolvent import OptionError
from tests.contracts.helpers import every, run
from tests.toys.dishonest import Counting


@pytest.fixture
def path(case, tmp_path):
    return rs.save_state(run(case, stop=replace(case.stop, iterations=2)).state, tmp_path / "state")


@every
def test_truncated(case, path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OptionError, match=r"state\.npz is no complete checkpoint"):
        run(case, resume=path)


@every
def test_a_flipped_bit_in_the_numbers(case, path):
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    name, array = next((n, a) for n, a in content.items() if n[0] == "a" and a.size)
    array = np.atleast_1d(array.copy())
    array.view(np.uint8).flat[0] ^= np.uint8(1)
    np.savez(path, **{**content, name: array.reshape(content[name].shape)})
    with pytest.raises(OptionError, match=r"state\.npz was changed after it was written"):
        run(case, resume=path)


@every
def test_of_another_method(case, tmp_path):
    problem = case.problem()
    if problem.x0 is None:
        problem = problem.replace(x0=case.solver.start(problem).x)
    other = rs.solve(problem, Counting(), stop=rs.Stop(rtol=0, iterations=2))
    path = rs.save_state(other.state, tmp_path / "other")
    with pytest.raises(OptionError, match=f"other.npz holds a State, expected a {case.solver.state.__name__}"):
        run(case, resume=path)


@every
def test_missing(case, tmp_path):
    with pytest.raises(OptionError, match=r"there is no checkpoint .*nothing\.npz"):
        run(case, resume=tmp_path / "nothing")
