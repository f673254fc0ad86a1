"""CIFAR-10 from its archive or from unpacked batches, whole or in part, intact or not."""

import gzip
import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests
from mirrors import serving

from ot_latent import datasets
from ot_latent.datasets import CorruptDataError, MissingDataError, PartialDataWarning
from ot_latent.datasets.catalogue import DATASETS
from ot_latent.datasets.image_sets import digest, training_images
from ot_latent.models import checkpoints

get = requests.get
CIFAR10_FOLDER = "cifar-10-batches-bin"
FEW = 4  # images a batch in these tests


def tar_gz(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for entry, content in members:
            if isinstance(entry, str):
                entry = tarfile.TarInfo(entry)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.fixture
def small(tmp_path, cache, monkeypatch):
    """CIFAR-10 of few images, whose hashes count as the official ones: folder and (images, labels)."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "cifar10"
    (folder / CIFAR10_FOLDER).mkdir(parents=True)
    members, arrays, splits = [], {}, {}
    for split, batches in DATASETS["cifar10"].splits.items():
        labels = rng.integers(0, 10, (len(batches), FEW), np.uint8)
        images = rng.integers(0, 256, (len(batches), FEW, 32, 32, 3), np.uint8)
        files = []
        for file, label, image in zip(batches, labels, images, strict=True):
            planes = image.transpose(0, 3, 1, 2).reshape(FEW, -1)
            content = np.hstack([label[:, None], planes]).tobytes()
            files.append(replace(file, md5=hashlib.md5(content).hexdigest(), count=FEW))
            members.append((file.name, content))
        arrays[split] = images.reshape(-1, 32, 32, 3), labels.ravel()
        splits[split] = tuple(files)
    monkeypatch.setitem(DATASETS, "cifar10", replace(DATASETS["cifar10"], splits=splits))
    monkeypatch.delenv("OT_LATENT_DATA", raising=False)

    def refuse(url, **_):
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(requests, "get", refuse)
    return folder, members, arrays


def put_archive(monkeypatch, folder, members):
    """Write the archive, and let its hash count as the official one."""
    data_set = DATASETS["cifar10"]
    path = folder / data_set.files[0].name
    tar_gz(path, members)
    official = replace(data_set.files[0], md5=hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setitem(DATASETS, "cifar10", replace(data_set, files=(official,)))
    return path


def put_batches(folder, members, zipped=False):
    for name, content in members:
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def assert_equal(pair, expected):
    for array, other in zip(pair, expected, strict=True):
        np.testing.assert_array_equal(array, other)
        assert array.dtype == np.uint8


@pytest.mark.parametrize("split", ["train", "test"])
def test_archive_and_batches_are_read_as_they_were_written(small, monkeypatch, split):
    folder, members, arrays = small
    # the official archive does not list its members in order either
    put_archive(monkeypatch, folder, [(f"{CIFAR10_FOLDER}/readme.html", b"?"), *members[::-1]])
    assert_equal(datasets.cifar10(split, folder.parent), arrays[split])
    (folder / DATASETS["cifar10"].files[0].name).unlink()
    put_batches(folder, members)
    assert_equal(datasets.cifar10(split, folder.parent), arrays[split])
    assert len(datasets.get("cifar10", folder.parent)) == 6


def test_a_part_is_taken_only_when_asked_for(small):
    folder, members, (images, labels) = *small[:2], small[2]["train"]
    put_batches(folder, [members[i] for i in (0, 2)], zipped=True)
    with pytest.raises(MissingDataError) as caught:
        datasets.cifar10("train", folder.parent)
    for part in ("data_batch_1.bin, data_batch_3.bin", "8 of 20", "partial=True", "cs.toronto.edu"):
        assert part in str(caught.value)
    with pytest.warns(PartialDataWarning, match=r"8 of 20 .*data_batch_1.bin, data_batch_3.bin$"):
        pair = datasets.cifar10("train", folder.parent, partial=True)
    rows = [*range(FEW), *range(2 * FEW, 3 * FEW)]
    assert_equal(pair, (images[rows], labels[rows]))


def test_training_takes_all_batches_or_none(small):
    folder, members, _ = small
    put_batches(folder, members[:4])
    with pytest.raises(MissingDataError, match="16 of 20 images"):
        training_images("cifar10", 32, data_dir=folder.parent)
    with pytest.raises(ValueError, match="most must be at least 1, got -1"):
        training_images("cifar10", 32, data_dir=folder.parent, most=-1)


def test_partial_without_any_batch_says_what_to_do(small):
    folder, members, _ = small
    put_batches(folder, members[:1])
    with pytest.raises(MissingDataError, match="batches: none.*cifar-10-batches-bin"):
        datasets.cifar10("test", folder.parent, partial=True)


def test_partial_says_nothing_when_all_is_here(small, recwarn):
    folder, members, arrays = small
    put_batches(folder, members)
    assert_equal(datasets.cifar10("train", folder.parent, partial=True), arrays["train"])
    assert not recwarn


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("spoil", [lambda c: c[:-1], lambda c: c + b"?", lambda c: c[:-1] + bytes([c[-1] ^ 1])])
def test_a_spoilt_batch_is_refused_even_in_part(small, spoil, zipped):
    folder, members, _ = small
    name, content = members[0]
    put_batches(folder, [(name, spoil(content))], zipped)
    with pytest.raises(CorruptDataError, match="data_batch_1.bin.*is not the official batch"):
        datasets.cifar10("train", folder.parent, partial=True)


def test_a_truncated_gzip_is_named(small):
    folder, members, _ = small
    put_batches(folder, members[:1], zipped=True)
    path = folder / f"{members[0][0]}.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptDataError, match="damaged or truncated"):
        datasets.cifar10("train", folder.parent, partial=True)


def test_a_gzip_bomb_is_not_unpacked(small):
    folder, members, _ = small
    path = folder / f"{members[0][0]}.gz"
    path.write_bytes(gzip.compress(bytes(10**8)))
    with pytest.raises(CorruptDataError, match="first 12,293 unzipped bytes"):
        datasets.cifar10("train", folder.parent, partial=True)


def test_the_archive_is_downloaded_verified_and_kept(small, cache, monkeypatch):
    folder, members, arrays = small
    content = put_archive(monkeypatch, folder, members).read_bytes()
    (folder / DATASETS["cifar10"].files[0].name).unlink()
    put_batches(folder, members[:2])  # a part is no reason to stay with it
    monkeypatch.setattr(requests, "get", get)
    with serving(archive=content) as (address, asked):
        official = replace(DATASETS["cifar10"].files[0], urls=(f"{address}/archive",))
        monkeypatch.setitem(DATASETS, "cifar10", replace(DATASETS["cifar10"], files=(official,)))
        for _ in range(2):
            assert_equal(datasets.cifar10("train", folder.parent), arrays["train"])
    assert asked == ["archive"]
    assert (cache / "cifar10" / "cifar-10-binary.tar.gz").is_file()


def test_an_archive_with_another_hash_is_refused(small, monkeypatch):
    folder, members, _ = small
    path = put_archive(monkeypatch, folder, members)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptDataError, match="not the official file: its md5"):
        datasets.cifar10("train", folder.parent)


def link(name, target, kind):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize(
    "entry",
    [
        "/etc/evil",
        "../evil",
        f"{CIFAR10_FOLDER}/../../evil",
        link(f"{CIFAR10_FOLDER}/data_batch_1.bin", "/etc/passwd", tarfile.SYMTYPE),
        link(f"{CIFAR10_FOLDER}/data_batch_1.bin", "../../evil", tarfile.LNKTYPE),
    ],
    ids=["absolute", "parent", "through the folder", "symbolic link", "hard link"],
)
def test_an_archive_that_points_outside_is_refused(small, monkeypatch, entry):
    folder, members, _ = small
    put_archive(monkeypatch, folder, [(entry, b""), *members])
    with pytest.raises(CorruptDataError, match="points outside its folder|is a link"):
        datasets.cifar10("train", folder.parent)
    assert not (folder.parent / "evil").exists()


def test_an_archive_that_lacks_batches_or_ends_early_is_named(small, monkeypatch):
    folder, members, _ = small
    path = put_archive(monkeypatch, folder, members[1:])
    with pytest.raises(CorruptDataError, match="lacks .*data_batch_1.bin"):
        datasets.cifar10("train", folder.parent)
    content = path.read_bytes()[:-3000]
    path.write_bytes(content)
    data_set = DATASETS["cifar10"]
    forged = replace(data_set.files[0], md5=hashlib.md5(content).hexdigest())
    monkeypatch.setitem(DATASETS, "cifar10", replace(data_set, files=(forged,)))
    with pytest.raises(CorruptDataError, match="damaged or truncated"):
        datasets.cifar10("test", folder.parent)


def test_unknown_splits_are_refused():
    with pytest.raises(ValueError, match="'train' or 'test', got 'validation'"):
        datasets.cifar10("validation")


def test_the_real_batches():
    root = Path(os.environ.get("OT_LATENT_DATA", "nowhere"))
    if not (root / "cifar10" / CIFAR10_FOLDER).is_dir():
        pytest.skip("cifar10 is not in $OT_LATENT_DATA")
    images, labels = datasets.cifar10("test")
    assert images.shape == (10_000, 32, 32, 3)
    assert labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]  # cat, ship, ship, airplane, ...
    # channels and rows are where they belong: neighbours resemble each other, ships are on blue
    images, labels = images[:1_000], labels[:1_000]
    steps = (np.abs(np.diff(images.astype(int), axis=1)).mean(), np.abs(np.diff(images.astype(int), axis=2)).mean())
    assert max(steps) < 20
    ships = images[labels == 8].mean((0, 1, 2))
    assert ships[2] > ships[0]


def test_shipped_weights_are_of_all_official_images():
    if not (Path(os.environ.get("OT_LATENT_DATA", "nowhere")) / "cifar10" / CIFAR10_FOLDER).is_dir():
        pytest.skip("cifar10 is not in $OT_LATENT_DATA")
    images, _ = training_images("cifar10", 32)
    for name in ("cifar10-classifier", "cifar10-dcgan", "cifar10-wgan-gp"):
        card = checkpoints.read_card(checkpoints.shipped(name))
        assert (card["images"], card["images_md5"]) == (len(images), digest(images))


def test_a_part_of_the_real_batches(tmp_path, cache):
    root = Path(os.environ.get("OT_LATENT_DATA", "nowhere"))
    name = f"{CIFAR10_FOLDER}/data_batch_1.bin.gz"
    if not (root / "cifar10" / name).is_file():
        pytest.skip("cifar10 is not in $OT_LATENT_DATA")
    (tmp_path / "cifar10" / CIFAR10_FOLDER).mkdir(parents=True)
    (tmp_path / "cifar10" / name).symlink_to(root / "cifar10" / name)
    with pytest.warns(PartialDataWarning, match="10,000 of 50,000 images are here unpacked; batches: data_batch_1.bin"):
        images, labels = datasets.cifar10("train", tmp_path, partial=True)
    assert images.shape == (10_000, 32, 32, 3)
    assert labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # frog, truck, truck, deer, ...
