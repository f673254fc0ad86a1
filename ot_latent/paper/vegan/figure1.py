"""Figure 1 of Bousquet et al. (2017) from trained models: eight data points on a circle, codes in the plane."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import nn

from ot_latent.brenier import perceptron
from ot_latent.kantorovich import solve_w1
from ot_latent.models import objectives
from ot_latent.paper.vegan.alternate import alternate, descend

_BATCH, _WIDTH, _SLOPE, _NEIGHBOURS = 256, 64, 0.2, 30

_ANGLES = torch.arange(8) * (2 * torch.pi / 8)
#: The data, (8, 2).
CIRCLE = torch.stack([_ANGLES.cos(), _ANGLES.sin()], dim=1)

#: Indices of data points -> a code of each.
Encoder = Callable[[torch.Tensor], torch.Tensor]


def train_vae(variance: float, steps: int) -> tuple[Encoder, nn.Module]:
    """Train a VAE, eq. (5), with one Gaussian for each point and no network between, so that nothing else shapes it.

    ``variance`` is that of the decoder's noise, sigma^2. Returns the encoder and the decoder.
    """
    table = torch.cat([torch.randn(8, 2) / 2, torch.full((8, 2), -1.0)], 1).requires_grad_()
    decoder = perceptron(2, 2, 2, _WIDTH, _SLOPE)
    optimizer = torch.optim.Adam([table, *decoder.parameters()], 5e-3, fused=True)

    def draw(rows: torch.Tensor) -> torch.Tensor:
        mean, log_variance = table[rows].chunk(2, dim=1)
        return mean + (log_variance / 2).exp() * torch.randn_like(mean)

    def loss() -> torch.Tensor:
        rows = torch.randint(8, (_BATCH,))
        error = objectives.negative_log_likelihood(CIRCLE[rows], decoder(draw(rows)), variance)
        return error + objectives.gaussian_divergence(*table.chunk(2, dim=1)).mean()

    for _ in descend([(optimizer, loss)], steps):
        pass
    return draw, decoder


def train_aae(variance: float, steps: int) -> tuple[Encoder, nn.Module]:
    """Train an adversarial auto-encoder, eq. (7), whose encoder turns a point and noise into a code.

    As `train_vae` otherwise.
    """
    encoder = perceptron(10, 2, 2, _WIDTH, _SLOPE)
    decoder = perceptron(2, 2, 2, _WIDTH, _SLOPE)
    critic = perceptron(2, 1, 2, 2 * _WIDTH, _SLOPE)

    def draw(rows: torch.Tensor) -> torch.Tensor:
        return encoder(torch.cat([CIRCLE[rows], torch.randn(len(rows), 8)], dim=1))

    def loss() -> torch.Tensor:
        rows = torch.randint(8, (_BATCH,))
        codes, noise = draw(rows), torch.randn(_BATCH, 2)
        return objectives.aae(CIRCLE[rows], decoder(codes), codes, noise, critic, variance)["loss"]

    def critic_loss() -> torch.Tensor:
        codes = draw(torch.randint(8, (_BATCH,))).detach()
        return -objectives.gan_value(critic(codes), critic(torch.randn(_BATCH, 2)))

    players = [*encoder.parameters(), *decoder.parameters()], critic.parameters()
    for _ in alternate(*players, loss, critic_loss, steps, (1e-3, 4e-3), critic_steps=2):
        pass
    return draw, decoder


def examine(draw: Encoder, decoder: nn.Module) -> dict[str, Any]:
    """Overlap of the codes, and the decoder against its optimum, without a model of either.

    Among the 30 nearest neighbours of a code, the share that belongs to other data points is the
    overlap; their mean data point estimates E[X | Z = z].

    Returns
    -------
    dict
        ``codes`` and ``decoded``, (8000, 2); ``overlap`` and ``half``, half of its 95 % interval;
        ``error``, E ‖x - G(z)‖²; ``to_best``, E ‖G(z) - E[X|Z=z]‖²; ``off_data``, the mean distance
        of samples to the data; ``w1_to_prior``, W1 of 1,000 codes to the prior.
    """
    rows = torch.arange(8).repeat(1000)
    with torch.no_grad():
        codes = draw(rows)
        decoded, sampled = decoder(codes), decoder(torch.randn(8000, 2))
    near = rows.numpy()[cKDTree(codes).query(codes, k=_NEIGHBOURS + 1)[1][:, 1:]]
    others, best = near != rows.numpy()[:, None], CIRCLE.numpy()[near].mean(1)
    return {
        "codes": codes,
        "decoded": decoded,
        "overlap": others.mean(),
        "half": 1.96 * others.mean(1).reshape(-1, 8).mean(1).std() / 1000**0.5,
        "error": objectives.squared_error(CIRCLE[rows], decoded).item(),
        "to_best": float(np.mean(((decoded.numpy() - best) ** 2).sum(1))),
        "off_data": torch.cdist(sampled, CIRCLE).min(1).values.mean().item(),
        "w1_to_prior": solve_w1(codes[:1000], torch.randn(1000, 2)),
    }
