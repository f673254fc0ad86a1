"""Moments of real images: written with their scorer, refused under another, and those of the data."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from ot_latent import scores
from ot_latent.datasets.image_sets import as_floats
from ot_latent.models import checkpoints
from ot_latent.scores import references

RNG = np.random.default_rng


@pytest.fixture
def moments():
    return scores.FeatureStatistics.of(RNG(0).standard_normal((300, 4)))


def test_what_is_saved_is_loaded(moments, tmp_path):
    path = references.save("mnist", moments, tmp_path)
    again = references.real_moments("mnist", tmp_path)
    assert again.count == 300
    np.testing.assert_allclose(again.mean, moments.mean, atol=1e-7)
    np.testing.assert_allclose(again.covariance, moments.covariance, atol=1e-6)
    other = RNG(1).standard_normal((200, 4))
    expected = scores.frechet_distance(other, moments)
    assert scores.frechet_distance(other, again) == pytest.approx(expected, abs=1e-5)
    assert list(tmp_path.iterdir()) == [path]


def test_other_weights_of_the_scorer_are_noticed(moments, tmp_path, monkeypatch):
    references.save("mnist", moments, tmp_path)
    monkeypatch.setattr(checkpoints, "weights_hash", lambda name: "other")
    with pytest.raises(ValueError, match="other weights of mnist-classifier: .*ot-latent reference"):
        references.real_moments("mnist", tmp_path)


def test_missing_damaged_and_unknown_files_say_what_to_do(moments, tmp_path):
    with pytest.raises(FileNotFoundError, match="ot-latent reference mnist"):
        references.real_moments("mnist", tmp_path)
    path = references.save("mnist", moments, tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="damaged"):
        references.real_moments("mnist", tmp_path)
    save_file({"mean": np.zeros(4)}, path)
    with pytest.raises(ValueError, match="damaged"):
        references.real_moments("mnist", tmp_path)
    with pytest.raises(ValueError, match="mnist, cifar10"):
        references.real_moments("imagenet")


@pytest.mark.filterwarnings("ignore::ot_latent.datasets.PartialDataWarning")
@pytest.mark.parametrize("name", references.REFERENCES)
def test_shipped_moments_are_those_of_the_data(name):
    """Of 1,500 random images: the mean within its sampling error, the distance no more than its bias."""
    reference = references.REFERENCES[name]
    if not (Path(os.environ.get("OT_LATENT_DATA", "nowhere")) / reference.data).is_dir():
        pytest.skip(f"{reference.data} is not in $OT_LATENT_DATA")
    shipped = references.real_moments(name)
    images = reference.images()
    assert len(images) == shipped.count
    # not every so-manieth: digits come in an order
    rows = np.sort(RNG(0).permutation(len(images))[:1_500])
    features = reference.extractor().features(as_floats(torch.from_numpy(images[rows])))
    seen = scores.FeatureStatistics.of(features)
    variances = np.diag(shipped.covariance)
    deviations = (seen.mean - shipped.mean) / np.sqrt(variances / len(rows) + 1e-12)
    assert np.sqrt((deviations**2).mean()) < 1.5
    assert np.trace(seen.covariance) == pytest.approx(variances.sum(), rel=0.1)
    assert scores.frechet_distance(seen, shipped) < 0.02 * variances.sum()
