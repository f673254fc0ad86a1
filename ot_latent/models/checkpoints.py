"""Weights on disk: safetensors beside a JSON card, written atomically, never pickles."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import nn

from ot_latent._storage import checkout, file_hash, write_atomically
from ot_latent.brenier import Potential
from ot_latent.models.autoencoders import AAE, AVB, VAE, WAEGAN, WAEMMD, Autoencoder
from ot_latent.models.classifiers import CifarClassifier, DigitClassifier
from ot_latent.models.gans import DCGAN, WGANGP

#: Every kind of model that a card may name. A card is data: it can choose among these, nothing else.
KINDS: dict[str, Callable[..., nn.Module]] = {
    kind.__name__: kind
    for kind in (Autoencoder, VAE, WAEMMD, WAEGAN, AAE, AVB, CifarClassifier, DigitClassifier, DCGAN, WGANGP, Potential)
}


def save(weights: Path, model: nn.Module, card: dict[str, Any], critic: bool = True) -> Path:
    """Write a model's weights and its card; returns the path of the weights.

    The card gains ``model``: the kind and the arguments that `load` builds the network from. Parameters are
    written as 16-bit numbers, see `round_to_half`; `load` gives 32 bits again.

    Parameters
    ----------
    critic : bool
        Write the critic, too, where the model has one. Samples and codes do not need it.
    """
    described = {"model": {"kind": type(model).__name__, **model.config}, **card}
    parameters = dict(model.named_parameters())
    tensors = {
        name: (tensor.half() if name in parameters else tensor).contiguous()
        for name, tensor in model.state_dict().items()
        if critic or not name.startswith("critic.")
    }
    content = as_bytes(tensors)
    write_atomically(weights, lambda path: path.write_bytes(content))
    text = json.dumps(described, indent=2) + "\n"
    write_atomically(weights.with_suffix(".json"), lambda path: path.write_text(text, encoding="utf-8"))
    return weights


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round parameters to what 16 bits hold, so that metrics are those of the weights on disk."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half())


def read_card(weights: Path) -> dict[str, Any]:
    """The card of a file of weights."""
    return json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))


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
        If the card names an unknown kind of model or the weights are damaged.
    """
    path = shipped(weights) if isinstance(weights, str) else weights
    described = dict(read_card(path)["model"])
    kind = described.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"{path.with_suffix('.json')} names the model {kind!r}; known are {sorted(KINDS)}")
    model = KINDS[kind](**described)
    try:
        tensors = load_file(path)
        if hasattr(model, "critic") and not any(name.startswith("critic.") for name in tensors):
            del model.critic  # one with random weights would only mislead
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged or does not fit its card: {error}") from error
    return model.to(device).eval()


def shipped(name: str) -> Path:
    """Path of a checkpoint in ``data/checkpoints``."""
    path = checkout() / "data" / "checkpoints" / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"no shipped checkpoint {name!r}; there are: {', '.join(names())}. "
            "`ot-latent train --list` shows what can be trained."
        )
    return path


def names() -> list[str]:
    """Names of the checkpoints in ``data/checkpoints``."""
    return sorted(path.stem for path in (checkout() / "data" / "checkpoints").glob("*.safetensors"))


def weights_hash(name: str) -> str:
    """SHA-256 of a shipped file of weights."""
    return file_hash(shipped(name))
