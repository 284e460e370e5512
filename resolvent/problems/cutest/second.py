"""The sums that form the Hessian of the Lagrangian, in a pattern that never changes.

With w the multiplier of each row (y for constraints, sigma in the objective), phi' and phi'' the derivatives of the
groups and v_g the gradient of the argument of group g, ::

    H = sigma Q + sum over elements e of mu_e Hess F_e + sum over groups g of w_g phi''_g / s_g  v_g v_g^T,

    mu = M (w phi'),     M the weights of the elements in the rows.

The lower triangle is one sparse product, with the columns of the matrix in five parts::

    [ sigma | mu | mu_e times the outputs of second derivatives | w phi'' / s | products of entries of two v ]

where what does not depend on x (entries of quadratic elements, products of linear arguments) is part of the matrix and
needs only sigma, mu or w phi''.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.cutest.blocks import Block
from resolvent.problems.cutest.layout import Layout, summing_matrix
from resolvent.typing import Array, Matrix

__all__ = ["SecondDerivatives", "second_derivatives"]

_LARGEST = 50_000_000
"""More products than this would take gigabytes; the Hessian is as good as dense then."""


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


class _Contributions:
    """Collects (row, column of H; column of the matrix; value), in the lower triangle of the free variables."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.parts: list[tuple[Array, Array, Array]] = []

    def add(self, row: Array, column: Array, source: Array, value: Array) -> None:
        kept = (row < self.n) & (column < self.n)
        key = np.maximum(row, column)[kept] * self.n + np.minimum(row, column)[kept]
        self.parts.append((key, source[kept], value[kept]))


def second_derivatives(layout: Layout) -> SecondDerivatives:
    """Return the plan of the Hessian.

    Raises
    ------
    ProblemError
        Where groups of many variables make it too large to be formed.

    Notes
    -----
    Cost and memory: proportional to the number of products, which is the sum over the groups that are not trivial of
    half the squared number of their variables, and of the entries of element Hessians. They are sorted once.
    """
    found = _Contributions(layout.n)
    curved = [(block, uses) for block, uses in zip(layout.blocks, layout.uses, strict=True) if block.hessian]
    elements = sum(len(block.members) for block, _ in curved)
    _add_quadratic(layout, found)
    outputs = _add_elements(layout, [block for block, _ in curved], 1, found)
    left, right, bent = _add_groups(layout, 1 + elements + len(outputs), found)
    width = 1 + elements + len(outputs) + len(layout.bent_rows) + len(left)
    indptr, indices, mirror, parts = _pattern(found)
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
        summing_matrix([parts], (int(mirror.max(initial=-1)) + 1, width)),
    )


def _add_quadratic(layout: Layout, found: _Contributions) -> None:
    if layout.quadratic is None:
        return
    entries = layout.quadratic.tocoo()
    lower = entries.row >= entries.col
    row, column, value = entries.row[lower], entries.col[lower], entries.data[lower]
    found.add(row.astype(np.int64), column.astype(np.int64), np.zeros(len(row), np.int64), value)


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


def _add_groups(layout: Layout, first: int, found: _Contributions) -> tuple[Array, Array, Array]:
    """Add v v^T of the groups; return the entries of G to be multiplied, and the group, of each product.

    The second derivatives of the groups are columns from `first` on, products follow them.
    """
    G, none = layout.first, np.zeros(0, np.int64)
    lengths = np.diff(G.starts)[layout.bent_rows]
    if (lengths * (lengths + 1) // 2).sum() > _LARGEST:
        raise ProblemError(
            f"the Hessian has {int((lengths**2).sum()):.1e} products of first derivatives of groups, "
            f"expected at most {2 * _LARGEST:.0e}; this problem needs a method without second derivatives"
        )
    left, right, bent = (np.concatenate((none, *part)) for part in zip(*_pairs(layout, lengths), strict=True)) if len(
        lengths
    ) else (none, none, none)
    varying = np.diff(G.matrix.indptr) > 0
    moving = varying[left] | varying[right]
    still = ~moving
    value = G.constant[left[still]] * G.constant[right[still]]
    found.add(G.column[left[still]], G.column[right[still]], first + bent[still], value)
    left, right, bent = left[moving], right[moving], bent[moving]
    source = first + len(layout.bent_rows) + np.arange(len(left))
    found.add(G.column[left], G.column[right], source, np.ones(len(left)))
    return left, right, bent


def _pairs(layout: Layout, lengths: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Yield the pairs of entries of the same row, (left, right, group), for the rows of each length."""
    starts = layout.first.starts[layout.bent_rows]
    for length in np.unique(lengths).tolist():
        (groups,) = np.nonzero(lengths == length)
        i, j = np.tril_indices(length)
        start = starts[groups][:, None]
        yield (start + i).ravel(), (start + j).ravel(), np.repeat(groups, len(i))


def _pattern(found: _Contributions) -> tuple[Array, Array, Array, tuple[Array, Array, Array]]:
    """Return indptr, indices and mirror of the full matrix, and the contributions with their places in the lower one."""
    n = found.n
    empty = np.zeros(0, np.int64)
    key, source, value = (
        np.concatenate([empty if i < 2 else empty.astype(float), *(part[i] for part in found.parts)]) for i in range(3)
    )
    keys, place = np.unique(key, return_inverse=True)
    row, column = keys // n, keys % n
    below = np.flatnonzero(row > column)
    full_row, full_column = np.concatenate((row, column[below])), np.concatenate((column, row[below]))
    order = np.lexsort((full_column, full_row))
    indptr = np.searchsorted(full_row[order], np.arange(n + 1)).astype(np.int32)
    mirror = np.concatenate((np.arange(len(keys)), below))[order]
    return indptr, full_column[order].astype(np.int32), mirror, (place, source, value)
