"""Networks applied to many images, chunk by chunk, without gradients: codes, images, features, errors."""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from ot_latent.datasets.pixels import to_square

_ROWS = 100  # images that go through a network at a time

Device: TypeAlias = str | torch.device


def _chunked(function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, device: Device) -> np.ndarray:
    with torch.inference_mode():
        return torch.cat([function(chunk.to(device)).cpu() for chunk in rows.split(_ROWS)]).numpy()


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
    chunks = np.array_split(images, math.ceil(len(images) / _ROWS))
    with torch.inference_mode():
        codes = [model.encode(to_square(chunk, model.side).to(device)).cpu() for chunk in chunks]
    return torch.cat(codes).numpy()


def decode(model: nn.Module, codes: torch.Tensor, device: Device = "cpu") -> torch.Tensor:
    """Images of codes: (n, d) -> (n, channels, side, side)."""
    return torch.from_numpy(_chunked(model.decode, codes, device))


def features(classifier: nn.Module, images: torch.Tensor, device: Device = "cpu") -> np.ndarray:
    """Features of images as the classifier takes them: (n, channels, side, side) -> (n, d).

    `scorers.Classifier` brings images to that form first.
    """
    return _chunked(classifier.features, images, device)


def predictions(classifier: nn.Module, features: np.ndarray, device: Device = "cpu") -> np.ndarray:
    """p(label | image) from the `features` of images: (n, d) -> (n, classes)."""
    return _chunked(lambda chunk: classifier.head(chunk).softmax(1), torch.from_numpy(features), device)


def reconstruction_errors(model: nn.Module, images: torch.Tensor, device: Device = "cpu") -> np.ndarray:
    """‖x - G(E(x))‖² of each image: (n, channels, side, side) -> (n,)."""

    def errors(rows: torch.Tensor) -> torch.Tensor:
        return (rows - model.decode(model.encode(rows))).square().flatten(1).sum(1)

    return _chunked(errors, images, device)
