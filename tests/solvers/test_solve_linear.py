"""solve_linear: what it picks, what it says, and what it does with wrong input."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

import resolvent as rs
from resolvent import BackendError, OptionError, ProblemError, Status, solve_linear
from resolvent.problems.grids import diffusion
from resolvent.problems.library.poisson import poisson
from resolvent.solvers import Multigrid
from resolvent.solvers.linear import solve_linear as module
from resolvent.solvers.linear.solve_linear import choose

STOP = rs.Stop(rtol=1e-8)


def answer(A, b, **options):
    result = solve_linear(A, b, stop=STOP, **options)
    assert result.success, result.message
    product = A @ result.x
    assert np.linalg.norm(b - product) <= 1.01e-8 * np.linalg.norm(b)
    return result


def tridiagonal(n):
    return sp.diags_array([-np.ones(n - 1), np.full(n, 2.0), -np.ones(n - 1)], offsets=[-1, 0, 1], format="csr")


# ---- what it picks


def test_sparse_and_definite():
    system = poisson(40)
    result = answer(system.A, system.b)
    assert result.message.startswith("ConjugateGradient with AlgebraicMultigrid (A is sparse and symmetric with a pos")
    assert "positive diagonal, taken as positive definite): residual" in result.message
    assert result.iterations < 10
    assert "A is sparse and positive definite)" in answer(system.A, system.b, spd=True).message


def test_without_pyamg(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    system = poisson(40)
    result = answer(system.A, system.b)
    assert result.message.startswith("ConjugateGradient with Jacobi (A is sparse and symmetric")
    assert "PyAMG is missing (pip install 'resolvent[amg]')" in result.message


@pytest.mark.parametrize("spd", [False, None])
def test_symmetric_and_indefinite(spd):
    """Where the diagonal is negative here and there."""
    shifts = np.where(np.arange(1600) % 2, 3e4, 0.0)
    result = answer(sp.csr_array(poisson(40).A - sp.diags_array(shifts)), np.ones(1600), spd=spd)
    assert result.message.startswith("MinimumResidual with Jacobi (A is sparse, symmetric and not positive definite)")


def test_a_guess_that_was_wrong_is_corrected():
    A = sp.csr_array(poisson(40).A - 300 * sp.eye_array(1600))
    assert (A.diagonal() > 0).all()
    result = answer(A, np.ones(1600))
    assert result.message.startswith(
        "MinimumResidual with Jacobi (A has a positive diagonal but is not positive definite: "
    )
    claimed = solve_linear(A, np.ones(1600), spd=True)
    assert claimed.status is Status.BREAKDOWN
    assert "not positive definite" in claimed.message


def test_not_symmetric(rng):
    A = sp.random_array((2000, 2000), density=0.002, random_state=rng) + 3 * sp.eye_array(2000)
    result = answer(sp.csr_array(A), np.ones(2000))
    assert result.message.startswith("GMRES with IncompleteLU (A is sparse and not symmetric)")


def test_small_narrow_or_dense(rng):
    assert answer(poisson(8).A, np.ones(64)).message.startswith("GMRES with Factorisation (order 64 is small)")
    assert answer(poisson(8).A, np.ones(64), spd=True).message.startswith("ConjugateGradient with Factorisation (order")
    assert "(A is sparse with a band of 1)" in answer(tridiagonal(5000), np.ones(5000)).message
    A = rng.standard_normal((60, 60))
    for matrix, spd in ((A, None), (A @ A.T + np.eye(60), True), (A + A.T, False)):
        result = answer(matrix, np.ones(60), spd=spd)
        assert "with Factorisation (A is dense)" in result.message
        assert result.iterations <= 2


def test_an_operator():
    A = LinearOperator((400, 400), matvec=poisson(20).A.dot, dtype=np.float64)
    assert answer(A, np.ones(400), spd=True).message.startswith("ConjugateGradient (A is known by its products alone)")
    assert "; spd=True would allow CG)" in answer(A, np.ones(400)).message


# ---- grids


BOXES = [
    (
        (12, 9, 7),
        {"boundary": ("periodic", "dirichlet", ("ghost", "neumann")), "spacing": (1, 2, 3), "zero_order": 0.3},
    ),
    ((40, 30), {"boundary": "ghost", "conductivity": 1e4}),
    ((40, 30), {"boundary": "neumann"}),
    ((50,), {"boundary": (("neumann", "dirichlet"),)}),
    ((5, 4, 3), {"boundary": "periodic", "zero_order": 1e-3}),
]


@pytest.mark.parametrize(("grid", "options"), BOXES)
def test_a_stencil_is_found_in_a_matrix(grid, options, rng):
    operator = diffusion(grid, **options)
    b = operator @ rng.standard_normal(operator.shape[0])
    found = choose(operator.compress(), b, grid=grid).system
    assert found.on_grid
    assert abs(found.A.compress() - operator.compress()).max() < 1e-12 * operator.diagonal().max()
    answer(operator.compress(), b, grid=grid)


@pytest.mark.parametrize(
    "A",
    [
        diffusion((40, 30), conductivity=1 + np.random.default_rng(0).random((40, 30))).compress(),
        diffusion((40, 30), zero_order=np.random.default_rng(0).random((40, 30))).compress(),
        tridiagonal(1200),
        sp.csr_array(diffusion((40, 30)).compress() + sp.diags_array([1e-3 * np.ones(1169)] * 2, offsets=[31, -31])),
    ],
)
def test_a_matrix_that_has_none_stays_a_matrix(A):
    choice = choose(A, np.ones(1200), grid=(40, 30))
    assert not choice.system.on_grid
    answer(A, np.ones(1200), grid=(40, 30))


def test_a_plain_box():
    A = diffusion((40, 60), boundary=("neumann", "dirichlet"))
    result = answer(A, np.ones(2400))
    assert result.message.startswith("FastTransform (A is that of a plain box, and transforms of its lengths are fast)")
    assert result.iterations == 1


def test_a_plain_box_of_bad_lengths():
    """Ghost walls want transforms of length 2 (n + 1); 1019 is a prime, and so is 1021."""
    A = diffusion((1018, 1020), boundary="ghost")
    choice = choose(A, np.ones(A.shape[0]))
    assert isinstance(choice.solver, Multigrid)
    assert choice.why == "A is that of a plain box, but transforms of its lengths are slow"


def test_a_grid_with_obstacles(rng):
    active = rng.random((60, 60)) < 0.8
    A = diffusion((60, 60), active=active)
    result = answer(A, A @ rng.standard_normal(3600))
    assert result.message.startswith("Multigrid (A is a GridOperator): residual")
    assert result.iterations <= 25


@pytest.mark.parametrize("n", [31, 32])
def test_periodic_axes(n, rng):
    """One with an odd number of cells cannot be coarsened."""
    A = diffusion((n, 40), active=rng.random((n, 40)) < 0.9, boundary="periodic", zero_order=0.1)
    assert "Multigrid (A is a GridOperator" in answer(A, A @ rng.standard_normal(40 * n)).message


def test_a_grid_that_multigrid_refuses_is_for_the_algebraic_one(monkeypatch):
    def refuse(self, system, previous=None):
        raise ProblemError("the grid cannot be coarsened")

    monkeypatch.setattr(Multigrid, "setup", refuse)
    A = diffusion((40, 40), conductivity=1 + np.eye(40))
    assert answer(A, np.ones(1600)).message.startswith(
        "ConjugateGradient with AlgebraicMultigrid (A is a GridOperator, but not for Multigrid: the grid cannot be c"
    )


def test_what_float32_cannot_do_goes_on_in_float64(monkeypatch, rng):
    """Here the first solver says so at once."""
    monkeypatch.setattr(Multigrid, "step", lambda self, problem, state: state.give_up(Status.STALLED, "rounding"))
    active = rng.random((60, 60)) < 0.8
    A = diffusion((60, 60), active=active)
    result = answer(A, A @ rng.standard_normal(3600))
    assert result.message.startswith(
        "ConjugateGradient with Multigrid (A is a GridOperator; Multigrid, in float32, ended STALLED): residual"
    )


def test_a_wrong_start_is_told_as_such():
    with pytest.raises(ProblemError, match=r"x0 has shape \(3,\), expected \(3600,\)"):
        solve_linear(diffusion((60, 60), zero_order=np.ones((60, 60))), np.ones(3600), start=np.ones(3))


# ---- singular systems


def test_the_constants_of_a_floating_component_are_found(rng):
    """Two boxes without walls beside one with them."""
    parts = [diffusion((20, 20), boundary=kind).compress() for kind in ("neumann", "dirichlet", "periodic")]
    A = sp.block_diag(parts, format="csr")
    system = choose(A, A @ rng.standard_normal(1200)).system
    assert system.null_space.sizes.tolist() == [400, 400]
    answer(A, A @ rng.standard_normal(1200))
    b = rng.standard_normal(1200)
    result = solve_linear(A, b)
    assert result.status is Status.INFEASIBLE
    assert "no x solves the system: b has a part of norm" in result.message


@pytest.mark.parametrize("n", [20, 40])
def test_one_of_all_cells(n, rng):
    A = diffusion((n, n), boundary="neumann").compress()
    answer(A, A @ rng.standard_normal(n * n))
    assert solve_linear(A, np.ones(n * n)).status is Status.INFEASIBLE


@pytest.mark.parametrize(
    ("A", "good", "bad"),
    [
        (np.ones((3, 3)), [2.0, 2.0, 2.0], [1.0, 2.0, 3.0]),
        (np.array([[1.0, 2.0], [2.0, 4.0]]), [1.0, 2.0], [1.0, 0.0]),
        (np.array([[0.0, 1.0], [0.0, 0.0]]), [1.0, 0.0], [1.0, 1.0]),
        (np.zeros((2, 2)), [0.0, 0.0], [1.0, 0.0]),
    ],
)
@pytest.mark.parametrize("sparse", [False, True])
def test_a_small_singular_matrix(A, good, bad, sparse):
    A = sp.csr_array(A) if sparse else A
    assert solve_linear(A, np.array(good)).success
    result = solve_linear(A, np.array(bad))
    assert not result.success
    assert result.status in (Status.BREAKDOWN, Status.STALLED, Status.INFEASIBLE)
    assert np.isfinite(result.x).all()


# ---- the arguments of solve


def test_start_stop_and_callback_are_passed_on():
    system, seen = poisson(40), []
    first = solve_linear(system.A, system.b, stop=STOP, callback=lambda state: seen.append(state.iterations))
    assert seen == list(range(1, first.iterations + 1))
    assert solve_linear(system.A, system.b, start=first, stop=STOP).iterations == 0
    cut = solve_linear(system.A, system.b, start=np.ones(1600), stop=rs.Stop(rtol=1e-8, iterations=2))
    assert cut.status is Status.ITERATIONS
    assert "): limit of 2 iterations reached" in cut.message


def test_the_solver_that_was_picked_can_be_used_again():
    system = poisson(40)
    first = solve_linear(system.A, system.b, stop=STOP)
    again = rs.solve(system, first.solver, first, stop=STOP)
    assert again.iterations == 0
    assert again.state.kept is first.state.kept or again.success


def test_float32():
    A = poisson(40).A.astype(np.float32)
    result = solve_linear(A, np.ones(1600, np.float32))
    assert result.success
    assert result.x.dtype == np.float32


def test_integers_are_numbers():
    A = tridiagonal(50).astype(np.int64)
    assert answer(A, np.arange(50)).x.dtype == np.float64


def test_b_is_zero():
    result = solve_linear(poisson(40).A, np.zeros(1600))
    assert result.success
    assert not result.x.any()


# ---- wrong input


@pytest.mark.parametrize(
    ("A", "b", "options", "said"),
    [
        (np.eye(3), np.ones(4), {}, r"A has shape \(3, 3\), expected \(4, 4\) to fit b"),
        (np.ones((3, 2)), np.ones(3), {}, r"A has shape \(3, 2\), expected \(3, 3\)"),
        (np.eye(3), np.ones((3, 1)), {}, r"b has shape \(3, 1\), expected \(n,\)"),
        (np.eye(3), [1.0, np.nan, 0.0], {}, r"b\[1\] is nan, expected finite numbers"),
        (sp.csr_array(np.diag([1.0, np.inf])), np.ones(2), {}, "A contains nan or inf"),
        (np.eye(2) * 1j, np.ones(2), {}, "A has dtype complex128, expected real numbers"),
        (np.eye(2), np.ones(2) * 1j, {}, "b has dtype complex128, expected real numbers"),
        ("matrix", np.ones(2), {}, "A is a str, expected a matrix or an operator with @"),
        (np.eye(4), np.ones(4), {"grid": (3, 2)}, r"grid \(3, 2\) has 6 cells, expected 4"),
        (
            np.triu(np.ones((3, 3))),
            np.ones(3),
            {"spd": True},
            "spd is True, but A is not symmetric: A and A.T differ by",
        ),
        (-sp.eye_array(3).tocsr(), np.ones(3), {"spd": True}, "spd is True, but A has -1.000e.00 on its diagonal"),
    ],
)
def test_is_a_problem_error(A, b, options, said):
    with pytest.raises(ProblemError, match=said):
        solve_linear(A, b, **options)


def test_spd_is_a_bool():
    with pytest.raises(OptionError, match="spd is 'yes', expected True, False or None"):
        solve_linear(np.eye(2), np.ones(2), spd="yes")


def test_arrays_of_other_libraries():
    import array_api_strict as xp

    A, b = xp.asarray(np.diag([1.0, 2.0, 3.0])), xp.asarray(np.ones(3))
    assert solve_linear(A, b, spd=True).success
    with pytest.raises(BackendError, match="beside NumPy there is CG alone, for spd=True"):
        solve_linear(A, b)
