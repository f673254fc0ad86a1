"""Laws that are symmetric about a centre, as weighted sums of uniforms are."""

from collections.abc import Callable, Sequence
from typing import Any

from array_api_compat import array_namespace

from ot_latent._arrays import Array, Seed, cast_like, conform, draw, elementwise, generator, valid_probability


class Symmetric:
    """A law symmetric about `center`, from what it does at a distance v >= 0 from there.

    A subclass gives ``_tail(v)`` = P(Y > center + v), ``_density(v)``, ``_distance(q)``, the
    inverse of the tail for q <= 1/2, and ``half_widths``. Both tails are then equally accurate.
    """

    center: Any
    half_widths: Any
    _tail: Callable[[Array], Array]
    _density: Callable[[Array], Array]
    _distance: Callable[[Array], Array]

    @property
    def mean(self) -> Any:
        return self.center

    @property
    def var(self) -> Any:
        return sum(a * a for a in self.half_widths) / 3

    @property
    def support(self) -> tuple[Any, Any]:
        reach = sum(self.half_widths)
        return self.center - reach, self.center + reach

    def _side_and_distance(self, x: Array) -> tuple[Array, Array]:
        """Whether x is left of the centre, and how far it is from there.

        The distance is not ``abs``, whose gradient would vanish at the centre itself.
        """
        (center,) = conform(x, self.center)
        left = x < center
        return left, array_namespace(x).where(left, center - x, x - center)

    @elementwise
    def pdf(self, x: Array) -> Array:
        _, v = self._side_and_distance(x)
        return array_namespace(x).where(array_namespace(x).isnan(x), x, self._density(v))

    @elementwise
    def cdf(self, x: Array) -> Array:
        left, v = self._side_and_distance(x)
        tail = self._tail(v)
        return array_namespace(x).where(left, tail, 1 - tail)

    @elementwise
    def sf(self, x: Array) -> Array:
        left, v = self._side_and_distance(x)
        tail = self._tail(v)
        return array_namespace(x).where(left, 1 - tail, tail)

    @elementwise
    def icdf(self, p: Array) -> Array:
        return self._quantile(p, side=1)

    @elementwise
    def isf(self, q: Array) -> Array:
        return self._quantile(q, side=-1)

    def _quantile(self, p: Array, side: int) -> Array:
        xp = array_namespace(p)
        (center,) = conform(p, self.center)
        distance = side * self._distance(xp.minimum(valid_probability(p), 1 - p))
        return center + xp.where(p < 0.5, -distance, distance)

    def sample(self, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
        """Independent draws; see `Uniform.sample`."""
        rng = generator(rng, like)
        total = 0.0
        for half_width in self.half_widths:
            unit = 2 * draw("uniform", shape, rng, like) - 1
            total = total + conform(unit, half_width)[0] * unit
        return cast_like(conform(total, self.center)[0] + total, like)
