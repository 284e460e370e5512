"""The first script of the README runs, and prints what the README says."""

from __future__ import annotations

import re
from math import log10
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def first_block(language: str) -> str:
    """Return the text of the first fenced block of a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None, f"no block of {language}"
    return found[1]


def shape(line: str) -> str:
    """Return a line with a sign in place of each number."""
    return NUMBER.sub("#", line).strip()


def label(line: str) -> str:
    return line.split()[0]


def unfolded(text: str) -> list[str]:
    """Return the lines of a result, those that were too long in one piece: how they break depends on their digits."""
    return re.sub(r"\n {8,}", " ", text).splitlines()


@pytest.fixture(scope="module")
def lines():
    """The printed lines, and those of the README."""
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        names = {"__name__": "readme", "print": lambda value: printed.extend(unfolded(str(value)))}
        patch.delenv("RESOLVENT_NUM_THREADS", raising=False)
        exec(compile(first_block("python"), "README.md", "exec"), names)
    return printed, unfolded(first_block("text"))


def test_every_line_has_the_shape_shown(lines):
    printed, shown = lines
    assert [shape(line) for line in printed] == [shape(line) for line in shown]


def test_the_verdict_and_the_counts_are_those_shown(lines):
    printed, shown = lines
    assert printed[0] == shown[0]
    for word in ("iterations", "evaluations", "inner"):
        assert [line for line in printed if label(line) == word] == [line for line in shown if label(line) == word]


def test_residual_and_tolerance_are_as_shown(lines):
    """The tolerance to its digits, the residual to its order of magnitude; what is near rounding counts as the same."""
    for mine, theirs in zip(*([line for line in part if label(line) == "residual"] for part in lines), strict=True):
        (residual, *others), (expected, *known) = ([float(x) for x in NUMBER.findall(line)] for line in (mine, theirs))
        assert others == pytest.approx(known, rel=1e-3)
        assert max(residual, expected) < 1e-13 or abs(log10(residual / expected)) <= 1
