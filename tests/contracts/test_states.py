"""Between two steps a state owns what it holds, and its cache fields can be left out."""

import pickle
from dataclasses import fields
from itertools import combinations

import numpy as np

import resolvent as rs
from resolvent.solvers.base import is_cache
from tests.contracts.helpers import arrays_in, every, run, same, those, without_run


@every
def test_no_two_fields_share_memory(case):
    running = rs.iterate(case.problem(), case.solver, stop=case.stop)
    for state in [running.state, *(state.copy() for state in running)]:
        named = [(f.name, a) for f in fields(state) for a in arrays_in({0: getattr(state, f.name)}) if not is_cache(f)]
        for (one, a), (two, b) in combinations(named, 2):
            assert not np.shares_memory(a, b), f"{one} and {two} share memory after {state.iterations} iterations"


@every
def test_the_live_state_shares_no_memory_either(case):
    running = rs.iterate(case.problem(), case.solver, stop=case.stop)
    for state in running:
        parts = [a for f in fields(state) if not is_cache(f) for a in arrays_in({0: getattr(state, f.name)})]
        for a, b in combinations(parts, 2):
            assert not np.shares_memory(a, b)


@every
def test_a_copy_is_equal_and_apart(case):
    state = run(case, stop=rs.Stop(rtol=0, iterations=3)).state
    twin = state.copy()
    assert same(twin, state)
    for a in arrays_in(twin):
        assert not any(np.shares_memory(a, b) for b in arrays_in(state))


@every
def test_a_pickle_is_equal(case):
    state = run(case, stop=rs.Stop(rtol=0, iterations=3)).state
    assert same(pickle.loads(pickle.dumps(state)), state)


@every
def test_a_checkpoint_is_equal(case, tmp_path):
    state = run(case, stop=rs.Stop(rtol=0, iterations=3)).state
    assert same(rs.load_state(rs.save_state(state, tmp_path / "state")), state)


@every
def test_cache_fields_are_left_out_and_rebuilt_to_the_same_bits(case):
    problem = case.problem()
    with_caches = case.solver.start(problem)
    without = case.solver.start(problem)
    for _ in range(3):
        with_caches = case.solver.step(problem, with_caches)
        without = case.solver.step(problem, without.copy())
        assert all(getattr(without.copy(), f.name) is None for f in fields(without) if is_cache(f))
    assert same(without_run(with_caches), without_run(without))


@every
def test_a_cache_remembers_its_problem(case):
    """A state that is stepped on an equal problem goes on as if nothing had happened."""
    problem = case.problem()
    state, other = case.solver.start(problem), case.solver.start(problem)
    for _ in range(3):
        state = case.solver.step(problem, state)
        other = case.solver.step(case.problem(), other)
    assert same(without_run(state), without_run(other))


@those(lambda case: case.changed)
def test_a_problem_may_change_between_two_steps(case):
    """What was built for the old one is not used for the new one."""
    state = case.solver.start(case.problem())
    state = case.solver.step(case.problem(), state)
    without_caches = state.copy()
    changed = case.changed()
    state, other = case.solver.step(changed, state), case.solver.step(case.changed(), without_caches)
    assert same(without_run(state), without_run(other))


@every
def test_record_holds_known_numbers_alone(case):
    running = rs.iterate(case.problem(), case.solver, stop=case.stop)
    for state in [running.state, *running]:
        for name, value in state.record().items():
            assert np.isfinite(value), name
