"""A look at `Run.result` in mid-run changes nothing."""

import resolvent as rs
from resolvent import Status
from tests.contracts.helpers import every, run, same, without_run


@every
def test_looking_after_each_step_changes_nothing(case):
    looked_at = rs.iterate(case.problem(), case.solver, stop=case.stop)
    results = [looked_at.result]
    for _ in looked_at:
        results.append(looked_at.result)
    whole = run(case)
    assert same(looked_at.result.certificate, whole.certificate)
    assert looked_at.result.counts == whole.counts
    assert looked_at.result.iterations == whole.iterations
    assert all(result.status is Status.RUNNING for result in results[:-1])
    assert results[-1].status is whole.status


@every
def test_an_early_result_keeps_its_answer(case):
    running = rs.iterate(case.problem(), case.solver, stop=case.stop)
    running.advance()
    early = running.result
    kept = run(case, stop=rs.Stop(rtol=0, iterations=running.state.iterations))
    for _ in running:
        pass
    assert same(early.x, kept.x)
    assert same(without_run(early.state).x, without_run(kept.state).x)
    assert early.iterations == kept.iterations


@every
def test_a_bare_loop_takes_the_same_steps(case):
    problem = case.problem()
    state = case.solver.start(problem)
    assert (state.atol, state.rtol) == (0, 0)
    for _ in range(3):
        state = case.solver.step(problem, state)
    driven = run(case, stop=rs.Stop(rtol=0, iterations=state.iterations)).state
    assert same(without_run(state).x, without_run(driven).x)
    assert state.iterations == driven.iterations
