"""D and the map z + grad D(z): formulas against finite differences, fits against closed forms."""

import numpy as np
import pytest
import torch

import ot_latent as otl
from ot_latent import brenier
from ot_latent.networks import Potential


@pytest.fixture
def potential():
    torch.manual_seed(0)
    return Potential(3, layers=3, width=16, slope=0.2)


def quick(**changes):
    settings = {"batch": 32, "iterations": 300, "learning_rate": 1e-3, "width": 64, "layers": 3}
    return otl.LatentTransport(**{**settings, **changes})


def test_the_network_has_the_layers_of_the_paper():
    linear = [m for m in Potential(10).modules() if isinstance(m, torch.nn.Linear)]
    assert [tuple(m.weight.shape) for m in linear] == [(512, 10), *[(512, 512)] * 4, (1, 512)]
    toy = [m for m in Potential(2, layers=4, slope=0.0).modules() if isinstance(m, torch.nn.Linear)]
    assert len(toy) == 4


def test_gradient_is_that_of_finite_differences(potential):
    potential.double()
    points = torch.randn(5, 3, dtype=torch.float64)
    step = 1e-6 * torch.eye(3, dtype=torch.float64)
    differences = torch.stack(
        [(potential(points + h) - potential(points - h)) / 2e-6 for h in step], 1
    )
    torch.testing.assert_close(brenier.gradient(potential, points), differences.detach())


def test_losses_are_those_of_the_equations(potential):
    points, matched, phi = torch.randn(7, 3), torch.randn(7, 3), torch.randn(7)
    fit = sum((potential(points)[i] - phi[i]) ** 2 for i in range(7)) / 7
    torch.testing.assert_close(brenier.regression_loss(potential, points, phi, matched, 0), fit)
    slope = brenier.gradient(potential, points)
    penalty = sum(
        (torch.linalg.norm(slope[i]) - torch.linalg.norm(matched[i] - points[i])) ** 2
        for i in range(7)
    )
    loss = brenier.regression_loss(potential, points, phi, matched, 0.1)
    torch.testing.assert_close(loss, fit + 0.1 * penalty / 7)
    loss.backward()
    assert all(p.grad.abs().sum() > 0 for p in list(potential.parameters())[:-1])


def test_the_map_is_applied_in_chunks_and_in_the_codes_coordinates(potential, monkeypatch):
    potential.shift.fill_(5.0)
    potential.scale.fill_(2.0)
    points = torch.randn(10, 3)
    expected = 5 + 2 * (points + brenier.gradient(potential, points))
    monkeypatch.setattr(brenier, "_ROWS", 3)
    torch.testing.assert_close(brenier.transport(potential, points), expected)


def test_the_regression_lowers_its_loss(potential):
    points, phi = torch.randn(64, 3), torch.randn(64)
    losses = brenier.fit_potential(potential, points, phi, iterations=200, learning_rate=1e-2)
    assert losses[-1] < losses[0] / 2


def test_a_shift_and_a_scale_of_the_codes_are_followed_exactly():
    codes = np.random.default_rng(0).standard_normal((500, 2)) ** 3
    noise = torch.randn(50, 2)
    plain = quick(iterations=20).fit(codes)
    moved = quick(iterations=20).fit(100 + 8 * codes)
    expected = 100 + 8 * plain.transform(noise)
    torch.testing.assert_close(moved.transform(noise), expected, rtol=1e-4, atol=1e-3)


def test_codes_of_a_gaussian_are_found():
    """The map from N(0, I) to N(m, s^2 I) is m + s z, for any m and s."""
    mean, deviation = np.array([3.0, -1.0]), 0.5
    codes = mean + deviation * np.random.default_rng(0).standard_normal((4_000, 2))
    drawn = quick().fit(codes).sample(2_000, rng=1).numpy()
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.1)
    np.testing.assert_allclose(drawn.std(0), deviation, atol=0.15)


def test_a_killed_run_ends_as_the_unbroken_one(tmp_path, monkeypatch):
    codes = np.random.default_rng(0).standard_normal((200, 2))
    monkeypatch.setattr(brenier, "_SAVE_EVERY", 5)
    unbroken = quick(iterations=17).fit(codes)
    state = tmp_path / "state.safetensors"

    solve, calls = brenier.solve_kantorovich, iter(range(12))
    monkeypatch.setattr(
        brenier, "solve_kantorovich", lambda *arrays: (next(calls), solve(*arrays))[1]
    )
    with pytest.raises((StopIteration, RuntimeError)):
        quick(iterations=17).fit(codes, resume=state)
    monkeypatch.setattr(brenier, "solve_kantorovich", solve)
    resumed = quick(iterations=17).fit(codes, resume=state)
    for one, other in zip(
        unbroken.potential_.parameters(), resumed.potential_.parameters(), strict=True
    ):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="state of a fit to other codes"):
        quick(iterations=17).fit(codes + 1, resume=state)


def test_bad_use_is_named():
    with pytest.raises(ValueError, match="method"):
        otl.LatentTransport("semi-discrete")
    with pytest.raises(ValueError, match="codes must be finite"):
        quick().fit(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="shape"):
        quick().fit(np.zeros(3))
    with pytest.raises(RuntimeError, match="call fit"):
        quick().transform(np.zeros((1, 2)))
    assert "batch=32" in repr(quick())
