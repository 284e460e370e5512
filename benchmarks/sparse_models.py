"""Sparse models: our working set beside scikit-learn, skglm, celer and liblinear, to a certified accuracy.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/sparse_models.py     # 27 instances
    ... python benchmarks/sparse_models.py khan paperA --accuracy 1e-10 --rounds 3  # some data, another accuracy
    ... python benchmarks/sparse_models.py --paths                                  # 50 weights, warm starts
    ... python benchmarks/sparse_models.py --small --rounds 51                      # where the overhead is what counts

A figure is process CPU seconds with one thread, problem and model objects made inside the clock. Ours is one run,
stopped by its own duality gap. A peer is run once for each of its tolerances, from loose to tight, until its objective
is within the accuracy times P(0) of P*; that run counts, the median over the rounds. P* is the objective of our run to
a gap of 1e-13 P(0). All rows of an instance are of one process, after one run of each that compiles. What a peer needs
more than --budget seconds for is a row that says so; missing data and missing peers are SKIPPED rows (data.md).
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
from sparse_data import Missing, load

import resolvent as rs
from resolvent.problems import CompositeProblem, LinearModel, losses, terms
from resolvent.solvers import WorkingSet, path

LASSO = ("khan", "nci60", "mnist5k", "corr09", "corr05", "paperA", "wn20k_bi", "wn_uni", "sp1e5")
LOGISTIC = ("khan", "mnist5k", "paperB", "wn20k_bi", "wn_uni", "sp1e5_clf")
LEFT_OUT = {"nci60-0.1", "corr05-0.1", "wn20k_bi-0.1"}  # of the lasso, as in the baseline
PATHS = ("khan", "mnist5k", "wn_uni", "sp1e5")
SMALL = ("20x10", "100x50", "500x20", "200x500", "100x2000", "1000x200")
TOLERANCES = [10.0**-k for k in range(2, 15)]


def data_of(name: str) -> tuple[Any, Any]:
    """Return A and y: of a data set, or of the size n x p, normal, ten columns in y."""
    if name not in SMALL:
        return load(name)
    rng, (n, p) = np.random.default_rng(0), map(int, name.split("x"))
    A = np.asfortranarray(rng.standard_normal((n, p)))
    return A, A[:, :10] @ rng.standard_normal(10) + 0.1 * rng.standard_normal(n)


def problem_of(A: Any, y: Any, weight: float, logistic: bool) -> CompositeProblem:
    loss = losses.Logistic(y) if logistic else losses.LeastSquares(y)
    return CompositeProblem(smooth=LinearModel(A, loss), term=terms.L1(weight))


def ours(A: Any, y: Any, weight: float, logistic: bool, accuracy: float) -> Any:
    return rs.solve(problem_of(A, y, weight, logistic), WorkingSet(), stop=rs.Stop(rtol=accuracy)).x


def scikit_learn(A: Any, y: Any, weight: float, logistic: bool, tolerance: float) -> Any:
    from sklearn.linear_model import Lasso

    model = Lasso(alpha=weight / len(y), fit_intercept=False, tol=tolerance, max_iter=100_000, copy_X=False)
    return model.fit(A, y).coef_


def liblinear(A: Any, y: Any, weight: float, logistic: bool, tolerance: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    options = {"solver": "liblinear", "fit_intercept": False, "tol": tolerance, "max_iter": 100_000}
    model = LogisticRegression(l1_ratio=1, C=1 / weight, **options)
    return model.fit(A.tocsr() if hasattr(A, "tocsr") else np.ascontiguousarray(A), y).coef_.ravel()


def skglm(A: Any, y: Any, weight: float, logistic: bool, tolerance: float) -> Any:
    from skglm import Lasso, SparseLogisticRegression

    kind = SparseLogisticRegression if logistic else Lasso
    return kind(alpha=weight / len(y), fit_intercept=False, tol=tolerance, max_iter=200).fit(A, y).coef_.ravel()


def celer(A: Any, y: Any, weight: float, logistic: bool, tolerance: float) -> Any:
    from celer import Lasso, LogisticRegression

    if logistic:
        model = LogisticRegression(C=1 / weight, solver="celer-pn", fit_intercept=False, tol=tolerance, max_iter=200)
    else:
        model = Lasso(alpha=weight / len(y), fit_intercept=False, tol=tolerance, max_iter=200)
    return model.fit(A, y).coef_.ravel()


PEERS: dict[str, tuple[Callable[..., Any], str]] = {
    "scikit-learn": (scikit_learn, "lasso"),
    "liblinear": (liblinear, "logistic"),
    "skglm": (skglm, "both"),
    "celer": (celer, "both"),
}


def clocked(call: Callable[[], Any]) -> tuple[float, Any]:
    clock = process_time()
    found = call()
    return process_time() - clock, found


def sweep(run: Callable[[float], Any], enough: Callable[[Any], bool], rounds: int, budget: float) -> float | str:
    """Return the CPU of the first tolerance that is enough, or a word."""
    try:
        run(1e-1)
    except ImportError as error:
        return f"SKIPPED: {error}"
    spent = 0.0
    for tolerance in TOLERANCES:
        took, x = clocked(lambda tolerance=tolerance: run(tolerance))
        spent += took
        if enough(x):
            more = [clocked(lambda tolerance=tolerance: run(tolerance))[0] for _ in range(rounds - 1)]
            return statistics.median([took, *more])
        if spent > budget:
            return f"over {budget:g} s"
    return "not reached"


def instance(name: str, fraction: float, logistic: bool, accuracy: float, rounds: int, budget: float) -> float | None:
    """Print the row of an instance, and return how many times as long the best peer takes."""
    A, y = data_of(name)
    weight = fraction * float(np.abs(A.T @ y).max()) * (0.5 if logistic else 1.0)
    problem = problem_of(A, y, weight, logistic)
    best, zero = problem.objective(ours(A, y, weight, logistic, 1e-13)), problem.scale()
    ours(A, y, weight, logistic, accuracy)
    mine = statistics.median(clocked(lambda: ours(A, y, weight, logistic, accuracy))[0] for _ in range(rounds))
    cells, times = [], []
    for peer, (run, kind) in PEERS.items():
        if kind == ("lasso" if logistic else "logistic"):
            continue
        took = sweep(
            lambda tolerance, run=run: run(A, y, weight, logistic, tolerance),
            lambda x: problem.objective(np.asarray(x, float)) - best <= accuracy * zero,
            rounds,
            budget,
        )
        cells.append(f"{peer} {took:.4f}" if isinstance(took, float) else f"{peer} {took}")
        times += [took] if isinstance(took, float) else []
    ratio = min(times) / mine if times else None
    shown = f"{ratio:.2f}" if ratio else "-"
    kind = "logistic" if logistic else "lasso"
    print(f"{kind}-{name}-{fraction:g}: ours {mine:.4f}; {', '.join(cells)}; best peer / ours {shown}", flush=True)
    return ratio


def path_row(name: str, accuracy: float, rounds: int, budget: float) -> None:
    A, y = data_of(name)
    largest = float(np.abs(A.T @ y).max())
    weights = np.geomspace(largest, largest / 100, 50)

    def mine() -> Any:
        return path(problem_of(A, y, 1.0, False), weights, stop=rs.Stop(rtol=accuracy))

    mine()
    took = statistics.median(clocked(mine)[0] for _ in range(rounds))
    exact = path(problem_of(A, y, 1.0, False), weights, stop=rs.Stop(rtol=1e-12)).x
    problems = [problem_of(A, y, float(w), False) for w in weights]
    known = [p.objective(x) for p, x in zip(problems, exact, strict=True)]
    zero = problems[0].scale()

    def enough(found: Any) -> bool:
        gaps = [p.objective(np.ascontiguousarray(x)) - k for p, x, k in zip(problems, found.T, known, strict=True)]
        return max(gaps) <= accuracy * zero

    def lasso_path(tolerance: float, gram: bool = False) -> Any:
        from sklearn.linear_model import lasso_path as run

        return run(A, y, alphas=weights / len(y), tol=tolerance, max_iter=100_000, precompute=gram)[1]

    def celer_path(tolerance: float) -> Any:
        from celer import celer_path as run

        return run(A, y, "lasso", alphas=weights / len(y), tol=tolerance, max_iter=200)[1]

    rows = {"lasso_path": lasso_path, "celer_path": celer_path}
    if A.shape[1] < A.shape[0] and not hasattr(A, "indptr"):
        rows["lasso_path with Gram"] = lambda tolerance: lasso_path(tolerance, True)
    cells = []
    for peer, run in rows.items():
        other = sweep(run, enough, rounds, budget)
        cells.append(f"{peer} {other:.4f} ({other / took:.2f})" if isinstance(other, float) else f"{peer} {other}")
    print(f"path-{name}: ours {took:.4f}; {', '.join(cells)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", help="names of data sets; default all")
    parser.add_argument("--accuracy", type=float, default=1e-6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=25, help="CPU seconds for the tolerances of one peer")
    parser.add_argument("--paths", action="store_true")
    parser.add_argument("--small", action="store_true", help="generated data of a few hundred rows and columns")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    ratios = []
    if options.paths:
        plan = [(name, None, False) for name in (SMALL if options.small else PATHS)]
    elif options.small:
        plan = [(name, part, False) for name in SMALL for part in (0.1, 0.01)]
    else:
        plan = [(name, part, False) for name in LASSO for part in (0.1, 0.01) if f"{name}-{part}" not in LEFT_OUT]
        plan += [(name, part, True) for name in LOGISTIC for part in (0.1, 0.01)]
    for name, fraction, logistic in plan:
        if options.data and name not in options.data:
            continue
        try:
            if fraction is None:
                path_row(name, options.accuracy, options.rounds, options.budget)
            else:
                ratio = instance(name, fraction, logistic, options.accuracy, options.rounds, options.budget)
                ratios += [ratio] if ratio else []
        except Missing as reason:
            print(f"{name}: SKIPPED, {reason}", flush=True)
    if ratios:
        mean = float(np.exp(np.mean(np.log(ratios))))
        ahead = sum(ratio >= 1 for ratio in ratios)
        print(
            f"best peer / ours: geometric mean {mean:.2f}, worst {min(ratios):.2f}, ahead on {ahead} of {len(ratios)}"
        )


if __name__ == "__main__":
    main()
