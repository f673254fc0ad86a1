"""How close samples of images come to held-out ones, how blurred they are, and whether they are copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ot_latent import datasets
from ot_latent import scores as scores_of
from ot_latent._frechet import frechet_distance, frechet_interval
from ot_latent._neighbours import nearest_distances
from ot_latent.transport_report import ratio_to_held_out

_ROWS = 1_000  # training images that are turned to floats at a time


@dataclass(frozen=True)
class ImageScore:
    """What `image_report` says of one set of samples. Each number has a 95 % interval.

    Attributes
    ----------
    frechet, frechet_interval : float, (float, float)
        Frechet distance to the held-out images, under the report's features.
    detail, detail_interval : float, (float, float)
        Mean difference of neighbouring pixels (`scores.detail`) over that of held-out images: blur
        lowers it.
    nearest, nearest_interval : float, (float, float)
        Median distance of features to those of the nearest training image, over that of held-out
        images: near 0 for copies.
    """

    frechet: float
    frechet_interval: tuple[float, float]
    detail: float
    detail_interval: tuple[float, float]
    nearest: float
    nearest_interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.frechet_interval
        return (
            f"Frechet {self.frechet:.2f} ({low:.2f} to {high:.2f})  detail {self.detail:.2f}  "
            f"nearest {self.nearest:.2f}"
        )


def image_report(
    samples: dict[str, torch.Tensor],
    held_out: torch.Tensor,
    training: np.ndarray,
    scorer,
    rng: int = 0,
) -> dict[str, ImageScore]:
    """Compare samples of images with images that were held out.

    Parameters
    ----------
    samples : dict of (n, channels, side, side) tensors in [0, 1]
        By name. Frechet distances are biased by about a constant over n: take as many of each.
    held_out : (m, channels, side, side) tensor in [0, 1]
    training : (N, side, side, 3) or (N, side, side) uint8
        What the models were trained on.
    scorer : object with ``features(images)``
        Such as `scores.PixelComponents`.
    rng : int
        Seed of the bootstrap.

    Returns
    -------
    dict of ImageScore
    """
    generator = np.random.default_rng(rng)
    pieces = np.array_split(training, -(-len(training) // _ROWS))
    side = held_out.shape[-1]
    known = np.concatenate([scorer.features(datasets.to_square(piece, side)) for piece in pieces])
    reference = scorer.features(held_out)
    sharp, near = scores_of.detail(held_out), nearest_distances(reference, known)
    report = {}
    for name, images in samples.items():
        seen = scorer.features(images)
        detail = scores_of.ratio_of_means(scores_of.detail(images), sharp)
        own = nearest_distances(seen, known)
        nearest = ratio_to_held_out(own, near, generator)
        distance = frechet_distance(seen, reference)
        report[name] = ImageScore(distance, frechet_interval(seen, reference), *detail, *nearest)
    return report
