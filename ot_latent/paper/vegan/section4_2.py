"""W1 between two sets of points from both sides: section 4.2 of Bousquet et al. (2017).

Penalised transport trains an encoder and comes from above, WGAN-GP trains a critic and comes from below.
Each reports its objective, and certifies a bound that holds whatever the training did.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from ot_latent.brenier import perceptron
from ot_latent.kantorovich import solve_w1
from ot_latent.models import objectives
from ot_latent.paper.vegan.alternate import alternate, descend

_BATCH, _WIDTH = 256, 64


@dataclass(frozen=True)
class Side:
    """What one side of the duality says along its training, (k,) each.

    Attributes
    ----------
    steps : int array
    seconds : array
        Of training; what it takes to evaluate the bounds is not counted.
    reported : array
        E ‖X - G(Z)‖ of the encoder, or E f(X) - E f(G(Z)) of the critic, over all points.
    certified : array
        An upper or a lower bound of W1.
    """

    steps: np.ndarray
    seconds: np.ndarray
    reported: np.ndarray
    certified: np.ndarray


def primal(data: torch.Tensor, generated: torch.Tensor, weight: float, steps: int, records: int = 25) -> Side:
    """The encoder of penalised transport (13) with cost ‖x - y‖: an encoder that turns data into generated points.

    With G(z) = z the codes are the generated points. For the codes z~ of any encoder, W1 is at most
    E ‖X - z~‖ + W1(z~, generated), by the triangle inequality: the bound that is certified.

    Parameters
    ----------
    data, generated : (m, d), (n, d) float32 tensors
    weight : float
        lambda of eq. (13).
    steps : int
        Of the encoder; the critic makes three for each of them.
    records : int
        How many times the two numbers are recorded, at equal distances.
    """
    d = data.shape[1]
    encoder = perceptron(2 * d, d, 2, _WIDTH, 0.2)
    critic = perceptron(d, 1, 2, _WIDTH, 0.2)

    def encode(x: torch.Tensor) -> torch.Tensor:
        return encoder(torch.cat([x, torch.randn_like(x)], dim=1))

    def loss() -> torch.Tensor:
        x = _some(data)
        z = encode(x)
        return objectives.pot(x, z, z, _some(generated), critic, weight, _distance)["loss"]

    def critic_loss() -> torch.Tensor:
        return -objectives.gan_value(critic(encode(_some(data)).detach()), critic(_some(generated)))

    def bounds() -> tuple[float, float]:
        z = encode(data)
        cost = _distance(data, z).item()
        return cost, cost + solve_w1(z, generated)

    rates = (1e-3, 1e-3)
    players = encoder.parameters(), critic.parameters()
    training = alternate(*players, loss, critic_loss, steps, rates, critic_steps=3)
    return _recorded(training, bounds, steps, records)


def dual(data: torch.Tensor, generated: torch.Tensor, penalty: float, steps: int, records: int = 25) -> Side:
    """The critic of WGAN-GP: it raises E f(X) - E f(G(Z)) under a penalty on slopes other than one.

    Divided by the largest slope of f between a data point and a generated one, f is a feasible dual
    function on these points: the bound that is certified.

    Parameters
    ----------
    data, generated, steps, records
        As in `primal`.
    penalty : float
        Weight of `objectives.gradient_penalty`.
    """
    critic = perceptron(data.shape[1], 1, 2, _WIDTH, 0.2)

    def loss() -> torch.Tensor:
        x, y = _some(data), _some(generated)
        slopes = objectives.gradient_penalty(critic, x, y)
        return critic(y).mean() - critic(x).mean() + penalty * slopes

    distances = torch.cdist(data, generated)

    def bounds() -> tuple[float, float]:
        at_data, at_generated = critic(data), critic(generated).T
        value = (at_data.mean() - at_generated.mean()).item()
        return value, value / ((at_data - at_generated).abs() / distances).max().item()

    optimizer = torch.optim.Adam(critic.parameters(), 2e-3, betas=(0.5, 0.9), fused=True)
    return _recorded(descend([(optimizer, loss)], steps), bounds, steps, records)


def _some(points: torch.Tensor) -> torch.Tensor:
    return points[torch.randint(len(points), (_BATCH,))]


def _distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return (first - second).norm(dim=1).mean()


def _recorded(training: Iterator[int], bounds: Callable[[], tuple[float, float]], steps: int, records: int) -> Side:
    rows, spent, since = [], 0.0, perf_counter()
    for step in training:
        if step % (steps // records) == 0:
            spent += perf_counter() - since
            with torch.no_grad():
                rows.append((step, spent, *bounds()))
            since = perf_counter()
    return Side(*np.array(rows).T)
