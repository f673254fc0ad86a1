"""How close mapped noise comes to codes that no map was fitted to, and whether it repeats codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ot_latent._neighbours import nearest_distances
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
        ratio = bootstrap_ratio(
            distances[name], distances["codes"], np.mean, generator, paired=True
        )
        repeats = own if name == "codes" else nearest_distances(chosen, codes)
        nearest = bootstrap_ratio(repeats, own, np.median, generator, paired=False)
        result[name] = TransportScore(float(distances[name].mean()), *ratio, *nearest)
    return result


def bootstrap_ratio(first, second, statistic, generator, paired):
    """statistic(first) / statistic(second) and its 95 % bootstrap interval."""
    values = []
    for _ in range(_RESAMPLES):
        rows = generator.integers(len(first), size=len(first))
        others = rows if paired else generator.integers(len(second), size=len(second))
        values.append(statistic(first[rows]) / statistic(second[others]))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(statistic(first) / statistic(second)), (float(low), float(high))
