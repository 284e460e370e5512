"""CPU time of evaluating and of loading CUTEst problems.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/cutest_evaluation.py
    python benchmarks/cutest_evaluation.py --prototype path/to/cutest_baseline.py

Evaluation: a new point at each call; f and c together, then g and J together, then the Hessian of the Lagrangian, each
at a point of its own. Medians over the calls. With a prototype (a module with a class `Reduced("NAME,argument,...")`
that has methods f, c, g, J and H) its calls are interleaved with ours, and the ratio ours / prototype is printed.
Goals: at most 0.5 for g + J and for the Hessian, at most 1 for f + c.

Loading: CPU time of `cutest.load` in a fresh process after the imports, structure already on disk. Goal: at most 0.5 s
for n = 5000.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from resolvent.problems import cutest

EVALUATED = ("LUKVLE1,1000", "DTOC1L,500", "ORTHREGC,500", "LUKVLE1,5000", "HS100LNP", "BT11", "ORTHREGB")
LOADED = ("LUKVLE1,5000", "LUKVLE6,4999", "DTOC1L,1000", "ORTHREGC,2500", "SPMSRTLS", "DIXMAANI1,2000", "LUKVLE16,4997")
CALLS = 200

LOADING = """
import sys, numpy, scipy.sparse, resolvent.problems
from time import process_time
from resolvent.problems import cutest
name, *arguments = sys.argv[1].split(",")
clock = process_time()
problem = cutest.load(name, *map(float, arguments))
print(problem.n, process_time() - clock)
"""

Task = Callable[[np.ndarray], Any]


def loaded(specification: str) -> cutest.CutestNLP:
    name, *arguments = specification.split(",")
    return cutest.load(name, *map(float, arguments))


def tasks(specification: str, prototype: Any) -> tuple[cutest.CutestNLP, dict[str, list[Task]]]:
    """Return the problem, and for each kind of evaluation our function, and the prototype's where there is one."""
    p = loaded(specification)
    y = np.random.default_rng(1).standard_normal(p.m)
    found: dict[str, list[Task]] = {
        "f + c": [lambda x: (p.objective(x), p.constraint(x))],
        "g + J": [lambda x: (p.gradient(x), p.jacobian(x))],
        "Hessian": [lambda x: p.lagrangian_hessian(x, y)],
    }
    if prototype is not None:
        other = prototype.Reduced(specification)
        found["f + c"].append(lambda x: (other.f(x), other.c(x)))
        found["g + J"].append(lambda x: (other.g(x), other.J(x)))
        found["Hessian"].append(lambda x: other.H(x, y))
    return p, found


def evaluation(specification: str, prototype: Any) -> None:
    p, found = tasks(specification, prototype)
    rng = np.random.default_rng(0)
    seconds: dict[str, list[list[float]]] = {kind: [[] for _ in functions] for kind, functions in found.items()}
    for _ in range(CALLS):
        for kind, functions in found.items():
            for clocked, function in zip(seconds[kind], functions, strict=True):
                x = p.x0 + 1e-3 * rng.standard_normal(p.n)
                clock = process_time()
                function(x)
                clocked.append(process_time() - clock)
    cells = []
    for kind, clocked in seconds.items():
        medians = [1e6 * float(np.median(times)) for times in clocked]
        ratio = f"  ratio {medians[0] / medians[1]:.2f}" if len(medians) > 1 else ""
        cells.append(f"{kind} " + " /".join(f"{median:6.0f}" for median in medians) + f" us{ratio}")
    print(f"{specification:14s} n = {p.n:4d}  " + "   ".join(cells))


def loading(specification: str) -> None:
    loaded(specification)  # puts the structure on disk
    seconds = []
    for _ in range(3):
        command = [sys.executable, "-c", LOADING, specification]
        n, cpu = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        seconds.append(float(cpu))
    print(f"{specification:14s} n = {n}  loaded in {np.median(seconds):.3f} s of CPU")


def module(path: Path | None) -> Any:
    if path is None:
        return None
    spec = importlib.util.spec_from_file_location("prototype", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prototype", type=Path, help="module to compare with")
    prototype = module(parser.parse_args().prototype)
    for specification in EVALUATED:
        evaluation(specification, prototype)
    for specification in LOADED:
        loading(specification)


if __name__ == "__main__":
    main()
