"""How the shipped networks were trained: problem, solver and seed of each, so that they can be made again.

``python -m resolvent.solvers.learned poisson2d`` trains one and writes its files; see ``--help``. On one thread of a
CPU and with the same versions of NumPy and torch the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from resolvent.problems.dataset import DirectionDataset
from resolvent.solvers.learned.datasets import box_residuals, random_residuals
from resolvent.solvers.learned.losses import IteratedLoss
from resolvent.solvers.learned.training import DirectionTraining
from resolvent.solvers.linear.geometry_network import GeometryNetwork
from resolvent.solvers.linear.networks import PublishedNetwork

__all__ = ["RECIPES", "Recipe"]

Recipe = tuple[DirectionDataset, DirectionTraining]


def published2d() -> Recipe:
    """The network for N = 64 in two dimensions, on a box of 64 x 64 cells. About 60 CPU seconds."""
    source = box_residuals((64, 64))
    network = replace(PublishedNetwork.random(64, 2), unit_rms=True)
    return DirectionDataset((source,), (source,), x0=network, name="published2d"), DirectionTraining(steps=500)


def published3d() -> Recipe:
    """The network for N = 64 in three dimensions, on a box of 16 x 16 x 16 cells. About 150 CPU seconds."""
    source = box_residuals((16, 16, 16))
    network = replace(PublishedNetwork.random(64, 3), unit_rms=True, training_size=16)
    return DirectionDataset((source,), (source,), x0=network, name="published3d"), DirectionTraining(steps=700)


def poisson2d() -> Recipe:
    """The geometry-conditioned network in two dimensions, on grids of 16 to 64 cells an edge. About 150 CPU seconds."""
    return _geometry("poisson2d", [16, 32, 32, 64], (128, 128), 2), replace(GEOMETRY, steps=2000)


def poisson3d() -> Recipe:
    """The geometry-conditioned network in three dimensions, on grids of 8 or 16 cells an edge. About 150 CPU s."""
    return _geometry("poisson3d", [8, 16, 16], (32, 32, 32), 3), replace(GEOMETRY, steps=1200)


GEOMETRY = DirectionTraining(loss=IteratedLoss(), batch=4, learning_rate=5e-3, check_every=100)
RECIPES: dict[str, Callable[[], Recipe]] = {f.__name__: f for f in (published2d, published3d, poisson2d, poisson3d)}


def _geometry(name: str, edges: list[int], held_out: tuple[int, ...], dimensions: int) -> DirectionDataset:
    rng = np.random.default_rng(0)
    grids = [tuple(int(n) for n in rng.choice(edges, dimensions)) for _ in range(400)]
    training = tuple(random_residuals(grid, rng) for grid in grids)
    validation = tuple(random_residuals(held_out, rng) for _ in range(8))
    return DirectionDataset(training, validation, count=1, steps=25, x0=GeometryNetwork.untrained(), name=name)
