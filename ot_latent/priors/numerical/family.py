"""The laws of all sums of two terms of given shapes, whatever the ratio of their sizes."""

import functools
from typing import NamedTuple

import numpy as np

from ot_latent.priors.numerical.addition import Shape, law_of, medians_of_sums, sum_shapes
from ot_latent.priors.numerical.axis import Axis, rounded
from ot_latent.priors.numerical.levels import LevelTable

# Between so many laws on a panel of log r one interpolates; a level is good to this part of 1 + level².
_NODES = np.cos(np.pi * (np.arange(12) + 0.5) / 12)
_TO_SERIES = np.linalg.inv(np.polynomial.chebyshev.chebvander(_NODES, len(_NODES) - 1))
_ERROR = 1e-9
_BESIDE = (-0.93, 0.07)  # where interpolation is held against laws themselves
_LEVELS = np.unique([np.linspace(-28, 28, 113), np.linspace(-2.8, 2.8, 113)])  # and at these levels
_ROUNDING = 4e-16  # of places
_NARROWEST = 1 / 64  # in log r
_FEW, _CHUNK = 3_000, 2**14  # points for which no panel is made, and points at a time


class _Panel(NamedTuple):
    """Laws at the nodes of a panel of log r: units of axes and medians, tables, and η of knots."""

    units: np.ndarray
    tables: tuple[LevelTable, ...]
    knots: np.ndarray


class Family:
    """X + r Y for every r in (0, 1], by interpolation in log r between tabulated laws.

    At a fixed η, the coordinate of each law's own axis, levels change smoothly with r. Kinks of the sum within its
    support, as those of laws with two finite ends have, move with r: there levels change smoothly at a fixed part of
    the way from one knot, a kink or the median, to the next.
    """

    def __init__(self, first: Shape, second: Shape) -> None:
        self.shapes, self.terms = (first, second), (law_of(first), law_of(second))
        self.low, self.high = (sum(ends) for ends in zip(*(law.support for law in self.terms), strict=True))
        self._known: dict[tuple[float, float], _Panel | None] = {}

    def levels(self, log_ratio: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Levels at places from the sum of the origins, in units of X, (n,).

        NaN where interpolation is not accurate, or points are so few that quadrature takes less time.
        """
        found, size = np.full(len(place), np.nan), -log_ratio
        panels = [(float(k), 1.0) for k in np.unique(np.floor(size))]
        while panels:
            start, width = panels.pop()
            here = np.flatnonzero((size >= start) & (size < start + width))
            if (start, width) not in self._known:
                if len(here) < _FEW:
                    continue
                self._known[start, width] = self._panel(start, width)
            if panel := self._known[start, width]:
                for some in np.array_split(here, 1 + len(here) // _CHUNK):
                    s = 2 * (size[some] - start) / width - 1
                    found[some] = self._interpolated(panel, s, np.exp(log_ratio[some]), place[some])
            elif width > _NARROWEST:
                panels += [(start, width / 2), (start + width / 2, width / 2)]
        return found

    def _sums_of_kinks(self, ratio: np.ndarray) -> np.ndarray:
        X, Y = self.terms
        return (X.kinks[:, None, None] + Y.kinks[:, None] * ratio).reshape(-1, len(ratio))

    def _inner_kinks(self, ratio: np.ndarray) -> np.ndarray:
        """Places of the sums' kinks, but for those at ends of the support, in order: (kinks, n)."""
        kinks = np.sort(self._sums_of_kinks(ratio), axis=0)
        return kinks[int(np.isfinite(self.low)) : len(kinks) - int(np.isfinite(self.high))]

    def _knots(self, axis: Axis, kinks: np.ndarray) -> np.ndarray:
        """η of kinks, at places from the axis' origin, and of the median: (knots, n)."""
        return np.sort(np.concatenate([axis.coordinate(kinks), np.zeros((1, kinks.shape[1]))]), axis=0)

    def _panel(self, start: float, width: float) -> _Panel | None:
        """The laws at the nodes; None where interpolation between them is not accurate."""
        ends = np.exp([-start, -start - width])
        kinks = np.append(self._sums_of_kinks(ends), [medians_of_sums(*self.terms, ends)], axis=0)
        if (np.diff(kinks[kinks[:, 1].argsort(), 0]) < -1e-9).any():
            return None  # the order of knots changes
        sizes = start + width * (1 + np.append(_NODES, _BESIDE)) / 2
        ratios = [rounded(ratio) for ratio in np.exp(-sizes)]
        laws, units, knots, n = sum_shapes(*self.shapes, ratios), [], [], len(_NODES)
        for (axis, _, middle), inner in zip(laws, self._inner_kinks(np.array(ratios)).T, strict=True):
            units.append((axis.left_unit, axis.right_unit, middle))
            knots.append(self._knots(axis, inner[:, None] - (0.0 if axis.left_bounded else middle))[:, 0])
        if np.ptp((np.array(knots) < 0).sum(1)):
            return None  # one passes the median
        panel = _Panel(np.array(units[:n]), tuple(table for _, table, _ in laws[:n]), np.array(knots[:n]))
        for s, ratio, (axis, table, middle) in zip(_BESIDE, ratios[n:], laws[n:], strict=True):
            place = axis.place(table.inverse(_LEVELS)) + (0.0 if axis.left_bounded else middle)
            found = self._interpolated(panel, *(np.full(len(place), value) for value in (s, ratio)), place)
            rounding = _ROUNDING * np.abs(place) * np.abs(np.gradient(_LEVELS, place))  # beside an upper end
            if np.any(np.abs(found - _LEVELS) > _ERROR * (1 + _LEVELS**2) + rounding):
                return None
        return panel

    def _interpolated(self, panel: _Panel, s: np.ndarray, ratio: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Levels at places, s in [-1, 1] being where in the panel each law is."""
        weights = np.polynomial.chebyshev.chebvander(s, len(_NODES) - 1) @ _TO_SERIES
        left_unit, right_unit, middle = (weights @ panel.units).T
        shift = 0.0 if np.isfinite(self.low) else middle
        if np.isfinite(self.high):  # to the last digit, on which the upper tail depends
            X, Y = self.terms
            right_unit = X.axis.high + ratio * Y.axis.high - middle
        axis = Axis(self.low, 0.0, self.high, left_unit, right_unit)
        eta, knots = axis.coordinate(place - shift), self._knots(axis, self._inner_kinks(ratio) - shift)
        after = np.minimum((knots < eta).sum(0), len(knots) - 1)
        before, row = np.maximum((knots < eta).sum(0) - 1, 0), np.arange(len(eta))
        gap, beyond = knots[after, row] - knots[before, row], eta - knots[before, row]
        part = np.divide(beyond, gap, out=np.zeros_like(eta), where=gap > 0)
        beyond = np.where(gap > 0, 0.0, beyond)
        levels = np.zeros(len(eta))
        for w, table, own in zip(weights.T, panel.tables, panel.knots, strict=True):
            levels += w * table(own[before] + part * (own[after] - own[before]) + beyond)
        return levels


family_of = functools.lru_cache(maxsize=16)(Family)
