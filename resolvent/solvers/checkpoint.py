"""Checkpoints: a State as one ``.npz`` of arrays plus JSON. Never a pickle.

The JSON tree mirrors the state; arrays stand beside it under ``a0, a1, ...`` and are named in the tree by number.
Floats are written in hexadecimal, so that the bits survive. A sha256 over tree and arrays guards against damage. A
file never makes us import anything: it may name only classes of modules that are already loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from resolvent.caching import atomic_write
from resolvent.errors import OptionError
from resolvent.solvers.base import State, is_cache
from resolvent.typing import Array

__all__ = ["load_state", "save_state"]

VERSION = 1


def save_state(state: State, path: str | os.PathLike[str]) -> Path:
    """Write a state to a file and return its path.

    Parameters
    ----------
    state : State
    path : str or path
        ``.npz`` is added where it is missing. The file appears whole or not at all.

    Raises
    ------
    OptionError
        The state holds something that a checkpoint cannot store.
    """
    arrays: list[Array] = []
    meta = json.dumps({"version": VERSION, "state": _encode(state, arrays)})
    named = {f"a{i}": array for i, array in enumerate(arrays)}
    named |= {"meta": np.array(meta), "sha256": np.array(_digest(meta, arrays))}
    target = _with_suffix(path)
    atomic_write(target, lambda stream: np.savez(stream, **named))  # type: ignore[arg-type]
    return target


def load_state(path: str | os.PathLike[str], expected: type[State] = State) -> State:
    """Read a state from a file that `save_state` or `Checkpoint` wrote.

    Parameters
    ----------
    path : str or path
    expected : type, optional
        The state class that the file must hold.

    Raises
    ------
    OptionError
        The file is missing, truncated, changed since it was written, of another version or of another class.
    """
    source = _with_suffix(path)
    try:
        with open(source, "rb") as stream, np.load(stream, allow_pickle=False) as file:  # NumPy leaves a bad zip open
            meta, sha256 = str(file["meta"]), str(file["sha256"])
            arrays = [file[f"a{i}"] for i in range(len(file.files) - 2)]
        tree = json.loads(meta)
    except FileNotFoundError:
        raise OptionError(f"there is no checkpoint {source}") from None
    except Exception as error:  # zip, zlib, json and numpy each have their own errors for a damaged file
        raise OptionError(f"{source} is no complete checkpoint: {type(error).__name__}: {error}") from None
    if sha256 != _digest(meta, arrays):
        raise OptionError(f"{source} was changed after it was written: its sha256 differs")
    if tree.get("version") != VERSION:
        raise OptionError(f"{source} has checkpoint version {tree.get('version')}, expected {VERSION}")
    try:
        state = _decode(tree["state"], arrays)
    except OptionError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise OptionError(f"{source} is of another version: {type(error).__name__}: {error}") from None
    if not isinstance(state, expected):
        raise OptionError(f"{source} holds a {type(state).__name__}, expected a {expected.__name__}")
    return state


def _with_suffix(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    return target if target.suffix == ".npz" else target.with_name(target.name + ".npz")


def _digest(meta: str, arrays: list[Array]) -> str:
    digest = hashlib.sha256(meta.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes(order="A"))
    return digest.hexdigest()


def _encode(value: Any, arrays: list[Array]) -> Any:
    """Return the JSON tree of `value`, appending its arrays to `arrays`."""
    if isinstance(value, Enum):
        return {"enum": [type(value).__module__, type(value).__qualname__, value.name]}
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.hasobject:
            raise OptionError(f"a state holds an array of {value.dtype}, which a checkpoint cannot store")
        arrays.append(np.asarray(value))
        return {"array" if isinstance(value, np.ndarray) else "scalar": len(arrays) - 1}
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, np.random.Generator):
        return {"generator": _encode(value.bit_generator.state, arrays)}
    if type(value) in (tuple, list):  # not their subclasses: they would come back as something else
        return {type(value).__name__: [_encode(item, arrays) for item in value]}
    if type(value) is dict:
        return {"dict": [[_encode(key, arrays), _encode(item, arrays)] for key, item in value.items()]}
    if getattr(value, "format", None) in ("csr", "csc"):
        parts = [_encode(part, arrays) for part in (value.data, value.indices, value.indptr)]
        return {"sparse": type(value).__name__, "shape": list(value.shape), "parts": parts}
    if is_dataclass(value) and not isinstance(value, type):
        kept = {f.name: _encode(getattr(value, f.name), arrays) for f in fields(value) if not is_cache(f)}
        return {"object": [type(value).__module__, type(value).__qualname__], "fields": kept}
    raise OptionError(
        f"a state holds a {type(value).__name__}, which a checkpoint cannot store: declare it with cache()"
    )


def _decode(tree: Any, arrays: list[Array]) -> Any:
    if not isinstance(tree, dict):
        return tree
    kind, body = next(iter(tree.items()))
    match kind:
        case "array":
            return arrays[body]
        case "scalar":
            return arrays[body][()]
        case "int":
            return int(body)
        case "float":
            return float.fromhex(body)
        case "enum":
            return _find(body[0], body[1])[body[2]]
        case "generator":
            return _generator(_decode(body, arrays))
        case "tuple":
            return tuple(_decode(item, arrays) for item in body)
        case "list":
            return [_decode(item, arrays) for item in body]
        case "dict":
            return {_decode(key, arrays): _decode(item, arrays) for key, item in body}
        case "sparse":
            return _sparse(body, [_decode(part, arrays) for part in tree["parts"]], tree["shape"])
        case "object":
            return _object(_find(body[0], body[1]), tree["fields"], arrays)
    raise OptionError(f"the checkpoint has an entry of kind {kind!r}, which this version does not know")


def _find(module: str, name: str) -> Any:
    """Return a dataclass or enumeration by name, from a module that is already loaded."""
    found: Any = sys.modules.get(module)
    if found is None:
        raise OptionError(f"the checkpoint names {module}.{name}: import {module} before it is loaded")
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type) or not (is_dataclass(found) or issubclass(found, Enum)):
        raise OptionError(f"the checkpoint names {module}.{name}, which is no class of states")
    return found


def _object(kind: Any, values: dict[str, Any], arrays: list[Array]) -> Any:
    kept = {f.name for f in fields(kind) if not is_cache(f)}
    if kept != set(values):
        changed = ", ".join(sorted(kept ^ set(values)))
        raise OptionError(f"the checkpoint is of another version of {kind.__name__}: it differs in {changed}")
    new = kind.__new__(kind)
    for f in fields(kind):
        object.__setattr__(new, f.name, None if is_cache(f) else _decode(values[f.name], arrays))
    return new


def _generator(state: dict[str, Any]) -> np.random.Generator:
    kind = getattr(np.random, str(state["bit_generator"]), None)
    if not (isinstance(kind, type) and issubclass(kind, np.random.BitGenerator)):
        raise OptionError(
            f"the checkpoint names the bit generator {state['bit_generator']!r}, which NumPy does not have"
        )
    bits = kind()
    bits.state = state
    return np.random.Generator(bits)


def _sparse(name: str, parts: list[Array], shape: list[int]) -> Any:
    import scipy.sparse

    if name not in ("csr_array", "csr_matrix", "csc_array", "csc_matrix"):
        raise OptionError(f"the checkpoint names the sparse class {name!r}, expected csr or csc")
    return getattr(scipy.sparse, name)(tuple(parts), shape=tuple(shape))
