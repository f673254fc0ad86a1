"""How every network of images is trained, alone or against its critic."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import convert_outputs_to_fp32, reduce
from torch import nn

from ot_latent._loop import Loop, Progress, half_cosine
from ot_latent._storage import States
from ot_latent.training.batches import Batches
from ot_latent.training.recipes import Recipe


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
class Player:
    """One of those who take turns: what it lowers, and the optimiser of what it may move."""

    loss: Callable[..., dict[str, torch.Tensor]]
    optimizer: torch.optim.Optimizer
    learning_rate: float

    @property
    def parameters(self) -> list[torch.Tensor]:
        return self.optimizer.param_groups[0]["params"]


class Training(Loop):
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
        Between two states.
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
        self.recipe, self.batches = recipe, batches
        self.epochs, self.seed, self.together = epochs, seed, together
        self.leads = together.is_main_process
        self.critic, self.main = _players(recipe, model)
        super().__init__(
            recipe.name,
            model,
            [player.optimizer for player in (self.main, self.critic) if player],
            steps=epochs * batches.steps_per_epoch,
            period=batches.steps_per_epoch,
            states=states,
            save_seconds=save_seconds,
        )

    def train(self) -> Progress:
        """Train, or go on, to the end; the model is in evaluation mode then.

        Raises
        ------
        DivergenceError
            If a loss or a weight is not finite.
        """
        self.model.train()
        with _computed_in(self.recipe.precision, self.model, self.batches.device):
            progress = self.run(self.batches)
        self.model.eval()
        return progress

    def label(self) -> dict[str, int]:
        return {"epoch": self.progress.step // self.period}

    def mean(self, rows: torch.Tensor) -> torch.Tensor:
        return reduce(rows, "mean")

    def restore(self, states: States) -> None:
        super().restore(states)
        self.together.wait_for_everyone()  # before one of them writes again

    def take(self, step: int, turns: list[list[torch.Tensor]]) -> dict[str, torch.Tensor]:
        epoch = step // self.period
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
        return terms | self._move(self.main, turns[-1])

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
