"""Two players in turn: the loop behind penalised transport, section 3.2 of Bousquet 2017."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch


def alternate(
    parameters: Iterable[torch.Tensor],
    critic_parameters: Iterable[torch.Tensor],
    loss: Callable[[], torch.Tensor],
    critic_loss: Callable[[], torch.Tensor],
    steps: int,
    learning_rates: tuple[float, float],
    critic_steps: int = 1,
) -> Iterator[int]:
    """Adam steps of a critic and of the encoder and decoder against it, in turn.

    Each call of a loss draws its own batch. Rates stay for half of the steps, then fall linearly to
    zero, which calms the circling of two players around their equilibrium.

    Parameters
    ----------
    parameters, critic_parameters : tensors
        What each player may move. Gradients that a loss sends into the other's are dropped.
    loss, critic_loss : callables without arguments
        Return the scalar that the player lowers.
    steps : int
    learning_rates : (float, float)
        Of the two players.
    critic_steps : int
        Steps of the critic before each of the other.

    Yields
    ------
    Number of the step, from 1, after it was made.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.
    """
    optimizers = [
        torch.optim.Adam(tensors, rate, betas=(0.5, 0.9), fused=True)
        for tensors, rate in zip((parameters, critic_parameters), learning_rates, strict=True)
    ]
    for step in range(steps):
        for optimizer, rate in zip(optimizers, learning_rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * min(1, 2 * (1 - step / steps))
        for turn in range(critic_steps + 1):
            number, player = (1, critic_loss) if turn < critic_steps else (0, loss)
            value = player()
            if not torch.isfinite(value):
                raise FloatingPointError(
                    f"{player.__name__} is {value.item()} at step {step + 1} of {steps}: "
                    f"lower learning_rates, now {learning_rates}"
                )
            optimizers[number].zero_grad()
            value.backward()
            optimizers[number].step()
        yield step + 1
