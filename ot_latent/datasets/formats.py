"""LeCun's IDX format, and the binary format of CIFAR-10."""

import gzip
import hashlib
import math
import tarfile
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from ot_latent.datasets.catalogue import CorruptDataError, DataFile, MissingDataError, PartialDataWarning, data_set
from ot_latent.datasets.files import fetch, find, folders_of, instructions
from ot_latent.datasets.sources import CLOSEST, refuse_outside

_RECORD = 1 + 3 * 32 * 32  # bytes of CIFAR-10: a label, then a plane of 32x32 for each colour

#: A batch of CIFAR-10, its bytes, and where they were found.
Content = tuple[DataFile, bytes, str]


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes into an array of its shape."""
    try:
        with gzip.open(path) as file:
            kind, axes = file.read(3), file.read(1)
            if kind != b"\x00\x00\x08" or not axes:
                raise CorruptDataError(f"{path} is not an IDX file of unsigned bytes")
            header = file.read(4 * axes[0])
            shape = tuple(np.frombuffer(header[: len(header) // 4 * 4], ">u4").tolist())
            size = math.prod(shape)
            if len(header) < 4 * axes[0] or size > CLOSEST * path.stat().st_size:
                raise CorruptDataError(f"{path} cannot hold the {size:,} values of shape {shape} that its header says")
            values = np.frombuffer(file.read(size + 1), np.uint8)  # no more, whatever unpacks
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptDataError(f"{path} is damaged or truncated: {error}") from error
    if values.size != size:
        raise CorruptDataError(f"{path} does not hold the {size:,} values of shape {shape} that its header says")
    return values.reshape(shape)


def read_cifar10(split: str, data_dir: str | Path | None, partial: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split; see `datasets.cifar10`."""
    known, folders = data_set("cifar10"), folders_of("cifar10", data_dir)
    [archive], batches = known.files, known.splits[split]
    found = {file: path for file in batches if (path := find(folders, file.name))}
    here = ", ".join(Path(file.name).name for file in found) or "none"
    count, official = (sum(file.count for file in files) for files in (found, batches))
    say = f"cifar10 {split}: {count:,} of {official:,} images are here unpacked; batches: {here}"
    whole = len(found) == len(batches)
    if find(folders, archive.name) is None and (whole or partial):
        if not found:
            raise MissingDataError(f"{say}. {instructions('cifar10', data_dir)}")
        arrays = read_batches(found)
        if not whole:
            warnings.warn(say, PartialDataWarning, stacklevel=3)
        return arrays
    try:
        path = fetch("cifar10", archive, data_dir)
    except MissingDataError as error:
        way = "datasets.cifar10(partial=True) goes on with those that are here"
        raise MissingDataError(f"{error}\n{say}. {way}.") from error
    return _arrays(batches, _members(batches, path))


def read_batches(found: Mapping[DataFile, Path]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of unpacked batches, verified."""
    return _arrays(tuple(found), map(_unpacked, found, found.values()))


def _unpacked(file: DataFile, path: Path) -> Content:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            return file, stream.read(file.count * _RECORD + 1), str(path)  # no more, whatever unpacks
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptDataError(f"{path} is damaged or truncated: {error}") from error


def _members(batches: tuple[DataFile, ...], path: Path) -> Iterator[Content]:
    """Batches in the official archive; nothing is unpacked to disk."""
    wanted = {file.name: file for file in batches}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for entry in archive:
                refuse_outside(path, entry.name, entry.issym() or entry.islnk())
                if file := wanted.pop(entry.name, None):
                    stream = archive.extractfile(entry)
                    if stream is None:
                        raise CorruptDataError(f"{path}: {entry.name} is not a file")
                    yield file, stream.read(file.count * _RECORD + 1), f"{path}: {entry.name}"
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise CorruptDataError(f"{path} is damaged or truncated: {error}") from error
    if wanted:
        raise CorruptDataError(f"{path} lacks {', '.join(wanted)}")


def _arrays(batches: tuple[DataFile, ...], contents: Iterable[Content]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, verified, in the order of the batches, in whatever order their contents come."""
    ends = np.cumsum([file.count for file in batches])
    images, labels = np.empty((ends[-1], 32, 32, 3), np.uint8), np.empty(ends[-1], np.uint8)
    for file, content, where in contents:
        found = hashlib.md5(content).hexdigest()
        if found != file.md5:
            raise CorruptDataError(
                f"{where} is not the official batch: the md5 of its first {len(content):,} unzipped bytes "
                f"is {found}, expected {file.md5} of {file.count * _RECORD:,}. Get the file anew."
            )
        end = ends[batches.index(file)]
        rows = slice(end - file.count, end)
        records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
        labels[rows] = records[:, 0]
        images[rows] = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, labels
