"""A continuous law by its tabulated levels, and the coordinates in which levels are nearly straight."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace

from ot_latent._arrays import cast_like, draw, elementwise, valid_probability
from ot_latent.priors.numerical.piecewise import Piecewise


@dataclass(frozen=True)
class Axis:
    """A coordinate η of places x, 0 at the median, in which levels of laws are nearly straight.

    Left of the median η is the logarithm of the distance to the lower end of the support, or, if
    there is none, minus that of one plus the distance to the median; likewise on the right. The
    units of both distances are scales of the law.

    Places are measured from the lower end, so that nothing is lost near it, or from the median if
    there is none.

    Parameters
    ----------
    low, median, high : float
    left_unit, right_unit : float
        The distance to the median where the end is finite.
    """

    low: float
    median: float
    high: float
    left_unit: float
    right_unit: float

    @property
    def left_bounded(self):
        return math.isfinite(self.low)

    @property
    def right_bounded(self):
        return math.isfinite(self.high)

    @property
    def origin(self):
        return self.low if self.left_bounded else self.median

    @property
    def middle(self):
        """The place of the median."""
        return self.left_unit if self.left_bounded else 0.0

    def scaled(self, size):
        ends = self.low * size, self.median * size, self.high * size
        return Axis(*ends, self.left_unit * size, self.right_unit * size)

    def shifted(self, shift):
        ends = self.low + shift, self.median + shift, self.high + shift
        return Axis(*ends, self.left_unit, self.right_unit)

    def mirrored(self):
        return Axis(-self.high, -self.median, -self.low, self.right_unit, self.left_unit)

    def coordinate(self, place):
        """η at x = origin + place; infinite on and outside the ends of the support."""
        xp = array_namespace(place)
        left, u = self.distance(place)
        inside = u > 0
        outside = xp.where(xp.isnan(u), u, -math.inf)
        eta = xp.where(inside, xp.log(xp.where(inside, u, 1.0)), outside)
        return xp.where(left, eta if self.left_bounded else -eta, -eta if self.right_bounded else eta)

    def place(self, eta):
        """The inverse of `coordinate`."""
        xp = array_namespace(eta)
        left = eta < 0
        toward_an_end = (left & self.left_bounded) | (~left & self.right_bounded)
        u = xp.exp(xp.where(toward_an_end, -abs(eta), abs(eta)))
        below = self.left_unit * (u if self.left_bounded else 1 - u)
        above = self.right_unit * (1 - u if self.right_bounded else u - 1)
        return xp.where(left, below, self.middle + above)

    def speed(self, place):
        """dη / dx."""
        xp = array_namespace(place)
        left, u = self.distance(place)
        inside = u > 0
        u = xp.where(inside, u, 1.0)
        return xp.where(inside, 1 / xp.where(left, u * self.left_unit, u * self.right_unit), 0.0)

    def eta_at(self, distance, left):
        """η at a distance from the end of that side, or from the median if there is none."""
        bounded = self.left_bounded if left else self.right_bounded
        u = distance / (self.left_unit if left else self.right_unit)
        size = -math.log(u) if bounded else math.log1p(u)
        return -size if left else size

    def distance_at(self, eta, left):
        """The inverse of `eta_at`, for arrays."""
        bounded, unit = (self.left_bounded, self.left_unit) if left else (self.right_bounded, self.right_unit)
        return unit * (np.exp(-np.abs(eta)) if bounded else np.expm1(np.abs(eta)))

    def place_at(self, u, left):
        """The inverse of `distance`, and its derivative, for arrays."""
        slope = np.where(
            left,
            self.left_unit if self.left_bounded else -self.left_unit,
            -self.right_unit if self.right_bounded else self.right_unit,
        )
        return self.middle + (u - 1) * slope, slope

    def distance(self, place):
        """Whether places are left of the median, and u = exp(±η), at most 1 beside a finite end."""
        xp = array_namespace(place)
        left, off = place < self.middle, place - self.middle
        below = place / self.left_unit if self.left_bounded else 1 - off / self.left_unit
        above = off / self.right_unit
        return left, xp.where(left, below, 1 - above if self.right_bounded else 1 + above)


# Sums of laws are resolved to tails of exp(-FAR_LEVEL) / 2 = 4e-27; beyond, they continue as power
# laws.
FAR_LEVEL = 60.0

LOG2 = math.log(2)

# Marks for quadrature: the level of the last, and how far they are apart, in η and in level.
LAST_MARK = 1.3 * FAR_LEVEL

MARK_STEPS = 1.2, 2.5


@dataclass(frozen=True, eq=False)
class NumericalLaw:
    """A continuous law by its tabulated levels.

    Parameters
    ----------
    axis : Axis
    table : Piecewise
        The level w as a function of η.
    mean, var : float
        NaN or infinite where the law has none.
    """

    axis: Axis
    table: Piecewise
    mean: float
    var: float

    def __repr__(self):
        return f"NumericalLaw(median={self.axis.median:.6g}, support={self.support})"

    @property
    def support(self):
        return self.axis.low, self.axis.high

    @functools.cached_property
    def inverse(self):
        """η as a function of the level."""
        return self.table.inverse()

    def scaled(self, weight):
        """The law of weight * Z."""
        law = self if weight > 0 else self.mirrored
        size = abs(weight)
        return law._shared(NumericalLaw(law.axis.scaled(size), law.table, law.mean * size, law.var * size**2))

    def shifted(self, shift):
        """The law of Z + shift."""
        law = NumericalLaw(self.axis.shifted(shift), self.table, self.mean + shift, self.var)
        return self._shared(law)

    def _shared(self, law):
        """`law`, whose table is this one's, with what was computed from the table."""
        law.__dict__.update(inverse=self.inverse, marks=self.marks)
        return law

    @functools.cached_property
    def mirrored(self):
        """The law of -Z."""
        law = NumericalLaw(self.axis.mirrored(), self.table.mirrored(), -self.mean, self.var)
        law.__dict__["inverse"] = self.inverse.mirrored()
        return law

    def level(self, place):
        """w at x = origin + place."""
        return self.table(self.axis.coordinate(place))

    def place(self, level):
        """x - origin at the level w."""
        return self.axis.place(self.inverse(level))

    @elementwise
    def pdf(self, x):
        xp = array_namespace(x)
        place = x - self.axis.origin
        eta = self.axis.coordinate(place)
        tail = 0.5 * xp.exp(-abs(self.table(eta)))
        return tail * self.table.slope(eta) * self.axis.speed(place)

    @elementwise
    def cdf(self, x):
        return probability(self.level(x - self.axis.origin))

    @elementwise
    def sf(self, x):
        return probability(-self.level(x - self.axis.origin))

    @elementwise
    def icdf(self, p):
        return self.axis.origin + self.place(_level(valid_probability(p)))

    @elementwise
    def isf(self, q):
        return self.axis.origin + self.place(-_level(valid_probability(q)))

    def sample(self, shape, rng=None, like=None):
        """Independent draws, by the quantile function; see `Uniform.sample`."""
        return cast_like(self.icdf(draw("uniform", shape, rng, like)), like)

    def quadrature(self, kinks=()):
        """Points x and probabilities, panel by panel, for expectations of smooth functions.

        Parameters
        ----------
        kinks : sequence of float
            Places x where panels end, because the functions are not smooth there.

        Returns
        -------
        points, masses : array (panels, 10)
            The last panels on both sides are of equal length in levels, far out.
        """
        beyond = np.arange(1, 40) * 4.0 + LAST_MARK
        kinks = self.level(np.asarray(kinks, dtype=float) - self.axis.origin)
        inner = np.concatenate([self.marks, kinks[np.abs(kinks) < LAST_MARK]])
        ends = np.concatenate([-beyond[::-1], np.unique(inner), beyond])
        nodes, weights = np.polynomial.legendre.leggauss(10)
        half = np.diff(ends)[:, None] / 2
        levels = ends[:-1, None] + half * (1 + nodes)
        masses = half * weights * 0.5 * np.exp(-np.abs(levels))
        return self.axis.origin + self.place(levels), masses

    def expectation(self, function):
        """E function(Y); infinite where heavy tails make it so."""
        points, masses = self.quadrature()
        panels = np.sum(function(points) * masses, axis=1)
        total = float(np.sum(panels))
        for last, before in ((panels[-1], panels[-2]), (panels[0], panels[1])):
            if last != 0:  # the tail beyond falls off like a geometric series
                ratio = abs(last / before)
                total += last * ratio / (1 - ratio) if ratio < 1 else math.inf
        return total

    @functools.cached_property
    def marks(self):
        """Levels between which the law is smooth and changes little, for quadrature."""
        low, high = self.inverse(np.array([-LAST_MARK, LAST_MARK]))
        ends = self.table.ends
        eta = _filled(np.array([low, *ends[(ends > low) & (ends < high)], high]), MARK_STEPS[0])
        return _filled(np.maximum.accumulate(self.table(eta)), MARK_STEPS[1])

    @functools.cached_property
    def marked_places(self):
        return self.place(self.marks)


def probability(level):
    """F at the level w."""
    xp = array_namespace(level)
    tail = 0.5 * xp.exp(-abs(level))
    return xp.where(level < 0, tail, 1 - tail)


def _level(p):
    """The inverse of `probability`."""
    xp = array_namespace(p)
    left = p < 0.5
    below, above = xp.where(left, p, 0.5), xp.where(left, 0.5, 1 - p)
    with np.errstate(divide="ignore"):  # at 0 and 1 the level is infinite
        return xp.where(left, xp.log(2 * below), -xp.log(2 * above))


def _filled(points, step):
    """Increasing points with more between them, no two further apart than `step`."""
    pieces = [
        np.linspace(a, b, max(1, math.ceil((b - a) / step)), endpoint=False)
        for a, b in itertools.pairwise(points)
        if b > a
    ]
    return np.array([*np.concatenate(pieces), points[-1]])


def log(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)
