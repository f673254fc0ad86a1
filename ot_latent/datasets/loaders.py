"""Data sets of the papers: where their files are, whether they are intact, and how to read them.

A file is looked for in ``data_dir/<name>/``, else in ``$OT_LATENT_DATA/<name>/``, then in the user's
cache; only then is it downloaded, where its terms allow that. Nothing is read before its hash agrees.
Sets of many encoded images are decoded once, into a file of the cache that is memory-mapped from then
on. ``DATASETS`` describes all of them, and ``ot-latent data`` prints it.
"""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

import numpy as np

from ot_latent.datasets import files, formats
from ot_latent.datasets.cache import decoded
from ot_latent.datasets.catalogue import (
    CIFAR10_BATCHES,
    CIFAR10_FIRST_TEST,
    CIFAR10_FOLDER,
    DATASETS,
    DataSet,
    MissingDataError,
)
from ot_latent.datasets.pixels import Wanted
from ot_latent.datasets.sources import Source, open_source


def cache_dir() -> Path:
    """The user's cache, where downloads and decoded images go."""
    import pooch

    return Path(pooch.os_cache("ot_latent"))


def _folders(name: str, data_dir: str | Path | None) -> list[Path]:
    """Where files of the data set may lie, in the order in which they are looked for."""
    given = data_dir or os.environ.get("OT_LATENT_DATA")
    return [Path(root) / name for root in (given, cache_dir()) if root]


def _data_set(name: str) -> DataSet:
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; there are: {', '.join(sorted(DATASETS))}")
    return DATASETS[name]


def locate(name: str, data_dir: str | Path | None = None) -> dict[str, Path | None]:
    """Where each file or folder of a data set lies, or None. Nothing is checked or fetched.

    Raises
    ------
    ValueError
        If there is no data set of that name.
    """
    data_set, folders = _data_set(name), _folders(name, data_dir)
    names = [*(file.name for file in data_set.files), *data_set.sources]
    return {name: files.find(folders, name) for name in names}


def hashes(name: str) -> dict[str, str]:
    """The official md5 of each file of a data set that has one, by its name in `locate`."""
    files = {file.name: file.md5 for file in _data_set(name).files}
    if name != "cifar10":
        return files
    batches = (*sum(CIFAR10_BATCHES.values(), ()), CIFAR10_FIRST_TEST)
    return files | {f"{CIFAR10_FOLDER}/{batch.name}": batch.md5 for batch in batches}


def instructions(name: str, data_dir: str | Path | None = None) -> str:
    """How to get by hand what is not downloaded; empty where all of it is."""
    return files.instructions(_data_set(name), _folders(name, data_dir))


def prepared(name: str) -> list[Path]:
    """Complete files of decoded images that the loader of a data set has made."""
    return sorted((cache_dir() / "decoded").glob(f"{_data_set(name).name}-*.npy"))


def get(name: str, data_dir: str | Path | None = None, **settings) -> dict[str, Path]:
    """Fetch what is missing of a data set, verify all of it, and decode it if it is one to decode.

    Parameters
    ----------
    name : str
        A key of `DATASETS`.
    data_dir : path, optional
        A folder that holds ``<name>/``; by default ``$OT_LATENT_DATA``.
    settings
        For the loader of a set that is decoded, such as ``size=64``.

    Returns
    -------
    dict of str to Path
        What was found, downloaded and decoded, by name.

    Raises
    ------
    MissingDataError
        If a file is not here and no address delivers it.
    CorruptDataError
        If a file's hash differs from the official one, or it is broken. Such a file is never used.
    """
    data_set, folders = _data_set(name), _folders(name, data_dir)
    understood = inspect.signature(_DECODED[name]).parameters if name in _DECODED else {}
    if unknown := sorted(settings.keys() - understood.keys()):
        raise ValueError(f"data set {name} takes no {', '.join(unknown)}")
    if name in _DECODED:
        made = Path(_DECODED[name](data_dir=data_dir, **settings).filename)
        found = locate(name, data_dir) | {made.name: made}
        return {name: path for name, path in found.items() if path}
    if name == "cifar10" and not files.find(folders, data_set.files[0].name):
        batches = sum(CIFAR10_BATCHES.values(), ())
        found = formats.find_batches(batches, folders)
        if len(found) == len(batches):
            formats.read_batches(found)
            return {file.name: path for file, path in found.items()}
    return {file.name: files.fetch(data_set, file, folders) for file in data_set.files}


def mnist(split: str = "train", data_dir: str | Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """MNIST digits.

    Parameters
    ----------
    split : "train" or "test"
        60,000 or 10,000 digits.
    data_dir : path, optional
        A folder that holds ``mnist/``; by default ``$OT_LATENT_DATA``.

    Returns
    -------
    images : (n, 28, 28) uint8
    labels : (n,) uint8
    """
    prefixes = {"train": "train", "test": "t10k"}
    _check_choice("split", split, prefixes)
    files = get("mnist", data_dir)
    prefix = prefixes[split]
    return (
        formats.read_idx(files[f"{prefix}-images-idx3-ubyte.gz"]),
        formats.read_idx(files[f"{prefix}-labels-idx1-ubyte.gz"]),
    )


def _check_choice(what: str, value: str, choices) -> None:
    if value not in choices:
        names = " or ".join(map(repr, choices))
        raise ValueError(f"{what} must be {names}, got {value!r}")


def cifar10(
    split: str = "train", data_dir: str | Path | None = None, partial: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10, from the archive of its binary version or from the archive's unpacked batches.

    Parameters
    ----------
    split : "train" or "test"
        50,000 or 10,000 images.
    data_dir : path, optional
        A folder that holds ``cifar10/``; by default ``$OT_LATENT_DATA``.
    partial : bool
        Go on with those batches that are here, and download nothing. A `PartialDataWarning` names
        them. For the test split the first 1,000 images, ``test_batch_first_1000.bin``, will do.

    Returns
    -------
    images : (n, 32, 32, 3) uint8
    labels : (n,) uint8

    Raises
    ------
    MissingDataError
        If batches are missing and the archive cannot be downloaded; the message says which are here.
    CorruptDataError
        If the md5 of the archive or of a batch differs from the official one.
    """
    _check_choice("split", split, CIFAR10_BATCHES)
    return formats.read_cifar10(split, DATASETS["cifar10"], _folders("cifar10", data_dir), partial)


def celeba(
    size: int = 128, data_dir: str | Path | None = None, partial: bool = False, on_error: str = "raise"
) -> np.memmap:
    """CelebA's aligned faces, in the order of their numbers: the central 140x140 of 178x218, resized.

    Zips of the same images differ in their hashes: what is checked is that all images are there, have
    the official size and decode.

    Parameters
    ----------
    size : int
        Side of the result in pixels.
    data_dir : path, optional
        A folder that holds ``celeba/`` with ``img_align_celeba.zip``, or that zip's folder unpacked;
        by default ``$OT_LATENT_DATA``.
    partial : bool
        Go on with another number of images than the official one; a `PartialDataWarning` says so.
    on_error : "raise" or "skip"
        What to do about an image that does not decode, has another size than the official one or is
        suspiciously large. Skipped ones are named and counted by a `SkippedImagesWarning`.

    Returns
    -------
    (n, size, size, 3) uint8, read-only and memory-mapped

    Raises
    ------
    MissingDataError
        If the files are not here, or not all images; the message says what to do.
    CorruptDataError
        If an archive is damaged or forged, or an image cannot be taken.
    """
    wanted = Wanted(_checked_size(size), crop=140, official=(178, 218))
    source = _source("celeba", DATASETS["celeba"].sources, data_dir, partial)
    return _decoded(source, wanted, "celeba", on_error)


def lsun_bedrooms(
    size: int = 64,
    split: str = "train",
    data_dir: str | Path | None = None,
    partial: bool = False,
    on_error: str = "raise",
) -> np.memmap:
    """LSUN's bedrooms: the largest central square, resized; in the order of the database's keys.

    Parameters
    ----------
    split : "train" or "val"
        3,033,042 or 300 images, from ``lsun_bedrooms/bedroom_train_lmdb/`` or the like, or from a
        folder of images, ``bedroom_train/``. The database needs the extra ``data``.
    size, data_dir, partial, on_error
        As of `celeba`, which also lists what is returned and raised.
    """
    _check_choice("split", split, ("train", "val"))
    wanted, sources = Wanted(_checked_size(size)), (f"bedroom_{split}_lmdb", f"bedroom_{split}")
    source = _source("lsun_bedrooms", sources, data_dir, partial)
    return _decoded(source, wanted, "lsun_bedrooms", on_error)


def lld_icons(sharp: bool = False, data_dir: str | Path | None = None, on_error: str = "raise") -> np.memmap:
    """LLD's icons, from ``LLD-icon.hdf5`` or the unpacked folder of PNG files.

    Parameters
    ----------
    sharp : bool
        Those of ``LLD-icon-sharp.hdf5`` instead: the subset without blurred ones.
    data_dir : path, optional
        A folder that holds ``lld_icons/``; by default ``$OT_LATENT_DATA``. HDF5 files need the extra
        ``data``.
    on_error : "raise" or "skip"
        As of `celeba`, which also lists what is raised.

    Returns
    -------
    (n, 32, 32, 3) uint8, read-only and memory-mapped
    """
    full, subset, folder = DATASETS["lld_icons"].sources
    source = _source("lld_icons", (subset,) if sharp else (full, folder), data_dir)
    return _decoded(source, Wanted(32, official=(32, 32)), "lld_icons", on_error)


def lld_labels(name: str = "resnet/rc_64", sharp: bool = False, data_dir: str | Path | None = None) -> np.ndarray:
    """Cluster of each icon of `lld_icons`, (n,) integers, from the group ``labels`` of the HDF5 file."""
    file = DATASETS["lld_icons"].sources[bool(sharp)]
    source = _source("lld_icons", (file,), data_dir)
    with source.open() as opened:
        return source.dataset(opened, f"labels/{name}")[:]


def olivetti(data_dir: str | Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The Olivetti faces: images (400, 64, 64) uint8 and persons (400,) uint8, ten images of each."""
    with np.load(get("olivetti", data_dir)["olivetti.npz"], allow_pickle=False) as arrays:
        return arrays["images"], arrays["person"]


def icons(name: str = "crypto32", data_dir: str | Path | None = None) -> np.ndarray:
    """Icons on white, (n, side, side, 3) uint8.

    Parameters
    ----------
    name : "crypto32" or "fugue16"
        482 logos of currencies, 32x32, or 3,522 interface icons, 16x16.
    data_dir : path, optional
        A folder that holds ``icons/``; by default ``$OT_LATENT_DATA``.
    """
    data_set = DATASETS["icons"]
    files = {file.name.removesuffix(".npz"): file for file in data_set.files}
    _check_choice("name", name, files)
    path = files.fetch(data_set, files[name], _folders("icons", data_dir))
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["images"]


def image_folder(
    path: str | Path, size: int, crop: int | None = None, grey: bool = False, on_error: str = "raise"
) -> np.memmap:
    """Your own images: those in a folder and its subfolders, or in a zip, in the order of their names.

    Parameters
    ----------
    path : path
    size : int
        Side of the result in pixels.
    crop : int, optional
        Side of the central square that is resized; by default the largest one.
    grey : bool
        Convert to grey.
    on_error : "raise" or "skip"
        As of `celeba`, which also lists what is raised.

    Returns
    -------
    (n, size, size, 3), or (n, size, size) where ``grey``, uint8, read-only and memory-mapped
    """
    path = Path(path)
    if not path.exists():
        raise MissingDataError(f"{path} does not exist")
    label = re.sub(r"[^\w.]+", "_", path.resolve().stem) or "images"
    wanted = Wanted(_checked_size(size), crop and _checked_size(crop, "crop"), grey=grey)
    return _decoded(open_source(path), wanted, f"folder-{label}", on_error)


def _checked_size(size: int, what: str = "size") -> int:
    if not isinstance(size, int) or not 1 <= size <= 2048:
        raise ValueError(f"{what} must be a whole number of pixels from 1 to 2048, got {size!r}")
    return size


def _source(name: str, sources, data_dir: str | Path | None, partial: bool = False) -> Source:
    source = files.open_first(DATASETS[name], sources, _folders(name, data_dir))
    files.check_count(name, source, partial)
    return source


def _decoded(source: Source, wanted: Wanted, label: str, on_error: str) -> np.memmap:
    return decoded(source, wanted, cache_dir() / "decoded", label, on_error)


#: Loaders of sets that are decoded.
_DECODED = {"celeba": celeba, "lsun_bedrooms": lsun_bedrooms, "lld_icons": lld_icons}
