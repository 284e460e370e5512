"""The docstring of a solver has the formula of a step, its cost, the reference and every option."""

import re
from dataclasses import fields

from resolvent.problems.base import Problem
from resolvent.solvers.base import State
from tests.contracts.helpers import every


@every
def test_has_formula_cost_and_reference(case):
    doc = type(case.solver).__doc__
    step = re.search(r"^ +step:\n(.+?)^ +cost:\n +\S", doc, re.M | re.S).group(1)
    assert re.search("``.+``", step)
    assert re.search(r"^ +References\n +-+\n +\S", doc, re.M)


@every
def test_has_every_option_and_no_other(case):
    doc = type(case.solver).__doc__
    section = re.search(r"Parameters\n +-+\n(.*?)\n\n +References", doc, re.S).group(1)
    indent = re.match(" +", section).group()
    listed = re.findall(rf"^{indent}([a-z]\w*(?:, \w+)*) : ", section, re.M)
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
