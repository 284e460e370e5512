"""Fast sine, cosine and Fourier transforms for A x = b, A a `GridOperator` of one weight per axis on a plain box.

Such an A is a sum over the axes, and the eigenvectors of each axis are known. With c the weight of its faces and n its
cells, i = 0 ... n - 1 and k = 0 ... n - 1, the k-th one and its eigenvalue are::

    walls (lower, upper)       eigenvector                      eigenvalue 4 c sin^2(t / 2), t =      transform
    dirichlet, dirichlet       sin((k + 1) pi (i + 1/2) / n)    (k + 1) pi / n                        DST-II
    neumann, neumann           cos(k pi (i + 1/2) / n)          k pi / n                              DCT-II
    ghost, ghost               sin((k + 1) pi (i + 1)/(n + 1))  (k + 1) pi / (n + 1)                  DST-I
    dirichlet, neumann         sin((k + 1/2) pi (i + 1/2) / n)  (k + 1/2) pi / n                      DST-IV
    neumann, dirichlet         cos((k + 1/2) pi (i + 1/2) / n)  (k + 1/2) pi / n                      DCT-IV
    periodic                   exp(2 pi 1j k i / n)             2 k pi / n                            FFT

Transform b along every axis, divide by the sum of the eigenvalues and alpha, transform back. The one eigenvalue that is
zero where nothing holds the constant belongs to the part of the solution that is left out. A step does this to the
residual, so that a second one is iterative refinement.

How long a transform takes depends on the prime factors of its length (for a ghost wall 2 (n + 1), not n): between sizes
that look alike lies a factor of ten. `FastTransform.cost` says what to expect.

Reference: P. N. Swarztrauber, The methods of cyclic reduction, Fourier analysis and the FACR algorithm for the discrete
solution of Poisson's equation on a rectangle, SIAM Review 19 (1977) 490-501. The transforms are SciPy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Any, ClassVar

import numpy as np
import scipy.fft
from scipy.sparse.linalg import LinearOperator

from resolvent import kernels
from resolvent.errors import ProblemError
from resolvent.parallel import num_threads
from resolvent.problems.grids import diffusion
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import Solver, State, cache
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["FastTransform", "FastTransformState", "TransformInverse"]

TRANSFORMS = {
    ("dirichlet", "dirichlet"): ("dst", 2),
    ("neumann", "neumann"): ("dct", 2),
    ("ghost", "ghost"): ("dst", 1),
    ("dirichlet", "neumann"): ("dst", 4),
    ("neumann", "dirichlet"): ("dct", 4),
    ("periodic", "periodic"): ("fft", 0),
}
PATIENCE = 3
"""Refinements in a row that do not halve the residual before a run ends STALLED."""

PER_AXIS, PER_WORK = 4.0, 0.23
"""Nanoseconds per number, forth and back: of an axis, and of a unit of `_work` (docs/methods/fast_transform.rst)."""

MULTIGRID = 70.0
"""Nanoseconds per unknown of a multigrid solve to a relative 1e-8, one thread."""


@dataclass(kw_only=True, eq=False)
class FastTransformState(State):
    """The answer, and how the refinement goes.

    Attributes
    ----------
    moved : bool
        Whether x is not zero.
    idle : int
        Steps in a row that did not halve the residual.
    inverse : TransformInverse
    system : LinearSystem
        The one that `inverse` belongs to.
    """

    moved: bool
    idle: int = 0
    inverse: Any = cache()
    system: Any = cache()


@dataclass(frozen=True, kw_only=True)
class FastTransform(Solver[LinearSystem, FastTransformState]):
    """The inverse of a constant-coefficient operator on a box, by transforms along its axes.

    It is a direct solver: one step gives the answer to rounding. It is also a preconditioner for systems near such an
    operator, by `setup`.

    step:
        ``x += V (V^-1 (b - A x) / eigenvalues)``
    cost:
        one product with A, one transform of n numbers forth and one back, O(n log n) where the lengths have small
        factors; two vectors
    proven:
        exact but for rounding

    References
    ----------
    Swarztrauber, SIAM Review 19 (1977) 490-501.

    Examples
    --------
    >>> import numpy as np, resolvent as rs
    >>> from resolvent.problems import LinearSystem, grids
    >>> from resolvent.solvers import FastTransform
    >>> A = grids.diffusion((30, 40), boundary=("dirichlet", "periodic"))
    >>> result = rs.solve(LinearSystem(A, np.ones(1200)), FastTransform(), stop=rs.Stop(rtol=1e-12))
    >>> result.success, result.iterations
    (True, 1)
    """

    solves: ClassVar[type[LinearSystem]] = LinearSystem
    state: ClassVar[type[State]] = FastTransformState
    reference: ClassVar[str] = "Swarztrauber 1977"
    usual_iterations: ClassVar[float] = 10

    def setup(self, system: LinearSystem, previous: Any = None) -> TransformInverse:
        """Return the inverse of the system's matrix as an operator. Cost: nothing to speak of, so none is kept.

        Raises
        ------
        ProblemError
            The matrix is not of a kind whose eigenvectors are known; the message says why.
        """
        reason = self.refusal(system)
        if reason:
            raise ProblemError(reason)
        return TransformInverse(system.A)

    def refusal(self, system: LinearSystem) -> str:
        """Return why transforms cannot solve a system, empty where they can."""
        if not system.on_grid:
            kind = type(system.A).__name__
            return f"FastTransform needs a GridOperator, got {kind}; resolvent.problems.grids makes them"
        A = system.A
        if A.active is not None:
            return "FastTransform needs a plain box; this one has inactive cells"
        if not A.constant:
            return "FastTransform needs one conductivity per axis; the faces of this operator have weights of their own"
        if isinstance(A.zero_order, np.ndarray):
            return "FastTransform needs the same zero_order everywhere; this operator has an array"
        for axis, pair in enumerate(A.conditions):
            if pair not in TRANSFORMS:
                return (
                    f"no transform fits the walls {pair[0]} and {pair[1]} of axis {axis}; a ghost wall needs another "
                    "one at the other end"
                )
        return ""

    def cost(self, system: LinearSystem) -> float:
        """Return about how many nanoseconds per unknown a solve takes; inf where transforms cannot solve the system.

        From the prime factors of the lengths of the transforms, for one thread; right within a factor of 1.7 on the
        sizes of the manual.
        """
        if self.refusal(system):
            return inf
        total = 0.0
        for n, pair in zip(system.A.grid, system.A.conditions, strict=True):
            length = _length(n, pair)
            total += PER_AXIS + PER_WORK * _work(length) * length / n
        return total

    def good_lengths(self, system: LinearSystem) -> bool:
        """Return whether transforms can solve a system, and should do it faster than multigrid."""
        return self.cost(system) <= MULTIGRID

    def begin(
        self,
        problem: LinearSystem,
        x0: Array,
        y0: None,
        rng: np.random.Generator,
        previous: FastTransformState | None,
    ) -> FastTransformState:
        inverse = self.setup(problem)
        moved = bool(x0.any())
        residual = problem.residual(x0) if moved else problem.norm(problem.b)
        state = FastTransformState(x=x0, moved=moved, residual=residual, scale=problem.scale())
        state.inverse, state.system = inverse, problem
        return state

    def step(self, problem: LinearSystem, state: FastTransformState) -> FastTransformState:
        if state.residual == 0 and state.met:
            return state.give_up(Status.FINISHED, "the residual is zero")
        if state.idle >= PATIENCE:
            return state.give_up(
                Status.STALLED,
                f"{PATIENCE} refinements in a row did not halve the residual: that is the rounding of {problem.dtype}",
            )
        if state.system is not problem:
            state.inverse, state.system = self.setup(problem), problem
        before = inf if state.residual is None else state.residual
        left = problem.b - problem.apply(state.x) if state.moved else problem.b
        x = state.inverse @ left
        if state.moved:
            x += state.x
        residual = problem.residual(x)
        state.idle = 0 if residual <= 0.5 * before else state.idle + 1
        if not residual >= before:  # nan is kept, and ends the run
            state.x, state.residual, state.moved = x, residual, True
        state.iterations += 1
        return state

    def warm_up(self, problem: LinearSystem) -> None:
        """Compile the kernels on a box of two cells."""
        tiny = LinearSystem(diffusion(2, dtype=problem.dtype), np.ones(2), dtype=problem.dtype)
        self.step(tiny, self.start(tiny))


class TransformInverse(LinearOperator):  # type: ignore[misc]
    """The inverse of a constant-coefficient operator on a box, on its null space zero.

    Parameters
    ----------
    operator : GridOperator
        With all cells active, one weight per axis, and walls that a transform fits.
    """

    def __init__(self, operator: Any) -> None:
        super().__init__(operator.dtype, operator.shape)
        self.grid = operator.grid
        kinds = [TRANSFORMS[pair] for pair in operator.conditions]
        self._groups = [(kind, tuple(a for a, k in enumerate(kinds) if k == kind)) for kind in dict.fromkeys(kinds)]
        self._groups.sort(key=lambda group: group[0][0] == "fft")  # what comes before has to be real
        self._values = [_eigenvalues(operator, a, self._halved) for a in range(len(self.grid))]
        self._values[0] = self._values[0] + operator.dtype.type(operator.zero_order)
        self._values = [np.zeros(1, operator.dtype)] * (3 - len(self.grid)) + self._values

    @property
    def _halved(self) -> int:
        """The periodic axis of which half the coefficients are kept, as complex numbers; -1 where there is none."""
        kind, axes = self._groups[-1]
        return axes[-1] if kind[0] == "fft" else -1

    def __repr__(self) -> str:
        names = {"fft": "FFT", "dst": "DST", "dct": "DCT"}
        kinds = [
            f"{names[name]}{'-' if number else ''}{'I' * number if number < 4 else 'IV'} along {_listed(axes)}"
            for (name, number), axes in self._groups
        ]
        extents = " x ".join(str(n) for n in self.grid)
        return f"<TransformInverse {extents} {self.dtype}: {'; '.join(kinds)}>"

    def _matvec(self, r: Array) -> Array:
        v = self._forth(np.ascontiguousarray(r, dtype=self.dtype).reshape(self.grid))
        numbers = v.view(self.dtype)
        extents = (1,) * (3 - numbers.ndim) + numbers.shape
        kernels.transforms.divide_by_sums(numbers.reshape(extents), *self._values)
        return self._back(v).reshape(-1)

    def _adjoint(self) -> TransformInverse:
        return self

    def _forth(self, v: Array) -> Array:
        workers, own = num_threads(), False
        for (name, number), axes in self._groups:
            if name == "fft":
                v = scipy.fft.rfftn(v, axes=axes, workers=workers)
            else:
                transform = scipy.fft.dstn if name == "dst" else scipy.fft.dctn
                v = transform(v, number, axes=axes, overwrite_x=own, workers=workers)
            own = True
        return np.ascontiguousarray(v)

    def _back(self, v: Array) -> Array:
        workers = num_threads()
        for (name, number), axes in reversed(self._groups):
            if name == "fft":
                extents = [self.grid[a] for a in axes]
                v = scipy.fft.irfftn(v, s=extents, axes=axes, overwrite_x=True, workers=workers)
            else:
                transform = scipy.fft.idstn if name == "dst" else scipy.fft.idctn
                v = transform(v, number, axes=axes, overwrite_x=True, workers=workers)
        return v


def _listed(axes: tuple[int, ...]) -> str:
    return ("axis " if len(axes) == 1 else "axes ") + ", ".join(str(a) for a in axes)


def _eigenvalues(operator: Any, axis: int, halved: int) -> Array:
    """Return the eigenvalues of one axis, in the places of their coefficients as real numbers."""
    n, pair, last = operator.grid[axis], operator.conditions[axis], len(operator.grid) - 1
    k = np.arange(n // 2 + 1 if axis == halved else n)
    angle = {
        ("dirichlet", "dirichlet"): (k + 1) * np.pi / n,
        ("neumann", "neumann"): k * np.pi / n,
        ("ghost", "ghost"): (k + 1) * np.pi / (n + 1),
        ("periodic", "periodic"): 2 * k * np.pi / n,
    }.get(pair, (k + 0.5) * np.pi / n)
    values = 4 * operator.faces[axis] * np.sin(angle / 2) ** 2
    pairs = 2 if axis == last and halved >= 0 else 1  # real and imaginary parts stand side by side
    spread: Array = np.repeat(values, pairs).astype(operator.dtype)
    return spread


# ---- cost


def _length(n: int, pair: tuple[str, str]) -> int:
    """Return the length of the Fourier transform inside of a transform of n numbers."""
    return 2 * (n + 1) if pair == ("ghost", "ghost") else n


@lru_cache(maxsize=256)
def _work(length: int) -> float:
    """Return about how much a Fourier transform does per entry: the sum of its prime factors.

    A factor p costs p, those above 5 a tenth more, 4 the same as 2 twice. Where a prime is large, the transform is
    made a convolution of at least twice the length (Bluestein), with three transforms of it.
    """
    work = _factor_work(length)
    if work > 50:
        convolved = next(n for n in range(2 * length - 1, 4 * length) if _is_smooth(n))
        work = min(work, 3 * _factor_work(convolved) * convolved / length)
    return work


def _factor_work(length: int) -> float:
    total, rest, p = 0.0, length, 2
    while rest > 1:
        while rest % p == 0:
            total += p if p <= 5 else 1.1 * p
            rest //= p
        p += 1
        if p * p > rest > 1:
            p = rest
    return total


def _is_smooth(n: int) -> bool:
    for p in (2, 3, 5, 7, 11):
        while n % p == 0:
            n //= p
    return n == 1
