"""Networks that give search directions: the published convolutional ones, applied without a deep-learning library.

`PublishedNetwork` is the network of the deep conjugate direction method (Kaneda et al. 2023), for their N = 64 and
N = 128, in two and three dimensions, with R(x) = max(conv(x), 0), all convolutions 3^d, 16 channels, with bias::

    c = conv(r);  a = R(c);  pairs { b = R(a); a = R(b) + a };  b = R(a)
    p = means of b over blocks of 2^d cells;  pairs { t = R(p); p = R(t) + p }
    u = p enlarged, each value to its 2^d cells, + b;  pairs { t = R(u); u = R(t) + u };  out = 1^d conv(u)

An addition comes after the maximum. The network for N = 64 has 4, 6 and 4 layers R before, in and after the coarse
part, the one for N = 128 has 6, 10 and 6. Biases make it depend on the size of its input, so it gets ``r / norm2(r)``,
or, with `unit_rms`, ``r sqrt(n / N^d) / norm2(r)``, whose entries are as large as in training whatever the grid.

Reference: A. Kaneda, O. Akar, J. Chen, V. A. T. Kala, D. Hyde, J. Teran, A deep conjugate direction method for
iteratively solving linear systems, ICML 2023, PMLR 202:15720-15736, and its published program.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod, sqrt
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from resolvent.errors import OptionError, ProblemError, did_you_mean
from resolvent.kernels import twin
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.base import is_whole, require
from resolvent.typing import Array

__all__ = ["CHANNELS", "PublishedDirections", "PublishedNetwork", "check_weights", "load_network", "save_network"]

CHANNELS = 16
SHIPPED = Path(__file__).parent / "weights"
SIZES = {64: (4, 6, 4), 128: (6, 10, 6)}
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class PublishedNetwork:
    """The network of the paper, as options for `DeepConjugateDirection`: ``setup(system)`` fits it to a grid.

    Parameters
    ----------
    weights : mapping of str to array
        ``lift.weight (16, 1, 3, ...)``, ``layers.I.weight (16, 16, 3, ...)``, ``project.weight (1, 16, 1, ...)`` and
        their ``.bias``, in the layout of torch.
    dimensions : int
        2 or 3.
    layers : tuple of three even int
        Layers before, in and after the coarse part.
    training_size : int
        Cells along an edge of the grids that it was trained on.
    unit_rms : bool
        Scale the input to the entries of the training instead of to unit norm.
    """

    kind: ClassVar[str] = "published"
    weights: Mapping[str, Array] = field(repr=False, compare=False)
    dimensions: int
    layers: tuple[int, int, int] = SIZES[64]
    training_size: int = 64
    unit_rms: bool = False

    def __post_init__(self) -> None:
        require(self.dimensions in (2, 3), "dimensions", self.dimensions, "2 or 3")
        object.__setattr__(self, "layers", tuple(self.layers))
        even = len(self.layers) == 3 and all(is_whole(k, least=2) and k % 2 == 0 for k in self.layers)
        require(even, "layers", self.layers, "three even numbers >= 2")
        require(is_whole(self.training_size, least=1), "training_size", self.training_size, "a whole number >= 1")
        require(isinstance(self.unit_rms, bool), "unit_rms", self.unit_rms, "True or False")
        check_weights(self.weights, self.shapes(self.dimensions, self.layers))

    @staticmethod
    def shapes(dimensions: int, layers: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of the weights."""
        wide, point = (3,) * dimensions, (1,) * dimensions
        shapes: dict[str, tuple[int, ...]] = {"lift.weight": (CHANNELS, 1, *wide), "lift.bias": (CHANNELS,)}
        for i in range(sum(layers)):
            shapes[f"layers.{i}.weight"] = (CHANNELS, CHANNELS, *wide)
            shapes[f"layers.{i}.bias"] = (CHANNELS,)
        return {**shapes, "project.weight": (1, CHANNELS, *point), "project.bias": (1,)}

    @classmethod
    def random(cls, size: int = 64, dimensions: int = 3, rng: int = 0) -> Self:
        """Return the network for N = `size`, 64 or 128, with weights as before training.

        Uniform, with the variance of X. Glorot and Y. Bengio (AISTATS 2010), and no biases: the defaults of Keras,
        which the published program uses. With biases as large as the weights the first layers drown the residual, and
        training takes long to begin.
        """
        require(size in SIZES, "size", size, "64 or 128")
        generator, weights = np.random.default_rng(rng), {}
        for name, shape in cls.shapes(dimensions, SIZES[size]).items():
            if name.endswith("bias"):
                weights[name] = np.zeros(shape, np.float32)
                continue
            limit = sqrt(6 / ((shape[0] + shape[1]) * prod(shape[2:])))
            weights[name] = generator.uniform(-limit, limit, shape).astype(np.float32)
        return cls(weights=weights, dimensions=dimensions, layers=SIZES[size], training_size=size)

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(prod(w.shape) for w in self.weights.values())

    def setup(self, system: LinearSystem, previous: Any = None) -> PublishedDirections:
        """Return the network with work arrays for the grid of `system`; those of `previous` where they fit.

        Raises
        ------
        ProblemError
            The system has no grid, or one of another dimension.
        """
        grid = system.grid
        if grid is None or len(grid) != self.dimensions:
            raise ProblemError(f"the system has the grid {grid}, expected one of {self.dimensions} dimensions")
        if isinstance(previous, PublishedDirections) and previous.network is self and previous.grid == tuple(grid):
            return previous
        return PublishedDirections(self, tuple(grid))

    def options(self) -> dict[str, Any]:
        """Return what the JSON file beside the weights says."""
        names = ("dimensions", "layers", "training_size", "unit_rms")
        return {name: getattr(self, name) for name in names}


class PublishedDirections:
    """A published network on one grid: ``directions @ r``. It works in float32.

    An odd extent is embedded in the next even one. Memory: 3 activations of 16 float32 a cell, 2 of the coarse grid.
    Work: 2 3^d 256 flops a cell and layer.
    """

    def __init__(self, network: PublishedNetwork, grid: tuple[int, ...]) -> None:
        self.network, self.grid = network, grid
        self.shape = (prod(grid),) * 2
        even = tuple(k + k % 2 for k in grid)
        ring = [(k + 2, k // 2 + 2) for k in even]
        self._flat = len(grid) == 2
        lead = (1,) if self._flat else ()
        fine, coarse = ((*lead, *sizes) for sizes in zip(*ring, strict=True))
        self._r, self._z = (np.zeros(fine, np.float32) for _ in range(2))
        self._fine = [np.zeros((*fine[:2], CHANNELS, fine[2]), np.float32) for _ in range(3)]
        self._coarse = [np.zeros((*coarse[:2], CHANNELS, coarse[2]), np.float32) for _ in range(2)]
        w = {name: np.asarray(value, np.float32) for name, value in network.weights.items()}
        self._lift = _taps(w["lift.weight"])[:, :, 0].copy(), w["lift.bias"]
        self._layers = [(_taps(w[f"layers.{i}.weight"]), w[f"layers.{i}.bias"]) for i in range(sum(network.layers))]
        self._project = w["project.weight"].reshape(-1).copy(), w["project.bias"]
        self._kernel = {
            name: twin("networks", name, "cpu") for name in ("convolve", "enlarge", "lift", "pool", "project")
        }

    def __repr__(self) -> str:
        return f"<PublishedDirections on {' x '.join(map(str, self.grid))}, {self.network.parameters} parameters>"

    def __matmul__(self, r: Array) -> Array:
        size = float(np.linalg.norm(r))
        if not 0 < size < np.inf:
            return np.zeros(r.shape, np.float32)
        network = self.network
        wanted = sqrt(self.shape[0] / network.training_size**network.dimensions) if network.unit_rms else 1.0
        cells = tuple(slice(1, k + 1) for k in self.grid)
        r_inside, z_inside = (v[0][cells] if self._flat else v[cells] for v in (self._r, self._z))
        np.multiply(r.reshape(self.grid), wanted / size, out=r_inside, casting="same_kind")
        self._run()
        return z_inside.reshape(-1)

    def _run(self) -> None:
        kernel, (a, b, t), (p, s) = self._kernel, self._fine, self._coarse
        before, inside, _ = self.network.layers
        kernel["lift"](self._r, *self._lift, t)
        self._layer(0, t, a)
        for i in range(1, before - 1, 2):
            self._pair(i, a, b)
        self._layer(before - 1, a, b)
        kernel["pool"](b, p)
        for i in range(before, before + inside, 2):
            self._pair(i, p, s)
        kernel["enlarge"](p, b)
        for i in range(before + inside, len(self._layers), 2):
            self._pair(i, b, t)
        kernel["project"](b, *self._project, self._z)

    def _layer(self, i: int, x: Array, out: Array) -> None:
        self._kernel["convolve"](x, *self._layers[i], out, False, out)

    def _pair(self, i: int, x: Array, work: Array) -> None:
        """Do x = R(R(x)) + x."""
        self._layer(i, x, work)
        self._kernel["convolve"](work, *self._layers[i + 1], x, True, x)


def _taps(weight: Array) -> Array:
    """Bring a convolution's weight (out, in, 3, ...) into the kernels' layout (3^(d - 1), 3, in, out)."""
    out, into = weight.shape[:2]
    return np.ascontiguousarray(weight.reshape(out, into, -1, 3).transpose(2, 3, 1, 0))


def check_weights(weights: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        if name not in weights or np.shape(weights[name]) != shape:
            found = f"has shape {np.shape(weights[name])}" if name in weights else "is missing"
            raise OptionError(f"weights[{name!r}] {found}, expected shape {shape}")
        if not np.isfinite(weights[name]).all():
            raise OptionError(f"weights[{name!r}] contains nan or inf, expected finite numbers")


# ---- files


def save_network(network: Any, path: str | os.PathLike[str], notes: Mapping[str, Any] | None = None) -> Path:
    """Write `network` to PATH.safetensors (its weights) and PATH.json (its kind, options, and `notes`)."""
    from safetensors.numpy import save_file

    path = Path(path).with_suffix("")
    weights = {name: np.ascontiguousarray(w, np.float32) for name, w in network.weights.items()}
    save_file(weights, path.with_suffix(".safetensors"))
    facts = {"format": FORMAT, "kind": network.kind, "options": network.options(), "notes": dict(notes or {})}
    path.with_suffix(".json").write_text(json.dumps(facts, indent=2) + "\n")
    return path.with_suffix(".safetensors")


def load_network(name: str | os.PathLike[str]) -> Any:
    """Return a network for `DeepConjugateDirection`: a shipped one by its name, or one saved at a path.

    Parameters
    ----------
    name : str or path
        ``"published2d"``, ``"poisson2d"``, ``"poisson3d"``; or the path that `save_network` was given.

    Raises
    ------
    OptionError
        There is no such network, or its files are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(name).with_suffix("")
    if path.name == str(path) and not path.with_suffix(".json").exists():
        path = SHIPPED / path.name
    if not path.with_suffix(".json").exists():
        known = sorted(found.stem for found in SHIPPED.glob("*.json"))
        hint = did_you_mean(path.name, known)
        raise OptionError(f"name is {os.fspath(name)!r}, expected a path or one of {', '.join(known)}{hint}")
    try:
        facts = json.loads(path.with_suffix(".json").read_text())
        weights = load_file(path.with_suffix(".safetensors"))
        kind, options = _kind(facts["kind"]), facts["options"]
        if facts["format"] != FORMAT:
            raise OptionError(f"{path} has the format {facts['format']}, expected {FORMAT}")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError(f"the files of the network {path} are damaged: {error}") from error
    return kind(weights=weights, **options)


def _kind(name: str) -> Any:
    """Return the class of networks that a file names."""
    from resolvent.solvers.linear.geometry_network import GeometryNetwork

    return {kind.kind: kind for kind in (PublishedNetwork, GeometryNetwork)}[name]
