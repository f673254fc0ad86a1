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
from typing import TYPE_CHECKING

import numpy as np

from ot_latent.datasets.catalogue import CorruptDataError

if TYPE_CHECKING:
    import h5py
    import lmdb

#: How names of images end; what else lies beside them is passed over.
EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

#: Bytes of one encoded image: more than any of the papers' sets has. What is larger is refused unread.
MAX_ENCODED = 2**26

#: Encoded bytes that a chunk gathers before it is handed out: large images shall not fill the memory.
_CHUNK_BYTES = 2**25

#: An image's name and its encoded bytes, or its pixels as (channels, height, width).
Item = tuple[str, bytes | np.ndarray]


class Source:
    """Encoded images in a fixed order.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count, self._fingerprint = self._survey()

    def __len__(self) -> int:
        """How many images there are."""
        return self._count

    def fingerprint(self) -> str:
        """A text that is another one when the images are others."""
        return self._fingerprint

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        """The images from a position on, at most so many at a time."""
        raise NotImplementedError

    def _survey(self) -> tuple[int, str]:
        """Number of images, and fingerprint."""
        raise NotImplementedError


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


class FolderSource(Source):
    """Image files in a folder and its subfolders, sorted by name folder by folder.

    Only the names of one subfolder are in memory at a time.
    """

    def _survey(self) -> tuple[int, str]:
        digest, count = hashlib.blake2b(digest_size=16), 0
        for file in self._files(self.path):
            digest.update(f"{file.relative_to(self.path)} {_stamp(file)}\n".encode("utf-8", "replace"))
            count += 1
        return count, digest.hexdigest()

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

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        def items() -> Iterator[Item]:
            for file in islice(self._files(self.path), start, None):
                with file.open("rb") as stream:  # one byte too many tells the decoder
                    yield str(file.relative_to(self.path)), stream.read(MAX_ENCODED + 1)

        return _chunked(items(), most)


class ZipSource(Source):
    """Images of a zip, sorted by name."""

    def _survey(self) -> tuple[int, str]:
        with self._open() as archive:
            for entry in archive.infolist():
                refuse_outside(self.path, entry.filename, stat.S_ISLNK(entry.external_attr >> 16))
            return len(self._images(archive)), _stamp(self.path)

    @contextmanager
    def _open(self) -> Iterator[zipfile.ZipFile]:
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

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        def items() -> Iterator[Item]:
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


class LmdbSource(Source):
    """Values of an LMDB database, as LSUN's are, sorted by key."""

    def _survey(self) -> tuple[int, str]:
        with self._transaction() as transaction:
            return transaction.stat()["entries"], _stamp(self.path / "data.mdb")

    @contextmanager
    def _transaction(self) -> Iterator[lmdb.Transaction]:
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

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        key, passed = None, start
        most = min(most, _MOST_MAPPED)
        while True:
            # opened anew for each chunk: what was mapped counts as memory as long as it is open
            with self._transaction() as transaction, transaction.cursor() as cursor:
                _ = cursor.first() if key is None else cursor.set_range(key)
                entries = islice(cursor.iternext(), passed, None)
                items = ((bytes(key).decode("latin-1"), bytes(value[: MAX_ENCODED + 1])) for key, value in entries)
                chunk = next(_chunked(items, most), [])
            if not chunk:
                return
            yield chunk
            key, passed = chunk[-1][0].encode("latin-1"), 1


class Hdf5Source(Source):
    """The pixels in dataset ``data``, (n, 3, height, width) uint8, of an HDF5 file, as LLD's are."""

    def _survey(self) -> tuple[int, str]:
        with self.open() as file:
            return len(self._pixels(file)), _stamp(self.path)

    @contextmanager
    def open(self) -> Iterator[h5py.File]:
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

    def _pixels(self, file: h5py.File) -> h5py.Dataset:
        pixels = self.dataset(file, "data")
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
            raise CorruptDataError(
                f"{self.path}: 'data' is {pixels.dtype} of shape {pixels.shape}, expected uint8 "
                "of shape (n, 3, height, width)"
            )
        if pixels.chunks and math.prod(pixels.chunks) > MAX_ENCODED:
            raise CorruptDataError(f"{self.path}: its chunks {pixels.chunks} are too large")
        return pixels

    def dataset(self, file: h5py.File, name: str) -> h5py.Dataset:
        """A dataset whose bytes lie in this file; others could come from anywhere."""
        import h5py

        found = file.get(name)
        inside = isinstance(found, h5py.Dataset) and found.file == file
        if not inside or found.external or found.is_virtual:
            raise CorruptDataError(f"{self.path} has no dataset {name!r} of its own")
        return found

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        with self.open() as file:
            pixels = self._pixels(file)
            most = min(most, max(1, _CHUNK_BYTES // math.prod(pixels.shape[1:])))
            for first in range(start, len(pixels), most):
                rows = pixels[first : first + most]
                yield [(f"data[{first + row}]", image) for row, image in enumerate(rows)]
