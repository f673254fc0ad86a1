"""Which faces stand in for which, and that nothing that is held out is trained on."""

import numpy as np
import pytest

from ot_latent import datasets
from ot_latent.datasets import loaders
from ot_latent.datasets.image_sets import channels_last, training_images
from ot_latent.paper import faces as face_sets


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """No data folder and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OT_LATENT_DATA", raising=False)


@pytest.fixture
def olivetti(nothing, monkeypatch):
    """Forty persons with ten images each, whose pixels hold 10 person + image modulo 256."""
    numbers = np.arange(400)
    images = np.zeros((400, 64, 64), np.uint8)
    images[:, :, :32] = (numbers % 256)[:, None, None]
    monkeypatch.setattr(loaders, "olivetti", lambda data_dir: (images, numbers // 10))
    locate = datasets.locate
    monkeypatch.setattr(
        datasets, "locate", lambda name, data_dir: {"": True} if name == "olivetti" else locate(name, data_dir)
    )
    return images


@pytest.fixture
def celeba(monkeypatch):
    """CelebA whose pixels all hold the number of the image."""
    numbers = np.broadcast_to(np.arange(202_599)[:, None, None, None], (202_599, 128, 128, 3))
    asked = []
    monkeypatch.setattr(loaders, "celeba", lambda size, data_dir: asked.append(size) or numbers)
    monkeypatch.setattr(datasets, "locate", lambda name, _: {"": name == "celeba" or None})
    return asked


def test_without_any_photographs_the_error_says_how_to_get_them(nothing):
    with pytest.raises(datasets.MissingDataError, match="olivetti"):
        face_sets.faces(most=6)


def test_olivetti_is_taken_where_it_is(olivetti):
    faces = face_sets.faces()
    assert (faces.recipes, faces.title) == ("olivetti", "Olivetti faces, stand-in for CelebA")
    assert faces.train.shape == (640, 64, 64) and faces.test.shape == (80, 64, 64)
    assert len(face_sets.faces(most=50).train) == len(face_sets.faces(most=50).test) == 50


def test_olivetti_holds_two_images_of_each_person_out(olivetti):
    faces = face_sets.faces()
    held_out = olivetti[np.arange(400) % 10 >= 8]
    assert np.array_equal(faces.test, held_out)
    first, mirrored = faces.train[:320], faces.train[320:]
    assert np.array_equal(mirrored, first[:, :, ::-1])
    rows = {image.tobytes() for image in first[:40]}
    assert rows == {image.tobytes() for image in olivetti[::10]}  # of each person the first image
    together = np.concatenate([first, faces.test])
    assert np.array_equal(np.sort(together[:, 0, 0]), np.sort(olivetti[:, 0, 0]))


def test_celeba_comes_first_and_is_split_as_its_authors_do(celeba):
    faces = face_sets.faces()
    assert (faces.title, faces.recipes) == ("CelebA", "celeba")
    assert celeba == [128, 128]
    assert faces.train[[0, -1], 0, 0, 0].tolist() == [0, 162_769]
    assert faces.test[[0, -1], 0, 0, 0].tolist() == [182_637, 202_598]


def test_celeba_that_is_broken_is_not_passed_over(nothing, tmp_path):
    (tmp_path / "celeba").mkdir()
    (tmp_path / "celeba" / "img_align_celeba.zip").write_bytes(b"no archive")
    with pytest.raises(datasets.CorruptDataError, match="img_align_celeba"):
        face_sets.faces(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lfw", 64), "name must be one of mnist, .*, olivetti, got 'lfw'"),
        (("olivetti", 64, "val"), "split must be 'train' or 'test', got 'val'"),
    ],
)
def test_unknown_sets_and_splits_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        training_images(*arguments)


def test_training_takes_them_by_name(nothing, olivetti):
    grey, labels = training_images("olivetti", 64)
    assert grey.shape == (640, 1, 64, 64) and labels is None
    assert channels_last(grey).shape == (640, 64, 64)
