"""Functions on graphs: sums over edges and nodes, some nodes held fixed.

With W the symmetric matrix of the weights, and for the free nodes x_1, ..., x_n::

    f(x) = sum_{edges i j} w_ij phi(x_i - x_j) + sum_i psi_i(x_i)

An edge to a fixed node takes its value; edges between fixed nodes are constant and left out. phi is an edge loss
(`QuadraticEdges`, `HuberEdges`, `LogCoshEdges`), psi a unary term (`Towards`, `LogisticLabels`) or nothing. Label
propagation of several classes is several right-hand sides: values of shape (m, k) make x of shape (n, k).

A model is the smooth part of a `CompositeProblem`, beside bounds or an L1 norm. With quadratic edges it is
x^T H x / 2 - q^T x + constant with a sparse H: `GraphQuadratic`.

Reference: X. Zhu, Z. Ghahramani and J. Lafferty, Semi-supervised learning using Gaussian fields and harmonic functions,
ICML 2003 (label propagation).
"""

from __future__ import annotations

import copy
from functools import cached_property
from math import prod
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from resolvent import kernels
from resolvent.errors import ProblemError
from resolvent.problems.graph_terms import (
    EdgeLoss,
    HuberEdges,
    LogCoshEdges,
    LogisticLabels,
    QuadraticEdges,
    Towards,
    Unary,
    finite_numbers,
)
from resolvent.problems.linear import LinearSystem
from resolvent.typing import Array, Matrix

__all__ = [
    "GraphModel",
    "GraphQuadratic",
    "HuberEdges",
    "LogCoshEdges",
    "LogisticLabels",
    "QuadraticEdges",
    "Towards",
]


class GraphModel:
    """f(x) = sum over edges of w_ij phi(x_i - x_j) + sum over nodes of psi_i(x_i).

    Parameters
    ----------
    W : sparse matrix or array (N, N)
        Weights >= 0, symmetric; a diagonal is passed over.
    fixed : array_like of int or bool, optional
        The nodes that are held at `values`.
    values : array_like (m,) or (m, k), optional
        In the order of `fixed`.
    edges : edge loss, optional
        Default `QuadraticEdges()`.
    unary : unary term, optional
    grid : tuple of int, optional
        The grid whose cells are the nodes, in C order; partitions use it.

    Attributes
    ----------
    n, responses : int
        Free nodes, and right-hand sides k.
    free : array (n,) of int
        The free nodes.
    fixed_values : array (m,) or (m, k)
    convex : bool
        True.

    Raises
    ------
    ProblemError
        W is not square, symmetric, finite and >= 0; `fixed` and `values` do not fit; no node is free.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems.graphs import GraphModel, HuberEdges
    >>> path = np.diag([1.0, 1.0], 1)
    >>> model = GraphModel(path + path.T, fixed=[0, 2], values=[0.0, 4.0], edges=HuberEdges(1.0))
    >>> model.value(np.array([1.0])), model.gradient(np.array([1.0]))
    (3.0, array([0.]))
    """

    convex: ClassVar[bool] = True

    def __init__(
        self,
        W: Matrix,
        fixed: Any = None,
        values: Any = None,
        *,
        edges: EdgeLoss | None = None,
        unary: Unary | None = None,
        grid: tuple[int, ...] | None = None,
    ) -> None:
        graph = _read_graph(W)
        size = graph.shape[0]
        self.edges: EdgeLoss = QuadraticEdges() if edges is None else edges
        self.grid = None if grid is None else tuple(grid)
        if self.grid is not None and prod(self.grid) != size:
            raise ProblemError(f"grid {self.grid} has {prod(self.grid)} cells, expected {size}, the order of W")
        self.dtype = graph.dtype
        self.fixed, self.free = _read_fixed(fixed, size)
        self.n = len(self.free)
        self.fixed_values = _read_values(values, len(self.fixed), self.dtype)
        self.responses = _responses(self.fixed_values, unary)
        self.unary = None if unary is None else unary.on(self.free, size, self.responses)
        rows = sp.csr_array(graph[self.free][:, np.concatenate([self.free, self.fixed])])
        rows.sort_indices()
        self.weights, self.columns, self.pointers = rows.data, _narrow(rows.indices), _narrow(rows.indptr)
        self._all = np.arange(self.n, dtype=np.int32)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of x: (n,) or (n, k)."""
        columnwise = self.fixed_values.ndim == 2 or self.responses > 1
        return (self.n, self.responses) if columnwise else (self.n,)

    def astype(self, dtype: Any) -> Self:
        """Return the model in float32 or float64, itself where it is that."""
        if self.dtype == dtype:
            return self
        other = copy.copy(self)
        for name in ("bounds", "pattern", "floating"):
            other.__dict__.pop(name, None)
        other.dtype = np.dtype(dtype)
        other.weights, other.fixed_values = self.weights.astype(dtype), self.fixed_values.astype(dtype)
        return other

    @cached_property
    def _places(self) -> tuple[Array, Array, Array, Array]:
        """Indices and indptr of the Hessian, where each edge goes in it, and where its diagonal stands."""
        inside = self.columns < self.n
        rows = np.repeat(self._all, np.diff(self.pointers))
        inner, columns = rows[inside], self.columns[inside]
        slots = np.full(len(self.columns), -1, np.int32)
        slots[inside] = np.arange(len(inner)) + inner + (columns > inner)  # a diagonal entry a row comes in between
        counts = np.bincount(inner, minlength=self.n) + 1
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        before = np.bincount(inner[columns < inner], minlength=self.n)
        diagonal = (indptr[:-1] + before).astype(np.int32)
        indices = np.empty(len(inner) + self.n, np.int32)
        indices[slots[inside]], indices[diagonal] = columns, self._all
        return indices, indptr, slots, diagonal

    @cached_property
    def bounds(self) -> Array:
        """An upper bound of each diagonal entry of the Hessian for one right-hand side, (n,)."""
        rows = np.repeat(self._all, np.diff(self.pointers))
        bounds = np.bincount(rows, self.weights, self.n)
        if self.unary is not None:
            bounds = bounds + self.unary.bound[:, 0]
        return bounds.astype(self.dtype)

    @property
    def lipschitz(self) -> Array:
        """An upper bound of each diagonal entry of the Hessian, like x."""
        return self.bounds if len(self.shape) == 1 else np.repeat(self.bounds[:, None], self.responses, axis=1)

    @cached_property
    def pattern(self) -> Matrix:
        """A CSR matrix (n, n) with the pattern of the Hessian, and entries that bound it where phi'' = 1."""
        indices, indptr, slots, diagonal = self._places
        data = np.zeros(len(indices), self.dtype)
        inside = slots >= 0
        data[slots[inside]] = -self.weights[inside]
        data[diagonal] = self.bounds
        return sp.csr_array((data, indices, indptr), shape=(self.n, self.n))

    def everywhere(self, x: Array) -> Array:
        """Return the values of free and fixed nodes, in this order, (N, k)."""
        top = x.reshape(self.n, -1)
        rest = np.empty((len(self.fixed), top.shape[1]), x.dtype)
        rest[:] = self.fixed_values if self.fixed_values.ndim == 2 else self.fixed_values[:, None]
        return np.concatenate([top, rest])

    def expand(self, x: Array) -> Array:
        """Return x on all nodes in their own order, (N,) or (N, k)."""
        whole = self.everywhere(x)
        out = np.empty_like(whole)
        out[self.free], out[self.fixed] = whole[: self.n], whole[self.n :]
        expanded: Array = out.reshape(len(out), *x.shape[1:])
        return expanded

    def value(self, x: Array) -> float:
        """Return f(x). Work: one pass over the edges."""
        X, phi = self.everywhere(x), self.edges
        total = kernels.edges.edge_value(self.weights, self.columns, self.pointers, phi.kind, phi.parameter, X)
        return float(total) + (0.0 if self.unary is None else self.unary.value(X[: self.n]))

    def gradient(self, x: Array) -> Array:
        """Return the gradient, like x. Work: one pass over the edges."""
        out = np.empty_like(x)
        self.update_gradient(x, self._all, out)
        return out

    def update_gradient(self, x: Array, nodes: Array, out: Array) -> None:
        """Write the entries of the gradient at `nodes` into `out`, which is like x.

        Work: the edges of `nodes`, and a pass over x.
        """
        X, phi, by_column = self.everywhere(x), self.edges, out.reshape(self.n, -1)
        rest = (nodes, X, by_column)
        kernels.edges.edge_gradient(self.weights, self.columns, self.pointers, phi.kind, phi.parameter, *rest)
        if self.unary is not None:
            by_column[nodes] += self.unary.slope(X[: self.n])[nodes]

    def hessian(self, x: Array, response: int = 0) -> Matrix:
        """Return the Hessian for one right-hand side, CSR (n, n); its pattern is always the same."""
        indices, indptr, _, _ = self._places
        H = sp.csr_array((np.zeros(len(indices), self.dtype), indices, indptr), shape=(self.n, self.n))
        self.update_hessian(x, self._all, H, response)
        return H

    def update_hessian(self, x: Array, nodes: Array, H: Matrix, response: int = 0) -> None:
        """Write the rows `nodes` of the Hessian into H, as `hessian` returns it.

        Work: the edges of `nodes`, and a pass over x.
        """
        _, _, slots, diagonal = self._places
        X, phi = self.everywhere(x), self.edges
        where = (nodes, slots, diagonal, X, response, H.data)
        kernels.edges.edge_curvature(self.weights, self.columns, self.pointers, phi.kind, phi.parameter, *where)
        if self.unary is not None:
            H.data[diagonal[nodes]] += self.unary.curvature(X[: self.n])[nodes, response]

    def __repr__(self) -> str:
        edges = int((self.columns < self.n).sum()) // 2
        loss = type(self.edges).__name__
        return f"<{type(self).__name__}, {self.n} free and {len(self.fixed)} fixed nodes, {edges} edges, {loss}>"


class GraphQuadratic(GraphModel):
    """f(x) = sum over edges of w_ij (x_i - x_j)^2 / 2 + sum over nodes of a_i (x_i - c_i)^2 / 2.

    The parameters are those of `GraphModel`, without `edges`; `unary` is `Towards` or None.

    Attributes
    ----------
    H : csr_array (n, n)
        Symmetric; positive definite where each component has an edge to a fixed node or a unary weight.
    q : array (n,) or (n, k)
    constant : float
        f(x) = x^T H x / 2 - q^T x + constant.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems.graphs import GraphQuadratic
    >>> from resolvent.solvers import ConjugateGradient
    >>> path = np.diag(np.ones(4), 1)
    >>> graph = GraphQuadratic(path + path.T, fixed=[0, 4], values=[0.0, 4.0])
    >>> x = rs.solve(graph.linear_system(), ConjugateGradient()).x
    >>> graph.expand(x).round(6)
    array([0., 1., 2., 3., 4.])
    """

    def __init__(
        self,
        W: Matrix,
        fixed: Any = None,
        values: Any = None,
        *,
        unary: Towards | None = None,
        grid: tuple[int, ...] | None = None,
    ) -> None:
        if not isinstance(unary, Towards | None):
            raise ProblemError(f"unary is a {type(unary).__name__}, expected Towards or None; GraphModel takes others")
        super().__init__(W, fixed, values, unary=unary, grid=grid)
        zero = np.zeros((self.n, self.responses), self.dtype)
        self.H = self.pattern  # the bounds are attained
        q = -self.gradient(zero)
        self.q = q.reshape(self.shape)
        self.constant = self.value(zero)

    def astype(self, dtype: Any) -> Self:
        other = super().astype(dtype)
        if other is not self:
            other.H, other.q = other.pattern, self.q.astype(dtype)
        return other

    def linear_system(self, response: int = 0) -> LinearSystem:
        """Return H x = q for one right-hand side.

        Components that nothing holds make H singular; they are handed on as its null space.
        """
        q = self.q.reshape(self.n, -1)[:, response]
        return LinearSystem(self.H, q, spd=True, null_space=self.floating, name="graph", dtype=self.dtype)

    @cached_property
    def floating(self) -> Array | None:
        """Indicators (k, n) of the components without a fixed neighbour or unary weight; None where there are none."""
        count, label = connected_components(self.H, directed=False)
        rows = np.repeat(self._all, np.diff(self.pointers))
        out = self.columns >= self.n
        held = np.bincount(label[rows[out]], self.weights[out], count)
        if self.unary is not None:
            held += np.bincount(label, self.unary.bound[:, 0], count)
        loose = np.flatnonzero(held == 0)
        return (label == loose[:, None]).astype(self.dtype) if len(loose) else None


def _read_graph(W: Matrix) -> Matrix:
    """Return W as a CSR array without diagonal and zeros."""
    if not sp.issparse(W):
        W = np.asarray(W)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or W.dtype.kind not in "fiub":
        raise ProblemError(f"W has shape {W.shape} and dtype {W.dtype}, expected a square matrix of weights")
    graph = sp.csr_array(W, dtype=np.float32 if W.dtype == np.float32 else np.float64, copy=True)
    graph.sum_duplicates()
    if not np.isfinite(graph.data).all() or (graph.data < 0).any():
        raise ProblemError("W has a weight that is negative, nan or inf, expected weights >= 0")
    apart = abs(graph - graph.T).max() if graph.nnz else 0
    if apart > 1e-6 * graph.data.max(initial=0):
        raise ProblemError(f"W and W^T differ by {apart:.3e}, expected a symmetric W; (W + W.T) / 2 is one")
    coordinates = graph.tocoo()
    row, column = coordinates.coords if hasattr(coordinates, "coords") else (coordinates.row, coordinates.col)
    kept = (row != column) & (coordinates.data > 0)
    return sp.csr_array((coordinates.data[kept], (row[kept], column[kept])), shape=graph.shape)


def _read_fixed(fixed: Any, size: int) -> tuple[Array, Array]:
    """Return the fixed and the free nodes."""
    nodes = np.asarray([] if fixed is None else fixed)
    if nodes.dtype == bool:
        if nodes.shape != (size,):
            raise ProblemError(f"fixed has shape {nodes.shape}, expected ({size},) or indices")
        nodes = np.flatnonzero(nodes)
    if nodes.ndim != 1 or (len(nodes) and nodes.dtype.kind not in "iu"):
        raise ProblemError(f"fixed has shape {nodes.shape} and dtype {nodes.dtype}, expected indices of nodes")
    nodes = nodes.astype(np.int64)
    free = np.ones(size, bool)
    if len(nodes) and (nodes.min() < 0 or nodes.max() >= size or len(np.unique(nodes)) < len(nodes)):
        raise ProblemError(f"fixed has an index twice, or one outside of 0 to {size - 1}")
    free[nodes] = False
    if not free.any():
        raise ProblemError(f"all {size} nodes are fixed, expected one that is free")
    return nodes, np.flatnonzero(free)


def _read_values(values: Any, count: int, dtype: Any) -> Array:
    given = np.zeros(0) if values is None else finite_numbers(values, "values")
    if given.ndim not in (1, 2) or len(given) != count:
        raise ProblemError(
            f"values has shape {given.shape}, expected ({count},) or ({count}, k), one for each of fixed"
        )
    return given.astype(dtype)


def _responses(values: Array, unary: Unary | None) -> int:
    """Return the number of right-hand sides that fixed values and unary term have in common."""
    numbers = {1 if values.ndim == 1 else values.shape[1]} if len(values) else set()
    numbers |= {unary.responses} if unary is not None else set()
    if len(numbers - {1}) > 1:
        raise ProblemError(f"fixed values and unary term have {sorted(numbers)} right-hand sides, expected the same")
    return int(max(numbers, default=1))


def _narrow(indices: Array) -> Array:
    return indices.astype(np.int32) if len(indices) < np.iinfo(np.int32).max else indices
