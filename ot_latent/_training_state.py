"""The states from which a killed training run goes on: the last two are kept."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ot_latent import checkpoints

_KEPT = 2


class StateWarning(UserWarning):
    """A state of a training run could not be written, or is damaged; the message names it."""


class States:
    """Files ``state-STEP.safetensors`` in a folder, each with weights, optimisers and facts.

    Among the facts is ``log``, which is also written to the file ``LOG`` to be read: means of losses, one
    JSON object a line.

    Parameters
    ----------
    folder : path
    settings : dict
        What must not differ between two runs that share the folder; JSON.
    """

    LOG = "log.jsonl"

    def __init__(self, folder: Path, settings: dict) -> None:
        self.folder = folder
        self.settings = json.loads(json.dumps(settings))  # tuples become lists, as on disk

    def paths(self) -> list[Path]:
        """Those that are there, the newest first."""
        return sorted(self.folder.glob("state-*.safetensors"), reverse=True)

    def load(self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict | None:
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
        paths = self.paths()
        for path in paths:
            try:
                tensors, facts = checkpoints.read_state(path)
            except ValueError as error:
                warnings.warn(f"{error}; going back to the state before it", StateWarning, 2)
                continue
            self._require_same(path, facts.pop("settings"))
            checkpoints.restore(tensors, model, optimizers)
            return facts
        if paths:
            raise ValueError(
                f"no state in {self.folder} is whole; remove that folder to start anew"
            )
        return None

    def _require_same(self, path: Path, before: dict) -> None:
        if before == self.settings:
            return
        differences = "; ".join(
            f"{key} was {before.get(key)!r} and is {self.settings.get(key)!r}"
            for key in sorted(before.keys() | self.settings.keys())
            if before.get(key) != self.settings.get(key)
        )
        raise ValueError(
            f"{path} is the state of a run with other settings: {differences}. Train with those, or "
            f"remove {self.folder} to start anew."
        )

    def save(
        self,
        step: int,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        facts: dict,
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
            checkpoints.save_state(path, model, optimizers, facts | {"settings": self.settings})
            checkpoints.write_atomically(
                self.folder / self.LOG, lambda file: file.write_text(lines)
            )
        except OSError as error:
            kept = ", ".join(map(str, self.paths())) or "none"
            warnings.warn(
                f"{path} could not be written: {error}. States that stay: {kept}", StateWarning, 2
            )
            return
        for old in self.paths()[_KEPT:]:
            old.unlink()

    def tidy(self) -> None:
        """Remove what a killed run has half written."""
        for file in self.folder.glob(".*"):
            file.unlink()
