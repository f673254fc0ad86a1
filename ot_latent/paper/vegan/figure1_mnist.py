"""Do encoders overlap, and do decoders average? Figure 1 of Bousquet et al. (2017) on images.

For the squared error the best decoder of a code is G*(z) = E[X | Z = z], which averages images as soon
as several of them share the code. Over a set of N images it is a weighted mean, with the weights
Q(z|x_i) / sum_j Q(z|x_j): no estimate, whatever the networks are.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import conv2d

from ot_latent.datasets.pixels import resized, to_square
from ot_latent.models.autoencoders import Autoencoder

_ROWS = 100  # images or codes that are worked on at a time
_LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class Averaging:
    """What became of n images, (n,) each, mean over draws of z ~ Q(Z|x) where it depends on z.

    Attributes
    ----------
    original, decoded, best : arrays
        `sharpness` of x, of G(z) and of E[X | Z = z].
    error : array
        ‖x - G(z)‖²
    spread : array
        Variance of G(z) over draws of z, summed over pixels: what of the error is due to the draw.
    foreign : array
        Share of draws that are nearer to the mean code of another image than to that of x.
    others : array
        Weight of the other images in E[X | Z = z].
    to_best : array
        ‖G(z) - E[X | Z = z]‖²
    pictures : (n, 3, side, side) array
        x, and G(z) and E[X | Z = z] for one draw.
    """

    original: np.ndarray
    decoded: np.ndarray
    best: np.ndarray
    error: np.ndarray
    spread: np.ndarray
    foreign: np.ndarray
    others: np.ndarray
    to_best: np.ndarray
    pictures: np.ndarray


def sharpness(images: torch.Tensor) -> torch.Tensor:
    """Variance of the Laplacian of grey images, as in the WAE paper: (n, 1, h, w) -> (n,).

    Examples
    --------
    >>> sharpness(torch.ones(2, 1, 8, 8))
    tensor([0., 0.])
    """
    return conv2d(images, _LAPLACIAN.to(images)[None, None]).flatten(1).var(1)


def posterior_weights(codes: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Posterior P(X = x_i | Z = z) for Gaussian encoders Q(Z|x_i) and equally likely images.

    Parameters
    ----------
    codes : (m, d) tensor
    mean, log_variance : (N, d) tensors

    Returns
    -------
    (m, N) float64 tensor, rows that sum to one.

    Examples
    --------
    >>> posterior_weights(torch.zeros(1, 1), torch.tensor([[-1.0], [1.0]]), torch.zeros(2, 1))
    tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """
    codes, mean, log_variance = codes.double(), mean.double(), log_variance.double()
    precision = (-log_variance).exp()
    squares = codes.square() @ precision.T - 2 * codes @ (mean * precision).T
    return (-(squares + (mean.square() * precision + log_variance).sum(1)) / 2).softmax(1)


def averaging(model: Autoencoder, images: np.ndarray, probes: int, draws: int = 4) -> Averaging:
    """Follow the first images of a set through an auto-encoder, with its decoder's optimum beside it.

    Parameters
    ----------
    model : autoencoders.Autoencoder
        With a Gaussian encoder, or one that is a function of the image.
    images : (N, h, w) uint8 array
        All that E[X | Z = z] is taken over. Overlap grows with N.
    probes : int
        How many images are followed.
    draws : int
        Codes for each of them, at least 2.

    Raises
    ------
    ValueError
        If the encoder is random and has no density, there are fewer than two draws, or more probes
        than images.
    """
    if draws < 2 or not 0 < probes <= len(images):
        raise ValueError(
            f"draws must be at least 2 and probes between 1 and {len(images)}, the number of images; "
            f"got {draws} and {probes}"
        )
    with torch.inference_mode():
        reference = _Reference(model, images)
        parts = [_followed(reference, rows, draws) for rows in torch.arange(probes).split(_ROWS)]
    return Averaging(*(torch.cat(values).cpu().numpy() for values in zip(*parts, strict=True)))


class _Reference:
    """All images with their encoders, of which E[X | Z = z] is made."""

    def __init__(self, model: Autoencoder, images: np.ndarray) -> None:
        self.model, self.images = model, images
        self.device = next(model.parameters()).device
        self.pixels = torch.tensor(images, device=self.device).flatten(1).float() / 255
        first = self.squares(torch.arange(min(_ROWS, len(images))))
        if not model.gaussian and not torch.equal(model.draw(first), model.encode(first)):
            kind = type(model).__name__
            raise ValueError(f"the encoder of {kind} is random and has no density, which E[X | Z] needs")
        encode = model.posterior if model.gaussian else lambda rows: (model.encode(rows),)
        chunks = (encode(self.squares(rows)) for rows in torch.arange(len(images)).split(_ROWS))
        self.mean, *variances = (torch.cat(values) for values in zip(*chunks, strict=True))
        self.log_variance = variances[0] if variances else None

    def squares(self, rows: torch.Tensor) -> torch.Tensor:
        return to_square(self.images[rows.numpy()], device=self.device)

    def draw(self, rows: torch.Tensor) -> torch.Tensor:
        mean = self.mean[rows]
        if self.log_variance is None:
            return mean
        return mean + (self.log_variance[rows] / 2).exp() * torch.randn_like(mean)

    def distances(self, codes: torch.Tensor) -> torch.Tensor:
        """To all mean codes; by differences, so that a code is at 0 from itself."""
        return torch.cdist(codes, self.mean, compute_mode="donot_use_mm_for_euclid_dist")

    def weights(self, codes: torch.Tensor) -> torch.Tensor:
        if self.log_variance is not None:
            return posterior_weights(codes, self.mean, self.log_variance)
        same = (self.distances(codes) == 0).double()
        return same / same.sum(1, keepdim=True)


def _followed(reference: _Reference, rows: torch.Tensor, draws: int) -> tuple[torch.Tensor, ...]:
    """The fields of `Averaging` for some rows."""
    original = reference.squares(rows)
    rows = rows.to(reference.device)
    decoded, of_draws = [], []
    for _ in range(draws):
        codes = reference.draw(rows)
        weights = reference.weights(codes)
        average = (weights.to(reference.pixels) @ reference.pixels).view(-1, 1, *reference.images.shape[1:])
        best = resized(average, original.shape[-1])  # which is linear, so that it may come after the mean
        decoded.append(reference.model.decode(codes))
        sharp, error, to_best = sharpness(decoded[-1]), _squares(original - decoded[-1]), _squares(decoded[-1] - best)
        foreign = (reference.distances(codes).argmin(1) != rows).float()
        others = 1 - weights.gather(1, rows[:, None])[:, 0].float()
        of_draws.append((sharp, sharpness(best), error, foreign, others, to_best))
    means = (torch.stack(values).mean(0) for values in zip(*of_draws, strict=True))
    sharp, best_sharp, error, foreign, others, to_best = means
    spread = torch.stack(decoded).var(0).flatten(1).sum(1)
    pictures = torch.cat([original, decoded[-1], best], dim=1)
    return sharpness(original), sharp, best_sharp, error, spread, foreign, others, to_best, pictures


def _squares(difference: torch.Tensor) -> torch.Tensor:
    return difference.square().flatten(1).sum(1)
