"""What is saved is loaded, damage is found, and a card chooses only among known models."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
import torch

from ot_latent._storage import checkout
from ot_latent.models import checkpoints
from ot_latent.models.autoencoders import VAE, WAEGAN
from ot_latent.models.checkpoints import KINDS, shipped

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


def test_no_flipped_bit_of_weights_goes_unnoticed(saved):
    _, path = saved
    content, places = path.read_bytes(), random.Random(0)
    for _ in range(40):
        flipped, bit = bytearray(content), places.randrange(8 * len(content))
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="vae.safetensors is damaged, or the card beside it is that of other"):
            checkpoints.load(path)


def test_a_card_of_other_weights_is_refused_and_so_is_a_damaged_one(saved, tmp_path):
    model, path = saved
    torch.nn.init.zeros_(next(model.parameters()))
    other = checkpoints.save(tmp_path / "other.safetensors", model, {"seed": 8}).with_suffix(".json")
    path.with_suffix(".json").write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match="the card beside it is that of other weights: it has another SHA-256"):
        checkpoints.load(path)
    other.write_bytes(other.read_bytes()[:-9])
    with pytest.raises(ValueError, match="other.json is damaged or no card of weights"):
        checkpoints.read_card(other)


def test_writers_take_turns_and_leave_a_pair_that_belongs_together(tmp_path):
    path = tmp_path / "vae.safetensors"
    (tmp_path / ".vae.safetensors.k3x9_ab1").write_bytes(b"of a killed one")

    def write(seed):
        for _ in range(20):
            checkpoints.save(path, models[seed], {"seed": seed})

    models = [VAE(2, 1), VAE(2, 1)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (0, 1)))
    expected = models[checkpoints.read_card(path)["seed"]].state_dict()
    assert all(
        torch.equal(expected[name].half(), value) for name, value in checkpoints.load(path).half().state_dict().items()
    )
    assert {file.name for file in tmp_path.iterdir()} <= {"vae.safetensors", "vae.json", "vae.lock"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latent_dim": 4}, "size mismatch"),
        ({"width": 200_000}, "size mismatch"),
        ({"breadth": 3}, "breadth"),
        ({"width": "wide"}, ""),
    ],
)
def test_weights_that_do_not_fit_their_card_are_refused_before_memory_is_asked_for(saved, change, said):
    _, path = saved
    card = checkpoints.read_card(path)
    card["model"] |= change
    path.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ValueError, match=f"(?s)does not fit its card: .*{said}"):
        checkpoints.load(path)


def test_loading_leaves_torchs_generator_alone_and_names_a_device_that_is_not_there(saved):
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    checkpoints.load(saved[1])
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(ValueError, match="device must be one that torch finds here, got 'cuda:99'"):
        checkpoints.load(saved[1], "cuda:99")


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
    assert type(checkpoints.load(path.stem)) is KINDS[card["model"]["kind"]]
    assert shipped(path.stem) == path
    assert card["sha256"] == checkpoints.weights_hash(path.stem) == sha256(path.read_bytes()).hexdigest()


def test_all_shipped_weights_are_small():
    assert SHIPPED
    assert sum(path.stat().st_size for path in SHIPPED) < 40e6
