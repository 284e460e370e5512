"""The networks of `resolvent.solvers.linear.networks` in torch, with the same weights, for their training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from resolvent.errors import OptionError
from resolvent.problems.linear import LinearSystem
from resolvent.solvers.learned.geometry_definition import cycle
from resolvent.solvers.learned.library import load_torch
from resolvent.solvers.linear.geometry_network import GeometryNetwork
from resolvent.solvers.linear.networks import PublishedNetwork

__all__ = ["Definition", "definition", "published", "stencil"]

Definition = Callable[[Mapping[str, Any], LinearSystem], Callable[[Any], Any]]
"""``definition(weights, system)(R)``: weights are tensors, R and the result (count, n)."""


def definition(network: Any) -> Definition:
    """Return what `network` computes, as a function of its weights.

    Raises
    ------
    OptionError
        There is no torch definition of this kind of network.
    BackendError
        torch is not installed.
    """
    if isinstance(network, PublishedNetwork):
        return lambda weights, system: published(network, weights, system)
    if isinstance(network, GeometryNetwork):
        return cycle
    raise OptionError(f"network is a {type(network).__name__}, expected one that has a definition in torch")


def published(network: PublishedNetwork, weights: Mapping[str, Any], system: LinearSystem) -> Callable[[Any], Any]:
    """Return the published network on the grid of `system`; extents are even."""
    torch = load_torch()
    F, d, grid = torch.nn.functional, network.dimensions, tuple(system.grid or ())
    convolution, pool = (F.conv2d, F.avg_pool2d) if d == 2 else (F.conv3d, F.avg_pool3d)
    before, inside, after = network.layers
    size = (len(system.b) / network.training_size**d) ** 0.5 if network.unit_rms else 1.0

    def layer(i: int, x: Any) -> Any:
        return torch.relu(convolution(x, weights[f"layers.{i}.weight"], weights[f"layers.{i}.bias"], padding=1))

    def pairs(x: Any, first: int, end: int) -> Any:
        for i in range(first, end, 2):
            x = layer(i + 1, layer(i, x)) + x
        return x

    def model(R: Any) -> Any:
        r = (size / R.norm(dim=1, keepdim=True) * R).float().reshape(-1, 1, *grid)
        x = convolution(r, weights["lift.weight"], weights["lift.bias"], padding=1)
        b = layer(before - 1, pairs(layer(0, x), 1, before - 1))
        p = pairs(pool(b, 2), before, before + inside)
        u = F.interpolate(p, scale_factor=2, mode="nearest") + b
        u = pairs(u, before + inside, before + inside + after)
        return convolution(u, weights["project.weight"], weights["project.bias"]).reshape(R.shape).to(R.dtype)

    return model


def stencil(system: LinearSystem) -> Callable[[Any], Any]:
    """Return the product with the `GridOperator` of `system`, of rows (count, n). Ends may not be periodic."""
    torch = load_torch()
    A, grid = system.A, system.A.grid
    faces = [torch.from_numpy(A.face_weights(axis)) for axis in range(len(grid))]
    diagonal = torch.from_numpy(A.diagonal().reshape(grid))

    def apply(V: Any) -> Any:
        v = V.reshape(-1, *grid)
        out = diagonal * v
        for axis, w in enumerate(faces):
            n, along = grid[axis], axis + 1
            inner = w.narrow(axis, 1, n - 1)
            lower, upper = v.narrow(along, 0, n - 1), v.narrow(along, 1, n - 1)
            zero = torch.zeros_like(v.narrow(along, 0, 1))
            out = out - torch.cat([zero, inner * lower], along) - torch.cat([inner * upper, zero], along)
        return out.reshape(V.shape)

    return apply
