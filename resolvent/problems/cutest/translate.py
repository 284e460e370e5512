"""From the text of a formula in a problem file to values, gradients and Hessians as expressions.

A formula is a static method of one shape: assignments, then `f_`, and under ``if nargout>1`` the gradient `g_` and the
Hessian `H_`, entry by entry. It is *read*, statement by statement, with expressions in place of numbers, and never
run. A branch ``if FLAG != 0: A = ...`` becomes a choice between the new and the old value of A, so that one pass serves
all elements at once.

Where an element has a range transformation U (few internal variables v = U x of many x), derivatives stay those with
respect to v. `compile` puts U into the sums that form gradients and Hessians.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from resolvent.problems.cutest.expressions import FUNCTIONS, Graph, Value
from resolvent.typing import Array

__all__ = ["Formula", "Untranslatable", "parse", "translate"]

_BINARY: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_COMPARED: dict[type[ast.cmpop], str] = {
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_RENAMED = {"abs": "absolute", "max": "maximum", "min": "minimum"}
_IGNORED = ("dim", "iel_", "igr_")
"""Names that formulas set and only use to find sizes and parameters."""


class Untranslatable(Exception):
    """The formula holds something outside the vocabulary; it has to be called as it is."""


@dataclass
class Formula:
    """A formula in one block of elements, or of groups.

    Attributes
    ----------
    graph : Graph
    value : Value
    gradient : dict
        Internal variable -> derivative, where it is not zero.
    hessian : dict
        (i, j) with i >= j -> second derivative, where it is not zero.
    transformation : array (internal, variables)
        U; the identity where the formula has none.
    """

    graph: Graph
    value: Value
    gradient: dict[int, Value]
    hessian: dict[tuple[int, int], Value]
    transformation: Array


@dataclass
class _Entries:
    """An array of zeros that a formula fills entry by entry."""

    entries: dict[tuple[int, ...], Value] = field(default_factory=dict)
    transformed: bool = False

    def of(self, key: tuple[int, ...]) -> Value:
        return self.entries.get(key, 0.0)


class _Variables:
    """The name EV_: the variables of the element."""


_Environment: TypeAlias = dict[str, Any]


def parse(formulas: str) -> dict[str, ast.FunctionDef]:
    """Return the functions in the text of formulas, which is the end of a class."""
    functions = ast.parse("class formulas:\n    pass\n" + formulas).body[0]
    assert isinstance(functions, ast.ClassDef)
    return {function.name: function for function in functions.body if isinstance(function, ast.FunctionDef)}


def translate(
    function: ast.FunctionDef, size: int, parameters: Sequence[float | Array], shared: Array, *, group: bool = False
) -> Formula:
    """Return the formula with its parameters put in.

    Parameters
    ----------
    function : ast.FunctionDef
    size : int
        Number of variables; 1 for a group.
    parameters : sequence of float or array (elements,)
        One parameter each, for all elements of the block.
    shared : array
        The numbers that all formulas share.
    group : bool, optional
        The formula is one of a group, a function of the single variable GVAR_.

    Raises
    ------
    Untranslatable
    """
    if not function.args.args:
        raise Untranslatable("a function without arguments")
    reading = _Reading(function.args.args[0].arg, size, parameters, shared, group)
    try:
        reading.run(function.body)
        return reading.formula()
    except (KeyError, IndexError) as error:  # a name, entry or parameter that is used before it is set
        raise Untranslatable(f"{error!r} is missing") from error


class _Reading:
    """The state of reading one formula: what each name stands for so far."""

    def __init__(self, owner: str, size: int, parameters: Sequence[float | Array], shared: Array, group: bool) -> None:
        self.owner, self.size, self.parameters, self.shared, self.group = owner, size, parameters, shared, group
        self.graph = Graph()
        self.names: _Environment = {}

    # ---- statements

    def run(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            match statement:
                case ast.Import() | ast.Return():
                    pass
                case ast.Try() if self._sets_ignored(statement.body):
                    pass
                case ast.Assign(targets=[target], value=value):
                    self.assign(target, value)
                case ast.If():
                    self.branch(statement)
                case _:
                    raise Untranslatable(ast.unparse(statement))

    def _sets_ignored(self, body: Sequence[ast.stmt]) -> bool:
        return all(
            isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) in _IGNORED for statement in body
        )

    def branch(self, statement: ast.If) -> None:
        if ast.unparse(statement.test) in ("nargout > 1", "nargout > 2"):
            self.run(statement.body)
        elif ast.unparse(statement.test) != "nargout == 1":  # the returns at the end
            self.choose(statement)

    def choose(self, statement: ast.If) -> None:
        """Read ``if condition: NAME = ...`` as a choice for each element."""
        condition = self.number(statement.test)
        for body, holds in ((statement.body, condition), (statement.orelse, self._not(condition))):
            for inner in body:
                match inner:
                    case ast.Assign(targets=[ast.Name(id=name)], value=value):
                        new, old = self.number(value), self.names.get(name)
                        self.names[name] = new if old is None else self.graph.apply("where", holds, new, old)
                    case _:
                        raise Untranslatable(ast.unparse(inner))

    def _not(self, condition: Value) -> Value:
        return self.graph.apply("logical_not", condition)

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        match target:
            case ast.Name(id=name) if name in _IGNORED:
                pass
            case ast.Name(id=name):
                self.names[name] = self.evaluate(value)
            case ast.Subscript(value=ast.Name(id=name), slice=key):
                filled = self.names[name]
                if not isinstance(filled, _Entries) or filled.transformed:
                    raise Untranslatable(f"{name} is filled in an unknown way")
                filled.entries[self.key(key)] = self.number(value)
            case _:
                raise Untranslatable(ast.unparse(target))

    # ---- expressions

    def number(self, node: ast.expr) -> Value:
        """Return the value of an expression that must be a number."""
        value = self.evaluate(node)
        if isinstance(value, _Entries | _Variables):
            raise Untranslatable(f"{ast.unparse(node)} is an array")
        result: Value = value
        return result

    def evaluate(self, node: ast.expr) -> Any:
        apply = self.graph.apply
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                return self.names[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return apply("negative", self.number(operand))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.number(operand)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._not(self.number(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return apply(_BINARY[type(op)], self.number(left), self.number(right))
            case ast.BoolOp(op=op, values=values):
                return self.both(op, values)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARED:
                return self.compare(_COMPARED[type(op)], left, right)
            case ast.Subscript():
                return self.subscript(node)
            case ast.Call(func=function, args=args, keywords=[]):
                return self.call(function, args)
        raise Untranslatable(ast.unparse(node))

    def both(self, op: ast.boolop, values: Sequence[ast.expr]) -> Value:
        name = "logical_and" if isinstance(op, ast.And) else "logical_or"
        found = self.number(values[0])
        for value in values[1:]:
            found = self.graph.apply(name, found, self.number(value))
        return found

    def compare(self, op: str, left: ast.expr, right: ast.expr) -> Value:
        """Read a comparison; ``FLAG != 0`` and ``FLAG == 0`` with a condition FLAG are the flag and its opposite."""
        a, b = self.number(left), self.number(right)
        if isinstance(left, ast.Name) and isinstance(b, float) and b == 0 and op in ("==", "!="):
            return a if op == "!=" else self._not(a)
        return self.graph.apply(op, a, b)

    def subscript(self, node: ast.Subscript) -> Any:
        match node.value, node.slice:
            case ast.Name(id="args"), ast.Constant(value=0):
                return self.graph.variable(0) if self.group else _Variables()
            case ast.Subscript(value=array), ast.Constant(value=int() as i) if self._is_owned(array, "elpar", "grpar"):
                return self.parameters[i]
            case array, ast.Constant(value=int() as i) if self._is_owned(array, "efpar", "gfpar"):
                return float(self.shared[i])
            case ast.Name(id=name), key:
                return self.entry(self.names[name], key)
        raise Untranslatable(ast.unparse(node))

    def _is_owned(self, node: ast.expr, *names: str) -> bool:
        """Whether it is an attribute with one of these names of the problem, which most files call self."""
        return isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == self.owner

    def entry(self, array: Any, node: ast.expr) -> Value:
        key = self.key(node)
        if isinstance(array, _Entries) and not array.transformed:
            return array.of(key)
        if isinstance(array, _Variables) and key[0] < self.size and key[1:] in ((), (0,)):
            return self.graph.variable(key[0])
        raise Untranslatable(ast.unparse(node))

    def key(self, node: ast.expr) -> tuple[int, ...]:
        match node:
            case ast.Constant(value=int() as i):
                return (i,)
            case ast.Tuple(elts=parts):
                return tuple(self.key(part)[0] for part in parts)
        raise Untranslatable(f"index {ast.unparse(node)}")

    def call(self, function: ast.expr, args: Sequence[ast.expr]) -> Any:
        text = ast.unparse(function)
        name = text.removeprefix("np.")
        name = _RENAMED.get(name, name)
        if name in FUNCTIONS:
            return self.graph.apply(name, *(self.number(arg) for arg in args))
        match text, args:
            case "np.zeros", _:
                return _Entries()
            case "to_scalar", [value]:
                return self.evaluate(value)
            case "U_.T.dot", [ast.Name(id="g_" as filled)]:
                return self.transformed(filled)
            case "U_.T.dot(H_).dot", [ast.Name(id="U_")]:
                return self.transformed("H_")
            case _, [ast.Name(id="EV_")]:
                return self.internal(function)
        raise Untranslatable(text)

    # ---- range transformations, and what was found

    def internal(self, function: ast.expr) -> Value:
        """Return one row of U x, which is written ``U_[i:i+1, :].dot(EV_)``."""
        match function:
            case ast.Attribute(
                value=ast.Subscript(
                    value=ast.Name(id="U_"),
                    slice=ast.Tuple(elts=[ast.Slice(lower=ast.Constant(value=int() as row)), _]),
                ),
                attr="dot",
            ):
                pass
            case _:
                raise Untranslatable(ast.unparse(function))
        total: Value = 0.0
        for (i, j), weight in self.names["U_"].entries.items():
            if i == row:
                total = self.graph.apply("+", total, self.graph.apply("*", weight, self.graph.variable(j)))
        return total

    def transformed(self, name: str) -> _Entries:
        """Note that a derivative is taken back to the variables of the element."""
        filled: _Entries = self.names[name]
        filled.transformed = True
        return filled

    def transformation(self) -> Array:
        filled = self.names.get("U_")
        if filled is None:
            return np.eye(self.size)
        rows = 1 + max(row for row, _ in filled.entries)
        matrix = np.zeros((rows, self.size))
        for key, value in filled.entries.items():
            if not isinstance(value, float):
                raise Untranslatable("U_ depends on parameters")
            matrix[key] = value
        return matrix

    def formula(self) -> Formula:
        transformation = self.transformation()
        gradient, hessian = self.names["g_"], self.names["H_"]
        if self.group:
            return Formula(
                self.graph, self.names["f_"], _nonzero({0: gradient}), _nonzero({(0, 0): hessian}), transformation
            )
        if not (isinstance(gradient, _Entries) and isinstance(hessian, _Entries)):
            raise Untranslatable("g_ or H_ is no array")
        if gradient.transformed != ("U_" in self.names) or hessian.transformed != gradient.transformed:
            raise Untranslatable("U_ is not applied to both derivatives")
        lower: dict[tuple[int, int], Value] = {}
        for i, j in hessian.entries:
            lower[max(i, j), min(i, j)] = value = hessian.of((i, j))
            if not _same(value, hessian.of((j, i))):
                raise Untranslatable("H_ is not symmetric")
        first = {i: value for (i,), value in gradient.entries.items()}
        return Formula(self.graph, self.names["f_"], _nonzero(first), _nonzero(lower), transformation)


def _nonzero(entries: dict[Any, Value]) -> dict[Any, Value]:
    return {key: value for key, value in entries.items() if not (isinstance(value, float) and value == 0)}


def _same(a: Value, b: Value) -> bool:
    return a is b or (isinstance(a, float) and isinstance(b, float) and a == b)
