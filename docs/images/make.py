"""Draw the picture of the README: the run of its first script.

python docs/images/make.py

The script is read from README.md, so that the picture shows what the README solves.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np

import resolvent as rs

HERE = Path(__file__).resolve().parent
README = HERE.parent.parent / "README.md"


def first_script() -> dict[str, object]:
    """Run the first Python block of the README, and return its names."""
    found = re.search(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    names: dict[str, object] = {"__name__": "first_script"}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(found[1], "README.md", "exec"), names)
    return names


def main() -> None:
    names = first_script()
    problem, result = names["problem"], names["result"]
    path = np.array([problem.x0, *(s.x.copy() for s in rs.iterate(problem, result.solver, stop=result.stop))])
    assert np.array_equal(path[-1], result.x)
    radius = np.sqrt(problem.constraint_upper[0])

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.9), layout="constrained", facecolor="white")
    reach = 1.1 * max(radius, np.abs(path).max())
    a, b = np.meshgrid(np.linspace(-reach, reach, 200), np.linspace(-reach, reach, 200))
    values = np.array([problem.objective(x) for x in np.column_stack([a.ravel(), b.ravel()])]).reshape(a.shape)
    left.contourf(a, b, np.log10(1 + values), levels=14, cmap="Blues", alpha=0.75)
    angle = np.linspace(0, 2 * np.pi, 200)
    left.plot(radius * np.cos(angle), radius * np.sin(angle), color="tab:orange", linewidth=2.5, label="constraint")
    left.plot(*path[0], "ks", markersize=7, label="start")
    left.plot(*path.T, "k.-", linewidth=1, markersize=6, label="iterates")
    left.plot(*result.x, "*", color="tab:red", markersize=14, fillstyle="none", label="answer")
    left.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal", title="objective (shades) and constraint")
    left.legend(loc="lower left", fontsize=8, framealpha=0.9)

    right.semilogy(result.history["iterations"], result.history["residual"], "k.-", linewidth=1, markersize=8)
    right.axhline(result.tolerance, color="tab:red", linestyle=":", label="tolerance")
    right.set(xlabel="iterations", ylabel="residual", title="residual of the optimality conditions")
    right.legend()
    right.grid(alpha=0.3)
    figure.savefig(HERE / "first_solve.png", dpi=100, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
