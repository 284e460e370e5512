"""Summaries against numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from resolvent.bench.profiles import performance_profile, shifted_geometric_mean
from resolvent.errors import OptionError

INF = float("inf")
COSTS = np.array([[1, 2, 4], [3, 3, INF], [10, 5, 5], [INF, INF, INF], [8, INF, 2]])


def test_performance_profile():
    profile = performance_profile(COSTS)
    assert profile.at(1) == pytest.approx([0.4, 0.4, 0.4])
    assert profile.at(2) == pytest.approx([0.6, 0.6, 0.4])
    assert profile.at(4) == pytest.approx([0.8, 0.6, 0.6])
    assert profile.at(1e300) == pytest.approx([0.8, 0.6, 0.6])


def test_a_profile_depends_on_the_field():
    profile = performance_profile(COSTS[:, :2])
    assert profile.at(1) == pytest.approx([0.6, 0.4])


def test_pairs():
    wins = performance_profile(COSTS).pairwise()
    # the second beats or equals the first on rows 2 and 3, the first the second on rows 1, 2 and 5
    assert wins[0, 1] == pytest.approx(0.6)
    assert wins[1, 0] == pytest.approx(0.4)
    assert np.diag(wins) == pytest.approx([0.8, 0.6, 0.6])


def test_shifted_geometric_mean():
    means = [shifted_geometric_mean(COSTS[:, j], 60.0) for j in range(3)]
    assert means == pytest.approx([10.481, 15.816, 16.201], abs=5e-4)
    assert shifted_geometric_mean([0.0, 0.0], 60.0, shift=0.0) == 1.0
    assert np.isnan(shifted_geometric_mean([], 60.0))


@pytest.mark.parametrize("wrong", [[1.0], [[0.0]], [[np.nan]], [[-1.0]]])
def test_wrong_costs(wrong):
    with pytest.raises(OptionError):
        performance_profile(wrong)
