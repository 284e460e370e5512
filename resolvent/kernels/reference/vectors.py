"""The vector work of conjugate gradients in few passes over memory, the meaning of the compiled twins.

Sums are accumulated in float64, whatever the type of the vectors. Shapes: all vectors (n,); what is changed is changed
in place and keeps its type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resolvent.typing import Array

__all__ = ["advance", "direction", "dot"]


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


LENGTHS = (0, 1, 9, 67)


def _examples(rng: np.random.Generator, dtype: Any, vectors: int, *numbers: float) -> list[tuple[Any, ...]]:
    # multiples of 1/16, so that nothing is rounded and the order of a sum does not matter
    return [(*(rng.integers(1, 100, (vectors, n)) / 16).astype(dtype), *numbers) for n in LENGTHS]


def _mixed(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [*_examples(rng, dtype, 2, -0.5), (rng.random(9).astype(np.float32), rng.random(9), 0.25)]


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], list[tuple[Any, ...]]]] = {
    "advance": lambda rng, dtype: _examples(rng, dtype, 4, -0.75),
    "direction": _mixed,
    "dot": lambda rng, dtype: _examples(rng, dtype, 2),
}
