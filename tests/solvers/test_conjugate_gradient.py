"""ConjugateGradient against dense solutions, SciPy's counts and the proven rate; and the failures it can name."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg

import resolvent as rs
from resolvent import OptionError, Status
from resolvent.problems import LinearSystem
from resolvent.problems.library.poisson import manufactured, poisson
from resolvent.solvers import ConjugateGradient
from tests.toys.preconditioners import Jacobi, TwoGrid


def spd(n, condition, rng):
    """Return a matrix with eigenvalues spread evenly, on a log scale, between 1 and `condition`."""
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    A = Q @ np.diag(np.geomspace(1, condition, n)) @ Q.T
    return (A + A.T) / 2


def ring(n):
    """Return the Laplacian of a ring, whose null space is the constants."""
    A = sp.diags_array([-np.ones(n - 1), np.full(n, 2.0), -np.ones(n - 1)], offsets=[-1, 0, 1], format="lil")
    A[0, -1] = A[-1, 0] = -1
    return sp.csr_array(A)


@pytest.mark.parametrize("condition", [1, 10, 1e4])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_agrees_with_a_dense_solution(n, condition, rng):
    A, b = spd(n, condition, rng), rng.standard_normal(n)
    result = rs.solve(LinearSystem(A, b, spd=True), ConjugateGradient(), stop=rs.Stop(rtol=1e-11))
    assert result.success
    assert result.x == pytest.approx(np.linalg.solve(A, b), rel=1e-6, abs=1e-8)


def scipy_iterations(A, b, rtol, M=None):
    count = []
    _, info = cg(A, b, rtol=rtol, atol=0, M=M, callback=count.append, maxiter=10_000)
    assert info == 0
    return len(count)


@pytest.mark.parametrize("rtol", [1e-2, 1e-6, 1e-10])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_takes_as_many_iterations_as_scipy(rtol, preconditioned, rng):
    systems = [poisson(12), poisson(6, 3), LinearSystem(spd(60, 1e3, rng), rng.standard_normal(60), spd=True)]
    for system in systems:
        diagonal = system.A.diagonal() * (1 + 0.5 * rng.random(len(system.b)))
        M = sp.diags_array(1 / diagonal) if preconditioned else None
        mine = rs.solve(system, ConjugateGradient(preconditioner=M), stop=rs.Stop(rtol=rtol)).iterations
        theirs = scipy_iterations(system.A, system.b, rtol, M)
        rounding = theirs // 20 if theirs > len(system.b) else 0  # beyond n iterations it is rounding that counts
        assert abs(mine - theirs) <= 1 + rounding


def test_the_error_falls_at_the_proven_rate(rng):
    condition = 100.0
    A, b = spd(80, condition, rng), rng.standard_normal(80)
    exact, system = np.linalg.solve(A, b), LinearSystem(A, b, spd=True)
    rate = (np.sqrt(condition) - 1) / (np.sqrt(condition) + 1)
    first = np.sqrt(exact @ A @ exact)
    for state in rs.iterate(system, ConjugateGradient(), stop=rs.Stop(rtol=1e-9)):
        error = state.x - exact
        assert np.sqrt(error @ A @ error) <= 2 * rate**state.iterations * first * (1 + 1e-8) + 1e-12


def test_k_different_eigenvalues_take_k_iterations(rng):
    A = np.diag(np.repeat([1.0, 5.0, 20.0], 10))
    result = rs.solve(LinearSystem(A, rng.standard_normal(30), spd=True), ConjugateGradient(), stop=rs.Stop(rtol=1e-10))
    assert result.iterations == 3


def test_the_manufactured_solution_of_poisson():
    result = rs.solve(poisson(16), ConjugateGradient(), stop=rs.Stop(rtol=1e-10))
    assert result.x == pytest.approx(manufactured(16), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("b", [np.zeros(5), np.eye(5)[2]])
def test_a_start_at_the_solution_needs_no_iteration(b):
    system = LinearSystem(np.eye(5), b, spd=True)
    result = rs.solve(system, ConjugateGradient(), b, stop=rs.Stop(rtol=0))
    assert result.status is Status.CONVERGED
    assert (result.iterations, result.residual) == (0, 0)


def test_the_residual_that_could_end_a_run_is_the_true_one(rng):
    """On ill-conditioned systems the residual of the recurrence drifts away from b - A x."""
    system, solver = LinearSystem(spd(60, 1e6, rng), rng.standard_normal(60), spd=True), ConjugateGradient()
    state = solver.start(system)
    state.rtol = 1e-9
    while not state.met:
        state = solver.step(system, state)
    assert state.exact
    assert state.residual == system.residual(state.x)


def test_a_tolerance_out_of_reach_ends_at_the_limit(rng):
    """The recurrence would claim it; the residual that could end the run is computed."""
    system = LinearSystem(spd(60, 1e8, rng), rng.standard_normal(60), spd=True)
    result = rs.solve(system, ConjugateGradient(), stop=rs.Stop(rtol=1e-13, iterations=2000))
    assert result.status in (Status.ITERATIONS, Status.BREAKDOWN)
    assert "claims" not in result.message


def test_the_residual_of_a_run_that_was_cut_is_computed():
    """Within the run it is carried by the recurrence."""
    system = poisson(10)
    for iterations in (3, 10, 20):
        result = rs.solve(system, ConjugateGradient(), stop=rs.Stop(rtol=0, iterations=iterations))
        assert result.residual == system.residual(result.x)
        assert result.counts["apply"] == iterations + 2


def test_one_product_per_iteration():
    system = poisson(10)
    result = rs.solve(system, ConjugateGradient(), stop=rs.Stop(rtol=1e-8))
    assert result.counts == {"apply": result.iterations + 2, "check.apply": 1}  # at the start, and the true residual


@pytest.mark.parametrize("preconditioner", [None, np.ones(200_000)])
def test_an_iteration_makes_no_temporary_vectors(preconditioner):
    """Here the products are written to vectors that exist already."""
    n = 200_000
    diagonal, product, applied = np.linspace(1, 9, n), np.empty(n), np.empty(n)
    M = preconditioner if preconditioner is None else lambda r: np.multiply(r, preconditioner, out=applied)

    class Diagonal:
        def __matmul__(self, v):
            return np.multiply(diagonal, v, out=product)

    system, solver = LinearSystem(Diagonal(), np.ones(n), spd=True), ConjugateGradient(preconditioner=M, batch=5)
    state = solver.step(system, solver.start(system))
    tracemalloc.start()
    try:
        state = solver.step(system, state)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert state.iterations == 10
    assert peak < 2 * 8 * n  # the copy that protects from an operator that hands out one array again and again


def test_a_product_that_raises_can_be_made_again():
    """The direction is made before it; the step that is taken again uses it as it is."""
    system, solver, calls = poisson(8), ConjugateGradient(preconditioner=lambda r: r / np.arange(1, 65)), []

    def product(v):
        calls.append(v)
        if len(calls) == 5:
            raise ValueError("planted")
        return system.A @ v

    broken = system.replace(A=LinearOperator(system.A.shape, matvec=product, dtype=np.float64))
    state, whole = solver.start(broken), solver.start(system)
    while state.iterations < 8:
        try:
            state = solver.step(broken, state)
        except ValueError:
            assert state.residual == pytest.approx(system.residual(state.x), rel=1e-10)
    for _ in range(8):
        whole = solver.step(system, whole)
    assert len(calls) == 10  # the start, eight iterations and the one that raised
    assert state.x.tobytes() == whole.x.tobytes()


def test_a_problem_with_its_own_inner_product_keeps_it():
    """As one whose vectors are spread over machines."""
    made = []

    class Spread(LinearSystem):
        def dot(self, u, v):
            made.append(1)
            return super().dot(u, v)

    A = np.diag(np.arange(1.0, 21.0))
    mine = rs.solve(Spread(A, np.ones(20), spd=True), ConjugateGradient(), stop=rs.Stop(rtol=1e-10))
    other = rs.solve(LinearSystem(A, np.ones(20), spd=True), ConjugateGradient(), stop=rs.Stop(rtol=1e-10))
    assert len(made) > 3 * mine.iterations
    assert mine.x == pytest.approx(other.x, rel=1e-8)


def test_float32_is_accumulated_in_float64():
    """In float32 the sum of 2^24 ones and another one is 2^24."""
    from resolvent.kernels import vectors

    ones = np.ones(2**24 + 1, np.float32)
    assert vectors.dot(ones, ones) == 2**24 + 1


def test_a_preconditioner_in_float32_keeps_the_run_in_float64():
    system = poisson(8)
    half = lambda r: (r / system.A.diagonal()).astype(np.float32)  # noqa: E731
    result = rs.solve(system, ConjugateGradient(preconditioner=half), stop=rs.Stop(rtol=1e-10))
    assert result.success
    assert result.state.p.dtype == result.x.dtype == np.float64


# ---- singular systems


@pytest.mark.parametrize("preconditioner", [None, Jacobi(), lambda r: r * np.linspace(1, 2, 40)])
def test_a_singular_system_is_solved_off_its_null_space(preconditioner, rng):
    """Also with a preconditioner that leads into it."""
    n, A = 40, ring(40)
    x = rng.standard_normal(n)
    x -= x.mean()
    system = LinearSystem(A, A @ x, spd=True, null_space=np.ones(n))
    result = rs.solve(system, ConjugateGradient(preconditioner=preconditioner), stop=rs.Stop(rtol=1e-10))
    assert result.success
    assert result.x == pytest.approx(x, abs=1e-7)


def test_the_null_space_part_of_the_start_stays(rng):
    """It changes no residual."""
    A = ring(20)
    b = rng.standard_normal(20)
    b -= b.mean()
    system = LinearSystem(A, b, spd=True, null_space=np.ones(20))
    result = rs.solve(system, ConjugateGradient(), np.full(20, 5.0), stop=rs.Stop(rtol=1e-10))
    assert result.success
    assert result.x.mean() == pytest.approx(5)


def test_rounding_that_leads_into_the_null_space_is_removed(rng):
    """Here the products are wrong by a constant, as after many rounding errors."""

    class Rounded:
        def __matmul__(self, v):
            return ring(20) @ v + 1e-6

    b = rng.standard_normal(20)
    system = LinearSystem(Rounded(), b - b.mean(), spd=True, null_space=np.ones(20))
    solver = ConjugateGradient()
    state = solver.start(system)
    for _ in range(5):
        state = solver.step(system, state)
        assert abs(state.r.sum()) < 1e-12


def test_an_inconsistent_system_is_infeasible():
    system = LinearSystem(ring(20), np.arange(20.0), spd=True, null_space=np.ones(20))
    result = rs.solve(system, ConjugateGradient())
    assert result.status is Status.INFEASIBLE
    assert "b has a part of norm 4.249e+01 along the null space of A" in result.message


def test_its_projection_is_solved_where_asked():
    b = np.arange(20.0)
    system = LinearSystem(ring(20), b, spd=True, null_space=np.ones(20), project=True)
    result = rs.solve(system, ConjugateGradient(), stop=rs.Stop(rtol=1e-10))
    assert result.success
    assert ring(20) @ result.x == pytest.approx(b - b.mean(), abs=1e-7)


# ---- failures that it can name


@pytest.mark.parametrize("A", [np.diag([1.0, -1.0, 2.0]), -np.eye(3), np.diag([1.0, 0.0, 0.0])])
def test_a_matrix_that_is_not_positive_definite(A):
    result = rs.solve(LinearSystem(A, np.ones(3), spd=True), ConjugateGradient())
    assert result.status is Status.BREAKDOWN
    assert "A is not positive definite; try another solver" in result.message
    assert np.isfinite(result.x).all()


def test_a_preconditioner_of_the_wrong_sign():
    result = rs.solve(poisson(6), ConjugateGradient(preconditioner=lambda r: -r))
    assert result.status is Status.BREAKDOWN
    assert "< 0: the preconditioner M is not positive definite" in result.message


def test_a_preconditioner_that_changes_its_sign_on_the_way():
    signs = iter([1, 1, 1, -1])
    result = rs.solve(poisson(6), ConjugateGradient(preconditioner=lambda r: next(signs) * r))
    assert result.status is Status.BREAKDOWN
    assert result.iterations == 3
    assert "preconditioner" in result.message


def test_a_singular_preconditioner():
    result = rs.solve(poisson(6), ConjugateGradient(preconditioner=lambda r: 0 * r))
    assert result.status is Status.BREAKDOWN
    assert "the preconditioner M is singular" in result.message


def test_a_preconditioner_that_returns_nan():
    result = rs.solve(poisson(6), ConjugateGradient(preconditioner=lambda r: np.nan * r))
    assert result.status is Status.DIVERGED
    assert not result.success


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch": 0}, "batch is 0, expected a whole number >= 1"),
        ({"batch": 2.5}, "batch is 2.5, expected a whole number >= 1"),
        (
            {"preconditioner": 3},
            r"preconditioner is 3, expected options with setup\(system\), or something that applies",
        ),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(OptionError, match=f"^{said}$"):
        ConjugateGradient(**options)


# ---- preconditioners


def test_every_form_of_a_preconditioner_gives_the_same_run():
    system = poisson(8)
    d = 1 / system.A.diagonal()
    forms = [
        np.diag(d),
        sp.diags_array(d),
        lambda r: d * r,
        LinearOperator((64, 64), matvec=lambda r: d * r, dtype=np.float64),
        Jacobi(),
    ]
    runs = [rs.solve(system, ConjugateGradient(preconditioner=form), stop=rs.Stop(rtol=1e-9)) for form in forms]
    assert len({run.iterations for run in runs}) == 1
    for run in runs[1:]:
        assert run.x == pytest.approx(runs[0].x, rel=1e-10)


def test_the_exact_inverse_takes_one_iteration(rng):
    A = spd(20, 1e4, rng)
    system = LinearSystem(A, rng.standard_normal(20), spd=True)
    assert rs.solve(system, ConjugateGradient(preconditioner=np.linalg.inv(A))).iterations == 1


def test_a_better_preconditioner_takes_fewer_iterations():
    counts = [
        rs.solve(poisson(32), ConjugateGradient(preconditioner=M), stop=rs.Stop(rtol=1e-8)).iterations
        for M in (None, TwoGrid(size=4))
    ]
    assert counts[1] < 0.7 * counts[0]


def test_options_with_another_preconditioner_are_equal():
    """Options that hold objects do not take part in comparisons."""
    assert ConjugateGradient(preconditioner=np.eye(2)) == ConjugateGradient()
