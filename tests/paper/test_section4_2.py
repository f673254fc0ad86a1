"""W1 from both sides: the exact value, what is certified, and that training comes closer."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance

from ot_latent.kantorovich import solve_w1
from ot_latent.paper.vegan import section4_2


@pytest.fixture
def clouds():
    torch.manual_seed(0)
    return torch.randn(64, 2) + torch.tensor([3.0, 0.0]), torch.randn(48, 2)


@pytest.mark.parametrize(("m", "n"), [(30, 30), (20, 35)])
def test_exact_w1_is_that_of_quantiles_on_the_line(m, n):
    rng = np.random.default_rng(m)
    x, y = rng.standard_normal(m), rng.exponential(size=n)
    a, b = rng.random(m) + 0.1, rng.random(n) + 0.1
    expected = wasserstein_distance(x, y, a, b)
    found = solve_w1(x[:, None], y[:, None], a / a.sum(), b / b.sum())
    assert found == pytest.approx(expected, rel=1e-9)


def test_exact_w1_is_that_of_a_linear_program():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 3)), rng.standard_normal((9, 3))
    cost = np.linalg.norm(x[:, None] - y, axis=2)
    margins = np.vstack([np.kron(np.eye(7), np.ones(9)), np.kron(np.ones(7), np.eye(9))])
    found = linprog(cost.ravel(), A_eq=margins, b_eq=np.r_[np.full(7, 1 / 7), np.full(9, 1 / 9)])
    assert solve_w1(x, y) == pytest.approx(found.fun, rel=1e-9)


def test_exact_w1_refuses_what_it_cannot_solve():
    with pytest.raises(ValueError, match="same dimension"):
        solve_w1(np.zeros((3, 2)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="overflow"):
        solve_w1([[1e308]], [[-1e308]])


@pytest.mark.parametrize(("side", "weight", "sign"), [("primal", 4.0, 1), ("dual", 10.0, -1)])
def test_certified_bounds_hold_and_reports_come_close(clouds, side, weight, sign):
    exact = solve_w1(*clouds)
    found = getattr(section4_2, side)(*clouds, weight, 300, records=10)
    np.testing.assert_array_equal(found.steps, np.arange(30, 301, 30))
    assert (sign * (found.certified - exact) > -1e-5).all()
    assert abs(found.reported[-1] / exact - 1) < 0.2
    assert (np.diff(found.seconds) > 0).all()
