"""Figures 4 to 13 of Nutini, Laradji and Schmidt (JMLR 23(131) 2022) as tables, the published value beside ours.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/block_coordinate_descent.py          # all, 20 minutes
    ... python benchmarks/block_coordinate_descent.py 4 6 --data A D --sizes 5                      # some

A row is a choice of partition, rule and update; its numbers are f - f* after 20, 100 and 500 steps, how many steps led
to f - f* <= 1e-8, and CPU seconds of all 500. The data are draws of the paper's recipes, theirs are not published; what
the figures show was read off them by eye, for some curves. FB: fixed blocks, VB: variable blocks. f* is 0 for data A, B
and C, which can be fitted exactly, a direct solution for D and E, and for A with x >= 0 that of the working set.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import cache
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import spsolve

import resolvent as rs
from resolvent.problems import CompositeProblem
from resolvent.problems.library.lattice import lattice, two_moons
from resolvent.problems.library.regression import paper_a, paper_a_nonnegative, paper_b, paper_c
from resolvent.solvers import BlockCoordinateDescent, WorkingSet, partitions, rules, updates
from resolvent.typing import Array

END = 1e-8
RECIPES: dict[str, Callable[[], CompositeProblem]] = {
    "A": paper_a, "B": paper_b, "C": paper_c, "D": lattice, "E": two_moons, "A-nn": paper_a_nonnegative,
}  # fmt: skip
GREEDY = {
    "GS": rules.GreedyGradient(), "GSL": rules.GreedyLipschitz(), "GSD": rules.GreedyDiagonal(),
    "GSQ": rules.GreedyQuadratic(),
}  # fmt: skip
BLIND = {"random": rules.Random(), "Lipschitz": rules.LipschitzSampling()}
KINKED = {"PG": updates.ProximalGradient(), "PN": updates.ProjectedNewton(), "TMP": updates.TwoMetricProjection()}

PAPER = {  # figure, data, size, label: what the figure shows after 500 steps, or how many steps lead to the end
    (4, "A", 5, "GSL-VB"): "8e3", (4, "A", 5, "GS-VB"): "3e4", (4, "A", 5, "GSL-FB"): "8e3",
    (4, "A", 5, "GS-FB"): "1.3e5", (4, "A", 5, "random-FB"): "2e6",
    (5, "A", 5, "GSQ-VB"): "0.03", (5, "A", 5, "GSD-VB"): "0.03", (5, "A", 5, "GSL-VB"): "70",
    **{(5, "A", 5, f"{name}-FB"): "> 1e3" for name in GREEDY}, (5, "A", 5, "GS-VB"): "> 1e3",
    (6, "D", 0, "greedy forest"): "1e-5", (6, "D", 0, "combs"): "1e-5", (6, "D", 0, "random forest"): "0.2",
    (6, "D", 0, "red-black"): "25", (6, "D", 0, "any n^(1/3)"): "6e7",
    (6, "E", 0, "greedy forest"): "1e-4", (6, "E", 0, "trees by weight"): "2e-3", (6, "E", 0, "trees in order"): "0.02",
    (6, "E", 0, "random forest"): "0.04", (6, "E", 0, "red-black"): "2 to 4", (6, "E", 0, "any n^(1/3)"): "160",
    (7, "A-nn", 5, "TMP-VB"): "60 steps", (7, "A-nn", 5, "PN-VB"): "60 steps", (7, "A-nn", 5, "PG-FB"): "> 500 steps",
    **{(7, "A-nn", size, f"{kind}-VB"): "< 10 steps" for kind in ("PN", "TMP") for size in (50, 100)},
    **{(12, data, 100, f"{name}-VB"): "100 to 450 steps" for data in "BC" for name in ("GSD", "GSQ")},
}  # fmt: skip


class Row(NamedTuple):
    """A curve of a figure."""

    figure: int
    data: str
    size: int
    label: str
    method: BlockCoordinateDescent


@cache
def problem(data: str) -> tuple[CompositeProblem, float]:
    """Return a problem and its least value."""
    found = RECIPES[data]()
    if data in "DE":
        return found, found.objective(spsolve(csc_array(found.smooth.H), found.smooth.q))
    if data == "A-nn":
        return found, found.objective(rs.solve(found, WorkingSet(), stop=rs.Stop(rtol=1e-15)).x)
    return found, 0.0


def values(row: Row, iterations: int) -> Array:
    """Return f - f* after each step, up to the end."""
    given, best = problem(row.data)
    found = []
    for state in rs.iterate(given, row.method, stop=rs.Stop(atol=0, rtol=0, iterations=iterations)):
        found.append(objective(given, state) - best)
        if found[-1] <= END:
            break
    return np.array(found)


def objective(given: CompositeProblem, state: Any) -> float:
    """Return the objective, of a loss from the predictions at hand."""
    if not given.linear:
        return given.objective(state.x)
    return float(given.smooth.loss.value(state.z) + given.term.value(state.x))


def choices(partition: Callable[..., Any], size: int) -> Iterator[tuple[str, Any, Any]]:
    """Yield label, partition and rule of all rules for smooth objectives."""
    fixed, variable = partition(size=size), rules.Variable(size=size)
    for name, rule in {"cyclic": rules.Cyclic(), **BLIND, **GREEDY}.items():
        yield f"{name}-FB", fixed, rule
    for name, rule in {**BLIND, **GREEDY}.items():
        yield f"{name}-VB", variable, rule


def all_rules(figure: int, data: str, sizes: tuple[int, ...], update: Any) -> Iterator[Row]:
    for letter in data:
        for size in sizes:
            for label, partition, rule in choices(partitions.Sorted, size):
                yield Row(figure, letter, size, label, method(partition, rule, update))


def method(partition: Any, select: Any, update: Any) -> BlockCoordinateDescent:
    return BlockCoordinateDescent(partition=partition, select=select, update=update)


def forests() -> Iterator[Row]:
    exact = updates.Forest()
    for data in "DE":
        trees = {"combs": True} if data == "D" else {"trees by weight": True, "trees in order": False}
        general = round(problem(data)[0].shape[0] ** (1 / 3))
        kinds = {
            "greedy forest": method(partitions.GreedyForest(), rules.GreedyGradient(), exact),
            "random forest": method(partitions.RandomForest(), rules.Random(), exact),
            "red-black": method(partitions.RedBlack(), rules.GreedyGradient(), exact),
            "any n^(1/3)": method(rules.Variable(size=general), rules.GreedyGradient(), updates.Matrix()),
        }
        for name, by_weight in trees.items():
            kinds[name] = method(partitions.TreePartition(by_weight=by_weight), rules.GreedyGradient(), exact)
        for label, solver in kinds.items():
            yield Row(6, data, 0, label, solver)


def with_kinks(figure: int, select: Any) -> Iterator[Row]:
    for size in (5, 50, 100):
        for name, partition in (("VB", rules.Variable(size=size)), ("FB", partitions.Sorted(size=size))):
            for kind, update in KINKED.items():
                yield Row(figure, "A-nn", size, f"{kind}-{name}", method(partition, select, update))


def adaptive() -> Iterator[Row]:
    for letter in "ABCDE":
        for label, partition, rule in choices(partitions.Sorted, 5):
            if label.startswith(("GSD", "GSL", "random")):
                for name, update in (("Lb", updates.Gradient()), ("LA", updates.AdaptiveGradient())):
                    yield Row(9, letter, 5, f"{label} {name}", method(partition, rule, update))


def ways_to_part() -> Iterator[Row]:
    kinds = {"Sort": partitions.Sorted, "Order": partitions.Consecutive, "Avg": partitions.Averaged}
    for letter in "ABCDE":
        for kind, partition in kinds.items():
            for label, fixed, rule in choices(partition, 5):
                if label in ("GS-FB", "GSL-FB", "GSD-FB", "GSQ-FB", "cyclic-FB"):
                    yield Row(10, letter, 5, f"{label} {kind}", method(fixed, rule, updates.Gradient()))


SIZES = (5, 50, 100)
FIGURES: dict[int, Callable[[], Iterator[Row]]] = {
    4: lambda: all_rules(4, "ACE", (5,), updates.Gradient()),
    5: lambda: all_rules(5, "ACE", (5,), updates.Matrix()),
    6: forests,
    7: lambda: with_kinks(7, rules.Decrease()),
    8: lambda: all_rules(8, "ABCDE", SIZES, updates.Gradient()),
    9: adaptive,
    10: ways_to_part,
    11: lambda: all_rules(11, "ABCDE", SIZES, updates.Matrix()),
    12: lambda: all_rules(12, "BC", SIZES, updates.Newton()),
    13: lambda: with_kinks(13, rules.Random()),
}


def report(row: Row, iterations: int) -> None:
    clock = process_time()
    found = values(row, iterations)
    took = process_time() - clock
    after = [found[min(k, len(found)) - 1] for k in (20, 100, 500) if k <= iterations]
    steps = str(len(found)) if found[-1] <= END else f"> {len(found)}"
    published = PAPER.get((row.figure, row.data, row.size, row.label), "")
    size = f"|b| = {row.size:3d}" if row.size else "forests  "
    numbers = " ".join(f"{value:9.2g}" for value in after)
    name = f"figure {row.figure:2d} {row.data:4s} {size} {row.label:16s}"
    print(f"{name} {numbers}  steps {steps:>5s}  {took:6.2f} s  paper {published}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", type=int, help="their numbers; default all")
    parser.add_argument("--data", nargs="*", default=list(RECIPES))
    parser.add_argument("--sizes", nargs="*", type=int, default=[0, *SIZES])
    parser.add_argument("--iterations", type=int, default=500)
    options = parser.parse_args()
    for number, rows in FIGURES.items():
        if options.figures and number not in options.figures:
            continue
        for row in rows():
            if row.data in options.data and row.size in options.sizes:
                report(row, options.iterations)


if __name__ == "__main__":
    main()
