"""What `reproduce` and the processes that run its notebooks tell each other.

A job tells the cell that it is at through a small file, so that any process that shares the file
system can follow it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """One notebook to execute; holds nothing but what can travel to another machine.

    All that is half done lies in ``folder``, which is this run's own; ``target`` appears whole, at the end.
    """

    source: Path
    target: Path
    folder: Path
    parameters: dict[str, Any]
    threads: int
    start_timeout: int

    @property
    def name(self) -> str:
        """Of the notebook."""
        return self.source.stem

    def file(self, suffix: str) -> Path:
        """Of the work in progress: .json the cell, .ipynb the notebook, .log what the kernel process says."""
        return self.folder / f"{self.name}{suffix}"


@dataclass(frozen=True)
class Outcome:
    """How a job ended. `error` is what a person needs to see, None when all went well."""

    name: str
    seconds: float
    error: str | None = None


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
