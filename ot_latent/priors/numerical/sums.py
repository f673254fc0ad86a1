"""Laws of weighted sums of independent laws."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from ot_latent._arrays import Array, as_floating, conform, progress_bar, wants_gradient
from ot_latent.monotone import MonotoneMap, map_of_points
from ot_latent.priors.laws import LawPerEntry, MapPerEntry
from ot_latent.priors.numerical.addition import add, add_all, by_size, levels_of_sum, origin_of_sum, shape_of
from ot_latent.priors.numerical.cubic_table import LevelMap, NumericalMap
from ot_latent.priors.numerical.family import Shape, family_of
from ot_latent.priors.numerical.law import NumericalLaw

_SINGLE = 400  # places, whose levels take as long to find as a table does
_SEVERAL = 120  # sums of two, for which a family of laws pays


def sum_of(laws: Sequence[NumericalLaw]) -> NumericalLaw:
    """The law of a sum of independent `NumericalLaw`: neighbours in width are added, in rounds."""
    terms = list(laws)
    with progress_bar("adding laws", len(terms) - 1, 0, "sums") as bar:
        while len(terms) > 1:
            terms.sort(key=lambda law: law.axis.left_unit + law.axis.right_unit)
            sums = add_all(list(zip(terms[::2], terms[1::2], strict=False)))
            terms = sums + terms[2 * len(sums) :]
            bar.update(len(sums))
    return terms[0]


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
        self.terms = by_size(first.scaled(v), second.scaled(w))
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

    def level_at(self, x: np.ndarray) -> np.ndarray:
        """The level at places x, by quadrature for each."""
        return levels_of_sum(*self.terms, x.ravel()).reshape(x.shape)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of both terms: see `Family`."""
        return tuple(map(shape_of, self.terms))

    @property
    def units(self) -> tuple[float, float, float]:
        """The size of the larger term, the logarithm of their ratio, and the sum of their origins."""
        X, Y = (law.axis.left_unit for law in self.terms)
        return X, math.log(Y / X), origin_of_sum(*self.terms)

    def map_to(self, target: Any) -> MonotoneMap:
        """The monotone map onto `target`: for `monotone_map`, which asks for it."""
        return _PairMap(self, target)


class _PairMap(NumericalMap):
    """The map from a `PairSum`, of a few numbers by a quadrature for each, without a table."""

    def __init__(self, pair: PairSum, target: Any) -> None:
        self.pair, self.target = pair, target

    @functools.cached_property
    def source(self) -> NumericalLaw:
        return self.pair.tabulated

    def for_points(self, count: int) -> MonotoneMap:
        if count < _SINGLE and isinstance(self.target, NumericalLaw):
            return LevelMap(self.pair, self.target)
        return super().for_points(count)


class PairSumPerEntry(LawPerEntry):
    """A law for each entry of points, among them any number of `PairSum`."""

    def map_to(self, target: Any) -> MonotoneMap:
        return _PairMapPerEntry(self, target)


class _PairMapPerEntry(MapPerEntry):
    """The maps from many sums of two: of few points each by a `Family` of laws."""

    def for_points(self, count: int) -> MonotoneMap:
        if count >= _SINGLE * len(self.maps):
            pairs = [law for law in self.source.laws if isinstance(law, PairSum) and "tabulated" not in vars(law)]
            for pair, law in zip(pairs, add_all([pair.terms for pair in pairs]), strict=True):
                pair.tabulated = law
        return super().for_points(count)

    def __call__(self, x: Array) -> Array:
        x, laws = as_floating(x), self.source.laws
        number = np.broadcast_to(self.source.index, np.broadcast_shapes(x.shape, self.source.index.shape))
        pairs = np.array([isinstance(law, PairSum) for law in laws])
        few = _SEVERAL <= pairs.sum() and number.size < _SINGLE * len(laws)
        if not (few and isinstance(self.target, NumericalLaw)) or wants_gradient(x):
            return super().__call__(x)
        places = np.broadcast_to(x.cpu().double().numpy() if is_torch_array(x) else x, number.shape)
        moved = np.empty(number.shape)
        among, order = pairs[number], np.cumsum(pairs) - 1
        sums = [law for law, pair in zip(laws, pairs, strict=True) if pair]
        levels = _levels_of_many(sums, order[number[among]], places[among])
        moved[among] = np.clip(self.target.axis.origin + self.target.place(levels), *self.target.support)
        for i in np.flatnonzero(~pairs):
            here = number == i
            moved[here] = map_of_points(laws[i], self.target, here.sum())(places[here])
        return conform(x, moved)[0]


def _levels_of_many(pairs: Sequence[PairSum], number: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Levels at x (n,), each by the law ``pairs[number]``: by quadrature where a `Family` does not give them."""
    found = np.empty(len(x))
    size, log_ratio, origin = (np.array(column)[number] for column in zip(*(p.units for p in pairs), strict=True))
    shapes = [pair.shapes for pair in pairs]
    for family in set(shapes):
        here = np.array([shape == family for shape in shapes])[number]
        found[here] = family_of(*family).levels(log_ratio[here], (x[here] - origin[here]) / size[here])
    left = np.isnan(found) & ~np.isnan(x)
    for i in np.unique(number[left]):
        here = left & (number == i)
        found[here] = pairs[i].level_at(x[here])
    return found


def sum_of_terms(terms: Sequence[tuple[NumericalLaw, float]]) -> NumericalLaw | PairSum:
    """The law of Σ w Z over (law, w) in `terms`; of two terms a `PairSum`."""
    if len(terms) == 2:
        (first, v), (second, w) = terms
        return PairSum(first, second, v, w)
    return sum_of([law.scaled(w) for law, w in terms])


def tabulated(law: Any) -> Any:
    """The law itself, or the table of a `PairSum`."""
    return law.tabulated if isinstance(law, PairSum) else law
