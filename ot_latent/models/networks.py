"""Networks of the papers, each stated layer by layer."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ot_latent._arrays import choice, count
from ot_latent.brenier import perceptron

#: Sides of images, and how many halvings lead from each to 4x4.
SIDES = {32: 3, 64: 4, 128: 5}


def encoder(
    outputs: int, width: int = 16, channels: int = 1, side: int = 64, normalise_first: bool = True
) -> nn.Sequential:
    """Strided convolutions of Radford et al. (2015): (n, channels, side, side) -> (n, outputs).

    3, 4 or 5 times, for sides of 32, 64 or 128, [4x4 convolution of stride 2, batch norm, LeakyReLU
    0.2] with ``width`` times 1, 2, 4, ... channels, then one linear layer. As the critic of a DCGAN it
    has no batch norm after the first convolution: ``normalise_first=False``.

    Raises
    ------
    ValueError
        If the side is none of `SIDES`.
    """
    _require(outputs=outputs)
    layers, features = _convolutions(width, channels, side, normalise_first)
    return nn.Sequential(*layers, nn.Linear(features, outputs))


def _convolutions(width: int, channels: int, side: int, normalise_first: bool) -> tuple[list[nn.Module], int]:
    """Layers (n, channels, side, side) -> (n, features), and how many features these are."""
    _require(width=width, channels=channels)
    sizes = [channels] + [width * 2**step for step in range(_halvings(side))]
    layers: list[nn.Module] = []
    for before, after in zip(sizes, sizes[1:], strict=False):
        normalise = normalise_first or bool(layers)
        layers += [
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not normalise),
            *([nn.BatchNorm2d(after)] if normalise else []),
            nn.LeakyReLU(0.2),
        ]
    return [*layers, nn.Flatten()], sizes[-1] * 4 * 4


def _halvings(side: int) -> int:
    return SIDES[choice(side, "side", SIDES)]


def _require(**sizes: int) -> None:
    for name, size in sizes.items():
        count(size, name, most=2**20)


def decoder(
    latent_dim: int, width: int = 16, channels: int = 1, side: int = 64, last: type[nn.Module] = nn.Sigmoid
) -> nn.Sequential:
    """Mirror of `encoder`: (n, latent_dim) -> (n, channels, side, side) with values in (0, 1).

    One linear layer to 4x4, batch norm, ReLU; 2, 3 or 4 times [4x4 transposed convolution of stride 2,
    batch norm, ReLU]; a last transposed convolution and a sigmoid. As the generator of a DCGAN it ends
    in a tanh: ``last=nn.Tanh``.
    """
    _require(latent_dim=latent_dim, width=width, channels=channels)
    if not (isinstance(last, type) and issubclass(last, nn.Module)):
        raise TypeError(f"last must be a class of layers, such as nn.Tanh, got {last!r}")
    sizes = [width * 2**step for step in reversed(range(_halvings(side)))]
    first = sizes[0]
    layers = [nn.Linear(latent_dim, first * 16), nn.Unflatten(1, (first, 4, 4)), nn.BatchNorm2d(first), nn.ReLU()]
    for before, after in zip(sizes, sizes[1:], strict=False):
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(sizes[-1], channels, 4, stride=2, padding=1), last())


class ResidualBlock(nn.Module):
    """Pre-activation residual block of Gulrajani et al. (2017): (n, before, h, w) -> (n, after, ...).

    [batch norm, ReLU, 3x3 convolution, batch norm, ReLU, 3x3 convolution] plus a shortcut. ``resample``
    "up" doubles the side by nearest neighbours ahead of the first convolution, "down" halves it by a
    mean after the second, None keeps it. The shortcut is a 1x1 convolution, resampled alike, or the
    identity where the block keeps shape. Critics go without batch norm (``normalise=False``), and
    their first block without activation of the image (``first=True``).

    Weights are drawn as in the paper's code: uniform with variance 4 / (fan in + fan out) for 3x3
    convolutions, half of that for 1x1; biases 0.
    """

    def __init__(
        self, before: int, after: int, resample: str | None = None, normalise: bool = False, first: bool = False
    ) -> None:
        super().__init__()
        up = [nn.Upsample(scale_factor=2)] if resample == "up" else []
        down = [nn.AvgPool2d(2)] if resample == "down" else []

        def activation(channels: int) -> list[nn.Module]:
            return [*([nn.BatchNorm2d(channels)] if normalise else []), nn.ReLU()]

        self.body = nn.Sequential(
            *([] if first else activation(before)),
            *up,
            _glorot(nn.Conv2d(before, after, 3, padding=1), 2**0.5),
            *activation(after),
            _glorot(nn.Conv2d(after, after, 3, padding=1), 2**0.5),
            *down,
        )
        # a 1x1 convolution commutes with both ways of resampling: it is done at the smaller side
        keeps = before == after and resample is None
        self.shortcut = nn.Sequential(*([] if keeps else [*down, _glorot(nn.Conv2d(before, after, 1)), *up]))

    def forward(self, images: Tensor) -> Tensor:
        return self.shortcut(images) + self.body(images)


def _glorot(layer: nn.Linear | nn.Conv2d, gain: float = 1.0) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def residual_generator(latent_dim: int, width: int = 128, channels: int = 3, side: int = 32) -> nn.Sequential:
    """ResNet generator of Gulrajani et al. (2017) for CIFAR-10: (n, latent_dim) -> images in (-1, 1).

    One linear layer to 4x4 with ``width`` channels; 3, 4 or 5 residual blocks up, for sides of 32, 64
    or 128; batch norm, ReLU, 3x3 convolution, tanh. The paper has 128 channels and side 32.
    """
    _require(latent_dim=latent_dim, width=width, channels=channels)
    return nn.Sequential(
        _glorot(nn.Linear(latent_dim, width * 16)),
        nn.Unflatten(1, (width, 4, 4)),
        *[ResidualBlock(width, width, "up", normalise=True) for _ in range(_halvings(side))],
        nn.BatchNorm2d(width),
        nn.ReLU(),
        _glorot(nn.Conv2d(width, channels, 3, padding=1)),
        nn.Tanh(),
    )


def residual_critic(width: int = 128, channels: int = 3, side: int = 32) -> nn.Sequential:
    """ResNet critic of Gulrajani et al. (2017) for CIFAR-10: (n, channels, side, side) -> (n,).

    2, 3 or 4 residual blocks down to 8x8, for sides of 32, 64 or 128; two more that keep the side;
    ReLU; mean over the pixels; one linear layer. Nothing is normalised over the batch: the gradient
    penalty is a condition on each image alone.
    """
    _require(width=width, channels=channels)
    return nn.Sequential(
        ResidualBlock(channels, width, "down", first=True),
        *[ResidualBlock(width, width, "down") for _ in range(_halvings(side) - 2)],
        ResidualBlock(width, width),
        ResidualBlock(width, width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        _glorot(nn.Linear(width, 1)),
        nn.Flatten(0),
    )


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients flow through a network, but not into it."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def code_critic(latent_dim: int) -> nn.Sequential:
    """Critic of codes of the WAE paper for MNIST: (n, latent_dim) -> (n,) logits.

    Four times [linear to 512, ReLU], then linear to one logit.
    """
    return nn.Sequential(perceptron(latent_dim, 1, 4, 512), nn.Flatten(0))


class JoinedNetwork(nn.Module):
    """A network of an image and a vector: (n, channels, side, side), (n, inputs) -> (n, outputs).

    The convolutions of `encoder` turn the image into features, to which the vector is appended; twice
    [linear to 256, LeakyReLU 0.2], then linear. AVB uses it twice: as e(x, eps) with the noise for
    vector, and as T(x, z) with the code for vector and one logit for output.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 16, channels: int = 1, side: int = 64) -> None:
        super().__init__()
        layers, features = _convolutions(width, channels, side, True)
        self.features = nn.Sequential(*layers)
        self.head = perceptron(features + inputs, outputs, 2, 256, 0.2)

    def forward(self, images: Tensor, vectors: Tensor) -> Tensor:
        return self.head(torch.cat([self.features(images), vectors], dim=1))
