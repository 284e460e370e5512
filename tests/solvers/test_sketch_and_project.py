"""SketchAndProject against its theory: exact one-step expectation, mean rate, an error that never grows."""

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent import OptionError, ProblemError, Status
from resolvent.problems import LinearSystem
from resolvent.solvers import Sketch, SketchAndProject
from resolvent.solvers.linear.equilibration import equilibrate, scaled
from tests.toys.truncated_newton import Product

SKETCHES = {
    "kaczmarz": Sketch.kaczmarz(),
    "uniform": Sketch.kaczmarz(weighted=False),
    "block rows": Sketch.block_rows(4),
    "gaussian 1": Sketch.gaussian(),
    "gaussian 3": Sketch.gaussian(3),
    "count": Sketch.count(5),
}
sketches = pytest.mark.parametrize("sketch", SKETCHES.values(), ids=SKETCHES)
forms = pytest.mark.parametrize("form", [np.array, sp.csr_array], ids=["dense", "csr"])


def saddle(rng, n=8, m=4):
    """Return a saddle-point matrix, symmetric and indefinite, with a moderate condition number."""
    H, G = np.diag(rng.uniform(1, 2, n)), rng.standard_normal((m, n)) / 2
    return np.block([[H, G.T], [G, np.zeros((m, m))]])


class Scripted:
    """A generator whose uniform numbers are given."""

    def __init__(self, numbers):
        self.numbers = np.asarray(numbers)

    def random(self, count):
        assert count == len(self.numbers)
        return self.numbers


def one_step(A, b, z, uniform):
    """Return z after one row step with the weighted Kaczmarz sketch, for a given uniform number."""
    moved = z.copy()
    Sketch.kaczmarz().prepare(A, b, np.arange(len(b)))(moved, Scripted([uniform]), 1)
    return moved


@forms
def test_one_step_in_expectation_over_all_rows(form, rng):
    """sum_i p_i norm2(e_i)^2 = norm2(e)^2 - norm2(A e)^2 / norm_F(A)^2, with p_i ~ norm2(row i)^2."""
    A = saddle(rng)
    exact, z = rng.standard_normal(12), rng.standard_normal(12)
    probabilities = (A**2).sum(axis=1) / (A**2).sum()
    edges = np.concatenate([[0], np.cumsum(probabilities)])
    mean = 0.0
    for i in range(12):
        inside = [edges[i] + t * probabilities[i] for t in (0.001, 0.5, 0.999)]
        moved = {one_step(form(A), A @ exact, z, number).tobytes() for number in inside}
        assert len(moved) == 1, "the row depends on where in its interval the number lies"
        error = np.frombuffer(moved.pop()) - exact
        assert A[i] @ error == pytest.approx(0, abs=1e-12)
        mean += probabilities[i] * float(error @ error)
    e = z - exact
    assert mean == pytest.approx(e @ e - (A @ e) @ (A @ e) / (A**2).sum(), rel=1e-12)


def test_the_mean_error_over_many_seeds_falls_at_the_proven_rate(rng):
    """And it never grows, for any seed."""
    A = saddle(rng)
    exact = rng.standard_normal(12)
    system = LinearSystem(A, A @ exact)
    kappa_F = np.linalg.norm(A) * np.linalg.norm(np.linalg.inv(A), 2)
    solver = SketchAndProject(sketch=Sketch.kaczmarz(), equilibrate=0, check_every=1000)
    moments = (1, 10, 100, 1000)
    errors = np.empty((200, len(moments)))
    for seed in range(200):
        state = solver.start(system, np.zeros(12), seed)
        for k, j in enumerate(moments):
            state.limit = j
            while state.iterations < j:
                state = solver.step(system, state)
            errors[seed, k] = np.sum((state.x - exact) ** 2)
    first = exact @ exact
    bound = 1.1 * (1 - kappa_F**-2) ** np.array(moments) * first
    assert (errors.mean(axis=0) <= bound).all()
    assert (errors[:, 0] <= first * (1 + 1e-12)).all()
    assert (np.diff(errors, axis=1) <= 1e-12).all()


@sketches
@forms
def test_the_error_never_grows(sketch, form, rng):
    A = saddle(rng)
    exact = rng.standard_normal(12)
    system = LinearSystem(form(A), A @ exact)
    for seed in range(5):
        run = rs.iterate(
            system, SketchAndProject(sketch=sketch, equilibrate=0, check_every=1), rng=seed, stop=rs.Stop(iterations=60)
        )
        errors = [np.linalg.norm(exact), *(np.linalg.norm(state.x - exact) for state in run)]
        assert len(errors) > 20
        assert (np.diff(errors) <= 1e-12).all()


@sketches
@forms
@pytest.mark.parametrize("scaling", [False, True])
def test_converges(sketch, form, scaling, rng):
    A = saddle(rng)
    exact = rng.standard_normal(12)
    if scaling:
        rows, columns = 2.0 ** rng.integers(-8, 8, 12), 2.0 ** rng.integers(-3, 3, 12)
        A = rows[:, None] * A * columns
    result = rs.solve(
        LinearSystem(form(A), A @ exact), SketchAndProject(sketch=sketch), stop=rs.Stop(rtol=1e-9, iterations=200_000)
    )
    assert result.success, result.message
    assert result.x == pytest.approx(exact, rel=1e-3, abs=1e-3)


def test_without_equilibration_a_badly_scaled_system_is_slow(rng):
    A = saddle(rng) * 2.0 ** rng.integers(-4, 4, 12)[:, None]
    system, stop = LinearSystem(A, A @ np.ones(12)), rs.Stop(rtol=1e-4, iterations=20_000)
    uniform = Sketch.kaczmarz()
    scaled_run = rs.solve(system, SketchAndProject(sketch=uniform), stop=stop)
    plain_run = rs.solve(system, SketchAndProject(sketch=uniform, equilibrate=0), stop=stop)
    assert scaled_run.success
    assert scaled_run.iterations < 0.5 * plain_run.iterations


@sketches
@forms
def test_is_reproducible_to_the_bit(sketch, form, rng):
    A, b = saddle(rng), rng.standard_normal(12)
    runs = [rs.solve(LinearSystem(form(A), b), SketchAndProject(sketch=sketch), rng=4) for _ in range(2)]
    assert runs[0].x.tobytes() == runs[1].x.tobytes()
    assert runs[0].iterations == runs[1].iterations


@sketches
@forms
def test_how_often_the_residual_is_computed_does_not_change_the_iterates(sketch, form, rng):
    system = LinearSystem(form(saddle(rng)), rng.standard_normal(12))
    stop = rs.Stop(rtol=0, iterations=37)
    ends = {
        rs.solve(system, SketchAndProject(sketch=sketch, check_every=every), stop=stop, rng=2).x.tobytes()
        for every in (1, 2, 5, 1000)
    }
    assert len(ends) == 1


@forms
def test_a_block_of_dependent_rows_is_no_trouble(form):
    """On a consistent system the equation that depends on others holds by itself."""
    A = np.array([[1.0, 1, 0], [2, 2, 0], [0, 0, 1]])
    result = rs.solve(LinearSystem(form(A), A @ [1, 2, 3]), SketchAndProject(sketch=Sketch.block_rows(3)))
    assert result.success
    assert A @ result.x == pytest.approx(A @ [1, 2, 3])


@forms
def test_a_zero_row_with_a_nonzero_right_hand_side_has_no_solution(form):
    A = np.diag([1.0, 0.0, 2.0])
    result = rs.solve(LinearSystem(form(A), np.ones(3)), SketchAndProject())
    assert result.status is Status.INFEASIBLE
    assert result.message == "a row of A is zero where b is not: no x solves the system"
    assert rs.solve(LinearSystem(form(A), np.array([1.0, 0, 1])), SketchAndProject()).success


def test_the_work_counts_in_products(rng):
    """A row step costs 2 / n of a product, and each step of the driver one for the residual."""
    system = LinearSystem(saddle(rng), rng.standard_normal(12))
    result = rs.solve(system, SketchAndProject(check_every=12), stop=rs.Stop(rtol=0, iterations=120))
    assert result.counts["apply"] == 1 + 10 * (2 + 1)


@sketches
def test_entries_of_a_sparse_matrix_may_come_in_parts_and_in_any_order(sketch, rng):
    A = saddle(rng)
    rows, columns = np.nonzero(A)
    parts = np.concatenate([0.25 * A[rows, columns], 0.75 * A[rows, columns]])
    places = np.argsort(np.tile(rows, 2), kind="stable")
    starts = np.searchsorted(np.sort(np.tile(rows, 2)), np.arange(13))
    scattered = sp.csr_array((parts[places], np.tile(columns, 2)[places], starts), shape=(12, 12))
    assert not scattered.has_canonical_format
    before = scattered.data.copy()
    exact = rng.standard_normal(12)
    system = LinearSystem(scattered, A @ exact)
    result = rs.solve(system, SketchAndProject(sketch=sketch), stop=rs.Stop(rtol=1e-8, iterations=100_000))
    assert result.success
    assert np.array_equal(scattered.data, before)


@forms
def test_entries_whose_squares_overflow_are_survived(form):
    A = form(np.full((3, 3), 1e30, np.float32))
    system = LinearSystem(A, np.ones(3, np.float32))
    result = rs.solve(system, SketchAndProject(equilibrate=0), np.ones(3), stop=rs.Stop(iterations=50))
    assert result.status is Status.ITERATIONS
    assert rs.solve(system, SketchAndProject(), stop=rs.Stop(iterations=50)).success


def test_an_operator_has_no_rows():
    system = LinearSystem(Product(lambda x, v: v, None), np.ones(3))
    with pytest.raises(ProblemError, match=r"^SketchAndProject cannot take operator; this LinearSystem has operator"):
        rs.solve(system, SketchAndProject())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SketchAndProject(sketch="rows"), "sketch is 'rows', expected a Sketch, as .*"),
        (lambda: SketchAndProject(equilibrate=-1), "equilibrate is -1, expected .*"),
        (lambda: SketchAndProject(check_every=0), "check_every is 0, expected .*"),
        (lambda: Sketch.block_rows(0), "size is 0, expected a whole number >= 1"),
        (lambda: Sketch.gaussian(0), "columns is 0, expected a whole number >= 1"),
        (lambda: Sketch.count(1.5), "columns is 1.5, expected a whole number >= 1"),
    ],
)
def test_wrong_options_are_named(make, said):
    with pytest.raises(OptionError, match=f"^{said}$"):
        make()


# ---- equilibration


@forms
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equilibration_makes_the_largest_entries_about_one(form, dtype, rng):
    A = (rng.standard_normal((9, 9)) * 10.0 ** rng.integers(-6, 6, (9, 1))).astype(dtype)
    rows, columns = equilibrate(form(A), 8)
    S = scaled(form(A), rows, columns)
    S = np.abs(S.toarray() if sp.issparse(S) else S)
    assert rows.dtype == columns.dtype == S.dtype == dtype
    assert (S.max(axis=0) < 2).all()
    assert (S.max(axis=0) > 0.25).all()
    assert (S.max(axis=1) < 2).all()
    assert (S.max(axis=1) > 0.25).all()


@forms
def test_its_column_factors_are_powers_of_two_and_its_rows_have_the_largest_entry_one(form, rng):
    A = saddle(rng) * 100
    rows, columns = equilibrate(form(A), 5)
    assert np.array_equal(np.frexp(columns)[0], np.full(12, 0.5))
    S = scaled(form(A), rows, columns)
    assert np.allclose(np.abs(S.toarray() if sp.issparse(S) else S).max(axis=1), 1, rtol=1e-14)


@forms
def test_it_leaves_a_well_scaled_matrix_alone(form, rng):
    A = rng.uniform(0.6, 1.0, (9, 9))
    assert np.array_equal(equilibrate(form(A), 5)[1], np.ones(9))


@forms
def test_no_sweeps_and_zero_rows_give_ones(form):
    A = np.diag([4.0, 0, 1])
    assert equilibrate(form(A), 0)[0].tolist() == [1, 1, 1]
    assert equilibrate(form(A), 5)[0][1] == 1
