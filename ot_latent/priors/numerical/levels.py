"""The levels of a law: the logarithms of its tails, as a table, with what quadrature asks of it."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from scipy.interpolate import PPoly

from ot_latent._arrays import Array
from ot_latent.priors.numerical.axis import Axis
from ot_latent.priors.numerical.piecewise import Piecewise

LOG2 = math.log(2)
# Sums of laws are resolved to tails of exp(-FAR_LEVEL) / 2 = 1e-22; beyond, they continue as power laws.
FAR_LEVEL = 50.0
# Marks for quadrature: the level of the last, and how far they are apart, in η and in level.
LAST_MARK, _MARK_STEPS = 1.3 * FAR_LEVEL, (1.6, 3.2)
_NARROW = 1e-4  # panels are halved down to this only where the law is not smooth
# Of short polynomials: how far their panels reach to begin with, their degree, and halvings at most.
_SHORT_STEPS, _DEGREE, _HALVINGS = (0.4, 0.4, 0.4), 7, 12
_BESIDE = np.array([0.0, 0.04, 0.5])  # where they are held against the function
_FAR_ETA = 80.0  # exp(7 * 80) is a number
_NODES = (1 - np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))) / 2
_TO_POWERS = np.linalg.inv(np.vander(_NODES))
# Of wide marks: steps in η, without and with an end of the support, and in level.
_WIDE_STEPS = 3.0, 6.0, 6.0
gauss_legendre = functools.cache(np.polynomial.legendre.leggauss)
_ONE = 1e-11  # of an integral over two panels, to which it is that over both as one


class LevelTable(Piecewise):
    """The level w of a law as a function of η, the coordinate of an `Axis`."""

    @functools.cached_property
    def inverse(self) -> Piecewise:
        """η as a function of the level."""
        twin = self.__dict__.get("mirrored")
        return twin.inverse.mirrored if twin and "inverse" in twin.__dict__ else self.inverted()

    @functools.cached_property
    def symmetric(self) -> bool:
        """Whether both tails are one."""
        return self == self.mirrored

    @functools.cached_property
    def kinks(self) -> np.ndarray:
        """η where the law is not smooth: narrow panels do not always say so, which sums get where it might not be."""
        width = np.diff(self.ends)
        narrow = np.flatnonzero(width < _NARROW)
        groups = np.split(narrow, np.flatnonzero(np.diff(narrow) > 1) + 1)
        places = self.ends[[group[width[group].argmin()] for group in groups if len(group)]]
        return places[self.rough(places, _NARROW)]

    @functools.cached_property
    def marks(self) -> np.ndarray:
        """Levels between which the law is smooth and changes little, for quadrature."""
        return self.levels_apart(_MARK_STEPS[0], *_MARK_STEPS)

    def levels_apart(self, left: float, right: float, level: float) -> np.ndarray:
        """Levels up to the last mark, the ends of panels among them, no two further apart than steps in η and level."""
        low, high = self.inverse(np.array([-LAST_MARK, LAST_MARK]))
        inner = self.ends[(self.ends > low) & (self.ends < high)]
        left_half = _filled(np.array([low, *inner[inner < 0], 0.0]), left)
        eta = np.append(left_half[:-1], _filled(np.array([0.0, *inner[inner > 0], high]), right))
        return _filled(np.maximum.accumulate(self(eta)), level)

    @functools.cached_property
    def _short(self) -> dict[Any, tuple[PPoly, PPoly, bool]]:
        return {}

    def short(self, axis: Axis) -> tuple[PPoly, PPoly, bool]:
        """Places on an axis, in units of its left side, by the level; and F, to ten digits of the lower tail.

        F as a function of these places or, as the third value says, where they reach too far for powers of them,
        of η.
        """
        known, key = self._short, axis.proportions
        if key not in known:
            unit, levels = Axis.of_unit(*key), self.levels_apart(*_SHORT_STEPS)
            eta = self.inverse(levels)
            far = bool(np.abs(eta).max() > _FAR_ETA)
            known[key] = (
                _short_polynomials(lambda w: unit.place(self.inverse(w)), levels),
                _short_polynomials(
                    lambda x: probability(self(x if far else unit.coordinate(x))), eta if far else unit.place(eta)
                ),
                far,
            )
        return known[key]


def _short_polynomials(function: Callable[[np.ndarray], np.ndarray], ends: np.ndarray) -> PPoly:
    """Polynomials of a low degree on panels between `ends`, which are halved until they agree with the function."""
    ends = np.unique(ends)
    ends = ends[np.append(np.diff(ends) > 1e-13 * np.abs(ends[:-1]), True)]
    starts, stops, done = ends[:-1], ends[1:], []
    for halvings_left in reversed(range(_HALVINGS)):
        width = (stops - starts)[:, None]
        values = function((starts[:, None] + width * _NODES).ravel()).reshape(len(width), -1)
        powers = values @ _TO_POWERS.T
        beside = function((starts[:, None] + width * _BESIDE).ravel()).reshape(len(width), -1)
        error = np.abs(powers @ np.vander(_BESIDE, _DEGREE + 1).T - beside).max(1)
        bad = (error > 1e-11 * np.abs(values).max(1)) & (halvings_left > 0)
        done.append((starts[~bad], (powers / width ** np.arange(_DEGREE, -1, -1))[~bad]))
        middle = (starts + stops)[bad] / 2
        starts, stops = np.append(starts[bad], middle), np.append(middle, stops[bad])
        if not len(starts):
            break
    starts, powers = map(np.concatenate, zip(*done, strict=True))
    order = starts.argsort()
    return PPoly.construct_fast(powers[order].T, np.append(starts[order], ends[-1]))


@functools.lru_cache(maxsize=1024)
def left_marks(table: LevelTable, bounded: bool) -> np.ndarray:
    """Levels up to 0 between which quadrature does for sums: ends of panels, but those between two as good as one."""
    low = table.inverse(np.array([-LAST_MARK]))
    eta = np.concatenate([low, table.ends[(table.ends > low) & (table.ends < 0)], [0.0]])
    first, fruitless = 1, 0
    while fruitless < 2 and len(eta) > 2:  # each second end in turn
        some = np.arange(first, len(eta) - 1, 2)
        some = some[_are_one(table, bounded, np.stack([eta[some - 1], eta[some], eta[some + 1]]))]
        eta = np.delete(eta, some)
        first, fruitless = 3 - first, 0 if len(some) else fruitless + 1
    return _filled(np.maximum.accumulate(table(_filled(eta, _WIDE_STEPS[bounded]))), _WIDE_STEPS[2])


def _are_one(table: LevelTable, bounded: bool, eta: np.ndarray) -> np.ndarray:
    """Whether quadrature of places by level, and of levels by place, takes two panels as one, from three ends each."""
    axis, one = Axis.of_unit(bounded, bounded, 1.0), np.ones(eta.shape[1], dtype=bool)
    levels, places, (nodes, weights) = table(eta), axis.place(eta), gauss_legendre(10)
    allowed = _ONE * np.ptp(levels, axis=0) * np.ptp(places, axis=0)
    for function, ends in (
        (lambda w: axis.place(table.inverse(w)), levels),
        (lambda x: table(axis.coordinate(x)), places),
    ):
        low, high = ends[[0, 0, 1]], ends[[2, 1, 2]]  # of both panels as one, and of each
        half = (high - low)[..., None] / 2
        whole, *parts = half[..., 0] * (function(low[..., None] + half * (1 + nodes)) @ weights)
        one &= np.abs(whole - sum(parts)) <= allowed
    return one


def _filled(points: np.ndarray, step: float) -> np.ndarray:
    """Increasing points with more between them, no two further apart than `step`."""
    gaps = np.diff(points)
    parts = np.where(gaps > 0, np.maximum(1, np.ceil(gaps / step)), 0).astype(int)
    start, width = np.repeat(points[:-1], parts), np.repeat(gaps / np.maximum(parts, 1), parts)
    return np.append(start + (np.arange(len(start)) - np.repeat(parts.cumsum() - parts, parts)) * width, points[-1])


def probability(level: Array) -> Array:
    """F at the level w."""
    xp = array_namespace(level)
    tail = 0.5 * xp.exp(-abs(level))
    return xp.where(level < 0, tail, 1 - tail)


def level_of(p: Array) -> Array:
    """The inverse of `probability`."""
    xp = array_namespace(p)
    left = p < 0.5
    below, above = xp.where(left, p, 0.5), xp.where(left, 0.5, 1 - p)
    with np.errstate(divide="ignore"):  # at 0 and 1 the level is infinite
        return xp.where(left, xp.log(2 * below), -xp.log(2 * above))


def log(x: Any) -> Any:
    """The logarithm, -inf at 0 and NaN below without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)
