"""CutestNLP: an NLP without the variables that its source fixes, and the way back to all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.checks import require_shape
from resolvent.problems.cutest import reader
from resolvent.problems.cutest.evaluator import Evaluator
from resolvent.problems.cutest.layout import Layout
from resolvent.problems.cutest.source import Number, Source
from resolvent.problems.cutest.store import structure_of
from resolvent.problems.cutest.structure import Structure
from resolvent.problems.cutest.translate import parse
from resolvent.problems.nlp import NLP
from resolvent.typing import Array

__all__ = ["CutestNLP", "load_s2mpj"]


@dataclass(kw_only=True, eq=False, repr=False)
class CutestNLP(NLP):
    """An `NLP` over the free variables of a problem of CUTEst; `cutest.load` makes it.

    Parameters
    ----------
    free : array of int (n,), optional
        Which variables of the full problem the n variables are; None where all are free.
    full_start : array (full n,), optional
        The starting point of the full problem; the values of fixed variables are taken from it.
    **others
        Those of `NLP`.
    """

    free: Any = None
    full_start: Any = None

    def expand(self, x: Any) -> Array:
        """Return the point of the full problem: x, and the fixed variables at their values.

        Parameters
        ----------
        x : array_like (n,)

        Returns
        -------
        array (full n,)
            A new array.

        Raises
        ------
        ProblemError
            Where x has another shape.

        Examples
        --------
        >>> from resolvent.problems import cutest
        >>> problem = cutest.load("ALLINIT")
        >>> problem.expand([1.0, 2.0, 3.0])
        array([1., 2., 3., 2.])
        """
        x = np.asarray(x, self.dtype)
        require_shape(x, (self.n,), "x")
        if self.free is None:
            return np.array(x)
        full: Array = np.array(self.full_start, self.dtype)
        full[self.free] = x
        return full


def load_s2mpj(source: Source, arguments: tuple[Number, ...]) -> CutestNLP:
    """Return the problem of an S2MPJ file for these arguments.

    Raises
    ------
    ProblemError
        Where it cannot be built or evaluated; the message has the reason.
    """
    structure = structure_of(source, arguments)
    title = source.title(arguments)
    loops = cache(lambda: reader.formula_functions(source, structure))
    try:
        layout = Layout(structure, parse(source.formulas), loops)
    except ProblemError as error:
        raise ProblemError(f"CUTEst problem {title}: {error}") from error
    if layout.n == 0:
        raise ProblemError(f"CUTEst problem {title} has no free variable: all {structure.n} are fixed")
    evaluator = Evaluator(layout, title)
    _try(evaluator, structure)
    return _problem(evaluator, structure)


def _try(evaluator: Evaluator, structure: Structure) -> None:
    """Call the formulas that run as they are once, so that a broken file shows now and not in the middle of a run."""
    layout = evaluator.layout
    point = np.concatenate((structure.x0[layout.free], layout.fixed))
    for block, selectors in zip(layout.blocks, layout.selectors, strict=True):
        if not block.looped:
            continue
        try:
            with np.errstate(all="ignore"):
                for _ in block.values([point[where] for where in selectors]):
                    pass
        # Foreign code may raise anything; whatever it is, the problem cannot be evaluated.
        except Exception as error:
            raise ProblemError(
                f"CUTEst problem {evaluator.title} cannot be evaluated: {type(error).__name__}: {error}"
            ) from error


def _problem(evaluator: Evaluator, structure: Structure) -> CutestNLP:
    layout = evaluator.layout
    all_free = layout.n == structure.n
    start = np.where(structure.is_fixed, structure.lower, structure.x0)
    return CutestNLP(
        name=evaluator.title,
        n=layout.n,
        m=layout.m,
        objective=evaluator.objective,
        gradient=evaluator.gradient,
        constraint=evaluator.constraint if layout.m else None,
        jacobian=evaluator.jacobian if layout.m else None,
        lagrangian_hessian=evaluator.lagrangian_hessian,
        evaluate=evaluator.evaluate,
        lower=structure.lower[layout.free],
        upper=structure.upper[layout.free],
        constraint_lower=structure.constraint_lower,
        constraint_upper=structure.constraint_upper,
        x0=structure.x0[layout.free],
        y0=structure.y0,
        free=None if all_free else layout.free,
        full_start=None if all_free else start,
    )
