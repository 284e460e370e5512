"""Structures of problems on disk: read, or built once and written.

A file holds the arrays of a `Structure` as `.npz`, and its names as JSON in one more array of bytes; nothing in it is
a pickle. Its name is a hash of the texts it was made from, the arguments and the version of this format. A file that
cannot be read, or that fails its own checksum, is built again and replaced.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from resolvent.caching import atomic_write, cache_folder
from resolvent.problems.cutest import reader
from resolvent.problems.cutest.source import Number, Source
from resolvent.problems.cutest.structure import Ragged, Sparse, Structure
from resolvent.typing import Array

__all__ = ["FORMAT_VERSION", "cache_path", "structure_of"]

FORMAT_VERSION = 1
"""To be raised with any change of `Structure` or of what `reader` puts into it."""

_PAIRS: dict[str, type[Sparse | Ragged]] = {
    "linear": Sparse,
    "quadratic": Sparse,
    "group_parameters": Ragged,
    "element_variables": Ragged,
    "element_parameters": Ragged,
}


def cache_path(source: Source, arguments: tuple[Number, ...]) -> Path:
    """Return where the structure of the problem is kept."""
    return cache_folder() / "cutest" / f"{source.name}-{source.key(arguments, FORMAT_VERSION)[:32]}.npz"


def structure_of(source: Source, arguments: tuple[Number, ...]) -> Structure:
    """Return the structure from disk, or build and keep it.

    Raises
    ------
    ProblemError
        Where the problem cannot be built. A disk that cannot be written is no error: the structure is not kept.
    """
    path = cache_path(source, arguments)
    found = _load(path)
    if found is None:
        found = reader.read(source, arguments)
        try:
            atomic_write(path, lambda stream: _save(stream, found))
        except OSError:
            return found
    return found


def _save(stream: BinaryIO, structure: Structure) -> None:
    held: dict[str, Any] = {}
    words: dict[str, Any] = {}
    for field in fields(structure):
        value = getattr(structure, field.name)
        if field.name in _PAIRS:
            held |= {f"{field.name}.{part}": array for part, array in value._asdict().items()}
        elif isinstance(value, np.ndarray):
            held[field.name] = value
        else:
            words[field.name] = value
    words["checksum"] = _checksum(held)
    np.savez(stream, words=np.frombuffer(json.dumps(words).encode(), np.uint8), **held)


def _load(path: Path) -> Structure | None:
    """Return the structure in the file, None where there is none or it is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            held = {name: archive[name] for name in archive.files}
        words = json.loads(held.pop("words").tobytes())
        if words.pop("checksum") != _checksum(held):
            return None
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in words.items()}
        for name, kind in _PAIRS.items():
            values[name] = kind(*(held.pop(f"{name}.{part}") for part in kind._fields))
        return Structure(**values, **held)
    # What a file cut short, overwritten or of another make raises on its way through zip, NumPy and JSON.
    except (OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError, zipfile.BadZipFile):
        return None


def _checksum(held: dict[str, Array]) -> str:
    digest = hashlib.sha256()
    for name in sorted(held):
        digest.update(f"{name} {held[name].dtype} {held[name].shape}".encode())
        digest.update(np.ascontiguousarray(held[name]).tobytes())
    return digest.hexdigest()
