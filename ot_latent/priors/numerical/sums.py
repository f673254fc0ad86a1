"""The law of a sum of independent laws, by quadrature.

For every s,

    P(X + Y <= y) = F_X(y - s) F_Y(s) + ∫_{Y > s} F_X(y - Y) dP + ∫_{X > y - s} F_Y(y - X) dP,

where nothing cancels, and s is chosen at nearly equal levels, F_X(y - s) = F_Y(s), so that both integrands
fall from their first point on, in a lower tail as in the bulk. Upper tails are lower tails of the
mirrored laws. Gauss-Legendre in levels, between marks at which neither law is smooth or has changed
much; against exact laws the error is below 1e-10, relative to the tail.

`add` tabulates such a sum, in 0.1 s or so. `PairSum` evaluates it at single places, which is cheaper
where there are few of them to each of many sums.
"""

import functools
import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq

from ot_latent._arrays import Array, conform, progress
from ot_latent.monotone import MonotoneMap, monotone_map
from ot_latent.priors.numerical.axis import Axis
from ot_latent.priors.numerical.law import FAR_LEVEL, LAST_MARK, LOG2, NumericalLaw, log, probability
from ot_latent.priors.numerical.piecewise import Piecewise

_NEGLIGIBLE = 28.0  # exp(-28) = 7e-13
_GAUSS = np.polynomial.legendre.leggauss(10)
# Levels whose places, added up, cover the sum: its tails are at least the product of the terms'.
_GRID = np.concatenate([np.arange(-120.0, -60, 4), np.arange(-60.0, 61), np.arange(64.0, 121, 4)])


def sum_of(laws: Sequence[NumericalLaw]) -> NumericalLaw:
    """The law of a sum of independent `NumericalLaw`, the narrowest first.

    Pairs that occur again are not added again.
    """
    order = itertools.count()  # laws themselves do not compare
    terms = [(_width(law), next(order), law) for law in laws]
    heapq.heapify(terms)
    known: dict[tuple[NumericalLaw, NumericalLaw], NumericalLaw] = {}
    for _ in progress(range(len(terms) - 1), "adding laws"):
        (_, _, X), (_, _, Y) = heapq.heappop(terms), heapq.heappop(terms)
        if (X, Y) not in known:
            known[X, Y] = add(X, Y)
        heapq.heappush(terms, (_width(known[X, Y]), next(order), known[X, Y]))
    return terms[0][2]


def _width(law: NumericalLaw) -> float:
    return law.axis.left_unit + law.axis.right_unit


class PairSum:
    """The law of v Z + w Z', tabulated only where it is asked for more than its levels.

    Parameters
    ----------
    first, second : NumericalLaw
        Of Z and Z'.
    v, w : float
        Not zero.
    """

    def __init__(self, first: NumericalLaw, second: NumericalLaw, v: float, w: float) -> None:
        self.terms = first.scaled(v), second.scaled(w)
        self.mirrored_terms = first.scaled(-v), second.scaled(-w)
        self.mean = self.terms[0].mean + self.terms[1].mean
        self.var = self.terms[0].var + self.terms[1].var
        self.support = tuple(sum(ends) for ends in zip(*(law.support for law in self.terms), strict=True))

    @functools.cached_property
    def tabulated(self) -> NumericalLaw:
        return add(*self.terms)

    def __getattr__(self, name: str) -> Any:
        if name in ("pdf", "cdf", "sf", "icdf", "isf", "sample"):
            return getattr(self.tabulated, name)
        raise AttributeError(name)

    def level(self, x: np.ndarray) -> np.ndarray:
        """The level at places x, (n,), by quadrature for each."""
        y = x - _origin(*self.terms)
        level = _nearly_equal_level(*self.terms, y)
        # below a level of 0 in both terms F is at most 3/4, so that log F is as good as log (1 - F)
        left = level < 0
        level[left] = _level(_log_cdf(*self.terms, y[left]))
        mirrored = -x[~left] - _origin(*self.mirrored_terms)
        level[~left] = -_level(_log_cdf(*self.mirrored_terms, mirrored))
        return level

    def map_to(self, target: Any) -> MonotoneMap:
        """The monotone map onto `target`, of the tabulated law."""
        return monotone_map(self.tabulated, target)

    def map_few_to(self, target: Any) -> Callable[[Array], Array]:
        """The same map for a few points, by a quadrature for each, without a table."""
        if not isinstance(target, NumericalLaw):
            return self.map_to(target)

        def moved(x: Array) -> Array:
            place = target.place(self.level(np.asarray(x, dtype=float)))
            return conform(x, np.clip(target.axis.origin + place, *target.support))[0]

        return moved


def sum_of_terms(terms: Sequence[tuple[NumericalLaw, float]]) -> NumericalLaw | PairSum:
    """The law of Σ w Z over (law, w) in `terms`; of two terms a `PairSum`."""
    if len(terms) == 2:
        (first, v), (second, w) = terms
        return PairSum(first, second, v, w)
    return sum_of([law.scaled(w) for law, w in terms])


def tabulated(law: Any) -> Any:
    """The law itself, or the table of a `PairSum`."""
    return law.tabulated if isinstance(law, PairSum) else law


def _level(log_cdf: np.ndarray) -> np.ndarray:
    """The level where log F is `log_cdf`."""
    below = log_cdf < -LOG2
    return np.where(below, log_cdf + LOG2, -LOG2 - log(-np.expm1(np.where(below, -1.0, log_cdf))))


def _origin(X: NumericalLaw, Y: NumericalLaw) -> float:
    """Where the places of X + Y are measured from."""
    return X.axis.origin + Y.axis.origin


def _nearly_equal_level(X: NumericalLaw, Y: NumericalLaw, y: np.ndarray) -> np.ndarray:
    """A level of which both terms' places sum up to y, nearly."""
    return np.interp(y, X.place(_GRID) + Y.place(_GRID), _GRID)


def add(X: NumericalLaw, Y: NumericalLaw) -> NumericalLaw:
    """The law of X + Y, independent of each other."""
    places = X.place(_GRID) + Y.place(_GRID)
    inner = np.abs(_GRID) <= 3

    def excess(place: float) -> float:
        return float(_log_cdf(X, Y, np.array([place]))[0]) + LOG2

    first, last = places[inner][[0, -1]]
    middle = brentq(excess, first, last, xtol=1e-16 * (last - first), rtol=1e-14)
    median = middle + _origin(X, Y)
    mirrored = X.mirrored, Y.mirrored
    mirrored_middle = -median - _origin(*mirrored)
    left_unit, left = _left_half(X, Y, middle)
    right_unit, right = _left_half(*mirrored, mirrored_middle)
    low, high = X.axis.low + Y.axis.low, X.axis.high + Y.axis.high
    axis = Axis(low, median, high, left_unit, right_unit)
    return NumericalLaw(axis, left.joined(right.mirrored()), X.mean + Y.mean, X.var + Y.var)


def _left_half(X: NumericalLaw, Y: NumericalLaw, middle: float) -> tuple[float, Piecewise]:
    """The unit of the axis, and the level as a function of η, left of the median of X + Y."""
    places = X.place(_GRID) + Y.place(_GRID)
    levels = _log_cdf(X, Y, places) + LOG2
    known = (places < middle) & np.isfinite(levels)
    places, levels = places[known], levels[known]
    bounded = X.axis.left_bounded and Y.axis.left_bounded
    unit = middle if bounded else middle - np.interp(-LOG2, levels, places)
    eta = np.log(places / unit) if bounded else -np.log1p((middle - places) / unit)

    def level(eta: np.ndarray) -> np.ndarray:
        place = unit * np.exp(eta) if bounded else middle - unit * np.expm1(-eta)
        return _log_cdf(X, Y, place) + LOG2

    # several panels to begin with, so that no narrow feature falls between nodes
    ends = np.interp([-FAR_LEVEL, -10, -4, -1.5, -0.6, -0.2, -0.05], levels, eta, right=0.0)
    return float(unit), Piecewise.fit(level, np.unique([*ends, 0.0]))


def _log_cdf(X: NumericalLaw, Y: NumericalLaw, places: np.ndarray) -> np.ndarray:
    """log P(X + Y <= y), y measured from the sum of the origins, in bounded memory."""
    parts = np.array_split(places, 1 + len(places) // 128)
    return np.concatenate([_log_cdf_of_some(X, Y, part) for part in parts])


def _log_cdf_of_some(X: NumericalLaw, Y: NumericalLaw, y: np.ndarray) -> np.ndarray:
    s = Y.place(_nearly_equal_level(X, Y, y))
    level_x, level_y = X.level(y - s), Y.level(s)
    corner = probability(level_x) * probability(level_y)
    # Beyond these levels either integral is below _NEGLIGIBLE of the corner.
    last = -_NEGLIGIBLE + log(corner)
    stop_y = np.minimum(-last, Y.level(y - X.place(last)))
    stop_x = np.minimum(-last, X.level(y - Y.place(last)))
    first = _integral(X, Y, y, level_y, stop_y)
    return log(corner + first + _integral(Y, X, y, level_x, stop_x))


def _integral(X: NumericalLaw, Y: NumericalLaw, y: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """∫ F_X(y - Y) over Y between the levels `start` and `stop`, at each y."""
    start = np.clip(start, -LAST_MARK, FAR_LEVEL)[:, None]
    stop = np.clip(stop[:, None], start, FAR_LEVEL)
    crossings = Y.level(y[:, None] - X.marked_places)
    marks = np.broadcast_to(Y.marks, (len(y), len(Y.marks)))
    ends = np.concatenate([start, marks, crossings], axis=1)
    ends = np.sort(np.clip(ends, start, stop), axis=1)
    row, column = np.nonzero(np.diff(ends, axis=1) > 1e-13)
    low, high = ends[row, column, None], ends[row, column + 1, None]
    nodes, weights = _GAUSS
    levels = (low + high) / 2 + (high - low) / 2 * nodes
    values = probability(X.level(y[row, None] - Y.place(levels)))
    masses = 0.25 * (high - low) * weights * np.exp(-np.abs(levels))
    return np.bincount(row, (values * masses).sum(1), minlength=len(y))
