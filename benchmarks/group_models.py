"""Groups, several responses and classes: our working set beside skglm, celer and scikit-learn, to a certified accuracy.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/group_models.py          # 14 instances
    ... python benchmarks/group_models.py softmax-khan group --rounds 3                 # some, by the start of a name

Group lasso over consecutive columns, multi-task lasso, softmax with an L1 norm; all without an intercept, and every
group with the weight of one. The clock, the peers' tolerances and P* are those of `sparse_models.py`.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sparse_data import Missing, load
from sparse_models import clocked, sweep

import resolvent as rs
from resolvent.problems import Blocks, CompositeProblem, LinearModel, losses, terms
from resolvent.solvers import BlockCoordinateDescent

GROUPS = {"khan": 4, "corr05": 10, "wn_uni": 5}
INSTANCES = [
    *((f"group-{name}", 0.1) for name in GROUPS),
    *((f"group-{name}", 0.01) for name in GROUPS),
    *((f"multitask-{name}", part) for name in ("khan_classes", "mnist5k_digits") for part in (0.1, 0.01)),
    *((f"softmax-{name}", part) for name in ("khan_classes", "mnist5k_digits") for part in (0.1, 0.01)),
]


def problem_of(kind: str, A: Any, y: Any, size: int, weight: float) -> CompositeProblem:
    if kind == "softmax":
        return CompositeProblem(smooth=LinearModel(A, losses.Softmax(y)), term=terms.L1(weight))
    blocks = Blocks.equal(A.shape[1], size) if kind == "group" else Blocks.rows(A.shape[1], y.shape[1])
    term = terms.GroupL1(blocks, np.full(len(blocks), weight))
    return CompositeProblem(smooth=LinearModel(A, losses.LeastSquares(y)), term=term)


def ours(kind: str, A: Any, y: Any, size: int, weight: float, accuracy: float) -> Any:
    return rs.solve(problem_of(kind, A, y, size, weight), BlockCoordinateDescent(), stop=rs.Stop(rtol=accuracy)).x


def scikit_learn(kind: str, A: Any, y: Any, size: int, weight: float, tolerance: float) -> Any:
    from sklearn.linear_model import LogisticRegression, MultiTaskLasso

    if kind == "multitask":
        model = MultiTaskLasso(alpha=weight / len(y), fit_intercept=False, tol=tolerance, max_iter=100_000)
        return model.fit(A, y).coef_.T
    options = {"solver": "saga", "fit_intercept": False, "tol": tolerance, "max_iter": 20_000}
    return LogisticRegression(l1_ratio=1, C=1 / weight, **options).fit(A, y).coef_.T


def skglm(kind: str, A: Any, y: Any, size: int, weight: float, tolerance: float) -> Any:
    from skglm import GroupLasso, MultiTaskLasso

    alpha = weight / len(y)
    if kind == "multitask":
        return MultiTaskLasso(alpha=alpha, fit_intercept=False, tol=tolerance, max_iter=200).fit(A, y).coef_.T
    blocks = Blocks.equal(A.shape[1], size)
    groups = [list(map(int, block)) for block in blocks]
    model = GroupLasso(groups, alpha, np.ones(len(groups)), fit_intercept=False, tol=tolerance, max_iter=200)
    return model.fit(A, y).coef_.ravel()


def celer(kind: str, A: Any, y: Any, size: int, weight: float, tolerance: float) -> Any:
    from celer import GroupLasso
    from celer.homotopy import mtl_path  # its estimator does not go with scikit-learn 1.9

    alpha = weight / len(y)
    if kind == "multitask":
        return mtl_path(A, y, alphas=np.array([alpha]), tol=tolerance, max_iter=200)[1][:, :, 0].T
    groups = [list(map(int, block)) for block in Blocks.equal(A.shape[1], size)]
    model = GroupLasso(groups, alpha=alpha, fit_intercept=False, tol=tolerance, max_iter=200)
    return model.fit(A, y).coef_.ravel()


PEERS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "scikit-learn": (scikit_learn, ("multitask", "softmax")),
    "skglm": (skglm, ("group", "multitask")),
    "celer": (celer, ("group", "multitask")),
}


def data(kind: str, name: str) -> tuple[Any, Any]:
    A, y = load(name)
    if kind == "multitask":
        targets = (y[:, None] == np.arange(y.max() + 1)).astype(float)
        return A, np.asfortranarray(targets - targets.mean(axis=0))
    return A, y


def instance(title: str, fraction: float, accuracy: float, rounds: int, budget: float) -> float | None:
    """Print the row of an instance, and return how many times as long the best peer takes."""
    kind, name = title.split("-")
    A, y = data(kind, name)
    size = GROUPS.get(name, 0)
    unit = problem_of(kind, A, y, size, 1.0)
    weight = fraction * unit.term.lambda_max(unit.gradient(unit.x0))
    problem = problem_of(kind, A, y, size, weight)
    exact = ours(kind, A, y, size, weight, 1e-13)
    best, zero = problem.objective(exact), problem.scale()
    ours(kind, A, y, size, weight, accuracy)
    mine = statistics.median(clocked(lambda: ours(kind, A, y, size, weight, accuracy))[0] for _ in range(rounds))
    cells, times = [], []
    for peer, (run, kinds) in PEERS.items():
        if kind not in kinds:
            continue
        took = sweep(
            lambda tolerance, run=run: run(kind, A, y, size, weight, tolerance),
            lambda x: problem.objective(np.ascontiguousarray(x, float)) - best <= accuracy * zero,
            rounds,
            budget,
        )
        cells.append(f"{peer} {took:.4f}" if isinstance(took, float) else f"{peer} {took}")
        times += [took] if isinstance(took, float) else []
    ratio = min(times) / mine if times else None
    units = np.abs(exact).reshape(len(unit.term.blocks), -1).sum(axis=1) if kind == "multitask" else exact
    shown = f"{ratio:.2f}" if ratio else "-"
    print(f"{title}-{fraction:g} ({np.count_nonzero(units)}): ours {mine:.4f}; {', '.join(cells)}; "
          f"best peer / ours {shown}", flush=True)  # fmt: skip
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="how instances begin; default all")
    parser.add_argument("--accuracy", type=float, default=1e-6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=25, help="CPU seconds for the tolerances of one peer")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    ratios = []
    for title, fraction in INSTANCES:
        if options.names and not any(f"{title}-{fraction:g}".startswith(name) for name in options.names):
            continue
        try:
            ratio = instance(title, fraction, options.accuracy, options.rounds, options.budget)
            ratios += [ratio] if ratio else []
        except Missing as reason:
            print(f"{title}: SKIPPED, {reason}", flush=True)
    if ratios:
        mean, ahead = float(np.exp(np.mean(np.log(ratios)))), sum(ratio >= 1 for ratio in ratios)
        print(
            f"best peer / ours: geometric mean {mean:.2f}, worst {min(ratios):.2f}, ahead on {ahead} of {len(ratios)}"
        )


if __name__ == "__main__":
    main()
