"""The cache folder and atomic writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolvent.caching import atomic_write, cache_folder


def test_the_variable_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("RESOLVENT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("RESOLVENT_CACHE", "~/chosen")
    assert cache_folder() == Path.home() / "chosen"


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", None, Path.home() / ".cache" / "resolvent"),
        ("linux", "XDG_CACHE_HOME", Path("/elsewhere/resolvent")),
        ("darwin", None, Path.home() / "Library" / "Caches" / "resolvent"),
        ("win32", "LOCALAPPDATA", Path("/elsewhere/resolvent/Cache")),
    ],
)
def test_the_folder_of_each_platform(monkeypatch, platform, variable, expected):
    for name in ("RESOLVENT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "/elsewhere")
    monkeypatch.setattr("sys.platform", platform)
    assert cache_folder() == expected


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "file"
    atomic_write(path, lambda stream: stream.write(b"first"))
    atomic_write(path, lambda stream: stream.write(b"second"))
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(stream):
        stream.write(b"half")
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        atomic_write(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
