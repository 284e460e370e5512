"""A quadratic model over a block of columns, and how it is minimised: coordinate sweeps and Newton steps on faces.

For x_b in a block b of columns of A, with D the second derivative of the loss in each sample::

    q(d) = g^T d + d^T A_b^T D A_b d / 2 + term(x_b + d)

Sweeps go on until a round changes no gradient by more than a target. Where two rounds agree on the signs of x, a Newton
step on the face of these signs is taken, cut where signs would change, if it lowers the model: by a factor of the
matrix of the block, or for large blocks by conjugate gradients on the columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from resolvent import kernels
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.term_base import STEP
from resolvent.typing import Array, Point

__all__ = ["DAMPING", "Block", "bent_minimise", "coefficients", "column_minimise", "factored", "gram_minimise"]

DAMPING = 1e-10
"""Of the mean diagonal entry, added to the diagonal where a factorisation needs it."""

FEW = 8
"""So few new columns are multiplied with all others one by one; for more the block is turned into rows."""

UNSETTLED = 0.2
"""Two rounds agree where at most so large a part of the signs differs."""

TRUNCATED = 5
"""Steps of conjugate gradients on the first face of a model; on each one after it twice as many."""

SETTLED = 3
"""So few sweeps make a round by columns where signs are known."""

PARTS = 6
"""Of a Newton step, each half the one before, are tried: cut where signs change, a whole one can be too long."""

ROUNDS = 200
"""Rounds of sweeps on one model."""


def coefficients(x: Point) -> Array:
    """Return x without an intercept."""
    found: Array = x[0] if isinstance(x, tuple) else x
    return found


class Block:
    """Columns of A, with one of ones in front where there is an intercept, and their part of the term."""

    def __init__(self, problem: CompositeProblem) -> None:
        model = problem.smooth
        self.members, self.intercept, self.sparse = np.zeros(0, np.int64), problem.intercept, model.sparse
        ones = np.ones((model.n, int(self.intercept)), problem.dtype, order="F")
        self.columns: Any = sp.csc_array(ones) if self.sparse else ones
        self._rows: Any = None
        self.term: tuple[Array, ...] = ()
        self.bend: tuple[int, float] | None = None
        self.bounds: Any = None
        self.bound = 0.0
        self.signs = np.zeros(0)

    @property
    def order(self) -> int:
        return len(self.members) + self.intercept

    def extend(self, problem: CompositeProblem, members: Array) -> None:
        """Take up the members that are new, and the weights of all."""
        new = members[len(self.members) :]
        if len(new):
            if self.sparse:
                more = problem.smooth.A[:, members if not self.intercept else new]
                self.columns = sp.csc_array(sp.hstack([self.columns, more])) if self.intercept else more
            else:
                self.columns = self._appended(problem.smooth.A, new)
            self._rows = None
            problem.counts["columns"] += len(new)
        self.members = members
        p = problem.term.parameters(problem.shape, problem.dtype)
        lead = (0.0, 0.0, -np.inf, np.inf)
        self.term = tuple(self._of(values, members, first) for values, first in zip(p[1:5], lead, strict=True))
        model = problem.smooth
        if model.lipschitz is not None:
            self.bounds = self._of(model.lipschitz, members, model.loss.curvature_bound * model.total_weight)
            self.bound = float(self.bounds.mean()) if self.order else 0.0
        self.bend = None if problem.term.convex else (p.kind, p.gamma)

    def _appended(self, A: Array, new: Array) -> Array:
        """Return the columns with new ones of A behind them, in an array that has room for more."""
        n, m = self.columns.shape
        total, room = m + len(new), self.columns.base
        if room is None or room.ndim != 2 or room.shape[1] < total or room.shape[0] != n:
            room = np.empty((n, max(4 * total, 256)), self.columns.dtype, order="F")  # untouched memory costs nothing
            room[:, :m] = self.columns
        np.take(A.T, new, axis=0, out=room[:, m:total].T, mode="clip")
        found: Array = room[:, :total]
        return found

    def _of(self, values: Array, members: Array, first: float) -> Array:
        chosen = np.full(len(members), values[0]) if len(values) == 1 else values[members]
        chosen = np.concatenate([[first], chosen]) if self.intercept else chosen
        return chosen.astype(self.columns.dtype, copy=False)

    def gather(self, x: Point) -> Array:
        w = coefficients(x)[self.members]
        return np.concatenate([x[1], w]) if self.intercept else w

    def scatter(self, values: Array, x: Point) -> None:
        if self.intercept:
            x[1][:] = values[0]
        coefficients(x)[self.members] = values[int(self.intercept) :]

    def pick(self, problem: CompositeProblem, state: Any, slope: Array | None = None) -> Array:
        """Return the gradient in the block, from that of all."""
        g: Array = state.gradient[self.members]
        if not self.intercept:
            return g
        slope = problem.smooth.derivative(state.z) if slope is None else slope
        return np.concatenate([[slope.sum()], g]).astype(g.dtype, copy=False)

    def predict(self, d: Array) -> Array:
        moved: Array = self.columns @ d
        return moved

    def correlate(self, slope: Array) -> Array:
        found: Array = self.columns.T @ slope
        return found

    def value(self, x: Array) -> float:
        weight, ridge, _, _ = self.term
        if self.bend is not None:
            return float(kernels.prox.bent_value(x, self.bend[0], weight, self.bend[1]))
        return float(weight @ np.abs(x) + 0.5 * ridge @ (x * x))

    def violation(self, x: Array, g: Array) -> float:
        """Return the largest distance of a coordinate's gradient to where it should be."""
        weight, ridge, lower, upper = self.term
        if self.bend is not None:
            steps = np.empty_like(x)
            kernels.prox.bent_scores(x, g, self.bounds, self.bend[0], weight, self.bend[1], STEP, steps)
            return float((steps * self.bounds).max(initial=0.0))
        h = g + ridge * x
        down = np.where(x > 0, h + weight, h - weight)  # what moving down or up gains
        up = np.where(x < 0, h - weight, h + weight)
        gain = np.maximum(np.where(x > lower, down, 0), np.where(x < upper, -up, 0))
        return float(np.maximum(gain, 0).max(initial=0.0))

    def promise(self, violation: float) -> float:
        """Return by how much a step of a coordinate that violates optimality so much lowers f + g at least."""
        return 0.0 if self.bounds is None else 0.5 * violation**2 / max(float(self.bounds.max(initial=0.0)), 1e-300)

    def diagonal(self, curvature: Array) -> Array:
        """Return the diagonal of A_b^T D A_b."""
        A, found = self.columns, np.empty(self.order, self.columns.dtype)
        if self.sparse:
            kernels.descent.squares(A.data, A.indices, A.indptr, curvature, found)
        else:
            np.einsum("ij,ij,i->j", A, A, curvature, out=found)
        return found

    def gram(self, curvature: Array | None, known: Array) -> Array:
        """Return A_b^T D A_b, whose first rows and columns are `known`; D is one without a curvature.

        It is a view of an array with room for more.
        """
        first, m = len(known), self.order
        if first == m:
            return known
        H = _roomy(known, m)
        if self.sparse:
            D = np.ones(self.columns.shape[0], self.columns.dtype) if curvature is None else curvature
            if m - first <= FEW:
                A, scattered = self.columns, np.zeros(self.columns.shape[0], self.columns.dtype)
                kernels.descent.columns_dots(A.data, A.indices, A.indptr, D, first, m, scattered, whole(H))
            else:
                kernels.descent.columns_gram(*self._by_rows(), D, first, m, whole(H))
            return H
        new, old = self.columns[:, first:], self.columns[:, :first]
        if curvature is None:
            H[first:, first:] = new.T @ new  # by BLAS's syrk, in half the time
            if first:
                H[:first, first:] = old.T @ new
        elif first:
            H[:, first:] = self.columns.T @ (curvature[:, None] * new)
        else:
            scaled = np.sqrt(curvature)[:, None] * new
            H[:] = scaled.T @ scaled
        H[first:, :first] = H[:first, first:].T
        return H

    def _by_rows(self) -> tuple[Array, Array, Array]:
        if self._rows is None:
            rows = self.columns.tocsr()
            self._rows = rows.data, rows.indices, rows.indptr
        found: tuple[Array, Array, Array] = self._rows
        return found


def whole(H: Array) -> Array:
    """Return rows without gaps that begin with those of H: what kernels take."""
    if H.flags.c_contiguous:
        return H
    room = _room(H)
    return np.ascontiguousarray(H) if room is None else room


def _room(H: Array) -> Array | None:
    """Return the array made by `_roomy` of which H is the beginning, None where there is none."""
    room = H.base
    if room is None or room.ndim != 2 or room.shape[0] != room.shape[1] or room.dtype != H.dtype:
        return None
    return room if room.flags.c_contiguous and room.ctypes.data == H.ctypes.data else None


def _roomy(known: Array, order: int) -> Array:
    """Return a matrix of this order that begins with the known one, as a view of rows with room for more."""
    first = len(known)
    room = _room(known)
    if room is None or len(room) < order:
        room = np.empty((max(2 * order, 128),) * 2, known.dtype)  # untouched memory costs nothing
        room[:first, :first] = known
    found: Array = room[:order, :order]
    return found


# ---- the model


def gram_minimise(H: Array, g: Array, x: Array, term: tuple[Array, ...], sweeps: int, target: float) -> None:
    """Minimise the model with the matrix H plus the term; x and the gradient g at it are updated."""
    room, signs, change, left = whole(H), np.zeros(len(x), x.dtype), np.zeros(1, x.dtype), ROUNDS
    while left > 0:
        left -= kernels.descent.gram_rounds(room, g, x, *term, sweeps, target, left, UNSETTLED, signs, change)
        if change[0] <= target:
            break
        _face_by_factor(room, g, x, term, signs)


def bent_minimise(H: Array, g: Array, x: Array, block: Block, sweeps: int, target: float) -> None:
    """Do what `gram_minimise` does for a penalty that is not convex, by sweeps alone.

    Coordinates take the steps of the bounds of their curvature, of which the residual tells how far they still go: with
    that at x, smaller, they would jump between minima.
    """
    assert block.bend is not None
    (kind, gamma), change = block.bend, np.zeros(1, x.dtype)
    for _ in range(ROUNDS):
        kernels.descent.bent_sweeps(whole(H), block.bounds, g, x, kind, block.term[0], gamma, sweeps, target, change)
        if change[0] <= target:
            return


def column_minimise(block: Block, curvature: Array, r: Array, x: Array, sweeps: int, target: float) -> None:
    """Minimise the same with columns in the place of H; r, the derivative of the model in z, is updated with x.

    The signs at the end are kept in the block: where they still hold, a Newton step comes after the first few sweeps.
    """
    change, members, steps, signs = np.zeros(1, x.dtype), np.arange(block.order), TRUNCATED, block.signs
    h, A, settled = block.diagonal(curvature), block.columns, len(signs) == block.order
    for _ in range(ROUNDS):
        tail = (members, curvature, r, h, x, *block.term, min(sweeps, SETTLED) if settled else sweeps, target, change)
        if block.sparse:
            kernels.descent.sweeps_sparse(A.data, A.indices, A.indptr, *tail)
        else:
            kernels.descent.sweeps_dense(A, *tail)
        before, signs = signs, _signs(x, block.term)
        if change[0] <= target:
            break
        if len(before) == len(signs) and np.count_nonzero(signs != before) <= UNSETTLED * np.count_nonzero(signs):
            _face_by_conjugate_gradients(block, curvature, r, h, x, signs, steps, target)
            steps, settled = 2 * steps, True
    block.signs = signs


def _signs(x: Array, term: tuple[Array, ...]) -> Array:
    """Return the signs of coordinates that are free to move, 0 at a kink or a bound; 1 where nothing is penalised."""
    weight, _, lower, upper = term
    signs = np.where(weight == 0, 1.0, np.sign(x))
    signs[(x <= lower) | (x >= upper)] = 0
    return signs


def _face_by_factor(H: Array, g: Array, x: Array, term: tuple[Array, ...], signs: Array) -> None:
    """Take a Newton step on the face, or the largest of its PARTS that lowers the model, cut where signs change."""
    face = np.flatnonzero(signs)
    if len(face) == 0:
        return
    weight, ridge = term[0][face], term[1][face]
    matrix = H[face[:, None], face]
    matrix.reshape(-1)[:: len(face) + 1] += ridge
    d = factored(matrix, -(g[face] + weight * signs[face] + ridge * x[face]))
    if d is not None:
        moved, change = np.empty_like(d), np.empty_like(x)
        kernels.descent.gram_face_step(H, g, x, *term, signs, face, d, PARTS, moved, change)


def factored(matrix: Array, right: Array) -> Array | None:
    """Solve with a symmetric matrix, damped where it is not definite; None where that does not help."""
    solve = lapack.dposv if matrix.dtype == np.float64 else lapack.sposv
    _, d, info = solve(matrix.T, right, lower=1)  # in the order that LAPACK wants
    if info:
        diagonal = matrix.reshape(-1)[:: len(matrix) + 1]
        diagonal += DAMPING * max(float(diagonal.mean()), 1e-300)
        _, d, info = solve(matrix.T, right, lower=1, overwrite_a=1)
    return None if info else d


def _face_by_conjugate_gradients(
    block: Block, curvature: Array, r: Array, h: Array, x: Array, signs: Array, steps: int, target: float
) -> None:
    """Take an inexact Newton step on the face, of so many steps of conjugate gradients, as `_face_by_factor` does."""
    weight, ridge, _, _ = block.term
    face = np.flatnonzero((signs != 0) & (h + ridge > DAMPING * h.max()))
    A = block.columns[:, face]
    transposed = A.T.tocsr() if block.sparse else A.T
    right = -(transposed @ r + weight[face] * signs[face] + ridge[face] * x[face])
    d, left = np.zeros_like(right), right.copy()
    inverse = 1 / np.maximum(h[face] + ridge[face], np.finfo(x.dtype).tiny)
    direction = inverse * left
    rz = float(left @ direction)
    for _ in range(min(steps, len(face))):
        product = transposed @ (curvature * (A @ direction)) + ridge[face] * direction
        curved = float(direction @ product)
        if not curved > 0:
            break
        d += rz / curved * direction
        left -= rz / curved * product
        if np.abs(left).max() <= 0.1 * target:
            break
        z = inverse * left
        rz, old = float(left @ z), rz
        direction = z + rz / old * direction
    for k in range(PARTS):
        moved = _cut(x, 0.5**k * d, block.term, signs, face)
        step = A @ moved
        change = r @ step + 0.5 * curvature @ (step * step)
        if _model_change(change, x[face], moved, weight[face], ridge[face]) < 0:
            x[face] += moved
            r += curvature * step
            break


def _cut(x: Array, d: Array, term: tuple[Array, ...], signs: Array, face: Array) -> Array:
    """Return the step d, with coordinates whose sign it would change going to zero, inside the bounds."""
    weight, _, lower, upper = term
    new = x[face] + d
    new[(new * signs[face] < 0) & (weight[face] > 0)] = 0
    found: Array = np.clip(new, lower[face], upper[face]) - x[face]
    return found


def _model_change(smooth: Any, x: Array, moved: Array, weight: Array, ridge: Array) -> float:
    new = x + moved
    return float(smooth + weight @ (np.abs(new) - np.abs(x)) + 0.5 * ridge @ (moved * (new + x)))
