"""Encoders, decoders and the losses of the papers."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ot_latent import autoencoders, networks
from ot_latent.autoencoders import VAE, Autoencoder


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", [Autoencoder, VAE])
def test_shapes_ranges_and_config(kind):
    model = kind(latent_dim=3, width=4)
    images = torch.rand(5, 1, 64, 64)
    codes = model.encode(images)
    assert codes.shape == (5, 3)
    decoded = model.decode(codes)
    assert decoded.shape == images.shape
    assert 0 < decoded.min() < decoded.max() < 1
    again = kind(**model.config)
    again.load_state_dict(model.state_dict())


def test_squared_error_sums_over_pixels_and_averages_over_images():
    images, other = torch.rand(2, 4, 1, 8, 8)
    expected = sum(((images[i] - other[i]) ** 2).sum() for i in range(4)) / 4
    torch.testing.assert_close(autoencoders.squared_error(images, other), expected)


def test_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(2, 6, 3)
    reference = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(autoencoders.gaussian_divergence(mean, log_variance), reference)


def test_loss_of_the_vae_is_the_negative_evidence_bound():
    """-E log p(x|z) + KL, up to the constant of the Gaussian decoder N(G(z), sigma^2 I)."""
    model, images = VAE(3, 4, variance=0.3).eval(), torch.rand(4, 1, 64, 64)
    torch.manual_seed(1)
    terms = model.loss(images)
    mean, log_variance = model.posterior(images)
    torch.manual_seed(1)
    codes = mean + (log_variance / 2).exp() * torch.randn_like(mean)
    likelihood = Normal(model.decode(codes), 0.3**0.5).log_prob(images).flatten(1).sum(1)
    constant = -Normal(0.0, 0.3**0.5).log_prob(torch.zeros(())) * 64 * 64
    bound = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    expected = (-likelihood - constant + bound).mean()
    torch.testing.assert_close(terms["loss"], expected, rtol=1e-4, atol=1e-2)


def test_a_wider_decoder_weighs_the_divergence_more():
    images = torch.rand(2, 1, 64, 64)
    terms = VAE(3, 4, variance=2.0).loss(images)
    torch.testing.assert_close(terms["loss"], terms["error"] / 4 + terms["kl"])


def test_gradients_reach_every_weight():
    for model in (Autoencoder(3, 4), VAE(3, 4)):
        model.loss(torch.rand(4, 1, 64, 64))["loss"].backward()
        assert all(p.grad is not None for p in model.parameters())


def test_classifier():
    model, images = networks.DigitClassifier(), torch.rand(3, 1, 64, 64)
    assert model(images).shape == (3, 10)
    assert model.features(images).shape == (3, 128)
    loss = model.eval().loss(images, torch.tensor([1, 2, 3]))["loss"]
    torch.testing.assert_close(loss, -model(images).log_softmax(1)[[0, 1, 2], [1, 2, 3]].mean())
