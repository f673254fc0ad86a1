"""Laws whose density is linear between knots: histograms, tables of quantiles, and sums of two of them."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

_ROUNDING = 4e-15  # of a distribution function on a straight piece of it
_QUARTERS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
_MOST = 300  # knots


class LinearDensity:
    """A law by its density at the ends of pieces, on which it is linear.

    Parameters
    ----------
    knots : array (n + 1,)
        Increasing.
    first, last : array (n,)
        The density at the beginning and at the end of each piece; equal to each other for histograms.
    """

    def __init__(self, knots: np.ndarray, first: np.ndarray, last: np.ndarray) -> None:
        self.knots, self.first, self.last = knots, first, last
        width = np.diff(knots)
        mass = width * (first + last) / 2
        self.slope = np.divide(last - first, width, out=np.zeros_like(width), where=width > 0)
        self._below = np.append(0.0, np.cumsum(mass))
        centre, part = (knots[1:] + knots[:-1]) / 2, (last - first) * width**2 / 12
        self.mean = float(np.sum(mass * centre + part))
        self.var = float(np.sum(mass * ((centre - self.mean) ** 2 + width**2 / 12) + 2 * part * (centre - self.mean)))
        self.support = float(knots[0]), float(knots[-1])

    def moved(self, scale: float, shift: float) -> "LinearDensity":
        """The law of scale * Z + shift."""
        knots, size = self.knots * scale + shift, abs(scale)
        if scale > 0:
            return LinearDensity(knots, self.first / size, self.last / size)
        return LinearDensity(knots[::-1], self.last[::-1] / size, self.first[::-1] / size)

    def pdf(self, x: Any) -> np.ndarray:
        piece, offset = self._piece(x)
        return np.where(
            (x >= self.knots[0]) & (x <= self.knots[-1]), self.first[piece] + self.slope[piece] * offset, 0.0
        )

    def cdf(self, x: Any) -> np.ndarray:
        piece, offset = self._piece(x)
        return self._below[piece] + offset * (self.first[piece] + self.slope[piece] * offset / 2)

    def sf(self, x: Any) -> np.ndarray:
        return self._mirrored.cdf(-np.asarray(x))

    def icdf(self, p: Any) -> np.ndarray:
        piece = np.clip(np.searchsorted(self._below, p, side="right") - 1, 0, len(self.first) - 1)
        rest, first = 2 * (p - self._below[piece]), self.first[piece]
        root = first + np.sqrt(np.maximum(first**2 + self.slope[piece] * rest, 0.0))
        offset = np.divide(rest, root, out=np.zeros_like(root), where=root > 0)
        return np.clip(self.knots[piece] + offset, self.knots[piece], self.knots[piece + 1])

    def isf(self, q: Any) -> np.ndarray:
        return -self._mirrored.icdf(q)

    @functools.cached_property
    def _mirrored(self) -> "LinearDensity":
        return self.moved(-1.0, 0.0)

    def _piece(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        x = np.clip(x, self.knots[0], self.knots[-1])
        piece = np.clip(np.searchsorted(self.knots, x, side="right") - 1, 0, len(self.first) - 1)
        return piece, x - self.knots[piece]


def sum_of_steps(X: LinearDensity, Y: LinearDensity) -> LinearDensity:
    """The exact law of X + Y where both densities are constant on each piece."""
    knots = np.unique(np.add.outer(X.knots, Y.knots))
    left, right = (np.subtract.outer(knots, ends) for ends in (X.knots[1:], X.knots[:-1]))  # of Y, for X in a piece
    density = np.zeros(len(knots))
    for low, high, height in zip(Y.knots[:-1], Y.knots[1:], Y.first, strict=True):
        density += height * (np.clip(right, low, high) - np.clip(left, low, high)) @ X.first
    return LinearDensity(knots, density[:-1], density[1:])


def as_steps(cdf: Callable[[Any], Any], low: float, high: float) -> LinearDensity | None:
    """The law whose distribution function is `cdf`, if that is straight between some hundred knots or fewer."""
    if not np.isfinite(high - low):
        return None
    # no knot of a histogram is likely to be one of these, and so each bends one of the pieces
    ends = np.sort([low, high, *(low + (high - low) * (np.arange(1, 64) * 5**0.5 % 1))])
    starts, stops, knots = ends[:-1], ends[1:], [low, high]
    for halvings in range(60):
        places = starts[:, None] + (stops - starts)[:, None] * _QUARTERS
        F = cdf(places.ravel()).reshape(places.shape)
        bent = np.abs(F - F[:, :1] - (F[:, -1:] - F[:, :1]) * _QUARTERS).max(1) > _ROUNDING
        if halvings:  # of a bent piece both halves are straight: its knot is between them
            knots += list(stops[::2][~bent.reshape(-1, 2).any(1)])
        if bent.sum() > _MOST:
            return None
        if not bent.any():
            break
        middle = (starts + stops)[bent] / 2
        starts, stops = (np.stack(pair, 1).ravel() for pair in ((starts[bent], middle), (middle, stops[bent])))
    knots = np.unique(knots)
    masses = np.diff(cdf(knots))
    density = np.where(masses > 1e-13, masses, 0.0) / np.diff(knots)  # gaps are empty
    law = LinearDensity(knots, density, density)
    return law if np.abs(law.cdf(ends) - cdf(ends)).max() < 1e-13 else None
