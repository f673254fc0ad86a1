"""Monotone maps from tabulated laws, themselves by a table."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ot_latent._arrays import Array, elementwise
from ot_latent.monotone import MonotoneMap
from ot_latent.priors.numerical.cubic_table import CubicTable

# Tabulated maps are accurate to this part of the target's interquartile range or, further out, of
# the distance to its median; and constant beyond tails of exp(-LAST_LEVEL) / 2 = 1e-17.
ERROR = 1e-9

LAST_LEVEL = 38.5


class TabulatedMap(MonotoneMap):
    """The map from a tabulated law, itself by a table, to ERROR."""

    def __init__(self, source: Any, target: Any, bits: int) -> None:
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
    def __call__(self, x: Array) -> Array:
        return self.table(x).clip(*self.target.support)

    def cost(self, p: float = 1) -> Any:
        """E|T(Y) - Y|^p; see `MonotoneMap.cost`. Infinite where heavy tails make it so."""
        return self.exact.cost(p)

    @property
    def missing(self) -> float:
        """How many of the source's points the table leaves to the map itself."""
        start, stop = (self.source.cdf(x[~self.table.accurate]) for x in self.table.panels)
        return float(np.sum(np.abs(stop - start)))


@functools.lru_cache(maxsize=1024)
def tabulated_map(source: Any, target: Any) -> TabulatedMap:
    """The map by the coarser of two tables, if that has nearly all points."""
    coarse = TabulatedMap(source, target, bits=6)
    return coarse if coarse.missing < 0.01 else TabulatedMap(source, target, bits=8)
