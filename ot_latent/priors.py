"""Priors of one latent coordinate, and the law of a weighted sum of coordinates.

A latent point has independent coordinates that all follow one prior. A linear operation on latent
points, y = w_1 z_1 + ... + w_k z_k (Agustsson et al. 2019, Table 1), acts on each coordinate alone,
so everything that a matched operation needs to know is the law of one coordinate,

    Y = w_1 Z_1 + ... + w_k Z_k,    Z_i independent, each with the prior's law,

which is what ``prior.combine(weights)`` returns, exactly, in both tails.
"""

import math
import sys
from dataclasses import dataclass
from typing import Any

import scipy.special
from array_api_compat import array_namespace, is_torch_array

from ot_latent._arrays import (
    cast_like,
    conform,
    draw,
    elementwise,
    parameter,
    require_positive,
    valid_probability,
)
from ot_latent.laws import per_distinct_column
from ot_latent.numerical import tabulate
from ot_latent.sums import sum_of
from ot_latent.uniform_sums import TooManyPieces, Trapezoid, UniformSum

# A uniform this much narrower than the widest of a sum is dropped: even the square of float64's
# resolution does not see it.
NEGLIGIBLE = 1e-32


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


@dataclass(frozen=True)
class Uniform:
    """The uniform law on [low, high].

    Parameters
    ----------
    low, high : float or array
        Arrays broadcast against the points: one law per entry.

    Raises
    ------
    ValueError
        If `low` is not below `high`, or a parameter is not finite.

    Examples
    --------
    >>> Uniform(-1, 1).combine([0.75, 0.25])
    Trapezoid(center=0.0, wide=0.75, narrow=0.25)
    """

    low: Any = -1.0
    high: Any = 1.0

    def __post_init__(self):
        object.__setattr__(self, "low", parameter(self.low, "low"))
        object.__setattr__(self, "high", parameter(self.high, "high"))
        require_positive(self.high - self.low, "high - low")

    @property
    def mean(self):
        return (self.low + self.high) / 2

    @property
    def half_width(self):
        return (self.high - self.low) / 2

    @property
    def var(self):
        return self.half_width**2 / 3

    @property
    def support(self):
        return self.low, self.high

    @property
    def knots(self):
        """Where the density is not smooth."""
        return self.low, self.high

    @elementwise
    def pdf(self, x):
        low, high = conform(x, self.low, self.high)
        return array_namespace(x).astype((x >= low) & (x <= high), x.dtype) / (high - low)

    @elementwise
    def cdf(self, x):
        low, high = conform(x, self.low, self.high)
        return array_namespace(x).clip((x - low) / (high - low), 0.0, 1.0)

    @elementwise
    def sf(self, x):
        low, high = conform(x, self.low, self.high)
        return array_namespace(x).clip((high - x) / (high - low), 0.0, 1.0)

    @elementwise
    def icdf(self, p):
        low, high = conform(p, self.low, self.high)
        return array_namespace(p).clip(low + (high - low) * valid_probability(p), low, high)

    @elementwise
    def isf(self, q):
        low, high = conform(q, self.low, self.high)
        return array_namespace(q).clip(high - (high - low) * valid_probability(q), low, high)

    def sample(self, shape, rng=None, like=None):
        """Independent draws.

        Parameters
        ----------
        shape : int or tuple of int
        rng : None, int, numpy.random.Generator or torch.Generator
            An int is a seed. None draws fresh entropy (numpy) or follows ``torch.manual_seed``.
        like : array, optional
            The draws come as this array's kind, dtype and device. Without it they are numpy
            float64, or torch tensors from a torch generator. An int seeds numpy's generator or
            torch's, as `like` says: the same seed gives two streams.

        Returns
        -------
        array, `shape`
        """
        draws = draw("uniform", shape, rng, like)
        low, high = conform(draws, self.low, self.high)
        points = array_namespace(draws).clip(low + (high - low) * draws, low, high)
        return cast_like(points, like)

    def combine(self, weights):
        """The exact law of w_1 Z_1 + ... + w_k Z_k.

        Parameters
        ----------
        weights : array (k,) or (k, ...)
            Any finite real weights, not all zero; zeros drop out. With shape (k, ...), one law per
            entry, whose parameters have shape (...) and broadcast against the points.

        Returns
        -------
        law
            `Uniform` for one weight, `Trapezoid` for two, `UniformSum` for three or more, and where
            its density has more than 4096 pieces (thirteen unequal weights) a law by quadrature
            (see `ScipyPrior.combine`). Batched weights with k >= 3 give one law per *distinct* weight vector (`LawPerEntry`): cheap for
            a path or a grid, not for a new vector at every sample.

        Raises
        ------
        ValueError
            If a weight is not finite, or all are zero.
        TypeError
            If three or more weights ask for a gradient: their law is built from their values.
        """
        weights = check_weights(weights)
        if len(weights) > 2:
            require_no_gradient(weights, "the law of three or more uniforms is built")
        if weights.ndim == 1 and not getattr(weights, "requires_grad", False):
            largest = float(abs(weights).max())
            weights = [float(w) for w in weights if abs(w) > NEGLIGIBLE * largest]
        if len(weights) == 1:
            return self._scaled(weights[0])
        if len(weights) == 2:
            return self._sum_of_two(*weights)
        if not (isinstance(self.low, float) and isinstance(self.high, float)):
            raise TypeError(
                "low and high must be single numbers where three or more uniforms are combined, "
                f"got {self!r}"
            )
        if isinstance(weights, list):
            center = self.mean * math.fsum(weights)
            return uniform_sum(center, [self.half_width * w for w in weights])
        return per_distinct_column(self.combine, weights)

    def _scaled(self, weight):
        ends = weight * self.low, weight * self.high
        if isinstance(ends[0], float):
            return Uniform(min(ends), max(ends))
        xp = array_namespace(*ends)
        return Uniform(xp.minimum(*ends), xp.maximum(*ends))

    def _sum_of_two(self, w1, w2):
        widths = abs(self.half_width * w1), abs(self.half_width * w2)
        center = self.mean * (w1 + w2)
        if isinstance(widths[0], float):
            return Trapezoid(center, max(widths), min(widths))
        xp = array_namespace(*widths)
        return Trapezoid(center, xp.maximum(*widths), xp.minimum(*widths))


def check_weights(weights):
    """`weights` as a finite array (k, ...) in which no weight vector is all zero."""
    weights = parameter(weights, "weights")
    if isinstance(weights, float) or weights.ndim == 0 or weights.shape[0] == 0:
        raise ValueError("weights must have one entry per point to combine, along the first axis")
    xp = array_namespace(weights)
    if not bool(xp.all(xp.any(weights != 0, axis=0))):
        raise ValueError("weights must not all be zero: such a sum has no law to match")
    return weights


def require_no_gradient(weights, what):
    """Raise TypeError if the weights ask for a gradient that the law cannot give."""
    if getattr(weights, "requires_grad", False):
        raise TypeError(
            f"weights must not require a gradient here: {what} from their values. Detach them; "
            "gradients still flow to the points."
        )


def uniform_sum(center, half_widths):
    """The law of a sum of independent uniforms about `center`, none of half width 0.

    Exact while its density has no more than 4096 pieces, then by quadrature (`sums`).
    """
    widths = sorted(abs(a) for a in half_widths)
    if len(widths) == 2:
        return Trapezoid(center, widths[1], widths[0])
    try:
        return UniformSum(center, tuple(widths))
    except TooManyPieces:
        unit = tabulate(Uniform(-1, 1))
        scaled = {a: unit.scaled(a) for a in set(widths)}
        return sum_of([scaled[a] for a in widths]).shifted(center)


def _special(x):
    return sys.modules["torch"].special if is_torch_array(x) else scipy.special


def _normal_tail(u):
    """P(N(0, 1) > u), accurate far out (where torch.special.ndtr returns 0)."""
    return 0.5 * _special(u).erfc(u * math.sqrt(0.5))
