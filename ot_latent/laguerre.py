"""The cells of N planes: which is highest at a point, and how much mass each cell holds."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from scipy.stats import norm

_GROUP = 32  # codes whose maximum is taken at once; the position within comes later
_TILE = {
    "cpu": (4096, 256),
    "cuda": (65_536, 2_048),
}  # codes x noise: fits the cache, fills the GPU


class Estimate(NamedTuple):
    """A Monte-Carlo estimate and the ends of its interval, 95 % unless stated otherwise."""

    value: float
    low: float
    high: float

    @classmethod
    def normal(cls, value: float, variance: float, level: float = 0.05) -> Estimate:
        half = float(norm.isf(level / 2)) * math.sqrt(variance)
        return cls(value, value - half, value + half)


class Cells:
    """Which plane is highest, by tiles: memory O(codes x d + tile), never noise x codes.

    A maximum over groups of codes is vectorised, an argmax over all of them is not: find the best
    group first, then the code within that group.
    """

    def __init__(self, codes: torch.Tensor) -> None:
        self.n, d = codes.shape
        self.codes_in_tile, self.rows = _TILE[codes.device.type]
        planes = codes.new_zeros(math.ceil(self.n / _GROUP) * _GROUP, d + 1)
        planes[: self.n, :d] = codes
        planes[self.n :, d] = -1e30  # planes that only fill the last group are never the highest
        self.planes, self.groups = planes, planes.view(-1, _GROUP, d + 1)
        self.tile = codes.new_empty(min(self.codes_in_tile, len(planes)) * self.rows)

    @property
    def codes(self) -> torch.Tensor:
        return self.planes[: self.n, :-1]

    @property
    def heights(self) -> torch.Tensor:
        return self.planes[: self.n, -1]

    def lift(self, heights: torch.Tensor) -> None:
        self.planes[: self.n, -1] = heights

    def highest(self, noise: torch.Tensor) -> torch.Tensor:
        """(m, d) -> (m,)"""
        return torch.cat([self._highest(rows) for rows in noise.split(self.rows)])

    def slack(self, noise: torch.Tensor) -> torch.Tensor:
        """How far each plane is below the envelope at the noise point where it is nearest: (N,)"""
        least = torch.full_like(self.planes[:, 0], math.inf)
        for rows in noise.split(self.rows):
            points = _lifted(rows)
            top = (self.planes[self._highest(rows)] * points.T).sum(1)
            for scores, part in zip(
                self._tiles(points), least.split(self.codes_in_tile), strict=True
            ):
                torch.minimum(part, (top - scores).amin(1).clamp(min=0), out=part)
        return least[: self.n]

    def _highest(self, noise: torch.Tensor) -> torch.Tensor:
        points = _lifted(noise)
        tops = [scores.view(-1, _GROUP, len(noise)).amax(1) for scores in self._tiles(points)]
        group = torch.cat(tops).max(0).indices
        within = torch.bmm(self.groups[group], points.T[:, :, None]).squeeze(2).argmax(1)
        return group * _GROUP + within

    def _tiles(self, points: torch.Tensor):
        for planes in self.planes.split(self.codes_in_tile):
            size = len(planes), points.shape[1]
            yield torch.mm(planes, points, out=self.tile[: math.prod(size)].view(size))


def _lifted(noise: torch.Tensor) -> torch.Tensor:
    """(z, 1) as columns, so that planes @ points are heights of planes."""
    return torch.cat([noise, noise.new_ones(len(noise), 1)], 1).T.contiguous()


def estimate_mass_error(
    counts: torch.Tensor, masses: torch.Tensor, level: float = 0.05
) -> Estimate:
    """The chi^2 distance of the cells' masses p from b, sum_j (p_j - b_j)^2 / b_j, without bias.

    sum_j (q_j - b_j) (r_j - b_j) / b_j is unbiased when q and r are the frequencies of two
    independent sets of noise. Its mean over all ways to halve n points is the U-statistic

        sum_j n_j (n_j - 1) / b_j / (n (n - 1)) - 1,

    which has half the variance. More points make it sharper, never smaller.

    Parameters
    ----------
    counts : (N,)
        n_j, noise points in each cell.
    masses : (N,)
        b_j.
    level : float
        The interval misses the error with this probability.
    """
    k, b = counts.double(), masses.double()
    n = float(k.sum())
    pairs = k * (k - 1)
    value = float((pairs / b).sum()) / (n * (n - 1)) - 1
    # Hoeffding: Var = 4 Var(p(z) / b(z)) / n + 2 sum p^2 / b^2 / n^2, powers of p by factorials.
    # The first variance is the error itself plus a skewness. An interval that solves for the error,
    # as Wilson's for a proportion, also covers when estimate and variance are both too low.
    slope = float((pairs * (k - 2) / b**2).sum()) / (n * (n - 1) * (n - 2)) - (1 + value) ** 2
    skewness = max(slope - max(value, 0.0), 0.0)
    variance = 4 * skewness / n + 2 * float((pairs / b**2).sum()) / n**4
    z = float(norm.isf(level / 2))
    center, spread = value + 2 * z**2 / n, max(4 * value / n + variance + 4 * z**2 / n**2, 0.0)
    half = z * math.sqrt(spread)
    return Estimate(value, center - half, center + half)
