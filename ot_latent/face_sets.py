"""Faces to train on and to hold out: CelebA where it is, else one of two stand-ins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ot_latent import datasets
from ot_latent.faces import DrawnFaces

#: Images of CelebA's official training set; the last 19,962 of all are its test set.
CELEBA_TRAIN, CELEBA_TEST = 162_770, 19_962
#: Of the ten images of each person of Olivetti, the last ones are held out.
OLIVETTI_HELD_OUT = 2
#: Data sets of faces that `load` knows.
NAMES = ("celeba", "olivetti", "drawn_faces")


@dataclass(frozen=True)
class FaceSet:
    """Faces, the name of what they are, and which recipes are trained on them.

    Attributes
    ----------
    title : str
        What figures and tables call the images; it says where they stand in for CelebA.
    recipes : str
        How the names of the recipes begin: ``f"{recipes}-ae"`` and so on.
    message : str
        Which images were chosen, and why.
    train, test : (n, side, side, 3) or (n, side, side) uint8
    """

    title: str
    recipes: str
    message: str
    train: np.ndarray
    test: np.ndarray

    @property
    def is_stand_in(self) -> bool:
        return self.recipes != "celeba"


def faces(data_dir: str | Path | None = None, most: int | None = None) -> FaceSet:
    """The best faces that are here.

    CelebA at 128x128 as in Liu 2018 where its archive or folder is; else the Olivetti faces where their
    file is; else faces that `ot_latent.faces` draws. What is here but incomplete or damaged is not
    passed over: it raises what its loader raises.

    Parameters
    ----------
    data_dir : path, optional
        A folder that holds ``celeba/`` or ``olivetti/``; by default ``$OT_LATENT_DATA``.
    most : int, optional
        Take only so many for training, and at most as many to test, the first ones.
    """

    def chosen(name: str, side: int, title: str, recipes: str, message: str) -> FaceSet:
        parts = (load(name, side, split, data_dir, most) for split in ("train", "test"))
        return FaceSet(title, recipes, message, *parts)

    if any(datasets.locate("celeba", data_dir).values()):
        return chosen("celeba", 128, "CelebA", "celeba", "CelebA is here, as in the paper.")
    if any(datasets.locate("olivetti", data_dir).values()):
        message = "CelebA is not here: the Olivetti faces, small and grey, stand in."
        title = "Olivetti faces, stand-in for CelebA"
        return chosen("olivetti", 64, title, "olivetti", message)
    message = "Neither CelebA nor Olivetti is here: faces that the project draws stand in."
    return chosen("drawn_faces", 64, "drawn faces, stand-in for CelebA", "faces", message)


def load(
    name: str,
    side: int,
    split: str = "train",
    data_dir: str | Path | None = None,
    most: int | None = None,
) -> np.ndarray:
    """Faces to train on, or faces that are held out.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    side : int
        In pixels. The Olivetti faces have 64 and keep them.
    split : "train" or "test"
        Of CelebA the official sets, 162,770 and 19,962; of Olivetti eight images of each person and
        their mirror images, 640, and the two others, 80; of the drawn ones 20,000 and 2,000.
    data_dir : path, optional
    most : int, optional
        Take only so many, the first ones. Of drawn faces no others are drawn then, and none kept.

    Returns
    -------
    (n, side, side, 3) or (n, side, side) uint8
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if name == "celeba":
        images = datasets.celeba(side, data_dir)
        images = images[:CELEBA_TRAIN] if split == "train" else images[-CELEBA_TEST:]
    elif name == "olivetti":
        images = _olivetti(split, data_dir)
    else:
        count, seed = DrawnFaces.SPLITS[split]
        if most is not None and most < count:
            return datasets.drawn_faces(most, seed, side)
        images = datasets.drawn_face_set(side, split)
    return images[:most]


def _olivetti(split: str, data_dir) -> np.ndarray:
    images, _ = datasets.olivetti(data_dir)
    persons = images.reshape(-1, 10, *images.shape[1:])
    test = slice(10 - OLIVETTI_HELD_OUT, None)
    if split == "test":
        return persons[:, test].reshape(-1, *images.shape[1:])
    # one image of every person after the other, so that the first ones show many persons
    train = persons[:, : test.start].swapaxes(0, 1).reshape(-1, *images.shape[1:])
    return np.concatenate([train, train[:, :, ::-1]])
