"""What the contract tests share: parametrisation over the cases, runs, comparison of bits, hooks in user functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent.problems import LinearSystem
from resolvent.problems.base import Problem
from resolvent.solvers.base import is_cache
from tests.cases import CASES, Case

__all__ = [
    "arrays_in",
    "calls_of",
    "elsewhere",
    "every",
    "has_residual",
    "hooked",
    "in_steps",
    "run",
    "same",
    "those",
    "without_run",
]

every = pytest.mark.parametrize("case", CASES, ids=repr)


def those(condition: Any) -> Any:
    """Parametrise over the cases that satisfy a condition."""
    chosen = [case for case in CASES if condition(case)]
    assert chosen, "no case left: the test would test nothing"
    return pytest.mark.parametrize("case", chosen, ids=repr)


def has_residual(case: Case) -> bool:
    """Whether the problem defines a residual and the run ends by it."""
    return case.stop.named


def in_steps(case: Case) -> bool:
    """Whether a run takes more than one step, so that something can happen between two of them."""
    return not case.direct


def run(case: Case, problem: Problem | None = None, start: Any = None, **options: Any) -> rs.Result:
    """Solve the problem of the case, or another one, as the case says."""
    options = {"stop": case.stop, **options}
    return rs.solve(case.problem() if problem is None else problem, case.solver, start, **options)


def elsewhere(x: Any) -> Any:
    """Return another point near x, None for operators."""
    if isinstance(x, tuple):
        return tuple(elsewhere(part) for part in x)
    return 0.9 * x + 0.05 if isinstance(x, np.ndarray) else None


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    """Yield the arrays inside of nested values; cache fields are left out."""
    if isinstance(value, np.ndarray):
        yield value
    elif sp.issparse(value):
        yield from (value.data, value.indices, value.indptr)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from arrays_in(part)
    elif isinstance(value, dict):
        yield from arrays_in(list(value.values()))
    elif is_dataclass(value) and not isinstance(value, Problem):
        yield from arrays_in([getattr(value, f.name) for f in fields(value) if not is_cache(f)])


def same(a: Any, b: Any) -> bool:
    """Whether two nested values have the same types and the same bits; cache fields are left out."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, np.random.Generator):
        return bool(a.bit_generator.state == b.bit_generator.state)
    if sp.issparse(a):
        return a.shape == b.shape and same(list(arrays_in(a)), list(arrays_in(b)))
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(same(u, v) for u, v in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if not is_cache(f))
    return bool(a == b) or (a != a and b != b)


def without_run(state: Any) -> Any:
    """Return a copy of a state without the clock and the limits of its run, for comparisons."""
    twin = state.copy()
    twin.run, twin.atol, twin.rtol, twin.limit = None, 0.0, 0.0, 0.0
    return twin


class Hooked:
    """A matrix whose products with vectors go through a hook."""

    def __init__(self, A: Any, hook: Any) -> None:
        self.A, self.hook = A, hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self.A, name)

    def __matmul__(self, v: Any) -> Any:
        return self.hook("apply", lambda v: self.A @ v, (v,)) if isinstance(v, np.ndarray) else self.A @ v


def hooked(case: Case, hook: Any) -> Any:
    """Return a fresh problem whose user functions are called as ``hook(name, function, args)``."""
    problem = case.problem()
    if isinstance(problem, LinearSystem):
        return problem.replace(A=Hooked(problem.A, hook))

    def wrapped(name: str) -> Any:
        function = getattr(problem, name).function
        return lambda *args: hook(name, function, args)

    return problem.replace(**{name: wrapped(name) for name in case.functions})


def calls_of(case: Case, work: Any) -> Counter[str]:
    """Return how often `work(problem)` calls each function of the user."""
    calls: Counter[str] = Counter()

    def hook(name: str, function: Any, args: Any) -> Any:
        calls[name] += 1
        return function(*args)

    problem = hooked(case, hook)
    calls.clear()
    work(problem)
    return calls
