"""Reports: how close mapped noise comes to codes never seen, and generated images to held-out ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from ot_latent._arrays import count, real_numbers
from ot_latent.kantorovich import solve_kantorovich
from ot_latent.models.objectives import positive
from ot_latent.scores.frechet import feature_rows
from ot_latent.scores.intervals import bootstrap_interval
from ot_latent.scores.neighbours import nearest_distances, ratio_of_medians


@dataclass(frozen=True)
class TransportScore:
    """What `transport_report` says of one cloud.

    Attributes
    ----------
    w2 : float
        Mean of the exact W2 between blocks of the cloud and of held-out codes.
    ratio, ratio_interval : float, (float, float)
        Of `w2` to that of codes to held-out codes, with a 95 % interval.
    nearest, nearest_interval : float, (float, float)
        Median distance to the nearest code that was fitted, over that of held-out codes: 0 for a map
        that repeats codes, 1 for one that makes new ones of the same law. With a 95 % interval.
    """

    w2: float
    ratio: float
    ratio_interval: tuple[float, float]
    nearest: float
    nearest_interval: tuple[float, float]

    def __str__(self) -> str:
        (low, high), (near_low, near_high) = self.ratio_interval, self.nearest_interval
        return (
            f"W2 {self.w2:.3f}, {self.ratio:.3f} times the floor ({low:.3f} to {high:.3f}); "
            f"nearest code at {self.nearest:.2f} times the distance of held-out ones "
            f"({near_low:.2f} to {near_high:.2f})"
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
    distances, reach = cdist(points, feature_rows(centers, "centers", points)), positive("reach", reach)
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
    """Compare clouds of points with codes that were held out.

    Parameters
    ----------
    clouds : dict of (n, d) arrays
        Mapped noise by name.
    codes : (N, d) array
        The codes that the maps were fitted to.
    held_out : (m, d) array
        Other codes of the same law.
    block : int
        Points on each side of an exact transport problem. W2 between samples of one law shrinks as
        they grow, so that only ratios at one size compare.
    rng : int
        Seed of the shuffling, and of the points of the Gaussian.

    Returns
    -------
    dict of TransportScore
        By name, with two more in front: ``"codes"``, the floor that sampling leaves, and
        ``"Gaussian fit"``, points of the Gaussian with the codes' mean and covariance, which the linear
        optimal map makes of noise.

    Raises
    ------
    ValueError
        If shapes disagree or there are fewer than two blocks of held-out codes.
    """
    count(block, "block")
    codes = feature_rows(codes, "codes")
    held_out = feature_rows(held_out, "held_out", codes)
    generator = np.random.default_rng(rng)
    gaussian = generator.multivariate_normal(codes.mean(0), np.cov(codes, rowvar=False), len(held_out))
    blocks = len(held_out) // block
    if blocks < 2:
        raise ValueError(f"held_out must hold two blocks of {block} codes, got {len(held_out)}")
    targets = generator.permutation(held_out)[: blocks * block].reshape(blocks, block, -1)
    own = nearest_distances(held_out, codes)
    floor, result = None, {}
    for name, points in {"codes": codes, "Gaussian fit": gaussian, **clouds}.items():
        cloud = feature_rows(points, name, codes)
        if len(cloud) < blocks * block:
            raise ValueError(f"{name} must hold at least {blocks * block} points, got {len(cloud)}")
        chosen = generator.permutation(cloud)[: blocks * block]
        pairs = zip(chosen.reshape(targets.shape), targets, strict=True)
        distances = np.array([solve_kantorovich(x, y).w2 for x, y in pairs])
        floor = distances if floor is None else floor
        # blocks face the same held-out codes, so that their ratios vary less than their distances
        ratio = bootstrap_interval((distances, floor), _ratio, generator, paired=True)
        near = own if name == "codes" else nearest_distances(chosen, codes)
        nearest = bootstrap_interval((near, own), ratio_of_medians, generator)
        result[name] = TransportScore(
            float(distances.mean()), float(_ratio(distances, floor)), ratio, float(ratio_of_medians(near, own)), nearest
        )
    return result


def _ratio(distances: np.ndarray, floor: np.ndarray, axis: int = -1) -> np.ndarray:
    return distances.mean(axis) / floor.mean(axis)
