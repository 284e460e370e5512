"""Training of networks, the one place that uses torch: ``pip install 'resolvent[learn]'``.

Everything here can be imported without torch, and says what is missing when it is used. Trained networks run without
it: `resolvent.solvers.load_network`.
"""

from resolvent.solvers.learned.datasets import box_residuals, iterated_residuals, random_residuals
from resolvent.solvers.learned.losses import EnergyLoss, IteratedLoss, ResidualLoss
from resolvent.solvers.learned.training import DirectionTraining

__all__ = [
    "DirectionTraining",
    "EnergyLoss",
    "IteratedLoss",
    "ResidualLoss",
    "box_residuals",
    "iterated_residuals",
    "random_residuals",
]
