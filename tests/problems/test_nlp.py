"""NLP: the residual against a reference by hand, signs of multipliers, least squares, and wrong data."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resolvent import ProblemError
from resolvent.problems import NLP
from resolvent.problems.library import hs
from resolvent.problems.nlp import least_squares_multipliers

quick = settings(deadline=None, derandomize=True, max_examples=60, database=None)


def make(n=3, m=2, **options):
    """Return min norm2(x)^2 subject to bounds of J x, J = [1 1 1; 1 -1 0]."""
    J = np.array([[1.0, 1, 1], [1, -1, 0]])[:m, :n]
    fields = {
        "n": n, "m": m, "x0": np.ones(n), "constraint_lower": 0.0, "constraint_upper": 0.0,
        "objective": lambda x: float(x @ x), "gradient": lambda x: 2 * x,
        "constraint": lambda x: J @ x, "jacobian": lambda x: J.copy(),
    }  # fmt: skip
    return NLP(**{**fields, **options})


# ---- the residual


def clipped(value, low, high):
    return low if value < low else high if value > high else value


def by_hand(problem, x, y, gradient_of_lagrangian, c):
    """Return the residual of the class docstring, entry by entry."""
    parts = [x[i] - clipped(x[i] - g, problem.lower[i], problem.upper[i]) for i, g in enumerate(gradient_of_lagrangian)]
    for i in range(problem.m):
        parts.append(c[i] - clipped(c[i] + y[i], problem.constraint_lower[i], problem.constraint_upper[i]))
    return sum(part**2 for part in parts) ** 0.5


def boxes(size):
    number = st.floats(-5, 5).map(lambda v: round(v, 3))
    width = st.sampled_from([0.0, 1.0, np.inf])
    return st.tuples(
        arrays(np.float64, size, elements=st.one_of(number, st.just(-np.inf))), arrays(np.float64, size, elements=width)
    )


entries = st.floats(-5, 5).map(lambda v: round(v, 3))


@quick
@given(
    x=arrays(np.float64, 3, elements=entries),
    y=arrays(np.float64, 2, elements=entries),
    box=boxes(3),
    constraint_box=boxes(2),
)
def test_the_residual_is_that_of_the_formula(x, y, box, constraint_box):
    with np.errstate(invalid="ignore"):
        upper, constraint_upper = (np.where(np.isneginf(low), 1.0, low + width) for low, width in (box, constraint_box))
    problem = make(lower=box[0], upper=upper, constraint_lower=constraint_box[0], constraint_upper=constraint_upper)
    g, c, J = problem.gradient(x), problem.constraint(x), problem.jacobian(x)
    expected = by_hand(problem, x, y, g + J.T @ y, c)
    assert problem.residual(x, y) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert problem.measure(x, y, g + J.T @ y, c) == problem.residual(x, y)
    assert problem.verify(x, y) == (problem.residual(x, y), problem.scale(x, y))


def test_for_equations_alone_it_is_the_norm_of_both_parts():
    problem, x, y = make(constraint_lower=[1, 2], constraint_upper=[1, 2]), np.array([1.0, 2, 3]), np.array([3.0, -4])
    slope = problem.gradient(x) + problem.jacobian(x).T @ y
    expected = np.linalg.norm(np.concatenate([slope, problem.constraint(x) - [1, 2]]))
    assert problem.residual(x, y) == pytest.approx(expected)


def test_parts_below_the_rounding_of_x_and_y_are_not_lost():
    problem = make(m=1, gradient=lambda x: np.full(3, 0.25), constraint=lambda x: np.array([0.5]))
    assert problem.measure(np.full(3, 1e16), np.array([1e18]), np.full(3, 0.25), np.array([0.5])) == pytest.approx(
        np.hypot(0.25 * np.sqrt(3), 0.5)
    )


@pytest.mark.parametrize(
    ("c", "y", "wrong"),
    [
        (0.0, -2.0, 0.0),  # at the lower bound y <= 0
        (0.0, 2.0, 1.0),  # the wrong sign: the projection stops at the other bound
        (1.0, 2.0, 0.0),  # at the upper bound y >= 0
        (1.0, -2.0, 1.0),
        (0.5, 0.0, 0.0),  # inside y = 0
        (0.5, 0.3, 0.3),
        (-3.0, 0.0, 3.0),  # outside: the distance
    ],
)
def test_signs_and_complementarity_of_one_constraint(c, y, wrong):
    problem = make(m=1, constraint_lower=0.0, constraint_upper=1.0)
    assert problem.measure(np.zeros(3), np.array([y]), np.zeros(3), np.array([c])) == pytest.approx(wrong)


def test_the_scale_is_the_gradient_or_one():
    assert make().scale(np.full(3, 0.1)) == 1
    assert make().scale(np.array([0.0, 3, 4])) == pytest.approx(10)


def test_without_constraints_it_is_that_of_a_smooth_problem():
    free = NLP(n=2, objective=lambda x: float(x @ x), gradient=lambda x: 2 * x, lower=1.0)
    assert free.residual(np.array([1.0, 1.0])) == 0
    assert free.residual(np.array([1.0, 2.0]), np.zeros(0)) == pytest.approx(1)
    assert free.at(np.ones(2)).jacobian.shape == (0, 2)


# ---- multipliers


KNOWN = {
    "hs71": (
        hs.hs71,
        [1.0, 4.742999637, 3.821149979, 1.379408294],
        [-0.5522936594, 0.1614685642],
        [-1.087871228, 0, 0, 0],
    ),
    "hs43": (hs.hs43, [0.0, 1, 2, -1], [-1.0, 0, -2], [0.0, 0, 0, 0]),
    "hs35": (hs.hs35, [12 / 9, 7 / 9, 4 / 9], [-2 / 9], [0.0, 0, 0]),
    "hs21": (hs.hs21, [2.0, 0], [0.0], [-0.04, 0]),
    "hs7": (hs.hs7, [0.0, np.sqrt(3)], [1 / (2 * np.sqrt(3))], [0.0, 0]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_multipliers_have_the_right_signs(name):
    make_it, x, y, z = KNOWN[name]
    problem, x, y = make_it(), np.array(x), np.array(y)
    assert problem.residual(x, y) < 1e-7
    assert problem.residual(x) < 1e-7
    assert problem.bound_multipliers(x, y) == pytest.approx(np.array(z), abs=1e-7)
    g, c = problem.gradient(x), problem.constraint(x)
    J = problem.jacobian(x)
    dense = J.toarray() if sp.issparse(J) else J
    fitted = problem.multipliers(x, g, J, c)
    assert fitted == pytest.approx(y, abs=1e-6)
    assert g + dense.T @ y + problem.bound_multipliers(x, y) == pytest.approx(np.zeros(problem.n), abs=1e-6)


def test_negated_multipliers_are_no_answer():
    make_it, x, y, _ = KNOWN["hs43"]
    assert make_it().residual(np.array(x), -np.array(y)) > 1


def test_bound_multipliers_at_an_upper_bound_are_positive():
    problem = make(m=0, constraint=None, jacobian=None, gradient=lambda x: -np.ones(3), upper=[1, 2, np.inf])
    assert problem.bound_multipliers(np.array([1.0, 0, 0])).tolist() == [1, 0, 0]


def test_fitted_multipliers_are_clipped_to_the_signs_of_inequalities_alone():
    """min -x subject to 2 x >= 0: at x = 0 the fit is y = 1/2, of the wrong sign for a lower bound."""
    options = {"n": 1, "m": 1, "objective": lambda x: -x[0], "gradient": lambda x: -np.ones(1)}
    options |= {"constraint": lambda x: 2 * x, "jacobian": lambda x: np.full((1, 1), 2.0)}
    lower = NLP(**options, constraint_lower=0.0, constraint_upper=np.inf)
    equation = NLP(**options, constraint_lower=0.0, constraint_upper=0.0)
    x = np.zeros(1)
    for problem, y, residual in ((lower, 0.0, 1.0), (equation, 0.5, 0.0)):
        found = problem.multipliers(x, problem.gradient(x), problem.jacobian(x), problem.constraint(x))
        assert found == pytest.approx([y])
        assert problem.residual(x) == pytest.approx(residual)


def test_fitted_multipliers_ignore_variables_at_their_bounds():
    """There the derivative of the Lagrangian need not vanish."""
    free = make(m=1, gradient=lambda x: np.array([1.0, 2.0, 3.0]))
    fixed = free.replace(lower=[0, -np.inf, -np.inf], upper=[0, np.inf, np.inf])
    x = np.array([0.0, 0.5, -0.5])
    for problem, y in ((free, -2.0), (fixed, -2.5)):
        found = problem.multipliers(x, problem.gradient(x), problem.jacobian(x), problem.constraint(x))
        assert found == pytest.approx([y])


@pytest.mark.parametrize("rank_deficient", [False, True])
def test_least_squares_on_a_large_sparse_matrix_agree_with_dense(rng, rank_deficient):
    m, n = 300, 400
    J = sp.random_array((m, n), density=0.02, random_state=rng, format="csr") + sp.eye_array(m, n)
    J = sp.csr_array(J)
    if rank_deficient:
        J = sp.csr_array(sp.vstack([J[:-1], J[:1]]))
    g = rng.standard_normal(n)
    assert J.shape[0] * J.shape[1] > 100_000, "the dense path would be taken"
    y = least_squares_multipliers(g, J)
    dense = np.linalg.lstsq(J.toarray().T, -g, rcond=None)[0]
    assert np.linalg.norm(g + J.T @ y) == pytest.approx(np.linalg.norm(g + J.T @ dense), rel=1e-9)
    assert y == pytest.approx(dense, rel=1e-4, abs=1e-6)


def test_infeasibility_has_the_violation_and_its_slope():
    problem = make(m=1, lower=0.0, constraint_lower=1.0, constraint_upper=2.0)
    assert problem.infeasibility(np.array([0.5, 0.5, 0.5])) == (0, 0)
    violation, slope = problem.infeasibility(np.array([2.0, 2, 0]))
    assert violation == pytest.approx(2)
    assert slope == pytest.approx(2 * np.sqrt(2))  # the third variable stands at its bound
    assert set(+problem.counts) == {"check.constraint", "check.jacobian"}


def test_infeasibility_has_no_slope_between_two_neighbouring_numbers():
    columns = 1e7 * np.array([[3.0], [7.0], [11.0]])  # columns @ x = (0, 0, 1): no answer, the least squares are known
    problem = make(
        n=1, m=3, constraint_lower=[0.0, 0, 1], constraint_upper=[0.0, 0, 1], constraint=lambda x: columns @ x,
        jacobian=lambda x: columns.copy(),
    )  # fmt: skip
    best = 11e-7 / 179
    nearest = [problem.infeasibility(np.array([best + k * np.spacing(best)]))[1] for k in (-1, 0, 1)]
    assert min(nearest) == 0
    for wrong in (best * (1 + 1e-12), best * (1 - 1e-12)):
        assert problem.infeasibility(np.array([wrong]))[1] == pytest.approx(1e14 * 179 * best * 1e-12, rel=1e-3)


def test_a_violation_of_the_size_of_rounding_keeps_its_slope():
    problem = make(
        n=1, m=1, constraint_lower=1 / 3, constraint_upper=1 / 3, constraint=lambda x: x - 1e16,
        jacobian=lambda x: np.ones((1, 1)),
    )  # fmt: skip
    assert problem.infeasibility(np.array([1e16])) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


# ---- other ways to give the functions


def test_evaluate_counts_as_the_four_functions():
    plain = hs.hs77()

    def evaluate(x, order):
        f, c = plain.objective.function(x), plain.constraint.function(x)
        if order == 0:
            return f, c, None, None
        return f, c, plain.gradient.function(x), plain.jacobian.function(x)

    at_once = plain.replace(evaluate=evaluate)
    for order in (0, 1, 1, 0):
        one, two = plain.at(plain.x0, order), at_once.at(plain.x0, order)
        assert one.objective == two.objective
        assert np.array_equal(one.constraint, two.constraint)
        assert (one.gradient is None) == (two.gradient is None) == (order == 0)
        if order:
            assert np.array_equal(one.gradient, two.gradient)
            assert np.array_equal(one.jacobian, two.jacobian)
    assert at_once.counts == plain.counts == {"objective": 4, "constraint": 4, "gradient": 2, "jacobian": 2}
    assert at_once.evaluations(at_once.counts) == plain.evaluations(plain.counts) == 4


def test_a_wrong_value_of_evaluate_is_named():
    with pytest.raises(ProblemError, match=r"^evaluate\(x, 1\) returned float, expected \(f, c, g, J\)$"):
        make(evaluate=lambda x, order: 0.0).at(np.ones(3))
    wrong = make(evaluate=lambda x, order: (0.0, np.zeros(3), None, None))
    with pytest.raises(ProblemError, match=r"^constraint\(x\) returned shape \(3,\), expected \(2,\)$"):
        wrong.at(np.ones(3), 0)


def test_an_error_in_evaluate_has_a_note():
    def evaluate(x, order):
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted") as caught:
        make(evaluate=evaluate).at(np.ones(3))
    assert caught.value.__notes__ == ["raised inside evaluate(...), a function of the problem"]


def test_derivatives_are_skipped_where_the_values_are_not_finite():
    problem = make(objective=lambda x: np.nan)
    values = problem.at(np.ones(3))
    assert values.gradient is None
    assert values.jacobian is None
    assert +problem.counts == {"objective": 1, "constraint": 1}


def test_products_with_the_jacobian_replace_it():
    plain = hs.hs77()
    products = plain.replace(
        jacobian=None,
        jvp=lambda x, v: plain.jacobian.function(x) @ v,
        vjp=lambda x, w: plain.jacobian.function(x).T @ w,
    )
    x, y = plain.x0, np.array([0.3, -0.7])
    assert products.residual(x, y) == pytest.approx(plain.residual(x, y), rel=1e-14)
    assert products.residual(x) == pytest.approx(plain.residual(x), rel=1e-12)
    assert products.infeasibility(x) == pytest.approx(plain.infeasibility(x))
    assert products.bound_multipliers(x, y) == pytest.approx(plain.bound_multipliers(x, y))
    assert products.at(x).jacobian is None
    both = products.replace(evaluate=lambda x, order: (0.0, np.zeros(2), np.zeros(5), np.ones((2, 5))))
    assert both.at(x).jacobian is None


# ---- starting points and features


def test_the_own_multipliers_belong_to_the_own_start():
    problem = make(y0=[1.0, 2.0])
    assert problem.point()[1].tolist() == [1, 2]
    assert problem.point(np.zeros(3))[1] is None
    assert problem.point(np.zeros(3), [3, 4])[1].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("y0", "said"),
    [
        ([1.0], r"y0 has shape \(1,\), expected \(2,\)"),
        ([1.0, np.nan], r"y0\[1\] is nan, expected finite numbers"),
        ([1j, 0], "y0 has dtype complex128, expected real numbers"),
        ("no", r"y0 is a str, expected an array of shape \(2,\)"),
    ],
)
def test_wrong_multipliers_are_named(y0, said):
    with pytest.raises(ProblemError, match=rf"^{said}$"):
        make(y0=y0)
    with pytest.raises(ProblemError, match=rf"^{said}$"):
        make().point(np.zeros(3), y0)


def test_features_tell_bounds_from_inequalities():
    assert make().features() == set()
    assert make(lower=[0, -np.inf, -np.inf]).features() == {"bounds"}
    assert make(constraint_upper=[0, 1]).features() == {"inequalities"}
    assert hs.hs71().features() == {"bounds", "inequalities"}
    products = {"jacobian": None, "jvp": lambda x, v: v[:2], "vjp": lambda x, w: np.zeros(3)}
    assert make(**products).features() == {"no jacobian"}
    assert make(m=0, constraint=None, jacobian=None).features() == set()
    assert make().identity() == "NLP without a name float64 n=3 m=2"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": -1}, "n is -1, expected a whole number >= 1"),
        ({"m": 1.5}, "m is 1.5, expected a whole number >= 0"),
        ({"objective": None}, "NLP needs the function objective"),
        ({"gradient": None}, "NLP needs the function gradient"),
        ({"constraint": None}, "NLP needs the function constraint"),
        ({"jacobian": None}, "NLP with m > 0 needs the function jacobian, or jvp and vjp"),
        ({"jacobian": None, "jvp": lambda x, v: v}, "NLP with m > 0 needs the function jacobian, or jvp and vjp"),
        ({"constraint_lower": None}, "NLP with m > 0 needs constraint_lower and constraint_upper .*"),
        ({"constraint_upper": None}, "NLP with m > 0 needs constraint_lower and constraint_upper .*"),
        ({"constraint_lower": [0, 0, 0]}, r"constraint_lower has shape \(3,\), expected \(2,\) or a number"),
        ({"constraint_upper": [0, np.nan]}, r"constraint_upper\[1\] is nan, expected a number or \+-inf"),
        ({"constraint_lower": [0, 1]}, r"constraint_lower\[1\] = 1.0 exceeds constraint_upper\[1\] = 0.0"),
        ({"constraint_lower": np.inf}, r"constraint_lower\[0\] is inf, which no point satisfies"),
        ({"lower": 2.0, "upper": [3, 1, 3]}, r"lower\[1\] = 2.0 exceeds upper\[1\] = 1.0"),
        ({"x0": [1.0]}, r"x0 has shape \(1,\), expected \(3,\)"),
        ({"constraint": 3}, "constraint is 3, expected a function"),
    ],
)
def test_wrong_data_are_named(options, said):
    with pytest.raises(ProblemError, match=rf"^{said}$"):
        make(**{"n": 3, "m": 2, **options}) if not {"n", "m"} & set(options) else NLP(
            **{"n": 3, "m": 2, "objective": len, "gradient": len, **options}
        )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("gradient", np.ones(2), r"gradient\(x\) returned shape \(2,\), expected \(3,\)"),
        ("constraint", np.ones((2, 1)), r"constraint\(x\) returned shape \(2, 1\), expected \(2,\)"),
        ("jacobian", np.ones((3, 2)), r"jacobian\(x\) returned shape \(3, 2\), expected \(2, 3\)"),
        ("objective", np.ones(3), r"objective\(x\) returned shape \(3,\), expected a number"),
    ],
)
def test_a_function_of_the_wrong_shape_is_named(name, value, said):
    with pytest.raises(ProblemError, match=rf"^{said}$"):
        make(**{name: lambda x: value}).at(np.ones(3))


def test_a_fixed_variable_stays_in_x():
    problem = make(lower=[1, -np.inf, -np.inf], upper=[1, np.inf, np.inf])
    assert problem.point()[0].shape == (3,)
    assert problem.measure(np.array([1.0, 0, 0]), np.zeros(2), np.array([9.0, 0, 0]), np.zeros(2)) == 0
