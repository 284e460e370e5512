"""
A linear solver inside a simulation
===================================

A torch moves in a circle over a plate whose conductivity k rises with the temperature u. Each implicit time step
solves a linear system, with the conductivity of the step before:

.. math:: (I + \\Delta t \\, K(u^j)) \\, u^{j+1} = u^j + \\Delta t \\, q^{j+1}, \\qquad
          K(u) v = -\\nabla \\cdot (k(u) \\nabla v), \\quad k = 1 + 30 u^2 .

The simulation owns the loop. The last result is where the next solve starts, and it carries the preconditioner along.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

import resolvent as rs
from resolvent.problems import LinearSystem
from resolvent.solvers import ConjugateGradient

side, steps, dt = 80, 80, 5e-4
h = 1 / side
x, y = np.meshgrid((np.arange(side) + 0.5) * h, (np.arange(side) + 0.5) * h)
jump = sp.diags_array([-np.ones(side - 1), np.ones(side - 1)], offsets=[0, 1], shape=(side - 1, side)) / h
eye = sp.eye_array(side)
gradient = sp.vstack([sp.kron(eye, jump), sp.kron(jump, eye)], format="csr")  # differences over the inner faces
mean = abs(gradient) * (h / 2)


def conduction(u):
    return gradient.T @ sp.diags_array(1 + 30 * (mean @ u) ** 2) @ gradient


class OldFactor:
    """A preconditioner: the factors of an earlier matrix, exact for that one and close for its neighbours."""

    def __init__(self, keep):
        self.keep = keep

    def setup(self, system, previous=None):  # called once for each system, with what the last call returned
        if previous is None or previous.age == self.keep:
            return Factor(splu(system.A.tocsc()))
        previous.age += 1
        return previous


class Factor:
    def __init__(self, lu):
        self.lu, self.age = lu, 1

    def __matmul__(self, r):
        return self.lu.solve(r)


def simulate(solver, warm):
    u, result, iterations, frames = np.zeros(side**2), None, [], []
    for j in range(steps):
        place = 2 * np.pi * j / steps
        source = 300 * np.exp(-(((x - 0.5 - 0.3 * np.cos(place)) ** 2 + (y - 0.5 - 0.3 * np.sin(place)) ** 2) / 0.003))
        A = sp.csr_array(sp.eye_array(side**2) + dt * conduction(u))
        system = LinearSystem(A, u + dt * source.ravel(), spd=True, grid=(side, side))
        result = rs.solve(system, solver, result if warm else None, stop=rs.Stop(rtol=1e-6)).raise_for_status()
        u = result.x
        iterations.append(result.iterations)
        frames.append(u.reshape(side, side))
    return iterations, frames


runs = {
    "plain, from zero": simulate(ConjugateGradient(), warm=False),
    "plain, from the last result": simulate(ConjugateGradient(), warm=True),
    "a factorisation every 20 steps": simulate(ConjugateGradient(preconditioner=OldFactor(keep=20)), warm=True),
}
for name, (iterations, _) in runs.items():
    print(f"{name:32s} {sum(iterations):5d} iterations in {steps} time steps")
fields = [frames[-1] for _, frames in runs.values()]
assert all(np.allclose(field, fields[0], atol=1e-4) for field in fields)

# %%

figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained", width_ratios=[1, 1, 1, 1.3])
frames = runs["a factorisation every 20 steps"][1]
for ax, j in zip(axes, (7, 31, 79), strict=False):
    image = ax.imshow(frames[j], cmap="inferno", vmin=0, vmax=np.max(frames), origin="lower")
    ax.set(title=f"t = {dt * (j + 1):.3f}", xticks=[], yticks=[])
figure.colorbar(image, ax=axes[2], label="temperature u")
for name, (iterations, _) in runs.items():
    axes[3].plot(iterations, ".-", label=name)
axes[3].set(xlabel="time step", ylabel="iterations of the solver", ylim=(0, 75))
axes[3].legend(fontsize=8, loc="upper left")
axes[3].grid(alpha=0.3)
plt.show()
