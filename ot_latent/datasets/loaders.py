"""Data sets of the papers: where their files are, whether they are intact, and how to read them.

A file is looked for in ``data_dir/<name>/``, else in ``$OT_LATENT_DATA/<name>/``, then in the user's
cache; only then is it downloaded, where its terms allow that. Nothing is read before its hash agrees.
Sets of many encoded images are decoded once, into a file of the cache that is memory-mapped from then
on. ``DATASETS`` describes all of them, and ``ot-latent data`` prints it.
"""

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np

from ot_latent._arrays import choice
from ot_latent.datasets.cache import decoded_images
from ot_latent.datasets.catalogue import MissingDataError, data_set
from ot_latent.datasets.files import fetch, locate, open_first
from ot_latent.datasets.formats import read_batches, read_cifar10, read_idx
from ot_latent.datasets.pixels import Wanted
from ot_latent.datasets.sources import open_source


def get(name: str, data_dir: str | Path | None = None, **settings: Any) -> dict[str, Path]:
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
    known, loader = data_set(name), _DECODED.get(name)
    understood = inspect.signature(loader).parameters if loader else {}
    if unknown := sorted(settings.keys() - understood.keys()):
        flag = " (--skip-broken)" if "on_error" in unknown else ""
        raise ValueError(f"data set {name} takes no {', '.join(unknown)}{flag}")
    if loader:
        made = Path(str(loader(data_dir=data_dir, **settings).filename))
        found = locate(name, data_dir) | {made.name: made}
        return {name: path for name, path in found.items() if path}
    found = locate(name, data_dir)
    batches = {file: path for file in known.batches if (path := found[file.name])}
    if batches and len(batches) == len(known.batches) and not found[known.files[0].name]:
        read_batches(batches)  # their hashes are looked at
        return {Path(file.name).name: path for file, path in batches.items()}
    return {file.name: fetch(name, file, data_dir) for file in known.files}


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
    choice(split, "split", ("train", "test"))
    prefix, files = {"train": "train", "test": "t10k"}[split], get("mnist", data_dir)
    return read_idx(files[f"{prefix}-images-idx3-ubyte.gz"]), read_idx(files[f"{prefix}-labels-idx1-ubyte.gz"])


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
        them.

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
    choice(split, "split", data_set("cifar10").splits)
    return read_cifar10(split, data_dir, partial)


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
    wanted = Wanted(size, crop=140, official=(178, 218))
    source = open_first("celeba", data_set("celeba").sources, data_dir, partial)
    return decoded_images(source, wanted, "celeba", on_error)


#: Images to train on, which come first, by how many there are: of the frontal faces, and of the official release.
_FAIRFACE_TRAIN = {9_891: 8_773, 97_698: 86_744}


def fairface(size: int = 128, split: str = "train", data_dir: str | Path | None = None) -> np.memmap:
    """FairFace: the largest central square, resized; in the order of the files' names.

    Parameters
    ----------
    split : "train" or "val"
        86,744 or 10,954 faces of the official release; 8,773 or 1,118 of the mostly frontal ones in
        ``fairface128.zip``, which is taken where both are here.
    size, data_dir
        As of `celeba`, which also lists what is returned and raised.
    """
    choice(split, "split", ("train", "val"))
    source = open_first("fairface", data_set("fairface").sources, data_dir)
    images, train = decoded_images(source, Wanted(size), "fairface", "raise"), _FAIRFACE_TRAIN[len(source)]
    return images[:train] if split == "train" else images[train:]


def lsun_bedrooms(
    size: int = 64,
    split: str = "train",
    data_dir: str | Path | None = None,
    partial: bool = False,
    on_error: str = "raise",
) -> np.memmap:
    """LSUN's bedrooms: the largest central square, resized; in the order of the database's keys.

    The database is trusted: its reader follows what the file says, so that a forged one may end the process.

    Parameters
    ----------
    split : "train" or "val"
        3,033,042 or 300 images, from ``lsun_bedrooms/bedroom_train_lmdb/`` or the like, or from a
        folder of images, ``bedroom_train/``. The database needs the extra ``data``.
    size, data_dir, partial, on_error
        As of `celeba`, which also lists what is returned and raised.
    """
    choice(split, "split", ("train", "val"))
    wanted = Wanted(size)
    source = open_first("lsun_bedrooms", (f"bedroom_{split}_lmdb", f"bedroom_{split}"), data_dir, partial)
    return decoded_images(source, wanted, "lsun_bedrooms", on_error)


def lld_icons(sharp: bool = False, data_dir: str | Path | None = None, on_error: str = "raise") -> np.memmap:
    """LLD's icons, (n, 32, 32, 3) uint8, from ``LLD-icon.hdf5`` or the unpacked folder of PNG files.

    Parameters
    ----------
    sharp : bool
        Those of ``LLD-icon-sharp.hdf5`` instead: the subset without blurred ones.
    data_dir, on_error
        As of `celeba`, which also lists what is returned and raised. HDF5 files need the extra ``data``.
    """
    sources = ("LLD-icon-sharp.hdf5",) if sharp else ("LLD-icon.hdf5", "LLD_favicons_clean_png")
    source = open_first("lld_icons", sources, data_dir)
    return decoded_images(source, Wanted(32, official=(32, 32)), "lld_icons", on_error)


def logos(data_dir: str | Path | None = None) -> np.ndarray:
    """Logos on white, (17663, 32, 32, 3) uint8, set by set."""
    with np.load(get("logos", data_dir)["logos32.npz"], allow_pickle=False) as arrays:
        return arrays["images"]


def image_folder(
    path: str | Path, size: int, crop: int | None = None, grey: bool = False, on_error: str = "raise"
) -> np.memmap:
    """Your own images: those in a folder and its subfolders, in a zip or HDF5 file, in the order of their names.

    Subfolders may be links; hidden ones are passed over. A `SkippedImagesWarning` counts files that are not read,
    as those whose names do not end as those of images do. `datasets.pixels.decode` says what becomes of colours.

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
    label = re.sub(r"[^\w.]+", "_", path.resolve().stem)[:40] or "images"
    wanted = Wanted(size, crop, grey=grey)
    return decoded_images(open_source(path), wanted, f"folder-{label}", on_error)


#: Loaders of sets that are decoded.
_DECODED: dict[str, Any] = {loader.__name__: loader for loader in (celeba, fairface, lsun_bedrooms, lld_icons)}
