"""How every network that ships is trained, as data: the model, its images, rates, epochs at each scale."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from ot_latent._storage import checkpoint_folder

if TYPE_CHECKING:
    from torch import nn

    from ot_latent.latent_transport import LatentTransport


SCALES = ("smoke", "quick", "paper")


@dataclass(frozen=True)
class Recipe:
    """A network trained on images, alone or against its critic.

    Parameters
    ----------
    kind : str
        Which of `checkpoints.KINDS`.
    epochs : dict of str to int
        Passes over the data at each scale. With a critic, a pass shows it each image once.
    arguments : dict
        Of the kind.
    data : str
        A set that `image_sets.training_images` knows.
    side : int
        Of the images, in pixels.
    mirrored : bool
        Show each image as it is or mirrored, at random.
    batch : int
        Images in a step, over all processes together. The rest of an epoch that does not fill a batch
        is left out.
    critic_learning_rate : float, optional
        By default ``learning_rate``.
    betas : (float, float)
        Of Adam, for both players.
    critic_steps : int
        Steps of the critic, each with a batch of its own, before each of the other; the last of these
        batches is the other's, too.
    precision : "float32" or "bfloat16"
        In which the networks compute; losses are float32 always. Processors without
        instructions for bfloat16 are slow at it.
    decay : bool
        Lower the learning rates to zero along half a cosine.
    scorer : str, optional
        The classifier's recipe under which samples of a generator are scored for the card.
    at_smoke : dict
        Fields that are others at `smoke`, where the network would take more than seconds.
    """

    name: str
    summary: str
    kind: str
    epochs: dict[str, int]
    arguments: dict[str, Any] = field(default_factory=dict)
    data: str = "mnist"
    side: int = 64
    uses_labels: bool = False
    mirrored: bool = False
    batch: int = 128
    learning_rate: float = 1e-3
    critic_learning_rate: float | None = None
    betas: Sequence[float] = (0.5, 0.999)
    critic_steps: int = 1
    precision: str = "float32"
    decay: bool = True
    scorer: str | None = None
    at_smoke: dict[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """The network with fresh weights."""
        from ot_latent.models.checkpoints import KINDS

        return KINDS[self.kind](**self.arguments)

    def settings(self) -> dict[str, Any]:
        """What decides the weights, beside the seed, the images and the number of epochs."""
        told = {"name", "summary", "epochs", "scorer", "at_smoke"}
        return {key: value for key, value in asdict(self).items() if key not in told}


@dataclass(frozen=True)
class TransportRecipe:
    """A `LatentTransport` to the codes of a trained auto-encoder.

    The auto-encoder is the one that lies beside the weights to be written, else the shipped one. ``method``, ``batch``,
    ``width`` and ``up_to_constant`` are those of `LatentTransport`.
    """

    name: str
    summary: str
    autoencoder: str
    iterations: dict[str, int]
    method: str = "minibatch"
    batch: int | None = None
    width: int = 512
    up_to_constant: bool = True
    data: str = "mnist"

    def build(self, scale: str, seed: int = 0, device: Any = "cpu") -> LatentTransport:
        """The map, before it is fitted."""
        from ot_latent.latent_transport import LatentTransport

        options: dict[str, Any] = {name: getattr(self, name) for name in ("batch", "width", "up_to_constant")}
        options["iterations"] = self.iterations[scale]
        return LatentTransport(self.method, **options, random_state=seed, device=device)


@dataclass(frozen=True)
class ToyRecipe:
    """The toy of Fig. 2 of Liu 2018: D regressed on one exact dual of 256 points a side (eq. (15))."""

    name: str
    summary: str
    learning_rate: float
    iterations: dict[str, int]
    decay: bool = False
    data: str = "eight_gaussians"


AnyRecipe = Recipe | TransportRecipe | ToyRecipe


_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_KINDS: dict[str, type[AnyRecipe]] = {"images": Recipe, "codes": TransportRecipe, "toys": ToyRecipe}

#: By name, as ``recipes.toml`` has them.
RECIPES: dict[str, AnyRecipe] = {
    name: _KINDS[kind](name=name, **entry) for kind, table in _TABLES.items() for name, entry in table.items()
}


def recipe_hash(recipe: AnyRecipe, scale: str) -> str:
    """SHA-256 of what decides the weights at a scale, beside the seed and the data.

    The card of the weights holds it, so that a recipe, or a default of `LatentTransport`, cannot change without them.

    >>> recipe_hash(RECIPES["mnist-ae"], "quick")[:8] == recipe_hash(RECIPES["mnist-ae"], "paper")[:8]
    False
    """
    if isinstance(recipe, TransportRecipe):
        settings = vars(recipe.build(scale)) | {"autoencoder": recipe.autoencoder, "device": None}
    elif isinstance(recipe, Recipe):
        settings = recipe.settings() | {"epochs": recipe.epochs[scale]}
    else:
        settings = asdict(recipe) | {"iterations": recipe.iterations[scale], "summary": None}
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def recipe_table() -> str:
    """Every recipe with the minutes, the scale and the hardware of its shipped weights, from their cards.

    >>> print(recipe_table().splitlines()[0])
    recipe                      minutes    scale    hardware                network
    """
    rows = []
    for name, recipe in sorted(RECIPES.items()):
        path = checkpoint_folder() / f"{name}.json"  # read without torch
        card = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        minutes = card.get("minutes", card.get("minutes_of_the_last_run"))
        took = "-" if minutes is None else f"{minutes:g}"
        rows.append((name, took, card.get("scale", "-"), card.get("hardware", "-"), recipe.summary))
    table = tabulate(rows, ("recipe", "minutes", "scale", "hardware", "network"), "plain", disable_numparse=True)
    about = "Minutes that the shipped weights took, at that scale on that hardware; - where none are shipped."
    return f"{table}\n\n{about}"
