"""Columns of A in a working set: products with them, their Gram matrix, sweeps over them. Sparse ones stay where they
are, dense ones are copied together."""

from __future__ import annotations

from typing import Any

import numpy as np

from resolvent import kernels
from resolvent.typing import Array

__all__ = ["DenseColumns", "SparseColumns", "whole"]


class DenseColumns:
    """Columns in an array that has room for more.

    Parameters
    ----------
    A : array (n, m)
        Ordered by columns.
    """

    def __init__(self, A: Array) -> None:
        self.A = A

    @property
    def order(self) -> int:
        return int(self.A.shape[1])

    def append(self, A: Array, chosen: Array) -> None:
        """Take up columns of another matrix."""
        n, m = self.A.shape
        total, room = m + len(chosen), self.A.base
        if room is None or room.ndim != 2 or room.shape[1] < total or room.shape[0] != n:
            room = np.empty((n, max(4 * total, 256)), self.A.dtype, order="F")  # untouched memory costs nothing
            room[:, :m] = self.A
        np.take(A.T, chosen, axis=0, out=room[:, m:total].T, mode="clip")
        self.A = room[:, :total]

    def part(self, chosen: Array) -> DenseColumns:
        return DenseColumns(self.A[:, chosen])

    def together(self) -> DenseColumns:
        """Return the columns in an array of their own, for those who look at them many times."""
        return self

    def predict(self, d: Array) -> Array:
        """Return A d."""
        found: Array = self.A @ d
        return found

    def correlate(self, r: Array) -> Array:
        """Return A^T r."""
        found: Array = self.A.T @ r
        return found

    def diagonal(self, curvature: Array) -> Array:
        """Return the diagonal of A^T D A."""
        found: Array = np.einsum("ij,ij,i->j", self.A, self.A, curvature)
        return found

    def gram(self, curvature: Array | None, known: Array) -> Array:
        """Return A^T D A, whose first rows and columns are `known`; D is one without a curvature.

        It is a view of an array with room for more.
        """
        first, m = len(known), self.order
        if first == m:
            return known
        H, new, old = _roomy(known, m), self.A[:, first:], self.A[:, :first]
        if curvature is None:
            H[first:, first:] = new.T @ new  # by BLAS's syrk, in half the time
            if first:
                H[:first, first:] = old.T @ new
        elif first:
            H[:, first:] = self.A.T @ (curvature[:, None] * new)
        else:
            scaled = np.sqrt(curvature)[:, None] * new
            H[:] = scaled.T @ scaled
        H[first:, :first] = H[:first, first:].T
        return H

    def sweep(self, *rest: Any) -> None:
        """Call `sweeps_dense` for the columns."""
        kernels.descent.sweeps_dense(self.A, np.arange(self.order), *rest)


class SparseColumns:
    """Some columns of a CSC array.

    Parameters
    ----------
    A : csc_array
    places : array of int
    """

    def __init__(self, A: Any, places: Array) -> None:
        self.places, self._A, self._arrays = places, A, (A.data, A.indices, A.indptr)
        self._rows: Any = 0, None
        self._own: SparseColumns | None = None

    @property
    def order(self) -> int:
        return len(self.places)

    def append(self, A: Any, chosen: Array) -> None:
        """Take up columns of the same matrix."""
        self.places = np.concatenate([self.places, chosen])

    def part(self, chosen: Array) -> SparseColumns:
        return SparseColumns(self._A, self.places[chosen])

    def together(self) -> SparseColumns:
        """Return the columns in an array of their own, as `DenseColumns.together` does."""
        if self._own is None or self._own.order != self.order:
            self._own = SparseColumns(self._A[:, self.places], np.arange(self.order))
        return self._own

    def predict(self, d: Array) -> Array:
        """Return A d."""
        found = np.zeros(self._A.shape[0], self._A.dtype)
        kernels.descent.accumulate(*self._arrays, self.places, d, found)
        return found

    def correlate(self, r: Array) -> Array:
        """Return A^T r."""
        found = np.empty(self.order, self._A.dtype)
        kernels.descent.correlate(*self._arrays, self.places, 1, r, found)
        return found

    def diagonal(self, curvature: Array) -> Array:
        """Return the diagonal of A^T D A."""
        found = np.empty(self.order, self._A.dtype)
        kernels.descent.correlate(*self._arrays, self.places, 2, curvature, found)
        return found

    def gram(self, curvature: Array | None, known: Array) -> Array:
        """Return A^T D A, as `DenseColumns.gram` does."""
        first, m = len(known), self.order
        if first == m:
            return known
        H, D = _roomy(known, m), np.ones(1, self._A.dtype) if curvature is None else curvature
        H[first:] = 0
        kernels.descent.columns_gram(*self._arrays, self.places, *self._by_rows(), D, first, m, whole(H))
        square = H[first:, first:]
        square += np.tril(square, -1).T
        H[:first, first:] = H[first:, :first].T
        return H

    def _by_rows(self) -> tuple[Array, Array, Array]:
        """Return the columns by rows, as `columns_gram` wrote them, or room for them."""
        order, rows = self._rows
        if order != self.order:
            indptr = self._A.indptr
            entries = int((indptr[self.places + 1] - indptr[self.places]).sum())
            starts = np.zeros(self._A.shape[0] + 1, np.int64)
            rows = starts, np.empty(entries, np.int32), np.empty(entries, self._A.dtype)
            self._rows = self.order, rows
        found: tuple[Array, Array, Array] = rows
        return found

    def sweep(self, *rest: Any) -> None:
        """Call `sweeps_sparse` for the columns."""
        kernels.descent.sweeps_sparse(*self._arrays, self.places, *rest)


def whole(H: Array) -> Array:
    """Return rows without gaps that begin with those of H: what kernels take."""
    if H.flags.c_contiguous:
        return H
    room = _room(H)
    return np.ascontiguousarray(H) if room is None else room


def _room(H: Array) -> Array | None:
    """Return the array made by `_roomy` of which H is the beginning, None where there is none."""
    room = H.base
    if room is None or room.ndim != 2 or room.shape[0] != room.shape[1] or room.dtype != H.dtype:
        return None
    return room if room.flags.c_contiguous and room.ctypes.data == H.ctypes.data else None


def _roomy(known: Array, order: int) -> Array:
    """Return a matrix of this order that begins with the known one, as a view of rows with room for more."""
    first = len(known)
    room = _room(known)
    if room is None or len(room) < order:
        room = np.empty((max(2 * order, 128),) * 2, known.dtype)  # untouched memory costs nothing
        room[:first, :first] = known
    found: Array = room[:order, :order]
    return found
