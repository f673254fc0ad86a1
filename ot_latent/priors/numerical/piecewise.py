"""Increasing functions as piecewise Chebyshev series that find their own panels."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from array_api_compat import array_namespace
from scipy.interpolate import PPoly

from ot_latent._arrays import Array, conform

TOLERANCE = 1e-11  # a panel has converged when its last coefficients are below this
_ROUNDING = 4e-15  # of places and values of inverse functions
_DEGREE = 15  # of the series, from sixteen values a panel
_NODES = np.cos(math.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
_TO_SERIES = np.linalg.inv(np.polynomial.chebyshev.chebvander(_NODES, _DEGREE)).T
# T_k(2s - 1) by powers of s, highest first: they grow more slowly than converged series fall
_POWERS = np.zeros((_DEGREE + 1, _DEGREE + 1))
for _k in range(_DEGREE + 1):
    _POWERS[_DEGREE - _k :, _k] = (
        np.polynomial.Chebyshev.basis(_k, [0, 1]).convert(kind=np.polynomial.Polynomial).coef[::-1]
    )


def _series(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients from values at the nodes of panels (n, 16), and the largest of the last three of each panel."""
    series = values @ _TO_SERIES
    return series, np.abs(series[:, -3:]).max(1)


class Piecewise:
    """An increasing function by Chebyshev series on panels, and straight beyond them.

    Parameters
    ----------
    ends : array (n + 1,)
        Of the panels, increasing.
    series : array (n, 16)
        Coefficients on each panel.
    """

    def __init__(self, ends: np.ndarray, series: np.ndarray) -> None:
        self.ends, self.series = ends, series
        self.end_slopes = [float(slope) for slope in self._at(ends[[0, -1]], 1)]

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Piecewise) and np.array_equal(self.ends, other.ends)
        return self is other or (same and np.array_equal(self.series, other.series))

    def __hash__(self) -> int:
        return hash((len(self.ends), float(self.ends[0]), float(self.ends[-1])))

    @classmethod
    def fit(cls, function: Callable[[np.ndarray], np.ndarray], ends: np.ndarray, tolerance: float = TOLERANCE) -> Self:
        """Halve the panels between `ends` until the series of all of them have converged."""
        return cls.fit_several(lambda x, _: function(x), [ends], tolerance)[0]

    @classmethod
    def fit_several(
        cls,
        function: Callable[[np.ndarray, np.ndarray], np.ndarray],
        ends: Sequence[np.ndarray],
        tolerance: float = TOLERANCE,
    ) -> list[Self]:
        """As `fit`, of several functions at a time: `function` takes points and the number of the function of each."""
        number = np.repeat(np.arange(len(ends)), [len(each) - 1 for each in ends])
        starts, stops = (np.concatenate([each[part] for each in ends]) for part in (slice(-1), slice(1, None)))
        narrowest = 1e-10 * np.array([each[-1] - each[0] for each in ends])
        done: list[tuple[int, float, np.ndarray]] = []
        least, stalled = np.full(len(starts), np.inf), np.zeros(len(starts), dtype=int)
        while len(starts):
            middle, half = (starts + stops) / 2, (stops - starts) / 2
            values = function((middle[:, None] + half[:, None] * _NODES).ravel(), np.repeat(number, len(_NODES)))
            if not np.all(np.isfinite(values)):
                raise ValueError("the law's distribution function is 0 or NaN within its support")
            values = values.reshape(len(starts), -1)
            series, last = _series(values)
            converged = last <= tolerance + 4e-16 * np.abs(values).max(1)
            # what halving improves no longer is noise of the function itself; the worst singularity
            # met, a square root, improves by 0.71
            stalled = np.where(last < 0.75 * least, 0, stalled + 1)
            least = np.minimum(least, last)
            noise = (stalled >= 3) & (last < 1e-4) & (half < 0.02)
            keep = converged | (half < narrowest[number]) | noise
            done += zip(number[keep], starts[keep], series[keep], strict=True)
            starts, stops, middle = starts[~keep], stops[~keep], middle[~keep]
            starts, stops = np.concatenate([starts, middle]), np.concatenate([middle, stops])
            number, least, stalled = (np.tile(each[~keep], 2) for each in (number, least, stalled))
        done.sort(key=lambda panel: panel[:2])
        panels = [list(group) for _, group in itertools.groupby(done, key=lambda panel: panel[0])]
        return [
            cls(np.array([*(start for _, start, _ in some), each[-1]]), np.array([series for _, _, series in some]))
            for some, each in zip(panels, ends, strict=True)
        ]

    def rough(self, x: np.ndarray, half: float) -> np.ndarray:
        """Whether the function is no polynomial on the panel from x - half to x + half, for each x."""
        return _series(self(x[:, None] + half * _NODES))[1] > TOLERANCE

    @property
    def largest_jump(self) -> float:
        """Between two panels, or within one that was halved until it was narrow."""
        first, last = self.series @ (-1.0) ** np.arange(_DEGREE + 1), self.series.sum(1)
        narrow = np.diff(self.ends) < 1e-9 * (self.ends[-1] - self.ends[0])
        within = np.max(np.abs(last - first), where=narrow, initial=0.0)
        return max(np.max(np.abs(first[1:] - last[:-1]), initial=0.0), within)

    def joined(self, other: "Piecewise") -> Self:
        """This function up to where `other` begins, and `other` from there."""
        return type(self)(np.concatenate([self.ends[:-1], other.ends]), np.concatenate([self.series, other.series]))

    @functools.cached_property
    def mirrored(self) -> Self:
        """x -> -f(-x)."""
        signs = -((-1.0) ** np.arange(self.series.shape[1]))
        twin = type(self)(-self.ends[::-1], signs * self.series[::-1])
        twin.__dict__["mirrored"] = self
        return twin

    def __call__(self, x: Array) -> Array:
        inside = x.clip(float(self.ends[0]), float(self.ends[-1]))
        value, beyond = self._at(inside, 0), x - inside
        if not beyond.any():
            return value
        xp = array_namespace(x)
        first, last = self.end_slopes
        further = value + xp.where(beyond < 0, first * beyond, last * beyond)
        return xp.where(beyond == 0, value, further)

    def slope(self, x: Array) -> Array:
        """The derivative."""
        return self._at(x.clip(float(self.ends[0]), float(self.ends[-1])), 1)

    @functools.cached_property
    def _polynomials(self) -> PPoly:
        powers = _POWERS @ self.series.T / np.diff(self.ends) ** np.arange(_DEGREE, -1, -1)[:, None]
        return PPoly.construct_fast(powers, self.ends)

    def _at(self, x: Array, order: int) -> Array:
        """The function, or its derivative of order 1, at points within the panels."""
        if getattr(x, "dtype", None) == np.float64:
            return self._polynomials(x, order)
        # single precision, or torch with gradients: Clenshaw's recurrence
        xp, series = array_namespace(x), self.series
        if order:
            series = np.polynomial.chebyshev.chebder(series, axis=1) * (2 / np.diff(self.ends)[:, None])
        ends, lengths, series = conform(x, self.ends, np.diff(self.ends), series)
        row = xp.clip(xp.searchsorted(ends, x, side="right") - 1, 0, len(self.ends) - 2)
        # clipped, because in single precision a narrow panel may have no width
        s = xp.clip(2 * (x - ends[row]) / lengths[row] - 1, -1.0, 1.0)
        series = series[row]
        last, before = series[..., -1], 0.0
        for degree in range(series.shape[-1] - 2, 0, -1):
            last, before = series[..., degree] + 2 * s * last - before, last
        return series[..., 0] + s * last - before

    def inverted(self) -> "Piecewise":
        """The inverse function, whose panels also end at 0."""
        # beginning with the images of the panels, so that no narrow feature falls between nodes
        ends = np.unique([*self(self.ends), 0.0])
        apart = np.append(np.diff(ends) > 1e-9, True)
        return Piecewise.fit(self._solve, ends[apart])

    def _solve(self, y: np.ndarray) -> np.ndarray:
        """x where the function is y: Newton's method, kept in the bracket by bisection."""
        levels = np.maximum.accumulate(self(self.ends))
        row = np.clip(np.searchsorted(levels, y, side="right") - 1, 0, len(levels) - 2)
        low, high = self.ends[row], self.ends[row + 1]
        rise = levels[row + 1] - levels[row]
        part = (y - levels[row]) / np.where(rise > 0, rise, 1.0)
        x = low + (high - low) * np.clip(part, 0, 1)
        rounding = _ROUNDING * np.maximum(np.abs(low), np.abs(high))
        for _ in range(80):
            error, slope = self(x) - y, self.slope(x)
            low, high = np.where(error < 0, x, low), np.where(error > 0, x, high)
            newton = x - error / np.where(slope > 0, slope, 1e-300)
            x_new = np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
            x_new = np.where(np.abs(error) <= _ROUNDING * np.abs(y), x, x_new)
            step, x = np.abs(x_new - x), x_new
            if np.all(step <= rounding):
                break
        return x
