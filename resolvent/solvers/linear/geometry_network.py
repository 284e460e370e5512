"""A network that reads the coefficients of a grid once and corrects its multigrid hierarchy.

The direction for a residual is one multigrid cycle: linear in r, without biases, symmetric positive definite whatever
the weights, at any size and aspect ratio. Two small networks, the same on all levels, see the faces around a cell:

* the first multiplies each fine face that is part of a coarse face by a positive factor: what lies inside the coarse
  cells, a wall or a channel, is no longer forgotten by the coarse matrix;
* the second changes what a fine cell takes from the next coarse cell in interpolation, between nothing and all; the
  transpose restricts.

Both see logarithms of ratios, so that a factor common to all coefficients changes nothing. With their last layer zero
the hierarchy is that of `Multigrid`. So it is for a grid whose faces weigh the same along each axis, or differ by less
than a factor of 4: there a plain cycle has nothing to learn. Elsewhere the networks cost time when the hierarchy is set
up, and nothing in the iteration.

The idea of conditioning on the geometry, with a path for r that is linear, is that of K. W. Lan, E. Gueidon, A. Kaneda,
J. Panetta and J. Teran, A neural-preconditioned Poisson solver for mixed Dirichlet and Neumann boundary conditions,
ICML 2024. What is learned here are the coefficients of a classical cycle, so that it keeps its proofs and its speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod, sqrt
from typing import Any, ClassVar, Self

import numpy as np

from resolvent.errors import ProblemError
from resolvent.kernels import twin
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import is_whole, require
from resolvent.solvers.linear.coarsening import Grid
from resolvent.solvers.linear.hierarchy import Hierarchy, Level, RedBlack
from resolvent.solvers.linear.multigrid import Multigrid
from resolvent.solvers.linear.networks import check_weights
from resolvent.typing import Array

__all__ = ["GeometryNetwork", "LearnedHierarchy", "LearnedMultigrid"]

FEATURES = 4
PARTS = ("faces", "shares")
LEAST_CONTRAST = 4.0


@dataclass(frozen=True, kw_only=True)
class GeometryNetwork:
    """The networks, as options for `DeepConjugateDirection` and `LearnedMultigrid`.

    Parameters
    ----------
    weights : mapping of str to array
        For PART in "faces" and "shares": ``PART.0.weight (4, h)``, ``PART.1.weight (h, h)``, ``PART.2.weight (h, 1)``,
        and their ``.bias``.
    hidden : int
        h.
    """

    kind: ClassVar[str] = "geometry"
    weights: Mapping[str, Array] = field(repr=False, compare=False)
    hidden: int = 8

    def __post_init__(self) -> None:
        require(is_whole(self.hidden, least=1), "hidden", self.hidden, "a whole number >= 1")
        check_weights(self.weights, self.shapes(self.hidden))

    @staticmethod
    def shapes(hidden: int) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of the weights."""
        sizes = (FEATURES, hidden, hidden, 1)
        shapes: dict[str, tuple[int, ...]] = {}
        for part in PARTS:
            for i in range(3):
                shapes[f"{part}.{i}.weight"] = (sizes[i], sizes[i + 1])
                shapes[f"{part}.{i}.bias"] = (sizes[i + 1],)
        return shapes

    @classmethod
    def untrained(cls, hidden: int = 8, rng: int = 0) -> Self:
        """Return the networks that change nothing: random, with a last layer of zeros."""
        generator, weights = np.random.default_rng(rng), {}
        for name, shape in cls.shapes(hidden).items():
            zero = name.endswith("bias") or ".2." in name
            scale = 0.0 if zero else 1 / sqrt(shape[0])
            weights[name] = (scale * generator.standard_normal(shape)).astype(np.float32)
        return cls(weights=weights, hidden=hidden)

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(prod(np.shape(w)) for w in self.weights.values())

    def setup(self, system: LinearSystem, previous: Any = None) -> LearnedHierarchy:
        """Return the hierarchy for `system`; `previous`, one of this network for the same grid, is updated.

        Raises
        ------
        ProblemError
            The system is not on a grid, or its grid cannot be coarsened.
        """
        if not system.on_grid:
            raise ProblemError(f"A is a {type(system.A).__name__}, expected a GridOperator")
        known = isinstance(previous, LearnedHierarchy) and previous.network is self
        if known and previous.shape == (len(system.b),) * 2 and previous.dtype == system.dtype:
            previous.update(system)
            return previous  # type: ignore[no-any-return]
        return LearnedHierarchy(system, self)

    def options(self) -> dict[str, Any]:
        """Return what the JSON file beside the weights says."""
        return {"hidden": self.hidden}

    def part(self, name: str) -> tuple[Array, ...]:
        """Return the weights of one network, as the kernels take them."""
        names = [f"{name}.{i}.{kind}" for i in range(3) for kind in ("weight", "bias")]
        return tuple(np.ascontiguousarray(self.weights[key], np.float32) for key in names)


class LearnedHierarchy(Hierarchy):
    """A multigrid hierarchy whose coarse faces and transfers a `GeometryNetwork` has corrected.

    Attributes
    ----------
    network : GeometryNetwork
    corrected : bool
        Whether the coefficients of this system differ enough for the network to look at them.
    """

    def __init__(self, system: LinearSystem, network: GeometryNetwork) -> None:
        self.network, self.corrected = network, False
        super().__init__(system, RedBlack(), 1)

    def _next(self, level: Level, pairs: Array, before: Grid | None) -> Grid:
        coarse = super()._next(level, pairs, before)
        if level is self.levels[0]:
            self.corrected = level.grid.faces is not None and _contrast(level.grid) >= LEAST_CONTRAST
        if self.corrected:
            self._correct(level, coarse, pairs)
        return coarse

    def _correct(self, level: Level, coarse: Grid, pairs: Array) -> None:
        faces = closed_faces(level.grid)
        for axis in range(3):
            if pairs[axis] and coarse.extents[axis] > 1:
                _write_coarse(coarse, _multiplied(faces, axis, self.network.part("faces")), axis, pairs)
        for axis, s in _learned_shares(faces, pairs, self.network.part("shares")):
            _write_shares(level, axis, s, pairs)


def _contrast(grid: Grid) -> float:
    """Return by what factor the faces between cells differ; closed faces count where there are no solids."""
    assert grid.faces is not None
    least, most = np.inf, 0.0
    for axis, w in enumerate(grid.faces):
        inner = _cut(w, axis, slice(1, -1))
        if inner.size:
            most = max(most, float(inner.max()))
            least = min(least, float(np.min(inner, where=inner > 0, initial=np.inf) if grid.solid else inner.min()))
    return most / least if least > 0 else np.inf


def closed_faces(grid: Grid) -> list[Array]:
    """Return the weights of all faces, float32, those of the ends as they stand in the diagonal."""
    assert grid.faces is not None
    found = []
    for axis, w in enumerate(grid.faces):
        copy = np.array(w, np.float32)
        if not grid.wrap[axis]:
            along = np.moveaxis(copy, axis, 0)
            along[0] *= grid.outer[axis, 0]
            along[-1] *= grid.outer[axis, 1]
        found.append(copy)
    return found


def _sides(w: Array, axis: int) -> tuple[Array, Array]:
    """Return the lower and upper faces of all cells along an axis."""
    n = w.shape[axis] - 1
    return _cut(w, axis, slice(0, n)), _cut(w, axis, slice(1, n + 1))


def _cut(v: Array, axis: int, part: slice) -> Array:
    found: Array = v[(slice(None),) * axis + (part,)]
    return found


def _across(faces: list[Array], axis: int) -> Array:
    """Return the sum of the faces of each cell along the other axes."""
    sides = [side for other, w in enumerate(faces) if other != axis for side in _sides(w, other)]
    total = sides[0] + sides[1]
    for side in sides[2:]:
        total += side
    return total


def _multiplied(faces: list[Array], axis: int, weights: tuple[Array, ...]) -> Array:
    """Return the fine faces between coarse cells along an axis, times the factors of the network."""
    w = faces[axis]
    n = w.shape[axis] - 1
    inside = (n - 1) // 2  # coarse faces that are not ends: fine faces 2, 4, ...
    even = _cut(w, axis, slice(2, 2 * inside + 1, 2))
    left, right = _cut(w, axis, slice(1, 2 * inside, 2)), _cut(w, axis, slice(3, 2 * inside + 2, 2))
    if n % 2:  # the last coarse cell has one fine cell, and nothing inside
        right = np.concatenate(
            [_cut(right, axis, slice(0, inside - 1)), _cut(even, axis, slice(inside - 1, inside))], axis
        )
    rest = _across(faces, axis)
    before, after = _cut(rest, axis, slice(1, 2 * inside, 2)), _cut(rest, axis, slice(2, 2 * inside + 1, 2))
    flat = [np.ascontiguousarray(v).reshape(-1) for v in (even, left, right, before, after)]
    out = np.empty(flat[0].shape, np.float32)
    twin("geometry", "multipliers", "cpu")(*flat, *weights, out)
    found: Array = (out * flat[0]).reshape(even.shape)
    return found


def _write_coarse(coarse: Grid, fine: Array, axis: int, pairs: Array) -> None:
    """Sum the multiplied faces over coarse faces, as `coarsen` sums the plain ones."""
    assert coarse.faces is not None
    for other in range(3):
        if pairs[other] and other != axis:
            fine = _paired(fine, other)
    inner = _cut(coarse.faces[axis], axis, slice(1, -1))
    inner[:] = 0.5 * fine


def _paired(v: Array, axis: int) -> Array:
    """Return the sums of pairs along an axis; the last of an odd number stays alone."""
    total: Array = _cut(v, axis, slice(0, None, 2)).copy()
    second = _cut(v, axis, slice(1, None, 2))
    _cut(total, axis, slice(0, second.shape[axis]))[...] += second
    return total


def _learned_shares(faces: list[Array], pairs: Array, weights: tuple[Array, ...]) -> list[tuple[int, Array]]:
    """Return (axis, shares) for each paired axis, in the order in which restriction takes them: the last axis first."""
    sides = [_sides(w, axis) for axis, w in enumerate(faces)]
    lower, upper = ([side[i] for side in sides] for i in range(2))
    axes = float(max(sum(n > 1 for n in lower[0].shape), 1))
    found = []
    for axis in (2, 1, 0):
        if not pairs[axis]:
            continue
        one, two = (a for a in range(3) if a != axis)
        rest = lower[one] + upper[one]
        rest += lower[two]
        rest += upper[two]
        looked_at = _neighbours(lower[axis], upper[axis], axis)
        flat = [np.ascontiguousarray(v).reshape(-1) for v in (*looked_at, rest)]
        out = np.empty(flat[0].shape, np.float32)
        twin("geometry", "shares", "cpu")(*flat, axes, *weights, out)
        found.append((axis, out.reshape(rest.shape)))
        lower, upper = ([_paired(v, axis) for v in side] for side in (lower, upper))
    return found


def _neighbours(lower: Array, upper: Array, axis: int) -> list[Array]:
    """Return for each fine cell the four faces along the axis that `kernels.geometry.shares` looks at.

    A last cell without a second one is its own partner; at the ends there is no next coarse cell, and the inner face
    stands for what lies beyond.
    """
    found = [np.empty(lower.shape, np.float32) for _ in range(4)]
    lo, up, toward, inner, partner, beyond = (np.moveaxis(v, axis, 0) for v in (lower, upper, *found))
    toward[0::2], toward[1::2] = lo[0::2], up[1::2]
    inner[0::2], inner[1::2] = up[0::2], lo[1::2]
    partner[:], beyond[:] = toward, inner
    whole = len(lo) // 2 * 2
    partner[0:whole:2], partner[1:whole:2] = toward[1:whole:2], toward[0:whole:2]
    last = (len(lo) - 1) // 2 * 2
    beyond[2::2], beyond[1:last:2] = inner[1:last:2], inner[2 : last + 1 : 2]
    return found


def _write_shares(level: Level, axis: int, s: Array, pairs: Array) -> None:
    """Write shares of natural order into the packed transfer weights of a level."""
    assert level.weights is not None
    by_plane, by_row, by_cell = level.weights
    if axis == 2:
        twin("multigrid", "pack", "cpu")(np.ascontiguousarray(s), 1.0, by_cell)
        return
    n1, n2 = s.shape[1:]
    half = (level.grid.extents[2] + 1) // 2
    row = half + 2 if pairs[2] else 2 * half + 2
    if axis == 1:
        for rho in range(2):
            rows = s[:, rho::2]
            stored = by_row[:, rho].reshape(len(s), -1, row)
            stored[:, 1 : 1 + rows.shape[1], 1 : 1 + n2] = rows
        return
    stored = by_plane.reshape(len(s), -1, row)
    first = 0 if level.q.shape[2] == 1 else 1
    stored[:, first : first + n1, 1 : 1 + n2] = s


@dataclass(frozen=True, kw_only=True)
class LearnedMultigrid(Multigrid):
    """Conjugate gradients on the cycle of a `GeometryNetwork`: the solver `Multigrid` with a corrected hierarchy.

    step:
        ``z = M r; p = z + beta p; x += alpha p; r -= alpha A p``, with M a cycle
    cost:
        that of `Multigrid`; a set-up with faces of different weights costs about 20 ns a cell and axis more
    proven:
        M is symmetric positive definite for any weights of the network

    Parameters
    ----------
    network : GeometryNetwork
        As of ``load_network("poisson2d")``.
    smoother : RedBlack
        Gauss-Seidel by colours, which the network was trained with.
    coarse_visits : int
        1.
    full : bool
        Begin with a full multigrid cycle.

    References
    ----------
    Lan, Gueidon, Kaneda, Panetta and Teran, ICML 2024, for the conditioning on geometry; Brandt, Math. Comp. 31 (1977)
    333-390, for the cycle.
    """

    reference: ClassVar[str] = "Lan, Gueidon, Kaneda, Panetta and Teran 2024"
    network: Any = field(compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(isinstance(self.network, GeometryNetwork), "network", self.network, "a GeometryNetwork")
        require(isinstance(self.smoother, RedBlack), "smoother", self.smoother, "RedBlack()")
        require(self.coarse_visits == 1, "coarse_visits", self.coarse_visits, "1")

    def setup(self, system: LinearSystem, previous: Any = None) -> LearnedHierarchy:
        """Return the hierarchy for `system`; `previous`, one of this network for the same grid, is updated."""
        found: LearnedHierarchy = self.network.setup(system, previous)
        return found
