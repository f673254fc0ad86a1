"""The exact law of a weighted sum of independent uniforms: a trapezoid, or piecewise polynomials.

These are the laws of Y = w_1 Z_1 + ... + w_k Z_k under a uniform prior, which the operations of
Agustsson et al. (2019), Table 1, need: two terms for interpolation and vicinity sampling, three for
analogies, k for averages. ``Uniform.combine`` chooses among them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ot_latent._arrays import cast_like, conform, draw, elementwise, generator, require_positive, valid_probability

MAX_PIECES = 4096

# Newton's method for the inverse doubles its correct digits: six steps reach the last digit of
# float64 from any start in the tests, and two more are a margin.
NEWTON_STEPS = 8


class TooManyPieces(ValueError):
    """The density of a sum of uniforms has more than 4096 pieces."""


class _Symmetric:
    """A law symmetric about `center`, from what it does at a distance v >= 0 from there.

    A subclass gives ``_tail(v)`` = P(Y > center + v), ``_density(v)``, ``_distance(q)``, the
    inverse of the tail for q <= 1/2, and ``_half_widths``. Both tails are then equally accurate.
    """

    @property
    def mean(self):
        return self.center

    @property
    def var(self):
        return sum(a * a for a in self._half_widths) / 3

    @property
    def support(self):
        reach = sum(self._half_widths)
        return self.center - reach, self.center + reach

    def _side_and_distance(self, x):
        """Whether x is left of the centre, and how far it is from there.

        The distance is not ``abs``, whose gradient would vanish at the centre itself.
        """
        (center,) = conform(x, self.center)
        left = x < center
        return left, array_namespace(x).where(left, center - x, x - center)

    @elementwise
    def pdf(self, x):
        _, v = self._side_and_distance(x)
        return self._density(v)

    @elementwise
    def cdf(self, x):
        left, v = self._side_and_distance(x)
        tail = self._tail(v)
        return array_namespace(x).where(left, tail, 1 - tail)

    @elementwise
    def sf(self, x):
        left, v = self._side_and_distance(x)
        tail = self._tail(v)
        return array_namespace(x).where(left, 1 - tail, tail)

    @elementwise
    def icdf(self, p):
        return self._quantile(p, side=1)

    @elementwise
    def isf(self, q):
        return self._quantile(q, side=-1)

    def _quantile(self, p, side):
        xp = array_namespace(p)
        (center,) = conform(p, self.center)
        distance = side * self._distance(xp.minimum(valid_probability(p), 1 - p))
        return center + xp.where(p < 0.5, -distance, distance)

    def sample(self, shape, rng=None, like=None):
        """Independent draws; see `Uniform.sample`."""
        rng = generator(rng, like)
        total = 0.0
        for half_width in self._half_widths:
            unit = 2 * draw("uniform", shape, rng, like) - 1
            total = total + conform(unit, half_width)[0] * unit
        return cast_like(conform(total, self.center)[0] + total, like)


@dataclass(frozen=True)
class Trapezoid(_Symmetric):
    """The law of a sum of two independent uniforms of half widths `wide` >= `narrow`.

    Its density is flat up to a distance wide - narrow from `center` and falls linearly to zero at
    wide + narrow: a box where narrow = 0, a triangle where both are equal.

    Parameters
    ----------
    center, wide, narrow : float or array
        Arrays broadcast against the points: one law per entry.

    Raises
    ------
    ValueError
        If `wide` is not positive, as when all weights of a sum are zero.
    """

    center: Any
    wide: Any
    narrow: Any

    def __post_init__(self):
        require_positive(self.wide, "wide")

    @property
    def _half_widths(self):
        return self.wide, self.narrow

    @property
    def knots(self):
        """Where the density is not smooth."""
        flat, reach = self.wide - self.narrow, self.wide + self.narrow
        return tuple(self.center + u for u in (-reach, -flat, flat, reach))

    def _parts(self, v):
        """wide, narrow, whether v is on the slope, and how far it is from the end, over narrow.

        Where narrow = 0 there is no slope; dividing by `wide` there keeps 0/0, and its NaN
        gradient, out of the branch that is not taken.
        """
        xp = array_namespace(v)
        wide, narrow = conform(v, self.wide, self.narrow)
        on_slope = (v > wide - narrow) & (narrow > 0)
        divisor = narrow + wide * (narrow == 0)
        return wide, narrow, on_slope, xp.clip(wide + narrow - v, 0.0) / divisor

    def _tail(self, v):
        wide, narrow, on_slope, left = self._parts(v)
        flat = array_namespace(v).clip(wide - v, 0.0) / (2 * wide)
        return array_namespace(v).where(on_slope, left * left * (narrow / wide) / 8, flat)

    def _density(self, v):
        wide, _, on_slope, left = self._parts(v)
        flat = array_namespace(v).astype(v <= wide, v.dtype) / (2 * wide)
        return array_namespace(v).where(on_slope, left / (4 * wide), flat)

    def _distance(self, q):
        xp = array_namespace(q)
        wide, narrow = conform(q, self.wide, self.narrow)
        ratio = narrow / wide
        on_slope = 2 * q < ratio
        root = xp.where(on_slope, 8 * q * ratio, 1.0) ** 0.5
        return wide * xp.where(on_slope, 1 + ratio - root, 1 - 2 * q)


@dataclass(frozen=True)
class UniformSum(_Symmetric):
    """The law of a sum of independent uniforms, three or more: an exact piecewise polynomial.

    With half widths a_1 .. a_k, and measured from the centre,

        F(x) = 1 / (k! 2^k a_1 ... a_k)  Σ_s (s_1 ... s_k) max(0, x + s_1 a_1 + ... + s_k a_k)^k

    over all signs s_i = ±1. The terms nearly cancel, so that this formula loses every digit in
    floating point. Here the polynomial of each piece is computed from it in exact integer
    arithmetic and rounded once; and only the lower half is evaluated, the upper by symmetry, so
    that both tails keep their relative accuracy.

    Parameters
    ----------
    center : float
    half_widths : tuple of float
        Positive, in any order.

    Raises
    ------
    TooManyPieces
        If the density has more than 4096 pieces.
    """

    center: float
    half_widths: tuple

    def __post_init__(self):
        _pieces(self.half_widths)  # refuses too many pieces here, not at the first evaluation

    @property
    def _half_widths(self):
        return self.half_widths

    @property
    def support(self):
        pieces = _pieces(self.half_widths)
        reach = -pieces.unit * float(pieces.knots[0])
        return self.center - reach, self.center + reach

    @property
    def knots(self):
        """Where the density may not be smooth."""
        pieces = _pieces(self.half_widths)
        lower = pieces.unit * pieces.knots
        return tuple(float(self.center + x) for x in (*lower, 0.0, *-lower[::-1]))

    def _tail(self, v):
        pieces = _pieces(self.half_widths)
        row, s = pieces.locate(v)
        return _polynomial(s, row, pieces.table)

    def _density(self, v):
        pieces = _pieces(self.half_widths)
        row, s = pieces.locate(v)
        (length,) = conform(v, pieces.lengths)
        inside = array_namespace(v).astype(v <= -pieces.unit * float(pieces.knots[0]), v.dtype)
        return inside * _polynomial(s, row, pieces.slopes) / (pieces.unit * length[row])

    def _distance(self, q):
        """Newton's method on F^(1/k).

        It is concave (Brunn-Minkowski), so that Newton climbs to the root without overshooting,
        and linear on the first piece, where the start below is already the root.
        """
        xp = array_namespace(q)
        pieces, k = _pieces(self.half_widths), len(self.half_widths)
        knots, lengths, values = conform(q, pieces.knots, pieces.lengths, pieces.table[:, 0].copy())
        inside = q != 0  # at q = 0 the root is the end itself, and the slope vanishes
        level = xp.where(inside, q, 0.5)
        row = xp.searchsorted(values, level, side="right") - 1
        s = xp.where(row == 0, (level / float(pieces.table[0, -1])) ** (1 / k), 0.0)
        for _ in range(NEWTON_STEPS):
            value = _polynomial(s, row, pieces.table)
            slope = _polynomial(s, row, pieces.slopes)
            s = s + k * value * ((level / value) ** (1 / k) - 1) / slope
        x = xp.where(inside, knots[row] + lengths[row] * s, float(pieces.knots[0]))
        return -pieces.unit * x


@dataclass(frozen=True)
class _Pieces:
    """The lower half of F, piece by piece, in units of the largest half width.

    On the piece [knots[i], knots[i] + lengths[i]], F is the polynomial with coefficients table[i],
    constant first, in s = (x - knots[i]) / lengths[i]; slopes[i] are those of dF/ds.
    """

    unit: float
    knots: np.ndarray
    lengths: np.ndarray
    table: np.ndarray

    @functools.cached_property
    def slopes(self):
        return self.table[:, 1:] * np.arange(1, self.table.shape[1])

    def locate(self, v):
        """The piece of each point at a distance `v` below the centre, and its place s there."""
        xp = array_namespace(v)
        knots, lengths = conform(v, self.knots, self.lengths)
        x = -v / self.unit
        row = xp.clip(xp.searchsorted(knots, x, side="right") - 1, 0)
        return row, xp.clip((x - knots[row]) / lengths[row], 0.0, 1.0)


def _polynomial(s, row, table):
    """Horner's rule at each point `s` with the coefficients table[row], constant first."""
    columns = conform(s, *table.T)
    value = columns[-1][row]
    for column in columns[-2::-1]:
        value = value * s + column[row]
    return value


@functools.lru_cache(maxsize=1024)
def _pieces(half_widths):
    exact = [Fraction(a) for a in half_widths]
    denominator = math.lcm(*(a.denominator for a in exact))
    widths = [int(a * denominator) for a in exact]  # floats are fractions: nothing is rounded
    k = len(widths)

    corners = {0: 1}  # place x of a corner -> total sign of the terms max(0, . - x)^k
    for a in widths:
        shifted = {}
        for x, sign in corners.items():
            shifted[x - a] = shifted.get(x - a, 0) + sign
            shifted[x + a] = shifted.get(x + a, 0) - sign
        corners = {x: sign for x, sign in shifted.items() if sign}
        if len(corners) > MAX_PIECES:
            raise TooManyPieces(f"the density of this sum of {k} uniforms has too many pieces")

    lower = sorted(x for x in corners if x < 0)
    lengths = [end - x for x, end in zip(lower, [*lower[1:], 0], strict=True)]
    scale = math.factorial(k) * 2**k * math.prod(widths)
    polynomial, table = [0] * (k + 1), []
    for x, length in zip(lower, lengths, strict=True):
        polynomial[k] += corners[x]
        # Python divides integers of any size with a single rounding.
        table.append([c * length**m / scale for m, c in enumerate(polynomial)])
        polynomial = _moved(polynomial, length)
    unit = max(widths)
    return _Pieces(
        unit=unit / denominator,
        knots=np.array([x / unit for x in lower]),
        lengths=np.array([length / unit for length in lengths]),
        table=np.array(table),
    )


def _moved(polynomial, step):
    """Coefficients of p(s + step), by repeated synthetic division: exact for integers."""
    moved = list(polynomial)
    for low in range(len(moved) - 1):
        for m in range(len(moved) - 2, low - 1, -1):
            moved[m] += step * moved[m + 1]
    return moved
