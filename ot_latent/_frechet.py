"""Frechet distance between sets of features (Heusel et al. 2017): FID under any scorer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import linalg, stats

from ot_latent._features import FeatureStatistics, feature_rows
from ot_latent._roots import covariance_root


def frechet_distance(first, second) -> float:
    """Squared Frechet distance between Gaussian fits of two sets of features (Heusel et al. 2017).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^{1/2} C2 C1^{1/2})^{1/2}), by symmetric eigenvalues, so that
    singular covariances are harmless. It is biased upwards by about a constant over n, also between
    sets of one law: compare distances at the same n only, or see `frechet_bias`.

    Parameters
    ----------
    first, second : (n, d) and (m, d), or FeatureStatistics
        Features, or their moments where they came chunk by chunk.

    Raises
    ------
    ValueError
        If features are not finite, not of one dimension d, or fewer than two.
    """
    first, second = _moments(first, "first"), _moments(second, "second")
    m1, m2, c1, c2 = first.mean, second.mean, first.covariance, second.covariance
    if m1.shape != m2.shape:
        raise ValueError(
            f"first and second must have one number of features, got {len(m1)} and {len(m2)}"
        )
    root = covariance_root(c1)
    cross = np.sqrt(linalg.eigvalsh(root @ c2 @ root).clip(min=0)).sum()
    return float(((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross)


def _moments(features, name: str) -> FeatureStatistics:
    if isinstance(features, FeatureStatistics):
        return features
    return FeatureStatistics.of(feature_rows(features, name))


def frechet_interval(
    samples: np.ndarray, reference: np.ndarray, blocks: int = 20
) -> tuple[float, float]:
    """95 % interval of `frechet_distance` over the draw of the samples, for a fixed reference.

    By the jackknife that leaves one block of samples out at a time. The bias at n samples, about the
    same for all sets of the same size, is not removed.

    Parameters
    ----------
    samples, reference : (n, d) and (m, d)
    """
    # every 20th sample is a block: data sets are often ordered, blocks must not be
    block = np.arange(len(samples)) % blocks
    fixed = _moments(reference, "reference")
    values = [frechet_distance(samples[block != left_out], fixed) for left_out in range(blocks)]
    error = math.sqrt((blocks - 1) ** 2 / blocks * np.var(values, ddof=1))
    half = float(stats.t.isf(0.025, blocks - 1)) * error
    value = frechet_distance(samples, fixed)
    return value - half, value + half


class FrechetBias(NamedTuple):
    """A Frechet distance, its bias at the number of samples given, and the distance without it."""

    distance: float
    bias: float
    at_infinity: float


def frechet_bias(samples, reference, parts: int = 5, rng: int = 0) -> FrechetBias:
    """How much of `frechet_distance` is due to the finite number of samples.

    The distance from n samples is that from infinitely many plus about a constant over n. The
    samples are shuffled and dealt into 1, 2, ..., `parts` parts; the mean distance of the parts of
    each size is fitted by a line in one over the size, whose value at 0 is the distance without bias
    (FID-infinity). Chong and Forsyth draw subsets instead; parts of one deal overlap less.

    The bias of the reference stays, for it is the same for all that is compared with it.

    Parameters
    ----------
    samples : (n, d)
        n at least 2 d `parts`: in smaller parts the bias is no longer a constant over n.
    reference : (m, d) or FeatureStatistics
    parts : int >= 2
    rng : int

    Raises
    ------
    ValueError
        If the parts would be too small.

    References
    ----------
    Chong and Forsyth (2020), Effectively unbiased FID and Inception Score.
    """
    samples = feature_rows(samples, "samples")
    n, d = samples.shape
    if parts < 2 or n < 2 * d * parts:
        raise ValueError(
            f"parts must be at least 2 and samples at least 2 d parts = {2 * d * parts}, got "
            f"parts = {parts} and {n} samples of d = {d}"
        )
    fixed = _moments(reference, "reference")
    order = np.random.default_rng(rng).permutation(n)
    counts = np.arange(1, parts + 1)
    means = [
        np.mean([frechet_distance(samples[part], fixed) for part in np.array_split(order, count)])
        for count in counts
    ]
    slope, at_infinity = np.polyfit(counts, means, 1)
    distance = float(means[0])
    return FrechetBias(distance, distance - float(at_infinity), float(at_infinity))
