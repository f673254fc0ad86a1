"""The pieces of the experiments on Bousquet 2017 against closed forms and other solvers."""

import numpy as np
import ot
import pytest
import torch
from scipy import stats

from ot_latent.paper.vegan import figure1, proposition3, propositions4_5
from ot_latent.paper.vegan.equation12 import Relaxation
from ot_latent.paper.vegan.proposition2 import fit_slopes
from ot_latent.paper.vegan.theorem1 import random_problem


@pytest.fixture
def relaxed():
    rng = np.random.default_rng(0)
    p_x, p_z = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(4))
    return Relaxation(p_x, p_z, rng.exponential(size=(5, 4)))


@pytest.mark.parametrize("random_decoder", [False, True])
def test_random_problems_are_laws(random_decoder):
    p_x, p_z, cost, decoder = random_problem(np.random.default_rng(0), random_decoder)
    assert cost.shape == (len(p_x), decoder.shape[1]) and decoder.shape[0] == len(p_z)
    for law in (p_x, p_z, *decoder):
        assert law.sum() == pytest.approx(1) and law.min() >= 0
    assert np.isin(decoder, [0, 1]).all() != random_decoder


def test_relaxation_goes_from_the_free_encoder_to_transport(relaxed):
    free = relaxed.p_x @ relaxed.cost.min(1)
    transport = ot.emd2(relaxed.p_x, relaxed.p_z, relaxed.cost)
    assert relaxed.total_variation(0)[0] == pytest.approx(free)
    assert relaxed.total_variation(1e3) == pytest.approx((transport, 0), abs=1e-9)
    assert relaxed.constrained(1.0) == pytest.approx(free)
    assert relaxed.constrained(0.0) == pytest.approx(transport)


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0])
def test_the_divergence_is_between_its_certificates(relaxed, weight):
    lower, upper, mu = relaxed.kullback_leibler(weight)
    assert upper - lower == pytest.approx(0, abs=1e-7) and mu > 0
    transport = ot.emd2(relaxed.p_x, relaxed.p_z, relaxed.cost)
    assert relaxed.p_x @ relaxed.cost.min(1) < lower < transport


def test_slopes_are_those_of_proposition_2():
    torch.manual_seed(0)
    sigmas = np.array([0.3, 0.8])
    in_code = fit_slopes(sigmas, 4, noise_in_code=True, steps=300).mean(0)
    after = fit_slopes(sigmas, 4, noise_in_code=False, steps=300).mean(0)
    np.testing.assert_allclose(in_code, np.sqrt(1 - sigmas**2), atol=0.08)
    np.testing.assert_allclose(after, 1, atol=0.08)


def test_spoiled_witnesses_are_lipschitz_nearly_optimal_and_reversed():
    f, s = proposition3.spoiled(0.01, 0.5), 0.5
    t = np.linspace(-2, 2, 4001)
    assert abs(np.diff(f(t)) / np.diff(t)).max() <= 1 + 1e-9
    assert abs(proposition3.value(f, s, 0.5) - (1 - s)) <= 0.02
    true = proposition3.gradient(abs, s, 0.5)
    np.testing.assert_allclose(true, [0.5, -0.5], atol=1e-6)
    assert proposition3.cosine(proposition3.gradient(f, s, 0.5), true) == pytest.approx(-1, abs=1e-6)


def test_the_best_smooth_witness_is_that_of_the_linear_program():
    bend, s, p = 4.0, 0.02, 0.4
    a = (1 - p) * (1 - 2 * bend * s) - p
    best = proposition3.smooth(a, a + 2 * bend * s, s, bend)
    _, _, value = proposition3.best_slopes(s, p, bend, cells=400)
    assert proposition3.value_of_slopes(best, s, p) == pytest.approx(value, abs=2e-3)
    for shift in (-0.1, 0.1):
        other = proposition3.smooth(a + shift, a + shift + 2 * bend * s, s, bend)
        assert proposition3.value_of_slopes(other, s, p) < proposition3.value_of_slopes(best, s, p)


def test_primal_gradients_are_right_where_encoders_are_exact():
    assert proposition3.primal_cosine(0.0, 0.5, 0.4) == pytest.approx(1)
    assert proposition3.primal_cosine(1.0, 0.01, 0.4) < 0  # a swap is nearly free


def test_divergences_on_the_grid_are_those_of_gaussians():
    p, q = stats.norm.pdf(propositions4_5.Z, 0.5, 0.8), propositions4_5.PRIOR
    expected = -np.log(0.8) + (0.64 + 0.25) / 2 - 0.5
    assert propositions4_5.kl(p, q) == pytest.approx(expected, abs=1e-9)
    js = propositions4_5.js
    assert js(p, q) == pytest.approx(js(q, p)) and 0 < js(p, q) < np.log(2)


def test_objectives_bound_the_likelihood_and_the_posterior_reaches_it():
    encoders = np.stack([propositions4_5.encoder("normal", 0.5, 0.5), propositions4_5.encoder("mixture", 0.8, 0.3)])
    added, marginal = propositions4_5.penalties(encoders), propositions4_5.marginal(lambda z: z, 0.5)
    vae = propositions4_5.reconstruction(encoders, lambda z: z, 0.5) + added["VAE"]
    assert (vae > marginal).all() and (added["AAE"] <= added["AVB"]).all()
    # data from the mixture of N(-1.5, 1/4) and N(1.5, 1/4), model N(0, 1 + 1/4)
    law = stats.norm(0, 1.25**0.5)
    assert marginal == pytest.approx(-propositions4_5.P_X @ law.logpdf(propositions4_5.X), abs=1e-9)
    joint = propositions4_5.likelihood(lambda z: z, 0.5) * propositions4_5.PRIOR
    posterior = (joint / (joint.sum(1, keepdims=True) * propositions4_5.DZ))[None]
    best = propositions4_5.reconstruction(posterior, lambda z: z, 0.5) + propositions4_5.penalties(posterior)["VAE"]
    assert best == pytest.approx(marginal, abs=1e-9)


def test_overlap_tells_apart_and_mixed_codes():
    corners = 3 * figure1.CIRCLE

    def apart(rows):
        return corners[rows] + 0.01 * torch.randn(len(rows), 2)

    def mixed(rows):
        return torch.randn(len(rows), 2)

    torch.manual_seed(0)
    exact = figure1.examine(apart, lambda codes: codes / codes.norm(dim=1, keepdim=True))
    assert exact["overlap"] == 0 and exact["error"] < 1e-3 and exact["to_best"] < 1e-3
    blind = figure1.examine(mixed, lambda codes: torch.zeros(len(codes), 2))
    assert blind["overlap"] == pytest.approx(7 / 8, abs=0.01)
    assert blind["error"] == pytest.approx(1) and blind["to_best"] < 0.06  # E[X|Z] is the center


@pytest.mark.parametrize("train", [figure1.train_vae, figure1.train_aae])
def test_trained_models_reconstruct(train):
    torch.manual_seed(0)
    draw, decoder = train(0.05, 150)
    rows = torch.arange(8).repeat(20)
    with torch.no_grad():
        error = (decoder(draw(rows)) - figure1.CIRCLE[rows]).square().sum(1).mean()
    assert error < 0.5  # 1 without a code
