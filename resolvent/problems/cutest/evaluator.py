"""Values and derivatives of a problem at a point, from its layout.

What is computed at a point is kept until a function is called at another one: the objective and the constraints share
their elements, and derivatives go on from the values where they stopped.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.errors import ProblemError
from resolvent.problems.cutest.blocks import Block
from resolvent.problems.cutest.layout import Layout
from resolvent.problems.cutest.second import SecondDerivatives, second_derivatives
from resolvent.typing import Array, Matrix

__all__ = ["Evaluator"]


class Evaluator:
    """The functions of an NLP over the free variables.

    Every array and every matrix returned has data of its own. The index arrays of the matrices are shared by all
    matrices of the problem and must not be modified.

    Parameters
    ----------
    layout : Layout
    title : str
        The name of the problem, for messages.

    Notes
    -----
    Memory: the layout, and the outputs of all elements at the last point. Not for use from several threads at once.
    """

    def __init__(self, layout: Layout, title: str) -> None:
        self.layout, self.title = layout, title
        self._key: bytes | None = None
        self._last: _Point | None = None

    # ---- the functions

    def objective(self, x: Array) -> float:
        """Return f(x), 0 for a problem without an objective."""
        with np.errstate(all="ignore"):
            return self._at(x).objective

    def constraint(self, x: Array) -> Array:
        """Return c(x), shape (m,)."""
        with np.errstate(all="ignore"):
            return self._at(x).constraint.copy()

    def gradient(self, x: Array) -> Array:
        """Return the gradient of f, shape (n,)."""
        with np.errstate(all="ignore"):
            return self._at(x).gradient.copy()

    def jacobian(self, x: Array) -> Matrix:
        """Return the Jacobian of c as a csr_array (m, n)."""
        with np.errstate(all="ignore"):
            return _filled(self.jacobian_template, self._at(x).jacobian.copy(), self.title)

    def lagrangian_hessian(self, x: Array, y: Array, sigma: float = 1.0) -> Matrix:
        """Return the Hessian of sigma f + y^T c, both triangles, as a csr_array (n, n)."""
        with np.errstate(all="ignore"):
            data = self._at(x).lagrangian_hessian(np.asarray(y, np.float64), float(sigma))
        return _filled(self.hessian_template, data, self.title)

    def evaluate(self, x: Array, order: int) -> tuple[float, Array, Array | None, Matrix | None]:
        """Return f, c, and from order 1 on the gradient and the Jacobian, else None."""
        f, c = self.objective(x), self.constraint(x)
        if order == 0:
            return f, c, None, None
        return f, c, self.gradient(x), self.jacobian(x)

    # ---- patterns

    @cached_property
    def jacobian_template(self) -> Matrix:
        """The Jacobian with zeros in its place."""
        first, m = self.layout.first, self.layout.m
        indptr = first.starts[: m + 1].astype(np.int32)
        return _template(indptr, first.column[: indptr[-1]].astype(np.int32), (m, self.layout.n))

    @cached_property
    def second(self) -> SecondDerivatives:
        """The plan of the Hessian, made when one is first asked for."""
        return second_derivatives(self.layout)

    @cached_property
    def hessian_template(self) -> Matrix:
        """The Hessian with zeros in its place."""
        n = self.layout.n
        return _template(self.second.indptr, self.second.indices, (n, n))

    # ---- the last point

    def _at(self, x: Array) -> _Point:
        # Bytes tell nan from nan and 0 from -0, and compare in a fraction of the time of array_equal.
        x = np.asarray(x, np.float64)
        key = x.tobytes()
        if self._last is None or key != self._key:
            if x.shape != (self.layout.n,):
                raise ProblemError(f"{self.title}: x has shape {x.shape}, expected ({self.layout.n},)")
            self._key, self._last = key, _Point(self, x)
        return self._last


class _Point:
    """All that is known at one point; each part is computed when first asked for."""

    def __init__(self, evaluator: Evaluator, x: Array) -> None:
        self.evaluator, self.layout = evaluator, evaluator.layout
        # A copy: blocks keep views of it, and the caller may change x before the derivatives are asked for.
        self.x = np.concatenate((x, self.layout.fixed))
        self.running = [
            block.values([self.x[where] for where in selectors])
            for block, selectors in zip(self.layout.blocks, self.layout.selectors, strict=True)
        ]

    def _outputs(self) -> Array:
        """Go on to the next stage of all blocks and return its outputs, one after the other."""
        parts = [output for running in self.running for output in next(running)]
        return np.concatenate(parts) if parts else np.zeros(0)

    # ---- values

    @cached_property
    def arguments(self) -> Array:
        """The arguments a of all rows."""
        layout = self.layout
        known = np.concatenate((self.x[: layout.n], self._outputs()))
        arguments: Array = layout.value_matrix @ known
        arguments += layout.value_constant
        return arguments

    @cached_property
    def running_groups(self) -> list[Any]:
        layout = self.layout
        return [
            block.values([self.arguments[where]])
            for block, where in zip(layout.bent, layout.bent_selectors, strict=True)
        ]

    def _groups(self, stage: int) -> Array:
        """Return the given stage of phi / s of all groups that are not trivial."""
        parts = [
            _bent(block, stage, next(running))
            for block, running in zip(self.layout.bent, self.running_groups, strict=True)
        ]
        return np.concatenate(parts) * self.layout.bent_scale

    @cached_property
    def bent_values(self) -> Array:
        return self._groups(0)

    @cached_property
    def objective(self) -> float:
        layout = self.layout
        f = float(self.arguments[layout.m])
        if len(layout.bent_rows) > layout.bent_constraints:
            f += float(self.bent_values[layout.bent_constraints :].sum())
        if layout.quadratic is not None:
            f += 0.5 * float(self.x @ self.quadratic_slope)
        return f

    @cached_property
    def constraint(self) -> Array:
        layout = self.layout
        count = layout.bent_constraints
        c = self.arguments[: layout.m]
        if count:
            c = c.copy()
            c[layout.bent_rows[:count]] = self.bent_values[:count]
        return c

    @cached_property
    def quadratic_slope(self) -> Array:
        slope: Array = self.layout.quadratic @ self.x
        return slope

    # ---- first derivatives

    @cached_property
    def slopes(self) -> Array:
        """phi' / s of each row; 1 where the group is trivial."""
        slopes = np.ones(self.layout.rows)
        if self.layout.bent:
            self.bent_values  # noqa: B018  the groups yield their values first
            slopes[self.layout.bent_rows] = self._groups(1)
        return slopes

    @cached_property
    def entries(self) -> Array:
        """The entries of the Jacobian G of the arguments."""
        self.arguments  # noqa: B018  the blocks yield their values first
        first = self.layout.first
        entries: Array = first.matrix @ self._outputs()
        entries += first.constant
        return entries

    @cached_property
    def weighted(self) -> Array:
        """The entries of G times the slope of their row."""
        if not self.layout.bent:
            return self.entries
        weighted: Array = self.entries * self.slopes[self.layout.first.row]
        return weighted

    @cached_property
    def jacobian(self) -> Array:
        """The entries of the Jacobian of c."""
        return self.weighted[: self.layout.first.starts[self.layout.m]]

    @cached_property
    def gradient(self) -> Array:
        layout = self.layout
        begin = layout.first.starts[layout.m]
        columns = layout.first.column[begin:]
        gradient: Array = np.bincount(columns, weights=self.weighted[begin:], minlength=layout.n)
        if layout.quadratic is not None:
            gradient += self.quadratic_slope[: layout.n]
        return gradient

    # ---- second derivatives

    @cached_property
    def curvatures(self) -> Array:
        """The outputs of the second derivatives of the elements."""
        self.entries  # noqa: B018  the blocks yield their first derivatives before
        return self._outputs()

    @cached_property
    def bends(self) -> Array:
        """phi'' / s of the groups that are not trivial."""
        if not self.layout.bent:
            return np.zeros(0)
        self.slopes  # noqa: B018  the groups yield their first derivatives before
        return self._groups(2)

    @cached_property
    def products(self) -> Array:
        second = self.evaluator.second
        return self.entries[second.left] * self.entries[second.right] * self.bends[second.bent]

    def lagrangian_hessian(self, y: Array, sigma: float) -> Array:
        """Return the entries of the full Hessian."""
        layout, second = self.layout, self.evaluator.second
        w = np.full(layout.rows, sigma)
        w[: layout.m] = y
        w_bent = w[layout.bent_rows]
        if layout.bent:
            w *= self.slopes
        mu = second.weights @ w
        parts = (
            np.array([sigma]),
            mu,
            self.curvatures * mu[second.element],
            self.bends * w_bent,
            self.products * w_bent[second.bent],
        )
        lower = second.matrix @ np.concatenate(parts)
        full: Array = lower[second.mirror]
        return full


def _bent(block: Block, stage: int, outputs: tuple[Array, ...]) -> Array:
    """Return the value, first or second derivative of the groups of a block."""
    term = (block.value, block.gradient.get(0), block.hessian.get((0, 0)))[stage]
    if term is None:
        return np.zeros(len(block.members))
    return block.coefficients(term) if term.output is None else term.coefficient * outputs[term.output]


def _template(indptr: Array, indices: Array, shape: tuple[int, int]) -> Matrix:
    matrix = sp.csr_array((np.zeros(len(indices)), indices, indptr), shape=shape)
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def _filled(template: Matrix, data: Array, title: str) -> Matrix:
    """Return the template with other data; its index arrays are shared (a constructor costs six times as much)."""
    if template.indptr[-1] != len(data):
        raise ProblemError(
            f"{title}: the index arrays that all its matrices share were modified (by eliminate_zeros?); copy first"
        )
    matrix = copy.copy(template)
    matrix.data = data
    return matrix
