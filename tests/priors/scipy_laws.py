"""Laws of all shapes that the tests of priors from scipy share."""

import numpy as np
import pytest
import scipy.stats as st

import ot_latent as otl

TAILS = np.array([1e-12, 1e-9, 1e-6, 1e-3, 0.1, 0.3, 0.5])


class Mixture:
    """Given by cdf, pdf and ppf alone: two humps far apart."""

    def cdf(self, x):
        return 0.5 * st.norm.cdf(x, -2, 0.3) + 0.5 * st.norm.cdf(x, 2, 1)

    def pdf(self, x):
        return 0.5 * st.norm.pdf(x, -2, 0.3) + 0.5 * st.norm.pdf(x, 2, 1)

    def ppf(self, p):
        low, high = np.full(np.shape(p), -100.0), np.full(np.shape(p), 100.0)
        for _ in range(80):
            middle = (low + high) / 2
            short = self.cdf(middle) < p
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        p = np.asarray(p)
        return np.where(p <= 0, -np.inf, np.where(p >= 1, np.inf, low))


class Gap:
    """Uniform on [-2, -1] and [1, 3]: its quantile function jumps."""

    def cdf(self, x):
        return 0.5 * st.uniform.cdf(x, -2, 1) + 0.5 * st.uniform.cdf(x, 1, 2)

    def ppf(self, p):
        p = np.asarray(p)
        return np.where(p < 0.5, -2 + 2 * p, 1 + 4 * (p - 0.5))


FROZEN = {
    "laplace": st.laplace(),
    "gamma": st.gamma(2),
    "shifted gamma": st.gamma(2, loc=5, scale=3),
    "arcsine": st.beta(0.5, 0.5),
    "beta": st.beta(2, 0.5),
    "t(3)": st.t(3),
    "t(1.5)": st.t(1.5),
    "truncated normal": st.truncnorm(-1, 2),
    "pareto": st.pareto(1.5),
    "cauchy": st.cauchy(1, 2),
    "levy": st.levy(),
    "normal": st.norm(1, 2),
    "uniform": st.uniform(2, 3),
    "log-normal": st.lognorm(1),
    "triangular": st.triang(0.2),
    "skew normal": st.skewnorm(3),
    "mixture": Mixture(),
    "gap": Gap(),
}
PRIORS = {name: otl.ScipyPrior(law) for name, law in FROZEN.items()}
EACH = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)


def relative(found, expected):
    return np.max(np.abs(np.asarray(found, float) / np.asarray(expected, float) - 1))


def found_by_ks(n, level):
    """The error in a distribution function that a Kolmogorov-Smirnov test of n values finds 99 % of the time.

    Beyond the test's own critical distance by the 99 % quantile of the empirical distribution function's
    deviation at the place of the error, whose variance is 1 / 4n at most.
    """
    return st.kstwo.isf(level, n) + st.norm.isf(0.01) / (2 * n**0.5)
