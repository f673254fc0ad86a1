"""Scores of sets of features, on laws where they are known and against plain implementations."""

import numpy as np
import pytest
import torch
from scipy import linalg
from scipy.spatial.distance import cdist

from ot_latent import scores

RNG = np.random.default_rng


# Moments and the Fréchet distance


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
    assert {type(number) for number in found[0]} == {float}
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


# Neighbours


def test_copies_are_at_distance_zero():
    """Where squares of scalar products would leave rounding errors."""
    x = 1e3 * RNG(0).standard_normal((50, 64))
    assert (scores.nearest_distances(x[:10], x) == 0).all()


@pytest.mark.parametrize(("n", "m"), [(30, 40), (2_000, 6_000)])  # 96 MB of distances are cut into pieces
def test_nearest_distances_are_the_least_ones(n, m):
    x, y = RNG(0).standard_normal((n, 4)), RNG(1).standard_normal((m, 4))
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
    "score", [scores.frechet_distance, scores.nearest_distances, lambda x, y: scores.memorisation(x, y, y)]
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


@pytest.mark.parametrize(
    "score",
    [
        scores.frechet_distance,
        lambda x, y: scores.frechet_distance(x, scores.FeatureStatistics.of(y)),
        scores.nearest_distances,
        lambda x, y: scores.mode_coverage(x, y, 1),
        lambda x, y: scores.transport_report({}, x, y, block=6),
        lambda x, y: scores.inception_score(y),
        lambda x, y: scores.circulation(np.cos, y[None]),
    ],
)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x + 1j,
        lambda x: np.ma.masked_array(x, x > 1),
        lambda x: x.astype(str),
        lambda x: x.astype("datetime64[s]"),
        lambda x: x.astype(object),
    ],
)
def test_numbers_that_would_lose_a_part_are_refused(score, spoil):
    with pytest.raises(TypeError, match="must"):
        score(SETS[0], spoil(SETS[1]))


def test_whole_numbers_lists_and_tensors_are_features():
    whole = np.round(10 * SETS).astype(int)
    expected = scores.frechet_distance(*whole.astype(float))
    for sets in (whole, whole.tolist(), torch.from_numpy(whole), torch.from_numpy(whole).float()):
        assert scores.frechet_distance(*sets) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, [0, 0], np.eye(2)), "count must be at least 2"),
        ((2.5, [0, 0], np.eye(2)), "count must be a whole number"),
        ((9, [0, 0, 0], np.eye(2)), "mean must have 2 columns"),
        ((9, [0, 0], np.eye(2, 3)), r"covariance must have shape \(d, d\)"),
        ((9, [0, np.nan], np.eye(2)), "mean must be finite"),
    ],
)
def test_what_are_no_moments_is_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        scores.FeatureStatistics.from_moments(*arguments)


@pytest.mark.parametrize("parts", [1, 0, -3, 2.5, "5"])
def test_what_is_no_number_of_parts_is_refused(parts):
    with pytest.raises((TypeError, ValueError), match="parts must be"):
        scores.frechet_bias(*SETS, parts)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="at least 2 rows"):
        scores.frechet_distance(SETS[0], SETS[1][:1])
