"""What is fitted to somebody's images, and how: chosen from the images where nothing is asked for."""

import io
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.stats import wilcoxon
from torch.nn.functional import avg_pool2d

from ot_latent._arrays import choice, number
from ot_latent.datasets.catalogue import MissingDataError
from ot_latent.datasets.image_sets import as_floats
from ot_latent.datasets.pixels import UnusableImage, Wanted, decode
from ot_latent.datasets.sources import Source
from ot_latent.latent_transport import LatentTransport
from ot_latent.models.networks import SIDES
from ot_latent.scores.neighbours import nearest_distances
from ot_latent.training.loop import computed_in
from ot_latent.training.recipes import Recipe

FEWEST = 64  # images, or codes
_HELD_OUT, _FEWEST_HELD_OUT, _MOST_HELD_OUT = 10, 16, 1_000  # one in so many
ITERATIONS = 1_000
_PROBED, _THUMBNAILS = 128, 2_500
_DIFFERS = 1e-3  # the p-value from which on mirrored images are other images
_FASTER = 1.3  # how many times bfloat16 must be as fast as float32 to be taken
_EPOCHS = (10, 400)


@dataclass(frozen=True)
class Plan:
    """How images become a model.

    Attributes
    ----------
    side, channels : int
        Of the images in the model: 32, 64 or 128 pixels; 1 for grey, 3 for colour.
    latent_dim : int
        Dimension of the codes.
    width : int
        Channels of the first convolution.
    mirrored : bool
        Show each image as it is or mirrored, at random.
    epochs, batch : int
        Passes over the images, and images in a step.
    precision : "float32" or "bfloat16"
    iterations : int
        Steps of the map from noise to the codes.
    seed : int
    """

    side: int
    channels: int
    latent_dim: int
    width: int
    mirrored: bool
    epochs: int
    batch: int
    precision: str
    iterations: int
    seed: int

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())

    def recipe(self) -> Recipe:
        """The auto-encoder as `training.Training` takes it."""
        ours = asdict(self)
        network = {name: ours[name] for name in ("latent_dim", "width", "channels", "side")} | {"edges": 0.3}
        settings = {name: ours[name] for name in ("side", "mirrored", "batch", "precision")}
        settings |= {"data": "your images", "learning_rate": 1.5e-3, "betas": (0.9, 0.999)}
        return Recipe("auto-encoder", "of your images", "Autoencoder", {}, network, **settings)


def transport(iterations: int, seed: int, device: torch.device) -> LatentTransport:
    """A map that takes a minute to fit, where the defaults take many."""
    sizes: dict[str, Any] = {"batch": 256, "width": 256, "layers": 4, "tolerance": 0.1}
    return LatentTransport("semidiscrete", iterations=iterations, random_state=seed, device=device, **sizes)


class Split(NamedTuple):
    """What is fitted, and what is held out for the scores alone: images (n, channels, side, side), or codes (n, d)."""

    fitted: np.ndarray
    held_out: np.ndarray

    @classmethod
    def of(cls, data: np.ndarray, seed: int, most: int | None = None) -> "Split":
        """One in ten at random, 16 at least and 1,000 at most, is held out; at most so many are fitted."""
        order = np.random.default_rng(seed).permutation(len(data))
        kept = min(_MOST_HELD_OUT, max(_FEWEST_HELD_OUT, len(data) // _HELD_OUT))
        return cls(data[np.sort(order[kept:][:most])], data[order[:kept]])


def form(source: Source, asked: dict[str, Any]) -> tuple[int, int]:
    """Side and channels for the images of a source, where not asked for: 32 pixels for small ones, else 64; grey?"""
    from PIL import Image

    for name, known in {"side": tuple(SIDES), "channels": (1, 3)}.items():
        choice(asked.get(name, known[0]), name, known)
    sides, grey = [], True
    for payload in _some(source):
        try:
            pixels = decode(payload, Wanted(32))
        except UnusableImage:
            continue
        sides.append(
            min(payload.shape[1:] if isinstance(payload, np.ndarray) else Image.open(io.BytesIO(payload)).size)
        )
        grey = grey and bool((pixels == pixels[..., :1]).all())
    if not sides:
        raise MissingDataError(f"{source.path}: none of the images that were tried can be read")
    return asked.get("side", 32 if np.median(sides) < 48 else 64), asked.get("channels", 1 if grey else 3)


def _some(source: Source) -> Iterator[Any]:
    """Images from eight places: neighbours are often of one kind."""
    for start in range(0, len(source), -(-len(source) // 8)):
        for _, payload in next(source.chunks(start, _PROBED // 8), []):
            yield payload


def thumbnails(images: np.ndarray, seed: int) -> torch.Tensor:
    """Some of (n, channels, side, side) bytes as floats, 16 pixels a side, in random order."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(images))[:_THUMBNAILS])
    small = avg_pool2d(as_floats(torch.tensor(images[rows])), images.shape[2] // 16)
    return small[torch.from_numpy(np.random.default_rng(seed).permutation(len(small)))]


def dimension(images: np.ndarray, seed: int = 0) -> int:
    """Dimension of the codes: half as many again as thumbnails have, at most the root of how many images there are.

    With fewer, reconstructions lose detail; with many more, so few codes say too little about their law, and new ones
    decode to images between those of two kinds. That of thumbnails is estimated from the distances to their
    first two neighbours, 1 / mean log (r_2 / r_1).

    References
    ----------
    Facco, d'Errico, Rodriguez and Laio (2017), Estimating the intrinsic dimension of datasets by a minimal neighborhood
    information.
    """
    points = thumbnails(images, seed).flatten(1).double().numpy()
    near = np.partition(cdist(points, points), (1, 2), axis=1)[:, 1:3]
    first, second = near[near[:, 0] > 0].T
    spread = float(np.log(second / first).sum())
    return max(2, min(math.ceil(1.5 * len(first) / spread) if spread else 2, int(len(images) ** 0.5)))


def looks_the_same_mirrored(images: np.ndarray, seed: int = 0) -> bool:
    """Whether mirrored images lie as near to others as unmirrored ones do: faces do, letters do not.

    Wilcoxon's test of one in two thumbnails against the others: p below a thousandth is a no.
    """
    small = thumbnails(images, seed)
    some, others = small.tensor_split([len(small) // 2])
    near, mirrored = (nearest_distances(x.flatten(1), others.flatten(1)) for x in (some, some.flip(3)))
    return bool(near.sum() == mirrored.sum() or wilcoxon(mirrored, near, alternative="greater").pvalue > _DIFFERS)


def pace(plan: Plan, images: np.ndarray, device: torch.device) -> dict[str, float]:
    """Seconds of a step in each precision, the least of three after the first one."""
    model = plan.recipe().build().to(device, memory_format=torch.channels_last)
    batch = as_floats(torch.tensor(images[: plan.batch])).to(device)
    found = {}
    for precision in ("float32", "bfloat16"):
        took = []
        for _ in range(4):
            started = time.monotonic()
            with computed_in(precision, model, device):
                loss = model.loss(batch)["loss"]
            loss.backward()
            loss.item()  # a GPU is waited for
            took.append(time.monotonic() - started)
        found[precision] = min(took[1:])
    return found


def chosen(images: np.ndarray, asked: dict[str, Any], minutes: float, device: torch.device) -> Plan:
    """The plan for images that are fitted, (n, channels, side, side) bytes, with what was asked for.

    Parameters
    ----------
    asked : dict
        Fields of the plan; side, channels and seed among them.
    minutes : float
        Of training.
    """
    n, seed = len(images), asked["seed"]
    batch = min(64, max(8, n // 8))
    fields: dict[str, Any] = {"width": 32 if n >= 2_000 else 16, "batch": batch, "epochs": 0, "precision": "float32"}
    fields["iterations"] = ITERATIONS
    fields["latent_dim"] = asked["latent_dim"] if "latent_dim" in asked else dimension(images, seed)
    fields["mirrored"] = asked["mirrored"] if "mirrored" in asked else looks_the_same_mirrored(images, seed)
    plan = Plan(**fields | asked)
    seconds = pace(plan, images, device)
    lower = _FASTER * seconds["bfloat16"] < seconds["float32"]
    precision = asked.get("precision", "bfloat16" if lower else "float32")
    fewest, most = _EPOCHS
    fitting = int(60 * number(minutes, "minutes", positive=True) / (seconds[precision] * (n // batch)))
    return replace(plan, precision=precision, epochs=asked.get("epochs") or max(fewest, min(most, fitting)))
