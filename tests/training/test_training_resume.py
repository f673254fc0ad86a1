"""A run that was killed, whose disk was full or whose state is damaged goes on as if nothing had happened."""

import errno
import json
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch
from train_in_a_process import prepare, train, train_alone

from ot_latent import _storage, training
from ot_latent._storage import StateWarning, locked, read_tensors, save_tensors
from ot_latent.models import checkpoints
from ot_latent.training.batches import Batches


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A folder of its own for states and weights."""
    prepare(monkeypatch.setitem)
    return tmp_path


def weights_in(folder, name):
    return (folder / "build" / "checkpoints" / "smoke-0" / f"{name}.safetensors").read_bytes()


def log_in(folder, name):
    lines = (folder / "build" / "training" / f"{name}-smoke-0" / "log.jsonl").read_text("utf-8")
    return [json.loads(line) for line in lines.splitlines()]


def states(folder, name="noisy"):
    return sorted(training.run_folder(name, "smoke", 0, folder / "build").glob("state-*"))


@pytest.fixture(scope="module")
def start():
    """Starts a training in a process that has nothing to import any more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        context = multiprocessing.get_context("forkserver")
        # the last is what the first optimiser loads
        context.set_forkserver_preload(["train_in_a_process", "ot_latent.training.trainer", "torch._dynamo"])

        def begin(folder, name, **environment):
            process = context.Process(target=train_alone, args=(name, folder, environment))
            process.start()
            return process

        yield begin


def test_a_run_that_is_killed_at_random_moments_ends_bit_equal(tmp_path, start):
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    whole = start(unbroken, "noisy")
    moments, folder = random.Random(0), killed / "build" / "training" / "noisy-smoke-0"
    kills = 0
    while kills < 3:
        before = set(folder.glob("state-*"))
        run = start(killed, "noisy")
        # every start gets further: a state is written each 10 of 60 steps
        while set(folder.glob("state-*")) <= before and run.is_alive():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.03))
        run.kill()
        run.join()
        if run.exitcode == 0:
            break
        kills += 1
    assert kills >= 1
    last = start(killed, "noisy")
    for run in (whole, last):
        run.join()
        assert run.exitcode == 0
    assert weights_in(killed, "noisy") == weights_in(unbroken, "noisy")
    assert log_in(killed, "noisy") == log_in(unbroken, "noisy")
    assert [epoch["epoch"] for epoch in log_in(killed, "noisy")] == [1, 2, 3]
    assert len(list(folder.glob("state-*"))) == 2
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Weights and log of the noisy run."""
    folder = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch.setitem)
        return train("noisy", folder).read_bytes(), log_in(folder, "noisy")


def interrupted_after(workshop, monkeypatch, step):
    """Let the state of a step be the last that a run writes."""
    save = _storage.save_tensors

    def stop(path, *rest):
        save(path, *rest)
        if path.stem.endswith(f"{step:09d}"):
            raise KeyboardInterrupt

    monkeypatch.setattr(_storage, "save_tensors", stop)
    with pytest.raises(KeyboardInterrupt):
        train("noisy", workshop, save_seconds=0)
    monkeypatch.setattr(_storage, "save_tensors", save)


def test_a_truncated_state_is_named_and_the_one_before_it_taken(workshop, monkeypatch, unbroken):
    interrupted_after(workshop, monkeypatch, 50)  # within the third epoch
    *_, newest = states(workshop)
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(StateWarning, match=f"{newest.name} is damaged.*before it"):
        assert train("noisy", workshop).read_bytes() == unbroken[0]
    for path in states(workshop):
        path.write_bytes(path.read_bytes()[:100])
    with (
        pytest.warns(StateWarning, match="damaged"),
        pytest.raises(ValueError, match="no state in .*noisy-smoke-0 is whole; remove that folder"),
    ):
        train("noisy", workshop)


@pytest.mark.filterwarnings("ignore::ot_latent._storage.StateWarning")  # one for each state
def test_a_full_disk_is_told_and_older_states_stay_whole(workshop, monkeypatch, unbroken):
    write_bytes, kept = Path.write_bytes, []

    def full(path, content):
        if "state-" in path.name and len(states(workshop)) == 2:
            write_bytes(path, content[:1000])  # as much as there is room for
            kept.append([state.read_bytes() for state in states(workshop)])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    said = "state-000000030.safetensors could not be written: .*No space left.*state-000000020"
    with pytest.warns(StateWarning, match=said):
        assert train("noisy", workshop, save_seconds=0).read_bytes() == unbroken[0]
    monkeypatch.undo()
    prepare(monkeypatch.setitem)
    assert [path.name for path in states(workshop)] == [f"state-{step:09d}.safetensors" for step in (10, 20)]
    assert all(before == [path.read_bytes() for path in states(workshop)] for before in kept)
    assert not list(training.run_folder("noisy", "smoke", 0, workshop / "build").glob(".*"))
    assert train("noisy", workshop).read_bytes() == unbroken[0]


def test_a_state_of_other_settings_is_refused(workshop):
    train("noisy", workshop, epochs=1)
    with pytest.raises(ValueError, match="other settings: epochs was 1 and is 2. Train with those"):
        train("noisy", workshop, epochs=2)
    with pytest.raises(ValueError, match="precision was 'float32' and is 'bfloat16'"):
        train("noisy", workshop, epochs=1, precision="bfloat16")
    train("noisy", workshop, seed=1, epochs=2)  # in a folder of its own


def test_a_run_at_a_constant_rate_is_prolonged(workshop):
    longer = train("steady", workshop, epochs=2, out=workshop / "longer")
    for path in states(workshop, "steady"):
        path.unlink()
    first = train("steady", workshop)
    seconds = read_tensors(states(workshop, "steady")[-1])[1]["seconds"]
    assert checkpoints.read_card(first)["epochs"] == 1
    assert train("steady", workshop, epochs=2).read_bytes() == longer.read_bytes()
    assert checkpoints.read_card(first)["epochs"] == 2
    # wall time is summed over the two runs
    assert read_tensors(states(workshop, "steady")[-1])[1]["seconds"] > seconds


def test_a_second_run_in_the_same_folder_waits_says_so_and_finds_the_weights(workshop, monkeypatch):
    done, entered, told = train("plain", workshop).read_bytes(), threading.Event(), threading.Event()
    monkeypatch.setattr(_storage, "_PATIENCE", 0.01)

    def first():
        with locked(training.run_folder("plain", "smoke", 0, workshop / "build") / "run"):
            entered.set()
            told.wait()

    thread, said = threading.Thread(target=first), []
    thread.start()
    entered.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: (said.append(str(message)), told.set())
        assert train("plain", workshop).read_bytes() == done
    thread.join()
    assert "another process is at work in" in said[0] and "plain-smoke-0; this one waits for it" in said[0]


def test_seeds_have_weights_of_their_own_and_leave_torchs_generator_alone(workshop):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    paths = [train("plain", workshop, seed=seed) for seed in (0, 1)]
    assert [path.parent.name for path in paths] == ["smoke-0", "smoke-1"]
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_number_of_threads_is_told(workshop, monkeypatch):
    train("plain", workshop)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 96)
    with pytest.warns(StateWarning, match=r"was computed on 'cpu, \d+ threads, .*on 'cpu, 96 threads.*last digits"):
        train("plain", workshop)


def test_other_images_of_the_same_number_are_refused(workshop, monkeypatch):
    train("plain", workshop)
    take = training.trainer.training_images
    monkeypatch.setattr(training.trainer, "training_images", lambda *given: (255 - take(*given)[0], None))
    with pytest.raises(ValueError, match="other settings: md5 was"):
        train("plain", workshop)


def test_a_renamed_tensor_counts_as_damage(workshop):
    unbroken = train("plain", workshop, save_seconds=0).read_bytes()
    *_, newest = states(workshop, "plain")
    for wrong in ("model.decoder.0.bias", "optimizer.0.0.exp_avg"):
        tensors, facts = read_tensors(newest)
        whole = newest.read_bytes()
        save_tensors(newest, {name + "_" * (name == wrong): value for name, value in tensors.items()}, facts)
        with pytest.warns(StateWarning, match=f"{newest.name} is damaged, or the state of another network.*before it"):
            assert train("plain", workshop, out=workshop / wrong).read_bytes() == unbroken
        newest.write_bytes(whole)


@pytest.mark.parametrize("where", ["in a step", "between two steps"])
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_loses_nothing(workshop, monkeypatch, unbroken, where):
    """A signal lets the step end; what is raised before weights move leaves them whole."""
    batches, adam, signals = Batches.__call__, torch.optim.Adam.step, [signal.SIGINT]

    def late(self, step):
        if step == 13:
            raise KeyboardInterrupt
        return batches(self, step)

    def interrupted(self, *given):
        if signals and next(iter(self.state.values()), {"step": 0})["step"] == 12:
            signal.raise_signal(signals.pop())
        return adam(self, *given)

    change = (Batches, "__call__", late) if where == "between two steps" else (torch.optim.Adam, "step", interrupted)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(*change)
        train("noisy", workshop)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert [path.name for path in states(workshop)] == ["state-000000013.safetensors"]
    assert train("noisy", workshop).read_bytes() == unbroken[0]
    assert log_in(workshop, "noisy") == unbroken[1]


def test_two_processes_learn_what_one_learns(workshop, tmp_path, start):
    """Without batch norm: it normalises the images of one process, and its synchronised form needs GPUs."""
    two = tmp_path / "two"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # what torchrun sets
    ranks = [start(two, "plain", RANK=rank, LOCAL_RANK=rank, **group) for rank in "01"]
    one = checkpoints.load(train("plain", workshop))
    for run in ranks:
        run.join()
        assert run.exitcode == 0
    weights = two / "build" / "checkpoints" / "smoke-0" / "plain.safetensors"
    other = checkpoints.load(weights)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    for epoch, alone in zip(log_in(two, "plain"), log_in(workshop, "plain"), strict=True):
        assert epoch == pytest.approx(alone, rel=1e-4)
    assert checkpoints.read_card(weights)["hardware"].startswith("2 processes, each cpu")
