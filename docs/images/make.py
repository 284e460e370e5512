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
    inset = left.inset_axes((0.02, 0.02, 0.4, 0.4), xticks=[], yticks=[])  # the iterates, enlarged
    middle, half = (path.max(axis=0) + path.min(axis=0)) / 2, 0.7 * np.ptp(path, axis=0).max()
    windows = {
        left: (-2.0, 2.0, -1.8, 2.0),
        inset: (middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half),
    }
    angle = np.linspace(0, 2 * np.pi, 2000)
    for ax, (west, east, south, north) in windows.items():
        a, b = np.meshgrid(np.linspace(west, east, 200), np.linspace(south, north, 200))
        values = np.array([problem.objective(x) for x in np.column_stack([a.ravel(), b.ravel()])]).reshape(a.shape)
        levels = np.linspace(0, np.log10(1 + values.max()), 15)
        ax.contourf(a, b, np.log10(1 + values), levels=levels, cmap="Blues", alpha=0.75)
        ax.plot(radius * np.cos(angle), radius * np.sin(angle), color="tab:orange", linewidth=2.5, label="constraint")
        ax.plot(*path[0], "ks", markersize=7, fillstyle="none", label="start")
        ax.plot(*path.T, "k.-", linewidth=1, markersize=5, label="iterates")
        ax.plot(*result.x, "*", color="tab:red", markersize=14, fillstyle="none", label="answer")
        ax.set(xlim=(west, east), ylim=(south, north), aspect="equal")
    left.indicate_inset_zoom(inset, edgecolor="black")
    left.set(xlabel="$x_1$", ylabel="$x_2$", title="objective (shades) and constraint")
    left.legend(loc="lower right", fontsize=8, framealpha=0.9)

    right.semilogy(result.history["iterations"], result.history["residual"], "k.-", linewidth=1, markersize=8)
    right.axhline(result.tolerance, color="tab:red", linestyle=":", label="tolerance")
    right.set(xlabel="iterations", ylabel="residual", title="residual of the optimality conditions")
    right.legend()
    right.grid(alpha=0.3)
    figure.savefig(HERE / "first_solve.png", dpi=100, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
