"""Faces to train on and to hold out: CelebA where it is, else one of two stand-ins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ot_latent import datasets

#: Images of CelebA's official training set; the last 19,962 of all are its test set.
CELEBA_TRAIN, CELEBA_TEST = 162_770, 19_962
#: Of the ten images of each person of Olivetti, the last ones are held out.
OLIVETTI_HELD_OUT = 2


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
        Why these images were chosen, and how to get CelebA.
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


def faces(data_dir: str | Path | None = None) -> FaceSet:
    """The best faces that are here.

    CelebA at 128x128 as in Liu 2018 where its archive or folder is; else the Olivetti faces where their
    file is; else faces that `ot_latent.faces` draws. What is here but incomplete or damaged is not
    passed over: it raises what its loader raises.

    Parameters
    ----------
    data_dir : path, optional
        A folder that holds ``celeba/`` or ``olivetti/``; by default ``$OT_LATENT_DATA``.
    """
    get_celeba = (
        f"For CelebA: {datasets.instructions('celeba', data_dir)} Then train: `ot-latent train "
        "celeba-ae --out data/checkpoints`, and likewise celeba-vae, celeba-wae, celeba-aeot and "
        "celeba-aeot-semidiscrete; or run with train = True."
    )
    if any(datasets.locate("celeba", data_dir).values()):
        return _set("CelebA", "celeba", "CelebA, as in the paper.", 128, data_dir)
    if any(datasets.locate("olivetti", data_dir).values()):
        message = f"CelebA is not here: the Olivetti faces stand in. {get_celeba}"
        return _set("Olivetti faces, stand-in for CelebA", "olivetti", message, 64, data_dir)
    message = f"Neither CelebA nor Olivetti is here: drawn faces stand in. {get_celeba}"
    return _set("drawn faces, stand-in for CelebA", "faces", message, 64, data_dir)


def _set(title: str, recipes: str, message: str, side: int, data_dir) -> FaceSet:
    load = LOADERS[{"faces": "drawn_faces"}.get(recipes, recipes)]
    splits = (load(side, split, data_dir) for split in ("train", "test"))
    return FaceSet(title, recipes, message, *splits)


def _celeba(side: int, split: str, data_dir) -> np.ndarray:
    images = datasets.celeba(side, data_dir)
    return images[:CELEBA_TRAIN] if split == "train" else images[-CELEBA_TEST:]


def _olivetti(side: int, split: str, data_dir) -> np.ndarray:
    """Eight images of each person and their mirror images, or the other two."""
    images, _ = datasets.olivetti(data_dir)
    persons = images.reshape(-1, 10, *images.shape[1:])
    if split == "test":
        return persons[:, -OLIVETTI_HELD_OUT:].reshape(-1, *images.shape[1:])
    train = persons[:, :-OLIVETTI_HELD_OUT].reshape(-1, *images.shape[1:])
    return np.concatenate([train, train[:, :, ::-1]])


def _drawn(side: int, split: str, data_dir) -> np.ndarray:
    return datasets.drawn_face_set(side, split)


#: Faces by the name of the data set: (side, split, data_dir) -> images.
LOADERS = {"celeba": _celeba, "olivetti": _olivetti, "drawn_faces": _drawn}
