"""Point sets of the papers that are drawn, not read."""

import numpy as np

from ot_latent._arrays import count, generator

_DIAGONAL = 10 / np.sqrt(2)
#: Centres of the eight Gaussians, (8, 2), in the order in which Liu 2018 (section 4.1) prints them.
EIGHT_CENTERS = np.array(
    [(10, 0), (-10, 0), (0, 10), (0, -10)] + [(a * _DIAGONAL, b * _DIAGONAL) for a in (1, -1) for b in (1, -1)]
)
#: Centres of the 25 Gaussians of `gaussian_grid`, (25, 2).
GRID_CENTERS = np.array([(x, y) for x in range(-2, 3) for y in range(-2, 3)], dtype=float)


def eight_gaussians(n: int, rng: int | np.random.Generator = 0) -> np.ndarray:
    """Liu 2018's toy data: equal numbers of points from eight unit Gaussians on a circle of radius 10.

    Parameters
    ----------
    n : int
        Number of points, a multiple of 8; the paper takes 256.

    Returns
    -------
    (n, 2) float64, mode after mode in the order of `EIGHT_CENTERS`.

    Examples
    --------
    >>> eight_gaussians(256).shape
    (256, 2)
    """
    return _around(EIGHT_CENTERS, 1.0, n, rng)


def gaussian_grid(n: int, rng: int | np.random.Generator = 0) -> np.ndarray:
    """Equal numbers of points from 25 Gaussians of deviation 0.05 on the grid {-2, -1, 0, 1, 2}².

    Parameters
    ----------
    n : int
        Number of points, a multiple of 25.

    Returns
    -------
    (n, 2) float64, mode after mode in the order of `GRID_CENTERS`.

    Examples
    --------
    >>> gaussian_grid(100).shape
    (100, 2)
    """
    return _around(GRID_CENTERS, 0.05, n, rng)


def _around(centers: np.ndarray, deviation: float, n: int, rng: int | np.random.Generator) -> np.ndarray:
    """Equal numbers of points from Gaussians about the centres."""
    modes = len(centers)
    count(n, "n")
    if n % modes:
        raise ValueError(f"n must be a positive multiple of {modes} (equal shares of the modes), got {n}")
    points = np.repeat(centers, n // modes, axis=0)
    return points + deviation * generator(rng).standard_normal(points.shape)


def swiss_roll(n: int, rng: int | np.random.Generator = 0) -> np.ndarray:
    """A spiral of one and a half turns in the plane, radius 0.5 to 2, with noise of deviation 0.05.

    Returns
    -------
    (n, 2) float64

    Examples
    --------
    >>> swiss_roll(100).shape
    (100, 2)
    """
    count(n, "n")
    rng = generator(rng)
    turn = rng.random(n)
    radius, angle = 0.5 + 1.5 * turn, 3 * np.pi * turn
    spiral = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return spiral + 0.05 * rng.standard_normal((n, 2))
