"""The group partially separable form in which CUTEst states a problem, as plain arrays.

Every function of a problem, its objective and each of its constraints, is a sum of *groups*, and a group is ::

    phi_g( a_g^T x - b_g + sum over elements e of g of w_ge F_e(x_e) ) / s_g

with a sparse linear part a_g, a constant b_g, a scale s_g, and weights w_ge. An *element* F_e depends on few variables
x_e and has a type, which is a formula with parameters; phi_g has one too, the trivial one being the identity. The
objective may carry 1/2 x^T Q x besides. A constraint is one group, the objective the sum of all the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from resolvent.problems.checks import INFINITE_BOUND
from resolvent.typing import Array

__all__ = ["Ragged", "Sparse", "Structure"]


class Ragged(NamedTuple):
    """Rows of different lengths: row i is `values[starts[i]:starts[i + 1]]`."""

    values: Array
    starts: Array

    @classmethod
    def of(cls, rows: list[list[Any]], dtype: type) -> Ragged:
        """Return the rows of a list of lists."""
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=starts[1:])
        return cls(np.array([value for row in rows for value in row], dtype), starts)

    def lengths(self) -> Array:
        """Return the length of each row."""
        return np.diff(self.starts)

    def block(self, rows: Array, length: int) -> Array:
        """Return the given rows, all of the same length, as an array (len(rows), length)."""
        block: Array = self.values[self.starts[rows][:, None] + np.arange(length)]
        return block


class Sparse(NamedTuple):
    """Entries of a sparse matrix, each place at most once."""

    rows: Array
    columns: Array
    values: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Structure:
    """A problem of CUTEst as its file states it: fixed variables are still there, bounds of 1e20 and more too.

    Attributes
    ----------
    x0, lower, upper : array (n,)
    y0, constraint_lower, constraint_upper : array (m,)
    constraint_groups, objective_groups : array of int
        The group of each constraint, and the groups of which the objective is the sum.
    linear : Sparse (groups, n)
    quadratic : Sparse (n, n)
        Q, both triangles; empty where the objective has no such term.
    group_constant, group_scale : array (groups,)
    group_type : array of int (groups,)
        An index into `group_formulas`, -1 for the identity.
    group_parameters : Ragged
    element_type : array of int (elements,)
        An index into `element_formulas`.
    element_variables, element_parameters : Ragged
    use_group, use_element, use_weight : array (uses,)
        Element `use_element[i]` stands in group `use_group[i]` with that weight.
    element_globals, group_globals : array
        Numbers that all formulas of elements, or of groups, share.
    group_formulas, element_formulas : tuple of str
        Names of the functions in the file of the problem.
    classification : str
        In the scheme of CUTEst, for example "C-COOR2-AY-V-V".
    """

    x0: Array
    lower: Array
    upper: Array
    y0: Array
    constraint_lower: Array
    constraint_upper: Array
    constraint_groups: Array
    objective_groups: Array
    linear: Sparse
    quadratic: Sparse
    group_constant: Array
    group_scale: Array
    group_type: Array
    group_parameters: Ragged
    element_type: Array
    element_variables: Ragged
    element_parameters: Ragged
    use_group: Array
    use_element: Array
    use_weight: Array
    element_globals: Array
    group_globals: Array
    group_formulas: tuple[str, ...]
    element_formulas: tuple[str, ...]
    classification: str

    @property
    def n(self) -> int:
        """Number of variables, fixed ones too."""
        return len(self.x0)

    @property
    def m(self) -> int:
        """Number of constraints."""
        return len(self.constraint_groups)

    @property
    def is_fixed(self) -> Array:
        """Which variables are fixed by equal bounds (n,)."""
        fixed: Array = (self.lower == self.upper) & (np.abs(self.lower) < INFINITE_BOUND)
        return fixed
