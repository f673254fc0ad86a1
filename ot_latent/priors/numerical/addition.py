"""The law of a sum of two independent laws, by quadrature.

For every s,

    P(X + Y <= y) = F_X(y - s) F_Y(s) + ∫_{Y > s} F_X(y - Y) dP + ∫_{X > y - s} F_Y(y - X) dP,

where nothing cancels, and s is chosen at nearly equal levels, F_X(y - s) = F_Y(s), so that both integrands
fall from their first point on, in a lower tail as in the bulk. Upper tails are lower tails of the
mirrored laws. Gauss-Legendre in levels, between marks at which neither law is smooth or has changed
much; against exact laws the error is below 1e-10, relative to the tail.

`add` tabulates such a sum, in some hundredths of a second. `levels_of_sum` evaluates it at single places.
"""

import functools
import math
from typing import TypeAlias

import numpy as np

from ot_latent.priors.numerical.axis import Axis, rounded
from ot_latent.priors.numerical.law import NumericalLaw
from ot_latent.priors.numerical.levels import FAR_LEVEL, LAST_MARK, LOG2, LevelTable, gauss_legendre, log, probability
from ot_latent.priors.numerical.steps import sum_of_steps
from ot_latent.priors.numerical.tabulation import tabulate

# The proportions of a law's axis and its levels: what is left of it without its place and size.
Shape: TypeAlias = tuple[tuple[bool, bool, float], LevelTable]

_NEGLIGIBLE = 26.0  # exp(-26) = 5e-12
_GAUSS, _GAUSS_SHORT = map(gauss_legendre, (20, 10))
_SHORT = 1.0  # panels in levels, for which half of the nodes do
# Levels whose places, added up, cover the sum: its tails are at least the product of the terms'.
_GRID = np.concatenate([np.arange(-120.0, -60, 4), np.arange(-60.0, 61), np.arange(64.0, 121, 4)])
_TOLERANCE = 1e-10  # of a level: of the last terms of series
_KEPT = 1024  # sums that are remembered: some 100 kB each
_MOST_KNOTS = 60  # of histograms, whose sums are exact
_FEW = 256  # rows
# Both terms' level at the median of the sum is no further from 0: there F is between the squares of theirs.
_AROUND = 0.54
# Levels at which the sum is looked at before its panels are chosen, and those where they end at least.
_SKETCH = np.array([*range(-120, -60, 16), *range(-60, -10, 5), *range(-10, 1), _AROUND])
_ENDS = [-FAR_LEVEL, -26, -10, -4, -1.5, -0.6, -0.2, -0.05]
# Distances in η from a kink, at which panels end where the law is no polynomial beside it: wider where less is left.
_GRADED = 3.0 ** -(np.arange(12) * (1 + np.arange(12) / 40))
_GRADED_KINKS = 8  # of more than these few matter, sums of sums being smoother: halving finds them


def _level(log_cdf: np.ndarray) -> np.ndarray:
    """The level where log F is `log_cdf`."""
    below = log_cdf < -LOG2
    return np.where(below, log_cdf + LOG2, -LOG2 - log(-np.expm1(np.where(below, -1.0, log_cdf))))


def levels_of_sum(X: NumericalLaw, Y: NumericalLaw, x: np.ndarray) -> np.ndarray:
    """The levels of X + Y at places x, (n,), by quadrature for each."""
    y = x - origin_of_sum(X, Y)
    level = _nearly_equal_level(X, Y, y)
    # below a level of 0 in both terms F is at most 3/4, so that log F is as good as log (1 - F)
    left = level < 0
    level[left] = _level(_log_cdf(X, Y, y[left]))
    mirrored = X.mirrored, Y.mirrored
    level[~left] = -_level(_log_cdf(*mirrored, -x[~left] - origin_of_sum(*mirrored)))
    return level


def origin_of_sum(X: NumericalLaw, Y: NumericalLaw) -> float:
    """Where the places of X + Y are measured from."""
    return X.axis.origin + Y.axis.origin


def _nearly_equal_level(X: NumericalLaw, Y: NumericalLaw, y: np.ndarray) -> np.ndarray:
    """A level of which both terms' places sum up to y, nearly."""
    return np.interp(y, X.place(_GRID) + Y.place(_GRID), _GRID)


def add(X: NumericalLaw, Y: NumericalLaw) -> NumericalLaw:
    """The law of X + Y, independent of each other; sums of one shape are computed once."""
    if X.exact and Y.exact and max(len(X.exact.knots), len(Y.exact.knots)) <= _MOST_KNOTS:
        return tabulate(sum_of_steps(X.exact, Y.exact))
    X, Y = by_size(X, Y)
    size = X.axis.left_unit
    shapes = ((X.axis.proportions, X.table), (Y.axis.proportions, Y.table))
    axis, table, moved = sum_shape(*shapes, rounded(Y.axis.left_unit / size))
    left_unit, right_unit = size * axis.left_unit, size * axis.right_unit
    low, high = X.axis.low + Y.axis.low, X.axis.high + Y.axis.high
    median = low + left_unit if axis.left_bounded else origin_of_sum(X, Y) + size * moved
    if axis.right_bounded:  # to the last digit, on which the upper tail depends
        right_unit = high - median
    return NumericalLaw(Axis(low, median, high, left_unit, right_unit), table, X.mean + Y.mean, X.var + Y.var)


def by_size(X: NumericalLaw, Y: NumericalLaw) -> tuple[NumericalLaw, NumericalLaw]:
    """Both, the larger one first."""
    return (X, Y) if X.axis.left_unit >= Y.axis.left_unit else (Y, X)


@functools.lru_cache(maxsize=_KEPT)
def sum_shape(first: Shape, second: Shape, ratio: float) -> tuple[Axis, LevelTable, float]:
    """The axis and table of X + Y with X of unit size, Y of size `ratio`, and the median from the origins."""
    X = NumericalLaw(Axis.of_unit(*first[0]), first[1], math.nan, math.nan)
    Y = NumericalLaw(Axis.of_unit(*second[0]).scaled(ratio), second[1], math.nan, math.nan)
    both = X.symmetric and Y.symmetric
    middle = X.axis.middle + Y.axis.middle if both else _middle(X, Y)
    median = middle + origin_of_sum(X, Y)
    left_unit, left = _left_half(X, Y, middle)
    right_unit, right = left_unit, left
    if not both:
        mirrored = X.mirrored, Y.mirrored
        right_unit, right = _left_half(*mirrored, -median - origin_of_sum(*mirrored))
    axis = Axis(X.axis.low + Y.axis.low, median, X.axis.high + Y.axis.high, left_unit, right_unit)
    return axis, left.joined(right.mirrored), middle


def _middle(X: NumericalLaw, Y: NumericalLaw) -> float:
    """The median of X + Y, from the sum of the origins: nearly, since levels differ by the square of the error."""
    around = np.array([-_AROUND, _AROUND])
    low, high = X.place(around) + Y.place(around)
    for _ in range(2):
        places = np.linspace(low, high, 17)
        excess = np.maximum.accumulate(_log_cdf(X, Y, places)) + LOG2
        i = np.clip(np.searchsorted(excess, 0.0), 1, 16)
        low, high = places[i - 1 : i + 1]
    return float(np.interp(0.0, excess, places))


def _left_half(X: NumericalLaw, Y: NumericalLaw, middle: float) -> tuple[float, LevelTable]:
    """The unit of the axis, and the level as a function of η, left of the median of X + Y."""
    places = X.place(_SKETCH) + Y.place(_SKETCH)
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
    ends = np.interp(_ENDS, levels, eta, right=0.0)
    kinks = np.add.outer(X.kinks, Y.kinks).ravel()
    kinks = kinks[(kinks > max(places[0], 0.0 if bounded else -np.inf)) & (kinks < middle)]
    kinks = np.log(kinks / unit) if bounded else -np.log1p((middle - kinks) / unit)
    if len(kinks) <= _GRADED_KINKS and not (X.polynomial and Y.polynomial):
        power = min(X.powers, default=1.0) + min(Y.powers, default=1.0)
        graded = _GRADED[: math.ceil(len(_GRADED) / max(1.0, power))]
        kinks = np.add.outer(kinks, [*-graded, 0.0, *graded]).ravel()
    ends = np.unique([*ends, *kinks[(kinks > ends[0]) & (kinks < 0.0)], 0.0])
    return float(unit), LevelTable.fit(level, ends[np.diff(ends, prepend=-np.inf) > 1e-9], _TOLERANCE)


def _log_cdf(X: NumericalLaw, Y: NumericalLaw, places: np.ndarray) -> np.ndarray:
    """log P(X + Y <= y), y measured from the sum of the origins, in bounded memory."""
    s = Y.place(_nearly_equal_level(X, Y, places))
    parts = 1 + len(places) // _FEW
    pairs = zip(np.array_split(places, parts), np.array_split(s, parts), strict=True)
    return np.concatenate([_log_cdf_of_some(X, Y, *pair) for pair in pairs])


def _log_cdf_of_some(X: NumericalLaw, Y: NumericalLaw, y: np.ndarray, s: np.ndarray) -> np.ndarray:
    level_x, level_y = X.level(y - s), Y.level(s)
    corner = probability(level_x) * probability(level_y)
    # what is known to be below y: the corner, and either term so far below that half of the other may be added
    alone = np.maximum(X.level(y - Y.axis.middle), Y.level(y - X.axis.middle))
    last = np.maximum(log(corner), np.minimum(alone, 0) - 2 * LOG2) - _NEGLIGIBLE
    total = corner
    for A, B, a, b in ((X, Y, level_x, level_y), (Y, X, level_y, level_x)):
        total = total + _integral(A, B, y, a, b, last)
    return log(total)


def _integral(
    X: NumericalLaw, Y: NumericalLaw, y: np.ndarray, first_x: np.ndarray, first_y: np.ndarray, last: np.ndarray
) -> np.ndarray:
    """∫ F_X(y - Y) over Y beyond the level `first_y`, where that of y - Y is `first_x`, at each y.

    Parts below exp(last) are left out: before and beyond some levels, and where F_X and the density of Y
    are small together.
    """
    start = np.maximum(first_y, last - np.clip(first_x, -1e3, 0))
    stop = np.minimum(-last, Y.level(y - X.place(last)))
    start = np.clip(start, -LAST_MARK, FAR_LEVEL)[:, None]
    stop = np.clip(stop[:, None], start, FAR_LEVEL)
    crossings = Y.level(y[:, None] - X.short_place(_between(X.wide_marks, last.min(), first_x.max())))
    marks = _between(Y.wide_marks, start.min(), stop.max())
    ends = np.concatenate([start, np.broadcast_to(marks, (len(y), len(marks))), crossings, stop], axis=1)
    ends = np.sort(np.clip(ends, start, stop), axis=1)
    row, column = np.nonzero(np.diff(ends, axis=1) > 1e-13)
    low, high = ends[row, column], ends[row, column + 1]
    largest = X.short_probability(y[row] - Y.short_place(low)) * np.exp(-np.minimum(abs(low), abs(high)))
    largest *= np.minimum(high - low, 1.0)
    kept, short = largest > np.exp(last)[row], high - low < _SHORT
    if singular := X.axis.left_bounded and not X.polynomial:
        end = np.minimum(Y.level(y), 4 * FAR_LEVEL)[row]
        far, near = end - low, np.maximum(end - high, 1e-7 * (end - low))
        short &= far < 20 * near
    total = np.zeros(len(y))
    for here, (nodes, weights) in ((kept & ~short, _GAUSS), (kept & short, _GAUSS_SHORT)):
        if singular:  # nodes even in the logarithm of the distance to where X ends, of which F is an exponential
            middle, half = np.sqrt(far * near)[here, None], np.log(far / near)[here, None] / 2
            distance = middle * np.exp(-half * nodes)
            levels, half = end[here, None] - distance, half * distance
        else:
            middle, half = (low + high)[here, None] / 2, (high - low)[here, None] / 2
            levels = middle + half * nodes
        values = X.short_probability(y[row[here], None] - Y.short_place(levels))
        masses = 0.5 * half * weights * np.exp(-np.abs(levels))
        total += np.bincount(row[here], (values * masses).sum(1), minlength=len(y))
    return total


def _between(marks: np.ndarray, low: float, high: float) -> np.ndarray:
    return marks[(marks > low) & (marks < high)]
