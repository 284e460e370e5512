"""The smooth parts that block coordinate descent knows: losses of linear models, quadratics, functions on graphs."""

from __future__ import annotations

from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import softmax

from resolvent.errors import ProblemError
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.graphs import GraphModel, HuberEdges
from resolvent.problems.losses import Huber, LeastSquares, Logistic, Softmax
from resolvent.problems.models import LinearModel
from resolvent.solvers.composite.access import DAMPING, NOISE, Access, Chosen, Line
from resolvent.solvers.composite.partitions import forests_of
from resolvent.typing import Array, Matrix

__all__ = ["GraphAccess", "LinearAccess", "QuadraticAccess", "open_access"]

THIRD = 1 / (6 * sqrt(3))
"""The largest third derivative of log(1 + exp(t)); of log-sum-exp along v it is this times (max v - min v)^3."""

FEW = 8
"""A step that moves at most one coordinate in so many updates the gradient, a larger one computes it anew."""


def open_access(problem: CompositeProblem, partition: Any) -> Access:
    """Return what rules and updates see of a problem.

    Raises
    ------
    ProblemError
        Its smooth part or term is of another kind, it has an intercept, or the blocks do not fit.
    """
    smooth = problem.smooth
    if isinstance(smooth, LinearModel):
        if problem.intercept:
            raise ProblemError("rules and updates take no intercept; leave partition, select and update out")
        return LinearAccess(problem, partition)
    if len(problem.shape) > 1:
        raise ProblemError(f"rules and updates take one right-hand side of a graph, got {problem.shape[1]}")
    if hasattr(smooth, "H") and hasattr(smooth, "q"):
        return QuadraticAccess(problem, partition)
    if isinstance(smooth, GraphModel):
        return GraphAccess(problem, partition)
    raise ProblemError(f"BlockCoordinateDescent needs a LinearModel, a Quadratic or a graph model, got a "
                       f"{type(smooth).__name__}")  # fmt: skip


class LinearAccess(Access):
    """A loss of z = A x. The state carries z; the gradient is computed from it once per step, a pass over A.

    A coordinate of an x of shape (p, k) is a column j of A and a response c, ``j k + c``.
    """

    def __init__(self, problem: CompositeProblem, partition: Any) -> None:
        super().__init__(problem, partition)
        self.model: LinearModel = problem.smooth
        self.loss, self.k = self.model.loss, self.model.responses
        self.exact = isinstance(self.loss, LeastSquares)
        self.damped = isinstance(self.loss, Huber)
        self._kept: tuple[Any, Any] = (None, None)

    @property
    def _name(self) -> str:
        return type(self.loss).__name__

    def _columns(self, b: Array) -> Any:
        """Return the columns of a block, in float64; the last ones are kept."""
        if self._kept[0] is not b:
            self._kept = b, self.model.A[:, b // self.k].astype(np.float64, copy=False)
            self.problem.counts["columns"] += len(b)
        return self._kept[1]

    def _same(self, b: Array) -> Array:
        """Return whether two coordinates have the same response, (m, m)."""
        c = b % self.k
        return np.asarray(np.equal.outer(c, c))

    def _bound(self, b: Array) -> Array:
        G = _gram(self._columns(b), self._columns(b), self.model.weights)
        if isinstance(self.loss, Softmax):
            classes = min(self.k, len(np.unique(b % self.k)) + 1)
            return np.asarray(0.5 * (self._same(b) - 1 / classes) * G)
        if self.loss.curvature_bound is None:
            raise ProblemError(
                f"{self._name} has no bound of its curvature, which this update needs; Newton, ProjectedNewton and "
                "TwoMetricProjection do without"
            )
        return np.asarray(self.loss.curvature_bound * (G * self._same(b) if self.k > 1 else G))

    def _hessian(self, state: Any, b: Array) -> Array:
        columns, weights = self._columns(b), self.model.weights
        if self.k == 1:
            return _gram(columns, columns, self.loss.curvature(state.z, weights).reshape(-1))
        c = b % self.k
        if not isinstance(self.loss, Softmax):
            return np.asarray(
                self._same(b) * _gram(columns, _times(columns, self.loss.curvature(state.z, weights)[:, c]))
            )
        P = softmax(state.z.astype(np.float64), axis=1)[:, c]
        split = _times(columns, P)
        return np.asarray(self._same(b) * _gram(columns, split, weights) - _gram(split, split, weights))

    def _row_sums(self) -> Array:
        if isinstance(self.loss, Softmax):
            factor: float | None = (self.k - 1) / self.k
        else:
            factor = self.loss.curvature_bound
        if factor is None:
            raise ProblemError(f"{self._name} has no bound of its curvature, so that row sums mean nothing")
        return np.repeat(factor * self.model.row_sums, self.k)

    def product(self, d: Array, support: Array) -> Array:
        X = d.reshape(self.problem.shape)
        rows = np.unique(support // self.k)
        z = self.model.A[:, rows] @ X[rows] if len(rows) < self.model.p else self.model.A @ X
        if isinstance(self.loss, Softmax):
            z = 0.5 * (z - z.mean(axis=1, keepdims=True))
        elif self.loss.curvature_bound is None:
            raise ProblemError(f"{self._name} has no bound of its curvature, which GreedyQuadratic needs")
        else:
            z = self.loss.curvature_bound * z
        z = z if self.model.weights is None else (z.T * self.model.weights).T
        self.problem.counts["columns"] += len(rows) + self.model.p
        found: Array = (self.model.A.T @ z).reshape(-1) + self.term.ridge * d
        return found

    def third_derivative(self, b: Array) -> float:
        if self.exact or not isinstance(self.loss, Logistic | Softmax):
            return super().third_derivative(b)
        squares = np.asarray((self._columns(b) ** 2).sum(axis=1)).ravel()
        spread = sqrt(2) if isinstance(self.loss, Softmax) and len(np.unique(b % self.k)) > 1 else 1.0
        sizes = squares**1.5 if self.model.weights is None else self.model.weights * squares**1.5
        return float(THIRD * spread**3 * sizes.sum())

    def _moved(self, b: Array, d: Array) -> Array:
        """Return A_b d, like z."""
        columns = self._columns(b)
        if len(self.problem.shape) == 1:
            found: Array = columns @ d
            return found
        spread = np.zeros((len(b), self.k))
        spread[np.arange(len(b)), b % self.k] = d
        found = columns @ spread
        return found

    def along(self, state: Any, b: Array, d: Array) -> Line:
        z, weights = state.z, self.model.weights
        move, ridge = self._moved(b, d), self.term.ridge[b]
        slope, curve = float(ridge @ (self.x(state)[b] * d)), float(ridge @ (d * d))
        if self.exact:
            squares = move * move if weights is None else (move.T * (weights * move.T)).T
            return Line(slope + float(np.vdot(state.gradient.reshape(-1)[b], d)), curve + float(squares.sum()))
        start = float(self.loss.value(z, weights))

        def rest(t: float) -> float:
            return float(self.loss.value((z + t * move).astype(z.dtype, copy=False), weights)) - start

        return Line(slope, curve, rest, NOISE * float(np.finfo(z.dtype).eps) * abs(start))

    def _follow(self, state: Any, b: Array, d: Array) -> None:
        state.z += self._moved(b, d.astype(np.float64, copy=False)).astype(state.z.dtype, copy=False)

    def look(self, state: Any, fresh: bool) -> None:
        problem = self.problem
        if fresh:
            state.z = problem.predict(state.x)
        slope = self.model.derivative(state.z)
        state.theta, state.gradient = -slope, np.ascontiguousarray(problem.correlate(slope))
        state.residual = problem.measure(state.x, state.z, state.theta, -state.gradient)


class _Carried(Access):
    """f whose gradient is carried: a step changes it in the coordinates that the block touches."""

    def look(self, state: Any, fresh: bool) -> None:
        if fresh:
            state.gradient = self.problem.gradient(state.x)
        state.residual = self.problem.measure(state.x, None, None, -state.gradient)

    def require_forests(self) -> None:
        if self.candidates.size:
            raise ProblemError(f"Forest needs blocks that are forests, got {self.partition!r}")
        for number in range(len(self.candidates.blocks or ())):
            self.forest(self.candidates.fixed(number))

    @cached_property
    def _forests(self) -> dict[int, tuple[Array, Array, Array]]:
        return {}

    def forest(self, chosen: Chosen) -> tuple[Array, Array, Array]:
        if chosen.number in self._forests:
            return self._forests[chosen.number]
        starts, members = np.array([0, len(chosen.members)], np.int32), chosen.members.astype(np.int32)
        order, parent, edge, cycles = forests_of(self.candidates.graph, starts, members)
        if cycles:
            raise ProblemError(f"a block of {self.partition!r} is no forest: {cycles} edges close a cycle")
        if chosen.number >= 0:
            self._forests[chosen.number] = order, parent, edge
        return order, parent, edge


class QuadraticAccess(_Carried):
    """f(x) = x^T H x / 2 - q^T x + constant."""

    exact = True

    def __init__(self, problem: CompositeProblem, partition: Any) -> None:
        super().__init__(problem, partition)
        H = problem.smooth.H
        self.H = H.T if getattr(H, "format", "") == "csr" else H  # H is symmetric, and columns are asked for

    def _bound(self, b: Array) -> Array:
        part = self.H[:, b][b] if hasattr(self.H, "indptr") else self.H[np.ix_(b, b)]
        return np.array(part.toarray() if hasattr(part, "toarray") else part, np.float64, order="F")

    def _row_sums(self) -> Array:
        return np.asarray(abs(self.H).sum(axis=0)).ravel().astype(np.float64)

    def product(self, d: Array, support: Array) -> Array:
        found = self.H[:, support] @ d[support] if len(support) < self.p else self.H @ d
        self.problem.counts["columns"] += len(support)
        moved: Array = found + self.term.ridge * d
        return moved

    @cached_property
    def _with_ridge(self) -> tuple[Matrix, Array]:
        graph = self.candidates.graph
        return graph, graph.diagonal() + self.term.ridge.astype(graph.dtype)

    def entries(self, state: Any, b: Array) -> tuple[Matrix, Array]:
        return self._with_ridge

    def along(self, state: Any, b: Array, d: Array) -> Line:
        if FEW * len(b) > self.p:  # taking columns out costs more than a product with all
            whole = np.zeros(self.p, self.H.dtype)
            whole[b] = d
            moved = self.H @ whole
        else:
            moved = self.H[:, b] @ d
        curve = float(d @ moved[b]) + float(self.term.ridge[b] @ (d * d))
        return Line(float(self.slope(state)[b] @ d), curve)

    def _follow(self, state: Any, b: Array, d: Array) -> None:
        if FEW * len(b) > self.p:
            state.gradient = self.problem.gradient(state.x)
            return
        columns = self.H[:, b]
        self.problem.counts["columns"] += len(b)
        if hasattr(columns, "indptr"):  # the entries that the columns have, not all of the gradient
            np.add.at(state.gradient, columns.indices, columns.data * np.repeat(d, np.diff(columns.indptr)))
        else:
            state.gradient += columns @ d


class GraphAccess(_Carried):
    """A function on a graph whose edges are not quadratic. Lines cost a pass over all edges."""

    exact = False

    def __init__(self, problem: CompositeProblem, partition: Any) -> None:
        super().__init__(problem, partition)
        self.model: GraphModel = problem.smooth
        self.damped = isinstance(self.model.edges, HuberEdges)
        self._matrix: Any = None

    def _bound(self, b: Array) -> Array:
        return np.array(self.model.pattern[b][:, b].toarray(), np.float64)

    def _row_sums(self) -> Array:
        return np.asarray(abs(self.model.pattern).sum(axis=1)).ravel().astype(np.float64)

    def product(self, d: Array, support: Array) -> Array:
        moved: Array = self.model.pattern @ d + self.term.ridge * d
        return moved

    def _rows(self, state: Any, b: Array) -> Matrix:
        """Return a matrix in which the rows b are those of the Hessian at x."""
        if self._matrix is None:
            self._matrix = self.model.hessian(state.x)
        self.model.update_hessian(state.x, b.astype(np.int32), self._matrix)
        return self._matrix

    def _hessian(self, state: Any, b: Array) -> Array:
        return np.array(self._rows(state, b)[b][:, b].toarray(), np.float64)

    def entries(self, state: Any, b: Array) -> tuple[Matrix, Array]:
        H = self._rows(state, b)
        extra = self.term.ridge + DAMPING * self.curvatures if self.damped else self.term.ridge
        return H, H.diagonal() + extra.astype(H.dtype)

    def along(self, state: Any, b: Array, d: Array) -> Line:
        x, ridge = state.x, self.term.ridge[b]
        start = self.model.value(x)

        def rest(t: float) -> float:
            trial = x.copy()
            trial[b] += (t * d).astype(x.dtype)
            self.problem.counts["columns"] += self.p
            return float(self.model.value(trial)) - start

        noise = NOISE * float(np.finfo(x.dtype).eps) * abs(start)
        return Line(float(ridge @ (x[b] * d)), float(ridge @ (d * d)), rest, noise)

    def _follow(self, state: Any, b: Array, d: Array) -> None:
        if FEW * len(b) > self.p:
            state.gradient = self.problem.gradient(state.x)
            return
        touched = np.unique(np.concatenate([b, self.model.pattern[b].indices])).astype(np.int32)
        self.problem.counts["columns"] += len(touched)
        self.model.update_gradient(state.x, touched, state.gradient)


def _times(columns: Any, factors: Array) -> Any:
    """Return columns whose entries are multiplied by those of (n,) or (n, m)."""
    if not hasattr(columns, "indptr"):
        return columns * (factors if factors.ndim == 2 else factors[:, None])
    if factors.ndim == 1:
        data = columns.data * factors[columns.indices]
    else:
        data = columns.data * factors[columns.indices, np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr))]
    return sp.csc_array((data, columns.indices, columns.indptr), shape=columns.shape)


def _gram(left: Any, right: Any, weights: Array | None = None) -> Array:
    """Return left^T diag(weights) right, (m, m), in float64."""
    found = left.T @ (right if weights is None else _times(right, weights))
    return np.asarray(found.toarray() if hasattr(found, "indptr") else found, np.float64)
