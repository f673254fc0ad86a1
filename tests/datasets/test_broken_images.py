"""Every way in which files of images can be broken, forged, or missing."""

import io
import os
import re
import stat
import sys
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from image_files import encoded, faces, icons, photo, put_files, put_hdf5, put_lmdb, put_zip
from PIL import Image

from ot_latent import datasets
from ot_latent.cli import main
from ot_latent.datasets import CorruptDataError, MissingDataError, SkippedImagesWarning
from ot_latent.datasets.sources import MAX_ENCODED, ZipSource

pytestmark = pytest.mark.filterwarnings("ignore::ot_latent.datasets.PartialDataWarning")


def linked(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "entry", ["/etc/1.jpg", "../1.jpg", "a/../../1.jpg", "..\\1.jpg", "C:\\1.jpg", linked("a/1.jpg")], ids=str
)
def test_an_archive_that_points_outside_is_refused(empty_data, entry):
    put_zip(empty_data / "celeba" / "img_align_celeba.zip", {**faces(2), entry: encoded(photo(9))})
    with pytest.raises(CorruptDataError, match="points outside its folder|is a link"):
        datasets.celeba(partial=True, on_error="skip")


def shorten(path, share=0.5):
    os.truncate(path, int(path.stat().st_size * share))


def flip_pixel(path):
    content = bytearray(path.read_bytes())
    content[2000] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [shorten, flip_pixel, lambda path: path.write_bytes(b"")])
def test_a_spoilt_zip_is_named(empty_data, spoil):
    spoil(put_zip(empty_data / "celeba" / "img_align_celeba.zip", faces()))
    with pytest.raises(CorruptDataError, match="img_align_celeba.zip is damaged or truncated"):
        datasets.celeba(partial=True, on_error="skip")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_database_is_named_and_does_not_end_the_process(empty_data, share):
    contents = [encoded(photo(i)) for i in range(40)]
    folder = put_lmdb(empty_data / "lsun_bedrooms" / "bedroom_train_lmdb", contents)
    shorten(folder / "data.mdb", share)
    with pytest.raises(CorruptDataError, match="is truncated|cannot be read"):
        datasets.lsun_bedrooms(partial=True, on_error="skip")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
def test_a_truncated_hdf5_file_is_named(empty_data, share):
    shorten(put_hdf5(empty_data / "lld_icons" / "LLD-icon.hdf5", icons(50)), share)
    with pytest.raises(CorruptDataError, match="LLD-icon.hdf5 is damaged or truncated"):
        datasets.lld_icons(on_error="skip")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (icons().astype(float), "float64"),
        (icons().transpose(0, 2, 3, 1), r"expected uint8 of shape \(n, 3,"),
        (icons()[..., :16], "16 x 32 pixels, expected 32 x 32"),
    ],
)
def test_an_hdf5_file_of_another_layout_is_named(empty_data, pixels, message):
    put_hdf5(empty_data / "lld_icons" / "LLD-icon.hdf5", pixels)
    with pytest.raises(CorruptDataError, match=message):
        datasets.lld_icons()


def test_an_hdf5_file_that_points_to_others_is_refused(empty_data):
    h5py = pytest.importorskip("h5py")
    secret = put_hdf5(empty_data / "secret.hdf5", icons())
    path = empty_data / "lld_icons" / "LLD-icon.hdf5"
    path.parent.mkdir()

    def external_link(file):
        file["data"] = h5py.ExternalLink(str(secret), "data")

    def external_storage(file):
        file.create_dataset("data", (1, 3, 32, 32), "u1", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])

    def virtual(file):
        layout = h5py.VirtualLayout((7, 3, 32, 32), "u1")
        layout[:] = h5py.VirtualSource(str(secret), "data", (7, 3, 32, 32))
        file.create_virtual_dataset("data", layout)

    for forge in (external_link, external_storage, virtual, lambda file: None):
        with h5py.File(path, "w") as file:
            forge(file)
        with pytest.raises(CorruptDataError, match="no dataset 'data' of its own"):
            datasets.lld_icons()


def bomb():
    """A PNG of few bytes that claims a hundred million pixels."""
    return encoded(Image.new("1", (10_000, 10_000)), "PNG")


BROKEN = {
    "truncated": (encoded(photo(1))[:-600], "does not decode: image file is truncated"),
    "text": (b"<html>quota exceeded</html>", "not of a known format"),
    "empty": (b"", "not of a known format"),
    "wrong size": (encoded(photo(1, 218, 178)), "218 x 178 pixels, expected 178 x 218"),
    "bomb": (bomb(), "10000 x 10000 pixels are more than"),
    "deep": (encoded(photo(1, mode="L").convert("I;16"), "PNG"), "pixels of mode I;16 are not supported"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 178 218\n", "not of a known format"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", BROKEN)
def test_an_unusable_image_is_named_or_skipped(empty_data, kind):
    content, reason = BROKEN[kind]
    images = faces()
    name = "img_align_celeba/000003.jpg"
    put_zip(empty_data / "celeba" / "img_align_celeba.zip", images | {name: content})
    for _ in range(2):
        with pytest.raises(CorruptDataError, match=rf"{name} \(.*{reason}.*on_error='skip'"):
            datasets.celeba(140, partial=True)
    said = rf"left out: 1 of 5 images of .* are unusable: {name} \(.*{reason}"
    for _ in range(2):
        with pytest.warns(SkippedImagesWarning, match=said) as caught:
            taken = datasets.celeba(140, partial=True, on_error="skip")
    assert caught[-1].filename == __file__
    rest = [np.asarray(Image.open(io.BytesIO(c))) for n, c in images.items() if n != name]
    np.testing.assert_array_equal(taken, [face[39:179, 19:159] for face in rest])
    # what was skipped once is not passed over in silence
    with pytest.raises(CorruptDataError, match=name):
        datasets.celeba(140, partial=True)


def test_a_file_of_too_many_bytes_is_not_read_whole(empty_data):
    entries = faces(2) | {"img_align_celeba/000003.jpg": encoded(photo(3)) + bytes(MAX_ENCODED)}
    path = empty_data / "celeba" / "img_align_celeba.zip"
    put_zip(path, entries)
    sizes = [len(payload) for _, payload in next(ZipSource(path).chunks(0, 10))]
    assert max(sizes) == MAX_ENCODED + 1
    with pytest.raises(CorruptDataError, match=f"larger than {MAX_ENCODED:,} bytes"):
        datasets.celeba(partial=True)


def test_nothing_usable_and_nothing_at_all(empty_data, tmp_path):
    for files in ({}, {"README.txt": b"?", ".hidden.jpg": encoded(photo(0))}):
        with pytest.raises(MissingDataError, match="holds no images"):
            datasets.image_folder(put_files(tmp_path / "pictures", {"deep/readme": b""} | files), 8)
    with pytest.raises(MissingDataError, match="holds no images"):
        datasets.image_folder(put_zip(tmp_path / "empty.zip", {}), 8)
    with pytest.raises(MissingDataError, match="does not exist"):
        datasets.image_folder(tmp_path / "nowhere", 8)
    put_files(tmp_path / "broken", {"1.jpg": b"?", "2.jpg": b"?"})
    with pytest.raises(CorruptDataError, match="not one image is usable: 1.jpg"):
        datasets.image_folder(tmp_path / "broken", 8, on_error="skip")
    with pytest.raises(CorruptDataError, match="neither a folder"):
        datasets.image_folder(put_files(tmp_path / "x", {"a.tar": b""}) / "a.tar", 8)


def test_settings_are_checked(empty_data, tmp_path):
    folder = put_files(tmp_path / "pictures", {"1.png": encoded(photo(1, 20, 30), "PNG")})
    for size in (0, 4096, 2.5, "8"):
        with pytest.raises(ValueError, match=rf"size must be .* got {re.escape(repr(size))}"):
            datasets.image_folder(folder, size)
    with pytest.raises(CorruptDataError, match="20 x 30 pixels are too few to crop 25"):
        datasets.image_folder(folder, 8, crop=25)
    with pytest.raises(ValueError, match="'train' or 'val', got 'test'"):
        datasets.lsun_bedrooms(split="test")
    with pytest.raises(ValueError, match="lld_icons takes no size"):
        datasets.get("lld_icons", size=64)


@pytest.mark.parametrize("module", ["lmdb", "h5py"])
def test_an_extra_that_is_not_installed_is_named(empty_data, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    put_files(empty_data / "lsun_bedrooms" / "bedroom_train_lmdb", {"data.mdb": b""})
    put_files(empty_data / "lld_icons", {"LLD-icon.hdf5": b""})
    name = {"lmdb": "lsun_bedrooms", "h5py": "lld_icons"}[module]
    with pytest.raises(ModuleNotFoundError, match=rf"{module}.*pip install 'ot-latent\[data\]'"):
        getattr(datasets, name)()
    result = CliRunner().invoke(main, ["data", "get", name])
    assert result.exit_code == 1
    assert f"{module} is not installed. Remedy: pip install 'ot-latent[data]'" in result.stderr
