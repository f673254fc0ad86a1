"""Scores on cases whose value is known."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import linalg, stats

import ot_latent as otl
from ot_latent import datasets, scores
from ot_latent.models.autoencoders import Autoencoder
from ot_latent.models.classifiers import DigitClassifier


def test_inception_score_of_uniform_labels_is_one():
    assert scores.inception_score(np.full((100, 10), 0.1)) == pytest.approx((1, 0))


def test_inception_score_of_balanced_certain_labels_is_the_number_of_classes():
    certain = np.eye(10)[np.arange(100) % 10]
    assert scores.inception_score(certain) == pytest.approx((10, 0))
    assert scores.inception_interval(certain)[1] <= 10


def test_inception_score_of_one_certain_label_is_one():
    assert scores.inception_score(np.eye(10)[np.zeros(100, int)])[0] == pytest.approx(1)


def test_inception_score_is_the_mean_over_splits():
    rows = np.random.default_rng(0).dirichlet(np.ones(4), size=50)
    values = []
    for part in np.split(rows, 5):
        divergences = (part * np.log(part / part.mean(0))).sum(1)
        values.append(np.exp(divergences.mean()))
    expected = np.mean(values), np.std(values)
    assert scores.inception_score(rows, splits=5) == pytest.approx(expected)
    low, high = scores.inception_interval(rows)
    assert low < scores.inception_score(rows, splits=1)[0] * 1.1
    assert low < high


def test_splits_of_a_count_that_ten_does_not_divide_are_those_of_salimans():
    rows = np.random.default_rng(0).dirichlet(np.ones(4), size=57)
    parts = [rows[i * 57 // 10 : (i + 1) * 57 // 10] for i in range(10)]
    values = [np.exp((part * np.log(part / part.mean(0))).sum(1).mean()) for part in parts]
    assert scores.inception_score(rows) == pytest.approx((np.mean(values), np.std(values)))


@pytest.mark.parametrize("chunk", [1, 7, 64, 501])
def test_probabilities_may_come_in_chunks(chunk):
    rows = np.random.default_rng(0).dirichlet(np.ones(4), size=501)
    statistics = scores.InceptionStatistics(501, 4, blocks=20)
    for start in range(0, 501, chunk):
        statistics.update(rows[start : start + chunk])
    assert statistics.score(splits=1) == pytest.approx(scores.inception_score(rows, splits=1))
    parts = np.split(rows, [i * 501 // 10 for i in range(1, 10)])
    values = [scores.inception_score(part, splits=1)[0] for part in parts]
    assert statistics.score(splits=10) == pytest.approx((np.mean(values), np.std(values)))


def test_error_of_the_log_of_a_score_is_that_of_its_scatter():
    """Mean of 300 stated errors against the scatter of 300 scores, within four standard errors."""
    rng = np.random.default_rng(0)
    logs = []
    for _ in range(300):
        statistics = scores.InceptionStatistics(1_000, 5)
        statistics.update(rng.dirichlet(np.full(5, 0.3), size=1_000))
        logs.append(statistics.log_score())
    values, errors = np.transpose(logs)
    assert errors.mean() == pytest.approx(values.std(), rel=4 / np.sqrt(2 * 300))


def test_statistics_refuse_what_was_not_announced():
    statistics = scores.InceptionStatistics(200, 3)
    statistics.update(np.full((150, 3), 1 / 3))
    with pytest.raises(ValueError, match="200 images were announced, 150 came"):
        statistics.score()
    with pytest.raises(ValueError, match="shape"):
        statistics.update(np.full((10, 2), 1 / 2))
    with pytest.raises(ValueError, match="sum to 1"):
        statistics.update(np.full((10, 3), np.nan))
    with pytest.raises(ValueError, match="250 images came"):
        statistics.update(np.full((100, 3), 1 / 3))
    statistics.update(np.full((50, 3), 1 / 3))
    with pytest.raises(ValueError, match="divide"):
        statistics.score(splits=7)
    with pytest.raises(ValueError, match="blocks"):
        scores.InceptionStatistics(199, 3)


@pytest.mark.parametrize(
    ("rows", "message"), [(np.ones((20, 2)), "sum to 1"), (np.full((3, 2), 0.5), "n >= 10"), (np.ones(9), "shape")]
)
def test_what_is_no_probability_is_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        scores.inception_score(rows)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rows_are_divided_by_their_sums(dtype):
    """Ten classes in half precision: sums are off by 3e-4 and more; the score is that of the rows themselves."""
    logits = 3 * torch.randn(2_000, 10, generator=torch.Generator().manual_seed(0))
    exact = logits.softmax(1).numpy()
    rows = logits.softmax(1).to(dtype).double().numpy()
    assert abs(rows.sum(1) - 1).max() > 2e-4
    found, whole, expected = (
        scores.inception_score(p, splits=1)[0] for p in (rows, rows / rows.sum(1, keepdims=True), exact)
    )
    assert found == pytest.approx(whole, rel=1e-12)
    assert found == pytest.approx(expected, rel=1e-3)
    assert scores.inception_interval(rows) == pytest.approx(scores.inception_interval(exact), rel=1e-3)
    with pytest.raises(ValueError, match="sum to 1"):
        scores.inception_score(0.98 * exact)


@pytest.mark.parametrize("splits", [0, -5, 2.5, "10", True])
def test_what_is_no_number_of_splits_is_refused(splits):
    with pytest.raises((TypeError, ValueError), match="splits must be"):
        scores.inception_score(np.full((20, 2), 0.5), splits)


def with_moments(mean, covariance, n=400, seed=0):
    """Points whose empirical moments are exactly the given ones."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x -= x.mean(0)
    x = x @ linalg.inv(linalg.sqrtm(np.cov(x, rowvar=False)).real)
    return mean + x @ linalg.sqrtm(covariance).real


def random_covariance(seed, d=4):
    root = np.random.default_rng(seed).standard_normal((d, d))
    return root @ root.T + 0.1 * np.eye(d)


def test_frechet_distance_of_gaussians_is_the_closed_form():
    c1, c2 = random_covariance(0), random_covariance(1)
    m1, m2 = np.zeros(4), np.array([1.0, -2.0, 0.5, 3.0])
    first, second = with_moments(m1, c1), with_moments(m2, c2, seed=1)
    cross = np.trace(linalg.sqrtm(c1 @ c2)).real
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross
    assert scores.frechet_distance(first, second) == pytest.approx(expected, rel=1e-8)
    assert scores.frechet_distance(second, first) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_of_singular_covariances():
    """Diagonal covariances: the distance is |m1 - m2|^2 + sum (s1 - s2)^2, zeros included."""
    s1, s2 = np.array([1.0, 0.0, 2.0, 0.0]), np.array([0.0, 0.0, 3.0, 1.5])
    x, y = (with_moments(np.zeros(4), np.eye(4), seed=seed) for seed in (0, 1))
    distance = scores.frechet_distance(x * s1, 1 + y * s2)
    assert distance == pytest.approx(4 + ((s1 - s2) ** 2).sum(), rel=1e-6)
    assert scores.frechet_distance(x * s1, x * s1) == pytest.approx(0, abs=1e-6)


def test_fewer_points_than_dimensions_do_not_break_the_distance():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((10, 64)), rng.standard_normal((12, 64))
    assert 0 < scores.frechet_distance(first, second) < np.inf


@pytest.mark.parametrize(("n", "d"), [(30, 8), (30, 200), (300, 200)])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_frechet_distance_of_a_shift_is_its_square(n, d, scale):
    """Also with fewer points than dimensions, and with dimensions of no variance: no root of a rounding error."""
    x = scale * np.random.default_rng(0).standard_normal((n, d))
    x[:, : d // 8] = 3.0
    shift = np.full(d, 5e-4)
    error = 1e-14 * d * np.linalg.norm(np.cov(x, rowvar=False), 2)
    for first, second in ((x, x + shift), (scores.FeatureStatistics.of(x), scores.FeatureStatistics.of(x + shift))):
        assert scores.frechet_distance(first, second) == pytest.approx((shift**2).sum(), abs=error)
    assert 0 <= scores.frechet_distance(x, x) < error


@pytest.mark.parametrize(("n", "m"), [(20, 25), (20, 90), (90, 80), (90, 20)])
def test_frechet_distance_is_that_of_singular_values(n, m):
    """The cross term is the sum of singular values of X Yᵀ, centred, whatever the ranks."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, 60)) * np.exp(-np.linspace(0, 12, 60)), rng.standard_normal((m, 60))
    a, b = ((z - z.mean(0)) / np.sqrt(len(z) - 1) for z in (x, y))
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * linalg.svdvals(a @ b.T).sum()
    assert scores.frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)
    assert scores.frechet_distance(y, x) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "m", "d"), [(47, 200, 6), (47, 200, 60), (47, 30, 60), (300, 30, 60)])
def test_jackknife_interval_is_that_of_sets_without_a_block(n, m, d):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, d)) + 1, rng.standard_normal((m, d))
    x[0] *= 50  # one block has most of the variance
    left = [scores.frechet_distance(np.delete(x, np.s_[block::20], 0), y) for block in range(20)]
    half = stats.t.isf(0.025, 19) * np.sqrt(19**2 / 20 * np.var(left, ddof=1))
    value = scores.frechet_distance(x, y)
    assert scores.frechet_interval(x, y) == pytest.approx((value - half, value + half), rel=1e-6)


def test_jackknife_interval_decomposes_covariances_once(monkeypatch):
    """And takes eigenvalues, no vectors, of a matrix of the smaller side for each block."""
    calls = []

    def counted(name, function, matrix, *args, **settings):
        calls.append((name, min(matrix.shape)))
        return function(matrix, *args, **settings)

    for module, name in ((linalg.lapack, "dpstrf"), (linalg, "svdvals"), (linalg, "eigvalsh"), (linalg, "eigh")):
        monkeypatch.setattr(module, name, partial(counted, name, getattr(module, name)))
    scores.frechet_interval(*np.random.default_rng(0).standard_normal((2, 40, 100)))
    assert [side for name, side in calls if name == "dpstrf"] == [100, 100]
    assert [side for name, side in calls if name == "svdvals"] == [39]
    assert [side for name, side in calls if name.startswith("eig")] == [39] * 20


def test_jackknife_needs_a_row_in_each_block():
    x = np.random.default_rng(0).standard_normal((20, 2))
    with pytest.raises(ValueError, match="each of 20 blocks, got 19 rows"):
        scores.frechet_interval(x[:19], x)


def test_jackknife_interval_has_the_width_of_the_scatter():
    """Half widths of 40 samples against 1.96 standard deviations of their distances, within a third."""
    rng = np.random.default_rng(0)
    reference = 0.5 + rng.standard_normal((3_000, 4))
    draws = [rng.standard_normal((1_000, 4)) for _ in range(40)]
    scatter = np.std([scores.frechet_distance(x, reference) for x in draws])
    half = np.mean([np.diff(scores.frechet_interval(x, reference))[0] / 2 for x in draws])
    assert half == pytest.approx(1.96 * scatter, rel=0.33)


def test_interval_of_a_ratio_covers_at_its_level():
    """2,000 ratios of means: between 93 % and 97 % of the intervals hold the true one."""
    rng = np.random.default_rng(0)
    intervals = [scores.ratio_of_means(rng.normal(3, 0.5, 40), rng.normal(2, 0.3, 60))[1] for _ in range(2_000)]
    assert 0.93 < np.mean([low <= 1.5 <= high for low, high in intervals]) < 0.97


def test_wilson_interval_covers_at_its_level():
    """4,000 binomials: 95 % coverage within four standard errors of the count."""
    drawn = np.random.default_rng(0).binomial(200, 0.97, size=4_000)
    intervals = {k: scores.proportion_interval(int(k), 200) for k in set(drawn)}
    covered = np.mean([intervals[k][0] <= 0.97 <= intervals[k][1] for k in drawn])
    exact = sum(stats.binom.pmf(k, 200, 0.97) for k, (low, high) in intervals.items() if low <= 0.97 <= high)
    assert abs(covered - exact) < 4 * np.sqrt(0.05 * 0.95 / 4_000) + 1e-3
    assert exact > 0.93


def test_networks_are_applied_in_chunks():
    """Of 100 images: a whole one and a part."""
    torch.manual_seed(0)
    model, classifier = Autoencoder(3, 4).eval(), DigitClassifier().eval()
    pixels = np.random.default_rng(0).integers(0, 255, (103, 28, 28), dtype=np.uint8)
    images = datasets.to_square(pixels)
    with torch.inference_mode():
        codes = model.encode(images)
        decoded = model.decode(codes)
        errors = (images - decoded).square().sum((1, 2, 3))
        near = {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(scores.encode(model, pixels), codes, **near)
        assert scores.encode(model, pixels[:0]).shape == (0, 3)
        torch.testing.assert_close(scores.decode(model, codes), decoded, **near)
        np.testing.assert_allclose(scores.reconstruction_errors(model, images), errors, **near)
        seen = scores.features(classifier, images)
        np.testing.assert_allclose(seen, classifier.features(images), **near)
        expected = classifier(images).softmax(1)
        np.testing.assert_allclose(scores.predictions(classifier, seen), expected, **near)


def test_detail_falls_with_blur():
    sharp = torch.zeros(1, 3, 8, 8)
    sharp[..., 4:] = 1.0
    assert scores.detail(sharp) == pytest.approx(1 / 14)  # one step in seven differences, one way
    assert scores.detail(torch.full((1, 1, 8, 8), 0.4)) == 0
    assert scores.detail(torch.cat([sharp, 0.5 * sharp]))[1] == pytest.approx(1 / 28)
    checker = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * torch.ones(1, 1, 1, 1)
    assert scores.detail(checker) == pytest.approx(1)
    assert scores.detail(torch.nn.functional.avg_pool2d(checker, 2, 1)) == 0


def test_saturation_is_chroma_in_colour_and_contrast_in_grey():
    red, grey = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.3)
    red[:, 0] = 1.0
    pale = 0.5 + 0.5 * red
    assert scores.saturation(torch.cat([red, grey, pale])) == pytest.approx([1, 0, 0.5])
    halves = torch.tensor([0.0, 1.0]).repeat(8).view(1, 1, 4, 4)
    assert scores.saturation(halves) == pytest.approx(0.5)
    assert scores.saturation(0.2 + 0.5 * halves) == pytest.approx(0.25)


def test_paths_have_the_steps_and_ends_that_they_were_made_with():
    """On straight paths at speeds known in closed form; matched operations keep their ends to the bit."""
    start, goal = np.zeros((4, 3)), np.ones((4, 3))
    t = np.linspace(0, 1, 11)[:, None, None]
    even = scores.path_metrics(start + t * (goal - start), start, goal)
    assert even == (pytest.approx(0, abs=1e-12), pytest.approx(1), (0, 0))
    # steps of t² grow as 1, 3, ..., 2m - 1: their mean is m, their variance (m² - 1) / 3
    m = 10
    quick = scores.path_metrics(t * goal, start, goal, features=t**2 * goal)
    assert quick.variation == pytest.approx(((m * m - 1) / 3) ** 0.5 / m)
    assert quick.longest == pytest.approx((2 * m - 1) / m)
    missed = scores.path_metrics(t * goal, start, goal + [0, 3, 4])
    assert missed.ends == (0, pytest.approx(5))
    still = scores.path_metrics(np.ones((3, 2, 2)), np.ones((2, 2)), np.ones((2, 2)))
    assert still == (0, 1, (0, 0))
    z = otl.Uniform(-1, 1).sample((2, 50, 8), rng=0)
    matched = otl.interpolate(*z, t, prior=otl.Uniform(-1, 1))
    assert scores.path_metrics(matched, z[1], z[0]).ends == (0, 0)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(1, 4, 2), (4, 2), (4, 2)], "path must be finite, of shape"),
        ([(3, 4, 2), (4, 3), (4, 2)], "in common"),
        ([(3, 4, 2), (4, 2), (4, 2), (2, 4, 5)], "in common"),
        ([(3, 4, 2), (4, 2), (4, 2), (3, 4)], "features must be"),
    ],
)
def test_paths_that_are_none_are_refused(shapes, message):
    with pytest.raises(ValueError, match=message):
        scores.path_metrics(*map(np.zeros, shapes))
