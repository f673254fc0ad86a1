"""Moments of the features of real images, as shipped: Fréchet distances (FID) without the data set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ot_latent._arrays import progress
from ot_latent._storage import checkout, read_tensors, save_tensors
from ot_latent.datasets.image_sets import ROWS, float_chunks, training_images
from ot_latent.models import checkpoints
from ot_latent.scores.frechet import FeatureStatistics
from ot_latent.scores.images import LocalDetail
from ot_latent.scores.scorers import Classifier, FeatureExtractor


@dataclass(frozen=True)
class Reference:
    """A set of `datasets.training_images`, and what sees it: the checkpoint of a classifier, or `LocalDetail`'s name.

    All official training images count, and no others, whatever is at hand.
    """

    data: str
    side: int
    scorer: str

    def images(self, data_dir: str | Path | None = None) -> np.ndarray:
        """(n, channels, side, side) uint8."""
        return training_images(self.data, self.side, data_dir=data_dir)[0]

    def extractor(self, device: str | torch.device = "cpu") -> FeatureExtractor:
        """What makes features of the images."""
        return LocalDetail() if self.scorer == LocalDetail.name else Classifier(self.scorer, device=device)

    def weights_hash(self) -> str:
        """SHA-256 of the classifier's weights; empty where there are none."""
        return "" if self.scorer == LocalDetail.name else checkpoints.weights_hash(self.scorer)


#: By name; all but CelebA's moments are shipped.
REFERENCES = {
    "mnist": Reference("mnist", 64, "mnist-classifier"),
    "cifar10": Reference("cifar10", 32, "cifar10-classifier"),
    "logos": Reference("logos", 32, "cifar10-classifier"),
    "fairface64": Reference("fairface", 64, "cifar10-classifier"),
    "fairface": Reference("fairface", 128, LocalDetail.name),
    "celeba": Reference("celeba", 128, LocalDetail.name),
}


def measure(name: str, data_dir: str | Path | None = None, device: str | torch.device = "cpu") -> FeatureStatistics:
    """Moments of the features of the real images of a reference.

    Parameters
    ----------
    name : str
        A key of `REFERENCES`.
    data_dir : path, optional
        Folder of the data sets.
    device : torch device

    Raises
    ------
    ValueError
        If there is no reference of that name.
    """
    reference = _reference(name)
    images = reference.images(data_dir)
    scorer = reference.extractor(device)
    moments: FeatureStatistics | None = None
    for chunk in progress(float_chunks(images), f"features of {name}", -(-len(images) // ROWS)):
        features = scorer.features(chunk)
        moments = moments or FeatureStatistics(features.shape[1])
        moments.update(features)
    return moments


def _reference(name: str) -> Reference:
    if name not in REFERENCES:
        raise ValueError(f"there is no reference {name!r}; there are: {', '.join(REFERENCES)}")
    return REFERENCES[name]


def save(name: str, moments: FeatureStatistics, out: str | Path | None = None) -> Path:
    """Write moments with the name and the hash of their scorer.

    Parameters
    ----------
    out : path, optional
        A folder; by default ``data/reference``, where the shipped ones are.
    """
    reference = _reference(name)
    tensors = {part: getattr(moments, part).astype(np.float32) for part in ("mean", "covariance")}
    card = {
        "command": f"ot-latent reference {name} --keep",
        "images": moments.count,
        "scorer": reference.scorer,
        "scorer_sha256": reference.weights_hash(),
    }
    path = _path(name, out)
    save_tensors(path, tensors, card)
    return path


def real_moments(name: str, folder: str | Path | None = None) -> FeatureStatistics:
    """Moments of real images under a shipped scorer: pass them to `scores.frechet_distance`.

    Parameters
    ----------
    name : str
        A key of `REFERENCES`.
    folder : path, optional
        Where `save` wrote; by default ``data/reference``.

    Raises
    ------
    FileNotFoundError
        If no such file is there.
    ValueError
        If there is no reference of that name, the file is damaged, or the scorer has other weights
        by now: features of two networks must not be compared.

    Examples
    --------
    >>> digits = real_moments("mnist")
    >>> digits.count, digits.mean.shape
    (60000, (128,))
    """
    reference = _reference(name)
    path = _path(name, folder)
    remedy = f"`ot-latent reference {name} --keep` makes it anew"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: {remedy}")
    moments, card = read_tensors(path, f"file of moments ({remedy})", "numpy")
    if card["scorer_sha256"] != reference.weights_hash():
        raise ValueError(f"{path} was made under other weights of {reference.scorer}: {remedy}")
    return FeatureStatistics.from_moments(card["images"], moments["mean"], moments["covariance"])


def _path(name: str, folder: str | Path | None) -> Path:
    return Path(folder or checkout() / "data" / "reference") / f"{name}.safetensors"
