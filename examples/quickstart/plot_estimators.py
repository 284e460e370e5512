"""
The lasso with scikit-learn's interface, and how much of it to believe
======================================================================

Ten measurements of 442 patients, their squares and products, and how far diabetes had gone a year later. `LassoCV`
chooses the weight of the penalty by cross-validation. The fits of the five folds share their sums of products, since
there are many more patients than columns.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from resolvent.interop.sklearn import Lasso, LassoCV

X, y = load_diabetes(return_X_y=True)
columns = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler())
X = columns.fit_transform(X)
model = LassoCV(eps=3e-3).fit(X, y)
print(f"{np.count_nonzero(model.coef_)} of {X.shape[1]} columns at alpha = {model.alpha_:.2f}")
print(f"duality gap {model.dual_gap_:.1e}, objective at zero {np.var(y) / 2:.0f}")

# %%
# The curve of the error is flat around its minimum. The largest alpha within a standard error of it gives a smaller
# model that nobody can tell from the best one by these data.

careful = Lasso(model.alpha_1se_).fit(X, y)
names = columns.get_feature_names_out([f"x{j}" for j in range(10)])
print(f"{np.count_nonzero(careful.coef_)} at alpha = {model.alpha_1se_:.2f}: {', '.join(names[careful.coef_ != 0])}")

# %%
# A fit with ``warm_start=True`` begins at the coefficients of the one before, along the path for example.

lasso = Lasso(tol=1e-10, warm_start=True)
coefficients = np.array([lasso.set_params(alpha=alpha).fit(X, y).coef_ for alpha in model.alphas_])

figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 6.5), sharex=True)
top.plot(model.alphas_, coefficients, linewidth=1.1)
top.set(ylabel="coefficient", title="coefficients, and mean squared error in five folds")
mean, error = model.mse_path_.mean(axis=1), model.mse_path_.std(axis=1, ddof=1) / np.sqrt(5)
bottom.plot(model.alphas_, model.mse_path_, color="0.8", linewidth=0.8)
bottom.plot(model.alphas_, mean, color="C0")
bottom.fill_between(model.alphas_, mean - error, mean + error, color="C0", alpha=0.2, linewidth=0)
bottom.set(xscale="log", xlabel="alpha", ylabel="mean squared error")
for axes in (top, bottom):
    axes.axvline(model.alpha_, color="C3", label="lowest mean")
    axes.axvline(model.alpha_1se_, color="C3", linestyle="--", label="one standard error")
    axes.grid(alpha=0.3)
bottom.legend()
top.invert_xaxis()
figure.tight_layout()
