"""Laws of sums: against closed forms, mpmath and each other."""

import math

import mpmath as mp
import numpy as np
import pytest
import scipy.stats as st
from scipy.special import j0
from scipy_laws import PRIORS, TAILS, relative

import ot_latent as otl
from ot_latent.priors.numerical.addition import law_of, levels_of_sum, shape_of
from ot_latent.priors.numerical.cubic_table import ERROR
from ot_latent.priors.numerical.family import Family
from ot_latent.priors.numerical.sums import PairSum, sum_of
from ot_latent.priors.numerical.tabulation import tabulate

# name: the law of a Z, its sum w_1 Z_1 + ... as scipy has it, the weights
CLOSED = {
    "normal": (st.norm(0, 1), st.norm(0, math.hypot(0.3, 0.7)), [0.3, 0.7]),
    "normal, one tiny": (st.norm(0, 1), st.norm(0, math.hypot(1, 1e-6)), [1, 1e-6]),
    "normal, signs": (st.norm(1, 2), st.norm(1, 2 * 3**0.5), [-1, 1, 1]),
    "cauchy": (st.cauchy(), st.cauchy(), [0.4, 0.6]),
    "cauchy, signs": (st.cauchy(), st.cauchy(0, 3), [-2, 1]),
    "gamma": (st.gamma(2), st.gamma(4), [1, 1]),
    "gamma, mean of five": (st.gamma(0.7), st.gamma(3.5, scale=0.2), [0.2] * 5),
    "gamma, nearly all at 0": (st.gamma(0.1), st.gamma(0.2), [1, 1]),
    "gamma, negative": (st.gamma(2), None, [-1, -1]),
    "exponential": (st.expon(), st.gamma(64), [1] * 64),
    "laplace": (st.expon(), st.laplace(), [1, -1]),
    "levy": (st.levy(), st.levy(0, 4), [1, 1]),
    "uniform": (st.uniform(), st.triang(0.5, 0, 2), [1, 1]),
    "chi-square": (st.chi2(1), st.expon(0, 2), [1, 1]),
}


@pytest.mark.parametrize(("law", "total", "weights"), CLOSED.values(), ids=CLOSED)
def test_quadrature_agrees_with_closed_forms(law, total, weights):
    """To 1e-9 relative to the tail, in the bulk and down to 1e-12: stable laws too, by quadrature."""
    prior = otl.ScipyPrior(law)
    scaled = {w: prior.scaled(w) for w in weights}
    found = sum_of([scaled[w] for w in weights])
    if total is None:
        x = -st.gamma(4).ppf(TAILS)
        assert relative(found.sf(x), TAILS) < 1e-9
        return
    x = total.ppf(TAILS)
    assert relative(found.cdf(x), total.cdf(x)) < 1e-9
    x = total.isf(TAILS)
    if found.support[1] == 0 or not math.isfinite(found.support[1]):
        assert relative(found.sf(x), total.sf(x)) < 1e-9
    assert found.icdf(TAILS) == pytest.approx(total.ppf(TAILS), rel=1e-8, abs=1e-9)
    x = total.ppf(np.linspace(0.01, 0.99, 50))
    assert found.pdf(x) == pytest.approx(total.pdf(x), rel=1e-7)


def laplace(x):
    return mp.exp(-abs(x)) / 2, mp.exp(x) / 2 if x < 0 else 1 - mp.exp(-x) / 2


def truncated_normal(x):
    if not -1 <= x <= 2:
        return mp.mpf(0), mp.mpf(x > 2)
    mass = mp.ncdf(2) - mp.ncdf(-1)
    return mp.npdf(x) / mass, (mp.ncdf(x) - mp.ncdf(-1)) / mass


def student(x):
    """t with 1.5 degrees of freedom, by the incomplete beta function."""
    nu = mp.mpf(3) / 2
    tail = mp.betainc(nu / 2, 0.5, 0, nu / (nu + x * x), regularized=True) / 2
    density = (1 + x * x / nu) ** (-(nu + 1) / 2) / (mp.sqrt(nu) * mp.beta(0.5, nu / 2))
    return density, tail if x < 0 else 1 - tail


@pytest.mark.parametrize(
    ("law", "exact", "places"),
    [
        (st.laplace(), laplace, [-60, -20, -5, 0, 5, 20, 60]),
        (st.truncnorm(-1, 2), truncated_normal, [-1, 2]),
        (st.t(1.5), student, [*(-(10.0 ** np.arange(20, 0, -2))), -3, 0, 3, *10.0 ** np.arange(1, 21, 2)]),
    ],
    ids=["laplace", "truncated normal", "t(1.5)"],
)
@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.05, 0.95)], ids=str)
def test_quadrature_agrees_with_mpmath(law, exact, places, weights):
    """P(w Z <= y) by an integral over density and distribution function in 20 digits."""
    w1, w2 = weights
    found = otl.ScipyPrior(law).combine(weights)
    with mp.workdps(20):
        for p in (1e-12, 1e-6, 0.02, 0.4):
            y = float(found.icdf(p))
            inner = [(y - w1 * a) / w2 for a in places]
            ends = sorted({*places, *(a for a in inner if places[0] < a < places[-1])})

            def mass(v, y=y):
                return exact(v)[0] * exact((y - w2 * v) / w1)[1]

            assert relative(float(found.cdf(y)), float(mp.quad(mass, ends))) < 1e-8


def test_sums_of_sums_and_uniforms_beyond_the_exact():
    weights = np.sqrt(np.arange(1, 15))
    many = otl.Uniform(-1, 1).combine(weights)  # more pieces than are exact
    exact = otl.Uniform(-1, 1).combine(weights[:9])
    numerical = sum_of([tabulate(otl.Uniform(-w, w)) for w in weights[:9]])
    x = exact.icdf(TAILS)
    assert relative(numerical.cdf(x), exact.cdf(x)) < 1e-9
    assert many.var == pytest.approx(np.sum(weights**2) / 3)
    points, masses = many.quadrature()
    assert np.sum(masses * points**2) == pytest.approx(many.var, rel=1e-9)


@pytest.mark.parametrize("name", ["laplace", "arcsine", "t(1.5)", "mixture"])
@pytest.mark.parametrize("weights", [(0.3, 0.7), (-2.0, 1.0), (1.0, 1e-6)], ids=str)
def test_single_places_of_a_sum_agree_with_its_table(name, weights):
    prior = PRIORS[name]
    pair, table = PairSum(prior, prior, *weights), prior.combine(weights)
    x = table.icdf(np.concatenate([TAILS, 1 - TAILS[2:], np.linspace(0.01, 0.99, 99)]))
    # the rounding of x near the upper end, relative to a tail of 1e-6, is larger than both errors
    assert np.abs(pair.level_at(x) - table.level(x - table.axis.origin)).max() < 1e-8
    assert (pair.mean, pair.var) == pytest.approx((table.mean, table.var), nan_ok=True)
    assert pair.support == table.support


@pytest.mark.parametrize("name", ["laplace", "gamma", "t(3)", "skew normal", "log-normal", "truncated normal"])
def test_points_of_many_weights_agree_with_single_calls(name):
    """By a family of laws where many have about one ratio, else by a quadrature for each point."""
    prior, random = PRIORS[name], np.random.default_rng(1)
    weights = random.uniform(0.02, 1, (2, 150, 1)) * random.choice([-1.0, 1.0], (2, 150, 1))
    z = prior.sample((2, 150, 100), rng=2)
    y = otl.combine(z, weights, prior=prior)
    spread = prior.icdf(0.75) - prior.icdf(0.25)
    for i in range(0, 150, 30):
        one = otl.combine(z[:, i], weights[:, i, 0], prior=prior)
        assert np.all(np.abs(y[i] - one) <= 3 * ERROR * (spread + np.abs(one - prior.icdf(0.5))))


@pytest.mark.parametrize(
    ("name", "least"), [("laplace", 1), ("gamma", 1), ("t(3)", 1), ("truncated normal", 0.9), ("arcsine", 0.9)]
)
def test_families_agree_with_quadrature_where_they_give_levels(name, least):
    """At 100,000 points of ratios from 1 to 1/7, with moving kinks, too; some ratios are left to quadrature."""
    prior, random = PRIORS[name], np.random.default_rng(3)
    X = law_of(shape_of(prior))
    log_ratio = random.uniform(-2, 0, 100_000)
    first, second = X.sample((2, 100_000), rng=4)
    place = first + np.exp(log_ratio) * second
    found = Family(shape_of(prior), shape_of(prior)).levels(log_ratio, place)
    known = np.flatnonzero(np.isfinite(found))
    assert len(known) >= least * len(found)
    for i in known[:: len(known) // 50]:
        exact = levels_of_sum(X, X.scaled(np.exp(log_ratio[i])), place[i : i + 1])
        assert abs(found[i] - exact[0]) <= 2e-9 * (1 + exact[0] ** 2)


@pytest.mark.parametrize("name", ["t(3)", "truncated normal"])
def test_one_number_for_each_weight_is_mapped(name):
    prior = PRIORS[name]
    z, t = prior.sample((2, 5, 1), rng=0), np.linspace(0.1, 0.9, 5)[:, None]
    y = otl.interpolate(*z, t, prior=prior)
    for i in range(5):
        assert y[i] == pytest.approx(otl.interpolate(*z[:, i], t[i, 0], prior=prior), rel=1e-8)


def test_sums_of_one_shape_are_computed_once():
    """Laws that differ in place and scale, weights in their order or with one factor more."""
    prior, other = PRIORS["gamma"], PRIORS["shifted gamma"]
    table = prior.combine([0.31, 0.69]).table
    for law in (prior.combine([1 - 0.31, 0.31]), prior.combine([3.1, 6.9]), other.combine([0.31, 0.69])):
        assert law.table is table
    x = prior.combine([0.31, 0.69]).icdf(TAILS)
    assert other.combine([0.31, 0.69]).cdf(5 + 3 * x) == pytest.approx(TAILS, rel=1e-9)


HISTOGRAM = st.rv_histogram((np.array([1, 0, 4, 2, 3]), np.array([-1.0, 0.5, 0.7, 1.0, 2.0, 4.0])), density=False)
QUANTILES = st.rv_histogram((np.ones(10), np.sort(np.random.default_rng(0).normal(size=11))), density=False)


@pytest.mark.parametrize("law", [HISTOGRAM, QUANTILES], ids=["histogram", "quantiles"])
@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.3, -1.2)], ids=str)
def test_sums_of_histograms_are_exact(law, weights):
    """Against the integral of the distribution function over each bin, by its antiderivative; and on points.

    100,000 numbers, level 1e-4: an error of 0.011 in their law is found 99 % of the time.
    """
    prior = otl.ScipyPrior(law)
    found, steps = prior.combine(weights), prior.exact
    v, w = weights
    draws = prior.sample(10**6, 3)  # the margin is five standard errors or more
    assert (steps.mean, steps.var) == pytest.approx((draws.mean(), draws.var()), abs=0.01)
    x = found.icdf(np.concatenate([TAILS, np.linspace(0.01, 0.99, 99), 1 - TAILS[2:]]))

    def antiderivative(y):  # of the distribution function of w Z, from far below
        knots, mass = w * steps.knots, steps.first * np.diff(steps.knots)
        ends = np.sort(np.stack([knots[:-1], knots[1:]]), axis=0)
        inside = np.clip(y[:, None], *ends) - ends[0]
        return mass @ (inside**2 / 2 / (ends[1] - ends[0]) + np.maximum(y[:, None] - ends[1], 0)).T

    pairs = zip(steps.knots[:-1], steps.knots[1:], steps.first, strict=True)
    exact = sum(h / v * (antiderivative(x - v * a) - antiderivative(x - v * b)) for a, b, h in pairs)
    assert found.cdf(x) == pytest.approx(exact, abs=1e-12)
    z = prior.sample((2, 5_000, 20), rng=5)
    for points, follow in ((otl.combine(z, weights, prior=law), True), (otl.combine(z, weights), False)):
        assert bool(otl.check_prior(points, prior, level=1e-4)) == follow
        assert (st.kstest(prior.cdf(points.ravel()), "uniform").pvalue > 1e-4) == follow


def test_laws_of_their_own_for_each_term():
    uniform, normal, gamma = otl.Uniform(-1, 1), otl.Gaussian(), PRIORS["gamma"]
    assert otl.sum_law([normal, otl.Gaussian(1, 2)], [3, -1]) == otl.Gaussian(-1, math.hypot(3, 2))
    assert otl.sum_law([uniform, otl.Uniform(0, 1)], [1, 2]) == otl.Uniform(-1, 1).combine([1, 1]).__class__(
        1.0, 1.0, 1.0
    )
    assert otl.sum_law([uniform, gamma], [2, 0]) == otl.Uniform(-2, 2)
    law = otl.sum_law([uniform, normal], [1, 0.5])
    # E Φ((y - U) / 0.5), by the antiderivative of Φ
    y = np.array([-4.0, -2.0, -0.3, 0.0])

    def antiderivative(x):
        return x * st.norm.cdf(x) + st.norm.pdf(x)

    exact = 0.25 * (antiderivative((y + 1) / 0.5) - antiderivative((y - 1) / 0.5))
    assert law.cdf(y) == pytest.approx(exact, rel=1e-9)
    z = uniform.sample((20_000, 5), rng=0)
    y = otl.vicinity(z, 0.3, prior=uniform, noise_law=normal, rng=1)
    assert otl.check_prior(y, uniform)
    assert not otl.check_prior(otl.vicinity(z, 0.3, noise=normal.sample(z.shape, 1)), uniform)
    points = [uniform.sample((20_000, 5), 2), gamma.sample((20_000, 5), 3)]
    for weights in ([0.5, 0.5], np.array([[[0.5], [0.2]], [[0.5], [-0.8]]]).repeat(10_000, 1)):
        y = otl.combine(points, weights, prior=gamma, laws=[uniform, gamma])
        assert otl.check_prior(y, gamma)


def test_sums_of_many_arcsine_laws_agree_with_their_fourier_series():
    w = np.array([0.31, 0.07, 0.13, 0.05, 0.11, 0.17, 0.09, 0.21])
    law = otl.ScipyPrior(st.beta(0.5, 0.5)).combine(w)
    # on a period as long as the support F less its mean slope is a sine series, by Bessel functions (arcsine laws)
    k = np.arange(1, 400_001)
    terms = j0(np.pi * np.outer(w, k) / w.sum()).prod(0) / (np.pi * k)
    places = w.sum() * np.linspace(0.1, 0.9, 9)
    series = places / w.sum() + np.sin(2 * np.pi * np.outer(places / w.sum() - 0.5, k)) @ terms
    assert law.cdf(places) == pytest.approx(series, abs=2e-11)
    assert len(law.table.ends) < 1_000  # kinks of sums of sums are few: those where they are smooth enough do not count
