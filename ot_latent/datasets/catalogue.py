"""The data sets by name: official files with their hashes, terms, and what a user has to do for the rest."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class MissingDataError(FileNotFoundError):
    """Data are neither here nor to be downloaded; the message says how to mend it."""


class CorruptDataError(ValueError):
    """Data are not the official ones, or broken; the message says where and how to mend it."""


class PartialDataWarning(UserWarning):
    """The caller asked to go on with a part of a data set; the message says which part."""


class SkippedImagesWarning(UserWarning):
    """Files are left out: they are no images by their names, or do not decode; the message counts and names them."""


@dataclass(frozen=True)
class DataFile:
    """One official file: its name, the md5 of its bytes and the addresses that serve it.

    A download ends after ``size`` bytes and ``seconds``. Of a file in an archive, the name is that in the
    archive; it may lie here unpacked, and ``count`` is the number of its images.
    """

    name: str
    md5: str
    urls: tuple[str, ...] = ()
    count: int = 0
    size: int = 0
    seconds: float = 0


@dataclass(frozen=True)
class DataSet:
    """A data set as its authors publish it.

    ``files`` are verified by hash, and so are the batches of ``splits``, which lie in an archive among them.
    ``sources`` are further files and folders that a loader accepts, each with the number of images that the
    official one holds, or 0 where that is not known; the loader checks what is in them. ``instructions``
    tell a user how to get what is not downloaded for them.
    """

    name: str
    summary: str
    terms: str
    files: tuple[DataFile, ...] = ()
    splits: Mapping[str, tuple[DataFile, ...]] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    instructions: str = ""

    @property
    def batches(self) -> tuple[DataFile, ...]:
        """Those of all splits."""
        return sum(self.splits.values(), ())


def _read(name: str, entry: dict[str, Any]) -> DataSet:
    """A data set from its table in ``catalogue.toml``."""
    mirrors, files, splits = entry.pop("mirrors", ()), entry.pop("files", ()), entry.pop("splits", {})
    return DataSet(
        name,
        files=tuple(DataFile(**row, urls=tuple(mirror + row["name"] for mirror in mirrors)) for row in files),
        splits={split: tuple(DataFile(**row) for row in rows) for split, rows in splits.items()},
        **entry,
    )


_CATALOGUE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

#: The data sets by name, as ``catalogue.toml`` has them.
DATASETS: dict[str, DataSet] = {name: _read(name, entry) for name, entry in _CATALOGUE.items()}


def data_set(name: str) -> DataSet:
    """The data set of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists those that there are.
    """
    if not isinstance(name, str) or name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}: the name must be one of {', '.join(sorted(DATASETS))}")
    return DATASETS[name]
