"""Conditional flow matching (Lipman et al. 2023) with any coupling of noise and codes (Tong et al. 2024)."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from ot_latent._arrays import progress
from ot_latent.brenier import perceptron

#: (n, generator) -> noise (n, d), codes (n, d)
Coupling = Callable[[int, torch.Generator], tuple[torch.Tensor, torch.Tensor]]


class Flow(nn.Module):
    """The velocity v(t, x) of a flow that carries noise, t = 0, to codes, t = 1: a perceptron of both.

    Parameters
    ----------
    dim : int
    width : int
        Of its three hidden layers.
    """

    def __init__(self, dim: int, width: int = 128) -> None:
        super().__init__()
        self.net = perceptron(dim + 1, dim, 3, width)

    def forward(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The velocity: (n, 1), (n, d) -> (n, d)"""
        return self.net(torch.cat([t, x], 1))

    @torch.no_grad()
    def path(self, z: torch.Tensor, steps: int) -> torch.Tensor:
        """Where noise is after each of Euler's steps: (n, d) -> (steps + 1, n, d)"""
        places = [z]
        for k in range(steps):
            t = torch.full_like(z[:, :1], k / steps)
            places.append(places[-1] + self(t, places[-1]) / steps)
        return torch.stack(places)


class Trained(NamedTuple):
    """A flow, the mean of its loss over the last tenth of the steps, and the seconds of processor time it took."""

    flow: Flow
    loss: float
    seconds: float


def train(
    coupling: Coupling, dim: int, steps: int, seed: int, batch: int = 256, width: int = 128, device: str = "cpu"
) -> Trained:
    """Regress the velocity on the lines between coupled points.

    The loss is the mean over pairs (z, y) and uniform t of ‖v(t, x) - (y - z)‖² at x = (1 - t) z + t y. Adam starts at
    rate 2e-3, which falls to 0 along half a cosine.

    Parameters
    ----------
    coupling : callable
        ``coupling(n, generator)`` gives noise and codes, (n, d) each.
    dim : int
        d.
    steps, batch : int
    seed : int
        Of the weights and of all draws.
    width : int
        Of `Flow`.
    device : str
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = Flow(dim, width).to(device)
    rng, losses, started = torch.Generator(device).manual_seed(seed), [], time.process_time()
    optimizer = torch.optim.Adam(flow.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in progress(range(steps), "flow matching"):
        z, y = coupling(batch, rng)
        t = torch.rand(batch, 1, generator=rng, device=device)
        loss = (flow(t, (1 - t) * z + t * y) - (y - z)).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return Trained(flow, float(torch.stack(losses[-max(1, steps // 10) :]).mean()), time.process_time() - started)


def curvature(path: torch.Tensor) -> float:
    """How far a flow is from straight lines: 0 for one that reaches its end in a single step.

    The mean square of velocity less displacement, over that of displacement (Liu et al. 2023, Rectified flow, the
    straightness of section 2): (steps + 1, n, d) -> number

    Examples
    --------
    >>> curvature(torch.tensor([[[0.0, 0.0]], [[0.5, 0.5]], [[1.0, 0.0]]]))
    1.0
    """
    whole, velocity = path[-1] - path[0], path.diff(dim=0) * (len(path) - 1)
    return float((velocity - whole).square().sum(2).mean() / whole.square().sum(1).mean())
