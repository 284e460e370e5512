"""Composite problems: gaps against known optima and weak duality, residuals, shapes, counts, and bad input."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize, nnls

import resolvent as rs
from resolvent import BackendError, ProblemError
from resolvent.problems import Blocks, CompositeProblem, LinearModel, Quadratic, SmoothProblem, losses, terms

RNG = np.random.default_rng(5)
N, P = 30, 12
A = RNG.standard_normal((N, P)) + 0.3
Y = A[:, :3].sum(axis=1) + 0.3 * RNG.standard_normal(N) + 1.0
SIGNS = np.where(np.median(Y) < Y, 1.0, -1.0)
COUNTS = RNG.poisson(np.exp(0.3 * A[:, 0] + 0.4)).astype(float)
LABELS = RNG.integers(0, 3, N)
WEIGHTS = np.where(np.arange(N) % 7 == 0, 0.0, RNG.random(N) + 0.3)
OFFSET = 0.3 * RNG.standard_normal(N)

LOSSES = {
    "least squares": losses.LeastSquares(Y),
    "logistic": losses.Logistic(SIGNS),
    "huber": losses.Huber(Y, 0.5),
    "poisson": losses.Poisson(COUNTS),
    "squared hinge": losses.SquaredHinge(SIGNS),
    "softmax": losses.Softmax(LABELS),
    "several": losses.LeastSquares(np.stack([Y, -Y[::-1]], axis=1)),
}


def problem_of(name, term=None, **model):
    loss = LOSSES[name]
    if model.get("offset") is not None and len(loss.shape) > 1:
        model["offset"] = np.stack([OFFSET] * loss.shape[1], axis=1)
    return CompositeProblem(smooth=LinearModel(A, loss, **model), term=terms.L1(2.0) if term is None else term)


def solved(problem, iterations=4000):
    """Return x after accelerated proximal gradient steps, with restarts: an independent slow solver."""
    x = problem.point()[0]
    y, t = x, 1.0
    parts = (lambda v: v) if problem.intercept else (lambda v: (v,))
    bound = problem.smooth.loss.row_bound or 30.0
    columns = np.column_stack([A, np.ones(N)]) if problem.intercept else A
    w = np.ones(N) if problem.smooth.weights is None else problem.smooth.weights
    L = bound * np.linalg.norm(np.sqrt(w)[:, None] * columns, 2) ** 2
    for _ in range(iterations):
        g = problem.gradient(y)
        new = [part - slope / L for part, slope in zip(parts(y), parts(g), strict=True)]
        new[0] = problem.term.prox(new[0], 1 / L)
        moves = [a - b for a, b in zip(new, parts(x), strict=True)]
        if sum(float(((b - a) * m).sum()) for a, b, m in zip(new, parts(y), moves, strict=True)) > 0:
            t = 1.0
        faster = (1 + math.sqrt(1 + 4 * t * t)) / 2
        jump = [a + (t - 1) / faster * m for a, m in zip(new, moves, strict=True)]
        x, y, t = (tuple(new), tuple(jump), faster) if problem.intercept else (new[0], jump[0], faster)
        if max(np.abs(m).max() for m in moves) <= 1e-13:
            break
    return x


# ---- the gap


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("model", [{}, {"weights": WEIGHTS, "offset": OFFSET}], ids=["plain", "weights and offset"])
@pytest.mark.parametrize("intercept", [False, True], ids=["", "intercept"])
def test_gap_vanishes_at_the_optimum_and_bounds_the_distance_to_it(name, model, intercept):
    problem = problem_of(name, intercept=intercept, **model)
    assert problem.has_gap
    x = solved(problem, 3000)
    best = problem.objective(x)
    assert problem.residual(x) <= 1e-9 * problem.scale()
    rng = np.random.default_rng(0)
    for size in (1e-3, 0.1, 1.0):
        for _ in range(5):
            away = [part + size * rng.standard_normal(part.shape) for part in (x if intercept else (x,))]
            away = tuple(away) if intercept else away[0]
            gap = problem.residual(away)
            assert gap >= problem.objective(away) - best - 1e-9 * problem.scale()
            theta = rng.standard_normal(problem.smooth.loss.shape)
            with np.errstate(all="raise"):
                assert problem.residual(away, theta) >= problem.objective(away) - best - 1e-9 * problem.scale()


@pytest.mark.parametrize("name", ["least squares", "logistic", "huber", "squared hinge"])
def test_gap_means_something_at_the_rounding_of_the_objective(name):
    """It falls with the distance from the optimum, down to eps P(0)."""
    problem = problem_of(name, terms.L1(3.0))
    x = polished(problem, solved(problem))
    assert problem.residual(x) <= 2e-15 * problem.scale()
    support = x != 0
    gaps = [problem.residual(x + t * support * np.cos(np.arange(P))) / t for t in (1e-8, 1e-10, 1e-12)]
    assert gaps == pytest.approx([gaps[0]] * 3, rel=0.1)
    assert 0 < gaps[0] < 10 * problem.scale()


def polished(problem, x):
    """Return x after Newton steps on its support."""
    S = np.flatnonzero(np.abs(x) > 1e-7)
    signs, x = np.sign(x[S]), np.where(np.abs(x) > 1e-7, x, 0)
    for _ in range(20):
        z = problem.predict(x)
        _, slope, bend = problem.smooth.loss.evaluate(z, problem.smooth.weights)
        H = A[:, S].T @ (bend[:, None] * A[:, S])
        x[S] -= np.linalg.solve(H, A[:, S].T @ slope + problem.term.weight * signs)
    return x


def test_the_lasso_in_closed_form():
    """Orthonormal columns: soft thresholding."""
    Q = np.linalg.qr(A)[0]
    problem = CompositeProblem(smooth=LinearModel(Q, losses.LeastSquares(Y)), term=terms.L1(0.4))
    c = Q.T @ Y
    x = np.sign(c) * np.maximum(np.abs(c) - 0.4, 0)
    assert problem.residual(x) <= 1e-15 * problem.scale()
    assert problem.scale() == pytest.approx(0.5 * Y @ Y, rel=1e-14)


TERMS = {
    "elastic net": terms.ElasticNet(2.0, 0.7),
    "ridge": terms.Ridge(1.5),
    "nonnegative": terms.NonNegative(2.0),
    "box": terms.Box(-0.2, 0.5),
    "box without an origin": terms.Box(0.1, 0.5, weight=1.0),
    "groups": terms.GroupL1(Blocks.equal(P, 5), 1.0),
    "sparse groups": terms.SparseGroup(Blocks.equal(P, 4), 2.0, 0.3),
    "one unpenalised": terms.L1(np.where(np.arange(P) == 1, 0.0, 2.0)),
    "a group unpenalised": terms.GroupL1(Blocks.equal(P, 3), [2.0, 0.0, 2.0, 2.0]),
    "half free": terms.Box(np.where(np.arange(P) < 6, 0.0, -np.inf), np.inf, weight=np.where(np.arange(P) < 4, 0, 2.0)),
}


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("loss", ["least squares", "logistic", "poisson", "huber"])
@pytest.mark.parametrize("intercept", [False, True], ids=["", "intercept"])
def test_gap_of_every_term(name, loss, intercept):
    problem = problem_of(loss, TERMS[name], intercept=intercept)
    x = solved(problem, 6000)
    if (loss, name, intercept) == ("logistic", "half free", True):
        # The labels can be separated at no price: there is no optimum, and no gap may say so.
        assert problem.residual(x) > 1e-8 * problem.scale()
        return
    assert problem.residual(x) <= 1e-8 * problem.scale()
    far = problem.point()[0]
    assert problem.residual(far) >= problem.objective(far) - problem.objective(x) - 1e-9 * problem.scale()


@pytest.mark.parametrize("name", ["softmax", "several"])
@pytest.mark.parametrize("intercept", [False, True], ids=["", "intercept"])
def test_gap_of_rows_of_several_responses(name, intercept):
    k = LOSSES[name].shape[1]
    weight = np.where(np.arange(P) == 2, 0.0, 2.0)  # the row of column 2 is not penalised
    problem = problem_of(name, terms.GroupL1(Blocks.rows(P, k), weight), intercept=intercept)
    x = solved(problem, 6000)
    assert problem.residual(x) <= 1e-8 * problem.scale()
    assert len(problem.blocks) == P


def test_nonnegative_least_squares_has_a_gap_at_its_optimum():
    """All weights are zero: theta is made orthogonal to the columns of the support."""
    problem = problem_of("least squares", terms.NonNegative())
    x, _ = nnls(A, Y)
    assert problem.residual(x) <= 1e-13 * problem.scale()
    assert problem.residual(np.zeros(P)) > 0


def test_no_dual_point_near_is_the_gap_of_zero():
    square = np.eye(3)
    problem = CompositeProblem(
        smooth=LinearModel(square, losses.LeastSquares([1.0, 2.0, 3.0])), term=terms.L1([0.0, 0.0, 0.0])
    )
    assert problem.residual(np.zeros(3)) == 7
    assert problem.residual(np.array([1.0, 2.0, 3.0])) == 0
    assert problem.scale() == 7


def test_a_theta_of_the_user_is_moved_into_the_dual_set():
    problem = problem_of("logistic", intercept=True)
    x = solved(problem, 300)
    z = problem.predict(x)
    own = problem.residual(x)
    assert problem.residual(x, problem.dual_point(z)) == own
    for theta in (-5 * SIGNS, 5 * SIGNS, np.zeros(N), problem.dual_point(z) + 1e-3):
        assert own - 1 < problem.residual(x, theta) < np.inf


def test_measure_is_residual_without_work():
    for intercept in (False, True):
        problem = problem_of("logistic", intercept=intercept)
        x = solved(problem, 30)
        z = problem.predict(x)
        theta = problem.dual_point(z)
        correlation = problem.correlate(theta)
        before = problem.counts["columns"]
        assert problem.measure(x, z, theta, correlation) == problem.residual(x)
        assert problem.counts["columns"] - before <= 2 * P  # those of residual


@pytest.mark.parametrize("intercept", [False, True])
def test_a_product_that_is_kept_is_used_for_its_dual_point_alone(intercept):
    problem = problem_of("logistic", intercept=intercept)
    x = solved(problem, 30)
    theta = problem.dual_point(problem.predict(x))
    expected, nearby = problem.residual(x, theta), problem.residual(x, 0.999 * theta)
    problem.correlate(theta, keep=True)
    before = problem.counts["columns"]
    assert problem.residual(x, theta.copy()) == pytest.approx(expected, rel=1e-9)
    assert problem.counts["columns"] - before <= P  # no more than the predictions
    with pytest.raises(ValueError, match="read-only"):
        theta[0] = 1.0
    assert problem.residual(x, 0.999 * theta) == nearby
    owner = np.array([theta, theta])
    problem.correlate(owner[0], keep=True)
    owner[0] *= 0.999
    assert problem.residual(x, owner[0]) == nearby
    assert problem.replace(term=problem.term).residual(x, theta) == expected


def test_gap_agrees_with_the_one_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    model = linear_model.Lasso(alpha=2.0 / N, fit_intercept=False, tol=1e-3).fit(A, Y)
    assert problem_of("least squares").residual(model.coef_) == pytest.approx(N * model.dual_gap_, rel=1e-6)


def test_the_certificate_of_the_lasso_needs_no_compilation():
    code = (
        "import sys, numpy as np\n"
        "from resolvent.problems import CompositeProblem, LinearModel, losses, terms\n"
        "model = LinearModel(np.eye(3), losses.LeastSquares(np.ones(3)))\n"
        "problem = CompositeProblem(smooth=model, term=terms.L1(0.5))\n"
        "print(problem.residual(np.full(3, 0.5)), problem.scale(), 'numba' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.split() == ["0.0", "1.5", "False"]


def test_scale_is_the_objective_at_zero_less_the_infimum_of_the_loss():
    assert problem_of("least squares", offset=OFFSET).scale() == pytest.approx(0.5 * ((Y - OFFSET) ** 2).sum())
    assert problem_of("logistic", weights=WEIGHTS).scale() == pytest.approx(WEIGHTS.sum() * math.log(2))
    assert problem_of("softmax").scale() == pytest.approx(N * math.log(3))
    y = COUNTS[COUNTS > 0]
    assert problem_of("poisson").scale() == pytest.approx(N + (y * np.log(y) - y).sum())
    problem = problem_of("least squares", terms.Box(0.1, 0.5, weight=1.0))
    assert problem.scale() == pytest.approx(problem.objective(np.full(P, 0.1)))
    assert np.array_equal(problem.x0, np.full(P, 0.1))
    assert problem.counts["check.columns"] == P
    flat = CompositeProblem(smooth=LinearModel(A, losses.LeastSquares(np.zeros(N))), term=terms.L1(1.0))
    assert flat.scale() == 1
    assert flat.residual(np.zeros(P)) == 0


# ---- residuals without a gap


def value(z, y):
    return math.log(math.cosh(z - y))


def derivative(z, y):
    return math.tanh(z - y)


def curvature(z, y):
    return 1 / math.cosh(z - y) ** 2


@pytest.mark.parametrize("bound", [1.0, None])
@pytest.mark.parametrize("term", [terms.L1(2.0), terms.GroupL1(Blocks.equal(P, 4), 1.0), terms.MCP(2.0, 3.0)])
def test_stationarity_of_a_custom_loss(bound, term):
    model = LinearModel(A, losses.Custom(Y, value, derivative, curvature, bound), intercept=True)
    problem = CompositeProblem(smooth=model, term=term)
    assert not problem.has_gap
    x = problem.point()[0]
    first = problem.residual(x)
    assert first == problem.scale() > 1
    L = np.linalg.norm(np.column_stack([A, np.ones(N)]), 2) ** 2
    for _ in range(2000):
        g, b = problem.gradient(x)
        x = problem.term.prox(x[0] - g / L, 1 / L), x[1] - b / L
    assert problem.residual(x) <= 1e-10 * first
    assert problem.residual(x, theta=np.ones(N)) == problem.residual(x)


def test_without_a_term_the_residual_is_the_gradient():
    problem = problem_of("least squares", terms.NoTerm())
    x = RNG.standard_normal(P)
    assert problem.residual(x) == pytest.approx(np.linalg.norm(A.T @ (A @ x - Y)), rel=1e-12)
    assert "nonconvex" not in problem.features()


def test_residual_of_a_column_of_zeros():
    B = A.copy()
    B[:, 3] = 0
    problem = CompositeProblem(smooth=LinearModel(B, losses.LeastSquares(Y)), term=terms.SCAD(2.0))
    x = np.zeros(P)
    x[3] = 5.0
    without = problem.residual(np.zeros(P))
    assert np.isfinite(without)
    assert problem.residual(x) > 0
    gap = CompositeProblem(smooth=LinearModel(B, losses.LeastSquares(Y)), term=terms.L1(2.0))
    assert gap.residual(x) == pytest.approx(gap.residual(np.zeros(P)) + 10)


def test_quadratic_with_a_box_has_a_gap():
    H = A.T @ A
    q = A.T @ Y
    box = CompositeProblem(smooth=Quadratic(H, q), term=terms.Box(-0.2, 0.4))
    assert box.has_gap
    found = minimize(box.objective, np.zeros(P), jac=lambda x: H @ x - q, method="L-BFGS-B", bounds=[(-0.2, 0.4)] * P)
    x = np.clip(found.x, -0.2, 0.4)
    for _ in range(2000):
        x = np.clip(x - (H @ x - q) / np.linalg.norm(H, 2), -0.2, 0.4)
    assert box.residual(x) <= 1e-12 * box.scale()
    for point in (np.zeros(P), np.full(P, 0.3)):
        assert box.residual(point) >= box.objective(point) - box.objective(x)
    assert box.scale() == box.residual(np.zeros(P))


def test_quadratic_without_a_gap():
    H = np.diag([2.0, -1.0, 0.0])
    problem = CompositeProblem(smooth=Quadratic(H, [1.0, 1.0, 0.0]), term=terms.Box(-1.0, 1.0))
    assert not problem.has_gap
    assert problem.features() == {"nonconvex", "bounds"}
    assert problem.residual(np.array([0.5, 1.0, 0.3])) == 0  # the corner where negative curvature leads
    assert problem.residual(np.array([0.5, -1.0, 0.3])) == 0  # stationary too
    assert problem.residual(np.array([0.5, 0.0, 0.3])) > 0
    lasso = CompositeProblem(smooth=Quadratic(np.diag([2.0, 1.0]), [1.0, 1.0]), term=terms.L1(0.5))
    assert not lasso.has_gap
    assert lasso.residual(np.array([0.25, 0.5])) == 0
    assert lasso.features() == set()
    lasso.gradient(np.zeros(2))
    assert lasso.counts["columns"] == 4


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, sp.csc_matrix])
def test_convexity_of_quadratics(kind):
    def convex(H, **options):
        return Quadratic(kind(np.array(H, float)), np.zeros(len(H)), **options).convex

    assert convex([[2, -1], [-1, 2]])
    assert convex([[1, 1], [1, 1]])
    assert convex([[2, 3, 0], [3, 9, 1], [0, 1, 1]])  # not dominant: eigenvalues decide
    assert not convex([[2, 3], [3, 4]])
    assert not convex([[-1, 0], [0, 2]])
    assert convex([[2, 3], [3, 4]], convex=True)


def test_smooth_problem_as_smooth_part():
    def objective(x):
        return float(((x - 3) ** 4).sum())

    smooth = SmoothProblem(n=2, objective=objective, gradient=lambda x: 4 * (x - 3) ** 3, name="quartic")
    problem = CompositeProblem(smooth=smooth, term=terms.L1(0.5))
    x = 3 - (0.5 / 4) ** (1 / 3) * np.ones(2)
    assert problem.residual(x) == pytest.approx(0, abs=1e-14)
    assert problem.residual(np.zeros(2)) == pytest.approx(np.linalg.norm(107.5 * np.ones(2)))
    assert problem.objective(x) == pytest.approx(objective(x) + 0.5 * x.sum())
    assert problem.evaluations(problem.counts) == 2
    assert smooth.counts["gradient"] == 0
    assert [oracle.name for oracle in problem.oracles()] == ["objective", "gradient"]
    assert problem.features() == {"unbounded curvature"}
    bad = CompositeProblem(
        smooth=SmoothProblem(n=1, objective=lambda x: 0.0, gradient=lambda x: x * np.nan), term=terms.L1(1.0)
    )
    with bad.strict(), pytest.raises(ProblemError, match="gradient returned nan"):
        bad.residual(np.ones(1))
    with pytest.raises(ProblemError, match="gives no gradient"):
        CompositeProblem(smooth=SmoothProblem(n=1, objective=objective), term=terms.L1(1.0))
    with pytest.raises(ProblemError, match="give them as the term"):
        CompositeProblem(smooth=smooth.replace(lower=0.0), term=terms.L1(1.0))


# ---- matrices


FORMS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "csr": sp.csr_array,
    "csc": sp.csc_array,
    "csc matrix": sp.csc_matrix,
    "coo": sp.coo_array,
    "int64": lambda B: with_int64(sp.csc_array(B)),
    "list": lambda B: B.tolist(),
}


def with_int64(B):
    B.indices, B.indptr = B.indices.astype(np.int64), B.indptr.astype(np.int64)
    return B


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["ones", "weights"])
def test_every_form_of_a_matrix_gives_the_same(form, weights):
    B = np.where(np.abs(A) > 0.8, A, 0.0)
    model = LinearModel(FORMS[form](B), LOSSES["logistic"], weights=weights, intercept=True)
    x = (np.where(np.arange(P) % 5 == 0, 0.5, 0.0), np.array([0.2]))
    for w in (x[0], np.cos(np.arange(P)), np.where(np.arange(P) == 3, 1.0, 0.0), np.zeros(P)):
        assert model.predict((w, x[1])) == pytest.approx(B @ w + 0.2, abs=1e-14)
    r = np.sin(np.arange(N))
    c, total = model.correlate(r)
    assert c == pytest.approx(B.T @ r, abs=1e-13)
    assert total == pytest.approx([r.sum()])
    w = np.ones(N) if weights is None else weights
    assert model.column_norms_squared == pytest.approx((w[:, None] * B**2).sum(axis=0))
    assert model.lipschitz == pytest.approx(0.25 * (w[:, None] * B**2).sum(axis=0))
    assert model.columns(np.array([2, 0])) == pytest.approx(B[:, [2, 0]])
    assert model.total_weight == pytest.approx(w.sum())


def test_matrices_are_not_copied_without_need():
    F = np.asfortranarray(A)
    assert LinearModel(F, LOSSES["least squares"]).A is F
    C = sp.csc_array(A)
    assert LinearModel(C, LOSSES["least squares"]).A is C
    long = with_int64(sp.csc_array(A))
    model = LinearModel(long, LOSSES["least squares"])
    assert model.A.indices.dtype == np.int64
    assert np.shares_memory(model.A.data, long.data)
    assert LinearModel(F, LOSSES["least squares"]).astype(np.float64).A is F


def test_duplicated_and_unsorted_entries_are_summed():
    rows, columns = np.array([1, 0, 1, 1]), np.array([0, 0, 0, 1])
    C = sp.csc_array((np.array([1.0, 2.0, 3.0, 4.0]), rows, np.array([0, 3, 4])), shape=(2, 2))
    model = LinearModel(C, losses.LeastSquares([0.0, 0.0]))
    assert np.array_equal(model.A.toarray(), [[2, 0], [4, 4]])
    assert np.array_equal(model.column_norms_squared, [20, 16])
    assert C.nnz == 4
    assert columns[3] == 1


def test_float32():
    problem = CompositeProblem(
        smooth=LinearModel(A.astype(np.float32), losses.LeastSquares(Y), intercept=True), term=terms.L1(2.0)
    )
    assert problem.dtype == np.float32
    x = problem.point()[0]
    z = problem.predict(x)
    parts = (*problem.gradient(x), z, problem.dual_point(z), *problem.x0)
    assert {part.dtype for part in parts} == {np.dtype(np.float32)}
    assert problem.residual(x) == pytest.approx(problem.replace(dtype=np.float64).residual(x), rel=1e-4)
    single = problem_of("logistic").replace(dtype=np.float32)
    assert single.smooth.A.dtype == single.smooth.loss.targets.dtype == np.float32
    assert problem_of("logistic").smooth.A.dtype == np.float64
    quadratic = CompositeProblem(smooth=Quadratic(np.eye(2), [1.0, 2.0]), term=terms.L1(0.1), dtype=np.float32)
    assert quadratic.gradient(np.ones(2, np.float32)).dtype == np.float32
    smooth = SmoothProblem(n=1, objective=lambda x: 0.0, gradient=lambda x: x)
    assert CompositeProblem(smooth=smooth, term=terms.L1(0.1), dtype=np.float32).x0.dtype == np.float32


# ---- the problem as others see it


def test_work_is_counted_in_columns():
    problem = problem_of("least squares")
    x = np.zeros(P)
    x[3] = 1
    problem.residual(x)
    assert problem.counts == {"columns": 1 + P}
    assert problem.evaluations(problem.counts) == 1 + 1 / P
    problem.verify(x)
    assert problem.counts == {"columns": 1 + P, "check.columns": 1 + P}


def test_gradient_is_that_of_the_objective():
    for name in LOSSES:
        problem = problem_of(name, terms.NoTerm(), weights=WEIGHTS, offset=OFFSET, intercept=True)
        w, b = (0.1 * RNG.standard_normal(part.shape) for part in problem.x0)
        g, slope = problem.gradient((w, b))
        d, e = RNG.standard_normal(w.shape), RNG.standard_normal(b.shape)
        h = 1e-6
        up, down = problem.objective((w + h * d, b + h * e)), problem.objective((w - h * d, b - h * e))
        assert (g * d).sum() + (slope * e).sum() == pytest.approx((up - down) / (2 * h), rel=1e-6)


def test_features_and_identity():
    problem = problem_of("softmax", intercept=True)
    assert problem.features() == {"intercept", "several responses"}
    assert problem.identity() == "CompositeProblem without a name float64 Softmax 30 x 12 x 3 L1"
    assert problem_of("poisson").features() == {"unbounded curvature"}
    assert problem_of("least squares", terms.GroupL1(Blocks.equal(P, 2))).features() == {"groups"}
    assert problem_of("least squares", terms.MCP(1.0)).features() == {"nonconvex"}
    assert problem_of("least squares", terms.NonNegative()).features() == {"bounds"}


def test_blocks_come_from_the_problem_or_from_the_term():
    blocks = Blocks.equal(P, 4)
    problem = problem_of("least squares")
    assert len(problem.blocks) == P
    grouped = problem.replace(term=terms.GroupL1(blocks, 0.5))
    assert grouped.blocks is blocks
    assert len(grouped.replace(term=terms.L1(1.0)).blocks) == P
    given = CompositeProblem(smooth=problem.smooth, term=terms.GroupL1(weight=0.5), blocks=blocks)
    assert given.term.blocks is blocks
    assert given.replace(term=terms.GroupL1(weight=1.5)).term.blocks is blocks
    assert given.residual(np.zeros(P)) == grouped.residual(np.zeros(P))


def test_a_term_on_a_path_keeps_the_model():
    problem = problem_of("least squares")
    other = problem.replace(term=problem.term.scaled(0.5))
    assert other.smooth is problem.smooth
    assert other.term.weight == 1.0


def test_starting_points():
    problem = problem_of("logistic", intercept=True)
    x, _ = problem.point()
    assert [part.shape for part in x] == [(P,), (1,)]
    assert [part.shape for part in problem_of("softmax", intercept=True).x0] == [(P, 3), (3,)]
    given = (np.ones(P), np.ones(1))
    x, _ = problem.point(given)
    assert x[0] is not given[0]
    for wrong, message in (
        (np.zeros(P), "x0 is a ndarray"),
        ((np.zeros(P), np.zeros(2)), r"x0 has shape \(\(12,\), \(2,\)\)"),
        ((np.zeros(P),), "x0 has shape"),
        ((np.full(P, np.nan), np.zeros(1)), "is nan"),
    ):
        with pytest.raises(ProblemError, match=message):
            problem.point(wrong)
    with pytest.raises(ProblemError, match="expected a tuple"):
        problem.replace(x0=np.zeros(P))
    with pytest.raises(ProblemError, match=r"x0 has shape \(3,\), expected \(12,\)"):
        problem_of("logistic").replace(x0=np.zeros(3))


def test_not_finite_is_nan():
    problem = problem_of("poisson")
    with np.errstate(all="ignore"):
        assert np.isnan(problem.residual(np.full(P, np.nan)))
        assert problem.residual(np.full(P, 1e5)) in (np.inf, np.nan) or np.isnan(problem.residual(np.full(P, 1e5)))


def test_nothing_warns(recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in LOSSES:
            problem = problem_of(name, intercept=True)
            for size in (0, 1e-300, 30.0, -30.0):
                x = tuple(size * np.ones_like(part) for part in problem.x0)
                problem.objective(x)
                problem.residual(x)


# ---- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearModel(np.zeros((0, 3)), LOSSES["logistic"]), r"A has shape \(0, 3\)"),
        (lambda: LinearModel(np.zeros((3, 0)), LOSSES["logistic"]), r"A has shape \(3, 0\)"),
        (lambda: LinearModel(np.zeros(3), LOSSES["logistic"]), r"A has shape \(3,\)"),
        (lambda: LinearModel([[1.0], [1.0, 2.0]], LOSSES["logistic"]), "not a matrix of numbers"),
        (lambda: LinearModel(A[:5], LOSSES["logistic"]), "30 targets, expected 5"),
        (lambda: LinearModel(A * 1j, LOSSES["logistic"]), "complex"),
        (lambda: LinearModel(A, Y), "expected a Loss"),
        (lambda: LinearModel(np.where(A > 2, np.nan, A), LOSSES["logistic"]), r"A\[\d+, \d+\] is nan"),
        (lambda: LinearModel(sp.csc_array(np.where(A > 2, np.inf, A)), LOSSES["logistic"]), "A contains nan or inf"),
        (lambda: problem_of("logistic", weights=-np.ones(N)), r"weights\[0\] is -1"),
        (lambda: problem_of("logistic", weights=np.zeros(N)), "weights sum to zero"),
        (lambda: problem_of("logistic", weights=np.ones(3)), r"weights have shape \(3,\)"),
        (lambda: problem_of("logistic", weights=np.full(N, np.nan)), r"weights\[0\] is nan"),
        (lambda: problem_of("logistic", offset=np.ones(3)), r"offset has shape \(3,\), expected \(30,\)"),
        (lambda: LinearModel(A, losses.Logistic(np.ones(N)), intercept=True), "all labels are the same"),
        (lambda: LinearModel(A, losses.Logistic(SIGNS), intercept=True, weights=(SIGNS > 0) * 1.0), "the same"),
        (lambda: LinearModel(A, losses.Poisson(np.zeros(N)), intercept=True), "all targets are zero"),
        (lambda: LinearModel(A, losses.Softmax(LABELS, classes=4), intercept=True), "class 3 has no sample"),
        (lambda: CompositeProblem(smooth=A, term=terms.L1(1.0)), "expected a LinearModel"),
        (lambda: CompositeProblem(smooth=LinearModel(A, LOSSES["logistic"]), term="l1"), "expected a Term"),
        (lambda: problem_of("logistic", terms.L1(np.ones(3))), r"shape \(3,\), expected a number or \(12,\)"),
        (lambda: problem_of("logistic", terms.GroupL1()), "no blocks"),
        (lambda: problem_of("logistic").replace(blocks=[[0]]), "expected Blocks"),
        (lambda: problem_of("logistic").replace(blocks=Blocks.equal(3, 1)), "coordinate 3 is in no block"),
        (lambda: problem_of("logistic").replace(dtype=np.float16), "expected float32 or float64"),
        (lambda: Quadratic(np.ones((2, 3)), [1.0, 1.0]), r"H has shape \(2, 3\)"),
        (lambda: Quadratic(np.eye(2), [1.0]), "expected"),
        (lambda: Quadratic([[1.0, 2.0], [0.0, 1.0]], [1.0, 1.0]), "not symmetric"),
        (lambda: Quadratic([[np.nan]], [1.0]), r"H\[0, 0\] is nan"),
    ],
)
def test_wrong_problems(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


def test_a_matrix_elsewhere():
    class Far:
        shape, ndim = (2, 2), 2

    Far.__module__ = "cupy"
    with pytest.raises(BackendError, match="A lives on the GPU"):
        LinearModel(Far(), losses.LeastSquares([1.0, 1.0]))


@pytest.mark.parametrize("name", ["least squares", "logistic", "poisson", "huber", "squared hinge"])
def test_one_sample_and_one_column(name):
    y = {"poisson": [2.0]}.get(name, [1.0])
    loss = losses.Huber(y, 0.5) if name == "huber" else type(LOSSES[name])(y)
    for shape in ((1, 1), (1, 3)):
        problem = CompositeProblem(smooth=LinearModel(np.ones(shape), loss), term=terms.L1(1e3))
        assert problem.residual(np.zeros(shape[1])) <= 1e-14  # the weight is above the largest that matters
    tall = CompositeProblem(smooth=LinearModel(A[:, :1], LOSSES[name]), term=terms.L1(1.0))
    x = minimize(lambda t: tall.objective(t), np.ones(1), method="Nelder-Mead", options={"xatol": 1e-9}).x
    assert tall.residual(x) <= 1e-7 * tall.scale()


def test_constant_and_duplicated_columns():
    B = np.column_stack([A[:, :4], A[:, :4], np.ones(N)])
    problem = CompositeProblem(
        smooth=LinearModel(B, losses.LeastSquares(Y), intercept=True),
        term=terms.L1(np.where(np.arange(9) == 8, 0.0, 1.0)),  # the constant column and the intercept are the same
    )
    x = problem.point()[0]
    L = np.linalg.norm(np.column_stack([B, np.ones(N)]), 2) ** 2
    for _ in range(4000):
        g, b = problem.gradient(x)
        x = problem.term.prox(x[0] - g / L, 1 / L), x[1] - b / L
    assert problem.residual(x) <= 1e-9 * problem.scale()


def test_zero_is_exact_from_lambda_max_on():
    for name in ("least squares", "logistic", "poisson", "squared hinge"):
        problem = problem_of(name)
        zero = np.zeros(P)
        factor = problem.term.lambda_max(problem.gradient(zero))
        assert problem.replace(term=problem.term.scaled(factor)).residual(zero) <= 1e-15 * problem.scale()
        assert problem.replace(term=problem.term.scaled(0.9 * factor)).residual(zero) > 0


def test_a_bare_solver_of_the_library_refuses_it_clearly():
    with pytest.raises(ProblemError, match="ConjugateGradient solves LinearSystem, got CompositeProblem"):
        rs.solve(problem_of("logistic"), rs.solvers.ConjugateGradient())


def test_gap_of_single_precision_is_finite(rng):
    """The dual point is scaled into the dual set: a rounding of the product to float32 must not lead out of it."""
    for _ in range(60):
        B = rng.standard_normal((12, 8)).astype(np.float32)
        model = LinearModel(B, losses.LeastSquares(rng.standard_normal(12)))
        problem = CompositeProblem(smooth=model, term=terms.L1(float(rng.random())))
        assert np.isfinite(problem.residual(problem.x0))


def test_gap_of_classes_far_apart(rng):
    """The slopes of the softmax vanish there, and their sums over samples are rounding of the masses they come from."""
    labels = np.repeat([0, 1, 2], 20)
    B = 30.0 * np.eye(3)[labels] + rng.standard_normal((60, 3))
    model = LinearModel(B, losses.Softmax(labels), intercept=True)
    problem = CompositeProblem(smooth=model, term=terms.L1(1e-3))
    w, intercept = problem.x0
    assert np.isfinite(problem.residual((w + 2 * np.eye(3), intercept)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_products_in_parts(rng, dtype):
    """Threads share the columns by their entries; empty ones at the ends are nobody's."""
    A = sp.random(2000, 3000, 0.05, format="lil", random_state=1, dtype=dtype)
    A[:, :3] = 0
    A[:, 2990:] = 0
    model = LinearModel(sp.csc_array(A), losses.LeastSquares(np.zeros(2000)))
    r = rng.standard_normal(2000).astype(dtype)
    one = model.correlate(r)
    assert np.allclose(one, A.T @ r, atol=1e-4 if dtype == np.float32 else 1e-12)
    for count in (2, 3):
        with rs.threads(count):
            assert np.array_equal(model.correlate(r), one)
