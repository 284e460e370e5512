"""threads(n) sets the number of threads, for good or for a block."""

import os
import subprocess
import sys

import pytest

import resolvent as rs
from resolvent import OptionError
from resolvent.parallel import in_parts


@pytest.fixture(autouse=True)
def restored():
    with rs.threads(1):
        yield


def test_one_unless_asked():
    assert rs.num_threads() == 1


def test_for_a_block_also_after_an_error():
    with rs.threads(3):
        assert rs.num_threads() == 3
        with rs.threads(2):
            assert rs.num_threads() == 2
        assert rs.num_threads() == 3
    with pytest.raises(RuntimeError, match="planted"), rs.threads(5):
        raise RuntimeError("planted")
    assert rs.num_threads() == 1


def test_for_good():
    rs.threads(4)
    assert rs.num_threads() == 4


@pytest.mark.parametrize("value", [0, -1, 1.5, "two", None, True])
def test_other_numbers_are_refused_and_change_nothing(value):
    with pytest.raises(OptionError, match=rf"^threads\(n\) is {value!r}, expected a whole number >= 1$"):
        rs.threads(value)
    assert rs.num_threads() == 1


@pytest.mark.parametrize(("value", "said"), [("3", "3"), ("", "1"), (None, "1")])
def test_the_environment_variable(value, said):
    assert run(value).stdout.strip() == said


def test_a_wrong_environment_variable_is_named():
    assert "RESOLVENT_NUM_THREADS is 'many', expected a whole number >= 1" in run("many").stderr


def run(value):
    environment = {k: v for k, v in os.environ.items() if k != "RESOLVENT_NUM_THREADS"}
    if value is not None:
        environment["RESOLVENT_NUM_THREADS"] = value
    program = "import resolvent; print(resolvent.num_threads())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60)


@pytest.mark.parametrize(("count", "extent", "parts"), [(1, 7, 1), (3, 7, 3), (4, 2, 2), (2, 0, 1)])
def test_parts_cover_the_whole_once(count, extent, parts):
    with rs.threads(count):
        pieces = in_parts(lambda lo, hi: (lo, hi), extent)
    assert len(pieces) == parts
    assert [i for lo, hi in pieces for i in range(lo, hi)] == list(range(extent))


def test_an_error_in_a_part_arrives():
    with rs.threads(2), pytest.raises(ZeroDivisionError):
        in_parts(lambda lo, hi: 1 // 0, 4)
