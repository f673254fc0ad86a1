"""Networks applied to many images, chunk by chunk, without gradients: codes, images, features, errors.

Networks compute in the precision of their weights, whatever they are given; results are at least float32.
"""

import math
from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from ot_latent._arrays import at_least_single
from ot_latent._loop import available
from ot_latent.datasets.pixels import to_square
from ot_latent.scores.images import unit_images

_ROWS = 100  # images that go through a network at a time

Device: TypeAlias = str | torch.device


def _chunked(
    model: nn.Module, function: Callable[[torch.Tensor], torch.Tensor], chunks: Iterable[torch.Tensor], device: Device
) -> np.ndarray:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model or classifier must be a network, got {model!r}")
    device = available(device)
    dtype = next((weights.dtype for weights in model.parameters()), None)
    with torch.inference_mode():
        return torch.cat([at_least_single(function(chunk.to(device, dtype))).cpu() for chunk in chunks]).numpy()


def encode(model: nn.Module, images: np.ndarray, device: Device = "cpu") -> np.ndarray:
    """Codes of images, resized to the model's side.

    Parameters
    ----------
    model : Module
        With ``encode`` and ``side``, in evaluation mode, on `device`.
    images : (n, h, w) or (n, h, w, 3) uint8

    Returns
    -------
    (n, d) float32
    """
    chunks = np.array_split(images, math.ceil(len(images) / _ROWS) or 1)
    return _chunked(model, model.encode, (to_square(chunk, model.side) for chunk in chunks), device)


def decode(model: nn.Module, codes: torch.Tensor, device: Device = "cpu") -> torch.Tensor:
    """Images of codes: (n, d) -> (n, channels, side, side)."""
    return torch.from_numpy(_chunked(model, model.decode, codes.split(_ROWS), device))


def features(classifier: nn.Module, images: torch.Tensor, device: Device = "cpu") -> np.ndarray:
    """Features of images as the classifier takes them: (n, channels, side, side) in [0, 1] -> (n, d).

    `scorers.Classifier` brings images to that form first.
    """
    return _chunked(classifier, classifier.features, unit_images(images).split(_ROWS), device)


def predictions(classifier: nn.Module, features: np.ndarray, device: Device = "cpu") -> np.ndarray:
    """p(label | image) from the `features` of images: (n, d) -> (n, classes)."""
    chunks = torch.from_numpy(features).split(_ROWS)
    return _chunked(classifier, lambda chunk: at_least_single(classifier.head(chunk)).softmax(1), chunks, device)


def reconstruction_errors(model: nn.Module, images: torch.Tensor, device: Device = "cpu") -> np.ndarray:
    """‖x - G(E(x))‖² of each image: (n, channels, side, side) in [0, 1] -> (n,)."""

    def errors(rows: torch.Tensor) -> torch.Tensor:
        return at_least_single(rows - model.decode(model.encode(rows))).square().flatten(1).sum(1)

    return _chunked(model, errors, unit_images(images).split(_ROWS), device)
