"""Classifiers behind the scores of digits and of images in colour."""

from typing import Any

import torch
from torch import Tensor, nn

from ot_latent._arrays import count
from ot_latent.brenier import require_tensors


def _convolution(before: int, after: int) -> list[nn.Module]:
    """3x3 convolution, batch norm, ReLU."""
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


class _Classifier(nn.Module):
    """A body that makes features of images, and a head that makes logits of features.

    `scorers.Classifier` brings images to ``channels`` and ``side``; ``config`` holds the arguments that
    build this network again.
    """

    channels: int
    side: int

    def __init__(self, body: nn.Sequential, features: int, **config: Any) -> None:
        super().__init__()
        self.config: dict[str, Any] = config
        self.body, self.head = body, nn.Linear(features, 10)

    def features(self, images: Tensor) -> Tensor:
        """Features of images: (n, channels, side, side) -> (n, features)."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the ten classes: (n, channels, side, side) -> (n, 10)."""
        return self.head(self.features(images))

    def loss(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy, under "loss"."""
        return {"loss": nn.functional.cross_entropy(self(images), labels)}


class DigitClassifier(_Classifier):
    """Digit classifier behind our Inception Scores: (n, 1, 64, 64) in [0, 1] -> (n, 10) logits.

    2x2 average pooling to 32x32; two blocks of [two 3x3 convolutions with batch norm and ReLU, 2x2 max
    pooling] with 32 and 64 channels; dropout; linear to 128 ReLU features; linear to 10. The 128
    features are those of the FID.
    """

    channels, side = 1, 64

    def __init__(self) -> None:
        body = nn.Sequential(
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
        super().__init__(body, 128)


class Residual(nn.Module):
    """Residual block, x + two times [3x3 convolution, batch norm, ReLU] of x: (n, channels, h, w) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(channels, channels), *_convolution(channels, channels))

    def forward(self, images: Tensor) -> Tensor:
        return images + self.body(images)


class CifarClassifier(_Classifier):
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

    channels, side = 3, 32

    def __init__(self, width: int = 24) -> None:
        width = count(width, "width")
        body = nn.Sequential(
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
        super().__init__(body, 8 * width, width=width)

    def features(self, images: Tensor) -> Tensor:
        """Features of images: (n, 3, 32, 32) -> (n, 8 width)."""
        return super().features(4 * images - 2)

    def loss(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy; in training mode of randomly shifted and mirrored images."""
        if self.training:
            images = shifted_and_mirrored(images, padding=4)  # as is common for CIFAR-10
        return super().loss(images, labels)


def shifted_and_mirrored(images: Tensor, padding: int) -> Tensor:
    """Each image padded by mirroring, cut out at a random place, and flipped or not: the same shape."""
    require_tensors(images=images)
    count(padding, "padding", 0)
    n, _, height, width = images.shape
    padded = nn.functional.pad(images, [padding] * 4, mode="reflect")

    def places(length: int) -> Tensor:
        starts = torch.randint(2 * padding + 1, (n, 1), device=images.device)
        return starts + torch.arange(length, device=images.device)

    rows, columns = places(height), places(width)
    mirrored = torch.rand(n, 1, device=images.device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(n, device=images.device)[:, None, None]
    # the indices go first, the channels last
    return padded[image, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
