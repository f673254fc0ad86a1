"""What is fitted to somebody's images, and how."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from ot_latent.latent_transport import LatentTransport
from ot_latent.training.recipes import Recipe

FEWEST = 64  # images, or codes
_HELD_OUT, _FEWEST_HELD_OUT, _MOST_HELD_OUT = 10, 16, 1_000  # one in so many
ITERATIONS = 1_000


@dataclass(frozen=True)
class Plan:
    """How images become a model.

    Attributes
    ----------
    side, channels : int
        Of the images in the model: 32, 64 or 128 pixels; 1 for grey, 3 for colour.
    latent_dim : int
        Dimension of the codes.
    width : int
        Channels of the first convolution.
    mirrored : bool
        Show each image as it is or mirrored, at random.
    epochs, batch : int
        Passes over the images, and images in a step.
    precision : "float32" or "bfloat16"
    iterations : int
        Steps of the map from noise to the codes.
    seed : int
    """

    side: int
    channels: int
    latent_dim: int
    width: int
    mirrored: bool
    epochs: int
    batch: int
    precision: str
    iterations: int
    seed: int

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())

    def recipe(self) -> Recipe:
        """The auto-encoder as `training.Training` takes it."""
        ours = asdict(self)
        network = {name: ours[name] for name in ("latent_dim", "width", "channels", "side")} | {"edges": 0.3}
        settings = {name: ours[name] for name in ("side", "mirrored", "batch", "precision")}
        settings |= {"data": "your images", "learning_rate": 1.5e-3, "betas": (0.9, 0.999)}
        return Recipe("auto-encoder", "of your images", "Autoencoder", {}, network, **settings)


def transport(iterations: int, seed: int, device: torch.device) -> LatentTransport:
    """A map that takes a minute to fit, where the defaults take many."""
    sizes: dict[str, Any] = {"batch": 256, "width": 256, "layers": 4, "tolerance": 0.1}
    return LatentTransport("semidiscrete", iterations=iterations, random_state=seed, device=device, **sizes)


class Split(NamedTuple):
    """What is fitted, and what is held out for the scores alone: images (n, channels, side, side), or codes (n, d)."""

    fitted: np.ndarray
    held_out: np.ndarray

    @classmethod
    def of(cls, data: np.ndarray, seed: int, most: int | None = None) -> "Split":
        """One in ten at random, 16 at least and 1,000 at most, is held out; at most so many are fitted."""
        order = np.random.default_rng(seed).permutation(len(data))
        kept = min(_MOST_HELD_OUT, max(_FEWEST_HELD_OUT, len(data) // _HELD_OUT))
        return cls(data[np.sort(order[kept:][:most])], data[order[:kept]])
