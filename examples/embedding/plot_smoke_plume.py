"""
A smoke plume around a moving ball
==================================

A flow solver owns the loop; each step asks for one pressure system. The ball moves, so that the matrix changes from
step to step: the solve starts from the last pressure, and the hierarchy of the last step is updated in place.
"""

from time import process_time

import matplotlib.pyplot as plt
import numpy as np

import resolvent as rs
from resolvent.problems.library.plume import Plume, swinging_ball
from resolvent.solvers import Multigrid

# %%
# The flow: 192 x 288 cells, smoke from below, a ball that swings across the plume, and a top that is open.
ball = swinging_ball(centre=(0.5, 0.75), radius=0.12, swing=0.2, period=1.2)
plume = Plume(grid=(192, 288), dt=0.01, buoyancy=6.0, obstacle=ball)
solver, stop = Multigrid(), rs.Stop(rtol=1e-6)

# %%
# The loop. ``result`` goes into the next solve: its x is the start, its state has the hierarchy.
state, result = plume.initial(), None
iterations, seconds, frames = [], [], []
for step in range(120):
    state = plume.predict(state)
    system = plume.pressure_system(state)
    clock = process_time()
    result = rs.solve(system, solver, result, stop=stop)
    seconds.append(process_time() - clock)
    if not result.success:
        print(f"step {step}: {result.message}")
    iterations.append(result.iterations)
    state = plume.project(state, result.x)
    if step in (39, 79, 119):
        frames.append((state.time, np.ma.masked_array(state.smoke, state.solid)))

hierarchy = result.state.hierarchy
print(hierarchy)
print(f"updated {hierarchy.updates} times")
print(f"a step takes {np.median(iterations):.0f} iterations and {np.median(seconds):.4f} CPU s")

# %%
# Three moments, and what the solves took. The divergence that is left is the residual of the last system.
figure, axes = plt.subplots(1, 4, figsize=(12, 4.2), width_ratios=[1, 1, 1, 1.2], layout="constrained")
for axis, (time, smoke) in zip(axes[:3], frames, strict=True):
    axis.imshow(smoke.T, origin="lower", extent=(0, 1, 0, 1.5), cmap="magma_r", vmin=0, vmax=1)
    axis.set_title(f"t = {time:.2f}")
    axis.set_facecolor("0.6")
    axis.set_xticks([])
    axis.set_yticks([])
axes[3].plot(iterations, ".", markersize=4)
axes[3].set_ylim(bottom=0)
axes[3].set_xlabel("time step")
axes[3].set_title("iterations to 1e-6")
print(f"largest divergence {abs(plume.divergence(state)).max():.1e}")
plt.show()
