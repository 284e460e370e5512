"""Solvers: methods as immutable options with `begin` and `step`, and the driver that runs them all."""

from resolvent.solvers.base import Solver, State
from resolvent.solvers.linear.conjugate_gradient import ConjugateGradient

__all__ = ["ConjugateGradient", "Solver", "State"]
