"""Elliptical priors: rotationally symmetric ones in the coordinates of a scatter matrix."""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace, is_torch_array

from ot_latent._arrays import Array, Seed, as_floating, at_least_single, cast_like, conform, generator
from ot_latent.monotone import monotone_map
from ot_latent.priors.laws import ByValue, check_weights, require_coordinates, require_no_gradient
from ot_latent.priors.multivariate import covariance_root, mean_and_covariance
from ot_latent.priors.numerical.norms import NormOfStudent
from ot_latent.priors.numerical.tabulation import tabulate
from ot_latent.priors.radial import Radial


class Elliptical(ByValue):
    """The law of m + C^½ z, where z follows a rotationally symmetric law: Student's, a ball's or any other.

    The weighted sum of independent points has such a law with the same C, and the norm of the weighted sum of the z.
    The map back is that of `radial` in the coordinates C^-½ (x - m). It restores the law and, of all maps that do,
    changes points least where lengths are measured in these coordinates. Where it is a scaling about the means, as
    for Cauchy's law and the normal one, it is also the optimal map for Euclidean lengths.

    Parameters
    ----------
    radial : Radial
        The law of z: `Radial`, `Ball` or `Sphere`.
    mean : float or (d,)
        The centre m, which is also the mean where there is one.
    scatter : (d, d)
        C, symmetric and positive definite: the covariance where E ‖z‖² = d.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the scatter is not symmetric and positive definite.

    References
    ----------
    Fang, Kotz and Ng (1990), Symmetric Multivariate and Related Distributions, Theorem 2.18.

    Examples
    --------
    >>> from ot_latent import Ball, check_prior, interpolate
    >>> prior = Elliptical(Ball(2), 0, [[2, 1], [1, 2]])
    >>> z1, z2 = prior.sample((2, 1000, 2), rng=0)
    >>> [check_prior(interpolate(z1, z2, 0.5, p), prior).ok for p in (None, prior)]
    [False, True]
    """

    of_whole_points: ClassVar[bool] = True

    def __init__(self, radial: Radial, mean: Array, scatter: Array) -> None:
        if not isinstance(radial, Radial):
            raise TypeError(f"radial must be a Radial prior, a Ball or a Sphere, got {radial!r}")
        mean, scatter = mean_and_covariance(mean, scatter, "scatter")
        if len(mean) != radial.d:
            raise ValueError(f"scatter must have shape ({radial.d}, {radial.d}), as radial has d, got {scatter.shape}")
        self._set(radial, mean, scatter)

    def _set(self, radial: Radial, mean: np.ndarray, scatter: np.ndarray) -> "Elliptical":
        self.d, self.radial, self.mean, self.scatter = radial.d, radial, mean, scatter
        return self

    def __repr__(self) -> str:
        return f"Elliptical({self.radial!r})"

    medians = property(lambda self: self.mean, doc="Of the coordinates: (d,).")

    @functools.cached_property
    def root(self) -> np.ndarray:
        """C^½: (d, d)"""
        return covariance_root(self.scatter)

    def sample(self, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
        """Independent draws, `shape` ending in d; see `Uniform.sample`."""
        single = None if like is None else at_least_single(as_floating(like, "like"))
        z = self.radial.sample(shape, generator(rng, like), single)
        mean, root = conform(z, self.mean, self.root)
        return cast_like(mean + z @ root, like)

    def combine(self, weights: Array) -> "Elliptical":
        """The law of w_1 z_1 + ... + w_k z_k; see `Radial.combine`."""
        weights = check_weights(weights)
        require_no_gradient(weights, "a law is computed")
        radial = self.radial.combine(weights)
        total = sum(weights.cpu().double().numpy() if is_torch_array(weights) else weights)
        return Elliptical.__new__(Elliptical)._set(radial, total * self.mean, self.scatter)

    def map_to(self, target: Any) -> "EllipticalMap":
        """The map onto such a law of the same scatter: for `monotone_map`, which asks for it."""
        if not isinstance(target, Elliptical) or not np.array_equal(self.scatter, target.scatter):
            raise TypeError(f"target must be an Elliptical prior of the same scatter, got {target!r}")
        return EllipticalMap(self, target)

    def whitened(self, values: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, Radial]:
        """Points, and their law if `values` follow this one, with errors of variance `lost`."""
        return (values - self.mean) @ np.linalg.inv(covariance_root(self.scatter + np.diag(lost))), self.radial


class EllipticalMap(ByValue):
    """T(y) = m + C^½ R(C^-½ (y - m_y)), where R is the map of the radial laws: (..., d) -> (..., d)."""

    def __init__(self, source: Elliptical, target: Elliptical) -> None:
        self.source, self.target = source, target
        self.radial, self.inverse = monotone_map(source.radial, target.radial), np.linalg.inv(target.root)
        self.same = source == target

    def __call__(self, y: Array) -> Array:
        y = as_floating(y, "y")
        require_coordinates(y, self.target.d)
        if self.same:
            return y
        single = at_least_single(y)
        root, inverse, start, goal = conform(single, self.target.root, self.inverse, self.source.mean, self.target.mean)
        return array_namespace(y).astype(goal + self.radial((single - start) @ inverse) @ root, y.dtype, copy=False)


def multivariate_student(df: float, mean: np.ndarray, scatter: np.ndarray) -> Elliptical:
    """Student's law of points, as ``scipy.stats.multivariate_t`` has it."""
    return Elliptical(_radial_student(len(mean), float(df)), mean, scatter)


@functools.lru_cache(maxsize=64)
def _radial_student(d: int, df: float) -> Radial:
    """Kept, and with it the norms of sums."""
    return Radial._of(d, tabulate(NormOfStudent(d, df)), stability=1.0 if df == 1 else None)  # Cauchy's law is stable
