"""Kernels: plain array functions with a twin for each place an array can live.

``reference/`` gives the meaning in NumPy, ``cpu/`` is compiled by Numba, ``gpu/`` runs through CuPy; same file, same
name, same signature. ``kernels.sketches.row_steps(A, ...)`` runs the twin where A lives.
"""

from __future__ import annotations

from importlib.util import find_spec

from resolvent.kernels.dispatch import Family, twin

__all__ = ["Family", "twin"]


def __getattr__(name: str) -> Family:
    if name.startswith("_") or find_spec(f"resolvent.kernels.reference.{name}") is None:
        raise AttributeError(f"module 'resolvent.kernels' has no attribute {name!r}")
    family = globals()[name] = Family(name)
    return family
