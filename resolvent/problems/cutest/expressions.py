"""Formulas as graphs: arithmetic on vectors that are not known yet, and the straight-line code that does it later.

A *value* is a number, an array with one entry for each element of a block, or an `Expression` that depends on the
variables. Arithmetic on known values is done at once. The rest is recorded, equal expressions once, so that a value, its
gradient and its Hessian share what they have in common. Only rewritings that keep every value up to rounding are made::

    0 + a = a     1 a = a     0 a = 0     -(-a) = a     a + b = b + a     a ** 3 = a a a     a ** -1 = 1 / a

`generator` turns expressions into one Python generator function. It yields the outputs of one stage after the other
(values, first derivatives, second derivatives) and keeps what they share between two stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from resolvent.typing import Array

__all__ = ["FUNCTIONS", "Expression", "Graph", "Value", "Values"]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in (
        "absolute",
        "arccos",
        "arcsin",
        "arctan",
        "arctan2",
        "cos",
        "cosh",
        "exp",
        "log",
        "log10",
        "logical_and",
        "logical_not",
        "logical_or",
        "maximum",
        "minimum",
        "mod",
        "sign",
        "sin",
        "sinh",
        "sqrt",
        "tan",
        "tanh",
        "where",
    )
}
"""Functions of values, by their NumPy names."""

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_LARGEST_POWER = 8
_DEEPEST = 12
"""Expressions nested deeper than this get a line of their own (the parser of Python has a limit)."""


class Expression:
    """A recorded operation; made by `Graph` alone, which makes equal ones once."""

    __slots__ = ("args", "index", "op")

    def __init__(self, index: int, op: str, args: tuple[Any, ...]) -> None:
        self.index, self.op, self.args = index, op, args


Value: TypeAlias = float | Array | Expression
Values: TypeAlias = Callable[[Sequence[Array]], Iterator[tuple[Array, ...]]]
"""What `Graph.generator` makes: from the variables to the outputs, stage after stage."""


class Graph:
    """The expressions of one block of elements."""

    def __init__(self) -> None:
        self._made: dict[Any, Expression] = {}
        self._known: dict[Any, Value] = {}
        self._arrays: dict[int, Array] = {}  # keeps the arrays alive whose ids stand in the keys

    def variable(self, i: int) -> Expression:
        """Return the variable number i."""
        return self._record("variable", (i,))

    def apply(self, op: str, *args: Value) -> Value:
        """Return `op` of the values; `op` is an operator of Python, "negative" or a name in `FUNCTIONS`."""
        if not any(isinstance(arg, Expression) for arg in args):
            return self._evaluate(op, args)
        simpler = _SIMPLIFIED.get(op)
        if simpler is not None:
            value = simpler(self, *args)
            if value is not None:
                return value
        return self._record(op, args)

    def power(self, base: Value, exponent: int) -> Value:
        """Return base ** exponent, exponent > 0, as products of halves."""
        if exponent == 1:
            return base
        half = self.power(base, exponent // 2)
        square = self.apply("*", half, half)
        return square if exponent % 2 == 0 else self.apply("*", square, base)

    def factor(self, value: Value) -> tuple[float | Array, Expression | None]:
        """Return (coefficient, core) with value = coefficient * core, all that is known in the coefficient.

        The core is None where the value is known.
        """
        if not isinstance(value, Expression):
            return value, None
        if value.op == "negative":
            coefficient, core = self.factor(value.args[0])
            return self._number("negative", coefficient), core
        if value.op in "*/":
            (a, left), (b, right) = (self.factor(arg) for arg in value.args)
            core = self.apply(value.op, 1.0 if left is None else left, 1.0 if right is None else right)
            if isinstance(core, Expression):
                return self._number(value.op, a, b), core
        return 1.0, value

    def generator(self, stages: Sequence[Sequence[Expression]]) -> Values:
        """Return a generator function from the variables to the values of the expressions of each stage.

        Each stage is yielded as a tuple of arrays. Cost of a call: one NumPy operation for each expression that is
        not shared; what a later stage needs alone waits for it.
        """
        writer = _Writer(stages)
        namespace: dict[str, Any] = {**FUNCTIONS, **writer.arrays, "inf": np.inf, "nan": np.nan}
        exec(compile(writer.text, "<formula>", "exec"), namespace)
        made: Values = namespace["values"]
        return made

    def _record(self, op: str, args: tuple[Any, ...]) -> Expression:
        keys = [self._key(arg) for arg in args]
        key = (op, *(sorted(keys) if op in "+*" else keys))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = Expression(len(self._made), op, args)
        return found

    def _key(self, value: Any) -> tuple[str, int, str]:
        if isinstance(value, Expression):
            return ("expression", value.index, "")
        if isinstance(value, np.ndarray):
            self._arrays[id(value)] = value
            return ("array", id(value), "")
        return ("number", 0, repr(value))

    def _evaluate(self, op: str, args: tuple[Any, ...]) -> Value:
        """Compute with known values, once for each: equal results must be one array to be recognised as equal."""
        key = (op, *(self._key(arg) for arg in args))
        found = self._known.get(key)
        if found is None:
            function = np.negative if op == "negative" else _OPERATORS.get(op) or FUNCTIONS[op]
            with np.errstate(all="ignore"):
                result = function(*args)
            found = self._known[key] = result if np.ndim(result) else result[()].item()
        return found

    def _number(self, op: str, *args: float | Array) -> float | Array:
        value = self._evaluate(op, args)
        assert not isinstance(value, Expression)
        return value


def _is(value: Value, number: float) -> bool:
    """Whether the value is known to be this one number; an array of equal entries was made a number before."""
    return isinstance(value, float | int) and value == number


def _sum(graph: Graph, a: Value, b: Value) -> Value | None:
    if _is(a, 0):
        return b
    if _is(b, 0):
        return a
    if isinstance(b, Expression) and b.op == "negative":
        return graph.apply("-", a, b.args[0])
    return None


def _difference(graph: Graph, a: Value, b: Value) -> Value | None:
    if _is(a, 0):
        return graph.apply("negative", b)
    if _is(b, 0):
        return a
    if isinstance(b, Expression) and b.op == "negative":
        return graph.apply("+", a, b.args[0])
    return None


def _product(graph: Graph, a: Value, b: Value) -> Value | None:
    for one, other in ((a, b), (b, a)):
        if _is(one, 0):
            return 0.0
        if _is(one, 1):
            return other
        if _is(one, -1):
            return graph.apply("negative", other)
    return None


def _quotient(graph: Graph, a: Value, b: Value) -> Value | None:
    if _is(a, 0):
        return 0.0
    return a if _is(b, 1) else None


def _negative(graph: Graph, a: Value) -> Value | None:
    return a.args[0] if isinstance(a, Expression) and a.op == "negative" else None


def _power(graph: Graph, base: Value, exponent: Value) -> Value | None:
    if not isinstance(exponent, float | int):
        return None
    if exponent == 0.5:
        return graph.apply("sqrt", base)
    if exponent == 0:
        return 1.0
    if abs(exponent) > _LARGEST_POWER or exponent != int(exponent):
        return None
    if exponent > 0:
        return graph.power(base, int(exponent))
    return graph.apply("/", 1.0, graph.power(base, -int(exponent)))


def _choice(graph: Graph, condition: Value, yes: Value, no: Value) -> Value | None:
    if isinstance(condition, bool):
        return yes if condition else no
    return yes if yes is no else None


_SIMPLIFIED: dict[str, Callable[..., Value | None]] = {
    "+": _sum,
    "-": _difference,
    "*": _product,
    "/": _quotient,
    "**": _power,
    "negative": _negative,
    "where": _choice,
}


class _Writer:
    """Writes the text of the generator function."""

    def __init__(self, stages: Sequence[Sequence[Expression]]) -> None:
        self.arrays: dict[str, Array] = {}
        self._names: dict[int, str] = {}
        self._uses: dict[int, int] = {}
        self._lines = ["def values(x):"]
        self._shallow: dict[int, int] = {}
        for expression in (expression for stage in stages for expression in stage):
            self._count(expression)
        for stage in stages:
            outputs = [self._operand(expression) for expression in stage]
            self._lines.append(f"    yield ({', '.join(outputs)}{',' if len(outputs) == 1 else ''})")
        self.text = "\n".join(self._lines) + "\n"

    def _count(self, expression: Expression) -> None:
        """Count how often each expression is wanted; outputs count too."""
        self._uses[expression.index] = self._uses.get(expression.index, 0) + 1
        if self._uses[expression.index] == 1:
            for arg in expression.args:
                if isinstance(arg, Expression):
                    self._count(arg)

    def _operand(self, value: Any) -> str:
        """Return the text for a value; what is used again becomes a line and a name."""
        if isinstance(value, np.ndarray):
            name = f"c{id(value)}"
            self.arrays[name] = value
            return name
        if not isinstance(value, Expression):
            return f"({value!r})"
        if value.index in self._names:
            return self._names[value.index]
        text, depth = self._text(value)
        if value.op != "variable" and self._uses[value.index] == 1 and depth < _DEEPEST:
            self._shallow[value.index] = depth
            return text
        name = f"v{value.index}"
        self._lines.append(f"    {name} = {text}")
        self._names[value.index] = name
        return name

    def _text(self, value: Expression) -> tuple[str, int]:
        if value.op == "variable":
            return f"x[{value.args[0]}]", 0
        operands = [self._operand(arg) for arg in value.args]
        inside = [self._shallow.get(arg.index, 0) for arg in value.args if isinstance(arg, Expression)]
        depth = 1 + max(inside, default=0)
        if value.op == "negative":
            return f"(-{operands[0]})", depth
        if value.op in _OPERATORS:
            return f"({operands[0]} {value.op} {operands[1]})", depth
        return f"{value.op}({', '.join(operands)})", depth
