"""Where every number of a problem goes: rows of groups, and the sparse sums that form them from outputs of elements.

The rows are the m constraints, one row for all trivial groups of the objective together, and one for each other group
of the objective. With the outputs F of all blocks at x the arguments of the groups are ::

    a = B [x; F] + b,

constant elements, scales of trivial groups and fixed variables being part of B and b. Likewise the entries of the
Jacobian G of a, in a pattern that never changes, are ``G_0 + S D`` with the outputs D of the first derivatives. Hence
the values of a problem cost one sparse product, and all first derivatives another.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from resolvent.problems.cutest.blocks import Block, Loop, Term, element_blocks, group_blocks
from resolvent.problems.cutest.structure import Structure
from resolvent.typing import Array, Matrix

__all__ = ["FirstDerivatives", "Layout", "Uses", "selector", "summed", "summing_matrix"]

Selector: TypeAlias = slice | Array


@dataclass(frozen=True, eq=False)
class Uses:
    """The uses of the elements of one block: element `local[i]` of it stands in row `row[i]` with `weight[i]`."""

    row: Array
    local: Array
    weight: Array


@dataclass(frozen=True, eq=False)
class FirstDerivatives:
    """The Jacobian G of the arguments of all groups: entries `constant`, to which `matrix @ outputs` is added.

    Attributes
    ----------
    row, column : array of int (entries,)
        Where each entry stands, sorted by row and column: those of the constraints come first.
    starts : array of int (rows + 1,)
        Where each row begins.
    constant : array (entries,)
    varying : slice or array of int
        The entries that depend on x.
    matrix : csr_array (varying entries, outputs)
    """

    row: Array
    column: Array
    starts: Array
    constant: Array
    varying: Selector
    matrix: Matrix


class Layout:
    """The plan by which a problem is evaluated; built once from its structure.

    Attributes
    ----------
    n, m : int
        Numbers of free variables and of constraints.
    free : array of int (n,)
        Which variables of the structure are free.
    fixed : array
        Values of the others. Inside, variables are numbered anew: the free ones first.
    place : array of int
        The number inside of each variable of the structure.
    rows : int
        Number of rows.
    row_of_group : array of int (groups,)
        -1 for a group that is in no function.
    group_factor : array (groups,)
        What the argument of each group is multiplied by: 1 over its scale where it is trivial, else 1.
    blocks : list of Block
        Of elements; their outputs follow each other in this order.
    selectors : list of list of (slice or array of int)
        For each block what takes its variables, one after the other, out of the vector of all.
    uses : list of Uses
        Where the elements of each block stand.
    bent : list of Block
        Of groups that are not trivial, first those of constraints.
    bent_rows, bent_scale : array
        Their rows, and 1 over their scales, in the order of the blocks.
    bent_constraints : int
        How many of them are constraints.
    bent_selectors : list of (slice or array of int)
        For each of these blocks what takes its arguments out of those of all rows.
    value_matrix, value_constant : csr_array (rows, n + outputs), array (rows,)
        B and b.
    """

    def __init__(
        self, structure: Structure, functions: Mapping[str, ast.FunctionDef], loops: Callable[[], Mapping[str, Loop]]
    ) -> None:
        self.structure = structure
        is_fixed = structure.is_fixed
        self.free = np.flatnonzero(~is_fixed)
        self.fixed = structure.lower[is_fixed]
        self.n, self.m = len(self.free), structure.m
        self.place = np.empty(structure.n, np.int64)
        self.place[np.concatenate((self.free, np.flatnonzero(is_fixed)))] = np.arange(structure.n)
        self._set_rows(functions)
        self.blocks = element_blocks(structure, functions, loops)
        self.selectors = [[selector(column) for column in self.variables(block).T] for block in self.blocks]
        self.uses = self._sort_uses()
        self._set_values()

    def _set_rows(self, functions: Mapping[str, ast.FunctionDef]) -> None:
        """Give each group its row, and the factor of what is added up in that row."""
        s, m = self.structure, self.m
        trivial = s.group_type < 0
        constraints, objective = s.constraint_groups, s.objective_groups
        curved = objective[~trivial[objective]]
        self.row_of_group = np.full(len(s.group_type), -1, np.int64)
        self.row_of_group[constraints] = np.arange(m)
        self.row_of_group[objective] = m
        self.row_of_group[curved] = m + 1 + np.arange(len(curved))
        self.rows = m + 1 + len(curved)
        self.group_factor = np.where(trivial, 1 / s.group_scale, 1.0)
        in_constraints = group_blocks(s, np.sort(constraints[~trivial[constraints]]), functions)
        self.bent = in_constraints + group_blocks(s, np.sort(curved), functions)
        members = [block.members for block in self.bent]
        groups = np.concatenate(members) if members else np.zeros(0, np.int64)
        self.bent_rows = self.row_of_group[groups]
        self.bent_scale = 1 / s.group_scale[groups]
        self.bent_constraints = sum(len(block.members) for block in in_constraints)
        self.bent_selectors = [selector(self.row_of_group[block.members]) for block in self.bent]

    def known_bends(self) -> tuple[Array, Array]:
        """Return which groups that are not trivial have a constant phi'', and these constants over the scales."""
        terms = [(block, block.hessian.get((0, 0), Term(0.0, None))) for block in self.bent]
        known = [np.full(len(block.members), term.output is None) for block, term in terms]
        values = [block.coefficients(term) for block, term in terms]
        if not terms:
            return np.zeros(0, bool), np.zeros(0)
        return np.concatenate(known), np.concatenate(values) * self.bent_scale

    def variables(self, block: Block) -> Array:
        """Return the variables of a block (B, k) in the numbering inside."""
        variables: Array = self.place[block.variables]
        return variables

    def _sort_uses(self) -> list[Uses]:
        s = self.structure
        local = np.zeros(len(s.element_type), np.int64)
        owner = np.full(len(s.element_type), -1, np.int64)
        for i, block in enumerate(self.blocks):
            local[block.members] = np.arange(len(block.members))
            owner[block.members] = i
        owners = owner[s.use_element]
        found = []
        for i in range(len(self.blocks)):
            here = owners == i
            group = s.use_group[here]
            weight = s.use_weight[here] * self.group_factor[group]
            found.append(Uses(self.row_of_group[group], local[s.use_element[here]], weight))
        return found

    def _set_values(self) -> None:
        """Make B and b of a = B [x; F] + b."""
        s = self.structure
        b = np.zeros(self.rows)
        kept = self.row_of_group >= 0
        np.subtract.at(b, self.row_of_group[kept], (s.group_constant * self.group_factor)[kept])
        row, column, value = self.linear()
        free = column < self.n
        np.add.at(b, row[~free], value[~free] * self.fixed[column[~free] - self.n])
        parts = [(row[free], column[free], value[free])]
        offset = self.n
        for block, uses in zip(self.blocks, self.uses, strict=True):
            weight = uses.weight * block.coefficients(block.value)[uses.local]
            if block.value.output is None:
                np.add.at(b, uses.row, weight)
            else:
                parts.append((uses.row, offset + uses.local, weight))
                offset += len(block.members)
        self.value_constant = b
        self.value_matrix = summing_matrix(parts, (self.rows, offset))

    def linear(self) -> tuple[Array, Array, Array]:
        """Return rows, columns and values of the linear parts of all groups, fixed variables included."""
        group, variable, value = self.structure.linear
        kept = self.row_of_group[group] >= 0
        group = group[kept]
        return self.row_of_group[group], self.place[variable[kept]], value[kept] * self.group_factor[group]

    @cached_property
    def quadratic(self) -> Matrix | None:
        """Q in the numbering inside, fixed variables included; None where the objective has no such term."""
        row, column, value = self.structure.quadratic
        size = self.structure.n
        return sp.csr_array((value, (self.place[row], self.place[column])), shape=(size, size)) if len(row) else None

    @cached_property
    def first(self) -> FirstDerivatives:
        """The pattern and the sums of first derivatives."""
        row, column, value = self.linear()
        rows, columns, values = [row], [column], [value]
        outputs = [np.full(len(row), -1)]
        offset = 0
        for block, uses in zip(self.blocks, self.uses, strict=True):
            variables = self.variables(block)[uses.local]
            for i, term in block.gradient.items():
                (inside,) = np.nonzero(block.transformation[i])
                weight = (uses.weight * block.coefficients(term)[uses.local])[:, None] * block.transformation[i, inside]
                output = np.full(len(uses.row), -1) if term.output is None else self._output(block, uses, term, offset)
                rows.append(np.repeat(uses.row, len(inside)))
                columns.append(variables[:, inside].ravel())
                values.append(weight.ravel())
                outputs.append(np.repeat(output, len(inside)))
            offset += block.outputs[1] * len(block.members)
        row, column, value = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
        return self._first(row, column, value, np.concatenate(outputs), offset)

    def _output(self, block: Block, uses: Uses, term: Term, offset: int) -> Array:
        assert term.output is not None
        numbers: Array = offset + term.output * len(block.members) + uses.local
        return numbers

    def _first(self, row: Array, column: Array, value: Array, output: Array, outputs: int) -> FirstDerivatives:
        """Sort contributions by place; output -1 marks a constant one."""
        free = column < self.n
        row, column, value, output = row[free], column[free], value[free], output[free]
        keys, place = np.unique(row * self.n + column, return_inverse=True)
        fixed = output < 0
        constant = summed(place[fixed], value[fixed], len(keys))
        varying, local = np.unique(place[~fixed], return_inverse=True)
        matrix = summing_matrix([(local, output[~fixed], value[~fixed])], (len(varying), outputs))
        rows = keys // self.n
        starts = np.searchsorted(rows, np.arange(self.rows + 1))
        return FirstDerivatives(rows, keys % self.n, starts, constant, selector(varying), matrix)


def selector(indices: Array) -> Selector:
    """Return what takes these entries out of an array: a slice, which copies nothing, where they are equally spaced."""
    if len(indices) < 2:
        return slice(int(indices[0]), int(indices[0]) + 1) if len(indices) else slice(0)
    steps = np.diff(indices)
    step = int(steps[0])
    if step <= 0 or (steps != step).any():
        return indices
    return slice(int(indices[0]), int(indices[-1]) + 1, step)


def summed(places: Array, values: Array, size: int) -> Array:
    """Return an array (size,) with the sum of the values at each place."""
    # bincount forgets that its weights are floating numbers where there are none.
    return np.bincount(places, weights=values, minlength=size).astype(np.float64, copy=False)


def summing_matrix(parts: list[tuple[Array, Array, Array]], shape: tuple[int, int]) -> Matrix:
    """Return the CSR matrix with these (rows, columns, values); entries at one place add up."""
    if not parts:
        return sp.csr_array(shape)
    row, column, value = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return sp.csr_array((value, (row, column)), shape=shape)
