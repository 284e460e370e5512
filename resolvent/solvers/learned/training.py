"""Training of direction networks by Adam: a solver of a `DirectionDataset`, with its limits, checkpoints and resumes.

One iteration is one batch from one source, chosen at random::

    g = gradient of the loss;  m <- 0.9 m + 0.1 g;  v <- 0.999 v + 0.001 g^2
    weights <- weights - rate(t) mhat / (sqrt(vhat) + 1e-8)

with mhat, vhat corrected for their start from zero, and the rate falling along half a cosine to zero at the last step.
A part of each batch may be residuals of the iteration itself, run with the network of the moment: what a solver
feeds to the network is not what was drawn.

A run that is cut and resumed ends with the same bits, on one thread of a CPU.

Reference: D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015; I. Loshchilov and F. Hutter,
SGDR, ICLR 2017 (the cosine).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from math import cos, inf, pi
from typing import Any, ClassVar

import numpy as np

from resolvent.problems.dataset import DirectionDataset
from resolvent.solvers.base import Solver, State, cache, is_number, is_whole, require
from resolvent.solvers.learned.datasets import iterated_residuals
from resolvent.solvers.learned.direction_networks import definition, stencil
from resolvent.solvers.learned.library import load_torch
from resolvent.solvers.learned.losses import ResidualLoss
from resolvent.solvers.linear.deep_conjugate_direction import DeepConjugateDirection
from resolvent.solvers.stop import Status
from resolvent.typing import Array

__all__ = ["DirectionTraining", "DirectionTrainingState"]

FIRST, SECOND, SMALL = 0.9, 0.999, 1e-8


@dataclass(kw_only=True, eq=False)
class DirectionTrainingState(State):
    """The network, the moments of its gradients, and the best network so far.

    Attributes
    ----------
    first, second : dict of str to array
        Moments, as the weights.
    best, best_error : network, float
        By the validation part.
    loss : float
        Of the last batch.
    pool_R, pool_E : array (m, n)
        Residuals and errors of the iteration itself, for the source `pool_source`.
    """

    rng: np.random.Generator
    first: dict[str, Array]
    second: dict[str, Array]
    best: Any
    best_error: float
    loss: float = 1.0
    pool_R: Array
    pool_E: Array
    pool_source: int = 0
    ready: Any = cache()

    def record(self) -> dict[str, float]:
        return {"loss": self.loss, "best": self.best_error}


@dataclass(frozen=True, kw_only=True)
class DirectionTraining(Solver[DirectionDataset, DirectionTrainingState]):
    """Adam on a loss of search directions; the answer is the network with the least validation error.

    step:
        ``weights <- weights - rate(t) mhat / (sqrt(vhat) + 1e-8)``
    cost:
        `batch` samples forwards and backwards; three copies of the weights

    Parameters
    ----------
    steps : int
        After so many batches the method has FINISHED.
    batch : int
        Residuals in a batch.
    learning_rate : float > 0
        At the first step.
    loss : object
        ``ResidualLoss()``, ``EnergyLoss()``, ``IteratedLoss(steps)``, or any function of (model, apply, R, E, rng).
    own : float in [0, 1]
        The part of a batch that comes from the iteration itself.
    own_steps : int
        Iterations that these come from.
    check_every : int
        Batches between two looks at the validation part, and between two runs of the iteration.

    References
    ----------
    Kingma and Ba, ICLR 2015.
    """

    solves: ClassVar[type[DirectionDataset]] = DirectionDataset
    state: ClassVar[type[State]] = DirectionTrainingState
    reference: ClassVar[str] = "Kingma and Ba 2015"
    usual_iterations: ClassVar[float] = inf
    steps: int = 500
    batch: int = 10
    learning_rate: float = 1e-3
    loss: Any = field(default=ResidualLoss())
    own: float = 0.0
    own_steps: int = 25
    check_every: int = 25

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "own_steps", "check_every"):
            require(is_whole(getattr(self, name), least=1), name, getattr(self, name), "a whole number >= 1")
        require(is_number(self.learning_rate, above=0), "learning_rate", self.learning_rate, "a number > 0")
        part = is_number(self.own, above=-1) and 0 <= self.own <= 1
        require(part, "own", self.own, "a number in [0, 1]")
        require(callable(self.loss), "loss", self.loss, "a function of (model, apply, R, E, rng)")

    def begin(
        self,
        problem: DirectionDataset,
        x0: Any,
        y0: None,
        rng: np.random.Generator,
        previous: DirectionTrainingState | None,
    ) -> DirectionTrainingState:
        definition(x0)
        load_torch()
        zeros = [{name: np.zeros_like(w, np.float32) for name, w in x0.weights.items()} for _ in range(2)]
        x = _owned(x0)
        error = problem.residual(x)
        n = len(problem.training[0].system.b)
        pools = (np.zeros((0, n), np.float32) for _ in range(2))
        state = DirectionTrainingState(
            x=x,
            rng=rng,
            first=zeros[0],
            second=zeros[1],
            residual=error,
            best=_owned(x),
            best_error=error,
            pool_R=next(pools),
            pool_E=next(pools),
        )
        return state

    def step(self, problem: DirectionDataset, state: DirectionTrainingState) -> DirectionTrainingState:
        if state.iterations >= self.steps:
            return state.give_up(Status.FINISHED, f"{self.steps} steps, best error {state.best_error:.4f}")
        if self.own and state.iterations % self.check_every == 0:
            self._run_iteration(problem, state)
        source, R, E = self._batch(problem, state)
        loss = self._descend(problem, state, source, R, E)
        if not np.isfinite(loss):
            return state.give_up(Status.DIVERGED, f"the loss is {loss}; try a smaller learning_rate")
        state.loss, state.residual = loss, None
        state.iterations += 1
        if state.iterations % self.check_every == 0 or state.iterations == self.steps:
            state.residual = problem.residual(state.x)
            if state.residual < state.best_error:
                state.best, state.best_error = _owned(state.x), state.residual
        return state

    def finish(self, problem: DirectionDataset, state: DirectionTrainingState) -> DirectionTrainingState:
        """Return the network with the least validation error."""
        state.x, state.residual = state.best, state.best_error
        return state

    def _batch(self, problem: DirectionDataset, s: DirectionTrainingState) -> tuple[int, Array, Array]:
        own = min(round(self.own * self.batch), len(s.pool_R))
        source = s.pool_source if own else int(s.rng.integers(len(problem.training)))
        R, E = problem.training[source].draw(s.rng, max(self.batch - own, 1))
        if not own:
            return source, R, E
        chosen = s.rng.permutation(len(s.pool_R))[:own]
        return source, np.concatenate([R, s.pool_R[chosen]]), np.concatenate([E, s.pool_E[chosen]])

    def _run_iteration(self, problem: DirectionDataset, s: DirectionTrainingState) -> None:
        s.pool_source = int(s.rng.integers(len(problem.training)))
        system = problem.training[s.pool_source].system
        solver = DeepConjugateDirection(network=s.x)
        R, E = iterated_residuals(system, solver, self.own_steps)(s.rng, 2 * self.own_steps)
        s.pool_R, s.pool_E = R.astype(np.float32), E.astype(np.float32)

    def _descend(self, problem: DirectionDataset, s: DirectionTrainingState, source: int, R: Array, E: Array) -> float:
        """Change the weights in place and return the loss before."""
        torch = load_torch()
        weights, define, products = self._make_ready(problem, s)
        system = problem.training[source].system
        if source not in products:
            products[source] = stencil(system)
        rows = (torch.from_numpy(np.ascontiguousarray(v, np.float64)) for v in (R, E))
        loss = self.loss(define(weights, system), products[source], *rows, s.rng)
        slopes = torch.autograd.grad(loss, list(weights.values()))
        problem.counts["samples"] += len(R)
        value = float(loss.detach())
        if np.isfinite(value):
            for name, g in zip(weights, slopes, strict=True):
                self._adam(s.x.weights[name], s.first[name], s.second[name], g.numpy(), s.iterations + 1)
        return value

    def _adam(self, w: Array, m: Array, v: Array, g: Array, t: int) -> None:
        rate = self.learning_rate * (1 + cos(pi * (t - 1) / self.steps)) / 2
        m += (1 - FIRST) * (g - m)
        v += (1 - SECOND) * (g * g - v)
        w -= np.float32(rate / (1 - FIRST**t)) * m / (np.sqrt(v / np.float32(1 - SECOND**t)) + SMALL)

    def _make_ready(self, problem: DirectionDataset, s: DirectionTrainingState) -> Any:
        """Return tensors that share the memory of the weights, the network, and the products made so far."""
        if s.ready is None or s.ready[0] is not problem or s.ready[1] is not s.x:
            torch = load_torch()
            tensors = {name: torch.from_numpy(w).requires_grad_() for name, w in s.x.weights.items()}
            s.ready = problem, s.x, (tensors, definition(s.x), {})
        return s.ready[2]


def _owned(network: Any) -> Any:
    """Return a copy whose weights are float32 arrays of its own."""
    twin = copy.copy(network)
    object.__setattr__(twin, "weights", {name: np.array(w, np.float32) for name, w in network.weights.items()})
    return twin
