"""The Brenier potential as a network: D of Liu 2018, its map T(z) = z + grad D(z), and how it is fitted."""

import itertools
import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ot_latent._arrays import count, number
from ot_latent._loop import Loop
from ot_latent._storage import as_path, locked, tensors_hash


def perceptron(inputs: int, outputs: int, hidden: int = 2, width: int = 64, slope: float = 0.0) -> nn.Sequential:
    """Multi-layer perceptron: ``hidden`` times [linear to ``width``, LeakyReLU of ``slope``], linear.

    (n, inputs) -> (n, outputs); a slope of 0 is ReLU.
    """
    slope, outputs = number(slope, "slope"), count(outputs, "outputs")
    sizes = [count(inputs, "inputs")] + [count(width, "width")] * count(hidden, "hidden", 0)
    pairs = itertools.pairwise(sizes)
    layers = [layer for pair in pairs for layer in (nn.Linear(*pair), nn.LeakyReLU(slope))]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


class Potential(nn.Module):
    """The discriminator D of Liu 2018, a multi-layer perceptron: (n, dim) -> (n,).

    ``layers`` linear layers with the output's among them, ``width`` units in each hidden one, LeakyReLU
    of the given slope between. The paper's settings: 6 layers and slope 0.2 for MNIST and CelebA,
    4 layers and slope 0 (ReLU) for the eight Gaussians.

    ``shift`` and ``scale`` are the one shift and the one number by which the codes were moved before
    the fit (`LatentTransport`); they travel with the weights.
    """

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dim: int, layers: int = 6, width: int = 512, slope: float = 0.2) -> None:
        super().__init__()
        sizes = {"dim": dim, "layers": layers, "width": width}
        self.config = {name: count(value, name) for name, value in sizes.items()} | {"slope": slope}
        self.body = perceptron(dim, 1, layers - 1, width, slope)
        self.register_buffer("shift", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = self.body(points)
        return values.squeeze(1)

    @classmethod
    def seeded(cls, seed: int, **config: Any) -> "Potential":
        """D with the weights that it has after ``torch.manual_seed(seed)``; torch's own generator stays as it is."""
        with torch.device("meta"):
            potential = cls(**config)
        potential.to_empty(device="cpu")
        potential.shift.zero_()
        potential.scale.fill_(1)
        generator = torch.Generator().manual_seed(seed)
        for layer in potential.body:
            if isinstance(layer, nn.Linear):  # as `nn.Linear.reset_parameters`
                bound = 1 / math.sqrt(layer.in_features)
                nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
        return potential


def require_tensors(**tensors: torch.Tensor) -> None:
    """Raise TypeError unless all are floating tensors."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            raise TypeError(f"{name} must be a floating torch tensor, got {getattr(tensor, 'dtype', tensor)!r}")


def require_functions(**functions: Callable[..., Any]) -> None:
    """Raise TypeError unless all can be called, and none is a class."""
    for name, function in functions.items():
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"{name} must be a network or a function, got {function!r}")


def _require(potential: nn.Module, **tensors: torch.Tensor) -> None:
    """Raise TypeError unless D is a function, and tensors are floating ones; ValueError unless they have its points."""
    require_functions(potential=potential)
    require_tensors(**tensors)
    for name, tensor in tensors.items():
        if tensor.ndim != (1 if name == "phi" else 2) or len(tensor) != len(tensors["points"]):
            raise ValueError(f"{name} must have a row for each of the points (n, d), got shape {tuple(tensor.shape)}")
    d = getattr(potential, "config", {}).get("dim", tensors["points"].shape[1])
    if tensors["points"].shape[1] != d:
        raise ValueError(f"points must have shape (n, {d}), got {tuple(tensors['points'].shape)}")


def gradient(potential: nn.Module, points: torch.Tensor, create_graph: bool = False) -> torch.Tensor:
    """The gradient of D at each point: (n, d) -> (n, d)."""
    _require(potential, points=points)
    with torch.enable_grad():
        if not points.requires_grad:
            points = points.detach().requires_grad_()
        value = potential(points).sum()
        return torch.autograd.grad(value, points, create_graph=create_graph)[0]


def regression_loss(
    potential: Potential,
    points: torch.Tensor,
    phi: torch.Tensor,
    matched: torch.Tensor,
    weight: float,
    up_to_constant: bool = False,
) -> torch.Tensor:
    """How far D is from the dual potential of a batch: eq. (18) as printed; eq. (15) at weight 0.

    Parameters
    ----------
    potential : D
    points : (m, d)
        Noise z_x.
    phi : (m,)
        H* of eq. (14) at the points.
    matched : (m, d)
        Codes z_{y, sigma(i)} of eq. (17).
    weight : float
        lambda: 0 for the eight Gaussians, 0.1 for images.
    up_to_constant : bool
        Compare D and phi up to the constant that (14) leaves free: the variance of their difference,
        estimated without bias from at least two points, in place of the first term.
    """
    _require(potential, points=points, phi=phi, matched=matched)
    weight = number(weight, "weight")
    error = potential(points) - phi
    error = error.var() if up_to_constant else error.square().mean()
    if weight == 0:
        return error
    slope = gradient(potential, points, create_graph=True).norm(dim=1)
    distance = (matched - points).norm(dim=1)
    return error + weight * (slope - distance).square().mean()


def transport(potential: Potential, points: torch.Tensor, rows: int = 16_384) -> torch.Tensor:
    """The map of eq. (19), T(z) = z + grad D(z), in the coordinates of the codes: (n, d) -> (n, d).

    So many rows go through D at a time: the default takes 350 MB with the paper's network.
    """
    _require(potential, points=points)
    moved = [part + gradient(potential, part, part.requires_grad) for part in points.split(count(rows, "rows"))]
    return potential.shift + potential.scale * torch.cat(moved)


def exact_loss(
    potential: Potential, points: torch.Tensor, phi: torch.Tensor, moved: torch.Tensor, weight: float
) -> torch.Tensor:
    """How far D is from an exact potential, up to the constant that is free, and z + grad D(z) from its map.

    Parameters
    ----------
    potential : D
    points : (m, d)
        Noise z.
    phi : (m,)
    moved : (m, d)
        T(z).
    weight : float
        Of the squared distances between the maps.
    """
    _require(potential, points=points, phi=phi, moved=moved)
    weight = number(weight, "weight")
    error = (potential(points) - phi).var()
    distance = points + gradient(potential, points, create_graph=True) - moved
    return error + weight * distance.square().sum(1).mean()


def fit_potential(
    potential: Potential,
    points: torch.Tensor,
    phi: torch.Tensor,
    iterations: int,
    learning_rate: float,
    decay: bool = False,
    resume: str | Path | None = None,
    save_seconds: float = 60.0,
) -> list[dict[str, float]]:
    """Regress D on one exact dual, eq. (15), with all points in each step of Adam(0.5, 0.999).

    Parameters
    ----------
    points : (m, d)
    phi : (m,)
    decay : bool
        Lower the learning rate to zero along half a cosine.
    resume, save_seconds
        As in `LatentTransport.fit`.

    Returns
    -------
    The log: for every hundred iterations and the last ones, their number and the mean loss.

    Raises
    ------
    ValueError
        If ``resume`` holds the states of another fit, or ``iterations`` is below 1.
    DivergenceError
        If the loss is not finite.
    """
    _require(potential, points=points, phi=phi)
    folder = None if resume is None else as_path(resume, "resume")
    number(learning_rate, "learning_rate", positive=True), number(save_seconds, "save_seconds", 0)
    data = tensors_hash({"points": points, "phi": phi})
    settings = {"data": data, "learning_rate": learning_rate, "potential": potential.config}
    kept: dict[str, Any] = {"decay": decay, "folder": folder, "settings": settings, "save_seconds": save_seconds}
    regression = Regression(potential, partial(regression_loss, weight=0), learning_rate, iterations, **kept)
    with locked(folder / "fit") if folder else nullcontext():
        return regression.run(lambda step: (points, phi, points)).log


class Regression(Loop):
    """The fit of D with Adam(rate, 0.5, 0.999) to what each step gives, by a loss of D and that.

    What is ``kept`` and how, and whether the rate falls, are the arguments of `Loop`.
    """

    unit = "iteration"

    def __init__(
        self, potential: Potential, loss: Callable[..., Any], learning_rate: float, iterations: int, **kept: Any
    ) -> None:
        self.loss, self.device = loss, next(potential.parameters()).device
        self.optimizer = torch.optim.Adam(potential.parameters(), learning_rate, betas=(0.5, 0.999))
        super().__init__("fit D", potential, [self.optimizer], length=iterations, steps_per_unit=1, period=100, **kept)

    def take(self, step: int, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        loss = self.loss(self.model, *(part.to(self.device) for part in batch))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}
