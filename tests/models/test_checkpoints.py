"""What is saved is loaded, damage is found, and a card chooses only among known models."""

import json

import pytest
import torch

from ot_latent._storage import checkout
from ot_latent.models import checkpoints
from ot_latent.models.autoencoders import VAE, WAEGAN
from ot_latent.models.checkpoints import KINDS, shipped
from ot_latent.training.recipes import RECIPES

SHIPPED = sorted((checkout() / "data" / "checkpoints").glob("*.safetensors"))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = VAE(3, 4, variance=0.25)
    checkpoints.round_to_half(model)
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
    path.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ValueError, match="does not fit its card"):
        checkpoints.load(path)


def test_a_card_cannot_name_other_code(saved):
    _, path = saved
    path.with_suffix(".json").write_text('{"model": {"kind": "os.system"}}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"'os.system'.*Autoencoder"):
        checkpoints.load(path)


def test_an_unknown_checkpoint_lists_the_shipped_ones():
    with pytest.raises(FileNotFoundError, match=r"mnist-ae.*train --list"):
        checkpoints.load("mnist-aee")


def test_weights_take_two_bytes_each_and_load_as_they_were_rounded(tmp_path):
    torch.manual_seed(0)
    model = VAE(3, 4)
    path = checkpoints.save(tmp_path / "half.safetensors", model, {})
    assert path.stat().st_size < 0.6 * sum(value.nbytes for value in model.state_dict().values())
    again = checkpoints.load(path).state_dict()
    checkpoints.round_to_half(model)
    for name, value in model.state_dict().items():
        assert torch.equal(again[name], value) and again[name].dtype == value.dtype


def test_a_model_can_be_saved_without_its_critic(tmp_path):
    model = WAEGAN(3, 4)
    checkpoints.round_to_half(model)
    path = checkpoints.save(tmp_path / "pot.safetensors", model, {}, critic=False)
    again = checkpoints.load(path)
    assert not hasattr(again, "critic")
    for name, value in again.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
    with_critic = checkpoints.load(checkpoints.save(path, model, {}))
    assert with_critic.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_weights_have_complete_cards(path):
    card = checkpoints.read_card(path)
    assert {"recipe", "scale", "seed", "data", "hardware", "metrics", "model"} <= card.keys()
    assert card["recipe"] == path.stem
    assert card["metrics"]
    assert card.get("note") == getattr(RECIPES[path.stem], "note", None)
    assert type(checkpoints.load(path.stem)) is KINDS[card["model"]["kind"]]
    assert shipped(path.stem) == path


def test_all_shipped_weights_are_small():
    assert SHIPPED
    assert sum(path.stat().st_size for path in SHIPPED) < 40e6
