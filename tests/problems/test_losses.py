"""Losses: derivatives against differences, conjugates against suprema, gaps that do not cancel, bad targets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from resolvent import ProblemError
from resolvent.kernels.reference import losses as reference
from resolvent.problems import losses

N = 9
RNG = np.random.default_rng(3)
REAL, SIGNS, COUNTS = RNG.standard_normal(N), np.where(RNG.random(N) < 0.5, -1.0, 1.0), RNG.poisson(2.0, N)
LABELS = np.array([0, 2, 1, 1, 0, 2, 2, 0, 1])
WEIGHTS = np.where(np.arange(N) == 4, 0.0, RNG.random(N) + 0.2)


def value(z, y):
    return math.log(math.cosh(z - y))


def derivative(z, y):
    return math.tanh(z - y)


def curvature(z, y):
    if abs(z - y) > 300:
        return 0.0
    return 1 / math.cosh(z - y) ** 2


LOSSES = {
    "least squares": losses.LeastSquares(REAL),
    "logistic": losses.Logistic(SIGNS),
    "huber": losses.Huber(REAL, delta=0.6),
    "poisson": losses.Poisson(COUNTS),
    "squared hinge": losses.SquaredHinge(SIGNS),
    "softmax": losses.Softmax(LABELS),
    "several": losses.LeastSquares(np.stack([REAL, REAL[::-1]], axis=1)),
    "several huber": losses.Huber(np.stack([REAL, REAL[::-1]], axis=1), 5.0),
    "several poisson": losses.Poisson(np.stack([COUNTS, COUNTS[::-1]], axis=1)),
    "custom": losses.Custom(REAL, value, derivative, curvature, curvature_bound=1.0),
}
DUAL = [name for name in LOSSES if name != "custom"]
every = pytest.mark.parametrize("name", LOSSES)
with_conjugate = pytest.mark.parametrize("name", DUAL)
weighted = pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["ones", "weights"])


def point(loss, seed=0, spread=1.5):
    return spread * np.random.default_rng(seed).standard_normal(loss.shape)


@every
@weighted
def test_derivatives_are_those_of_the_value(name, weights):
    loss = LOSSES[name]
    z, h = point(loss), 1e-5
    f, slope, bend = loss.evaluate(z, weights)
    assert f == pytest.approx(loss.value(z, weights), rel=1e-14)
    assert np.array_equal(slope, loss.derivative(z, weights))
    assert np.array_equal(bend, loss.curvature(z, weights))
    for place in np.ndindex(*z.shape):
        e = np.zeros_like(z)
        e[place] = h
        up, down = loss.value(z + e, weights), loss.value(z - e, weights)
        assert slope[place] == pytest.approx((up - down) / (2 * h), abs=1e-8)
        up, down = loss.derivative(z + e, weights), loss.derivative(z - e, weights)
        if name not in ("huber", "squared hinge"):
            assert bend[place] == pytest.approx((up - down)[place] / (2 * h), abs=1e-8)


@every
def test_the_order_of_memory_does_not_matter(name):
    loss = LOSSES[name]
    z = point(loss)
    other = np.asfortranarray(z) if z.ndim > 1 else np.stack([z, z], axis=1)[:, 0]
    for a, b in zip(loss.evaluate(z, WEIGHTS), loss.evaluate(other, WEIGHTS), strict=True):
        assert np.array_equal(a, b)
    if loss.has_conjugate:
        slope = 0.5 * loss.derivative(z)
        assert loss.gap(other, slope) == loss.gap(z, slope)


@every
def test_curvature_stays_below_its_bound(name):
    loss = LOSSES[name]
    if loss.curvature_bound is None:
        assert "poisson" in name
        return
    for seed in range(20):
        assert loss.curvature(point(loss, seed, 4.0)).max() <= loss.curvature_bound * (1 + 1e-12)


def test_row_bound_of_the_softmax():
    loss = losses.Softmax([0, 1, 2])
    assert (loss.curvature_bound, loss.row_bound) == (0.25, 0.5)
    for z in ([0.0, 0.0, -50.0], [1.0, 2.0, 0.0]):
        p = np.exp(z) / np.exp(z).sum()
        assert np.linalg.eigvalsh(np.diag(p) - np.outer(p, p))[-1] <= 0.5 + 1e-12


@pytest.mark.parametrize("name", ["least squares", "logistic", "huber", "poisson", "squared hinge"])
def test_conjugate_is_the_supremum(name):
    """sup_z s z - f(z), found by minimising over one sample."""
    loss = LOSSES[name]
    for i in (0, 1, 2, 5):
        one = type(loss)(loss.targets[i : i + 1], *([0.6] if name == "huber" else []))
        slope = 0.7 * one.derivative(np.array([0.3]), np.array([1.7]))
        found = minimize_scalar(lambda t: one.value(np.array([t]), np.array([1.7])) - slope[0] * t)  # noqa: B023
        assert one.conjugate(slope, np.array([1.7])) == pytest.approx(-found.fun, rel=1e-6, abs=1e-7)


def test_conjugate_of_the_softmax_is_an_entropy():
    loss = losses.Softmax([1])
    q = np.array([[0.2, 0.5, 0.3]])
    loss = losses.Softmax([1], classes=3)
    slope = 2.0 * (q - np.array([[0.0, 1.0, 0.0]]))
    assert loss.conjugate(slope, np.array([2.0])) == pytest.approx(2 * (q * np.log(q)).sum())
    assert loss.conjugate(slope + 0.1, np.array([2.0])) == np.inf
    assert loss.conjugate(np.array([[-0.1, 0.1, 0.0]])) == np.inf


@with_conjugate
@weighted
def test_gap_is_what_is_missing_in_the_inequality_of_fenchel_and_young(name, weights):
    loss = LOSSES[name]
    z = point(loss)
    derivative = loss.derivative(z, weights)
    for shrink in (0.0, 0.4, 0.9):
        slope = shrink * derivative
        expected = loss.value(z, weights) + loss.conjugate(slope, weights) - float((slope * z).sum())
        assert loss.gap(z, slope, weights) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@with_conjugate
@weighted
def test_gap_does_not_cancel(name, weights):
    """It is quadratic in the distance to the derivative, down to the smallest distances."""
    loss = LOSSES[name]
    z = point(loss)
    slope = loss.derivative(z, weights)
    assert loss.gap(z, slope, weights) <= 1e-28
    if name == "huber":  # its slopes are at the border of the domain where it is linear
        z = loss.targets + 0.5 * np.tanh(z)
        slope = loss.derivative(z, weights)
    gaps = [loss.gap(z, (1 - t) * slope, weights) / t**2 for t in (1e-4, 1e-5, 1e-6)]
    assert gaps == pytest.approx([gaps[0]] * 3, rel=1e-2)
    assert gaps[0] > 0


def test_gap_of_extreme_predictions():
    loss = losses.Logistic([1, -1])
    z = np.array([800.0, 800.0])
    slope = loss.derivative(z)
    assert loss.gap(z, slope) == 0
    assert loss.gap(z, 0.5 * slope) == pytest.approx(400 - math.log(2))
    assert loss.value(z) == 800
    counts = losses.Poisson([3.0, 0.0])
    z = np.array([-800.0, -800.0])
    assert counts.gap(z, 0.5 * counts.derivative(z)) == pytest.approx(1.5 * (math.log(1.5) + 800) - 1.5)
    assert losses.Poisson([1.0]).gap(np.array([1000.0]), np.array([0.0])) == np.inf
    soft = losses.Softmax([0, 1], classes=2)
    z = np.array([[800.0, 0.0], [800.0, 0.0]])
    assert soft.gap(z, soft.derivative(z)) == 0


OUTSIDE = {
    "logistic": SIGNS,
    "huber": np.full(N, 0.7),
    "poisson": -COUNTS - 0.1,
    "squared hinge": SIGNS,
    "softmax": np.where(np.arange(3) == LABELS[:, None], 0.2, -0.1),
}


@pytest.mark.parametrize("name", OUTSIDE)
@weighted
def test_outside_of_the_domain(name, weights):
    loss, slope = LOSSES[name], OUTSIDE[name] * (1 if weights is None else weights.max())
    z = point(loss)
    assert loss.conjugate(slope, weights) == np.inf
    assert loss.gap(z, slope, weights) == np.inf
    inside = loss.clip_dual(slope, weights)
    assert np.isfinite(loss.conjugate(inside, weights))
    assert np.isfinite(loss.gap(z, inside, weights))


@with_conjugate
@weighted
def test_clipping_leaves_the_domain_alone(name, weights):
    loss = LOSSES[name]
    slope = 0.8 * loss.derivative(point(loss), weights)
    assert loss.clip_dual(slope, weights) == pytest.approx(slope, abs=1e-14)


@with_conjugate
@weighted
def test_balanced_slopes_sum_to_zero_inside_the_domain(name, weights):
    loss = LOSSES[name]
    z = point(loss)
    slope = loss.balance(loss.derivative(z, weights), weights)
    assert np.abs(slope.sum(axis=0)).max() <= 1e-13
    assert np.isfinite(loss.gap(z, slope, weights))
    assert loss.balance(slope, weights) == pytest.approx(slope, abs=1e-13)


@pytest.mark.parametrize("name", ["logistic", "poisson", "softmax", "squared hinge"])
def test_balance_moves_little_near_a_balanced_slope(name):
    """The gap that it costs is quadratic in how far the sums are from zero."""
    loss = LOSSES[name]
    z = point(loss, spread=0.5)
    for _ in range(60):  # Newton on the intercept, damped
        slope, bend = loss.derivative(z).sum(axis=0), loss.curvature(z).sum(axis=0)
        z = z - 0.7 * slope / bend
    assert np.abs(loss.derivative(z).sum(axis=0)).max() < 1e-9
    shift = np.zeros(loss.shape[1:]) + (np.arange(loss.shape[1]) == 0 if len(loss.shape) > 1 else 1.0)
    gaps = []
    for t in (1e-3, 1e-4):
        near = z + t * shift
        gaps.append(loss.gap(near, loss.balance(loss.derivative(near))) / t**2)
    assert gaps[1] == pytest.approx(gaps[0], rel=0.05)
    assert gaps[0] < 1e3


@with_conjugate
def test_a_sample_of_weight_zero_takes_no_slope(name):
    loss = LOSSES[name]
    slope = loss.derivative(point(loss), WEIGHTS)
    slope[4] += 0.1
    assert loss.conjugate(slope, WEIGHTS) == loss.gap(point(loss), slope, WEIGHTS) == np.inf
    assert (loss.clip_dual(slope, WEIGHTS)[4] == 0).all()


@every
def test_float32_stays_float32(name):
    loss = LOSSES[name].astype(np.float32)
    z = point(loss).astype(np.float32)
    f, slope, bend = loss.evaluate(z)
    assert slope.dtype == bend.dtype == np.float32
    assert f == pytest.approx(LOSSES[name].value(z.astype(float)), rel=1e-5)
    if loss.has_conjugate:
        w = np.linspace(0.3, 2, N).astype(np.float32)
        assert loss.gap(z, loss.derivative(z, w), w) <= 1e-5


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["ones", "weights"])
def test_least_squares_in_numpy_are_the_kernel(weights):
    loss = LOSSES["least squares"]
    z, w = point(loss), np.ones(1) if weights is None else weights
    slope, bend = np.zeros(N), np.zeros(N)
    f = reference.evaluate(z, REAL, w, reference.LEAST_SQUARES, 0.0, slope, bend)
    mine = loss.evaluate(z, weights)
    assert mine[0] == pytest.approx(f, rel=1e-14)
    assert mine[1] == pytest.approx(slope, rel=1e-14)
    assert np.array_equal(mine[2], bend)
    for t in (0.3, 1.0):
        gap = reference.gap(z, t * slope, REAL, w, reference.LEAST_SQUARES, 0.0)
        assert loss.gap(z, t * slope, weights) == pytest.approx(gap, rel=1e-13, abs=1e-30)


# ---- labels and targets


def test_labels_zero_and_one_are_read_and_said():
    for kind in (losses.Logistic, losses.SquaredHinge):
        loss = kind([0, 1, 1])
        assert np.array_equal(loss.targets, [-1, 1, 1])
        assert loss.note == "labels 0 and 1 were read as -1 and 1"
        assert kind([-1, 1]).note == ""
        assert np.array_equal(kind(np.array([True, False])).targets, [1, -1])
        assert np.array_equal(kind([0, 0]).targets, [-1, -1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.Logistic([1, 2]), "Logistic are 1, 2; expected labels -1 and 1, or 0 and 1"),
        (lambda: losses.Logistic([-1, 0, 1]), "Logistic are -1, 0, 1;"),
        (lambda: losses.SquaredHinge(np.arange(9)), "0, 1, 2, 3, ...;"),
        (lambda: losses.LeastSquares([1.0, np.nan]), r"targets\[1\] is nan"),
        (lambda: losses.LeastSquares([]), r"shape \(0,\)"),
        (lambda: losses.LeastSquares(np.ones((2, 2, 2))), "expected"),
        (lambda: losses.LeastSquares(["a"]), "dtype <U1"),
        (lambda: losses.LeastSquares([1j]), "complex"),
        (lambda: losses.LeastSquares([[1.0], [1.0, 2.0]]), "not an array of numbers"),
        (lambda: losses.Poisson([1.0, -1.0]), "down to -1"),
        (lambda: losses.Huber([1.0], delta=0), "delta is 0"),
        (lambda: losses.Softmax([0.5, 1.0]), "no classes"),
        (lambda: losses.Softmax([-1, 1]), "no classes"),
        (lambda: losses.Softmax([0, 3], classes=3), "class 3, expected 0 to 2"),
        (lambda: losses.Softmax([0, 0], classes=1), "classes is 1"),
        (lambda: losses.Custom([1.0], 3, derivative, curvature), "value is 3, expected a function"),
        (lambda: losses.Custom([1.0], value, derivative, curvature, -1.0), "curvature_bound is -1.0"),
    ],
)
def test_wrong_targets(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


def test_targets_are_owned():
    y = np.ones(3)
    loss = losses.LeastSquares(y)
    y[0] = 5
    assert np.array_equal(loss.targets, np.ones(3))


def test_one_class_and_one_sample():
    loss = losses.Softmax([0])
    assert loss.shape == (1, 2)
    assert loss.value(np.zeros((1, 2))) == pytest.approx(math.log(2))
    assert losses.Logistic([1]).value(np.zeros(1)) == pytest.approx(math.log(2))


def test_a_custom_loss_has_no_conjugate():
    loss = LOSSES["custom"]
    assert not loss.has_conjugate
    assert loss.conjugate(np.zeros(N)) is None
    with pytest.raises(ProblemError, match="no conjugate"):
        loss.gap(np.zeros(N), np.zeros(N))
    assert loss.value(np.zeros(N), WEIGHTS) == pytest.approx(float((WEIGHTS * np.log(np.cosh(REAL))).sum()))
