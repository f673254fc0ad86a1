"""Recipes train, resume and stop with a clear message; real MNIST, a few hundred digits."""

import json

import numpy as np
import pytest
import torch

from ot_latent import checkpoints, datasets, scores, training
from ot_latent.training import RECIPES, DivergenceError, train


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A checkout of its own for states and weights, with few images to train on."""
    monkeypatch.setattr(training, "checkout", lambda: tmp_path)
    monkeypatch.setattr(training, "_SMOKE_IMAGES", 512)
    whole = datasets.mnist
    few = {"train": 512, "test": 500}

    def mnist(split="train", data_dir=None):
        images, labels = whole(split, data_dir)
        return images[: few[split]], labels[: few[split]]

    monkeypatch.setattr(datasets, "mnist", mnist)
    return tmp_path


def log_of(folder, name, seed=0):
    lines = (folder / "build" / "training" / f"{name}-smoke-{seed}" / "log.jsonl").read_text()
    return [json.loads(line) for line in lines.splitlines()]


def set_epochs(monkeypatch, name, epochs):
    monkeypatch.setitem(RECIPES[name].epochs, "smoke", epochs)


@pytest.mark.parametrize("name", ["mnist-ae", "mnist-vae"])
def test_training_lowers_the_loss_and_the_model_can_be_sampled(workshop, monkeypatch, name):
    set_epochs(monkeypatch, name, 4)
    path = train(name, "smoke")
    losses = [line["loss"] for line in log_of(workshop, name)]
    assert losses[-1] < 0.7 * losses[0]
    model, card = checkpoints.load(path), checkpoints.read_card(path)
    images = scores.decode(model, torch.randn(8, 10))
    assert images.shape == (8, 1, 64, 64)
    assert torch.isfinite(images).all()
    squares = datasets.to_square(datasets.mnist("test")[0])
    error = scores.reconstruction_errors(model, squares).mean()
    assert card["metrics"]["test_squared_error"] == pytest.approx(error, rel=1e-3)
    assert card["data"]["md5"].keys() == {file.name for file in datasets.DATASETS["mnist"].files}


def test_the_classifier_learns(workshop, monkeypatch):
    set_epochs(monkeypatch, "mnist-classifier", 8)
    card = checkpoints.read_card(train("mnist-classifier", "smoke"))
    low, high = card["metrics"]["interval_95"]
    assert low > 0.5  # chance is 0.1
    assert low < card["metrics"]["test_accuracy"] < high


def test_a_killed_run_ends_as_the_unbroken_one(workshop, monkeypatch):
    set_epochs(monkeypatch, "mnist-vae", 3)
    unbroken = checkpoints.load(train("mnist-vae", "smoke", out=workshop / "unbroken"))
    (workshop / "build").rename(workshop / "other")

    save = checkpoints.save_state

    def kill_after_the_first_epoch(path, model, optimizer, done):
        save(path, model, optimizer, done)
        if done == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save_state", kill_after_the_first_epoch)
    with pytest.raises(KeyboardInterrupt):
        train("mnist-vae", "smoke")
    monkeypatch.setattr(checkpoints, "save_state", save)
    resumed = checkpoints.load(train("mnist-vae", "smoke"))
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert [line["epoch"] for line in log_of(workshop, "mnist-vae")] == [1, 2, 3]


def test_a_run_that_diverges_stops_with_its_losses(workshop, monkeypatch):
    class Broken(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def loss(self, images):
            return {"loss": self.weight * float("nan")}

    recipe = training.Recipe("broken", "a model whose loss is NaN", Broken, {"smoke": 1})
    monkeypatch.setitem(RECIPES, "broken", recipe)
    with pytest.raises(DivergenceError, match=r"broken diverged in epoch 0.*nan"):
        train("broken", "smoke")


def test_transport_is_trained_on_the_codes(workshop, monkeypatch):
    monkeypatch.setitem(RECIPES["mnist-aeot"].iterations, "smoke", 30)
    monkeypatch.setattr(training, "_METRIC_POINTS", 100)
    set_epochs(monkeypatch, "mnist-ae", 1)
    model = checkpoints.load(train("mnist-ae", "smoke"))
    path = train("mnist-aeot", "smoke")
    card, potential = checkpoints.read_card(path), checkpoints.load(path)
    codes = scores.encode(model, datasets.mnist("train")[0])
    np.testing.assert_allclose(potential.shift, codes.mean(0), rtol=1e-4, atol=1e-5)
    metrics = card["metrics"]
    assert 0 < metrics["w2_of_codes_to_other_codes"] < metrics["w2_of_samples_to_codes"]
    assert card["iterations_at_scale_paper"] == 200_000


@pytest.mark.parametrize("name", ["eight-gaussians", "eight-gaussians-slow"])
def test_the_toy_potential_is_trained(workshop, name):
    card = checkpoints.read_card(train(name, "smoke", out=workshop / "here"))
    assert card["metrics"]["final_loss_eq15"] < 1_000
    assert card["data"]["name"] == "eight_gaussians"


def test_bad_arguments_list_what_exists(workshop):
    with pytest.raises(ValueError, match=r"no recipe 'mnist'.*mnist-ae"):
        train("mnist")
    with pytest.raises(ValueError, match="scale must be one of smoke, quick, paper"):
        train("mnist-ae", "large")
