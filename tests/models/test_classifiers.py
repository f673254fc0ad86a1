"""The network behind the scores of coloured images, and what it trains on."""

import numpy as np
import pytest
import torch

from ot_latent import datasets
from ot_latent.models import checkpoints
from ot_latent.models.classifiers import CifarClassifier, shifted_and_mirrored
from ot_latent.scores import scorers


def test_a_shift_and_a_flip_are_all_that_happens_to_an_image():
    """Coloured by their places, pixels tell where they have come from."""
    torch.manual_seed(0)
    side, padding, n = 8, 2, 400
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.stack([rows, columns, rows + columns]).float()
    made = shifted_and_mirrored(image.expand(n, -1, -1, -1), padding)
    assert made.shape == (n, 3, side, side)
    inner = made[:, :, padding:-padding, padding:-padding]  # beyond it, the padding is mirrored
    steps = inner.diff(dim=3)[:, 1]
    mirrored = steps[:, 0, 0] < 0
    assert (steps == torch.where(mirrored, -1.0, 1.0)[:, None, None]).all()
    assert (inner.diff(dim=2)[:, 0] == 1).all()
    assert torch.equal(made[:, 2], made[:, 0] + made[:, 1])  # channels stay together
    shifts = inner[:, 0, 0, 0].long() - padding
    counts = np.bincount(shifts + padding, minlength=2 * padding + 1)
    expected = n / len(counts)
    assert abs(counts - expected).max() < 4 * np.sqrt(expected)
    assert abs(mirrored.float().mean() - 0.5) < 4 * 0.5 / np.sqrt(n)


def test_only_training_sees_changed_images():
    torch.manual_seed(0)
    model, images = CifarClassifier(4), torch.rand(16, 3, 32, 32)
    labels = torch.arange(16) % 10
    model.train()
    model.loss(images, labels)["loss"].backward()
    assert all(value.grad is not None for value in model.parameters())
    model.eval()
    losses = [model.loss(images, labels)["loss"].item() for _ in range(2)]
    assert losses[0] == losses[1]
    expected = torch.nn.functional.cross_entropy(model.head(model.features(images)), labels)
    assert losses[0] == expected.item()
    assert model.features(images).shape == (16, 32)


def test_the_shipped_one_is_as_good_as_its_card_says():
    card = checkpoints.read_card(checkpoints.shipped("cifar10-classifier"))["metrics"]
    try:
        images, labels = datasets.cifar10("test")
    except datasets.MissingDataError:
        pytest.skip("cifar10 is not here")
    scorer = scorers.Classifier("cifar10-classifier")
    found = scorer.probabilities(scorer.features(datasets.to_square(images, 32))).argmax(1)
    assert (found == labels).mean() == pytest.approx(card["test_accuracy"], abs=0.003)
    assert card["test_accuracy"] > 0.8


@pytest.mark.parametrize("width", [0, -3, 2.5, "24"])
def test_what_is_no_width_is_refused(width):
    with pytest.raises((TypeError, ValueError), match="width must be"):
        CifarClassifier(width)
