"""Jets: numbers that carry their first and second derivatives, for formulas too long to differentiate by hand.

A jet holds the value u of a function at each of k points with its gradient g and Hessian H in p variables there:

    u + v:   g_u + g_v,            H_u + H_v
    u v:     u g_v + v g_u,        u H_v + v H_u + g_u g_v^T + g_v g_u^T
    h(u):    h' g_u,               h' H_u + h'' g_u g_u^T

The results are those of the closed formulas up to rounding.
"""

from __future__ import annotations

import numpy as np

from resolvent.typing import Array

__all__ = ["Jet", "compose", "variables"]


class Jet:
    """The values (k,), gradients (k, p) and Hessians (k, p, p) of a function at k points."""

    __slots__ = ("gradient", "hessian", "value")

    def __init__(self, value: Array, gradient: Array, hessian: Array) -> None:
        self.value, self.gradient, self.hessian = value, gradient, hessian

    def __add__(self, other: Jet | float) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.value + other, self.gradient, self.hessian)
        return Jet(self.value + other.value, self.gradient + other.gradient, self.hessian + other.hessian)

    def __mul__(self, other: Jet | float) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.value * other, self.gradient * other, self.hessian * other)
        u, v = self.value, other.value
        mixed = self.gradient[:, :, None] * other.gradient[:, None, :]
        return Jet(
            u * v,
            u[:, None] * other.gradient + v[:, None] * self.gradient,
            u[:, None, None] * other.hessian + v[:, None, None] * self.hessian + mixed + mixed.swapaxes(1, 2),
        )

    def __neg__(self) -> Jet:
        return self * -1.0

    def __sub__(self, other: Jet) -> Jet:
        return self + -other

    __radd__, __rmul__ = __add__, __mul__


def variables(values: Array) -> list[Jet]:
    """Return the p columns of `values` (k, p) as the variables to differentiate by."""
    k, p = values.shape
    zero = np.zeros((k, p, p))
    return [Jet(values[:, j], np.broadcast_to(np.eye(p)[j], (k, p)), zero) for j in range(p)]


def compose(u: Jet | Array, value: Array, first: Array, second: Array) -> Jet | Array:
    """Return h(u) from the values of h, h' and h'' at u; `value` where u is a plain array."""
    if not isinstance(u, Jet):
        return value
    square = u.gradient[:, :, None] * u.gradient[:, None, :]
    return Jet(
        value,
        first[:, None] * u.gradient,
        first[:, None, None] * u.hessian + second[:, None, None] * square,
    )
