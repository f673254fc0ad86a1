"""How far the notebooks of a batch are, a line each."""

import sys
import time
from shutil import get_terminal_size
from typing import Any

import click
from tqdm import tqdm

from ot_latent.paper.batch.jobs import Job, Outcome, read_progress

_LINE_EVERY_SECONDS = 15  # in a log, where lines stay


class ProgressLines:
    """One line per notebook on stderr: name, cell k of n, elapsed.

    On a terminal the lines are updated in place; in a log there is a line when a notebook starts,
    when it ends, and now and then in between.
    """

    def __init__(self, jobs: list[Job]) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._width = max(map(len, self._jobs))
        self._began: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._ended: set[str] = set()
        self._bars: dict[str, tqdm[Any]] = {}

    def __enter__(self) -> "ProgressLines":
        if sys.stderr is not None and sys.stderr.isatty():  # None where it was closed
            for position, name in enumerate(self._jobs):
                # TQDM_DISABLE is for the bars inside of kernels
                columns = get_terminal_size().columns
                self._bars[name] = tqdm(position=position, bar_format="{desc}", ncols=columns, disable=False)
                self._say(name, "waits")
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.close()

    def update(self) -> None:
        """Look where the running notebooks are, and say so."""
        now = time.monotonic()
        for name, job in self._jobs.items():
            state = None if name in self._ended else read_progress(job)
            if state is None:
                continue
            self._began.setdefault(name, now)
            silent = now - self._told.get(name, -_LINE_EVERY_SECONDS)
            if self._bars or silent >= _LINE_EVERY_SECONDS:
                self._told[name] = now
                self._say(name, f"cell {state['cell']} of {state['cells']}  {_clock(now - self._began[name])}")

    def end(self, outcome: Outcome) -> None:
        """Say how a notebook ended."""
        self._ended.add(outcome.name)
        how = "done" if outcome.error is None else "FAILED"
        self._say(outcome.name, "unchanged" if outcome.unchanged else f"{how}  {_clock(outcome.seconds)}")

    def _say(self, name: str, text: str) -> None:
        line = f"{name:{self._width}}  {text}"
        if name in self._bars:
            self._bars[name].set_description_str(line)
        else:
            click.echo(line, err=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
