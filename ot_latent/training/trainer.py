"""The training of every network that ships, by its recipe (`recipes.RECIPES`): states, weights and cards.

A run keeps its state under ``build/training`` and goes on from there when it is started again, also
after it was killed. What happens in a step depends on the seed and the number of the step alone, so a
resumed run on the CPU ends with the same weights, bit for bit, as an unbroken one. Several
processes train together under ``accelerate launch --module ot_latent.cli train NAME`` on GPUs, under
``torchrun --nproc-per-node 2 --module ot_latent.cli train NAME`` on CPUs.
"""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from matplotlib.figure import Figure
from torch import nn

from ot_latent import brenier, datasets
from ot_latent._arrays import choice, count
from ot_latent._storage import States, as_path, checkout, hardware, locked, tidy, write_atomically
from ot_latent.datasets.image_sets import Images, training_images
from ot_latent.kantorovich import KantorovichSolution, solve_kantorovich
from ot_latent.models import checkpoints
from ot_latent.training.devices import resolve_device
from ot_latent.training.encoded import encoded_images
from ot_latent.training.loop import processes, trained
from ot_latent.training.metrics import metrics, transport_metrics
from ot_latent.training.recipes import RECIPES, SCALES, AnyRecipe, Recipe, ToyRecipe, TransportRecipe, recipe_hash

_AT_SMOKE, _FOR_METRICS = 2_000, 10_000  # images at most


def train(
    name: str,
    scale: str = "quick",
    seed: int = 0,
    device: str = "auto",
    data_dir: str | Path | None = None,
    out: str | Path | None = None,
    epochs: int | None = None,
    precision: str | None = None,
    save_seconds: float = 60.0,
    build: str | Path | None = None,
    images: int | None = None,
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
        Folder for the weights and the card; by default ``checkpoints/<scale>-<seed>`` in the folder ``build``.
    epochs : int, optional
        Of a network of images, instead of the recipe's number. A run whose rate is constant can be
        prolonged in this way.
    precision : "float32" or "bfloat16", optional
        In which a network of images computes, instead of the recipe's.
    save_seconds : float
        Between two states of the run; the last one is written at the end.
    build : path, optional
        Folder of all that runs write; by default ``build`` in the repository.
    images : int, optional
        Take the first so many of the set, and a quarter as many held-out ones for the metrics of the card; by
        default all, and 10,000, at `smoke` 2,000 and 500.

    Returns
    -------
    Path of the weights; the card lies beside them.

    Raises
    ------
    ValueError
        If there is no such recipe, scale or device, or the state of the run has other settings.
    DivergenceError
        If a loss is not finite.
    BlockingIOError
        If another process is at the same run, and several were to train together; one alone waits for it.

    Warns
    -----
    StateWarning
        If the run goes on from a state that was computed on other hardware or by another number of threads:
        the last digits of the weights depend on it.
    """
    folder = run_folder(name, scale, seed, build)
    recipe = _with(RECIPES[name], scale, epochs, precision)
    first = count(images, "images") if images is not None else {"smoke": _AT_SMOKE}.get(scale)
    samples = _FOR_METRICS if first is None else -(-first // 4)
    together, where = processes(resolve_device(device))
    if not isinstance(recipe, Recipe) and together.num_processes > 1:
        raise ValueError(f"{name} is trained by one process, not by {together.num_processes}")
    weights = (Path(out) if out else _build(build) / "checkpoints" / f"{scale}-{seed}") / f"{name}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    job = _Job(scale, seed, where, together, data_dir, folder, weights, save_seconds, first, samples)
    run: dict[type, Callable[..., None]]
    run = {Recipe: _train_images, TransportRecipe: _train_transport, ToyRecipe: _train_toy}
    lock = locked(folder / "run", wait=together.num_processes == 1) if together.is_main_process else nullcontext()
    with lock, torch.random.fork_rng([where] if where.type == "cuda" else []):
        try:
            run[type(recipe)](recipe, job)
        finally:  # also those of a run that diverged
            if together.is_main_process:
                tidy(folder / "losses.png")
                _draw_losses(name, folder / States.LOG)
    together.wait_for_everyone()
    return weights


def _draw_losses(title: str, log: Path) -> None:
    """Draw the losses of a run's log, one panel each, beside it as ``losses.png``; nothing where there is no log yet.

    Its lines hold of each epoch its number, "epoch", or of some iterations the last one's, "iteration", and
    then the mean of each loss.
    """
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []
    if not lines:
        return
    unit, *names = lines[0]
    marker = "." if len(lines) < 100 else None
    figure = Figure(figsize=(3.6 * len(names), 2.8), layout="constrained")
    for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        losses = [line[name] for line in lines]
        ax.plot([line[unit] for line in lines], losses, marker=marker)
        steep = 0 < 100 * min(losses) < max(losses)
        ax.set(xlabel=unit, title=name, yscale="log" if steep else "linear")
    figure.suptitle(title)
    write_atomically(log.with_name("losses.png"), lambda file: figure.savefig(file, format="png", dpi=150))


def _with(recipe: AnyRecipe, scale: str, epochs: int | None, precision: str | None) -> AnyRecipe:
    """A recipe with what was asked for in place of its own."""
    changes: dict[str, Any] = {"epochs": epochs, "precision": precision}
    changes = {name: value for name, value in changes.items() if value is not None}
    if not isinstance(recipe, Recipe):
        if changes:
            raise ValueError(f"{recipe.name} is no network of images: it takes no {', '.join(changes)}")
        return recipe
    if precision is not None:
        choice(precision, "precision", ("float32", "bfloat16"))
    if epochs is not None:
        changes["epochs"] = recipe.epochs | {scale: count(epochs, "epochs")}
    return replace(recipe, **(recipe.at_smoke if scale == "smoke" else {}) | changes)


def run_folder(name: str, scale: str, seed: int, build: str | Path | None = None) -> Path:
    """Where a run keeps its states, its log (``log.jsonl``) and its loss curves (``losses.png``)."""
    if repr(name) not in map(repr, RECIPES):
        raise ValueError(f"name: there is no recipe {name!r}; there are: {', '.join(sorted(RECIPES))}")
    choice(scale, "scale", SCALES)
    return _build(build) / "training" / f"{name}-{scale}-{count(seed, 'seed', 0)}"


def _build(folder: str | Path | None) -> Path:
    return checkout() / "build" if folder is None else as_path(folder, "build")


@dataclass(frozen=True)
class _Job:
    """What `train` was asked for, beside the recipe."""

    scale: str
    seed: int
    device: torch.device
    together: PartialState
    data_dir: str | Path | None
    folder: Path
    weights: Path
    save_seconds: float
    first: int | None  # images of the set that are taken, and held-out ones for the metrics
    samples: int

    def most(self, split: str) -> int | None:
        """How many images of a split this run takes; None is all."""
        return self.first if split == "train" else self.samples

    def images(self, recipe: Recipe, split: str) -> Images:
        """Those that this run takes of the recipe's set, and their labels."""
        return training_images(recipe.data, recipe.side, split, self.data_dir, self.most(split))

    def network(self, name: str) -> Path:
        """Weights of another network that this one needs: beside those to be written, a folder above, or shipped."""
        near = (folder / f"{name}.safetensors" for folder in (self.weights.parent, self.weights.parent.parent))
        return next((path for path in near if path.is_file()), None) or checkpoints.shipped(name)


def _train_images(recipe: Recipe, job: _Job) -> None:
    together = job.together
    scorer = job.network(recipe.scorer) if recipe.scorer else None  # better to miss it now than in the end
    with together.main_process_first():  # who downloads or decodes
        images, labels = job.images(recipe, "train")
    where: dict[str, Any] = {"folder": job.folder, "together": together, "save_seconds": job.save_seconds}
    epochs = recipe.epochs[job.scale]
    model, batches, state = trained(recipe, images, labels, epochs, job.seed, job.device, **where)
    if together.is_main_process:
        checkpoints.round_to_half(model)
        held_out = job.images(recipe, "test")
        found = metrics(model, *held_out, job.device, job.samples, scorer)
        facts = {
            "epochs": len(state.log),
            "epochs_at_scale_paper": RECIPES[recipe.name].epochs["paper"],
            "images": len(images),
            "images_md5": batches.md5[0],
            "precision": recipe.precision,
            "minutes": round(state.seconds / 60, 1),
            "metrics": found | {"train": state.log[-1]},
        }
        _save(recipe, job, model, facts)


def _save(recipe: AnyRecipe, job: _Job, model: nn.Module, facts: dict[str, Any]) -> None:
    card = {
        "recipe": recipe.name,
        "recipe_sha256": recipe_hash(recipe, job.scale),
        "scale": job.scale,
        "seed": job.seed,
        "data": _data_card(recipe, job.data_dir),
        "hardware": hardware(job.device),
        "torch": torch.__version__.split("+")[0],
        **facts,
    }
    checkpoints.save(job.weights, model, card, critic=False)


def _data_card(recipe: AnyRecipe, data_dir: str | Path | None) -> dict[str, Any]:
    """Name, licence and hashes of what was taken of a data set."""
    name = recipe.data
    if name not in datasets.DATASETS:  # a toy
        return {"name": name, "terms": "drawn by ot_latent.datasets"}
    known, hashes = datasets.DATASETS[name], datasets.hashes(name)
    taken = [file for file, path in datasets.locate(name, data_dir).items() if path and file in hashes]
    return {"name": name, "terms": known.terms, "md5": {file: hashes[file] for file in taken}}


def _train_transport(recipe: TransportRecipe, job: _Job) -> None:
    started = time.monotonic()
    weights = job.network(recipe.autoencoder)
    fitted, held_out = (
        encoded_images(recipe.autoencoder, split, weights, job.data_dir, job.most(split), job.device)
        for split in ("train", "test")
    )
    latent = recipe.build(job.scale, job.seed, job.device)
    latent.fit(fitted, job.folder, job.save_seconds)
    checkpoints.round_to_half(latent.potential_)
    facts = _iterations(recipe, job, started, transport_metrics(latent, fitted, held_out))
    _save(recipe, job, latent.potential_, facts)


def _train_toy(recipe: ToyRecipe, job: _Job) -> None:
    started = time.monotonic()
    noise, codes, dual = toy_problem(job.seed)
    potential = brenier.Potential.seeded(job.seed, dim=2, layers=4, width=512, slope=0.0).to(job.device)
    points, phi = (torch.tensor(values).float().to(job.device) for values in (noise, dual.phi))
    settings = recipe.iterations[job.scale], recipe.learning_rate, recipe.decay
    log = brenier.fit_potential(potential, points, phi, *settings, job.folder, job.save_seconds)
    found = {"loss_eq15_of_the_last_100": log[-1]["loss"]}
    _save(recipe, job, potential.eval(), _iterations(recipe, job, started, found))


def _iterations(
    recipe: TransportRecipe | ToyRecipe, job: _Job, started: float, found: dict[str, Any]
) -> dict[str, Any]:
    return {
        "iterations": recipe.iterations[job.scale],
        "iterations_at_scale_paper": recipe.iterations["paper"],
        "minutes_of_the_last_run": round((time.monotonic() - started) / 60, 1),
        "metrics": found,
    }


def toy_problem(seed: int) -> tuple[np.ndarray, np.ndarray, KantorovichSolution]:
    """The problem of Fig. 2 of Liu 2018: 256 points of noise, 256 of eight Gaussians, and their exact dual (14)."""
    rng = np.random.default_rng(seed)
    noise, codes = rng.standard_normal((256, 2)), datasets.eight_gaussians(256, rng)
    return noise, codes, solve_kantorovich(noise, codes)
