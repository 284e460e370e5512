"""A wrong problem class, a missing function and a refused feature are ProblemErrors, also from a bare `start`."""

import re

import numpy as np
import pytest

import resolvent as rs
from resolvent import ProblemError
from resolvent.problems import NLP, Blocks, CompositeProblem, LinearModel, LinearSystem, SmoothProblem, losses, terms
from resolvent.problems.library import hs
from tests.contracts.helpers import every, those
from tests.toys.truncated_newton import Product


def entrances(problem, solver):
    return [
        lambda: rs.solve(problem, solver),
        lambda: rs.iterate(problem, solver),
        lambda: solver.start(problem),
    ]


def bounded():
    return SmoothProblem(
        n=1, x0=[0.5], lower=0, objective=lambda x: x[0] ** 2, gradient=lambda x: 2 * x, hessp=lambda x, v: 2 * v
    )


def with_products():
    problem = hs.hs77()
    return problem.replace(
        jacobian=None, jvp=lambda x, v: problem.jacobian(x) @ v, vjp=lambda x, w: problem.jacobian(x).T @ w
    )


def composite(term, intercept=False, responses=1):
    model = LinearModel(
        np.eye(2), losses.LeastSquares(np.ones((2, responses) if responses > 1 else 2)), intercept=intercept
    )
    return CompositeProblem(smooth=model, term=term)


WITH_FEATURE = {
    ("NLP", "bounds"): lambda: hs.hs7().replace(lower=0.0),
    ("NLP", "inequalities"): lambda: hs.hs7().replace(constraint_upper=np.inf),
    ("NLP", "no jacobian"): with_products,
    ("SmoothProblem", "bounds"): bounded,
    ("LinearSystem", "indefinite"): lambda: LinearSystem(np.eye(2), np.ones(2)),
    ("CompositeProblem", "nonconvex"): lambda: composite(terms.MCP(1.0)),
    ("CompositeProblem", "groups"): lambda: composite(terms.GroupL1(Blocks.equal(2, 2))),
    ("CompositeProblem", "intercept"): lambda: composite(terms.L1(1.0), intercept=True),
    ("CompositeProblem", "several responses"): lambda: composite(terms.L1(1.0), responses=2),
    ("LinearSystem", "operator"): lambda: LinearSystem(Product(lambda x, v: v, None), np.ones(2), spd=True),
}


@every
def test_wrong_class(case):
    wrong = hs.hs7() if case.solver.solves is not NLP else SmoothProblem(n=1, x0=[0.0], objective=lambda x: 0.0)
    expected = f"{type(case.solver).__name__} solves {case.solver.solves.__name__}, got {type(wrong).__name__}"
    for enter in entrances(wrong, case.solver):
        with pytest.raises(ProblemError, match=f"^{expected}$"):
            enter()


@those(lambda case: case.solver.needs)
def test_missing_function(case):
    for need in case.solver.needs:
        problem = case.problem().replace(**dict.fromkeys(re.split("[|+]", need)))
        given = ", ".join(oracle.name for oracle in problem.oracles())
        expected = f"{type(case.solver).__name__} needs {need}; this {type(problem).__name__} gives {given}"
        for enter in entrances(problem, case.solver):
            with pytest.raises(ProblemError, match=f"^{re.escape(expected)}$"):
                enter()


@those(lambda case: case.solver.refuses)
def test_refused_feature(case):
    for feature in case.solver.refuses:
        problem = WITH_FEATURE[case.solver.solves.__name__, feature]()
        expected = f"{type(case.solver).__name__} cannot take {feature}; this {type(problem).__name__} has {feature}"
        for enter in entrances(problem, case.solver):
            with pytest.raises(ProblemError, match=f"^{expected}$"):
                enter()


@every
def test_a_class_of_solvers_is_no_solver(case):
    with pytest.raises(rs.OptionError, match=r"solver is <class .*>, expected a Solver object"):
        rs.solve(case.problem(), type(case.solver))
