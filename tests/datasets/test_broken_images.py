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
        (icons()[:, 0, 0], r"expected .* or \(n, height, width\) in grey"),
        (icons()[:, :, :0], r"'data' has shape \(7, 3, 0, 32\)"),
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


@pytest.mark.parametrize(
    "shape", [(1, 3, 500_000, 500_000), (10**12, 3, 32, 32), (2**62, 1, 1), (2**40, 2**25, 1)], ids=str
)
def test_an_hdf5_file_that_declares_more_than_it_holds_is_refused(empty_data, shape):
    h5py = pytest.importorskip("h5py")
    path = empty_data / "lld_icons" / "LLD-icon.hdf5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:  # of ten kilobytes
        file.create_dataset("data", shape, "u1", chunks=tuple(min(side, 32) for side in shape))
    with pytest.raises(CorruptDataError, match="more than an image, memory, or the bytes of the file may hold"):
        datasets.lld_icons()


def test_an_hdf5_file_that_is_packed_closely_is_taken(empty_data):
    h5py = pytest.importorskip("h5py")
    path = empty_data / "lld_icons" / "LLD-icon.hdf5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.zeros((3_000, 3, 32, 32), "u1"), compression="gzip", compression_opts=9)
    assert len(datasets.lld_icons()) == 3_000


def test_a_database_that_declares_more_entries_than_it_holds_is_refused(empty_data):
    folder = put_lmdb(empty_data / "lsun_bedrooms" / "bedroom_train_lmdb", [encoded(photo(1))])
    data = bytearray((folder / "data.mdb").read_bytes())
    for page in (0, os.sysconf("SC_PAGE_SIZE")):  # its two heads: a page's 16 bytes, 24, the free pages' 48, 32
        assert data[page + 120] in (0, 1)
        data[page + 120 : page + 128] = (2**62).to_bytes(8, "little")
    (folder / "data.mdb").write_bytes(data)
    with pytest.raises(CorruptDataError, match="data.mdb is truncated"):
        datasets.lsun_bedrooms(partial=True)


def zip_of(images, spoil=lambda content: content, **settings):
    def put(folder):
        path = put_zip(folder / "all.zip", images, **settings)
        path.write_bytes(spoil(path.read_bytes()))
        return path

    return put


def marked(content, method):
    """A zip's heads with another number for how its entries are packed."""
    for head, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        pieces = content.split(head)
        content = head.join([pieces[0], *(p[: at - 4] + bytes([method, 0]) + p[at - 2 :] for p in pieces[1:])])
    return content


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (zip_of(faces(2), lambda content: marked(content, 9)), "cannot be unpacked here: .*Deflate64.*pass the folder"),
        (zip_of({"é.jpg": b"?"}, lambda content: content.replace("é".encode(), b"\xff\xff")), "damaged.*utf-8"),
        (zip_of(faces(1), lambda content: content[:3000] + bytes(9) + content[3009:], compression=14), "damaged"),
    ],
    ids=["Deflate64", "names", "LZMA"],
)
def test_a_zip_that_python_does_not_read_is_named_with_the_remedy(empty_data, tmp_path, put, said):
    with pytest.raises(CorruptDataError, match=f"all.zip .*{said}"):
        datasets.image_folder(put(tmp_path), 8, on_error="skip")


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_names_that_are_not_utf8_are_written_so_that_they_can_be_read(empty_data, tmp_path, kind):
    images = tmp_path / "pictures"
    images.mkdir()
    broken = os.fsdecode(b"\xff\xfe.png") if kind == "folder" else "ÿ.png"
    try:
        (images / broken).write_bytes(b"?")
    except OSError:
        pytest.skip("this disk takes no such names")
    put_files(images, {"1.png": encoded(photo(1), "PNG")})
    if kind == "zip":
        images = put_zip(tmp_path / "all.zip", {path.name: path.read_bytes() for path in images.iterdir()})
    for _ in range(2):
        with pytest.warns(SkippedImagesWarning, match=r"unusable: (\\xff\\xfe|ÿ).png \(") as caught:
            assert len(datasets.image_folder(images, 8, on_error="skip")) == 1
        str(caught[0].message).encode()


def bomb():
    """A PNG of few bytes that claims a hundred million pixels."""
    return encoded(Image.new("1", (10_000, 10_000)), "PNG")


BROKEN = {
    "truncated": (encoded(photo(1))[:-600], "does not decode: image file is truncated"),
    "text": (b"<html>quota exceeded</html>", "not of a known format"),
    "empty": (b"", "not of a known format"),
    "wrong size": (encoded(photo(1, 218, 178)), "218 x 178 pixels, expected 178 x 218"),
    "bomb": (bomb(), "10000 x 10000 pixels are more than"),
    "deep": (encoded(photo(1, mode="L").convert("F"), "TIFF"), "pixels of mode F are not supported"),
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


@pytest.mark.filterwarnings("ignore:.*passed over:ot_latent.datasets.SkippedImagesWarning")
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
    for size in (0, 4096, 2.5, "8", True, -8, np.float64(8)):
        with pytest.raises((TypeError, ValueError), match=rf"size must be .* got {re.escape(repr(size))}"):
            datasets.image_folder(folder, size)
    with pytest.raises(ValueError, match="crop must be at least 1 and at most 2048, got 0"):
        datasets.image_folder(folder, 8, crop=0)
    assert datasets.image_folder(folder, np.int64(8)).shape == (1, 8, 8, 3)
    with pytest.raises(ValueError, match=r"mnist takes no on_error \(--skip-broken\)"):
        datasets.get("mnist", on_error="skip")
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
