"""
A first solve
=============

A problem, a solver, one call. The problem is number 7 of Hock and Schittkowski's collection:

.. math:: \\min_x \\; \\log(1 + x_1^2) - x_2 \\quad \\text{subject to} \\quad (1 + x_1^2)^2 + x_2^2 = 4 .
"""

import matplotlib.pyplot as plt
import numpy as np

import resolvent as rs
from resolvent.problems import library
from resolvent.solvers import SketchedNewton

problem = library.load("HS7")
result = rs.solve(problem, SketchedNewton(), stop=rs.Stop(rtol=1e-10))
print(result)

# %%
# The answer is (0, sqrt 3), with the multiplier 1 / (2 sqrt 3). Whatever the method, a result has the same fields, and
# `success` is true only if a fresh evaluation of the problem's own residual agrees.

print("x =", result.x.round(8), " y =", result.y.round(8), " success:", result.success)
assert result.success
assert np.allclose(result.x, [0, np.sqrt(3)])

# %%
# The path of the iterates. `iterate` takes the arguments of `solve` and hands out the state after each step; the same
# run gives the same numbers.

path = [problem.x0, *(state.x.copy() for state in rs.iterate(problem, SketchedNewton(), stop=result.stop))]
x1, x2 = np.array(path).T

a, b = np.meshgrid(np.linspace(-2.5, 2.5, 300), np.linspace(-2.5, 4.5, 300))
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
left.contourf(a, b, np.log1p(a**2) - b, levels=25, cmap="Blues_r", alpha=0.7)
left.contour(a, b, (1 + a**2) ** 2 + b**2, levels=[4], colors="tab:orange", linewidths=2)
left.plot(x1, x2, "k.-", linewidth=1, label="iterates")
left.plot(*path[0], "ks", label="start")
left.plot(*result.x, "r*", markersize=14, label="answer")
left.set(xlabel="$x_1$", ylabel="$x_2$", title="objective (shades) and constraint (orange)")
left.legend(loc="lower right")
result.plot(ax=right)
right.axhline(result.tolerance, color="gray", linestyle=":", linewidth=1)
right.set_title("residual, and the tolerance (dotted)")
plt.show()
