"""Problems of Hock and Schittkowski's collection with bounds or inequalities.

They show the two-sided constraints and the signs of the multipliers: y <= 0 at a lower, y >= 0 at an upper constraint
bound. Each is also a name of `resolvent.problems.library.hs`.

W. Hock, K. Schittkowski, "Test examples for nonlinear programming codes", Lecture Notes in Economics and Mathematical
Systems 187, Springer, 1981.
"""

from __future__ import annotations

import numpy as np

from resolvent.problems.library.formulas import constraints, linear, nlp, objective, powers
from resolvent.problems.nlp import NLP

__all__ = ["hs1", "hs21", "hs35", "hs43", "hs65", "hs71", "hs76"]


def hs1() -> NLP:
    """Return min 100 (x2 - x1^2)^2 + (1 - x1)^2, x2 >= -1.5, without constraints: x* = (1, 1), f* = 0."""
    f = objective(
        lambda x1, x2: 100 * (x2 - x1**2) ** 2 + (1 - x1) ** 2,
        lambda x1, x2: [-400 * x1 * (x2 - x1**2) - 2 * (1 - x1), 200 * (x2 - x1**2)],
        lambda x1, x2: {(1, 1): 1200 * x1**2 - 400 * x2 + 2, (1, 2): -400 * x1, (2, 2): 200.0},
    )
    return nlp("HS1", [-2.0, 1.0], f, lower=[-np.inf, -1.5])


def hs21() -> NLP:
    """Return min 0.01 x1^2 + x2^2 - 100 subject to 10 x1 - x2 >= 10, 2 <= x1 <= 50, -50 <= x2 <= 50.

    f* = -99.96 at x* = (2, 0), on the bound of x1 alone. The starting point is outside of the bounds.
    """
    return nlp(
        "HS21",
        [-1.0, -1.0],
        objective(
            lambda x1, x2: 0.01 * x1**2 + x2**2 - 100,
            lambda x1, x2: [0.02 * x1, 2 * x2],
            lambda x1, x2: {(1, 1): 0.02, (2, 2): 2.0},
        ),
        linear([[10, -1]], [10]),
        lower=[2.0, -50.0],
        upper=[50.0, 50.0],
        constraint_upper=np.inf,
    )


def hs35() -> NLP:
    """Return min 9 - 8 x1 - 6 x2 - 4 x3 + 2 x1^2 + 2 x2^2 + x3^2 + 2 x1 x2 + 2 x1 x3.

    Subject to x1 + x2 + 2 x3 <= 3, x >= 0. A convex quadratic programme: f* = 1/9 at x* = (12, 7, 4)/9.
    """
    return nlp(
        "HS35",
        [0.5, 0.5, 0.5],
        objective(
            lambda a, b, c: 9 - 8 * a - 6 * b - 4 * c + 2 * a**2 + 2 * b**2 + c**2 + 2 * a * b + 2 * a * c,
            lambda a, b, c: [-8 + 4 * a + 2 * b + 2 * c, -6 + 4 * b + 2 * a, -4 + 2 * c + 2 * a],
            lambda a, b, c: {(1, 1): 4.0, (1, 2): 2.0, (1, 3): 2.0, (2, 2): 4.0, (3, 3): 2.0},
        ),
        linear([[-1, -1, -2]], [-3]),
        lower=0.0,
        constraint_upper=np.inf,
    )


def hs43() -> NLP:
    """Return min x1^2 + x2^2 + 2 x3^2 + x4^2 - 5 x1 - 5 x2 - 21 x3 + 7 x4 (Rosen and Suzuki).

    Subject to three inequalities c(x) >= 0, quadratic in x. f* = -44 at x* = (0, 1, 2, -1), where the first and the
    third are active with multipliers -1 and -2.
    """
    return nlp(
        "HS43",
        [0.0, 0.0, 0.0, 0.0],
        objective(
            lambda a, b, c, d: a**2 + b**2 + 2 * c**2 + d**2 - 5 * a - 5 * b - 21 * c + 7 * d,
            lambda a, b, c, d: [2 * a - 5, 2 * b - 5, 4 * c - 21, 2 * d + 7],
            lambda a, b, c, d: {(1, 1): 2.0, (2, 2): 2.0, (3, 3): 4.0, (4, 4): 2.0},
        ),
        constraints(
            lambda a, b, c, d: [
                8 - a**2 - b**2 - c**2 - d**2 - a + b - c + d,
                10 - a**2 - 2 * b**2 - c**2 - 2 * d**2 + a + d,
                5 - 2 * a**2 - b**2 - c**2 - 2 * a + b + d,
            ],
            lambda a, b, c, d: [
                [-2 * a - 1, -2 * b + 1, -2 * c - 1, -2 * d + 1],
                [-2 * a + 1, -4 * b, -2 * c, -4 * d + 1],
                [-4 * a - 2, -2 * b + 1, -2 * c, 1.0],
            ],
            lambda a, b, c, d, y1, y2, y3: {
                (1, 1): -2 * y1 - 2 * y2 - 4 * y3,
                (2, 2): -2 * y1 - 4 * y2 - 2 * y3,
                (3, 3): -2 * y1 - 2 * y2 - 2 * y3,
                (4, 4): -2 * y1 - 4 * y2,
            },
        ),
        constraint_upper=np.inf,
    )


def hs65() -> NLP:
    """Return min (x1 - x2)^2 + (x1 + x2 - 10)^2 / 9 + (x3 - 5)^2.

    Subject to x1^2 + x2^2 + x3^2 <= 48, -4.5 <= x1, x2 <= 4.5, -5 <= x3 <= 5. f* = 0.9535288568, at x1 = x2.
    """
    return nlp(
        "HS65",
        [-5.0, 5.0, 0.0],
        powers([[1, -1, 0], [1, 1, 0], [0, 0, 1]], [0, 10, 5], weights=[1, 1 / 9, 1]),
        constraints(
            lambda x1, x2, x3: [48 - x1**2 - x2**2 - x3**2],
            lambda x1, x2, x3: [[-2 * x1, -2 * x2, -2 * x3]],
            lambda x1, x2, x3, y1: {(1, 1): -2 * y1, (2, 2): -2 * y1, (3, 3): -2 * y1},
        ),
        lower=[-4.5, -4.5, -5.0],
        upper=[4.5, 4.5, 5.0],
        constraint_upper=np.inf,
    )


def hs71() -> NLP:
    """Return min x1 x4 (x1 + x2 + x3) + x3 subject to x1 x2 x3 x4 >= 25, sum_i x_i^2 = 40, 1 <= x <= 5.

    f* = 17.01401729 at x* near (1, 4.743, 3.821, 1.379).
    """
    return nlp(
        "HS71",
        [1.0, 5.0, 5.0, 1.0],
        objective(
            lambda a, b, c, d: a * d * (a + b + c) + c,
            lambda a, b, c, d: [d * (2 * a + b + c), a * d, a * d + 1, a * (a + b + c)],
            lambda a, b, c, d: {(1, 1): 2 * d, (1, 2): d, (1, 3): d, (1, 4): 2 * a + b + c, (2, 4): a, (3, 4): a},
        ),
        constraints(
            lambda a, b, c, d: [a * b * c * d - 25, a**2 + b**2 + c**2 + d**2 - 40],
            lambda a, b, c, d: [[b * c * d, a * c * d, a * b * d, a * b * c], [2 * a, 2 * b, 2 * c, 2 * d]],
            lambda a, b, c, d, y1, y2: {
                (1, 1): 2 * y2,
                (2, 2): 2 * y2,
                (3, 3): 2 * y2,
                (4, 4): 2 * y2,
                (1, 2): c * d * y1,
                (1, 3): b * d * y1,
                (1, 4): b * c * y1,
                (2, 3): a * d * y1,
                (2, 4): a * c * y1,
                (3, 4): a * b * y1,
            },
        ),
        lower=1.0,
        upper=5.0,
        constraint_upper=[np.inf, 0.0],
    )


def hs76() -> NLP:
    """Return min x1^2 + x2^2 / 2 + x3^2 + x4^2 / 2 - x1 x3 + x3 x4 - x1 - 3 x2 + x3 - x4.

    Subject to x1 + 2 x2 + x3 + x4 <= 5, 3 x1 + x2 + 2 x3 - x4 <= 4, x2 + 4 x3 >= 1.5, x >= 0. A convex quadratic
    programme: f* = -103/22 at x* = (3/11, 23/11, 0, 6/11).
    """
    return nlp(
        "HS76",
        [0.5, 0.5, 0.5, 0.5],
        objective(
            lambda a, b, c, d: a**2 + b**2 / 2 + c**2 + d**2 / 2 - a * c + c * d - a - 3 * b + c - d,
            lambda a, b, c, d: [2 * a - c - 1, b - 3, 2 * c - a + d + 1, d + c - 1],
            lambda a, b, c, d: {(1, 1): 2.0, (1, 3): -1.0, (2, 2): 1.0, (3, 3): 2.0, (3, 4): 1.0, (4, 4): 1.0},
        ),
        linear([[1, 2, 1, 1], [3, 1, 2, -1], [0, 1, 4, 0]], [5, 4, 1.5]),
        lower=0.0,
        constraint_lower=[-np.inf, -np.inf, 0.0],
        constraint_upper=[0.0, 0.0, np.inf],
    )
