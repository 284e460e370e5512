"""Operators and preconditioners of the library inside PETSc, through its python types (extra ``petsc``).

PETSc calls methods of a Python object, the *context*, with its own vectors::

    A = shell_matrix(diffusion((64, 64)))
    solver = PETSc.KSP().create()
    solver.setOperators(A)
    solver.setType("cg")
    solver.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    set_preconditioner(solver.getPC(), Multigrid())

The norm matters: what PETSc tests by default is the preconditioned residual, so that a run "to 1e-8" ends with a true
residual a hundred times larger.

On several processes a preconditioner is set up for the block of each process and applied to its part of the vectors:
block Jacobi, one block a process. Nothing of petsc4py is kept here but the objects that PETSc hands over; any version
will do.
"""

from __future__ import annotations

import atexit
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.errors import BackendError, ProblemError
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.linear.preconditioning import applies, set_up
from resolvent.typing import Matrix

__all__ = ["OperatorContext", "PreconditionerContext", "set_preconditioner", "shell_matrix"]


class OperatorContext:
    """What a PETSc matrix of type python calls: y = A x.

    Parameters
    ----------
    operator : GridOperator, matrix, or anything with ``@``
    """

    def __init__(self, operator: Matrix) -> None:
        self.operator = operator

    def mult(self, matrix: Any, x: Any, y: Any) -> None:
        """Write A x into y."""
        y.setArray(self.operator @ x.array_r)

    def multTranspose(self, matrix: Any, x: Any, y: Any) -> None:
        """Write A^T x into y."""
        y.setArray(self.operator.T @ x.array_r)

    def getDiagonal(self, matrix: Any, d: Any) -> None:
        """Write the diagonal of A into d."""
        d.setArray(self.operator.diagonal())


class PreconditionerContext:
    """What a PETSc preconditioner of type python calls: set up for the matrix, and y = M x.

    Parameters
    ----------
    preconditioner : object
        Options with ``setup(system, previous=None)``, as `AlgebraicMultigrid`; or something that applies to a
        vector. Options are set up again when the matrix of the solver changes, from what they were.

    Attributes
    ----------
    kept : object
        The hierarchy or factors of this process.
    """

    def __init__(self, preconditioner: Any) -> None:
        if preconditioner is None or not applies(preconditioner):
            raise ProblemError(f"preconditioner is {preconditioner!r}, expected options with setup, or what applies")
        self.preconditioner = preconditioner
        self.kept: Any = None
        self._product: Any = None

    def setUp(self, pc: Any) -> None:
        """Set up for the block of this process."""
        _, matrix = pc.getOperators()
        A = _local(matrix) if hasattr(self.preconditioner, "setup") else None
        system = LinearSystem(sp.eye_array(1) if A is None else A, np.zeros(1 if A is None else A.shape[0]), spd=True)
        self.kept, self._product = set_up(self.preconditioner, system, self.kept)

    def apply(self, pc: Any, x: Any, y: Any) -> None:
        """Write M x into y."""
        y.setArray(self._product(x.array_r))

    def view(self, pc: Any, viewer: Any) -> None:
        """Print what was set up."""
        viewer.printfASCII(f"  resolvent: {self.kept!r}\n")


def shell_matrix(operator: Matrix, comm: Any = None) -> Any:
    """Return a PETSc matrix of type python that multiplies with `operator`.

    Parameters
    ----------
    operator : GridOperator, matrix, or anything with ``@`` and a shape
        Of one process: the unknowns are not spread.
    comm : PETSc.Comm, optional
        Default COMM_SELF.

    Raises
    ------
    BackendError
        petsc4py is missing.
    """
    PETSc = _petsc()
    matrix = PETSc.Mat().createPython(operator.shape, OperatorContext(operator), comm=comm or PETSc.COMM_SELF)
    matrix.setUp()
    return matrix


def set_preconditioner(pc: Any, preconditioner: Any) -> PreconditionerContext:
    """Make `preconditioner` that of a PETSc PC, and return the context, whose `kept` is the hierarchy once it is there.

    Parameters
    ----------
    pc : PETSc.PC
    preconditioner : object
        As for `PreconditionerContext`.

    Raises
    ------
    BackendError
        petsc4py is missing.
    """
    PETSc = _petsc()
    context = PreconditionerContext(preconditioner)
    pc.setType(PETSc.PC.Type.PYTHON)
    pc.setPythonContext(context)
    return context


def _local(matrix: Any) -> Matrix:
    """Return the matrix behind a shell, or the diagonal block of this process as CSR."""
    if matrix.getType() == "python":
        return matrix.getPythonContext().operator
    block = matrix.getDiagonalBlock() if matrix.comm.size > 1 else matrix
    pointers, indices, entries = block.getValuesCSR()
    return sp.csr_array((entries, indices, pointers), shape=block.getSize())


@cache
def _petsc() -> Any:
    try:
        from petsc4py import PETSc
    except ImportError:
        raise BackendError("PETSc needs petsc4py of the same version: pip install 'resolvent[petsc]'") from None
    # PETSc ends after Python has, and would then ask Python to destroy the contexts that are left: it crashed
    atexit.register(PETSc._finalize)
    return PETSc
