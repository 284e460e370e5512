"""Lattices of 2400 and 86,400 unknowns: sweeps over forests beside L-BFGS-B, FISTA, skglm and plain CG.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/lattice.py [bounds] [l1] [counts] [spd] [--rounds 5]

The lattice of Nutini, Laradji and Schmidt (2022), data D: edges of weight 1e5, 4 % of the nodes fixed.

* bounds, l1: process CPU seconds, set-up and all, to f - f* <= 1e-6 (f(0) - f*), median of interleaved rounds. f* is
  that of our run to a relative residual of 1e-13. Iterative methods are run first with the objective looked at after
  each iteration; the clock then runs for as many iterations without a look. L-BFGS-B: the loosest `ftol` that suffices.
  FISTA has a restart by the gradient, products by SciPy and work arrays that it keeps. skglm and scikit-learn get the
  lattice as a lasso, a row for each edge, and the loosest tolerance that suffices within --budget seconds.
* counts: sweeps on both lattices.
* spd: without a term, conjugate gradients plain and preconditioned by `TreeSweep`: iterations to 1e-6 in f, CPU seconds
  to relative residuals of 1e-6 and 1e-10.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

import resolvent as rs
from resolvent.problems import CompositeProblem, terms
from resolvent.problems.library.lattice import lattice, lattice_graph
from resolvent.solvers import (
    BlockCoordinateDescent,
    ConjugateGradient,
    TreeDescent,
    TreeSweep,
    partitions,
    rules,
    updates,
)
from resolvent.typing import Array

LARGE, SMALL = (300, 300), (50, 50)
ACCURACY = 1e-6
BOUNDS = {
    "-2 <= x <= 2": terms.Box(-2.0, 2.0),
    "-1/2 <= x <= 1/2": terms.Box(-0.5, 0.5),
    "x >= 0": terms.NonNegative(0.0),
}
L1 = {f"weight {weight:g}": terms.L1(weight) for weight in (1e4, 3e4, 1e5, 3e5)}
COMBS = BlockCoordinateDescent(partition=partitions.TreePartition(), select=rules.Cyclic(), update=updates.Forest())


class Reference:
    """A problem with its least value."""

    def __init__(self, grid: tuple[int, int], term: Any) -> None:
        self.problem = lattice(grid, term=term)
        result = rs.solve(self.problem, TreeDescent(), stop=rs.Stop(rtol=1e-13, iterations=5000))
        self.x, self.best = result.x, self.problem.objective(result.x)
        self.first = self.problem.objective(self.problem.x0)

    def near(self, x: Array) -> bool:
        return self.problem.objective(x) - self.best <= ACCURACY * (self.first - self.best)

    def steps(self, solver: Any, most: int = 1000) -> int:
        """Return how many iterations of one of our solvers are needed."""
        for state in rs.iterate(self.problem, solver, stop=rs.Stop(rtol=0, atol=0, iterations=most)):
            if self.near(state.x):
                return state.iterations
        raise SystemExit(f"{solver} did not get there")


def fista(problem: CompositeProblem, iterations: int, look: Callable[[Array], bool] | None = None) -> tuple[Array, int]:
    """Minimise by proximal gradient steps with momentum, which starts anew where it points uphill."""
    H, q = problem.smooth.H, problem.smooth.q
    p = problem.term.parameters(problem.shape)
    weight, lower, upper = float(p.weight.max()), p.lower, p.upper
    step = 1 / float(abs(H).sum(axis=1).max())
    x, new, move, v = np.zeros((4, len(q)))
    y, t = np.zeros(len(q)), 1.0
    for k in range(iterations):
        np.subtract(y, step * (H @ y - q), out=v)
        if weight:
            np.subtract(v, np.clip(v, -step * weight, step * weight), out=new)
        else:
            np.clip(v, lower, upper, out=new)
        np.subtract(new, x, out=move)
        x, new = new, x
        np.subtract(y, x, out=v)
        if v @ move > 0:
            t = 1.0
            y[:] = x
        else:
            after = 0.5 * (1 + np.sqrt(1 + 4 * t * t))
            np.multiply(move, (t - 1) / after, out=y)
            y += x
            t = after
        if look is not None and look(x):
            return x, k + 1
    return x, iterations


def quasi_newton(problem: CompositeProblem, tolerance: float) -> Array:
    H, q, constant = problem.smooth.H, problem.smooth.q, problem.smooth.constant
    p = problem.term.parameters(problem.shape)
    bounds = [(float(p.lower[0]), float(p.upper[0]))] * len(q)

    def value_and_slope(x: Array) -> tuple[float, Array]:
        Hx = H @ x
        return 0.5 * (x @ Hx) - q @ x + constant, Hx - q

    options = {"ftol": tolerance, "gtol": 0, "maxiter": 5000, "maxfun": 10_000}
    found = minimize(value_and_slope, np.zeros(len(q)), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)


def as_lasso(problem: CompositeProblem) -> tuple[Any, Array]:
    """Return a sparse A and b with norm2(A x - b)^2 / 2 = f(x), a row for each edge."""
    graph = problem.smooth
    rows = np.repeat(np.arange(graph.n), np.diff(graph.pointers))
    inner, outer = (graph.columns < graph.n) & (graph.columns > rows), graph.columns >= graph.n
    root = np.sqrt(np.concatenate([graph.weights[inner], graph.weights[outer]]))
    edges, count = np.arange(len(root)), int(inner.sum())
    head, tail = np.concatenate([rows[inner], rows[outer]]), graph.columns[inner]
    entries = np.concatenate([root, -root[:count]])
    places = (np.concatenate([edges, edges[:count]]), np.concatenate([head, tail]))
    b = np.zeros(len(root))
    b[count:] = root[count:] * graph.fixed_values[graph.columns[outer] - graph.n]
    return sp.csc_matrix((entries, places), shape=(len(root), graph.n)), b


def skglm(A: Any, b: Array, weight: float, tolerance: float) -> Array:
    from skglm import Lasso

    return Lasso(alpha=weight / len(b), fit_intercept=False, tol=tolerance, max_iter=200).fit(A, b).coef_


def scikit_learn(A: Any, b: Array, weight: float, tolerance: float) -> Array:
    from sklearn.linear_model import Lasso

    return Lasso(alpha=weight / len(b), fit_intercept=False, tol=tolerance, max_iter=10_000).fit(A, b).coef_


def clocked(work: Callable[[], Any]) -> tuple[float, Any]:
    clock = process_time()
    found = work()
    return process_time() - clock, found


def loosest(work: Callable[[float], Array], near: Callable[[Array], bool], budget: float) -> tuple[float, float] | str:
    """Return the loosest tolerance that suffices, and the seconds that it took, or a word."""
    try:
        work(1e-1)  # compiles
    except ImportError as error:
        return f"SKIPPED: {error}"
    spent = 0.0
    for tolerance in 10.0 ** -np.arange(1, 15):
        took, x = clocked(lambda tolerance=float(tolerance): work(tolerance))
        spent += took
        if near(x):
            return float(tolerance), took
        if spent > budget:
            return f"over {budget:g} s"
    return "not reached"


def compare(title: str, term: Any, rounds: int, budget: float) -> None:
    """Print the row of a term."""
    known = Reference(LARGE, term)
    problem, weight = known.problem, float(known.problem.term.parameters(known.problem.shape).weight.max())
    steps = {"TreeDescent": TreeDescent(), "block steps on combs": COMBS}
    counts = {name: known.steps(solver) for name, solver in steps.items()}
    counts["FISTA"] = fista(problem, 5000, known.near)[1]
    work: dict[str, Callable[[], Any]] = {
        name: lambda solver=solver, name=name: rs.solve(
            problem, solver, stop=rs.Stop(rtol=0, atol=0, iterations=counts[name])
        )
        for name, solver in steps.items()
    }
    work["FISTA"] = lambda: fista(problem, counts["FISTA"])
    single = []
    if weight:
        A, b = as_lasso(problem)
        for name, peer in (("skglm", skglm), ("scikit-learn", scikit_learn)):
            found = loosest(lambda tolerance, peer=peer: peer(A, b, weight, tolerance), known.near, budget)
            single.append(f"{name} {found if isinstance(found, str) else f'{found[1]:.3f} s'}")
    else:
        found = loosest(lambda tolerance: quasi_newton(problem, tolerance), known.near, budget)
        if isinstance(found, str):
            single.append(f"L-BFGS-B {found}")
        else:
            work["L-BFGS-B"] = lambda: quasi_newton(problem, found[0])
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            seconds[name].append(clocked(run)[0])
    cells = [f"{name} {statistics.median(s):.3f} s" + (f" ({counts[name]})" if name in counts else "")
             for name, s in seconds.items()]  # fmt: skip
    kinks = np.mean(np.isin(known.x, (0.0, *np.unique(term.parameters(problem.shape)[3:5]))))
    print(f"{title:18s} {kinks:4.0%} at bounds or kinks: {'; '.join(cells + single)}", flush=True)


def counts() -> None:
    terms_of = {"none": terms.NoTerm(), **BOUNDS, **{f"L1 {name}": term for name, term in L1.items()}}
    print("sweeps to 1e-6 at 2400 and 86,400 unknowns: extrapolated; plain; block steps on combs")
    for name, term in terms_of.items():
        known = [Reference(grid, term) for grid in (SMALL, LARGE)]
        solvers = (TreeDescent(), TreeDescent(anderson=0), COMBS)
        rows = [[one.steps(solver) for one in known] for solver in solvers]
        cells = "; ".join(f"{small:3d} {large:3d} ({large / small:.2f})" for small, large in rows)
        print(f"{name:20s} {cells}", flush=True)


def conjugate_gradients(rounds: int) -> None:
    for grid in (SMALL, LARGE):
        graph = lattice_graph(grid)
        system = graph.linear_system()
        combs = TreeSweep(partition=partitions.TreePartition().blocks(graph))
        solvers = {
            "CG": ConjugateGradient(),
            "CG, forests": ConjugateGradient(preconditioner=TreeSweep()),
            "CG, combs": ConjugateGradient(preconditioner=combs),
        }
        best = rs.solve(system, ConjugateGradient(), stop=rs.Stop(rtol=1e-13)).x
        energy = 0.5 * float(graph.q @ best)
        print(f"{graph.n} unknowns, no term")
        for name, solver in solvers.items():
            count = 0
            for state in rs.iterate(system, solver, stop=rs.Stop(rtol=1e-13)):
                if graph.q @ state.x - 0.5 * (state.x @ (graph.H @ state.x)) >= (1 - ACCURACY) * energy:
                    count = state.iterations
                    break
            times = []
            for rtol in (1e-6, 1e-10):
                stop = rs.Stop(rtol=rtol)
                runs = [clocked(partial(rs.solve, system, solver, stop=stop)) for _ in range(rounds)]
                times.append(f"{statistics.median(t for t, _ in runs):.4f} s ({runs[0][1].iterations})")
            print(f"    {name:12s} {count:3d} iterations to 1e-6 in f; residual 1e-6 {times[0]}, 1e-10 {times[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["bounds", "l1", "counts", "spd"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=20, help="CPU seconds for the tolerances of one peer")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    for part, rows in (("bounds", BOUNDS), ("l1", L1)):
        if part in options.parts:
            print(f"{part}, {LARGE[0]} x {LARGE[1]} nodes, CPU seconds (iterations) to {ACCURACY:g}")
            for title, term in rows.items():
                compare(title, term, options.rounds, options.budget)
    if "counts" in options.parts:
        counts()
    if "spd" in options.parts:
        conjugate_gradients(options.rounds)


if __name__ == "__main__":
    main()
