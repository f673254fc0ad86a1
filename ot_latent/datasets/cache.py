"""Images decoded once into one ``.npy`` file, which is memory-mapped from then on.

The file is written under another name, chunk after chunk, with a journal beside it: who is killed goes
on where the journal says. It gets its name in one step, when it is complete. The name holds a digest
of everything that decides the content, so that other images, another size or another version of this
module make another file. Memory does not depend on the number of images.
"""

import errno
import hashlib
import json
import math
import os
import shutil
import time
import warnings
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ot_latent._arrays import choice, progress_bar
from ot_latent._storage import locked, tidy, write_atomically
from ot_latent.datasets.catalogue import CorruptDataError, MissingDataError, SkippedImagesWarning
from ot_latent.datasets.files import cache_dir
from ot_latent.datasets.pixels import UnusableImage, Wanted, decode
from ot_latent.datasets.sources import Item, Source

#: Part of every file's name. Raise it when the same source and `Wanted` shall give other pixels.
VERSION = 2
#: The most decoded bytes and images of a chunk: enough to keep all cores busy, little beside any machine's memory.
CHUNK_BYTES, CHUNK_IMAGES = 2**24, 1024
#: Seconds of work that a killed run loses; the disk is waited for as often.
SECONDS = 2.0
#: What a complaint about images ends with.
_REMEDY = "To leave such images out: on_error='skip', or on the command line --skip-broken."
#: Skipped images that the journal names, so that it stays small; all of them are counted.
NAMES = 100


@dataclass
class Journal:
    """How far a file has come: images read from the source, images written, and those left out."""

    read: int = 0
    written: int = 0
    skipped: int = 0
    names: list[str] = field(default_factory=list)


def decoded_images(source: Source, wanted: Wanted, label: str, on_error: str) -> np.memmap:
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
    choice(on_error, "on_error", ("raise", "skip"))
    if len(source) == 0:
        raise MissingDataError(f"{source.path} holds no images")
    content = f"{VERSION} {source.fingerprint} {wanted}"
    digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    path = cache_dir() / "decoded" / f"{label}-{wanted.size}-{digest}.npy"
    if not path.exists():
        with locked(path):
            tidy(path.with_suffix(".json"))
            if not path.exists():  # unless another process has just made it
                _build(path, source, wanted, on_error)
    journal = _read_journal(path)
    _report(journal, source, on_error)
    shape = (journal.written, *wanted.shape)
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
        if images.shape != shape or images.dtype != np.uint8:
            raise ValueError(f"{images.dtype} of shape {images.shape}, where its journal says uint8 of shape {shape}")
    except (ValueError, EOFError) as error:
        raise CorruptDataError(f"{path} is damaged ({error}). Remedy: remove it.") from error
    return images


def _build(path: Path, source: Source, wanted: Wanted, on_error: str) -> None:
    unfinished = path.with_suffix(".partial")
    unfinished.touch()
    with unfinished.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        journal = _read_journal(path) if size else Journal()
        if on_error == "raise":
            _report(journal, source, on_error)
        start = write_head(file, 0, wanted)
        row = math.prod(wanted.shape)
        if size < start + journal.written * row:
            journal = Journal()  # somebody tampered with it: begin anew
        needed, free = (len(source) - journal.read) * row, shutil.disk_usage(path.parent).free
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f"{needed / 1e9:.1f} GB are needed for decoded images, {free / 1e9:.1f} GB are free. "
                "Make room, ask for a smaller size, or set XDG_CACHE_HOME to a larger disk",
                str(path.parent),
            )
        file.truncate(start + journal.written * row)  # what a killed run wrote after its last entry of the journal
        file.seek(0, os.SEEK_END)
        _append(path, file, journal, source, wanted, on_error)
        if journal.written == 0:
            raise CorruptDataError(f"{source.path}: not one image is usable: {journal.names[0]}, ...")
        write_head(file, journal.written, wanted)
        _enter(path, file, journal)
    os.replace(unfinished, path)


def _append(path: Path, file: BinaryIO, journal: Journal, source: Source, wanted: Wanted, on_error: str) -> None:
    """Write the images that the journal does not count yet."""
    due = time.monotonic() + SECONDS
    with (
        progress_bar(f"decoding {source.path.name}", len(source), journal.read, "images") as bar,
        closing(_decoded_chunks(source, wanted, journal.read)) as chunks,
    ):
        for chunk in chunks:
            for image in chunk:
                if isinstance(image, np.ndarray):
                    file.write(image.data)
                    journal.written += 1
                elif on_error == "raise":
                    raise CorruptDataError(f"{source.path}: {image}. {_REMEDY}")
                else:
                    journal.skipped += 1
                    if len(journal.names) < NAMES:
                        journal.names.append(image)
            journal.read += len(chunk)
            if time.monotonic() >= due:
                _enter(path, file, journal)
                due = time.monotonic() + SECONDS
            bar.update(len(chunk))


def _decoded_chunks(source: Source, wanted: Wanted, start: int) -> Generator[list[np.ndarray | str]]:
    """What `_decode_all` makes, chunk by chunk. One chunk is decoded while the next one is read."""
    most = min(CHUNK_IMAGES, max(1, CHUNK_BYTES // math.prod(wanted.shape)))
    workers = os.cpu_count() or 1  # decoders and resizing release the interpreter's lock
    with ThreadPoolExecutor(workers) as pool:
        waiting: Iterable[list[np.ndarray | str]] = []
        for chunk in chain(source.chunks(start, most), [[]]):
            share = max(1, math.ceil(len(chunk) / workers))
            shares = [chunk[first : first + share] for first in range(0, len(chunk), share)]
            running = pool.map(_decode_all, shares, repeat(wanted))
            yield list(chain.from_iterable(waiting))
            waiting = running


def _decode_all(items: list[Item], wanted: Wanted) -> list[np.ndarray | str]:
    """The pixels of each image, or a complaint about it."""
    decoded: list[np.ndarray | str] = []
    for name, payload in items:
        try:
            decoded.append(decode(payload, wanted))
        except UnusableImage as reason:
            decoded.append(f"{name} ({reason})")
    return decoded


def _report(journal: Journal, source: Source, on_error: str) -> None:
    if not journal.skipped:
        return
    names = ", ".join(journal.names) + (", ..." if journal.skipped > len(journal.names) else "")
    text = f"{journal.skipped:,} of {len(source):,} images of {source.path} are unusable: {names}"
    if on_error == "raise":
        raise CorruptDataError(f"{text}. {_REMEDY}")
    warnings.warn(f"left out: {text}", SkippedImagesWarning, stacklevel=4)


def write_head(file: BinaryIO, count: int, wanted: Wanted) -> int:
    """Begin a ``.npy`` file; returns the length of its head, which numpy makes the same for every count."""
    file.seek(0)
    shape = (count, *wanted.shape)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.tell()


def _enter(path: Path, file: BinaryIO, journal: Journal) -> None:
    """Write the journal, once the images that it counts are on the disk."""
    file.flush()
    os.fsync(file.fileno())
    text = json.dumps(asdict(journal), ensure_ascii=False)
    write_atomically(path.with_suffix(".json"), text)


def _read_journal(path: Path) -> Journal:
    journal = path.with_suffix(".json")
    try:
        return Journal(**json.loads(journal.read_text(encoding="utf-8")))
    except FileNotFoundError:
        if not path.exists():
            return Journal()  # killed before the first entry
        raise CorruptDataError(f"{path} has lost its journal. Remedy: remove it.") from None
    except (ValueError, TypeError) as error:
        raise CorruptDataError(f"{journal} is damaged. Remedy: remove it.") from error
