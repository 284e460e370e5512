"""History: the columns of a run, bounded in length."""

from __future__ import annotations

from typing import Any

import numpy as np

from resolvent.typing import Array

__all__ = ["History"]

ROWS = 20_000


class History:
    """Rows (iterations, seconds, evaluations, residual, record) while a run lasts, columns at its end.

    A row is kept at every `stride`-th step. At 20,000 rows every second one is dropped and the stride doubles.
    """

    __slots__ = ("rows", "stride")

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.stride = 1

    def add(self, row: tuple[Any, ...]) -> None:
        """Keep a row."""
        self.rows.append(row)
        if len(self.rows) == ROWS:  # an even number, so that the rows stay evenly spread
            del self.rows[::2]
            self.stride *= 2

    def columns(self, last: tuple[Any, ...]) -> dict[str, Array]:
        """Return arrays of equal length that end with the row `last`; what is missing at a row is nan."""
        kept = self.rows[:-1] if self.rows and self.rows[-1][:2] == last[:2] else self.rows
        rows = [*kept, last]
        out = {"iterations": np.array([row[0] for row in rows], dtype=np.int64)}
        for i, name in enumerate(("seconds", "evaluations", "residual"), start=1):
            out[name] = np.array([np.nan if row[i] is None else row[i] for row in rows], dtype=np.float64)
        for name in dict.fromkeys(name for row in rows for name in row[4]):
            out[name] = np.array([row[4].get(name, np.nan) for row in rows], dtype=np.float64)
        return out
