"""Randomness comes from the generator given to `start` alone."""

import numpy as np

from tests.contracts.helpers import every, run, same, those


@every
def test_one_seed_gives_the_same_bits_on_fresh_problems(case):
    one, two = run(case, rng=3), run(case, rng=3)
    assert same(one.certificate, two.certificate)
    assert one.iterations == two.iterations
    assert one.counts == two.counts
    assert same(one.history["residual"], two.history["residual"])


@those(lambda case: case.random)
def test_other_seeds_give_other_bits(case):
    assert not same(run(case, rng=1).x, run(case, rng=2).x)


@every
def test_no_seed_is_seed_zero(case):
    default, zero = run(case), run(case, rng=0)
    assert same(default.x, zero.x)
    assert default.seed == zero.seed == 0


@every
def test_a_generator_is_copied_not_advanced(case):
    rng = np.random.default_rng(5)
    result = run(case, rng=rng)
    assert same(rng, np.random.default_rng(5))
    assert same(result.x, run(case, rng=5).x)
    assert result.seed is None


@every
def test_the_global_generator_is_not_touched(case):
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    run(case)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002
