"""The judge believes nobody."""

from __future__ import annotations

import numpy as np
import pytest

from resolvent.bench import task
from resolvent.bench.judge import curvature, judge
from resolvent.bench.peers import PEERS, Answer, Peer, solve_with_peer
from resolvent.problems import NLP, LinearSystem, SmoothProblem, library
from resolvent.solvers.stop import Status, Stop

TOLERANCE = {"atol": 0.0, "rtol": 1e-6}


def verdict(problem, certificate, claim="converged", best=None):
    return judge(problem, certificate, claim, TOLERANCE, best)["verdict"]


def solution(name):
    entry = library.entry(name)
    return np.array(entry.solution * entry.n if len(entry.solution) == 1 else entry.solution)


def test_verdicts():
    x = solution("HS28")
    assert verdict(library.load("HS28"), (x,)) == "verified"
    assert verdict(library.load("HS28"), (x,), claim="") == "unclaimed but good"
    assert verdict(library.load("HS28"), (x + 1e-3,)) == "claimed only"
    assert verdict(library.load("HS28"), (x + 1e-3,), claim="") == "failed"
    assert verdict(library.load("HS28"), (x * np.nan,)) == "claimed only"
    assert verdict(library.load("HS28"), (x, np.array([1.0]))) == "claimed only"


def test_another_minimum():
    point = np.ones(5)
    best = library.entry("HS47").best
    found = judge(library.load("HS47"), (point,), "converged", TOLERANCE, best)
    assert (found["verdict"], found["objective"], found["best"]) == ("different minimum", 0.0, best)
    assert verdict(library.load("HS47"), (point,), best=-1e-4) == "verified"


def test_objectives_are_corrected_for_the_violation():
    # the multipliers of BT7 are 700 and 1751: a small violation moves the objective by a lot
    best, x = library.entry("BT7").best, solution("BT7")
    found = judge(library.load("BT7"), (x - np.array([0, 2e-4, 0, 0, 0]),), "", {"atol": 1.0, "rtol": 0.0}, best)
    assert found["objective"] < best - 0.05
    assert found["corrected"] == pytest.approx(best, abs=1e-3)
    assert verdict(library.load("HS28"), (solution("HS28"),), best=None) == "verified"


def contradiction(shift):
    """x^2 = -shift."""
    return NLP(
        n=1,
        m=1,
        objective=lambda x: 0.0,
        gradient=lambda x: np.zeros(1),
        constraint=lambda x: x**2 + shift,
        jacobian=lambda x: np.array([2 * x]),
        constraint_lower=0.0,
        constraint_upper=0.0,
        x0=[1.0],
    )


def test_infeasible_claims_are_checked():
    assert verdict(contradiction(1.0), (np.zeros(1),), "infeasible") == "verified infeasible"
    # not stationary, and feasible
    assert verdict(contradiction(1.0), (np.ones(1),), "infeasible") == "claimed only"
    assert verdict(contradiction(0.0), (np.zeros(1),), "infeasible") == "claimed only"
    singular = LinearSystem(np.diag([1.0, 0.0]), [1.0, 1.0], null_space=[0.0, 1.0])
    assert verdict(singular, (np.zeros(2),), "infeasible") == "verified infeasible"
    assert verdict(LinearSystem(np.eye(2), [1.0, 1.0]), (np.zeros(2),), "infeasible") == "claimed only"


def test_single_precision_is_judged_in_double():
    system = LinearSystem(np.eye(2, dtype=np.float32), np.array([1.0, 1.0], np.float32))
    assert verdict(system, (np.array([1.0, 1.0 + 1e-5], np.float32),)) == "claimed only"
    assert verdict(system, (np.ones(2, np.float32),)) == "verified"


def test_signs_of_the_reduced_hessian():
    saddle = SmoothProblem(
        n=2,
        objective=lambda x: float(x[0] ** 2 - x[1] ** 2),
        gradient=lambda x: np.array([2 * x[0], -2 * x[1]]),
        hessian=lambda x: np.diag([2.0, -2.0]),
        x0=[0.0, 0.0],
    )
    assert curvature(saddle, (np.zeros(2),)) == "saddle"
    held = saddle.replace(upper=[1.0, 1.0])
    assert curvature(held, (np.array([0.0, 1.0]),)) == "minimum"
    assert curvature(library.load("HS28"), (solution("HS28"),)) == "minimum"
    assert curvature(library.load("HS26"), (solution("HS26"),)) == "unknown"
    assert curvature(library.load("HS71"), (solution("HS71"),)) == "minimum"
    assert curvature(library.load("BT1"), (np.array([-1.0, 0.0]),)) == "saddle"
    # an equation is active however badly it holds
    assert curvature(library.load("BT4"), (solution("BT4") + 1e-5,)) == "minimum"
    assert curvature(library.load("LUKVLE1"), (np.ones(1000),)) is None
    assert curvature(LinearSystem(np.eye(2), [1.0, 1.0]), (np.ones(2),)) is None


# ---- peers


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("scipy.trust-constr", "HS7"),
        ("scipy.trust-constr", "HS71"),
        ("scipy.trust-constr", "DTOC5"),
        ("scipy.SLSQP", "HS40"),
        ("scipy.SLSQP", "HS71"),
        ("scipy.SLSQP", "HS21"),
        ("scipy.L-BFGS-B", "BROYDEN TRIDIAGONAL"),
        ("scipy.cg", "POISSON"),
        ("scipy.minres", "POISSON"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:scipy")
def test_peers_solve(peer, name):
    problem = library.load(name)
    stop = Stop(atol=1e-6, rtol=1e-6)
    assert not PEERS[peer].objection(problem)
    PEERS[peer].warm_up(problem)
    answer = solve_with_peer(PEERS[peer], problem, stop)
    assert answer.iterations > 0
    assert problem.evaluations(problem.counts) > 0
    residual, scale = library.load(name).verify(*answer.certificate)
    # trust-constr leaves the barrier of HS71 early, everybody else is there
    assert residual <= (1e-6 if name != "HS71" else 1e-4) * (1 + scale)


def test_multipliers_of_trust_constr_have_our_sign():
    answer = solve_with_peer(PEERS["scipy.trust-constr"], library.load("HS7"), Stop(rtol=1e-6))
    assert len(answer.certificate) == 2
    assert library.load("HS7").residual(*answer.certificate) < 1e-5


@pytest.mark.parametrize("peer", ["scipy.trust-constr", "scipy.SLSQP", "scipy.L-BFGS-B", "scipy.cg", "scipy.minres"])
def test_peers_stop_at_the_time_limit(peer):
    name = {"NLP": "HS77", "SmoothProblem": "BROYDEN TRIDIAGONAL", "LinearSystem": "POISSON"}[
        PEERS[peer].solves.__name__
    ]
    answer = solve_with_peer(PEERS[peer], library.load(name), Stop(rtol=1e-9, seconds=0))
    assert answer.status is Status.SECONDS
    assert answer.iterations == 1


def test_peers_say_what_they_cannot_take():
    assert PEERS["scipy.cg"].objection(LinearSystem(np.eye(2), [1.0, 1.0])) == "scipy.cg cannot take indefinite"
    assert PEERS["scipy.cg"].objection(library.load("HS7")) == "scipy.cg solves LinearSystem, got NLP"


def lie(problem, stop, watch):
    return Answer((watch.x,), Status.CONVERGED, "trust me", 0)


def test_a_peer_that_lies_is_caught(monkeypatch):
    liar = Peer(name="liar", solves=NLP, package="numpy", settings="", module="numpy", run=lie)
    monkeypatch.setitem(PEERS, "liar", liar)
    work = {
        "problem": {"from": "library", "name": "HS28", "parameters": {}},
        "solver": {"peer": "liar"},
        "tolerance": TOLERANCE,
        "limits": {"seconds": 5.0, "memory": 2**32, "iterations": None, "evaluations": None},
        "seed": 0,
        "history": "",
    }
    told = []
    record = task.perform(work, told.append)
    assert [line["phase"] for line in told] == ["build", "warm_up", "solve", "judge"]
    assert (record["status"], record["claimed"], record["verdict"]) == ("CONVERGED", True, "claimed only")
    assert record["checked"] > record["tolerance"]
