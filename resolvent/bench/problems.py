"""Where the problems of a suite come from, and what is known of them before they are built.

Three sources: the catalogue of the library, CUTEst, and a function of anybody's own. A problem travels to the worker
as a *description*, a small table that can be written as JSON; the worker builds it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from resolvent.bench.building import build
from resolvent.bench.reading import matches
from resolvent.errors import BackendError, OptionError, did_you_mean
from resolvent.problems import cutest, library
from resolvent.problems.cutest.source import installed_names

__all__ = ["ProblemSource", "Reference", "best_value", "build_problem", "unique"]

_NAME = re.compile(r"^(?P<name>[^\[\]]+?)\s*(?:\[(?P<parameters>[^\[\]]*)\])?$")


@dataclass(frozen=True)
class Reference:
    """A problem of a suite.

    Attributes
    ----------
    name : str
        As shown, with the parameters: LUKVLE1[N=1000].
    source : str
        "library", "cutest", "pycutest", or the function that makes it.
    description : mapping
        What the worker builds it from.
    kind : str or None
        Its class, None where only building it tells.
    features : frozenset of str
        What a solver may refuse, as far as it is known.
    n, m : int or None
        Sizes, None where only building it tells.
    """

    name: str
    source: str
    description: Mapping[str, Any]
    kind: str | None = None
    features: frozenset[str] = frozenset()
    n: int | None = None
    m: int | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What a record says of the problem, as far as it is known without building it."""
        return {"class": self.kind, "n": self.n, "m": self.m}

    def matches(self, pattern: str) -> bool:
        """Whether the name, or what it is without its source in brackets, matches a pattern."""
        return matches(self.name, pattern) or matches(self.name.removesuffix(f" ({self.source})"), pattern)


@dataclass(frozen=True, kw_only=True)
class ProblemSource:
    """One ``[[problems]]`` table of a suite.

    Attributes
    ----------
    origin : str
        "library", "cutest" or "use".
    table : mapping
        The table itself, its names and types checked.
    skip : mapping
        Names of problems that are left out, with the reason.
    """

    origin: str
    table: Mapping[str, Any]
    skip: Mapping[str, str] = field(default_factory=dict)

    def references(self) -> tuple[list[Reference], list[tuple[str, str]]]:
        """Return the problems, and what is left out as pairs (what, reason).

        Raises
        ------
        OptionError, ProblemError
            For a name, a parameter or a condition that does not exist.
        """
        found = {"library": _library, "cutest": _cutest, "use": _own}[self.origin](self.table)
        for name in self.skip:
            if name not in [reference.name for reference in found]:
                hint = did_you_mean(name, [reference.name for reference in found])
                raise OptionError(f"skip names {name!r}, which is none of the problems{hint}")
        left_out = list(self.skip.items())
        kept = [reference for reference in found if reference.name not in self.skip]
        missing = _missing() if self.origin == "cutest" and _backend(self.table) == "s2mpj" else ""
        if missing:
            return [], [*left_out, (f"{len(kept)} problems of CUTEst", missing)]
        return kept, left_out


def _library(table: Mapping[str, Any]) -> list[Reference]:
    if "names" in table:
        return [_entry(*_parsed(name)) for name in table["names"]]
    kinds = table.get("constraints")
    words = kinds if isinstance(kinds, list) else [kinds]
    chosen = [library.entries(kind=table.get("class"), max_n=table.get("max_n"), constraints=word) for word in words]
    return [_entry(entry.name, {}) for entries in chosen for entry in entries]


def _entry(name: str, parameters: dict[str, Any]) -> Reference:
    entry = library.entry(name)
    for wrong in sorted(set(parameters) - set(entry.parameters)):
        raise OptionError(f"{entry.name} has no parameter {wrong!r}{did_you_mean(wrong, entry.parameters)}")
    features = {"bounds": {"bounds"}, "inequality": {"inequalities"}}.get(entry.constraints, set())
    sizes = {} if parameters else {"n": entry.n, "m": entry.m if entry.kind == "NLP" else None}
    return Reference(
        _shown(entry.name, parameters),
        "library",
        {"from": "library", "name": entry.name, "parameters": parameters},
        entry.kind,
        frozenset(features),
        **sizes,
    )


def _cutest(table: Mapping[str, Any]) -> list[Reference]:
    if "names" in table:
        chosen = [_parsed(name) for name in table["names"]]
    elif "set" in table:
        chosen = [(name, dict(parameters)) for name, parameters in cutest.paper_set()]
    else:
        known = inspect.signature(cutest.select).parameters
        for wrong in sorted(set(table["select"]) - set(known)):
            raise OptionError(
                f"select has no condition {wrong!r}{did_you_mean(wrong, known)}; it has {', '.join(known)}"
            )
        chosen = [(name, {}) for name in cutest.select(**table["select"])]
    return [_facts(name, parameters, _backend(table)) for name, parameters in chosen]


def _facts(name: str, parameters: dict[str, Any], backend: str) -> Reference:
    facts = cutest.classify(name)
    known = [parameter.name for parameter in facts.parameters]
    for wrong in sorted(set(parameters) - set(known)):
        raise OptionError(f"{name} has no parameter {wrong!r}{did_you_mean(wrong, known)}")
    features = {"bounds": facts.bounds > 0, "inequalities": facts.inequalities > 0}
    sizes = {} if parameters else {"n": facts.n, "m": facts.m}
    return Reference(
        _shown(name, parameters),
        "cutest" if backend == "s2mpj" else backend,
        {"from": "cutest", "name": name, "parameters": parameters, "source": backend},
        "NLP",
        frozenset(feature for feature, there in features.items() if there),
        **sizes,
    )


def _own(table: Mapping[str, Any]) -> list[Reference]:
    name = table.get("name") or table["use"].partition(":")[2]
    return [Reference(name, table["use"], {"use": table["use"], "options": dict(table.get("options", {}))})]


def _backend(table: Mapping[str, Any]) -> str:
    return str(table.get("source", "s2mpj"))


@cache
def _missing() -> str:
    """Return why the problems of CUTEst cannot be loaded; nothing where they can."""
    try:
        installed_names()
    except BackendError as error:
        return str(error)
    return ""


def _parsed(name: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the parameters in ``LUKVLE1[N=1000]``."""
    match = _NAME.match(name.strip())
    if match is None:
        raise OptionError(f"{name!r} is no name of a problem, expected NAME or NAME[PARAMETER=NUMBER]")
    parameters = {}
    for part in filter(None, (match["parameters"] or "").split(",")):
        key, _, value = part.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise OptionError(f"{name!r}: {part.strip()!r} is no parameter, expected NAME=NUMBER") from None
        parameters[key.strip()] = int(number) if number.is_integer() else number
    return match["name"], parameters


def _shown(name: str, parameters: Mapping[str, Any]) -> str:
    return f"{name}[{','.join(f'{key}={value}' for key, value in parameters.items())}]" if parameters else name


def build_problem(description: Mapping[str, Any]) -> Any:
    """Return the problem that a description stands for."""
    if "use" in description:
        return build({"use": description["use"], **description["options"]})
    if description["from"] == "library":
        return library.load(description["name"], **description["parameters"])
    return cutest.load(description["name"], source=description["source"], **description["parameters"])


def best_value(description: Mapping[str, Any]) -> float | None:
    """Return the lowest known objective, None where the catalogue has none for these parameters."""
    if description.get("from") != "library" or description["parameters"]:
        return None
    return library.entry(description["name"]).best


def unique(references: Sequence[Reference]) -> list[Reference]:
    """Return the references without repetitions; a name that two sources share gets its source in brackets."""
    found = list({(reference.source, reference.name): reference for reference in references}.values())
    names = [reference.name for reference in found]
    return [replace(one, name=f"{one.name} ({one.source})") if names.count(one.name) > 1 else one for one in found]
