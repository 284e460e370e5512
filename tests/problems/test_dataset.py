"""DirectionDataset: the residual of a network is the contraction of its directions."""

import numpy as np
import pytest

from resolvent import ProblemError
from resolvent.problems.dataset import DirectionDataset, Source, contraction
from resolvent.problems.library.poisson import box

SYSTEM = box((6, 7))


def draw(rng, count):
    E = rng.standard_normal((count, 42))
    return np.array([SYSTEM.A @ e for e in E]), E


SOURCE = Source(system=SYSTEM, draw=draw)


class Fixed:
    """A stand-in for a network: a matrix for every system."""

    weights = ()

    def __init__(self, M):
        self.M = M

    def setup(self, system, previous=None):
        return self.M


def matrix():
    return np.array([SYSTEM.A @ column for column in np.eye(42)])


def test_the_exact_inverse_leaves_nothing_and_useless_directions_leave_all():
    data = DirectionDataset((SOURCE,), (SOURCE,), x0=Fixed(np.eye(42)))
    assert data.residual(Fixed(np.linalg.inv(matrix()))) == pytest.approx(0, abs=1e-6)
    assert data.residual(Fixed(np.zeros((42, 42)))) == 1
    assert 0 < data.residual(Fixed(np.eye(42))) < 1
    assert data.evaluations(data.counts) == 12


def test_one_step_is_the_best_one_along_the_direction():
    rng = np.random.default_rng(0)
    A, e, z = matrix(), rng.standard_normal(42), rng.standard_normal(42)
    direction = Fixed(np.outer(z, np.ones(42)))
    steps = np.linspace(-1, 1, 2001)
    errors = [np.sqrt((e - t * z) @ A @ (e - t * z) / (e @ A @ e)) for t in steps]
    assert contraction(SYSTEM, direction.M, A @ e, e) == pytest.approx(min(errors), rel=1e-3)


def test_many_steps_are_conjugate_gradients():
    A, e = matrix(), np.random.default_rng(0).standard_normal(42)
    r, basis = A @ e, []
    for _ in range(4):
        basis.append(r if not basis else A @ basis[-1])
    V = np.array(basis).T
    left = e - V @ np.linalg.solve(V.T @ A @ V, V.T @ r)
    factor = (np.sqrt((left @ A @ left) / (e @ A @ e))) ** (1 / 4)
    assert contraction(SYSTEM, np.eye(42), r, e, steps=4) == pytest.approx(factor, rel=1e-8)


def test_the_validation_part_is_fixed_by_its_seed():
    values = [
        DirectionDataset((SOURCE,), (SOURCE,), seed=seed, x0=Fixed(np.eye(42))).residual(Fixed(np.eye(42)))
        for seed in (1, 1, 2)
    ]
    assert values[0] == values[1] != values[2]


def test_bad_input_is_named():
    with pytest.raises(ProblemError, match="at least one Source"):
        DirectionDataset((), (SOURCE,))
    with pytest.raises(ProblemError, match="x0 is 3, expected a network"):
        DirectionDataset((SOURCE,), (SOURCE,)).point(3)
