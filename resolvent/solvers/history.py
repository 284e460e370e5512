"""History: the columns of a run, bounded in length."""

from __future__ import annotations

from typing import Any

import numpy as np

from resolvent.typing import Array

__all__ = ["History"]

ROWS = 20_000


class History:
    """Rows while a run lasts, columns at its end.

    At 20,000 rows every second one is dropped and the stride doubles; the last row is always kept.
    """

    __slots__ = ("last", "rows", "stride", "tick")

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.last: tuple[Any, ...] | None = None
        self.tick, self.stride = 0, 1

    def add(self, row: tuple[Any, ...]) -> None:
        """Add (iterations, seconds, evaluations, residual, record)."""
        self.last = row
        self.tick += 1
        if self.tick == self.stride:
            self.tick = 0
            rows = self.rows
            rows.append(row)
            if len(rows) == ROWS:  # an even number, so that the rows stay evenly spread
                del rows[::2]
                self.stride *= 2

    def columns(self) -> dict[str, Array]:
        """Return arrays of equal length; what is missing at a row is nan."""
        rows = self.rows
        if self.last is not None and (not rows or rows[-1] is not self.last):
            rows = [*rows, self.last]
        out = {"iterations": np.array([row[0] for row in rows], dtype=np.int64)}
        for i, name in enumerate(("seconds", "evaluations", "residual"), start=1):
            out[name] = np.array([np.nan if row[i] is None else row[i] for row in rows], dtype=np.float64)
        for name in dict.fromkeys(name for row in rows for name in row[4]):
            out[name] = np.array([row[4].get(name, np.nan) for row in rows], dtype=np.float64)
        return out
