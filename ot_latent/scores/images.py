"""Measures of images themselves: detail, saturation, where the detail is."""

import numpy as np
import torch
from torch.nn import functional

from ot_latent._arrays import at_least_single
from ot_latent.priors.laws import ByValue

_ROUNDING = 1e-4  # resizing leaves [0, 1] by as much, other ranges by far more


def unit_images(images: torch.Tensor, name: str = "images") -> torch.Tensor:
    """Images as all scores take them: a tensor (n, channels, h, w) in [0, 1], half precisions as float32.

    Raises
    ------
    ValueError
        If they have another shape or range, or there are none.
    TypeError
        If they are no floating tensor.
    """
    if not (isinstance(images, torch.Tensor) and images.is_floating_point()):
        got = getattr(images, "dtype", type(images).__name__)
        raise TypeError(f"{name} must be a floating torch tensor in [0, 1], got {got}: bytes are divided by 255")
    if images.ndim != 4 or not images.numel():
        raise ValueError(f"{name} must have shape (n, channels, height, width), got {tuple(images.shape)}")
    low, high = map(float, (images := images.detach()).aminmax())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise ValueError(
            f"{name} must be in [0, 1], got values from {low:g} to {high:g}: bring them there, as by "
            "(images + 1) / 2 from [-1, 1] or images / 255 from bytes"
        )
    return at_least_single(images)


def detail(images: torch.Tensor) -> np.ndarray:
    """Mean absolute difference of neighbouring pixels of each image: (n, channels, h, w) in [0, 1] -> (n,).

    Blur lowers it; noise raises it, too.
    """
    images = unit_images(images)
    down, right = (images.diff(dim=axis).abs().flatten(1).mean(1) for axis in (2, 3))
    return ((down + right) / 2).cpu().numpy()


def saturation(images: torch.Tensor) -> np.ndarray:
    """How far from grey each image is: (n, channels, h, w) in [0, 1] -> (n,).

    In colour, the largest less the smallest channel, averaged over pixels (the chroma of HSV). Grey
    images have none of it; of those it is the standard deviation of the pixels, which is small where
    everything is the same grey.
    """
    images = unit_images(images)
    if images.shape[1] == 1:
        return images.flatten(1).std(1, correction=0).cpu().numpy()
    return (images.amax(1) - images.amin(1)).flatten(1).mean(1).cpu().numpy()


_ROWS = 200  # images whose differences are held at a time


class LocalDetail(ByValue):
    """Where images have detail, fine and coarse, as features for `frechet_distance` and its like.

    The root mean square of the differences of neighbouring pixels, in per cent of white, in each cell of a grid of
    8x8, over all channels: of the images as they are, then of their means over 2x2 and over 4x4 pixels. This sees
    blur, which spreads an edge over more and smaller differences, and whether edges are where eyes, mouths and hair
    have theirs. It sees no colours, and it is no FID.

    Attributes
    ----------
    name : str
        What tables call it.

    Examples
    --------
    >>> images = torch.rand(20, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> LocalDetail().features(images).shape
    (20, 192)
    """

    name = "local detail"

    def features(self, images: torch.Tensor) -> np.ndarray:
        """(n, channels, h, w) in [0, 1], sides of 32 or more -> (n, 192), the 64 cells of the finest detail first.

        Raises
        ------
        ValueError
            If a side is below 32: a cell of the coarsest grid would be no pixel wide.
        """
        images = unit_images(images)
        if min(images.shape[2:]) < 32:
            raise ValueError(f"images must have sides of 32 pixels or more, got {tuple(images.shape)}")
        return np.concatenate([_local_detail(rows) for rows in images.split(_ROWS)])


def _local_detail(images: torch.Tensor) -> np.ndarray:
    cells = []
    for pixels in (1, 2, 4):
        level = functional.avg_pool2d(images, pixels)
        down = functional.pad(level.diff(dim=2), (0, 0, 0, 1))
        right = functional.pad(level.diff(dim=3), (0, 1))
        cells.append(functional.adaptive_avg_pool2d((down**2 + right**2).mean(1) / 2, 8).flatten(1))
    return (100 * torch.cat(cells, 1).sqrt()).cpu().numpy()
