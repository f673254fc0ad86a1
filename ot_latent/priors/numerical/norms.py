"""Laws of the norms of sums of independent points of rotationally symmetric laws, by quadrature."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special, stats
from scipy.optimize import brentq

from ot_latent.priors.numerical.axis import Axis
from ot_latent.priors.numerical.law import NumericalLaw
from ot_latent.priors.numerical.levels import LOG2, LevelTable, log

# The law of a norm is resolved to tails of exp(-LAST_LEVEL) / 2 = 1e-9, from integrals up to far
# smaller ones, and to this, relative to the tail.
LAST_LEVEL, FAR, TOLERANCE = 20.0, 60.0, 1e-6


class NormOfSum:
    """‖X + Y‖ from the laws of ‖X‖ and ‖Y‖, by quadrature over both.

    Given ‖X‖ = s and ‖Y‖ = r, the norm is at most ρ with the probability that the cosine between
    them is at most (ρ² - s² - r²) / 2sr: 1 for r <= ρ - s, 0 for r <= s - ρ and for r >= ρ + s.
    """

    def __init__(self, d: int, X: NumericalLaw, Y: NumericalLaw) -> None:
        self.d, self.X, self.Y = d, X, Y
        self.low, self.high = 0.0, X.support[1] + Y.support[1]
        self.reach = Y.icdf(0.5 * math.exp(-FAR)), Y.isf(0.5 * math.exp(-FAR))

    def probability(self, rho: float, below: bool) -> float:
        """P(‖X + Y‖ <= rho), or >= rho."""
        s, mass = self._outer(rho)
        certain = self.Y.cdf(np.maximum(rho - s if below else s - rho, 0.0))
        if not below:
            certain = certain + self.Y.sf(rho + s)
        low = np.clip(np.abs(rho - s), *self.reach)
        high = np.clip(rho + s, *self.reach)
        # panels in sin², which takes away the square roots of the cosine's law at both ends
        nodes, weights = _PANELS
        r = low[:, None] + (high - low)[:, None] * np.sin(nodes) ** 2
        dr = (high - low)[:, None] * np.sin(2 * nodes) * weights
        inner = _cosine_probability(self.d, rho, s[:, None], r, below) * self.Y.pdf(r) * dr
        return float(mass @ (certain + inner.sum(1)))

    def _outer(self, rho: float) -> tuple[np.ndarray, np.ndarray]:
        """Places s of ‖X‖ and their masses, panels ending where the inner integral has kinks."""
        ends = [end for end in self.Y.support if math.isfinite(end)]
        kinks = [*(abs(rho - end) for end in ends), rho, *(rho + end for end in ends)]
        # towards s = ρ, where small norms of Y begin to count, panels shrink
        kinks += [rho * (1 + side * 0.3**k) for side in (-1, 1) for k in range(1, 7)]
        return _quadrature(self.X, kinks)


class NormAndSphere:
    """‖X + b U‖ for U uniform on the unit sphere: see `NormOfSum`, with one integral less."""

    def __init__(self, d: int, X: NumericalLaw, b: float) -> None:
        self.d, self.X, self.b = d, X, b
        self.low = max(0.0, X.support[0] - b, b - X.support[1])
        self.high = X.support[1] + b

    def probability(self, rho: float, below: bool) -> float:
        """P(‖X + b U‖ <= rho), or >= rho."""
        # in the plane the cosine's law has square roots at both ends, towards which panels shrink
        ends = np.array([abs(rho - self.b), rho + self.b])
        kinks = ends * (1 + np.array([-1, 1])[:, None, None] * 0.3 ** np.arange(25.0)[:, None])
        s, mass = _quadrature(self.X, [*ends, *kinks.ravel()])
        return float(mass @ _cosine_probability(self.d, rho, s, self.b, below))


class NormOfTwo:
    """‖a U + b V‖ for two points on the unit sphere: ρ² = (a - b)² + 4ab B, B ~ Beta(h, h)."""

    def __init__(self, d: int, a: float, b: float) -> None:
        self.least, self.product, self.square = abs(a - b), 4 * a * b, a**2 + b**2
        self.beta = stats.beta((d - 1) / 2, (d - 1) / 2)

    def _beta(self, rho: Any) -> Any:
        return np.clip((rho - self.least) * (rho + self.least) / self.product, 0, 1)

    def _rho(self, beta: Any) -> Any:
        return np.sqrt(self.least**2 + self.product * beta)

    def support(self) -> tuple[float, float]:
        return self.least, float(self._rho(1.0))

    def cdf(self, rho: np.ndarray) -> np.ndarray:
        return self.beta.cdf(self._beta(rho))

    def sf(self, rho: np.ndarray) -> np.ndarray:
        return self.beta.sf(self._beta(rho))

    def pdf(self, rho: Any) -> Any:
        return self.beta.pdf(self._beta(rho)) * 2 * rho / self.product

    def ppf(self, p: Any) -> Any:
        return self._rho(self.beta.ppf(p))

    def isf(self, q: Any) -> Any:
        return self._rho(self.beta.isf(q))

    def mean(self) -> float:
        return self.beta.expect(self._rho)

    def var(self) -> float:
        return self.square - self.mean() ** 2


class NormOfStudent:
    """‖z‖ for Student's law of points in R^d: ‖z‖² / d follows Fisher's F law of d and df degrees of freedom."""

    support = 0.0, math.inf

    def __init__(self, d: int, df: float) -> None:
        self.d, self.fisher = d, stats.f(d, df)
        ratio = special.betaln((d + 1) / 2, (df - 1) / 2) - special.betaln(d / 2, df / 2) if df > 1 else math.inf
        self.mean = math.sqrt(df) * math.exp(ratio)
        self.var = d * df / (df - 2) - self.mean**2 if df > 2 else math.inf

    def cdf(self, rho: Any) -> Any:
        return self.fisher.cdf(np.square(rho) / self.d)

    def sf(self, rho: Any) -> Any:
        return self.fisher.sf(np.square(rho) / self.d)

    def pdf(self, rho: Any) -> Any:
        return self.fisher.pdf(np.square(rho) / self.d) * 2 * rho / self.d

    def icdf(self, p: Any) -> Any:
        return np.sqrt(self.d * self.fisher.ppf(p))

    def isf(self, q: Any) -> Any:
        return np.sqrt(self.d * self.fisher.isf(q))


def _quadrature(law: NumericalLaw, kinks: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Places of a law and their masses, in panels that end at places `kinks` too."""
    levels = law.level(np.array(kinks) - law.axis.origin)
    ends = np.unique(np.clip([*law.marks, *levels, -FAR, FAR], -FAR, FAR))
    places, masses = law.on_panels(ends, order=8)
    return places.ravel(), masses.ravel()


def _panels(count: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre on equal panels of [0, π/2]."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    width = math.pi / 2 / count
    starts = width * np.arange(count)[:, None]
    return (starts + width * (nodes + 1) / 2).ravel(), np.tile(weights * width / 2, count)


_PANELS = _panels(8, 10)


def _cosine_probability(d: int, rho: float, s: np.ndarray, r: Any, below: bool) -> np.ndarray:
    """P(‖s u + r v‖ <= rho), or >= rho, of random directions u and v in R^d, from the law of their cosine c.

    (1 + c) / 2 and (1 - c) / 2 at the norm rho are taken by differences that do not cancel.
    """
    half = (rho - s + r) * (rho + s - r) if below else (s + r - rho) * (s + r + rho)
    half = np.clip(half / np.maximum(4 * s * r, 1e-300), 0.0, 1.0)
    return special.betainc((d - 1) / 2, (d - 1) / 2, half)


def tabulate_norm(law: NormOfSum | NormAndSphere) -> NumericalLaw:
    """A law on [low, high] as a `NumericalLaw`, from its probabilities below and above single places."""
    bounded = math.isfinite(law.high)
    largest = law.high if bounded else float(law.X.isf(0.1) + law.Y.isf(0.1))
    median = brentq(lambda r: law.probability(r, True) - 0.5, law.low, largest, rtol=1e-13)
    right_unit = law.high - median if bounded else median - law.low
    axis = Axis(law.low, median, law.high, median - law.low, right_unit)

    def below(eta: np.ndarray) -> np.ndarray:
        places = law.low + axis.left_unit * np.exp(eta)
        return LOG2 + log([law.probability(rho, True) for rho in places.tolist()])

    def above(eta: np.ndarray) -> np.ndarray:
        places = median + right_unit * (1 - np.exp(-eta) if bounded else np.expm1(eta))
        return -LOG2 - log([law.probability(rho, False) for rho in places.tolist()])

    start, stop = _reach(below, -1), _reach(above, 1)
    inner = np.array([0.02, 0.1, 0.3])
    table = LevelTable.fit(below, np.array([start, *(start * inner[::-1]), 0.0]), TOLERANCE).joined(
        LevelTable.fit(above, np.array([0.0, *(stop * inner), stop]), TOLERANCE)
    )
    law_of_norm = NumericalLaw(axis, table, math.nan, math.nan)
    mean = law_of_norm.expectation(lambda r: r)
    var = law_of_norm.expectation(lambda r: (r - mean) ** 2)
    return NumericalLaw(axis, table, mean, var)


def _reach(level: Callable[[np.ndarray], np.ndarray], sign: int) -> float:
    """η at which the level is about ±LAST_LEVEL."""
    for size in 0.25 * 1.3 ** np.arange(40):
        value = float(level(np.array([sign * size]))[0])
        if not math.isfinite(value):
            return sign * size / 1.3
        if abs(value) > LAST_LEVEL:
            break
    return sign * size
