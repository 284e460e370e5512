"""Sketch-and-project steps, compiled. Meaning and shapes: `resolvent.kernels.reference.sketches`.

Sums may be reordered (for SIMD), nan and inf are kept. Helpers stand in this file: Numba's disk cache does not see a
change in a callee elsewhere.
"""

from __future__ import annotations

import numpy as np

from resolvent.kernels.cpu.compiling import REORDERED, kernel
from resolvent.typing import Array

__all__ = [
    "block_row_steps",
    "block_row_steps_csr",
    "count_steps",
    "count_steps_csr",
    "factor_blocks",
    "factor_blocks_csr",
    "gaussian_steps",
    "gaussian_steps_csr",
    "row_steps",
    "row_steps_csr",
]

DEPENDENT = 64.0
compiled = kernel(REORDERED)


@compiled
def row_steps(A: Array, b: Array, z: Array, rows: Array, weights: Array) -> None:
    n = z.shape[0]
    for i in rows:
        product = -b[i]
        for j in range(n):
            product += A[i, j] * z[j]
        step = weights[i] * product
        for j in range(n):
            z[j] -= step * A[i, j]


@compiled
def row_steps_csr(data: Array, indices: Array, indptr: Array, b: Array, z: Array, rows: Array, weights: Array) -> None:
    for i in rows:
        product = -b[i]
        for k in range(indptr[i], indptr[i + 1]):
            product += data[k] * z[indices[k]]
        step = weights[i] * product
        for k in range(indptr[i], indptr[i + 1]):
            z[indices[k]] -= step * data[k]


@compiled
def factor_blocks(A: Array, order: Array, pointers: Array, factors: Array) -> None:
    for k in range(len(pointers) - 1):
        rows = order[pointers[k] : pointers[k + 1]]
        q = len(rows)
        gram = factors[k]
        for i in range(q):
            for j in range(i + 1):
                gram[i, j] = np.dot(A[rows[i]], A[rows[j]])
        _cholesky(gram, q)


@compiled
def factor_blocks_csr(
    data: Array, indices: Array, indptr: Array, order: Array, pointers: Array, factors: Array
) -> None:
    dense = np.zeros(len(indptr) - 1, dtype=data.dtype)
    for k in range(len(pointers) - 1):
        rows = order[pointers[k] : pointers[k + 1]]
        q = len(rows)
        gram = factors[k]
        for i in range(q):  # row i is spread out, the others are gathered against it
            first, last = indptr[rows[i]], indptr[rows[i] + 1]
            for p in range(first, last):
                dense[indices[p]] = data[p]
            for j in range(i, q):
                total = dense[0] * 0
                for p in range(indptr[rows[j]], indptr[rows[j] + 1]):
                    total += data[p] * dense[indices[p]]
                gram[j, i] = total
            for p in range(first, last):
                dense[indices[p]] = 0
        _cholesky(gram, q)


@compiled
def block_row_steps(A: Array, b: Array, z: Array, order: Array, pointers: Array, factors: Array, blocks: Array) -> None:
    n = z.shape[0]
    work = np.zeros(factors.shape[-1], dtype=z.dtype)
    for k in blocks:
        rows = order[pointers[k] : pointers[k + 1]]
        q = len(rows)
        for i in range(q):
            product = -b[rows[i]]
            for j in range(n):
                product += A[rows[i], j] * z[j]
            work[i] = product
        _solve(factors[k], work, q)
        for i in range(q):
            for j in range(n):
                z[j] -= work[i] * A[rows[i], j]


@compiled
def block_row_steps_csr(
    data: Array,
    indices: Array,
    indptr: Array,
    b: Array,
    z: Array,
    order: Array,
    pointers: Array,
    factors: Array,
    blocks: Array,
) -> None:
    work = np.zeros(factors.shape[-1], dtype=z.dtype)
    for k in blocks:
        rows = order[pointers[k] : pointers[k + 1]]
        q = len(rows)
        for i in range(q):
            product = -b[rows[i]]
            for p in range(indptr[rows[i]], indptr[rows[i] + 1]):
                product += data[p] * z[indices[p]]
            work[i] = product
        _solve(factors[k], work, q)
        for i in range(q):
            for p in range(indptr[rows[i]], indptr[rows[i] + 1]):
                z[indices[p]] -= work[i] * data[p]


@compiled
def gaussian_steps(A: Array, b: Array, z: Array, sketches: Array) -> None:
    for s in range(len(sketches)):
        S = sketches[s]
        _project(np.dot(S.T, A), np.dot(S.T, b), z)


@compiled
def gaussian_steps_csr(data: Array, indices: Array, indptr: Array, b: Array, z: Array, sketches: Array) -> None:
    n, q = sketches.shape[1], sketches.shape[2]
    W = np.empty((n, q), dtype=z.dtype)  # transposed: the q entries of a column of A S lie together
    for s in range(len(sketches)):
        S = sketches[s]
        W[:] = 0
        if q == 1:
            w = W[:, 0]
            for i in range(n):
                for p in range(indptr[i], indptr[i + 1]):
                    w[indices[p]] += S[i, 0] * data[p]
        else:
            for i in range(n):
                for p in range(indptr[i], indptr[i + 1]):
                    for j in range(q):
                        W[indices[p], j] += S[i, j] * data[p]
        _project(np.ascontiguousarray(W.T), np.dot(S.T, b), z)


@compiled
def count_steps(A: Array, b: Array, z: Array, buckets: Array, signs: Array, columns: int) -> None:
    n = z.shape[0]
    W = np.empty((columns, n), dtype=z.dtype)
    v = np.empty(columns, dtype=z.dtype)
    for s in range(len(buckets)):
        W[:] = 0
        v[:] = 0
        for i in range(n):
            bucket, sign = buckets[s, i], signs[s, i]
            v[bucket] += sign * b[i]
            for j in range(n):
                W[bucket, j] += sign * A[i, j]
        _project(W, v, z)


@compiled
def count_steps_csr(
    data: Array, indices: Array, indptr: Array, b: Array, z: Array, buckets: Array, signs: Array, columns: int
) -> None:
    n = z.shape[0]
    W = np.empty((columns, n), dtype=z.dtype)
    v = np.empty(columns, dtype=z.dtype)
    for s in range(len(buckets)):
        W[:] = 0
        v[:] = 0
        for i in range(n):
            bucket, sign = buckets[s, i], signs[s, i]
            v[bucket] += sign * b[i]
            for p in range(indptr[i], indptr[i + 1]):
                W[bucket, indices[p]] += sign * data[p]
        _project(W, v, z)


@compiled
def _project(W: Array, v: Array, z: Array) -> None:
    """z <- z - W^T (W W^T)^+ (W z - v) for W (q, n)."""
    q, n = W.shape
    if q == 1:
        norm, product = W[0, 0] * 0 if n else v[0] * 0, -v[0]
        for j in range(n):
            norm += W[0, j] * W[0, j]
            product += W[0, j] * z[j]
        if norm > 0:
            step = product / norm
            for j in range(n):
                z[j] -= step * W[0, j]
        return
    gram = np.dot(W, W.T)
    work = np.dot(W, z) - v
    _cholesky(gram, q)
    _solve(gram, work, q)
    z -= np.dot(work, W)


@compiled
def _cholesky(gram: Array, q: int) -> None:
    """Replace the lower triangle of a Gram matrix by its factor; the upper one is cleared."""
    tolerance = DEPENDENT * np.finfo(gram.dtype).eps
    for j in range(q):
        pivot = gram[j, j]
        diagonal = pivot
        for k in range(j):
            pivot -= gram[j, k] * gram[j, k]
        independent = pivot > tolerance * diagonal
        gram[j, j] = np.sqrt(pivot) if independent else 0
        for i in range(j + 1, q):
            if independent:
                total = gram[i, j]
                for k in range(j):
                    total -= gram[i, k] * gram[j, k]
                gram[i, j] = total / gram[j, j]
            else:
                gram[i, j] = 0
        for i in range(j):
            gram[i, j] = 0


@compiled
def _solve(factor: Array, work: Array, q: int) -> None:
    """Replace work[:q] by w with L L^T w = work, w_j = 0 where L_jj = 0."""
    for j in range(q):
        if factor[j, j] > 0:
            total = work[j]
            for k in range(j):
                total -= factor[j, k] * work[k]
            work[j] = total / factor[j, j]
        else:
            work[j] = 0
    for j in range(q - 1, -1, -1):
        if factor[j, j] > 0:
            total = work[j]
            for k in range(j + 1, q):
                total -= factor[k, j] * work[k]
            work[j] = total / factor[j, j]
        else:
            work[j] = 0
