"""A run that is copied, pickled or checkpointed half way and resumed ends with the same bits."""

import pickle
from collections import Counter
from dataclasses import replace

import pytest

import resolvent as rs
from resolvent import OptionError
from tests.contracts.helpers import every, run, same, those, without_run


def through_file(state, path):
    rs.save_state(state, path / "state")
    return path / "state.npz"


WAYS = {
    "as it is": lambda state, path: state,
    "copied": lambda state, path: state.copy(),
    "pickled": lambda state, path: pickle.loads(pickle.dumps(state)),
    "checkpointed": through_file,
}


@every
@pytest.mark.parametrize("way", WAYS)
def test_the_same_final_bits(case, way, tmp_path):
    whole = run(case, rng=1)
    first = run(case, rng=1, stop=replace(case.stop, iterations=max(1, whole.iterations // 2)))
    second = run(case, resume=WAYS[way](first.state, tmp_path))
    assert same(second.certificate, whole.certificate)
    assert (second.residual, second.scale) == (whole.residual, whole.scale)
    assert (second.iterations, second.status) == (whole.iterations, whole.status)
    assert second.seed == whole.seed == 1
    assert same(without_run(second.state), without_run(whole.state))


@every
def test_a_cut_after_any_step_changes_nothing(case, tmp_path):
    whole = run(case, stop=rs.Stop(rtol=0, iterations=6))
    for cut in range(6):
        first = run(case, stop=rs.Stop(rtol=0, iterations=cut))
        path = through_file(first.state, tmp_path)
        assert same(run(case, resume=path, stop=rs.Stop(rtol=0, iterations=6)).x, whole.x), f"cut after {cut}"


@every
def test_the_state_that_was_resumed_is_as_it_was(case):
    first = run(case, stop=replace(case.stop, iterations=2))
    before = pickle.dumps(first.state)
    run(case, resume=first.state)
    assert pickle.dumps(first.state) == before


@those(lambda case: case.functions and not hasattr(case.solver, "finish"))
def test_counts_of_the_parts_add_up(case):
    """Where `finish` works, it works once for each part."""
    whole = run(case)
    first = run(case, stop=replace(case.stop, iterations=whole.iterations // 2))
    second = run(case, resume=first.state)
    total = Counter(first.counts) + Counter(second.counts)
    assert total == whole.counts


@every
def test_a_state_of_another_problem_is_refused(case):
    problem = case.problem().replace(name="another")
    state = run(case, stop=replace(case.stop, iterations=1)).state
    with pytest.raises(OptionError, match=r"resume belongs to the problem <.*>, expected <.*another.*>"):
        run(case, problem, resume=state)


@every
def test_a_state_of_another_method_is_refused(case):
    with pytest.raises(OptionError, match=f"resume is a State, expected a {case.solver.state.__name__}"):
        run(case, resume=rs.solvers.State(x=None))
