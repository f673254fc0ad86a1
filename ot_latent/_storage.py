"""Where files lie, how they are written, and the states from which a killed run goes on.

Files appear whole or not at all. Torch loads when tensors are read or written, not before.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    import torch
    from torch import nn

_KEPT = 2  # states of a run: one may be damaged


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
            f"{root} holds no notebooks: notebooks, figures and checkpoints need a clone of the "
            "repository, installed with `make setup` or `pip install --editable .`"
        )
    return root


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
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


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock beside a file: one writer at a time. The system drops the lock of a process that dies.

    Raises
    ------
    BlockingIOError
        If another process has the lock and ``wait`` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_suffix(".lock"), blocking=wait):
            yield
    except Timeout as error:
        raise BlockingIOError(f"another process is at work in {path.parent}") from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and JSON into one file, for `read_tensors`."""
    from safetensors.torch import save

    content = save(tensors, {"facts": json.dumps(facts)})
    write_atomically(path, lambda file: file.write_bytes(content))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and facts of a file that `save_tensors` wrote.

    Raises
    ------
    ValueError
        If it is damaged, or something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(file.metadata()["facts"])
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged or no state of a training run: {error}") from error


class StateWarning(UserWarning):
    """A state of a training run could not be written, or is damaged; the message names it."""


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
            For each damaged one.
        """
        for path in (paths := self.paths()):
            try:
                tensors, facts = read_tensors(path)
            except ValueError as error:
                warnings.warn(f"{error}; going back to the state before it", StateWarning, 2)
                continue
            self._require_same(path, facts.pop("settings"))
            _restore(tensors, model, optimizers)
            return facts
        if paths:
            raise ValueError(f"no state in {self.folder} is whole; remove that folder to start anew")
        return None

    def _require_same(self, path: Path, before: dict[str, Any]) -> None:
        now = self.settings
        if before == now:
            return
        keys = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
        differences = "; ".join(f"{key} was {before.get(key)!r} and is {now.get(key)!r}" for key in keys)
        raise ValueError(
            f"{path} is the state of a run with other settings: {differences}. Train with those, or "
            f"remove {self.folder} to start anew."
        )

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
            save_tensors(path, _tensors_of(model, optimizers), facts | {"settings": self.settings})
            write_atomically(self.folder / self.LOG, lambda file: file.write_text(lines, "utf-8"))
        except OSError as error:
            kept = ", ".join(map(str, self.paths())) or "none"
            warnings.warn(f"{path} could not be written: {error}. States that stay: {kept}", StateWarning, 2)
            return
        for old in self.paths()[_KEPT:]:
            old.unlink()

    def tidy(self) -> None:
        """Remove what a killed run has half written."""
        for file in self.folder.glob(".*"):
            file.unlink()


def _tensors_of(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """Weights and optimisers by names that `_restore` understands."""
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{index}.{key}": value.contiguous() for key, value in values.items()}
    return tensors


def _restore(tensors: dict[str, torch.Tensor], model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
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
                    value = parameter.detach().clone().copy_(value)
                state.setdefault(int(index), {})[field] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
