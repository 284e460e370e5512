"""Work between a transform and its inverse, compiled. Meaning and shapes: `resolvent.kernels.reference.transforms`."""

from __future__ import annotations

from resolvent.kernels.cpu.compiling import IN_ORDER, kernel
from resolvent.typing import Array

__all__ = ["divide_by_sums"]

compiled = kernel(IN_ORDER)


@compiled
def divide_by_sums(v: Array, first: Array, second: Array, third: Array) -> None:
    n0, n1, n2 = v.shape
    for i in range(n0):
        for j in range(n1):
            row, before = v[i, j], first[i] + second[j]
            for k in range(n2):
                total = before + third[k]
                row[k] = row[k] / total if total != 0 else row[k] * 0
