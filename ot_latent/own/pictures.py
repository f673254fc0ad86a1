"""Sheets of images, and walks that move, drawn by Pillow alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ot_latent._storage import write_atomically

_GAP, _LEAST = 2, 64  # pixels between images, and of the side of one on a sheet
ANIMATED = (".gif", ".webp")


def sheet(images: torch.Tensor, columns: int = 8) -> Image.Image:
    """Images side by side on white: (n, channels, side, side) in [0, 1]."""
    bytes_ = (images.clamp(0, 1) * 255).round().byte().numpy().transpose(0, 2, 3, 1)
    n, side, _, channels = bytes_.shape
    rows, step = -(-n // columns), side + _GAP
    picture = np.full((rows * step - _GAP, min(n, columns) * step - _GAP, channels), 255, np.uint8)
    for i, image in enumerate(bytes_):
        top, left = i // columns * step, i % columns * step
        picture[top : top + side, left : left + side] = image
    drawn = Image.fromarray(picture if channels == 3 else picture[..., 0])
    times = -(-_LEAST // side)
    return drawn.resize((drawn.width * times, drawn.height * times), Image.Resampling.NEAREST)


def save(path: Path, frames: Sequence[Image.Image], milliseconds: int = 120) -> Path:
    """Write a picture, or several as one that moves, for ever; returns its path.

    Raises
    ------
    ValueError
        If the path ends in no known way, or in one of a still picture for several.
    """
    endings = ANIMATED if len(frames) > 1 else (".png", ".jpg", *ANIMATED)
    if path.suffix.lower() not in endings:
        raise ValueError(f"the name of the picture must end in {' or '.join(endings)}, got {path.name!r}")
    kind = path.suffix[1:].lower().replace("jpg", "jpeg")
    moving = {"save_all": True, "append_images": frames[1:], "duration": milliseconds, "loop": 0}
    settings = moving if len(frames) > 1 else {}
    write_atomically(path, lambda file: frames[0].save(file, format=kind, **settings))
    return path
