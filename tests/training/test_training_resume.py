"""A run that was killed, whose disk was full or whose state is damaged goes on as if nothing had happened."""

import errno
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from train_in_a_process import prepare, train

from ot_latent import _storage, training
from ot_latent._storage import StateWarning, locked, read_tensors
from ot_latent.models import checkpoints

SCRIPT = Path(__file__).with_name("train_in_a_process.py")


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A folder of its own for states and weights."""
    prepare(monkeypatch.setitem)
    return tmp_path


def weights_in(folder, name):
    return (folder / "build" / "checkpoints" / "smoke" / f"{name}.safetensors").read_bytes()


def log_in(folder, name):
    lines = (folder / "build" / "training" / f"{name}-smoke-0" / "log.jsonl").read_text("utf-8")
    return [json.loads(line) for line in lines.splitlines()]


def states(folder, name="noisy"):
    return sorted(training.run_folder(name, "smoke", 0, folder / "build").glob("state-*"))


def start(folder, name):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(SCRIPT), name, str(folder)], env=environment)


def test_a_run_that_is_killed_at_random_moments_ends_bit_equal(tmp_path):
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    run = start(unbroken, "noisy")
    assert run.wait() == 0
    moments, folder = random.Random(0), killed / "build" / "training" / "noisy-smoke-0"
    kills = 0
    while kills < 3:
        before = set(folder.glob("state-*"))
        run = start(killed, "noisy")
        # every start gets further: a state is written each 10 of 60 steps
        while set(folder.glob("state-*")) <= before and run.poll() is None:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.03))
        run.kill()
        if run.wait() == 0:
            break
        kills += 1
    assert kills >= 1
    assert start(killed, "noisy").wait() == 0
    assert weights_in(killed, "noisy") == weights_in(unbroken, "noisy")
    assert log_in(killed, "noisy") == log_in(unbroken, "noisy")
    assert [epoch["epoch"] for epoch in log_in(killed, "noisy")] == [1, 2, 3]
    assert len(list(folder.glob("state-*"))) == 2
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]


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


def test_a_truncated_state_is_named_and_the_one_before_it_taken(workshop, monkeypatch):
    unbroken = train("noisy", workshop, out=workshop / "unbroken", save_seconds=0).read_bytes()
    assert len(states(workshop)) == 2
    for path in states(workshop):
        path.unlink()
    interrupted_after(workshop, monkeypatch, 50)  # within the third epoch
    newest = states(workshop)[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(StateWarning, match=f"{newest.name} is damaged.*before it"):
        assert train("noisy", workshop).read_bytes() == unbroken
    for path in states(workshop):
        path.write_bytes(path.read_bytes()[:100])
    with (
        pytest.warns(StateWarning, match="damaged"),
        pytest.raises(ValueError, match="no state in .*noisy-smoke-0 is whole; remove that folder"),
    ):
        train("noisy", workshop)


@pytest.mark.filterwarnings("ignore::ot_latent._storage.StateWarning")  # one for each state
def test_a_full_disk_is_told_and_older_states_stay_whole(workshop, monkeypatch):
    unbroken = train("noisy", workshop, out=workshop / "unbroken").read_bytes()
    for path in states(workshop):
        path.unlink()
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
        assert train("noisy", workshop, save_seconds=0).read_bytes() == unbroken
    monkeypatch.undo()
    prepare(monkeypatch.setitem)
    assert [path.name for path in states(workshop)] == [f"state-{step:09d}.safetensors" for step in (10, 20)]
    assert all(before == [path.read_bytes() for path in states(workshop)] for before in kept)
    assert not list(training.run_folder("noisy", "smoke", 0, workshop / "build").glob(".*"))
    assert train("noisy", workshop).read_bytes() == unbroken


def test_a_state_of_other_settings_is_refused(workshop):
    train("noisy", workshop, epochs=1)
    with pytest.raises(ValueError, match="other settings: epochs was 1 and is 2. Train with those"):
        train("noisy", workshop, epochs=2)
    with pytest.raises(ValueError, match="precision was 'bfloat16' and is 'float32'"):
        train("noisy", workshop, epochs=1, precision="float32")
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


def test_a_second_run_in_the_same_folder_is_refused(workshop):
    folder = training.run_folder("noisy", "smoke", 0, workshop / "build")
    with locked(folder / "run"), pytest.raises(BlockingIOError, match="another process is at work in .*noisy-smoke-0"):
        train("noisy", workshop)


def test_two_processes_learn_what_one_learns(workshop, tmp_path):
    """Without batch norm: it normalises the images of one process, and its synchronised form needs GPUs."""
    two = tmp_path / "two"
    # on CPUs `accelerate launch` starts one process, or goes through MPI: torchrun starts two
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, str(SCRIPT), "plain", str(two)], check=True, env=environment)
    one = checkpoints.load(train("plain", workshop))
    weights = two / "build" / "checkpoints" / "smoke" / "plain.safetensors"
    other = checkpoints.load(weights)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    for epoch, alone in zip(log_in(two, "plain"), log_in(workshop, "plain"), strict=True):
        assert epoch == pytest.approx(alone, rel=1e-4)
    assert checkpoints.read_card(weights)["hardware"].startswith("2 processes, each cpu")
