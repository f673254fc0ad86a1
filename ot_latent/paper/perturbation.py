"""How far a matched interpolation moves its points (Agustsson et al. 2019, Table 3).

The table prints E ‖ỹ_t - y_t‖_p / ‖y_t‖_p for y_t = t z1 + (1 - t) z2 and its matched ỹ_t, with t
uniform on [0, 1]. `simulate_perturbation` estimates it as the paper did; `exact_perturbation`
computes it.
"""

import math
from typing import NamedTuple

import numpy as np

from ot_latent._arrays import generator, progress
from ot_latent.monotone import monotone_map
from ot_latent.operations import interpolate
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.laws import Prior
from ot_latent.priors.numerical.tabulation import tabulate


class Perturbation(NamedTuple):
    """A mean relative change and its 95 % interval, ± 1.96 standard errors."""

    mean: float
    interval: tuple[float, float]


def simulate_perturbation(
    prior: Prior,
    d: int,
    n: int = 100_000,
    p: float = 2,
    rng: int | np.random.Generator | None = None,
    chunk: int = 5_000,
) -> Perturbation:
    """Average perturbation over n interpolated points, as in Table 3.

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

    Examples
    --------
    >>> simulate_perturbation(Gaussian(0, 1), 100, n=1_000, rng=0).mean < 0.3
    True
    """
    draws: np.random.Generator = generator(rng)
    parts = []
    for start in range(0, n, chunk):
        size = min(chunk, n - start)
        z1, z2 = prior.sample((2, size, d), draws)
        t = draws.random((size, 1))
        y = interpolate(z1, z2, t)
        moved = interpolate(z1, z2, t, prior=prior) - y
        parts.append(np.linalg.norm(moved, p, axis=-1) / np.linalg.norm(y, p, axis=-1))
    ratios = np.concatenate(parts)
    mean, margin = ratios.mean(), 1.96 * ratios.std(ddof=1) / math.sqrt(n)
    return Perturbation(float(mean), (float(mean - margin), float(mean + margin)))


def exact_perturbation(prior: Prior, d: int, p: int = 2, t: float | None = None, drawn: Prior | None = None) -> float:
    """E ‖ỹ_t - y_t‖_p / ‖y_t‖_p, exactly or by quadrature to eight digits or more.

    For a Gaussian prior centred at 0, ỹ = y / σ_t with σ_t² = t² + (1 - t)²: the ratio is
    |1/σ_t - 1| for every point, norm and dimension.

    For another prior, let a = |ỹ - y| and b = |y| be those of one coordinate. From
    x^{-s} = ∫ u^{s-1} e^{-ux} du / Γ(s) for the sums over d independent coordinates,

        p = 1:   d ∫ E[a e^{-qb}] (E e^{-qb})^{d-1} dq,
        p = 2:   (4/π) d ∫∫ E[a² e^{-r²a² - q²b²}] (E e^{-r²a² - q²b²})^{d-1} dr dq,

    integrals over the positive half line, of expectations over a single coordinate.

    Parameters
    ----------
    prior : Uniform, Gaussian or ScipyPrior
    d : int
        Latent dimension; at least 2 for p = 2.
    p : {1, 2}
    t : float, optional
        A fixed one. Without it, t is uniform on [0, 1] as in the paper.
    drawn : law, optional
        Of the points, within the prior's support, where they do not follow the prior that they are matched to.

    Raises
    ------
    ValueError
        If p is neither 1 nor 2, or d is below p.

    Examples
    --------
    >>> round(exact_perturbation(Gaussian(0, 1), d=100), 5)
    0.24645
    """
    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, got {p}")
    if d < p:
        raise ValueError(f"d must be at least {p} for p = {p}, got {d}")
    ratio = {1: _l1_ratio, 2: _l2_ratio}[p]
    if isinstance(prior, Gaussian) and prior.mean == 0 and drawn is None:
        ratio = _gaussian_ratio
    laws = prior, drawn or prior
    if t is not None:
        return ratio(laws, t, d)
    ts, weights = _gauss_legendre(0.0, 0.5, 24)  # t and 1 - t are alike
    return float(2 * weights @ [ratio(laws, t, d) for t in progress(ts, "quadrature over t")])


def _gaussian_ratio(laws: tuple[Prior, Prior], t: float, d: int) -> float:
    return abs(1 / math.hypot(t, 1 - t) - 1)


def _l1_ratio(laws: tuple[Prior, Prior], t: float, d: int) -> float:
    a, b, weight = _coordinate(*laws, t)
    q, dq = _half_line(scale=1 / (d * (weight @ b)))
    decay = np.exp(-np.outer(q, b))
    return float(d * dq @ ((decay @ (weight * a)) * (decay @ weight) ** (d - 1)))


def _l2_ratio(laws: tuple[Prior, Prior], t: float, d: int) -> float:
    a, b, weight = _coordinate(*laws, t)
    if not a.any():
        return 0.0
    r, dr = _half_line(scale=(d * (weight @ a**2)) ** -0.5)
    q, dq = _half_line(scale=(d * (weight @ b**2)) ** -0.5)
    decay_a = np.exp(-np.outer(r**2, a**2))
    decay_b = np.exp(-np.outer(b**2, q**2))
    both = decay_a @ (weight[:, None] * decay_b)
    once = decay_a @ ((weight * a**2)[:, None] * decay_b)
    return float(4 / math.pi * d * dr @ (once * both ** (d - 1)) @ dq)


def _coordinate(prior: Prior, drawn: Prior, t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a = |T(y) - y|, b = |y| and weights that integrate over the law of y.

    Panels shrink towards y = 0, where the integrands above concentrate.
    """
    taken, law = (each.combine([t, 1 - t]) for each in (prior, drawn))
    table = law if hasattr(law, "quadrature") else tabulate(law)
    low, high = table.icdf([0.25, 0.75])
    near = (abs(low) + abs(high)) * 4.0 ** -np.arange(12)
    kinks = [] if drawn is prior else [*getattr(taken, "knots", ())]
    y, weight = (part.ravel() for part in table.quadrature([*-near, 0.0, *near, *kinks]))
    T = monotone_map(taken, prior)
    return np.abs(T(y) - y), np.abs(y), weight


def _half_line(scale: float, step: float = 0.05, reach: float = 3.4) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on (0, ∞): the double-exponential rule x = scale exp(π/2 sinh s)."""
    s = np.arange(-reach, reach + step, step)
    x = scale * np.exp(math.pi / 2 * np.sinh(s))
    return x, step * x * math.pi / 2 * np.cosh(s)


def _gauss_legendre(low: float, high: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2
