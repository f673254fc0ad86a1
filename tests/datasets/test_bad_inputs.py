"""The loaders' bad-input table: what can be wrong with files, set by set, and what is said of it.

Finer ways in which one kind of file breaks are in test_broken_images, test_cifar and test_datasets.
"""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from image_files import encoded, faces, icons, photo, put_files, put_hdf5, put_lmdb, put_zip

from ot_latent import datasets
from ot_latent.datasets import CorruptDataError, MissingDataError, SkippedImagesWarning

pytestmark = pytest.mark.filterwarnings("ignore::ot_latent.datasets.PartialDataWarning")

JPEG = encoded(photo(1))
ICON = encoded(photo(1, 32, 32), "PNG")


def _zip(*broken):
    def put(data):
        put_zip(data / "celeba" / "img_align_celeba.zip", faces(2) | dict(broken))

    return put


def _files(folder, **files):
    return lambda data: put_files(data / folder, files)


def _empty(folder):
    return lambda data: (data / folder).mkdir(parents=True)


def _lmdb(*contents):
    return lambda data: put_lmdb(data / "lsun_bedrooms" / "bedroom_train_lmdb", contents)


def _truncated_lmdb(data):
    folder = put_lmdb(data / "lsun_bedrooms" / "bedroom_train_lmdb", [JPEG])
    (folder / "data.mdb").write_bytes((folder / "data.mdb").read_bytes()[:5_000])


def _hdf5(spoil=None, pixels=None):
    def put(data):
        path = put_hdf5(data / "lld_icons" / "LLD-icon.hdf5", icons() if pixels is None else pixels)
        if spoil:
            path.write_bytes(spoil(path.read_bytes()))

    return put


def _truncated_zip(data):
    path = put_zip(data / "celeba" / "img_align_celeba.zip", faces(2))
    path.write_bytes(path.read_bytes()[:-300])


def _mnist(content):
    return _files("mnist", **{"train-images-idx3-ubyte.gz": content})


def _celeba(**settings):
    return datasets.celeba(32, partial=True, **settings)


def _lsun(**settings):
    return datasets.lsun_bedrooms(32, partial=True, **settings)


def _own(**settings):
    """`image_folder` of whatever lies in pictures/."""
    folder = Path(os.environ["OT_LATENT_DATA"]) / "pictures"
    archive = folder / "all.zip"
    return datasets.image_folder(archive if archive.exists() else folder, 8, **settings)


def _own_zip(**entries):
    return lambda data: put_zip(data / "pictures" / "all.zip", entries)


SMALL = encoded(photo(1, 16, 16), "PNG")
CELEBA, LSUN, LLD, LABELS = "celeba", "lsun_bedrooms", "lld_icons", gzip.compress(b"?")

#: (set, what is wrong): (files, loader, error, what it says)
TABLE = {
    ("mnist", "truncated"): (_mnist(LABELS[:-3]), datasets.mnist, CorruptDataError, "md5"),
    ("mnist", "wrong hash"): (_mnist(LABELS), datasets.mnist, CorruptDataError, "md5"),
    ("logos", "wrong hash"): (_files("logos", **{"logos32.npz": b"PK"}), datasets.logos, CorruptDataError, "md5"),
    ("cifar10", "truncated batch"): (
        _files("cifar10/cifar-10-batches-bin", **{"data_batch_1.bin": bytes(3072)}),
        lambda: datasets.cifar10(partial=True),
        CorruptDataError,
        "data_batch_1.bin.*not the official",
    ),
    ("cifar10", "wrong hash"): (
        _files("cifar10/cifar-10-batches-bin", **{"data_batch_1.bin": bytes(30_730_000)}),
        lambda: datasets.cifar10(partial=True),
        CorruptDataError,
        "data_batch_1.bin.*not the official",
    ),
    ("cifar10", "wrong hash of the archive"): (
        _files("cifar10", **{"cifar-10-binary.tar.gz": LABELS}),
        datasets.cifar10,
        CorruptDataError,
        "md5",
    ),
    ("cifar10", "empty folder"): (
        _empty("cifar10/cifar-10-batches-bin"),
        lambda: datasets.cifar10(partial=True),
        MissingDataError,
        "0 of 50,000 images",
    ),
    (CELEBA, "truncated"): (_truncated_zip, _celeba, CorruptDataError, "damaged or truncated"),
    (CELEBA, "wrong size"): (
        _zip(("img_align_celeba/000003.jpg", encoded(photo(1, 64, 64)))),
        _celeba,
        CorruptDataError,
        "64 x 64 pixels, expected 178 x 218",
    ),
    (CELEBA, "outside"): (_zip(("../3.jpg", JPEG)), _celeba, CorruptDataError, "points outside"),
    (CELEBA, "undecodable"): (
        _zip(("img_align_celeba/000003.jpg", JPEG[:900])),
        _celeba,
        CorruptDataError,
        "000003.jpg .*does not decode",
    ),
    (CELEBA, "empty folder"): (_empty("celeba/img_align_celeba"), _celeba, MissingDataError, "no images"),
    (LSUN, "truncated"): (_truncated_lmdb, _lsun, CorruptDataError, "truncated|cannot be read"),
    (LSUN, "undecodable"): (_lmdb(JPEG, b"?"), _lsun, CorruptDataError, "not of a known format"),
    (LSUN, "undecodable in a folder"): (
        _files("lsun_bedrooms/bedroom_train", **{"1.webp": JPEG, "2.webp": JPEG[:900]}),
        _lsun,
        CorruptDataError,
        "2.webp .*does not decode",
    ),
    (LSUN, "empty folder"): (_empty("lsun_bedrooms/bedroom_train"), _lsun, MissingDataError, "no images"),
    (LLD, "truncated"): (
        _hdf5(lambda content: content[:-100]),
        datasets.lld_icons,
        CorruptDataError,
        "damaged or truncated",
    ),
    (LLD, "wrong size"): (
        _hdf5(pixels=np.zeros((3, 3, 16, 16), np.uint8)),
        datasets.lld_icons,
        CorruptDataError,
        "16 x 16 pixels, expected 32 x 32",
    ),
    (LLD, "wrong size in a folder"): (
        _files("lld_icons/LLD_favicons_clean_png", **{"1.png": ICON, "2.png": SMALL}),
        datasets.lld_icons,
        CorruptDataError,
        "16 x 16 pixels, expected 32 x 32",
    ),
    (LLD, "empty folder"): (
        _empty("lld_icons/LLD_favicons_clean_png"),
        datasets.lld_icons,
        MissingDataError,
        "no images",
    ),
    ("folder", "undecodable"): (
        _files("pictures", **{"1.png": ICON, "2.png": ICON[:60]}),
        _own,
        CorruptDataError,
        "2.png .*does not decode",
    ),
    ("folder", "empty folder"): (_empty("pictures"), _own, MissingDataError, "no images"),
    ("folder", "outside"): (_own_zip(**{"../1.png": ICON}), _own, CorruptDataError, "points outside"),
}


@pytest.mark.parametrize("case", TABLE, ids=" ".join)
def test_what_is_wrong_is_named(empty_data, case):
    put, load, error, message = TABLE[case]
    put(empty_data)
    with pytest.raises(error, match=message):
        load()


@pytest.mark.parametrize("case", [case for case in TABLE if "undecodable" in case[1]], ids=" ".join)
def test_an_image_that_does_not_decode_is_skipped_with_a_count_where_asked(empty_data, case):
    put, load, _, _ = TABLE[case]
    put(empty_data)
    with pytest.warns(SkippedImagesWarning, match="left out: 1 of"):
        taken = load(on_error="skip")
    assert len(taken) in (1, 2)
