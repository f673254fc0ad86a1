"""Weights on disk: safetensors beside a JSON card with their SHA-256, written atomically, never pickles."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as as_bytes
from torch import nn

from ot_latent._loop import available
from ot_latent._storage import as_path, checkpoint_folder, locked, network, tidy, write_atomically
from ot_latent.brenier import Potential
from ot_latent.models.autoencoders import AAE, AVB, VAE, WAEGAN, WAEMMD, Autoencoder
from ot_latent.models.classifiers import CifarClassifier, DigitClassifier
from ot_latent.models.gans import DCGAN, WGANGP

#: Every kind of model that a card may name. A card is data: it can choose among these, nothing else.
KINDS: dict[str, Callable[..., nn.Module]] = {
    kind.__name__: kind
    for kind in (Autoencoder, VAE, WAEMMD, WAEGAN, AAE, AVB, CifarClassifier, DigitClassifier, DCGAN, WGANGP, Potential)
}


_LARGEST_CARD = 2**20  # bytes


def save(weights: Path, model: nn.Module, card: dict[str, Any], critic: bool = True) -> Path:
    """Write a model's weights and its card; returns the path of the weights.

    The card gains ``sha256``, that of the file of weights, and ``model``: the kind and the arguments that
    `load` builds the network from. Parameters are written as 16-bit numbers, see `round_to_half`; `load` gives
    32 bits again.

    Parameters
    ----------
    critic : bool
        Write the critic, too, where the model has one. Samples and codes do not need it.
    """
    parameters = dict(model.named_parameters())
    tensors = {
        name: (tensor.half() if name in parameters else tensor).contiguous()
        for name, tensor in model.state_dict().items()
        if critic or not name.startswith("critic.")
    }
    content, beside = as_bytes(tensors), weights.with_suffix(".json")
    described = {"model": {"kind": type(model).__name__, **model.config}, **card, "sha256": _hash(content)}
    text = json.dumps(described, indent=2) + "\n"
    with locked(weights):
        tidy(weights, beside)
        write_atomically(weights, lambda path: path.write_bytes(content))
        write_atomically(beside, text)
    return weights


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round parameters to what 16 bits hold, so that metrics are those of the weights on disk."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a network, got {model!r}")
    for parameter in model.parameters():
        parameter.copy_(parameter.half())


def read_card(weights: Path) -> dict[str, Any]:
    """The card of a file of weights; ValueError if it is damaged."""
    path = as_path(weights, "weights").with_suffix(".json")
    if not path.is_file():
        raise FileNotFoundError(f"weights must have a card beside them, and there is no {path}")
    try:
        with path.open("rb") as file:
            return dict(json.loads(file.read(_LARGEST_CARD)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged or no card of weights: {error}") from error


def load(weights: str | Path, device: str | torch.device = "cpu") -> Any:
    """A trained model in evaluation mode.

    Parameters
    ----------
    weights : path or name
        A ``.safetensors`` file with its card beside it, or the name of a shipped checkpoint, such as
        ``"mnist-ae"``. Shipped models come without their critic.
    device : torch device

    Returns
    -------
    A module of the kind that the card names, one of `KINDS`.

    Raises
    ------
    FileNotFoundError
        If there is no such checkpoint; the message lists the shipped ones.
    ValueError
        If the card names an unknown kind of model, the weights are damaged or those of another card, or there
        is no such device.
    """
    path = shipped(weights) if isinstance(weights, str) else as_path(weights, "weights")
    card, content = read_card(path), path.read_bytes()
    described = card.get("model")
    described = dict(described) if isinstance(described, dict) else {}
    kind = described.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{path.with_suffix('.json')} names the model {kind!r}; known are {sorted(KINDS)}")
    if card.get("sha256") != _hash(content):
        raise ValueError(
            f"{path} is damaged, or the card beside it is that of other weights: it has another SHA-256. Load again "
            "if another process has just written them; else get or train both anew"
        )
    try:
        model = network(KINDS[kind], described, from_bytes(content))
    except (SafetensorError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is damaged or does not fit its card: {error}") from error
    return model.float().to(available(device)).eval()


def shipped(name: str) -> Path:
    """Path of a checkpoint in ``data/checkpoints``; in a wheel there are those of the README."""
    if repr(name) not in map(repr, names()):  # others may lead out of the folder
        raise FileNotFoundError(
            f"no shipped checkpoint {name!r} in {checkpoint_folder()}: the name must be one of {', '.join(names())}; "
            "others are in a clone of the repository. `ot-latent train --list` shows what can be trained."
        )
    return checkpoint_folder() / f"{name}.safetensors"


def names() -> list[str]:
    """Names of the checkpoints in ``data/checkpoints``."""
    return sorted(path.stem for path in checkpoint_folder().glob("*.safetensors"))


def weights_hash(weights: str | Path) -> str:
    """SHA-256 of a file of weights, or of shipped ones, by its card: `load` compares them."""
    return str(read_card(shipped(weights) if isinstance(weights, str) else weights)["sha256"])
