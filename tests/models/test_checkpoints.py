"""Weights survive kills, damage is found, and a card chooses only among known models."""

import json

import pytest
import torch

from ot_latent._storage import checkout
from ot_latent.models import checkpoints
from ot_latent.models.autoencoders import POT, VAE
from ot_latent.models.checkpoints import KINDS, shipped
from ot_latent.training.recipes import RECIPES

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


def test_a_state_resumes_weights_and_optimisers(tmp_path):
    def start():
        torch.manual_seed(0)
        model = POT(2, 2)
        parts = model.encoder, model.critic
        return model, [torch.optim.Adam(part.parameters(), 1e-2) for part in parts]

    def step(model, optimizers, seed):
        torch.manual_seed(seed)
        images = torch.rand(8, 1, 64, 64)
        for loss, optimizer in zip((model.loss, model.critic_loss), optimizers, strict=True):
            optimizer.zero_grad()
            loss(images)["loss"].backward()
            optimizer.step()

    unbroken, path = start(), tmp_path / "state"
    for seed in range(4):
        step(*unbroken, seed)
        if seed == 1:
            checkpoints.save_state(path, *unbroken, {"done": 2, "sums": {"loss": 0.1}})
    resumed = start()
    tensors, facts = checkpoints.read_state(path)
    assert facts == {"done": 2, "sums": {"loss": 0.1}}
    checkpoints.restore(tensors, *resumed)
    for seed in (2, 3):
        step(*resumed, seed)
    for one, other in zip(unbroken[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_damaged_state_is_named(tmp_path):
    path = tmp_path / "state"
    path.write_bytes(b"half of it")
    with pytest.raises(ValueError, match="state is damaged or no state of a training run"):
        checkpoints.read_state(path)


def test_half_precision_is_half_the_size_and_loads_as_it_was_rounded(saved, tmp_path):
    model, whole = saved
    checkpoints.round_to_half(model)
    path = checkpoints.save(tmp_path / "half.safetensors", model, {}, half=True)
    assert path.stat().st_size < 0.6 * whole.stat().st_size
    again = checkpoints.load(path).state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(again[name], value) and again[name].dtype == value.dtype


def test_a_model_can_be_saved_without_its_critic(tmp_path):
    model = POT(3, 4)
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
