"""Block coordinate descent on a quadratic model of f with a g of groups: the meaning of the compiled twins.

The model over the coordinates of a working set, at the point x::

    q(d) = g^T d + d^T (I x H) d / 2 + sum_u norms_u norm2(x_u + d_u)
           + sum_i (weight_i |x_i + d_i| + ridge_i (x_i + d_i)^2 / 2),     lower <= x + d <= upper

x and g are those of k responses one after the other, (k m,), and H is (m, m), the same for all. Unit u has the
coordinates ``places[pointers[u]:pointers[u + 1]]``, and arrays by coordinate are in that order. Units of more than one
coordinate have no ridge and no bounds, and one weight.

A sweep minimises the model in one unit after the other. The block of H that belongs to a unit comes as its eigenvalues,
`values`, and eigenvectors in the columns of the matrix at ``bases[starts[u]:]``, by rows; a negative start says that
the block is diagonal. With c = V^T (H x - g), the minimiser of a unit without weight is zero where norm2(c) <= norms_u,
and else V u with u_i = c_i t / (values_i t + norms_u), where its norm t solves

    sum_i (c_i / (values_i t + norms_u))^2 = 1.

The inverse of the norm is a concave function of t, so that Newton's method on it from t = 0 rises to the root. With a
weight, proximal gradient steps inside the unit come near.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resolvent.typing import Array

__all__ = ["sweeps_gram"]

SECULAR = 50
"""Newton steps for the norm of a unit; five are usual."""
LOCAL = 20
"""Proximal gradient steps inside a unit that has a weight."""


def sweeps_gram(
    H: Array,
    g: Array,
    x: Array,
    pointers: Array,
    places: Array,
    norms: Array,
    weight: Array,
    ridge: Array,
    lower: Array,
    upper: Array,
    values: Array,
    bases: Array,
    starts: Array,
    sweeps: int,
    tolerance: float,
    change: Array,
) -> None:
    """Sweep over the units until the largest change of a gradient is at most `tolerance`, or so many times.

    x and g, the gradient of the smooth part, are updated; the largest change of the last sweep is written into
    change (1,). Work: 4 s^2 flops for a unit of s coordinates, 2 s m more where it moves.
    """
    m, largest = len(H), 0.0
    for _ in range(sweeps):
        largest = 0.0
        for u in range(len(norms)):
            b = slice(pointers[u], pointers[u + 1])
            at, lam, s = places[b], values[b].astype(np.float64), len(places[b])
            V = bases[starts[u] : starts[u] + s * s].reshape(s, s) if starts[u] >= 0 else np.eye(s)
            term = weight[b], ridge[b], lower[b], upper[b]
            new = _minimiser(x[at].astype(np.float64), g[at].astype(np.float64), lam, V, float(norms[u]), term)
            d = new.astype(x.dtype) - x[at]
            x[at] = new
            for place, move in zip(at, d, strict=True):
                row = place - place % m
                g[row : row + m] += move * H[place % m]
            if d.any():
                top = float((lam + ridge[b])[d != 0].max())
                largest = max(largest, float(np.linalg.norm(d.astype(np.float64))) * top)
        if largest <= tolerance:
            break
    change[0] = largest


def _minimiser(x: Array, g: Array, values: Array, V: Array, norm: float, term: tuple[Array, ...]) -> Array:
    weight, ridge, lower, upper = term
    if len(x) == 1:
        whole = values + ridge
        u = values * x - g
        v = np.sign(u) * np.maximum(np.abs(u) - weight, 0) / np.where(whole > 0, whole, 1)
        return np.where(whole > 0, np.clip(v, lower, upper), x)
    if not x.any() and np.linalg.norm(g) <= norm:
        return x
    if weight[0] > 0:
        return _proximal_steps(x, g, values, V, norm, float(weight[0]))
    c = values * (V.T @ x) - V.T @ g
    if np.linalg.norm(c) <= norm:
        return np.zeros_like(x)
    t = 0.0
    for _ in range(SECULAR):
        a = c / (values * t + norm)
        slope = float((a * a * values / (values * t + norm)).sum())
        if slope <= 0:
            break
        step = (float(np.linalg.norm(a)) - 1) * float(a @ a) / slope
        t += step
        if not step > 1e-15 * t:
            break
    found: Array = V @ (c * t / (values * t + norm))
    return found


def _proximal_steps(x: Array, g: Array, values: Array, V: Array, norm: float, weight: float) -> Array:
    L, far = float(values.max()), 0.0
    if L <= 0:
        return x
    for _ in range(LOCAL):
        v = x - g / L
        v = np.sign(v) * np.maximum(np.abs(v) - weight / L, 0)
        size = float(np.linalg.norm(v))
        d = v * (max(1 - norm / (L * size), 0) if size > 0 else 0) - x
        x = x + d
        far = max(far, float(d @ d))
        if d @ d <= 1e-4 * far:
            break
        g = g + V @ (values * (V.T @ d))
    return x


# ---- examples


def _units(rng: np.random.Generator, p: int, most: int) -> Array:
    """Return pointers of consecutive units of one to `most` of p coordinates."""
    ends = [0]
    while ends[-1] < p:
        ends.append(min(ends[-1] + int(rng.integers(1, most + 1)), p))
    return np.array(ends)


def _sweeps_gram(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []
    for n, m, most, l1 in ((3, 0, 1, 0.0), (2, 1, 1, 0.3), (20, 8, 3, 0.0), (6, 12, 4, 0.0), (20, 9, 3, 0.2)):
        A = rng.standard_normal((n, m))
        H = A.T @ A
        pointers = _units(rng, m, most)
        sizes = np.diff(pointers)
        values, bases, starts = np.zeros(m), [np.zeros(0)], np.full(len(sizes), -1)
        for u in range(len(sizes)):
            b = slice(pointers[u], pointers[u + 1])
            values[b], V = np.linalg.eigh(H[b, b])
            starts[u] = sum(map(len, bases))
            bases.append(V.ravel())
        single = np.repeat(sizes == 1, sizes)
        arrays = (
            H, rng.standard_normal(m), rng.standard_normal(m), pointers, np.arange(m), rng.random(len(sizes)) + 0.1,
            np.where(single, 0.2, l1), np.where(single, 0.5, 0), np.where(single, -0.4, -np.inf), np.full(m, np.inf),
            values, np.concatenate(bases), starts,
        )  # fmt: skip
        made.append((*(a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays), 3, 1e-9, np.zeros(1, dtype)))
    G = (H[:3, :3] + 3 * np.eye(3)).astype(dtype)  # rows of three for two responses
    x = rng.standard_normal(6).astype(dtype)
    flat = (np.zeros(6), np.zeros(6), np.full(6, -np.inf), np.full(6, np.inf), np.repeat(G.diagonal(), 2))
    more = (np.zeros(0), np.full(3, -1), 2, 1e-9, np.zeros(1))
    rows = (G, x[::-1].copy(), x, np.arange(0, 7, 2), np.array([0, 3, 1, 4, 2, 5]), np.full(3, 0.4), *flat, *more)
    made.append(tuple(a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in rows))
    return made


EXAMPLES: dict[str, Callable[..., Any]] = {"sweeps_gram": _sweeps_gram}
