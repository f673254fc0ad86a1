"""Points and noise of one seed are independent, and points that are not are named."""

import warnings

import numpy as np
import pytest
import scipy.stats
import torch

import ot_latent as otl
from ot_latent import independence
from ot_latent.independence import DependentPointsWarning, OffPriorWarning

UNIT = otl.Uniform(-1, 1)


@pytest.mark.parametrize("like", [None, torch.zeros(()), torch.zeros((), dtype=torch.float16)], ids=str)
def test_one_seed_gives_points_and_noise_that_are_independent(like):
    """Of N = 10,000 numbers: a correlation of 0.05 is five standard errors; with one stream it was 1."""
    laplace = otl.ScipyPrior(scipy.stats.laplace())
    for prior in (otl.Gaussian(), UNIT, laplace, otl.Sphere(10), otl.Product([laplace, UNIT] * 5)):
        z = prior.sample((1000, 10), rng=0, like=like)
        near = otl.vicinity(z, 0.5, noise_law=prior, rng=0)
        walk = otl.random_walk(z, 1, 0.5, noise=None, prior=prior, rng=0)[1]
        again = otl.vicinity(z, 0.5, prior=prior, rng=0)
        z, near, walk, again = (np.asarray(x, dtype=float).ravel() for x in (z, near, walk, again))
        assert abs(np.corrcoef(z, near - z)[0, 1]) < 0.05
        for y in (walk, again):
            assert np.std(y) == pytest.approx(np.std(z), rel=0.05)
            assert np.corrcoef(z, y)[0, 1] == pytest.approx(1 / 1.25**0.5, abs=0.03)
        assert 0.75 < np.corrcoef(walk, again)[0, 1] < 0.85  # 0.8: they share z and no noise
    drawn = otl.Gaussian().sample((1000, 10), rng=0)
    assert np.array_equal(drawn, np.random.default_rng(0).standard_normal((1000, 10)))


PAIR = UNIT.sample((2, 40, 10), rng=1)
DEPENDENT = {
    "the same": lambda z, u: otl.interpolate(z, z, 0.5, prior=UNIT),
    "one vector": lambda z, u: otl.interpolate(z[0], z[0], 0.5, prior=UNIT),
    "opposite": lambda z, u: otl.interpolate(z, -z, 0.3, prior=UNIT),
    "torch": lambda z, u: otl.interpolate(torch.tensor(z), torch.tensor(z), 0.5, prior=UNIT),
    "half": lambda z, u: otl.interpolate(torch.tensor(z).half(), torch.tensor(z).half(), 0.5, prior=UNIT),
    "gradients": lambda z, u: otl.interpolate(*[torch.tensor(z, requires_grad=True)] * 2, 0.5, prior=UNIT),
    "analogy": lambda z, u: otl.analogy(z, u, z, prior=UNIT),
    "noise of a walk": lambda z, u: otl.random_walk(z, 2, 1.0, noise=np.array([u, u]), prior=UNIT),
    "codes of a law": lambda z, u: otl.combine([z, z], [1, 1], prior=UNIT, laws=[UNIT, UNIT]),
}
INDEPENDENT = {
    "points": lambda z, u: otl.interpolate(z, u, 0.5, prior=UNIT),
    "raw": lambda z, u: otl.interpolate(z, z, 0.5),
    "a shuffled batch": lambda z, u: otl.interpolate(z, z[::-1], 0.5, prior=UNIT),
    "ends repeated": lambda z, u: otl.interpolate(z[:1].repeat(40, 0), u[:1].repeat(40, 0), 0.5, prior=UNIT),
    "neighbours": lambda z, u: otl.vicinity(z[0], 0.5, noise=u, prior=UNIT),
    "a walk": lambda z, u: otl.random_walk(z, 3, 0.5, prior=UNIT, rng=0),
}


@pytest.mark.parametrize("call", DEPENDENT.values(), ids=DEPENDENT)
def test_points_that_depend_on_each_other_are_named(call):
    with pytest.warns(DependentPointsWarning, match=r"points \d and \d .* depend on each other"):
        call(*PAIR)


@pytest.mark.parametrize("call", INDEPENDENT.values(), ids=INDEPENDENT)
@pytest.mark.filterwarnings("error")
def test_independent_points_give_no_warning(call):
    call(*PAIR)


@pytest.mark.filterwarnings("error")
def test_false_alarms_are_rare():
    """4,000 pairs of every kind at a rate of 1 %, not 1e-9: fewer than 1 % even of rows that resemble each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(independence, "_FALSE_ALARMS", 0.01)
        counts = {}
        for name, law, repeats in (
            ("few", otl.Gaussian(), 1),
            ("heavy", otl.ScipyPrior(scipy.stats.cauchy()), 1),
            ("alike", UNIT, 30),
        ):
            pairs = law.sample((4000, 2, 3, 5), rng=2).repeat(repeats, axis=2)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                for pair in pairs:
                    independence.warn_of_dependence(list(pair), [law, law])
            counts[name] = len(caught)
    assert max(counts.values()) < 40, counts


def test_inverted_latents_whose_norms_are_off_are_named_with_the_remedy():
    """At 0.88 times the squared norm, in 16,384 numbers 16 standard errors off; passing their law mends it."""
    prior, size = otl.Gaussian(), 0.88**0.5
    z = size * prior.sample((2, 2, 4, 64, 64), rng=0)
    for points in (z, torch.tensor(z).bfloat16(), z.reshape(2, 2, -1)):
        with pytest.warns(OffPriorWarning, match=r"point 1 .* at 0\.8[5-9] .* Gaussian\(0, 0\.9"):
            otl.interpolate(*points, 0.5, prior=prior)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = otl.combine(z, [0.5, 0.5], prior=prior, laws=[otl.Gaussian(0, size)] * 2)
    assert otl.check_prior(y.reshape(4, -1)[:2], prior)


@pytest.mark.filterwarnings("error")
def test_norms_of_the_prior_give_no_warning():
    """At a rate of 1 % a call, not 1e-9: fewer than that in 2,000 calls; not of others' laws, nor of few numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(independence, "_FALSE_ALARMS", 0.01)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for pair in otl.Gaussian(1, 2).sample((2000, 2, 1, 300), rng=0):
                independence.warn_of_norms(list(pair), [otl.Gaussian(1, 2)] * 2)
    assert len(caught) < 20
    correlated = otl.MultivariateGaussian(np.zeros(300), 0.99 + 0.01 * np.eye(300))
    for prior in (correlated, otl.Sphere(300)):
        otl.interpolate(*prior.sample((2, 1, 300), rng=0), 0.5, prior=prior)
    otl.interpolate(np.full((1, 255), 5.0), otl.Gaussian().sample((1, 255), rng=0), 0.5, prior=otl.Gaussian())
