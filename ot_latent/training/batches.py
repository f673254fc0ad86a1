"""Batches of images, the same for a step whatever happened before."""

import numpy as np
import torch

from ot_latent.datasets.image_sets import as_floats, digest


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
    mirrored : bool
        Mirror each image or not, at random.

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
        mirrored: bool = False,
    ) -> None:
        if batch % share[1]:
            raise ValueError(f"{share[1]} processes cannot share batches of {batch} images evenly")
        self.count = len(images)
        self.steps_per_epoch = self.count // (batch * turns)
        if not self.steps_per_epoch:
            raise ValueError(f"{self.count} images are fewer than a step takes: {turns} batches of {batch}")
        self.batch, self.turns, self.seed, self.share, self.mirrored = batch, turns, seed, share, mirrored
        self.device = device
        self.arrays = [images] if labels is None else [images, labels.astype(np.int64)]
        self.md5 = [digest(array) for array in self.arrays]
        size = sum(array.nbytes for array in self.arrays)
        self.resident = device.type == "cuda" and size < torch.cuda.mem_get_info(device)[0] / 2
        if self.resident:
            self.arrays = [torch.tensor(array, device=device) for array in self.arrays]
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __call__(self, step: int) -> list[list[torch.Tensor]]:
        """The batches of a step, one for each turn: images, and labels where there are some."""
        epoch, number = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng((self.seed, epoch)).permutation(self.count)
        (rank, processes), size = self.share, self.batch * self.turns
        rows = self._order[1][number * size : (number + 1) * size].reshape(self.turns, -1)
        turns = [self._batch(turn[rank::processes]) for turn in rows]
        if self.mirrored:
            chance = np.random.default_rng((self.seed, step, *b"mirror")).random(rows.shape)
            for (shown, *_), mirror in zip(turns, torch.from_numpy(chance < 0.5).to(self.device), strict=True):
                mirror = mirror[rank::processes]
                shown[mirror] = shown[mirror].flip(3)
        return turns

    def _batch(self, rows: np.ndarray) -> list[torch.Tensor]:
        if self.resident:
            where = torch.from_numpy(rows).to(self.device)
            images, *labels = (array[where] for array in self.arrays)
        else:
            images, *labels = (torch.from_numpy(array[rows]).to(self.device) for array in self.arrays)
        return [as_floats(images), *labels]
