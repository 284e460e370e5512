"""Sparse models with scikit-learn's interface (extra ``estimators``, scikit-learn 1.6 or newer)::

    from resolvent.interop.sklearn import Lasso, LassoCV

    model = Lasso(alpha=0.1).fit(X, y)
    model.coef_, model.intercept_, model.dual_gap_

Objectives, parameters and attributes are those of scikit-learn's estimators of the same name; where there is none, the
class says what is minimised. Each estimator is a loss and a term, and `resolvent.solvers.BlockCoordinateDescent` does
the rest. Means of losses are weighted by ``sample_weight``, whose scale does not matter.
"""

from resolvent.errors import BackendError

try:
    from sklearn.utils.validation import validate_data  # noqa: F401, new in 1.6
except ImportError:
    raise BackendError("the estimators need scikit-learn 1.6 or newer: pip install 'resolvent[estimators]'") from None

from resolvent.interop.sklearn.adaptive import AdaptiveLasso, AdaptiveLassoCV
from resolvent.interop.sklearn.classification import SparseLogisticRegression, SparseLogisticRegressionCV
from resolvent.interop.sklearn.regression import (
    ElasticNet,
    ElasticNetCV,
    GroupLasso,
    GroupLassoCV,
    Lasso,
    LassoCV,
    MultiTaskLasso,
    MultiTaskLassoCV,
    NonNegativeLasso,
    NonNegativeLassoCV,
)

__all__ = [
    "AdaptiveLasso",
    "AdaptiveLassoCV",
    "ElasticNet",
    "ElasticNetCV",
    "GroupLasso",
    "GroupLassoCV",
    "Lasso",
    "LassoCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "NonNegativeLasso",
    "NonNegativeLassoCV",
    "SparseLogisticRegression",
    "SparseLogisticRegressionCV",
]
