"""The library of regressions: published draws, weights relative to lambda_max, and their options."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from resolvent import ProblemError
from resolvent.problems import losses, terms
from resolvent.problems.library import entries, load, regression


def test_data_a_are_the_published_draws():
    """Sums over the draws of the baseline of the method, seed 1."""
    problem = regression.paper_a()
    A = problem.smooth.A
    assert sp.issparse(A)
    assert A.shape == (1000, 10_000)
    assert A.nnz == 690948
    assert float(A.sum()) == pytest.approx(162626.58535149472, rel=1e-9)
    assert problem.smooth.loss.value(np.zeros(1000)) == pytest.approx(6247910.012363448, rel=1e-12)
    assert isinstance(problem.term, terms.NoTerm)


def test_data_b_are_the_published_draws():
    problem = regression.paper_b()
    assert problem.smooth.A.nnz == 689999
    assert problem.smooth.loss.targets.sum() == 106
    assert isinstance(problem.smooth.loss, losses.Logistic)


def test_data_c_have_fifty_classes():
    problem = regression.paper_c(60, 40)
    assert problem.shape == (40, 50)
    assert problem.x0.shape == (40, 50)
    assert problem.smooth.loss.targets.max() < 50


@pytest.mark.parametrize(
    "make",
    [
        lambda f: regression.paper_a(60, 90, fraction=f),
        lambda f: regression.paper_b(60, 90, fraction=f),
        lambda f: regression.paper_c(60, 30, 5, fraction=f),
        lambda f: regression.correlated(50, 80, fraction=f, k=5),
        lambda f: regression.correlated(50, 80, fraction=f, k=5, labels=True),
        lambda f: regression.sparse_synthetic(50, 80, 0.1, 5, fraction=f),
        lambda f: regression.sparse_synthetic(50, 80, 0.1, 5, fraction=f, labels=True),
    ],
)
def test_zero_is_optimal_exactly_from_fraction_one_on(make):
    zero = make(0.5).x0
    assert make(1.0).residual(zero) <= 1e-14 * make(1.0).scale()
    assert make(0.99).residual(zero) > 0
    assert isinstance(make(0.0).term, terms.NoTerm)
    assert make(0.3).identity() == make(0.2).identity()


def test_the_nonnegative_variant():
    problem = regression.paper_a_nonnegative(60, 90, weight=100.0)
    assert problem.features() == {"bounds"}
    assert problem.term.weight == 100
    assert problem.has_gap


def test_correlations():
    problem = regression.correlated(4000, 6, rho=0.8, k=2)
    found = np.corrcoef(problem.smooth.A.T)
    i = np.arange(6)
    assert found == pytest.approx(0.8 ** np.abs(i[:, None] - i), abs=0.05)
    assert problem.smooth.A.flags.f_contiguous


def test_sizes_of_sparse_columns_fall():
    A = regression.sparse_synthetic(500, 1000, 0.01).smooth.A
    sizes = np.diff(A.indptr)
    assert (np.diff(sizes) <= 0).all()
    assert sizes[0] == 150
    assert sizes[-1] == 2


def test_seeds():
    one, two, other = (regression.correlated(20, 30, k=3, seed=seed).smooth.A for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_entries_of_the_catalogue():
    found = {entry.name for entry in entries(kind="CompositeProblem")}
    assert {"PAPER A", "PAPER A NONNEGATIVE", "PAPER B", "PAPER C", "CORRELATED", "SPARSE SYNTHETIC"} <= found
    assert load("correlated", n=20, p=30, k=2).name == "CORRELATED"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regression.paper_a(1), "n is 1, expected a whole number >= 2"),
        (lambda: regression.paper_b(10, 0), "p is 0"),
        (lambda: regression.correlated(10, 10, rho=1.0, k=1), "rho is 1.0"),
        (lambda: regression.correlated(10, 10, k=1, fraction=-0.1), "fraction is -0.1"),
        (lambda: regression.sparse_synthetic(5), "n is 5"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ProblemError, match=message):
        make()
