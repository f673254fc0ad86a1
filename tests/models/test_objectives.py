"""The equations of Bousquet 2017 on samples, against closed forms and enumerations."""

import math
from itertools import product

import pytest
import torch
from torch.distributions import Laplace, Normal, kl_divergence

from ot_latent.models import networks, objectives


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def batch(data=3, code=2, n=7, dtype=torch.float64):
    """Data, decoded, codes, noise and a critic."""
    x, y = torch.randn(2, n, data, dtype=dtype)
    z, noise = torch.randn(2, n, code, dtype=dtype)
    return x, y, z, noise, networks.code_critic(code).to(dtype)


def test_likelihood_is_that_of_the_gaussian_decoder():
    data, decoded, *_ = batch()
    expected = -Normal(decoded, 0.3**0.5).log_prob(data).sum(1).mean()
    torch.testing.assert_close(objectives.negative_log_likelihood(data, decoded, 0.3), expected)


@pytest.mark.parametrize("law", [Normal(1.0, 2.0), Laplace(-1.0, 0.5)])
def test_the_best_critic_reaches_two_js_minus_log_four(law):
    """E_p log T + E_q log(1 - T) at T = p / (p + q), by quadrature weights as sample sizes."""
    grid = torch.linspace(-30, 30, 200_001, dtype=torch.float64)
    p, q = (d.log_prob(grid).exp() for d in (law, Normal(0.0, 1.0)))
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    js = (torch.xlogy(p, p / middle) + torch.xlogy(q, q / middle)).nansum() / 2
    logits = (p.clamp_min(1e-300) / q.clamp_min(1e-300)).log()
    value = objectives.gan_value(
        logits[torch.multinomial(p, 400_000, replacement=True)], logits[torch.multinomial(q, 400_000, replacement=True)]
    )
    assert value.item() == pytest.approx(2 * js.item() - math.log(4), abs=0.01)
    assert -math.log(4) < value < 0


def test_equal_samples_admit_no_critic_above_minus_log_four():
    points = torch.randn(50, 2)
    critic = networks.code_critic(2)
    assert objectives.gan_value(critic(points), critic(points)) <= -math.log(4) + 1e-6


def test_a_trained_critic_finds_the_ratio_of_densities():
    critic = networks.perceptron(1, 1)
    optimizer = torch.optim.Adam(critic.parameters(), 1e-2)
    for _ in range(400):
        loss = -objectives.gan_value(critic(torch.randn(512, 1) + 1), critic(torch.randn(512, 1)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    grid = torch.linspace(-1, 2, 7)[:, None]
    torch.testing.assert_close(critic(grid).detach(), grid - 0.5, atol=0.4, rtol=0)  # log p/q


def test_mmd_is_unbiased():
    """The mean over all samples of two points from finite laws is the exact discrepancy."""
    atoms = torch.tensor([[0.0, 0.0], [1.0, 0.5], [-2.0, 3.0]], dtype=torch.float64)
    p = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    q = torch.tensor([0.6, 0.1, 0.3], dtype=torch.float64)
    exact = (p - q) @ objectives.imq_kernel(atoms, atoms) @ (p - q)
    mean = sum(
        p[a] * p[b] * q[c] * q[d] * objectives.mmd(atoms[[a, b]], atoms[[c, d]])
        for a, b, c, d in product(range(3), repeat=4)
    )
    torch.testing.assert_close(mean, exact, rtol=1e-12, atol=1e-12)


def test_mmd_of_one_law_has_both_signs_and_of_two_laws_is_positive():
    values = [objectives.mmd(*torch.randn(2, 40, 3)).item() for _ in range(100)]
    assert 20 < sum(value > 0 for value in values) < 80
    assert all(objectives.mmd(torch.randn(40, 3) + 2, torch.randn(40, 3)) > 0 for _ in range(20))


def test_mmd_takes_different_numbers_and_ignores_the_order():
    first, second = torch.randn(9, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    value = objectives.mmd(first, second)
    torch.testing.assert_close(value, objectives.mmd(second, first))
    torch.testing.assert_close(value, objectives.mmd(first.flip(0), second))


def test_kernel_is_the_sum_over_scales():
    x, y = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
    constants = [0.4, 0.8, 2.0, 4.0, 8.0, 20.0, 40.0]  # 2 d s with d = 2
    expected = sum(constant / (constant + 25) for constant in constants)
    assert objectives.imq_kernel(x, y).item() == pytest.approx(expected)
    assert objectives.imq_kernel(x, x).item() == pytest.approx(7)


@pytest.mark.parametrize("shapes", [((1, 2), (5, 2)), ((5, 2), (1, 2))])
def test_mmd_refuses_what_it_cannot_estimate(shapes):
    with pytest.raises(ValueError, match="mmd takes two or more points"):
        objectives.mmd(*map(torch.zeros, shapes))


def slope(points):
    return points.reshape(len(points), -1).sum(1)


OF_TWO_SETS = [
    objectives.squared_error,
    objectives.gaussian_divergence,
    lambda x, y: objectives.negative_log_likelihood(x, y, 0.3),
    objectives.imq_kernel,
    objectives.mmd,
    lambda x, y: (torch.manual_seed(0), objectives.gradient_penalty(slope, x, y))[1],
    lambda x, y: objectives.pot(x, y, x, y, slope, 3.0)["loss"],
    lambda x, y: objectives.aae(x, y, x, y, slope, 0.3)["loss"],
    lambda x, y: objectives.avb(x, y, x, lambda a, b: slope(a * b), 0.3)["loss"],
]


@pytest.mark.parametrize("objective", OF_TWO_SETS)
@pytest.mark.parametrize("shape", [(3, 4, 5), (6, 10)])
def test_points_may_be_images(objective, shape):
    """As vectors of all their numbers."""
    first, second = torch.randn(2, 7, 60, dtype=torch.float64)
    expected = objective(first, second)
    found = objective(first.view(7, *shape), second.view(7, *shape))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_mmd_of_images_is_that_of_one_law():
    """Two halves of one law: zero, within four deviations of what pairs of such halves have."""
    halves = torch.rand(30, 2, 20, 3, 8, 8)
    values = torch.stack([objectives.mmd(*pair) for pair in halves])
    assert abs(values.mean()) < 4 * values.std() / 30**0.5
    assert abs(values).max() < 0.05


@pytest.mark.parametrize("objective", OF_TWO_SETS)
@pytest.mark.parametrize("shapes", [((5, 1, 4), (5, 3, 4)), ((5, 2), (5, 1)), ((5,), (5,)), ((5,), (5, 1))])
def test_points_of_two_shapes_are_refused(objective, shapes):
    """Where torch would repeat the smaller one."""
    with pytest.raises(ValueError, match="must hold p"):
        objective(*map(torch.rand, shapes))


@pytest.mark.parametrize("variance", [0, -1.0, math.nan, "1", True])
def test_what_is_no_variance_is_refused(variance):
    x = torch.rand(4, 2)
    with pytest.raises((TypeError, ValueError), match="variance must be"):
        objectives.negative_log_likelihood(x, x, variance)


def test_gradient_penalty_is_zero_at_slope_one_only():
    first, second = torch.randn(2, 6, 2, 3)
    direction = torch.nn.functional.normalize(torch.randn(6), dim=0).view(2, 3)
    for slope in (0.0, 1.0, 3.0):
        penalty = objectives.gradient_penalty(lambda w, k=slope: k * (w * direction).sum((1, 2)), first, second)
        assert penalty.item() == pytest.approx((slope - 1) ** 2, abs=1e-5)


def test_gradient_penalty_moves_the_critic_and_not_the_points():
    critic, points = networks.perceptron(2, 1), torch.randn(5, 2, requires_grad=True)
    objectives.gradient_penalty(critic, points, points + 1).backward()
    assert points.grad is None
    assert critic[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("variance", [0.01, 0.5, 30.0])
def test_pot_is_aae_at_twice_the_variance(variance):
    """Section 4.1: the difference does not depend on Q, G or T."""
    for n in (2, 7, 30):
        samples = batch(n=n)
        pot = objectives.pot(*samples, 2 * variance)["loss"]
        aae = objectives.aae(*samples, variance)["loss"]
        constant = 3 * variance * math.log(2 * math.pi * variance)
        torch.testing.assert_close(2 * variance * aae, pot + constant, rtol=1e-13, atol=1e-13)


def test_pot_takes_any_cost():
    *samples, critic = batch()
    terms = objectives.pot(*samples, critic, 3.0, cost=lambda x, y: (x - y).norm(dim=1).mean())
    expected = (samples[0] - samples[1]).norm(dim=1).mean() + 3 * terms["penalty"]
    torch.testing.assert_close(terms["loss"], expected)


def test_avb_at_the_best_critic_is_the_loss_of_the_vae():
    """With T = log q(z|x) - log p(z) for a Gaussian Q, the divergence is the closed form of (5)."""
    data, n = torch.randn(1, 4, dtype=torch.float64).expand(200_000, 4), 200_000
    mean, deviation = torch.tensor([0.5, -1.0]), torch.tensor([0.6, 1.5])
    posterior, prior = Normal(mean, deviation), Normal(torch.zeros(2), 1.0)
    codes = posterior.sample((n,)).double()
    terms = objectives.avb(
        data, torch.zeros_like(data), codes, lambda x, z: (posterior.log_prob(z) - prior.log_prob(z)).sum(1), 0.5
    )
    expected = kl_divergence(posterior, prior).sum()
    assert terms["kl"].item() == pytest.approx(expected.item(), rel=0.02)
    torch.testing.assert_close(terms["loss"], terms["kl"] + terms["nll"])
