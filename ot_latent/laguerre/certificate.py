"""How far the masses of cells are from what they should be, from counts of noise points."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import gammaincc, gammainccinv, ndtri
from scipy.stats import binom

_RARE = 8  # points too few in a cell that the interval of the U-statistic may overlook
_KEEP = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # shares of points, see `_rare_bound`


class Estimate(NamedTuple):
    """A Monte-Carlo estimate and the ends of its interval, 95 % unless stated otherwise."""

    value: float
    low: float
    high: float


def estimate_mass_error(counts: torch.Tensor, masses: torch.Tensor, level: float = 0.05) -> Estimate:
    """The chi^2 distance of the cells' masses p from b, sum_j (p_j - b_j)^2 / b_j, without bias.

    sum_j (q_j - b_j) (r_j - b_j) / b_j is unbiased when q and r are the frequencies of two
    independent sets of noise. Its mean over all ways to halve n points is the U-statistic

        sum_j n_j (n_j - 1) / b_j / (n (n - 1)) - 1,

    which has half the variance. More points make it sharper, never smaller. Its interval fails where
    8 points too few in a cell weigh more than the noise of all cells, n b_j sqrt(2 N) < 64: such rare
    cells have a bound of their own (`_rare_bound`), and each part half of the upper end's level.

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
    value, low, high = _normal_interval(k, b, k.sum(), level / 2)
    rare = k.sum() * b < _RARE**2 / math.sqrt(2 * len(b))
    if rare.any():
        common = _normal_interval(k[~rare], b[~rare], k.sum(), level / 4)[2]
        high = max(common, 0.0) + _rare_bound(k[rare], b[rare], float(k.sum()), level / 4)
    return Estimate(value, min(low, value), max(high, value))


def _normal_interval(k: torch.Tensor, b: torch.Tensor, points: torch.Tensor, level: float) -> tuple[float, ...]:
    """The U-statistic of some of the cells, and the ends of its interval, each missed with this probability."""
    n, pairs = float(points), k * (k - 1)
    share, mass = float(k.sum()) / n, float(b.sum())
    second = float((pairs / b).sum()) / (n * (n - 1))
    value = second - 2 * share + mass
    # Hoeffding: Var = 4 Var(p(z) / b(z)) / n + 2 sum p^2 / b^2 / n^2, powers of p by factorials.
    # The first variance is the error itself plus a skewness. An interval that solves for the error,
    # as Wilson's for a proportion, also covers when estimate and variance are both too low.
    third = float((pairs * (k - 2) / b**2).sum()) / (n * (n - 1) * (n - 2))
    slope = third - 2 * second + share - (second - share) ** 2
    skewness = max(slope - max(value, 0.0), 0.0)
    variance = 4 * skewness / n + 2 * float((pairs / b**2).sum()) / n**4
    z = -float(ndtri(level))
    center, spread = value + 2 * z**2 / n, max(4 * value / n + variance + 4 * z**2 / n**2, 0.0)
    half = z * math.sqrt(spread)
    return value, center - half, center + half


def _rare_bound(k: torch.Tensor, b: torch.Tensor, n: float, level: float) -> float:
    """A bound of sum_j (p_j - b_j)^2 / b_j over cells that few or no points hit, too low with this probability.

    Keep each point of cell j with probability e_j = e sqrt(min b / b_j). That no cell keeps more than m
    has, given the counts, a probability G; without them one below prod_j P(Poisson(e_j n p_j) <= m), for
    counts repel each other. By Markov's inequality this product is at least level * G, and for m = 0 or 1
    sum_j (e_j n p_j)^2 is largest where one cell has it all: at most w^2 with P(Poisson(w) <= m) = level * G,
    so that sum_j p_j^2 / b_j <= (w / (e n))^2 / min b. Of m and e those are taken that promise most if p = b.
    """
    beta, root = (n * b).cpu().numpy(), (b.min() / b).sqrt().cpu().numpy()
    grid = [(m, e) for m in (0, 1) for e in _KEEP]
    expected = [gammainccinv(m + 1, level * gammaincc(m + 1, e * root * beta).prod()) / e for m, e in grid]
    m, e = grid[int(np.argmin(expected))]
    w = gammainccinv(m + 1, level * binom.cdf(m, k.cpu().numpy(), e * root).prod()) / e
    return float(beta.sum() + w**2 / beta.min()) / n
