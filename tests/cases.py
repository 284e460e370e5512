"""One line per solver: what the contract tests run.

A new solver adds its line to `CASES`; every test in ``tests/contracts`` then runs on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.problems import Blocks, CompositeProblem, LinearModel, LinearSystem, losses, terms
from resolvent.problems.base import Problem
from resolvent.problems.grids import diffusion
from resolvent.problems.library import hs
from resolvent.problems.library.lattice import lattice
from resolvent.solvers import (
    GMRES,
    AlgebraicMultigrid,
    BlockCoordinateDescent,
    Chebyshev,
    ConjugateGradient,
    DeepConjugateDirection,
    FastTransform,
    FlexibleConjugateGradient,
    GroupWorkingSet,
    LearnedMultigrid,
    MinimumResidual,
    Multigrid,
    Sketch,
    SketchAndProject,
    SketchedNewton,
    TreeDescent,
    TreeSweep,
    WorkingSet,
    load_network,
    partitions,
    rules,
    updates,
)
from resolvent.solvers.base import Solver
from resolvent.solvers.stop import Stop
from tests.toys.composite import CoordinateDescent, lasso
from tests.toys.evolution import Heun, relaxation
from tests.toys.inclusion import Halpern, game
from tests.toys.preconditioners import Jacobi, TwoGrid
from tests.toys.random_search import RandomSearch, valley
from tests.toys.training import Training, sines
from tests.toys.truncated_newton import TruncatedNewton, quartic

__all__ = ["CASES", "Case"]

TIGHT = Stop(rtol=1e-8)
SLOW = Stop(rtol=1e-3)  # for methods that gain few digits
NONE = Stop()  # for methods without a residual, which end by themselves


@dataclass(frozen=True, kw_only=True)
class Case:
    """A solver with a problem that it solves.

    Attributes
    ----------
    solver : Solver
    problem : callable
        Makes a fresh problem.
    stop : Stop
        The tolerance that it reaches, for methods with a residual.
    most : int
        Largest number of iterations that this may take.
    functions : tuple of str
        The functions of the user; "apply" stands for the matrix of a LinearSystem.
    changed : callable, optional
        Makes a nearby problem.
    unique : bool
        The answer does not depend on the start.
    random : bool
        The answer depends on the seed.
    batch : str
        The option that says how many iterations one step of the driver takes.
    direct : bool
        The first iteration gives the answer to rounding, so that a run has no middle.
    float32 : callable, optional
        Makes the problem in float32.
    portable : callable, optional
        `portable(xp)` makes the problem with arrays of the namespace xp.
    """

    name: str
    solver: Solver[Any, Any]
    problem: Callable[[], Problem]
    stop: Stop = TIGHT
    most: int
    functions: tuple[str, ...] = ()
    changed: Callable[[], Problem] | None = None
    unique: bool = True
    random: bool = False
    batch: str = ""
    direct: bool = False
    float32: Callable[[], Problem] | None = None
    portable: Callable[[Any], Problem] | None = None

    def __repr__(self) -> str:
        return self.name


def grid(shift: float = 0.0, k: int = 8, dtype: Any = np.float64) -> LinearSystem:
    """Return -Laplace u + (shift + i / k^2) u = sin(i) in cell i of a k x k grid, A sparse."""
    axis = sp.diags_array([-np.ones(k - 1), np.full(k, 2.0), -np.ones(k - 1)], offsets=[-1, 0, 1])
    i = np.arange(k * k)
    A = sp.csr_array(sp.kronsum(axis, axis) + sp.diags_array(shift + i / k**2)).astype(dtype)
    return LinearSystem(A, np.sin(i).astype(dtype), spd=True, grid=(k, k), name="grid")


def obstacle(alpha: float = 0.0, contrast: float = 1.0, dtype: Any = np.float64) -> LinearSystem:
    """Return -div k grad u + alpha u = sin(i) on 48 x 45 cells around a solid box, k = contrast in one half."""
    active = np.ones((48, 45), bool)
    active[10:20, 15:35] = False
    k = np.where(np.arange(48)[:, None] < 24, 1.0, contrast) * np.ones((48, 45))
    A = diffusion((48, 45), active=active, conductivity=k if contrast > 1 else 1.0, zero_order=alpha, dtype=dtype)
    return LinearSystem(A, np.sin(np.arange(48 * 45)).astype(dtype), name="obstacle")


def plain_box(alpha: float = 0.0, dtype: Any = np.float64) -> LinearSystem:
    """Return -Laplace u + alpha u = sin(i) in cell i of a 7 x 8 grid without a matrix, with walls of two kinds."""
    A = diffusion((7, 8), boundary=("ghost", ("neumann", "dirichlet")), zero_order=alpha, dtype=dtype)
    return LinearSystem(A, np.sin(np.arange(56)).astype(dtype), name="plain box")


def dense_grid(xp: Any) -> LinearSystem:
    """Return `grid` with dense arrays of the namespace xp."""
    system = grid()
    return LinearSystem(xp.asarray(system.A.toarray()), xp.asarray(system.b), spd=True, name="dense grid")


def indefinite(shift: float = -0.7, dtype: Any = np.float64) -> LinearSystem:
    """Return `grid` shifted so far that some eigenvalues are negative."""
    system = grid(shift, dtype=dtype)
    return LinearSystem(system.A, system.b, name="indefinite")


def dense_indefinite(xp: Any) -> LinearSystem:
    """Return `indefinite` with dense arrays of the namespace xp."""
    system = indefinite()
    return LinearSystem(xp.asarray(system.A.toarray()), xp.asarray(system.b), name="dense indefinite")


def near_identity(scale: float = 1.0, dtype: Any = np.float64, sparse: bool = False) -> LinearSystem:
    """Return an unsymmetric system of order 20 with a condition number of about 3."""
    rng = np.random.default_rng(1)
    A = (2 * np.eye(20) + 0.3 * rng.standard_normal((20, 20)) * (rng.random((20, 20)) < 0.3)).astype(dtype)
    return LinearSystem(sp.csr_array(A) if sparse else A, scale * np.cos(np.arange(20)).astype(dtype), name="near I")


def sparse_model(weight: float = 1.0, logistic: bool = False, dtype: Any = np.float64) -> CompositeProblem:
    """Return the lasso, or its logistic kin, of 40 samples and 60 columns."""
    A = np.random.default_rng(2).standard_normal((40, 60)).astype(dtype)
    b = (A[:, :8] @ np.arange(-4.0, 4.0)).astype(dtype)
    loss = losses.Logistic(np.where(b > 0, 1.0, -1.0)) if logistic else losses.LeastSquares(b)
    return CompositeProblem(smooth=LinearModel(A, loss), term=terms.L1(weight), dtype=dtype, name="sparse model")


def group_model(weight: float = 1.0, logistic: bool = False, dtype: Any = np.float64) -> CompositeProblem:
    """Return `sparse_model` with groups of four."""
    term = terms.GroupL1(Blocks.equal(60, 4), weight)
    return sparse_model(logistic=logistic, dtype=dtype).replace(term=term, name="group model")


def labelled(seed: int = 0, dtype: Any = np.float64) -> CompositeProblem:
    """Return a quadratic on a lattice of 8 x 8 nodes, three in ten of which are fixed."""
    return lattice((8, 8), 1.0, 0.3, seed).replace(dtype=dtype)


def shifted(problem: Callable[[], Any], by: float = 0.01) -> Callable[[], Problem]:
    """Return a factory of the same NLP with other right-hand sides."""

    def make() -> Problem:
        nlp = problem()
        return nlp.replace(constraint_lower=nlp.constraint_lower + by, constraint_upper=nlp.constraint_upper + by)

    return make


def single(problem: Callable[[], Any]) -> Callable[[], Problem]:
    """Return a factory of the same problem in float32."""
    return lambda: problem().replace(dtype=np.float32)


F32 = np.float32
NLP_FUNCTIONS = ("objective", "gradient", "constraint", "jacobian", "lagrangian_hessian")

# fmt: off
CASES = [
    Case(name="cg", solver=ConjugateGradient(), problem=grid, most=40, functions=("apply",), changed=lambda: grid(0.1), batch="batch", float32=lambda: grid(dtype=F32), portable=dense_grid),  # noqa: E501
    Case(name="cg-jacobi", solver=ConjugateGradient(preconditioner=Jacobi()), problem=grid, most=40, functions=("apply",), changed=lambda: grid(0.1), batch="batch", float32=lambda: grid(dtype=F32), portable=dense_grid),  # noqa: E501
    Case(name="cg-twogrid", solver=ConjugateGradient(preconditioner=TwoGrid()), problem=grid, most=30, functions=("apply",), changed=lambda: grid(0.1), batch="batch", float32=lambda: grid(dtype=F32)),  # noqa: E501
    Case(name="cg-algebraic", solver=ConjugateGradient(preconditioner=AlgebraicMultigrid(coarsest=4)), problem=grid, most=12, functions=("apply",), changed=lambda: grid(0.1), batch="batch", float32=lambda: grid(dtype=F32)),  # noqa: E501
    Case(name="fcg", solver=FlexibleConjugateGradient(preconditioner=TwoGrid(), keep=2), problem=grid, most=30, functions=("apply",), changed=lambda: grid(0.1), batch="batch", float32=lambda: grid(dtype=F32)),  # noqa: E501
    Case(name="minres", solver=MinimumResidual(), problem=indefinite, most=80, functions=("apply",), changed=lambda: indefinite(-0.72), batch="batch", float32=lambda: indefinite(dtype=F32), portable=dense_indefinite),  # noqa: E501
    Case(name="minres-diagonal", solver=MinimumResidual(preconditioner=lambda r: r / 4), problem=indefinite, most=80, functions=("apply",), changed=lambda: indefinite(-0.72), batch="batch", float32=lambda: indefinite(dtype=F32)),  # noqa: E501
    Case(name="gmres", solver=GMRES(restart=7), problem=near_identity, most=40, functions=("apply",), changed=lambda: near_identity(2.0), batch="batch", float32=lambda: near_identity(dtype=F32)),  # noqa: E501
    Case(name="gmres-twogrid", solver=GMRES(preconditioner=TwoGrid()), problem=grid, most=30, functions=("apply",), changed=lambda: grid(0.1), batch="batch", float32=lambda: grid(dtype=F32)),  # noqa: E501
    Case(name="deep-twogrid", solver=DeepConjugateDirection(network=TwoGrid(), two_directions=False), problem=grid, most=30, functions=("apply",), changed=lambda: grid(0.1), float32=lambda: grid(dtype=F32)),  # noqa: E501
    Case(name="deep-two", solver=DeepConjugateDirection(network=Jacobi(), two_directions=True), problem=grid, most=40, functions=("apply",), changed=lambda: grid(0.1), float32=lambda: grid(dtype=F32)),  # noqa: E501
    Case(name="multigrid", solver=Multigrid(), problem=obstacle, most=12, changed=lambda: obstacle(0.1), float32=lambda: obstacle(dtype=F32)),  # noqa: E501
    Case(name="multigrid-faces", solver=Multigrid(full=True), problem=lambda: obstacle(contrast=1e3), most=14, changed=lambda: obstacle(0.1, 1e3), float32=lambda: obstacle(contrast=1e3, dtype=F32)),  # noqa: E501
    Case(name="cg-multigrid", solver=ConjugateGradient(preconditioner=Multigrid()), problem=obstacle, most=12, changed=lambda: obstacle(0.1), batch="batch", float32=lambda: obstacle(dtype=F32)),  # noqa: E501
    Case(name="multigrid-learned", solver=LearnedMultigrid(network=load_network("poisson2d")), problem=lambda: obstacle(contrast=1e3), most=16, changed=lambda: obstacle(0.1, 1e3), float32=lambda: obstacle(contrast=1e3, dtype=F32)),  # noqa: E501
    Case(name="multigrid-chebyshev", solver=Multigrid(smoother=Chebyshev(), coarse_visits=2), problem=obstacle, most=12, changed=lambda: obstacle(0.1), float32=lambda: obstacle(dtype=F32)),  # noqa: E501
    Case(name="trees", solver=TreeSweep(), problem=grid, most=40, functions=("apply",), changed=lambda: grid(0.1), float32=lambda: grid(dtype=F32)),  # noqa: E501
    Case(name="cg-trees", solver=ConjugateGradient(preconditioner=TreeSweep()), problem=grid, most=20, functions=("apply",), changed=lambda: grid(0.1), batch="batch", float32=lambda: grid(dtype=F32)),  # noqa: E501
    Case(name="kaczmarz", solver=SketchAndProject(check_every=40), problem=near_identity, most=5000, changed=lambda: near_identity(2.0), random=True, float32=lambda: near_identity(dtype=F32)),  # noqa: E501
    Case(name="kaczmarz-csr", solver=SketchAndProject(check_every=40), problem=lambda: near_identity(sparse=True), most=5000, changed=lambda: near_identity(2.0, sparse=True), random=True, float32=lambda: near_identity(dtype=F32, sparse=True)),  # noqa: E501
    Case(name="block-rows", solver=SketchAndProject(sketch=Sketch.block_rows(4)), problem=near_identity, most=500, changed=lambda: near_identity(2.0), random=True, float32=lambda: near_identity(dtype=F32)),  # noqa: E501
    Case(name="gaussian", solver=SketchAndProject(sketch=Sketch.gaussian(2)), problem=near_identity, most=3000, changed=lambda: near_identity(2.0), random=True, float32=lambda: near_identity(dtype=F32)),  # noqa: E501
    Case(name="count", solver=SketchAndProject(sketch=Sketch.count(4)), problem=lambda: near_identity(sparse=True), most=1000, changed=lambda: near_identity(2.0, sparse=True), random=True, float32=lambda: near_identity(dtype=F32, sparse=True)),  # noqa: E501
    Case(name="newton-hs7", solver=SketchedNewton(), problem=hs.hs7, most=30, functions=NLP_FUNCTIONS, changed=shifted(hs.hs7), float32=single(hs.hs7)),  # noqa: E501
    Case(name="newton-hs77", solver=SketchedNewton(), problem=hs.hs77, most=30, functions=NLP_FUNCTIONS, changed=shifted(hs.hs77), float32=single(hs.hs77)),  # noqa: E501
    Case(name="newton-sketches", solver=SketchedNewton(krylov=False, factor=False), problem=hs.hs77, most=30, functions=NLP_FUNCTIONS, changed=shifted(hs.hs77), random=True, float32=single(hs.hs77)),  # noqa: E501
    Case(name="newton-published", solver=SketchedNewton.published(), problem=hs.hs78, stop=Stop(rtol=1e-6), most=6, functions=NLP_FUNCTIONS, changed=shifted(hs.hs78), random=True),  # noqa: E501
    Case(name="composite", solver=CoordinateDescent(), problem=lasso, most=100, changed=lambda: lasso(0.25), batch="batch"),  # noqa: E501
    Case(name="inclusion", solver=Halpern(), problem=game, stop=SLOW, most=20_000, functions=("components", "resolvent"), changed=lambda: game(0.02), random=True, float32=lambda: game(dtype=F32)),  # noqa: E501
    Case(name="evolution", solver=Heun(), problem=relaxation, stop=NONE, most=30, functions=("collision",), float32=lambda: relaxation(dtype=F32)),  # noqa: E501
    Case(name="training", solver=Training(), problem=sines, stop=NONE, most=25, unique=False, random=True, batch="batch"),  # noqa: E501
    Case(name="working-set", solver=WorkingSet(first=2, growth=0.2), problem=sparse_model, most=20, changed=lambda: sparse_model(2.0), float32=lambda: sparse_model(dtype=F32)),  # noqa: E501
    Case(name="working-set-logistic", solver=WorkingSet(first=2, growth=0.2, dense=1), problem=lambda: sparse_model(logistic=True), most=20, changed=lambda: sparse_model(2.0, logistic=True), float32=lambda: sparse_model(logistic=True, dtype=F32)),  # noqa: E501
    Case(name="groups", solver=GroupWorkingSet(first=1, growth=0.2), problem=group_model, most=20, changed=lambda: group_model(1.5)),  # noqa: E501
    Case(name="groups-logistic", solver=GroupWorkingSet(first=1, growth=0.2), problem=lambda: group_model(logistic=True), most=20, changed=lambda: group_model(1.5, logistic=True)),  # noqa: E501
    Case(name="blocks-greedy", solver=BlockCoordinateDescent(partition=rules.Variable(size=6), select=rules.Decrease(), update=updates.ProjectedNewton()), problem=sparse_model, most=70, changed=lambda: sparse_model(2.0), float32=lambda: sparse_model(dtype=F32)),  # noqa: E501
    Case(name="blocks-random", solver=BlockCoordinateDescent(partition=partitions.Consecutive(size=20), select=rules.Random(), update=updates.TwoMetricProjection()), problem=lambda: sparse_model(4.0, logistic=True), most=1500, changed=lambda: sparse_model(6.0, logistic=True), random=True, float32=lambda: sparse_model(4.0, logistic=True, dtype=F32)),  # noqa: E501
    Case(name="tree-descent", solver=TreeDescent(anderson=2), problem=labelled, most=60, changed=lambda: labelled(1), float32=lambda: labelled(dtype=F32)),  # noqa: E501
    Case(name="blocks-forests", solver=BlockCoordinateDescent(partition=partitions.TreePartition(), select=rules.Permuted(), update=updates.Forest()), problem=labelled, most=100, changed=lambda: labelled(1), random=True, float32=lambda: labelled(dtype=F32)),  # noqa: E501
    Case(name="search", solver=RandomSearch(), problem=valley, stop=NONE, most=400, functions=("objective",), unique=False, random=True, batch="batch", float32=lambda: valley(dtype=F32)),  # noqa: E501
    Case(name="nested", solver=TruncatedNewton(), problem=quartic, most=15, functions=("objective", "gradient", "hessp"), changed=lambda: quartic(1.1), float32=lambda: quartic(dtype=F32)),  # noqa: E501
    Case(name="transform", solver=FastTransform(), problem=plain_box, most=1, direct=True, changed=lambda: plain_box(0.1), float32=lambda: plain_box(dtype=F32)),  # noqa: E501
]
# fmt: on
