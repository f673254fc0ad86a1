"""The exact law of a weighted sum of three or more independent uniforms: piecewise polynomials.

These are the laws of Y = w_1 Z_1 + ... + w_k Z_k under a uniform prior, which the operations of
Agustsson et al. (2019), Table 1, need: two terms for interpolation and vicinity sampling (a `Trapezoid`),
three for analogies, k for averages. ``Uniform.combine`` chooses among them.
"""

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from array_api_compat import array_namespace

from ot_latent._arrays import Array, conform
from ot_latent.priors.symmetric import Symmetric

MAX_PIECES = 4096  # beyond these a table by quadrature is faster to make and to evaluate
# Newton's method for the inverse doubles its correct digits: six steps reach the last digit of
# float64 from any start in the tests, and two more are a margin.
NEWTON_STEPS = 8


class TooManyPieces(ValueError):
    """The density of a sum of uniforms has more than 4096 pieces."""


@dataclass(frozen=True)
class UniformSum(Symmetric):
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
    half_widths: tuple[float, ...]

    def __post_init__(self) -> None:
        _pieces(self.half_widths)  # refuses too many pieces here, not at the first evaluation

    @property
    def support(self) -> tuple[float, float]:
        pieces = _pieces(self.half_widths)
        reach = -pieces.unit * float(pieces.knots[0])
        return self.center - reach, self.center + reach

    @property
    def knots(self) -> tuple[float, ...]:
        """Where the density may not be smooth."""
        pieces = _pieces(self.half_widths)
        lower = pieces.unit * pieces.knots
        return tuple(float(self.center + x) for x in (*lower, 0.0, *-lower[::-1]))

    def _tail(self, v: Array) -> Array:
        pieces = _pieces(self.half_widths)
        row, s = pieces.locate(v)
        return _polynomial(s, row, pieces.table)

    def _density(self, v: Array) -> Array:
        pieces = _pieces(self.half_widths)
        row, s = pieces.locate(v)
        (length,) = conform(v, pieces.lengths)
        inside = array_namespace(v).astype(v <= -pieces.unit * float(pieces.knots[0]), v.dtype)
        return inside * _polynomial(s, row, pieces.slopes) / (pieces.unit * length[row])

    def _distance(self, q: Array) -> Array:
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
    def slopes(self) -> np.ndarray:
        return self.table[:, 1:] * np.arange(1, self.table.shape[1])

    def locate(self, v: Array) -> tuple[Array, Array]:
        """The piece of each point at a distance `v` below the centre, and its place s there."""
        xp = array_namespace(v)
        knots, lengths = conform(v, self.knots, self.lengths)
        x = -v / self.unit
        row = xp.clip(xp.searchsorted(knots, x, side="right") - 1, 0)
        return row, xp.clip((x - knots[row]) / lengths[row], 0.0, 1.0)


def _polynomial(s: Array, row: Array, table: np.ndarray) -> Array:
    """Horner's rule at each point `s` with the coefficients table[row], constant first."""
    columns = conform(s, *table.T)
    value = columns[-1][row]
    for column in columns[-2::-1]:
        value = value * s + column[row]
    return value


@functools.lru_cache(maxsize=1024)
def _pieces(half_widths: tuple[float, ...]) -> _Pieces:
    exact = [Fraction(a) for a in half_widths]
    denominator = math.lcm(*(a.denominator for a in exact))
    widths = [int(a * denominator) for a in exact]  # floats are fractions: nothing is rounded
    k = len(widths)

    corners = {0: 1}  # place x of a corner -> total sign of the terms max(0, . - x)^k
    for a in widths:
        shifted: dict[int, int] = {}
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
    knots, scaled = np.array([x / unit for x in lower]), np.array([length / unit for length in lengths])
    return _Pieces(unit / denominator, knots, scaled, np.array(table))


def _moved(polynomial: list[int], step: int) -> list[int]:
    """Coefficients of p(s + step), by repeated synthetic division: exact for integers."""
    moved = list(polynomial)
    for low in range(len(moved) - 1):
        for m in range(len(moved) - 2, low - 1, -1):
            moved[m] += step * moved[m + 1]
    return moved
