"""What the geometry-conditioned network reads off the faces of a grid, the meaning of the compiled twins.

A logarithm to base 2 here is the piecewise linear one, exact at powers of two: for x = m 2^e with 1 <= m < 2 it is
e + m - 1. It and its inverse are what the bits of a float32 say; both are continuous, monotone, and almost free.

A network takes four features, each ``log(a / b)`` within -16 and 16, divided by 8, through two hidden layers of h units
with the activation x / (1 + abs(x))::

    W1 (4, h), b1 (h,), W2 (h, h), b2 (h,), W3 (h, 1), b3 (1,)

All arrays are float32 and flat, (m,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resolvent.typing import Array

__all__ = ["multipliers", "shares"]

LIMIT, SCALE = 16.0, 0.125
SMALL, LEAST = 1e-9, 1e-30


def multipliers(
    face: Array, left: Array, right: Array, before: Array, after: Array, W1: Array, b1: Array, W2: Array, b2: Array,
    W3: Array, b3: Array, out: Array,
) -> None:  # fmt: skip
    """Write factors for the fine faces that coarse faces are made of.

    Features are log(face / left), log(face / right), log(face / before), log(face / after): left and right the next
    faces along the axis, which lie inside the coarse cells; before and after the sums of the other faces of the two
    cells. The network is applied to both orders and the sum taken, so that a mirrored grid has mirrored factors.
    Work: about 8 h^2 flops a face.
    """
    small = np.float32(SMALL) * (face + left + right + before + after) + np.float32(LEAST)
    own = _log(face + small)
    f = [_clipped(own - _log(v + small)) for v in (left, right, before, after)]
    weights = (W1, b1, W2, b2, W3, b3)
    there, back = _network(f, *weights), _network([f[1], f[0], f[3], f[2]], *weights)
    out[:] = _exp(np.clip(there + back, -LIMIT, LIMIT))


def shares(
    face: Array, inner: Array, partner: Array, beyond: Array, rest: Array, axes: float, W1: Array, b1: Array, W2: Array,
    b2: Array, W3: Array, b3: Array, out: Array,
) -> None:  # fmt: skip
    """Write what each fine cell takes from the next coarse cell, in [0, 1).

    Without the network this is ``s = face / (2 max(face + inner, total / axes))``; it becomes ``s m / (s m + 1 - s)``
    with the factor m of the network. `face` looks at the next coarse cell, `inner` at the other fine cell of the own
    one, `partner` is the face of that cell on its far side, `beyond` the inner face of the next coarse cell, `rest` the
    sum of the faces across the axis. Features are log(face / inner), log((face + inner) / rest), log(partner / face),
    log(beyond / face). Work: about 4 h^2 flops a cell.
    """
    total = face + inner + rest
    most = np.maximum(face + inner, total / np.float32(axes))
    s = np.where(most > 0, np.float32(0.5) * face / np.maximum(most, np.float32(LEAST)), np.float32(0))
    small = np.float32(SMALL) * total + np.float32(LEAST)
    own = _log(face + small)
    f = [own - _log(inner + small), _log(face + inner + small) - _log(rest + small)]
    f += [_log(partner + small) - own, _log(beyond + small) - own]
    m = _exp(np.clip(_network([_clipped(v) for v in f], W1, b1, W2, b2, W3, b3), -LIMIT, LIMIT))
    out[:] = s * m / (s * m + 1 - s)


def _log(x: Array) -> Array:
    mantissa, exponent = np.frexp(x)
    found: Array = (exponent + 2 * mantissa - 2).astype(np.float32)
    return found


def _exp(y: Array) -> Array:
    whole = np.floor(y)
    found: Array = np.ldexp(1 + y - whole, whole.astype(np.int32)).astype(np.float32)
    return found


def _clipped(f: Array) -> Array:
    return np.clip(f, -LIMIT, LIMIT) * np.float32(SCALE)


def _network(f: list[Array], W1: Array, b1: Array, W2: Array, b2: Array, W3: Array, b3: Array) -> Array:
    x = np.stack(f, axis=-1) @ W1 + b1
    x = x / (1 + np.abs(x))
    x = x @ W2 + b2
    x = x / (1 + np.abs(x))
    found: Array = (x @ W3 + b3)[..., 0]
    return found


HIDDEN = 3
LENGTHS = (0, 1, 600)


def _examples(rng: np.random.Generator, vectors: int, *numbers: float) -> list[tuple[Any, ...]]:
    """Faces over many orders of magnitude, closed ones among them; float32 whatever the type that is asked for."""
    examples = []
    for m in LENGTHS:
        faces = 10 ** rng.uniform(-3, 3, (vectors, m)) * (rng.random((vectors, m)) < 0.9)
        shapes = ((4, HIDDEN), (HIDDEN,), (HIDDEN, HIDDEN), (HIDDEN,), (HIDDEN, 1), (1,))
        weights = (0.2 * rng.standard_normal(shape) for shape in shapes)
        arrays = [a.astype(np.float32) for a in (*faces, *weights, np.zeros(m))]
        examples.append((*arrays[:vectors], *numbers, *arrays[vectors:]))
    return examples


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], list[tuple[Any, ...]]]] = {
    "multipliers": lambda rng, dtype: _examples(rng, 5),
    "shares": lambda rng, dtype: _examples(rng, 5, 2.0),
}
