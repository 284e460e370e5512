"""FastTransform: every pair of walls against the operator itself, refinement, refusals, and the model of its cost."""

from __future__ import annotations

import itertools
from math import inf

import numpy as np
import pytest
import scipy.fft
import scipy.sparse as sp
from scipy.sparse.linalg import cg

import resolvent as rs
from resolvent import ProblemError
from resolvent.problems import LinearSystem
from resolvent.problems.grids import diffusion
from resolvent.solvers import ConjugateGradient, FastTransform
from resolvent.solvers.linear.transform import TRANSFORMS, _length, _work

PAIRS = list(TRANSFORMS)
GRIDS = [(1,), (2,), (7,), (12,), (5, 6), (1, 4), (6, 5), (3, 4, 5), (4, 6, 2), (5, 7, 3), (1, 1, 1)]
F32 = np.float32


def system(grid, boundary, alpha=0.0, dtype=np.float64, rng=None):
    """A system whose solution is known, with spacings and conductivities of their own."""
    rng = np.random.default_rng(3) if rng is None else rng
    k = tuple(rng.uniform(0.1, 4, len(grid)))
    h = tuple(rng.uniform(0.5, 2, len(grid)))
    A = diffusion(grid, boundary=boundary, spacing=h, conductivity=k, zero_order=alpha, dtype=dtype)
    x = rng.standard_normal(A.shape[0]).astype(dtype)
    return LinearSystem(A, A @ x), x


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_it_is_the_inverse(grid, rng):
    """All pairs of walls in one dimension, many mixtures in two and three; the null space is left out."""
    choices = itertools.product(PAIRS) if len(grid) == 1 else (rng.choice(6, len(grid)) for _ in range(40))
    for chosen, alpha in itertools.product(choices, (0.0, 0.7)):
        ends = chosen if len(grid) == 1 else tuple(PAIRS[i] for i in chosen)
        problem, x = system(grid, ends, alpha, rng=rng)
        found = FastTransform().setup(problem) @ problem.b
        assert found == pytest.approx(problem.remove_null_space(x), abs=1e-12)


@pytest.mark.parametrize("ends", PAIRS, ids=str)
def test_eigenvectors_are_what_the_module_says(ends):
    n, i = 9, np.arange(9)
    A = diffusion(n, boundary=(ends,), conductivity=1.3)
    for k in range(n):
        t = {
            ("dirichlet", "dirichlet"): (k + 1) / n,
            ("neumann", "neumann"): k / n,
            ("ghost", "ghost"): (k + 1) / (n + 1),
            ("periodic", "periodic"): 2 * k / n,
        }.get(ends, (k + 0.5) / n) * np.pi
        v = {
            ("dirichlet", "dirichlet"): np.sin(t * (i + 0.5)),
            ("neumann", "neumann"): np.cos(t * (i + 0.5)),
            ("ghost", "ghost"): np.sin(t * (i + 1)),
            ("dirichlet", "neumann"): np.sin(t * (i + 0.5)),
            ("neumann", "dirichlet"): np.cos(t * (i + 0.5)),
            ("periodic", "periodic"): np.cos(t * i) + 0.5 * np.sin(t * i),
        }[ends]
        assert A @ v == pytest.approx(4 * 1.3 * np.sin(t / 2) ** 2 * v, abs=1e-13)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "ghost", "periodic"])
def test_one_step_is_enough(boundary):
    problem, x = system((20, 31), boundary)
    result = rs.solve(problem, FastTransform(), stop=rs.Stop(rtol=1e-12))
    assert (result.status, result.iterations) == (rs.Status.CONVERGED, 1)
    assert result.residual == problem.residual(result.x) <= 1e-12 * problem.scale()
    assert problem.remove_null_space(result.x) == pytest.approx(problem.remove_null_space(x), abs=1e-11)


def test_a_singular_system_has_the_solution_without_a_mean():
    A = diffusion((8, 9), boundary=("neumann", "periodic"))
    problem = LinearSystem(A, np.sin(np.arange(72)), project=True)
    result = rs.solve(problem, FastTransform(), stop=rs.Stop(rtol=1e-12))
    assert result.success
    assert abs(result.x.mean()) < 1e-15
    off = rs.solve(LinearSystem(A, np.ones(72)), FastTransform())
    assert off.status is rs.Status.INFEASIBLE


def test_the_mean_of_the_start_stays():
    A = diffusion((8, 9), boundary="neumann")
    problem = LinearSystem(A, np.sin(np.arange(72)), project=True)
    result = rs.solve(problem, FastTransform(), np.full(72, 3.0), stop=rs.Stop(rtol=1e-12))
    assert result.x.mean() == pytest.approx(3)


def test_refinement_repairs_what_rounding_left():
    problem, _ = system((64, 60), "ghost", dtype=F32)
    one = rs.solve(problem, FastTransform(), stop=rs.Stop(rtol=0, iterations=1))
    all_ = rs.solve(problem, FastTransform(), stop=rs.Stop(rtol=0))
    assert all_.residual < one.residual
    assert all_.status is rs.Status.STALLED
    assert "3 refinements in a row did not halve the residual: that is the rounding of float32" in all_.message
    assert all_.history["residual"][-1] == all_.history["residual"].min()
    assert all_.x.dtype == F32


def test_a_residual_of_zero_ends_the_run():
    problem = LinearSystem(diffusion((4, 4)), np.zeros(16))
    result = rs.solve(problem, FastTransform(), stop=rs.Stop(rtol=0))
    assert result.success
    assert not result.x.any()
    state = FastTransform().step(problem, FastTransform().start(problem))
    assert state.status is rs.Status.FINISHED


def test_memory_is_not_shared_with_the_problem():
    problem, _ = system((6, 7), "ghost")
    before = problem.b.copy()
    solver, T = FastTransform(), FastTransform().setup(problem)
    x = T @ problem.b
    x[:] = 0
    solver.step(problem, solver.start(problem)).x[:] = 0
    assert np.array_equal(problem.b, before)


def test_as_a_preconditioner(rng):
    """Of a system with other walls: few iterations, and none but one on its own."""
    A = diffusion((24, 26), conductivity=rng.uniform(0.9, 1.1, (24, 26)))
    near = LinearSystem(diffusion((24, 26)), np.zeros(624))
    T = FastTransform().setup(near)
    problem = LinearSystem(A, rng.standard_normal(624))
    assert rs.solve(problem, ConjugateGradient(preconditioner=T), stop=rs.Stop(rtol=1e-8)).iterations <= 8
    own = rs.solve(near.replace(b=problem.b), ConjugateGradient(preconditioner=FastTransform()))
    assert own.iterations == 1
    steps = []
    _, info = cg(A, problem.b, M=T, rtol=1e-8, callback=steps.append)
    assert info == 0
    assert len(steps) <= 8


def test_it_is_symmetric(rng):
    problem, _ = system((5, 6), ("periodic", ("neumann", "dirichlet")))
    T = FastTransform().setup(problem)
    M = T @ np.eye(30)
    assert np.allclose(M, M.T, atol=1e-14)
    assert np.allclose(T.T @ np.ones(30), T @ np.ones(30))
    assert repr(T) == "<TransformInverse 5 x 6 float64: DCT-IV along axis 1; FFT along axis 0>"
    both = FastTransform().setup(system((5, 6), "ghost")[0])
    assert repr(both) == "<TransformInverse 5 x 6 float64: DST-I along axes 0, 1>"


def test_it_is_the_pair_of_scipy_and_a_division():
    problem, _ = system((11, 13), "dirichlet")
    T = FastTransform().setup(problem)
    coefficients = scipy.fft.dstn(problem.b.reshape(11, 13), 2)
    k = [
        4 * c * np.sin((np.arange(n) + 1) * np.pi / n / 2) ** 2 for c, n in zip(problem.A.faces, (11, 13), strict=True)
    ]
    expected = scipy.fft.idstn(coefficients / np.add.outer(*k), 2)
    assert T @ problem.b == pytest.approx(expected.ravel(), rel=1e-13)


def test_warming_up_leaves_the_problem_alone():
    problem, _ = system((6, 7), "ghost", dtype=F32)
    FastTransform().warm_up(problem)
    assert not problem.counts


def test_two_threads_give_the_same_bits():
    problem, _ = system((64, 66), "ghost")
    T = FastTransform().setup(problem)
    alone = T @ problem.b
    with rs.threads(2):
        assert np.array_equal(T @ problem.b, alone)


# ---- refusals

MASK = np.array([[True, False], [True, True]])


@pytest.mark.parametrize(
    ("A", "said"),
    [
        (sp.eye_array(4, format="csr"), "FastTransform needs a GridOperator, got csr_array; resolvent.problems.grids"),
        (diffusion((2, 2), active=MASK), "FastTransform needs a plain box; this one has inactive cells"),
        (diffusion((2, 2), conductivity=1 + MASK), "needs one conductivity per axis; the faces of this operator"),
        (diffusion((2, 2), zero_order=1 + MASK), "needs the same zero_order everywhere; this operator has an array"),
        (
            diffusion((2, 2), boundary=("neumann", ("ghost", "neumann"))),
            "no transform fits the walls ghost and neumann of axis 1; a ghost wall needs another one at the other end",
        ),
        (diffusion((2, 2), boundary=(("dirichlet", "ghost"), "neumann")), "the walls dirichlet and ghost of axis 0"),
    ],
)
def test_what_it_cannot_solve_is_named(A, said):
    problem = LinearSystem(A, np.zeros(4))
    with pytest.raises(ProblemError, match=said):
        rs.solve(problem, FastTransform())
    with pytest.raises(ProblemError, match=said):
        FastTransform().setup(problem)
    assert FastTransform().cost(problem) == inf
    assert not FastTransform().good_lengths(problem)


# ---- cost


@pytest.mark.parametrize("n", [1, 2, 7, 64, 97, 120, 1021, 4098])
def test_work_is_the_sum_of_the_factors_or_a_convolution(n):
    rest, factors = n, []
    for p in range(2, n + 1):
        while rest % p == 0:
            rest //= p
            factors.append(p)
    plain = sum(p if p <= 5 else 1.1 * p for p in factors)
    assert _work(n) == pytest.approx(plain) if plain <= 50 else _work(n) <= plain


def test_large_primes_go_by_a_convolution():
    assert _work(4098) < 200 < 683


@pytest.mark.parametrize(
    ("grid", "boundary", "nanoseconds"),
    [
        ((1023, 1023), "ghost", 24.0),
        ((1024, 1024), "ghost", 48.8),
        ((2047, 2047), "ghost", 26.9),
        ((2048, 2048), "ghost", 189.3),
        ((127, 127, 127), "ghost", 22.5),
        ((128, 128, 128), "ghost", 68.7),
        ((192, 192, 192), "ghost", 279.9),
        ((1024, 1024), "dirichlet", 22.8),
        ((1021, 1021), "dirichlet", 78.7),
        ((128, 128, 128), "neumann", 23.7),
        ((127, 127, 127), "neumann", 133.8),
        ((97, 61, 33), "neumann", 68.8),
        ((1000, 37), "neumann", 21.4),
        ((192, 192, 192), "periodic", 20.5),
    ],
)
def test_the_model_of_the_cost_against_measured_pairs(grid, boundary, nanoseconds):
    """Measured on one core of an EPYC of 2023; the model is for a choice, not for a bill."""
    pairs = [(boundary, boundary)] * len(grid)
    problem = LinearSystem(diffusion((2,) * len(grid), boundary=boundary), np.zeros(2 ** len(grid)))
    problem.A.grid = grid  # a large one would only cost memory
    model = FastTransform().cost(problem)
    assert nanoseconds / 1.8 < model < 1.8 * nanoseconds
    assert model == pytest.approx(
        sum(4 + 0.23 * _work(_length(n, p)) * _length(n, p) / n for n, p in zip(grid, pairs, strict=True))
    )


def test_lengths_decide():
    """The two sizes at which the baseline has a factor of nine between neighbours."""
    sizes = {}
    for n in (2047, 2048):
        problem = LinearSystem(diffusion((2, 2), boundary="ghost"), np.zeros(4))
        problem.A.grid = (n, n)
        sizes[n] = FastTransform().good_lengths(problem)
    assert sizes == {2047: True, 2048: False}
