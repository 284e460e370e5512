"""Peers: solvers of other libraries, so that a suite can say how good ours are.

An adapter is a function ``(problem, stop, watch) -> Answer``. It calls the problem's own functions, which count
themselves, derives the peer's tolerances from the suite's, and returns what the peer returned; whether that is any
good is for the judge to say. `watch` is the peer's callback: it counts iterations and ends the run at the time limit.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from resolvent.problems.base import Problem
from resolvent.problems.linear import LinearSystem
from resolvent.problems.nlp import NLP
from resolvent.problems.smooth import SmoothProblem
from resolvent.solvers.stop import Status, Stop
from resolvent.typing import Array

__all__ = ["PEERS", "Answer", "Peer", "solve_with_peer"]


class Answer(NamedTuple):
    """What a peer returned: (x,) or (x, y), how it says that it ended, and in which words."""

    certificate: tuple[Array, ...]
    status: Status
    message: str
    iterations: int


class OutOfTime(Exception):
    """The time limit was reached inside a peer."""


class Watch:
    """The callback of a peer: it counts iterations, keeps the last point and raises OutOfTime at the limit."""

    def __init__(self, seconds: float, x0: Array) -> None:
        self.end = perf_counter() + seconds
        self.x, self.iterations = x0, 0

    def __call__(self, x: Array, *others: Any) -> None:
        self.iterations += 1
        self.x = np.array(x)
        if perf_counter() >= self.end:
            raise OutOfTime


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A solver of another library.

    Attributes
    ----------
    name : str
    solves : type
        The problem class it takes.
    package : str
        What has to be installed.
    refuses : tuple of str
        Features of a problem that it cannot take.
    settings : str
        How it is called, for the report.
    module : str
        What its adapter imports; done in `warm_up`, before the clock.
    run : callable
    """

    name: str
    solves: type[Problem]
    package: str
    refuses: tuple[str, ...] = ()
    settings: str
    module: str
    run: Callable[[Any, Stop, Watch], Answer]

    @property
    def missing(self) -> str:
        """Why it cannot run; nothing where it can."""
        if importlib.util.find_spec(self.package) is not None:
            return ""
        return f"{self.name} needs {self.package}: pip install {self.package}"

    def warm_up(self, problem: Any) -> None:
        """Import what it needs."""
        importlib.import_module(self.module)

    def objection(self, problem: Any) -> str:
        """Return why it cannot take a problem; nothing where it can."""
        if not isinstance(problem, self.solves):
            return f"{self.name} solves {self.solves.__name__}, got {type(problem).__name__}"
        refused = sorted(problem.features() & set(self.refuses))
        return f"{self.name} cannot take {' or '.join(refused)}" if refused else ""


def solve_with_peer(peer: Peer, problem: Any, stop: Stop) -> Answer:
    """Run a peer from the problem's x0. At the time limit the last point it told of is its answer."""
    x0, _ = problem.point()
    seconds = float("inf") if stop.seconds is None else stop.seconds
    watch = Watch(seconds, x0)
    try:
        return peer.run(problem, stop, watch)
    except OutOfTime:
        return Answer((watch.x,), Status.SECONDS, f"limit of {seconds:g} s reached", watch.iterations)


# ---- SciPy


def _tolerance(stop: Stop) -> float:
    """Return atol + rtol, the suite's tolerance where the scale is 1; the scale of an NLP is at least that."""
    return (stop.atol or 0.0) + (stop.rtol or 0.0)


def _answer(found: Any, *certificate: Array) -> Answer:
    message = str(found.message)
    limit = "iteration" in message.lower() and not found.success
    status = Status.CONVERGED if found.success else Status.ITERATIONS if limit else Status.STALLED
    return Answer(certificate, status, message, int(found.nit))


def _most(stop: Stop, usual: int) -> int:
    return int(min(stop.iterations or usual, usual))


def _trust_constr(problem: NLP, stop: Stop, watch: Watch) -> Answer:
    from scipy.optimize import Bounds, NonlinearConstraint, minimize

    p, none = problem, np.zeros(problem.m)
    hessian = p.lagrangian_hessian
    second = {} if hessian is None else {"hess": lambda x, v: hessian(x, v, 0.0)}
    limits = (p.constraint_lower, p.constraint_upper)
    rows = [NonlinearConstraint(p.constraint, *limits, jac=p.jacobian, **second)] if p.m else []
    found = minimize(
        p.objective,
        watch.x,
        method="trust-constr",
        jac=p.gradient,
        hess=None if hessian is None else lambda x: hessian(x, none),
        constraints=rows,
        bounds=Bounds(p.lower, p.upper) if "bounds" in p.features() else None,
        callback=watch,
        options={"gtol": _tolerance(stop) / sqrt(p.n + p.m), "xtol": 1e-12, "maxiter": _most(stop, 10**9)},
    )
    return _answer(found, found.x, np.asarray(found.v[0]) if p.m else none)


def _slsqp(problem: NLP, stop: Stop, watch: Watch) -> Answer:
    from scipy.optimize import Bounds, minimize

    p = problem
    rows = []
    equal = p.constraint_lower == p.constraint_upper
    for kind, chosen, bound, sign in (
        ("eq", equal, p.constraint_lower, 1.0),
        ("ineq", ~equal & np.isfinite(p.constraint_lower), p.constraint_lower, 1.0),
        ("ineq", ~equal & np.isfinite(p.constraint_upper), p.constraint_upper, -1.0),
    ):
        if chosen.any():
            rows.append(_dense_rows(p, kind, chosen, bound, sign))
    bounds = Bounds(p.lower, p.upper) if "bounds" in p.features() else None
    options = {"ftol": max(_tolerance(stop) ** 2, 1e-14), "maxiter": _most(stop, 3000)}
    f, x0, g = p.objective, watch.x, p.gradient
    found = minimize(f, x0, (), "SLSQP", g, constraints=rows, bounds=bounds, callback=watch, options=options)
    return _answer(found, found.x)


def _dense_rows(p: NLP, kind: str, chosen: Array, bound: Array, sign: float) -> dict[str, Any]:
    constraint, jacobian = p.constraint, p.jacobian
    assert constraint is not None
    assert jacobian is not None

    def rows(x: Array) -> Array:
        J = jacobian(x)
        dense: Array = (J.toarray() if hasattr(J, "toarray") else J)[chosen]
        return sign * dense

    return {"type": kind, "fun": lambda x: sign * (constraint(x) - bound)[chosen], "jac": rows}


def _lbfgsb(problem: SmoothProblem, stop: Stop, watch: Watch) -> Answer:
    from scipy.optimize import Bounds, minimize

    p, most = problem, _most(stop, 10**9)
    bounds = Bounds(p.lower, p.upper) if "bounds" in p.features() else None
    options = {"gtol": _tolerance(stop) / sqrt(p.n), "ftol": 0.0, "maxiter": most, "maxfun": 10**9}
    f, x0, g = p.objective, watch.x, p.gradient
    found = minimize(f, x0, (), "L-BFGS-B", g, bounds=bounds, callback=watch, options=options)
    return _answer(found, found.x)


def _operator(problem: LinearSystem) -> Any:
    from scipy.sparse.linalg import LinearOperator

    n = len(problem.b)
    return LinearOperator((n, n), matvec=problem.apply, dtype=problem.dtype)


def _cg(problem: LinearSystem, stop: Stop, watch: Watch) -> Answer:
    from scipy.sparse.linalg import cg

    limits = {"rtol": stop.rtol or 0.0, "atol": stop.atol or 0.0, "maxiter": _most(stop, 10**9)}
    x, info = cg(_operator(problem), problem.b, x0=watch.x, callback=watch, **limits)
    status = Status.CONVERGED if info == 0 else Status.ITERATIONS if info > 0 else Status.BREAKDOWN
    return Answer((x,), status, f"info = {info}", watch.iterations)


def _minres(problem: LinearSystem, stop: Stop, watch: Watch) -> Answer:
    from scipy.sparse.linalg import minres

    A, b, x = _operator(problem), problem.b, watch.x
    limit = (stop.atol or 0.0) + (stop.rtol or 0.0) * problem.scale()
    rtol, residual = limit / problem.scale(), float("inf")
    for _ in range(10):
        x, info = minres(A, b, x0=x, rtol=rtol, maxiter=_most(stop, 10**9), callback=watch)
        residual = problem.residual(x)
        if info or residual <= limit:
            break
        rtol *= 0.5 * limit / residual
    status = Status.CONVERGED if residual <= limit else Status.STALLED
    return Answer((x,), status, f"residual {residual:.3e}, info = {info}", watch.iterations)


_FIRST = "tolerance = atol + rtol of the suite"

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            name="scipy.trust-constr",
            solves=NLP,
            package="scipy",
            refuses=("no jacobian",),
            settings=f"gtol = tolerance / sqrt(n + m), {_FIRST}; xtol = 1e-12; no limit of iterations; exact Jacobian, "
            "exact Hessians of objective and constraints apart (each counts as one Hessian); its own multipliers",
            module="scipy.optimize",
            run=_trust_constr,
        ),
        Peer(
            name="scipy.SLSQP",
            solves=NLP,
            package="scipy",
            refuses=("no jacobian",),
            settings=f"ftol = max(tolerance^2, 1e-14), {_FIRST}; at most 3000 iterations; exact dense Jacobian; "
            "multipliers of least squares at its x (its own belong to the point before)",
            module="scipy.optimize",
            run=_slsqp,
        ),
        Peer(
            name="scipy.L-BFGS-B",
            solves=SmoothProblem,
            package="scipy",
            settings=f"gtol = tolerance / sqrt(n), {_FIRST}; ftol = 0; ten corrections; no limit of iterations",
            module="scipy.optimize",
            run=_lbfgsb,
        ),
        Peer(
            name="scipy.cg",
            solves=LinearSystem,
            package="scipy",
            refuses=("indefinite",),
            settings="atol and rtol of the suite; no preconditioner; no limit of iterations",
            module="scipy.sparse.linalg",
            run=_cg,
        ),
        Peer(
            name="scipy.minres",
            solves=LinearSystem,
            package="scipy",
            settings="called again from its x with a smaller rtol while the residual is above the tolerance, since it "
            "measures otherwise (at most 10 calls); no preconditioner; no limit of iterations; A must be symmetric",
            module="scipy.sparse.linalg",
            run=_minres,
        ),
    )
}
