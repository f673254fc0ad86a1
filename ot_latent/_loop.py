"""The loop of every training run: losses are watched, states kept, and a killed run goes on."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice

import torch
from torch import nn

from ot_latent._arrays import progress_bar
from ot_latent._storage import States

_CHECK_EVERY = 10  # steps after which losses are looked at: a GPU has to be waited for


class DivergenceError(RuntimeError):
    """A loss became NaN or infinite; the message names the step, the losses and the last good state."""


@dataclass
class Progress:
    """How far a run has come: steps, seconds over all runs, the log, and sums of losses since its end."""

    step: int = 0
    seconds: float = 0.0
    log: list[dict] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0


class Loop(ABC):
    """A run of so many steps, each of which depends on its number and the step before alone.

    Parameters
    ----------
    name : str
        What the progress bar and messages say.
    model : module
    optimizers : sequence
    steps : int
        Of the whole run.
    period : int
        Steps over which the losses of a line of the log are averaged.
    states : States, optional
        Where the run is kept; without, it is not.
    save_seconds : float
        Between two states. The last one is written at the end.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        *,
        steps: int,
        period: int,
        states: States | None,
        save_seconds: float,
    ) -> None:
        self.name, self.model, self.optimizers = name, model, optimizers
        self.steps, self.period = steps, period
        self.states, self.save_seconds = states, save_seconds
        self.progress = Progress()
        self.pending: list[dict[str, torch.Tensor]] = []

    @abstractmethod
    def take(self, step: int, batch) -> dict[str, torch.Tensor]:
        """One step; returns its loss and the terms of it."""

    @abstractmethod
    def label(self) -> dict[str, int]:
        """What a line of the log begins with: how far the run is."""

    # What several processes that train together do in another way.
    leads = True  # shows progress and writes states

    def mean(self, rows: torch.Tensor) -> torch.Tensor:
        """Over the processes."""
        return rows

    def restore(self, states: States) -> None:
        """Go on from the newest state that is whole."""
        if facts := states.restore(self.model, self.optimizers):
            self.progress = Progress(**facts)

    def run(self, batches: Callable) -> Progress:
        """Take the steps that are left, with ``batches(step)`` computed ahead.

        Raises
        ------
        DivergenceError
            If a loss or a weight is not finite.
        """
        if self.states:
            self.restore(self.states)
            if self.leads:
                self.states.tidy()
        done = self.progress.step
        with ahead(batches, range(done, self.steps)) as coming, self._bar(done) as bar:
            self.started = self.saved = time.monotonic()
            for step in range(done, self.steps):
                self.pending.append(self.take(step, next(coming)))
                ends = (step + 1) % self.period == 0 or step + 1 == self.steps
                if ends or (step + 1) % _CHECK_EVERY == 0:
                    self._look(step + 1, bar)
                    self._keep(ends)
        return self.progress

    def _bar(self, done: int):
        return progress_bar(self.name, self.steps, done, "steps") if self.leads else nullcontext()

    def _look(self, done: int, bar) -> None:
        """Add up the losses of the steps since the last look, and show them."""
        names, progress = list(self.pending[0]), self.progress
        rows = torch.stack([torch.stack(list(terms.values())) for terms in self.pending])
        rows = self.mean(rows).tolist()
        self.pending.clear()
        for step, row in enumerate(rows, done - len(rows)):
            terms = dict(zip(names, row, strict=True))
            if not all(map(math.isfinite, row)):
                self._diverged(step + 1, str(terms))
            for name, value in terms.items():
                progress.sums[name] = progress.sums.get(name, 0.0) + value
        progress.step, progress.summed = done, progress.summed + len(rows)
        if bar is not None:
            bar.set_postfix({name: f"{value:.4g}" for name, value in terms.items()}, refresh=False)
            bar.update(len(rows))

    def _diverged(self, step: int, what: str) -> None:
        good = self.states.paths() if self.states else []
        raise DivergenceError(
            f"{self.name} diverged at step {step} of {self.steps}: {what}. Last good state: "
            f"{good[0] if good else 'none'}. A lower learning rate may help."
        )

    def _keep(self, period_ends: bool) -> None:
        """Close a line of the log, and write the state if it is time to."""
        now, progress = time.monotonic(), self.progress
        progress.seconds += now - self.started
        self.started = now
        if period_ends:
            means = {name: value / progress.summed for name, value in progress.sums.items()}
            progress.log.append({**self.label(), **means})
            progress.sums, progress.summed = {}, 0
        if progress.step < self.steps and now - self.saved < self.save_seconds:
            return
        if not all(torch.isfinite(value).all() for value in self.model.parameters()):
            self._diverged(progress.step, "weights are not finite")
        if self.states and self.leads:
            self.states.save(progress.step, self.model, self.optimizers, asdict(progress))
        self.saved = now


def half_cosine(rate: float, step: int, steps: int) -> float:
    """A learning rate that falls from ``rate`` to zero along half a cosine."""
    return rate * (1 + math.cos(math.pi * step / steps)) / 2


@contextmanager
def ahead(function: Callable, steps: Iterable, workers: int = 1) -> Iterator[Iterator]:
    """An iterator over ``function(step)`` for each step, in order, as a context.

    Threads compute at most ``workers + 1`` results that nobody has asked for. An exception of the function
    is raised where its result would have come, with its traceback. However the context is left, no
    thread outlives it.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ahead")
    steps = iter(steps)

    def submit(count: int) -> list:
        return [pool.submit(function, step) for step in islice(steps, count)]

    def results() -> Iterator:
        pending = deque(submit(workers + 1))
        while pending:
            result = pending.popleft().result()
            pending += submit(1)
            yield result

    try:
        yield results()
    finally:
        pool.shutdown(cancel_futures=True)
