"""Values and derivatives of a problem at a point, from its layout.

What is computed at a point is kept until a function is called at another one: the objective and the constraints share
their elements, and derivatives go on from the values where they stopped.
"""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from resolvent.errors import ProblemError
from resolvent.problems.cutest.blocks import Block
from resolvent.problems.cutest.layout import Layout, summed
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
            return self._at(x, 1).gradient.copy()

    def jacobian(self, x: Array) -> Matrix:
        """Return the Jacobian of c as a csr_array (m, n)."""
        with np.errstate(all="ignore"):
            return self._jacobian(self._at(x, 1))

    def lagrangian_hessian(self, x: Array, y: Array, sigma: float = 1.0) -> Matrix:
        """Return the Hessian of sigma f + y^T c, both triangles, as a csr_array (n, n)."""
        with np.errstate(all="ignore"):
            point = self._at(x, 2)
            data = point.lagrangian_hessian(self.second, np.asarray(y, np.float64), float(sigma))
        return _filled(self.hessian_template, data, self.title)

    def evaluate(self, x: Array, order: int) -> tuple[float, Array, Array | None, Matrix | None]:
        """Return f, c, and from order 1 on the gradient and the Jacobian, else None."""
        with np.errstate(all="ignore"):
            point = self._at(x, min(order, 1))
            if order == 0:
                return point.objective, point.constraint.copy(), None, None
            jacobian = self._jacobian(point) if self.layout.m else None
            return point.objective, point.constraint.copy(), point.gradient.copy(), jacobian

    def _jacobian(self, point: _Point) -> Matrix:
        return _filled(self.jacobian_template, point.jacobian.copy(), self.title)

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

    def _at(self, x: Array, order: int = 0) -> _Point:
        """Return the point x with its derivatives up to `order`."""
        x = np.asarray(x, np.float64)
        if x.shape != (self.layout.n,):
            raise ProblemError(f"{self.title}: x has shape {x.shape}, expected ({self.layout.n},)")
        key = x.tobytes()  # bytes know nan from nan, and compare in a fraction of the time of array_equal
        point = self._last if key == self._key else None
        if point is None:
            point = _Point(self.layout, x)
        if point.order < order:
            self._last = None  # so that an exception on the way leaves no half-made point behind
            point.differentiate()
            if order == 2:
                point.differentiate_twice(self.second)
        self._key, self._last = key, point
        return point


class _Point:
    """Values at one point; first and second derivatives once they are asked for.

    Attributes
    ----------
    objective : float
    constraint : array (m,)
    gradient : array (n,)
    jacobian : array
        The entries of the Jacobian of c.
    entries : array
        The entries of the Jacobian G of the arguments of all rows.
    slopes, bends : array
        phi' of all rows (1 where the group is trivial), phi'' of the groups that are not trivial, over their scales.
    curvatures : array
        The outputs of the second derivatives of the elements.
    products : array
        Of entries of G, times the bend of their group.
    """

    gradient: Array
    jacobian: Array
    entries: Array
    slopes: Array
    bends: Array
    curvatures: Array
    products: Array

    def __init__(self, layout: Layout, x: Array) -> None:
        self.layout = layout
        self.order = 0
        # A copy: blocks keep views of it, and the caller may change x before the derivatives are asked for.
        self.x = np.concatenate((x, layout.fixed))
        self.running = [
            block.values([self.x[where] for where in selectors])
            for block, selectors in zip(layout.blocks, layout.selectors, strict=True)
        ]
        arguments = layout.value_matrix @ np.concatenate((x, *self._outputs()))
        arguments += layout.value_constant
        self.running_groups = [
            block.values([arguments[where]]) for block, where in zip(layout.bent, layout.bent_selectors, strict=True)
        ]
        self._set_values(arguments)

    def _outputs(self) -> list[Array]:
        """Go on to the next stage of all blocks and return its outputs."""
        return [output for running in self.running for output in next(running)]

    def _groups(self, stage: int) -> Array:
        """Go on to the next stage of the groups that are not trivial: phi, phi' or phi'', over their scales."""
        parts = [
            _bent(block, stage, next(running))
            for block, running in zip(self.layout.bent, self.running_groups, strict=True)
        ]
        values: Array = np.concatenate(parts) * self.layout.bent_scale
        return values

    def _set_values(self, arguments: Array) -> None:
        layout, count = self.layout, self.layout.bent_constraints
        self.objective = float(arguments[layout.m])
        self.constraint = arguments[: layout.m]
        if layout.bent:
            values = self._groups(0)
            self.objective += float(values[count:].sum())
            if count:
                self.constraint = self.constraint.copy()  # the groups keep a view of their arguments
                self.constraint[layout.bent_rows[:count]] = values[:count]
        if layout.quadratic is not None:
            self.quadratic_slope = layout.quadratic @ self.x
            self.objective += 0.5 * float(self.x @ self.quadratic_slope)

    def differentiate(self) -> None:
        """Set the first derivatives, unless they are there."""
        if self.order >= 1:
            return
        layout, first = self.layout, self.layout.first
        outputs = self._outputs()
        self.entries = first.constant
        if outputs:
            self.entries = first.constant.copy()
            self.entries[first.varying] += first.matrix @ np.concatenate(outputs)
        end = first.starts[layout.m]
        self.jacobian, objective = self.entries[:end], self.entries[end:]
        if layout.bent:
            self.slopes = np.ones(layout.rows)
            self.slopes[layout.bent_rows] = self._groups(1)
            if layout.bent_constraints:
                self.jacobian = self.jacobian * self.slopes[first.row[:end]]
            objective = objective * self.slopes[first.row[end:]]
        self.gradient = summed(first.column[end:], objective, layout.n)
        if layout.quadratic is not None:
            self.gradient += self.quadratic_slope[: layout.n]
        self.order = 1

    def differentiate_twice(self, second: SecondDerivatives) -> None:
        """Set what the Hessian needs beside the multipliers; the first derivatives must be there."""
        outputs = self._outputs()
        self.curvatures = np.concatenate(outputs) if outputs else np.zeros(0)
        self.bends = self._groups(2) if self.layout.bent else np.zeros(0)
        self.products = self.entries[second.left] * self.entries[second.right] * self.bends[second.bent]
        self.order = 2

    def lagrangian_hessian(self, second: SecondDerivatives, y: Array, sigma: float) -> Array:
        """Return the entries of the full Hessian."""
        layout = self.layout
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
        if second.dense is not None:
            lower[second.dense.places] += second.dense.products(self.entries, self.bends * w_bent)
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
