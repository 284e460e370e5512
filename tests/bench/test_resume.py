"""A run that is cut off goes on where it stopped, and ends with the same records."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUITE = """
name = "slow"
repeats = 2
limits = { seconds = 20 }

[[problems]]
use = "bench_fakes:system"
name = "first"

[[problems]]
use = "bench_fakes:system"
name = "second"
options = { diagonal = 8.0 }

[[solvers]]
label = "three steps"
use = "bench_fakes:Fake"
options = { steps = 3, seconds = 0.1 }

[[solvers]]
label = "raises"
use = "bench_fakes:Raise"

[[solvers]]
label = "four steps"
use = "bench_fakes:Fake"
options = { steps = 4, seconds = 0.1 }
"""
TASKS = 12
COMMAND = [sys.executable, str(HERE / "bench_fakes.py"), "bench", "run"]
VARYING = ("seconds", "cpu_seconds", "peak_memory", "started_at", "code")


@pytest.fixture
def command(tmp_path):
    suite = tmp_path / "slow.toml"
    suite.write_text(SUITE)

    def start(folder, *arguments):
        return subprocess.Popen(
            [*COMMAND, str(suite), "--out", str(tmp_path / folder), *arguments],
            env={**os.environ, "PYTHONPATH": str(HERE)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def lines(folder):
    path = folder / "records.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def wait_for(condition):
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("waited for half a minute")


def stable(folder):
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    return sorted(
        json.dumps({name: value for name, value in record.items() if name not in VARYING}, sort_keys=True)
        for record in records
    )


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_killed_and_run_again(command, tmp_path):
    out, errors = command("undisturbed").communicate(timeout=60)
    assert not errors
    assert lines(tmp_path / "undisturbed") == TASKS

    runner = command("killed")
    wait_for(lambda: lines(tmp_path / "killed") >= 3)
    [worker] = children(runner.pid)
    runner.kill()
    runner.communicate()
    wait_for(lambda: not is_running(worker))
    done = lines(tmp_path / "killed")
    assert 3 <= done < TASKS
    with open(tmp_path / "killed" / "records.jsonl", "ab") as file:
        file.write(b'{"key": "0123", "problem": "fir')

    out, errors = command("killed").communicate(timeout=60)
    assert not errors
    assert f"{TASKS} tasks, {done} done" in out
    assert stable(tmp_path / "killed") == stable(tmp_path / "undisturbed")

    # everything is there: nothing is run a third time
    out, errors = command("killed").communicate(timeout=60)
    assert not errors
    assert "all records are there" in out
    assert lines(tmp_path / "killed") == TASKS


def test_control_c_finishes_the_record_in_hand(tmp_path):
    suite, marker = tmp_path / "one.toml", tmp_path / "marker"
    suite.write_text(
        'name = "one"\nrepeats = 3\n[[problems]]\nuse = "bench_fakes:system"\n'
        '[[solvers]]\nlabel = "slow"\nuse = "bench_fakes:Fake"\n'
        f'options = {{ seconds = 0.5, marker = "{marker}" }}\n'
    )
    runner = subprocess.Popen(
        [*COMMAND, str(suite), "--out", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(marker.exists)
    runner.send_signal(signal.SIGINT)
    out, errors = runner.communicate(timeout=60)
    assert not errors
    assert runner.returncode == 130
    assert "1 of 3 tasks are done" in out
    [record] = [json.loads(line) for line in (tmp_path / "out" / "records.jsonl").read_text().splitlines()]
    assert record["verdict"] == "verified"


def test_the_whole_command_in_five_seconds(tmp_path):
    suite = tmp_path / "tiny.toml"
    suite.write_text(
        'name = "tiny"\n[[problems]]\nfrom = "library"\nnames = ["POISSON[k=3]", "POISSON[k=4]"]\n'
        '[[solvers]]\nlabel = "ours"\nuse = "resolvent.solvers:ConjugateGradient"\n'
        '[[solvers]]\npeer = "scipy.cg"\n'
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "resolvent.cli", "bench", "run", str(suite), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert not done.stderr
    assert done.returncode == 0
    text = done.stdout.splitlines()
    assert text[0] == "tiny  2 problems x 2 solvers, 4 tasks, 0 done, limit 60 s, 4 GiB, 1 worker"
    assert [line.split()[:2] for line in text[1:5]] == [
        [problem, solver] for problem in ("POISSON[k=3]", "POISSON[k=4]") for solver in ("ours", "scipy.cg")
    ]
    assert all(line.endswith("   verified") for line in text[1:5])
    assert text[6].split()[:5] == ["solver", "solved", "failed", "killed", "false"]
    assert [line.split()[:5] for line in text[7:9]] == [
        ["ours", "2/2", "0", "0", "0"],
        ["scipy.cg", "2/2", "0", "0", "0"],
    ]
    # CPU time, so that a loaded machine does not matter
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5
