"""Sets of encoded images in their official layouts."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner
from image_files import encoded, faces, icons, other_profile, photo, put_files, put_hdf5, put_lmdb, put_zip
from PIL import Image, ImageCms

from ot_latent import datasets
from ot_latent.cli import main
from ot_latent.datasets import MissingDataError, PartialDataWarning, SkippedImagesWarning
from ot_latent.datasets.sources import open_source

pytestmark = pytest.mark.filterwarnings("ignore::ot_latent.datasets.PartialDataWarning")


def test_celeba_zip_and_folder_give_the_central_crop_in_order_of_numbers(empty_data):
    images = faces()
    put_zip(empty_data / "celeba" / "img_align_celeba.zip", dict(reversed(images.items())))
    crops = [np.asarray(Image.open(io.BytesIO(c)))[39:179, 19:159] for c in images.values()]
    zipped = datasets.celeba(140, partial=True)
    np.testing.assert_array_equal(zipped, crops)
    (empty_data / "celeba" / "img_align_celeba.zip").unlink()
    put_files(empty_data / "celeba", images)
    np.testing.assert_array_equal(datasets.celeba(140, partial=True), zipped)
    assert isinstance(zipped, np.memmap) and not zipped.flags.writeable


@pytest.mark.parametrize("size", [128, 64])
def test_celeba_is_resized_without_shift(empty_data, size):
    ramp = np.broadcast_to(np.arange(178, dtype=np.uint8)[None, :, None], (218, 178, 3))
    put_files(empty_data / "celeba/img_align_celeba", {"000001.jpg": encoded(Image.fromarray(ramp), "PNG")})
    [image] = datasets.celeba(size, partial=True)
    centres = 19 + (np.arange(size) + 0.5) * 140 / size - 0.5
    # the filter of the resize sees no pixels beyond the crop: a margin of three is not linear
    assert np.abs(image.astype(float)[:, 3:-3] - centres[3:-3, None]).max() <= 0.51


def test_another_number_of_images_is_taken_only_when_asked_for(empty_data):
    put_zip(empty_data / "celeba" / "img_align_celeba.zip", faces(3))
    with pytest.raises(MissingDataError, match="3 images, the official set 202,599.*partial=True"):
        datasets.celeba()
    with pytest.warns(PartialDataWarning, match="holds 3 images"):
        assert datasets.celeba(partial=True).shape == (3, 128, 128, 3)


def test_fairface_knows_its_training_set(empty_data):
    """The frontal faces: black ones to train on, white ones to validate, in one zip."""
    shades = {
        folder: encoded(Image.new("RGB", (2, 2), shade), "PNG")
        for folder, shade in (("train", "black"), ("val", "white"))
    }
    counts = {"val": 1_118, "train": 8_773}
    path = empty_data / "fairface" / "fairface128.zip"
    put_zip(path, {f"{folder}/{i}.png": shades[folder] for folder, count in counts.items() for i in range(count)})
    train, val = (datasets.fairface(1, split) for split in ("train", "val"))
    assert len(train) == 8_773 and not train.any()
    assert len(val) == 1_118 and (val == 255).all()
    put_zip(path, {"train/0.png": shades["train"]})
    with pytest.raises(MissingDataError, match="holds 1 images, the official set 9,891"):
        datasets.fairface()


@pytest.mark.parametrize("load", [datasets.celeba, datasets.fairface, datasets.lsun_bedrooms, datasets.lld_icons])
def test_what_a_user_has_to_bring_comes_with_instructions(empty_data, load):
    with pytest.raises(MissingDataError) as caught:
        load()
    text = str(caught.value)
    assert str(empty_data / load.__name__) in text and "https://" in text and " put " in text


def test_lsun_database_and_folder_give_central_squares(empty_data):
    contents = [encoded(photo(i, 256 + 60 * i, 256), "WEBP", lossless=True) for i in range(3)]
    contents.append(encoded(photo(3, 256, 300)))
    contents.sort(key=lambda content: hashlib.sha1(content).hexdigest())
    put_lmdb(empty_data / "lsun_bedrooms" / "bedroom_train_lmdb", contents)
    images = datasets.lsun_bedrooms(256, partial=True)
    for image, content in zip(images, contents, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        top, left = (pixels.shape[0] - 256) // 2, (pixels.shape[1] - 256) // 2
        np.testing.assert_array_equal(image, pixels[top : top + 256, left : left + 256])
    # a folder as the official script exports it: subfolders by the first letters of the key
    names = [hashlib.sha1(content).hexdigest() for content in contents]
    files = {f"{n[0]}/{n[1]}/{n}.webp": c for n, c in zip(names, contents, strict=True)}
    put_files(empty_data / "lsun_bedrooms" / "bedroom_val", files)
    np.testing.assert_array_equal(datasets.lsun_bedrooms(256, "val", partial=True), images)


def test_threads_may_load_the_same_database(empty_data):
    contents = [encoded(photo(i, 40, 40)) for i in range(300)]
    put_lmdb(empty_data / "lsun_bedrooms" / "bedroom_train_lmdb", contents)
    sizes = [8, 9, 10, 11] * 5
    with ThreadPoolExecutor(4) as pool:
        loaded = pool.map(lambda size: datasets.lsun_bedrooms(size, partial=True).shape, sizes)
        assert list(loaded) == [(300, size, size, 3) for size in sizes]


def test_lld_file_and_folder(empty_data):
    pixels = icons()
    put_hdf5(empty_data / "lld_icons" / "LLD-icon.hdf5", pixels)
    put_hdf5(empty_data / "lld_icons" / "LLD-icon-sharp.hdf5", pixels[:4])
    expected = pixels.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(datasets.lld_icons(), expected)
    np.testing.assert_array_equal(datasets.lld_icons(sharp=True), expected[:4])
    (empty_data / "lld_icons" / "LLD-icon.hdf5").unlink()
    files = {f"{i}.png": encoded(Image.fromarray(image), "PNG") for i, image in enumerate(expected)}
    put_files(empty_data / "lld_icons" / "LLD_favicons_clean_png", files)
    np.testing.assert_array_equal(datasets.lld_icons(), expected)


def test_a_folder_is_read_in_order_and_only_its_images(empty_data, tmp_path):
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
    np.testing.assert_array_equal(np.sort(datasets.image_folder(archive, 4, grey=True), 0), np.sort(images, 0))


HIDDEN = (
    ".ipynb_checkpoints/a.png",
    "b/.ipynb_checkpoints/a.png",
    ".Trash-1000/files/a.png",
    "b/@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg",
    "__MACOSX/b/a.png",
    "b/._a.png",
    "$RECYCLE.BIN/a.png",
)


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_hidden_folders_hold_no_images(empty_data, tmp_path, separator, recwarn):
    files = {name: encoded(photo(i), "PNG") for i, name in enumerate([*HIDDEN, "b/a.png", "c@d/.../e.png"])}
    del files["c@d/.../e.png"]
    archive = put_zip(tmp_path / "all.ZIP", {name.replace("/", separator): content for name, content in files.items()})
    expected = Image.open(io.BytesIO(files["b/a.png"])).convert("L").crop((0, 20, 178, 198))
    for path in (archive, put_files(tmp_path / ".pictures", files)):
        [image] = datasets.image_folder(path, 178, grey=True)
        np.testing.assert_array_equal(image, expected)
    assert not recwarn


def test_linked_folders_are_followed_each_folder_once(empty_data, tmp_path, recwarn):
    files = {f"{name}/1.png": encoded(Image.new("L", (4, 4), grey), "PNG") for grey, name in enumerate("abc")}
    elsewhere = put_files(tmp_path / "elsewhere", files)
    pictures = put_files(tmp_path / "pictures", {"d/1.png": encoded(Image.new("L", (4, 4), 3), "PNG")})
    links = {
        "a": elsewhere / "a",
        "twice": elsewhere / "a",
        "deep": elsewhere,
        "d/up": pictures,
        "d/here": pictures / "d",
    }
    links |= {"file.png": elsewhere / "c" / "1.png"}
    for name, target in links.items():
        (pictures / name).symlink_to(target)
    (elsewhere / "b" / "back").symlink_to(pictures)
    images = datasets.image_folder(pictures, 4, grey=True)
    # a, d, b and c by the link to their folder, and the file that is linked
    assert images[:, 0, 0].tolist() == [0, 3, 1, 2, 2]
    assert not recwarn


#: Kinds of files by the ends of their names.
KINDS = {
    **dict.fromkeys((".jfif", ".jpe", ".mpo", ".JPEG"), "JPEG"),
    **dict.fromkeys((".pbm", ".pnm", ".pgm"), "PPM"),
    **{".avif": "AVIF", ".tga": "TGA", ".dib": "DIB", ".apng": "PNG", ".TIFF": "TIFF", ".webp": "WEBP", ".bmp": "BMP"},
}


@pytest.mark.parametrize("ending", KINDS)
def test_files_of_every_kind_are_read(empty_data, tmp_path, ending, recwarn):
    content = encoded(Image.new("L", (16, 16), 77), KINDS[ending])
    [image] = datasets.image_folder(put_files(tmp_path / "pictures", {f"a{ending}": content}), 8, grey=True)
    assert np.abs(image.astype(int) - 77).max() <= 2
    assert not recwarn


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_files_that_are_not_read_are_counted(empty_data, tmp_path, kind):
    names = ["a.heic", "b.HEIC", "c.psd", "deep/0a1b2c", "deep/d.jpg.1", "labels.csv", "notes.txt", ".hidden", "1.png"]
    files = {name: encoded(photo(1), "PNG") for name in names}
    path = put_files(tmp_path / "p", files) if kind == "folder" else put_zip(tmp_path / "p.zip", files)
    if kind == "folder":
        (path / "broken.jpg").symlink_to(tmp_path / "nowhere")
    for _ in range(2):
        with pytest.warns(SkippedImagesWarning) as caught:
            assert len(datasets.image_folder(path, 8)) == 1
        [said] = [str(warning.message) for warning in caught]
        for part in ("2 .heic", "1 .psd", "2 without a known ending", "Read are .apng, .avif"):
            assert part in said
        assert ("1 links that lead nowhere" in said) == (kind == "folder")
        assert ".csv" not in said and ".txt" not in said


def test_a_changed_folder_is_decoded_again(empty_data, tmp_path):
    folder = put_files(tmp_path / "pictures", {"1.png": encoded(photo(1), "PNG")})
    first = np.array(datasets.image_folder(folder, 8))
    put_files(folder, {"1.png": encoded(photo(2), "PNG")})
    assert (datasets.image_folder(folder, 8) != first).any()


def test_modes_of_colour(empty_data, tmp_path):
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


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"garbage garbage", b"MM\0*", b"II*\0\x08\0\0\0\x01\0\x12\x01\x02" + bytes(14)])
def test_an_image_whose_orientation_does_not_parse_is_kept(empty_data, tmp_path, kind, exif):
    content = encoded(photo(1, 16, 16), kind, exif=exif)
    [image] = datasets.image_folder(put_files(tmp_path / "p", {f"a.{kind.lower()}": content}), 16)
    np.testing.assert_array_equal(image, Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_of_sixteen_bits_of_grey_the_upper_eight_are_taken(empty_data, tmp_path, kind):
    deep = np.arange(0, 65536, 1024, np.uint16).reshape(8, 8)
    files = {f"a.{kind.lower()}": encoded(Image.fromarray(deep), kind)}
    [image] = datasets.image_folder(put_files(tmp_path / "p", files), 8, grey=True)
    np.testing.assert_array_equal(image, deep // 256)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_of_another_profile_become_srgb(empty_data, tmp_path, mode):
    red = Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profiles = {"1 other": other_profile(), "2 srgb": srgb, "3 broken": b"?", "4 none": None}
    files = {f"{name}.png": encoded(red, "PNG", icc_profile=profile) for name, profile in profiles.items()}
    other, *same = datasets.image_folder(put_files(tmp_path / "p", files), 8)
    assert np.abs(other.astype(int) - (0, 255, 0)).max() <= 2
    for image in same:
        assert (image == (255, 0, 0)).all()


def test_many_threads_may_share_a_profile(empty_data, tmp_path):
    profile, pictures = other_profile(), [photo(i, 32, 32) for i in range(40)]
    files = {f"{i:02}.png": encoded(picture, "PNG", icc_profile=profile) for i, picture in enumerate(pictures)}
    images = datasets.image_folder(put_files(tmp_path / "p", files), 32)
    own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    expected = [ImageCms.profileToProfile(picture, own, srgb) for picture in pictures]
    np.testing.assert_array_equal(images, [np.asarray(image) for image in expected])


@pytest.mark.parametrize("name", ["data", "imgs", "images"])
@pytest.mark.parametrize("grey", [icons()[:, 0], icons()[:, :1], None], ids=["(n, h, w)", "(n, 1, h, w)", "colour"])
def test_hdf5_files_of_other_names_and_in_grey(empty_data, tmp_path, name, grey):
    path = put_hdf5(tmp_path / "Shapes.HDF5", icons() if grey is None else grey, name)
    images = datasets.image_folder(path, 32)
    planes = icons() if grey is None else np.repeat(icons()[:, :1], 3, axis=1)
    np.testing.assert_array_equal(images, planes.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("kind", ["folder", "zip", "lmdb", "hdf5"])
def test_every_source_goes_on_from_any_position(tmp_path, kind):
    files = {f"{i % 3}/{i:02}.jpg": b"%d" % i for i in range(20)}
    make = {
        "folder": lambda path: put_files(path, files),
        "zip": lambda path: put_zip(path.with_suffix(".zip"), files),
        "lmdb": lambda path: put_lmdb(path, files.values()),
        "hdf5": lambda path: put_hdf5(path.with_suffix(".hdf5"), icons(20)),
    }
    source = open_source(make[kind](tmp_path / "source"))
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


def test_the_command_line_prepares_and_lists(empty_data):
    put_zip(empty_data / "celeba" / "img_align_celeba.zip", faces(3) | {"img_align_celeba/9.jpg": b"?"})

    def run(*words):
        return CliRunner().invoke(main, ["data", *words])

    missing = run("get", "celeba")
    assert "datasets.celeba(partial=True)" in missing.stderr and "data get celeba --partial" in missing.stderr
    broken = run("get", "celeba", "--partial")
    assert broken.exit_code == 1 and "img_align_celeba/9.jpg" in broken.stderr
    assert "on_error='skip', or on the command line --skip-broken" in broken.stderr
    done = run("get", "celeba", "--partial", "--skip-broken", "--size", "64")
    assert done.exit_code == 0, done.output
    assert "holds 4 images" in done.stderr and "img_align_celeba/9.jpg" in done.stderr
    archive, decoded = done.stdout.splitlines()
    assert archive == str(empty_data / "celeba" / "img_align_celeba.zip")
    assert np.load(decoded).shape == (3, 64, 64, 3)
    listed = run().stdout
    assert f"  decoded  {decoded}\n" in listed
    for data_set in datasets.DATASETS.values():
        assert f"{data_set.name}: {data_set.summary} ({data_set.terms})\n" in listed
    assert f"put bedroom_train_lmdb/ into {empty_data / 'lsun_bedrooms'}" in listed
    assert "`ot-latent data get mnist` downloads it.\n" in listed
    assert "takes no size" in run("get", "mnist", "--size", "64").stderr
