"""Local detail: known answers on stripes, and what tells blurred pictures from sharp ones."""

import numpy as np
import pytest
import torch

from ot_latent import scores

LOCAL = scores.LocalDetail()


def stripes(width, side=64):
    """One image (1, 1, side, side) of upright stripes, black and white."""
    return (torch.arange(side) // width % 2).float().expand(1, 1, side, side)


def test_stripes_have_the_detail_of_their_edges():
    """Of neighbours to the right, one in so many pixels differs; of those below, none."""
    fine, half, quarter = LOCAL.features(stripes(4)).reshape(3, 8, 8)
    for level, pixels in ((fine, 64), (half, 32), (quarter, 16)):
        np.testing.assert_allclose(level[:, :-1], 100 * (16 / pixels / 2) ** 0.5, rtol=1e-5)
        assert (level**2).mean() == pytest.approx(100**2 * 15 / pixels / 2, rel=1e-5)  # no neighbour at the rim


def test_cells_are_where_the_detail_is():
    image = torch.full((1, 3, 128, 128), 0.5)
    image[:, 1, 32:48, 96:112] = torch.rand(16, 16, generator=torch.Generator().manual_seed(0))
    cells = LOCAL.features(image).reshape(3, 8, 8)
    assert [np.unravel_index(level.argmax(), (8, 8)) for level in cells] == [(2, 6)] * 3
    far = np.ones((8, 8), bool)
    far[1:4, 5:8] = False
    assert abs(cells[:, far]).max() < 1e-5 < cells[:, 2, 6].min()


def test_blur_takes_fine_detail_and_moves_the_frechet_distance():
    rng = np.random.default_rng(3)
    pixels, images = np.mgrid[:64, :64], np.zeros((600, 64, 64))
    for home in [(20, 20), (20, 44), (44, 20), (44, 44)]:  # four discs, each at its place, more or less
        centre, radius = home + 4 * rng.standard_normal((600, 2)), 9 + 2 * rng.standard_normal(600)
        inside = np.square(pixels - centre[:, :, None, None]).sum(1) < radius[:, None, None] ** 2
        images = np.where(inside, rng.uniform(0, 1, (600, 1, 1)), images)
    sharp = torch.from_numpy(images[:, None]).float()
    seen, others, blurred = (
        LOCAL.features(part)
        for part in (sharp[:300], sharp[300:], torch.nn.functional.avg_pool2d(sharp[300:], 5, 1, 2))
    )
    fine, coarse = ((blurred[:, cells].mean() / others[:, cells].mean()) for cells in (slice(64), slice(128, 192)))
    assert fine < 0.9 and coarse > fine + 0.05
    floor = scores.frechet_interval(others, seen)[1]
    assert scores.frechet_interval(blurred, seen)[0] > floor


def test_images_too_small_for_the_grid_are_refused():
    with pytest.raises(ValueError, match=r"sides of 32 pixels or more, got \(2, 3, 64, 28\)"):
        LOCAL.features(torch.zeros(2, 3, 64, 28))
