"""check_derivatives finds a planted wrong entry in each of the functions."""

import numpy as np
import pytest
import scipy.sparse as sp

from resolvent import ProblemError, check_derivatives
from resolvent.problems import LinearSystem, SmoothProblem
from resolvent.problems.library import hs, unconstrained


def nlp():
    plain = hs.hs77()
    return plain.replace(
        jvp=lambda x, v: plain.jacobian.function(x) @ v,
        vjp=lambda x, w: plain.jacobian.function(x).T @ w,
        lagrangian_hessp=lambda x, y, v, sigma=1.0: plain.lagrangian_hessian.function(x, y, sigma) @ v,
    )


def smooth():
    plain = unconstrained.rosenbrock(6)
    return plain.replace(hessp=lambda x, v: plain.hessian.function(x) @ v)


def spoiled(problem, name, entry, sparse=False):
    """Return the problem with 0.1 added to one entry of a derivative."""
    function = getattr(problem, name).function
    row, column = entry if len(entry) == 2 else (entry[0], None)

    def wrong(*args):
        value = function(*args)
        value = value.toarray() if hasattr(value, "toarray") else np.array(value)
        if name in ("gradient",):
            value[row] += 0.1
        elif name == "vjp":
            value[column] += 0.1 * args[1][row]
        elif name in ("jvp", "hessp", "lagrangian_hessp"):
            value[row] += 0.1 * args[-1][column]
        else:
            value[row, column] += 0.1
        return sp.csr_array(value) if sparse else value

    return problem.replace(**{name: wrong})


@pytest.mark.parametrize("problem", [nlp, smooth])
def test_right_derivatives_pass(problem):
    report = check_derivatives(problem())
    assert report.ok
    assert all(check.slope > 1.5 and check.entry is None for check in report.checks)
    assert "WRONG" not in str(report)
    assert len(str(report).splitlines()) == len(report.checks)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("gradient", (3,)),
        ("jacobian", (1, 3)),
        ("jvp", (0, 4)),
        ("lagrangian_hessian", (2, 2)),
        ("lagrangian_hessian", (0, 4)),
        ("lagrangian_hessp", (1, 3)),
    ],
)
def test_a_wrong_entry_of_an_nlp_is_found(name, entry):
    report = check_derivatives(spoiled(nlp(), name, entry))
    wrong = [check for check in report.checks if not check.ok]
    assert [check.function for check in wrong] == [name]
    assert wrong[0].entry == entry
    assert wrong[0].given - wrong[0].expected == pytest.approx(0.1, rel=1e-3)
    assert f"WRONG: [{', '.join(map(str, entry))}]" in str(report)


def test_a_wrong_column_of_vjp_is_found():
    """Its components are tested through y^T c, so that the row cannot be told."""
    report = check_derivatives(spoiled(nlp(), "vjp", (1, 3)))
    wrong = [check for check in report.checks if not check.ok]
    assert [check.function for check in wrong] == ["vjp"]
    assert wrong[0].entry == (3,)


@pytest.mark.parametrize(("name", "entry"), [("gradient", (5,)), ("hessian", (2, 3)), ("hessp", (4, 4))])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_wrong_entry_of_a_smooth_problem_is_found(name, entry, sparse):
    report = check_derivatives(spoiled(smooth(), name, entry, sparse and name == "hessian"))
    wrong = [check for check in report.checks if not check.ok]
    assert [check.function for check in wrong] == [name]
    assert wrong[0].entry == entry


@pytest.mark.parametrize("column", [0, 17, 99])
def test_a_wrong_entry_among_many_is_found(column):
    report = check_derivatives(spoiled(unconstrained.rosenbrock(100), "gradient", (column,)))
    assert [check.entry for check in report.checks if not check.ok] == [(column,)]


def test_a_wrong_sign_is_found():
    problem = hs.hs7()
    report = check_derivatives(problem.replace(jacobian=lambda x: -problem.jacobian.function(x)))
    assert "jacobian" in {check.function for check in report.checks if not check.ok}


def test_a_derivative_that_is_nan_is_wrong():
    report = check_derivatives(smooth().replace(gradient=lambda x: np.full_like(x, np.nan)))
    assert not report.ok


def test_linear_functions_pass():
    problem = SmoothProblem(
        n=2, x0=[1.0, 2.0], objective=lambda x: 3 * x[0] - x[1], gradient=lambda x: np.array([3.0, -1.0])
    )
    report = check_derivatives(problem)
    assert report.ok
    assert report.checks[0].slope > 1.5


def test_the_point_can_be_chosen():
    """An error that vanishes at the starting point shows at another one."""
    problem = SmoothProblem(n=1, x0=[0.0], objective=lambda x: x[0] ** 2, gradient=lambda x: 2 * x * (1 + x))
    assert not check_derivatives(problem, [1.0]).ok
    assert not check_derivatives(problem, rng=3).ok


def test_the_work_counts_as_checks():
    problem = nlp()
    check_derivatives(problem)
    assert all(name.startswith("check.") for name in +problem.counts)
    assert problem.evaluations(problem.counts) == 0


def test_float32_derivatives_are_not_called_wrong():
    assert check_derivatives(hs.hs77().replace(dtype=np.float32)).ok


def test_another_class_is_refused():
    with pytest.raises(ProblemError, match=r"^check_derivatives takes an NLP or a SmoothProblem, got LinearSystem$"):
        check_derivatives(LinearSystem(np.eye(2), np.ones(2)))
