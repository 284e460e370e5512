"""Multigrid: counts that do not grow, cycles that are symmetric and definite, hierarchies that are used again."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg

import resolvent as rs
from resolvent.errors import OptionError, ProblemError
from resolvent.problems import LinearSystem
from resolvent.problems.grids import diffusion, pressure_operator
from resolvent.problems.library import poisson
from resolvent.solvers import Chebyshev, ConjugateGradient, Hierarchy, Multigrid
from resolvent.solvers.linear import hierarchy as module
from resolvent.solvers.stop import Status, Stop

TIGHT = Stop(rtol=1e-8)


def count(system, solver=None):
    result = rs.solve(system, solver or Multigrid(), stop=TIGHT)
    assert result.status is Status.CONVERGED, result.message
    assert np.linalg.norm(system.b - system.A @ result.x) <= 1.01e-8 * np.linalg.norm(system.b)
    return result.iterations


@pytest.fixture
def deep(monkeypatch):
    """Coarsen small grids too: several levels on a few cells."""
    monkeypatch.setattr(module, "SMALL", 4)


def dense(operator):
    n = operator.shape[0]
    return np.column_stack([operator @ e for e in np.eye(n)])


# ---- counts


@pytest.mark.parametrize("grid", [(64, 64), (256, 256), (512, 512), (32, 32, 32), (64, 64, 64)])
@pytest.mark.parametrize("walls", ["ghost", "dirichlet", "neumann"])
def test_counts_with_obstacles_do_not_grow(grid, walls):
    assert count(poisson.obstacles(grid, boundary=walls)) <= 12


@pytest.mark.parametrize("grid", [(97, 61, 33), (1000, 37), (31, 257), (129, 127), (7, 1000)])
def test_awkward_sizes(grid):
    assert count(poisson.box(grid)) <= 13
    assert count(poisson.obstacles(grid)) <= 14


@pytest.mark.parametrize("dt", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("grid", [(256, 256), (48, 48, 48)])
def test_heat_steps(grid, dt):
    assert count(poisson.heat_step(grid, dt=dt)) <= 12


@pytest.mark.parametrize(("kind", "most"), [("blocks", 30), ("layers", 14), ("channels", 45)])
def test_contrast_of_ten_thousand(kind, most):
    assert count(getattr(poisson, kind)((256, 256))) <= most
    assert count(getattr(poisson, kind)((48, 48, 48))) <= most


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("ratio", [0.01, 100.0, 1e4])
def test_anisotropy_along_each_axis(axis, ratio):
    assert count(poisson.anisotropic((40, 48, 44), ratio=ratio, axis=axis)) <= 13


@pytest.mark.parametrize(
    "boundary",
    ["periodic", ("periodic", "neumann", ("dirichlet", "neumann")), (("neumann", "ghost"), "periodic", "periodic")],
)
def test_periodic_and_mixed_ends(boundary, rng):
    A = diffusion((48, 64, 80), boundary=boundary)
    assert count(LinearSystem(A, rng.standard_normal(A.shape[0]), project=True)) <= 12


def test_a_spacing_per_axis_and_one_axis(rng):
    assert count(LinearSystem(diffusion((60, 50), spacing=(0.1, 0.5)), rng.standard_normal(3000))) <= 12
    A = diffusion(100_000, boundary=("periodic",))
    assert count(LinearSystem(A, rng.standard_normal(100_000), project=True)) <= 14


@pytest.mark.parametrize("solver", [Multigrid(coarse_visits=2), Multigrid(full=True), Multigrid(smoother=Chebyshev())])
def test_other_cycles_take_no_more_steps(solver):
    system = poisson.obstacles((128, 96))
    assert count(system, solver) <= count(system)


def test_a_full_cycle_solves_to_the_discretisation_error():
    """Brandt 1977: one full cycle leaves an algebraic error below that of the discretisation."""
    for n in (64, 128, 256):
        x = (np.arange(n) + 0.5) / n
        u = np.outer(np.sin(np.pi * x), np.sin(2 * np.pi * x))
        system = LinearSystem(diffusion((n, n), spacing=1 / n), 5 * np.pi**2 * u.ravel())
        exact = rs.solve(system, Multigrid(), stop=Stop(rtol=1e-10)).x
        first = rs.solve(system, Multigrid(full=True), stop=Stop(rtol=1e-10, iterations=1)).x
        discretisation = np.abs(exact - u.ravel()).max()
        assert np.abs(first - exact).max() <= discretisation


# ---- the cycle


@pytest.mark.usefixtures("deep")
@pytest.mark.parametrize(
    "A",
    [
        diffusion((9, 12), boundary="ghost"),
        diffusion((6, 6, 7), active=poisson.fluid_cells((6, 6, 7))),
        diffusion((8, 12), boundary="periodic", zero_order=0.3),
        diffusion((7, 9, 5), conductivity=np.exp(np.linspace(0, 8, 315)).reshape(7, 9, 5)),
        diffusion((16, 11), conductivity=(1.0, 50.0), boundary=("dirichlet", ("neumann", "ghost"))),
    ],
    ids=["box", "solids", "periodic", "faces", "anisotropic"],
)
@pytest.mark.parametrize("options", [Multigrid(), Multigrid(coarse_visits=2), Multigrid(smoother=Chebyshev())])
def test_a_cycle_is_symmetric_positive_definite_and_contracts(A, options):
    M = options.setup(LinearSystem(A, np.ones(A.shape[0])))
    assert len(M.levels) > 2
    cells = A.cells()
    cycle, matrix = dense(M)[np.ix_(cells, cells)], dense(A)[np.ix_(cells, cells)]
    assert np.abs(cycle - cycle.T).max() <= 1e-5 * np.abs(cycle).max()
    eigenvalues = np.linalg.eigvals(cycle @ matrix).real
    assert eigenvalues.min() > 0.1
    assert eigenvalues.max() < 2


@pytest.mark.usefixtures("deep")
def test_inactive_cells_are_left_alone():
    active = poisson.fluid_cells((20, 20))
    system = LinearSystem(diffusion((20, 20), active=active), np.ones(400))
    M = Multigrid().setup(system)
    assert not (M @ np.ones(400))[~active.ravel()].any()
    loud = np.where(active.ravel(), 1.0, 1e6)
    np.testing.assert_allclose(M @ loud, M @ np.ones(400), rtol=1e-4)


def test_a_small_grid_is_solved_by_its_factor(rng):
    for boundary in ("dirichlet", "periodic", ("periodic", "neumann")):
        A = diffusion((12, 10), boundary=boundary)
        assert count(LinearSystem(A, rng.standard_normal(120), project=True)) <= 3


def test_size_of_the_right_hand_side_does_not_matter():
    """The cycle is in float32, whose range is no limit for b."""
    system = poisson.obstacles((48, 48))
    M = Multigrid().setup(system)
    for scale in (1e-100, 1e100):
        np.testing.assert_allclose(M @ (scale * system.b), scale * (M @ system.b), rtol=1e-5)
        assert count(system.replace(b=scale * system.b)) == count(system)
    assert not (M @ np.zeros(48 * 48)).any()


def test_two_threads_give_the_same_to_rounding():
    system = poisson.obstacles((400, 400))
    one = rs.solve(system, Multigrid(), stop=TIGHT)
    with rs.threads(2):
        two = rs.solve(system, Multigrid(), stop=TIGHT)
    assert one.iterations == two.iterations
    np.testing.assert_allclose(two.x, one.x, rtol=0, atol=1e-6 * np.abs(one.x).max())


# ---- set-up


def test_an_updated_hierarchy_is_a_new_one(rng):
    grid = (60, 70)
    old = poisson.obstacles(grid)
    M = Multigrid().setup(old)
    arrays = [level.q for level in M.levels]
    active = np.roll(poisson.fluid_cells(grid), 5, axis=0)
    moved = LinearSystem(diffusion(grid, active=active, boundary="ghost"), old.b)
    same = Multigrid().setup(moved, M)
    assert same is M
    assert M.updates == 2
    assert all(level.q is array for level, array in zip(M.levels, arrays, strict=True))
    v = rng.standard_normal(len(old.b))
    np.testing.assert_array_equal(M @ v, Multigrid().setup(moved) @ v)


def test_a_warm_start_takes_the_hierarchy_along():
    first = rs.solve(poisson.obstacles((64, 64)), Multigrid(), stop=TIGHT)
    M = first.state.hierarchy
    second = rs.solve(poisson.obstacles((64, 64), seed=1), Multigrid(), first, stop=TIGHT)
    assert second.success
    assert second.state.hierarchy is M
    assert M.updates == 2


def test_memory_a_cell():
    assert Multigrid().setup(poisson.obstacles((64, 64, 64))).nbytes <= 32 * 64**3
    assert Multigrid().setup(poisson.layers((64, 64, 64))).nbytes <= 60 * 64**3


def test_it_prints_its_levels():
    text = repr(Multigrid().setup(poisson.anisotropic((200, 300))))
    assert "200 x 300" in text
    assert "60000 unknowns" in text
    assert "paired along axis [0]" in text
    assert "Cholesky factor" in text


def test_a_system_without_a_grid_goes_to_algebraic_multigrid():
    pytest.importorskip("pyamg")
    small = poisson.obstacles((40, 40)).compress()
    M = Multigrid().setup(small)
    assert not isinstance(M, Hierarchy)
    assert count(small, ConjugateGradient(preconditioner=Multigrid())) <= 20


def test_inside_scipy(rng):
    system = poisson.obstacles((80, 80))
    M = Multigrid().setup(system)
    steps = []
    x, info = scipy.sparse.linalg.cg(system.A, system.b, M=M, rtol=1e-8, callback=steps.append)
    assert info == 0
    assert len(steps) <= 12
    assert np.linalg.norm(system.b - system.A @ x) <= 1.01e-8 * np.linalg.norm(system.b)


# ---- honest ends


def test_separate_rooms_without_walls(rng):
    active = np.ones((64, 64), bool)
    active[:, 31] = False  # two rooms, each with its own constant
    A = pressure_operator(active)
    b = rng.standard_normal(64 * 64)
    assert rs.solve(LinearSystem(A, b), Multigrid()).status is Status.INFEASIBLE
    system = LinearSystem(A, b, project=True)
    result = rs.solve(system, Multigrid(), stop=TIGHT)
    assert result.success
    for room in (np.s_[:, :31], np.s_[:, 32:]):
        assert abs(result.x.reshape(64, 64)[room].mean()) <= 1e-10 * np.abs(result.x).max()


def test_the_residual_is_true_where_it_is_given():
    system = poisson.obstacles((64, 64))
    seen = []

    def look(state):
        if state.residual is not None:
            seen.append((state.residual, np.linalg.norm(system.b - system.A @ state.x)))

    result = rs.solve(system, Multigrid(), stop=TIGHT, callback=look)
    assert len(seen) == 2
    for told, true in seen:
        assert told == pytest.approx(true, rel=1e-12)
    assert np.isfinite(result.history["residual_estimate"]).all()


def test_what_cannot_be_reached_ends_honestly():
    system = poisson.obstacles((64, 64))
    result = rs.solve(system, Multigrid(), stop=Stop(rtol=1e-18))
    assert not result.success
    assert result.residual <= 1e-13 * result.scale
    assert result.residual == pytest.approx(system.residual(result.x), rel=1e-9)


def test_what_it_refuses(rng):
    with pytest.raises(ProblemError, match="Multigrid solves systems on grids"):
        rs.solve(LinearSystem(np.eye(3), np.ones(3), spd=True), Multigrid())
    with pytest.raises(ProblemError, match=r"\(1006, 1, 4006\) cannot be coarsened: a periodic axis needs"):
        Multigrid().setup(LinearSystem(diffusion((1006, 4006), boundary="periodic"), np.zeros(1006 * 4006)))
    with pytest.raises(ProblemError, match="a periodic axis has 31 cells, an odd number"):
        Multigrid().setup(LinearSystem(diffusion((31, 33), boundary="periodic"), np.zeros(31 * 33)))
    with pytest.raises(OptionError, match="smoother is 'jacobi', expected"):
        Multigrid(smoother="jacobi")
    with pytest.raises(OptionError, match="coarse_visits is 0, expected"):
        Multigrid(coarse_visits=0)
    with pytest.raises(OptionError, match="full is 1, expected True or False"):
        Multigrid(full=1)
    with pytest.raises(OptionError, match="degree is 0, expected"):
        Chebyshev(degree=0)
    with pytest.raises(OptionError, match=r"lowest is 1\.5, expected"):
        Chebyshev(lowest=1.5)


@pytest.mark.usefixtures("deep")
@pytest.mark.parametrize(("n", "m"), [(36, 48), (44, 48), (64, 48), (50, 800)])
def test_few_factors_of_two_on_a_periodic_axis(n, m, rng):
    A = diffusion((n, m), boundary=("periodic", "dirichlet"))
    assert count(LinearSystem(A, rng.standard_normal(n * m))) <= 14
