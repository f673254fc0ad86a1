"""Heights against closed forms and quadrature; the certificate against exact masses."""

import copy
import logging
import os
import pickle
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from threading import Timer

import numpy as np
import psutil
import pytest
import torch
from distributed import Client, LocalCluster
from scipy.integrate import quad
from scipy.stats import gamma, laplace, norm, uniform
from tqdm import tqdm

import ot_latent as otl
from ot_latent._storage import StateWarning
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


ALONG = [-3.0, -1.0, 0.5, 4.0, 5.0]
LAWS = {
    "normal": (otl.Gaussian(1, 2), norm(1, 2)),
    "uniform": (otl.Uniform(-1, 3), uniform(-1, 4)),
    "laplace": (otl.ScipyPrior(laplace()), laplace()),
    "gamma": (gamma(2.0), gamma(2.0)),
    "far": (otl.Gaussian(1e4, 1), norm(1e4, 1)),
}


@pytest.mark.parametrize("weights", [None, [1.0, 3.0, 2.0, 1.0, 0.5], [1e-9, 1.0, 1e-300, 2.0, 1e-6]])
@pytest.mark.parametrize("name", LAWS)
def test_in_one_dimension_the_cells_are_quantiles(name, weights):
    prior, law = LAWS[name]
    codes = np.array(ALONG)
    b = np.full(5, 0.2) if weights is None else np.array(weights) / np.sum(weights)
    order = np.random.default_rng(0).permutation(5)
    given = None if weights is None else np.array(weights)[order]
    ot = otl.SemiDiscreteOT().fit(codes[order, None], prior, given)
    assert ot.converged and ot.steps == 0 and ot.error == (0, 0, 0)
    # planes j and j + 1 meet at the quantile t_j: h_j + t_j y_j = h_{j+1} + t_j y_{j+1}
    ends = np.where(b.cumsum() < 0.5, law.ppf(b.cumsum()), law.isf(b[::-1].cumsum()[::-1] - b))[:-1]
    exact = np.r_[0, -np.cumsum(ends * np.diff(codes))]
    assert ot.heights == pytest.approx((exact - b @ exact)[order], rel=1e-8, abs=1e-7)
    z = law.rvs(1_000, random_state=0)[:, None]
    assert (ot.transport(z)[:, 0] == codes[np.searchsorted(ends, z[:, 0])]).all()
    # W_2^2 between the law and the codes by quadrature
    ends = np.r_[law.ppf(1e-18), ends.clip(law.ppf(1e-18), law.isf(1e-18)), law.isf(1e-18)]
    square = [quad(lambda x, y: (x - y) ** 2 * law.pdf(x), *ends[j : j + 2], (y,))[0] for j, y in enumerate(codes)]
    cost = sum(square) / 2
    assert ot.cost == pytest.approx([cost] * 3, rel=1e-7)


@pytest.mark.parametrize("d", [2, 5])
def test_codes_on_a_line_are_exact_too(d):
    """v.z is N(m sum v, s^2) under a Gaussian prior, of another law under others, whose masses noise tells."""
    rng = np.random.default_rng(d)
    v, b, places = rng.standard_normal(d), rng.random(40) + 0.1, rng.standard_normal(40)
    codes = 3 + places[:, None] * v
    ot = otl.SemiDiscreteOT().fit(codes, otl.Gaussian(0.5, 2.0), b)
    flat = otl.SemiDiscreteOT().fit(
        np.linalg.norm(v) * places[:, None], otl.Gaussian(0.5 * v.sum() / np.linalg.norm(v), 2.0), b
    )
    z = 0.5 + 2 * rng.standard_normal((2_000, d))
    assert (ot.cell(z) == flat.cell(z @ v[:, None] / np.linalg.norm(v))).all()
    best = (z @ codes.T + ot.heights).argmax(1)
    assert (ot.cell(z) == best).mean() > 0.999
    priors = [otl.Uniform(0, 1), otl.Sphere(d), otl.Gaussian(np.arange(d), 1 + np.arange(d))]
    priors += [otl.Product([otl.Uniform(0, 1), *[otl.Gaussian(0, 2)] * (d - 1)])]
    for prior in priors:
        ot = otl.SemiDiscreteOT(random_state=1).fit(codes, prior, b)
        assert ot.steps == 0 and ot.converged
        error, sampled = ot.mass_error(100_000, rng=0), ot._dual.value(100_000, ot._dual.seeded("test"))[1]
        assert error.low <= 0 <= error.high < 0.002
        assert (
            sampled.low - 0.3 * (sampled.high - sampled.low)
            < ot.cost.value
            < sampled.high + 0.3 * (sampled.high - sampled.low)
        )
    # what is on a line but for 1e-4 is climbed
    assert otl.SemiDiscreteOT(tolerance=0.2).fit(codes[:5] + 1e-4 * rng.standard_normal((5, d))).steps > 0


def test_symmetric_codes_need_no_steps():
    angles = np.arange(8) * np.pi / 4
    codes = 2 * np.stack([np.cos(angles), np.sin(angles)], 1)
    ot = otl.SemiDiscreteOT(tolerance=0.01).fit(codes, heights=np.zeros(8))
    assert ot.converged and ot.steps == 0
    np.testing.assert_array_equal(ot.heights, np.zeros(8))
    # all noise goes to one point: E ||z - y||^2 / 2 = (2 + 25) / 2
    for codes in ([[3.0, 4.0]], np.tile([3.0, 4.0], (5, 1))):
        single = otl.SemiDiscreteOT().fit(codes)
        assert single.cost == pytest.approx([13.5] * 3) and single.steps == 0 and single.converged
        assert single.error == (0, 0, 0) and (single.heights == 0).all() and (single.cell(np.eye(2)) == 0).all()


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


@pytest.mark.parametrize("n", [2, 5, 30, 300, 2_000])
@pytest.mark.parametrize("kind", ["one", "logspace", "some of four points"])
def test_the_upper_end_covers_where_weights_are_tiny(n, kind):
    """300 draws of each p, known: the upper end is too low in at most 2.5 %, as stated, plus three standard errors.

    p is b, or has some points more in its rarest cell, or six times as many in a third of the cells. Without
    a bound for rare cells it is too low in up to 55 %.
    """
    rng, points = np.random.default_rng(0), int((10 * np.sqrt(2 * n) + 400) / 0.1)
    few = np.arange(n) < max(1, n // 20)
    weights = {"one": np.where(np.arange(n) < 1, 1e-6, 1.0), "logspace": np.logspace(-6, 0, n)}
    b = weights.get(kind, np.where(few, 4 * n / points, 1.0))
    b = b / b.sum()
    rarest = np.eye(n)[b.argmin()] / points
    cases = [b, *(b + more * rarest for more in (3, 6, 12)), b * np.where(rng.random(n) < 0.3, 6, 1)]
    for p in (case / case.sum() for case in cases):
        draws = torch.from_numpy(rng.multinomial(points, p, size=300 if n < 300 else 100))
        found = [estimate_mass_error(k, torch.from_numpy(b)) for k in draws]
        assert all(e.low <= e.value <= e.high for e in found)
        missed = np.mean([e.high < chi2(p, b) for e in found])
        assert missed <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / len(draws))


def test_where_no_cell_is_rare_the_interval_is_that_of_the_u_statistic():
    counts = np.random.default_rng(0).multinomial(51_600, np.full(2_000, 1 / 2_000))
    error = estimate_mass_error(torch.from_numpy(counts), torch.full((2_000,), 1 / 2_000))
    # 2 z (2 N)^{1/2} / n
    assert error.high - error.low == pytest.approx(2 * 1.96 * np.sqrt(4_000) / 51_600, rel=0.05)


@pytest.mark.parametrize(
    "weights", [np.r_[1e-6, np.ones(39)], np.r_[np.full(5, 1e-6), np.ones(35)], np.logspace(-6, 0, 40)]
)
def test_tiny_weights_are_certified_honestly(weights):
    ot = otl.SemiDiscreteOT(tolerance=0.1, random_state=1).fit(clouds(40, 4), weights=weights)
    assert ot.converged and ot.error.high <= 0.1
    # judged by ten times the noise: no rare cell hides what the certificate denies
    judged = ot.mass_error(2_000_000, rng=5)
    assert judged.value < 0.1 and judged.low <= ot.error.high
    z = np.random.default_rng(0).standard_normal((1_000, 4))
    assert ((z @ clouds(40, 4).T + ot.heights).argmax(1) == ot.cell(z)).mean() > 0.999


def test_a_weight_that_noise_cannot_tell_is_named():
    with pytest.warns(ConvergenceWarning, match="noise does not tell cells of mass 3e-17; leave such codes out"):
        ot = otl.SemiDiscreteOT(tolerance=0.1).fit(clouds(30, 3), weights=np.r_[1e-15, np.ones(29)])
    assert not ot.converged and ot.error.value < 0.1 < ot.error.high and ot.steps < 1_000


@pytest.mark.parametrize("size", [1e-4, 1e-7])
@pytest.mark.parametrize("elsewhere", [0, 30, 100])
def test_codes_in_tight_clusters(size, elsewhere):
    """Thirty codes in one, or in three of ten, with others around."""
    rng = np.random.default_rng(0)
    tight = np.repeat(rng.standard_normal((1 if elsewhere else 3, 3)), 30 if elsewhere else 10, axis=0)
    codes = np.r_[tight + size * rng.standard_normal((30, 3)), 2 * rng.standard_normal((elsewhere, 3))]
    ot = otl.SemiDiscreteOT(tolerance=0.1).fit(codes)
    assert ot.converged and ot.steps < 1_000
    masses = np.bincount(
        (rng.standard_normal((100_000, 3)) @ (codes - codes[0]).T + ot.heights).argmax(1), minlength=len(codes)
    )
    assert chi2(masses / 1e5, 1 / len(codes)) < 0.1


def test_equal_codes_share_a_cell_and_keep_their_places():
    codes = clouds(12, 2)
    order = np.r_[3, 0, 3, np.arange(12)]  # code 3 has mass 3, code 0 mass 2
    weights = np.ones(12)
    weights[[0, 3]] = 2, 3
    merged = otl.SemiDiscreteOT(tolerance=0.05).fit(
        codes[[3, 0, *range(1, 3), *range(4, 12)]], weights=weights[[3, 0, 1, 2, *range(4, 12)]]
    )
    ot = otl.SemiDiscreteOT(tolerance=0.05).fit(codes[order])
    z = np.random.default_rng(0).standard_normal((500, 2))
    np.testing.assert_array_equal(ot.transport(z), merged.transport(z))
    np.testing.assert_array_equal(ot.heights[[0, 1, 4, 5, *range(7, 15)]], merged.heights)
    assert ot.heights[0] == ot.heights[2] == ot.heights[6] and ot.heights[1] == ot.heights[3]
    # the first of equal ones
    assert set(ot.cell(z)) <= {0, 1, 4, 5, *range(7, 15)}
    np.testing.assert_array_equal(codes[order][ot.cell(z)], ot.transport(z))
    np.testing.assert_array_equal(
        otl.SemiDiscreteOT().fit(codes[order], heights=ot.heights, prior=None).heights.shape, (15,)
    )


@pytest.mark.parametrize(
    "prior", [otl.Gaussian(1e4, 1), otl.Uniform(1e6, 1e6 + 1), otl.Product([otl.Gaussian(0, 1), otl.Gaussian(-1e5, 2)])]
)
def test_priors_far_from_zero_keep_their_digits(prior):
    codes = clouds(100, 2)
    ot = otl.SemiDiscreteOT(tolerance=0.05).fit(codes, prior)
    assert ot.converged and ot.steps < 500
    z = prior.sample((50_000, 2), rng=3)
    masses = np.bincount(ot.cell(z), minlength=100) / 50_000
    assert chi2(masses, 0.01) < 0.05 + 100 / 50_000 * 3
    # heights and potential are those of the caller's coordinates
    assert ((z @ codes.T + ot.heights).argmax(1) == ot.cell(z)).mean() > 0.9999
    again = otl.SemiDiscreteOT(tolerance=0.05).fit(codes, prior, heights=ot.heights)
    assert again.steps == 0
    near = otl.SemiDiscreteOT(tolerance=0.05).fit(codes, otl.Gaussian(0, 1))
    if prior == otl.Gaussian(1e4, 1):
        assert (ot.cell(z) == near.cell(z - 1e4)).mean() > 0.8
        # W^2 / 2 = W_0^2 / 2 + m.(m / 2 - mean of the codes)
        moved = near.cost.value + 1e8 - 1e4 * codes.mean(0).sum()
        assert ot.cost.low - 1e3 < moved < ot.cost.high + 1e3


def test_numbers_beyond_single_precision():
    codes = clouds(50, 2)
    ot = otl.SemiDiscreteOT(tolerance=0.1).fit(codes)
    z = np.array([[1e39, 1e39], [1e25, 1.0], [-1e300, 2e300], [0.1, 0.2], [-1e17, 1e2]])
    exact = (z / np.abs(z).max(1, keepdims=True) @ codes.T + ot.heights / np.abs(z).max(1, keepdims=True)).argmax(1)
    np.testing.assert_array_equal(ot.cell(z), exact)
    np.testing.assert_array_equal(ot.cell(torch.tensor(z[[1, 3, 4]]).float()), exact[[1, 3, 4]])
    assert np.isfinite(ot.potential(z[[0, 1, 3, 4]])).all()
    with pytest.raises(ValueError, match="so close to 0 that torch.float64 holds"):
        ot.potential(z)
    with pytest.raises(ValueError, match="so close to 0 that torch.float32 holds"):
        ot.potential(z[1:2].astype(np.float32))
    # codes of any size, in single precision too, have heights in proportion
    for size, dtype in ((1e25, np.float32), (1e100, float), (1e-30, np.float32), (1e-100, float)):
        large = otl.SemiDiscreteOT(tolerance=0.1).fit((codes * size).astype(dtype))
        assert large.converged and np.isfinite(large.cost).all()
        assert large.heights / size == pytest.approx(ot.heights, rel=1e-3, abs=1e-3)
    with pytest.raises(ValueError, match="heights must not be further apart"):
        otl.SemiDiscreteOT().fit(codes, heights=np.arange(50) * 1e39)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32, torch.int64])
def test_codes_of_every_type(kind):
    codes = (torch.from_numpy(clouds(20, 2)) * 8).to(kind)
    ot = otl.SemiDiscreteOT(tolerance=0.2).fit(codes.requires_grad_() if kind.is_floating_point else codes)
    plain = otl.SemiDiscreteOT(tolerance=0.2).fit(codes.detach().float())
    assert ot.converged and not ot.heights.requires_grad
    torch.testing.assert_close(ot.heights, plain.heights, rtol=1e-5, atol=1e-5)


def test_a_full_disk_does_not_lose_the_fit(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ot_latent.laguerre.ascent.save_tensors", full)
    with pytest.warns(StateWarning, match="state could not be written: .*No space left"):
        ot = otl.SemiDiscreteOT(tolerance=0.1).fit(clouds(30, 2), resume=tmp_path / "state", save_seconds=0)
    np.testing.assert_array_equal(ot.heights, otl.SemiDiscreteOT(tolerance=0.1).fit(clouds(30, 2)).heights)


def test_a_long_fit_shows_its_progress(monkeypatch):
    """The bar moves with every batch of noise, also where no step is made, and counts the steps."""
    moved = []

    class Bar(tqdm):
        def update(self, n=1):
            moved.append(n)

    monkeypatch.setattr(
        "ot_latent.laguerre.ascent.progress_bar", lambda what, total, done, unit: Bar(total=total, disable=True)
    )
    ot = otl.SemiDiscreteOT(tolerance=0.1).fit(clouds(60, 2))
    assert sum(moved) == ot.steps > 0 and moved[:10] == [0] * 10


@pytest.mark.parametrize(("n", "d", "m"), [(1, 3, 5), (31, 2, 300), (5_000, 7, 600), (64, 1, 1), (5_000, 90, 300)])
def test_cells_by_tiles_are_those_of_one_matrix(n, d, m):
    generator = torch.Generator().manual_seed(n)
    codes, heights, noise = (torch.randn(shape, generator=generator) for shape in ((n, d), (n,), (m, d)))
    cells = Cells(codes)
    cells.set_heights(heights)
    own = torch.randint(n, (m, 3 if n > 3 else 0), generator=generator)
    own[: m // 2, :1] = n - 1  # at the end of the last tile
    scores = (noise @ codes.T + heights).scatter(1, own, -torch.inf)
    chosen = cells.highest(noise, own)
    best = scores.max(1).values
    torch.testing.assert_close(scores.gather(1, chosen[:, None])[:, 0], best)
    below = (best[:, None] - scores).amin(0).clamp(min=0)
    torch.testing.assert_close(cells.slack(noise, own), below, atol=1e-5 * d, rtol=1e-4)


def test_crossed_points_have_half_of_their_coordinates_from_another_point():
    generator = torch.Generator().manual_seed(0)
    codes, heights, noise = (torch.randn(shape, generator=generator) for shape in ((5_000, 100), (5_000,), (200, 100)))
    cells = Cells(codes)
    cells.set_heights(heights)
    points = torch.cat([torch.cat([noise[:, :50], noise.roll(-k, 0)[:, 50:]], 1) for k in range(3)])
    scores, chosen = points @ codes.T + heights, cells.crossed(noise, 3)
    torch.testing.assert_close(scores.gather(1, chosen[:, None])[:, 0], scores.max(1).values)
    # from many coordinates half as many tell little: points that share them are in one cell no more than others
    assert (chosen.view(3, 200)[0] == chosen.view(3, 200)[1]).float().mean() < 0.1


@pytest.mark.parametrize("prior", [otl.Gaussian(), otl.Uniform(), otl.Sphere(80)])
def test_many_coordinates(prior):
    """Priors with independent coordinates have crossed noise in their steps, others not."""
    ot = otl.SemiDiscreteOT(tolerance=0.1).fit(clouds(300, 80), prior)
    assert ot.converged and (ot._dual.crossings > 1) == (not isinstance(prior, otl.Radial))
    assert ot.mass_error(100_000, rng=0).high < 0.1


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
    left = state.with_name(f".{state.name}.abcd1234")
    left.touch()
    resumed = otl.SemiDiscreteOT(tolerance=0.03).fit(codes, resume=state)
    assert not left.exists()  # what a killed run has half written
    again = otl.SemiDiscreteOT(tolerance=0.03).fit(codes, resume=state)
    for ot in (resumed, again):
        np.testing.assert_array_equal(ot.heights, unbroken.heights)
        assert (ot.error, ot.cost, ot.steps) == (unbroken.error, unbroken.cost, unbroken.steps)
    assert {path.name for path in tmp_path.iterdir()} == {state.name, "state.lock"}
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
    means, known = ot._dual.cell_means
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
        (([[np.nan]],), ValueError, "codes must be finite"),
        (([[1e200], [1.0]],), ValueError, r"codes must not exceed 1e\+150, got 1e\+200"),
        (([["1"], ["2"]],), TypeError, "codes must be a number"),
        (([[1j], [2]],), TypeError, "codes must be"),
        ((np.ma.masked_array([[1.0], [2.0]], [[0], [1]]),), TypeError, "codes must not be a masked array"),
        (([[1.0], [2.0]], "normal"), TypeError, "prior must be a law"),
        (([[1.0], [2.0]], otl.Gaussian), TypeError, "prior must be a law"),
        (([[1.0], [2.0]], None, [1.0]), ValueError, r"weights must have shape \(2,\)"),
        (([[1.0], [2.0]], None, [1.0, 0.0]), ValueError, "weights must be positive"),
        (([[1.0], [2.0]], None, [1.0, np.inf]), ValueError, "weights must be finite"),
        (([[1.0], [2.0]], None, None, [1.0]), ValueError, r"heights must have shape \(2,\)"),
        (([[1.0], [2.0]], None, None, [np.nan, 0]), ValueError, "heights must be finite"),
        (([[1.0], [2.0]], otl.Sphere(3)), ValueError, "shape must end in d = 3"),
    ],
)
def test_bad_fits_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        otl.SemiDiscreteOT().fit(*arguments)


def test_bad_use_is_named():
    with pytest.raises(ValueError, match="tolerance must be positive"):
        otl.SemiDiscreteOT(tolerance=0)
    with pytest.raises(ValueError, match="tolerance must be positive and finite"):
        otl.SemiDiscreteOT(tolerance=np.inf)
    with pytest.raises(ValueError, match="max_steps must be at least 1"):
        otl.SemiDiscreteOT(max_steps=0)
    with pytest.raises(TypeError, match="max_steps must be a whole number"):
        otl.SemiDiscreteOT(max_steps=2.5)
    ot = otl.SemiDiscreteOT(tolerance=0.1)
    with pytest.raises(RuntimeError, match="call fit"):
        ot.transport(np.zeros((1, 2)))
    with pytest.raises(RuntimeError, match="call fit"):
        _ = ot.heights
    ot.fit([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match=r"z must have shape \(points, 2\)"):
        ot.transport(np.zeros((1, 3)))
    with pytest.raises(TypeError, match="z must be floating"):
        ot.cell(np.zeros((1, 2), dtype=int))
    with pytest.raises(TypeError, match="z must not be a masked array"):
        ot.cell(np.ma.masked_array(np.zeros((1, 2)), [[0, 1]]))
    with pytest.raises(ValueError, match="z holds NaN"):
        ot.potential(np.full((1, 2), np.nan))
    with pytest.raises(ValueError, match="n must be at least 3"):
        ot.mass_error(1)
    with pytest.raises(ValueError, match="angle must be between"):
        ot.extend(np.zeros((1, 2)), angle=-1)
    assert repr(ot) == "SemiDiscreteOT(tolerance=0.1, max_steps=20000)"


def test_coarse_tolerances_need_a_noise_point_for_each_code():
    """With fewer the bound of the certificate was that of no points at all, and the fit failed."""
    ot = otl.SemiDiscreteOT(tolerance=0.5).fit(clouds(8_000, 10))
    assert ot.converged and ot.mass_error(200_000, rng=0).value < 0.5


def test_a_fit_survives_pickle_and_copies():
    ot = otl.SemiDiscreteOT(tolerance=0.1).fit(clouds(50, 3))
    z = np.random.default_rng(1).standard_normal((20, 3))
    for twin in (pickle.loads(pickle.dumps(ot)), copy.deepcopy(ot)):
        np.testing.assert_array_equal(twin.transport(z), ot.transport(z))


def test_an_extension_with_a_slope_gives_the_spread_back():
    """Of Gaussian codes the map is linear: means of codes shrink it, slopes towards 1 do not."""
    codes = clouds(1_000, 8) - 0.5
    ot = otl.SemiDiscreteOT(tolerance=0.1).fit(codes)
    z = np.random.default_rng(1).standard_normal((4_000, 8))
    np.testing.assert_array_equal(ot.extend(z, slope=[0.0, 0.5])[0], ot.extend(z))
    extended = ot.extend(z, np.pi, np.array([0.0, 0.5, 1.0]))
    spread = [np.cov(x.T).trace() / np.cov(codes.T).trace() for x in extended]
    assert spread[0] < 0.6 and spread[0] < spread[1] < spread[2] and abs(spread[2] - 1) < 0.15


def test_workers_count_the_noise_of_certificates_with_the_same_bits():
    codes = clouds(300, 5) ** 3
    alone = otl.SemiDiscreteOT(tolerance=0.2).fit(codes)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        together = otl.SemiDiscreteOT(tolerance=0.2).fit(codes, executor=pool)
        assert together == alone and together.cost == alone.cost and together.error == alone.error
        assert together.mass_error(9_000, rng=0, executor=pool) == alone.mass_error(9_000, rng=0)
    with pytest.raises(TypeError, match="executor must be one of concurrent.futures, got 5"):
        alone.mass_error(9_000, executor=5)


def test_a_killed_worker_of_a_cluster_loses_no_count():
    ot = otl.SemiDiscreteOT(tolerance=0.2).fit(clouds(300, 5) ** 3)
    settings = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.CRITICAL}
    with LocalCluster(n_workers=2, **settings) as cluster, Client(cluster) as client:
        victim = next(iter(client.run(os.getpid).values()))
        Timer(0.2, os.kill, (victim, signal.SIGKILL)).start()
        counted = ot.mass_error(9_000, rng=0, executor=client.get_executor(pure=False))
    assert not psutil.pid_exists(victim) and counted == ot.mass_error(9_000, rng=0)


def test_as_many_points_as_codes_are_one_for_each():
    """Also where n (1 / n) is below 1 in floating point: cells were taken for empty, fits divided by zero."""
    n = next(n for n in range(3_000, 4_000) if n * (1 / n) < 1)
    codes = np.random.default_rng(0).standard_normal((n, 10))
    assert otl.SemiDiscreteOT(tolerance=0.5).fit(codes).converged
