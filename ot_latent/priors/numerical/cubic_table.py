"""Monotone maps at the speed of a table."""

import functools
import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_torch_array

from ot_latent._arrays import Array, conform, elementwise, wants_gradient
from ot_latent.monotone import MonotoneMap

# Tabulated maps are accurate to this part of the target's interquartile range or, further out, of
# the distance to its median; and constant beyond tails of exp(-LAST_LEVEL) / 2 = 1e-17.
ERROR, LAST_LEVEL = 1e-9, 38.5
_MANTISSA, _BIAS = {4: 23, 8: 52}, {4: 127, 8: 1023}  # bits, by the bytes of a floating-point number
_MANY = 2**16  # numbers, whose levels take as long to find as a table does
_LARGEST_OCTAVE = 100  # within the reach of single precision, with room for the panels


class TabulatedMap(MonotoneMap):
    """The map from a tabulated law, to ERROR, by cubic polynomials on panels that the bits of numbers name.

    The source's `Axis` measures places left and right of its median by numbers u. Each octave of u is cut into
    2^bits equal panels, so that the leading bits of u are the index of its panel: no search. The
    cubics agree with the map and its derivative at both ends of each panel. Where they are not
    accurate enough, around kinks and far out, the map itself is called.
    """

    def __init__(self, source: Any, target: Any, bits: int) -> None:
        super().__init__(source, target)
        self.exact, self.bits = _pointwise(source, target), bits
        self.axis = axis = source.axis
        ends = source.inverse(np.array([-LAST_LEVEL, LAST_LEVEL]))
        left, right = (min(math.ceil(abs(eta) / math.log(2)), _LARGEST_OCTAVE) + 1 for eta in ends)
        far = max(left, right)
        blocks = {  # side of the median, octaves; two sides of a kind have the same octaves
            (True, True): [(True, -far, 0), (False, -far, 0)],
            (False, False): [(True, 0, far), (False, 0, far)],
            (True, False): [(True, -left, 0), (False, 0, right)],
            (False, True): [(False, -right, 0), (True, 0, left)],
        }[axis.left_bounded, axis.right_bounded]
        self.first, self.last = blocks[0][1], blocks[1][2]
        # a place in a panel without a cubic, for NaN
        self.outermost = 2.0**self.first if axis.left_bounded else 2.0**self.last * 0.75
        panels = zip(*map(self._panels, blocks), strict=True)
        start, width, sides, outermost = (np.concatenate(parts) for parts in panels)
        self.offset = 0 if axis.left_bounded != axis.right_bounded else len(start) // 2
        middle, spread = target.icdf(0.5), target.icdf(0.75) - target.icdf(0.25)

        def value(part: float) -> np.ndarray:
            return self.exact(axis.origin + axis.place_at(start + part * width, sides)[0])

        def slope(part: float, value: np.ndarray) -> np.ndarray:
            place, unit = axis.place_at(start + part * width, sides)
            return source.pdf(axis.origin + place) / target.pdf(value) * unit * width

        with np.errstate(all="ignore"):  # far out, in panels that are not used
            v0, v1 = value(0.0), value(1.0)
            m0, m1 = slope(0.0, v0), slope(1.0, v1)
            cubic = v0, m0, 3 * (v1 - v0) - 2 * m0 - m1, m0 + m1 - 2 * (v1 - v0)
            accurate = ~outermost
            for part in (0.25, 0.5, 0.75):
                exact = value(part)
                accurate &= abs(_cubic(part, *cubic) - exact) <= ERROR * (spread + abs(exact - middle))
        # a constant NaN marks panels without a cubic, and leaves gradients alone
        self.cubic = [np.where(accurate, c, 0.0) for c in cubic]
        self.cubic[0][~accurate] = np.nan
        self.places = 1 / width, start / width
        # how many of the source's points are left to the map itself
        edges = (axis.place_at(u, sides)[0][~accurate] for u in (start, start + width))
        first, last = (source.cdf(axis.origin + places) for places in edges)
        self.missing = float(np.sum(np.abs(last - first)))

    def _panels(self, block: tuple[bool, int, int]) -> tuple[np.ndarray, ...]:
        """Of each panel: start, width, side of the median, whether it is of the outermost octave."""
        left, low, high = block
        octave = np.repeat(np.arange(low, high), 2**self.bits)
        width = 2.0 ** (octave - self.bits)
        start = np.tile(np.arange(2**self.bits, 2 ** (self.bits + 1)), high - low) * width
        outermost = octave == (low if high == 0 else high - 1)
        return start, width, np.full(len(start), left), outermost

    @elementwise
    def __call__(self, x: Array) -> Array:
        xp = array_namespace(x)
        if x.ndim == 0:
            return self(x[None])[0]
        left, u = self.axis.distance(x - self.axis.origin)
        inside = 1 - float(xp.finfo(x.dtype).eps)
        u = u.clip(2.0**self.first, 2.0**self.last * inside)
        if bool(xp.any(xp.isnan(u))):
            u = xp.where(xp.isnan(u), self.outermost, u)
        row = self._row(u)
        if self.offset:
            row = xp.where(left, row, row + self.offset)
        s = self._part(u, row)
        value = _cubic(s, *(column.take(row) for column in conform(x, *self.cubic)))
        beside = xp.isnan(value)
        if bool(xp.any(beside)):
            value = xp.where(beside, 0.0, value)
            value[beside] = self.exact(x[beside])
        return value.clip(*self.target.support)

    def _row(self, u: Array) -> Array:
        """The panel of u, from its exponent and the leading bits of its mantissa."""
        xp, size = array_namespace(u), u.dtype.itemsize
        plain = u.detach() if is_torch_array(u) else u
        integers = plain.view(xp.int32 if size == 4 else xp.int64) >> (_MANTISSA[size] - self.bits)
        return xp.astype(integers, xp.int64, copy=False) - ((_BIAS[size] + self.first) << self.bits)

    def _part(self, u: Array, row: Array) -> Array:
        """Where u is in its panel, from 0 to 1, exactly."""
        if is_torch_array(u):  # with a gradient
            scale, corner = (column.take(row) for column in conform(u, *self.places))
            return u * scale - corner
        # what follows the leading bits of the mantissa, as the mantissa of a number in [1, 2)
        size = u.dtype.itemsize
        one = u.dtype.type(1)
        integers = u.view(np.int32 if size == 4 else np.int64)
        following = (integers << self.bits) & ((1 << _MANTISSA[size]) - 1)
        return (following | one.view(integers.dtype)).view(u.dtype) - one

    def cost(self, p: float = 1) -> Any:
        """E|T(Y) - Y|^p; see `MonotoneMap.cost`. Infinite where heavy tails make it so."""
        return self.exact.cost(p)


def _cubic(s: Array, c0: Array, c1: Array, c2: Array, c3: Array) -> Array:
    return c0 + s * (c1 + s * (c2 + s * c3))


@functools.lru_cache(maxsize=1024)
def _tabulated_map(source: Any, target: Any) -> TabulatedMap:
    """The map by the coarser of two tables, if that has nearly all points."""
    coarse = TabulatedMap(source, target, bits=6)
    return coarse if coarse.missing < 0.01 else TabulatedMap(source, target, bits=8)


class LevelMap(MonotoneMap):
    """The map between laws whose levels are known: a point and its image have the same level."""

    @elementwise
    def __call__(self, x: Array) -> Array:
        # without a gradient to follow in numpy, which is faster here
        y = x if wants_gradient(x) else x.cpu().double().numpy() if is_torch_array(x) else x.astype(float)
        moved = (self.target.axis.origin + self.target.place(self.source.level_at(y))).clip(*self.target.support)
        return conform(x, moved)[0]


class NumericalMap(MonotoneMap):
    """The map from a tabulated law, by a table of its own where there are points enough to make up for it."""

    @property
    def table(self) -> TabulatedMap:
        return _tabulated_map(self.source, self.target)

    def __call__(self, x: Array) -> Array:
        return self.table(x)

    def cost(self, p: float = 1) -> Any:
        """E|T(Y) - Y|^p; see `MonotoneMap.cost`."""
        return MonotoneMap(self.source, self.target).cost(p)

    def for_points(self, count: int) -> MonotoneMap:
        return _pointwise(self.source, self.target) if count < _MANY else self.table


def _pointwise(source: Any, target: Any) -> MonotoneMap:
    """The map without a table."""
    return (LevelMap if hasattr(target, "level_at") else MonotoneMap)(source, target)
