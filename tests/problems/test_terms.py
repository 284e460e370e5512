"""Terms: proximal points against minimisation, Moreau's identity, conjugates, gaps, scores, scales, bad weights."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from resolvent import ProblemError
from resolvent.problems import Blocks, terms
from resolvent.problems.term_base import DECREASE, DISTANCE, STEP

P = 6
EACH = np.array([0.5, 0.0, 1.5, 0.2, 1.0, 0.7])
LOW, UP = np.array([-1.0, -np.inf, 0.0, -0.3, -np.inf, 0.2]), np.array([1.0, 0.5, np.inf, 0.3, np.inf, 2.0])
GROUPS = Blocks.of([[4, 0, 2], [1], [3, 5]])

CONVEX = {
    "l1": terms.L1(0.8),
    "l1 each": terms.L1(EACH),
    "elastic net": terms.ElasticNet(EACH, 0.6),
    "nonnegative": terms.NonNegative(0.4),
    "nonnegative free": terms.NonNegative(),
    "box": terms.Box(LOW, UP),
    "box l1": terms.Box(-0.5, 2.0, weight=EACH),
    "ridge": terms.Ridge(0.9),
    "none": terms.NoTerm(),
    "group": terms.GroupL1(GROUPS, 0.7),
    "group each": terms.GroupL1(GROUPS, [0.5, 0.0, 2.0]),
    "sparse group": terms.SparseGroup(GROUPS, 0.8, fraction=0.4),
    "sparse group l1": terms.SparseGroup(GROUPS, 0.8, fraction=1.0),
    "rows": terms.GroupL1(Blocks.rows(3, 2), 0.6),
}
OTHER = {"mcp": terms.MCP(EACH, 2.5), "scad": terms.SCAD(EACH, 2.6), "l05": terms.L05(EACH)}
ALL = {**CONVEX, **OTHER}
DUAL = [name for name in CONVEX if name != "none"]
convex = pytest.mark.parametrize("name", CONVEX)
with_conjugate = pytest.mark.parametrize("name", DUAL)
every = pytest.mark.parametrize("name", ALL)


def number_of_scores(term):
    return P if term.separable else len(term.blocks)


def inside(term, x):
    """Return the nearest point of the domain."""
    return x if np.isfinite(term.value(x)) else term.prox(x, 1e-12)


# ---- proximal points


@pytest.mark.parametrize("name", [name for name in ALL if "group" not in name and name != "rows"])
@pytest.mark.parametrize("step", [0.3, 1.0, 4.0])
def test_prox_is_the_best_point_of_a_fine_grid(name, step):
    term = ALL[name]
    grid = np.linspace(-4, 4, 401)
    v = np.array([-3.1, -0.9, 0.31, 0.05, 1.4, 2.7])
    found = term.prox(v, step)
    assert np.isfinite(term.value(found))
    for j in range(P):
        copies = [np.where(np.arange(P) == j, t, found) for t in (*grid, found[j])]
        best = min(term.value(x) + (x[j] - v[j]) ** 2 / (2 * step) for x in copies)
        mine = term.value(found) + (found[j] - v[j]) ** 2 / (2 * step)
        assert mine <= best + 1e-12


@pytest.mark.parametrize("kind", [terms.MCP(0.8, 1.5), terms.SCAD(0.8, 2.1), terms.L05(0.8)])
@pytest.mark.parametrize("step", [0.2, 1.0, 1.4, 1.6, 5.0])
def test_prox_of_terms_that_are_not_convex_is_the_global_minimiser(kind, step):
    v = np.linspace(-5, 5, 101)
    found = kind.prox(v, step)
    grid = np.linspace(-5, 5, 4001)
    values = np.array([kind.value(np.array([t])) for t in grid])
    for a, b in zip(v, found, strict=True):
        best = (values + (grid - a) ** 2 / (2 * step)).min()
        assert kind.value(np.array([b])) + (b - a) ** 2 / (2 * step) <= best + 1e-12


@pytest.mark.parametrize("name", ["group", "group each", "sparse group", "sparse group l1", "rows"])
def test_prox_of_groups_is_a_minimiser(name):
    term = ALL[name]
    v = np.array([1.0, -2.0, 0.3, 0.9, -1.2, 0.2])
    steps = np.array([0.5, 1.0, 2.0])
    each = np.repeat(steps, term.blocks.sizes)[np.argsort(term.blocks.indices)]
    found = term.prox(v, steps)

    def objective(x):
        return term.value(x) + float(((x - v) ** 2 / (2 * each)).sum())

    for start in (v, found, np.zeros(P)):
        other = minimize(objective, start, method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-9})
        assert objective(found) <= other.fun + 1e-9


@convex
@pytest.mark.parametrize("step", [0.3, 2.0])
def test_prox_contracts_and_zero_steps_stand_still(name, step, rng):
    term = CONVEX[name]
    u, v = rng.standard_normal((2, P))
    a, b = term.prox(u, step), term.prox(v, step)
    assert (a - b) @ (u - v) >= (a - b) @ (a - b) - 1e-12  # firmly nonexpansive
    x = inside(term, u)
    assert term.prox(x, 1e-14) == pytest.approx(x, abs=1e-12)


@with_conjugate
@pytest.mark.parametrize("step", [0.4, 1.0, 3.0])
def test_moreau(name, step, rng):
    """v = prox(v) + step c with a subgradient c at prox(v): the gap of c there is zero."""
    term = CONVEX[name]
    for _ in range(20):
        v = 2 * rng.standard_normal(P)
        x = term.prox(v, step)
        assert term.gap(x, (v - x) / step) == pytest.approx(0, abs=1e-12)


# ---- conjugates and gaps


@with_conjugate
def test_gap_is_what_is_missing_in_the_inequality_of_fenchel_and_young(name, rng):
    term = CONVEX[name]
    for _ in range(20):
        x, c = inside(term, rng.standard_normal(P)), rng.standard_normal(P)
        c = np.where(term.null(c) if term.null(c) is not None else False, 0, c)
        c = term.dual_scale(c) * c
        expected = term.value(x) + term.conjugate(c) - c @ x
        assert term.gap(x, c) == pytest.approx(expected, abs=1e-12)
        assert term.gap(x, c) >= 0


@with_conjugate
def test_conjugate_is_above_every_point(name, rng):
    term = CONVEX[name]
    c = rng.standard_normal(P)
    c = np.where(term.null(c) if term.null(c) is not None else False, 0, c)
    c = term.dual_scale(c) * c
    points = [inside(term, 3 * rng.standard_normal(P)) for _ in range(300)]
    assert term.conjugate(c) >= max(c @ x - term.value(x) for x in points) - 1e-12


@with_conjugate
def test_scale_is_the_largest_that_stays_in_the_domain(name, rng):
    term = CONVEX[name]
    for _ in range(10):
        c = 3 * rng.standard_normal(P)
        c = np.where(term.null(c) if term.null(c) is not None else False, 0, c)
        t = term.dual_scale(c)
        assert 0 < t <= 1
        assert np.isfinite(term.conjugate(t * c))
        assert np.isfinite(term.gap(inside(term, np.zeros(P)), t * c))
        if t < 1:
            assert term.conjugate(t * (1 + 1e-9) * c) == np.inf
            assert not term.everywhere
    assert term.dual_scale(np.zeros(P)) == 1


def test_where_the_conjugate_is_finite_everywhere():
    found = {name for name in DUAL if CONVEX[name].everywhere}
    assert found == {"elastic net", "box l1", "ridge"}


def test_slopes_that_no_scale_allows():
    c = np.array([1.0, -1.0, 0.0, 2.0, -2.0, 1.0])
    assert np.array_equal(CONVEX["l1 each"].null(c), np.arange(P) == 1)
    assert CONVEX["l1"].null(c) is None
    assert np.array_equal(CONVEX["nonnegative free"].null(c), c > 0)
    assert np.array_equal(CONVEX["box"].null(c), [False, True, False, False, True, False])
    assert np.array_equal(CONVEX["group each"].null(c), np.arange(P) == 1)
    assert not CONVEX["elastic net"].null(c).any()


def test_a_point_outside_has_no_value():
    assert terms.Box(0.0, 1.0).value(np.array([0.5, 1.5])) == np.inf
    assert terms.NonNegative(1.0).value(np.array([-1e-300])) == np.inf
    assert terms.NonNegative(1.0).gap(np.array([-1e-3]), np.zeros(1)) == np.inf


@pytest.mark.parametrize("weight", [0.8, EACH])
def test_l1_in_numpy_is_the_kernel(weight, rng):
    plain, compiled = terms.L1(weight), terms.ElasticNet(weight, 0.0)
    for shape in ((P,), (P, 2)):
        x, c = rng.standard_normal((2, *shape))
        if np.ndim(weight):
            c[1] = 0
        assert plain.value(x) == pytest.approx(compiled.value(x), rel=1e-14)
        assert plain.dual_scale(c) == pytest.approx(compiled.dual_scale(c), rel=1e-14)
        for t in (0.5, 1.0, 1.5):
            slope = t * plain.dual_scale(c) * c
            assert plain.gap(x, slope) == pytest.approx(compiled.gap(x, slope), rel=1e-13)
        assert plain.dual_scale(np.zeros(shape)) == 1


# ---- scores


@every
def test_scores_vanish_exactly_at_solutions(name, rng):
    """With g = L (v - prox(v)) / ... chosen so that the point is a fixed one, all three scores are zero."""
    term = ALL[name]
    m = number_of_scores(term)
    L = np.full(m, 3.0)
    for _ in range(10):
        v = 2 * rng.standard_normal(P)
        x = term.prox(v, 1 / 3.0)
        gradient = 3.0 * (x - v)
        for rule in (DISTANCE, STEP, DECREASE):
            score = term.scores(x, gradient, L, rule)
            assert score.shape == (m,)
            assert np.abs(score).max() <= 1e-7


@convex
def test_scores_are_what_they_say(name, rng):
    term = CONVEX[name]
    m = number_of_scores(term)
    for _ in range(5):
        x, g, L = inside(term, rng.standard_normal(P)), rng.standard_normal(P), rng.random(m) + 0.5
        blocks = term.blocks or Blocks.coordinates(P)
        each = np.empty(P)
        for b, block in enumerate(blocks):
            each[block] = L[b]
        z = term.prox(x - g / each, 1 / L)
        lengths, decreases = term.scores(x, g, L, STEP), term.scores(x, g, L, DECREASE)
        for b, block in enumerate(blocks):
            d = np.zeros(P)
            d[block] = (z - x)[block]
            assert lengths[b] == pytest.approx(np.linalg.norm(d), abs=1e-12)
            model = g @ d + 0.5 * L[b] * (d @ d) + term.value(x + d) - term.value(x)
            assert decreases[b] == pytest.approx(-model, abs=1e-12)
            assert decreases[b] >= 0


@with_conjugate
def test_distance_to_the_subdifferential(name, rng):
    """The distance bounds the slope of g + smooth in every direction, and some direction attains it."""
    term = CONVEX[name]
    for sparse in (0.0, 0.5):
        x = inside(term, rng.standard_normal(P) * (rng.random(P) > sparse))
        g = rng.standard_normal(P)
        score = term.scores(x, g, np.ones(number_of_scores(term)), DISTANCE)
        for b, block in enumerate(term.blocks or Blocks.coordinates(P)):
            steepest, t = 0.0, 1e-7
            for _ in range(400):
                d = np.zeros(P)
                d[block] = rng.standard_normal(len(block))
                d /= np.linalg.norm(d)
                value = term.value(x + t * d)
                if np.isfinite(value):
                    steepest = max(steepest, -(value - term.value(x)) / t - g @ d)
            assert steepest <= score[b] + 1e-5
            if len(block) < 3:
                assert steepest == pytest.approx(score[b], abs=2e-2 * max(1.0, score[b]))


def test_steps_do_not_lose_small_gradients():
    """x - (x - g) is zero where g is below the rounding of x."""
    for term in (terms.L1(1.0), terms.MCP(1.0, 3.0), terms.SCAD(1.0, 3.7), terms.Ridge(1e-30)):
        x = np.array([1e9])
        slope = {"L1": 1.0}.get(type(term).__name__, 0.0)
        step = term.scores(x, np.array([-slope + 1e-9]), np.ones(1), STEP)
        assert step[0] == pytest.approx(1e-9, rel=1e-6)


def test_a_column_of_zeros_has_finite_scores():
    x, zero = np.array([2.0, 0.0]), np.zeros(2)
    for term in (terms.L1(1.0), terms.Box(-1.0, 3.0), terms.MCP(1.0), terms.GroupL1(Blocks.equal(2, 1))):
        for rule in (DISTANCE, STEP, DECREASE):
            assert np.isfinite(term.scores(x, zero, zero, rule)).all()
    assert terms.L1(1.0).scores(x, zero, zero, STEP) == pytest.approx([2, 0])
    assert terms.L1(1.0).scores(x, zero, zero, DECREASE) == pytest.approx([2, 0])


# ---- weights


@pytest.mark.parametrize("name", ["l1", "l1 each", "elastic net", "nonnegative", "group", "sparse group", "rows"])
def test_lambda_max_is_where_zero_becomes_optimal(name, rng):
    term = CONVEX[name]
    for _ in range(5):
        g = rng.standard_normal(P)
        g[1] *= name not in ("l1 each", "elastic net")
        factor = term.lambda_max(g)
        L = np.ones(number_of_scores(term))
        assert 0 < factor < np.inf
        assert term.scaled(factor * (1 + 1e-9)).scores(np.zeros(P), g, L, DISTANCE).max() == 0
        assert term.scaled(factor * (1 - 1e-6)).scores(np.zeros(P), g, L, DISTANCE).max() > 0


def test_lambda_max_at_the_limits():
    g = np.array([1.0, -2.0])
    assert terms.L1(1.0).lambda_max(np.zeros(2)) == 0
    assert terms.L1([0.0, 1.0]).lambda_max(g) == 2
    assert terms.L1(0.0).lambda_max(g) == np.inf
    assert terms.NonNegative(2.0).lambda_max(g) == 1
    assert terms.NonNegative(2.0).lambda_max(-np.abs(g)) == 1
    assert terms.NonNegative(2.0).lambda_max(np.abs(g)) == 0
    assert terms.MCP(0.5).lambda_max(g) == terms.SCAD(0.5).lambda_max(g) == 4
    assert terms.L05(1.0).lambda_max(g) == 0
    assert terms.Box(1.0, 2.0, 1.0).lambda_max(g) == np.inf
    assert terms.GroupL1(Blocks.of([[0], [1]]), [0.0, 1.0]).lambda_max(g) == 2


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("box", "none", "nonnegative free")])
def test_scaled(name, rng):
    term = ALL[name]
    x = np.abs(inside(term, rng.standard_normal(P)))
    if name not in OTHER or name == "l05":
        assert term.scaled(3.0).value(x) == pytest.approx(3 * term.value(x))
    small = 1e-3 * x * (0 if "box" in name else 1)
    assert term.scaled(2.0).value(small) == pytest.approx(2 * term.value(small), rel=1e-2)


def test_one_weight_per_row():
    x = np.arange(6.0).reshape(3, 2)
    assert terms.L1([1.0, 10.0, 100.0]).value(x) == 1 + 10 * 5 + 100 * 9
    assert terms.L1(np.ones((3, 2))).value(x) == 15
    found = terms.L1([0.5, 10.0, 0.0]).prox(x, 1.0)
    assert np.array_equal(found, [[0, 0.5], [0, 0], [4, 5]])
    with pytest.raises(ProblemError, match=r"shape \(2,\)"):
        terms.L1([1.0, 2.0]).value(x)


def test_numbers_for_groups_are_multiplied_by_roots_of_sizes():
    x = np.ones(P)
    assert terms.GroupL1(GROUPS, 2.0).value(x) == pytest.approx(2 * (3 + 1 + 2))
    assert terms.GroupL1(GROUPS, [2.0] * 3).value(x) == pytest.approx(2 * (3**0.5 + 1 + 2**0.5))
    assert terms.SparseGroup(GROUPS, 2.0, 0.25).value(x) == pytest.approx(0.5 * 6 + 1.5 * 6)


def test_float32_stays_float32():
    x = np.ones(P, np.float32)
    for term in ALL.values():
        assert term.prox(x).dtype == np.float32
        assert term.scores(x, x, np.ones(number_of_scores(term), np.float32), STEP).dtype == np.float32


# ---- a term of the user's


def quartic(v, step):
    """argmin (u - v)^2 / (2 step) + u^4 / 4, by Newton's method."""
    u = v / (1 + step * np.abs(v) ** 2)
    for _ in range(60):
        u = u - (u - v + step * u**3) / (1 + 3 * step * u * u)
    return u


def test_a_term_given_by_its_prox():
    term = terms.Separable(lambda x: float((x**4).sum()) / 4, quartic)
    x, g, L = np.array([0.5, -1.0]), np.array([0.3, 0.2]), np.array([2.0, 3.0])
    z = term.prox(x - g / L, 1 / L)
    assert L * (z - x) + g + z**3 == pytest.approx(0, abs=1e-12)
    assert term.scores(x, g, L, STEP) == pytest.approx(np.abs(z - x))
    twice = term.scaled(2.0)
    assert twice.value(x) == 2 * term.value(x)
    assert twice.prox(x, 1.0) == pytest.approx(term.prox(x, 2.0))
    with pytest.raises(ProblemError, match=r"returned shape \(\), expected \(2,\)"):
        terms.Separable(abs, lambda v, t: 0.0).prox(x)
    with pytest.raises(ProblemError, match="no conjugate"):
        term.gap(x, g)
    with pytest.raises(ProblemError, match="no weights"):
        term.lambda_max(g)


# ---- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: terms.L1(-1.0), "weight is -1.0, expected finite numbers >= 0"),
        (lambda: terms.L1([1.0, np.nan]), "expected finite numbers >= 0"),
        (lambda: terms.L1(np.inf), "weight is inf"),
        (lambda: terms.L1("a"), "weight is 'a', expected real numbers"),
        (lambda: terms.L1([[1.0], [1.0, 2.0]]), "not an array of numbers"),
        (lambda: terms.ElasticNet(1.0, -1.0), "ridge is -1.0"),
        (lambda: terms.Ridge(0.0), "expected numbers > 0"),
        (lambda: terms.Box(1.0, 0.5), r"the box is empty: lower 1 exceeds upper 0.5 at \[\]"),
        (lambda: terms.Box([0.0, 1.0], 0.5), r"lower 1 exceeds upper 0.5 at \[1\]"),
        (lambda: terms.Box(np.inf, np.inf), "lower is inf"),
        (lambda: terms.Box(np.nan, 1.0), "lower is nan"),
        (lambda: terms.MCP(1.0, 0.0), "gamma is 0.0, expected a number > 0"),
        (lambda: terms.SCAD(1.0, 1.0), "gamma is 1.0, expected a number > 1"),
        (lambda: terms.SparseGroup(GROUPS, 1.0, 1.5), "fraction is 1.5"),
        (lambda: terms.SparseGroup(GROUPS, [1.0, 1.0, 1.0]), "expected a number"),
        (lambda: terms.GroupL1([[0, 1]]), "expected Blocks"),
        (lambda: terms.GroupL1(GROUPS, [1.0, 2.0]).fit((P,), None), r"expected a number or \(3,\)"),
        (lambda: terms.GroupL1().fit((P,), None), "no blocks"),
        (lambda: terms.GroupL1(GROUPS).fit((P + 1,), None), "coordinate 6 is in no block"),
        (lambda: terms.Separable(3, abs), "value_of is 3"),
    ],
)
def test_wrong_terms(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


def test_bounds_from_1e20_up_are_none():
    term = terms.Box(-1e20, 1e30, weight=1.0)
    assert not term.bounded
    assert term.prox(np.array([5.0])) == pytest.approx([4.0])
    assert terms.Box(None, 1.0).prox(np.array([-7.0, 7.0])) == pytest.approx([-7.0, 1.0])


def test_weights_are_owned():
    weight = np.ones(2)
    term = terms.L1(weight)
    weight[0] = 9
    assert term.value(np.ones(2)) == 2
