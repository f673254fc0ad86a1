"""Images as networks take them: whole sets of bytes at a side, and their floats, chunk by chunk."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ot_latent._arrays import choice, count
from ot_latent.datasets import loaders
from ot_latent.datasets.pixels import to_square

#: Images that are worked on at a time: their floats at 128x128 in colour take 200 MB.
ROWS = 1_000
#: Images of CelebA's official training set; the last 19,962 of all are its test set.
CELEBA_TRAIN, CELEBA_TEST = 162_770, 19_962
#: The last of LLD's icons are held out, one part in so many.
LLD_HELD_OUT = 10

Images = tuple[np.ndarray, np.ndarray | None]


def _loaded(name: str, side: int, split: str, data_dir: str | Path | None) -> Images:
    """Images (n, h, w) or (n, h, w, 3) uint8, and labels or None."""
    test = split == "test"
    match name:
        case "mnist":
            return loaders.mnist(split, data_dir)
        case "cifar10":
            return loaders.cifar10(split, data_dir)
        case "fairface":
            return loaders.fairface(side, "val" if test else "train", data_dir), None
        case "logos":  # every tenth is for tests
            images = loaders.logos(data_dir)
            return images[(np.arange(len(images)) % 10 == 9) == test], None
        case "celeba":  # the official sets
            images = loaders.celeba(side, data_dir)
            return images[-CELEBA_TEST:] if test else images[:CELEBA_TRAIN], None
        case "lsun_bedrooms":
            return loaders.lsun_bedrooms(side, "val" if test else "train", data_dir), None
        case "lld_icons":
            images = loaders.lld_icons(data_dir=data_dir)
            known = len(images) - len(images) // LLD_HELD_OUT
            return images[known:] if test else images[:known], None
        case _:
            choices = "mnist, cifar10, fairface, logos, celeba, lsun_bedrooms, lld_icons"
            raise ValueError(f"name must be one of {choices}, got {name!r}")


def training_images(
    name: str, side: int, split: str = "train", data_dir: str | Path | None = None, most: int | None = None
) -> Images:
    """The images of a set, resized, as bytes.

    Parameters
    ----------
    name : str
        "mnist", "cifar10", "fairface", "logos", of which every tenth is for tests, "celeba", "lsun_bedrooms" or
        "lld_icons", of which the last tenth is.
    side : int
        In pixels.
    split : "train" or "test"
    data_dir : path, optional
        Folder of the data sets.
    most : int, optional
        Take only so many, the first ones.

    Returns
    -------
    images : (n, channels, side, side) uint8
        Memory-mapped where the set is.
    labels : (n,) uint8, or None where the set has none

    Raises
    ------
    ValueError
        If the set or the split is not known.
    MissingDataError
        If a part of it is neither here nor to be downloaded.
    """
    choice(split, "split", ("train", "test"))
    if most is not None:
        count(most, "most")
    images, labels = _loaded(name, side, split, data_dir)
    images, labels = images[:most], None if labels is None else labels[:most]
    planes = images[:, None] if images.ndim == 3 else np.moveaxis(images, 3, 1)
    if images.shape[1:3] == (side, side):
        return planes, labels
    resized = np.empty((*planes.shape[:2], side, side), np.uint8)
    for first in range(0, len(images), ROWS):
        rows = slice(first, first + ROWS)
        resized[rows] = to_square(images[rows], side).mul_(255).round_().byte().numpy()
    return resized, labels


def channels_last(images: np.ndarray) -> np.ndarray:
    """What `training_images` gives, as the loaders of `datasets` give it: a view."""
    return images[:, 0] if images.shape[1] == 1 else np.moveaxis(images, 1, 3)


def digest(images: np.ndarray) -> str:
    """md5 of the bytes of images, chunk by chunk: they may be memory-mapped."""
    md5 = hashlib.md5(usedforsecurity=False)
    for first in range(0, len(images), ROWS):
        md5.update(images[first : first + ROWS].tobytes())
    return md5.hexdigest()


def as_floats(images: torch.Tensor) -> torch.Tensor:
    """Bytes as network input in [0, 1]."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def float_chunks(images: np.ndarray) -> Iterator[torch.Tensor]:
    """All images as network input, so many at a time that the floats fit any memory."""
    for first in range(0, len(images), ROWS):
        yield as_floats(torch.tensor(images[first : first + ROWS]))
