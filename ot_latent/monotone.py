"""The optimal map between two laws of one coordinate (Agustsson et al. 2019, Theorem 2).

For every cost h(x - y) with h convex, the cheapest way to move the law of a continuous X onto the
law of Y is the one map that keeps the order of points,

    T = F_Y^{-1} ∘ F_X,    eq. (5),

and applied to each coordinate it is optimal between laws with i.i.d. coordinates (Theorem 1).
"""

import math
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

from array_api_compat import array_namespace

from ot_latent._arrays import Array, Seed, conform, elementwise, number

# From the quantile of this probability on, an infinite support counts as ended in `MonotoneMap.cost`:
# no power of a distance makes up for a chance so small, far below the square of float64's resolution.
_REST = 1e-40


class Distribution(Protocol):
    """Anything that points can be drawn from: the law of a coordinate, or of whole points."""

    def sample(self, shape: Any, rng: Seed = None, like: Array = None) -> Array: ...


@runtime_checkable
class Law(Distribution, Protocol):
    """What a law of one coordinate offers. All methods are elementwise, for numpy and torch.

    ``sf`` is 1 - cdf and ``isf`` its inverse, accurate in the upper tail, where cdf rounds to 1.

    A law may also have ``map_to(target)``, which returns the map onto another law where it knows a better
    one than `MonotoneMap`; ``knots``, where its density is not smooth; and ``expectation(function)``.
    """

    @property
    def mean(self) -> Any: ...
    @property
    def var(self) -> Any: ...
    @property
    def support(self) -> tuple[Any, Any]: ...
    def pdf(self, x: Array, /) -> Array: ...
    def cdf(self, x: Array, /) -> Array: ...
    def sf(self, x: Array, /) -> Array: ...
    def icdf(self, p: Array, /) -> Array: ...
    def isf(self, q: Array, /) -> Array: ...


def monotone_map(source: Distribution, target: Distribution) -> "MonotoneMap":
    """The monotone map T that pushes `source` onto `target`.

    Parameters
    ----------
    source, target : law
        As `prior.combine` returns them, or priors themselves. The matched operation of eq. (6) is
        ``monotone_map(prior.combine(weights), prior)``.

    Returns
    -------
    MonotoneMap
        Called on numbers or arrays, elementwise: numpy in, numpy out; torch in, torch out, with
        gradients. It never leaves the support of `target`, and is the identity, bit for bit, where
        both laws are the same.

    Examples
    --------
    >>> from ot_latent import Uniform
    >>> prior = Uniform(-1, 1)
    >>> T = monotone_map(prior.combine([0.5, 0.5]), prior)
    >>> T([-1, -0.5, 0, 0.5, 1])
    array([-1.  , -0.75,  0.  ,  0.75,  1.  ])
    """
    for name, law in (("source", source), ("target", target)):
        if isinstance(law, type) or not (hasattr(type(law), "map_to") or isinstance(law, Law)):
            raise TypeError(f"{name} must be a law, such as a prior or what its combine returns, got {law!r}")
    return getattr(type(source), "map_to", MonotoneMap)(source, target)


def map_of_points(source: Distribution, target: Distribution, count: int) -> Any:
    """`monotone_map`, to its accuracy, in the form that is fastest for so many numbers."""
    T = monotone_map(source, target)
    return T.for_points(count) if isinstance(T, MonotoneMap) else T


class MonotoneMap:
    """T = F_target^{-1} ∘ F_source, from the distribution functions of both laws."""

    def __init__(self, source: Any, target: Any) -> None:
        self.source = source
        self.target = target

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and (self.source, self.target) == (other.source, other.target)

    def __hash__(self) -> int:
        return hash((self.source, self.target))

    def __repr__(self) -> str:
        return f"MonotoneMap({self.source!r} -> {self.target!r})"

    @elementwise
    def __call__(self, x: Array) -> Array:
        xp = array_namespace(x)
        below, above = self.source.cdf(x), self.source.sf(x)
        lower = below < 0.5
        # Each branch is evaluated at its own points and at 1/2 elsewhere, never at the far end
        # of the other, where an infinite slope would turn gradients into NaN.
        from_below = self.target.icdf(xp.where(lower, below, 0.5))
        from_above = self.target.isf(xp.where(lower, 0.5, above))
        return xp.where(lower, from_below, from_above)

    def for_points(self, count: int) -> "MonotoneMap":
        """The same map, to its accuracy, in the form that is fastest for so many numbers."""
        return self

    @elementwise
    def derivative(self, x: Array) -> Array:
        """T'(x) = f_source(x) / f_target(T(x)); zero outside the support of the source."""
        xp = array_namespace(x)
        source, target = self.source.pdf(x), self.target.pdf(self(x))
        inside = source > 0
        return xp.where(inside | xp.isnan(source), source, 0.0) / xp.where(inside, target, 1.0)

    def cost(self, p: float = 1) -> Any:
        """E|T(Y) - Y|^p, Y following the source: the least cost of matching one coordinate.

        Summed over d coordinates this is the least E‖ỹ - y‖_p^p (Theorem 1). By adaptive
        quadrature between the kinks of the source's density, to eight digits or more.

        Parameters
        ----------
        p : float >= 1
            Theorem 2 asks for a convex cost.

        Returns
        -------
        float
        """
        number(p, "p", 1)
        if not all(isinstance(value, float) for value in (self.source.mean, self.target.mean)):
            raise TypeError(f"cost is for one law, not for a batch of them: got {self!r}")
        if hasattr(self.source, "expectation"):
            return self.source.expectation(lambda x: abs(self(x) - x) ** p)
        from scipy.integrate import quad  # here, because maps of points do without

        low, high = float(self.source.icdf(_REST)), float(self.source.isf(_REST))
        kinks = [k for k in getattr(self.source, "knots", ()) if low < k < high]
        ends = sorted({low, *kinks, self.source.mean, high})

        def moved(x: float) -> Any:
            return abs(self(x) - x) ** p * self.source.pdf(x)

        return math.fsum(quad(moved, *pair, epsabs=1e-13, epsrel=1e-11)[0] for pair in pairwise(ends))


class ScaledMap(MonotoneMap):
    """x -> bend(scale * x + shift), in closed form, where the straight line sends `start` to `goal`.

    Both are a place and a size, such as mean and standard deviation. An operation can multiply its weights
    by `scale` instead of a whole array of points, and has only `shift` and `bend` left to do (`operations`).
    Between laws that differ in location and scale only, the straight line is all.
    """

    def __init__(self, source: Any, target: Any, start: tuple[Any, Any], goal: tuple[Any, Any]) -> None:
        super().__init__(source, target)
        self.scale = goal[1] / start[1]
        self.shift = goal[0] - start[0] * self.scale

    @elementwise
    def __call__(self, x: Array) -> Array:
        (scale,) = conform(x, self.scale)
        return self.bend(self.shifted(x * scale))

    def shifted(self, x: Array) -> Array:
        """x + shift."""
        (shift,) = conform(x, self.shift)
        return x if isinstance(shift, float) and shift == 0 else x + shift

    def bend(self, v: Array) -> Array:
        """v = scale * x + shift, kept to the support of the target in spite of rounding."""
        low, high = self.target.support
        if isinstance(low, float) and (low, high) == (-math.inf, math.inf):  # others may be arrays
            return v
        return v.clip(*conform(v, low, high))

    @elementwise
    def derivative(self, x: Array) -> Array:
        """The scale, everywhere."""
        (scale,) = conform(x, self.scale)
        return array_namespace(x).zeros_like(x) + scale
