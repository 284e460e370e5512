"""Sketch-and-project steps on a CUDA device. Meaning and shapes: `resolvent.kernels.reference.sketches`.

Row and block-row steps are sequential by nature: one thread block runs a whole burst (``sketches.cu``). Gaussian and
CountSketch steps are matrix products, and go through cuBLAS and cuSPARSE; their small Gram matrices are factored by the
same kernel as those of the blocks.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cupy as cp
import cupyx.scipy.sparse as sp

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
THREADS = 256


def row_steps(A: Array, b: Array, z: Array, rows: Array, weights: Array) -> None:
    rows = _integers(rows)
    _launch("row_steps", A, (A, b, z, rows, len(rows), weights, len(z)))


def row_steps_csr(data: Array, indices: Array, indptr: Array, b: Array, z: Array, rows: Array, weights: Array) -> None:
    rows = _integers(rows)
    _launch("row_steps_csr", data, (data, indices, indptr, b, z, rows, len(rows), weights), index=indices)


def factor_blocks(A: Array, order: Array, pointers: Array, factors: Array) -> None:
    _factor(A, order, pointers, factors)


def factor_blocks_csr(
    data: Array, indices: Array, indptr: Array, order: Array, pointers: Array, factors: Array
) -> None:
    _factor(_matrix(data, indices, indptr), order, pointers, factors)


def block_row_steps(A: Array, b: Array, z: Array, order: Array, pointers: Array, factors: Array, blocks: Array) -> None:
    order, pointers, blocks, q = _integers(order), _integers(pointers), _integers(blocks), factors.shape[-1]
    work = cp.zeros(q, z.dtype)
    _launch("block_row_steps", A, (A, b, z, order, pointers, factors, q, blocks, len(blocks), work, len(z)))


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
    order, pointers, blocks, q = _integers(order), _integers(pointers), _integers(blocks), factors.shape[-1]
    arguments = (data, indices, indptr, b, z, order, pointers, factors, q, blocks, len(blocks), cp.zeros(q, z.dtype))
    _launch("block_row_steps_csr", data, arguments, index=indices)


def gaussian_steps(A: Array, b: Array, z: Array, sketches: Array) -> None:
    for S in cp.asarray(sketches):
        _project(A.T @ S, S.T @ b, z)


def gaussian_steps_csr(data: Array, indices: Array, indptr: Array, b: Array, z: Array, sketches: Array) -> None:
    gaussian_steps(_matrix(data, indices, indptr), b, z, sketches)


def count_steps(A: Array, b: Array, z: Array, buckets: Array, signs: Array, columns: int) -> None:
    n = len(z)
    rows = cp.arange(n)
    for bucket, sign in zip(cp.asarray(buckets), cp.asarray(signs), strict=True):
        S = sp.csr_matrix((sign.astype(z.dtype), (rows, bucket)), shape=(n, columns)) if n else cp.zeros((0, columns))
        W = (S.T @ A).T
        _project(W.toarray() if sp.issparse(W) else W, S.T @ b, z)


def count_steps_csr(
    data: Array, indices: Array, indptr: Array, b: Array, z: Array, buckets: Array, signs: Array, columns: int
) -> None:
    count_steps(_matrix(data, indices, indptr), b, z, buckets, signs, columns)


def _project(W: Array, v: Array, z: Array) -> None:
    """z <- z - W (W^T W)^+ (W^T z - v) for W (n, q)."""
    q = W.shape[1]
    pointers = cp.asarray([0, q])
    gram = cp.ascontiguousarray(W.T @ W)[None]
    _factor_grams(gram, pointers)
    work = W.T @ z - v
    lower = cp.tril(gram[0])
    kept = cp.diagonal(lower) > 0
    lower = lower + cp.diag((~kept).astype(z.dtype))  # a unit pivot where the column is dropped
    work = cp.linalg.solve(lower, cp.where(kept, work, 0))
    work = cp.linalg.solve(lower.T, cp.where(kept, work, 0))
    z -= W @ cp.where(kept, work, 0)


def _factor(A: Any, order: Array, pointers: Array, factors: Array) -> None:
    order = cp.asarray(order)
    bounds = [int(p) for p in pointers]
    for k in range(len(bounds) - 1):
        rows = A[order[bounds[k] : bounds[k + 1]]]
        gram = rows @ rows.T
        q = bounds[k + 1] - bounds[k]
        factors[k, :q, :q] = gram.toarray() if sp.issparse(gram) else gram
    if len(bounds) > 1:
        _factor_grams(factors, cp.asarray(bounds))


def _factor_grams(grams: Array, pointers: Array) -> None:
    tolerance = grams.dtype.type(DEPENDENT * cp.finfo(grams.dtype).eps)
    arguments = (grams, _integers(pointers), grams.shape[-1], tolerance)
    _launch("factor_grams", grams, arguments, blocks=len(grams))


def _matrix(data: Array, indices: Array, indptr: Array) -> Any:
    n = len(indptr) - 1
    return sp.csr_matrix((data, indices, indptr), shape=(n, n))


def _integers(values: Array) -> Array:
    integers: Array = cp.ascontiguousarray(cp.asarray(values, dtype=cp.int64))
    return integers


@lru_cache(maxsize=1)
def _module() -> Any:
    names = [
        f"{name}<{real}{index}>"
        for real in ("float", "double")
        for name, index in [
            ("row_steps", ""),
            ("block_row_steps", ""),
            ("factor_grams", ""),
            *(
                (f"{name}_csr", f", {index}")
                for name in ("row_steps", "block_row_steps")
                for index in ("int", "long long")
            ),
        ]
    ]
    source = Path(__file__).with_suffix(".cu").read_text()
    return cp.RawModule(code=source, options=("-std=c++17",), name_expressions=names)


def _launch(name: str, first: Array, arguments: tuple[Any, ...], index: Array | None = None, blocks: int = 1) -> None:
    """Run a kernel of ``sketches.cu``; `first` tells the floating type, `index` that of CSR indices."""
    real = {"float32": "float", "float64": "double"}[first.dtype.name]
    if index is not None:
        real += ", int" if index.dtype == cp.int32 else ", long long"
    kernel = _module().get_function(f"{name}<{real}>")
    kernel((blocks,), (THREADS,), tuple(cp.int64(a) if isinstance(a, int) else a for a in arguments))
