"""Formulas as graphs: arithmetic on vectors that are not known yet, and the straight-line code that does it later.

A *value* is a number, an array with one entry for each element of a block, or an `Expression` that depends on the
variables. Arithmetic on known values is done at once. The rest is recorded, equal expressions once, so that a value,
its gradient and its Hessian share what they have in common. Only rewritings that keep every value up to rounding are
made::

    0 + a = a     1 a = a     0 a = 0     -(-a) = a     a + b = b + a     a ** 3 = a a a     a ** -1 = 1 / a

`generator` turns expressions into one Python generator function. It yields the outputs of one stage after the other
(values, first derivatives, second derivatives) and keeps what they share between two stages.
"""

from __future__ import annotations

from collections import Counter
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
        self._known: dict[Any, float | Array] = {}
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
            coefficient, inner = self.factor(value.args[0])
            return self._evaluate("negative", (coefficient,)), inner
        if value.op in ("*", "/"):
            (a, left), (b, right) = (self.factor(arg) for arg in value.args)
            core = self.apply(value.op, 1.0 if left is None else left, 1.0 if right is None else right)
            if isinstance(core, Expression):
                return self._evaluate(value.op, (a, b)), core
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
        key = (op, *(sorted(keys) if op in ("+", "*") else keys))
        if key not in self._made:
            self._made[key] = Expression(len(self._made), op, args)
        return self._made[key]

    def _key(self, value: Any) -> tuple[str, int, str]:
        if isinstance(value, Expression):
            return ("expression", value.index, "")
        if isinstance(value, np.ndarray):
            self._arrays[id(value)] = value
            return ("array", id(value), "")
        return ("number", 0, repr(value))

    def _evaluate(self, op: str, args: tuple[Any, ...]) -> float | Array:
        """Compute with known values, once for each: equal results must be one array to be recognised as equal."""
        key = (op, *(self._key(arg) for arg in args))
        if key not in self._known:
            function = np.negative if op == "negative" else _OPERATORS.get(op) or FUNCTIONS[op]
            with np.errstate(all="ignore"):
                result = function(*args)
            self._known[key] = result if np.ndim(result) else result[()].item()
        return self._known[key]


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
    """Writes the text of the generator function: a line for what is used twice, or else nested too deep."""

    def __init__(self, stages: Sequence[Sequence[Expression]]) -> None:
        self.arrays: dict[str, Array] = {}
        self._written: dict[int, tuple[str, int]] = {}  # text and depth of what is known by now
        everything = _needed([expression for stage in stages for expression in stage])
        self._uses = Counter(expression.index for stage in stages for expression in stage)
        self._uses.update(arg.index for made in everything for arg in made.args if isinstance(arg, Expression))
        self._lines = ["def values(x):"]
        for stage in stages:
            for expression in _needed(stage):
                if expression.index not in self._written:
                    self._write(expression)
            outputs = "".join(f"{self._operand(expression)[0]}, " for expression in stage)
            self._lines.append(f"    yield ({outputs})")
        self.text = "\n".join(self._lines) + "\n"

    def _write(self, expression: Expression) -> None:
        text, depth = self._text(expression)
        if expression.op == "variable" or self._uses[expression.index] > 1 or depth > _DEEPEST:
            name = f"v{expression.index}"
            self._lines.append(f"    {name} = {text}")
            text, depth = name, 0
        self._written[expression.index] = text, depth

    def _text(self, expression: Expression) -> tuple[str, int]:
        if expression.op == "variable":
            return f"x[{expression.args[0]}]", 0
        operands, depths = zip(*map(self._operand, expression.args), strict=True)
        depth = 1 + max(depths)
        if expression.op == "negative":
            return f"(-{operands[0]})", depth
        if expression.op in _OPERATORS:
            return f"({operands[0]} {expression.op} {operands[1]})", depth
        return f"{expression.op}({', '.join(operands)})", depth

    def _operand(self, value: Any) -> tuple[str, int]:
        if isinstance(value, Expression):
            return self._written[value.index]
        if isinstance(value, np.ndarray):
            name = f"c{id(value)}"
            self.arrays[name] = value
            return name, 0
        return f"({value!r})", 0


def _needed(outputs: Sequence[Expression]) -> list[Expression]:
    """Return the expressions that the outputs consist of, each after those that it needs."""
    found: dict[int, Expression] = {}
    waiting: list[Any] = list(outputs)
    while waiting:
        value = waiting.pop()
        if isinstance(value, Expression) and value.index not in found:
            found[value.index] = value
            waiting += value.args
    return [found[index] for index in sorted(found)]
