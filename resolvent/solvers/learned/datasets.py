"""Residuals to train directions on, drawn on the fly.

The published recipe stores random combinations of 10,000 Ritz vectors, the lower half of them nine times as large. On a
box the eigenvectors are sines, so a combination is one fast transform and nothing is stored. An eigenvalue is drawn as
often as Ritz values lie near it, not as often as eigenvalues do: the weights are divided by the root of the density of
eigenvalues.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft as fft

from resolvent.problems.dataset import Source
from resolvent.problems.grids import diffusion
from resolvent.problems.linear import LinearSystem
from resolvent.typing import Array

LOW, HIGH = 9.0, 1.0
"""Amplitudes below and above half of the largest eigenvalue."""

BINS = 64


def box_residuals(grid: tuple[int, ...]) -> Source:
    """Return residuals of the Poisson equation on a box, with zeros one cell outside, as published: 99 % low.

    Cost of a sample: two fast sine transforms.
    """
    axes = [2 - 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1)) for n in grid]
    values = sum(np.ix_(*axes), start=np.zeros(()))
    counts, edges = np.histogram(values, BINS)
    density = counts[np.clip(np.digitize(values, edges) - 1, 0, BINS - 1)]
    weights = np.where(values < values.max() / 2, LOW, HIGH) / np.sqrt(density)

    def draw(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        c = weights * rng.standard_normal((count, *grid))
        c /= np.linalg.norm(c.reshape(count, -1), axis=1).reshape(count, *(1,) * len(grid))
        axes = tuple(range(1, len(grid) + 1))
        R, E = (fft.dstn(v, type=1, norm="ortho", axes=axes).reshape(count, -1) for v in (c, c / values))
        return R, E

    A = diffusion(grid, boundary="ghost")
    return Source(system=LinearSystem(A, np.ones(int(np.prod(grid)))), draw=draw)


def random_residuals(grid: tuple[int, ...], rng: np.random.Generator) -> Source:
    """Return residuals A e, e normal numbers, for random coefficients of one of six kinds.

    Blocks, layers, walls with gaps, channels, normal logarithms, and a box; contrast up to 10,000; structures from one
    cell to eight. All have a weight per face.
    """
    kind = KINDS[int(rng.integers(len(KINDS)))]
    A = diffusion(grid, conductivity=kind(grid, rng), boundary="ghost")

    def draw(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        E = rng.standard_normal((count, A.shape[0]))
        R = np.array([A @ e for e in E])
        return R, E

    return Source(system=LinearSystem(A, np.ones(A.shape[0])), draw=draw)


def blocks(grid: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return conductivities 1 or high in random blocks of two to eight cells a side."""
    width, contrast, part = int(rng.integers(2, 9)), 10 ** rng.uniform(1, 4), rng.uniform(0.3, 0.7)
    offsets = rng.integers(0, width, len(grid))
    coins = rng.random([-(-n // width) + 1 for n in grid]) < part
    index = np.ix_(*[(np.arange(n) + start) // width for n, start in zip(grid, offsets, strict=True)])
    return np.where(coins[index], contrast, 1.0)


def layers(grid: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return conductivities 1 and high in layers of two to eight cells across a random axis."""
    width, axis, contrast = int(rng.integers(2, 9)), int(rng.integers(len(grid))), 10 ** rng.uniform(1, 4)
    high = (np.arange(grid[axis]) + int(rng.integers(width))) // width % 2 == 1
    shape = [-1 if a == axis else 1 for a in range(len(grid))]
    return np.where(high.reshape(shape), contrast, np.ones(grid))


def walls(grid: tuple[int, ...], rng: np.random.Generator, widest: int = 4) -> Array:
    """Return conductivities 1 and, in walls one cell thick with a gap of 1 to `widest` cells, low."""
    k, low = np.ones(grid), 10 ** rng.uniform(-4, -1)
    for _ in range(max(2, max(grid) // 12)):
        axis = int(rng.integers(len(grid)))
        wall, gap = np.zeros(grid, bool), np.ones(grid, bool)
        wall[(slice(None),) * axis + (int(rng.integers(2, grid[axis] - 2)),)] = True
        for other in range(len(grid)):
            if other != axis:
                width = int(rng.integers(1, widest + 1))
                start = int(rng.integers(1, grid[other] - width - 1))
                along = np.arange(grid[other]).reshape([-1 if a == other else 1 for a in range(len(grid))])
                gap &= (along >= start) & (along < start + width)
        k[wall & ~gap] = low
    return k


def channels(grid: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return the inverse of `walls`: sheets one cell thick that conduct well, each with a hole of one cell."""
    return 1 / walls(grid, rng, widest=1)


def rough(grid: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return conductivities whose logarithms are normal numbers times 0.5 to 2.5."""
    return np.exp(rng.uniform(0.5, 2.5) * rng.standard_normal(grid))


def even(grid: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return ones."""
    return np.ones(grid)


KINDS = (even, blocks, layers, walls, channels, rough)


def iterated_residuals(system: LinearSystem, solver: Any, steps: int) -> Callable[[Any, int], tuple[Array, Array]]:
    """Return a function that draws residuals out of the first `steps` iterations of `solver` on random systems.

    The right-hand sides are A e, e normal numbers, so that the error of each iterate is known.
    """

    def draw(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        R: list[Array] = []
        E: list[Array] = []
        while len(R) < count:
            e = system.remove_null_space(rng.standard_normal(len(system.b)))
            problem = system.replace(b=system.A @ e, x0=None, null_space=None)
            state = solver.start(problem)
            for _ in range(steps):
                state = solver.step(problem, state)
                if state.status:
                    break
                size = float(np.linalg.norm(state.r))
                R.append(state.r / size)
                E.append((e - state.x) / size)
        chosen = rng.permutation(len(R))[:count]
        return np.array(R)[chosen], np.array(E)[chosen]

    return draw
