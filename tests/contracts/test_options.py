"""Solvers are immutable, and check their options when they are made."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from resolvent import OptionError
from tests.contracts.helpers import every


@every
def test_cannot_be_changed(case):
    for f in fields(case.solver):
        with pytest.raises(FrozenInstanceError):
            setattr(case.solver, f.name, None)


@every
def test_an_option_of_a_wrong_kind_is_named(case):
    for f in fields(case.solver):
        with pytest.raises(OptionError, match=rf"^{f.name} is <object .*>, expected \S"):
            replace(case.solver, **{f.name: object()})


@every
def test_an_unknown_option_is_refused(case):
    with pytest.raises(TypeError, match="iteratoins"):
        type(case.solver)(iteratoins=3)


@every
def test_options_are_named(case):
    if fields(case.solver):
        with pytest.raises(TypeError, match="positional"):
            type(case.solver)(getattr(case.solver, fields(case.solver)[0].name))


@every
def test_equal_options_make_equal_solvers(case):
    assert replace(case.solver) == case.solver
    assert hash(replace(case.solver)) == hash(case.solver)
