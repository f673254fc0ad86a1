"""Files are verified before they are read, and what is missing or broken is named."""

import gzip
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests
import torch
from PIL import Image

from ot_latent import datasets
from ot_latent.datasets import DATASETS, EIGHT_CENTERS, CorruptDataError, DataFile, MissingDataError
from ot_latent.datasets.formats import read_idx


def idx(values):
    """LeCun's format: two zeros, the type, the number of axes, their lengths, the values."""
    lengths = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return b"\x00\x00\x08" + bytes([values.ndim]) + lengths + values.tobytes()


@pytest.fixture
def digits(tmp_path, cache, monkeypatch):
    """A data folder with MNIST of five digits, whose hashes count as the official ones."""
    rng = np.random.default_rng(0)
    arrays = {}
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    files = []
    for file in DATASETS["mnist"].files:
        shape = (5, 28, 28) if "images" in file.name else (5,)
        arrays[file.name] = rng.integers(0, 255, shape, dtype=np.uint8)
        content = gzip.compress(idx(arrays[file.name]), mtime=0)
        (folder / file.name).write_bytes(content)
        files.append(replace(file, md5=hashlib.md5(content).hexdigest()))
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], files=tuple(files)))
    monkeypatch.delenv("OT_LATENT_DATA", raising=False)
    return folder, arrays


@pytest.fixture
def no_network(monkeypatch):
    """Every address refuses; returns the list of those that were asked."""
    asked = []

    def refuse(url, **_):
        asked.append(url)
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(requests, "get", refuse)
    return asked


@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_mnist_is_read_as_it_was_written(digits, split, prefix):
    folder, arrays = digits
    images, labels = datasets.mnist(split, folder.parent)
    np.testing.assert_array_equal(images, arrays[f"{prefix}-images-idx3-ubyte.gz"])
    np.testing.assert_array_equal(labels, arrays[f"{prefix}-labels-idx1-ubyte.gz"])


def test_the_environment_names_a_folder(digits, monkeypatch):
    folder, _ = digits
    monkeypatch.setenv("OT_LATENT_DATA", str(folder.parent))
    assert set(datasets.locate("mnist").values()) == set(folder.iterdir())


def test_the_cache_is_looked_at_last(digits, tmp_path, cache, no_network):
    folder, _ = digits
    cache.mkdir(parents=True)
    folder.rename(cache / "mnist")
    assert len(datasets.mnist("test", tmp_path / "elsewhere")[0]) == 5
    assert no_network == []


def test_what_is_missing_says_where_it_looked_and_what_to_do(digits, no_network):
    folder, _ = digits
    name = "t10k-labels-idx1-ubyte.gz"
    (folder / name).unlink()
    with pytest.raises(MissingDataError) as caught:
        datasets.mnist("test", folder.parent)
    text = str(caught.value)
    for part in (name, str(folder), "cache", "ot-latent data get mnist", "OT_LATENT_DATA"):
        assert part in text
    assert len(set(no_network)) == 2  # both mirrors
    assert all(url in text for url in no_network)


def test_a_corrupt_file_is_named_with_both_hashes(digits):
    folder, _ = digits
    path = folder / "t10k-labels-idx1-ubyte.gz"
    official = datasets.DATASETS["mnist"].files[3].md5
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = hashlib.md5(path.read_bytes()).hexdigest()
    with pytest.raises(CorruptDataError, match=f"{found}, expected {official}"):
        datasets.mnist("test", folder.parent)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x00\x0d\x01" + bytes(8), "not an IDX file"),
        (idx(np.zeros((3, 2), np.uint8))[:-1], "does not hold the 6 values of shape"),
    ],
)
def test_a_file_that_is_not_idx_is_named(tmp_path, content, message):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(CorruptDataError, match=message):
        read_idx(path)


def test_unknown_names_list_those_that_exist(digits):
    with pytest.raises(ValueError, match="mnist"):
        datasets.get("emnist")
    with pytest.raises(ValueError, match="'train' or 'test'"):
        datasets.mnist("validation")


def test_every_file_has_a_hash_and_an_encrypted_address():
    for data in DATASETS.values():
        for file in data.files:
            assert isinstance(file, DataFile)
            assert len(file.md5) == 32
            assert all(url.startswith("https://") for url in file.urls)


def real(name):
    """The folder of a data set in $OT_LATENT_DATA."""
    folder = Path(os.environ.get("OT_LATENT_DATA", "nowhere")) / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not in $OT_LATENT_DATA")
    return folder


@pytest.mark.parametrize("spoil", [lambda content: content[:-1], lambda content: b"", None])
def test_a_spoilt_or_missing_repacked_file_is_named(tmp_path, cache, monkeypatch, spoil):
    path = tmp_path / "logos" / "logos32.npz"
    if spoil:
        path.parent.mkdir()
        path.write_bytes(spoil(b"PK..."))
    monkeypatch.setenv("OT_LATENT_DATA", str(tmp_path))
    (official,) = DATASETS["logos"].files
    error, message = (CorruptDataError, official.md5) if spoil else (MissingDataError, "OT_LATENT_DATA")
    with pytest.raises(error, match=message):
        datasets.logos()


def test_logos_are_on_white():
    real("logos")
    images = datasets.logos()
    assert images.shape == (17_663, 32, 32, 3) and images.dtype == np.uint8
    corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 255).all(axis=2).mean() > 0.8


def test_the_real_digits():
    real("mnist")
    images, labels = datasets.mnist("test")
    assert images.shape == (10_000, 28, 28)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_to_square_keeps_flat_images_and_their_range():
    images = np.stack([np.zeros((28, 28)), np.full((28, 28), 255)]).astype(np.uint8)
    square = datasets.to_square(images, 64)
    assert square.shape == (2, 1, 64, 64)
    assert (square[0] == 0).all()
    assert (square[1] == 1).all()
    ramp = np.tile(np.arange(28, dtype=np.uint8) * 9, (1, 28, 1))
    assert (datasets.to_square(ramp)[0, 0].diff(dim=1) >= 0).all()


@pytest.mark.parametrize("size", [9, 17])
def test_to_square_takes_colours_plane_by_plane(size):
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 9, 3), np.uint8)
    square = datasets.to_square(images, size)
    assert square.shape == (3, 3, size, size)
    for channel in range(3):
        grey = datasets.to_square(images[..., channel], size)
        np.testing.assert_allclose(square[:, channel], grey[:, 0], atol=1e-6)
    np.testing.assert_allclose(square.mean((2, 3)) * 255, images.mean((1, 2)), rtol=0.2)


def test_to_square_averages_where_it_shrinks():
    noise = np.random.default_rng(0).integers(0, 256, (2, 512, 512), np.uint8)
    small = 255 * datasets.to_square(noise, 64).numpy()[:, 0]
    by_pillow = [Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR) for image in noise]
    np.testing.assert_allclose(small, by_pillow, atol=1)
    # the weights of a triangle of 16 pixels: 74 sqrt(sum w_i²) for each axis; the mean of 8 x 8 would have 9.2
    triangle = 8 - np.abs(np.arange(-7.5, 8))
    expected = noise.std() * (triangle**2).sum() / triangle.sum() ** 2
    assert abs(small.std() - expected) < 0.15 and 6 < expected < 6.2


@pytest.mark.parametrize(("side", "size"), [(28, 64), (28, 32), (64, 64), (16, 33)])
def test_to_square_enlarges_as_torch_does_bit_for_bit(side, size):
    images = np.random.default_rng(0).integers(0, 256, (5, side, side), np.uint8)
    plain = torch.nn.functional.interpolate(torch.tensor(images)[:, None] / 255, size=(size, size), mode="bilinear")
    assert torch.equal(datasets.to_square(images, size), plain)


def test_to_square_shrinks_one_side_while_it_enlarges_the_other():
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 512), np.uint8)
    by_pillow = [Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR) for image in images]
    np.testing.assert_allclose(255 * datasets.to_square(images, 32)[:, 0], by_pillow, atol=1)


BYTES = np.zeros((2, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("images", "size", "error", "said"),
    [
        (BYTES / 255, 8, TypeError, r"uint8, got ndarray of float64.*round\(\).astype"),
        (BYTES.astype(np.float32), 8, TypeError, "got ndarray of float32"),
        (BYTES.astype(np.int64), 8, TypeError, "got ndarray of int64"),
        (np.ma.masked_equal(BYTES, 0), 8, TypeError, "got MaskedArray of uint8"),
        (BYTES.astype(str), 8, TypeError, "got ndarray of <U"),
        (BYTES[0], 8, ValueError, r"\(n, h, w\) or \(n, h, w, 3\), got \(8, 8\)"),
        (BYTES[..., None], 8, ValueError, r"got \(2, 8, 8, 1\)"),
        (BYTES[:, None], 8, ValueError, r"got \(2, 1, 8, 8\)"),
        (BYTES[:, :0], 8, ValueError, r"got \(2, 0, 8\)"),
        (BYTES, 0, ValueError, "size must be at least 1, got 0"),
        (BYTES, "8", TypeError, "size must be a whole number, got '8'"),
        (BYTES, 8.5, TypeError, "size must be a whole number, got 8.5"),
    ],
)
def test_to_square_refuses_what_is_no_bytes(images, size, error, said):
    with pytest.raises(error, match=said):
        datasets.to_square(images, size)


def test_eight_gaussians_are_those_of_the_paper():
    np.testing.assert_allclose(np.linalg.norm(EIGHT_CENTERS, axis=1), 10)
    points = datasets.eight_gaussians(80_000, rng=0).reshape(8, -1, 2)
    # standard errors are 0.01 for means and 0.007 for deviations
    np.testing.assert_allclose(points.mean(1), EIGHT_CENTERS, atol=0.05)
    np.testing.assert_allclose(points.std(1), 1, atol=0.035)
    with pytest.raises(ValueError, match="multiple of 8"):
        datasets.eight_gaussians(20)


@pytest.mark.parametrize("toy", [datasets.eight_gaussians, datasets.gaussian_grid])
def test_toys_have_equal_shares_and_seeds(toy):
    points = toy(200, 3)
    assert points.shape == (200, 2) and np.array_equal(points, toy(200, 3))
    with pytest.raises(ValueError, match="n must be a positive multiple"):
        toy(203)


def test_the_swiss_roll_keeps_to_its_radii():
    radius = np.linalg.norm(datasets.swiss_roll(5_000, 0), axis=1)
    assert 0.25 < radius.min() < 0.55 and 1.95 < radius.max() < 2.25


@pytest.mark.parametrize("toy", [datasets.eight_gaussians, datasets.gaussian_grid, datasets.swiss_roll])
@pytest.mark.parametrize("n", [0, -200, 200.0, "200", True, None])
def test_toys_count_points_by_whole_numbers(toy, n):
    with pytest.raises((TypeError, ValueError), match="n must be (a whole number|at least 1), got"):
        toy(n)
    assert len(toy(np.int64(200))) == 200
