"""Overlap of encoders and averages of images, against cases where both are known."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn
from torch.nn.functional import avg_pool2d

from ot_latent.datasets import to_square
from ot_latent.models.autoencoders import AVB
from ot_latent.paper.vegan.figure1_mnist import averaging, posterior_weights, sharpness
from ot_latent.scores import ratio_of_paired_means

IMAGES = np.random.default_rng(0).integers(256, size=(12, 64, 64), dtype=np.uint8)


class Known(nn.Module):
    """Codes on a line, one apart, of given deviation; decodes to grey."""

    def __init__(self, deviation, same=False):
        super().__init__()
        self.gaussian, self.deviation, self.same = deviation > 0, deviation, same
        self.unused = nn.Parameter(torch.zeros(1))
        self.squares = to_square(IMAGES)

    def encode(self, images):
        found = (images[:, None] == self.squares).flatten(2).all(2).float().argmax(1)
        return (torch.zeros_like(found) if self.same else found).float()[:, None]

    draw = encode

    def posterior(self, images):
        mean = self.encode(images)
        return mean, torch.full_like(mean, self.deviation).log() * 2

    def decode(self, codes):
        return torch.full((len(codes), 1, 64, 64), 0.5)


def test_weights_are_those_of_bayes():
    generator = torch.Generator().manual_seed(0)
    codes, mean, log_variance = (torch.randn(n, 2, generator=generator) for n in (5, 4, 4))
    density = norm.pdf(codes[:, None], mean, (log_variance / 2).exp()).prod(2)
    expected = density / density.sum(1, keepdims=True)
    np.testing.assert_allclose(posterior_weights(codes, mean, log_variance), expected, rtol=1e-5)


def test_blurred_images_are_less_sharp():
    images = to_square(IMAGES)
    assert (sharpness(avg_pool2d(images, 3, 1)) < 0.2 * sharpness(images)).all()
    board = torch.ones(6, 6)
    board[::2, ::2] = board[1::2, 1::2] = 0  # the Laplacian is 4 and -4 in turn
    assert sharpness(board[None, None]).item() == pytest.approx(16 * 16 / 15)


@pytest.mark.parametrize("deviation", [0, 1e-3])
def test_encoders_apart_decode_best_to_the_image_itself(deviation):
    found = averaging(Known(deviation), IMAGES, 12)
    np.testing.assert_array_equal(found.foreign, 0)
    np.testing.assert_allclose(found.others, 0, atol=1e-12)
    np.testing.assert_allclose(found.best, found.original, rtol=1e-4)
    np.testing.assert_allclose(found.to_best, found.error, rtol=1e-4)
    np.testing.assert_array_equal(found.spread, 0)  # the decoder is constant
    np.testing.assert_allclose(found.pictures[:, 2], found.pictures[:, 0], atol=1e-6)


@pytest.mark.parametrize(("deviation", "same"), [(1e4, False), (0, True)])
def test_encoders_that_agree_decode_best_to_the_mean(deviation, same):
    found = averaging(Known(deviation, same), IMAGES, 5, draws=3)
    mean = to_square(IMAGES).mean(0)
    np.testing.assert_allclose(found.others, 11 / 12, rtol=1e-2)
    np.testing.assert_allclose(found.pictures[:, 2], np.stack([mean[0]] * 5), atol=5e-3)
    assert (found.best < 0.2 * found.original).all()


def test_spread_is_the_variance_of_what_is_decoded():
    model = Known(2.0)
    model.decode = lambda codes: codes[:, :, None, None].expand(-1, 1, 64, 64)
    torch.manual_seed(0)
    found = averaging(model, IMAGES, 12, draws=400)
    np.testing.assert_allclose(found.spread, 4096 * 4, rtol=0.25)
    assert found.foreign.mean() == pytest.approx(1 - np.ptp(norm.cdf([-0.25, 0.25])), abs=0.1)


def test_what_has_no_answer_is_refused():
    with pytest.raises(ValueError, match="no density"):
        averaging(AVB(2, 4).eval(), IMAGES, 3)
    with pytest.raises(ValueError, match="probes between 1 and 12"):
        averaging(Known(0), IMAGES, 13)
    with pytest.raises(ValueError, match="at least 2"):
        averaging(Known(0), IMAGES, 3, draws=1)


def test_interval_of_a_paired_ratio_covers_it():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):
        second = rng.gamma(5.0, size=100)
        low, high = ratio_of_paired_means(0.7 * second + 0.1 * rng.standard_normal(100), second)[1]
        covered += low < 0.7 < high
    assert 0.91 < covered / 400 < 0.98
