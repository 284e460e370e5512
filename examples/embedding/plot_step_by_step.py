"""
A loop of your own: iterate, step, checkpoint, resume
=====================================================

A picture of 64 x 64 points was blurred, b = A x, and is to be sharpened. The method is sketch-and-project, a random
one, and the loop around it is ours: three ways to own it, and one to survive the end of the process.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp

import resolvent as rs
from resolvent.problems import LinearSystem
from resolvent.solvers import Sketch, SketchAndProject

side = 64
v, u = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
r, angle = np.hypot(u, v), np.arctan2(v, u)
picture = np.where((r < 0.9) & (np.cos(8 * angle) > 0), 1.0, 0.0) + np.where(r < 0.3, 0.5, 0.0)
distance = np.subtract.outer(np.arange(side), np.arange(side))
line = sp.csr_array(np.where(abs(distance) < 8, np.exp(-0.5 * (distance / 2.5) ** 2) / 6.3, 0.0))
A = sp.csr_array(0.05 * sp.eye_array(side**2) + 0.95 * sp.kron(line, line))  # a little of the sharp picture is left
problem = LinearSystem(A, A @ picture.ravel(), name="picture")
solver = SketchAndProject(sketch=Sketch.block_rows(64))
stop = rs.Stop(rtol=1e-4)

# %%
# First way: `iterate` runs the loop of `solve` one step at a time. Between two steps the program may look, draw, or
# leave when its own rule is met, and `run.result` is valid at any time.

frames = []
run = rs.iterate(problem, solver, stop=stop, rng=7)
for state in run:
    if state.iterations in (64, 256, 1024):
        frames.append((f"after {state.iterations} sketches", state.x.copy()))
print(run.result)
frames.append((f"after {run.state.iterations} sketches", run.result.x))

# %%
# Second way: `start` and `step`, without driver, limits and history. A simulation calls one step where it wants one.

state = solver.start(problem, rng=7)
while state.residual > 1e-4 * state.scale:
    state = solver.step(problem, state)
assert np.array_equal(state.x, run.result.x)  # the same numbers, bit for bit

# %%
# Third: a run that is killed. `Checkpoint` writes the state now and then (here after each step), random numbers
# included. A new process reads it and goes on with the same run; it ends with the same bits.


def power_cut(state):
    if state.iterations >= 2000:
        raise SystemError("power cut")


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "picture.npz"
    try:
        rs.solve(problem, solver, stop=stop, rng=7, callback=[rs.Checkpoint(path, every=0), power_cut])
    except SystemError as error:
        print(f"{error}, {error.__notes__[0]}")
    resumed = rs.solve(problem, solver, resume=path, stop=stop)
assert np.array_equal(resumed.x, run.result.x)
print(f"resumed at {resumed.history['iterations'][0]}, ended at {resumed.iterations}: the same bits")

# %%

figure, axes = plt.subplots(1, 5, figsize=(13, 2.9), layout="constrained")
for ax, (title, x) in zip(axes, [("given", problem.b), *frames], strict=True):
    ax.imshow(x.reshape(side, side), cmap="gray", vmin=0, vmax=1.2)
    ax.set(title=title, xticks=[], yticks=[])
plt.show()
