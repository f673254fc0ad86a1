"""How good samples are: scores of features and probabilities, each with what is known of its error.

Inception Score, Frechet distance (FID), kernel distance (KID), precision and recall, density and
coverage, memorisation. All take what a scorer made of images (`scorers`): a number without its
scorer's name says nothing, and every table gives it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import stats
from torch import nn

from ot_latent import datasets
from ot_latent._features import FeatureStatistics as FeatureStatistics
from ot_latent._frechet import FrechetBias as FrechetBias
from ot_latent._frechet import frechet_bias as frechet_bias
from ot_latent._frechet import frechet_distance as frechet_distance
from ot_latent._frechet import frechet_interval as frechet_interval
from ot_latent._inception_score import InceptionStatistics as InceptionStatistics
from ot_latent._inception_score import inception_interval as inception_interval
from ot_latent._inception_score import inception_score as inception_score
from ot_latent._kernel_distance import KernelDistance as KernelDistance
from ot_latent._kernel_distance import kernel_distance as kernel_distance
from ot_latent._neighbours import Memorisation as Memorisation
from ot_latent._neighbours import NeighbourScores as NeighbourScores
from ot_latent._neighbours import memorisation as memorisation
from ot_latent._neighbours import nearest_distances as nearest_distances
from ot_latent._neighbours import neighbour_scores as neighbour_scores
from ot_latent._principal import PixelComponents as PixelComponents
from ot_latent.transport_report import transport_report as transport_report

_ROWS = 100  # images that go through a network at a time


def _chunked(function, rows: torch.Tensor, device) -> np.ndarray:
    """Apply a network's function chunk by chunk, without gradients, in evaluation mode."""
    with torch.inference_mode():
        return torch.cat([function(chunk.to(device)).cpu() for chunk in rows.split(_ROWS)]).numpy()


def encode(model: nn.Module, images: np.ndarray, device="cpu") -> np.ndarray:
    """Codes of uint8 images, (n, h, w) or (n, h, w, 3), resized to the model's side: -> (n, d)."""
    chunks = np.array_split(images, math.ceil(len(images) / _ROWS))
    with torch.inference_mode():
        codes = [
            model.encode(datasets.to_square(chunk, model.side).to(device)).cpu() for chunk in chunks
        ]
    return torch.cat(codes).numpy()


def decode(model: nn.Module, codes: torch.Tensor, device="cpu") -> torch.Tensor:
    """Images of codes: (n, d) -> (n, channels, side, side)."""
    return torch.from_numpy(_chunked(model.decode, codes, device))


def features(classifier: nn.Module, images: torch.Tensor, device="cpu") -> np.ndarray:
    """Features behind all scores of images: (n, 1, 64, 64) -> (n, 128)."""
    return _chunked(classifier.features, images, device)


def predictions(classifier: nn.Module, features: np.ndarray, device="cpu") -> np.ndarray:
    """p(label | image) from the features of images: (n, 128) -> (n, 10)."""
    rows = torch.from_numpy(features)
    return _chunked(lambda chunk: classifier.head(chunk).softmax(1), rows, device)


def reconstruction_errors(model: nn.Module, images: torch.Tensor, device="cpu") -> np.ndarray:
    """||x - G(E(x))||^2 of each image: (n, channels, side, side) -> (n,)."""

    def errors(rows: torch.Tensor) -> torch.Tensor:
        return (rows - model.decode(model.encode(rows))).square().flatten(1).sum(1)

    return _chunked(errors, images, device)


def detail(images: torch.Tensor) -> np.ndarray:
    """Mean absolute difference of neighbouring pixels of each image: (n, channels, h, w) -> (n,).

    Blur lowers it; noise raises it, too.
    """
    down, right = (images.diff(dim=axis).abs().flatten(1).mean(1) for axis in (2, 3))
    return ((down + right) / 2).cpu().numpy()


def saturation(images: torch.Tensor) -> np.ndarray:
    """How far from grey each image is: (n, channels, h, w) -> (n,).

    In colour, the largest less the smallest channel, averaged over pixels (the chroma of HSV). Grey
    images have none of it; of those it is the standard deviation of the pixels, which is small where
    everything is the same grey.
    """
    if images.shape[1] == 1:
        return images.flatten(1).std(1, correction=0).cpu().numpy()
    return (images.amax(1) - images.amin(1)).flatten(1).mean(1).cpu().numpy()


def ratio_of_means(first: np.ndarray, second: np.ndarray) -> tuple[float, tuple[float, float]]:
    """mean(first) / mean(second) of two independent samples, with a 95 % interval to first order."""
    means = np.mean(first), np.mean(second)
    relative = math.hypot(stats.sem(first) / means[0], stats.sem(second) / means[1])
    ratio = float(means[0] / means[1])
    return ratio, (ratio * (1 - 1.96 * relative), ratio * (1 + 1.96 * relative))


def ratio_of_paired_means(
    first: np.ndarray, second: np.ndarray
) -> tuple[float, tuple[float, float]]:
    """mean(first) / mean(second) of numbers of the same images, with a 95 % interval to first order."""
    ratio = float(np.mean(first) / np.mean(second))
    half = 1.96 * float(stats.sem(first - ratio * second) / abs(np.mean(second)))
    return ratio, (ratio - half, ratio + half)


def proportion_interval(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion."""
    interval = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
