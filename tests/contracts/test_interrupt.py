"""Ctrl-C ends the outermost run between two steps with a usable result; a second one raises."""

import signal
import threading
from dataclasses import replace

import pytest

import resolvent as rs
from resolvent import Status
from tests.contracts.helpers import every, hooked, in_steps, run, same, those

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread alone"
)


def press():
    signal.raise_signal(signal.SIGINT)


def handler():
    return signal.getsignal(signal.SIGINT)


class Once:
    """A callback that presses Ctrl-C after the first step."""

    pressed = 0

    def __call__(self, state):
        if not self.pressed:
            self.pressed = 1
            press()


@those(in_steps)
def test_ends_between_two_steps_with_a_usable_result(case):
    result = run(case, callback=Once())
    one_step = run(case, stop=replace(case.stop, iterations=result.iterations))
    assert result.status is Status.INTERRUPTED
    assert f"iteration {result.iterations}" in result.message
    assert not result.success
    assert len(result.history["iterations"]) == 2
    assert same(result.certificate, one_step.certificate)
    assert handler() is signal.default_int_handler


@every
def test_the_run_can_be_resumed_to_the_same_bits(case):
    whole = run(case)
    rest = run(case, resume=run(case, callback=Once()).state)
    assert rest.status is whole.status
    assert same(rest.certificate, whole.certificate)


@every
def test_a_second_one_raises(case):
    def callback(state):
        press()
        press()

    with pytest.raises(KeyboardInterrupt):
        run(case, callback=callback)
    assert handler() is signal.default_int_handler


@every
def test_an_error_restores_the_handler(case):
    def callback(state):
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        run(case, callback=callback)
    assert handler() is signal.default_int_handler


@those(lambda case: case.name == "nested")
def test_in_a_nested_solve_reaches_the_outer_run_alone(case):
    """The inner solve ends as ever, so that the outer step is not made with a truncated answer."""
    calls = [0]

    def hook(name, function, args):
        calls[0] += name == "hessp"
        if name == "hessp" and calls[0] == 10:
            press()
        return function(*args)

    problem = hooked(case, hook)
    result = run(case, problem)
    untouched = run(case, stop=replace(case.stop, iterations=result.iterations))
    assert calls[0] >= 10
    assert result.status is Status.INTERRUPTED
    assert result.iterations > 0
    assert same(result.certificate, untouched.certificate)
    assert same(run(case, resume=result.state).certificate, run(case).certificate)


@every
def test_a_handler_of_the_user_stays(case):
    pressed = []
    mine = lambda number, frame: pressed.append(number)  # noqa: E731
    before = signal.signal(signal.SIGINT, mine)
    try:
        result = run(case, callback=Once())
        assert handler() is mine
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [signal.SIGINT]
    assert result.success


@every
def test_outside_of_the_main_thread_nothing_is_installed(case):
    found = []
    thread = threading.Thread(target=lambda: found.append((run(case).success, handler())))
    thread.start()
    thread.join()
    assert found == [(True, signal.default_int_handler)]


@every
def test_iterate_leaves_ctrl_c_to_its_caller(case):
    running = rs.iterate(case.problem(), case.solver, stop=case.stop, callback=Once())
    with pytest.raises(KeyboardInterrupt):
        list(running)
    assert running.result.status is Status.RUNNING
