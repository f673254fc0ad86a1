"""Distances of images: from the training set, whether a generator copies it, what it leaves out; and along paths."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.spatial.distance import cdist

from ot_latent._arrays import real_numbers
from ot_latent.scores.frechet import feature_rows

NEIGHBOURS = 5  # whose distance is the radius of a ball in `coverage_and_density`
_BYTES = 2**26  # of squared distances in memory at a time
_ROUNDING = 1e-12  # relative size of rounding errors in squared distances by scalar products, with a margin


def nearest_distances(x: ArrayLike, reference: ArrayLike) -> np.ndarray:
    """Distance of each row of x to the nearest row of the reference.

    What cannot be told from 0 is 0, so that copies are at distance 0.

    Parameters
    ----------
    x, reference : (n, d) and (m, d)

    Returns
    -------
    (n,) float64

    Raises
    ------
    ValueError
        If rows are not finite or not of one dimension.

    Examples
    --------
    >>> nearest_distances([[0, 0], [3, 4]], [[0, 0], [0, 4]])
    array([0., 3.])
    """
    rows = feature_rows(x, "x")
    return _nearest(rows, feature_rows(reference, "reference", rows))


def _nearest(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    centre = points.mean(0)  # scalar products lose fewer digits about it
    rows, points = rows - centre, points - centre
    lengths, point_lengths = (rows * rows).sum(1)[:, None], (points * points).sum(1)
    nearest = np.empty(len(rows))
    many = max(1, _BYTES // (8 * len(points)))
    for start in range(0, len(rows), many):
        where = slice(start, start + many)
        sizes = lengths[where] + point_lengths
        squares = sizes - 2 * (rows[where] @ points.T)
        squares[squares < _ROUNDING * sizes] = 0
        nearest[where] = squares.min(1)
    return np.sqrt(nearest)


class Memorisation(NamedTuple):
    """Nearest training points of samples and of held-out data, compared.

    Attributes
    ----------
    ratio : float
        Of the median distances, samples over held-out data; NaN where both are 0.
    p_value : float
        Of "samples are no closer than held-out data", one-sided.
    samples, held_out : float
        The median distances.
    """

    ratio: float
    p_value: float
    samples: float
    held_out: float


def memorisation(samples: ArrayLike, training: ArrayLike, held_out: ArrayLike) -> Memorisation:
    """Are samples closer to the training set than fresh data are?

    A generator that copies its training set has samples at distances near 0 from it. The distances
    of samples to their nearest training points are compared with those of held-out data: by the ratio
    of medians, and by the one-sided Mann-Whitney test (Meehan et al. 2020), whose p-value is small
    where samples are closer. Blurred samples are closer too, without being copies: look at pairs.

    Parameters
    ----------
    samples, training, held_out : (n, d), (m, d) and (l, d)
        Features or pixels, one row an image.

    Raises
    ------
    ValueError
        If rows are not finite or not of one dimension.

    References
    ----------
    Meehan, Chaudhuri and Dasgupta (2020), A non-parametric test to detect data-copying in generative
    models.
    """
    rows = feature_rows(samples, "samples")
    known, others = feature_rows(training, "training", rows), feature_rows(held_out, "held_out", rows)
    near, fresh = _nearest(rows, known), _nearest(others, known)
    p_value = float(stats.mannwhitneyu(near, fresh, alternative="less").pvalue)
    medians = float(np.median(near)), float(np.median(fresh))
    return Memorisation(float(ratio_of_medians(near, fresh)), p_value, *medians)


def coverage_and_density(points: ArrayLike, reference: ArrayLike) -> tuple[float, float]:
    """Share of the reference that has points for neighbours, and how many points crowd about it.

    A ball about each row reaches to its fifth neighbour among its own kind. *Coverage* is the share of reference
    rows with a point that is in their ball while they are in that point's. *Density* is the mean number of
    reference balls that a point is in, over 5 (Naeem et al. 2020): 1 for points of the same law, less for strays,
    more for a crowd in the middle.

    Naeem et al. ask for the first half of coverage only. In a hundred dimensions the middle of a cloud is in the
    balls of nearly all its rows: one point there, repeated, would cover everything. The point's own ball says no.

    Parameters
    ----------
    points, reference : (n, d) and (m, d), at least 6 rows
        All n m distances are held at once.

    References
    ----------
    Naeem et al. (2020), Reliable fidelity and diversity metrics for generative models, eqs. (3), (4).

    Examples
    --------
    >>> collapsed, law = 0.01 * np.random.default_rng(0).standard_normal((2, 200, 100)) * [[[1]], [[100]]]
    >>> coverage_and_density(collapsed, law)
    (0.0, 40.0)
    """
    rows = feature_rows(points, "points")
    reference = feature_rows(reference, "reference", rows)
    reach, own = (np.partition(cdist(x, x), NEIGHBOURS, axis=1)[:, NEIGHBOURS] for x in (reference, rows))
    distances = cdist(reference, rows)
    inside = distances <= reach[:, None]
    return float((inside & (distances <= own)).any(1).mean()), float(inside.sum() / (NEIGHBOURS * len(rows)))


def ratio_of_medians(near: np.ndarray, fresh: np.ndarray, axis: int = -1) -> np.ndarray:
    """Median of the distances of samples over that of held-out data; NaN where both are 0.

    Parameters
    ----------
    near, fresh : (..., n) and (..., m)

    Returns
    -------
    (...)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(np.median(near, axis=axis), np.median(fresh, axis=axis))


class PathMetrics(NamedTuple):
    """How evenly paths move, and whether they begin and stop where they should.

    Attributes
    ----------
    variation : float
        Coefficient of variation of the steps of a path, the mean over all paths; 0 where all steps are equal.
    longest : float
        The longest step of a path over its mean step, the mean over all paths; 1 where all steps are equal.
    ends : (float, float)
        The largest distance of a path's first point from its start, and of its last from its goal: 0 where an
        operation leaves its ends as they are.
    """

    variation: float
    longest: float
    ends: tuple[float, float]


def path_metrics(path: ArrayLike, start: ArrayLike, goal: ArrayLike, features: ArrayLike | None = None) -> PathMetrics:
    """Are the steps of paths even, and are their ends the points that were given?

    A step is the distance of two neighbouring frames: in the features of a scorer, how much the image
    changes; without features, how far the latent point moves. A path that does not move at all is even.

    Parameters
    ----------
    path : (frames, n, d)
        Latent points of n paths, two frames or more, as ``interpolate(goal, start, t)`` makes them with t of
        shape (frames, 1, 1) from 0 to 1.
    start, goal : (n, d)
    features : (frames, n, f), optional
        Of the images along the paths: ``scorer.features(images)`` of each frame. Default: the path itself.

    Raises
    ------
    ValueError
        If numbers are not finite or shapes do not agree.

    Examples
    --------
    >>> path = [[[0.0, 0.0]], [[0.0, 1.0]], [[0.0, 4.0]]]
    >>> path_metrics(path, [[0, 0]], [[0, 4]])
    PathMetrics(variation=0.5, longest=1.5, ends=(0.0, 0.0))
    """
    points = _frames(path, "path")
    seen = points if features is None else _frames(features, "features")
    start, goal = feature_rows(start, "start"), feature_rows(goal, "goal")
    if not (points.shape[1:] == start.shape == goal.shape and points.shape[:2] == seen.shape[:2]):
        shapes = points.shape, start.shape, goal.shape, seen.shape
        raise ValueError(f"path, start, goal and features must have frames and points in common, got shapes {shapes}")
    steps = np.linalg.norm(np.diff(seen, axis=0), axis=-1)
    mean = steps.mean(0)
    even = np.divide(steps, mean, out=np.ones_like(steps), where=mean > 0)
    missed = points[[0, -1]] - np.stack([start, goal])
    begins, stops = np.linalg.norm(missed, axis=-1).max(1).tolist()
    return PathMetrics(float(even.std(0).mean()), float(even.max(0).mean()), (begins, stops))


def _frames(x: ArrayLike, name: str) -> np.ndarray:
    x = real_numbers(x, name)
    if x.ndim != 3 or len(x) < 2 or 0 in x.shape or not np.isfinite(x).all():
        raise ValueError(f"{name} must be finite, of shape (frames, n, d) with two frames or more, got {x.shape}")
    return x
