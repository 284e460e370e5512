"""Hierarchy: the levels of a geometric multigrid cycle, set up for one operator on a grid.

All levels are stored packed, in float32: see ``resolvent.kernels.reference.multigrid`` for the layout. How the grids
are coarsened is in `coarsening`.

Interpolation is linear between cell centres, 3/4 and 1/4, where all faces along an axis weigh the same. Coarse cells
without unknown that touch one with an unknown are filled with the mean of those first (and the transpose of this in
restriction). Where the weights of faces differ, a fine cell takes the share

    w / (2 max(w + w', t / a))

from the next coarse cell, with w the weight of its face on that side, w' on the other, t the sum over its faces, a the
number of axes; this is 1/4 for equal weights, nothing through a closed face, and nothing across a weak face from a cell
that is tied more strongly elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import LinearOperator

from resolvent.errors import ProblemError
from resolvent.kernels import twin
from resolvent.parallel import in_parts
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import is_number, is_whole, require
from resolvent.solvers.linear.coarsening import Grid, read_grid
from resolvent.typing import Array

__all__ = ["Chebyshev", "Hierarchy", "Level", "RedBlack"]

SMALL = 65_536
"""The coarsest grid is solved by a Cholesky factor of at most this many entries, where coarsening gets there."""

SHARE = 4
"""With weights of faces, the factor may have a SHARE-th as many entries as there are cells: structures that are wide on
the finest grid are a few cells wide there, and are better not averaged over."""

LARGE = 4_000_000
"""More entries are refused."""

DEEP = 3
"""Grids this far down are visited twice: in two dimensions it saves an iteration in ten, for a few per cent more."""

NOTHING = np.zeros((0, 0, 0, 0), np.float32)


@dataclass(frozen=True)
class RedBlack:
    """Gauss-Seidel by colours: red then black on the way down, black then red on the way up."""


@dataclass(frozen=True)
class Chebyshev:
    """Chebyshev polynomial in the matrix scaled by its diagonal, on the upper part of the spectrum.

    Parameters
    ----------
    degree : int
    lowest : float
        The part of the largest eigenvalue, for which 2 is a bound, where damping begins.
    """

    degree: int = 2
    lowest: float = 0.25

    def __post_init__(self) -> None:
        require(is_whole(self.degree, least=1), "degree", self.degree, "a whole number >= 1")
        known = is_number(self.lowest, above=0) and self.lowest < 1
        require(known, "lowest", self.lowest, "a number above 0 and below 1")


@dataclass(eq=False)
class Level:
    """One grid of a hierarchy, packed.

    Attributes
    ----------
    grid : Grid
    c : array (3,)
        Weights along the axes, float32.
    faces : tuple of arrays or None
        Weights of the lower faces of cells.
    q : array
        1 / diagonal, 0 where there is no unknown.
    extra : array
        What is needed of the diagonal beside the faces.
    b, z : array
        Right-hand side and result of a cycle.
    pairs, edges, weights
        How the next level is reached: see the module. None on the last one.
    filled : tuple of arrays or None
        Cells of this level to be filled, where their sources begin, and the sources.
    """

    grid: Grid
    c: Array
    faces: tuple[Array, Array, Array] | None
    q: Array
    extra: Array
    b: Array
    z: Array
    pairs: Array | None = None
    edges: Array | None = None
    weights: tuple[Array, Array, Array] | None = None
    filled: tuple[Array, Array, Array] | None = None


class Hierarchy(LinearOperator):  # type: ignore[misc]
    """The levels of a multigrid cycle for one system: ``hierarchy @ r`` is one cycle from zero.

    A symmetric positive definite approximation of the inverse, on the active cells of the grid. A SciPy LinearOperator.
    Work is in float32, vectors come and go in the dtype of the system.

    Parameters
    ----------
    system : LinearSystem
        Its A is a GridOperator.
    smoother : RedBlack or Chebyshev
    coarse_visits : int
        Cycles on the next coarser level in one cycle: 1 is a V-cycle, 2 a W-cycle.

    Raises
    ------
    ProblemError
        The system is not on a grid; a periodic axis has an odd number of cells, or so few factors of two that the grid
        cannot be coarsened far enough.
    """

    def __init__(self, system: LinearSystem, smoother: RedBlack | Chebyshev, coarse_visits: int) -> None:
        n = len(system.b)
        super().__init__(np.dtype(system.dtype), (n, n))
        self.smoother, self.coarse_visits = smoother, coarse_visits
        self.levels: list[Level] = []
        self.updates = 0
        self.update(system)

    # ---- set-up

    def update(self, system: LinearSystem) -> Hierarchy:
        """Set up for another system on the same grid; arrays are used again. Returns itself."""
        if not system.on_grid:
            raise ProblemError(f"A is a {type(system.A).__name__}, expected a GridOperator")
        old = self.levels
        grid = read_grid(system.A)
        for axis, extent in enumerate(grid.extents):
            if grid.wrap[axis] and extent % 2:
                raise ProblemError(
                    f"a periodic axis has {extent} cells, an odd number: two colours cannot go around it"
                )
        self.levels = []
        enough = SMALL if grid.faces is None else max(SMALL, grid.cells // SHARE)
        while True:
            at = len(self.levels)
            before = old[at] if at < len(old) and old[at].grid.extents == grid.extents else None
            level = _level(grid, before)
            self.levels.append(level)
            pairs = grid.pairs()
            if _factor_size(grid) <= enough or not pairs.any():
                break
            grid = self._next(level, pairs, old[at + 1].grid if at + 1 < len(old) else None)
        if _factor_size(grid) > LARGE:
            raise ProblemError(
                f"the grid {grid.extents} cannot be coarsened: a periodic axis needs an extent with many factors of two"
            )
        self._factor(grid)
        self._mark_filled()
        self.updates += 1
        return self

    def _next(self, level: Level, pairs: Array, before: Grid | None) -> Grid:
        """Write into `level` how the next grid is reached, and return that grid."""
        grid = level.grid
        coarse = grid.coarser(pairs, before)
        same = level.pairs is not None and (level.pairs == pairs).all()
        level.pairs, level.edges = pairs, coarse.edges()
        if grid.faces is None:
            level.weights = None
            return coarse
        level.edges = np.zeros((3, 2), np.float32)
        if not same or level.weights is None:
            level.weights = _weights_for(level, pairs)
        transfer = twin("multigrid", "transfer_weights", "cpu")
        given = grid.faces, grid.active, grid.outer, grid.wrap, pairs, *level.weights
        in_parts(lambda lo, hi: transfer(*given, lo, hi), grid.extents[0], grid.cells)
        return coarse

    def _mark_filled(self) -> None:
        lists = twin("multigrid", "fill_lists", "cpu")
        for fine, coarse in zip(self.levels, self.levels[1:], strict=False):
            coarse.filled = None
            if fine.weights is None and coarse.grid.solid:
                found = lists(coarse.grid.active)
                coarse.filled = found if len(found[0]) else None

    def _factor(self, grid: Grid) -> None:
        """Factor the matrix of the coarsest grid."""
        place = _numbering(grid)
        rows, columns, entries = grid.matrix(place)
        width = int((rows - columns).max(initial=0))
        band = np.zeros((grid.cells, width + 1))
        np.add.at(band, (rows, width - rows + columns), entries)
        twin("multigrid", "band_factor", "cpu")(band)
        self.band = band.astype(np.float32)
        flat = np.zeros(self.levels[-1].b.shape, np.float32)
        twin("multigrid", "pack", "cpu")(place.astype(np.float32) + 1, 1.0, flat)
        self.where = np.zeros(grid.cells, np.int64)
        position = np.flatnonzero(flat.ravel())
        self.where[flat.ravel()[position].astype(np.int64) - 1] = position

    # ---- cycles

    def cycle(self, b: Array, z: Array) -> float:
        """Write one cycle for the packed b into z and return their inner product."""
        return self._cycle(0, b, z)

    def _cycle(self, at: int, b: Array, z: Array) -> float:
        level = self.levels[at]
        if at == len(self.levels) - 1:
            twin("multigrid", "band_solve", "cpu")(self.band, self.where, b, z)
            return float(np.dot(b.ravel(), z.ravel())) if at == 0 else 0.0
        if isinstance(self.smoother, Chebyshev):
            return self._chebyshev_cycle(at, self.smoother, b, z)
        coarse = self.levels[at + 1]
        extents = level.grid.extents
        to_coarse = (extents, level.pairs, level.grid.wrap, level.edges, level.weights)
        down, up = twin("multigrid", "down_leg", "cpu"), twin("multigrid", "up_leg", "cpu")

        def descend(lo: int, hi: int) -> None:
            down(b, level.q, level.c, level.faces, *to_coarse, coarse.b, coarse.grid.extents, lo, hi)

        def ascend(lo: int, hi: int) -> float:
            product: float = up(
                b, level.q, level.c, level.faces, *to_coarse, coarse.z, coarse.grid.extents, z, lo, hi
            )  # fmt: skip
            return product

        in_parts(descend, coarse.grid.extents[0], level.grid.cells)
        self._coarse_correction(at + 1)
        return float(sum(in_parts(ascend, extents[0], level.grid.cells)))

    def _coarse_correction(self, at: int) -> None:
        """Solve, roughly, on a coarser level for its b; the result is its z, ready to be interpolated."""
        level = self.levels[at]
        if level.filled is not None:
            twin("multigrid", "spread", "cpu")(level.b, *level.filled)
        self._cycle(at, level.b, level.z)
        for _ in range(self._visits(at) - 1):
            level.z += self._again(at, level.b, level.z)
        if level.filled is not None:
            twin("multigrid", "fill", "cpu")(level.z, *level.filled)

    def _visits(self, at: int) -> int:
        """Return how often a grid is visited in one cycle of the next finer one; a second time where that is cheap."""
        if at == len(self.levels) - 1:
            return 1
        cheap = at >= DEEP and 4 * self.levels[at].grid.cells <= self.levels[at - 1].grid.cells
        return max(self.coarse_visits, 2 if cheap else 1)

    def _again(self, at: int, b: Array, z: Array) -> Array:
        """Return the cycle for what z leaves of b."""
        left = b - self._product(at, z)
        correction = np.zeros_like(z)
        self._cycle(at, left, correction)
        return correction

    def _chebyshev_cycle(self, at: int, smoother: Chebyshev, b: Array, z: Array) -> float:
        coarse = self.levels[at + 1]
        z[:] = self._polynomial(at, smoother, b)
        self._restrict(at, b - self._product(at, z))
        self._coarse_correction(at + 1)
        z += self._interpolated(at, coarse.z)
        z += self._polynomial(at, smoother, b - self._product(at, z))
        return float(np.dot(b.ravel(), z.ravel())) if at == 0 else 0.0

    def _polynomial(self, at: int, smoother: Chebyshev, b: Array) -> Array:
        """Return the Chebyshev iterate for A u = b from zero (Saad, Iterative methods, 2003, algorithm 12.1)."""
        level = self.levels[at]
        center, radius = 1 + smoother.lowest, 1 - smoother.lowest
        d = level.q * b * np.float32(1 / center)
        u, r = d.copy(), b.copy()
        update = twin("multigrid", "chebyshev", "cpu")
        rho = radius / center
        for _ in range(smoother.degree - 1):
            y = self._product(at, d)
            following = 1 / (2 * center / radius - rho)
            update(u, d, r, y, level.q, following * rho, 2 * following / radius)
            rho = following
        return u

    def full_cycle(self, b: Array, z: Array) -> float:
        """Write a full multigrid cycle for b into z, packed: solved on the coarsest level, one cycle on each finer one.

        Cost: about twice that of a cycle.
        """
        last = len(self.levels) - 1
        sides = [b]
        for at in range(last):
            self._restrict(at, sides[-1])
            coarse = self.levels[at + 1]
            if coarse.filled is not None:
                twin("multigrid", "spread", "cpu")(coarse.b, *coarse.filled)
            sides.append(coarse.b.copy())
        guess = np.zeros_like(self.levels[last].z)
        self._cycle(last, sides[last], guess)
        for at in range(last - 1, -1, -1):
            coarse = self.levels[at + 1]
            if coarse.filled is not None:
                twin("multigrid", "fill", "cpu")(guess, *coarse.filled)
            guess = self._interpolated(at, guess)
            guess += self._again(at, sides[at], guess)
        z[:] = guess
        return float(np.dot(b.ravel(), z.ravel()))

    # ---- parts

    def _restrict(self, at: int, r: Array) -> None:
        level, coarse = self.levels[at], self.levels[at + 1]
        restrict = twin("multigrid", "restrict", "cpu")
        how = (level.grid.extents, level.pairs, level.grid.wrap, level.edges, level.weights)
        restrict(r * (level.q > 0), *how, coarse.b, coarse.grid.extents, 0, coarse.grid.extents[0])

    def _interpolated(self, at: int, e: Array) -> Array:
        level, coarse = self.levels[at], self.levels[at + 1]
        z = np.zeros_like(level.z)
        twin("multigrid", "interpolate", "cpu")(
            e, coarse.grid.extents, level.pairs, level.grid.wrap, level.edges, level.weights, level.q, z,
            level.grid.extents, 0, level.grid.extents[0],
        )  # fmt: skip
        return z

    def _product(self, at: int, p: Array) -> Array:
        y = np.zeros_like(p)
        self.product(p, y, at)
        return y

    def product(self, p: Array, y: Array, at: int = 0, beta: float = 0.0, z: Array = NOTHING) -> float:
        """Write A p into y, both packed, and return their inner product. With a z, p = z + beta p comes first."""
        level = self.levels[at]
        multiply, combine = twin("multigrid", "product", "cpu"), twin("multigrid", "combine", "cpu")
        n, cells = level.grid.extents[0], level.grid.cells

        def ends(lo: int, hi: int) -> None:
            for plane in {lo, hi - 1}:
                for colour in range(2):
                    combine(p[colour, plane], beta, z[colour, plane])

        def part(lo: int, hi: int) -> float:
            found: float = multiply(
                p, beta, z, level.extra, level.c, level.faces, level.grid.extents, level.grid.wrap, y, lo, hi
            )  # fmt: skip
            return found

        if z.size:
            in_parts(ends, n, cells)
        return float(sum(in_parts(part, n, cells)))

    def _matvec(self, r: Array) -> Array:
        level = self.levels[0]
        natural = np.ascontiguousarray(r, self.dtype).reshape(level.grid.extents)
        size = float(np.abs(natural).max(initial=0.0))
        out = np.zeros(level.grid.extents, self.dtype)
        if size > 0:
            twin("multigrid", "pack", "cpu")(natural, 1 / size, level.b)
            self.cycle(level.b, level.z)
            twin("multigrid", "unpack", "cpu")(level.z, size, out)
        return out.ravel()

    def _adjoint(self) -> Hierarchy:
        return self

    # ---- what it looks like

    @property
    def nbytes(self) -> int:
        """Memory of all levels in bytes."""
        total = self.band.nbytes + self.where.nbytes
        for level in self.levels:
            kept = [level.q, level.extra, level.b, level.z, level.grid.active, level.grid.sink]
            kept += [*(level.faces or ()), *(level.weights or ()), *(level.filled or ())]
            kept += [] if level.grid.faces is None or level is self.levels[0] else [*level.grid.faces]
            total += sum(a.nbytes for a in kept if a is not None)
        return total

    def __repr__(self) -> str:
        finest = self.levels[0].grid
        name = type(self.smoother).__name__
        lines = [f"<Hierarchy of {len(self.levels)} levels, {name}, {self.nbytes / finest.cells:.0f} bytes a cell"]
        for level in self.levels:
            extents = " x ".join(str(n) for n in level.grid.extents if n > 1) or "1"
            faces = "one weight per axis" if level.faces is None else "a weight per face"
            unknowns = int(np.count_nonzero(level.q))
            if level.pairs is None or level is self.levels[-1]:
                how = f"Cholesky factor of width {self.band.shape[1]}"
            else:
                axes = [n > 1 for n in level.grid.extents]
                paired = [p for p, there in zip(level.pairs, axes, strict=True) if there]
                how = "paired along " + ("every axis" if all(paired) else f"axis {np.flatnonzero(paired).tolist()}")
            lines.append(f"  {extents:>18}  {unknowns:>10} unknowns  {faces}, {how}")
        return "\n".join(lines) + ">"


def packed_shape(extents: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return the shape of a packed vector: colours, planes, blocks of rows, entries of a block."""
    row = (extents[2] + 1) // 2 + 2
    if extents[1] == 1:
        return 2, extents[0], 1, row
    return 2, extents[0], 2, ((extents[1] + 1) // 2 + 2) * row


def _level(grid: Grid, before: Level | None) -> Level:
    """Return the level of a grid; arrays of `before`, a level of the same extents, are used again."""
    shape = packed_shape(grid.extents)
    if before is not None and (before.faces is None) == (grid.faces is None):
        level = before
        level.grid, level.c = grid, grid.c.astype(np.float32)
    else:
        q, extra, b, z = (np.zeros(shape, np.float32) for _ in range(4))
        faces = None
        if grid.faces is not None:
            across = (2, shape[1] + 1, *shape[2:])
            faces = tuple(np.zeros(s, np.float32) for s in (across, shape if shape[2] == 2 else (2, 0, 1, 0), shape))
        level = Level(grid, grid.c.astype(np.float32), faces, q, extra, b, z)  # type: ignore[arg-type]
    prepare = twin("multigrid", "prepare", "cpu")
    given = grid.faces, grid.active, grid.c, grid.outer, grid.wrap, grid.sink, level.faces, level.q, level.extra
    in_parts(lambda lo, hi: prepare(*given, lo, hi), grid.extents[0], grid.cells)
    return level


def _weights_for(level: Level, pairs: Array) -> tuple[Array, Array, Array]:
    """Return empty arrays for the transfer weights of a level: by plane, by row of a plane, by cell."""
    _, planes, blocks, _ = level.q.shape
    n1, n2 = level.grid.extents[1:]
    half = (n2 + 1) // 2
    row = half + 2 if pairs[2] else 2 * half + 2
    rows = 1 if blocks == 1 else ((n1 + 1) // 2 if pairs[1] else 2 * ((n1 + 1) // 2)) + 2
    by_row = (planes, 2, rows * row) if blocks == 2 and pairs[1] else (planes, 0, 0)
    return (
        np.zeros((planes, rows * row), np.float32),
        np.zeros(by_row, np.float32),
        np.zeros(level.q.shape if pairs[2] else (2, planes, blocks, 0), np.float32),
    )


def _factor_size(grid: Grid) -> int:
    """Return about how many entries the Cholesky factor of a grid has, numbered along its shorter axes first."""
    longest = int(np.argmax(grid.extents))
    width = grid.cells // grid.extents[longest]
    return grid.cells * width * (2 if grid.wrap[longest] else 1)


def _numbering(grid: Grid) -> Array:
    """Return the number of each cell: shorter axes run faster, the ends of a periodic axis are neighbours."""
    order = np.argsort(grid.extents, kind="stable")
    place, stride = np.zeros(grid.extents, np.int64), 1
    for axis in order:
        n = grid.extents[axis]
        along = np.arange(n)
        if grid.wrap[axis]:  # 0, n - 1, 1, n - 2, ...
            along = np.where(along < (n + 1) // 2, 2 * along, 2 * (n - 1 - along) + 1)
        shape = [1, 1, 1]
        shape[axis] = n
        place += stride * along.reshape(shape)
        stride *= n
    return place
