"""The original CUTEst through the package pycutest, behind the same interface as the files of S2MPJ.

pycutest compiles the SIF file of a problem; it needs a Fortran compiler and an installation of CUTEst. Fixed variables
are eliminated here, and the Hessian is that of ``sigma f + y^T c`` for every sigma.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.errors import BackendError, OptionError, ProblemError
from resolvent.problems.cutest.problem import CutestNLP
from resolvent.problems.cutest.source import Number
from resolvent.typing import Array, Matrix

__all__ = ["load_pycutest"]


def load_pycutest(name: str, arguments: tuple[Number, ...], parameters: Mapping[str, Number]) -> CutestNLP:
    """Return a problem of an installed CUTEst; the first load of a problem compiles it.

    Raises
    ------
    BackendError
        Where pycutest or CUTEst is not installed.
    OptionError
        For parameters by place: CUTEst knows them by name only.
    ProblemError
        Where pycutest does not load the problem; the message has its reason.
    """
    if arguments:
        raise OptionError(f"{name}: with source='pycutest' parameters need their names, got {arguments}")
    package = _package()
    title = f"{name}[{','.join(f'{k}={v!r}' for k, v in parameters.items())}]" if parameters else name
    try:
        problem = package.import_problem(name, sifParams=dict(parameters) or None, drop_fixed_variables=False)
    # pycutest runs a decoder and a compiler, and says by many kinds of errors that one of them failed.
    except Exception as error:
        raise ProblemError(f"pycutest cannot load {title}: {type(error).__name__}: {error}") from error
    return _problem(_Functions(problem), title)


def _package() -> Any:
    try:
        return importlib.import_module("pycutest")
    # Its import raises RuntimeError where CUTEst is not found.
    except (ImportError, RuntimeError) as error:
        raise BackendError(
            "source='pycutest' needs pycutest and an installation of CUTEst: pip install pycutest, and see "
            f"https://jfowkes.github.io/pycutest/ for CUTEst itself ({type(error).__name__}: {error})"
        ) from error


def _problem(functions: _Functions, title: str) -> CutestNLP:
    source, free = functions.source, functions.free
    if len(free) == 0:
        raise ProblemError(f"CUTEst problem {title} has no free variable: all {source.n} are fixed")
    m = int(source.m)
    all_free = len(free) == source.n
    return CutestNLP(
        name=title,
        n=len(free),
        m=m,
        objective=functions.objective,
        gradient=functions.gradient,
        constraint=functions.constraint if m else None,
        jacobian=functions.jacobian if m else None,
        lagrangian_hessian=functions.lagrangian_hessian,
        lower=source.bl[free],
        upper=source.bu[free],
        constraint_lower=source.cl if m else None,
        constraint_upper=source.cu if m else None,
        x0=functions.full[free],
        y0=source.v0 if m else None,
        free=None if all_free else free,
        full_start=None if all_free else functions.full,
    )


class _Functions:
    """The functions of a problem of pycutest over its free variables.

    Parameters
    ----------
    source : pycutest.CUTEstProblem
        With its fixed variables.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        fixed = np.asarray(source.bl) == np.asarray(source.bu)
        self.free = np.flatnonzero(~fixed)
        self.full = np.where(fixed, source.bl, source.x0)

    def _expand(self, x: Array) -> Array:
        full: Array = self.full.copy()
        full[self.free] = x
        return full

    def objective(self, x: Array) -> float:
        return float(self.source.obj(self._expand(x)))

    def gradient(self, x: Array) -> Array:
        _, g = self.source.obj(self._expand(x), gradient=True)
        return np.array(g[self.free], np.float64)

    def constraint(self, x: Array) -> Array:
        return np.array(self.source.cons(self._expand(x)), np.float64)

    def jacobian(self, x: Array) -> Matrix:
        _, J = self.source.scons(self._expand(x), gradient=True)
        return sp.csr_array(J)[:, self.free]

    def lagrangian_hessian(self, x: Array, y: Array, sigma: float = 1.0) -> Matrix:
        full = self._expand(x)
        if self.source.m == 0:
            H = sigma * sp.csr_array(self.source.sphess(full))
        elif sigma == 0:
            # CUTEst always includes the objective.
            H = sp.csr_array(self.source.sphess(full, np.asarray(y, np.float64)))
            H = H - sp.csr_array(self.source.isphess(full))
        else:
            H = sigma * sp.csr_array(self.source.sphess(full, np.asarray(y, np.float64) / sigma))
        return sp.csr_array(H)[self.free][:, self.free]
