"""Recipes of the trained networks, and the one loop that trains them.

A run keeps its state under ``build/training`` and goes on from there when it is started again. The order
of the data and the noise of epoch e depend on the seed and e alone, so a resumed run on the CPU ends
with the same weights as an unbroken one.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ot_latent import autoencoders, brenier, checkpoints, datasets, networks, scores
from ot_latent._progress import progress
from ot_latent.kantorovich import solve_kantorovich
from ot_latent.notebook import checkout, resolve_device

_SMOKE_IMAGES = 2_000
_METRIC_POINTS = 2_000


class DivergenceError(RuntimeError):
    """A loss became NaN or infinite; the message names the step and the last good state."""


@dataclass(frozen=True)
class Recipe:
    """A network trained on the images of MNIST at 64x64.

    ``epochs`` gives the passes over the data at each scale; ``paper`` is the paper's number.
    """

    name: str
    summary: str
    build: Callable[[], nn.Module]
    epochs: dict[str, int]
    uses_labels: bool = False
    data: str = "mnist"
    batch: int = 128
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.999)


@dataclass(frozen=True)
class TransportRecipe:
    """A `brenier.LatentTransport` to the codes of a trained auto-encoder.

    The auto-encoder is the one that lies beside the weights to be written, else the shipped one.
    """

    name: str
    summary: str
    autoencoder: str
    iterations: dict[str, int]
    method: str = "minibatch"
    data: str = "mnist"


@dataclass(frozen=True)
class ToyRecipe:
    """Fig. 2 of Liu 2018: D regressed on one exact dual of 256 points a side (eq. (15))."""

    name: str
    summary: str
    learning_rate: float
    iterations: dict[str, int]
    decay: bool = False
    data: str = "eight_gaussians"


_TOY_ITERATIONS = {"smoke": 20, "quick": 10_000, "paper": 10_000}

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "mnist-classifier",
            "digit classifier behind the scores (2 minutes on two cores)",
            networks.DigitClassifier,
            {"smoke": 1, "quick": 6, "paper": 6},
            uses_labels=True,
            betas=(0.9, 0.999),
        ),
        Recipe(
            "mnist-ae",
            "auto-encoder of AE-OT, 64x64, 10-D codes (a minute an epoch on two cores)",
            autoencoders.Autoencoder,
            {"smoke": 1, "quick": 20, "paper": 1000},
        ),
        Recipe(
            "mnist-vae",
            "variational auto-encoder, 64x64, 10-D codes (a minute an epoch on two cores)",
            autoencoders.VAE,
            {"smoke": 1, "quick": 20, "paper": 1000},
        ),
        TransportRecipe(
            "mnist-aeot",
            "potential D of AE-OT by Algorithm 1 on the codes of mnist-ae (15 ms an iteration)",
            "mnist-ae",
            {"smoke": 50, "quick": 20_000, "paper": 200_000},
        ),
        TransportRecipe(
            "mnist-aeot-semidiscrete",
            "potential D of AE-OT by exact transport to all codes of mnist-ae (half an hour)",
            "mnist-ae",
            {"smoke": 50, "quick": 5_000, "paper": 20_000},
            method="semidiscrete",
        ),
        ToyRecipe(
            "eight-gaussians",
            "potential D of the eight Gaussians, learning rate 1e-2 as printed (2 minutes)",
            1e-2,
            _TOY_ITERATIONS,
        ),
        ToyRecipe(
            "eight-gaussians-slow",
            "the same with learning rate 1e-3 and cosine decay",
            1e-3,
            _TOY_ITERATIONS,
            decay=True,
        ),
    )
}


def train(
    name: str,
    scale: str = "quick",
    seed: int = 0,
    device: str = "auto",
    data_dir: str | Path | None = None,
    out: str | Path | None = None,
) -> Path:
    """Train a recipe, or go on with a run that was interrupted.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.
    scale : "smoke", "quick" or "paper"
    seed : int
    device : str
        "auto" takes a GPU when there is one.
    data_dir : path, optional
        Folder of the data sets.
    out : path, optional
        Folder for the weights and the card; by default ``build/checkpoints/<scale>``.

    Returns
    -------
    Path of the weights; the card lies beside them.

    Raises
    ------
    ValueError
        If there is no such recipe or scale.
    DivergenceError
        If a loss is not finite.
    """
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; there are: {', '.join(sorted(RECIPES))}")
    recipe = RECIPES[name]
    run = {Recipe: _train_images, TransportRecipe: _train_transport, ToyRecipe: _train_toy}
    work = {Recipe: "epochs", TransportRecipe: "iterations", ToyRecipe: "iterations"}[type(recipe)]
    amounts = getattr(recipe, work)
    if scale not in amounts:
        raise ValueError(f"scale must be one of {', '.join(amounts)}, got {scale!r}")
    where = resolve_device(device)
    folder = checkout() / "build" / "training" / f"{name}-{scale}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    target = Path(out) if out else checkout() / "build" / "checkpoints" / scale
    model, metrics = run[type(recipe)](recipe, scale, seed, where, data_dir, folder, target)
    card = {
        "recipe": name,
        "scale": scale,
        "seed": seed,
        work: amounts[scale],
        f"{work}_at_scale_paper": amounts["paper"],
        "data": _data_card(recipe.data),
        "hardware": f"{where.type}, {torch.get_num_threads()} threads, {platform.machine()}",
        "minutes_of_the_last_run": round((time.monotonic() - started) / 60, 1),
        "torch": torch.__version__.split("+")[0],
        "metrics": metrics,
    }
    return checkpoints.save(target / f"{name}.safetensors", model, card)


def _data_card(name: str) -> dict:
    if name not in datasets.DATASETS:
        return {"name": name, "terms": "drawn by ot_latent.datasets"}
    data = datasets.DATASETS[name]
    return {"name": name, "terms": data.terms, "md5": {file.name: file.md5 for file in data.files}}


def _train_images(recipe: Recipe, scale, seed, device, data_dir, folder: Path, out: Path):
    images, labels = datasets.mnist("train", data_dir)
    if scale == "smoke":
        images, labels = images[:_SMOKE_IMAGES], labels[:_SMOKE_IMAGES]
    torch.manual_seed(seed)
    model = recipe.build().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), recipe.learning_rate, betas=recipe.betas)
    state, epochs = folder / "state.safetensors", recipe.epochs[scale]
    log = _Log(folder / "log.jsonl")
    for epoch in range(checkpoints.load_state(state, model, optimizer), epochs):
        rate = brenier.half_cosine(recipe.learning_rate, epoch, epochs)
        for group in optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))
        order = torch.randperm(len(images)).split(recipe.batch)
        means: dict[str, float] = {}
        model.train()
        for rows in progress(order, f"{recipe.name} {epoch + 1}/{epochs}"):
            batch = [datasets.to_square(images[rows]).to(device)]
            if recipe.uses_labels:
                batch.append(torch.tensor(labels[rows]).long().to(device))
            terms = model.loss(*batch)
            if not torch.isfinite(terms["loss"]):
                values = {key: value.item() for key, value in terms.items()}
                raise DivergenceError(
                    f"{recipe.name} diverged in epoch {epoch}: {values}; see {state}"
                )
            optimizer.zero_grad()
            terms["loss"].backward()
            optimizer.step()
            for key, value in terms.items():
                means[key] = means.get(key, 0.0) + value.item() / len(order)
        log.write(epoch=epoch + 1, **means)
        checkpoints.save_state(state, model, optimizer, epoch + 1)
    model.eval()
    return model, _image_metrics(model, device, data_dir, log.last())


def _image_metrics(model: nn.Module, device, data_dir, losses: dict) -> dict:
    """What the test set says of a trained model, beside its last training losses."""
    images, labels = datasets.mnist("test", data_dir)
    squares = datasets.to_square(images)
    if isinstance(model, networks.DigitClassifier):
        seen = scores.features(model, squares, device)
        predicted = scores.predictions(model, seen, device).argmax(1)
        right = int((predicted == labels).sum())
        low, high = scores.proportion_interval(right, len(labels))
        return {"test_accuracy": right / len(labels), "interval_95": [low, high], "train": losses}
    errors = scores.reconstruction_errors(model, squares, device)
    half = 1.96 * errors.std() / math.sqrt(len(errors))
    return {
        "test_squared_error": float(errors.mean()),
        "interval_95": [float(errors.mean() - half), float(errors.mean() + half)],
        "train": losses,
    }


def _train_transport(
    recipe: TransportRecipe, scale, seed, device, data_dir, folder: Path, out: Path
):
    trained = out / f"{recipe.autoencoder}.safetensors"
    model = checkpoints.load(trained if trained.is_file() else recipe.autoencoder, device)
    digits = datasets.mnist("train", data_dir)[0]
    digits = digits[:_SMOKE_IMAGES] if scale == "smoke" else digits
    codes = scores.encode(model, digits, device)
    latent = brenier.LatentTransport(
        recipe.method, iterations=recipe.iterations[scale], random_state=seed, device=device
    ).fit(codes, resume=folder / "state.safetensors")
    count = min(_METRIC_POINTS, len(codes) // 2)
    sample = codes[np.random.default_rng(seed).permutation(len(codes))[: 2 * count]]
    first, second = sample[:count], sample[count:]
    drawn = latent.sample(count, seed).cpu().numpy()
    return latent.potential_, {
        "w2_of_samples_to_codes": solve_kantorovich(drawn, first).w2,
        "w2_of_codes_to_other_codes": solve_kantorovich(second, first).w2,
        "w2_points": count,
    }


def _train_toy(recipe: ToyRecipe, scale, seed, device, data_dir, folder: Path, out: Path):
    noise, codes, dual = toy_problem(seed)
    torch.manual_seed(seed)
    potential = networks.Potential(2, layers=4, width=512, slope=0.0).to(device)
    losses = brenier.fit_potential(
        potential,
        torch.tensor(noise).float().to(device),
        torch.tensor(dual.phi).float().to(device),
        iterations=recipe.iterations[scale],
        learning_rate=recipe.learning_rate,
        decay=recipe.decay,
    )
    return potential.eval(), {"final_loss_eq15": losses[-1]}


def toy_problem(seed: int):
    """256 noise points, 256 points of the eight Gaussians and the exact dual of eq. (14) between them."""
    rng = np.random.default_rng(seed)
    noise, codes = rng.standard_normal((256, 2)), datasets.eight_gaussians(256, rng)
    return noise, codes, solve_kantorovich(noise, codes)


class _Log:
    """One JSON object a line, kept when a run resumes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, **values) -> None:
        with self.path.open("a") as stream:
            stream.write(json.dumps(values) + "\n")

    def last(self) -> dict:
        return json.loads(self.path.read_text().splitlines()[-1])
