"""Makers of image files in the official layouts, for the tests of the loaders."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageCms


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


def put_zip(path, entries, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", **settings) as archive:
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


def put_hdf5(path, pixels, name="data"):
    h5py = pytest.importorskip("h5py")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[name] = pixels
    return path


def icons(count=7):
    return np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), np.uint8)


def other_profile():
    """A colour profile like sRGB, but with red and green exchanged."""
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return content.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
