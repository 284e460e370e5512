"""The catalogue: what each problem of the library is called, how large it is and what its answer is.

Reading it builds no problem and imports no module of problems; `load` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from math import asin, sqrt
from typing import Any

from resolvent.errors import ProblemError, did_you_mean

__all__ = ["Entry", "entries", "entry", "load", "names"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A problem of the library.

    Attributes
    ----------
    name : str
    function : str
        Module and function that make the problem, below `resolvent.problems.library`.
    kind : str
        Its class: "NLP", "SmoothProblem", "LinearSystem" or "CompositeProblem".
    n, m : int
        Numbers of variables and constraints, with the default parameters.
    constraints : str
        "none", "equality" (equations alone), "bounds" (of the variables alone) or "inequality" (one at least, beside
        whatever else).
    best : float or None
        The lowest known value of the objective, with the default parameters. None for linear systems, and for composite
        problems, whose gap says how far an answer is from it.
    solution : tuple of float or None
        A point where it is taken (for several minima see `remarks`), or for linear systems the solution. A tuple of
        one number stands for that number in all places; None where no closed form or short list is at hand.
    source : str
    parameters : mapping
        The keywords of the function with their defaults.
    remarks : str
    """

    name: str
    function: str
    kind: str = "NLP"
    source: str
    n: int
    m: int = 0
    constraints: str = "equality"
    best: float | None = 0.0
    solution: tuple[float, ...] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remarks: str = ""

    def load(self, **parameters: Any) -> Any:
        """Return the problem, made with these parameters in place of the defaults."""
        wrong = sorted(set(parameters) - set(self.parameters))
        if wrong:
            known = ", ".join(self.parameters) or "none"
            raise ProblemError(f"{self.name} has no parameter {wrong[0]!r}; it has {known}")
        module, _, function = self.function.partition(".")
        factory: Callable[..., Any] = getattr(import_module(f"resolvent.problems.library.{module}"), function)
        return factory(**parameters)


def names() -> tuple[str, ...]:
    """Return the names of all problems."""
    return tuple(_ENTRIES)


def entries(*, kind: str | None = None, max_n: int | None = None, constraints: str | None = None) -> tuple[Entry, ...]:
    """Return the entries of a class, of at most `max_n` variables by default, with a kind of constraints.

    Examples
    --------
    >>> from resolvent.problems.library import entries
    >>> [entry.name for entry in entries(kind="NLP", constraints="equality", max_n=2)][:3]
    ['HS6', 'HS7', 'HS8']
    """
    return tuple(
        item
        for item in _ENTRIES.values()
        if kind in (None, item.kind) and constraints in (None, item.constraints) and (max_n is None or item.n <= max_n)
    )


def entry(name: str) -> Entry:
    """Return the entry of that name, in whatever case.

    Raises
    ------
    ProblemError
        For an unknown name, with the nearest known one.
    """
    found = _ENTRIES.get(name.upper())
    if found is None:
        hint = did_you_mean(name, _ENTRIES) or "; resolvent.problems.library.names() lists them"
        raise ProblemError(f"the library has no problem {name!r}{hint}")
    return found


def load(name: str, **parameters: Any) -> Any:
    """Return the problem of that name.

    Parameters
    ----------
    name : str
        In whatever case.
    **parameters
        Those of its entry, such as `n` of scalable problems.

    Raises
    ------
    ProblemError
        For an unknown name, with the nearest known one, or an unknown parameter.

    Examples
    --------
    >>> from resolvent.problems.library import load
    >>> load("HS7").n, load("LUKVLE1", n=50).m
    (2, 48)
    """
    return entry(name).load(**parameters)


def _hock_schittkowski(
    number: int,
    n: int,
    m: int,
    best: float,
    solution: tuple[float, ...],
    constraints: str = "equality",
    remarks: str = "",
) -> Entry:
    return Entry(
        name=f"HS{number}",
        function=f"hs.hs{number}",
        n=n,
        m=m,
        constraints=constraints,
        best=best,
        solution=solution,
        source=f"Hock and Schittkowski 1981, problem {number}",
        remarks=remarks,
    )


def _boggs_tolle(number: int, n: int, m: int, best: float, solution: tuple[float, ...], remarks: str = "") -> Entry:
    return Entry(
        name=f"BT{number}",
        function=f"boggs_tolle.bt{number}",
        n=n,
        m=m,
        best=best,
        solution=solution,
        source=f"Boggs and Tolle 1989, problem {number}",
        remarks=remarks,
    )


def _paper(
    name: str, function: str, n: int, m: int, solution: tuple[float, ...] | None, source: str, **other: Any
) -> Entry:
    return Entry(name=name, function=f"paper_nlp.{function}", n=n, m=m, solution=solution, source=source, **other)


def _grid(name: str, function: str, source: str, **parameters: Any) -> Entry:
    return Entry(
        name=name,
        function=function,
        kind="LinearSystem",
        n=4096,
        constraints="none",
        best=None,
        source=source,
        parameters={"grid": (64, 64), **parameters, "boundary": "ghost", "seed": 0},
    )


def _regression(name: str, function: str, size: int, source: str, parameters: Mapping[str, Any]) -> Entry:
    return Entry(
        name=name,
        function=f"regression.{function}",
        kind="CompositeProblem",
        n=size,
        constraints="bounds" if "NONNEGATIVE" in name else "none",
        best=None,
        source=source,
        parameters=parameters,
    )


_SINGULAR = "The Hessian of the Lagrangian is singular at the solution: linear convergence of Newton's method."
_MANY = "Many solutions with the same value."

_EQUALITY = (
    _hock_schittkowski(6, 2, 1, 0.0, (1.0,)),
    _hock_schittkowski(7, 2, 1, -sqrt(3), (0.0, sqrt(3))),
    _hock_schittkowski(8, 2, 2, -1.0, ((sqrt(43) + sqrt(7)) / 2, (sqrt(43) - sqrt(7)) / 2), remarks=_MANY),
    _hock_schittkowski(9, 2, 1, -0.5, (-3.0, -4.0), remarks=_MANY),
    _hock_schittkowski(26, 3, 1, 0.0, (1.0,), remarks=_SINGULAR),
    _hock_schittkowski(27, 3, 1, 0.04, (-1.0, 1.0, 0.0)),
    _hock_schittkowski(28, 3, 1, 0.0, (0.5, -0.5, 0.5)),
    _hock_schittkowski(39, 4, 2, -1.0, (1.0, 1.0, 0.0, 0.0)),
    _hock_schittkowski(40, 4, 3, -0.25, (2 ** (-1 / 3), 2 ** (-1 / 2), 2 ** (-11 / 12), 2 ** (-1 / 4))),
    _hock_schittkowski(42, 4, 2, 28 - 10 * sqrt(2), (2.0, 2.0, 0.6 * sqrt(2), 0.8 * sqrt(2))),
    _hock_schittkowski(46, 5, 2, 0.0, (1.0,), remarks=_SINGULAR),
    _hock_schittkowski(
        47,
        5,
        3,
        -0.026714182693940765,
        (0.6770043948666403, 0.7260894726520322, 1.2154912142370975, 1.7513294192355415, 1.4770952856177322),
        remarks="The published value 0 belongs to the stationary point (1, 1, 1, 1, 1), which is no minimum.",
    ),
    _hock_schittkowski(48, 5, 2, 0.0, (1.0,)),
    _hock_schittkowski(49, 5, 2, 0.0, (1.0,), remarks=_SINGULAR),
    _hock_schittkowski(50, 5, 3, 0.0, (1.0,)),
    _hock_schittkowski(51, 5, 3, 0.0, (1.0,)),
    _hock_schittkowski(52, 5, 3, 1859 / 349, (-33 / 349, 11 / 349, 180 / 349, -158 / 349, 11 / 349)),
    _hock_schittkowski(
        56,
        7,
        4,
        -3.456,
        (2.4, 1.2, 1.2, asin(sqrt(4 / 7)), asin(sqrt(2 / 7)), asin(sqrt(2 / 7)), asin(1.0)),
        remarks=_MANY,
    ),
    _hock_schittkowski(
        61,
        3,
        2,
        -143.64614219778025,
        (5.326770135563928, -2.118998632218976, 3.2104642253505506),
        remarks="The Jacobian has rank one at the starting point.",
    ),
    _hock_schittkowski(
        77,
        5,
        2,
        0.24150512879017869,
        (1.1661721897092985, 1.1821113888027044, 1.3802570431454597, 1.5060362736230457, 0.6109201960430908),
    ),
    _hock_schittkowski(
        78,
        5,
        3,
        -2.91970040896368,
        (-1.7171435703943823, 1.5957096901835544, 1.8272457529271946, -0.7636430781841305, -0.7636430781841305),
    ),
    _hock_schittkowski(
        79,
        5,
        3,
        0.07877682087105692,
        (1.1911274563110514, 1.3626031649617423, 1.4728179315120877, 1.635016619167993, 1.6790814361664077),
    ),
    Entry(
        name="HS100LNP",
        function="hs.hs100lnp",
        n=7,
        m=2,
        best=680.630057374402,
        solution=(
            2.33049937287957,
            1.9513723728968888,
            -0.4775413923888716,
            4.36572623365581,
            -0.6244869705268175,
            1.0381310186079584,
            1.5942267116118685,
        ),
        source="Hock and Schittkowski 1981, problem 100, active constraints as equations (CUTEst)",
    ),
    _boggs_tolle(1, 2, 1, -1.0, (1.0, 0.0)),
    _boggs_tolle(2, 3, 1, 0.03256820039323778, (1.104859019978814, 1.1966741827589011, 1.5352622610879794)),
    _boggs_tolle(3, 5, 3, 176 / 43, (-33 / 43, 11 / 43, 27 / 43, -5 / 43, 11 / 43)),
    _boggs_tolle(
        4,
        3,
        2,
        -45.510550739890625,
        (2.284496601170847, -3.7208932557588126, 2.4363966545879654),
        remarks="Local minimum 3.289037706, near x0.",
    ),
    _boggs_tolle(
        5,
        3,
        2,
        952.1424944555412,
        (0.33200371503441256, 4.677654054417249, -1.7347409260166846),
        "The published value 961.7151721300521 is a local minimum, where runs from x0 end.",
    ),
    _boggs_tolle(
        6,
        5,
        2,
        0.2770447887679022,
        (1.2869318973474277, 1.4802353052688126, 1.3794544746808048, 1.321948145930954, 0.6287182232159736),
    ),
    _boggs_tolle(7, 5, 3, 306.5, (0.5, 2.0, 0.0, 3 / sqrt(2), 0.0), "Local minimum 360.379767."),
    _boggs_tolle(8, 5, 2, 1.0, (0.5, sqrt(0.75), 0.0, 0.5, 0.0), _MANY),
    _boggs_tolle(9, 4, 2, -1.0, (1.0, 1.0, 0.0, 0.0), "The same problem as HS39."),
    _boggs_tolle(10, 2, 2, -1.0, (1.0, 1.0)),
    _boggs_tolle(
        11,
        5,
        3,
        0.8248917782876659,
        (1.2675759591939144, 0.9653004612773716, 0.3510438155573085, -0.01364157609014763, -0.7324240408060856),
    ),
    _boggs_tolle(
        12,
        5,
        3,
        625 / 101,
        (2500 / 101, 25 / 101, 0.0, sqrt(6250625 / 101**2 - 25), sqrt(2500 / 101 - 2)),
    ),
    Entry(
        name="MARATOS",
        function="boggs_tolle.maratos",
        n=2,
        m=1,
        best=-1.0,
        solution=(1.0, 0.0),
        source="Maratos 1978",
        remarks="Full Newton steps are rejected by penalty functions that are not smooth.",
    ),
    _paper("SINVALNE", "sinvalne", 2, 2, (0.0,), "Xiao and Zhou 1992, problem 4.2"),
    _paper(
        "TRIGON1NE", "trigon1ne", 10, 10, (0.0,), "Trigonometric01 of global optimisation tests", parameters={"n": 10}
    ),
    _paper("HIMMELBE", "himmelbe", 3, 3, (1.0,), "Himmelblau 1972, problem 30"),
    _paper(
        "MOREBVNE",
        "morebvne",
        10,
        10,
        (
            -0.03508811835732972,
            -0.06531266317055313,
            -0.08978589163912372,
            -0.10741883337369511,
            -0.11685997808441857,
            -0.11640997549175941,
            -0.10390067687186774,
            -0.07651988451527612,
            -0.030551172120789276,
            0.03902330139825044,
        ),
        "More, Garbow and Hillstrom 1981, problem 28",
        parameters={"n": 10},
        remarks="The last equation is that of CUTEst.",
    ),
    _paper("DENSCHNCNE", "denschncne", 2, 2, (1.0,), "Dennis and Schnabel 1983, page 98"),
    _paper(
        "BA-L1",
        "ba_l1",
        57,
        12,
        None,
        "Agarwal, Snavely, Seitz and Szeliski 2010, data set Ladybug",
        remarks=f"The rotation is that of CUTEst. {_MANY}",
    ),
    Entry(
        name="LUKVLE1",
        function="scalable.lukvle1",
        n=1000,
        m=998,
        solution=(1.0,),
        source="Luksan and Vlcek 1999, problem 5.1",
        parameters={"n": 1000},
        remarks="Local minimum 6.232458632437989, where most runs from x0 end.",
    ),
    Entry(
        name="DTOC5",
        function="scalable.dtoc5",
        n=998,
        m=499,
        best=1.5347290485620924,
        source="Coleman and Liao 1995, problem 5",
        parameters={"periods": 500},
        remarks="Convex; 1.4519005669261107 for 10 periods.",
    ),
)

_BOUNDED = (
    _hock_schittkowski(1, 2, 0, 0.0, (1.0,), "bounds"),
    _hock_schittkowski(21, 2, 1, -99.96, (2.0, 0.0), "inequality"),
    _hock_schittkowski(35, 3, 1, 1 / 9, (12 / 9, 7 / 9, 4 / 9), "inequality"),
    _hock_schittkowski(43, 4, 3, -44.0, (0.0, 1.0, 2.0, -1.0), "inequality"),
    _hock_schittkowski(
        65, 3, 1, 0.953528856804783, (3.6504617252130362, 3.6504617252130362, 4.620417555320008), "inequality"
    ),
    _hock_schittkowski(
        71,
        4,
        2,
        17.0140172891563,
        (1.0, 4.742999637264417, 3.8211499841848737, 1.3794082931726723),
        "inequality",
    ),
    _hock_schittkowski(76, 4, 3, -103 / 22, (3 / 11, 23 / 11, 0.0, 6 / 11), "inequality"),
)

_OTHERS = (
    Entry(
        name="ROSENBROCK",
        function="unconstrained.rosenbrock",
        kind="SmoothProblem",
        n=2,
        constraints="none",
        solution=(1.0,),
        source="Rosenbrock 1960",
        parameters={"n": 2},
        remarks="For n = 4 to 30 there is a local minimum near (-1, 1, ..., 1).",
    ),
    Entry(
        name="POWELL SINGULAR",
        function="unconstrained.powell_singular",
        kind="SmoothProblem",
        n=4,
        constraints="none",
        solution=(0.0,),
        source="Powell 1962",
        parameters={"n": 4},
        remarks="The Hessian has half the rank at the solution.",
    ),
    Entry(
        name="BROYDEN TRIDIAGONAL",
        function="unconstrained.broyden_tridiagonal",
        kind="SmoothProblem",
        n=100,
        constraints="none",
        source="More, Garbow and Hillstrom 1981, problem 30",
        parameters={"n": 100},
    ),
    Entry(
        name="POISSON",
        function="poisson.poisson",
        kind="LinearSystem",
        n=1024,
        constraints="none",
        best=None,
        source="five and seven point differences, Dirichlet walls",
        parameters={"k": 32, "dims": 2},
        remarks="poisson.manufactured(k, dims) is the solution.",
    ),
)

_ON_GRIDS = (
    _grid("POISSON BOX", "poisson.box", "ghost walls, right-hand side noise"),
    _grid("POISSON OBSTACLES", "poisson.obstacles", "two balls and a box without flux"),
    _grid("HEAT STEP", "poisson.heat_step", "an implicit step of the heat equation", dt=1.0, solids=True),
    _grid("POISSON BLOCKS", "poisson.blocks", "conductivity 1 or 1e4 in random blocks", high=1e4, width=16),
    _grid("POISSON LAYERS", "poisson.layers", "conductivity 1 and 1e4 in layers", high=1e4, width=16, axis=0),
    _grid("POISSON CHANNELS", "poisson.channels", "channels of 1e4, one cell wide", high=1e4, every=16),
    _grid("POISSON ANISOTROPIC", "poisson.anisotropic", "conductivity 100 along one axis", ratio=100.0, axis=0),
    Entry(
        name="PLUME PRESSURE",
        function="plume.pressure",
        kind="LinearSystem",
        n=1536,
        constraints="none",
        best=None,
        source="the pressure of a smoke plume past a moving ball",
        parameters={"grid": (32, 48), "steps": 10, "swing": 0.15},
    ),
)

_BLOCKS = "Nutini, Laradji and Schmidt 2022, data set"
_LARGE = {"n": 1000, "p": 10_000}
_DRAWN = {"fraction": 0.1, "labels": False, "seed": 0}
_POWER = {"n": 2000, "p": 5000, "density": 5e-3, "k": 50, "snr": 5.0}

# fmt: off
_REGRESSIONS = (
    _regression("PAPER A", "paper_a", 10_000, f"{_BLOCKS} A", {**_LARGE, "fraction": 0.0, "seed": 1}),
    _regression("PAPER A NONNEGATIVE", "paper_a_nonnegative", 10_000, f"{_BLOCKS} A", {**_LARGE, "weight": 50_000.0, "seed": 1}),  # noqa: E501
    _regression("PAPER B", "paper_b", 10_000, f"{_BLOCKS} B", {**_LARGE, "fraction": 0.0, "seed": 2}),
    _regression("PAPER C", "paper_c", 50_000, f"{_BLOCKS} C", {"n": 1000, "p": 1000, "classes": 50, "fraction": 0.0, "seed": 3}),  # noqa: E501
    _regression("CORRELATED", "correlated", 5000, "correlations rho^|i - j|", {"n": 1000, "p": 5000, "rho": 0.9, "k": 50, "snr": 10.0, **_DRAWN}),  # noqa: E501
    _regression("SPARSE SYNTHETIC", "sparse_synthetic", 5000, "sizes of columns by a power law", {**_POWER, **_DRAWN}),
)
# fmt: on

_ENTRIES = {item.name: item for item in (*_EQUALITY, *_BOUNDED, *_OTHERS, *_ON_GRIDS, *_REGRESSIONS)}
