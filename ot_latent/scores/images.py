"""Measures of images themselves: detail, saturation, principal components of pixels."""

import numpy as np
import torch

from ot_latent._arrays import at_least_single, count

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
        images = unit_images(images)
        count(components, "components")
        if components >= len(images):
            raise ValueError(f"components must be below the number of images, {len(images)}, got {components}")
        pixels = _pixels(images)
        self.mean = pixels.mean(0)
        centered = pixels - self.mean
        _, spread, directions = np.linalg.svd(centered, full_matrices=False)
        self.axes = directions[:components].T
        self.explained = float((spread[:components] ** 2).sum() / (spread**2).sum())
        self.name = f"{components} principal components of pixels"

    def features(self, images: torch.Tensor) -> np.ndarray:
        """(n, channels, side, side) in [0, 1] -> (n, components), the largest first."""
        return np.concatenate([(_pixels(rows) - self.mean) @ self.axes for rows in unit_images(images).split(_ROWS)])


def _pixels(images: torch.Tensor) -> np.ndarray:
    if images.shape[2] % _SIDE or images.shape[3] % _SIDE:
        raise ValueError(
            "images must have shape (n, channels, side, side) with a side that is a multiple of "
            f"{_SIDE}, got {tuple(images.shape)}"
        )
    small = torch.nn.functional.interpolate(images, size=(_SIDE, _SIDE), mode="area")
    return small.flatten(1).cpu().numpy()
