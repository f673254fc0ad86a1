"""Files survive kills, and what a state holds is restored bit for bit."""

import os

import pytest
import torch

from ot_latent import LatentTransport, _storage
from ot_latent._storage import States, StateWarning, locked, read_tensors, write_atomically
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


@pytest.fixture
def small(tmp_path):
    """A model with its optimiser after a step, and a state of both."""
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    optimizers = [torch.optim.Adam(model.parameters(), 1e-2)]
    model(torch.ones(1, 2)).sum().backward()
    optimizers[0].step()
    states = States(tmp_path, {"seed": 0})
    states.save(1, model, optimizers, {"log": []})
    return states, model, optimizers


def test_no_flipped_bit_of_a_state_goes_unnoticed(small):
    [path] = small[0].paths()
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 5):  # every byte, every place in a byte
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="is damaged"):
            read_tensors(path)


@pytest.mark.parametrize("method", ["minibatch", "semidiscrete"])
def test_a_fit_that_is_killed_between_any_two_files_ends_with_the_same(method, tmp_path, monkeypatch):
    left, write = [0], _storage.write_atomically

    def counted(path, content):
        if not left[0]:
            raise SystemExit
        left[0] -= 1
        write(path, content)

    def fitted(folder, most):
        left[0] = most
        settings = {"iterations": 20, "batch": 16, "layers": 2, "width": 4, "tolerance": 0.5, "device": "cpu"}
        latent = LatentTransport(method, **settings).fit(torch.eye(4)[:, :2], folder, save_seconds=0)
        weights = {name: value.tolist() for name, value in latent.potential_.state_dict().items()}
        return weights, (folder / States.LOG).read_text(encoding="utf-8")

    monkeypatch.setattr(_storage, "write_atomically", counted)
    unbroken, files = fitted(tmp_path / "unbroken", 99), 99 - left[0]
    assert files >= 4
    for most in range(files):
        folder = tmp_path / str(most)
        with pytest.raises(SystemExit):
            fitted(folder, most)
        assert fitted(folder, 99) == unbroken


def test_only_the_librarys_own_leftovers_are_removed(small):
    states, folder = small[0], small[0].folder
    (folder / ".git").mkdir()
    users = {".env", ".gitignore", ".state-notes", ".log.jsonl.of-last-week", "notes.txt"}
    for name in users | {".state-000000001.safetensors.k3x9_ab1", ".log.jsonl.0zzzzzz_"}:
        (folder / name).write_text("", encoding="utf-8")
    before = {path.name for path in [*states.paths(), folder / States.LOG]}
    states.tidy()
    assert {path.name for path in folder.iterdir()} == users | before | {".git"}


def test_a_state_of_other_hardware_is_told(small, monkeypatch):
    states, model, optimizers = small
    monkeypatch.setattr(_storage, "hardware", lambda device: "96 threads")
    with pytest.warns(StateWarning, match=r"computed on 'cpu, .*goes on on '96 threads': last digits"):
        assert states.restore(model, optimizers) == {"log": []}


def test_a_lock_that_is_not_waited_for_is_refused(tmp_path):
    with (
        locked(tmp_path / "run"),
        pytest.raises(BlockingIOError, match="another process is at work in"),
        locked(tmp_path / "run", wait=False),
    ):
        pass


def test_what_is_synced_is_open_to_be_written(tmp_path, monkeypatch):
    # as on Windows, where a file that is open to be read alone cannot be
    monkeypatch.setattr("os.fsync", lambda handle: os.write(handle, b""))
    write_atomically(tmp_path / "file", lambda path: path.write_text("all", "utf-8"))
    assert (tmp_path / "file").read_text("utf-8") == "all"
