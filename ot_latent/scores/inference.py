"""Networks applied to many images, chunk by chunk."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from ot_latent import datasets

_ROWS = 100  # images that go through a network at a time


def _chunked(function, rows: torch.Tensor, device) -> np.ndarray:
    """Apply a network's function chunk by chunk, without gradients, in evaluation mode."""
    with torch.inference_mode():
        return torch.cat([function(chunk.to(device)).cpu() for chunk in rows.split(_ROWS)]).numpy()


def encode(model: nn.Module, images: np.ndarray, device="cpu") -> np.ndarray:
    """Codes of uint8 images, (n, h, w) or (n, h, w, 3), resized to the model's side: -> (n, d)."""
    chunks = np.array_split(images, math.ceil(len(images) / _ROWS))
    with torch.inference_mode():
        codes = [model.encode(datasets.to_square(chunk, model.side).to(device)).cpu() for chunk in chunks]
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
