"""Fréchet distance (FID) between two sets of features, with its interval and its bias.

Mean and covariance are all that it needs: `FeatureStatistics` gathers them chunk by chunk.
"""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, stats

from ot_latent._arrays import covariance_root

_BLOCKS = 20  # of the jackknife: the quantile of its t distribution is 2.09 then, near the 1.96 of many


def feature_rows(x: ArrayLike, name: str, like: np.ndarray | None = None) -> np.ndarray:
    """`x` as float64 of shape (n, d), finite, with as many columns as `like`.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    x = np.asarray(x, dtype=float)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{name} must have shape (n, d), got {x.shape}")
    if like is not None and x.shape[1] != like.shape[1]:
        raise ValueError(
            f"{name} must have {like.shape[1]} columns like the other set, got {x.shape[1]}: "
            "both sets must come from one scorer"
        )
    if not np.isfinite(x).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return x


class FeatureStatistics:
    """Mean and covariance of features that come chunk by chunk, in memory that does not grow.

    Parameters
    ----------
    d : int
        Number of features.

    Attributes
    ----------
    count : int
        Rows seen.
    mean : (d,) float64
    scatter : (d, d) float64
        Σ (x - mean)(x - mean)ᵀ.

    References
    ----------
    Chan, Golub and LeVeque (1983), Algorithms for computing the sample variance: the update does not
    lose digits where the mean is large.

    Examples
    --------
    >>> moments = FeatureStatistics(2)
    >>> for chunk in np.split(np.arange(12.0).reshape(6, 2), 3):
    ...     moments.update(chunk)
    >>> moments.mean
    array([5., 6.])
    """

    def __init__(self, d: int) -> None:
        self.count = 0
        self.mean: np.ndarray = np.zeros(d)
        self.scatter: np.ndarray = np.zeros((d, d))

    @classmethod
    def of(cls, features: ArrayLike) -> "FeatureStatistics":
        """The moments of a whole set, (n, d)."""
        features = np.asarray(features)
        moments = cls(features.shape[-1])
        moments.update(features)
        return moments

    @classmethod
    def from_moments(cls, count: int, mean: ArrayLike, covariance: ArrayLike) -> "FeatureStatistics":
        """From the number of rows, their mean (d,), and their unbiased covariance (d, d)."""
        mean = np.asarray(mean, dtype=float)
        moments = cls(len(mean))
        moments.count, moments.mean = count, mean
        moments.scatter = (count - 1) * np.asarray(covariance, dtype=float)
        return moments

    def update(self, features: ArrayLike) -> None:
        """Take in one more chunk, (rows, d)."""
        rows = feature_rows(features, "features", self.scatter)
        chunk = FeatureStatistics(len(self.mean))
        chunk.count, chunk.mean = len(rows), rows.mean(0)
        centred = rows - chunk.mean
        chunk.scatter = centred.T @ centred
        self.merge(chunk)

    def merge(self, other: "FeatureStatistics") -> None:
        """Take in all that `other` has seen."""
        total = self.count + other.count
        if not total:
            return
        step = other.mean - self.mean
        self.scatter += other.scatter
        self.scatter += np.outer(self.count * other.count / total * step, step)
        self.mean = self.mean + other.count / total * step
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance, (d, d).

        Raises
        ------
        ValueError
            If fewer than two rows were seen.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 rows of features, got {self.count}")
        return self.scatter / (self.count - 1)


#: Features (n, d), or their moments where they came chunk by chunk.
Features: TypeAlias = ArrayLike | FeatureStatistics


def frechet_distance(first: Features, second: Features) -> float:
    """Squared Fréchet distance between Gaussian fits of two sets of features (Heusel et al. 2017).

    ‖m1 - m2‖² + tr(C1 + C2 - 2 (C1^{1/2} C2 C1^{1/2})^{1/2}), by symmetric eigenvalues, so that
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

    References
    ----------
    Heusel et al. (2017), GANs trained by a two time-scale update rule converge to a local Nash
    equilibrium, eq. (6). Dowson and Landau (1982): the distance of two Gaussians.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((500, 3))
    >>> round(frechet_distance(x, x + [3, 4, 0]), 6)
    25.0
    """
    one, two = _moments(first, "first"), _moments(second, "second")
    m1, m2, c1, c2 = one.mean, two.mean, one.covariance, two.covariance
    if m1.shape != m2.shape:
        raise ValueError(f"first and second must have one number of features, got {len(m1)} and {len(m2)}")
    root = covariance_root(c1)
    cross = np.sqrt(linalg.eigvalsh(root @ c2 @ root).clip(min=0)).sum()
    return float(((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross)


def _moments(features: Features, name: str) -> FeatureStatistics:
    if isinstance(features, FeatureStatistics):
        return features
    return FeatureStatistics.of(feature_rows(features, name))


def frechet_interval(samples: ArrayLike, reference: Features) -> tuple[float, float]:
    """95 % interval of `frechet_distance` over the draw of the samples, for a fixed reference.

    By the jackknife that leaves one block of samples out at a time. The bias at n samples, about the
    same for all sets of the same size, is not removed.

    Parameters
    ----------
    samples : (n, d)
    reference : (m, d) or FeatureStatistics

    Raises
    ------
    ValueError
        As `frechet_distance`.

    References
    ----------
    Efron and Stein (1981), The jackknife estimate of variance. A bootstrap will not do: samples drawn
    again with replacement double the bias, so that their distances lie above the one to be judged.
    """
    rows, fixed = feature_rows(samples, "samples"), _moments(reference, "reference")
    # every 20th sample is a block: data sets are often ordered, blocks must not be
    block = np.arange(len(rows)) % _BLOCKS
    values = [frechet_distance(rows[block != left_out], fixed) for left_out in range(_BLOCKS)]
    error = math.sqrt((_BLOCKS - 1) ** 2 / _BLOCKS * np.var(values, ddof=1))
    half = float(stats.t.isf(0.025, _BLOCKS - 1)) * error
    value = frechet_distance(rows, fixed)
    return value - half, value + half


class FrechetBias(NamedTuple):
    """A Fréchet distance, its bias at the number of samples given, and the distance without it."""

    distance: float
    bias: float
    at_infinity: float


def frechet_bias(samples: ArrayLike, reference: Features, parts: int = 5, rng: int = 0) -> FrechetBias:
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
    rows = feature_rows(samples, "samples")
    n, d = rows.shape
    if parts < 2 or n < 2 * d * parts:
        raise ValueError(
            f"parts must be at least 2 and samples at least 2 d parts = {2 * d * parts}, got "
            f"parts = {parts} and {n} samples of d = {d}"
        )
    fixed = _moments(reference, "reference")
    order = np.random.default_rng(rng).permutation(n)
    counts = np.arange(1, parts + 1)
    deals = (np.array_split(order, count) for count in counts)
    means = [float(np.mean([frechet_distance(rows[part], fixed) for part in deal])) for deal in deals]
    at_infinity = float(np.polyfit(counts, means, 1)[1])
    return FrechetBias(means[0], means[0] - at_infinity, at_infinity)
