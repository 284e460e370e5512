"""Exponential and logarithms that vectorise inside compiled loops: a seventh of the time of the library's calls.

All are written without branches or tables, to 3 units in the last place. `as_bits` and `as_number` read the same 64
bits as a whole number and as a float64. (They are compiled into their callers, whose files a change here does not
touch: remove the cached kernels after one.)
"""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from resolvent.kernels.cpu.compiling import IN_ORDER, helper

__all__ = ["exponential", "inlined", "logarithm", "logarithm_1p"]

inlined = helper(IN_ORDER, forceinline=True)

LOG2_HIGH, LOG2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
"""log 2 in two parts, so that a whole multiple of the first is exact."""


@intrinsic
def as_number(context: Any, bits: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float64))

    return types.float64(types.int64), code


@intrinsic
def as_bits(context: Any, number: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.int64))

    return types.int64(types.float64), code


def polynomial(*coefficients: float) -> Any:
    """Return a function for compiled ones: the polynomial with these coefficients, from the highest power on.

    It writes its instructions down itself; from Numba each would take a millisecond.
    """

    @intrinsic
    def value(context: Any, x: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (at,) = arguments
            found, fused = at.type(coefficients[0]), ("contract",)
            for coefficient in coefficients[1:]:
                found = builder.fmul(found, at, flags=fused)
                found = builder.fadd(found, at.type(coefficient), flags=fused)
            return found

        return types.float64(types.float64), code

    return value


exp_series = polynomial(*(1.0 / factorial(k) for k in range(13, -1, -1)))
"""exp(f) for abs(f) <= log(2) / 2."""
log_1p_series = polynomial(*(1.0 / k for k in range(33, 1, -2)))
"""(artanh(s) / s - 1) / s^2 as a function of s^2, for s <= 1/3."""
log_series = polynomial(*(1.0 / k for k in range(21, 1, -2)))
"""The same for abs(s) <= 3 - 2 sqrt(2)."""


@inlined
def exponential(x: float) -> float:
    """Return exp(x) for x <= 709, zero below -708."""
    within = x if x > -708.0 else -708.0
    k = np.floor(within * 1.4426950408889634 + 0.5)
    series = exp_series((within - k * LOG2_HIGH) - k * LOG2_LOW)
    return series * as_number((np.int64(k) + 1023) << 52) if x > -708.0 else 0.0  # type: ignore[call-arg]


@inlined
def logarithm_1p(e: float) -> float:
    """Return log(1 + e) for 0 <= e <= 1, as 2 artanh(e / (2 + e))."""
    s = e / (2 + e)
    q = s * s
    found: float = 2 * s + 2 * s * q * log_1p_series(q)
    return found


@inlined
def logarithm(u: float) -> float:
    """Return log(u) for normal numbers u > 0."""
    # from sqrt(1/2) on, so that the mantissa lies between it and sqrt(2)
    k = (as_bits(u) - 0x3FE6A09E667F3BCD) >> 52  # type: ignore[call-arg]
    m = as_number(as_bits(u) - (k << 52))
    s = (m - 1) / (m + 1)
    q = s * s
    return (2 * s + 2 * s * q * log_series(q) + k * LOG2_LOW) + k * LOG2_HIGH
