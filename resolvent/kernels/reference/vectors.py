"""The vector work of Krylov methods in few passes over memory, the meaning of the compiled twins.

Sums are accumulated in float64, whatever the type of the vectors. Shapes: all vectors (n,); what is changed is changed
in place and keeps its type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resolvent.typing import Array

__all__ = ["advance", "direction", "dot", "minimum_residual", "subtract_rows", "three_terms"]


def advance(x: Array, r: Array, p: Array, q: Array, alpha: float) -> float:
    """Do x += alpha p and r -= alpha q, return r^T r of the new r. Work: 6 n flops, four reads and two writes."""
    step = x.dtype.type(alpha)
    x += step * p
    r -= step * q
    return dot(r, r)


def direction(z: Array, p: Array, beta: float) -> None:
    """Do p = z + beta p. Work: 2 n flops, two reads and one write."""
    p *= p.dtype.type(beta)
    p += z


def dot(u: Array, v: Array) -> float:
    """Return u^T v. Work: 2 n flops, two reads."""
    return float(np.vdot(u.astype(np.float64), v.astype(np.float64)))


def three_terms(y: Array, u: Array, v: Array, a: float, b: float, out: Array) -> None:
    """Do out = y - a u - b v. Work: 4 n flops, three reads and one write."""
    kind = out.dtype.type
    out[:] = y - kind(a) * u - kind(b) * v


def minimum_residual(
    x: Array, r: Array, w: Array, w_before: Array, z: Array, v: Array, y: Array, numbers: tuple[float, ...]
) -> float:
    """Do the vector updates of an iteration of MINRES and return r^T r.

    With ``a_1, a_2, a_3, tau, keep, part, scale = numbers``: w_before = (z - a_2 w - a_3 w_before) / a_1, which is the
    new direction, x += tau w_before, r = keep r + part v, z = scale y. Work: 13 n flops, seven reads and four writes.
    """
    a_1, a_2, a_3, tau, keep, part, scale = (x.dtype.type(number) for number in numbers)
    w_before[:] = (z - a_2 * w - a_3 * w_before) / a_1
    x += tau * w_before
    r[:] = keep * r + part * v
    z[:] = scale * y
    return dot(r, r)


def subtract_rows(w: Array, V: Array, h: Array) -> Array:
    """Do w -= V^T h and return V w of the new w, (k,) float64; V (k, n), h (k,). Work: 4 k n flops, one read of V."""
    for row, coefficient in zip(V, h, strict=True):
        w -= w.dtype.type(coefficient) * row
    return np.array([dot(row, w) for row in V])


LENGTHS = (0, 1, 9, 67)


def _examples(rng: np.random.Generator, dtype: Any, vectors: int, *numbers: float) -> list[tuple[Any, ...]]:
    # multiples of 1/16, so that nothing is rounded and the order of a sum does not matter
    return [(*(rng.integers(1, 100, (vectors, n)) / 16).astype(dtype), *numbers) for n in LENGTHS]


def _mixed(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [*_examples(rng, dtype, 2, -0.5), (rng.random(9).astype(np.float32), rng.random(9), 0.25)]


def _three_terms(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [(*vectors, 0.5, -0.25, np.zeros_like(vectors[0])) for vectors in _examples(rng, dtype, 3)]


def _minimum_residual(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    numbers = (2.0, 0.5, -0.25, 0.5, 0.25, -0.5, 4.0)
    return [(*vectors, numbers) for vectors in _examples(rng, dtype, 7)]


def _rows(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    lengths = [(3, 0), (1, 1), (0, 5), (3, 9), (6, 5000)]
    return [
        ((rng.integers(1, 9, n) / 4).astype(dtype), (rng.integers(1, 9, (k, n)) / 4).astype(dtype), np.arange(k) / 4)
        for k, n in lengths
    ]


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], list[tuple[Any, ...]]]] = {
    "advance": lambda rng, dtype: _examples(rng, dtype, 4, -0.75),
    "direction": _mixed,
    "dot": lambda rng, dtype: _examples(rng, dtype, 2),
    "minimum_residual": _minimum_residual,
    "subtract_rows": _rows,
    "three_terms": _three_terms,
}
