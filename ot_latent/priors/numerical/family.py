"""The laws of all sums of two terms of given shapes, whatever the ratio of their sizes."""

import functools
from typing import NamedTuple

import numpy as np

from ot_latent.priors.numerical.addition import Shape, law_of, sum_shapes
from ot_latent.priors.numerical.axis import Axis, rounded
from ot_latent.priors.numerical.levels import LOG2, LevelTable

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
    """Laws at the nodes of a panel of log r: axes and tables, and units, medians and knots of each."""

    axes: tuple[Axis, ...]
    tables: tuple[LevelTable, ...]
    units: np.ndarray
    knots: np.ndarray


class Family:
    """X + r Y for every r in (0, 1], by interpolation in log r between tabulated laws.

    Log odds, unlike levels smooth at the median, change smoothly with r at a fixed part of the way from one knot to
    the next, and at a fixed distance from the last one in units of the laws. Knots are the kinks of the sum, or its
    median where it has none.
    """

    def __init__(self, first: Shape, second: Shape) -> None:
        self.shapes, self.terms = (first, second), (law_of(first), law_of(second))
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

    def _panel(self, start: float, width: float) -> _Panel | None:
        """The laws at the nodes; None where interpolation between them is not accurate."""
        kinks = self._sums_of_kinks(np.exp([-start, -start - width]))
        if (np.diff(kinks[kinks[:, 1].argsort(), 0]) < -1e-9).any():
            return None  # their order changes
        sizes = start + width * (1 + np.append(_NODES, _BESIDE)) / 2
        ratios = [rounded(ratio) for ratio in np.exp(-sizes)]
        axes, tables = zip(*sum_shapes(*self.shapes, ratios), strict=True)
        units, n = np.array([(axis.left_unit, axis.median) for axis in axes]), len(_NODES)
        knots = self._knots(np.array(ratios), units[:, 1]).T
        panel = _Panel(axes[:n], tables[:n], units[:n], knots[:n])
        for s, ratio, axis, table in zip(_BESIDE, ratios[n:], axes[n:], tables[n:], strict=True):
            place = axis.origin + axis.place(table.inverse(_LEVELS))
            found = self._interpolated(panel, *(np.full(len(place), value) for value in (s, ratio)), place)
            rounding = _ROUNDING * np.abs(place) * np.abs(np.gradient(_LEVELS, place))  # beside an upper end
            if np.any(np.abs(found - _LEVELS) > _ERROR * (1 + _LEVELS**2) + rounding):
                return None
        return panel

    def _knots(self, ratio: np.ndarray, median: np.ndarray) -> np.ndarray:
        """Places in order, (knots, n)."""
        kinks = self._sums_of_kinks(ratio)
        return np.sort(kinks, axis=0) if len(kinks) else median[None]

    def _interpolated(self, panel: _Panel, s: np.ndarray, ratio: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Levels at places, s in [-1, 1] being where in the panel each law is."""
        weights = np.polynomial.chebyshev.chebvander(s, len(_NODES) - 1) @ _TO_SERIES
        unit, median = (weights @ panel.units).T
        knots, row = self._knots(ratio, median), np.arange(len(place))
        below = (knots < place).sum(0)
        before, after = np.maximum(below - 1, 0), np.minimum(below, len(knots) - 1)
        gap, beyond = knots[after, row] - knots[before, row], place - knots[before, row]
        part = np.divide(beyond, gap, out=np.zeros_like(place), where=gap > 0)
        beyond = np.where(gap > 0, 0.0, beyond / unit)
        log_odds = np.zeros(len(place))
        for w, axis, table, own in zip(weights.T, panel.axes, panel.tables, panel.knots, strict=True):
            x = own[before] + part * (own[after] - own[before]) + beyond * axis.left_unit
            level = table(axis.coordinate(x - axis.origin))
            log_odds += w * np.copysign(np.abs(level) + np.log(2 - np.exp(-np.abs(level))), level)
        size = np.abs(log_odds)
        return np.copysign(size + np.log1p(np.exp(-size)) - LOG2, log_odds)


family_of = functools.lru_cache(maxsize=16)(Family)
