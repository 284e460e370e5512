"""Which block a step of block coordinate descent works on.

With g the gradient of the smooth part, L_i bounds of its second derivatives and H_b a bound of its Hessian in block b::

    Cyclic, Permuted      one after the other; in an order drawn anew for each pass
    Random                all alike
    LipschitzSampling     in proportion to L_b; variable blocks: coordinates in proportion to L_i
    GreedyGradient        argmax norm2(g_b)^2                                              GS
    GreedyLipschitz       argmax norm2(g_b)^2 / L_b                                        GSL
    GreedyDiagonal        argmax sum_i g_i^2 / D_i                                         GSD
    GreedyQuadratic       argmax g_b^T H_b^-1 g_b                                          GSQ
    MaximumImprovement    argmax of what minimising over the block gains                   MI

and for terms with kinks or bounds, sums over coordinates::

    Subdifferential       the squared distance of -g_i to the subdifferential              GS-s
    ProximalStep          the squared length of the proximal step, with or without L_i     GS-r
    Decrease              the decrease that the proximal step guarantees                   GS-q

A step with the bound B_b lowers the objective by at least g_b^T B_b^-1 g_b / 2, which explains the scores: B_b = L_b I,
diag(D) or H_b. With *variable* blocks every set of coordinates of a given size is a block; the greedy ones take the
coordinates with the largest scores.

Reference: J. Nutini, I. Laradji and M. Schmidt, Let's make block coordinate descent converge faster, JMLR 23(131) 2022.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, ClassVar

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.term_base import DECREASE, DISTANCE, STEP
from resolvent.solvers.base import is_whole, require
from resolvent.solvers.composite.access import Access, Chosen, Factor, Variable
from resolvent.solvers.composite.partitions import GreedyForest, RandomForest
from resolvent.solvers.composite.updates import ProjectedNewton
from resolvent.typing import Array

__all__ = [
    "Cyclic",
    "Decrease",
    "GreedyDiagonal",
    "GreedyGradient",
    "GreedyLipschitz",
    "GreedyQuadratic",
    "LipschitzSampling",
    "MaximumImprovement",
    "Permuted",
    "ProximalStep",
    "Random",
    "Rule",
    "Subdifferential",
    "Variable",
]

SETS = 20_000
"""The most blocks that `MaximumImprovement` tries."""

NEWTON_STEPS = 30
"""Of `MaximumImprovement`, for each block."""


class Rule(ABC):
    """How the block of a step is chosen.

    Attributes
    ----------
    kinks : bool
        Whether it takes terms with kinks or bounds.
    """

    kinks: ClassVar[bool] = True

    def fits(self, partition: Any) -> bool:
        """Whether the rule can choose among the blocks of a partition."""
        return not isinstance(partition, RandomForest)

    def prepare(self, access: Access) -> None:  # noqa: B027  (most rules need nothing)
        """Compute what does not change.

        Raises
        ------
        ProblemError
            The rule does not fit the problem.
        """

    def patience(self, access: Access) -> int:
        """Return how many steps in a row may change nothing before none will."""
        return 1

    @abstractmethod
    def select(self, access: Access, state: Any) -> Chosen:
        """Return the next block."""


class _Scored(Rule):
    """A rule that adds up scores of coordinates."""

    def prepare(self, access: Access) -> None:
        self._weights(access)

    def _weights(self, access: Access) -> Any:
        """Return the numbers by which squares of the gradient are divided, which do not change."""
        return None

    @abstractmethod
    def scores(self, access: Access, state: Any) -> Array:
        """Return one score for each coordinate, (p,)."""

    def select(self, access: Access, state: Any) -> Chosen:
        return access.candidates.best(self.scores(access, state))


# ---- without looking at the gradient


@dataclass(frozen=True, kw_only=True)
class Cyclic(Rule):
    """Fixed blocks one after the other. Cost: nothing."""

    def fits(self, partition: Any) -> bool:
        return not isinstance(partition, Variable | GreedyForest | RandomForest)

    def patience(self, access: Access) -> int:
        return access.candidates.count

    def select(self, access: Access, state: Any) -> Chosen:
        number = state.position
        state.position = (number + 1) % access.candidates.count
        return access.candidates.fixed(number)


@dataclass(frozen=True, kw_only=True)
class Permuted(Rule):
    """Fixed blocks in an order that is drawn anew for each pass. Cost: nothing."""

    def fits(self, partition: Any) -> bool:
        return not isinstance(partition, Variable | GreedyForest | RandomForest)

    def patience(self, access: Access) -> int:
        return 2 * access.candidates.count

    def select(self, access: Access, state: Any) -> Chosen:
        count = access.candidates.count
        if state.position == 0:
            state.order = state.rng.permutation(count)
        number = int(state.order[state.position])
        state.position = (state.position + 1) % count
        return access.candidates.fixed(number)


@dataclass(frozen=True, kw_only=True)
class Random(Rule):
    """Each block as likely as any other. Cost: of variable blocks O(p)."""

    def fits(self, partition: Any) -> bool:
        return not isinstance(partition, GreedyForest)

    def patience(self, access: Access) -> int:
        return 30 * access.candidates.count

    def select(self, access: Access, state: Any) -> Chosen:
        return access.candidates.random(state.rng)


@dataclass(frozen=True, kw_only=True)
class LipschitzSampling(Rule):
    """Blocks in proportion to L_b; variable ones coordinate by coordinate in proportion to L_i, without replacement."""

    def fits(self, partition: Any) -> bool:
        return not isinstance(partition, GreedyForest | RandomForest)

    def prepare(self, access: Access) -> None:
        self._chances(access)

    def _chances(self, access: Access) -> Array:
        found = access.block_lipschitz if access.candidates.blocks is not None else access.lipschitz
        if np.count_nonzero(found) < max(access.candidates.size, 1):
            raise ProblemError("LipschitzSampling needs as many coordinates with curvature as a block has")
        return np.asarray(found / found.sum())

    def patience(self, access: Access) -> int:
        return 1000 * access.candidates.count

    def select(self, access: Access, state: Any) -> Chosen:
        chances, candidates = self._chances(access), access.candidates
        if candidates.blocks is not None:
            return candidates.fixed(int(state.rng.choice(len(chances), p=chances)))
        return Chosen(np.sort(state.rng.choice(len(chances), candidates.size, replace=False, p=chances)))


# ---- greedy, for smooth objectives


@dataclass(frozen=True, kw_only=True)
class GreedyGradient(_Scored):
    """GS: the largest norm of the gradient. Cost: O(p)."""

    kinks: ClassVar[bool] = False

    def scores(self, access: Access, state: Any) -> Array:
        found: Array = access.slope(state) ** 2
        return found


@dataclass(frozen=True, kw_only=True)
class GreedyLipschitz(_Scored):
    """GSL: norm2(g_b)^2 / L_b. Cost: O(p), once the largest eigenvalues of all H_b.

    For variable blocks, whose L_b are not at hand, g_i^2 over the sums of the absolute entries of the rows of H, which
    cost once a product of A^T with A.
    """

    kinks: ClassVar[bool] = False

    def _weights(self, access: Access) -> Any:
        return access.row_sums if access.candidates.blocks is None else access.block_lipschitz

    def scores(self, access: Access, state: Any) -> Array:
        squares = access.slope(state) ** 2
        if access.candidates.blocks is None:
            return _ratio(squares, access.row_sums)
        return _ratio(squares, access.block_lipschitz[access.candidates.blocks.numbers])


@dataclass(frozen=True, kw_only=True)
class GreedyDiagonal(_Scored):
    """GSD: sum_i g_i^2 / D_i. Cost: O(p).

    Parameters
    ----------
    row_sums : bool
        D_i are the sums of the absolute entries of the rows of H, with which diag(D) bounds every H_b; the default L_i
        does not, but is the better choice in practice. (With D_i = size * L_i, which does, the blocks are the same.)
    """

    row_sums: bool = False
    kinks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(isinstance(self.row_sums, bool), "row_sums", self.row_sums, "True or False")

    def _weights(self, access: Access) -> Array:
        return access.row_sums if self.row_sums else access.lipschitz

    def scores(self, access: Access, state: Any) -> Array:
        return _ratio(access.slope(state) ** 2, self._weights(access))


@dataclass(frozen=True, kw_only=True)
class GreedyQuadratic(Rule):
    """GSQ: g_b^T H_b^-1 g_b, twice the decrease that the quadratic bound promises.

    Exact for fixed blocks. Cost: O(p size), once the factors of all H_b. The best variable block is NP-hard to find.
    From the block of `GreedyDiagonal`, with d = -H_b^-1 g_b on it and L the diagonal of H, hard thresholding goes to
    the largest entries of ``sqrt(L) d - t (g + H d) / sqrt(L)``, t = 1 and then halved, as long as that promises more
    (Foucart 2011). Cost: two solutions with H_b and two products with H, or more.

    The published runs take steps of ``(g + H d) / largest eigenvalue`` and keep their largest entries. On data with
    columns of very different sizes these are too short to change the block; with the steps here f is smaller by orders
    of magnitude after as many steps of the method.

    Parameters
    ----------
    thresholdings : int
        The most blocks to try beside the first, where blocks are variable.
    """

    thresholdings: int = 10
    kinks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(is_whole(self.thresholdings, least=0), "thresholdings", self.thresholdings, "a whole number >= 0")

    def fits(self, partition: Any) -> bool:
        return not isinstance(partition, GreedyForest | RandomForest)

    def prepare(self, access: Access) -> None:
        if access.candidates.blocks is None:
            access.bound(np.zeros(0, np.int64))  # raises where there is none
        else:
            _ = access.roots

    def select(self, access: Access, state: Any) -> Chosen:
        g = access.slope(state)
        if access.candidates.blocks is None:
            return Chosen(self._by_thresholding(access, g))
        W, members = access.roots
        entries = np.append(g, 0.0)[members]
        scores = ((W @ entries[:, :, None]) ** 2).sum(axis=(1, 2))
        return access.candidates.fixed(int(np.argmax(scores)))

    def _by_thresholding(self, access: Access, g: Array) -> Array:
        root = np.sqrt(access.lipschitz)
        support = access.candidates.largest(_ratio(g, root) ** 2)
        d = -Factor(access.bound(support)).solve(g[support])
        entries, t = _moved(access, g, root, support, d), 1.0
        for _ in range(self.thresholdings):
            other = access.candidates.largest(np.abs(entries[0] - t * entries[1]))
            if np.array_equal(other, support):
                break
            e = -Factor(access.bound(other)).solve(g[other])
            if g[other] @ e < (1 + 1e-10) * float(g[support] @ d):
                support, d, t = other, e, min(1.0, 2 * t)
                entries = _moved(access, g, root, support, d)
            else:
                t *= 0.5
        return support


def _moved(access: Access, g: Array, root: Array, b: Array, d: Array) -> tuple[Array, Array]:
    """Return a step with the entries d in b, and the gradient of the model there, both by the root of the diagonal."""
    step = np.zeros(access.p)
    step[b] = d
    return root * step, _ratio(g + access.product(step, b), root)


@dataclass(frozen=True, kw_only=True)
class MaximumImprovement(Rule):
    """MI: the block whose minimisation lowers the objective most, found by minimising over each one.

    For tiny problems and for tests of other rules: at most 20,000 blocks.
    """

    def fits(self, partition: Any) -> bool:
        return not isinstance(partition, GreedyForest | RandomForest)

    def prepare(self, access: Access) -> None:
        candidates = access.candidates
        count = len(candidates.blocks) if candidates.blocks is not None else comb(candidates.p, candidates.size)
        if count > SETS:
            raise ProblemError(f"MaximumImprovement would try {count} blocks, at most {SETS} are allowed")
        ProjectedNewton().prepare(access)

    def select(self, access: Access, state: Any) -> Chosen:
        candidates = access.candidates
        if candidates.blocks is not None:
            blocks = [Chosen(b, k) for k, b in enumerate(candidates.blocks)]
        else:
            blocks = [Chosen(np.array(b)) for b in combinations(range(candidates.p), candidates.size)]
        return min(blocks, key=lambda block: _least(access, state, block))


def _least(access: Access, state: Any, block: Chosen) -> float:
    """Return the least value of the objective over a block, less a constant."""
    update, trial = ProjectedNewton(), copy.copy(state)
    trial.x, trial.gradient = state.x.copy(), state.gradient.copy()
    trial.z = None if state.z is None else state.z.copy()
    for _ in range(1 if access.exact else NEWTON_STEPS):
        if not access.take(trial, block.members, update.step(access, trial, block)):
            break
        if not access.exact:
            access.look(trial, fresh=False)
    return access.problem.objective(trial.x)


# ---- greedy, for terms with kinks or bounds


@dataclass(frozen=True, kw_only=True)
class Subdifferential(_Scored):
    """GS-s: the squared distance of minus the gradient to the subdifferential of the term. Cost: O(p)."""

    def scores(self, access: Access, state: Any) -> Array:
        return _of_term(access, state, np.ones(access.p), DISTANCE) ** 2


@dataclass(frozen=True, kw_only=True)
class ProximalStep(_Scored):
    """GS-r: the squared length of the proximal step with 1 / L_i. Cost: O(p).

    Parameters
    ----------
    scaled : bool
        Multiply by L_i, so that the units of a coordinate do not matter.
    """

    scaled: bool = True

    def __post_init__(self) -> None:
        require(isinstance(self.scaled, bool), "scaled", self.scaled, "True or False")

    def _weights(self, access: Access) -> Array:
        return access.curvatures

    def scores(self, access: Access, state: Any) -> Array:
        squares = _of_term(access, state, access.curvatures, STEP) ** 2
        return access.lipschitz * squares if self.scaled else squares


@dataclass(frozen=True, kw_only=True)
class Decrease(_Scored):
    """GS-q: -min_d (g_i d + L_i d^2 / 2 + term(x_i + d) - term(x_i)). Cost: O(p)."""

    def _weights(self, access: Access) -> Array:
        return access.curvatures

    def scores(self, access: Access, state: Any) -> Array:
        return _of_term(access, state, access.curvatures, DECREASE)


def _of_term(access: Access, state: Any, curvature: Array, rule: int) -> Array:
    x, g = access.x(state), state.gradient.reshape(-1)
    shape = access.problem.shape
    found = access.problem.term.scores(x.reshape(shape), g.reshape(shape), curvature.reshape(shape), rule)
    return np.asarray(found.reshape(-1), np.float64)


def _ratio(numbers: Array, by: Array) -> Array:
    """Return quotients, zero where there is no curvature: the gradient of a bounded function is zero there."""
    return np.where(by > 0, numbers / np.where(by > 0, by, 1), 0)
