"""The cycle of `GeometryNetwork` in torch, for its training: the same numbers as `LearnedHierarchy`, with derivatives.

In float64, on grids with a weight per face, without periodic ends, whose paired axes have even extents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from resolvent.errors import OptionError
from resolvent.kernels.reference.geometry import LEAST, LIMIT, SCALE, SMALL
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.learned.library import load_torch
from resolvent.solvers.linear.coarsening import read_grid
from resolvent.solvers.linear.geometry_network import closed_faces

__all__ = ["cycle"]

Faces = list[Any]


@dataclass
class Level:
    """Faces, diagonal and its inverse, which cells are red, and how the next level is reached."""

    faces: Faces
    diagonal: Any
    inverse: Any
    red: Any
    shares: list[tuple[int, Any]]
    pairs: Any = None


def cycle(weights: Mapping[str, Any], system: LinearSystem, coarsest: int = 64) -> Callable[[Any], Any]:
    """Return the function from residuals (count, n) to one cycle for each.

    Parameters
    ----------
    weights : mapping of str to tensor
    system : LinearSystem
    coarsest : int
        The matrix is inverted on grids of at most so many cells.

    Raises
    ------
    OptionError
        The grid has periodic ends, an odd extent, or one weight per axis.
    """
    torch = load_torch()
    levels = _levels({name: w.double() for name, w in weights.items()}, system, coarsest)
    last, shape = levels[-1], tuple(levels[0].diagonal.shape)
    n = last.diagonal.numel()
    dense = _apply(last, torch.eye(n, dtype=torch.float64).reshape(n, *last.diagonal.shape)).reshape(n, n)
    inverse = torch.linalg.inv(dense)

    def descend(b: Any, at: int) -> Any:
        level = levels[at]
        if at == len(levels) - 1:
            return (b.reshape(len(b), n) @ inverse).reshape(b.shape)
        u = torch.where(level.red, level.inverse * b, 0.0)
        u = torch.where(level.red, u, level.inverse * (b + _neighbours(level, u)))
        left = torch.where(level.red, b - _apply(level, u), 0.0)
        u = u + _interpolate(level, descend(_restrict(level, left), at + 1))
        u = torch.where(level.red, u, level.inverse * (b + _neighbours(level, u)))
        return torch.where(level.red, level.inverse * (b + _neighbours(level, u)), u)

    return lambda R: descend(R.double().reshape(-1, *shape), 0).reshape(R.shape)


# ---- set-up


def _levels(weights: Mapping[str, Any], system: LinearSystem, coarsest: int) -> list[Level]:
    torch = load_torch()
    grid = read_grid(system.A)
    if grid.faces is None or grid.wrap.any():
        raise OptionError("the network is trained on grids with a weight per face and without periodic ends")
    faces = [torch.from_numpy(w.astype(np.float64)) for w in closed_faces(grid)]
    sink = torch.zeros(grid.extents, dtype=torch.float64)
    if grid.sink is not None:
        sink += torch.from_numpy(grid.sink.astype(np.float64))
    distance, levels = grid.distance, []
    while True:
        level = _level(faces, sink)
        levels.append(level)
        pairs = _pairs(faces)
        if level.diagonal.numel() <= coarsest or not pairs.any():
            return levels
        if any(level.diagonal.shape[axis] % 2 for axis in np.flatnonzero(pairs)):
            raise OptionError(f"the network is trained on grids of even extents, got {tuple(level.diagonal.shape)}")
        level.pairs, level.shares = pairs, _shares(faces, pairs, weights)
        closer = np.where(pairs[:, None], (distance + 0.5) / 2, distance)
        faces = _coarse(faces, pairs, distance / closer, weights)
        for axis in range(3):
            sink = _paired(sink, axis) if pairs[axis] else sink
        distance = closer


def _level(faces: Faces, sink: Any) -> Level:
    torch = load_torch()
    diagonal = sink + sum(side for axis, w in enumerate(faces) for side in _sides(w, axis))
    inverse = torch.where(diagonal > 0, 1 / diagonal.clamp_min(LEAST), 0.0)
    red = torch.from_numpy(np.indices(tuple(diagonal.shape)).sum(axis=0) % 2 == 0)
    return Level(faces, diagonal, inverse, red, [])


def _pairs(faces: Faces) -> Any:
    """Which axes are coarsened: as `Grid.pairs`."""
    strength = np.zeros(3)
    for axis, w in enumerate(faces):
        inner = w.detach().numpy()[tuple(slice(1, -1) if a == axis else slice(None) for a in range(3))]
        strength[axis] = inner.sum() / max(np.count_nonzero(inner), 1)
    return (strength >= 0.5 * strength.max()) & (strength > 0)


def _sides(w: Any, axis: int) -> tuple[Any, Any]:
    n = w.shape[axis] - 1
    return w.narrow(axis, 0, n), w.narrow(axis, 1, n)


def _every_second(w: Any, axis: int, start: int, count: int) -> Any:
    index = tuple(slice(start, start + 2 * count - 1, 2) if a == axis else slice(None) for a in range(3))
    return w[index]


def _paired(v: Any, axis: int) -> Any:
    shape = list(v.shape)
    return v.reshape([*shape[:axis], shape[axis] // 2, 2, *shape[axis + 1 :]]).sum(axis + 1)


def _coarse(faces: Faces, pairs: Any, growth: Any, weights: Mapping[str, Any]) -> Faces:
    """Return coarse faces; the ends grow by `growth` (3, 2) as their distance shrinks in coarse cells."""
    torch = load_torch()
    coarse = []
    for axis, w in enumerate(faces):
        n = w.shape[axis] - 1
        first, end = growth[axis, 0] * w.narrow(axis, 0, 1), growth[axis, 1] * w.narrow(axis, n, 1)
        inner = w.narrow(axis, 1, n - 1)
        if pairs[axis]:
            first, end = 0.5 * first, 0.5 * end
            inner = 0.5 * _multiplied(faces, axis, weights) if n > 2 else w.narrow(axis, 0, 0)
        v = torch.cat([first, inner, end], axis)
        for other in range(3):
            if pairs[other] and other != axis:
                v = _paired(v, other)
        coarse.append(v)
    return coarse


def _multiplied(faces: Faces, axis: int, weights: Mapping[str, Any]) -> Any:
    w = faces[axis]
    count = w.shape[axis] // 2 - 1
    face, left, right = (_every_second(w, axis, start, count) for start in (2, 1, 3))
    rest = sum(side for other, v in enumerate(faces) if other != axis for side in _sides(v, other))
    before, after = (_every_second(rest, axis, start, count) for start in (1, 2))
    small = SMALL * (face + left + right + before + after) + LEAST
    f = [_feature(face, v, small) for v in (left, right, before, after)]
    y = _network(f, "faces", weights) + _network([f[1], f[0], f[3], f[2]], "faces", weights)
    return face * _exp(y)


def _shares(faces: Faces, pairs: Any, weights: Mapping[str, Any]) -> list[tuple[int, Any]]:
    sides = [_sides(w, axis) for axis, w in enumerate(faces)]
    lower, upper = ([side[i] for side in sides] for i in range(2))
    axes = sum(n > 1 for n in lower[0].shape)
    found = []
    for axis in (2, 1, 0):
        if not pairs[axis]:
            continue
        rest = sum(lower[a] + upper[a] for a in range(3) if a != axis)
        found.append((axis, _share(lower[axis], upper[axis], rest, axis, axes, weights)))
        lower, upper = ([_paired(v, axis) for v in side] for side in (lower, upper))
    return found


def _share(lower: Any, upper: Any, rest: Any, axis: int, axes: int, weights: Mapping[str, Any]) -> Any:
    torch = load_torch()
    n = lower.shape[axis]
    odd, ends = (v.reshape([-1 if a == axis else 1 for a in range(3)]) for v in _parities(n))
    toward, inner = torch.where(odd, upper, lower), torch.where(odd, lower, upper)
    pairs = [*toward.shape[:axis], n // 2, 2, *toward.shape[axis + 1 :]]
    partner = toward.reshape(pairs).flip(axis + 1).reshape(toward.shape)
    next_one = torch.where(odd, torch.roll(inner, -1, axis), torch.roll(inner, 1, axis))
    beyond = torch.where(ends, inner, next_one)
    pair = toward + inner
    total = pair + rest
    s = 0.5 * toward / torch.maximum(pair, total / axes).clamp_min(LEAST)
    small = SMALL * total + LEAST
    f = [_feature(a, b, small) for a, b in ((toward, inner), (pair, rest), (partner, toward), (beyond, toward))]
    m = _exp(_network(f, "shares", weights))
    return s * m / (s * m + 1 - s)


def _parities(n: int) -> tuple[Any, Any]:
    torch = load_torch()
    place = torch.arange(n)
    return place % 2 == 1, (place == 0) | (place == n - 1)


def _log(x: Any) -> Any:
    torch = load_torch()
    exponent = torch.frexp(x.detach())[1].to(x.dtype)
    return 2 * x * torch.exp2(-exponent) + exponent - 2


def _exp(y: Any) -> Any:
    torch = load_torch()
    y = y.clamp(-LIMIT, LIMIT)
    whole = torch.floor(y.detach())
    return torch.exp2(whole) * (1 + y - whole)


def _feature(a: Any, b: Any, small: Any) -> Any:
    return (_log(a + small) - _log(b + small)).clamp(-LIMIT, LIMIT) * SCALE


def _network(f: list[Any], part: str, weights: Mapping[str, Any]) -> Any:
    x = load_torch().stack(f, -1)
    for i in range(3):
        x = x @ weights[f"{part}.{i}.weight"] + weights[f"{part}.{i}.bias"]
        if i < 2:
            x = x / (1 + x.abs())
    return x[..., 0]


# ---- the cycle, on fields (count, n0, n1, n2)


def _neighbours(level: Level, v: Any) -> Any:
    torch = load_torch()
    out = torch.zeros_like(v)
    for axis, w in enumerate(level.faces):
        n, along = w.shape[axis] - 1, axis + 1
        if n < 2:
            continue
        inner = w.narrow(axis, 1, n - 1)
        zero = torch.zeros_like(v.narrow(along, 0, 1))
        out = out + torch.cat([zero, inner * v.narrow(along, 0, n - 1)], along)
        out = out + torch.cat([inner * v.narrow(along, 1, n - 1), zero], along)
    return out


def _apply(level: Level, v: Any) -> Any:
    return level.diagonal * v - _neighbours(level, v)


def _restrict(level: Level, r: Any) -> Any:
    torch = load_torch()
    for axis, s in level.shares:
        along, given = axis + 1, s * r
        n = r.shape[along] // 2
        pairs = [*given.shape[:along], n, 2, *given.shape[along + 1 :]]
        low, high = given.reshape(pairs).unbind(along + 1)
        zero = torch.zeros_like(low.narrow(along, 0, 1))
        kept = (r - given).reshape(pairs).sum(along + 1)
        back = torch.cat([low.narrow(along, 1, n - 1), zero], along)
        r = kept + back + torch.cat([zero, high.narrow(along, 0, n - 1)], along)
    return r


def _interpolate(level: Level, e: Any) -> Any:
    torch = load_torch()
    for axis, s in reversed(level.shares):
        along = axis + 1
        n = e.shape[along]
        zero = torch.zeros_like(e.narrow(along, 0, 1))
        below = torch.cat([zero, e.narrow(along, 0, n - 1)], along)
        above = torch.cat([e.narrow(along, 1, n - 1), zero], along)
        shape = [2 * k if a == along else k for a, k in enumerate(e.shape)]
        other = torch.stack([below, above], along + 1).reshape(shape)
        e = (1 - s) * e.repeat_interleave(2, along) + s * other
    return e
