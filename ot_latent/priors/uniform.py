"""The uniform law of one latent coordinate, and the law of a weighted sum of two."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from array_api_compat import array_namespace

from ot_latent._arrays import (
    Array,
    Seed,
    cast_like,
    conform,
    draw,
    elementwise,
    parameter,
    require_positive,
    valid_probability,
)
from ot_latent.monotone import MonotoneMap, ScaledMap
from ot_latent.priors.laws import ByValue, check_weights, per_distinct_column, require_no_gradient
from ot_latent.priors.symmetric import Symmetric

# A uniform this much narrower than the widest of a sum is dropped: even the square of float64's
# resolution does not see it.
NEGLIGIBLE = 1e-32


@dataclass(frozen=True, eq=False)
class Uniform(ByValue):
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

    elementwise_weights: ClassVar[float] = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", parameter(self.low, "low"))
        object.__setattr__(self, "high", parameter(self.high, "high"))
        require_positive(parameter(self.high - self.low, "high - low"), "high - low")

    @property
    def mean(self) -> Any:
        return (self.low + self.high) / 2

    @property
    def half_width(self) -> Any:
        return (self.high - self.low) / 2

    @property
    def var(self) -> Any:
        return self.half_width**2 / 3

    @property
    def support(self) -> tuple[Any, Any]:
        return self.low, self.high

    knots = support  # where the density is not smooth

    @elementwise
    def pdf(self, x: Array) -> Array:
        low, high = conform(x, self.low, self.high)
        xp = array_namespace(x)
        return xp.where(xp.isnan(x), x, xp.astype((x >= low) & (x <= high), x.dtype) / (high - low))

    @elementwise
    def cdf(self, x: Array) -> Array:
        low, high = conform(x, self.low, self.high)
        return array_namespace(x).clip((x - low) / (high - low), 0.0, 1.0)

    @elementwise
    def sf(self, x: Array) -> Array:
        low, high = conform(x, self.low, self.high)
        return array_namespace(x).clip((high - x) / (high - low), 0.0, 1.0)

    @elementwise
    def icdf(self, p: Array) -> Array:
        low, high = conform(p, self.low, self.high)
        return array_namespace(p).clip(low + (high - low) * valid_probability(p), low, high)

    @elementwise
    def isf(self, q: Array) -> Array:
        low, high = conform(q, self.low, self.high)
        return array_namespace(q).clip(high - (high - low) * valid_probability(q), low, high)

    def sample(self, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
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
        return cast_like(array_namespace(draws).clip(low + (high - low) * draws, low, high), like)

    def combine(self, weights: Array) -> Any:
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
            return Uniform(*_in_order(weights[0] * self.low, weights[0] * self.high))
        if len(weights) == 2:
            narrow, wide = _in_order(*(abs(self.half_width * w) for w in weights))
            return Trapezoid(self.mean * (weights[0] + weights[1]), wide, narrow)
        if not (isinstance(self.low, float) and isinstance(self.high, float)):
            raise TypeError(
                f"low and high must be single numbers where three or more uniforms are combined, got {self!r}"
            )
        if isinstance(weights, list):
            center = self.mean * math.fsum(weights)
            return uniform_sum(center, [self.half_width * w for w in weights])
        return per_distinct_column(self.combine, weights)

    def map_to(self, target: Any) -> MonotoneMap:
        """The monotone map onto `target`: for `monotone_map`, which asks for it."""
        if not isinstance(target, Uniform):
            return MonotoneMap(self, target)
        return ScaledMap(self, target, (self.mean, self.half_width), (target.mean, target.half_width))


@dataclass(frozen=True, eq=False)
class Trapezoid(Symmetric, ByValue):
    """The law of a sum of two independent uniforms of half widths `wide` >= `narrow`.

    Its density is flat up to a distance wide - narrow from `center` and falls linearly to zero at
    wide + narrow: a box where narrow = 0, a triangle where both are equal.

    Parameters
    ----------
    center, wide, narrow : float or array
        Arrays broadcast against the points: one law per entry.

    Raises
    ------
    ValueError
        If `wide` is not positive, as when all weights of a sum are zero.
    """

    center: Any
    wide: Any
    narrow: Any

    def __post_init__(self) -> None:
        require_positive(self.wide, "wide")

    @property
    def half_widths(self) -> tuple[Any, ...]:
        return self.wide, self.narrow

    @property
    def knots(self) -> tuple[Any, ...]:
        """Where the density is not smooth."""
        flat, reach = self.wide - self.narrow, self.wide + self.narrow
        return tuple(self.center + u for u in (-reach, -flat, flat, reach))

    def _parts(self, v: Array) -> tuple[Array, Array, Array, Array]:
        """wide, narrow, whether v is on the slope, and how far it is from the end, over narrow.

        Where narrow = 0 there is no slope; dividing by `wide` there keeps 0/0, and its NaN
        gradient, out of the branch that is not taken.
        """
        xp = array_namespace(v)
        wide, narrow = conform(v, self.wide, self.narrow)
        on_slope = (v > wide - narrow) & (narrow > 0)
        divisor = narrow + wide * (narrow == 0)
        return wide, narrow, on_slope, xp.clip(wide + narrow - v, 0.0) / divisor

    def _tail(self, v: Array) -> Array:
        wide, narrow, on_slope, left = self._parts(v)
        flat = array_namespace(v).clip(wide - v, 0.0) / (2 * wide)
        return array_namespace(v).where(on_slope, left * left * (narrow / wide) / 8, flat)

    def _density(self, v: Array) -> Array:
        wide, _, on_slope, left = self._parts(v)
        flat = array_namespace(v).astype(v <= wide, v.dtype) / (2 * wide)
        return array_namespace(v).where(on_slope, left / (4 * wide), flat)

    def _distance(self, q: Array) -> Array:
        xp = array_namespace(q)
        wide, narrow = conform(q, self.wide, self.narrow)
        ratio = narrow / wide
        on_slope = 2 * q < ratio
        root = xp.where(on_slope, 8 * q * ratio, 1.0) ** 0.5
        return wide * xp.where(on_slope, 1 + ratio - root, 1 - 2 * q)

    def map_to(self, target: Any) -> MonotoneMap:
        """The monotone map onto `target`: for `monotone_map`, which asks for it."""
        return _TrapezoidToUniform(self, target) if isinstance(target, Uniform) else MonotoneMap(self, target)


class _TrapezoidToUniform(ScaledMap):
    """Two uniforms summed, matched: a straight line that bends towards the ends.

    With half widths a >= b of the source and H of the target, v = scale * x + shift runs over the
    support of the target stretched by 1 + b/a. Let e be what v has beyond the kinks, at H - B from
    the centre, B = H b / a. Then 2F - 1 = (v - m - sign(e) e² / 4B) / H: no cancellation, and exact
    where b = 0.
    """

    def __init__(self, source: Trapezoid, target: Uniform) -> None:
        super().__init__(source, target, (source.mean, source.wide), (target.mean, target.half_width))
        self.slope = source.narrow * self.scale  # B
        self.kinks = target.low + self.slope, target.high - self.slope

    def _beyond(self, v: Array) -> tuple[Array, Array]:
        """e, and |e| / 4B, which goes from 0 to 1/2 along the slope."""
        xp = array_namespace(v)
        low, high, slope = conform(v, *self.kinks, self.slope)
        e = v - v.clip(low, high)
        tiny = float(xp.finfo(v.dtype).smallest_normal)  # where b = 0, e is rounding or nothing
        quarter = 0.25 / (max(slope, tiny) if isinstance(slope, float) else xp.clip(slope, tiny))
        return e, (abs(e) * quarter).clip(0.0, 0.5)

    def bend(self, v: Array) -> Array:
        """v - sign(e) e² / 4B, kept to the support of the target in spite of rounding."""
        e, part = self._beyond(v)
        return (v - e * part).clip(*conform(v, *self.target.support))

    @elementwise
    def derivative(self, x: Array) -> Array:
        """f_source(x) / f_target, falling from the scale to zero along the slope."""
        xp = array_namespace(x)
        (scale,) = conform(x, self.scale)
        low, high = conform(x, *self.source.support)
        _, part = self._beyond(self.shifted(x * scale))
        return xp.where((x >= low) & (x <= high), scale * (1 - 2 * part), 0.0)


def _in_order(a: Array, b: Array) -> tuple[Array, Array]:
    """The smaller and the larger of two numbers, or of two arrays entry by entry."""
    if isinstance(a, float):
        return min(a, b), max(a, b)
    xp = array_namespace(a, b)
    return xp.minimum(a, b), xp.maximum(a, b)


def uniform_sum(center: float, half_widths: Sequence[float]) -> Any:
    """The law of a sum of independent uniforms about `center`, none of half width 0.

    Exact while its density has no more than 4096 pieces, then by quadrature (`numerical.sums`).
    """
    widths = sorted(abs(a) for a in half_widths)
    if len(widths) == 2:
        return Trapezoid(center, widths[1], widths[0])
    # three or more are rarer than two: what they need is loaded when it is needed
    from ot_latent.priors.uniform_sums import TooManyPieces, UniformSum

    try:
        return UniformSum(center, tuple(widths))
    except TooManyPieces:
        from ot_latent.priors.numerical.sums import sum_of
        from ot_latent.priors.numerical.tabulation import tabulate

        unit = tabulate(Uniform(-1, 1))
        return sum_of([unit.scaled(a) for a in widths]).shifted(center)
