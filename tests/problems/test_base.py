"""Problem and Oracle: what every problem class has, and what is said about user functions that misbehave."""

import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp

from resolvent import ProblemError
from resolvent.problems import LinearSystem, SmoothProblem
from resolvent.problems.base import COUNTED, Oracle, Problem

F64 = np.dtype(np.float64)


def oracle(function, shape=(2,), dtype=F64, **options):
    return Oracle("gradient", function, Counter(), shape=shape, dtype=np.dtype(dtype), **options)


def square(**options):
    fields = {"n": 2, "x0": [1.0, 2.0], "objective": lambda x: float(x @ x), "gradient": lambda x: 2 * x, **options}
    return SmoothProblem(**fields)


# ---- the user's functions


def test_each_call_counts_also_one_that_raises():
    def function(x):
        raise ValueError("planted")

    wrapped = oracle(function)
    for _ in range(2):
        with pytest.raises(ValueError, match="planted"):
            wrapped(np.ones(2))
    assert wrapped.counts == {"gradient": 2}


def test_units_say_what_a_call_counts():
    wrapped = oracle(lambda x, idx: x, units=lambda x, idx: len(idx))
    wrapped(np.ones(2), [1, 2, 3])
    assert wrapped.counts == {"gradient": 3}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.ones((4, 1)), r"returned shape \(4, 1\), expected \(2,\)"),
        (None, r"returned shape \(\), expected \(2,\)"),
        ((1.0, 2.0, 3.0), r"returned shape \(3,\), expected \(2,\)"),
        (np.ones(2) * 1j, "returned dtype complex128, expected real numbers"),
        (np.array(["a", "b"]), "returned dtype <U1, expected real numbers"),
    ],
)
def test_a_wrong_value_is_named(value, said):
    with pytest.raises(ProblemError, match=rf"^gradient\(x\) {said}$"):
        oracle(lambda x: value)(np.ones(2))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.ones(1), r"shape \(1,\), expected a number"),
        (None, "None, expected a real number"),
        (1j, "1j, expected a real number"),
        ("1", "'1', expected a real number"),
    ],
)
def test_a_wrong_number_is_named(value, said):
    wrapped = Oracle("objective", lambda x: value, Counter(), shape=(), dtype=F64)
    with pytest.raises(ProblemError, match=rf"^objective\(x\) returned {said}$"):
        wrapped(np.ones(2))


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int64(1), np.array(1.0), True])
def test_a_number_becomes_a_float(value):
    wrapped = Oracle("objective", lambda x: value, Counter(), shape=(), dtype=F64)
    assert type(wrapped(np.ones(2))) is float


@pytest.mark.parametrize("value", [[1, 2], (1.0, 2.0), np.array([1, 2]), np.array([1, 2], np.float32)])
def test_lists_tuples_and_other_numbers_become_arrays_of_the_dtype(value):
    given = oracle(lambda x: value)(np.ones(2))
    assert given.dtype == np.float64
    assert given.tolist() == [1, 2]


def test_a_wider_value_is_cast_down_with_one_warning():
    wrapped = oracle(lambda x: np.ones(2), dtype=np.float32)
    with pytest.warns(UserWarning, match=r"gradient\(x\) returned float64, cast to float32"):
        assert wrapped(np.ones(2)).dtype == np.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert wrapped(np.ones(2)).dtype == np.float32


def test_a_sparse_value_is_cast_and_checked_too():
    wrapped = oracle(lambda x: sp.csr_array(np.eye(2)), shape=(2, 2), dtype=np.float32)
    with pytest.warns(UserWarning, match="cast to float32"):
        assert wrapped(np.ones(2)).dtype == np.float32
    with pytest.raises(ProblemError, match=r"shape \(2, 2\), expected \(3, 2\)"):
        oracle(lambda x: sp.csr_array(np.eye(2)), shape=(3, 2))(np.ones(2))


def test_a_function_that_fills_the_same_array_again_does_not_change_old_values():
    buffer = np.zeros(2)

    def function(x):
        buffer[:] = x
        return buffer

    wrapped = oracle(function)
    values = [wrapped(np.full(2, float(i))) for i in range(4)]
    assert [value[0] for value in values] == [0, 1, 2, 3]


def test_a_function_that_returns_its_argument_gives_a_copy():
    wrapped = oracle(lambda x: x)
    for x in (np.ones(2), np.zeros(2), np.ones(2)):
        assert not np.shares_memory(wrapped(x), x)


@pytest.mark.parametrize("error", [ValueError("planted"), KeyboardInterrupt(), StopIteration()])
def test_an_exception_passes_unchanged_with_a_note(error):
    def function(x):
        raise error

    with pytest.raises(type(error)) as caught:
        oracle(function)(np.ones(2))
    assert caught.value is error
    assert error.__notes__ == ["raised inside gradient(...), a function of the problem"]


@pytest.mark.parametrize("value", [np.array([1, np.nan]), np.array([np.inf, 1]), sp.csr_array(np.diag([1, np.nan]))])
def test_strict_means_finite(value):
    wrapped = oracle(lambda x: value, shape=value.shape)
    wrapped(np.ones(2))
    wrapped.strict = True
    with pytest.raises(ProblemError, match=r"^gradient returned nan or inf at the starting point, expected finite"):
        wrapped(np.ones(2))


def test_strict_is_undone_after_an_error():
    problem = square()
    with problem.strict():
        assert all(o.strict for o in problem.oracles())
    with pytest.raises(ProblemError, match="at the starting point"), problem.strict():
        problem.gradient(np.full(2, np.nan))
    assert not any(o.strict for o in problem.oracles())


def test_a_function_that_is_none_can_be_missing_and_another_kind_not():
    assert square(hessp=None).hessp is None
    with pytest.raises(ProblemError, match=r"^SmoothProblem needs the function objective$"):
        square(objective=None)
    with pytest.raises(ProblemError, match=r"^gradient is 3, expected a function$"):
        square(gradient=3)


# ---- bookkeeping


def test_has_and_oracles_name_what_was_given():
    problem = square()
    assert problem.has("objective", "gradient")
    assert not problem.has("gradient", "hessp")
    assert not problem.has("nonsense")
    assert [o.name for o in problem.oracles()] == ["objective", "gradient"]
    assert {o.name for o in problem.oracles()} <= set(COUNTED)


def test_counted_as_moves_the_work_and_keeps_what_was_there():
    problem, x = square(hessp=lambda x, v: 1 / 0), np.ones(2)
    problem.objective(x)
    with problem.counted_as("check"):
        problem.objective(x)
        problem.gradient(x)
    with pytest.raises(ZeroDivisionError), problem.counted_as("check"):
        problem.hessp(x, x)
    problem.gradient(x)
    checks = {"check.objective": 1, "check.gradient": 1, "check.hessp": 1}
    assert problem.counts == {"objective": 1, "gradient": 1, **checks}


def test_verify_gives_both_numbers_at_the_price_of_one():
    problem, x = square(), np.ones(2)
    assert problem.verify(x) == (problem.residual(x), problem.scale(x))
    assert problem.counts == {"check.gradient": 1, "gradient": 1}


def test_replace_gives_a_changed_copy_with_a_fresh_counter():
    problem = square()
    problem.objective(np.ones(2))
    other = problem.replace(lower=0.0, name="other")
    other.gradient(np.ones(2))
    assert (other.name, other.lower.tolist()) == ("other", [0, 0])
    assert problem.lower.tolist() == [-np.inf, -np.inf]
    assert problem.counts == {"objective": 1}
    assert other.counts == {"gradient": 1}
    assert other.objective.function is problem.objective.function


def test_replace_names_an_unknown_field_and_the_known_ones():
    with pytest.raises(ProblemError, match=r"^SmoothProblem has no field 'lowr'; it has name, x0, dtype, n, objective"):
        square().replace(lowr=0.0)
    for computed in ("counts", "infeasible"):
        with pytest.raises(ProblemError, match=f"has no field '{computed}'"):
            square().replace(**{computed: None})


def test_identity_tells_class_name_dtype_and_size_but_no_data():
    problem = square(name="square")
    assert problem.identity() == "SmoothProblem square float64 n=2"
    assert problem.replace(x0=[5.0, 5.0], lower=-9.0).identity() == problem.identity()
    assert problem.replace(dtype=np.float32).identity() != problem.identity()
    assert square().identity() == "SmoothProblem without a name float64 n=2"
    assert repr(problem) == f"<{problem.identity()}>"


def test_problems_are_compared_by_identity():
    problem = square()
    assert problem == problem
    assert problem != problem.replace()


@pytest.mark.parametrize("dtype", [np.int64, "complex128", np.float16, "nonsense"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ProblemError, match=r"^dtype is .*, expected float32 or float64$"):
        square(dtype=dtype)


# ---- geometry


def test_dot_accumulates_in_double_precision():
    problem = square(dtype=np.float32)
    u = np.full(100_000, 0.1, np.float32)
    assert problem.dot(u, u) == pytest.approx(len(u) * float(np.float32(0.1)) ** 2, rel=1e-12)
    assert type(problem.dot(u, u)) is float


def test_dot_and_norm_of_tuples_are_sums_over_the_parts():
    u = (np.array([[1.0, 2.0]]), np.array([2.0, 4.0, np.sqrt(11)]))
    assert square().dot(u, u) == pytest.approx(36)
    assert square().norm(u) == pytest.approx(6)


def test_one_machine_agrees_with_itself():
    assert square().agree(7) == 7


# ---- the starting point


@dataclass(kw_only=True, eq=False, repr=False)
class Anything(Problem):
    """A problem class that says nothing about x."""


def test_without_a_start_somebody_has_to_give_one():
    with pytest.raises(ProblemError, match=r"^no starting point: give start=, or x0= when the Anything is made$"):
        Anything().point()


@pytest.mark.parametrize(
    ("x0", "said"),
    [
        (np.ones(3), r"x0 has shape \(3,\), expected \(2,\)"),
        (3.0, r"x0 has shape \(\), expected \(2,\)"),
        ([1.0, np.nan], r"x0\[1\] is nan, expected finite numbers"),
        ([1.0, "b"], "x0 has dtype .*, expected real numbers"),
        ([1.0, None], "x0 has dtype object, expected real numbers"),
        ([1.0, [2.0]], "x0 is not an array of numbers: .*"),
        (np.array([1, 1j]), "x0 has dtype complex128, expected real numbers"),
        ({"a": 1}, r"x0 is a dict, expected a(n array of shape \(2,\)| ndarray)"),
        (range(2), r"x0 is a range, expected a(n array of shape \(2,\)| ndarray)"),
        ((np.ones(1), np.ones(1)), r"x0 is a tuple, expected a(n array of shape \(2,\)| ndarray)"),
    ],
)
@pytest.mark.parametrize("own", [None, [1.0, 2.0]])
def test_a_wrong_start_is_named(x0, said, own):
    with pytest.raises(ProblemError, match=rf"^{said}$"):
        square(x0=own).point(x0)
    with pytest.raises(ProblemError, match=said):
        square(x0=x0)


def test_multipliers_for_a_class_without_them_are_refused():
    with pytest.raises(ProblemError, match=r"^y0 was given, but a SmoothProblem has no multipliers$"):
        square().point([1.0, 2.0], [1.0])


def test_a_tuple_is_checked_part_by_part():
    problem = Anything(x0=(np.zeros((2, 2)), np.zeros(3)))
    x, _ = problem.point(([[1, 2], [3, 4]], np.ones(3, np.float32)))
    assert [part.dtype for part in x] == [np.float64] * 2
    with pytest.raises(ProblemError, match=r"^x0\[1\]\[2\] is inf"):
        problem.point((np.zeros((2, 2)), np.array([0, 0, np.inf])))
    with pytest.raises(ProblemError, match=r"^x0 has shape \(\(2, 2\), \(4,\)\), expected \(\(2, 2\), \(3,\)\)$"):
        problem.point((np.zeros((2, 2)), np.zeros(4)))
    with pytest.raises(ProblemError, match=r"^x0 is a ndarray, expected a tuple$"):
        problem.point(np.zeros(3))


def test_the_own_starting_point_is_handed_out_as_a_copy():
    problem = square()
    problem.point()[0][:] = 9
    assert problem.x0.tolist() == [1, 2]


def test_a_table_of_another_library_is_read_as_an_array():
    pandas = pytest.importorskip("pandas")
    x, _ = square().point(pandas.Series([3, 4]))
    assert type(x) is np.ndarray
    assert x.tolist() == [3, 4]


def test_evaluations_of_the_classes():
    counts = {"objective": 3, "gradient": 5, "constraint": 4, "jacobian": 2, "apply": 7, "check.gradient": 99}
    assert square().evaluations(counts) == 5
    assert LinearSystem(np.eye(2), np.ones(2)).evaluations(counts) == 7
    assert Anything().evaluations(counts) == 0
