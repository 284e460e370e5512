"""LinearSystem: A x = b with any matrix or operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from math import prod
from typing import Any

import numpy as np

from resolvent import arrays
from resolvent.errors import BackendError, ProblemError
from resolvent.problems.base import Oracle, Problem
from resolvent.problems.checks import require_shape
from resolvent.problems.null_spaces import Components
from resolvent.typing import Array, Matrix

__all__ = ["LinearSystem"]


@dataclass(eq=False, repr=False)
class LinearSystem(Problem):
    """A x = b, A square.

    The certificate is x, the residual norm2(b - A x), the scale norm2(b) (1 where b = 0). The cost axis counts
    applications of A.

    A `GridOperator` says itself what its grid, null space and dtype are, and that it is `spd`. Entries of b and of
    starting points in its inactive cells are set to zero.

    Parameters
    ----------
    A : array or sparse matrix (n, n), or anything with ``@``
    b : array_like (n,)
    spd : bool, optional
        A is symmetric positive definite (semidefinite beside a `null_space`). Solvers that need this refuse a system
        that does not say so.
    grid : tuple of int, optional
        The grid that x and b live on, in C order: ``x.reshape(grid)``.
    null_space : array_like (n,) or (k, n), or Components, optional
        Vectors that span the null space of a symmetric singular A. The part of b along it is removed where it is
        rounding; where it is larger, no x solves the system, and runs on it end INFEASIBLE.
    project : bool, optional
        Replace b by its projection off the null space, however large the difference (pressure solves).
    x0 : array_like (n,), optional
        Default zero.
    name : str, optional
    dtype : optional
        Default: the common floating type of A and b.

    Raises
    ------
    ProblemError
        A is not square, b does not fit, or entries of either are not finite.
    BackendError
        One of A and b lives on a GPU, the other does not.

    Examples
    --------
    >>> import numpy as np
    >>> from resolvent.problems import LinearSystem
    >>> system = LinearSystem(np.diag([1.0, 2.0]), [1.0, 4.0], spd=True)
    >>> system.residual(np.array([1.0, 2.0])), system.scale() > 4
    (0.0, True)
    """

    A: Matrix
    b: Any
    _: KW_ONLY
    spd: bool = False
    grid: tuple[int, ...] | None = None
    null_space: Any = None
    project: bool = False
    apply: Any = field(default=None, init=False)
    _scale: float = field(default=1.0, init=False)
    _at_rest: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not hasattr(self.A, "__matmul__"):
            raise ProblemError(f"A is a {type(self.A).__name__}, expected a matrix or an operator with @")
        _require_one_place(self.A, self.b)
        if self.dtype is None:
            self.dtype = _common_dtype(self.A, self.b)
        if self.on_grid:
            self._take_facts()
        super().__post_init__()
        if self.on_grid and self.A.dtype != self.dtype:
            self.A = self.A.astype(self.dtype)
        self.b = arrays.cast(self.b if arrays.is_array(self.b) else np.asarray(self.b), self.dtype, "b")
        if self.b.ndim != 1:
            raise ProblemError(f"b has shape {tuple(self.b.shape)}, expected (n,)")
        n = self.b.shape[0]
        self._check_matrix(n)
        if self.grid is not None and prod(self.grid) != n:
            raise ProblemError(f"grid {self.grid} has {prod(self.grid)} cells, expected {n}, the length of b")
        self._read_null_space(n)
        self._at_rest = self.x0 is None
        if self.x0 is None:
            self.x0 = self._zeros()
        require_shape(self.x0, (n,), "x0")
        self.apply = Oracle("apply", lambda v: self.A @ v, self.counts, shape=(n,), dtype=self.dtype)
        self._scale = self.norm(self.b) or 1.0

    @property
    def on_grid(self) -> bool:
        """Whether A is a `GridOperator`, or something that passes its attributes on."""
        return hasattr(self.A, "conditions") and hasattr(self.A, "face_weights")

    def _take_facts(self) -> None:
        """Read off a GridOperator what was not given, and silence b in inactive cells, where anything may stand."""
        self.spd = True
        self.grid = self.A.grid if self.grid is None else self.grid
        self.null_space = self.A.components if self.null_space is None else self.null_space
        b = self.b if arrays.is_array(self.b) else np.asarray(self.b)
        if self.A.active is not None and isinstance(b, np.ndarray) and b.shape == self.A.shape[:1]:
            self.b = np.where(self.A.active.ravel(), b, 0)

    def _check_matrix(self, n: int) -> None:
        shape = getattr(self.A, "shape", (n, n))
        if tuple(shape) != (n, n):
            raise ProblemError(f"A has shape {tuple(shape)}, expected ({n}, {n}) to fit b")
        if getattr(getattr(self.A, "dtype", None), "kind", "f") not in "fiub":
            raise ProblemError(f"A has dtype {self.A.dtype}, expected real numbers")
        entries = self.A.data if hasattr(self.A, "indptr") else self.A
        if arrays.is_array(entries) and not arrays.is_finite(entries):
            raise ProblemError("A contains nan or inf, expected finite numbers")

    def _read_null_space(self, n: int) -> None:
        if self.null_space is None:
            return
        if not isinstance(self.null_space, Components):
            self.null_space = self._read_vectors(n)
        along, size = self._along(), self.norm(self.b)
        if along > np.sqrt(np.finfo(self.dtype).eps) * size and not self.project:
            self.infeasible = (
                f"no x solves the system: b has a part of norm {along:.3e} along the null space of A "
                f"(norm of b {size:.3e}); project=True solves for the rest of b"
            )
        else:
            self.b = self.remove_null_space(self.b)

    def _along(self) -> float:
        """Return the norm of the part of b along the null space."""
        if isinstance(self.null_space, Components):
            return self.null_space.along(self.b)
        return self.norm(self.null_space @ self.b)

    def _read_vectors(self, n: int) -> Array:
        """Return an orthonormal basis of the given vectors, in the rows."""
        vectors = np.atleast_2d(np.asarray(self.null_space, dtype=np.float64))
        if vectors.shape[-1] != n or vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise ProblemError(f"null_space has shape {np.shape(self.null_space)}, expected finite ({n},) or (k, {n})")
        Q, R = np.linalg.qr(vectors.T)
        if len(vectors) > n or (np.abs(np.diagonal(R)) <= 1e-10 * np.linalg.norm(vectors, axis=1)).any():
            raise ProblemError("null_space has a vector that is zero or depends on the others, expected a basis")
        basis: Array = np.ascontiguousarray(Q.T).astype(self.dtype)
        return basis

    def remove_null_space(self, v: Array) -> Array:
        """Return v without its part along the null space; v itself where A is not singular.

        Cost: 4 k n flops for k vectors; for the components of a grid two passes over v.
        """
        if self.null_space is None:
            return v
        if isinstance(self.null_space, Components):
            return self.null_space.remove(v)
        along: Array = self.null_space.T @ (self.null_space @ v)
        return v - along

    def compress(self) -> LinearSystem:
        """Return the system of the active cells of a grid, A as a CSR array, cells in their order.

        ``A.expand(x)`` brings its solution back to the grid.

        Raises
        ------
        ProblemError
            A is no `GridOperator`.
        """
        if not self.on_grid:
            raise ProblemError(f"A is a {type(self.A).__name__}; only a GridOperator has cells to leave out")
        cells = self.A.cells()
        null_space = self.null_space
        if null_space is not None:
            null_space = null_space.restrict(cells) if isinstance(null_space, Components) else null_space[:, cells]
        return LinearSystem(
            self.A.compress(),
            self.b[cells],
            spd=self.spd,
            null_space=null_space,
            project=self.project,
            x0=self.x0[cells],
            name=self.name,
            dtype=self.dtype,
        )

    def _zeros(self) -> Any:
        """Return the zero vector; NumPy's is of pages that cost nothing until they are written."""
        return np.zeros(self.b.shape, self.b.dtype) if isinstance(self.b, np.ndarray) else self.b * 0

    def point(self, x0: Any = None, y0: Any = None) -> tuple[Any, Any]:
        if x0 is None and y0 is None and self._at_rest:
            return self._zeros(), None
        x, y = super().point(x0, y0)
        if self.on_grid and self.A.active is not None:
            x[~self.A.active.ravel()] = 0
        return x, y

    def features(self) -> set[str]:
        found = set()
        if self.null_space is not None:
            found.add("singular")
        if not self.spd:
            found.add("indefinite")
        if not (arrays.is_array(self.A) or hasattr(self.A, "nnz")):
            found.add("operator")
        return found

    def residual(self, x: Array) -> float:
        if hasattr(type(self.A), "residual_norm") and x.dtype == self.b.dtype == self.A.dtype:
            self.counts["apply"] += 1
            return float(self.A.residual_norm(x, self.b))
        return self.norm(self.b - self.apply(x))

    def scale(self, x: Array | None = None) -> float:
        return self._scale

    def evaluations(self, counts: Mapping[str, int]) -> float:
        return float(counts.get("apply", 0))

    def identity(self) -> str:
        return f"{super().identity()} n={self.b.shape[0]}"


def _common_dtype(A: Any, b: Any) -> Any:
    """Return float32 where A and b are both at most that wide, else float64; other kinds are refused later."""
    kinds = [getattr(v, "dtype", None) for v in (A, b)]
    names = [str(kind).rpartition(".")[2] for kind in kinds if kind is not None]
    return np.float32 if names and all(name == "float32" for name in names) else np.float64


def _require_one_place(A: Any, b: Any) -> None:
    """Raise BackendError where one of A and b lives on a GPU and the other one on the CPU."""
    stored = arrays.is_array(A) or hasattr(A, "indptr") or hasattr(A, "face_weights")
    places = arrays.place(A), arrays.place(b)
    if stored and places[0] != places[1]:
        raise BackendError(f"A lives on the {places[0]}, b on the {places[1]}; move one of them")
