"""Images decoded once into one ``.npy`` file, which is memory-mapped from then on.

The file is written under another name, chunk after chunk, with a journal beside it: who is killed goes
on where the journal says. It gets its name in one step, when it is complete. The name holds a digest
of everything that decides the content, so that other images, another size or another version of this
module make another file. Memory does not depend on the number of images.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import shutil
import time
import warnings
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ot_latent._arrays import progress_bar
from ot_latent._storage import locked, write_atomically
from ot_latent.datasets.catalogue import CorruptDataError, MissingDataError, SkippedImagesWarning
from ot_latent.datasets.pixels import UnusableImage, Wanted, decode
from ot_latent.datasets.sources import Item, Source

Decoded = tuple[list[np.ndarray], list[str]]  # pixels of images, and complaints about others


@dataclass
class Journal:
    """How far a file has come: images read from the source, images written, and those left out."""

    read: int = 0
    written: int = 0
    skipped: int = 0
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ImageCache:
    """A folder of decoded images, one file for each source and what is wanted of it.

    Parameters
    ----------
    folder : path
    version : int
        Part of every file's name. Raise it when the same source and `Wanted` shall give other pixels.
    chunk_bytes, chunk_images : int
        The most decoded bytes and images of a chunk: enough to keep all cores busy, little beside the memory
        of any machine.
    seconds : float
        Work that a killed run loses; the disk is waited for as often.
    names : int
        Of skipped images that the journal keeps, so that it stays small; all of them are counted.
    """

    folder: Path
    version: int = 1
    chunk_bytes: int = 2**24
    chunk_images: int = 1024
    seconds: float = 2.0
    names: int = 100

    def images(self, source: Source, wanted: Wanted, label: str, on_error: str) -> np.memmap:
        """All images of a source, read-only, (n, size, size, 3) or (n, size, size) uint8.

        Parameters
        ----------
        label : str
            How the file's name begins.
        on_error : "raise" or "skip"
            What to do about images that cannot be taken.

        Raises
        ------
        MissingDataError
            If there is no image.
        CorruptDataError
            If an image cannot be taken, unless ``on_error`` is "skip"; or if the decoded file is damaged.
        """
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        if len(source) == 0:
            raise MissingDataError(f"{source.path} holds no images")
        content = f"{self.version} {source.fingerprint()} {wanted}"
        digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
        path = self.folder / f"{label}-{wanted.size}-{digest}.npy"
        if not path.exists():
            with locked(path):
                if not path.exists():  # unless another process has just made it
                    self._build(path, source, wanted, on_error)
        journal = _read_journal(path)
        _report(journal, source, on_error)
        return _open(path, (journal.written, *wanted.shape))

    def _build(self, path: Path, source: Source, wanted: Wanted, on_error: str) -> None:
        unfinished = path.with_suffix(".partial")
        journal = _read_journal(path) if unfinished.exists() else Journal()
        if on_error == "raise":
            _report(journal, source, on_error)
        row = math.prod(wanted.shape)
        start = len(header(0, wanted)) + journal.written * row
        if unfinished.exists() and unfinished.stat().st_size < start:
            journal = Journal()  # somebody tampered with it: begin anew
            start = len(header(0, wanted))
        _check_space(path.parent, (len(source) - journal.read) * row)
        with unfinished.open("r+b" if unfinished.exists() else "w+b") as file:
            file.truncate(start)  # what a killed run wrote after its last entry of the journal
            file.seek(start)
            self._append(path, file, journal, source, wanted, on_error)
            if journal.written == 0:
                raise CorruptDataError(f"{source.path}: not one image is usable: {journal.names[0]}, ...")
            file.seek(0)
            file.write(header(journal.written, wanted))
            _enter(path, file, journal)
        os.replace(unfinished, path)

    def _append(
        self, path: Path, file: BinaryIO, journal: Journal, source: Source, wanted: Wanted, on_error: str
    ) -> None:
        """Write the images that the journal does not count yet."""
        due = time.monotonic() + self.seconds
        with (
            progress_bar(f"decoding {source.path.name}", len(source), journal.read, "images") as bar,
            closing(self._chunks(source, wanted, journal.read)) as chunks,
        ):
            for images, unusable in chunks:
                if unusable and on_error == "raise":
                    raise CorruptDataError(
                        f"{source.path}: {unusable[0]}. Pass on_error='skip' to leave such images out."
                    )
                for image in images:
                    file.write(image.data)
                journal.read += len(images) + len(unusable)
                journal.written += len(images)
                journal.skipped += len(unusable)
                journal.names = (journal.names + unusable)[: self.names]
                if time.monotonic() >= due:
                    _enter(path, file, journal)
                    due = time.monotonic() + self.seconds
                bar.update(len(images) + len(unusable))

    def _chunks(self, source: Source, wanted: Wanted, start: int) -> Generator[Decoded]:
        """Pixels and complaints, chunk by chunk. One chunk is decoded while the next one is read."""
        most = min(self.chunk_images, max(1, self.chunk_bytes // math.prod(wanted.shape)))
        workers = os.cpu_count() or 1  # decoders and resizing release the interpreter's lock
        with ThreadPoolExecutor(workers) as pool:
            waiting: list[Future[Decoded]] = []
            for chunk in chain(source.chunks(start, most), [[]]):
                portion = max(1, -(-len(chunk) // workers))
                running = [
                    pool.submit(_decode_all, chunk[first : first + portion], wanted)
                    for first in range(0, len(chunk), portion)
                ]
                if waiting:
                    parts = [future.result() for future in waiting]
                    yield [image for images, _ in parts for image in images], [name for _, bad in parts for name in bad]
                waiting = running


def _decode_all(items: list[Item], wanted: Wanted) -> Decoded:
    images, unusable = [], []
    for name, payload in items:
        try:
            images.append(decode(payload, wanted))
        except UnusableImage as reason:
            unusable.append(f"{name} ({reason})")
    return images, unusable


def _report(journal: Journal, source: Source, on_error: str) -> None:
    if not journal.skipped:
        return
    names = ", ".join(journal.names) + (", ..." if journal.skipped > len(journal.names) else "")
    text = f"{journal.skipped:,} of {len(source):,} images of {source.path} are unusable: {names}"
    if on_error == "raise":
        raise CorruptDataError(f"{text}. Pass on_error='skip' to leave them out.")
    warnings.warn(f"left out: {text}", SkippedImagesWarning, stacklevel=5)


def _open(path: Path, shape: tuple[int, ...]) -> np.memmap:
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise CorruptDataError(f"{path} is damaged ({error}). Remedy: remove it.") from error
    if images.shape != shape or images.dtype != np.uint8:
        raise CorruptDataError(
            f"{path} is damaged: it holds {images.dtype} of shape {images.shape}, its journal says "
            f"uint8 of shape {shape}. Remedy: remove it."
        )
    return images


def _enter(path: Path, file: BinaryIO, journal: Journal) -> None:
    """Write the journal, once the images that it counts are on the disk."""
    file.flush()
    os.fsync(file.fileno())
    text = json.dumps(asdict(journal), ensure_ascii=False)
    write_atomically(_journal_path(path), lambda temporary: temporary.write_text(text, encoding="utf-8"))


def header(count: int, wanted: Wanted) -> bytes:
    """The head of a ``.npy`` file. Numpy makes it equally long for every count."""
    stream = io.BytesIO()
    shape = (count, *wanted.shape)
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{needed / 1e9:.1f} GB are needed for decoded images, {free / 1e9:.1f} GB are free. "
            "Make room, ask for a smaller size, or set XDG_CACHE_HOME to a larger disk",
            str(folder),
        )


def _journal_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _read_journal(path: Path) -> Journal:
    try:
        return Journal(**json.loads(_journal_path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        if not path.exists():
            return Journal()  # killed before the first entry
        raise CorruptDataError(f"{path} has lost its journal. Remedy: remove it.") from None
    except (ValueError, TypeError) as error:
        raise CorruptDataError(f"{_journal_path(path)} is damaged. Remedy: remove it.") from error
