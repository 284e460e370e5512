"""Figures 4 to 13 of Nutini, Laradji and Schmidt (JMLR 23(131) 2022) as tables, the published value beside ours.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/block_coordinate_descent.py          # all, 15 minutes
    ... python benchmarks/block_coordinate_descent.py 4 6 --data A D --sizes 5                      # some

A row is a choice of partition, rule and update; its numbers are f - f* after 20, 100 and 500 steps, how many steps led
to f - f* <= 1e-8, and CPU seconds of all 500. The data are draws of the paper's recipes, theirs are not published. What
the paper shows is measured on the vector figures that come with the authors' code (GitHub
IssamLaradji/BlockCoordinateDescent, docs/), good to a few per cent. FB: fixed blocks, VB: variable blocks. f* is 0 for
data A, B and C, which can be fitted exactly, a direct solution for D and E, and for A with x >= 0 that of the working
set. Cyclic variable blocks (figures 4 and 8) and red-black ones in order (figure 6) are left out; rows without a
published value are not in the paper. The published greedy rules for fixed blocks add up absolute values, over roots of
L, where those here add up squares.
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
SIZES, FEWER = (5, 50, 100), (5, 20, 50)
RECIPES: dict[str, Callable[[], CompositeProblem]] = {
    "A": paper_a, "B": paper_b, "C": paper_c, "D": lattice, "E": two_moons, "A-nn": paper_a_nonnegative,
}  # fmt: skip
GREEDY = {
    "GS": rules.GreedyGradient(), "GSL": rules.GreedyLipschitz(), "GSD": rules.GreedyDiagonal(),
    "GSQ": rules.GreedyQuadratic(),
}  # fmt: skip
BLIND = {"random": rules.Random(), "Lipschitz": rules.LipschitzSampling()}
KINKED = {"PG": updates.ProximalGradient(), "PN": updates.ProjectedNewton(), "TMP": updates.TwoMetricProjection()}

# Figure, data, size; what the curves show after 500 steps, or (*) how many lead to the end.
PUBLISHED = """
 7 A-nn   5  61* 61* 164* 300* 291*   429*
 7 A-nn  50   7*  8* 142* 183* 190* 1.1e-2
 7 A-nn 100   7*  7* 160* 125* 124*   0.66
 8 A      5  6.4e5 7.4e5   7e5 1.5e5 8.4e3 1.7e6 2.1e6 3.4e4  7.9e3
 8 A     50     17   2e3    72 2.5e3   4.4 1.2e5 7.3e4   2.2   1e-2
 8 A    100    1.9 4.2e2   7.1 8.8e2  0.97 3.9e4 1.3e4  0.51 3.1e-6
 8 B      5  1.3e2 1.5e2 1.6e2 1.1e2    61 2.7e2 3.4e2    78     64
 8 B     50     31    36    32    46    28    79    81    18     16
 8 B    100     25    29    26    39    24    54    53    13     11
 8 C      5  3.8e3 3.8e3 3.8e3 3.5e3 3.3e3 3.8e3 3.8e3 3.1e3    3e3
 8 C     50  2.9e3 2.7e3 2.9e3 2.8e3 2.6e3 3.5e3 3.7e3 2.1e3    2e3
 8 C    100    2e3   2e3 2.1e3 2.2e3 1.9e3 3.3e3 3.5e3 1.6e3  1.6e3
 8 D      5  4.6e8   6e8 6.9e8 2.7e8 2.7e8 6.1e8 6.5e8 1.3e8  1.3e8
 8 D     50  1.1e8 1.3e8 1.4e8   1e8   1e8 1.1e8   1e8 2.1e7    2e7
 8 D    100  6.2e7 7.1e7 7.9e7   6e7 5.9e7 5.5e7 5.3e7 8.4e6  8.4e6
 8 E      5  3.9e2 5.3e2 5.1e2 3.2e2 3.2e2 5.3e2 5.5e2 2.7e2  2.7e2
 8 E     50  1.1e2 1.7e2 1.7e2 1.1e2 1.1e2   2e2 1.9e2 1.1e2  1.1e2
 8 E    100     55    98    92    55    54 1.2e2 1.2e2    60     59
 9 A      5  3.5e5 3.2e5 3.3e5 1.3e5 2.2e6 2.3e6 2.1e6 2.2e6 2.1e6 2.3e6
 9 A     20  7.4e4 1.2e5 5.9e4 7.2e4 3.7e5 5.2e5 2.5e5 4.2e5 1.6e5 2.8e5
 9 A     50    6e3 3.2e4 4.1e3 2.3e4 3.1e4 9.8e4 1.7e4 6.7e4 6.2e3 3.9e4
 9 B      5  1.1e2 1.6e2    89 1.2e2 2.8e2 3.2e2 2.7e2 3.2e2 2.3e2 2.9e2
 9 B     20     43 1.1e2    19    94    49 1.5e2    51 1.5e2    21 1.2e2
 9 B     50     21    76    11    69    15    88    11    86    13    79
 9 C      5    2e3 3.5e3 1.9e3 3.3e3   3e3 3.8e3   3e3 3.8e3   3e3 3.8e3
 9 C     20  9.5e2 3.3e3 6.4e2 3.1e3 1.4e3 3.5e3 1.4e3 3.5e3 1.2e3 3.5e3
 9 C     50  2.4e2 2.8e3    26 2.6e3 1.9e2 2.7e3 1.2e2 2.8e3    57 2.8e3
 9 D      5  2.5e8 2.6e8 3.5e8 2.6e8   6e8 6.1e8 6.8e8 6.8e8 4.6e8 4.8e8
 9 D     20  1.5e8 1.7e8 1.6e8 1.7e8 2.6e8 2.8e8 3.1e8 3.3e8 1.9e8 2.2e8
 9 D     50    8e7 9.7e7   8e7 9.7e7 1.1e8 1.3e8 1.1e8 1.3e8 8.8e7 1.1e8
 9 E      5  3.9e2 3.7e2   4e2 3.7e2 5.7e2 5.6e2 5.3e2 5.2e2 4.8e2 4.6e2
 9 E     20  2.2e2 2.3e2 2.2e2 2.3e2   3e2 3.1e2 3.1e2 3.2e2 2.4e2 2.5e2
 9 E     50  1.2e2 1.4e2 1.2e2 1.4e2 1.8e2   2e2 1.8e2   2e2 1.3e2 1.5e2
10 A      5  1.5e5 8.2e3 8.4e3 3.2e5 3.1e5 1.3e5 2.3e5   1e5 6.1e4
10 A     20  1.2e4    87    90 1.2e5 1.7e5 7.1e4 1.7e4 4.2e3 3.2e3
10 A     50  2.6e3   4.4   4.5 3.2e4 3.6e4 2.3e4 8.6e2 3.2e2 2.4e2
10 B      5  1.1e2    61    61 1.6e2 1.8e2 1.2e2 1.3e2 2.3e2    90
10 B     20     62    37    36 1.1e2 1.3e2    94    68    60    51
10 B     50     46    28    27    76    91    69    46    39    37
10 C      5  3.5e3 3.3e3 3.3e3 3.5e3 3.3e3 3.3e3 3.5e3 3.8e3 3.4e3
10 C     20  3.3e3 3.1e3 3.1e3 3.3e3 3.2e3 3.1e3 3.4e3 3.4e3 3.3e3
10 C     50  2.8e3 2.6e3 2.6e3 2.8e3 2.6e3 2.6e3 3.2e3   3e3   3e3
10 D      5  2.7e8 2.7e8 2.7e8 2.6e8 2.6e8 2.6e8 2.7e8 2.7e8 2.7e8
10 D     20  1.8e8 1.8e8 1.8e8 1.7e8 1.7e8 1.7e8 1.8e8 1.8e8 1.8e8
10 D     50    1e8   1e8   1e8 9.9e7 9.9e7 9.9e7   1e8   1e8   1e8
10 E      5  3.2e2 3.2e2 3.2e2 3.6e2 3.6e2 3.6e2 3.5e2 3.5e2 3.5e2
10 E     20  1.9e2 1.9e2 1.9e2 2.3e2 2.3e2 2.3e2 2.1e2 2.1e2 2.1e2
10 E     50  1.1e2 1.1e2 1.1e2 1.4e2 1.4e2 1.4e2 1.2e2 1.2e2 1.2e2
11 A      5  2.8e3  1.4e5   5e3   5e3  3.1e3 7.1e-2 3.1e-2    68
11 A     50   474*    9.2  495*  487* 1.1e-2   244*   151*     -
11 A    100   260* 4.2e-4  268*  265* 3.2e-5   201*   103*     -
11 B      5     49     93    52    52     49     25     23     -
11 B     50    8.9     15   9.2   9.1     13    6.4    3.2     -
11 B    100    4.8    7.7   4.9   4.9    8.6    4.9    1.8     -
11 C      5    3e3  3.4e3 3.1e3 3.1e3  2.7e3  2.3e3  2.3e3 2.5e3
11 C     50  2.5e3  2.8e3 2.6e3 2.6e3  9.5e2  3.9e2  3.9e2     -
11 C    100  1.8e3  2.1e3 1.8e3 1.8e3  4.5e2  1.7e2  1.7e2     -
11 D      5  1.6e8  1.6e8 1.6e8 1.6e8  1.3e8  1.3e8  1.2e8     -
11 D     50  1.2e7  1.3e7 1.3e7 1.3e7  1.1e7  1.1e7  4.8e5     -
11 D    100  1.6e6  1.7e6 1.7e6 1.7e6  2.4e6  2.4e6  1.5e3     -
11 E      5  3.2e2  3.2e2 3.2e2 3.2e2  2.3e2  2.3e2  2.3e2 2.3e2
11 E     50     71     72    71    71     45     46     42     -
11 E    100     24     24    24    24     12     12    9.5     -
12 B      5     1.1     19   1.3    1.2   0.85 2.3e-3 9.5e-4
12 B     50    380* 3.3e-6  388*   384* 2.2e-7   276*   167*
12 B    100    209*   335*  216*   214*   451*   224*   119*
12 C      5   1.8e3  2.1e3 1.7e3  1.7e3  1.1e3  2.8e2    3e2
12 C     50     2.6    7.9  0.86   0.86 4.8e-2 1.6e-4   1e-4
12 C    100  2.8e-3 6.4e-2  8e-4 7.3e-4 1.3e-5   480*   461*
13 A-nn   5  6.2e5 6.2e5 6.2e5 6.2e5 6.2e5 6.3e5
13 A-nn  50    2e4   2e4 4.4e4   2e4   2e4   1e5
13 A-nn 100    6e2   6e2 2.4e4 3.3e4 3.3e4 1.6e5
"""
CURVES = {  # in the order of these lines; figures 4 and 5 are parts of 8 and 11
    7: "PN-VB TMP-VB PG-VB PN-FB TMP-FB PG-FB",
    8: "cyclic-FB Lipschitz-FB random-FB GS-FB GSL-FB Lipschitz-VB random-VB GS-VB GSL-VB",
    9: "GS-LA GS-Lb GSL-LA GSL-Lb Lipschitz-LA Lipschitz-Lb random-LA random-Lb cyclic-LA cyclic-Lb",
    10: "GS-Sort GSD-Sort GSL-Sort GS-Order GSD-Order GSL-Order GS-Avg GSD-Avg GSL-Avg",
    11: "GSQ-FB GS-FB GSL-FB GSD-FB GS-VB GSD-VB GSQ-VB GSL-VB",
    12: "GSQ-FB GS-FB GSL-FB GSD-FB GS-VB GSD-VB GSQ-VB",
    13: "PN-VB TMP-VB PG-VB PN-FB TMP-FB PG-FB",
}
FORESTS = {
    ("D", "greedy forest"): "1.1e-5", ("D", "combs"): "2.3e-5", ("D", "random forest"): "0.13",
    ("D", "red-black"): "19", ("D", "any n^(1/3)"): "6.2e7", ("E", "greedy forest"): "7.4e-5",
    ("E", "trees by weight"): "1.7e-3", ("E", "trees in order"): "2e-2", ("E", "random forest"): "4.8e-2",
    ("E", "red-black"): "1.9", ("E", "any n^(1/3)"): "1.5e2",
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


@cache
def measure(data: str, solver: BlockCoordinateDescent, iterations: int) -> tuple[Array, float]:
    """Return f - f* after each step, up to the end, and CPU seconds; figures have curves in common."""
    given, best = problem(data)
    clock, found = process_time(), []
    for state in rs.iterate(given, solver, stop=rs.Stop(atol=0, rtol=0, iterations=iterations)):
        found.append(objective(given, state) - best)
        if found[-1] <= END:
            break
    return np.array(found), process_time() - clock


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
    chosen = {**{name: GREEDY[name] for name in ("GS", "GSL")}, **BLIND, "cyclic": rules.Cyclic()}
    for letter in "ABCDE":
        for size in FEWER:
            for rule, select in chosen.items():
                for name, update in (("LA", updates.AdaptiveGradient()), ("Lb", updates.Gradient())):
                    solver = method(partitions.Consecutive(size=size), select, update)
                    yield Row(9, letter, size, f"{rule}-{name}", solver)


def ways_to_part() -> Iterator[Row]:
    kinds = {"Sort": partitions.Sorted, "Order": partitions.Consecutive, "Avg": partitions.Averaged}
    for letter in "ABCDE":
        for size in FEWER:
            for kind, partition in kinds.items():
                for rule, select in {**GREEDY, "cyclic": rules.Cyclic()}.items():
                    if size == FEWER[0] or rule in ("GS", "GSL", "GSD"):
                        solver = method(partition(size=size), select, updates.Gradient())
                        yield Row(10, letter, size, f"{rule}-{kind}", solver)


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


@cache
def published() -> dict[tuple[int, str, int, str], str]:
    """Return what the paper shows, by figure, data, size and label."""
    found = {(6, data, 0, label): value for (data, label), value in FORESTS.items()}
    for line in PUBLISHED.splitlines()[1:]:
        figure, data, size, *numbers = line.split()
        labels = CURVES[int(figure)].split()
        for label, value in zip(labels, numbers, strict=True):
            found[int(figure), data, int(size), label] = value
    return found


def report(row: Row, iterations: int) -> None:
    found, took = measure(row.data, row.method, iterations)
    after = [found[min(k, len(found)) - 1] for k in (20, 100, 500) if k <= iterations]
    steps = str(len(found)) if found[-1] <= END else f"> {len(found)}"
    figure = {4: 8, 5: 11}.get(row.figure, row.figure)
    shown = published().get((figure, row.data, row.size, row.label), "-").replace("*", " steps")
    size = f"|b| = {row.size:3d}" if row.size else "forests  "
    numbers = " ".join(f"{value:9.2g}" for value in after)
    name = f"figure {row.figure:2d} {row.data:4s} {size} {row.label:15s}"
    print(f"{name} {numbers}  steps {steps:>5s}  {took:6.2f} s  paper {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", type=int, help="their numbers; default all")
    parser.add_argument("--data", nargs="*", default=list(RECIPES))
    parser.add_argument("--sizes", nargs="*", type=int, default=[0, 5, 20, 50, 100])
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
