"""Sets of encoded images in their official layouts, and every way in which they can be broken."""

import hashlib
import io
import os
import re
import stat
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ot_latent import _pixels, _sources, datasets
from ot_latent.cli import main
from ot_latent.datasets import (
    CorruptDataError,
    MissingDataError,
    PartialDataWarning,
    SkippedImagesWarning,
)

pytestmark = pytest.mark.filterwarnings("ignore::ot_latent.datasets.PartialDataWarning")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty data folder, and a cache of its own."""
    monkeypatch.setattr(datasets, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setenv("OT_LATENT_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def photo(seed, width=178, height=218, mode="RGB"):
    """A smooth picture, as photographs are."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 4, 3), np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image, kind="JPEG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def faces(count=5):
    return {f"img_align_celeba/{i + 1:06}.jpg": encoded(photo(i)) for i in range(count)}


def put_zip(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return path


def put_files(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def put_lmdb(folder, contents):
    lmdb = pytest.importorskip("lmdb")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(folder), map_size=2**24) as database, database.begin(write=True) as store:
        for content in contents:
            store.put(hashlib.sha1(content).hexdigest().encode(), content)
    return folder


def put_hdf5(path, pixels, **labels):
    h5py = pytest.importorskip("h5py")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["data"] = pixels
        for name, values in labels.items():
            file[f"labels/resnet/{name}"] = values
    return path


def icons(count=7):
    return np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), np.uint8)


def test_celeba_zip_and_folder_give_the_central_crop_in_order_of_numbers(root):
    images = faces()
    put_zip(root / "celeba" / "img_align_celeba.zip", dict(reversed(images.items())))
    crops = [np.asarray(Image.open(io.BytesIO(c)))[39:179, 19:159] for c in images.values()]
    zipped = datasets.celeba(140, partial=True)
    np.testing.assert_array_equal(zipped, crops)
    (root / "celeba" / "img_align_celeba.zip").unlink()
    put_files(root / "celeba", images)
    np.testing.assert_array_equal(datasets.celeba(140, partial=True), zipped)
    assert isinstance(zipped, np.memmap) and not zipped.flags.writeable


@pytest.mark.parametrize("size", [128, 64])
def test_celeba_is_resized_without_shift(root, size):
    ramp = np.broadcast_to(np.arange(178, dtype=np.uint8)[None, :, None], (218, 178, 3))
    put_files(
        root / "celeba/img_align_celeba", {"000001.jpg": encoded(Image.fromarray(ramp), "PNG")}
    )
    [image] = datasets.celeba(size, partial=True)
    centres = 19 + (np.arange(size) + 0.5) * 140 / size - 0.5
    # the filter of the resize sees no pixels beyond the crop: a margin of three is not linear
    assert np.abs(image.astype(float)[:, 3:-3] - centres[3:-3, None]).max() <= 0.51


def test_another_number_of_images_is_taken_only_when_asked_for(root):
    put_zip(root / "celeba" / "img_align_celeba.zip", faces(3))
    with pytest.raises(MissingDataError, match="3 images, the official set 202,599.*partial=True"):
        datasets.celeba()
    with pytest.warns(PartialDataWarning, match="holds 3 images"):
        assert datasets.celeba(partial=True).shape == (3, 128, 128, 3)


@pytest.mark.parametrize("load", [datasets.celeba, datasets.lsun_bedrooms, datasets.lld_icons])
def test_what_a_user_has_to_bring_comes_with_instructions(root, load):
    with pytest.raises(MissingDataError) as caught:
        load()
    text = str(caught.value)
    assert str(root / load.__name__) in text and "https://" in text and " put " in text


def test_lsun_database_and_folder_give_central_squares(root):
    contents = [encoded(photo(i, 256 + 60 * i, 256), "WEBP", lossless=True) for i in range(3)]
    contents.append(encoded(photo(3, 256, 300)))
    contents.sort(key=lambda content: hashlib.sha1(content).hexdigest())
    put_lmdb(root / "lsun_bedrooms" / "bedroom_train_lmdb", contents)
    images = datasets.lsun_bedrooms(256, partial=True)
    for image, content in zip(images, contents, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        top, left = (pixels.shape[0] - 256) // 2, (pixels.shape[1] - 256) // 2
        np.testing.assert_array_equal(image, pixels[top : top + 256, left : left + 256])
    # a folder as the official script exports it: subfolders by the first letters of the key
    names = [hashlib.sha1(content).hexdigest() for content in contents]
    files = {f"{n[0]}/{n[1]}/{n}.webp": c for n, c in zip(names, contents, strict=True)}
    put_files(root / "lsun_bedrooms" / "bedroom_val", files)
    np.testing.assert_array_equal(datasets.lsun_bedrooms(256, "val", partial=True), images)


def test_threads_may_load_the_same_database(root):
    contents = [encoded(photo(i, 40, 40)) for i in range(300)]
    put_lmdb(root / "lsun_bedrooms" / "bedroom_train_lmdb", contents)
    sizes = [8, 9, 10, 11] * 5
    with ThreadPoolExecutor(4) as pool:
        loaded = pool.map(lambda size: datasets.lsun_bedrooms(size, partial=True).shape, sizes)
        assert list(loaded) == [(300, size, size, 3) for size in sizes]


def test_lld_file_folder_and_labels(root):
    pixels, clusters = icons(), np.arange(7) % 3
    put_hdf5(root / "lld_icons" / "LLD-icon.hdf5", pixels, rc_64=clusters)
    put_hdf5(root / "lld_icons" / "LLD-icon-sharp.hdf5", pixels[:4], rc_64=clusters[:4])
    expected = pixels.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(datasets.lld_icons(), expected)
    np.testing.assert_array_equal(datasets.lld_icons(sharp=True), expected[:4])
    np.testing.assert_array_equal(datasets.lld_labels(), clusters)
    np.testing.assert_array_equal(datasets.lld_labels(sharp=True), clusters[:4])
    with pytest.raises(CorruptDataError, match="no dataset 'labels/resnet/rc_9'"):
        datasets.lld_labels("resnet/rc_9")
    (root / "lld_icons" / "LLD-icon.hdf5").unlink()
    files = {f"{i}.png": encoded(Image.fromarray(image), "PNG") for i, image in enumerate(expected)}
    put_files(root / "lld_icons" / "LLD_favicons_clean_png", files)
    np.testing.assert_array_equal(datasets.lld_icons(), expected)


def linked(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "entry",
    ["/etc/1.jpg", "../1.jpg", "a/../../1.jpg", "..\\1.jpg", "C:\\1.jpg", linked("a/1.jpg")],
    ids=str,
)
def test_an_archive_that_points_outside_is_refused(root, entry):
    put_zip(root / "celeba" / "img_align_celeba.zip", {**faces(2), entry: encoded(photo(9))})
    with pytest.raises(CorruptDataError, match="points outside its folder|is a link"):
        datasets.celeba(partial=True, on_error="skip")


def shorten(path, share=0.5):
    os.truncate(path, int(path.stat().st_size * share))


def flip_pixel(path):
    content = bytearray(path.read_bytes())
    content[2000] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [shorten, flip_pixel, lambda path: path.write_bytes(b"")])
def test_a_spoilt_zip_is_named(root, spoil):
    spoil(put_zip(root / "celeba" / "img_align_celeba.zip", faces()))
    with pytest.raises(CorruptDataError, match="img_align_celeba.zip is damaged or truncated"):
        datasets.celeba(partial=True, on_error="skip")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_database_is_named_and_does_not_end_the_process(root, share):
    contents = [encoded(photo(i)) for i in range(40)]
    folder = put_lmdb(root / "lsun_bedrooms" / "bedroom_train_lmdb", contents)
    shorten(folder / "data.mdb", share)
    with pytest.raises(CorruptDataError, match="is truncated|cannot be read"):
        datasets.lsun_bedrooms(partial=True, on_error="skip")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
def test_a_truncated_hdf5_file_is_named(root, share):
    shorten(put_hdf5(root / "lld_icons" / "LLD-icon.hdf5", icons(50)), share)
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
def test_an_hdf5_file_of_another_layout_is_named(root, pixels, message):
    put_hdf5(root / "lld_icons" / "LLD-icon.hdf5", pixels)
    with pytest.raises(CorruptDataError, match=message):
        datasets.lld_icons()


def test_an_hdf5_file_that_points_to_others_is_refused(root):
    h5py = pytest.importorskip("h5py")
    secret = put_hdf5(root / "secret.hdf5", icons())
    path = root / "lld_icons" / "LLD-icon.hdf5"
    path.parent.mkdir()

    def external_link(file):
        file["data"] = h5py.ExternalLink(str(secret), "data")

    def external_storage(file):
        file.create_dataset(
            "data", (1, 3, 32, 32), "u1", external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
        )

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
    "deep": (
        encoded(photo(1, mode="L").convert("I;16"), "PNG"),
        "pixels of mode I;16 are not supported",
    ),
    "postscript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 178 218\n",
        "not of a known format",
    ),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", BROKEN)
def test_an_unusable_image_is_named_or_skipped(root, kind):
    content, reason = BROKEN[kind]
    images = faces()
    name = "img_align_celeba/000003.jpg"
    put_zip(root / "celeba" / "img_align_celeba.zip", images | {name: content})
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


def test_a_file_of_too_many_bytes_is_not_read_whole(root, monkeypatch):
    for module in (_sources, _pixels):
        monkeypatch.setattr(module, "MAX_ENCODED", 100_000)
    entries = faces(2) | {"img_align_celeba/000003.jpg": encoded(photo(3)) + bytes(10**8)}
    path = root / "celeba" / "img_align_celeba.zip"
    put_zip(path, entries)
    sizes = [len(payload) for _, payload in next(_sources.ZipSource(path).chunks(0, 10))]
    assert max(sizes) == 100_001
    with pytest.raises(CorruptDataError, match="larger than 100,000 bytes"):
        datasets.celeba(partial=True)


def test_nothing_usable_and_nothing_at_all(root, tmp_path):
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


def test_a_folder_is_read_in_order_and_only_its_images(root, tmp_path):
    colours = {"b.png": 10, "a/z.JPG": 20, "a/b/c.webp": 30, "c.gif": 40, "a.bmp": 50}
    files = {
        name: encoded(Image.new("RGB", (9, 9), (grey,) * 3), Image.registered_extensions()[kind])
        for name, grey in colours.items()
        for kind in [name[name.rindex(".") :].lower()]
    }
    folder = put_files(tmp_path / "my pictures", files | {"notes.txt": b"?", ".b.png": b"?"})
    (folder / "round").symlink_to(folder)  # a circle
    images = datasets.image_folder(folder, 4, grey=True)
    assert images.shape == (5, 4, 4)
    order = ["a/b/c.webp", "a/z.JPG", "a.bmp", "b.png", "c.gif"]
    assert np.abs(images[:, 0, 0] - np.array([colours[n] for n in order])).max() <= 2
    archive = put_zip(tmp_path / "z.zip", {**files, "__MACOSX/a.png": b"?"})
    np.testing.assert_array_equal(
        np.sort(datasets.image_folder(archive, 4, grey=True), 0), np.sort(images, 0)
    )


def test_a_changed_folder_is_decoded_again(root, tmp_path):
    folder = put_files(tmp_path / "pictures", {"1.png": encoded(photo(1), "PNG")})
    first = np.array(datasets.image_folder(folder, 8))
    put_files(folder, {"1.png": encoded(photo(2), "PNG")})
    assert (datasets.image_folder(folder, 8) != first).any()


def test_modes_of_colour(root, tmp_path):
    half = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    half.paste((0, 100, 0, 255), (4, 0, 8, 8))
    turned = photo(1, 8, 8)
    turned.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise for display
    files = {
        "1 transparent.png": encoded(half, "PNG"),
        "2 palette.png": encoded(half.quantize(4), "PNG"),
        "3 grey.png": encoded(Image.new("L", (8, 8), 77), "PNG"),
        "4 bits.png": encoded(Image.new("1", (8, 8), 1), "PNG"),
        "5 print.jpg": encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255))),
        "6 turned.png": encoded(turned, "PNG", exif=exif),
    }
    images = datasets.image_folder(put_files(tmp_path / "pictures", files), 8)
    for image in images[:2]:
        assert (image[:, :4] == 255).all()
        assert (image[:, 4:] == (0, 100, 0)).all()
    assert (images[2] == 77).all() and (images[3] == 255).all() and (images[4] <= 2).all()
    np.testing.assert_array_equal(images[5], np.rot90(np.asarray(turned), -1))


def test_settings_are_checked(root, tmp_path):
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


@pytest.mark.parametrize("kind", ["folder", "zip", "lmdb", "hdf5"])
def test_every_source_goes_on_from_any_position(tmp_path, kind):
    files = {f"{i % 3}/{i:02}.jpg": b"%d" % i for i in range(20)}
    make = {
        "folder": lambda path: put_files(path, files),
        "zip": lambda path: put_zip(path.with_suffix(".zip"), files),
        "lmdb": lambda path: put_lmdb(path, files.values()),
        "hdf5": lambda path: put_hdf5(path.with_suffix(".hdf5"), icons(20)),
    }
    source = _sources.open_source(make[kind](tmp_path / "source"))
    everything = [item for chunk in source.chunks(0, 100) for item in chunk]
    assert len({name for name, _ in everything}) == len(source) == 20
    for start in (0, 1, 7, 19, 20):
        for most in (1, 4, 100):
            chunks = list(source.chunks(start, most))
            assert [len(chunk) for chunk in chunks[:-1]] == [most] * (len(chunks) - 1)
            found = [item for chunk in chunks for item in chunk]
            assert [name for name, _ in found] == [name for name, _ in everything[start:]]
            for (_, value), (_, expected) in zip(found, everything[start:], strict=True):
                assert np.array_equal(value, expected)


@pytest.mark.parametrize("module", ["lmdb", "h5py"])
def test_an_extra_that_is_not_installed_is_named(root, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    put_files(root / "lsun_bedrooms" / "bedroom_train_lmdb", {"data.mdb": b""})
    put_files(root / "lld_icons", {"LLD-icon.hdf5": b""})
    name = {"lmdb": "lsun_bedrooms", "h5py": "lld_icons"}[module]
    with pytest.raises(ModuleNotFoundError, match=rf"{module}.*pip install 'ot-latent\[data\]'"):
        getattr(datasets, name)()
    result = CliRunner().invoke(main, ["data", "get", name])
    assert result.exit_code == 1
    assert f"{module} is not installed. Remedy: pip install 'ot-latent[data]'" in result.stderr


def test_the_command_line_prepares_and_lists(root):
    put_zip(root / "celeba" / "img_align_celeba.zip", faces(3) | {"img_align_celeba/9.jpg": b"?"})

    def run(*words):
        return CliRunner().invoke(main, ["data", *words])

    assert "partial=True" in run("get", "celeba").stderr
    broken = run("get", "celeba", "--partial")
    assert broken.exit_code == 1 and "img_align_celeba/9.jpg" in broken.stderr
    done = run("get", "celeba", "--partial", "--skip-broken", "--size", "64")
    assert done.exit_code == 0, done.output
    assert "holds 4 images" in done.stderr and "img_align_celeba/9.jpg" in done.stderr
    archive, decoded = done.stdout.splitlines()
    assert archive == str(root / "celeba" / "img_align_celeba.zip")
    assert np.load(decoded).shape == (3, 64, 64, 3)
    listed = run().stdout
    assert f"  decoded  {decoded}\n" in listed
    for data_set in datasets.DATASETS.values():
        assert f"{data_set.name}: {data_set.summary} ({data_set.terms})\n" in listed
    assert f"put bedroom_train_lmdb/ into {root / 'lsun_bedrooms'}" in listed
    assert "`ot-latent data get mnist` downloads it.\n" in listed
    assert "takes no size" in run("get", "mnist", "--size", "64").stderr
