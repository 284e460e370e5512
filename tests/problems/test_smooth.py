"""SmoothProblem: the residual of a box, and what is said about wrong data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resolvent import ProblemError
from resolvent.problems import SmoothProblem

quick = settings(deadline=None, derandomize=True, max_examples=50, database=None)


def make(**options):
    return SmoothProblem(**{"n": 3, "objective": lambda x: float(x @ x), "gradient": lambda x: 2 * x, **options})


numbers = arrays(np.float64, 3, elements=st.floats(-10, 10).map(lambda v: round(v, 3)))


@quick
@given(
    x=numbers, gradient=numbers, lower=numbers, width=arrays(np.float64, 3, elements=st.sampled_from([0, 1, np.inf]))
)
def test_the_residual_is_zero_exactly_where_the_conditions_of_optimality_hold(x, gradient, lower, width):
    """Inside of the bounds grad f = 0, at a lower one grad f >= 0, at an upper one grad f <= 0."""
    problem = make(lower=lower, upper=lower + width)
    x = np.clip(x, problem.lower, problem.upper)
    wrong = 0.0
    for i in range(3):
        step = gradient[i]
        step = min(step, x[i] - problem.lower[i]) if step > 0 else max(step, x[i] - problem.upper[i])
        wrong += step**2
    assert problem.measure(x, gradient) == pytest.approx(np.sqrt(wrong), abs=1e-12)
    assert problem.measure(x, gradient) <= np.linalg.norm(gradient) + 1e-12


def test_the_residual_without_bounds_is_the_norm_of_the_gradient():
    x = np.array([1.0, -2.0, 2.0])
    assert make().residual(x) == pytest.approx(6)
    assert make().scale(x) == 1


def test_a_point_outside_of_the_bounds_is_wrong_by_its_distance():
    assert make(lower=1.0).residual(np.array([1.0, 1.0, 0.0])) == pytest.approx(1)


def test_a_gradient_below_the_rounding_of_x_is_not_lost():
    problem = make(lower=-1.0, gradient=lambda x: np.full(3, 0.25))
    assert problem.residual(np.array([1e16, -1.0, 1e20])) == pytest.approx(0.25 * np.sqrt(2))


def test_without_a_gradient_no_residual_is_defined():
    assert make(gradient=None).residual(np.ones(3)) is None


def test_features():
    assert make().features() == set()
    assert make(lower=-1e20, upper=[np.inf, 1e21, 1e300]).features() == set()
    assert make(upper=[np.inf, 1, np.inf]).features() == {"bounds"}


def test_large_bounds_are_none_also_in_single_precision():
    problem = make(upper=1e300, dtype=np.float32)
    assert problem.upper.dtype == np.float32
    assert problem.upper.tolist() == [np.inf] * 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, "n is 0, expected a whole number >= 1"),
        ({"n": 2.0}, "n is 2.0, expected a whole number >= 1"),
        ({"n": True}, "n is True, expected a whole number >= 1"),
        ({"lower": [0, 0]}, r"lower has shape \(2,\), expected \(3,\) or a number"),
        ({"lower": [[0, 0, 0]]}, r"lower has shape \(1, 3\), expected \(3,\) or a number"),
        ({"lower": [0, [0], 0]}, "lower is not an array of numbers: .*"),
        ({"lower": "none"}, "lower has dtype <U4, expected real numbers"),
        ({"upper": np.array([1j, 0, 0])}, "upper has dtype complex128, expected real numbers"),
        ({"upper": [1, np.nan, 1]}, r"upper\[1\] is nan, expected a number or \+-inf"),
        ({"lower": [0, np.inf, 0]}, r"lower\[1\] is inf, which no point satisfies"),
        ({"upper": [0, 0, -1e20]}, r"upper\[2\] is -inf, which no point satisfies"),
        ({"lower": [0, 2, 0], "upper": 1}, r"lower\[1\] = 2.0 exceeds upper\[1\] = 1.0"),
        ({"x0": [1.0, 2.0]}, r"x0 has shape \(2,\), expected \(3,\)"),
        ({"x0": [1.0, 2.0, np.inf]}, r"x0\[2\] is inf, expected finite numbers"),
    ],
)
def test_wrong_data_are_named(options, said):
    with pytest.raises(ProblemError, match=rf"^{said}$"):
        make(**options)
