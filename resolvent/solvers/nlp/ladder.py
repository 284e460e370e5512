"""The ladder of solvers for one Newton system: sketch, then Krylov, then factorisation, each going on from the last.

A rung is left when its measured contraction predicts that the accuracy still missing costs more than the next rung.
Work is counted in flops of the algorithm, never in seconds, so that a run is reproducible:

* sketch: `SketchAndProject`, in bursts of about two products with Gamma and one for the residual;
* Krylov: MINRES (SciPy's) from the sketched iterate, at most as many products as the factorisation would cost;
* factorisation: L D L^T, dense or sparse, with iterative refinement. It also tells the number of negative eigenvalues.

A system that has only products (no explicit Hessian) is left to MINRES.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, minres

from resolvent.arrays import norm2
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.linear.sketch_and_project import SketchAndProject, SketchAndProjectState
from resolvent.solvers.linear.symmetric_factor import factorise
from resolvent.solvers.nlp.newton_system import NewtonSystem
from resolvent.typing import Array

__all__ = ["Ladder", "Rung", "Work"]


class Rung(IntEnum):
    """What ended a step."""

    NONE = 0
    SKETCH = 1
    KRYLOV = 2
    FACTOR = 3
    FEASIBILITY = 4


@dataclass
class Work:
    """Inner work of a step: sketch steps, products with Gamma, factorisations."""

    sketch_steps: int = 0
    products: int = 0
    factorisations: int = 0


class Ladder:
    """An approximate solution z of Gamma z = b that is improved on demand.

    Parameters
    ----------
    system : NewtonSystem
    sketch : SketchAndProject
    rungs : tuple of Rung
        The rungs that may be used, from below.
    rng : Generator
        Advanced by one number, where the sketch is used.
    factor_work : float
        Flops of a factorisation as measured on an earlier system of the same shape, 0 where none was made.
    limit : int
        Most sketch steps.
    work : Work
        Added to.

    Attributes
    ----------
    z, r : array (n + m,)
        The iterate and Gamma z - b.
    norm : float
        norm2(r).
    rung : Rung
        The one that is in use.
    negative : int or None
        Number of negative eigenvalues of Gamma, where a factorisation was made.
    factor_work : float
        Flops of a factorisation, measured where one was made.
    """

    def __init__(
        self,
        system: NewtonSystem,
        sketch: SketchAndProject,
        rungs: tuple[Rung, ...],
        rng: np.random.Generator,
        factor_work: float,
        limit: int,
        work: Work,
    ) -> None:
        self.system, self.sketch, self.rng, self.limit, self.work = system, sketch, rng, limit, work
        self.rungs = [rung for rung in rungs if system.matrix is not None or rung is Rung.KRYLOV]
        self.z, self.r = np.zeros_like(system.b), -system.b
        self.norm = self.size = norm2(self.r)
        self.negative: int | None = None
        self.singular = False
        self.factor_work = factor_work or self._predicted_factor_work()
        self._position = 0
        self._sketch_state: SketchAndProjectState | None = None
        self._factor: Any = None

    @property
    def rung(self) -> Rung:
        return self.rungs[self._position] if self.rungs else Rung.NONE

    def _predicted_factor_work(self) -> float:
        n = self.system.order
        if not self.system.sparse:
            return float(n**3 / 3)
        return float((5 * self.system.nnz) ** 2 / (2 * n))  # a guess of the fill, replaced by the first measurement

    def reach(self, target: float) -> bool:
        """Improve z until norm2(r) <= target; False where the highest rung cannot."""
        while not self.norm <= target:
            last = self._position == len(self.rungs) - 1
            match self.rung:
                case Rung.SKETCH:
                    self._sketch(target, last)
                case Rung.KRYLOV:
                    self._krylov(target, last)
                case Rung.FACTOR:
                    self._refine(target)
            if self.norm <= target:
                break
            if last:
                return False
            self._position += 1
        return True

    def _take(self, z: Array, r: Array) -> bool:
        """Keep a better iterate."""
        norm = norm2(r)
        if not norm < self.norm:
            return False
        self.z, self.r, self.norm = z, r, norm
        return True

    # ---- rungs

    def _sketch(self, target: float, last: bool) -> None:
        n, nnz = self.system.order, self.system.nnz
        sketch = self.sketch.sketch
        burst_work = 2 * nnz * (1 + self.sketch.burst(n, nnz) * sketch.products(n, nnz))
        budget = np.inf if last else self.factor_work
        if burst_work > budget:
            return
        state, linear = self._start_sketch()
        state.limit = self.limit
        eps = float(np.finfo(self.system.b.dtype).eps)
        assert self.system.matrix is not None
        frobenius = norm2(self.system.matrix.data if self.system.sparse else self.system.matrix)
        while not self.norm <= target and state.iterations < self.limit:
            before, steps = self.norm, state.iterations
            state = self.sketch.step(linear, state)
            self.work.sketch_steps += state.iterations - steps
            self.work.products += 1
            assert state.residual is not None
            self.z, self.norm = state.x, state.residual
            if self.norm <= eps * (self.size + frobenius * norm2(self.z)):
                break  # rounding: more steps change nothing
            if last:
                continue
            gain = np.log(before / self.norm) if 0 < self.norm < before else 0.0
            if gain <= 0 or np.log(self.norm / target) / gain * burst_work > budget:
                break
        self.z = self.z.copy()
        self.r = self.system.residual(self.z)
        self.norm = norm2(self.r)

    def _start_sketch(self) -> tuple[SketchAndProjectState, LinearSystem]:
        if self._sketch_state is None:
            self._linear = LinearSystem(self.system.matrix, self.system.b)
            seed = int(self.rng.integers(1 << 62))
            self._sketch_state = self.sketch.start(self._linear, self.z, seed)
        return self._sketch_state, self._linear

    def _krylov(self, target: float, last: bool) -> None:
        n = self.system.order
        each = 2 * self.system.nnz + 20 * n
        most = 4 * n if last else int(min(4 * n, self.factor_work / each))
        if most < 2:
            return
        operator = LinearOperator((n, n), matvec=self._product, dtype=self.system.b.dtype)
        # SciPy's test is relative to norm(A) norm(z): tighten it until the true residual is there
        tolerance = 0.1 * target / self.norm
        while most > 0 and not self.norm <= target:
            before = self.work.products
            dz, _ = minres(operator, -self.r, rtol=tolerance, maxiter=most)
            most -= max(1, self.work.products - before)
            z = self.z + dz
            if not self._take(z, self.system.residual(z)) or tolerance < np.finfo(np.float64).eps:
                return
            tolerance *= 0.01

    def _product(self, v: Array) -> Array:
        self.work.products += 1
        return self.system.product(v)

    def _refine(self, target: float) -> None:
        """Solve with the factors and refine; where diagonal pivots were too unstable, factor again with others."""
        if self._factor is None:
            self._factorise(diagonal_pivots=True)
        if not self._converge(target) and self.system.sparse:
            self._factorise(diagonal_pivots=False)
            self._converge(target)

    def _factorise(self, diagonal_pivots: bool) -> None:
        assert self.system.matrix is not None
        self._factor = factorise(self.system.matrix, diagonal_pivots=diagonal_pivots)
        self.work.factorisations += 1
        self.factor_work = self._factor.work or self.factor_work
        self.singular = self._factor.singular
        if self._factor.negative is not None:
            self.negative = self._factor.negative

    def _converge(self, target: float) -> bool:
        for _ in range(8):
            with np.errstate(all="ignore"):
                z = self.z - self._factor.solve(self.r)
                r = self.system.residual(z)
            self.work.products += 1
            before = self.norm
            if not self._take(z, r):
                break
            if self.norm <= target or self.norm > 0.5 * before:
                break
        return self.norm <= target
