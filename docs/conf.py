"""The manual: Sphinx with numpydoc, the examples as a gallery. Builds without a network.

python -m sphinx -q -W --keep-going -b html docs docs/_build/html
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

os.environ["MPLBACKEND"] = "agg"
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import resolvent  # noqa: E402 (the variables above come first)

HERE = Path(__file__).parent

project = "resolvent"
author = "the authors of resolvent"
copyright = "the authors of resolvent"
release = version = resolvent.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
root_doc = "index"
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/*.py", "gallery/**/*.json"]
templates_path = ["_templates"]
default_role = "py:obj"

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings have the types, with shapes
autodoc_default_options = {"member-order": "bysource"}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = f"resolvent {version}"
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}

# under agg, plt.show() has nothing to show; Matplotlib says so where a display is set
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive", category=UserWarning)

sphinx_gallery_conf = {
    "examples_dirs": [str(HERE.parent / "examples")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "subsection_order": [str(Path("..") / "examples" / part) for part in ("quickstart", "embedding", "papers")],
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("resolvent",),
    "download_all_examples": False,
    "show_signature": False,
    "reset_modules": ("matplotlib",),
    "remove_config_comments": True,
    "abort_on_example_error": False,
    "min_reported_time": 0,
}
