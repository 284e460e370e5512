"""Solvers: methods as immutable options with `begin` and `step`, and the driver that runs them all."""

from resolvent.solvers.base import Solver, State
from resolvent.solvers.composite import partitions, rules, updates
from resolvent.solvers.composite.block_coordinate_descent import BlockCoordinateDescent
from resolvent.solvers.composite.cross_validation import CrossValidation, cross_validate_path
from resolvent.solvers.composite.group_working_set import GroupWorkingSet
from resolvent.solvers.composite.path import Path, path, weight_grid
from resolvent.solvers.composite.tree_descent import TreeDescent
from resolvent.solvers.composite.tree_sweep import TreeSweep
from resolvent.solvers.composite.working_set import WorkingSet
from resolvent.solvers.linear.algebraic import AlgebraicMultigrid
from resolvent.solvers.linear.conjugate_gradient import ConjugateGradient
from resolvent.solvers.linear.deep_conjugate_direction import DeepConjugateDirection, WatchDog
from resolvent.solvers.linear.factors import Factorisation, IncompleteLU, Jacobi
from resolvent.solvers.linear.flexible_conjugate_gradient import FlexibleConjugateGradient
from resolvent.solvers.linear.geometry_network import GeometryNetwork, LearnedMultigrid
from resolvent.solvers.linear.gmres import GMRES
from resolvent.solvers.linear.hierarchy import Chebyshev, Hierarchy, RedBlack
from resolvent.solvers.linear.minimum_residual import MinimumResidual
from resolvent.solvers.linear.multigrid import Multigrid
from resolvent.solvers.linear.networks import PublishedNetwork, load_network, save_network
from resolvent.solvers.linear.sketch_and_project import Sketch, SketchAndProject
from resolvent.solvers.linear.transform import FastTransform
from resolvent.solvers.nlp.accuracy import Accuracy
from resolvent.solvers.nlp.curvature import Curvature
from resolvent.solvers.nlp.sketched_newton import SketchedNewton

__all__ = [
    "GMRES",
    "Accuracy",
    "AlgebraicMultigrid",
    "BlockCoordinateDescent",
    "Chebyshev",
    "ConjugateGradient",
    "CrossValidation",
    "Curvature",
    "DeepConjugateDirection",
    "Factorisation",
    "FastTransform",
    "FlexibleConjugateGradient",
    "GeometryNetwork",
    "GroupWorkingSet",
    "Hierarchy",
    "IncompleteLU",
    "Jacobi",
    "LearnedMultigrid",
    "MinimumResidual",
    "Multigrid",
    "Path",
    "PublishedNetwork",
    "RedBlack",
    "Sketch",
    "SketchAndProject",
    "SketchedNewton",
    "Solver",
    "State",
    "TreeDescent",
    "TreeSweep",
    "WatchDog",
    "WorkingSet",
    "cross_validate_path",
    "load_network",
    "partitions",
    "path",
    "rules",
    "save_network",
    "updates",
    "weight_grid",
]
