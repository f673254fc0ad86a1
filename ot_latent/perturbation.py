"""How far a matched interpolation moves its points (Agustsson et al. 2019, Table 3).

The table prints E ‖ỹ_t - y_t‖_p / ‖y_t‖_p for y_t = t z1 + (1 - t) z2 and its matched ỹ_t, with t
uniform on [0, 1]. `simulate_perturbation` estimates it as the paper did; `exact_perturbation`
computes it.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from ot_latent._arrays import generator
from ot_latent.monotone import monotone_map
from ot_latent.operations import interpolate
from ot_latent.priors import Gaussian, Uniform


class Estimate(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    interval: tuple


def simulate_perturbation(prior, d, n=100_000, p=2, rng=None, chunk=5_000):
    """Average perturbation over n interpolated points.

    Parameters
    ----------
    prior : Uniform or Gaussian
    d : int
        Latent dimension.
    n : int
        Number of points, each with its own z1, z2 and t.
    p : float >= 1
        The norm.
    rng : None, int or numpy.random.Generator
    chunk : int
        Points held in memory at a time; the result does not depend on n in memory.

    Returns
    -------
    Estimate
        The mean, and the interval of ± 1.96 standard errors.
    """
    rng = generator(rng)
    ratios = []
    for size in _chunks(n, chunk):
        z1, z2 = prior.sample((2, size, d), rng)
        t = rng.random((size, 1))
        y = interpolate(z1, z2, t)
        moved = interpolate(z1, z2, t, prior=prior) - y
        ratios.append(np.linalg.norm(moved, p, axis=-1) / np.linalg.norm(y, p, axis=-1))
    ratios = np.concatenate(ratios)
    mean, margin = ratios.mean(), 1.96 * ratios.std(ddof=1) / math.sqrt(n)
    return Estimate(float(mean), (float(mean - margin), float(mean + margin)))


def exact_perturbation(prior, d, p=2, t=None):
    """E ‖ỹ_t - y_t‖_p / ‖y_t‖_p, exactly or by quadrature to eight digits or more.

    For a Gaussian prior ỹ = y / σ_t with σ_t² = t² + (1 - t)²: the ratio is 1/σ_t - 1 for every
    point, norm and dimension, and its mean over t is √2 asinh(1) - 1.

    For a uniform prior, let a = |ỹ - y| and b = |y| be those of one coordinate. From
    x^{-s} = ∫ u^{s-1} e^{-ux} du / Γ(s) for the sums over d independent coordinates,

        p = 1:   d ∫ E[a e^{-qb}] (E e^{-qb})^{d-1} dq,
        p = 2:   (4/π) d ∫∫ E[a² e^{-r²a² - q²b²}] (E e^{-r²a² - q²b²})^{d-1} dr dq,

    integrals over the positive half line, of expectations over a single coordinate.

    Parameters
    ----------
    prior : Uniform or Gaussian
        Centred at 0. The value does not depend on its width.
    d : int
        Latent dimension; at least 2 for p = 2.
    p : {1, 2}
    t : float, optional
        A fixed t in (0, 1); t = 0 and t = 1 give 0. Without it, the mean over t in [0, 1].

    Returns
    -------
    float
    """
    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, got {p}")
    if d < p:
        raise ValueError(f"d must be at least {p} for p = {p}, got {d}")
    if prior.mean != 0:
        raise ValueError(f"prior must be centred at 0, as the quotient of norms is not: {prior!r}")
    if t is not None and not 0 <= t <= 1:
        raise ValueError(f"t must be in [0, 1], got {t}")
    if isinstance(prior, Gaussian):
        return math.sqrt(2) * math.asinh(1) - 1 if t is None else 1 / math.hypot(t, 1 - t) - 1
    if not isinstance(prior, Uniform):
        raise TypeError(f"prior must be Uniform or Gaussian, got {prior!r}")
    at = _uniform_l1 if p == 1 else _uniform_l2
    if t is not None:
        return at(t, d)
    nodes, weights = _gauss_legendre(0.0, 0.5, 24)  # t and 1 - t are alike
    return float(2 * sum(w * at(t, d) for t, w in zip(nodes, weights, strict=True)))


def _uniform_l1(t, d):
    a, b, weight = _coordinate(t)
    q, dq = _half_line(scale=1 / (d * (weight @ b)))
    decay = np.exp(-np.outer(q, b))
    return float(d * dq @ ((decay @ (weight * a)) * (decay @ weight) ** (d - 1)))


def _uniform_l2(t, d):
    a, b, weight = _coordinate(t)
    if not a.any():
        return 0.0
    r, dr = _half_line(scale=(d * (weight @ a**2)) ** -0.5)
    q, dq = _half_line(scale=(d * (weight @ b**2)) ** -0.5)
    decay_a = np.exp(-np.outer(r**2, a**2))
    decay_b = np.exp(-np.outer(b**2, q**2))
    both = decay_a @ (weight[:, None] * decay_b)
    once = decay_a @ ((weight * a**2)[:, None] * decay_b)
    return float(4 / math.pi * d * dr @ (once * both ** (d - 1)) @ dq)


def _coordinate(t):
    """a = |T(y) - y|, b = |y| and weights that integrate over y > 0, prior Uniform(-1, 1).

    Gauss-Legendre on panels that end at the trapezoid's kink and shrink towards y = 0, where the
    integrands above concentrate.
    """
    prior = Uniform(-1, 1)
    law = prior.combine([t, 1 - t])
    kink = abs(1 - 2 * t)
    ends = sorted({0.0, *(4.0**-j for j in range(12)), *([kink] if kink else [])})
    panels = [_gauss_legendre(*pair, 12) for pair in itertools.pairwise(ends)]
    y, weight = (np.concatenate(parts) for parts in zip(*panels, strict=True))
    return np.abs(monotone_map(law, prior)(y) - y), y, 2 * weight * law.pdf(y)


def _half_line(scale, step=0.05, reach=3.4):
    """Nodes and weights on (0, ∞): the double-exponential rule x = scale exp(π/2 sinh s)."""
    s = np.arange(-reach, reach + step, step)
    x = scale * np.exp(math.pi / 2 * np.sinh(s))
    return x, step * x * math.pi / 2 * np.cosh(s)


def _gauss_legendre(low, high, n):
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


def _chunks(n, chunk):
    for start in range(0, n, chunk):
        yield min(chunk, n - start)
