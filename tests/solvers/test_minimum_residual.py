"""MinimumResidual against the least residual over the Krylov space, SciPy's counts and dense solutions."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import minres

import resolvent as rs
from resolvent import Status
from resolvent.problems import LinearSystem
from resolvent.problems.library.poisson import poisson
from resolvent.solvers import ConjugateGradient, MinimumResidual
from tests.toys.preconditioners import Jacobi


def symmetric(eigenvalues, rng):
    Q, _ = np.linalg.qr(rng.standard_normal((len(eigenvalues), len(eigenvalues))))
    A = Q @ np.diag(eigenvalues) @ Q.T
    return (A + A.T) / 2


def both_signs(n, condition, rng):
    return symmetric(np.geomspace(1, condition, n) * rng.choice([-1, 1], n), rng)


@pytest.mark.parametrize("condition", [1, 10, 1e3])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_agrees_with_a_dense_solution(n, condition, rng):
    A, b = both_signs(n, condition, rng), rng.standard_normal(n)
    result = rs.solve(LinearSystem(A, b), MinimumResidual(), stop=rs.Stop(rtol=1e-10))
    assert result.success, result.message
    assert result.x == pytest.approx(np.linalg.solve(A, b), rel=1e-6, abs=1e-6)


def krylov_space(A, r, k):
    basis = np.empty((len(r), k))
    for j in range(k):
        v = r if j == 0 else A @ basis[:, j - 1]
        for _ in range(2):
            v = v - basis[:, :j] @ (basis[:, :j].T @ v)
        basis[:, j] = v / np.linalg.norm(v)
    return basis


def test_has_the_least_residual_over_the_krylov_space(rng):
    A, b = both_signs(40, 1e2, rng), rng.standard_normal(40)
    system, solver = LinearSystem(A, b), MinimumResidual()
    state = solver.start(system)
    for k in range(1, 15):
        state = solver.step(system, state)
        K = krylov_space(A, b, k)
        y, *_ = np.linalg.lstsq(A @ K, b, rcond=None)
        assert state.residual == pytest.approx(np.linalg.norm(b - A @ K @ y), rel=1e-9)
        assert system.residual(state.x) == pytest.approx(state.residual, rel=1e-9)


def test_with_a_preconditioner_it_is_the_plain_method_on_the_scaled_system(rng):
    """M = L L^T turns A x = b into L^T A L y = L^T b, whose residual is that of A in the inner product of M."""
    A, b = both_signs(30, 1e2, rng), rng.standard_normal(30)
    d = 0.5 + rng.random(30)
    mine, plain = MinimumResidual(preconditioner=lambda r: d**2 * r), MinimumResidual()
    system, scaled = LinearSystem(A, b), LinearSystem(d[:, None] * A * d, d * b)
    one, two = mine.start(system), plain.start(scaled)
    for _ in range(12):
        one, two = mine.step(system, one), plain.step(scaled, two)
        assert one.x == pytest.approx(d * two.x, rel=1e-8)
        assert abs(one.eta) == pytest.approx(two.residual, rel=1e-8)
        assert one.residual == pytest.approx(system.residual(one.x), rel=1e-8)


@pytest.mark.parametrize("rtol", [1e-3, 1e-6])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_takes_as_many_iterations_as_scipy(rtol, preconditioned, rng):
    """SciPy's test looks at another norm, so that the residual of its answer is asked for here."""
    system = poisson(14)
    A = sp.csr_array(system.A - sp.diags_array(np.full(196, 200.0)))
    M = sp.diags_array(1 / (300 + 100 * rng.random(196))) if preconditioned else None
    mine = rs.solve(LinearSystem(A, system.b), MinimumResidual(preconditioner=M), stop=rs.Stop(rtol=rtol))
    assert mine.success
    near = 1 + mine.iterations // 20  # rounding
    for iterations, met in ((mine.iterations - 1 - near, False), (mine.iterations + near, True)):
        x, _ = minres(A, system.b, rtol=1e-16, maxiter=iterations, M=M)
        assert (np.linalg.norm(system.b - A @ x) <= rtol * np.linalg.norm(system.b)) == met


def test_never_later_than_conjugate_gradients():
    """For positive definite A; it minimises what the test looks at."""
    for rtol in (1e-2, 1e-5, 1e-9):
        stop = rs.Stop(rtol=rtol)
        mine, plain = (rs.solve(poisson(20), solver, stop=stop) for solver in (MinimumResidual(), ConjugateGradient()))
        assert mine.success
        assert mine.iterations <= plain.iterations
        assert mine.iterations >= plain.iterations // 2


def test_k_different_eigenvalues_take_k_iterations(rng):
    A = np.diag(np.repeat([1.0, -5.0, 20.0], 10))
    result = rs.solve(LinearSystem(A, rng.standard_normal(30)), MinimumResidual(), stop=rs.Stop(rtol=1e-10))
    assert (result.status, result.iterations) == (Status.CONVERGED, 3)


def test_one_product_per_iteration(rng):
    system = LinearSystem(both_signs(40, 1e2, rng), rng.standard_normal(40))
    result = rs.solve(system, MinimumResidual(preconditioner=lambda r: r / 5), stop=rs.Stop(rtol=1e-8))
    assert result.counts == {"apply": result.iterations + 2, "check.apply": 1}  # at the start, and the true residual


def test_the_residual_that_ends_a_run_is_the_true_one(rng):
    system = LinearSystem(both_signs(60, 1e5, rng), rng.standard_normal(60))
    result = rs.solve(system, MinimumResidual(), stop=rs.Stop(rtol=1e-8, iterations=5000))
    assert result.status is Status.CONVERGED
    assert result.residual == system.residual(result.x)


def test_a_tolerance_out_of_reach_ends_honestly(rng):
    system = LinearSystem(both_signs(60, 1e8, rng), rng.standard_normal(60))
    result = rs.solve(system, MinimumResidual(), stop=rs.Stop(rtol=1e-15, iterations=5000))
    assert result.status in (Status.STALLED, Status.ITERATIONS)
    assert result.residual == pytest.approx(system.residual(result.x))


# ---- singular systems


def ring(n):
    A = sp.diags_array([-np.ones(n - 1), np.full(n, 2.0), -np.ones(n - 1)], offsets=[-1, 0, 1], format="lil")
    A[0, -1] = A[-1, 0] = -1
    return sp.csr_array(A)


@pytest.mark.parametrize("preconditioner", [None, Jacobi(), lambda r: r * np.linspace(1, 2, 40)])
def test_a_singular_system_is_solved_off_its_null_space(preconditioner, rng):
    n = 40
    x = rng.standard_normal(n)
    x -= x.mean()
    system = LinearSystem(ring(n), ring(n) @ x, null_space=np.ones(n))
    result = rs.solve(system, MinimumResidual(preconditioner=preconditioner), stop=rs.Stop(rtol=1e-10))
    assert result.success, result.message
    assert result.x == pytest.approx(x, abs=1e-7)


def test_a_consistent_singular_system_without_a_null_space():
    x = np.cos(np.arange(30.0))
    result = rs.solve(LinearSystem(ring(30), ring(30) @ x), MinimumResidual(), stop=rs.Stop(rtol=1e-8))
    assert result.success


@pytest.mark.parametrize("b", [np.ones(30), np.arange(30.0)])
def test_an_inconsistent_one_ends_with_the_least_residual(b):
    result = rs.solve(LinearSystem(ring(30), b), MinimumResidual())
    assert result.status is Status.STALLED
    assert "A is singular" in result.message
    assert np.linalg.norm(result.x) < 1e6
    assert result.residual == pytest.approx(abs(b.sum()) / np.sqrt(30), rel=1e-6)


# ---- failures that it can name


def test_a_matrix_that_is_not_symmetric(rng):
    A = np.eye(30) + 1e-3 * np.triu(rng.standard_normal((30, 30)), 1)
    result = rs.solve(LinearSystem(A, np.ones(30)), MinimumResidual(), stop=rs.Stop(rtol=1e-12))
    assert result.status is Status.BREAKDOWN
    assert "not symmetric; use GMRES" in result.message
    assert result.iterations == 1


def test_a_preconditioner_that_is_not_symmetric(rng):
    M = np.eye(36) + 0.1 * np.triu(rng.standard_normal((36, 36)), 1)
    result = rs.solve(poisson(6), MinimumResidual(preconditioner=M))
    assert result.status is Status.BREAKDOWN
    assert "not symmetric; use GMRES" in result.message


@pytest.mark.parametrize(
    ("M", "status", "said"),
    [
        (lambda r: -r, Status.BREAKDOWN, "< 0: the preconditioner M is not positive definite"),
        (lambda r: r * np.where(np.arange(36) < 18, 1, -1.01), Status.BREAKDOWN, "not positive definite"),
        (lambda r: 0 * r, Status.BREAKDOWN, "the preconditioner M is singular"),
        (lambda r: np.nan * r, Status.DIVERGED, "nan"),
    ],
)
def test_bad_preconditioners_are_named(M, status, said):
    result = rs.solve(poisson(6), MinimumResidual(preconditioner=M))
    assert result.status is status
    assert said in result.message
