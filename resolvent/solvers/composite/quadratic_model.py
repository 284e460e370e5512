"""A quadratic model over a block of columns, and how it is minimised: coordinate sweeps and Newton steps on faces.

For x_b in a block b of columns of A, with D the second derivative of the loss in each sample::

    q(d) = g^T d + d^T A_b^T D A_b d / 2 + term(x_b + d)

Sweeps go on until a round changes no gradient by more than a target. Where two rounds agree on the signs of x, a Newton
step on the face of these signs is taken, cut where signs would change, if it lowers the model: by a factor of the
matrix of the block, or for large blocks by conjugate gradients on the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from resolvent import kernels
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.term_base import STEP
from resolvent.solvers.base import is_number, is_whole, require
from resolvent.solvers.composite.columns import DenseColumns, SparseColumns, whole
from resolvent.typing import Array, Point

__all__ = [
    "DAMPING",
    "MARGIN",
    "Block",
    "bent_minimise",
    "check_options",
    "coefficients",
    "column_minimise",
    "factored",
    "gram_answer",
    "gram_minimise",
    "parts",
]

DAMPING = 1e-10
"""Of the mean diagonal entry, added to the diagonal where a factorisation needs it."""

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

AT_ONCE, MOST, CHEAP = 8, 50, 400_000
"""Rounds of sweeps in which one call tries to find the answer; up to the second where these are so many products."""

MARGIN = 0.5
"""Of the tolerance that a gap has to meet which is known by a matrix alone: the rest is for rounding."""


def coefficients(x: Point) -> Array:
    """Return x without an intercept."""
    found: Array = x[0] if isinstance(x, tuple) else x
    return found


def parts(x: Point) -> tuple[Array, ...]:
    """Return x, and an intercept as a second part."""
    return x if isinstance(x, tuple) else (x,)


def check_options(solver: Any) -> None:
    """Check the options that working sets have in common."""
    for name in ("first", "sweeps", "dense"):
        value = getattr(solver, name)
        left_open = value is None and getattr(type(solver), name) is None
        require(left_open or is_whole(value, least=1), name, value, "a whole number >= 1")
    require(is_number(solver.growth, above=0), "growth", solver.growth, "a number > 0")
    known = is_number(solver.accuracy, above=0) and solver.accuracy < 1
    require(known, "accuracy", solver.accuracy, "a number above 0 and below 1")


class Block:
    """Columns of A, with one of ones in front where there is an intercept, and their part of the term."""

    def __init__(self, problem: CompositeProblem) -> None:
        model = problem.smooth
        self.members, self.dtype = np.zeros(0, np.int64), problem.dtype
        self.intercept, self.sparse = problem.intercept, model.sparse
        self.columns: Any = None
        if self.sparse:
            self.columns = SparseColumns(model.A, self.members)
        else:
            self.columns = DenseColumns(np.ones((model.n, int(self.intercept)), problem.dtype, order="F"))
        self._term_of: Any = None
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
        new, model = members[len(self.members) :], problem.smooth
        if not len(new) and self._term_of is problem.term:
            return
        if self.sparse and self.intercept and (len(new) or not self.columns.order):
            ones = sp.csc_array(np.ones((model.n, 1), problem.dtype))
            own = sp.csc_array(sp.hstack([ones, model.A[:, members]]))
            self.columns = SparseColumns(own, np.arange(own.shape[1]))
        elif len(new):
            self.columns.append(model.A, new)
        problem.counts["columns"] += len(new)
        self.members = members
        self._term_of, p = problem.term, problem.term.parameters(problem.shape, problem.dtype)
        self.term = self._of(p[1:5], (0.0, 0.0, -np.inf, np.inf))
        if model.lipschitz is not None and (len(new) or self.bounds is None):
            (self.bounds,) = self._of((model.lipschitz,), (model.loss.curvature_bound * model.total_weight,))
            self.bound = float(self.bounds.mean()) if self.order else 0.0
        self.bend = None if problem.term.convex else (p.kind, p.gamma)

    def _of(self, given: Sequence[Array], lead: Sequence[float]) -> tuple[Array, ...]:
        """Return what numbers of coordinates, (p,) or one for all, are in the block; the first is that of an
        intercept."""
        found, begin = np.empty((len(given), self.order), self.dtype), int(self.intercept)
        for row, values, first in zip(found, given, lead, strict=True):
            row[:begin] = first
            row[begin:] = values if len(values) == 1 else values[self.members]
        return tuple(found)

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


@dataclass(frozen=True, eq=False)
class Faces:
    """Where x has given signs: there a term of a block is a quadratic.

    Attributes
    ----------
    weight, ridge, lower, upper : array (m,)
        Of the term.
    free : array of bool (m,), or None
        Where the weight is zero; None where it nowhere is.
    bounded : bool
    """

    weight: Array
    ridge: Array
    lower: Array
    upper: Array
    free: Array | None
    bounded: bool

    @staticmethod
    def of(term: tuple[Array, ...]) -> Faces:
        weight, ridge, lower, upper = term
        free = weight == 0
        bounded = (lower > -np.inf).any() or (upper < np.inf).any()
        return Faces(weight, ridge, lower, upper, free if free.any() else None, bool(bounded))

    def part(self, places: Array) -> Faces:
        lower, upper = (self.lower[places], self.upper[places]) if self.bounded else (self.lower, self.upper)
        free = None if self.free is None else self.free[places]
        return Faces(self.weight[places], self.ridge[places], lower, upper, free, self.bounded)

    def signs(self, x: Array) -> Array:
        """Return the signs of coordinates that may move, 0 at a kink or a bound; 1 where nothing is penalised."""
        signs: Array = np.sign(x)
        if self.free is not None:
            signs[self.free] = 1
        if self.bounded:
            signs[(x <= self.lower) | (x >= self.upper)] = 0
        return signs

    def cut(self, x: Array, d: Array, signs: Array) -> Array:
        """Return the step d, with coordinates whose sign it would change going to zero, inside the bounds."""
        new = x + d
        turned = new * signs < 0
        new[turned if self.free is None else turned & ~self.free] = 0
        return (np.minimum(np.maximum(new, self.lower), self.upper) if self.bounded else new) - x

    def change(self, x: Array, moved: Array) -> float:
        """Return by how much a step changes the absolute values."""
        return float(self.weight @ (np.abs(x + moved) - np.abs(x)))


# ---- the model


def gram_minimise(H: Array, g: Array, x: Array, term: tuple[Array, ...], sweeps: int, target: float) -> None:
    """Minimise the model with the matrix H plus the term; x and the gradient g at it are updated."""
    room, faces, signs, change = whole(H), Faces.of(term), np.zeros(0), np.zeros(1, x.dtype)
    for _ in range(ROUNDS):
        kernels.descent.sweeps_gram(room, g, x, *term, sweeps, target, change)
        if change[0] <= target:
            break
        before, signs = signs, faces.signs(x)
        if _agree(before, signs):
            _face_by_factor(room, g, x, faces, signs)


def gram_answer(
    G: Array, diagonal: Array, x: Array, g: Array, c: Array, squares: float, term: tuple[Array, ...], tolerance: float,
    solver: Any,
) -> tuple[int, bool]:  # fmt: skip
    """Sweep over all coordinates of least squares with the matrix G until the gap is well below the tolerance.

    x and the gradient g = G x - c there are updated; `squares` is y^T W y. One call: the way for small problems.

    Returns
    -------
    rounds : int
    found : bool
        Whether sweeps alone suffice.
    """
    most = min(max(CHEAP // (solver.sweeps * max(len(x), 1) ** 2), AT_ONCE), MOST)
    room, how = (np.empty(len(x)), np.empty(3)), (MARGIN * tolerance, solver.accuracy, solver.sweeps, most)
    rounds = int(kernels.descent.gram_answer(G, diagonal, x, g, c, squares, *term, *how, *room))
    return rounds, rounds < most


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
    change, steps, signs, faces = np.zeros(1, x.dtype), TRUNCATED, block.signs, Faces.of(block.term)
    columns, settled = block.columns.together(), len(signs) == block.order
    h = columns.diagonal(curvature)
    for _ in range(ROUNDS):
        count = min(sweeps, SETTLED) if settled else sweeps
        columns.sweep(curvature, r, h, x, *block.term, count, target, change)
        before, signs = signs, faces.signs(x)
        if change[0] <= target:
            break
        if _agree(before, signs):
            _face_by_conjugate_gradients(columns, faces, curvature, r, h, x, signs, steps, target)
            steps, settled = 2 * steps, True
    block.signs = signs


def _agree(before: Array, signs: Array) -> bool:
    """Whether the signs of two rounds are the same but for a few, so that their face is worth a Newton step."""
    most = UNSETTLED * np.count_nonzero(signs)
    return len(before) == len(signs) and bool(np.count_nonzero(signs != before) <= most)


def _face_by_factor(H: Array, g: Array, x: Array, faces: Faces, signs: Array) -> None:
    """Take a Newton step on the face, or the largest of its PARTS that lowers the model, cut where signs change."""
    places = np.flatnonzero(signs)
    if len(places) == 0:
        return
    at, held, face = x[places], signs[places], faces.part(places)
    matrix, slope = H[places[:, None], places], g[places] + face.ridge * at
    matrix.reshape(-1)[:: len(places) + 1] += face.ridge
    d = factored(matrix, -(slope + face.weight * held))
    if d is None:
        return
    for k in range(PARTS):
        moved = face.cut(at, 0.5**k * d, held)
        if (slope + 0.5 * (matrix @ moved)) @ moved + face.change(at, moved) < 0:
            step = np.zeros_like(x)
            step[places] = moved
            x += step
            g += H[: len(x), : len(x)] @ step
            break


def factored(matrix: Array, right: Array) -> Array | None:
    """Solve with a symmetric matrix, to which damping is added where it is not definite; None if that does not help."""
    solve = lapack.dposv if matrix.dtype == np.float64 else lapack.sposv
    _, d, info = solve(matrix.T, right, lower=1)  # in the order that LAPACK wants
    if info:
        diagonal = matrix.reshape(-1)[:: len(matrix) + 1]
        diagonal += DAMPING * max(float(diagonal.mean()), 1e-300)
        _, d, info = solve(matrix.T, right, lower=1)
    return None if info else d


def _face_by_conjugate_gradients(
    columns: Any, faces: Faces, curvature: Array, r: Array, h: Array, x: Array, signs: Array, steps: int, target: float
) -> None:
    """Take an inexact Newton step on the face, of so many steps of conjugate gradients, as `_face_by_factor` does."""
    places = np.flatnonzero((signs != 0) & (h + faces.ridge > DAMPING * h.max()))
    at, held, face, columns = x[places], signs[places], faces.part(places), columns.part(places)
    slope = columns.correlate(r) + face.ridge * at
    left = -(slope + face.weight * held)
    d, inverse = np.zeros_like(left), 1 / np.maximum(h[places] + face.ridge, np.finfo(x.dtype).tiny)
    direction = inverse * left
    rz = float(left @ direction)
    for _ in range(min(steps, len(places))):
        product = columns.correlate(curvature * columns.predict(direction)) + face.ridge * direction
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
        moved = face.cut(at, 0.5**k * d, held)
        step = columns.predict(moved)
        bend = curvature @ (step * step) + face.ridge @ (moved * moved)
        if slope @ moved + 0.5 * bend + face.change(at, moved) < 0:
            x[places] += moved
            r += curvature * step
            break
