"""Rotationally symmetric priors: points on a sphere, in a ball, or of any law of the norm.

Their coordinates depend on each other, so that nothing can be matched coordinate by coordinate. But
a sum of independent points of rotationally symmetric laws has such a law too, and between two of them

    T(y) = Q(F(‖y‖)) y / ‖y‖,    F the law of ‖Y‖, Q the quantile function of the prior's norm,

is the gradient of a convex function of y (an increasing function of ‖y‖ along y), and therefore the
optimal map for squared cost by Brenier's theorem.
"""

import functools
import numbers
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace
from scipy import stats

from ot_latent._arrays import (
    Array,
    Seed,
    as_floating,
    at_least_single,
    cast_like,
    draw,
    euclidean_norm,
    generator,
    number,
    progress,
)
from ot_latent.monotone import MonotoneMap, monotone_map
from ot_latent.priors.laws import (
    ByValue,
    check_weights,
    per_distinct_column,
    require_coordinates,
    require_no_gradient,
    shape_of_points,
    weights_of_points,
)
from ot_latent.priors.numerical.law import NumericalLaw
from ot_latent.priors.numerical.norms import NormAndSphere, NormOfSum, NormOfTwo, tabulate_norm
from ot_latent.priors.scipy_prior import ScipyPrior


class Radial(ByValue):
    """Points of a uniformly random direction whose norm has any continuous law.

    Parameters
    ----------
    d : int
        Dimension.
    norm : frozen distribution of scipy.stats, or ScipyPrior
        Of the norm, on [0, ∞). The prior of Kilcher et al. (2018), ‖z‖² ~ Γ(1/2, θ), has
        ``scipy.stats.halfnorm(scale=(θ / 2) ** 0.5)``.

    Raises
    ------
    ValueError
        If `d` is below 2, or the norm may be negative.

    Examples
    --------
    >>> prior = Ball(3)
    >>> z1, z2 = prior.sample((2, 1000, 3), rng=0)
    >>> midpoint = prior.combine([0.5, 0.5])
    >>> print(f"{midpoint.norm.icdf(0.5):.4f} instead of {prior.norm.icdf(0.5):.4f}")
    0.5166 instead of 0.7937
    """

    d: int
    radius: float | None  # of a sphere
    stability: float | None  # α, where Σ w_i z_i is distributed as (Σ |w_i|^α)^(1/α) z
    of_whole_points: ClassVar[bool] = True  # and not of single coordinates

    def __init__(self, d: int, norm: Any) -> None:
        if not hasattr(norm, "cdf"):
            raise TypeError(f"norm must be a frozen distribution of scipy.stats, or a ScipyPrior, got {norm!r}")
        law = norm if isinstance(norm, NumericalLaw) else ScipyPrior(norm)
        if law.support[0] < 0:
            raise ValueError(f"norm must be a law on [0, inf), got support {law.support}")
        self._set(d, law, stability=_stability(d, law))

    def _set(self, d: int, norm: Any = None, radius: float | None = None, stability: float | None = None) -> "Radial":
        """`norm` may be a function that computes it when it is asked for."""
        self.d, self._norm, self.radius, self.stability = _dimension(d), norm, radius, stability
        self._known: dict[tuple[float, ...], Radial] = {}
        return self

    @classmethod
    def _of(cls, d: int, norm: Any = None, **known: float | None) -> "Radial":
        return cls.__new__(cls)._set(d, norm, **known)

    def __repr__(self) -> str:
        if self.radius is not None:
            return f"Sphere(d={self.d}, radius={self.radius:g})"
        return f"Radial(d={self.d}, norm={'...' if callable(self._norm) else self._norm!r})"

    def _values(self) -> tuple[Any, ...]:
        # one that is yet to be computed has its value by the prior and the weights
        norm = self._norm.args if callable(self._norm) else self._norm
        return self.d, norm, self.radius, self.stability

    def saved_state(self) -> dict[str, Any]:
        """What `save` writes."""
        if callable(self._norm):
            return {"d": self.d, "sum": list(self._norm.args)}
        return {"d": self.d, "norm": self._norm, "radius": self.radius, "stability": self.stability}

    @classmethod
    def from_saved_state(cls, state: dict[str, Any]) -> "Radial":
        """The way back from `saved_state`."""
        if "sum" not in state:
            return cls._of(**state)
        prior, weights = state["sum"]
        several = isinstance(weights, np.ndarray)
        return cls._of(state["d"], functools.partial(_norms_of_sums if several else _norm_of_sum, prior, weights))

    @functools.cached_property
    def norm(self) -> Any:
        """The law of ‖z‖; of several, one for each entry, where the weights were batched."""
        return self._norm() if callable(self._norm) else self._norm

    def sample(self, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
        """Independent draws, `shape` ending in d; see `Uniform.sample`."""
        shape = shape_of_points(shape, self.d)
        rng = generator(rng, like)
        z = draw("normal", shape, rng, like)
        length = self.radius
        if length is None:
            length = self.norm.icdf(draw("uniform", (*shape[:-1], 1), rng, like))
        return cast_like(z * (length / euclidean_norm(z)), like)

    def combine(self, weights: Array) -> "Radial":
        """The law of w_1 z_1 + ... + w_k z_k, rotationally symmetric too.

        Of normal points and of Cauchy's law, which are stable, in closed form. Other norms are computed when they
        are needed (to match to a `Sphere` they are not), in seconds, to 1e-5 relative to the tail, down to 1e-8
        (tested against closed forms).

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
        if self.radius is None:
            require_no_gradient(weights, "a law is computed")
        if weights.ndim > 1:
            weights = weights_of_points(weights, self)
            return Radial._of(self.d, functools.partial(_norms_of_sums, self, weights))
        sizes = tuple(sorted(abs(float(w)) for w in weights if w != 0))
        if sizes == (1.0,):
            return self
        if len(sizes) == 1 and self.radius is not None:
            return Radial._of(self.d, radius=self.radius * sizes[0])
        if len(sizes) == 1 or self.stability:
            alpha = self.stability or 1.0
            size = sum(size**alpha for size in sizes) ** (1 / alpha)
            return Radial._of(self.d, self.norm.scaled(size), stability=self.stability)
        return self._known.setdefault(sizes, Radial._of(self.d, functools.partial(_norm_of_sum, self, sizes)))

    def map_to(self, target: Any) -> "RadialMap":
        """The optimal map onto another radial law: for `monotone_map`, which asks for it."""
        return RadialMap(self, target)


def _norms_of_sums(prior: Radial, weights: np.ndarray) -> Any:
    return per_distinct_column(lambda column: prior.combine(column).norm, weights)


def _norm_of_sum(prior: Radial, sizes: tuple[float, ...]) -> NumericalLaw:
    if prior.radius is None:
        total = prior.norm.scaled(sizes[0])
        for size in progress(sizes[1:], "laws of norms"):
            total = tabulate_norm(NormOfSum(prior.d, total, prior.norm.scaled(size)))
        return total
    first, second, *others = (prior.radius * size for size in sizes)
    total = ScipyPrior(NormOfTwo(prior.d, first, second))
    for radius in progress(others, "laws of norms"):
        total = tabulate_norm(NormAndSphere(prior.d, total, radius))
    return total


def Sphere(d: int, radius: float = 1.0) -> Radial:
    """Uniform on the sphere of a radius in R^d: the matched operation divides by the norm."""
    return Radial._of(d, radius=number(radius, "radius", positive=True))


def Ball(d: int, radius: float = 1.0) -> Radial:
    """Uniform in the ball of a radius in R^d: P(‖z‖ <= r) = (r / radius)^d."""
    return Radial(d, stats.powerlaw(_dimension(d), scale=number(radius, "radius", positive=True)))


def _stability(d: int, law: NumericalLaw) -> float | None:
    """2 for the norm of normal points; of other laws it is not known."""
    frozen = getattr(law, "law", None)
    if getattr(getattr(frozen, "dist", None), "name", "") != "chi":
        return None
    (df,), loc, _ = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
    return 2.0 if df == d and loc == 0 else None


class RadialMap(ByValue):
    """T(y) = Q(F(‖y‖)) y / ‖y‖ along the last axis. The origin, which has no direction, stays.

    Parameters
    ----------
    source, target : Radial
    """

    def __init__(self, source: Radial, target: Radial) -> None:
        self.source, self.target = source, target

    def __repr__(self) -> str:
        return f"RadialMap({self.source!r} -> {self.target!r})"

    @functools.cached_property
    def norms(self) -> MonotoneMap:
        """The monotone map of the norms; not asked for where the target is a `Sphere`."""
        return monotone_map(self.source.norm, self.target.norm)

    def __call__(self, y: Array) -> Array:
        y = as_floating(y)
        require_coordinates(y, self.target.d)
        if self.source == self.target:
            return y
        xp = array_namespace(y)
        single = at_least_single(y)
        length = euclidean_norm(single)
        somewhere = length > 0
        divisor = xp.where(somewhere, length, 1.0)
        if self.target.radius is None:
            goal = self.norms(length[..., 0])[..., None]
        else:
            goal = self.target.radius * xp.ones_like(length)
        return xp.astype(single * (xp.where(somewhere, goal, 0.0) / divisor), y.dtype, copy=False)

    def cost(self, p: float = 2) -> Any:
        """E ‖T(Y) - Y‖^p, the length of T(Y) - Y being the change of the norm."""
        if self.target.radius is None:
            return self.norms.cost(p)
        return self.source.norm.expectation(lambda r: abs(self.target.radius - r) ** p)


def _dimension(d: int) -> int:
    if isinstance(d, bool) or not isinstance(d, numbers.Real) or not 2 <= d < 2**31 or d % 1 != 0:
        raise ValueError(
            f"d must be a whole number, at least 2, got {d!r}: in one dimension take the law of the coordinate"
        )
    return int(d)
