"""Every trained generator in one form: latent points of a known prior in, images out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any

import torch

from ot_latent import brenier
from ot_latent._arrays import as_shape, count
from ot_latent._loop import available
from ot_latent.brenier import Potential
from ot_latent.models import autoencoders, checkpoints, gans
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.laws import ByValue
from ot_latent.priors.uniform import Uniform

_ROWS = 50  # images that are made at a time, so that memory does not grow with their number


@dataclass(frozen=True, eq=False)
class Generator(ByValue):
    """A network that turns points of its prior into images.

    Attributes
    ----------
    latent_dim : int
    prior : Uniform or Gaussian
        The law of every coordinate, as the operations take it.
    network : callable
        (n, latent_dim) -> (n, channels, height, width) in [0, 1], on ``device``.
    device : torch device
    """

    latent_dim: int
    prior: Uniform | Gaussian
    network: Callable[[torch.Tensor], torch.Tensor]
    device: str | torch.device = "cpu"

    def __post_init__(self) -> None:
        count(self.latent_dim, "latent_dim")
        if not hasattr(self.prior, "sample") or not callable(self.network) or isinstance(self.network, type):
            raise TypeError(f"prior must be a law and network a function, got {self.prior!r} and {self.network!r}")
        available(self.device)

    def saved_state(self) -> dict[str, Any]:
        """What `save` writes: the networks."""
        if isinstance(self.network, partial) and self.network.func is _carried:
            return {"networks": self.network.args[::-1]}
        return {"networks": (self.network.__self__ if isinstance(self.network, MethodType) else self.network,)}

    @classmethod
    def from_saved_state(cls, state: dict[str, Any]) -> "Generator":
        """The way back from `saved_state`."""
        return _of(*state["networks"])

    def sample(self, shape: int | tuple[int, ...], rng: Any = None) -> torch.Tensor:
        """Latent points (*shape, latent_dim), on the CPU; ``rng`` as in `Uniform.sample`."""
        return self.prior.sample((*as_shape(shape), self.latent_dim), rng, like=torch.zeros(()))

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """Images of latent points, in float32 and chunk by chunk: (..., d) -> (..., channels, height, width), CPU."""
        if not isinstance(z, torch.Tensor) or z.shape[-1:] != (self.latent_dim,):
            got = getattr(z, "shape", z)
            raise ValueError(f"z must be a torch tensor (..., {self.latent_dim}), got {type(z).__name__} {got}")
        with torch.no_grad():
            rows = z.reshape(-1, self.latent_dim).split(_ROWS)
            images = torch.cat([self.network(chunk.to(self.device, torch.float32)).cpu() for chunk in rows])
        return images.reshape(*z.shape[:-1], *images.shape[1:])


def load(weights: str | Path, decoder: str | Path | None = None, device: str | torch.device = "cpu") -> Generator:
    """The generator that a checkpoint holds.

    A GAN comes with the prior that it was trained on; an auto-encoder whose codes were trained towards
    the standard Gaussian is its decoder; the potential D of AE-OT, with the auto-encoder whose codes it
    was fitted to, is Dec(z + grad D(z)).

    Parameters
    ----------
    weights, decoder : path or name
        As in `checkpoints.load`; ``decoder`` is the auto-encoder of a potential.
    device : torch device

    Raises
    ------
    ValueError
        If a potential comes without its auto-encoder, or another model with one.
    TypeError
        If the checkpoint is no generator.

    Examples
    --------
    >>> generator = load("mnist-vae")
    >>> generator.prior
    Gaussian(mean=0.0, std=1.0)
    >>> generator(generator.sample(3, rng=0)).shape
    torch.Size([3, 1, 64, 64])
    """
    model = checkpoints.load(weights, device)
    if isinstance(model, Potential) != (decoder is not None):
        raise ValueError(
            "decoder must be the auto-encoder of a potential, and is for potentials only: "
            f"got {decoder!r} for a {type(model).__name__}"
        )
    return _of(model, *([] if decoder is None else [checkpoints.load(decoder, device)]))


def _of(model: Any, decoder: Any = None) -> Generator:
    # convolutions of one thread are twice as fast with the channels last
    model, device = model.to(memory_format=torch.channels_last), next(model.parameters()).device
    if isinstance(model, gans.DCGAN | gans.WGANGP):
        return Generator(model.latent_dim, model.prior, model.generate, device)
    if decoder is not None:
        network = partial(_carried, decoder.to(memory_format=torch.channels_last), model)
        return Generator(model.config["dim"], Gaussian(0, 1), network, device)
    if isinstance(model, autoencoders.Autoencoder) and type(model) is not autoencoders.Autoencoder:
        return Generator(model.latent_dim, Gaussian(0, 1), model.decode, device)
    raise TypeError(
        f"weights must be those of a generator, got a {type(model).__name__}, whose latent points follow no known "
        "prior. An auto-encoder becomes a generator by the potential of AE-OT: load(potential, autoencoder)"
    )


def _carried(autoencoder: Any, potential: Potential, z: torch.Tensor) -> torch.Tensor:
    # no function of a scope, so that generators can be pickled
    return autoencoder.decode(brenier.transport(potential, z))
