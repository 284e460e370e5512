"""GMRES against the least residual over the Krylov space, SciPy's counts and dense solutions."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import gmres, spilu

import resolvent as rs
from resolvent import BackendError, OptionError, Status
from resolvent.problems import LinearSystem
from resolvent.problems.library.poisson import poisson
from resolvent.solvers import GMRES, MinimumResidual


def general(n, rng, spread=1.0):
    return np.eye(n) + spread * rng.standard_normal((n, n)) / np.sqrt(n)


def convection(n, speed=20.0):
    """Return -u'' + speed u' on n cells, upwind."""
    h = 1 / (n + 1)
    lower, upper = -1 / h**2 - speed / h, -1 / h**2
    return sp.diags_array([lower, 2 / h**2 + speed / h, upper], offsets=[-1, 0, 1], shape=(n, n), format="csr")


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("restart", [5, 50])
def test_agrees_with_a_dense_solution(n, restart, rng):
    A, b = general(n, rng, 0.5), rng.standard_normal(n)
    result = rs.solve(LinearSystem(A, b), GMRES(restart=restart), stop=rs.Stop(rtol=1e-11))
    assert result.success, result.message
    assert result.x == pytest.approx(np.linalg.solve(A, b), rel=1e-8, abs=1e-8)


def test_ends_after_n_iterations(rng):
    """The basis spans the space; here no eigenvalue is near another."""
    A, b = general(25, rng, 2.0), rng.standard_normal(25)
    result = rs.solve(LinearSystem(A, b), GMRES(), stop=rs.Stop(rtol=1e-10))
    assert result.success
    assert result.iterations == 25


def test_has_the_least_residual_over_the_krylov_space(rng):
    A, b = general(40, rng), rng.standard_normal(40)
    d = 0.5 + rng.random(40)
    system, solver = LinearSystem(A, b), GMRES(preconditioner=lambda r: d * r)
    state, basis = solver.start(system), np.empty((40, 0))
    for _ in range(12):
        v = b if basis.shape[1] == 0 else A @ (d * basis[:, -1])
        for _ in range(2):
            v = v - basis @ (basis.T @ v)
        basis = np.column_stack([basis, v / np.linalg.norm(v)])
        K = d[:, None] * basis
        y, *_ = np.linalg.lstsq(A @ K, b, rcond=None)
        state = solver.step(system, state)
        assert state.residual == pytest.approx(np.linalg.norm(b - A @ K @ y), rel=1e-9)
        assert system.residual(state.x) == pytest.approx(state.residual, rel=1e-9)


def test_is_the_minimum_residual_method_on_a_symmetric_system(rng):
    system = LinearSystem(poisson(12).A - 150 * sp.eye_array(144), poisson(12).b)
    stop = rs.Stop(rtol=1e-6)
    long, short = (rs.solve(system, solver, stop=stop) for solver in (GMRES(restart=200), MinimumResidual()))
    assert abs(long.iterations - short.iterations) <= 1
    half = long.iterations // 2
    assert long.history["residual"][:half] == pytest.approx(short.history["residual"][:half], rel=1e-6)


@pytest.mark.parametrize("restart", [6, 40])
@pytest.mark.parametrize("rtol", [1e-3, 1e-8])
def test_takes_as_many_iterations_as_scipy(restart, rtol, rng):
    A, b, count = general(80, rng, 0.6), rng.standard_normal(80), []
    gmres(A, b, rtol=rtol, restart=restart, maxiter=100, callback=count.append, callback_type="pr_norm")
    mine = rs.solve(LinearSystem(A, b), GMRES(restart=restart), stop=rs.Stop(rtol=rtol))
    assert mine.success
    assert abs(mine.iterations - len(count)) <= 1


def test_an_incomplete_factorisation():
    A = convection(400)
    system = LinearSystem(A, np.ones(400))
    ilu = spilu(sp.csc_matrix(A), drop_tol=1e-3)
    result = rs.solve(system, GMRES(preconditioner=lambda r: ilu.solve(r)), stop=rs.Stop(rtol=1e-10))
    assert result.success
    assert result.iterations <= 4


def test_a_preconditioner_that_changes(rng):
    A = general(60, rng, 0.3)
    system = LinearSystem(A, rng.standard_normal(60))

    def inner(r):
        return rs.solve(LinearSystem(A, r), GMRES(restart=4), stop=rs.Stop(rtol=0.2)).x

    result = rs.solve(system, GMRES(preconditioner=inner), stop=rs.Stop(rtol=1e-10))
    plain = rs.solve(system, GMRES(), stop=rs.Stop(rtol=1e-10))
    assert result.success
    assert result.iterations < 0.7 * plain.iterations


def test_one_product_per_iteration_and_one_per_cycle(rng):
    system = LinearSystem(general(80, rng, 0.6), rng.standard_normal(80))
    result = rs.solve(system, GMRES(restart=7), stop=rs.Stop(rtol=1e-8))
    cycles = -(-result.iterations // 7)
    assert cycles > 2
    assert result.counts == {"apply": result.iterations + 1 + cycles, "check.apply": 1}


def test_the_basis_grows_with_the_cycle_and_is_thrown_away_after_it(rng):
    system, solver = LinearSystem(general(80, rng, 0.6), rng.standard_normal(80)), GMRES(restart=20)
    state, rows = solver.start(system), []
    for _ in range(20):
        state = solver.step(system, state)
        rows.append(len(state.V))
    assert rows[0] <= 4
    assert max(rows) <= 21
    assert rows[-1] == 0
    assert len(state.Z) == 0


def test_a_cycle_whose_end_raises_can_go_on(rng):
    """The product for the true residual; the basis is still there."""
    A, calls = general(30, rng, 0.5), []

    class Fragile:
        def __matmul__(self, v):
            calls.append(v)
            if len(calls) == 6:  # the start, four iterations, the end of the cycle
                raise ValueError("planted")
            return A @ v

    solver, stop = GMRES(restart=4), rs.Stop(rtol=1e-9)
    run = rs.iterate(LinearSystem(Fragile(), np.ones(30)), solver, stop=stop)
    with pytest.raises(ValueError, match="planted"):
        list(run)
    rest = rs.solve(run.problem, solver, resume=run.result.state, stop=stop)
    whole = rs.solve(LinearSystem(A, np.ones(30)), solver, stop=stop)
    assert rest.success
    assert rest.iterations == whole.iterations
    assert rest.x.tobytes() == whole.x.tobytes()


# ---- failures that it can name


def test_a_cycle_without_progress_is_the_last():
    """On the cyclic shift nothing happens before iteration n."""
    n = 10
    A = np.roll(np.eye(n), 1, axis=0)
    result = rs.solve(LinearSystem(A, np.eye(n)[0]), GMRES(restart=5))
    assert result.status is Status.STALLED
    assert "a longer restart or a preconditioner may help" in result.message
    assert rs.solve(LinearSystem(A, np.eye(n)[0]), GMRES(restart=n)).success


@pytest.mark.parametrize("A", [np.array([[0.0, 1.0], [0.0, 0.0]]), np.zeros((2, 2))])
def test_a_singular_matrix(A):
    result = rs.solve(LinearSystem(A, np.array([1.0, 0.0])), GMRES())
    assert result.status is Status.BREAKDOWN
    assert "A or M is singular" in result.message


def test_an_inconsistent_system_is_no_success():
    A = np.diag([1.0, 2.0, 0.0])
    result = rs.solve(LinearSystem(A, np.ones(3)), GMRES())
    assert not result.success
    assert result.residual == pytest.approx(1)


def test_a_singular_system_with_a_known_null_space(rng):
    L = convection(30).toarray()
    A = L - L.mean(axis=0)  # the constants are in the null space of A^T, not of A
    A = A - np.outer(A @ np.ones(30), np.ones(30)) / 30
    x = rng.standard_normal(30)
    x -= x.mean()
    result = rs.solve(LinearSystem(A, A @ x, null_space=np.ones(30)), GMRES(restart=40), stop=rs.Stop(rtol=1e-10))
    assert result.success
    assert result.x - result.x.mean() == pytest.approx(x, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("M", "status"), [(lambda r: 0 * r, Status.BREAKDOWN), (lambda r: np.nan * r, Status.DIVERGED)]
)
def test_bad_preconditioners(M, status):
    result = rs.solve(poisson(6), GMRES(preconditioner=M))
    assert result.status is status
    assert "M" in result.message


@pytest.mark.parametrize("restart", [0, 2.5])
def test_wrong_options_are_named(restart):
    with pytest.raises(OptionError, match=f"^restart is {restart}, expected a whole number >= 1$"):
        GMRES(restart=restart)


def test_arrays_of_other_libraries_are_refused_by_name():
    import array_api_strict as xp

    system = LinearSystem(xp.asarray(np.eye(2)), xp.asarray(np.ones(2)), spd=True)
    with pytest.raises(BackendError, match="GMRES works on NumPy arrays, got a Array"):
        rs.solve(system, GMRES())
