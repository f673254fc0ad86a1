"""Weights on disk: safetensors beside a JSON card, written atomically, never pickles."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ot_latent import autoencoders, gans, networks

#: Every kind of model that a card may name. A card is data: it can choose among these, nothing else.
KINDS: dict[str, Callable[..., nn.Module]] = {
    "Autoencoder": autoencoders.Autoencoder,
    "VAE": autoencoders.VAE,
    "POT": autoencoders.POT,
    "AAE": autoencoders.AAE,
    "WAEMMD": autoencoders.WAEMMD,
    "AVB": autoencoders.AVB,
    "DCGAN": gans.DCGAN,
    "WGANGP": gans.WGANGP,
    "DigitClassifier": networks.DigitClassifier,
    "Potential": networks.Potential,
}


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary neighbour of ``path``, then move it there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def card_path(weights: Path) -> Path:
    """The card that belongs to a file of weights."""
    return weights.with_suffix(".json")


def save(weights: Path, model: nn.Module, card: dict) -> Path:
    """Write a model's weights and its card; returns the path of the weights.

    The card gains ``model``: the kind and the arguments that `load` builds the network from.
    """
    described = {"model": {"kind": type(model).__name__, **model.config}, **card}
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(weights, lambda path: save_file(tensors, path))
    text = json.dumps(described, indent=2) + "\n"
    write_atomically(card_path(weights), lambda path: path.write_text(text))
    return weights


def read_card(weights: Path) -> dict:
    """The card of a file of weights."""
    return json.loads(card_path(weights).read_text())


def load(weights: str | Path, device: str | torch.device = "cpu") -> nn.Module:
    """A trained model in evaluation mode.

    Parameters
    ----------
    weights : path or name
        A ``.safetensors`` file with its card beside it, or the name of a shipped checkpoint, such as
        ``"mnist-ae"``.
    device : torch device

    Raises
    ------
    FileNotFoundError
        If there is no such checkpoint; the message lists the shipped ones.
    ValueError
        If the card names an unknown kind of model or the weights are damaged.
    """
    path = shipped(weights) if isinstance(weights, str) else weights
    described = dict(read_card(path)["model"])
    kind = described.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"{card_path(path)} names the model {kind!r}; known are {sorted(KINDS)}")
    model = KINDS[kind](**described)
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged or does not fit its card: {error}") from error
    return model.to(device).eval()


def shipped(name: str) -> Path:
    """Path of a checkpoint in ``data/checkpoints``."""
    from ot_latent.notebook import checkout

    folder = checkout() / "data" / "checkpoints"
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        names = sorted(file.stem for file in folder.glob("*.safetensors"))
        raise FileNotFoundError(
            f"no shipped checkpoint {name!r}; there are: {', '.join(names)}. "
            "`ot-latent train --list` shows what can be trained."
        )
    return path


def save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, done: int) -> None:
    """Write everything that resumes a training run: weights, optimiser and work done, in one file."""
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value.contiguous() for key, value in values.items()}
    write_atomically(path, lambda file: save_file(tensors, file, metadata={"done": str(done)}))


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore what `save_state` wrote; returns the work done, 0 when there is nothing to resume."""
    if not path.is_file():
        return 0
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        done = int(file.metadata()["done"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model.load_state_dict(
        {name[6:]: value for name, value in tensors.items() if name.startswith("model.")}
    )
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, field = name.split(".", 2)
            state.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return done
