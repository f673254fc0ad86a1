"""Continuous laws without a closed form, tabulated to ten digits in the bulk and in both tails.

A law is kept as the *level* of its places: w = log 2F(x) below the median and -log 2(1 - F(x))
above, so that a tail probability of 1e-12 is as well resolved as one of 0.3. Levels are interpolated
in a coordinate in which they are nearly straight: the logarithm of the distance to a finite end of
the support, or of one plus the distance to the median (`Axis`).
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ot_latent.priors.numerical.axis import Axis
from ot_latent.priors.numerical.law import NumericalLaw
from ot_latent.priors.numerical.levels import LAST_MARK, LOG2, LevelTable, gauss_legendre, log
from ot_latent.priors.numerical.steps import LinearDensity, as_steps

Function: TypeAlias = Callable[[Any], Any]  # of numbers or numpy arrays

_ROUNDING = 3e-11  # of a level, where it is worth interpolating
_QUANTILES = 1e-4, 1e-2, 0.1, 0.25, 0.4  # where panels begin: from the tail through the lower half
_LEAST_POWER = 0.02  # of the distance to an end, with which F may grow there
JUMP = (
    "the distribution function jumps, as that of a discrete law does, or rises as if it did: a monotone "
    "map needs a continuous law (Agustsson et al. 2019, Theorem 2)"
)


def tabulate(law: Any) -> NumericalLaw:
    """`law` as a `NumericalLaw`, from its own distribution functions and their inverses.

    Raises
    ------
    ValueError
        If its distribution function jumps.
    """
    low, high = (float(end) for end in law.support)
    median = float(law.icdf(0.5))
    left_unit = median - (low if math.isfinite(low) else float(law.icdf(0.25)))
    right_unit = (high if math.isfinite(high) else float(law.isf(0.25))) - median
    axis = Axis(low, median, high, left_unit, right_unit)
    atoms = _atom_at_end(law.cdf, axis) or _atom_at_end(lambda x: law.sf(-x), axis.mirrored())
    if atoms or not (left_unit > 0 and right_unit > 0):
        raise ValueError(JUMP)
    exact = law if isinstance(law, LinearDensity) else as_steps(law.cdf, low, high)
    law, knots = (law, np.array([])) if exact is None else (exact, exact.knots)
    table = _left_levels(law.cdf, law.icdf, law.pdf, axis, knots)
    steps = left_unit * np.array([0.1, 0.3, 0.7, 0.9])
    # symmetric: what scipy cannot resolve near an upper end it may resolve near the lower
    right, tails = table, (law.cdf(median - steps), law.sf(median + steps))
    if not (abs(right_unit / left_unit - 1) < 1e-12 and np.allclose(*tails, rtol=1e-12, atol=0)):
        right = _left_levels(
            lambda x: law.sf(-x), lambda q: -law.isf(q), lambda x: law.pdf(-x), axis.mirrored(), -knots
        )
    steps = exact if exact is not None and np.array_equal(exact.first, exact.last) else None
    return NumericalLaw(axis, table.joined(right.mirrored), float(law.mean), float(law.var), steps)


def _left_levels(cdf: Function, icdf: Function, pdf: Function, axis: Axis, knots: np.ndarray) -> LevelTable:
    """The level as a function of η left of the median, in panels that end at places `knots` too."""
    farthest = _farthest(icdf, axis)

    def level(eta: np.ndarray) -> np.ndarray:
        return LOG2 + _log_cdf(cdf, axis, axis.left_distance(eta))

    start = _last_reliable(level, farthest)
    if level(np.array([start]))[0] > -LAST_MARK:
        # where the distribution function loses its digits, as 1 - x does, the density may keep them
        outer = _levels_by_density(pdf, axis, level, start)
        if outer is not None:
            cut = start
            start = _last_reliable(outer, cut - 2 * LAST_MARK, begin=cut)

            def level(eta: np.ndarray, inner: Function = level) -> np.ndarray:
                return np.where(eta > cut, inner(np.maximum(eta, cut)), outer(np.minimum(eta, cut)))

    # panels that begin at quantiles see a bulk that is small beside the support
    inner = axis.coordinate(np.array([*(float(icdf(p)) for p in _QUANTILES), *knots]) - axis.origin)
    inner = np.unique(inner[(inner > start) & (inner < -1e-9)])
    apart = np.diff(inner, prepend=start) > 1e-9
    table = LevelTable.fit(level, np.array([start, *inner[apart], 0.0]))
    if abs(float(table(np.zeros(1))[0])) > 1e-6 or table.largest_jump > 0.01:
        raise ValueError(JUMP)
    return table


def _atom_at_end(cdf: Function, axis: Axis) -> bool:
    """Whether the law has mass at the lower end of its support: beside it F stays, where densities make it rise."""
    if not axis.left_bounded:
        return False
    near = 2.0**-50 * max(abs(axis.low), axis.left_unit)
    mass, more = (float(cdf(axis.low + distance)) for distance in (near, 16 * near))
    return mass > 1e-12 and more < mass * 16**_LEAST_POWER


def _farthest(icdf: Function, axis: Axis) -> float:
    """η as far out as the quantile function and floating point reach."""
    anchor = axis.low if axis.left_bounded else axis.median
    for p in (1e-250, 1e-100, 1e-30, 1e-10, 1e-3):
        try:
            farthest = float(icdf(p))
        except OverflowError:
            continue
        if axis.low < farthest < axis.median and math.isfinite(farthest):
            break
    else:
        raise ValueError(JUMP)
    rounding = 1e-11 * abs(axis.low) if axis.left_bounded else 0.0
    return axis.left_eta(max(abs(farthest - anchor), rounding))


def _log_cdf(cdf: Function, axis: Axis, distance: np.ndarray) -> np.ndarray:
    """log F by the distance to the lower end, or to the median if there is none."""
    if not axis.left_bounded:
        return log(cdf(axis.median - distance))
    # x is rounded, and with it the distance: log F is nearly straight in its logarithm
    x, further = axis.low + distance, axis.low + 2 * distance
    log_tail, actual = log(cdf(x)), x - axis.low
    slope = (log(cdf(further)) - log_tail) / log((further - axis.low) / actual)
    return np.where(actual == distance, log_tail, log_tail + slope * log(distance / actual))


def _levels_by_density(pdf: Function, axis: Axis, level: Function, start: float) -> Function | None:
    """The level beyond `start` as an integral of the density; None if that does not fit."""
    nodes, weights = gauss_legendre(10)
    nodes, weights = (1 + nodes) / 2, weights / 2
    ends = start - 0.02 * np.arange(10_000)

    def mass(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
        """Between two coordinates."""
        eta = inner[:, None] + (outer - inner)[:, None] * nodes
        place = axis.place(eta)
        return (pdf(axis.origin + place) / axis.speed(place) @ weights) * (inner - outer)

    try:
        with np.errstate(all="ignore"):
            masses = np.nan_to_num(mass(ends[:-1], ends[1:]), posinf=0.0)
    except OverflowError:  # as scipy's own beta densities have it
        return None
    beyond = np.append(np.cumsum(masses[::-1])[::-1], 0.0)  # each end
    known = math.exp(float(level(np.array([start]))[0]) - LOG2)
    if not abs(beyond[0] / known - 1) < 1e-6:
        return None

    def by_density(eta: np.ndarray) -> np.ndarray:
        row = np.clip(np.ceil((start - eta) / 0.02).astype(int), 0, len(ends) - 1)
        with np.errstate(all="ignore"):
            tail = beyond[row] + mass(eta, ends[row])
        return LOG2 + log(tail * (known / beyond[0]))

    return by_density


def _last_reliable(level: Function, start: float, begin: float = -1e-3) -> float:
    """How far from the median, at most `start`, a distribution function keeps its digits."""
    eta = np.linspace(begin, start, 400)
    step = 1e-7 * np.abs(eta)
    with np.errstate(all="ignore"):
        outer, values, inner = level(eta - step), level(eta), level(eta + step)
        rounding = np.abs(outer - 2 * values + inner)
        falling = np.diff(values, prepend=0.0) <= 0
    reliable = np.isfinite(outer) & falling & (rounding < _ROUNDING)
    known = len(eta) if reliable.all() else int(np.argmin(reliable))
    return float(eta[max(known - 1, 0)])
