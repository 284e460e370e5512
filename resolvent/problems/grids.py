"""Diffusion operators on grids of one to three axes: walls, solids, openings, coefficients, and any size.

The unknowns stand at the centres of cells; a face between two of them has the weight

    conductivity * opening / spacing^2

and a wall that of its condition:

============= =============================================== ============================
condition     meaning                                         weight of the wall
============= =============================================== ============================
"dirichlet"   u = 0 on the wall, half a cell from the centre  2 conductivity / spacing^2
"ghost"       u = 0 one cell from the centre                  conductivity / spacing^2
"neumann"     no flux                                         0
"periodic"    the two ends are neighbours                     that of a face between them
============= =============================================== ============================
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.grid_operator import GridOperator, along, close_faces
from resolvent.typing import Array

__all__ = ["GridOperator", "diffusion", "pressure_operator"]

CONDITIONS = {"dirichlet": 2.0, "ghost": 1.0, "neumann": 0.0, "periodic": 1.0}
"""Weight of a wall, in units of that of a face."""


def diffusion(
    grid: int | tuple[int, ...],
    *,
    spacing: Any = 1.0,
    conductivity: Any = None,
    openings: Any = None,
    active: Any = None,
    zero_order: Any = 0.0,
    boundary: Any = "dirichlet",
    dtype: Any = np.float64,
) -> GridOperator:
    """Return -div k grad u + alpha u on a grid.

    Parameters
    ----------
    grid : int or tuple of int
        Cells along each of one to three axes.
    spacing : float or tuple of float
        Width of a cell, the same for all axes or one for each.
    conductivity : float, array of shape `grid`, or tuple, optional
        k > 0, default 1. An array has a value per cell; a face has the harmonic mean of its two cells, a wall the
        value of its cell. What it holds in inactive cells does not count. A tuple has an entry per axis: a number, or
        an array of faces, with one entry more than `grid` along this axis.
    openings : tuple of arrays, optional
        The open part of each face, in [0, 1]: for each axis an array of faces, or None where all are open.
    active : array of bool, of shape `grid`, optional
        False in solid cells; their faces are closed.
    zero_order : float or array of shape `grid`
        alpha >= 0. In an implicit step of size dt, alpha = 1 / dt.
    boundary : str or tuple
        "dirichlet", "ghost", "neumann" or "periodic"; or a tuple with an entry for each axis, such a word or a pair
        of them, for the lower and the upper end.
    dtype : float64 or float32

    Raises
    ------
    ProblemError
        Something has the wrong shape or type, is not finite or out of its range, the grid is empty, or no cell is
        active.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import grids
    >>> A = grids.diffusion(4, boundary="ghost")
    >>> A @ np.array([1.0, 2.0, 3.0, 4.0])
    array([0., 0., 0., 5.])
    >>> grids.diffusion((3, 4), boundary=("periodic", ("dirichlet", "neumann")))
    <GridOperator 3 x 4 float64: one weight per axis, all cells active, periodic, dirichlet to neumann>
    """
    grid = _read_grid(grid)
    dtype = _read_dtype(dtype)
    steps = _read_spacing(spacing, len(grid))
    conditions = _read_boundary(boundary, len(grid))
    mask = _read_active(active, grid)
    alpha = _read_zero_order(zero_order, grid, mask, dtype)
    given = _read_conductivity(conductivity, grid, mask)
    opened = _read_openings(openings, grid)
    if all(isinstance(k, float) for k in given) and opened is None:
        faces: tuple[Any, ...] = tuple(k / h**2 for k, h in zip(given, steps, strict=True))
        walls = tuple(_walls(c, n, ends) for c, n, ends in zip(faces, grid, conditions, strict=True))
    else:
        opened = (None,) * len(grid) if opened is None else opened
        faces = tuple(
            _face_weights(a, grid, given[a], opened[a], steps[a], conditions[a], mask).astype(dtype)
            for a in range(len(grid))
        )
        walls = ((0.0, 0.0),) * len(grid)
    return GridOperator(
        grid=grid,
        spacing=steps,
        active=mask,
        faces=faces,
        walls=walls,
        conditions=conditions,
        zero_order=alpha,
        dtype=dtype,
    )


def pressure_operator(
    active: Any, *, spacing: Any = 1.0, boundary: Any = "neumann", openings: Any = None
) -> GridOperator:
    """Return the operator of a pressure solve, -div grad p around solids.

    Parameters
    ----------
    active : array of bool
        False in solid cells.
    spacing, boundary, openings
        As in `diffusion`. An outlet with p = 0 is "dirichlet".

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import grids
    >>> fluid = np.ones((8, 8), bool)
    >>> fluid[2:4, 3:6] = False
    >>> A = grids.pressure_operator(fluid)
    >>> A.compress().shape, len(A.null_space())
    ((58, 58), 1)
    """
    if not isinstance(active, np.ndarray):
        raise ProblemError(f"active is a {type(active).__name__}, expected an array of bool")
    return diffusion(active.shape, active=active, spacing=spacing, boundary=boundary, openings=openings)


def _walls(weight: float, n: int, ends: tuple[str, str]) -> tuple[float, float]:
    """Return the weights of the two walls of an axis."""
    if ends[0] == "periodic" and n == 1:  # the face would join the cell to itself
        return 0.0, 0.0
    return CONDITIONS[ends[0]] * weight, CONDITIONS[ends[1]] * weight


def _face_weights(
    axis: int,
    grid: tuple[int, ...],
    conductivity: float | Array,
    opening: Array | None,
    spacing: float,
    ends: tuple[str, str],
    active: Array | None,
) -> Array:
    """Return the weights of the faces along one axis, walls included."""
    weights = _face_conductivity(axis, grid, conductivity, ends) / spacing**2
    if opening is not None:
        weights *= opening
    first, last = along(len(grid), axis, 0), along(len(grid), axis, -1)
    weights[first] *= CONDITIONS[ends[0]]
    weights[last] *= CONDITIONS[ends[1]]
    wraps = ends[0] == "periodic"
    if wraps:
        if not np.array_equal(weights[first], weights[last]):
            raise ProblemError(
                f"the first and the last faces along axis {axis} differ in conductivity or opening; they are the same "
                "faces of a periodic axis"
            )
        if grid[axis] == 1:
            weights[:] = 0
    close_faces(weights, axis, active, wraps)
    return weights


def _face_conductivity(axis: int, grid: tuple[int, ...], k: float | Array, ends: tuple[str, str]) -> Array:
    """Return the conductivity of the faces along one axis, from a number, that of the cells, or that of the faces."""
    ndim = len(grid)
    extents = _face_extents(axis, grid)
    if not isinstance(k, np.ndarray):
        return np.full(extents, k)
    if k.shape == extents:
        return k.copy()
    faces = np.empty(extents)
    head, tail, first, last = (along(ndim, axis, part) for part in (slice(None, -1), slice(1, None), 0, -1))
    faces[along(ndim, axis, slice(1, -1))] = _harmonic_mean(k[head], k[tail])
    if ends[0] == "periodic":
        faces[first] = faces[last] = _harmonic_mean(k[first], k[last])
    else:
        faces[first], faces[last] = k[first], k[last]
    return faces


def _harmonic_mean(a: Array, b: Array) -> Array:
    mean: Array = 2 * a * (b / (a + b))
    return mean


def _face_extents(axis: int, grid: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n + (a == axis) for a, n in enumerate(grid))


# ---- reading the input


def _read_grid(grid: Any) -> tuple[int, ...]:
    extents = (grid,) if isinstance(grid, int | np.integer) else grid
    if not isinstance(extents, tuple | list) or not 1 <= len(extents) <= 3:
        raise ProblemError(f"grid is {grid!r}, expected one to three whole numbers")
    if any(isinstance(n, bool | np.bool_) or not isinstance(n, int | np.integer) or n < 0 for n in extents):
        raise ProblemError(f"grid is {grid!r}, expected one to three whole numbers")
    if 0 in extents:
        raise ProblemError(f"grid is {tuple(extents)}, which has no cells")
    return tuple(int(n) for n in extents)


def _read_dtype(dtype: Any) -> np.dtype[Any]:
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found not in (np.float32, np.float64):
        raise ProblemError(f"dtype is {dtype!r}, expected float32 or float64")
    return found


def _read_spacing(spacing: Any, ndim: int) -> tuple[float, ...]:
    given = spacing if isinstance(spacing, tuple | list) else (spacing,) * ndim
    if len(given) != ndim or not all(_is_positive(h) for h in given):
        raise ProblemError(f"spacing is {spacing!r}, expected a positive number or {ndim} of them")
    return tuple(float(h) for h in given)


def _is_positive(value: Any) -> bool:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return number and bool(0 < value < np.inf)


def _read_boundary(boundary: Any, ndim: int) -> tuple[tuple[str, str], ...]:
    entries = (boundary,) * ndim if isinstance(boundary, str) else boundary
    words = ", ".join(f'"{word}"' for word in CONDITIONS)
    expected = f"expected one of {words}, or a tuple with one, or a pair of them, for each of {ndim} axes"
    if not isinstance(entries, tuple | list) or len(entries) != ndim:
        raise ProblemError(f"boundary is {boundary!r}, {expected}")
    pairs = tuple((e, e) if isinstance(e, str) else tuple(e) if isinstance(e, tuple | list) else () for e in entries)
    for axis, pair in enumerate(pairs):
        if len(pair) != 2 or not all(isinstance(end, str) and end in CONDITIONS for end in pair):
            raise ProblemError(f"boundary is {boundary!r}, {expected}")
        if (pair[0] == "periodic") != (pair[1] == "periodic"):
            raise ProblemError(f"boundary of axis {axis} is {pair}: an axis is periodic at both ends or at none")
    return pairs


def _read_active(active: Any, grid: tuple[int, ...]) -> Array | None:
    """Return an owned mask, None where it would be True everywhere."""
    if active is None:
        return None
    if not isinstance(active, np.ndarray) or active.dtype != np.bool_:
        kind = getattr(active, "dtype", type(active).__name__)
        raise ProblemError(f"active has type {kind}, expected an array of bool")
    if active.shape != grid:
        raise ProblemError(f"active has shape {active.shape}, expected {grid}")
    if not active.any():
        raise ProblemError("active is False everywhere: the solids cover the whole grid, and nothing is left to solve")
    return None if active.all() else np.array(active, order="C")


def _read_zero_order(value: Any, grid: tuple[int, ...], active: Array | None, dtype: np.dtype[Any]) -> Any:
    alpha = _read_numbers(value, "zero_order")
    if alpha.shape not in ((), grid):
        raise ProblemError(f"zero_order has shape {alpha.shape}, expected a number or {grid}")
    if alpha.shape != () and active is not None:
        alpha = np.where(active, alpha, 0.0)
    _require(alpha >= 0, alpha, "zero_order", "numbers >= 0")
    return float(alpha) if alpha.shape == () else alpha.astype(dtype)


def _read_conductivity(value: Any, grid: tuple[int, ...], active: Array | None) -> tuple[float | Array, ...]:
    """Return the conductivity for each axis: a number, an array of cells, or an array of faces."""
    if isinstance(value, tuple):
        if len(value) != len(grid):
            raise ProblemError(f"conductivity has {len(value)} entries, expected {len(grid)}, one for each axis")
        return tuple(_read_face_conductivity(k, axis, grid) for axis, k in enumerate(value))
    k = _read_numbers(1.0 if value is None else value, "conductivity")
    if k.shape not in ((), grid):
        raise ProblemError(f"conductivity has shape {k.shape}, expected a number, {grid}, or a tuple of faces")
    if k.shape != () and active is not None:
        k = np.where(active, k, 1.0)
    _require(k > 0, k, "conductivity", "positive numbers")
    return (float(k) if k.shape == () else k,) * len(grid)


def _read_face_conductivity(value: Any, axis: int, grid: tuple[int, ...]) -> float | Array:
    name, extents = f"conductivity[{axis}]", _face_extents(axis, grid)
    k = _read_numbers(value, name)
    if k.shape not in ((), extents):
        raise ProblemError(f"{name} has shape {k.shape}, expected a number or {extents}, its faces")
    _require(k > 0, k, name, "positive numbers")
    return float(k) if k.shape == () else k


def _read_openings(openings: Any, grid: tuple[int, ...]) -> tuple[Array | None, ...] | None:
    if openings is None:
        return None
    if not isinstance(openings, tuple | list) or len(openings) != len(grid):
        raise ProblemError(f"openings is {_briefly(openings)}, expected {len(grid)} arrays of faces, one for each axis")
    return tuple(_read_opening(part, axis, grid) for axis, part in enumerate(openings))


def _read_opening(value: Any, axis: int, grid: tuple[int, ...]) -> Array | None:
    if value is None:
        return None
    name, extents = f"openings[{axis}]", _face_extents(axis, grid)
    opening = _read_numbers(value, name)
    if opening.shape != extents:
        raise ProblemError(f"{name} has shape {opening.shape}, expected {extents}, its faces")
    _require((opening >= 0) & (opening <= 1), opening, name, "numbers in [0, 1]")
    return opening


def _read_numbers(value: Any, name: str) -> Array:
    """Return `value` in float64."""
    try:
        raw = np.asarray(value)
    except ValueError as error:
        raise ProblemError(f"{name} is not an array of numbers: {error}") from None
    if raw.dtype.kind not in "fiu":
        raise ProblemError(f"{name} has dtype {raw.dtype}, expected real numbers")
    return raw.astype(np.float64, copy=False)


def _require(good: Any, values: Array, name: str, expected: str) -> None:
    """Raise ProblemError with the first entry of `values` that is not `good` or not finite."""
    wrong = ~(good & np.isfinite(values))
    if not wrong.any():
        return
    where = np.argwhere(wrong)[0]
    place = f"[{', '.join(str(int(i)) for i in where)}]" if len(where) else ""
    raise ProblemError(f"{name}{place} is {values[tuple(where)]}, expected {expected}")


def _briefly(value: Any) -> str:
    return f"{len(value)} entries" if isinstance(value, tuple | list) else f"a {type(value).__name__}"
