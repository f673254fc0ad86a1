"""The exact dual against other solvers, its guarantees, and the input that it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linear_sum_assignment, linprog
from scipy.stats import norm

import ot_latent as otl
from ot_latent import kantorovich
from ot_latent.kantorovich import ConvergenceError


def half_squared(x, y):
    return ((x[:, None] - y[None]) ** 2).sum(-1) / 2


def clouds(m, n, d, seed=0, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((m, d)), rng.standard_normal((n, d)) ** 3
    return shift + scale * x, shift + scale * y


def check_optimal(x, y, solution, a=None, b=None, tolerance=1e-9):
    """Primal and dual values agree, nothing is violated and matched pairs have no slack."""
    a = np.full(len(x), 1 / len(x)) if a is None else a / a.sum()
    b = np.full(len(y), 1 / len(y)) if b is None else b / b.sum()
    center = y.mean(0)
    cost = half_squared(x - center, y - center)
    slack = cost - (solution.psi[None] - solution.phi[:, None])
    unit = max(cost.max(), np.finfo(float).tiny)
    assert slack.min() >= -tolerance * unit
    assert slack[np.arange(len(x)), solution.matching].max() <= tolerance * unit
    assert abs(solution.phi.mean()) <= 1e-12 * unit
    assert solution.psi @ b - solution.phi @ a == pytest.approx(solution.cost, abs=tolerance * unit)


@pytest.mark.parametrize(("m", "n"), [(20, 20), (15, 40), (40, 15), (1, 7), (7, 1)])
def test_value_is_that_of_highs(m, n):
    x, y = clouds(m, n, 3, seed=m + n)
    rng = np.random.default_rng(1)
    a, b = rng.random(m) + 0.1, rng.random(n) + 0.1
    a, b = a / a.sum(), b / b.sum()
    rows = sparse.kron(sparse.eye(m), np.ones(n))
    columns = sparse.kron(np.ones(m), sparse.eye(n))
    reference = linprog(
        half_squared(x, y).ravel(), A_eq=sparse.vstack([rows, columns]), b_eq=np.r_[a, b]
    )
    solution = otl.solve_kantorovich(x, y, a, b)
    assert solution.cost == pytest.approx(reference.fun, rel=1e-9)
    assert solution.w2 == pytest.approx(np.sqrt(2 * reference.fun), rel=1e-9)
    check_optimal(x, y, solution, a, b)


@pytest.mark.parametrize("m", [1, 2, 64, 256])
@pytest.mark.parametrize("d", [1, 10, 512])
def test_equal_masses_give_the_optimal_assignment(m, d):
    x, y = clouds(m, m, d, seed=d)
    solution = otl.solve_kantorovich(x, y)
    cost = half_squared(x, y)
    rows, columns = linear_sum_assignment(cost)
    assert solution.cost == pytest.approx(cost[rows, columns].mean(), rel=1e-9)
    assert sorted(solution.matching) == list(range(m))
    check_optimal(x, y, solution)


def test_in_one_dimension_the_matching_is_monotone():
    x, y = clouds(50, 50, 1)
    matching = otl.solve_kantorovich(x, y).matching
    order = x[:, 0].argsort()
    assert (np.diff(y[matching[order], 0]) >= 0).all()


def test_value_between_gaussian_quantiles_is_the_closed_form():
    levels = (np.arange(2_000) + 0.5) / 2_000
    x, y = norm.ppf(levels)[:, None], norm(1, 2).ppf(levels)[:, None]
    # W2^2(N(0, 1), N(1, 4)) = 1 + 1; the quantiles cut the tails, which costs less than 1 %
    assert otl.solve_kantorovich(x, y).w2 == pytest.approx(np.sqrt(2), rel=0.01)


@given(
    m=st.integers(1, 12),
    n=st.integers(1, 12),
    d=st.integers(1, 4),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    shift=st.sampled_from([0.0, 1e6]),
    copies=st.booleans(),
)
def test_solutions_are_optimal_for_any_cloud(m, n, d, seed, scale, shift, copies):
    # an offset that leaves the points fewer than six digits would make them other points
    shift = shift * scale
    x, y = clouds(m, n, d, seed, shift, scale)
    if copies:
        x, y = np.repeat(x, 3, axis=0), np.repeat(y, 2, axis=0)
    check_optimal(x, y, otl.solve_kantorovich(x, y))


def test_identical_points_cost_nothing():
    x = np.ones((5, 2))
    solution = otl.solve_kantorovich(x, x)
    assert solution.cost == 0
    np.testing.assert_array_equal(solution.phi, 0)


def test_the_solution_is_deterministic_and_masses_are_scaled():
    x, y = clouds(30, 20, 2)
    first = otl.solve_kantorovich(x, y)
    second = otl.solve_kantorovich(x, y, np.full(30, 2.0), np.full(20, 3.0))
    np.testing.assert_array_equal(first.matching, second.matching)
    assert first.cost == pytest.approx(second.cost, rel=1e-12)
    assert "30 -> 20 points" in repr(first)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [[1.0]]), "x must have shape"),
        (([[1.0]], [[1.0, 2.0]]), "same dimension"),
        (([[np.nan]], [[1.0]]), "x holds NaN"),
        (([[0.0]], [[np.inf]]), "y holds NaN or infinite"),
        ((np.zeros((0, 2)), [[1.0, 2.0]]), "x must have shape"),
        (([[0.0]], [[1.0]], [0.5, 0.5]), r"a must have shape \(1,\)"),
        (([[0.0]], [[1.0]], None, [-1.0]), "b must hold positive"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        otl.solve_kantorovich(*arguments)


def test_a_solver_that_stops_early_is_an_error(monkeypatch):
    monkeypatch.setattr(kantorovich, "_PIVOTS", 3)
    with pytest.warns(UserWarning), pytest.raises(ConvergenceError, match="duality gap"):
        otl.solve_kantorovich(*clouds(100, 100, 2))
