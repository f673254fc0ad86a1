"""Gaussian priors of whole points, whose coordinates depend on each other."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace, is_torch_array
from scipy import special, stats

from ot_latent._arrays import Array, Seed, as_floating, cast_like, conform, covariance_root, draw, generator, parameter
from ot_latent.monotone import ScaledMap
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.laws import ByValue, check_weights, shape_of_points, weights_of_points


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
    elementwise_weights: ClassVar[float] = math.inf
    support: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def __init__(self, mean: Array, covariance: Array) -> None:
        covariance = np.asarray(parameter(covariance, "covariance"), dtype=float)
        if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1] or not covariance.size:
            raise ValueError(f"covariance must have shape (d, d), got {covariance.shape}")
        self.d = len(covariance)
        mean = np.asarray(parameter(mean, "mean"), dtype=float)
        if mean.shape not in ((), (self.d,)):
            raise ValueError(f"mean must be a number or have shape ({self.d},), got {mean.shape}")
        if not np.allclose(covariance, covariance.T, rtol=1e-6, atol=1e-12 * abs(covariance).max()):
            raise ValueError("covariance must be symmetric")
        values = np.linalg.eigvalsh(covariance)
        if not values[0] > 1e-12 * abs(values[-1]):
            raise ValueError(
                f"covariance must be positive definite, got eigenvalues from {values[0]:.3g} to {values[-1]:.3g}: for "
                "points in a subspace take coordinates of it"
            )
        self.mean, self.covariance = np.broadcast_to(mean, (self.d,)).copy(), (covariance + covariance.T) / 2
        self.size: Any = 1.0  # of a sum: its covariance is size² times this

    def __repr__(self) -> str:
        return f"MultivariateGaussian(d={self.d})"

    @property
    def medians(self) -> np.ndarray:
        """Of the coordinates: (d,)."""
        return self.mean

    def sample(self, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
        """Independent draws, `shape` ending in d; see `Uniform.sample`."""
        draws = draw("normal", shape_of_points(shape, self.d), generator(rng, like), like)
        mean, root = conform(draws, self.mean, self.size * covariance_root(self.covariance))
        return cast_like(mean + draws @ root, like)

    def combine(self, weights: Array) -> "MultivariateGaussian":
        """The law of w_1 z_1 + ... + w_k z_k.

        Parameters
        ----------
        weights : array (k,) or (k, ..., 1)
            Any finite real weights, not all zero; one for each point.

        Raises
        ------
        ValueError
            If weights differ along the last axis, that of the coordinates.
        """
        weights = check_weights(weights)
        if weights.ndim > 1:
            weights_of_points(weights, self)
        total, norm = sum(weights), sum(w * w for w in weights) ** 0.5
        mean, size = conform(weights, self.mean, self.size) if is_torch_array(weights) else (self.mean, self.size)
        return self._with(total * mean, norm * size)

    def _with(self, mean: Any, size: Any, covariance: np.ndarray | None = None) -> "MultivariateGaussian":
        law = MultivariateGaussian.__new__(MultivariateGaussian)
        law.d, law.mean, law.size = self.d, mean, size
        law.covariance = self.covariance if covariance is None else covariance
        return law

    def plus(self, weights: Sequence[float], laws: Sequence[Any]) -> "MultivariateGaussian":
        """The law of Σ w_i z_i for independent points of these laws, `Gaussian` ones or of this class."""
        mean, covariance = np.zeros(self.d), np.zeros((self.d, self.d))
        for w, law in zip(weights, laws, strict=True):
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
        if self.covariance is target.covariance or np.array_equal(self.covariance, target.covariance):
            goal = conform(self.mean, target.mean, target.size)
            return _Scaling(self, target, (self.mean, self.size), (goal[0], goal[1]))
        return LinearMap(self, target)

    def departure(self, values: np.ndarray) -> tuple[float, float, np.ndarray]:
        """What `check_prior` asks: p-values of the whitened coordinates and of their norms, and their squares."""
        inverse = np.linalg.inv(self.size * covariance_root(self.covariance))
        squares = (white := (values - self.mean) @ inverse) ** 2
        coordinates = stats.kstest(special.ndtr(white).ravel(), "uniform").pvalue
        return coordinates, stats.kstest(squares.sum(1), stats.chi2(self.d).cdf).pvalue, squares


class _Scaling(ScaledMap):
    """Between laws whose covariances are multiples of each other."""

    def shifted(self, x: Array) -> Array:
        _require_coordinates(x, self.target.d)
        return super().shifted(x)


class LinearMap:
    """The optimal map between two normal laws, T(y) = m + A (y - m_y): (..., d) -> (..., d).

    A = C^½ (C^½ C_y C^½)^-½ C^½ is symmetric and positive definite, T the gradient of a convex function.

    References
    ----------
    Dowson and Landau (1982), The Fréchet distance between multivariate normal distributions.
    """

    def __init__(self, source: MultivariateGaussian, target: MultivariateGaussian) -> None:
        self.source, self.target = source, target
        root = covariance_root(target.size**2 * target.covariance)
        inner = covariance_root(root @ (source.size**2 * source.covariance) @ root)
        self.matrix = root @ np.linalg.solve(inner, root)

    def __call__(self, y: Array) -> Array:
        y = as_floating(y, "y")
        _require_coordinates(y, self.target.d)
        matrix, start, goal = conform(y, self.matrix, self.source.mean, self.target.mean)
        return array_namespace(y).astype(goal + (y - start) @ matrix, y.dtype, copy=False)


def _require_coordinates(x: Array, d: int) -> None:
    if x.shape[-1:] != (d,):
        what = f"points must have {d} coordinates along the last axis, as the prior has"
        raise ValueError(f"{what}, got shape {tuple(x.shape)}")
