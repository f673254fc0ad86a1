"""Priors of all kinds: as this library's own, coordinate by coordinate, and the way back to them."""

import copy
import functools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ot_latent._arrays import Array, Seed, as_floating, as_shape, cast_like, generator, parameter
from ot_latent.monotone import MonotoneMap, map_of_points
from ot_latent.priors.laws import AnyPrior, Law, MapOfSeveral, Prior, SeveralLaws, require_coordinates

# Each weight vector fits into single precision, and so does its inverted scale.
_LARGEST_WEIGHT = 1e30


class Product(SeveralLaws):
    """Independent coordinates, each with a law of its own, along the last axis.

    Operations also take the sequence of laws itself: ``prior=[Uniform(-1, 1), Gaussian(0, 2)]``.

    Parameters
    ----------
    laws : sequence of d laws

    Raises
    ------
    TypeError
        If an entry is not a law with a ``combine``.

    Examples
    --------
    >>> from ot_latent import Gaussian, Uniform
    >>> prior = Product([Uniform(-1, 1), Gaussian(0, 2), Gaussian(0, 2)])
    >>> prior.sample((5, 3), rng=0).shape
    (5, 3)
    """

    def __init__(self, laws: Sequence[Prior]) -> None:
        if not isinstance(laws, Sequence) or isinstance(laws, str):
            raise TypeError(f"laws must be a list of laws, one for each coordinate, got {laws!r}")
        laws = [as_prior(law) for law in laws]
        for law in laws:
            if not isinstance(law, Prior) or np.ndim(law.mean):
                raise TypeError(f"every entry of a sequence of priors must be a law of one coordinate, got {law!r}")
        if not laws:
            raise ValueError("laws must hold at least one law: a prior that is a list has one for each coordinate")
        distinct: list[Any] = []
        for law in laws:
            if law not in distinct:
                distinct.append(law)
        self.d = len(laws)
        self.columns = [np.array([i for i, other in enumerate(laws) if other == law]) for law in distinct]
        self.laws = distinct

    def __repr__(self) -> str:
        return f"Product of {self.d} coordinates with {len(self.laws)} laws"

    def combine(self, weights: Array) -> "Product":
        """The law of w_1 Z_1 + ... + w_k Z_k, again a `Product`; see `Uniform.combine`.

        Parameters
        ----------
        weights : array (k,) or (k, ...)
            Where there are more axes, the last is that of the coordinates: of length d or 1.
        """
        weights = parameter(weights, "weights")
        several = not isinstance(weights, float) and weights.ndim > 1 and weights.shape[-1] > 1
        combined = copy.copy(self)
        parts = zip(self.laws, self.columns, strict=True)
        combined.laws = [law.combine(weights[..., c] if several else weights) for law, c in parts]
        return combined

    def apply(self, functions: Sequence[Callable[[Array], Array]], x: Array) -> Array:
        """``functions[i]`` on the coordinates of law i."""
        x = as_floating(x)
        require_coordinates(x, self.d)
        return self._in_order([f(x[..., columns]) for f, columns in zip(functions, self.columns, strict=True)])

    def _in_order(self, parts: list[Array]) -> Array:
        """Coordinates that were gathered law by law, each at its place again."""
        order = np.argsort(np.concatenate(self.columns))
        return array_namespace(parts[0]).concat(parts, axis=-1)[..., order]

    def spread(self, values: Sequence[Any]) -> np.ndarray:
        """`values`, one for each law, by coordinate, (d,)."""
        by_coordinate = np.empty(self.d)
        for value, columns in zip(values, self.columns, strict=True):
            by_coordinate[columns] = value
        return by_coordinate

    def sample(self, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
        """Independent draws, `shape` ending in d; see `Uniform.sample`."""
        shape = as_shape(shape)
        if shape[-1:] != (self.d,):
            raise ValueError(f"shape must end in {self.d}, one for each law, got {shape}")
        rng = generator(rng, like)
        parts = [law.sample((*shape[:-1], len(c)), rng, like) for law, c in zip(self.laws, self.columns, strict=True)]
        return cast_like(self._in_order(parts), like)

    def map_to(self, target: Any) -> MonotoneMap:
        """The monotone maps onto the laws of another `Product`: for `monotone_map`, which asks for them."""
        return MapOfSeveral(self, target)


def as_prior(prior: AnyPrior, name: str = "prior") -> Any:
    """`prior` as this library's own: a sequence of laws as a `Product`, what has a cdf as a `ScipyPrior`.

    A frozen ``scipy.stats.multivariate_normal`` becomes a `MultivariateGaussian`, ``multivariate_t`` an `Elliptical`.

    Raises
    ------
    TypeError
        If it is neither, nor one of a dozen kinds of torch.distributions, which the message names.
    """
    if isinstance(prior, list | tuple) and prior:
        return Product(prior)
    if not isinstance(prior, type):
        if hasattr(prior, "combine"):
            return prior
        if type(prior).__module__.startswith("torch.distributions"):
            return _from_torch(prior)
        if type(prior).__name__ == "multivariate_normal_frozen":  # scipy hides the class
            return _correlated(prior.mean, prior.cov)
        if type(prior).__name__ == "multivariate_t_frozen":
            from ot_latent.priors.elliptical import multivariate_student

            return multivariate_student(prior.df, prior.loc, prior.shape)
        if hasattr(prior, "cdf") and not isinstance(prior, Law):
            return _tabulated(prior) if isinstance(prior, Hashable) else _tabulated.__wrapped__(prior)
    raise TypeError(
        f"{name} must be a law, such as Gaussian(0, 1), Uniform(-1, 1) or ScipyPrior(scipy.stats.laplace()), "
        f"or a list of one for each coordinate; got {prior!r}"
    )


def map_back(
    weights: Array, prior: Any, count: int, laws: Sequence[Any] | None = None, correlation: Array = None
) -> Any:
    """The map from the law of w_1 z_1 + ... + w_k z_k to the prior, as it is best for `count` numbers.

    Parameters
    ----------
    weights : array (k,) or (k, ...)
    prior : law
    count : int
    laws : sequence of k laws, optional
        Of the z_i, where they do not follow the prior.
    correlation : float or array (k, k), optional
        Of the z_i, where they depend on each other.

    Raises
    ------
    ValueError
        If weights are too large or too small, or points are correlated whose law says no more than that.
    """
    largest = array_namespace(weights).max(abs(weights), axis=0)
    too_small = (largest > 0) & (largest < 1 / _LARGEST_WEIGHT)
    if bool((too_small | (largest > _LARGEST_WEIGHT)).any()):
        raise ValueError(
            f"the largest weight of a matched sum must be between {1 / _LARGEST_WEIGHT:g} and "
            f"{_LARGEST_WEIGHT:g}, got {weights}: multiply all by one number, the result is the same"
        )
    if correlation is not None:
        if laws is not None or not getattr(prior, "takes_correlation", False):
            raise ValueError(
                "correlation is for points that follow one normal law, Gaussian or MultivariateGaussian: of others it "
                f"does not tell the law of a sum. With prior={prior!r}, take points that are independent of each other"
            )
        return map_of_points(prior.combine(weights, correlation=correlation), prior, count)
    if laws is None:
        return map_of_points(prior.combine(weights), prior, count)
    from ot_latent.priors.scipy_prior import sum_law  # here, because sums of one law do without

    return map_of_points(sum_law(laws, weights), prior, count)


@functools.lru_cache(maxsize=64)
def _tabulated(law: Any) -> Any:
    from ot_latent.priors.scipy_prior import ScipyPrior  # here, because most operations do without

    return ScipyPrior(law)


def _correlated(mean: Array, covariance: Array) -> Any:
    from ot_latent.priors.multivariate import MultivariateGaussian

    return MultivariateGaussian(mean, covariance)


def _from_torch(law: Any) -> Any:
    """The same law as one of a distribution of torch."""
    from scipy import stats

    from ot_latent.priors.gaussian import Gaussian
    from ot_latent.priors.uniform import Uniform

    def values(*names: str) -> list[Any]:
        found = [getattr(law, name) for name in names]
        return [value if value.requires_grad else value.tolist() for value in found]

    kinds: dict[str, Callable[[], Any]] = {
        "Normal": lambda: Gaussian(*values("loc", "scale")),
        "Uniform": lambda: Uniform(*values("low", "high")),
        "MultivariateNormal": lambda: _correlated(law.loc, law.covariance_matrix),
        "Independent": lambda: _from_torch(law.base_dist),
        "Laplace": lambda: _tabulated(stats.laplace(*values("loc", "scale"))),
        "Cauchy": lambda: _tabulated(stats.cauchy(*values("loc", "scale"))),
        "Gumbel": lambda: _tabulated(stats.gumbel_r(*values("loc", "scale"))),
        "StudentT": lambda: _tabulated(stats.t(*values("df", "loc", "scale"))),
        "Beta": lambda: _tabulated(stats.beta(*values("concentration1", "concentration0"))),
        "Exponential": lambda: _tabulated(stats.expon(0, 1 / values("rate")[0])),
        "Gamma": lambda: _tabulated(stats.gamma(values("concentration")[0], 0, 1 / values("rate")[0])),
        "LogNormal": lambda: _tabulated(stats.lognorm(values("scale")[0], 0, math.exp(values("loc")[0]))),
    }
    if type(law).__name__ not in kinds:
        raise TypeError(
            f"prior must be a law of this library or one of {', '.join(kinds)}, of torch.distributions, got {law!r}"
        )
    return kinds[type(law).__name__]()
