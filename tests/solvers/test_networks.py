"""Networks: sizes as published, inference against plain NumPy, files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage as ndi
import scipy.sparse as sp

import resolvent as rs
from resolvent import OptionError, ProblemError
from resolvent.problems import LinearSystem
from resolvent.problems.library.poisson import box
from resolvent.solvers import ConjugateGradient, DeepConjugateDirection
from resolvent.solvers.linear.networks import PublishedNetwork, load_network, save_network


def system(*grid):
    n = int(np.prod(grid))
    return LinearSystem(sp.eye_array(n).tocsr(), np.random.default_rng(n).standard_normal(n), spd=True, grid=grid)


def convolution(x, weight, bias):
    """Cross-correlation with zeros around, channel by channel."""
    out = [sum(ndi.correlate(c, k, mode="constant") for c, k in zip(x, w, strict=True)) for w in weight]
    return np.array(out) + bias.reshape(-1, *(1,) * (x.ndim - 1))


def means(x):
    for axis in range(1, x.ndim):
        x = (x.take(range(0, x.shape[axis], 2), axis) + x.take(range(1, x.shape[axis], 2), axis)) / 2
    return x


def enlarged(x):
    for axis in range(1, x.ndim):
        x = x.repeat(2, axis)
    return x


def plain(network, r, grid):
    """The network as the method's description has it."""
    w = {name: np.asarray(value, np.float64) for name, value in network.weights.items()}

    def R(i, x):
        return np.maximum(convolution(x, w[f"layers.{i}.weight"], w[f"layers.{i}.bias"]), 0)

    before, inside, after = network.layers
    x = convolution((r / np.linalg.norm(r)).reshape(1, *grid), w["lift.weight"], w["lift.bias"])
    a = R(0, x)
    for i in range(1, before - 1, 2):
        a = R(i + 1, R(i, a)) + a
    b = R(before - 1, a)
    p = means(b)
    for i in range(before, before + inside, 2):
        p = R(i + 1, R(i, p)) + p
    u = enlarged(p) + b
    for i in range(before + inside, before + inside + after, 2):
        u = R(i + 1, R(i, u)) + u
    return convolution(u, w["project.weight"], w["project.bias"]).reshape(-1)


@pytest.mark.parametrize(
    ("size", "dimensions", "parameters"), [(64, 3, 97_457), (128, 3, 152_881), (64, 2, 32_657), (128, 2, 51_217)]
)
def test_has_as_many_weights_as_published_and_runs(size, dimensions, parameters):
    network = PublishedNetwork.random(size, dimensions)
    assert network.parameters == parameters
    problem = system(*(size,) * dimensions if dimensions == 2 else (16, 8, 12))
    z = network.setup(problem) @ problem.b
    assert z.shape == problem.b.shape
    assert np.isfinite(z).all()
    assert z.any()


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("grid", [(8, 12), (4, 6, 8)])
def test_inference_is_the_network_of_the_paper(size, grid):
    network, problem = PublishedNetwork.random(size, len(grid), rng=3), system(*grid)
    true = plain(network, problem.b, grid)
    mine = network.setup(problem) @ problem.b
    assert mine.dtype == np.float32
    assert mine == pytest.approx(true, rel=1e-4, abs=1e-5 * np.abs(true).max())


def test_work_arrays_keep_no_trace_of_the_last_vector():
    network, problem = PublishedNetwork.random(64, 2), system(8, 8)
    directions = network.setup(problem)
    first = directions @ problem.b
    directions @ np.cos(np.arange(64.0))
    assert (directions @ problem.b == first).all()
    assert network.setup(problem, directions) is directions
    assert network.setup(system(8, 10), directions) is not directions


def test_an_odd_grid_is_embedded_in_the_next_even_one():
    network, problem, larger = PublishedNetwork.random(64, 2), system(7, 5), system(8, 6)
    r = np.zeros((8, 6))
    r[:7, :5] = problem.b.reshape(7, 5)
    embedded = (network.setup(larger) @ r.reshape(-1)).reshape(8, 6)[:7, :5]
    assert network.setup(problem) @ problem.b == pytest.approx(embedded.reshape(-1), rel=1e-6)


def test_the_size_of_the_input_does_not_matter_and_zero_gives_zero():
    network, problem = PublishedNetwork.random(64, 2), system(8, 8)
    directions = network.setup(problem)
    assert directions @ (1e-30 * problem.b) == pytest.approx(directions @ problem.b, rel=1e-5)
    assert not (directions @ np.zeros(64)).any()


def test_unit_rms_gives_entries_as_large_as_in_training():
    network = replace(PublishedNetwork.random(64, 2), training_size=8)
    scaled, small, large = replace(network, unit_rms=True), system(8, 8), system(16, 16)
    assert scaled.setup(small) @ small.b == pytest.approx(network.setup(small) @ small.b, rel=1e-5, abs=1e-7)
    twice = replace(network, weights={**network.weights, "lift.weight": 2 * network.weights["lift.weight"]})
    assert scaled.setup(large) @ large.b == pytest.approx(twice.setup(large) @ large.b, rel=1e-4, abs=1e-6)


def test_a_system_without_a_fitting_grid_is_refused():
    network = PublishedNetwork.random(64, 2)
    for grid in (None, (2, 2, 2)):
        problem = LinearSystem(np.eye(8), np.ones(8), spd=True, grid=grid)
        with pytest.raises(ProblemError, match=r"has the grid .*, expected one of 2 dimensions"):
            network.setup(problem)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimensions": 1}, "dimensions is 1"),
        ({"layers": (4, 5, 4)}, "layers is"),
        ({"training_size": 0}, "training_size is 0"),
        ({"unit_rms": 1}, "unit_rms is 1"),
        ({"weights": {}}, "'lift.weight'.* is missing"),
        ({"dimensions": 3}, "'lift.weight'.* has shape"),
    ],
)
def test_options_are_checked(changes, message):
    with pytest.raises(OptionError, match=message):
        replace(PublishedNetwork.random(64, 2), **changes)


def test_weights_must_be_finite():
    network = PublishedNetwork.random(64, 2)
    bad = {**network.weights, "lift.bias": np.full(16, np.nan)}
    with pytest.raises(OptionError, match=r"'lift.bias'.* contains nan or inf"):
        replace(network, weights=bad)


def test_a_saved_network_comes_back(tmp_path):
    network = replace(PublishedNetwork.random(128, 2), training_size=32, unit_rms=True)
    path = save_network(network, tmp_path / "mine", {"seconds": 3})
    again = load_network(path)
    assert again == network
    assert all((again.weights[name] == w).all() for name, w in network.weights.items())
    assert json.loads(path.with_suffix(".json").read_text())["notes"] == {"seconds": 3}


def test_an_unknown_name_is_named_with_what_there_is():
    with pytest.raises(OptionError, match=r"'publishd2d', expected a path or one of .*did you mean 'published2d'"):
        load_network("publishd2d")


@pytest.mark.parametrize("damage", ["weights", "json", "kind", "format", "missing"])
def test_damaged_files_are_named(tmp_path, damage):
    path = save_network(PublishedNetwork.random(64, 2), tmp_path / "mine")
    facts = path.with_suffix(".json")
    if damage == "weights":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "missing":
        path.unlink()
    elif damage == "json":
        facts.write_text("{")
    else:
        facts.write_text(json.dumps({**json.loads(facts.read_text()), damage: "7"}))
    with pytest.raises(OptionError, match="mine"):
        load_network(path)


@pytest.mark.parametrize(("name", "parameters"), [("published2d", 32_657), ("poisson2d", 242), ("poisson3d", 242)])
def test_the_shipped_networks_load(name, parameters):
    assert load_network(name).parameters == parameters


@pytest.mark.parametrize(("keep", "times"), [(2, 3.5), (10, 4.5)])
def test_the_shipped_network_saves_the_iterations_that_the_manual_says(keep, times):
    problem = box((64, 64))
    plain = rs.solve(problem, ConjugateGradient(), stop=rs.Stop(rtol=1e-8))
    solver = DeepConjugateDirection(network=load_network("published2d"), keep=keep, two_directions=False)
    deep = rs.solve(problem, solver, stop=rs.Stop(rtol=1e-8))
    assert deep.success
    assert deep.history["fallbacks"][-1] == 0
    assert plain.iterations >= times * deep.iterations
