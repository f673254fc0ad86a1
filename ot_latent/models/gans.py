"""Generators of the papers: each is a generator, a critic and the loss of each.

``loss`` is the generator's, ``critic_loss`` the critic's; each sends gradients to its own part alone.
Both networks work on images in [-1, 1], those that go in and come out have values in [0, 1].
"""

from typing import Any

import torch
from torch import Tensor, nn

from ot_latent._arrays import number
from ot_latent.models import networks, objectives
from ot_latent.models.networks import frozen
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.uniform import Uniform

#: What the name of a prior stands for: the law of one coordinate of z.
PRIORS: dict[str, Uniform | Gaussian] = {"uniform": Uniform(-1, 1), "gaussian": Gaussian(0, 1)}


class _GAN(nn.Module):
    """A generator, (n, latent_dim) -> images in [-1, 1], and its critic, such images -> (n,).

    ``config`` holds the arguments that build the model again, with ``latent_dim`` and ``prior`` among them;
    ``prior`` is the law of every coordinate of z, as `ot_latent.interpolate` takes it.
    """

    def __init__(self, generator: nn.Module, critic: nn.Module, config: dict[str, Any]) -> None:
        super().__init__()
        if repr(config["prior"]) not in map(repr, PRIORS):
            raise ValueError(f"prior must be one of {', '.join(PRIORS)}, got {config['prior']!r}")
        self.config = config
        self.latent_dim: int = config["latent_dim"]
        self.generator, self.critic = generator, critic
        self.prior = PRIORS[config["prior"]]

    def generate(self, z: Tensor) -> Tensor:
        """Images of latent points, G(z): (n, latent_dim) -> (n, channels, side, side) with values in [0, 1]."""
        return (self.generator(z) + 1) / 2

    def _batch(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The images, and as many of the generator, both with values in [-1, 1]."""
        z = self.prior.sample((len(images), self.latent_dim), like=images)
        return 2 * images - 1, self.generator(z)


class DCGAN(_GAN):
    """Deep convolutional GAN (Radford et al. 2015), with the non-saturating loss.

    The generator is `networks.decoder` with a tanh, the critic is `networks.encoder` with one logit and
    without batch norm after its first convolution. Weights are drawn from N(0, 0.02²), biases are 0.

    Parameters
    ----------
    side : 32, 64 or 128
        Of the images, in pixels.
    channels : int
        Of the images: 1 for grey, 3 for colour.
    latent_dim : int
        100 in the paper.
    width : int
        Channels at the largest side. The paper's generator for 64 pixels has 128.
    prior : "uniform" or "gaussian"
        On [-1, 1], as in the paper, or the standard one.
    """

    def __init__(
        self, side: int = 32, channels: int = 1, latent_dim: int = 100, width: int = 64, prior: str = "uniform"
    ) -> None:
        config = {"side": side, "channels": channels, "latent_dim": latent_dim, "width": width, "prior": prior}
        critic = nn.Sequential(networks.encoder(1, width, channels, side, normalise_first=False), nn.Flatten(0))
        super().__init__(networks.decoder(latent_dim, width, channels, side, last=nn.Tanh), critic, config)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Non-saturating loss of the generator, -E log T(G(z)), see `objectives.non_saturating`."""
        _, fakes = self._batch(images)
        with frozen(self.critic):
            return {"loss": objectives.non_saturating(self.critic(fakes))}

    def critic_loss(self, images: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of the critic, -E log T(x) - E log(1 - T(G(z))), see `objectives.gan_value`."""
        with torch.no_grad():
            real, fakes = self._batch(images)
        return {"loss": -objectives.gan_value(self.critic(real), self.critic(fakes))}


class WGANGP(_GAN):
    """Wasserstein GAN with gradient penalty (Gulrajani et al. 2017), with its networks for CIFAR-10.

    The generator is `networks.residual_generator`, the critic is `networks.residual_critic`.

    Parameters
    ----------
    side, channels : int
        As in `DCGAN`.
    latent_dim : int
        128 in the paper.
    width : int
        Channels of every block; 128 in the paper.
    prior : "gaussian" or "uniform"
        As in `DCGAN`.
    penalty : float
        Weight of the gradient penalty, lambda in the paper's eq. (3).
    """

    def __init__(
        self,
        side: int = 32,
        channels: int = 3,
        latent_dim: int = 128,
        width: int = 128,
        prior: str = "gaussian",
        penalty: float = 10.0,
    ) -> None:
        config = {"side": side, "channels": channels, "latent_dim": latent_dim, "width": width, "prior": prior}
        config["penalty"] = number(penalty, "penalty", positive=True)
        generator = networks.residual_generator(latent_dim, width, channels, side)
        super().__init__(generator, networks.residual_critic(width, channels, side), config)

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Loss of the generator, -E f(G(z)): the part of `objectives.wasserstein_dual` that it moves."""
        _, fakes = self._batch(images)
        with frozen(self.critic):
            return {"loss": -self.critic(fakes).mean()}

    def critic_loss(self, images: Tensor) -> dict[str, Tensor]:
        """Loss of the critic, E f(G(z)) - E f(x) + penalty E (‖grad f‖ - 1)², eq. (3) of the paper.

        Under "w1" is the dual value, in the distance between images in [-1, 1].
        """
        with torch.no_grad():
            real, fakes = self._batch(images)
        w1 = objectives.wasserstein_dual(self.critic(real), self.critic(fakes))
        slopes = objectives.gradient_penalty(self.critic, real, fakes)
        return {"loss": self.config["penalty"] * slopes - w1, "w1": w1, "slopes": slopes}
