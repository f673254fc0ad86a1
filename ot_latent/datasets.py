"""Data sets of the papers: where their files are, whether they are intact, and how to read them.

A file is looked for in ``data_dir/<name>/``, else in ``$OT_LATENT_DATA/<name>/``, then in the user's
cache; only then is it downloaded. Nothing is read before its hash agrees.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class MissingDataError(FileNotFoundError):
    """A data file is neither here nor to be downloaded; the message says how to mend it."""


class CorruptDataError(ValueError):
    """A data file is not the official one; the message gives both hashes."""


@dataclass(frozen=True)
class DataFile:
    """One official file: its name, the md5 of its bytes and the addresses that serve it."""

    name: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class DataSet:
    """A data set as its authors publish it."""

    name: str
    summary: str
    terms: str
    files: tuple[DataFile, ...]


_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def _mnist_file(name: str, md5: str) -> DataFile:
    return DataFile(name, md5, tuple(mirror + name for mirror in _MNIST_MIRRORS))


DATASETS = {
    "mnist": DataSet(
        "mnist",
        "70,000 handwritten digits, 28x28 grey (60,000 train, 10,000 test)",
        "CC BY-SA 3.0; LeCun, Cortes and Burges",
        (
            _mnist_file("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            _mnist_file("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            _mnist_file("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            _mnist_file("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
    ),
}


def cache_dir() -> Path:
    """The user's cache, where downloads go."""
    import pooch

    return Path(pooch.os_cache("ot_latent"))


def _folders(name: str, data_dir: str | Path | None) -> list[Path]:
    """Where files of the data set may lie, in the order in which they are looked for."""
    given = data_dir or os.environ.get("OT_LATENT_DATA")
    return [Path(root) / name for root in (given, cache_dir()) if root]


def _data_set(name: str) -> DataSet:
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; there are: {', '.join(sorted(DATASETS))}")
    return DATASETS[name]


def locate(name: str, data_dir: str | Path | None = None) -> dict[str, Path | None]:
    """Where each file of a data set lies, or None. Hashes are not checked and nothing is fetched.

    Raises
    ------
    ValueError
        If there is no data set of that name.
    """
    folders = _folders(name, data_dir)
    return {
        file.name: next((f / file.name for f in folders if (f / file.name).is_file()), None)
        for file in _data_set(name).files
    }


def get(name: str, data_dir: str | Path | None = None) -> dict[str, Path]:
    """Paths of all files of a data set by file name, each verified; what is missing is downloaded.

    Raises
    ------
    MissingDataError
        If a file is not here and no address delivers it.
    CorruptDataError
        If a file's hash differs from the official one. Such a file is never used.
    """
    found = locate(name, data_dir)
    return {
        file.name: _fetch(name, file, found[file.name], data_dir) for file in _data_set(name).files
    }


def _fetch(name: str, file: DataFile, path: Path | None, data_dir: str | Path | None) -> Path:
    if path is not None:
        _verify(file, path)
        return path
    import pooch
    import requests

    failures = []
    for url in file.urls:
        try:
            # pooch moves the file into the cache only after its hash agreed
            return Path(
                pooch.retrieve(
                    url,
                    known_hash=f"md5:{file.md5}",
                    fname=file.name,
                    path=cache_dir() / name,
                    progressbar=True,
                )
            )
        except requests.RequestException as error:
            failures.append(f"  {url}: {type(error).__name__}")
        except ValueError as error:
            raise CorruptDataError(f"the download of {url} was refused: {error}") from error
    looked = "\n".join(f"  {folder / file.name}" for folder in _folders(name, data_dir))
    raise MissingDataError(
        f"{name}: {file.name} is missing. Looked at\n{looked}\nand tried to download\n"
        + "\n".join(failures)
        + f"\nRemedy: on a machine with a network run `ot-latent data get {name}`, or put the official "
        f"file at {cache_dir() / name / file.name}, or set OT_LATENT_DATA to a folder that holds "
        f"{name}/{file.name}."
    )


def _verify(file: DataFile, path: Path) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "md5").hexdigest()
    if found != file.md5:
        raise CorruptDataError(
            f"{path} is not the official file: its md5 is {found}, expected {file.md5}. "
            "Remove it and run the command again."
        )


def _read_idx(path: Path) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes (LeCun's format) into an array of its shape."""
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\x00\x00\x08":
        raise CorruptDataError(f"{path} is not an IDX file of unsigned bytes")
    shape = tuple(np.frombuffer(data, ">u4", count=data[3], offset=4).astype(int))
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape))
    if values.size != np.prod(shape):
        raise CorruptDataError(f"{path} holds {values.size} values, its header says {shape}")
    return values.reshape(shape)


def mnist(
    split: str = "train", data_dir: str | Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """MNIST digits.

    Parameters
    ----------
    split : "train" or "test"
        60,000 or 10,000 digits.
    data_dir : path, optional
        A folder that holds ``mnist/``; by default ``$OT_LATENT_DATA``.

    Returns
    -------
    images : (n, 28, 28) uint8
    labels : (n,) uint8
    """
    prefixes = {"train": "train", "test": "t10k"}
    if split not in prefixes:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    files = get("mnist", data_dir)
    prefix = prefixes[split]
    return (
        _read_idx(files[f"{prefix}-images-idx3-ubyte.gz"]),
        _read_idx(files[f"{prefix}-labels-idx1-ubyte.gz"]),
    )


def to_square(images: np.ndarray, size: int = 64):
    """Grey uint8 images as network input.

    Parameters
    ----------
    images : (n, h, w) uint8
    size : int
        Side of the result in pixels; Liu 2018 resizes MNIST to 64.

    Returns
    -------
    (n, 1, size, size) float32 torch tensor with values in [0, 1], bilinear.
    """
    import torch

    pixels = torch.tensor(images).unsqueeze(1).float() / 255
    return torch.nn.functional.interpolate(pixels, size=(size, size), mode="bilinear")


_DIAGONAL = 10 / np.sqrt(2)
#: Centres of the eight Gaussians, (8, 2), in the order in which Liu 2018 (section 4.1) prints them.
EIGHT_CENTERS = np.array(
    [(10, 0), (-10, 0), (0, 10), (0, -10)]
    + [(a * _DIAGONAL, b * _DIAGONAL) for a in (1, -1) for b in (1, -1)],
)


def eight_gaussians(n: int, rng: int | np.random.Generator = 0) -> np.ndarray:
    """Liu 2018's toy data: equal numbers of points from eight unit Gaussians on a circle of radius 10.

    Parameters
    ----------
    n : int
        Number of points, a multiple of 8; the paper takes 256.
    rng : int or Generator

    Returns
    -------
    (n, 2) float64, mode after mode in the order of `EIGHT_CENTERS`.
    """
    if n < 8 or n % 8:
        raise ValueError(f"n must be a positive multiple of 8 (equal shares of the modes), got {n}")
    centers = np.repeat(EIGHT_CENTERS, n // 8, axis=0)
    return centers + np.random.default_rng(rng).standard_normal(centers.shape)
