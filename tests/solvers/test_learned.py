"""Training of direction networks: losses, the same networks in torch, training data, a training run and its resumes."""

from dataclasses import fields, replace
from inspect import getdoc

import numpy as np
import pytest

import resolvent as rs
from resolvent import BackendError, OptionError, Status
from resolvent.problems import LinearSystem
from resolvent.problems.dataset import DirectionDataset
from resolvent.problems.grids import diffusion
from resolvent.problems.library.poisson import noise
from resolvent.solvers.learned import (
    DirectionTraining,
    EnergyLoss,
    IteratedLoss,
    ResidualLoss,
    box_residuals,
    iterated_residuals,
    random_residuals,
)
from resolvent.solvers.learned.datasets import KINDS
from resolvent.solvers.linear.deep_conjugate_direction import DeepConjugateDirection
from resolvent.solvers.linear.geometry_network import GeometryNetwork
from resolvent.solvers.linear.networks import PublishedNetwork

BOX = (8, 12)
RNG = np.random.default_rng(0)


def samples(count=5):
    source = box_residuals(BOX)
    return source, *source.draw(np.random.default_rng(1), count)


# ---- data


def test_box_residuals_are_unit_vectors_with_known_errors():
    source, R, E = samples()
    assert np.linalg.norm(R, axis=1) == pytest.approx(np.ones(5))
    for r, e in zip(R, E, strict=True):
        assert source.system.A @ e == pytest.approx(r, abs=1e-12)


def test_box_residuals_are_low_to_ninety_nine_parts_in_a_hundred():
    import scipy.fft as fft

    source = box_residuals((32, 32))
    R, _ = source.draw(np.random.default_rng(2), 50)
    modes = fft.dstn(R.reshape(-1, 32, 32), type=1, norm="ortho", axes=(1, 2)) ** 2
    axis = 2 - 2 * np.cos(np.pi * np.arange(1, 33) / 33)
    low = np.add.outer(axis, axis) < 4
    assert modes[:, low].sum() / modes.sum() == pytest.approx(81 / 82, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(16, 24), (12, 8, 10)])
def test_random_coefficients_are_positive_and_differ(kind, grid):
    k = kind(grid, np.random.default_rng(3))
    assert k.shape == grid
    assert (k > 0).all()
    if kind.__name__ != "even":
        assert (k != kind(grid, np.random.default_rng(4))).any()


def test_random_residuals_belong_to_their_errors():
    source = random_residuals((16, 8), np.random.default_rng(0))
    R, E = source.draw(np.random.default_rng(1), 3)
    assert source.system.A @ E[2] == pytest.approx(R[2])
    assert source.system.A.constant is False


def test_residuals_of_the_iteration_are_unit_vectors_with_known_errors():
    system = box_residuals(BOX).system
    solver = DeepConjugateDirection(network=lambda r: r)
    R, E = iterated_residuals(system, solver, 6)(np.random.default_rng(0), 9)
    assert R.shape == E.shape == (9, 96)
    assert np.linalg.norm(R, axis=1) == pytest.approx(np.ones(9))
    for r, e in zip(R, E, strict=True):
        assert system.A @ e == pytest.approx(r, abs=1e-10)


# ---- without torch


def test_a_missing_torch_is_named(monkeypatch):
    monkeypatch.setattr("resolvent.solvers.learned.library.find_spec", lambda name: None)
    source, _, _ = samples()
    data = DirectionDataset((source,), (source,), x0=PublishedNetwork.random(64, 2))
    with pytest.raises(BackendError, match=r"resolvent\[learn\]"):
        rs.solve(data, DirectionTraining())


def test_options_are_checked():
    for name, value in {"steps": 0, "batch": 0.5, "learning_rate": 0, "own": 2, "loss": 3, "check_every": 0}.items():
        with pytest.raises(OptionError, match=f"^{name} is "):
            DirectionTraining(**{name: value})
    with pytest.raises(OptionError, match=r"^steps is 0"):
        IteratedLoss(steps=0)


def test_the_docstring_lists_every_option():
    text = getdoc(DirectionTraining)
    options = [f.name for f in fields(DirectionTraining)]
    assert all(f"\n{name} : " in text for name in options)


# ---- with torch


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="training needs the extra learn")


def tensors(torch, weights):
    return {name: torch.from_numpy(np.array(w, np.float32)) for name, w in weights.items()}


def measured(torch, loss, directions, R, E, A):
    """The loss of fixed directions."""
    model = lambda rows: torch.from_numpy(directions) if directions is not None else rows  # noqa: E731
    apply = lambda rows: torch.from_numpy(np.array([A @ v for v in rows.numpy()]))  # noqa: E731
    return float(loss(model, apply, torch.from_numpy(R), torch.from_numpy(E), RNG))


def test_the_losses_of_exact_useless_and_random_directions(torch):
    source, R, E = samples()
    A = source.system.A
    for loss in (ResidualLoss(), EnergyLoss()):
        assert measured(torch, loss, E, R, E, A) == pytest.approx(0, abs=1e-12)
        rng = np.random.default_rng(3)
        Z = rng.standard_normal(R.shape)
        useless = Z - R * (Z * R).sum(1, keepdims=True)
        assert measured(torch, loss, useless, R, E, A) == pytest.approx(1, abs=1e-9)
        any_size = Z * rng.choice([-3.0, 7.0], (5, 1))
        assert measured(torch, loss, any_size, R, E, A) == pytest.approx(measured(torch, loss, Z, R, E, A))
    for seed in range(20):
        Z = np.random.default_rng(seed).standard_normal(R.shape)
        assert 0 <= measured(torch, EnergyLoss(), Z, R, E, A) <= 1


def test_the_energy_loss_is_the_square_of_the_contraction(torch):
    from resolvent.problems.dataset import contraction

    source, R, E = samples(1)
    loss = measured(torch, EnergyLoss(), R.copy(), R, E, source.system.A)
    assert contraction(source.system, np.eye(96), R[0], E[0]) ** 2 == pytest.approx(loss)


def test_the_iterated_loss_is_the_contraction_of_conjugate_gradients(torch):
    from resolvent.problems.dataset import contraction

    source, R, E = samples(1)
    loss = measured(torch, IteratedLoss(steps=4, before=0), None, R, E, source.system.A)
    assert contraction(source.system, np.eye(96), R[0], E[0], steps=4) == pytest.approx(np.exp(loss))


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("grid", [(8, 12), (4, 6, 8)])
@pytest.mark.parametrize("unit_rms", [False, True])
def test_the_published_network_is_the_same_in_torch(torch, size, grid, unit_rms):
    from resolvent.solvers.learned.direction_networks import definition

    network = replace(PublishedNetwork.random(size, len(grid)), unit_rms=unit_rms, training_size=5)
    system = box_residuals(grid).system
    r = np.random.default_rng(0).standard_normal(len(system.b))
    mine = definition(network)(tensors(torch, network.weights), system)(torch.from_numpy(r[None])).numpy()[0]
    true = network.setup(system) @ r
    assert mine == pytest.approx(true, rel=1e-4, abs=1e-5 * float(np.abs(true).max()))


@pytest.mark.parametrize(
    ("grid", "options"),
    [
        ((64, 32), {}),
        ((16, 8, 32), {}),
        ((64, 16), {"boundary": ("neumann", "dirichlet"), "zero_order": 0.1}),
        ((64, 64), {"conductivity": (50 * np.ones((65, 64)), np.ones((64, 65)))}),
    ],
    ids=["2d", "3d", "mixed", "anisotropic"],
)
def test_the_learned_cycle_is_the_same_in_torch(torch, grid, options, monkeypatch):
    from resolvent.solvers.learned.geometry_definition import cycle

    monkeypatch.setattr("resolvent.solvers.linear.hierarchy.SMALL", 300)
    drawn = np.random.default_rng(2)
    weights = {k: 0.4 * drawn.standard_normal(w.shape) for k, w in GeometryNetwork.untrained().weights.items()}
    network = GeometryNetwork(weights=weights)
    k = np.exp(1.5 * drawn.standard_normal(grid))
    system = noise(diffusion(grid, **{"conductivity": k, **options}))
    hierarchy = network.setup(system)
    assert len(hierarchy.levels) > 2
    coarsest = hierarchy.levels[-1].grid.cells
    mine = cycle(tensors(torch, weights), system, coarsest)(torch.from_numpy(system.b[None])).numpy()[0]
    true = hierarchy @ system.b
    assert mine == pytest.approx(true, rel=1e-4, abs=2e-6 * float(np.abs(true).max()))


@pytest.mark.parametrize("problem", ["odd", "periodic", "constant"])
def test_grids_that_cannot_be_trained_on_are_named(torch, problem):
    from resolvent.solvers.learned.geometry_definition import cycle

    grid = (31, 32) if problem == "odd" else (32, 32)
    conductivity = None if problem == "constant" else np.ones(grid)
    boundary = "periodic" if problem == "periodic" else "ghost"
    system = LinearSystem(diffusion(grid, conductivity=conductivity, boundary=boundary), np.zeros(np.prod(grid)))
    with pytest.raises(OptionError, match="the network is trained on grids"):
        cycle(tensors(torch, GeometryNetwork.untrained().weights), system)


def test_the_stencil_is_the_operator(torch):
    from resolvent.solvers.learned.direction_networks import stencil

    A = diffusion((8, 6, 5), conductivity=np.exp(np.random.default_rng(0).standard_normal((8, 6, 5))))
    V = np.random.default_rng(1).standard_normal((3, 240))
    mine = stencil(LinearSystem(A, np.zeros(240)))(torch.from_numpy(V)).numpy()
    assert mine == pytest.approx(np.array([A @ v for v in V]))


def published(grid=(16, 16)):
    source = box_residuals(grid)
    return DirectionDataset((source,), (source,), x0=PublishedNetwork.random(64, 2, rng=1), name="published")


def geometry():
    rng = np.random.default_rng(5)
    sources = [random_residuals((16, 16), rng) for _ in range(6)]
    return DirectionDataset(sources[:4], sources[4:], count=1, steps=10, x0=GeometryNetwork.untrained())


SHORT = DirectionTraining(steps=6, batch=3, check_every=2, own=0.5, own_steps=4)
GEOMETRY = DirectionTraining(steps=6, batch=2, check_every=3, loss=IteratedLoss(steps=2, before=4), learning_rate=1e-2)
NONE = rs.Stop(atol=0, rtol=0)


@pytest.mark.parametrize(
    ("problem", "solver"), [(published, SHORT), (geometry, GEOMETRY)], ids=["published", "geometry"]
)
def test_a_run_that_is_cut_ends_with_the_same_bits(torch, problem, solver, tmp_path):
    whole = rs.solve(problem(), solver, stop=NONE)
    assert whole.status == Status.FINISHED
    assert whole.iterations == 6
    first = rs.solve(problem(), solver, stop=rs.Stop(atol=0, rtol=0, iterations=3))
    path = rs.save_state(first.state, tmp_path / "state")
    rest = rs.solve(problem(), solver, stop=NONE, resume=path)
    for name, w in whole.state.x.weights.items():
        assert (rest.state.x.weights[name] == w).all()
    assert rest.residual == whole.residual
    assert set(whole.history) >= {"loss", "best"}


def test_training_changes_neither_the_start_nor_another_run(torch):
    problem = published()
    before = {name: w.copy() for name, w in problem.x0.weights.items()}
    rs.solve(problem, SHORT, stop=NONE)
    assert all((problem.x0.weights[name] == w).all() for name, w in before.items())


def test_training_reduces_the_error_on_held_out_residuals(torch):
    problem = published()
    first = problem.residual(problem.x0)
    result = rs.solve(problem, DirectionTraining(steps=60, batch=8, check_every=20), stop=NONE, rng=1)
    assert result.residual < 0.85 * first
    assert result.residual == pytest.approx(problem.residual(result.x))


def test_a_network_without_a_definition_is_refused(torch):
    class Other:
        weights = ()

        def setup(self, system, previous=None):
            return np.eye(256)

    with pytest.raises(OptionError, match="network is a Other"):
        rs.solve(published(), SHORT, Other(), stop=NONE)


def test_the_command_trains_writes_and_goes_on(torch, monkeypatch, tmp_path):
    from resolvent.solvers.learned import __main__ as command
    from resolvent.solvers.linear.networks import load_network

    monkeypatch.setitem(command.RECIPES, "published2d", lambda: (published(), SHORT))
    threads = torch.get_num_threads()
    try:
        arguments = ["published2d", "--out", str(tmp_path), "--checkpoint", str(tmp_path / "run")]
        first = load_network(command.main(arguments))
        again = load_network(command.main(arguments))  # the checkpoint is at the end of the run
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "run.npz").exists()
    assert all((again.weights[name] == w).all() for name, w in first.weights.items())
