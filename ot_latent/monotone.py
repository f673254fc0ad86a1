"""The optimal map between two laws of one coordinate (Agustsson et al. 2019, Theorem 2).

For every cost h(x - y) with h convex, the cheapest way to move the law of a continuous X onto the
law of Y is the one map that keeps the order of points,

    T = F_Y^{-1} ∘ F_X,    eq. (5),

and applied to each coordinate it is optimal between laws with i.i.d. coordinates (Theorem 1).
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import scipy.special
from array_api_compat import array_namespace
from scipy.integrate import quad

from ot_latent._arrays import as_floating, conform, elementwise, progress, wants_gradient
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.laws import LawPerEntry, apply_per_entry
from ot_latent.priors.numerical.cubic_table import CubicTable
from ot_latent.priors.numerical.law import NumericalLaw
from ot_latent.priors.numerical.sums import PairSum
from ot_latent.priors.product import Product
from ot_latent.priors.radial import Radial, RadialMap
from ot_latent.priors.uniform import Uniform
from ot_latent.priors.uniform_sums import Trapezoid

# Tabulated maps are accurate to this part of the target's interquartile range or, further out, of
# the distance to its median; and constant beyond tails of exp(-LAST_LEVEL) / 2 = 1e-17.
ERROR = 1e-9

LAST_LEVEL = 38.5

# A table of a map costs as much as the quadrature for so many points.
_FEW = 2000


def monotone_map(source, target):
    """The monotone map T that pushes `source` onto `target`.

    Parameters
    ----------
    source, target : law
        As `prior.combine` returns them, or priors themselves. The matched operation of eq. (6) is
        ``monotone_map(prior.combine(weights), prior)``.

    Returns
    -------
    MonotoneMap
        Called on numbers or arrays, elementwise: numpy in, numpy out; torch in, torch out, with
        gradients. It never leaves the support of `target`, and is the identity, bit for bit, where
        both laws are the same.

    Examples
    --------
    >>> from ot_latent import Uniform
    >>> prior = Uniform(-1, 1)
    >>> T = monotone_map(prior.combine([0.5, 0.5]), prior)
    >>> T([-1, -0.5, 0, 0.5, 1])
    array([-1.  , -0.75,  0.  ,  0.75,  1.  ])
    """
    if isinstance(source, Radial):
        return RadialMap(source, target, monotone_map)
    if isinstance(source, Product):
        return _PerCoordinate(source, target)
    if isinstance(source, LawPerEntry):
        return _PerEntry(source, target)
    for law, spread in ((Gaussian, "std"), (Uniform, "half_width")):
        if isinstance(source, law) and isinstance(target, law):
            scale = getattr(target, spread) / getattr(source, spread)
            return _Affine(source, target, scale, target.mean - source.mean * scale)
    if isinstance(source, Trapezoid) and isinstance(target, Uniform):
        return _TrapezoidToUniform(source, target)
    if isinstance(source, NumericalLaw):
        if isinstance(target, NumericalLaw) and source.table is target.table:
            scale = target.axis.left_unit / source.axis.left_unit
            return _Affine(source, target, scale, target.axis.median - source.axis.median * scale)
        return _tabulated(source, target)
    return MonotoneMap(source, target)


class MonotoneMap:
    """T = F_target^{-1} ∘ F_source, from the distribution functions of both laws."""

    def __init__(self, source, target):
        self.source = source
        self.target = target

    def __repr__(self):
        return f"MonotoneMap({self.source!r} -> {self.target!r})"

    @elementwise
    def __call__(self, x):
        xp = array_namespace(x)
        below, above = self.source.cdf(x), self.source.sf(x)
        lower = below < 0.5
        # Each branch is evaluated at its own points and at 1/2 elsewhere, never at the far end
        # of the other, where an infinite slope would turn gradients into NaN.
        from_below = self.target.icdf(xp.where(lower, below, 0.5))
        from_above = self.target.isf(xp.where(lower, 0.5, above))
        return xp.where(lower, from_below, from_above)

    @elementwise
    def derivative(self, x):
        """T'(x) = f_source(x) / f_target(T(x)); zero outside the support of the source."""
        xp = array_namespace(x)
        source, target = self.source.pdf(x), self.target.pdf(self(x))
        inside = source > 0
        return xp.where(inside, source, 0.0) / xp.where(inside, target, 1.0)

    def cost(self, p=1):
        """E|T(Y) - Y|^p, Y following the source: the least cost of matching one coordinate.

        Summed over d coordinates this is the least E‖ỹ - y‖_p^p (Theorem 1). By adaptive
        quadrature between the kinks of the source's density, to eight digits or more.

        Parameters
        ----------
        p : float >= 1
            Theorem 2 asks for a convex cost.

        Returns
        -------
        float
        """
        _check_power(p)
        if not all(isinstance(value, float) for value in (self.source.mean, self.target.mean)):
            raise TypeError(f"cost is for one law, not for a batch of them: got {self!r}")
        if isinstance(self.source, NumericalLaw):
            return self.source.expectation(lambda x: abs(self(x) - x) ** p)
        # An infinite support ends here where less than 1e-40 of the law is left.
        low, high = float(self.source.icdf(1e-40)), float(self.source.isf(1e-40))
        kinks = [k for k in getattr(self.source, "knots", ()) if low < k < high]
        ends = sorted({low, *kinks, self.source.mean, high})

        def moved(x):
            return abs(self(x) - x) ** p * self.source.pdf(x)

        pairs = itertools.pairwise(ends)
        return math.fsum(quad(moved, *pair, epsabs=1e-13, epsrel=1e-11)[0] for pair in pairs)


class ScaledMap(MonotoneMap):
    """x -> bend(scale * x + shift), in closed form.

    An operation can multiply its weights by `scale` instead of a whole array of points, and has only
    `shift` and `bend` left to do (`operations`).
    """

    def __init__(self, source, target, scale, shift):
        super().__init__(source, target)
        self.scale = scale
        self.shift = shift

    @elementwise
    def __call__(self, x):
        (scale,) = conform(x, self.scale)
        return self.bend(self.shifted(x * scale))

    def shifted(self, x):
        """x + shift."""
        (shift,) = conform(x, self.shift)
        return x if isinstance(shift, float) and shift == 0 else x + shift

    def bend(self, v):
        """What is left to do with v = scale * x + shift."""
        raise NotImplementedError


class _Affine(ScaledMap):
    """A straight line, between laws that differ in location and scale only."""

    def bend(self, v):
        """Keep to the support of the target, in spite of rounding."""
        if self.target.support == (-math.inf, math.inf):
            return v
        return v.clip(*conform(v, *self.target.support))

    @elementwise
    def derivative(self, x):
        """The scale, everywhere."""
        (scale,) = conform(x, self.scale)
        return array_namespace(x).zeros_like(x) + scale

    def cost(self, p=1):
        """E|T(Y) - Y|^p; see `MonotoneMap.cost`. For Gaussians in closed form."""
        if not (isinstance(self.source, Gaussian) and isinstance(self.shift, float)):
            return super().cost(p)
        _check_power(p)
        # T(Y) - Y is Gaussian: E|N(m, s²)|^p = s^p E|N|^p 1F1(-p/2; 1/2; -m²/2s²).
        mean = self.target.mean - self.source.mean
        std = abs(self.target.std - self.source.std)
        if std == 0:
            return abs(mean) ** p
        moment = 2 ** (p / 2) * math.gamma((p + 1) / 2) / math.sqrt(math.pi)
        return float(std**p * moment * scipy.special.hyp1f1(-p / 2, 0.5, -0.5 * (mean / std) ** 2))


class _TrapezoidToUniform(ScaledMap):
    """Two uniforms summed, matched: a straight line that bends towards the ends.

    With half widths a >= b of the source and H of the target, v = scale * x + shift runs over the
    support of the target stretched by 1 + b/a. Let e be what v has beyond the kinks, at H - B from
    the centre, B = H b / a. Then 2F - 1 = (v - m - sign(e) e² / 4B) / H: no cancellation, and exact
    where b = 0.
    """

    def __init__(self, source, target):
        scale = target.half_width / source.wide
        super().__init__(source, target, scale, target.mean - source.mean * scale)
        self.slope = source.narrow * self.scale  # B
        self.kinks = target.low + self.slope, target.high - self.slope

    def _beyond(self, v):
        """e, and |e| / 4B, which goes from 0 to 1/2 along the slope."""
        xp = array_namespace(v)
        low, high, slope = conform(v, *self.kinks, self.slope)
        e = v - v.clip(low, high)
        tiny = float(xp.finfo(v.dtype).smallest_normal)  # where b = 0, e is rounding or nothing
        quarter = 0.25 / (max(slope, tiny) if isinstance(slope, float) else xp.clip(slope, tiny))
        return e, (abs(e) * quarter).clip(0.0, 0.5)

    def bend(self, v):
        """v - sign(e) e² / 4B, kept to the support of the target in spite of rounding."""
        e, part = self._beyond(v)
        return (v - e * part).clip(*conform(v, *self.target.support))

    @elementwise
    def derivative(self, x):
        """f_source(x) / f_target, falling from the scale to zero along the slope."""
        xp = array_namespace(x)
        (scale,) = conform(x, self.scale)
        low, high = conform(x, *self.source.support)
        _, part = self._beyond(self.shifted(x * scale))
        return xp.where((x >= low) & (x <= high), scale * (1 - 2 * part), 0.0)


class _Tabulated(MonotoneMap):
    """The map from a tabulated law, itself by a table, to ERROR."""

    def __init__(self, source, target, bits):
        super().__init__(source, target)
        self.exact, middle = MonotoneMap(source, target), target.icdf(0.5)
        spread = target.icdf(0.75) - target.icdf(0.25)
        self.table = CubicTable(
            self.exact,
            self.exact.derivative,
            source.axis,
            source.inverse(np.array([-LAST_LEVEL, LAST_LEVEL])),
            bits,
            lambda values: ERROR * (spread + np.abs(values - middle)),
        )

    @elementwise
    def __call__(self, x):
        return self.table(x).clip(*self.target.support)

    def cost(self, p=1):
        """E|T(Y) - Y|^p; see `MonotoneMap.cost`. Infinite where heavy tails make it so."""
        return self.exact.cost(p)

    @property
    def missing(self):
        """How many of the source's points the table leaves to the map itself."""
        start, stop = (self.source.cdf(x[~self.table.accurate]) for x in self.table.panels)
        return float(np.sum(np.abs(stop - start)))


@functools.lru_cache(maxsize=1024)
def _tabulated(source, target):
    """The map by the coarser of two tables, if that has nearly all points."""
    coarse = _Tabulated(source, target, bits=6)
    return coarse if coarse.missing < 0.01 else _Tabulated(source, target, bits=8)


class _PerEntry(MonotoneMap):
    """One map for each law of a `LawPerEntry`."""

    @functools.cached_property
    def maps(self):
        laws = (getattr(law, "tabulated", law) for law in self.source.laws)
        maps = (monotone_map(law, self.target) for law in laws)
        return list(progress(maps, "monotone maps", len(self.source.laws)))

    def __call__(self, x):
        x = as_floating(x)
        points = math.prod(np.broadcast_shapes(x.shape, self.source.index.shape))
        few = points < _FEW * len(self.source.laws) and "maps" not in self.__dict__
        if few and isinstance(self.target, NumericalLaw) and not wants_gradient(x):
            maps = [self._without_table(law) for law in self.source.laws]
            return apply_per_entry(maps, self.source.index, x)
        return apply_per_entry(self.maps, self.source.index, x)

    def _without_table(self, law):
        if not isinstance(law, PairSum):
            return monotone_map(law, self.target)
        axis = self.target.axis

        def moved(x):
            level = law.level(np.asarray(x, dtype=float))
            return conform(x, np.clip(axis.origin + self.target.place(level), axis.low, axis.high))[0]

        return moved

    def derivative(self, x):
        """T'(x) of each entry's own map."""
        return apply_per_entry([T.derivative for T in self.maps], self.source.index, x)

    def cost(self, p=1):
        """E|T(Y) - Y|^p of each entry's own map, with the shape of the index."""
        return np.array([T.cost(p) for T in self.maps])[self.source.index]


class _PerCoordinate(MonotoneMap):
    """One map for each law of a `Product`, along the last axis."""

    def __init__(self, source, target):
        super().__init__(source, target)
        pairs = zip(source.groups, target.groups, strict=True)
        self.maps = [monotone_map(law, goal) for (law, _), (goal, _) in pairs]

    def __call__(self, x):
        return self.source.apply(self.maps, x)

    def derivative(self, x):
        """T'(x) of each coordinate's own map."""
        return self.source.apply([T.derivative for T in self.maps], x)

    def cost(self, p=1):
        """E|T(Y) - Y|^p of each coordinate, (d,)."""
        costs = np.empty(self.source.d)
        for T, (_, columns) in zip(self.maps, self.source.groups, strict=True):
            costs[columns] = T.cost(p)
        return costs


def _check_power(p):
    if not p >= 1:
        raise ValueError(f"p must be at least 1, so that |x - y|^p is convex; got {p}")
