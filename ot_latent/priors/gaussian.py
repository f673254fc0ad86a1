"""The normal law of one latent coordinate."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import scipy.special
from array_api_compat import array_namespace, is_torch_array

from ot_latent._arrays import Array, Seed, cast_like, conform, draw, elementwise, number, parameter, require_positive
from ot_latent.monotone import MonotoneMap, ScaledMap
from ot_latent.priors.laws import ByValue, check_weights, size_of_sum


@dataclass(frozen=True, eq=False)
class Gaussian(ByValue):
    """The normal law N(mean, std²).

    Parameters
    ----------
    mean, std : float or array
        Arrays broadcast against the points: one law per entry.

    Raises
    ------
    ValueError
        If `std` is not positive, or a parameter is not finite.

    Examples
    --------
    >>> Gaussian(0, 1).combine([3, 4])
    Gaussian(mean=0.0, std=5.0)
    """

    mean: Any = 0.0
    std: Any = 1.0

    elementwise_weights: ClassVar[float] = math.inf  # as many as there are
    takes_correlation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", parameter(self.mean, "mean"))
        object.__setattr__(self, "std", parameter(self.std, "std"))
        require_positive(self.std, "std")

    @property
    def var(self) -> Any:
        return self.std**2

    @property
    def support(self) -> tuple[float, float]:
        return -math.inf, math.inf

    def _standardised(self, x: Array) -> Array:
        mean, std = conform(x, self.mean, self.std)
        return (x - mean) / std

    @elementwise
    def pdf(self, x: Array) -> Array:
        u = self._standardised(x)
        (std,) = conform(x, self.std)
        return array_namespace(x).exp(-0.5 * u * u) / (std * math.sqrt(2 * math.pi))

    @elementwise
    def cdf(self, x: Array) -> Array:
        return _normal_tail(-self._standardised(x))

    @elementwise
    def sf(self, x: Array) -> Array:
        return _normal_tail(self._standardised(x))

    @elementwise
    def icdf(self, p: Array) -> Array:
        mean, std = conform(p, self.mean, self.std)
        return mean + std * _special(p).ndtri(p)

    @elementwise
    def isf(self, q: Array) -> Array:
        mean, std = conform(q, self.mean, self.std)
        return mean - std * _special(q).ndtri(q)

    def sample(self, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
        """Independent draws; see `Uniform.sample`."""
        draws = draw("normal", shape, rng, like)
        mean, std = conform(draws, self.mean, self.std)
        return cast_like(mean + std * draws, like)

    def combine(self, weights: Array, correlation: Any = None) -> "Gaussian":
        """The law of w_1 Z_1 + ... + w_k Z_k: Gaussian again.

        Parameters
        ----------
        weights : array (k,) or (k, ...)
            Any finite real weights, not all zero. With shape (k, ...), one law per entry, whose
            parameters have shape (...) and broadcast against the points.
        correlation : float or array (k, k), optional
            Of every two of the Z_i, or of each two, where they are jointly normal but not independent.
        """
        weights = check_weights(weights)
        return Gaussian(self.mean * sum(weights), self.std * size_of_sum(weights, correlation))

    def map_to(self, target: Any) -> MonotoneMap:
        """The monotone map onto `target`: for `monotone_map`, which asks for it."""
        if not isinstance(target, Gaussian):
            return MonotoneMap(self, target)
        return _GaussianMap(self, target, (self.mean, self.std), (target.mean, target.std))


class _GaussianMap(ScaledMap):
    """The straight line between two Gaussians."""

    def cost(self, p: float = 1) -> float:
        """E|T(Y) - Y|^p, see `MonotoneMap.cost`, in closed form.

        T(Y) - Y is Gaussian: E|N(m, s²)|^p = s^p E|N|^p 1F1(-p/2; 1/2; -m²/2s²).
        """
        if not isinstance(self.shift, float):
            return super().cost(p)
        number(p, "p", 1)
        mean = self.target.mean - self.source.mean
        std = abs(self.target.std - self.source.std)
        if std == 0:
            return abs(mean) ** p
        moment = 2 ** (p / 2) * math.gamma((p + 1) / 2) / math.sqrt(math.pi)
        return float(std**p * moment * scipy.special.hyp1f1(-p / 2, 0.5, -0.5 * (mean / std) ** 2))


def _special(x: Array) -> Any:
    return sys.modules["torch"].special if is_torch_array(x) else scipy.special


def _normal_tail(u: Array) -> Array:
    """P(N(0, 1) > u), accurate far out (where torch.special.ndtr returns 0)."""
    return 0.5 * _special(u).erfc(u * math.sqrt(0.5))
