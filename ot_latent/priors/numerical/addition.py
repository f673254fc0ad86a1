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
import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ot_latent._arrays import progress
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
_KEPT, _TOGETHER = 1024, 64  # sums that are remembered, some 100 kB each, and found at a time
_MOST_KNOTS = 60  # of histograms, whose sums are exact
_FEW = 512  # rows
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
    y, ratio = x - origin_of_sum(X, Y), np.ones(len(x))
    level = _nearly_equal_level(X, Y, ratio, y)
    # below a level of 0 in both terms F is at most 3/4, so that log F is as good as log (1 - F)
    left = level < 0
    level[left] = _level(_log_cdf(X, Y, ratio[left], y[left]))
    mirrored = X.mirrored, Y.mirrored
    level[~left] = -_level(_log_cdf(*mirrored, ratio[~left], -x[~left] - origin_of_sum(*mirrored)))
    return level


def origin_of_sum(X: NumericalLaw, Y: NumericalLaw, ratio: Any = 1.0) -> Any:
    """Where the places of X + ratio * Y are measured from."""
    return X.axis.origin + ratio * Y.axis.origin


def _nearly_equal_level(X: NumericalLaw, Y: NumericalLaw, ratio: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A level of which both terms' places sum up to y, nearly."""
    places = _grid(X) + ratio[:, None] * _grid(Y)
    i = np.clip((places < y[:, None]).sum(1), 1, len(_GRID) - 1)
    row = np.arange(len(y))
    low, high = places[row, i - 1], places[row, i]
    part = np.divide(y - low, high - low, out=np.zeros_like(y), where=high > low)
    return _GRID[i - 1] + np.clip(part, 0.0, 1.0) * (_GRID[i] - _GRID[i - 1])


@functools.lru_cache(maxsize=64)
def _grid(law: NumericalLaw) -> np.ndarray:
    return law.place(_GRID)


def add(X: NumericalLaw, Y: NumericalLaw) -> NumericalLaw:
    """The law of X + Y, independent of each other; sums of one shape are computed once."""
    return add_all([(X, Y)])[0]


def add_all(pairs: Sequence[tuple[NumericalLaw, NumericalLaw]]) -> list[NumericalLaw]:
    """The law of X + Y for each pair: those of sums of two shapes, whatever their ratio, at once."""
    found: dict[int, NumericalLaw] = {}
    alike: dict[tuple[Shape, Shape], dict[int, float]] = {}
    pairs = [by_size(*pair) for pair in pairs]
    for i, (X, Y) in enumerate(pairs):
        if X.exact and Y.exact and max(len(X.exact.knots), len(Y.exact.knots)) <= _MOST_KNOTS:
            found[i] = tabulate(sum_of_steps(X.exact, Y.exact))
        else:
            alike.setdefault((shape_of(X), shape_of(Y)), {})[i] = rounded(Y.axis.left_unit / X.axis.left_unit)
    for shapes, ratios in alike.items():
        for i, (axis, table) in zip(ratios, sum_shapes(*shapes, list(ratios.values())), strict=True):
            X, Y = pairs[i]
            size = X.axis.left_unit
            left_unit, low, high = size * axis.left_unit, X.axis.low + Y.axis.low, X.axis.high + Y.axis.high
            median = low + left_unit if axis.left_bounded else origin_of_sum(X, Y) + size * axis.median
            # to the last digit where there is an end, on which the upper tail depends
            right_unit = high - median if axis.right_bounded else size * axis.right_unit
            place = Axis(low, median, high, left_unit, right_unit)
            found[i] = NumericalLaw(place, table, X.mean + Y.mean, X.var + Y.var)
    return [found[i] for i in range(len(pairs))]


def shape_of(law: NumericalLaw) -> Shape:
    """The proportions of its axis, and its levels."""
    return law.axis.proportions, law.table


def law_of(shape: Shape) -> NumericalLaw:
    """The law of a shape whose axis has the left unit 1."""
    return NumericalLaw(Axis.of_unit(*shape[0]), shape[1], math.nan, math.nan)


def by_size(X: NumericalLaw, Y: NumericalLaw) -> tuple[NumericalLaw, NumericalLaw]:
    """Both, the larger one first."""
    return (X, Y) if X.axis.left_unit >= Y.axis.left_unit else (Y, X)


def sum_shapes(first: Shape, second: Shape, ratios: Sequence[float]) -> list[tuple[Axis, LevelTable]]:
    """Axes and tables of X + r Y for each r in `ratios`, with X and Y of unit size and the origin 0."""
    known = _known_sums()
    found = {ratio: known.pop((first, second, ratio), None) for ratio in ratios}  # and put back, as the latest
    new = sorted(ratio for ratio, shape in found.items() if shape is None)
    for start in progress(range(0, len(new), _TOGETHER), "laws of sums"):
        some = new[start : start + _TOGETHER]
        found.update(zip(some, _sums(first, second, np.array(some)), strict=True))
    known.update(((first, second, ratio), shape) for ratio, shape in found.items())
    while len(known) > _KEPT:
        known.pop(next(iter(known)), None)
    return [found[ratio] for ratio in ratios]


@functools.cache
def _known_sums() -> dict[tuple[Shape, Shape, float], tuple[Axis, LevelTable]]:
    return {}


def _sums(first: Shape, second: Shape, ratio: np.ndarray) -> list[tuple[Axis, LevelTable]]:
    X, Y = law_of(first), law_of(second)
    both = X.symmetric and Y.symmetric
    median = X.axis.middle + ratio * Y.axis.middle if both else _medians_of_sums(X, Y, ratio)
    left_units, lefts = _left_halves(X, Y, ratio, median)
    right_units, rights = left_units, lefts
    if not both:
        mirrored = X.mirrored, Y.mirrored
        right_units, rights = _left_halves(*mirrored, ratio, -median - origin_of_sum(*mirrored, ratio))
    tables = (left.joined(right.mirrored) for left, right in zip(lefts, rights, strict=True))
    low, high = (x + ratio * y for x, y in ((X.axis.low, Y.axis.low), (X.axis.high, Y.axis.high)))
    axes = itertools.starmap(Axis, np.stack([low, median, high, left_units, right_units], 1).tolist())
    return list(zip(axes, tables, strict=True))


def _medians_of_sums(X: NumericalLaw, Y: NumericalLaw, ratio: np.ndarray) -> np.ndarray:
    """Medians of X + ratio Y, from the origins: nearly, since levels differ by the square of the error."""
    around, row = np.array([-_AROUND, _AROUND]), np.arange(len(ratio))
    ends = X.place(around) + ratio[:, None] * Y.place(around)
    for _ in range(2):
        places = np.linspace(*ends.T, 17, axis=1)
        excess = np.maximum.accumulate(_log_cdf_of_each(X, Y, ratio, places) + LOG2, axis=1)
        i = np.clip((excess < 0.0).sum(1), 1, 16)
        ends = np.stack([places[row, i - 1], places[row, i]], 1)
    return np.array([np.interp(0.0, *pair) for pair in zip(excess, places, strict=True)])


def _left_halves(
    X: NumericalLaw, Y: NumericalLaw, ratio: np.ndarray, middle: np.ndarray
) -> tuple[np.ndarray, list[LevelTable]]:
    """Units of axes, and levels as functions of η, left of the medians of X + ratio Y."""
    sketch = X.place(_SKETCH) + ratio[:, None] * Y.place(_SKETCH)
    sketched = _log_cdf_of_each(X, Y, ratio, sketch) + LOG2
    bounded = X.axis.left_bounded and Y.axis.left_bounded
    units, ends = middle.copy(), []
    for i, (r, end) in enumerate(zip(ratio, middle, strict=True)):
        known = (sketch[i] < end) & np.isfinite(sketched[i])
        places, levels = sketch[i, known], sketched[i, known]
        units[i] = end if bounded else end - np.interp(-LOG2, levels, places)

        def coordinate(place: np.ndarray, unit: float = units[i], end: float = end) -> np.ndarray:
            return np.log(place / unit) if bounded else -np.log1p((end - place) / unit)

        # several panels to begin with, so that no narrow feature falls between nodes
        begin = np.interp(_ENDS, levels, coordinate(places), right=0.0)
        kinks = np.add.outer(X.kinks, r * Y.kinks).ravel()
        kinks = coordinate(kinks[(kinks > max(places[0], 0.0 if bounded else -np.inf)) & (kinks < end)])
        if len(kinks) <= _GRADED_KINKS and not (X.polynomial and Y.polynomial):
            power = min(X.powers, default=1.0) + min(Y.powers, default=1.0)
            graded = _GRADED[: math.ceil(len(_GRADED) / max(1.0, power))]
            kinks = np.add.outer(kinks, [*-graded, 0.0, *graded]).ravel()
        begin = np.unique([*begin, *kinks[(kinks > begin[0]) & (kinks < 0.0)], 0.0])
        ends.append(begin[np.diff(begin, prepend=-np.inf) > 1e-9])

    def level(eta: np.ndarray, number: np.ndarray) -> np.ndarray:
        unit = units[number]
        places = unit * np.exp(eta) if bounded else middle[number] - unit * np.expm1(-eta)
        return _log_cdf(X, Y, ratio[number], places) + LOG2

    return units, LevelTable.fit_several(level, ends, _TOLERANCE)


def _log_cdf_of_each(X: NumericalLaw, Y: NumericalLaw, ratio: np.ndarray, places: np.ndarray) -> np.ndarray:
    """As `_log_cdf`, at several places for each ratio: (n,), (n, k) -> (n, k)"""
    return _log_cdf(X, Y, ratio.repeat(places.shape[1]), places.ravel()).reshape(places.shape)


def _log_cdf(X: NumericalLaw, Y: NumericalLaw, ratio: np.ndarray, places: np.ndarray) -> np.ndarray:
    """log P(X + ratio Y <= y), y measured from the sum of the origins, in bounded memory."""
    found = np.empty(len(places))
    for start in range(0, len(places), _FEW):
        some = slice(start, start + _FEW)
        found[some] = _log_cdf_of_some(X, Y, ratio[some], places[some])
    return found


def _log_cdf_of_some(X: NumericalLaw, Y: NumericalLaw, ratio: np.ndarray, y: np.ndarray) -> np.ndarray:
    s = Y.place(_nearly_equal_level(X, Y, ratio, y))
    level_x, x_alone = X.level(np.stack([y - ratio * s, y - ratio * Y.axis.middle]))
    level_y, y_alone = Y.level(np.stack([s, (y - X.axis.middle) / ratio]))
    corner = probability(level_x) * probability(level_y)
    # what is known to be below y: the corner, and either term so far below that half of the other may be added
    alone = np.minimum(np.maximum(x_alone, y_alone), 0)
    last = np.maximum(log(corner), alone - 2 * LOG2) - _NEGLIGIBLE
    total = corner + _integral(X, Y, ratio, y, level_x, level_y, last)
    return log(total + _integral(Y, X, 1 / ratio, y / ratio, level_y, level_x, last))


def _integral(
    X: NumericalLaw,
    Y: NumericalLaw,
    ratio: np.ndarray,
    y: np.ndarray,
    first_x: np.ndarray,
    first_y: np.ndarray,
    last: np.ndarray,
) -> np.ndarray:
    """∫ F_X(y - ratio Y) over Y beyond the level `first_y`, where that of y - ratio Y is `first_x`, at each y.

    Parts below exp(last) are left out: before and beyond some levels, and where F_X and the density of Y
    are small together.
    """
    start = np.maximum(first_y, last - np.clip(first_x, -1e3, 0))
    start = np.clip(start, -LAST_MARK, FAR_LEVEL)[:, None]
    # levels of Y where that of X is one of its marks, where X is as far out as matters, and where it ends
    marks = X.short_place(_between(X.wide_marks, last.min(), first_x.max()))
    places = np.zeros((len(y), len(marks) + 2))
    places[:, :-2], places[:, -2] = marks, X.place(last)
    levels = Y.level((y[:, None] - places) / ratio[:, None])
    crossings, stop, end = np.split(levels, [len(marks), len(marks) + 1], axis=1)
    stop = np.clip(np.minimum(-last[:, None], stop), start, FAR_LEVEL)
    marks = _between(Y.wide_marks, start.min(), stop.max())
    ends = np.concatenate([start, np.broadcast_to(marks, (len(y), len(marks))), crossings, stop], axis=1)
    ends = np.sort(np.clip(ends, start, stop), axis=1)
    row, column = np.nonzero(np.diff(ends, axis=1) > 1e-13)
    low, high = ends[row, column], ends[row, column + 1]
    largest = X.short_probability(y[row] - ratio[row] * Y.short_place(low)) * np.exp(-np.minimum(abs(low), abs(high)))
    largest *= np.minimum(high - low, 1.0)
    kept, short = largest > np.exp(last)[row], high - low < _SHORT
    if singular := X.axis.left_bounded and not X.polynomial:
        end = np.minimum(end[row, 0], 4 * FAR_LEVEL)
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
        which = row[here]
        values = X.short_probability(y[which, None] - ratio[which, None] * Y.short_place(levels))
        masses = 0.5 * half * weights * np.exp(-np.abs(levels))
        total += np.bincount(which, (values * masses).sum(1), minlength=len(y))
    return total


def _between(marks: np.ndarray, low: float, high: float) -> np.ndarray:
    return marks[(marks > low) & (marks < high)]
