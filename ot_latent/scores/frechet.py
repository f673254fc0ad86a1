"""Fréchet distance (FID) between two sets of features, with its interval and its bias.

Mean and covariance are all that it needs: `FeatureStatistics` gathers them chunk by chunk.
"""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, stats

from ot_latent import _arrays
from ot_latent.priors.laws import ByValue

_BLOCKS = 20  # of the jackknife: the quantile of its t distribution is 2.09 then, near the 1.96 of many


def feature_rows(x: ArrayLike, name: str, like: np.ndarray | None = None) -> np.ndarray:
    """`x` as float64 of shape (n, d), finite, with as many columns as `like`.

    Raises
    ------
    ValueError
        If it is anything else.
    TypeError
        As `_arrays.real_numbers`.
    """
    x = _arrays.real_numbers(x, name)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{name} must have shape (n, d), got {x.shape}")
    if like is not None and x.shape[1] != like.shape[1]:
        raise ValueError(
            f"{name} must have {like.shape[1]} columns like the other set, got {x.shape[1]}: "
            "both must be features under one scorer, or codes of one encoder"
        )
    if not np.isfinite(x).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return x


class FeatureStatistics(ByValue):
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
        self.count, d = 0, _arrays.count(d, "d")
        self.mean: np.ndarray = np.zeros(d)
        self.scatter: np.ndarray = np.zeros((d, d))

    @classmethod
    def of(cls, features: ArrayLike) -> "FeatureStatistics":
        """The moments of a whole set, (n, d)."""
        return cls._of_rows(feature_rows(features, "features"))

    @classmethod
    def _of_rows(cls, rows: np.ndarray) -> "FeatureStatistics":
        moments = cls(rows.shape[1])
        moments.count, moments.mean = len(rows), rows.mean(0)
        centred = rows - moments.mean
        moments.scatter = centred.T @ centred
        return moments

    @classmethod
    def from_moments(cls, count: int, mean: ArrayLike, covariance: ArrayLike) -> "FeatureStatistics":
        """From the number of rows, their mean (d,), and their unbiased covariance (d, d)."""
        _arrays.count(count, "count", 2)
        scatter = (count - 1) * feature_rows(covariance, "covariance")
        moments = cls(len(scatter))
        if scatter.shape != moments.scatter.shape:
            raise ValueError(f"covariance must have shape (d, d), got {scatter.shape}")
        moments.count, moments.mean, moments.scatter = count, feature_rows([mean], "mean", scatter)[0], scatter
        return moments

    def update(self, features: ArrayLike) -> None:
        """Take in one more chunk, (rows, d)."""
        self.merge(FeatureStatistics._of_rows(feature_rows(features, "features", self.scatter)))

    def merge(self, other: "FeatureStatistics") -> None:
        """Take in all that `other` has seen."""
        if not isinstance(other, FeatureStatistics):
            raise TypeError(f"other must be a FeatureStatistics, got {other!r}")
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

    ‖m1 - m2‖² + tr C1 + tr C2 - 2 Σ σ, with σ the singular values of A1 A2ᵀ where C = Aᵀ A; their sum is the
    trace of (C1^{1/2} C2 C1^{1/2})^{1/2}. No root is taken of a rounding error, so that singular covariances,
    those of fewer rows than features among them, are harmless: the error is about 1e-15 d times the largest
    variance. The distance is biased upwards by about a constant over n, also between sets of one law:
    compare distances at the same n only, or see `frechet_bias`.

    Parameters
    ----------
    first, second : (n, d) and (m, d), or FeatureStatistics
        Features, or their moments where they came chunk by chunk.

    Raises
    ------
    ValueError
        If features are not finite, not of one dimension d, or fewer than two.
    TypeError
        If they are no real numbers.

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
    if one.mean.shape != two.mean.shape:
        raise ValueError(f"first and second must have one number of features, got {len(one.mean)} and {len(two.mean)}")
    return _between(one, two, _factor(two.covariance))


def _between(one: FeatureStatistics, two: FeatureStatistics, factor: np.ndarray) -> float:
    """The distance, given the factor of the second covariance."""
    cross = linalg.svdvals(_factor(one.covariance) @ factor.T).sum()
    return _distance(one.mean, np.trace(one.covariance), two, cross)


def _distance(mean: np.ndarray, trace: float, two: FeatureStatistics, cross: float) -> float:
    return max(float(((mean - two.mean) ** 2).sum() + trace + np.trace(two.covariance) - 2 * cross), 0.0)


def _factor(covariance: np.ndarray) -> np.ndarray:
    """A (rank, d) with Aᵀ A the covariance: Cholesky's, pivoted, which stops at the rank that rounding leaves."""
    lower, pivots, rank, _ = linalg.lapack.dpstrf(covariance, lower=1)
    factor = np.zeros((rank, len(covariance)))
    factor[:, pivots - 1] = np.tril(lower)[:, :rank].T
    return factor


def _moments(features: Features, name: str) -> FeatureStatistics:
    if isinstance(features, FeatureStatistics):
        return features
    return FeatureStatistics.of(feature_rows(features, name))


def frechet_interval(samples: ArrayLike, reference: Features) -> tuple[float, float]:
    """95 % interval of `frechet_distance` over the draw of the samples, for a fixed reference.

    By the jackknife that leaves one block of samples out at a time. The bias at n samples, about the
    same for all sets of the same size, is not removed. Both covariances are decomposed once; each of the 20
    blocks costs the eigenvalues alone of a matrix of side min(n, d). Their roots, of which the half width is
    made, err by up to 1e-8 of the largest variance each.

    Parameters
    ----------
    samples : (n, d)
        n at least 20, one for each block.
    reference : (m, d) or FeatureStatistics

    Raises
    ------
    ValueError, TypeError
        As `frechet_distance`.

    References
    ----------
    Efron and Stein (1981), The jackknife estimate of variance. A bootstrap will not do: samples drawn
    again with replacement double the bias, so that their distances lie above the one to be judged.
    """
    fixed = _moments(reference, "reference")
    rows = feature_rows(samples, "samples", fixed.scatter)
    if (n := len(rows)) < _BLOCKS:
        raise ValueError(f"samples must hold a row or more for each of {_BLOCKS} blocks, got {n} rows")
    factor, total = _factor(fixed.covariance), FeatureStatistics.of(rows)
    value, rows = _between(total, fixed, factor), rows - total.mean
    seen = rows @ factor.T  # the sum of singular values is that of these rows, and of their triangular factor
    seen = linalg.qr(seen.T, mode="r")[0][:n].T if n < len(factor) else seen
    gram, squares, values = seen.T @ seen, (rows**2).sum(1), []
    for left_out in (np.arange(n) % _BLOCKS == block for block in range(_BLOCKS)):
        # every 20th sample is a block: data sets are often ordered, blocks must not be
        out, many = seen[left_out], n - left_out.sum()
        mean, step = -rows[left_out].sum(0) / many, -out.sum(0) / many
        roots = np.sqrt(linalg.eigvalsh(gram - out.T @ out - many * np.outer(step, step)).clip(min=0))
        trace = (squares[~left_out].sum() - many * mean @ mean) / (many - 1)
        values.append(_distance(total.mean + mean, trace, fixed, roots.sum() / math.sqrt(many - 1)))
    error = math.sqrt((_BLOCKS - 1) ** 2 / _BLOCKS * np.var(values, ddof=1))
    half = float(stats.t.isf(0.025, _BLOCKS - 1)) * error
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
    _arrays.count(parts, "parts", 2)
    if n < 2 * d * parts:
        raise ValueError(f"samples must be at least 2 d parts = {2 * d * parts}, got {n} of d = {d}")
    fixed = _moments(reference, "reference")
    factor = _factor(fixed.covariance)
    order = np.random.default_rng(_arrays.count(rng, "rng", 0)).permutation(n)
    counts = np.arange(1, parts + 1)
    deals = (np.array_split(order, count) for count in counts)
    means = [
        float(np.mean([_between(FeatureStatistics.of(rows[part]), fixed, factor) for part in deal])) for deal in deals
    ]
    at_infinity = float(np.polyfit(counts, means, 1)[1])
    return FrechetBias(means[0], means[0] - at_infinity, at_infinity)
