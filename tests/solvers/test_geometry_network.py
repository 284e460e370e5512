"""The geometry-conditioned network: the V-cycle where it says nothing, symmetric, definite, scale-free; its files."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent import OptionError, ProblemError
from resolvent.problems import LinearSystem
from resolvent.problems.grids import diffusion
from resolvent.problems.library.poisson import box, noise, obstacles
from resolvent.solvers import ConjugateGradient, DeepConjugateDirection, Multigrid
from resolvent.solvers.learned.datasets import walls
from resolvent.solvers.linear.geometry_network import GeometryNetwork, LearnedMultigrid
from resolvent.solvers.linear.networks import load_network, save_network

SMALL = (24, 32)


def wild(size=0.5, seed=0):
    """Return a network with random weights in all layers."""
    drawn = np.random.default_rng(seed)
    weights = GeometryNetwork.untrained().weights
    return GeometryNetwork(weights={k: (size * drawn.standard_normal(w.shape)).astype("f") for k, w in weights.items()})


def lognormal(grid, size=1.5, seed=1, **options):
    k = np.exp(size * np.random.default_rng(seed).standard_normal(grid))
    return noise(diffusion(grid, conductivity=k, **options), seed)


GRIDS = [
    ((200, 300), {}),
    ((97, 61), {}),
    ((40, 25, 32), {}),
    ((128, 64), {"boundary": "periodic"}),
    ((300, 40), {"boundary": ("neumann", "dirichlet"), "zero_order": 0.1}),
    ((128, 128), {"boundary": "neumann"}),
]


@pytest.mark.parametrize(("grid", "options"), GRIDS, ids=str)
def test_without_a_correction_it_is_the_cycle_of_multigrid(grid, options):
    system = lognormal(grid, **options)
    plain, mine = Multigrid().setup(system), GeometryNetwork.untrained().setup(system)
    assert len(mine.levels) > 1
    true = plain @ system.b
    assert mine @ system.b == pytest.approx(true, rel=1e-4, abs=1e-6 * np.abs(true).max())


@pytest.mark.parametrize("system", [box((192, 256)), obstacles((64, 300))], ids=["box", "obstacles"])
def test_on_faces_of_one_weight_the_finest_level_is_that_of_multigrid(system):
    plain, mine = Multigrid().setup(system), wild().setup(system)
    assert mine.levels[0].faces is None
    assert mine.levels[0].weights is None
    if system.A.active is None:
        assert (mine @ system.b == plain @ system.b).all()


def dense(hierarchy, n):
    return np.array([hierarchy @ column for column in np.eye(n)])


@pytest.mark.parametrize("seed", range(3))
def test_any_weights_give_a_symmetric_positive_definite_cycle(seed, monkeypatch):
    monkeypatch.setattr("resolvent.solvers.linear.hierarchy.SMALL", 64)
    system = lognormal(SMALL)
    hierarchy = wild(seed=seed).setup(system)
    assert len(hierarchy.levels) > 2
    M = dense(hierarchy, len(system.b))
    assert np.abs(M - M.T).max() < 1e-5 * np.abs(M).max()
    assert np.linalg.eigvalsh(M + M.T).min() > 0


def test_the_corrections_reach_the_cycle():
    system = lognormal((200, 300))
    plain, mine = GeometryNetwork.untrained().setup(system), wild().setup(system)
    assert np.abs(mine @ system.b - plain @ system.b).max() > 1e-3 * np.abs(plain @ system.b).max()
    for one, other in zip(plain.levels[1:], mine.levels[1:], strict=True):
        assert any((a != b).any() for a, b in zip(one.grid.faces, other.grid.faces, strict=True))


def test_a_common_factor_changes_nothing():
    network, k = wild(), np.exp(np.random.default_rng(1).standard_normal((200, 150)))
    one, other = (noise(diffusion(k.shape, conductivity=c * k), 3) for c in (1.0, 2.0**10))
    mine = 2.0**10 * (network.setup(other) @ other.b)
    assert mine == pytest.approx(network.setup(one) @ one.b, rel=1e-3, abs=1e-6 * np.abs(mine).max())


def test_a_mirrored_grid_gives_mirrored_directions():
    network, k = wild(), np.exp(np.random.default_rng(1).standard_normal((128, 192)))
    here = LinearSystem(diffusion(k.shape, conductivity=k), k.ravel())
    there = LinearSystem(diffusion(k.shape, conductivity=k[::-1, ::-1].copy()), k[::-1, ::-1].ravel())
    mine = (network.setup(there) @ there.b).reshape(k.shape)[::-1, ::-1]
    true = (network.setup(here) @ here.b).reshape(k.shape)
    # red and black change places where an extent is even, so the cycles agree to their accuracy alone
    assert np.linalg.norm(mine - true) < 0.2 * np.linalg.norm(true)


def test_a_set_up_can_be_used_again():
    network = wild()
    first, second = lognormal((200, 150), seed=1), lognormal((200, 150), seed=2)
    hierarchy = network.setup(first)
    again = network.setup(second, hierarchy)
    assert again is hierarchy
    fresh = network.setup(second)
    assert (again @ second.b == fresh @ second.b).all()
    assert wild(seed=5).setup(second, hierarchy) is not hierarchy


@pytest.mark.parametrize("solver", ["deep", "learned", "cg"])
def test_solves_what_multigrid_solves(solver):
    system, network = lognormal((120, 130)), GeometryNetwork.untrained()
    method = {
        "deep": DeepConjugateDirection(network=network),
        "learned": LearnedMultigrid(network=network),
        "cg": ConjugateGradient(preconditioner=network),
    }[solver]
    plain = rs.solve(system, ConjugateGradient(preconditioner=Multigrid()), stop=rs.Stop(rtol=1e-8))
    result = rs.solve(system, method, stop=rs.Stop(rtol=1e-8))
    assert result.success
    assert result.iterations <= plain.iterations + 1
    assert np.linalg.norm(system.b - system.A @ result.x) <= 1e-8 * np.linalg.norm(system.b)


def test_a_grid_that_is_solved_at_once_needs_no_correction():
    system = lognormal((9, 8))
    hierarchy = wild().setup(system)
    assert hierarchy.corrected is False
    assert system.A @ (hierarchy @ system.b) == pytest.approx(system.b, rel=1e-3, abs=1e-3)


def test_a_matrix_without_a_grid_is_refused():
    system = LinearSystem(sp.eye_array(9).tocsr(), np.ones(9), spd=True, grid=(3, 3))
    with pytest.raises(ProblemError, match="expected a GridOperator"):
        wild().setup(system)


@pytest.mark.parametrize(
    ("changes", "message"), [({"hidden": 0}, "hidden is 0"), ({"weights": {}}, r"'faces.0.weight'.* is missing")]
)
def test_options_are_checked(changes, message):
    with pytest.raises(OptionError, match=message):
        replace(GeometryNetwork.untrained(), **changes)


@pytest.mark.parametrize(
    ("options", "message"), [({"network": 3}, "network is 3"), ({"coarse_visits": 2}, "coarse_visits is 2")]
)
def test_the_solver_checks_its_options(options, message):
    with pytest.raises(OptionError, match=message):
        LearnedMultigrid(**{"network": wild(), **options})


def test_a_saved_network_comes_back(tmp_path):
    network = wild()
    again = load_network(save_network(network, tmp_path / "mine"))
    assert again == network
    assert again.parameters == 242
    system = lognormal((64, 200))
    assert (again.setup(system) @ system.b == network.setup(system) @ system.b).all()


@pytest.mark.parametrize(("name", "grid", "most"), [("poisson2d", (160, 160), 0.75), ("poisson3d", (48, 48, 48), 0.95)])
def test_the_shipped_networks_know_about_thin_walls(name, grid, most):
    k = walls(grid, np.random.default_rng(1000))
    system, stop = noise(diffusion(grid, conductivity=k, boundary="ghost")), rs.Stop(rtol=1e-8)
    plain = rs.solve(system, Multigrid(), stop=stop)
    learned = rs.solve(system, LearnedMultigrid(network=load_network(name)), stop=stop)
    assert learned.success
    assert learned.iterations <= most * plain.iterations


def test_thin_walls_of_closed_faces_are_seen_and_plain_boxes_are_not():
    open_faces = [np.ones((129, 128)), np.ones((128, 129))]
    open_faces[0][64, :100] = 0
    for openings, seen in ((tuple(open_faces), True), ((np.ones((129, 128)), np.ones((128, 129))), False)):
        system = noise(diffusion((128, 128), openings=openings))
        assert load_network("poisson2d").setup(system).corrected is seen
