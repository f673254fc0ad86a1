"""Gaussian priors of whole points, whose coordinates depend on each other."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from array_api_compat import is_torch_array
from scipy import linalg

from ot_latent._arrays import Array, Seed, as_floating, cast_like, conform, draw, generator, parameter
from ot_latent.monotone import ScaledMap
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.laws import (
    ByValue,
    check_weights,
    laws_of,
    require_coordinates,
    require_no_gradient,
    shape_of_points,
    size_of_sum,
    weights_of_points,
)


class MultivariateGaussian(ByValue):
    """The normal law N(mean, covariance) of points in R^d.

    The weighted sum of independent points is normal, too, with ‖w‖² times the covariance, so that the optimal map
    back divides by ‖w‖ about the means; nothing has to be whitened. Noise of another covariance may be added
    (`vicinity(noise_law=)`, `sum_law`).

    Parameters
    ----------
    mean : float or (d,)
    covariance : (d, d)
        Symmetric and positive definite.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the covariance is not symmetric and positive definite.

    Examples
    --------
    >>> from ot_latent import check_prior, interpolate
    >>> prior = MultivariateGaussian(0, [[2, 1], [1, 2]])
    >>> z1, z2 = prior.sample((2, 1000, 2), rng=0)
    >>> [check_prior(interpolate(z1, z2, 0.5, p), prior).ok for p in (None, prior)]
    [False, True]
    """

    of_whole_points: ClassVar[bool] = True
    takes_other_laws: ClassVar[bool] = True
    takes_correlation: ClassVar[bool] = True
    elementwise_weights: ClassVar[float] = math.inf
    support: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def __init__(self, mean: Array, covariance: Array) -> None:
        self.mean, self.covariance = mean_and_covariance(mean, covariance, "covariance")
        self.d = len(self.mean)
        self.size: Any = 1.0  # of a sum: its covariance is size² times this

    def __repr__(self) -> str:
        return f"MultivariateGaussian(d={self.d})"

    medians = property(lambda self: self.mean, doc="Of the coordinates: (d,).")

    def sample(self, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
        """Independent draws, `shape` ending in d; see `Uniform.sample`."""
        draws = draw("normal", shape_of_points(shape, self.d), generator(rng, like), like)
        mean, root = conform(draws, self.mean, self.size * covariance_root(self.covariance))
        return cast_like(mean + draws @ root, like)

    def combine(
        self, weights: Array, laws: Sequence[Any] | None = None, correlation: Any = None
    ) -> "MultivariateGaussian":
        """The law of w_1 z_1 + ... + w_k z_k.

        Parameters
        ----------
        weights
            As of `Radial.combine`, which also says what is raised.
        laws : sequence of k laws, optional
            Of the points, where some are noise, `Gaussian` or of this class; weights then have shape (k,).
        correlation : float or array (k, k), optional
            Of every coordinate of two points, see `Gaussian.combine`.
        """
        weights = check_weights(weights)
        if laws is not None:
            return self._sum_of(weights, laws)
        if weights.ndim > 1:
            weights_of_points(weights, self)
        mean, size = conform(weights, self.mean, self.size) if is_torch_array(weights) else (self.mean, self.size)
        return self._with(sum(weights) * mean, size_of_sum(weights, correlation) * size)

    def _with(self, mean: Any, size: Any, covariance: np.ndarray | None = None) -> "MultivariateGaussian":
        law = MultivariateGaussian.__new__(MultivariateGaussian)
        law.d, law.mean, law.size = self.d, mean, size
        law.covariance = self.covariance if covariance is None else covariance
        return law

    def _sum_of(self, weights: Array, laws: Sequence[Any]) -> "MultivariateGaussian":
        if weights.ndim > 1:
            what = "weights must be one number for each law where laws differ"
            raise ValueError(f"{what}, got shape {tuple(weights.shape)}")
        require_no_gradient(weights, "a map is computed")
        mean, covariance = np.zeros(self.d), np.zeros((self.d, self.d))
        for w, law in zip(map(float, weights), laws_of(laws, len(weights)), strict=True):
            if not isinstance(law, Gaussian | MultivariateGaussian):
                raise TypeError(f"laws must be Gaussian where one is a MultivariateGaussian, got {law!r}")
            alone = not isinstance(law, MultivariateGaussian)
            own = np.diag(np.zeros(self.d) + law.var) if alone else law.size**2 * law.covariance
            mean, covariance = mean + w * law.mean, covariance + w**2 * own
        return self._with(mean, 1.0, covariance)

    def map_to(self, target: "MultivariateGaussian") -> Any:
        """The optimal map onto another such law: for `monotone_map`, which asks for it."""
        if not isinstance(target, MultivariateGaussian) or target.d != self.d:
            raise TypeError(f"target must be a MultivariateGaussian of {self.d} coordinates, got {target!r}")
        if np.array_equal(self.covariance, target.covariance):
            mean, size = conform(self.mean, target.mean, target.size)
            return _Scaling(self, target, (self.mean, self.size), (mean, size))
        return LinearMap(self, target)

    def whitened(self, values: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, Gaussian]:
        """Points, and the law of their coordinates if `values` follow this one, with errors of variance `lost`."""
        covariance = self.size**2 * self.covariance + np.diag(lost)
        return (values - self.mean) @ np.linalg.inv(covariance_root(covariance)), Gaussian()


class _Scaling(ScaledMap):
    """Between laws whose covariances are multiples of each other."""

    def shifted(self, x: Array) -> Array:
        require_coordinates(x, self.target.d)
        return super().shifted(x)


class LinearMap(ByValue):
    """The optimal map between two normal laws, T(y) = m + A (y - m_y), A by `gaussian_map`: (..., d) -> (..., d)."""

    def __init__(self, source: MultivariateGaussian, target: MultivariateGaussian) -> None:
        self.source, self.target = source, target
        self.matrix = gaussian_map(source.size**2 * source.covariance, target.size**2 * target.covariance)

    def __call__(self, y: Array) -> Array:
        y = as_floating(y, "y")
        require_coordinates(y, self.target.d)
        matrix, start, goal = conform(y, self.matrix, self.source.mean, self.target.mean)
        return goal + (y - start) @ matrix


def mean_and_covariance(mean: Array, covariance: Array, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Both in double precision, checked: (d,) and (d, d); `name` is that of the user's argument for the latter."""
    covariance = np.asarray(parameter(covariance, name), dtype=float)
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1] or not covariance.size:
        raise ValueError(f"{name} must have shape (d, d), got {covariance.shape}")
    d, mean = len(covariance), np.asarray(parameter(mean, "mean"), dtype=float)
    if mean.shape not in ((), (d,)):
        raise ValueError(f"mean must be a number or have shape ({d},), got {mean.shape}")
    if not np.allclose(covariance, covariance.T, rtol=1e-6, atol=1e-12 * abs(covariance).max()):
        raise ValueError(f"{name} must be symmetric")
    values = np.linalg.eigvalsh(covariance)
    if not values[0] > 1e-12 * abs(values[-1]):
        found = f"got eigenvalues from {values[0]:.3g} to {values[-1]:.3g}"
        raise ValueError(f"{name} must be positive definite, {found}: take coordinates of a subspace")
    return np.broadcast_to(mean, (d,)).copy(), (covariance + covariance.T) / 2


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


def gaussian_map(start: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """A of the optimal map from N(0, start) to N(0, goal): (d, d), (d, d) -> (d, d).

    A = C^½ (C^½ S C^½)^-½ C^½ has no negative eigenvalues and is symmetric: the gradient of a convex function.

    References
    ----------
    Dowson and Landau (1982), The Fréchet distance between multivariate normal distributions.
    """
    root = covariance_root(goal)
    return root @ np.linalg.pinv(covariance_root(root @ start @ root), hermitian=True) @ root
