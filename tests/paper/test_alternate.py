"""The loop of two players, on games with a known equilibrium."""

import pytest
import torch

from ot_latent.models import objectives
from ot_latent.paper.vegan.alternate import alternate


def leaf(value):
    return torch.tensor(value, requires_grad=True)


def test_each_player_moves_its_own_and_rates_fall_to_zero():
    x, y = leaf(1.0), leaf(0.0)
    xs, steps = [], []
    for step in alternate([x], [y], lambda: x + 3 * y, lambda: y - 5 * x, 4, (0.1, 0.2)):
        steps.append(step)
        xs.append(x.item())
    assert steps == [1, 2, 3, 4]
    # Adam moves by its rate while the gradient stays the same: 0.1 thrice (the third is the
    # first after half of the steps), then half of it
    assert xs == pytest.approx([0.9, 0.8, 0.7, 0.65], abs=1e-4)
    assert y.item() == pytest.approx(-0.7, abs=1e-4)


def test_critic_steps_are_counted():
    x, y, calls = leaf(0.0), leaf(0.0), []
    player = lambda: (calls.append("player"), x * 1)[1]  # noqa: E731
    critic = lambda: (calls.append("critic"), y * 1)[1]  # noqa: E731
    assert list(alternate([x], [y], player, critic, 2, (0.1, 0.1), critic_steps=3)) == [1, 2]
    assert calls == (["critic"] * 3 + ["player"]) * 2


def test_pot_moves_an_encoder_onto_the_prior():
    """x ~ N(0, 4), z = a x, decoder z -> c z: the optimum is a = 1/2, c = 2."""
    torch.manual_seed(0)
    a, c, quadratic, constant = leaf(1.0), leaf(1.0), leaf(0.0), leaf(0.0)

    def critic(codes):
        return (quadratic * codes.square() + constant).squeeze(1)

    def loss():
        data, noise = 2 * torch.randn(256, 1), torch.randn(256, 1)
        return objectives.pot(data, c * a * data, a * data, noise, critic, 2.0)["loss"]

    def critic_loss():
        codes = 2 * a.detach() * torch.randn(256, 1)
        return -objectives.gan_value(critic(codes), critic(torch.randn(256, 1)))

    for _ in alternate([a, c], [quadratic, constant], loss, critic_loss, 800, (2e-2, 5e-2)):
        pass
    assert a.item() == pytest.approx(0.5, abs=0.05)
    assert c.item() == pytest.approx(2, abs=0.2)


def test_divergence_names_the_player_and_the_step():
    x, y = leaf(1.0), leaf(1.0)

    def endless():
        return x / 0

    with pytest.raises(FloatingPointError, match="endless is inf at step 1 of 3"):
        list(alternate([x], [y], endless, lambda: y * 1, 3, (0.1, 0.1)))
