"""What is known of every problem at its default parameters, and the choice of problems by it.

The facts come from `catalogue.json` beside this file, which `catalogue` makes; nothing needs to be installed to read
them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from resolvent.errors import OptionError, ProblemError, did_you_mean
from resolvent.problems.cutest.source import Number, Parameter

__all__ = ["CATALOGUE", "CONSTRAINTS", "OBJECTIVES", "Facts", "classify", "names", "paper_set", "select"]

CATALOGUE = Path(__file__).with_name("catalogue.json")

_MANY_ELEMENTS = 100_000
"""Nineteen problems have 114 764 to 250 000 elements, all others at most 26 660."""

Range = int | tuple[int | None, int | None] | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A problem at its default parameters, without the variables that it fixes.

    Attributes
    ----------
    name : str
    n, m : int
        Numbers of free variables and of constraints.
    fixed : int
        Number of fixed variables.
    bounds : int
        Number of free variables with a bound.
    equalities, inequalities : int
        Numbers of constraints of each kind.
    linear : int
        Number of linear constraints.
    elements : int
        Number of uses of nonlinear elements in groups.
    objective : str
        "none", "constant", "linear", "quadratic", "squares" (a sum of squares) or "other".
    classification : str
        In the scheme of CUTEst.
    parameters : tuple of Parameter
        Name, whether whole, default, and suggested values of each argument of `load`, in their order.
    reason : str
        Why the problem does not load; empty where it does.
    """

    name: str
    n: int = 0
    m: int = 0
    fixed: int = 0
    bounds: int = 0
    equalities: int = 0
    linear: int = 0
    elements: int = 0
    objective: str = "none"
    classification: str = ""
    parameters: tuple[Parameter, ...] = ()
    reason: str = ""

    @property
    def inequalities(self) -> int:
        return self.m - self.equalities

    @property
    def slow(self) -> bool:
        """Whether the first load takes a minute or so of CPU (it is seconds or less for all others)."""
        return self.elements > _MANY_ELEMENTS


CONSTRAINTS: dict[str, Callable[[Facts], bool]] = {
    "any": lambda facts: True,
    "unconstrained": lambda facts: facts.m == 0 and facts.bounds == 0,
    "bounds": lambda facts: facts.m == 0 and facts.bounds > 0,
    "constrained": lambda facts: facts.m > 0,
    "equality": lambda facts: facts.m > 0 and facts.inequalities == 0 and facts.bounds == 0,
    "equality_bounds": lambda facts: facts.m > 0 and facts.inequalities == 0 and facts.bounds > 0,
    "inequality": lambda facts: facts.inequalities > 0,
    "linear": lambda facts: facts.m > 0 and facts.linear == facts.m,
    "nonlinear": lambda facts: facts.linear < facts.m,
}
OBJECTIVES: dict[str, Callable[[Facts], bool]] = {
    "any": lambda facts: True,
    "some": lambda facts: facts.objective != "none",
    **{
        kind: lambda facts, kind=kind: facts.objective == kind  # type: ignore[misc]
        for kind in ("none", "constant", "linear", "quadratic", "squares", "other")
    },
}

_PAPER_SET = """
    HS6 BT5 BT9 HS28 BT10 HIMMELBA BT12 HS40 BT3 BT6 BT11 HS7 GENHS28 HS51 BOOTH HS52 HS47 WAYSEA1NE HS48 HS50 RSNBRNE
    CUBENE HS77 MWRIGHT ZANGWIL3 BAmL1SP HS78 HS56 HELIXNE HS42 HS79 ORTHREGB HS100LNP GOTTFR WAYSEA2NE DENSCHNFNE
    HIMMELBC PRICE4NE INTEQNE MANCINONE BT2
"""


def names() -> list[str]:
    """Return the names of all problems that load at their default parameters, sorted.

    Examples
    --------
    >>> from resolvent.problems import cutest
    >>> len(cutest.names()), cutest.names()[:3]
    (1101, ['ACOPP14', 'ACOPP30', 'ACOPR14'])
    """
    return [facts.name for facts in _all().values() if not facts.reason]


def classify(name: str) -> Facts:
    """Return what is known of a problem at its default parameters.

    Raises
    ------
    ProblemError
        For a name that the catalogue does not have.

    Examples
    --------
    >>> from resolvent.problems import cutest
    >>> facts = cutest.classify("DTOC1L")
    >>> facts.n, facts.fixed, facts.equalities, [parameter.name for parameter in facts.parameters]
    (54, 4, 36, ['N', 'NX', 'NY'])
    """
    if name not in _all():
        raise ProblemError(f"CUTEst has no problem {name!r}{did_you_mean(name, _all())}")
    return _all()[name]


def select(
    *, constraints: str = "any", objective: str = "any", n: Range = None, m: Range = None, slow: bool = False
) -> list[str]:
    """Return the names of the problems that meet all conditions at their default parameters, sorted.

    Parameters
    ----------
    constraints : str, optional
        One of these words; bounds are counted once fixed variables are eliminated.

        ================= ============================================
        "any"
        "unconstrained"   no constraints, no bounds
        "bounds"          bounds, no constraints
        "constrained"     constraints
        "equality"        equations, no inequalities, no bounds
        "equality_bounds" equations, no inequalities, and bounds
        "inequality"      at least one inequality
        "linear"          constraints, all of them linear
        "nonlinear"       at least one constraint that is not linear
        ================= ============================================
    objective : str, optional
        "any", "some" (there is one), "none" (a system to be solved), or what it is: "constant", "linear", "quadratic",
        "squares" (a sum of squares), "other".
    n, m : int or pair, optional
        Number of free variables, of constraints: exactly, or from and to, both included; None in a pair is no limit.
    slow : bool, optional
        Also those whose first load takes a minute or so: CHANDHEU, CHANDHEULS, TWIRIBG1 and the sixteen DIAMON* and
        DMN*. Without them there are 237 problems with constraints="equality", with them 246.

    Raises
    ------
    OptionError
        For an unknown word (the nearest one is suggested) or a wrong range.

    Examples
    --------
    >>> from resolvent.problems import cutest
    >>> cutest.select(constraints="equality", objective="linear", n=(None, 3))
    ['BT10', 'BYRDSPHR']
    >>> len(cutest.select(constraints="equality"))
    237
    """
    meets = _word(constraints, CONSTRAINTS, "constraints"), _word(objective, OBJECTIVES, "objective")
    (n_low, n_high), (m_low, m_high) = _range(n, "n"), _range(m, "m")
    return [
        facts.name
        for facts in _all().values()
        if not facts.reason
        and (slow or not facts.slow)
        and all(condition(facts) for condition in meets)
        and n_low <= facts.n <= n_high
        and m_low <= facts.m <= m_high
    ]


def paper_set() -> list[tuple[str, dict[str, Number]]]:
    """Return (name, parameters) of 41 of the 47 problems on which adaptive sketched Newton was published.

    The others, SINVALNE, TRIGON1NE, HIMMELBE, MOREBVNE, DENSCHNCNE and BA-L1, are not among the files of S2MPJ.

    Examples
    --------
    >>> from resolvent.problems import cutest
    >>> for name, parameters in cutest.paper_set():
    ...     problem = cutest.load(name, **parameters)
    """
    return [(name, {"N": 100} if name == "MANCINONE" else {}) for name in _PAPER_SET.split()]


@cache
def _all() -> Mapping[str, Facts]:
    table = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return {name: _facts(name, row) for name, row in table["problems"].items()}


def _facts(name: str, row: dict[str, Any]) -> Facts:
    parameters = tuple(
        Parameter(title, whole, default, tuple(suggested))
        for title, whole, default, suggested in row.pop("parameters", [])
    )
    return Facts(name=name, parameters=parameters, **row)


def _word(word: str, known: Mapping[str, Callable[[Facts], bool]], argument: str) -> Callable[[Facts], bool]:
    if word not in known:
        raise OptionError(f"{argument} is {word!r}{did_you_mean(str(word), known)}; expected one of {', '.join(known)}")
    return known[word]


def _range(value: Range, argument: str) -> tuple[float, float]:
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(end is None or isinstance(end, int) for end in pair):
        raise OptionError(f"{argument} is {value!r}, expected a whole number or a pair (from, to)")
    low = 0 if pair[0] is None else pair[0]
    high = float("inf") if pair[1] is None else pair[1]
    if low > high:
        raise OptionError(f"{argument} is {value!r}, expected (from, to) with from <= to")
    return low, high
