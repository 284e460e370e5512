"""Sketch-and-project steps for A x = b (Gower and Richtarik 2015), the meaning of the compiled twins.

One step with a sketch S projects z, orthogonally, on the solutions of the sketched system S^T A z = S^T b::

    W = S^T A,  v = S^T b,      z <- z - W^T (W W^T)^+ (W z - v)

A row step has S = e_i, a block-row step several unit vectors, a Gaussian step a matrix of normal numbers, a
CountSketch step one +-1 in each row. All kernels change z in place and take a whole burst of steps.

Shapes: A (n, n) dense, or its CSR arrays ``data, indices, indptr``; b, z (n,). All floating arguments share one dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

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
"""A pivot below DEPENDENT * eps * (its diagonal entry) marks a row that depends on those before it."""


def row_steps(A: Array, b: Array, z: Array, rows: Array, weights: Array) -> None:
    """Project z on the equations `rows` (k,), one after the other; weights (n,) = 1 / norm2(row)^2, 0 for zero rows.

    Work: 4 n flops a step.
    """
    for i in rows:
        z -= weights[i] * (A[i] @ z - b[i]) * A[i]


def row_steps_csr(data: Array, indices: Array, indptr: Array, b: Array, z: Array, rows: Array, weights: Array) -> None:
    """As `row_steps` for CSR arrays. Work: 4 nnz(row) flops a step."""
    for i in rows:
        span = slice(indptr[i], indptr[i + 1])
        columns, values = indices[span], data[span]
        z[columns] -= weights[i] * (values @ z[columns] - b[i]) * values


def factor_blocks(A: Array, order: Array, pointers: Array, factors: Array) -> None:
    """Write the Cholesky factors L of the Gram matrices of all blocks of rows into factors (blocks, q, q).

    Block k holds the rows ``order[pointers[k]:pointers[k + 1]]``. A row that depends on those before it gets the
    diagonal entry 0 and a column of zeros; on a consistent system its equation holds by itself. Work: n q (n + q)
    flops.
    """
    for k in range(len(pointers) - 1):
        rows = A[order[pointers[k] : pointers[k + 1]]]
        _cholesky(rows @ rows.T, factors[k])


def factor_blocks_csr(
    data: Array, indices: Array, indptr: Array, order: Array, pointers: Array, factors: Array
) -> None:
    """As `factor_blocks` for CSR arrays."""
    factor_blocks(_dense(data, indices, indptr), order, pointers, factors)


def block_row_steps(A: Array, b: Array, z: Array, order: Array, pointers: Array, factors: Array, blocks: Array) -> None:
    """Project z on all equations of a block at once, for the drawn `blocks` (k,); factors from `factor_blocks`.

    Work: 4 q n + 2 q^2 flops a step.
    """
    for k in blocks:
        rows = order[pointers[k] : pointers[k + 1]]
        z -= A[rows].T @ _solve(factors[k, : len(rows), : len(rows)], A[rows] @ z - b[rows])


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
    """As `block_row_steps` for CSR arrays. Work: 4 nnz(block) + 2 q^2 flops a step."""
    block_row_steps(_dense(data, indices, indptr), b, z, order, pointers, factors, blocks)


def gaussian_steps(A: Array, b: Array, z: Array, sketches: Array) -> None:
    """One step for each sketch S = sketches[j] (n, q). Work: 2 q n^2 + q^2 n flops a step."""
    for S in sketches:
        _project(A.T @ S, S.T @ b, z)


def gaussian_steps_csr(data: Array, indices: Array, indptr: Array, b: Array, z: Array, sketches: Array) -> None:
    """As `gaussian_steps` for CSR arrays. Work: 2 q nnz(A) + q^2 n flops a step."""
    gaussian_steps(_dense(data, indices, indptr), b, z, sketches)


def count_steps(A: Array, b: Array, z: Array, buckets: Array, signs: Array, columns: int) -> None:
    """One CountSketch step for each row of `buckets` (k, n), integers below `columns`, and `signs` (k, n), +-1.

    Work: n^2 + q^2 n flops a step, q = columns.
    """
    for bucket, sign in zip(buckets, signs, strict=True):
        S = np.zeros((len(b), columns), dtype=z.dtype)
        S[np.arange(len(b)), bucket] = sign
        _project(A.T @ S, S.T @ b, z)


def count_steps_csr(
    data: Array, indices: Array, indptr: Array, b: Array, z: Array, buckets: Array, signs: Array, columns: int
) -> None:
    """As `count_steps` for CSR arrays. Work: 2 nnz(A) + q^2 n flops a step."""
    count_steps(_dense(data, indices, indptr), b, z, buckets, signs, columns)


def _dense(data: Array, indices: Array, indptr: Array) -> Array:
    n = len(indptr) - 1
    return np.asarray(sp.csr_array((data, indices, indptr), shape=(n, n)).toarray())


def _project(W: Array, v: Array, z: Array) -> None:
    """z <- z - W (W^T W)^+ (W^T z - v) for W (n, q)."""
    if W.shape[1]:
        factor = np.empty((W.shape[1], W.shape[1]), dtype=W.dtype)
        _cholesky(W.T @ W, factor)
        z -= W @ _solve(factor, W.T @ z - v)


def _cholesky(gram: Array, factor: Array) -> None:
    q = len(gram)
    factor[:] = 0
    for j in range(q):
        pivot = gram[j, j] - factor[j, :j] @ factor[j, :j]
        if pivot > DEPENDENT * np.finfo(gram.dtype).eps * gram[j, j]:
            factor[j, j] = np.sqrt(pivot)
            factor[j + 1 : q, j] = (gram[j + 1 :, j] - factor[j + 1 : q, :j] @ factor[j, :j]) / factor[j, j]


def _solve(factor: Array, rhs: Array) -> Array:
    """Return w with L L^T w = rhs, w_j = 0 where L_jj = 0."""
    q, w = len(rhs), rhs.copy()
    for j in range(q):
        w[j] = (w[j] - factor[j, :j] @ w[:j]) / factor[j, j] if factor[j, j] > 0 else 0
    for j in range(q - 1, -1, -1):
        w[j] = (w[j] - factor[j + 1 : q, j] @ w[j + 1 :]) / factor[j, j] if factor[j, j] > 0 else 0
    return w


# ---- examples for the tests of the twins: name -> function(rng, dtype) -> list of argument tuples


def _systems(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, Array, Array]]:
    """Empty, of order one, and of order 12 with a dependent and a zero row; A is (dense, CSR)."""
    systems = []
    for n in (0, 1, 12):
        A = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.6) + 2 * np.eye(n)
        if n == 12:
            A[3], A[4] = 2 * A[2], 0
        x = rng.standard_normal(n)
        z = rng.standard_normal(n)
        systems.append((A.astype(dtype), (A @ x).astype(dtype), z.astype(dtype)))
    return systems


def _both(make: Callable[..., list[tuple[Any, ...]]]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return examples for the dense and the CSR kernel; `make(A, b, z, rng)` gives what follows after the matrix."""

    def dense(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
        return [(A, *rest) for A, b, z in _systems(rng, dtype) for rest in make(A, b, z, rng)]

    def csr(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for index in (np.int32, np.int64):
            for A, b, z in _systems(rng, dtype):
                C = sp.csr_array(A)
                arrays = (C.data, C.indices.astype(index), C.indptr.astype(index))
                found += [(*arrays, *rest) for rest in make(A, b, z, rng)]
        return found

    return dense, csr


def _rows(A: Array, b: Array, z: Array, rng: np.random.Generator) -> list[tuple[Any, ...]]:
    norms = np.einsum("ij,ij->i", A, A)
    weights = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    return [(b, z, rng.integers(len(b), size=20) if len(b) else np.zeros(0, np.int64), weights)]


def _partition(n: int, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    return rng.permutation(n), np.append(np.arange(0, n, size), n)


def _factors(A: Array, b: Array, z: Array, rng: np.random.Generator) -> list[tuple[Any, ...]]:
    order, pointers = _partition(len(b), 5, rng)
    return [(order, pointers, np.zeros((len(pointers) - 1, 5, 5), A.dtype))]


def _blocks(A: Array, b: Array, z: Array, rng: np.random.Generator) -> list[tuple[Any, ...]]:
    [(order, pointers, factors)] = _factors(A, b, z, rng)
    factor_blocks(A, order, pointers, factors)
    drawn = rng.integers(len(factors), size=8) if len(factors) else np.zeros(0, np.int64)
    return [(b, z, order, pointers, factors, drawn)]


def _normal(A: Array, b: Array, z: Array, rng: np.random.Generator) -> list[tuple[Any, ...]]:
    return [(b, z.copy(), rng.standard_normal((4, len(b), q)).astype(A.dtype)) for q in (1, 3) if q <= max(len(b), 1)]


def _counts(A: Array, b: Array, z: Array, rng: np.random.Generator) -> list[tuple[Any, ...]]:
    shape = (4, len(b))
    return [(b, z.copy(), rng.integers(3, size=shape), rng.choice([-1.0, 1.0], size=shape).astype(A.dtype), 3)]


EXAMPLES: dict[str, Callable[..., Any]] = {}
for _name, _make in {
    "row_steps": _rows,
    "factor_blocks": _factors,
    "block_row_steps": _blocks,
    "gaussian_steps": _normal,
    "count_steps": _counts,
}.items():
    EXAMPLES[_name], EXAMPLES[f"{_name}_csr"] = _both(_make)
