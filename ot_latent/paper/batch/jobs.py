"""What a batch of runs and the processes that execute them tell each other.

A job tells the cell that it is at through a small file, so that any process that shares the file
system can follow it. What a run that went well depended on, and what it left, stands beside its executed
notebook: as long as both are the same, it need not be done again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ot_latent._storage import write_atomically
from ot_latent.paper.batch import keys


@dataclass(frozen=True)
class Job:
    """One notebook to execute; holds nothing but what can travel to another machine.

    All that is half done lies in ``folder``, which is this batch's own; ``target`` appears whole, at the end.
    ``versions`` are those by which ``key``, the hash of all that the run depends on, was computed.
    """

    name: str
    source: Path
    target: Path
    folder: Path
    parameters: dict[str, Any]
    threads: int
    start_timeout: int
    versions: Mapping[str, str]
    key: str

    def file(self, suffix: str) -> Path:
        """Of the work in progress: .json the cell, .ipynb the notebook, .log what the kernel process says."""
        return self.folder / f"{self.name}{suffix}"

    @property
    def _record(self) -> Path:
        return self.target.with_suffix(".json")

    def _left(self) -> dict[str, str]:
        """Hashes of the notebook's figures and of its results, by name."""
        figures, notebook = Path(self.parameters["figures_dir"]), self.source.stem
        pictures = sorted(figures.glob(f"{notebook[:2]}_*.png"))
        left = {path.name: sha256(path.read_bytes()).hexdigest() for path in pictures}
        results = figures / "results.json"
        section = json.loads(results.read_text(encoding="utf-8")).get(notebook) if results.is_file() else None
        return left | {"results": keys.digest(section)}

    def note(self) -> None:
        """Record that this run went well."""
        text = json.dumps({"key": self.key, "left": self._left()}, indent=1) + "\n"
        write_atomically(self._record, text)

    def is_done(self) -> bool:
        """Whether this very run went well before, and what it left is still there as it was."""
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return self.target.is_file() and record == {"key": self.key, "left": self._left()}


@dataclass(frozen=True)
class Outcome:
    """How a job ended. `error` is what a person needs to see, None when all went well."""

    name: str
    seconds: float
    error: str | None = None
    unchanged: bool = False


def read_progress(job: Job) -> dict[str, Any] | None:
    """The cell that a job said last that it runs, None for a job that has not begun."""
    told = job.file(".json")
    return json.loads(told.read_text(encoding="utf-8")) if told.is_file() else None


def where(job: Job) -> str:
    """The cell that ran last and its source."""
    state = read_progress(job)
    if state is None:
        return "no cell: it had not begun"
    return f"cell {state['cell']} of {state['cells']}:\n\n{state['source']}\n"
