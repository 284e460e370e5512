"""Deep conjugate directions: iterations of the published network, and time of the one that corrects multigrid.

    python benchmarks/deep_conjugate_directions.py [published] [large] [geometry] [inference] [--network3d PATH]

* published: `published2d` (trained on a box of 64 x 64) against conjugate gradients, to 1e-8, median of five right-hand
  sides: noise and two smooth blobs, on the box of the training, twice as large, and with solids. Goals at 64: 3.5 times
  fewer iterations with 2 directions for noise, 4.5 with 10 (blobs 2.5 and 4.5); at 128 with 10 directions 3. In three
  dimensions the network of ``python -m resolvent.solvers.learned published3d``, given by --network3d: 2.5 at 16.
* large: the networks for N = 64 and N = 128 are built, counted and applied once.
* geometry: `poisson2d` and `poisson3d` on coefficients that they have not seen, against conjugate gradients
  (iterations) and `Multigrid` (CPU seconds of set-up and solve, median of three interleaved runs), case by case.
* inference: one application of the published networks, against torch on one thread where torch is installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import process_time
from typing import Any

import numpy as np

import resolvent as rs
from resolvent.problems import LinearSystem
from resolvent.problems.grids import diffusion
from resolvent.problems.library.poisson import anisotropic, box, noise, obstacles
from resolvent.solvers import (
    ConjugateGradient,
    DeepConjugateDirection,
    LearnedMultigrid,
    Multigrid,
    PublishedNetwork,
    load_network,
)
from resolvent.solvers.learned.datasets import KINDS

TIGHT = rs.Stop(rtol=1e-8, iterations=3000)


def blobs(system: LinearSystem, seed: int) -> LinearSystem:
    """Replace b by a smooth positive blob and a negative one."""
    rng, grid = np.random.default_rng(seed), system.A.grid
    points = np.ix_(*[(np.arange(n) + 0.5) / n for n in grid])
    b = np.zeros(grid)
    for sign in (1, -1):
        centre = rng.uniform(0.2, 0.8, len(grid))
        b += sign * np.exp(-sum((p - c) ** 2 for p, c in zip(points, centre, strict=True)) / 0.02)
    return system.replace(b=b.ravel(), project=True)


def count(system: LinearSystem, solver: Any) -> int:
    result = rs.solve(system, solver, stop=TIGHT)
    return result.iterations if result.success else 3000


def published(network: Any, edges: tuple[int, int]) -> None:
    """Print iterations, and how many times fewer than conjugate gradients."""
    deep = {
        f"{keep} directions{', and r' if two else ''}": DeepConjugateDirection(
            network=network, keep=keep, two_directions=two
        )
        for keep in (1, 2, 10)
        for two in (False, True)
    }
    for edge in edges:
        grid = (edge,) * network.dimensions
        for place, make in (("box", box), ("solids", obstacles)):
            for side in ("noise", "blobs"):
                systems = [make(grid, seed=s) for s in range(5)]
                systems = [blobs(s, i) for i, s in enumerate(systems)] if side == "blobs" else systems
                plain = median(count(s, ConjugateGradient()) for s in systems)
                print(f"{' x '.join(map(str, grid))} {place}, {side}: conjugate gradients {plain}")
                for name, solver in deep.items():
                    counts = [count(s, solver) for s in systems]
                    print(f"    {name:24} {median(counts):6}  {plain / median(counts):5.1f} times fewer; {counts}")


def large() -> None:
    for size, dimensions, edge in ((64, 2, 64), (128, 2, 128), (64, 3, 64), (128, 3, 64)):
        network = PublishedNetwork.random(size, dimensions)
        system = box((edge,) * dimensions)
        directions = network.setup(system)
        directions @ system.b
        clock = process_time()
        z = directions @ system.b
        seconds = process_time() - clock
        print(
            f"N = {size}, {dimensions}-D: {network.parameters:,} parameters, on {edge}^{dimensions} "
            f"{seconds:.3f} CPU s = {1e9 * seconds / len(z):.0f} ns a cell, finite: {np.isfinite(z).all()}"
        )


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    clock = process_time()
    result = work()
    return process_time() - clock, result


def geometry(name: str, grid: tuple[int, ...], seeds: int = 3) -> None:
    """Print iterations and times for unseen coefficients."""
    network = load_network(name)
    systems = {
        f"{kind.__name__} {seed}": noise(
            diffusion(grid, conductivity=kind(grid, np.random.default_rng(1000 + seed)), boundary="ghost"), seed
        )
        for kind in KINDS
        for seed in range(seeds)
    }
    systems |= {"plain box": box(grid), "solids": obstacles(grid), "100 : 1": anisotropic(grid)}
    print(f"{name} on {' x '.join(map(str, grid))}: cg / multigrid / learned iterations, total CPU s, ratio")
    worst: tuple[float, str] = (np.inf, "")
    fewest: tuple[float, str] = (np.inf, "")
    for label, system in systems.items():
        plain = count(system, ConjugateGradient())
        times: dict[str, list[float]] = {"multigrid": [], "learned": []}
        results = {}
        for _ in range(4):
            for key, solver in (("multigrid", Multigrid()), ("learned", LearnedMultigrid(network=network))):
                seconds, results[key] = cpu(lambda p=system, s=solver: rs.solve(p, s, stop=TIGHT))
                times[key].append(seconds)
        a, b = (median(times[key][1:]) for key in ("multigrid", "learned"))
        deep = count(system, DeepConjugateDirection(network=network, two_directions=False))
        worst, fewest = min(worst, (a / b, label)), min(fewest, (plain / deep, label))
        counts = f"{plain:5} / {results['multigrid'].iterations:4} / {results['learned'].iterations:4}"
        print(f"    {label:12} {counts}  {a:.3f} {b:.3f}  {a / b:.2f}   (as deep directions {deep})")
    print(f"    worst: {worst[0]:.2f} times the speed of Multigrid ({worst[1]})")
    print(f"    worst: {fewest[0]:.1f} times fewer iterations than conjugate gradients ({fewest[1]})")


def inference() -> None:
    for dimensions, edge in ((2, 64), (2, 128), (3, 32)):
        network = PublishedNetwork.random(64, dimensions)
        system = box((edge,) * dimensions)
        directions = network.setup(system)
        directions @ system.b
        ours = min(cpu(lambda d=directions, s=system: d @ s.b)[0] for _ in range(5))
        line = f"{edge}^{dimensions}: {1e9 * ours / len(system.b):.0f} ns a cell"
        try:
            import torch
        except ImportError:
            print(line)
            continue
        from resolvent.solvers.learned.direction_networks import definition

        torch.set_num_threads(1)
        model = definition(network)({k: torch.from_numpy(w) for k, w in network.weights.items()}, system)
        rows = torch.from_numpy(system.b[None])
        with torch.no_grad():
            model(rows)
            theirs = min(cpu(lambda m=model, r=rows: m(r))[0] for _ in range(5))
        print(f"{line}, torch {1e9 * theirs / len(system.b):.0f}: {theirs / ours:.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["published", "large", "geometry", "inference"])
    parser.add_argument("--network3d")
    chosen = parser.parse_args()
    if "published" in chosen.parts:
        published(load_network("published2d"), (64, 128))
        print("with the input at unit norm, as published:")
        published(replace(load_network("published2d"), unit_rms=False), (128,))  # type: ignore[arg-type]
        if chosen.network3d:
            published(load_network(chosen.network3d), (16, 32))
    if "large" in chosen.parts:
        large()
    if "geometry" in chosen.parts:
        for name, grids in (("poisson2d", ((128, 128), (512, 512))), ("poisson3d", ((32, 32, 32), (64, 64, 64)))):
            for grid in grids:
                geometry(name, grid)
    if "inference" in chosen.parts:
        inference()


if __name__ == "__main__":
    main()
