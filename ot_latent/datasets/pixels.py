"""From an encoded image to pixels of the wanted size, and from pixels to the input of a network."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ot_latent._arrays import count
from ot_latent.datasets.sources import MAX_ENCODED

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as PilImage

#: Pixels of one image: more than any set of the papers has. What claims more is refused before it is decoded.
MAX_PIXELS = 2**26
#: Decoders that are tried; others, as that of PostScript, may run what the file says.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "AVIF", "DIB", "TGA")
#: Kinds of pixels of eight bits or less, which become RGB without loss of range. Grey ones of 16 bits are taken, too.
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
        object.__setattr__(self, "size", count(self.size, "size", most=2048))
        if self.crop is not None:
            object.__setattr__(self, "crop", count(self.crop, "crop", most=2048))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return (self.size, self.size) if self.grey else (self.size, self.size, 3)


def decode(payload: bytes | np.ndarray, wanted: Wanted) -> np.ndarray:
    """An image as uint8 of shape ``wanted.shape``.

    Cropped, then resized with Lanczos' filter. Transparency is laid on white; colours of another profile become
    sRGB; 16 bits of grey become the upper eight. An orientation or a profile that does not parse is passed over.

    Raises
    ------
    UnusableImage
        If it does not decode, has another size than the official one, or is suspiciously large.
    """
    from PIL import Image

    if isinstance(payload, np.ndarray):
        pixels = np.ascontiguousarray(payload.transpose(1, 2, 0))
        image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    else:
        image = _open(payload)
    if wanted.official and image.size != wanted.official:
        expected = "{} x {}".format(*wanted.official)
        raise UnusableImage(f"it has {image.width} x {image.height} pixels, expected {expected}")
    if wanted.crop and min(image.size) < wanted.crop:
        raise UnusableImage(f"{image.width} x {image.height} pixels are too few to crop {wanted.crop}")
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in _MODES:
        raise UnusableImage(f"pixels of mode {image.mode} are not supported: {', '.join(_MODES)}, I;16")
    side = wanted.crop or min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    if square.has_transparency_data:
        layers = square.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
        square = flat.convert("L" if square.mode in ("L", "LA") else "RGB")
    if profile:
        square = square.convert("RGB") if square.mode == "P" else square
        if transform := _to_srgb(profile, square.mode):
            square = transform.apply(square)
    flat = square.convert("L" if wanted.grey else "RGB")
    return np.asarray(flat.resize((wanted.size, wanted.size), Image.Resampling.LANCZOS))


def _open(payload: bytes) -> PilImage:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if len(payload) > MAX_ENCODED:
        raise UnusableImage(f"its file is larger than {MAX_ENCODED:,} bytes")
    try:
        image = Image.open(io.BytesIO(payload), formats=_FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise UnusableImage(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
        image.load()
    except (UnidentifiedImageError, KeyError) as error:  # KeyError: a decoder that Pillow was built without
        raise UnusableImage(f"it is not of a known format: {', '.join(_FORMATS)}") from error
    except UnusableImage:
        raise
    # decoders of damaged files raise many kinds of errors, SyntaxError and struct.error among them
    except Exception as error:
        raise UnusableImage(f"it does not decode: {error}") from error
    with suppress(Exception):  # parsing a broken orientation raises as many
        ImageOps.exif_transpose(image, in_place=True)
    return image


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> Any:
    """The transform of pixels with a colour profile; None if it does not parse or fit the mode."""
    from PIL import ImageCms

    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        flags = ImageCms.Flags.NOCACHE  # threads share it
        return ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError):
        return None


def to_square(images: np.ndarray, size: int = 64, device: str | torch.device | None = None) -> torch.Tensor:
    """Uint8 images as network input, resized by bilinear weights.

    Where a side shrinks, each pixel averages all that it covers (``antialias=True`` of torch), or fine patterns
    would come out as coarse ones. For weights that ship this changes nothing: MNIST is enlarged, and the images of
    the other sets keep their side.

    Parameters
    ----------
    images : (n, h, w) or (n, h, w, 3) uint8
    size : int
        Side of the result in pixels; Liu 2018 resizes MNIST to 64.
    device : torch device, optional
        Where the result shall be. The bytes are moved there first: a quarter of the traffic.

    Returns
    -------
    (n, 1, size, size) or (n, 3, size, size) float32 torch tensor with values in [0, 1].

    Raises
    ------
    TypeError, ValueError
        If images are no bytes, or have another shape.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (1, 512, 512), np.uint8)
    >>> small = to_square(noise, 64)  # each pixel averages 8 x 8, with more weight on the inner ones
    >>> round(float(noise.std())), round(255 * float(small.std()))
    (74, 6)
    """
    import torch

    from ot_latent._loop import available

    size, images = count(size, "size"), byte_images(images)
    pixels = torch.tensor(images, device=None if device is None else available(device))
    planes = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    values = planes.float().div_(255)
    return values if values.shape[2:] == (size, size) else resized(values, size)


def byte_images(images: np.ndarray) -> np.ndarray:
    """`images`, if they are uint8 of shape (n, h, w) or (n, h, w, 3); else TypeError or ValueError."""
    try:
        images = np.asanyarray(images)
    except ValueError as error:
        raise TypeError(f"images must be a plain array of uint8: {error}") from error
    if images.dtype != np.uint8 or isinstance(images, np.ma.MaskedArray):
        raise TypeError(
            f"images must be bytes, a plain array of uint8, got {type(images).__name__} of {images.dtype}: "
            "bring others there, as (255 * images).round().astype('uint8') does from [0, 1]"
        )
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)) or 0 in images.shape[1:]:
        raise ValueError(f"images must have shape (n, h, w) or (n, h, w, 3), got {images.shape}")
    return images


def resized(images: torch.Tensor, side: int) -> torch.Tensor:
    """(n, channels, h, w) -> (n, channels, side, side), bilinear, as `to_square` does."""
    from torch.nn.functional import interpolate

    return interpolate(images, size=(side, side), mode="bilinear", antialias=side < max(images.shape[2:]))
