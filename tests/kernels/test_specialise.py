"""Specialised kernels: the user's functions inside, compiled once for all processes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import numpy as np
import pytest

from resolvent.errors import ProblemError
from resolvent.kernels.cpu.specialise import specialise

TEMPLATE = """
import numpy as np
from numba import njit
from functions import value, derivative


@njit(cache=True)
def total(x):
    both = np.zeros(2)
    for i in range(len(x)):
        both[0] += value(x[i])
        both[1] += derivative(x[i])
    return both
"""

USER = """
from numba import njit

@njit
def value(t):
    return {value}

def derivative(t):
    return 2 * t
"""

SCRIPT = """
import sys, numpy as np, mine
sys.path.insert(0, {folder!r})
from resolvent.kernels.cpu.specialise import specialise
kernel = specialise({template!r}, value=mine.value, derivative=mine.derivative).total
values, stats = kernel(np.array([1.0, 2.0])).tolist(), kernel.stats
print(values, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def run(folder):
    script = folder / "script.py"
    script.write_text(SCRIPT.format(folder=str(folder), template=TEMPLATE))
    environment = {**os.environ, "RESOLVENT_CACHE": str(folder / "cache"), "PYTHONPATH": str(folder)}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_second_process_hits_the_disk_cache(tmp_path):
    (tmp_path / "mine.py").write_text(USER.format(value="t * t"))
    assert run(tmp_path) == "[5.0, 6.0] 0 1"
    assert run(tmp_path) == "[5.0, 6.0] 1 0"
    (tmp_path / "mine.py").write_text(USER.format(value="t * t + 1"))
    assert run(tmp_path) == "[7.0, 6.0] 0 1", "a changed function must not be taken from the cache"
    assert len(list((tmp_path / "cache" / "kernels").glob("*.py"))) == 2


def test_function_without_a_path_is_compiled_and_said_once(caplog):
    def value(t):
        return t * t

    def derivative(t):
        return 2 * t

    with caplog.at_level(logging.WARNING, logger="resolvent"):
        for _ in range(2):
            total = specialise(TEMPLATE, value=value, derivative=derivative).total
            assert np.array_equal(total(np.array([1.0, 2.0])), [5.0, 6.0])
    assert [record.getMessage() for record in caplog.records] == [
        "derivative, value: no import path, so the kernel is compiled anew in each process"
    ]


def test_names_must_match():
    with pytest.raises(
        ProblemError, match=r"got the functions \['value'\], the template names \['derivative', 'value'\]"
    ):
        specialise(TEMPLATE, value=abs)
