"""Which unknowns form a block: partitions into fixed blocks, and forests chosen anew for each step.

Equal sizes, with L_i the Lipschitz constant of coordinate i of the gradient (or the row sums of abs(H))::

    Consecutive    1 2 3 | 4 5 6 | ...
    Sorted         by L_i, then cut: coordinates of a block have similar L_i; best for greedy rules
    Averaged       smallest, largest, second smallest, second largest, ...: blocks have similar means

On a graph, that of a sparse H, blocks can have a constant part of all unknowns and still be solved in O(n)::

    RedBlack         no two unknowns of a block are neighbours: H_bb is diagonal
    TreePartition    each block induces a forest: H_bb is solved in two sweeps
    GreedyForest     not fixed: a forest of the unknowns with the largest scores, of 65 % of all on a lattice
    RandomForest     not fixed: a forest by a random order

A fixed partition has ``groups(problem)``: the members of the blocks one after the other, and where each block starts;
and ``blocks(problem)``, the same as `Blocks`. The others have ``select(graph, ...)``.

Reference: J. Nutini, I. Laradji and M. Schmidt, Let's make block coordinate descent converge faster, JMLR 23(131) 2022.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent import kernels
from resolvent.errors import ProblemError
from resolvent.problems.blocks import Blocks
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import is_whole, require
from resolvent.typing import Array, Matrix

__all__ = [
    "Averaged",
    "Consecutive",
    "GreedyForest",
    "Partition",
    "RandomForest",
    "RedBlack",
    "Sorted",
    "TreePartition",
    "forests_of",
    "graph_of",
]


PATH = 4
"""Nodes of a path, on average, from which on `TreePartition` keeps paths together."""


class Partition(ABC):
    """Fixed blocks that cover every unknown once."""

    @abstractmethod
    def groups(self, problem: Any) -> tuple[Array, Array]:
        """Return `starts` (K + 1,) and `members` (n,): block k is ``members[starts[k]:starts[k + 1]]``."""

    def blocks(self, problem: Any) -> Blocks:
        """Return the partition as `Blocks`."""
        return Blocks(*self.groups(problem))


@dataclass(frozen=True, kw_only=True)
class Consecutive(Partition):
    """Blocks of consecutive unknowns; the last one may be smaller.

    Parameters
    ----------
    size : int
    """

    size: int

    def __post_init__(self) -> None:
        require(is_whole(self.size, least=1), "size", self.size, "a whole number >= 1")

    def groups(self, problem: Any) -> tuple[Array, Array]:
        return _cut(np.arange(_unknowns(problem), dtype=np.int32), self.size)


@dataclass(frozen=True, kw_only=True)
class Sorted(Partition):
    """Blocks of unknowns with similar curvature.

    Parameters
    ----------
    size : int
    row_sums : bool
        Sort by the row sums of abs(H) in place of L_i.
    """

    size: int
    row_sums: bool = False

    def __post_init__(self) -> None:
        require(is_whole(self.size, least=1), "size", self.size, "a whole number >= 1")

    def groups(self, problem: Any) -> tuple[Array, Array]:
        return _cut(np.argsort(_curvatures(problem, self.row_sums), kind="stable").astype(np.int32), self.size)


@dataclass(frozen=True, kw_only=True)
class Averaged(Partition):
    """Blocks that each have small and large curvatures.

    Parameters
    ----------
    size : int
    row_sums : bool
        Rank by the row sums of abs(H) in place of L_i.
    """

    size: int
    row_sums: bool = False

    def __post_init__(self) -> None:
        require(is_whole(self.size, least=1), "size", self.size, "a whole number >= 1")

    def groups(self, problem: Any) -> tuple[Array, Array]:
        ranked = np.argsort(_curvatures(problem, self.row_sums), kind="stable").astype(np.int32)
        mixed = np.empty_like(ranked)
        half = (len(ranked) + 1) // 2
        mixed[0::2], mixed[1::2] = ranked[:half], ranked[half:][::-1]
        return _cut(mixed, self.size)


@dataclass(frozen=True, kw_only=True)
class RedBlack(Partition):
    """Blocks without neighbours.

    On a grid whose cells have edges along the axes these are two, by the parity of the sum of the indices; on any other
    graph the colours of a greedy colouring, nodes of large curvature first, of the colours allowed the one with the
    fewest nodes.

    Parameters
    ----------
    grid : tuple of int, optional
        Default the problem's own, where it has one whose parity is a colouring.
    """

    grid: tuple[int, ...] | None = None

    def groups(self, problem: Any) -> tuple[Array, Array]:
        graph = graph_of(problem)
        cells = _cells(problem, self.grid, graph.shape[0])
        if cells is not None:
            parity = (np.sum(cells, axis=0) % 2).astype(np.int32)
            rows = np.repeat(np.arange(len(parity)), np.diff(graph.indptr))
            if not ((parity[rows] == parity[graph.indices]) & (rows != graph.indices)).any():
                return _by_label(parity, 2)
            _refuse_grid(self.grid, "neighbours of the same parity")
        label = np.empty(graph.shape[0], np.int32)
        colours = kernels.forests.colour(graph.indices, graph.indptr, _by_weight(problem, graph), label)
        return _by_label(label, colours)


@dataclass(frozen=True, kw_only=True)
class TreePartition(Partition):
    """Blocks that each induce a forest.

    On a grid in two dimensions whose cells have four neighbours these are two combs that lie within each other: the
    first column with every other row, the last column with the rows between. On a graph whose numbering follows paths,
    as that of most meshes does along an axis, whole paths are visited, and each goes into the first forest in which it
    closes no cycle: sweeps over such forests converge as fast as over combs. On any other graph these are single nodes.

    Parameters
    ----------
    grid : tuple of int, optional
        Default the problem's own, where it has one on which combs are forests.
    by_weight : bool
        Visit nodes of large curvature first, up to 6 %, as in the published runs; otherwise in their order. Paths are
        visited in their order.
    """

    grid: tuple[int, ...] | None = None
    by_weight: bool = True

    def groups(self, problem: Any) -> tuple[Array, Array]:
        graph = graph_of(problem)
        n = graph.shape[0]
        cells = _cells(problem, self.grid, n)
        if cells is not None and len(cells) == 2:
            found = _by_label(_combs(*cells), 2)
            if not forests_of(graph, *found)[-1]:
                return found
            _refuse_grid(self.grid, "edges that close a cycle in a comb")
        first = _path_starts(graph)
        if PATH * len(first) <= n:
            return _whole_paths(graph, first)
        order = _by_weight(problem, graph) if self.by_weight else np.arange(n, dtype=np.int32)
        label = np.empty(n, np.int32)
        return _by_label(label, kernels.forests.tree_partition(graph.indices, graph.indptr, order, label))


@dataclass(frozen=True, kw_only=True)
class GreedyForest:
    """A maximal forest of the unknowns with the largest scores.

    Parameters
    ----------
    exact : bool
        Sort the scores. Otherwise scores that differ by less than one part in 16 may change places, which costs a
        twentieth of the time of sorting.
    """

    exact: bool = False

    def select(self, graph: Matrix, scores: Array) -> Array:
        """Return the members (m,), those with the largest scores first.

        Parameters
        ----------
        graph : csr_array (n, n)
            As `graph_of` returns it.
        scores : array (n,)
            >= 0.
        """
        if self.exact:
            order = np.argsort(-scores, kind="stable").astype(np.int32)
        else:
            order = np.empty(len(scores), np.int32)
            kernels.forests.order_by_score(scores, order)
        return _forest(graph, order)


@dataclass(frozen=True, kw_only=True)
class RandomForest:
    """A maximal forest by a random order, for comparisons."""

    def select(self, graph: Matrix, rng: np.random.Generator) -> Array:
        """Return the members (m,)."""
        return _forest(graph, rng.permutation(graph.shape[0]).astype(np.int32))


def graph_of(problem: Any) -> Matrix:
    """Return a CSR matrix (n, n) with the sparsity of the Hessian of the smooth part, indices in int32.

    Parameters
    ----------
    problem : LinearSystem, graph model, quadratic, or a problem whose `smooth` is one of the last two

    Raises
    ------
    ProblemError
        The problem has no sparse matrix.
    """
    smooth = getattr(problem, "smooth", problem)
    if hasattr(smooth, "pattern"):
        return smooth.pattern
    H = smooth.A if isinstance(smooth, LinearSystem) else getattr(smooth, "H", None)
    if H is None or not (isinstance(H, np.ndarray) or hasattr(H, "tocsr")):
        what = type(smooth).__name__ if H is None else f"{type(smooth).__name__} with a {type(H).__name__}"
        raise ProblemError(f"partitions by a graph need the entries of a matrix, got a {what}")
    graph = sp.csr_array(H.tocsr() if hasattr(H, "tocsr") else H)
    if not graph.has_canonical_format:
        graph = graph.copy()
        graph.sum_duplicates()
    if graph.indices.dtype != np.int32 and graph.nnz < np.iinfo(np.int32).max:
        arrays = (graph.data, graph.indices.astype(np.int32), graph.indptr.astype(np.int32))
        graph = sp.csr_array(arrays, shape=graph.shape)
    return graph


def forests_of(graph: Matrix, starts: Array, members: Array) -> tuple[Array, Array, Array, int]:
    """Return order, parents, edges and the number of edges that close a cycle, see `kernels.reference.forests`."""
    n = graph.shape[0]
    order, parent, edge = np.empty((3, len(members)), np.int32)
    place = np.full(n, -1, np.int32)
    cycles = kernels.forests.forest_order(graph.indices, graph.indptr, starts, members, place, order, parent, edge)
    return order, parent, edge, cycles


def _unknowns(problem: Any) -> int:
    smooth = getattr(problem, "smooth", problem)
    if isinstance(smooth, LinearSystem):
        return len(smooth.b)
    for name in ("p", "n"):  # of a linear model n is the number of samples
        if hasattr(smooth, name):
            return int(getattr(smooth, name))
    return int(smooth.H.shape[0])


def _curvatures(problem: Any, row_sums: bool) -> Array:
    """Return L_i, or the row sums of abs(H)."""
    smooth = getattr(problem, "smooth", problem)
    if row_sums:
        return np.asarray(abs(graph_of(problem)).sum(axis=1)).ravel()
    found = getattr(smooth, "bounds", getattr(smooth, "lipschitz", None))  # of a graph, once for all right-hand sides
    if found is not None:
        return np.asarray(found)
    return np.asarray(abs(graph_of(problem).diagonal()))


def _by_weight(problem: Any, graph: Matrix) -> Array:
    order = np.empty(graph.shape[0], np.int32)
    kernels.forests.order_by_score(_curvatures(problem, False), order)
    return order


def _cells(problem: Any, given: tuple[int, ...] | None, n: int) -> tuple[Array, ...] | None:
    """Return the index of each unknown along each axis of the grid, None where there is no grid."""
    smooth = getattr(problem, "smooth", problem)
    grid = getattr(smooth, "grid", None) if given is None else given
    if grid is None:
        return None
    free = getattr(smooth, "free", None)
    cells = np.arange(n) if free is None else free
    whole = n if free is None else n + len(smooth.fixed)
    if prod(grid) != whole:
        raise ProblemError(f"grid {grid} has {prod(grid)} cells, expected {whole}, the number of nodes")
    return tuple(np.unravel_index(cells, grid))


def _path_starts(graph: Matrix) -> Array:
    """Return where the numbering starts a new path: node i goes on where i - 1 is its one neighbour on the path."""
    n, indices = graph.shape[0], graph.indices
    starts = np.append(True, graph.diagonal(-1) == 0)
    path = np.cumsum(starts, dtype=np.int32)
    inside = path[indices] == np.repeat(path, np.diff(graph.indptr))
    if np.count_nonzero(inside) > np.count_nonzero(graph.diagonal()) + 2 * (n - path[-1]):  # some path closes a cycle
        rows = np.repeat(np.arange(n, dtype=np.int32), np.diff(graph.indptr))
        starts[rows[inside & (indices < rows - 1)]] = True
    return np.flatnonzero(starts).astype(np.int32)


def _whole_paths(graph: Matrix, first: Array) -> tuple[Array, Array]:
    """Return forests that are made of whole paths, the rows from `first` on up to the next."""
    counts = np.diff(first, append=graph.shape[0])
    path = np.repeat(np.arange(len(first), dtype=np.int32), counts)
    label = np.empty(len(first), np.int32)
    between = (path[graph.indices], np.append(graph.indptr[first], graph.nnz).astype(np.int32))
    count = kernels.forests.tree_partition(*between, np.arange(len(first), dtype=np.int32), label)
    return _by_label(label[path], count)


def _combs(row: Array, column: Array) -> Array:
    last = column.max(initial=0)
    first = (column == 0) | ((row % 2 == 0) & (column != last))
    label: Array = np.where(first, 0, 1).astype(np.int32)
    return label


def _refuse_grid(given: tuple[int, ...] | None, why: str) -> None:
    """Raise where the user gave the grid; the problem's own may be passed over."""
    if given is not None:
        raise ProblemError(f"the graph does not fit the grid {given}: it has {why}")


def _by_label(label: Array, count: int) -> tuple[Array, Array]:
    """Return the blocks of equal label, in the order of the labels."""
    narrow = label.astype(np.uint16) if count < 2**16 else label  # NumPy sorts these in O(n)
    members = np.argsort(narrow, kind="stable").astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(label, minlength=count))]).astype(np.int32)
    return starts, members


def _cut(members: Array, size: int) -> tuple[Array, Array]:
    starts = np.append(np.arange(0, len(members), size), len(members)).astype(np.int32)
    return starts, members


def _forest(graph: Matrix, order: Array) -> Array:
    members = np.empty(graph.shape[0], np.int32)
    return members[: kernels.forests.greedy_forest(graph.indices, graph.indptr, order, members)]
