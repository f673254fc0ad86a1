"""Proposition 2 of Bousquet et al. (2017) by stochastic gradients: X, Z standard normal, decoder N(c z, sigma^2)."""

import numpy as np
import torch

from ot_latent.models.objectives import gan_value, pot
from ot_latent.paper.vegan.alternate import alternate

_BATCH = 256
_START = 0.3 * torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])  # makes two codes of the data point and two coins


def fit_slopes(sigmas: np.ndarray, repeats: int, noise_in_code: bool, steps: int) -> np.ndarray:
    """The slope c that descent on POT (13) finds, averaged over the last fifth of the steps.

    Encoders are linear with two coins, critics quadratic, which contains the best critic between two
    Gaussians; one model for each sigma and each repetition, side by side.

    Parameters
    ----------
    sigmas : (k,) array
    repeats : int
    noise_in_code : bool
        The decoder's noise is the second coordinate of the code: POT bounds W2. Otherwise it is drawn
        after the code, unseen by the encoder: POT bounds the upper bound of (9).
    steps : int

    Returns
    -------
    (repeats, k)
    """
    sigma = torch.tensor(np.tile(sigmas, repeats)).float()
    m = len(sigma)
    slope, encoder = torch.full((m,), 0.3).requires_grad_(), _START.repeat(m, 1, 1).requires_grad_()
    quadratic, constant = torch.zeros(m, 2, 2, requires_grad=True), torch.zeros(m, requires_grad=True)

    def batch() -> tuple[torch.Tensor, ...]:
        feed = torch.randn(_BATCH, m, 3)  # x and two coins
        codes = torch.einsum("mij,nmj->nmi", encoder, feed)
        noise = codes[..., 1] if noise_in_code else torch.randn(_BATCH, m)  # the line that differs
        decoded = slope * codes[..., 0] + sigma * noise
        return feed[..., 0], decoded, codes, torch.randn(_BATCH, m, 2)

    def critic(z: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nmi,mij,nmj->nm", z, quadratic, z) + constant

    def loss() -> torch.Tensor:
        return pot(*batch(), critic, 2.0 * m)["loss"]  # the cost is summed over models, the penalty averaged

    def critic_loss() -> torch.Tensor:
        _, _, codes, prior = batch()
        return -m * gan_value(critic(codes.detach()), critic(prior))

    rates, path = (2e-2, 5e-2), []
    for _ in alternate([slope, encoder], [quadratic, constant], loss, critic_loss, steps, rates):
        path.append(slope.detach().clone())
    return torch.stack(path[-steps // 5 :]).mean(0).view(repeats, -1).numpy()
