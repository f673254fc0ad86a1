"""From an encoded image to pixels of the wanted size, and from pixels to the input of a network."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ot_latent.datasets.sources import MAX_ENCODED

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as PilImage

#: Pixels of one image: more than any set of the papers has. What claims more is refused before it is decoded.
MAX_PIXELS = 2**26
#: Decoders that are tried; others, as that of PostScript, may run what the file says.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
#: Kinds of pixels of eight bits or less, which become RGB without loss of range.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


class UnusableImage(ValueError):
    """An image cannot be taken; the message says why."""


@dataclass(frozen=True)
class Wanted:
    """What becomes of an image.

    It must have size ``official`` where that is given, (width, height); the centred square of side ``crop``,
    or the largest one, is resized to ``size`` x ``size``.
    """

    size: int
    crop: int | None = None
    official: tuple[int, int] | None = None
    grey: bool = False

    def __post_init__(self) -> None:
        for what, side in (("size", self.size), ("crop", self.crop or 1)):
            if not isinstance(side, int) or not 1 <= side <= 2048:
                raise ValueError(f"{what} must be a whole number of pixels from 1 to 2048, got {side!r}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return (self.size, self.size) if self.grey else (self.size, self.size, 3)


def decode(payload: bytes | np.ndarray, wanted: Wanted) -> np.ndarray:
    """An image as uint8 of shape ``wanted.shape``.

    Transparency is laid on white, as the icons of `datasets.icons` are. Cropped, then resized with
    Lanczos' filter.

    Raises
    ------
    UnusableImage
        If it does not decode, has another size than the official one, or is suspiciously large.
    """
    from PIL import Image

    if isinstance(payload, np.ndarray):
        image = Image.fromarray(np.ascontiguousarray(payload.transpose(1, 2, 0)))
    else:
        image = _open(payload)
    if wanted.official and image.size != wanted.official:
        expected = "{} x {}".format(*wanted.official)
        raise UnusableImage(f"it has {image.width} x {image.height} pixels, expected {expected}")
    if wanted.crop and min(image.size) < wanted.crop:
        raise UnusableImage(f"{image.width} x {image.height} pixels are too few to crop {wanted.crop}")
    if image.mode not in _MODES:
        raise UnusableImage(f"pixels of mode {image.mode} are not supported: {', '.join(_MODES)}")
    side = wanted.crop or min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image if image.size == (side, side) else image.crop((left, top, left + side, top + side))
    if square.has_transparency_data:
        layers = square.convert("RGBA")
        square = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
    mode, size = "L" if wanted.grey else "RGB", (wanted.size, wanted.size)
    flat = square if square.mode == mode else square.convert(mode)
    return np.asarray(flat if flat.size == size else flat.resize(size, Image.Resampling.LANCZOS))


def _open(payload: bytes) -> PilImage:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if len(payload) > MAX_ENCODED:
        raise UnusableImage(f"its file is larger than {MAX_ENCODED:,} bytes")
    try:
        image = Image.open(io.BytesIO(payload), formats=_FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise UnusableImage(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except UnidentifiedImageError as error:
        raise UnusableImage(f"it is not of a known format: {', '.join(_FORMATS)}") from error
    except UnusableImage:
        raise
    # decoders of damaged files raise many kinds of errors, SyntaxError and struct.error among them
    except Exception as error:
        raise UnusableImage(f"it does not decode: {error}") from error
    return image


def to_square(images: np.ndarray, size: int = 64, device: str | torch.device | None = None) -> torch.Tensor:
    """Uint8 images as network input.

    Parameters
    ----------
    images : (n, h, w) or (n, h, w, 3) uint8
    size : int
        Side of the result in pixels; Liu 2018 resizes MNIST to 64.
    device : torch device, optional
        Where the result shall be. The bytes are moved there first: a quarter of the traffic.

    Returns
    -------
    (n, 1, size, size) or (n, 3, size, size) float32 torch tensor with values in [0, 1], bilinear.
    """
    import torch

    pixels = torch.tensor(images, device=device)
    planes = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    values = planes.float().div_(255)
    if values.shape[2:] == (size, size):
        return values
    return torch.nn.functional.interpolate(values, size=(size, size), mode="bilinear")
