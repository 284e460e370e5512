"""Sketch-and-project: randomised projection methods for A x = b (Kaczmarz and its relatives).

Each step draws a sketch S (n x q) from a fixed distribution and projects x, orthogonally, on the solutions of the
sketched system S^T A x = S^T b::

    x <- x - A^T S (S^T A A^T S)^+ S^T (A x - b)

    E norm2(x_k - x*)^2 <= (1 - rho)^k norm2(x_0 - x*)^2,
    rho = lambda_min( E[ A^T S (S^T A A^T S)^+ S^T A ] )

The error never grows, for any draw. With kappa_F = norm_F(A) norm2(A^-1):

======================================  =======================  ==============================
sketch                                  work of a step           rho
======================================  =======================  ==============================
`Sketch.kaczmarz` (S = e_i)             4 nnz(row)               1 / kappa_F^2 when i is drawn
                                                                 with probability ~ norm2(row)^2
`Sketch.block_rows` (S = I[:, block])   4 nnz(block) + 2 q^2     at least that, larger with q
`Sketch.gaussian` (S normal)            2 q nnz(A) + q^2 n       >= (2 / pi) / kappa_F^2 at q = 1
`Sketch.count` (one +-1 a row)          2 nnz(A) + q^2 n         as Gaussian
======================================  =======================  ==============================

A gain of eps in the error thus takes about 2 kappa_F^2 log(1 / eps) row steps, where MINRES takes kappa log(1 / eps)
products of n row steps each: the method is for well scaled systems, few digits, and rows that are cheap to reach one
at a time. Equilibration (on by default) makes the rows alike.

The residual is computed from its definition once every `check_every` steps ("lazy residuals"): testing it after each
step would cost n row steps.

Reference: R. M. Gower and P. Richtarik, Randomized iterative methods for linear systems, SIAM J. Matrix Anal. Appl. 36
(2015) 1660-1690; T. Strohmer and R. Vershynin, A randomized Kaczmarz algorithm with exponential convergence, J.
Fourier Anal. Appl. 15 (2009) 262-278.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar, TypeAlias

import numpy as np
import scipy.sparse as sp

from resolvent import arrays, kernels
from resolvent.errors import ProblemError
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import Solver, State, cache, is_whole, require
from resolvent.solvers.linear.equilibration import equilibrate, scaled
from resolvent.solvers.stop import Status
from resolvent.typing import Array, Matrix

__all__ = ["Sketch", "SketchAndProject", "SketchAndProjectState"]

Steps: TypeAlias = Callable[[Array, np.random.Generator, int], None]
"""steps(z, rng, count): take `count` sketch steps on z, in place."""

CHEAP = 20_000
"""Flops that cost less than the call of a kernel: a burst has at least so many."""

DRAWN_AT_ONCE = 1 << 20
"""Random numbers drawn in one go by the dense sketches, which bounds their memory to 8 MiB."""


class Sketch(ABC):
    """How the sketches are drawn. Make one with `kaczmarz`, `block_rows`, `gaussian` or `count`."""

    @staticmethod
    def kaczmarz(*, weighted: bool = True) -> Sketch:
        """One row a step, drawn with probability ~ norm2(row)^2, or uniformly where not `weighted`."""
        return Rows(weighted=weighted)

    @staticmethod
    def block_rows(size: int = 32) -> Sketch:
        """`size` rows a step, drawn as one block of a fixed random partition; Gram factors are kept (n size floats)."""
        return BlockRows(size=size)

    @staticmethod
    def gaussian(columns: int = 1) -> Sketch:
        """A matrix of normal numbers with `columns` columns a step."""
        return Gaussian(columns=columns)

    @staticmethod
    def count(columns: int = 32) -> Sketch:
        """A CountSketch: each row gets +-1 in one of `columns` columns."""
        return Count(columns=columns)

    @abstractmethod
    def usual_burst(self, n: int) -> int:
        """Return the number of steps that cost about two products with A."""

    @abstractmethod
    def products(self, n: int, nnz: int) -> float:
        """Return the work of a step in products with A."""

    @abstractmethod
    def prepare(self, A: Matrix, b: Array, order: Array) -> Steps:
        """Return the function that takes steps. `order` (n,) is a random permutation fixed for the run."""


def _kernel(name: str, A: Matrix) -> tuple[Callable[..., None], tuple[Array, ...]]:
    """Return the twin of a kernel and its leading arguments for a dense array or a CSR matrix."""
    if hasattr(A, "indptr"):
        return kernels.twin("sketches", f"{name}_csr", arrays.place(A)), (A.data, A.indices, A.indptr)
    return kernels.twin("sketches", name, arrays.place(A)), (A,)


@dataclass(frozen=True)
class Rows(Sketch):
    """S = e_i."""

    weighted: bool = True

    def usual_burst(self, n: int) -> int:
        return n

    def products(self, n: int, nnz: int) -> float:
        return 2 / n

    def prepare(self, A: Matrix, b: Array, order: Array) -> Steps:
        run, matrix = _kernel("row_steps", A)
        with np.errstate(over="ignore"):
            squares = np.asarray((A * A).sum(axis=1)).ravel()
        weights = np.divide(1, squares, out=np.zeros_like(squares), where=squares > 0)
        reach = np.cumsum(arrays.as_float64(squares if self.weighted else np.ones_like(squares)))

        def steps(z: Array, rng: np.random.Generator, count: int) -> None:
            rows = np.searchsorted(reach, rng.random(count) * reach[-1], side="right")
            run(*matrix, b, z, np.minimum(rows, len(reach) - 1), weights)  # rounding may lead past the end

        return steps


@dataclass(frozen=True)
class BlockRows(Sketch):
    """S = I[:, block]."""

    size: int = 32

    def __post_init__(self) -> None:
        require(is_whole(self.size, least=1), "size", self.size, "a whole number >= 1")

    def usual_burst(self, n: int) -> int:
        return ceil(n / self.size)

    def products(self, n: int, nnz: int) -> float:
        return 2 * self.size / n + self.size**2 / max(nnz, 1)

    def prepare(self, A: Matrix, b: Array, order: Array) -> Steps:
        n = len(b)
        size = min(self.size, n)
        pointers = np.append(np.arange(0, n, size), n)
        blocks = len(pointers) - 1
        factors = np.zeros((blocks, size, size), A.dtype)
        factor, matrix = _kernel("factor_blocks", A)
        factor(*matrix, order, pointers, factors)
        run, _ = _kernel("block_row_steps", A)

        def steps(z: Array, rng: np.random.Generator, count: int) -> None:
            run(*matrix, b, z, order, pointers, factors, rng.integers(blocks, size=count))

        return steps


@dataclass(frozen=True)
class Gaussian(Sketch):
    """S of normal numbers."""

    columns: int = 1

    def __post_init__(self) -> None:
        require(is_whole(self.columns, least=1), "columns", self.columns, "a whole number >= 1")

    def usual_burst(self, n: int) -> int:
        return 8

    def products(self, n: int, nnz: int) -> float:
        return self.columns + self.columns * (self.columns + 4) * n / (2 * max(nnz, 1))

    def prepare(self, A: Matrix, b: Array, order: Array) -> Steps:
        run, matrix = _kernel("gaussian_steps", A)
        n, q = len(b), min(self.columns, len(b))
        most = max(1, DRAWN_AT_ONCE // (n * q))

        def steps(z: Array, rng: np.random.Generator, count: int) -> None:
            while count > 0:
                now = min(count, most)
                run(*matrix, b, z, rng.standard_normal((now, n, q)).astype(z.dtype, copy=False))
                count -= now

        return steps


@dataclass(frozen=True)
class Count(Sketch):
    """S with one +-1 in each row."""

    columns: int = 32

    def __post_init__(self) -> None:
        require(is_whole(self.columns, least=1), "columns", self.columns, "a whole number >= 1")

    def usual_burst(self, n: int) -> int:
        return 8

    def products(self, n: int, nnz: int) -> float:
        return 1 + self.columns * (self.columns + 4) * n / (2 * max(nnz, 1))

    def prepare(self, A: Matrix, b: Array, order: Array) -> Steps:
        run, matrix = _kernel("count_steps", A)
        n, q = len(b), min(self.columns, len(b))
        most = max(1, DRAWN_AT_ONCE // n)

        def steps(z: Array, rng: np.random.Generator, count: int) -> None:
            while count > 0:
                now = min(count, most)
                drawn = rng.integers(2 * q, size=(now, n))  # bucket and sign in one number
                run(*matrix, b, z, drawn >> 1, (2 * (drawn & 1) - 1).astype(z.dtype), q)
                count -= now

        return steps


@dataclass
class Prepared:
    """A system scaled and made ready for one kind of sketch."""

    system: LinearSystem
    columns: Array
    steps: Steps
    check_every: int
    products: float


@dataclass(kw_only=True, eq=False)
class SketchAndProjectState(State):
    """The iterate, the generator, and the order of the rows in the block partition."""

    rng: np.random.Generator
    order: Array
    prepared: Any = cache()


@dataclass(frozen=True, kw_only=True)
class SketchAndProject(Solver[LinearSystem, SketchAndProjectState]):
    """Randomised projections on sketched equations of A x = b, any square A whose entries are at hand.

    step:
        `check_every` projections ``x <- x - W^T (W W^T)^+ (W x - v)``, W = S^T A, v = S^T b, then one residual
    cost:
        see the table of the module; one product with A per step of the driver for the residual
    proven:
        the error never grows, and falls by 1 - 1 / kappa_F^2 per row step in the mean (Strohmer and Vershynin 2009,
        theorem 2; Gower and Richtarik 2015, theorem 4.6)

    Iterations count sketch steps.

    Parameters
    ----------
    sketch : Sketch
        Default ``Sketch.kaczmarz()``.
    equilibrate : int
        Sweeps of Ruiz scaling before sketching; 0 leaves the system as it is.
    check_every : int, optional
        Sketch steps between two residuals; default as many as cost about two products with A.

    References
    ----------
    Gower and Richtarik, SIAM J. Matrix Anal. Appl. 36 (2015) 1660-1690.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import LinearSystem
    >>> from resolvent.solvers import Sketch, SketchAndProject
    >>> A = np.eye(50) + 0.1 * np.random.default_rng(0).standard_normal((50, 50)) / np.sqrt(50)
    >>> result = rs.solve(LinearSystem(A, np.ones(50)), SketchAndProject(sketch=Sketch.block_rows(10)), rng=1)
    >>> result.success
    True
    """

    solves: ClassVar[type[LinearSystem]] = LinearSystem
    state: ClassVar[type[State]] = SketchAndProjectState
    refuses: ClassVar[tuple[str, ...]] = ("operator",)
    reference: ClassVar[str] = "Gower and Richtarik 2015"
    usual_iterations: ClassVar[float] = 1_000_000
    sketch: Sketch = Rows()
    equilibrate: int = 5
    check_every: int | None = None

    def __post_init__(self) -> None:
        sweeps, every = self.equilibrate, self.check_every
        require(isinstance(self.sketch, Sketch), "sketch", self.sketch, "a Sketch, as Sketch.kaczmarz()")
        require(is_whole(sweeps, least=0), "equilibrate", sweeps, "a whole number >= 0")
        require(every is None or is_whole(every, least=1), "check_every", every, "None or a whole number >= 1")

    def begin(
        self,
        problem: LinearSystem,
        x0: Array,
        y0: None,
        rng: np.random.Generator,
        previous: SketchAndProjectState | None,
    ) -> SketchAndProjectState:
        order = rng.permutation(len(x0))
        return SketchAndProjectState(x=x0, rng=rng, order=order, residual=problem.residual(x0), scale=problem.scale())

    def step(self, problem: LinearSystem, state: SketchAndProjectState) -> SketchAndProjectState:
        ready = self._prepared(problem, state)
        if ready is None:
            return state.give_up(Status.INFEASIBLE, "a row of A is zero where b is not: no x solves the system")
        # anchored to multiples of check_every, so that a run cut by a limit goes on as if it had not been
        count = ready.check_every - state.iterations % ready.check_every
        count = int(min(count, max(1, state.limit - state.iterations)))
        z = state.x / ready.columns
        ready.steps(z, state.rng, count)
        problem.counts["apply"] += ceil(count * ready.products)
        x = z * ready.columns
        residual = problem.residual(x)
        state.x, state.residual, state.iterations = x, residual, state.iterations + count
        return state

    def warm_up(self, problem: LinearSystem) -> None:
        """Compile the kernels of the sketch, on a system of order 3 of the same kind as `problem`."""
        tiny: Any = np.eye(3, dtype=problem.dtype)
        if sp.issparse(problem.A):
            index = problem.A.indices.dtype if hasattr(problem.A, "indices") else np.int32
            tiny = sp.csr_array(tiny)
            tiny.indices, tiny.indptr = tiny.indices.astype(index), tiny.indptr.astype(index)
        system = LinearSystem(tiny, np.ones(3, problem.dtype))
        self.step(system, self.start(system))

    def burst(self, n: int, nnz: int) -> int:
        """Return the sketch steps between two residuals for a matrix of order n with nnz entries."""
        least = ceil(CHEAP / (2 * nnz * self.sketch.products(n, nnz) + 1))
        return self.check_every or max(self.sketch.usual_burst(n), least)

    def _prepared(self, problem: LinearSystem, state: SketchAndProjectState) -> Prepared | None:
        ready = state.prepared
        if ready is not None and ready.system is problem:
            return ready  # type: ignore[no-any-return]
        A = explicit(problem.A, problem.dtype)
        rows, columns = equilibrate(A, self.equilibrate)
        A, b = scaled(A, rows, columns), problem.b * rows
        empty = np.asarray(abs(A).max(axis=1) if not sp.issparse(A) else abs(A).max(axis=1).toarray()).ravel() == 0
        if np.any(b[empty] != 0):
            return None
        n = len(b)
        nnz = A.nnz if hasattr(A, "indptr") else n * n
        work, every = self.sketch.products(n, nnz), self.burst(n, nnz)
        steps = self.sketch.prepare(A, b, state.order)
        state.prepared = Prepared(problem, columns, steps, every, work)
        return state.prepared  # type: ignore[no-any-return]


def explicit(A: Any, dtype: np.dtype[Any]) -> Matrix:
    """Return A as a C-contiguous array or a CSR matrix of `dtype`.

    Raises
    ------
    ProblemError
        The entries of A are not at hand.
    """
    if sp.issparse(A):
        matrix = sp.csr_array(A).astype(dtype, copy=False)
        if not matrix.has_canonical_format:  # the kernels meet each entry once
            matrix = matrix.copy()
            matrix.sum_duplicates()
        return matrix
    if isinstance(A, np.ndarray):
        return np.ascontiguousarray(A, dtype=dtype)
    raise ProblemError(f"the entries of A are needed: got a {type(A).__name__}, expected an array or a sparse matrix")
