"""Priors that know no direction: points on a sphere, in a ball, or of any law of the norm.

Their coordinates depend on each other, so that nothing can be matched coordinate by coordinate. But
a sum of independent points that know no direction knows none either, and between two such laws

    T(y) = Q(F(‖y‖)) y / ‖y‖,    F the law of ‖Y‖, Q the quantile function of the prior's norm,

is the gradient of a convex function of y (an increasing function of ‖y‖ along y), and therefore the
optimal map for squared cost by Brenier's theorem.
"""

import functools
import math

import numpy as np
from array_api_compat import array_namespace
from scipy import special, stats
from scipy.optimize import brentq

from ot_latent._arrays import as_floating, at_least_single, cast_like, draw, generator
from ot_latent._progress import progress
from ot_latent.laws import per_distinct_column
from ot_latent.numerical import LOG2, Axis, NumericalLaw, log
from ot_latent.piecewise import Piecewise
from ot_latent.priors import check_weights, require_no_gradient
from ot_latent.scipy_prior import ScipyPrior

# The law of a norm is resolved to tails of exp(-LAST_LEVEL) / 2 = 1e-9, from integrals up to far
# smaller ones, and to this, relative to the tail.
LAST_LEVEL = 20.0
FAR = 60.0
TOLERANCE = 1e-6


class Radial:
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
    0.5319 instead of 0.7937
    """

    def __init__(self, d, norm):
        if not isinstance(norm, NumericalLaw):
            norm = ScipyPrior(norm)
        if norm.support[0] < 0:
            raise ValueError(f"norm must be a law on [0, inf), got support {norm.support}")
        self.d, self._norm, self.radius, self._known = _dimension(d), norm, None, {}

    @classmethod
    def _of(cls, d, norm=None, radius=None):
        """`norm` may be a function that computes it when it is asked for."""
        law = cls.__new__(cls)
        law.d, law._norm, law.radius, law._known = _dimension(d), norm, radius, {}
        return law

    def __repr__(self):
        if self.radius is not None:
            return f"Sphere(d={self.d}, radius={self.radius:g})"
        return f"Radial(d={self.d}, norm={'...' if callable(self._norm) else self._norm!r})"

    @functools.cached_property
    def norm(self):
        """The law of ‖z‖; of several, one for each entry, where the weights were batched."""
        return self._norm() if callable(self._norm) else self._norm

    def sample(self, shape, rng=None, like=None):
        """Independent draws, `shape` ending in d; see `Uniform.sample`."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if shape[-1] != self.d:
            raise ValueError(f"shape must end in d = {self.d}, got {shape}")
        rng = generator(rng, like)
        z = draw("normal", shape, rng, like)
        if self.radius is None:
            length = self.norm.icdf(draw("uniform", (*shape[:-1], 1), rng, like))
        else:
            length = self.radius
        return cast_like(z * (length / _norm(z)), like)

    def combine(self, weights):
        """The law of w_1 z_1 + ... + w_k z_k, which knows no direction either.

        Its norm is computed when it is needed (to match to a `Sphere` it is not), in seconds, to
        1e-5 relative to the tail, down to 1e-8 (tested against closed forms).

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
            if weights.shape[-1] != 1:
                raise ValueError(
                    "weights must be the same for all coordinates of a point, with a last axis of "
                    f"length 1, where the prior is {self!r}; got shape {tuple(weights.shape)}"
                )
            return Radial._of(
                self.d,
                lambda: per_distinct_column(lambda w: self.combine(w).norm, weights[..., 0]),
            )
        sizes = tuple(sorted(abs(float(w)) for w in weights if w != 0))
        if len(sizes) == 1:
            return self if sizes == (1.0,) else self._scaled(sizes[0])
        if sizes not in self._known:
            self._known[sizes] = Radial._of(self.d, functools.partial(self._norm_of_sum, sizes))
        return self._known[sizes]

    def _scaled(self, size):
        if self.radius is not None:
            return Radial._of(self.d, radius=self.radius * size)
        return Radial._of(self.d, self.norm.scaled(size))

    def _norm_of_sum(self, sizes):
        if self.radius is None:
            total, others = self.norm.scaled(sizes[0]), sizes[1:]
        else:
            pair = _NormOfTwo(self.d, *(self.radius * size for size in sizes[:2]))
            total, others = ScipyPrior(pair), sizes[2:]
        for size in progress(others, "laws of norms"):
            if self.radius is None:
                total = _tabulate(_Norm(self.d, total, self.norm.scaled(size)))
            else:
                total = _tabulate(_NormAndSphere(self.d, total, self.radius * size))
        return total


def Sphere(d, radius=1.0):
    """Uniform on the sphere of a radius in R^d: the matched operation divides by the norm."""
    if not 0 < radius < math.inf:
        raise ValueError(f"radius must be positive, got {radius}")
    return Radial._of(d, radius=float(radius))


def Ball(d, radius=1.0):
    """Uniform in the ball of a radius in R^d: P(‖z‖ <= r) = (r / radius)^d."""
    if not 0 < radius < math.inf:
        raise ValueError(f"radius must be positive, got {radius}")
    return Radial(d, stats.powerlaw(_dimension(d), scale=radius))


class RadialMap:
    """T(y) = Q(F(‖y‖)) y / ‖y‖ along the last axis. The origin, which has no direction, stays.

    Parameters
    ----------
    source, target : Radial
    one_dimensional : callable
        ``monotone_map`` of the laws of the norms; not asked for where the target is a `Sphere`.
    """

    def __init__(self, source, target, one_dimensional):
        self.source, self.target = source, target
        self._map_norms = one_dimensional

    def __repr__(self):
        return f"RadialMap({self.source!r} -> {self.target!r})"

    @functools.cached_property
    def norms(self):
        """The monotone map of the norms."""
        return self._map_norms(self.source.norm, self.target.norm)

    def __call__(self, y):
        y = as_floating(y)
        if y.ndim == 0 or y.shape[-1] != self.target.d:
            raise ValueError(
                f"points must have {self.target.d} coordinates along the last axis, as the prior "
                f"has, got shape {tuple(y.shape)}"
            )
        if self.source is self.target:
            return y
        xp = array_namespace(y)
        single = at_least_single(y)
        length = _norm(single)
        somewhere = length > 0
        divisor = xp.where(somewhere, length, 1.0)
        if self.target.radius is None:
            goal = self.norms(length[..., 0])[..., None]
        else:
            goal = self.target.radius * xp.ones_like(length)
        return xp.astype(single * (xp.where(somewhere, goal, 0.0) / divisor), y.dtype, copy=False)

    def cost(self, p=2):
        """E ‖T(Y) - Y‖^p, the length of T(Y) - Y being the change of the norm."""
        if self.target.radius is None:
            return self.norms.cost(p)
        return self.source.norm.expectation(lambda r: abs(self.target.radius - r) ** p)


class _LawOfNorm:
    """A law by its probabilities below and above single places."""

    def cdf(self, rho):
        return np.array([self._probability(float(r), below=True) for r in np.atleast_1d(rho)])

    def sf(self, rho):
        return np.array([self._probability(float(r), below=False) for r in np.atleast_1d(rho)])


class _Norm(_LawOfNorm):
    """‖X + Y‖ from the laws of ‖X‖ and ‖Y‖, by quadrature over both.

    Given ‖X‖ = s and ‖Y‖ = r, the norm is at most ρ with the probability that the cosine between
    them is at most (ρ² - s² - r²) / 2sr: 1 for r <= ρ - s, 0 for r <= s - ρ and for r >= ρ + s.
    """

    def __init__(self, d, X, Y):
        self.d, self.X, self.Y = d, X, Y
        self.low = 0.0
        self.high = X.support[1] + Y.support[1]
        self.reach = Y.icdf(0.5 * math.exp(-FAR)), Y.isf(0.5 * math.exp(-FAR))

    def _probability(self, rho, below):
        s, mass = self._outer(rho)
        certain = (
            self.Y.cdf(np.maximum(rho - s, 0.0))
            if below
            else (self.Y.cdf(np.maximum(s - rho, 0.0)) + self.Y.sf(rho + s))
        )
        low = np.clip(np.abs(rho - s), *self.reach)
        high = np.clip(rho + s, *self.reach)
        # panels in sin², which takes away the square roots of the cosine's law at both ends
        nodes, weights = _PANELS
        r = low[:, None] + (high - low)[:, None] * np.sin(nodes) ** 2
        dr = (high - low)[:, None] * np.sin(2 * nodes) * weights
        sr4 = np.maximum(4 * s[:, None] * r, 1e-300)
        # (1 + c) / 2 and (1 - c) / 2 at the norm rho, by differences that do not cancel
        s = s[:, None]
        if below:
            half = (rho - s + r) * (rho + s - r) / sr4
        else:
            half = (s + r - rho) * (s + r + rho) / sr4
        inner = _cosine_cdf(self.d, half) * self.Y.pdf(r) * dr
        return float(mass @ (certain + inner.sum(1)))

    def _outer(self, rho):
        """Places s of ‖X‖ and their masses, panels ending where the inner integral has kinks."""
        kinks = [abs(rho - end) for end in self.Y.support if math.isfinite(end)]
        kinks += [rho, *(rho + end for end in self.Y.support if math.isfinite(end))]
        # towards s = ρ, where small norms of Y begin to count, panels shrink
        kinks += [rho * (1 + side * 0.3**k) for side in (-1, 1) for k in range(1, 7)]
        return _quadrature(self.X, kinks)


class _NormAndSphere(_LawOfNorm):
    """‖X + b U‖ for U uniform on the unit sphere: see `_Norm`, with one integral less."""

    def __init__(self, d, X, b):
        self.d, self.X, self.b = d, X, b
        self.low = max(0.0, X.support[0] - b, b - X.support[1])
        self.high = X.support[1] + b

    def _probability(self, rho, below):
        # in the plane the cosine's law has square roots at both ends, towards which panels shrink
        ends = np.array([abs(rho - self.b), rho + self.b])
        kinks = ends * (1 + np.array([-1, 1])[:, None, None] * 0.3 ** np.arange(25.0)[:, None])
        s, mass = _quadrature(self.X, [*ends, *kinks.ravel()])
        if below:
            half = (rho - s + self.b) * (rho + s - self.b) / (4 * s * self.b)
        else:
            half = (s + self.b - rho) * (s + self.b + rho) / (4 * s * self.b)
        return float(mass @ _cosine_cdf(self.d, half))


class _NormOfTwo:
    """‖a U + b V‖ for two points on the unit sphere: ρ² = (a - b)² + 4ab B, B ~ Beta(h, h)."""

    def __init__(self, d, a, b):
        self.least, self.product, self.square = abs(a - b), 4 * a * b, a**2 + b**2
        self.beta = stats.beta((d - 1) / 2, (d - 1) / 2)

    def _beta(self, rho):
        return np.clip((rho - self.least) * (rho + self.least) / self.product, 0, 1)

    def _rho(self, beta):
        return np.sqrt(self.least**2 + self.product * beta)

    def support(self):
        return self.least, float(self._rho(1.0))

    def cdf(self, rho):
        return self.beta.cdf(self._beta(rho))

    def sf(self, rho):
        return self.beta.sf(self._beta(rho))

    def pdf(self, rho):
        return self.beta.pdf(self._beta(rho)) * 2 * rho / self.product

    def ppf(self, p):
        return self._rho(self.beta.ppf(p))

    def isf(self, q):
        return self._rho(self.beta.isf(q))

    def mean(self):
        return self.beta.expect(self._rho)

    def var(self):
        return self.square - self.mean() ** 2


def _quadrature(law, kinks):
    """Places of a law and their masses, in panels that end at places `kinks` too."""
    levels = law.level(np.array(kinks) - law.axis.origin)
    ends = np.unique(np.clip([*law.marks, *levels, -FAR, FAR], -FAR, FAR))
    nodes, weights = _GAUSS
    half = np.diff(ends)[:, None] / 2
    w = ends[:-1, None] + half * (1 + nodes)
    mass = half * weights * 0.5 * np.exp(-np.abs(w))
    return (law.axis.origin + law.place(w)).ravel(), mass.ravel()


_GAUSS = np.polynomial.legendre.leggauss(8)


def _panels(count, order):
    """Gauss-Legendre on equal panels of [0, π/2]."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    width = math.pi / 2 / count
    starts = width * np.arange(count)[:, None]
    return (starts + width * (nodes + 1) / 2).ravel(), np.tile(weights * width / 2, count)


_PANELS = _panels(8, 10)


def _cosine_cdf(d, half):
    """P((1 + c) / 2 <= half) for the cosine c between two random directions in R^d."""
    half = np.clip(half, 0.0, 1.0)
    return special.betainc((d - 1) / 2, (d - 1) / 2, half)


def _tabulate(law):
    """A law on [low, high] as a `NumericalLaw`, from its cdf and sf."""
    bounded = math.isfinite(law.high)
    largest = law.high if bounded else float(law.X.isf(0.1) + law.Y.isf(0.1))
    median = brentq(lambda r: float(law.cdf(np.array([r]))[0]) - 0.5, law.low, largest, rtol=1e-13)
    right_unit = law.high - median if bounded else median - law.low
    axis = Axis(law.low, median, law.high, median - law.low, right_unit)

    def below(eta):
        return LOG2 + log(law.cdf(law.low + axis.left_unit * np.exp(eta)))

    def above(eta):
        v = right_unit * (1 - np.exp(-eta) if bounded else np.expm1(eta))
        return -LOG2 - log(law.sf(median + v))

    start, stop = _reach(below, -1), _reach(above, 1)
    inner = np.array([0.02, 0.1, 0.3])
    table = Piecewise.fit(below, np.array([start, *(start * inner[::-1]), 0.0]), TOLERANCE).joined(
        Piecewise.fit(above, np.array([0.0, *(stop * inner), stop]), TOLERANCE)
    )
    law_of_norm = NumericalLaw(axis, table, math.nan, math.nan)
    mean = law_of_norm.expectation(lambda r: r)
    var = law_of_norm.expectation(lambda r: (r - mean) ** 2)
    return NumericalLaw(axis, table, mean, var)


def _reach(level, sign):
    """η at which the level is about ±LAST_LEVEL."""
    for size in 0.25 * 1.3 ** np.arange(40):
        value = float(level(np.array([sign * size]))[0])
        if not math.isfinite(value):
            return sign * size / 1.3
        if abs(value) > LAST_LEVEL:
            return sign * size
    return sign * size


def _norm(z):
    xp = array_namespace(z)
    square = xp.sum(z * z, axis=-1, keepdims=True)
    # gradient 0 rather than NaN at z = 0
    return xp.where(square > 0, xp.where(square > 0, square, 1.0) ** 0.5, 0.0)


def _dimension(d):
    if isinstance(d, bool) or d != int(d) or d < 2:
        raise ValueError(
            f"d must be a whole number, at least 2, got {d!r}: in one dimension take the law of the "
            "coordinate"
        )
    return int(d)
