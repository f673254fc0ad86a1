"""The exact dual against other solvers, its guarantees, and the input that it refuses."""

import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linear_sum_assignment, linprog
from scipy.stats import norm

import ot_latent as otl
from ot_latent.kantorovich import ConvergenceError, solve_w1


def half_squared(x, y):
    return ((x[:, None] - y[None]) ** 2).sum(-1) / 2


def clouds(m, n, d, seed=0, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((m, d)), rng.standard_normal((n, d)) ** 3
    return shift + scale * x, shift + scale * y


def check_optimal(x, y, solution, a=None, b=None):
    """Nothing is violated, primal and dual values agree, and pairs have no slack: all against the cost."""
    a = np.full(len(x), 1 / len(x)) if a is None else a / a.sum()
    b = np.full(len(y), 1 / len(y)) if b is None else b / b.sum()
    cost = half_squared(x, y)
    slack = cost - (solution.psi[None] - solution.phi[:, None])
    slack /= np.maximum(cost, max(solution.cost, 1e-300))
    assert slack.min() >= -2e-9
    assert slack[np.arange(len(x)), solution.matching].max() <= 2e-9
    assert abs(solution.phi.mean()) <= 1e-12 * max(cost.max(), 1e-300)
    # with the masses as given: the solver's are rounded to 2^-52
    rounding = 1e-15 * np.ptp(solution.phi)
    assert solution.psi @ b - solution.phi @ a == pytest.approx(solution.cost, rel=2e-9, abs=rounding)
    assert solution.gap <= 1e-9


def by_highs(x, y, a, b):
    """The value of (12) by the paper's method, a simplex method for general linear programmes."""
    rows = sparse.kron(sparse.eye(len(x)), np.ones(len(y)))
    columns = sparse.kron(np.ones(len(x)), sparse.eye(len(y)))
    constraints = sparse.vstack([rows, columns])
    return linprog(half_squared(x, y).ravel(), A_eq=constraints, b_eq=np.r_[a, b]).fun


@pytest.mark.parametrize(("m", "n"), [(20, 20), (15, 40), (40, 15), (1, 7), (7, 1)])
def test_value_is_that_of_highs(m, n):
    x, y = clouds(m, n, 3, seed=m + n)
    rng = np.random.default_rng(1)
    a, b = rng.random(m) + 0.1, rng.random(n) + 0.1
    a, b = a / a.sum(), b / b.sum()
    reference = by_highs(x, y, a, b)
    solution = otl.solve_kantorovich(x, y, a, b)
    assert solution.cost == pytest.approx(reference, rel=1e-9)
    assert solution.w2 == pytest.approx(np.sqrt(2 * reference), rel=1e-9)
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
    levels = (np.arange(800) + 0.5) / 800
    x, y = norm.ppf(levels)[:, None], norm(1, 2).ppf(levels)[:, None]
    solution = otl.solve_kantorovich(x, y)
    np.testing.assert_array_equal(solution.matching, np.arange(800))
    assert solution.cost == pytest.approx(np.mean((1 + x) ** 2) / 2, rel=1e-9)
    # W2^2(N(0, 1), N(1, 4)) = 1 + 1; the quantiles cut the tails, which costs less than 1 %
    assert solution.w2 == pytest.approx(np.sqrt(2), rel=0.01)


@given(
    m=st.integers(1, 12),
    n=st.integers(1, 12),
    d=st.integers(1, 4),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    shift=st.sampled_from([0.0, 1e8]),
    copies=st.booleans(),
)
def test_solutions_are_optimal_for_any_cloud(m, n, d, seed, scale, shift, copies):
    x, y = clouds(m, n, d, seed, shift * scale, scale)
    if copies:
        x, y = np.repeat(x, 3, axis=0), np.repeat(y, 2, axis=0)
    check_optimal(x, y, otl.solve_kantorovich(x, y))


@pytest.mark.parametrize("kind", ["plain", "outlier", "copies", "huge", "tiny", "far apart"])
def test_large_problems_are_solved_from_any_start(kind):
    """Where Sinkhorn's iteration is at ease, and where single precision has no number for its kernel."""
    scale = {"huge": 1e140, "tiny": 1e-130}.get(kind, 1.0)
    x, y = clouds(180, 140, 3, scale=scale)
    if kind == "outlier":
        y[0] = 1e6
    if kind == "copies":
        x[1:], y[1:] = x[0], y[0]
    if kind == "far apart":
        x[:90], y[:70] = x[:90] + 1e5, y[:70] + 1e5
    solution = otl.solve_kantorovich(x, y)
    check_optimal(x, y, solution)
    if kind == "plain":
        assert solution.cost == pytest.approx(by_highs(x, y, np.full(180, 1 / 180), np.full(140, 1 / 140)), rel=1e-9)


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
        (([[0.0]], [[1.0]], None, [-1.0]), "b must hold finite masses, none negative"),
        (([[0.0]], [[1.0]], [0.0]), "a must hold finite masses, .* not all zero"),
        (([[0.0]], [[1.0]], [np.nan]), "a must hold finite masses"),
        (([[0.0]] * 2, [[1.0]], [1e308, 1e308]), "a must hold finite masses"),
        (([[0.0], [1.0]], [[2.0]], [1e-10, 1e-10], [5e-10]), "a and b must have equal sums"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        otl.solve_kantorovich(*arguments)


@pytest.mark.parametrize("solve", [otl.solve_kantorovich, solve_w1])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ma.masked_less([[1.0], [2.0]], 1.5), [[1.0]]), "x must not be a masked array"),
        (([[0.0]], [[1j]]), "y must be a number .* of real numbers"),
        (([[0.0]], np.array([[1j]])), "y must be floating, got complex128"),
        (([[0.0]], [["1"]]), "y must be a number"),
        (([[0.0]], [[1.0]], np.ma.masked_less([1.0], 2)), "a must not be a masked array"),
    ],
)
def test_points_and_masses_that_would_lose_a_part_are_refused(solve, arguments, message):
    with pytest.raises(TypeError, match=message):
        solve(*arguments)


@pytest.fixture
def simplex(monkeypatch):
    """Let the solver beneath do something else: a function of its arguments, given the true one."""
    emd = ot.emd
    return lambda other: monkeypatch.setattr(ot, "emd", lambda *problem, **options: other(emd, *problem, **options))


def test_a_solver_that_stops_early_is_an_error(simplex):
    simplex(lambda emd, *problem, **options: emd(*problem, **options | {"numItermax": 3}))
    with pytest.warns(UserWarning), pytest.raises(ConvergenceError, match="stopped early"):
        otl.solve_kantorovich(*clouds(100, 100, 2))


def test_a_wrong_dual_is_an_error(simplex):
    def wrong(emd, a, *rest, **options):
        plan, log = emd(a, *rest, **options)
        return plan, log | {"u": np.linspace(0, 1, len(a))}

    simplex(wrong)
    with pytest.raises(ConvergenceError, match="duality gap"):
        otl.solve_kantorovich(*clouds(20, 20, 2))


def test_a_wrong_plan_is_an_error(simplex):
    def half(emd, *problem, **options):
        plan, log = emd(*problem, **options)
        return 0.5 * plan, log

    simplex(half)
    with pytest.raises(ConvergenceError, match="infeasibility 5.0e-01"):
        otl.solve_kantorovich(*clouds(20, 20, 2))


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("far", [1e2, 1e4, 1e6, 1e8])
def test_clusters_that_are_far_apart_keep_their_fine_structure(far, offset):
    """Distances between clusters are up to 1e16 times those within, squared, and cost nothing."""
    rng = np.random.default_rng(0)
    inner, target = np.round(rng.standard_normal((2, 40, 2)), 2)
    corners = offset + far * np.array([[0.0, 0.0], [1.0, 0.0]]).repeat(20, axis=0)
    x, y = corners + inner, corners + target
    solution = otl.solve_kantorovich(x, y)
    halves = [otl.solve_kantorovich(x[rows], y[rows]).cost for rows in np.split(np.arange(40), 2)]
    assert solution.cost == pytest.approx(np.mean(halves), rel=1e-9)
    assert sorted(solution.matching) == list(range(40))
    check_optimal(x, y, solution)


def test_whole_masses_on_clusters_that_are_far_apart():
    """They are taken as they are: rounded shares of them would have to move a little between the clusters."""
    rng = np.random.default_rng(0)
    for far in np.geomspace(1e4, 1e8, 25):
        inner, target = np.round(rng.standard_normal((2, 2, 6, 2)), 2)
        a, b = rng.integers(1, 10, (2, 2, 6)).astype(float)
        missing = a.sum(1) - b.sum(1)
        a[:, 0] += np.maximum(-missing, 0)
        b[:, 0] += np.maximum(missing, 0)
        corners = far * np.array([[[0.0, 0.0]], [[1.0, 0.0]]])
        x, y = ((corners + points).reshape(-1, 2) for points in (inner, target))
        halves = [
            otl.solve_kantorovich(x[i], y[i], *m).cost for i, *m in zip((slice(6), slice(6, 12)), a, b, strict=True)
        ]
        expected = np.average(halves, weights=a.sum(1))
        assert otl.solve_kantorovich(x, y, a.ravel(), b.ravel()).cost == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("m", "n", "d"), [(3, 4, 1), (10, 15, 2), (40, 30, 3)])
def test_points_without_mass_have_potentials(m, n, d):
    x, y = clouds(m, n, d)
    rng = np.random.default_rng(m)
    a, b = rng.random(m) * (rng.random(m) < 0.6), rng.random(n) * (rng.random(n) < 0.6)
    a[-1] = b[0] = 1.0
    solution = otl.solve_kantorovich(x, y, a / a.sum(), b / b.sum())
    assert solution.cost == pytest.approx(by_highs(x, y, a / a.sum(), b / b.sum()), rel=1e-7)
    check_optimal(x, y, solution, a, b)
    assert (b[solution.matching] > 0).all()


def test_masses_too_small_for_double_precision():
    """They are lost where they do not matter, and refused where they do: never lifted."""
    x, y = [[0.0], [1.0]], [[0.1], [1e8]]
    assert otl.solve_kantorovich(x, y, [1, 1e-30], [1, 1e-30]).cost == pytest.approx(0.005, rel=1e-9)
    with pytest.raises(ConvergenceError, match="too small for double precision"):
        otl.solve_kantorovich(x, y, [1, 1e-18], [1, 1e-18])


def test_units_of_masses_do_not_matter():
    x, y = clouds(20, 30, 2)
    rng = np.random.default_rng(0)
    a, b = rng.random(20), rng.random(30)
    expected = otl.solve_kantorovich(x, y, a / a.sum(), b / b.sum()).cost
    for unit in (1e-300, 1e-9, 1e300):
        assert otl.solve_kantorovich(x, y, unit * a / a.sum(), unit * b / b.sum()).cost == pytest.approx(expected)


def test_masses_in_single_precision():
    """Their sums differ by rounding, as those of a softmax do."""
    x, y = clouds(1_000, 3, 2)
    a = np.random.default_rng(0).random(1_000, dtype=np.float32)
    a /= a.sum()
    b = np.array([0.2, 0.3, 0.49999988], np.float32)
    assert a.sum(dtype=float) != b.sum(dtype=float)
    check_optimal(x, y, otl.solve_kantorovich(x, y, a, b), a.astype(float), b.astype(float))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-6, 1e-3])
def test_points_that_hardly_move(noise, weighted):
    """The optimal cost is up to 1e-18 of the largest one, or 0."""
    rng = np.random.default_rng(0)
    x, order, a = rng.standard_normal((100, 2)), rng.permutation(100), rng.random(100) + 0.01
    y = x[order] + noise * rng.standard_normal((100, 2))
    a = a / a.sum() if weighted else np.full(100, 0.01)
    solution = otl.solve_kantorovich(x, y, a, a[order])
    np.testing.assert_array_equal(order[solution.matching], np.arange(100))
    moved = half_squared(x, y)[np.arange(100), solution.matching]
    assert solution.cost == pytest.approx(a @ moved, rel=1e-9)
    check_optimal(x, y, solution, a, a[order])


def test_a_lattice_that_moves_by_one_step():
    """Hundreds of ties, and potentials that grow along a long chain."""
    x = np.arange(400.0)[:, None]
    for step in (0.01, 0.5, 1.0):
        solution = otl.solve_kantorovich(x, x + step)
        assert solution.cost == pytest.approx(step**2 / 2, rel=1e-9)
        check_optimal(x, x + step, solution)


@pytest.mark.parametrize("tiny", [1e-3, 1e-8, 1e-12])
@pytest.mark.parametrize("d", [1, 3])
def test_tiny_masses(tiny, d):
    x, y = clouds(25, 30, d)
    rng = np.random.default_rng(1)
    a, b = rng.random(25) + 0.1, rng.random(30) + 0.1
    a[:5] = b[:3] = tiny
    a, b = a / a.sum(), b / b.sum()
    solution = otl.solve_kantorovich(x, y, a, b)
    assert solution.cost == pytest.approx(by_highs(x, y, a, b), rel=1e-7)  # HiGHS: 1e-7
    check_optimal(x, y, solution, a, b)


@pytest.mark.parametrize("heavy", ["source", "target"])
def test_one_point_that_holds_nearly_all(heavy):
    x, y = clouds(20, 30, 3)
    a, b = np.full(20, 1e-9), np.full(30, 1e-9)
    if heavy == "source":
        a[7], b[:] = 1 - 19e-9, 1 / 30
    else:
        a[:], b[7] = 1 / 20, 1 - 29e-9
    check_optimal(x, y, otl.solve_kantorovich(x, y, a, b), a, b)


def test_in_one_dimension_the_value_is_that_of_the_quantile_functions():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(60), rng.standard_cauchy(45)
    a, b = rng.integers(1, 20, 60), rng.integers(1, 20, 45)
    a, b = a * b.sum(), b * a.sum()  # whole masses: repeat points, in order
    repeated = [
        np.repeat(np.sort(points), masses[points.argsort()] // np.gcd.reduce(np.r_[a, b]))
        for points, masses in ((x, a), (y, b))
    ]
    expected = 0.5 * np.mean((repeated[0] - repeated[1]) ** 2)
    solution = otl.solve_kantorovich(x[:, None], y[:, None], a, b)
    assert solution.cost == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 9), (9, 1)])
def test_one_point_on_a_side_has_the_potentials_of_its_distances(m, n):
    x, y = clouds(m, n, 4)
    solution, cost = otl.solve_kantorovich(x, y), half_squared(x, y)
    assert solution.cost == pytest.approx(cost.mean(), rel=1e-12)
    np.testing.assert_allclose(solution.psi[None] - solution.phi[:, None], cost, rtol=1e-12)


def test_duplicates_on_both_sides_are_weights():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 2)), rng.standard_normal((9, 2))
    a, b = rng.multinomial(60, np.full(12, 1 / 12)) + 1, rng.multinomial(63, np.full(9, 1 / 9)) + 1
    copied = otl.solve_kantorovich(np.repeat(x, a, axis=0), np.repeat(y, b, axis=0))
    weighted = otl.solve_kantorovich(x, y, a, b)
    assert copied.cost == pytest.approx(weighted.cost, rel=1e-12)
    assert sorted(copied.matching) == list(range(72))
    check_optimal(np.repeat(x, a, axis=0), np.repeat(y, b, axis=0), copied)


def test_a_split_source_goes_where_most_of_it_goes_and_ties_to_the_first():
    line = np.arange(4.0)[:, None]
    # whole masses: source 0 splits evenly, source 1 gives 1 to target 1 and 3 to target 2
    matching = otl.solve_kantorovich(line[:2], line[:3], [2.0, 4.0], [1.0, 2.0, 3.0]).matching
    np.testing.assert_array_equal(matching, [0, 2])
    thirds = otl.solve_kantorovich(line[:1], line[:3]).matching
    np.testing.assert_array_equal(thirds, [0])
    # a tie up to rounding is a tie
    nearly = otl.solve_kantorovich(line[:1], line[:2], [1.0], [0.5 - 1e-12, 0.5 + 1e-12]).matching
    np.testing.assert_array_equal(nearly, [0])


@pytest.mark.parametrize("n", [40, 27])
def test_points_in_another_order_are_matched_alike(n):
    x, y = clouds(40, n, 2)
    rng = np.random.default_rng(0)
    b = rng.random(n) + 0.5 if n < 40 else np.ones(n)  # the plan is unique, and splits have no ties
    a = np.full(40, b.sum() / 40)
    rows, columns = rng.permutation(40), rng.permutation(n)
    plain = otl.solve_kantorovich(x, y, a, b)
    moved = otl.solve_kantorovich(x[rows], y[columns], a, b[columns])
    np.testing.assert_array_equal(columns[moved.matching], plain.matching[rows])
    assert moved.cost == pytest.approx(plain.cost, rel=1e-12)


def test_a_solution_outlives_the_next_problem():
    """Small work arrays are kept from problem to problem: nothing of a solution may lie in them."""
    first = otl.solve_kantorovich(*clouds(30, 20, 2, seed=1))
    kept = first.phi.copy(), first.psi.copy(), first.matching.copy()
    otl.solve_kantorovich(*clouds(30, 20, 2, seed=2))
    for now, before in zip((first.phi, first.psi, first.matching), kept, strict=True):
        np.testing.assert_array_equal(now, before)
    again = otl.solve_kantorovich(*clouds(30, 20, 2, seed=1))
    np.testing.assert_array_equal(again.phi, first.phi)


def test_coordinates_out_of_range_are_refused():
    x, y = clouds(5, 5, 2)
    for scale in (1e-160, 1e160):
        with pytest.raises(ValueError, match="out of range; scale the points"):
            otl.solve_kantorovich(scale * x, scale * y)
    with pytest.raises(ValueError, match="out of range; scale the points"):
        otl.solve_kantorovich(np.zeros((2, 1)), [[0.0], [1e-160]])
    solution = otl.solve_kantorovich(1e140 * x, 1e140 * y)
    assert solution.cost == pytest.approx(1e280 * otl.solve_kantorovich(x, y).cost, rel=1e-9)
