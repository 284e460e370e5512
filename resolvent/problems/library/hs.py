"""Problems of Hock and Schittkowski's collection, with the numbers and the starting points of CUTEst.

Here stand those with equations alone; those with bounds or inequalities are imported from `hs_inequalities`.

W. Hock, K. Schittkowski, "Test examples for nonlinear programming codes", Lecture Notes in Economics and Mathematical
Systems 187, Springer, 1981.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from resolvent.problems.library.formulas import (
    Objective,
    constant,
    constraints,
    linear,
    nlp,
    objective,
    powers,
    product,
)
from resolvent.problems.library.hs_inequalities import hs1 as hs1
from resolvent.problems.library.hs_inequalities import hs21 as hs21
from resolvent.problems.library.hs_inequalities import hs35 as hs35
from resolvent.problems.library.hs_inequalities import hs43 as hs43
from resolvent.problems.library.hs_inequalities import hs65 as hs65
from resolvent.problems.library.hs_inequalities import hs71 as hs71
from resolvent.problems.library.hs_inequalities import hs76 as hs76
from resolvent.problems.nlp import NLP


def hs6() -> NLP:
    """Return min (1 - x1)^2 subject to 10 (x2 - x1^2) = 0: x* = (1, 1), f* = 0."""
    return nlp(
        "HS6",
        [-1.2, 1.0],
        powers([[-1, 0]], -1),
        constraints(
            lambda x1, x2: [10 * (x2 - x1**2)],
            lambda x1, x2: [[-20 * x1, 10.0]],
            lambda x1, x2, y1: {(1, 1): -20 * y1},
        ),
    )


def hs7() -> NLP:
    """Return min log(1 + x1^2) - x2 subject to (1 + x1^2)^2 + x2^2 = 4: x* = (0, sqrt 3), f* = -sqrt 3."""
    return nlp(
        "HS7",
        [2.0, 2.0],
        objective(
            lambda x1, x2: np.log(1 + x1**2) - x2,
            lambda x1, x2: [2 * x1 / (1 + x1**2), -1.0],
            lambda x1, x2: {(1, 1): 2 * (1 - x1**2) / (1 + x1**2) ** 2},
        ),
        constraints(
            lambda x1, x2: [(1 + x1**2) ** 2 + x2**2 - 4],
            lambda x1, x2: [[4 * x1 * (1 + x1**2), 2 * x2]],
            lambda x1, x2, y1: {(1, 1): (4 + 12 * x1**2) * y1, (2, 2): 2 * y1},
        ),
    )


def hs8() -> NLP:
    """Return the equations x1^2 + x2^2 = 25, x1 x2 = 9 with the objective -1: four solutions, one near (4.60, 1.96)."""
    return nlp(
        "HS8",
        [2.0, 1.0],
        constant(-1.0, 2),
        constraints(
            lambda x1, x2: [x1**2 + x2**2 - 25, x1 * x2 - 9],
            lambda x1, x2: [[2 * x1, 2 * x2], [x2, x1]],
            lambda x1, x2, y1, y2: {(1, 1): 2 * y1, (2, 2): 2 * y1, (1, 2): y2},
        ),
    )


def hs9() -> NLP:
    """Return min sin(pi x1 / 12) cos(pi x2 / 16) subject to 4 x1 - 3 x2 = 0.

    f* = -1/2 at x* = (12 k - 3, 16 k - 4) for every whole k.
    """
    a, b = pi / 12, pi / 16
    return nlp(
        "HS9",
        [0.0, 0.0],
        objective(
            lambda x1, x2: np.sin(a * x1) * np.cos(b * x2),
            lambda x1, x2: [a * np.cos(a * x1) * np.cos(b * x2), -b * np.sin(a * x1) * np.sin(b * x2)],
            lambda x1, x2: {
                (1, 1): -(a**2) * np.sin(a * x1) * np.cos(b * x2),
                (1, 2): -a * b * np.cos(a * x1) * np.sin(b * x2),
                (2, 2): -(b**2) * np.sin(a * x1) * np.cos(b * x2),
            },
        ),
        linear([[4, -3]], [0]),
    )


def hs26() -> NLP:
    """Return min (x1 - x2)^2 + (x2 - x3)^4 subject to (1 + x2^2) x1 + x3^4 = 3.

    f* = 0 at x1 = x2 = x3 = 1, and where x1 is the other real root of x + x^3 + x^4 = 3. The Hessian of the Lagrangian
    is singular there.
    """
    return nlp(
        "HS26",
        [-2.6, 2.0, 2.0],
        powers([[1, -1, 0], [0, 1, -1]], exponents=[2, 4]),
        constraints(
            lambda x1, x2, x3: [(1 + x2**2) * x1 + x3**4 - 3],
            lambda x1, x2, x3: [[1 + x2**2, 2 * x1 * x2, 4 * x3**3]],
            lambda x1, x2, x3, y1: {(1, 2): 2 * x2 * y1, (2, 2): 2 * x1 * y1, (3, 3): 12 * x3**2 * y1},
        ),
    )


def hs27() -> NLP:
    """Return min 0.01 (x1 - 1)^2 + (x2 - x1^2)^2 subject to x1 + x3^2 + 1 = 0: x* = (-1, 1, 0), f* = 0.04."""
    return nlp(
        "HS27",
        [2.0, 2.0, 2.0],
        objective(
            lambda x1, x2, x3: 0.01 * (x1 - 1) ** 2 + (x2 - x1**2) ** 2,
            lambda x1, x2, x3: [0.02 * (x1 - 1) - 4 * x1 * (x2 - x1**2), 2 * (x2 - x1**2), 0.0],
            lambda x1, x2, x3: {(1, 1): 0.02 - 4 * x2 + 12 * x1**2, (1, 2): -4 * x1, (2, 2): 2.0},
        ),
        constraints(
            lambda x1, x2, x3: [x1 + x3**2 + 1],
            lambda x1, x2, x3: [[1.0, 0.0, 2 * x3]],
            lambda x1, x2, x3, y1: {(3, 3): 2 * y1},
        ),
    )


def hs28() -> NLP:
    """Return min (x1 + x2)^2 + (x2 + x3)^2 subject to x1 + 2 x2 + 3 x3 = 1: x* = (1/2, -1/2, 1/2), f* = 0."""
    return nlp("HS28", [-4.0, 1.0, 1.0], powers([[1, 1, 0], [0, 1, 1]]), linear([[1, 2, 3]], [1]))


def hs39() -> NLP:
    """Return min -x1 subject to x2 = x1^3 + x3^2, x1^2 = x2 + x4^2: x* = (1, 1, 0, 0), f* = -1."""
    return nlp(
        "HS39",
        [2.0, 2.0, 2.0, 2.0],
        product(-1.0, 1, 4),
        constraints(
            lambda x1, x2, x3, x4: [x2 - x1**3 - x3**2, x1**2 - x2 - x4**2],
            lambda x1, x2, x3, x4: [[-3 * x1**2, 1.0, -2 * x3, 0.0], [2 * x1, -1.0, 0.0, -2 * x4]],
            lambda x1, x2, x3, x4, y1, y2: {(1, 1): -6 * x1 * y1 + 2 * y2, (3, 3): -2 * y1, (4, 4): -2 * y2},
        ),
    )


def hs40() -> NLP:
    """Return min -x1 x2 x3 x4 subject to x1^3 + x2^2 = 1, x1^2 x4 = x3, x4^2 = x2.

    f* = -1/4 at x* = (2^(-1/3), 2^(-1/2), 2^(-11/12), 2^(-1/4)), also with the signs of x3 and x4 turned.
    """
    return nlp(
        "HS40",
        [0.8, 0.8, 0.8, 0.8],
        product(-1.0, 4, 4),
        constraints(
            lambda x1, x2, x3, x4: [x1**3 + x2**2 - 1, x1**2 * x4 - x3, x4**2 - x2],
            lambda x1, x2, x3, x4: [
                [3 * x1**2, 2 * x2, 0.0, 0.0],
                [2 * x1 * x4, 0.0, -1.0, x1**2],
                [0.0, -1.0, 0.0, 2 * x4],
            ],
            lambda x1, x2, x3, x4, y1, y2, y3: {
                (1, 1): 6 * x1 * y1 + 2 * x4 * y2,
                (1, 4): 2 * x1 * y2,
                (2, 2): 2 * y1,
                (4, 4): 2 * y3,
            },
        ),
    )


def hs42() -> NLP:
    """Return min sum_i (x_i - i)^2 subject to x1 = 2, x3^2 + x4^2 = 2.

    f* = 28 - 10 sqrt 2 at x* = (2, 2, 0.6 sqrt 2, 0.8 sqrt 2).
    """
    return nlp(
        "HS42",
        [1.0, 1.0, 1.0, 1.0],
        powers(np.eye(4), [1, 2, 3, 4]),
        constraints(
            lambda x1, x2, x3, x4: [x1 - 2, x3**2 + x4**2 - 2],
            lambda x1, x2, x3, x4: [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2 * x3, 2 * x4]],
            lambda x1, x2, x3, x4, y1, y2: {(3, 3): 2 * y2, (4, 4): 2 * y2},
        ),
    )


def _trigonometric(name: str, x0: list[float], f: Objective, targets: tuple[float, float]) -> NLP:
    """Return min f(x) subject to x1^2 x4 + sin(x4 - x5) = targets[0], x2 + x3^4 x4^2 = targets[1]."""
    return nlp(
        name,
        x0,
        f,
        constraints(
            lambda x1, x2, x3, x4, x5: [
                x1**2 * x4 + np.sin(x4 - x5) - targets[0],
                x2 + x3**4 * x4**2 - targets[1],
            ],
            lambda x1, x2, x3, x4, x5: [
                [2 * x1 * x4, 0.0, 0.0, x1**2 + np.cos(x4 - x5), -np.cos(x4 - x5)],
                [0.0, 1.0, 4 * x3**3 * x4**2, 2 * x3**4 * x4, 0.0],
            ],
            lambda x1, x2, x3, x4, x5, y1, y2: {
                (1, 1): 2 * x4 * y1,
                (1, 4): 2 * x1 * y1,
                (3, 3): 12 * x3**2 * x4**2 * y2,
                (3, 4): 8 * x3**3 * x4 * y2,
                (4, 4): -np.sin(x4 - x5) * y1 + 2 * x3**4 * y2,
                (4, 5): np.sin(x4 - x5) * y1,
                (5, 5): -np.sin(x4 - x5) * y1,
            },
        ),
    )


def hs46() -> NLP:
    """Return min (x1 - x2)^2 + (x3 - 1)^2 + (x4 - 1)^4 + (x5 - 1)^6.

    Subject to x1^2 x4 + sin(x4 - x5) = 1, x2 + x3^4 x4^2 = 2. f* = 0 at x* = (1, 1, 1, 1, 1), where the Hessian of the
    Lagrangian is singular on the null space of the Jacobian.
    """
    f = powers([[1, -1, 0, 0, 0], *np.eye(5)[2:]], [0, 1, 1, 1], [2, 2, 4, 6])
    return _trigonometric("HS46", [sqrt(0.5), 1.75, 0.5, 2.0, 2.0], f, (1.0, 2.0))


def _cubic(name: str, x0: list[float], f: Objective, targets: tuple[float, float, float]) -> NLP:
    """Return min f(x) subject to x1 + x2^2 + x3^3 = targets[0], x2 - x3^2 + x4 = targets[1], x1 x5 = targets[2]."""
    return nlp(
        name,
        x0,
        f,
        constraints(
            lambda x1, x2, x3, x4, x5: [
                x1 + x2**2 + x3**3 - targets[0],
                x2 - x3**2 + x4 - targets[1],
                x1 * x5 - targets[2],
            ],
            lambda x1, x2, x3, x4, x5: [
                [1.0, 2 * x2, 3 * x3**2, 0.0, 0.0],
                [0.0, 1.0, -2 * x3, 1.0, 0.0],
                [x5, 0.0, 0.0, 0.0, x1],
            ],
            lambda x1, x2, x3, x4, x5, y1, y2, y3: {(1, 5): y3, (2, 2): 2 * y1, (3, 3): 6 * x3 * y1 - 2 * y2},
        ),
    )


def hs47() -> NLP:
    """Return min (x1 - x2)^2 + (x2 - x3)^3 + (x3 - x4)^4 + (x4 - x5)^4.

    Subject to x1 + x2^2 + x3^3 = 3, x2 - x3^2 + x4 = 1, x1 x5 = 1. f* = -0.02671418269. The published value 0 is
    that of the stationary point (1, 1, 1, 1, 1), where the Hessian of the Lagrangian is singular and f falls along a
    curve of feasible points.
    """
    f = powers(-np.diff(np.eye(5), axis=0), exponents=[2, 3, 4, 4])
    return _cubic("HS47", [2.0, sqrt(2), -1.0, 2 - sqrt(2), 0.5], f, (3.0, 1.0, 1.0))


def hs48() -> NLP:
    """Return min (x1 - 1)^2 + (x2 - x3)^2 + (x4 - x5)^2 subject to sum_i x_i = 5, x3 - 2 (x4 + x5) = -3.

    f* = 0 at x* = (1, 1, 1, 1, 1).
    """
    return nlp(
        "HS48",
        [3.0, 5.0, -3.0, 2.0, -2.0],
        powers([[1, 0, 0, 0, 0], [0, 1, -1, 0, 0], [0, 0, 0, 1, -1]], [1, 0, 0]),
        linear([[1, 1, 1, 1, 1], [0, 0, 1, -2, -2]], [5, -3]),
    )


def hs49() -> NLP:
    """Return min (x1 - x2)^2 + (x3 - 1)^2 + (x4 - 1)^4 + (x5 - 1)^6.

    Subject to x1 + x2 + x3 + 4 x4 = 7, x3 + 5 x5 = 6. f* = 0 at x* = (1, 1, 1, 1, 1), where the Hessian is singular.
    """
    return nlp(
        "HS49",
        [10.0, 7.0, 2.0, -3.0, 0.8],
        powers([[1, -1, 0, 0, 0], *np.eye(5)[2:]], [0, 1, 1, 1], [2, 2, 4, 6]),
        linear([[1, 1, 1, 4, 0], [0, 0, 1, 0, 5]], [7, 6]),
    )


def hs50() -> NLP:
    """Return min (x1 - x2)^2 + (x2 - x3)^2 + (x3 - x4)^4 + (x4 - x5)^2.

    Subject to x_k + 2 x_{k+1} + 3 x_{k+2} = 6, k = 1, 2, 3. f* = 0 at x* = (1, 1, 1, 1, 1).
    """
    return nlp(
        "HS50",
        [35.0, -31.0, 11.0, 5.0, -5.0],
        powers(-np.diff(np.eye(5), axis=0), exponents=[2, 2, 4, 2]),
        linear([[1, 2, 3, 0, 0], [0, 1, 2, 3, 0], [0, 0, 1, 2, 3]], [6, 6, 6]),
    )


def hs51() -> NLP:
    """Return min (x1 - x2)^2 + (x2 + x3 - 2)^2 + (x4 - 1)^2 + (x5 - 1)^2.

    Subject to x1 + 3 x2 = 4, x3 + x4 - 2 x5 = 0, x2 - x5 = 0. f* = 0 at x* = (1, 1, 1, 1, 1).
    """
    return nlp(
        "HS51",
        [2.5, 0.5, 2.0, -1.0, 0.5],
        powers([[1, -1, 0, 0, 0], [0, 1, 1, 0, 0], *np.eye(5)[3:]], [0, 2, 1, 1]),
        linear([[1, 3, 0, 0, 0], [0, 0, 1, 1, -2], [0, 1, 0, 0, -1]], [4, 0, 0]),
    )


def hs52() -> NLP:
    """Return min (4 x1 - x2)^2 + (x2 + x3 - 2)^2 + (x4 - 1)^2 + (x5 - 1)^2.

    Subject to x1 + 3 x2 = 0, x3 + x4 - 2 x5 = 0, x2 - x5 = 0. f* = 1859/349 at x* = (-33, 11, 180, -158, 11)/349.
    """
    return nlp(
        "HS52",
        [2.0, 2.0, 2.0, 2.0, 2.0],
        powers([[4, -1, 0, 0, 0], [0, 1, 1, 0, 0], *np.eye(5)[3:]], [0, 2, 1, 1]),
        linear([[1, 3, 0, 0, 0], [0, 0, 1, 1, -2], [0, 1, 0, 0, -1]], [0, 0, 0]),
    )


def hs56() -> NLP:
    """Return min -x1 x2 x3 subject to x_i = 4.2 sin^2 x_{i+3}, i = 1, 2, 3, and x1 + 2 x2 + 2 x3 = 7.2 sin^2 x7.

    f* = -3.456 at (x1, x2, x3) = (2.4, 1.2, 1.2), x7 = pi/2; many angles give the same point.
    """

    def jacobian(*x: float) -> list[list[float]]:
        a, b, c, d = (
            -4.2 * np.sin(2 * x[3]),
            -4.2 * np.sin(2 * x[4]),
            -4.2 * np.sin(2 * x[5]),
            -7.2 * np.sin(2 * x[6]),
        )
        return [[1, 0, 0, a, 0, 0, 0], [0, 1, 0, 0, b, 0, 0], [0, 0, 1, 0, 0, c, 0], [1, 2, 2, 0, 0, 0, d]]

    return nlp(
        "HS56",
        [1.0, 1.0, 1.0, 0.50973968, 0.50973968, 0.50973968, 0.98511078],
        product(-1.0, 3, 7),
        constraints(
            lambda x1, x2, x3, x4, x5, x6, x7: [
                x1 - 4.2 * np.sin(x4) ** 2,
                x2 - 4.2 * np.sin(x5) ** 2,
                x3 - 4.2 * np.sin(x6) ** 2,
                x1 + 2 * x2 + 2 * x3 - 7.2 * np.sin(x7) ** 2,
            ],
            jacobian,
            lambda x1, x2, x3, x4, x5, x6, x7, y1, y2, y3, y4: {
                (4, 4): -8.4 * np.cos(2 * x4) * y1,
                (5, 5): -8.4 * np.cos(2 * x5) * y2,
                (6, 6): -8.4 * np.cos(2 * x6) * y3,
                (7, 7): -14.4 * np.cos(2 * x7) * y4,
            },
        ),
    )


def hs61() -> NLP:
    """Return min 4 x1^2 + 2 x2^2 + 2 x3^2 - 33 x1 + 16 x2 - 24 x3 subject to 3 x1 - 2 x2^2 = 7, 4 x1 - x3^2 = 11.

    f* = -143.6461422. The Jacobian has rank one at the starting point.
    """
    return nlp(
        "HS61",
        [0.0, 0.0, 0.0],
        objective(
            lambda x1, x2, x3: 4 * x1**2 + 2 * x2**2 + 2 * x3**2 - 33 * x1 + 16 * x2 - 24 * x3,
            lambda x1, x2, x3: [8 * x1 - 33, 4 * x2 + 16, 4 * x3 - 24],
            lambda x1, x2, x3: {(1, 1): 8.0, (2, 2): 4.0, (3, 3): 4.0},
        ),
        constraints(
            lambda x1, x2, x3: [3 * x1 - 2 * x2**2 - 7, 4 * x1 - x3**2 - 11],
            lambda x1, x2, x3: [[3.0, -4 * x2, 0.0], [4.0, 0.0, -2 * x3]],
            lambda x1, x2, x3, y1, y2: {(2, 2): -4 * y1, (3, 3): -2 * y2},
        ),
    )


def hs77() -> NLP:
    """Return min (x1 - 1)^2 + (x1 - x2)^2 + (x3 - 1)^2 + (x4 - 1)^4 + (x5 - 1)^6.

    Subject to x1^2 x4 + sin(x4 - x5) = 2 sqrt 2, x2 + x3^4 x4^2 = 8 + sqrt 2. f* = 0.2415051288.
    """
    f = powers([[1, 0, 0, 0, 0], [1, -1, 0, 0, 0], *np.eye(5)[2:]], [1, 0, 1, 1, 1], [2, 2, 2, 4, 6])
    return _trigonometric("HS77", [2.0] * 5, f, (2 * sqrt(2), 8 + sqrt(2)))


def hs78() -> NLP:
    """Return min x1 x2 x3 x4 x5 subject to sum_i x_i^2 = 10, x2 x3 = 5 x4 x5, x1^3 + x2^3 = -1: f* = -2.919700409."""
    return nlp(
        "HS78",
        [-2.0, 1.5, 2.0, -1.0, -1.0],
        product(1.0, 5, 5),
        constraints(
            lambda a, b, c, d, e: [a**2 + b**2 + c**2 + d**2 + e**2 - 10, b * c - 5 * d * e, a**3 + b**3 + 1],
            lambda a, b, c, d, e: [
                [2 * a, 2 * b, 2 * c, 2 * d, 2 * e],
                [0.0, c, b, -5 * e, -5 * d],
                [3 * a**2, 3 * b**2, 0.0, 0.0, 0.0],
            ],
            lambda a, b, c, d, e, y1, y2, y3: {
                (1, 1): 2 * y1 + 6 * a * y3,
                (2, 2): 2 * y1 + 6 * b * y3,
                (2, 3): y2,
                (3, 3): 2 * y1,
                (4, 4): 2 * y1,
                (4, 5): -5 * y2,
                (5, 5): 2 * y1,
            },
        ),
    )


def hs79() -> NLP:
    """Return min (x1 - 1)^2 + (x1 - x2)^2 + (x2 - x3)^2 + (x3 - x4)^4 + (x4 - x5)^4.

    Subject to x1 + x2^2 + x3^3 = 2 + 3 sqrt 2, x2 - x3^2 + x4 = -2 + 2 sqrt 2, x1 x5 = 2. f* = 0.07877682087.
    """
    f = powers([[1, 0, 0, 0, 0], *-np.diff(np.eye(5), axis=0)], [1, 0, 0, 0, 0], [2, 2, 2, 4, 4])
    return _cubic("HS79", [2.0] * 5, f, (2 + 3 * sqrt(2), -2 + 2 * sqrt(2), 2.0))


def hs100lnp() -> NLP:
    """Return HS100 with its two active constraints as equations, the other two left out. f* = 680.6300574."""
    return nlp(
        "HS100LNP",
        [1.0, 2.0, 0.0, 4.0, 0.0, 1.0, 1.0],
        objective(
            lambda x1, x2, x3, x4, x5, x6, x7: (
                (x1 - 10) ** 2
                + 5 * (x2 - 12) ** 2
                + x3**4
                + 3 * (x4 - 11) ** 2
                + 10 * x5**6
                + 7 * x6**2
                + x7**4
                - 4 * x6 * x7
                - 10 * x6
                - 8 * x7
            ),
            lambda x1, x2, x3, x4, x5, x6, x7: [
                2 * (x1 - 10),
                10 * (x2 - 12),
                4 * x3**3,
                6 * (x4 - 11),
                60 * x5**5,
                14 * x6 - 4 * x7 - 10,
                4 * x7**3 - 4 * x6 - 8,
            ],
            lambda x1, x2, x3, x4, x5, x6, x7: {
                (1, 1): 2.0,
                (2, 2): 10.0,
                (3, 3): 12 * x3**2,
                (4, 4): 6.0,
                (5, 5): 300 * x5**4,
                (6, 6): 14.0,
                (6, 7): -4.0,
                (7, 7): 12 * x7**2,
            },
        ),
        constraints(
            lambda x1, x2, x3, x4, x5, x6, x7: [
                127 - 2 * x1**2 - 3 * x2**4 - x3 - 4 * x4**2 - 5 * x5,
                -4 * x1**2 - x2**2 + 3 * x1 * x2 - 2 * x3**2 - 5 * x6 + 11 * x7,
            ],
            lambda x1, x2, x3, x4, x5, x6, x7: [
                [-4 * x1, -12 * x2**3, -1.0, -8 * x4, -5.0, 0.0, 0.0],
                [-8 * x1 + 3 * x2, -2 * x2 + 3 * x1, -4 * x3, 0.0, 0.0, -5.0, 11.0],
            ],
            lambda x1, x2, x3, x4, x5, x6, x7, y1, y2: {
                (1, 1): -4 * y1 - 8 * y2,
                (1, 2): 3 * y2,
                (2, 2): -36 * x2**2 * y1 - 2 * y2,
                (3, 3): -4 * y2,
                (4, 4): -8 * y1,
            },
        ),
    )
