"""What the card of a trained model says of it: numbers on held-out images, with 95 % intervals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ot_latent import networks, scores
from ot_latent._training_data import as_floats, training_images
from ot_latent.recipes import Recipe

_ROWS = 1_000  # images that are turned to floats at a time


def metrics(
    recipe: Recipe, model: nn.Module, device: torch.device, data_dir: str | Path | None, most: int
) -> dict:
    """Metrics of a model in evaluation mode, by what it can do, on at most so many images."""
    images, labels = training_images(recipe.data, recipe.side, "test", data_dir, most)
    if isinstance(model, networks.DigitClassifier):
        return _accuracy(model, images, labels, device)
    return _reconstruction(model, images, device)


def _chunks(images: np.ndarray):
    for first in range(0, len(images), _ROWS):
        yield as_floats(torch.from_numpy(images[first : first + _ROWS]))


def _accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray, device) -> dict:
    seen = np.concatenate([scores.features(model, rows, device) for rows in _chunks(images)])
    right = int((scores.predictions(model, seen, device).argmax(1) == labels).sum())
    interval = scores.proportion_interval(right, len(labels))
    return {"test_accuracy": right / len(labels), "interval_95": list(interval)}


def _reconstruction(model: nn.Module, images: np.ndarray, device) -> dict:
    errors = np.concatenate(
        [scores.reconstruction_errors(model, rows, device) for rows in _chunks(images)]
    )
    mean, half = float(errors.mean()), float(1.96 * errors.std() / math.sqrt(len(errors)))
    return {"test_squared_error": mean, "interval_95": [mean - half, mean + half]}
