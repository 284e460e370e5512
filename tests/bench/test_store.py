"""The store: strict JSON, one line for each task, torn lines cut, nothing mixed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resolvent import bench
from resolvent.bench import runner
from resolvent.bench.machine import describe_machine
from resolvent.bench.store import Store, read_records, strict
from resolvent.bench.suite import read_suite
from resolvent.errors import OptionError

SUITE = """
name = "one"
[[problems]]
use = "bench_fakes:system"
[[solvers]]
label = "fake"
use = "bench_fakes:Fake"
"""


def refuse(word):
    raise AssertionError(word)


def test_what_is_not_finite_becomes_null():
    record = {"key": "k", "a": float("nan"), "b": [1.0, float("-inf")], "c": {"d": float("inf"), "e": None}}
    line, kept = strict(record)
    assert json.loads(line, parse_constant=refuse) == kept
    assert kept == {"key": "k", "a": None, "b": [1.0, None], "c": {"d": None, "e": None}, "nonfinite": True}
    assert "nonfinite" not in strict({"key": "k", "a": 1.0})[1]
    assert "\n" not in strict({"key": "two\nlines"})[0]


def test_records_survive_and_torn_lines_do_not(tmp_path):
    with Store(tmp_path) as store:
        store.append({"key": "a", "value": 1})
        store.append({"key": "b", "value": float("nan")})
    whole = (tmp_path / "records.jsonl").read_bytes()
    for torn in (b"{", b'{"key": "c", "va', b'{"key": "c", "value": 1}'):
        (tmp_path / "records.jsonl").write_bytes(whole + torn)
        assert set(read_records(tmp_path)) == {"a", "b"}
        with Store(tmp_path) as store:
            assert set(store.records) == {"a", "b"}
        assert (tmp_path / "records.jsonl").read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    (tmp_path / "records.jsonl").write_text('{"key": "a"}\n{"key": \n{"key": "c"}\n')
    with pytest.raises(OptionError, match="line 2 is damaged"):
        Store(tmp_path)


def test_the_last_line_of_a_key_counts(tmp_path):
    with Store(tmp_path) as store:
        for value in (1, 2):
            store.append({"key": "a", "value": value})
        store.append({"key": "b", "value": 3})
        store.withdraw(["b"])
        assert store.records == read_records(tmp_path) == {"a": {"key": "a", "value": 2}}
        store.append({"key": "b", "value": 4})
    assert read_records(tmp_path)["b"]["value"] == 4


def test_one_writer_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    with Store(tmp_path), pytest.raises(OptionError, match="another run is writing"):
        Store(tmp_path)
    with Store(tmp_path):
        pass


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="cannot be written"):
        Store(tmp_path / "file")
    with pytest.raises(OptionError, match="holds no benchmark run"):
        bench.load(tmp_path)


def test_what_cannot_be_compared_is_not_mixed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    suite = read_suite(SUITE, "one.toml")
    machine = describe_machine(1) | {"cpu": "one"}
    machine["code"] = {"version": "0.1", "commit": "a" * 40, "clean": True, "changes": None}
    monkeypatch.setattr(runner, "describe_machine", lambda threads: machine | {"threads": threads})
    [first] = bench.run(suite, tmp_path).records
    assert first["code"] == "commit aaaaaaaaaaaa"

    with pytest.raises(OptionError, match="records made with 1 threads, and this is 2 threads"):
        bench.run(suite, tmp_path, threads=2)
    machine["cpu"] = "another"
    with pytest.raises(OptionError, match="records made with one, and this is another"):
        bench.run(suite, tmp_path)
    machine["cpu"] = "one"
    machine["code"] = machine["code"] | {"clean": False, "changes": "123"}
    with pytest.raises(OptionError, match=r"commit aaaaaaaaaaaa, and this is commit aaaaaaaaaaaa with changes \(123\)"):
        bench.run(suite, tmp_path)
    with pytest.raises(OptionError, match="holds the suite 'one'"):
        bench.run(read_suite(SUITE.replace('"one"', '"two"'), ""), tmp_path, redo="all")

    # failed tasks alone: there are none, so nothing is run
    assert bench.run(suite, tmp_path, redo="failed").records == [first]
    [second] = bench.run(suite, tmp_path, redo="all").records
    assert second["code"] == "commit aaaaaaaaaaaa with changes (123)"
    assert second["key"] == first["key"]
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 3


def test_two_workers_on_cores_of_their_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(runner, "available_cores", lambda: [0])
    suite = read_suite(SUITE, "one.toml")
    runs = bench.run(suite, tmp_path, jobs=2, repeats=2, isolate=True)
    assert [record["verdict"] for record in runs.records] == ["verified"] * 2
    assert {record["repeat"] for record in runs.records} == {0, 1}
    assert not any(record["comparable_times"] for record in runs.records)
    assert "(times not comparable: several workers shared the cores)" in str(runs.table())
    with pytest.raises(OptionError, match="jobs is 0"):
        bench.run(suite, tmp_path, jobs=0)
