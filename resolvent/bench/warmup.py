"""Compile every kernel of the CPU once, so that no later run does it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from time import perf_counter

import numpy as np

import resolvent.kernels
from resolvent.kernels import twin

__all__ = ["warm_up_kernels"]


def warm_up_kernels() -> Iterator[tuple[str, int, float]]:
    """Yield (family, number of kernels, seconds) for each file of kernels, after running all its examples.

    The examples are in float64, with indices of 32 and of 64 bits. Numba keeps what it compiles on disk: the second
    time takes about a second.
    """
    for path in sorted((Path(resolvent.kernels.__file__).parent / "reference").glob("[a-z]*.py")):
        begun = perf_counter()
        examples = import_module(f"resolvent.kernels.reference.{path.stem}").EXAMPLES
        for name, make in examples.items():
            kernel = twin(path.stem, name, "cpu")
            for arguments in make(np.random.default_rng(0), np.float64):
                kernel(*arguments)
        yield path.stem, len(examples), perf_counter() - begun
