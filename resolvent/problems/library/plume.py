"""A smoke plume that rises past an obstacle: a small incompressible flow, and its pressure systems.

The unit of length is the extent of the first axis; up is the last one. Smoke lies in cells, velocities on the faces of
cells (a staggered grid), each face with the component across it. One time step::

    carry velocity and smoke along the flow            (semi-Lagrangian: look back along the path, and interpolate)
    lift the velocity where there is smoke             (v += dt * buoyancy * smoke)
    give faces of solids the velocity of the solid
    solve A p = -div v, then v <- v - grad p           (A = -div grad, no flux into solids; p has dt in it)

The first three are `Plume.predict`, the last line is `Plume.project`, and between them stands the solver of whoever
owns the loop. The divergence of the new velocity is then the residual of the pressure system, cell by cell. The walls
at the sides and below are closed; so is the top, or with ``open_top`` the pressure is zero there and the flow leaves.

The scheme is that of J. Stam, Stable fluids, SIGGRAPH 1999, on the grid of F. H. Harlow and J. E. Welch, Physics of
Fluids 8 (1965) 2182-2189.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import cos, pi, sin
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.sparse.linalg import cg

from resolvent.errors import ProblemError
from resolvent.problems.grid_operator import GridOperator, along
from resolvent.problems.grids import diffusion
from resolvent.problems.linear import LinearSystem
from resolvent.typing import Array

__all__ = ["Obstacle", "Plume", "PlumeState", "pressure", "swinging_ball"]

Obstacle = Callable[[float, tuple[Array, ...]], tuple[Array, tuple[float, ...]]]
"""``obstacle(time, centres) -> (solid, velocity)``: which of the cells are solid, and how fast it moves, per axis.

`centres` has the coordinates of the cells' centres for each axis, in shapes that broadcast over the grid.
"""


@dataclass(kw_only=True, eq=False)
class PlumeState:
    """The flow at one time.

    Attributes
    ----------
    time : float
    velocity : tuple of arrays
        For each axis the component along it on the faces across it: one more than cells along this axis.
    smoke : array
        Density in the cells.
    solid : array of bool
        Cells of the obstacle.
    solid_velocity : tuple of float
    """

    time: float
    velocity: tuple[Array, ...]
    smoke: Array
    solid: Array
    solid_velocity: tuple[float, ...]


def swinging_ball(
    centre: tuple[float, ...], radius: float, swing: float = 0.0, period: float = 1.0, axis: int = 0
) -> Obstacle:
    """Return a ball (a disc in two dimensions) that swings along an axis around its centre; at rest for ``swing=0``."""

    def obstacle(time: float, centres: tuple[Array, ...]) -> tuple[Array, tuple[float, ...]]:
        phase = 2 * pi * time / period
        place = [c + swing * sin(phase) * (a == axis) for a, c in enumerate(centre)]
        solid = np.asarray(sum((x - c) ** 2 for x, c in zip(centres, place, strict=True)) < radius**2)
        speed = swing * 2 * pi / period * cos(phase)
        return solid, tuple(speed * (a == axis) for a in range(len(centre)))

    return obstacle


@dataclass(frozen=True, kw_only=True)
class Plume:
    """A plume above a source of smoke, in two or three dimensions.

    Attributes
    ----------
    grid : tuple of int
        Cells along each axis, the last one up.
    dt : float
        Time step.
    buoyancy : float
        Acceleration of smoke of density 1.
    obstacle : callable or None
        See `Obstacle`; `swinging_ball` makes one.
    source : float
        Radius of the ball of smoke of density 1 that is renewed in each step, at half the width and a tenth of the
        first axis above the ground.
    open_top : bool
        Whether the flow may leave through the top. Else it is a closed box, whose pressure systems are singular.

    Examples
    --------
    >>> import resolvent as rs
    >>> from resolvent.problems.library.plume import Plume
    >>> from resolvent.solvers import ConjugateGradient
    >>> plume = Plume(grid=(16, 24))
    >>> state, result = plume.initial(), None
    >>> for _ in range(3):
    ...     state = plume.predict(state)
    ...     result = rs.solve(plume.pressure_system(state), ConjugateGradient(), result, stop=rs.Stop(rtol=1e-8))
    ...     state = plume.project(state, result.x)
    >>> bool(abs(plume.divergence(state)).max() < 1e-7)
    True
    """

    grid: tuple[int, ...] = (64, 96)
    dt: float = 0.02
    buoyancy: float = 4.0
    obstacle: Obstacle | None = field(default=None, compare=False)
    source: float = 0.08
    open_top: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.grid, tuple) or len(self.grid) not in (2, 3) or min(self.grid) < 2:
            raise ProblemError(f"grid is {self.grid!r}, expected two or three extents of at least 2 cells")
        if not 0 < self.dt < np.inf:
            raise ProblemError(f"dt is {self.dt!r}, expected a positive number")

    @property
    def spacing(self) -> float:
        """Width of a cell."""
        return 1 / self.grid[0]

    def initial(self) -> PlumeState:
        """Return air at rest at time 0; only the obstacle moves."""
        velocity = tuple(np.zeros(self._faces(axis)) for axis in range(len(self.grid)))
        solid, speed = self._obstacle(0.0)
        state = PlumeState(time=0.0, velocity=velocity, smoke=np.zeros(self.grid), solid=solid, solid_velocity=speed)
        self._set_solid_faces(state)
        return state

    def predict(self, state: PlumeState) -> PlumeState:
        """Return the flow one dt later but for the pressure: its velocity has a divergence."""
        time = state.time + self.dt
        solid, speed = self._obstacle(time)
        smoke = self._carry(state.smoke, state, None)
        smoke[self._source()] = 1.0
        smoke[solid] = 0.0
        velocity = tuple(self._carry(v, state, axis) for axis, v in enumerate(state.velocity))
        up = len(self.grid) - 1
        inside, head, tail = (along(up + 1, up, part) for part in (slice(1, -1), slice(None, -1), slice(1, None)))
        velocity[up][inside] += self.dt * self.buoyancy * 0.5 * (smoke[head] + smoke[tail])
        new = PlumeState(time=time, velocity=velocity, smoke=smoke, solid=solid, solid_velocity=speed)
        self._set_solid_faces(new)
        return new

    def pressure_operator(self, state: PlumeState) -> GridOperator:
        """Return -div grad around the obstacle as it stands."""
        closed = ("neumann", "neumann")
        top = ("neumann", "dirichlet" if self.open_top else "neumann")
        boundary = (closed,) * (len(self.grid) - 1) + (top,)
        return diffusion(self.grid, spacing=self.spacing, active=~state.solid, boundary=boundary)

    def pressure_system(self, state: PlumeState) -> LinearSystem:
        """Return A p = -div v for the state that `predict` returned.

        Where a part of the flow is closed, the part of the right-hand side that no pressure can balance is removed
        (an obstacle that is pressed into a pocket would have to squeeze the air in it).
        """
        A = self.pressure_operator(state)
        return LinearSystem(A, -self.divergence(state).ravel(), project=True, name="PLUME PRESSURE")

    def project(self, state: PlumeState, pressure: Array) -> PlumeState:
        """Return the state with v - grad p; the faces of solids and closed walls keep their velocity."""
        ndim, p = len(self.grid), pressure.reshape(self.grid)
        velocity = tuple(v.copy() for v in state.velocity)
        for axis, v in enumerate(velocity):
            head, tail, inside = (along(ndim, axis, part) for part in (slice(None, -1), slice(1, None), slice(1, -1)))
            open_faces = ~(state.solid[head] | state.solid[tail])
            v[inside] -= open_faces * (p[tail] - p[head]) / self.spacing
        if self.open_top:
            top = along(ndim, ndim - 1, -1)
            velocity[-1][top] += ~state.solid[top] * p[top] / (self.spacing / 2)
        return PlumeState(
            time=state.time,
            velocity=velocity,
            smoke=state.smoke,
            solid=state.solid,
            solid_velocity=state.solid_velocity,
        )

    def divergence(self, state: PlumeState) -> Array:
        """Return div v in the cells of air, 0 in solids."""
        ndim = len(self.grid)
        total = np.zeros(self.grid)
        for axis, v in enumerate(state.velocity):
            total += v[along(ndim, axis, slice(1, None))] - v[along(ndim, axis, slice(None, -1))]
        total[state.solid] = 0
        return total / self.spacing

    # ---- inside

    def _faces(self, axis: int) -> tuple[int, ...]:
        return tuple(n + (a == axis) for a, n in enumerate(self.grid))

    def _centres(self) -> tuple[Array, ...]:
        return np.ix_(*[(np.arange(n) + 0.5) * self.spacing for n in self.grid])

    def _obstacle(self, time: float) -> tuple[Array, tuple[float, ...]]:
        """Return the cells of the obstacle at a time, and its velocity."""
        if self.obstacle is None:
            return np.zeros(self.grid, bool), (0.0,) * len(self.grid)
        solid, speed = self.obstacle(time, self._centres())
        if np.shape(solid) != self.grid or np.asarray(solid).dtype != np.bool_ or len(speed) != len(self.grid):
            raise ProblemError(
                f"obstacle(time, centres) returned {np.asarray(solid).dtype} of shape {np.shape(solid)} and "
                f"{len(speed)} velocities, expected bool of shape {self.grid} and {len(self.grid)}"
            )
        return solid, speed

    def _source(self) -> Array:
        place = [0.5] + [0.5 * n * self.spacing for n in self.grid[1:-1]] + [0.1]
        found: Array = np.asarray(
            sum((x - c) ** 2 for x, c in zip(self._centres(), place, strict=True)) < self.source**2
        )
        return found

    def _set_solid_faces(self, state: PlumeState) -> None:
        """Give the faces of solid cells their velocity, and closed walls none, in place."""
        ndim = len(self.grid)
        for axis, (v, speed) in enumerate(zip(state.velocity, state.solid_velocity, strict=True)):
            for part in (slice(None, -1), slice(1, None)):
                v[along(ndim, axis, part)][state.solid] = speed
            v[along(ndim, axis, 0)] = 0
            if axis < ndim - 1 or not self.open_top:
                v[along(ndim, axis, -1)] = 0

    def _carry(self, values: Array, state: PlumeState, axis: int | None) -> Array:
        """Return values one dt later on the flow of `state`: cells for ``axis=None``, else the faces of an axis.

        Second-order Runge-Kutta back along the path; linear interpolation, constant beyond the walls.
        """
        step = self.dt / self.spacing
        here = np.indices(values.shape, dtype=float)
        here += 0.5
        if axis is not None:
            here[axis] -= 0.5
        middle = [x - 0.5 * step * v for x, v in zip(here, self._velocity_at(here, state), strict=True)]
        back = [x - step * v for x, v in zip(here, self._velocity_at(middle, state), strict=True)]
        return _interpolate(values, back, axis)

    def _velocity_at(self, points: Any, state: PlumeState) -> list[Array]:
        return [_interpolate(v, points, axis) for axis, v in enumerate(state.velocity)]


def _interpolate(values: Array, points: Any, axis: int | None) -> Array:
    """Return values (of cells, or of the faces of an axis) at points given in cells from the corner of the grid."""
    index = [x if a == axis else x - 0.5 for a, x in enumerate(points)]
    found: Array = map_coordinates(values, index, order=1, mode="nearest")
    return found


def pressure(grid: tuple[int, ...] = (32, 48), steps: int = 10, swing: float = 0.15) -> LinearSystem:
    """Return the pressure system of a plume after some steps, with a ball that swings above the source.

    Parameters
    ----------
    grid : tuple of int
    steps : int
        The system is that of the last one.
    swing : float
        How far the ball moves to either side; 0 for a ball at rest.
    """
    width = [0.5 * n / grid[0] for n in grid[1:-1]]
    ball = swinging_ball((0.5, *width, 0.4), 0.12, swing=swing)
    plume = Plume(grid=tuple(grid), obstacle=ball)
    state = plume.predict(plume.initial())
    for _ in range(steps - 1):
        system = plume.pressure_system(state)
        p, _ = cg(system.A, system.b, rtol=1e-6)
        state = plume.predict(plume.project(state, p))
    return plume.pressure_system(state)
