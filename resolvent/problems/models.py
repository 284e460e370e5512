"""Smooth parts of composite problems: a loss of a linear model, and quadratics."""

from __future__ import annotations

import copy
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from math import prod
from typing import Any, Protocol, Self

import numpy as np

from resolvent import arrays, kernels
from resolvent.errors import ProblemError
from resolvent.parallel import in_parts
from resolvent.problems.checks import read_matrix, read_offset, read_weights, require_finite
from resolvent.problems.loss_base import Loss
from resolvent.typing import Array, Matrix, Point

__all__ = ["LinearModel", "Quadratic", "SmoothModel"]

FEW = 8
"""Where at most one in so many coefficients is not zero, a prediction gathers their columns."""

PART = 256
"""Columns at a time in the row sums of A^T A."""


class SmoothModel(Protocol):
    """What `CompositeProblem` asks of a smooth part that is neither a `LinearModel` nor a `SmoothProblem`.

    Attributes
    ----------
    shape : tuple of int
        Of x.
    dtype : numpy.dtype
    convex : bool
    lipschitz : array of that shape, or None
        Bounds of the second derivatives in single coordinates.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def convex(self) -> bool: ...
    @property
    def lipschitz(self) -> Array | None: ...

    def value(self, x: Array) -> float: ...
    def gradient(self, x: Array) -> Array: ...
    def astype(self, dtype: Any) -> SmoothModel: ...


@dataclass(frozen=True, eq=False, repr=False)
class LinearModel:
    """f(x) = sum_i w_i phi(z_i, y_i) with z = A x + intercept + offset: a sum over samples, not a mean.

    x is (p,), or (p, k) for k responses; with an intercept it is the tuple of that and an array (1,) or (k,).

    Parameters
    ----------
    A : array_like (n, p), or a SciPy sparse matrix
        Kept as it is where it is in Fortran order, or CSC (indices of 32 or 64 bits) without repeated entries, of
        floating numbers; else copied into that form once. It must not be changed afterwards.
    loss : Loss
        With n targets.
    weights : array_like (n,), optional
        >= 0, with a positive sum; default ones.
    offset : array_like (n,) or (n, k), optional
        Added to the predictions.
    intercept : bool
        Whether there is an intercept, which no term penalises.
    dtype : optional
        Default float32 where A is, else float64.

    Raises
    ------
    ProblemError
        For an empty A, wrong shapes, entries that are not finite, weights that are negative or sum to zero, and targets
        for which an intercept has no optimum (labels all the same).

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import LinearModel, losses
    >>> model = LinearModel(np.eye(2), losses.LeastSquares([1.0, 2.0]))
    >>> model.value(np.zeros(2)), model.gradient(np.zeros(2)), model.lipschitz
    (2.5, array([-1., -2.]), array([1., 1.]))
    """

    A: Any
    loss: Loss
    _: KW_ONLY
    weights: Any = None
    offset: Any = None
    intercept: bool = False
    dtype: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.loss, Loss):
            raise ProblemError(f"loss is {self.loss!r}, expected a Loss, as losses.LeastSquares(y)")
        A = read_matrix(self.A, self.dtype)
        n, dense = A.shape[0], not hasattr(A, "indptr")
        norms = _norms_squared(A) if dense else None
        require_finite(A, A.data if norms is None else norms, "A")
        if self.loss.shape[0] != n:
            raise ProblemError(f"loss has {self.loss.shape[0]} targets, expected {n}, the rows of A")
        weights, offset = read_weights(self.weights, n, A.dtype), read_offset(self.offset, self.loss.shape, A.dtype)
        if self.intercept:
            self.loss.require_intercept(weights)
        changes = {"A": A, "weights": weights, "offset": offset, "dtype": A.dtype, "loss": self.loss.astype(A.dtype)}
        for name, value in changes.items():
            object.__setattr__(self, name, value)
        if dense and weights is None:
            self.__dict__["column_norms_squared"] = norms

    def __repr__(self) -> str:
        kind = "CSC" if self.sparse else "dense"
        return f"<LinearModel {self.n} x {self.p} {kind} {self.dtype}, {type(self.loss).__name__}>"

    @property
    def sparse(self) -> bool:
        """Whether A is a CSC array."""
        return hasattr(self.A, "indptr")

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.A.shape[0])

    @property
    def p(self) -> int:
        """Number of columns."""
        return int(self.A.shape[1])

    @property
    def entries(self) -> int:
        """Number of entries of A that a pass meets."""
        return int(self.A.nnz) if self.sparse else self.n * self.p

    @property
    def responses(self) -> int:
        """k, 1 for vectors."""
        return prod(self.loss.shape[1:])

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of x without the intercept: (p,) or (p, k)."""
        return (self.p, *self.loss.shape[1:])

    @property
    def convex(self) -> bool:
        """Every loss here is; a custom one is taken to be."""
        return True

    def astype(self, dtype: Any) -> LinearModel:
        """Return the model in float32 or float64, itself where it is that."""
        if self.dtype == dtype:
            return self
        given = {"weights": self.weights, "offset": self.offset, "intercept": self.intercept}
        return LinearModel(self.A, self.loss, dtype=dtype, **given)

    # ---- products

    def support(self, x: Point) -> Array:
        """Return the rows of x that are not zero, whose columns of A a prediction touches."""
        w = x[0] if self.intercept else x
        return np.flatnonzero(w if w.ndim == 1 else w.any(axis=1))

    def predict(self, x: Point, support: Array | None = None) -> Array:
        """Return z = A x + intercept + offset, (n,) or (n, k).

        Cost: one pass over A, over the columns of `support` alone where these are few.
        """
        w = x[0] if self.intercept else x
        support = self.support(x) if support is None else support
        if len(support) == 0:
            z = np.zeros(self.loss.shape, self.dtype)
        elif self.sparse and w.ndim == 1 and w.dtype == self.dtype:
            z = np.zeros(self.n, self.dtype)
            kernels.descent.accumulate(self.A.data, self.A.indices, self.A.indptr, support, w[support], z)
        elif FEW * len(support) <= self.p:
            z = self.A[:, support] @ w[support]
        else:
            z = self.A @ w
        if self.intercept:
            z += x[1]
        if self.offset is not None:
            z += self.offset
        return z

    def correlate(self, r: Array) -> Point:
        """Return A^T r, with an intercept the tuple of that and the sums of r, like x. Cost: one pass over A."""
        product = self._correlate(r) if self.sparse and r.ndim == 1 and r.dtype == self.dtype else self.A.T @ r
        return (product, np.atleast_1d(r.sum(axis=0))) if self.intercept else product

    @cached_property
    def places(self) -> Array:
        """The numbers of all columns, (p,): what kernels take that look at some of a sparse A."""
        return np.arange(self.p)

    def _correlate(self, r: Array, power: int = 1) -> Array:
        """Do it for the powers of a sparse A, in parts with as many entries for each thread."""
        A, found = self.A, np.empty(self.p, self.dtype)

        def part(lo: int, hi: int) -> None:
            first = int(np.searchsorted(A.indptr, lo)) if lo else 0
            last = int(np.searchsorted(A.indptr, hi)) if hi < A.nnz else self.p
            places = self.places[first:last]
            kernels.descent.correlate(A.data, A.indices, A.indptr, places, power, r, found[first:last])

        in_parts(part, A.nnz, A.nnz)
        return found

    def value(self, x: Point) -> float:
        """Return f(x). Cost: one pass over A."""
        return self.loss.value(self.predict(x), self.weights)

    def gradient(self, x: Point) -> Point:
        """Return the gradient of f, like x. Cost: two passes over A."""
        return self.correlate(self.derivative(self.predict(x)))

    def derivative(self, z: Array) -> Array:
        """Return the derivative of the weighted loss at z, like z; `correlate` of it is the gradient."""
        return self.loss.derivative(z, self.weights)

    def columns(self, chosen: Array) -> Array:
        """Return the chosen columns of A as a dense array (n, m)."""
        found = self.A[:, chosen]
        dense: Array = found.toarray() if self.sparse else found
        return dense

    # ---- curvature

    @cached_property
    def column_norms_squared(self) -> Array:
        """sum_i w_i a_ij^2 for each column, (p,), with the weights of the samples. Cost: one pass, once."""
        return self.norms_squared(self.weights)

    @cached_property
    def lengths(self) -> Array:
        """Norms of the columns, without weights, (p,)."""
        return np.sqrt(self.column_norms_squared if self.weights is None else self.norms_squared(None))

    def norms_squared(self, weights: Array | None) -> Array:
        """Return sum_i w_i a_ij^2 for each column, (p,), with weights (n,) of the rows of A. Cost: one pass."""
        if self.sparse:
            return self._correlate(np.ones(1, self.dtype) if weights is None else weights, 2)
        if weights is None:
            return _norms_squared(self.A)
        found: Array = np.einsum("ji,ji,i->j", self.A.T, self.A.T, weights)
        return found

    @cached_property
    def row_sums(self) -> Array:
        """Sums of the absolute entries of the rows of A^T diag(weights) A, (p,). Cost: half of that product, once."""
        A, found = self.A, np.zeros(self.p)
        for first in range(0, self.p, PART):
            part, last = A[:, first : first + PART], min(first + PART, self.p)
            part = part if self.weights is None else part * self.weights[:, None]
            G = abs(A[:, first:].T @ part)  # symmetric: what is above the diagonal counts for two rows
            found[first:last] += np.asarray(G.sum(axis=0)).ravel()
            found[last:] += np.asarray(G[last - first :].sum(axis=1)).ravel()
        return found

    @property
    def total_weight(self) -> float:
        """The sum of the weights of the samples."""
        return float(self.n if self.weights is None else self.weights.sum())

    @cached_property
    def lipschitz(self) -> Array | None:
        """Bounds of the second derivatives in single coordinates, (p,), the same for all responses; None where the loss
        has none."""
        bound = self.loss.curvature_bound
        return None if bound is None else bound * self.column_norms_squared

    # ---- duality

    def dual_point(self, z: Array) -> Array:
        """Return theta = -derivative at z; with an intercept moved so that its sums are zero, inside the domain."""
        slope = self.derivative(z)
        if self.intercept and self.loss.has_conjugate:
            slope = self.loss.balance(slope, self.weights)
        return -slope

    def remove_from_dual(self, z: Array, theta: Array, null: Array) -> Array | None:
        """Return theta moved so that A^T theta is zero in the given places, and its sums too with an intercept.

        Entries move in proportion to the curvature of the loss at z: near an optimum that leaves theta in the domain of
        the conjugate. For the softmax a place stands for its row of x.

        Parameters
        ----------
        z, theta : array (n,) or (n, k)
        null : array of bool, of the shape of x

        Returns
        -------
        array or None
            None where there is no such point near theta.
        """
        room = np.sqrt(np.maximum(self.loss.dual_room(z, self.weights), 0).astype(np.float64))
        if room.ndim == 1:
            chosen = np.flatnonzero(null if null.ndim == 1 else null.any(axis=1))
            return _removed(theta, self._null_columns(chosen), room)
        found = np.empty_like(theta)
        for c in range(theta.shape[1]):
            one = _removed(theta[:, c], self._null_columns(np.flatnonzero(null[:, c])), room[:, c])
            if one is None:
                return None
            found[:, c] = one
        return found

    def _null_columns(self, chosen: Array) -> Array | None:
        if len(chosen) + self.intercept >= self.n:
            return None
        columns = self.columns(chosen).astype(np.float64)
        return np.column_stack([columns, np.ones(self.n)]) if self.intercept else columns


def _removed(theta: Array, columns: Array | None, room: Array) -> Array | None:
    """Return the theta with columns^T theta = 0 that is nearest in the metric of 1 / room^2, None where none is."""
    if columns is None:
        return None
    found = theta.astype(np.float64)
    across = room if theta.ndim == 1 else room[:, None]
    for _ in range(2):  # the second one removes the rounding of the first
        move = np.linalg.lstsq((room[:, None] * columns).T, columns.T @ found, rcond=None)[0]
        found = found - across * move
    left = np.linalg.norm(columns.T @ found, axis=-1) if theta.ndim > 1 else np.abs(columns.T @ found)
    if (left > 1e-9 * np.linalg.norm(columns, axis=0) * np.linalg.norm(theta)).any():
        return None
    return found.astype(theta.dtype)


@dataclass(frozen=True, eq=False, repr=False)
class Quadratic:
    """f(x) = x^T H x / 2 - q^T x with a symmetric H.

    Parameters
    ----------
    H : array_like (p, p), or a SciPy sparse matrix
    q : array_like (p,)
    convex : bool, optional
        Whether H is positive semidefinite. Default: found out where it is cheap (a diagonal that dominates its rows, a
        negative entry on it, order at most 1000), else no is assumed.

    Raises
    ------
    ProblemError
        H is not square or not symmetric, q does not fit, or entries are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import Quadratic
    >>> f = Quadratic(np.diag([2.0, 1.0]), [2.0, 0.0])
    >>> f.value(np.ones(2)), f.gradient(np.ones(2)), f.convex
    (-0.5, array([0., 1.]), True)
    """

    H: Any
    q: Any
    convex: Any = None
    dtype: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        H = read_matrix(self.H, self.dtype, "H")
        require_finite(H, H.data if hasattr(H, "indptr") else H, "H")
        if hasattr(H, "indptr") and not H.has_sorted_indices:
            H = H.sorted_indices()
        q = np.array(arrays.cast(np.asarray(self.q), H.dtype, "q"))
        if H.shape[0] != H.shape[1] or q.shape != H.shape[:1]:
            raise ProblemError(f"H has shape {H.shape} and q {q.shape}, expected (p, p) and (p,)")
        if abs(H - H.T).max() > 10 * np.finfo(H.dtype).eps * abs(H).max():
            raise ProblemError("H is not symmetric; a quadratic form is that of (H + H^T) / 2")
        convex = _is_semidefinite(H) if self.convex is None else bool(self.convex)
        for name, value in {"H": H, "q": q, "convex": convex, "dtype": H.dtype}.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<Quadratic of order {len(self.q)}, {'' if self.convex else 'not known to be '}convex>"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of x: (p,)."""
        return (len(self.q),)

    def astype(self, dtype: Any) -> Self:
        """Return the quadratic in float32 or float64, itself where it is that."""
        if self.dtype == dtype:
            return self
        changed = copy.copy(self)
        changed.__dict__.pop("lipschitz", None)
        for name, value in {"H": self.H.astype(dtype), "q": self.q.astype(dtype), "dtype": np.dtype(dtype)}.items():
            object.__setattr__(changed, name, value)
        return changed

    def value(self, x: Array) -> float:
        """Return f(x). Cost: one product with H."""
        return float(x @ (0.5 * (self.H @ x) - self.q))

    def gradient(self, x: Array) -> Array:
        """Return H x - q. Cost: one product with H."""
        found: Array = self.H @ x - self.q
        return found

    @cached_property
    def lipschitz(self) -> Array:
        """The absolute diagonal of H, (p,)."""
        diagonal: Array = np.abs(self.H.diagonal())
        return diagonal


def _is_semidefinite(H: Matrix) -> bool:
    """Whether H is seen to be positive semidefinite."""
    diagonal = H.diagonal()
    if (diagonal < 0).any():
        return False
    rows = np.asarray(abs(H).sum(axis=1)).ravel()
    if (rows <= 2 * diagonal * (1 + 1e-12)).all():
        return True
    if H.shape[0] > 1000:
        return False
    dense = (H.toarray() if hasattr(H, "indptr") else H).astype(np.float64)
    return bool(np.linalg.eigvalsh(dense)[0] >= -1e-12 * diagonal.max() * len(dense))


def _norms_squared(A: Array) -> Array:
    """Return the squares of the norms of the columns of a dense A; inf where they are too large, without a warning."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: Array = np.matmul(A.T[:, None, :], A.T[:, :, None])[:, 0, 0]  # by BLAS's dot, a third of einsum's time
    return found
