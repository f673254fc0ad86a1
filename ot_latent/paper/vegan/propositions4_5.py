"""The objectives of Propositions 4 and 5 of Bousquet et al. (2017) by quadrature: all on the line."""

from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.special import rel_entr

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)

#: Data from two Gaussians as nodes, (32,).
X = np.concatenate([-1.5 + 0.5 * _NODES, 1.5 + 0.5 * _NODES])
#: Their probabilities, (32,).
P_X = np.tile(_WEIGHTS, 2) / (2 * _WEIGHTS.sum())

#: Codes on a grid, (361,), and its step.
Z, DZ = np.linspace(-9, 9, 361, retstep=True)
#: The density of the prior on the grid, (361,); its sum times the step is one.
PRIOR = stats.norm.pdf(Z) / (stats.norm.pdf(Z).sum() * DZ)

#: Codes -> the mean of the data.
Decoder = Callable[[np.ndarray], np.ndarray]


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence KL(p ‖ q) of densities on the grid, along the last axis."""
    return rel_entr(p, q).sum(-1) * DZ


def js(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence, half the sum of both KL to the mean density, along the last axis."""
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def encoder(family: str, a: float, s: float) -> np.ndarray:
    """Densities Q(z|x) on the grid, (32, 361): "normal", N(a x, s^2), or the even "mixture" of it and N(-a x, s^2)."""
    signs = [1] if family == "normal" else [1, -1]
    q = sum(stats.norm.pdf(Z, sign * a * X[:, None], s) for sign in signs)
    return q / (q.sum(1, keepdims=True) * DZ)


def penalties(encoders: np.ndarray) -> dict[str, np.ndarray]:
    """What AAE (7), AVB (6) and VAE (5) add to the reconstruction, for each encoder.

    AVB has D = D_GAN = 2 JS - log 4, as in the proof of Proposition 4.
    """
    rows = [(2 * js(P_X @ q, PRIOR), P_X @ (2 * js(q, PRIOR)), P_X @ kl(q, PRIOR)) for q in encoders]
    aae, avb, vae = np.array(rows).T
    return {"AAE": aae - np.log(4), "AVB": avb - np.log(4), "VAE": vae}


def likelihood(decoder: Decoder, sigma: float) -> np.ndarray:
    """Densities p_G(x|z) of N(decoder(z), sigma^2) for all nodes x and all z of the grid, (32, 361)."""
    return stats.norm.pdf(X[:, None], decoder(Z), sigma)


def reconstruction(encoders: np.ndarray, decoder: Decoder, sigma: float) -> np.ndarray:
    """Reconstruction term -E E_Q log p_G(X|Z) of encoders (k, 32, 361): (k,)."""
    logs = stats.norm.logpdf(X[:, None], decoder(Z), sigma)
    return -np.tensordot(encoders, P_X[:, None] * logs, axes=2) * DZ


def marginal(decoder: Decoder, sigma: float) -> float:
    """Negative log-likelihood -E log p_G(X) of the model."""
    return float(-P_X @ np.log(likelihood(decoder, sigma) @ PRIOR * DZ))
