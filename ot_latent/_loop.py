"""The loop of every training run: losses are watched, states kept, and a killed run goes on."""

import math
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice, starmap
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from ot_latent._arrays import count, number, progress_bar
from ot_latent._storage import States

#: As `itertools.starmap`: a function and the arguments of its calls, to their results in order.
Mapped: TypeAlias = Callable[[Callable[..., Any], Iterable[tuple[Any, ...]]], Iterator[Any]]

_CHECK_EVERY = 10  # steps after which losses are looked at: a GPU has to be waited for


class DivergenceError(RuntimeError):
    """A loss became NaN or infinite; the message names the step, the losses and the last good state."""


@dataclass
class LoopState:
    """How far a run has come: steps, seconds over all runs, the log, and sums of losses since its end."""

    step: int = 0
    seconds: float = 0.0
    log: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0


@dataclass(eq=False)
class Loop(ABC):
    """A run of so many steps, each of which depends on its number and the step before alone.

    Parameters
    ----------
    name : str
        What the progress bar and messages say.
    model : module
    optimizers : sequence
    length, steps_per_unit : int
        How many epochs or iterations (`unit`) the whole run has, and the steps of each.
    period : int
        Steps over which the losses of a line of the log are averaged.
    decay : bool
        Lower the learning rates to zero along half a cosine. At constant rates a run can be prolonged.
    folder : path, optional
        Where the run is kept; without, it is not.
    settings : dict
        What decides the weights, beside the length of a run whose rates fall. JSON.
    save_seconds : float
        Between two states. The last one is written at the end.
    """

    unit: ClassVar[str]  # "epoch" or "iteration": what the log counts and learning rates go by
    leads = True  # shows progress and writes states, where several processes train together
    alone = True  # no other process trains together with this one

    name: str
    model: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    length: int
    steps_per_unit: int
    period: int
    decay: bool
    folder: Path | None
    settings: dict[str, Any]
    save_seconds: float

    def __post_init__(self) -> None:
        self.steps = count(self.length, f"{self.unit}s") * self.steps_per_unit
        number(self.save_seconds, "save_seconds", 0)
        lasting = {f"{self.unit}s": self.length} if self.decay else {}
        self.states = States(self.folder, self.settings | lasting) if self.folder else None
        self.state = LoopState()
        self.pending: list[dict[str, torch.Tensor]] = []
        self.whole = True  # False within a step, from where an optimiser moves weights
        for optimizer in self.optimizers:
            optimizer.register_step_pre_hook(self._moves)

    @abstractmethod
    def take(self, step: int, batch: Any) -> dict[str, torch.Tensor]:
        """One step; returns its loss and the terms of it."""

    def mean(self, rows: torch.Tensor) -> torch.Tensor:
        """The mean of each loss over the processes that train together."""
        return rows

    def restore(self, states: States) -> None:
        """Go on from the newest state that is whole."""
        if facts := states.restore(self.model, self.optimizers):
            self.state = LoopState(**facts)

    def run(self, batches: Callable[[int], Any]) -> LoopState:
        """Take the steps that are left, with ``batches(step)`` computed ahead. Ctrl-C writes a state on the way out.

        Raises
        ------
        DivergenceError
            If a loss or a weight is not finite.
        """
        if self.states:
            self.restore(self.states)
            if self.leads:
                self.states.tidy()
        done = self.state.step
        schedules = [self._schedule(optimizer) for optimizer in self.optimizers]
        shown = progress_bar(self.name, self.steps, done, "steps") if self.leads else nullcontext()
        waiting = interrupts_wait() if self.alone else nullcontext([])
        with ahead(batches, range(done, self.steps)) as coming, shown as bar, waiting as interrupts:
            self.started = self.saved = time.monotonic()
            try:
                for step in range(done, self.steps):
                    self.pending.append(self.take(step, next(coming)))
                    for schedule in schedules:
                        schedule.step()
                    ends = (step + 1) % self.period == 0 or step + 1 == self.steps
                    if ends or (step + 1) % _CHECK_EVERY == 0:
                        self._look(step + 1, bar)
                        self._keep(ends)
                    self.whole = True
                    if interrupts:
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                if self.alone and self.whole:
                    if self.pending:
                        self._look(self.state.step + len(self.pending), bar)
                    self._keep(False, leaves=True)
                raise
        return self.state

    def _schedule(self, optimizer: torch.optim.Optimizer) -> LambdaLR:
        """The learning rate of each step that is left; states on disk do not hold it."""

        def share(step: int) -> float:
            return (1 + math.cos(math.pi * (step // self.steps_per_unit) / self.length)) / 2 if self.decay else 1.0

        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        return LambdaLR(optimizer, share, last_epoch=self.state.step - 1)

    def _moves(self, *_: Any) -> None:
        self.whole = False

    def _look(self, done: int, bar: Any) -> None:
        """Add up the losses of the steps since the last look, and show them."""
        names, state = list(self.pending[0]), self.state
        rows = self.mean(torch.stack([torch.stack(list(terms.values())) for terms in self.pending])).tolist()
        self.pending.clear()
        for step, row in enumerate(rows, done - len(rows)):
            terms = dict(zip(names, row, strict=True))
            if not all(map(math.isfinite, row)):
                self._diverged(step + 1, str(terms))
            for name, value in terms.items():
                state.sums[name] = state.sums.get(name, 0.0) + value
        state.step, state.summed = done, state.summed + len(rows)
        if bar is not None:
            bar.set_postfix({name: f"{value:.4g}" for name, value in terms.items()}, refresh=False)
            bar.update(len(rows))

    def _diverged(self, step: int, what: str) -> None:
        good = self.states.paths() if self.states else []
        raise DivergenceError(
            f"{self.name} diverged at step {step} of {self.steps}: {what}. Last good state: "
            f"{good[0] if good else 'none'}. A lower learning rate may help."
        )

    def _keep(self, period_ends: bool, leaves: bool = False) -> None:
        """Close a line of the log, and write the state if it is time to, or the run is left."""
        now, state = time.monotonic(), self.state
        state.seconds += now - self.started
        self.started = now
        if period_ends:
            means = {name: value / state.summed for name, value in state.sums.items()}
            state.log.append({self.unit: state.step // self.steps_per_unit, **means})
            state.sums, state.summed = {}, 0
        if not leaves and state.step < self.steps and now - self.saved < self.save_seconds:
            return
        if not all(torch.isfinite(value).all() for value in self.model.parameters()):
            self._diverged(state.step, "weights are not finite")
        if self.states and self.leads:
            self.states.save(state.step, self.model, self.optimizers, asdict(state))
        self.saved = now


def available(device: str | torch.device) -> torch.device:
    """The torch device of that name; ValueError if torch cannot compute there."""
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError, TypeError) as error:
        raise ValueError(f"device must be one that torch finds here, got {str(device)!r}; take 'cpu'") from error
    return torch.device(device)


def over(executor: Executor | None, most: int = 16) -> Mapped:
    """`itertools.starmap`, or the same by an executor, which is so many tasks ahead, for memory's sake.

    Results come in the order of their tasks, so that sums of floating numbers do not depend on it.
    """
    if executor is None:
        return starmap
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be one of concurrent.futures, got {executor!r}")

    def mapped(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        waiting: deque[Future[Any]] = deque()
        try:
            for task in tasks:
                waiting.append(executor.submit(function, *task))
                if len(waiting) == most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    return mapped


@contextmanager
def interrupts_wait() -> Iterator[list[int]]:
    """Let Ctrl-C end no step half-way: the list fills instead. A second one is not waited for."""
    came: list[int] = []

    def note(number: int, _: Any) -> None:
        came.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:  # since the last step
        raise KeyboardInterrupt


@contextmanager
def ahead(function: Callable[[int], Any], steps: Iterable[int]) -> Iterator[Iterator[Any]]:
    """An iterator over ``function(step)`` for each step, in order, as a context.

    A thread computes at most two results that nobody has asked for. An exception of the function is raised
    where its result would have come, with its traceback. However the context is left, the thread does not
    outlive it.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    steps = iter(steps)

    def results() -> Iterator[Any]:
        pending = deque(pool.submit(function, step) for step in islice(steps, 2))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, step) for step in islice(steps, 1))
            yield result

    try:
        yield results()
    finally:
        pool.shutdown(cancel_futures=True)
