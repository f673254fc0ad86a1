"""The square root of a covariance."""

from __future__ import annotations

import numpy as np
from scipy import linalg


def covariance_root(covariance: np.ndarray, least: float = 0.0) -> np.ndarray:
    """The symmetric root C^{1/2} by eigenvalues, those below ``least`` raised to it: (d, d) -> (d, d).

    It is the optimal map from noise N(0, I) to N(0, C).

    Examples
    --------
    >>> covariance_root(np.diag([4.0, 9.0]))
    array([[2., 0.],
           [0., 3.]])
    """
    values, vectors = linalg.eigh(covariance, driver="evd")
    return vectors * np.sqrt(values.clip(min=least)) @ vectors.T
