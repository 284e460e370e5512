"""
A problem of your own: the hanging chain
========================================

A chain of k stiff links hangs between two nails. Its joints :math:`(p_i, q_i)` take the position of least mean height:

.. math:: \\min \\; \\frac1k \\sum_i q_i \\quad \\text{subject to} \\quad
          (p_i - p_{i-1})^2 + (q_i - q_{i-1})^2 = \\ell^2, \\quad i = 1, \\dots, k .

A problem is made from functions; sparse matrices are SciPy's. The equations are divided by :math:`\\ell^2`, so that
their values are of size 1 whatever k is.
"""

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp
from scipy.optimize import brentq

import resolvent as rs
from resolvent.problems import NLP
from resolvent.solvers import SketchedNewton


def chain(k, mistake=False):
    ell2 = (2.0 / k) ** 2  # the chain has length 2
    D = sp.diags_array([np.ones(k - 1), -np.ones(k - 1)], offsets=[0, -1], shape=(k, k - 1), format="csr")
    nail = np.append(np.zeros(k - 1), 1.0)  # the last link ends at (1, 0)
    gradient = np.append(np.zeros(k - 1), np.full(k - 1, 1 / k))

    def links(x):
        p, q = x.reshape(2, k - 1)
        return D @ p + nail, D @ q

    def constraint(x):
        u, v = links(x)
        return (u**2 + v**2) / ell2

    def jacobian(x):
        u, v = links(x)
        factor = 1 if mistake else 2
        return sp.hstack([sp.diags_array(2 * u / ell2) @ D, sp.diags_array(factor * v / ell2) @ D], format="csr")

    def lagrangian_hessian(x, y, sigma=1.0):  # the objective is linear: sigma does not matter
        block = D.T @ sp.diags_array(2 * y / ell2) @ D
        return sp.block_diag([block, block], format="csr")

    s = np.arange(1, k) / k
    functions = {"objective": lambda x: gradient @ x, "gradient": lambda x: gradient, "constraint": constraint}
    functions |= {"jacobian": jacobian, "lagrangian_hessian": lagrangian_hessian}
    sizes = {"n": 2 * (k - 1), "m": k, "x0": np.concatenate([s, -np.sin(np.pi * s)]), "name": f"{k} links"}
    return NLP(constraint_lower=1.0, constraint_upper=1.0, **sizes, **functions)


# %%
# Check the derivatives before anything else. The test names the wrong function, and its first wrong entry. The Hessian
# is that of the Lagrangian, whose gradient contains the Jacobian, so the mistake shows there too.

print(rs.check_derivatives(chain(20, mistake=True)))
assert rs.check_derivatives(chain(20)).ok

# %%
# Solve, for ever more links. A continuous chain would take the form of a catenary; its lowest point is known.

a = brentq(lambda a: a * np.sinh(0.5 / a) - 1.0, 0.1, 10.0)
results = {}
for k in (5, 20, 100, 1000, 5000):
    problem, solver = chain(k), SketchedNewton()
    solver.warm_up(problem)  # compiles, the first time on a machine, and loads what is compiled
    clock = perf_counter()
    results[k] = result = rs.solve(problem, solver, stop=rs.Stop(rtol=1e-8)).raise_for_status()
    error = abs(result.x[k - 1 :].min() - a + a * np.cosh(0.5 / a))
    print(f"{k:5d} links: {result.iterations:2d} iterations, {perf_counter() - clock:5.2f} s, depth off by {error:.1e}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
t = np.linspace(0, 1, 200)
left.plot(t, a * np.cosh((t - 0.5) / a) - a * np.cosh(0.5 / a), color="0.75", linewidth=6, label="catenary")
for k in (5, 20):
    p, q = results[k].x.reshape(2, k - 1)
    left.plot([0, *p, 1], [0, *q, 0], ".-", label=f"{k} links")
left.set(xlabel="p", ylabel="q", aspect="equal")
left.legend()
for result in results.values():
    result.plot(ax=right)
right.legend([f"{k} links" for k in results])
plt.show()
