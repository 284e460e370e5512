"""Six problems of the AdaSketch-Newton paper that the Python collection S2MPJ lacks.

All are nonlinear equations c(x) = 0, written as constraints beside the objective 0, with multipliers that start at
zero. Scalings and starting points are those of CUTEst: the KKT norms of the runs that the authors published are met to
rounding.

I. Hong, S. Na, M. W. Mahoney, M. Kolar, "Constrained optimization via exact augmented Lagrangian and randomized
iterative sketching", International Conference on Machine Learning, 2023.
"""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
from numpy.polynomial.polynomial import polyval

from resolvent.problems.library.formulas import Constraints, constant, constraints, nlp
from resolvent.problems.library.jets import Jet, compose, variables
from resolvent.problems.nlp import NLP
from resolvent.typing import Array

__all__ = ["ba_l1", "denschncne", "himmelbe", "morebvne", "sinvalne", "trigon1ne"]


def _equations(name: str, x0: Any, c: Constraints) -> NLP:
    """Return c(x) = 0 with the objective 0 and multipliers that start at 0."""
    x0 = np.asarray(x0, dtype=np.float64)
    return nlp(name, x0, constant(0.0, len(x0)), c, y0=np.zeros(len(c.value(x0))))


def sinvalne() -> NLP:
    """Return the equations 10 (x2 - sin x1) = 0, x1 / 2 = 0: x* = (0, 0).

    SINEVAL of Xiao and Zhou (Computing 48, 303-317, 1992, problem 4.2) as equations, with the weights of CUTEst.
    """
    return _equations(
        "SINVALNE",
        [4.712389, -1.0],
        constraints(
            lambda x1, x2: [10 * (x2 - np.sin(x1)), x1 / 2],
            lambda x1, x2: [[-10 * np.cos(x1), 10.0], [0.5, 0.0]],
            lambda x1, x2, y1, y2: {(1, 1): 10 * np.sin(x1) * y1},
        ),
    )


def himmelbe() -> NLP:
    """Return the equations (x1 + x2)^2 / 4 = x3, x1 = 1, x2 = 1: x* = (1, 1, 1).

    Himmelblau, "Applied nonlinear programming", McGraw-Hill, 1972, problem 30.
    """
    return _equations(
        "HIMMELBE",
        [-1.2, 2.0, 0.0],
        constraints(
            lambda x1, x2, x3: [(x1 + x2) ** 2 / 4 - x3, 1 - x1, 1 - x2],
            lambda x1, x2, x3: [[(x1 + x2) / 2, (x1 + x2) / 2, -1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]],
            lambda x1, x2, x3, y1, y2, y3: {(1, 1): y1 / 2, (1, 2): y1 / 2, (2, 2): y1 / 2},
        ),
    )


def denschncne() -> NLP:
    """Return the equations x1^2 + x2^2 = 2, exp(x1 - 1) + x2^3 = 2: x* = (1, 1).

    Dennis and Schnabel, "Numerical methods for unconstrained optimization and nonlinear equations", Prentice-Hall,
    1983, page 98.
    """
    return _equations(
        "DENSCHNCNE",
        [2.0, 3.0],
        constraints(
            lambda x1, x2: [x1**2 + x2**2 - 2, np.exp(x1 - 1) + x2**3 - 2],
            lambda x1, x2: [[2 * x1, 2 * x2], [np.exp(x1 - 1), 3 * x2**2]],
            lambda x1, x2, y1, y2: {(1, 1): 2 * y1 + np.exp(x1 - 1) * y2, (2, 2): 2 * y1 + 6 * x2 * y2},
        ),
    )


def trigon1ne(n: int = 10) -> NLP:
    """Return the equations sum_j cos x_j + i (cos x_i + sin x_i) = n + i, i = 1, ..., n: x* = 0.

    The function Trigonometric01 of global optimisation tests, as equations.

    Parameters
    ----------
    n : int
        Number of variables and equations.
    """
    i = np.arange(1.0, n + 1)

    def curvature(x: Array, y: Array) -> Array:
        return np.diag(-y.sum() * np.cos(x) - y * i * (np.cos(x) + np.sin(x)))

    c = Constraints(
        lambda x: np.cos(x).sum() + i * (np.cos(x) + np.sin(x)) - n - i,
        lambda x: -np.sin(x) + np.diag(i * (np.cos(x) - np.sin(x))),
        curvature,
    )
    return _equations("TRIGON1NE", np.full(n, 0.1), c)


def morebvne(n: int = 10) -> NLP:
    """Return the equations 2 x_i - x_{i-1} - x_{i+1} + h^2 (x_i + t_i + 1)^3 / 2 = 0, t_i = i h, h = 1 / (n + 1).

    With x_0 = 0, i = 1, ..., n - 1: second differences of the boundary value problem u'' = (u + t + 1)^3 / 2. The last
    equation should have x_{n+1} = 0. CUTEst writes 2 x_{n-1} for 2 x_n in it, and so does this problem, since its
    results are to be compared with those of CUTEst: x_{n-1} + h^2 (x_n + t_n + 1)^3 / 2 = 0.

    J. J. More, B. S. Garbow, K. E. Hillstrom, "Testing unconstrained optimization software", ACM Transactions on
    Mathematical Software 7, 17-41, 1981, problem 28.

    Parameters
    ----------
    n : int
        Number of variables and equations, at least 2.
    """
    h = 1 / (n + 1)
    t = h * np.arange(1, n + 1)
    differences = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    differences[-1] = np.eye(n)[-2]
    c = Constraints(
        lambda x: differences @ x + h**2 / 2 * (x + t + 1) ** 3,
        lambda x: differences + np.diag(1.5 * h**2 * (x + t + 1) ** 2),
        lambda x, y: np.diag(3 * h**2 * (x + t + 1) * y),
    )
    return _equations("MOREBVNE", t * (t - 1), c)


# ---- bundle adjustment

_OBSERVED = np.array(
    [
        [-332.65, 262.09],
        [-199.76, 166.7],
        [-253.06, 202.27],
        [58.13, 271.89],
        [238.22, 237.37],
        [317.55, 221.15],
    ]
)
_POINT = np.array([-0.6120001572, 0.57175904776, -1.847081276])
_CAMERAS = np.array(
    [
        [0.01574151594, -0.0127909362, -0.0044008498, -0.0340938396, -0.107513871, 1.1202240291],
        [0.01597732412, -0.0252244646, -0.0094001416, -0.0085667661, -0.1218804907, 0.7190133075],
        [0.01484625118, -0.0210628994, -0.001166948, -0.0249509707, -0.1139847055, 0.92166020737],
        [0.01991666998, -1.22433082, 0.0119988756, -1.411897512, -0.1148065151, 0.44915582738],
        [0.02082242153, -1.238434791, 0.01389314763, -1.049686225, -0.1299513286, 0.33798380231],
        [0.01658816461, -1.247226838, 0.01846788123, -0.8617315756, -0.1321089362, 0.28256800868],
    ]
)
_LENSES = np.array(
    [
        [-3.177064e-7, 5.882049e-13, 399.75152639],
        [-3.780477e-7, 9.307431e-13, 402.01753386],
        [-3.295265e-7, 6.732885e-13, 400.40175368],
        [5.95875e-8, -2.48391e-13, 407.03024568],
        [4.5673127e-8, -1.79243e-13, 405.91764962],
        [4.7465711e-8, -1.50881e-13, 404.73590637],
    ]
)


def ba_l1() -> NLP:
    """Return the 12 equations of a bundle adjustment: one point seen by six cameras, 57 unknowns.

    Camera i turns the point X by the rotation vector r, moves it by t and projects it through a lens of focal length f
    with radial distortion, and the image has to be the one observed::

        P = R(r) X + t,    p = -(P1, P2) / P3,    f (1 + k1 |p|^2 + k2 |p|^4) p = observed_i
        R(r) X = cos(a) X + sin(a)/a (r x X) + (1 - cos(a))/a^2 (r^T X) (r1, r1, r3),    a = |r|

    The unknowns are X and, camera by camera, (r, t, k1, k2, f). A rotation has r2 in the place of the second r1; CUTEst
    has r1 there, and its results can be compared with those of this problem alone. There are more unknowns than
    equations, and so many solutions.

    S. Agarwal, N. Snavely, S. M. Seitz, R. Szeliski, "Bundle adjustment in the large", European Conference on Computer
    Vision, 2010; a point of the data set Ladybug.
    """
    cameras = len(_OBSERVED)
    columns = np.array([[0, 1, 2, *range(3 + 9 * i, 12 + 9 * i)] for i in range(cameras)])
    n, m = 3 + 9 * cameras, 2 * cameras

    def value(x: Array) -> Array:
        image = np.column_stack(_project(list(x[columns].T)))
        return np.ravel(image - _OBSERVED)

    def jacobian(x: Array) -> Array:
        matrix = np.zeros((m, n))
        for row, image in enumerate(_project(variables(x[columns]))):
            np.put_along_axis(matrix[row::2], columns, image.gradient, axis=1)
        return matrix

    def curvature(x: Array, y: Array) -> Array:
        u, v = _project(variables(x[columns]))
        weighted = y[0::2, None, None] * u.hessian + y[1::2, None, None] * v.hessian
        matrix = np.zeros((n, n))
        np.add.at(matrix, (columns[:, :, None], columns[:, None, :]), weighted)
        return matrix

    x0 = np.concatenate([_POINT, np.hstack([_CAMERAS, _LENSES]).ravel()])
    return _equations("BA-L1", x0, Constraints(value, jacobian, curvature))


def _project(unknowns: list[Any]) -> tuple[Any, Any]:
    """Return the two coordinates of the image; unknowns are X, r, t, k1, k2, f, each an array or a jet over cameras."""
    X, r, t, (k1, k2, f) = unknowns[:3], unknowns[3:6], unknowns[6:9], unknowns[9:]
    cos, sinc, versine = _rotation(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
    along = versine * (r[0] * X[0] + r[1] * X[1] + r[2] * X[2])
    P1 = cos * X[0] + sinc * (r[1] * X[2] - r[2] * X[1]) + along * r[0] + t[0]
    P2 = cos * X[1] + sinc * (r[2] * X[0] - r[0] * X[2]) + along * r[0] + t[1]
    P3 = cos * X[2] + sinc * (r[0] * X[1] - r[1] * X[0]) + along * r[2] + t[2]
    depth = P3.value if isinstance(P3, Jet) else P3
    inverse = compose(P3, 1 / depth, -(depth**-2), 2 * depth**-3)
    p1, p2 = -P1 * inverse, -P2 * inverse
    square = p1 * p1 + p2 * p2
    lens = f * (square * (k1 + k2 * square) + 1.0)
    return lens * p1, lens * p2


def _rotation(s: Any) -> list[Any]:
    """Return cos a, sin(a)/a and (1 - cos a)/a^2 as functions of s = a^2, smooth at 0 too.

    They are the Stumpff functions c_0, c_1, c_2, with s c_{m+2} = 1/m! - c_m and 2 c_m' = m c_{m+2} - c_{m+1}.
    """
    c = _stumpff(s.value if isinstance(s, Jet) else s)
    return [
        compose(
            s,
            c[m],
            (m * c[m + 2] - c[m + 1]) / 2,
            (m * (m + 2) * c[m + 4] - (2 * m + 1) * c[m + 3] + c[m + 2]) / 4,
        )
        for m in range(3)
    ]


def _stumpff(s: Array) -> Array:
    """Return c_0, ..., c_6 with c_m(s) = sum_k (-s)^k / (2 k + m)!: by recurrence downwards for s < 1, else upwards."""
    angle = np.sqrt(np.maximum(s, 1.0))
    up = [np.cos(angle), np.sin(angle) / angle]
    low = np.minimum(s, 1.0)
    down = [polyval(-low, [1 / factorial(2 * k + m) for k in range(9)]) for m in (6, 5)]
    for m in range(5):
        up.append((1 / factorial(m) - up[m]) / angle**2)
        down.append(1 / factorial(4 - m) - low * down[m])
    return np.where(s < 1.0, down[::-1], up)
