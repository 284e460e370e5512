"""GridOperator: -div k grad u + alpha u on the cells of a grid, without a matrix.

How it is made is in `grids`; how it multiplies, in ``resolvent.kernels.reference.stencils``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from resolvent import arrays, kernels
from resolvent.parallel import in_parts
from resolvent.problems.null_spaces import Components
from resolvent.typing import Array

__all__ = ["GridOperator", "along"]

AXES = {1: (2,), 2: (0, 2), 3: (0, 1, 2)}
"""The axes of the kernels' three that a grid of 1, 2, 3 axes lies in: rows run along the last one."""

ACTIVE, GROUNDED = 64, 128


def along(ndim: int, axis: int, part: slice | int) -> tuple[slice | int, ...]:
    """Return the index that takes `part` of one axis and everything of the others."""
    return tuple(part if a == axis else slice(None) for a in range(ndim))


class GridOperator(LinearOperator):  # type: ignore[misc]
    """-div k grad u + alpha u on cells, u flat in C order over the full grid. Symmetric positive (semi)definite.

    Made by `diffusion` and `pressure_operator`. With w the weight of a face and u the value in a cell::

        (A u)_c = sum over faces of w (u_c - u_d) + alpha_c u_c

    where d is the cell across the face, and u_d = 0 behind a Dirichlet wall. Rows and columns of inactive cells are
    zero. It is a SciPy LinearOperator; a vector of another real type is cast to `dtype`.

    Cost of a product: one pass over u and the result. No arrays beside them for one conductivity without inactive
    cells, a byte a cell with them, the weights of the faces where those differ.

    Attributes
    ----------
    grid : tuple of int
        One to three extents.
    spacing : tuple of float
        Width of a cell along each axis.
    active : array of bool, of shape `grid`, or None
        None: every cell is.
    faces : tuple of float, or tuple of arrays
        Weights, conductivity * opening / spacing^2. A number is that of all faces between two active cells along
        the axis. An array has one entry more than `grid` along its own axis: entry i is the face between cells i - 1
        and i; it is zero where one of them is inactive. Its first and last entries are the walls, or where periodic
        both the face that joins the ends. One cell alone on a periodic axis has no faces along it.
    walls : tuple of (float, float)
        Where the faces are numbers, the weights of the lower and the upper wall of each axis (periodic: of the face
        that joins the ends), else zeros.
    conditions : tuple of (str, str)
        At the lower and the upper end of each axis: "dirichlet", "ghost", "neumann" or "periodic".
    zero_order : float or array of shape `grid`
        alpha >= 0; zero in inactive cells where it is an array.
    spd : bool
        True: what a `LinearSystem` takes from it.
    """

    spd = True

    def __init__(
        self,
        *,
        grid: tuple[int, ...],
        spacing: tuple[float, ...],
        active: Array | None,
        faces: tuple[Any, ...],
        walls: tuple[tuple[float, float], ...],
        conditions: tuple[tuple[str, str], ...],
        zero_order: Any,
        dtype: Any,
    ) -> None:
        n = prod(grid)
        super().__init__(np.dtype(dtype), (n, n))
        self.grid, self.spacing, self.active = grid, spacing, active
        self.faces, self.walls, self.conditions, self.zero_order = faces, walls, conditions, zero_order

    # ---- what it is

    def __repr__(self) -> str:
        n = self.shape[0]
        extents = " x ".join(str(extent) for extent in self.grid)
        cells = "all cells active" if self.active is None else f"{np.count_nonzero(self.active)} of {n} cells active"
        ends = ", ".join(lower if lower == upper else f"{lower} to {upper}" for lower, upper in self.conditions)
        faces = "one weight per axis" if self.constant else "a weight per face"
        return f"<GridOperator {extents} {self.dtype}: {faces}, {cells}, {ends}>"

    @property
    def constant(self) -> bool:
        """Whether there is one weight per axis; solid cells and walls aside."""
        return not isinstance(self.faces[0], np.ndarray)

    def wraps(self, axis: int) -> bool:
        """Whether the ends of an axis are joined by a face."""
        return self.conditions[axis][0] == "periodic" and self.grid[axis] > 1

    def face_weights(self, axis: int) -> Array:
        """Return the weights along an axis as an array, as in `faces`. Do not change it."""
        if not self.constant:
            stored: Array = self.faces[axis]
            return stored
        extents = tuple(n + (a == axis) for a, n in enumerate(self.grid))
        weights = np.full(extents, self.faces[axis], self.dtype)
        ndim = len(self.grid)
        for end, wall in zip((0, -1), self.walls[axis], strict=True):
            weights[along(ndim, axis, end)] = wall
        close_faces(weights, axis, self.active, self.wraps(axis))
        return weights

    def diagonal(self) -> Array:
        """Return the diagonal of A, shape (n,); 0 at inactive cells."""
        ndim = len(self.grid)
        total = np.zeros(self.grid, self.dtype)
        for axis in range(ndim):
            weights = self.face_weights(axis)
            total += weights[along(ndim, axis, slice(None, -1))]
            total += weights[along(ndim, axis, slice(1, None))]
        total += self.zero_order
        if self.active is not None:
            total[~self.active] = 0
        return total.ravel()

    def astype(self, dtype: Any) -> GridOperator:
        """Return the operator in another floating type, itself where it has it already."""
        if np.dtype(dtype) == self.dtype:
            return self
        return GridOperator(
            grid=self.grid,
            spacing=self.spacing,
            active=self.active,
            faces=tuple(face.astype(dtype) if isinstance(face, np.ndarray) else face for face in self.faces),
            walls=self.walls,
            conditions=self.conditions,
            zero_order=self.zero_order.astype(dtype) if isinstance(self.zero_order, np.ndarray) else self.zero_order,
            dtype=dtype,
        )

    # ---- matrices and vectors of the active cells

    def cells(self) -> Array:
        """Return the flat indices of the active cells, in order."""
        return np.arange(self.shape[0]) if self.active is None else np.flatnonzero(self.active)

    def compress(self) -> sp.csr_array:
        """Return the matrix of the active cells, in their order. Memory: the matrix, and about 36 bytes a cell."""
        cells = self.cells()
        index = np.full(self.shape[0], -1, np.int32)
        index[cells] = np.arange(len(cells), dtype=np.int32)
        faces, entries = self._cube_faces([self._inner_faces(a) for a in range(len(self.grid))]), len(cells)
        for weights in faces:
            entries += 2 * int(np.count_nonzero(weights))
        for a, axis in enumerate(self._axes):
            if self.wraps(a):  # the face that joins the ends stands there twice
                entries -= 2 * int(np.count_nonzero(faces[axis][along(3, axis, 0)]))
        indptr, indices = np.zeros(len(cells) + 1, np.int32), np.empty(entries, np.int32)
        data = np.empty(entries, self.dtype)
        cube = index.reshape(self._extents), self.diagonal().reshape(self._extents)
        kernels.stencils.matrix_rows(*cube, *faces, indptr, indices, data)
        matrix = sp.csr_array((data, indices, indptr), shape=(len(cells),) * 2)
        matrix.sum_duplicates()  # an axis of two cells whose ends are joined has two faces between them
        return matrix

    def _inner_faces(self, axis: int) -> Array:
        """Return the weights along an axis without the walls, behind which there is no cell."""
        weights = self.face_weights(axis)
        if not self.wraps(axis):
            weights = weights.copy() if not self.constant else weights
            weights[along(len(self.grid), axis, 0)] = 0
            weights[along(len(self.grid), axis, -1)] = 0
        return weights

    def expand(self, values: Array) -> Array:
        """Return the vector (n,) with `values` in the active cells, in their order, and zeros elsewhere."""
        if self.active is None:
            return np.array(values)
        full = np.zeros(self.shape[0], values.dtype)
        full[self.active.ravel()] = values
        return full

    # ---- null space

    def null_space(self) -> Array | None:
        """Return an orthonormal basis of the null space on the active cells, (k, n), None where there is none.

        One constant for each component of active cells with neither a Dirichlet wall nor an alpha > 0. It is dense:
        k n numbers. `components` says the same in n.
        """
        found = self.components
        return None if found is None else found.vectors(self.dtype)

    @cached_property
    def components(self) -> Components | None:
        """The null space as sets of cells; None where A is definite. Cost: some nanoseconds a cell, once."""
        scalar = not isinstance(self.zero_order, np.ndarray)
        if scalar and self.zero_order > 0:
            return None
        if self.active is None and self.constant and scalar:  # one component, all of it
            grounded = any(max(walls) > 0 and not self.wraps(a) for a, walls in enumerate(self.walls))
            return None if grounded else Components(np.array([self.shape[0]]))
        cube = np.empty(self._extents, np.int32)
        count = kernels.stencils.components(self._opened, cube)
        if count == 0:
            return None
        labels = cube.reshape(-1)
        sizes = np.bincount(labels + 1, minlength=count + 1)[1:]
        return Components(sizes) if sizes[0] == len(labels) else Components(sizes, labels)

    # ---- products

    def __matmul__(self, x: Any) -> Any:
        if getattr(x, "ndim", 0) == 1 and x.shape[0] == self.shape[1] and arrays.is_array(x):
            return self._matvec(x)
        return super().__matmul__(x)

    def _matvec(self, x: Any) -> Array:
        if isinstance(x, np.ndarray):
            if x.dtype.kind == "c":
                return self._matvec(x.real) + 1j * self._matvec(x.imag)
            x = np.ascontiguousarray(x, dtype=self.dtype)
        out = np.empty(self.shape[0], self.dtype)
        self.multiply(x, out)
        return out

    def multiply(self, x: Array, out: Array) -> None:
        """Write A x into out, both (n,), contiguous, of the operator's dtype: a product without an allocation."""
        out = out.reshape(self._extents)
        in_parts(lambda lo, hi: self.planes(x, out[lo:hi], lo, hi), self._extents[0], self.shape[0])

    def planes(self, x: Array, out: Array, lo: int, hi: int) -> None:
        """Write the part of A x in cells lo to hi - 1 of the first axis into out; one axis alone has no parts."""
        out = out.reshape(hi - lo, *self._extents[1:])
        self._kernel("apply")(x.reshape(self._extents), out, *self._facts, lo, hi)

    def residual_norm(self, x: Array, b: Array) -> float:
        """Return norm2(b - A x), both as in `multiply`. Cost: one pass over x and b, and no memory."""
        x, b = x.reshape(self._extents), b.reshape(self._extents)
        kernel, facts = self._kernel("residual"), self._facts

        def part(lo: int, hi: int) -> float:
            total = np.empty(1, self.dtype)
            kernel(x, b, total, *facts, lo, hi)
            return float(total[0])

        return float(np.sqrt(sum(in_parts(part, self._extents[0], self.shape[0]))))

    def _kernel(self, work: str) -> Any:
        kind = "faces" if not self.constant else "constant" if self.active is None else "masked"
        return getattr(kernels.stencils, f"{work}_{kind}")

    @property
    def _facts(self) -> tuple[Any, ...]:
        """What the kernels want to know, behind the vectors."""
        if not self.constant:
            return *self._weights, self._periodic, self._alpha
        opened = () if self.active is None else (self._opened,)
        return *opened, self._weights, self._periodic, self._alpha

    def _adjoint(self) -> Self:
        return self

    def _transpose(self) -> Self:
        return self

    # ---- what the kernels want, on three axes

    @property
    def _axes(self) -> Sequence[int]:
        return AXES[len(self.grid)]

    @cached_property
    def _extents(self) -> tuple[int, int, int]:
        extents = [1, 1, 1]
        for axis, n in zip(self._axes, self.grid, strict=True):
            extents[axis] = n
        return extents[0], extents[1], extents[2]

    @cached_property
    def _periodic(self) -> Array:
        periodic = np.zeros(3, np.bool_)
        for a, axis in enumerate(self._axes):
            periodic[axis] = self.wraps(a)
        return periodic

    @cached_property
    def _alpha(self) -> Array:
        alpha = self.zero_order
        if not isinstance(alpha, np.ndarray):
            if self.constant or self.active is None or alpha == 0:
                return np.full((1, 1, 1), alpha, self.dtype)
            alpha = self.active * self.dtype.type(alpha)
        cube: Array = alpha.reshape(self._extents)
        return cube

    @cached_property
    def _weights(self) -> Any:
        """The weights (3, 3) of lower wall, inside and upper wall per axis, or three arrays of faces."""
        if self.constant:
            weights = np.zeros((3, 3), self.dtype)
            for axis, inside, (lower, upper) in zip(self._axes, self.faces, self.walls, strict=True):
                weights[axis] = lower, inside, upper
            return weights
        return tuple(self._cube_faces(self.faces))

    def _cube_faces(self, faces: Sequence[Array]) -> list[Array]:
        """Return weights of faces on the kernels' three axes, empty for those that the grid lacks."""
        stored = [np.zeros((0, 0, 0), self.dtype)] * 3
        for axis, face in zip(self._axes, faces, strict=True):
            extents = list(self._extents)
            extents[axis] += 1
            stored[axis] = face.reshape(extents)
        return stored

    @cached_property
    def _opened(self) -> Array:
        """The facts about each cell in a byte, as the kernels define them. Cost: some nanoseconds a cell, once."""
        active = np.ones(self._extents, bool) if self.active is None else self.active.reshape(self._extents)
        opened = np.empty(self._extents, np.uint8)
        if self.constant:
            kernels.stencils.open_faces(active, self._weights, self._periodic, self._alpha, opened)
            return opened
        np.multiply(active, np.uint8(ACTIVE), out=opened)
        for axis, faces in enumerate(self._weights):
            if faces.size == 0:
                continue
            lower, upper = (faces[along(3, axis, part)] > 0 for part in (slice(None, -1), slice(1, None)))
            if not self._periodic[axis]:
                first, last = along(3, axis, 0), along(3, axis, -1)
                opened[first] |= lower[first] * np.uint8(GROUNDED)
                opened[last] |= upper[last] * np.uint8(GROUNDED)
                lower[first] = upper[last] = False
            opened |= lower.view(np.uint8) << (2 * axis)
            opened |= upper.view(np.uint8) << (2 * axis + 1)
        opened |= ((self._alpha > 0) & active) * np.uint8(GROUNDED)
        return opened


def close_faces(weights: Array, axis: int, active: Array | None, wraps: bool) -> None:
    """Set the weights of faces that touch an inactive cell to zero, in place."""
    if active is None:
        return
    ndim = active.ndim
    head, tail, first, last = (along(ndim, axis, part) for part in (slice(None, -1), slice(1, None), 0, -1))
    weights[along(ndim, axis, slice(1, -1))] *= active[head] & active[tail]
    both = active[first] & active[last]
    weights[first] *= both if wraps else active[first]
    weights[last] *= both if wraps else active[last]
