"""Work between a transform and its inverse, the meaning of the compiled twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resolvent.typing import Array

__all__ = ["divide_by_sums"]


def divide_by_sums(v: Array, first: Array, second: Array, third: Array) -> None:
    """Divide v (n0, n1, n2) by ``first[i] + second[j] + third[k]``, in place; where that is zero, v becomes zero.

    Shapes: first (n0,), second (n1,), third (n2,), of v's dtype. Work: one pass over v.
    """
    sums = first[:, None, None] + second[:, None] + third
    v[:] = np.where(sums == 0, 0, v / np.where(sums == 0, 1, sums))


def _sums(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made = []
    for shape in ((0, 1, 2), (1, 1, 1), (3, 4, 5), (2, 1, 9)):
        axes = [rng.random(n) + 0.1 for n in shape]
        made.append((rng.standard_normal(shape).astype(dtype), *[axis.astype(dtype) for axis in axes]))
    for axis in made[-1][1:]:
        axis[0] = 0
    return made


EXAMPLES: dict[str, Callable[..., Any]] = {"divide_by_sums": _sums}
