"""Problems: what is to be solved, and how wrong a candidate answer is."""

from resolvent.problems import grids
from resolvent.problems.base import Problem
from resolvent.problems.derivatives import check_derivatives
from resolvent.problems.linear import LinearSystem
from resolvent.problems.nlp import NLP
from resolvent.problems.smooth import SmoothProblem

__all__ = ["NLP", "LinearSystem", "Problem", "SmoothProblem", "check_derivatives", "grids"]
