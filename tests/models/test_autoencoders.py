"""Encoders, decoders and the losses of the papers."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ot_latent.models import autoencoders, classifiers, networks, objectives
from ot_latent.models.autoencoders import AAE, AVB, VAE, WAEGAN, WAEMMD, Autoencoder

ADVERSARIAL = [
    lambda: WAEGAN(3, 4),
    lambda: WAEGAN(3, 4, gaussian=True),
    lambda: AAE(3, 4),
    lambda: AVB(3, 4, noise_dim=5),
]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", [Autoencoder, VAE, WAEMMD, WAEGAN, AAE, AVB])
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


@pytest.mark.parametrize("kind", [Autoencoder, VAE, WAEMMD, WAEGAN, AAE, AVB])
@pytest.mark.parametrize(("channels", "side"), [(3, 32), (3, 64), (1, 128)])
def test_other_sides_and_colours(kind, channels, side):
    model = kind(latent_dim=3, width=4, channels=channels, side=side)
    images = torch.rand(2, channels, side, side)
    assert model.decode(model.draw(images)).shape == images.shape
    again = kind(**model.config)
    again.load_state_dict(model.state_dict())
    assert torch.isfinite(model.loss(images)["loss"])
    if hasattr(model, "critic"):
        assert torch.isfinite(model.critic_loss(images)["loss"])


def test_sides_that_no_number_of_halvings_leads_to_are_refused():
    for build in (Autoencoder, networks.encoder, networks.decoder, networks.residual_critic):
        with pytest.raises(ValueError, match="side must be one of 32, 64, 128, got 48"):
            build(4, side=48)


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
    for model in (Autoencoder(3, 4), VAE(3, 4), WAEMMD(3, 4), WAEMMD(3, 4, gaussian=True)):
        model.loss(torch.rand(4, 1, 64, 64))["loss"].backward()
        assert all(p.grad is not None for p in model.parameters())


def _touched(model):
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("build", ADVERSARIAL)
def test_each_loss_sends_gradients_to_its_own_part(build):
    images = torch.rand(4, 1, 64, 64)
    model = build()
    model.loss(images)["loss"].backward()
    assert _touched(model) == {"encoder", "decoder"}
    assert all(p.grad is not None for p in model.encoder.parameters())
    model = build()
    model.critic_loss(images)["loss"].backward()
    assert _touched(model) == {"critic"}
    assert all(p.grad is not None for p in model.critic.parameters())


@pytest.mark.parametrize("build", ADVERSARIAL)
def test_the_critic_learns_and_the_encoder_learns_to_confuse_it(build):
    """Steps of the critic lower its loss; steps of the encoder lower the term that it is paid by."""
    model, images = build(), torch.rand(16, 1, 64, 64)
    term = "kl" if isinstance(model, AVB) else "penalty"

    def falls(loss, part):
        optimizer = torch.optim.Adam(part.parameters(), 1e-3)
        values = []
        for _ in range(40):
            optimizer.zero_grad()
            values.append(loss())
            values[-1].backward()
            optimizer.step()
        return sum(values[-10:]) < sum(values[:10])

    assert falls(lambda: model.critic_loss(images)["loss"], model.critic)
    assert falls(lambda: model.loss(images)[term], model.encoder)


def test_encoders_draw_points_or_gaussians():
    images = torch.rand(2, 1, 64, 64)
    for model, random in ((WAEGAN(3, 4), False), (WAEGAN(3, 4, gaussian=True), True), (AVB(3, 4), True)):
        model.eval()
        assert torch.equal(model.draw(images), model.draw(images)) != random
        assert torch.equal(model.encode(images), model.encode(images))


def test_losses_of_models_are_the_equations():
    images = torch.rand(4, 1, 64, 64)
    pot, aae = WAEGAN(3, 4, weight=0.6).eval(), AAE(3, 4, variance=0.3).eval()
    aae.load_state_dict(pot.state_dict())
    losses = []
    for model in (pot, aae):
        torch.manual_seed(1)
        losses.append(model.loss(images)["loss"])
    constant = 0.6 * objectives.negative_log_likelihood(images, images, 0.3)
    torch.testing.assert_close(0.6 * losses[1], losses[0] + constant, rtol=1e-5, atol=1e-2)
    assert aae.weight == 0.6 and "weight" not in aae.config


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_and_variances_must_be_positive(value):
    for build, name in ((WAEGAN, "weight"), (VAE, "variance"), (AAE, "variance"), (AVB, "variance")):
        with pytest.raises(ValueError, match=f"{name} must be positive and finite"):
            build(**{name: value})


def test_classifier():
    model, images = classifiers.DigitClassifier(), torch.rand(3, 1, 64, 64)
    assert model(images).shape == (3, 10)
    assert model.features(images).shape == (3, 128)
    loss = model.eval().loss(images, torch.tensor([1, 2, 3]))["loss"]
    torch.testing.assert_close(loss, -model(images).log_softmax(1)[[0, 1, 2], [1, 2, 3]].mean())


def test_edges_add_the_absolute_error_of_differences_and_stay_in_the_config():
    model = Autoencoder(3, 4, edges=0.3)
    images = torch.rand(5, 1, 64, 64)
    terms = model.loss(images)
    missed = images - model.decode(model.encode(images))
    down, right = missed[:, :, 1:] - missed[:, :, :-1], missed[..., 1:] - missed[..., :-1]
    edges = (down.abs().sum() + right.abs().sum()) / 5
    torch.testing.assert_close(terms["loss"], (missed**2).sum() / 5 + 0.3 * edges)
    assert Autoencoder(**model.config).edges == 0.3 and "edges" not in Autoencoder(3, 4).config
