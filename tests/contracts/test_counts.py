"""Every evaluation is counted."""

from collections import Counter
from dataclasses import replace

import pytest

import resolvent as rs
from tests.contracts.helpers import every, hooked, run, those


@those(lambda case: case.functions)
@pytest.mark.parametrize("iterations", [None, 3])
def test_a_wrapper_around_the_functions_counts_the_same(case, iterations):
    calls = Counter()

    def hook(name, function, args):
        calls[name] += len(args[1]) if name == "components" else 1
        return function(*args)

    problem = hooked(case, hook)
    calls.clear()
    result = run(case, problem, stop=replace(case.stop, iterations=iterations))
    counted = Counter()
    for name, count in result.counts.items():
        if name.removeprefix("check.") in case.functions:
            counted[name.removeprefix("check.")] += count
    assert set(calls) == set(case.functions)
    assert calls == counted


@every
def test_counts_are_of_this_call_alone(case):
    problem = case.problem()
    one = run(case, problem)
    before = Counter(problem.counts)
    two = run(case, problem)
    made = Counter(problem.counts) - before
    assert Counter(two.counts) == made
    assert {k: v for k, v in one.counts.items() if "." not in k} == {
        k: v for k, v in two.counts.items() if "." not in k
    }


@every
def test_names_are_listed(case):
    from resolvent.problems.base import COUNTED

    for name in run(case).counts:
        assert name in COUNTED or name.startswith(("check.", "inner.")), name


@every
def test_the_cost_axis_ignores_checks_and_inner_work(case):
    problem = case.problem()
    run_ = rs.iterate(problem, case.solver, stop=case.stop)
    for _ in run_:
        pass
    counts = {name: count for name, count in problem.counts.items() if "." not in name}
    assert problem.evaluations(problem.counts) == problem.evaluations(counts) > 0
    assert problem.evaluations({"check.gradient": 5, "inner.apply": 7, "check.apply": 3}) == 0
