"""
Deep conjugate directions: a network for directions, and what it is worth
=========================================================================

A. Kaneda and others, *A deep conjugate direction method for iteratively solving linear systems* (ICML 2023), take the
search directions of conjugate gradients from a convolutional network. ``published2d`` is their network in two
dimensions, trained for 61 CPU seconds on a box of 64 x 64 cells. It cuts the iterations to a sixth, and on a CPU it is
far slower than multigrid, which needs eight.

So the second picture is of a network that leaves the iteration alone: `LearnedMultigrid` lets it look at the
coefficients once, and correct what multigrid forgets on its coarse grids. Here these are walls one cell thin, each with
a gap.
"""

import matplotlib.pyplot as plt
import numpy as np

import resolvent as rs
from resolvent.problems.grids import diffusion
from resolvent.problems.library.poisson import box, noise
from resolvent.solvers import ConjugateGradient, DeepConjugateDirection, LearnedMultigrid, Multigrid, load_network
from resolvent.solvers.learned.datasets import walls

stop = rs.Stop(rtol=1e-8)


def draw(axes, system, solvers, title):
    """Plot the residual of each solver against its iterations."""
    for name, solver in solvers.items():
        result = rs.solve(system, solver, stop=stop)
        history = result.history
        residual = history["residual"]
        if "residual_estimate" in history:  # between two residuals Multigrid knows an estimate
            residual = np.where(np.isnan(residual), history["residual_estimate"], residual)
        axes.semilogy(history["iterations"], residual / result.scale, label=f"{name}: {result.iterations}")
    axes.set(title=title, xlabel="iterations", ylabel="residual / norm of b")
    axes.legend()


# %%
# The published network on the box of its training, with 2 and with 10 retained directions.

network = load_network("published2d")
picture, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
solvers = {
    "conjugate gradients": ConjugateGradient(),
    "network, 2 directions": DeepConjugateDirection(network=network, keep=2),
    "network, 10 directions": DeepConjugateDirection(network=network, keep=10),
    "multigrid": Multigrid(),
}
draw(left, box((64, 64)), solvers, "a box of 64 x 64 cells")

# %%
# Thin walls on a grid four times as fine as any that the second network was trained on.

grid = (256, 256)
k = walls(grid, np.random.default_rng(1002))
system = noise(diffusion(grid, conductivity=k, boundary="ghost"))
solvers = {"multigrid": Multigrid(), "multigrid, learned": LearnedMultigrid(network=load_network("poisson2d"))}
draw(right, system, solvers, "thin walls, 256 x 256 cells")
