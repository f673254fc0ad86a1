"""Images for training, and which of them each step and each process takes."""

import hashlib

import numpy as np
import pytest
import torch

from ot_latent import datasets
from ot_latent.brenier import perceptron
from ot_latent.datasets.image_sets import digest, training_images
from ot_latent.training.batches import Batches
from ot_latent.training.loop import computed_in


def test_digits_are_resized_bytes():
    images, labels = training_images("mnist", 64, "test", most=20)
    digits, expected = datasets.mnist("test")
    assert images.shape == (20, 1, 64, 64) and images.dtype == np.uint8
    squares = datasets.to_square(digits[:20]).numpy()
    assert abs(images / 255 - squares).max() <= 0.5 / 255 + 1e-6
    np.testing.assert_array_equal(labels, expected[:20])


def test_the_digest_is_that_of_the_bytes_in_their_order():
    images = np.arange(2 * 3 * 4 * 1_500, dtype=np.uint8).reshape(1_500, 2, 3, 4)
    expected = hashlib.md5(images.tobytes()).hexdigest()
    assert digest(images) == expected
    laid_out_otherwise = np.asfortranarray(images)
    assert digest(laid_out_otherwise) == expected
    assert digest(images[::-1]) != expected


def test_logos_of_the_test_are_not_in_the_training_set():
    try:
        parts = [training_images("logos", 32, split)[0] for split in ("train", "test")]
    except datasets.MissingDataError as error:
        pytest.skip(str(error).splitlines()[0])
    assert [len(part) for part in parts] == [15_897, 1_766]
    assert all(part.shape[1:] == (3, 32, 32) for part in parts)


@pytest.mark.parametrize(("name", "split"), [("nothing", "train"), ("mnist", "validation")])
def test_unknown_sets_and_splits_are_named(name, split):
    with pytest.raises(ValueError, match="nothing" if name == "nothing" else "validation"):
        training_images(name, 64, split)


def numbered(count, batch, turns=1, share=(0, 1), seed=0):
    """Batches of images of one pixel that holds the image's number."""
    images = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return Batches(
        images,
        np.arange(count, dtype=np.uint8),
        batch=batch,
        turns=turns,
        seed=seed,
        device=torch.device("cpu"),
        share=share,
    )


def test_images_are_mirrored_by_chance_and_alike_again():
    images = np.zeros((400, 1, 1, 2), np.uint8)
    images[..., 0] = 255
    made = {"batch": 400, "turns": 1, "seed": 0, "device": torch.device("cpu"), "share": (0, 1)}
    mirrored, plain = (Batches(images, None, **made, mirrored=either) for either in (True, False))
    [[shown]], [[again]], [[other]] = mirrored(3), mirrored(3), mirrored(4)
    assert torch.equal(shown, again) and not torch.equal(shown, other)
    assert torch.equal(shown.sum(3), torch.ones(400, 1, 1))
    assert 150 < int(shown[..., 1].sum()) < 250  # five deviations
    assert torch.equal(plain(3)[0][0][..., 0], torch.ones(400, 1, 1))


def test_an_epoch_shows_no_image_twice_and_the_next_has_another_order():
    batches = numbered(103, 10, turns=3)
    assert batches.steps_per_epoch == 3
    epochs = [
        np.concatenate([labels for step in range(first, first + 3) for _, labels in batches(step)]) for first in (0, 3)
    ]
    assert all(len(set(epoch)) == 90 for epoch in epochs)
    assert not np.array_equal(*epochs)
    again = numbered(103, 10, turns=3)
    for step in (4, 1):  # in any order
        for (_, one), (_, other) in zip(again(step), batches(step), strict=True):
            assert torch.equal(one, other)
    other_seed = numbered(103, 10, turns=3, seed=1)
    assert not torch.equal(other_seed(0)[0][1], batches(0)[0][1])


def test_labels_stay_with_their_images_which_are_in_the_unit_interval():
    [(images, labels)] = numbered(50, 10)(2)
    assert images.shape == (10, 1, 1, 1) and images.dtype == torch.float32
    assert torch.equal(images.flatten(), labels / 255)


def test_processes_share_each_batch():
    whole = numbered(64, 8)
    halves = [numbered(64, 8, share=(rank, 2)) for rank in (0, 1)]
    for step in range(12):
        parts = torch.cat([half(step)[0][1] for half in halves])
        assert sorted(parts.tolist()) == sorted(whole(step)[0][1].tolist())
        assert [len(half(step)[0][1]) for half in halves] == [4, 4]
    with pytest.raises(ValueError, match="3 processes cannot share batches of 8"):
        numbered(64, 8, share=(0, 3))


def test_networks_compute_in_bfloat16_and_hand_out_float32_only_while_they_train():
    model = torch.nn.Module()
    model.network = perceptron(3, 2)
    points = torch.randn(50, 3)
    exact = model.network(points)
    with computed_in("bfloat16", model, points.device):
        rounded = model.network(points)
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, rounded.bfloat16().float())
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)
    with computed_in("float32", model, points.device):
        assert torch.equal(model.network(points), exact)
    assert torch.equal(model.network(points), exact)
