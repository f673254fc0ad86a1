"""What an evaluation has counted so far, in memory and on disk."""

import json
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ot_latent._storage import StateWarning, locked, tidy, write_atomically
from ot_latent.scores.frechet import FeatureStatistics
from ot_latent.scores.inception import InceptionStatistics


class Tally:
    """Statistics of one operation's images.

    With two halves, chunks go to the one and the other in turn, so that the distance between two
    sets of one law is known.
    """

    def __init__(self, n: int, classes: int, features: int, halves: int) -> None:
        self.inception = InceptionStatistics(n, classes)
        self.halves = [FeatureStatistics(features) for _ in range(halves)]

    def update(self, features: np.ndarray, probabilities: np.ndarray, chunk: int) -> None:
        """Take in the images of a chunk."""
        self.inception.update(probabilities)
        self.halves[chunk % len(self.halves)].update(features)

    def moments(self) -> FeatureStatistics:
        """Of all images."""
        total = FeatureStatistics(len(self.halves[0].mean))
        for half in self.halves:
            total.merge(half)
        return total

    def attributes(self) -> list[tuple[str, Any]]:
        """Name and owner of each number or array that changes."""
        own = [(name, self.inception) for name in ("seen", "sums", "negentropies")]
        return own + [(name, half) for half in self.halves for name in ("count", "mean", "scatter")]


class EvaluationState:
    """The file from which a killed run goes on.

    Parameters
    ----------
    path : Path or None
        None: nothing is kept.
    settings : dict
        What must not differ between two runs that share the file.
    probes : dict of str to array
        Features of a few images of each operation: they tell another generator, prior or operation.
    tallies : dict of str to Tally
        What is written and restored.
    every : float
        Seconds between two writes.
    """

    def __init__(
        self,
        path: Path | None,
        settings: dict[str, Any],
        probes: dict[str, np.ndarray],
        tallies: dict[str, Tally],
        every: float,
    ) -> None:
        self.path, self.probes = path, list(probes.values())
        self.attributes = [pair for tally in tallies.values() for pair in tally.attributes()]
        self.settings = json.dumps(settings | {"operations": list(tallies)}, indent=1)
        self.every, self.saved = every, time.monotonic()

    def restore(self) -> int:
        """Restore the tallies; returns how many chunks they hold.

        Raises
        ------
        ValueError
            If the file is damaged or of another run.
        """
        if self.path is None or not self.path.exists():
            return 0
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in ("settings", *file.files)}
        except (zipfile.BadZipFile, KeyError, EOFError, OSError, ValueError, TypeError) as error:
            raise ValueError(
                f"resume: {self.path} is no state of an evaluation, or damaged ({error}): remove it"
            ) from error
        self._require_same(arrays)
        for index, (name, owner) in enumerate(self.attributes):
            value = arrays[f"value{index}"]
            setattr(owner, name, value if value.ndim else int(value))
        return int(arrays["done"])

    def _require_same(self, arrays: dict[str, np.ndarray]) -> None:
        settings = str(arrays["settings"])
        if settings != self.settings:
            raise ValueError(
                f"resume: {self.path} is the state of another run, with\n{settings}\nThis one has\n"
                f"{self.settings}\nPass those arguments, or another path."
            )
        for index, probe in enumerate(self.probes):
            before = arrays[f"probe{index}"]
            # rounding may differ from machine to machine
            near = {"rtol": 1e-2, "atol": 1e-2 * np.abs(before).max()}
            if before.shape != probe.shape or not np.allclose(before, probe, **near):
                raise ValueError(
                    f"resume: {self.path} is the state of another generator, prior or operation: the "
                    "same latents give other images. Remove it or pass another path; if they are the "
                    "same, the generator must be in evaluation mode and draw noise from torch only."
                )

    def save(self, done: int, complete: bool) -> None:
        """Write the state after so many chunks, if it is time to.

        Warns
        -----
        StateWarning
            If it cannot be written, as on a full disk. The one before it stays, and the run goes on.
        """
        if self.path is None or not (complete or time.monotonic() - self.saved >= self.every):
            return
        arrays = {"settings": np.array(self.settings), "done": np.array(done)}
        arrays |= {f"probe{index}": probe for index, probe in enumerate(self.probes)}
        for index, (name, owner) in enumerate(self.attributes):
            arrays[f"value{index}"] = np.asarray(getattr(owner, name))

        def write(path: Path) -> None:
            with path.open("wb") as stream:  # given a path, numpy would append a suffix
                np.savez(stream, **arrays)

        try:
            with locked(self.path):
                tidy(self.path)
                write_atomically(self.path, write)
        except OSError as error:
            warnings.warn(f"{self.path} could not be written: {error}. The evaluation goes on", StateWarning, 3)
        self.saved = time.monotonic()
