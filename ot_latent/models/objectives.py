"""The objectives of the papers on a batch: each function is an equation, its arguments are samples.

Equations are those of Bousquet 2017 where no other paper is named.

Throughout, ``data`` are points x of P_X, ``codes`` are z ~ Q(Z|x), ``decoded`` are G(z), ``noise`` are
points of the prior P_Z, and a critic is any function from points to logits: T = sigmoid(critic). Points are
vectors (n, d), or images (n, c, h, w), of which every number counts as a coordinate.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ot_latent._arrays import number
from ot_latent.brenier import require_functions, require_tensors

Critic = Callable[[Tensor], Tensor]
OfPairs = Callable[[Tensor, Tensor], Tensor]  # a cost, or a critic of pairs

#: Scales over which the kernel of `mmd` is summed, as in the code of the WAE paper.
IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def _require_points(paired: bool = False, **sets: Tensor) -> None:
    """Raise ValueError unless both sets hold points of one shape, and as many of them where they are paired."""
    require_tensors(**sets)
    first, second = sets.values()
    if first.ndim < 2 or first.shape[1:] != second.shape[1:] or (paired and len(first) != len(second)):
        wanted = "pairs, (n, ...) and (n, ...)" if paired else "points of one shape, (m, ...) and (n, ...)"
        raise ValueError(f"{' and '.join(sets)} must hold {wanted}, got {tuple(first.shape)} and {tuple(second.shape)}")


def squared_error(data: Tensor, decoded: Tensor) -> Tensor:
    """Squared error ‖x - G(z)‖², summed over pixels and averaged over images: c(X, G(Z)) of Bousquet 2017."""
    _require_points(True, data=data, decoded=decoded)
    return (data - decoded).square().flatten(1).sum(1).mean()


def gaussian_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of Gaussians from the prior, KL(N(mean, diag exp(log_variance)), N(0, I)): two (n, ...) -> (n,)."""
    _require_points(True, mean=mean, log_variance=log_variance)
    return (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1) / 2


def negative_log_likelihood(data: Tensor, decoded: Tensor, variance: float) -> Tensor:
    """Negative log-likelihood -E log p_G(x|z) of the decoder N(G(z), variance I), with its constant."""
    _require_points(True, data=data, decoded=decoded)
    constant = data[0].numel() / 2 * math.log(2 * math.pi * number(variance, "variance", positive=True))
    return squared_error(data, decoded) / (2 * variance) + constant


def gan_value(first: Tensor, second: Tensor) -> Tensor:
    """Value of a GAN, E log T(first) + E log(1 - T(second)), eq. (4) at one T, from the critic's logits.

    The largest value over all T is D_GAN = 2 D_JS - log 4, reached where the logit is the logarithm of
    the ratio of the two densities. The critic ascends it, the encoder descends it.

    Examples
    --------
    >>> round(gan_value(torch.zeros(3), torch.zeros(5)).item(), 4)  # a critic that cannot tell: -log 4
    -1.3863
    """
    require_tensors(first=first, second=second)
    return -softplus(-first).mean() - softplus(second).mean()


def non_saturating(second: Tensor) -> Tensor:
    """Non-saturating loss -E log T(second), which a GAN's generator descends instead of E log(1 - T(second)).

    Goodfellow et al. (2014), section 3: the fixed point of `gan_value` is the same, but the gradient
    does not vanish where the critic tells the generator's points with certainty.

    Examples
    --------
    >>> round(non_saturating(torch.zeros(3)).item(), 4)  # a critic that cannot tell: log 2
    0.6931
    """
    require_tensors(second=second)
    return softplus(-second).mean()


def wasserstein_dual(first: Tensor, second: Tensor) -> Tensor:
    """Dual value of W1, E f(first) - E f(second), eq. (2) at one f, from the values of f = critic.

    The largest value over all f of slope at most 1 is W1 of the two laws. WGAN-GP lets the critic
    ascend it less a weight times `gradient_penalty`; the generator descends it.
    """
    require_tensors(first=first, second=second)
    return first.mean() - second.mean()


def gradient_penalty(critic: Critic, first: Tensor, second: Tensor) -> Tensor:
    """Gradient penalty E (‖grad critic(w)‖ - 1)² at random points w between pairs (Gulrajani et al. 2017, eq. (3)).

    Parameters
    ----------
    critic : callable
        (n, ...) -> one number each.
    first, second : tensors of one shape (n, ...)
    """
    _require_points(True, first=first, second=second)
    require_functions(critic=critic)
    share = torch.rand(len(first), *[1] * (first.ndim - 1), dtype=first.dtype, device=first.device)
    between = (share * first + (1 - share) * second).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slopes.flatten(1).norm(dim=1) - 1).square().mean()


def imq_kernel(first: Tensor, second: Tensor) -> Tensor:
    """Inverse multiquadratic kernel of the WAE paper: (m, ...), (n, ...) -> (m, n).

    The sum over ``IMQ_SCALES`` s of C / (C + ‖x - y‖²), with C = 2 d s: 2 d is the expected squared
    distance between two points of the prior N(0, I).
    """
    _require_points(first=first, second=second)
    first, second = first.flatten(1), second.flatten(1)
    # differences before squares: the matrix product of cdist loses the digits of close pairs
    distances = (first[:, None] - second).square().sum(2)
    constants = [2 * first.shape[1] * scale for scale in IMQ_SCALES]
    return sum(constant / (constant + distances) for constant in constants)


def mmd(first: Tensor, second: Tensor) -> Tensor:
    """Unbiased estimate of the squared maximum mean discrepancy of two laws: a U-statistic.

    Parameters
    ----------
    first : (m, ...) tensor
    second : (n, ...) tensor
        At least two points each.

    Returns
    -------
    Scalar. It is below zero about as often as above where the laws agree.

    Raises
    ------
    ValueError
        If there are fewer than two points or shapes differ.
    """
    _require_points(first=first, second=second)
    if min(len(first), len(second)) < 2:
        raise ValueError(f"mmd takes two or more points on each side, got {len(first)} and {len(second)}")

    def within(points: Tensor) -> Tensor:
        kernel, n = imq_kernel(points, points), len(points)
        return (kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1))

    return within(first) + within(second) - 2 * imq_kernel(first, second).mean()


def pot(
    data: Tensor,
    decoded: Tensor,
    codes: Tensor,
    noise: Tensor,
    critic: Critic,
    weight: float,
    cost: OfPairs = squared_error,
) -> dict[str, Tensor]:
    """Penalised optimal transport, eq. (13): E c(X, G(Z)) + weight * D_GAN(Q_Z, P_Z)."""
    require_tensors(data=data, decoded=decoded, codes=codes, noise=noise)
    require_functions(critic=critic, cost=cost)
    error, weight = cost(data, decoded), number(weight, "weight")
    penalty = gan_value(critic(codes), critic(noise))
    return {"loss": error + weight * penalty, "error": error, "penalty": penalty}


def aae(
    data: Tensor, decoded: Tensor, codes: Tensor, noise: Tensor, critic: Critic, variance: float
) -> dict[str, Tensor]:
    """Adversarial auto-encoder, eq. (7): D_GAN(Q_Z, P_Z) - E log p_G(X|Z).

    2 ``variance`` times this is `pot` with weight 2 ``variance`` plus a constant (section 4.1).
    """
    require_tensors(codes=codes, noise=noise)
    require_functions(critic=critic)
    penalty = gan_value(critic(codes), critic(noise))
    likelihood = negative_log_likelihood(data, decoded, variance)
    return {"loss": penalty + likelihood, "nll": likelihood, "penalty": penalty}


def avb(data: Tensor, decoded: Tensor, codes: Tensor, critic: OfPairs, variance: float) -> dict[str, Tensor]:
    """Adversarial variational Bayes, eq. (6): E KL(Q(Z|X), P_Z) - E log p_G(X|Z).

    As in the paper's footnote 1, the divergence is the mean logit of a critic of pairs (x, z) that
    ascends `gan_value`: at its optimum the logit is log q(z|x) / p_Z(z).
    """
    require_tensors(data=data, codes=codes)
    divergence = critic(data, codes).mean()
    likelihood = negative_log_likelihood(data, decoded, variance)
    return {"loss": divergence + likelihood, "nll": likelihood, "kl": divergence}
