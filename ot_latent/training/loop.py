"""How every network of images is trained, alone or against its critic."""

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import nn

from ot_latent._loop import Loop, LoopState
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
    epochs : int
    folder : path, optional
        Where the run keeps its states.
    together : PartialState
        The processes.
    save_seconds : float
        Between two states.
    """

    unit = "epoch"

    def __init__(
        self,
        recipe: Recipe,
        model: nn.Module,
        batches: Batches,
        epochs: int,
        *,
        folder: Path | None,
        together: PartialState,
        save_seconds: float,
    ) -> None:
        self.recipe, self.batches, self.together = recipe, batches, together
        self.leads, self.alone = together.is_main_process, together.num_processes == 1
        super().__init__(
            recipe.name,
            model,
            _optimizers(recipe, model),
            length=epochs,
            steps_per_unit=batches.steps_per_epoch,
            period=batches.steps_per_epoch,
            decay=recipe.decay,
            folder=folder,
            settings=recipe.settings() | {"seed": batches.seed, "images": batches.count, "md5": batches.md5},
            save_seconds=save_seconds,
        )

    def train(self) -> LoopState:
        """Train, or go on, to the end; the model is in evaluation mode then.

        Raises
        ------
        DivergenceError
            If a loss or a weight is not finite.
        """
        self.model.train()
        state = self.run(self.batches)
        self.model.eval()
        return state

    def mean(self, rows: torch.Tensor) -> torch.Tensor:
        return reduce(rows, "mean")

    def restore(self, states: States) -> None:
        super().restore(states)
        self.together.wait_for_everyone()  # before one of them writes again

    def take(self, step: int, turns: list[list[torch.Tensor]]) -> dict[str, torch.Tensor]:
        key = (self.batches.seed, step, self.together.process_index)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))
        model: Any = self.model
        main, *critic = self.optimizers
        terms: dict[str, torch.Tensor] = {}
        if critic:
            for images, *_ in turns:
                moved = self._move(critic[0], model.critic_loss, [images])
                terms |= {f"critic_{name}": value for name, value in moved.items()}
        return terms | self._move(main, model.loss, turns[-1])

    def _move(
        self, optimizer: torch.optim.Optimizer, loss: Callable[..., dict[str, torch.Tensor]], batch: list[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        optimizer.zero_grad()
        with computed_in(self.recipe.precision, self.model, self.batches.device):
            terms = loss(*batch)
        terms["loss"].backward()
        if not self.alone:
            parameters = (value for group in optimizer.param_groups for value in group["params"])
            self._average([value.grad for value in parameters if value.grad is not None])
        optimizer.step()
        return {name: value.detach() for name, value in terms.items()}

    def _average(self, gradients: list[torch.Tensor]) -> None:
        """Make gradients and running statistics the means over the processes."""
        tensors = gradients + [value for value in self.model.buffers() if value.is_floating_point()]
        means = reduce(torch.cat([value.flatten() for value in tensors]), "mean")
        for value, mean in zip(tensors, means.split([value.numel() for value in tensors]), strict=True):
            value.copy_(mean.view_as(value))


def trained(
    recipe: Recipe,
    images: np.ndarray,
    labels: np.ndarray | None,
    epochs: int,
    seed: int,
    device: torch.device,
    **where: Any,
) -> tuple[nn.Module, Batches, LoopState]:
    """A network of images as a recipe says, with its batches and how far it came; `where` is as of `Training`."""
    torch.manual_seed(seed)
    model = recipe.build().to(device, memory_format=torch.channels_last)
    turns = recipe.critic_steps if hasattr(model, "critic") else 1
    share = where["together"].process_index, where["together"].num_processes
    settings: dict[str, Any] = {"batch": recipe.batch, "turns": turns, "seed": seed, "mirrored": recipe.mirrored}
    batches = Batches(images, labels if recipe.uses_labels else None, device=device, share=share, **settings)
    return model, batches, Training(recipe, model, batches, epochs, **where).train()


def _optimizers(recipe: Recipe, model: Any) -> list[torch.optim.Optimizer]:
    """That of all but the critic and, where there is one, the critic's."""
    others = [value for name, value in model.named_parameters() if not name.startswith("critic.")]
    main = torch.optim.Adam(others, recipe.learning_rate, betas=recipe.betas)
    if not hasattr(model, "critic"):
        return [main]
    rate = recipe.learning_rate if recipe.critic_learning_rate is None else recipe.critic_learning_rate
    return [main, torch.optim.Adam(model.critic.parameters(), rate, betas=recipe.betas)]


@contextmanager
def computed_in(precision: str, model: nn.Module, device: torch.device) -> Iterator[None]:
    """A context in which the networks of a model compute in bfloat16, if that is asked for, and give float32.

    What is done to their outputs, such as a loss, is float32 then.
    """
    lower = precision == "bfloat16"
    hooks = [child.register_forward_hook(lambda *call: call[-1].float()) for child in model.children() if lower]
    try:
        # kept copies of weights would add up gradients in bfloat16, and those of `no_grad` have none
        with torch.autocast(device.type, torch.bfloat16, enabled=lower, cache_enabled=False):
            yield
    finally:
        for hook in hooks:
            hook.remove()
