"""Official files: where they lie, whether they are intact, and how they come here."""

import hashlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Collection
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from ot_latent._arrays import progress_bar
from ot_latent._storage import as_path, locked, tidy, write_atomically
from ot_latent.datasets.catalogue import CorruptDataError, DataFile, MissingDataError, PartialDataWarning, data_set
from ot_latent.datasets.sources import Source, open_source

_ROUNDS = 3  # times that each address is asked
_PAUSE = 1.0  # seconds before the second round, four times as long before the third


def cache_dir() -> Path:
    """The user's cache, where downloads and decoded images go: ``$XDG_CACHE_HOME/ot_latent`` where that is set."""
    if root := os.environ.get("XDG_CACHE_HOME"):
        return Path(root) / "ot_latent"
    import pooch

    return Path(pooch.os_cache("ot_latent"))


def folders_of(name: str, data_dir: str | Path | None) -> list[Path]:
    """Where files of the data set may lie, in the order in which they are looked for."""
    data_set(name)
    given = os.environ.get("OT_LATENT_DATA") if data_dir is None else as_path(data_dir, "data_dir")
    return [Path(root) / name for root in (given, cache_dir()) if root]


def locate(name: str, data_dir: str | Path | None = None) -> dict[str, Path | None]:
    """Where each file or folder of a data set lies, or None. Nothing is checked or fetched.

    Raises
    ------
    ValueError
        If there is no data set of that name.
    """
    folders = folders_of(name, data_dir)
    return {file: find(folders, file) for file in (*hashes(name), *data_set(name).sources)}


def hashes(name: str) -> dict[str, str]:
    """The official md5 of each file of a data set that has one, by its name in `locate`."""
    known = data_set(name)
    return {file.name: file.md5 for file in (*known.files, *known.batches)}


def instructions(name: str, data_dir: str | Path | None = None) -> str:
    """How to get by hand what is not downloaded; empty where all of it is."""
    return data_set(name).instructions.format(name=name, folder=folders_of(name, data_dir)[0])


def prepared(name: str) -> list[Path]:
    """Complete files of decoded images that the loader of a data set has made."""
    return sorted((cache_dir() / "decoded").glob(f"{data_set(name).name}-*.npy"))


def find(folders: list[Path], *names: str) -> Path | None:
    """The first file or folder of the first of these names that is here, or of that name and ``.gz``."""
    paths = (folder / f"{name}{suffix}" for name in names for folder in folders for suffix in ("", ".gz"))
    return next((path for path in paths if path.exists()), None)


def fetch(name: str, file: DataFile, data_dir: str | Path | None) -> Path:
    """Path of a verified file of a data set: found in one of its folders, or downloaded into the last.

    Raises
    ------
    MissingDataError
        If the file is not here and no address delivers it.
    CorruptDataError
        If its hash differs from the official one, or that of what the addresses deliver.
    """
    folders = folders_of(name, data_dir)
    if path := find(folders, file.name):
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "md5").hexdigest()
        if found != file.md5:
            raise CorruptDataError(
                f"{path} is not the official file: its md5 is {found}, expected {file.md5}. "
                "Remove it and run the command again."
            )
        return path
    if not file.urls:
        raise MissingDataError(_missing(name, file.name, data_dir))
    target = folders[-1] / file.name
    with locked(target):
        tidy(target)
        faults = {} if target.exists() else _download_from_any(target, file)  # another process may just have fetched it
    if target.exists():
        return target
    corrupt = any(isinstance(fault, CorruptDataError) for fault in faults.values())
    tried = "".join(f"  {url}: {fault}\n" for url, fault in faults.items())
    raise (CorruptDataError if corrupt else MissingDataError)(_missing(name, file.name, data_dir, tried))


def _download_from_any(target: Path, file: DataFile) -> dict[str, Exception]:
    """Download from the first address that delivers; the last fault of each that did not.

    The addresses are asked in turn, `_ROUNDS` times, with growing pauses between.
    """
    import requests

    faults: dict[str, Exception] = {}
    for turn in range(_ROUNDS):
        time.sleep(_PAUSE * turn**2)
        for url in file.urls:
            try:
                write_atomically(target, partial(_within, file.seconds, _download, url, file))
                return {}
            except requests.RequestException as error:
                faults[url] = ConnectionError(f"{type(error).__name__}: {str(error):.150}")
            except TimeoutError:
                faults[url] = TimeoutError(f"it was not here after {file.seconds:g} seconds")
            except CorruptDataError as error:
                faults[url] = error
    return faults


def _within(seconds: float, work: Callable[..., None], *arguments: Any) -> None:
    """Do some work; after so many seconds leave it to itself, whatever it waits for, and raise TimeoutError."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            done.set_result(work(*arguments))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    done.result(seconds)


def _download(url: str, file: DataFile, temporary: Path) -> None:
    """Write what an address delivers, unless it is too much, too slow or not the official file."""
    import requests

    md5, due = hashlib.md5(usedforsecurity=False), time.monotonic() + file.seconds
    with (
        requests.get(url, stream=True, timeout=30, headers={"Accept-Encoding": "identity"}) as response,
        temporary.open("r+b") as stream,  # unless nobody waits any more, and it was removed
        progress_bar(f"downloading {file.name}", file.size, 0, "bytes") as bar,
    ):
        response.raise_for_status()
        for piece in response.iter_content(2**16):
            md5.update(piece)
            bar.update(stream.write(piece))
            if stream.tell() > file.size:
                raise CorruptDataError(f"it has more than the official {file.size:,} bytes")
            if time.monotonic() > due:
                raise TimeoutError  # nobody waits any more
    if (found := md5.hexdigest()) != file.md5:
        raise CorruptDataError(f"its md5 is {found}, expected {file.md5}")


def _missing(name: str, what: str, data_dir: str | Path | None, tried: str = "") -> str:
    """What to tell a user who lacks something, and how to mend it."""
    folders = folders_of(name, data_dir)
    text = f"{name}: {what} is missing. Looked into\n" + "".join(f"  {folder}\n" for folder in folders)
    if tried:
        text += (
            f"and tried to download\n{tried}Remedy: on a machine with a network run `ot-latent data "
            f"get {name}`, or put the official file at {folders[-1] / what}, or set "
            f"OT_LATENT_DATA to a folder that holds {name}/{what}. "
        )
    return text + instructions(name, data_dir)


def open_first(name: str, sources: Collection[str], data_dir: str | Path | None, partial: bool = False) -> Source:
    """The first of these sources of a data set that is here.

    Raises
    ------
    MissingDataError
        If none is here; or it holds another number of images than the official one, unless ``partial``.
    """
    path = find(folders_of(name, data_dir), *sources)
    if path is None:
        raise MissingDataError(_missing(name, " or ".join(sources), data_dir))
    source = open_source(path)
    official = data_set(name).sources.get(path.name)
    if official and len(source) != official:
        say = f"{name}: {path} holds {len(source):,} images, the official set {official:,}"
        if not partial:
            way = f"datasets.{name}(partial=True), or on the command line ot-latent data get {name} --partial,"
            raise MissingDataError(f"{say}. To go on with those that are here: {way} takes them.")
        warnings.warn(say, PartialDataWarning, stacklevel=3)
    return source
