"""What rules and updates of block coordinate descent see of a composite problem.

The smooth part is written h(x) = f(x) + sum_i ridge_i x_i^2 / 2, the quadratic part of the term with f; what is left of
the term has kinks or bounds: ``weight_i abs(x_i)`` with lower_i <= x_i <= upper_i. For a block b:

    slope      the gradient of h, whose entries in b are those of the block's model
    bound      a matrix H_b with h(x + U_b d) <= h(x) + slope_b^T d + d^T H_b d / 2 for all x and d
    hessian    the second derivative of h in the block at x
    along      h on a line, with all products made beforehand: a trial step costs a pass over the predictions
    take       moves x, and the predictions or the gradient with it

x and gradients are flat here; a coordinate is a place in ``x.ravel()``. Matrices of blocks are in float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from scipy.linalg import lapack

from resolvent import kernels
from resolvent.errors import ProblemError
from resolvent.problems.blocks import Blocks
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.term_base import ByCoordinate
from resolvent.solvers.base import is_whole, require
from resolvent.solvers.composite.partitions import GreedyForest, RandomForest, graph_of
from resolvent.typing import Array, Matrix

__all__ = ["Access", "BlockTerm", "Candidates", "Chosen", "Factor", "Line", "Variable", "largest_eigenvalue"]

PIVOT = 1e-11
"""A block whose smallest squared pivot is below this part of its unit diagonal counts as singular."""

DAMPING = 1e-4
"""Of the bound of the curvature in each coordinate, where Hessians are damped. From 1e-4 to 1e-3 the steps on a lattice
with Huber edges differ by 1 %; without, the residual is 30 times as large after 600 steps."""

ULPS = 4
"""Steps of at most so many roundings of an entry count as none."""

NOISE = 8
"""Roundings of the value that a line search forgives."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """Every set of `size` coordinates is a block; in place of a partition.

    Parameters
    ----------
    size : int
        Problems of fewer unknowns have one block.
    """

    size: int

    def __post_init__(self) -> None:
        require(is_whole(self.size, least=1), "size", self.size, "a whole number >= 1")


@dataclass(frozen=True, eq=False)
class Chosen:
    """The block of a step.

    Attributes
    ----------
    members : array of int
    number : int
        Its place among fixed blocks, -1 where blocks are chosen anew.
    """

    members: Array
    number: int = -1


class Candidates:
    """The blocks among which a rule chooses.

    Attributes
    ----------
    blocks : Blocks or None
        Fixed blocks.
    size : int
        Of variable blocks, 0 where there are others.
    forest : GreedyForest, RandomForest or None
    """

    def __init__(self, partition: Any, problem: CompositeProblem, access: Access) -> None:
        p = access.p
        self._problem, self.p = problem, p
        self.size = min(partition.size, p) if isinstance(partition, Variable) else 0
        self.forest = partition if isinstance(partition, GreedyForest | RandomForest) else None
        self.blocks: Blocks | None = None
        if not self.size and self.forest is None:
            unknowns = problem if len(problem.shape) == 1 else access  # which counts every entry of an x of rows
            self.blocks = partition if isinstance(partition, Blocks) else partition.blocks(unknowns)
            self.blocks.require_cover(p)

    @cached_property
    def graph(self) -> Matrix:
        """The pattern of the Hessian, CSR."""
        return graph_of(self._problem)

    @property
    def count(self) -> int:
        """How many blocks cover all coordinates, about."""
        if self.blocks is not None:
            return len(self.blocks)
        return -(-self.p // self.size) if self.size else 2

    def fixed(self, number: int) -> Chosen:
        """Return a fixed block."""
        assert self.blocks is not None
        return Chosen(self.blocks[number], number)

    def best(self, scores: Array) -> Chosen:
        """Return the block with the largest sum of scores; of forests a maximal one of large scores.

        Cost: one pass; of forests one over the graph.
        """
        if self.blocks is not None:
            sums = np.add.reduceat(scores[self.blocks.indices], self.blocks.pointers[:-1])
            return self.fixed(int(np.argmax(sums)))
        if self.size:
            return Chosen(self.largest(scores))
        assert isinstance(self.forest, GreedyForest)
        return Chosen(self.forest.select(self.graph, scores))

    def largest(self, scores: Array) -> Array:
        """Return the places of the largest scores, as many as a variable block has, in order."""
        if self.size == self.p:
            return np.arange(self.p)
        return np.sort(np.argpartition(-scores, self.size - 1)[: self.size])

    def random(self, rng: np.random.Generator) -> Chosen:
        """Return a block, each as likely as any other."""
        if self.blocks is not None:
            return self.fixed(int(rng.integers(len(self.blocks))))
        if self.size:
            return Chosen(np.sort(rng.choice(self.p, self.size, replace=False)))
        assert isinstance(self.forest, RandomForest)
        return Chosen(self.forest.select(self.graph, rng))


class Factor:
    """A symmetric matrix to solve with: by Cholesky, or by absolute eigenvalues where it is singular or indefinite.

    The matrix is scaled to a unit diagonal first. With absolute eigenvalues it is replaced by a larger one, which is a
    bound where it was; directions without curvature stay. Cost: m^3 / 3 flops, 9 m^3 with eigenvalues.
    """

    def __init__(self, H: Array) -> None:
        diagonal = np.abs(H.diagonal())
        self._scale = np.where(diagonal > 0, 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1)), 0)
        scaled = H * self._scale * self._scale[:, None]
        scaled[np.diag_indices_from(scaled)] += diagonal == 0
        self._lower, info = lapack.dpotrf(scaled, lower=1, clean=1)
        self._regular = info == 0 and bool((self._lower.diagonal() ** 2).min(initial=1.0) > PIVOT)
        if not self._regular:
            values, self._vectors = np.linalg.eigh(scaled)
            size = np.abs(values)
            large = size > PIVOT * size.max(initial=0.0)
            self._inverse = np.where(large, 1 / np.where(large, size, 1), 0)

    def solve(self, r: Array) -> Array:
        """Return the solution with the right-hand side r."""
        right = self._scale * r
        if self._regular:
            found: Array = lapack.dpotrs(self._lower, right, lower=1)[0] if len(r) else right
        else:
            found = self._vectors @ (self._inverse * (self._vectors.T @ right))
        return self._scale * found

    @cached_property
    def root(self) -> Array:
        """A matrix W with W^T W the inverse, so that norm2(W r)^2 is r^T H^-1 r."""
        if self._regular:
            inverse = lapack.dtrtri(self._lower, lower=1)[0]
        else:
            inverse = np.sqrt(self._inverse)[:, None] * self._vectors.T
        found: Array = inverse * self._scale
        return found


def largest_eigenvalue(H: Array) -> float:
    """Return the largest absolute eigenvalue."""
    return float(np.abs(np.linalg.eigvalsh(H)).max(initial=0.0))


class BlockTerm:
    """The term without its quadratic part, coordinate by coordinate.

    Attributes
    ----------
    weight, ridge, lower, upper : array (p,)
    smooth : bool
        Whether nothing is left of the term without its quadratic part.
    convex : bool
    """

    def __init__(self, problem: CompositeProblem) -> None:
        if not isinstance(problem.term, ByCoordinate):
            raise ProblemError(
                f"BlockCoordinateDescent needs a term by coordinate with a formula, got {type(problem.term).__name__}"
            )
        p = problem.term.parameters(problem.shape)
        size = prod(problem.shape)
        self.kind, self.gamma, self.convex = p.kind, p.gamma, problem.term.convex
        whole = (np.array(np.broadcast_to(values, size)) for values in p[1:5])
        self.weight, self.ridge, self.lower, self.upper = whole
        free = np.isneginf(self.lower) & np.isposinf(self.upper)
        self.smooth = bool(not self.weight.any() and free.all())

    def prox(self, v: Array, step: float, b: Array) -> Array:
        """Return the proximal points of v, the entries of b."""
        out, steps = np.empty(len(v)), np.full(len(v), step)
        if self.kind:
            kernels.prox.bent_prox(v, steps, self.kind, self.weight[b], self.gamma, out)
        else:
            zero = np.zeros(len(v))
            kernels.prox.prox(v, steps, self.weight[b], zero, self.lower[b], self.upper[b], out)
        return out

    def change(self, x: Array, new: Array, b: Array) -> float:
        """Return by how much the term grows where the entries of b, x, become new ones inside the bounds."""
        if self.kind:
            values = (kernels.prox.bent_value(v, self.kind, self.weight[b], self.gamma) for v in (new, x))
            return float(next(values) - next(values))
        return float(self.weight[b] @ np.where(x * new > 0, np.sign(x) * (new - x), np.abs(new) - np.abs(x)))

    def model(self, b: Array) -> tuple[Array, Array, Array, Array]:
        """Return what kernels of coordinate descent take: weight, a ridge of zero, lower and upper."""
        return self.weight[b], np.zeros(len(b)), self.lower[b], self.upper[b]


@dataclass(frozen=True, eq=False)
class Line:
    """h on a line: ``change(t)`` is h(x + t d) - h(x).

    Attributes
    ----------
    slope, curve : float
        First and second derivative at t = 0 of the part that is quadratic: all of h where `rest` is None.
    rest : callable or None
        The change of the other part.
    noise : float
        What rounding may add to a change.
    """

    slope: float
    curve: float
    rest: Callable[[float], float] | None = None
    noise: float = 0.0

    def change(self, t: float) -> float:
        whole = t * (self.slope + 0.5 * t * self.curve)
        return whole if self.rest is None else whole + self.rest(t)


class Access(ABC):
    """A problem as rules and updates see it. Caches of constant matrices live here, so that a run keeps it.

    Attributes
    ----------
    problem : CompositeProblem
    p : int
        Number of coordinates.
    exact : bool
        Whether f is quadratic, so that bounds and Hessians agree and lines are parabolas.
    damped : bool
        Whether f has straight pieces, on which it slopes without curvature: Hessians get a small diagonal.
    term : BlockTerm
    candidates : Candidates
    """

    exact: bool
    damped: bool = False

    def __init__(self, problem: CompositeProblem, partition: Any) -> None:
        self.problem, self.partition, self.p = problem, partition, prod(problem.shape)
        self.term = BlockTerm(problem)
        self.candidates = Candidates(partition, problem, self)
        self._factors: dict[int, Factor] = {}
        self._largest: dict[int, float] = {}

    # ---- values at the point

    def x(self, state: Any) -> Array:
        """Return the flat x, a view."""
        found: Array = state.x.reshape(-1)
        return found

    def slope(self, state: Any) -> Array:
        """Return the gradient of h, (p,), in float64. Cost: one pass."""
        found: Array = state.gradient.reshape(-1) + self.term.ridge * self.x(state)
        return found

    # ---- curvature

    @cached_property
    def curvatures(self) -> Array:
        """Bounds of the second derivatives of f in single coordinates, (p,).

        Raises
        ------
        ProblemError
            The loss has none.
        """
        known = self.problem.smooth.lipschitz
        if known is None:
            raise ProblemError(
                f"{self._name} has no bound of its curvature; take a rule by gradients or distances, and an update "
                "that searches along a line"
            )
        return np.repeat(known, self.p // len(known)).astype(np.float64) if known.ndim == 1 else known.ravel()

    @property
    def _name(self) -> str:
        return type(self.problem.smooth).__name__

    @cached_property
    def lipschitz(self) -> Array:
        """Bounds of the second derivatives of h in single coordinates, (p,)."""
        found: Array = self.curvatures + self.term.ridge
        return found

    @cached_property
    def row_sums(self) -> Array:
        """Sums of the absolute entries of the rows of the bound of all coordinates, (p,)."""
        found: Array = self._row_sums() + self.term.ridge
        return found

    @abstractmethod
    def _row_sums(self) -> Array: ...

    def bound(self, b: Array) -> Array:
        """Return H_b, (m, m)."""
        return self._ridged(self._bound(b), b)

    def hessian(self, state: Any, b: Array) -> Array:
        """Return the second derivative of h in the block at x, (m, m), damped where it may vanish."""
        if self.exact:
            return self.bound(b)
        H = self._ridged(self._hessian(state, b), b)
        if self.damped:
            H[np.diag_indices_from(H)] += DAMPING * self.curvatures[b]
        return H

    def _ridged(self, H: Array, b: Array) -> Array:
        H[np.diag_indices_from(H)] += self.term.ridge[b]
        return H

    @abstractmethod
    def _bound(self, b: Array) -> Array: ...

    def _hessian(self, state: Any, b: Array) -> Array:
        raise NotImplementedError

    def factor(self, chosen: Chosen) -> Factor:
        """Return the factors of H_b, kept for fixed blocks."""
        if chosen.number < 0:
            return Factor(self.bound(chosen.members))
        if chosen.number not in self._factors:
            self._factors[chosen.number] = Factor(self.bound(chosen.members))
        return self._factors[chosen.number]

    def largest(self, chosen: Chosen) -> float:
        """Return L_b, the largest eigenvalue of H_b, kept for fixed blocks."""
        if chosen.number < 0:
            return largest_eigenvalue(self.bound(chosen.members))
        if chosen.number not in self._largest:
            self._largest[chosen.number] = largest_eigenvalue(self.bound(chosen.members))
        return self._largest[chosen.number]

    @cached_property
    def block_lipschitz(self) -> Array:
        """L_b of all fixed blocks, (K,), for rules that compare them; updates ask for `largest` of those they meet."""
        candidates = self.candidates
        return np.array([self.largest(candidates.fixed(number)) for number in range(candidates.count)])

    @cached_property
    def roots(self) -> tuple[Array, Array]:
        """W with W_b^T W_b = H_b^-1 for all fixed blocks, (K, t, t), and their members, (K, t), p where there is none.

        t is the size of the largest block. Memory: K t^2 numbers.
        """
        blocks = self.candidates.blocks
        assert blocks is not None
        t = int(blocks.sizes.max())
        W, members = np.zeros((len(blocks), t, t)), np.full((len(blocks), t), self.p)
        for k, b in enumerate(blocks):
            W[k, : len(b), : len(b)] = self.factor(Chosen(b, k)).root
            members[k, : len(b)] = b
        return W, members

    @abstractmethod
    def product(self, d: Array, support: Array) -> Array:
        """Return the bound of all coordinates times a vector (p,) that is zero outside of `support`."""

    def third_derivative(self, b: Array) -> float:
        """Return M_b with abs(D^3 h(x)[d, d, d]) <= M_b norm2(d)^3 for all x and d in the block.

        Raises
        ------
        ProblemError
            There is no such number, or none is known.
        """
        if self.exact:
            return 0.0
        raise ProblemError(f"no bound of the third derivative of {self._name} is known, which Cubic needs")

    # ---- forests

    def require_forests(self) -> None:
        """Raise ProblemError where a fixed block is no forest, or the problem has no graph."""
        raise ProblemError(f"Forest needs a Quadratic or a graph model, got a {self._name}")

    def forest(self, chosen: Chosen) -> tuple[Array, Array, Array]:
        """Return order, parents and edges of a block that is a forest, see `kernels.reference.forests`."""
        raise NotImplementedError

    def entries(self, state: Any, b: Array) -> tuple[Matrix, Array]:
        """Return a CSR matrix that has the rows b of the Hessian of h, and its diagonal (p,), for blocks on graphs."""
        raise NotImplementedError

    # ---- moving

    @abstractmethod
    def along(self, state: Any, b: Array, d: Array) -> Line:
        """Return h on the line x + t d, d the entries of b."""

    def take(self, state: Any, b: Array, new: Array) -> bool:
        """Write new entries of b into x, with what that does to the rest.

        The answer is whether one of them changed by more than rounding.
        """
        x = self.x(state)
        entries = new.astype(x.dtype)
        d = entries - x[b]
        if not d.any():
            return False
        x[b] = entries
        self._follow(state, b, d)
        return bool((np.abs(d) > ULPS * np.finfo(x.dtype).eps * np.abs(entries)).any())

    @abstractmethod
    def _follow(self, state: Any, b: Array, d: Array) -> None: ...

    @abstractmethod
    def look(self, state: Any, fresh: bool) -> None:
        """Compute gradient, dual point and residual; `fresh` from the definition, else from what was carried."""
