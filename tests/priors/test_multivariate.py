"""Gaussian priors with dependent coordinates: closed forms, certified laws, and the kinds of arrays."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy import linalg, stats

import ot_latent as otl
from ot_latent import MultivariateGaussian


def some_covariance(d, seed=0):
    root = np.random.default_rng(seed).standard_normal((d, d))
    return root @ root.T / d + 0.1 * np.eye(d)


MEAN, COVARIANCE = np.array([1.0, -2.0, 0.5, 30.0]), some_covariance(4)
PRIOR = MultivariateGaussian(MEAN, COVARIANCE)
Z = PRIOR.sample((3, 2_000, 4), rng=0)
WHITE = np.linalg.inv(np.linalg.cholesky(COVARIANCE))


def follows(points, mean=MEAN, white=WHITE):
    """p-values of whitened coordinates and of Mahalanobis distances, by another root than the library's."""
    g = (points - mean) @ white.T
    return stats.kstest(g.ravel(), "norm").pvalue, stats.kstest((g**2).sum(1), stats.chi2(g.shape[1]).cdf).pvalue


@pytest.mark.parametrize("d", [1, 2, 7, 40])
@pytest.mark.parametrize("weights", [[0.5, 0.5], [0.2, 0.8], [1, 1, -1], [0.3] * 5])
def test_sums_are_scaled_about_the_means(d, weights):
    mean, covariance = np.linspace(-3, 3, d), some_covariance(d, d)
    prior = MultivariateGaussian(mean, covariance)
    zs = prior.sample((len(weights), 1_000, d), rng=d)
    y, w = np.tensordot(weights, zs, 1), np.array(weights)
    matched = otl.combine(zs, weights, prior=prior)
    np.testing.assert_allclose(matched, mean + (y - w.sum() * mean) / np.linalg.norm(w), atol=1e-12)
    assert min(follows(matched, mean, np.linalg.inv(np.linalg.cholesky(covariance)))) > 1e-5


def test_draws_follow_the_law():
    draws = PRIOR.sample((50_000, 4), rng=3)
    assert min(follows(draws)) > 1e-3
    np.testing.assert_allclose(np.cov(draws.T), COVARIANCE, atol=0.03)


def test_every_operation_follows_the_prior_and_ends_stay():
    """20,000 distances, level 1e-4: an error of 0.025 in their law is found 99 % of the time; a raw mean is."""
    z = PRIOR.sample((3, 20_000, 4), rng=0)
    t = np.linspace(1, 0, 5)[:, None, None]
    path = otl.interpolate(z[0], z[1], t, prior=PRIOR)
    assert (path[0] == z[0]).all() and (path[-1] == z[1]).all()
    each = np.random.default_rng(0).random((20_000, 1))
    walk = otl.random_walk(z[0], 6, 0.5, prior=PRIOR, rng=1)
    found = [*path[1:-1], walk[-1], otl.interpolate(z[0], z[1], each, prior=PRIOR), otl.analogy(*z, prior=PRIOR)]
    for points in found:
        assert min(follows(points)) > 1e-4
    assert max(follows(otl.interpolate(z[0], z[1], 0.5))) < 1e-10


def test_noise_of_another_law_is_taken_back_by_the_optimal_map():
    other = MultivariateGaussian(1, some_covariance(4, 9))
    for noise_law in (other, otl.Gaussian(0, 2.0), otl.Gaussian(np.arange(4.0), np.arange(1, 5.0))):
        near = otl.vicinity(Z[0], 0.7, prior=PRIOR, rng=2, noise_law=noise_law)
        assert min(follows(near)) > 1e-4
    law = otl.sum_law([PRIOR, other], [1, 0.7])
    T = otl.monotone_map(law, PRIOR)
    total = COVARIANCE + 0.49 * other.covariance
    np.testing.assert_allclose(T.matrix @ total @ T.matrix, COVARIANCE, atol=1e-12)
    assert np.linalg.eigvalsh(T.matrix).min() > 0  # with symmetry: the gradient of a convex function
    np.testing.assert_allclose(T.matrix, T.matrix.T, atol=1e-12)
    # what it costs is the distance of Dowson and Landau (1982)
    away = MEAN - (MEAN + 0.7)
    least = away @ away + np.trace(
        total + COVARIANCE - 2 * linalg.sqrtm(linalg.sqrtm(total) @ COVARIANCE @ linalg.sqrtm(total)).real
    )
    change = np.eye(4) - T.matrix
    assert away @ away + np.trace(change @ total @ change) == pytest.approx(least, rel=1e-9)


def test_no_noise_cheats_the_least_change():
    """Whitening by any other root keeps the law too, and moves points further."""
    y = Z[:2].mean(0)
    matched = otl.interpolate(Z[0], Z[1], 0.5, prior=PRIOR)
    turned = (y - MEAN) @ WHITE.T @ stats.ortho_group.rvs(4, random_state=0) @ np.linalg.inv(WHITE).T * 2**0.5 + MEAN
    assert min(follows(turned)) > 1e-4
    assert ((matched - y) ** 2).sum(1).mean() < 0.5 * ((turned - y) ** 2).sum(1).mean()


def test_checks_know_the_law_at_their_level():
    passed = sum(otl.check_prior(PRIOR.sample((300, 4), rng=seed), PRIOR, level=0.05).ok for seed in range(300))
    assert stats.binomtest(passed, 300, 0.95, "less").pvalue > 1e-3
    found = otl.check_prior(otl.interpolate(Z[0], Z[1], 0.5), PRIOR)
    assert not found and "too close to the centre, at 0.49" in str(found)
    alone = MEAN + np.random.default_rng(0).standard_normal((2_000, 4)) * np.diag(COVARIANCE) ** 0.5
    assert not otl.check_prior(alone, PRIOR)  # marginals are right, dependence is not


def test_torch_gradients_and_half_precision():
    z = [torch.from_numpy(points) for points in Z[:2]]
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    matched = otl.interpolate(*z, t, prior=PRIOR)
    np.testing.assert_allclose(matched.detach(), otl.interpolate(Z[0], Z[1], 0.3, prior=PRIOR), atol=1e-12)
    assert torch.autograd.gradcheck(lambda t: otl.interpolate(z[0][:3], z[1][:3], t, prior=PRIOR), t)
    half = otl.interpolate(*(x.half() for x in z), 0.5, prior=PRIOR)
    assert half.dtype == torch.float16 and otl.check_prior(half, PRIOR).ok


def test_laws_of_scipy_and_torch_are_taken_as_they_are():
    expected = otl.interpolate(Z[0], Z[1], 0.5, prior=PRIOR)
    for prior in (
        stats.multivariate_normal(MEAN, COVARIANCE),
        torch.distributions.MultivariateNormal(torch.tensor(MEAN), torch.tensor(COVARIANCE)),
    ):
        np.testing.assert_allclose(otl.interpolate(Z[0], Z[1], 0.5, prior=prior), expected, atol=1e-9)
        assert otl.check_prior(Z[0], prior).ok


def test_copies_are_equal():
    for other in (pickle.loads(pickle.dumps(PRIOR)), copy.deepcopy(PRIOR), MultivariateGaussian(MEAN, COVARIANCE)):
        assert other == PRIOR and hash(other) == hash(PRIOR)
    assert PRIOR != MultivariateGaussian(0, COVARIANCE) and "d=4" in repr(PRIOR)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MultivariateGaussian(0, [1.0, 2.0]), ValueError, r"covariance must have shape \(d, d\), got \(2,\)"),
        (lambda: MultivariateGaussian(0, np.ones((2, 2))), ValueError, "positive definite"),
        (lambda: MultivariateGaussian(0, [[1, 2], [0, 5]]), ValueError, "symmetric"),
        (lambda: MultivariateGaussian(0, [[1, np.nan], [np.nan, 5]]), ValueError, "covariance must be finite"),
        (lambda: MultivariateGaussian([1, 2, 3], np.eye(2)), ValueError, r"mean must be .* shape \(2,\), got \(3,\)"),
        (lambda: PRIOR.sample((5, 3)), ValueError, "d = 4"),
        (
            lambda: otl.interpolate(Z[0], Z[1], np.full((1, 4), 0.5), prior=PRIOR),
            ValueError,
            "same for all coordinates",
        ),
        (lambda: otl.interpolate(Z[0, :, 1:], Z[1, :, 1:], 0.5, prior=PRIOR), ValueError, "must have 4 coordinates"),
        (lambda: otl.monotone_map(PRIOR, otl.Gaussian()), TypeError, "target must be a MultivariateGaussian of 4"),
        (lambda: otl.sum_law([PRIOR, otl.Uniform(-1, 1)], [1, 1]), TypeError, "laws must be Gaussian"),
        (
            lambda: otl.vicinity(Z[0, :4], np.full((4, 1), 0.5), prior=PRIOR, rng=0, noise_law=otl.Gaussian()),
            ValueError,
            "weights must be one number for each law",
        ),
        (lambda: otl.check_prior(Z[0, :, 1:], PRIOR), ValueError, "must have the 4 coordinates"),
    ],
)
def test_what_makes_no_law_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_points_that_depend_on_each_other_are_noticed():
    with pytest.warns(otl.DependentPointsWarning):
        otl.interpolate(Z[0], Z[0], 0.5, prior=PRIOR)
