"""Summaries of a table of costs t (problems, solvers), inf where a problem was not solved.

    ratio        r(p, s)  =  t(p, s) / min_s t(p, s)
    profile      rho_s(tau)  =  #{ p : r(p, s) <= tau } / #problems        (Dolan and More 2002)
    shifted geometric mean   exp( mean log max(1, t + s) ) - s,            failures count as the limit

Problems that nobody solved stay in the denominator. A profile depends on who takes part: a solver may win a pair and
lose in a field, so `pairwise` stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resolvent.errors import OptionError
from resolvent.typing import Array

__all__ = ["LEAST_SECONDS", "Profile", "performance_profile", "shifted_geometric_mean"]

LEAST_SECONDS = 1e-3
"""Shorter times are set to this before any ratio: a ratio of noise is noise."""


@dataclass(frozen=True)
class Profile:
    """The performance profile of some solvers on the same problems.

    Attributes
    ----------
    cost : str
        What t is.
    solvers, problems : tuple of str
    costs : array (problems, solvers)
        t, inf where not solved.
    ratios : array (problems, solvers)
        r, inf where not solved.
    """

    cost: str
    solvers: tuple[str, ...]
    problems: tuple[str, ...]
    costs: Array
    ratios: Array

    def at(self, tau: float) -> Array:
        """Return rho(tau) of each solver, shape (solvers,)."""
        if not len(self.problems):
            return np.zeros(len(self.solvers))
        return np.asarray((self.ratios <= tau * (1 + 1e-12)).mean(axis=0))

    def pairwise(self) -> Array:
        """Return W (solvers, solvers): the share of problems that i solved at no more cost than j."""
        cost = self.costs
        wins = np.isfinite(cost[:, :, None]) & (cost[:, :, None] <= cost[:, None, :])
        return np.asarray(wins.mean(axis=0)) if len(cost) else np.zeros(wins.shape[1:])


def performance_profile(
    costs: Array, *, cost: str = "", solvers: Sequence[str] = (), problems: Sequence[str] = ()
) -> Profile:
    """Return the performance profile of a table of costs.

    Parameters
    ----------
    costs : array_like (problems, solvers)
        Positive numbers, inf where a problem was not solved.
    cost : str, optional
    solvers, problems : sequence of str, optional
        Names; numbers where they are missing.

    Examples
    --------
    >>> from resolvent.bench.profiles import performance_profile
    >>> performance_profile([[1.0, 2.0], [3.0, float("inf")]]).at(1)
    array([1., 0.])
    """
    t = np.array(costs, dtype=np.float64)
    if t.ndim != 2 or not (t > 0).all():
        raise OptionError("costs must be a table of numbers > 0, one row a problem, inf where it was not solved")
    best = t.min(axis=1, keepdims=True, initial=np.inf)
    ratios = np.divide(t, best, out=np.full_like(t, np.inf), where=np.isfinite(t))
    return Profile(
        cost,
        tuple(solvers) or tuple(str(i) for i in range(t.shape[1])),
        tuple(problems) or tuple(str(i) for i in range(t.shape[0])),
        t,
        ratios,
    )


def shifted_geometric_mean(costs: Array, limit: float, shift: float = 10.0) -> float:
    """Return exp(mean log max(1, t + shift)) - shift of one solver's costs; nan where there are none.

    Parameters
    ----------
    costs : array_like (problems,)
        inf where a problem was not solved: it counts as `limit`.
    """
    t = np.minimum(np.asarray(costs, dtype=np.float64), limit)
    if not len(t):
        return float("nan")
    return float(np.exp(np.log(np.maximum(1.0, t + shift)).mean()) - shift)
