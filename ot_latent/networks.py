"""Networks of the papers, each stated layer by layer."""

from __future__ import annotations

import torch
from torch import nn

_STEPS = 4  # each convolution halves the side: 64 -> 32 -> 16 -> 8 -> 4


def encoder(outputs: int, width: int = 16) -> nn.Sequential:
    """Convolutional encoder for 64x64 grey images, after Radford et al. (2015).

    Four times [4x4 convolution of stride 2, batch norm, LeakyReLU 0.2] with ``width`` times
    1, 2, 4, 8 channels, then one linear layer: (n, 1, 64, 64) -> (n, outputs).
    """
    return nn.Sequential(*_convolutions(width), nn.Linear(_features(width), outputs))


def _convolutions(width: int) -> list[nn.Module]:
    """(n, 1, 64, 64) -> (n, `_features(width)`)."""
    channels = [1] + [width * 2**step for step in range(_STEPS)]
    layers: list[nn.Module] = []
    for before, after in zip(channels, channels[1:], strict=False):
        layers += [
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2),
        ]
    return [*layers, nn.Flatten()]


def _features(width: int) -> int:
    return width * 2 ** (_STEPS - 1) * 16


def decoder(latent_dim: int, width: int = 16) -> nn.Sequential:
    """Mirror of `encoder`: (n, latent_dim) -> (n, 1, 64, 64) with values in (0, 1).

    One linear layer to 4x4, batch norm, ReLU; three times [4x4 transposed convolution of stride 2,
    batch norm, ReLU]; a last transposed convolution and a sigmoid.
    """
    channels = [width * 2**step for step in reversed(range(_STEPS))]
    layers = [
        nn.Linear(latent_dim, channels[0] * 16),
        nn.Unflatten(1, (channels[0], 4, 4)),
        nn.BatchNorm2d(channels[0]),
        nn.ReLU(),
    ]
    for before, after in zip(channels, channels[1:], strict=False):
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(
        *layers, nn.ConvTranspose2d(channels[-1], 1, 4, stride=2, padding=1), nn.Sigmoid()
    )


def perceptron(
    inputs: int, outputs: int, hidden: int = 2, width: int = 64, slope: float = 0.0
) -> nn.Sequential:
    """Multi-layer perceptron: ``hidden`` times [linear to ``width``, LeakyReLU of ``slope``], linear.

    (n, inputs) -> (n, outputs); a slope of 0 is ReLU.
    """
    sizes = [inputs] + [width] * hidden
    layers = [
        layer
        for before, after in zip(sizes, sizes[1:], strict=False)
        for layer in (nn.Linear(before, after), nn.LeakyReLU(slope))
    ]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


def code_critic(latent_dim: int) -> nn.Sequential:
    """Critic of codes of the WAE paper for MNIST: (n, latent_dim) -> (n,) logits.

    Four times [linear to 512, ReLU], then linear to one logit.
    """
    return nn.Sequential(perceptron(latent_dim, 1, 4, 512), nn.Flatten(0))


class JoinedNetwork(nn.Module):
    """A network of an image and a vector: (n, 1, 64, 64), (n, inputs) -> (n, outputs).

    The convolutions of `encoder` turn the image into features, to which the vector is appended; twice
    [linear to 256, LeakyReLU 0.2], then linear. AVB uses it twice: as e(x, eps) with the noise for
    vector, and as T(x, z) with the code for vector and one logit for output.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(*_convolutions(width))
        self.head = perceptron(_features(width) + inputs, outputs, 2, 256, 0.2)

    def forward(self, images: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.features(images), vectors], dim=1))


class Potential(nn.Module):
    """The discriminator D of Liu 2018, a multi-layer perceptron: (n, dim) -> (n,).

    ``layers`` linear layers with the output's among them, ``width`` units in each hidden one, LeakyReLU
    of the given slope between. The paper's settings: 6 layers and slope 0.2 for MNIST and CelebA,
    4 layers and slope 0 (ReLU) for the eight Gaussians.

    ``shift`` and ``scale`` are the one shift and the one number by which the codes were moved before
    the fit (`brenier.LatentTransport`); they travel with the weights.
    """

    def __init__(self, dim: int, layers: int = 6, width: int = 512, slope: float = 0.2) -> None:
        super().__init__()
        self.config = {"dim": dim, "layers": layers, "width": width, "slope": slope}
        self.body = perceptron(dim, 1, layers - 1, width, slope)
        self.register_buffer("shift", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return self.body(points).squeeze(1)


def _convolution(before: int, after: int) -> list[nn.Module]:
    """3x3 convolution, batch norm, ReLU."""
    return [
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]


class DigitClassifier(nn.Module):
    """Digit classifier behind our Inception Scores: (n, 1, 64, 64) in [0, 1] -> (n, 10) logits.

    2x2 average pooling to 32x32; two blocks of [two 3x3 convolutions with batch norm and ReLU, 2x2 max
    pooling] with 32 and 64 channels; dropout; linear to 128 ReLU features; linear to 10. The 128
    features are those of the FID.
    """

    #: What `scorers.Classifier` brings images to.
    channels, side = 1, 64

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.AvgPool2d(2),
            *_convolution(1, 32),
            *_convolution(32, 32),
            nn.MaxPool2d(2),
            *_convolution(32, 64),
            *_convolution(64, 64),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64 * 8 * 8, 128),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, 10)

    @property
    def config(self) -> dict:
        """Arguments that build this network again."""
        return {}

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 1, 64, 64) -> (n, 128)."""
        return self.body(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Cross-entropy, the total first."""
        return {"loss": nn.functional.cross_entropy(self(images), labels)}


class Residual(nn.Module):
    """x + two times [3x3 convolution, batch norm, ReLU] of x: (n, channels, h, w) -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(channels, channels), *_convolution(channels, channels)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + self.body(images)


class CifarClassifier(nn.Module):
    """Classifier of CIFAR-10 behind our scores of coloured images: (n, 3, 32, 32) -> (n, 10) logits.

    A residual network of nine layers, with a "convolution" for [3x3 convolution, batch norm, ReLU] and
    ``width`` w: convolution to w, convolution to 2w, 2x2 max pooling, residual block of two
    convolutions; convolution to 4w, pooling; convolution to 8w, pooling, residual block; the largest
    value of each channel; linear to 10. The 8w largest values are the features of the FID. Images
    are in [0, 1] and are shifted and scaled to about [-2, 2] first.

    References
    ----------
    After the ResNet-9 of D. Page, How to train your ResNet (2018), with less width.
    """

    #: What `scorers.Classifier` brings images to.
    channels, side = 3, 32
    #: Images are padded by so many pixels before a random crop.
    padding = 4

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.config = {"width": width}
        self.body = nn.Sequential(
            *_convolution(3, width),
            *_convolution(width, 2 * width),
            nn.MaxPool2d(2),
            Residual(2 * width),
            *_convolution(2 * width, 4 * width),
            nn.MaxPool2d(2),
            *_convolution(4 * width, 8 * width),
            nn.MaxPool2d(2),
            Residual(8 * width),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(8 * width, 10)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, 32, 32) -> (n, 8 width)."""
        return self.body(4 * images - 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Cross-entropy; in training mode of randomly shifted and mirrored images."""
        if self.training:
            images = shifted_and_mirrored(images, self.padding)
        return {"loss": nn.functional.cross_entropy(self(images), labels)}


def shifted_and_mirrored(images: torch.Tensor, padding: int) -> torch.Tensor:
    """Each image padded by mirroring, cut out at a random place, and flipped or not: the same shape."""
    n, _, height, width = images.shape
    padded = nn.functional.pad(images, [padding] * 4, mode="reflect")

    def places(length: int) -> torch.Tensor:
        starts = torch.randint(2 * padding + 1, (n, 1), device=images.device)
        return starts + torch.arange(length, device=images.device)

    rows, columns = places(height), places(width)
    mirrored = torch.rand(n, 1, device=images.device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(n, device=images.device)[:, None, None]
    # the indices go first, the channels last
    return padded[image, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
