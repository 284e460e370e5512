"""resolvent.arrays: the same functions for arrays of any library, tuples of arrays and operators."""

import array_api_strict as xp
import numpy as np
import pytest

from resolvent import ProblemError, arrays

F64, F32 = np.dtype(np.float64), np.dtype(np.float32)


class Operator:
    """Something opaque, with its own word on finiteness."""

    def __init__(self, finite=True):
        self.finite, self.weights = finite, np.ones(2)

    def is_finite(self):
        return self.finite


def test_namespace():
    assert arrays.namespace(np.ones(2)) is np
    assert arrays.namespace(np.float64(1)) is np
    assert arrays.namespace(1.0) is np
    assert arrays.namespace(xp.ones(2)) is xp


def test_is_array():
    assert arrays.is_array(np.ones(2))
    assert arrays.is_array(xp.ones(2))
    for other in (1.0, [1.0], (np.ones(2),), Operator(), None):
        assert not arrays.is_array(other)


def test_place_is_the_cpu():
    assert arrays.place(np.ones(2)) == arrays.place(xp.ones(2)) == arrays.place([1]) == "cpu"


@pytest.mark.parametrize("value", [np.ones((2, 3)), np.asfortranarray(np.ones((2, 3))), np.ones((4, 3))[::2]])
def test_a_copy_of_an_array_shares_nothing(value):
    twin = arrays.copy(value)
    assert np.array_equal(twin, value)
    assert not np.shares_memory(twin, value)


def test_copies_of_tuples_operators_and_other_arrays():
    pair = (np.ones(2), (np.zeros(1),))
    twin = arrays.copy(pair)
    assert isinstance(twin, tuple)
    assert not np.shares_memory(twin[0], pair[0])
    assert not np.shares_memory(twin[1][0], pair[1][0])
    operator = Operator()
    assert arrays.copy(operator).weights is not operator.weights
    strict = xp.ones(2)
    again = arrays.copy(strict)
    again[0] = 5.0
    assert float(strict[0]) == 1


def test_is_finite():
    assert arrays.is_finite(np.ones(2))
    assert arrays.is_finite(np.ones(0))
    assert arrays.is_finite(np.arange(3))
    assert not arrays.is_finite(np.array([1, np.nan]))
    assert not arrays.is_finite((np.ones(2), np.array([-np.inf])))
    assert arrays.is_finite(xp.ones(2))
    assert not arrays.is_finite(xp.asarray([1.0, float("nan")]))
    assert arrays.is_finite(Operator())
    assert not arrays.is_finite(Operator(finite=False))
    assert arrays.is_finite(object())


def test_nbytes():
    assert arrays.nbytes(np.ones((2, 3))) == 48
    assert arrays.nbytes((np.ones(2), np.ones(3, np.float32))) == 28
    assert arrays.nbytes(xp.ones((2, 3), dtype=xp.float32)) == 24
    assert arrays.nbytes(Operator()) == 0


def test_shape():
    assert arrays.shape(np.ones((2, 3))) == (2, 3)
    assert arrays.shape((np.ones(2), np.ones((1, 3)))) == ((2,), (1, 3))
    assert arrays.shape(xp.ones((2, 3))) == (2, 3)
    assert arrays.shape(1.0) == ()


def test_as_float64():
    x = np.ones(2)
    assert arrays.as_float64(x) is x
    assert arrays.as_float64(np.ones(2, np.float32)).dtype == np.float64
    assert arrays.as_float64(xp.ones(2, dtype=xp.float32)).dtype == xp.float64


def test_norm2_accumulates_in_double_precision():
    x = np.full((1000, 100), 0.1, np.float32)
    assert arrays.norm2(x) == pytest.approx(np.sqrt(1e5) * float(np.float32(0.1)), rel=1e-12)
    assert arrays.norm2(np.zeros(0)) == 0
    assert arrays.norm2(np.array([1e200])) == np.inf  # without a warning


@pytest.mark.parametrize("value", [[1, 2], np.array([1, 2]), np.array([1, 2], np.float32), [True, False], np.ones(2)])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_cast_gives_an_owned_array(value, dtype):
    owned = arrays.cast(value, dtype, "x0")
    assert owned.dtype == dtype
    assert owned.tolist() == list(value)
    assert not np.shares_memory(owned, np.asarray(value))


def test_cast_of_numbers_tuples_operators_and_none():
    assert arrays.cast(3, F64, "x0").shape == ()
    assert arrays.cast(None, F64, "x0") is None
    operator = Operator()
    assert arrays.cast(operator, F64, "x0") is operator
    pair = arrays.cast(([1], np.ones((2, 2), int)), F32, "x0")
    assert [part.dtype for part in pair] == [np.float32, np.float32]


def test_cast_keeps_arrays_with_their_library():
    strict = arrays.cast(xp.asarray([1, 2]), F32, "x0")
    assert type(strict) is type(xp.ones(1))
    assert strict.dtype == xp.float32
    with pytest.raises(ProblemError, match=r"^x0 contains nan or inf, expected finite numbers$"):
        arrays.cast(xp.asarray([1.0, float("inf")]), F64, "x0")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array([[0, 1], [np.nan, 0]]), r"x0\[1, 0\] is nan, expected finite numbers"),
        ([0, np.inf], r"x0\[1\] is inf, expected finite numbers"),
        (([0], [np.nan]), r"x0\[1\]\[0\] is nan, expected finite numbers"),
        ([1j], "x0 has dtype complex128, expected real numbers"),
        (["a"], "x0 has dtype <U1, expected real numbers"),
        ([None], "x0 has dtype object, expected real numbers"),
        ([[1], [1, 2]], "x0 is not an array of numbers: .*"),
    ],
)
def test_cast_names_what_is_wrong(value, said):
    with pytest.raises(ProblemError, match=f"^{said}$"):
        arrays.cast(value, F64, "x0")


def test_cast_to_single_precision_names_what_does_not_fit():
    with np.errstate(over="ignore"), pytest.raises(ProblemError, match=r"^x0\[0\] is inf, expected finite"):
        arrays.cast([1e300], F32, "x0")
