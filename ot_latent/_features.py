"""Sets of features: checked, and reduced to their moments chunk by chunk."""

from __future__ import annotations

import numpy as np


def feature_rows(x, name: str, like: np.ndarray | None = None) -> np.ndarray:
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
    mean : (d,)
    scatter : (d, d)
        Sum of (x - mean)(x - mean)^T.

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
        self.count, self.mean, self.scatter = 0, np.zeros(d), np.zeros((d, d))

    @classmethod
    def of(cls, features) -> FeatureStatistics:
        """The moments of a whole set, (n, d)."""
        features = np.asarray(features)
        moments = cls(features.shape[-1])
        moments.update(features)
        return moments

    @classmethod
    def from_moments(cls, count: int, mean, covariance) -> FeatureStatistics:
        """From the number of rows, their mean (d,), and their unbiased covariance (d, d)."""
        mean = np.asarray(mean, dtype=float)
        moments = cls(len(mean))
        moments.count, moments.mean = count, mean
        moments.scatter = (count - 1) * np.asarray(covariance, dtype=float)
        return moments

    def update(self, features) -> None:
        """Take in one more chunk, (rows, d)."""
        features = feature_rows(features, "features", self.scatter)
        chunk = FeatureStatistics(len(self.mean))
        chunk.count, chunk.mean = len(features), features.mean(0)
        centred = features - chunk.mean
        chunk.scatter = centred.T @ centred
        self.merge(chunk)

    def merge(self, other: FeatureStatistics) -> None:
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
