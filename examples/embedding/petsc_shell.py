"""
A preconditioner inside PETSc
=============================

PETSc owns the matrix and the iteration, multigrid of this library is its preconditioner: on several processes one
hierarchy for the rows of each. It needs petsc4py, and is not run when this page is made::

    python examples/embedding/petsc_shell.py
    mpiexec -n 2 python examples/embedding/petsc_shell.py

The norm is set on purpose. By default PETSc tests the preconditioned residual, and the true one is then larger.
"""

import numpy as np
from petsc4py import PETSc

from resolvent.interop.petsc import set_preconditioner, shell_matrix
from resolvent.problems import grids
from resolvent.solvers import AlgebraicMultigrid, Multigrid

side = 128
active = np.ones((side, side), bool)
active[40:70, 30:90] = False  # a solid block
A = grids.diffusion((side, side), active=active, boundary="ghost")
rows = A.compress()

# %%
# Each process owns a part of the rows.

matrix = PETSc.Mat().create()
matrix.setSizes(rows.shape)
matrix.setType("aij")
matrix.setUp()
first, last = matrix.getOwnershipRange()
mine = rows[first:last]
matrix.setPreallocationCSR((mine.indptr, mine.indices, mine.data))
b = matrix.createVecLeft()
b.setArray(np.sin(np.arange(first, last)))


def solve(matrix, b, preconditioner):
    solver = PETSc.KSP().create(comm=matrix.comm)
    solver.setOperators(matrix)
    solver.setType("cg")
    solver.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    solver.setTolerances(rtol=1e-8)
    if preconditioner is None:
        solver.getPC().setType("jacobi")
    else:
        set_preconditioner(solver.getPC(), preconditioner)
    x = b.duplicate()
    solver.solve(b, x)
    residual = (matrix * x - b).norm() / b.norm()
    assert residual <= 1.01e-8, residual
    return x, solver.getIterationNumber()


jacobi, multigrid = solve(matrix, b, None)[1], solve(matrix, b, AlgebraicMultigrid())[1]
PETSc.Sys.Print(f"{matrix.comm.size} processes, {rows.shape[0]} unknowns")
PETSc.Sys.Print(f"CG with PETSc's Jacobi           {jacobi:4d} iterations")
PETSc.Sys.Print(f"CG with our algebraic multigrid  {multigrid:4d} iterations")
assert multigrid < jacobi / 4

# %%
# On one process the matrix need not be assembled: PETSc calls the operator of the grid, and geometric multigrid is the
# preconditioner.

if matrix.comm.size == 1:
    shell = shell_matrix(A)
    b = shell.createVecLeft()
    b.setArray(A.expand(np.sin(np.arange(rows.shape[0]))))
    x, iterations = solve(shell, b, Multigrid())
    PETSc.Sys.Print(f"CG with our multigrid, no matrix {iterations:4d} iterations")
