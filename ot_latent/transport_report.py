"""How close mapped noise comes to codes that no map was fitted to, and whether it repeats codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ot_latent._neighbours import nearest_distances, ratio_of_medians
from ot_latent.kantorovich import solve_kantorovich

_RESAMPLES = 200


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


def transport_report(clouds, codes, held_out, block: int = 1_000, rng: int = 0) -> dict:
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
    codes, held_out = (np.asarray(values, dtype=float) for values in (codes, held_out))
    generator = np.random.default_rng(rng)
    gaussian = generator.multivariate_normal(
        codes.mean(0), np.cov(codes, rowvar=False), len(held_out)
    )
    all_clouds = {"codes": codes, "Gaussian fit": gaussian, **clouds}
    blocks = len(held_out) // block
    if blocks < 2:
        raise ValueError(f"held_out must hold two blocks of {block} codes, got {len(held_out)}")
    targets = generator.permutation(held_out)[: blocks * block].reshape(blocks, block, -1)
    own = nearest_distances(held_out, codes)
    distances, result = {}, {}
    for name, cloud in all_clouds.items():
        cloud = np.asarray(cloud, dtype=float)
        if cloud.ndim != 2 or cloud.shape[1] != codes.shape[1] or len(cloud) < blocks * block:
            raise ValueError(
                f"{name} must have shape (at least {blocks * block}, {codes.shape[1]}), "
                f"got {cloud.shape}"
            )
        chosen = generator.permutation(cloud)[: blocks * block]
        pairs = zip(chosen.reshape(targets.shape), targets, strict=True)
        distances[name] = np.array([solve_kantorovich(x, y).w2 for x, y in pairs])
        # blocks face the same held-out codes, so that their ratios vary less than their distances
        ratio = _ratio_of_blocks(distances[name], distances["codes"], generator)
        repeats = own if name == "codes" else nearest_distances(chosen, codes)
        nearest = ratio_to_held_out(repeats, own, generator)
        result[name] = TransportScore(float(distances[name].mean()), *ratio, *nearest)
    return result


def _ratio_of_blocks(distances, floor, generator):
    """Mean distance over the mean floor, and its 95 % bootstrap interval over the blocks of both."""
    draws = generator.integers(len(floor), size=(_RESAMPLES, len(floor)))
    values = distances[draws].mean(1) / floor[draws].mean(1)
    return float(distances.mean() / floor.mean()), _middle(values)


def ratio_to_held_out(near, fresh, generator):
    """Ratio of the medians of independent distances, and its 95 % bootstrap interval."""

    def resampled(values):
        return values[generator.integers(len(values), size=len(values))]

    values = [ratio_of_medians(resampled(near), resampled(fresh)) for _ in range(_RESAMPLES)]
    return ratio_of_medians(near, fresh), _middle(values)


def _middle(values) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
