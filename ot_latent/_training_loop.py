"""The loop that trains every network of images, alone or against its critic."""

from __future__ import annotations

import atexit
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import convert_outputs_to_fp32, reduce
from torch import nn

from ot_latent._ahead import ahead
from ot_latent._progress import progress_bar
from ot_latent._training_data import Batches
from ot_latent._training_state import States
from ot_latent.brenier import half_cosine
from ot_latent.recipes import Recipe

_CHECK_EVERY = 10  # steps after which losses are looked at: a GPU has to be waited for


class DivergenceError(RuntimeError):
    """A loss became NaN or infinite; the message names the step, the losses and the last good state."""


def processes(device: torch.device) -> tuple[PartialState, torch.device]:
    """The processes that train together, and the device of this one.

    Under ``accelerate launch`` or ``torchrun`` Accelerate says which device each process has; a process
    alone takes the one that was asked for.
    """
    state = PartialState(cpu=device.type == "cpu")
    if state.num_processes > 1:  # threads of the group that outlive the interpreter abort it
        atexit.register(state.destroy_process_group)
    return state, state.device if state.num_processes > 1 else device


@dataclass
class Progress:
    """How far a run has come: steps, seconds over all runs, the log of epochs, sums of this epoch."""

    step: int = 0
    seconds: float = 0.0
    log: list[dict] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)


@dataclass
class Player:
    """One of those who take turns: what it lowers, and the optimiser of what it may move."""

    loss: Callable[..., dict[str, torch.Tensor]]
    optimizer: torch.optim.Optimizer
    learning_rate: float

    @property
    def parameters(self) -> list[torch.Tensor]:
        return self.optimizer.param_groups[0]["params"]


class Training:
    """A run of a recipe: every step depends on the seed, its number and the step before alone.

    Several processes share each batch. Their gradients are averaged, and so are the running
    statistics of batch norm, so that all hold the same model after each step. Batch norm itself
    normalises the images of one process: with it, two processes do not compute what one computes.

    Parameters
    ----------
    recipe : Recipe
    model : module
        On its device.
    batches : Batches
    states : States
    epochs, seed : int
    together : PartialState
        The processes.
    save_seconds : float
        Between two states within an epoch.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: nn.Module,
        batches: Batches,
        states: States,
        *,
        epochs: int,
        seed: int,
        together: PartialState,
        save_seconds: float,
    ) -> None:
        self.recipe, self.model, self.batches, self.states = recipe, model, batches, states
        self.epochs, self.seed, self.together = epochs, seed, together
        self.save_seconds = save_seconds
        self.device = batches.device
        self.critic, self.main = _players(recipe, model)
        self.progress = Progress()
        self.pending: list[dict[str, torch.Tensor]] = []

    @property
    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [player.optimizer for player in (self.main, self.critic) if player]

    @property
    def _steps(self) -> int:
        return self.epochs * self.batches.steps_per_epoch

    def run(self) -> Progress:
        """Train, or go on, to the end; the model is in evaluation mode then.

        Raises
        ------
        DivergenceError
            If a loss or a weight is not finite.
        """
        facts = self.states.load(self.model, self._optimizers)
        self.together.wait_for_everyone()  # before one of them writes again
        if self.together.is_main_process:
            self.states.tidy()
        if facts:
            self.progress = Progress(**facts)
        self.model.train()
        done, total = self.progress.step, self._steps
        with (
            _computed_in(self.recipe.precision, self.model, self.device),
            ahead(self.batches, range(done, total)) as batches,
            self._bar(total, done) as bar,
        ):
            self.started = self.saved = time.monotonic()
            for step in range(done, total):
                self._take(step, next(batches))
                ends = (step + 1) % self.batches.steps_per_epoch == 0
                if ends or (step + 1) % _CHECK_EVERY == 0:
                    self._look(step + 1, bar)
                    self._keep(ends)
        self.model.eval()
        return self.progress

    def _bar(self, total: int, done: int):
        if not self.together.is_main_process:
            return nullcontext()
        return progress_bar(self.recipe.name, total, done, "steps")

    def _take(self, step: int, turns: list[list[torch.Tensor]]) -> None:
        epoch = step // self.batches.steps_per_epoch
        for player in filter(None, (self.critic, self.main)):
            rate = player.learning_rate
            player.optimizer.param_groups[0]["lr"] = (
                half_cosine(rate, epoch, self.epochs) if self.recipe.decay else rate
            )
        key = (self.seed, step, self.together.process_index)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))
        terms: dict[str, torch.Tensor] = {}
        if self.critic:
            for images, *_ in turns:
                found = self._move(self.critic, [images])
                terms |= {f"critic_{name}": value for name, value in found.items()}
        self.pending.append(terms | self._move(self.main, turns[-1]))

    def _move(self, player: Player, batch: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        player.optimizer.zero_grad()
        terms = player.loss(*batch)
        terms["loss"].backward()
        if self.together.num_processes > 1:
            self._average([value.grad for value in player.parameters if value.grad is not None])
        player.optimizer.step()
        return {name: value.detach() for name, value in terms.items()}

    def _average(self, gradients: list[torch.Tensor]) -> None:
        """Make gradients and running statistics the means over the processes."""
        statistics = [value for value in self.model.buffers() if value.is_floating_point()]
        tensors = gradients + statistics
        means = reduce(torch.cat([value.flatten() for value in tensors]), "mean")
        pieces = means.split([value.numel() for value in tensors])
        for value, mean in zip(tensors, pieces, strict=True):
            value.copy_(mean.view_as(value))

    def _look(self, done: int, bar) -> None:
        """Add up the losses of the steps since the last look, and show them."""
        names = list(self.pending[0])
        rows = torch.stack([torch.stack(list(terms.values())) for terms in self.pending])
        rows = reduce(rows, "mean").tolist()
        self.pending.clear()
        for step, row in enumerate(rows, done - len(rows)):
            terms = dict(zip(names, row, strict=True))
            if not all(map(math.isfinite, row)):
                self._diverged(step + 1, str(terms))
            for name, value in terms.items():
                self.progress.sums[name] = self.progress.sums.get(name, 0.0) + value
        self.progress.step = done
        if bar is not None:
            bar.set_postfix({name: f"{value:.4g}" for name, value in terms.items()}, refresh=False)
            bar.update(len(rows))

    def _diverged(self, step: int, what: str) -> None:
        good = self.states.paths()
        epoch = (step - 1) // self.batches.steps_per_epoch + 1
        raise DivergenceError(
            f"{self.recipe.name} diverged at step {step} of {self._steps}, in epoch {epoch}: {what}. "
            f"Last good state: {good[0] if good else 'none yet'}. A lower learning rate may help."
        )

    def _keep(self, epoch_ends: bool) -> None:
        """Close an epoch, and write the state if it is time to."""
        now, progress = time.monotonic(), self.progress
        progress.seconds += now - self.started
        self.started = now
        if epoch_ends:
            steps = self.batches.steps_per_epoch
            means = {name: value / steps for name, value in progress.sums.items()}
            progress.log.append({"epoch": len(progress.log) + 1, **means})
            progress.sums = {}
        if not (epoch_ends or now - self.saved >= self.save_seconds):
            return
        if not all(torch.isfinite(value).all() for value in self.model.parameters()):
            self._diverged(progress.step, "weights are not finite")
        if self.together.is_main_process:
            self.states.save(progress.step, self.model, self._optimizers, asdict(progress))
        self.saved = now


def _players(recipe: Recipe, model: nn.Module) -> tuple[Player | None, Player]:
    """The critic, where there is one, and who moves all the rest."""

    def player(loss: Callable, parameters: list[torch.Tensor], rate: float) -> Player:
        return Player(loss, torch.optim.Adam(parameters, rate, betas=recipe.betas), rate)

    rate = recipe.learning_rate
    if not hasattr(model, "critic"):
        return None, player(model.loss, list(model.parameters()), rate)
    critic = list(model.critic.parameters())
    known = set(map(id, critic))
    others = [value for value in model.parameters() if id(value) not in known]
    critic_rate = rate if recipe.critic_learning_rate is None else recipe.critic_learning_rate
    return player(model.critic_loss, critic, critic_rate), player(model.loss, others, rate)


@contextmanager
def _computed_in(precision: str, model: nn.Module, device: torch.device) -> Iterator[None]:
    """Let the networks of a model compute in bfloat16 and hand out float32, in which losses are taken."""
    networks = list(model.children()) if precision == "bfloat16" else []
    for network in networks:
        lower = torch.autocast(device.type, torch.bfloat16)(network.forward)
        network.forward = convert_outputs_to_fp32(lower)
    try:
        yield
    finally:
        for network in networks:
            del network.forward
