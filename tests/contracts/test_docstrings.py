"""The docstring of a solver has the formula of a step, its cost, the reference and every option."""

import re
from dataclasses import fields
from inspect import getdoc

from resolvent.problems.base import Problem
from resolvent.solvers.base import State
from tests.contracts.helpers import every


@every
def test_has_formula_cost_and_reference(case):
    doc = getdoc(type(case.solver))
    step = re.search(r"^step:\n(.+?)^cost:\n +\S", doc, re.M | re.S).group(1)
    assert re.search("``.+``", step)
    assert re.search(r"^References\n-+\n\S", doc, re.M)


@every
def test_has_every_option_and_no_other(case):
    doc = getdoc(type(case.solver))
    found = re.search(r"^Parameters\n-+\n(.*?)\n\nReferences", doc, re.M | re.S)
    section = found.group(1) if found else ""
    listed = re.findall(r"^([a-z]\w*(?:, \w+)*) : ", section, re.M)
    listed = [name for names in listed for name in names.split(", ")]
    assert sorted(listed) == sorted(f.name for f in fields(case.solver))


@every
def test_the_class_says_what_it_takes(case):
    solver = type(case.solver)
    assert issubclass(solver.solves, Problem)
    assert issubclass(solver.state, State)
    assert solver.state is not State
    assert solver.reference
    assert solver.usual_iterations > 0
    assert solver.state.__doc__
