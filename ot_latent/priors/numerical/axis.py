"""Coordinates in which the levels of laws are nearly straight."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ot_latent._arrays import Array


@dataclass(frozen=True)
class Axis:
    """A coordinate η of places x, 0 at the median, in which levels of laws are nearly straight.

    Left of the median η is the logarithm of the distance to the lower end of the support, or, if
    there is none, minus that of one plus the distance to the median; likewise on the right. The
    units of both distances are scales of the law.

    Places are measured from the lower end, so that nothing is lost near it, or from the median if
    there is none.

    Parameters
    ----------
    low, median, high : float
    left_unit, right_unit : float
        The distance to the median where the end is finite.
    """

    low: float
    median: float
    high: float
    left_unit: float
    right_unit: float

    @property
    def left_bounded(self) -> bool:
        return math.isfinite(self.low)

    @property
    def right_bounded(self) -> bool:
        return math.isfinite(self.high)

    @property
    def origin(self) -> float:
        return self.low if self.left_bounded else self.median

    @property
    def middle(self) -> float:
        """The place of the median."""
        return self.left_unit if self.left_bounded else 0.0

    @functools.cached_property
    def proportions(self) -> tuple[bool, bool, float]:
        """What is left of an axis without its place and size."""
        return self.left_bounded, self.right_bounded, rounded(self.right_unit / self.left_unit)

    @classmethod
    def of_unit(cls, left_bounded: bool, right_bounded: bool, ratio: float) -> "Axis":
        """The axis of these `proportions` whose origin is 0 and whose left unit is 1."""
        median = 1.0 if left_bounded else 0.0
        return cls(
            0.0 if left_bounded else -math.inf, median, median + ratio if right_bounded else math.inf, 1.0, ratio
        )

    def scaled(self, size: float) -> "Axis":
        ends = self.low * size, self.median * size, self.high * size
        return Axis(*ends, self.left_unit * size, self.right_unit * size)

    def shifted(self, shift: float) -> "Axis":
        ends = self.low + shift, self.median + shift, self.high + shift
        return Axis(*ends, self.left_unit, self.right_unit)

    def mirrored(self) -> "Axis":
        return Axis(-self.high, -self.median, -self.low, self.right_unit, self.left_unit)

    def coordinate(self, place: Array) -> Array:
        """η at x = origin + place; infinite on and outside the ends of the support."""
        left, u = self.distance(place)
        if isinstance(u, np.ndarray):
            with np.errstate(divide="ignore"):
                eta = np.log(np.maximum(u, 0.0))
        else:  # with a gradient, also beside those outside
            xp = array_namespace(u)
            inside = u > 0
            eta = xp.where(inside, xp.log(xp.where(inside, u, 1.0)), xp.where(xp.isnan(u), u, -math.inf))
        if self.left_bounded != self.right_bounded:
            return eta if self.left_bounded else -eta
        return _namespace(u).where(left == self.left_bounded, eta, -eta)

    def place(self, eta: Array) -> Array:
        """The inverse of `coordinate`."""
        if self.left_bounded != self.right_bounded:
            exponent = eta if self.left_bounded else -eta
        else:
            exponent = -abs(eta) if self.left_bounded else abs(eta)
        xp = _namespace(eta)
        u = xp.exp(exponent)
        below = self.left_unit * (u if self.left_bounded else 1 - u)
        above = self.right_unit * (1 - u if self.right_bounded else u - 1)
        return xp.where(eta < 0, below, self.middle + above)

    def speed(self, place: Array) -> Array:
        """dη / dx."""
        xp = array_namespace(place)
        left, u = self.distance(place)
        inside = u > 0
        u = xp.where(inside, u, 1.0)
        return xp.where(inside, 1 / xp.where(left, u * self.left_unit, u * self.right_unit), 0.0)

    def left_eta(self, distance: float) -> float:
        """η at a distance from the lower end, or below the median if there is none."""
        u = distance / self.left_unit
        return math.log(u) if self.left_bounded else -math.log1p(u)

    def left_distance(self, eta: np.ndarray) -> np.ndarray:
        """The inverse of `left_eta`, for arrays."""
        return self.left_unit * (np.exp(-np.abs(eta)) if self.left_bounded else np.expm1(np.abs(eta)))

    def place_at(self, u: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of `distance`, and its derivative, for arrays."""
        slope = np.where(
            left,
            self.left_unit if self.left_bounded else -self.left_unit,
            -self.right_unit if self.right_bounded else self.right_unit,
        )
        return self.middle + (u - 1) * slope, slope

    def distance(self, place: Array) -> tuple[Array, Array]:
        """Whether places are left of the median, and u = exp(±η), at most 1 beside a finite end."""
        xp = _namespace(place)
        left, off = place < self.middle, place - self.middle
        below = place / self.left_unit if self.left_bounded else 1 - off / self.left_unit
        above = off / self.right_unit
        return left, xp.where(left, below, 1 - above if self.right_bounded else 1 + above)


def _namespace(x: Array) -> Any:
    """That of an array: `array_namespace` takes longer than work on short ones does."""
    return np if isinstance(x, np.ndarray) else array_namespace(x)


def rounded(ratio: float) -> float:
    """A ratio without its last digits, so that laws of one shape are recognised."""
    return float(f"{ratio:.14g}")
