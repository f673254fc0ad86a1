"""How a potential is fitted: a loop of steps of Adam, as every training run is."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ot_latent._loop import Loop
from ot_latent._training_state import States
from ot_latent.networks import Potential

_LOG_EVERY = 100  # iterations over which the losses of a line of the log are averaged


def summary(values: torch.Tensor) -> list:
    """Tells the data of one fit from those of another, but not by digits that a processor may change."""
    deviation = float(values.std(correction=0)) or 1.0
    return [*values.shape, round(float(values.mean()) / deviation, 3) + 0.0, f"{deviation:.3g}"]


class Regression(Loop):
    """D fitted with Adam(rate, 0.5, 0.999) to what each step gives, by a loss of D and that."""

    def __init__(
        self,
        potential: Potential,
        loss: Callable[..., torch.Tensor],
        rate: Callable[[int], float],
        iterations: int,
        states: States | None,
        save_seconds: float,
    ) -> None:
        self.loss, self.rate = loss, rate
        self.device = next(potential.parameters()).device
        self.optimizer = torch.optim.Adam(potential.parameters(), rate(0), betas=(0.5, 0.999))
        super().__init__(
            "fit D",
            potential,
            [self.optimizer],
            steps=iterations,
            period=_LOG_EVERY,
            states=states,
            save_seconds=save_seconds,
        )

    def label(self) -> dict[str, int]:
        return {"iteration": self.progress.step}

    def take(self, step: int, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        self.optimizer.param_groups[0]["lr"] = self.rate(step)
        loss = self.loss(self.model, *(part.to(self.device) for part in batch))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}
