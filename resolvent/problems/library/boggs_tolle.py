"""Equality-constrained problems of Boggs and Tolle and of Maratos, as in CUTEst.

CUTEst mends several statements of the paper (BT4, BT5, BT9, BT10 of the list there would be unbounded or infeasible);
the problems here are those of CUTEst.

P. T. Boggs, J. W. Tolle, "A strategy for global convergence in a sequential quadratic programming algorithm", SIAM
Journal on Numerical Analysis 26, 600-623, 1989.
N. Maratos, "Exact penalty function algorithms for finite dimensional and control optimization problems", thesis,
University of London, 1978.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from resolvent.problems.library.formulas import Constraints, constraints, linear, nlp, objective, powers, product
from resolvent.problems.library.hs import hs39
from resolvent.problems.nlp import NLP

__all__ = ["bt1", "bt2", "bt3", "bt4", "bt5", "bt6", "bt7", "bt8", "bt9", "bt10", "bt11", "bt12", "maratos"]


def _circle(name: str, x0: list[float], penalty: float) -> NLP:
    """Return min penalty (x1^2 + x2^2 - 1) - x1 on the unit circle."""
    return nlp(
        name,
        x0,
        objective(
            lambda x1, x2: penalty * (x1**2 + x2**2 - 1) - x1,
            lambda x1, x2: [2 * penalty * x1 - 1, 2 * penalty * x2],
            lambda x1, x2: {(1, 1): 2 * penalty, (2, 2): 2 * penalty},
        ),
        constraints(
            lambda x1, x2: [x1**2 + x2**2 - 1],
            lambda x1, x2: [[2 * x1, 2 * x2]],
            lambda x1, x2, y1: {(1, 1): 2 * y1, (2, 2): 2 * y1},
        ),
    )


def maratos() -> NLP:
    """Return min 1e-6 (x1^2 + x2^2 - 1) - x1 subject to x1^2 + x2^2 = 1: x* = (1, 0), f* = -1.

    Near x* a full Newton step increases both the objective and the violation of the constraint, so that penalty
    functions that are not smooth reject it.
    """
    return _circle("MARATOS", [1.1, 0.1], 1e-6)


def bt1() -> NLP:
    """Return min 100 (x1^2 + x2^2 - 1) - x1 subject to x1^2 + x2^2 = 1: x* = (1, 0), f* = -1."""
    return _circle("BT1", [0.08, 0.06], 100.0)


def bt2() -> NLP:
    """Return min (x1 - 1)^2 + (x1 - x2)^2 + (x2 - x3)^4 subject to x1 (1 + x2^2) + x3^4 = 8.2426407.

    The right-hand side is 4 + 3 sqrt 2, rounded as in CUTEst. f* = 0.03256820039.
    """
    return nlp(
        "BT2",
        [10.0, 10.0, 10.0],
        powers([[1, 0, 0], [1, -1, 0], [0, 1, -1]], [1, 0, 0], [2, 2, 4]),
        constraints(
            lambda x1, x2, x3: [x1 * (1 + x2**2) + x3**4 - 8.2426407],
            lambda x1, x2, x3: [[1 + x2**2, 2 * x1 * x2, 4 * x3**3]],
            lambda x1, x2, x3, y1: {(1, 2): 2 * x2 * y1, (2, 2): 2 * x1 * y1, (3, 3): 12 * x3**2 * y1},
        ),
    )


def bt3() -> NLP:
    """Return min (x1 - x2)^2 + (x2 + x3 - 2)^2 + (x4 - 1)^2 + (x5 - 1)^2.

    Subject to x1 + 3 x2 = 0, x3 + x4 - 2 x5 = 0, x2 - x5 = 0. f* = 176/43 at x* = (-33, 11, 27, -5, 11)/43.
    """
    return nlp(
        "BT3",
        [20.0] * 5,
        powers([[1, -1, 0, 0, 0], [0, 1, 1, 0, 0], *np.eye(5)[3:]], [0, 2, 1, 1]),
        linear([[1, 3, 0, 0, 0], [0, 0, 1, 1, -2], [0, 1, 0, 0, -1]], [0, 0, 0]),
    )


def bt4() -> NLP:
    """Return min x1 - x2 + x2^3 subject to x1^2 + x2^2 + x3^2 = 25, x1 + x2 + x3 = 1.

    f* = -45.51055074; a local minimum has f = 3.289037706.
    """
    return nlp(
        "BT4",
        [4.0382, -2.9470, -0.09115],
        objective(
            lambda x1, x2, x3: x1 - x2 + x2**3,
            lambda x1, x2, x3: [1.0, -1 + 3 * x2**2, 0.0],
            lambda x1, x2, x3: {(2, 2): 6 * x2},
        ),
        _sphere([1, 1, 1], 1.0),
    )


def bt5() -> NLP:
    """Return min 1000 - x1^2 - 2 x2^2 - x3^2 - x1 x2 - x1 x3 subject to |x|^2 = 25, 8 x1 + 14 x2 + 7 x3 = 56.

    f* = 952.1424945; the published value 961.7151721 is a local minimum with x >= 0, where runs from x0 end.
    """
    return nlp(
        "BT5",
        [2.0, 2.0, 2.0],
        objective(
            lambda x1, x2, x3: 1000 - x1**2 - 2 * x2**2 - x3**2 - x1 * x2 - x1 * x3,
            lambda x1, x2, x3: [-2 * x1 - x2 - x3, -4 * x2 - x1, -2 * x3 - x1],
            lambda x1, x2, x3: {(1, 1): -2.0, (1, 2): -1.0, (1, 3): -1.0, (2, 2): -4.0, (3, 3): -2.0},
        ),
        _sphere([8, 14, 7], 56.0),
    )


def _sphere(normal: list[float], offset: float) -> Constraints:
    """Return x1^2 + x2^2 + x3^2 - 25 and normal^T x - offset."""
    a, b, c = normal
    return constraints(
        lambda x1, x2, x3: [x1**2 + x2**2 + x3**2 - 25, a * x1 + b * x2 + c * x3 - offset],
        lambda x1, x2, x3: [[2 * x1, 2 * x2, 2 * x3], normal],
        lambda x1, x2, x3, y1, y2: {(1, 1): 2 * y1, (2, 2): 2 * y1, (3, 3): 2 * y1},
    )


def bt6() -> NLP:
    """Return min (x1 - 1)^2 + (x1 - x2)^2 + (x3 - 1)^2 + (x4 - 1)^4 + (x5 - 1)^6.

    Subject to x1^2 x4 + sin(x4 - x5) = 2 sqrt 2, x2 + x3^4 x2^2 = 8 + sqrt 2. f* = 0.2770447888. (HS77 differs in the
    x4 in place of the second x2.)
    """
    return nlp(
        "BT6",
        [2.0] * 5,
        powers([[1, 0, 0, 0, 0], [1, -1, 0, 0, 0], *np.eye(5)[2:]], [1, 0, 1, 1, 1], [2, 2, 2, 4, 6]),
        constraints(
            lambda x1, x2, x3, x4, x5: [
                x1**2 * x4 + np.sin(x4 - x5) - 2 * sqrt(2),
                x2 + x3**4 * x2**2 - 8 - sqrt(2),
            ],
            lambda x1, x2, x3, x4, x5: [
                [2 * x1 * x4, 0.0, 0.0, x1**2 + np.cos(x4 - x5), -np.cos(x4 - x5)],
                [0.0, 1 + 2 * x3**4 * x2, 4 * x3**3 * x2**2, 0.0, 0.0],
            ],
            lambda x1, x2, x3, x4, x5, y1, y2: {
                (1, 1): 2 * x4 * y1,
                (1, 4): 2 * x1 * y1,
                (2, 2): 2 * x3**4 * y2,
                (2, 3): 8 * x2 * x3**3 * y2,
                (3, 3): 12 * x2**2 * x3**2 * y2,
                (4, 4): -np.sin(x4 - x5) * y1,
                (4, 5): np.sin(x4 - x5) * y1,
                (5, 5): -np.sin(x4 - x5) * y1,
            },
        ),
    )


def bt7() -> NLP:
    """Return min 100 (x2 - x1^2)^2 + (x1 - 1)^2 subject to x1 x2 - x3^2 = 1, x2^2 - x4^2 + x1 = 0, x5^2 + x1 = 1/2.

    f* = 306.5 at x* = (1/2, 2, 0, 3/sqrt 2, 0), with the signs of x4 free; a local minimum has f = 360.379767.
    """
    return nlp(
        "BT7",
        [-2.0, 1.0, 1.0, 1.0, 1.0],
        objective(
            lambda x1, x2, *_: 100 * (x2 - x1**2) ** 2 + (x1 - 1) ** 2,
            lambda x1, x2, *_: [-400 * x1 * (x2 - x1**2) + 2 * (x1 - 1), 200 * (x2 - x1**2), 0.0, 0.0, 0.0],
            lambda x1, x2, *_: {(1, 1): 1200 * x1**2 - 400 * x2 + 2, (1, 2): -400 * x1, (2, 2): 200.0},
        ),
        constraints(
            lambda x1, x2, x3, x4, x5: [x1 * x2 - x3**2 - 1, x2**2 - x4**2 + x1, x5**2 + x1 - 0.5],
            lambda x1, x2, x3, x4, x5: [
                [x2, x1, -2 * x3, 0.0, 0.0],
                [1.0, 2 * x2, 0.0, -2 * x4, 0.0],
                [1.0, 0.0, 0.0, 0.0, 2 * x5],
            ],
            lambda x1, x2, x3, x4, x5, y1, y2, y3: {
                (1, 2): y1,
                (2, 2): 2 * y2,
                (3, 3): -2 * y1,
                (4, 4): -2 * y2,
                (5, 5): 2 * y3,
            },
        ),
    )


def bt8() -> NLP:
    """Return min x1^2 + x2^2 + x3^2 subject to x1 - 1 - x4^2 + x2^2 = 0, x1^2 + x2^2 - 1 - x5^2 = 0.

    f* = 1 on the arc x1^2 + x2^2 = 1, x1 >= 0, x3 = x5 = 0, x4^2 = x1 - x1^2.
    """
    return nlp(
        "BT8",
        [1.0, 1.0, 1.0, 0.0, 0.0],
        objective(
            lambda x1, x2, x3, x4, x5: x1**2 + x2**2 + x3**2,
            lambda x1, x2, x3, x4, x5: [2 * x1, 2 * x2, 2 * x3, 0.0, 0.0],
            lambda x1, x2, x3, x4, x5: {(1, 1): 2.0, (2, 2): 2.0, (3, 3): 2.0},
        ),
        constraints(
            lambda x1, x2, x3, x4, x5: [x1 - 1 - x4**2 + x2**2, x1**2 + x2**2 - 1 - x5**2],
            lambda x1, x2, x3, x4, x5: [[1.0, 2 * x2, 0.0, -2 * x4, 0.0], [2 * x1, 2 * x2, 0.0, 0.0, -2 * x5]],
            lambda x1, x2, x3, x4, x5, y1, y2: {
                (1, 1): 2 * y2,
                (2, 2): 2 * y1 + 2 * y2,
                (4, 4): -2 * y1,
                (5, 5): -2 * y2,
            },
        ),
    )


def bt9() -> NLP:
    """Return min -x1 subject to x2 = x1^3 + x3^2, x1^2 = x2 + x4^2: HS39 by another name."""
    return hs39().replace(name="BT9")


def bt10() -> NLP:
    """Return min -x1 subject to x2 = x1^3, x1^2 = x2: x* = (1, 1), f* = -1. Only two points are feasible."""
    return nlp(
        "BT10",
        [2.0, 2.0],
        product(-1.0, 1, 2),
        constraints(
            lambda x1, x2: [x2 - x1**3, x1**2 - x2],
            lambda x1, x2: [[-3 * x1**2, 1.0], [2 * x1, -1.0]],
            lambda x1, x2, y1, y2: {(1, 1): -6 * x1 * y1 + 2 * y2},
        ),
    )


def bt11() -> NLP:
    """Return min (x1 - 1)^2 + (x1 - x2)^2 + (x2 - x3)^2 + (x3 - x4)^4 + (x4 - x5)^4.

    Subject to x1 + x2^2 + x3^3 = -2 + 3 sqrt 2, x2 - x3^2 + x4 = -2 + 2 sqrt 2, x1 - x5 = 2. f* = 0.8248917783.
    """
    return nlp(
        "BT11",
        [2.0] * 5,
        powers([[1, 0, 0, 0, 0], *-np.diff(np.eye(5), axis=0)], [1, 0, 0, 0, 0], [2, 2, 2, 4, 4]),
        constraints(
            lambda x1, x2, x3, x4, x5: [
                x1 + x2**2 + x3**3 + 2 - 3 * sqrt(2),
                x2 - x3**2 + x4 + 2 - 2 * sqrt(2),
                x1 - x5 - 2,
            ],
            lambda x1, x2, x3, x4, x5: [
                [1.0, 2 * x2, 3 * x3**2, 0.0, 0.0],
                [0.0, 1.0, -2 * x3, 1.0, 0.0],
                [1.0, 0.0, 0.0, 0.0, -1.0],
            ],
            lambda x1, x2, x3, x4, x5, y1, y2, y3: {(2, 2): 2 * y1, (3, 3): 6 * x3 * y1 - 2 * y2},
        ),
    )


def bt12() -> NLP:
    """Return min 0.01 x1^2 + x2^2 subject to x1 + x2 = x3^2 + 25, x1^2 + x2^2 = x4^2 + 25, x1 = x5^2 + 2.

    f* = 625/101 at x1 = 2500/101, x2 = 25/101, x3 = 0.
    """
    return nlp(
        "BT12",
        [15.811, 1.5811, 0.0, 15.083, 3.7164],
        powers([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]], weights=[0.01, 1.0]),
        constraints(
            lambda x1, x2, x3, x4, x5: [x1 + x2 - x3**2 - 25, x1**2 + x2**2 - x4**2 - 25, x1 - x5**2 - 2],
            lambda x1, x2, x3, x4, x5: [
                [1.0, 1.0, -2 * x3, 0.0, 0.0],
                [2 * x1, 2 * x2, 0.0, -2 * x4, 0.0],
                [1.0, 0.0, 0.0, 0.0, -2 * x5],
            ],
            lambda x1, x2, x3, x4, x5, y1, y2, y3: {
                (1, 1): 2 * y2,
                (2, 2): 2 * y2,
                (3, 3): -2 * y1,
                (4, 4): -2 * y2,
                (5, 5): -2 * y3,
            },
        ),
    )
