"""Scores by nearest neighbours: precision, recall, density, coverage, memorisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import stats

from ot_latent.scores.frechet import feature_rows

# Bytes of squared distances in memory at a time.
_BYTES = 2**26

# Relative size of rounding errors in squared distances by scalar products, with a margin.
_ROUNDING = 1e-12


def _squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of rows of x to all of y, in pieces of rows: where, (rows, m).

    What cannot be told from 0 is 0, so that copies are at distance 0.
    """
    centre = y.mean(0)  # scalar products lose fewer digits about it
    x, y = x - centre, y - centre
    x2, y2 = (x * x).sum(1)[:, None], (y * y).sum(1)
    rows = max(1, _BYTES // (8 * len(y)))
    for start in range(0, len(x), rows):
        where = slice(start, start + rows)
        sizes = x2[where] + y2
        squares = sizes - 2 * (x[where] @ y.T)
        squares[squares < _ROUNDING * sizes] = 0
        yield where, squares


def nearest_distances(x, reference) -> np.ndarray:
    """Distance of each row of x to the nearest row of the reference.

    Parameters
    ----------
    x, reference : (n, d) and (m, d)

    Returns
    -------
    (n,)
    """
    x = feature_rows(x, "x")
    reference = feature_rows(reference, "reference", x)
    nearest = [squares.min(1) for _, squares in _squared_distances(x, reference)]
    return np.sqrt(np.concatenate(nearest))


class NeighbourScores(NamedTuple):
    """Shares in [0, 1]; density may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def neighbour_scores(samples, reference, k: int = 5) -> NeighbourScores:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

    Each point of a set has a ball that reaches to its k-th neighbour within the set.

    - precision: share of samples in the ball of any reference point; recall: the same with the sets
      exchanged;
    - density: in how many balls of reference points a sample is, on average, over k;
    - coverage: share of reference points whose ball holds a sample.

    All four depend on k and on the sizes of the sets. Of two sets of one law, density is 1 and
    coverage 1 - (1/2)^k or so on average where the sets are large and of one size.

    Parameters
    ----------
    samples, reference : (n, d) and (m, d)
    k : int
        5 as in Naeem et al.; 3 in Kynkaanniemi et al.

    Raises
    ------
    ValueError
        If features are not finite, not of one dimension, or no more than k.
    """
    samples = feature_rows(samples, "samples")
    reference = feature_rows(reference, "reference", samples)
    if not 1 <= k < min(len(samples), len(reference)):
        raise ValueError(
            f"k must be at least 1 and below the sizes of both sets, {len(samples)} and {len(reference)}, got {k}"
        )
    sample_balls, reference_balls = _squared_radii(samples, k), _squared_radii(reference, k)
    in_balls = np.zeros(len(samples))
    recalled, covered = np.zeros((2, len(reference)), dtype=bool)
    for where, squares in _squared_distances(samples, reference):
        inside = squares <= reference_balls
        in_balls[where] = inside.sum(1)
        covered |= inside.any(0)
        recalled |= (squares <= sample_balls[where, None]).any(0)
    return NeighbourScores(
        float((in_balls > 0).mean()), float(recalled.mean()), float(in_balls.mean() / k), float(covered.mean())
    )


def _squared_radii(points: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each point to its k-th neighbour; it is its own 0-th."""
    pieces = _squared_distances(points, points)
    return np.concatenate([np.partition(squares, k, axis=1)[:, k] for _, squares in pieces])


class Memorisation(NamedTuple):
    """Nearest training points of samples and of held-out data, compared."""

    ratio: float
    p_value: float
    samples: float
    held_out: float


def memorisation(samples, training, held_out) -> Memorisation:
    """Are samples closer to the training set than fresh data are?

    A generator that copies its training set has samples at distances near 0 from it. The distances
    of samples to their nearest training points are compared with those of held-out data: by the ratio
    of medians, and by the one-sided Mann-Whitney test (Meehan et al. 2020), whose p-value is small
    where samples are closer. Blurred samples are closer too, without being copies: look at pairs.

    Parameters
    ----------
    samples, training, held_out : (n, d), (m, d) and (l, d)
        Features or pixels, one row an image.

    Returns
    -------
    Memorisation
        ``ratio`` of the median distances, samples over held-out data (NaN where both are 0);
        ``p_value``; both medians.

    Raises
    ------
    ValueError
        If rows are not finite or not of one dimension.

    References
    ----------
    Meehan, Chaudhuri and Dasgupta (2020), A non-parametric test to detect data-copying in generative
    models.
    """
    near = nearest_distances(samples, training)
    fresh = nearest_distances(held_out, training)
    p_value = float(stats.mannwhitneyu(near, fresh, alternative="less").pvalue)
    medians = float(np.median(near)), float(np.median(fresh))
    return Memorisation(ratio_of_medians(near, fresh), p_value, *medians)


def ratio_of_medians(near: np.ndarray, fresh: np.ndarray) -> float:
    """Median of the distances of samples over that of held-out data; NaN where both are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(np.median(near), np.median(fresh)))
