"""Table 3's quantity: closed form, quadrature, simulation, and an independent integral."""

import math

import numpy as np
import pytest
import scipy.stats
from scipy.integrate import dblquad

from ot_latent import Gaussian, ScipyPrior, Uniform, interpolate
from ot_latent.paper.perturbation import exact_perturbation, simulate_perturbation

UNIT = Uniform(-1, 1)


def test_gaussian_closed_form():
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t = (nodes + 1) / 2
    mean = weights @ (1 / np.sqrt(t**2 + (1 - t) ** 2) - 1) / 2
    for d, p in [(1, 1), (100, 1), (100, 2)]:
        assert exact_perturbation(Gaussian(0, 3), d, p) == pytest.approx(mean, rel=1e-12)
    assert exact_perturbation(Gaussian(), 7, 2, t=0.5) == pytest.approx(math.sqrt(2) - 1)


@pytest.mark.parametrize("t", [0.5, 0.3, 0.05])
def test_one_coordinate_by_an_ordinary_integral(t):
    """For d = 1 the quotient is T(y)/y - 1, integrated here on a fine midpoint grid."""
    y = (np.arange(200_000) + 0.5) / 200_000
    law = UNIT.combine([t, 1 - t])
    moved = np.abs(interpolate(y[:, None] / t, 0 * y[:, None], t)[:, 0] - y)  # T below, not this
    assert moved.max() < 1e-12
    wide, narrow = max(t, 1 - t), min(t, 1 - t)
    slope = 1 - (1 - y) ** 2 / (4 * wide * narrow)
    target = np.where(y <= wide - narrow, y / wide, slope)
    expected = np.mean((target - y) / y * 2 * law.pdf(y))
    assert exact_perturbation(UNIT, 1, 1, t=t) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("p", [1, 2])
def test_two_coordinates_by_an_ordinary_double_integral(p):
    # At the midpoint T(y) - y = y - y² and the density is 1 - y, for y > 0.
    def integrand(y, x):
        moved, norm = np.array([x - x * x, y - y * y]), np.array([x, y])
        return 4 * (1 - x) * (1 - y) * np.linalg.norm(moved, p) / np.linalg.norm(norm, p)

    expected = dblquad(integrand, 0, 1, 0, 1, epsabs=1e-10)[0]
    assert exact_perturbation(UNIT, 2, p, t=0.5) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("p", [1, 2])
def test_points_of_another_law_by_ordinary_integrals(p):
    """Midpoints of U(0, 1) have a triangular law; T(y) - y = y - y² is that of U(-1, 1)."""

    def density(y):
        return 4 * min(y, 1 - y)

    def integrand(y, x):
        moved, norm = np.array([x - x * x, y - y * y]), np.array([x, y])
        return density(x) * density(y) * np.linalg.norm(moved, p) / np.linalg.norm(norm, p)

    parts = [dblquad(integrand, *x, *y, epsabs=1e-10)[0] for x in ((0, 0.5), (0.5, 1)) for y in ((0, 0.5), (0.5, 1))]
    assert exact_perturbation(UNIT, 2, p, t=0.5, drawn=Uniform(0, 1)) == pytest.approx(sum(parts), rel=1e-7)
    assert exact_perturbation(UNIT, 1, 1, t=0.5, drawn=Uniform(0, 1)) == pytest.approx(0.5, rel=1e-9)  # E(1 - y)


@pytest.mark.parametrize("prior", [UNIT, Gaussian()], ids=repr)
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("d", [3, 100])
def test_simulation_covers_the_exact_value(prior, d, p):
    # Four standard errors: a correct value fails with probability 6e-5; an error of 1.5 % of the
    # value is found with probability above 0.95.
    mean, (low, high) = simulate_perturbation(prior, d, n=40_000, p=p, rng=3)
    error = (high - low) / 2 / 1.96
    assert abs(mean - exact_perturbation(prior, d, p)) < 4 * error
    assert error < 0.004 * mean


def test_simulation_does_not_hold_all_points_and_counts_them_all():
    whole = simulate_perturbation(Gaussian(), 4, n=1000, rng=0, chunk=1000)
    assert whole == simulate_perturbation(Gaussian(), 4, n=1000, rng=0, chunk=5000)
    parts = simulate_perturbation(Gaussian(), 4, n=1000, rng=0, chunk=300)
    assert parts.interval[0] < whole.mean < parts.interval[1]


def test_exact_value_depends_on_neither_width_nor_quadrature(monkeypatch):
    values = {p: exact_perturbation(UNIT, 100, p) for p in (1, 2)}
    from ot_latent.paper import perturbation

    half_line, gauss = perturbation._half_line, perturbation._gauss_legendre
    finer = {"step": 0.02, "reach": 3.6}
    monkeypatch.setattr(perturbation, "_half_line", lambda scale: half_line(scale, **finer))
    monkeypatch.setattr(perturbation, "_gauss_legendre", lambda a, b, n: gauss(a, b, 2 * n))
    for p, value in values.items():
        assert exact_perturbation(Uniform(-5, 5), 100, p) == pytest.approx(value, rel=1e-9)


def test_ends_and_limits():
    for p in (1, 2):
        assert exact_perturbation(UNIT, 10, p, t=0.0) == 0
        values = [exact_perturbation(UNIT, 10, p, t=t) for t in (0.01, 0.1, 0.3, 0.5)]
        assert values == sorted(values)
        mirrored = exact_perturbation(UNIT, 10, p, t=0.7)
        assert mirrored == pytest.approx(values[2], rel=1e-9)
    # In high dimension norms concentrate: the quotient tends to that of the expectations.
    limit = math.sqrt((1 / 30) / (1 / 6))
    assert exact_perturbation(UNIT, 20_000, 2, t=0.5) == pytest.approx(limit, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"), [({"p": 3}, "p must be 1 or 2"), ({"d": 1, "p": 2}, "d must be at least 2")]
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        exact_perturbation(**{"prior": UNIT, "d": 10, **arguments})


PRIORS = {
    "uniform off centre": Uniform(-0.3, 2.0),
    "normal off centre": Gaussian(0.5, 1),
    "laplace": ScipyPrior(scipy.stats.laplace()),
    "gamma": ScipyPrior(scipy.stats.gamma(2)),
}


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
@pytest.mark.parametrize("t", [0.3, 1.4])
@pytest.mark.parametrize("p", [1, 2])
def test_any_prior_by_simulation(prior, t, p):
    # Four standard errors, of at most 1 % of the value.
    d = 5
    z1, z2 = prior.sample((2, 100_000, d), rng=1)
    y = interpolate(z1, z2, t)
    moved = interpolate(z1, z2, t, prior=prior) - y
    ratios = np.linalg.norm(moved, p, axis=-1) / np.linalg.norm(y, p, axis=-1)
    error = ratios.std() / math.sqrt(len(y))
    assert abs(ratios.mean() - exact_perturbation(prior, d, p, t=t)) < 4 * error
    assert error < 0.01 * ratios.mean()


def test_the_mean_over_t_of_a_gaussian_prior():
    assert exact_perturbation(Gaussian(), 10, 1) == pytest.approx(math.sqrt(2) * math.asinh(1) - 1, rel=1e-12)
