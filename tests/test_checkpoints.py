"""Weights survive kills, damage is found, and a card chooses only among known models."""

import json

import pytest
import torch

from ot_latent import checkpoints
from ot_latent.autoencoders import VAE
from ot_latent.checkpoints import KINDS, shipped
from ot_latent.networks import Potential
from ot_latent.notebook import checkout

SHIPPED = sorted((checkout() / "data" / "checkpoints").glob("*.safetensors"))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = VAE(3, 4, variance=0.25)
    return model, checkpoints.save(tmp_path / "vae.safetensors", model, {"seed": 7})


def test_what_is_saved_is_loaded(saved):
    model, path = saved
    again = checkpoints.load(path)
    assert again.config == model.config
    assert not again.training
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    card = checkpoints.read_card(path)
    assert card["seed"] == 7
    assert card["model"]["kind"] == "VAE"


def test_a_damaged_file_is_named(saved):
    _, path = saved
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="vae.safetensors is damaged"):
        checkpoints.load(path)


def test_weights_of_another_size_are_refused(saved):
    _, path = saved
    card = checkpoints.read_card(path)
    card["model"]["latent_dim"] = 4
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="does not fit its card"):
        checkpoints.load(path)


def test_a_card_cannot_name_other_code(saved):
    _, path = saved
    path.with_suffix(".json").write_text('{"model": {"kind": "os.system"}}')
    with pytest.raises(ValueError, match=r"'os.system'.*Autoencoder"):
        checkpoints.load(path)


def test_an_unknown_checkpoint_lists_the_shipped_ones():
    with pytest.raises(FileNotFoundError, match=r"mnist-ae.*train --list"):
        checkpoints.load("mnist-aee")


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        checkpoints.write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_state_resumes_weights_and_optimiser(tmp_path):
    def start():
        torch.manual_seed(0)
        model = Potential(2, 2, 8)
        return model, torch.optim.Adam(model.parameters(), 1e-2)

    def step(model, optimizer, seed):
        torch.manual_seed(seed)
        loss = model(torch.randn(16, 2)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    unbroken = start()
    for seed in range(4):
        step(*unbroken, seed)
        if seed == 1:
            checkpoints.save_state(tmp_path / "s", *unbroken, done=2)
    resumed = start()
    assert checkpoints.load_state(tmp_path / "none", *resumed) == 0
    assert checkpoints.load_state(tmp_path / "s", *resumed) == 2
    for seed in (2, 3):
        step(*resumed, seed)
    for one, other in zip(unbroken[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_weights_have_complete_cards(path):
    card = checkpoints.read_card(path)
    assert {"recipe", "scale", "seed", "data", "hardware", "metrics", "model"} <= card.keys()
    assert card["recipe"] == path.stem
    assert card["metrics"]
    assert type(checkpoints.load(path.stem)) is KINDS[card["model"]["kind"]]
    assert shipped(path.stem) == path


def test_all_shipped_weights_are_small():
    assert SHIPPED
    assert sum(path.stat().st_size for path in SHIPPED) < 40e6
