"""Blocks are disjoint, not empty, and say where they fail."""

from __future__ import annotations

import numpy as np
import pytest

from resolvent import ProblemError
from resolvent.problems import Blocks


def listed(blocks):
    return [list(map(int, block)) for block in blocks]


def test_equal_blocks_with_a_ragged_end():
    assert listed(Blocks.equal(7, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert listed(Blocks.equal(2, 5)) == [[0, 1]]
    assert listed(Blocks.coordinates(3)) == [[0], [1], [2]]
    assert listed(Blocks.rows(2, 3)) == [[0, 1, 2], [3, 4, 5]]


def test_given_groups_keep_their_order():
    blocks = Blocks.of([[5, 0], np.array([3])])
    assert listed(blocks) == [[5, 0], [3]]
    assert blocks.pointers.dtype == blocks.indices.dtype == np.int64
    assert np.array_equal(blocks.sizes, [2, 1])
    assert np.array_equal(blocks.numbers, [0, -1, -1, 1, -1, 0])
    assert np.array_equal(blocks[-1], [3])
    with pytest.raises(IndexError):
        blocks[2]
    assert len(Blocks.of([])) == 0


def test_blocks_are_copies():
    pointers, indices = np.array([0, 2]), np.array([1, 0])
    blocks = Blocks(pointers, indices)
    indices[0] = 7
    assert listed(blocks) == [[1, 0]]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0, 1], [1]], "coordinate 1 is in two blocks"),
        ([[0, 0]], "coordinate 0 is in two blocks"),
        ([[0], []], r"block 1 has shape \(0,\)"),
        ([[-1]], "expected whole numbers >= 0"),
        ([[0.5]], "expected whole numbers >= 0"),
    ],
)
def test_wrong_groups(groups, message):
    with pytest.raises(ProblemError, match=message):
        Blocks.of(groups)


def test_cover():
    Blocks.of([[1], [0, 2]]).require_cover(3)
    for p, message in ((2, "coordinate 2, expected 0 to 1"), (4, "coordinate 3 is in no block")):
        with pytest.raises(ProblemError, match=message):
            Blocks.of([[1], [0, 2]]).require_cover(p)
    with pytest.raises(ProblemError, match="coordinate 1 is in no block"):
        Blocks.of([[0, 2]]).require_cover(3)
    with pytest.raises(ProblemError, match="size is 0"):
        Blocks.equal(3, 0)
