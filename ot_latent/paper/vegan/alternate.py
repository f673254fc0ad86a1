"""Two players in turn: the loop behind penalised transport, section 3.2 of Bousquet et al. (2017)."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch.optim.lr_scheduler import LambdaLR

_DIVERGED = "{} is {} at step {} of {}: lower learning_rates, now {}"


def alternate(
    parameters: Iterable[torch.Tensor],
    critic_parameters: Iterable[torch.Tensor],
    loss: Callable[[], torch.Tensor],
    critic_loss: Callable[[], torch.Tensor],
    steps: int,
    learning_rates: tuple[float, float],
    critic_steps: int = 1,
) -> Iterator[int]:
    """Take Adam steps of a critic and of the encoder and decoder against it, in turn.

    Rates fall as in `descend`, which calms the circling of two players around their equilibrium.

    Parameters
    ----------
    parameters, critic_parameters : tensors
        What each player may move. Gradients that a loss sends into the other's are dropped.
    loss, critic_loss : callables without arguments
        Draw a batch of their own and return the scalar that the player lowers.
    steps, critic_steps : int
        Steps of the first player, and of the critic before each of them.
    learning_rates : (float, float)
        Of the two players.

    Yields
    ------
    Number of the step, from 1, after it was made.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.
    """
    player, critic = (
        torch.optim.Adam(tensors, rate, betas=(0.5, 0.9), fused=True)
        for tensors, rate in zip((parameters, critic_parameters), learning_rates, strict=True)
    )
    return descend([(critic, critic_loss)] * critic_steps + [(player, loss)], steps)


def descend(turns: Sequence[tuple[torch.optim.Optimizer, Callable[[], torch.Tensor]]], steps: int) -> Iterator[int]:
    """Lower losses in turn, each by its optimizer. Rates stay for half of the steps, then fall linearly to zero.

    Yields and raises as `alternate`, whose first player is the last turn.
    """
    optimizers = dict.fromkeys(optimizer for optimizer, _ in reversed(turns))
    schedules = [LambdaLR(optimizer, lambda step: min(1, 2 * (1 - step / steps))) for optimizer in optimizers]
    rates = tuple(optimizer.defaults["lr"] for optimizer in optimizers)
    for step in range(1, steps + 1):
        for optimizer, loss in turns:
            value = loss()
            if not torch.isfinite(value):
                raise FloatingPointError(_DIVERGED.format(loss.__name__, value.item(), step, steps, rates))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        for schedule in schedules:
            schedule.step()
        yield step
