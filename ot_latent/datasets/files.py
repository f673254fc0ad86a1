"""Official files: found, verified, or downloaded."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

from ot_latent.datasets.catalogue import (
    OFFICIAL_COUNTS,
    CorruptDataError,
    DataFile,
    DataSet,
    MissingDataError,
    PartialDataWarning,
)
from ot_latent.datasets.sources import Source, open_source


def find(folders: Sequence[Path], name: str) -> Path | None:
    """The first file or folder of that name, or of that name and ``.gz``."""
    paths = (folder / f"{name}{suffix}" for folder in folders for suffix in ("", ".gz"))
    return next((path for path in paths if path.exists()), None)


def verify(file: DataFile, path: Path) -> Path:
    """The path of a file whose hash agrees with the official one."""
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "md5").hexdigest()
    if found != file.md5:
        raise CorruptDataError(
            f"{path} is not the official file: its md5 is {found}, expected {file.md5}. "
            "Remove it and run the command again."
        )
    return path


def missing(data_set: DataSet, what: str, folders: Sequence[Path], tried: str = "") -> str:
    """What to tell a user who lacks something, and how to mend it."""
    looked = "\n".join(f"  {folder}" for folder in folders)
    text = f"{data_set.name}: {what} is missing. Looked into\n{looked}\n"
    if tried:
        text += (
            f"and tried to download\n{tried}\nRemedy: on a machine with a network run `ot-latent data "
            f"get {data_set.name}`, or put the official file at {folders[-1] / what}, or set "
            f"OT_LATENT_DATA to a folder that holds {data_set.name}/{what}. "
        )
    return text + instructions(data_set, folders)


def instructions(data_set: DataSet, folders: Sequence[Path]) -> str:
    """How a user gets what is not downloaded for them."""
    return data_set.instructions.format(name=data_set.name, folder=folders[0])


def fetch(data_set: DataSet, file: DataFile, folders: Sequence[Path]) -> Path:
    """Path of a verified file: found in one of the folders, or downloaded into the last."""
    path = find(folders, file.name)
    if path is not None:
        return verify(file, path)
    import pooch
    import requests

    failures = []
    for url in file.urls:
        try:
            # pooch moves the file into the cache only after its hash agreed
            return Path(
                pooch.retrieve(url, known_hash=f"md5:{file.md5}", fname=file.name, path=folders[-1], progressbar=True)
            )
        except requests.RequestException as error:
            failures.append(f"  {url}: {type(error).__name__}")
        except ValueError as error:
            raise CorruptDataError(f"the download of {url} was refused: {error}") from error
    raise MissingDataError(missing(data_set, file.name, folders, "\n".join(failures)))


def open_first(data_set: DataSet, names: Sequence[str], folders: Sequence[Path]) -> Source:
    """The first of these sources that is here."""
    for name in names:
        path = find(folders, name)
        if path is not None:
            return open_source(path)
    raise MissingDataError(missing(data_set, " or ".join(names), folders))


def check_count(name: str, source: Source, partial: bool) -> None:
    """Another number of images than the official one is refused, unless the caller asked to go on."""
    count = len(source)
    official = OFFICIAL_COUNTS.get(source.path.name, count)
    if count == official:
        return
    say = f"{name}: {source.path} holds {count:,} images, the official set {official:,}"
    if not partial:
        raise MissingDataError(f"{say}. Pass partial=True to go on with those that are here.")
    warnings.warn(say, PartialDataWarning, stacklevel=4)
