"""What a run leaves on disk.

    records.jsonl   one line for each finished task, flushed to the disk before the next one begins
    plan.json       the tasks of the last `run` in their order, with tolerance, limits and what was left out
    suite.toml      the suite as it was read
    machine.json    where and with what it ran
    histories/      KEY.npz, the history of each run, where the suite asks for it
    figures/, report.md, worker.log

Lines are only ever added. A task that is to be run again gets a line ``{"key": ..., "withdrawn": true}``; the last
line of a key counts. A line cut short by the end of the process is removed at the next start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any

from resolvent.caching import atomic_write
from resolvent.errors import OptionError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Store", "read_json", "read_records", "strict"]

RECORDS = "records.jsonl"
Record = dict[str, Any]


class Store:
    """The folder of a run, open for one writer.

    Parameters
    ----------
    folder : Path
        Made where it is missing.

    Raises
    ------
    OptionError
        Another run is writing to it, or it holds a damaged record that is not the last one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(folder / RECORDS, "ab")  # noqa: SIM115 (open as long as the store)
        except OSError as error:
            raise OptionError(f"out is {str(folder)!r}, which cannot be written: {error}") from error
        try:
            self._lock()
            self._cut_torn_line()
            self.records = read_records(folder)
        except OptionError:
            self._file.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _lock(self) -> None:
        """Keep other runs out; the system lifts the lock with the end of this process, whatever its end."""
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OptionError(f"another run is writing to {self.folder}") from None

    def _cut_torn_line(self) -> None:
        path = self.folder / RECORDS
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)

    def append(self, record: Mapping[str, Any]) -> Record:
        """Add a line and see it onto the disk; return the record as it was written."""
        line, kept = strict(record)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.records[kept["key"]] = kept
        return kept

    def withdraw(self, keys: Iterable[str]) -> None:
        """Make tasks count as not done."""
        for key in keys:
            self.append({"key": key, "withdrawn": True})
            del self.records[key]

    def write(self, name: str, content: Any) -> None:
        """Write a file of text, or of JSON, whole or not at all."""
        text = content if isinstance(content, str) else json.dumps(content, indent=1, allow_nan=False) + "\n"
        atomic_write(self.folder / name, lambda stream: stream.write(text.encode()))


def strict(record: Mapping[str, Any]) -> tuple[str, Record]:
    """Return a record as one line of strict JSON, and as it will be read again.

    Numbers that are not finite have no place in JSON: they become null, and the field ``nonfinite`` says so.
    """
    found = False

    def clean(value: Any) -> Any:
        nonlocal found
        if isinstance(value, float) and not isfinite(value):
            found = True
            return None
        if isinstance(value, Mapping):
            return {str(key): clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [clean(item) for item in value]
        return value

    kept = clean(record)
    if found:
        kept["nonfinite"] = True
    return json.dumps(kept, allow_nan=False), kept


def read_records(folder: Path) -> dict[str, Record]:
    """Return the last record of each key. A torn last line is passed over.

    Raises
    ------
    OptionError
        For a damaged line in the middle.
    """
    path = folder / RECORDS
    records: dict[str, Record] = {}
    if not path.is_file():
        return records
    content = path.read_bytes()
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            records[record["key"]] = record
        except (ValueError, TypeError, KeyError):
            raise OptionError(f"{path}, line {number} is damaged; take it out to go on with the rest") from None
    return {key: record for key, record in records.items() if not record.get("withdrawn")}


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, None where there is none."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OptionError(f"{path} is damaged: {error}") from None
