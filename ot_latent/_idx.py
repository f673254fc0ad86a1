"""LeCun's IDX format, MNIST's."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from ot_latent._catalogue import CorruptDataError


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes into an array of its shape."""
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\x00\x00\x08":
        raise CorruptDataError(f"{path} is not an IDX file of unsigned bytes")
    shape = tuple(np.frombuffer(data, ">u4", count=data[3], offset=4).astype(int))
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape))
    if values.size != np.prod(shape):
        raise CorruptDataError(f"{path} holds {values.size} values, its header says {shape}")
    return values.reshape(shape)
