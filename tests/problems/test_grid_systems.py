"""Linear systems of grid operators: what they take from the operator, solids, pockets, and wrong data."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent import BackendError, ProblemError
from resolvent.problems import LinearSystem
from resolvent.problems.grids import diffusion, pressure_operator
from resolvent.solvers import ConjugateGradient


def test_a_system_takes_what_the_operator_knows():
    A = diffusion((4, 5), boundary="neumann", dtype=np.float32)
    system = LinearSystem(A, np.zeros(20, np.float32))
    assert (system.spd, system.grid, system.dtype) == (True, (4, 5), np.float32)
    assert system.features() == {"singular", "operator"}
    assert LinearSystem(diffusion(4), np.ones(4)).features() == {"operator"}
    assert LinearSystem(diffusion((4, 5)), np.ones(20), grid=(20,)).grid == (20,)


@pytest.mark.parametrize("wide", [False, True])
def test_the_operator_has_the_dtype_of_the_system(wide):
    """A float32 operator beside a float64 right-hand side would round every product."""
    A = diffusion((4, 5), conductivity=np.full((4, 5), 1.1), dtype=np.float32 if wide else np.float64)
    system = LinearSystem(A, np.ones(20), dtype=None if wide else np.float32)
    assert system.A.dtype == system.apply(system.x0).dtype == system.dtype == (np.float64 if wide else np.float32)
    assert system.replace(dtype=np.float32).A.dtype == np.float32


def test_what_b_and_the_start_hold_in_solids_does_not_count():
    mask = np.array([True, True, False, True])
    system = LinearSystem(diffusion(4, active=mask), [1.0, 2, np.nan, 4])
    assert system.b.tolist() == [1, 2, 0, 4]
    assert rs.solve(system, ConjugateGradient(), np.full(4, 5.0)).x[2] == 0
    with pytest.raises(ProblemError, match=r"^b\[1\] is nan, expected finite numbers$"):
        LinearSystem(diffusion(4, active=mask), [1.0, np.nan, 0, 4])


def test_a_system_without_its_solids(rng):
    mask = rng.random((9, 10)) < 0.6
    A = pressure_operator(mask)
    x = rng.standard_normal(90) * mask.ravel()
    system = LinearSystem(A, A @ x, name="pressure")
    small = system.compress()
    assert sp.issparse(small.A)
    assert small.b.shape == (mask.sum(),)
    assert (small.spd, small.name, small.null_space.sizes.sum()) == (True, "pressure", mask.sum())
    found = A.expand(rs.solve(small, ConjugateGradient(), stop=rs.Stop(rtol=1e-12)).x)
    assert system.remove_null_space(found) == pytest.approx(system.remove_null_space(x), abs=1e-9)
    with_vectors = LinearSystem(A, A @ x, null_space=A.null_space()).compress()
    assert with_vectors.null_space.shape == (len(A.components.sizes), mask.sum())
    with pytest.raises(ProblemError, match="A is a ndarray; only a GridOperator has cells"):
        LinearSystem(np.eye(2), [1, 1]).compress()


def test_pockets_without_a_solution_are_found():
    """The left half leans on a wall, the right half is closed: its part of b must add up to zero."""
    mask = np.array([True, True, False, True, True])
    A = diffusion(5, active=mask, boundary=(("dirichlet", "neumann"),))
    assert A.components.labels.tolist() == [-1, -1, -1, 0, 0]
    assert "no x solves the system" in LinearSystem(A, [1.0, 0, 0, 1, 1]).infeasible
    assert rs.solve(LinearSystem(A, [1.0, 0, 0, 1, 1]), ConjugateGradient()).status is rs.Status.INFEASIBLE
    good = LinearSystem(A, [1.0, 0, 0, 2, -2])
    assert not good.infeasible
    projected = LinearSystem(A, [1.0, 0, 9, 3, -1], project=True)
    assert projected.b.tolist() == good.b.tolist()
    assert rs.solve(projected, ConjugateGradient(), stop=rs.Stop(rtol=1e-12)).success


def test_a_system_can_be_replaced(rng):
    mask = rng.random((9, 10)) < 0.6
    system = LinearSystem(pressure_operator(mask), rng.standard_normal(90), project=True)
    other = system.replace(b=2 * system.b)
    assert other.null_space is system.null_space
    assert np.allclose(other.b, 2 * system.b)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
def test_conjugate_gradients_on_a_grid(boundary, rng):
    A = diffusion((13, 11), active=rng.random((13, 11)) >= 0.1, boundary=boundary)
    x = rng.standard_normal(143) * A.active.ravel()
    system = LinearSystem(A, A @ x)
    result = rs.solve(system, ConjugateGradient(), stop=rs.Stop(rtol=1e-11))
    assert result.success
    assert system.remove_null_space(result.x) == pytest.approx(system.remove_null_space(x), abs=1e-8)


# ---- wrong data


def test_systems_of_other_sizes_are_refused():
    with pytest.raises(ProblemError, match=r"^A has shape \(16, 16\), expected \(15, 15\) to fit b$"):
        LinearSystem(diffusion((4, 4)), np.ones(15))
    with pytest.raises(ProblemError, match=r"^b has shape \(4, 4\), expected \(n,\)$"):
        LinearSystem(diffusion((4, 4)), np.ones((4, 4)))
    with pytest.raises(ProblemError, match=r"^b has dtype complex128, expected real numbers$"):
        LinearSystem(diffusion(4), np.ones(4) * 1j)
    assert LinearSystem(diffusion(4), [1, 2, 3, 4]).b.dtype == np.float64


def test_devices_are_not_mixed():
    elsewhere = type("ndarray", (), {"__module__": "cupy", "shape": (4,), "ndim": 1, "dtype": np.dtype(float)})()
    with pytest.raises(BackendError, match=r"^A lives on the cpu, b on the gpu; move one of them$"):
        LinearSystem(diffusion(4), elsewhere)
    with pytest.raises(BackendError, match=r"^A lives on the cpu, b on the gpu; move one of them$"):
        LinearSystem(np.eye(4), elsewhere)
