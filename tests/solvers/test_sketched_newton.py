"""SketchedNewton: the merit function, the published counts, local orders, rank deficiency, honesty."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent.problems import NLP, cutest, library
from resolvent.problems.library import hs, scalable
from resolvent.solvers import Accuracy, Curvature, Sketch, SketchedNewton
from resolvent.solvers.linear import sketch_and_project, symmetric_factor
from resolvent.solvers.nlp.feasibility import feasibility_step
from resolvent.solvers.nlp.merit import Penalties, merit, slope
from resolvent.solvers.nlp.newton_system import NewtonSystem

NATIVE_PAPER = ("SINVALNE", "TRIGON1NE", "HIMMELBE", "MOREBVNE", "DENSCHNCNE", "BA-L1")
ETA = Penalties(3.0, 0.2)
Status = rs.Status


def paper_problems():
    return [cutest.load(name, **parameters) for name, parameters in cutest.paper_set()] + [
        library.load(name) for name in NATIVE_PAPER
    ]


def linear_program_of_quadratics(G, h, n=4, **fields):
    """min norm2(x)^2 / 2 + sum x subject to G x = h."""
    G, h = np.atleast_2d(np.asarray(G, float)), np.atleast_1d(np.asarray(h, float))
    return NLP(
        **{
            "n": n,
            "m": len(h),
            "x0": np.ones(n),
            "constraint_lower": h,
            "constraint_upper": h,
            "objective": lambda x: 0.5 * float(x @ x) + float(x.sum()),
            "gradient": lambda x: x + 1,
            "constraint": lambda x: G @ x,
            "jacobian": lambda x: G,
            "lagrangian_hessian": lambda x, y, sigma=1.0: sigma * np.eye(n),
            **fields,
        }
    )


# ---- the merit function


def merit_at(problem, x, y):
    values = problem.at(x)
    return merit(values.objective, values.constraint, y, values.gradient + values.jacobian.T @ y, ETA)


def merit_gradient(problem, x, y):
    values = problem.at(x)
    c, G = values.constraint, np.asarray(values.jacobian)
    g = values.gradient + G.T @ y
    H = np.asarray(problem.lagrangian_hessian(x, y))
    return np.concatenate([g + ETA.gradient * H @ g + ETA.constraint * G.T @ c, c + ETA.gradient * G @ g])


@pytest.mark.parametrize("make", [hs.hs7, hs.hs77, hs.hs100lnp])
def test_merit_gradient_is_that_of_the_lagrangian(make, rng):
    """With the Hessian of f in place of that of L this fails: c is nonlinear."""
    problem = make()
    problem = problem.replace(constraint_lower=0.0, constraint_upper=0.0)
    x, y = problem.x0 + 0.1 * rng.standard_normal(problem.n), rng.standard_normal(problem.m)
    w = np.concatenate([x, y])
    differences = []
    for i in range(len(w)):
        h = 1e-5 * (1 + abs(w[i]))
        step = np.zeros_like(w)
        step[i] = h
        there, back = w + step, w - step
        differences.append(
            (merit_at(problem, *np.split(there, [problem.n])) - merit_at(problem, *np.split(back, [problem.n])))
            / (2 * h)
        )
    exact = merit_gradient(problem, x, y)
    assert np.abs(exact - differences).max() <= 1e-6 * np.abs(exact).max()


@pytest.mark.parametrize(("shift", "dual_shift"), [(0.0, 0.0), (2.5, 0.0), (0.7, 0.3)])
def test_slope_needs_no_product_with_the_hessian(shift, dual_shift, rng):
    problem = hs.hs77().replace(constraint_lower=0.0, constraint_upper=0.0)
    x, y = problem.x0 + 0.1 * rng.standard_normal(problem.n), rng.standard_normal(problem.m)
    values = problem.at(x)
    G = np.asarray(values.jacobian)
    b = -np.concatenate([values.gradient + G.T @ y, values.constraint])
    system = NewtonSystem(problem.lagrangian_hessian(x, y), G, b)
    system.regularise(shift, dual_shift)
    z = rng.standard_normal(problem.n + problem.m)
    expected = merit_gradient(problem, x, y) @ z
    assert abs(slope(system, z, system.residual(z)).at(ETA) - expected) <= 1e-10 * abs(expected)


def test_sparse_and_dense_newton_systems_agree(rng):
    H = sp.random_array((150, 150), density=0.02, random_state=rng)
    H, G = (H + H.T).tocsr(), sp.random_array((80, 150), density=0.03, random_state=rng).tocsr()
    b = rng.standard_normal(230)
    sparse, dense = NewtonSystem(H, G, b), NewtonSystem(H.toarray(), G.toarray(), b)
    for system in (sparse, dense):
        system.regularise(0.3, 0.01)
    assert sparse.sparse
    assert not dense.sparse
    assert np.abs(sparse.matrix.toarray() - dense.matrix).max() == 0
    again = NewtonSystem(2 * H, G, b, sparse.pattern)
    assert again.pattern is sparse.pattern
    assert np.allclose(again.matrix.toarray()[:150, :150], 2 * H.toarray())


# ---- published


@pytest.mark.parametrize(
    ("name", "to_1e_4", "to_1e_7"), [("BT11", 7, 7), ("HS77", 8, 9), ("HS7", 10, 11), ("HS6", 9, 9)]
)
def test_published_iteration_counts(name, to_1e_4, to_1e_7):
    """As in the authors' result files."""
    problem = library.load(name)
    problem = problem.replace(y0=np.zeros(problem.m))
    for tolerance, expected in ((1e-4, to_1e_4), (1e-7, to_1e_7)):
        result = rs.solve(problem, SketchedNewton.published(), stop=rs.Stop(atol=tolerance, rtol=0), rng=2023)
        assert (result.status, result.iterations) == (Status.CONVERGED, expected)


@pytest.mark.parametrize("name", ["GOTTFR", "PRICE4NE"])
def test_published_method_ends_singular(name):
    result = rs.solve(cutest.load(name), SketchedNewton.published(), stop=rs.Stop(atol=1e-4, rtol=0))
    assert result.status is Status.BREAKDOWN
    assert result.message.startswith("singular")


@pytest.mark.slow
@pytest.mark.parametrize("sketch", [Sketch.kaczmarz(weighted=False), Sketch.gaussian()], ids=["kaczmarz", "gaussian"])
def test_published_method_solves_45_of_47(sketch):
    solver, stop = SketchedNewton.published(sketch=sketch), rs.Stop(atol=1e-4, rtol=0, iterations=10_000)
    failed = [p.name for p in paper_problems() if not rs.solve(p, solver, stop=stop, rng=2023).success]
    assert failed == ["GOTTFR", "PRICE4NE"]


def test_all_47_paper_problems_at_1e_6():
    for problem in paper_problems():
        result = rs.solve(problem, SketchedNewton(), stop=rs.Stop(atol=1e-6, rtol=0))
        assert result.status is Status.CONVERGED, (problem.name, result.message)
        assert problem.residual(result.x, result.y) <= 1e-6


# ---- local rates


@pytest.fixture
def short_bursts(monkeypatch):
    """Test the residual of a sketched system often, so that it is not solved better than asked for."""
    monkeypatch.setattr(sketch_and_project, "CHEAP", 0)


def local_residuals(name, accuracy):
    solver = SketchedNewton(
        sketch=Sketch.kaczmarz(),
        accuracy=accuracy,
        krylov=False,
        factor=False,
        dual_regularisation=0.0,
        sketch_limit=10**7,
    )
    result = rs.solve(library.load(name), solver, stop=rs.Stop(atol=1e-11, rtol=0), rng=5)
    residuals = result.history["residual"]
    assert result.success
    return residuals[residuals < 0.1]


@pytest.mark.parametrize("name", ["HS7", "BT11"])
def test_a_fixed_accuracy_gives_its_linear_rate(name, short_bursts):
    residuals = local_residuals(name, Accuracy.computable(largest=0.1, power=0.0))
    ratios = residuals[1:] / residuals[:-1]
    assert (ratios[2:] <= 0.11).all()
    assert ratios[2:].max() > 1e-2, "the direction was far more accurate than asked for"


@pytest.mark.parametrize("name", ["HS7", "BT11"])
def test_a_proportional_accuracy_gives_quadratic_convergence(name, short_bursts):
    residuals = local_residuals(name, Accuracy.computable(largest=0.1, power=1.0))
    before, after = residuals[:-1], residuals[1:]
    clear = before > 1e-7
    assert clear.sum() >= 2
    assert (after[clear] <= 10 * before[clear] ** 2).all()


def test_bitwise_reproducible():
    runs = [rs.solve(hs.hs77(), SketchedNewton.published(), stop=rs.Stop(atol=1e-6, rtol=0), rng=7) for _ in range(2)]
    assert runs[0].x.tobytes() == runs[1].x.tobytes()
    assert runs[0].counts == runs[1].counts
    other = rs.solve(hs.hs77(), SketchedNewton.published(), stop=rs.Stop(atol=1e-6, rtol=0), rng=8)
    assert runs[0].x.tobytes() != other.x.tobytes()


# ---- the ladder


def test_result_says_which_rung_ended_each_step():
    result = rs.solve(library.load("LUKVLE1", n=100), SketchedNewton(), rng=0)
    rungs = result.history["rung"][1:]
    assert set(rungs) <= {1.0, 2.0, 3.0, 4.0}
    for i, name in enumerate(("sketch", "krylov", "factor", "feasibility"), start=1):
        assert result.history[f"ended_by_{name}"][-1] == (rungs == i).sum()


def test_sketch_ends_steps_on_a_well_conditioned_problem():
    n = 600
    problem = NLP(
        n=n,
        m=1,
        x0=np.full(n, 0.1),
        constraint_lower=1.0,
        constraint_upper=1.0,
        objective=lambda x: 0.5 * float(x @ x) + 0.01 * float((x**4).sum()),
        gradient=lambda x: x + 0.04 * x**3,
        constraint=lambda x: np.array([x.sum() / np.sqrt(n)]),
        jacobian=lambda x: sp.csr_array(np.full((1, n), 1 / np.sqrt(n))),
        lagrangian_hessian=lambda x, y, sigma=1.0: sp.csr_array(sp.diags_array(sigma * (1 + 0.12 * x**2))),
    )
    result = rs.solve(problem, SketchedNewton(), rng=0)
    assert result.success
    assert result.history["ended_by_sketch"][-1] >= 1


@pytest.mark.parametrize("sketch", [Sketch.kaczmarz(), Sketch.gaussian(2), Sketch.block_rows(4), Sketch.count(4)])
def test_every_sketch_alone_solves_hs7(sketch):
    solver = SketchedNewton(sketch=sketch, krylov=False, factor=False)
    assert rs.solve(hs.hs7(), solver, stop=rs.Stop(atol=1e-6, rtol=0)).success


def test_no_dense_factorisation_of_a_sparse_problem(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a dense factorisation")

    monkeypatch.setattr(symmetric_factor.DenseFactor, "__init__", refuse)
    for name in ("eigh", "eigvalsh", "svd", "qr", "inv", "lstsq"):
        monkeypatch.setattr(np.linalg, name, refuse)
    result = rs.solve(scalable.lukvle1(n=2000), SketchedNewton())
    assert result.success


# ---- second derivatives


def test_without_a_hessian_differences_are_said_and_counted():
    with pytest.warns(UserWarning, match="gives no Hessian"):
        result = rs.solve(hs.hs77().replace(lagrangian_hessian=None), SketchedNewton())
    exact = rs.solve(hs.hs77(), SketchedNewton())
    assert result.success
    assert np.allclose(result.x, exact.x, atol=1e-5)
    assert result.counts["gradient"] >= exact.counts["gradient"] + 5 * result.iterations


def test_hessian_products_are_enough():
    full = hs.hs77()
    products = full.replace(
        lagrangian_hessian=None,
        lagrangian_hessp=lambda x, y, v, sigma=1.0: np.asarray(full.lagrangian_hessian.function(x, y, sigma)) @ v,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = rs.solve(products, SketchedNewton())
    assert result.success
    assert np.allclose(result.x, rs.solve(full, SketchedNewton()).x, atol=1e-6)


def test_large_matrix_free_hessian_goes_to_krylov():
    full = scalable.dtoc5(400)
    free = full.replace(
        lagrangian_hessian=None,
        lagrangian_hessp=lambda x, y, v, sigma=1.0: full.lagrangian_hessian.function(x, y, sigma) @ v,
    )
    result = rs.solve(free, SketchedNewton())
    assert result.success
    assert result.history["ended_by_krylov"][-1] == result.iterations


@pytest.mark.parametrize(
    "problem", [("LUKVLE13", 98), ("LUKVLE6", 99), ("LUKVLE8", 50), ("DIXCHLNG",), ("LUKVLE14",)], ids=lambda p: p[0]
)
def test_dual_regularisation_does_not_slow_the_method(problem):
    for seed in range(3):
        result = rs.solve(cutest.load(*problem), SketchedNewton(), stop=rs.Stop(iterations=60), rng=seed)
        assert result.success


def test_a_step_towards_feasibility_is_short_and_does_not_blow_up_the_objective():
    problem = NLP(  # a root of c is 1e6 away, where f overflows
        n=1, m=1, x0=[1.0], constraint_lower=0.0, constraint_upper=0.0,
        objective=lambda x: np.exp(min(x[0], 800.0)), gradient=lambda x: np.exp(np.minimum(x, 800.0)),
        constraint=lambda x: 1e-6 * x - 1, jacobian=lambda x: np.full((1, 1), 1e-6),
    )  # fmt: skip
    x = problem.x0
    for _ in range(20):
        f, c, G = problem.objective(x), problem.constraint(x), problem.jacobian(x)
        step = feasibility_step(problem, x, f, c, G, 1e-12)
        if step.x is None:
            break
        assert abs(step.x - x) <= 0.5 * max(1, abs(x))
        assert problem.objective(step.x) <= f + 1e3 * max(1, f)
        x = step.x
    assert x > 5


# ---- what can go wrong


def test_redundant_constraints_are_no_obstacle():
    result = rs.solve(
        linear_program_of_quadratics([[1, 1, 0, 0], [1, 1, 0, 0], [2, 2, 0, 0]], [1, 1, 2]), SketchedNewton()
    )
    assert result.success
    assert np.allclose(result.x, [0.5, 0.5, -1, -1], atol=1e-6)


def test_contradicting_constraints_are_infeasible():
    problem = linear_program_of_quadratics([[1, 1, 0, 0], [1, 1, 0, 0]], [1, 2])
    result = rs.solve(problem, SketchedNewton())
    assert result.status is Status.INFEASIBLE
    violation, gradient = problem.infeasibility(result.x)
    assert violation == pytest.approx(np.sqrt(0.5))
    assert gradient <= 1e-6


@pytest.mark.parametrize("name", ["MEYER3NE", "NELSON"])
def test_contradicting_constraints_whose_slope_is_lost_in_rounding_are_infeasible(name):
    problem = cutest.load(name)
    result = rs.solve(problem, SketchedNewton())
    assert result.status is Status.INFEASIBLE
    assert problem.infeasibility(result.x)[1] <= 1e-9
    assert result.residual > 1


def test_more_constraints_than_variables():
    G, x = np.random.default_rng(0).standard_normal((7, 3)), np.array([1.0, -2.0, 0.5])
    consistent = rs.solve(linear_program_of_quadratics(G, G @ x, n=3), SketchedNewton())
    assert consistent.success
    assert np.allclose(consistent.x, x)
    contradicting = rs.solve(linear_program_of_quadratics(G, G @ x + np.arange(7), n=3), SketchedNewton())
    assert contradicting.status is Status.INFEASIBLE


def test_unbounded_objective():
    problem = NLP(
        n=2,
        m=1,
        x0=[1.0, 1.0],
        constraint_lower=0.0,
        constraint_upper=0.0,
        objective=lambda x: -float(x[0] + x[1]),
        gradient=lambda x: -np.ones(2),
        constraint=lambda x: np.array([x[1] - x[0]]),
        jacobian=lambda x: np.array([[-1.0, 1.0]]),
        lagrangian_hessian=lambda x, y, sigma=1.0: np.zeros((2, 2)),
    )
    result = rs.solve(problem, SketchedNewton())
    assert result.status is Status.UNBOUNDED
    assert not result.success


def test_unconstrained_problems_are_solved_too():
    problem = NLP(
        n=2,
        x0=[-1.2, 1.0],
        objective=lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
        gradient=lambda x: np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)]),
        lagrangian_hessian=lambda x, y, sigma=1.0: (
            sigma * np.array([[1200 * x[0] ** 2 - 400 * x[1] + 2, -400 * x[0]], [-400 * x[0], 200.0]])
        ),
    )
    result = rs.solve(problem, SketchedNewton())
    assert result.success
    assert np.allclose(result.x, 1, atol=1e-5)


def test_nan_at_trial_points_means_a_shorter_step():
    base = hs.hs7()

    def objective(x):
        return base.objective.function(x) if abs(x[0]) < 2.5 else np.nan

    result = rs.solve(base.replace(objective=objective), SketchedNewton())
    assert result.success


def test_nan_in_the_hessian_is_no_success():
    problem = hs.hs7().replace(lagrangian_hessian=lambda x, y, sigma=1.0: np.full((2, 2), np.nan))
    result = rs.solve(problem, SketchedNewton())
    assert result.status is Status.DIVERGED
    assert "Hessian" in result.message


def test_warm_start_from_a_result_takes_its_multipliers():
    cold = rs.solve(hs.hs77(), SketchedNewton())
    warm = rs.solve(hs.hs77().replace(x0=[1.0] * 5), SketchedNewton(), cold)
    assert warm.success
    assert warm.iterations == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty_constraint": 0.0}, "penalty_constraint is 0.0, expected a number > 0"),
        ({"penalty_factor": 1.0}, "penalty_factor is 1.0, expected a number > 1"),
        ({"sketch": "gaussian"}, "sketch is 'gaussian', expected a Sketch"),
        ({"accuracy": 0.1}, "accuracy is 0.1, expected an Accuracy"),
        ({"curvature": None}, "curvature is None, expected a Curvature"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(rs.OptionError, match=message):
        SketchedNewton(**options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Accuracy.computable(largest=1.0),
        lambda: Accuracy.paper(beta=0.6),
        lambda: Curvature.geometric(growth=1.0),
        lambda: Sketch.block_rows(0),
        lambda: Sketch.gaussian(0),
        lambda: Sketch.count(-1),
    ],
)
def test_wrong_parts_are_refused(make):
    with pytest.raises(rs.OptionError, match="expected"):
        make()


def test_bounds_and_inequalities_are_refused():
    with pytest.raises(rs.ProblemError, match="SketchedNewton cannot take"):
        rs.solve(hs.hs71(), SketchedNewton())
