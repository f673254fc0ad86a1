"""From a folder of images to a model of them, by steps that go on where they were killed."""

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from ot_latent import datasets
from ot_latent._storage import locked, write_atomically
from ot_latent.datasets.catalogue import MissingDataError
from ot_latent.datasets.image_sets import as_floats, channels_last, float_chunks
from ot_latent.datasets.sources import Source, open_source
from ot_latent.own import pictures, report
from ot_latent.own.choosing import chosen, form
from ot_latent.own.fitting import fitted
from ot_latent.own.model import ImageModel
from ot_latent.own.plan import FEWEST, Plan, Split
from ot_latent.saved import FILE, load
from ot_latent.training.devices import resolve_device

_WALKERS, _STATIONS, _FRAMES = 4, 4, 8  # of the picture that moves: walks side by side, their images, steps between


def fit_images(
    source: str | Path,
    out: str | Path | None = None,
    *,
    side: int | None = None,
    channels: int | None = None,
    latent_dim: int | None = None,
    width: int | None = None,
    mirrored: bool | None = None,
    epochs: int | None = None,
    iterations: int | None = None,
    batch: int | None = None,
    precision: str | None = None,
    minutes: float = 7.0,
    seed: int = 0,
    device: str = "auto",
    save_seconds: float = 20.0,
    tell: Callable[[str], object] = lambda text: None,
) -> ImageModel:
    """Fit a model to your own images: an auto-encoder, and the map from noise to its codes.

    Every tenth image, up to a thousand, is held out for the scores.

    Parameters
    ----------
    source : path
        A folder of images, with its subfolders, or a zip; see `datasets.image_folder`. Images that cannot be read are
        left out, counted and named by a `SkippedImagesWarning`.
    out : path, optional
        Folder for the model, pictures and the report. With it the work can be killed at any time: the same call
        goes on.
    side, channels, latent_dim, width, mirrored, epochs, iterations, batch, precision, seed
        Of the `Plan`; what is not given is chosen from the images: the dimension of the codes by trials of two with
        small models, where there are 2,000 images and five minutes.
    minutes : float
        Of the training, trials among it, as far as a few steps tell how long it takes here. ``epochs`` goes before it.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    save_seconds : float
        Between two states.
    tell : callable
        Gets a line of text about what is done next.

    Raises
    ------
    MissingDataError
        If there is nothing, or fewer than 64 images.
    ValueError
        If ``out`` holds a model of other images or with another plan, or an argument is out of range.
    """
    asked = {name: value for name, value in locals().items() if name in Plan.__annotations__ and value is not None}
    where = resolve_device(device)
    with ExitStack() as stack:
        folder = Path(out) if out else Path(stack.enter_context(TemporaryDirectory()))
        stack.enter_context(locked(folder / "fit"))
        stack.enter_context(torch.random.fork_rng())
        survey = _survey(Path(source))
        known = _known(folder, survey, asked)
        if known and (folder / FILE).is_file():
            shutil.rmtree(folder / "unfinished", ignore_errors=True)
            return load(folder, where)
        side, channels = form(survey, known or asked)
        split = Split.of(_planes(survey.path, side, channels), seed)
        facts = {"side": side, "channels": channels, "seed": seed}
        fit: dict[str, Any] = {"work": folder / "unfinished", "device": where, "save_seconds": save_seconds}
        plan = Plan(**known) if known else chosen(split.fitted, facts | asked, minutes, tell, **fit)
        text = json.dumps({"source": survey.fingerprint, "plan": asdict(plan)}, indent=2)
        write_atomically(folder / "plan.json", text)
        tell(f"{len(split.fitted):,} images are fitted, {len(split.held_out):,} held out. {plan}.")
        model = fitted(plan, split, tell=tell, **fit)
        model.card |= {
            "images": {"from": survey.path.name, "found": len(survey), "used": [len(some) for some in split]}
        }
        tell("Pictures and report.")
        _judge(model, split, folder)
        model.save(folder)
        shutil.rmtree(folder / "unfinished")
    return model


def _survey(path: Path) -> Source:
    if not path.exists():
        raise MissingDataError(f"{path} does not exist. Remedy: name a folder of images, or a zip")
    source = open_source(path)
    _require_enough(len(source), path)
    return source


def _require_enough(n: int, path: Path) -> None:
    if n < FEWEST:
        raise MissingDataError(
            f"{path} holds {n} images that can be read, and a law is not known from fewer than {FEWEST}"
        )


def _known(folder: Path, survey: Source, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The plan of a fit that was begun in the folder."""
    path = folder / "plan.json"
    if not path.is_file():
        return None
    begun = json.loads(path.read_text(encoding="utf-8"))
    if begun["source"] != survey.fingerprint:
        raise ValueError(f"{folder} is a fit of other images than {survey.path} holds now: name another --out")
    other = [
        f"{name} {begun['plan'][name]}, not {value}" for name, value in asked.items() if begun["plan"][name] != value
    ]
    if other:
        raise ValueError(f"{folder} is a fit with {'; '.join(other)}: name another --out, or leave the options away")
    return begun["plan"]


def _planes(path: Path, side: int, channels: int) -> np.ndarray:
    """All images that can be read: (n, channels, side, side) bytes, memory-mapped."""
    images = datasets.image_folder(path, side, grey=channels == 1, on_error="skip")
    _require_enough(len(images), path)
    return images[:, None] if channels == 1 else np.moveaxis(images, 3, 1)


def _judge(model: ImageModel, split: Split, folder: Path) -> None:
    """Draw the pictures into the folder, and give the model its scores and its report."""
    held_out = torch.cat(list(float_chunks(split.held_out)))
    n, codes = len(held_out), model.encode(channels_last(split.held_out))
    rebuilt, samples = model.decode(codes), model.sample(n)
    pairs = torch.stack([held_out[:16], rebuilt[:16]], 1)[:16].reshape(2, 8, 2, *held_out.shape[1:])
    pictures.save(folder / "samples.png", [pictures.sheet(samples[:64])])
    pictures.save(folder / "reconstructions.png", [pictures.sheet(pairs.transpose(1, 2).flatten(0, 2))])
    pictures.save(folder / "walk.gif", [pictures.sheet(frame) for frame in _round_trip(model, codes)])
    found = report.code_scores(model.transport, model.codes.numpy(), codes.numpy())
    some = as_floats(torch.tensor(split.fitted[:: max(1, len(split.fitted) // n)][:n]))
    seen = report.image_scores(samples, held_out, rebuilt, some)
    model.card |= {"scores": {"codes": found, "images": seen}}
    model.report = _words(model)


def _round_trip(model: ImageModel, codes: torch.Tensor) -> torch.Tensor:
    """Matched walks from held-out image to image and back to the first: (frames, walkers, channels, side, side)."""
    stations = codes[: _WALKERS * _STATIONS].reshape(_STATIONS, _WALKERS, -1)
    shares = np.linspace(1, 0, _FRAMES, endpoint=False)
    legs = zip(stations, stations.roll(-1, 0), strict=True)
    return torch.cat([model.walk(first, second, shares) for first, second in legs])


def _words(model: ImageModel) -> str:
    card = model.card
    images, (fitted, held_out) = card["images"], card["images"]["used"]
    bad = images["found"] - fitted - held_out
    plan = ", ".join(f"{name} {value}" for name, value in card["plan"].items())
    seen = report.image_words(card["scores"]["images"]) + report.code_words(card["scores"]["codes"])
    return f"""\
# A model of {images["from"]}

Of {images["found"]:,} images {bad:,} could not be read; {fitted:,} were fitted and {held_out:,} held out.
The auto-encoder was trained for {card["minutes_of_training"]} minutes ({card["hardware"]}): {plan}.

Against the images that were held out:

{report.listed(seen)}
`samples.png` shows new images, `reconstructions.png` held-out images with their reconstructions below them, `walk.gif`
matched interpolation from held-out image to image. `model.safetensors` holds the networks, and the codes of the fitted
images: whoever has it can see their likeness.
"""
