"""The normal law of one latent coordinate."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import scipy.special
from array_api_compat import array_namespace, is_torch_array

from ot_latent._arrays import cast_like, conform, draw, elementwise, parameter, require_positive
from ot_latent.priors.laws import check_weights


@dataclass(frozen=True)
class Gaussian:
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

    def __post_init__(self):
        object.__setattr__(self, "mean", parameter(self.mean, "mean"))
        object.__setattr__(self, "std", parameter(self.std, "std"))
        require_positive(self.std, "std")

    @property
    def var(self):
        return self.std**2

    @property
    def support(self):
        return -math.inf, math.inf

    def _standardised(self, x):
        mean, std = conform(x, self.mean, self.std)
        return (x - mean) / std

    @elementwise
    def pdf(self, x):
        u = self._standardised(x)
        (std,) = conform(x, self.std)
        return array_namespace(x).exp(-0.5 * u * u) / (std * math.sqrt(2 * math.pi))

    @elementwise
    def cdf(self, x):
        return _normal_tail(-self._standardised(x))

    @elementwise
    def sf(self, x):
        return _normal_tail(self._standardised(x))

    @elementwise
    def icdf(self, p):
        mean, std = conform(p, self.mean, self.std)
        return mean + std * _special(p).ndtri(p)

    @elementwise
    def isf(self, q):
        mean, std = conform(q, self.mean, self.std)
        return mean - std * _special(q).ndtri(q)

    def sample(self, shape, rng=None, like=None):
        """Independent draws; see `Uniform.sample`."""
        draws = draw("normal", shape, rng, like)
        mean, std = conform(draws, self.mean, self.std)
        return cast_like(mean + std * draws, like)

    def combine(self, weights):
        """The law of w_1 Z_1 + ... + w_k Z_k: Gaussian again.

        Parameters
        ----------
        weights : array (k,) or (k, ...)
            Any finite real weights, not all zero. With shape (k, ...), one law per entry, whose
            parameters have shape (...) and broadcast against the points.
        """
        weights = check_weights(weights)
        return Gaussian(self.mean * sum(weights), self.std * sum(w * w for w in weights) ** 0.5)


def _special(x):
    return sys.modules["torch"].special if is_torch_array(x) else scipy.special


def _normal_tail(u):
    """P(N(0, 1) > u), accurate far out (where torch.special.ndtr returns 0)."""
    return 0.5 * _special(u).erfc(u * math.sqrt(0.5))
