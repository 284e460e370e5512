"""Kernels specialised to a user's compiled functions, kept in Numba's disk cache.

Numba cannot cache a kernel that takes functions as arguments or closes over them: each process compiles it again, and
writes another file. So the functions are written into the text of the kernel instead. A template names them in one
line, ::

    from functions import value, derivative

and `specialise` replaces that line by imports from where they live, writes the module into the user's cache folder
under a name that is a hash of template, sources and version, and imports it: the second process finds it compiled.

A function without an import path (a lambda, a function inside a function or of ``__main__``) is compiled once per
process; this is logged once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import numba

from resolvent.caching import atomic_write, cache_folder
from resolvent.errors import ProblemError

__all__ = ["specialise"]

LINE = "from functions import "
logger = logging.getLogger("resolvent")


def specialise(template: str, **functions: Callable[..., Any]) -> ModuleType:
    """Return the module of `template` with the given functions in it.

    Parameters
    ----------
    template : str
        Source of a module with one line ``from functions import a, b`` that names all functions.
    **functions : callable
        Numba-compiled or plain functions of numbers, by those names. Plain ones are compiled.

    Raises
    ------
    ProblemError
        The names in the template are not those of the functions.
    """
    [line] = [line for line in template.splitlines() if line.startswith(LINE)] or [LINE]
    wanted = {name.strip() for name in line.removeprefix(LINE).split(",")}
    if wanted != set(functions):
        raise ProblemError(f"specialise got the functions {sorted(functions)}, the template names {sorted(wanted)}")
    if all(_import_path(function) for function in functions.values()):
        return _on_disk(template, line, tuple(sorted(functions.items())))
    return _in_memory(template, line, tuple(sorted(functions.items())))


def _plain(function: Any) -> Callable[..., Any]:
    return getattr(function, "py_func", function)  # type: ignore[no-any-return]


def _import_path(function: Any) -> tuple[str, str] | None:
    """Return module and name that lead to the function in another process, None where there are none."""
    plain = _plain(function)
    module, name = plain.__module__, plain.__qualname__
    if module in ("__main__", "builtins") or not name.isidentifier():
        return None
    try:
        found = getattr(import_module(module), name, None)
    except ImportError:
        return None
    return (module, name) if found is function or _plain(found) is plain else None


@lru_cache(maxsize=256)
def _on_disk(template: str, line: str, functions: tuple[tuple[str, Any], ...]) -> ModuleType:
    imports = ["from numba import njit as _njit"]
    sources = [template, numba.__version__, _version()]
    for name, function in functions:
        module, original = _import_path(function) or ("", "")
        imports.append(f"from {module} import {original} as {name}")
        if _plain(function) is function:
            imports.append(f"{name} = _njit({name})")
        sources += [name, module, original, inspect.getsource(_plain(function))]
    digest = hashlib.sha256("\0".join(sources).encode()).hexdigest()[:24]
    path = cache_folder() / "kernels" / f"specialised_{digest}.py"
    text = template.replace(line, "\n".join(imports))
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        atomic_write(path, lambda stream: stream.write(text.encode()))
    name = f"resolvent_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found  # Numba's cache looks the module up by name
    spec.loader.exec_module(found)
    return found


@lru_cache(maxsize=256)
def _in_memory(template: str, line: str, functions: tuple[tuple[str, Any], ...]) -> ModuleType:
    nameless = ", ".join(name for name, function in functions if not _import_path(function))
    logger.warning("%s: no import path, so the kernel is compiled anew in each process", nameless)
    found = ModuleType("resolvent_specialised_in_memory")
    for name, function in functions:
        setattr(found, name, function if _plain(function) is not function else numba.njit(function))
    text = template.replace(line, "").replace("cache=True", "cache=False")
    exec(compile(text, "<specialised kernel>", "exec"), vars(found))
    return found


def _version() -> str:
    try:
        return version("resolvent")
    except PackageNotFoundError:
        return "not installed"
