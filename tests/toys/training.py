"""A data set of inputs and outputs, and the training of a small network whose answer is an opaque operator."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import numpy as np

from resolvent.problems.base import Problem
from resolvent.solvers.base import Solver, State, require
from resolvent.solvers.stop import Status

__all__ = ["Network", "OperatorDataset", "Training", "sines"]


@dataclass(eq=False)
class Network:
    """u = tanh(a W) V."""

    W: Any
    V: Any

    def __call__(self, a):
        return np.tanh(a @ self.W) @ self.V

    def is_finite(self):
        return bool(np.isfinite(self.W).all() and np.isfinite(self.V).all())


@dataclass(kw_only=True, eq=False, repr=False)
class OperatorDataset(Problem):
    """Learn a -> u. The residual is the mean relative error on the validation part; the cost axis counts samples."""

    inputs: Any
    outputs: Any
    train: slice
    validation: slice

    def point(self, x0=None, y0=None):
        """Return a copy of the operator x0, None where there is none: then the method makes its own."""
        return copy.deepcopy(self.x0 if x0 is None else x0), None

    def residual(self, operator):
        u = self.outputs[self.validation]
        self.counts["samples"] += len(u)
        wrong = operator(self.inputs[self.validation]) - u
        return float(np.mean(np.linalg.norm(wrong, axis=1) / np.linalg.norm(u, axis=1)))

    def evaluations(self, counts):
        return float(counts.get("samples", 0))


@dataclass(kw_only=True, eq=False)
class TrainingState(State):
    """The network, its momentum, the order of the samples in this epoch, and the best network so far."""

    rng: np.random.Generator
    momentum: list[Any]
    best: Network
    best_error: float
    order: Any = None
    position: int = 0
    epoch: int = 0

    def record(self):
        return {"epoch": float(self.epoch)}


@dataclass(frozen=True, kw_only=True)
class Training(Solver[OperatorDataset, TrainingState]):
    """Stochastic gradient descent with momentum on the mean squared error; the answer has the best validation error.

    step:
        ``m <- 0.9 m - rate grad; weights <- weights + m``
    cost:
        `sample` samples

    Parameters
    ----------
    width : int
        Of the network, where none is given.
    rate : float > 0
        The learning rate.
    sample : int
        Samples in a gradient.
    epochs : int
        After so many passes over the training part the method has FINISHED.
    batch : int
        Gradients in one step of the driver.

    References
    ----------
    Robbins and Monro, Ann. Math. Statist. 22 (1951) 400-407.
    """

    solves = OperatorDataset
    state = TrainingState
    reference = "Robbins and Monro 1951"
    usual_iterations = inf
    width: int = 6
    rate: float = 0.05
    sample: int = 8
    epochs: int = 5
    batch: int = 1

    def __post_init__(self):
        for name in ("width", "sample", "epochs", "batch"):
            value = getattr(self, name)
            require(isinstance(value, int) and value > 0, name, value, "a whole number >= 1")
        require(isinstance(self.rate, float) and self.rate > 0, "rate", self.rate, "a number > 0")

    def begin(self, problem, x0, y0, rng, previous):
        if x0 is None:
            d, e = problem.inputs.shape[1], problem.outputs.shape[1]
            x0 = Network(rng.standard_normal((d, self.width)) / sqrt(d), rng.standard_normal((self.width, e)))
        error = problem.residual(x0)
        momentum = [0 * x0.W, 0 * x0.V]
        best = copy.deepcopy(x0)
        return TrainingState(x=x0, rng=rng, momentum=momentum, residual=error, best=best, best_error=error)

    def step(self, problem, state):
        for _ in range(self.batch):
            if state.epoch >= self.epochs:
                return state.give_up(Status.FINISHED, f"{self.epochs} epochs, best error {state.best_error:.3e}")
            self._descend(problem, state)
            if state.met or state.iterations >= state.limit:
                break
        return state

    def _descend(self, problem, state):
        a, u = problem.inputs[problem.train], problem.outputs[problem.train]
        if state.order is None:
            state.order, state.position = state.rng.permutation(len(a)), 0
        idx = state.order[state.position : state.position + self.sample]
        net, hidden = state.x, np.tanh(a[idx] @ state.x.W)
        wrong = (hidden @ net.V - u[idx]) / len(idx)
        slopes = a[idx].T @ ((wrong @ net.V.T) * (1 - hidden**2)), hidden.T @ wrong
        problem.counts["samples"] += len(idx)
        state.momentum = [0.9 * m - self.rate * g for m, g in zip(state.momentum, slopes, strict=True)]
        state.x = Network(net.W + state.momentum[0], net.V + state.momentum[1])
        state.residual, state.position = None, state.position + self.sample
        state.iterations += 1
        if state.position >= len(a):
            state.order, state.epoch = None, state.epoch + 1
            state.residual = problem.residual(state.x)
            if state.residual < state.best_error:
                state.best, state.best_error = copy.deepcopy(state.x), state.residual

    def finish(self, problem, state):
        state.x, state.residual = state.best, state.best_error
        return state


def sines():
    """Return 60 pairs (a, sin(M a)), 40 of them to train on."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((60, 3))
    u = np.sin(a @ rng.standard_normal((3, 3)))
    return OperatorDataset(inputs=a, outputs=u, train=slice(40), validation=slice(40, 60), name="sines")
