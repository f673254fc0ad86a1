"""Measures of images themselves: detail, saturation, principal components of pixels."""

import numpy as np
import torch


def detail(images: torch.Tensor) -> np.ndarray:
    """Mean absolute difference of neighbouring pixels of each image: (n, channels, h, w) -> (n,).

    Blur lowers it; noise raises it, too.
    """
    down, right = (images.diff(dim=axis).abs().flatten(1).mean(1) for axis in (2, 3))
    return ((down + right) / 2).cpu().numpy()


def saturation(images: torch.Tensor) -> np.ndarray:
    """How far from grey each image is: (n, channels, h, w) -> (n,).

    In colour, the largest less the smallest channel, averaged over pixels (the chroma of HSV). Grey
    images have none of it; of those it is the standard deviation of the pixels, which is small where
    everything is the same grey.
    """
    if images.shape[1] == 1:
        return images.flatten(1).std(1, correction=0).cpu().numpy()
    return (images.amax(1) - images.amin(1)).flatten(1).mean(1).cpu().numpy()


_SIDE = 32  # details of two pixels of 64 are for `detail`, and 3 * 32² numbers an image are few
_ROWS = 1_000  # images that are projected at a time


class PixelComponents:
    """Principal components of pixels, as features for `frechet_distance` and its like.

    Images are averaged to 32x32 pixels and projected on the directions in which the fitted images vary
    most. This sees light, colours, pose and the shapes of faces; it knows nothing of eyes or mouths,
    and no detail finer than two pixels of 64. It is no FID.

    Parameters
    ----------
    images : (n, channels, side, side) tensor in [0, 1]
        To fit: training images. Sides are multiples of 32.
    components : int
        Number of features, below n.

    Attributes
    ----------
    name : str
        What tables call it.
    mean : (pixels,)
        Of the fitted images.
    axes : (pixels, components)
        The directions, orthonormal.
    explained : float
        Share of the variance of the fitted images that the components hold.

    Raises
    ------
    ValueError
        If there are not more images than components, or sides are no multiples of 32.

    Examples
    --------
    >>> images = torch.rand(20, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> PixelComponents(images, 5).features(images).shape
    (20, 5)
    """

    def __init__(self, images: torch.Tensor, components: int = 50) -> None:
        if not 1 <= components < len(images):
            raise ValueError(
                f"components must be at least 1 and below the number of images, {len(images)}, got {components}"
            )
        pixels = _pixels(images)
        self.mean = pixels.mean(0)
        centered = pixels - self.mean
        _, spread, directions = np.linalg.svd(centered, full_matrices=False)
        self.axes = directions[:components].T
        self.explained = float((spread[:components] ** 2).sum() / (spread**2).sum())
        self.name = f"{components} principal components of pixels"

    def features(self, images: torch.Tensor) -> np.ndarray:
        """(n, channels, side, side) in [0, 1] -> (n, components), the largest first."""
        return np.concatenate([(_pixels(rows) - self.mean) @ self.axes for rows in images.split(_ROWS)])


def _pixels(images: torch.Tensor) -> np.ndarray:
    if images.ndim != 4 or images.shape[2] % _SIDE or images.shape[3] % _SIDE:
        raise ValueError(
            "images must have shape (n, channels, side, side) with a side that is a multiple of "
            f"{_SIDE}, got {tuple(images.shape)}"
        )
    small = torch.nn.functional.interpolate(images, size=(_SIDE, _SIDE), mode="area")
    return small.flatten(1).cpu().numpy()
