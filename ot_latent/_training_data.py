"""Images for training: whole sets of bytes, and batches of them on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from ot_latent import datasets, face_sets

#: Images that are worked on at a time.
ROWS = 1_000

Images = tuple[np.ndarray, np.ndarray | None]


def _mnist(side: int, split: str, data_dir, most: int | None) -> Images:
    return datasets.mnist(split, data_dir)


def _cifar10(side: int, split: str, data_dir, most: int | None) -> Images:
    """Of those batches that are at hand; a warning names them if some are missing."""
    return datasets.cifar10(split, data_dir, partial=True)


def _icons(side: int, split: str, data_dir, most: int | None) -> Images:
    """Both sets of icons at 32 pixels, the smaller ones with pixels doubled; every tenth is for tests."""
    large, small = (datasets.icons(name, data_dir) for name in ("crypto32", "fugue16"))
    images = np.concatenate([large, small.repeat(2, axis=1).repeat(2, axis=2)])
    held_out = np.arange(len(images)) % 10 == 9
    return images[held_out if split == "test" else ~held_out], None


def _faces(name: str) -> Callable[..., Images]:
    return lambda *arguments: (face_sets.load(name, *arguments), None)


#: Images (n, h, w) or (n, h, w, 3) uint8 and labels, or None, by name, from (side, split, data_dir,
#: most): a set that takes long may return the first images only, as many as are wanted.
_SETS: dict[str, Callable[..., Images]] = {
    "mnist": _mnist,
    "cifar10": _cifar10,
    "icons": _icons,
    **{name: _faces(name) for name in face_sets.NAMES},
}


def training_images(
    name: str,
    side: int,
    split: str = "train",
    data_dir: str | Path | None = None,
    most: int | None = None,
) -> Images:
    """The images of a set, resized, as bytes.

    Parameters
    ----------
    name : str
        "mnist"; "cifar10", of which those batches are taken that are here; "icons", both sets of
        `datasets.icons`, every tenth for tests; or one of `face_sets.NAMES`.
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
    """
    if name not in _SETS:
        raise ValueError(f"name must be one of {', '.join(_SETS)}, got {name!r}")
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    images, labels = _SETS[name](side, split, data_dir, most)
    return _resized(images[:most], side), None if labels is None else labels[:most]


def _resized(images: np.ndarray, side: int) -> np.ndarray:
    planes = images[:, None] if images.ndim == 3 else np.moveaxis(images, 3, 1)
    if images.shape[1:3] == (side, side):
        return planes
    resized = np.empty((*planes.shape[:2], side, side), np.uint8)
    for first in range(0, len(images), ROWS):
        rows = slice(first, first + ROWS)
        resized[rows] = datasets.to_square(images[rows], side).mul_(255).round_().byte().numpy()
    return resized


def channels_last(images: np.ndarray) -> np.ndarray:
    """What `training_images` gives, as the loaders of `datasets` give it: a view."""
    return images[:, 0] if images.shape[1] == 1 else np.moveaxis(images, 1, 3)


def digest(images: np.ndarray) -> str:
    """md5 of the bytes of images, chunk by chunk: they may be memory-mapped."""
    md5 = hashlib.md5(usedforsecurity=False)
    for first in range(0, len(images), ROWS):
        md5.update(np.ascontiguousarray(images[first : first + ROWS]))
    return md5.hexdigest()


def as_floats(images: torch.Tensor) -> torch.Tensor:
    """Bytes as network input in [0, 1]."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def float_chunks(images: np.ndarray) -> Iterator[torch.Tensor]:
    """All images as network input, so many at a time that the floats fit any memory."""
    for first in range(0, len(images), ROWS):
        yield as_floats(torch.tensor(images[first : first + ROWS]))


class Batches:
    """The batches of each step: which rows they hold depends on the seed and the step alone.

    Parameters
    ----------
    images, labels
        From `training_images`. A GPU keeps them if they take less than half of its free memory.
    batch : int
        Images in a batch, over all processes.
    turns : int
        Batches in a step.
    share : (int, int)
        Number of this process and of all.

    Raises
    ------
    ValueError
        If there are fewer images than a step takes, or the processes cannot share a batch evenly.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None,
        *,
        batch: int,
        turns: int,
        seed: int,
        device: torch.device,
        share: tuple[int, int],
    ) -> None:
        if batch % share[1]:
            raise ValueError(f"{share[1]} processes cannot share batches of {batch} images evenly")
        self.count = len(images)
        self.steps_per_epoch = self.count // (batch * turns)
        if not self.steps_per_epoch:
            raise ValueError(
                f"{self.count} images are fewer than a step takes: {turns} batches of {batch}"
            )
        self.batch, self.turns, self.seed, self.share = batch, turns, seed, share
        self.device = device
        self.arrays = [images] if labels is None else [images, labels.astype(np.int64)]
        self.resident = device.type == "cuda" and _fits(self.arrays, device)
        if self.resident:
            self.arrays = [torch.tensor(array, device=device) for array in self.arrays]
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __call__(self, step: int) -> list[list[torch.Tensor]]:
        """The batches of a step, one for each turn: images, and labels where there are some."""
        epoch, number = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            rng = np.random.default_rng((self.seed, epoch))
            self._order = epoch, rng.permutation(self.count)
        rank, processes = self.share
        size = self.batch * self.turns
        rows = self._order[1][number * size : (number + 1) * size].reshape(self.turns, -1)
        return [self._batch(turn[rank::processes]) for turn in rows]

    def _batch(self, rows: np.ndarray) -> list[torch.Tensor]:
        if self.resident:
            where = torch.from_numpy(rows).to(self.device)
            parts = [array[where] for array in self.arrays]
        else:
            parts = [torch.from_numpy(array[rows]).to(self.device) for array in self.arrays]
        return [as_floats(parts[0]), *parts[1:]]


def _fits(arrays: list[np.ndarray], device: torch.device) -> bool:
    free, _ = torch.cuda.mem_get_info(device)
    return sum(array.nbytes for array in arrays) < free / 2
