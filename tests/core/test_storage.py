"""Files survive kills, and what a state holds is restored bit for bit."""

import pytest
import torch

from ot_latent._storage import States, read_tensors, write_atomically
from ot_latent.models.autoencoders import WAEGAN


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")

    def fail(temporary):
        temporary.write_text("half", encoding="utf-8")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_state_resumes_weights_and_optimisers(tmp_path):
    def start():
        torch.manual_seed(0)
        model = WAEGAN(2, 2)
        parts = model.encoder, model.critic
        return model, [torch.optim.Adam(part.parameters(), 1e-2) for part in parts]

    def step(model, optimizers, seed):
        torch.manual_seed(seed)
        images = torch.rand(8, 1, 64, 64)
        for loss, optimizer in zip((model.loss, model.critic_loss), optimizers, strict=True):
            optimizer.zero_grad()
            loss(images)["loss"].backward()
            optimizer.step()

    unbroken, states = start(), States(tmp_path, {})
    facts = {"done": 2, "sums": {"loss": 0.1}, "log": []}
    for seed in range(4):
        step(*unbroken, seed)
        if seed == 1:
            states.save(2, *unbroken, facts)
    resumed = start()
    assert states.restore(*resumed) == facts
    for seed in (2, 3):
        step(*resumed, seed)
    for one, other in zip(unbroken[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_damaged_state_is_named(tmp_path):
    path = tmp_path / "state"
    path.write_bytes(b"half of it")
    with pytest.raises(ValueError, match="state is damaged or no state of a training run"):
        read_tensors(path)
