"""Reading tables with errors that name the line and the key, and the small languages inside a suite."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NoReturn, TypeVar

from resolvent.errors import OptionError, did_you_mean

__all__ = ["Reader", "condition", "matches", "memory_size"]

T = TypeVar("T")
Step = str | int
"""A key, or the number of a table in an array of tables."""

_UNITS = {"b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table", list: "a list"}


class Reader:
    """Takes values out of the tables of a suite and says where the wrong ones stand.

    Parameters
    ----------
    text : str
        The file; the parser does not keep line numbers, so the keys are searched for in it.
    origin : str
        Its name.
    """

    def __init__(self, text: str, origin: str) -> None:
        self.text, self.origin = text, origin

    def fail(self, message: str, *path: Step) -> NoReturn:
        """Raise OptionError with the line of the last key of `path` that the text has."""
        where = f", line {self.line(path)}" if path else ""
        raise OptionError(f"{self.origin}{where}: {message}")

    def line(self, path: Iterable[Step]) -> int:
        """Return the line of a key: each key is searched for behind the one that holds it."""
        steps, position = list(path), 0
        while steps:
            key = re.escape(str(steps.pop(0)))
            if steps and isinstance(steps[0], int):
                headers = list(re.finditer(rf"^\s*\[\[\s*{key}\s*\]\]", self.text[position:], re.MULTILINE))
                number = int(steps.pop(0))
                found = headers[number] if number < len(headers) else None
            else:
                pattern = rf"(?<![\w.-])[\"']?{key}[\"']?\s*=|^\s*\[[\w.]*{key}\s*\]"
                found = re.search(pattern, self.text[position:], re.MULTILINE)
            if found is None:
                break
            position += found.start() + len(found[0]) - len(found[0].lstrip())
        return self.text.count("\n", 0, position) + 1

    def known(self, table: Mapping[str, Any], allowed: Iterable[str], what: str, *path: Step) -> None:
        """Refuse keys that do not exist."""
        for key in table:
            if key not in allowed:
                hint = did_you_mean(key, allowed) or f"; expected one of {', '.join(allowed)}"
                self.fail(f"{what} has no key {key!r}{hint}", *path, key)

    def get(self, table: Mapping[str, Any], key: str, kind: type[T], default: Any = None, *path: Step) -> Any:
        """Return a value of the right type; a missing one is the default."""
        if key not in table:
            return default
        value = table[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fail(f"{key} is {value!r}, expected {_WORDS[kind]}", *path, key)
        return value

    def needed(self, table: Mapping[str, Any], key: str, kind: type[T], *path: Step) -> T:
        """Return a value that has to be there."""
        if key not in table:
            self.fail(f"{key} is missing", *path)
        value: T = self.get(table, key, kind, None, *path)
        return value

    def whole(self, table: Mapping[str, Any], key: str, default: int, least: int) -> int:
        """Return a whole number from `least` up."""
        value: int = self.get(table, key, int, default)
        if value < least:
            self.fail(f"{key} is {value}, expected a whole number >= {least}", key)
        return value

    def strings(self, table: Mapping[str, Any], key: str, *path: Step) -> list[str]:
        """Return a list of texts, empty where the key is missing."""
        values: list[str] = self.get(table, key, list, [], *path)
        for value in values:
            if not isinstance(value, str):
                self.fail(f"{key} holds {value!r}, expected text", *path, key)
        return values


def matches(name: str, pattern: str) -> bool:
    """Whether a name matches a pattern, in whatever case; a name with brackets matches itself."""
    name, pattern = name.lower(), pattern.lower()
    return name == pattern or fnmatchcase(name, pattern)


def memory_size(value: Any) -> int:
    """Return the bytes in a number or in a text such as "4 GiB".

    Raises
    ------
    OptionError
        For anything else.
    """
    match = re.fullmatch(r"\s*([\d.]+)\s*([a-zA-Z]*)\s*", str(value))
    unit = _UNITS.get(match[2].lower() or "b") if match else None
    try:
        size = int(float(match[1]) * unit) if match and unit and not isinstance(value, bool) else 0
    except ValueError:
        size = 0
    if size <= 0:
        raise OptionError(f"memory is {value!r}, expected a size such as '4 GiB'")
    return size


def condition(text: str) -> Callable[[int | None, int | None], bool]:
    """Return the test (n, m) -> bool that a text such as "m <= n" or "n > 100" stands for; empty text is always true.

    A problem whose sizes are not known passes no test.

    Raises
    ------
    OptionError
        For anything that does not compare two of n, m and whole numbers.
    """
    if not text.strip():
        return lambda n, m: True
    match = re.fullmatch(r"\s*(n|m|\d+)\s*(<=|>=|==|!=|<|>)\s*(n|m|\d+)\s*", text)
    if match is None:
        raise OptionError(f"where is {text!r}, expected a comparison of n, m and numbers, such as 'm <= n'")
    left, compare, right = match[1], _COMPARISONS[match[2]], match[3]

    def test(n: int | None, m: int | None) -> bool:
        values = {"n": n, "m": m}
        a, b = values[left] if left in values else int(left), values[right] if right in values else int(right)
        return a is not None and b is not None and compare(a, b)

    return test
