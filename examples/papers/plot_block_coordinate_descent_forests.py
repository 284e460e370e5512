"""
Block coordinate descent: forests on graphs, figure 6 of its paper
==================================================================

J. Nutini, I. Laradji and M. Schmidt, *Let's make block coordinate descent converge faster*, JMLR 23(131) 2022: where
the Hessian is that of a sparse graph, a block that is a forest is solved exactly in time proportional to its size, so
that it may hold more than half of the unknowns. Here is figure 6 again, on draws of their data D (a lattice with a few
fixed nodes) and E (labels that spread between two moons), and two things that it does not show: the count of steps does
not grow with the lattice, and bounds change little.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import spsolve

import resolvent as rs
from resolvent.problems import terms
from resolvent.problems.library.lattice import lattice, two_moons
from resolvent.solvers import BlockCoordinateDescent, TreeDescent, partitions, rules, updates


def run(problem, method, best, iterations=500):
    """Return f - f* after each step."""
    steps = rs.iterate(problem, method, stop=rs.Stop(atol=0, rtol=0, iterations=iterations))
    return np.maximum([problem.objective(state.x) - best for state in steps], 1e-9)


def greedy(partition, update):
    """Return the method that takes the block with the largest gradient."""
    return BlockCoordinateDescent(partition=partition, select=rules.GreedyGradient(), update=update)


# %%
# Forests: a greedy one of the unknowns with the largest gradients, chosen anew in each step; a fixed partition into
# two combs (D) or a few trees (E); a random one. Beside them the colours of the graph, within which nothing is
# connected, and blocks of any unknowns, of which the same time allows n^(1/3) for each step.

problems = {"D, lattice": lattice(), "E, two moons": two_moons()}
PAPER = {
    "D, lattice": {"greedy forest": "1e-5", "trees": "1e-5", "random forest": "0.2", "colours": "25", "any": "6e7"},
    "E, two moons": {
        "greedy forest": "1e-4", "trees": "2e-3", "random forest": "0.04", "colours": "2 to 4", "any": "160",
    },
}  # fmt: skip
curves = {}
for name, problem in problems.items():
    best = problem.objective(spsolve(csc_array(problem.smooth.H), problem.smooth.q))
    methods = {
        "greedy forest": greedy(partitions.GreedyForest(), updates.Forest()),
        "trees": greedy(partitions.TreePartition(), updates.Forest()),
        "random forest": BlockCoordinateDescent(
            partition=partitions.RandomForest(), select=rules.Random(), update=updates.Forest()
        ),
        "colours": greedy(partitions.RedBlack(), updates.Forest()),
        "any": greedy(rules.Variable(size=round(problem.shape[0] ** (1 / 3))), updates.Matrix()),
    }
    print(f"{name}: f - f* after 500 steps, from {problem.objective(problem.x0) - best:.1e}")
    for label, method in methods.items():
        curves[name, label] = run(problem, method, best)
        print(f"    {label:14s}{curves[name, label][-1]:9.1g}   paper {PAPER[name][label]}")
    assert curves[name, "greedy forest"][-1] < 0.1 * curves[name, "random forest"][-1]
    assert curves[name, "random forest"][-1] < 0.1 * curves[name, "colours"][-1]

# %%
# The same, six times as many nodes along each side, and with bounds that one unknown in ten meets: `TreeDescent` makes
# the steps of all blocks, and extrapolates every five sweeps.

counts = {}
for grid in ((50, 50), (300, 300)):
    for label, term in (("no bounds", terms.NoTerm()), ("-2 <= x <= 2", terms.Box(-2.0, 2.0))):
        problem = lattice(grid, term=term)
        best = problem.objective(rs.solve(problem, TreeDescent(), stop=rs.Stop(rtol=1e-12)).x)
        first = problem.objective(problem.x0) - best
        for state in rs.iterate(problem, TreeDescent(), stop=rs.Stop(rtol=0, iterations=100)):
            if problem.objective(state.x) - best <= 1e-6 * first:
                break
        counts[grid, label] = state.iterations
        print(f"{problem.shape[0]:6d} unknowns, {label:14s}{state.iterations:3d} sweeps to a relative error of 1e-6")
assert counts[(300, 300), "-2 <= x <= 2"] <= 1.2 * counts[(50, 50), "-2 <= x <= 2"]

# %%
# The picture.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, name in zip(axes, problems, strict=True):
    for label in PAPER[name]:
        ax.semilogy(np.arange(1, 501), curves[name, label], label=label)
    ax.set(title=f"figure 6: data {name}", xlabel="steps")
    ax.grid(alpha=0.3)
axes[0].set_ylabel("f - f*")
axes[0].legend()
plt.show()
