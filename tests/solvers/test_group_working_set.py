"""Working sets of groups and rows: answers beside known ones, scikit-learn's, and proximal gradient steps."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent.errors import OptionError, ProblemError
from resolvent.problems import Blocks, CompositeProblem, LinearModel, Quadratic, losses, terms
from resolvent.problems.term_base import DISTANCE
from resolvent.solvers import BlockCoordinateDescent, GroupWorkingSet, WorkingSet, path
from resolvent.solvers.composite.group_faces import Face, _by_rows, _rows
from resolvent.solvers.stop import Status

TIGHT = rs.Stop(rtol=1e-12)
P, K = 60, 3
FOURS, ROWS = Blocks.equal(P, 4), Blocks.rows(P, K)
TURNED = Blocks.of([np.roll(row, j) for j, row in enumerate(ROWS)])
MIXED = Blocks.of([np.arange(10), [10], [12, 11], [13], *np.arange(14, P).reshape(-1, 2)[::-1]])


def design(rng, n=50, p=P, share=1.0):
    A = rng.standard_normal((n, p)) * (rng.random((n, p)) < share)
    B = A[:, :8] @ rng.standard_normal((8, K)) + 0.1 * rng.standard_normal((n, K))
    return A, B


def problem_of(A, loss, term, **options):
    return CompositeProblem(smooth=LinearModel(A, loss, **options), term=term)


def labels(b):
    return np.where(b > np.median(b), 1.0, -1.0)


ONE = {
    "least squares": losses.LeastSquares,
    "logistic": lambda b: losses.Logistic(labels(b)),
    "huber": lambda b: losses.Huber(b, 0.5),
    "squared hinge": lambda b: losses.SquaredHinge(labels(b)),
    "poisson": lambda b: losses.Poisson(np.round(np.exp(b / 5))),
}
GROUPS = {
    "groups": terms.GroupL1(FOURS, 1.0),
    "mixed": terms.GroupL1(MIXED, 1.0),
    "sparse groups": terms.SparseGroup(FOURS, 1.0, 0.4),
}
SEVERAL = {
    "multi-task": (losses.LeastSquares, terms.GroupL1(ROWS, 3.0)),
    "turned rows": (losses.LeastSquares, terms.GroupL1(TURNED, 3.0)),
    "by entry": (losses.LeastSquares, terms.L1(3.0)),
    "odd blocks": (losses.LeastSquares, terms.GroupL1(Blocks.equal(P * K, 4), 3.0)),
    "boxes": (losses.LeastSquares, terms.Box(-0.3, 0.5, 1.0)),
    "elastic net": (losses.LeastSquares, terms.ElasticNet(1.0, 2.0)),
    "huber": (lambda B: losses.Huber(B, 0.5), terms.L1(1.0)),
    "huber by row": (lambda B: losses.Huber(B, 0.5), terms.GroupL1(ROWS, 1.0)),
    "softmax": (lambda B: losses.Softmax(B.argmax(axis=1)), terms.L1(0.5)),
    "softmax by row": (lambda B: losses.Softmax(B.argmax(axis=1)), terms.GroupL1(ROWS, 0.5)),
    "softmax elastic net": (lambda B: losses.Softmax(B.argmax(axis=1)), terms.ElasticNet(0.5, 0.5)),
}


def solved(problem, solver=None, stop=TIGHT):
    result = rs.solve(problem, GroupWorkingSet() if solver is None else solver, stop=stop)
    assert result.success, result.message
    assert result.residual <= stop.rtol * result.scale
    return result


def stationary(problem, x):
    """Return how far x is from the conditions of optimality, relative to zero."""
    zero = np.zeros_like(x)
    far = [problem.term.scores(v, problem.gradient(v), 1.0, DISTANCE).max() for v in (x, zero)]
    return far[0] / far[1]


def proximal_gradient(problem, steps=20_000):
    """Return where accelerated proximal gradient steps with restarts go."""
    model = problem.smooth
    L = model.loss.row_bound * np.linalg.norm(model.A, 2) ** 2
    x = last = np.zeros(problem.shape)
    t = 1.0
    for _ in range(steps):
        faster = 0.5 * (1 + np.sqrt(1 + 4 * t * t))
        y = x + (t - 1) / faster * (x - last)
        new = problem.term.prox(y - problem.gradient(y) / L, 1 / L)
        t = 1.0 if ((y - new) * (new - x)).sum() > 0 else faster
        if np.abs(new - y).max() < 1e-15:
            return new
        x, last = new, x
    return x


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("name", ONE)
def test_groups_to_the_last_digit(rng, name, kind):
    A, B = design(rng)
    problem = problem_of(A, ONE[name](B[:, 0]), GROUPS[kind])
    result = solved(problem)
    assert stationary(problem, result.x) < 1e-5
    assert result.iterations <= 15


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_responses_to_the_last_digit(rng, kind):
    A, B = design(rng)
    loss, term = SEVERAL[kind]
    problem = problem_of(A, loss(B), term)
    result = solved(problem)
    assert stationary(problem, result.x) < 1e-5
    assert result.iterations <= 15


@pytest.mark.parametrize("kind", ["groups", "sparse groups", "multi-task", "softmax by row"])
def test_as_proximal_gradient_steps(rng, kind):
    A, B = design(rng, n=80, p=P)
    loss, term = SEVERAL.get(kind) or (lambda B: losses.LeastSquares(B[:, 0]), GROUPS[kind])
    problem = problem_of(A, loss(B), term)
    assert np.allclose(solved(problem).x, proximal_gradient(problem, 4000), atol=1e-5)


def test_orthogonal_columns(rng):
    Q = np.linalg.qr(rng.standard_normal((50, 20)))[0]
    b = rng.standard_normal(50)
    result = solved(problem_of(Q, losses.LeastSquares(b), terms.GroupL1(Blocks.equal(20, 5), np.full(4, 0.5))))
    c = (Q.T @ b).reshape(4, 5)
    sizes = np.linalg.norm(c, axis=1, keepdims=True)
    assert np.allclose(result.x.reshape(4, 5), np.maximum(1 - 0.5 / sizes, 0) * c, atol=1e-8)


def test_groups_of_one_are_the_lasso(rng):
    A, B = design(rng)
    for name, loss in ONE.items():
        one = solved(problem_of(A, loss(B[:, 0]), terms.GroupL1(Blocks.equal(P, 1), 1.0)))
        two = solved(problem_of(A, loss(B[:, 0]), terms.L1(1.0)), WorkingSet(), rs.Stop(rtol=1e-10))
        assert np.allclose(one.x, two.x, atol=1e-4), name


def test_multi_task_as_scikit_learn(rng):
    linear_model = pytest.importorskip("sklearn.linear_model")
    A, B = design(rng)
    peer = linear_model.MultiTaskLasso(alpha=3.0 / len(A), tol=1e-12, max_iter=100_000).fit(A, B)
    term = terms.GroupL1(ROWS, np.full(P, 3.0))
    x, intercept = solved(problem_of(A, losses.LeastSquares(B), term, intercept=True)).x
    assert np.allclose(x, peer.coef_.T, atol=1e-6)
    assert np.allclose(intercept, peer.intercept_, atol=1e-6)


def test_softmax_of_two_classes_is_logistic(rng):
    A, B = design(rng)
    y = labels(B[:, 0])
    two = solved(problem_of(A, losses.Softmax((y + 1) / 2), terms.L1(1.0)))
    one = solved(problem_of(A, losses.Logistic(y), terms.L1(1.0)), WorkingSet(), rs.Stop(rtol=1e-10))
    assert np.allclose(two.x[:, 1] - two.x[:, 0], one.x, atol=1e-4)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", ["least squares", "logistic", "multi-task", "softmax", "softmax by row"])
def test_intercept_weights_and_offset(rng, kind, sparse):
    A, B = design(rng, share=0.3 if sparse else 1.0)
    count = rng.integers(0, 4, len(A))
    loss, term = SEVERAL.get(kind) or (lambda B: ONE[kind](B[:, 0]), GROUPS["groups"])
    offset = 0.1 * rng.standard_normal(loss(B).shape)
    weighted = {"weights": count.astype(float), "offset": offset}
    repeated = loss(np.repeat(B, count, axis=0))
    if kind in ("logistic", "poisson"):  # labels depend on the median
        repeated = losses.Logistic(np.repeat(labels(B[:, 0]), count))
    one = solved(problem_of(sp.csc_array(A) if sparse else A, loss(B), term, intercept=True, **weighted)).x
    more = {"offset": np.repeat(offset, count, axis=0)}
    two = solved(problem_of(np.repeat(A, count, axis=0), repeated, term, intercept=True, **more)).x
    assert np.allclose(one[0], two[0], atol=1e-5)
    if "softmax" not in kind:  # whose intercepts are free in one direction
        assert np.allclose(one[1], two[1], atol=1e-5)


@pytest.mark.parametrize("kind", [*GROUPS, *SEVERAL])
def test_sparse_does_what_dense_does(rng, kind):
    A, B = design(rng, share=0.3)
    loss, term = SEVERAL.get(kind) or (lambda B: losses.LeastSquares(B[:, 0]), GROUPS[kind])
    dense, sparse = (solved(problem_of(M, loss(B), term)) for M in (A, sp.csc_array(A)))
    assert np.allclose(dense.x, sparse.x, atol=1e-5)


@pytest.mark.parametrize("kind", [*GROUPS, "softmax"])
def test_large_problems_do_what_little_ones_do(rng, monkeypatch, kind):
    """Formulas are compiled, and sparse columns stay sparse, from some size on."""
    A, B = design(rng, share=0.3)
    loss, term = SEVERAL.get(kind) or (lambda B: losses.LeastSquares(B[:, 0]), GROUPS[kind])
    little = solved(problem_of(sp.csc_array(A), loss(B), term))
    for place in ("problems.term_base", "problems.losses", "solvers.composite.group_faces"):
        monkeypatch.setattr(f"resolvent.{place}.LITTLE", 0)
    for M in (A, sp.csc_array(A)):
        assert np.allclose(solved(problem_of(M, loss(B), term)).x, little.x, atol=1e-5)
        result = rs.solve(problem_of(M, loss(B), term), GroupWorkingSet(dense=1), stop=TIGHT)
        assert result.success
        assert np.allclose(result.x, little.x, atol=1e-5)


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize(
    "kind", ["least squares", "logistic", "sparse groups", "mixed", "multi-task", "by entry", "boxes"]
)
def test_columns_do_what_a_matrix_does(rng, kind, share, monkeypatch):
    A, B = design(rng, n=90, share=share)
    loss, term = SEVERAL.get(kind) or (
        lambda B: ONE.get(kind, losses.LeastSquares)(B[:, 0]),
        GROUPS.get(kind, GROUPS["groups"]),
    )
    weighted = {"weights": rng.random(len(A)), "intercept": True}
    problem = problem_of(sp.csc_array(A) if share < 1 else A, loss(B), term, **weighted)
    gram = solved(problem)
    columns = solved(problem, GroupWorkingSet(dense=1))
    assert np.allclose(gram.x[0], columns.x[0], atol=1e-5)
    monkeypatch.setattr("resolvent.solvers.composite.group_faces.DENSE", 0)  # conjugate gradients on every face
    for dense in (1, 1200):
        assert np.allclose(gram.x[0], solved(problem, GroupWorkingSet(dense=dense)).x[0], atol=1e-5)


def test_newton_on_rows_is_that_of_the_whole_matrix(rng):
    m, k = 7, 3
    H, X = rng.standard_normal((m, m + 2)), rng.standard_normal((m, k))
    H, bend = H @ H.T, np.append(rng.random(m - 1) + 0.1, 0.0)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    root = np.sqrt(bend)[:, None] * X
    right = rng.standard_normal((m, k))
    blocks = [np.outer(r, r) for r in root]
    whole = np.kron(H + np.diag(bend), np.eye(k))
    for i, block in enumerate(blocks):
        whole[i * k : (i + 1) * k, i * k : (i + 1) * k] -= block
    mixed = rng.permutation(m * k)
    owners = np.repeat(np.arange(m), k)[mixed]
    face = Face(mixed, owners, np.ones(m * k), np.repeat(bend, k)[mixed], root.ravel()[mixed], right.ravel()[mixed])
    order = _rows(face, owners, np.tile(np.arange(k), m)[mixed], k)
    found = _by_rows(H.copy(), face, order, k)
    assert np.allclose(found, np.linalg.solve(whole, right.ravel())[mixed])


def test_a_group_without_weight_is_fitted(rng):
    A, B = design(rng)
    weight = np.full(len(FOURS), 1e4)
    weight[2] = 0
    result = solved(problem_of(A, losses.LeastSquares(B[:, 0]), terms.GroupL1(FOURS, weight)))
    assert np.allclose(result.x[8:12], np.linalg.lstsq(A[:, 8:12], B[:, 0], rcond=None)[0], atol=1e-6)
    assert np.count_nonzero(result.x) == 4


def test_odd_columns(rng):
    A, B = design(rng)
    A[:, 3] = A[:, 40:44] = 0
    A[:, 5] = A[:, 4]
    A[:, 7] = 2.0
    for loss, term in (*SEVERAL.values(), (lambda B: losses.LeastSquares(B[:, 0]), GROUPS["groups"])):
        result = solved(problem_of(A, loss(B), term), stop=rs.Stop(rtol=1e-10))
        assert not result.x[40:44].any()


@pytest.mark.parametrize(("n", "p"), [(1, 5), (5, 1), (1, 1)])
def test_tiny(rng, n, p):
    A, B = rng.standard_normal((n, p)), rng.standard_normal((n, 2))
    solved(problem_of(A, losses.LeastSquares(B), terms.GroupL1(Blocks.rows(p, 2), 0.01)))
    solved(problem_of(A, losses.LeastSquares(B[:, 0]), terms.GroupL1(Blocks.equal(p, 2), 0.01)))
    solved(problem_of(A, losses.Softmax(np.arange(n) % 2), terms.L1(0.01)))


def test_a_large_weight_gives_zero_at_once(rng):
    A, B = design(rng)
    problem = problem_of(A, losses.LeastSquares(B), terms.GroupL1(ROWS, 1.0))
    largest = problem.term.lambda_max(problem.gradient(problem.x0))
    for factor, zero in ((1.001, True), (0.999, False)):
        result = solved(problem.replace(term=problem.term.scaled(factor * largest)))
        assert (result.iterations == 0) == zero
        assert result.x.any() != zero


def test_float32(rng):
    A, B = design(rng)
    for kind in ("multi-task", "by entry", "softmax by row"):
        loss, term = SEVERAL[kind]
        true = solved(problem_of(A, loss(B), term)).x
        solver, problem = GroupWorkingSet(), problem_of(A.astype(np.float32), loss(B), term)
        state = solver.start(problem)
        for _ in range(10):
            state = solver.step(problem, state)
        assert state.x.dtype == np.float32
        assert state.residual <= 1e-5 * state.scale
        assert np.allclose(state.x, true, atol=1e-2)


def test_beyond_rounding_it_stalls_with_its_best(rng):
    A, B = design(rng)
    result = rs.solve(problem_of(A, losses.LeastSquares(B[:, 0]), GROUPS["groups"]), GroupWorkingSet(),
                      stop=rs.Stop(atol=0, rtol=1e-30))  # fmt: skip
    assert result.status is Status.STALLED
    assert result.residual < 1e-12 * result.scale


@pytest.mark.parametrize("kind", ["multi-task", "softmax by row"])
def test_path_hands_on(rng, kind):
    A, B = design(rng)
    loss, term = SEVERAL[kind]
    problem = problem_of(A, loss(B), term)
    found = path(problem, [4.0, 2.0, 1.0], solver=BlockCoordinateDescent(), stop=TIGHT)
    assert found.success
    for factor, x in zip(found.weights, found.x, strict=True):
        cold = solved(problem.replace(term=term.scaled(factor))).x
        assert np.allclose(x, cold, atol=1e-5)
    last = found.results[-1]
    if kind == "multi-task":
        state = GroupWorkingSet().start(problem.replace(term=term), last.x, previous=last.state)
        assert np.array_equal(state.H, last.state.H)


def test_other_groups_start_anew(rng):
    A, B = design(rng)
    model = LinearModel(A, losses.LeastSquares(B[:, 0]))
    first = rs.solve(CompositeProblem(smooth=model, term=GROUPS["groups"]), GroupWorkingSet(), stop=TIGHT)
    other = CompositeProblem(smooth=model, term=GROUPS["mixed"])
    warm = rs.solve(other, GroupWorkingSet(), first, stop=TIGHT)
    assert warm.success
    assert np.allclose(warm.x, solved(other).x, atol=1e-6)


def test_resumes_bit_for_bit_with_rows(rng):
    A, B = design(rng)
    for kind in ("multi-task", "softmax"):
        loss, term = SEVERAL[kind]
        solver, problem = GroupWorkingSet(first=2, growth=0.1), problem_of(A, loss(B), term)
        state = solver.start(problem)
        for _ in range(3):
            state = solver.step(problem, state)
        twin = state.copy()
        for _ in range(3):
            state, twin = solver.step(problem, state), solver.step(problem, twin)
            assert np.array_equal(state.x, twin.x)


def test_default_of_block_coordinate_descent(rng):
    A, B = design(rng)
    group = problem_of(A, losses.LeastSquares(B[:, 0]), GROUPS["groups"])
    softmax = problem_of(A, losses.Softmax(B.argmax(axis=1)), terms.L1(1.0), intercept=True)
    lasso = problem_of(A, losses.LeastSquares(B[:, 0]), terms.L1(1.0))
    last = None
    for problem in (group, softmax, lasso, group):
        last = rs.solve(problem, BlockCoordinateDescent(), stop=TIGHT)
        assert last.success
        again = rs.solve(problem, BlockCoordinateDescent(), last, stop=TIGHT)
        assert again.iterations == 0
    assert np.array_equal(last.x, solved(group).x)


def test_options_and_refusals(rng):
    A, B = design(rng)
    for options, message in (
        ({"first": 0}, "first is 0"),
        ({"growth": 0}, "growth is 0"),
        ({"accuracy": 1.0}, "accuracy is 1.0"),
    ):
        with pytest.raises(OptionError, match=message):
            GroupWorkingSet(**options)
    with pytest.raises(ProblemError, match="convex term by coordinate or of groups, got MCP"):
        rs.solve(problem_of(A, losses.LeastSquares(B), terms.MCP(1.0)), GroupWorkingSet())
    with pytest.raises(ProblemError, match="loss of a LinearModel"):
        rs.solve(CompositeProblem(smooth=Quadratic(np.eye(2), np.ones(2)), term=terms.L1(1.0)), GroupWorkingSet())
