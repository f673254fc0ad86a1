"""The laws of all sums of two terms of given shapes, whatever the ratio of their sizes."""

import functools
from typing import Any

import numpy as np

from ot_latent.priors.numerical.addition import Shape, sum_shapes
from ot_latent.priors.numerical.axis import Axis, rounded

# Between so many laws on a panel of log r one interpolates; a level is good to this part of 1 + level².
_NODES = np.cos(np.pi * (np.arange(12) + 0.5) / 12)
_ERROR = 1e-9
_BESIDE = (-0.93, 0.07)  # where interpolation is held against laws themselves
_LEVELS = np.linspace(-28, 28, 113)  # and at these levels
_NARROWEST = 1 / 16  # in log r
_CHUNK = 2**14  # points at a time


class Family:
    """X + r Y for every r in (0, 1], by interpolation in log r between tabulated laws.

    At a fixed η, the coordinate of each law's own axis, levels change smoothly with r, unless the sum has
    kinks within its support, as those of laws with two finite ends do, which move.
    """

    def __init__(self, first: Shape, second: Shape) -> None:
        self.first, self.second = first, second
        (left, right, _), (also_left, also_right, _) = first[0], second[0]
        kinks = [left + right + len(first[1].kinks), also_left + also_right + len(second[1].kinks)]
        # each two kinks make one of the sum: at its own ends, or where it moves with r
        self.kinked = kinks[0] * kinks[1] > (left and also_left) + (right and also_right)
        self._known: dict[tuple[float, float], Any] = {}

    def levels(self, log_ratio: np.ndarray, place: np.ndarray) -> np.ndarray | None:
        """Levels at places from the sum of the origins, in units of X, (n,); None where laws have kinks."""
        if self.kinked:
            return None
        found, size = np.empty(len(place)), -log_ratio
        panels = [(float(k), 1.0) for k in np.unique(np.floor(size))]
        while panels:
            start, width = panels.pop()
            here = np.flatnonzero((size >= start) & (size < start + width))
            if not len(here):
                continue
            if (start, width) not in self._known:
                self._known[start, width] = self._panel(start, width)
            if (panel := self._known[start, width]) is None:
                if width == _NARROWEST:
                    return None
                panels += [(start, width / 2), (start + width / 2, width / 2)]
                continue
            for some in np.array_split(here, 1 + len(here) // _CHUNK):
                found[some] = _interpolated(*panel, 2 * (size[some] - start) / width - 1, place[some])
        return found

    def _panel(self, start: float, width: float) -> Any:
        """Axes and tables at the nodes; None where interpolation between them is not accurate."""

        sizes = start + width * (1 + np.append(_NODES, _BESIDE)) / 2
        laws = sum_shapes(self.first, self.second, [rounded(ratio) for ratio in np.exp(-sizes)])
        axes, tables, middles = zip(*laws[: len(_NODES)], strict=True)
        panel = axes[0], np.array([(a.left_unit, a.right_unit, m) for a, m in zip(axes, middles, strict=True)]), tables
        for s, (axis, table, middle) in zip(_BESIDE, laws[len(_NODES) :], strict=True):
            place = axis.place(table.inverse(_LEVELS)) + (0.0 if axis.left_bounded else middle)
            error = np.abs(_interpolated(*panel, np.full(len(_LEVELS), s), place) - _LEVELS)
            if np.any(error > _ERROR * (1 + _LEVELS**2)):
                return None
        return panel


def _interpolated(like: Axis, units: np.ndarray, tables: Any, s: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Levels at places, s in [-1, 1] being where in the panel each law is."""
    weights = np.polynomial.chebyshev.chebvander(s, len(_NODES) - 1) @ _TO_SERIES
    left_unit, right_unit, middle = (weights @ units).T
    axis = Axis(like.low, 0.0, like.high, left_unit, right_unit)
    eta = axis.coordinate(place if like.left_bounded else place - middle)
    return sum(w * table(eta) for w, table in zip(weights.T, tables, strict=True))


_TO_SERIES = np.linalg.inv(np.polynomial.chebyshev.chebvander(_NODES, len(_NODES) - 1))
family_of = functools.lru_cache(maxsize=16)(Family)
