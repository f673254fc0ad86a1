"""Codes that are kept: read without the images, only for the weights that they are of."""

import numpy as np
import pytest
import torch

from ot_latent import brenier, datasets, scores
from ot_latent._storage import read_tensors
from ot_latent.datasets.image_sets import channels_last, training_images
from ot_latent.models import checkpoints
from ot_latent.training import encoded, encoded_images, keep_codes, keep_mapped_noise, mapped_noise


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


def test_noise_mapped_by_several_trainings_is_kept_with_their_cards(tmp_path, monkeypatch):
    monkeypatch.setattr(encoded, "checkout", lambda: tmp_path)
    with pytest.raises(FileNotFoundError):
        mapped_noise("mnist-aeot")
    trainings = []
    for seed in (1, 2):
        potential = brenier.Potential.seeded(seed, dim=3, layers=1, width=8)
        trainings.append(checkpoints.save(tmp_path / f"{seed}.safetensors", potential, {"seed": seed}))
    path = keep_mapped_noise("mnist-aeot", trainings)
    assert path == tmp_path / "data" / "codes" / "mnist-aeot.safetensors"
    kept, card = read_tensors(path, "file", "numpy")
    assert card == {"trainings": [checkpoints.read_card(weights) for weights in trainings]}
    noise = torch.from_numpy(np.random.default_rng(2).standard_normal((10_000, 3), dtype=np.float32))
    expected = brenier.transport(checkpoints.load(trainings[1]), noise).numpy()
    np.testing.assert_array_equal(kept["mapped"][1], expected)
    np.testing.assert_array_equal(mapped_noise("mnist-aeot", n=7), kept["mapped"][:, :7])
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"damaged .*keep_mapped_noise"):
        mapped_noise("mnist-aeot")


def test_kept_mapped_noise_is_of_the_shipped_recipe_and_of_other_seeds(root):
    name = "mnist-aeot-semidiscrete"
    kept, card = read_tensors(root / "data" / "codes" / f"{name}.safetensors", "file", "numpy")
    shipped = checkpoints.read_card(checkpoints.shipped(name))
    assert kept["mapped"].shape == (2, 10_000, 10)
    assert [training["seed"] for training in card["trainings"]] == [shipped["seed"] + 1, shipped["seed"] + 2]
    for fact in ("recipe", "recipe_sha256", "scale", "iterations", "data", "model"):
        assert [training[fact] for training in card["trainings"]] == 2 * [shipped[fact]]
    held_out = encoded_images("mnist-ae", "test", most=2_000)
    for cloud, training in zip(kept["mapped"], card["trainings"], strict=True):
        codes = encoded_images("mnist-ae", "train", most=10_000)
        found = scores.transport_report({"mapped": cloud[:2_000]}, codes, held_out)["mapped"]
        metrics = training["metrics"]
        assert abs(found.ratio.value - metrics["w2_over_that_of_codes"]) < 0.03
        assert abs(found.spread.value - metrics["spread_over_that_of_codes"]) < 0.03
