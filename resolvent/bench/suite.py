"""A suite: a small TOML file that says which problems, which solvers, and how good an answer has to be.

name = "nlp-small"
tolerance = { atol = 1e-4, rtol = 0.0 }      # residual <= atol + rtol * scale, both of the problem
limits = { seconds = 60, memory = "4 GiB" }  # also iterations and evaluations; none unless given
repeats = 3                                  # repeat r uses seed + r
seed = 0
histories = false                            # keep the history of each run as histories/KEY.npz

[[problems]]
from = "library"                             # or "cutest", or use = "module:function" for one of your own
class = "NLP"
max_n = 100
skip = { HS99EXP = "scaling, see notes" }    # a reason is required

[[problems]]
from = "cutest"
select = { constraints = "equality", n = [1, 500] }      # or names = ["LUKVLE1[N=1000]"], or set = "paper"

[[solvers]]
label = "sketched, gaussian"
use = "resolvent.solvers:SketchedNewton"
options = { accuracy = { use = "resolvent.solvers:Accuracy.computable", largest = 0.5 } }
only = ["HS*"]                               # the problems it takes part on, all unless given

[[solvers]]
label = "scipy trust-constr"
peer = "scipy.trust-constr"

[[tables]]                                   # how `show` and `report` split; one table per problem class otherwise
title = "more variables than constraints"
where = "n > m"
solvers = ["scipy*"]
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from resolvent import problems
from resolvent.bench.building import build, check_options
from resolvent.bench.peers import PEERS, Peer
from resolvent.bench.problems import ProblemSource, Reference
from resolvent.bench.reading import Reader, condition, memory_size
from resolvent.errors import OptionError, did_you_mean
from resolvent.solvers.base import Solver
from resolvent.solvers.stop import Stop

__all__ = ["SHIPPED", "Limits", "SolverEntry", "Suite", "TableEntry", "find_suite", "read_suite"]

SHIPPED = Path(__file__).with_name("suites")
FROM = {
    "library": ("from", "class", "max_n", "names", "constraints", "skip"),
    "cutest": ("from", "select", "names", "set", "source", "skip"),
    "use": ("use", "options", "name"),
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run may cost: wall-clock seconds, bytes of memory, and the limits of `Stop` (None: none)."""

    seconds: float = 60.0
    memory: int = 4 * 2**30
    iterations: float | None = None
    evaluations: float | None = None


@dataclass(frozen=True, kw_only=True)
class SolverEntry:
    """One ``[[solvers]]`` table: a solver of ours (`use`) or a foreign one (`peer`).

    Attributes
    ----------
    label : str
    description : mapping
        What the worker makes it from: ``{"use": ..., "options": ...}`` or ``{"peer": ...}``.
    method : Solver or Peer
        The same as an object: what it solves and refuses.
    only : tuple of str
        Patterns of names of problems; empty for all.
    """

    label: str
    description: Mapping[str, Any]
    method: Solver[Any, Any] | Peer
    only: tuple[str, ...] = ()

    def takes(self, problem: Reference) -> bool:
        """Whether the problem is one for it, as far as that is known before it is built."""
        if self.only and not any(problem.matches(pattern) for pattern in self.only):
            return False
        if problem.kind is None:
            return True
        kind: type = getattr(problems, problem.kind)
        return issubclass(kind, self.method.solves) and not problem.features & set(self.method.refuses)


@dataclass(frozen=True, kw_only=True)
class TableEntry:
    """One ``[[tables]]`` table: a title, a condition on n and m, and patterns of labels of solvers."""

    title: str
    where: str = ""
    solvers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What is to be run. Made by `find_suite`; `changed` gives it other limits, seeds and peers."""

    name: str
    text: str = field(repr=False)
    tolerance: Mapping[str, float]
    limits: Limits
    repeats: int
    seed: int
    histories: bool
    problems: tuple[ProblemSource, ...]
    solvers: tuple[SolverEntry, ...]
    tables: tuple[TableEntry, ...]

    def changed(
        self,
        *,
        seconds: float | None = None,
        memory: str | int | None = None,
        repeats: int | None = None,
        seed: int | None = None,
        peers: Sequence[str] | None = None,
    ) -> Suite:
        """Return the suite with what is given in place of its own.

        Parameters
        ----------
        peers : sequence of str
            "none" takes the peers of the suite away, "all" adds every known one, a name adds that one.
        """
        limits = self.limits
        if seconds is not None:
            _require(0 < seconds < float("inf"), "seconds", seconds, "a finite number > 0")
            limits = replace(limits, seconds=float(seconds))
        if memory is not None:
            limits = replace(limits, memory=memory_size(memory))
        for name, value, least in (("repeats", repeats, 1), ("seed", seed, 0)):
            _require(value is None or value >= least, name, value, f"a whole number >= {least}")
        return replace(
            self,
            limits=limits,
            repeats=self.repeats if repeats is None else repeats,
            seed=self.seed if seed is None else seed,
            solvers=self.solvers if not peers else _with_peers(self.solvers, peers),
        )


def find_suite(suite: str | os.PathLike[str]) -> Suite:
    """Return the suite in a file, or one that ships with the package.

    Parameters
    ----------
    suite : str or path
        Without a slash and without .toml it is the name of a shipped suite.

    Raises
    ------
    OptionError
        There is no such suite, or something in it is wrong: the message has the line and the key.
    """
    word = os.fspath(suite)
    if not isinstance(suite, str) or word.endswith(".toml") or "/" in word or os.sep in word:
        path = Path(word)
        if not path.is_file():
            raise OptionError(f"there is no suite file {word}")
        return read_suite(path.read_text(encoding="utf-8"), word)
    known = sorted(path.stem for path in SHIPPED.glob("*.toml"))
    if word not in known:
        hint = did_you_mean(word, known) or "."
        raise OptionError(
            f"there is no suite {word!r}{hint} Those that ship: {', '.join(known)}; a file of your own is a path"
        )
    return read_suite((SHIPPED / f"{word}.toml").read_text(encoding="utf-8"), f"suite {word}")


def read_suite(text: str, origin: str) -> Suite:
    """Return the suite in the text of a TOML file; `origin` names it in errors."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{origin} is no TOML file: {error}") from None
    reader = Reader(text, origin)
    known = ("name", "tolerance", "limits", "repeats", "seed", "histories", "problems", "solvers", "tables")
    reader.known(tables, known, "a suite")
    if not tables.get("problems") or not tables.get("solvers"):
        reader.fail("a suite needs at least one [[problems]] and one [[solvers]]")
    tolerance = reader.get(tables, "tolerance", dict, {"rtol": 1e-6})
    reader.known(tolerance, ("atol", "rtol"), "tolerance", "tolerance")
    try:
        Stop(**tolerance)
    except OptionError as error:
        reader.fail(str(error), "tolerance")
    solvers = tuple(_solver(reader, table, i) for i, table in enumerate(reader.get(tables, "solvers", list)))
    labels = [entry.label for entry in solvers]
    for i, label in enumerate(labels):
        if label in labels[:i]:
            reader.fail(f"two solvers have the label {label!r}", "solvers", i)
    return Suite(
        name=reader.needed(tables, "name", str),
        text=text,
        tolerance={"atol": float(tolerance.get("atol", 0.0)), "rtol": float(tolerance.get("rtol", 0.0))},
        limits=_limits(reader, reader.get(tables, "limits", dict, {})),
        repeats=reader.whole(tables, "repeats", 1, least=1),
        seed=reader.whole(tables, "seed", 0, least=0),
        histories=reader.get(tables, "histories", bool, False),
        problems=tuple(_problems(reader, table, i) for i, table in enumerate(reader.get(tables, "problems", list))),
        solvers=solvers,
        tables=tuple(_table(reader, table, i) for i, table in enumerate(reader.get(tables, "tables", list, []))),
    )


def _limits(reader: Reader, table: Mapping[str, Any]) -> Limits:
    reader.known(table, ("seconds", "memory", "iterations", "evaluations"), "limits", "limits")
    seconds = reader.get(table, "seconds", float, 60.0, "limits")
    if not 0 < seconds < float("inf"):
        reader.fail(f"seconds is {seconds!r}, expected a finite number > 0", "limits", "seconds")
    try:
        memory = memory_size(table.get("memory", "4 GiB"))
    except OptionError as error:
        reader.fail(str(error), "limits", "memory")
    iterations = reader.get(table, "iterations", float, None, "limits")
    evaluations = reader.get(table, "evaluations", float, None, "limits")
    return Limits(seconds=seconds, memory=memory, iterations=iterations, evaluations=evaluations)


def _problems(reader: Reader, table: Mapping[str, Any], i: int) -> ProblemSource:
    path = ("problems", i)
    origin = "use" if "use" in table else reader.get(table, "from", str, None, *path)
    if origin not in FROM:
        reader.fail(f"from is {origin!r}, expected 'library' or 'cutest', or use = 'module:function'", *path)
    reader.known(table, FROM[origin], f"problems from {origin!r}", *path)
    kinds: dict[str, type] = {"class": str, "max_n": int, "set": str, "select": dict, "source": str, "name": str}
    for key, kind in kinds.items():
        reader.get(table, key, kind, None, *path)
    reader.strings(table, "names", *path)
    if origin == "cutest" and sum(key in table for key in ("select", "names", "set")) != 1:
        reader.fail("problems from 'cutest' need one of select, names and set", *path)
    if table.get("set", "paper") != "paper":
        reader.fail(f"set is {table['set']!r}, expected 'paper'", *path, "set")
    skip = reader.get(table, "skip", dict, {}, *path)
    for name, reason in skip.items():
        if not isinstance(reason, str) or not reason.strip():
            reader.fail(f"skip of {name} needs its reason as text", *path, "skip", name)
    if origin == "use":
        _check_use(reader, table, path)
    source = ProblemSource(origin=origin, table=table, skip=skip)
    try:
        found, left_out = source.references()
    except ValueError as error:  # OptionError and ProblemError, which do not know the line
        reader.fail(str(error), *path)
    if not found and not left_out:
        reader.fail("no problem meets these conditions", *path)
    return source


def _solver(reader: Reader, table: Mapping[str, Any], i: int) -> SolverEntry:
    path = ("solvers", i)
    reader.known(table, ("label", "use", "options", "peer", "only"), "a solver", *path)
    if ("use" in table) == ("peer" in table):
        reader.fail("a solver needs either use or peer", *path)
    label = reader.get(table, "label", str, table.get("peer", ""), *path)
    if not label:
        reader.fail("a solver needs a label", *path)
    only = tuple(reader.strings(table, "only", *path))
    if "peer" in table:
        if "options" in table:
            reader.fail("a peer takes no options: they follow from the tolerance", *path, "options")
        try:
            peer = _peer(reader.needed(table, "peer", str, *path))
        except OptionError as error:
            reader.fail(str(error), *path, "peer")
        return SolverEntry(label=label, description={"peer": peer.name}, method=peer, only=only)
    options = _check_use(reader, table, path)
    try:
        method = build({"use": table["use"], **options})
    except (OptionError, TypeError) as error:
        reader.fail(f"{table['use']}: {error}", *path, "options" if options else "use")
    if not isinstance(method, Solver):
        reader.fail(f"use is {table['use']!r}, which gives a {type(method).__name__} and no solver", *path, "use")
    return SolverEntry(label=label, description={"use": table["use"], "options": options}, method=method, only=only)


def _check_use(reader: Reader, table: Mapping[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    """Return the options of a table with `use`, all names in them checked."""
    use = reader.needed(table, "use", str, *path)
    options: dict[str, Any] = reader.get(table, "options", dict, {}, *path)
    for where, wrong in check_options({"use": use, **options}):
        reader.fail(wrong, *path, *(() if where == ("use",) else ("options",)), *where)
    return options


def _table(reader: Reader, table: Mapping[str, Any], i: int) -> TableEntry:
    path = ("tables", i)
    reader.known(table, ("title", "where", "solvers"), "a table", *path)
    title = reader.needed(table, "title", str, *path)
    where = reader.get(table, "where", str, "", *path)
    try:
        condition(where)
    except OptionError as error:
        reader.fail(str(error), *path, "where")
    return TableEntry(title=title, where=where, solvers=tuple(reader.strings(table, "solvers", *path)))


def _peer(name: str) -> Peer:
    if name not in PEERS:
        hint = did_you_mean(name, PEERS) or "."
        raise OptionError(f"peer is {name!r}{hint} Known ones: {', '.join(PEERS)}")
    return PEERS[name]


def _with_peers(solvers: tuple[SolverEntry, ...], peers: Sequence[str]) -> tuple[SolverEntry, ...]:
    chosen = [entry for entry in solvers if "peer" not in entry.description or "none" not in peers]
    wanted = [name for word in peers if word != "none" for name in (PEERS if word == "all" else [_peer(word).name])]
    for name in wanted:
        if name not in [entry.description.get("peer") for entry in chosen]:
            chosen.append(SolverEntry(label=name, description={"peer": name}, method=PEERS[name]))
    return tuple(chosen)


def _require(fits: bool, name: str, value: Any, allowed: str) -> None:
    if not fits:
        raise OptionError(f"{name} is {value!r}, expected {allowed}")
