"""Preconditioners from the entries of A: exact ones end in one iteration, kept ones are kept for the same A alone."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg

import resolvent as rs
from resolvent import OptionError, ProblemError, Status
from resolvent.problems import LinearSystem
from resolvent.problems.grids import diffusion
from resolvent.problems.library.poisson import poisson
from resolvent.solvers import GMRES, ConjugateGradient, Factorisation, IncompleteLU, Jacobi, MinimumResidual


def matrices(rng):
    A = rng.standard_normal((30, 30))
    return {
        "Cholesky factors": A @ A.T + np.eye(30),
        "LU factors": A,
        "sparse LU factors": sp.csr_array(poisson(6).A),
    }


@pytest.mark.parametrize("kind", ["Cholesky factors", "LU factors", "sparse LU factors"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_complete_factors_are_the_inverse(kind, dtype, rng):
    A = matrices(rng)[kind]
    system = LinearSystem(A.astype(dtype), rng.standard_normal(A.shape[0]).astype(dtype))
    factors = Factorisation().setup(system)
    assert repr(factors) == f"<{kind} of order {A.shape[0]}>"
    assert (factors @ system.b).dtype == dtype
    result = rs.solve(system, GMRES(preconditioner=Factorisation()))
    assert (result.status, result.iterations) == (Status.CONVERGED, 1)
    assert result.x == pytest.approx(
        np.linalg.solve(A if isinstance(A, np.ndarray) else A.toarray(), system.b), rel=1e-2
    )


@pytest.mark.parametrize("sparse", [False, True])
def test_a_singular_matrix_gets_its_pseudo_inverse(sparse, rng):
    A = diffusion((6, 5), boundary="neumann").compress()
    A = A if sparse else A.toarray()
    system = LinearSystem(A, A @ rng.standard_normal(30))
    factors = Factorisation().setup(system)
    assert "pseudo-inverse" in repr(factors)
    dense = A.toarray() if sparse else A
    assert factors @ system.b == pytest.approx(np.linalg.pinv(dense) @ system.b, abs=1e-10)
    assert rs.solve(system, GMRES(preconditioner=factors), stop=rs.Stop(rtol=1e-10)).success


def test_a_large_singular_one_is_refused():
    A = diffusion((70, 70), boundary="neumann").compress()
    with pytest.raises(ProblemError, match="A is singular to rounding, and of order 4900 too large for its pseudo-inv"):
        Factorisation().setup(LinearSystem(A, np.ones(4900)))


@pytest.mark.parametrize("condition", [1e3, 1e12])
def test_an_ill_conditioned_matrix_is_not_singular(condition, rng):
    Q, _ = np.linalg.qr(rng.standard_normal((40, 40)))
    A = Q @ np.diag(np.geomspace(1, condition, 40)) @ Q.T
    for matrix in ((A + A.T) / 2, A, sp.csr_array(A)):
        assert "pseudo" not in repr(Factorisation().setup(LinearSystem(matrix, np.ones(40))))


@pytest.mark.parametrize("options", [Jacobi(), IncompleteLU(), Factorisation()])
def test_fits_into_scipy(options):
    system, count = poisson(12), []
    _, info = cg(system.A, system.b, rtol=1e-6, M=options.setup(system), callback=count.append)
    assert info == 0
    assert abs(len(count) - rs.solve(system, ConjugateGradient(preconditioner=options)).iterations) <= 1


def test_no_random_numbers_are_drawn(rng):
    before = np.random.get_state()  # noqa: NPY002
    Factorisation().setup(LinearSystem(poisson(8).A, poisson(8).b))
    after = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_incomplete_factors():
    n = 900
    A = sp.csr_array(poisson(30).A + 200 * sp.diags_array(np.ones(n - 1), offsets=1))
    system, stop = LinearSystem(A, np.ones(n)), rs.Stop(rtol=1e-9)
    fine = rs.solve(system, GMRES(preconditioner=IncompleteLU()), stop=stop)
    coarse = rs.solve(system, GMRES(preconditioner=IncompleteLU(drop=0.1, fill=1.5)), stop=stop)
    assert fine.success
    assert coarse.success
    assert fine.iterations < coarse.iterations < 60
    assert "incomplete LU factors (" in repr(IncompleteLU().setup(system))


def test_jacobi_is_positive_definite_for_any_matrix():
    system = LinearSystem(np.diag([2.0, -4.0, 0.0]) + np.diag([1.0, 1.0], 1) + np.diag([1.0, 1.0], -1), np.ones(3))
    assert (Jacobi().setup(system) @ np.ones(3)).tolist() == [0.5, 0.25, 1.0]
    assert rs.solve(system, MinimumResidual(preconditioner=Jacobi())).success
    A = sp.csr_array(poisson(20).A + sp.diags_array(np.geomspace(1, 1e6, 400)))
    plain, scaled = (
        rs.solve(LinearSystem(A, np.ones(400), spd=True), ConjugateGradient(preconditioner=M)) for M in (None, Jacobi())
    )
    assert scaled.iterations < 0.5 * plain.iterations


@pytest.mark.parametrize("options", [Factorisation(), IncompleteLU()])
def test_factors_are_kept_for_the_same_entries_alone(options):
    system = poisson(10)
    factors = options.setup(system)
    assert options.setup(poisson(10), factors) is factors
    assert options.setup(system.replace(A=2 * system.A), factors) is not factors
    assert options.setup(poisson(11), factors) is not factors
    other = IncompleteLU(drop=0.1)
    assert other.setup(system, factors) is not factors
    dense = LinearSystem(system.A.toarray(), system.b)
    assert Factorisation().setup(dense, factors) is not factors


def test_a_warm_start_takes_the_factors_along():
    solver = ConjugateGradient(preconditioner=Factorisation())
    first = rs.solve(poisson(10), solver)
    kept = first.state.kept
    second = rs.solve(poisson(10).replace(b=np.ones(100)), solver, first)
    assert kept is not None
    assert second.state.kept is kept


@pytest.mark.parametrize(
    ("options", "A", "said"),
    [
        (Jacobi(), LinearOperator((3, 3), matvec=lambda v: v, dtype=float), "Jacobi needs the diagonal of A"),
        (
            Factorisation(),
            LinearOperator((3, 3), matvec=lambda v: v, dtype=float),
            "the entries of A are needed: got a",
        ),
        (IncompleteLU(), sp.csr_array((3, 3)), "IncompleteLU met a zero pivot"),
    ],
)
def test_what_they_cannot_do_is_said(options, A, said):
    with pytest.raises(ProblemError, match=said):
        options.setup(LinearSystem(A, np.ones(3)))


@pytest.mark.parametrize("options", [{"drop": 0.0}, {"fill": -1.0}, {"drop": "small"}])
def test_wrong_options_are_named(options):
    name, value = next(iter(options.items()))
    with pytest.raises(OptionError, match=f"^{name} is {value!r}, expected a number > 0$"):
        IncompleteLU(**options)
