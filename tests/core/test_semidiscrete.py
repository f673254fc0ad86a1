"""Heights against closed forms and quadrature; the certificate against exact masses."""

import numpy as np
import psutil
import pytest
import torch
from scipy.stats import norm

import ot_latent as otl
from ot_latent.laguerre import Ascent, Cells, estimate_mass_error
from ot_latent.semidiscrete import ConvergenceWarning


def clouds(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)) + 0.5


def chi2(p, b):
    return ((p - b) ** 2 / b).sum()


def quadrature(codes, heights):
    """Masses of the cells, and E max_j z.y_j + h_j, under N(0, I) in the plane, on a fine grid."""
    t = (np.arange(800) + 0.5) / 800
    nodes = norm.ppf(t)
    masses, value = np.zeros(len(codes)), 0.0
    for x in nodes:
        z = np.stack([np.full_like(nodes, x), nodes], axis=1)
        scores = z @ codes.T + heights
        masses += np.bincount(scores.argmax(1), minlength=len(codes))
        value += scores.max(1).sum()
    return masses / len(nodes) ** 2, value / len(nodes) ** 2


@pytest.mark.parametrize("weights", [None, [1.0, 3.0, 2.0, 1.0, 0.5]])
def test_in_one_dimension_the_cells_are_quantiles(weights):
    codes = np.array([-3.0, -1.0, 0.5, 4.0, 5.0])
    b = np.full(5, 0.2) if weights is None else np.array(weights) / np.sum(weights)
    order = np.random.default_rng(0).permutation(5)
    given = None if weights is None else np.array(weights)[order]
    ot = otl.SemiDiscreteOT(tolerance=0.0005).fit(codes[order, None], weights=given)
    # planes j and j + 1 meet at the quantile t_j: h_j + t_j y_j = h_{j+1} + t_j y_{j+1}
    ends = norm.ppf(b.cumsum()[:-1])
    exact = np.r_[0, -np.cumsum(ends * np.diff(codes))]
    exact -= b @ exact
    assert ot.heights == pytest.approx(exact[order], abs=0.15)
    assert b[order] @ ot.heights == pytest.approx(0, abs=1e-9)
    sorted_heights = ot.heights[order.argsort()]
    crossings = -np.diff(sorted_heights) / np.diff(codes)
    found = np.diff(np.r_[0, norm.cdf(crossings), 1])
    assert chi2(found, b) < 0.0005
    # W_2^2 between N(0, 1) and the codes is the integral over quantiles
    levels = (np.arange(200_000) + 0.5) / 200_000
    target = codes[np.searchsorted(b.cumsum(), levels).clip(max=4)]
    exact_cost = ((norm.ppf(levels) - target) ** 2).mean() / 2
    assert ot.cost.low - 1e-3 * exact_cost <= exact_cost <= ot.cost.high + 1e-3 * exact_cost


def test_symmetric_codes_need_no_steps():
    angles = np.arange(8) * np.pi / 4
    codes = 2 * np.stack([np.cos(angles), np.sin(angles)], 1)
    ot = otl.SemiDiscreteOT(tolerance=0.01).fit(codes, heights=np.zeros(8))
    assert ot.converged and ot.steps == 0
    np.testing.assert_array_equal(ot.heights, np.zeros(8))
    single = otl.SemiDiscreteOT().fit(np.array([[3.0, 4.0]]))
    # all noise goes to one point: E ||z - y||^2 / 2 = (2 + 25) / 2
    assert single.cost.low < 13.5 < single.cost.high and single.steps == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_masses_and_value_are_those_of_quadrature(weighted):
    codes = 5 + 3 * clouds(30, 2)
    weights = np.random.default_rng(1).random(30) + 0.2 if weighted else None
    b = np.full(30, 1 / 30) if weights is None else weights / weights.sum()
    ot = otl.SemiDiscreteOT(tolerance=0.005).fit(codes, weights=weights)
    masses, envelope = quadrature(codes, ot.heights)
    exact = chi2(masses, b)
    assert exact < 0.005
    assert ot.error.low - 1e-4 < exact < ot.error.high + 1e-4
    value = b @ ot.heights - envelope + 1 + (b @ (codes**2).sum(1)) / 2
    assert ot.cost.low - 0.05 < value < ot.cost.high + 0.05
    # the maximum is flat: other heights have a lower value
    for step in 0.3 * np.random.default_rng(2).standard_normal((3, 30)):
        moved = ot.heights + step
        assert b @ moved - quadrature(codes, moved)[1] < b @ ot.heights - envelope


@pytest.mark.parametrize("spread", [0.0, 0.06, 0.3])
def test_the_mass_error_is_unbiased_and_its_interval_covers(spread):
    """5,000 draws with known p: the mean within 4 standard errors, at least 94 % covered.

    A bias of 0.1 standard deviations would be seen with probability 0.999; that of the sum of
    squares (p^ - b)^2 / b, about N / n = 0.1, is several. Intervals half as wide would cover 67 %.
    """
    rng = np.random.default_rng(0)
    b = rng.random(50) + 0.5
    p = b * (1 + spread * rng.standard_normal(50)).clip(0.1)
    b, p = b / b.sum(), p / p.sum()
    draws = torch.from_numpy(rng.multinomial(500, p, size=5_000))
    found = np.array([estimate_mass_error(k, torch.from_numpy(b)) for k in draws])
    value, low, high = found.T
    assert abs(value.mean() - chi2(p, b)) < 4 * value.std() / np.sqrt(len(value))
    assert 0.94 < ((low <= chi2(p, b)) & (chi2(p, b) <= high)).mean() < 0.98
    # the side that certifies
    assert (high < chi2(p, b)).mean() < 0.025
    counts = draws[0].numpy()
    q, r = rng.multinomial(counts.sum() // 2, p, size=(2, 5_000)) / (counts.sum() // 2)
    halves = ((q - b) * (r - b) / b).sum(1)
    assert abs(halves.mean() - value.mean()) < 4 * halves.std() / np.sqrt(len(halves))
    assert value.var() < halves.var()


@pytest.mark.parametrize(("n", "d", "m"), [(1, 3, 5), (31, 2, 300), (5_000, 7, 600), (64, 1, 1)])
def test_cells_by_tiles_are_those_of_one_matrix(n, d, m):
    generator = torch.Generator().manual_seed(n)
    codes, heights, noise = (torch.randn(shape, generator=generator) for shape in ((n, d), (n,), (m, d)))
    cells = Cells(codes)
    cells.set_heights(heights)
    scores = noise @ codes.T + heights
    chosen = cells.highest(noise)
    best = scores.max(1).values
    torch.testing.assert_close(scores.gather(1, chosen[:, None])[:, 0], best)


def test_map_and_potential_belong_together():
    codes = clouds(40, 3)
    ot = otl.SemiDiscreteOT(tolerance=0.05).fit(torch.from_numpy(codes))
    z = torch.randn(200, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(ot.potential(z).sum(), z)
    moved = ot.transport(z)
    torch.testing.assert_close(z + slope, moved)
    cost = (z[:, None] - torch.from_numpy(codes)).square().sum(2) / 2
    psi = ot.heights + torch.from_numpy(codes).square().sum(1) / 2
    # the constraint psi_j - phi_i <= c_ij, tight on the map
    slack = cost - (psi - ot.potential(z)[:, None])
    assert slack.min() > -1e-5
    assert slack.gather(1, ot.cell(z)[:, None]).abs().max() < 1e-5
    assert torch.equal(moved, torch.from_numpy(codes)[ot.cell(z)])


def test_kinds_of_arrays_come_back():
    codes = clouds(20, 2)
    ot = otl.SemiDiscreteOT(tolerance=0.1).fit(codes)
    z = np.random.default_rng(0).standard_normal((7, 2))
    for points in (z, z.astype(np.float32), torch.from_numpy(z), torch.from_numpy(z).float()):
        for result in (ot.transport(points), ot.potential(points), ot.extend(points)):
            assert type(result) is type(points) and result.dtype == points.dtype
        assert type(ot.cell(points)) is type(points)
    assert isinstance(ot.heights, np.ndarray)
    assert ot.mass_error(1_000, rng=0) == ot.mass_error(1_000, rng=0)


def test_a_shift_and_a_scale_are_followed():
    codes, z = clouds(50, 2), np.random.default_rng(1).standard_normal((500, 2))
    plain = otl.SemiDiscreteOT(tolerance=0.05).fit(codes)
    moved = otl.SemiDiscreteOT(tolerance=0.05).fit(100 + 8 * codes)
    assert moved.steps == plain.steps
    np.testing.assert_allclose(moved.heights, 8 * plain.heights, rtol=1e-3, atol=1e-3)
    assert (moved.cell(z) == plain.cell(z)).mean() > 0.99


@pytest.mark.parametrize("prior", [otl.Uniform(-1, 1), otl.Gaussian(3.0, 0.5), otl.Sphere(2), [otl.Uniform(0, 1)] * 2])
def test_other_priors(prior):
    prior = otl.Product(prior) if isinstance(prior, list) else prior
    codes = clouds(25, 2)
    ot = otl.SemiDiscreteOT(tolerance=0.02).fit(codes, prior)
    drawn = ot.cell(prior.sample((50_000, 2), rng=5))
    assert ot.converged
    counts = np.bincount(drawn, minlength=25)
    assert chi2(counts / 50_000, np.full(25, 0.04)) < 0.02 + 25 / 50_000 * 3


def test_a_warm_start_takes_fewer_steps_and_the_same_seed_the_same_heights():
    codes = clouds(400, 2)
    ot = otl.SemiDiscreteOT(tolerance=0.02)
    first = ot.fit(codes).heights
    cold = ot.steps
    np.testing.assert_array_equal(otl.SemiDiscreteOT(tolerance=0.02).fit(codes).heights, first)
    warm = otl.SemiDiscreteOT(tolerance=0.02).fit(codes * 1.001, heights=first)
    assert warm.converged and warm.steps < cold / 2
    other = otl.SemiDiscreteOT(tolerance=0.02, random_state=1).fit(codes)
    assert not np.array_equal(other.heights, first)


def test_a_killed_fit_ends_as_the_unbroken_one(tmp_path, monkeypatch):
    codes, state = clouds(300, 2), tmp_path / "state.safetensors"
    unbroken = otl.SemiDiscreteOT(tolerance=0.03).fit(codes)
    assert unbroken.steps > 40
    step = Ascent.step

    def killed(self, state):
        if state.steps == 40:
            raise KeyboardInterrupt
        step(self, state)

    monkeypatch.setattr(Ascent, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        otl.SemiDiscreteOT(tolerance=0.03).fit(codes, resume=state, save_seconds=0)
    monkeypatch.setattr(Ascent, "step", step)
    resumed = otl.SemiDiscreteOT(tolerance=0.03).fit(codes, resume=state)
    again = otl.SemiDiscreteOT(tolerance=0.03).fit(codes, resume=state)
    for ot in (resumed, again):
        np.testing.assert_array_equal(ot.heights, unbroken.heights)
        assert (ot.error, ot.cost, ot.steps) == (unbroken.error, unbroken.cost, unbroken.steps)
    assert [path.name for path in tmp_path.iterdir()] == [state.name]
    with pytest.raises(ValueError, match="state of another fit"):
        otl.SemiDiscreteOT(tolerance=0.03).fit(codes + 1, resume=state)
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(ValueError, match="state.safetensors is damaged .*; remove it to start anew"):
        otl.SemiDiscreteOT(tolerance=0.03).fit(codes, resume=state)


def test_a_budget_ends_the_fit_and_says_so():
    codes = clouds(50, 2)
    with pytest.warns(ConvergenceWarning, match="after 5 steps"):
        ot = otl.SemiDiscreteOT(tolerance=0.005, max_steps=5).fit(codes)
    assert not ot.converged and ot.steps == 5 and ot.error.high > 0.005
    masses, _ = quadrature(codes, ot.heights)
    assert ot.error.low - 1e-4 < chi2(masses, np.full(50, 1 / 50)) < ot.error.high + 1e-4


def test_memory_does_not_hold_noise_times_codes():
    codes = torch.randn(12_000, 4, generator=torch.Generator().manual_seed(0))
    process = psutil.Process()
    peak, before = [], process.memory_info().rss
    prior = otl.Gaussian()

    class Watched:
        def sample(self, shape, rng, like):
            peak.append(process.memory_info().rss)
            return prior.sample(shape, rng, like)

    with pytest.warns(ConvergenceWarning):
        otl.SemiDiscreteOT(tolerance=0.05, max_steps=2).fit(codes, Watched())
    # a batch of 3,000 points by 12,000 codes alone would take 144 MB
    assert max(peak) - before < 70e6


def test_the_extension_is_exact_at_cell_means_and_does_not_bridge_gaps():
    rng = np.random.default_rng(0)
    left = [-4, 0] + 0.3 * rng.standard_normal((30, 2))
    codes = np.r_[left, -left]
    ot = otl.SemiDiscreteOT(tolerance=0.05).fit(codes)
    means, known = ot._cell_means()
    assert known.all()
    own = ot.cell(means)
    inside = own == torch.arange(60)
    np.testing.assert_allclose(ot.extend(means)[inside], codes[inside], atol=1e-4)
    z = rng.standard_normal((2_000, 2))
    extended, plain = ot.extend(z), ot.transport(z)
    assert (np.abs(extended[:, 0]) > 2.5).all()
    assert (np.sign(extended[:, 0]) == np.sign(plain[:, 0])).all()
    np.testing.assert_allclose(ot.extend(z, angle=0.0), plain, rtol=1e-6)
    # at any angle the clusters mix: this is what the test of the angle refuses
    mixed = np.abs(ot.extend(z, angle=np.pi)[:, 0]) < 2.5
    assert mixed.any()
    # points that would mix are singular; those that are not get all their neighbours
    singular = ot.singular(z)
    assert singular[mixed].all() and not singular.all()
    np.testing.assert_allclose(ot.extend(z, angle=np.pi)[~singular], extended[~singular])
    assert not ot.singular(z, angle=np.pi).any()
    # it moves within the cells, where the map is constant
    assert len(np.unique(extended.round(5), axis=0)) > 1_500


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0, 2.0],), ValueError, "codes must have shape"),
        ((np.zeros((0, 2)),), ValueError, "codes must have shape"),
        (([[np.nan]],), ValueError, "codes hold NaN"),
        (([[1.0], [1.0]],), ValueError, "distinct, got 1 distinct ones of 2"),
        (([[1.0], [2.0]], "normal"), TypeError, "prior must have a method sample"),
        (([[1.0], [2.0]], None, [1.0]), ValueError, r"weights must have shape \(2,\)"),
        (([[1.0], [2.0]], None, [1.0, 0.0]), ValueError, "weights must be positive"),
        (([[1.0], [2.0]], None, [1.0, np.inf]), ValueError, "weights holds NaN"),
        (([[1.0], [2.0]], None, None, [1.0]), ValueError, r"heights must have shape \(2,\)"),
        (([[1.0], [2.0]], None, None, [np.nan, 0]), ValueError, "heights holds NaN"),
        (([[1.0], [2.0]], otl.Sphere(3)), ValueError, "shape must end in d = 3"),
    ],
)
def test_bad_fits_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        otl.SemiDiscreteOT().fit(*arguments)


def test_bad_use_is_named():
    with pytest.raises(ValueError, match="tolerance must be positive"):
        otl.SemiDiscreteOT(tolerance=0)
    with pytest.raises(ValueError, match="max_steps must be at least 1"):
        otl.SemiDiscreteOT(max_steps=0)
    ot = otl.SemiDiscreteOT(tolerance=0.1)
    with pytest.raises(RuntimeError, match="call fit"):
        ot.transport(np.zeros((1, 2)))
    with pytest.raises(RuntimeError, match="call fit"):
        _ = ot.heights
    ot.fit([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match=r"z must be floating with shape \(points, 2\)"):
        ot.transport(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="z must be floating"):
        ot.cell(np.zeros((1, 2), dtype=int))
    with pytest.raises(ValueError, match="z holds NaN"):
        ot.potential(np.full((1, 2), np.nan))
    with pytest.raises(ValueError, match="n must be at least 3"):
        ot.mass_error(1)
    with pytest.raises(ValueError, match="angle must be between"):
        ot.extend(np.zeros((1, 2)), angle=-1)
    assert repr(ot) == "SemiDiscreteOT(tolerance=0.1, max_steps=20000)"
