"""
A sparse model and its path
===========================

Which of 500 columns explain 100 samples? The lasso answers it for a whole path of weights, and each answer comes with a
duality gap, a bound of how far its objective is from the best possible one:

.. math:: \\min_x \\; \\tfrac12 \\|A x - b\\|^2 + \\lambda \\|x\\|_1 .
"""

import matplotlib.pyplot as plt
import numpy as np

import resolvent as rs
from resolvent.problems import CompositeProblem, LinearModel, losses, terms
from resolvent.solvers import WorkingSet, path

rng = np.random.default_rng(0)
A = rng.standard_normal((100, 500))
truth = np.zeros(500)
truth[:6] = [3, -2, 2, -1.5, 1, -1]
b = A @ truth + 0.5 * rng.standard_normal(100)

model = LinearModel(A, losses.LeastSquares(b))
problem = CompositeProblem(smooth=model, term=terms.L1(20.0), name="lasso")
result = rs.solve(problem, WorkingSet(), stop=rs.Stop(rtol=1e-12))
print(result)
assert result.success

# %%
# Steps are few, and the last ones gain digits by the handful: once the working set holds the support and the signs are
# right, what is left is a linear system.

print("gap / P(0) after each step:", (result.history["residual"] / result.scale).round(16))

# %%
# Fifty weights from the one at which zero is optimal down to a hundredth of it. Working set and matrix are handed on
# from weight to weight.

found = path(problem)
print(found)
assert found.success

figure, axes = plt.subplots(figsize=(7, 4))
weights = 20.0 * found.weights
axes.plot(weights, found.x[:, 6:], color="0.8", linewidth=0.7)
axes.plot(weights, found.x[:, :6], linewidth=1.8)
axes.set_prop_cycle(None)
for value in truth[:6]:
    axes.plot(weights[-1] * 0.93, value, marker="<", markersize=7)
axes.set(xscale="log", xlabel="weight", ylabel="coefficient", title="six true coefficients (markers) and 494 others")
axes.invert_xaxis()
figure.tight_layout()
