"""DeepConjugateDirection: the eight facts of the method, its fallbacks, its watch-dog, and the failures it names."""

from itertools import count, pairwise

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent import BackendError, OptionError, Status
from resolvent.problems import LinearSystem
from resolvent.solvers import ConjugateGradient, DeepConjugateDirection, WatchDog
from tests.toys.preconditioners import Jacobi

TIGHT = rs.Stop(rtol=1e-8)


def dense(n=50, condition=1e3):
    rng = np.random.default_rng(3)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    A = Q @ np.diag(np.geomspace(1, condition, n)) @ Q.T
    return LinearSystem((A + A.T) / 2, rng.standard_normal(n), spd=True)


def box(n=32):
    axis = sp.diags_array([-np.ones(n - 1), np.full(n, 2.0), -np.ones(n - 1)], offsets=[-1, 0, 1])
    A = sp.csr_array(sp.kronsum(axis, axis))
    return LinearSystem(A, np.random.default_rng(4).standard_normal(n * n), spd=True, grid=(n, n))


both = pytest.mark.parametrize("system", [dense, box])


def rough(system, size=0.3, seed=0):
    """Return a nonlinear, unsymmetric, deterministic model near the inverse of A's diagonal."""
    n = len(system.b)
    W = np.random.default_rng(seed).standard_normal((n, 8)) / np.sqrt(n)
    diagonal = system.A.diagonal()
    return lambda r: r / diagonal + size * W @ np.maximum(W.T @ r * n, 0) / n


def iterates(system, solver, steps=12):
    run = rs.iterate(system, solver, stop=rs.Stop(rtol=1e-12, iterations=steps))
    return np.array([run.state.x.copy(), *(state.x.copy() for state in run)])


def energy(system, x):
    e = x - np.linalg.solve(_full(system.A), system.b)
    return e @ (system.A @ e)


def _full(A):
    return A.toarray() if sp.issparse(A) else A


# ---- facts 1 to 8 of the method


@both
@pytest.mark.parametrize("two", [False, True])
def test_a_scale_and_a_sign_of_the_model_change_nothing(system, two):
    problem = system()
    f, drawn = rough(problem), np.random.default_rng(8)
    plain = iterates(problem, DeepConjugateDirection(network=f, two_directions=two))
    scaled = iterates(
        problem,
        DeepConjugateDirection(
            network=lambda r: f(r) * 10 ** drawn.uniform(-3, 3) * drawn.choice([-1, 1]), two_directions=two
        ),
    )
    assert len(plain) == 13
    assert scaled == pytest.approx(plain, rel=1e-9, abs=1e-9 * np.abs(plain).max())


@both
@pytest.mark.parametrize("two", [False, True])
def test_the_error_never_grows_whatever_the_model_returns(system, two):
    problem, drawn = system(), np.random.default_rng(5)
    solver = DeepConjugateDirection(network=lambda r: drawn.standard_normal(len(r)), two_directions=two)
    errors = [energy(problem, x) for x in iterates(problem, solver)]
    assert errors[-1] < errors[0]
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(errors))


@both
def test_the_error_falls_by_the_step_formula_and_by_the_sine_of_the_angle(system):
    problem = system()
    f = rough(problem)
    exact = np.linalg.solve(_full(problem.A), problem.b)
    state = DeepConjugateDirection(network=f, two_directions=False).start(problem)
    for _ in range(6):
        e, r = exact - state.x, state.r.copy()
        z = f(r / np.linalg.norm(r))
        cosine = (z @ r) / np.sqrt((z @ (problem.A @ z)) * (e @ (problem.A @ e)))
        before, row = e @ (problem.A @ e), state.made % 3
        state = DeepConjugateDirection(network=f, two_directions=False).step(problem, state)
        q = state.P[row]
        fall = (q @ r) ** 2 / (q @ (problem.A @ q))
        assert energy(problem, state.x) == pytest.approx(before - fall, rel=1e-8)
        assert energy(problem, state.x) <= before * (1 - cosine**2) * (1 + 1e-8)


@both
@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_identity_gives_conjugate_gradients(system, keep):
    problem = system()
    mine = iterates(problem, DeepConjugateDirection(network=lambda r: r, keep=keep, two_directions=False))
    assert mine == pytest.approx(iterates(problem, ConjugateGradient()), rel=1e-8, abs=1e-10)


@both
def test_a_fixed_model_gives_preconditioned_conjugate_gradients_with_one_direction(system):
    problem = system()
    M = np.linalg.inv(_full(problem.A) + np.diag(np.linspace(1, 9, len(problem.b))))
    M = (M + M.T) / 2
    mine = iterates(problem, DeepConjugateDirection(network=M, keep=1, two_directions=False))
    assert mine == pytest.approx(iterates(problem, ConjugateGradient(preconditioner=M)), rel=1e-8, abs=1e-10)


def test_all_directions_kept_minimise_over_their_span():
    problem = dense(20)
    f, k = rough(problem, size=2.0), 6
    state = DeepConjugateDirection(network=f, keep=k, two_directions=False).start(problem)
    Z = []
    for _ in range(k):
        Z.append(f(state.r / np.linalg.norm(state.r)))
        state = DeepConjugateDirection(network=f, keep=k, two_directions=False).step(problem, state)
    V = np.array(Z).T
    best = V @ np.linalg.solve(V.T @ problem.A @ V, V.T @ problem.b)
    assert state.x == pytest.approx(best, rel=1e-8, abs=1e-10)


def test_more_directions_make_up_for_an_unsymmetric_model():
    problem = box()
    counts = [
        rs.solve(
            problem,
            DeepConjugateDirection(network=rough(problem, 20.0), keep=k, two_directions=False),
            stop=rs.Stop(rtol=1e-6),
        ).iterations
        for k in (1, 20)
    ]
    assert counts[1] < counts[0]


@both
def test_the_exact_inverse_takes_one_iteration(system):
    problem = system()
    inverse = np.linalg.inv(_full(problem.A))
    result = rs.solve(problem, DeepConjugateDirection(network=inverse), stop=rs.Stop(rtol=1e-10))
    assert result.iterations == 1


def last(result, name):
    return result.history[name][-1]


@pytest.mark.parametrize("kind", ["zero", "nan", "inf", "orthogonal", "retained"])
@pytest.mark.parametrize("two", [False, True])
def test_a_useless_direction_is_discarded_and_counted(kind, two):
    problem, kept = box(), []

    def network(r):
        if kind == "orthogonal":
            z = np.random.default_rng(0).standard_normal(len(r))
            z -= r * (r @ z) / (r @ r)
            return z - r * (r @ z) / (r @ r)
        if kind == "retained":  # the direction of the last step again, after a first good one
            return kept[-1].P[(kept[-1].made - 1) % 3] if kept and kept[-1].made else r
        return r * {"zero": 0.0, "nan": np.nan, "inf": np.inf}[kind]

    solver = DeepConjugateDirection(network=network, two_directions=two)
    with np.errstate(invalid="ignore"):
        run = rs.iterate(problem, solver, stop=TIGHT)
        for state in run:
            kept.append(state)
    result = run.result
    plain = rs.solve(problem, ConjugateGradient(), stop=TIGHT)
    assert result.success
    assert abs(result.iterations - plain.iterations) <= 1
    spared = 1 if kind == "retained" else 0
    assert last(result, "fallbacks") == result.iterations - spared
    assert last(result, "model_applications") == result.iterations


def neumann(n=12):
    axis = sp.diags_array([-np.ones(n - 1), np.r_[1.0, np.full(n - 2, 2.0), 1.0], -np.ones(n - 1)], offsets=[-1, 0, 1])
    b = np.random.default_rng(6).standard_normal(n * n)
    return LinearSystem(sp.csr_array(sp.kronsum(axis, axis)), b, spd=True, null_space=np.ones(n * n), project=True)


@pytest.mark.parametrize("two", [False, True])
def test_a_singular_system_is_solved_with_a_model_that_leaves_the_range(two):
    problem = neumann()
    solver = DeepConjugateDirection(network=lambda r: r + 0.3, two_directions=two)
    result = rs.solve(problem, solver, stop=rs.Stop(rtol=1e-10, iterations=200))
    assert result.success
    assert abs(result.x.sum()) < 1e-8


class Masked:
    """A matrix with zero rows and columns, which says where."""

    def __init__(self, A, active):
        mask = sp.diags_array(active.ravel().astype(float))
        self.A, self.active, self.shape, self.dtype = sp.csr_array(mask @ A @ mask), active, A.shape, A.dtype

    def __matmul__(self, v):
        return self.A @ v


def test_inactive_cells_stay_zero():
    whole = box(16)
    active = np.ones((16, 16), bool)
    active[4:9, 5:11] = False
    problem = LinearSystem(Masked(whole.A, active), whole.b * active.ravel(), spd=True)
    result = rs.solve(problem, DeepConjugateDirection(network=lambda r: r + 1.0), stop=TIGHT)
    assert result.success
    assert not result.x[~active.ravel()].any()
    inside = np.flatnonzero(active)
    A = problem.A.A[inside][:, inside].toarray()
    assert result.x[inside] == pytest.approx(np.linalg.solve(A, problem.b[inside]), rel=1e-6, abs=1e-7)


# ---- two directions


def test_two_directions_are_never_worse_than_steepest_descent():
    problem, drawn = dense(), np.random.default_rng(2)
    state = DeepConjugateDirection(network=lambda r: drawn.standard_normal(len(r)), two_directions=True).start(problem)
    for _ in range(10):
        r = state.r
        fall = (r @ r) ** 2 / (r @ (problem.A @ r))
        before = energy(problem, state.x)
        state = DeepConjugateDirection(network=lambda r: drawn.standard_normal(len(r)), two_directions=True).step(
            problem, state
        )
        assert energy(problem, state.x) <= (before - fall) * (1 + 1e-10)


def test_two_directions_find_the_best_point_of_the_plane():
    problem = dense(30)
    z = np.random.default_rng(2).standard_normal(30)
    solver = DeepConjugateDirection(network=lambda r: z, two_directions=True)
    state = solver.step(problem, solver.start(problem))
    V = np.array([z, problem.b]).T
    best = V @ np.linalg.solve(V.T @ problem.A @ V, V.T @ problem.b)
    assert state.x == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert state.r == pytest.approx(problem.b - problem.A @ best, rel=1e-9, abs=1e-9)


def test_noise_converges_with_two_directions():
    problem, drawn = box(), np.random.default_rng(1)
    solver = DeepConjugateDirection(network=lambda r: drawn.standard_normal(len(r)), two_directions=True)
    assert rs.solve(problem, solver, stop=rs.Stop(rtol=1e-8, iterations=300)).success


# ---- fallback and watch-dog


def test_discarded_directions_come_from_the_fallback():
    problem = box()
    M = np.linalg.inv(problem.A.toarray() + np.eye(len(problem.b)))
    solver = DeepConjugateDirection(network=lambda r: 0 * r, fallback=M, two_directions=False)
    mine = iterates(problem, solver, 5)
    assert mine == pytest.approx(iterates(problem, ConjugateGradient(preconditioner=M), 5), rel=1e-8, abs=1e-10)


def test_a_fallback_that_fails_too_gives_way_to_the_residual():
    problem = box()
    solver = DeepConjugateDirection(network=lambda r: 0 * r, fallback=lambda r: r * np.nan)
    result = rs.solve(problem, solver, stop=TIGHT)
    assert result.success
    assert last(result, "fallbacks") == 2 * result.iterations


def test_the_running_state_says_how_many_directions_were_replaced():
    run = rs.iterate(box(), DeepConjugateDirection(network=lambda r: 0 * r), stop=TIGHT)
    next(run)
    assert next(run).message == "2 useless directions were replaced"


def priced(network=1.0, fallback=1.0):
    """Return two models and a clock that adds up what they cost."""
    spent = [0.0]

    def model(f, price):
        def call(r):
            spent[0] += price
            return f(r)

        return call

    return lambda f, g: (model(f, network), model(g, fallback), lambda: spent[0])


def test_the_watch_dog_drops_noise():
    problem, drawn = box(), np.random.default_rng(1)
    f, g, clock = priced()(lambda r: drawn.standard_normal(len(r)), lambda r: r)
    solver = DeepConjugateDirection(network=f, fallback=g, two_directions=False, watch_dog=WatchDog(clock=clock))
    run = rs.iterate(problem, solver, stop=TIGHT)
    told = {state.message for state in run if not state.met} - {""}
    plain = rs.solve(problem, ConjugateGradient(), stop=TIGHT)
    assert run.result.success
    assert last(run.result, "dropped") == 1
    assert last(run.result, "model_applications") == 5  # one that is not measured, and a window
    assert run.result.iterations <= plain.iterations + 15
    assert len(told) == 1
    assert "dropped the network after 5 applications" in told.pop()


def test_the_watch_dog_keeps_a_good_model_and_drops_it_where_it_costs_too_much():
    problem = box()
    good = np.linalg.inv(problem.A.toarray() + 0.05 * np.eye(len(problem.b)))
    for price, dropped in ((1.0, 0), (1000.0, 1)):
        f, g, clock = priced(network=price)(lambda r: good @ r, lambda r: r / 4)
        solver = DeepConjugateDirection(network=f, fallback=g, watch_dog=WatchDog(window=2, clock=clock))
        result = rs.solve(problem, solver, stop=rs.Stop(rtol=1e-12))
        assert result.success
        assert last(result, "dropped") == dropped


def test_the_watch_dog_drops_a_model_that_turns_bad():
    problem, calls = box(), count()
    good = np.linalg.inv(problem.A.toarray() + np.eye(len(problem.b)))
    f, g, clock = priced()(lambda r: good @ r if next(calls) < 8 else np.sin(np.arange(len(r))), lambda r: r / 4)
    solver = DeepConjugateDirection(
        network=f, fallback=g, two_directions=False, watch_dog=WatchDog(window=2, clock=clock)
    )
    result = rs.solve(problem, solver, stop=TIGHT)
    assert result.success
    assert last(result, "dropped") == 1
    assert 8 < last(result, "model_applications") < 16


def test_a_flipped_model_needs_no_fallback_and_plain_conjugate_gradients_refuse_it():
    problem = box()
    M = np.linalg.inv(problem.A.toarray() + np.eye(len(problem.b)))
    results = [rs.solve(problem, DeepConjugateDirection(network=sign * M), stop=TIGHT) for sign in (1, -1)]
    assert results[0].iterations == results[1].iterations
    assert results[1].x == pytest.approx(results[0].x, rel=1e-9, abs=1e-9)
    assert last(results[1], "fallbacks") == 0
    refused = rs.solve(problem, ConjugateGradient(preconditioner=-M), stop=TIGHT)
    assert refused.status == Status.BREAKDOWN
    assert "preconditioner M is not positive definite" in refused.message


# ---- what ends a run, and what is refused


def test_an_indefinite_matrix_is_found():
    A = np.diag([1.0, -2.0, 3.0, 4.0])
    result = rs.solve(LinearSystem(A, np.ones(4), spd=True), DeepConjugateDirection(network=lambda r: 0 * r))
    assert result.status == Status.BREAKDOWN
    assert "A is not positive definite" in result.message


def test_a_matrix_that_returns_nan_is_named():
    class Bad:
        shape = (4, 4)
        calls = 0

        def __matmul__(self, v):
            self.calls += 1
            return v * (np.nan if self.calls > 2 else 1 + np.arange(4.0))

    result = rs.solve(LinearSystem(Bad(), np.ones(4), spd=True), DeepConjugateDirection(network=lambda r: r))
    assert result.status == Status.DIVERGED
    assert "A returned nan or inf" in result.message


def test_a_model_of_the_wrong_shape_is_named():
    problem = box(8)
    for network, found in ((lambda r: r[:3], r"float64 of shape \(3,\)"), (lambda r: r + 0j, "complex128 of shape")):
        with pytest.raises(OptionError, match=f"the direction model returned {found}"):
            rs.solve(problem, DeepConjugateDirection(network=network))


def test_other_arrays_are_refused():
    import array_api_strict as xp

    system = LinearSystem(xp.asarray(np.eye(3)), xp.asarray(np.ones(3)), spd=True)
    with pytest.raises(BackendError, match="NumPy arrays"):
        rs.solve(system, DeepConjugateDirection(network=lambda r: r))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": None}, "network is None"),
        ({"network": 3}, "network is 3"),
        ({"keep": 0}, "keep is 0"),
        ({"two_directions": 1}, "two_directions is 1"),
        ({"fallback": 3}, "fallback is 3"),
        ({"watch_dog": 4}, "watch_dog is 4"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(OptionError, match=message):
        DeepConjugateDirection(**{"network": Jacobi(), **options})


@pytest.mark.parametrize(("options", "message"), [({"window": 0}, "window is 0"), ({"clock": 1}, "clock is 1")])
def test_the_watch_dog_checks_its_options(options, message):
    with pytest.raises(OptionError, match=message):
        WatchDog(**options)


def test_the_network_is_set_up_once_for_a_system_and_updated_for_the_next():
    made = []

    class Options:
        def setup(self, system, previous=None):
            made.append(previous)
            return Jacobi().setup(system)

    first = rs.solve(box(8), DeepConjugateDirection(network=Options()), stop=TIGHT)
    rs.solve(box(8), DeepConjugateDirection(network=Options()), first, stop=TIGHT)
    assert made[0] is None
    assert made[1] is not None
    assert len(made) == 2


def test_single_precision_models_do_not_limit_the_accuracy():
    problem = box()
    M = np.linalg.inv(problem.A.toarray() + np.eye(len(problem.b))).astype(np.float32)
    solver = DeepConjugateDirection(network=lambda r: M @ r.astype(np.float32))
    assert rs.solve(problem, solver, stop=rs.Stop(rtol=1e-12, iterations=100)).success
