"""Layers of a convolutional network on a grid, the meaning of the compiled twins.

Activations are (planes, rows, channels, columns) with a ring of zeros around the cells: one cell on each side of rows
and columns, and of planes in three dimensions. A grid in two dimensions is one plane without a ring. The channels stand
between rows and columns, so that the columns of a channel are contiguous. Kernels write the cells and leave the ring.

Weights are (3^(d - 1), 3, in, out): the first index runs over planes and rows of the neighbours, the second over
columns. ``w[t, c, i, o]`` multiplies channel i of that neighbour in channel o.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from resolvent.typing import Array

__all__ = ["convolve", "enlarge", "lift", "pool", "project"]


def convolve(x: Array, w: Array, b: Array, add: Array, plus: bool, out: Array) -> None:
    """Do out = max(x * w + b, 0), plus `add` after the maximum if `plus`; `add` may be `out`.

    x, add, out (planes, rows, channels, columns). Work: 2 3^d channels^2 flops a cell.
    """
    total = np.zeros_like(out[_cells(out)])
    for (t, c), shifted in _neighbours(x):
        total += np.einsum("zyix,io->zyox", shifted, w[t, c])
    inside = out[_cells(out)]
    inside[...] = np.maximum(total + b[:, None], 0) + (add[_cells(add)] if plus else 0)


def lift(r: Array, w: Array, b: Array, out: Array) -> None:
    """Do out = r * w + b without an activation, from one channel r (planes, rows, columns) to all.

    w (3^(d - 1), 3, out). Work: 2 3^d channels flops a cell.
    """
    total = np.zeros_like(out[_cells(out)])
    for (t, c), shifted in _neighbours(r[:, :, None, :]):
        total += shifted * w[t, c][:, None]
    out[_cells(out)] = total + b[:, None]


def project(x: Array, w: Array, b: Array, out: Array) -> None:
    """Do out = sum over the channels of w x, plus b; out (planes, rows, columns), w (channels,), b (1,)."""
    inside = np.einsum("zyix,i->zyx", x[_cells(x)], w) + b
    out[(*_cells(out[:, :, None, :])[:2], slice(1, -1))] = inside


def pool(x: Array, out: Array) -> None:
    """Do out = the means of x over blocks of two cells in each dimension."""
    cells = x[_cells(x)]
    z, y, i, k = cells.shape
    depth = 2 if _deep(x) else 1
    out[_cells(out)] = cells.reshape(z // depth, depth, y // 2, 2, i, k // 2, 2).mean(axis=(1, 3, 6))


def enlarge(x: Array, out: Array) -> None:
    """Add to each cell of out the value of the block of two cells in each dimension that it lies in."""
    cells = x[_cells(x)]
    if _deep(x):
        cells = cells.repeat(2, axis=0)
    out[_cells(out)] += cells.repeat(2, axis=1).repeat(2, axis=3)


def _deep(x: Array) -> bool:
    return bool(x.shape[0] > 1)


def _cells(x: Array) -> tuple[slice, ...]:
    ring = slice(1, -1)
    return (ring if _deep(x) else slice(None), ring, slice(None), ring)


def _neighbours(x: Array) -> Iterator[tuple[tuple[int, int], Array]]:
    """Yield the position in the weights, and x shifted to that neighbour, for all 3^d neighbours."""
    planes, rows, _, columns = x.shape
    for t in range(9 if _deep(x) else 3):
        up, right = (t // 3, t % 3) if _deep(x) else (0, t)
        depth = planes - 2 if _deep(x) else planes
        for c in range(3):
            yield (t, c), x[up : up + depth, right : right + max(rows - 2, 0), :, c : c + max(columns - 2, 0)]


CHANNELS = 16
SHAPES = ((1, 0, 0), (1, 4, 6), (4, 6, 4))


def _field(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...], channels: int = CHANNELS) -> Array:
    x = np.zeros((*shape[:2], channels, shape[2]), dtype)
    inside = x[_cells(x)]
    inside[...] = rng.standard_normal(inside.shape)
    return x


def _weights(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...], *channels: int) -> tuple[Array, Array]:
    taps = 9 if shape[0] > 1 else 3
    return rng.standard_normal((taps, 3, *channels)).astype(dtype), rng.standard_normal(channels[-1]).astype(dtype)


def _convolve(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    examples: list[tuple[Any, ...]] = []
    for shape in SHAPES:
        for plus in (False, True):
            x, add, out = (_field(rng, dtype, shape) for _ in range(3))
            examples.append((x, *_weights(rng, dtype, shape, CHANNELS, CHANNELS), add, plus, out))
    one = [np.zeros((1, 1, 1, 1), dtype) for _ in range(3)]  # a ring alone
    return [*examples, (one[0], *_weights(rng, dtype, (1,), 1, 1), one[1], True, one[2])]


def _lift(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    shapes = [(_field(rng, dtype, s, 1)[:, :, 0].copy(), s, _field(rng, dtype, s)) for s in SHAPES]
    shapes.append((np.zeros((1, 1, 1), dtype), (1, 1, 1), np.zeros((1, 1, CHANNELS, 1), dtype)))
    return [(r, *_weights(rng, dtype, s, CHANNELS), out) for r, s, out in shapes]


def _project(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    w, b = rng.standard_normal(CHANNELS).astype(dtype), rng.standard_normal(1).astype(dtype)
    pairs = [(_field(rng, dtype, s), _field(rng, dtype, s, 1)[:, :, 0].copy()) for s in SHAPES]
    one = (np.zeros((1, 1, 1, 1), dtype), w[:1], b, np.zeros((1, 1, 1), dtype))
    return [*((x, w, b, out) for x, out in pairs), one]


def _pairs(rng: np.random.Generator, dtype: Any) -> list[tuple[Array, Array]]:
    """Fields on a grid and on its half, fine first."""
    sizes = (((1, 0, 0), (1, 0, 0)), ((1, 6, 10), (1, 4, 6)), ((6, 4, 8), (4, 3, 5)))
    pairs = [(_field(rng, dtype, fine), _field(rng, dtype, coarse)) for fine, coarse in sizes]
    return [*pairs, (np.zeros((1, 1, 1, 1), dtype), np.zeros((1, 1, 1, 1), dtype))]


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], list[tuple[Any, ...]]]] = {
    "convolve": _convolve,
    "lift": _lift,
    "project": _project,
    "pool": _pairs,
    "enlarge": lambda rng, dtype: [(coarse, fine) for fine, coarse in _pairs(rng, dtype)],
}
