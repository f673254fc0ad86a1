"""Where encoded images come from: a folder, a zip, an LMDB database, an HDF5 file.

A source counts its images, has a fingerprint that changes with them, and hands them out in a fixed
order in chunks of bounded size, from any position on. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from ot_latent.datasets.catalogue import CorruptDataError

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


#: Bytes of one encoded image; what is larger is refused unread.
MAX_ENCODED = 2**26

#: Encoded bytes that a chunk gathers before it is handed out.
_CHUNK_BYTES = 2**25


#: An image's name and its encoded bytes, or its pixels as (channels, height, width).
Item = tuple[str, bytes | np.ndarray]


class Source(Protocol):
    path: Path

    def __len__(self) -> int: ...

    def fingerprint(self) -> str: ...

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]: ...


def open_source(path: Path) -> Source:
    """The source that lies at a path.

    Raises
    ------
    CorruptDataError
        If it is none of the known kinds, damaged, or holds entries that point outside of it.
    ModuleNotFoundError
        If reading it needs an extra of this package that is not installed.
    """
    if path.is_dir():
        return LmdbSource(path) if (path / "data.mdb").is_file() else FolderSource(path)
    if path.suffix in (".hdf5", ".h5"):
        return Hdf5Source(path)
    if path.suffix == ".zip":
        return ZipSource(path)
    raise CorruptDataError(f"{path} is neither a folder of images, a folder with data.mdb, a .zip nor an .hdf5 file")


def refuse_outside(archive: Path, entry: str, is_link: bool) -> None:
    """Entries that leave their archive's folder betray a forged archive: none of it is read."""
    parts = re.split(r"[/\\]", entry)
    if is_link or ".." in parts or parts[0] == "" or re.match("[A-Za-z]:", entry):
        kind = "is a link" if is_link else "points outside its folder"
        raise CorruptDataError(f"{archive}: the entry {entry!r} {kind}. Get the official archive.")


def _is_image(name: str) -> bool:
    base = name.rpartition("/")[2]
    return base.lower().endswith(EXTENSIONS) and not base.startswith(".")


def _chunked(items: Iterable[Item], most: int) -> Iterator[list[Item]]:
    chunk, size = [], 0
    for name, payload in items:
        chunk.append((name, payload))
        size += len(payload)
        if len(chunk) == most or size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


class FolderSource:
    """Image files in a folder and its subfolders, sorted by name folder by folder.

    Only the names of one subfolder are in memory at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        digest, count = hashlib.blake2b(digest_size=16), 0
        for file in self._files(path):
            digest.update(f"{file.relative_to(path)} {_stamp(file)}\n".encode("utf-8", "replace"))
            count += 1
        self._digest, self._count = digest.hexdigest(), count

    def _files(self, folder: Path) -> Iterator[Path]:
        with os.scandir(folder) as entries:
            # folders that are links may lead round in a circle
            found = sorted(
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if entry.is_dir(follow_symlinks=False) or _is_image(entry.name) and entry.is_file()
            )
        for name, is_folder in found:
            if is_folder:
                yield from self._files(folder / name)
            else:
                yield folder / name

    def __len__(self) -> int:
        return self._count

    def fingerprint(self) -> str:
        return self._digest

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        def items():
            for file in islice(self._files(self.path), start, None):
                with file.open("rb") as stream:  # one byte too many tells the decoder
                    yield str(file.relative_to(self.path)), stream.read(MAX_ENCODED + 1)

        return _chunked(items(), most)


class ZipSource:
    """Images of a zip, sorted by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as archive:
            for entry in archive.infolist():
                refuse_outside(path, entry.filename, stat.S_ISLNK(entry.external_attr >> 16))
            self._count = len(self._images(archive))

    @contextmanager
    def _open(self):
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield archive
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise CorruptDataError(f"{self.path} is damaged or truncated: {error}") from error

    def _images(self, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        images = [
            entry
            for entry in archive.infolist()
            if _is_image(entry.filename) and not entry.filename.startswith("__MACOSX/")
        ]
        return sorted(images, key=lambda entry: entry.filename)

    def __len__(self) -> int:
        return self._count

    def fingerprint(self) -> str:
        return _stamp(self.path)

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        def items():
            with self._open() as archive:
                for entry in self._images(archive)[start:]:
                    if entry.flag_bits & 1:
                        raise CorruptDataError(f"{self.path}: {entry.filename} is encrypted")
                    with archive.open(entry) as stream:
                        yield entry.filename, stream.read(MAX_ENCODED + 1)

        return _chunked(items(), most)


def _extra(module: str, path: Path) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"{module} is not installed; it reads {path}. Remedy: pip install 'ot-latent[data]'", name=module
    )


#: lmdb refuses to open a database that another thread of the process has open.
_ONE_DATABASE = threading.Lock()

#: Values of a database in one chunk. They lie scattered, and the system maps about 300 kB for each.
_MOST_MAPPED = 128


class LmdbSource:
    """Values of an LMDB database, as LSUN's are, sorted by key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._transaction() as transaction:
            self._count = transaction.stat()["entries"]

    @contextmanager
    def _transaction(self):
        try:
            import lmdb
        except ModuleNotFoundError as error:
            raise _extra("lmdb", self.path) from error
        try:
            with _ONE_DATABASE, lmdb.open(str(self.path), readonly=True, create=False, lock=False) as database:
                # lmdb maps the file and trusts it: beyond the end of a truncated one the process dies
                needed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
                size = (self.path / "data.mdb").stat().st_size
                if size < needed:
                    raise CorruptDataError(
                        f"{self.path / 'data.mdb'} is truncated: it has {size:,} bytes, its header "
                        f"says {needed:,}. Copy or download it again."
                    )
                with database.begin(buffers=True) as transaction:  # values passed over stay unread
                    yield transaction
        except lmdb.Error as error:
            raise CorruptDataError(f"{self.path} cannot be read: {error}") from error

    def __len__(self) -> int:
        return self._count

    def fingerprint(self) -> str:
        return _stamp(self.path / "data.mdb")

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        key, passed = None, start
        most = min(most, _MOST_MAPPED)
        while True:
            # opened anew for each chunk: what was mapped counts as memory as long as it is open
            with self._transaction() as transaction, transaction.cursor() as cursor:
                _ = cursor.first() if key is None else cursor.set_range(key)
                entries = islice(cursor.iternext(), passed, None)
                items = ((bytes(key), bytes(value[: MAX_ENCODED + 1])) for key, value in entries)
                chunk = next(_chunked(items, most), [])
            if not chunk:
                return
            yield [(key.decode("ascii", "replace"), value) for key, value in chunk]
            key, passed = chunk[-1][0], 1


class Hdf5Source:
    """The pixels in dataset ``data``, (n, 3, height, width) uint8, of an HDF5 file, as LLD's are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.open() as file:
            self._count = len(self._pixels(file))

    @contextmanager
    def open(self):
        """The open file."""
        try:
            import h5py
        except ModuleNotFoundError as error:
            raise _extra("h5py", self.path) from error
        try:
            with h5py.File(self.path, "r") as file:
                yield file
        except OSError as error:
            raise CorruptDataError(f"{self.path} is damaged or truncated: {error}") from error

    def _pixels(self, file):
        pixels = self.dataset(file, "data")
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
            raise CorruptDataError(
                f"{self.path}: 'data' is {pixels.dtype} of shape {pixels.shape}, expected uint8 "
                "of shape (n, 3, height, width)"
            )
        if pixels.chunks and math.prod(pixels.chunks) > MAX_ENCODED:
            raise CorruptDataError(f"{self.path}: its chunks {pixels.chunks} are too large")
        return pixels

    def dataset(self, file, name: str):
        """A dataset whose bytes lie in this file; others could come from anywhere."""
        import h5py

        found = file.get(name)
        inside = isinstance(found, h5py.Dataset) and found.file == file
        if not inside or found.external or found.is_virtual:
            raise CorruptDataError(f"{self.path} has no dataset {name!r} of its own")
        return found

    def __len__(self) -> int:
        return self._count

    def fingerprint(self) -> str:
        return _stamp(self.path)

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        with self.open() as file:
            pixels = self._pixels(file)
            most = min(most, max(1, _CHUNK_BYTES // math.prod(pixels.shape[1:])))
            for first in range(start, len(pixels), most):
                rows = pixels[first : first + most]
                yield [(f"data[{first + row}]", image) for row, image in enumerate(rows)]
