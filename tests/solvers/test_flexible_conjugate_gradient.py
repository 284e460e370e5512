"""FlexibleConjugateGradient: conjugate gradients for a constant M, and what a varying one may do."""

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent import BackendError, OptionError, Status
from resolvent.problems import LinearSystem
from resolvent.problems.library.poisson import poisson
from resolvent.solvers import ConjugateGradient, FlexibleConjugateGradient
from tests.toys.preconditioners import Jacobi, TwoGrid


def spd(n, condition, rng):
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    A = Q @ np.diag(np.geomspace(1, condition, n)) @ Q.T
    return (A + A.T) / 2


def swinging(system, rng):
    """A preconditioner that is another diagonal at every application."""
    diagonal = system.A.diagonal()
    return lambda r: r / diagonal * (0.2 + rng.random(len(r)))


@pytest.mark.parametrize("keep", [1, 2, 5])
@pytest.mark.parametrize("preconditioner", [None, Jacobi(), TwoGrid()])
def test_is_conjugate_gradients_for_a_constant_preconditioner(keep, preconditioner):
    system, stop = poisson(12), rs.Stop(rtol=1e-8)
    mine = rs.solve(system, FlexibleConjugateGradient(preconditioner=preconditioner, keep=keep), stop=stop)
    plain = rs.solve(system, ConjugateGradient(preconditioner=preconditioner), stop=stop)
    assert abs(mine.iterations - plain.iterations) <= 1
    n = min(mine.iterations, plain.iterations) // 2
    assert mine.history["residual"][:n] == pytest.approx(plain.history["residual"][:n], rel=1e-6)


def test_ends_after_n_iterations_with_all_directions(rng):
    """Whatever the preconditioner does, directions that are orthogonal to all others span the space."""
    n = 12
    system = LinearSystem(spd(n, 1e3, rng), rng.standard_normal(n), spd=True)
    solver = FlexibleConjugateGradient(preconditioner=swinging(system, rng), keep=n)
    result = rs.solve(system, solver, stop=rs.Stop(rtol=1e-9))
    assert result.success
    assert result.iterations <= n


def test_directions_are_orthogonal_to_those_of_the_rule(rng):
    """m_i = max(1, i mod (m + 1)), the rule of Notay."""
    system = poisson(10)
    solver = FlexibleConjugateGradient(preconditioner=swinging(system, rng), keep=3)
    assert [solver.retained(i) for i in range(10)] == [0, 1, 2, 3, 1, 1, 2, 3, 1, 1]
    state, directions = solver.start(system), []
    for i in range(9):
        state = solver.step(system, state)
        p = state.P[solver.retained(i + 1) - 1].copy()
        for k in range(1, solver.retained(i) + 1):
            d = directions[-k]
            size = np.sqrt((p @ system.A @ p) * (d @ system.A @ d))
            assert abs(p @ system.A @ d) < 1e-12 * size
        directions.append(p)


def test_a_varying_preconditioner_costs_less_than_in_the_plain_method(rng):
    """The beta of the plain method relies on a constant one."""
    system, stop = poisson(32), rs.Stop(rtol=1e-8, iterations=5000)
    seeds = [np.random.default_rng(5) for _ in range(2)]
    plain = rs.solve(system, ConjugateGradient(preconditioner=swinging(system, seeds[0])), stop=stop)
    flexible = rs.solve(system, FlexibleConjugateGradient(preconditioner=swinging(system, seeds[1])), stop=stop)
    assert flexible.success
    assert flexible.iterations < 0.8 * plain.iterations


def test_an_inner_solve_as_preconditioner():
    system = poisson(24)

    def inner(r):
        return rs.solve(LinearSystem(system.A, r, spd=True), ConjugateGradient(), stop=rs.Stop(rtol=0.05)).x

    result = rs.solve(system, FlexibleConjugateGradient(preconditioner=inner), stop=rs.Stop(rtol=1e-10))
    assert result.success
    assert result.iterations <= 12


def test_a_singular_system():
    n = 40
    A = sp.diags_array([-np.ones(n - 1), np.full(n, 2.0), -np.ones(n - 1)], offsets=[-1, 0, 1], format="lil")
    A[0, 0] = A[-1, -1] = 1
    x = np.sin(np.arange(n))
    x -= x.mean()
    system = LinearSystem(sp.csr_array(A), A @ x, spd=True, null_space=np.ones(n))
    solver = FlexibleConjugateGradient(preconditioner=lambda r: r * np.linspace(1, 2, n))
    result = rs.solve(system, solver, stop=rs.Stop(rtol=1e-10))
    assert result.success
    assert result.x == pytest.approx(x, abs=1e-6)


@pytest.mark.parametrize(
    ("M", "status", "said"),
    [
        (lambda r: -r, Status.BREAKDOWN, "< 0: the preconditioner M is not positive definite"),
        (lambda r: 0 * r, Status.BREAKDOWN, "the preconditioner M is singular"),
        (lambda r: np.nan * r, Status.DIVERGED, "nan"),
    ],
)
def test_bad_preconditioners_are_named(M, status, said):
    result = rs.solve(poisson(6), FlexibleConjugateGradient(preconditioner=M))
    assert result.status is status
    assert said in result.message


def test_a_matrix_that_is_not_positive_definite():
    result = rs.solve(LinearSystem(np.diag([1.0, -1.0, 2.0]), np.ones(3), spd=True), FlexibleConjugateGradient())
    assert result.status is Status.BREAKDOWN
    assert "A is not positive definite" in result.message


@pytest.mark.parametrize("keep", [0, 1.5, True])
def test_wrong_options_are_named(keep):
    with pytest.raises(OptionError, match=f"^keep is {keep}, expected a whole number >= 1$"):
        FlexibleConjugateGradient(keep=keep)


def test_arrays_of_other_libraries_are_refused_by_name():
    import array_api_strict as xp

    system = LinearSystem(xp.asarray(np.eye(2)), xp.asarray(np.ones(2)), spd=True)
    with pytest.raises(BackendError, match="FlexibleConjugateGradient works on NumPy arrays, got a Array"):
        rs.solve(system, FlexibleConjugateGradient())
