"""A continuous law by its tabulated levels."""

import functools
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
from ot_latent.priors.numerical.cubic_table import NumericalMap
from ot_latent.priors.numerical.levels import LAST_MARK, LevelTable, gauss_legendre, left_marks, level_of, probability
from ot_latent.priors.numerical.piecewise import Piecewise
from ot_latent.priors.numerical.steps import LinearDensity


@dataclass(frozen=True)
class NumericalLaw:
    """A continuous law by its tabulated levels.

    Parameters
    ----------
    axis : Axis
    table : LevelTable
        The level w as a function of η.
    mean, var : float
        NaN or infinite where the law has none.
    exact : LinearDensity, optional
        The law itself, where its density is constant between knots.
    """

    axis: Axis
    table: LevelTable
    mean: float = field(compare=False)
    var: float = field(compare=False)
    exact: LinearDensity | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"NumericalLaw(median={self.axis.median:.6g}, support={self.support})"

    @property
    def support(self) -> tuple[float, float]:
        return self.axis.low, self.axis.high

    @property
    def inverse(self) -> Piecewise:
        """η as a function of the level."""
        return self.table.inverse

    @property
    def marks(self) -> np.ndarray:
        """Levels between which the law is smooth and changes little, for quadrature."""
        return self.table.marks

    @functools.cached_property
    def wide_marks(self) -> np.ndarray:
        """Levels between which quadrature does for sums with other laws: fewer than `marks`."""
        left = left_marks(self.table, self.axis.left_bounded)
        return np.append(left[:-1], -left_marks(self.table.mirrored, self.axis.right_bounded)[::-1])

    @property
    def symmetric(self) -> bool:
        """Whether both tails are one."""
        return abs(self.axis.right_unit / self.axis.left_unit - 1) < 1e-12 and self.table.symmetric

    @property
    def kinks(self) -> np.ndarray:
        """Places, from the origin, where the law is not smooth."""
        ends = [end - self.axis.origin for end in self.support if math.isfinite(end)]
        return np.array([*ends, *self.axis.place(self.table.kinks)])

    @property
    def powers(self) -> np.ndarray:
        """With which F grows from the finite ends of the support."""
        return np.array(self.table.end_slopes)[np.isfinite(self.support)]

    @functools.cached_property
    def polynomial(self) -> bool:
        """Whether these powers are whole."""
        return bool(np.all(np.abs(self.powers - np.round(self.powers)) < 1e-3))

    def scaled(self, weight: float) -> "NumericalLaw":
        """The law of weight * Z."""
        law = self if weight > 0 else self.mirrored
        size = abs(weight)
        moments = law.mean * size, law.var * size**2
        return NumericalLaw(law.axis.scaled(size), law.table, *moments, law._exact(size, 0.0))

    def shifted(self, shift: float) -> "NumericalLaw":
        """The law of Z + shift."""
        axis, mean = self.axis.shifted(shift), self.mean + shift
        return NumericalLaw(axis, self.table, mean, self.var, self._exact(1.0, shift))

    def _exact(self, scale: float, shift: float) -> LinearDensity | None:
        return None if self.exact is None else self.exact.moved(scale, shift)

    @functools.cached_property
    def mirrored(self) -> "NumericalLaw":
        """The law of -Z."""
        return NumericalLaw(self.axis.mirrored(), self.table.mirrored, -self.mean, self.var, self._exact(-1.0, 0.0))

    def level(self, place: Array) -> Array:
        """w at x = origin + place."""
        return self.table(self.axis.coordinate(place))

    def level_at(self, x: Array) -> Array:
        """w at x."""
        return self.level(x - self.axis.origin)

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
        return self.axis.origin + self.place(level_of(valid_probability(p)))

    @elementwise
    def isf(self, q: Array) -> Array:
        return self.axis.origin + self.place(-level_of(valid_probability(q)))

    sample = draw_by_quantiles

    def map_to(self, target: Any) -> MonotoneMap:
        """The monotone map onto `target`: for `monotone_map`, which asks for it."""
        if isinstance(target, NumericalLaw) and self.table == target.table:
            start, goal = ((axis.median, axis.left_unit) for axis in (self.axis, target.axis))
            return ScaledMap(self, target, start, goal)
        return NumericalMap(self, target)

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
        nodes, weights = gauss_legendre(order)
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

    def short_place(self, level: np.ndarray) -> np.ndarray:
        """`place` by short polynomials, to ten digits; constant beyond the marks."""
        return self.axis.left_unit * self.table.short(self.axis)[0](level.clip(-LAST_MARK, LAST_MARK))

    def short_probability(self, place: np.ndarray) -> np.ndarray:
        """F at origin + place by short polynomials, to ten digits of the lower tail; constant beyond the marks."""
        _, polynomials, far = self.table.short(self.axis)
        x = self.axis.coordinate(place) if far else place / self.axis.left_unit
        return polynomials(x.clip(*polynomials.x[[0, -1]]))
