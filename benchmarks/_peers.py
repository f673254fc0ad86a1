"""What people do to combinations of latent points instead of matching them."""

import numpy as np

try:
    from lolatents.lol_numpy import lol_iid
except ImportError:  # `pip install lolatents` adds its rows
    lol_iid = None


def norm_restored(y, zs):
    """`y` with the mean of the norms of the points `zs`, (k, n, d), that it was made of."""
    norms = np.linalg.norm(zs, axis=-1, keepdims=True)
    return y * norms.mean(0) / np.linalg.norm(y, axis=-1, keepdims=True)


def through_copula(zs, weights, cdf, inverse_cdf):
    """Linear combinations of points (k, n, d) through lolatents' Gaussian copula."""
    each = np.tile(weights, (len(zs[0]), 1))
    return lol_iid(w=each, X=np.moveaxis(np.asarray(zs), 0, 1), cdf=cdf, inverse_cdf=inverse_cdf)
