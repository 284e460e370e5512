"""AlgebraicMultigrid: few iterations at any size, symmetric cycles, the same bits when built again, wrong matrices."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg

import resolvent as rs
from resolvent import BackendError, OptionError, ProblemError
from resolvent.problems import LinearSystem
from resolvent.problems.grids import diffusion, pressure_operator
from resolvent.problems.library.poisson import poisson
from resolvent.solvers import AlgebraicMultigrid, ConjugateGradient

KINDS = pytest.mark.parametrize("classical", [True, False])
STOP = rs.Stop(rtol=1e-8)


def solve(system, **options):
    return rs.solve(system, ConjugateGradient(preconditioner=AlgebraicMultigrid(**options)), stop=STOP)


@KINDS
@pytest.mark.parametrize("k", [20, 60, 160])
def test_iterations_do_not_grow_with_the_size(classical, k):
    result = solve(poisson(k), classical=classical)
    assert result.success
    assert result.iterations <= 11


@KINDS
def test_a_cycle_is_symmetric_positive_definite(classical, rng):
    system = poisson(12)
    hierarchy = AlgebraicMultigrid(classical=classical, coarsest=10).setup(system)
    M = np.column_stack([hierarchy @ e for e in np.eye(144)])
    assert np.abs(M - M.T).max() < 1e-14 * np.abs(M).max() * 100
    assert np.linalg.eigvalsh(M).min() > 0
    error = np.linalg.eigvals(np.eye(144) - M @ system.A.toarray())
    assert np.abs(error).max() < 0.4


def test_a_graph_that_is_no_grid(rng):
    n = 3000
    ends = rng.integers(n, size=(2, 4 * n))
    W = sp.coo_array((0.1 + rng.random(4 * n), ends), shape=(n, n)).tocsr()
    W = W + W.T
    A = sp.csr_array(sp.diags_array(W.sum(axis=1) + 1e-3) - W)
    result = solve(LinearSystem(A, rng.standard_normal(n), spd=True))
    assert result.success
    assert result.iterations < 30


def test_the_classical_method_where_no_entry_beside_the_diagonal_is_positive():
    system = poisson(12)
    assert "Ruge-Stueben" in repr(AlgebraicMultigrid().setup(system))
    mixed = system.replace(A=sp.csr_array(system.A @ system.A))
    assert "smoothed aggregation" in repr(AlgebraicMultigrid().setup(mixed))


def test_prints_its_levels():
    text = repr(AlgebraicMultigrid(classical=True, coarsest=20).setup(poisson(16)))
    assert text.startswith("<AlgebraicHierarchy, Ruge-Stueben: 256, 128, ")
    assert "complexity 2." in text


def test_fits_into_scipy():
    system = poisson(40)
    count = []
    _, info = cg(system.A, system.b, rtol=1e-8, M=AlgebraicMultigrid().setup(system), callback=count.append)
    assert info == 0
    assert len(count) < 12


@KINDS
def test_leaves_the_global_generator_alone_and_has_the_same_bits_again(classical):
    r = np.sin(np.arange(900.0))
    cycles = []
    for _ in range(2):
        np.random.random_sample()  # noqa: NPY002
        before = np.random.get_state()  # noqa: NPY002
        cycles.append(AlgebraicMultigrid(classical=classical).setup(poisson(30)) @ r)
        after = np.random.get_state()  # noqa: NPY002
        assert np.array_equal(before[1], after[1])
        assert before[2:] == after[2:]
    assert cycles[0].tobytes() == cycles[1].tobytes()


def test_a_hierarchy_is_kept_for_the_same_matrix_alone():
    options, system = AlgebraicMultigrid(), poisson(20)
    hierarchy = options.setup(system)
    assert options.setup(poisson(20), hierarchy) is hierarchy
    assert options.setup(system.replace(A=system.A * 2), hierarchy) is not hierarchy
    assert options.setup(poisson(21), hierarchy) is not hierarchy
    assert AlgebraicMultigrid(levels=2).setup(system, hierarchy) is not hierarchy


# ---- grids, null spaces


def test_a_singular_system(rng):
    A = diffusion((30, 30), boundary="neumann")
    b = rng.standard_normal(900)
    result = solve(LinearSystem(A, b - b.mean()))
    assert result.success
    assert result.iterations < 12
    matrix = solve(LinearSystem(A.compress(), b - b.mean(), spd=True, null_space=np.ones(900)))
    assert matrix.success
    assert matrix.x == pytest.approx(result.x, abs=1e-5)


def test_a_grid_with_obstacles(rng):
    active = rng.random((40, 40)) < 0.8
    system = LinearSystem(pressure_operator(active), rng.standard_normal(1600), project=True)
    result = solve(system)
    assert result.success
    assert result.iterations < 25
    assert not result.x[~active.ravel()].any()
    hierarchy = AlgebraicMultigrid().setup(system)
    alone = system.A.diagonal()[active.ravel()] == 0  # between four solid cells
    assert alone.any()
    assert hierarchy.sizes[0] == active.sum() - alone.sum()
    assert AlgebraicMultigrid().setup(system, hierarchy) is hierarchy
    moved = LinearSystem(pressure_operator(active[::-1]), rng.standard_normal(1600), project=True)
    assert AlgebraicMultigrid().setup(moved, hierarchy) is not hierarchy


def test_float32(rng):
    system = LinearSystem(diffusion((30, 30), dtype=np.float32), rng.standard_normal(900).astype(np.float32))
    hierarchy = AlgebraicMultigrid().setup(system)
    assert (hierarchy @ system.b).dtype == np.float32
    assert rs.solve(system, ConjugateGradient(preconditioner=AlgebraicMultigrid())).iterations < 12


# ---- wrong input


@pytest.mark.parametrize(
    ("A", "said"),
    [
        (np.triu(np.ones((4, 4))), "needs a symmetric A; A and A.T differ by 1.000e.00"),
        (np.diag([1.0, -1.0]), "needs a positive diagonal; A has -1.000e.00 on it"),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), "needs a positive diagonal; A has 0.000e.00 on it"),
        (np.zeros((3, 3)), "needs a positive diagonal; A has 0.000e.00 on it"),
        (LinearOperator((3, 3), matvec=lambda v: v, dtype=float), "needs the entries of A; A is a _CustomLinear"),
    ],
)
def test_wrong_matrices_are_named(A, said):
    system = LinearSystem(A, np.ones(A.shape[0]), spd=True)
    with pytest.raises(ProblemError, match=said):
        rs.solve(system, ConjugateGradient(preconditioner=AlgebraicMultigrid()))


def test_missing_pyamg_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyamg", None)
    with pytest.raises(BackendError, match=r"needs PyAMG: pip install 'resolvent\[amg\]'"):
        AlgebraicMultigrid().setup(poisson(4))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classical": "yes"}, "classical is 'yes', expected True, False or None"),
        ({"levels": 0}, "levels is 0, expected a whole number >= 1"),
        ({"coarsest": 1.5}, "coarsest is 1.5, expected a whole number >= 1"),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(OptionError, match=f"^{said}$"):
        AlgebraicMultigrid(**options)
