"""How far two samples are from one law: by the energy distance, which asks for no density.

Distances enter by their roots, one of the exponents in (0, 2) for which it vanishes only between equal laws
(Szekely and Rizzo 2013): small ones count more, and holes that a law should have are found sooner.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats

from ot_latent.brenier import require_tensors

_PERMUTATIONS = 200


Energy = tuple[float, torch.Tensor, torch.Tensor]


def energy_distance(x: torch.Tensor, y: torch.Tensor) -> Energy:
    """Energy distance 2 E‖X - Y‖^½ - E‖X - X'‖^½ - E‖Y - Y'‖^½ of two laws, 0 where they are one.

    Parameters
    ----------
    x : (..., n, d)
        In each of the (...) rounds independent points, whatever points of two rounds are to each other.
    y : (m, d)

    Returns
    -------
    value : float
        Without bias, so that it may be below 0.
    of_x, of_y : (..., n) and (m,)
        How much each point adds: errors of the value are those of the two means, to first order.
    """
    require_tensors(x=x, y=y)
    x, y = x.double(), y.double()
    across, other = _roots(x.reshape(-1, x.shape[-1]), y), _roots(y, y)
    within = _roots(x, x).sum(-1) / (x.shape[-2] - 1)
    value = 2 * across.mean() - within.mean() - other.sum() / (len(y) * (len(y) - 1))
    return float(value), 2 * (across.mean(1).reshape(within.shape) - within), 2 * across.mean(0)


def gain(before: Sequence[Energy], after: Sequence[Energy], index: np.ndarray) -> tuple[float, float]:
    """By how much a map brings sums of codes nearer to codes, and the standard error: two halves judge each other.

    Parameters
    ----------
    before, after : two energy distances each
        Of the sums of one half to the other half, and of those of the other to the one.
    index : (k, rounds, m)
        Of the codes of a half that are summed: each is in one sum of each round.
    """
    less = [
        (a[0] - b[0], *((x - y).numpy(force=True) for x, y in zip(a[1:], b[1:], strict=True)))
        for a, b in zip(before, after, strict=True)
    ]
    (_, *own), (_, *others) = less
    variance = _variance(own[0], others[1], index) + _variance(others[0], own[1], index)
    return (less[0][0] + less[1][0]) / 2, math.sqrt(variance / 4)


def _variance(of_sums: np.ndarray, of_judges: np.ndarray, index: np.ndarray) -> float:
    """Variance of the mean over sums plus the mean over judges, the same codes.

    What a sum adds is what its codes bring, of variance v each, and a rest; the mean over the rounds of what its sums
    add tells what a code brings.
    """
    k, rounds, m = index.shape
    brought = np.bincount(index.ravel(), np.tile(of_sums.ravel(), k)) / rounds
    total = of_sums.var()
    v = np.clip((brought.var() - total / rounds) / (1 - 1 / rounds), 0, total / k)
    of_codes = (k * brought + of_judges).var() - k**2 * (total - v) / rounds
    return float(max(of_codes, 0) / (k * m) + (total - k * v) / (rounds * m))


def same_law(x: torch.Tensor, y: torch.Tensor) -> float:
    """p-value of "x and y have one law", from the energy distance of as many points each: (n, d), (n, d).

    Small ones come from the gamma law with the moments of the distances after random permutations.
    """
    n, both = len(x), torch.cat([x, y]).double()
    side = np.repeat([1.0, -1.0], n)
    rng = np.random.default_rng(0)
    sides = torch.from_numpy(np.stack([side, *(rng.permutation(side) for _ in range(_PERMUTATIONS))])).to(both.device)
    found, *others = (-(sides @ _roots(both, both) * sides).sum(1) / n**2).cpu().numpy()
    mean, variance = np.mean(others), np.var(others)
    if not variance > 0:  # all points are equal
        return 1.0
    return float(stats.gamma.sf(found, mean**2 / variance, scale=variance / mean))


def _roots(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cdist(x, y).sqrt_()
