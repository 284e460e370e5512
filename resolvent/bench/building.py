"""Objects from tables: ``{ use = "module:name", option = ... }`` becomes ``name(option=...)``.

A value that is such a table itself is built first, at any depth. Only names inside importable modules can be used.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from resolvent.errors import OptionError, did_you_mean

__all__ = ["build", "check_options", "resolve"]

Path = tuple[str | int, ...]


def resolve(use: str) -> Callable[..., Any]:
    """Return the class, function or class method that ``module:name`` names; the name may have dots.

    Raises
    ------
    OptionError
        There is no such module or name, or it cannot be called.
    """
    module, _, path = use.partition(":")
    if not module or not path:
        raise OptionError(f"use is {use!r}, expected 'module:name'")
    try:
        target: Any = import_module(module)
    except ImportError as error:
        raise OptionError(f"use is {use!r}, but {module!r} cannot be imported: {error}") from error
    for name in path.split("."):
        if not hasattr(target, name):
            known = [word for word in dir(target) if not word.startswith("_")]
            raise OptionError(f"use is {use!r}, but there is no {name!r}{did_you_mean(name, known)}")
        target = getattr(target, name)
    if not callable(target):
        raise OptionError(f"use is {use!r}, a {type(target).__name__}, expected a class or a function")
    found: Callable[..., Any] = target
    return found


def build(value: Any) -> Any:
    """Return the object that `value` describes; what is no table with `use` stays as it is."""
    if isinstance(value, list):
        return [build(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    options = {key: build(item) for key, item in value.items() if key != "use"}
    return resolve(value["use"])(**options) if "use" in value else options


def check_options(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield (where, what is wrong) for each `use` and each option name in `value` that does not exist."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from check_options(item, (*path, index))
    if not isinstance(value, Mapping):
        return
    if "use" in value:
        yield from _wrong_names(value, path)
    for key, item in value.items():
        yield from check_options(item, (*path, key))


def _wrong_names(table: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    if not isinstance(table["use"], str):
        yield (*path, "use"), f"use is {table['use']!r}, expected 'module:name'"
        return
    try:
        parameters = inspect.signature(resolve(table["use"])).parameters
    except OptionError as error:
        yield (*path, "use"), str(error)
        return
    except ValueError:  # a callable written in C that tells no signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for key in table:
        if key != "use" and key not in parameters:
            known = ", ".join(parameters) or "none"
            yield (*path, key), f"{table['use']} has no option {key!r}{did_you_mean(key, parameters)}; it has {known}"
