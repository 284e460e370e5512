"""Every example runs as it stands, without a warning, in a folder of its own."""

from __future__ import annotations

import runpy
from pathlib import Path

import matplotlib as mpl
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SLOW = {
    "plot_adasketch_table",
    "plot_block_coordinate_descent",
    "plot_block_coordinate_descent_rules",
    "plot_block_coordinate_descent_updates",
}
"""Over 10 s. The build of the manual runs them too."""


def marked(path: Path) -> object:
    return pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])


@pytest.fixture
def pyplot(monkeypatch, tmp_path):
    """Matplotlib's pyplot on the agg backend, with the working folder elsewhere."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    monkeypatch.setattr(plt, "show", lambda *args, **kwargs: None)  # agg warns where a display is set
    monkeypatch.chdir(tmp_path)
    plt.close("all")
    yield plt
    plt.close("all")


@pytest.mark.parametrize("path", [marked(path) for path in sorted(EXAMPLES.glob("*/plot_*.py"))])
def test_example_runs_and_draws(path, pyplot, tmp_path):
    runpy.run_path(str(path), run_name="__main__")
    assert pyplot.get_fignums(), "no figure"
    assert list(tmp_path.iterdir()) == [], "an example leaves files behind"


def test_every_example_is_in_a_part_of_the_gallery():
    parts = {path.parent.name for path in EXAMPLES.glob("**/*.py")}
    assert parts == {"quickstart", "embedding", "papers"}
    assert all((EXAMPLES / part / "GALLERY_HEADER.rst").is_file() for part in parts)
