"""Codes of images, and of noise that was mapped to them, kept beside the weights that they need instead."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ot_latent import brenier
from ot_latent._arrays import choice, count
from ot_latent._storage import checkout, read_tensors, save_tensors
from ot_latent.datasets.image_sets import channels_last, training_images
from ot_latent.models import checkpoints
from ot_latent.scores.inference import encode
from ot_latent.training.recipes import RECIPES, Recipe


def encoded_images(
    autoencoder: str,
    split: str = "train",
    weights: str | Path | None = None,
    data_dir: str | Path | None = None,
    most: int | None = None,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Codes that a trained auto-encoder gives to the images of its recipe, rounded to half precision.

    They are read from ``data/codes`` where that holds those of the same weights; else the images are encoded.

    Parameters
    ----------
    autoencoder : str
        Name of its recipe.
    split : "train" or "test"
    weights : path, optional
        Of the auto-encoder; by default the shipped ones.
    data_dir : path, optional
        Folder of the data sets.
    most : int, optional
        Take only so many, the first ones.
    device : torch device

    Returns
    -------
    (n, d) float32

    Raises
    ------
    ValueError
        If the recipe is none of an auto-encoder, or the file of the codes is damaged.
    MissingDataError
        If the codes are not kept, and the images are not here.

    Examples
    --------
    >>> encoded_images("fairface-ae", "test").shape
    (1118, 100)
    """
    if most is not None:
        count(most, "most")
    recipe, path = _recipe(autoencoder), _path(autoencoder)
    weights = Path(weights) if weights else checkpoints.shipped(autoencoder)
    if path.is_file():
        remedy = f"`git checkout` it, or `training.keep_codes({autoencoder!r})`"
        codes, card = read_tensors(path, f"file of codes ({remedy})", "numpy")
        if card["weights_sha256"] == checkpoints.weights_hash(weights) and split in codes:
            return codes[split][:most].astype(np.float32)
    return _encoded(recipe, weights, split, data_dir, most, device).astype(np.float32)


def keep_codes(
    autoencoder: str,
    splits: tuple[str, ...] = ("train", "test"),
    data_dir: str | Path | None = None,
    device: str | torch.device = "cpu",
) -> Path:
    """Replace the codes of shipped weights in ``data/codes``, with the hash of these, for `encoded_images`.

    Parameters
    ----------
    autoencoder, data_dir, device
        As of `encoded_images`.
    splits : of "train" and "test"
        Whose codes are kept, and no others.

    Returns
    -------
    Path of the file.
    """
    recipe, weights = _recipe(autoencoder), checkpoints.shipped(autoencoder)
    codes = {split: _encoded(recipe, weights, split, data_dir, None, device) for split in splits}
    command = f"training.keep_codes({autoencoder!r}, {splits})"
    card = {"command": command, "data": recipe.data, "weights_sha256": checkpoints.weights_hash(weights)}
    path = _path(autoencoder)
    save_tensors(path, codes, card)
    return path


def mapped_noise(
    recipe: str, trainings: Sequence[Path] = (), n: int = 10_000, device: str | torch.device = "cpu"
) -> np.ndarray:
    """Codes that the maps of several trainings of one recipe make of noise, to tell how much a training decides.

    Parameters
    ----------
    recipe : str
        Name of a recipe of a map.
    trainings : sequence of path
        Weights, from one seed each, which draws the noise, too. By default those of which ``data/codes`` keeps the
        mapped noise: their weights do not ship.
    n : int
        Points of noise for each training, at most 10,000 of what is kept.
    device : torch device

    Returns
    -------
    (trainings, n, d) float32, as `scores.transport_report` takes them.

    Raises
    ------
    FileNotFoundError
        If nothing is kept of the recipe.
    ValueError
        If there is no such recipe or the file is damaged.

    Examples
    --------
    >>> mapped_noise("mnist-aeot-semidiscrete", n=500).shape
    (2, 500, 10)
    """
    count(n, "n")
    choice(recipe, "recipe", RECIPES)
    if not trainings:
        remedy = "`git checkout` it, or `training.keep_mapped_noise`"
        return read_tensors(_path(recipe), f"file of mapped noise ({remedy})", "numpy")[0]["mapped"][:, :n]
    clouds = []
    for weights in trainings:
        potential, seed = checkpoints.load(weights, device), checkpoints.read_card(weights)["seed"]
        noise = np.random.default_rng(seed).standard_normal((n, potential.config["dim"]), dtype=np.float32)
        clouds.append(brenier.transport(potential, torch.from_numpy(noise).to(device)).cpu().numpy())
    return np.stack(clouds)


def keep_mapped_noise(recipe: str, trainings: Sequence[Path], device: str | torch.device = "cpu") -> Path:
    """Replace the mapped noise of a recipe in ``data/codes``, with the cards of the trainings, for `mapped_noise`."""
    path, cards = _path(recipe), [checkpoints.read_card(weights) for weights in trainings]
    save_tensors(path, {"mapped": mapped_noise(recipe, trainings, device=device)}, {"trainings": cards})
    return path


def _recipe(name: str) -> Recipe:
    recipe = RECIPES.get(name)
    if not isinstance(recipe, Recipe) or not hasattr(checkpoints.KINDS[recipe.kind], "encode"):
        raise ValueError(f"autoencoder must be the name of a recipe of one, got {name!r}")
    return recipe


def _encoded(
    recipe: Recipe, weights: Path, split: str, data_dir: str | Path | None, most: int | None, device: str | torch.device
) -> np.ndarray:
    images = channels_last(training_images(recipe.data, recipe.side, split, data_dir, most)[0])
    return encode(checkpoints.load(weights, device), images, device).astype(np.float16)


def _path(name: str) -> Path:
    return checkout() / "data" / "codes" / f"{name}.safetensors"
