"""Auto-encoders of the papers: each is an encoder, a decoder and its loss."""

from __future__ import annotations

import torch
from torch import nn

from ot_latent import networks


def squared_error(images: torch.Tensor, reconstructions: torch.Tensor) -> torch.Tensor:
    """||x - G(z)||^2, summed over pixels and averaged over images: c(X, G(Z)) of Bousquet 2017."""
    return (images - reconstructions).square().flatten(1).sum(1).mean()


class Autoencoder(nn.Module):
    """Deterministic auto-encoder, the first half of AE-OT (Liu 2018, section 3).

    Parameters
    ----------
    latent_dim : int
        Dimension of the codes; 10 for MNIST in Liu 2018.
    width : int
        Channels of the first convolution, see `networks.encoder`.
    """

    def __init__(self, latent_dim: int = 10, width: int = 16) -> None:
        super().__init__()
        self.latent_dim, self.width = latent_dim, width
        self.encoder = networks.encoder(self._encoder_outputs(), width)
        self.decoder = networks.decoder(latent_dim, width)

    def _encoder_outputs(self) -> int:
        return self.latent_dim

    @property
    def config(self) -> dict:
        """Arguments that build this model again."""
        return {"latent_dim": self.latent_dim, "width": self.width}

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 1, 64, 64) -> (n, latent_dim)."""
        return self.encoder(images)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """(n, latent_dim) -> (n, 1, 64, 64) with values in (0, 1)."""
        return self.decoder(codes)

    def loss(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """||x - Dec(Enc(x))||^2, the total under "loss"."""
        return {"loss": squared_error(images, self.decode(self.encode(images)))}


class VAE(Autoencoder):
    """Variational auto-encoder with Gaussian encoder and decoder (Bousquet 2017, eq. (5)).

    Parameters
    ----------
    latent_dim, width : int
        As in `Autoencoder`.
    variance : float
        sigma^2 of the decoder N(G(z), sigma^2 I). At 1/2 the reconstruction term of (5) is ||x - G(z)||^2.
    """

    def __init__(self, latent_dim: int = 10, width: int = 16, variance: float = 0.5) -> None:
        super().__init__(latent_dim, width)
        self.variance = variance

    def _encoder_outputs(self) -> int:
        return 2 * self.latent_dim

    @property
    def config(self) -> dict:
        return {**super().config, "variance": self.variance}

    def posterior(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance of Q(Z|X), each (n, latent_dim)."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        return mean, log_variance

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Mean of Q(Z|X): (n, 1, 64, 64) -> (n, latent_dim)."""
        return self.posterior(images)[0]

    def loss(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Eq. (5) up to the decoder's constant: KL(Q(Z|X), P_Z) + ||x - G(z)||^2 / (2 sigma^2)."""
        mean, log_variance = self.posterior(images)
        codes = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        divergence = gaussian_divergence(mean, log_variance).mean()
        error = squared_error(images, self.decode(codes))
        return {"loss": error / (2 * self.variance) + divergence, "error": error, "kl": divergence}


def gaussian_divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, diag exp(log_variance)), N(0, I)) per row: (n, d), (n, d) -> (n,)."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
