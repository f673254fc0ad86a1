"""The uniform law of one latent coordinate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from ot_latent._arrays import cast_like, conform, draw, elementwise, parameter, require_positive, valid_probability
from ot_latent.priors.laws import check_weights, per_distinct_column, require_no_gradient
from ot_latent.priors.numerical.sums import sum_of
from ot_latent.priors.numerical.tabulation import tabulate
from ot_latent.priors.uniform_sums import TooManyPieces, Trapezoid, UniformSum

# A uniform this much narrower than the widest of a sum is dropped: even the square of float64's
# resolution does not see it.
NEGLIGIBLE = 1e-32


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
            (see `ScipyPrior.combine`). Batched weights with k >= 3 give one law per *distinct* weight
            vector (`LawPerEntry`): cheap for a path or a grid, not for a new vector at every sample.

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
                f"low and high must be single numbers where three or more uniforms are combined, got {self!r}"
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
