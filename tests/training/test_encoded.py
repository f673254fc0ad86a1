"""Codes that are kept: read without the images, only for the weights that they are of."""

import numpy as np
import pytest

from ot_latent import datasets, scores
from ot_latent.datasets.image_sets import channels_last, training_images
from ot_latent.models import checkpoints
from ot_latent.training import encoded, encoded_images, keep_codes


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The first 40 test digits alone are known, and their codes are kept; then no image is."""
    first = training_images("mnist", 64, "test", most=40)
    monkeypatch.setattr(encoded, "checkout", lambda: tmp_path)
    monkeypatch.setattr(encoded, "training_images", lambda *_: first)
    path = keep_codes("mnist-ae", ("test",))
    assert path == tmp_path / "data" / "codes" / "mnist-ae.safetensors"

    def missing(*_):
        raise datasets.MissingDataError("no images")

    monkeypatch.setattr(encoded, "training_images", missing)
    return path, scores.encode(checkpoints.load("mnist-ae"), channels_last(first[0]))


def test_kept_codes_need_no_images(kept):
    codes = encoded_images("mnist-ae", "test")
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, kept[1].astype(np.float16))
    np.testing.assert_allclose(codes, kept[1], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(encoded_images("mnist-ae", "test", most=3), codes[:3])


def test_a_split_that_is_not_kept_and_other_weights_need_the_images(kept, tmp_path):
    with pytest.raises(datasets.MissingDataError):
        encoded_images("mnist-ae", "train")
    model = checkpoints.load("mnist-ae")
    other = checkpoints.save(tmp_path / "other.safetensors", model, {"trained": "elsewhere"})
    assert len(encoded_images("mnist-ae", "test", other)) == 40  # the same weights
    next(model.parameters()).data += 1
    other = checkpoints.save(tmp_path / "another.safetensors", model, {"trained": "elsewhere"})
    with pytest.raises(datasets.MissingDataError):
        encoded_images("mnist-ae", "test", other)


def test_damaged_codes_and_what_encodes_nothing_are_named(kept):
    kept[0].write_bytes(kept[0].read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"damaged .*keep_codes"):
        encoded_images("mnist-ae", "test")
    for name in ("mnist-classifier", "mnist-aeot", "nothing"):
        with pytest.raises(ValueError, match=f"autoencoder must be .*{name}"):
            encoded_images(name)


@pytest.mark.parametrize(("name", "counts"), [("fairface-ae", (8_773, 1_118)), ("logos-ae", (15_897, 1_766))])
def test_shipped_codes_are_those_of_the_images(name, counts):
    assert tuple(len(encoded_images(name, split)) for split in ("train", "test")) == counts
    recipe = encoded.RECIPES[name]
    try:
        images = training_images(recipe.data, recipe.side, "test", most=20)[0]
    except datasets.MissingDataError as error:
        pytest.skip(str(error).splitlines()[0])
    codes = scores.encode(checkpoints.load(name), channels_last(images))
    np.testing.assert_allclose(encoded_images(name, "test", most=20), codes, rtol=2e-3, atol=2e-3 * codes.std())
