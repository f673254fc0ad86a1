"""Where encoded images come from: a folder, a zip, an LMDB database, an HDF5 file.

A source counts its images, has a fingerprint that changes with them, and hands them out in a fixed
order in chunks of bounded size, from any position on. Nothing is ever unpacked to disk.
"""

import hashlib
import lzma
import math
import os
import re
import stat
import threading
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from ot_latent._storage import extra
from ot_latent.datasets.catalogue import CorruptDataError, SkippedImagesWarning

#: How names of images end.
EXTENSIONS = tuple(
    ".apng .avif .bmp .dib .gif .jfif .jpe .jpeg .jpg .mpo .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp".split()
)
#: How names of what often lies beside them end; what else is passed over is counted in a warning.
_BESIDE = (".csv", ".db", ".html", ".ini", ".json", ".md", ".txt", ".xml", ".yaml", ".yml")
#: Folders of systems, which are passed over as hidden ones are.
_SYSTEM = ("$RECYCLE.BIN", "@Recycle", "@eaDir", "__MACOSX", "lost+found", "System Volume Information")
#: Bytes of one encoded image: more than any of the papers' sets has. What is larger is refused unread.
MAX_ENCODED = 2**26
#: Encoded bytes that a chunk gathers before it is handed out: large images shall not fill the memory.
_CHUNK_BYTES = 2**25
#: An image's name and its encoded bytes, or its pixels as (channels, height, width).
Item = tuple[str, bytes | np.ndarray]


class Source:
    """Encoded images in a fixed order. Where they are others, ``fingerprint`` is another text.

    ``passed`` counts files that may be images, too, by the ends of their names.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.passed = path, Counter[str]()
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

    Warns
    -----
    SkippedImagesWarning
        If files are passed over that may be images, too.
    """
    kinds = {".hdf5": Hdf5Source, ".h5": Hdf5Source, ".zip": ZipSource}
    if path.is_dir():
        source: Source = LmdbSource(path) if (path / "data.mdb").is_file() else FolderSource(path)
    elif kind := kinds.get(path.suffix.lower()):
        source = kind(path)
    else:
        raise CorruptDataError(
            f"{path} is neither a folder of images, a folder with data.mdb, a .zip nor an .hdf5 file"
        )
    if source.passed:
        counts = ", ".join(f"{count:,} {ending}" for ending, count in source.passed.most_common(9))
        text = f"{path}: files are passed over, because their names do not end as those of images do: {counts}"
        warnings.warn(f"{text}. Read are {', '.join(EXTENSIONS)}.", SkippedImagesWarning, stacklevel=3)
    return source


def refuse_outside(archive: Path, entry: str, is_link: bool) -> None:
    """Entries that leave their archive's folder betray a forged archive: none of it is read."""
    parts = re.split(r"[/\\]", entry)
    if is_link or ".." in parts or parts[0] == "" or re.match("[A-Za-z]:", entry):
        kind = "is a link" if is_link else "points outside its folder"
        raise CorruptDataError(f"{archive}: the entry {entry!r} {kind}. Get the official archive.")


def _is_hidden(name: str) -> bool:
    return (name.startswith(".") and name != ".") or name in _SYSTEM


def _is_image(name: str, passed: Counter[str]) -> bool:
    """Whether an entry is an image by its name; if it may be one all the same, ``passed`` counts it."""
    parts = re.split(r"[/\\]", name)
    ending = os.path.splitext(parts[-1])[1].lower()
    if not parts[-1] or any(map(_is_hidden, parts)) or ending in _BESIDE:
        return False
    if ending not in EXTENSIONS:
        passed[ending if re.fullmatch(r"\.[a-z]\w{0,4}", ending) else "without a known ending"] += 1
    return ending in EXTENSIONS


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
        for name, file in self._files():
            digest.update(f"{name} {_stamp(file)}\n".encode())
            count += 1
        return count, digest.hexdigest()

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Images with names that can be printed. Each folder is read once, however many links lead there."""
        seen: set[tuple[int, int]] = set()
        self.passed.clear()

        def inside(folder: Path) -> Iterator[tuple[str, Path]]:
            status = folder.stat()
            if (place := (status.st_dev, status.st_ino)) in seen:
                return
            seen.add(place)
            with os.scandir(folder) as entries:
                found = sorted(entries, key=attrgetter("name"))
            for entry in found:
                path = folder / entry.name
                if entry.is_dir():
                    if not _is_hidden(entry.name):
                        yield from inside(path)
                elif _is_image(entry.name, self.passed):
                    if entry.is_file():
                        yield os.fsencode(path.relative_to(self.path)).decode("utf-8", "backslashreplace"), path
                    else:
                        self.passed["links that lead nowhere, or pipes"] += 1

        return inside(self.path)

    def _items(self, start: int) -> Iterator[Item]:
        for name, file in islice(self._files(), start, None):
            with file.open("rb") as stream:
                yield name, stream.read(MAX_ENCODED + 1)


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
                self.passed.clear()
                images = [entry for entry in archive.infolist() if _is_image(entry.filename, self.passed)]
                yield archive, sorted(images, key=attrgetter("filename"))
        except CorruptDataError:
            raise
        except RuntimeError as error:
            raise CorruptDataError(
                f"{self.path} cannot be unpacked here: {error}. If it is encrypted, or packed with Deflate64 as "
                "Windows does above 2 GB: unpack it with the program that made it, and pass the folder."
            ) from error
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
            raise CorruptDataError(f"{self.path} is damaged or truncated: {error}") from error

    def _items(self, start: int) -> Iterator[Item]:
        with self._open() as (archive, images):
            for entry in images[start:]:
                with archive.open(entry) as stream:
                    yield entry.filename, stream.read(MAX_ENCODED + 1)


#: lmdb refuses to open a database that another thread of the process has open.
_ONE_DATABASE = threading.Lock()
#: Values of a database in one chunk. They lie scattered, and the system maps about 300 kB for each.
_MOST_MAPPED = 128


class LmdbSource(Source):
    """Values of an LMDB database, as LSUN's are, sorted by key.

    It is trusted: lmdb maps the file and follows what it says, so that a forged one may end the process.
    """

    def _survey(self) -> tuple[int, str]:
        with self._transaction() as transaction:
            return transaction.stat()["entries"], _stamp(self.path / "data.mdb")

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        lmdb, data = extra("lmdb"), self.path / "data.mdb"
        try:
            with _ONE_DATABASE, lmdb.open(str(self.path), readonly=True, create=False, lock=False) as database:
                # beyond the end of a truncated one the process dies; an entry takes 8 bytes and more
                statistics = database.stat()
                needed = max((database.info()["last_pgno"] + 1) * statistics["psize"], 8 * statistics["entries"])
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
        key, passed = b"", start  # from the first one on
        while True:
            # opened anew for each chunk: what was mapped counts as memory as long as it is open
            with self._transaction() as transaction, transaction.cursor() as cursor:
                cursor.set_range(key)
                entries = islice(cursor.iternext(), passed, None)
                items = ((bytes(key).decode("latin-1"), bytes(value[: MAX_ENCODED + 1])) for key, value in entries)
                chunk = next(_chunked(items, min(most, _MOST_MAPPED)), [])
            if not chunk:
                return
            yield chunk
            key, passed = chunk[-1][0].encode("latin-1"), 1


#: How many times more than the file its data may be: gzip and its like do not pack closer.
CLOSEST = 1100


class Hdf5Source(Source):
    """The pixels in an HDF5 file, (n, 3, height, width) uint8, as LLD's are; or (n, height, width), in grey."""

    def _survey(self) -> tuple[int, str]:
        with self._pixels() as pixels:
            return len(pixels), _stamp(self.path)

    @contextmanager
    def _pixels(self) -> Iterator[Any]:
        h5py = extra("h5py")
        try:
            with h5py.File(self.path, "r") as file:
                found = (file.get(key) for key in ("data", "imgs", "images"))
                pixels = next((data for data in found if isinstance(data, h5py.Dataset)), None)
                if pixels is None or pixels.file != file or pixels.external or pixels.is_virtual:
                    # its bytes could come from anywhere
                    raise CorruptDataError(f"{self.path} has no dataset 'data' of its own, nor 'imgs' or 'images'")
                name, shape = pixels.name[1:], pixels.shape
                if pixels.dtype != np.uint8 or len(shape) not in (3, 4) or (len(shape) == 4 and shape[1] not in (1, 3)):
                    raise CorruptDataError(
                        f"{self.path}: {name!r} is {pixels.dtype} of shape {shape}, expected uint8 "
                        "of shape (n, 3, height, width), or (n, height, width) in grey"
                    )
                image, chunk = math.prod(shape[1:]), math.prod(pixels.chunks or ())
                if not image or max(image, chunk) > MAX_ENCODED or pixels.size > CLOSEST * self.path.stat().st_size:
                    raise CorruptDataError(
                        f"{self.path}: {name!r} has shape {shape} and chunks {pixels.chunks}: no pixels, or more "
                        "than an image, memory, or the bytes of the file may hold"
                    )
                yield pixels
        except (OSError, RuntimeError, KeyError) as error:
            raise CorruptDataError(f"{self.path} is damaged or truncated: {error}") from error

    def chunks(self, start: int, most: int) -> Iterator[list[Item]]:
        with self._pixels() as pixels:
            name, most = pixels.name[1:], min(most, max(1, _CHUNK_BYTES // math.prod(pixels.shape[1:])))
            for first in range(start, len(pixels), most):
                rows = pixels[first : first + most]
                images = rows if rows.ndim == 4 else rows[:, None]
                yield [(f"{name}[{first + row}]", image) for row, image in enumerate(images)]
