"""The cases on grids: their coefficients, and the smoke plume as a flow."""

from __future__ import annotations

import numpy as np
import pytest

import resolvent as rs
from resolvent import ProblemError
from resolvent.problems.library import load, plume, poisson
from resolvent.problems.library.plume import Plume, swinging_ball
from resolvent.solvers import ConjugateGradient

# ---- Poisson and its relatives


@pytest.mark.parametrize("grid", [(40,), (64, 64), (31, 17), (20, 24, 28)], ids=str)
def test_the_solids_are_two_balls_and_a_box(grid):
    mask = poisson.fluid_cells(grid)
    assert mask.shape == grid
    points = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n for n in grid], indexing="ij"))
    d = len(grid)

    def from_centre(centre):
        return points - np.array(centre[:d]).reshape(-1, *[1] * d)

    small = (from_centre((0.30, 0.35, 0.40)) ** 2).sum(0) <= 0.12**2
    large = (from_centre((0.70, 0.60, 0.55)) ** 2).sum(0) <= 0.17**2
    half = np.array((0.10, 0.06, 0.15)[:d]).reshape(-1, *[1] * d)
    inside = (np.abs(from_centre((0.35, 0.75, 0.60))) < half).all(0)
    assert np.array_equal(mask, ~(small | large | inside))
    assert 0.3 < mask.mean() < 1


def test_the_right_hand_side_is_the_noise_of_the_baseline():
    system = poisson.obstacles((30, 20))
    expected = np.random.default_rng(0).standard_normal((30, 20)) * poisson.fluid_cells((30, 20))
    assert np.array_equal(system.b, expected.ravel())
    assert not np.array_equal(poisson.obstacles((30, 20), seed=1).b, system.b)
    assert (poisson.box((5, 5)).A.diagonal() == 4).all()


def test_walls_without_a_pressure_make_singular_systems():
    system = poisson.obstacles((30, 20), boundary="neumann")
    assert not system.infeasible
    assert len(system.null_space.sizes) == 1
    assert abs(system.b.sum()) < 1e-12


def test_the_heat_step_is_the_box_and_the_time():
    step = poisson.heat_step((8, 9), dt=0.01, solids=False)
    u = np.sin(np.arange(72))
    assert step.A @ u == pytest.approx(poisson.box((8, 9)).A @ u + 100 * u)
    assert poisson.heat_step((8, 9)).A.active is not None
    with pytest.raises(ProblemError, match="dt is 0, expected a positive number"):
        poisson.heat_step((8, 9), dt=0)


def conductivities(system):
    """The ghost walls along axis 0 show the conductivity of the first and the last row."""
    return np.unique(system.A.faces[0][[0, -1]])


def test_blocks_are_random_and_square():
    system = poisson.blocks((64, 96), high=1e4, width=16)
    walls = system.A.faces[0][0]
    assert set(np.unique(walls)) == {1, 1e4}
    assert (walls.reshape(6, 16) == walls[::16, None]).all()
    assert np.array_equal(conductivities(system), [1, 1e4])
    assert poisson.blocks((5, 5, 5), width=3).grid == (5, 5, 5)


def test_layers_alternate():
    for axis in (0, 1):
        across = poisson.layers((32, 33), high=10.0, width=4, axis=axis).A.face_weights(axis)
        inside = np.moveaxis(across, axis, 0)[1:-1]
        expected = np.where(np.arange(32 + axis) // 4 % 2 == 1, 10.0, 1.0)
        mean = 2 / (1 / expected[1:] + 1 / expected[:-1])
        assert np.allclose(inside, mean[:, None])
    with pytest.raises(ProblemError, match=r"axis is 2, expected one of \[0, 1\]"):
        poisson.layers((4, 4), axis=2)


def test_channels_are_one_cell_wide_and_cross():
    k = poisson.channels((32, 32), every=16).A.faces[0][0]  # the walls: lines along axis 0 end there
    assert np.flatnonzero(k == 1e4).tolist() == [8, 24]
    corner = poisson.channels((32, 32, 32), every=16).A.faces[0][0]
    assert np.argwhere(corner == 1e4).tolist() == [[8, 8], [8, 24], [24, 8], [24, 24]]
    assert poisson.channels((32,)).A.faces[0][9] == pytest.approx(2e4 / 10001)


def test_anisotropy_is_along_its_axis():
    assert poisson.anisotropic((4, 5, 6), ratio=100.0, axis=1).A.faces == (1.0, 100.0, 1.0)
    with pytest.raises(ProblemError, match="axis is -1"):
        poisson.anisotropic((4, 5), axis=-1)


@pytest.mark.parametrize("name", ["box", "obstacles", "heat_step", "blocks", "layers", "channels", "anisotropic"])
def test_any_grid_and_wrong_ones(name):
    make = getattr(poisson, name)
    assert make([7, 5]).grid == (7, 5)
    with pytest.raises(ProblemError, match="expected one to three whole numbers"):
        make((2, 2, 2, 2))
    with pytest.raises(ProblemError, match="an extent of the grid is 0, expected a whole number >= 1"):
        make((4, 0))


# ---- the plume


def run(plume_, steps, rtol=1e-9):
    """Yield the state after each step, with the pressure system that was solved."""
    state, result = plume_.initial(), None
    for _ in range(steps):
        predicted = plume_.predict(state)
        system = plume_.pressure_system(predicted)
        result = rs.solve(system, ConjugateGradient(), result, stop=rs.Stop(rtol=rtol))
        assert result.success
        state = plume_.project(predicted, result.x)
        yield state, system, result


BALL = swinging_ball((0.5, 0.5), 0.15, swing=0.2, period=0.8)
BALL3 = swinging_ball((0.5, 0.5, 0.5), 0.2, swing=0.2, period=0.8)
IDS = ["open", "closed and moving", "at rest", "three axes", "three axes, closed"]
PLUMES = [
    Plume(grid=(24, 32)),
    Plume(grid=(24, 32), obstacle=BALL, open_top=False),
    Plume(grid=(23, 31), obstacle=swinging_ball((0.5, 0.5), 0.15)),
    Plume(grid=(12, 10, 14), obstacle=BALL3, source=0.2),
    Plume(grid=(12, 10, 14), obstacle=BALL3, source=0.2, open_top=False),
]


@pytest.mark.parametrize("flow", PLUMES, ids=IDS)
def test_the_divergence_is_the_residual(flow):
    moved = 0.0
    for state, system, result in run(flow, 6):
        divergence = flow.divergence(state)
        assert np.abs(divergence).max() <= 2e-9 * system.scale()
        if not system.null_space:
            assert divergence.ravel() == pytest.approx(system.A @ result.x - system.b, abs=1e-12 * system.scale())
        moved = max(moved, *(np.abs(v).max() for v in state.velocity))
    assert moved > 0.1


@pytest.mark.parametrize("flow", PLUMES, ids=IDS)
def test_no_air_is_lost(flow):
    """What leaves through the top is what the walls let in: nothing. Closed boxes have no flux at all."""
    for state, _, _ in run(flow, 4):
        for axis, v in enumerate(state.velocity):
            ends = np.moveaxis(v, axis, 0)[[0, -1]]
            if axis == len(flow.grid) - 1 and flow.open_top:
                assert abs(ends[1].sum()) <= 1e-7
                ends = ends[:1]
            assert not ends.any()


@pytest.mark.parametrize("flow", PLUMES[1:], ids=IDS[1:])
def test_nothing_leaks_into_a_moving_obstacle(flow):
    for state, _, _ in run(flow, 6):
        assert state.solid.any()
        assert not state.smoke[state.solid].any()
        for axis, (v, speed) in enumerate(zip(state.velocity, state.solid_velocity, strict=True)):
            faces, solid = np.moveaxis(v, axis, 0), np.moveaxis(state.solid, axis, 0)
            assert (faces[:-1][solid] == speed).all()
            assert (faces[1:][solid] == speed).all()


def test_the_ball_swings():
    centres = np.ix_(*[(np.arange(40) + 0.5) / 40] * 2)
    for time in (0.0, 0.2, 0.6):
        solid, speed = BALL(time, centres)
        place = 0.5 + 0.2 * np.sin(2 * np.pi * time / 0.8)
        assert np.argwhere(solid).mean(0) == pytest.approx([place * 40 - 0.5, 19.5])
        later = BALL(time + 1e-3, centres)[1]
        assert speed[1] == 0
        assert abs(speed[0] - later[0]) < 0.02
    assert BALL(0.0, centres)[1][0] == pytest.approx(0.2 * 2 * np.pi / 0.8)


def test_smoke_rises():
    heights = []
    for state, _, _ in run(Plume(grid=(24, 32), buoyancy=8.0), 25, rtol=1e-4):
        heights.append((state.smoke.sum(0) * np.arange(32)).sum() / state.smoke.sum())
        assert state.smoke.min() >= 0
        assert state.smoke.max() <= 1
    assert heights[-1] > heights[0] + 1.5


def test_a_flow_that_is_uniform_is_carried_as_it_is():
    """Semi-Lagrangian steps keep constants, and shift a profile by what it moves."""
    flow = Plume(grid=(32, 32), dt=1 / 32, buoyancy=0.0, source=0.01)
    state = flow.initial()
    state.velocity[0][:] = 1.0
    state.smoke[10:14] = 0.5
    carried = flow.predict(state)
    assert carried.smoke[11:15] == pytest.approx(0.5)
    assert not carried.smoke[:11].any()
    assert (carried.velocity[0][1:-1] == 1).all()


def test_a_state_is_not_changed():
    flow = PLUMES[1]
    state = flow.initial()
    kept = [v.copy() for v in state.velocity], state.smoke.copy()
    after = flow.predict(state)
    assert all(np.array_equal(a, b) for a, b in zip(state.velocity, kept[0], strict=True))
    assert np.array_equal(state.smoke, kept[1])
    before = [v.copy() for v in after.velocity]
    flow.project(after, np.arange(24.0 * 32))
    assert all(np.array_equal(a, b) for a, b in zip(after.velocity, before, strict=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"grid": (8,)}, r"grid is \(8,\), expected two or three extents"),
        ({"grid": (8, 1)}, r"grid is \(8, 1\), expected two or three extents"),
        ({"dt": 0.0}, "dt is 0.0, expected a positive number"),
    ],
)
def test_wrong_plumes_are_refused(options, said):
    with pytest.raises(ProblemError, match=said):
        Plume(**options)


def test_wrong_obstacles_are_refused():
    flow = Plume(grid=(8, 8), obstacle=lambda time, centres: (np.ones(3, bool), (0.0, 0.0)))
    with pytest.raises(ProblemError, match=r"obstacle\(time, centres\) returned bool of shape \(3,\)"):
        flow.initial()
    full = Plume(grid=(8, 8), obstacle=lambda time, centres: (np.ones((8, 8), bool), (0.0, 0.0)))
    with pytest.raises(ProblemError, match="active is False everywhere"):
        full.pressure_system(full.initial())


def test_the_pressure_systems_of_the_catalogue():
    system = load("plume pressure")
    assert (system.name, system.grid, system.infeasible) == ("PLUME PRESSURE", (32, 48), "")
    assert system.A.active is not None
    assert np.abs(system.b).max() > 0
    assert plume.pressure((12, 10, 14), steps=2, swing=0.0).grid == (12, 10, 14)
