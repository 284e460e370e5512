"""How a quadratic model over a working set of groups is minimised: sweeps over groups, and Newton steps on faces.

For the coordinates x_b of a working set, with g the gradient and H the second derivative of the loss in them::

    q(d) = g^T d + d^T H d / 2 + term(x_b + d)

Sweeps minimise it in one unit after the other, exactly for groups without an L1 norm. After each round of them a Newton
step on the face of the units and signs that are not zero follows, for large faces where two rounds agree on it. The
second derivative of w norm2(x_u) there is (w / norm2(x_u)) (I - n n^T) with n = x_u / norm2(x_u). Units and signs that
would turn round go to zero, and the step is halved until the model falls.

H is a matrix (`GramModel`), or A_b^T D A_b by columns where there are more of them than rows, or very many
(`ColumnModel`). The Newton matrix is factored where it is small; else conjugate gradients solve with it. For rows of k
responses that share H it is (C x I) - N S N^T with C = H + diag(w / norm2(x_u)), S the same diagonal matrix, and the
rows n as columns of N: the formula of Woodbury solves with it by two factors of order m in place of one of order k m.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from scipy.linalg import lapack

from resolvent import kernels
from resolvent.solvers.composite.group_model import GroupBlock, Spectra, Term
from resolvent.solvers.composite.quadratic_model import DAMPING, factored
from resolvent.typing import Array

__all__ = ["ColumnModel", "GramModel"]

ROUNDS = 200
"""Rounds of sweeps on one model, and steps of conjugate gradients."""

CHANGES = 10
"""Of the face in a Newton step."""

LEAST_DAMPING = 1e-5
"""Of the diagonal of H, added to the Newton matrix after steps that failed: H may be singular."""

PARTS = 0.5, 0.25, 0.125
"""Of a Newton step, tried where whole ones fail."""

NEAR = 3
"""Times its target may a model be from optimal; the steps of a group that is almost zero are small."""

EXTRA = 5
"""Rounds for models that are further."""

LONGEST_WAIT = 15
"""Rounds without a Newton step after some that did not lower the model."""

FLAT = 1e-13
"""Curvature below this part of the diagonal counts as none."""

DENSE = 1200
"""Faces of at most so many coordinates are factored."""

LITTLE = 100_000
"""Sparse columns of so few numbers are swept over as dense ones: one kernel less to compile."""
ONE = np.ones(1)
"""The curvature of a model whose rows are those of H."""


@dataclass
class Face:
    """The coordinates that are free to move, and the Newton system in them: (H + diag(bend) - turns) d = right.

    Attributes
    ----------
    at : array of int
        The coordinates.
    owners : array of int
        Their units.
    signs, bend, right : array
    root : array
        The turns are root_i root_j for coordinates i and j of one unit.
    """

    at: Array
    owners: Array
    signs: Array
    bend: Array
    root: Array
    right: Array


class Model(ABC):
    """A quadratic model plus a term, with the coordinates of its block."""

    def __init__(self, block: GroupBlock, x: Array) -> None:
        self.block, self.term, self.coordinates = block, block.term, x.astype(np.float64)
        self._change = np.zeros(1)
        self._widest = int(np.diff(block.term.pointers).max(initial=1))
        self._damping = 0.0

    def _units(self, position: Array, response: Array, spectra: Spectra) -> tuple[Any, ...]:
        """Return what kernels take of the units, None where nothing is asked for."""
        t, (values, bases, starts) = self.term, spectra
        arrays = (t.pointers, position, response, t.norms, t.weight, t.ridge, t.lower, t.upper)
        sizes = np.diff(t.pointers)
        both = True if t.weight[np.repeat(sizes > 1, sizes)].any() else None
        return (*arrays, values, bases if self._widest > 1 else None, starts, both)

    def minimise(self, sweeps: int, target: float) -> Array:
        """Return the coordinates at which rounds of so many sweeps change no gradient by more than the target."""
        before, small, refused, wait, extra = np.zeros(0), True, 0, 0, 0
        for _ in range(ROUNDS if len(self.term.owners) else 0):
            self._sweep(sweeps if small else 2 * sweeps, target)
            if self._change[0] <= target:
                far = self.term.violation(self.coordinates, self._slope())
                extra += 1
                if far <= NEAR * target or extra > EXTRA:
                    break
            signs = _signs(self.coordinates, self.term)
            small = np.count_nonzero(signs) <= DENSE * self.block.units.responses
            wait -= 1
            if wait < 0 and (small or np.array_equal(signs, before)):
                refused = 0 if self._newton(signs, target) else refused + 1
                wait = min(2**refused - 1, LONGEST_WAIT)
            before = signs
        return self.coordinates

    @abstractmethod
    def _sweep(self, sweeps: int, target: float) -> None: ...

    @abstractmethod
    def _slope(self) -> Array:
        """Return the gradient of the model, without the term."""

    @abstractmethod
    def _slope_at(self, d: Array) -> Array:
        """Return the gradient after a step."""

    @abstractmethod
    def _matrix(self, columns: Array) -> Array:
        """Return H of some columns of the block, dense."""

    @abstractmethod
    def _product(self, columns: Array) -> Callable[[Array], Array]:
        """Return the product with H of some columns, for arrays (columns, k)."""

    @abstractmethod
    def _along(self, d: Array) -> tuple[float, Any]:
        """Return the change of the model without the term, and what `_take` needs."""

    @abstractmethod
    def _take(self, d: Array, carried: Any) -> None: ...

    def _newton(self, signs: Array, target: float) -> bool:
        """Take a Newton step on the face, and say whether one lowers the model.

        What would turn round goes to zero, or stops at its bound. Where the model does not fall, it stays there, and
        another step is made from there on the smaller face; last come shorter parts of the first step, down to where
        the first sign changes.
        """
        x, d, first = self.coordinates, np.zeros(0), None
        fixed, slope = np.zeros(len(x)), self._slope()
        for _ in range(CHANGES):
            face = _face(x + fixed, slope, self.term, signs)
            face.bend += self._damping * self._diagonal()[face.at]
            step = self._direction(face, target)
            if step is None:
                break
            if first is None:
                first, d = face, step
            moved = fixed.copy()
            moved[face.at], stopped = _cut(x[face.at], step, self.term, face)
            if self._accept(x, moved):
                self._damping = 0.1 * self._damping if self._damping > LEAST_DAMPING else 0.0
                return True
            stopped = face.at[stopped]
            if not len(stopped) or len(stopped) == len(face.at):
                break
            fixed[stopped], signs = moved[stopped], signs.copy()
            signs[stopped] = 0
            slope = self._slope_at(fixed)
        self._damping = max(LEAST_DAMPING, 10 * self._damping)
        if first is None:
            return False
        for part in (*PARTS, _first_change(x[first.at], d, self.term, first)):
            moved = np.zeros(len(x))
            moved[first.at], _ = _cut(x[first.at], part * d, self.term, first)
            if self._accept(x, moved):
                return True
        return False

    def _accept(self, x: Array, moved: Array) -> bool:
        """Take a step if it lowers the model."""
        change, carried = self._along(moved)
        lower = change + self.term.change(x, moved) < 0
        if lower:
            self._take(moved, carried)
        return lower

    def _direction(self, face: Face, target: float) -> Array | None:
        """Return the Newton step, None where there is none."""
        block = self.block
        if not block.units.shared and block.units.responses > 1:  # H is that of all coordinates
            position, response, k = face.at, np.zeros(len(face.at), np.int64), 1
        else:
            position, response, k = block.position[face.at], block.response[face.at], block.units.responses
        columns, place = np.unique(position, return_inverse=True)
        if k == 1 and len(columns) <= DENSE:
            return _by_factor(self._matrix(position), face)
        order = _rows(face, place, response, k) if k > 1 and len(columns) <= DENSE else None
        if order is not None:
            return _by_rows(self._matrix(columns), face, order, k)
        if k > 1 and len(face.at) <= DENSE:
            return _by_factor(np.where(response[:, None] == response, self._matrix(position), 0), face)
        product = self._product(columns)
        wide = np.zeros((len(columns), k))

        def apply(v: Array) -> Array:
            wide[place, response] = v
            turned = np.bincount(face.owners, face.root * v)[face.owners]
            found: Array = product(wide)[place, response] + face.bend * v - face.root * turned
            return found

        values = self._diagonal()[face.at]
        return _conjugate_gradients(apply, values + face.bend - face.root**2, face.right, 0.1 * target)

    @abstractmethod
    def _diagonal(self) -> Array:
        """Return the diagonal of H, about: one number per coordinate."""


class GramModel(Model):
    """The model with a matrix H; g is the gradient at x."""

    def __init__(self, block: GroupBlock, H: Array, g: Array, x: Array) -> None:
        super().__init__(block, x)
        self.H, self.place, self.g = H, block.place, np.zeros(block.room)
        self.g[self.place] = g
        response, position = np.divmod(self.place, max(len(H), 1))
        self._fixed = self._units(position, response, block.spectra(H, None))

    def _sweep(self, sweeps: int, target: float) -> None:
        tail = (*self._fixed, sweeps, target, self._widest, self._change)
        kernels.groups.sweeps_rows(self.H, True, ONE, self.g, self.coordinates, *tail)

    def _slope(self) -> Array:
        found: Array = self.g[self.place]
        return found

    def _slope_at(self, d: Array) -> Array:
        found: Array = (self.g + self._along(d)[1])[self.place]
        return found

    def _matrix(self, columns: Array) -> Array:
        found: Array = self.H[np.ix_(columns, columns)]
        return found

    def _product(self, columns: Array) -> Callable[[Array], Array]:
        matrix = self._matrix(columns)
        return lambda v: matrix @ v

    def _diagonal(self) -> Array:
        found: Array = self.H.diagonal()[self.place % len(self.H)]
        return found

    def _along(self, d: Array) -> tuple[float, Any]:
        wide = np.zeros_like(self.g)
        wide[self.place] = d
        product = (wide.reshape(-1, len(self.H)) @ self.H).ravel()
        return float(wide @ (self.g + 0.5 * product)), product

    def _take(self, d: Array, carried: Any) -> None:
        self.coordinates += d
        self.g += carried


class ColumnModel(Model):
    """The model by columns, with the curvature of the loss in each sample; r, (n,) or (n, k), is its slope."""

    def __init__(self, block: GroupBlock, curvature: Array | None, r: Array, x: Array) -> None:
        super().__init__(block, x)
        self.shape = block.units.responses, len(r)
        self.r = np.ascontiguousarray(r.reshape(len(r), -1).T, np.float64).ravel()
        self.curvature = np.ones(1) if curvature is None else curvature.astype(np.float64)
        self._fixed = self._units(block.position, block.response, block.spectra(None, curvature))
        self._columns = block.columns
        if block.sparse and prod(block.columns.shape) <= LITTLE:
            self._columns = block.columns.toarray(order="F")

    def _sweep(self, sweeps: int, target: float) -> None:
        tail = (self.curvature, self.r, self.coordinates, *self._fixed, sweeps, target, self._widest, self._change)
        A = self._columns
        if hasattr(A, "indptr"):
            kernels.groups.sweeps_sparse(A.data, A.indices, A.indptr, A.shape[0], *tail)
        else:
            kernels.groups.sweeps_rows(A.T, False, *tail)

    def _slope(self) -> Array:
        return self.block.correlate(self.r.reshape(self.shape).T)

    def _slope_at(self, d: Array) -> Array:
        return self.block.correlate((self.r + self._along(d)[1]).reshape(self.shape).T)

    def _matrix(self, columns: Array) -> Array:
        curvature = None if len(self.curvature) == 1 else self.curvature
        return self.block.gram_of(columns, curvature)

    def _product(self, columns: Array) -> Callable[[Array], Array]:
        part, curvature = self.block.columns[:, columns], self.curvature[:, None]
        transposed = part.T.tocsr() if self.block.sparse else part.T
        return lambda v: transposed @ (curvature * (part @ v))

    def _diagonal(self) -> Array:
        found: Array = np.maximum(self._fixed[8], 1e-300)
        return found

    def _along(self, d: Array) -> tuple[float, Any]:
        moved = self.block.predict(d).reshape(self.shape[1], -1).T.astype(np.float64)
        bent = self.curvature * moved
        return float(np.vdot(self.r.reshape(self.shape) + 0.5 * bent, moved)), bent.ravel()

    def _take(self, d: Array, carried: Any) -> None:
        self.coordinates += d
        self.r += carried


# ---- faces


def _signs(x: Array, term: Term) -> Array:
    """Return which coordinates are free to move, with their signs where these matter, 0 for the others."""
    signs = np.where(term.weight == 0, 1.0, np.sign(x))
    signs[(x <= term.lower) | (x >= term.upper)] = 0
    signs[term.grouped & (term.lengths(x)[term.owners] == 0)] = 0
    return signs


def _face(x: Array, g: Array, term: Term, signs: Array) -> Face:
    at = np.flatnonzero(signs)
    owners, signs, x = term.owners[at], signs[at], x[at]
    lengths = np.sqrt(np.bincount(owners, x * x, len(term.norms)))[owners] if len(at) else np.zeros(0)
    norms = np.where(lengths > 0, term.norms[owners], 0)
    bend = norms / np.where(lengths > 0, lengths, 1)
    right = -(g[at] + bend * x + term.weight[at] * signs + term.ridge[at] * x)
    root = np.sqrt(bend) * x / np.where(lengths > 0, lengths, 1)
    return Face(at, owners, signs, bend + term.ridge[at], root, right)


def _first_change(old: Array, d: Array, term: Term, face: Face) -> float:
    """Return the part of the step d, at most 1, at which the first sign changes."""
    turning = (old + d) * face.signs < 0
    turning &= term.weight[face.at] > 0
    return float((-old[turning] / d[turning]).min(initial=1.0))


def _cut(old: Array, d: Array, term: Term, face: Face) -> tuple[Array, Array]:
    """Return the step d, where signs that it would change and groups that it would turn go to zero, and what stops."""
    new = old + d
    stopped = (new * face.signs < 0) & (term.weight[face.at] > 0)
    group = term.grouped[face.at]
    if group.any():
        along = np.bincount(face.owners, old * new)[face.owners]
        stopped |= group & (along <= 0)
    lower, upper = term.lower[face.at], term.upper[face.at]
    step = np.where(stopped, -old, np.clip(d, lower - old, upper - old))
    return step, stopped | (new < lower) | (new > upper)


def _by_factor(matrix: Array, face: Face) -> Array | None:
    matrix -= np.where(face.owners[:, None] == face.owners, face.root[:, None] * face.root, 0)
    matrix.flat[:: len(matrix) + 1] += face.bend
    return factored(matrix, face.right)


def _rows(face: Face, place: Array, response: Array, k: int) -> Array | None:
    """Return the order in which the face is made of whole rows, each in a unit of its own or without; None else."""
    if len(place) != k * (int(place.max(initial=-1)) + 1):
        return None
    order = np.argsort(place * k + response)
    owners, bend, root = (v[order].reshape(-1, k) for v in (face.owners, face.bend, face.root))
    single = (owners == owners[:, :1]).all(axis=1) | ~root.any(axis=1)
    alone = np.bincount(face.owners)[owners[:, 0]] <= k
    return order if (single & alone & (bend == bend[:, :1]).all(axis=1)).all() else None


def _by_rows(matrix: Array, face: Face, order: Array, k: int) -> Array | None:
    """Solve for rows of k responses by the formula of Woodbury."""
    right, root = face.right[order].reshape(-1, k), face.root[order].reshape(-1, k)
    matrix.flat[:: len(matrix) + 1] += face.bend[order[::k]]
    factor, info = lapack.dpotrf(matrix, lower=1)
    if info:
        matrix.flat[:: len(matrix) + 1] += DAMPING * max(float(np.trace(matrix)) / len(matrix), 1e-300)
        factor, info = lapack.dpotrf(matrix, lower=1)
        if info:
            return None
    found = lapack.dpotrs(factor, right, lower=1)[0]
    turned = np.flatnonzero(root.any(axis=1))
    if len(turned):
        unit = root[turned]
        inverse = lapack.dpotri(factor, lower=1, overwrite_c=1)[0]  # its lower triangle, zeros above
        inverse += inverse.T
        inverse.flat[:: len(inverse) + 1] *= 0.5
        columns = inverse[:, turned]
        small = columns[turned] * -(unit @ unit.T)
        small.flat[:: len(small) + 1] += 1
        y = factored(small, (unit * found[turned]).sum(axis=1))
        if y is None:
            return None
        found += columns @ (y[:, None] * unit)
    d = np.empty(len(order))
    d[order] = found.ravel()
    return d


def _conjugate_gradients(apply: Callable[[Array], Array], diagonal: Array, right: Array, target: float) -> Array:
    least = FLAT * float(diagonal.max(initial=0.0))
    inverse = np.where(diagonal > least, 1 / np.where(diagonal > least, diagonal, 1), 0)
    d, left = np.zeros(len(right)), right.copy()
    direction = inverse * left
    rz = float(left @ direction)
    for _ in range(min(ROUNDS, len(right))):
        product = apply(direction)
        curved = float(direction @ product)
        if not curved > FLAT * float(direction @ (diagonal * direction)):
            break
        d += rz / curved * direction
        left -= rz / curved * product
        if np.abs(left).max() <= target:
            break
        z = inverse * left
        rz, old = float(left @ z), rz
        direction = z + rz / old * direction
    return d
