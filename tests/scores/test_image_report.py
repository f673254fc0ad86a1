"""Features without a network, and the report on samples: known answers on pictures and on noise."""

import numpy as np
import pytest
import torch

from ot_latent import datasets, scores
from ot_latent.scores.reports import image_report


def drawn(n, seed):
    """Pictures (n, 32, 32, 3) uint8 of four coloured discs, each at its place, more or less."""
    rng, pixels = np.random.default_rng(seed), np.mgrid[:32, :32]
    images = np.zeros((n, 32, 32, 3))
    for home in [(10, 10), (10, 22), (22, 10), (22, 22)]:
        centre, radius = home + 2 * rng.standard_normal((n, 2)), 5 + rng.standard_normal(n)
        away = np.square(pixels - centre[:, :, None, None]).sum(1)
        colour = rng.uniform(0, 255, (n, 1, 1, 3))
        images = np.where((away < radius[:, None, None] ** 2)[..., None], colour, images)
    return images.astype(np.uint8)


@pytest.fixture(scope="module")
def pictures():
    """Pictures to train on, held out, and as samples, and their components."""
    images = drawn(1_200, 3)
    training, rest = images[:600], datasets.to_square(images[600:], 32)
    components = scores.PixelComponents(datasets.to_square(training, 32), 10)
    return training, rest[:300], rest[300:], components


def test_components_are_those_of_the_covariance():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((1024, 3)))[0]
    weights = rng.standard_normal((3_000, 3)) * [0.03, 0.02, 0.01]
    images = torch.from_numpy(0.5 + weights @ axes.T).float().reshape(-1, 1, 32, 32)
    for count in (3_000, 500):  # more images than pixels, and fewer
        components = scores.PixelComponents(images[:count], 3)
        features = components.features(images)
        spread = (weights[:count].std(0), features[:count].std(0))
        np.testing.assert_allclose(*spread, rtol=0.05)
        assert components.explained == pytest.approx(1, abs=1e-3)
        cosines = abs(np.corrcoef(features.T, weights.T)[:3, 3:])
        assert np.all(cosines.diagonal() > 0.99)
    assert components.name == "3 principal components of pixels"


def test_larger_images_are_averaged_first():
    small = torch.rand(30, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    large = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    first, second = (scores.PixelComponents(images, 4) for images in (small, large))
    np.testing.assert_allclose(abs(first.features(small)), abs(second.features(large)), atol=1e-4)


@pytest.mark.parametrize(
    ("images", "components", "message"),
    [
        (torch.zeros(5, 1, 32, 32), 5, "below the number of images, 5, got 5"),
        (torch.zeros(5, 1, 48, 48), 2, "multiple of 32"),
        (torch.zeros(5, 32, 32), 2, r"got \(5, 32, 32\)"),
    ],
)
def test_what_has_no_components_is_refused(images, components, message):
    with pytest.raises(ValueError, match=message):
        scores.PixelComponents(images, components)


def test_the_report_tells_pictures_from_blurred_ones_copies_and_noise(pictures):
    training, held_out, others, components = pictures
    generator = torch.Generator().manual_seed(0)
    samples = {
        "others": others,
        "blurred": torch.nn.functional.avg_pool2d(others, 5, 1, 2),
        "copies": datasets.to_square(training[:300], 32),
        "noise": torch.rand(others.shape, generator=generator),
        "one picture": (others[:1] + 0.01 * torch.randn(others.shape, generator=generator)).clip(0, 1),
    }
    report = image_report(samples, held_out, training, components)
    assert list(report) == list(samples)
    low, high = report["others"].detail_interval
    assert low < 1 < high
    low, high = report["others"].nearest_interval
    assert low < 1 < high
    assert report["copies"].nearest == 0
    assert report["blurred"].detail_interval[1] < 0.9 and report["noise"].detail > 2
    # the samples' own size leaves a bias; another law is far above it
    floor = report["others"].frechet_interval[1]
    assert report["noise"].frechet_interval[0] > 3 * floor
    assert report["one picture"].frechet_interval[0] > 3 * floor
    assert report["others"].frechet_interval[0] < report["others"].frechet < floor
    assert "nearest 0.00" in str(report["copies"])
    with pytest.raises(ValueError, match=r"WAE must be in \[0, 1\], got values from -1 to 1"):
        image_report({"WAE": 2 * others.round() - 1}, held_out, training, components)
    with pytest.raises(ValueError, match="held_out must be in"):
        image_report({}, 255 * held_out, training, components)
