"""LeCun's IDX format, and the binary format of CIFAR-10."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ot_latent.datasets.catalogue import (
    CIFAR10_BATCHES,
    CIFAR10_FIRST_TEST,
    CIFAR10_FOLDER,
    CorruptDataError,
    DataFile,
    DataSet,
    MissingDataError,
    PartialDataWarning,
)
from ot_latent.datasets.files import fetch, find, instructions
from ot_latent.datasets.sources import refuse_outside


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


_RECORD = 1 + 3 * 32 * 32


def images_in(file: DataFile) -> int:
    """How many images a batch holds."""
    return 1_000 if file == CIFAR10_FIRST_TEST else 10_000


def find_batches(batches: Sequence[DataFile], folders: Sequence[Path]) -> dict[DataFile, Path]:
    """The unpacked batches that are here, gzipped or not."""
    found = {file: find(folders, f"{CIFAR10_FOLDER}/{file.name}") for file in batches}
    return {file: path for file, path in found.items() if path is not None}


def read_cifar10(
    split: str, data_set: DataSet, folders: Sequence[Path], partial: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split; see `datasets.cifar10`."""
    [archive], batches = data_set.files, CIFAR10_BATCHES[split]
    found = find_batches(batches, folders)
    whole = len(found) == len(batches)
    if not found and partial and split == "test":
        found = find_batches([CIFAR10_FIRST_TEST], folders)
    here = ", ".join(file.name for file in found) or "none"
    say = (
        f"cifar10 {split}: {sum(map(images_in, found)):,} of {sum(map(images_in, batches)):,} images are here "
        f"unpacked; batches: {here}"
    )
    if find(folders, archive.name) is None and (whole or partial):
        if not found:
            raise MissingDataError(f"{say}. {instructions(data_set, folders)}")
        images, labels = read_batches(found)
        if not whole:
            warnings.warn(say, PartialDataWarning, stacklevel=3)
        return images, labels
    try:
        path = fetch(data_set, archive, folders)
    except MissingDataError as error:
        raise MissingDataError(f"{error}\n{say}. Pass partial=True to go on with those that are here.") from error
    return read_archive(batches, path)


def read_batches(found: dict[DataFile, Path]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of unpacked batches, verified."""
    return _arrays(list(found), ((file, _read(file, path)) for file, path in found.items()))


def read_archive(batches: Sequence[DataFile], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of batches in the official archive, verified; nothing is unpacked to disk."""
    return _arrays(batches, _members(batches, path))


def _read(file: DataFile, path: Path) -> bytes:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            content = stream.read(images_in(file) * _RECORD + 1)  # no more, whatever unpacks
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptDataError(f"{path} is damaged or truncated: {error}") from error
    return _verified(file, content, str(path))


def _verified(file: DataFile, content: bytes, where: str) -> bytes:
    found = hashlib.md5(content).hexdigest()
    if found != file.md5:
        raise CorruptDataError(
            f"{where} is not the official batch: the md5 of its first {len(content):,} unzipped bytes "
            f"is {found}, expected {file.md5} of {images_in(file) * _RECORD:,}. Get the file anew."
        )
    return content


def _members(batches: Sequence[DataFile], path: Path) -> Iterator[tuple[DataFile, bytes]]:
    wanted = {f"{CIFAR10_FOLDER}/{file.name}": file for file in batches}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for entry in archive:
                refuse_outside(path, entry.name, entry.issym() or entry.islnk())
                if (file := wanted.pop(entry.name, None)) is None:
                    continue
                stream = archive.extractfile(entry)
                if stream is None:
                    raise CorruptDataError(f"{path}: {entry.name} is not a file")
                content = stream.read(images_in(file) * _RECORD + 1)
                yield file, _verified(file, content, f"{path}: {entry.name}")
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise CorruptDataError(f"{path} is damaged or truncated: {error}") from error
    if wanted:
        raise CorruptDataError(f"{path} lacks {', '.join(wanted)}")


def _arrays(batches: Sequence[DataFile], contents: Iterator[tuple[DataFile, bytes]]) -> tuple[np.ndarray, np.ndarray]:
    ends = np.cumsum([images_in(file) for file in batches])
    images, labels = np.empty((ends[-1], 32, 32, 3), np.uint8), np.empty(ends[-1], np.uint8)
    for file, content in contents:
        end = ends[batches.index(file)]
        rows = slice(end - images_in(file), end)
        records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
        labels[rows] = records[:, 0]
        images[rows] = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, labels
