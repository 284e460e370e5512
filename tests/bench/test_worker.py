"""Whatever a solver does, its task gets one honest record and the run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from resolvent import bench
from resolvent.bench.process import hard_limit
from resolvent.bench.suite import read_suite

HERE = Path(__file__).parent
SOLVERS = ("Fake", "Print", "Hang", "Crash", "Vanish", "Exit", "Memory", "Raise", "Lie", "NotFinite", "Warm")
SUITE = """
name = "hostile"
limits = { seconds = 0.2, memory = "2 GiB" }
histories = true

[[problems]]
use = "bench_fakes:system"

[[problems]]
use = "bench_fakes:program"

[[problems]]
use = "bench_fakes:nowhere"
""" + "\n".join(f'[[solvers]]\nlabel = "{name}"\nuse = "bench_fakes:{name}"\n' for name in SOLVERS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        return bench.run(read_suite(SUITE, "hostile.toml"), tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def record(runs):
    found = {(one["problem"], one["solver"]["label"]): one for one in runs.records}
    return lambda solver, problem="system": found[problem, solver]


def test_every_task_has_a_record(runs):
    assert runs.missing == 0
    assert len(runs.records) == 3 * len(SOLVERS)


def test_a_good_run(record):
    one = record("Fake")
    assert (one["status"], one["verdict"], one["claimed"]) == ("CONVERGED", "verified", True)
    assert one["checked"] <= one["tolerance"]
    assert (one["class"], one["n"], one["iterations"], one["evaluations"]) == ("LinearSystem", 2, 1, 2)
    assert set(one["seconds"]) == set(one["cpu_seconds"]) == {"build", "warm_up", "solve"}
    assert one["peak_memory"] > 2**20


def test_printing_does_no_harm(record):
    assert record("Print")["verdict"] == "verified"


def test_a_hang_is_killed(record):
    one = record("Hang")
    assert (one["status"], one["verdict"]) == ("KILLED", "failed")
    assert one["message"] == "killed after 5.2 s while solving, limit 0.2 s"
    assert one["seconds"]["solve"] >= 5.2
    assert one["n"] == 2
    assert hard_limit(60.0) == 75.0


def test_a_crash_is_named(record):
    one = record("Crash")
    assert (one["status"], one["verdict"]) == ("CRASHED", "failed")
    assert one["message"].startswith("SIGSEGV while solving")
    assert record("Vanish")["message"].startswith("exit code 0 while solving")


def test_memory_is_limited(record):
    one = record("Memory")
    assert (one["status"], one["verdict"]) == ("OUT_OF_MEMORY", "failed")
    assert one["message"] == "out of memory while solving, limit 2 GiB"


def test_an_exception_is_told(record):
    one = record("Raise")
    assert (one["status"], one["verdict"]) == ("EXCEPTION", "failed")
    assert one["message"] == "ValueError: no such luck; in Raise, iteration 1, while solving"
    assert record("Exit")["message"].startswith("SystemExit: 3")


def test_a_lie_is_caught(runs, record):
    one = record("Lie")
    assert (one["status"], one["claimed"], one["verdict"]) == ("FINISHED", True, "claimed only")
    assert one["checked"] > one["tolerance"]
    assert runs.false_claims == [one]


def test_numbers_that_are_not_finite(runs, record):
    one = record("NotFinite")
    assert (one["status"], one["verdict"], one["residual"], one["nonfinite"]) == ("DIVERGED", "failed", None, True)


def test_warm_up_has_its_own_clock(record):
    one = record("Warm")
    assert one["verdict"] == "verified"
    assert one["seconds"]["warm_up"] >= 0.05 > one["seconds"]["solve"]


def test_what_does_not_fit_is_skipped_with_the_reason(runs, record):
    one = record("Fake", "program")
    assert (one["status"], one["verdict"]) == ("SKIPPED", None)
    assert one["message"] == "Fake solves LinearSystem, got NLP"
    assert record("Fake", "nowhere")["message"] == "nowhere needs something: pip install something"
    assert len(runs.skipped) == 2 * len(SOLVERS)


def test_the_table_adds_up(runs):
    table = runs.table()
    rows = {row[0]: row[1:5] for row in table.rows}
    assert table.columns[:5] == ("solver", "solved", "failed", "killed", "false claims")
    assert rows["Fake"] == ("1/1", "0", "0", "0")
    assert rows["Lie"] == ("0/1", "1", "0", "1")
    assert rows["Raise"] == ("0/1", "1", "0", "0")
    assert all(rows[name] == ("0/1", "0", "1", "0") for name in ("Hang", "Crash", "Memory"))


def test_histories_are_kept(runs, record):
    with np.load(runs.folder / "histories" / f"{record('Fake')['key']}.npz") as history:
        assert history["iterations"].tolist() == [0, 1]


def test_records_are_strict_json(runs):
    def refuse(word):
        raise AssertionError(word)

    for line in (runs.folder / "records.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)
