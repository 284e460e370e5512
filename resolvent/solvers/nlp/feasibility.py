"""A step towards feasibility: Levenberg-Marquardt on norm2(c(x))^2 / 2.

::

    min over dx of norm2(c + G dx)^2 + mu norm2(dx)^2:      [ mu I   G^T ] [ dx ]   [  0 ]
                                                            [ G     -I   ] [ w  ] = [ -c ]

defined for any rank of G and any m, n. mu = sigma norm2(c), so that convergence is quadratic where norm2(c) grows like
the distance to the feasible set, and sigma follows the ratio of the actual to the predicted decrease.

A point is a stationary point of the infeasibility when c has next to no part in the range of G: then no step in any
direction makes it smaller to first order, and the program is (locally) infeasible.

Reference: J.-Y. Fan and Y.-X. Yuan, On the quadratic convergence of the Levenberg-Marquardt method without
nonsingularity assumption, Computing 74 (2005) 23-39.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from resolvent.arrays import norm2
from resolvent.problems.nlp import NLP, Evaluation
from resolvent.solvers.linear.symmetric_factor import factorise
from resolvent.solvers.nlp.newton_system import NewtonSystem
from resolvent.typing import Array

__all__ = ["FeasibilityStep", "feasibility_step", "is_stationary"]

SMALLEST_SIGMA = 1e-12
TRIALS = 40


@dataclass
class FeasibilityStep:
    """The outcome: the new point, or None where no step makes norm2(c) smaller, and sigma for the next step."""

    x: Array | None
    values: Evaluation | None
    sigma: float
    factorisations: int


def feasibility_step(problem: NLP, x: Array, c: Array, G: Any, sigma: float) -> FeasibilityStep:
    """Take one step. Work: one factorisation of order n + m, and one evaluation, per trial."""
    n, size = problem.n, norm2(c)
    rhs = np.concatenate([np.zeros(n, c.dtype), -c])
    identity = _identity(n, G, c.dtype)
    system = NewtonSystem(0 * identity, G, rhs)
    for trial in range(1, TRIALS + 1):
        system.regularise(sigma * size, 1.0)
        assert system.matrix is not None
        factor = factorise(system.matrix)
        z = factor.solve(rhs)
        z = z - factor.solve(system.residual(z))
        dx = z[:n]
        if not np.isfinite(dx).all() or norm2(dx) <= np.finfo(x.dtype).eps * (1 + norm2(x)):
            if np.isfinite(dx).all():
                break
            sigma *= 10
            continue
        there = x + dx
        values = problem.at(there)
        predicted = size**2 - norm2(c + G @ dx) ** 2
        ratio = 0.0
        if values.jacobian is not None and values.gradient is not None:
            ratio = (size**2 - norm2(values.constraint - problem.constraint_lower) ** 2) / max(predicted, 1e-300)
        if ratio >= 1e-4:
            sigma = sigma / 5 if ratio > 0.75 else sigma * 2 if ratio < 0.25 else sigma
            return FeasibilityStep(there, values, max(sigma, SMALLEST_SIGMA), trial)
        sigma *= 4
    return FeasibilityStep(None, None, sigma, trial)


def _identity(n: int, G: Any, dtype: Any) -> Any:
    if hasattr(G, "indptr"):
        import scipy.sparse as sp

        return sp.csr_array(sp.identity(n, dtype=dtype, format="csr"))
    return np.eye(n, dtype=dtype)


def is_stationary(c: Array, G: Any) -> bool:
    """Whether G^T c is zero as far as can be told: the cosine between c and the range of G is below 1e-6.

    Where c -> 0 at a singular Jacobian, G^T c -> 0 too, but c stays in the range of G: that is not stationary.
    """
    size = norm2(c)
    if size == 0:
        return False
    slope = G.T @ c
    if norm2(slope) <= 1e-14 * size * min(1.0, size):
        return True
    if norm2(slope) > 1e-6 * max(1.0, size):
        return False
    dense = G.toarray() if hasattr(G, "toarray") else G
    if dense.size <= 250_000:
        u, s, _ = np.linalg.svd(dense, full_matrices=False)
        kept = s > 1e-12 * s.max(initial=0)
        return float(norm2(u[:, kept].T @ c)) <= 1e-6 * size
    return norm2(slope) <= 1e-8 * size * min(1.0, size)
