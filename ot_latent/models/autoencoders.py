"""Auto-encoders of the papers: each is an encoder, a decoder and its loss.

Those that are trained against a critic have two: ``loss`` for encoder and decoder, ``critic_loss`` for the
critic. Each sends gradients to its own part alone.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ot_latent._arrays import count, number
from ot_latent.brenier import require_tensors
from ot_latent.models import networks, objectives
from ot_latent.models.networks import frozen
from ot_latent.models.objectives import gaussian_divergence, squared_error


class Autoencoder(nn.Module):
    """Deterministic auto-encoder, the first half of AE-OT (Liu 2018, section 3).

    Parameters
    ----------
    latent_dim : int
        Dimension of the codes; 10 for MNIST in Liu 2018.
    width : int
        Channels of the first convolution, see `networks.encoder`.
    channels : int
        Of the images: 1 for grey, 3 for colour.
    side : 32, 64 or 128
        Of the images, in pixels.
    edges : float
        Weight of a second term in the loss: the squared error alone prefers a blurred edge to one that is a pixel off.

    Attributes
    ----------
    config : dict
        The arguments that build this model again.
    """

    gaussian: bool = False  # whether Q(Z|X) is a Gaussian instead of a point

    def __init__(
        self, latent_dim: int = 10, width: int = 16, channels: int = 1, side: int = 64, edges: float = 0.0
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"latent_dim": latent_dim, "width": width, "channels": channels, "side": side}
        self.latent_dim, self.side, self.edges = latent_dim, side, number(edges, "edges", 0)
        if self.edges:
            self.config |= {"edges": self.edges}
        outputs = count(latent_dim, "latent_dim", most=2**20) * (2 if self.gaussian else 1)
        self.encoder: nn.Module = networks.encoder(outputs, width, channels, side)
        self.decoder = networks.decoder(latent_dim, width, channels, side)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of a Gaussian Q(Z|X), each (n, latent_dim)."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        return mean, log_variance

    def encode(self, images: Tensor) -> Tensor:
        """Mean of Q(Z|X): (n, channels, side, side) -> (n, latent_dim)."""
        require_tensors(images=images)
        return self.posterior(images)[0] if self.gaussian else self.encoder(images)

    def draw(self, images: Tensor) -> Tensor:
        """One code z ~ Q(Z|X) for each image: (n, channels, side, side) -> (n, latent_dim)."""
        return _gaussian_draw(*self.posterior(images)) if self.gaussian else self.encode(images)

    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes: (n, latent_dim) -> (n, channels, side, side) with values in (0, 1)."""
        require_tensors(codes=codes)
        return self.decoder(codes)

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Squared error of the reconstruction y = Dec(Enc(x)), ‖x - y‖², the total under "loss".

        With ``edges`` times ‖grad x - grad y‖₁ by differences of neighbouring pixels, the gradient difference loss of
        Mathieu et al. (2016), where that weight is not 0.
        """
        decoded = self.decode(self.encode(images))
        error, missed = squared_error(images, decoded), images - decoded
        if not self.edges:
            return {"loss": error}
        edges = sum(missed.diff(dim=axis).abs().flatten(1).sum(1).mean() for axis in (2, 3))
        return {"loss": error + self.edges * edges, "error": error, "edges": edges}


class VAE(Autoencoder):
    """Variational auto-encoder with Gaussian encoder and decoder (Bousquet 2017, eq. (5)).

    Parameters
    ----------
    latent_dim, width, channels, side : int
        As in `Autoencoder`.
    variance : float
        sigma² of the decoder N(G(z), sigma² I). At 1/2 the reconstruction term of (5) is ‖x - G(z)‖².
    """

    gaussian = True

    def __init__(
        self, latent_dim: int = 10, width: int = 16, variance: float = 0.5, channels: int = 1, side: int = 64
    ) -> None:
        super().__init__(latent_dim, width, channels, side)
        self.variance = number(variance, "variance", positive=True)
        self.config |= {"variance": variance}

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Negative evidence bound, eq. (5) up to the decoder's constant: KL(Q(Z|X), P_Z) + ‖x - G(z)‖² / (2 sigma²)."""
        mean, log_variance = self.posterior(images)
        divergence = gaussian_divergence(mean, log_variance).mean()
        error = squared_error(images, self.decode(_gaussian_draw(mean, log_variance)))
        return {"loss": error / (2 * self.variance) + divergence, "error": error, "kl": divergence}


class _WAE(Autoencoder):
    """Wasserstein auto-encoders, loss E ‖x - G(z)‖² + weight * F(Q), eq. (12), with arguments as of `WAEMMD`."""

    adversarial = False  # whether a critic of codes decides F

    def __init__(
        self,
        latent_dim: int = 10,
        width: int = 16,
        weight: float = 10.0,
        gaussian: bool = False,
        channels: int = 1,
        side: int = 64,
    ) -> None:
        self.gaussian = gaussian  # the size of the encoder depends on it
        super().__init__(latent_dim, width, channels, side)
        self.weight = number(weight, "weight", positive=True)
        self.config |= {"weight": weight, "gaussian": gaussian}
        if self.adversarial:
            self.critic = networks.code_critic(latent_dim)


class WAEMMD(_WAE):
    """Wasserstein auto-encoder with MMD penalty (Tolstikhin et al. 2018): F(Q) of eq. (12) is the MMD.

    Parameters
    ----------
    latent_dim, width, channels, side : int
        As in `Autoencoder`.
    weight : float
        lambda of eq. (12); 10 for MNIST in the WAE paper.
    gaussian : bool
        Q(Z|X) is a Gaussian instead of a point.
    """

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Squared error and penalty, E ‖x - G(z)‖² + weight * MMD²(Q_Z, P_Z), see `objectives.mmd`."""
        codes = self.draw(images)
        error = squared_error(images, self.decode(codes))
        penalty = objectives.mmd(codes, torch.randn_like(codes))
        return {"loss": error + self.weight * penalty, "error": error, "penalty": penalty}


class WAEGAN(_WAE):
    """Wasserstein auto-encoder with a critic (Bousquet 2017, eq. (13)), which the paper calls POT.

    F(Q) of eq. (12) is the GAN divergence of the codes from the prior: penalised optimal transport, the
    WAE-GAN of Tolstikhin et al. (2018).

    Parameters
    ----------
    latent_dim, width, weight, gaussian, channels, side
        As in `WAEMMD`.
    """

    adversarial = True

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Penalised squared error, eq. (13), for encoder and decoder, see `objectives.pot`."""
        codes, noise = self._codes(images)
        with frozen(self.critic):
            return objectives.pot(images, self.decode(codes), codes, noise, self.critic, self.weight)

    def critic_loss(self, images: Tensor) -> dict[str, Tensor]:
        """Minus the penalty of `loss`, for the critic."""
        with torch.no_grad():
            codes, noise = self._codes(images)
        return {"loss": -objectives.gan_value(self.critic(codes), self.critic(noise))}

    def _codes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of images, and as many of the prior."""
        codes = self.draw(images)
        return codes, torch.randn_like(codes)


class AAE(WAEGAN):
    """Adversarial auto-encoder with Gaussian decoder, Bousquet 2017, eq. (7): `WAEGAN` at weight 2 sigma².

    Parameters
    ----------
    latent_dim, width, gaussian, channels, side
        As in `WAEMMD`.
    variance : float
        sigma² of the decoder N(G(z), sigma² I).
    """

    def __init__(
        self,
        latent_dim: int = 10,
        width: int = 16,
        variance: float = 0.5,
        gaussian: bool = False,
        channels: int = 1,
        side: int = 64,
    ) -> None:
        super().__init__(latent_dim, width, 2 * number(variance, "variance", positive=True), gaussian, channels, side)
        self.variance = variance
        del self.config["weight"]
        self.config |= {"variance": variance}

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Penalised likelihood, eq. (7), for encoder and decoder, see `objectives.aae`."""
        codes, noise = self._codes(images)
        with frozen(self.critic):
            return objectives.aae(images, self.decode(codes), codes, noise, self.critic, self.variance)


class AVB(Autoencoder):
    """Adversarial variational Bayes, Bousquet 2017, eq. (6): the encoder turns noise into codes.

    Parameters
    ----------
    latent_dim, width, channels, side : int
        As in `Autoencoder`.
    variance : float
        sigma² of the decoder N(G(z), sigma² I).
    noise_dim : int
        Dimension of the noise eps of z = e(x, eps).
    """

    def __init__(
        self,
        latent_dim: int = 10,
        width: int = 16,
        variance: float = 0.5,
        noise_dim: int = 32,
        channels: int = 1,
        side: int = 64,
    ) -> None:
        super().__init__(latent_dim, width, channels, side)
        self.variance = number(variance, "variance", positive=True)
        self.noise_dim = count(noise_dim, "noise_dim", most=2**20)
        self.encoder = networks.JoinedNetwork(noise_dim, latent_dim, width, channels, side)
        self.critic = networks.JoinedNetwork(latent_dim, 1, width, channels, side)
        self.config |= {"variance": variance, "noise_dim": noise_dim}

    def encode(self, images: Tensor) -> Tensor:
        """The code at the centre of the noise, e(x, 0): (n, channels, side, side) -> (n, latent_dim)."""
        return self.encoder(images, images.new_zeros(len(images), self.noise_dim))

    def draw(self, images: Tensor) -> Tensor:
        """A random code for each image, e(x, eps) with eps ~ N(0, I): (n, channels, side, side) -> (n, latent_dim)."""
        noise = torch.randn(len(images), self.noise_dim, device=images.device, dtype=images.dtype)
        return self.encoder(images, noise)

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Variational bound, eq. (6), for encoder and decoder, see `objectives.avb`."""
        codes = self.draw(images)
        with frozen(self.critic):
            return objectives.avb(images, self.decode(codes), codes, self._logits, self.variance)

    def critic_loss(self, images: Tensor) -> dict[str, Tensor]:
        """Minus the value of eq. (4) between pairs (x, z) with z from Q(Z|x) and from the prior."""
        with torch.no_grad():
            codes = self.draw(images)
        drawn, prior = self._logits(images, codes), self._logits(images, torch.randn_like(codes))
        return {"loss": -objectives.gan_value(drawn, prior)}

    def _logits(self, images: Tensor, codes: Tensor) -> Tensor:
        return self.critic(images, codes).squeeze(1)


def _gaussian_draw(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A point of N(mean, diag exp(log_variance)) for each row, with gradients into both."""
    return mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
