"""Reports: how close mapped noise comes to codes never seen, and generated images to held-out ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from ot_latent._arrays import count, number, real_numbers
from ot_latent.kantorovich import solve_kantorovich
from ot_latent.laguerre import Estimate
from ot_latent.scores.frechet import feature_rows
from ot_latent.scores.intervals import bootstrap_interval, mean_of_seeds
from ot_latent.scores.neighbours import NEIGHBOURS, coverage_and_density, nearest_distances, ratio_of_medians


@dataclass(frozen=True)
class TransportScore:
    """What `transport_report` says of one cloud: 1 is the best value of all ratios, and each has failures of its own.

    Attributes
    ----------
    w2 : float
        Mean of the exact W2 between blocks of the cloud and of held-out codes.
    ratio : Estimate
        Of `w2` to that of codes to held-out codes. Between samples in many dimensions it rewards collapse.
    spread : Estimate
        Root mean square distance to the mean, over that of codes: below 1 where the cloud has collapsed.
    coverage, density : Estimate
        See `neighbours.coverage_and_density`; over those of codes. A mode that is left out lowers the coverage.
        Points between modes or outside lower the density, a crowd raises it.
    nearest : Estimate
        Memorisation: median distance to the nearest code that was fitted, over that of held-out codes. It is 0 for a
        map that repeats codes, 1 for one that makes new ones of the same law.
    """

    w2: float
    ratio: Estimate
    spread: Estimate
    coverage: Estimate
    density: Estimate
    nearest: Estimate

    def __str__(self) -> str:
        ratio, spread, coverage, density, nearest = (
            f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
            for estimate in (self.ratio, self.spread, self.coverage, self.density, self.nearest)
        )
        return (
            f"W2 {self.w2:.3f}, {ratio} times the floor; spread {spread}, coverage {coverage} and density {density} "
            f"of codes; nearest code at {nearest} times the distance of held-out ones"
        )


@dataclass(frozen=True)
class ModeCoverage:
    """What `mode_coverage` says of one cloud.

    Attributes
    ----------
    within : float
        Share of the points that are near a mode.
    shares : (k,) array
        Points that are nearest to each mode, over an equal share: 1 everywhere is even.
    near : (k,) array
        Points that are near each mode, as a share of all.
    """

    within: float
    shares: np.ndarray
    near: np.ndarray

    def __str__(self) -> str:
        low, high = self.shares.min(), self.shares.max()
        return f"{self.within:.0%} near a mode, shares {low:.2f} to {high:.2f} of an equal one"


def mode_coverage(cloud: ArrayLike, centers: ArrayLike, reach: float) -> ModeCoverage:
    """How many points are near a mode, and whether the modes have equal shares.

    Parameters
    ----------
    cloud : (n, d) array
    centers : (k, d) array
        Of the modes.
    reach : float
        Near is closer than this; three standard deviations hold 98.9 % of a Gaussian in the plane.

    Examples
    --------
    >>> print(mode_coverage([[0.1, 0], [4, 1], [4, 0.5], [9, 9]], [[0, 0], [4, 0]], reach=2))
    75% near a mode, shares 0.50 to 1.50 of an equal one
    """
    points = feature_rows(cloud, "cloud")
    distances, reach = cdist(points, feature_rows(centers, "centers", points)), number(reach, "reach", positive=True)
    n, k = distances.shape
    counts = np.bincount(distances.argmin(1), minlength=k)
    within = float((distances.min(1) < reach).mean())
    return ModeCoverage(within, counts * k / n, (distances < reach).mean(0))


def circulation(field: Callable[[np.ndarray], ArrayLike], corners: ArrayLike, steps: int = 1_000) -> float:
    """Work of a field around closed polygons, over that without signs: 0 for a gradient.

    By the midpoint rule. A potential of straight pieces has a gradient that jumps, so that the rule errs
    by the order of 1 / steps.

    Parameters
    ----------
    field : callable, (n, d) array -> (n, d) array
    corners : (polygons, k, d) array
    steps : int
        On each edge.

    Returns
    -------
    Root mean square over the polygons of |Σ field . dl| / Σ |field . dl|.

    Examples
    --------
    >>> square = np.array([[[0.0, 0], [1, 0], [1, 1], [0, 1]]])
    >>> circulation(lambda x: x @ [[2, 1], [1, 3]], square) < 1e-12
    True
    >>> circulation(lambda x: x @ [[0, 1], [-1, 0]], square)
    1.0
    """
    count(steps, "steps")
    starts = real_numbers(corners, "corners")
    edges = np.roll(starts, -1, axis=1) - starts
    middles = (np.arange(steps) + 0.5)[:, None] / steps
    points = starts[:, :, None] + edges[:, :, None] * middles
    values = np.asarray(field(points.reshape(-1, starts.shape[2])), dtype=float)
    work = (values.reshape(points.shape) * edges[:, :, None]).sum(3)
    parts = np.abs(work.sum((1, 2))) / np.abs(work).sum((1, 2))
    return float(np.sqrt((parts**2).mean()))


def transport_report(
    clouds: Mapping[str, ArrayLike], codes: ArrayLike, held_out: ArrayLike, block: int = 1_000, rng: int = 0
) -> dict[str, TransportScore]:
    """Compare clouds of points with codes that were held out, by numbers that no collapse pleases together.

    Parameters
    ----------
    clouds : dict of (n, d) or (seeds, n, d) arrays
        Mapped noise by name. With a leading axis, of maps that were trained from several seeds: values are means
        over these, and intervals tell where the mean of many seeds lies (Student's t; held-out codes stay the same).
    codes : (N, d) array
        The codes that the maps were fitted to.
    held_out : (m, d) array
        Other codes of the same law.
    block : int
        Points on each side of an exact transport problem, at least 6. W2 between samples of one law shrinks as
        they grow, so that only ratios at one size compare.
    rng : int
        Seed of the shuffling, and of the points of the Gaussian.

    Returns
    -------
    dict of TransportScore
        By name, with 95 % intervals, and with two more in front: ``"codes"``, the floor that sampling leaves, and
        ``"Gaussian fit"``, points of the Gaussian with the codes' mean and covariance, which the linear
        optimal map makes of noise.

    Raises
    ------
    ValueError
        If shapes disagree or there are fewer than two blocks of held-out codes.

    Examples
    --------
    In a hundred dimensions W2 prefers a cloud that has lost half of its spread:

    >>> codes, held_out, new = np.random.default_rng(0).standard_normal((3, 400, 100))
    >>> shrunk = transport_report({"shrunk": 0.5 * new}, codes, held_out, block=200)["shrunk"]
    >>> [round(shrunk.ratio.value, 2), round(shrunk.spread.value, 2), round(shrunk.coverage.value, 2)]
    [0.81, 0.5, 0.0]
    """
    count(block, "block", NEIGHBOURS + 1)
    codes = feature_rows(codes, "codes")
    held_out = feature_rows(held_out, "held_out", codes)
    if not isinstance(clouds, Mapping):
        raise TypeError(f"clouds must be a mapping of names to points, got {clouds!r}")
    generator = np.random.default_rng(count(rng, "rng", 0))
    covariance = np.atleast_2d(np.cov(codes, rowvar=False))
    gaussian = generator.multivariate_normal(codes.mean(0), covariance, len(held_out))
    blocks = len(held_out) // block
    if blocks < 2:
        raise ValueError(f"held_out must hold two blocks of {block} codes, got {len(held_out)}")
    targets = generator.permutation(held_out)[: blocks * block].reshape(blocks, block, -1)
    own = nearest_distances(held_out, codes)
    floor, result = None, {}

    for name, points in {"codes": codes, "Gaussian fit": gaussian, **clouds}.items():
        seeds = []
        for of_seed in points if np.ndim(points) == 3 else [points]:
            cloud = feature_rows(of_seed, name, codes)
            if len(cloud) < blocks * block:
                raise ValueError(f"{name} must hold at least {blocks * block} points, got {len(cloud)}")
            chosen = generator.permutation(cloud)[: blocks * block]
            found = _of_blocks(chosen.reshape(targets.shape), targets)
            floor = found if floor is None else floor
            # blocks face the same held-out codes, so that their ratios vary less than what they are of
            parts = [(pair, _ratio, True) for pair in zip(found, floor, strict=True)]
            parts += [((own if name == "codes" else nearest_distances(chosen, codes), own), ratio_of_medians, False)]
            seeds.append((found[0].mean(), [_estimate(*part, generator) for part in parts]))
        w2, estimates = zip(*seeds, strict=True)
        result[name] = TransportScore(float(np.mean(w2)), *map(_over_seeds, zip(*estimates, strict=True)))
    return result


def _of_blocks(cloud: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """W2, spread, coverage and density of each block: (blocks, n, d) twice -> (4, blocks)"""
    pairs = list(zip(cloud, targets, strict=True))
    distances = [solve_kantorovich(x, y).w2 for x, y in pairs]
    return np.stack([distances, np.sqrt(cloud.var(1).sum(1)), *np.transpose([coverage_and_density(*p) for p in pairs])])


def _estimate(
    samples: tuple[np.ndarray, ...], statistic: Callable[..., np.ndarray], paired: bool, rng: np.random.Generator
) -> Estimate:
    return Estimate(float(statistic(*samples)), *bootstrap_interval(samples, statistic, rng, paired))


def _over_seeds(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over training seeds, with Student's interval; that of one seed as it is."""
    if len(estimates) == 1:
        return estimates[0]
    mean, interval = mean_of_seeds([estimate.value for estimate in estimates])
    return Estimate(mean, *interval)


def _ratio(values: np.ndarray, floor: np.ndarray, axis: int = -1) -> np.ndarray:
    return values.mean(axis) / floor.mean(axis)
