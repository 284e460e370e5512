"""Figures of a report, drawn with Matplotlib where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from resolvent.bench.profiles import Profile
from resolvent.bench.runs import COSTS, Group

__all__ = ["draw_profiles", "missing_plot_extra"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
"""Told apart with colour-blind eyes too (after Okabe and Ito), and helped by the strokes."""
STROKES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)), (0, (3, 1)))
LABELS = {"seconds": "seconds", "evaluations": "evaluations", "iterations": "iterations"}


def missing_plot_extra() -> str:
    """Return what to install before figures can be drawn; nothing where they can."""
    return "" if find_spec("matplotlib") is not None else "figures need Matplotlib: pip install 'resolvent[plot]'"


def draw_profiles(group: Group, path: Path) -> None:
    """Write the performance profiles of a group for all three costs as one PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(COSTS), sharey=True)
    for axes, cost in zip(panels, COSTS, strict=True):
        _draw(axes, group.profile(cost))
    panels[0].set_ylabel(f"share of {len(group.common)} problems solved")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)


def _draw(axes: Any, profile: Profile) -> None:
    finite = profile.ratios[np.isfinite(profile.ratios)]
    last = max(2.0, 1.15 * float(finite.max(initial=1.0)))
    for j, solver in enumerate(profile.solvers):
        ratios = np.sort(profile.ratios[:, j])
        ratios = ratios[np.isfinite(ratios)]
        share = np.arange(1, len(ratios) + 1) / len(profile.problems)
        x = np.concatenate([[1.0], ratios, [last]])
        y = np.concatenate([profile.at(1)[j : j + 1], share, [share[-1] if len(share) else 0.0]])
        # at a tie the steps of the first ratios rise on the axis: the curve begins at their top
        y[1:-1] = np.maximum(y[1:-1], y[0])
        style = {"color": COLOURS[j % len(COLOURS)], "linestyle": STROKES[j % len(STROKES)], "linewidth": 1.8}
        axes.plot(x, y, drawstyle="steps-post", label=solver, **style)
    axes.set_xscale("log", base=2)
    axes.set(xlim=(1.0, last), ylim=(0.0, 1.03))
    axes.set_xlabel(f"{LABELS[profile.cost]}, ratio to the best of each problem")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.grid(True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
