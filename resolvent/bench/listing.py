"""The list of known problems as a table."""

from __future__ import annotations

from resolvent.bench.tables import Table
from resolvent.errors import OptionError, did_you_mean
from resolvent.problems import cutest, library

__all__ = ["list_problems"]


def list_problems(source: str, kind: str | None, constraints: str | None, max_n: int | None) -> Table:
    """Return name, class, sizes, best known value and origin of the problems that meet all conditions.

    Parameters
    ----------
    source : str
        "library" or "cutest".
    kind, constraints : str or None
        Class and kind of constraints; None for all.
    max_n : int or None
        Most variables, with the default parameters.

    Raises
    ------
    OptionError
        For a class or a kind of constraints that does not exist.
    """
    rows = _cutest(kind, constraints, max_n) if source == "cutest" else _library(kind, constraints, max_n)
    columns = ("name", "class", "constraints", "n", "m", "best", "source")
    return Table("", columns, tuple(rows), words=(0, 1, 2, 6))


def _library(kind: str | None, constraints: str | None, max_n: int | None) -> list[tuple[str, ...]]:
    for word, name, known in (
        (kind, "class", {entry.kind for entry in library.entries()}),
        (constraints, "constraints", {entry.constraints for entry in library.entries()}),
    ):
        if word is not None and word not in known:
            raise OptionError(
                f"{name} is {word!r}{did_you_mean(word, known)}; expected one of {', '.join(sorted(known))}"
            )
    return [
        (
            entry.name,
            entry.kind,
            entry.constraints,
            str(entry.n),
            str(entry.m),
            "-" if entry.best is None else f"{entry.best:.10g}",
            entry.source,
        )
        for entry in library.entries(kind=kind, constraints=constraints, max_n=max_n)
    ]


def _cutest(kind: str | None, constraints: str | None, max_n: int | None) -> list[tuple[str, ...]]:
    if kind not in (None, "NLP"):
        raise OptionError(f"class is {kind!r}, but all problems of CUTEst are NLP")
    rows: list[tuple[str, ...]] = []
    for name in cutest.select(constraints=constraints or "any", n=(None, max_n)):
        facts = cutest.classify(name)
        word = "inequality" if facts.inequalities else "equality" if facts.m else "bounds" if facts.bounds else "none"
        rows.append((name, "NLP", word, str(facts.n), str(facts.m), "-", f"CUTEst {facts.classification}".strip()))
    return rows
