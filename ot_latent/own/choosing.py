"""What nobody asked for, chosen from the images: size, mirroring, the dimension of the codes, epochs."""

import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.stats import wilcoxon
from torch.nn.functional import avg_pool2d

from ot_latent import scores
from ot_latent._arrays import choice, number
from ot_latent.datasets.catalogue import MissingDataError
from ot_latent.datasets.image_sets import as_floats, float_chunks
from ot_latent.datasets.pixels import UnusableImage, Wanted, decode
from ot_latent.datasets.sources import Source
from ot_latent.models.networks import SIDES
from ot_latent.own.fitting import fitted
from ot_latent.own.plan import ITERATIONS, Plan, Split
from ot_latent.scores.neighbours import nearest_distances
from ot_latent.training.loop import computed_in

_PROBED, _THUMBNAILS = 128, 2_500
_DIFFERS = 1e-3  # the p-value from which on mirrored images are other images
_FASTER = 1.3  # how many times bfloat16 must be as fast as float32 to be taken
_EPOCHS = (10, 400)


@dataclass(frozen=True)
class Trials:
    """How two dimensions of the codes are tried, each by a small model of some images.

    The larger one is taken where its new images are clearly nearer to others in local detail. With a little more
    detail they can be less whole, which that does not see.

    Attributes
    ----------
    fewest, most : int
        Images that a trial needs, and fits.
    width, steps, iterations : int
        Of its model, 32 pixels a side, and of the map to its codes.
    factor, better : float
        Larger dimension over smaller, and the ratio of Frechet distances from which down it is taken.
    minutes : float
        Of training, with fewer of which there is no trial.
    """

    fewest: int = 2_000
    most: int = 4_000
    width: int = 16
    steps: int = 1_500
    iterations: int = 300
    factor: float = 3.0
    better: float = 0.75
    minutes: float = 5.0


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


def best_dimension(
    plan: Plan, images: np.ndarray, trials: Trials, minutes: float, tell: Callable[[str], object], **where: Any
) -> int:
    """The dimension of a plan or, where trials of both find that better, a larger one; `where` is as of `fitted`."""
    n = len(images)
    larger = min(int(trials.factor * plan.latent_dim), int(n**0.5))
    if n < trials.fewest or minutes < trials.minutes or larger < 1.5 * plan.latent_dim:
        return plan.latent_dim
    rows = np.sort(np.random.default_rng(plan.seed).permutation(n)[: trials.most * 5 // 4])
    cell = plan.side // 32
    cells = images[rows].reshape(len(rows), plan.channels, 32, cell, 32, cell)
    split = Split.of(cells.mean((3, 5), dtype=np.float32).round().astype(np.uint8), plan.seed, trials.most)
    small = replace(plan, side=32, width=trials.width, batch=min(plan.batch, 64), iterations=trials.iterations)
    small = replace(small, epochs=math.ceil(trials.steps * small.batch / len(split.fitted)))
    found = {}
    for d in (plan.latent_dim, larger):
        tell(f"Trial of {d} dimensions.")
        found[d] = _distance(replace(small, latent_dim=d), split, where | {"work": where["work"] / f"trial of {d}"})
    best = larger if found[larger] < trials.better * found[plan.latent_dim] else plan.latent_dim
    distances = ", ".join(f"{distance:,.0f} with {d}" for d, distance in found.items())
    tell(f"The Frechet distance of local detail to other images is {distances}: {best} it is.")
    return best


def _distance(plan: Plan, split: Split, where: dict[str, Any]) -> float:
    """Frechet distance in local detail of new images to held-out ones."""
    model = fitted(plan, split, tell=lambda text: None, **where)
    held_out, local = torch.cat(list(float_chunks(split.held_out))), scores.LocalDetail()
    return scores.frechet_distance(local.features(model.sample(len(held_out))), local.features(held_out))


def chosen(
    images: np.ndarray,
    asked: dict[str, Any],
    minutes: float,
    tell: Callable[[str], object],
    trials: Trials = Trials(),
    **where: Any,
) -> Plan:
    """The plan for images that are fitted, (n, channels, side, side) bytes, with what was asked for.

    Parameters
    ----------
    asked : dict
        Fields of the plan; side, channels and seed among them.
    minutes : float
        Of training. Trials of dimensions are part of it, up to half.
    tell : callable
        Gets a line of text about each trial.
    trials : Trials
    where : work, device, save_seconds
        As of `fitted`.
    """
    n, seed, started = len(images), asked["seed"], time.monotonic()
    number(minutes, "minutes", positive=True)
    batch = min(64, max(8, n // 8))
    fields: dict[str, Any] = {"width": 32 if n >= 2_000 else 16, "batch": batch, "epochs": 0, "precision": "float32"}
    fields["iterations"] = ITERATIONS
    fields["latent_dim"] = asked["latent_dim"] if "latent_dim" in asked else dimension(images, seed)
    fields["mirrored"] = asked["mirrored"] if "mirrored" in asked else looks_the_same_mirrored(images, seed)
    plan = Plan(**fields | asked)
    if "latent_dim" not in asked:
        plan = replace(plan, latent_dim=best_dimension(plan, images, trials, minutes, tell, **where))
    seconds = pace(plan, images, where["device"])
    lower = _FASTER * seconds["bfloat16"] < seconds["float32"]
    precision = asked.get("precision", "bfloat16" if lower else "float32")
    fewest, most = _EPOCHS
    left = 60 * minutes - min(time.monotonic() - started, 30 * minutes)
    fitting = int(left / (seconds[precision] * (n // batch)))
    return replace(plan, precision=precision, epochs=asked.get("epochs") or max(fewest, min(most, fitting)))
