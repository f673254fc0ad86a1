"""A continuous law by its tabulated levels."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ot_latent._arrays import Array, elementwise, valid_probability
from ot_latent.monotone import MonotoneMap, ScaledMap
from ot_latent.priors.laws import draw_by_quantiles
from ot_latent.priors.numerical.axis import Axis
from ot_latent.priors.numerical.cubic_table import tabulated_map
from ot_latent.priors.numerical.piecewise import Piecewise

LOG2 = math.log(2)
# Sums of laws are resolved to tails of exp(-FAR_LEVEL) / 2 = 4e-27; beyond, they continue as power laws.
FAR_LEVEL = 60.0
# Marks for quadrature: the level of the last, and how far they are apart, in η and in level.
LAST_MARK, MARK_STEPS = 1.3 * FAR_LEVEL, (1.2, 2.5)


@dataclass(frozen=True)
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
    mean: float = field(compare=False)
    var: float = field(compare=False)

    def __repr__(self) -> str:
        return f"NumericalLaw(median={self.axis.median:.6g}, support={self.support})"

    @property
    def support(self) -> tuple[float, float]:
        return self.axis.low, self.axis.high

    @functools.cached_property
    def inverse(self) -> Piecewise:
        """η as a function of the level."""
        return self.table.inverse()

    def scaled(self, weight: float) -> "NumericalLaw":
        """The law of weight * Z."""
        law = self if weight > 0 else self.mirrored
        size = abs(weight)
        return law._shared(NumericalLaw(law.axis.scaled(size), law.table, law.mean * size, law.var * size**2))

    def shifted(self, shift: float) -> "NumericalLaw":
        """The law of Z + shift."""
        return self._shared(NumericalLaw(self.axis.shifted(shift), self.table, self.mean + shift, self.var))

    def _shared(self, law: "NumericalLaw") -> "NumericalLaw":
        """`law`, whose table is this one's, with what was computed from the table."""
        law.__dict__.update(inverse=self.inverse, marks=self.marks)
        return law

    @functools.cached_property
    def mirrored(self) -> "NumericalLaw":
        """The law of -Z."""
        law = NumericalLaw(self.axis.mirrored(), self.table.mirrored(), -self.mean, self.var)
        law.__dict__["inverse"] = self.inverse.mirrored()
        return law

    def level(self, place: Array) -> Array:
        """w at x = origin + place."""
        return self.table(self.axis.coordinate(place))

    def place(self, level: Array) -> Array:
        """x - origin at the level w."""
        return self.axis.place(self.inverse(level))

    @elementwise
    def pdf(self, x: Array) -> Array:
        xp = array_namespace(x)
        place = x - self.axis.origin
        eta = self.axis.coordinate(place)
        return 0.5 * xp.exp(-abs(self.table(eta))) * self.table.slope(eta) * self.axis.speed(place)

    @elementwise
    def cdf(self, x: Array) -> Array:
        return probability(self.level(x - self.axis.origin))

    @elementwise
    def sf(self, x: Array) -> Array:
        return probability(-self.level(x - self.axis.origin))

    @elementwise
    def icdf(self, p: Array) -> Array:
        return self.axis.origin + self.place(_level(valid_probability(p)))

    @elementwise
    def isf(self, q: Array) -> Array:
        return self.axis.origin + self.place(-_level(valid_probability(q)))

    sample = draw_by_quantiles

    def map_to(self, target: Any) -> MonotoneMap:
        """The monotone map onto `target`: for `monotone_map`, which asks for it."""
        if isinstance(target, NumericalLaw) and self.table == target.table:
            start, goal = ((axis.median, axis.left_unit) for axis in (self.axis, target.axis))
            return ScaledMap(self, target, start, goal)
        return tabulated_map(self, target)

    def quadrature(self, kinks: Sequence[float] = ()) -> tuple[np.ndarray, np.ndarray]:
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
        levels = self.level(np.asarray(kinks, dtype=float) - self.axis.origin)
        inner = np.concatenate([self.marks, levels[np.abs(levels) < LAST_MARK]])
        return self.on_panels(np.concatenate([-beyond[::-1], np.unique(inner), beyond]), order=10)

    def on_panels(self, ends: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
        """Points x and probabilities, (panels, order), by Gauss-Legendre on panels of the level."""
        nodes, weights = _gauss_legendre(order)
        half = np.diff(ends)[:, None] / 2
        levels = ends[:-1, None] + half * (1 + nodes)
        masses = half * weights * 0.5 * np.exp(-np.abs(levels))
        return self.axis.origin + self.place(levels), masses

    def expectation(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
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
    def marks(self) -> np.ndarray:
        """Levels between which the law is smooth and changes little, for quadrature."""
        low, high = self.inverse(np.array([-LAST_MARK, LAST_MARK]))
        ends = self.table.ends
        eta = _filled(np.array([low, *ends[(ends > low) & (ends < high)], high]), MARK_STEPS[0])
        return _filled(np.maximum.accumulate(self.table(eta)), MARK_STEPS[1])

    @functools.cached_property
    def marked_places(self) -> np.ndarray:
        return self.place(self.marks)


_gauss_legendre = functools.cache(np.polynomial.legendre.leggauss)


def probability(level: Array) -> Array:
    """F at the level w."""
    xp = array_namespace(level)
    tail = 0.5 * xp.exp(-abs(level))
    return xp.where(level < 0, tail, 1 - tail)


def _level(p: Array) -> Array:
    """The inverse of `probability`."""
    xp = array_namespace(p)
    left = p < 0.5
    below, above = xp.where(left, p, 0.5), xp.where(left, 0.5, 1 - p)
    with np.errstate(divide="ignore"):  # at 0 and 1 the level is infinite
        return xp.where(left, xp.log(2 * below), -xp.log(2 * above))


def _filled(points: np.ndarray, step: float) -> np.ndarray:
    """Increasing points with more between them, no two further apart than `step`."""
    pairs = [(a, b) for a, b in itertools.pairwise(points) if b > a]
    pieces = [np.linspace(a, b, max(1, math.ceil((b - a) / step)), endpoint=False) for a, b in pairs]
    return np.array([*np.concatenate(pieces), points[-1]])


def log(x: Any) -> Any:
    """The logarithm, -inf at 0 and NaN below without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)
