"""How far two samples are from one law, by the energy distance and by nearest neighbours: neither asks for a density.

The energy distance sees what is wrong at large, as a spread that is lost. Its distances enter by their roots, one of
the exponents in (0, 2) for which it vanishes only between equal laws (Szekely and Rizzo 2013). In many dimensions
distances hardly differ, and clusters and holes escape it: these nearest neighbours see.
"""

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats

_CONVINCED, _AS_GOOD = 2.0, 0.9  # standard errors, and of the best gain
_PERMUTATIONS = 200
_NEIGHBOURS = 5

Distance = tuple[float, torch.Tensor, torch.Tensor]


class Gain(NamedTuple):
    """By how much a map brings sums of codes nearer to codes that were kept aside, on two halves of these.

    Attributes
    ----------
    distance : float
        Of the mapped sums of each half from the other half: about 0 where both have one law.
    gain, standard_error : float
        By how much it is below that of sums with the right mean and covariance.
    """

    distance: float
    gain: float
    standard_error: float

    @property
    def convincing(self) -> bool:
        """Whether it is nearer, by two standard errors."""
        return self.gain > _CONVINCED * self.standard_error

    @property
    def harmless(self) -> bool:
        """Whether it is not farther, by two standard errors."""
        return self.gain > -_CONVINCED * self.standard_error


class Trial(NamedTuple):
    """A map tried on codes kept aside.

    Attributes
    ----------
    directions : int
        In which it transports.
    angle, slope : float
        Of `SemiDiscreteOT.extend`.
    moved : float
        Root mean square distance that points are moved.
    neighbours : Gain
        By nearest neighbours, which see clusters and holes.
    energy : Gain
        By the energy distance, which sees what is wrong at large, and more than neighbours where points are few.
    """

    directions: int
    angle: float
    slope: float
    moved: float
    neighbours: Gain
    energy: Gain

    @property
    def harmless(self) -> bool:
        """Whether it is by neither measure farther from the codes than mean and covariance alone."""
        return self.neighbours.harmless and self.energy.harmless

    @property
    def convincing(self) -> bool:
        """Whether it is by one measure nearer to the codes than mean and covariance alone, and by none farther."""
        return self.harmless and (self.neighbours.convincing or self.energy.convincing)


def as_good(trials: Sequence[Trial]) -> list[Trial]:
    """Those of the harmless ones that are about the best by each measure that is convinced of any.

    First by neighbours, of these by the energy distance: those with nine tenths of the best gain, or less than it by no
    more than its standard error. Where neither is convinced, the best by the energy distance alone.
    """
    found = [trial for trial in trials if trial.harmless] or list(trials)
    for measure in (attrgetter("neighbours"), attrgetter("energy")):
        convincing = [trial for trial in found if measure(trial).convincing]
        if convincing:
            best = max(map(measure, convincing), key=attrgetter("gain"))
            least = min(_AS_GOOD * best.gain, best.gain - best.standard_error)
            found = [trial for trial in convincing if measure(trial).gain >= least]
    if not any(trial.neighbours.convincing or trial.energy.convincing for trial in found):
        return [max(found, key=lambda trial: trial.energy.gain)]
    return found


def separations(x: torch.Tensor, y: torch.Tensor) -> tuple[Distance, Distance]:
    """How far samples are from one law: by nearest neighbours, and by the energy distance.

    The first is the share of a point's five nearest neighbours that are of its own sample, set against that of one
    law: 1 for samples that do not touch. The second is 2 E‖X - Y‖^½ - E‖X - X'‖^½ - E‖Y - Y'‖^½.

    Parameters
    ----------
    x : (rounds, m, d)
        In each round independent points, at least 2, whatever points of two rounds are to each other.
    y : (n, d)
        In as many parts of m points as go into the rounds: one part is set against x in each, all in turn.

    Returns
    -------
    value : float, twice
        Without bias where both laws are one, so that it may be below 0; the energy distance also where they are not.
    of_x, of_y : (rounds, m) and (n,), twice
        How much each point adds: errors of the value are those of the two means, to first order.

    References
    ----------
    Schilling (1986), Multivariate two-sample tests based on nearest neighbors; Henze (1988), A multivariate two-sample
    test based on the number of nearest neighbor type coincidences; Szekely and Rizzo (2013), Energy statistics.
    """
    rounds, m, d = x.shape
    parts = len(y) // m
    center = y.double().mean(0)  # so that single precision is enough
    x, y = ((points.double() - center).float() for points in (x, y))
    both = torch.cat([x, y.reshape(parts, m, d).repeat(rounds // parts, 1, 1)], dim=1)
    distances = torch.cdist(both, both)
    to_itself = distances.diagonal(dim1=1, dim2=2)
    to_itself.fill_(0)
    added = _by_energy(distances.sqrt(), m)
    to_itself.fill_(math.inf)
    near = distances.topk(min(_NEIGHBOURS, 2 * m - 1), largest=False).indices
    found = []
    for value, points in (_by_neighbours(near, m), added):
        found.append((float(value), points[:, :m], points[:, m:].reshape(rounds // parts, len(y)).mean(0)))
    return found[0], found[1]


def _by_neighbours(near: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    of_x = torch.arange(2 * m, device=near.device) < m
    same = (of_x[near] == of_x[:, None]).double()
    share, expected = same.mean(), (m - 1) / (2 * m - 1)
    # a point counts by its own neighbours, and as one of others, which without it have another
    as_neighbour = torch.zeros_like(same[:, :, 0])
    as_neighbour.scatter_add_(1, near.flatten(1), (same - share).flatten(1) / near.shape[2])
    return (share - expected) / (1 - expected), (same.mean(2) - expected + as_neighbour) / (1 - expected) / 2


def _by_energy(roots: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    sums = torch.stack([part.sum(2, dtype=torch.double) for part in roots.split(m, dim=2)])  # to x and to y
    own, other = torch.cat([sums[0, :, :m], sums[1, :, m:]], 1), torch.cat([sums[1, :, :m], sums[0, :, m:]], 1)
    across, within = other / m, own / (m - 1)
    return 2 * (across - within).mean(), 2 * (across - within)


def gained(before: Sequence[Distance], after: Sequence[Distance], index: np.ndarray) -> Gain:
    """The gain of a map, two halves of codes judging each other.

    Parameters
    ----------
    before, after : two distances each
        Of the sums of one half from the other half, and of those of the other from the one.
    index : (k, rounds, m)
        Of the codes of a half that are summed: each is in one sum of each round.
    """
    less = [
        (a[0] - b[0], *((x - y).numpy(force=True) for x, y in zip(a[1:], b[1:], strict=True)))
        for a, b in zip(before, after, strict=True)
    ]
    (_, *own), (_, *others) = less
    variance = _variance(own[0], others[1], index) + _variance(others[0], own[1], index)
    return Gain((after[0][0] + after[1][0]) / 2, (less[0][0] + less[1][0]) / 2, math.sqrt(variance / 4))


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
