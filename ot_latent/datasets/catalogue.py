"""The data sets by name: official files with their hashes, terms, and what a user has to do for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class MissingDataError(FileNotFoundError):
    """Data are neither here nor to be downloaded; the message says how to mend it."""


class CorruptDataError(ValueError):
    """Data are not the official ones, or broken; the message says where and how to mend it."""


class PartialDataWarning(UserWarning):
    """The caller asked to go on with a part of a data set; the message says which part."""


class SkippedImagesWarning(UserWarning):
    """The caller asked to leave out images that do not decode; the message counts and names them."""


@dataclass(frozen=True)
class DataFile:
    """One official file: its name, the md5 of its bytes and the addresses that serve it.

    Of a file in an archive, the name is that in the archive; it may lie here unpacked, and ``count`` is the
    number of its images.
    """

    name: str
    md5: str
    urls: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class DataSet:
    """A data set as its authors publish it.

    ``files`` are verified by hash, and so are the batches of ``splits``, which lie in an archive among them.
    ``sources`` are further files and folders that a loader accepts, each with the number of images that the
    official one holds, where that is known; the loader checks what is in them. ``instructions`` tell a user
    how to get what is not downloaded for them.
    """

    name: str
    summary: str
    terms: str
    files: tuple[DataFile, ...] = ()
    splits: Mapping[str, tuple[DataFile, ...]] = field(default_factory=dict)
    sources: Mapping[str, int | None] = field(default_factory=dict)
    instructions: str = ""

    @property
    def batches(self) -> tuple[DataFile, ...]:
        """Those of all splits."""
        return sum(self.splits.values(), ())


_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def _mnist_file(name: str, md5: str) -> DataFile:
    return DataFile(name, md5, tuple(mirror + name for mirror in _MNIST_MIRRORS))


def _cifar10_batch(name: str, md5: str) -> DataFile:
    """A batch of the binary version. Hashes are of unzipped files."""
    return DataFile(f"cifar-10-batches-bin/{name}.bin", md5, count=10_000)


_REPACKED = (
    "This project repacked the set: point OT_LATENT_DATA at the project's data folder, which holds "
    "{name}/, or ask its maintainers for the file."
)


#: The data sets by name.
DATASETS: dict[str, DataSet] = {
    data_set.name: data_set
    for data_set in (
        DataSet(
            "mnist",
            "70,000 handwritten digits, 28x28 grey (60,000 train, 10,000 test)",
            "CC BY-SA 3.0; LeCun, Cortes and Burges",
            (
                _mnist_file("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                _mnist_file("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
                _mnist_file("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
                _mnist_file("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
            ),
        ),
        DataSet(
            "cifar10",
            "60,000 photographs of ten kinds of things, 32x32 (50,000 train, 10,000 test)",
            "no licence stated; cite Krizhevsky, Learning multiple layers of features from tiny images, 2009",
            (
                DataFile(
                    "cifar-10-binary.tar.gz",
                    "c32a1d4ab5d03f1284b67883e8d87530",
                    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
                ),
            ),
            {
                "train": (
                    _cifar10_batch("data_batch_1", "5dd7e06a14cb22eb9f671a540d1b7c25"),
                    _cifar10_batch("data_batch_2", "5ea93a67294ea407fff1d09f752e9692"),
                    _cifar10_batch("data_batch_3", "942cd6a4bcdd0dd3c604fbe906cb4421"),
                    _cifar10_batch("data_batch_4", "ae636b3ba5c66a11e91e8cb52e771fcb"),
                    _cifar10_batch("data_batch_5", "53f37980c15c3d472c316c40844f3f0d"),
                ),
                "test": (_cifar10_batch("test_batch", "803d5f7f4d78ea53de84dbe85f74fb6d"),),
            },
            instructions="Put the archive there, or its unpacked folder cifar-10-batches-bin/ (each file may be "
            "gzipped).",
        ),
        DataSet(
            "celeba",
            "202,599 faces of celebrities, aligned and cropped, 178x218",
            "non-commercial research only, no redistribution; cite Liu et al., ICCV 2015",
            sources={"img_align_celeba.zip": 202_599, "img_align_celeba": 202_599},
            instructions="The terms forbid us to download it for you. Agree to them at "
            "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, download Img/img_align_celeba.zip "
            "(1.4 GB) and put it into {folder}; or unpack it there, as img_align_celeba/000001.jpg "
            "to 202599.jpg.",
        ),
        DataSet(
            "lsun_bedrooms",
            "3,033,042 photographs of bedrooms, smaller side 256 (300 more to validate)",
            "research only; cite Yu et al., arXiv:1506.03365",
            sources={
                "bedroom_train_lmdb": 3_033_042,
                "bedroom_train": 3_033_042,
                "bedroom_val_lmdb": 300,
                "bedroom_val": 300,
            },
            instructions="Too large to be downloaded unasked. From https://www.yf.io/p/lsun or with "
            "`python download.py -c bedroom` of https://github.com/fyu/lsun get "
            "bedroom_train_lmdb.zip (43 GB), unpack it (the folder holds data.mdb) and put "
            "bedroom_train_lmdb/ into {folder}; or a folder bedroom_train/ of its images.",
        ),
        DataSet(
            "lld_icons",
            "logos of web sites, 32x32 (LLD-icon, LLD-icon-sharp)",
            "logos belong to their owners, research only; cite Sage et al., CVPR 2018",
            sources={"LLD-icon.hdf5": None, "LLD-icon-sharp.hdf5": None, "LLD_favicons_clean_png": None},
            instructions="From https://data.vision.ee.ethz.ch/sagea/lld/ download LLD-icon.hdf5, or "
            "LLD-icon-sharp.hdf5, and put it into {folder}; or the unpacked folder "
            "LLD_favicons_clean_png/.",
        ),
        DataSet(
            "olivetti",
            "400 faces, ten of each of 40 persons, 64x64 grey",
            "credit AT&T Laboratories Cambridge",
            (DataFile("olivetti.npz", "148febb35e685391512a2432f8e6d419"),),
            instructions=_REPACKED,
        ),
        DataSet(
            "icons",
            "482 logos of currencies, 32x32 (crypto32), and 3,522 icons, 16x16 (fugue16), on white",
            "crypto32: CC0, spothq/cryptocurrency-icons; fugue16: CC BY 3.0, Yusuke Kamiyamane",
            (
                DataFile("crypto32.npz", "e96f535dce945e6c8762c63d7a34dc4b"),
                DataFile("fugue16.npz", "3178fdecc1ef755154c03ed4ee8dc936"),
            ),
            instructions=_REPACKED,
        ),
    )
}
