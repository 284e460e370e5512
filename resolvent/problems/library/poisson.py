"""Poisson's equation and its relatives on grids: a manufactured solution, and the cases that benchmarks run on.

The cases have cells of width 1, noise as their right-hand side (each digit of it asks for all frequencies), and the
"ghost" walls of the published baseline, where u = 0 one cell outside. Each takes a grid of one to three extents.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.errors import ProblemError
from resolvent.problems.checks import require_size
from resolvent.problems.grids import GridOperator, diffusion
from resolvent.problems.linear import LinearSystem
from resolvent.typing import Array

__all__ = [
    "anisotropic",
    "blocks",
    "box",
    "channels",
    "fluid_cells",
    "heat_step",
    "layers",
    "manufactured",
    "noise",
    "obstacles",
    "poisson",
]

Grid = tuple[int, ...]


def poisson(k: int = 32, dims: int = 2) -> LinearSystem:
    """Return -Laplace u = f with u = 0 on the walls, in k cells a side: three, five or seven points.

    The unknowns are the values at the centres of the cells of width h = 1 / k, flat in C order. A wall stands on the
    face of its cell, half a width from the centre, so that a cell there has 3 / h^2 per wall where an inner cell has
    2 / h^2 per axis. The right-hand side is A u for u = `manufactured(k, dims)`, the solution.

    Parameters
    ----------
    k : int
        Cells along each axis.
    dims : int
        1, 2 or 3.

    Returns
    -------
    LinearSystem
        Of order k^dims, A a CSR array, with `spd` and `grid`.

    Examples
    --------
    >>> from resolvent.problems.library.poisson import manufactured, poisson
    >>> system = poisson(8)
    >>> system.grid, bool(system.residual(manufactured(8)) < 1e-12)
    ((8, 8), True)
    """
    u = manufactured(k, dims)
    diagonal = np.full(k, 2.0)
    diagonal[0] += 1
    diagonal[-1] += 1
    axis = sp.diags_array([-np.ones(k - 1), diagonal, -np.ones(k - 1)], offsets=[-1, 0, 1]) * float(k) ** 2
    A = sp.csr_array(axis)
    for _ in range(dims - 1):
        A = sp.kronsum(axis, A, format="csr")
    A = sp.csr_array(A)
    return LinearSystem(A, A @ u, spd=True, grid=(k,) * dims, name=f"POISSON {'x'.join([str(k)] * dims)}")


def manufactured(k: int = 32, dims: int = 2) -> Array:
    """Return exp(x_1) prod_i x_i (1 - x_i) at the centres of k cells a side, flat in C order: shape (k^dims,)."""
    require_size(k, "k", 1)
    if dims not in (1, 2, 3):
        raise ProblemError(f"dims is {dims!r}, expected 1, 2 or 3")
    x = (np.arange(k) + 0.5) / k
    u = np.exp(x) * x * (1 - x)
    for _ in range(dims - 1):
        u = np.multiply.outer(u, x * (1 - x))
    return u.ravel()


# ---- cases for benchmarks


def box(grid: Grid = (64, 64), boundary: Any = "ghost", seed: int = 0) -> LinearSystem:
    """Return -Laplace u = noise on a plain box.

    Parameters
    ----------
    grid : tuple of int
    boundary : str or tuple
        As in `grids.diffusion`.
    seed : int
        Of the noise.

    Examples
    --------
    >>> from resolvent.problems.library.poisson import box
    >>> box((8, 8)).A.diagonal()[:3]
    array([4., 4., 4.])
    """
    return noise(diffusion(_extents(grid), boundary=boundary), seed, f"POISSON BOX {_text(grid)}")


def obstacles(grid: Grid = (64, 64), boundary: Any = "ghost", seed: int = 0) -> LinearSystem:
    """Return -Laplace u = noise around three solids without flux, see `fluid_cells`."""
    A = diffusion(_extents(grid), active=fluid_cells(grid), boundary=boundary)
    return noise(A, seed, f"POISSON OBSTACLES {_text(grid)}")


def heat_step(
    grid: Grid = (64, 64), dt: float = 1.0, solids: bool = True, boundary: Any = "ghost", seed: int = 0
) -> LinearSystem:
    """Return u / dt - Laplace u = noise, an implicit step of the heat equation.

    Parameters
    ----------
    grid : tuple of int
    dt : float
        In units of the squared cell width.
    solids : bool
        Around the three solids of `fluid_cells`.
    boundary : str or tuple
    seed : int
    """
    if not (isinstance(dt, int | float) and 0 < dt < np.inf):
        raise ProblemError(f"dt is {dt!r}, expected a positive number")
    mask = fluid_cells(grid) if solids else None
    A = diffusion(_extents(grid), active=mask, zero_order=1 / dt, boundary=boundary)
    return noise(A, seed, f"HEAT STEP {_text(grid)} dt={dt:g}")


def blocks(
    grid: Grid = (64, 64), high: float = 1e4, width: int = 16, boundary: Any = "ghost", seed: int = 0
) -> LinearSystem:
    """Return -div k grad u = noise, k = 1 or `high` in blocks of `width` cells a side, each by the toss of a coin."""
    require_size(width, "width", 1)
    coins = np.random.default_rng(seed + 1).random([-(-n // width) for n in _extents(grid)]) < 0.5
    index = np.ix_(*[np.arange(n) // width for n in grid])
    k = np.where(coins[index], high, 1.0)
    return noise(diffusion(_extents(grid), conductivity=k, boundary=boundary), seed, f"POISSON BLOCKS {_text(grid)}")


def layers(
    grid: Grid = (64, 64), high: float = 1e4, width: int = 16, axis: int = 0, boundary: Any = "ghost", seed: int = 0
) -> LinearSystem:
    """Return -div k grad u = noise, k = 1 and `high` in turn in layers of `width` cells across an axis."""
    require_size(width, "width", 1)
    k = np.where(_along(grid, axis) // width % 2 == 1, high, np.ones(grid))
    return noise(diffusion(_extents(grid), conductivity=k, boundary=boundary), seed, f"POISSON LAYERS {_text(grid)}")


def channels(
    grid: Grid = (64, 64), high: float = 1e4, every: int = 16, boundary: Any = "ghost", seed: int = 0
) -> LinearSystem:
    """Return -div k grad u = noise, k = 1 with channels of `high`, one cell wide, that cross in every direction.

    A channel along an axis is where the index along each other axis is ``every // 2`` modulo `every`: lines in three
    dimensions, in one a cell here and there.
    """
    require_size(every, "every", 1)
    extents = _extents(grid)
    on_line = [_along(grid, axis) % every == every // 2 for axis in range(len(extents))]
    k = np.ones(extents)
    for axis in range(len(extents)):
        across = [on for other, on in enumerate(on_line) if other != axis] or on_line
        wet = np.ones(extents, bool)
        for on in across:
            wet &= on
        k[wet] = high
    return noise(diffusion(extents, conductivity=k, boundary=boundary), seed, f"POISSON CHANNELS {_text(grid)}")


def anisotropic(
    grid: Grid = (64, 64), ratio: float = 100.0, axis: int = 0, boundary: Any = "ghost", seed: int = 0
) -> LinearSystem:
    """Return -div k grad u = noise with k = `ratio` along one axis and 1 along the others."""
    _along(grid, axis)
    k = tuple(ratio if a == axis else 1.0 for a in range(len(grid)))
    A = diffusion(_extents(grid), conductivity=k, boundary=boundary)
    return noise(A, seed, f"POISSON ANISOTROPIC {_text(grid)} axis {axis}")


def fluid_cells(grid: Grid) -> Array:
    """Return a mask of shape `grid`, False in two balls and a box (two discs and a rectangle, ...) of fixed places.

    Their places are fractions of the extents, the same for every grid: balls of radius 0.12 and 0.17, and a box of
    half widths (0.10, 0.06, 0.15).
    """
    extents = _extents(grid)
    points = np.ix_(*[(np.arange(n) + 0.5) / n for n in extents])
    shape = range(len(extents))
    mask = np.ones(extents, bool)
    for centre, radius in (((0.30, 0.35, 0.40), 0.12), ((0.70, 0.60, 0.55), 0.17)):
        mask &= np.asarray(sum((points[a] - centre[a]) ** 2 for a in shape) > radius**2)
    solid = np.ones(extents, bool)
    for a, centre_a, half in zip(shape, (0.35, 0.75, 0.60), (0.10, 0.06, 0.15), strict=False):
        solid &= np.abs(points[a] - centre_a) < half
    return mask & ~solid


def noise(A: GridOperator, seed: int = 0, name: str = "") -> LinearSystem:
    """Return A u = independent standard normal numbers, off the null space of A and zero in its inactive cells."""
    b = np.random.default_rng(seed).standard_normal(A.grid)
    return LinearSystem(A, b.ravel(), project=True, name=name)


def _extents(grid: Grid) -> Grid:
    if not isinstance(grid, tuple | list) or not 1 <= len(grid) <= 3:
        raise ProblemError(f"grid is {grid!r}, expected one to three whole numbers")
    for n in grid:
        require_size(n, "an extent of the grid", 1)
    return tuple(grid)


def _along(grid: Grid, axis: int) -> Array:
    """Return the indices along an axis, in a shape that broadcasts over the grid."""
    extents = _extents(grid)
    if axis not in range(len(extents)):
        raise ProblemError(f"axis is {axis!r}, expected one of {list(range(len(extents)))}")
    return np.arange(extents[axis]).reshape([-1 if a == axis else 1 for a in range(len(extents))])


def _text(grid: Grid) -> str:
    return "x".join(str(n) for n in grid)
