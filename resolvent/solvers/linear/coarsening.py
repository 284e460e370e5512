"""Cell-centred coarsening of a grid: which axes, and what the coefficients of the coarse grid are.

Where two cells along an axis become one, with s axes coarsened at once:

* The weight of a coarse face is the sum of the weights of the fine faces in it, halved along a coarsened axis: twice
  the distance. (The matrix is scaled like P^T A P, P the interpolation.)
* An outer Dirichlet face keeps the weight it would have at one cell's distance, and the distance d of the zero from the
  centre of the outermost cell, in cells. Coarsening maps d to (d + 1/2) / 2, at the upper end of an odd axis to
  (d - 1/2) / 2. So the zero stays where it is.
* alpha is summed.

An axis is coarsened where its faces weigh at least half of those along the strongest axis that can be: after few levels
the couplings are alike in all directions, and a point smoother serves (semicoarsening). A periodic axis keeps an
even number of cells, so that two colours go around it.

Sources: W. L. Briggs, V. E. Henson and S. F. McCormick, A multigrid tutorial, second edition (SIAM, 2000), chapter 7,
for semicoarsening; P. Wesseling, Cell-centered multigrid for interface problems, Journal of Computational Physics 79
(1988) 85-91, for cell-centred coarsening.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from resolvent.kernels import twin
from resolvent.parallel import in_parts
from resolvent.problems.grid_operator import AXES, GridOperator
from resolvent.typing import Array

__all__ = ["Grid", "read_grid"]

DISTANCE = {"dirichlet": 0.5, "ghost": 1.0, "neumann": 1.0, "periodic": 1.0}
"""Where the zero of a wall stands, in cells from the centre of the outermost cell."""

NEAREST = 0.125  # a wall through the centre of a coarse cell is held this far away


@dataclass(eq=False)
class Grid:
    """A diffusion operator in the three axes of the kernels.

    Attributes
    ----------
    extents : tuple of int
        Cells along each of three axes; 1 where the problem has fewer.
    active : array (n0, n1, n2) of uint8
        1 where there is an unknown.
    wrap : array (3,) of bool
    grounded : array (3, 2) of bool
        Whether the ends are Dirichlet walls.
    distance : array (3, 2)
        Of the zero behind a Dirichlet wall.
    c : array (3,)
        Weights of the faces along each axis where `faces` is None.
    outer : array (3, 2)
        Weights of the ends where `faces` is None; else by what the ends of `faces` are multiplied for their weights.
    faces : tuple of arrays or None
        Weights, (n0 + 1, n1, n2), (n0, n1 + 1, n2), (n0, n1, n2 + 1).
    sink : array (n0, n1, n2) or None
        alpha.
    solid : bool
        Whether some cells are not active.
    """

    extents: tuple[int, int, int]
    active: Array
    wrap: Array
    grounded: Array
    distance: Array
    c: Array
    outer: Array
    faces: tuple[Array, Array, Array] | None
    sink: Array | None
    solid: bool

    @property
    def cells(self) -> int:
        return prod(self.extents)

    def strengths(self) -> Array:
        """Return the mean weight of the faces between cells along each axis, (3,)."""
        if self.faces is None:
            return np.where(np.array(self.extents) > 1, self.c, 0.0)
        means = np.zeros(3)
        for axis, weights in enumerate(self.faces):
            inner = weights[tuple(slice(1, -1) if a == axis else slice(None) for a in range(3))]
            open_faces = np.count_nonzero(inner)
            means[axis] = inner.sum(dtype=np.float64) / open_faces if open_faces else 0.0
        return means

    def pairs(self) -> Array:
        """Return along which axes cells are paired, (3,) bool; nowhere: the grid is not to be coarsened.

        Where an axis that cannot be paired is by far the strongest, pairing others makes it worse.
        """
        extents = np.array(self.extents)
        able = (extents > 1) & ~(self.wrap & (extents % 4 != 0) & (extents != 2))
        strengths = self.strengths()
        strength = np.where(able, strengths, 0.0)
        most = strength.max()
        if most == 0 or strengths.max() > 2 * most:
            return np.zeros(3, bool)
        found: Array = (strength >= 0.5 * most) & able
        return found

    def coarser(self, pairs: Array, previous: Grid | None = None) -> Grid:
        """Return the grid with cells paired along the axes `pairs`; arrays of `previous` are used again."""
        extents = tuple((n + 1) // 2 if pair else n for n, pair in zip(self.extents, pairs, strict=True))
        even = all(n % 2 == 0 for n, pair in zip(self.extents, pairs, strict=True) if pair)
        distance = self.distance.copy()
        for axis in np.flatnonzero(pairs):
            odd = self.extents[axis] % 2
            distance[axis] = (distance[axis] + np.array([0.5, -0.5 if odd else 0.5])) / 2
        distance = np.maximum(distance, NEAREST)
        if self.faces is None and not self.solid and self.sink is None and even:
            return self._constant(extents, pairs, distance)
        return self._general(extents, pairs, distance, previous)

    def _constant(self, extents: Any, pairs: Array, distance: Array) -> Grid:
        growth = 2.0 ** pairs.sum() / np.where(pairs, 4.0, 1.0)
        wrap = self.wrap & (np.array(extents) > 1)
        closed = self.wrap & ~wrap  # one cell is left, and would be its own neighbour
        return Grid(
            extents=extents,
            active=np.ones(extents, np.uint8),
            wrap=wrap,
            grounded=self.grounded,
            distance=distance,
            c=np.where(np.array(extents) > 1, self.c * growth, 0.0),
            outer=np.where(closed[:, None], 0.0, self.outer * (self.distance / distance) * growth[:, None]),
            faces=None,
            sink=None,
            solid=False,
        )

    def _general(self, extents: Any, pairs: Array, distance: Array, previous: Grid | None) -> Grid:
        reuse = previous is not None and previous.extents == extents and previous.faces is not None
        faces: tuple[Array, ...] | None
        if reuse and previous is not None and (previous.sink is None) == (self.sink is None):
            faces, active, sink = previous.faces, previous.active, previous.sink
        else:
            faces = tuple(np.zeros([n + (a == b) for b, n in enumerate(extents)], np.float32) for a in range(3))
            active = np.zeros(extents, np.uint8)
            sink = None if self.sink is None else np.zeros(extents, np.float32)
        assert faces is not None
        coarsen, outer = twin("multigrid", "coarsen", "cpu"), self.outer * self.distance
        given = self.faces, self.active, self.c, outer, self.wrap, self.sink, pairs
        in_parts(lambda lo, hi: coarsen(*given, *faces, active, sink, lo, hi), extents[0], self.cells)
        wrap = self.wrap & (np.array(extents) > 1)
        for axis in np.flatnonzero(self.wrap & ~wrap):  # one cell is left, and would be its own neighbour
            faces[axis][:] = 0
        return Grid(
            extents=extents,
            active=active,
            wrap=wrap,
            grounded=self.grounded,
            distance=distance,
            c=np.zeros(3),
            outer=1 / distance,
            faces=faces,  # type: ignore[arg-type]
            sink=sink,
            solid=self.solid,
        )

    def edges(self) -> Array:
        """Return what interpolation sees beyond the ends, as a multiple of the outermost value, (3, 2).

        1 where there is no flux; the line through the zero behind a Dirichlet wall.
        """
        return np.where(self.grounded, 1 - 1 / self.distance, 1.0).astype(np.float32)

    def matrix(self, place: Array) -> tuple[Array, Array, Array]:
        """Return rows, columns and entries of the lower triangle, with cell (i, j, k) numbered ``place[i, j, k]``."""
        diagonal = np.zeros(self.extents)
        if self.sink is not None:
            diagonal += self.sink
        rows, columns, entries = [place.ravel()], [place.ravel()], [diagonal]
        for axis in range(3):
            weights = self._weights(axis)
            below = np.moveaxis(weights, axis, 0)[:-1]
            above = np.moveaxis(weights, axis, 0)[1:]
            numbers = np.moveaxis(place, axis, 0)
            along = np.moveaxis(diagonal, axis, 0)
            if self.extents[axis] > 1 or not self.wrap[axis]:
                along += below + above
            joined = slice(None) if self.wrap[axis] else slice(1, None)
            here, there = numbers[joined].ravel(), np.roll(numbers, 1, axis=0)[joined].ravel()
            rows.append(np.maximum(here, there))
            columns.append(np.minimum(here, there))
            entries.append(-below[joined])
        return np.concatenate(rows), np.concatenate(columns), np.concatenate([e.ravel() for e in entries])

    def _weights(self, axis: int) -> Array:
        """Return the weights of all faces along an axis in float64."""
        ends = [tuple(end if a == axis else slice(None) for a in range(3)) for end in (0, -1)]
        if self.faces is not None:
            weights = self.faces[axis].astype(np.float64)
            if not self.wrap[axis]:
                for end, factor in zip(ends, self.outer[axis], strict=True):
                    weights[end] *= factor
            return weights
        weights = np.full([n + (a == axis) for a, n in enumerate(self.extents)], self.c[axis])
        for end, wall in zip(ends, self.outer[axis], strict=True):
            weights[end] = wall
        beside = np.moveaxis(self.active, axis, 0)
        ends_at = (-1, 0) if self.wrap[axis] else (0, -1)
        thick = np.concatenate([beside[[ends_at[0]]], beside, beside[[ends_at[1]]]])
        masked: Array = weights * np.moveaxis(thick[:-1] & thick[1:], 0, axis)
        return masked


def read_grid(A: GridOperator) -> Grid:
    """Return the finest grid of a hierarchy for A."""
    axes = AXES[len(A.grid)]
    extents = [1, 1, 1]
    for axis, n in zip(axes, A.grid, strict=True):
        extents[axis] = n
    shape = (extents[0], extents[1], extents[2])
    wrap, grounded = np.zeros(3, bool), np.zeros((3, 2), bool)
    distance, c, outer = np.ones((3, 2)), np.zeros(3), np.zeros((3, 2))
    for own, axis in enumerate(axes):
        wrap[axis] = A.wraps(own)
        distance[axis] = [DISTANCE[word] for word in A.conditions[own]]
        grounded[axis] = [word in ("dirichlet", "ghost") for word in A.conditions[own]]
        if A.constant:
            c[axis] = A.faces[own] if shape[axis] > 1 else 0.0
            outer[axis] = A.walls[own]
    faces = None
    if not A.constant:
        outer[:] = 1.0
        given = dict(zip(axes, A.faces, strict=True))
        across = [tuple(n + (a == b) for b, n in enumerate(shape)) for a in range(3)]
        faces = tuple(given[a].reshape(e) if a in given else np.zeros(e, A.dtype) for a, e in enumerate(across))
    sink = None
    if isinstance(A.zero_order, np.ndarray) or A.zero_order > 0:
        sink = np.broadcast_to(np.asarray(A.zero_order, np.float32), A.grid).reshape(shape).copy()
    active = np.ones(shape, np.uint8) if A.active is None else A.active.reshape(shape).view(np.uint8)
    return Grid(
        extents=shape,
        active=active,
        wrap=wrap,
        grounded=grounded,
        distance=distance,
        c=c,
        outer=outer,
        faces=faces,  # type: ignore[arg-type]
        sink=sink,
        solid=A.active is not None,
    )
