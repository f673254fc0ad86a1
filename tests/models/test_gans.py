"""DCGAN and WGAN-GP: networks of every size, and losses against formulas and exact transport."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ot_latent import Gaussian, Uniform, solve_kantorovich
from ot_latent.brenier import perceptron
from ot_latent.models import checkpoints, objectives
from ot_latent.models.gans import DCGAN, WGANGP

SMALL = {"latent_dim": 3, "width": 4}
BUILDS = [lambda: DCGAN(**SMALL), lambda: WGANGP(channels=1, **SMALL)]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", [DCGAN, WGANGP])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 64, 128])
def test_shapes_and_ranges(kind, channels, side):
    model = kind(side, channels, **SMALL)
    images = model.generate(model.prior.sample((5, 3), like=torch.zeros(())))
    assert images.shape == (5, channels, side, side)
    assert 0 <= images.min() < images.max() <= 1
    assert model.critic(images).shape == (5,)
    assert all(term.ndim == 0 for term in model.critic_loss(images).values())


def test_the_defaults_are_the_papers():
    dcgan, wgan = DCGAN(), WGANGP()
    assert (dcgan.latent_dim, dcgan.prior) == (100, Uniform(-1, 1))
    assert (wgan.latent_dim, wgan.prior) == (128, Gaussian(0, 1))
    layers = list(dcgan.critic.modules())
    first = next(i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d))
    assert isinstance(layers[first + 1], nn.LeakyReLU)
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.15)
    norms = [m for m in wgan.critic.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms == []
    # the convolutions of gan_cifar_resnet.py: 1 + 3 * 2 + 1 * 3 in G, 2 * 2 + 2 * 2 in D, shortcuts
    counts = [
        [m.kernel_size[0] for m in part.modules() if isinstance(m, nn.Conv2d)] for part in (wgan.generator, wgan.critic)
    ]
    assert [(c.count(3), c.count(1)) for c in counts] == [(7, 3), (8, 2)]


@pytest.mark.parametrize("build", BUILDS)
def test_what_is_saved_is_loaded(build, tmp_path):
    model = build()
    checkpoints.round_to_half(model)
    again = checkpoints.load(checkpoints.save(tmp_path / "gan.safetensors", model, {}))
    z = torch.randn(2, 3)
    assert again.config == model.config
    assert torch.equal(again.generate(z), model.eval().generate(z))


def _touched(model):
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("build", BUILDS)
def test_each_loss_sends_gradients_to_its_own_part(build):
    images = torch.rand(4, 1, 32, 32)
    for loss, part in (("loss", "generator"), ("critic_loss", "critic")):
        model = build()
        getattr(model, loss)(images)["loss"].backward()
        assert _touched(model) == {part}
        assert all(p.grad is not None for p in getattr(model, part).parameters())
        assert all(p.requires_grad for p in model.parameters())


def _logits(model, images):
    """Those of images and of as many fakes: the ones that a loss draws after `manual_seed(1)`."""
    torch.manual_seed(1)
    fakes = model.generate(model.prior.sample((len(images), 3), like=images))
    return model.critic(2 * images - 1), model.critic(2 * fakes - 1)


def test_losses_of_the_dcgan_are_cross_entropies():
    """Goodfellow et al. (2014), eq. (1), and the generator's loss of section 3."""
    model, images = DCGAN(**SMALL).eval(), torch.rand(6, 1, 32, 32)
    real, fake = _logits(model, images)
    torch.manual_seed(1)
    bce, one = functional.binary_cross_entropy_with_logits, torch.ones(6)
    expected = bce(real, one) + bce(fake, 1 - one)
    torch.testing.assert_close(model.critic_loss(images)["loss"], expected)
    torch.manual_seed(1)
    torch.testing.assert_close(model.loss(images)["loss"], bce(fake, one))


def test_the_non_saturating_loss_still_pulls_where_the_critic_is_certain():
    logits = torch.tensor([-50.0, -60.0], requires_grad=True)
    loss = objectives.non_saturating(logits)
    assert loss.item() == pytest.approx(55)
    (slope,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(slope, torch.tensor([-0.5, -0.5]))
    (slope,) = torch.autograd.grad(objectives.gan_value(torch.zeros(1), logits), logits)
    assert slope.abs().max() < 1e-20


def test_losses_of_the_wgan_are_eq_3():
    model, images = WGANGP(channels=1, penalty=3.0, **SMALL).eval(), torch.rand(6, 1, 32, 32)
    real, fake = _logits(model, images)
    torch.manual_seed(1)
    terms = model.critic_loss(images)
    torch.testing.assert_close(terms["w1"], real.mean() - fake.mean())
    torch.testing.assert_close(terms["loss"], 3 * terms["slopes"] - terms["w1"])
    torch.manual_seed(1)
    torch.testing.assert_close(model.loss(images)["loss"], -fake.mean())


@pytest.mark.parametrize("kind", [DCGAN, WGANGP])
def test_the_critic_of_the_wgan_looks_at_one_image_at_a_time(kind):
    critic, images = kind(channels=1, **SMALL).critic, torch.rand(6, 1, 32, 32)
    together, alone = critic(images)[:2], critic(images[:2])
    assert torch.allclose(together, alone, atol=1e-6) == (kind is WGANGP)


def _ascend(critic, critic_loss, steps, rate):
    """Mean of the term "w1" over the last fifth of so many steps of Adam."""
    optimizer, values = torch.optim.Adam(critic.parameters(), rate, betas=(0.0, 0.9)), []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        terms = critic_loss()
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        values.append(terms["w1"].item())
    return np.mean(values[-steps // 5 :])


def test_the_dual_finds_w1_of_exact_transport():
    """For a shifted cloud, the matching for squared distances is the one for distances too."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 2))
    y = rng.permutation(x) + [0.3, -0.4]
    exact = np.linalg.norm(x - y[solve_kantorovich(x, y).matching], axis=1).mean()
    assert exact == pytest.approx(0.5)
    critic, (first, second) = perceptron(2, 1), torch.tensor(np.stack([x, y])).float()

    def critic_loss():
        w1 = objectives.wasserstein_dual(critic(first), critic(second))
        fakes = second[torch.randperm(64)]
        return {"loss": 10 * objectives.gradient_penalty(critic, first, fakes) - w1, "w1": w1}

    assert _ascend(critic, critic_loss, 300, 3e-3) == pytest.approx(exact, rel=0.1)


def test_the_critic_of_the_wgan_finds_w1_between_two_images():
    """At distance W a slope s gains s W - penalty (s - 1)^2: best is s = 1 + W / (2 penalty)."""
    model, images = WGANGP(channels=1, penalty=10.0, **SMALL), torch.full((4, 1, 32, 32), 0.5)
    distance = 32 * 2 * (0.55 - 0.5)
    model._batch = lambda images: (2 * images - 1, torch.full_like(images, 2 * 0.55 - 1))
    found = _ascend(model.critic, lambda: model.critic_loss(images), 200, 5e-3)
    assert found == pytest.approx(distance + distance**2 / 20, rel=0.05)


def test_unknown_priors_and_penalties_are_refused():
    with pytest.raises(ValueError, match="prior must be one of uniform, gaussian, got 'normal'"):
        DCGAN(prior="normal")
    with pytest.raises(ValueError, match="penalty must be positive and finite, got 0"):
        WGANGP(penalty=0)
