"""A step that does nothing ends the run."""

from dataclasses import replace

import resolvent as rs
from resolvent import Status
from tests.contracts.helpers import every, run
from tests.toys.dishonest import Idle


@every
def test_a_step_that_does_nothing_is_stalled(case):
    problem = case.problem()
    if problem.x0 is None:
        problem = problem.replace(x0=case.solver.start(problem).x)
    result = rs.solve(problem, Idle(), stop=rs.Stop(rtol=0, seconds=5))
    assert result.status is Status.STALLED
    assert "did nothing" in result.message
    assert result.iterations == 0


@every
def test_each_step_counts_or_gives_up(case):
    iterations = run(case).history["iterations"]
    assert (iterations[1:-1] > iterations[:-2]).all()
    assert iterations[-1] >= iterations[-2]


@every
def test_a_finished_run_can_be_resumed_without_harm(case):
    """A resumed method tests its end before it works."""
    first = run(case)
    again = run(case, resume=first.state)
    assert again.status is first.status
    assert again.iterations == first.iterations
    longer = run(case, resume=first.state, stop=replace(case.stop, iterations=10**6))
    assert longer.status is first.status
    assert longer.iterations == first.iterations
