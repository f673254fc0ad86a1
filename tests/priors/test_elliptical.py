"""Elliptical priors: closed forms where sums have one, certified laws where they do not, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy import stats

import ot_latent as otl
from ot_latent.priors import as_prior

MEAN = np.array([1.0, -2.0, 30.0])
SCATTER = np.array([[2.0, 0.9, 0.3], [0.9, 1.0, -0.2], [0.3, -0.2, 0.5]])
WEIGHTS = np.array([0.2, 0.5, -0.4])


def student(df):
    return stats.multivariate_t(MEAN, SCATTER, df=df)


def drawn(df, *shape, seed=0):
    """Draws of scipy, (*shape, 3), which know nothing of this library."""
    return student(df).rvs((*shape, 1), random_state=seed).reshape(*shape, 3)


def follows(points, df):
    """p-values of Mahalanobis distances, by Fisher's law, and of directions, by another root than the library's."""
    white = (points - MEAN) @ np.linalg.inv(np.linalg.cholesky(SCATTER)).T
    square = (white**2).sum(1)
    cosines = white[:, 0] / np.sqrt(square)  # of a uniform direction in space: uniform (Archimedes)
    return (stats.kstest(square / 3, stats.f(3, df).cdf).pvalue, stats.kstest((1 + cosines) / 2, "uniform").pvalue)


def test_the_normal_law_is_one_of_them():
    """With the norm of normal points the map is that of `MultivariateGaussian`: a scaling about the means."""
    prior = otl.Elliptical(otl.Radial(3, stats.chi(3)), MEAN, SCATTER)
    normal = otl.MultivariateGaussian(MEAN, SCATTER)
    zs = normal.sample((3, 4_000, 3), rng=0)
    matched, expected = (otl.combine(zs, WEIGHTS, prior=law) for law in (prior, normal))
    np.testing.assert_allclose(matched, expected, rtol=1e-9)
    assert as_prior(stats.multivariate_t(MEAN, SCATTER, df=np.inf)) == otl.MultivariateGaussian(MEAN, SCATTER)


@pytest.mark.parametrize("stable", [True, False])
def test_cauchys_law_is_stable(stable):
    """Weighted sums have the sum of the sizes of the weights as their scale, which quadrature finds in heavy tails."""
    zs, prior = drawn(1, 3, 4_000), as_prior(student(1))
    if not stable:
        prior = otl.Elliptical(otl.Radial(3, prior.radial.norm), MEAN, SCATTER)
    matched = otl.combine(zs, WEIGHTS, prior=prior)
    y, total = np.tensordot(WEIGHTS, zs, 1), np.abs(WEIGHTS).sum()
    expected = MEAN + (y - WEIGHTS.sum() * MEAN) / total
    far = np.linalg.norm(expected - MEAN, axis=1, keepdims=True)
    assert (np.abs(matched - expected) / (1 + far)).max() < (1e-12 if stable else 3e-5)


def test_operations_follow_the_prior():
    """20,000 points at level 1e-4: distances to the law of 0.025 are found 99 % of the time, as a raw mean is."""
    df, z = 2.5, drawn(2.5, 3, 20_000)
    prior = student(df)
    path = otl.interpolate(z[0], z[1], np.array([1, 0.7, 0])[:, None, None], prior=prior)
    np.testing.assert_allclose(path[[0, -1]], z[:2], rtol=1e-6)
    found = [path[1], otl.combine(z, WEIGHTS, prior=prior), as_prior(prior).sample((20_000, 3), rng=2)]
    found += [otl.vicinity(z[0], 0.7, prior=prior, rng=1)]
    for points in found:
        assert min(follows(points, df)) > 1e-4
    assert follows(otl.interpolate(z[0], z[1], 0.5), df)[0] < 1e-10
    assert (otl.interpolate(z[0], z[1], 1.0, prior=prior) == z[0]).all()


def test_other_radial_laws_and_the_norm_of_students():
    """A ball's image is an ellipsoid that no mean leaves; the norm has the moments of Fisher's law."""
    prior = otl.Elliptical(otl.Ball(3), MEAN, SCATTER)
    z = prior.sample((2, 5_000, 3), rng=0)
    white = np.linalg.inv(np.linalg.cholesky(SCATTER))
    volume = (((otl.interpolate(*z, 0.5, prior=prior) - MEAN) @ white.T) ** 2).sum(1) ** 1.5
    assert stats.kstest(volume, "uniform").pvalue > 1e-3
    norm = as_prior(student(5)).radial.norm
    assert norm.mean == pytest.approx(stats.f(3, 5).expect(lambda x: (3 * x) ** 0.5), rel=1e-6)
    assert norm.var + norm.mean**2 == pytest.approx(3 * stats.f(3, 5).mean(), rel=1e-9)
    assert np.isinf([as_prior(student(2)).radial.norm.var, as_prior(student(1)).radial.norm.mean]).all()


def test_of_maps_that_keep_the_law_it_changes_least_in_its_own_coordinates():
    """Turning points in these coordinates keeps the law, too, and changes them more."""
    z = drawn(4, 2, 4_000)
    white = np.linalg.inv(as_prior(student(4)).root)
    y = z.mean(0)
    matched = otl.interpolate(*z, 0.5, prior=student(4))
    turned = MEAN + (matched - MEAN) @ white @ stats.ortho_group.rvs(3, random_state=0) @ np.linalg.inv(white)
    assert min(follows(turned, 4)) > 1e-4
    change, other = ((((points - y) @ white) ** 2).sum(1).mean() for points in (matched, turned))
    assert change < 0.5 * other


def test_checks_know_the_law_at_their_level():
    passed = sum(otl.check_prior(drawn(3, 300, seed=seed), student(3), level=0.05).ok for seed in range(300))
    assert stats.binomtest(passed, 300, 0.95, "less").pvalue > 1e-3
    z = drawn(3, 2, 2_000)
    assert not otl.check_prior(otl.interpolate(*z, 0.5), student(3))
    alone = as_prior(stats.multivariate_t(MEAN, np.diag(np.diag(SCATTER)), df=3)).sample((2_000, 3), rng=0)
    assert not otl.check_prior(alone, student(3))  # marginals are right, dependence is not


def test_kinds_of_arrays_and_copies():
    prior = as_prior(student(4))
    z = drawn(4, 2, 500)
    expected = otl.interpolate(*z, 0.3, prior=prior)
    tensors = [torch.from_numpy(points).requires_grad_() for points in z]
    matched = otl.interpolate(*tensors, 0.3, prior=prior)
    np.testing.assert_allclose(matched.detach(), expected, rtol=1e-6)
    matched.sum().backward()
    assert torch.isfinite(tensors[0].grad).all() and (tensors[0].grad != 0).any()
    assert otl.interpolate(*(x.detach().half() for x in tensors), 0.3, prior=prior).dtype == torch.float16
    assert prior.sample((5, 3), rng=0, like=torch.zeros((), dtype=torch.float16)).dtype == torch.float16
    for other in (pickle.loads(pickle.dumps(prior)), copy.deepcopy(prior), as_prior(student(4))):
        assert other == prior and hash(other) == hash(prior)
    assert prior != as_prior(student(5)) and prior != otl.Elliptical(prior.radial, 0, SCATTER)
    each = np.random.default_rng(0).choice([0.2, 0.5], (500, 1))
    batched = otl.interpolate(*z, each, prior=prior)
    for t in (0.2, 0.5):
        some = each[:, 0] == t
        np.testing.assert_allclose(batched[some], otl.interpolate(*z[:, some], t, prior=prior), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: otl.Elliptical(otl.Gaussian(), 0, np.eye(2)), TypeError, "radial must be a Radial prior"),
        (lambda: otl.Elliptical(otl.Ball(2), 0, np.eye(3)), ValueError, r"scatter must have shape \(2, 2\)"),
        (lambda: otl.Elliptical(otl.Ball(2), 0, np.ones((2, 2))), ValueError, "scatter must be positive definite"),
        (lambda: otl.Elliptical(otl.Ball(2), [0, 0, 0], np.eye(2)), ValueError, "mean must be a number or have shape"),
        (lambda: as_prior(student(3)).combine(np.ones((2, 5, 3))), ValueError, "must be the same for all coordinates"),
        (lambda: otl.monotone_map(as_prior(student(3)), otl.Ball(3)), TypeError, "Elliptical prior of the same"),
        (lambda: as_prior(student(3)).map_to(as_prior(student(4)))(np.ones((4, 2))), ValueError, "3 coordinates"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
