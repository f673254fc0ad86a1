"""The faces of notebook 07: CelebA where it is, else a stand-in that is named as such."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ot_latent import datasets
from ot_latent.datasets.image_sets import channels_last, training_images


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


def faces(data_dir: str | Path | None = None, most: int | None = None) -> FaceSet:
    """The best faces that are here: CelebA at 128x128 as in Liu 2018, else the Olivetti faces.

    What is here but incomplete or damaged is not passed over: it raises what its loader raises.

    Parameters
    ----------
    data_dir : path, optional
        A folder that holds ``celeba/`` or ``olivetti/``; by default ``$OT_LATENT_DATA``.
    most : int, optional
        Take only so many for training, and at most as many to test, the first ones.

    Raises
    ------
    MissingDataError
        If neither is here; the message says how to get them.
    """
    if any(datasets.locate("celeba", data_dir).values()):
        name, side, title = "celeba", 128, "CelebA"
        message = "CelebA is here, as in the paper."
    else:
        name, side, title = "olivetti", 64, "Olivetti faces, stand-in for CelebA"
        message = "CelebA is not here: the Olivetti faces, small and grey, stand in."
    parts = (channels_last(training_images(name, side, split, data_dir, most)[0]) for split in ("train", "test"))
    return FaceSet(title, name, message, *parts)
