"""Official files: where they lie, whether they are intact, and how they come here."""

import hashlib
import os
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path

from ot_latent.datasets.catalogue import CorruptDataError, DataFile, MissingDataError, PartialDataWarning, data_set
from ot_latent.datasets.sources import Source, open_source


def cache_dir() -> Path:
    """The user's cache, where downloads and decoded images go: ``$XDG_CACHE_HOME/ot_latent`` where that is set."""
    if root := os.environ.get("XDG_CACHE_HOME"):
        return Path(root) / "ot_latent"
    import pooch

    return Path(pooch.os_cache("ot_latent"))


def check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    """Refuse what is none of the choices, which the message lists."""
    names = [repr(choice) for choice in choices]
    if repr(value) not in names:
        raise ValueError(f"{what} must be {' or '.join(names)}, got {value!r}")


def folders_of(name: str, data_dir: str | Path | None) -> list[Path]:
    """Where files of the data set may lie, in the order in which they are looked for."""
    given = data_dir or os.environ.get("OT_LATENT_DATA")
    return [Path(root) / name for root in (given, cache_dir()) if root]


def locate(name: str, data_dir: str | Path | None = None) -> dict[str, Path | None]:
    """Where each file or folder of a data set lies, or None. Nothing is checked or fetched.

    Raises
    ------
    ValueError
        If there is no data set of that name.
    """
    known, folders = data_set(name), folders_of(name, data_dir)
    names = [*(file.name for file in (*known.files, *known.batches)), *known.sources]
    return {name: find(folders, name) for name in names}


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


def find(folders: list[Path], name: str) -> Path | None:
    """The first file or folder of that name, or of that name and ``.gz``."""
    paths = (folder / f"{name}{suffix}" for folder in folders for suffix in ("", ".gz"))
    return next((path for path in paths if path.exists()), None)


def fetch(name: str, file: DataFile, data_dir: str | Path | None) -> Path:
    """Path of a verified file of a data set: found in one of its folders, or downloaded into the last.

    Raises
    ------
    MissingDataError
        If the file is not here and no address delivers it.
    CorruptDataError
        If its hash differs from the official one.
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
    import pooch
    import requests

    failures, official = [], f"md5:{file.md5}"
    for url in file.urls:
        try:
            # pooch moves the file into the cache only after its hash agreed
            return Path(pooch.retrieve(url, known_hash=official, fname=file.name, path=folders[-1], progressbar=True))
        except requests.RequestException as error:
            failures.append(f"  {url}: {type(error).__name__}")
        except ValueError as error:
            raise CorruptDataError(f"the download of {url} was refused: {error}") from error
    raise MissingDataError(_missing(name, file.name, data_dir, "\n".join(failures)))


def _missing(name: str, what: str, data_dir: str | Path | None, tried: str = "") -> str:
    """What to tell a user who lacks something, and how to mend it."""
    folders = folders_of(name, data_dir)
    text = f"{name}: {what} is missing. Looked into\n" + "".join(f"  {folder}\n" for folder in folders)
    if tried:
        text += (
            f"and tried to download\n{tried}\nRemedy: on a machine with a network run `ot-latent data "
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
    folders = folders_of(name, data_dir)
    path = next(filter(None, (find(folders, source) for source in sources)), None)
    if path is None:
        raise MissingDataError(_missing(name, " or ".join(sources), data_dir))
    source = open_source(path)
    official = data_set(name).sources.get(path.name)
    if official and len(source) != official:
        say = f"{name}: {path} holds {len(source):,} images, the official set {official:,}"
        if not partial:
            raise MissingDataError(f"{say}. Pass partial=True to go on with those that are here.")
        warnings.warn(say, PartialDataWarning, stacklevel=3)
    return source
