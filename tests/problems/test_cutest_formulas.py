"""Formulas of problem files: translated ones give what running them gives, others are told apart."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

from resolvent.problems.cutest.blocks import _translated
from resolvent.problems.cutest.expressions import Expression, Graph
from resolvent.problems.cutest.translate import Untranslatable, parse, translate

ELEMENT = """
    @staticmethod
    def eF(self, nargout, *args):
        import numpy as np
        EV_  = args[0]
        iel_ = args[1]
{body}
        if nargout == 1:
            return f_
        elif nargout == 2:
            return f_,g_
        elif nargout == 3:
            return f_,g_,H_
"""

PLAIN = """
E = np.exp(self.elpar[iel_][0]*EV_[0,0])
f_ = E*EV_[1,0]**3-EV_[0,0]/EV_[1,0]
if nargout>1:
    try:
        dim = len(IV_)
    except:
        dim = len(EV_)
    g_ = np.zeros(dim)
    g_[0] = self.elpar[iel_][0]*E*EV_[1,0]**3-1.0/EV_[1,0]
    g_[1] = 3.0*E*EV_[1,0]**2+EV_[0,0]/EV_[1,0]**2
    if nargout>2:
        H_ = np.zeros((2,2))
        H_[0,0] = self.elpar[iel_][0]**2*E*EV_[1,0]**3
        H_[0,1] = 3.0*self.elpar[iel_][0]*E*EV_[1,0]**2+EV_[1,0]**(-2)
        H_[1,0] = H_[0,1]
        H_[1,1] = 6.0*E*EV_[1,0]-2.0*EV_[0,0]*EV_[1,0]**-3.0
"""

BRANCHES = """
BIG = EV_[0,0]>=self.efpar[0] and EV_[1,0]>0.0
SMALL = not BIG
if BIG!=0:
    F = EV_[0,0]**2.5
if BIG==0:
    F = np.absolute(EV_[0,0])
G = 1.0
if BIG!=0:
    G = 2.5*EV_[0,0]**1.5
if SMALL!=0:
    G = np.sign(EV_[0,0])
f_ = F+EV_[1,0]
if nargout>1:
    g_ = np.zeros(2)
    g_[0] = G
    g_[1] = 1.0
    if nargout>2:
        H_ = np.zeros((2,2))
        if BIG!=0:
            H = 3.75*EV_[0,0]**0.5
        if BIG==0:
            H = 0.0
        H_[0,0] = H
"""

TRANSFORMED = """
U_ = np.zeros((1,3))
IV_ = np.zeros(1)
U_[0,0] = U_[0,0]+1
U_[0,1] = U_[0,1]-2
U_[0,2] = U_[0,2]+1
IV_[0] = to_scalar(U_[0:1,:].dot(EV_))
f_ = np.sin(IV_[0])
if nargout>1:
    g_ = np.zeros(1)
    g_[0] = np.cos(IV_[0])
    g_ = U_.T.dot(g_)
    if nargout>2:
        H_ = np.zeros((1,1))
        H_[0,0] = -np.sin(IV_[0])
        H_ = U_.T.dot(H_).dot(U_)
"""


class Owner:
    def __init__(self, elpar, efpar):
        self.elpar, self.efpar = elpar, efpar


def source(body):
    return ELEMENT.format(body=textwrap.indent(body, " " * 8))


def run(text, owner, X):
    """f, g and H of each element, by running the text."""
    namespace = {"np": np, "to_scalar": lambda value: float(np.ravel(value)[0])}
    exec(textwrap.dedent(text).replace("@staticmethod", ""), namespace)
    with np.errstate(all="ignore"):
        return [namespace["eF"](owner, 3, X[:, [i]], i) for i in range(X.shape[1])]


def assembled(text, parameters, shared, X):
    """f, g and H of all elements, by the translation."""
    size, count = X.shape
    formula = translate(parse(text)["eF"], size, parameters, shared)
    block = _translated(formula, np.arange(count), np.zeros((count, size), int))
    with np.errstate(all="ignore"):
        stages = list(block.values(list(X)))

    def value(term, outputs):
        return block.coefficients(term) * (1.0 if term.output is None else outputs[term.output])

    internal = len(block.transformation)
    g, H = np.zeros((count, internal)), np.zeros((count, internal, internal))
    for i, term in block.gradient.items():
        g[:, i] = value(term, stages[1])
    for (i, j), term in block.hessian.items():
        H[:, i, j] = H[:, j, i] = value(term, stages[2])
    U = block.transformation
    return value(block.value, stages[0]), g @ U, U.T @ H @ U


@pytest.mark.parametrize(("body", "size"), [(PLAIN, 2), (BRANCHES, 2), (TRANSFORMED, 3)])
def test_a_translated_formula_gives_what_running_it_gives(rng, body, size):
    X = rng.standard_normal((size, 40))
    parameters = rng.standard_normal((40, 1))
    expected = run(source(body), Owner(parameters, [0.3]), X)
    f, g, H = assembled(source(body), list(parameters.T), np.array([0.3]), X)
    np.testing.assert_allclose(f, [e[0] for e in expected], rtol=1e-13)
    np.testing.assert_allclose(g, [e[1] for e in expected], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(H, [e[2] for e in expected], rtol=1e-13, atol=1e-15)


def test_a_shared_parameter_becomes_part_of_the_code(rng):
    X = abs(rng.standard_normal((2, 5)))
    many = assembled(source(PLAIN), [np.full(5, 0.7)], np.zeros(0), X)
    one = assembled(source(PLAIN), [0.7], np.zeros(0), X)
    for a, b in zip(many, one, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize(
    "change",
    [
        ("E*EV_[1,0]**3-EV", "E*unknown-EV"),
        ("np.exp(", "np.linalg.norm("),
        ("H_[1,0] = H_[0,1]", "H_[1,0] = 2.0"),
        ("g_[1] = ", "g_[EV_[0,0]] = "),
        ("self.elpar[iel_][0]*E*", "self.elpar[iel_][1]*E*"),
        ("E*EV_[1,0]**3-EV", "E*EV_[2,0]**3-EV"),
        ("f_ = E", "while True: pass\nf_ = E"),
    ],
)
def test_what_is_outside_the_vocabulary_is_not_translated(change):
    assert change[0] in PLAIN
    with pytest.raises(Untranslatable):
        translate(parse(source(PLAIN.replace(*change)))["eF"], 2, [0.5], np.zeros(0))


def test_equal_expressions_are_made_once_and_known_values_at_once():
    graph = Graph()
    x, y = graph.variable(0), graph.variable(1)
    assert graph.apply("+", x, y) is graph.apply("+", y, x)
    assert graph.apply("-", x, y) is not graph.apply("-", y, x)
    assert graph.apply("*", 2.0, graph.apply("+", 1.0, 2.0)) == 6.0
    assert graph.apply("*", 0.0, x) == 0.0
    assert graph.apply("+", 0.0, x) is x
    assert graph.apply("negative", graph.apply("negative", x)) is x
    assert graph.apply("**", x, 3.0) is graph.apply("*", graph.apply("*", x, x), x)
    assert graph.apply("where", True, x, y) is x


def test_a_factor_is_taken_out():
    graph = Graph()
    x = graph.variable(0)
    weights = np.array([1.0, 2.0])
    value = graph.apply("negative", graph.apply("/", graph.apply("*", weights, graph.apply("*", 3.0, x)), 2.0))
    coefficient, core = graph.factor(value)
    np.testing.assert_array_equal(coefficient, -1.5 * weights)
    assert core is x
    coefficient, core = graph.factor(graph.apply("/", 2.0, x))
    assert coefficient == 2.0
    assert isinstance(core, Expression)
    assert graph.factor(7.0) == (7.0, None)


def test_deep_expressions_still_compile():
    graph = Graph()
    x = graph.variable(0)
    value = x
    for i in range(300):
        value = graph.apply("sin", graph.apply("+", value, float(i)))
    (outputs,) = list(graph.generator([[value]])([np.array([0.1])]))
    expected = 0.1
    for i in range(300):
        expected = np.sin(expected + i)
    np.testing.assert_allclose(outputs[0], expected, rtol=1e-12)
