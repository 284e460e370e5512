"""
A preconditioner inside SciPy
=============================

What a setup returns is a SciPy ``LinearOperator``: it fits wherever SciPy takes a preconditioner, and the loop stays
SciPy's. Here the pressure around two solid bodies, driven by a difference between the left and the right wall.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.linalg import cg

from resolvent.problems import LinearSystem, grids
from resolvent.solvers import AlgebraicMultigrid, Jacobi, Multigrid

side = 160
y, x = np.mgrid[:side, :side] / side
fluid = ((x - 0.35) ** 2 + (y - 0.4) ** 2 > 0.02) & ((abs(x - 0.7) > 0.05) | (y < 0.35))
A = grids.pressure_operator(fluid, boundary=("neumann", "dirichlet"))
b = np.where(fluid & (x == 0), 2.0, 0.0).ravel()  # the left wall at pressure 1, the right one at 0
system = LinearSystem(A, b)

# %%
# Four ways of preconditioning. ``A`` itself is a ``LinearOperator`` too. Algebraic multigrid makes a matrix of it,
# geometric multigrid works on the grid.

preconditioners = {
    "none": None,
    "Jacobi": Jacobi().setup(system),
    "AlgebraicMultigrid": AlgebraicMultigrid().setup(system),
    "Multigrid": Multigrid().setup(system),
}
print(preconditioners["AlgebraicMultigrid"], preconditioners["Multigrid"], sep="\n")


def run(M):
    residuals = [1.0]
    solution, info = cg(
        A, b, rtol=1e-8, M=M, callback=lambda x: residuals.append(np.linalg.norm(b - A @ x) / np.linalg.norm(b))
    )
    assert info == 0
    return solution, residuals


runs = {name: run(M) for name, M in preconditioners.items()}
for name, (_, residuals) in runs.items():
    print(f"{name:20s} {len(residuals) - 1:4d} iterations, true relative residual {residuals[-1]:.1e}")

# %%

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
pressure = np.where(fluid, runs["Multigrid"][0].reshape(side, side), np.nan)
image = left.imshow(pressure, origin="lower", cmap="viridis")
left.set(xticks=[], yticks=[])
figure.colorbar(image, ax=left, label="pressure")
for name, (_, residuals) in runs.items():
    right.semilogy(residuals, label=name)
right.set(xlabel="iterations of scipy.sparse.linalg.cg", ylabel="relative residual")
right.grid(alpha=0.3)
right.legend()
plt.show()
