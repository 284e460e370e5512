"""Diffusion on grids: our multigrid and transforms beside PyAMG, AMGCL, hypre, PETSc's GAMG and SciPy's transforms.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/poisson.py             # all sections
    ... python benchmarks/poisson.py obstacles contrast --rounds 3 --most 300000       # some, smaller, fewer runs

Every figure is process CPU time in seconds with one thread. A run is a process of its own that compiles (or loads)
first, on a small problem of the same kind; runs of all methods on a case are interleaved, the table has medians.
"setup" is what depends on the matrix alone; a peer's matrix is assembled before the clock starts; "bytes" is by how
much the largest resident memory grew, beside the matrix and x. All stop where
norm2(b - A x) <= 1e-8 norm2(b), checked afterwards for every method. Peers run under the interpreter in the
environment variable PEERS_PYTHON where it is set (PETSc's binding wants its own); one that does not import is a row
that says so. `--write` keeps rows and tables under benchmarks/results.

Sections: obstacles, boxes, sizes (awkward ones, and heat steps: counts), contrast, speed (nanoseconds per unknown of
solves that follow one another in a process, whose memory is warm, and the wall time with two threads, beside the
bandwidth of memory with one and two).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

TOLERANCE = 1e-8
PETSC = ("hypre", "gamg")
GENERAL = ("pyamg_rs", "pyamg_sa", "amgcl", "hypre")
OBSTACLES = (
    "obstacles:1024x1024",
    "obstacles:2048x2048",
    "obstacles:64x64x64",
    "obstacles:128x128x128",
    "obstacles:192x192x192",
)
BOXES = (
    *(
        f"box-{walls}:{grid}"
        for walls in ("ghost", "dirichlet", "neumann")
        for grid in ("1024x1024", "2048x2048", "128x128x128", "192x192x192")
    ),
    "box-ghost:1023x1023",
    "box-ghost:2047x2047",
    "box-ghost:127x127x127",
)
SIZES = ("obstacles:97x61x33", "obstacles:1000x37", "heat-0.01:1024x1024", "heat-1:1024x1024", "heat-100:1024x1024",
         "heat-0.01:128x128x128", "heat-1:128x128x128", "heat-100:128x128x128")  # fmt: skip
CONTRAST = tuple(
    f"{kind}:1024x1024" for kind in ("blocks", "layers", "channels", "anisotropic-0", "anisotropic-1")
) + tuple(
    f"{kind}:128x128x128"
    for kind in ("blocks", "layers", "channels", "anisotropic-0", "anisotropic-1", "anisotropic-2")
)


# ---- one run, in a process of its own


def system_of(case: str, extents: tuple[int, ...] | None = None) -> Any:
    from resolvent.problems.library import poisson

    kind, _, size = case.partition(":")
    grid = extents or tuple(int(n) for n in size.split("x"))
    name, _, detail = kind.partition("-")
    if name == "box":
        return poisson.box(grid, boundary=detail)
    if name == "heat":
        return poisson.heat_step(grid, dt=float(detail))
    if name == "anisotropic":
        return poisson.anisotropic(grid, axis=int(detail))
    return getattr(poisson, name)(grid)


def dimensions(case: str) -> int:
    return len(case.partition(":")[2].split("x"))


def run_ours(method: str, case: str) -> dict[str, Any]:
    import resolvent as rs
    from resolvent.solvers import ConjugateGradient, FastTransform, Multigrid

    solver = {
        "multigrid": Multigrid(),
        "multigrid_full": Multigrid(full=True),
        "cg_multigrid": ConjugateGradient(preconditioner=Multigrid()),
        "transform": FastTransform(),
    }[method]
    stop = rs.Stop(rtol=TOLERANCE)
    clock = process_time()
    small = system_of(case, (32 if method == "transform" else 96,) * dimensions(case))
    rs.solve(small, solver, stop=stop)
    out: dict[str, Any] = {"compile": process_time() - clock}
    system = system_of(case)
    before = peak()
    clock = process_time()
    options = solver.preconditioner if isinstance(solver, ConjugateGradient) else solver
    kept = options.setup(system)
    out["setup"] = process_time() - clock
    del kept
    clock = process_time()
    wall = time.perf_counter()
    result = rs.solve(system, solver, stop=stop)
    out["wall"] = time.perf_counter() - wall
    out["total"] = process_time() - clock
    out["bytes"] = (peak() - before) / len(system.b) - 8
    out["residual"] = system.residual(result.x) / system.scale()
    estimate = result.history.get("residual_estimate", result.history["residual"]) / result.scale
    out["iterations"] = result.iterations
    out["at_1e-6"] = int(np.argmax(estimate <= 1e-6)) if (estimate <= 1e-6).any() else None
    return out


def run_scipy_transform(case: str) -> dict[str, Any]:
    """The pair of transforms with a division between, and nothing else."""
    import scipy.fft

    system = system_of(case)
    grid = system.grid
    walls = case.partition(":")[0].partition("-")[2]
    kind = {"ghost": 1, "dirichlet": 2, "neumann": 2}[walls]
    there, back = (scipy.fft.dctn, scipy.fft.idctn) if walls == "neumann" else (scipy.fft.dstn, scipy.fft.idstn)
    symbol = {
        "ghost": lambda n: 2 - 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1)),
        "dirichlet": lambda n: 2 - 2 * np.cos(np.pi * np.arange(1, n + 1) / n),
        "neumann": lambda n: 2 - 2 * np.cos(np.pi * np.arange(n) / n),
    }[walls]

    def solve() -> Any:
        coefficients = there(system.b.reshape(grid), type=kind)
        eigenvalues = symbol(grid[0])
        for n in grid[1:]:
            eigenvalues = np.add.outer(eigenvalues, symbol(n))
        if walls == "neumann":
            eigenvalues.flat[0] = np.inf
        coefficients /= eigenvalues
        return back(coefficients, type=kind, overwrite_x=True)

    solve()
    clock = process_time()
    x = solve()
    total = process_time() - clock
    return {"setup": 0.0, "total": total, "iterations": 1, "residual": system.residual(x.ravel()) / system.scale()}


def run_general(method: str, case: str) -> dict[str, Any]:
    system = system_of(case).compress()
    A, b = system.A, system.b
    if method in PETSC:
        return petsc(method, A, b, dimensions(case))
    import scipy.sparse as sp

    A = sp.csr_matrix(A)
    before = peak()
    clock = process_time()
    if method == "amgcl":
        import pyamgcl

        preconditioner = pyamgcl.amg(A, {})
        setup = process_time() - clock
        solver = pyamgcl.solver(preconditioner, {"type": "cg", "tol": TOLERANCE, "maxiter": 500})
        clock = process_time()
        x = solver(b)
        iterations = int(getattr(solver, "iterations", getattr(solver, "iters", 0)))
    else:
        import pyamg

        levels = (pyamg.ruge_stuben_solver if method == "pyamg_rs" else pyamg.smoothed_aggregation_solver)(A)
        setup = process_time() - clock
        history: list[float] = []
        clock = process_time()
        x = levels.solve(b, tol=TOLERANCE, accel="cg", maxiter=300, residuals=history)
        iterations = len(history) - 1
    solve = process_time() - clock
    residual = float(np.linalg.norm(b - A @ x) / np.linalg.norm(b))
    out = {"setup": setup, "total": setup + solve, "iterations": iterations, "residual": residual}
    return {**out, "bytes": (peak() - before) / len(b) - 8}


def petsc(method: str, A: Any, b: Any, dims: int) -> dict[str, Any]:
    from petsc4py import PETSc

    options = PETSc.Options()
    matrix = PETSc.Mat().createAIJ(size=A.shape, csr=(A.indptr.astype("i"), A.indices.astype("i"), A.data))
    matrix.setOption(PETSc.Mat.Option.SPD, True)
    ksp = PETSc.KSP().create()
    ksp.setOperators(matrix)
    ksp.setType("cg")
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=TOLERANCE, max_it=500)
    if method == "hypre":  # the settings that were the fastest of those tried on these cases
        ksp.getPC().setType("hypre")
        ksp.getPC().setHYPREType("boomeramg")
        for name, value in {
            "strong_threshold": 0.25 if dims == 2 else 0.5,
            "coarsen_type": "HMIS",
            "interp_type": "ext+i",
            "P_max": 4,
            "agg_nl": 1,
        }.items():
            options[f"pc_hypre_boomeramg_{name}"] = value
    else:
        ksp.getPC().setType("gamg")
    ksp.setFromOptions()
    before = peak()
    clock = process_time()
    ksp.setUp()
    setup = process_time() - clock
    right, x = PETSc.Vec().createWithArray(b.copy()), matrix.createVecRight()
    clock = process_time()
    ksp.solve(right, x)
    solve = process_time() - clock
    residual = float(np.linalg.norm(b - A @ x.getArray()) / np.linalg.norm(b))
    out = {"setup": setup, "total": setup + solve, "iterations": ksp.getIterationNumber(), "residual": residual}
    return {**out, "bytes": (peak() - before) / len(b) - 8}


def peak() -> int:
    """Return the largest resident memory so far in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def worker(method: str, case: str) -> None:
    if method == "scipy":
        out = run_scipy_transform(case)
    elif method in GENERAL + PETSC:
        out = run_general(method, case)
    else:
        out = run_ours(method, case)
    print("ROW " + json.dumps(out))


# ---- many runs


def one(method: str, case: str, timeout: float, threads: int = 1) -> dict[str, Any]:
    python = os.environ.get("PEERS_PYTHON", sys.executable) if method in GENERAL + PETSC else sys.executable
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["RESOLVENT_NUM_THREADS"] = str(threads)
    command = [python, __file__, "--worker", method, case]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"over {timeout:.0f} s"}
    rows = [line for line in done.stdout.splitlines() if line.startswith("ROW ")]
    if not rows:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        return {"failed": last[:90]}
    found: dict[str, Any] = json.loads(rows[0][4:])
    return found


def compare(case: str, methods: tuple[str, ...], rounds: int, timeout: float) -> list[dict[str, Any]]:
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
    for _ in range(rounds):
        for method in methods:
            if not any("failed" in run for run in runs[method]):
                runs[method].append(one(method, case, timeout))
    rows = []
    for method, done in runs.items():
        row: dict[str, Any] = {"case": case, "method": method}
        if any("failed" in run for run in done):
            rows.append({**row, "failed": done[-1].get("failed", "")})
            continue
        for name in ("setup", "total", "compile", "wall"):
            if name in done[0]:
                row[name] = statistics.median(run[name] for run in done)
        row["solve"] = statistics.median(run["total"] - run["setup"] for run in done)
        row.update({name: done[0].get(name) for name in ("iterations", "at_1e-6", "residual", "bytes")})
        rows.append(row)
    return rows


def unknowns(case: str) -> int:
    return int(np.prod([int(n) for n in case.partition(":")[2].split("x")]))


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| case | method | setup | solve | total | total ratio | solve ratio | ns / cell | bytes / cell | steps (1e-6) "
        "| residual |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in dict.fromkeys(row["case"] for row in rows):
        mine = [row for row in rows if row["case"] == case]
        base = next((row for row in mine if "failed" not in row), {})
        for row in mine:
            if "failed" in row:
                lines.append(f"| {case} | {row['method']} | {row['failed']} | | | | | | | | |")
                continue
            n = unknowns(case)
            grown = f"{row['bytes']:.0f}" if (row.get("bytes") or 0) > 0 else ""
            early = f" ({row['at_1e-6']})" if row.get("at_1e-6") else ""
            lines.append(
                f"| {case} | {row['method']} | {row['setup']:.4f} | {row['solve']:.4f} | {row['total']:.4f} | "
                f"{row['total'] / base['total']:.2f} | {row['solve'] / max(base['solve'], 1e-9):.2f} | "
                f"{1e9 * row['total'] / n:.0f} | {grown} | "
                f"{row['iterations']}{early} | {row['residual']:.1e} |"
            )
    return lines


def triad(threads: int = 1) -> float:
    """Return the bandwidth of a = b + s c in GB/s, 24 bytes an element, best of 9 (wall time)."""
    from concurrent.futures import ThreadPoolExecutor

    from numba import njit

    @njit(fastmath=True, nogil=True)
    def kernel(a: Any, b: Any, c: Any, s: float) -> None:
        for i in range(a.size):
            a[i] = b[i] + s * c[i]

    a, b, c = (np.ones(16_000_000) for _ in range(3))
    parts = [slice(a.size * t // threads, a.size * (t + 1) // threads) for t in range(threads)]
    best = np.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(10):
            clock = time.perf_counter()
            list(pool.map(lambda part: kernel(a[part], b[part], c[part], 2.0), parts))
            best = min(best, time.perf_counter() - clock)
    return float(24 * a.size / best / 1e9)


def run_again(case: str, rounds: int) -> dict[str, Any]:
    """Solve a case again and again in this process, with one thread and with two in turn."""
    import resolvent as rs
    from resolvent.solvers import Multigrid

    system, solver, stop = system_of(case), Multigrid(), rs.Stop(rtol=TOLERANCE)
    found: dict[str, list[float]] = {}
    iterations = 0
    for turn in range(rounds + 1):
        for count in (1, 2):
            with rs.threads(count):
                clock = process_time()
                solver.setup(system)
                middle, wall = process_time(), time.perf_counter()
                iterations = rs.solve(system, solver, stop=stop).iterations
                done = {"setup": middle - clock, "total": process_time() - middle, "wall": time.perf_counter() - wall}
            if turn:  # the first one touches new memory
                for name, value in done.items():
                    found.setdefault(f"{name} {count}", []).append(value)
    solves = [total - setup for total, setup in zip(found["total 1"], found["setup 1"], strict=True)]
    return {
        "setup": statistics.median(found["setup 1"]),
        "solve": statistics.median(solves),
        "walls": [statistics.median(found[f"wall {count}"]) for count in (1, 2)],
        "iterations": iterations,
    }


def speed(rounds: int, timeout: float) -> list[str]:
    """Return the table of repeated solves; with two threads where both cores are idle."""
    single, double, load = triad(), triad(2), os.getloadavg()[0]
    lines = [
        f"Triad with one thread {single:.1f} GB/s, with two {double:.1f}; load before {load:.2f}.",
        "",
        "| case | steps | set-up, ns / unknown | solve, ns / unknown | two threads, wall |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case in ("obstacles:128x128x128", "obstacles:192x192x192", "obstacles:2048x2048"):
        command = [sys.executable, __file__, "--again", case, "--rounds", str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True)
        row, n = json.loads(done.stdout), unknowns(case)
        ratio = f"{row['walls'][0] / row['walls'][1]:.2f} times" if load <= 0.5 else "not measured, load"
        lines.append(
            f"| {case} | {row['iterations']} | {1e9 * row['setup'] / n:.1f} | {1e9 * row['solve'] / n:.1f} | {ratio} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help="obstacles boxes sizes contrast speed; default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=float, default=np.inf, help="leave out larger cases")
    parser.add_argument("--timeout", type=float, default=400, help="seconds for one run")
    parser.add_argument("--write", type=Path, help="folder for rows and tables")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--again", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(*options.worker)
        return
    if options.again:
        print(json.dumps(run_again(options.again, options.rounds)))
        return
    plan = {
        "obstacles": (OBSTACLES, ("multigrid", "multigrid_full", "cg_multigrid", *GENERAL)),
        "boxes": (BOXES, ("transform", "scipy", "multigrid")),
        "sizes": (SIZES, ("multigrid", "multigrid_full")),
        "contrast": (CONTRAST, ("multigrid", "pyamg_rs", "pyamg_sa", "hypre")),
    }
    bandwidth = triad()
    print(f"triad, one thread: {bandwidth:.1f} GB/s; load {os.getloadavg()[0]:.2f}")
    for section in options.sections or (*plan, "speed"):
        if section == "speed":
            lines = speed(options.rounds, options.timeout)
        else:
            cases, methods = plan[section]
            rows = []
            for case in cases:
                if unknowns(case) <= options.most:
                    rows += compare(case, methods, options.rounds, options.timeout)
                    print("\n".join(table(rows[-len(methods) :])[2:]), flush=True)
            lines = table(rows)
            if options.write:
                options.write.mkdir(parents=True, exist_ok=True)
                (options.write / f"{section}.json").write_text(json.dumps(rows, indent=1) + "\n")
        if options.write:
            options.write.mkdir(parents=True, exist_ok=True)
            head = (
                f"Triad, one thread: {bandwidth:.1f} GB/s. {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}.\n\n"
            )
            (options.write / f"{section}.md").write_text(head + "\n".join(lines) + "\n")
        elif section == "speed":
            print("\n".join(lines))


if __name__ == "__main__":
    main()
