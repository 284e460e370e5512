"""Quadratics on graphs: a lattice with a few fixed nodes, and label propagation between two moons.

Both are recipes of Nutini, Laradji and Schmidt, Let's make block coordinate descent converge faster, JMLR 23(131) 2022
(their data D and E). Their draws are not published; these are seeded draws of the same recipe.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

from resolvent.errors import ProblemError
from resolvent.problems.checks import require_size
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.graphs import GraphQuadratic
from resolvent.problems.term_base import Term
from resolvent.problems.terms import NoTerm
from resolvent.typing import Array, Matrix

__all__ = ["lattice", "lattice_graph", "lattice_weights", "two_moons", "two_moons_graph"]


def lattice(
    grid: tuple[int, ...] = (50, 50),
    weight: float = 1e5,
    labelled: float = 0.04,
    seed: int = 0,
    term: Term | None = None,
) -> CompositeProblem:
    """Return `lattice_graph` with a term, such as bounds or an L1 norm; default none."""
    graph = lattice_graph(grid, weight, labelled, seed)
    return CompositeProblem(smooth=graph, term=NoTerm() if term is None else term, name="lattice")


def two_moons(points: int = 2000, seed: int = 0, term: Term | None = None) -> CompositeProblem:
    """Return `two_moons_graph`, five neighbours a point and one in twenty labelled, with a term; default none."""
    graph = two_moons_graph(points, labelled=max(1, points // 20), seed=seed)
    return CompositeProblem(smooth=graph, term=NoTerm() if term is None else term, name="two moons")


def lattice_weights(grid: tuple[int, ...], weight: float = 1.0) -> Matrix:
    """Return the weights (N, N) of a grid on which each cell has an edge to its neighbours along each axis."""
    cells = np.arange(int(np.prod(grid))).reshape(grid)
    head, tail = [], []
    for axis in range(len(grid)):
        head.append(np.delete(cells, -1, axis).ravel())
        tail.append(np.delete(cells, 0, axis).ravel())
    i, j = np.concatenate(head), np.concatenate(tail)
    entries = np.full(2 * len(i), float(weight))
    return sp.csr_array((entries, (np.concatenate([i, j]), np.concatenate([j, i]))), shape=(cells.size, cells.size))


def lattice_graph(
    grid: tuple[int, ...] = (50, 50), weight: float = 1e5, labelled: float = 0.04, seed: int = 0
) -> GraphQuadratic:
    """Return sum over edges of weight (x_i - x_j)^2 / 2 on a lattice, some nodes fixed at 10 times a normal number.

    Parameters
    ----------
    grid : tuple of int
        50 x 50 nodes have 2400 unknowns, 300 x 300 have 86,400.
    weight : float
    labelled : float
        The part of the nodes that is fixed, in (0, 1).
    seed : int
    """
    for extent in grid:
        require_size(extent, "an extent of the grid", 1)
    if not 0 < labelled < 1:
        raise ProblemError(f"labelled is {labelled!r}, expected a number between 0 and 1")
    rng = np.random.default_rng(seed)
    size = int(np.prod(grid))
    fixed = np.sort(rng.choice(size, max(1, round(labelled * size)), replace=False))
    values = 10 * rng.standard_normal(len(fixed))
    return GraphQuadratic(lattice_weights(grid, weight), fixed, values, grid=tuple(grid))


def two_moons_graph(
    points: int = 2000, neighbours: int = 5, labelled: int = 100, variance: float = 0.04, seed: int = 0
) -> GraphQuadratic:
    """Return label propagation between two interlocking half circles, labels 1 and 2.

    Each point has an edge of weight 1 to its nearest neighbours, and to those whose nearest it is. 2000 points with 100
    labels have 1900 unknowns.

    Parameters
    ----------
    points, neighbours, labelled : int
    variance : float
        Of the noise in each coordinate.
    seed : int
    """
    require_size(neighbours, "neighbours", 1)
    require_size(points, "points", neighbours + 1)
    require_size(labelled, "labelled", 1)
    rng = np.random.default_rng(seed)
    places, label = _moons(points, variance, rng)
    _, near = cKDTree(places).query(places, neighbours + 1)
    head = np.repeat(np.arange(points), neighbours)
    W = sp.csr_array((np.ones(len(head)), (head, near[:, 1:].ravel())), shape=(points, points))
    W.sum_duplicates()
    fixed = np.sort(rng.choice(points, labelled, replace=False))
    return GraphQuadratic(W.maximum(W.T), fixed, label[fixed])


def _moons(points: int, variance: float, rng: np.random.Generator) -> tuple[Array, Array]:
    first = points // 2
    angle = np.concatenate([np.linspace(0, np.pi, first), np.linspace(0, np.pi, points - first)])
    label = np.repeat([1.0, 2.0], [first, points - first])
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    places = np.where(label[:, None] == 1, upper, lower) + np.sqrt(variance) * rng.standard_normal((points, 2))
    return places, label
