"""Operators and preconditioners inside PETSc. Runs where petsc4py is there; `.ci/run petsc` makes it so."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent import BackendError, ProblemError
from resolvent.interop import petsc
from resolvent.interop.petsc import OperatorContext, PreconditionerContext, set_preconditioner, shell_matrix
from resolvent.problems import LinearSystem
from resolvent.problems.grids import diffusion, pressure_operator
from resolvent.problems.library.poisson import poisson
from resolvent.solvers import AlgebraicMultigrid, ConjugateGradient, Factorisation, Jacobi, Multigrid

inside = [pytest.mark.petsc, pytest.mark.skipif(find_spec("petsc4py") is None, reason="needs petsc4py")]


def marked(test):
    for mark in inside:
        test = mark(test)
    return test


class Vector:
    """What the contexts use of a PETSc vector."""

    def __init__(self, values):
        self.array_r = np.array(values)

    def setArray(self, values):
        self.array_r = np.array(values)


class Shell:
    """A matrix of type python, and the preconditioner object that hands it over."""

    def __init__(self, operator):
        self.operator = operator

    def getType(self):
        return "python"

    def getPythonContext(self):
        return self

    def getOperators(self):
        return self, self


# ---- without PETSc


def test_the_context_of_an_operator(rng):
    A = sp.csr_array(rng.standard_normal((5, 5)))
    context, x, y = OperatorContext(A), Vector(rng.random(5)), Vector(np.zeros(5))
    context.mult(None, x, y)
    assert y.array_r == pytest.approx(A @ x.array_r)
    context.multTranspose(None, x, y)
    assert y.array_r == pytest.approx(A.T @ x.array_r)
    context.getDiagonal(None, y)
    assert y.array_r == pytest.approx(A.diagonal())


def test_the_context_of_a_preconditioner(rng):
    context, x, y = PreconditionerContext(Factorisation()), Vector(rng.random(25)), Vector(np.zeros(25))
    context.setUp(Shell(poisson(5).A))
    context.apply(None, x, y)
    assert poisson(5).A @ y.array_r == pytest.approx(x.array_r)
    kept = context.kept
    context.setUp(Shell(poisson(5).A))
    assert context.kept is kept


def test_what_applies_needs_no_setup():
    context, y = PreconditionerContext(lambda r: 2 * r), Vector(np.zeros(3))
    context.setUp(Shell(None))
    context.apply(None, Vector(np.ones(3)), y)
    assert y.array_r.tolist() == [2, 2, 2]


@pytest.mark.parametrize("wrong", [None, 3])
def test_what_is_no_preconditioner(wrong):
    with pytest.raises(ProblemError, match=f"preconditioner is {wrong}, expected options with setup"):
        PreconditionerContext(wrong)


def test_missing_petsc_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "petsc4py", None)
    petsc._petsc.cache_clear()
    with pytest.raises(BackendError, match=r"needs petsc4py of the same version: pip install 'resolvent\[petsc\]'"):
        shell_matrix(np.eye(2))
    with pytest.raises(BackendError, match="petsc4py"):
        set_preconditioner(None, Jacobi())


# ---- inside PETSc


def krylov(matrix, preconditioner=None, kind="cg", rtol=1e-8):
    from petsc4py import PETSc

    solver = PETSc.KSP().create(comm=matrix.comm)
    solver.setOperators(matrix)
    solver.setType(kind)
    solver.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    solver.setTolerances(rtol=rtol, atol=0, max_it=500)
    solver.getPC().setType("none")
    context = None if preconditioner is None else set_preconditioner(solver.getPC(), preconditioner)
    return solver, context


def solve(solver, matrix, b):
    right, x = matrix.createVecLeft(), matrix.createVecRight()
    right.setArray(b)
    solver.solve(right, x)
    assert solver.getConvergedReason() > 0
    return x.array_r.copy(), solver.getIterationNumber()


def assembled(A):
    from petsc4py import PETSc

    A = sp.csr_matrix(A)
    matrix = PETSc.Mat().createAIJ(size=A.shape, csr=(A.indptr, A.indices, A.data), comm=PETSc.COMM_SELF)
    matrix.assemble()
    return matrix


@marked
@pytest.mark.parametrize("options", [Jacobi(), AlgebraicMultigrid(), Factorisation()])
@pytest.mark.parametrize("shell", [False, True])
def test_takes_the_iterations_that_our_own_solver_takes(options, shell):
    system = poisson(24)
    matrix = shell_matrix(system.A) if shell else assembled(system.A)
    solver, context = krylov(matrix, options)
    x, iterations = solve(solver, matrix, system.b)
    mine = rs.solve(system, ConjugateGradient(preconditioner=options), stop=rs.Stop(rtol=1e-8))
    assert abs(iterations - mine.iterations) <= 1
    assert system.residual(x) <= 1.01e-8 * system.scale()
    assert context.kept is not None


@marked
@pytest.mark.parametrize("options", [AlgebraicMultigrid(), Multigrid()])
def test_a_grid_with_obstacles(options, rng):
    active = rng.random((30, 30)) < 0.8
    system = LinearSystem(pressure_operator(active), rng.standard_normal(900), project=True)
    matrix = shell_matrix(system.A)
    x, iterations = solve(krylov(matrix, options)[0], matrix, system.b)
    assert iterations < 30
    assert system.residual(x) <= 1.01e-8 * system.scale()


@marked
def test_a_matrix_that_changes_is_set_up_again():
    first, second = poisson(12), poisson(12).A + 50 * sp.eye_array(144)
    matrix = assembled(first.A)
    solver, context = krylov(matrix, Factorisation())
    assert solve(solver, matrix, first.b)[1] == 1
    kept = context.kept
    assert solve(solver, matrix, first.b)[1] == 1
    assert context.kept is kept
    matrix.setDiagonal(assembled(second).getDiagonal())
    matrix.assemble()
    assert solve(solver, matrix, first.b)[1] == 1
    assert context.kept is not kept


@marked
def test_the_operator_alone():
    A = diffusion((20, 15), conductivity=3.0)
    matrix = shell_matrix(A)
    x, _ = solve(krylov(matrix)[0], matrix, np.ones(300))
    assert np.linalg.norm(A @ x - 1) <= 1.01e-8 * np.sqrt(300)
    assert matrix.getDiagonal().array_r == pytest.approx(A.diagonal())


LEFT_BEHIND = """
import numpy as np
from petsc4py import PETSc
from resolvent.interop.petsc import set_preconditioner, shell_matrix

matrix = shell_matrix(np.eye(3))
solver = PETSc.KSP().create(comm=PETSc.COMM_SELF)
solver.setOperators(matrix)
set_preconditioner(solver.getPC(), lambda r: r)
solver.setUp()
"""


@marked
def test_python_ends_well_with_contexts_still_alive():
    done = subprocess.run([sys.executable, "-c", LEFT_BEHIND], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
