"""The null space of a diffusion operator: one constant for each component that leans on nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from resolvent import kernels
from resolvent.typing import Array

__all__ = ["Components"]


@dataclass(frozen=True, eq=False)
class Components:
    """The constants of the components of a grid, kept as a number per cell and not as vectors.

    Stands as `null_space` in a `LinearSystem`; every function is two passes over memory, however many components
    there are.

    Attributes
    ----------
    sizes : array (k,)
        Number of cells of each component.
    labels : array (n,) int32 or None
        The component of each cell, -1 for cells of none. None where there is one component of all cells.
    """

    sizes: Array
    labels: Array | None = None

    def remove(self, v: Array) -> Array:
        """Return v (n,) without its mean over each component. Cells of none keep their values."""
        if self.labels is None:
            without: Array = v - np.mean(v, dtype=np.float64).astype(v.dtype)
            return without
        out = np.empty_like(v)
        kernels.stencils.subtract_levels(v, self.labels, self._sums(v) / self.sizes, out)
        return out

    def along(self, v: Array) -> float:
        """Return the norm of the part of v (n,) that `remove` takes away."""
        return sqrt(float(np.sum(self._sums(v) ** 2 / self.sizes)))

    def vectors(self, dtype: Any = np.float64) -> Array:
        """Return an orthonormal basis (k, n). Memory: k n numbers."""
        k = len(self.sizes)
        labels = np.zeros(int(self.sizes[0]), np.int32) if self.labels is None else self.labels
        vectors: Array = ((labels == np.arange(k)[:, None]) / np.sqrt(self.sizes)[:, None]).astype(dtype)
        return vectors

    def _sums(self, v: Array) -> Array:
        if self.labels is None:
            return np.atleast_1d(v.sum(dtype=np.float64))
        sums = np.empty(len(self.sizes))
        kernels.stencils.component_sums(v, self.labels, sums)
        return sums

    def restrict(self, cells: Array) -> Components:
        """Return the same for the part of the grid in the flat indices `cells`, which holds all of the components."""
        return self if self.labels is None else Components(self.sizes, self.labels[cells])
