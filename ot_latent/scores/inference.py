"""Networks applied to many images, chunk by chunk, without gradients: codes, images, features, errors.

Networks compute in the precision of their weights, whatever they are given; results are at least float32.
"""

import math
from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from ot_latent._arrays import as_floating, at_least_single
from ot_latent._loop import available
from ot_latent.brenier import require_tensors
from ot_latent.datasets.pixels import byte_images, to_square
from ot_latent.scores.frechet import feature_rows
from ot_latent.scores.images import unit_images

_ROWS = 100  # images that go through a network at a time

Device: TypeAlias = str | torch.device


def _chunked(
    model: nn.Module, function: Callable[[torch.Tensor], torch.Tensor], chunks: Iterable[torch.Tensor], device: Device
) -> np.ndarray:
    device = available(device)
    dtype = next((weights.dtype for weights in model.parameters()), None)
    with torch.inference_mode():
        return torch.cat([at_least_single(function(chunk.to(device, dtype))).cpu() for chunk in chunks]).numpy()


def _require_network(**models: nn.Module) -> None:
    for name, model in models.items():
        if not isinstance(model, nn.Module):
            raise TypeError(f"{name} must be a network, got {model!r}")


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
    _require_network(model=model)
    images = byte_images(images)
    chunks = np.array_split(images, math.ceil(len(images) / _ROWS) or 1)
    return _chunked(model, model.encode, (to_square(chunk, model.side) for chunk in chunks), device)


def decode(model: nn.Module, codes: torch.Tensor, device: Device = "cpu") -> torch.Tensor:
    """Images of codes: (n, d) -> (n, channels, side, side)."""
    _require_network(model=model)
    require_tensors(codes=codes)
    return torch.from_numpy(_chunked(model, model.decode, codes.split(_ROWS), device))


def features(classifier: nn.Module, images: torch.Tensor, device: Device = "cpu") -> np.ndarray:
    """Features of images as the classifier takes them: (n, channels, side, side) in [0, 1] -> (n, d).

    `scorers.Classifier` brings images to that form first.
    """
    _require_network(classifier=classifier)
    return _chunked(classifier, classifier.features, unit_images(images).split(_ROWS), device)


def predictions(classifier: nn.Module, features: np.ndarray, device: Device = "cpu") -> np.ndarray:
    """p(label | image) from the `features` of images: (n, d) -> (n, classes)."""
    _require_network(classifier=classifier)
    features = as_floating(features, "features")
    parts = np.array_split(features, math.ceil(len(features) / _ROWS) or 1) if features.ndim else [features]
    chunks = (torch.from_numpy(feature_rows(part, "features")) for part in parts)

    def head(chunk: torch.Tensor) -> torch.Tensor:
        try:
            return at_least_single(classifier.head(chunk)).softmax(1)
        except RuntimeError as error:
            raise ValueError(f"features must be those of this classifier, got {tuple(chunk.shape)}: {error}") from error

    return _chunked(classifier, head, chunks, device)


def reconstruction_errors(model: nn.Module, images: torch.Tensor, device: Device = "cpu") -> np.ndarray:
    """‖x - G(E(x))‖² of each image: (n, channels, side, side) in [0, 1] -> (n,)."""
    _require_network(model=model)

    def errors(rows: torch.Tensor) -> torch.Tensor:
        return at_least_single(rows - model.decode(model.encode(rows))).square().flatten(1).sum(1)

    return _chunked(model, errors, unit_images(images).split(_ROWS), device)
