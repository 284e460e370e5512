"""The coordinates of a working set of groups: their columns, their part of the term, and second derivatives.

H, the second derivative in the coordinates, is shared by k responses of least squares: then it is that of the m
columns, and coordinates are places in flat arrays (k m,). Else it is that of all coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from resolvent.problems.composite import CompositeProblem
from resolvent.problems.losses import LeastSquares, Softmax
from resolvent.problems.term_base import ByCoordinate
from resolvent.typing import Array, Point

__all__ = ["GroupBlock", "Spectra", "Term", "Units", "ranges"]

CHUNK = 64
"""Columns from which small matrices of units are made at a time."""

Spectra: TypeAlias = tuple[Array, Array, Array]
NOTHING: Spectra = np.zeros(0), np.zeros(0), np.zeros(0, np.int64)


def ranges(pointers: Array, chosen: Array) -> Array:
    """Return the places pointers[u], ..., pointers[u + 1] - 1 of all chosen u, one after the other."""
    sizes = pointers[chosen + 1] - pointers[chosen]
    ends = np.cumsum(sizes)
    found: Array = np.repeat(pointers[chosen] - ends + sizes, sizes) + np.arange(ends[-1] if len(ends) else 0)
    return found


class Units:
    """What a working set of a problem is made of: the blocks of its term, or single coordinates.

    Attributes
    ----------
    pointers, indices : array
        As those of `Blocks`.
    norms : array (units,)
        Weights of the norms of units.
    term : tuple of arrays
        weight, ridge, lower, upper: one for all coordinates, or one for each.
    responses : int
    shared : bool
        Whether all responses have the same H, which does not depend on x.
    """

    def __init__(self, problem: CompositeProblem) -> None:
        self.responses = problem.smooth.responses
        self.shared = isinstance(problem.smooth.loss, LeastSquares)
        size = int(np.prod(problem.shape))
        if isinstance(problem.term, ByCoordinate):
            p = problem.term.parameters(problem.shape)
            self.pointers, self.indices = np.arange(size + 1), np.arange(size)
            self.norms, self.term = np.zeros(size), (p.weight, p.ridge, p.lower, p.upper)
        else:
            self.pointers, self.indices, self.norms, l1 = problem.term.parameters()
            self.term = (np.array([l1]), np.zeros(1), np.full(1, -np.inf), np.full(1, np.inf))

    @property
    def free(self) -> Array:
        """Numbers of the units in which some coordinate is held at zero by nothing."""
        weight, ridge, lower, upper = self.term
        free = np.broadcast_to((weight == 0) & (ridge == 0) & (lower < 0) & (upper > 0), self.indices.shape)
        if not free.any():
            return np.zeros(0, np.int64)
        found = np.logical_or.reduceat(free[self.indices], self.pointers[:-1]) & (self.norms == 0)
        return np.flatnonzero(found)

    def sums(self, values: Array) -> Array:
        """Return the sums over units of an array like x."""
        found: Array = np.add.reduceat(values.ravel()[self.indices], self.pointers[:-1])
        return found


@dataclass
class Term:
    """The term over the coordinates of a working set.

    A unit of the model is a group with a norm, or one coordinate.

    Attributes
    ----------
    pointers, owners : array
        Of units, and the unit of each coordinate.
    norms : array (units,)
        Zero for single coordinates, whose norm counts as an absolute value.
    weight, ridge, lower, upper : array (coordinates,)
    """

    pointers: Array
    owners: Array
    norms: Array
    weight: Array
    ridge: Array
    lower: Array
    upper: Array

    @property
    def grouped(self) -> Array:
        """Whether a coordinate belongs to a group, (coordinates,)."""
        found: Array = self.norms[self.owners] > 0
        return found

    def lengths(self, x: Array) -> Array:
        """Return norm2(x_u), (units,)."""
        found: Array = np.sqrt(np.add.reduceat(x * x, self.pointers[:-1]))
        return found

    def value(self, x: Array) -> float:
        inside = self.weight @ np.abs(x) + 0.5 * self.ridge @ (x * x)
        return float(inside + self.norms @ self.lengths(x))

    def change(self, x: Array, d: Array) -> float:
        """Return by how much the term grows from x to x + d, without cancellation where signs stay."""
        new = x + d
        size = np.where(x * new > 0, np.sign(x) * d, np.abs(new) - np.abs(x))
        grown = float(self.weight @ size + self.ridge @ (d * (x + 0.5 * d)))
        if not self.norms.any():
            return grown
        both = self.lengths(x) + self.lengths(new)
        turned = np.add.reduceat(d * (2 * x + d), self.pointers[:-1])
        return grown + float(self.norms @ np.where(both > 0, turned / np.where(both > 0, both, 1), 0))

    def violation(self, x: Array, g: Array) -> float:
        """Return the largest distance of the gradient of a unit to where it should be."""
        if not len(x):
            return 0.0
        h, lengths = g + self.ridge * x, self.lengths(x)[self.owners]
        still = (x == 0) & ((lengths == 0) | (self.weight > 0))
        kink = np.where(still, np.sign(h) * np.maximum(np.abs(h) - self.weight, 0), h + self.weight * np.sign(x))
        kink += self.norms[self.owners] * x / np.where(lengths > 0, lengths, 1)
        kink[((x <= self.lower) & (kink > 0)) | ((x >= self.upper) & (kink < 0))] = 0
        found = self.lengths(kink) - np.where(self.lengths(x) > 0, 0, self.norms)
        return float(found.max())


class GroupBlock:
    """The columns of A that a working set needs, its coordinates, and their part of the term.

    The coordinates of an intercept come first, then those of the members in their order. `place` says where each is in
    the flat arrays of the model.

    Attributes
    ----------
    members : array of int
    flat : array of int
        The places of the coordinates in ``x.ravel()``, without those of the intercept.
    position, response : array of int
        The column in the block, and the response, of each coordinate.
    columns : matrix (n, columns)
    term : Term
    """

    def __init__(self, problem: CompositeProblem) -> None:
        model = problem.smooth
        self.units, self.sparse, self.lead = Units(problem), model.sparse, int(problem.intercept)
        self.smooth = model
        k = self.units.responses
        self.members = self.flat = np.zeros(0, np.int64)
        self.position, self.response = np.zeros(self.lead * k, np.int64), np.arange(self.lead * k)
        self._where = np.full(model.p, -1)
        ones = np.ones((model.n, self.lead), problem.dtype, order="F")
        self.columns: Any = sp.csc_array(ones) if self.sparse else ones
        self.term = self._term()
        self._spectra = NOTHING

    # ---- growing

    def extend(self, problem: CompositeProblem, members: Array) -> None:
        """Take up the members that are new, and the weights of all."""
        new = members[len(self.members) :]
        units, k = Units(problem), self.units.responses
        same = units.norms is self.units.norms
        self.units = units
        flat = units.indices[ranges(units.pointers, new)]
        numbers, response = np.divmod(flat, k)
        fresh, first = np.unique(numbers[self._where[numbers] < 0], return_index=True)
        fresh = fresh[np.argsort(first)]
        self._where[fresh] = np.arange(len(fresh)) + self.columns.shape[1]
        if len(fresh):
            self._append(problem.smooth.A[:, fresh])
            problem.counts["columns"] += len(fresh)
        self.flat = np.concatenate([self.flat, flat])
        self.position = np.concatenate([self.position, self._where[numbers]])
        self.response = np.concatenate([self.response, response])
        self.members = members
        if len(new) or not same:
            pointers, self.term = self.term.pointers, self._term()
            if not np.array_equal(pointers, self.term.pointers[: len(pointers)]):  # groups without a weight are none
                self._spectra = NOTHING

    def _append(self, more: Any) -> None:
        if self.sparse:
            self.columns = sp.csc_array(sp.hstack([self.columns, more], format="csc"))
            return
        n, m = self.columns.shape
        total, room = m + more.shape[1], self.columns.base
        if room is None or room.ndim != 2 or room.shape[1] < total or room.shape[0] != n:
            room = np.empty((n, 2 * total), self.columns.dtype, order="F")
            room[:, :m] = self.columns
        room[:, m:total] = more
        self.columns = room[:, :total]

    def _term(self) -> Term:
        """Return the term, with groups of one coordinate and units without a norm as single coordinates."""
        units, lead = self.units, self.lead * self.units.responses
        sizes = np.diff(units.pointers)[self.members]
        norms = units.norms[self.members]
        group = (norms > 0) & (sizes > 1)
        starts = np.repeat(np.arange(len(sizes)) * group, sizes)  # coordinates of a group share a number
        first = np.ones(len(self.flat), bool)
        first[1:] = (starts[1:] != starts[:-1]) | ~np.repeat(group, sizes)[1:]
        single = np.repeat(np.where(group, 0, norms), sizes)
        first = np.concatenate([np.ones(lead, bool), first])
        pointers = np.append(np.flatnonzero(first), len(first))
        of_units = np.repeat(np.where(group, norms, 0), np.where(group, 1, sizes))
        weight, ridge, lower, upper = (self._of(v, e) for v, e in zip(units.term, (0, 0, -np.inf, np.inf), strict=True))
        weight[lead:] += single
        of_units = np.concatenate([np.zeros(lead), of_units])
        return Term(pointers, np.cumsum(first) - 1, of_units, weight, ridge, lower, upper)

    def _of(self, values: Array, first: float) -> Array:
        lead = np.full(self.lead * self.units.responses, float(first))
        chosen = np.full(len(self.flat), values[0]) if len(values) == 1 else values[self.flat]
        return np.concatenate([lead, chosen])

    # ---- between x and the model

    @property
    def place(self) -> Array:
        """Where coordinates are in the flat arrays of the model."""
        if self.units.shared:
            found: Array = self.response * self.columns.shape[1] + self.position
            return found
        return np.arange(len(self.position))

    @property
    def room(self) -> int:
        """How many places the flat arrays of the model have."""
        return self.units.responses * self.columns.shape[1] if self.units.shared else len(self.position)

    def gather(self, x: Point) -> Array:
        """Return the coordinates of x, in float64."""
        w = x[0] if self.lead else x
        found: Array = np.concatenate([x[1] if self.lead else w.ravel()[:0], w.ravel()[self.flat]]).astype(np.float64)
        return found

    def scatter(self, values: Array, x: Point) -> None:
        lead = self.lead * self.units.responses
        if lead:
            x[1][:] = values[:lead]
        (x[0] if lead else x).ravel()[self.flat] = values[lead:]

    def correlate(self, slope: Array) -> Array:
        """Return the gradient in the coordinates, in float64, from the derivative of the loss."""
        found = (self.columns.T @ slope).reshape(self.columns.shape[1], -1)
        values: Array = found[self.position, self.response].astype(np.float64)
        return values

    def predict(self, d: Array) -> Array:
        """Return the change of the predictions that a step makes, like z."""
        whole = np.zeros((self.columns.shape[1], self.units.responses), self.columns.dtype)
        whole[self.position, self.response] = d
        moved: Array = self.columns @ whole
        return moved.reshape(self.smooth.loss.shape)

    # ---- second derivatives

    def gram(self, weights: Array | None, known: Array) -> Array:
        """Return the H that responses share, whose first rows and columns are `known`."""
        first, m = len(known), self.columns.shape[1]
        if first == m:
            return known
        H = np.empty((m, m), self.columns.dtype)
        H[:first, :first] = known
        new = self.columns[:, first:]
        H[:, first:] = self._product(self.columns, new if weights is None else self._scaled(new, weights))
        H[first:, :first] = H[:first, first:].T
        return H

    def gram_of(self, columns: Array, curvature: Array | None) -> Array:
        """Return A_c^T D A_c for some columns of the block, in float64."""
        part = self.columns[:, columns]
        product = self._product(part, part if curvature is None else self._scaled(part, curvature))
        return product.astype(np.float64, copy=False)

    def hessian(self, curvature: Array, damping: float) -> Array:
        """Return the second derivative of the loss in all coordinates.

        Parameters
        ----------
        curvature : array like z
            Of the loss in the entries of z; for the softmax its probabilities, times the weights of samples.
        damping : float
            What is added to the diagonal, as a part of the bounds of the second derivatives in single coordinates.
        """
        k, n = self.units.responses, len(curvature)
        D = curvature.reshape(n, k)
        softmax = isinstance(self.smooth.loss, Softmax)
        H = np.zeros((len(self.position),) * 2)
        for c in range(k):
            some = np.flatnonzero(self.response == c)
            part = self.columns[:, self.position[some]]
            H[np.ix_(some, some)] = self._product(part, self._scaled(part, D[:, c]))
        if softmax:
            H -= self._of_pairs(D)
        H.flat[:: len(H) + 1] += damping * (self.smooth.loss.curvature_bound or D.max()) * self._squares()
        return H

    def _squares(self) -> Array:
        """Return the weighted squares of the column of each coordinate."""
        lead = np.full(self.lead * self.units.responses, self.smooth.total_weight)
        numbers = self.flat // self.units.responses
        found: Array = np.concatenate([lead, self.smooth.column_norms_squared[numbers]])
        return found

    def _of_pairs(self, mass: Array) -> Array:
        """Return sum_i a_i a_i^T q_i q_i^T w_i over the coordinates, from the mass w q."""
        total = mass.sum(axis=1)
        root = mass / np.sqrt(np.where(total > 0, total, 1))[:, None]
        if self.sparse:
            part = sp.csc_array(self.columns[:, self.position])
            ends = np.repeat(self.response, np.diff(part.indptr))
            part = sp.csc_array((part.data * root[part.indices, ends], part.indices, part.indptr), part.shape)
        else:
            part = self.columns[:, self.position] * root[:, self.response]
        return self._product(part, part)

    def _scaled(self, columns: Any, weights: Array) -> Any:
        if self.sparse:
            columns = sp.csc_array(columns)
            return sp.csc_array(
                (columns.data * weights[columns.indices], columns.indices, columns.indptr), columns.shape
            )
        return columns * weights[:, None]

    def _product(self, left: Any, right: Any) -> Array:
        product = left.T @ right
        found: Array = product.toarray() if self.sparse else product
        return found

    def diagonal(self, curvature: Array) -> Array:
        """Return the diagonal of A_b^T D A_b, one entry per column."""
        if self.sparse:
            A = self.columns
            squares: Array = sp.csc_array((A.data**2, A.indices, A.indptr), A.shape).T @ curvature
            return squares
        found: Array = np.einsum("ij,ij,i->j", self.columns, self.columns, curvature)
        return found

    def spectra(self, H: Array | None, curvature: Array | None) -> Spectra:
        """Return eigenvalues and eigenvectors of the blocks of H that belong to units: values, bases and starts.

        Those of a shared H are kept for units that were there before.

        Parameters
        ----------
        H : array or None
            As from `gram` or `hessian`; None where columns stand for it.
        curvature : array (n,) or None
            Of the loss in each sample; None for ones.
        """
        if self.units.responses > 1 and not self.units.shared:
            assert H is not None
            return _eigen(self.term.pointers, 0, H.diagonal(), lambda at: H[at[:, :, None], at[:, None, :]], None)
        values, bases, starts = self._spectra if self.units.shared else NOTHING
        if len(starts) + 1 == len(self.term.pointers):
            return values, bases, starts
        if H is not None:
            places, matrix = self.position, H
            diagonal = matrix[places, places]
            pick = lambda at: matrix[places[at][:, :, None], places[at][:, None, :]]  # noqa: E731
        else:
            ones = np.ones(self.smooth.n) if curvature is None else curvature
            diagonal = self._squares() if self.units.shared else self.diagonal(ones)[self.position]
            pick = lambda at: self._small_grams(at, curvature)  # noqa: E731
        rows = (self.position, self.response) if self.units.responses > 1 else None
        more = _eigen(self.term.pointers[len(starts) :], len(bases), diagonal, pick, rows)
        values, bases, starts = (np.concatenate(pair) for pair in zip((values, bases, starts), more, strict=True))
        if self.units.shared:
            self._spectra = values, bases, starts
        return values, bases, starts

    def _small_grams(self, at: Array, curvature: Array | None) -> Array:
        """Return A_u^T D A_u for units with s coordinates, (units, s, s); `at` are these, (units, s)."""
        count, s = at.shape
        found = np.empty((count, s, s))
        few = max(CHUNK // s, 1)
        for first in range(0, count, few):
            some = self.position[at[first : first + few]].ravel()
            part = self.columns[:, some]
            whole = part if curvature is None else self._scaled(part, curvature)
            if self.sparse:
                product = self._product(part, whole).reshape(-1, s, len(some) // s, s)
                units = np.arange(len(some) // s)
                found[first : first + few] = product[units, :, units, :]
            else:
                left, right = part.T.reshape(-1, s, len(part)), whole.T.reshape(-1, s, len(part))
                found[first : first + few] = left @ right.transpose(0, 2, 1)
        return found


def _eigen(
    pointers: Array, first: int, diagonal: Array, pick: Callable[[Array], Array], rows: tuple[Array, Array] | None
) -> Spectra:
    """Return eigenvalues, eigenvectors and where they start, for units whose blocks `pick` gives.

    With `rows`, positions and responses, different responses do not meet in H, and a row of x has a multiple of the
    identity.
    """
    sizes = np.diff(pointers)
    values = diagonal[pointers[0] :].astype(np.float64)
    starts, bases = np.full(len(sizes), -1), []
    for s in np.unique(sizes[sizes > 1]):
        chosen = np.flatnonzero(sizes == s)
        at = pointers[chosen][:, None] + np.arange(s)
        if rows is not None:
            spread = (rows[0][at] != rows[0][at][:, :1]).any(axis=1)
            chosen, at = chosen[spread], at[spread]
            if not len(at):
                continue
        blocks = pick(at)
        if rows is not None:
            blocks = np.where(rows[1][at][:, :, None] == rows[1][at][:, None, :], blocks, 0)
        found, vectors = np.linalg.eigh(blocks)
        values[at - pointers[0]] = np.maximum(found, 0)
        starts[chosen] = first + s * s * np.arange(len(chosen))
        bases.append(vectors.ravel())
        first += vectors.size
    return values, np.concatenate(bases) if bases else np.zeros(0), starts
