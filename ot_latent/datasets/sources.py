"""Where encoded images come from: a folder, a zip, an LMDB database, an HDF5 file.

A source counts its images, has a fingerprint that changes with them, and hands them out in a fixed
order in chunks of bounded size, from any position on. Nothing is ever unpacked to disk.
"""

import hashlib
import importlib
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
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from ot_latent.datasets.catalogue import CorruptDataError

#: How names of images end; what else lies beside them is passed over.
EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
#: Bytes of one encoded image: more than any of the papers' sets has. What is larger is refused unread.
MAX_ENCODED = 2**26
#: Encoded bytes that a chunk gathers before it is handed out: large images shall not fill the memory.
_CHUNK_BYTES = 2**25
#: An image's name and its encoded bytes, or its pixels as (channels, height, width).
Item = tuple[str, bytes | np.ndarray]


class Source:
    """Encoded images in a fixed order. Where they are others, ``fingerprint`` is another text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count, self.fingerprint = self._survey()

    def __len__(self) -> int:
        return self._count

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        """The images from a position on, at most so many at a time."""
        return _chunked(self._items(start), most)

    def _survey(self) -> tuple[int, str]:
        """Number of images, and fingerprint."""
        raise NotImplementedError

    def _items(self, start: int) -> Iterator[Item]:
        """The images from a position on; one byte more than `MAX_ENCODED` tells the decoder of a larger one."""
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
    return base.lower().endswith(EXTENSIONS) and not base.startswith(".") and not name.startswith("__MACOSX/")


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


def _extra(module: str, path: Path) -> Any:
    """A module of the extra ``data``, which reads what lies at the path."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{module} is not installed; it reads {path}. Remedy: pip install 'ot-latent[data]'", name=module
        ) from error


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
        for name in sorted(os.listdir(folder)):
            entry = folder / name
            if _is_image(name) and entry.is_file():
                yield entry
            elif entry.is_dir() and not entry.is_symlink():  # links may lead round in a circle
                yield from self._files(entry)

    def _items(self, start: int) -> Iterator[Item]:
        for file in islice(self._files(self.path), start, None):
            with file.open("rb") as stream:
                yield str(file.relative_to(self.path)), stream.read(MAX_ENCODED + 1)


class ZipSource(Source):
    """Images of a zip, sorted by name."""

    def _survey(self) -> tuple[int, str]:
        with self._open() as (_, images):
            return len(images), _stamp(self.path)

    @contextmanager
    def _open(self) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
        """The archive and its images."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                for entry in archive.infolist():
                    refuse_outside(self.path, entry.filename, stat.S_ISLNK(entry.external_attr >> 16))
                images = [entry for entry in archive.infolist() if _is_image(entry.filename)]
                yield archive, sorted(images, key=attrgetter("filename"))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise CorruptDataError(f"{self.path} is damaged or truncated: {error}") from error

    def _items(self, start: int) -> Iterator[Item]:
        with self._open() as (archive, images):
            for entry in images[start:]:
                if entry.flag_bits & 1:
                    raise CorruptDataError(f"{self.path}: {entry.filename} is encrypted")
                with archive.open(entry) as stream:
                    yield entry.filename, stream.read(MAX_ENCODED + 1)


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
    def _transaction(self) -> Iterator[Any]:
        lmdb, data = _extra("lmdb", self.path), self.path / "data.mdb"
        try:
            with _ONE_DATABASE, lmdb.open(str(self.path), readonly=True, create=False, lock=False) as database:
                # lmdb maps the file and trusts it: beyond the end of a truncated one the process dies
                needed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
                if (size := data.stat().st_size) < needed:
                    raise CorruptDataError(
                        f"{data} is truncated: it has {size:,} bytes, its header says {needed:,}. "
                        "Copy or download it again."
                    )
                with database.begin(buffers=True) as transaction:  # values passed over stay unread
                    yield transaction
        except lmdb.Error as error:
            raise CorruptDataError(f"{self.path} cannot be read: {error}") from error

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        key, passed = None, start
        while True:
            # opened anew for each chunk: what was mapped counts as memory as long as it is open
            with self._transaction() as transaction, transaction.cursor() as cursor:
                _ = cursor.first() if key is None else cursor.set_range(key)
                entries = islice(cursor.iternext(), passed, None)
                items = ((bytes(key).decode("latin-1"), bytes(value[: MAX_ENCODED + 1])) for key, value in entries)
                chunk = next(_chunked(items, min(most, _MOST_MAPPED)), [])
            if not chunk:
                return
            yield chunk
            key, passed = chunk[-1][0].encode("latin-1"), 1


class Hdf5Source(Source):
    """The pixels in dataset ``data``, (n, 3, height, width) uint8, of an HDF5 file, as LLD's are."""

    def _survey(self) -> tuple[int, str]:
        with self._pixels() as pixels:
            return len(pixels), _stamp(self.path)

    @contextmanager
    def _pixels(self) -> Iterator[Any]:
        h5py = _extra("h5py", self.path)
        try:
            with h5py.File(self.path, "r") as file:
                pixels = file.get("data")
                inside = isinstance(pixels, h5py.Dataset) and pixels.file == file
                if not inside or pixels.external or pixels.is_virtual:  # its bytes could come from anywhere
                    raise CorruptDataError(f"{self.path} has no dataset 'data' of its own")
                if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
                    raise CorruptDataError(
                        f"{self.path}: 'data' is {pixels.dtype} of shape {pixels.shape}, expected uint8 "
                        "of shape (n, 3, height, width)"
                    )
                if pixels.chunks and math.prod(pixels.chunks) > MAX_ENCODED:
                    raise CorruptDataError(f"{self.path}: its chunks {pixels.chunks} are too large")
                yield pixels
        except OSError as error:
            raise CorruptDataError(f"{self.path} is damaged or truncated: {error}") from error

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        with self._pixels() as pixels:
            most = min(most, max(1, _CHUNK_BYTES // math.prod(pixels.shape[1:])))
            for first in range(start, len(pixels), most):
                rows = pixels[first : first + most]
                yield [(f"data[{first + row}]", image) for row, image in enumerate(rows)]
