"""Scores of sets of features, on laws where they are known and against plain implementations."""

import numpy as np
import pytest
from scipy import linalg
from scipy.spatial.distance import cdist

from ot_latent import scores
from ot_latent.scores import neighbours as _neighbours

RNG = np.random.default_rng


# Moments and the Frechet distance


@pytest.mark.parametrize("chunk", [1, 64, 1_000])
def test_moments_of_chunks_are_those_of_the_whole(chunk):
    x = 1e4 + RNG(0).standard_normal((1_000, 5)) * [1, 2, 3, 4, 0]
    moments = scores.FeatureStatistics(5)
    for start in range(0, 1_000, chunk):
        moments.update(x[start : start + chunk])
    assert moments.count == 1_000
    np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(moments.covariance, np.cov(x, rowvar=False), atol=1e-9)


def test_moments_of_two_machines_are_merged():
    x = RNG(0).standard_normal((90, 3))
    first, second = scores.FeatureStatistics.of(x[:20]), scores.FeatureStatistics.of(x[20:])
    first.merge(second)
    first.merge(scores.FeatureStatistics(3))
    np.testing.assert_allclose(first.covariance, np.cov(x, rowvar=False))


def test_frechet_distance_of_moments_is_that_of_features():
    x, y = RNG(0).standard_normal((300, 4)), RNG(1).standard_normal((200, 4)) + 1
    moments = [scores.FeatureStatistics.of(z) for z in (x, y)]
    assert scores.frechet_distance(*moments) == scores.frechet_distance(x, y)
    c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    cross = np.trace(linalg.sqrtm(c1 @ c2)).real
    means = ((x.mean(0) - y.mean(0)) ** 2).sum()
    expected = means + np.trace(c1) + np.trace(c2) - 2 * cross
    assert scores.frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def gaussian_bias(eigenvalues, n):
    """Of n samples of a Gaussian law against its true moments, to first order in 1/n.

    tr C / n for the mean; for the covariance, d^2(C, C + E) = sum E_ij^2 / (2 (l_i + l_j)) + ... in
    the eigenvectors of C, with E E_ij^2 = (l_i l_j + [i = j] l_i^2) / n.
    """
    first, second = np.meshgrid(eigenvalues, eigenvalues)
    squares = first * second + np.diag(eigenvalues**2)
    return (eigenvalues.sum() + (squares / (2 * (first + second))).sum()) / n


def test_bias_of_the_frechet_distance_is_found_and_removed():
    """Samples of the reference's own law: the distance is 0, the bias has a closed form."""
    eigenvalues = np.array([0.5, 1.0, 2.0, 4.0])
    reference = scores.FeatureStatistics(4)
    reference.count, reference.scatter = 2, np.diag(eigenvalues)  # the true moments
    rng = RNG(0)
    found = [scores.frechet_bias(rng.standard_normal((400, 4)) * eigenvalues**0.5, reference) for _ in range(200)]
    distances, biases, rests = np.transpose(found)
    expected = gaussian_bias(eigenvalues, 400)
    errors = np.std([distances, biases, rests], axis=1) / np.sqrt(200)
    assert abs(distances.mean() - expected) < 4 * errors[0]
    assert abs(biases.mean() - expected) < 4 * errors[1] + 0.02 * expected  # second order in 1/n
    assert abs(rests.mean()) < 4 * errors[2] + 0.02 * expected
    np.testing.assert_allclose(distances, biases + rests)


def test_bias_needs_parts_of_many_samples():
    x = RNG(0).standard_normal((100, 20))
    with pytest.raises(ValueError, match="2 d parts = 200"):
        scores.frechet_bias(x, x)


# The kernel distance


def test_kernel_distance_of_one_law_is_unbiased_and_its_error_right():
    """500 pairs of samples of one law: their mean is 0 and their scatter as stated."""
    rng = RNG(0)
    pairs = (rng.standard_normal((2, 200, 3)) for _ in range(500))
    values, errors = np.transpose([scores.kernel_distance(x, y, block=20) for x, y in pairs])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(500)
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.2)


def test_kernel_distance_of_two_laws_is_the_moments_distance():
    """(x.y / d + 1)^3 with d = 1 is 1 + 3xy + 3x^2y^2 + x^3y^3: moments 1 to 3 decide."""
    rng = RNG(0)
    x, y = rng.standard_normal((20_000, 1)), 0.5 + rng.standard_normal((20_000, 1))
    moments = np.array([[0, 1, 0], [0.5, 1.25, 0.5**3 + 3 * 0.5]])
    expected = (np.array([3, 3, 1]) * (moments[0] - moments[1]) ** 2).sum()
    value, error = scores.kernel_distance(x, y)
    assert abs(value - expected) < 4 * error
    assert error < 0.2 * expected


def test_kernel_distance_is_that_of_double_sums():
    x, y = RNG(0).standard_normal((40, 3)), RNG(1).standard_normal((55, 3))

    def kernel(a, b):
        return (a @ b / 3 + 1) ** 3

    values = []
    for i in range(2):
        u, v = x[i::2][:20], y[i::2][:20]
        others = [(p, q) for p in range(20) for q in range(20) if p != q]
        within = np.mean([kernel(u[p], u[q]) + kernel(v[p], v[q]) for p, q in others])
        values.append(within - 2 * np.mean([kernel(a, b) for a in u for b in v]))
    found = scores.kernel_distance(x, y, block=20)
    assert found == pytest.approx((np.mean(values), np.std(values, ddof=1) / np.sqrt(2)))


# Neighbours


def plain_neighbour_scores(samples, reference, k):
    """The definitions, point by point."""
    across = cdist(samples, reference)
    sample_radii = np.sort(cdist(samples, samples), axis=1)[:, k]
    reference_radii = np.sort(cdist(reference, reference), axis=1)[:, k]
    return (
        np.mean([(row <= reference_radii).any() for row in across]),
        np.mean([(column <= sample_radii).any() for column in across.T]),
        np.mean([(row <= reference_radii).sum() for row in across]) / k,
        np.mean([column.min() <= radius for column, radius in zip(across.T, reference_radii, strict=True)]),
    )


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbour_scores_are_those_of_their_definitions(k, monkeypatch):
    monkeypatch.setattr(_neighbours, "_BYTES", 8 * 170 * 30)  # pieces of 30 rows
    samples, reference = 0.8 * RNG(0).standard_normal((150, 6)), RNG(1).standard_normal((170, 6))
    expected = plain_neighbour_scores(samples, reference, k)
    assert scores.neighbour_scores(samples, reference, k) == pytest.approx(expected)


def test_neighbour_scores_of_a_set_and_itself_are_perfect():
    x = 1e3 + RNG(0).standard_normal((300, 10))
    assert scores.neighbour_scores(x, x)[:2] == (1, 1)
    assert scores.neighbour_scores(x, x).coverage == 1


def test_neighbour_scores_of_sets_far_apart_are_zero():
    x = RNG(0).standard_normal((100, 4))
    assert scores.neighbour_scores(x, x + 100) == (0, 0, 0, 0)


def test_a_set_of_one_mode_has_precision_and_no_recall():
    reference = np.concatenate([RNG(0).standard_normal((500, 2)) + shift for shift in (0, 50)])
    samples = RNG(1).standard_normal((1_000, 2))
    found = scores.neighbour_scores(samples, reference)
    assert found.precision > 0.95
    assert found.recall < 0.51
    assert found.coverage < 0.51


def test_neighbour_scores_of_one_law_are_their_expectations():
    """Naeem et al. (2020): density 1; coverage 1 - product over i < k of (n - 1 - i) / (2n - 1 - i)."""
    n, k, rng = 200, 5, RNG(0)
    found = [scores.neighbour_scores(*rng.standard_normal((2, n, 8)), k)[2:] for _ in range(100)]
    steps = np.arange(k)
    expected = [1, 1 - np.prod((n - 1 - steps) / (2 * n - 1 - steps))]
    errors = np.std(found, axis=0) / np.sqrt(100)
    assert (abs(np.mean(found, axis=0) - expected) < 4 * errors).all()


def test_copies_are_at_distance_zero():
    """Where squares of scalar products would leave rounding errors."""
    x = 1e3 * RNG(0).standard_normal((50, 64))
    assert (scores.nearest_distances(x[:10], x) == 0).all()
    copies = np.repeat(x[:5], 8, axis=0)
    assert scores.neighbour_scores(copies, copies, k=3).density == pytest.approx(8 / 3)


def test_nearest_distances_are_the_least_ones():
    x, y = RNG(0).standard_normal((30, 4)), RNG(1).standard_normal((40, 4))
    np.testing.assert_allclose(scores.nearest_distances(x, y), cdist(x, y).min(1))


# Memorisation


def test_fresh_samples_are_not_called_memorised():
    """200 tests at level 5 %: as many rejections as a binomial has, within four deviations."""
    rng = RNG(0)
    p = [scores.memorisation(*rng.standard_normal((3, 60, 4))).p_value for _ in range(200)]
    # tests that share their training set would be dependent; these do not
    assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 200)


def test_copies_with_a_little_noise_are_called_memorised():
    rng = RNG(0)
    training, held_out = rng.standard_normal((2, 500, 4))
    samples = training[:200] + 1e-3 * rng.standard_normal((200, 4))
    found = scores.memorisation(samples, training, held_out)
    assert found.ratio < 0.01
    assert found.p_value < 1e-10
    assert found.ratio == found.samples / found.held_out
    assert found.held_out == np.median(cdist(held_out, training).min(1))


# Errors

SETS = RNG(0).standard_normal((2, 20, 3))


@pytest.mark.parametrize(
    "score",
    [
        scores.frechet_distance,
        lambda x, y: scores.kernel_distance(x, y, block=5),
        scores.neighbour_scores,
        scores.nearest_distances,
        lambda x, y: scores.memorisation(x, y, y),
    ],
)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x[:, :2], "2"),
        (lambda x: x[0], r"shape \(n, d\)"),
        (lambda x: x[:0], r"shape \(n, d\)"),
        (lambda x: np.where(x > 1, np.nan, x), "finite"),
    ],
)
def test_what_are_no_features_is_refused(score, spoil, message):
    with pytest.raises(ValueError, match=message):
        score(SETS[0], spoil(SETS[1]))


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="at least 2 rows"):
        scores.frechet_distance(SETS[0], SETS[1][:1])
    with pytest.raises(ValueError, match="two blocks"):
        scores.kernel_distance(*SETS, block=11)
    with pytest.raises(ValueError, match="k must be"):
        scores.neighbour_scores(*SETS, k=20)
