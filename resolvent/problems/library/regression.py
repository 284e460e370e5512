"""Regressions with random designs: the data of Nutini, Laradji and Schmidt (2022), and two common kinds of columns.

Each problem has a fixed seed. `fraction` is the weight of the L1 term relative to `lambda_max`, from which on x = 0 is
the solution; at 0 there is no term, as in most runs of the paper.
"""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.checks import require_size
from resolvent.problems.composite import CompositeProblem
from resolvent.problems.losses import LeastSquares, Logistic, Loss, Softmax
from resolvent.problems.models import LinearModel
from resolvent.problems.terms import L1, NonNegative, NoTerm, Term
from resolvent.typing import Array, Matrix

__all__ = ["correlated", "paper_a", "paper_a_nonnegative", "paper_b", "paper_c", "sparse_synthetic"]


def paper_a(n: int = 1000, p: int = 10_000, fraction: float = 0.0, seed: int = 1) -> CompositeProblem:
    """Return the paper's data set A: least squares with columns of very different sizes, 7 % of the entries kept.

    ``A = (normal + 1) * 10 normal per column``, each entry kept with probability 10 log(n) / n; y = A w + normal, with
    one in ten entries of w not zero.

    Examples
    --------
    >>> from resolvent.problems.library.regression import paper_a
    >>> paper_a(20, 30, fraction=0.1).shape
    (30,)
    """
    A, y = _paper_a(n, p, seed)
    return _problem("PAPER A", A, LeastSquares(y), fraction)


def paper_a_nonnegative(n: int = 1000, p: int = 10_000, weight: float = 50_000.0, seed: int = 1) -> CompositeProblem:
    """Return the paper's data set A with x >= 0 and weight * sum(x): 45 entries of the solution are not zero."""
    A, y = _paper_a(n, p, seed)
    return _problem("PAPER A NONNEGATIVE", A, LeastSquares(y), 0.0, NonNegative(weight))


def paper_b(n: int = 1000, p: int = 10_000, fraction: float = 0.0, seed: int = 2) -> CompositeProblem:
    """Return the paper's data set B: logistic regression with the design of A, one label in ten flipped."""
    rng = np.random.default_rng(seed)
    A, w = _paper_design(rng, n, p)
    y = np.sign(A @ w)
    y *= np.where(rng.random(n) < 0.1, -1.0, 1.0)
    return _problem("PAPER B", A, Logistic(y), fraction)


def paper_c(
    n: int = 1000, p: int = 1000, classes: int = 50, fraction: float = 0.0, seed: int = 3
) -> CompositeProblem:  # fmt: skip
    """Return the paper's data set C: softmax regression, labels argmax(A W + normal) with a dense W.

    The design is that of A. x has the shape (p, classes).
    """
    rng = np.random.default_rng(seed)
    A, _ = _paper_design(rng, n, p)
    scores = A @ rng.standard_normal((p, classes)) + rng.standard_normal((n, classes))
    return _problem("PAPER C", A, Softmax(scores.argmax(axis=1), classes), fraction)


def _paper_a(n: int, p: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    A, w = _paper_design(rng, n, p)
    return A, A @ w + rng.standard_normal(n)


def _paper_design(rng: np.random.Generator, n: int, p: int) -> tuple[Array, Array]:
    """Return the design, dense, and the coefficients behind the data."""
    require_size(n, "n", 2)
    require_size(p, "p", 1)
    A = (rng.standard_normal((n, p)) + 1.0) * (10 * rng.standard_normal(p))
    A *= rng.random((n, p)) < 10 * log(n) / n
    return A, rng.standard_normal(p) * (rng.random(p) < 0.1)


def correlated(
    n: int = 1000, p: int = 5000, rho: float = 0.9, k: int = 50, snr: float = 10.0, fraction: float = 0.1,
    labels: bool = False, seed: int = 0,
) -> CompositeProblem:  # fmt: skip
    """Return a regression on normal columns with correlations rho^abs(i - j), dense; k coefficients are one.

    Parameters
    ----------
    n, p : int
    rho : float
        In (-1, 1).
    k : int
        At most p.
    snr : float
        The norm of the signal over that of the noise.
    fraction : float
    labels : bool
        Logistic regression on which half the response lies in, in place of least squares.
    seed : int
    """
    require_size(n, "n", 2)
    require_size(p, "p", 1)
    if not -1 < rho < 1:
        raise ProblemError(f"rho is {rho!r}, expected a number in (-1, 1)")
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, p))
    A = np.empty((n, p), order="F")
    A[:, 0] = Z[:, 0]
    for j in range(1, p):
        A[:, j] = rho * A[:, j - 1] + np.sqrt(1 - rho * rho) * Z[:, j]
    w = np.zeros(p)
    w[rng.choice(p, k, replace=False)] = 1.0
    return _problem("CORRELATED", A, _response(rng, A, w, snr, labels), fraction)


def sparse_synthetic(
    n: int = 2000, p: int = 5000, density: float = 5e-3, k: int = 50, snr: float = 5.0, fraction: float = 0.1,
    labels: bool = False, seed: int = 0,
) -> CompositeProblem:  # fmt: skip
    """Return a regression on sparse columns whose sizes follow a power law, as those of words in texts.

    Entries are lognormal; k coefficients among the tenth of the columns that are fullest are normal. Parameters as for
    `correlated`; the large case of benchmarks is n = 20,000, p = 100,000, density 5e-4, k = 200.
    """
    require_size(n, "n", 7)
    require_size(p, "p", 10)
    rng = np.random.default_rng(seed)
    sizes = (1 + np.arange(p)) ** -0.8
    sizes = np.minimum(0.3 * n, np.maximum(2, sizes / sizes.mean() * density * n)).astype(int)
    rows = [rng.choice(n, size, replace=False) for size in sizes]  # one draw per column, in this order: published data
    pointers = np.concatenate([[0], np.cumsum(sizes)])
    A = _csc(rng.lognormal(0, 0.5, pointers[-1]), np.concatenate(rows), pointers, (n, p))
    w = np.zeros(p)
    w[rng.choice(p // 10, k, replace=False)] = rng.standard_normal(k)
    return _problem("SPARSE SYNTHETIC", A, _response(rng, A, w, snr, labels), fraction)


def _csc(data: Array, rows: Array, pointers: Array, shape: tuple[int, int]) -> Matrix:
    import scipy.sparse as sp

    return sp.csc_array((data, rows, pointers), shape=shape)


def _response(rng: np.random.Generator, A: Matrix, w: Array, snr: float, labels: bool) -> Loss:
    """Return the loss of A w + noise, or of the half in which each lies."""
    signal = A @ w
    noise = rng.standard_normal(len(signal))
    y = signal + noise * np.linalg.norm(signal) / (snr * np.linalg.norm(noise))
    return Logistic(np.sign(y - np.median(y) + 1e-12)) if labels else LeastSquares(y)


def _problem(name: str, A: Any, loss: Loss, fraction: float, term: Term | None = None) -> CompositeProblem:
    import scipy.sparse as sp

    if not fraction >= 0:
        raise ProblemError(f"fraction is {fraction!r}, expected a number >= 0")
    dense = isinstance(A, np.ndarray) and np.count_nonzero(A) > 0.5 * A.size
    model = LinearModel(A if dense else sp.csc_array(A), loss)
    if term is None and fraction > 0:
        at_zero = model.correlate(model.derivative(np.zeros(loss.shape)))
        term = L1(fraction * L1(1.0).lambda_max(at_zero))
    return CompositeProblem(smooth=model, term=NoTerm() if term is None else term, name=name)
