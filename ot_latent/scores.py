"""How good samples are: Inception Score, Frechet distance, errors, with intervals.

All scores of images are under our own digit classifier, never the ImageNet network of the papers;
every table says so.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import linalg, stats
from torch import nn

from ot_latent import datasets
from ot_latent.transport_report import transport_report as transport_report

_ROWS = 100  # images that go through a network at a time


def _chunked(function, rows: torch.Tensor, device) -> np.ndarray:
    """Apply a network's function chunk by chunk, without gradients, in evaluation mode."""
    with torch.inference_mode():
        return torch.cat([function(chunk.to(device)).cpu() for chunk in rows.split(_ROWS)]).numpy()


def encode(model: nn.Module, images: np.ndarray, device="cpu") -> np.ndarray:
    """Codes of grey uint8 images: (n, h, w) -> (n, d)."""
    chunks = np.array_split(images, math.ceil(len(images) / _ROWS))
    with torch.inference_mode():
        codes = [model.encode(datasets.to_square(chunk).to(device)).cpu() for chunk in chunks]
    return torch.cat(codes).numpy()


def decode(model: nn.Module, codes: torch.Tensor, device="cpu") -> torch.Tensor:
    """Images of codes: (n, d) -> (n, 1, 64, 64)."""
    return torch.from_numpy(_chunked(model.decode, codes, device))


def features(classifier: nn.Module, images: torch.Tensor, device="cpu") -> np.ndarray:
    """Features behind all scores of images: (n, 1, 64, 64) -> (n, 128)."""
    return _chunked(classifier.features, images, device)


def predictions(classifier: nn.Module, features: np.ndarray, device="cpu") -> np.ndarray:
    """p(label | image) from the features of images: (n, 128) -> (n, 10)."""
    rows = torch.from_numpy(features)
    return _chunked(lambda chunk: classifier.head(chunk).softmax(1), rows, device)


def reconstruction_errors(model: nn.Module, images: torch.Tensor, device="cpu") -> np.ndarray:
    """||x - G(E(x))||^2 of each image: (n, 1, 64, 64) -> (n,)."""

    def errors(rows: torch.Tensor) -> torch.Tensor:
        return (rows - model.decode(model.encode(rows))).square().flatten(1).sum(1)

    return _chunked(errors, images, device)


def inception_score(probabilities: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """Inception Score of Salimans et al. (2016): mean and standard deviation over splits.

    exp(E_x KL(p(y|x) || p(y))) of each split, from p(y|x) of shape (n, classes).

    Raises
    ------
    ValueError
        If rows are not probabilities or there are fewer rows than splits.
    """
    probabilities = np.asarray(probabilities, dtype=float)
    if probabilities.ndim != 2 or len(probabilities) < splits:
        raise ValueError(
            f"probabilities must have shape (n >= {splits}, classes), got {probabilities.shape}"
        )
    if (probabilities < 0).any() or not np.allclose(probabilities.sum(1), 1, atol=1e-4):
        raise ValueError("each row of probabilities must be non-negative and sum to 1")
    values = []
    for part in np.array_split(probabilities, splits):
        entropy = stats.entropy(part, part.mean(0, keepdims=True), axis=1)
        values.append(math.exp(entropy.mean()))
    return float(np.mean(values)), float(np.std(values))


def inception_interval(
    probabilities: np.ndarray, rng: int = 0, resamples: int = 200
) -> tuple[float, float]:
    """95 % bootstrap interval of the Inception Score of all rows as one split."""
    generator = np.random.default_rng(rng)
    n = len(probabilities)
    draws = (generator.integers(n, size=n) for _ in range(resamples))
    values = [inception_score(probabilities[rows], splits=1)[0] for rows in draws]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Frechet distance between Gaussian fits of two sets of features (Heusel et al. 2017).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^{1/2} C2 C1^{1/2})^{1/2}), by symmetric eigenvalues, so that
    singular covariances are harmless.

    Parameters
    ----------
    first, second : (n, d) and (m, d)
    """
    (m1, c1), (m2, c2) = ((x.mean(0), np.cov(x, rowvar=False)) for x in (first, second))
    values, vectors = linalg.eigh(c1)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    cross = np.sqrt(linalg.eigvalsh(root @ c2 @ root).clip(min=0)).sum()
    return float(((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross)


def frechet_interval(
    samples: np.ndarray, reference: np.ndarray, blocks: int = 20
) -> tuple[float, float]:
    """95 % interval of `frechet_distance` over the draw of the samples, for a fixed reference.

    By the jackknife that leaves one block of samples out at a time. The bias at n samples, about the
    same for all sets of the same size, is not removed.

    Parameters
    ----------
    samples, reference : (n, d) and (m, d)
    """
    # every 20th sample is a block: data sets are often ordered, blocks must not be
    block = np.arange(len(samples)) % blocks
    values = [frechet_distance(samples[block != left_out], reference) for left_out in range(blocks)]
    error = math.sqrt((blocks - 1) ** 2 / blocks * np.var(values, ddof=1))
    half = float(stats.t.isf(0.025, blocks - 1)) * error
    value = frechet_distance(samples, reference)
    return value - half, value + half


def ratio_of_means(first: np.ndarray, second: np.ndarray) -> tuple[float, tuple[float, float]]:
    """mean(first) / mean(second) of two independent samples, with a 95 % interval to first order."""
    means = np.mean(first), np.mean(second)
    relative = math.hypot(stats.sem(first) / means[0], stats.sem(second) / means[1])
    ratio = float(means[0] / means[1])
    return ratio, (ratio * (1 - 1.96 * relative), ratio * (1 + 1.96 * relative))


def proportion_interval(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion."""
    interval = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
