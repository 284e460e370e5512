"""Blocks: disjoint groups of coordinates, over which a term is summed or a method works."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from resolvent.errors import ProblemError
from resolvent.problems.checks import require_size
from resolvent.typing import Array

__all__ = ["Blocks"]


@dataclass(frozen=True, eq=False, repr=False)
class Blocks:
    """Disjoint groups of coordinates, none empty. Made by one of its functions.

    Both arrays are copies, not to be changed. Coordinates are places in ``x.ravel()``, so that row j of an x of shape
    (p, k) is j k, ..., j k + k - 1.

    Attributes
    ----------
    pointers : array (m + 1,) of int64
        Block b has the coordinates ``indices[pointers[b]:pointers[b + 1]]``.
    indices : array of int64

    Examples
    --------
    >>> from resolvent.problems import Blocks
    >>> blocks = Blocks.equal(7, size=3)
    >>> len(blocks), blocks.sizes, blocks[1]
    (3, array([3, 3, 1]), array([3, 4, 5]))
    >>> [list(map(int, block)) for block in Blocks.of([[4, 0], [2]])]
    [[4, 0], [2]]
    """

    pointers: Array
    indices: Array

    def __post_init__(self) -> None:
        for name in ("pointers", "indices"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.int64))

    @staticmethod
    @lru_cache(maxsize=8)
    def coordinates(p: int) -> Blocks:
        """Return p blocks of one coordinate. The last few are kept, so that problems on a path share them."""
        return Blocks.equal(p, 1)

    @staticmethod
    def equal(p: int, size: int) -> Blocks:
        """Return blocks of `size` consecutive coordinates; the last one is smaller where `size` does not divide p."""
        require_size(p, "p", 1)
        require_size(size, "size", 1)
        return Blocks(np.minimum(np.arange(0, p + size, size), p), np.arange(p))

    @staticmethod
    def rows(p: int, k: int) -> Blocks:
        """Return the rows of an x of shape (p, k) as blocks."""
        require_size(k, "k", 1)
        return Blocks.equal(p * k, k)

    @staticmethod
    def of(groups: Iterable[Any]) -> Blocks:
        """Return the given groups as blocks, in their order.

        Parameters
        ----------
        groups : iterable of array_like of int

        Raises
        ------
        ProblemError
            A group is empty or has other entries than whole numbers >= 0, or a coordinate occurs twice.
        """
        read = [_read(group, b) for b, group in enumerate(groups)]
        indices = np.concatenate(read) if read else np.zeros(0, np.int64)
        twice = np.flatnonzero(np.bincount(indices) > 1)
        if len(twice):
            raise ProblemError(f"coordinate {int(twice[0])} is in two blocks, expected disjoint blocks")
        return Blocks(np.cumsum([0, *map(len, read)]), indices)

    def __len__(self) -> int:
        return len(self.pointers) - 1

    def __getitem__(self, b: int) -> Array:
        if not -len(self) <= b < len(self):
            raise IndexError(f"block {b} of {len(self)}")
        b %= len(self)
        return self.indices[self.pointers[b] : self.pointers[b + 1]]

    def __iter__(self) -> Iterator[Array]:
        return (self[b] for b in range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} blocks of {len(self.indices)} coordinates>"

    @cached_property
    def sizes(self) -> Array:
        """Numbers of coordinates, (m,)."""
        return np.diff(self.pointers)

    @cached_property
    def numbers(self) -> Array:
        """The block of each coordinate, -1 where there is none, (largest coordinate + 1,)."""
        found = np.full(int(self.indices.max(initial=-1)) + 1, -1)
        found[self.indices] = np.repeat(np.arange(len(self)), self.sizes)
        return found

    def require_cover(self, p: int) -> None:
        """Raise ProblemError where the blocks are not made of the coordinates 0, ..., p - 1, each once."""
        if len(self.numbers) > p:
            raise ProblemError(f"blocks have the coordinate {len(self.numbers) - 1}, expected 0 to {p - 1}")
        missing = np.flatnonzero(self.numbers < 0)
        first = int(missing[0]) if len(missing) else len(self.numbers)
        if first < p:
            raise ProblemError(
                f"coordinate {first} is in no block; put what is not penalised into blocks of weight zero"
            )


def _read(group: Any, b: int) -> Array:
    indices = np.asarray(group)
    if indices.ndim != 1 or not len(indices):
        raise ProblemError(f"block {b} has shape {indices.shape}, expected (size,) with a size of at least 1")
    if indices.dtype.kind not in "iu" or indices.min() < 0:
        raise ProblemError(f"block {b} is {group!r}, expected whole numbers >= 0")
    return indices.astype(np.int64)
