"""`check_prior` is calibrated, finds what operations do to a prior, and says so in words."""

import numpy as np
import pytest
import torch
from scipy import stats

import ot_latent as otl

PRIORS = [otl.Gaussian(0, 1), otl.Gaussian(3, 0.2), otl.Uniform(-1, 1), otl.Uniform(0, 5), otl.ScipyPrior(stats.t(1.5))]
RADIAL = [otl.Sphere(10), otl.Ball(10, 2.0), otl.Radial(10, stats.halfnorm())]


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
@pytest.mark.parametrize("shape", [(20, 5), (60, 2, 3, 4)])
def test_points_of_the_prior_fail_as_often_as_the_level_says(prior, shape):
    """600 samples: each p-value is uniform; a shift of 0.08 in its law is found 99 times in 100."""
    rng = np.random.default_rng(0)
    found = [otl.check_prior(prior.sample(shape, rng), prior) for _ in range(600)]
    for name in ("coordinates", "norms"):
        assert stats.kstest([getattr(f, name) for f in found], "uniform").pvalue > 1e-3
    failed = sum(not f for f in found)
    assert stats.binomtest(failed, 600, 0.01, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("prior", RADIAL, ids=repr)
def test_radial_priors_fail_as_often_as_the_level_says(prior):
    """As above. On a sphere all norms are right or one is wrong: that test's p-value is 1 or 0."""
    rng = np.random.default_rng(0)
    found = [otl.check_prior(prior.sample((20, 10), rng), prior, rng=i) for i in range(600)]
    for name in ("coordinates", "norms")[: 1 if prior.radius else 2]:
        assert stats.kstest([getattr(f, name) for f in found], "uniform").pvalue > 1e-3
    z = prior.sample((100, 10), rng)
    longer = z.copy()
    longer[0] *= 1.5
    assert bool(otl.check_prior(longer, prior)) == (prior.radius is None)
    assert not otl.check_prior(abs(z), prior)  # norms are right, directions are not


@pytest.mark.parametrize("prior", RADIAL, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_radial_precision_is_not_mistaken_for_a_departure(dtype, prior):
    z = prior.sample((2, 1000, 10), 0, like=torch.zeros((), dtype=dtype))
    assert otl.check_prior(otl.interpolate(*z, 0.3, prior=prior), prior)
    assert not otl.check_prior(otl.interpolate(*z, 0.3), prior)


def test_a_law_for_each_coordinate_is_tested_with_it():
    laws = [otl.Gaussian(0, 1), otl.Uniform(-1, 1), otl.ScipyPrior(stats.gamma(2))]
    z = np.stack([law.sample(500, rng=i) for i, law in enumerate(laws)], axis=1)
    assert otl.check_prior(z, laws)
    assert not otl.check_prior(z[:, ::-1], laws)
    with pytest.raises(ValueError, match="3 coordinates"):
        otl.check_prior(z[:, :2], laws)


@pytest.mark.parametrize("prior", [*PRIORS[:4], *RADIAL[:2]], ids=repr)
def test_midpoints_are_told_from_matched_ones(prior):
    """A hundred midpoints in ten dimensions are enough, every time."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        z1, z2 = prior.sample((2, 100, 10), rng)
        raw = otl.check_prior(otl.interpolate(z1, z2, 0.5), prior)
        assert not raw
        assert "too close to the centre" in str(raw)
        assert "Pass prior=" in str(raw)
    matched = [
        otl.check_prior(otl.interpolate(*prior.sample((2, 100, 10), rng), 0.5, prior=prior), prior) for _ in range(200)
    ]
    assert sum(not m for m in matched) <= 9  # 2 expected; more than 9 has a chance of 5e-5
    assert "No sign" in str(next(m for m in matched if m))


def test_other_departures_are_described():
    prior, rng = otl.Gaussian(0, 1), np.random.default_rng(0)
    far = otl.check_prior(1.5 * prior.sample((200, 10), rng), prior)
    assert "too far out" in str(far)
    signs = rng.choice([-1.0, 1.0], (200, 50))  # right norms on average, wrong law
    assert "another law" in str(otl.check_prior(signs, prior))


@pytest.mark.parametrize("correlation", [0.3, 0.9])
def test_dependent_coordinates_are_called_that(correlation):
    """True samples of a correlated Gaussian prior: no operation made them, so that none needs prior=."""
    covariance = correlation + (1 - correlation) * np.eye(20)
    z = np.random.default_rng(0).multivariate_normal(np.zeros(20), covariance, 2000)
    check = otl.check_prior(z, otl.Gaussian())
    assert "depend on each other" in str(check) and "MultivariateGaussian" in str(check) and "prior=" not in str(check)
    assert otl.check_prior(z @ np.linalg.inv(np.linalg.cholesky(covariance)).T, otl.Gaussian())


@pytest.mark.filterwarnings("ignore:points 1 and 2")
def test_matched_points_with_dependent_ends_get_advice_that_applies():
    z = otl.Gaussian().sample((1000, 20), 0)
    check = otl.check_prior(otl.interpolate(z, z, 0.5, prior=otl.Gaussian()), otl.Gaussian())
    assert check.radius == pytest.approx(2, rel=0.05) and "independent of each other" in str(check)


def test_its_own_draws_are_independent_of_points_with_the_same_seed():
    """600 samples with seed i, tested with seed i: p-values stay uniform."""
    for prior, like in ((otl.Sphere(10), None), (otl.Uniform(-1, 1), np.zeros(1, np.float16))):
        found = [otl.check_prior(prior.sample((20, 10), i, like), prior, rng=i).coordinates for i in range(600)]
        assert stats.kstest(found, "uniform").pvalue > 1e-3


def test_dependence_between_coordinates_is_found():
    """Each coordinate follows the prior, but all of a point are equal."""
    prior = otl.Gaussian(0, 1)
    z = np.repeat(prior.sample((500, 1), 0), 20, axis=1)
    assert otl.check_prior(z, prior).norms < 1e-6


def test_points_outside_the_support_are_found():
    prior = otl.Uniform(-1, 1)
    z = prior.sample((50, 10), 0)
    z[:, 0] += 2
    check = otl.check_prior(z, prior)
    assert not check
    assert np.isfinite(check.radius)
    # one in ten, shifted by 2 from [-1, 1], and none of those by chance inside
    assert "10 % of these coordinates lie where the prior has none" in str(check)
    ball = otl.check_prior(1.5 * otl.Ball(3).sample((200, 3), 0), otl.Ball(3))  # outside: 1 - 1.5^-3 = 70 %
    assert "% of these points lie where the prior has none" in str(ball) and "times" not in str(ball)


@pytest.mark.parametrize("prior", [otl.Gaussian(0, 1), otl.Uniform(-1, 1), otl.Uniform(2.3758, 2.5099)], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_precision_is_not_mistaken_for_a_departure(dtype, prior):
    z = prior.sample((400, 4, 16, 16), 0, like=torch.zeros((), dtype=dtype))
    assert otl.check_prior(z, prior)
    assert not otl.check_prior((z[:200] + z[200:]) / 2, prior)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_directions_as_narrow_as_roundings_are_not_mistaken_for_a_departure(dtype):
    narrow = max(4 * torch.finfo(dtype).eps, 3e-6)  # as narrow as a covariance may be
    prior = otl.MultivariateGaussian([2.0, 0.0, -1.0], np.ones((3, 3)) + narrow**2 * np.eye(3))
    found = [
        otl.check_prior(prior.sample((400, 3), i, like=torch.zeros((), dtype=dtype)), prior, rng=i) for i in range(200)
    ]
    assert stats.kstest([check.coordinates for check in found], "uniform").pvalue > 1e-3
    assert sum(not check for check in found) <= 9  # 2 expected; more than 9 has a chance of 5e-5


@pytest.mark.parametrize(
    ("z", "level", "message"),
    [
        (np.zeros(3), 0.01, "first axis"),
        (np.zeros((0, 3)), 0.01, "first axis"),
        (np.full((3, 3), np.nan), 0.01, "NaN"),
        (np.zeros((3, 3)), 1.5, "level"),
    ],
)
def test_bad_input_is_named(z, level, message):
    with pytest.raises(ValueError, match=message):
        otl.check_prior(z, otl.Gaussian(0, 1), level)
