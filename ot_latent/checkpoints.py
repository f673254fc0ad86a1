"""Weights on disk: safetensors beside a JSON card, written atomically, never pickles."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
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
    "CifarClassifier": networks.CifarClassifier,
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
        with temporary.open("rb") as written:
            os.fsync(written.fileno())  # or a crash of the machine may leave an empty file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def card_path(weights: Path) -> Path:
    """The card that belongs to a file of weights."""
    return weights.with_suffix(".json")


def save(
    weights: Path, model: nn.Module, card: dict, critic: bool = True, half: bool = False
) -> Path:
    """Write a model's weights and its card; returns the path of the weights.

    The card gains ``model``: the kind and the arguments that `load` builds the network from.

    Parameters
    ----------
    critic : bool
        Write the critic, too, where the model has one. Samples and codes do not need it.
    half : bool
        Write parameters as 16-bit numbers, see `round_to_half`. `load` gives 32 bits again.
    """
    described = {"model": {"kind": type(model).__name__, **model.config}, **card}
    parameters = dict(model.named_parameters())
    tensors = {
        name: (tensor.half() if half and name in parameters else tensor).contiguous()
        for name, tensor in model.state_dict().items()
        if critic or not name.startswith("critic.")
    }
    content = as_bytes(tensors)
    write_atomically(weights, lambda path: path.write_bytes(content))
    text = json.dumps(described, indent=2) + "\n"
    write_atomically(card_path(weights), lambda path: path.write_text(text))
    return weights


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round parameters to what 16 bits hold, so that metrics are those of the weights on disk."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half())


def read_card(weights: Path) -> dict:
    """The card of a file of weights."""
    return json.loads(card_path(weights).read_text())


def load(weights: str | Path, device: str | torch.device = "cpu") -> nn.Module:
    """A trained model in evaluation mode.

    Parameters
    ----------
    weights : path or name
        A ``.safetensors`` file with its card beside it, or the name of a shipped checkpoint, such as
        ``"mnist-ae"``. Shipped models come without their critic.
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
        tensors = load_file(path)
        if hasattr(model, "critic") and not any(name.startswith("critic.") for name in tensors):
            del model.critic  # one with random weights would only mislead
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged or does not fit its card: {error}") from error
    return model.to(device).eval()


def shipped(name: str) -> Path:
    """Path of a checkpoint in ``data/checkpoints``."""
    from ot_latent.notebook import checkout

    path = checkout() / "data" / "checkpoints" / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"no shipped checkpoint {name!r}; there are: {', '.join(names())}. "
            "`ot-latent train --list` shows what can be trained."
        )
    return path


def names() -> list[str]:
    """Names of the checkpoints in ``data/checkpoints``."""
    from ot_latent.notebook import checkout

    return sorted(path.stem for path in (checkout() / "data" / "checkpoints").glob("*.safetensors"))


def weights_hash(name: str) -> str:
    """SHA-256 of a shipped file of weights."""
    with shipped(name).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def save_state(
    path: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], facts: dict
) -> None:
    """Write everything that resumes a training run into one file.

    Parameters
    ----------
    facts : dict
        What the run has to know beside weights and optimisers, such as the work done; JSON.
    """
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{number}.{index}.{key}": value.contiguous()
                for key, value in values.items()
            }
    save_tensors(path, tensors, facts)


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], facts: dict) -> None:
    """Write tensors and JSON into one file, for `read_state`."""
    content = as_bytes(tensors, {"facts": json.dumps(facts)})
    write_atomically(path, lambda file: file.write_bytes(content))


def read_state(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and facts of a file that `save_state` or `save_tensors` wrote.

    Raises
    ------
    ValueError
        If it is damaged, or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(file.metadata()["facts"])
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged or no state of a training run: {error}") from error


def restore(
    tensors: dict[str, torch.Tensor],
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
) -> None:
    """Give a model and its optimisers the tensors of `read_state`."""
    model.load_state_dict(
        {name[6:]: value for name, value in tensors.items() if name.startswith("model.")}
    )
    for number, optimizer in enumerate(optimizers):
        parameters = [value for group in optimizer.param_groups for value in group["params"]]
        state: dict[int, dict[str, torch.Tensor]] = {}
        prefix = f"optimizer.{number}."
        for name, value in tensors.items():
            if name.startswith(prefix):
                index, field = name.removeprefix(prefix).split(".")
                parameter = parameters[int(index)]
                if field != "step":
                    # in the parameter's order of axes: another one might round differently
                    value = torch.empty_like(parameter).copy_(value)
                state.setdefault(int(index), {})[field] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
