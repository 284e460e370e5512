"""The source pycutest, played by a module that behaves like it."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import scipy.sparse as sp

from resolvent.errors import BackendError, OptionError, ProblemError
from resolvent.problems import check_derivatives, cutest


class Constrained:
    """f = x0^2 x1 + x2^3 + x3 and c = (x0 x2, x1^2 + x3), with x3 fixed at 2."""

    n, m = 4, 2
    x0 = np.array([1.0, 2.0, 3.0, 0.0])
    bl = np.array([-1e20, 0.0, -1e20, 2.0])
    bu = np.array([1e20, 9.0, 1e20, 2.0])
    v0 = np.array([0.5, -0.5])
    cl = np.array([0.0, -1e20])
    cu = np.array([0.0, 7.0])

    def obj(self, x, gradient=False):
        f = x[0] ** 2 * x[1] + x[2] ** 3 + x[3]
        return (f, np.array([2 * x[0] * x[1], x[0] ** 2, 3 * x[2] ** 2, 1.0])) if gradient else f

    def cons(self, x, index=None, gradient=False):
        assert not gradient
        return np.array([x[0] * x[2], x[1] ** 2 + x[3]])

    def scons(self, x, index=None, gradient=False):
        J = [[x[2], 0, x[0], 0], [0, 2 * x[1], 0, 1]]
        return self.cons(x), sp.coo_matrix(J)

    def isphess(self, x, cons_index=None):
        H = np.zeros((4, 4))
        H[0, 0], H[0, 1], H[1, 0], H[2, 2] = 2 * x[1], 2 * x[0], 2 * x[0], 6 * x[2]
        return sp.coo_matrix(H)

    def sphess(self, x, v=None):
        H = self.isphess(x).toarray()
        H[0, 2] += v[0]
        H[2, 0] += v[0]
        H[1, 1] += 2 * v[1]
        return sp.coo_matrix(H)


class Unconstrained:
    n, m = 2, 0
    x0 = np.array([-1.2, 1.0])
    bl, bu = np.full(2, -1e20), np.full(2, 1e20)
    v0 = cl = cu = None

    def obj(self, x, gradient=False):
        f = x[0] ** 4 + x[0] * x[1]
        return (f, np.array([4 * x[0] ** 3 + x[1], x[0]])) if gradient else f

    def sphess(self, x, v=None):
        assert v is None
        return sp.coo_matrix([[12 * x[0] ** 2, 1.0], [1.0, 0.0]])


@pytest.fixture
def asked(monkeypatch):
    """Puts the stand-in in place of pycutest; holds what it was asked for."""
    calls = []

    def import_problem(name, sifParams=None, drop_fixed_variables=True):
        calls.append((name, sifParams, drop_fixed_variables))
        if name == "NONE":
            raise RuntimeError("Unknown problem")
        return Unconstrained() if name == "FREE" else Constrained()

    module = types.ModuleType("pycutest")
    module.import_problem = import_problem
    monkeypatch.setitem(sys.modules, "pycutest", module)
    return calls


def test_a_constrained_problem(asked):
    problem = cutest.load("FAKE", source="pycutest", N=5, MU=0.5)
    assert asked == [("FAKE", {"N": 5, "MU": 0.5}, False)]
    assert repr(problem) == "<CutestNLP FAKE[N=5,MU=0.5] float64 n=3 m=2>"
    np.testing.assert_array_equal(problem.x0, [1, 2, 3])
    np.testing.assert_array_equal(problem.y0, [0.5, -0.5])
    np.testing.assert_array_equal(problem.lower, [-np.inf, 0, -np.inf])
    np.testing.assert_array_equal(problem.constraint_lower, [0, -np.inf])
    np.testing.assert_array_equal(problem.expand(problem.x0), [1, 2, 3, 2])
    assert problem.objective(problem.x0) == 31.0
    np.testing.assert_array_equal(problem.gradient(problem.x0), [4, 1, 27])
    np.testing.assert_array_equal(problem.constraint(problem.x0), [3, 6])
    J = problem.jacobian(problem.x0)
    assert J.format == "csr"
    np.testing.assert_array_equal(J.toarray(), [[3, 0, 1], [0, 4, 0]])
    report = check_derivatives(problem)
    assert report.ok, str(report)


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.5])
def test_the_hessian_of_the_lagrangian_for_every_sigma(asked, sigma):
    problem = cutest.load("FAKE", source="pycutest")
    y = np.array([3.0, -4.0])
    f = np.array([[4.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 18.0]])
    c = np.array([[0.0, 0.0, 3.0], [0.0, -8.0, 0.0], [3.0, 0.0, 0.0]])
    H = problem.lagrangian_hessian(problem.x0, y, sigma)
    assert H.format == "csr"
    np.testing.assert_allclose(H.toarray(), sigma * f + c, rtol=1e-14)


def test_an_unconstrained_problem(asked):
    problem = cutest.load("FREE", source="pycutest")
    assert asked == [("FREE", None, False)]
    assert (problem.m, problem.free) == (0, None)
    assert problem.features() == set()
    report = check_derivatives(problem)
    assert report.ok, str(report)
    np.testing.assert_array_equal(problem.expand(problem.x0), problem.x0)


def test_parameters_need_names(asked):
    with pytest.raises(OptionError, match="need their names"):
        cutest.load("FAKE", 5, source="pycutest")


def test_a_problem_that_pycutest_does_not_load(asked):
    with pytest.raises(ProblemError, match="pycutest cannot load NONE: RuntimeError: Unknown problem"):
        cutest.load("NONE", source="pycutest")


def test_a_problem_without_free_variables(asked, monkeypatch):
    monkeypatch.setattr(Unconstrained, "bl", Unconstrained.x0)
    monkeypatch.setattr(Unconstrained, "bu", Unconstrained.x0)
    with pytest.raises(ProblemError, match="all 2 are fixed"):
        cutest.load("FREE", source="pycutest")


def test_without_pycutest(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycutest", None)
    with pytest.raises(BackendError, match="pip install pycutest"):
        cutest.load("HS6", source="pycutest")


def test_pycutest_without_cutest(monkeypatch, tmp_path):
    (tmp_path / "pycutest.py").write_text("raise RuntimeError('the installation of CUTEst was not found')")
    monkeypatch.delitem(sys.modules, "pycutest", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match="installation of CUTEst was not found"):
        cutest.load("HS6", source="pycutest")
