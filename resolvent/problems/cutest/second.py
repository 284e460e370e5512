"""The sums that form the Hessian of the Lagrangian, in a pattern that never changes.

With w the multiplier of each row (y for constraints, sigma in the objective), phi' and phi'' the derivatives of the
groups over their scales, and v_g the gradient of the argument of group g, ::

    H = sigma Q + sum over elements e of mu_e Hess F_e + sum over groups g of w_g phi''_g v_g v_g^T,

    mu = M (w phi'),     M the weights of the elements in the rows.

The lower triangle is one sparse product, with the columns of the matrix in five parts::

    [ sigma | mu | mu_e times the outputs of second derivatives | w phi'' | w phi'' times products of entries of v ]

where what does not depend on x (entries of quadratic elements, products of linear arguments) is part of the matrix and
needs only sigma, mu or w phi''. Where many groups share few variables, as in data fitting, single products would be
far more than entries of H; there V^T diag(w phi'') V is formed by one dense product (`DenseGroups`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from resolvent.errors import ProblemError
from resolvent.problems.cutest.blocks import Block
from resolvent.problems.cutest.layout import Layout, summing_matrix
from resolvent.typing import Array, Matrix

__all__ = ["DenseGroups", "SecondDerivatives", "second_derivatives"]

_LARGEST = 50_000_000
"""More products than this would take gigabytes; the Hessian is as good as dense then."""

_SPARSE_COST = 10
"""One product in the sparse sum takes at least as long as this many in a dense matrix product: 10 (VESUVIALS), 15
(BAmL1SPLS) and 190 (DIAMON2DLS) were measured, all with rows that are full."""

_FEW = 10_000
"""Up to this many products the sparse sum is as fast as anything."""


@dataclass(frozen=True, eq=False)
class DenseGroups:
    """Groups whose v_g are rows of one dense matrix V.

    Attributes
    ----------
    shape : tuple of int
        Of V: groups, variables that they use.
    entries : array of int
        The entries of G that V consists of.
    inside : array of int
        Where each of them stands in V, flattened.
    groups : array of int (groups,)
        Among those that are not trivial.
    taken : array of int
        The entries of V^T diag V, flattened, that are in the pattern of H.
    places : array of int
        Where they stand in the lower triangle of H.
    """

    shape: tuple[int, int]
    entries: Array
    inside: Array
    groups: Array
    taken: Array
    places: Array

    def products(self, entries: Array, weights: Array) -> Array:
        """Return the taken entries of V^T diag(weights) V, from the entries of G."""
        V = np.zeros(self.shape[0] * self.shape[1])
        V[self.inside] = entries[self.entries]
        V = V.reshape(self.shape)
        full = (V * weights[self.groups, None]).T @ V
        taken: Array = full.ravel()[self.taken]
        return taken


@dataclass(frozen=True, eq=False)
class SecondDerivatives:
    """The plan of the Hessian.

    Attributes
    ----------
    indptr, indices : array of int
        The pattern of the full matrix, sorted.
    mirror : array of int (entries,)
        Where in the lower triangle each of its entries stands.
    weights : csr_array (elements, rows)
        M.
    element : array of int (outputs,)
        The element whose multiplier each output of second derivatives takes.
    left, right : array of int (products,)
        The entries of G of which products are needed.
    bent : array of int (products,)
        The group, among those that are not trivial, of each product.
    matrix : csr_array (entries of the lower triangle, columns)
    dense : DenseGroups or None
    """

    indptr: Array
    indices: Array
    mirror: Array
    weights: Matrix
    element: Array
    left: Array
    right: Array
    bent: Array
    matrix: Matrix
    dense: DenseGroups | None


class _Contributions:
    """Collects what is added up to H: (key of the place, column of the matrix, value)."""

    def __init__(self, n: int) -> None:
        self.n = n
        empty = np.zeros(0, np.int64)
        self.parts: list[tuple[Array, Array, Array]] = [(empty, empty, np.zeros(0))]

    def keys(self, row: Array, column: Array) -> Array:
        """Return one number for each place in the lower triangle."""
        keys: Array = np.maximum(row, column) * self.n + np.minimum(row, column)
        return keys

    def add(self, row: Array, column: Array, source: Array, value: Array) -> None:
        """Add value times column `source` of the matrix at (row, column), where both are free variables."""
        kept = (row < self.n) & (column < self.n)
        self.parts.append((self.keys(row[kept], column[kept]), source[kept], value[kept]))

    def joined(self) -> tuple[Array, Array, Array]:
        key, source, value = (np.concatenate([part[i] for part in self.parts]) for i in range(3))
        return key, source, value


def second_derivatives(layout: Layout) -> SecondDerivatives:
    """Return the plan of the Hessian.

    Raises
    ------
    ProblemError
        Where groups of many variables make it too large to be formed.

    Notes
    -----
    Cost and memory: proportional to the number of entries of element Hessians and of products in the sparse sum. They
    are sorted once.
    """
    found = _Contributions(layout.n)
    curved = [(block, uses) for block, uses in zip(layout.blocks, layout.uses, strict=True) if block.hessian]
    elements = sum(len(block.members) for block, _ in curved)
    _add_quadratic(layout, found)
    outputs = _add_elements(layout, [block for block, _ in curved], 1, found)
    groups = _Groups(layout)
    groups.add_still(found)
    left, right, bent = groups.add_sparse(1 + elements + len(outputs), found)
    width = 1 + elements + len(outputs) + len(layout.bent_rows) + len(left)
    key, source, value = found.joined()
    keys = np.unique(np.concatenate((key, groups.dense_keys(found))))
    indptr, indices, mirror = _pattern(keys, layout.n)
    offsets = np.cumsum([0, *(len(block.members) for block, _ in curved)])
    weights = [(offset + uses.local, uses.row, uses.weight) for offset, (_, uses) in zip(offsets, curved, strict=False)]
    return SecondDerivatives(
        indptr,
        indices,
        mirror,
        summing_matrix(weights, (elements, layout.rows)),
        outputs,
        left,
        right,
        bent,
        summing_matrix([(np.searchsorted(keys, key), source, value)], (len(keys), width)),
        groups.dense_part(found, keys),
    )


def _add_quadratic(layout: Layout, found: _Contributions) -> None:
    if layout.quadratic is not None:
        _add_symmetric(layout.quadratic, found)


def _add_symmetric(matrix: Matrix, found: _Contributions) -> None:
    """Add sigma times a matrix."""
    entries = matrix.tocoo()
    lower = entries.row >= entries.col
    row, column = entries.row[lower].astype(np.int64), entries.col[lower].astype(np.int64)
    found.add(row, column, np.zeros(len(row), np.int64), entries.data[lower])


def _add_elements(layout: Layout, blocks: list[Block], first: int, found: _Contributions) -> Array:
    """Add the second derivatives of the elements; return the element of each output.

    The multipliers of the elements are columns from `first` on, the outputs follow them.
    """
    element, offset = first, first + sum(len(block.members) for block in blocks)
    owners = [np.zeros(0, np.int64)]
    for block in blocks:
        size = len(block.members)
        local = np.arange(size)
        variables = layout.variables(block)
        for pair, term in block.hessian.items():
            j, k, weight = _internal_pair(block.transformation, *pair)
            row, column = variables[:, j], variables[:, k]
            # An element may have one variable twice: the entry (j, k) and its mirror image then meet on the diagonal.
            value = np.where((row == column) & (j != k), 2 * weight, weight) * block.coefficients(term)[:, None]
            source = element + local if term.output is None else offset + term.output * size + local
            found.add(row.ravel(), column.ravel(), np.repeat(source, len(j)), value.ravel())
        owners += [element - first + local] * block.outputs[2]
        element += size
        offset += size * block.outputs[2]
    return np.concatenate(owners)


def _internal_pair(transformation: Array, r: int, s: int) -> tuple[Array, Array, Array]:
    """Return variables j >= k and the weights of the internal entry (r, s) in the entries (j, k) of U^T H U."""
    product = np.outer(transformation[r], transformation[s])
    product = np.tril(product if r == s else product + product.T)
    j, k = np.nonzero(product)
    return j, k, product[j, k]


class _Groups:
    """The groups that are not trivial, sorted by how their v v^T are best added up.

    *Still* ones, in the objective, have constant v and phi'': their sum is a constant matrix times sigma. Of the
    others, those that share few variables become dense, and the rest are added up product by product.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout, self.first = layout, layout.first
        rows = layout.bent_rows
        self.starts, ends = self.first.starts[rows], self.first.starts[rows + 1]
        self.lengths = ends - self.starts
        self.varying = np.zeros(len(self.first.column), bool)
        self.varying[self.first.varying] = True
        count = np.concatenate(([0], np.cumsum(self.varying)))
        known, self.bends = layout.known_bends()
        self.is_still = (count[ends] == count[self.starts]) & known & (rows >= layout.m)
        self.is_dense = np.zeros(len(rows), bool)
        for groups in self._classes(~self.is_still):
            length = int(self.lengths[groups[0]])
            products = len(groups) * length * (length + 1) // 2
            used = len(np.unique(self.first.column[self._entries(groups)]))
            if products > _FEW and len(groups) * used**2 < _SPARSE_COST * products:
                self.is_dense[groups] = True

    def _classes(self, chosen: Array) -> Iterator[Array]:
        """Yield the chosen groups of each length."""
        for length in np.unique(self.lengths[chosen & (self.lengths > 0)]):
            yield np.flatnonzero(chosen & (self.lengths == length))

    def _entries(self, groups: Array) -> Array:
        """Return the entries of G that belong to the groups, group after group."""
        lengths = self.lengths[groups]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        entries: Array = np.repeat(self.starts[groups], lengths) + within
        return entries

    def _matrix(self, groups: Array, values: Array) -> Matrix:
        """Return the v of the groups as the rows of a sparse matrix, from the entries of G."""
        entries = self._entries(groups)
        starts = np.concatenate(([0], np.cumsum(self.lengths[groups])))
        return sp.csr_array((values[entries], self.first.column[entries], starts), shape=(len(groups), self.layout.n))

    def add_still(self, found: _Contributions) -> None:
        groups = np.flatnonzero(self.is_still)
        if len(groups):
            V = self._matrix(groups, self.first.constant)
            _add_symmetric((V.T * self.bends[groups]) @ V, found)

    def add_sparse(self, first: int, found: _Contributions) -> tuple[Array, Array, Array]:
        """Add the groups product by product; return, for each product, the entries of G to be multiplied and the group.

        The w phi'' are columns from `first` on, products follow them.
        """
        chosen = ~(self.is_still | self.is_dense)
        lengths = self.lengths[chosen]
        if (lengths * (lengths + 1) // 2).sum() > _LARGEST:
            raise ProblemError(
                f"the Hessian has {(lengths * (lengths + 1.0) / 2).sum():.1e} products of first derivatives, expected "
                f"at most {_LARGEST:.0e}: this problem needs a method that does without second derivatives"
            )
        empty = np.zeros(0, np.int64)
        parts = [(empty, empty, empty), *(self._pairs(groups) for groups in self._classes(chosen))]
        left, right, bent = (np.concatenate([part[i] for part in parts]) for i in range(3))
        G, moving = self.first, self.varying[left] | self.varying[right]
        still = ~moving
        value = G.constant[left[still]] * G.constant[right[still]]
        found.add(G.column[left[still]], G.column[right[still]], first + bent[still], value)
        left, right, bent = left[moving], right[moving], bent[moving]
        source = first + len(self.lengths) + np.arange(len(left))
        found.add(G.column[left], G.column[right], source, np.ones(len(left)))
        return left, right, bent

    def _pairs(self, groups: Array) -> tuple[Array, Array, Array]:
        """Return the pairs of entries of the same group, for groups of one length."""
        i, j = np.tril_indices(int(self.lengths[groups[0]]))
        start = self.starts[groups][:, None]
        return (start + i).ravel(), (start + j).ravel(), np.repeat(groups, len(i))

    def dense_keys(self, found: _Contributions) -> Array:
        """Return the places in H that dense groups reach."""
        groups = np.flatnonzero(self.is_dense)
        pattern = self._matrix(groups, np.ones(len(self.first.column)))
        reached = (pattern.T @ pattern).tocoo()
        lower = reached.row >= reached.col
        return found.keys(reached.row[lower].astype(np.int64), reached.col[lower].astype(np.int64))

    def dense_part(self, found: _Contributions, keys: Array) -> DenseGroups | None:
        groups = np.flatnonzero(self.is_dense)
        if len(groups) == 0:
            return None
        entries = self._entries(groups)
        variables, inside = np.unique(self.first.column[entries], return_inverse=True)
        inside += np.repeat(np.arange(len(groups)), self.lengths[groups]) * len(variables)
        reached = self.dense_keys(found)
        row = np.searchsorted(variables, reached // self.layout.n)
        column = np.searchsorted(variables, reached % self.layout.n)
        taken = row * len(variables) + column
        return DenseGroups(
            (len(groups), len(variables)), entries, inside, groups, taken, np.searchsorted(keys, reached)
        )


def _pattern(keys: Array, n: int) -> tuple[Array, Array, Array]:
    """Return indptr, indices and mirror of the full matrix from the places in its lower triangle."""
    row, column = keys // n, keys % n
    below = np.flatnonzero(row > column)
    full_row, full_column = np.concatenate((row, column[below])), np.concatenate((column, row[below]))
    order = np.lexsort((full_column, full_row))
    indptr = np.searchsorted(full_row[order], np.arange(n + 1)).astype(np.int32)
    mirror = np.concatenate((np.arange(len(keys)), below))[order]
    return indptr, full_column[order].astype(np.int32), mirror
