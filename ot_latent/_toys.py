"""Point sets of the papers that are drawn, not read."""

from __future__ import annotations

import numpy as np

_DIAGONAL = 10 / np.sqrt(2)
#: Centres of the eight Gaussians, (8, 2), in the order in which Liu 2018 (section 4.1) prints them.
EIGHT_CENTERS = np.array(
    [(10, 0), (-10, 0), (0, 10), (0, -10)]
    + [(a * _DIAGONAL, b * _DIAGONAL) for a in (1, -1) for b in (1, -1)],
)


def eight_gaussians(n: int, rng: int | np.random.Generator = 0) -> np.ndarray:
    """Liu 2018's toy data: equal numbers of points from eight unit Gaussians on a circle of radius 10.

    Parameters
    ----------
    n : int
        Number of points, a multiple of 8; the paper takes 256.
    rng : int or Generator

    Returns
    -------
    (n, 2) float64, mode after mode in the order of `EIGHT_CENTERS`.

    Examples
    --------
    >>> eight_gaussians(256).shape
    (256, 2)
    """
    if n < 8 or n % 8:
        raise ValueError(f"n must be a positive multiple of 8 (equal shares of the modes), got {n}")
    centers = np.repeat(EIGHT_CENTERS, n // 8, axis=0)
    return centers + np.random.default_rng(rng).standard_normal(centers.shape)
